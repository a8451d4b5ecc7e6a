//! Wire to text: walks a type's fields over RDATA.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::name;
use crate::zone::rdata::formats::{Field, Format, format_of, type_text};
use crate::zone::rdata::{check, codec, loc, svcb};

/// RDATA as master-file text that [`scan()`](crate::zone::rdata::scan()) reads back to the same octets, names absolute.
///
/// Octets that do not have the type's form, and types without one, print as `\# length digits` (RFC 3597 section 5).
/// Names must be uncompressed.
pub fn print(rtype: u16, rdata: &[u8]) -> String {
    format_of(rtype).and_then(|format| fields(format, rdata)).unwrap_or_else(|| {
        let mut text = format!("\\# {}", rdata.len());
        if !rdata.is_empty() {
            text.push(' ');
            text.push_str(&codec::hex(rdata));
        }
        text
    })
}

/// RDATA in its type's own form; `None` if it does not have it.
pub fn fields(format: &Format, rdata: &[u8]) -> Option<String> {
    let (mut text, mut rest) = (String::new(), rdata);
    for (field, _) in format.fields {
        if !text.is_empty() {
            text.push(' ');
        }
        print_field(*field, &mut rest, &mut text)?;
    }
    // A last field may print as nothing.
    text.truncate(text.trim_end_matches(' ').len());
    (rest.is_empty() && check::contents(format.code, rdata).is_none()).then_some(text)
}

/// Takes `n` octets off the head of `rest`.
pub fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(n)?;
    *rest = tail;
    Some(head)
}

/// Takes a big-endian number of `n` octets, at most four, off the head of `rest`.
pub fn number(rest: &mut &[u8], n: usize) -> Option<u32> {
    Some(take(rest, n)?.iter().fold(0, |value, b| value << 8 | u32::from(*b)))
}

/// Takes a well-formed uncompressed name off the head of `rest`.
pub fn take_name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    loop {
        let len = usize::from(*rest.get(at)?);
        at += 1 + len;
        if len > name::MAX_LABEL || at > name::MAX_NAME {
            return None;
        }
        if len == 0 {
            return take(rest, at);
        }
    }
}

/// A string in quotes.
pub fn quote(octets: &[u8], text: &mut String) {
    text.push('"');
    for &b in octets {
        match b {
            b'"' | b'\\' => text.extend(['\\', b as char]),
            b' '..=b'~' => text.push(b as char),
            _ => {
                let _ = write!(text, "\\{b:03}");
            }
        }
    }
    text.push('"');
}

fn print_field(field: Field, rest: &mut &[u8], text: &mut String) -> Option<()> {
    // Writing to a string cannot fail, so the results of `write!` say nothing.
    let _ = match field {
        Field::U8 | Field::Algorithm => write!(text, "{}", number(rest, 1)?),
        Field::U16 | Field::CertType => write!(text, "{}", number(rest, 2)?),
        Field::U32 | Field::Period => write!(text, "{}", number(rest, 4)?),
        Field::Type => write!(text, "{}", type_text(number(rest, 2)? as u16)),
        Field::Moment => write!(text, "{}", codec::print_moment(number(rest, 4)?)),
        Field::Name => name::print_wire(take_name(rest)?, text),
        Field::Ipv4 => write!(text, "{}", Ipv4Addr::from(number(rest, 4)?)),
        Field::Ipv6 => {
            let octets: [u8; 16] = take(rest, 16)?.try_into().ok()?;
            write!(text, "{}", Ipv6Addr::from(octets))
        }
        Field::Text => {
            print_string(rest, text)?;
            Ok(())
        }
        Field::Texts => {
            print_string(rest, text)?;
            while !rest.is_empty() {
                text.push(' ');
                print_string(rest, text)?;
            }
            Ok(())
        }
        Field::LongText => {
            quote(take(rest, rest.len())?, text);
            Ok(())
        }
        Field::Tag => {
            let len = number(rest, 1)? as usize;
            let tag = take(rest, len)?;
            if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
                return None;
            }
            text.extend(tag.iter().map(|b| *b as char));
            Ok(())
        }
        Field::Hex | Field::Base64 => {
            let octets = take(rest, rest.len())?;
            if octets.is_empty() {
                return None;
            }
            text.push_str(&if field == Field::Hex { codec::hex(octets) } else { codec::base64(octets) });
            Ok(())
        }
        Field::Salt => {
            let len = number(rest, 1)? as usize;
            let salt = take(rest, len)?;
            text.push_str(&if len == 0 { "-".into() } else { codec::hex(salt) });
            Ok(())
        }
        Field::Base32 => {
            let len = number(rest, 1)? as usize;
            text.push_str(&codec::base32(take(rest, len).filter(|o| !o.is_empty())?));
            Ok(())
        }
        Field::Types => {
            print_types(rest, text)?;
            Ok(())
        }
        Field::Eui48 => print_groups(take(rest, 6)?, 1, "-", text),
        Field::Eui64 => print_groups(take(rest, 8)?, 1, "-", text),
        Field::Locator64 => print_groups(take(rest, 8)?, 2, ":", text),
        Field::Location => {
            loc::print(take(rest, 16)?, text)?;
            Ok(())
        }
        Field::Params => {
            svcb::print(rest, text)?;
            Ok(())
        }
    };
    Some(())
}

fn print_string(rest: &mut &[u8], text: &mut String) -> Option<()> {
    let len = number(rest, 1)? as usize;
    quote(take(rest, len)?, text);
    Some(())
}

fn print_groups(octets: &[u8], len: usize, separator: &str, text: &mut String) -> std::fmt::Result {
    let groups: Vec<String> = octets.chunks(len).map(|g| codec::hex(g).to_ascii_lowercase()).collect();
    text.push_str(&groups.join(separator));
    Ok(())
}

fn print_types(rest: &mut &[u8], text: &mut String) -> Option<()> {
    let mut last = None;
    while !rest.is_empty() {
        let (window, len) = (number(rest, 1)?, number(rest, 1)? as usize);
        let bitmap = take(rest, len)?;
        // Windows ascend, and hold something at their end (RFC 4034 section 4.1.2).
        if last.is_some_and(|l| window <= l) || !(1..=32).contains(&len) || bitmap.last() == Some(&0) {
            return None;
        }
        last = Some(window);
        for bit in (0..len * 8).filter(|bit| bitmap[bit / 8] & 0x80 >> (bit % 8) != 0) {
            text.push_str(&type_text((window << 8) as u16 + bit as u16));
            text.push(' ');
        }
    }
    Some(())
}
