//! Who answers how often, through the whole way of a query: `pick=spread` holds shares and keeps pairs together,
//! `pick=sticky` moves no more clients than a change of shares demands.

use crate::fixture::{Steered, query, replan, steered};
use floodway::answer::{Client, Scratch, Transport, answer, explain};
use floodway::exchange::Snapshot;
use floodway::geo::{CellMap, Databases};
use floodway::policy::Pick;
use floodway::wire::rtype;
use std::net::Ipv4Addr;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Asks for the addresses of a steered name, and tells replies by their last octet: the last one of an address, or
/// of what else ends the reply.
struct Asker<'s> {
    snapshot: &'s Snapshot,
    scratch: Scratch,
    packets: [Vec<u8>; 2],
    out: Vec<u8>,
}

/// What an [`Asker`] asks for: positions in its packets.
const A: usize = 0;
const AAAA: usize = 1;

impl<'s> Asker<'s> {
    fn new(snapshot: &'s Snapshot, thread: usize) -> Asker<'s> {
        let packets = [query("www.example.com. A").wire(), query("www.example.com. AAAA").wire()];
        Asker { snapshot, scratch: Scratch::new(thread, 42), packets, out: vec![0; 4096] }
    }

    fn ask(&mut self, family: usize, addr: u32) -> u8 {
        let client = Client { addr: Ipv4Addr::from(addr).into(), transport: Transport::Udp, link: Default::default() };
        let packet = &self.packets[family];
        let outcome = answer(packet, client, self.snapshot, 0, &mut self.scratch, &mut self.out);
        self.out[outcome.len - 1]
    }
}

/// The member of the tests' group whose A, or alias, ends in an octet.
fn member(last: u8) -> usize {
    match last {
        11 => 0,
        20..=22 => 1,
        30 => 2,
        80 => 3,
        0 => 4,
        other => panic!("{other} ends no answer"),
    }
}

//----------- Chi-square -----------------------------------------------------

/// P(X ≥ x) of the chi-square distribution with an even number of degrees of freedom:
/// `exp(−x/2) · Σ (x/2)^i / i!` for `i < df/2`.
fn chi_square_p(x: f64, df: usize) -> f64 {
    assert!(df.is_multiple_of(2));
    let terms = (1..df / 2).scan(1.0, |term, i| {
        *term *= x / 2.0 / i as f64;
        Some(*term)
    });
    (-x / 2.0).exp() * (1.0 + terms.sum::<f64>())
}

/// The value that is passed with probability `p`, by bisection.
fn chi_square_critical(df: usize, p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1000.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if chi_square_p(middle, df) > p { low = middle } else { high = middle }
    }
    low
}

#[test]
fn critical_values_are_as_tabled() {
    for (df, p, x) in [(2, 0.001, 13.816), (4, 0.001, 18.467), (6, 0.001, 22.458), (4, 0.05, 9.488)] {
        assert!((chi_square_critical(df, p) - x).abs() < 0.001, "{df} {p}");
    }
}

/// The counts follow the shares: chi-square with one degree of freedom less than members, p > 0.001.
fn check_shares(counts: [u32; 5], shares: [f32; 5]) {
    let n: u32 = counts.iter().sum();
    let expected = shares.map(|s| f64::from(s) * f64::from(n));
    let x: f64 = counts.iter().zip(expected).map(|(c, e)| (f64::from(*c) - e).powi(2) / e).sum();
    assert!(x < chi_square_critical(4, 0.001), "{x} {counts:?}");
}

//----------- Spread ---------------------------------------------------------

const SHARES: [f32; 5] = [0.32, 0.25, 0.2, 0.15, 0.08];

fn spread() -> Snapshot {
    steered(Steered { shares: SHARES, pick: Pick::Spread, ..Steered::default() })
}

/// 100,000 queries of one type: shares hold within about 1/n, be it one client that asks, many, or many in turn.
/// Coin flips would miss by hundreds. A member's addresses take turns at being first.
#[test]
fn spread_holds_shares() {
    let snapshot = spread();
    let mut random = Random(1);
    let check = |client: &mut dyn FnMut(u32) -> u32| {
        let mut asker = Asker::new(&snapshot, 0);
        let (mut counts, mut firsts) = ([0; 5], [0u32; 3]);
        for last in (0..100_000).map(|i| asker.ask(A, client(i))) {
            counts[member(last)] += 1;
            if (20..=22).contains(&last) {
                firsts[usize::from(last - 20)] += 1;
            }
        }
        check_shares(counts, SHARES);
        assert!(firsts.iter().all(|n| n.abs_diff(counts[1] / 3) < 100), "{firsts:?}");
        for (count, share) in counts.into_iter().zip(SHARES) {
            assert!((f64::from(count) - 1e5 * f64::from(share)).abs() < 12.0, "{counts:?}");
        }
    };
    check(&mut |_| 0x0a00_0001);
    check(&mut |_| random.next() as u32);
    check(&mut |i| 0x0a00_0000 + i % 7);
}

