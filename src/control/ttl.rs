//! The TTL of a group's answers: short before a move, long only as far as head-room allows.
//!
//! A long TTL when calm is what makes the next surge hurt: stuck clients are the price, queries the
//! saving. So it is never longer than the time in which a fast surge would fill what is free:
//! `τ ≤ 2·(ln(1/ρ)/g − detect − connections)`. It shortens at once and lengthens by 8 % per 15 s.
//!
//! Before a move that is known ahead it counts down, so that what is given out has expired when shares move, and nobody asks
//! more often before that.

use crate::clock::Now;

/// Growth of a fast surge, per second: the 0.99 quantile taken from the World Cup 98 logs at five minutes.
const SURGE_GROWTH: f64 = 1e-3;
/// Seconds until a surge is noticed, and until connections follow.
const DETECT_SECS: f64 = 30.0;
/// See [`DETECT_SECS`].
const CONNECTION_SECS: f64 = 100.0;
/// Lengthening per beat, and the beat.
const LENGTHEN: f64 = 1.08;
/// See [`LENGTHEN`].
const BEAT_SECS: f64 = 15.0;
/// Above this utilisation it does not lengthen.
const CALM_UTILISATION: f64 = 0.6;
/// From this probability of running short on it is as short as may be.
const RISK: f64 = 0.05;
/// Before an announced move the TTL is this part of the time left, up to all of it, by a sequence that fills the range
/// evenly: answers of one moment do not expire in one moment.
const COUNT_DOWN: f64 = 0.8;
/// See [`COUNT_DOWN`]: steps of the golden ratio.
const GOLDEN: f64 = 0.618_033_988_749_894_9;
/// The longest while telemetry is silent, seconds.
const BLIND_SECS: f64 = 60.0;

/// What bears on the TTL of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    /// A breaker of the group is not Closed, a shadow is on its way, or demand surges or drops unforeseen: shares
    /// are about to move.
    pub moving: bool,
    /// Probability that demand outgrows what is usable, within the longest lead looked at.
    pub risk: f64,
    /// Planned demand ÷ what is usable.
    pub utilisation: f64,
    /// Telemetry is silent.
    pub blind: bool,
    /// Seconds until shares move for an announced event; 0 while they do, `None` while nothing is announced.
    pub shift_secs: Option<f64>,
}

/// The TTL of one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ttl {
    secs: f64,
    beat: Now,
}

impl Ttl {
    /// Starts at `max` seconds.
    pub fn new(max: u32, now: Now) -> Ttl {
        Ttl { secs: f64::from(max), beat: now }
    }

    /// The TTL from `now` on, in `min..=max` seconds.
    pub fn step(&mut self, min: u32, max: u32, outlook: &Outlook, now: Now) -> u32 {
        let (min, max) = (f64::from(min), f64::from(max.max(min)));
        let cap = match outlook.utilisation {
            u if u > 0.0 => 2.0 * (-u.min(1.0).ln() / SURGE_GROWTH - DETECT_SECS - CONNECTION_SECS),
            _ => max,
        };
        let cap = if outlook.blind { cap.min(BLIND_SECS) } else { cap };
        let soon = outlook.shift_secs.is_some_and(|secs| secs < 2.0 * max);
        let calm = outlook.utilisation < CALM_UTILISATION && !outlook.blind && !soon;
        if outlook.moving || outlook.risk >= RISK {
            (self.secs, self.beat) = (min, now);
        } else if now.since(self.beat) >= BEAT_SECS {
            self.beat = now;
            self.secs *= if calm { LENGTHEN } else { 1.0 };
        }
        self.secs = self.secs.min(cap).min(max).max(min);
        // Counted down apart: the rest of the rule goes on from where it was when the event is over.
        let part = COUNT_DOWN + (1.0 - COUNT_DOWN) * (now.mono * GOLDEN).fract();
        let count_down = outlook.shift_secs.map_or(max, |secs| (part * secs).max(min));
        self.secs.min(count_down).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;

    #[test]
    fn shortens_at_once_and_lengthens_slowly() {
        let mut ttl = Ttl::new(60, at(0.0));
        let calm = Outlook { utilisation: 0.3, ..Outlook::default() };
        let mut step = |outlook: &Outlook, secs: f64| ttl.step(20, 60, outlook, at(secs));
        assert_eq!(step(&calm, 1.0), 60);
        assert_eq!(step(&Outlook { moving: true, ..calm }, 2.0), 20);
        assert_eq!(step(&calm, 3.0), 20);
        assert_eq!(step(&calm, 17.0), 22);
        assert_eq!((18..400).map(|s| step(&calm, f64::from(s))).max(), Some(60));
        assert_eq!(step(&Outlook { risk: 0.06, ..calm }, 401.0), 20);
    }

    #[test]
    fn before_an_announced_move_it_counts_down() {
        let mut ttl = Ttl::new(60, at(0.0));
        let mut step = |shift_secs: Option<f64>, secs: f64| {
            ttl.step(20, 60, &Outlook { utilisation: 0.3, shift_secs, ..Outlook::default() }, at(secs))
        };
        assert_eq!(step(Some(300.0), 1.0), 60, "too far to matter");
        let near = step(Some(50.0), 2.0);
        assert!((40..=50).contains(&near), "{near}");
        assert_ne!(step(Some(49.0), 3.0), step(Some(49.0), 4.0), "spread out");
        assert_eq!([step(Some(10.0), 5.0), step(Some(0.0), 6.0)], [20, 20]);
        assert_eq!(step(None, 7.0), 60, "and is as it was afterwards");
    }

    #[test]
    fn head_room_bounds_it_even_when_calm() {
        let at_utilisation = |utilisation: f64| {
            Ttl::new(600, at(0.0)).step(20, 600, &Outlook { utilisation, ..Outlook::default() }, at(1.0))
        };
        assert_eq!(at_utilisation(0.75), 315);
        assert_eq!(at_utilisation(0.85), 65);
        assert_eq!(at_utilisation(1.2), 20);
        assert_eq!(at_utilisation(0.0), 600);
        assert_eq!(Ttl::new(600, at(0.0)).step(20, 600, &Outlook { blind: true, ..Outlook::default() }, at(1.0)), 60);
    }
}
