//! The state as OpenMetrics text, for scrapers.
//!
//! Built anew for each scrape from the same [`State`] that people see, and from the books of queries, so
//! that no second set of counters can disagree. Label values come from closed sets: names of the
//! policies, and the words of our own enums.

use crate::admin::degraded;
use crate::admin::page::{Labels, Page};
use crate::admin::process::Process;
use crate::admin::standby::StandbyState;
use crate::admin::{Source, State};
use crate::steering::{BreakerState, Mode, ShadowState};
use crate::telemetry::Refusal;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use std::fmt;

/// The content type of what [`print()`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

//----------- print ----------------------------------------------------------

/// Everything that is measured, as text. `most_zones`: how many zones are told one by one; what holds of all together always is.
///
/// # Errors
/// None in practice: writing to a string does not fail.
pub fn print(source: &Source, most_zones: usize) -> Result<String, fmt::Error> {
    let state = source.state();
    let mut page = Page::default();
    system(&mut page);
    process(&mut page, source, &state);
    zones::add(&mut page, source, most_zones);
    queries::add(&mut page, source);
    samples(&mut page, source);
    directives::write(&mut page, &source.board);
    history::add(&mut page, &source.history.counted());
    overrides(&mut page, &state);
    degraded::add(&mut page, source);
    pops(&mut page, &state);
    probes::add(&mut page, source, &state);
    groups(&mut page, &state);
    forecast::add(&mut page, &state.forecasts);
    events::add(&mut page, &state.events, source.announcements.counts());
    members(&mut page, &state);
    assertions(&mut page, &state);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

mod directives;
mod events;
mod forecast;
mod history;
mod probes;
mod queries;
mod zones;

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

//----------- System ---------------------------------------------------------

/// Under the names that Prometheus' clients give them.
fn system(page: &mut Page) {
    let process = Process::look();
    let gauges = [
        ("process_resident_memory_bytes", "Memory in use", process.resident_bytes),
        ("process_open_fds", "Descriptors that are open", process.open_fds),
        ("process_max_fds", "Descriptors that may be open", process.max_fds),
        ("process_start_time_seconds", "Unix time at which the process began", process.started_at),
    ];
    for (name, help, value) in gauges {
        page.foreign(name, help, value);
    }
    page.foreign_seconds(
        "process_cpu_seconds",
        "Processor time, user and system",
        process.cpu_secs.unwrap_or_default(),
    );
}

//----------- Process --------------------------------------------------------

fn process(page: &mut Page, source: &Source, state: &State) {
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    page.gauge("build_info", "1 for the version of this program", [(version, 1.0)]);
    let one = |value: f64| [(Labels::new(), value)];
    page.gauge("snapshot_generation", "Publications of this process, from 1", one(state.generation as f64));
    if state.decided_at > 0.0 {
        let age = (state.time - state.decided_at).max(0.0);
        page.gauge("plan_age_seconds", "Time since the plan was decided", one(age));
    }
    let modes = [Mode::Declared, Mode::Live, Mode::Blind, Mode::Stale];
    let rows = modes.map(|m| (vec![("mode", format!("{m:?}").to_lowercase())], flag(m == state.mode)));
    page.gauge("plan_mode", "1 for what the plan rests on", rows);

    page.counter("takeovers", "Takeovers since the service was started", [(Labels::new(), source.place.takeovers)]);
    let loads = source.loads.counted();
    page.counter(
        "loads",
        "Loads of zones and policies, by result",
        [("taken", loads.taken), ("refused", loads.refused)].map(|(r, n)| (vec![("result", r.to_owned())], n)),
    );
    let taken = flag(!loads.is_refused);
    page.gauge(
        "last_load_taken",
        "1 if the last load was taken, 0 if what answers is older than the files",
        one(taken),
    );
    page.gauge("load_duration_seconds", "Time that the last load and build took", one(loads.last_secs));
    page.gauge("load_timestamp_seconds", "Unix time of the last load that was taken", one(loads.last_taken_at));
    page.counter(
        "certificate_loads",
        "Looks at certificates and keys after the start, by result",
        [("taken", loads.certificates_taken), ("refused", loads.certificates_refused)]
            .map(|(r, n)| (vec![("result", r.to_owned())], n)),
    );
    let taken = flag(!loads.is_certificate_refused);
    page.gauge("last_certificate_taken", "0 if what handshakes show is older than the files", one(taken));
    if let Some(certificate) = &source.observed.certificate {
        let expires = certificate.expires() as f64;
        page.gauge("certificate_expiry_timestamp_seconds", "Unix time at which the certificate expires", one(expires));
    }
}

//----------- Control plane --------------------------------------------------

fn samples(page: &mut Page, source: &Source) {
    let counts = source.inbox.counts();
    let rows = |result: &str, reason: &str| vec![("result", result.to_owned()), ("reason", reason.to_owned())];
    let refused = Refusal::ALL.iter().map(|r| (rows("refused", r.label()), counts.refused[r.idx()]));
    let all = [(rows("accepted", ""), counts.accepted)].into_iter().chain(refused);
    page.counter("samples", "Samples of telemetry by result, and reason if refused", all);
    page.gauge("inbox_samples", "Samples that wait for the next tick", [(Labels::new(), source.inbox.len() as f64)]);
}

fn pops(page: &mut Page, state: &State) {
    let pops = &state.pops;
    let by = |name: &str| vec![("pop", name.to_owned())];
    let rps = "requests_per_second";
    page.gauge(&format!("pop_capacity_{rps}"), "Sustained now", pops.iter().map(|p| (by(&p.name), p.capacity)));
    page.gauge(&format!("pop_target_{rps}"), "Aimed to stay under", pops.iter().map(|p| (by(&p.name), p.target)));
    page.gauge(&format!("pop_load_{rps}"), "Expected by the plan", pops.iter().map(|p| (by(&p.name), p.load)));
    page.gauge(
        "pop_price_seconds",
        "Distance that its fullness adds",
        pops.iter().map(|p| (by(&p.name), p.price_ms / 1e3)),
    );
    page.gauge(
        "pop_silence_seconds",
        "Time since a sample arrived; absent before the first",
        pops.iter().filter_map(|p| p.silent_seconds.map(|s| (by(&p.name), s))),
    );
    let rows = pops.iter().flat_map(|p| {
        BreakerState::ALL.map(|s| (vec![("pop", p.name.clone()), ("state", format!("{s:?}"))], flag(s == p.breaker)))
    });
    page.gauge("pop_breaker_state", "1 for the state that the breaker is in", rows);
}

fn overrides(page: &mut Page, state: &State) {
    let of = |word: &str| state.overrides.iter().filter(|o| o.what.verb.word() == word).count() as f64;
    let rows = crate::control::overrides::WORDS.map(|word| (vec![("verb", word.to_owned())], of(word)));
    page.gauge("overrides", "Decisions of operators that hold", rows);
}

fn groups(page: &mut Page, state: &State) {
    let groups = &state.groups;
    let by = |name: &str| vec![("group", name.to_owned())];
    let rps = "requests_per_second";
    page.gauge(&format!("group_demand_{rps}"), "Measured now", groups.iter().map(|g| (by(&g.name), g.demand)));
    page.gauge(
        &format!("group_planned_demand_{rps}"),
        "What the plan was made for",
        groups.iter().map(|g| (by(&g.name), g.planned)),
    );
    let forecast = groups.iter().flat_map(|g| {
        g.ahead.iter().flat_map(|a| {
            [("0.5", a.median), ("0.9", a.q90)].map(|(q, n)| {
                let lead = (a.minutes * 60).to_string();
                (vec![("group", g.name.clone()), ("lead_seconds", lead), ("quantile", q.to_owned())], n)
            })
        })
    });
    page.gauge(&format!("group_forecast_{rps}"), "Expected ahead, by lead and quantile", forecast);
    page.gauge(
        &format!("group_short_{rps}"),
        "Demand for which no room was found",
        groups.iter().map(|g| (by(&g.name), g.short)),
    );
    page.gauge(
        "heavy_slots",
        "Slots that carry so much of their cell's queries that they are placed as a whole",
        groups.iter().map(|g| (by(&g.name), g.heavy_slots.into())),
    );
    page.gauge(
        "heavy_slots_part",
        "Part of a group's queries that its heavy slots carry",
        groups.iter().map(|g| (by(&g.name), g.heavy_part)),
    );
    page.gauge("group_ttl_seconds", "TTL of its answers", groups.iter().map(|g| (by(&g.name), g.ttl_seconds.into())));
    page.counter(
        "group_all_down",
        "Steered queries for which no member could be given",
        groups.iter().map(|g| (by(&g.name), g.all_down)),
    );
}

fn assertions(page: &mut Page, state: &State) {
    let all = || state.groups.iter().flat_map(|g| g.assertions.iter().map(move |a| (g, a)));
    let by = |group: &str, words: &str| vec![("group", group.to_owned()), ("assertion", words.to_owned())];
    page.gauge(
        "assertion_active_pops",
        "POPs that can serve, of those that the policies assert",
        all().map(|(g, a)| (by(&g.name, &a.words), a.active.len() as f64)),
    );
    page.gauge(
        "assertion_least_pops",
        "POPs that must be able to serve, by the policies",
        all().map(|(g, a)| (by(&g.name, &a.words), a.at_least as f64)),
    );
}

fn members(page: &mut Page, state: &State) {
    let all = || state.groups.iter().flat_map(|g| g.members.iter().map(move |m| (g, m)));
    let by = |group: &str, member: &str| vec![("group", group.to_owned()), ("member", member.to_owned())];
    page.counter(
        "member_answers",
        "Steered answers that gave the member",
        all().map(|(g, m)| (by(&g.name, &m.name), m.answered)),
    );
    page.gauge(
        "member_planned_share_ratio",
        "Share of the group's demand that the plan gives it",
        all().map(|(g, m)| (by(&g.name, &m.name), m.planned_share)),
    );
    page.gauge(
        "member_answered_share_ratio",
        "Share of the group's steered answers since the last load; absent before the first",
        all().filter_map(|(g, m)| m.answered_share.map(|s| (by(&g.name, &m.name), s))),
    );
    page.gauge(
        "member_load_requests_per_second",
        "Expected by the plan of this group",
        all().map(|(g, m)| (by(&g.name, &m.name), m.load)),
    );
    page.gauge(
        "member_usable",
        "1 if it may be given",
        all().map(|(g, m)| (by(&g.name, &m.name), flag(m.unusable.is_none()))),
    );
    let own = all().filter_map(|(g, m)| Some((g, m, m.breaker.as_ref()?.state)));
    let rows = own.flat_map(|(g, m, is)| {
        BreakerState::ALL.map(|s| {
            let mut labels = by(&g.name, &m.name);
            labels.push(("state", format!("{s:?}")));
            (labels, flag(s == is))
        })
    });
    page.gauge("member_breaker_state", "1 for the state of a member's own breaker; absent while that is Closed", rows);
    let states =
        [ShadowState::Cold, ShadowState::Warming, ShadowState::Ready, ShadowState::Active, ShadowState::Draining];
    let shadows = all().filter_map(|(g, m)| m.shadow.map(|s| (g, m, s)));
    let rows = shadows.flat_map(|(g, m, is)| {
        states.map(|s| {
            let mut labels = by(&g.name, &m.name);
            labels.push(("state", format!("{s:?}")));
            (labels, flag(s == is))
        })
    });
    page.gauge("member_shadow_state", "1 for the state that a shadow member is in", rows);
    standby(page, state);
}

fn standby(page: &mut Page, state: &State) {
    let all =
        || state.groups.iter().flat_map(|g| g.members.iter().filter_map(move |m| Some((g, m, m.standby.as_ref()?))));
    let of = |value: fn(&StandbyState) -> f64| {
        all().map(move |(g, m, s)| {
            (vec![("group", g.name.clone()), ("member", m.name.clone())], value(s).round() as u64)
        })
    };
    page.counter("shadow_on_seconds", "Seconds that a shadow was on", of(|s| 3600.0 * s.hours));
    page.counter("shadow_starts", "Starts of a shadow", of(|s| s.starts as f64));
    let help = "Starts of a shadow in which demand outgrew what was usable without it";
    page.counter("shadow_paid_starts", help, of(|s| s.paid_starts as f64));
    let help = "What the standby of a shadow cost, in requests: standby= of what it can carry while it was on";
    page.counter("shadow_standby_cost_requests", help, of(|s| s.cost_requests));
    let help = "Requests that found room by a shadow alone";
    page.counter("shadow_prevented_requests", help, of(|s| s.prevented_requests));
    let help = "1 for a shadow that has not paid for a month";
    let idle =
        all().map(|(g, m, s)| (vec![("group", g.name.clone()), ("member", m.name.clone())], flag(s.advice.is_some())));
    page.gauge("shadow_idle", help, idle);
    let help = "Part of a group's budget for standby that is spent this month";
    let budgets = state.groups.iter().filter_map(|g| Some((g, g.budget?)));
    let spent = budgets.map(|(g, b)| (vec![("group", g.name.clone())], b.spent_hours / b.hours));
    page.gauge("standby_budget_spent_ratio", help, spent);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::source;
    use crate::admin::loads::Became;
    use crate::exchange::access::List;
    use crate::exchange::{CookieSeen, Silence, Transport};
    use std::collections::HashSet;

    fn page() -> String {
        let source = source();
        source.inbox.refuse(Refusal::Stale);
        source.loads.note(Became::Taken, 0.25, 7.0);
        let book = source.books.page(0);
        book.queries(Transport::Udp, 3);
        book.reply(Transport::Udp, 0, false);
        book.reply(Transport::Udp, 3, true);
        book.silence(Transport::Udp, Silence::Short);
        book.cookie(CookieSeen::Valid);
        book.refused(List::Zone);
        print(&source, 1000).unwrap()
    }

    #[test]
    fn what_is_promised_is_there() {
        let text = page();
        for line in [
            "floodway_queries_total{transport=\"udp\"} 3",
            "floodway_responses_total{transport=\"udp\",rcode=\"NXDOMAIN\"} 1",
            "floodway_responses_rate_limited_total{class=\"answer\",action=\"slipped\"} 0",
            "floodway_dnstap_queries_total{result=\"dropped\"} 0",
            "floodway_query_cookies_total{cookie=\"valid\"} 1",
            "floodway_query_cookies_total{cookie=\"none\"} 2",
            "floodway_access_refusals_total{list=\"access.zones\"} 1",
            "floodway_takeovers_total 0",
            "floodway_queries_unanswered_total{transport=\"udp\",reason=\"short\"} 1",
            "floodway_samples_total{result=\"refused\",reason=\"stale\"} 1",
            "floodway_samples_total{result=\"accepted\",reason=\"\"} 0",
            "floodway_pop_capacity_requests_per_second{pop=\"ams.pop.example.com.\"} 40000.0",
            "floodway_pop_price_seconds{pop=\"ams.pop.example.com.\"} 0.031",
            "floodway_pop_breaker_state{pop=\"dub.pop.example.com.\",state=\"Open\"} 1.0",
            "floodway_pop_breaker_state{pop=\"dub.pop.example.com.\",state=\"Closed\"} 0.0",
            "floodway_member_planned_share_ratio{group=\"web.example.com.\",member=\"ams.web.example.com.\"} 0.7",
            "floodway_group_forecast_requests_per_second{group=\"web.example.com.\",lead_seconds=\"1800\",quantile=\"0.9\"} 1400.0",
            "floodway_overrides{verb=\"drain\"} 0.0",
            "floodway_snapshot_generation 1.0",
            "floodway_plan_mode{mode=\"live\"} 1.0",
            "floodway_loads_total{result=\"taken\"} 1",
            "floodway_last_load_taken 1.0",
            "floodway_history_in_memory 0.0",
            "floodway_history_dropped_total{reason=\"queue-full\"} 0",
            "floodway_load_duration_seconds 0.25",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    /// Names are of one form, help is given, and no series appears twice.
    #[test]
    fn the_page_is_well_formed() {
        let text = page();
        let mut seen = HashSet::new();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(seen.insert(series), "twice: {series}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().unwrap();
            assert!(name.starts_with("floodway_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        }
        assert!(seen.len() > 100);
    }
}
