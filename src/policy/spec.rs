//! The six records as they were said: every field with its place, nothing resolved yet.
//!
//! `check` takes these apart field by field, without `..`, so a field added here does not compile
//! until it means something there.

use crate::masterfile::Report;
use crate::policy::keys::Kind;
use crate::policy::probe::{self, ProbeSpec};
use crate::policy::read;
use crate::policy::record::{Params, Record, name, subject};
use crate::policy::said::{Field, SaidName, Spot};
use crate::policy::value::{AllDown, ForecastUse, Pick, Reserve, Resume, SteerBy};
use crate::units::LatLon;
use crate::wire::Name;
use ipnet::IpNet;

/// Words of `steer=`.
pub const STEER_BY: &[(&str, SteerBy)] = &[
    ("priced", SteerBy::Priced),
    ("weighted", SteerBy::Weighted),
    ("nearest", SteerBy::Nearest),
    ("static", SteerBy::Static),
];
/// Words of `pick=`.
pub const PICK: &[(&str, Pick)] = &[("sticky", Pick::Sticky), ("spread", Pick::Spread)];
/// Words of `all-down=`.
pub const ALL_DOWN: &[(&str, AllDown)] = &[
    ("static", AllDown::Static),
    ("all", AllDown::All),
    ("last", AllDown::Last),
    ("servfail", AllDown::ServFail),
    ("nodata", AllDown::NoData),
];
/// Words of `forecast=`.
pub const FORECAST: &[(&str, ForecastUse)] =
    &[("off", ForecastUse::Off), ("show", ForecastUse::Show), ("steer", ForecastUse::Steer)];

/// Words of `breaker.resume=`.
pub const RESUME: &[(&str, Resume)] = &[("auto", Resume::Auto), ("manual", Resume::Manual)];

//----------- Specs ----------------------------------------------------------

/// Everything said in all files, in order.
#[derive(Debug, Default)]
pub struct Specs {
    /// POP records.
    pub pops: Vec<PopSpec>,
    /// GROUP records.
    pub groups: Vec<GroupSpec>,
    /// MEMBER records.
    pub members: Vec<MemberSpec>,
    /// ROUTE records.
    pub routes: Vec<RouteSpec>,
    /// ASSERT records.
    pub asserts: Vec<AssertSpec>,
    /// STEER records.
    pub steers: Vec<SteerSpec>,
    /// The groups of MEMBER records that name no member; reported. What they lack may be that.
    pub lost_members: Vec<Name>,
}

/// A POP record.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are the keys
pub struct PopSpec {
    pub name: SaidName,
    pub record: Spot,
    pub at: Field<LatLon>,
    pub capacity: Field<f64>,
    pub max: Field<f64>,
    pub price: Field<f64>,
    pub co2: Field<f64>,
    pub spill: Field<f64>,
    pub error_rate: Field<f64>,
    pub latency_ms: Field<f64>,
    pub min_requests: Field<f64>,
    pub cooldown_secs: Field<f64>,
    pub failback_secs: Field<f64>,
    pub resume: Field<Resume>,
    pub probe: ProbeSpec,
}

/// A GROUP record.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are the keys
pub struct GroupSpec {
    pub name: SaidName,
    pub steer: Field<SteerBy>,
    pub pick: Field<Pick>,
    pub answers: Field<u8>,
    pub ttl: Field<(u32, u32)>,
    pub reserve: Field<Reserve>,
    pub all_down: Field<AllDown>,
    pub forecast: Field<ForecastUse>,
    pub unit: Field<String>,
    pub co2_price: Field<f64>,
    pub budget_secs: Field<f64>,
}

/// A MEMBER record.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are the keys
pub struct MemberSpec {
    pub group: SaidName,
    pub record: Spot,
    pub name: SaidName,
    pub pop: Field<SaidName>,
    pub shadow: Field<()>,
    pub external: Field<()>,
    pub warmup_secs: Field<f64>,
    pub standby: Field<f64>,
    pub capacity: Field<f64>,
    pub weight: Field<f64>,
    pub price: Field<f64>,
}

/// A ROUTE record.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are the keys
pub struct RouteSpec {
    pub group: SaidName,
    pub record: Spot,
    pub text: String,
    pub country: Field<Vec<String>>,
    pub subdivision: Field<Vec<String>>,
    pub continent: Field<Vec<String>>,
    pub net: Field<Vec<IpNet>>,
    pub asn: Field<Vec<u32>>,
    pub members: Field<Vec<SaidName>>,
    pub prefer: Field<Vec<SaidName>>,
    pub only: Field<()>,
}

/// An ASSERT record.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are the keys
pub struct AssertSpec {
    pub group: SaidName,
    pub record: Spot,
    pub pops: Field<Vec<SaidName>>,
    pub at_least: Field<usize>,
}

