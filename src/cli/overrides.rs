//! `floodway drain`, `undrain`, `override` and `plan`: an operator's word to a running server, and what it would do.

use crate::cli::{client, print, table};
use crate::store::timestamp;
use crate::telemetry::proto::{self, steering_client::SteeringClient};
use crate::units::{parse_duration_secs, print_ms, print_quantity, print_short};
use serde_json::{Value, json};
use std::path::Path;
use tonic::transport::Channel;

//----------- Args -----------------------------------------------------------

/// Whose word it is, why, and for how long.
#[derive(Clone, Debug, clap::Args)]
struct Word {
    /// For how long, such as 30m or 2h; at most 30 days.
    #[arg(long = "for", value_name = "TIME", value_parser = secs)]
    secs: Option<f64>,
    /// Why: whoever meets it will ask.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who says so [default: who runs this].
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Change nothing: show what shares it would give.
    #[arg(long)]
    dry_run: bool,
    /// Decide it even if it breaks what the policies assert.
    #[arg(long)]
    against_assertions: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Gives no new answers for POPs or members, for a while.
#[derive(Clone, Debug, clap::Args)]
pub struct Drain {
    /// POPs or members: names, their beginnings, or globs such as 'fra.*'.
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    word: Word,
    #[command(flatten)]
    server: client::Server,
}

/// Ends a drain.
#[derive(Clone, Debug, clap::Args)]
pub struct Undrain {
    /// What was drained, in the words of the drain.
    #[arg(required = true)]
    names: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: client::Server,
}

/// Decides in the place of a running server, for a while; lists and ends such decisions.
///
/// Decisions: 'drain NAME', 'force-open NAME' (counts as failed), 'force-closed NAME' (counts as whole), 'resume NAME' (what
/// waits for an operator, or is kept out since it flaps, comes back as after any failure), 'capacity POP=20k' or '=50%', and of
/// groups 'freeze NAME' (shares stay), 'forecast-off NAME', 'steering-off NAME' (as declared). Names may be globs; without a
/// dot at the end they are the beginning of a name.
#[derive(Clone, Debug, clap::Args)]
pub struct Override {
    /// What is decided, in quotes: 'capacity fra.pop=50%'. Without any, what holds is listed.
    whats: Vec<String>,
    /// End the decision of this number.
    #[arg(long, value_name = "NUMBER", conflicts_with = "whats")]
    end: Vec<u64>,
    #[command(flatten)]
    word: Word,
    #[command(flatten)]
    server: client::Server,
}

/// Shows what shares a running server would give if something were decided.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// What would be decided, as for `floodway override`: 'capacity fra.pop=0'. May be given again.
    #[arg(long = "what-if", value_name = "DECISION", required = true)]
    whats: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: client::Server,
}

fn secs(text: &str) -> Result<f64, String> {
    parse_duration_secs(text).map_err(|e| e.to_string())
}

//----------- Commands -------------------------------------------------------

/// `floodway drain`.
///
/// # Errors
/// A text for people.
pub fn drain(args: Drain, config: Option<&Path>) -> Result<(), String> {
    let whats: Vec<String> = args.names.iter().map(|name| format!("drain {name}")).collect();
    client::block_on(decide(&whats, &args.word, &args.server, config))
}

/// `floodway undrain`.
///
/// # Errors
/// A text for people.
pub fn undrain(args: Undrain, config: Option<&Path>) -> Result<(), String> {
    let whats = args.names.iter().map(|name| format!("drain {name}")).collect();
    client::block_on(end(proto::EndOverridesRequest { ids: Vec::new(), whats }, args.json, &args.server, config))
}

/// `floodway override`.
///
/// # Errors
/// A text for people.
pub fn r#override(args: Override, config: Option<&Path>) -> Result<(), String> {
    client::block_on(async {
        match (args.whats.is_empty(), args.end.is_empty()) {
            (true, true) => {
                let all = list(&mut connect(&args.server, config).await?).await?;
                let all_json = || json!({ "overrides": all.iter().map(override_json).collect::<Vec<_>>() }).to_string();
                print(&if args.word.json { all_json() } else { list_text(&all) })
            }
            (true, false) => {
                let request = proto::EndOverridesRequest { ids: args.end, whats: Vec::new() };
                end(request, args.word.json, &args.server, config).await
            }
            (false, _) => decide(&args.whats, &args.word, &args.server, config).await,
        }
    })
}

