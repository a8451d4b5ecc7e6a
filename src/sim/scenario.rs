//! A scenario as it is written: TOML, unknown keys refused.
//!
//! Durations are seconds or texts such as `90s`, `5m`, `4h`; moments (`at`) count from the start of what is scored.

use crate::sim::announce::Announce;
use crate::sim::secs::{Secs, Start};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

//----------- Scenario -------------------------------------------------------

/// See the module.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Scenario {
    /// What it is about, for people.
    pub about: String,
    /// Folder of zones and policies, relative to the file; absent: the configured one.
    pub zones: Option<PathBuf>,
    /// The first seed; default 1.
    pub seed: u64,
    /// Seconds between steps of the world and beats of the loop; default 1, as live.
    pub step: Secs,
    /// How much of the past the forecaster is fed before the start; default 3 days.
    pub history: Secs,
    /// How long is simulated before that, so that caches, connections and prices have settled; default 15 minutes.
    pub settle: Secs,
    /// How long is scored; default 4 hours.
    pub duration: Secs,
    /// Where in the traces that begins: seconds from their first row, or a moment; default: their busiest stretch.
    pub start: Option<Start>,
    /// What is asked.
    pub demand: Vec<Demand>,
    /// What is asked on top.
    pub surge: Vec<Surge>,
    /// What is announced, and what comes of it.
    pub announce: Vec<Announce>,
    /// What goes wrong.
    pub fault: Vec<Fault>,
    /// Who asks.
    pub resolvers: Resolvers,
    /// Who is behind them.
    pub clients: Clients,
    /// How POPs report.
    pub telemetry: Telemetry,
    /// Who steers; default all.
    pub controllers: Vec<String>,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            about: String::new(),
            zones: None,
            seed: 1,
            step: Secs(1.0),
            history: Secs(3.0 * 86_400.0),
            settle: Secs(900.0),
            duration: Secs(4.0 * 3600.0),
            start: None,
            demand: Vec::new(),
            surge: Vec::new(),
            announce: Vec::new(),
            fault: Vec::new(),
            resolvers: Resolvers::default(),
            clients: Clients::default(),
            telemetry: Telemetry::default(),
            controllers: Vec::new(),
        }
    }
}

/// The demand of one group.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Demand {
    /// The group's name; may be left out where there is one group.
    pub group: String,
    /// A CSV of `timestamp,value`, relative to the file; absent: a level with a daily wave.
    pub trace: Option<PathBuf>,
    /// Requests per second that the greatest value of the whole trace becomes.
    pub peak: Option<f64>,
    /// Share of the capacity of the group's active members that the greatest value of the scored stretch becomes;
    /// default 0.7 where `peak` is absent.
    pub share: Option<f64>,
    /// Without a trace: its form; default a daily wave.
    pub shape: Shape,
    /// Without a trace: how far it goes below its peak, in `[0, 1]`; default 0, a level.
    pub wave: f64,
    /// Period of a sawtooth and of spikes; default 30 minutes.
    pub every: Option<Secs>,
    /// Standard deviation of the logarithm of what is laid over each minute; default 0.02.
    pub noise: Option<f64>,
    /// Its correlation from minute to minute, below 1; default 0.8. Close to 1, and with more noise, demand walks.
    pub memory: Option<f64>,
    /// Share of each country or cell; default by the weights of the map. They need not sum to 1.
    pub cells: BTreeMap<String, f64>,
}

/// Forms of demand without a trace, from a peak of 1 down to `1 − wave`; minute by minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A cosine of a day, highest at 20:00: `1 − wave·(1 − cos 2π(h − 20)/24)/2`.
    #[default]
    Wave,
    /// Two peaks a day, and a fifth less at weekends: `1 − wave·(0.5 − 0.3 cos 2π(h − 20)/24 − 0.2 cos 4π(h − 20)/24)`.
    Diurnal,
    /// It rises evenly for a period and falls at once.
    Sawtooth,
    /// At the beginning of each period all come at once, and go by 1/e in four minutes: what cron jobs and lessons make.
    Spikes,
}

