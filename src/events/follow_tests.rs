use super::*;
use crate::events::kind::Kind;

/// A push to the phones at 10,000 s: 300 requests per second at its peak, on top of 1,000.
fn push() -> Announcement {
    Announcement {
        id: "push".into(),
        group: "web.example.com.".parse().unwrap(),
        cells: vec![],
        kind: Kind::Push,
        start: 10_000.0,
        size: Size::Peak(300.0),
        send_secs: 120.0,
        decay_secs: None,
        pass_along: Some(0.0),
        confidence: None,
        expires: 10_000.0 + 86_400.0,
        announcer: "crm".into(),
        note: String::new(),
    }
}

const USUAL: f64 = 1000.0;

/// What really happens: the announced curve times a factor, so many seconds late; with a few per cent of noise.
struct World {
    follower: Follower,
    factor: f64,
    late: f64,
    noise: u64,
    at: f64,
}

impl World {
    fn new(factor: f64, late: f64) -> World {
        let follower = Follower::new(Arc::new(push()), &Learnt::prior(Kind::Push), USUAL);
        World { follower, factor, late, noise: 7, at: -1500.0 }
    }

    fn extra(&self, t: f64) -> f64 {
        let curve = &self.follower.curves[0];
        self.factor * 300.0 / curve.peak().1 * curve.rate(t - self.late)
    }

    /// Goes on until `t` seconds after the announced start.
    fn until(&mut self, t: f64) -> &mut World {
        while self.at + BIN_SECS <= t {
            self.at += BIN_SECS;
            self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = 20.0 * ((self.noise >> 33) as f64 / f64::from(1u32 << 31) * 2.0 - 1.0);
            let demand = USUAL + noise + self.extra(self.at - BIN_SECS / 2.0);
            self.follower.observe(Bin { until: 10_000.0 + self.at, demand, usual: Some(USUAL) });
        }
        self
    }

    fn quantiles(&self, t: f64) -> Quantiles {
        self.follower.course(&[t])[0]
    }
}

/// Before the start the plan can count on the size as announced, with the doubts of its kind.
#[test]
fn before_the_start_it_is_as_announced() {
    let mut world = World::new(1.0, 0.0);
    let peak = world.follower.peak_at();
    world.until(-300.0);
    assert_eq!(world.follower.phase(), Phase::Waiting);
    let q = world.quantiles(peak);
    // Log-normal with σ 0.7, not at all with probability 0.1, and in nine forms: its 0.9 quantile is about 1.9 times what is said.
    assert!((350.0..900.0).contains(&q.at(0.9)), "{q:?}");
    assert!(q.at(0.5) > 100.0 && q.at(0.05) == 0.0, "{q:?}");
    assert_eq!(world.quantiles(-60.0).at(0.89), 0.0, "and not before it is due");
    assert_eq!(world.quantiles(90_000.0), Quantiles::certain(0.0), "nor after it has expired");
}

#[test]
fn what_comes_is_followed() {
    let check = |factor: f64, late: f64| {
        let mut world = World::new(factor, late);
        world.until(late + 420.0);
        let (seen, real) = (world.follower.mean(late + 420.0), world.extra(late + 420.0));
        assert_eq!(world.follower.phase(), Phase::Running, "{factor} {late} trust {}", world.follower.trust);
        assert!((0.7..1.4).contains(&(seen / real)), "{factor} {late}: {seen} of {real}");
        assert!((world.follower.shift() - late).abs() <= 60.0, "{factor} {late}: {}", world.follower.shift());
        let q = world.quantiles(late + 600.0);
        let later = world.extra(late + 600.0);
        assert!(q.at(0.05) < later && later < q.at(0.95), "{factor} {late}: {later} in {q:?}");
    };
    check(1.0, 0.0);
    check(3.0, 0.0);
    check(0.5, 0.0);
    check(1.0, 600.0);
    check(2.0, 1080.0);
    check(1.0, -480.0);
}

/// Truth rules: from five minutes after the start on, half of it is believed every five minutes.
#[test]
fn what_does_not_come_is_believed_less_and_less() {
    let mut world = World::new(0.0, 0.0);
    world.until(290.0);
    assert_eq!(world.follower.trust(), 1.0);
    assert_eq!(world.until(600.0).follower.phase(), Phase::Doubted);
    assert!((0.45..0.55).contains(&world.follower.trust()), "{}", world.follower.trust());
    assert!((0.2..0.3).contains(&world.until(900.0).follower.trust()));
    assert_eq!(world.until(1530.0).follower.phase(), Phase::Absent);
    assert_eq!(world.follower.trust(), 0.0);
    assert_eq!(world.quantiles(1600.0), Quantiles::certain(0.0));
    assert_eq!(world.follower.lesson(None), Some(Lesson::Absent));
}

