//! What has left of zones that are signed here: their serials, what has changed in them, and the last version whole.
//!
//! Signing changes a zone by itself: signatures are renewed, keys come and go. Whoever has a copy must hear of it, so that a
//! signed zone has a serial of its own above the one that its file, updates or primary give it, as with BIND's
//! `inline-signing`:
//!
//! - a serial from below that is newer than what was served is served;
//! - otherwise, whatever changes in the signed zone raises the served serial by the zone's rule; under the rule `file`, and
//!   for zones that come from primaries, by one; so does the first signature.
//!
//! The served serial never goes back, whatever the file says; so it does not over a restart, since the zone is kept here
//! as it left, in a journal of its own. Signatures are taken out of that, so that a restart renews none, and secondaries go on
//! with differences.
//!
//! This is for zones that somebody is to have, by `allow-transfer` or `notify`, or whose serials are made here. A zone that
//! nobody else has is served under its file's serial. What was once begun goes on while the zone is served, keys or no keys.

use crate::dnssec::presigned;
use crate::dnssec::sign::{Task, sign, sign_soa};
use crate::transfer::journal::{Care, Frame, Journal, parts_of};
use crate::transfer::replay::Replay;
use crate::transfer::serial;
use crate::transfer::settings::{SerialRule, ZoneSettings};
use crate::wire::Name;
use crate::wire::records::is_newer;
use crate::zone::history::History;
use crate::zone::signed::{Changes, Version};
use crate::zone::{Signed, Zone};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

//----------- Seals ----------------------------------------------------------

/// All of them, by apex.
#[derive(Debug, Default)]
pub struct Seals {
    zones: HashMap<Name, Seal>,
}

/// One zone.
#[derive(Debug, Default)]
struct Seal {
    journal: Option<Journal>,
    history: Arc<History>,
    last: Last,
    /// What has changed since.
    pending: Option<Changes>,
    /// The journal lacks a version.
    is_torn: bool,
}

/// The version that was served last.
#[derive(Debug, Default)]
enum Last {
    #[default]
    None,
    /// Before the restart: its own records have the signatures.
    Read(Arc<Zone>),
    /// By this process.
    Served(Arc<Zone>, Option<Arc<Signed>>),
}

impl Last {
    /// The signatures of before the restart, to be kept.
    fn read(&self, hash_keys: (u64, u64)) -> Option<(Arc<Zone>, Signed)> {
        match self {
            Last::Read(zone) => presigned::remember(zone, hash_keys).ok().map(|signed| (zone.clone(), signed)),
            _ => None,
        }
    }

    fn version(&self) -> Option<Version<'_>> {
        match self {
            Last::None => None,
            Last::Read(zone) => Some(Version { zone, signed: None }),
            Last::Served(zone, signed) => Some(Version { zone, signed: signed.as_deref() }),
        }
    }
}

/// Whether a zone that is signed here is one that others are to have.
pub fn is_wanted(settings: &ZoneSettings) -> bool {
    settings.leaves || settings.serial != SerialRule::File
}

