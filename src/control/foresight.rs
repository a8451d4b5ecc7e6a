//! How good the forecasts are, by group and lead, and where they come from: for people, graphs and alerts.

use crate::control::fitter::Fitter;
use crate::control::state::State;
use crate::forecast::engine::Explained;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Forecasts scored, below which nobody is alerted: half a day's worth at every second minute.
const LEAST_SCORED: u64 = 360;
/// An alert ends when accuracy is so much above its limit.
const CLEAR: f64 = 0.02;

//----------- Config ---------------------------------------------------------

/// `[forecast]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// CPU seconds a minute for fitting forecasters, beside the control loop; default 6: a tenth of one core.
    /// With less, fits are older.
    pub cpu_seconds_per_minute: f64,
    /// Megabytes that forecasters may take up together; default 1024. With many groups each has less: shared
    /// models, then a short history.
    pub memory_megabytes: u32,
    /// `1 − MAPE` under which the forecasts of a group are complained about; default 0.75. 0 never complains.
    pub alert_accuracy: f64,
    /// The zone by whose clock people go, a name of the tz database or a rule of POSIX; default `UTC`. Days are followed
    /// through its changes of clocks.
    pub zone: String,
}

impl Default for Config {
    fn default() -> Config {
        Config { cpu_seconds_per_minute: 6.0, memory_megabytes: 1024, alert_accuracy: 0.75, zone: "UTC".into() }
    }
}

impl Config {
    /// What types cannot say.
    ///
    /// # Errors
    /// A text for people.
    pub fn check(&self) -> Result<(), String> {
        let Config { cpu_seconds_per_minute: cpu, memory_megabytes: memory, alert_accuracy: alert, .. } = *self;
        if !(0.1..=60.0).contains(&cpu) {
            return Err(format!("[forecast] cpu-seconds-per-minute = {cpu}: 0.1 to 60, of one core"));
        }
        if !(16..=1 << 20).contains(&memory) {
            return Err(format!("[forecast] memory-megabytes = {memory}: 16 to {}", 1 << 20));
        }
        if !(0.0..1.0).contains(&alert) {
            return Err(format!("[forecast] alert-accuracy = {alert}: a share from 0 to below 1, such as 0.75"));
        }
        Ok(())
    }
}

//----------- Foresight ------------------------------------------------------

/// One look at all forecasters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Foresight {
    /// What each group has: `own models`, `shared models`, ….
    pub tier: String,
    /// Bytes of all forecasters together, about.
    pub bytes: u64,
    /// Fits made since the start, those that failed, and the CPU seconds they took.
    pub fits: u64,
    /// See `fits`.
    pub failed_fits: u64,
    /// See `fits`.
    pub fit_seconds: f64,
    /// The groups, in file order.
    pub groups: Vec<GroupForesight>,
    /// By POP, the share of its capacity that is kept free.
    #[serde(default)]
    pub reserves: BTreeMap<String, f64>,
}

/// The forecasts of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupForesight {
    /// Its name.
    pub group: String,
    /// By lead, ascending; leads at which nothing was scored are left out.
    pub leads: Vec<LeadForesight>,
    /// What is wrong with its demand; `None` for nothing.
    #[serde(default)]
    pub anomaly: Option<AnomalyForesight>,
    /// Seconds after which a half, nine tenths and 99 % of its requests go by a new plan, as learned.
    #[serde(default)]
    pub lag_seconds: [f64; 3],
    /// By member, its share of the load over its share of answers, as learned; 1 where nothing says otherwise.
    #[serde(default)]
    pub gains: BTreeMap<String, f64>,
}

/// Parts of requests that [`GroupForesight::lag_seconds`] tells of.
pub const LAGS: [f64; 3] = [0.5, 0.9, 0.99];

/// What is wrong with the demand of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnomalyForesight {
    /// `surge`, `drop`, `level-shift`, `flat-line` or `telemetry-loss`.
    pub kind: String,
    /// Seconds since it began.
    pub seconds: f64,
    /// Probability that calm would not have looked so within a day, in `[0, 1)`.
    pub sure: f64,
}

/// The forecasts of one group at one lead, over the last day or so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeadForesight {
    /// Seconds ahead.
    pub lead_seconds: u32,
    /// Forecasts scored since the start.
    pub scored: u64,
    /// `1 − MAPE`, not below 0; `None` if every outcome was 0.
    pub accuracy: Option<f64>,
    /// Mean absolute error over that of "as a day before".
    pub mase: Option<f64>,
    /// Mean pinball loss, requests per second.
    pub pinball: f64,
    /// Share of outcomes in the 80 % interval.
    pub covered_80: f64,
    /// Share of outcomes in the 95 % interval.
    pub covered_95: f64,
    /// Share of outcomes above the 0.99 quantile.
    pub above_99: f64,
    /// How members are combined, and how often another way took over.
    pub champion: String,
    /// See `champion`.
    pub promotions: u32,
    /// The members that say something, with their weights and recent losses.
    pub members: Vec<MemberForesight>,
}

/// One member's part in one lead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberForesight {
    /// What it is.
    pub member: String,
    /// In the forecast as it is now, in `[0, 1]`.
    pub weight: f64,
    /// Its recent pinball loss, requests per second; `None` before it was scored.
    pub loss: Option<f64>,
}

