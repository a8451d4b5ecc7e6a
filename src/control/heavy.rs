//! Which slots carry so much of their cell that they are placed as a whole.
//!
//! Queries of a few large resolvers are a good part of a cell's: a row that counts slots would hold its shares in slots and
//! miss them in clients. The data plane says of sticky groups what their slots were asked ([`TallySum::carried`]); here that
//! is summed with exponential forgetting, beside the cell's queries, and what stands out goes into the plan.
//!
//! It is queries that are counted and not requests: a cache asks once per TTL however many are behind it, so one of many
//! busy caches is told apart by how many it is (a farm of resolvers in one prefix), not by how busy. What the server cannot
//! see it does not guess.
//!
//! Each server goes by the queries that it gets itself, so two servers may place a large resolver differently for a while;
//! that holds for rows of different histories anyway ([`crate::steering::Table::compile`]).

use crate::control::state::{Layout, State};
use crate::exchange::{Carried, TallySum};
use crate::geo::CellMap;
use crate::id::{CellIdx, GroupIdx};
use crate::policy::{Pick, Policies};
use crate::steering::{Heavy, HeavySlot, Plan};
use crate::wire::Name;
use std::collections::{BTreeMap, HashMap};

/// Seconds after which what was counted is worth 1/e: the stretch that weights are of.
const FORGET_SECS: f64 = 600.0;
/// Seconds between looks at what has become heavy.
pub const LOOK_SECS: f64 = 30.0;
/// Part of its cell's queries from which a slot is heavy, and below which it is no longer: 0.5 % is 20 ordinary slots of
/// 4,096, which no chance brings together.
const IN_OUT: (f64, f64) = (0.005, 0.0025);
/// Queries that a slot must have been counted in that time, likewise: 20 are known to a fifth or so.
const IN_OUT_COUNTED: (f64, f64) = (20.0, 10.0);
/// A weight in the plan is replaced when it is off by more than this part of it, or tables would change at every look.
const MOST_OFF: f64 = 0.25;
/// What a slot that is in the plan counts for beside one that is not, where there are more than there is room for.
const INCUMBENT: f64 = 1.25;
/// Heavy slots that a cell, and a group, may have: what is beyond is a small part of it.
const MOST_OF_CELL: usize = 64;
const MOST_OF_GROUP: usize = 1000;
/// Slots that are followed, of one group and of all together: the least are forgotten first.
const MOST_FOLLOWED: usize = 4096;
const MOST_FOLLOWED_OF_ALL: usize = 1 << 18;

//----------- Carriers -------------------------------------------------------

/// What the slots of one group carry.
#[derive(Clone, Debug, Default)]
pub struct Carriers {
    /// Per cell, the queries, those of long ago forgotten.
    queries: Vec<f64>,
    /// Likewise of the slots that are followed.
    slots: BTreeMap<(CellIdx, u16), f64>,
    /// Seconds since the last look.
    waited: f64,
    /// Whether slots have been told of since then.
    told: bool,
}

impl Carriers {
    /// Takes in what was asked and, where a stretch was told, what slots carried in it. `queries[r]`: of cell `r`.
    fn add(&mut self, queries: &[u64], carried: &[Carried], dt: f64) {
        self.queries.resize(queries.len().max(self.queries.len()), 0.0);
        self.queries.iter_mut().zip(queries).for_each(|(sum, n)| *sum += *n as f64);
        for one in carried {
            *self.slots.entry((one.cell, one.slot)).or_default() += f64::from(one.n);
        }
        self.told |= !carried.is_empty();
        self.waited += dt;
    }

    /// Once in [`LOOK_SECS`]: forgets, and says what is heavy beside what was; `None` between looks. A look waits as long
    /// again for what slots carried, since the queries beside it are those until now.
    ///
    /// `most_followed`: slots to go on with.
    fn look(&mut self, before: &Heavy, most_followed: usize) -> Option<Heavy> {
        if self.waited < if self.told { LOOK_SECS } else { 2.0 * LOOK_SECS } {
            return None;
        }
        let keep = (-self.waited / FORGET_SECS).exp();
        (self.waited, self.told) = (0.0, false);
        self.queries.iter_mut().for_each(|n| *n *= keep);
        self.slots.values_mut().for_each(|n| *n *= keep);
        self.slots.retain(|_, n| *n >= 0.5);
        if self.slots.len() > most_followed {
            let mut counts: Vec<f64> = self.slots.values().copied().collect();
            let (_, least, _) = counts.select_nth_unstable_by(most_followed, |a, b| b.total_cmp(a));
            let least = *least;
            self.slots.retain(|_, n| *n > least);
        }
        Some(self.judge(before))
    }

