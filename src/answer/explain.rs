//! Why an answer is what it is: the way of a query, step by step.
//!
//! The reply is composed by [`answer`](crate::answer::answer()) itself and read back; what decided it is asked of the same
//! functions that the answer calls ([`crate::zone::ZoneSet::find`], [`crate::zone::Zone::lookup`], [`Decision::make`]). Nothing
//! is counted.

use crate::answer::steer::{Decision, Subject, is_picked};
use crate::answer::{Client, Link, Scratch, Transport, answer_by};
use crate::exchange::{House, Snapshot};
use crate::geo::Cell;
use crate::id::{GroupIdx, MemberIdx, RuleIdx};
use crate::policy::{Effect, Group, Pick, Role};
use crate::steering::asserted::{Asserted, asserted};
use crate::steering::{BreakerState, HeavySlot, Mode, ShadowState, slot_of};
use crate::units::{print_ms, print_quantity, print_short, rtt_ms};
use crate::wire::edns::OPTION_ECS;
use crate::wire::{Name, NameBuf, rtype};
use crate::zone::lookup::Found;
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record, RecordType};
use std::fmt;
use std::net::IpAddr;

//----------- Explanation ----------------------------------------------------

/// The steps to one answer.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Explanation {
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub qtype: String,
    /// The client decided for, as if a resolver had sent its whole address.
    pub client: IpAddr,
    /// What the zones say of the name and of every alias that follows.
    pub steps: Vec<Lookup>,
    /// The decision of the policy, if one of the names is steered.
    pub steering: Option<Steering>,
    /// The reply's RCODE.
    pub rcode: String,
    /// The scope prefix length that a resolver would be told.
    pub scope: u8,
    /// The answer section, a record a line.
    pub answer: Vec<String>,
    /// The authority section.
    pub authority: Vec<String>,
}

/// What the zones say of one name.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Lookup {
    /// The name.
    pub name: String,
    /// The apex of the zone it falls into and its serial; `None` if it is not ours.
    pub zone: Option<(String, u32)>,
    /// What is there, in words.
    pub found: String,
}

/// How a group came to its answer.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Steering {
    /// The STEER record: its owner and the group.
    pub by: String,
    /// The group's name.
    pub group: String,
    /// `steer=` and `pick=`.
    pub steer: String,
    /// Generation of the snapshot, what the plan rests on, and when it was decided (unix seconds).
    pub generation: u64,
    /// See `generation`.
    pub mode: Mode,
    /// See `generation`.
    pub decided_at: f64,
    /// Where the client is.
    pub place: Place,
    /// The route that decides for the cell, as written, and what it does; `None`: no route matches.
    pub route: Option<String>,
    /// What one request of the group is.
    pub unit: String,
    /// What the group is asked for now, what the plan was made for, and what of that found no room, requests per second.
    pub demand: f64,
    /// See `demand`.
    pub planned: f64,
    /// See `demand`.
    pub short: f64,
    /// Who could answer.
    pub candidates: Vec<Candidate>,
    /// TTL in seconds, and where it comes from.
    pub ttl: u32,
    /// See `ttl`.
    pub ttl_why: String,
    /// Hash of client prefix and group, which chooses the slot; of `pick=spread` the start of a sequence.
    pub key: String,
    /// The slot that the key fell into, and the member it names; `None`: nobody may be given there.
    pub picked: Option<Picked>,
    /// Part of the cell's queries that the client's slot carries, where that is so much that it is placed by it as a
    /// whole; in `(0, 1]`.
    pub heavy: Option<f32>,
    /// What happens when nobody may be given.
    pub all_down: String,
    /// What the policies assert of the group.
    pub assertions: Vec<Asserted>,
}

/// Where a client is.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Place {
    /// The cell's name.
    pub cell: String,
    /// Country code, if known.
    pub country: Option<String>,
    /// Degrees north and east, if known.
    pub at: Option<(f64, f64)>,
    /// Prefix length within which every address is in this cell.
    pub scope: u8,
}

