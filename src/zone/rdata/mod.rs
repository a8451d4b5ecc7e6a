//! RDATA: its text and its wire form, for every type, out of one table.
//!
//! [`formats`] lists the fields of each type; [`scan()`] walks them over the tokens of an entry, [`print()`] over wire
//! form, so a type is understood in both directions or in none. Types without a row, and any type when written so,
//! use the form of RFC 3597: `\# length hex`.
//!
//! Wire form here is uncompressed, with letters as they were written.

pub mod bitmap;
mod check;
mod codec;
mod doubt;
pub mod formats;
mod loc;
mod print;
mod scan;
mod svcb;
pub mod wire;

pub(crate) use codec::{base32, parse_moment, print_moment, put_base32, unbase32};
pub use doubt::{lacks_dot, unknown_type};
pub use formats::{Field, Format, format_of, parse_type, type_names, type_text};
pub use print::print;
pub use scan::scan;
pub use svcb::{hinted_target, with_hints};
pub(crate) use svcb::{params, params_at};

#[cfg(test)]
mod tests;
