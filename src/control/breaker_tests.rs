//! Breakers, step by step, and laws over random outcomes.

use super::*;
use crate::control::fixture::at;
use crate::control::window::Outcomes;
use crate::probe::What;
use proptest::prelude::*;

fn seen(requests: f64, errors: f64) -> Evidence {
    Evidence { outcomes: Outcomes::of(requests, errors, 10.0), ..Evidence::default() }
}

fn terms() -> Terms {
    let config = BreakerConfig::default();
    Terms { config, hold_secs: 60.0, lag_secs: 0.0, may_open: true, needed: false, resumed: false, draw: 0.5 }
}

/// Steps through `(seconds, evidence, state after)`.
fn check(steps: &[(f64, Evidence, BreakerState)]) -> Breaker {
    let mut breaker = Breaker::closed(at(0.0));
    for (secs, evidence, state) in steps {
        breaker.step(evidence, &terms(), at(*secs));
        assert_eq!(breaker.state(), *state, "at {secs}: {}", breaker.reason());
    }
    breaker
}

use BreakerState::*;

#[test]
fn clear_failure_opens_at_once_and_the_way_back_is_long() {
    let (good, bad) = (seen(1000.0, 0.0), seen(1000.0, 500.0));
    let none = Evidence::default();
    let breaker = check(&[
        (1.0, bad, Open),
        (2.0, good, Open),
        (29.0, good, Open),
        (31.0, bad, HalfOpen),
        (32.0, none, HalfOpen),
        (33.0, good, Ramp),
        (92.0, good, Ramp),
        (93.0, good, Ramp),
        (153.0, good, Ramp),
        (213.0, good, Ramp),
        (272.0, good, Ramp),
        (273.0, good, Closed),
    ]);
    assert_eq!((breaker.factor(), breaker.reason()), (1.0, ""));
}

#[test]
fn doubt_waits_ten_seconds() {
    let unclear = seen(1000.0, 90.0);
    check(&[(1.0, unclear, Suspect), (10.0, unclear, Suspect), (11.0, unclear, Open)]);
    check(&[(1.0, unclear, Suspect), (11.0, seen(1000.0, 10.0), Closed)]);
    check(&[(1.0, unclear, Suspect), (2.0, seen(1000.0, 900.0), Open)]);
}

#[test]
fn small_samples_and_overload_never_trip() {
    check(&[(1.0, seen(99.0, 99.0), Closed), (2.0, seen(100.0, 8.0), Closed)]);
    check(&[(1.0, Evidence { overloaded: true, ..seen(1000.0, 600.0) }, Closed)]);
    check(&[(1.0, Evidence { slow: true, overloaded: true, ..seen(1000.0, 0.0) }, Closed)]);
    check(&[(1.0, Evidence { slow: true, ..seen(1000.0, 0.0) }, Suspect)]);
    check(&[(1.0, Evidence { outlier: true, ..seen(1000.0, 10.0) }, Closed)]);
    check(&[(1.0, Evidence { outlier: true, ..seen(1000.0, 45.0) }, Suspect)]);
}

#[test]
fn spells_double_with_each_failed_probe_up_to_a_cap() {
    let bad = seen(100.0, 100.0);
    let mut breaker = Breaker::closed(at(0.0));
    let (mut now, mut spells) = (0.0, Vec::new());
    breaker.step(&bad, &terms(), at(now));
    for _ in 0..6 {
        spells.push(breaker.spell_secs);
        now += breaker.spell_secs;
        breaker.step(&bad, &terms(), at(now));
        breaker.step(&bad, &terms(), at(now));
    }
    assert_eq!(spells, [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]);
    let spell = |draw| {
        let mut breaker = Breaker::closed(at(0.0));
        breaker.step(&bad, &Terms { draw, ..terms() }, at(0.0));
        breaker.spell_secs
    };
    assert_eq!((spell(0.0), spell(0.5), spell(1.0)), (24.0, 30.0, 36.0));
}

