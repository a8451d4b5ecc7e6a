//! Checked policy values: what was meant, after every reference and range has been checked.
//!
//! Dense ids hold within one [`Policies`]; names are absolute.

use crate::geo::Match;
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::assert::Assertion;
use crate::policy::probe::Probe;
use crate::units::LatLon;
use crate::wire::Name;

//----------- Policies -------------------------------------------------------

/// Every policy of one load, over all files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies {
    /// The sites.
    pub pops: Vec<Pop>,
    /// The target groups.
    pub groups: Vec<Group>,
    /// The names answered by policy; wildcards are allowed. Sorted by name.
    pub steers: Vec<Steer>,
}

/// A site.
#[derive(Clone, Debug, PartialEq)]
pub struct Pop {
    /// Its owner name.
    pub name: Name,
    /// `at=`: where it stands.
    pub at: LatLon,
    /// `capacity=`: what it sustains, requests per second, above 0.
    pub capacity: f64,
    /// `max=`: the most it bears for a short time, at least `capacity`; defaults to it.
    pub max: f64,
    /// `price=`: money per million requests, in milliseconds-equivalent as the allocation weighs it; 0 by default.
    pub price: f64,
    /// `co2=`: carbon of its power, grams per kilowatt-hour; 0 by default. Weighs what its groups' `co2-price=` say.
    pub co2: f64,
    /// `spill=`: the part of its target that clients may take up who have another POP nearer, in `[0, 1]`; `None`: all of it.
    pub spill: Option<f64>,
    /// `breaker.*`.
    pub breaker: BreakerConfig,
    /// `probe` and `probe.*`: how the server itself asks whether anybody answers; `None` leaves it to telemetry.
    pub probe: Option<Probe>,
}

/// When a POP counts as failing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerConfig {
    /// `breaker.error-rate=`: share of requests that may fail; default 5 %.
    pub error_rate: f64,
    /// `breaker.latency=`: p95 in milliseconds that still counts as healthy; `None` does not watch latency.
    pub latency_ms: Option<f64>,
    /// `breaker.min-requests=`: fewer outcomes in the window never trip; default 100.
    pub min_requests: f64,
    /// `breaker.cooldown=`: seconds of the first Open spell; default 30. Never less than answers and connections last.
    pub cooldown_secs: f64,
    /// `breaker.failback=`: seconds that it has to be well before it comes back; default 0.
    pub failback_secs: f64,
    /// `breaker.resume=`.
    pub resume: Resume,
}

/// `breaker.resume=`: who lets come back what has tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The breaker, when probes succeed (default).
    Auto,
    /// An operator, after which probes have to succeed.
    Manual,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig {
            error_rate: 0.05,
            latency_ms: None,
            min_requests: 100.0,
            cooldown_secs: 30.0,
            failback_secs: 0.0,
            resume: Resume::Auto,
        }
    }
}

/// Choices for steered names.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its owner name.
    pub name: Name,
    /// `steer=`.
    pub steer: SteerBy,
    /// `pick=`.
    pub pick: Pick,
    /// `answers=`: most addresses of the picked member in one answer, at least 1; default 1.
    pub answers: u8,
    /// `ttl=min..max` or `ttl=n`: bounds of the answers' TTL in seconds; default 20..60.
    pub ttl_min: u32,
    /// See `ttl_min`.
    pub ttl_max: u32,
    /// `reserve=least..most` or `reserve=n`: share of capacity kept free; default 15 %.
    pub reserve: Reserve,
    /// `all-down=`.
    pub all_down: AllDown,
    /// `forecast=`.
    pub forecast: ForecastUse,
    /// `unit=`: what one request is, for people; default `requests`.
    pub unit: String,
    /// `budget=`: seconds of standby in a calendar month (UTC), all its shadows together; when it is used up none is started.
    /// `None`: no bound.
    pub budget_secs: Option<f64>,
    /// `co2-price=`: milliseconds that a request may be sent farther to save a gram per kilowatt-hour; 0 by default.
    pub co2_price: f64,
    /// The members, in file order.
    pub members: Vec<Member>,
    /// The routes, most specific first; the first that matches a client decides.
    pub routes: Vec<Route>,
    /// What must hold of it, in file order.
    pub assertions: Vec<Assertion>,
}

