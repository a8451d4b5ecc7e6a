//! What a run is judged by.

use crate::sim::pops::Outcome;
use crate::steering::{GroupPlan, ShadowState};

/// Milliseconds per bin of latency, and bins; the last holds all that is longer.
const BIN_MS: f64 = 1.0;
/// See [`BIN_MS`].
const BINS: usize = 1024;
/// Seconds between looks at the answers, for reversals.
const LOOK_SECS: f64 = 10.0;
/// Goodput from which on service counts as whole, and seconds over which it is taken.
const WHOLE: f64 = 0.99;
/// See [`WHOLE`].
const STRETCH_SECS: f64 = 10.0;

/// Sums of a run while it goes on.
#[derive(Clone, Debug)]
pub struct Score {
    requests: f64,
    over: f64,
    failed: f64,
    cut: f64,
    added: Vec<f64>,
    ms: f64,
    least_ms: f64,
    minute: (u64, f64, f64),
    worst: f64,
    worst_share: f64,
    standby_secs: f64,
    starts: u64,
    shadow: Vec<Vec<ShadowState>>,
    churn: f64,
    reversed: f64,
    /// Per group and cell: the row at the start of the stretch, the one before, and how far it went meanwhile.
    looks: Vec<Vec<Look>>,
    looked: f64,
    stretch_from: f64,
    queries: u64,
    secs: f64,
    calm: f64,
    money: f64,
    groups: Vec<GroupSums>,
    /// When all is over that a scenario does; `None` where it does not end.
    over_at: Option<f64>,
    /// Since when: requests, and those that had been given up or were on the way to it.
    stretch: (f64, f64, f64),
    /// The end of the last stretch in which too few were served well.
    bad_until: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct GroupSums {
    requests: f64,
    failed: f64,
    over: f64,
    well: f64,
    added: f64,
}

#[derive(Clone, Debug, Default)]
struct Look {
    first: Vec<f32>,
    last: Vec<f32>,
    way: f64,
}

/// The figures of one run. Requests are counts, times milliseconds.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Figures {
    /// First tries.
    pub requests: f64,
    /// Offered to POPs over their `max`, tries again included.
    pub overload_requests: f64,
    /// The same as percents of requests.
    pub overload_percent: f64,
    /// Most of them in one minute.
    pub worst_minute: f64,
    /// That minute's as percents of its requests.
    pub worst_minute_percent: f64,
    /// Given up after all tries, or without an answer.
    pub failed_requests: f64,
    /// Network and queue, mean.
    pub mean_ms: f64,
    /// To the nearest member that is up, mean.
    pub nearest_ms: f64,
    /// What is on top of that, mean.
    pub added_ms: f64,
    /// The same, 0.95 quantile.
    pub p95_ms: f64,
    /// Hours that shadows were on.
    pub shadow_hours: f64,
    /// How often one was started.
    pub shadow_starts: f64,
    /// Answers moved, in times of all demand.
    pub answer_churn: f64,
    /// Of these, moved back within one lag.
    pub reversals: f64,
    /// Queries per second that the server was asked.
    pub queries_per_sec: f64,
    /// Requests to shadows that were off.
    pub cut_requests: f64,
    /// Percents of seconds in which no POP was used to 90 % or more.
    pub calm_percent: f64,
    /// What was served by the prices of POPs and members.
    pub money: f64,
    /// Seconds from the end of the last surge or fault until 99 % of requests are served well for good; the rest of the run where
    /// they never are, `None` where the scenario has no such end.
    pub recovery_secs: Option<f64>,
    /// The same by group, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupFigures>,
}

/// The figures of one group.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct GroupFigures {
    /// First tries.
    pub requests: f64,
    /// Percents of them given up after all tries, or without an answer.
    pub failed_percent: f64,
    /// Its part of what was offered to POPs over their `max`, as percents of its requests.
    pub overload_percent: f64,
    /// Mean milliseconds over the nearest member that is up.
    pub added_ms: f64,
}

impl Score {
    /// Nothing yet; `n_members` of each group, `n_cells`, and when all is over that the scenario does.
    pub fn new(n_members: &[usize], n_cells: usize, over_at: Option<f64>) -> Score {
        Score {
            requests: 0.0,
            over: 0.0,
            failed: 0.0,
            cut: 0.0,
            added: vec![0.0; BINS],
            ms: 0.0,
            least_ms: 0.0,
            minute: (0, 0.0, 0.0),
            worst: 0.0,
            worst_share: 0.0,
            standby_secs: 0.0,
            starts: 0,
            shadow: n_members.iter().map(|n| vec![ShadowState::Cold; *n]).collect(),
            churn: 0.0,
            reversed: 0.0,
            looks: n_members.iter().map(|_| vec![Look::default(); n_cells]).collect(),
            looked: f64::NEG_INFINITY,
            stretch_from: f64::NEG_INFINITY,
            queries: 0,
            secs: 0.0,
            calm: 0.0,
            money: 0.0,
            groups: vec![GroupSums::default(); n_members.len()],
            over_at,
            stretch: (0.0, 0.0, 0.0),
            bad_until: f64::NEG_INFINITY,
        }
    }

