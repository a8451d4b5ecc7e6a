use super::*;
use crate::answer::transfer::Outgoing;
use crate::transfer::fetch::compose;
use crate::wire::NameBuf;
use crate::wire::request::Request;
use crate::zone::Zone;
use proptest::prelude::*;
use std::sync::Arc;

fn apex() -> Name {
    "example.com.".parse().unwrap()
}

fn zone(serial: u32, hosts: &[(u16, u8)]) -> Zone {
    let mut builder = Builder::new(&apex());
    let soa = [&b"\x02ns\x07example\x03com\0\x01h\0"[..], &serial.to_be_bytes(), &[0; 16]].concat();
    builder.add(&apex(), rtype::SOA, 3600, &soa);
    builder.add(&apex(), rtype::NS, 3600, b"\x02Ns\x07example\x03com\0");
    for (host, octet) in hosts {
        let name = format!("h{host}.a.example.com.").parse().unwrap();
        builder.add(&name, rtype::A, 300, &[192, 0, 2, *octet]);
        builder.add(&name, rtype::MX, 300, &[&[0, *octet][..], b"\x02ns\x07example\x03com\0"].concat());
        builder.add(&name, rtype::TXT, 300, &[&[200u8][..], &[*octet; 200]].concat());
    }
    builder.finish()
}

/// What leaves for a client that has `has`, message by message.
fn messages(new: &Arc<Zone>, has: Option<&Zone>) -> Vec<Vec<u8>> {
    let qtype = if has.is_some() { rtype::IXFR } else { rtype::AXFR };
    let query = compose(7, 0, &apex(), qtype, None);
    let request = Request::parse(&query, &mut NameBuf::default()).unwrap();
    let mut outgoing = Outgoing::whole(new.clone(), &query, &request, 1232, None);
    if let Some(old) = has {
        outgoing = outgoing.by_differences(vec![Arc::new(Difference::between(old, new).unwrap())]);
    }
    let mut all = Vec::new();
    while !outgoing.is_done() {
        let mut out = Vec::new();
        outgoing.next(&mut out, 0);
        assert_eq!(out.len() - 2, usize::from(u16::from_be_bytes([out[0], out[1]])));
        all.push(out.split_off(2));
    }
    all
}

fn take(messages: &[Vec<u8>], has: Option<u32>) -> Result<Outcome, String> {
    let mut intake = Intake::new(&apex(), has);
    for (i, message) in messages.iter().enumerate() {
        assert_eq!(intake.take(message)?, i + 1 == messages.len(), "message {i} of {}", messages.len());
    }
    Ok(intake.finish().unwrap())
}

fn lines(zone: &Zone) -> Vec<String> {
    let of = |node: crate::zone::store::Node<'_>| {
        let rrsets = node.rrsets().map(|r| {
            let mut rdatas: Vec<_> = r.rdatas().map(|d| d.to_vec()).collect();
            rdatas.sort();
            format!("{} {} {rdatas:?}", r.rtype, r.ttl)
        });
        format!("{} {:?}", node.name(), rrsets.collect::<Vec<_>>())
    };
    let mut lines: Vec<String> = zone.nodes().map(of).collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The law of transfers, over the wire: what comes whole is the zone, and the old zone with what comes by differences is
    /// the new one.
    #[test]
    fn differences_applied_are_the_whole(
        old in prop::collection::vec((0u16..200, 0u8..3), 0..120),
        new in prop::collection::vec((0u16..200, 0u8..3), 0..120),
    ) {
        let (old, new) = (zone(u32::MAX, &old), Arc::new(zone(1, &new)));
        let Ok(Outcome::Whole(whole)) = take(&messages(&new, None), None) else { panic!("the whole was sent") };
        prop_assert_eq!(lines(&whole.finish()), lines(&new));
        let Ok(Outcome::Differences(chain)) = take(&messages(&new, Some(&old)), Some(u32::MAX)) else {
            panic!("differences were sent")
        };
        let made = chain.iter().fold(old, |zone, diff| diff.apply(&zone).unwrap());
        prop_assert_eq!(lines(&made), lines(&new));
    }

    #[test]
    fn any_octets_are_borne(mut octets: Vec<u8>, counts: [u8; 4], has: Option<u32>) {
        for (i, n) in counts.into_iter().enumerate() {
            if let Some(at) = octets.get_mut(5 + 2 * i) {
                *at = n;
            }
        }
        let _ = Intake::new(&apex(), has).take(&octets);
    }
}

#[test]
fn a_zone_of_many_messages_comes_whole() {
    let hosts: Vec<(u16, u8)> = (0..3000).map(|i| (i, i as u8)).collect();
    let new = Arc::new(zone(1, &hosts));
    let sent = messages(&new, None);
    assert!(sent.len() > 10 && sent.iter().all(|message| message.len() <= 16_384), "{}", sent.len());
    let Ok(Outcome::Whole(whole)) = take(&sent, None) else { panic!("the whole was sent") };
    assert_eq!(lines(&whole.finish()), lines(&new));
    // Cut anywhere it is nothing.
    let mut intake = Intake::new(&apex(), None);
    assert!(sent[..sent.len() - 1].iter().all(|message| intake.take(message) == Ok(false)));
    assert!(intake.finish().is_none());
}

#[test]
fn what_is_no_transfer_is_refused() {
    let new = Arc::new(zone(2, &[(1, 1)]));
    let sent = messages(&new, None);
    let check = |messages: &[Vec<u8>], expected: &str| {
        let mut intake = Intake::new(&apex(), None);
        let said = messages.iter().find_map(|message| intake.take(message).err());
        assert!(said.as_deref().is_some_and(|said| said.contains(expected)), "{said:?}, expected {expected}");
    };
    check(&[compose(1, 0, &apex(), rtype::AXFR, None)], "no records");
    check(&[sent[0].clone(), sent[0].clone()], "records follow its end");
    check(&[compose(1, 0, &apex(), rtype::AXFR, Some((0, b"\0\0\0\0", 0)))], "malformed");
    check(&[compose(1, 0, &"other.".parse().unwrap(), 252, Some((0, &[0; 22], 0)))], "SOA stands below the apex");
    let (one, two) = (zone(1, &[]), zone(2, &[]));
    let half = |zone: &Zone| messages(&Arc::new(zone.clone()), None).remove(0);
    let mut mixed = half(&one);
    // The last SOA's serial becomes another.
    let at = mixed.len() - 20;
    mixed[at..at + 4].copy_from_slice(&two.serial().to_be_bytes());
    check(&[mixed], "another serial");
    let current = take(
        &[compose(1, 0, &apex(), rtype::IXFR, Some((0, &[&b"\0\0"[..], &2u32.to_be_bytes(), &[0; 16]].concat(), 0)))],
        Some(2),
    );
    assert!(matches!(current, Ok(Outcome::Current)));
}
