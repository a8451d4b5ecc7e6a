//! Text to wire: walks a type's fields over the tokens of an entry.

use crate::masterfile::{Diagnostic, Entry, Report, Token, parse_ttl, suggest};
use crate::wire::name;
use crate::zone::rdata::bitmap::put_bitmap;
use crate::zone::rdata::codec::{self, Bits};
use crate::zone::rdata::formats::{ALGORITHMS, CERT_TYPES, Field, Format, format_of, parse_type, type_text};
use crate::zone::rdata::{check, doubt, loc, print, svcb};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Writes the RDATA of `entry`, read as type `rtype`, over `out`: uncompressed wire form, letters as written.
///
/// `false` if the text is refused, with an error in `report`; `out` then holds nothing of use. What is likely
/// not meant, such as a name that lacks its last dot, adds warnings.
pub fn scan(rtype: u16, entry: &Entry<'_>, out: &mut Vec<u8>, report: &mut Report) -> bool {
    out.clear();
    let mut reader = Reader { entry, next: 0, out, report };
    match reader.rdata(rtype) {
        Ok(()) => true,
        Err(problem) => {
            report.push(problem);
            false
        }
    }
}

//----------- Reader ---------------------------------------------------------

/// The way through one entry's tokens.
pub struct Reader<'e, 'a> {
    /// The entry.
    pub entry: &'e Entry<'a>,
    /// Position of the next token.
    pub next: usize,
    /// The wire form so far.
    pub out: &'e mut Vec<u8>,
    /// Where warnings go.
    pub report: &'e mut Report,
}

