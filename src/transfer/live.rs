//! The loop: takes what the query path leaves to do, looks at primaries when it is time, and tells secondaries.
//!
//! It holds no zone itself: whoever does is asked by [`Hands`], on threads that may wait. What several transfers bring is
//! published together, so that ten thousand zones at a start do not cost ten thousand swaps.

use crate::answer::dealings::{self, Dealings, Look};
use crate::answer::errand::{Errand, Refusal, Task, Update, Why};
use crate::transfer::fetch::{self, Fetched, unix_secs};
use crate::transfer::notify::notify;
use crate::transfer::settings::{Server, ZoneSettings};
use crate::wire::records::{Soa, is_newer};
use crate::wire::{Name, Rcode, tsig};
use crate::zone::Zone;
use crate::zone::diff::{Difference, soa_of};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{Id, JoinSet, spawn_blocking};

/// How long the same refusal of one client is not told again. Our choice: a secondary that is set up wrongly asks every
/// few minutes, an attacker without pause.
const QUIET: Duration = Duration::from_secs(60);
/// Most refusals that are remembered as told; beyond it none is told until they are forgotten.
const MOST_TOLD: usize = 256;
/// How often it is looked what is due.
const BEAT: Duration = Duration::from_millis(500);
/// How long what was fetched waits for more to be published with it, while more is under way.
const GATHER: Duration = Duration::from_millis(250);
/// How many times as long as a publication takes nothing is published after it, so that ten thousand zones that come one by one
/// do not cost ten thousand looks at all of them.
const PAUSE: u32 = 4;
/// Longest such pause.
const MOST_PAUSE: Duration = Duration::from_secs(2);
/// Least seconds between two looks at a primary, whatever the SOA says.
const LEAST_REFRESH: u64 = 2;
/// First and longest wait, in seconds, for a zone of which there is no copy.
const ABSENT: (u64, u64) = (1, 600);
/// When a zone of which a NOTIFY came is due: at once, and no version that has come meanwhile puts it off.
const NOTIFIED: u64 = 0;
/// NOTIFYs under way at a time.
const MOST_NOTIFIES: usize = 64;

//----------- Hands ----------------------------------------------------------

/// Who holds the zones. Every call may wait for a disk or a load.
pub trait Hands: Send + Sync + 'static {
    /// Makes an update, and publishes it; the RCODE of its reply.
    fn update(&self, update: &Update, from: IpAddr) -> Rcode;
    /// The zones that come from elsewhere, and the copies there are, expired ones too; and how many may come at a time.
    fn wanted(&self) -> (Vec<Wanted>, usize);
    /// Commits what was fetched; it is served from the next [`Hands::publish`] on.
    ///
    /// # Errors
    /// A text for people.
    fn take(&self, zone: Arc<Zone>, chain: Option<Vec<Difference>>, now: u64) -> Result<(), String>;
    /// Commits that a primary has nothing newer.
    fn checked(&self, apex: &Name, now: u64);
    /// Publishes what was taken, and takes what has expired out of service.
    fn publish(&self, why: &str);
    /// Octets of the journals there are.
    fn journals(&self) -> BTreeMap<Name, u64>;
    /// What is served of the zones with somebody to tell; `None` if no zone is another than at the last call.
    fn to_tell(&self) -> Option<Vec<(Arc<Zone>, Arc<ZoneSettings>)>>;
}

/// A zone that comes from elsewhere.
pub struct Wanted {
    /// Its apex.
    pub apex: Name,
    /// Whence.
    pub settings: Arc<ZoneSettings>,
    /// The copy, and when its primary was last heard to have nothing newer.
    pub copy: Option<(Arc<Zone>, u64)>,
}

//----------- run ------------------------------------------------------------

/// Whether there is something to publish of a zone that was looked at; an error was told.
type Got = Result<bool, ()>;

