use super::*;
use crate::wire::rtype;
use crate::zone::Builder;

const NOW: u64 = 1_767_225_600;

fn apex() -> Name {
    "example.com.".parse().unwrap()
}

fn zone(serial: u32, octets: &[u8]) -> Arc<Zone> {
    let mut builder = Builder::new(&apex());
    let soa = [&b"\0\0"[..], &serial.to_be_bytes(), &[0; 16]].concat();
    builder.add(&apex(), rtype::SOA, 3600, &soa);
    octets.iter().for_each(|octet| _ = builder.add(&apex(), rtype::A, 300, &[192, 0, 2, *octet]));
    Arc::new(builder.finish())
}

fn text(octet: u8) -> Records {
    let mut records = Records::default();
    records.push(b"\x01t\x07example\x03com\0", rtype::TXT, 60, [&[1, octet], b""]);
    records
}

fn settings(serial: SerialRule) -> ZoneSettings {
    ZoneSettings { serial, journaled: true, updated: true, ..ZoneSettings::default() }
}

/// Settles and commits, as a load does; what was told.
fn load(keep: &mut Keep, file: &Arc<Zone>, rule: SerialRule) -> (Arc<Zone>, Option<String>) {
    let settled = keep.settle(file, &settings(rule), NOW).unwrap();
    let (zone, told) = (settled.zone.clone(), settled.told.clone());
    keep.commit(settled, &settings(rule)).unwrap();
    (zone, told)
}

fn update(keep: &mut Keep, added: &Records, rule: SerialRule) -> Arc<Zone> {
    keep.update(&apex(), (&Records::default(), added), &settings(rule), NOW).unwrap()
}

/// What is served, in one line: serial, and last octets of the A and TXT records.
fn line(zone: &Zone) -> String {
    let last = |name: &Name, rtype| -> Vec<u8> {
        let mut octets: Vec<u8> =
            zone.rrset(name, rtype).into_iter().flat_map(|r| r.rdatas()).map(|d| *d.last().unwrap()).collect();
        octets.sort_unstable();
        octets
    };
    format!("{} {:?} {:?}", zone.serial(), last(&apex(), 1), last(&"t.example.com".parse().unwrap(), 16))
}

fn steps(keep: &Keep) -> Vec<(u32, u32)> {
    keep.zones[&apex()].history.iter().map(|diff| (diff.from, diff.to)).collect()
}

/// A zone without any of this is its file, and leaves no trace.
#[test]
fn most_zones_are_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut keep = Keep::open(dir.path()).unwrap();
    let file = zone(1, &[1]);
    let settled = keep.settle(&file, &ZoneSettings::default(), NOW).unwrap();
    assert!(Arc::ptr_eq(&settled.zone, &file) && !settled.is_change());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Updates outlive a restart; the file's own changes are taken in by the rule that the module states.
#[test]
fn updates_are_made_to_the_file_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let rule = SerialRule::File;
    let mut keep = Keep::open(dir.path()).unwrap();
    assert_eq!(line(&load(&mut keep, &zone(5, &[1]), rule).0), "5 [1] []");
    assert_eq!(line(&update(&mut keep, &text(7), rule)), "6 [1] [7]");
    assert_eq!(line(&update(&mut keep, &text(8), rule)), "7 [1] [7, 8]");
    assert_eq!(steps(&keep), [(5, 6), (6, 7)]);

    let mut keep = Keep::open(dir.path()).unwrap();
    let file = zone(5, &[1]);
    assert_eq!(line(&load(&mut keep, &file, rule).0), "7 [1] [7, 8]");
    assert_eq!(steps(&keep), [(5, 6), (6, 7)]);
    // Again: nothing to do, and the same zone.
    let settled = keep.settle(&file, &settings(rule), NOW).unwrap();
    assert!(!settled.is_change());

    // The file has changed under a serial that is not newer than what was served: updates stay.
    let (served, told) = load(&mut keep, &zone(6, &[1, 2]), rule);
    assert_eq!(line(&served), "8 [1, 2] [7, 8]");
    assert!(told.unwrap().contains("2 records that updates changed stay"));
    assert_eq!(steps(&keep), [(5, 6), (6, 7), (7, 8)]);
    // And under a newer one: the file is the zone.
    let (served, told) = load(&mut keep, &zone(9, &[1, 2]), rule);
    assert_eq!(line(&served), "9 [1, 2] []");
    assert!(told.unwrap().contains("newer than what was served"));
    let mut keep = Keep::open(dir.path()).unwrap();
    assert_eq!(line(&load(&mut keep, &zone(9, &[1, 2]), rule).0), "9 [1, 2] []");
    assert_eq!(steps(&keep), [(5, 6), (6, 7), (7, 8), (8, 9)]);
}

#[test]
fn serials_are_made_where_a_rule_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let rule = SerialRule::DateCounter;
    let mut keep = Keep::open(dir.path()).unwrap();
    assert_eq!(line(&load(&mut keep, &zone(5, &[1]), rule).0), "2026010100 [1] []");
    assert_eq!(line(&load(&mut keep, &zone(6, &[1]), rule).0), "2026010100 [1] []", "the serial alone is no change");
    assert_eq!(line(&load(&mut keep, &zone(6, &[2]), rule).0), "2026010101 [2] []");
    let mut keep = Keep::open(dir.path()).unwrap();
    assert_eq!(line(&load(&mut keep, &zone(6, &[2]), rule).0), "2026010101 [2] []");
    // Changed while nobody looked: there is no difference to tell.
    let mut keep = Keep::open(dir.path()).unwrap();
    assert_eq!(line(&load(&mut keep, &zone(6, &[3]), rule).0), "2026010102 [3] []");
    assert_eq!(steps(&keep), []);
}