/// A and AAAA of one client come from one member, down to the same one of its addresses, whichever is first, on
/// whichever threads they are, and however many other clients ask in between; but for the few that collide in the
/// pairing memory, one in hundreds here. The firsts of pairs hold the shares.
#[test]
fn spread_keeps_pairs_together() {
    const N_PAIRS: u32 = 30_000;
    const SHARES: [f32; 5] = [0.3, 0.5, 0.0, 0.0, 0.2];
    let snapshot = steered(Steered { shares: SHARES, pick: Pick::Spread, answers: 1, ..Steered::default() });
    let mut askers = [Asker::new(&snapshot, 0), Asker::new(&snapshot, 1)];
    let mut random = Random(2);
    let mut waiting: Vec<(u32, usize, u8)> = Vec::new();
    let (mut started, mut apart, mut counts) = (0, 0, [0u32; 5]);
    while started < N_PAIRS || !waiting.is_empty() {
        let asker = &mut askers[random.below(2)];
        if started < N_PAIRS && waiting.len() < random.below(16) + 1 {
            let (client, family) = (0x0a00_0000 + started, random.below(2));
            let first = asker.ask(family, client);
            waiting.push((client, family, first));
            counts[member(first)] += 1;
            started += 1;
        } else {
            let (client, family, first) = waiting.swap_remove(random.below(waiting.len()));
            apart += u32::from(asker.ask(1 - family, client) != first);
        }
    }
    assert!(apart < N_PAIRS / 200, "{apart}");
    for (count, share) in counts.into_iter().zip(SHARES) {
        assert!((f64::from(count) - f64::from(N_PAIRS) * f64::from(share)).abs() < 50.0, "{counts:?}");
    }
}

/// A new plan does not part a pair, nor does somebody who asks for an explanation in between; a reload may.
#[test]
fn pairs_outlive_plans_and_explanations() {
    let first = steered(Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], pick: Pick::Spread, ..Steered::default() });
    let clients = 0x0a00_0000..0x0a00_0032;
    let mut asker = Asker::new(&first, 0);
    let firsts: Vec<u8> = clients.clone().map(|c| asker.ask(A, c)).collect();
    let next = replan(&first, [0.5, 0.5, 0.0, 0.0, 0.0]);
    for client in clients.clone() {
        explain(&"www.example.com.".parse().unwrap(), Ipv4Addr::from(client).into(), rtype::AAAA, &next);
    }
    let mut asker = Asker::new(&next, 1);
    assert_eq!(clients.map(|c| asker.ask(AAAA, c)).collect::<Vec<_>>(), firsts);
}

//----------- Sticky ---------------------------------------------------------

/// Moving one share by 10 points changes the answers of 10 % of clients, from the one member to the other, and of no
/// more than 1 % besides: 100,000 random /24, a table compiled from the one before, three moves in a row, over the
/// cells of a real map.
#[test]
fn sticky_moves_no_more_than_it_must() {
    let cells = CellMap::compile(&Databases::embedded(), &[], &[]);
    let mut random = Random(3);
    let clients: Vec<u32> = (0..100_000).map(|_| random.next() as u32 & 0xffff_ff00 | 1).collect();
    let answers = |snapshot: &Snapshot| -> Vec<u8> {
        let mut asker = Asker::new(snapshot, 0);
        clients.iter().map(|c| asker.ask(A, *c)).collect()
    };
    let mut shares = SHARES;
    let mut snapshot = steered(Steered { shares, cells, ..Steered::default() });
    let mut before = answers(&snapshot);
    for (from, to) in [(0, 1), (1, 4), (2, 0)] {
        shares[from] -= 0.1;
        shares[to] += 0.1;
        snapshot = replan(&snapshot, shares);
        let after = answers(&snapshot);
        let moved: Vec<(u8, u8)> = before.iter().copied().zip(after.iter().copied()).filter(|(b, a)| b != a).collect();
        assert!((9_000..=11_000).contains(&moved.len()), "{}", moved.len());
        assert!(moved.iter().all(|(b, a)| (member(*b), member(*a)) == (from, to)));
        before = after;
    }
}
