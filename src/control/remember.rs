//! What of a tick is worth remembering: once a second what was measured, once a minute what was forecast, and of
//! plans what moved.

use crate::clock::Now;
use crate::control::expected::totals;
use crate::control::silence::NORMAL_SECS;
use crate::control::state::{Layout, Learnt, State};
use crate::control::tick::quiet_secs;
use crate::control::trips::reporters_at;
use crate::control::window::{Outcomes, RATE_SECS};
use crate::forecast::quantiles::LEVELS;
use crate::forecast::saved;
use crate::id::PopIdx;
use crate::steering::{GroupPlan, Mode};
use crate::store::{Issued, Kind, Level, ModelState, Observation, PlanShares, Record, SeriesName};
use crate::wire::Name;
use std::collections::HashMap;
use std::sync::Arc;

/// Groups of which every level of a forecast is kept; of more, [`FEW`]. Our choice: some 5 MB a week and group, 300 in all.
const FULL: usize = 64;
/// Positions of 0.5 and 0.9 among the levels.
const FEW: [usize; 2] = [7, 11];
/// Names under which models are kept, and what outcomes taught.
const MODELS: &str = "models";
/// See [`MODELS`].
const RECORDS: &str = "records";
/// Minutes between records that are kept: what a restart may forget of them.
const RECORDS_MINUTES: i64 = 15;
/// A plan is kept once the share of a member has moved so far since the one that was kept before. Our choice: what
/// one sees in a graph.
const MOVED: f32 = 0.01;
/// Seconds between plans of one group that are kept, at least, and at most while something is served.
const PLANS_SECS: [i64; 2] = [10, 3600];

//----------- Remember -------------------------------------------------------

/// What has been handed over, so that it is not handed over twice.
#[derive(Debug, Default)]
pub struct Remember {
    names: Option<Names>,
    second: i64,
    minute: i64,
    plans: HashMap<Name, PlanShares>,
    /// When the models that are kept of a group were fitted, Unix seconds.
    fitted: HashMap<Name, i64>,
}

/// Names of the series, parallel to the policies of a layout; `None` for one that nothing can be kept of.
#[derive(Debug)]
struct Names {
    layout: Arc<Layout>,
    demand: Vec<Option<SeriesName>>,
    /// Load, errors, latency.
    pops: Vec<[Option<SeriesName>; 3]>,
}

/// The series of a group's demand in requests per second, as its forecaster sees it; `None` for a name too long to be kept.
pub fn demand_of(group: &Name) -> Option<SeriesName> {
    SeriesName::new(Kind::Group, &group.to_string(), "demand-rps").ok()
}

/// What is kept of the models of a group; `None` without any.
pub fn learnt_of(kept: Vec<ModelState>) -> Option<Learnt> {
    let mut learnt = Learnt::default();
    for model in kept {
        match model.name.as_str() {
            MODELS => learnt.models = model.state,
            RECORDS => learnt.records = Some(model.state),
            _ => {}
        }
    }
    (!learnt.models.is_empty()).then_some(learnt)
}

impl Remember {
    /// What is to be kept of the tick that `state` has just made, published as `generation`: nothing, mostly. The wall
    /// clock may step: what was handed over for a second or a minute is not again.
    pub fn tick(&mut self, state: &State, generation: u64, now: Now) -> Vec<Record> {
        let Some(layout) = &state.layout else { return Vec::new() };
        let names = match self.names.take().filter(|names| Arc::ptr_eq(&names.layout, layout)) {
            Some(names) => names,
            None => Names::of(layout),
        };
        let mut records = Vec::new();
        let second = now.unix.floor() as i64;
        let minute = Level::Minute.floor(second);
        if second != self.second {
            self.second = second;
            records.push(Record::Samples(measured(state, layout, &names, now)));
            self.plans(state, layout, generation, second, &mut records);
        }
        if minute != self.minute {
            self.minute = minute;
            forecasts(state, &names, minute, &mut records);
            self.models(state, layout, &names, minute, &mut records);
        }
        self.names = Some(names);
        records
    }