/// `floodway plan`.
///
/// # Errors
/// A text for people.
pub fn plan(args: Plan, config: Option<&Path>) -> Result<(), String> {
    client::block_on(async {
        let found = what_if(&mut connect(&args.server, config).await?, args.whats).await?;
        print(&if args.json { changes_json(&found) } else { tables(&found, "would be refused") })
    })
}

async fn connect(server: &client::Server, config: Option<&Path>) -> Result<SteeringClient<Channel>, String> {
    Ok(SteeringClient::new(server.connect(config).await?).max_decoding_message_size(64 << 20))
}

async fn decide(whats: &[String], word: &Word, server: &client::Server, config: Option<&Path>) -> Result<(), String> {
    let mut client = connect(server, config).await?;
    if word.dry_run {
        let found = what_if(&mut client, whats.to_vec()).await?;
        let verdict = if word.against_assertions { "would break what is asserted" } else { "would be refused" };
        print(&if word.json { changes_json(&found) } else { tables(&found, verdict) })?;
        return match found.broken.is_empty() || word.against_assertions {
            true => Ok(()),
            false => Err("it would be refused; --against-assertions overrules what is asserted".into()),
        };
    }
    let seconds = word.secs.ok_or("for how long? --for 30m, at most 30 days")?;
    let reason = word.reason.clone().ok_or("why? --reason 'new disks': whoever meets it will ask")?;
    let author = word.author.clone().unwrap_or_else(who);
    let (mut text, mut all) = (String::new(), Vec::new());
    for what in whats {
        let (what, author, reason) = (what.clone(), author.clone(), reason.clone());
        let against_assertions = word.against_assertions;
        let request = proto::OverrideRequest { what, seconds, author, reason, against_assertions };
        let answer = client.r#override(request).await.map_err(|e| client::failed(&e))?.into_inner();
        let made = answer.made.unwrap_or_default();
        text += &format!("{}: {} until {}: {}\n", made.id, made.what, when(made.ends_at), answer.names.join(", "));
        let mut value = override_json(&made);
        value["names"] = json!(answer.names);
        all.push(value);
    }
    print(&if word.json { json!({ "made": all }).to_string() } else { text })
}

async fn end(
    request: proto::EndOverridesRequest,
    as_json: bool,
    server: &client::Server,
    config: Option<&Path>,
) -> Result<(), String> {
    let mut client = connect(server, config).await?;
    let ended = client.end_overrides(request).await.map_err(|e| client::failed(&e))?.into_inner().ended;
    match (ended.is_empty(), as_json) {
        (true, _) => Err(format!("nothing of that is decided now.\n{}", list_text(&list(&mut client).await?))),
        (_, true) => print(&json!({ "ended": ended.iter().map(override_json).collect::<Vec<_>>() }).to_string()),
        _ => print(&ended.iter().map(|o| format!("ended {}: {}\n", o.id, o.what)).collect::<String>()),
    }
}

async fn what_if(client: &mut SteeringClient<Channel>, whats: Vec<String>) -> Result<proto::WhatIfResponse, String> {
    let answer = client.what_if(proto::WhatIfRequest { whats }).await;
    answer.map(tonic::Response::into_inner).map_err(|e| client::failed(&e))
}

async fn list(client: &mut SteeringClient<Channel>) -> Result<Vec<proto::OverrideState>, String> {
    let answer = client.overrides(proto::OverridesRequest {}).await.map_err(|e| client::failed(&e))?;
    Ok(answer.into_inner().overrides)
}

