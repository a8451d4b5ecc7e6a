//! `floodway report`: telemetry from the command line, as a POP would send it.

use crate::cli::{self, client};
use crate::telemetry::Utilisation;
use crate::telemetry::check::{RawLatency, RawSample, shadow_from_word};
use crate::telemetry::grpc::shadow_to_proto;
use crate::telemetry::proto::{self, directive::Say, telemetry_client::TelemetryClient};
use crate::units::{parse_duration_secs, parse_quantity, parse_share};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

//----------- Args -----------------------------------------------------------

/// Reports telemetry to a running server, as a POP would.
///
/// Prints what the server says: samples taken, samples refused and what to do about it, and the states it
/// wants of the POP's shadows. Ends with status 1 if anything was refused.
///
/// Names may be shortened to their first labels where that is unique: `--pop ams.pop`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  floodway report --pop ams.pop --group web --requests 40k --errors 120 --p95 80
  floodway report --pop ams.pop --group web --requests 1000 --errors 30% --every 1s --count 20
  floodway report --pop fra.pop --probe failed --place ams --every 5s
  floodway report --pop dub.pop --group web --member dub.web --requests 0 --shadow ready
  echo '{\"pop\":\"ams.pop\",\"group\":\"web\",\"requests\":100}' | floodway report --stdin")]
pub struct Args {
    #[command(flatten)]
    server: client::Server,
    /// POP that reports.
    #[arg(long, value_name = "NAME", required_unless_present = "stdin")]
    pop: Option<String>,
    /// Group it is about.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["stdin", "probe"])]
    group: Option<String>,
    /// Member, where the POP hosts several of the group.
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// Requests in the window, such as 850 or 40k.
    #[arg(long, value_name = "N", value_parser = quantity, required_unless_present_any = ["stdin", "probe"])]
    requests: Option<f64>,
    /// Failed ones among them: a number, or a share such as 5%.
    #[arg(long, value_name = "N", value_parser = errors, default_value = "0")]
    errors: Errors,
    /// Length of the window.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    window: f64,
    /// How long ago the window ended.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    ago: Option<f64>,
    /// Median latency in milliseconds.
    #[arg(long, value_name = "MS")]
    p50: Option<f64>,
    /// 0.95 quantile of latency in milliseconds.
    #[arg(long, value_name = "MS")]
    p95: Option<f64>,
    /// 0.99 quantile of latency in milliseconds.
    #[arg(long, value_name = "MS")]
    p99: Option<f64>,
    /// What the POP sustains, requests per second, such as 40k.
    #[arg(long, value_name = "RATE", value_parser = quantity)]
    capacity: Option<f64>,
    /// Processor in use, such as 0.7 or 70%.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    cpu: Option<f64>,
    /// Memory in use.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    memory: Option<f64>,
    /// Bandwidth in use.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    bandwidth: Option<f64>,
    /// Connections in use.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    connections: Option<f64>,
    /// State of the shadow member.
    #[arg(long, value_name = "STATE", value_parser = ["cold", "warming", "ready", "active", "draining"])]
    shadow: Option<String>,
    /// Requests from one cell; may be given many times.
    #[arg(long = "cell", value_name = "CELL=N", value_parser = cell)]
    cells: Vec<(String, f64)>,
    /// What a probe of the POP found that was made here: `well` or `failed`. Nothing else is reported then.
    #[arg(long, value_name = "OUTCOME", value_parser = ["well", "failed"], requires = "place", conflicts_with_all = ["group", "requests"])]
    probe: Option<String>,
    /// From where it was made; with certificates the POP that is theirs.
    #[arg(long, value_name = "PLACE", requires = "probe")]
    place: Option<String>,
    /// Send a sample again and again, this far apart.
    #[arg(long, value_name = "DURATION", value_parser = beat)]
    every: Option<f64>,
    /// Samples to send in all [default: 1, or without end with --every].
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Read samples from standard input, one JSON object per line: pop, group, requests, and any of member,
    /// errors, window_seconds, time, latency {p50_ms, p95_ms, p99_ms}, capacity, utilisation {cpu, memory,
    /// bandwidth, connections}, shadow, cells {name: requests}.
    #[arg(long, conflicts_with_all = ["pop", "group", "member", "requests", "every", "count", "probe"])]
    stdin: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// `--errors`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Errors {
    Count(f64),
    Share(f64),
}

fn quantity(text: &str) -> Result<f64, String> {
    parse_quantity(text).map_err(|e| format!("expected {e}"))
}

fn duration(text: &str) -> Result<f64, String> {
    parse_duration_secs(text).map_err(|e| format!("expected {e}"))
}

/// A duration of at least a millisecond: faster than that is a flood.
fn beat(text: &str) -> Result<f64, String> {
    duration(text).and_then(|secs| if secs >= 0.001 { Ok(secs) } else { Err("expected at least 1ms".into()) })
}

fn share(text: &str) -> Result<f64, String> {
    parse_share(text).map_err(|e| format!("expected {e}"))
}

