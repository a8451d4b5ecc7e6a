//! Looks whether the control loop beats, and ages its last plan where it does not.
//!
//! A task of its own, on the edges' threads: the loop may hang in anything. It touches nothing of the loop's, only what queries
//! answer from, and lets go as soon as the loop beats again.

use crate::admin::degraded::DEAD_SECS;
use crate::clock::Clock;
use crate::control::aged::aged;
use crate::control::silence::blind_weight;
use crate::control::status::Status;
use crate::exchange::{Exchange, Retired};
use crate::steering::{Plan, Table};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Time between looks.
const LOOK: Duration = Duration::from_secs(1);

/// Watches until `stop` is true.
pub(super) async fn watch(
    exchange: Arc<Exchange>,
    control: Arc<Status>,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let mut dead: Option<Dead> = None;
    let mut retired = Retired::default();
    while timeout(LOOK, stop.wait_for(|stop| *stop)).await.is_err() {
        retired.free();
        let secs = control.beaten.secs(clock.now()).unwrap_or(0.0);
        if secs < DEAD_SECS {
            if dead.take().is_some() {
                tracing::info!("the control loop beats again");
            }
            continue;
        }
        let of = dead.get_or_insert_with(|| {
            tracing::error!(
                "the control loop has not beaten for {secs:.0} s; queries are answered from its last plan, which goes over to \
                 declared shares from a minute on"
            );
            Dead { last: exchange.load().plan.clone(), shown: 0.0 }
        });
        of.age(&exchange, secs, &mut retired);
    }
}

/// A loop that is dead.
struct Dead {
    /// Its last plan.
    last: Arc<Plan>,
    /// The age of the plan that is out, seconds.
    shown: f64,
}

impl Dead {
    /// Publishes the plan of this age, where queries would see a difference.
    fn age(&mut self, exchange: &Exchange, secs: f64, retired: &mut Retired) {
        let base = exchange.load_full();
        let fits = self.last.groups.len() == base.policies.groups.len();
        // A reload carries the plan that is out: from then on that is the one to age.
        if !fits || !same_shape(&self.last, &base.plan) {
            self.last = base.plan.clone();
        } else if blind_weight(secs) <= blind_weight(self.shown) {
            return;
        }
        let Some(plan) = aged(&self.last, &base.policies, secs) else { return };
        let plan = Arc::new(plan);
        let table = Arc::new(Table::compile(&plan, &base.policies, &base.cells.cells, Some(&base.table)));
        if let Some(before) = exchange.publish_plan(&base, plan, table) {
            self.shown = secs;
            retired.put(before);
        }
    }
}

/// Whether two plans are for the same members and cells, as far as their sizes tell.
fn same_shape(a: &Plan, b: &Plan) -> bool {
    let shape = |plan: &Plan| plan.groups.iter().map(|g| (g.members.len(), g.row_of_cell.len())).collect::<Vec<_>>();
    shape(a) == shape(b)
}
