//! Master-file text (RFC 1035 section 5): tokens with file, line and column, shared by zones and policies.
//!
//! A loader puts its root text into a [`Scanner`] and takes [`Entry`] after [`Entry`]; directives
//! (`$ORIGIN`, `$TTL`, `$INCLUDE`, `$GENERATE`) have been followed by then. What cannot be scanned is
//! reported and skipped. The texts stay in [`Sources`], so that any [`Span`] can become a diagnostic later.

pub mod diagnostic;
mod directive;
pub mod entry;
pub mod generate;
pub mod lex;
pub mod scanner;
pub mod source;
pub mod ttl;

pub use diagnostic::{Diagnostic, Report, Severity, suggest};
pub use directive::join;
pub use entry::{Entry, Token};
pub use scanner::{Includes, Scanner, State, no_includes};
pub use source::{Sources, Span, decode, unescape};
pub use ttl::parse_ttl;
