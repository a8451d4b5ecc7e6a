//! What is known of every zone that others have a part in: its journal, its history, and how it comes to be what is served.
//!
//! ```text
//!   kept      one zone: its journal and where it leads
//!   settle    what is served of a zone with a file
//! ```
//!
//! Nothing is committed before it is on the disk, and nothing is published before it is committed.

mod kept;
mod settle;

pub use kept::Copy;
pub use settle::Settled;

use crate::transfer::journal::{Care, Frame, digest_after, parts};
use crate::transfer::seal::{self, Seals};
use crate::transfer::serial;
use crate::transfer::settings::{SerialRule, ZoneSettings};
use crate::wire::Name;
use crate::wire::records::{Records, is_newer};
use crate::zone::Zone;
use crate::zone::diff::{self, Difference, Misfit, Strictness};
use crate::zone::history::History;
use kept::{Kept, Stand};
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest name of a file that spells out the zone's; longer ones are hashed.
const LONGEST_FILE: usize = 200;

//----------- Keep -----------------------------------------------------------

/// Everything that is kept, by apex.
#[derive(Debug, Default)]
pub struct Keep {
    /// The folder of journals; `None`: nothing is kept over a restart.
    dir: Option<PathBuf>,
    /// Whether the folder is somebody else's to write to.
    only_reads: bool,
    zones: HashMap<Name, Kept>,
    /// The same of zones that are signed here, as they leave.
    pub seals: Seals,
}

