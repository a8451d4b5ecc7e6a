//! Flap damping: a target that fails again and again after it came back stays out for longer.
//!
//! The way of routers (RFC 2439 section 4.2 to 4.4, with the figures of section 4.8.1's aggressive set and of common practice):
//! each return that ends in a trip adds one to a figure of merit, which halves every 15 minutes. Above 2, as after three in quick
//! succession, the target stays out until it has fallen below 0.75; never for more than an hour. Back-off within one failure is
//! another matter (`control::breaker`): it asks again soon, since a failure that is repaired should be over.

use crate::clock::Now;

/// Seconds in which the figure halves.
const HALF_LIFE_SECS: f64 = 900.0;
/// Above this the target is kept out.
const SUPPRESS: f64 = 2.0;
/// Below this it is not any more.
const REUSE: f64 = 0.75;
/// Longest that it is kept out, seconds: the figure is cut to what decays in it (RFC 2439 section 4.2).
const LONGEST_SECS: f64 = 3600.0;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Damping {
    /// The figure of merit and the moment that it is of; `None` before the first flap.
    merit: Option<(f64, Now)>,
    is_suppressed: bool,
}

impl Damping {
    /// The figure of merit, in flaps.
    pub fn merit(&self, now: Now) -> f64 {
        self.merit.map_or(0.0, |(merit, at)| merit * 0.5f64.powf(now.since(at) / HALF_LIFE_SECS))
    }

    /// Counts a flap.
    pub fn flap(&mut self, now: Now) {
        let most = REUSE * 2f64.powf(LONGEST_SECS / HALF_LIFE_SECS);
        let merit = (self.merit(now) + 1.0).min(most);
        self.merit = Some((merit, now));
        self.is_suppressed |= merit > SUPPRESS;
    }

    /// For how many seconds it is kept out yet; 0 if it is not.
    pub fn hold_secs(&self, now: Now) -> f64 {
        match self.is_suppressed {
            true => (HALF_LIFE_SECS * (self.merit(now) / REUSE).log2()).max(0.0),
            false => 0.0,
        }
    }

    /// Ends what is over.
    pub fn settle(&mut self, now: Now) {
        self.is_suppressed &= self.hold_secs(now) > 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;

    fn after(flaps: &[f64]) -> Damping {
        let mut damping = Damping::default();
        for secs in flaps {
            damping.settle(at(*secs));
            damping.flap(at(*secs));
        }
        damping
    }

    #[test]
    fn three_in_quick_succession_are_too_many() {
        let minutes = |flaps: &[f64], now: f64| (after(flaps).hold_secs(at(now)) / 60.0).round();
        assert_eq!(minutes(&[], 0.0), 0.0);
        assert_eq!(minutes(&[0.0, 300.0], 300.0), 0.0);
        assert_eq!(minutes(&[0.0, 300.0, 600.0], 600.0), 25.0);
        assert_eq!(minutes(&[0.0, 300.0, 600.0], 1200.0), 15.0, "it passes");
        assert_eq!(minutes(&[0.0, 1800.0, 3600.0, 5400.0], 5400.0), 0.0, "one in half an hour is not quick");
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(minutes(&many, 99.0), 60.0, "an hour at most");
    }

    /// RFC 2439 section 4.2: what was kept out is used again only below the lower of the two limits.
    #[test]
    fn the_way_back_is_below_the_way_out() {
        let mut damping = after(&[0.0, 1.0, 2.0]);
        damping.settle(at(902.0));
        assert!(damping.merit(at(902.0)) < SUPPRESS && damping.hold_secs(at(902.0)) > 0.0);
        let end = 2.0 + damping.hold_secs(at(2.0));
        damping.settle(at(end + 1.0));
        assert_eq!(damping.hold_secs(at(end + 1.0)), 0.0);
        damping.flap(at(end + 2.0));
        assert_eq!(damping.hold_secs(at(end + 2.0)), 0.0, "1.75 is below the upper one");
    }
}
