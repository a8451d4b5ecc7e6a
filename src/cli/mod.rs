//! Arguments, files on disk, wiring, exit status.

pub mod client;
pub mod pops;
pub mod report;
pub mod table;

use std::process::ExitCode;

/// Runs the command line and says how it ended.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
