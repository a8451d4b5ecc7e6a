//! `floodway announce`: says to a running server what will be asked for, and hears what it makes of it.

use crate::admin::events::asked_to_proto;
use crate::cli::{self, client, table};
use crate::events::Asked;
use crate::events::written::put;
use crate::store::timestamp;
use crate::telemetry::proto::{self, events_client::EventsClient};
use crate::units::print_quantity;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use tonic::transport::Channel;

//----------- Args -----------------------------------------------------------

/// Announces an event to a running server: a mailing, a push, a broadcast, a post.
///
/// The server plans for it before it begins: room is made, shadows are warmed, TTLs count down. From five minutes after the
/// start on what really comes rules. Names may be shortened to their first labels where that is unique.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  floodway announce --group web --start +2h --recipients 400k --click-rate 3% --requests-per-click 12 --send 20m
  floodway announce --group web --start 2026-03-01T19:45:00Z --kind broadcast --times 3 --id final --dry-run
  floodway announce --list
  floodway announce --cancel final --reason 'rained off'
  floodway announce --outcome final=180k")]
pub struct Args {
    #[command(flatten)]
    server: client::Server,
    /// Group whose demand it raises.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list", "cancel", "outcome"])]
    group: Option<String>,
    /// When it begins, or has begun: 2026-03-01T09:00:00Z, +10m, now, or -5m.
    #[arg(long, value_name = "TIME", default_value = "now", allow_hyphen_values = true)]
    start: String,
    /// Its name among events [default: made of group and start].
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How people hear of it.
    #[arg(long, value_name = "KIND", value_parser = ["email", "push", "broadcast", "social"])]
    kind: Option<String>,
    /// People who get the message, such as 400k; needs --click-rate.
    #[arg(long, value_name = "N", conflicts_with_all = ["peak", "times"])]
    recipients: Option<String>,
    /// Share of them who respond, such as 3%.
    #[arg(long, value_name = "SHARE", requires = "recipients")]
    click_rate: Option<String>,
    /// Requests that each response makes.
    #[arg(long, value_name = "N", requires = "recipients")]
    requests_per_click: Option<String>,
    /// In the place of recipients: requests per second at the peak, on top of what is usual.
    #[arg(long, value_name = "RATE", conflicts_with = "times")]
    peak: Option<String>,
    /// In the place of recipients: demand at the peak as a multiple of what is usual.
    #[arg(long, value_name = "FACTOR")]
    times: Option<String>,
    /// How long the sending takes [default: at once].
    #[arg(long, value_name = "DURATION")]
    send: Option<String>,
    /// How long attention lasts [default: as usual of the kind].
    #[arg(long, value_name = "DURATION")]
    decay: Option<String>,
    /// How many more each response brings, from 0 to 0.95 [default: as usual of the kind].
    #[arg(long, value_name = "SHARE")]
    pass_along: Option<String>,
    /// Probability that it comes at all [default: as usual of the kind].
    #[arg(long, value_name = "SHARE")]
    confidence: Option<String>,
    /// How long after the start nothing is expected any more [default: a day after the sending].
    #[arg(long, value_name = "DURATION")]
    expires: Option<String>,
    /// Countries or cells that the requests come from, such as DE,AT [default: as the group's demand].
    #[arg(long, value_name = "CELLS")]
    cells: Option<String>,
    /// Who says so.
    #[arg(long, value_name = "NAME", env = "USER")]
    announcer: Option<String>,
    /// A remark for people.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Only show what would be expected.
    #[arg(long)]
    dry_run: bool,
    /// Show events, and what was learnt of each kind.
    #[arg(long, conflicts_with_all = ["group", "dry_run", "cancel", "outcome"])]
    list: bool,
    /// Take an event back.
    #[arg(long, value_name = "ID", conflicts_with_all = ["group", "dry_run", "outcome"])]
    cancel: Option<String>,
    /// Why it is taken back.
    #[arg(long, value_name = "TEXT", requires = "cancel", conflicts_with_all = ["group", "list", "outcome"])]
    reason: Option<String>,
    /// Say how many requests an event has drawn in all; 0: it did not come.
    #[arg(long, value_name = "ID=N", conflicts_with_all = ["group", "dry_run"], value_parser = outcome)]
    outcome: Option<(String, f64)>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn outcome(text: &str) -> Result<(String, f64), String> {
    let (id, n) = text.rsplit_once('=').ok_or("expected an id and its requests, such as final=180k")?;
    let requests = crate::units::parse_quantity(n).map_err(|e| format!("expected {e}"))?;
    Ok((id.to_owned(), requests))
}

impl Args {
    /// What the arguments say.
    fn asked(&self, now: f64) -> Result<Asked, String> {
        let mut asked = Asked::default();
        let texts = [
            ("group", &self.group),
            ("start", &Some(self.start.clone())),
            ("id", &self.id),
            ("kind", &self.kind),
            ("recipients", &self.recipients),
            ("click-rate", &self.click_rate),
            ("requests-per-click", &self.requests_per_click),
            ("peak", &self.peak),
            ("times", &self.times),
            ("send", &self.send),
            ("decay", &self.decay),
            ("pass-along", &self.pass_along),
            ("confidence", &self.confidence),
            ("expires", &self.expires),
            ("cells", &self.cells),
            ("announcer", &self.announcer),
            ("note", &self.note),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                put(&mut asked, key, text, now).map_err(|e| format!("--{key} {e}"))?;
            }
        }
        Ok(asked)
    }
}