#[test]
fn a_late_one_is_believed_again() {
    let mut world = World::new(1.0, 900.0);
    assert!(world.until(880.0).follower.trust() < 0.3);
    assert_eq!(world.until(1200.0).follower.phase(), Phase::Running);
    assert_eq!(world.follower.trust(), 1.0);
}

#[test]
fn ten_times_too_bold_costs_minutes() {
    let mut world = World::new(0.1, 0.0);
    world.until(600.0);
    let planned = world.quantiles(660.0).at(0.9);
    let said = world.follower.announced().1 / 300.0 * world.extra(660.0) / 0.1;
    assert!(planned < 0.5 * said, "{planned} of {said}");
}

#[test]
fn where_nobody_sees_it_is_not_believed_for_longer() {
    let mut follower = Follower::new(Arc::new(push()), &Learnt::prior(Kind::Push), USUAL);
    for i in 0..200 {
        follower.observe(Bin { until: 10_000.0 + f64::from(i) * BIN_SECS, demand: 5000.0, usual: None });
    }
    assert_eq!((follower.phase(), follower.trust()), (Phase::Absent, 0.0));
}

#[test]
fn the_lesson_is_how_much_came() {
    let check = |factor: f64| {
        let mut world = World::new(factor, 0.0);
        world.until(20_000.0);
        assert_eq!(world.follower.phase(), Phase::Over);
        let Some(Lesson::Came(log, Some(forms))) = world.follower.lesson(None) else { panic!() };
        assert!((log - factor.ln()).abs() < 0.25, "{factor}: {}", log.exp());
        assert!((forms.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    };
    check(1.0);
    check(0.5);
    check(2.5);
    let world = World::new(1.0, 0.0);
    assert_eq!(world.follower.lesson(None), None, "it is not over");
    let (all, _) = world.follower.announced();
    assert_eq!(world.follower.lesson(Some(2.0 * all)), Some(Lesson::Came(2f64.ln(), None)));
    assert_eq!(world.follower.lesson(Some(0.0)), Some(Lesson::Absent));
}

#[test]
fn what_spreads_by_itself_is_recognised() {
    let mut world = World::new(1.0, 0.0);
    let viral = world.follower.curves[FORMS.len()].clone();
    let peak = world.follower.curves[0].peak().1;
    let before = world.follower.pass_along();
    while world.at < 2400.0 {
        world.at += BIN_SECS;
        let extra = 300.0 / peak * viral.rate(world.at - BIN_SECS / 2.0);
        world.follower.observe(Bin { until: 10_000.0 + world.at, demand: USUAL + extra, usual: Some(USUAL) });
    }
    assert!(before < 0.1 && world.follower.pass_along() > 0.5, "{before} {}", world.follower.pass_along());
}

#[test]
fn a_restart_goes_on() {
    let mut world = World::new(2.0, 0.0);
    world.until(300.0);
    let text = serde_json::to_string(&world.follower).unwrap();
    assert!(text.len() < 300_000, "{}", text.len());
    let mut again: Follower = serde_json::from_str(&text).unwrap();
    again.equip();
    assert!((again.mean(400.0) / world.follower.mean(400.0) - 1.0).abs() < 1e-9);
}

#[test]
fn sizes_mean_what_they_say() {
    let of = |size: Size| {
        Follower::new(Arc::new(Announcement { size, ..push() }), &Learnt::prior(Kind::Push), USUAL).announced()
    };
    assert!((of(Size::Peak(300.0)).1 - 300.0).abs() < 1e-6);
    assert!((of(Size::Times(3.0)).1 - 2000.0).abs() < 1e-6);
    let (all, _) = of(Size::Requests(1e5));
    assert!((all / 1e5 - 1.0).abs() < 0.01, "{all}: a day of a push is nearly all of it");
}

#[test]
fn hostile_numbers_do_not_break_it() {
    let mut world = World::new(1.0, 0.0);
    for (i, demand) in [0.0, 1e12, -5.0, 1e-300, 0.0].into_iter().enumerate() {
        world.follower.observe(Bin { until: 10_000.0 + 15.0 * i as f64, demand, usual: Some(demand / 3.0) });
        assert!(world.follower.mean(100.0).is_finite() && world.quantiles(100.0).at(0.9).is_finite());
    }
    let nothing =
        Follower::new(Arc::new(Announcement { size: Size::Times(3.0), ..push() }), &Learnt::prior(Kind::Push), 0.0);
    assert!(nothing.mean(60.0).is_finite());
}
