//! What is wanted of POPs on the telemetry stream, as `/state` and the steering service show it.

use crate::admin::State;
use crate::telemetry::{Board, Delivery};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What is wanted of one POP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DirectivesState {
    /// Grows with each change.
    pub generation: u64,
    /// Shadows that should be in some state.
    pub shadows: u32,
    /// Members whose connections should end.
    pub connections: u32,
    /// How often this generation was said; 0 if the POP has not reported since.
    pub times_said: u32,
    /// Whether the POP has acknowledged it.
    pub acknowledged: bool,
}

/// Enters what is wanted of each POP into a state.
pub(crate) fn show(board: &Board, state: &mut State) {
    let deliveries: HashMap<String, Delivery> =
        board.deliveries().into_iter().map(|d| (d.pop.to_string(), d)).collect();
    for pop in &mut state.pops {
        pop.directives = deliveries.get(&pop.name).map(|d| DirectivesState {
            generation: d.wishes.generation,
            shadows: d.wishes.shadows.len() as u32,
            connections: d.wishes.drains.len() as u32,
            times_said: d.times,
            acknowledged: d.is_acknowledged,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture;
    use crate::steering::ShadowState;
    use crate::telemetry::{Directive, Said, proto};

    #[test]
    fn what_waits_for_its_acknowledgement_is_shown() {
        let source = fixture::source();
        let shown = || source.state().pops.iter().filter_map(|p| p.directives).collect::<Vec<_>>();
        assert_eq!(shown(), []);
        let pop = source.exchange.load().policies.pops[0].name.clone();
        let (group, member) = (pop.clone(), pop.clone());
        let wish = Directive { pop: pop.clone(), group, member, wanted: ShadowState::Warming, reason: String::new() };
        source.board.set(vec![wish], Vec::new());
        source.board.note_said(&pop, 1, Said::First);
        let mut of_pop = DirectivesState { generation: 1, shadows: 1, times_said: 1, ..DirectivesState::default() };
        assert_eq!(shown(), [of_pop]);
        source.board.note_heard(&pop, 1);
        of_pop.acknowledged = true;
        assert_eq!(shown(), [of_pop]);
        assert_eq!(DirectivesState::from(proto::DirectivesState::from(of_pop)), of_pop);
    }
}
