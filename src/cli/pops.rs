//! `floodway pops`: the state of a running server.

use crate::admin::State;
use crate::admin::state::{GroupState, MemberState, PopState, ProbeState};
use crate::admin::steering::from_proto;
use crate::cli::{self, client, table};
use crate::control::probes::PlaceState;
use crate::telemetry::proto::{self, steering_client::SteeringClient};
use crate::units::{print_ms, print_quantity, print_secs, print_short};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

//----------- Args -----------------------------------------------------------

/// Shows POPs, groups and shadows of a running server.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: client::Server,
    /// Print JSON: the structure of the admin listener's /state.
    #[arg(long)]
    json: bool,
    /// Go on printing, once a second.
    #[arg(long, short)]
    watch: bool,
}

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    cli::end(client::block_on(converse(&args, config)))
}

async fn converse(args: &Args, config: Option<&Path>) -> Result<(), String> {
    // A thousand members take some 100 KiB; states are not bounded by what a peer made up.
    let mut client = SteeringClient::new(args.server.connect(config).await?).max_decoding_message_size(64 << 20);
    if !args.watch {
        let state = client.state(proto::StateRequest {}).await.map_err(|e| client::failed(&e))?;
        return show(args, &from_proto(state.into_inner()));
    }
    let request = proto::WatchRequest { interval_seconds: None };
    let mut states = client.watch(request).await.map_err(|e| client::failed(&e))?.into_inner();
    while let Some(state) = states.message().await.map_err(|e| client::failed(&e))? {
        show(args, &from_proto(state))?;
    }
    Err("the server has stopped".to_owned())
}

fn show(args: &Args, state: &State) -> Result<(), String> {
    let text = match args.json {
        true => serde_json::to_string(state).map_err(|e| e.to_string())? + "\n",
        // Home, clear to the end: a view that stays in place.
        false if args.watch && io::stdout().is_terminal() => format!("\x1b[H\x1b[J{}", print(state)),
        false => print(state),
    };
    let mut out = io::stdout().lock();
    // A reader that has enough (`| head`) ends the command.
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| format!("standard output: {e}"))
}

//----------- Text -----------------------------------------------------------

/// The state as tables for people.
pub fn print(state: &State) -> String {
    let mode = format!("{:?}", state.mode).to_lowercase();
    let age = match state.decided_at > 0.0 {
        true => format!("decided {} ago", print_secs((state.time - state.decided_at).max(0.0))),
        false => "nothing decided yet".to_owned(),
    };
    let refused: u64 = state.samples.refused.values().sum();
    let reasons: Vec<String> = state.samples.refused.iter().map(|(r, n)| format!("{r} {n}")).collect();
    let mut out = format!("generation {}, plan {mode}, {age}\n", state.generation);
    out += &format!("samples: {} taken, {refused} refused", state.samples.accepted);
    if !reasons.is_empty() {
        out += &format!(" ({})", reasons.join(", "));
    }
    out += "\n\n";

    let head = ["POP", "CAPACITY", "TARGET", "LOAD", "FULL", "PRICE", "SILENT", "BREAKER", "REASON"];
    let rows: Vec<Vec<String>> =
        [head.map(str::to_owned).to_vec()].into_iter().chain(state.pops.iter().map(pop_row)).collect();
    out += &table::print(&rows, &[1, 2, 3, 4, 5, 6]);
    if state.pops.iter().any(|pop| pop.probe.is_some()) {
        let head = ["PROBE OF", "UP", "TOOK", "LAST", "FOUND", "URL"];
        let rows = state.pops.iter().filter_map(|pop| Some(probe_row(pop, pop.probe.as_ref()?)));
        let rows: Vec<Vec<String>> = [head.map(str::to_owned).to_vec()].into_iter().chain(rows).collect();
        out += "\n";
        out += &table::print(&rows, &[2]);
    }
    for group in &state.groups {
        out += "\n";
        out += &print_group(group);
    }
    out
}

