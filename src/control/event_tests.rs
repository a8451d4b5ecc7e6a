//! Announced events, as an operator would see them.

use super::*;
use crate::events::announcement::Size;
use crate::events::kind::Kind;
use crate::events::{Announcement, Entry};

/// A push at `start` with this peak, to all of the group's clients.
fn push(id: &str, start: f64, peak: f64) -> Announcement {
    Announcement {
        id: id.into(),
        group: fixture::name("web.example.com."),
        cells: vec![],
        kind: Kind::Push,
        start,
        size: Size::Peak(peak),
        send_secs: 60.0,
        decay_secs: None,
        pass_along: Some(0.0),
        confidence: None,
        expires: start + 1600.0,
        announcer: "crm".into(),
        note: String::new(),
    }
}

fn calendar(all: &[Announcement]) -> Option<Arc<Calendar>> {
    let entries = all.iter().map(|a| (a.id.clone(), Entry::new(a.clone(), None))).collect();
    Some(Arc::new(Calendar { entries }))
}

impl World {
    fn demand(&self) -> crate::steering::Demand {
        self.last.plan.groups[0].demand
    }

    fn ttl(&self) -> u32 {
        self.last.plan.groups[0].ttl
    }

    /// Every POP gets its part of so many requests per second.
    fn asked(&mut self, rate: f64) {
        for p in 0..4 {
            self.reports[p] = Some((rate / 4.0, 0.0));
        }
    }
}

/// The whole course: nothing until it is near, then room, a shadow and short TTLs before it begins, then what comes.
#[test]
fn an_announced_event_moves_shares_and_warms_a_shadow_before_it_begins() {
    let mut world = World::calm();
    world.reports[DUB] = Some((0.0, 0.0));
    let start = world.now + 1000.0;
    world.calendar = calendar(&[push("sale", start, 14_000.0)]);
    world.run(200.0);
    assert_eq!((world.demand().planned, world.ttl()), (2000.0, 60), "not yet");
    assert!(!world.told("shadow"));
    world.run(start - world.now - 60.0);
    assert!(world.demand().planned > 8000.0, "{:?}", world.demand());
    assert!(world.told("shadow dub.web.example.com. of web.example.com.: Cold → Warming"), "{:?}", world.notes);
    assert_eq!(world.ttl(), 20);
    assert!(world.shares(JP)[SIN] < 0.95, "sin alone could not carry it: {:?}", world.shares(JP));
    world.shadow = ShadowState::Ready;
    world.asked(12_000.0);
    world.run(60.0 + 180.0);
    assert!(world.told("event \"sale\" of web.example.com.: has begun"), "{:?}", world.notes);
    world.asked(2000.0);
    world.run(1600.0);
    assert!(world.told("is over"), "{:?}", world.notes);
    assert!((world.demand().now - 2000.0).abs() < 10.0, "{:?}", world.demand());
    assert!(world.demand().planned < 3500.0, "{:?}", world.demand());
}

/// What is heard is held against the time when it was asked: the POPs of this world report of the second that ends.
#[test]
fn what_is_heard_is_some_seconds_old() {
    let mut world = World::calm();
    world.run(60.0);
    let now = fixture::at(world.now);
    let heard = announced::heard(&world.state, &[Some(2000.0)], true, now)[0].unwrap();
    assert!((heard.rate - 2000.0).abs() < 1.0 && heard.age == 0.5, "{heard:?}");
    assert_eq!(announced::heard(&world.state, &[Some(2000.0)], false, now), [None]);
}

/// Truth rules: what is announced and does not come stops being planned for, and is noted.
#[test]
fn an_event_that_does_not_come_is_forgotten() {
    let mut world = World::calm();
    let start = world.now + 600.0;
    world.calendar = calendar(&[push("sale", start, 6000.0)]);
    world.run(590.0);
    let planned = world.demand().planned;
    assert!(planned > 4000.0, "{planned}");
    world.run(640.0);
    assert!(world.demand().planned < 0.7 * planned, "{:?}", world.demand());
    assert!(world.told("should have begun and has hardly"), "{:?}", world.notes);
    world.run(900.0);
    assert!(world.told("did not come"), "{:?}", world.notes);
    assert!(world.demand().planned < 2600.0, "{:?}", world.demand());
    let state = world.state.announced().state(at(world.now));
    assert_eq!((state.events[0].phase.as_str(), state.kinds[1].events), ("absent", 1));
    assert!(state.kinds[1].comes < 0.9);
}