fn errors(text: &str) -> Result<Errors, String> {
    match text.ends_with('%') {
        true => share(text).map(Errors::Share),
        false => quantity(text).map(Errors::Count),
    }
}

fn cell(text: &str) -> Result<(String, f64), String> {
    let (name, n) = text.rsplit_once('=').ok_or("expected a cell and its requests, such as JP=120")?;
    Ok((name.to_owned(), quantity(n)?))
}

impl Args {
    /// The sample that the arguments describe, ending `ago` before now.
    fn sample(&self, now: f64) -> RawSample {
        let requests = self.requests.unwrap_or(0.0);
        let latency = RawLatency { p50_ms: self.p50, p95_ms: self.p95, p99_ms: self.p99 };
        let mut cells = BTreeMap::new();
        for (name, n) in &self.cells {
            *cells.entry(name.clone()).or_insert(0.0) += n;
        }
        RawSample {
            pop: self.pop.clone().unwrap_or_default(),
            group: self.group.clone().unwrap_or_default(),
            member: self.member.clone(),
            time: self.ago.map(|ago| now - ago),
            window_secs: self.window,
            requests,
            errors: match self.errors {
                Errors::Count(n) => n,
                Errors::Share(share) => share * requests,
            },
            latency: (latency != RawLatency::default()).then_some(latency),
            capacity: self.capacity,
            utilisation: Utilisation {
                cpu: self.cpu,
                memory: self.memory,
                bandwidth: self.bandwidth,
                connections: self.connections,
            },
            shadow: self.shadow.clone(),
            cells,
        }
    }
}

//----------- run ------------------------------------------------------------

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    cli::end(client::block_on(converse(args, config)).and_then(|sums| match sums.refused + sums.unreadable {
        0 => Ok(()),
        _ => Err(String::new()),
    }))
}

/// What became of the samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    taken: u64,
    refused: u64,
    unreadable: u64,
}

async fn converse(args: Args, config: Option<&Path>) -> Result<Sums, String> {
    let channel = args.server.connect(config).await?;
    let (samples, outgoing) = mpsc::channel(64);
    let (json, held) = (args.json, Arc::new(Held::default()));
    let several = args.stdin || args.every.is_some() || args.count.is_some_and(|n| n > 1);
    let feeder = match args.stdin {
        true => {
            let held = held.clone();
            let feed = tokio::task::spawn_blocking(move || feed_lines(io::stdin().lock(), samples, &held));
            tokio::spawn(async move { feed.await.unwrap_or_default() })
        }
        false => tokio::spawn(feed_args(args, samples, held.clone())),
    };
    let words = TelemetryClient::new(channel).report(ReceiverStream::new(outgoing)).await;
    let mut words = words.map_err(|e| client::failed(&e))?.into_inner();
    let mut sums = Sums::default();
    while let Some(word) = words.message().await.map_err(|e| client::failed(&e))? {
        let Some(say) = word.say else { continue };
        match &say {
            Say::Accepted(a) => sums.taken += a.count,
            Say::Refused(r) => sums.refused += r.count,
            Say::Wanted(w) => held.put(w),
        }
        let text = if json { print_json(&say) } else { print(&say) };
        cli::print(&text)?;
    }
    sums.unreadable = feeder.await.unwrap_or_default();
    if several && !json {
        cli::print(&format!("{} taken, {} refused", sums.taken, sums.refused + sums.unreadable))?;
    }
    match sums {
        Sums { taken: 0, refused: 0, unreadable: 0 } => Err("nothing was sent".to_owned()),
        sums => Ok(sums),
    }
}

/// The generations of wishes that were printed, by POP: samples acknowledge them.
#[derive(Debug, Default)]
struct Held(Mutex<BTreeMap<String, u64>>);

impl Held {
    fn put(&self, wanted: &proto::Wanted) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted.pop.clone(), wanted.generation);
    }

    /// What is held of a POP, by its name or the beginning of it in whole labels.
    fn of(&self, pop: &str) -> Option<u64> {
        let begins = |name: &str| name.strip_prefix(pop).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(name, _)| begins(name)).map(|(_, generation)| *generation)
    }
}

/// Sends what the arguments describe, once or on a beat. Returns 0: arguments were read before.
async fn feed_args(args: Args, samples: mpsc::Sender<proto::Sample>, held: Arc<Held>) -> u64 {
    let n = args.count.unwrap_or(if args.every.is_some() { u64::MAX } else { 1 });
    let every = Duration::from_secs_f64(args.every.unwrap_or(1.0).min(1e6));
    let mut beat = tokio::time::interval(every);
    for seq in 1..=n {
        beat.tick().await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        // Arguments were checked by clap, a server that is gone is told of by the reader of its words.
        let Ok(mut sample) = to_proto(args.sample(now), seq) else { return 0 };
        sample.probe = args.probe.as_ref().map(|outcome| proto::ProbeOutcome {
            place: args.place.clone().unwrap_or_default(),
            well: outcome == "well",
        });
        sample.wanted_generation = held.of(&sample.pop);
        if samples.send(sample).await.is_err() {
            return 0;
        }
    }
    0
}

