//! What the watch for anomalies would have told of the past of a series.

use crate::cli::forecast::fan::length;
use crate::cli::forecast::say;
use crate::cli::forecast::table::Series;
use crate::cli::table;
use crate::forecast::anomaly::{Anomalies, Anomaly, Change, USUAL_LIMIT};
use crate::forecast::engine::Forecaster;
use crate::forecast::quantiles::Quantiles;
use crate::store::timestamp;
use std::collections::VecDeque;

/// A table of anomalies over the last half, each value held against what was forecast at the longest lead before it.
pub fn words(mut forecaster: Forecaster, series: &Series) -> String {
    let lead = forecaster.leads().last().copied().unwrap_or(1);
    let mut watch = Anomalies::new(series.step_secs, USUAL_LIMIT);
    let mut waiting: VecDeque<Option<Quantiles>> = vec![None; lead].into();
    let (n, half) = (series.values.len(), series.values.len() / 2);
    let mut told: Vec<(Anomaly, usize, Option<usize>)> = vec![];
    for (t, value) in series.values.iter().enumerate() {
        let expected = waiting.pop_front().flatten();
        match if t >= half { watch.observe(*value, expected.as_ref()) } else { None } {
            Some(Change::Began(a)) => told.push((a, t, None)),
            Some(Change::Became(a)) => told.last_mut().into_iter().for_each(|last| last.0 = a),
            Some(Change::Ended(a)) => told.last_mut().into_iter().for_each(|last| (last.0, last.2) = (a, Some(t))),
            None => {}
        }
        forecaster.observe(*value);
        if t + lead >= half && forecaster.wants_fit() {
            say(&format!("row {t} of {n}: fitting"));
            forecaster.fit();
        }
        waiting.push_back(if t + lead >= half { forecaster.forecast(&[lead]).pop() } else { None });
    }
    say("");
    let mut rows = vec![["SINCE", "LASTED", "TOLD AFTER", "KIND", "SURE"].map(str::to_string).to_vec()];
    let step = u64::from(series.step_secs);
    for (anomaly, at, end) in &told {
        let since = half + anomaly.since as usize;
        rows.push(vec![
            timestamp::print(series.secs(since)),
            end.map_or("still there".into(), |end| length(end.saturating_sub(since) as u64 * step)),
            match at.saturating_sub(since) as u64 * step {
                0 => "at once".into(),
                secs => length(secs),
            },
            anomaly.kind.name().into(),
            format!("{:.1} %", 100.0 * anomaly.sure),
        ]);
    }
    table::print(&rows, &[1, 2, 4])
        + &format!("anomalies: {} in {}", told.len(), length((n - half) as u64 * step / 3_600 * 3_600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::settings::Settings;

    /// A jump in the last tenth is told with its time, and calm before it is not.
    #[test]
    fn a_jump_is_in_the_table() {
        let value = |i: usize| 100.0 + (i * i % 11) as f64 + if i >= 900 { 300.0 } else { 0.0 };
        let series = Series { start_secs: 0, step_secs: 60, values: (0..1000).map(value).collect() };
        let mut settings = Settings::default();
        settings.members.remove(0);
        let text = words(Forecaster::new(0, 60, &[15], settings.into()), &series);
        assert!(text.contains("1970-01-01T15:00:00Z") && text.ends_with("anomalies: 1 in 8 h"), "{text}");
    }
}