/// Does what comes, until the senders are gone.
pub async fn run(mut tasks: mpsc::Receiver<Task>, hands: Arc<dyn Hands>, dealings: Arc<Dealings>) {
    let (mut told, mut secondary) = (Told::default(), Secondary::default());
    let places = Arc::new(Semaphore::new(MOST_NOTIFIES));
    let mut teller = Teller { told: HashMap::new(), places, dealings: dealings.clone() };
    // Whether what is known of zones is to be noted: journals, and copies.
    let mut is_written = true;
    let mut under_way: JoinSet<Got> = JoinSet::new();
    let mut looked_at: HashMap<Id, Name> = HashMap::new();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let gathered = secondary.gathered(under_way.is_empty());
        tokio::select! {
            task = tasks.recv() => match task {
                None => return,
                Some(Task { errand: Errand::Tell(refusal), from, .. }) => told.tell(&refusal, from, Instant::now()),
                Some(Task { errand: Errand::Notify { apex, serial }, from, .. }) => {
                    tracing::info!("NOTIFY of {apex} by {from}{}", serial.map_or(String::new(), |s| format!(", serial {s}")));
                    secondary.notified(&apex, serial);
                }
                Some(Task { errand: Errand::Update(update), from, reply }) => {
                    let (hands, dealings) = (hands.clone(), dealings.clone());
                    is_written = true;
                    // One after another: they are made in the order in which they came.
                    let made = spawn_blocking(move || {
                        let rcode = hands.update(&update, from.ip());
                        tracing::info!("UPDATE of {} by {from} (key {}): {}", update.apex, update.key.name, rcode.name());
                        dealings.updated(rcode);
                        if let Some(reply) = reply {
                            reply((*update).reply(rcode, unix_secs()));
                        }
                    });
                    let _ = made.await;
                }
                Some(Task { errand: Errand::Transfer(_), .. }) => {}
            },
            Some(ended) = under_way.join_next_with_id() => {
                let (id, got) = ended.unwrap_or_else(|e| (e.id(), Err(())));
                if let Some(apex) = looked_at.remove(&id) {
                    secondary.done(&apex, got);
                    is_written = true;
                }
            }
            () = until(gathered) => {
                secondary.gathering = None;
                secondary.is_known = false;
                let asked = hands.clone();
                let began = Instant::now();
                let _ = spawn_blocking(move || asked.publish("zones have come")).await;
                secondary.pause = (began.elapsed() * PAUSE).min(MOST_PAUSE);
            }
            _ = beat.tick() => {
                secondary.wait_in_line(unix_secs());
                if let Some(why) = secondary.why_withdraw(unix_secs()) {
                    let asked = hands.clone();
                    let _ = spawn_blocking(move || asked.publish(&why)).await;
                }
                let asked = hands.clone();
                if let Ok(Some(zones)) = spawn_blocking(move || asked.to_tell()).await {
                    secondary.is_known = false;
                    is_written = true;
                    teller.tell(zones);
                }
                if std::mem::take(&mut is_written) {
                    dealings.note_copies(secondary.copies());
                    let asked = hands.clone();
                    if let Ok(journals) = spawn_blocking(move || asked.journals()).await {
                        dealings.note_journals(journals);
                    }
                }
            }
        }
        let asked = hands.clone();
        if secondary.is_stale()
            && let Ok((wanted, inbound)) = spawn_blocking(move || asked.wanted()).await
        {
            secondary.set(wanted, inbound, unix_secs());
            secondary.wait_in_line(unix_secs());
        }
        for (apex, servers, copy) in secondary.next(unix_secs(), under_way.len()) {
            let id = under_way.spawn(look(hands.clone(), dealings.clone(), apex.clone(), servers, copy)).id();
            looked_at.insert(id, apex);
        }
    }
}

