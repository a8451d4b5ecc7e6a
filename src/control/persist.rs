//! A plan by names: what survives a restart and a change of policies.
//!
//! On disk it is two lines of JSON: a head with format and checksum, and the plan. A plan is served after
//! a restart as [`Mode::Stale`] until it is renewed; one older than a day says nothing any more.

use crate::control::all_down::{self, Sources};
use crate::control::candidates::{candidates, route_idx};
use crate::control::declared::{blind_rows, declared_plan};
use crate::control::heavy;
use crate::control::rows::{RowSet, proportional};
use crate::geo::CellMap;
use crate::id::GroupIdx;
use crate::policy::Policies;
use crate::steering::{BreakerState, Demand, Mode, Plan, Row, ShadowState};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hasher;

/// Version of the text; other versions are refused.
const FORMAT: u32 = 2;
/// A plan older than this is ignored, seconds.
pub const MAX_AGE_SECS: f64 = 86_400.0;
/// Reasons for which a member may not be given; see `MemberPlan::usable`.
pub const REASONS: [&str; 5] = ["Open", "Drained", "Cold", "Warming", "Draining"];

//----------- Saved ----------------------------------------------------------

/// A plan with names in the place of positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Unix seconds at which it was decided.
    pub decided_at: f64,
    /// On what it rested.
    pub mode: Mode,
    cells: Vec<String>,
    pops: Vec<SavedPop>,
    groups: Vec<SavedGroup>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedPop {
    name: String,
    breaker: BreakerState,
    reason: String,
    capacity: f64,
    target: f64,
    load: f64,
    price_ms: f64,
    /// `None` for a POP that was never heard: JSON knows no infinity.
    silent_secs: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedGroup {
    name: String,
    ttl: u32,
    demand: Demand,
    short: f64,
    members: Vec<SavedMember>,
    /// Of each row the members with a share, by position in `members`, and their shares.
    rows: Vec<Vec<(u16, f32)>>,
    row_of_cell: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedMember {
    name: String,
    unusable: Option<String>,
    shadow: Option<ShadowState>,
    share: f64,
    load: f64,
}

#[derive(Serialize, Deserialize)]
struct Head {
    floodway_plan: u32,
    checksum: String,
}

impl Saved {
    /// Names everything in a plan that runs parallel to `policies` and `cells`.
    pub fn of(plan: &Plan, policies: &Policies, cells: &CellMap) -> Saved {
        let pops = policies.pops.iter().zip(&plan.pops).map(|(spec, pop)| SavedPop {
            name: spec.name.to_string(),
            breaker: pop.breaker,
            reason: pop.reason.clone(),
            capacity: pop.capacity,
            target: pop.target,
            load: pop.load,
            price_ms: pop.price_ms,
            silent_secs: pop.silent_secs.is_finite().then_some(pop.silent_secs),
        });
        let groups = policies.groups.iter().zip(&plan.groups).map(|(spec, group)| SavedGroup {
            name: spec.name.to_string(),
            ttl: group.ttl,
            demand: group.demand,
            short: group.short,
            members: spec
                .members
                .iter()
                .zip(&group.members)
                .map(|(spec, member)| SavedMember {
                    name: spec.name.to_string(),
                    unusable: member.usable.err().map(str::to_string),
                    shadow: member.shadow,
                    share: member.share,
                    load: member.load,
                })
                .collect(),
            rows: group.rows.iter().map(|r| r.given().map(|(m, share)| (m as u16, share)).collect()).collect(),
            row_of_cell: group.row_of_cell.clone(),
        });
        Saved {
            decided_at: plan.decided_at,
            mode: plan.mode,
            cells: cells.cells.iter().map(|c| c.name.clone()).collect(),
            pops: pops.collect(),
            groups: groups.collect(),
        }
    }

    /// The plan for other policies and cells. What has a name in both is kept, inside today's fences;
    /// the rest is as declared. Mode and time are those saved.
    pub fn onto(&self, policies: &Policies, cells: &CellMap) -> Plan {
        let mut plan = declared_plan(policies, cells);
        (plan.mode, plan.decided_at) = (self.mode, self.decided_at);
        let pops: HashMap<&str, &SavedPop> = self.pops.iter().map(|p| (p.name.as_str(), p)).collect();
        for (spec, pop) in policies.pops.iter().zip(&mut plan.pops) {
            let Some(saved) = pops.get(spec.name.to_string().as_str()) else { continue };
            (pop.breaker, pop.capacity, pop.target) = (saved.breaker, saved.capacity, saved.target);
            (pop.load, pop.price_ms) = (saved.load, saved.price_ms);
            pop.reason.clone_from(&saved.reason);
            pop.silent_secs = saved.silent_secs.unwrap_or(f64::INFINITY);
        }
        let groups: HashMap<&str, &SavedGroup> = self.groups.iter().map(|g| (g.name.as_str(), g)).collect();
        for (g, spec) in policies.groups.iter().enumerate() {
            if let Some(saved) = groups.get(spec.name.to_string().as_str()) {
                self.group_onto(saved, policies, cells, GroupIdx::from(g), &mut plan);
            }
        }
        plan
    }

    fn group_onto(&self, saved: &SavedGroup, policies: &Policies, cells: &CellMap, g: GroupIdx, plan: &mut Plan) {
        let spec = &policies.groups[g.idx()];
        let pops = &plan.pops;
        let group = &mut plan.groups[g.idx()];
        group.ttl = saved.ttl.clamp(spec.ttl_min, spec.ttl_max.max(spec.ttl_min));
        (group.demand, group.short) = (saved.demand, saved.short);
        let at: HashMap<&str, usize> = saved.members.iter().enumerate().map(|(i, m)| (m.name.as_str(), i)).collect();
        let was: Vec<Option<usize>> =
            spec.members.iter().map(|m| at.get(m.name.to_string().as_str()).copied()).collect();
        for (member, was) in group.members.iter_mut().zip(&was) {
            let Some(saved) = was.map(|i| &saved.members[i]) else { continue };
            (member.share, member.load) = (saved.share, saved.load);
            member.shadow = member.shadow.and(saved.shadow).or(member.shadow);
            let reason = saved.unusable.as_deref().map(|r| REASONS.into_iter().find(|k| *k == r).unwrap_or("Open"));
            member.usable = reason.map_or(Ok(()), Err);
        }
        for (member, spec) in group.members.iter_mut().zip(&spec.members) {
            if spec.pop.is_some_and(|p| pops[p.idx()].breaker == BreakerState::Open && pops[p.idx()].capacity <= 0.0) {
                member.usable = Err("Open");
            }
        }
        let usable: Vec<bool> = group.members.iter().map(|m| m.usable.is_ok()).collect();
        let cell_at: HashMap<&str, usize> = self.cells.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
        let mut rows = RowSet::with_cells(cells.cells.len());
        let mut served = RowSet::with_cells(cells.cells.len());
        let blind = blind_rows(policies, cells, g, &usable);
        for (r, cell) in cells.cells.iter().enumerate() {
            let route = route_idx(policies, g, cell).map(|i| &spec.routes[i]);
            let allowed = candidates(spec, route, &usable);
            let row =
                cell_at.get(cell.name.as_str()).and_then(|c| saved.rows.get(*saved.row_of_cell.get(*c)? as usize));
            let share_of = |m: usize| {
                let given = was[m].and_then(|i| row?.iter().find(|(m, _)| usize::from(*m) == i));
                given.map_or(0.0, |(_, share)| f64::from(*share))
            };
            served.push(proportional(&(0..spec.members.len()).map(share_of).collect::<Vec<_>>()));
            let mut weights = vec![0.0; spec.members.len()];
            allowed.iter().for_each(|m| weights[m.idx()] = share_of(m.idx()));
            let kept = proportional(&weights);
            let declared = &group.rows[group.row_of_cell[r] as usize];
            let fits = |row: &Row| row.given().all(|(m, _)| usable[m]);
            rows.push(match () {
                () if !kept.is_empty() => kept,
                () if fits(declared) => declared.clone(),
                () => blind.rows[blind.row_of_cell[r] as usize].clone(),
            });
        }
        let is_off: Vec<bool> = group.members.iter().map(|m| m.usable.is_err_and(|why| why != "Open")).collect();
        let from = |declared| Sources {
            given: &usable,
            is_off: &is_off,
            last: Some((&served.rows, &served.row_of_cell)),
            declared: Some(declared),
        };
        let rows = all_down::fill(policies, cells, g, from((&group.rows, &group.row_of_cell)), rows);
        let blind = all_down::fill(policies, cells, g, from((&group.blind_rows, &group.blind_row_of_cell)), blind);
        (group.rows, group.row_of_cell) = (rows.rows, rows.row_of_cell);
        (group.blind_rows, group.blind_row_of_cell) = (blind.rows, blind.row_of_cell);
    }

    /// The text for the disk.
    pub fn print(&self) -> String {
        let body = serde_json::to_string(self).expect("names and finite numbers print as JSON");
        let head = Head { floodway_plan: FORMAT, checksum: checksum(&body) };
        let head = serde_json::to_string(&head).expect("a number and a string print as JSON");
        format!("{head}\n{body}\n")
    }

    /// Reads what [`Saved::print`] wrote, `now` in unix seconds.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn parse(text: &str, now: f64) -> Result<Saved, Unreadable> {
        let (head, body) = text.split_once('\n').ok_or(Unreadable::Malformed)?;
        let body = body.strip_suffix('\n').ok_or(Unreadable::Malformed)?;
        let head: Head = serde_json::from_str(head).map_err(|_| Unreadable::Malformed)?;
        if head.floodway_plan != FORMAT {
            return Err(Unreadable::OtherFormat);
        }
        if head.checksum != checksum(body) {
            return Err(Unreadable::Damaged);
        }
        let saved: Saved = serde_json::from_str(body).map_err(|_| Unreadable::Malformed)?;
        match now - saved.decided_at > MAX_AGE_SECS {
            true => Err(Unreadable::TooOld),
            false => Ok(saved),
        }
    }
}

/// The plan served under old policies and cells, for new ones: what a reload goes on with until the next
/// tick.
pub fn carry(plan: &Plan, old: (&Policies, &CellMap), new: (&Policies, &CellMap)) -> Plan {
    let mut carried = match plan.mode {
        Mode::Declared => declared_plan(new.0, new.1),
        _ => Saved::of(plan, old.0, old.1).onto(new.0, new.1),
    };
    heavy::carry(plan, old, new, &mut carried);
    carried
}

/// SipHash-2-4 with a fixed key: against bit rot and torn writes, not against people.
fn checksum(body: &str) -> String {
    let mut hasher = SipHasher24::new_with_keys(0x666c_6f6f_6477_6179, 0x706c_616e);
    hasher.write(body.as_bytes());
    format!("{:016x}", hasher.finish())
}

/// Why a saved plan is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not the text of a plan.
    Malformed,
    /// Another version wrote it.
    OtherFormat,
    /// The checksum does not fit.
    Damaged,
    /// It is more than a day old.
    TooOld,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unreadable::Malformed => "not the text of a plan",
            Unreadable::OtherFormat => "written by another version",
            Unreadable::Damaged => "its checksum does not fit",
            Unreadable::TooOld => "more than a day old",
        })
    }
}