/// Something on top of the demand of a group.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Surge {
    /// The group; may be left out where there is one.
    #[serde(default)]
    pub group: String,
    /// Its form.
    pub kind: SurgeKind,
    /// When it begins.
    pub at: Secs,
    /// Burst, ramp: seconds from nothing to the peak; default 2 minutes.
    #[serde(default = "two_minutes")]
    pub rise: Secs,
    /// Burst: scale of the decay, seconds; default 10 minutes.
    #[serde(default = "ten_minutes")]
    pub decay: Secs,
    /// Burst: exponent of the decay `(1 + u/decay)^−exponent`; default 1.54, of responses to mails.
    #[serde(default = "decay_exponent")]
    pub exponent: f64,
    /// Step, ramp, shift, hawkes: how long; default until the end.
    #[serde(default, rename = "for")]
    pub lasts: Option<Secs>,
    /// Its greatest size, requests per second; for `shift` absent.
    #[serde(default)]
    pub peak: Option<f64>,
    /// The same as a share of the capacity of the group's active members; for `shift` the part of all demand that
    /// moves.
    #[serde(default)]
    pub share: Option<f64>,
    /// Hawkes: offspring per event, below 1; default 0.8.
    #[serde(default = "branching")]
    pub branching: f64,
    /// Standard deviation of the logarithm of its size from seed to seed; default 0.1.
    #[serde(default = "tenth")]
    pub spread: f64,
    /// Where, as in the demand; default as the demand.
    #[serde(default)]
    pub cells: BTreeMap<String, f64>,
}

fn two_minutes() -> Secs {
    Secs(120.0)
}
fn ten_minutes() -> Secs {
    Secs(600.0)
}
fn decay_exponent() -> f64 {
    1.54
}
fn branching() -> f64 {
    0.8
}
fn tenth() -> f64 {
    0.1
}

/// Form of a surge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SurgeKind {
    /// A linear rise and a power-law decay.
    Burst,
    /// All at once.
    Step,
    /// A linear rise that stays.
    Ramp,
    /// Demand excites demand: clusters of bursts (Hawkes 1971).
    Hawkes,
    /// The same demand from elsewhere.
    Shift,
}

/// Something that goes wrong at a POP for a while.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fault {
    /// When.
    pub at: Secs,
    /// How long.
    #[serde(rename = "for")]
    pub lasts: Secs,
    /// The POP's name or its first label; `*` for all; left out for what goes wrong with resolvers.
    #[serde(default)]
    pub pop: String,
    /// What.
    pub kind: FaultKind,
    /// half: part of the capacity that is left, default 0.5. gray: part of requests that fail, 0.2. slow: milliseconds
    /// more, 300. flap: seconds of one half of the period, 30. lies: factor on what is reported, 0.5.
    #[serde(default)]
    pub size: Option<f64>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Nothing is served.
    Down,
    /// Part of the capacity is gone.
    Half,
    /// Part of the requests fail.
    Gray,
    /// Everything takes longer.
    Slow,
    /// Down and up in turn.
    Flap,
    /// Nothing is reported.
    Silent,
    /// What is reported is wrong by a factor.
    Lies,
    /// Nobody reaches the server: caches that serve stale keep what they have, the others have nothing when it expires.
    Unreachable,
    /// The largest public resolver of every cell is out, and its clients ask another; without one, the largest cache.
    Resolver,
}

impl FaultKind {
    /// Whether it is about resolvers and not about a POP.
    pub fn is_of_resolvers(self) -> bool {
        matches!(self, FaultKind::Unreachable | FaultKind::Resolver)
    }
}

/// Caches between clients and the server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Resolvers {
    /// Caches of each group over all cells, giants apart; default 1,000.
    pub caches: usize,
    /// Exponent of their sizes; default 1.1.
    pub zipf: f64,
    /// Public resolvers per cell; default 3.
    pub giants: usize,
    /// Part of a cell's demand behind them; default 0.3.
    pub giant_share: f64,
    /// Whether giants ask per client subnet, and so hold an answer for each of 64; default yes.
    pub ecs: bool,
    /// Part of caches that keep to the TTL; default 0.913 (Moura et al. 2019). The others keep answers for at least
    /// `floor` seconds.
    pub obey: f64,
    /// Least and most of the floors of caches that do not; default 60 to 600.
    pub floor: [Secs; 2],
    /// Part of caches that go on with what they have while nobody answers (RFC 8767); default 0.5, our choice.
    pub stale: f64,
}

