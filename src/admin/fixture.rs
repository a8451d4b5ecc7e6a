//! A server's state for tests, and a loop to run them in.

use crate::admin::{Loads, Source};
use crate::clock::Clock;
use crate::exchange::Books;
use crate::telemetry::{Inbox, fixtures};
use std::sync::Arc;
use std::time::Duration;

/// The plan of the fixtures, and nothing counted yet.
pub fn source() -> Source {
    Source {
        exchange: fixtures::exchange(fixtures::plan()),
        inbox: Arc::new(Inbox::new(10)),
        board: Default::default(),
        books: Arc::new(Books::new(1)),
        observed: Default::default(),
        place: Default::default(),
        loads: Arc::new(Loads::default()),
        history: Default::default(),
        control: Default::default(),
        desk: Default::default(),
        announcements: Default::default(),
        probes: Default::default(),
        clock: Clock::start(),
    }
}

/// Runs a test that should be over within a minute.
pub fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs") });
}