/// Waits until that moment; for ever, if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Looks at the primaries of a zone, one after another, until one answers.
async fn look(
    hands: Arc<dyn Hands>,
    dealings: Arc<Dealings>,
    apex: Name,
    servers: Vec<Server>,
    copy: Option<Arc<Zone>>,
) -> Got {
    let mut failed = Vec::new();
    for server in &servers {
        match fetch::fetch(server, &apex, copy.clone()).await {
            Ok(Fetched::Current) => {
                dealings.looked(Look::Current);
                let (hands, of) = (hands.clone(), apex.clone());
                let _ = spawn_blocking(move || hands.checked(&of, unix_secs())).await;
                return Ok(false);
            }
            Ok(Fetched::Zone(zone, chain)) => {
                let how = chain.as_ref().map_or("whole".to_string(), |chain| format!("by {} differences", chain.len()));
                let (serial, n) = (zone.serial(), zone.n_records());
                let look = if chain.is_some() { Look::Differences } else { Look::Whole };
                let hands = hands.clone();
                match spawn_blocking(move || hands.take(zone, chain, unix_secs())).await {
                    Ok(Ok(())) => {
                        dealings.looked(look);
                        tracing::info!("{apex} has come from {}: serial {serial}, {n} records, {how}", server.addr);
                        return Ok(true);
                    }
                    Ok(Err(e)) => {
                        dealings.looked(Look::NotKept);
                        failed.push(format!("{}: {e}", server.addr));
                    }
                    Err(e) => failed.push(format!("{}: {e}", server.addr)),
                }
            }
            Err(e) => {
                dealings.looked(e.look);
                failed.push(format!("{}: {e}", server.addr));
            }
        }
    }
    let kept = if copy.is_some() { "the copy there is stays" } else { "there is no copy" };
    tracing::warn!("{apex} could not be fetched; {kept}: {}", failed.join("; "));
    Err(())
}

//----------- Secondary ------------------------------------------------------

/// When to look at which primary. Times are seconds since 1970.
#[derive(Default)]
struct Secondary {
    zones: BTreeMap<Name, Timer>,
    inbound: usize,
    /// Whether the zones are as they were asked for last.
    is_known: bool,
    /// Those that are due, in the order in which they are looked at; some may have been looked at meanwhile.
    line: VecDeque<Name>,
    /// Since when there is something to publish.
    gathering: Option<Instant>,
    /// Least time to gather it, by what the last publication took.
    pause: Duration,
}

/// One zone's times.
struct Timer {
    servers: Vec<Server>,
    copy: Option<(Arc<Zone>, Soa)>,
    due: u64,
    /// When a primary was last heard to have nothing newer; 0 for never.
    checked: u64,
    /// When the copy is worth nothing any more; whether that was told.
    expires: u64,
    has_expired: bool,
    n_failed: u32,
    is_running: bool,
    /// A NOTIFY came while it was running.
    again: bool,
}

impl Secondary {
    fn is_stale(&self) -> bool {
        !self.is_known
    }

    /// These are the zones. Those that were known keep their times.
    fn set(&mut self, wanted: Vec<Wanted>, inbound: usize, now: u64) {
        let mut before = std::mem::take(&mut self.zones);
        for Wanted { apex, settings, copy } in wanted {
            let checked = copy.as_ref().map_or(0, |(_, checked)| *checked);
            let copy = copy.and_then(|(zone, _)| soa_of(&zone).map(|(_, _, soa)| (zone, soa)));
            let expires = copy.as_ref().map_or(u64::MAX, |(_, soa)| checked + u64::from(soa.expire));
            let due = copy.as_ref().map_or(now, |(_, soa)| checked + refresh(soa, &apex).min(u64::from(soa.refresh)));
            let servers = settings.primaries.clone();
            let known = before.remove(&apex);
            let mut timer = known.unwrap_or(Timer {
                servers: Vec::new(),
                copy: None,
                due,
                checked,
                expires,
                has_expired: false,
                n_failed: 0,
                is_running: false,
                again: false,
            });
            if timer.servers != servers {
                // Others may have what the ones before had not.
                timer.due = timer.due.min(now);
            }
            let serial = |copy: &Option<(Arc<Zone>, Soa)>| copy.as_ref().map(|(_, soa)| soa.serial);
            if serial(&timer.copy) != serial(&copy) && !timer.is_running && timer.due != NOTIFIED {
                // Another version has times of its own, unless there is word of one after it.
                timer.due = due;
            }
            (timer.servers, timer.copy, timer.expires, timer.checked) = (servers, copy, expires, checked);
            timer.has_expired &= now > expires;
            self.zones.insert(apex, timer);
        }
        (self.inbound, self.is_known) = (inbound, true);
    }

