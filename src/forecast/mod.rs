//! A slice of demand → quantiles over a horizon; pure numerics.