//----------- run ------------------------------------------------------------

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    cli::end(client::block_on(converse(&args, config)).and_then(|text| cli::print(&text)))
}

async fn converse(args: &Args, config: Option<&Path>) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    let asked = if args.group.is_some() { Some(args.asked(now)?) } else { None };
    let mut client = EventsClient::new(args.server.connect(config).await?).max_decoding_message_size(64 << 20);
    if let Some(asked) = asked {
        return announce(args, &mut client, asked).await;
    }
    if let Some(id) = &args.cancel {
        let (by, reason) = (args.announcer.clone().unwrap_or_default(), args.reason.clone().unwrap_or_default());
        let request = proto::CancelRequest { id: id.clone(), by, reason };
        client.cancel(request).await.map_err(|e| client::failed(&e))?;
        return Ok(if args.json { json!({ "cancelled": id }).to_string() } else { format!("{id} is taken back") });
    }
    if let Some((id, requests)) = &args.outcome {
        let request = proto::ReportOutcomeRequest { id: id.clone(), requests: *requests };
        client.report_outcome(request).await.map_err(|e| client::failed(&e))?;
        let text = format!("{id} has drawn {} requests", print_quantity(*requests));
        return Ok(if args.json { json!({ "noted": id, "requests": requests }).to_string() } else { text });
    }
    let listed = client.list(proto::ListRequest {}).await.map_err(|e| client::failed(&e))?.into_inner();
    Ok(if args.json { list_json(&listed).to_string() } else { list_text(&listed) })
}

async fn announce(args: &Args, client: &mut EventsClient<Channel>, asked: Asked) -> Result<String, String> {
    let start = asked.start;
    let request =
        proto::AnnounceRequest { announcement: Some(asked_to_proto(asked, Some(start))), dry_run: args.dry_run };
    let said = client.announce(request).await.map_err(|e| client::failed(&e))?.into_inner();
    if args.json {
        let point =
            |p: &proto::ExpectedPoint| json!({ "seconds": p.seconds, "q10": p.q10, "q50": p.q50, "q90": p.q90 });
        let curve: Vec<_> = said.curve.iter().map(point).collect();
        let whole = json!({ "id": said.id, "group": said.group, "start": start, "dry_run": args.dry_run, "requests": said.requests,
            "peak": said.peak, "peak_seconds": said.peak_seconds, "curve": curve, "remarks": said.remarks });
        return Ok(whole.to_string());
    }
    let mut text = format!(
        "{}{} of {} at {}: {} requests as announced, at most {}/s after {:.0} min\n",
        if args.dry_run { "would be announced: " } else { "announced: " },
        said.id,
        said.group,
        timestamp::print(start as i64),
        print_quantity(said.requests),
        print_quantity(said.peak),
        said.peak_seconds / 60.0,
    );
    text += &said.remarks.iter().map(|remark| format!("note: {remark}\n")).collect::<String>();
    text += "\non top of what is usual, requests per second; 90 % is planned for before the start\n";
    let most = said.curve.iter().map(|p| p.q90).fold(1e-9, f64::max);
    let mut rows = vec![["MINUTE", "10 %", "50 %", "90 %", ""].map(str::to_owned).to_vec()];
    for p in &said.curve {
        let bar = "#".repeat((40.0 * p.q90 / most).round() as usize);
        let rates = [p.q10, p.q50, p.q90].map(print_quantity);
        rows.push([vec![format!("{:.0}", p.seconds / 60.0)], rates.to_vec(), vec![bar]].concat());
    }
    Ok(text + &table::print(&rows, &[0, 1, 2, 3]))
}