impl std::error::Error for Unreadable {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;
    use crate::id::CellIdx;

    fn live() -> Plan {
        let mut plan = declared_plan(&fixture::policies(), &fixture::cells());
        (plan.mode, plan.decided_at) = (Mode::Live, 1000.0);
        plan.groups[0].rows[0] = proportional(&[1.0, 1.0, 2.0, 0.0, 0.0, 0.0]);
        plan
    }

    #[test]
    fn a_plan_comes_back_from_the_disk_as_it_was() {
        let (policies, cells) = (fixture::policies(), fixture::cells());
        let text = Saved::of(&live(), &policies, &cells).print();
        let saved = Saved::parse(&text, 2000.0).unwrap();
        let back = saved.onto(&policies, &cells);
        assert_eq!(back.groups[0].row_of_cell, live().groups[0].row_of_cell);
        assert_eq!(back, live());
    }

    #[test]
    fn damage_age_and_other_versions_are_refused() {
        let text = Saved::of(&live(), &fixture::policies(), &fixture::cells()).print();
        let check = |text: &str, now: f64, why: Unreadable| assert_eq!(Saved::parse(text, now), Err(why), "{text}");
        check(&text, 1000.0 + 86_401.0, Unreadable::TooOld);
        check(&text.replace("0.25", "0.35"), 1000.0, Unreadable::Damaged);
        check(&text[..text.len() / 2], 1000.0, Unreadable::Malformed);
        check(&text.replacen("_plan\":2", "_plan\":1", 1), 1000.0, Unreadable::OtherFormat);
        check("", 1000.0, Unreadable::Malformed);
    }