    /// Models that were fitted since, and of a fifteenth of the groups what outcomes taught.
    fn models(&mut self, state: &State, layout: &Layout, names: &Names, minute: i64, records: &mut Vec<Record>) {
        self.fitted.retain(|group, _| layout.group_idx.contains_key(group));
        let groups = layout.policies.groups.iter().zip(&state.groups).zip(&names.demand);
        for (g, ((spec, group), series)) in groups.enumerate() {
            let forecaster = group.outlook.forecaster();
            let (Some(series), Some(at)) = (series, forecaster.fitted_at()) else { continue };
            let at = forecaster.history().secs(at);
            let keep = |name: &str, state| {
                let (series, name, version) = (series.clone(), name.to_string(), saved::VERSION);
                Record::Model(ModelState { series, name, version, at: minute, state })
            };
            let is_new = self.fitted.get(&spec.name) != Some(&at);
            if is_new {
                self.fitted.insert(spec.name.clone(), at);
                records.extend(forecaster.save_models().map(|octets| keep(MODELS, octets)));
            }
            if is_new || (minute / 60 + g as i64) % RECORDS_MINUTES == 0 {
                records.push(keep(RECORDS, forecaster.save_records()));
            }
        }
    }

    fn plans(&mut self, state: &State, layout: &Layout, generation: u64, second: i64, records: &mut Vec<Record>) {
        self.plans.retain(|group, _| layout.group_idx.contains_key(group));
        for (spec, plan) in layout.policies.groups.iter().zip(&state.plan.groups) {
            let shares = shares_of(spec, plan, state.plan.mode, generation, second);
            let is_due = self.plans.get(&spec.name).is_none_or(|before| {
                let age = second - before.at;
                age >= PLANS_SECS[1] || age < 0 || age >= PLANS_SECS[0] && shares.moved(before) >= MOVED
            });
            if is_due {
                self.plans.insert(spec.name.clone(), shares.clone());
                records.push(Record::Plan(shares));
            }
        }
    }
}

impl Names {
    fn of(layout: &Arc<Layout>) -> Names {
        let pop = |pop: &crate::policy::Pop| {
            let who = pop.name.to_string();
            ["load-rps", "errors-ratio", "latency-p95-ms"].map(|m| SeriesName::new(Kind::Pop, &who, m).ok())
        };
        Names {
            demand: layout.policies.groups.iter().map(|group| demand_of(&group.name)).collect(),
            pops: layout.policies.pops.iter().map(pop).collect(),
            layout: layout.clone(),
        }
    }
}

/// Demand of groups, and load, errors and latency of POPs, of this moment. Who has been silent says nothing.
fn measured(state: &State, layout: &Layout, names: &Names, now: Now) -> Vec<Observation> {
    let blind = quiet_secs(state, now) >= NORMAL_SECS;
    let demands = totals(state, layout, now).into_iter().map(|total| total.filter(|_| !blind));
    let pops = state.pops.iter().enumerate().flat_map(|(p, pop)| {
        if pop.silent_secs(now) >= NORMAL_SECS {
            return [None; 3];
        }
        let reporters = || reporters_at(state, PopIdx::from(p)).map(|(_, reporter)| &reporter.window);
        let load = reporters().filter_map(|window| window.rate()).reduce(|a, b| a + b);
        let outcomes = reporters()
            .map(|window| window.recent(RATE_SECS, f64::NEG_INFINITY))
            .fold(Outcomes::default(), Outcomes::beside);
        [load, (outcomes.requests > 0.0).then(|| outcomes.error_share()), outcomes.p95_ms()]
    });
    let values = demands.chain(pops);
    let series = names.demand.iter().chain(names.pops.iter().flatten());
    let seen = series.zip(values).filter_map(|(series, value)| {
        // Seven digits are more than any of it is good to, and the rest would double the file.
        let value = f64::from(value? as f32);
        Some(Observation { series: series.clone()?, at: now.unix, value })
    });
    seen.collect()
}

/// What is expected, from the minute that has just ended: all levels, or the median and 0.9 of many groups.
fn forecasts(state: &State, names: &Names, minute: i64, records: &mut Vec<Record>) {
    let is_full = state.groups.len() <= FULL;
    for ((series, group), plan) in names.demand.iter().zip(&state.groups).zip(&state.plan.groups) {
        let (Some(series), Some(_), Some(issued)) = (series, plan.demand.ahead, group.outlook.issued()) else {
            continue;
        };
        records.extend(issued.into_iter().map(|(lead_secs, said)| {
            let level = |i: usize| (LEVELS[i] as f32, said.values()[i] as f32);
            let quantiles = match is_full {
                true => (0..LEVELS.len()).map(level).collect(),
                false => FEW.map(level).to_vec(),
            };
            let target = minute + i64::from(lead_secs) - Level::Minute.secs();
            Record::Forecast(Issued { series: series.clone(), target, lead_secs, quantiles })
        }));
    }
}

