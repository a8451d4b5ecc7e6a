//! The course of a play, second by second, and what it comes to.

use crate::steering::{BreakerState, ShadowState};
use serde::Serialize;
use std::fmt::Write as _;

//----------- Film -----------------------------------------------------------

/// One second.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Seconds since the start.
    pub t: f64,
    /// Requests per second that clients make.
    pub demand: f64,
    /// Requests per second that the server plans for.
    pub planned: f64,
    /// TTL of answers, seconds.
    pub ttl: u32,
    /// One entry per POP.
    pub pops: Vec<PopFrame>,
    /// Share of the surging clients that would be given each POP now; empty where nobody looked.
    pub surging: Vec<f64>,
}

/// One POP in one second. Shares are of the demand of all clients, in `[0, 1]`.
#[derive(Clone, Debug)]
pub struct PopFrame {
    /// Share that the plan gives it: its shares of cells, by the demand of each cell now.
    pub intended: f64,
    /// Share that it would be given if everybody asked now; `None` where nobody looked.
    pub answered: Option<f64>,
    /// Share that arrives there, as it reports.
    pub observed: f64,
    /// Requests per second that arrive there.
    pub load: f64,
    /// What it can carry, as the server knows.
    pub capacity: f64,
    /// Its breaker.
    pub breaker: BreakerState,
    /// The state of its shadow member.
    pub shadow: Option<ShadowState>,
}

/// Something that happened, for the plot.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Seconds since the start.
    pub t: f64,
    /// What.
    pub text: String,
}

/// A play as it was seen.
#[derive(Clone, Debug, Default)]
pub struct Film {
    /// The POPs, by position.
    pub pops: Vec<String>,
    /// The seconds.
    pub frames: Vec<Frame>,
    /// What happened.
    pub marks: Vec<Mark>,
    /// The announced surge: when it was announced, and for when.
    pub announced: Option<(f64, f64)>,
    /// Seconds from the report that shows a failure to the first answer that is another.
    pub to_changed_answer: Option<f64>,
}

impl Film {
    /// Notes what happened.
    pub fn mark(&mut self, t: f64, text: impl Into<String>) {
        self.marks.push(Mark { t, text: text.into() });
    }

    /// One line per second and POP.
    pub fn csv(&self) -> String {
        let mut out =
            "secs,pop,intended,answered,observed,load,capacity,breaker,shadow,demand,planned,ttl\n".to_string();
        for frame in &self.frames {
            for (name, pop) in self.pops.iter().zip(&frame.pops) {
                let answered = pop.answered.map_or(String::new(), |share| format!("{share:.4}"));
                let shadow = pop.shadow.map_or(String::new(), |state| format!("{state:?}"));
                let _ = writeln!(
                    out,
                    "{:.1},{name},{:.4},{answered},{:.4},{:.0},{:.0},{:?},{shadow},{:.0},{:.0},{}",
                    frame.t,
                    pop.intended,
                    pop.observed,
                    pop.load,
                    pop.capacity,
                    pop.breaker,
                    frame.demand,
                    frame.planned,
                    frame.ttl
                );
            }
        }
        out
    }
}

//----------- Figures --------------------------------------------------------

/// What a play came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Seconds from the report that shows a failure to the first answer that is another.
    pub seconds_to_changed_answer: Option<f64>,
    /// Part of the answers for the surging clients that had moved when the announced surge began, of what they were when it was
    /// announced.
    pub moved_before_start: Option<f64>,
    /// Seconds before the announced start at which a shadow was asked for.
    pub shadow_wanted_before: Option<f64>,
    /// Seconds before the announced start at which it was ready.
    pub shadow_ready_before: Option<f64>,
    /// Mean distance of the answers from the plan: the part of all answers that would have to move.
    pub answered_from_intended: f64,
    /// Mean distance of the loads from the plan, by which caches lag behind.
    pub observed_from_intended: f64,
    /// Part of all answers that move in a minute, in the second half of the play.
    pub moved_per_minute: f64,
    /// The least and the most that the POPs' shares of answers differed from their own mean in the second half: the largest of all POPs.
    pub wandered: f64,
}

