//! The six record types and the keys each takes; what to suggest for one that nobody knows.

use crate::masterfile::suggest;

//----------- Kind -----------------------------------------------------------

/// A policy record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A site.
    Pop,
    /// A target group.
    Group,
    /// A choice of a group.
    Member,
    /// Who may go where.
    Route,
    /// What must hold of a group.
    Assert,
    /// A name answered by policy.
    Steer,
}

impl Kind {
    /// All of them, in the order in which a file is best read.
    pub const ALL: [Kind; 6] = [Kind::Pop, Kind::Group, Kind::Member, Kind::Route, Kind::Assert, Kind::Steer];

    /// The type token as written.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Pop => "POP",
            Kind::Group => "GROUP",
            Kind::Member => "MEMBER",
            Kind::Route => "ROUTE",
            Kind::Assert => "ASSERT",
            Kind::Steer => "STEER",
        }
    }

    /// What the first token after the type is, where the type takes one.
    pub fn subject(self) -> Option<&'static str> {
        match self {
            Kind::Member => Some("the member's name"),
            Kind::Steer => Some("the group's name"),
            Kind::Pop | Kind::Group | Kind::Route | Kind::Assert => None,
        }
    }

    /// A record of this type, to show how it goes.
    pub fn example(self) -> &'static str {
        match self {
            Kind::Pop => "ams.pop  POP  at=52.31,4.76 capacity=40k",
            Kind::Group => "web  GROUP  steer=priced ttl=20..60",
            Kind::Member => "web  MEMBER  ams.web  pop=ams.pop",
            Kind::Route => "web  ROUTE  country=DE,AT members=fra.web only",
            Kind::Assert => "web  ASSERT  at-least=2 pops=ams.pop,fra.pop,dub.pop",
            Kind::Steer => "www  STEER  web",
        }
    }
}

//----------- Key ------------------------------------------------------------

/// A key or flag that records of one type take.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The record type.
    pub of: Kind,
    /// The word before `=`, or the flag.
    pub word: &'static str,
    /// An example value; empty for a flag.
    pub like: &'static str,
}

const fn key(of: Kind, word: &'static str, like: &'static str) -> Key {
    Key { of, word, like }
}

/// Every key of every record type.
pub const KEYS: &[Key] = &[
    key(Kind::Pop, "at", "52.31,4.76"),
    key(Kind::Pop, "capacity", "40k"),
    key(Kind::Pop, "max", "50k"),
    key(Kind::Pop, "price", "0.30"),
    key(Kind::Pop, "co2", "350"),
    key(Kind::Pop, "spill", "30%"),
    key(Kind::Pop, "breaker.error-rate", "5%"),
    key(Kind::Pop, "breaker.latency", "250ms"),
    key(Kind::Pop, "breaker.min-requests", "100"),
    key(Kind::Pop, "breaker.cooldown", "30s"),
    key(Kind::Pop, "breaker.failback", "10m"),
    key(Kind::Pop, "breaker.resume", "manual"),
    key(Kind::Pop, "probe", "https://health.example.net/healthz"),
    key(Kind::Pop, "probe.address", "198.51.100.7"),
    key(Kind::Pop, "probe.interval", "5s"),
    key(Kind::Pop, "probe.timeout", "2s"),
    key(Kind::Pop, "probe.rise", "2"),
    key(Kind::Pop, "probe.fall", "3"),
    key(Kind::Pop, "probe.status", "200..299"),
    key(Kind::Pop, "probe.body", "well"),
    key(Kind::Pop, "probe.ca", "ca.pem"),
    key(Kind::Pop, "probe.unverified", ""),
    key(Kind::Group, "steer", "priced"),
    key(Kind::Group, "pick", "sticky"),
    key(Kind::Group, "answers", "1"),
    key(Kind::Group, "ttl", "20..60"),
    key(Kind::Group, "reserve", "15%"),
    key(Kind::Group, "all-down", "static"),
    key(Kind::Group, "forecast", "steer"),
    key(Kind::Group, "unit", "requests"),
    key(Kind::Group, "co2-price", "0.02"),
    key(Kind::Group, "budget", "10d"),
    key(Kind::Member, "pop", "ams.pop"),
    key(Kind::Member, "shadow", ""),
    key(Kind::Member, "external", ""),
    key(Kind::Member, "warmup", "5m"),
    key(Kind::Member, "standby", "5%"),
    key(Kind::Member, "capacity", "25k"),
    key(Kind::Member, "weight", "3"),
    key(Kind::Member, "price", "0.90"),
    key(Kind::Route, "country", "DE,AT"),
    key(Kind::Route, "subdivision", "US-CA"),
    key(Kind::Route, "continent", "EU"),
    key(Kind::Route, "net", "203.0.113.0/24"),
    key(Kind::Route, "asn", "64500"),
    key(Kind::Route, "members", "fra.web,ams.web"),
    key(Kind::Route, "prefer", "fra.web"),
    key(Kind::Route, "only", ""),
    key(Kind::Assert, "at-least", "2"),
    key(Kind::Assert, "pops", "ams.pop,fra.pop,dub.pop"),
];

