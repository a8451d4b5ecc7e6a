//! A series on a grid → quantiles of what comes; pure numerics, unaware of what is counted.
//!
//! Members each say one value per lead (`naive`, `ets`); what each got wrong lately, per lead, makes its
//! quantile function (`track`); the functions are averaged with weights by recent pinball loss
//! (`engine`). Averaging quantile functions (Vincentisation) keeps their order, so quantiles never cross.

pub mod engine;
pub mod ets;
pub mod naive;
pub mod quantiles;
pub mod track;

pub use engine::Forecaster;
pub use quantiles::Quantiles;
