//! What is known of events, for people and for the next process.

use crate::clock::Now;
use crate::control::announced::{Announced, Outcome};
use crate::events::follow::{Follower, Phase};
use crate::events::kind::{Kind, Learnt};
use crate::events::{Calendar, Entry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Format of what is kept; other ones are refused.
const FORMAT: u32 = 1;

/// What happened to an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// It has begun, so many seconds after it was announced for.
    Began(f64),
    /// It should have begun, and too little came.
    Doubted,
    /// Somebody has taken it back.
    Cancelled(String),
    /// It is over.
    Over(Outcome),
}

/// Everything that is known of events, for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// In the order of their starts.
    pub events: Vec<EventState>,
    /// What was learnt of each kind.
    pub kinds: Vec<KindState>,
    /// What each group would be asked for now without events, requests per second.
    pub usual: BTreeMap<String, f64>,
    /// The whole of what was learnt.
    #[serde(skip)]
    pub learnt: BTreeMap<Kind, Learnt>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventState {
    /// See [`Announcement`](crate::events::Announcement).
    pub id: String,
    /// Its group.
    pub group: String,
    /// `email`, `push`, `broadcast` or `social`.
    pub kind: Kind,
    /// Who says so.
    pub announcer: String,
    /// For people.
    pub note: String,
    /// Unix seconds.
    pub start: f64,
    /// Unix seconds.
    pub expires: f64,
    /// The file that it stands in.
    pub file: Option<String>,
    /// Why it was taken back.
    pub cancelled: Option<String>,
    /// `planned` (not yet followed), `waiting`, `running`, `doubted`, `absent`, `over` or `cancelled`.
    pub phase: String,
    /// Requests in all as announced; `None` until it is near.
    pub announced: Option<f64>,
    /// Requests beyond the usual that came so far.
    pub came: Option<f64>,
    /// Requests per second expected now on top of the usual.
    pub now: f64,
    /// Probability that it does not come.
    pub p_absent: Option<f64>,
    /// Seconds after the announced start at which it began, as far as is known.
    pub late_seconds: Option<f64>,
    /// Part of what was announced that is still believed.
    pub trust: Option<f64>,
    /// How many more each response brings.
    pub pass_along: Option<f64>,
}

/// What was learnt of a kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindState {
    /// Which.
    pub kind: Kind,
    /// Events that taught it something.
    pub events: u32,
    /// What came over what was announced, the median.
    pub factor: f64,
    /// Standard deviation of its logarithm for the next event.
    pub sigma: f64,
    /// Probability that the next one comes.
    pub comes: f64,
}

impl Announced {
    /// What is known at `now`.
    pub fn state(&self, now: Now) -> Events {
        let Some(calendar) = &self.seen else { return Events::default() };
        let event = |e: &Entry| {
            let (a, f) = (&e.announcement, self.followers.get(&e.announcement.id));
            let result = self.results.get(&a.id);
            let phase = match (f, result) {
                _ if e.cancelled.is_some() => "cancelled".to_owned(),
                (Some(f), _) => phase_word(f.phase()).to_owned(),
                (None, Some(result)) => phase_word(result.phase).to_owned(),
                (None, None) => "planned".to_owned(),
            };
            EventState {
                id: a.id.clone(),
                group: a.group.to_string(),
                kind: a.kind,
                announcer: a.announcer.clone(),
                note: a.note.clone(),
                start: a.start,
                expires: a.expires,
                file: e.file.clone(),
                cancelled: e.cancelled.clone(),
                phase,
                announced: f.map(|f| f.announced().0).or(result.map(|r| r.announced)),
                came: f.map(Follower::came).or(result.map(|r| r.came)),
                now: f.map_or(0.0, |f| f.mean(now.unix - a.start)),
                p_absent: f.map(Follower::p_absent),
                late_seconds: f.map(Follower::shift),
                trust: f.map(Follower::trust),
                pass_along: f.map(Follower::pass_along),
            }
        };
        let mut events: Vec<EventState> = calendar.entries.values().map(event).collect();
        events.sort_by(|a, b| a.start.total_cmp(&b.start));
        let kinds = Kind::ALL.map(|kind| {
            let learnt = self.learnt(kind);
            let (factor, sigma) = (learnt.bias().exp(), learnt.sigma());
            KindState { kind, events: learnt.events, factor, sigma, comes: learnt.comes() }
        });
        let usual = self.usual.iter().filter_map(|(name, usual)| Some((name.clone(), usual.at(now.unix)?)));
        Events { events, kinds: kinds.into(), usual: usual.collect(), learnt: self.kinds.clone() }
    }

    /// What is known of a kind.
    pub fn learnt(&self, kind: Kind) -> Learnt {
        self.kinds.get(&kind).cloned().unwrap_or_else(|| Learnt::prior(kind))
    }
}

/// The word for a phase.
pub fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting",
        Phase::Running => "running",
        Phase::Doubted => "doubted",
        Phase::Absent => "absent",
        Phase::Over => "over",
    }
}

//----------- Kept -----------------------------------------------------------

/// What survives a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    format: u32,
    /// The announcements.
    pub calendar: Calendar,
    /// What is known of them.
    pub announced: Announced,
}

impl Kept {
    /// What there is now.
    pub fn of(calendar: &Calendar, announced: &Announced) -> Kept {
        Kept { format: FORMAT, calendar: calendar.clone(), announced: announced.clone() }
    }

    /// As text.
    pub fn print(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and texts can be written as JSON")
    }

    /// Reads the text back.
    ///
    /// # Errors
    /// A text for people.
    pub fn parse(text: &str) -> Result<Kept, String> {
        let mut kept: Kept =
            serde_json::from_str(text).map_err(|e| format!("not what this version has written: {e}"))?;
        if kept.format != FORMAT {
            return Err(format!("format {}, this version has {FORMAT}", kept.format));
        }
        kept.announced.followers.values_mut().for_each(Follower::equip);
        Ok(kept)
    }
}
