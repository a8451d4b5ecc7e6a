//! Who steers: the controllers that are compared, and the floodway with one part left out or done otherwise.

use crate::control::{Silence, Skills};
use crate::id::MemberIdx;
use crate::policy::{Effect, ForecastUse, Policies, Reserve, Role, SteerBy};

//----------- Controller -----------------------------------------------------

/// A controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The nearest member that is up.
    Nearest,
    /// By declared capacity, wherever clients are.
    Static,
    /// The shares that the same allocation gives for the greatest demand of every cell in this very run, from the beginning
    /// to the end: the best that somebody without feedback can do who knows what comes. A strong one.
    StaticBest,
    /// The classic weighted rule.
    Weighted,
    /// Feedback that makes all POPs equally full, wherever clients are.
    Equalise,
    /// The same allocation, shadows and breakers on present load: as much as is reported, from where loads and outstanding
    /// answers say that it comes.
    Reactive,
    /// The loop as it is.
    Floodway,
    /// The loop, told the demand of the next half hour; its answers arrive as late as anybody's.
    OracleA,
    /// The same whose answers arrive at once: caches and connections are not asked.
    OracleB,
}

/// Names of controllers, in the order of tables.
pub const CONTROLLERS: [(&str, Controller); 9] = [
    ("nearest", Controller::Nearest),
    ("static", Controller::Static),
    ("static-best", Controller::StaticBest),
    ("weighted", Controller::Weighted),
    ("equalise", Controller::Equalise),
    ("reactive", Controller::Reactive),
    ("floodway", Controller::Floodway),
    ("oracle-a", Controller::OracleA),
    ("oracle-b", Controller::OracleB),
];

//----------- Parts ----------------------------------------------------------

/// What a controller has.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Of the loop.
    pub skills: Skills,
    /// Forecasts are fitted and steer.
    pub forecast: bool,
    /// Announcements are heard.
    pub calendar: bool,
    /// What POPs say of their processors is heard.
    pub utilisation: bool,
    /// The server's own queries say where demand comes from.
    pub queries: bool,
    /// Giants hold an answer per client subnet, where the scenario has it.
    pub subnets: bool,
    /// How answers are picked.
    pub picks: Picks,
    /// What becomes of shadows.
    pub shadows: Shadows,
    /// The TTLs of all groups; `None`: as they are said.
    pub ttl: Option<Ttls>,
}

/// How answers are picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picks {
    /// By the slots of a table that moves the fewest.
    Slots,
    /// By the slots of a table that knows nothing of the one before: rendezvous hashing.
    Afresh,
    /// A coin per query.
    Coins,
}

/// What becomes of shadows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shadows {
    /// The loop starts and stops them.
    Steered,
    /// There are none.
    None,
    /// They are on all the time.
    On,
}

/// The TTLs of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttls {
    /// The least that is said.
    Shortest,
    /// The greatest.
    Longest,
    /// So many seconds.
    Between(u32, u32),
}

impl Parts {
    fn all() -> Parts {
        Parts {
            skills: Skills::default(),
            forecast: true,
            calendar: true,
            utilisation: true,
            queries: true,
            subnets: true,
            picks: Picks::Slots,
            shadows: Shadows::Steered,
            ttl: None,
        }
    }

    /// What a controller has.
    fn of(controller: Controller) -> Parts {
        let (all, skills) = (Parts::all(), Skills::default());
        let deaf = Parts { forecast: false, calendar: false, ..Parts::all() };
        match controller {
            Controller::Floodway => all,
            // They are told; what they do not know is what is up.
            Controller::OracleA | Controller::OracleB => {
                Parts { skills: Skills { steps: false, trend: false, ..skills }, ..deaf }
            }
            Controller::Reactive => Parts { skills: Skills { trend: false, prior: false, ..skills }, ..deaf },
            Controller::Nearest
            | Controller::Static
            | Controller::StaticBest
            | Controller::Weighted
            | Controller::Equalise => {
                Parts { skills: Skills { origins: false, trend: false, steps: false, prior: false, ..skills }, ..deaf }
            }
        }
    }
}

/// A part that is left out or done otherwise: what it is called, what tables say, and what it changes.
pub type Ablation = (&'static str, &'static str, fn(&mut Parts));

