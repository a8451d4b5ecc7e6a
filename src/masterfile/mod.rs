//! Master-file text (RFC 1035 section 5): tokens with file, line and column, shared by zones and policies.

pub mod diagnostic;

pub use diagnostic::{Diagnostic, Report, Severity};