//----------- The list -------------------------------------------------------

fn list_text(listed: &proto::ListResponse) -> String {
    let mut rows = vec![
        ["EVENT", "GROUP", "KIND", "START", "PHASE", "ANNOUNCED", "CAME", "NOW", "BY", "NOTE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let quantity = |n: Option<f64>| n.map_or("-".to_owned(), print_quantity);
    for e in &listed.events {
        let late = e.late_seconds.filter(|s| e.phase == "running" && s.abs() > 30.0);
        let late = late.map_or(String::new(), |s| format!(" {:+.0} min", s / 60.0));
        rows.push(vec![
            e.id.clone(),
            e.group.clone(),
            e.kind.clone(),
            timestamp::print(e.start as i64),
            format!("{}{late}", e.phase),
            quantity(e.announced),
            quantity(e.came),
            print_quantity(e.now),
            e.announcer.clone(),
            e.cancelled.clone().map_or(e.note.clone(), |why| format!("taken back by {why}")),
        ]);
    }
    let mut text = match listed.events.len() {
        0 => "no events\n".to_owned(),
        _ => table::print(&rows, &[5, 6, 7]),
    };
    text += "\nwhat was learnt of each kind\n";
    let mut kinds = vec![["KIND", "EVENTS", "CAME/ANNOUNCED", "90 % UP TO", "COMES"].map(str::to_owned).to_vec()];
    for k in &listed.kinds {
        let most = k.factor * (1.2816 * k.sigma).exp();
        let comes = format!("{:.0} %", 100.0 * k.comes);
        kinds.push(vec![k.kind.clone(), k.events.to_string(), format!("{:.2}", k.factor), format!("{most:.2}"), comes]);
    }
    text + &table::print(&kinds, &[1, 2, 3, 4])
}

fn list_json(listed: &proto::ListResponse) -> serde_json::Value {
    let event = |e: &proto::EventState| {
        json!({ "id": e.id, "group": e.group, "kind": e.kind, "announcer": e.announcer, "note": e.note, "start": e.start,
            "expires": e.expires, "file": e.file, "cancelled": e.cancelled, "phase": e.phase, "announced": e.announced,
            "came": e.came, "now": e.now, "p_absent": e.p_absent, "late_seconds": e.late_seconds, "trust": e.trust,
            "pass_along": e.pass_along })
    };
    let kind = |k: &proto::KindState| json!({ "kind": k.kind, "events": k.events, "factor": k.factor, "sigma": k.sigma, "comes": k.comes });
    json!({ "events": listed.events.iter().map(event).collect::<Vec<_>>(), "kinds": listed.kinds.iter().map(kind).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Asked, String> {
        let line = Line::try_parse_from(std::iter::once("announce").chain(line.split_whitespace()));
        line.map_err(|e| e.to_string())?.args.asked(1000.0)
    }

    #[test]
    fn arguments_are_what_files_say() {
        let asked =
            parse("--group web --start +10m --recipients 400k --click-rate 3% --send 20m --cells DE,AT").unwrap();
        assert_eq!((asked.start, asked.recipients, asked.click_rate), (1600.0, Some(4e5), Some(0.03)));
        assert_eq!((asked.send_secs, asked.cells.len()), (Some(1200.0), 2));
        assert_eq!(parse("--group web --times 3x").unwrap().start, 1000.0);
        assert_eq!(parse("--group web --start -5m --times 3x").unwrap().start, 700.0, "somebody forgot to say so");
    }

    #[test]
    fn bad_arguments_are_refused_by_name() {
        let check = |line: &str, says: &str| {
            let e = parse(line).unwrap_err();
            assert!(e.contains(says), "{e}");
        };
        check("", "--group <NAME>");
        check("--group web --start later", "--start \"later\"");
        check("--group web --recipients many --click-rate 3%", "--recipients \"many\"");
        check("--group web --recipients 4 --peak 5", "cannot be used with");
        check("--group web --click-rate 3%", "--recipients <N>");
        check("--group web --kind fax --peak 5", "invalid value 'fax'");
        check("--list --cancel x", "cannot be used with");
        check("--outcome final", "such as final=180k");
        check("--reason rain --list", "cannot be used with");
        check("--reason rain", "--cancel <ID>");
    }
}