#[test]
fn a_trip_that_may_not_be_is_a_suspicion() {
    let held = Terms { may_open: false, ..terms() };
    let mut breaker = Breaker::closed(at(0.0));
    breaker.step(&seen(1000.0, 900.0), &held, at(1.0));
    breaker.step(&seen(1000.0, 900.0), &held, at(20.0));
    assert_eq!(breaker.state(), Suspect);
    assert!(breaker.reason().contains("a third"), "{}", breaker.reason());
    let needed = Terms { needed: true, ..terms() };
    breaker.step(&seen(1000.0, 400.0), &needed, at(21.0));
    assert_eq!(breaker.state(), Suspect);
    assert!(breaker.reason().contains("an assertion needs it"), "{}", breaker.reason());
}

proptest! {
    /// After a trip nothing but a successful probe leads back, whatever is reported in between.
    #[test]
    fn closed_only_through_a_probe(
        steps in prop::collection::vec((0.0..40.0f64, 0.0..2000.0f64, 0.0..=1.0f64, any::<[bool; 4]>()), 1..120),
        draw in 0.0..1.0f64,
    ) {
        let (mut breaker, mut now, mut proven) = (Breaker::closed(at(0.0)), 0.0, true);
        for (dt, requests, share, [slow, overloaded, outlier, may_open]) in steps {
            now += dt;
            let evidence = Evidence { slow, overloaded, outlier, ..seen(requests, share * requests) };
            let moved = breaker.step(&evidence, &Terms { may_open, draw, ..terms() }, at(now));
            match moved.map(|m| (m.from, m.to)) {
                Some((_, Open)) => proven = false,
                Some((from, Ramp)) => {
                    prop_assert!(from == Ramp || evidence.verdict(&terms().config, PROBE_REQUESTS) == Verdict::Healthy);
                    proven = true;
                }
                Some((from, Closed)) => prop_assert!(proven && (from == Ramp || from == Suspect)),
                Some((from, to)) => prop_assert!((from, to) == (Closed, Suspect) || (from, to) == (Open, HalfOpen)),
                None => {}
            }
            prop_assert!((0.0..=1.0).contains(&breaker.factor()));
            prop_assert_eq!(breaker.factor() == 0.0, breaker.state() == Open);
        }
    }
}

/// A breaker that opened at 0 under `terms`, and was stepped through the spell with evidence that is no evidence.
fn opened(terms: &Terms) -> Breaker {
    let mut breaker = Breaker::closed(at(0.0));
    breaker.step(&seen(1000.0, 900.0), terms, at(0.0));
    assert_eq!(breaker.state(), Open);
    breaker
}

/// Who is pinned to the target by an answer or a connection would be taken for new evidence.
#[test]
fn a_spell_is_never_shorter_than_answers_last() {
    let spell = |lag_secs, draw| opened(&Terms { lag_secs, draw, ..terms() }).spell_secs;
    assert_eq!((spell(70.0, 0.0), spell(70.0, 1.0)), (70.0, 84.0));
    assert_eq!(spell(400.0, 0.0), 400.0, "even where that is longer than the longest spell");
    assert_eq!(spell(20.0, 0.5), 30.0);
}

/// RFC 2439, by the breaker: the third time within minutes that it came back and failed, it is kept out.
#[test]
fn who_flaps_is_kept_out_for_longer() {
    let mut breaker = Breaker::closed(at(0.0));
    let (good, bad) = (seen(1000.0, 0.0), seen(1000.0, 900.0));
    let mut out = Vec::new();
    let mut now = 0.0;
    for _ in 0..3 {
        breaker.step(&bad, &terms(), at(now));
        let opened = now;
        while breaker.state() != Ramp {
            now += 1.0;
            breaker.step(&good, &terms(), at(now));
        }
        out.push(now - opened);
    }
    assert!(out[0] < 35.0 && out[1] < 75.0, "{out:?}");
    assert!((1400.0..2000.0).contains(&out[2]), "{out:?}");
    let mut breaker = opened(&terms());
    (0..3).for_each(|_| breaker.damping.flap(at(0.0)));
    assert!(
        breaker.held(at(60.0)).starts_with("came back and failed 3.8 times lately: kept out for"),
        "{}",
        breaker.held(at(60.0))
    );
    breaker.step(&good, &terms(), at(60.0));
    assert_eq!(breaker.state(), Open);
    breaker.step(&good, &Terms { resumed: true, ..terms() }, at(61.0));
    assert_eq!(breaker.state(), HalfOpen, "unless an operator says so");
}

