//! The tick: samples in, plan out.
