//! What the demo shows: one screen a second, or one JSON object a second.

use crate::cli::demo::drive::{Moment, Summary, Target};
use crate::cli::demo::world::Script;
use crate::steering::BreakerState;
use crate::units::print_quantity;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;

/// Characters of a load bar; it is full at the POP's capacity.
const BAR: usize = 24;

/// Writes the play to standard output.
pub struct View {
    json: bool,
    quiet: bool,
    redraw: bool,
    grpc: String,
    dns: SocketAddr,
}

impl View {
    /// `json`: lines for programs; `quiet`: what it came to alone, likewise. Otherwise a screen that redraws itself on a
    /// terminal, and follows itself elsewhere.
    pub fn new(json: bool, quiet: bool, target: &Target) -> View {
        let redraw = !json && !quiet && std::io::stdout().is_terminal();
        if redraw {
            print!("\x1b[2J");
        }
        View { json, quiet, redraw, grpc: target.grpc.clone(), dns: target.dns }
    }

    /// Shows one second.
    ///
    /// # Errors
    /// What standard output says.
    pub fn show(&mut self, moment: &Moment, script: &Script) -> std::io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", json(moment));
        }
        let screen = self.screen(moment, script);
        if self.redraw {
            // Home, then each line with the rest of the old one erased, then everything below.
            let lines = screen.replace('\n', "\x1b[K\n");
            write!(out, "\x1b[H{lines}\x1b[J")?;
        } else {
            writeln!(out, "{screen}")?;
        }
        out.flush()
    }

    /// Says what it came to.
    ///
    /// # Errors
    /// What standard output says.
    pub fn end(&mut self, summary: &Summary) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json || self.quiet {
            return writeln!(out, "{}", serde_json::json!({ "summary": summary }));
        }
        let failed = 100.0 * summary.failed / summary.requests.max(1.0);
        writeln!(
            out,
            "\n{} requests, {failed:.2} % failed; {} DNS queries",
            print_quantity(summary.requests),
            summary.queries
        )?;
        let figures = &summary.figures;
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        if let Some(moved) = figures.moved_before_start {
            writeln!(out, "{} of the answers in Asia had moved when the announced surge began", percent(moved))?;
        }
        if let Some(before) = figures.shadow_ready_before {
            let when = if before >= 0.0 { "before" } else { "after" };
            writeln!(out, "a shadow was ready {:.0} s {when} its start", before.abs())?;
        }
        if let Some(secs) = figures.seconds_to_changed_answer {
            writeln!(out, "{secs:.2} s after the report that showed the failure, a client had another answer")?;
        }
        let (answers, loads) = (percent(figures.answered_from_intended), percent(figures.observed_from_intended));
        writeln!(out, "from the plan, {answers} of the answers and {loads} of the loads were elsewhere on average")
    }

    fn screen(&self, m: &Moment, script: &Script) -> String {
        let mut s = String::new();
        let all: f64 = m.steps.iter().map(|x| x.rate).sum();
        let _ =
            writeln!(s, "floodway demo  {}   generation {}, plan {:?}", clock(m.t), m.state.generation, m.state.mode);
        let _ = writeln!(s, "{}\n", phase(m, script));
        let _ = writeln!(
            s,
            "{:<10} {:<BAR$}  {:>7} {:>8} {:>7} {:>9}  {:>7} {:>7}  breaker",
            "POP", "measured load", "rps", "capacity", "target", "price", "planned", "carried"
        );
        for ((pop, step), name) in m.state.pops.iter().zip(&m.steps).zip(&m.pops) {
            let planned: f64 = m.state.pops.iter().map(|p| p.load).sum();
            let share = |part: f64, whole: f64| if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
            let _ = writeln!(
                s,
                "{:<10} {}  {:>7} {:>8} {:>7} {:>6.1} ms  {:>5.1} % {:>5.1} %  {:?} {}",
                short(name),
                bar(step.rate, pop.capacity),
                print_quantity(step.rate),
                print_quantity(pop.capacity),
                print_quantity(pop.target),
                pop.price_ms,
                share(pop.load, planned),
                share(step.rate, all),
                pop.breaker,
                pop.reason,
            );
        }
        let _ = writeln!(s);
        for group in m.state.groups.iter().filter(|g| g.demand > 0.0) {
            let ahead: Vec<String> = group
                .ahead
                .iter()
                .map(|a| format!("+{}m {} (q90 {})", a.minutes, print_quantity(a.median), print_quantity(a.q90)))
                .collect();
            let _ = writeln!(
                s,
                "{}: demand {} now, planned for {}; TTL {} s; ahead {}",
                short(&group.name),
                print_quantity(group.demand),
                print_quantity(group.planned),
                group.ttl_seconds,
                if ahead.is_empty() { "not known yet".to_string() } else { ahead.join(", ") },
            );
        }
        let _ = writeln!(
            s,
            "\ndig @{} -p {} www.example.com +subnet=203.0.113.0/27      floodway pops --server {}",
            self.dns.ip(),
            self.dns.port(),
            self.grpc
        );
        s
    }
}

fn json(m: &Moment) -> serde_json::Value {
    let pops = m.pops.iter().zip(&m.steps).zip(&m.state.pops).map(|((name, step), pop)| {
        serde_json::json!({
            "pop": name, "rate": step.rate, "errors": step.error_rate, "capacity": pop.capacity, "target": pop.target,
            "planned_load": pop.load, "price_ms": pop.price_ms, "breaker": pop.breaker,
        })
    });
    let pops: Vec<_> = pops.collect();
    serde_json::json!({ "t": m.t, "generation": m.state.generation, "mode": m.state.mode, "failing": m.failing, "pops": pops })
}

fn phase(m: &Moment, script: &Script) -> String {
    let u = m.t - script.surge_at;
    if let Some(pop) = &m.failing {
        return format!("FAILURE: 60 % of the requests at {} fail", short(pop));
    }
    if u < 0.0 {
        return format!("calm; announced: demand in Asia ×{} in {:.0} s", script.surge_factor, -u);
    }
    if u < script.surge_rise + script.surge_stay {
        return format!("SURGE: demand in Asia ×{}", script.surge_factor);
    }
    let open = m.state.pops.iter().any(|p| p.breaker != BreakerState::Closed);
    if open { "a POP is on its way back".into() } else { "after the surge".into() }
}

fn clock(t: f64) -> String {
    format!("{}:{:02}", t as u64 / 60, t as u64 % 60)
}

fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// A bar of the load in capacity; what is over capacity shows as `!`.
fn bar(rate: f64, capacity: f64) -> String {
    let full = if capacity > 0.0 { rate / capacity } else { f64::from(u8::from(rate > 0.0)) * 2.0 };
    let n = (full * BAR as f64).round().min(BAR as f64) as usize;
    let mut text = "█".repeat(n) + &"·".repeat(BAR - n);
    if full > 1.0 {
        text.pop();
        text.push('!');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill_at_capacity() {
        let blocks = |text: &str| text.matches('█').count();
        assert_eq!(blocks(&bar(50.0, 100.0)), BAR / 2);
        assert_eq!(blocks(&bar(100.0, 100.0)), BAR);
        assert!(bar(150.0, 100.0).ends_with('!'));
        assert!(bar(1.0, 0.0).ends_with('!'), "load on a POP without capacity is too much");
        assert_eq!(blocks(&bar(0.0, 0.0)), 0);
    }
}