impl Seals {
    /// Reads what is on the disk of a zone. `path`: of its journal; `None`: nothing is kept.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn look(&mut self, apex: &Name, path: Option<&Path>, only_reads: bool, room: usize) -> io::Result<()> {
        let seal = path.map_or_else(|| Ok(Seal::default()), |path| Seal::read(apex, path, only_reads, room))?;
        self.zones.insert(apex.clone(), seal);
        Ok(())
    }

    /// Says what was served before there was anything to be kept: the zone, not signed.
    pub(super) fn follow(&mut self, zone: &Arc<Zone>) {
        if let Some(seal) = self.zones.get_mut(zone.apex()).filter(|seal| matches!(seal.last, Last::None)) {
            seal.last = Last::Served(zone.clone(), None);
        }
    }

    /// Whether a zone is kept here.
    pub fn has(&self, apex: &Name) -> bool {
        self.zones.contains_key(apex)
    }

    /// Whether this very version is the last that was committed; true for zones that are not kept here.
    pub fn holds(&self, zone: &Arc<Zone>, signed: Option<&Arc<Signed>>) -> bool {
        self.zones.get(zone.apex()).is_none_or(|seal| match &seal.last {
            Last::Served(last, made) => {
                Arc::ptr_eq(last, zone) && made.as_ref().map(Arc::as_ptr) == signed.map(Arc::as_ptr)
            }
            _ => false,
        })
    }

    /// Signs the next version of a zone, under the serial that it is to be served under. `task`: as for `zone`; `known`: what this
    /// process has signed of it.
    ///
    /// # Errors
    /// As [`sign`].
    pub fn sign(
        &mut self,
        zone: &Arc<Zone>,
        task: Task<'_>,
        known: Option<(&Zone, &Signed)>,
        settings: &ZoneSettings,
    ) -> Result<(Arc<Zone>, Arc<Signed>), String> {
        let mut zone = self.at_least(zone);
        let remembered = match known {
            Some(_) => None,
            None => self.zones.get(zone.apex()).and_then(|seal| seal.last.read(task.hash_keys)),
        };
        let known = known.or(remembered.as_ref().map(|(zone, signed)| (&**zone, signed)));
        let mut signed = sign(Task { zone: &zone, ..task }, known)?;
        let serial = self.serial(&zone, Some(&signed), settings, task.now.into());
        if serial != zone.serial() {
            Arc::make_mut(&mut zone).set_serial(serial);
            sign_soa(Task { zone: &zone, ..task }, &mut signed)?;
        }
        Ok((zone, Arc::new(signed)))
    }

    /// The next version of a zone to which nothing is added here, under the serial that it is to be served under.
    pub fn number(&mut self, zone: &Arc<Zone>, settings: &ZoneSettings, now: u64) -> Arc<Zone> {
        let mut zone = self.at_least(zone);
        let serial = self.serial(&zone, None, settings, now);
        if serial != zone.serial() {
            Arc::make_mut(&mut zone).set_serial(serial);
        }
        zone
    }

    /// The zone under the serial of the last version, if its own is not newer: what has not changed is to stay as it is.
    fn at_least(&self, zone: &Arc<Zone>) -> Arc<Zone> {
        let last = self.zones.get(zone.apex()).and_then(|seal| seal.last.version()).map(|last| last.zone.serial());
        let mut zone = zone.clone();
        if let Some(last) = last.filter(|last| *last != zone.serial() && !is_newer(zone.serial(), *last)) {
            Arc::make_mut(&mut zone).set_serial(last);
        }
        zone
    }

    /// The serial for a version that is under that of the last or a newer one. `signed`: what is made here of it.
    fn serial(&mut self, zone: &Zone, signed: Option<&Signed>, settings: &ZoneSettings, now: u64) -> u32 {
        let Some(seal) = self.zones.get_mut(zone.apex()) else { return zone.serial() };
        // Who knows who has the zone as it was before it was signed.
        let Some(last) = seal.last.version() else { return serial::next(settings.serial, Some(zone.serial()), now) };
        let (last_serial, changes) = (last.zone.serial(), Changes::between(last, Version { zone, signed }));
        let serial = match is_newer(zone.serial(), last_serial) || changes.is_empty() {
            true => zone.serial(),
            false => serial::next(settings.serial, Some(last_serial), now),
        };
        seal.pending = Some(changes);
        serial
    }

    /// Writes down the version that was signed or numbered last, before it is published.
    ///
    /// # Errors
    /// What the system says; the version may be served, and secondaries go on with differences all the same.
    pub fn commit(
        &mut self,
        zone: &Arc<Zone>,
        signed: Option<&Arc<Signed>>,
        settings: &ZoneSettings,
    ) -> io::Result<()> {
        let Some(seal) = self.zones.get_mut(zone.apex()) else { return Ok(()) };
        let pending = seal.pending.take();
        let new = Version { zone, signed: signed.map(|signed| &**signed) };
        let last = std::mem::replace(&mut seal.last, Last::Served(zone.clone(), signed.cloned()));
        let old = last.version();
        if old.is_some_and(|old| old.zone.serial() == zone.serial()) && !seal.is_torn {
            return Ok(());
        }
        let diff = old.zip(pending).and_then(|(old, changes)| changes.into_difference(old, new)).map(Arc::new);
        match &diff {
            Some(diff) if settings.journal_room > 0 => {
                Arc::make_mut(&mut seal.history).push(diff.clone(), settings.journal_room);
            }
            _ => seal.history = Arc::default(),
        }
        let is_first = seal.journal.as_ref().is_some_and(Journal::is_empty);
        let written = match (&mut seal.journal, diff) {
            (None, _) => Ok(()),
            (Some(journal), Some(diff)) if !seal.is_torn && !is_first => {
                journal.append(&[Frame::Fetched { checked: 0, diff: (*diff).clone() }], Care::Disk)
            }
            _ => seal.rewrite(),
        };
        // What follows would not follow from what is there.
        seal.is_torn = written.is_err();
        seal.compact(settings);
        written
    }

    /// Forgets a zone that is not served any more.
    pub(super) fn forget(&mut self, apex: &Name) {
        self.zones.remove(apex);
    }

    /// The apexes of all zones that are kept here, and what has changed in each.
    pub fn histories(&self) -> impl Iterator<Item = (&Name, &Arc<History>)> {
        self.zones.iter().map(|(apex, seal)| (apex, &seal.history))
    }
}

impl Seal {
    fn read(apex: &Name, path: &Path, only_reads: bool, room: usize) -> io::Result<Seal> {
        let (mut seal, mut replay) = (Seal::default(), Replay::default());
        seal.journal = Journal::read(path, only_reads, |frame| {
            replay.take(&frame);
            if let Frame::Fetched { diff, .. } = frame {
                Arc::make_mut(&mut seal.history).push(Arc::new(diff), room);
            }
        })?;
        match replay.zone(apex) {
            Some(Ok((zone, _))) => seal.last = Last::Read(Arc::new(zone)),
            Some(Err(e)) => {
                tracing::warn!("{}: {apex} as it left is not taken: {e}; secondaries get it whole", path.display())
            }
            None => {}
        }
        if seal.last.version().is_none_or(|last| seal.history.end().is_some_and(|end| end != last.zone.serial())) {
            seal.history = Arc::default();
        }
        Ok(seal)
    }

    /// Writes the journal anew: the history, and the last version whole.
    fn rewrite(&mut self) -> io::Result<()> {
        let (Some(journal), Some(last)) = (&mut self.journal, self.last.version()) else { return Ok(()) };
        let history = self.history.iter().map(|diff| Frame::Fetched { checked: 0, diff: (**diff).clone() });
        journal.rewrite(history.chain(parts_of(last)), Care::Disk)
    }

    /// Writes anew what has grown too long. That it fails costs room alone.
    fn compact(&mut self, settings: &ZoneSettings) {
        if self.journal.as_ref().is_some_and(|journal| journal.is_overgrown(settings.journal_room))
            && let Err(e) = self.rewrite()
        {
            let path = self.journal.as_ref().map(|journal| journal.path().display().to_string());
            tracing::warn!("{}: could not be written anew, and grows: {e}", path.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests;
