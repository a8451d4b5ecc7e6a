//! DNSSEC at the edge: `[dnssec]` of floodway.toml, the folder of keys, `floodway ds` and `floodway keygen dnssec`.

pub mod check;
pub mod config;
pub mod ds;
pub mod keys;
pub mod make;
pub mod rollover;
pub mod sign;
