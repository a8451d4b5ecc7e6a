//! Whom to ask next, and when.
//!
//! Pure: moments are monotonic seconds, and chance comes out of a seed. Each POP has its own rhythm, its interval give or
//! take a tenth, so that servers and POPs do not fall into step. Two bounds hold over all of them: so many at one time, and
//! so many a second; what they delay is asked later, never twice.

use crate::policy::probe::Probe;
use crate::wire::Name;
use siphasher::sip::SipHasher24;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An interval is drawn from so much to either side of it.
const JITTER: f64 = 0.1;
/// Probes that may begin at once, as seconds of the rate.
const BURST_SECS: f64 = 0.1;

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Ask this POP, so many seconds after it was due.
    Begin(Name, Arc<Probe>, f64),
    /// Nothing for so many seconds; infinite if nobody is to be asked, or all places are taken.
    Wait(f64),
}

/// See the module.
#[derive(Debug)]
pub struct Schedule {
    seed: u64,
    per_second: f64,
    concurrent: usize,
    tokens: f64,
    filled_at: f64,
    n_running: usize,
    targets: HashMap<Name, Target>,
}

#[derive(Debug)]
struct Target {
    probe: Arc<Probe>,
    due: f64,
    is_running: bool,
    /// Draws so far.
    n: u64,
}

impl Schedule {
    /// Nobody to ask yet.
    pub fn new(seed: u64, per_second: f64, concurrent: usize) -> Schedule {
        let tokens = burst(per_second);
        Schedule { seed, per_second, concurrent, tokens, filled_at: 0.0, n_running: 0, targets: HashMap::new() }
    }