    /// What is heavy, beside what was.
    fn judge(&self, before: &Heavy) -> Heavy {
        let was: HashMap<(CellIdx, u16), f32> = before.slots.iter().map(|s| ((s.cell, s.slot), s.weight)).collect();
        // Worth in a tie for room, and the slot.
        let mut heavy: Vec<(f64, HeavySlot)> = Vec::new();
        for (&(cell, slot), &n) in &self.slots {
            let queries = self.queries.get(cell.idx()).copied().unwrap_or(0.0);
            let (weight, held) = (n.min(queries) / queries, was.get(&(cell, slot)).copied());
            let (least, least_counted) = match held {
                None => (IN_OUT.0, IN_OUT_COUNTED.0),
                Some(_) => (IN_OUT.1, IN_OUT_COUNTED.1),
            };
            if n < least_counted || weight.is_nan() || weight < least {
                continue;
            }
            let is_near = |held: f32| (weight - f64::from(held)).abs() <= MOST_OFF * f64::from(held);
            let (worth, weight) = match held {
                Some(held) if is_near(held) => (INCUMBENT * n, held),
                Some(_) => (INCUMBENT * n, weight as f32),
                None => (n, weight as f32),
            };
            heavy.push((worth, HeavySlot { cell, slot, weight }));
        }
        heavy.sort_by(|(a, s), (b, t)| b.total_cmp(a).then((s.cell, s.slot).cmp(&(t.cell, t.slot))));
        let mut of_cell: HashMap<CellIdx, usize> = HashMap::new();
        heavy.retain(|(_, slot)| {
            let n = of_cell.entry(slot.cell).or_default();
            *n += 1;
            *n <= MOST_OF_CELL
        });
        heavy.truncate(MOST_OF_GROUP);
        let mut slots: Vec<HeavySlot> = heavy.into_iter().map(|(_, slot)| slot).collect();
        slots.sort_by_key(|s| (s.cell, s.slot));
        let carried: f64 = slots.iter().filter_map(|s| self.slots.get(&(s.cell, s.slot))).sum();
        let all: f64 = self.queries.iter().sum();
        let part = if all > 0.0 { (carried / all).min(1.0) } else { 0.0 };
        Heavy { slots: if *slots == *before.slots { before.slots.clone() } else { slots.into() }, part }
    }

    /// The same for another set of cells: `from[r]` is where new cell `r` was, if it was.
    pub fn moved(&self, from: &[Option<usize>]) -> Carriers {
        let queries = from.iter().map(|old| old.and_then(|r| self.queries.get(r)).copied().unwrap_or(0.0));
        let to = places(from);
        let slots = self.slots.iter().filter_map(|((cell, slot), n)| Some(((*to.get(&cell.idx())?, *slot), *n)));
        Carriers { queries: queries.collect(), slots: slots.collect(), waited: self.waited, told: self.told }
    }
}

/// Where each old cell is now.
fn places(from: &[Option<usize>]) -> HashMap<usize, CellIdx> {
    from.iter().enumerate().filter_map(|(new, old)| Some(((*old)?, CellIdx::from(new)))).collect()
}

//----------- learn ----------------------------------------------------------

/// Takes in what the data plane counted in the last `dt` seconds, and puts what is heavy into the plan that is served, from
/// where the next one takes it.
pub fn learn(state: &mut State, layout: &Layout, tally: &TallySum, dt: f64) {
    if !state.skills.heavy {
        return;
    }
    let policies = &layout.policies;
    let n_sticky = policies.groups.iter().filter(|g| g.pick == Pick::Sticky).count();
    let most_followed = (MOST_FOLLOWED_OF_ALL / n_sticky.max(1)).min(MOST_FOLLOWED);
    let mut carried: HashMap<GroupIdx, Vec<Carried>> = HashMap::new();
    for one in &tally.carried {
        carried.entry(one.group).or_default().push(*one);
    }
    let plans = state.plan.groups.iter_mut();
    for (g, ((group, plan), spec)) in state.groups.iter_mut().zip(plans).zip(&policies.groups).enumerate() {
        if spec.pick != Pick::Sticky {
            continue;
        }
        let queries = tally.queries.get(g).map_or(&[][..], Vec::as_slice);
        let carried = carried.get(&GroupIdx::from(g)).map_or(&[][..], Vec::as_slice);
        group.carriers.add(queries, carried, dt);
        if let Some(heavy) = group.carriers.look(&plan.heavy, most_followed) {
            plan.heavy = heavy;
        }
    }
}