impl<'a> Reader<'_, 'a> {
    fn rdata(&mut self, rtype: u16) -> Result<(), Diagnostic> {
        let format = format_of(rtype);
        if self.entry.token(0).is_some_and(|t| t.text == "\\#" && !t.quoted) {
            self.unknown(format)?;
        } else if let Some(format) = format {
            let mut starts = [0; 12];
            for (i, (field, what)) in format.fields.iter().enumerate() {
                starts[i] = self.next;
                self.field(*field, what, format).map_err(|problem| match &problem.help {
                    None if format.fields.len() > 1 && *field != Field::Params => problem.help(format.usage()),
                    _ => problem,
                })?;
            }
            self.expect_end(format)?;
            if let Some((i, message)) = check::contents(rtype, self.out) {
                let span = self.entry.token(starts[i]).map_or(self.entry.end(), |t| t.span);
                return Err(self.entry.error(span, message));
            }
        } else {
            let span = self.entry.token(0).map_or(self.entry.end(), |t| t.span);
            let message = format!("{} has no text form of its own", type_text(rtype));
            return Err(self.entry.error(span, message).help("write its data as: \\# length hexadecimal-digits"));
        }
        if self.out.len() > usize::from(u16::MAX) {
            let message = format!("the data has {} octets; a record holds at most 65535", self.out.len());
            return Err(self.entry.error(self.entry.rtype.span, message));
        }
        Ok(())
    }

    /// The next token as `what`.
    fn take(&mut self, what: &str, format: &Format) -> Result<Token<'a>, Diagnostic> {
        let token = self.entry.token(self.next).ok_or_else(|| {
            let message = format!("the {what} is missing");
            self.entry.error(self.entry.end(), message).help(format.usage())
        })?;
        self.next += 1;
        Ok(token)
    }

    fn expect_end(&self, format: &Format) -> Result<(), Diagnostic> {
        let Some(token) = self.entry.token(self.next) else { return Ok(()) };
        let last = format.fields.last().map_or("data", |(_, what)| what);
        let message = format!("{} takes nothing after its {last}", format.name);
        let help = match format.fields.last() {
            Some((Field::Text | Field::LongText, _)) => {
                format!("put quotes around a {last} that holds spaces; {}", format.usage())
            }
            _ => format.usage(),
        };
        Err(self.entry.error(token.span, message).help(help))
    }

    /// An error that a token is not what it should be.
    pub fn not_a(&self, token: Token<'_>, what: &str, but: &str) -> Diagnostic {
        self.entry.error(token.span, format!("\"{}\" is not a valid {what}: {but}", token.text))
    }

    fn field(&mut self, field: Field, what: &str, format: &Format) -> Result<(), Diagnostic> {
        match field {
            Field::U8 => {
                let token = self.take(what, format)?;
                let n = self.number(token, what, u32::from(u8::MAX))?;
                self.out.push(n as u8);
            }
            Field::U16 => {
                let token = self.take(what, format)?;
                let n = self.number(token, what, u32::from(u16::MAX))?;
                self.out.extend((n as u16).to_be_bytes());
            }
            Field::U32 => {
                let token = self.take(what, format)?;
                let n = self.number(token, what, u32::MAX)?;
                self.out.extend(n.to_be_bytes());
            }
            Field::Period => {
                let token = self.take(what, format)?;
                let but = "expected seconds or units, such as 3600, 5m or 1h30m";
                let n = parse_ttl(token.text).ok_or_else(|| self.not_a(token, what, but))?;
                self.out.extend(n.to_be_bytes());
            }
            Field::Algorithm => {
                let n = self.registered(what, format, ALGORITHMS, u32::from(u8::MAX))?;
                self.out.push(n as u8);
            }
            Field::CertType => {
                let n = self.registered(what, format, CERT_TYPES, u32::from(u16::MAX))?;
                self.out.extend((n as u16).to_be_bytes());
            }
            Field::Type => {
                let token = self.take(what, format)?;
                let code = self.rtype(token)?;
                self.out.extend(code.to_be_bytes());
            }
            Field::Name => {
                let token = self.take(what, format)?;
                self.name(token, what, format)?;
            }
            Field::Ipv4 => {
                let token = self.take(what, format)?;
                match token.text.parse::<Ipv4Addr>() {
                    Ok(address) => self.out.extend(address.octets()),
                    Err(_) => return Err(self.not_ipv4(token)),
                }
            }
            Field::Ipv6 => {
                let token = self.take(what, format)?;
                match token.text.parse::<Ipv6Addr>() {
                    Ok(address) => self.out.extend(address.octets()),
                    Err(_) => return Err(self.not_ipv6(token)),
                }
            }
            Field::Text => {
                let token = self.take(what, format)?;
                self.text(token, what)?;
            }
            Field::Texts => {
                let token = self.take(what, format)?;
                self.text(token, what)?;
                while let Some(token) = self.entry.token(self.next) {
                    self.next += 1;
                    self.text(token, what)?;
                }
                self.report.diagnostics.extend(doubt::cut_by_comment(self.entry, self.next - 1, format));
            }
            Field::LongText => {
                let token = self.take(what, format)?;
                let octets = self.octets(token)?;
                self.out.extend_from_slice(&octets);
                self.report.diagnostics.extend(doubt::cut_by_comment(self.entry, self.next - 1, format));
            }
            Field::Tag => {
                let token = self.take(what, format)?;
                let plain = token.text.bytes().all(|b| b.is_ascii_alphanumeric()) && !token.text.is_empty();
                if !plain || token.text.len() > 255 {
                    return Err(self.not_a(token, what, "expected letters and digits, such as issue or iodef"));
                }
                self.out.push(token.text.len() as u8);
                self.out.extend_from_slice(token.text.as_bytes());
            }
            Field::Hex => self.digits(what, format, 4, codec::hex_digit)?,
            Field::Base64 => self.digits(what, format, 6, codec::base64_digit)?,
            Field::Salt => {
                let token = self.take(what, format)?;
                if token.text == "-" { self.out.push(0) } else { self.counted(token, what, 4, codec::hex_digit)? }
            }
            Field::Base32 => {
                let token = self.take(what, format)?;
                self.counted(token, what, 5, codec::base32_digit)?;
            }
            Field::Types => self.types()?,
            Field::Moment => {
                let token = self.take(what, format)?;
                let but = "expected YYYYMMDDHHmmSS or seconds since 1970";
                let n = codec::parse_moment(token.text).ok_or_else(|| self.not_a(token, what, but))?;
                self.out.extend(n.to_be_bytes());
            }
            Field::Eui48 => self.groups(what, format, 6, '-', 2)?,
            Field::Eui64 => self.groups(what, format, 8, '-', 2)?,
            Field::Locator64 => self.groups(what, format, 4, ':', 4)?,
            Field::Location => loc::scan(self)?,
            Field::Params => svcb::scan(self)?,
        }
        Ok(())
    }

    //--- Numbers and names

    fn number(&self, token: Token<'_>, what: &str, most: u32) -> Result<u32, Diagnostic> {
        let digits = token.text.strip_prefix('-').unwrap_or(token.text);
        let numeric = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let n = token.text.parse::<u32>().ok().filter(|n| numeric && *n <= most);
        n.ok_or_else(|| {
            let but = format!("expected a number from 0 to {most}");
            if numeric {
                return self.entry.error(token.span, format!("the {what} {} is out of range: {but}", token.text));
            }
            self.not_a(token, what, &but)
        })
    }

    fn registered(&mut self, what: &str, format: &Format, names: &[(u16, &str)], most: u32) -> Result<u32, Diagnostic> {
        let token = self.take(what, format)?;
        if let Some((code, _)) = names.iter().find(|(_, name)| name.eq_ignore_ascii_case(token.text)) {
            return Ok(u32::from(*code));
        }
        self.number(token, what, most).map_err(|problem| match suggest(token.text, names.iter().map(|n| n.1)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        })
    }

    fn rtype(&self, token: Token<'_>) -> Result<u16, Diagnostic> {
        parse_type(token.text).ok_or_else(|| doubt::unknown_type(self.entry, token))
    }

    fn name(&mut self, token: Token<'_>, what: &str, format: &Format) -> Result<(), Diagnostic> {
        let head = self.out.len();
        if let Err(why) = name::compose_text(token.text, self.entry.origin, self.out) {
            return Err(self.not_a(token, what, &why.to_string()));
        }
        self.report.diagnostics.extend(doubt::doubtful_name(self.entry, token, &self.out[head..], what, format));
        Ok(())
    }

    //--- Addresses

    fn not_ipv4(&self, token: Token<'_>) -> Diagnostic {
        let error = self.entry.error(token.span, format!("\"{}\" is not an IPv4 address", token.text));
        if token.text.parse::<Ipv6Addr>().is_ok() {
            return error.help("IPv6 addresses stand in AAAA records");
        }
        if token.text.ends_with('.') {
            return error.help("an address has no dot at its end");
        }
        let parts: Vec<&str> = token.text.split('.').collect();
        if parts.len() == 4 && parts.iter().any(|p| p.len() > 1 && p.starts_with('0')) {
            return error.help("write its numbers without leading zeros, which some programs read as octal");
        }
        if parts.iter().any(|p| p.parse::<u32>().is_ok_and(|n| n > 255)) {
            return error.help("each of its four numbers is at most 255");
        }
        error.help("an IPv4 address is four numbers with dots, such as 192.0.2.1; for a name use CNAME")
    }

    fn not_ipv6(&self, token: Token<'_>) -> Diagnostic {
        let error = self.entry.error(token.span, format!("\"{}\" is not an IPv6 address", token.text));
        if token.text.parse::<Ipv4Addr>().is_ok() {
            return error.help("IPv4 addresses stand in A records");
        }
        if token.text.contains('/') || token.text.contains('%') {
            return error.help("an address stands alone, without prefix length or interface");
        }
        error.help("an IPv6 address is up to eight groups of hexadecimal digits, such as 2001:db8::1")
    }

    //--- Strings

    /// The octets that a token stands for.
    pub fn octets(&self, token: Token<'a>) -> Result<std::borrow::Cow<'a, [u8]>, Diagnostic> {
        token.octets().map_err(|span| {
            let message = "this escape is neither \\DDD (000 to 255) nor a backslash and one other character";
            self.entry.error(span, message)
        })
    }

    fn text(&mut self, token: Token<'a>, what: &str) -> Result<(), Diagnostic> {
        if let (false, Some(at)) = (token.quoted, token.text.find("=\"")) {
            let message = "a quote in the middle of a string";
            let help = "put the quotes around the whole string, name included: \"name=value\"";
            return Err(self.entry.error(token.part(at + 1, 1), message).help(help));
        }
        let octets = self.octets(token)?;
        if octets.len() > 255 {
            let message = format!("this {what} has {} octets; one string holds at most 255", octets.len());
            let help = "split it into several quoted strings, which readers join without a space";
            return Err(self.entry.error(token.span, message).help(help));
        }
        self.out.push(octets.len() as u8);
        self.out.extend_from_slice(&octets);
        Ok(())
    }

    //--- Digits

    /// Digits of `width` bits to the end of the entry, at least one.
    fn digits(
        &mut self,
        what: &str,
        format: &Format,
        width: u32,
        digit: fn(u8) -> Option<u8>,
    ) -> Result<(), Diagnostic> {
        self.take(what, format)?;
        self.next -= 1;
        let (mut bits, mut n, mut n_padding) = (Bits::default(), 0usize, 0usize);
        while let Some(token) = self.entry.token(self.next) {
            self.next += 1;
            for (i, b) in token.text.bytes().enumerate() {
                match digit(b) {
                    Some(value) if n_padding == 0 => {
                        bits.push(value, width, self.out);
                        n += 1;
                    }
                    None if b == b'=' && width == 6 && n % 4 + n_padding < 4 && n % 4 > 1 => n_padding += 1,
                    _ => return Err(self.bad_digit(token, i, what, width)),
                }
            }
        }
        let whole = if width == 6 { (n + n_padding).is_multiple_of(4) } else { true };
        if !whole || !bits.is_done(width) {
            let message = match width {
                6 => format!("the {what} is cut short: {n} digits of base 64 are no whole number of octets"),
                _ => format!("the {what} has an odd number of hexadecimal digits"),
            };
            return Err(self.entry.error(self.entry.end(), message));
        }
        Ok(())
    }

    /// Digits in one token, their octets behind a length octet.
    fn counted(
        &mut self,
        token: Token<'_>,
        what: &str,
        width: u32,
        digit: fn(u8) -> Option<u8>,
    ) -> Result<(), Diagnostic> {
        let head = self.out.len();
        self.out.push(0);
        let mut bits = Bits::default();
        for (i, b) in token.text.bytes().enumerate() {
            let value = digit(b).ok_or_else(|| self.bad_digit(token, i, what, width))?;
            bits.push(value, width, self.out);
        }
        let len = self.out.len() - head - 1;
        if !bits.is_done(width) || len == 0 || len > 255 {
            return Err(self.not_a(token, what, "expected the digits of 1 to 255 whole octets"));
        }
        self.out[head] = len as u8;
        Ok(())
    }

    fn bad_digit(&self, token: Token<'_>, at: usize, what: &str, width: u32) -> Diagnostic {
        let kind = match width {
            4 => "hexadecimal digit",
            5 => "digit of base 32",
            _ => "digit of base 64",
        };
        let c = token.text[at..].chars().next().unwrap_or('?');
        self.entry.error(token.part(at, c.len_utf8()), format!("'{c}' in the {what} is not a {kind}"))
    }

    /// `n` groups of `len` hexadecimal digits.
    fn groups(&mut self, what: &str, format: &Format, n: usize, separator: char, len: usize) -> Result<(), Diagnostic> {
        let token = self.take(what, format)?;
        let parts: Vec<&str> = token.text.split(separator).collect();
        let shaped = parts.len() == n
            && parts.iter().all(|p| p.len() <= len && (p.len() == len || len == 4) && !p.is_empty())
            && parts.iter().all(|p| p.bytes().all(|b| b.is_ascii_hexdigit()));
        if !shaped {
            let but = format!("expected {n} groups of {len} hexadecimal digits with {separator} between them");
            return Err(self.not_a(token, what, &but));
        }
        for part in parts {
            let value = u16::from_str_radix(part, 16).expect("hexadecimal digits were seen");
            self.out.extend_from_slice(&value.to_be_bytes()[2 - len / 2..]);
        }
        Ok(())
    }

    //--- Sets of types

    fn types(&mut self) -> Result<(), Diagnostic> {
        let mut codes = Vec::new();
        while let Some(token) = self.entry.token(self.next) {
            self.next += 1;
            codes.push(self.rtype(token)?);
        }
        codes.sort_unstable();
        put_bitmap(&codes, self.out);
        Ok(())
    }

    //--- RFC 3597

    /// `\# length digits`.
    fn unknown(&mut self, format: Option<&'static Format>) -> Result<(), Diagnostic> {
        const GENERIC: Format =
            Format { code: 0, name: "\\#", fields: &[(Field::U16, "length"), (Field::Hex, "hexadecimal digits")] };
        self.next = 1;
        let token = self.take("length", &GENERIC)?;
        let len = self.number(token, "length", u32::from(u16::MAX))? as usize;
        if len > 0 || self.entry.token(self.next).is_some() {
            self.digits("data", &GENERIC, 4, codec::hex_digit)?;
        }
        if self.out.len() != len {
            let message = format!("the length says {len}, but {} octets follow", self.out.len());
            return Err(self.entry.error(token.span, message));
        }
        if let Some(format) = format
            && print::fields(format, self.out).is_none()
        {
            let message = format!("these octets are not {} data", format.name);
            return Err(self
                .entry
                .error(self.entry.token(0).map_or(token.span, |t| t.span), message)
                .help(format.usage()));
        }
        Ok(())
    }
}
