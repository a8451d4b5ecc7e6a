//! The loop around the tick: what is published, kept, survived.

use super::*;
use crate::control::carry;
use crate::control::fixture::{self, at, sample};
use crate::control::kept::{FILE, read_accounts, read_saved};
use crate::id::{CellIdx, GroupIdx};
use crate::policy::Effect;
use std::path::Path;

fn wiring(dir: Option<&Path>, plan: Option<&Saved>) -> Wiring {
    let (policies, cells) = (Arc::new(fixture::policies()), Arc::new(fixture::cells()));
    let plan = Arc::new(first_plan(plan, &policies, &cells));
    let table = Arc::new(Table::compile(&plan, &policies, &cells.cells, None));
    let first = Snapshot::first(1, Arc::default(), policies, cells, Arc::default(), plan, table);
    Wiring {
        probes: Default::default(),
        exchange: Arc::new(Exchange::new(first)),
        inbox: Arc::default(),
        board: Arc::default(),
        desk: Arc::default(),
        clock: Clock::start(),
        state_dir: dir.map(Path::to_path_buf),
        history: None,
        forecast: foresight::Config::default(),
        announcements: Arc::default(),
        announcer_share: 1.0,
        daylight: None,
        seed: 1,
    }
}

fn looping(wiring: &Wiring, saved: Option<Saved>, tick: Tick) -> Loop {
    Loop::new(wiring.clone(), saved, Arc::default(), tick)
}

fn iad_share(wiring: &Wiring) -> f32 {
    wiring.exchange.load().plan.row(GroupIdx(0), CellIdx(3)).get(2)
}

#[test]
fn a_trip_is_published_and_survives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let wired = wiring(Some(dir.path()), None);
    let mut looping = looping(&wired, None, tick);
    looping.beat(at(1000.0));
    assert_eq!(iad_share(&wired), 1.0);
    wired.inbox.push(sample("iad", 1000.0, 10.0, 1000.0, 500.0)).unwrap();
    looping.beat(at(1000.3));
    assert_eq!(iad_share(&wired), 0.0);
    assert_eq!(wired.exchange.load().generation, 3);
    let wanted = wired.board.wanted();
    let told = |pop: &str| wanted.get(&fixture::name(pop)).map(|w| (w.shadows.len(), w.drains.len()));
    assert_eq!(told("dub.pop.example.com."), Some((1, 0)), "what is wanted of its shadow");
    assert_eq!(told("iad.pop.example.com."), Some((0, 1)), "connections are to end where nobody is sent any more");
    assert_eq!(told("ams.pop.example.com."), None);
    drop(looping);

    assert!(read_accounts(dir.path()).get("web.example.com.", "dub.web.example.com.").is_some());
    let saved = read_saved(dir.path(), at(1010.0)).unwrap();
    let wired = wiring(None, Some(&saved));
    assert_eq!((iad_share(&wired), wired.exchange.load().plan.mode), (0.0, Mode::Stale));
}

#[test]
fn a_panic_in_the_tick_keeps_the_plan_and_the_loop() {
    let wired = wiring(None, None);
    let mut looping = looping(&wired, None, |state, inputs, now| match inputs.samples.first() {
        Some(poison) if poison.requests == 13.0 => panic!("poison"),
        _ => tick(state, inputs, now),
    });
    wired.inbox.push(sample("iad", 1000.0, 10.0, 1000.0, 500.0)).unwrap();
    looping.beat(at(1000.0));
    wired.inbox.push(sample("iad", 1001.0, 1.0, 13.0, 0.0)).unwrap();
    looping.beat(at(1001.0));
    assert_eq!(looping.status.panics.load(Ordering::Relaxed), 1);
    assert_eq!(iad_share(&wired), 0.0);
    looping.beat(at(1002.0));
    assert_eq!(iad_share(&wired), 0.0, "the breaker is still Open after the new start");
    assert_eq!(looping.status.ticks.load(Ordering::Relaxed), 2);
}

