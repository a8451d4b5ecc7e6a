//! What a tick found worth telling: one line each in the log, one count each in the metrics.

use crate::control::all_down::Extent;
use crate::control::announced::Happened;
use crate::control::breaker;
use crate::control::shadow;
use crate::events::follow::Phase;
use crate::forecast::anomaly::{Anomaly, Change};
use crate::policy::AllDown;
use crate::steering::Mode;
use crate::steering::asserted::Asserted;
use crate::units::{print_quantity, print_secs};
use crate::wire::Name;
use std::fmt;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A breaker moved; of the POP, or of one member at it.
    Breaker {
        /// The POP.
        pop: Name,
        /// The member, where only that one is concerned.
        member: Option<Name>,
        /// From where, to where, why.
        moved: breaker::Moved,
    },
    /// A shadow moved.
    Shadow {
        /// Its group.
        group: Name,
        /// The member.
        member: Name,
        /// From where, to where, why.
        moved: shadow::Moved,
    },
    /// The wall clock was stepped by so many seconds, forward if positive.
    Clock {
        /// Seconds.
        secs: f64,
    },
    /// An assertion of the policies broke, or holds again.
    Assertion {
        /// The group.
        group: Name,
        /// How it stands now.
        how: Asserted,
    },
    /// A part of a group's budget for standby is spent that is worth telling.
    Budget {
        /// The group.
        group: Name,
        /// Seconds of standby in this month.
        spent_secs: f64,
        /// What may be spent in a month.
        budget_secs: f64,
    },
    /// Open POPs serve again, because the others cannot carry the demand.
    Panic {
        /// Those that serve again.
        readmitted: Vec<Name>,
        /// Requests per second that are planned for.
        demand: f64,
    },
    /// The others can carry the demand again.
    PanicOver,
    /// Nobody may be given in a group, or in a part of it; or somebody may again.
    AllDown {
        /// The group.
        group: Name,
        /// Where nobody may be given.
        extent: Extent,
        /// What is answered there.
        instead: AllDown,
    },
    /// The demand of a group does what was not forecast, or does so no more.
    Anomaly {
        /// The group.
        group: Name,
        /// What changed.
        change: Change,
        /// Seconds since the anomaly began.
        secs: f64,
    },
    /// Somebody's decision takes the place of the loop's, or does so no more.
    Override {
        /// What, whose, until when and why.
        order: String,
        /// Whether it has ended.
        over: bool,
    },
    /// Something happened to an announced event.
    Event {
        /// Its id.
        id: String,
        /// Its group.
        group: Name,
        /// What.
        what: Happened,
    },
    /// Plans rest on something else from now on.
    Mode {
        /// On what they rested.
        from: Mode,
        /// On what they rest.
        to: Mode,
    },
    /// A plan was not published; the one before is kept.
    Refused {
        /// What is wrong with it.
        reason: String,
    },
}