#[test]
fn a_cancelled_event_is_planned_for_no_more() {
    let mut world = World::calm();
    world.calendar = calendar(&[push("sale", world.now + 300.0, 6000.0)]);
    world.run(270.0);
    assert!(world.demand().planned > 4000.0, "{:?}", world.demand());
    let mut entries = world.calendar.as_ref().unwrap().entries.clone();
    entries.get_mut("sale").unwrap().cancelled = Some("crm: rain".into());
    world.calendar = Some(Arc::new(Calendar { entries }));
    world.run(1.0);
    assert!(world.told("cancelled (crm: rain)"));
    assert_eq!(world.demand().planned, 2000.0);
}

/// Two groups on the same POPs: whatever is announced for one, the other keeps its room and its nearest.
#[test]
fn a_too_bold_announcement_starves_nobody() {
    let mut policies = fixture::policies();
    let mut api = policies.groups[0].clone();
    api.name = fixture::name("api.example.com.");
    policies.groups.push(api);
    let mut world = World::new(policies);
    let run = |world: &mut World, secs: f64| {
        let until = world.now + secs;
        while world.now < until {
            world.now += 1.0;
            let samples: Vec<Sample> = (0..4)
                .flat_map(|p| {
                    let web = sample(LABELS[p], world.now, 1.0, 500.0, 0.0);
                    let api = Sample { group: fixture::name("api.example.com."), ..web.clone() };
                    [web, api]
                })
                .collect();
            world.tick(&samples);
        }
    };
    run(&mut world, 60.0);
    world.calendar = calendar(&[push("moon", world.now + 120.0, 1e9)]);
    run(&mut world, 110.0);
    let plan = &world.last.plan;
    assert!(plan.groups[0].demand.planned > 8000.0, "{:?}", plan.groups[0].demand);
    let (api, out) = (&plan.groups[1], plan.groups[1].members.last().unwrap());
    assert!(api.demand.planned < 2020.0 && api.short == 0.0 && out.share < 0.01, "{:?} {out:?}", api.demand);
    for pop in &plan.pops {
        assert!(pop.load <= 1.02 * pop.target.max(1.0), "{pop:?}");
    }
    world.state.announced_mut().allow(0.1);
    run(&mut world, 30.0);
    let planned = world.last.plan.groups[0].demand.planned;
    assert!(planned < 2000.0 + 0.11 * 25_000.0, "a tenth of the capacity: {planned}");
}

/// The event's requests come from Japan alone: that is where room is made.
#[test]
fn an_event_may_come_from_one_country() {
    let planned_in = |cells: Vec<String>| {
        let mut world = World::calm();
        let event = Announcement { cells, ..push("sale", world.now + 120.0, 4000.0) };
        world.calendar = calendar(&[event]);
        world.run(110.0);
        world.shares(JP)[SIN]
    };
    let (anywhere, japan) = (planned_in(vec![]), planned_in(vec!["JP".into()]));
    // The loads of this world do not follow answers, so what Japan usually asks for is only roughly known.
    assert!(anywhere > 0.4 && japan < 0.3, "Sin has 3,000: {anywhere} {japan}");
}

/// What events bring is not what is usual: the forecaster does not learn it, and the watch does not cry surge.
#[test]
fn the_forecast_does_not_take_an_announced_surge_for_its_own() {
    let mut world = World::calm();
    world.run(1800.0);
    let start = world.now + 300.0;
    world.calendar = calendar(&[push("sale", start, 2000.0)]);
    world.run(300.0);
    for minute in 0..15 {
        let curve = crate::events::curve::Curve::new(Kind::Push.shape(), 60.0, 0.0);
        world.asked(2000.0 + 2000.0 / curve.peak().1 * curve.rate(60.0 * f64::from(minute) + 30.0));
        world.run(60.0);
    }
    assert!(world.told("has begun") && !world.told("demand of"), "{:?}", world.notes);
    let usual = world.state.groups[0].outlook.usual_at(300.0).unwrap().at(0.5);
    assert!((1700.0..2600.0).contains(&usual), "{usual}");
}

#[test]
fn a_restart_keeps_events_and_what_they_taught() {
    use crate::control::announced::Kept;
    let mut world = World::calm();
    world.calendar = calendar(&[push("sale", world.now + 300.0, 6000.0)]);
    world.run(250.0);
    let text = Kept::of(world.calendar.as_ref().unwrap(), world.state.announced()).print();
    let kept = Kept::parse(&text).unwrap();
    assert_eq!(kept.calendar, **world.calendar.as_ref().unwrap());
    let mut state = State::new(7);
    state.resume_events(kept.announced);
    let mut again = World::resumed(fixture::policies(), state, world.now);
    again.calendar = world.calendar.clone();
    again.asked(2000.0);
    again.run(20.0);
    assert!(again.demand().planned > 4000.0, "{:?}", again.demand());
    assert!(Kept::parse("{").is_err() && Kept::parse(&text.replace("\"format\":1", "\"format\":9")).is_err());
}