impl Foresight {
    /// What the forecasters of `state` come to.
    pub(in crate::control) fn of(state: &State, fitter: Option<&Fitter>) -> Foresight {
        let Some(layout) = &state.layout else { return Foresight::default() };
        let groups =
            layout.policies.groups.iter().zip(&state.groups).zip(&state.plan.groups).map(|((spec, group), plan)| {
                let step = group.outlook.forecaster().history().step_secs;
                let leads = group.outlook.explain().into_iter().filter_map(|e| lead(e, step));
                let wrong = group.outlook.watch().current();
                let anomaly =
                    wrong.map(|(a, seconds)| AnomalyForesight { kind: a.kind.name().into(), seconds, sure: a.sure });
                let gain = |(m, of): (&crate::policy::Member, &crate::control::state::MemberState)| {
                    (m.name.to_string(), of.gain.get())
                };
                GroupForesight {
                    group: spec.name.to_string(),
                    leads: leads.collect(),
                    anomaly,
                    lag_seconds: LAGS.map(|part| group.ring.lag(part, f64::from(plan.ttl))),
                    gains: spec.members.iter().zip(&group.members).map(gain).collect(),
                }
            });
        let bytes: usize = state.groups.iter().map(|g| g.outlook.forecaster().size()).sum();
        Foresight {
            tier: state.tier.name().to_string(),
            bytes: (bytes + state.thrift.shared.size()) as u64,
            fits: fitter.map_or(0, |f| f.done),
            failed_fits: fitter.map_or(0, |f| f.failed),
            fit_seconds: fitter.map_or(0.0, |f| f.spent_secs),
            groups: groups.collect(),
            reserves: layout
                .policies
                .pops
                .iter()
                .zip(&state.pops)
                .map(|(spec, of)| (spec.name.to_string(), of.reserve))
                .collect(),
        }
    }
}

fn lead(e: Explained, step_secs: u32) -> Option<LeadForesight> {
    let report = e.accuracy?;
    let member =
        |p: crate::forecast::engine::Part| MemberForesight { member: p.name.into(), weight: p.weight, loss: p.loss };
    Some(LeadForesight {
        lead_seconds: e.lead as u32 * step_secs,
        scored: report.n,
        accuracy: report.accuracy(),
        mase: report.mase,
        pinball: report.pinball,
        covered_80: report.covered_80,
        covered_95: report.covered_95,
        above_99: report.above_99,
        champion: e.champion.name().into(),
        promotions: e.promotions,
        members: e.parts.into_iter().filter(|p| p.fitted).map(member).collect(),
    })
}

//----------- Alerts ---------------------------------------------------------

/// Which groups are complained about, so that each is once.
#[derive(Debug, Default)]
pub struct Alerts(BTreeSet<String>);

impl Alerts {
    /// Groups whose forecasts have become worse than `limit` at some lead up to half an hour: name, lead in
    /// seconds, accuracy; and groups whose forecasts are good again.
    pub fn step<'a>(&mut self, seen: &'a Foresight, limit: f64) -> (Vec<(&'a str, u32, f64)>, Vec<&'a str>) {
        let (mut worse, mut better) = (vec![], vec![]);
        for group in &seen.groups {
            let judged = group.leads.iter().filter(|l| l.scored >= LEAST_SCORED && l.lead_seconds <= 1800);
            let figures = judged.filter_map(|l| Some((l.lead_seconds, l.accuracy?)));
            let Some((lead, accuracy)) = figures.min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            if accuracy < limit && self.0.insert(group.group.clone()) {
                worse.push((group.group.as_str(), lead, accuracy));
            } else if accuracy >= limit + CLEAR && self.0.remove(&group.group) {
                better.push(group.group.as_str());
            }
        }
        self.0.retain(|name| seen.groups.iter().any(|g| g.group == *name));
        (worse, better)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(accuracy: f64, scored: u64) -> Foresight {
        let lead = LeadForesight {
            lead_seconds: 900,
            scored,
            accuracy: Some(accuracy),
            mase: None,
            pinball: 1.0,
            covered_80: 0.8,
            covered_95: 0.95,
            above_99: 0.0,
            champion: "alone".into(),
            promotions: 0,
            members: vec![],
        };
        Foresight {
            groups: vec![GroupForesight {
                group: "www".into(),
                leads: vec![lead],
                anomaly: None,
                lag_seconds: [0.0; 3],
                gains: BTreeMap::new(),
            }],
            ..Foresight::default()
        }
    }

    #[test]
    fn each_group_is_complained_about_once() {
        let mut alerts = Alerts::default();
        let mut step = |accuracy, scored| {
            let seen = seen(accuracy, scored);
            let (worse, better) = alerts.step(&seen, 0.75);
            (worse.len(), better.len())
        };
        assert_eq!(step(0.5, 10), (0, 0), "too few");
        assert_eq!(
            [step(0.7, 500), step(0.7, 500), step(0.76, 500), step(0.8, 500), step(0.8, 500)],
            [(1, 0), (0, 0), (0, 0), (0, 1), (0, 0)]
        );
    }
}
