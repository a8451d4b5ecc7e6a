//! `floodway reload` and `floodway status`: words with a running server, over its admin listener.

use crate::cli::check::count;
use crate::cli::{self, config::Config};
use serde::Deserialize;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for an answer: a load of many zones takes its time.
const ANSWER: Duration = Duration::from_secs(600);
/// Longest answer that is read: a thousand zones and problems take some hundred kilobytes.
const MAX_ANSWER: u64 = 64 << 20;

//----------- Args -----------------------------------------------------------

/// Where the server is.
#[derive(Clone, Debug, clap::Args)]
struct Server {
    /// Admin address of a running server [default: that of the configuration].
    #[arg(long = "admin", value_name = "ADDR", env = "FLOODWAY_ADMIN")]
    addr: Option<SocketAddr>,
    /// Print the server's own JSON.
    #[arg(long)]
    json: bool,
}

/// Has a running server load zones, policies, certificates and its rules anew, and says what became of it.
///
/// Exit status: 0 when it was taken, 1 when it was refused and the server goes on with what it has.
#[derive(Clone, Debug, clap::Args)]
pub struct Reload {
    #[command(flatten)]
    server: Server,
    /// Only say what a reload would do: read by the running server, as its user, against what it has.
    #[arg(long)]
    dry_run: bool,
}

/// Says how a running server is: what it serves, since when, and what is wrong.
///
/// Exit status: 0 when all is well, 1 when something is not: the last load or certificate was refused, or zones are left out.
#[derive(Clone, Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    server: Server,
}

//----------- run ------------------------------------------------------------

/// Runs `floodway reload`.
pub fn reload(args: &Reload, config: Option<&Path>) -> ExitCode {
    cli::end(run_reload(args, config))
}

/// Runs `floodway status`.
pub fn status(args: &Status, config: Option<&Path>) -> ExitCode {
    cli::end(run_status(args, config))
}

fn run_reload(args: &Reload, config: Option<&Path>) -> Result<(), String> {
    let path = if args.dry_run { "/reload?dry-run" } else { "/reload" };
    let (code, body) = ask(args.server.addr(config)?, "POST", path)?;
    let told: Told = match code {
        200 | 422 => serde_json::from_str(&body).map_err(|e| format!("not understood: {e}"))?,
        _ => return Err(format!("{} ({code})", body.trim_end())),
    };
    let text = if args.server.json { body } else { told.print(args.dry_run) };
    cli::print(&text)?;
    if told.taken { Ok(()) } else { Err(String::new()) }
}

/// What is read of `/reload`'s answer.
#[derive(Deserialize)]
struct Told {
    taken: bool,
    generation: u64,
    seconds: f64,
    changes: String,
    report: String,
}

impl Told {
    fn print(&self, is_dry: bool) -> String {
        let Told { generation, seconds, changes, report, .. } = self;
        let end = match (self.taken, is_dry) {
            (true, false) => format!("reloaded in {seconds:.2} s, generation {generation}: {changes}"),
            (true, true) => format!("would be taken: {changes}"),
            (false, false) => "refused; the server goes on with what it has".to_owned(),
            (false, true) => "would be refused".to_owned(),
        };
        format!("{report}{end}")
    }
}

fn run_status(args: &Status, config: Option<&Path>) -> Result<(), String> {
    let addr = args.server.addr(config)?;
    let (ready, _) = ask(addr, "GET", "/readyz")?;
    let (code, body) = ask(addr, "GET", "/state")?;
    if code != 200 {
        return Err(format!("{} ({code})", body.trim_end()));
    }
    let state: Value = serde_json::from_str(&body).map_err(|e| format!("not understood: {e}"))?;
    let (text, faults) = describe(&state, ready == 200);
    cli::print(if args.server.json { &body } else { &text })?;
    if faults == 0 { Ok(()) } else { Err(String::new()) }
}

