//! Overload, which is no failure.

use super::*;

#[test]
fn overload_is_capped_and_not_opened() {
    let mut world = World::calm();
    world.now += 1.0;
    let mut full = sample("sin", world.now, 1.0, 3000.0, 600.0);
    full.utilisation = Utilisation { cpu: Some(0.99), ..Utilisation::default() };
    world.tick(&[full]);
    assert_eq!(world.breaker(SIN), BreakerState::Closed);
    let pop = &world.last.plan.pops[SIN];
    assert!(pop.capacity < 3000.0 && pop.reason.contains("processor"), "{pop:?}");
}

/// A surge onto a POP that was idle: half of it fails, and the POP serves all that it can. It is full, and not broken.
#[test]
fn a_sudden_flood_of_an_idle_pop_is_no_failure() {
    let mut world = World::calm();
    world.reports[IAD] = Some((100.0, 0.0));
    world.run(60.0);
    world.reports[IAD] = Some((16_000.0, 0.51));
    world.run(20.0);
    assert_ne!(world.breaker(IAD), BreakerState::Open, "{:?}", world.notes);
}

/// One of two services fails at a POP: alone it is taken out, unless the POP is asked for more than it can carry.
#[test]
fn a_service_that_fails_for_want_of_room_is_not_taken_out_alone() {
    let open = |web: (f64, f64)| {
        let mut policies = fixture::policies();
        let mut api = policies.groups[0].clone();
        api.name = fixture::name("api.example.com.");
        policies.groups.push(api);
        let mut world = World::new(policies);
        for second in 0..60 {
            world.now += 1.0;
            let of = |p: usize| {
                let (rate, failed) = if p == SIN && second >= 30 { web } else { (500.0, 0.0) };
                let web = sample(LABELS[p], world.now, 1.0, rate, failed * rate);
                [
                    Sample {
                        group: fixture::name("api.example.com."),
                        ..sample(LABELS[p], world.now, 1.0, 1000.0, 0.0)
                    },
                    web,
                ]
            };
            let samples: Vec<Sample> = (0..4).flat_map(of).collect();
            world.tick(&samples);
        }
        world.notes.iter().filter(|note| note.contains("→ Open")).count()
    };
    assert_eq!(open((4000.0, 0.6)), 0, "5,000 asked of 3,000, of which 2,600 are served");
    assert_eq!(open((500.0, 0.9)), 1);
}
