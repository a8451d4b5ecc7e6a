//! From prices to shares: anneal, look farther, leave out small shares, round.

use crate::control::allocate::OVER_TARGET_MS;
use crate::control::allocate::classes::Classes;
use crate::control::allocate::dual::{Dual, Rest};
use crate::control::allocate::kept;
use crate::control::allocate::lists::{Lists, Resources};
use crate::control::allocate::problem::{Options, Problem, Room, Warm};
use std::sync::Arc;

/// Shares are multiples of 1/65536, so that rows that agree are found to agree and compile to exact slots.
const SEATS: f64 = 65_536.0;
/// A temperature is this part of the one before it.
const COOLING: f64 = 0.35;
/// Part of a limit by which it may be missed while the temperature falls.
const LOOSE: f64 = 0.02;
/// Part of a limit by which it may be missed in the end.
pub(crate) const TIGHT: f64 = 1e-4;
/// Passes for one temperature before it is thought to be too cold to start from.
const FEW_PASSES: u32 = 12;
/// Passes for the final temperature.
const MAX_PASSES: u32 = 60;
/// A temperature that is too cold is left for one this many times as high, and then cooled again.
const HEATING: f64 = 8.0;
/// No higher than this, milliseconds: every price is within a few times of it.
const HOTTEST_MS: f64 = 10_000.0;
/// Demand that is as good as none, requests per second: one request in thirty thousand years. Its inverse is still a number.
const NO_DEMAND: f64 = 1e-12;
/// No price to start from is higher, milliseconds: beyond it says that demand is sixty thousand times what there is, and a price so
/// high takes long to come down from.
const MOST_WARM_MS: f64 = 1e5;
/// Rounds of looking farther: each looks at four times as many members.
const MAX_ROUNDS: u32 = 4;

//----------- Solved ---------------------------------------------------------

/// The shares of all priced rows.
pub(crate) struct Solved {
    /// Rows and candidates.
    pub(crate) lists: Lists,
    /// By which the candidates may be taken up again, and how often they were.
    pub(crate) key: u64,
    /// See `key`.
    pub(crate) uses: u32,
    /// Parallel to the candidates: their share.
    pub(crate) x: Vec<f32>,
    /// What the resources offer, in parts of all demand.
    pub(crate) rooms: Vec<Room>,
    /// Their prices, with the 0 of "none" at its end.
    pub(crate) lambda: Vec<f64>,
    /// One part of all demand is so many times what it is in requests per second.
    pub(crate) scale: f64,
    /// Prices, by what they are of.
    pub(crate) warm: Warm,
    /// Passes over the rows.
    pub(crate) n_passes: u32,
}