impl Note {
    /// A word for the label of a metric.
    pub fn label(&self) -> &'static str {
        match self {
            Note::Breaker { .. } => "breaker",
            Note::Shadow { .. } => "shadow",
            Note::Budget { .. } => "budget",
            Note::Panic { .. } => "panic",
            Note::PanicOver => "panic-over",
            Note::AllDown { .. } => "all-down",
            Note::Anomaly { .. } => "anomaly",
            Note::Override { .. } => "override",
            Note::Assertion { .. } => "assertion",
            Note::Clock { .. } => "clock",
            Note::Event { .. } => "event",
            Note::Mode { .. } => "mode",
            Note::Refused { .. } => "refused",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Breaker { pop, member, moved } => {
                let of = member.as_ref().map(|m| format!(" (member {m} alone)")).unwrap_or_default();
                let colon = if moved.reason.is_empty() { "" } else { ": " };
                write!(f, "breaker of {pop}{of}: {:?} → {:?}{colon}{}", moved.from, moved.to, moved.reason)
            }
            Note::Shadow { group, member, moved } => {
                write!(f, "shadow {member} of {group}: {:?} → {:?}: {}", moved.from, moved.to, moved.reason)
            }
            Note::Budget { group, spent_secs, budget_secs } => {
                let part = (100.0 * spent_secs / budget_secs).floor();
                let [spent, budget] = [*spent_secs, *budget_secs].map(print_secs);
                write!(f, "{group}: {part:.0} % of this month's standby is spent, {spent} of {budget}")?;
                match spent_secs >= budget_secs {
                    true => f.write_str(": no shadow is started until the next"),
                    false => Ok(()),
                }
            }
            Note::Panic { readmitted, demand } => {
                let names: Vec<String> = readmitted.iter().map(Name::to_string).collect();
                write!(f, "too little is healthy for {demand:.0} requests/s: {} serve although Open", names.join(", "))
            }
            Note::PanicOver => f.write_str("what is healthy suffices again: Open POPs no longer serve"),
            Note::AllDown { group, extent, instead } => {
                let who = match extent {
                    Extent::Nowhere => return write!(f, "members of {group} are up for all clients again"),
                    Extent::Fenced => "all members are down that some clients are kept to",
                    Extent::Everywhere => "all members are down",
                };
                let then = match instead {
                    AllDown::All => "answering as if all were up",
                    AllDown::Last => "answering as before",
                    AllDown::Static => "the zone's records answer",
                    AllDown::ServFail => "answering SERVFAIL",
                    AllDown::NoData => "answering that there is no address",
                };
                write!(f, "{group}: {who}: {then}")
            }
            Note::Anomaly { group, change, secs } => {
                let minutes = (secs / 60.0).round();
                let sure = |a: &Anomaly| 100.0 * a.sure.min(0.999);
                match change {
                    Change::Began(a) => {
                        write!(f, "demand of {group}: {} since {minutes:.0} min ago, {:.0} % sure", a.kind, sure(a))
                    }
                    Change::Became(a) => write!(f, "demand of {group}: stays so for {minutes:.0} min, {} now", a.kind),
                    Change::Ended(a) => write!(f, "demand of {group}: {} is over after {minutes:.0} min", a.kind),
                }
            }
            Note::Clock { secs } => {
                let way = if *secs > 0.0 { "ahead" } else { "back" };
                write!(f, "the wall clock was stepped {way} by {:.0} s; what was measured is moved along", secs.abs())
            }
            Note::Assertion { group, how } => {
                let left = if how.active.is_empty() { "none".to_owned() } else { how.active.join(", ") };
                match how.holds() {
                    true => write!(f, "{group}: asserted and true again: {}", how.words),
                    false => write!(f, "{group}: asserted and BROKEN: {}; there is {left}", how.words),
                }
            }
            Note::Override { order, over: false } => write!(f, "override: {order}"),
            Note::Override { order, over: true } => write!(f, "no longer overridden: {order}"),
            Note::Event { id, group, what } => {
                write!(f, "event {id:?} of {group}: ")?;
                match what {
                    Happened::Began(late) if *late > 30.0 => write!(f, "has begun, {:.0} min late", late / 60.0),
                    Happened::Began(late) if *late < -30.0 => write!(f, "has begun, {:.0} min early", -late / 60.0),
                    Happened::Began(_) => f.write_str("has begun"),
                    Happened::Doubted => {
                        f.write_str("should have begun and has hardly: less and less is planned for it")
                    }
                    Happened::Cancelled(why) => write!(f, "cancelled ({why})"),
                    Happened::Over(outcome) if outcome.phase == Phase::Absent => f.write_str("did not come"),
                    Happened::Over(outcome) => {
                        let (came, said) = (print_quantity(outcome.came), print_quantity(outcome.announced));
                        write!(f, "is over: {came} requests came of {said} announced")
                    }
                }
            }
            Note::Mode { from, to } => write!(f, "plans were {from:?} and are {to:?} now"),
            Note::Refused { reason } => write!(f, "a plan was refused and the one before is kept: {reason}"),
        }
    }
}
