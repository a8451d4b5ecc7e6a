//! The `floodway` binary: hands its arguments to the library and its exit status to the shell.

use std::process::ExitCode;

fn main() -> ExitCode {
    floodway::cli::main()
}
