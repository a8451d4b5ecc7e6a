//! What stands at a POP beside a shadow member, and keeps it as the server wants it.

use crate::steering::ShadowState;

/// The agent of one shadow member.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The member's name.
    pub member: String,
    /// Its POP, by position.
    pub pop: usize,
    /// Whether the group has no other member at the POP: then all that comes there is the shadow's.
    pub is_alone: bool,
    state: ShadowState,
    warm_at: f64,
}

impl Agent {
    /// The agent of a shadow that is off.
    pub fn new(member: &str, pop: usize, is_alone: bool) -> Agent {
        Agent { member: member.to_owned(), pop, is_alone, state: ShadowState::Cold, warm_at: f64::INFINITY }
    }

    /// What it reports at `t`.
    pub fn state(&mut self, t: f64) -> ShadowState {
        if self.state == ShadowState::Warming && t >= self.warm_at {
            self.state = ShadowState::Ready;
        }
        self.state
    }

    /// Hears at `t` what is wanted; a shadow that is off takes `warm_secs` to get warm. What is wanted is desired state: it
    /// may be said again, and a step that was never heard of does not matter.
    pub fn hear(&mut self, wanted: ShadowState, t: f64, warm_secs: f64) {
        use ShadowState::{Active, Cold, Draining, Ready, Warming};
        self.state = match (self.state(t), wanted) {
            (Cold, Warming | Ready | Active) => {
                self.warm_at = t + warm_secs;
                Warming
            }
            (Warming, Warming | Ready | Active) => Warming,
            (_, Warming | Ready) => Ready,
            (_, Active) => Active,
            (Cold | Warming, Draining | Cold) | (_, Cold) => Cold,
            (_, Draining) => Draining,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ShadowState::*;

    #[test]
    fn it_gets_warm_before_it_serves() {
        let mut agent = Agent::new("dub.web", 0, true);
        let mut check = |t: f64, wanted: Option<ShadowState>, is: ShadowState| {
            wanted.into_iter().for_each(|wanted| agent.hear(wanted, t, 10.0));
            assert_eq!(agent.state(t), is, "at {t}");
        };
        check(0.0, Some(Cold), Cold);
        check(1.0, Some(Warming), Warming);
        check(5.0, Some(Active), Warming);
        check(10.9, None, Warming);
        check(11.0, None, Ready);
        check(12.0, Some(Active), Active);
        check(13.0, Some(Draining), Draining);
        check(14.0, Some(Active), Active);
        check(15.0, Some(Cold), Cold);
        check(16.0, Some(Draining), Cold);
    }
}
