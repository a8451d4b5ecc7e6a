//! What a peer sent → a sample worth believing, or the reason why not.
//!
//! Pure: names come from the roster, time is an argument. The checks run in the order of the variants of
//! [`Refusal`]; the first that fails names the reason.

use crate::steering::ShadowState;
use crate::telemetry::roster::{Among, NotFound, Roster};
use crate::telemetry::{Latency, Refusal, Sample, Utilisation, Voice};
use crate::units::print_quantity;
use std::collections::BTreeMap;

//----------- Limits ---------------------------------------------------------

/// Seconds that a window may end ahead of our clock. Our choice: hosts on NTP are within a second, and a
/// minute ahead still sorts right among windows of 10 s.
pub const MAX_AHEAD_SECS: f64 = 60.0;
/// Seconds after which a window says nothing about now. Our choice: breakers look back a minute,
/// forecasts take steps of one.
pub const MAX_AGE_SECS: f64 = 300.0;
/// Shortest window in seconds.
pub const MIN_WINDOW_SECS: f64 = 0.1;
/// Longest window in seconds.
pub const MAX_WINDOW_SECS: f64 = 300.0;
/// Most cells in one sample; there are some 250 countries.
pub const MAX_CELLS: usize = 1024;
/// Longest name of a cell in octets.
pub const MAX_CELL_NAME: usize = 64;
/// Numbers above this are nonsense; sums of millions of them are still finite.
pub const MAX_NUMBER: f64 = 1e15;

//----------- RawSample ------------------------------------------------------

/// A sample as a peer sent it, nothing checked. The JSON form is what `floodway report --stdin` reads.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSample {
    /// The POP, whole or by its first labels.
    pub pop: String,
    /// The group likewise.
    pub group: String,
    /// The member likewise; absent or empty: all of the group's members at the POP together.
    #[serde(default)]
    pub member: Option<String>,
    /// End of the window, unix seconds; absent: now.
    #[serde(default)]
    pub time: Option<f64>,
    /// Length of the window in seconds.
    #[serde(rename = "window_seconds", default = "ten_seconds")]
    pub window_secs: f64,
    /// Requests in the window.
    pub requests: f64,
    /// Failed ones of them.
    #[serde(default)]
    pub errors: f64,
    /// Latency quantiles.
    #[serde(default)]
    pub latency: Option<RawLatency>,
    /// What the POP says it sustains, requests per second.
    #[serde(default)]
    pub capacity: Option<f64>,
    /// How full it is.
    #[serde(default)]
    pub utilisation: Utilisation,
    /// What a shadow member says of itself: a word of [`shadow_from_word`].
    #[serde(default)]
    pub shadow: Option<String>,
    /// Requests by cell name.
    #[serde(default)]
    pub cells: BTreeMap<String, f64>,
}

fn ten_seconds() -> f64 {
    10.0
}

/// Latency quantiles in milliseconds, as far as they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLatency {
    /// Median.
    pub p50_ms: Option<f64>,
    /// 0.95 quantile.
    pub p95_ms: Option<f64>,
    /// 0.99 quantile.
    pub p99_ms: Option<f64>,
}

/// The state that a word means: `cold`, `warming`, `ready`, `active` or `draining`, in any case.
pub fn shadow_from_word(word: &str) -> Option<ShadowState> {
    [
        ("cold", ShadowState::Cold),
        ("warming", ShadowState::Warming),
        ("ready", ShadowState::Ready),
        ("active", ShadowState::Active),
        ("draining", ShadowState::Draining),
    ]
    .into_iter()
    .find_map(|(w, state)| w.eq_ignore_ascii_case(word).then_some(state))
}

//----------- check ----------------------------------------------------------

/// A refusal with its story.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The reason.
    pub refusal: Refusal,
    /// What was found, one line.
    pub found: String,
    /// Where to look for what was meant, when it is a name that was not found.
    pub look: Option<(Among, String)>,
}

impl Refused {
    pub(super) fn new(refusal: Refusal, found: impl Into<String>) -> Refused {
        Refused { refusal, found: found.into(), look: None }
    }

