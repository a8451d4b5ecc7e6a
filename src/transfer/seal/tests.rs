use super::*;
use crate::dnssec::sign::{Denial, Rules};
use crate::dnssec::signer::Validity;
use crate::dnssec::verify::verify;
use crate::dnssec::{Algorithm, Key, Ring, Timing};
use crate::exchange::{MemberAnswer, compose_answers};
use crate::policy::{Policies, PolicyFile};
use crate::transfer::keep::Keep;
use crate::wire::records::Records;
use crate::zone::ZoneSet;
use crate::zone::diff::Difference;
use crate::zone::diff::build;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write;

const START: u32 = 1_800_000_000;
const DAY: u32 = 86_400;
const POLICY: &str = "ams.pop POP at=52,4 capacity=1k\nfra.pop POP at=50,8 capacity=1k\nweb GROUP answers=1\n\
                      web MEMBER ams pop=ams.pop\nweb MEMBER fra pop=fra.pop\nnew STEER web\nhalf STEER web\nwww STEER web\n";

/// What makes one version of a zone.
#[derive(Clone, Debug)]
struct State {
    /// The file's serial, and its hosts with their last octets.
    serial: u32,
    hosts: Vec<(u8, u8)>,
    denial: Denial,
    n_keys: usize,
    now: u32,
}

impl State {
    fn text(&self) -> String {
        let mut text = format!(
            "$TTL 300\n@ SOA ns h {} 2 3 4 60\n@ NS ns\nns A 192.0.2.1\nsub NS ns.sub\nns.sub A 192.0.2.9\nsafe NS ns.sub\n\
             safe DS 1 13 2 {:064}\n*.w TXT w\na.b.c A 192.0.2.7\nams A 192.0.2.11\nams AAAA ::1\nfra A 192.0.2.12\nfra AAAA ::2\n\
             half A 192.0.2.13\nwww A 192.0.2.14\nwww AAAA ::3\n",
            self.serial, 0
        );
        self.hosts.iter().for_each(|(host, octet)| writeln!(text, "h{host} A 192.0.2.{octet}").unwrap());
        text
    }
}

/// A server without sockets.
struct World {
    dir: tempfile::TempDir,
    keys: Vec<Key>,
    keep: Keep,
    settings: ZoneSettings,
    /// What was signed last by this process, and what whoever transfers has got.
    served: Option<(Arc<Zone>, Arc<Signed>)>,
    has: Option<Zone>,
}

impl World {
    fn new(serial: SerialRule) -> World {
        let dir = tempfile::tempdir().unwrap();
        let key = |flags| Key::generate(apex(), flags, Algorithm::EcdsaP256, Timing::default()).unwrap();
        let settings = ZoneSettings { serial, leaves: true, journaled: true, ..ZoneSettings::default() };
        let keep = Keep::open(dir.path()).unwrap();
        World { dir, keys: vec![key(257), key(256), key(256)], keep, settings, served: None, has: None }
    }

    /// As a load or a renewal does it: the differences that lead on from what the secondary has, `None` if it needs the whole.
    fn load(&mut self, state: &State) -> Option<Vec<Arc<Difference>>> {
        let mut report = crate::masterfile::Report::default();
        let no_includes = &mut |_: &str| Err("none".to_string());
        let zone = crate::zone::load::load("z", state.text(), &apex(), no_includes, &mut report);
        let mut set = ZoneSet::new(vec![zone.unwrap_or_else(|| panic!("{report}"))]);
        let file = PolicyFile::new("example.policy", POLICY);
        let no_includes = &mut |_: &str| Err("none".to_string());
        let policies = crate::policy::load(vec![file], no_includes, &set, &[], &mut report);
        let policies = policies.unwrap_or_else(|| panic!("{report}"));
        set.steer(policies.steers.iter().map(|steer| (&steer.name, steer.group)));
        let answers = compose_answers(&policies, &set);
        let zone = set.iter().next().unwrap().clone();
        drop(set);
        self.keep.seal(&apex(), true, &self.settings).unwrap();
        let (version, signed) = self.sign(state, &zone, &policies, &answers);
        self.keep.seals.commit(&version, Some(&signed), &self.settings).unwrap();
        self.served = Some((version.clone(), signed));
        let history = self.keep.histories().remove(&apex());
        let chain = self.has.as_ref().map(|has| match has.serial() == version.serial() {
            true => Some(Vec::new()),
            false => history.and_then(|history| history.since(has.serial())),
        });
        chain.flatten()
    }