#[test]
fn with_a_delay_it_has_to_be_well_for_that_long() {
    let config = BreakerConfig { failback_secs: 600.0, ..BreakerConfig::default() };
    let terms = Terms { config, ..terms() };
    let mut breaker = opened(&terms);
    let (good, bad) = (seen(1000.0, 0.0), seen(1000.0, 900.0));
    let mut step = |secs: f64, evidence: &Evidence| {
        breaker.step(evidence, &terms, at(secs));
        (breaker.state(), breaker.reason().to_string())
    };
    assert_eq!(step(31.0, &good).0, HalfOpen);
    assert_eq!(step(40.0, &good), (HalfOpen, "well again, returns in 10 min (breaker.failback)".into()));
    assert_eq!(step(600.0, &good).0, HalfOpen);
    assert_eq!(step(601.0, &bad).0, Open, "and failing again it starts over");
    assert_eq!(step(670.0, &good).0, HalfOpen);
    assert_eq!(step(680.0, &good).0, HalfOpen);
    assert_eq!(step(1200.0, &Evidence::default()).0, HalfOpen, "too few outcomes take nothing back");
    assert_eq!(step(1280.0, &good).0, Ramp);
}

#[test]
fn manual_resume_waits_for_an_operator() {
    let config = BreakerConfig { resume: Resume::Manual, ..BreakerConfig::default() };
    let terms = Terms { config, ..terms() };
    let good = seen(1000.0, 0.0);
    let mut breaker = opened(&terms);
    let told = breaker.step(&good, &terms, at(31.0)).expect("it is told once");
    assert!(told.reason.contains("waits for an operator"), "{told:?}");
    assert_eq!(breaker.step(&good, &terms, at(1e6)), None);
    assert!(breaker.held(at(1e6)).contains("resume NAME"));
    let mut by_word = breaker.clone();
    by_word.step(&good, &Terms { resumed: true, ..terms }, at(1e6 + 1.0));
    assert_eq!((by_word.state(), by_word.held(at(1e6 + 1.0)).as_str()), (HalfOpen, ""));
    assert!(breaker.release(at(1e6 + 1.0)).is_some());
    assert_eq!(breaker.state(), HalfOpen);
    breaker.step(&seen(1000.0, 900.0), &terms, at(1e6 + 2.0));
    assert_eq!(breaker.state(), Open, "probes have to succeed all the same");
    assert_eq!(Breaker::closed(at(0.0)).release(at(1.0)), None);
}

/// Where a hundredth of the answers is nobody's, what is heard and not asked gets more after five minutes; what is not heard does not.
#[test]
fn who_is_hardly_asked_is_not_kept_out_for_ever() {
    let heard = |silent_secs| Evidence { silent_secs, ..seen(3.0, 0.0) };
    let step = |evidence: Evidence, secs: f64| {
        let mut breaker = Breaker { state: HalfOpen, ..opened(&terms()) };
        breaker.step(&evidence, &terms(), at(secs));
        breaker.state()
    };
    assert_eq!([299.0, 301.0].map(|secs| step(heard(1.0), secs)), [HalfOpen, Ramp]);
    assert_eq!(step(heard(f64::INFINITY), 1e4), HalfOpen);
}

/// Where nobody reports, or few ask, active probes say whether somebody answers.
#[test]
fn probes_prove_what_is_not_heard() {
    let proven = |silent_secs| Evidence { proven: true, silent_secs, ..seen(3.0, 0.0) };
    let step = |evidence: Evidence, secs: f64| {
        let mut breaker = Breaker { state: HalfOpen, ..opened(&terms()) };
        breaker.step(&evidence, &terms(), at(secs));
        breaker.state()
    };
    assert_eq!(step(proven(f64::INFINITY), 1.0), Ramp);
    assert_eq!(step(proven(0.0), 1.0), HalfOpen, "what is heard counts first");
    assert_eq!(step(proven(0.0), 60.0), Ramp, "but does not keep it out for ever");
    assert_eq!(step(Evidence { proven: false, ..proven(f64::INFINITY) }, 1e4), HalfOpen);
    let gone = Evidence { gone: Some(What::Refused), ..proven(f64::INFINITY) };
    assert_eq!(step(gone, 1e4), Open);
}