    /// What was found, then what would do: similar names, if there are any, or the general advice.
    pub fn text(&self, roster: &Roster) -> String {
        let similar = self.look.as_ref().map(|(among, text)| roster.suggest(*among, text)).unwrap_or_default();
        match similar.is_empty() {
            true => format!("{}; {}", self.found, self.refusal.advice()),
            false => format!("{}; did you mean {}?", self.found, similar.join(" or ")),
        }
    }
}

/// Checks one sample of a peer with `voice`, at `now` in unix seconds.
///
/// # Errors
/// [`Refused`] with any reason but `TooMany` and `InboxFull`, which are found elsewhere.
pub fn check(raw: RawSample, roster: &Roster, voice: &Voice, now: f64) -> Result<Sample, Refused> {
    let shadow = match &raw.shadow {
        None => None,
        Some(word) => Some(
            shadow_from_word(word)
                .ok_or_else(|| Refused::new(Refusal::Malformed, format!("{} is not a shadow state", quote(word))))?,
        ),
    };
    let pop = roster.pop(&raw.pop).map_err(|e| unknown(e, Refusal::UnknownPop, "POP", Among::Pops, &raw.pop))?;
    let pop_name = &roster.policies.pops[pop.idx()].name;
    if !voice.speaks_for(pop_name) {
        return Err(Refused::new(Refusal::Forbidden, format!("this certificate does not speak for {pop_name}")));
    }
    let group =
        roster.group(&raw.group).map_err(|e| unknown(e, Refusal::UnknownGroup, "group", Among::Groups, &raw.group))?;
    let policy = &roster.policies.groups[group.idx()];
    let here: Vec<_> = policy.members.iter().filter(|m| m.pop == Some(pop)).collect();
    let named = match raw.member.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => {
            let among = Among::Members(group);
            let member =
                roster.member(group, text).map_err(|e| unknown(e, Refusal::UnknownMember, "member", among, text))?;
            Some(&policy.members[member.idx()])
        }
    };
    match named {
        Some(m) if m.pop != Some(pop) => {
            let found = format!("{} is not at {pop_name}", m.name);
            return Err(Refused::new(Refusal::NotAtPop, found));
        }
        None if here.is_empty() => {
            let found = format!("{} has no member at {pop_name}", policy.name);
            return Err(Refused::new(Refusal::NotAtPop, found));
        }
        _ => {}
    }
    // A shadow state is about one member: the named one, or the only one here.
    let mut member = named;
    if shadow.is_some() {
        member = member.or(match here[..] {
            [only] => Some(only),
            _ => None,
        });
        if !member.is_some_and(|m| matches!(m.role, crate::policy::Role::Shadow { .. })) {
            let found = match member {
                Some(m) => format!("{} is not a shadow", m.name),
                None => format!("{} has several members at {pop_name}", policy.name),
            };
            return Err(Refused::new(Refusal::NotShadow, found));
        }
    }

    let at = raw.time.unwrap_or(now);
    if !at.is_finite() {
        return Err(Refused::new(Refusal::BadNumber, format!("time is {at}")));
    }
    if at > now + MAX_AHEAD_SECS {
        return Err(Refused::new(Refusal::ClockSkew, format!("the window ends {:.0} s ahead of this clock", at - now)));
    }
    if at < now - MAX_AGE_SECS {
        return Err(Refused::new(Refusal::Stale, format!("the window ended {:.0} s ago", now - at)));
    }
    if !(MIN_WINDOW_SECS..=MAX_WINDOW_SECS).contains(&raw.window_secs) {
        return Err(Refused::new(Refusal::BadWindow, format!("the window is {} s long", raw.window_secs)));
    }

    let requests = number("requests", raw.requests)?;
    let errors = number("errors", raw.errors)?;
    let capacity = raw.capacity.map(|n| number("capacity", n)).transpose()?;
    let latency = raw.latency.map(latency).transpose()?.flatten();
    let utilisation = Utilisation {
        cpu: share("cpu", raw.utilisation.cpu)?,
        memory: share("memory", raw.utilisation.memory)?,
        bandwidth: share("bandwidth", raw.utilisation.bandwidth)?,
        connections: share("connections", raw.utilisation.connections)?,
    };
    if errors > requests {
        let found = format!("{} errors of {} requests", print_quantity(errors), print_quantity(requests));
        return Err(Refused::new(Refusal::ErrorsOverRequests, found));
    }
    let cells = cells(raw.cells, requests)?;

    Ok(Sample {
        pop: pop_name.clone(),
        group: policy.name.clone(),
        member: member.map(|m| m.name.clone()),
        at,
        window_secs: raw.window_secs,
        requests,
        errors,
        latency,
        capacity,
        utilisation,
        shadow,
        cells,
    })
}