/// The state in a few lines, and how many of them are about something wrong.
fn describe(state: &Value, is_ready: bool) -> (String, usize) {
    let server = &state["server"];
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut lines = vec![format!(
        "floodway {}, process {}, {}, generation {}, plan {}",
        word(&server["version"]),
        number(&server["pid"]),
        count(number(&server["n_zones"]) as usize, "zone"),
        number(&state["generation"]),
        word(&state["mode"]).to_lowercase(),
    )];
    for (key, addrs) in server["listeners"].as_object().into_iter().flatten() {
        let addrs: Vec<_> = addrs.as_array().into_iter().flatten().map(word).collect();
        lines.push(format!("  {key}: {}", addrs.join(" ")));
    }
    let mut events = std::collections::BTreeMap::<String, usize>::new();
    for event in state["events"]["events"].as_array().into_iter().flatten() {
        *events.entry(word(&event["phase"])).or_default() += 1;
    }
    if !events.is_empty() {
        let told: Vec<_> = events.iter().map(|(phase, n)| format!("{n} {phase}")).collect();
        lines.push(format!("  events: {} (floodway announce --list)", told.join(", ")));
    }
    let n_fine = lines.len();
    if !is_ready {
        lines.push("not answering queries".into());
    }
    for (mode, words) in state["degraded"].as_object().into_iter().flatten() {
        lines.push(format!("{mode}: {}", word(words)));
    }
    if server["last_load_taken"] == false {
        lines.push("the last load was refused, be it in part: what answers is older than the files".into());
    }
    if server["last_certificate_taken"] == false {
        lines.push("the last certificate was refused: what handshakes show is older than the files".into());
    }
    let zones = server["zones"].as_array().into_iter().flatten();
    let left_out: Vec<_> = zones.filter(|zone| zone["served"] == false).map(|zone| word(&zone["name"])).collect();
    if !left_out.is_empty() {
        lines.push(format!("left out by the start, and answered with SERVFAIL: {}", left_out.join(" ")));
    }
    (lines.join("\n"), lines.len() - n_fine)
}

//----------- HTTP -----------------------------------------------------------

impl Server {
    /// Where to ask; an address that stands for all of the machine is asked on loopback.
    fn addr(&self, config: Option<&Path>) -> Result<SocketAddr, String> {
        let mut addr = match self.addr {
            Some(addr) => addr,
            None => Config::read(config)?.listen.admin,
        };
        match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Ok(addr)
    }
}

/// Asks, and reads the answer to its end: status and body. HTTP/1.0, so that the body ends with the connection.
fn ask(addr: SocketAddr, method: &str, path: &str) -> Result<(u16, String), String> {
    let failed = |e: std::io::Error| {
        format!(
            "no Floodway server at {addr}: {e}; is it running (`floodway serve`)? Another address goes with --admin"
        )
    };
    let mut stream = TcpStream::connect_timeout(&addr, CONNECT).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {addr}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut reply = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut reply).map_err(failed)?;
    parse(&reply).ok_or_else(|| format!("{addr} does not speak HTTP; is it the admin address?"))
}

fn parse(reply: &str) -> Option<(u16, String)> {
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_read() {
        assert_eq!(parse("HTTP/1.0 422 Unprocessable\r\na: b\r\n\r\n{}"), Some((422, "{}".into())));
        assert_eq!(parse("SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn the_status_names_what_is_wrong() {
        let server = |fault: &str, zones: Value| {
            let mut server = json!({ "version": "1", "pid": 7, "n_zones": 1, "listeners": { "dns": ["127.0.0.1:53"] },
                "last_load_taken": true, "last_certificate_taken": true, "zones": zones });
            if !fault.is_empty() {
                server[fault] = false.into();
            }
            json!({ "generation": 3, "mode": "Live", "server": server })
        };
        let check = |fault: &str, zones: Value, is_ready, said: &str| {
            let (text, faults) = describe(&server(fault, zones), is_ready);
            assert_eq!(faults, usize::from(!said.is_empty()), "{text}");
            assert!(
                text.contains("process 7, 1 zone, generation 3, plan live\n  dns: 127.0.0.1:53") && text.contains(said)
            );
        };
        let good = || json!([{ "name": "a.test.", "served": true }]);
        check("", good(), true, "");
        check("", good(), false, "not answering");
        check("last_load_taken", good(), true, "the last load was refused");
        check("last_certificate_taken", good(), true, "the last certificate was refused");
        let mut state = server("", good());
        state["degraded"] = json!({ "store-gone": "the history cannot be written" });
        let (text, faults) = describe(&state, true);
        assert!(faults == 1 && text.ends_with("store-gone: the history cannot be written"), "{text}");
        check(
            "",
            json!([{ "name": "b.test.", "served": false }]),
            true,
            "left out by the start, and answered with SERVFAIL: b.test.",
        );
    }
}