impl Keep {
    /// Keeps journals in this folder, which is made if need be.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(dir: &Path) -> io::Result<Keep> {
        std::fs::create_dir_all(dir)?;
        Ok(Keep { dir: Some(dir.to_path_buf()), ..Keep::default() })
    }

    /// Reads what a folder holds and writes nothing: for those who only want to know, and for a successor until the folder is
    /// its own.
    pub fn peek(dir: &Path) -> Keep {
        Keep { dir: Some(dir.to_path_buf()), only_reads: true, ..Keep::default() }
    }

    /// The histories of all zones.
    pub fn histories(&self) -> HashMap<Name, Arc<History>> {
        let beneath = self.zones.iter().map(|(apex, kept)| (apex, &kept.history));
        let mut all: HashMap<Name, Arc<History>> =
            beneath.chain(self.seals.histories()).map(|(apex, history)| (apex.clone(), history.clone())).collect();
        all.retain(|_, history| !history.is_empty());
        all
    }

    /// Gives a zone serials of its own above those that its file has, if it is signed here and others are to have it, or had
    /// it so before.
    ///
    /// # Errors
    /// A text for people: the journal cannot be read.
    pub fn seal(&mut self, apex: &Name, is_signed: bool, settings: &ZoneSettings) -> Result<(), String> {
        if self.seals.has(apex) {
            return Ok(());
        }
        let path = self.dir.as_ref().map(|dir| dir.join(file_name(apex)).with_extension("signed"));
        let is_known = path.as_ref().is_some_and(|path| path.exists());
        if !(is_known || is_signed && seal::is_wanted(settings)) {
            return Ok(());
        }
        let looked = self.seals.look(apex, path.as_deref(), self.only_reads, settings.journal_room);
        looked.map_err(|e| format!("{}: {e}", path.unwrap_or_default().display()))?;
        if let Some((_, served)) = self.zones.get(apex).and_then(|kept| kept.served.as_ref()) {
            self.seals.follow(served);
        }
        Ok(())
    }

    /// Octets of the journals there are.
    pub fn journals(&self) -> BTreeMap<Name, u64> {
        let of = |(apex, kept): (&Name, &Kept)| Some((apex.clone(), kept.journal.as_ref()?.len()));
        self.zones.iter().filter_map(of).collect()
    }

    /// Reads what is on the disk of a zone, if that was not done.
    fn look(&mut self, apex: &Name, settings: &ZoneSettings, is_wanted: bool) -> io::Result<Option<&mut Kept>> {
        let path = self.dir.as_ref().map(|dir| dir.join(file_name(apex)));
        let only_reads = self.only_reads;
        if !self.zones.contains_key(apex) {
            let path = path.filter(|path| is_wanted || path.exists());
            if path.is_none() && !is_wanted {
                return Ok(None);
            }
            let kept =
                path.map_or_else(|| Ok(Kept::default()), |path| Kept::read(apex, &path, settings, only_reads))?;
            self.zones.insert(apex.clone(), kept);
        }
        Ok(self.zones.get_mut(apex))
    }

    /// What is to be served of a zone with a file. Most zones are as their files say; nothing is known or kept of those.
    ///
    /// # Errors
    /// A text for people: the journal cannot be read.
    pub fn settle(&mut self, file: &Arc<Zone>, settings: &ZoneSettings, now: u64) -> Result<Settled, String> {
        let is_wanted = settings.journaled || settings.updated || settings.serial != SerialRule::File;
        let dir = self.dir.clone().unwrap_or_default();
        let kept = self.look(file.apex(), settings, is_wanted);
        let kept = kept.map_err(|e| format!("{}: {e}", dir.join(file_name(file.apex())).display()))?;
        match kept {
            None => Ok(Settled { zone: file.clone(), told: None, change: None }),
            Some(kept) => Ok(kept.settle(file, settings, now)),
        }
    }

    /// Writes down what was settled; call it when all else of the load is good, before it is published.
    ///
    /// # Errors
    /// What the system says; then the zone may be served, and is settled anew at the next load.
    pub fn commit(&mut self, settled: Settled, settings: &ZoneSettings) -> io::Result<()> {
        let Settled { zone, change: Some(change), .. } = settled else { return Ok(()) };
        self.zones.get_mut(zone.apex()).map_or(Ok(()), |kept| kept.commit(zone, change, settings))
    }

    /// The zone as it is shared now: with the marks of policies, which are put on it after it was settled.
    pub fn note(&mut self, zone: &Arc<Zone>) {
        let Some(kept) = self.zones.get_mut(zone.apex()) else { return };
        if let Some((_, served)) = &mut kept.served {
            *served = zone.clone();
        }
        if let Some(copy) = &mut kept.copy {
            copy.zone = zone.clone();
        }
    }

    /// Changes a zone that has a file; what is committed is returned, to be published.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn update(
        &mut self,
        apex: &Name,
        (removed, added): (&Records, &Records),
        settings: &ZoneSettings,
        now: u64,
    ) -> Result<Arc<Zone>, Refused> {
        let kept = self.zones.get_mut(apex).ok_or(Refused::NotKept)?;
        let (Some((file, served)), Some(stand)) = (&kept.served, kept.stand) else { return Err(Refused::NotKept) };
        // A SOA in the update says the serial, if it is a newer one (RFC 2136 section 3.4.2.2); else it goes on by the rule.
        let theirs = added.iter().filter(|r| r.rtype == crate::wire::rtype::SOA).last();
        let theirs = theirs.and_then(|r| crate::wire::records::Soa::parse(r.rdata)).map(|soa| soa.serial);
        let mut with_soa = added.clone();
        if theirs.is_none_or(|theirs| !is_newer(theirs, stand.serial)) {
            let serial = serial::next(settings.serial, Some(stand.serial), now);
            diff::soa_with_serial(served, serial).ok_or(Refused::NotKept)?.iter().for_each(|soa| with_soa.put(&soa));
        }
        let zone = diff::rewrite(served, removed, &with_soa, Strictness::Lenient).map_err(Refused::Misfit)?;
        let owners: BTreeSet<Name> = removed.iter().chain(added.iter()).map(|r| r.name()).collect();
        let change = Difference::at(&owners, served, &zone).ok_or(Refused::NotKept)?;
        let stand = Stand { serial: zone.serial(), of_zone: digest_after(stand.of_zone, apex, &change), ..stand };
        let (file, zone) = (file.clone(), Arc::new(zone));
        kept.write(&[Frame::Update(change.clone())]).map_err(Refused::Disk)?;
        kept.net.take(&change.removed, &change.added);
        if settings.journaled {
            Arc::make_mut(&mut kept.history).push(Arc::new(change), settings.journal_room);
        }
        (kept.stand, kept.served) = (Some(stand), Some((file, zone.clone())));
        kept.compact(settings);
        Ok(zone)
    }

    /// The zone that is served in place of a file's, if there is one.
    pub fn served(&self, apex: &Name) -> Option<&Arc<Zone>> {
        self.zones.get(apex)?.served.as_ref().map(|(_, served)| served)
    }

    /// The copy of another server's zone.
    ///
    /// # Errors
    /// What the system says.
    pub fn copy(&mut self, apex: &Name, settings: &ZoneSettings) -> io::Result<Option<Copy>> {
        Ok(self.look(apex, settings, true)?.and_then(|kept| kept.copy.clone()))
    }

    /// Takes a zone that came whole, or by differences; what is committed is returned, to be published.
    ///
    /// # Errors
    /// What the system says; then the copy is what it was.
    pub fn take(
        &mut self,
        zone: Arc<Zone>,
        chain: Option<Vec<Difference>>,
        settings: &ZoneSettings,
        now: u64,
    ) -> io::Result<()> {
        let Some(kept) = self.look(&zone.apex().clone(), settings, true)? else { return Ok(()) };
        let before = kept.copy.replace(Copy { zone: zone.clone(), checked: now });
        // A whole one differs from the one before like any other.
        let known = match (&chain, &before) {
            (None, Some(before)) if is_newer(zone.serial(), before.zone.serial()) && settings.journaled => {
                Difference::between(&before.zone, &zone).map(|diff| vec![diff])
            }
            _ => None,
        };
        let written = match (&chain, &mut kept.journal) {
            (Some(chain), _) => {
                let frames: Vec<Frame> =
                    chain.iter().map(|diff| Frame::Fetched { checked: now, diff: diff.clone() }).collect();
                kept.write(&frames)
            }
            (None, Some(journal)) => journal.rewrite(parts(&zone, now), Care::System),
            (None, None) => Ok(()),
        };
        if written.is_err() {
            kept.copy = before;
            return written;
        }
        match chain.or(known).filter(|_| settings.journaled) {
            Some(chain) => {
                let history = Arc::make_mut(&mut kept.history);
                chain.into_iter().for_each(|diff| history.push(Arc::new(diff), settings.journal_room));
            }
            None => kept.history = Arc::default(),
        }
        kept.compact(settings);
        Ok(())
    }

    /// Notes that the primary has nothing newer.
    ///
    /// # Errors
    /// What the system says; the copy then counts as fresh for this process alone.
    pub fn checked(&mut self, apex: &Name, settings: &ZoneSettings, now: u64) -> io::Result<()> {
        let Some(kept) = self.zones.get_mut(apex) else { return Ok(()) };
        let Some(copy) = &mut kept.copy else { return Ok(()) };
        copy.checked = now;
        kept.write(&[Frame::Checked(now)])?;
        kept.compact(settings);
        Ok(())
    }

    /// Forgets a zone that is not served any more, and its journal.
    pub fn forget(&mut self, apex: &Name) {
        self.zones.remove(apex);
        self.seals.forget(apex);
        if let Some(dir) = self.dir.as_ref().filter(|_| !self.only_reads) {
            let path = dir.join(file_name(apex));
            let _ = std::fs::remove_file(path.with_extension("signed"));
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Why an update was not made.
#[derive(Debug)]
pub enum Refused {
    /// The zone takes none.
    NotKept,
    /// The zone would have no SOA, or a record lies outside it.
    Misfit(Misfit),
    /// It could not be written down.
    Disk(io::Error),
}

/// A file name for a zone: its name, with anything but letters, digits, hyphens, underscores and dots as `%` and two digits.
fn file_name(apex: &Name) -> String {
    let mut text = String::new();
    for label in apex.labels() {
        for octet in label {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(*octet as char),
                _ => _ = write!(text, "%{octet:02x}"),
            }
        }
        text.push('.');
    }
    if text.is_empty() {
        text.push_str("@.");
    }
    if text.len() > LONGEST_FILE {
        let mut hasher = SipHasher24::new();
        hasher.write(apex.as_wire());
        text = format!("%{:016x}.", hasher.finish());
    }
    text + "journal"
}

#[cfg(test)]
mod tests;
