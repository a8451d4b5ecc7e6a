//! Every zone served, found by the longest apex that is a suffix of the question.

/// The zones of one load.
#[derive(Debug, Default)]
pub struct ZoneSet {}