    /// How fresh the copies are, for metrics.
    fn copies(&self) -> BTreeMap<Name, dealings::Copy> {
        let of = |timer: &Timer| dealings::Copy {
            serial: timer.copy.as_ref().map(|(_, soa)| soa.serial),
            checked: timer.checked,
            refresh: timer.due,
            expires: timer.expires,
            n_failed: timer.n_failed,
        };
        self.zones.iter().map(|(apex, timer)| (apex.clone(), of(timer))).collect()
    }

    /// Puts in line what is due.
    fn wait_in_line(&mut self, now: u64) {
        if self.line.is_empty() {
            let due = self.zones.iter().filter(|(_, timer)| timer.due <= now && !timer.is_running);
            self.line.extend(due.map(|(apex, _)| apex.clone()));
        }
    }

    /// What is to be looked at now: as many of those in line as there are places.
    fn next(&mut self, now: u64, n_running: usize) -> Vec<(Name, Vec<Server>, Option<Arc<Zone>>)> {
        let mut next = Vec::new();
        while n_running + next.len() < self.inbound
            && let Some(apex) = self.line.pop_front()
        {
            let Some(timer) = self.zones.get_mut(&apex).filter(|t| t.due <= now && !t.is_running) else { continue };
            timer.is_running = true;
            next.push((apex, timer.servers.clone(), timer.copy.as_ref().map(|(zone, _)| zone.clone())));
        }
        next
    }

    /// When what was fetched is to be published, if there is any: soon, and at once where nothing more is on its way.
    fn gathered(&self, is_idle: bool) -> Option<Instant> {
        let least = if is_idle && self.line.is_empty() { Duration::ZERO } else { GATHER.max(self.pause) };
        self.gathering.map(|since| since + least)
    }

    fn notified(&mut self, apex: &Name, serial: Option<u32>) {
        let Some(timer) = self.zones.get_mut(apex) else { return };
        let is_news = match (&timer.copy, serial) {
            (Some((_, soa)), Some(serial)) => is_newer(serial, soa.serial),
            _ => true,
        };
        if is_news {
            timer.due = NOTIFIED;
            timer.again = timer.is_running;
            self.line.push_front(apex.clone());
        }
    }

    fn done(&mut self, apex: &Name, got: Got) {
        if got == Ok(true) {
            self.gathering.get_or_insert_with(Instant::now);
        }
        let now = unix_secs();
        let Some(timer) = self.zones.get_mut(apex) else { return };
        timer.is_running = false;
        timer.n_failed = if got.is_ok() { 0 } else { timer.n_failed + 1 };
        let wait = match (&timer.copy, got) {
            (Some((_, soa)), Ok(_)) => refresh(soa, apex),
            (Some((_, soa)), Err(())) => u64::from(soa.retry).max(LEAST_REFRESH),
            // What has just come says its times at the next look at the zones, which publishing brings.
            (None, Ok(_)) => ABSENT.1,
            (None, Err(())) => (ABSENT.0 << timer.n_failed.min(16)).min(ABSENT.1),
        };
        if got == Ok(false)
            && let Some((_, soa)) = &timer.copy
        {
            timer.expires = now + u64::from(soa.expire);
            timer.checked = now;
        }
        timer.due = now + wait;
        if std::mem::take(&mut timer.again) {
            timer.due = NOTIFIED;
            self.line.push_front(apex.clone());
        }
    }

    /// Why zones are to be taken out of service now, if any are.
    fn why_withdraw(&mut self, now: u64) -> Option<String> {
        let mut expired = self.zones.iter_mut().filter(|(_, timer)| now > timer.expires && !timer.has_expired);
        let first = expired.next().map(|(apex, timer)| {
            timer.has_expired = true;
            tracing::error!("{apex} has expired: no primary could be reached since; it gets SERVFAIL");
        });
        let n_others = expired.map(|(_, timer)| timer.has_expired = true).count();
        first?;
        self.gathering = None;
        Some(match n_others {
            0 => "a zone has expired".into(),
            n => format!("{} zones have expired", n + 1),
        })
    }
}

