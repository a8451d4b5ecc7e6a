//! History: what was measured, forecast and decided, on disk, so that a restart does not forget.
//!
//! ```text
//!   control ── Recorder ──▶ bounded queue ──▶ writer ──▶ Pending ──▶ File ──▶ history.db
//!              never waits                    a thread   by minute   batches
//! ```
//!
//! Every tick's demand, load, errors and latency are samples of named series ([`SeriesName`]); they are gathered by minute
//! ([`Pending`]), written in batches, and rolled up at a minute, five, fifteen and an hour ([`rollup`]). What an
//! [`Issued`] forecast said is scored when its minute has come, and the score is a series again. States of models and
//! the shares of plans are kept as they are handed over.
//!
//! Everything is a function of values, but for two places: `sqlite` has the file, `writer` the thread and its clock.

pub mod block;
pub mod books;
pub mod codec;
pub mod config;
pub mod csv;
pub mod grid;
pub mod pending;
pub mod records;
pub mod rollup;
pub mod series;
pub mod sketch;
pub mod sqlite;
pub mod timestamp;
pub mod writer;

pub use books::{Books, Counted, Dropped, Health};
pub use config::{Config, Keep};
pub use pending::{Observation, Pending, Record};
pub use records::{Issued, ModelState, PlanShares, Scored};
pub use rollup::{Bucket, Level};
pub use series::{BadName, Kind, SeriesName};
pub use sketch::Sketch;
pub use writer::{History, Recorder, recent};
