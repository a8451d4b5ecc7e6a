//! Parts of the loop that a comparison may do without, or do otherwise. The live server has all of them, as they are here by default.

use crate::control::allocate::Options;
use crate::control::silence;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skills {
    /// Reads from the loads of POPs and the answers that are outstanding which cells ask for more.
    pub origins: bool,
    /// Lets what grows go on growing until the next answers are in force.
    pub trend: bool,
    /// Knows that connections and some caches outlive answers. Without, all clients go by what caches hold.
    pub tail: bool,
    /// Places slots that carry much as a whole, by what they carry. Without, a slot counts as a slot.
    pub heavy: bool,
    /// Learns how much load a member gets per answer.
    pub gains: bool,
    /// Lets a POP fill up in bounded steps, where nothing must leave another.
    pub steps: bool,
    /// Tells overload from failure: caps who has too much, and opens who fails. Without, both are failure.
    pub caps: bool,
    /// Switches a shadow off on measured residue. Without, when one TTL is over.
    pub residue: bool,
    /// Lets a shadow go by what may be asked for, by a prior on how surges grow where no forecast may be used. Without, by what
    /// is asked for now.
    pub prior: bool,
    /// Quantiles planned for, at the group's own lead and at twice that. Higher ones than by default cost milliseconds
    /// all day and bought nothing in simulation.
    pub planned: [f64; 2],
    /// What is served while telemetry is silent.
    pub silence: Silence,
    /// How the allocation weighs things.
    pub options: Options,
}

impl Default for Skills {
    fn default() -> Skills {
        Skills {
            origins: true,
            trend: true,
            tail: true,
            heavy: true,
            gains: true,
            steps: true,
            caps: true,
            residue: true,
            prior: true,
            planned: [0.6, 0.8],
            silence: Silence::Blend,
            options: Options::default(),
        }
    }
}

/// What is served while telemetry is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The last plan, for ever.
    Hold,
    /// It goes over to the blind rows: see [`silence`].
    Blend,
    /// The blind rows, as soon as holding ends.
    Jump,
}

impl Silence {
    /// Weight of the blind rows after so many seconds of silence of the majority, in `[0, 1]`.
    pub fn blind_weight(self, majority_secs: f64) -> f64 {
        match self {
            Silence::Hold => 0.0,
            Silence::Blend => silence::blind_weight(majority_secs),
            Silence::Jump => f64::from(u8::from(majority_secs >= silence::HOLD_SECS)),
        }
    }
}
