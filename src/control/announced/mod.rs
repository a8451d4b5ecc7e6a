//! Announced events in the tick: who is followed, what they add to the demand to come, what they taught.
//!
//! Four times a minute each event that is near is told what its group was asked beyond what is usual ([`Follower`]), and
//! what may come of all events of a group becomes its [`Extra`]. The outlook puts that on top of its forecasts, which are made
//! from demand without what events have brought: a forecaster never learns that every Sunday is a sale. An offset, not a
//! regressor of the forecaster's members, because it works for the first event of its kind and a coefficient does not.
//!
//! What is usual is what was forecast half an hour before, scaled to the minutes before the event; without such forecasts, the
//! mean of those minutes.

mod extra;
mod seen;

use crate::clock::Now;
use crate::control::intake;
use crate::control::notes::Note;
use crate::control::origins::Load;
use crate::control::state::{GroupState, Layout, State};
use crate::control::window::RATE_SECS;
use crate::events::follow::{BIN_SECS, Bin, Follower, Phase};
use crate::events::kind::{Kind, Learnt, Lesson};
use crate::events::{Announcement, Calendar};
use crate::id::GroupIdx;
pub use extra::Extra;
pub use seen::{EventState, Events, Happened, Kept, KindState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Leads that are worked out, seconds; others are read at the next longer.
const LEADS_SECS: [f64; 18] = [
    0.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0, 600.0, 720.0, 900.0, 1200.0, 1500.0, 1800.0, 2400.0, 3000.0,
    3600.0, 5400.0,
];
/// How long before its start an event is followed, seconds: beyond the longest lead and the earliest beginning.
const FOLLOWED_SECS: f64 = 7200.0;
/// Events followed at one time; of more the next ones are. Each takes some 250 kB.
const MOST_FOLLOWED: usize = 64;
/// Time constant of what is usual, seconds.
const USUAL_SECS: f64 = 300.0;
/// How long before a minute its forecast is taken for what is usual in it, seconds.
const FORESEEN_SECS: i64 = 1800;
/// Minutes of such forecasts kept.
const MINUTES_KEPT: usize = 45;
/// While an event is expected to bring more than this part of what is usual, that does not learn.
const QUIET: f64 = 0.02;

//----------- Announced ------------------------------------------------------

/// What the control loop knows of events. Kept over restarts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Announced {
    followers: BTreeMap<String, Follower>,
    kinds: BTreeMap<Kind, Learnt>,
    results: BTreeMap<String, Outcome>,
    usual: BTreeMap<String, Usual>,
    /// Unix seconds of the end of the bin that is under way.
    bin_end: f64,
    /// Greatest part of the capacity of a group's POPs that one announcer may claim before anything came.
    #[serde(skip)]
    share: Option<f64>,
    /// The calendar of the last look.
    #[serde(skip)]
    seen: Option<Arc<Calendar>>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `absent` or `over`.
    pub phase: Phase,
    /// Requests in all as announced.
    pub announced: f64,
    /// Requests beyond the usual that came.
    pub came: f64,
    /// Whether its kind has learnt from it.
    pub taught: bool,
}

/// What a group is asked for without events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Usual {
    /// Mean of some minutes, requests per second, and of what was forecast for them.
    level: Option<f64>,
    foreseen: Option<f64>,
    /// Forecasts by unix minute, each made half an hour before.
    minutes: VecDeque<(i64, f64)>,
    /// Of the bin under way: what was heard, and how long ago that was asked.
    sum: f64,
    #[serde(default)]
    ages: f64,
    n: u32,
}

/// What a group was asked, as it is known at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Requests per second.
    pub rate: f64,
    /// How long ago they were asked, in the middle, seconds: an event that begins looks like a small one to who takes
    /// what is heard for what is asked now.
    pub age: f64,
}

/// What every group was asked: what its POPs said last, or the mean of their windows while one of them is late; nothing
/// while most are silent.
pub fn heard(state: &State, totals: &[Option<f64>], is_heard: bool, now: Now) -> Vec<Option<Heard>> {
    let of = |(group, total): (&GroupState, &Option<f64>)| {
        let total = total.filter(|_| is_heard)?;
        let mean = Heard { rate: total, age: RATE_SECS / 2.0 };
        let here = 1.0 - group.elsewhere;
        let last = |load: Load| Heard { rate: load.rate / here, age: (now.unix - load.mid).max(0.0) };
        Some(intake::whole(&group.reporters).map_or(mean, last))
    };
    state.groups.iter().zip(totals).map(of).collect()
}

impl Usual {
    /// Requests per second that would be usual at a unix time.
    fn at(&self, secs: f64) -> Option<f64> {
        let level = self.level?;
        Some(match (self.minute(secs), self.foreseen.filter(|f| *f > 0.0)) {
            (Some(then), Some(foreseen)) => then * (level / foreseen).clamp(0.5, 2.0),
            _ => level,
        })
    }