    fn sign(
        &mut self,
        state: &State,
        zone: &Arc<Zone>,
        policies: &Policies,
        answers: &[Vec<MemberAnswer>],
    ) -> (Arc<Zone>, Arc<Signed>) {
        let ring = Ring::at(state.now, &apex(), self.keys[..state.n_keys].iter()).unwrap();
        let validity = Validity { holds: 14 * DAY, refresh: 7 * DAY };
        let rules = Rules { denial: state.denial, validity, dnskey_ttl: 3600, max_alternatives: 100 };
        let task = Task { zone, policies, answers, ring: &ring, rules: &rules, now: state.now, hash_keys: (1, 2) };
        let known = self.served.clone();
        let known = known.as_ref().map(|(zone, signed)| (&**zone, &**signed));
        self.keep.seals.sign(zone, task, known, &self.settings).unwrap()
    }

    fn restart(&mut self) {
        self.keep = Keep::open(self.dir.path()).unwrap();
        self.served = None;
    }

    /// The zone as a transfer gives it whole.
    fn whole(&self) -> Zone {
        let (zone, signed) = self.served.as_ref().unwrap();
        let mut records = Records::default();
        let all = Version { zone, signed: Some(signed) }.records();
        all.for_each(|of_owner| of_owner.iter().for_each(|record| records.put(&record)));
        build(&apex(), &records).unwrap()
    }
}

fn apex() -> Name {
    "example".parse().unwrap()
}

/// All records; those of signatures without TTL, which is that of what they cover.
fn contents(zone: &Zone) -> BTreeSet<(Vec<u8>, u16, u32, Vec<u8>)> {
    let of_node = |node: crate::zone::store::Node<'_>| {
        let name = node.relative_name().to_vec();
        let of = move |rrset: crate::zone::RRset<'_>| -> Vec<_> {
            let ttl = if rrset.rtype == 46 { 0 } else { rrset.ttl };
            rrset.rdatas().map(|rdata| (name.clone(), rrset.rtype, ttl, rdata.into_owned())).collect()
        };
        node.rrsets().flat_map(of).collect::<Vec<_>>()
    };
    zone.nodes().flat_map(of_node).collect()
}

fn start() -> State {
    State { serial: 5, hosts: vec![(1, 1), (2, 2)], denial: Denial::Nsec, n_keys: 2, now: START }
}

/// What changes in a signed zone raises its serial by the rule, and goes out as a difference (RFC 1995); what does not change,
/// does not. A restart changes nothing, and nothing takes a serial back (RFC 1982).
#[test]
fn serials_of_signed_zones_only_grow() {
    let mut world = World::new(SerialRule::File);
    let serial = |world: &World| world.served.as_ref().unwrap().0.serial();
    let mut state = start();
    world.load(&state);
    assert_eq!(serial(&world), 6, "signed for the first time");
    world.load(&state);
    world.restart();
    world.load(&state);
    assert_eq!((serial(&world), world.served.as_ref().unwrap().1.facts.n_made), (6, 17), "only what policies answer");
    world.has = Some(world.whole());

    // Signatures are renewed, and nothing else.
    state.now += 7 * DAY;
    let chain = world.load(&state).unwrap();
    assert_eq!((serial(&world), chain.len()), (7, 1));
    let n_others = chain[0].added.iter().filter(|r| !matches!(r.rtype, 6 | 46)).count();
    assert!(n_others == 0 && chain[0].added.len() > 10, "{n_others}");
    // A key more is one DNSKEY more, and its signature.
    state.n_keys = 3;
    world.has = Some(world.whole());
    let chain = world.load(&state).unwrap();
    assert_eq!((serial(&world), chain[0].from, chain[0].to), (8, 7, 8));
    assert!(chain[0].added.iter().any(|r| r.rtype == 48));
    // The file's serial counts once it is newer than what was served.
    (state.serial, state.hosts[0].1) = (7, 3);
    world.load(&state);
    assert_eq!(serial(&world), 9);
    (state.serial, state.hosts[0].1) = (20, 4);
    world.load(&state);
    assert_eq!(serial(&world), 20);
    (state.serial, state.hosts[0].1) = (6, 5);
    world.restart();
    world.load(&state);
    assert_eq!(serial(&world), 21);
    // Nobody says a serial back by an edit of nothing else, either; a new SOA is a change.
    state.serial = 1;
    world.load(&state);
    assert_eq!(serial(&world), 21);
}

