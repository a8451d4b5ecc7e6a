//! What each of many series can have, when memory has a limit.
//!
//! | series of minutes, at 1 GiB | members | history | bytes per series, about |
//! | --- | --- | --- | --- |
//! | to some 700 | direct models of its own, shared ones, Holt-Winters, naive | 28 days | 1.4 MB |
//! | to some 10,000 | shared direct models, naive | 2½ days | 100 kB |
//! | beyond | shared direct models without the day, naive | 8 hours | 40 kB |
//!
//! All are forecast every minute whatever the tier. What is lost on the way is first what only the series itself
//! could teach, then the rhythm of the day.

use crate::forecast::contest::Way;
use crate::forecast::daylight::Daylight;
use crate::forecast::direct::{Direct, Shared};
use crate::forecast::empirical::Empirical;
use crate::forecast::member::Method;
use crate::forecast::members::seasonal::HoltWinters;
use crate::forecast::settings::Settings;
use std::sync::Arc;

/// Bytes per series of minutes in each tier, measured by `benches/forecast.rs` and rounded up.
const BYTES: [usize; 2] = [1_450_000, 100_000];
/// Minutes of history in each tier.
const KEPT: [usize; 3] = [40_320, 3_600, 480];

/// How much each series has; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tier {
    /// Models of its own.
    #[default]
    Own,
    /// Shared models.
    Shared,
    /// Shared models that do not know the day.
    Short,
}

impl Tier {
    /// What people read.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Own => "own models",
            Tier::Shared => "shared models",
            Tier::Short => "shared models and a short history",
        }
    }
}

/// The limit, and what is shared.
#[derive(Clone, Debug)]
pub struct Thrift {
    /// Bytes for all series together.
    pub memory: usize,
    /// Learnt from some of the series; empty at first.
    pub shared: Arc<Shared>,
    /// The clock that people go by, all of them; `None` is UTC.
    pub daylight: Option<Arc<Daylight>>,
}

impl Default for Thrift {
    fn default() -> Self {
        Thrift { memory: 1 << 30, shared: Arc::default(), daylight: None }
    }
}

impl Thrift {
    /// What each of `n` series can have.
    pub fn tier(&self, n: usize) -> Tier {
        match n {
            n if n * BYTES[0] <= self.memory => Tier::Own,
            n if n * BYTES[1] <= self.memory => Tier::Shared,
            _ => Tier::Short,
        }
    }

    /// The settings of each of `n` series.
    pub fn settings(&self, n: usize) -> Arc<Settings> {
        let tier = self.tier(n);
        let mut settings = Settings { keep: KEPT[tier as usize], champion: Way::Alone, ..Settings::default() };
        settings.daylight = self.daylight.clone();
        // A young series believes what its siblings taught until it has models of its own.
        let shared = self.shared.clone();
        match tier {
            Tier::Own => {
                let own: Arc<dyn Method> = Arc::new(Direct::default());
                settings.members = vec![own, shared, Arc::new(HoltWinters), Arc::new(Empirical)];
            }
            Tier::Shared | Tier::Short => settings.members = vec![shared, Arc::new(Empirical)],
        }
        Arc::new(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_series_have_less_each() {
        let thrift = Thrift::default();
        let tiers = [1, 700, 800, 10_000, 11_000, 1_000_000].map(|n| thrift.tier(n));
        assert_eq!(tiers, [Tier::Own, Tier::Own, Tier::Shared, Tier::Shared, Tier::Short, Tier::Short]);
        assert_eq!(thrift.settings(1).members.len(), 4);
        assert!(thrift.settings(20_000).keep < thrift.settings(5_000).keep);
    }
}
