use super::*;

fn apex() -> Name {
    "example.com.".parse().unwrap()
}

/// The zone as a copy with this serial, checked at `now`.
fn wanted(serial: Option<u32>, now: u64) -> Vec<Wanted> {
    let copy = |serial: u32| {
        let mut builder = crate::zone::Builder::new(&apex());
        let numbers = [serial, 3600, 900, 604_800, 60].map(u32::to_be_bytes).concat();
        builder.add(&apex(), crate::wire::rtype::SOA, 60, &[&b"\0\0"[..], &numbers].concat());
        (Arc::new(builder.finish()), now)
    };
    let addr = "192.0.2.1:53".parse().unwrap();
    let primaries = vec![Server { addr, key: None, tls: None }];
    let settings = Arc::new(ZoneSettings { primaries, ..ZoneSettings::default() });
    vec![Wanted { apex: apex(), settings, copy: serial.map(copy) }]
}

/// RFC 1996 section 3.11: whoever is told of a newer version asks for it. Word of one may come while a version before it
/// is on its way in, while that waits to be published, or after.
#[test]
fn no_word_of_a_newer_version_is_lost() {
    let now = unix_secs();
    let n_due = |secondary: &mut Secondary| {
        secondary.wait_in_line(now);
        secondary.next(now, 0).len()
    };
    let check = |when: &str| {
        let mut secondary = Secondary::default();
        secondary.set(wanted(None, now), 4, now);
        assert_eq!(n_due(&mut secondary), 1, "there is no copy");
        if when == "on its way" {
            secondary.notified(&apex(), Some(3));
        }
        secondary.done(&apex(), Ok(true));
        if when == "before it is published" {
            secondary.notified(&apex(), Some(3));
        }
        // Serial 2 has come, and is published.
        secondary.set(wanted(Some(2), now), 4, now);
        if when == "after" {
            secondary.notified(&apex(), Some(3));
        }
        if when == "late" {
            secondary.notified(&apex(), Some(2));
        }
        assert_eq!(n_due(&mut secondary), usize::from(!matches!(when, "late" | "never")), "{when}");
        assert_eq!(n_due(&mut secondary), 0, "one look at a time");
    };
    ["on its way", "before it is published", "after", "late", "never"].into_iter().for_each(check);
}

#[test]
fn what_was_told_is_not_told_again_soon() {
    let (mut told, now) = (Told::default(), Instant::now());
    let addr = |i: u32| IpAddr::from(i.to_be_bytes());
    assert!(told.is_news((addr(1), Why::NoGrant), now));
    assert!(!told.is_news((addr(1), Why::NoGrant), now + QUIET / 2));
    assert!(told.is_news((addr(1), Why::NotEncrypted), now));
    assert!(told.is_news((addr(1), Why::NoGrant), now + QUIET));
    let n_told = (2..1000).filter(|i| told.is_news((addr(*i), Why::NoGrant), now + QUIET)).count();
    assert!(n_told < MOST_TOLD && told.seen.len() <= MOST_TOLD);
}