impl Film {
    /// See [`Figures`].
    pub fn figures(&self) -> Figures {
        let since = |at: f64| self.frames.iter().find(|f| f.t >= at && !f.surging.is_empty());
        let moved = |(at, starts): (f64, f64)| Some(apart(&since(at)?.surging, &since(starts)?.surging));
        let shadow_is = |states: &[ShadowState]| {
            let is = |f: &&Frame| f.pops.iter().any(|p| p.shadow.is_some_and(|s| states.contains(&s)));
            self.frames.iter().find(is).map(|f| f.t)
        };
        let before = |states: &[ShadowState]| Some(self.announced?.1 - shadow_is(states)?);
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let shares = |f: &Frame, of: fn(&PopFrame) -> f64| f.pops.iter().map(of).collect::<Vec<f64>>();
        let intended = |f: &Frame| shares(f, |p| p.intended);
        let looked: Vec<(&Frame, Vec<f64>)> = self.frames.iter().filter_map(|f| Some((f, answered(f)?))).collect();
        let late = &looked[looked.len() / 2..];
        let churn: f64 = late.windows(2).map(|pair| apart(&pair[0].1, &pair[1].1)).sum();
        let span = late.last().zip(late.first()).map_or(0.0, |(last, first)| last.0.t - first.0.t);
        let wander = |p: usize| {
            let of: Vec<f64> = late.iter().map(|(_, shares)| shares[p]).collect();
            let middle = mean(of.clone());
            of.iter().map(|share| (share - middle).abs()).fold(0.0, f64::max)
        };
        use ShadowState::{Active, Ready, Warming};
        Figures {
            seconds_to_changed_answer: self.to_changed_answer,
            moved_before_start: self.announced.and_then(moved),
            shadow_wanted_before: before(&[Warming, Ready, Active]),
            shadow_ready_before: before(&[Ready, Active]),
            answered_from_intended: mean(looked.iter().map(|(f, seen)| apart(seen, &intended(f))).collect()),
            observed_from_intended: mean(
                self.frames.iter().map(|f| apart(&shares(f, |p| p.observed), &intended(f))).collect(),
            ),
            moved_per_minute: if span > 0.0 { 60.0 * churn / span } else { 0.0 },
            wandered: (0..self.pops.len()).map(wander).fold(0.0, f64::max),
        }
    }
}

/// The answered shares of a second, where somebody looked.
fn answered(frame: &Frame) -> Option<Vec<f64>> {
    frame.pops.iter().map(|p| p.answered).collect()
}

/// How much of one distribution has to move to make it the other, in `[0, 1]`.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn frame(t: f64, first: f64, shadow: ShadowState) -> Frame {
        let pop = |share: f64, shadow| PopFrame {
            intended: share,
            answered: Some(share),
            observed: 0.5,
            load: 100.0,
            capacity: 200.0,
            breaker: BreakerState::Closed,
            shadow,
        };
        let pops = vec![pop(first, None), pop(1.0 - first, Some(shadow))];
        Frame { t, demand: 200.0, planned: 220.0, ttl: 60, pops, surging: vec![first, 1.0 - first] }
    }

    pub fn film() -> Film {
        let frames = vec![
            frame(0.0, 0.5, ShadowState::Cold),
            frame(10.0, 0.5, ShadowState::Warming),
            frame(20.0, 0.7, ShadowState::Ready),
            frame(30.0, 0.6, ShadowState::Active),
            frame(40.0, 0.6, ShadowState::Active),
        ];
        let pops = vec!["ams.pop.example.com.".to_string(), "<dub&>.".to_string()];
        Film { pops, frames, announced: Some((0.0, 20.0)), ..Film::default() }
    }

    #[test]
    fn figures_are_those_of_the_course() {
        let figures = film().figures();
        assert!((figures.moved_before_start.unwrap() - 0.2).abs() < 1e-9);
        assert_eq!((figures.shadow_wanted_before, figures.shadow_ready_before), (Some(10.0), Some(0.0)));
        assert_eq!(figures.answered_from_intended, 0.0);
        assert!((figures.moved_per_minute - 60.0 * 0.1 / 20.0).abs() < 1e-9, "{figures:?}");
        assert_eq!(Film::default().figures(), Figures::default());
        assert_eq!(film().csv().lines().count(), 11);
    }
}
