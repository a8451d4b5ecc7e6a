//! POPs as they really are: what they serve of what they are offered, how long it takes, and what they stand by.

use crate::id::PopIdx;
use crate::policy::Policies;
use crate::sim::rng::Rng;
use crate::sim::scenario::{Fault, FaultKind};
use crate::steering::ShadowState;

/// From this utilisation on requests queue; below it servers are many enough (M/G/∞).
const QUEUES_FROM: f64 = 0.85;
/// Milliseconds of queue per `(u − 0.85)/(1 − u)`, and the longest queue before a request is refused. Our choice.
const QUEUE_MS: f64 = 6.0;
/// See [`QUEUE_MS`].
const MOST_QUEUE_MS: f64 = 300.0;

//----------- Condition ------------------------------------------------------

/// What faults make of one POP at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// Factor on its capacity.
    pub capacity: f64,
    /// Nothing is served.
    pub down: bool,
    /// Part of requests that fail.
    pub errors: f64,
    /// Milliseconds on top.
    pub slow_ms: f64,
    /// Nothing is reported.
    pub silent: bool,
    /// Factor on what is reported.
    pub lies: f64,
}

impl Condition {
    const WELL: Condition =
        Condition { capacity: 1.0, down: false, errors: 0.0, slow_ms: 0.0, silent: false, lies: 1.0 };
}

/// What is wrong with resolvers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// They do not reach the server.
    pub unreachable: bool,
    /// The largest of every cell is out.
    pub resolver: bool,
}

/// Faults, with the POPs they are about.
#[derive(Clone, Debug)]
pub struct Faults(Vec<(Fault, Vec<bool>)>);

impl Faults {
    /// Finds the POPs of faults by name, by first label, or all by `*`.
    ///
    /// # Errors
    /// The names there are, if there is none of that name.
    pub fn new(faults: &[Fault], policies: &Policies) -> Result<Faults, String> {
        let names: Vec<String> = policies.pops.iter().map(|p| p.name.to_string()).collect();
        let with = |fault: &Fault| {
            let said = fault.pop.trim_end_matches('.');
            let is = |n: &String| said == "*" || n.trim_end_matches('.') == said || n.split('.').next() == Some(said);
            let about: Vec<bool> = names.iter().map(is).collect();
            match about.contains(&true) || fault.kind.is_of_resolvers() {
                true => Ok((fault.clone(), about)),
                false => Err(format!("no POP is called {:?}; there are {}", fault.pop, names.join(", "))),
            }
        };
        faults.iter().map(with).collect::<Result<_, _>>().map(Faults)
    }

    /// What holds at a POP `t` seconds after the start.
    pub fn at(&self, pop: PopIdx, t: f64) -> Condition {
        let mut is = Condition::WELL;
        let on = |f: &Fault| (f.at.0..f.at.0 + f.lasts.0).contains(&t);
        for (fault, _) in self.0.iter().filter(|(fault, about)| about[pop.idx()] && on(fault)) {
            let size = |usual: f64| fault.size.unwrap_or(usual);
            match fault.kind {
                FaultKind::Down => is.down = true,
                FaultKind::Half => is.capacity *= size(0.5),
                FaultKind::Gray => is.errors = is.errors.max(size(0.2)),
                FaultKind::Slow => is.slow_ms += size(300.0),
                FaultKind::Flap => is.down |= (((t - fault.at.0) / size(30.0)) as u64).is_multiple_of(2),
                FaultKind::Silent => is.silent = true,
                FaultKind::Lies => is.lies *= size(0.5),
                FaultKind::Unreachable | FaultKind::Resolver => {}
            }
        }
        is
    }

    /// From when to when something is wrong with a POP, or with resolvers.
    pub fn about(&self, pop: PopIdx) -> Vec<[f64; 2]> {
        let with = self.0.iter().filter(|(f, about)| about[pop.idx()] || f.kind.is_of_resolvers());
        with.map(|(f, _)| [f.at.0, f.at.0 + f.lasts.0]).collect()
    }

    /// What is wrong with resolvers.
    pub fn of_resolvers(&self, t: f64) -> Outage {
        let on =
            |kind: FaultKind| self.0.iter().any(|(f, _)| f.kind == kind && (f.at.0..f.at.0 + f.lasts.0).contains(&t));
        Outage { unreachable: on(FaultKind::Unreachable), resolver: on(FaultKind::Resolver) }
    }
}

//----------- Pop ------------------------------------------------------------

/// One POP in one step, and what waits to be tried again.
#[derive(Clone, Debug)]
pub struct Pop {
    /// Most it serves while it is well, requests per second.
    max: f64,
    /// `again[i]`: requests per second that failed `i + 1` times and come again in the next step.
    again: Vec<f64>,
    /// The step's outcome.
    pub out: Outcome,
}

