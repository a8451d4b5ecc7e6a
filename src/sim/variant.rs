//! Who steers: the controllers that are compared, and the floodway with one part left out.

use crate::control::Skills;
use crate::id::MemberIdx;
use crate::policy::{Effect, ForecastUse, Policies, Role, SteerBy};

/// A controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The nearest member that is up.
    Nearest,
    /// By declared capacity, wherever clients are.
    Static,
    /// The classic weighted rule.
    Weighted,
    /// The same allocation on measured demand alone.
    Reactive,
    /// The loop as it is.
    Floodway,
    /// The loop, told the demand of the next half hour; its answers arrive as late as anybody's.
    OracleA,
}

/// A part of the loop that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ablation {
    /// The forecast steers nothing.
    Forecast,
    /// Announcements are not heard.
    Calendar,
    /// Cells are not told apart by the loads of POPs: their shares are the slow ones.
    Origins,
    /// What grows is not thought to go on growing.
    Trend,
    /// No shadows.
    Shadows,
    /// Every query is a coin of its own: no key, no commitment.
    Sticky,
    /// Giants hold one answer for all their clients.
    Subnets,
    /// TTLs stay at their greatest.
    TtlLong,
    /// TTLs stay at their least.
    TtlShort,
    /// What POPs say of their processors is not heard.
    Utilisation,
}

/// Names of controllers, in the order of tables.
pub const CONTROLLERS: [(&str, Controller); 6] = [
    ("nearest", Controller::Nearest),
    ("static", Controller::Static),
    ("weighted", Controller::Weighted),
    ("reactive", Controller::Reactive),
    ("floodway", Controller::Floodway),
    ("oracle-a", Controller::OracleA),
];

/// Names of ablations.
pub const ABLATIONS: [(&str, Ablation); 10] = [
    ("forecast", Ablation::Forecast),
    ("calendar", Ablation::Calendar),
    ("origins", Ablation::Origins),
    ("trend", Ablation::Trend),
    ("shadows", Ablation::Shadows),
    ("sticky", Ablation::Sticky),
    ("ecs", Ablation::Subnets),
    ("ttl-long", Ablation::TtlLong),
    ("ttl-short", Ablation::TtlShort),
    ("utilisation", Ablation::Utilisation),
];

/// A controller with what is changed about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// As tables name it.
    pub name: String,
    /// Who.
    pub controller: Controller,
    /// What is left out.
    pub without: Option<Ablation>,
    /// Reserve of all groups, where it is not theirs.
    pub reserve: Option<f64>,
}

impl Variant {
    /// The controller of that name as it is.
    ///
    /// # Errors
    /// The names there are.
    pub fn named(name: &str) -> Result<Variant, String> {
        let found = CONTROLLERS.iter().find(|(n, _)| *n == name);
        let names = || CONTROLLERS.map(|(n, _)| n).join(", ");
        let (_, controller) =
            found.ok_or_else(|| format!("no controller is called {name:?}; there are {}", names()))?;
        Ok(Variant { name: name.into(), controller: *controller, without: None, reserve: None })
    }

    /// The floodway without the part of that name.
    ///
    /// # Errors
    /// The names there are.
    pub fn without(name: &str) -> Result<Variant, String> {
        let found = ABLATIONS.iter().find(|(n, _)| *n == name);
        let names = || ABLATIONS.map(|(n, _)| n).join(", ");
        let (_, part) = found.ok_or_else(|| format!("no part is called {name:?}; there are {}", names()))?;
        let (name, without) = (format!("floodway −{name}"), Some(*part));
        Ok(Variant { name, controller: Controller::Floodway, without, reserve: None })
    }

    /// The same with another reserve.
    pub fn with_reserve(&self, reserve: f64) -> Variant {
        Variant { name: format!("{} ρ {:.0} %", self.name, 100.0 * reserve), reserve: Some(reserve), ..self.clone() }
    }

    /// What it makes of the policies.
    pub fn apply(&self, policies: &Policies) -> Policies {
        let mut policies = policies.clone();
        for group in &mut policies.groups {
            group.reserve = self.reserve.unwrap_or(group.reserve);
            // A group that is steered otherwise stays so: only what is priced is compared.
            if group.steer != SteerBy::Priced {
                continue;
            }
            group.forecast = match self.controller {
                Controller::Floodway | Controller::OracleA => ForecastUse::Steer,
                _ => ForecastUse::Show,
            };
            group.steer = match self.controller {
                Controller::Nearest => SteerBy::Nearest,
                Controller::Static => SteerBy::Static,
                Controller::Weighted => SteerBy::Weighted,
                _ => SteerBy::Priced,
            };
            match self.without {
                Some(Ablation::Forecast) => group.forecast = ForecastUse::Show,
                Some(Ablation::TtlLong) => group.ttl_min = group.ttl_max,
                Some(Ablation::TtlShort) => group.ttl_max = group.ttl_min,
                _ => {}
            }
        }
        if self.without == Some(Ablation::Shadows) {
            policies = without_shadows(&policies);
        }
        policies
    }

    /// Whether announcements are heard.
    pub fn hears_announcements(&self) -> bool {
        self.controller == Controller::Floodway && self.without != Some(Ablation::Calendar)
    }

    /// What of the loop it has.
    pub fn skills(&self) -> Skills {
        let ours = self.controller == Controller::Floodway;
        let has = |part: Ablation| ours && self.without != Some(part);
        Skills { origins: has(Ablation::Origins), trend: has(Ablation::Trend) }
    }

    /// Whether forecasts are fitted for it.
    pub fn forecasts(&self) -> bool {
        self.controller == Controller::Floodway && self.without != Some(Ablation::Forecast)
    }
}

/// The policies without shadow members; routes that name one go on without it.
fn without_shadows(policies: &Policies) -> Policies {
    let mut policies = policies.clone();
    for group in &mut policies.groups {
        let mut to = Vec::new();
        let mut n = 0;
        for member in &group.members {
            let stays = !matches!(member.role, Role::Shadow { .. });
            to.push(stays.then(|| MemberIdx::from(n)));
            n += usize::from(stays);
        }
        group.members.retain(|m| !matches!(m.role, Role::Shadow { .. }));
        for route in &mut group.routes {
            let (Effect::Only(set) | Effect::First(set) | Effect::Prefer(set)) = &mut route.effect;
            *set = set.iter().filter_map(|m| to[m.idx()]).collect();
        }
    }
    policies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_policies() {
        let mut policies = Policies::default();
        policies.groups.push(crate::policy::Group::new("web.example.com.".parse().unwrap()));
        let steer = |name: &str| Variant::named(name).unwrap().apply(&policies).groups[0].steer;
        assert_eq!(
            CONTROLLERS.map(|(n, _)| steer(n))[..4],
            [SteerBy::Nearest, SteerBy::Static, SteerBy::Weighted, SteerBy::Priced]
        );
        let shown = Variant::without("forecast").unwrap().with_reserve(0.3).apply(&policies);
        assert_eq!((shown.groups[0].forecast, shown.groups[0].reserve), (ForecastUse::Show, 0.3));
        assert!(Variant::named("magic").unwrap_err().contains("oracle-a"));
        assert!(Variant::without("magic").unwrap_err().contains("shadows"));
    }
}