/// Solves for all priced groups. `taken[p]`: what the others put on POP `p`, requests per second.
pub(crate) fn solve(problem: &Problem, classes: &Classes, options: &Options, warm: &Warm, taken: &[f64]) -> Solved {
    let resources = Resources::new(problem, taken);
    let demand: f64 = problem.groups.iter().flat_map(|g| &g.demand).sum();
    let scale = if demand > NO_DEMAND { 1.0 / demand } else { 1.0 };
    let mut rooms = resources.rooms.clone();
    for room in &mut rooms {
        room.target *= scale;
        room.max *= scale;
    }
    let n_pops = problem.pops.len();
    let key = kept::key(problem, classes, options, &resources);
    let (mut lists, uses) = match warm.kept.get(key) {
        Some((lists, uses)) => (lists.demanded(problem, classes, scale), uses + 1),
        None => (Lists::new(problem, classes, options, &resources, scale), 0),
    };
    let (mut lambda, is_warm) = prices(problem, &resources, warm);
    let t = options.temperature_ms;
    let mut n_passes = 0;
    let mut run = |lists: &Lists, lambda: Vec<f64>, t: f64, tolerance: f64, most: u32| {
        let mut dual = Dual::new(&lists.rows, &rooms, n_pops);
        let rest = dual.solve(lambda, t, tolerance, most);
        n_passes += dual.n_passes;
        rest
    };
    if !is_warm && options.start_ms > t {
        lambda = cool(&lists, lambda, options.start_ms, t, &mut run);
    }
    // The prices to start from already tell which rows need to look farther.
    for _ in 0..MAX_ROUNDS {
        let Some(wider) = lists.widened(problem, classes, &resources, &lambda) else { break };
        lists = wider;
    }
    let mut rest = settle_at(&lists, lambda, t, &mut run);
    for _ in 0..MAX_ROUNDS {
        let Some(wider) = lists.widened(problem, classes, &resources, &rest.lambda) else { break };
        lists = wider;
        rest = settle_at(&lists, rest.lambda, t, &mut run);
    }
    let whole = rest.clone();
    let left_out = leave_out_small(&mut lists, &mut rest, options, &mut run);
    // Where the small shares were all the room there was, prices without them say nothing.
    let is_over = |rest: &Rest| rest.lambda.iter().any(|l| *l > OVER_TARGET_MS);
    if whole.settled && (!rest.settled || is_over(&rest) && !is_over(&whole)) {
        rest = whole;
        put_back(&mut lists, &left_out);
    }
    let x = shares(&lists, &rest, options);
    put_back(&mut lists, &left_out);
    let warm = keep_prices(problem, &resources, &rest);
    Solved { lists, key, uses, x, rooms, lambda: rest.lambda, scale, warm, n_passes }
}

/// Prices after cooling from `hot` to just above `t`.
fn cool(
    lists: &Lists,
    mut lambda: Vec<f64>,
    mut hot: f64,
    t: f64,
    run: &mut impl FnMut(&Lists, Vec<f64>, f64, f64, u32) -> Rest,
) -> Vec<f64> {
    while hot > t {
        lambda = run(lists, lambda, hot, LOOSE, FEW_PASSES).lambda;
        hot *= COOLING;
    }
    lambda
}

/// The solution at `t`. Where demand is far over what there is, prices are far from where they start,
/// and at a low temperature whole rows flip from one member to the next on the way there; such a solve
/// is begun again hotter, where rows share.
fn settle_at(
    lists: &Lists,
    lambda: Vec<f64>,
    t: f64,
    run: &mut impl FnMut(&Lists, Vec<f64>, f64, f64, u32) -> Rest,
) -> Rest {
    let mut rest = run(lists, lambda, t, TIGHT, FEW_PASSES);
    if rest.settled {
        return rest;
    }
    let mut hot = t;
    while !rest.settled && hot < HOTTEST_MS {
        hot *= HEATING;
        rest = run(lists, rest.lambda, hot, LOOSE, FEW_PASSES);
    }
    let lambda = cool(lists, rest.lambda, hot * COOLING, t, run);
    run(lists, lambda, t, TIGHT, MAX_PASSES)
}

/// The prices to start from, and whether there were any.
fn prices(problem: &Problem, resources: &Resources, warm: &Warm) -> (Vec<f64>, bool) {
    let mut lambda = vec![0.0; resources.rooms.len() + 1];
    let sane = |price: &f64| if price.is_finite() { price.clamp(0.0, MOST_WARM_MS) } else { 0.0 };
    for (to, from) in lambda[..problem.pops.len()].iter_mut().zip(&warm.pops) {
        *to = sane(from);
    }
    for (own, prices) in resources.own.iter().zip(&warm.members) {
        for (&i, price) in own.iter().zip(prices) {
            if i != resources.none() {
                lambda[i as usize] = sane(price);
            }
        }
    }
    for (&i, price) in resources.spill.iter().zip(&warm.spill) {
        if i != resources.none() {
            lambda[i as usize] = sane(price);
        }
    }
    (lambda, warm.pops.len() == problem.pops.len())
}