fn pop_row(pop: &PopState) -> Vec<String> {
    vec![
        pop.name.clone(),
        print_quantity(pop.capacity),
        print_quantity(pop.target),
        print_quantity(pop.load),
        if pop.capacity > 0.0 { percent(pop.load / pop.capacity) } else { String::new() },
        format!("+{}", print_ms(pop.price_ms)),
        pop.silent_seconds.map_or("never heard".to_owned(), print_secs),
        format!("{:?}", pop.breaker),
        pop.reason.clone(),
    ]
}

/// One line per POP; where several places look at it, each says what it finds.
fn probe_row(pop: &PopState, probe: &ProbeState) -> Vec<String> {
    let place = |p: &PlaceState| {
        let found = if p.up { "up" } else { "down" };
        let blind = if p.blind { ", sees nobody" } else { "" };
        match probe.places.len() {
            1 => format!("{found}{blind}"),
            _ => format!("{}: {found}{blind}", p.place),
        }
    };
    let took = probe.age_seconds.map_or("-".to_owned(), |_| format!("{:.0} ms", 1e3 * probe.took_seconds));
    vec![
        pop.name.clone(),
        probe.places.iter().map(place).collect::<Vec<_>>().join("; "),
        took,
        if probe.last.is_empty() { "-".to_owned() } else { probe.last.clone() },
        probe.found.clone(),
        probe.url.clone(),
    ]
}

fn print_group(group: &GroupState) -> String {
    let mut out = format!(
        "{}  now {}, planned {} {}/s, ttl {} s",
        group.name,
        print_quantity(group.demand),
        print_quantity(group.planned),
        group.unit,
        group.ttl_seconds
    );
    if let Some(words) = print_short(group.short, group.planned) {
        out += &format!(", {words}");
    }
    if group.all_down > 0 {
        out += &format!(", {} queries found all down", group.all_down);
    }
    out.push('\n');
    if !group.ahead.is_empty() {
        let ahead: Vec<String> = group
            .ahead
            .iter()
            .map(|a| format!("in {} min {} to {}", a.minutes, print_quantity(a.median), print_quantity(a.q90)))
            .collect();
        out += &format!("  forecast (median to 0.9): {}\n", ahead.join(", "));
    }
    for assertion in &group.assertions {
        let verdict = if assertion.holds() { "holds" } else { "BROKEN" };
        let active = if assertion.active.is_empty() { "none".to_owned() } else { assertion.active.join(", ") };
        out += &format!("  asserted: {}: {verdict}, can serve: {active}\n", assertion.words);
    }
    let head = ["  MEMBER", "POP", "PLANNED", "ANSWERED", "LOAD", "STATE"];
    let rows: Vec<Vec<String>> =
        [head.map(str::to_owned).to_vec()].into_iter().chain(group.members.iter().map(member_row)).collect();
    out += &table::print(&rows, &[2, 3, 4]);
    if let Some(budget) = group.budget {
        let [spent, whole] = [budget.spent_hours, budget.hours].map(|hours| print_secs(3600.0 * hours));
        let over = if budget.spent_hours >= budget.hours { ": no shadow is started until the next" } else { "" };
        let part = (100.0 * budget.spent_hours / budget.hours).floor();
        out += &format!("  standby this month: {spent} of {whole}, {part:.0} % of the budget{over}\n");
    }
    for (member, standby) in group.members.iter().filter_map(|m| Some((m, m.standby.as_ref()?))) {
        if standby.starts > 0 {
            out += &format!(
                "  {}: on {:.1} h this month, {:.1} h in all; {} of {} starts paid; standby cost {} requests, {} found room by it alone\n",
                member.name,
                standby.month_hours,
                standby.hours,
                standby.paid_starts,
                standby.starts,
                print_quantity(standby.cost_requests.round()),
                print_quantity(standby.prevented_requests.round()),
            );
        }
        if let Some(advice) = &standby.advice {
            out += &format!("  {}: {advice}\n", member.name);
        }
    }
    out
}

