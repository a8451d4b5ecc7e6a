//! Lists of candidates, kept from one allocation to the next.
//!
//! Whom the rows may choose, and what that costs, changes with breakers, shadows and reloads, not with demand or with prices; and how
//! far rows had to look the last time is about how far they have to now. Making the lists anew each time took a third of a warm
//! allocation of groups that are not alike.
//!
//! Lists are taken up again if their key is the same: a digest of all that they are made from, which cannot be missed by accident
//! (one in 2⁶⁴) and is cheap beside making them.

use crate::control::allocate::classes::Classes;
use crate::control::allocate::lists::{Lists, Resources};
use crate::control::allocate::problem::{Options, Problem};
use crate::control::candidates::money_ms;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// How often lists are used before they are made anew: rows look farther while others are full, and never look nearer again.
const MOST_USES: u32 = 256;

/// The lists of an earlier allocation, or none. A cache: it says nothing that the problem does not say, so all are equal.
#[derive(Clone, Default)]
pub struct Kept(Option<Arc<(u64, u32, Lists)>>);

impl PartialEq for Kept {
    fn eq(&self, _: &Kept) -> bool {
        true
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Kept(some)" } else { "Kept(none)" })
    }
}

impl Kept {
    /// Keeps `lists`, which were used `uses` times and have `key`.
    pub(crate) fn of(key: u64, uses: u32, lists: Lists) -> Kept {
        Kept(Some(Arc::new((key, uses, lists))))
    }

    /// The lists with `key`, and how often they were used before, unless it is time to make them anew.
    pub(crate) fn get(&self, key: u64) -> Option<(Lists, u32)> {
        let (of, uses, lists) = &**self.0.as_ref()?;
        (*of == key && *uses < MOST_USES).then(|| (lists.clone(), *uses))
    }
}

/// A digest of all that [`Lists`] are made from, beside demand.
pub(crate) fn key(problem: &Problem, classes: &Classes, options: &Options, resources: &Resources) -> u64 {
    let (policies, geography) = (problem.policies, problem.geography);
    let mut hasher = DefaultHasher::new();
    (geography.n_cells, geography.n_pops, options.nearest, classes.groups.len()).hash(&mut hasher);
    geography.ms.iter().for_each(|ms| ms.to_bits().hash(&mut hasher));
    geography.order.hash(&mut hasher);
    resources.spill.hash(&mut hasher);
    for class in 0..classes.groups.len() {
        let g = classes.first(class).idx();
        let (spec, here) = (&policies.groups[g], &problem.groups[g]);
        (g, spec.members.len()).hash(&mut hasher);
        for (m, member) in spec.members.iter().enumerate() {
            let money = money_ms(policies, spec, member).to_bits();
            let role = std::mem::discriminant(&member.role);
            (member.pop, role, &member.name, money, here.usable[m], resources.own[g][m]).hash(&mut hasher);
        }
        spec.routes.len().hash(&mut hasher);
        spec.routes.iter().for_each(|route| route.effect.hash(&mut hasher));
        if !spec.routes.is_empty() {
            geography.route[g].hash(&mut hasher);
        }
    }
    hasher.finish()
}