    /// A reload that drops a member and fences a country must not serve either from the old plan.
    #[test]
    fn a_reload_keeps_names_and_obeys_new_fences() {
        let (policies, cells) = (fixture::policies(), fixture::cells());
        let mut smaller = fixture::policies();
        smaller.groups[0].members.remove(0);
        smaller.groups[0].routes[0].effect = crate::policy::Effect::Only(vec![crate::id::MemberIdx(0)]);
        let plan = carry(&live(), (&policies, &cells), (&smaller, &cells));
        let row = |cell: usize| plan.row(GroupIdx(0), CellIdx::from(cell)).to_vec();
        assert_eq!(row(0).iter().map(|s| (s * 3.0).round()).collect::<Vec<_>>(), [1.0, 2.0, 0.0, 0.0, 0.0]);
        assert_eq!(row(1), &[1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn open_pops_stay_open_through_a_restart() {
        let (policies, cells) = (fixture::policies(), fixture::cells());
        let mut plan = live();
        (plan.pops[2].breaker, plan.pops[2].capacity) = (BreakerState::Open, 0.0);
        let back = Saved::of(&plan, &policies, &cells).onto(&policies, &cells);
        assert_eq!(back.groups[0].members[2].usable, Err("Open"));
        assert!(back.groups[0].rows.iter().all(|r| r.get(2) == 0.0));
        assert!(back.groups[0].blind_rows.iter().all(|r| r.get(2) == 0.0));
    }
}