fn shares_of(spec: &crate::policy::Group, plan: &GroupPlan, mode: Mode, generation: u64, at: i64) -> PlanShares {
    let members = spec.members.iter().zip(&plan.members).filter(|(_, member)| member.share > 0.0);
    PlanShares {
        group: spec.name.to_string(),
        at,
        generation,
        mode: format!("{mode:?}").to_lowercase(),
        shares: members.map(|(spec, member)| (spec.name.to_string(), member.share as f32)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{self, at, sample};
    use crate::control::tick::{Inputs, tick};
    use crate::exchange::TallySum;

    fn ticked(state: &mut State, samples: &[crate::telemetry::Sample], secs: f64) {
        let (policies, cells) = (Arc::new(fixture::policies()), Arc::new(fixture::cells()));
        let (policies, cells) = match &state.layout {
            Some(layout) => (layout.policies.clone(), layout.cells.clone()),
            None => (policies, cells),
        };
        tick(
            state,
            &Inputs {
                policies: &policies,
                cells: &cells,
                samples,
                probes: &[],
                tally: &TallySum::default(),
                calendar: None,
            },
            at(secs),
        );
    }

    fn samples(records: &[Record]) -> Vec<(String, f64)> {
        let of = |record: &Record| match record {
            Record::Samples(samples) => samples.iter().map(|s| (s.series.to_string(), s.value)).collect(),
            _ => Vec::new(),
        };
        records.iter().flat_map(of).collect()
    }

    #[test]
    fn a_second_is_told_once_and_silence_is_a_gap() {
        let (mut state, mut remember) = (State::new(1), Remember::default());
        ticked(&mut state, &[sample("iad", 1000.0, 10.0, 1000.0, 50.0)], 1000.0);
        let records = remember.tick(&state, 7, at(1000.0));
        let told = samples(&records);
        let value = |what: &str| told.iter().find(|(name, _)| name.starts_with(what)).map(|(_, value)| *value);
        assert_eq!((value("group/"), value("pop/iad")), (Some(100.0), Some(100.0)), "{told:?}");
        assert!(told.iter().any(|(name, value)| name.ends_with("errors-ratio") && (*value - 0.05).abs() < 1e-6));
        assert_eq!(
            told.iter().filter(|(name, _)| name.starts_with("pop/")).count(),
            3 - usize::from(value("latency").is_none())
        );
        let plans = |records: &[Record]| records.iter().filter(|r| matches!(r, Record::Plan(_))).count();
        assert_eq!(plans(&records), state.plan.groups.len());
        assert!(remember.tick(&state, 7, at(1000.4)).is_empty(), "the same second");
        ticked(&mut state, &[], 1100.0);
        let records = remember.tick(&state, 8, at(1100.0));
        assert!(samples(&records).iter().all(|(name, _)| name.starts_with("group/")), "as the forecaster sees it");
    }

    /// Two hours of demand, a forecast each minute: it names the minute that it is about, with all levels.
    #[test]
    fn forecasts_name_the_minute_they_are_about() {
        let (mut state, mut remember) = (State::new(1), Remember::default());
        let mut kept = vec![];
        for i in 0..7200 / 15 {
            let secs = 990.0 + 15.0 * f64::from(i);
            ticked(&mut state, &[sample("iad", secs, 10.0, 1000.0 + f64::from(i * i % 31), 0.0)], secs);
            kept = remember.tick(&state, 1, at(secs));
        }
        // The last was of 8175 s, no minute's first.
        assert!(kept.iter().all(|record| matches!(record, Record::Samples(_) | Record::Plan(_))));
        ticked(&mut state, &[], 8220.0);
        let kept = remember.tick(&state, 1, at(8220.0));
        let forecasts: Vec<_> =
            kept.iter().filter_map(|r| if let Record::Forecast(f) = r { Some(f) } else { None }).collect();
        let about: Vec<_> = forecasts.iter().take(3).map(|f| (f.target, f.lead_secs, f.quantiles.len())).collect();
        // From the minute that ended at 8220 on, five minutes ahead: the one that begins at 8460 and ends at 8520.
        assert_eq!(about, [(8460, 300, 16), (9060, 900, 16), (9960, 1800, 16)], "{forecasts:?}");
    }
}
