//! What is likely not meant: text that is well formed and reads as if something else were.

use crate::masterfile::{Diagnostic, Entry, Span, Token, suggest};
use crate::zone::rdata::formats::{Format, type_names};

/// The error for a type token that names no type.
pub fn unknown_type(entry: &Entry<'_>, token: Token<'_>) -> Diagnostic {
    let error = entry.error(token.span, format!("unknown record type \"{}\"", token.text));
    match suggest(token.text, type_names()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help("a type without a mnemonic is written TYPEnnn, with its data as \\# length digits"),
    }
}

/// A warning about a name that reads as if something else were meant. `wire` is what it came out as.
pub(super) fn doubtful_name(
    entry: &Entry<'_>,
    token: Token<'_>,
    wire: &[u8],
    what: &str,
    format: &Format,
) -> Option<Diagnostic> {
    if token.text == "@" {
        return None;
    }
    if format.code == 6 && what == "mailbox" && token.text.contains('@') && !token.text.contains("\\@") {
        let message = "a mailbox is a name: its first dot stands for the @";
        return Some(entry.warning(token.span, message).help(format!("write {}", token.text.replacen('@', ".", 1))));
    }
    if token.text.ends_with('.') {
        return None;
    }
    if let Some(problem) = lacks_dot(entry, token.text, token.span, wire) {
        return Some(problem);
    }
    let address = token.text.parse::<std::net::IpAddr>().is_ok();
    // In PTR and CNAME, digits with dots are daily bread (RFC 2317).
    if address && matches!(format.code, 2 | 15 | 33) {
        let message = format!("the {what} is an address; {} wants the name of a host", format.name);
        let help = "name the host, and give that name the address in an A or AAAA record";
        return Some(entry.warning(token.span, message).help(help));
    }
    None
}

/// A warning if a relative name ends with the labels of its origin, so that they come twice.
pub fn lacks_dot(entry: &Entry<'_>, text: &str, span: Span, wire: &[u8]) -> Option<Diagnostic> {
    let origin = entry.origin.as_wire();
    let labels = &origin[..origin.len() - 1];
    let relative = wire.len().checked_sub(origin.len()).map(|n| &wire[..n])?;
    if labels.is_empty() || relative.len() < labels.len() {
        return None;
    }
    if !relative[relative.len() - labels.len()..].eq_ignore_ascii_case(labels) {
        return None;
    }
    let message = format!("\"{text}\" has no dot at its end, so it means {text}.{}", entry.origin);
    Some(entry.warning(span, message).help(format!("write \"{text}.\" if the name is whole")))
}

/// A warning if the unquoted token at `last` ends at a semicolon: `v=DKIM1; p=…` loses all behind it.
pub(super) fn cut_by_comment(entry: &Entry<'_>, last: usize, format: &Format) -> Option<Diagnostic> {
    let last = entry.token(last).filter(|t| !t.quoted)?;
    let text = entry.sources.text(last.span.file);
    text[(last.span.start + last.span.len) as usize..].starts_with(';').then(|| {
        let message = format!("this {} ends at the semicolon, which starts a comment", format.name);
        let help = "put quotes around a string that holds a semicolon";
        entry.warning(last.span.after(), message).help(help)
    })
}