fn keep_prices(problem: &Problem, resources: &Resources, rest: &Rest) -> Warm {
    let price = |&i: &u32| rest.lambda[i as usize];
    Warm {
        pops: rest.lambda[..problem.pops.len()].to_vec(),
        members: resources.own.iter().map(|own| own.iter().map(price).collect()).collect(),
        spill: resources.spill.iter().map(price).collect(),
        ..Warm::default()
    }
}

//----------- Small shares ---------------------------------------------------

/// Takes candidates with less than the least share out of their rows and solves again without
/// them, so that what they carried does not push others over; returns them with their costs.
///
/// The largest candidate of a row stays whatever its share.
fn leave_out_small(
    lists: &mut Lists,
    rest: &mut Rest,
    options: &Options,
    run: &mut impl FnMut(&Lists, Vec<f64>, f64, f64, u32) -> Rest,
) -> Vec<(usize, f32)> {
    let (mut out, mut n_tried) = (Vec::new(), 0);
    let (mut v, mut near) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let price = lists.rows.face_prices(&rest.lambda);
        let mut n_carrying = 0;
        for row in 0..lists.rows.len() {
            lists.rows.shares(row, &price, options.temperature_ms, &mut v, &mut near);
            let most = near.iter().map(|(_, x)| *x).fold(0.0, f64::max);
            for &(k, _) in near.iter().filter(|(_, x)| *x < options.least_share && *x < most) {
                out.push((k, lists.rows.cost[k]));
                n_carrying += usize::from(lists.rows.demand[row] > 0.0);
            }
        }
        let cost = Arc::make_mut(&mut lists.rows.cost);
        out[n_tried..].iter().for_each(|(k, _)| cost[*k] = f32::INFINITY);
        n_tried = out.len();
        if n_carrying == 0 {
            break;
        }
        *rest = run(lists, std::mem::take(&mut rest.lambda), options.temperature_ms, TIGHT, FEW_PASSES);
    }
    out
}

fn put_back(lists: &mut Lists, left_out: &[(usize, f32)]) {
    let cost = Arc::make_mut(&mut lists.rows.cost);
    left_out.iter().for_each(|(k, was)| cost[*k] = *was);
}

/// Shares of every candidate in whole seats of 1/65536, by largest remainder, ties to the first; those
/// that are still below the least share become 0 or the least, whichever is nearer.
fn shares(lists: &Lists, rest: &Rest, options: &Options) -> Vec<f32> {
    let mut all = vec![0.0; lists.rows.cost.len()];
    let (mut v, mut near, mut order) = (Vec::new(), Vec::new(), Vec::new());
    let price = lists.rows.face_prices(&rest.lambda);
    for row in 0..lists.rows.len() {
        lists.rows.shares(row, &price, options.temperature_ms, &mut v, &mut near);
        if let [(k, _)] = near[..] {
            all[k] = 1.0;
            continue;
        }
        let (most, least) = (near.iter().map(|(_, x)| *x).fold(0.0, f64::max), options.least_share);
        for (_, x) in near.iter_mut().filter(|(_, x)| *x < least && *x < most) {
            *x = if *x < 0.5 * least { 0.0 } else { least };
        }
        let sum: f64 = near.iter().map(|(_, x)| x).sum();
        near.iter_mut().for_each(|(_, x)| *x *= SEATS / sum);
        let left = SEATS - near.iter().map(|(_, x)| x.trunc()).sum::<f64>();
        order.clear();
        order.extend((0..near.len()).filter(|&at| near[at].1.fract() > 0.0));
        order.sort_by(|&a, &b| near[b].1.fract().total_cmp(&near[a].1.fract()).then(a.cmp(&b)));
        near.iter_mut().for_each(|(_, x)| *x = x.trunc());
        order.iter().take(left as usize).for_each(|&at| near[at].1 += 1.0);
        near.iter().for_each(|&(k, x)| all[k] = (x / SEATS) as f32);
    }
    all
}