impl Default for Resolvers {
    fn default() -> Resolvers {
        let floor = [Secs(60.0), Secs(600.0)];
        Resolvers { caches: 1000, zipf: 1.1, giants: 3, giant_share: 0.3, ecs: true, obey: 0.913, floor, stale: 0.5 }
    }
}

/// Clients and their connections.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Clients {
    /// Part of requests on long connections; default 0.3.
    pub long_share: f64,
    /// Mean life of short connections; default 20 s.
    pub short: Secs,
    /// Mean life of long ones; default 300 s.
    pub long: Secs,
    /// How often a failed request is tried again, a second later at the same POP; default 1, at most 8. Clients are
    /// finite: no request is in flight more than once.
    pub retries: usize,
}

impl Default for Clients {
    fn default() -> Clients {
        Clients { long_share: 0.3, short: Secs(20.0), long: Secs(300.0), retries: 1 }
    }
}

/// How POPs report.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Telemetry {
    /// Seconds of a window; default 10.
    pub every: Secs,
    /// Least and most time on the way; default 1 to 3 s.
    pub delay: [Secs; 2],
    /// Part of samples that never arrive; default 0.
    pub loss: f64,
    /// Whether requests are reported by cell; default no: the server's own tally has to do.
    pub cells: bool,
    /// Whether the processor's utilisation is reported; default yes.
    pub utilisation: bool,
    /// Whether POPs are probed as well, every five seconds from one place; default no.
    pub probes: bool,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry {
            every: Secs(10.0),
            delay: [Secs(1.0), Secs(3.0)],
            loss: 0.0,
            cells: false,
            utilisation: true,
            probes: false,
        }
    }
}

