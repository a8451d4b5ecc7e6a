//! Rows on standard input, forecasts on standard output when they are asked for.

use crate::cli::forecast::Common;
use crate::cli::forecast::fan::Fan;
use crate::cli::forecast::table::{Series, row};
use crate::forecast::engine::Forecaster;
use crate::forecast::grid::Grid;
use std::io::{BufRead, Write};

/// What a line `? {…}` asks.
#[derive(Debug, serde::Deserialize)]
struct Question {
    /// Said back.
    origin: usize,
    /// Leads, at least 1.
    steps: Vec<usize>,
}

/// Answers until standard input ends.
pub fn run(common: &Common) -> Result<(), String> {
    let (input, mut out) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut waiting: Vec<(i64, f64)> = vec![];
    let mut running: Option<(Grid, Forecaster)> = None;
    for (n, line) in input.lines().enumerate() {
        let line = line.map_err(|e| format!("standard input: {e}"))?;
        let wrong = |column: usize, what: String| format!("standard input:{}:{column}: error: {what}\n  {line}", n + 1);
        let Some(question) = line.strip_prefix('?') else {
            match row(&line) {
                Ok(row) => waiting.extend(row),
                Err(_) if n == 0 => {}
                Err((column, what)) => return Err(wrong(column, what)),
            }
            continue;
        };
        let question: Question = serde_json::from_str(question).map_err(|e| wrong(1 + e.column(), e.to_string()))?;
        if question.steps.is_empty() || question.steps.contains(&0) {
            return Err(wrong(1, "steps count from 1".into()));
        }
        if running.is_none() {
            let step = waiting.windows(2).map(|w| w[1].0 - w[0].0).find(|d| *d > 0).unwrap_or(60);
            let first = waiting.first().ok_or_else(|| wrong(1, "asked before the first row".into()))?.0;
            let step = u32::try_from(step).map_err(|_| wrong(1, "the rows are too far apart".into()))?;
            let forecaster = common.forecaster(first, step, &question.steps)?;
            running = Some((Grid::new(step, common.reading()), forecaster));
        }
        let Some((grid, forecaster)) = &mut running else { continue };
        for (secs, value) in waiting.drain(..) {
            grid.push(secs, value, |v| forecaster.observe(v));
        }
        grid.flush(|v| forecaster.observe(v));
        if forecaster.wants_fit() {
            forecaster.fit();
        }
        let h = forecaster.history();
        let series = Series { start_secs: h.start_secs, step_secs: h.step_secs, values: vec![] };
        let origin = h.len();
        let fan = Fan { origin, quantiles: forecaster.forecast(&question.steps), leads: question.steps };
        let text = fan.json(&series, Some(question.origin));
        let done = writeln!(out, "{text}{{\"origin\":{},\"done\":true}}", question.origin).and_then(|()| out.flush());
        match done {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            done => done.map_err(|e| format!("standard output: {e}"))?,
        }
    }
    Ok(())
}
