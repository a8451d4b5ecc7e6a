//! Bounds on what automation may take away, and the way out when too much is gone.
//!
//! Telemetry can be wrong about many POPs at once. So trips may remove at most a third of all capacity in
//! ten minutes, and when what is left cannot carry the demand, the least bad of the Open POPs serve again:
//! a POP that fails half its requests still serves the other half.

use crate::id::PopIdx;
use crate::wire::Name;

/// Share of all capacity that automation may remove within [`SPAN_SECS`].
const MAX_REMOVED: f64 = 1.0 / 3.0;
/// See [`MAX_REMOVED`].
const SPAN_SECS: f64 = 600.0;
/// Healthy capacity must be this much above demand, or Open POPs are taken back.
const PANIC_MARGIN: f64 = 1.05;

/// Capacity that trips removed lately.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// Whose, monotonic seconds, requests per second.
    trips: Vec<(Name, f64, f64)>,
}

impl Removed {
    /// Whether `capacity` of `total`, which is that of `name`, may be removed at `mono`. The first trip always may, however
    /// large the POP: one failing POP must not go on failing because there are few. So may one that was counted already.
    pub fn allows(&self, name: &Name, capacity: f64, total: f64, mono: f64) -> bool {
        let others = self.trips.iter().filter(|(of, at, _)| of != name && mono - at < SPAN_SECS);
        let gone: f64 = others.map(|(_, _, capacity)| capacity).sum();
        gone == 0.0 || gone + capacity <= MAX_REMOVED * total + 1e-9
    }

    /// Notes a trip; of several of one target the last counts.
    pub fn note(&mut self, name: &Name, capacity: f64, mono: f64) {
        self.trips.retain(|(of, at, _)| of != name && mono - at < SPAN_SECS);
        self.trips.push((name.clone(), mono, capacity));
    }
}

/// The Open POPs to take back: those that fail least first, until what serves covers demand and a margin.
/// `None` while the others suffice.
///
/// `healthy`: capacity that serves without them; `open`: each Open POP with its capacity and the share of
/// its requests that failed when it tripped.
pub fn panic_readmits(healthy: f64, demand: f64, open: &[(PopIdx, f64, f64)]) -> Option<Vec<PopIdx>> {
    if open.is_empty() || healthy >= PANIC_MARGIN * demand {
        return None;
    }
    let goodput = |(_, capacity, errors): &(PopIdx, f64, f64)| capacity * (1.0 - errors);
    let mut order: Vec<_> = open.iter().filter(|pop| goodput(pop) > 0.0).collect();
    order.sort_by(|a, b| a.2.total_cmp(&b.2).then(goodput(b).total_cmp(&goodput(a))).then(a.0.cmp(&b.0)));
    let (mut serving, mut taken) = (healthy, Vec::new());
    for pop in order {
        if serving >= PANIC_MARGIN * demand {
            break;
        }
        serving += goodput(pop);
        taken.push(pop.0);
    }
    (!taken.is_empty()).then_some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_in_ten_minutes_but_always_the_first() {
        let mut removed = Removed::default();
        let [a, b, c] = ["a.", "b.", "c."].map(|name| name.parse::<Name>().unwrap());
        assert!(removed.allows(&a, 8.0, 20.0, 0.0));
        removed.note(&a, 8.0, 0.0);
        assert!(removed.allows(&a, 8.0, 20.0, 10.0), "the same again takes away no more");
        assert!(!removed.allows(&b, 1.0, 20.0, 599.0));
        assert!(removed.allows(&b, 1.0, 20.0, 600.0));
        removed.note(&b, 2.0, 700.0);
        assert!(removed.allows(&c, 4.0, 20.0, 800.0) && !removed.allows(&c, 5.0, 20.0, 800.0));
        removed.note(&b, 2.0, 1200.0);
        assert!(!removed.allows(&c, 5.0, 20.0, 1500.0), "it counts from its last trip on");
    }

    #[test]
    fn panic_takes_back_the_least_bad_until_covered() {
        let (a, b, c) = ((PopIdx(0), 100.0, 0.9), (PopIdx(1), 100.0, 0.1), (PopIdx(2), 100.0, 1.0));
        assert_eq!(panic_readmits(105.0, 100.0, &[a, b]), None);
        assert_eq!(panic_readmits(50.0, 100.0, &[a, b]), Some(vec![PopIdx(1)]));
        assert_eq!(panic_readmits(0.0, 100.0, &[a, b, c]), Some(vec![PopIdx(1), PopIdx(0)]));
        assert_eq!(panic_readmits(0.0, 100.0, &[c]), None, "what serves nothing is no help");
    }
}
