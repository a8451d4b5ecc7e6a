//! Fronts: what a controller buys with its reserve, overload against milliseconds.
//!
//! A larger reserve alone buys less overload for more latency, so single settings cannot be compared. A controller's front is
//! what is best of a sweep over its reserve; two controllers are compared where they are equally fast.

/// Overload of which nobody could tell that it is there, percents: what logarithms are taken from.
const LEAST_OVER: f64 = 0.001;

/// A setting of a controller, and what it scored: means over seeds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Point {
    /// Reserve, a part of capacity.
    pub reserve: f64,
    /// Mean latency, milliseconds.
    pub ms: f64,
    /// Overload, percents of requests.
    pub over: f64,
    /// Hours of standby.
    pub hours: f64,
}

/// The points that no other one beats in both, from the fastest on.
pub fn front(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.ms.total_cmp(&b.ms).then(a.over.total_cmp(&b.over)));
    let mut best = f64::INFINITY;
    sorted.retain(|p| {
        p.over < best && {
            best = p.over;
            true
        }
    });
    sorted
}

/// What the best tuning of a front has at a latency: overload and standby between its two neighbours, overload along the
/// straight line of its logarithm, since it falls by factors. Beyond its ends, the fastest or the slowest point itself; `None`
/// only without any.
pub fn at(front: &[Point], ms: f64) -> Option<Point> {
    let after = front.iter().position(|p| p.ms > ms).unwrap_or(front.len());
    let (Some(low), Some(high)) = (after.checked_sub(1).and_then(|i| front.get(i)), front.get(after)) else {
        return if after == 0 { front.first().copied() } else { front.last().copied() };
    };
    let part = (ms - low.ms) / (high.ms - low.ms);
    let mix = |a: f64, b: f64| a + part * (b - a);
    let ln = |p: &Point| (p.over + LEAST_OVER).ln();
    let over = (mix(ln(low), ln(high)).exp() - LEAST_OVER).max(0.0);
    Some(Point { reserve: mix(low.reserve, high.reserve), ms, over, hours: mix(low.hours, high.hours) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<Point> {
        let of = |(reserve, ms, over): (f64, f64, f64)| Point { reserve, ms, over, hours: 10.0 * reserve };
        [(0.1, 15.0, 4.0), (0.2, 16.0, 1.0), (0.3, 17.0, 2.0), (0.4, 20.0, 0.01)].map(of).to_vec()
    }

    #[test]
    fn a_front_has_no_point_that_another_beats() {
        let front = front(&points());
        assert_eq!(front.iter().map(|p| p.reserve).collect::<Vec<_>>(), [0.1, 0.2, 0.4]);
    }

    #[test]
    fn between_points_overload_falls_by_factors() {
        let front = front(&points());
        assert_eq!(at(&front, 14.9).unwrap().ms, 15.0, "never so fast");
        assert_eq!(at(&[], 14.9), None);
        assert_eq!(at(&front, 15.0).unwrap().over, 4.0);
        let middle = at(&front, 15.5).unwrap();
        assert!((middle.over - 2.0).abs() < 0.01 && (middle.hours - 1.5).abs() < 1e-9, "{middle:?}");
        assert_eq!(at(&front, 30.0).unwrap(), front[2], "slower than any: its best");
    }
}
