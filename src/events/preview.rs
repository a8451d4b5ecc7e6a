//! What an announcement would come to, before anybody acts on it: `floodway announce --dry-run`.

use crate::events::announcement::Announcement;
use crate::events::follow::Follower;
use crate::events::kind::Learnt;
use std::sync::Arc;

/// Minutes after the start that are shown.
pub const MINUTES: [f64; 14] = [0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 240.0, 480.0];

/// One moment of an expected curve, requests per second on top of what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds after the announced start.
    pub secs: f64,
    /// Not exceeded with probability 0.1.
    pub q10: f64,
    /// Not exceeded with probability 0.5.
    pub q50: f64,
    /// Not exceeded with probability 0.9: what is planned for before the start.
    pub q90: f64,
}

/// What is expected of an announcement.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The curve.
    pub points: Vec<Point>,
    /// Requests in all as announced, pass-along included, until it expires.
    pub requests: f64,
    /// Requests per second at the peak as announced.
    pub peak: f64,
    /// Seconds after the start of that peak.
    pub peak_secs: f64,
}

/// The curve of an announcement with what is known of its kind. `usual`: demand of the group at that time, requests per second.
pub fn preview(announcement: Arc<Announcement>, learnt: &Learnt, usual: f64) -> Preview {
    let follower = Follower::new(announcement, learnt, usual);
    let times = MINUTES.map(|minute| 60.0 * minute);
    let points = times.iter().zip(follower.course(&times));
    let points = points.map(|(secs, q)| Point { secs: *secs, q10: q.at(0.1), q50: q.at(0.5), q90: q.at(0.9) });
    let points = points.collect();
    let (requests, peak) = follower.announced();
    Preview { points, requests, peak, peak_secs: follower.peak_at() }
}
