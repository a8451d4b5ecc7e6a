//! What is known of every zone that others have a part in: its journal, its history, and how it comes to be what is served.
//!
//! A zone with a file is served as the file says it, with what updates have changed, under a serial by its rule. When the file
//! itself changes:
//!
//! - under the rule `file`, a serial newer than the one served says that the file is the zone now: updates are forgotten, and
//!   the log tells how many;
//! - otherwise, and always where serials are made here, updates stay and are made to the new file.
//!
//! Either way secondaries get a newer serial. What changed while the server was down cannot be told as a difference: then
//! the history begins anew, and secondaries get the zone whole.
//!
//! Nothing is committed before it is on the disk, and nothing is published before it is committed.

use crate::transfer::journal::{Care, Frame, Journal, digest, digest_after, parts};
use crate::transfer::seal::{self, Seals};
use crate::transfer::serial;
use crate::transfer::settings::{SerialRule, ZoneSettings};
use crate::wire::Name;
use crate::wire::records::{Records, is_newer};
use crate::zone::Zone;
use crate::zone::diff::{self, Difference, Misfit, Net, Strictness};
use crate::zone::history::History;
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest name of a file that spells out the zone's; longer ones are hashed.
const LONGEST_FILE: usize = 200;
/// A journal is written anew when it is this many octets longer than what it must hold.
const SLACK: u64 = 1 << 20;

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

/// What is known of one zone.
#[derive(Debug, Default)]
struct Kept {
    journal: Option<Journal>,
    /// Octets of the journal when it was last written anew.
    base_len: u64,
    history: Arc<History>,
    /// Where a zone with a file stands.
    stand: Option<Stand>,
    /// What updates have changed in the file's zone.
    net: Net,
    /// The file's zone and what is served in its place, as they were last.
    served: Option<(Arc<Zone>, Arc<Zone>)>,
    copy: Option<Copy>,
}

/// Where a zone with a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stand {
    serial: u32,
    of_file: u64,
    of_zone: u64,
}

/// A zone from elsewhere.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The zone.
    pub zone: Arc<Zone>,
    /// When its primary was last heard to have nothing newer, seconds since 1970.
    pub checked: u64,
}

/// A zone as it is to be served, and what is to be written when it is.
#[derive(Debug)]
pub struct Settled {
    /// The zone.
    pub zone: Arc<Zone>,
    /// What to tell the operator.
    pub told: Option<String>,
    change: Option<Change>,
}

impl Settled {
    /// Whether there is anything to write down.
    pub fn is_change(&self) -> bool {
        self.change.is_some()
    }
}

