//! What members answer with, composed once for all queries.

use crate::exchange::MemberAnswer;
use crate::policy::{Member, Policies, Role};
use crate::wire::{Name, rtype};
use crate::zone::ZoneSet;

/// Owner of every record: a pointer to the question (RFC 1035 section 4.1.4).
const OWNER: [u8; 2] = [0xc0, 12];

/// The answer of every member of every group: `answers[group][member]`.
///
/// A member whose name holds no address of a family has none in its answer; policy loading has refused or
/// warned of those by then.
pub fn compose_answers(policies: &Policies, zones: &ZoneSet) -> Vec<Vec<MemberAnswer>> {
    policies.groups.iter().map(|g| g.members.iter().map(|m| compose_member(m, zones)).collect()).collect()
}

fn compose_member(member: &Member, zones: &ZoneSet) -> MemberAnswer {
    if member.role == Role::External {
        let mut cname = Vec::new();
        put_record(&mut cname, rtype::CNAME, member.name.as_wire());
        return MemberAnswer { cname: cname.into(), ..MemberAnswer::default() };
    }
    let addresses = |rtype: u16, len: usize| addresses_at(&member.name, zones, rtype, len);
    MemberAnswer { a: addresses(rtype::A, 4), aaaa: addresses(rtype::AAAA, 16), cname: Box::default() }
}

/// The records of one family; RDATA of another length than `len` is no address and left out.
fn addresses_at(name: &Name, zones: &ZoneSet, rtype: u16, len: usize) -> Box<[u8]> {
    let mut records = Vec::new();
    if let Some(rrset) = zones.zone_of(name).and_then(|zone| zone.rrset(name, rtype)) {
        rrset.rdatas().filter(|rdata| rdata.len() == len).for_each(|rdata| put_record(&mut records, rtype, &rdata));
    }
    records.into()
}

/// One record of class IN with TTL 0, which the answer overwrites.
fn put_record(out: &mut Vec<u8>, rtype: u16, rdata: &[u8]) {
    out.extend_from_slice(&OWNER);
    out.extend_from_slice(&rtype.to_be_bytes());
    out.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
    out.extend_from_slice(&0u32.to_be_bytes());
    out.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    out.extend_from_slice(rdata);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PopIdx;
    use crate::zone::store::Builder;

    fn member(name: &str, role: Role) -> Member {
        let pop = (role != Role::External).then_some(PopIdx(0));
        Member { name: name.parse().unwrap(), pop, role, capacity: None, weight: None, price: 0.0 }
    }

    /// Every address of a member is there, each record as it stands in an answer.
    #[test]
    fn members_answer_with_what_the_zone_holds() {
        let mut zone = Builder::new(&"example.com".parse().unwrap());
        let ams: Name = "ams.example.com".parse().unwrap();
        zone.add(&ams, rtype::A, 300, &[192, 0, 2, 1]);
        zone.add(&ams, rtype::A, 300, &[192, 0, 2, 2]);
        zone.add(&ams, rtype::AAAA, 300, &[7; 16]);
        let zones = ZoneSet::new(vec![zone.finish()]);
        let answer = compose_member(&member("ams.example.com", Role::Active), &zones);
        assert_eq!(answer.a.len(), 32);
        assert_eq!(answer.a[..16], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]);
        assert_eq!(answer.a[16..], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 2]);
        assert_eq!((answer.aaaa.len(), &answer.aaaa[..12]), (28, &[0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 0, 0, 16][..]));
        assert!(answer.cname.is_empty());

        let answer = compose_member(&member("a.example.net", Role::External), &zones);
        assert_eq!(answer.cname[..], *b"\xc0\x0c\0\x05\0\x01\0\0\0\0\0\x0f\x01a\x07example\x03net\0");
        assert!(answer.a.is_empty() && answer.aaaa.is_empty());
        for nowhere in ["fra.example.com", "ams.example.org"] {
            assert_eq!(compose_member(&member(nowhere, Role::Active), &zones), MemberAnswer::default());
        }
    }
}