fn member_row(member: &MemberState) -> Vec<String> {
    let mut state = match (&member.shadow, &member.unusable) {
        (Some(shadow), None) => format!("shadow {shadow:?}"),
        // A shadow's own state is mostly why it may not be given.
        (Some(shadow), Some(why)) if *why == format!("{shadow:?}") => format!("shadow {shadow:?}"),
        (Some(shadow), Some(why)) => format!("shadow {shadow:?}, not given: {why}"),
        (None, Some(why)) => format!("not given: {why}"),
        (None, None) => String::new(),
    };
    if let Some(own) = &member.breaker {
        let parted = if state.is_empty() { "" } else { "; " };
        state += &format!("{parted}own breaker {:?}: {}", own.state, own.reason);
    }
    vec![
        format!("  {}", member.name),
        member.pop.clone().unwrap_or_else(|| "external".to_owned()),
        percent(member.planned_share),
        member.answered_share.map_or("-".to_owned(), percent),
        print_quantity(member.load),
        state,
    ]
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::standby::{BudgetState, StandbyState};
    use crate::admin::state::MemberBreaker;
    use crate::steering::BreakerState;
    use crate::telemetry::{Counts, Refusal, fixtures};

    #[test]
    fn standby_is_shown_with_what_it_brought() {
        let exchange = fixtures::exchange(fixtures::plan());
        let mut state = State::of(&exchange.load(), &Counts::default(), 3.5);
        state.groups[0].budget = Some(BudgetState { spent_hours: 12.0, hours: 240.0 });
        state.groups[0].members[2].standby = Some(StandbyState {
            since: 0.0,
            hours: 40.0,
            month_hours: 12.0,
            starts: 5,
            paid_starts: 3,
            cost_requests: 1.2e6,
            prevented_requests: 4e5,
            advice: Some("has not paid".into()),
        });
        let back = from_proto(crate::admin::steering::to_proto(state.clone()));
        assert_eq!(back.groups, state.groups);
        let text = print(&back);
        for line in [
            "  standby this month: 12 h of 240 h, 5 % of the budget",
            "  warm.web.example.com.: on 12.0 h this month, 40.0 h in all; 3 of 5 starts paid; standby cost 1.2M requests, 400k found room by it alone",
            "  warm.web.example.com.: has not paid",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
    }

    /// What is wrong with one member alone shows at it: its POP is Closed meanwhile.
    #[test]
    fn a_member_s_own_breaker_and_what_is_short_are_shown() {
        let exchange = fixtures::exchange(fixtures::plan());
        let mut state = State::of(&exchange.load(), &Counts::default(), 3.5);
        state.groups[0].short = 140.0;
        let reason = "errors 12 % of 3k; came back and failed 3.0 times lately: kept out for 24 min more";
        let own = MemberBreaker { state: BreakerState::Open, reason: reason.into() };
        (state.groups[0].members[1].breaker, state.pops[0].price_ms) = (Some(own), 6e11);
        let text = print(&state);
        for line in [
            "web.example.com.  now 1k, planned 1.4k requests/s, ttl 30 s, short of 140 (10.0 %)".to_owned(),
            format!(
                "  dub.web.example.com.   dub.pop.example.com.    0.0 %         -     0  not given: Open; own breaker Open: {reason}"
            ),
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(text.contains("+>10 s"), "{text}");
    }

    #[test]
    fn tables_show_what_matters() {
        let exchange = fixtures::exchange(fixtures::plan());
        let mut counts = Counts { received: 5, accepted: 3, ..Counts::default() };
        counts.refused[Refusal::Stale.idx()] = 2;
        let text = print(&State::of(&exchange.load(), &counts, 3.5));
        for line in [
            "generation 1, plan live, decided 2.5 s ago",
            "samples: 3 taken, 2 refused (stale 2)",
            "POP                    CAPACITY  TARGET  LOAD   FULL   PRICE       SILENT  BREAKER  REASON",
            "dub.pop.example.com.        40k     34k   700  1.8 %  +31 ms        3.0 s  Open     errors 12 % of 3k",
            "web.example.com.  now 1k, planned 1.4k requests/s, ttl 30 s",
            "  forecast (median to 0.9): in 5 min 1.1k to 1.2k, in 15 min 1.2k to 1.3k, in 30 min 1.3k to 1.4k",
            "  ams.web.example.com.   ams.pop.example.com.   70.0 %         -   700",
            "  dub.web.example.com.   dub.pop.example.com.    0.0 %         -     0  not given: Open",
            "  sin.web.example.com.   sin.pop.example.com.    0.0 %         -     0  shadow Cold",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
    }
}