/// Rules that make serials make them for signatures, too.
#[test]
fn rules_hold_for_signatures() {
    for (rule, first, second) in
        [(SerialRule::UnixTime, START, START + 7 * DAY), (SerialRule::DateCounter, 2_027_011_500, 2_027_012_200)]
    {
        let (mut world, mut state) = (World::new(rule), start());
        world.load(&state);
        assert_eq!(world.served.as_ref().unwrap().0.serial(), first, "{rule:?}");
        state.now += 7 * DAY;
        world.load(&state);
        assert_eq!(world.served.as_ref().unwrap().0.serial(), second, "{rule:?}");
    }
}

/// A version that could not be written down is followed by a whole one, not by a difference to what is not there.
#[test]
fn a_torn_journal_is_written_anew() {
    let (mut world, mut state) = (World::new(SerialRule::File), start());
    world.load(&state);
    world.keep.seals.zones.get_mut(&apex()).unwrap().is_torn = true;
    state.hosts.push((9, 9));
    world.load(&state);
    let expected = contents(&world.whole());
    world.restart();
    world.keep.seal(&apex(), true, &world.settings).unwrap();
    let last = &world.keep.seals.zones[&apex()].last;
    assert_eq!(contents(last.version().unwrap().zone), expected);
}

fn step() -> impl Strategy<Value = (u8, u8, u8)> {
    (0u8..8, 0u8..6, 1u8..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Whatever becomes of a zone, its keys and its policies: differences applied to the version before are the version after
    /// (RFC 1995 section 4), what leaves verifies, and its serial grows with every change and with nothing else.
    #[test]
    fn differences_lead_to_what_is_signed(steps in prop::collection::vec(step(), 1..8)) {
        let (mut world, mut state) = (World::new(SerialRule::File), start());
        world.load(&state);
        world.has = Some(world.whole());
        for (what, host, octet) in steps {
            match what {
                0 => state.hosts.retain(|(h, _)| *h != host),
                1 | 2 => { state.hosts.retain(|(h, _)| *h != host); state.hosts.push((host, octet)) }
                3 => state.now += u32::from(octet) * 3 * DAY,
                4 => state.n_keys = 1 + usize::from(octet % 3),
                5 => state.denial = if octet == 1 { Denial::Nsec } else { Denial::Nsec3 { opt_out: octet == 2 } },
                6 => state.serial = u32::from(octet) * 3,
                _ => world.restart(),
            }
            let has = world.has.take().unwrap();
            world.has = Some(has.clone());
            let chain = world.load(&state).expect("the history goes on");
            let whole = world.whole();
            let mut got = has.clone();
            for diff in &chain {
                got = diff.apply(&got).unwrap();
            }
            prop_assert!(contents(&got) == contents(&whole));
            prop_assert_eq!(contents(&has) == contents(&whole), has.serial() == whole.serial());
            prop_assert!(has.serial() == whole.serial() || is_newer(whole.serial(), has.serial()));
            let gathered = presigned::gather(&whole).unwrap();
            prop_assert_eq!(verify(&whole, &gathered, state.now, 9), vec![]);
            world.has = Some(whole);
        }
    }
}