/// All of them, in the order of tables.
pub const ABLATIONS: [Ablation; 34] = [
    ("forecast", "−forecast", |p| p.forecast = false),
    ("calendar", "−calendar", |p| p.calendar = false),
    ("queries", "−queries: where they come from is not looked at", |p| p.queries = false),
    ("origins", "−ring: cells by the slow shares alone", |p| p.skills.origins = false),
    ("trend", "−trend", |p| p.skills.trend = false),
    ("tail", "−tail: no connections, no overstay in the ring", |p| p.skills.tail = false),
    ("heavy", "−heavy slots: each counts as one", |p| p.skills.heavy = false),
    ("gains", "−gains", |p| p.skills.gains = false),
    ("steps", "−bounded steps", |p| p.skills.steps = false),
    ("sticky", "pick by chance", |p| p.picks = Picks::Coins),
    ("rendezvous", "pick by rendezvous alone", |p| p.picks = Picks::Afresh),
    ("ecs", "−client subnets", |p| p.subnets = false),
    ("utilisation", "−utilisation", |p| p.utilisation = false),
    ("caps", "−caps: overload is failure", |p| p.skills.caps = false),
    ("ttl-short", "TTL the least", |p| p.ttl = Some(Ttls::Shortest)),
    ("ttl-long", "TTL the greatest", |p| p.ttl = Some(Ttls::Longest)),
    ("ttl-120", "TTL 120 s", |p| p.ttl = Some(Ttls::Between(120, 120))),
    ("ttl-300", "TTL 300 s", |p| p.ttl = Some(Ttls::Between(300, 300))),
    ("ttl-20-180", "TTL 20..180 s", |p| p.ttl = Some(Ttls::Between(20, 180))),
    ("shadows", "−shadows", |p| p.shadows = Shadows::None),
    ("shadows-on", "shadows always on", |p| p.shadows = Shadows::On),
    ("residue", "shadows off after one TTL", |p| p.skills.residue = false),
    ("churn-0", "churn 0 ms", |p| p.skills.options.churn_ms = 0.0),
    ("churn-8", "churn 8 ms", |p| p.skills.options.churn_ms = 8.0),
    ("churn-40", "churn 40 ms", |p| p.skills.options.churn_ms = 40.0),
    ("dead-band", "−dead-band, churn 0 ms", |p| {
        (p.skills.options.dead_band, p.skills.options.churn_ms) = (0.0, 0.0);
    }),
    ("quantile-50", "quantile 0.5", |p| p.skills.planned = [0.5, 0.5]),
    ("quantile-60", "quantile 0.6", |p| p.skills.planned = [0.6, 0.6]),
    ("quantile-80", "quantile 0.8", |p| p.skills.planned = [0.8, 0.8]),
    ("quantile-90", "quantile 0.9", |p| p.skills.planned = [0.9, 0.9]),
    ("quantile-97", "quantile 0.97", |p| p.skills.planned = [0.97, 0.97]),
    ("hold", "in silence: hold", |p| p.skills.silence = Silence::Hold),
    ("jump", "in silence: jump", |p| p.skills.silence = Silence::Jump),
    ("forecast-origins", "−forecast −ring", |p| (p.forecast, p.skills.origins) = (false, false)),
];

//----------- Variant --------------------------------------------------------

/// A controller with what is changed about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// As tables name it.
    pub name: String,
    /// Who.
    pub controller: Controller,
    /// What it has.
    pub parts: Parts,
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
        Ok(Variant { name: name.into(), controller: *controller, parts: Parts::of(*controller), reserve: None })
    }

    /// The floodway without the part of that name.
    ///
    /// # Errors
    /// The names there are.
    pub fn without(name: &str) -> Result<Variant, String> {
        let found = ABLATIONS.iter().find(|(n, ..)| *n == name);
        let names = || ABLATIONS.map(|(n, ..)| n).join(", ");
        let (_, label, change) = found.ok_or_else(|| format!("no part is called {name:?}; there are {}", names()))?;
        let mut parts = Parts::all();
        change(&mut parts);
        Ok(Variant { name: format!("floodway {label}"), controller: Controller::Floodway, parts, reserve: None })
    }

    /// The same with another reserve.
    pub fn with_reserve(&self, reserve: f64) -> Variant {
        Variant { name: format!("{} ρ {:.0} %", self.name, 100.0 * reserve), reserve: Some(reserve), ..self.clone() }
    }

    /// What it makes of the policies.
    pub fn apply(&self, policies: &Policies) -> Policies {
        let mut policies = policies.clone();
        for group in &mut policies.groups {
            group.reserve = self.reserve.map_or(group.reserve, Reserve::of);
            // A group that is steered otherwise stays so: only what is priced is compared.
            if group.steer != SteerBy::Priced {
                continue;
            }
            let told = matches!(self.controller, Controller::OracleA | Controller::OracleB);
            group.forecast = if self.parts.forecast || told { ForecastUse::Steer } else { ForecastUse::Show };
            group.steer = match self.controller {
                Controller::Nearest => SteerBy::Nearest,
                Controller::Static | Controller::StaticBest | Controller::Equalise => SteerBy::Static,
                Controller::Weighted => SteerBy::Weighted,
                Controller::Reactive | Controller::Floodway | Controller::OracleA | Controller::OracleB => {
                    SteerBy::Priced
                }
            };
            (group.ttl_min, group.ttl_max) = match self.parts.ttl {
                None => (group.ttl_min, group.ttl_max),
                Some(Ttls::Shortest) => (group.ttl_min, group.ttl_min),
                Some(Ttls::Longest) => (group.ttl_max, group.ttl_max),
                Some(Ttls::Between(least, most)) => (least, most),
            };
        }
        match self.parts.shadows {
            Shadows::Steered => policies,
            Shadows::None => without_shadows(&policies),
            Shadows::On => {
                let members = policies.groups.iter_mut().flat_map(|g| &mut g.members);
                members.filter(|m| matches!(m.role, Role::Shadow { .. })).for_each(|m| m.role = Role::Active);
                policies
            }
        }
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
        use SteerBy::{Nearest, Priced, Static, Weighted};
        let steered = [Nearest, Static, Static, Weighted, Static, Priced, Priced, Priced, Priced];
        assert_eq!(CONTROLLERS.map(|(n, _)| steer(n)), steered);
        let shown = Variant::without("forecast").unwrap().with_reserve(0.3).apply(&policies);
        assert_eq!((shown.groups[0].forecast, shown.groups[0].reserve), (ForecastUse::Show, Reserve::of(0.3)));
        assert!(Variant::named("magic").unwrap_err().contains("oracle-a"));
        assert!(Variant::without("magic").unwrap_err().contains("shadows"));
    }
}