//----------- Parts ----------------------------------------------------------

pub(super) fn unknown(e: NotFound, refusal: Refusal, what: &str, among: Among, text: &str) -> Refused {
    let text = shorten(text);
    match e {
        NotFound::Unreadable => Refused::new(Refusal::Malformed, format!("{} is not a name of a {what}", quote(&text))),
        NotFound::Unknown => Refused {
            look: Some((among, text.clone())),
            ..Refused::new(refusal, format!("no {what} {}", quote(&text)))
        },
        NotFound::Ambiguous => Refused {
            look: Some((among, text.clone())),
            ..Refused::new(refusal, format!("{} may be several {what}s", quote(&text)))
        },
    }
}

fn number(what: &str, n: f64) -> Result<f64, Refused> {
    if (0.0..=MAX_NUMBER).contains(&n) {
        Ok(n)
    } else {
        Err(Refused::new(Refusal::BadNumber, format!("{what} is {n}")))
    }
}

fn share(what: &str, n: Option<f64>) -> Result<Option<f64>, Refused> {
    n.map(|n| number(what, n).map(|n| n.min(1.0))).transpose()
}

/// Fills quantiles that were left out from the next above, or else below.
fn latency(raw: RawLatency) -> Result<Option<Latency>, Refused> {
    let [p50, p95, p99] = [("p50", raw.p50_ms), ("p95", raw.p95_ms), ("p99", raw.p99_ms)]
        .map(|(what, n)| n.map(|n| number(what, n)).transpose());
    let (p50, p95, p99) = (p50?, p95?, p99?);
    let Some(highest) = p99.or(p95).or(p50) else { return Ok(None) };
    let p95 = p95.or(p99).unwrap_or(highest);
    let filled = Latency { p50_ms: p50.unwrap_or(p95), p95_ms: p95, p99_ms: highest };
    if filled.p50_ms > filled.p95_ms || filled.p95_ms > filled.p99_ms {
        return Err(Refused::new(Refusal::BadNumber, "latency quantiles cross"));
    }
    Ok(Some(filled))
}

fn cells(raw: BTreeMap<String, f64>, requests: f64) -> Result<Vec<(String, f64)>, Refused> {
    let bad = |found: String| Err(Refused::new(Refusal::BadCells, found));
    if raw.len() > MAX_CELLS {
        return bad(format!("{} cells, more than {MAX_CELLS}", raw.len()));
    }
    let mut sum = 0.0;
    for (name, n) in &raw {
        if name.is_empty() || name.len() > MAX_CELL_NAME || name.contains(char::is_control) {
            return bad(format!("{} is not a name of a cell", quote(&shorten(name))));
        }
        sum += number("a cell", *n)?;
    }
    // A part in a million for what adding floats in another order may differ by.
    if sum > requests * (1.0 + 1e-6) {
        let found = format!("cells sum to {} of {} requests", print_quantity(sum), print_quantity(requests));
        return bad(found);
    }
    Ok(raw.into_iter().collect())
}