impl Group {
    /// A group with every default of the policy language, and nobody in it.
    pub fn new(name: Name) -> Group {
        Group {
            name,
            steer: SteerBy::Priced,
            pick: Pick::Sticky,
            answers: 1,
            ttl_min: 20,
            ttl_max: 60,
            reserve: Reserve::of(0.15),
            all_down: AllDown::All,
            forecast: ForecastUse::Steer,
            unit: "requests".into(),
            budget_secs: None,
            co2_price: 0.0,
            members: Vec::new(),
            routes: Vec::new(),
            assertions: Vec::new(),
        }
    }
}

/// `reserve=`: between which shares of capacity, in `[0, 1)`, the loop may choose what to keep free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reserve {
    /// The least, however sure the forecasts are.
    pub least: f64,
    /// The most, at least `least`.
    pub most: f64,
}

impl Reserve {
    /// One share, whatever is learned.
    pub fn of(share: f64) -> Reserve {
        Reserve { least: share, most: share }
    }

    /// What is kept free while nothing is learned: the middle.
    pub fn middle(&self) -> f64 {
        (self.least + self.most) / 2.0
    }
}

/// `steer=`: how shares are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteerBy {
    /// Least latency, money, overload and churn, by prices (default).
    Priced,
    /// The classic rule: capacity·(1 − latency score) + 0.2 if a shadow is active.
    Weighted,
    /// The nearest usable member.
    Nearest,
    /// In proportion to `weight=` (or capacity), whatever happens, Open breakers apart.
    Static,
}

/// `pick=`: how one query gets its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The same client gets the same member while shares hold (default).
    Sticky,
    /// A low-discrepancy sequence: shares hold to 1/n over n queries.
    Spread,
}

/// `all-down=`: what to answer when no member is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllDown {
    /// The zone file's own RRset.
    Static,
    /// Treat every member as up (default).
    All,
    /// The last plan that had a usable member.
    Last,
    /// RCODE SERVFAIL.
    ServFail,
    /// No data.
    NoData,
}

/// `forecast=`: what the forecast may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForecastUse {
    /// None is made.
    Off,
    /// Made, shown and scored, but shares follow measured demand.
    Show,
    /// Raises planned demand and warms shadows (default).
    Steer,
}

/// One choice of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The name that holds its addresses, or (external) the target of the CNAME.
    pub name: Name,
    /// `pop=`: where it is; `None` exactly for external members.
    pub pop: Option<PopIdx>,
    /// What it is for.
    pub role: Role,
    /// `capacity=`: its part of the POP in requests per second; `None`: all of it.
    pub capacity: Option<f64>,
    /// `weight=`: for `steer=static`; `None`: its capacity.
    pub weight: Option<f64>,
    /// `price=`: as a POP's, added to it.
    pub price: f64,
}

/// What a member is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Serves always.
    Active,
    /// Warm standby: serves once it is confirmed ready.
    Shadow {
        /// `warmup=`: seconds from the wish to readiness.
        warmup_secs: f64,
        /// `standby=`: what a second of standby costs, as a part of what it would cost if all that the shadow can carry
        /// found no room; in `[0, 1]`, default [`STANDBY`].
        standby: f64,
    },
    /// Overflow by CNAME, last resort.
    External,
}

/// What standby costs where a shadow does not say: the upper end of the 0.02 to 0.05 that usual costs give.
pub const STANDBY: f64 = 0.05;

/// Who may go where.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// For whom.
    pub when: Match,
    /// What happens to them.
    pub effect: Effect,
    /// The record as written, shortened to one line, for explain; with its `file:line`.
    pub text: String,
}

/// What a route does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// `members=… only`: these or nothing else, whatever happens (a fence).
    Only(Vec<MemberIdx>),
    /// `members=…`: these while one of them is usable, the others after.
    First(Vec<MemberIdx>),
    /// `prefer=…`: these count as nearest; the others stay candidates.
    Prefer(Vec<MemberIdx>),
}

/// A name answered by policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steer {
    /// The owner name.
    pub name: Name,
    /// The group that answers.
    pub group: GroupIdx,
}

impl Policies {
    /// Every route's condition in the order of [`crate::id::RuleIdx`]: groups in order, routes in order.
    pub fn matches(&self) -> Vec<&Match> {
        self.groups.iter().flat_map(|g| g.routes.iter().map(|r| &r.when)).collect()
    }

    /// The first [`crate::id::RuleIdx`] of a group's routes.
    pub fn first_rule(&self, group: GroupIdx) -> usize {
        self.groups[..group.idx()].iter().map(|g| g.routes.len()).sum()
    }
}
