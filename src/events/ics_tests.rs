use super::*;
use crate::geo::CellMap;
use crate::policy::{Group, Policies};

/// 2026-02-25T06:13:20Z.
const NOW: f64 = 1_772_000_000.0;

fn read_at(text: &str, now: f64) -> (Vec<Entry>, String) {
    let policies = Policies { groups: vec![Group::new("web.example.com.".parse().unwrap())], ..Policies::default() };
    let cells = CellMap::from_cells(vec![]);
    let mut report = Report::default();
    let entries = read("a.ics", text, Against { policies: &policies, cells: &cells, now }, &mut report);
    (entries, report.to_string())
}

fn event(lines: &str) -> String {
    let own = "X-FLOODWAY-GROUP:web\nX-FLOODWAY-RECIPIENTS:400k\nX-FLOODWAY-CLICK-RATE:3%\n";
    format!("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:sale\n{lines}\n{own}END:VEVENT\nEND:VCALENDAR\n")
}

fn starts(lines: &str) -> Vec<String> {
    let (entries, report) = read_at(&event(lines), NOW);
    assert_eq!(report, "");
    entries.iter().map(|e| timestamp::print(e.announcement.start as i64)).collect()
}

#[test]
fn one_event_is_one_announcement() {
    let (entries, report) = read_at(&event("DTSTART:20260301T090000Z\nSUMMARY:Spring\\, at last"), NOW);
    assert_eq!((report.as_str(), entries.len()), ("", 1));
    let a = &entries[0].announcement;
    assert_eq!((a.id.as_str(), a.note.as_str(), a.start), ("sale", "Spring, at last", 1_772_355_600.0));
    assert_eq!(entries[0].file.as_deref(), Some("a.ics"));
}

#[test]
fn lines_are_unfolded_and_ends_of_lines_are_anybodys() {
    let text =
        event("DTSTART:20260301T090000Z").replace("RECIPIENTS:400k", "RECIP\n IENTS:4\n\t00k").replace('\n', "\r\n");
    let (entries, report) = read_at(&text, NOW);
    assert_eq!((report.as_str(), entries.len()), ("", 1));
}

/// The hour stays the same for people, so it moves by one in UTC when summer time begins (29 March 2026).
#[test]
fn occurrences_keep_the_hour_of_their_zone() {
    let weekly = "DTSTART;TZID=Europe/Berlin:20260308T200000\nRRULE:FREQ=WEEKLY;COUNT=4\nEXDATE;TZID=Europe/Berlin:20260315T200000";
    assert_eq!(starts(weekly), ["2026-03-08T19:00:00Z", "2026-03-22T19:00:00Z", "2026-03-29T18:00:00Z"]);
    assert_eq!(starts("DTSTART;TZID=\"America/New_York\":20260301T090000"), ["2026-03-01T14:00:00Z"]);
    let daily = starts("DTSTART:20200101T120000Z\nRRULE:FREQ=DAILY");
    assert_eq!((daily.len(), daily[0].as_str()), (36, "2026-02-24T12:00:00Z"), "what is past is left out");
}

#[test]
fn one_occurrence_can_be_moved_or_cancelled() {
    let series = event("DTSTART:20260301T090000Z\nRRULE:FREQ=DAILY;COUNT=3");
    let own = |extra: &str| {
        let one = event(&format!("RECURRENCE-ID:20260302T090000Z\n{extra}"));
        let one = &one[one.find("BEGIN:VEVENT").unwrap()..];
        read_at(&series.replace("END:VCALENDAR\n", one), NOW).0
    };
    let ids = |entries: Vec<Entry>| {
        entries.into_iter().map(|e| (e.announcement.id.clone(), e.cancelled.is_some())).collect::<Vec<_>>()
    };
    let id = |at: &str| format!("sale@2026-03-{at}:00:00Z");
    assert_eq!(
        ids(own("DTSTART:20260302T100000Z")),
        [(id("01T09"), false), (id("03T09"), false), (id("02T10"), false)]
    );
    assert_eq!(ids(own("DTSTART:20260302T090000Z\nSTATUS:CANCELLED"))[2], (id("02T09"), true));
}

#[test]
fn other_events_are_nobodys_concern() {
    let party = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nDTSTART:1970\nEND:STANDARD\nEND:VTIMEZONE\n\
                 BEGIN:VEVENT\nUID:party\nDTSTART;VALUE=DATE:20260301\nEND:VEVENT\nEND:VCALENDAR\n";
    assert_eq!(read_at(party, NOW), (vec![], String::new()));
    assert_eq!(read_at("", NOW), (vec![], String::new()));
}

#[test]
fn faults_have_their_place() {
    let check = |text: &str, says: &str| {
        let (entries, report) = read_at(text, NOW);
        assert!(entries.is_empty() && report.contains(says), "{report}");
    };
    let good = event("DTSTART:20260301T090000Z");
    check(
        &good.replace("CLICK-RATE", "CLIKC-RATE"),
        "a.ics:8:1: error: unknown key \"clikc-rate\"\n  X-FLOODWAY-CLIKC-RATE:3%",
    );
    check(&good.replace("400k", "lots"), "a.ics:7:1: error: \"lots\": a number");
    check(&good.replace(":web", ":wob"), "a.ics:6:1: error: group: \"wob\" is no group");
    check(&good.replace("090000Z", "090000"), "a.ics:5:1: error: \"20260301T090000\" is a time without a zone");
    check(&good.replace("T090000Z", ""), "is a day: say at what time");
    check(&event("DTSTART;TZID=W. Europe Standard Time:20260301T090000"), "names such as Europe/Berlin");
    check(
        &event("DTSTART:20260301T090000Z\nRRULE:FREQ=SOMETIMES"),
        "a.ics:5:1: error: the recurrence is not understood",
    );
    check(&good.replace("UID:sale\n", ""), "needs UID and DTSTART");
    check(&good.replace("END:VEVENT\n", ""), "END:VCALENDAR without its BEGIN");
    check("BEGIN:VCALENDAR\n", "a.ics:1:1: error: BEGIN:VCALENDAR without its END");
    check("hello\n", "a.ics:1:1: error: no `NAME:value`");
    check("SUMMARY:hello\n", "not inside of a calendar");
    check(&"BEGIN:X\n".repeat(9), "components within components");
}

#[test]
fn hostile_calendars_cost_little() {
    let often = event("DTSTART:20260225T000000Z\nRRULE:FREQ=SECONDLY");
    assert_eq!(read_at(&often, NOW).0.len(), usize::from(MAX_OCCURRENCES));
    for text in [
        "BEGIN:\n",
        ":",
        "\u{feff}BEGIN:VCALENDAR\nEND:VCALENDAR",
        "BEGIN:VEVENT\nX-FLOODWAY-\u{e9}:\\\nEND:VEVENT",
        "\"\n \n",
    ] {
        read_at(text, NOW);
    }
}