fn list_text(overrides: &[proto::OverrideState]) -> String {
    if overrides.is_empty() {
        return "nothing is overridden".into();
    }
    let head = ["NUMBER", "DECISION", "UNTIL", "AUTHOR", "REASON"].map(str::to_owned).to_vec();
    let row = |o: &proto::OverrideState| {
        vec![o.id.to_string(), o.what.clone(), when(o.ends_at), o.author.clone(), o.reason.clone()]
    };
    let rows: Vec<Vec<String>> = [head].into_iter().chain(overrides.iter().map(row)).collect();
    table::print(&rows, &[0])
}

fn override_json(o: &proto::OverrideState) -> Value {
    json!({ "id": o.id, "what": o.what, "author": o.author, "reason": o.reason, "made_at": o.made_at, "ends_at": o.ends_at })
}

/// Who runs this, as far as it says.
fn who() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    user.unwrap_or_else(|| "unknown".into())
}

fn when(unix: f64) -> String {
    timestamp::print(unix as i64)
}

//----------- Plans side by side ---------------------------------------------

/// Two plans as tables: POPs, and the members of groups whose shares change; `verdict` on what breaks assertions.
fn tables(found: &proto::WhatIfResponse, verdict: &str) -> String {
    let arrow = |a: String, b: String| if a == b { a } else { format!("{a} → {b}") };
    let quantity = |a: f64, b: f64| arrow(print_quantity(a), print_quantity(b));
    let head = ["POP", "CAPACITY", "LOAD", "PRICE"].map(str::to_owned).to_vec();
    let pop = |p: &proto::PopChange| {
        let price = arrow(format!("+{}", print_ms(p.price_ms_now)), format!("+{}", print_ms(p.price_ms_then)));
        vec![p.name.clone(), quantity(p.capacity_now, p.capacity_then), quantity(p.load_now, p.load_then), price]
    };
    let rows: Vec<Vec<String>> = [head].into_iter().chain(found.pops.iter().map(pop)).collect();
    let mut out: String = found.broken.iter().map(|words| format!("{verdict}: {words}\n")).collect();
    out += &table::print(&rows, &[]);
    for group in &found.groups {
        out += &format!("\n{}  planned {}/s", group.name, print_quantity(group.planned));
        let short = |short: f64| print_short(short, group.planned).unwrap_or_else(|| "short of nothing".into());
        let (now, then) = (short(group.short_now), short(group.short_then));
        if now != then || now != short(0.0) {
            out += &format!(", {}", arrow(now, then));
        }
        let share = |share: f64| format!("{:.1} %", 100.0 * share);
        let changed =
            |m: &&proto::MemberChange| share(m.share_now) != share(m.share_then) || m.unusable_now != m.unusable_then;
        let rows: Vec<Vec<String>> = group
            .members
            .iter()
            .filter(changed)
            .map(|m| {
                let state =
                    |why: &Option<String>| why.clone().map_or("given".to_owned(), |why| format!("not given: {why}"));
                let states = arrow(state(&m.unusable_now), state(&m.unusable_then));
                vec![format!("  {}", m.name), share(m.share_now), "→".into(), share(m.share_then), states]
            })
            .collect();
        out += if rows.is_empty() { ": no share changes\n" } else { "\n" };
        out += &table::print(&rows, &[1, 3]);
    }
    out
}

fn changes_json(found: &proto::WhatIfResponse) -> String {
    let pops = found.pops.iter().map(|p| {
        json!({"name": p.name, "capacity": [p.capacity_now, p.capacity_then], "load": [p.load_now, p.load_then],
            "price_ms": [p.price_ms_now, p.price_ms_then]})
    });
    let groups = found.groups.iter().map(|g| {
        let members = g.members.iter().map(|m| {
            json!({"name": m.name, "share": [m.share_now, m.share_then], "unusable": [m.unusable_now, m.unusable_then]})
        });
        json!({"name": g.name, "planned": g.planned, "short": [g.short_now, g.short_then],
            "members": members.collect::<Vec<_>>()})
    });
    json!({"pops": pops.collect::<Vec<_>>(), "groups": groups.collect::<Vec<_>>(), "broken": found.broken}).to_string()
}