    fn minute(&self, secs: f64) -> Option<f64> {
        let minute = (secs / 60.0).floor() as i64;
        self.minutes.iter().find(|(m, _)| *m == minute).or(self.minutes.back()).map(|(_, value)| *value)
    }

    fn learn(&mut self, demand: f64, secs: f64) {
        let part = 1.0 - (-BIN_SECS / USUAL_SECS).exp();
        let towards = |mean: Option<f64>, value: f64| Some(mean.map_or(value, |mean| mean + part * (value - mean)));
        self.level = towards(self.level, demand);
        if let Some(foreseen) = self.minute(secs) {
            self.foreseen = towards(self.foreseen, foreseen);
        }
    }
}

//----------- step -----------------------------------------------------------

/// Takes in the calendar and the demand of this moment; `None` where nobody knows it.
pub fn step(
    state: &mut State,
    layout: &Layout,
    heard: &[Option<Heard>],
    calendar: Option<&Arc<Calendar>>,
    now: Now,
    notes: &mut Vec<Note>,
) {
    let Some(calendar) = calendar else { return };
    let changed = !state.announced.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, calendar));
    if changed {
        drop_changed(&mut state.announced, calendar, notes);
        state.announced.seen = Some(calendar.clone());
    }
    for (spec, heard) in layout.policies.groups.iter().zip(heard) {
        let usual = state.announced.usual.entry(spec.name.to_string()).or_default();
        if let Some(heard) = heard {
            usual.sum += heard.rate;
            usual.ages += heard.age;
            usual.n += 1;
        }
    }
    let mut bin_ended = false;
    // A clock that jumps begins a new bin.
    if !(0.0..=BIN_SECS).contains(&(state.announced.bin_end - now.unix)) {
        bin_ended = (0.0..BIN_SECS).contains(&(now.unix - state.announced.bin_end));
        if bin_ended {
            end_bin(state, layout, now);
        }
        state.announced.usual.values_mut().for_each(|usual| (usual.sum, usual.ages, usual.n) = (0.0, 0.0, 0));
        state.announced.bin_end = now.unix + BIN_SECS;
    }
    if changed || bin_ended {
        follow(&mut state.announced, layout, calendar, now);
        finish(&mut state.announced, calendar, notes);
        for (g, heard) in heard.iter().enumerate() {
            let extra = extra::extra(state, layout, GroupIdx::from(g), heard.map(|h| h.rate), now);
            state.groups[g].outlook.announce(extra);
        }
    }
}

/// Lets go of what was cancelled or is announced otherwise, and takes in what was reported.
fn drop_changed(announced: &mut Announced, calendar: &Calendar, notes: &mut Vec<Note>) {
    let stands = |id: &String, follower: &Follower| {
        calendar.entries.get(id).is_some_and(|e| e.cancelled.is_none() && e.announcement == follower.announcement)
    };
    let gone: Vec<String> =
        announced.followers.iter().filter(|(id, f)| !stands(id, f)).map(|(id, _)| id.clone()).collect();
    for id in gone {
        let Some(follower) = announced.followers.remove(&id) else { continue };
        if let Some(why) = calendar.entries.get(&id).and_then(|e| e.cancelled.clone()) {
            let group = follower.announcement.group.clone();
            notes.push(Note::Event { id, group, what: Happened::Cancelled(why) });
        }
    }
    announced.results.retain(|id, _| calendar.entries.contains_key(id));
    for (id, entry) in &calendar.entries {
        let Some((told, result)) = entry.outcome.zip(announced.results.get_mut(id)).filter(|(_, r)| !r.taught) else {
            continue;
        };
        (result.came, result.taught) = (told, true);
        let lesson = match told > 0.0 && result.announced > 0.0 {
            true => Lesson::Came((told / result.announced).ln(), None),
            false => Lesson::Absent,
        };
        let kind = entry.announcement.kind;
        announced.kinds.entry(kind).or_insert_with(|| Learnt::prior(kind)).learn(&lesson);
    }
}

/// Follows what comes near.
fn follow(announced: &mut Announced, layout: &Layout, calendar: &Calendar, now: Now) {
    let near = |a: &Announcement| (a.start - FOLLOWED_SECS..a.expires).contains(&now.unix);
    let wanted = calendar.entries.values().filter(|e| e.cancelled.is_none() && near(&e.announcement));
    let mut wanted: Vec<&Arc<Announcement>> = wanted
        .map(|e| &e.announcement)
        .filter(|a| !announced.followers.contains_key(&a.id) && !announced.results.contains_key(&a.id))
        .filter(|a| layout.group_idx.contains_key(&a.group))
        .collect();
    wanted.sort_by(|a, b| a.start.total_cmp(&b.start));
    let room = MOST_FOLLOWED.saturating_sub(announced.followers.len());
    for a in wanted.into_iter().take(room) {
        let learnt = announced.kinds.entry(a.kind).or_insert_with(|| Learnt::prior(a.kind));
        let usual = announced.usual.get(&a.group.to_string()).and_then(|u| u.at(a.start)).unwrap_or(0.0);
        // A multiple of what nobody has seen yet waits for it.
        if usual > 0.0 || !matches!(a.size, crate::events::Size::Times(_)) {
            announced.followers.insert(a.id.clone(), Follower::new(a.clone(), learnt, usual).joined(now.unix));
        }
    }
}

