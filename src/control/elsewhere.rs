//! What part of a group's demand goes to external members: nobody reports it, and it has not gone away.
//!
//! ```text
//!   E = Σ_r e_r D_r / Σ_r D_r        e_r: part of cell r's clients who go by answers that lead out (`ring`)
//!   D = y / (1 − E)                  y: what all POPs report together
//! ```
//!
//! Without it overflow takes itself back: with what went out counted as gone, the rest fits, less is sent out, and POPs with a
//! room of `R` for a demand of `D` settle at `√(R·D)`, above what they can carry as soon as `D` is somewhat more.

use crate::control::ring::Ring;
use crate::policy::Group;

/// The most that is believed: beyond it what is reported says too little of the whole.
const MOST: f64 = 0.9;

/// What part goes elsewhere now; 0 for groups without external members. `demand[r]`: what each cell asks for, in any unit.
pub fn part(spec: &Group, ring: &Ring, demand: &[f64], unix: f64) -> f64 {
    let column = ring.column(unix, |m| spec.members[m].pop.is_none());
    let whole: f64 = demand.iter().sum();
    if whole <= 0.0 || column.n_cells() != demand.len() {
        return 0.0;
    }
    let out: f64 = demand.iter().enumerate().map(|(r, d)| d * column.at(r, 1.0)).sum();
    (out / whole).clamp(0.0, MOST)
}