/// One member and its chances in the client's cell.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Candidate {
    /// The member's name.
    pub member: String,
    /// Its POP; `None` for external members.
    pub pop: Option<String>,
    /// Milliseconds from the cell to the POP, by distance; `None` where either place is unknown.
    pub ms: Option<f64>,
    /// Milliseconds that the POP's fullness adds.
    pub price_ms: f64,
    /// Money, as milliseconds: the POP's and the member's `price=`.
    pub money_ms: f64,
    /// Carbon, as milliseconds: the POP's `co2=` at the group's `co2-price=`.
    pub co2_ms: f64,
    /// Capacity of the POP now, target to stay under, and expected load of all groups there, requests per second; of an
    /// external member what the plan sends to it.
    pub capacity: f64,
    /// See `capacity`.
    pub target: f64,
    /// See `capacity`.
    pub load: f64,
    /// Planned share of the cell's answers, in `[0, 1]`.
    pub share: f64,
    /// Slots of the cell's row that name it, of how many.
    pub slots: (u32, u32),
    /// The POP's breaker, or the member's own where that is not Closed.
    pub breaker: Option<BreakerState>,
    /// Why that breaker is there, or what else takes room from the POP, in words; empty while nothing does.
    pub reason: String,
    /// State, for shadow members.
    pub shadow: Option<ShadowState>,
    /// Why it may not be given; `None` if it may.
    pub unusable: Option<String>,
    /// Whether it is the answer.
    pub chosen: bool,
}

/// The pick.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Picked {
    /// The slot.
    pub slot: u16,
    /// The member's name.
    pub member: String,
}

//----------- explain --------------------------------------------------------

/// Explains the answer to `qtype` at `name` for a client.
pub fn explain(name: &Name, client: IpAddr, qtype: u16, snapshot: &Snapshot) -> Explanation {
    explain_in(&House::default(), name, client, qtype, snapshot)
}

/// Explains the answer that this client would have by the rules of a house.
pub(super) fn explain_in(house: &House, name: &Name, client: IpAddr, qtype: u16, snapshot: &Snapshot) -> Explanation {
    let client = client.to_canonical();
    let query = compose_query(name, client, qtype);
    let mut out = vec![0; usize::from(u16::MAX)];
    let from = Client { addr: client, transport: Transport::Tcp, link: Link::default() };
    let outcome = answer_by(house, &query, from, snapshot, 0, &mut Scratch::uncounted(), &mut out);
    let message = Message::from_vec(&out[..outcome.len]).unwrap_or_else(|_| Message::query());
    let aliases = message.answers.iter().filter_map(|r| match &r.data {
        RData::CNAME(target) => target.0.to_string().parse::<Name>().ok(),
        _ => None,
    });
    let names: Vec<Name> = std::iter::once(name.clone()).chain(aliases).collect();
    let steering = outcome.steered.map(|group| steering(snapshot, group, client, &names, qtype, &message));
    let print = |records: &[Record]| records.iter().map(|r| r.to_string()).collect();
    Explanation {
        name: name.to_string(),
        qtype: RecordType::from(qtype).to_string(),
        client,
        steps: names.iter().map(|n| lookup(house, client, snapshot, n, qtype)).collect(),
        scope: outcome.scope,
        steering,
        rcode: outcome.rcode.name().to_string(),
        answer: print(&message.answers),
        authority: print(&message.authorities),
    }
}