#[test]
fn a_table_is_compiled_only_when_answers_change() {
    let wired = wiring(None, None);
    let mut looping = looping(&wired, None, tick);
    looping.beat(at(1.0));
    let before = wired.exchange.load_full();
    looping.beat(at(2.0));
    let after = wired.exchange.load_full();
    assert!(Arc::ptr_eq(&before.table, &after.table) && after.generation > before.generation);
}

/// Members swap places in the policies: clients stay where they were, through the reload and the beat after it.
#[test]
fn clients_stay_where_they_were_over_a_reload() {
    let wired = wiring(None, None);
    let mut looping = looping(&wired, None, tick);
    looping.beat(at(1.0));
    let before = wired.exchange.load_full();
    let mut swapped = (*before.policies).clone();
    swapped.groups[0].members.swap(0, 1);
    let Effect::Only(set) = &mut swapped.groups[0].routes[0].effect else { panic!("the fixture has a fence") };
    set.reverse();
    let (policies, cells) = (Arc::new(swapped), Arc::new(fixture::cells()));
    let plan = carry(&before.plan, (&before.policies, &before.cells), (&policies, &cells));
    let table = Arc::new(Table::compile(&plan, &policies, &cells.cells, Some(&before.table)));
    wired.exchange.publish(before.reloaded(Arc::default(), policies, cells, Arc::default(), Arc::new(plan), table));
    looping.beat(at(2.0));
    let after = wired.exchange.load_full();
    for cell in 0..5 {
        for i in 0..1000u64 {
            let name = |at: &Snapshot| {
                let picked = at.table.pick(GroupIdx(0), CellIdx(cell), i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                at.policies.groups[0].members[picked.unwrap().member.idx()].name.clone()
            };
            assert_eq!(name(&before), name(&after), "cell {cell}, client {i}");
        }
    }
}

#[test]
fn a_damaged_file_is_no_plan() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read_saved(dir.path(), at(0.0)).is_none());
    std::fs::write(dir.path().join(FILE), "{").unwrap();
    assert!(read_saved(dir.path(), at(0.0)).is_none());
}

#[test]
fn the_thread_starts_and_stops() {
    let live = Live::start(wiring(None, None), None, Announced::default(), Accounts::default()).unwrap();
    let status = live.status();
    live.stop();
    assert_eq!(status.panics.load(Ordering::Relaxed), 0);
}

#[test]
fn a_question_is_answered_beside_what_is_served() {
    let wired = wiring(None, None);
    let mut looping = looping(&wired, None, tick);
    looping.beat(at(1000.0));
    let answer = wired.desk.ask(vec!["drain iad.pop".parse().unwrap()]).unwrap();
    looping.beat(at(1001.0));
    let plans = answer.blocking_recv().unwrap();
    let share = |plan: &Plan| plan.row(GroupIdx(0), CellIdx::from(3)).get(2);
    assert_eq!((share(&plans.now), share(&plans.then), iad_share(&wired)), (1.0, 0.0, 1.0));
    assert!(looping.status.notes().is_empty(), "nothing happened");
}

#[test]
fn what_an_operator_decides_is_served_with_the_next_beat_and_ends_by_itself() {
    use crate::control::overrides::desk::Wish;
    let wired = wiring(None, None);
    let mut looping = looping(&wired, None, tick);
    looping.beat(at(1000.0));
    let what = "drain iad.pop".parse().unwrap();
    let wish = Wish { what, author: "anna".into(), reason: "test".into(), secs: 60.0 };
    wired.desk.make(wish, at(1000.0).unix, |_| Ok(())).unwrap();
    looping.beat(at(1001.0));
    assert_eq!(iad_share(&wired), 0.0);
    looping.beat(at(1061.0));
    assert_eq!(iad_share(&wired), 1.0);
}