/// A STEER record.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct SteerSpec {
    pub name: SaidName,
    pub group: SaidName,
}

//----------- Record → spec --------------------------------------------------

impl Specs {
    /// Takes in one record, reporting everything wrong with it alone.
    pub fn add(&mut self, record: &Record, report: &mut Report) {
        match record.kind {
            Kind::Pop => self.pops.push(pop(record, report)),
            Kind::Group => self.groups.push(group(record, report)),
            Kind::Member => match member(record, report) {
                Some(member) => self.members.push(member),
                None => self.lost_members.push(record.owner.name.clone()),
            },
            Kind::Route => self.routes.push(route(record, report)),
            Kind::Assert => self.asserts.push(assert(record, report)),
            Kind::Steer => self.steers.extend(steer(record, report)),
        }
    }
}

fn pop(record: &Record, report: &mut Report) -> PopSpec {
    let mut params = Params::read(record, 0, report);
    let spec = PopSpec {
        name: record.owner.clone(),
        record: record.at.clone(),
        at: params.take("at", read::place),
        capacity: params.take("capacity", read::positive),
        max: params.take("max", read::positive),
        price: params.take("price", read::quantity),
        co2: params.take("co2", read::quantity),
        spill: params.take("spill", read::share),
        error_rate: params.take("breaker.error-rate", read::share_above_zero),
        latency_ms: params.take("breaker.latency", read::duration_ms),
        min_requests: params.take("breaker.min-requests", read::positive),
        cooldown_secs: params.take("breaker.cooldown", read::duration_secs),
        failback_secs: params.take("breaker.failback", read::duration_secs),
        resume: params.take("breaker.resume", |v, r| read::choice(v, RESUME, r)),
        probe: probe::spec(&mut params),
    };
    params.done();
    spec
}

fn group(record: &Record, report: &mut Report) -> GroupSpec {
    let mut params = Params::read(record, 0, report);
    let spec = GroupSpec {
        name: record.owner.clone(),
        steer: params.take("steer", |v, r| read::choice(v, STEER_BY, r)),
        pick: params.take("pick", |v, r| read::choice(v, PICK, r)),
        answers: params.take("answers", read::answers),
        ttl: params.take("ttl", read::ttl),
        reserve: params.take("reserve", read::reserve),
        all_down: params.take("all-down", |v, r| read::choice(v, ALL_DOWN, r)),
        forecast: params.take("forecast", |v, r| read::choice(v, FORECAST, r)),
        unit: params.take("unit", read::phrase),
        co2_price: params.take("co2-price", read::quantity),
        budget_secs: params.take("budget", read::duration_secs),
    };
    params.done();
    spec
}

fn member(record: &Record, report: &mut Report) -> Option<MemberSpec> {
    let origin = &record.owner.origin;
    let target = subject(record, report);
    let mut params = Params::read(record, target.n_tokens(), report);
    let pop = params.take("pop", |v, r| name(&v.text, &v.spot, origin, r));
    let (shadow, external) = (params.flag("shadow"), params.flag("external"));
    let warmup_secs = params.take("warmup", read::duration_secs);
    let standby = params.take("standby", read::share);
    let capacity = params.take("capacity", read::positive);
    let (weight, price) = (params.take("weight", read::quantity), params.take("price", read::quantity));
    params.done();
    let (group, record, name) = (record.owner.clone(), record.at.clone(), target.name()?);
    Some(MemberSpec { group, record, name, pop, shadow, external, warmup_secs, standby, capacity, weight, price })
}

fn route(record: &Record, report: &mut Report) -> RouteSpec {
    let origin = &record.owner.origin;
    let mut params = Params::read(record, 0, report);
    let spec = RouteSpec {
        group: record.owner.clone(),
        record: record.at.clone(),
        text: record.one_line(),
        country: params.take("country", read::countries),
        subdivision: params.take("subdivision", read::subdivisions),
        continent: params.take("continent", read::continents),
        net: params.take("net", read::nets),
        asn: params.take("asn", read::asns),
        members: params.take("members", |v, r| read::names(v, origin, r)),
        prefer: params.take("prefer", |v, r| read::names(v, origin, r)),
        only: params.flag("only"),
    };
    params.done();
    spec
}

fn assert(record: &Record, report: &mut Report) -> AssertSpec {
    let origin = &record.owner.origin;
    let mut params = Params::read(record, 0, report);
    let spec = AssertSpec {
        group: record.owner.clone(),
        record: record.at.clone(),
        pops: params.take("pops", |v, r| read::names(v, origin, r)),
        at_least: params.take("at-least", read::at_least),
    };
    params.done();
    spec
}

fn steer(record: &Record, report: &mut Report) -> Option<SteerSpec> {
    let target = subject(record, report);
    Params::read(record, target.n_tokens(), report).done();
    Some(SteerSpec { name: record.owner.clone(), group: target.name()? })
}