/// The query a resolver would send that tells the whole address of its client.
fn compose_query(name: &Name, client: IpAddr, qtype: u16) -> Vec<u8> {
    let (family, address) = match client {
        IpAddr::V4(v4) => (1u16, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend_from_slice(name.as_wire());
    query.extend(qtype.to_be_bytes());
    query.extend(rtype::CLASS_IN.to_be_bytes());
    let n = address.len() as u16;
    query.push(0);
    for field in [rtype::OPT, 1232, 0, 0, 8 + n, OPTION_ECS, 4 + n, family] {
        query.extend(field.to_be_bytes());
    }
    query.extend([8 * n as u8, 0]);
    query.extend(address);
    query
}

fn lookup(house: &House, client: IpAddr, snapshot: &Snapshot, name: &Name, qtype: u16) -> Lookup {
    let buf = NameBuf::from(name);
    let Some((zone, apex)) = snapshot.zones.find(&buf).filter(|(zone, _)| house.access.admits(client, zone)) else {
        return Lookup { name: name.to_string(), zone: None, found: "not in a zone of this server".into() };
    };
    if zone.is_left_out() {
        let found = "nothing, since the zone could not be loaded: SERVFAIL, see the log of the start";
        return Lookup { name: name.to_string(), zone: Some((zone.apex().to_string(), 0)), found: found.into() };
    }
    let found = match zone.lookup(&buf, apex, qtype) {
        Found::Name { node, from_wildcard } => {
            let has = |t| node.rrset(t).is_some();
            let at = if from_wildcard { format!(", by the wildcard {}", node.name()) } else { String::new() };
            match node.group() {
                Some(group) if is_picked(snapshot, group, qtype) => {
                    format!("steered by group {}{at}", snapshot.policies.groups[group.idx()].name)
                }
                _ if has(qtype) => format!("data{at}"),
                _ if has(rtype::CNAME) => format!("an alias{at}"),
                _ if node.is_empty() => format!("no records, names below it only{at}"),
                _ => format!("other types only{at}"),
            }
        }
        Found::Cut { node, .. } => format!("delegated at {}", node.name()),
        Found::Dname { node, .. } => format!("renamed by the DNAME at {}", node.name()),
        Found::NxDomain => "no such name".into(),
    };
    Lookup { name: name.to_string(), zone: Some((zone.apex().to_string(), zone.serial())), found }
}

fn steering(
    snapshot: &Snapshot,
    group_idx: GroupIdx,
    client: IpAddr,
    names: &[Name],
    qtype: u16,
    reply: &Message,
) -> Steering {
    let (policies, plan, table) = (&snapshot.policies, &snapshot.plan, &snapshot.table);
    let group = &policies.groups[group_idx.idx()];
    let subject = Subject { addr: client, source: None };
    let decision = Decision::make(snapshot, group_idx, subject, &mut 0, None);
    let cell = &snapshot.cells.cells[decision.located.cell.idx()];
    let chosen = decision.picked.map(|p| p.member);
    let (slots, n_slots) = table.slots(group_idx, decision.located.cell);
    let candidates = (0..group.members.len())
        .map(|m| {
            let member = MemberIdx::from(m);
            let n = slots.iter().find(|(other, _)| *other == member).map_or(0, |(_, n)| *n);
            Candidate {
                slots: (n, n_slots),
                share: plan
                    .groups
                    .get(group_idx.idx())
                    .map_or(0.0, |_| f64::from(plan.row(group_idx, decision.located.cell).get(m))),
                chosen: chosen == Some(member),
                ..candidate(snapshot, group_idx, m, cell)
            }
        })
        .collect();
    let gives = chosen.and_then(|m| snapshot.answers.get(group_idx.idx())?.get(m.idx())).is_some_and(|answer| {
        let of_family = |asked, records: &[u8]| qtype == asked && !records.is_empty();
        !answer.cname.is_empty() || of_family(rtype::A, &answer.a) || of_family(rtype::AAAA, &answer.aaaa)
    });
    let (ttl, ttl_why) = ttl(table.ttl(group_idx), group, gives, reply);
    let group_plan = plan.groups.get(group_idx.idx());
    let at = cell.at.map(|p| (p.lat, p.lon));
    let country = cell.country.map(|c| c.iter().map(|b| *b as char).collect());
    Steering {
        by: steer_record(snapshot, group_idx, names),
        group: group.name.to_string(),
        steer: format!("{:?}, pick {:?}", group.steer, group.pick).to_lowercase(),
        generation: snapshot.generation,
        mode: plan.mode,
        decided_at: plan.decided_at,
        place: Place { cell: cell.name.clone(), country, at, scope: decision.located.scope },
        route: route(policies.first_rule(group_idx), group, cell),
        unit: group.unit.clone(),
        demand: group_plan.map_or(0.0, |g| g.demand.now),
        planned: group_plan.map_or(0.0, |g| g.demand.planned),
        short: group_plan.map_or(0.0, |g| g.short),
        candidates,
        ttl,
        ttl_why,
        key: format!(
            "{:016x}{}",
            decision.key,
            if group.pick == Pick::Spread { ", another for every query" } else { "" }
        ),
        picked: decision
            .picked
            .map(|p| Picked { slot: p.slot, member: group.members[p.member.idx()].name.to_string() }),
        heavy: group_plan.and_then(|g| {
            let of_slot = |s: &&HeavySlot| s.slot == slot_of(decision.key);
            g.heavy.of(decision.located.cell).iter().find(of_slot).map(|s| s.weight)
        }),
        all_down: format!("{:?}", group.all_down).to_lowercase(),
        assertions: asserted(plan, policies, group_idx),
    }
}

/// The TTL of what a group made of the reply, and where it comes from. `gives`: whether the picked member gave records,
/// which have the plan's; else it is the zone that spoke, and what it said last.
fn ttl(of_plan: u32, group: &Group, gives: bool, reply: &Message) -> (u32, String) {
    let within = format!("chosen by the plan within ttl={}..{}", group.ttl_min, group.ttl_max);
    match reply.authorities.first().or(reply.answers.last()) {
        _ if gives => (of_plan, within),
        None => (0, "there is nothing to keep".into()),
        Some(record) if record.ttl < of_plan => {
            (record.ttl, format!("as in the zone, which is less than the {of_plan} s of the plan"))
        }
        Some(record) => (record.ttl, format!("for the zone's records as well: {within}")),
    }
}

/// The STEER record whose owner is the last of the names that the group answers, or the wildcard for it.
fn steer_record(snapshot: &Snapshot, group: GroupIdx, names: &[Name]) -> String {
    let owner = names.iter().rev().find_map(|name| {
        let buf = NameBuf::from(name);
        let (zone, apex) = snapshot.zones.find(&buf)?;
        match zone.lookup(&buf, apex, rtype::A) {
            Found::Name { node, .. } if node.group() == Some(group) => Some(node.name()),
            _ => None,
        }
    });
    let group = &snapshot.policies.groups[group.idx()].name;
    owner.map_or_else(|| format!("STEER {group}"), |owner| format!("{owner} STEER {group}"))
}

/// The first route of the group that matches the cell decides.
fn route(first_rule: usize, group: &Group, cell: &Cell) -> Option<String> {
    let matches = |i: usize| cell.rules.contains(&RuleIdx::from(first_rule + i));
    let (_, route) = group.routes.iter().enumerate().find(|(i, _)| matches(*i))?;
    let (verb, members) = match &route.effect {
        Effect::Only(members) => ("only", members),
        Effect::First(members) => ("first", members),
        Effect::Prefer(members) => ("preferred", members),
    };
    let names: Vec<String> = members.iter().map(|m| group.members[m.idx()].name.to_string()).collect();
    Some(format!("{} ({verb}: {})", route.text, names.join(" ")))
}

/// A member by itself; what the cell's row says of it is filled in by the caller.
fn candidate(snapshot: &Snapshot, group_idx: GroupIdx, m: usize, cell: &Cell) -> Candidate {
    let (policies, plan) = (&snapshot.policies, &snapshot.plan);
    let member = &policies.groups[group_idx.idx()].members[m];
    let pop = member.pop.map(|p| &policies.pops[p.idx()]);
    let pop_plan = member.pop.and_then(|p| plan.pops.get(p.idx()));
    let member_plan = plan.groups.get(group_idx.idx()).and_then(|g| g.members.get(m));
    let own = member_plan.and_then(|plan| plan.breaker.as_deref());
    let reason = own.map(|own| &own.reason).or(pop_plan.map(|p| &p.reason)).cloned().unwrap_or_default();
    Candidate {
        member: member.name.to_string(),
        pop: pop.map(|p| p.name.to_string()),
        ms: pop.zip(cell.at).map(|(p, at)| rtt_ms(p.at.km_to(at))),
        price_ms: pop_plan.map_or(0.0, |p| p.price_ms),
        money_ms: member.price + pop.map_or(0.0, |p| p.price),
        co2_ms: pop.map_or(0.0, |p| policies.groups[group_idx.idx()].co2_price * p.co2),
        capacity: pop_plan.map_or(0.0, |p| p.capacity),
        target: pop_plan.map_or(0.0, |p| p.target),
        load: pop_plan.map(|p| p.load).or(member_plan.map(|m| m.load)).unwrap_or(0.0),
        share: 0.0,
        slots: (0, 0),
        breaker: own.map(|own| own.state).or(pop_plan.map(|p| p.breaker)),
        shadow: member_plan.and_then(|m| m.shadow),
        unusable: member_plan.and_then(|plan| match plan.usable {
            Ok(()) => None,
            Err(why) => {
                let role = if member.role == Role::External { ", last resort" } else { "" };
                Some(if reason.is_empty() { format!("{why}{role}") } else { format!("{why}: {reason}") })
            }
        }),
        reason,
        chosen: false,
    }
}

//----------- For people -----------------------------------------------------

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} for {}", self.name, self.qtype, self.client)?;
        for step in &self.steps {
            match &step.zone {
                Some((zone, serial)) => {
                    writeln!(f, "  lookup   {}: {} (zone {zone} serial {serial})", step.name, step.found)?
                }
                None => writeln!(f, "  lookup   {}: {}", step.name, step.found)?,
            }
        }
        if let Some(steering) = &self.steering {
            write!(f, "{steering}")?;
        }
        writeln!(f, "  reply    {}, scope /{}", self.rcode, self.scope)?;
        for record in self.answer.iter().chain(&self.authority) {
            writeln!(f, "           {record}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, place) = (format!("{:?}", self.mode).to_lowercase(), &self.place);
        writeln!(f, "  policy   {} (steer {}; plan {mode}, generation {})", self.by, self.steer, self.generation)?;
        write!(f, "  place    {}", place.cell)?;
        if let Some((lat, lon)) = place.at {
            write!(f, " at {lat:.2},{lon:.2}")?;
        }
        writeln!(f, ", the same for the whole /{}", place.scope)?;
        writeln!(f, "  route    {}", self.route.as_deref().unwrap_or("none matches"))?;
        if self.planned > 0.0 {
            let [now, planned] = [self.demand, self.planned].map(print_quantity);
            write!(f, "  demand   {now} {}/s now, planned for {planned}", self.unit)?;
            match print_short(self.short, self.planned) {
                Some(words) => writeln!(f, "; {words}")?,
                None => writeln!(f)?,
            }
        }
        for c in &self.candidates {
            let mark = if c.chosen { "→" } else { " " };
            write!(
                f,
                "  member {mark} {:<28} {:>5.1} % ({}/{} slots)",
                c.member,
                100.0 * c.share,
                c.slots.0,
                c.slots.1
            )?;
            if let Some(ms) = c.ms {
                write!(f, "  {ms:.0} ms")?;
            }
            if c.price_ms > 0.0 {
                write!(f, " + {} full", print_ms(c.price_ms))?;
            }
            if c.money_ms > 0.0 {
                write!(f, " + {:.2} ms money", c.money_ms)?;
            }
            if c.co2_ms > 0.0 {
                write!(f, " + {:.2} ms carbon", c.co2_ms)?;
            }
            if let Some(pop) = &c.pop {
                let (load, target, capacity) = (c.load, c.target, c.capacity);
                let [load, target, capacity] = [load, target, capacity].map(print_quantity);
                write!(f, "  {pop} load {load} of target {target}, capacity {capacity}")?;
            }
            match (&c.unusable, c.breaker) {
                (Some(why), _) => write!(f, "  not given: {why}")?,
                (None, Some(breaker)) if breaker != BreakerState::Closed => {
                    write!(f, "  breaker {breaker:?}: {}", c.reason)?
                }
                (None, _) if !c.reason.is_empty() => write!(f, "  {}", c.reason)?,
                _ => {}
            }
            writeln!(f)?;
        }
        for assertion in &self.assertions {
            let verdict = if assertion.holds() { "holds" } else { "BROKEN" };
            writeln!(f, "  assert   {}: {verdict}, {} can serve", assertion.words, assertion.active.len())?;
        }
        match &self.picked {
            Some(p) => writeln!(f, "  pick     key {} → slot {} → {}", self.key, p.slot, p.member)?,
            None => writeln!(f, "  pick     nobody may be given here: all-down={}", self.all_down)?,
        }
        if let Some(part) = self.heavy {
            writeln!(f, "           the slot carries {:.1} % of the cell's queries and is placed whole", 100.0 * part)?;
        }
        writeln!(f, "  ttl      {} s, {}", self.ttl, self.ttl_why)
    }
}