    /// Requests of a group that were sent to a member; `failing` is the part of tries that fail there,
    /// `price` money per million.
    pub fn served(&mut self, g: usize, requests: f64, failing: f64, [ms, least_ms]: [f64; 2], price: f64) {
        self.requests += requests;
        self.money += requests * (1.0 - failing) * price / 1e6;
        let well = requests * (1.0 - failing);
        self.ms += well * ms;
        self.least_ms += well * least_ms;
        let bin = ((ms - least_ms).max(0.0) / BIN_MS) as usize;
        self.added[bin.min(BINS - 1)] += well;
        let group = &mut self.groups[g];
        group.requests += requests;
        group.well += well;
        group.added += well * (ms - least_ms);
    }

    /// Requests of a group that had no answer to go by.
    pub fn nowhere(&mut self, g: usize, requests: f64) {
        self.requests += requests;
        self.groups[g].requests += requests;
        self.fail(g, requests);
    }

    fn fail(&mut self, g: usize, requests: f64) {
        self.failed += requests;
        self.groups[g].failed += requests;
    }

    /// A group's part of what a POP was offered over its `max`, and of what was given up there.
    pub fn part(&mut self, g: usize, over: f64, lost: f64) {
        self.groups[g].over += over;
        self.groups[g].failed += lost;
    }

    /// A shadow's step: its state, and the requests that it got while it was off.
    pub fn standby(&mut self, g: usize, m: usize, state: ShadowState, cut: f64, dt: f64) {
        let before = std::mem::replace(&mut self.shadow[g][m], state);
        if state != ShadowState::Cold {
            self.standby_secs += dt;
            self.starts += u64::from(before == ShadowState::Cold);
        }
        self.cut += cut;
        self.fail(g, cut);
    }

    /// Seconds of standing by of those that are never off.
    pub fn kept_on(&mut self, secs: f64) {
        self.standby_secs += secs;
    }

    /// What POPs made of a step.
    pub fn pops(&mut self, pops: impl Iterator<Item = Outcome>, dt: f64, t: f64) {
        let (mut over, mut offered, mut most) = (0.0, 0.0, 0.0f64);
        for out in pops {
            over += out.over * dt;
            offered += out.offered * dt;
            self.failed += out.lost * dt;
            most = most.max(if out.capacity > 0.0 { out.offered / out.capacity } else { 0.0 });
        }
        self.over += over;
        self.secs += dt;
        self.calm += if most < 0.9 { dt } else { 0.0 };
        self.stretch_to(t);
        let minute = (t / 60.0) as u64;
        if minute != self.minute.0 {
            self.minute = (minute, 0.0, 0.0);
        }
        self.minute.1 += over;
        self.minute.2 += offered;
        if self.minute.1 > self.worst {
            self.worst = self.minute.1;
            self.worst_share = self.minute.1 / self.minute.2.max(1.0);
        }
    }

    /// Closes a stretch that is long enough, and sees whether it was bad.
    fn stretch_to(&mut self, t: f64) {
        let (since, requests, failed) = self.stretch;
        if t - since < STRETCH_SECS {
            return;
        }
        if self.failed - failed > (1.0 - WHOLE) * (self.requests - requests) {
            self.bad_until = t;
        }
        self.stretch = (t, self.requests, self.failed);
    }

    /// What the server was asked.
    pub fn asked(&mut self, queries: u64) {
        self.queries += queries;
    }

    /// A plan takes the place of another: `demand[g]` yields the cells with their requests per second.
    pub fn moved(&mut self, before: &[GroupPlan], after: &[GroupPlan], demand: &[Vec<(usize, f64)>]) {
        let total: f64 = demand.iter().flatten().map(|(_, d)| d).sum();
        for ((before, after), cells) in before.iter().zip(after).zip(demand) {
            for (r, d) in cells.iter().filter(|(_, d)| *d > 0.0) {
                let row = |plan: &GroupPlan| plan.rows[plan.row_of_cell[*r] as usize].clone();
                self.churn += d / total.max(1e-9) * distance(&row(before).to_vec(), &row(after).to_vec());
            }
        }
    }

