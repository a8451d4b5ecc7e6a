//! What the server answers, held against the RFCs, an obvious lookup, and an independent reader of messages.

#[path = "../fixture/mod.rs"]
mod fixture;

mod additional;
mod compact;
mod cookies;
mod debug;
mod envelope;
mod hints;
mod left_out;
mod oracle;
mod plain;
mod rules;
mod scope;
mod shares;
mod signed;
mod steered;
