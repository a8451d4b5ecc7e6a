//! Laws of plans over random reports and probes.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Wait(f64),
    Probe { pop: usize, place: usize, well: bool },
    Report { pop: usize, rate: f64, errors: f64, lag: f64, full: bool, shadow: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let report = (0..5usize, 0.0..9000.0f64, 0.0..=1.0f64, 0.0..90.0f64, any::<bool>(), 0..5u8);
    prop_oneof![
        1 => (0.0..100.0f64).prop_map(Step::Wait),
        4 => (0..4usize, 0..3usize, any::<bool>()).prop_map(|(pop, place, well)| Step::Probe { pop, place, well }),
        6 => report.prop_map(|(pop, rate, errors, lag, full, shadow)| Step::Report { pop, rate, errors, lag, full, shadow }),
    ]
}

fn play(steps: &[Step], steer: SteerBy, mut see: impl FnMut(&Ticked, &Policies, &CellMap)) -> Plan {
    let mut policies = fixture::policies();
    policies.groups[0].steer = steer;
    let mut world = World::new(policies);
    for step in steps {
        match step {
            Step::Wait(secs) => {
                world.now += secs;
                world.tick(&[]);
            }
            Step::Probe { pop, place, well } => {
                world.now += 1.0;
                // Several at once, so that some come in a row.
                world.probes = vec![(*pop, ["here", "there", "elsewhere"][*place], *well); 3];
                world.tick(&[]);
                world.probes.clear();
            }
            Step::Report { pop, rate, errors, lag, full, shadow } => {
                world.now += 1.0;
                let mut sample =
                    sample(LABELS[*pop], world.now - lag, 10.0, 10.0 * rate, 10.0 * rate * errors * errors);
                sample.utilisation.cpu = full.then_some(1.0);
                if *pop == DUB {
                    use ShadowState::*;
                    sample.member = Some(fixture::name("dub.web.example.com."));
                    sample.shadow = Some([Cold, Warming, Ready, Active, Draining][usize::from(*shadow)]);
                }
                world.tick(&[sample.clone(), sample]);
            }
        }
        see(&world.last, &world.policies, &world.cells);
    }
    world.last.plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is reported, and whatever probes find, in any order and however late: shares sum to 1, fences hold, what is Open gets
    /// nothing unless all else cannot carry the demand or there is nobody else, no plan is refused as broken, and the same inputs
    /// give the same plan.
    #[test]
    fn every_plan_keeps_the_laws(
        steps in prop::collection::vec(step(), 1..60),
        steer in prop_oneof![Just(SteerBy::Priced), Just(SteerBy::Weighted), Just(SteerBy::Nearest), Just(SteerBy::Static)],
    ) {
        let mut wrong = None;
        let plan = play(&steps, steer, |ticked, policies, cells| {
            let geography = crate::control::allocate::Geography::new(policies, cells);
            let mut complain = |what: String| { wrong.get_or_insert(what); };
            if let Err(why) = guard::check(&ticked.plan, policies, cells, &geography) {
                complain(why);
            }
            for note in &ticked.notes {
                if matches!(note, Note::Refused { reason } if !reason.contains("with no reason")) {
                    complain(note.to_string());
                }
            }
            for (p, pop) in ticked.plan.pops.iter().enumerate() {
                let panic = pop.reason.contains("serves although Open");
                let spec = &policies.groups[0];
                let usable: Vec<bool> = ticked.plan.groups[0].members.iter().map(|m| m.usable.is_ok()).collect();
                let given = (0..cells.cells.len()).any(|r| {
                    let route = geography.route[0][r].map(|r| &spec.routes[usize::from(r)]);
                    let all_down = crate::control::candidates::candidates(spec, route, &usable).is_empty();
                    !all_down && ticked.plan.row(GroupIdx(0), CellIdx::from(r)).get(p) > 0.0
                });
                if pop.breaker == BreakerState::Open && given && !panic {
                    complain(format!("{} is Open and gets answers", LABELS[p]));
                }
            }
            let empty = |r: &crate::steering::Row| r.is_empty();
            if empty(ticked.plan.row(GroupIdx(0), CellIdx::from(US))) {
                complain("nobody may be given although there is overflow".into());
            }
        });
        prop_assert_eq!(wrong, None);
        prop_assert_eq!(play(&steps, steer, |_, _, _| {}), plan);
    }
}