/// Seconds to the next look: what the SOA says, less up to a tenth, so that the zones of one primary part.
fn refresh(soa: &Soa, apex: &Name) -> u64 {
    let less = u64::from(soa.refresh) * (apex.suffix_hash() % 100) / 1000;
    (u64::from(soa.refresh) - less).max(LEAST_REFRESH)
}

//----------- Teller ---------------------------------------------------------

/// Whom to tell what.
struct Teller {
    /// By apex, the serial that was told last.
    told: HashMap<Name, u32>,
    places: Arc<Semaphore>,
    dealings: Arc<Dealings>,
}

impl Teller {
    /// Tells of every zone whose serial is another than was told last: at the start of all.
    fn tell(&mut self, zones: Vec<(Arc<Zone>, Arc<ZoneSettings>)>) {
        for (zone, settings) in zones {
            let Some((ttl, rdata, soa)) = soa_of(&zone) else { continue };
            if self.told.insert(zone.apex().clone(), soa.serial) == Some(soa.serial) {
                continue;
            }
            for server in settings.notify.clone() {
                let (apex, rdata, places) = (zone.apex().clone(), rdata.clone(), self.places.clone());
                let dealings = self.dealings.clone();
                tokio::spawn(async move {
                    let Ok(_place) = places.acquire_owned().await else { return };
                    let heard = notify(&server, &apex, (ttl, &rdata)).await;
                    dealings.told(heard.is_ok());
                    match heard {
                        Ok(()) => tracing::info!("{} has heard of {apex}, serial {}", server.addr, soa.serial),
                        Err(e) => tracing::warn!(
                            "{} was not reached to hear of {apex}, serial {}: {e}",
                            server.addr,
                            soa.serial
                        ),
                    }
                });
            }
        }
    }
}

//----------- Told -----------------------------------------------------------

/// Which refusals the operator has heard of.
#[derive(Default)]
struct Told {
    seen: HashMap<(IpAddr, Why), Instant>,
}

impl Told {
    fn tell(&mut self, refusal: &Refusal, from: SocketAddr, now: Instant) {
        if !self.is_news((from.ip(), refusal.why), now) {
            return;
        }
        let Refusal { what, name, key, why } = refusal;
        let key = key.as_ref().map_or_else(|| "not signed".to_string(), |key| format!("key {key}"));
        let why = match why {
            Why::Signature(tsig::Error::BadKey) => "NOTAUTH, BADKEY: no [[tsig]] has this name with this algorithm",
            Why::Signature(tsig::Error::BadSig) => {
                "NOTAUTH, BADSIG: the secret differs, or the message was changed on its way"
            }
            Why::Signature(tsig::Error::BadTime) => {
                "NOTAUTH, BADTIME: the clocks are too far apart, or the message is an old one"
            }
            Why::Signature(tsig::Error::BadTrunc) => "NOTAUTH, BADTRUNC: the MAC is shorter than least-mac-bits",
            Why::NoGrant => "REFUSED: no grant for this address and key",
            Why::NotEncrypted => "REFUSED: the zone leaves over TLS alone",
            Why::Busy => "SERVFAIL: too many transfers are on their way out, see outbound in [transfer]",
        };
        tracing::warn!("{} of {name} by {from} ({key}): {why}", what.word());
    }

    fn is_news(&mut self, what: (IpAddr, Why), now: Instant) -> bool {
        if self.seen.len() >= MOST_TOLD {
            self.seen.retain(|_, at| now.duration_since(*at) < QUIET);
        }
        match self.seen.get(&what) {
            Some(at) if now.duration_since(*at) < QUIET => false,
            _ if self.seen.len() >= MOST_TOLD => false,
            _ => {
                self.seen.insert(what, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