    /// Takes over whom policies ask for. Who was asked in the same way before keeps its rhythm; who is new, or asked in
    /// another way, is asked within its first interval.
    pub fn adopt<'a>(&mut self, wanted: impl Iterator<Item = (&'a Name, &'a Probe)>, now: f64) {
        let mut before = std::mem::take(&mut self.targets);
        for (name, probe) in wanted {
            let target = match before.remove(name) {
                Some(target) if *target.probe == *probe => target,
                old => {
                    let is_running = old.is_some_and(|old| old.is_running);
                    let due = now + self.draw(name, 0) * probe.interval_secs;
                    Target { probe: Arc::new(probe.clone()), due, is_running, n: 1 }
                }
            };
            self.targets.insert(name.clone(), target);
        }
        // Probes of who is gone still run, and end.
    }

    /// Probes that are wanted in a second.
    pub fn wanted_per_second(&self) -> f64 {
        self.targets.values().map(|t| 1.0 / t.probe.interval_secs).sum()
    }

    /// What to do at `now`, which does not go back.
    pub fn next(&mut self, now: f64) -> Next {
        self.tokens = (self.tokens + (now - self.filled_at).max(0.0) * self.per_second).min(burst(self.per_second));
        self.filled_at = now;
        if self.n_running >= self.concurrent {
            return Next::Wait(f64::INFINITY);
        }
        let idle = self.targets.iter().filter(|(_, t)| !t.is_running);
        let Some((name, target)) = idle.min_by(|a, b| a.1.due.total_cmp(&b.1.due).then(a.0.cmp(b.0))) else {
            return Next::Wait(f64::INFINITY);
        };
        if target.due > now {
            return Next::Wait(target.due - now);
        }
        if self.tokens < 1.0 {
            return Next::Wait((1.0 - self.tokens) / self.per_second);
        }
        let (name, late) = (name.clone(), now - target.due);
        let draw = self.draw(&name, target.n);
        self.tokens -= 1.0;
        self.n_running += 1;
        let target = self.targets.get_mut(&name).expect("it was found above");
        (target.is_running, target.n) = (true, target.n + 1);
        target.due = now + target.probe.interval_secs * (1.0 + JITTER * (2.0 * draw - 1.0));
        Next::Begin(name, target.probe.clone(), late)
    }

    /// A probe of this POP is over; says whether it is still wanted.
    pub fn ended(&mut self, name: &Name) -> bool {
        self.n_running = self.n_running.saturating_sub(1);
        let target = self.targets.get_mut(name);
        target.map(|target| target.is_running = false).is_some()
    }

    /// Uniform in `[0, 1)`, the same for the same seed, name and count.
    fn draw(&self, name: &Name, n: u64) -> f64 {
        let mut hasher = SipHasher24::new_with_keys(self.seed, n);
        name.hash(&mut hasher);
        (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn burst(per_second: f64) -> f64 {
    (BURST_SECS * per_second).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::probe::{Ask, Trust};

    fn probe(interval_secs: f64) -> Probe {
        Probe {
            url: "tcp://192.0.2.1:25".into(),
            ask: Ask::Connect,
            authority: "192.0.2.1:25".into(),
            host: "192.0.2.1".into(),
            to: "192.0.2.1:25".parse().unwrap(),
            trust: Trust::Usual,
            interval_secs,
            timeout_secs: 1.0,
            rise: 2,
            fall: 3,
        }
    }

    fn pops(n: usize, interval: f64) -> Vec<(Name, Probe)> {
        (0..n).map(|i| (format!("p{i}.pop.").parse().unwrap(), probe(interval))).collect()
    }

    /// Runs for `secs`, each probe taking `takes`; when each began, in order, and which.
    fn run(schedule: &mut Schedule, from: f64, secs: f64, takes: f64) -> Vec<(f64, Name)> {
        let (mut began, mut running, mut now) = (Vec::new(), Vec::<(f64, Name)>::new(), from);
        while now < from + secs {
            running.sort_by(|a, b| a.0.total_cmp(&b.0));
            while running.first().is_some_and(|(end, _)| *end <= now) {
                schedule.ended(&running.remove(0).1);
            }
            match schedule.next(now) {
                Next::Begin(name, ..) => {
                    began.push((now, name.clone()));
                    running.push((now + takes, name));
                }
                Next::Wait(secs) => {
                    let end = running.first().map_or(f64::INFINITY, |(end, _)| *end);
                    // A microsecond more, so that no sum of floats stands still.
                    now = (now + secs).min(end).max(now + 1e-6);
                }
            }
        }
        began
    }

    fn schedule(n: usize, interval: f64, per_second: f64, concurrent: usize) -> Schedule {
        let mut schedule = Schedule::new(7, per_second, concurrent);
        schedule.adopt(pops(n, interval).iter().map(|(n, p)| (n, p)), 0.0);
        schedule
    }

    #[test]
    fn each_keeps_its_interval_give_or_take_a_tenth() {
        let began = run(&mut schedule(20, 5.0, 1000.0, 100), 0.0, 500.0, 0.1);
        for i in 0..20 {
            let name: Name = format!("p{i}.pop.").parse().unwrap();
            let of: Vec<f64> = began.iter().filter(|(_, n)| *n == name).map(|(at, _)| *at).collect();
            assert!(of[0] < 5.0, "asked within the first interval: {}", of[0]);
            assert!(of.windows(2).all(|w| (4.499..5.501).contains(&(w[1] - w[0]))), "{of:?}");
            let mean = (of[of.len() - 1] - of[0]) / (of.len() - 1) as f64;
            assert!((mean - 5.0).abs() < 0.2, "{mean}");
        }
    }

    #[test]
    fn the_rate_of_all_is_bounded_and_everybody_gets_a_turn() {
        let began = run(&mut schedule(100, 1.0, 10.0, 1000), 0.0, 60.0, 0.1);
        for second in 0..59 {
            let from = f64::from(second);
            let n = began.iter().filter(|(at, _)| (from..from + 1.0).contains(at)).count();
            assert!(n <= 12, "{n} in second {second}");
        }
        let names: std::collections::HashSet<_> = began.iter().map(|(_, name)| name).collect();
        assert_eq!(names.len(), 100);
    }

    #[test]
    fn few_run_at_one_time_and_none_twice() {
        let began = run(&mut schedule(10, 1.0, 1000.0, 3), 0.0, 30.0, 2.0);
        for (at, _) in &began {
            let running: Vec<_> = began.iter().filter(|(b, _)| *b <= *at && *at < b + 2.0 - 1e-9).collect();
            let names: std::collections::HashSet<_> = running.iter().map(|(_, name)| name).collect();
            assert!(running.len() <= 3 && names.len() == running.len(), "{running:?}");
        }
    }

    #[test]
    fn a_reload_changes_whom_is_asked() {
        let mut schedule = schedule(3, 5.0, 100.0, 10);
        run(&mut schedule, 0.0, 20.0, 0.1);
        let mut wanted = pops(4, 5.0);
        wanted.remove(0);
        wanted[0].1.timeout_secs = 0.5;
        schedule.adopt(wanted.iter().map(|(n, p)| (n, p)), 20.0);
        let began = run(&mut schedule, 20.0, 5.5, 0.1);
        let n = |i: usize| began.iter().filter(|(_, name)| *name == format!("p{i}.pop.").parse().unwrap()).count();
        assert_eq!(n(0), 0);
        assert!((1..=3).all(|i| n(i) >= 1), "{began:?}");
        assert!(!schedule.ended(&"p0.pop.".parse().unwrap()), "what ends late is wanted no more");
        assert!((schedule.wanted_per_second() - 0.6).abs() < 1e-9);
    }
}