/// Tells every follower what its group was asked in the bin that ends now, and what is usual how it goes on.
fn end_bin(state: &mut State, layout: &Layout, now: Now) {
    let announced = &mut state.announced;
    for (spec, group) in layout.policies.groups.iter().zip(&state.groups) {
        let name = spec.name.to_string();
        let Some(usual) = announced.usual.get_mut(&name) else { continue };
        let minute = (now.unix as i64 + FORESEEN_SECS).div_euclid(60);
        let is_new = usual.minutes.back().is_none_or(|(last, _)| *last < minute);
        if let Some(foreseen) = group.outlook.usual_at(FORESEEN_SECS as f64).filter(|_| is_new) {
            usual.minutes.push_back((minute, foreseen.at(0.5)));
            let over = usual.minutes.len().saturating_sub(MINUTES_KEPT);
            usual.minutes.drain(..over);
        }
        let demand = (usual.n > 0).then(|| usual.sum / f64::from(usual.n));
        // The bin is of when this was asked.
        let until = now.unix - if usual.n > 0 { usual.ages / f64::from(usual.n) } else { 0.0 };
        let at = usual.at(until);
        let own = |f: &Follower| f.announcement.group == spec.name;
        let mean = |f: &Follower| f.mean(until - f.announcement.start);
        let means: Vec<f64> = announced.followers.values().filter(|f| own(f)).map(mean).collect();
        let all: f64 = means.iter().sum();
        if let Some(demand) = demand
            && all <= QUIET * at.unwrap_or(f64::INFINITY)
        {
            usual.learn(demand, until);
        }
        for (follower, mean) in announced.followers.values_mut().filter(|f| own(f)).zip(means) {
            let spoilt = follower.joined_late() && usual.minutes.len() < 2;
            let usual = demand.and(at).filter(|_| !spoilt).map(|usual| usual + all - mean);
            follower.observe(Bin { until, demand: demand.unwrap_or(0.0), usual });
        }
    }
    let known = |name: &String| layout.policies.groups.iter().any(|g| g.name.to_string() == *name);
    announced.usual.retain(|name, _| known(name));
}

/// Learns from those that are over, and lets go of them.
fn finish(announced: &mut Announced, calendar: &Calendar, notes: &mut Vec<Note>) {
    for follower in announced.followers.values_mut() {
        let Some(phase) = follower.news() else { continue };
        let what = match phase {
            Phase::Running => Happened::Began(follower.shift()),
            Phase::Doubted => Happened::Doubted,
            _ => continue,
        };
        let (id, group) = (follower.announcement.id.clone(), follower.announcement.group.clone());
        notes.push(Note::Event { id, group, what });
    }
    let over: Vec<String> = announced.followers.iter().filter(|(_, f)| f.is_over()).map(|(id, _)| id.clone()).collect();
    for id in over {
        let Some(follower) = announced.followers.remove(&id) else { continue };
        let told = calendar.entries.get(&id).and_then(|e| e.outcome);
        let (a, lesson) =
            (&follower.announcement, follower.lesson(told).filter(|_| !follower.joined_late() || told.is_some()));
        if let Some(lesson) = &lesson {
            announced.kinds.entry(a.kind).or_insert_with(|| Learnt::prior(a.kind)).learn(lesson);
        }
        let (announced_all, came) = (follower.announced().0, told.unwrap_or(follower.came()));
        let outcome = Outcome { phase: follower.phase(), announced: announced_all, came, taught: lesson.is_some() };
        announced.results.insert(id.clone(), outcome);
        notes.push(Note::Event { id, group: a.group.clone(), what: Happened::Over(outcome) });
    }
}

impl Announced {
    /// What one announcer may claim of the capacity of a group's POPs, in `(0, 1]`.
    pub fn allow(&mut self, share: f64) {
        self.share = Some(share);
    }

    /// Whether there is anything to know.
    pub fn is_empty(&self) -> bool {
        self.seen.as_ref().is_none_or(|calendar| calendar.entries.is_empty()) && self.kinds.is_empty()
    }
}

impl State {
    /// Goes on from what an earlier process knew of events.
    pub fn resume_events(&mut self, announced: Announced) {
        self.announced = announced;
    }

    /// What is known of events.
    pub fn announced(&self) -> &Announced {
        &self.announced
    }

    /// The same, to be changed by who sets limits.
    pub fn announced_mut(&mut self) -> &mut Announced {
        &mut self.announced
    }
}