/// Random steps: seconds since the last, requests, share of errors, and what else may be.
fn outcomes() -> impl Strategy<Value = Vec<(f64, f64, f64, [bool; 6])>> {
    prop::collection::vec((0.0..60.0f64, 0.0..2000.0f64, 0.0..=1.0f64, any::<[bool; 6]>()), 1..150)
}

/// Steps through them, and what every step has to keep.
fn walk(steps: &[(f64, f64, f64, [bool; 6])], terms: &Terms) -> (Breaker, f64) {
    let (mut breaker, mut now) = (Breaker::closed(at(0.0)), 0.0);
    for (dt, requests, share, [slow, overloaded, outlier, may_open, gone, proven]) in steps {
        now += dt;
        let gone = gone.then_some(What::TimedOut).filter(|_| *requests < 200.0);
        let what = Evidence {
            slow: *slow,
            overloaded: *overloaded,
            outlier: *outlier,
            gone,
            proven: *proven,
            ..seen(*requests, share * requests)
        };
        let before = (breaker.state(), breaker.step);
        let moved = breaker.step(&what, &Terms { may_open: *may_open, ..*terms }, at(now));
        match moved {
            None => assert_eq!((breaker.state(), breaker.step), before, "a move that is not told"),
            Some(Moved { from, to, .. }) => {
                assert_eq!((from, to), (before.0, breaker.state()));
                let may = match from {
                    Closed => matches!(to, Suspect | Open),
                    Suspect => matches!(to, Closed | Open),
                    Open => to == HalfOpen || to == Open && terms.config.resume == Resume::Manual,
                    HalfOpen => matches!(to, Ramp | Open),
                    Ramp => matches!(to, Ramp | Closed | Open),
                };
                assert!(may, "{from:?} → {to:?}");
                if to == Open && from != Open {
                    let most = (1.0 + JITTER) * OPEN_CAP_SECS.max(terms.lag_secs);
                    assert!((terms.lag_secs..=most).contains(&breaker.spell_secs), "{}", breaker.spell_secs);
                }
            }
        }
    }
    (breaker, now)
}

proptest! {
    /// One move a step at most, of those that the drawing has; spells within their bounds.
    #[test]
    fn moves_are_those_of_the_drawing(steps in outcomes(), lag_secs in 0.0..500.0f64, draw in 0.0..1.0f64, manual in any::<bool>()) {
        let resume = if manual { Resume::Manual } else { Resume::Auto };
        let config = BreakerConfig { resume, ..BreakerConfig::default() };
        walk(&steps, &Terms { config, lag_secs, draw, ..terms() });
    }

    /// Whatever happened: once it is well it is Closed again, within the longest of everything that can hold it.
    #[test]
    fn what_is_well_always_comes_back(
        steps in outcomes(), lag_secs in 0.0..300.0f64, failback_secs in 0.0..1000.0f64, draw in 0.0..1.0f64, silent in any::<bool>(),
    ) {
        let config = BreakerConfig { failback_secs, ..BreakerConfig::default() };
        let terms = Terms { config, lag_secs, draw, ..terms() };
        let (mut breaker, begin) = walk(&steps, &terms);
        let good = match silent {
            true => Evidence { proven: true, silent_secs: f64::INFINITY, ..Evidence::default() },
            false => seen(1000.0, 0.0),
        };
        let held = 3600.0f64.max((1.0 + JITTER) * OPEN_CAP_SECS.max(lag_secs));
        let end = begin + held + failback_secs + RAMP.len() as f64 * terms.hold_secs + SUSPECT_SECS + 70.0;
        let mut now = begin;
        while now < end {
            now += 5.0;
            breaker.step(&good, &terms, at(now));
        }
        prop_assert_eq!(breaker.state(), Closed);
    }
}