impl Scenario {
    /// Reads the text of a scenario file.
    ///
    /// # Errors
    /// What is wrong, with line and column where the text is; all of `wrong` else.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let scenario: Scenario = toml::from_str(text).map_err(|e| {
            let before = &text[..e.span().map_or(0, |s| s.start)];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("{line}:{column}: error: {}", e.message())
        })?;
        match scenario.wrong() {
            Some(wrong) => Err(format!("error: {wrong}")),
            None => Ok(scenario),
        }
    }

    /// The first number that is out of its range, in words.
    fn wrong(&self) -> Option<String> {
        let share = |what: &str, v: f64| (!(0.0..=1.0).contains(&v)).then(|| format!("{what} = {v} is not in 0 to 1"));
        let above = |what: &str, v: f64| (!(v > 0.0 && v < 1e12)).then(|| format!("{what} = {v} is not above 0"));
        let Resolvers { caches, zipf, giants, giant_share, obey, floor, stale, .. } = &self.resolvers;
        let counts =
            (*caches > 1_000_000 || *giants > 16).then(|| "more than 1,000,000 caches or 16 giants".to_string());
        let nobody = (*caches == 0 && (*giants == 0 || *giant_share < 1.0))
            .then(|| "resolvers.caches = 0 leaves nobody".to_string());
        let retries = (self.clients.retries > 8).then(|| "clients.retries is more than 8".to_string());
        let order =
            |what: &str, [a, b]: [Secs; 2]| (a.0 > b.0).then(|| format!("{what}: the least is more than the most"));
        let mut all = vec![
            above("step", self.step.0),
            (self.step.0 > 10.0).then(|| "step is more than 10 s: less than the loop needs to see".into()),
            above("duration", self.duration.0),
            above("resolvers.zipf", *zipf),
            share("resolvers.giant-share", *giant_share),
            share("resolvers.obey", *obey),
            share("resolvers.stale", *stale),
            share("clients.long-share", self.clients.long_share),
            share("telemetry.loss", self.telemetry.loss),
            above("telemetry.every", self.telemetry.every.0),
            above("clients.short", self.clients.short.0),
            above("clients.long", self.clients.long.0),
            order("resolvers.floor", *floor),
            order("telemetry.delay", self.telemetry.delay),
            counts,
            nobody,
            retries,
            self.demand.is_empty().then(|| "no [[demand]]: nobody asks for anything".into()),
        ];
        for d in &self.demand {
            all.push(d.peak.and_then(|p| above("demand.peak", p)));
            all.push(d.share.and_then(|p| above("demand.share", p)));
            all.push((d.peak.is_some() && d.share.is_some()).then(|| "demand: either `peak` or `share`".into()));
            all.push(share("demand.wave", d.wave));
            all.push(d.noise.and_then(|n| share("demand.noise", n)));
            all.push(
                d.memory
                    .and_then(|m| (!(0.0..1.0).contains(&m)).then(|| "demand.memory is not in 0 to below 1".into())),
            );
            all.push(d.every.and_then(|e| (e.0 < 120.0).then(|| "demand.every is below two minutes".into())));
            all.extend(
                d.cells
                    .iter()
                    .map(|(name, v)| (!(*v >= 0.0 && v.is_finite())).then(|| format!("demand.cells.{name} = {v}"))),
            );
        }
        for s in &self.surge {
            let size = s.peak.or(s.share);
            all.push((s.peak.is_some() == s.share.is_some()).then(|| "surge: either `peak` or `share`".into()));
            all.push(size.and_then(|p| above("surge.peak or surge.share", p)));
            all.push((!(0.0..1.0).contains(&s.branching)).then(|| "surge.branching is not in 0 to below 1".into()));
            all.push(
                (s.kind == SurgeKind::Shift)
                    .then(|| s.share.map_or(Some("surge: a shift has a `share`".into()), |v| share("surge.share", v)))
                    .flatten(),
            );
            all.extend([
                above("surge.exponent", s.exponent),
                above("surge.decay", s.decay.0),
                share("surge.spread", s.spread),
            ]);
        }
        all.extend(self.announce.iter().map(Announce::wrong));
        for f in &self.fault {
            all.push((f.pop.is_empty() != f.kind.is_of_resolvers()).then(|| match f.pop.is_empty() {
                true => format!("fault: {:?} without a `pop`", f.kind),
                false => format!("fault: {:?} is about resolvers, not about {}", f.kind, f.pop),
            }));
            let size = match f.kind {
                FaultKind::Half | FaultKind::Gray => f.size.and_then(|v| share("fault.size", v)),
                _ => f.size.and_then(|v| above("fault.size", v)),
            };
            all.push(size);
        }
        all.into_iter().flatten().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_written() {
        let text = "duration = \"2h\"\nstart = \"2018-05-01T10:00:00Z\"\n[[demand]]\nshare = 0.8\ncells = { DE = 0.5 }\n\
                    [[fault]]\nat = 60\nfor = \"5m\"\npop = \"fra\"\nkind = \"down\"\n";
        let s = Scenario::parse(text).unwrap();
        assert_eq!((s.duration, s.start), (Secs(7200.0), Some(Start::At(1_525_168_800.0))));
        assert_eq!((s.fault[0].lasts, s.fault[0].kind), (Secs(300.0), FaultKind::Down));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let check = |text: &str, part: &str| {
            let said = Scenario::parse(text).unwrap_err();
            assert!(said.contains(part), "{said}");
        };
        check("durations = 3", "1:1: error: unknown field `durations`");
        check("duration = \"3 hours\"", "a duration such as");
        check("duration = -1", "not between 0 and 90 days");
        check("", "no [[demand]]");
        check("[[demand]]\npeak = 1\nshare = 1", "either `peak` or `share`");
        check("[[demand]]\n[resolvers]\nobey = 2", "resolvers.obey = 2");
        check("[[demand]]\n[[fault]]\nat = 1\nfor = 1\npop = \"a\"\nkind = \"broken\"", "unknown variant `broken`");
        check("[[demand]]\n[[surge]]\nat = 1\nkind = \"step\"", "surge: either");
        check("[[demand]]\n[[fault]]\nat = 1\nfor = 1\nkind = \"down\"", "Down without a `pop`");
        check("[[demand]]\nmemory = 1.0", "demand.memory");
    }
}
