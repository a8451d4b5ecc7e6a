//! How long an HTTP cache may keep a DNS reply, and whether it may give it to others (RFC 8484 section 5.1).

use crate::wire::walk::{self, Section};

const SOA: u16 = 6;
/// Client subnet (RFC 7871 section 6).
const OPTION_ECS: u16 = 8;

//----------- Freshness ------------------------------------------------------

/// What `Cache-Control` is to say of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Seconds: the least TTL of the answer section; where there is an SOA in the authority section, which denies what was
    /// asked for, or what an alias leads to (RFC 2308 section 2), no more than its TTL and MINIMUM; 0 for errors and
    /// referrals, which say neither.
    pub max_age: u32,
    /// Whether everybody who sends the same request gets this reply: that is so when the request named the
    /// subnet that decided it (its scope is not 0). Any other reply may have been made for the sender's address.
    pub is_shared: bool,
}

impl Freshness {
    /// Of a reply in wire form. One that cannot be read is not to be kept.
    pub fn of(reply: &[u8]) -> Freshness {
        Freshness::read(reply).unwrap_or_default()
    }

    fn read(reply: &[u8]) -> Option<Freshness> {
        let rcode = reply.get(3)? & 0x0f;
        let (mut of_answer, mut of_nothing) = (None::<u32>, None);
        for record in walk::records(reply) {
            let record = record?;
            // RFC 2181 section 8: with the highest bit set it means 0.
            let ttl = if record.ttl > i32::MAX as u32 { 0 } else { record.ttl };
            match record.section {
                Section::Answer => of_answer = Some(of_answer.map_or(ttl, |least| least.min(ttl))),
                Section::Authority if record.rtype == SOA => {
                    of_nothing = Some(ttl.min(u32::from_be_bytes(*record.rdata.last_chunk()?)));
                }
                _ => {}
            }
        }
        // NOERROR and NXDOMAIN are answers; the upper bits of the rcode, in OPT, are of errors only.
        let least = of_answer.into_iter().chain(of_nothing).min();
        let max_age = least.filter(|_| matches!(rcode, 0 | 3)).unwrap_or(0);
        let scope = walk::option(reply, OPTION_ECS).and_then(|ecs| ecs.get(3));
        Some(Freshness { max_age, is_shared: scope.is_some_and(|scope| *scope > 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
    use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
    use hickory_proto::rr::rdata::{A, NS, SOA};
    use hickory_proto::rr::{Name, RData, Record, RecordType};

    fn name() -> Name {
        "www.example.com.".parse().unwrap()
    }

    fn a(ttl: u32) -> Record {
        Record::from_rdata(name(), ttl, RData::A(A::new(192, 0, 2, 1)))
    }

    fn soa(ttl: u32, minimum: u32) -> Record {
        Record::from_rdata(name(), ttl, RData::SOA(SOA::new(name(), name(), 1, 2, 3, 4, minimum)))
    }

    fn check(answers: &[Record], authority: &[Record], rcode: ResponseCode, scope: Option<u8>, expected: (u32, bool)) {
        let mut reply = Message::response(0, OpCode::Query);
        reply.metadata.response_code = rcode;
        reply.add_query(Query::query(name(), RecordType::A));
        reply.add_answers(answers.iter().cloned());
        reply.add_authorities(authority.iter().cloned());
        if let Some(scope) = scope {
            let mut edns = Edns::new();
            edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new([203, 0, 113, 0].into(), 24, scope)));
            reply.edns = Some(edns);
        }
        let wire = reply.to_vec().unwrap();
        assert_eq!(Freshness::of(&wire), Freshness { max_age: expected.0, is_shared: expected.1 });
        if !(answers.is_empty() && authority.is_empty()) {
            for cut in 0..30 {
                assert_eq!(Freshness::of(&wire[..cut]), Freshness::default(), "cut at {cut}");
            }
        }
    }

    /// RFC 8484 section 5.1, and RFC 2308 section 5 for what is not there.
    #[test]
    fn replies_are_fresh_for_their_least_ttl() {
        use ResponseCode::{NXDomain, NoError, ServFail};
        check(&[a(300), a(60), a(90)], &[], NoError, None, (60, false));
        check(&[a(300)], &[soa(60, 5)], NoError, None, (5, false));
        check(&[a(300)], &[soa(60, 5)], NXDomain, None, (5, false));
        check(&[a(3)], &[soa(60, 5)], NXDomain, None, (3, false));
        check(&[], &[soa(3600, 60)], NoError, None, (60, false));
        check(&[], &[soa(30, 60)], NXDomain, None, (30, false));
        check(&[a(u32::MAX)], &[], NoError, None, (0, false));
        check(&[], &[], ServFail, None, (0, false));
        check(&[], &[Record::from_rdata(name(), 60, RData::NS(NS(name())))], NoError, None, (0, false));
        check(&[a(60)], &[], NoError, Some(24), (60, true));
        check(&[a(60)], &[], NoError, Some(0), (60, false));
    }
}
