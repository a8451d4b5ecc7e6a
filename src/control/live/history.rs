//! What the loop keeps of each tick, and takes up again at a start.

use crate::clock::Now;
use crate::control::live::Loop;
use crate::control::remember::{demand_of, learnt_of};
use crate::wire::Name;
use std::collections::HashMap;

/// How far back demand is recalled at the start, seconds: what a forecaster keeps where there is room.
const RECALLED_SECS: i64 = 28 * 86_400;
/// How long that may take, seconds; groups that are left then begin anew. The plan of the last run serves meanwhile.
const RECALL_SECS: f64 = 5.0;

impl Loop {
    /// Hands what is worth keeping to the history, which takes it without waiting.
    pub(super) fn remember(&mut self, now: Now) {
        let Some(history) = &self.wiring.history else { return };
        let generation = self.wiring.exchange.load().generation;
        for record in self.remember.tick(&self.state, generation, now) {
            // What finds no room is counted there.
            history.recorder().record(record);
        }
    }

    /// Gives the state what is stored of the demand of groups, so that a restart does not forget.
    pub(super) fn recall(&mut self) {
        let Some(history) = &self.wiring.history else { return };
        let (start, policies) = (self.wiring.clock.now(), self.wiring.exchange.load().policies.clone());
        let until = start.unix as i64;
        let (mut past, mut learnt, mut n_late) = (HashMap::<Name, _>::new(), HashMap::new(), 0);
        for group in &policies.groups {
            if self.wiring.clock.now().since(start) > RECALL_SECS {
                n_late += 1;
                continue;
            }
            let series = demand_of(&group.name);
            let minutes = series.as_ref().map(|series| history.recent(series, until - RECALLED_SECS, until, 60));
            let models = series.and_then(|series| history.models(&series).ok()).unwrap_or_default();
            if let Some(known) = learnt_of(models) {
                learnt.insert(group.name.clone(), known);
            }
            // What begins with a gap is shorter.
            let known = minutes.map(|m| m.into_iter().skip_while(Option::is_none).collect::<Vec<_>>());
            if let Some(known) = known.filter(|known| !known.is_empty()) {
                past.insert(group.name.clone(), known);
            }
        }
        if n_late > 0 {
            tracing::warn!(
                "the history of {n_late} groups was not read in {RECALL_SECS} s; their forecasts begin anew"
            );
        }
        if !past.is_empty() {
            let (n, n_learnt) = (past.len(), learnt.len());
            tracing::info!(
                "forecasts go on from the stored demand of {n} groups, {n_learnt} of them with stored models"
            );
        }
        self.state.recall(past);
        self.state.remind(learnt);
    }
}
