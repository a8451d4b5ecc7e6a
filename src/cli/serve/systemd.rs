//! What systemd is told (sd_notify(3)), and the beat that proves life to it. Without systemd all of it does nothing.

use crate::control::status::Status;
use crate::transport::pulse::{Fault, Pulse};
use sd_notify::NotifyState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

fn tell(what: &[NotifyState]) {
    if let Err(e) = sd_notify::notify(what) {
        tracing::warn!("systemd cannot be told: {e}");
    }
}

/// The server answers: at the start, after a reload, after a takeover.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload has begun; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(e) => tracing::warn!("systemd cannot be told of the reload: {e}"),
    }
}

/// The server ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Another process is the service from now on.
pub(super) fn replaced(pid: i32) {
    if let Ok(pid) = u32::try_from(pid) {
        tell(&[NotifyState::MainPid(pid), NotifyState::Status("taken over; the one before drains")]);
    }
}

/// Beats for as long as queries are answered and plans made, until `stop` is true. Where one of the two is not so, it
/// says what and is silent, so that systemd restarts the service (`WatchdogSec=`).
pub(super) async fn beat(mut pulse: Pulse, control: Arc<Status>, mut stop: watch::Receiver<bool>) {
    // A successor inherits the setting, and the number of its predecessor with it: it is the main process now.
    let interval = std::env::var("WATCHDOG_USEC").ok().and_then(|s| s.parse().ok()).map(Duration::from_micros);
    let Some(interval) = interval.filter(|i| !i.is_zero()) else { return };
    let ticks = || control.ticks.load(Ordering::Relaxed) + control.panics.load(Ordering::Relaxed);
    let (mut ticked, mut at) = (ticks(), Instant::now());
    while timeout(interval / 4, stop.wait_for(|stop| *stop)).await.is_err() {
        if ticks() != ticked {
            (ticked, at) = (ticks(), Instant::now());
        }
        match pulse.look() {
            Err(Fault::Ended(thread)) => tracing::error!("thread udp-{thread} has ended; no sign of life to systemd"),
            Err(Fault::Stuck(thread)) => tracing::error!("thread udp-{thread} hangs; no sign of life to systemd"),
            Ok(()) if at.elapsed() > interval => {
                tracing::error!("the control loop hangs; no sign of life to systemd");
            }
            Ok(()) => tell(&[NotifyState::Watchdog]),
        }
    }
}
