//! What a forecaster does; every part can be left out, for ablation.

use crate::forecast::calibrate::Calibration;
use crate::forecast::contest::Way;
use crate::forecast::daylight::Daylight;
use crate::forecast::direct::Direct;
use crate::forecast::empirical::Empirical;
use crate::forecast::member::Method;
use crate::forecast::members;
use crate::forecast::members::seasonal::HoltWinters;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The first is trusted until others have shown to be better; the last should be able to say something
    /// of any series.
    pub members: Vec<Arc<dyn Method>>,
    /// Share by which the history grows between fits, above 0. Cost over a life is then a constant times
    /// that of the last fit, `1 + 1/growth`.
    pub growth: f64,
    /// Steps between forecasts that are scored, at least 1: neighbours say nearly the same.
    pub score_every: usize,
    /// Steps of history kept, about; `usize::MAX` for all.
    pub keep: usize,
    /// How members are combined at first, or always.
    pub champion: Way,
    /// Whether other ways may take over.
    pub compete: bool,
    /// Where calibration starts and how fast it goes.
    pub calibration: Calibration,
    /// Quantiles do not fall below this.
    pub least: Option<f64>,
    /// The clock that people go by; `None` is UTC.
    pub daylight: Option<Arc<Daylight>>,
}

/// Stages that can be left out by name, besides the members.
pub const STAGES: [&str; 3] = ["combination", "calibration", "surge"];

impl Default for Settings {
    fn default() -> Self {
        Settings {
            // Of the named methods only this one earns more than it costs: 6 % of CRPS at surges for 0.1 ms.
            members: vec![Arc::new(Direct::default()), Arc::new(HoltWinters), Arc::new(Empirical)],
            growth: 0.25,
            score_every: 2,
            keep: usize::MAX,
            champion: Way::Alone,
            compete: true,
            calibration: Calibration::default(),
            least: Some(0.0),
            daylight: None,
        }
    }
}

impl Settings {
    /// The same with one of the [named methods](members::all) more, before the last member.
    ///
    /// # Errors
    /// The names there are, if it is none of them or a member already.
    pub fn with(mut self, name: &str) -> Result<Settings, String> {
        let new = members::all().into_iter().filter(|m| self.members.iter().all(|had| had.name() != m.name()));
        let (found, others): (Vec<_>, Vec<_>) = new.partition(|m| m.name() == name);
        match found.into_iter().next() {
            Some(method) => self.members.insert(self.members.len() - 1, method.into()),
            None => {
                let names: Vec<&str> = others.iter().map(|m| m.name()).collect();
                return Err(format!(
                    "no member that could be added is called {name:?}; there are {}",
                    names.join(", ")
                ));
            }
        }
        Ok(self)
    }

    /// The same without a member or a stage of this name.
    ///
    /// # Errors
    /// The names there are, if it is none of them or the only member.
    pub fn without(mut self, name: &str) -> Result<Settings, String> {
        match name {
            "combination" => (self.champion, self.compete) = (Way::Alone, false),
            "calibration" => self.calibration = Calibration::new(1.0, 0.0),
            "surge" => {
                let deaf: Arc<dyn Method> = Arc::new(Direct { hears_jumps: false, ..Direct::default() });
                self.members.iter_mut().filter(|m| m.name() == deaf.name()).for_each(|m| *m = deaf.clone());
            }
            member => {
                let left: Vec<_> = self.members.iter().filter(|m| m.name() != member).cloned().collect();
                if left.is_empty() || left.len() == self.members.len() {
                    let names: Vec<&str> = self.members.iter().map(|m| m.name()).chain(STAGES).collect();
                    return Err(format!("no part is called {name:?}; there are {}", names.join(", ")));
                }
                self.members = left;
            }
        }
        Ok(self)
    }
}
