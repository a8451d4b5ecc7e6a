//! Tells people about rate limits, at most once a minute.

use crate::transport::rate::{Action, Class, Ledger};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How often it is looked whether there is something to tell.
const BEAT: Duration = Duration::from_secs(5);
/// Least time between two lines.
const BETWEEN: Duration = Duration::from_secs(60);

/// Writes a line when replies were over their limits, until `stop` is true.
pub(super) async fn tell(ledger: Arc<Ledger>, mut stop: watch::Receiver<bool>) {
    let (mut before, mut told_at) = ([0; 2], None::<Instant>);
    while timeout(BEAT, stop.wait_for(|stop| *stop)).await.is_err() {
        let now = Action::ALL.map(|action| Class::ALL.iter().map(|class| ledger.limited(*class, action)).sum::<u64>());
        if now == before || told_at.is_some_and(|at| at.elapsed() < BETWEEN) {
            continue;
        }
        let [dropped, slipped] = [now[0] - before[0], now[1] - before[1]];
        tracing::warn!("rate limits: {}", line(dropped, slipped, &ledger));
        (before, told_at) = (now, Some(Instant::now()));
    }
}

fn line(dropped: u64, slipped: u64, ledger: &Ledger) -> String {
    let mut line = format!("{dropped} replies dropped and {slipped} truncated since the last such line");
    for (i, (prefix, n)) in ledger.take_worst().into_iter().enumerate() {
        let word = if i == 0 { "; most to" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(line, "{word} {prefix} ({n})");
    }
    line
}
