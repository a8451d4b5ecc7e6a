//! One zone that others have a part in: what is known of it, and its journal.

use crate::transfer::journal::{Care, Frame, Journal, digest_after, parts};
use crate::transfer::replay::Replay;
use crate::transfer::settings::ZoneSettings;
use crate::wire::Name;
use crate::zone::Zone;
use crate::zone::diff::Net;
use crate::zone::history::History;
use std::io;
use std::path::Path;
use std::sync::Arc;

//----------- Kept -----------------------------------------------------------

/// What is known of one zone.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Open for writing; `None`: nothing is kept, or only read.
    pub(super) journal: Option<Journal>,
    /// What has changed, to the version that is served.
    pub(super) history: Arc<History>,
    /// Where a zone with a file stands.
    pub(super) stand: Option<Stand>,
    /// What updates have changed in the file's zone.
    pub(super) net: Net,
    /// The file's zone and what is served in its place, as they were last.
    pub(super) served: Option<(Arc<Zone>, Arc<Zone>)>,
    /// A zone from elsewhere.
    pub(super) copy: Option<Copy>,
}

/// Where a zone with a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    /// The serial that is served.
    pub(super) serial: u32,
    /// Digest of the zone as its file says it.
    pub(super) of_file: u64,
    /// Digest of the zone as it is served.
    pub(super) of_zone: u64,
}

/// A zone from elsewhere.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The zone.
    pub zone: Arc<Zone>,
    /// When its primary was last heard to have nothing newer, seconds since 1970.
    pub checked: u64,
}

impl Kept {
    /// Reads a journal and works out where it leads.
    pub(super) fn read(apex: &Name, path: &Path, settings: &ZoneSettings, only_reads: bool) -> io::Result<Kept> {
        let (mut kept, mut replay) = (Kept::default(), Replay::default());
        let room = settings.journal_room;
        kept.journal = Journal::read(path, only_reads, |frame| {
            replay.take(&frame);
            match frame {
                Frame::Base { serial, of_file, of_zone, removed, added } => {
                    kept.stand = Some(Stand { serial, of_file, of_zone });
                    kept.net = Net::default();
                    kept.net.take(&removed, &added);
                    if kept.history.end().is_some_and(|end| end != serial) {
                        kept.history = Arc::default();
                    }
                }
                Frame::Load { diff, .. } | Frame::Fetched { diff, .. } => {
                    Arc::make_mut(&mut kept.history).push(Arc::new(diff), room);
                }
                Frame::Update(diff) => {
                    kept.net.take(&diff.removed, &diff.added);
                    if let Some(stand) = &mut kept.stand {
                        *stand = Stand { serial: diff.to, of_zone: digest_after(stand.of_zone, apex, &diff), ..*stand };
                    }
                    Arc::make_mut(&mut kept.history).push(Arc::new(diff), room);
                }
                Frame::Whole(_) | Frame::End { .. } | Frame::Checked(_) => {}
            }
        })?;
        match replay.zone(apex) {
            Some(Ok((zone, checked))) => kept.copy = Some(Copy { zone: Arc::new(zone), checked }),
            Some(Err(e)) => {
                tracing::warn!("{}: the copy of {apex} is not taken: {e}; it will be fetched", path.display())
            }
            None => {}
        }
        if !settings.journaled {
            kept.history = Arc::default();
        }
        Ok(kept)
    }

    /// Commits.
    pub(super) fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        let care = self.care();
        self.journal.as_mut().map_or(Ok(()), |journal| journal.append(frames, care))
    }

    fn care(&self) -> Care {
        if self.copy.is_some() { Care::System } else { Care::Disk }
    }

    /// Writes anew what has grown too long. What is known must be what the journal says. That it fails costs room alone.
    pub(super) fn compact(&mut self, settings: &ZoneSettings) {
        if let Err(e) = self.try_compact(settings) {
            let path = self.journal.as_ref().map(|journal| journal.path().display().to_string());
            tracing::warn!("{}: could not be written anew, and grows: {e}", path.unwrap_or_default());
        }
    }

    fn try_compact(&mut self, settings: &ZoneSettings) -> io::Result<()> {
        let care = self.care();
        let Some(journal) = &mut self.journal else { return Ok(()) };
        if !journal.is_overgrown(settings.journal_room) {
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
        journal.rewrite(history.chain(of_copy).chain(base), care)
    }
}