/// Sends the samples of a text, one per line, numbered by line. Returns how many could not be read.
fn feed_lines(text: impl BufRead, samples: mpsc::Sender<proto::Sample>, held: &Held) -> u64 {
    let mut unreadable = 0;
    for (line, seq) in text.lines().zip(1..) {
        let line = match line {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => line,
            Err(e) => {
                eprintln!("standard input, line {seq}: {e}");
                return unreadable + 1;
            }
        };
        let read = serde_json::from_str::<RawSample>(&line).map_err(|e| e.to_string());
        match read.and_then(|raw| to_proto(raw, seq)) {
            Ok(mut sample) => {
                sample.wanted_generation = held.of(&sample.pop);
                if samples.blocking_send(sample).is_err() {
                    return unreadable;
                }
            }
            Err(e) => {
                eprintln!("standard input, line {seq}: {e}");
                unreadable += 1;
            }
        }
    }
    unreadable
}

//----------- Protobuf -------------------------------------------------------

/// The sample as it is sent.
///
/// # Errors
/// The shadow state is not one of the words.
pub fn to_proto(raw: RawSample, seq: u64) -> Result<proto::Sample, String> {
    let shadow = match &raw.shadow {
        None => None,
        Some(word) => match shadow_from_word(word) {
            Some(state) => Some(shadow_to_proto(state).into()),
            None => return Err(format!("{word:?} is not cold, warming, ready, active or draining")),
        },
    };
    let used = raw.utilisation;
    Ok(proto::Sample {
        seq,
        pop: raw.pop,
        group: raw.group,
        member: raw.member,
        time: raw.time,
        window_seconds: raw.window_secs,
        requests: raw.requests,
        errors: raw.errors,
        latency: raw.latency.map(|l| proto::Latency { p50_ms: l.p50_ms, p95_ms: l.p95_ms, p99_ms: l.p99_ms }),
        capacity: raw.capacity,
        utilisation: Some(proto::Utilisation {
            cpu: used.cpu,
            memory: used.memory,
            bandwidth: used.bandwidth,
            connections: used.connections,
        }),
        shadow,
        cells: raw.cells.into_iter().collect(),
        probe: None,
        wanted_generation: None,
    })
}

//----------- Words ----------------------------------------------------------

fn print(say: &Say) -> String {
    match say {
        Say::Accepted(a) if a.count == 1 => format!("taken: sample {}", a.last_seq),
        Say::Accepted(a) => format!("taken: {} samples up to {}", a.count, a.last_seq),
        Say::Refused(r) if r.count == 1 => format!("refused: sample {}: {} ({})", r.first_seq, r.text, r.reason),
        Say::Refused(r) => {
            format!("refused: {} samples from {} to {}: {} ({})", r.count, r.first_seq, r.last_seq, r.text, r.reason)
        }
        Say::Wanted(w) if w.shadows.is_empty() && w.connections.is_empty() => format!("wanted: nothing of {}", w.pop),
        Say::Wanted(w) => {
            let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            let shadows = w.shadows.iter().map(|s| {
                let state = word(s.wanted());
                format!("wanted: {} of {} to be {state}{}", s.member, s.group, because(&s.reason))
            });
            let connections = w.connections.iter().map(|c| {
                let (secs, why) = (c.max_connection_age_seconds, because(&c.reason));
                format!("wanted: connections of {} of {} to end when they are {secs} s old{why}", c.member, c.group)
            });
            shadows.chain(connections).collect::<Vec<_>>().join("\n")
        }
    }
}

fn print_json(say: &Say) -> String {
    let value = match say {
        Say::Accepted(a) => json!({"accepted": {"count": a.count, "last_seq": a.last_seq}}),
        Say::Refused(r) => json!({"refused": {
            "reason": r.reason, "text": r.text, "count": r.count, "first_seq": r.first_seq, "last_seq": r.last_seq,
        }}),
        Say::Wanted(w) => {
            json!({"wanted": {"pop": w.pop, "generation": w.generation, "shadows": w.shadows.iter().map(|s| json!({
            "group": s.group, "member": s.member, "wanted": word(s.wanted()), "reason": s.reason,
        })).collect::<Vec<_>>(), "connections": w.connections.iter().map(|c| json!({
            "group": c.group, "member": c.member, "max_connection_age_seconds": c.max_connection_age_seconds,
            "reason": c.reason,
        })).collect::<Vec<_>>()}})
        }
    };
    value.to_string()
}

fn word(state: proto::ShadowState) -> &'static str {
    match state {
        proto::ShadowState::Unspecified => "as it is",
        proto::ShadowState::Cold => "cold",
        proto::ShadowState::Warming => "warming",
        proto::ShadowState::Ready => "ready",
        proto::ShadowState::Active => "active",
        proto::ShadowState::Draining => "draining",
    }
}

#[cfg(test)]
mod tests;