impl Key {
    /// The key of a record type by its word.
    pub fn find(of: Kind, word: &str) -> Option<&'static Key> {
        KEYS.iter().find(|k| k.of == of && k.word == word)
    }

    /// Whether it stands alone, without `=`.
    pub fn is_flag(&self) -> bool {
        self.like.is_empty()
    }

    /// How it is written, in full.
    pub fn written(&self) -> String {
        if self.is_flag() { self.word.into() } else { format!("{}={}", self.word, self.like) }
    }
}

/// What to say about a word that is no key of `of`, and the key that was probably meant.
///
/// A near miss of the same type wins over an exact hit of another: `capcity` on a POP is a slip of the
/// pen, `warmup` on a GROUP is a thought in the wrong place.
pub fn advice(of: Kind, word: &str) -> (String, Option<&'static Key>) {
    let own = KEYS.iter().filter(|k| k.of == of);
    let elsewhere: Vec<&Key> = KEYS.iter().filter(|k| k.word == word).collect();
    if let (Some(key), false) = (elsewhere.first(), of == Kind::Steer) {
        let kinds: Vec<&str> = elsewhere.iter().map(|k| k.of.word()).collect();
        return (format!("`{}` belongs to {}; {}", key.word, kinds.join(" and "), takes(of)), None);
    }
    if let Some(near) = suggest(word, own.clone().map(|k| k.word)) {
        let key = Key::find(of, near);
        return (format!("did you mean `{near}`?"), key);
    }
    // `error-rate` for `breaker.error-rate`: the tail of a dotted key.
    if let Some(key) = own.clone().find(|k| k.word.split_once('.').is_some_and(|(_, tail)| tail == word)) {
        return (format!("did you mean `{}`?", key.word), Some(key));
    }
    (takes(of), None)
}

/// Which keys a record type takes, as a sentence.
pub fn takes(of: Kind) -> String {
    let words: Vec<&str> = KEYS.iter().filter(|k| k.of == of).map(|k| k.word).collect();
    match words.is_empty() {
        true => format!("{} takes {} and nothing else", of.word(), of.subject().unwrap_or("nothing")),
        false => format!("{} takes {}", of.word(), words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_key_or_its_home() {
        let check = |of, word: &str, text: &str, meant: Option<&str>| {
            let (said, key) = advice(of, word);
            assert!(said.contains(text), "{word}: {said}");
            assert_eq!(key.map(|k| k.word), meant, "{word}");
        };
        check(Kind::Pop, "capcity", "did you mean `capacity`?", Some("capacity"));
        check(Kind::Pop, "CAPACITY", "did you mean `capacity`?", Some("capacity"));
        check(Kind::Pop, "error-rate", "did you mean `breaker.error-rate`?", Some("breaker.error-rate"));
        check(Kind::Group, "warmup", "`warmup` belongs to MEMBER; GROUP takes steer,", None);
        check(Kind::Group, "price", "`price` belongs to POP and MEMBER", None);
        check(Kind::Group, "colour", "GROUP takes steer, pick", None);
        check(Kind::Steer, "ttl", "STEER takes the group's name and nothing else", None);
    }
}
