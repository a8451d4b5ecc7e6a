//! Answering allocates nothing: a counting allocator watches every kind of answer.

mod fixture;

use fixture::{Steered, full_house, query, steered};
use floodway::answer::{Client, Scratch, Transport, answer};
use floodway::policy::Pick;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn answers_allocate_nothing() {
    let snapshots = [Pick::Sticky, Pick::Spread]
        .map(|pick| steered(Steered { shares: [0.4, 0.4, 0.0, 0.1, 0.1], pick, ..Steered::default() }))
        .map(|snapshot| snapshot.with_house(Arc::new(full_house())));
    let packets: Vec<Vec<u8>> = [
        "www.example.com. A",
        "api.example.com. AAAA",
        "api.example.com. A",
        "x.any.example.com. A",
        "www.example.com. TXT",
        "alias.example.com. A",
        "x.dn.example.com. A",
        "www.sub.example.com. A",
        "big.example.com. TXT",
        "nothing.example.com. A",
        "any.wild.example.com. A",
        "example.com. MX",
        "www.elsewhere.test. A",
        "example.com. ANY",
        "y.example.org. A",
    ]
    .iter()
    .flat_map(|q| [query(q).wire(), query(q).ecs("203.0.113.0/24").wire(), query(q).wire()[..20].to_vec()])
    .collect();
    let rare = query("www.example.com. A").option(3, &[]).option(10, &[7; 24]).option(12, &[]);
    let packets: Vec<Vec<u8>> = packets.into_iter().chain([rare.wire()]).collect();
    let client = Client { addr: [192, 0, 2, 200].into(), transport: Transport::Udp, link: Default::default() };
    let (mut scratch, mut out) = (Scratch::new(0, 0), vec![0; 4096]);
    let before = ALLOCATIONS.with(Cell::get);
    let mut octets = 0;
    for _ in 0..10 {
        for (packet, snapshot) in packets.iter().flat_map(|p| snapshots.iter().map(move |s| (p, s))) {
            octets += answer(packet, client, snapshot, 0, &mut scratch, &mut out).len;
        }
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    assert!(octets > 10_000);
}