/// A file that has changed and kept its serial is served, and the operator is told that nobody will notice.
#[test]
fn a_serial_that_stays_is_told() {
    let mut keep = Keep::default();
    load(&mut keep, &zone(5, &[1]), SerialRule::File);
    let (served, told) = load(&mut keep, &zone(5, &[2]), SerialRule::File);
    assert_eq!(line(&served), "5 [2] []");
    assert!(told.unwrap().contains("has not grown"));
    assert_eq!(steps(&keep), []);
}

/// Wherever the writing stopped, what was committed before is there, and nothing else is.
#[test]
fn a_write_that_was_cut_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(file_name(&apex()));
    let len = || std::fs::metadata(&path).unwrap().len();
    let mut keep = Keep::open(dir.path()).unwrap();
    load(&mut keep, &zone(5, &[1]), SerialRule::File);
    update(&mut keep, &text(7), SerialRule::File);
    let committed = len();
    update(&mut keep, &text(8), SerialRule::File);
    let octets = std::fs::read(&path).unwrap();
    for cut in committed..=len() {
        std::fs::write(&path, &octets[..cut as usize]).unwrap();
        let mut keep = Keep::open(dir.path()).unwrap();
        let expected = if cut == octets.len() as u64 { "7 [1] [7, 8]" } else { "6 [1] [7]" };
        assert_eq!(line(&load(&mut keep, &zone(5, &[1]), SerialRule::File).0), expected, "cut at {cut}");
        // It goes on from there.
        let served = update(&mut keep, &text(9), SerialRule::File);
        assert_eq!(served.serial(), if cut == octets.len() as u64 { 8 } else { 7 });
    }
    // An octet that has changed is as bad as one that lacks.
    let mut damaged = octets.clone();
    let at = committed as usize + 20;
    damaged[at] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let mut keep = Keep::open(dir.path()).unwrap();
    assert_eq!(line(&load(&mut keep, &zone(5, &[1]), SerialRule::File).0), "6 [1] [7]");
    std::fs::write(&path, "no journal, and long enough").unwrap();
    assert!(Keep::open(dir.path()).unwrap().settle(&zone(5, &[1]), &settings(SerialRule::File), NOW).is_err());
}

#[test]
fn a_journal_does_not_grow_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut keep = Keep::open(dir.path()).unwrap();
    load(&mut keep, &zone(5, &[1]), SerialRule::File);
    let settings = ZoneSettings { journal_room: 10_000, ..settings(SerialRule::File) };
    let kept = keep.zones.get_mut(&apex()).unwrap();
    let journal = kept.journal.as_mut().unwrap();
    // As if a MiB had been written.
    let filler: Vec<Frame> = (0..60_000).map(Frame::Checked).collect();
    journal.append(&filler, Care::Disk).unwrap();
    let longest = journal.len();
    keep.update(&apex(), (&Records::default(), &text(7)), &settings, NOW).unwrap();
    assert!(longest > 1 << 20 && keep.zones[&apex()].journal.as_ref().unwrap().len() < 1000);
    let mut keep = Keep::open(dir.path()).unwrap();
    assert_eq!(line(&load(&mut keep, &zone(5, &[1]), SerialRule::File).0), "6 [1] [7]");
}

/// Copies of other servers' zones: whole, then by differences, over restarts.
#[test]
fn copies_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let of_zone = ZoneSettings { journaled: true, ..ZoneSettings::default() };
    let copy = || Keep::open(dir.path()).unwrap().copy(&apex(), &of_zone).unwrap();
    assert!(copy().is_none());
    let mut keep = Keep::open(dir.path()).unwrap();
    keep.take(zone(1, &[1]), None, &of_zone, 100).unwrap();
    assert_eq!(copy().map(|c| (line(&c.zone), c.checked)), Some(("1 [1] []".into(), 100)));
    for (serial, octets) in [(2, &[1, 2][..]), (3, &[2])] {
        let before = keep.copy(&apex(), &of_zone).unwrap().unwrap().zone;
        let new = zone(serial, octets);
        let chain = vec![Difference::between(&before, &new).unwrap()];
        keep.take(new, Some(chain), &of_zone, 200).unwrap();
    }
    keep.checked(&apex(), &of_zone, 300).unwrap();
    assert_eq!(copy().map(|c| (line(&c.zone), c.checked)), Some(("3 [2] []".into(), 300)));
    assert_eq!(steps(&keep), [(1, 2), (2, 3)]);
    keep.take(zone(9, &[4]), None, &of_zone, 400).unwrap();
    assert_eq!(steps(&keep), [(1, 2), (2, 3), (3, 9)]);
    assert_eq!(copy().map(|c| (line(&c.zone), c.checked)), Some(("9 [4] []".into(), 400)));
    // Who only looks leaves it alone, and sees the same.
    let seen = Keep::peek(dir.path()).copy(&apex(), &of_zone).unwrap();
    assert_eq!(seen.map(|c| line(&c.zone)), Some("9 [4] []".into()));
    keep.forget(&apex());
    assert!(copy().is_none());
}

#[test]
fn file_names_are_plain() {
    let check = |name: &str, expected: &str| assert_eq!(file_name(&name.parse().unwrap()), expected);
    check("Example.com", "example.com.journal");
    check(".", "@.journal");
    check("a/b\\.c.", "a%2fb%2ec.journal");
    assert!(file_name(&["abcdefg"; 31].join(".").parse().unwrap()).len() < 30);
}
