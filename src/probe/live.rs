//! The task that asks: policies in, outcomes into the ledger.

use crate::clock::Clock;
use crate::exchange::Exchange;
use crate::policy::Policies;
use crate::policy::probe::Probe;
use crate::probe::ask::ask;
use crate::probe::schedule::{Next, Schedule};
use crate::probe::tls::{self, Spoken, Usual};
use crate::probe::{Config, Found, Ledger, What};
use crate::wire::Name;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

/// Longest wait before policies are looked at again: a reload changes probes within this.
const LOOK: Duration = Duration::from_secs(1);

/// What it works with.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// `[probe]`.
    pub config: Config,
    /// Where policies are.
    pub exchange: Arc<Exchange>,
    /// Where outcomes go.
    pub ledger: Arc<Ledger>,
    /// The time.
    pub clock: Clock,
    /// Decides the rhythm of probes.
    pub seed: u64,
}

/// Probes until `stop` becomes true; what is under way then is cut.
pub async fn run(wiring: Wiring, mut stop: watch::Receiver<bool>) {
    let mut asker = Asker::new(wiring);
    while !*stop.borrow_and_update() {
        asker.adopt();
        let wait = asker.begin();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(ended) = asker.running.join_next_with_id() => asker.note(ended),
            _ = stop.changed() => {}
        }
    }
}

struct Asker {
    wiring: Wiring,
    schedule: Schedule,
    usual: Usual,
    /// The policies that are asked for now.
    policies: Option<Arc<Policies>>,
    /// How each probe speaks TLS, and which probe that was.
    tls: HashMap<Name, (Arc<Probe>, Spoken)>,
    running: JoinSet<(Found, f64)>,
    who: HashMap<Id, Name>,
    is_overbooked: bool,
}

impl Asker {
    fn new(wiring: Wiring) -> Asker {
        let Config { per_second, concurrent, .. } = wiring.config;
        Asker {
            schedule: Schedule::new(wiring.seed, per_second, concurrent),
            usual: Err("not read yet".into()),
            policies: None,
            tls: HashMap::new(),
            running: JoinSet::new(),
            who: HashMap::new(),
            is_overbooked: false,
            wiring,
        }
    }

    /// Takes over what policies ask for, if they are others than before.
    fn adopt(&mut self) {
        let policies = self.wiring.exchange.load().policies.clone();
        if self.policies.as_ref().is_some_and(|known| Arc::ptr_eq(known, &policies)) {
            return;
        }
        let wanted = || policies.pops.iter().filter_map(|pop| Some((&pop.name, pop.probe.as_ref()?)));
        if wanted().any(|(_, probe)| probe.ask.is_over_tls()) {
            self.usual = tls::usual(self.wiring.config.ca.as_deref());
        }
        self.tls.clear();
        self.schedule.adopt(wanted(), self.wiring.clock.now().mono);
        self.wiring.ledger.keep(|name| wanted().any(|(wanted, _)| wanted == name));
        let (wants, may) = (self.schedule.wanted_per_second(), self.wiring.config.per_second);
        let is_overbooked = wants > may;
        if is_overbooked && !self.is_overbooked {
            tracing::warn!(
                "policies ask for {wants:.1} probes a second, and [probe] per-second allows {may}: they are made later"
            );
        }
        self.is_overbooked = is_overbooked;
        self.policies = Some(policies);
    }

    /// Begins what is due; how long to wait then.
    fn begin(&mut self) -> Duration {
        loop {
            match self.schedule.next(self.wiring.clock.now().mono) {
                Next::Wait(secs) => return Duration::from_secs_f64(secs.clamp(0.001, LOOK.as_secs_f64())),
                Next::Begin(name, probe, late_secs) => {
                    self.wiring.ledger.begun(late_secs);
                    let tls = self.tls_of(&name, &probe);
                    let (source, clock) = (self.wiring.config.source.clone(), self.wiring.clock);
                    let asking = async move {
                        let begun = clock.now();
                        let found = match tls {
                            Ok(tls) => ask(&probe, tls, &source).await,
                            Err(why) => Found::bad(What::NotMade, why),
                        };
                        (found, clock.now().since(begun))
                    };
                    let id = self.running.spawn(asking).id();
                    self.who.insert(id, name);
                }
            }
        }
    }

    fn tls_of(&mut self, name: &Name, probe: &Arc<Probe>) -> Spoken {
        if let Some((of, made)) = self.tls.get(name)
            && Arc::ptr_eq(of, probe)
        {
            return made.clone();
        }
        let made = tls::client(probe, &self.usual);
        self.tls.insert(name.clone(), (probe.clone(), made.clone()));
        made
    }

    fn note(&mut self, ended: Result<(Id, (Found, f64)), tokio::task::JoinError>) {
        let (id, found, took_secs) = match ended {
            Ok((id, (found, took_secs))) => (id, found, took_secs),
            Err(e) => (e.id(), Found::bad(What::NotMade, e), 0.0),
        };
        let Some(name) = self.who.remove(&id) else { return };
        if !self.schedule.ended(&name) {
            return;
        }
        let (what, text) = (found.what, found.text.clone());
        let at = self.wiring.clock.now().unix;
        // Each failure is in the state; the log has where they begin and end.
        match (self.wiring.ledger.note(&name, found, took_secs, at), what) {
            (None | Some(None), What::Well) => {}
            (Some(Some(_)), What::Well) => tracing::info!("probe of {name}: answered again"),
            (Some(_), What::NotMade) => {
                tracing::error!("probe of {name} cannot be made, which says nothing of the POP: {text}");
            }
            (Some(None | Some(What::Well | What::NotMade)), _) => {
                tracing::warn!("probe of {name} fails ({}): {text}", what.label());
            }
            _ => {}
        }
    }
}
