//! `$GENERATE`: one line standing for many (BIND's extension, as its reference manual describes it).
//!
//! `$GENERATE 1-20/2 host-$ A 192.0.2.$` makes ten records. In every token `$` becomes the counter, `${offset}`,
//! `${offset,width}` and `${offset,width,base}` the counter plus offset, padded with zeros to `width`, in base
//! `d`, `o`, `x`, `X`, or as reversed nibbles with dots (`n`, `N`, for `ip6.arpa`). `\$` and `$$` are a plain `$`.

use std::fmt::Write;

use crate::masterfile::lex::RawToken;

/// Most records of one `$GENERATE`. Our choice: above any reverse zone of a /12, below what hurts.
pub const MAX_GENERATED: u64 = 1 << 20;

/// A counter on its way through its range.
#[derive(Debug)]
pub struct Generate {
    next: Option<u32>,
    stop: u32,
    step: u32,
}

/// The tokens of the line made last.
#[derive(Debug, Default)]
pub struct Scratch {
    text: String,
    ranges: Vec<(u32, u32)>,
}

impl Scratch {
    /// Token `i`.
    pub fn token(&self, i: usize) -> &str {
        let (from, to) = self.ranges[i];
        &self.text[from as usize..to as usize]
    }

    /// All text, and where in it each token is.
    pub fn view(&self) -> (&str, &[(u32, u32)]) {
        (&self.text, &self.ranges)
    }
}

impl Generate {
    /// Reads a range: `start-stop` or `start-stop/step`.
    ///
    /// # Errors
    /// Why it is none, for people.
    pub fn new(range: &str) -> Result<Generate, String> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let (ends, step) = range.split_once('/').unwrap_or((range, "1"));
        let parts = ends.split_once('-').and_then(|(a, b)| Some((number(a)?, number(b)?, number(step)?)));
        let Some((start, stop, step)) = parts else { return Err(format!("\"{range}\" is not a range")) };
        if step == 0 {
            return Err(format!("\"{range}\" has a step of 0"));
        }
        if stop < start {
            return Err(format!("\"{range}\" runs backwards"));
        }
        let count = u64::from((stop - start) / step) + 1;
        if count > MAX_GENERATED {
            return Err(format!("\"{range}\" makes {count} records; at most {MAX_GENERATED} are allowed"));
        }
        Ok(Generate { next: Some(start), stop, step })
    }

    /// Writes the next line's tokens into `out`; `false` when the range is done.
    ///
    /// # Errors
    /// The token that cannot be filled in, and why.
    pub fn step(&mut self, template: &[RawToken], text: &str, out: &mut Scratch) -> Result<bool, (usize, String)> {
        let Some(n) = self.next else { return Ok(false) };
        self.next = n.checked_add(self.step).filter(|&next| next <= self.stop);
        out.text.clear();
        out.ranges.clear();
        for (i, raw) in template.iter().enumerate() {
            let from = out.text.len() as u32;
            let token = &text[raw.start as usize..(raw.start + raw.len) as usize];
            fill(token, n, &mut out.text).map_err(|why| (i, why))?;
            out.ranges.push((from, out.text.len() as u32));
        }
        Ok(true)
    }
}

fn fill(template: &str, n: u32, out: &mut String) -> Result<(), String> {
    let mut rest = template;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("\\$").or_else(|| rest.strip_prefix("$$")) {
            // Escaped still, since the text is read as a name or string afterwards.
            out.push_str("\\$");
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('\\') {
            // The escaped character goes along, so that `\\$` stays a backslash and a counter.
            let len = tail.chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..1 + len]);
            rest = &tail[len..];
        } else if let Some(tail) = rest.strip_prefix("${") {
            let end = tail.find('}').ok_or("`${` without `}`")?;
            modified(&tail[..end], n, out)?;
            rest = &tail[end + 1..];
        } else {
            let _ = write!(out, "{n}");
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(())
}

/// `offset[,width[,base]]`.
fn modified(modifier: &str, n: u32, out: &mut String) -> Result<(), String> {
    let bad = || format!("`${{{modifier}}}` is not ${{offset,width,base}} with base d, o, x, X, n or N");
    let mut parts = modifier.split(',').map(str::trim);
    let offset: i64 = parts.next().filter(|p| !p.starts_with('+')).and_then(|p| p.parse().ok()).ok_or_else(bad)?;
    let width: usize = parts.next().map_or(Ok(0), str::parse).map_err(|_| bad())?;
    let base = parts.next().unwrap_or("d");
    // A label has at most 63 octets, so no width above can serve; offsets beyond 32 bits cannot either.
    if parts.next().is_some() || width > 255 || offset.abs() > i64::from(u32::MAX) {
        return Err(bad());
    }
    let value = u64::try_from(i64::from(n) + offset).map_err(|_| format!("`${{{modifier}}}` makes {n} negative"))?;
    // Writing to a string cannot fail.
    let _ = match base {
        "d" => write!(out, "{value:0width$}"),
        "o" => write!(out, "{value:0width$o}"),
        "x" => write!(out, "{value:0width$x}"),
        "X" => write!(out, "{value:0width$X}"),
        "n" | "N" => {
            nibbles(value, width, base == "N", out);
            Ok(())
        }
        _ => return Err(bad()),
    };
    Ok(())
}

/// Hexadecimal digits from the least, a dot between them; `width` counts digits and dots. Where it is even, a dot comes last
/// and makes an absolute name: so does BIND.
fn nibbles(mut value: u64, mut width: usize, upper: bool, out: &mut String) {
    loop {
        let digit = char::from_digit((value & 15) as u32, 16).expect("four bits are one digit");
        out.push(if upper { digit.to_ascii_uppercase() } else { digit });
        value >>= 4;
        width = width.saturating_sub(1);
        if value == 0 && width == 0 {
            return;
        }
        out.push('.');
        width = width.saturating_sub(1);
        if value == 0 && width == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_one(template: &str, n: u32) -> Result<String, String> {
        let mut out = String::new();
        fill(template, n, &mut out).map(|()| out)
    }

    #[test]
    fn templates_fill_in() {
        let check = |template: &str, n: u32, want: &str| assert_eq!(fill_one(template, n).as_deref(), Ok(want));
        check("host-$", 7, "host-7");
        check("$.$", 7, "7.7");
        check("${0,3}", 7, "007");
        check("${-5}", 7, "2");
        check("${1,4,x}", 254, "00ff");
        check("${1,0,X}", 254, "FF");
        check("${0,0,o}", 8, "10");
        check("${0,7,n}", 0xa1, "1.a.0.0");
        check("${0,8,n}", 0xa1, "1.a.0.0.");
        check("${0,0,N}", 0xa1, "1.A");
        check("a\\$b$$", 7, "a\\$b\\$");
        check("a\\\\$", 7, "a\\\\7");
        check("plain", 7, "plain");
    }

    #[test]
    fn bad_templates_are_told() {
        for bad in ["${", "${x}", "${1,2,3}", "${1,300}", "${-8}", "${1,2,d,4}", "${}", "${+1}"] {
            assert!(fill_one(bad, 7).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_checked() {
        for good in ["0-0", "1-20", "1-20/3", "0-4294967295/4294967295"] {
            assert!(Generate::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1", "1-", "5-1", "1-5/0", "0-4294967295", "-1-5", "1-x", "+1-5"] {
            assert!(Generate::new(bad).is_err(), "{bad}");
        }
    }
}
