//! What a load changed, and how it is told.

use crate::cli::check::count;
use crate::wire::Name;
use crate::zone::Zone;
use std::fmt;

/// Most zones that a load's line in the log names.
pub const MOST_NAMED: usize = 8;

//----------- Changes --------------------------------------------------------

/// What a load changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Zones there are.
    pub n_zones: usize,
    /// Zones of files that are new or changed.
    pub n_changed: usize,
    /// Zones whose files are gone.
    pub n_gone: usize,
    /// Of the changed, those that had to be loaded whole.
    pub n_whole: usize,
    /// Names whose records changed in the others.
    pub n_names: usize,
    /// Zones that are others than before for what other servers, or updates, have done.
    pub n_elsewhere: usize,
    /// Whether policies are others than before.
    pub policies: bool,
    /// Whether the map of cells was made again.
    pub cells: bool,
    /// The first [`MOST_NAMED`] of the zones that changed or are gone, with their serials.
    named: Vec<(Name, Option<u32>, Option<u32>)>,
    n_unnamed: usize,
    /// Zones that were signed anew, or are signed no more.
    pub n_signed: usize,
}

impl Changes {
    /// Notes a zone by its serials before and after; `None`: there was none, or is none.
    pub(super) fn name(&mut self, apex: &Name, before: Option<u32>, after: Option<u32>) {
        match self.named.len() < MOST_NAMED {
            true => self.named.push((apex.clone(), before, after)),
            false => self.n_unnamed += 1,
        }
    }

    /// Notes that a zone is served no more.
    pub(in crate::cli) fn gone(&mut self, zone: &Zone) {
        self.n_gone += 1;
        self.name(zone.apex(), Some(zone.serial()), None);
    }

    /// The zones and their serials: `a.test. 7 -> 8, b.test. new at 3 and 12 more`; empty if there are none.
    pub fn serials(&self) -> String {
        let one = |(apex, before, after): &(Name, Option<u32>, Option<u32>)| match (before, after) {
            (Some(before), Some(after)) if before == after => format!("{apex} at {after} as before"),
            (Some(before), Some(after)) => format!("{apex} {before} -> {after}"),
            (None, Some(after)) => format!("{apex} new at {after}"),
            (_, None) => format!("{apex} gone"),
        };
        let all: Vec<_> = self.named.iter().map(one).collect();
        let more = if self.n_unnamed > 0 { format!(" and {} more", self.n_unnamed) } else { String::new() };
        all.join(", ") + &more
    }

    /// Whether anything at all changed.
    pub fn any(&self) -> bool {
        let elsewhere = self.n_elsewhere > 0 || self.n_signed > 0;
        self.n_changed > 0 || elsewhere || self.n_gone > 0 || self.policies || self.cells
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} changed", self.n_changed, count(self.n_zones, "zone"))?;
        match (self.n_whole, self.n_changed - self.n_whole) {
            (0, 0) => {}
            (0, _) => write!(f, ", {}", count(self.n_names, "name"))?,
            (whole, 0) => write!(f, ", {whole} loaded whole")?,
            (whole, _) => write!(f, ", {whole} loaded whole, {} in the others", count(self.n_names, "name"))?,
        }
        if self.n_gone > 0 {
            write!(f, ", {} gone", self.n_gone)?;
        }
        if self.n_signed > 0 {
            write!(f, ", {} signed anew", count(self.n_signed, "zone"))?;
        }
        if self.n_elsewhere > 0 {
            write!(f, ", {} changed by transfer or update", self.n_elsewhere)?;
        }
        for (changed, what) in [(self.policies, "policies"), (self.cells, "the map of cells")] {
            if changed {
                write!(f, ", {what} made anew")?;
            }
        }
        Ok(())
    }
}