#[derive(Debug)]
struct Change {
    file: Arc<Zone>,
    stand: Stand,
    /// Updates are forgotten.
    drops: bool,
    diff: Option<Difference>,
    /// Whether the history leads to what is served now.
    goes_on: bool,
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
        let Some(kept) = self.zones.get_mut(zone.apex()) else { return Ok(()) };
        let Change { file, stand, drops, diff, goes_on } = change;
        if drops {
            kept.net = Net::default();
        }
        let (removed, added) = kept.net.records();
        let Stand { serial, of_file, of_zone } = stand;
        let mut frames = Vec::new();
        if let Some(diff) = &diff {
            frames.push(Frame::Load { of_file, diff: diff.clone() });
        }
        frames.push(Frame::Base { serial, of_file, of_zone, removed, added });
        if !goes_on {
            kept.history = Arc::default();
        }
        if let Some(diff) = diff {
            Arc::make_mut(&mut kept.history).push(Arc::new(diff), settings.journal_room);
        }
        kept.stand = Some(stand);
        kept.served = Some((file, zone));
        let written = kept.write(&frames);
        kept.compact(settings);
        written
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
            (None, Some(journal)) => {
                let written = journal.rewrite(parts(&zone, now), Care::System);
                kept.base_len = journal.len();
                written
            }
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

//----------- Kept -----------------------------------------------------------

impl Kept {
    /// Reads a journal and works out where it leads.
    fn read(apex: &Name, path: &Path, settings: &ZoneSettings, only_reads: bool) -> io::Result<Kept> {
        let mut kept = Kept::default();
        let mut parts = Records::default();
        // A copy: its last whole version, and what has come since.
        let mut whole: Option<(Records, u64)> = None;
        let (mut since, mut soa) = (Net::default(), Records::default());
        let room = settings.journal_room;
        let each = |frame| match frame {
            Frame::Base { serial, of_file, of_zone, removed, added } => {
                kept.stand = Some(Stand { serial, of_file, of_zone });
                kept.net = Net::default();
                kept.net.take(&removed, &added);
                if kept.history.end().is_some_and(|end| end != serial) {
                    kept.history = Arc::default();
                }
            }
            Frame::Load { diff, .. } => Arc::make_mut(&mut kept.history).push(Arc::new(diff), room),
            Frame::Update(diff) => {
                kept.net.take(&diff.removed, &diff.added);
                if let Some(stand) = &mut kept.stand {
                    *stand = Stand { serial: diff.to, of_zone: digest_after(stand.of_zone, apex, &diff), ..*stand };
                }
                Arc::make_mut(&mut kept.history).push(Arc::new(diff), room);
            }
            Frame::Whole(records) => records.iter().for_each(|record| parts.put(&record)),
            Frame::End { checked, n, .. } => {
                let records = std::mem::take(&mut parts);
                if records.len() as u64 == n {
                    (whole, since, soa) = (Some((records, checked)), Net::default(), Records::default());
                }
            }
            Frame::Fetched { checked, diff } => {
                since.take(&diff.removed, &diff.added);
                soa = Records::default();
                diff.added.iter().take(1).for_each(|record| soa.put(&record));
                if let Some((_, at)) = &mut whole {
                    *at = checked;
                }
                Arc::make_mut(&mut kept.history).push(Arc::new(diff), room);
            }
            Frame::Checked(checked) => {
                if let Some((_, at)) = &mut whole {
                    *at = checked;
                }
            }
        };
        let (journal, lost) = match only_reads {
            true => Journal::peek(path, each).map(|()| (None, 0))?,
            false => Journal::open(path, each).map(|(journal, lost)| (Some(journal), lost))?,
        };
        if lost > 0 {
            tracing::warn!("{}: {lost} octets of a change that was not committed are cut off", path.display());
        }
        if let Some((records, checked)) = whole {
            let zone = diff::build(apex, &records).and_then(|zone| {
                if since.is_empty() && soa.is_empty() {
                    return Ok(zone);
                }
                let (removed, mut added) = since.records();
                soa.iter().for_each(|record| added.put(&record));
                diff::rewrite(&zone, &removed, &added, Strictness::Lenient)
            });
            match zone {
                Ok(zone) => kept.copy = Some(Copy { zone: Arc::new(zone), checked }),
                Err(e) => {
                    tracing::warn!("{}: the copy of {apex} is not taken: {e}; it will be fetched", path.display())
                }
            }
        }
        if !settings.journaled {
            kept.history = Arc::default();
        }
        kept.base_len = journal.as_ref().map_or(0, Journal::len);
        kept.journal = journal;
        Ok(kept)
    }

    fn settle(&mut self, file: &Arc<Zone>, settings: &ZoneSettings, now: u64) -> Settled {
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
        let serial = match (before, rule) {
            (_, SerialRule::File) if before.is_none() || is_newer_file || body.is_none() && !is_same => file.serial(),
            (Some(stand), _) if is_same => stand.serial,
            (stand, rule) => serial::next(rule, stand.map(|stand| stand.serial), now),
        };
        let serial = match (rule, body.is_none(), is_same_file) {
            // Whoever takes the serial in the file back, or lets it stand, has their way.
            (SerialRule::File, true, _) => file.serial(),
            _ => serial,
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

    /// Commits.
    fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        let care = self.care();
        self.journal.as_mut().map_or(Ok(()), |journal| journal.append(frames, care))
    }

    fn care(&self) -> Care {
        if self.copy.is_some() { Care::System } else { Care::Disk }
    }

    /// Writes anew what has grown too long. What is known must be what the journal says. That it fails costs room alone.
    fn compact(&mut self, settings: &ZoneSettings) {
        if let Err(e) = self.try_compact(settings) {
            let path = self.journal.as_ref().map(|journal| journal.path().display().to_string());
            tracing::warn!("{}: could not be written anew, and grows: {e}", path.unwrap_or_default());
        }
    }

    fn try_compact(&mut self, settings: &ZoneSettings) -> io::Result<()> {
        let care = self.care();
        let Some(journal) = &mut self.journal else { return Ok(()) };
        if journal.len() < self.base_len + settings.journal_room as u64 + SLACK {
            return Ok(());
        }
        let of_copy = self.copy.as_ref().map(|copy| parts(&copy.zone, copy.checked)).into_iter().flatten();
        let history = self.history.iter().map(|diff| match self.copy.is_some() {
            true => Frame::Fetched { checked: 0, diff: (**diff).clone() },
            false => Frame::Load { of_file: 0, diff: (**diff).clone() },
        });
        let base = self.stand.map(|Stand { serial, of_file, of_zone }| {
            let (removed, added) = self.net.records();
            Frame::Base { serial, of_file, of_zone, removed, added }
        });
        journal.rewrite(history.chain(of_copy).chain(base), care)?;
        self.base_len = journal.len();
        Ok(())
    }
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