/// What came of a step; rates in requests per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Asked of it, tries again included.
    pub offered: f64,
    /// What it can serve now.
    pub capacity: f64,
    /// Offered over that, while it is up.
    pub over: f64,
    /// Part of what is offered that fails, in `[0, 1]`.
    pub failing: f64,
    /// Given up: failed as often as clients try.
    pub lost: f64,
    /// Milliseconds that a request takes there.
    pub queue_ms: f64,
}

impl Pop {
    /// An idle one; clients try failed requests again `retries` times.
    pub fn new(max: f64, retries: usize) -> Pop {
        Pop { max, again: vec![0.0; retries], out: Outcome::default() }
    }

    /// Serves what is asked for the first time, `fresh` requests per second, and what is tried again.
    pub fn step(&mut self, fresh: f64, is: &Condition) {
        let offered = fresh + self.again.iter().sum::<f64>();
        let capacity = if is.down { 0.0 } else { self.max * is.capacity };
        let served = offered.min(capacity) * (1.0 - is.errors);
        let failing = if offered > 0.0 { 1.0 - served / offered } else { 0.0 };
        let last = self.again.last().copied().unwrap_or(fresh);
        for i in (0..self.again.len()).rev() {
            self.again[i] = failing * if i == 0 { fresh } else { self.again[i - 1] };
        }
        let u = if capacity > 0.0 { offered / capacity } else { 1.0 };
        let queue = match u {
            u if u <= QUEUES_FROM => 0.0,
            u if u < 1.0 => (QUEUE_MS * (u - QUEUES_FROM) / (1.0 - u)).min(MOST_QUEUE_MS),
            _ => MOST_QUEUE_MS,
        };
        let over = if is.down { 0.0 } else { (offered - capacity).max(0.0) };
        self.out = Outcome { offered, capacity, over, failing, lost: last * failing, queue_ms: queue + is.slow_ms };
    }
}

//----------- Standby --------------------------------------------------------

/// A shadow member as its POP runs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standby {
    /// What it says of itself.
    pub state: ShadowState,
    warmup_secs: f64,
    ready_at: f64,
}

impl Standby {
    /// Off. `warmup_secs` as declared; it takes a little more or less.
    pub fn new(warmup_secs: f64, rng: &mut Rng) -> Standby {
        Standby { state: ShadowState::Cold, warmup_secs: warmup_secs * rng.between(0.9, 1.2), ready_at: 0.0 }
    }

    /// Takes in what is wanted at `t`.
    pub fn step(&mut self, wanted: ShadowState, t: f64) {
        use ShadowState::*;
        self.state = match (wanted, self.state) {
            (Cold, _) => Cold,
            (Warming | Ready | Active, Cold) => {
                self.ready_at = t + self.warmup_secs;
                Warming
            }
            (_, Warming) if t < self.ready_at => Warming,
            (Warming, _) => Ready,
            (wanted, _) => wanted,
        };
    }

    /// Whether it serves what it is asked.
    pub fn serves(&self) -> bool {
        !matches!(self.state, ShadowState::Cold | ShadowState::Warming)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_up_to_its_capacity_and_is_tried_again() {
        let mut pop = Pop::new(100.0, 1);
        pop.step(80.0, &Condition::WELL);
        assert_eq!((pop.out.failing, pop.out.queue_ms, pop.out.over), (0.0, 0.0, 0.0));
        pop.step(125.0, &Condition::WELL);
        assert_eq!((pop.out.over, pop.out.queue_ms), (25.0, 300.0));
        pop.step(50.0, &Condition::WELL);
        assert_eq!(pop.out.offered, 75.0, "25 come again, once");
        pop.step(50.0, &Condition { down: true, ..Condition::WELL });
        assert_eq!((pop.out.failing, pop.out.over), (1.0, 0.0));
        pop.step(50.0, &Condition { down: true, ..Condition::WELL });
        assert_eq!(pop.out.lost, 50.0, "given up after the second time");
    }

    #[test]
    fn a_shadow_takes_its_time() {
        let mut shadow = Standby::new(100.0, &mut Rng::new(1, "x"));
        shadow.step(ShadowState::Warming, 0.0);
        shadow.step(ShadowState::Warming, 80.0);
        assert!(!shadow.serves());
        shadow.step(ShadowState::Warming, 130.0);
        assert_eq!(shadow.state, ShadowState::Ready);
        shadow.step(ShadowState::Active, 131.0);
        assert!(shadow.serves());
        shadow.step(ShadowState::Cold, 132.0);
        assert!(!shadow.serves());
    }
}