    /// Looks at the answers at `t`, for what goes to and fro within `lag` seconds.
    pub fn look(&mut self, plan: &[GroupPlan], demand: &[Vec<(usize, f64)>], lag: f64, t: f64) {
        if t - self.looked < LOOK_SECS {
            return;
        }
        self.looked = t;
        let ends = t - self.stretch_from >= lag;
        let total: f64 = demand.iter().flatten().map(|(_, d)| d).sum();
        for ((looks, plan), cells) in self.looks.iter_mut().zip(plan).zip(demand) {
            for (r, d) in cells {
                let (look, now) = (&mut looks[*r], plan.rows[plan.row_of_cell[*r] as usize].to_vec());
                if !look.last.is_empty() {
                    look.way += distance(&look.last, &now);
                }
                if ends {
                    if !look.first.is_empty() {
                        self.reversed += d / total.max(1e-9) * (look.way - distance(&look.first, &now)).max(0.0);
                    }
                    (look.first, look.way) = (now.clone(), 0.0);
                }
                look.last = now;
            }
        }
        if ends {
            self.stretch_from = t;
        }
    }

    /// The figures.
    pub fn figures(&self) -> Figures {
        let well: f64 = self.added.iter().sum::<f64>().max(1.0);
        let (mut sum, mut p95) = (0.0, (BINS - 1) as f64 * BIN_MS);
        for (bin, n) in self.added.iter().enumerate() {
            sum += n;
            if sum >= 0.95 * well {
                p95 = bin as f64 * BIN_MS;
                break;
            }
        }
        let requests = self.requests.max(1.0);
        let group = |of: &GroupSums| GroupFigures {
            requests: of.requests,
            failed_percent: 100.0 * of.failed / of.requests.max(1.0),
            overload_percent: 100.0 * of.over / of.requests.max(1.0),
            added_ms: of.added / of.well.max(1.0),
        };
        let groups = if self.groups.len() > 1 { self.groups.iter().map(group).collect() } else { Vec::new() };
        Figures {
            requests: self.requests,
            overload_requests: self.over,
            overload_percent: 100.0 * self.over / requests,
            worst_minute: self.worst,
            worst_minute_percent: 100.0 * self.worst_share,
            failed_requests: self.failed,
            mean_ms: self.ms / well,
            nearest_ms: self.least_ms / well,
            added_ms: (self.ms - self.least_ms) / well,
            p95_ms: p95,
            shadow_hours: self.standby_secs / 3600.0,
            shadow_starts: self.starts as f64,
            answer_churn: self.churn,
            reversals: self.reversed,
            queries_per_sec: self.queries as f64 / self.secs.max(1.0),
            cut_requests: self.cut,
            calm_percent: 100.0 * self.calm / self.secs.max(1e-9),
            money: self.money,
            recovery_secs: self.over_at.map(|at| (self.bad_until - at).max(0.0)),
            groups,
        }
    }
}

/// Half of the sum of differences: the part of the answers that is not the same.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::{Demand, Row};

    fn plan(share: f32) -> GroupPlan {
        GroupPlan {
            ttl: 60,
            demand: Demand::default(),
            members: Vec::new(),
            rows: vec![Row::new(&[share, 1.0 - share])],
            row_of_cell: vec![0],
            blind_rows: Vec::new(),
            blind_row_of_cell: Vec::new(),
            short: 0.0,
            heavy: Default::default(),
        }
    }

    #[test]
    fn what_goes_to_and_fro_is_churn_and_reversal() {
        let mut score = Score::new(&[2], 1, None);
        let demand = [vec![(0, 10.0)]];
        let course = [0.0, 0.2, 0.4, 0.2, 0.0, 0.0, 0.3, 0.6, 0.9, 1.0, 1.0, 1.0];
        for (i, pair) in course.windows(2).enumerate() {
            score.moved(&[plan(pair[0])], &[plan(pair[1])], &demand);
            score.look(&[plan(pair[0])], &demand, 50.0, i as f64 * 10.0);
        }
        let figures = score.figures();
        assert!((figures.answer_churn - 1.8).abs() < 1e-6, "{figures:?}");
        assert!((figures.reversals - 0.8).abs() < 1e-6, "{figures:?}");
    }

    /// Half a minute of failures, and the end of what caused them ten seconds after they began.
    #[test]
    fn recovery_is_when_it_is_well_for_good() {
        let mut score = Score::new(&[1], 1, Some(110.0));
        for t in 1..=300 {
            score.served(0, 100.0, 0.0, [10.0, 10.0], 0.0);
            if (100..130).contains(&t) {
                score.nowhere(0, 5.0);
            }
            score.pops(std::iter::empty(), 1.0, f64::from(t));
        }
        assert_eq!(score.figures().recovery_secs, Some(20.0));
    }

    #[test]
    fn latencies_are_counted_over_the_nearest() {
        let mut score = Score::new(&[1], 1, None);
        score.served(0, 90.0, 0.0, [10.0, 10.0], 2.0);
        score.served(0, 10.0, 0.5, [40.0, 10.0], 2.0);
        let figures = score.figures();
        assert_eq!((figures.requests, figures.p95_ms), (100.0, 30.0));
        assert!((figures.added_ms - 150.0 / 95.0).abs() < 1e-9);
    }
}