/// The first 80 characters, so that what a peer sends does not come back at length.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// In quotes, with control characters escaped: refusals are printed on terminals.
pub(super) fn quote(text: &str) -> String {
    format!("{:?}", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::fixtures::{good, policies};
    use crate::wire::Name;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    const NOW: f64 = 1_800_000_000.0;

    fn checked(raw: RawSample) -> Result<Sample, Refused> {
        check(raw, &Roster::new(policies()), &Voice::Anyone, NOW)
    }

    fn refused(refusal: Refusal, change: impl FnOnce(&mut RawSample)) {
        let mut raw = good();
        change(&mut raw);
        let got = checked(raw.clone()).map_err(|r| r.refusal);
        assert_eq!(got.err(), Some(refusal), "{raw:?}");
    }

    fn taken(change: impl FnOnce(&mut RawSample)) -> Sample {
        let mut raw = good();
        change(&mut raw);
        checked(raw).unwrap()
    }

    #[test]
    fn good_samples_pass_with_full_names() {
        let sample = taken(|_| {});
        assert_eq!(sample.pop, name("ams.pop.example.com."));
        assert_eq!(sample.group, name("web.example.com."));
        assert_eq!((sample.member, sample.at), (None, NOW));
        let sample = taken(|r| r.member = Some("ams.web".into()));
        assert_eq!(sample.member, Some(name("ams.web.example.com.")));
        taken(|r| r.errors = r.requests);
        taken(|r| r.time = Some(NOW + 60.0));
        taken(|r| r.time = Some(NOW - 300.0));
        taken(|r| r.cells = [("JP".to_string(), 999.0), ("DE".to_string(), 1.0)].into());
        assert_eq!(taken(|r| r.utilisation.cpu = Some(1.7)).utilisation.cpu, Some(1.0));
    }

    #[test]
    fn each_reason_is_met() {
        refused(Refusal::Malformed, |r| r.pop = "a..b".into());
        refused(Refusal::Malformed, |r| r.shadow = Some("lukewarm".into()));
        refused(Refusal::UnknownPop, |r| r.pop = "lhr.pop".into());
        refused(Refusal::UnknownGroup, |r| r.group = "mail".into());
        refused(Refusal::UnknownMember, |r| r.member = Some("fra.web".into()));
        refused(Refusal::NotAtPop, |r| r.member = Some("dub.web".into()));
        refused(Refusal::NotAtPop, |r| r.member = Some("edge.cdn".into()));
        refused(Refusal::NotAtPop, |r| r.pop = "idle.pop".into());
        refused(Refusal::NotShadow, |r| r.shadow = Some("ready".into()));
        refused(Refusal::ClockSkew, |r| r.time = Some(NOW + 61.0));
        refused(Refusal::Stale, |r| r.time = Some(NOW - 301.0));
        refused(Refusal::BadNumber, |r| r.time = Some(f64::NAN));
        refused(Refusal::BadWindow, |r| r.window_secs = 0.0);
        refused(Refusal::BadWindow, |r| r.window_secs = f64::NAN);
        refused(Refusal::BadWindow, |r| r.window_secs = 301.0);
        refused(Refusal::BadNumber, |r| r.requests = -1.0);
        refused(Refusal::BadNumber, |r| r.requests = f64::INFINITY);
        refused(Refusal::BadNumber, |r| r.errors = f64::NAN);
        refused(Refusal::BadNumber, |r| r.capacity = Some(2e15));
        refused(Refusal::BadNumber, |r| r.utilisation.memory = Some(-0.1));
        refused(Refusal::BadNumber, |r| {
            r.latency = Some(RawLatency { p50_ms: Some(9.0), p95_ms: Some(8.0), p99_ms: None });
        });
        refused(Refusal::ErrorsOverRequests, |r| r.errors = 1001.0);
        refused(Refusal::BadCells, |r| r.cells = [("JP".to_string(), 1001.0)].into());
        refused(Refusal::BadCells, |r| r.cells = [(String::new(), 1.0)].into());
        refused(Refusal::BadCells, |r| r.cells = (0..1025).map(|i| (i.to_string(), 0.0)).collect());
        refused(Refusal::BadNumber, |r| r.cells = [("JP".to_string(), -1.0)].into());
    }

    #[test]
    fn a_certificate_speaks_for_its_own_pop_only() {
        let roster = Roster::new(policies());
        let voice = Voice::Pops(vec![name("dub.pop.example.com.")]);
        let got = check(good(), &roster, &voice, NOW).map_err(|r| r.refusal);
        assert_eq!(got.err(), Some(Refusal::Forbidden));
        let own = RawSample { pop: "dub.pop".into(), ..good() };
        assert!(check(own, &roster, &voice, NOW).is_ok());
    }

    #[test]
    fn shadow_states_find_their_member() {
        // The only member here is the shadow.
        let sample = taken(|r| (r.pop, r.shadow) = ("sin.pop".into(), Some("Ready".into())));
        assert_eq!(sample.member, Some(name("sin.web.example.com.")));
        assert_eq!(sample.shadow, Some(ShadowState::Ready));
        // Two members: it must be named.
        refused(Refusal::NotShadow, |r| (r.pop, r.shadow) = ("dub.pop".into(), Some("ready".into())));
        let sample = taken(|r| {
            (r.pop, r.member, r.shadow) = ("dub.pop".into(), Some("warm.web".into()), Some("warming".into()));
        });
        assert_eq!(sample.shadow, Some(ShadowState::Warming));
    }

    #[test]
    fn left_out_quantiles_are_filled() {
        let cases = [
            ([None, None, None], None),
            ([Some(5.0), None, None], Some([5.0, 5.0, 5.0])),
            ([None, Some(7.0), None], Some([7.0, 7.0, 7.0])),
            ([None, None, Some(9.0)], Some([9.0, 9.0, 9.0])),
            ([Some(5.0), None, Some(9.0)], Some([5.0, 9.0, 9.0])),
            ([Some(5.0), Some(7.0), Some(9.0)], Some([5.0, 7.0, 9.0])),
        ];
        for ([p50_ms, p95_ms, p99_ms], filled) in cases {
            let got = taken(|r| r.latency = Some(RawLatency { p50_ms, p95_ms, p99_ms })).latency;
            assert_eq!(got.map(|l| [l.p50_ms, l.p95_ms, l.p99_ms]), filled);
        }
    }

    #[test]
    fn refusals_say_what_would_do() {
        let roster = Roster::new(policies());
        let text = |change: fn(&mut RawSample)| {
            let mut raw = good();
            change(&mut raw);
            check(raw, &roster, &Voice::Anyone, NOW).unwrap_err().text(&roster)
        };
        assert_eq!(text(|r| r.pop = "asm.pop".into()), "no POP \"asm.pop\"; did you mean ams.pop.example.com.?");
        assert_eq!(text(|r| r.errors = 2000.0), "2k errors of 1k requests; count failed requests among the requests");
        assert!(text(|r| r.pop = "\u{1b}[2Jx".repeat(40)).len() < 500);
        assert!(!text(|r| r.pop = "\u{1b}[2J".into()).contains('\u{1b}'));
    }

    proptest! {
        /// Whatever numbers a peer sends, what passes is finite, in range and consistent.
        #[test]
        fn what_passes_is_sound(
            time in proptest::option::of(any::<f64>()), window in any::<f64>(), requests in any::<f64>(),
            errors in any::<f64>(), capacity in proptest::option::of(any::<f64>()),
            quantiles in any::<[Option<f64>; 3]>(), cells in proptest::collection::btree_map(".{0,4}", any::<f64>(), 0..4),
            tame in any::<u8>(),
        ) {
            // Random bits are nearly always refused: each bit of `tame` replaces one field by a good value.
            let keep = |bit: u8, wild: f64, good: f64| if tame & (1 << bit) == 0 { good } else { wild };
            let raw = RawSample {
                time: time.map(|t| keep(0, t, NOW)),
                window_secs: keep(1, window, 10.0),
                requests: keep(2, requests, 100.0),
                errors: keep(3, errors, 1.0),
                capacity: capacity.map(|c| keep(4, c, 1.0)),
                latency: (tame & 32 != 0).then_some(RawLatency { p50_ms: quantiles[0], p95_ms: quantiles[1], p99_ms: quantiles[2] }),
                cells: if tame & 64 != 0 { cells } else { BTreeMap::new() },
                ..good()
            };
            if let Ok(s) = checked(raw) {
                prop_assert!(s.at >= NOW - MAX_AGE_SECS && s.at <= NOW + MAX_AHEAD_SECS);
                prop_assert!(s.window_secs >= MIN_WINDOW_SECS && s.window_secs <= MAX_WINDOW_SECS);
                prop_assert!(s.requests >= 0.0 && s.requests <= MAX_NUMBER && s.errors >= 0.0 && s.errors <= s.requests);
                prop_assert!(s.capacity.is_none_or(|c| (0.0..=MAX_NUMBER).contains(&c)));
                prop_assert!(s.latency.is_none_or(|l| 0.0 <= l.p50_ms && l.p50_ms <= l.p95_ms && l.p95_ms <= l.p99_ms));
                prop_assert!(s.cells.iter().map(|c| c.1).sum::<f64>() <= s.requests * 1.001);
            }
        }
    }
}