/// Lays what is heavy in a plan over one for other policies or cells, by the names of groups and cells.
pub fn carry(plan: &Plan, old: (&Policies, &CellMap), new: (&Policies, &CellMap), onto: &mut Plan) {
    if plan.groups.iter().all(|g| g.heavy.slots.is_empty()) {
        return;
    }
    let at: HashMap<&str, usize> = old.1.cells.iter().enumerate().map(|(i, c)| (c.name.as_str(), i)).collect();
    let from: Vec<Option<usize>> = new.1.cells.iter().map(|c| at.get(c.name.as_str()).copied()).collect();
    let to = places(&from);
    let heavy: HashMap<&Name, &Heavy> =
        old.0.groups.iter().zip(&plan.groups).map(|(spec, group)| (&spec.name, &group.heavy)).collect();
    for (spec, group) in new.0.groups.iter().zip(&mut onto.groups).filter(|(spec, _)| spec.pick == Pick::Sticky) {
        let Some(was) = heavy.get(&spec.name) else { continue };
        let slot = |s: &HeavySlot| Some(HeavySlot { cell: *to.get(&s.cell.idx())?, ..*s });
        let mut slots: Vec<HeavySlot> = was.slots.iter().filter_map(slot).collect();
        slots.sort_by_key(|s| (s.cell, s.slot));
        group.heavy = Heavy { slots: slots.into(), part: was.part };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const CELL: CellIdx = CellIdx(1);

    /// One look after `secs` seconds in which cell 1 asked `queries` in all, of which slot 7 had `of_7`, told in stretches.
    fn looked(carriers: &mut Carriers, before: &Heavy, queries: u64, of_7: u32) -> Heavy {
        let carried = Carried { group: GroupIdx(0), cell: CELL, slot: 7, n: of_7 };
        carriers.add(&[0, queries], &[carried], LOOK_SECS / 2.0);
        assert_eq!(carriers.look(before, 100), None, "it is not time");
        carriers.add(&[0, 0], &[], LOOK_SECS / 2.0);
        carriers.look(before, 100).unwrap()
    }

    /// What is heavy after one look, of `queries` with `of_7` in slot 7.
    #[track_caller]
    fn check(queries: u64, of_7: u32, weight: Option<f32>) {
        let heavy = looked(&mut Carriers::default(), &Heavy::default(), queries, of_7);
        let expect: Vec<HeavySlot> =
            weight.into_iter().map(|weight| HeavySlot { cell: CELL, slot: 7, weight }).collect();
        assert_eq!(*heavy.slots, *expect);
        assert_eq!(heavy.part > 0.0, weight.is_some());
    }

    #[test]
    fn what_stands_out_is_heavy() {
        check(10_000, 410, Some(0.041));
        check(10_000, 49, None);
        check(10_000, 51, Some(0.0051));
        check(100, 100, Some(1.0));
        // What the sketch holds of a stretch may be told before the queries are: never more than all.
        check(100, 120, Some(1.0));
        check(0, 0, None);
        // Too few to say.
        check(18, 18, None);
    }

    /// It goes in at 0.5 % and out at 0.25 %, and its weight changes by more than a quarter or not at all.
    #[test]
    fn small_changes_change_nothing() {
        let mut carriers = Carriers::default();
        let first = looked(&mut carriers, &Heavy::default(), 100_000, 1000);
        assert_eq!(first.slots[0].weight, 0.01);
        let second = looked(&mut carriers, &first, 100_000, 1300);
        assert!(Arc::ptr_eq(&first.slots, &second.slots) && second.part > first.part);
        let weight_of = |of_7| looked(&mut carriers.clone(), &second, 10_000_000, of_7).slots.first().map(|s| s.weight);
        assert_eq!(weight_of(22_000), None);
        assert!(weight_of(28_000).is_some_and(|w| w < 0.003));
        assert!(weight_of(80_000).is_some_and(|w| w == 0.01));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut carriers = Carriers::default();
        let mut heavy = looked(&mut carriers, &Heavy::default(), 1000, 500);
        for _ in 0..40 {
            heavy = looked(&mut carriers, &heavy, 1000, 0);
        }
        assert!(heavy.slots.first().is_none_or(|s| s.weight < 0.02), "{heavy:?}");
        for _ in 0..200 {
            carriers.add(&[], &[], LOOK_SECS);
            assert_eq!(carriers.look(&heavy, 100), None, "it waits for what slots carried");
            carriers.add(&[], &[], LOOK_SECS);
            heavy = carriers.look(&heavy, 100).unwrap();
        }
        assert!(heavy.slots.is_empty() && carriers.slots.is_empty());
    }

    /// There is an end to what is followed, and to what is placed.
    #[test]
    fn the_heaviest_have_the_room() {
        let mut carriers = Carriers::default();
        let carried: Vec<Carried> =
            (0..200).map(|slot| Carried { group: GroupIdx(0), cell: CELL, slot, n: 100 + u32::from(slot) }).collect();
        carriers.add(&[0, 40_000], &carried, LOOK_SECS);
        let heavy = carriers.look(&Heavy::default(), 150).unwrap();
        assert_eq!(carriers.slots.len(), 150);
        assert_eq!(heavy.slots.len(), MOST_OF_CELL);
        assert!(heavy.slots.iter().all(|s| s.slot >= 200 - MOST_OF_CELL as u16));
        assert!(heavy.slots.is_sorted_by_key(|s| (s.cell, s.slot)));
        assert_eq!((heavy.of(CELL).len(), heavy.of(CellIdx(0)).len()), (MOST_OF_CELL, 0));
    }

    #[test]
    fn cells_are_found_again() {
        let mut carriers = Carriers::default();
        let heavy = looked(&mut carriers, &Heavy::default(), 1000, 500);
        let moved = carriers.moved(&[Some(1), Some(0), None]);
        let again = moved.judge(&Heavy::default());
        assert_eq!(again.slots[0], HeavySlot { cell: CellIdx(0), ..heavy.slots[0] });
        assert!(carriers.moved(&[Some(0)]).judge(&Heavy::default()).slots.is_empty());
    }
}
