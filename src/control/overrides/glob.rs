//! Globs of names.

use crate::wire::Name;
use std::fmt;
use std::str::FromStr;

/// Names by a pattern: `*` stands for any letters, dots included. Without a dot at its end a pattern is the beginning of a
/// name, whole labels of it: `fra.pop` is `fra.pop.example.com.`, and `*.pop` all that have a `pop` behind a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// In lower case.
    text: String,
}

/// Most stars: each may be tried at every place.
const MOST_STARS: usize = 8;

impl Glob {
    /// Whether it means this name.
    pub fn matches(&self, name: &Name) -> bool {
        self.matches_text(&name.to_string().to_ascii_lowercase())
    }

    /// [`Glob::matches`], of an absolute name in lower case.
    pub fn matches_text(&self, name: &str) -> bool {
        if self.text.ends_with('.') {
            return fits(self.text.as_bytes(), name.as_bytes());
        }
        let ends = name.bytes().enumerate().filter(|(_, b)| *b == b'.').map(|(at, _)| at);
        ends.into_iter().any(|end| fits(self.text.as_bytes(), &name.as_bytes()[..end]))
    }
}

/// Whether a pattern is the whole of a text. Goes back to the last star alone, which is enough (every earlier star has done
/// with the least), and takes at most the product of the lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(letter), _) if *letter == text[t] => (p, t) = (p + 1, t + 1),
            (_, Some((at, taken))) => {
                (p, t) = (at + 1, taken + 1);
                star = Some((at, taken + 1));
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Glob, String> {
        match text {
            "" => return Err("a name is missing: `fra.pop`, `fra.*` or `*`".into()),
            text if text.contains(char::is_whitespace) => {
                return Err(format!("{text:?}: one name at a time, or a glob such as `fra.*`"));
            }
            text if text.len() > 255 || text.bytes().filter(|b| *b == b'*').count() > MOST_STARS => {
                return Err(format!("a glob has at most 255 octets and {MOST_STARS} stars"));
            }
            text if !text.bytes().all(|b| b.is_ascii_graphic()) => {
                return Err(format!("{text:?}: names are written as in zone files"));
            }
            _ => {}
        }
        Ok(Glob { text: text.to_ascii_lowercase() })
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(glob: &str, names: &[&str], not: &[&str]) {
        let glob: Glob = glob.parse().unwrap();
        let matches = |name: &&&str| glob.matches(&name.parse().unwrap());
        assert_eq!(names.iter().find(|n| !matches(n)), None, "{glob} misses");
        assert_eq!(not.iter().find(matches), None, "{glob} takes");
    }

    #[test]
    fn globs_mean_names() {
        check("fra.pop", &["fra.pop.example.com.", "FRA.pop.x."], &["fra.pops.example.com.", "afra.pop.example.com."]);
        check(
            "fra.pop.example.com.",
            &["fra.pop.example.com."],
            &["fra.pop.example.com.au.", "a.fra.pop.example.com."],
        );
        check("fra", &["fra.pop.example.com.", "fra.web.x."], &["fran.pop.x."]);
        check("fra*", &["fra.pop.example.com.", "fran.pop.x."], &["ams.pop.x."]);
        check("*.pop", &["fra.pop.example.com."], &["fra.web.example.com."]);
        check("*.pop.*.com.", &["fra.pop.example.com."], &["fra.pop.example.net."]);
        check("*", &["fra.pop.example.com.", "x."], &[]);
        check("f*a*p", &["fra.pop.example.com."], &["fra.po.example.net."]);
    }

    #[test]
    fn a_pattern_of_stars_ends_soon() {
        check("*a*a*a*a*a*a*b.", &[], &[&format!("{}.", "a".repeat(63))]);
        assert!("*********".parse::<Glob>().is_err());
    }
}
