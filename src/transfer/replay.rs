//! A whole zone out of its journal: its last version, and what has changed since.
//!
//! Copies of others' zones and zones as they left are written alike: parts, their end, and differences to that.

use crate::transfer::journal::Frame;
use crate::wire::Name;
use crate::wire::records::Records;
use crate::zone::Zone;
use crate::zone::diff::{self, Misfit, Net, Strictness};

//----------- Replay ---------------------------------------------------------

/// What the frames up to now lead to.
#[derive(Default)]
pub struct Replay {
    /// Of a version whose end has not come.
    parts: Records,
    /// The last whole version, and when its primary was last heard.
    whole: Option<(Records, u64)>,
    /// What has changed since.
    since: Net,
    /// The SOA after the last change.
    soa: Records,
}

impl Replay {
    /// Takes the next frame. Those of zones with files change nothing.
    pub fn take(&mut self, frame: &Frame) {
        match frame {
            Frame::Whole(records) => records.iter().for_each(|record| self.parts.put(&record)),
            Frame::End { checked, n, .. } => {
                let records = std::mem::take(&mut self.parts);
                if records.len() as u64 == *n {
                    *self = Replay { whole: Some((records, *checked)), ..Replay::default() };
                }
            }
            Frame::Fetched { checked, diff } => {
                self.since.take(&diff.removed, &diff.added);
                self.soa = Records::default();
                diff.added.iter().take(1).for_each(|record| self.soa.put(&record));
                self.heard(*checked);
            }
            Frame::Checked(checked) => self.heard(*checked),
            Frame::Base { .. } | Frame::Load { .. } | Frame::Update(_) => {}
        }
    }

    fn heard(&mut self, checked: u64) {
        if let Some((_, at)) = &mut self.whole {
            *at = checked;
        }
    }

    /// The zone, and when its primary was last heard, seconds since 1970; `None` if there is no whole version.
    ///
    /// # Errors
    /// The records make no zone.
    pub fn zone(self, apex: &Name) -> Option<Result<(Zone, u64), Misfit>> {
        let Replay { whole, since, soa, .. } = self;
        let (records, checked) = whole?;
        let (removed, mut added) = since.records();
        soa.iter().for_each(|record| added.put(&record));
        let zone = diff::build(apex, &records).and_then(|zone| match removed.is_empty() && added.is_empty() {
            true => Ok(zone),
            false => diff::rewrite(&zone, &removed, &added, Strictness::Lenient),
        });
        Some(zone.map(|zone| (zone, checked)))
    }
}
