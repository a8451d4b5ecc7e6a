//! What is served of a zone that has a file.
//!
//! It is served as the file says it, with what updates have changed, under a serial by its rule. When the file itself changes:
//!
//! - under the rule `file`, a serial newer than the one served says that the file is the zone now: updates are forgotten, and
//!   the log tells how many;
//! - otherwise, and always where serials are made here, updates stay and are made to the new file.
//!
//! Either way secondaries get a newer serial. What changed while the server was down cannot be told as a difference: then
//! the history begins anew, and secondaries get the zone whole.

use super::kept::{Kept, Stand};
use crate::transfer::journal::{Frame, digest};
use crate::transfer::serial;
use crate::transfer::settings::{SerialRule, ZoneSettings};
use crate::wire::records::{Records, is_newer};
use crate::zone::Zone;
use crate::zone::diff::{self, Difference, Net, Strictness};
use std::io;
use std::sync::Arc;

//----------- Settled --------------------------------------------------------

/// A zone as it is to be served, and what is to be written when it is.
#[derive(Debug)]
pub struct Settled {
    /// The zone.
    pub zone: Arc<Zone>,
    /// What to tell the operator.
    pub told: Option<String>,
    pub(super) change: Option<Change>,
}

impl Settled {
    /// Whether there is anything to write down.
    pub fn is_change(&self) -> bool {
        self.change.is_some()
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Change {
    file: Arc<Zone>,
    stand: Stand,
    /// Updates are forgotten.
    drops: bool,
    diff: Option<Difference>,
    /// Whether the history leads to what is served now.
    goes_on: bool,
}

//----------- Kept -----------------------------------------------------------

impl Kept {
    /// What is to be served of a file's zone. `now`: seconds since 1970.
    pub(super) fn settle(&mut self, file: &Arc<Zone>, settings: &ZoneSettings, now: u64) -> Settled {
        if let Some((known, served)) = &self.served
            && Arc::ptr_eq(known, file)
        {
            return Settled { zone: served.clone(), told: None, change: None };
        }
        let (of_file, rule, before) = (digest(file), settings.serial, self.stand);
        let is_newer_file = before.is_some_and(|stand| is_newer(file.serial(), stand.serial));
        let is_same_file = before.is_some_and(|stand| stand.of_file == of_file);
        let drops = rule == SerialRule::File && is_newer_file && !self.net.is_empty();
        let mut told = drops.then(|| {
            let n = self.net.len();
            format!("the file has serial {}, newer than what was served: {n} records that updates changed are as the file says again", file.serial())
        });
        let (removed, added) = if drops { Default::default() } else { self.net.records() };
        let body = match removed.is_empty() && added.is_empty() {
            true => None,
            // The SOA is the file's, so that there is one.
            false => diff::rewrite(file, &removed, &added, Strictness::Lenient).ok(),
        };
        let of_zone = body.as_ref().map_or(of_file, digest);
        let is_same = before.is_some_and(|stand| stand.of_zone == of_zone);
        let serial = match before {
            // Whoever takes the serial in the file back, or lets it stand, has their way.
            _ if rule == SerialRule::File && (before.is_none() || is_newer_file || body.is_none()) => file.serial(),
            Some(stand) if is_same => stand.serial,
            before => serial::next(rule, before.map(|stand| stand.serial), now),
        };
        if !settings.is_sealed && before.is_some_and(|stand| !is_same && !is_newer(serial, stand.serial)) {
            told = Some(format!("it has changed and its serial, {serial}, has not grown: secondaries will not notice"));
        } else if !is_same_file && !drops && body.is_some() && before.is_some() {
            told = Some(format!(
                "the file has changed; {} records that updates changed stay as they are, serial {serial}",
                self.net.len()
            ));
        }
        let zone = match (body, file.serial() == serial) {
            (None, true) => file.clone(),
            (body, _) => {
                let base = body.as_ref().unwrap_or(file);
                let soa = diff::soa_with_serial(base, serial).unwrap_or_default();
                let made = diff::rewrite(base, &Records::default(), &soa, Strictness::Lenient);
                made.map_or_else(|_| file.clone(), Arc::new)
            }
        };
        let stand = Stand { serial: zone.serial(), of_file, of_zone };
        if before == Some(stand) && self.served.is_none() {
            // As it was before the restart.
            self.served = Some((file.clone(), zone.clone()));
            return Settled { zone, told, change: None };
        }
        let old = self.served.as_ref().map(|(_, served)| served).filter(|old| is_newer(zone.serial(), old.serial()));
        let diff = old.filter(|_| settings.journaled).and_then(|old| Difference::between(old, &zone));
        let goes_on = diff.is_some() || before.is_some_and(|stand| is_same && stand.serial == zone.serial());
        Settled { zone, told, change: Some(Change { file: file.clone(), stand, drops, diff, goes_on }) }
    }

    /// Writes down what was settled.
    ///
    /// # Errors
    /// What the system says; what is known is then as if it had been written.
    pub(super) fn commit(&mut self, zone: Arc<Zone>, change: Change, settings: &ZoneSettings) -> io::Result<()> {
        let Change { file, stand, drops, diff, goes_on } = change;
        if drops {
            self.net = Net::default();
        }
        let (removed, added) = self.net.records();
        let Stand { serial, of_file, of_zone } = stand;
        let mut frames = Vec::new();
        if let Some(diff) = &diff {
            frames.push(Frame::Load { of_file, diff: diff.clone() });
        }
        frames.push(Frame::Base { serial, of_file, of_zone, removed, added });
        if !goes_on {
            self.history = Arc::default();
        }
        if let Some(diff) = diff {
            Arc::make_mut(&mut self.history).push(Arc::new(diff), settings.journal_room);
        }
        self.stand = Some(stand);
        self.served = Some((file, zone));
        let written = self.write(&frames);
        self.compact(settings);
        written
    }
}
