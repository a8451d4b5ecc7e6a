//! Weight of a rival beside the main member, by recent pinball loss.

/// Hours after which a past loss counts half.
const HALF_LIFE_HOURS: f64 = 24.0;
/// The weights fall with this power of the loss. Our choice: the direct models lose half of what naive
/// loses on most series, and a mean with equal say would throw that away; at this power naive takes over
/// where it is better and is not heard where it is twice as bad.
const POWER: f64 = 24.0;
/// Least weight of the rival, so that it can come back.
const FLOOR: f64 = 0.005;

/// Decayed mean losses of two members at one lead.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rivals {
    main: f64,
    rival: f64,
    weight: f64,
}

impl Rivals {
    /// Takes in the losses of both at one outcome; `elapsed_hours` since the last.
    pub fn score(&mut self, main: f64, rival: f64, elapsed_hours: f64) {
        self.weight = 1.0 + self.weight * 0.5f64.powf(elapsed_hours / HALF_LIFE_HOURS);
        self.main += (main - self.main) / self.weight;
        self.rival += (rival - self.rival) / self.weight;
    }

    /// Weight of the rival in `[0.02, 0.98]`; the least before anything was scored.
    pub fn weight_of_rival(&self) -> f64 {
        if self.main <= 0.0 {
            return FLOOR;
        }
        let w = 1.0 / (1.0 + (self.rival / self.main).powf(POWER));
        w.clamp(FLOOR, 1.0 - FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_is_heard() {
        let weight = |main, rival| {
            let mut rivals = Rivals::default();
            (0..50).for_each(|_| rivals.score(main, rival, 0.1));
            rivals.weight_of_rival()
        };
        assert_eq!(Rivals::default().weight_of_rival(), FLOOR);
        assert_eq!(weight(1.0, 2.0), FLOOR);
        assert!((weight(1.0, 1.0) - 0.5).abs() < 1e-9);
        assert_eq!(weight(2.0, 1.0), 1.0 - FLOOR);
    }

    #[test]
    fn a_day_halves_the_past() {
        let mut rivals = Rivals::default();
        rivals.score(3.0, 1.0, 0.0);
        rivals.score(0.0, 1.0, 24.0);
        assert!((rivals.main - 1.0).abs() < 1e-9);
    }
}
