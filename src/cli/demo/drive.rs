//! Drives the demo: asks over DNS, reports over gRPC, reads the server's state, and films what it sees.

use crate::admin::State;
use crate::admin::state::GroupState;
use crate::admin::steering::from_proto;
use crate::cli::demo::agent::Agent;
use crate::cli::demo::dns::{Asker, Observer};
use crate::cli::demo::film::{Figures, Film, Frame, PopFrame};
use crate::cli::demo::world::{self, Resolver, Script, Step};
use crate::steering::BreakerState;
use crate::telemetry::grpc::{shadow_from_proto, shadow_to_proto};
use crate::telemetry::proto::directive::Say;
use crate::telemetry::proto::events_client::EventsClient;
use crate::telemetry::proto::steering_client::SteeringClient;
use crate::telemetry::proto::telemetry_client::TelemetryClient;
use crate::telemetry::proto::{
    AnnounceRequest, Announcement, ExplainRequest, Latency, Sample, StateRequest, Utilisation, Wanted,
};
use hickory_proto::rr::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Blocks of the built-in database, one a city: 127.(8 n).0.0/13 (see geoip/default.csv).
const CITIES: u8 = 32;
/// Resolvers in each city: the more, the smoother the shares, and a trickle of a hundredth finds some of them.
const RESOLVERS: u8 = 32;

//----------- Drive ----------------------------------------------------------

/// The demo while it plays.
pub struct Drive {
    script: Script,
    began: Instant,
    name: Name,
    group: String,
    asker: Asker,
    observer: Observer,
    steering: SteeringClient<Channel>,
    events: EventsClient<Channel>,
    samples: mpsc::Sender<Sample>,
    wishes: mpsc::Receiver<Wanted>,
    /// The generation of the wishes that each POP holds: its samples acknowledge it.
    held: BTreeMap<String, u64>,
    seq: u64,
    resolvers: Vec<Resolver>,
    /// One client of each cell that has resolvers.
    cells: BTreeMap<String, Ipv4Addr>,
    agents: Vec<Agent>,
    pops: Vec<String>,
    pop_of: BTreeMap<IpAddr, usize>,
    declared: Vec<f64>,
    failing: Option<usize>,
    /// Looks for the first answer that is another: when it began to look, and what it finds.
    looking: Option<(f64, Looking)>,
    totals: Summary,
    film: Film,
}

/// Seconds until an answer was another, when that is known.
type Looking = JoinHandle<Result<Option<f64>, String>>;

/// Where a server is, and what to ask it for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its gRPC address.
    pub grpc: String,
    /// Its DNS address.
    pub dns: SocketAddr,
    /// A steered name.
    pub name: String,
    /// The group that answers it, or the beginning of it.
    pub group: String,
    /// Whether answers are looked at by `dig`.
    pub by_dig: bool,
}

/// What the view shows of one second.
pub struct Moment {
    /// Seconds since the start.
    pub t: f64,
    /// The server's own state.
    pub state: State,
    /// What each POP went through, beside `pops`.
    pub steps: Vec<Step>,
    /// The POPs' names, in the order of `state.pops`.
    pub pops: Vec<String>,
    /// The POP that fails at the moment.
    pub failing: Option<String>,
}

/// What the play came to.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Summary {
    /// Requests that clients made.
    pub requests: f64,
    /// Of those, how many failed.
    pub failed: f64,
    /// DNS queries that the clients' resolvers asked.
    pub queries: u64,
    /// Seconds from the start of the failure until the server gave the POP to nobody; `None` if it did not.
    pub seconds_to_trip: Option<f64>,
    /// What the course of it shows.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Drive {
    /// Connects, learns the POPs and the places of the resolvers from the server, and takes its place.
    pub async fn start(target: &Target, script: Script) -> Result<Drive, String> {
        let grpc = &target.grpc;
        let channel = Channel::from_shared(format!("http://{grpc}")).map_err(|e| format!("{grpc}: {e}"))?;
        let channel = channel.connect().await.map_err(|e| format!("{grpc}: {e}; is a server running there?"))?;
        let mut steering = SteeringClient::new(channel.clone());
        let state = state_of(&mut steering).await?;
        let asked = target.group.trim_end_matches('.').to_string() + ".";
        let spec = state.groups.iter().find(|g| g.name == asked || g.name.starts_with(&asked)).ok_or_else(|| {
            let known: Vec<&str> = state.groups.iter().map(|g| g.name.as_str()).collect();
            format!("no group {asked} on the server; it has {}", known.join(" "))
        })?;
        let (samples, wishes) = report_stream(channel.clone());
        let pops: Vec<String> = state.pops.iter().map(|p| p.name.clone()).collect();
        let name = &target.name;
        let resolvers = resolvers(&mut steering, name).await?;
        let mut drive = Drive {
            script,
            began: Instant::now(),
            name: name.parse().map_err(|e| format!("{name}: {e}"))?,
            group: spec.name.clone(),
            asker: Asker::to(target.dns).await?,
            observer: Observer { server: target.dns, name: name.clone(), by_dig: target.by_dig },
            steering: steering.clone(),
            events: EventsClient::new(channel),
            samples,
            wishes,
            held: BTreeMap::new(),
            seq: 0,
            cells: resolvers.iter().map(|r| (r.cell.clone(), r.prefix)).collect(),
            resolvers,
            agents: agents(spec, &pops),
            pop_of: BTreeMap::new(),
            declared: state.pops.iter().map(|p| p.capacity).collect(),
            failing: None,
            looking: None,
            totals: Summary::default(),
            film: Film { pops: pops.clone(), ..Film::default() },
            pops,
        };
        for member in &spec.members {
            let Some(pop) = member.pop.as_ref().and_then(|p| drive.pops.iter().position(|q| q == p)) else { continue };
            let asked = member.name.parse().map_err(|e| format!("{}: {e}", member.name))?;
            for (address, _) in drive.asker.ask(&asked, None).await? {
                drive.pop_of.insert(address, pop);
            }
        }
        Ok(drive)
    }

    /// One second: expired resolvers ask, POPs bear and report, the server is asked for its state and its answers.
    pub async fn step(&mut self) -> Result<Moment, String> {
        let t = self.began.elapsed().as_secs_f64();
        if self.film.announced.is_none() && t >= self.script.announce_at {
            self.announce(t).await?;
        }
        for i in 0..self.resolvers.len() {
            if self.resolvers[i].must_ask(t) {
                let found = self.asker.ask(&self.name, Some(self.resolvers[i].prefix)).await?;
                match found.first() {
                    // Multiples of the golden ratio spread evenly, however many there are.
                    Some((address, ttl)) => self.resolvers[i].take(*address, *ttl, t, (i as f64 * 0.618_034).fract()),
                    None => self.resolvers[i].held = None,
                }
            }
        }
        self.heed(t);
        let fails_now = self.script.fails(t) && self.failing.is_none();
        if fails_now {
            let load = |i: &usize| self.steps(t, usize::MAX)[*i].rate;
            self.failing = (0..self.pops.len()).max_by(|a, b| load(a).total_cmp(&load(b)));
        }
        let witness = if fails_now { self.witness().await? } else { None };
        let steps = self.steps(t, self.failing.unwrap_or(usize::MAX));
        if let Some((client, before)) = witness {
            let observer = self.observer.clone();
            // From before the report leaves: what is measured is never less than it was.
            let looking = tokio::spawn(async move { observer.until_changed(client, before).await });
            self.looking = Some((self.began.elapsed().as_secs_f64(), looking));
        }
        self.report(&steps, t).await?;
        let state = state_of(&mut self.steering).await?;
        self.film(t, &steps, &state).await?;
        self.totals.requests += steps.iter().map(|s| s.rate).sum::<f64>();
        self.totals.failed += steps.iter().map(|s| s.error_rate).sum::<f64>();
        if let (Some(failing), None) = (self.failing, self.totals.seconds_to_trip)
            && state.pops[failing].breaker == BreakerState::Open
        {
            self.totals.seconds_to_trip = Some(t - self.script.fail_at);
        }
        let failing = self.failing.filter(|_| self.script.fails(t)).map(|i| self.pops[i].clone());
        Ok(Moment { t, state, steps, pops: self.pops.clone(), failing })
    }

    /// What the play came to so far.
    pub fn summary(&self) -> Summary {
        Summary { queries: self.asker.n_asked, figures: self.film.figures(), ..self.totals }
    }

    /// The course of the play so far.
    pub fn filmed(&self) -> &Film {
        &self.film
    }

    fn steps(&self, t: f64, failing: usize) -> Vec<Step> {
        world::loads(&self.script, t, self.mean(), &self.resolvers, &self.pop_of, &self.declared, failing)
    }

    /// Mean demand, requests per second.
    fn mean(&self) -> f64 {
        self.script.mean * self.declared.iter().sum::<f64>()
    }

    /// Announces the surge as somebody would who knows about it.
    async fn announce(&mut self, t: f64) -> Result<(), String> {
        let surging = || self.resolvers.iter().filter(|r| r.surging);
        let more = self.script.surge_factor - 1.0;
        let peak = self.mean() * more * surging().map(|r| r.weight).sum::<f64>();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        let announcement = Announcement {
            id: format!("demo-{unix:.0}"),
            group: self.group.clone(),
            cells: surging().map(|r| r.cell.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
            kind: "broadcast".into(),
            start: Some(unix + self.script.surge_at - t),
            peak: Some(peak),
            send_seconds: Some(self.script.surge_rise + self.script.surge_stay),
            announcer: "floodway demo".into(),
            note: "the surge of the demo".into(),
            ..Announcement::default()
        };
        let request = AnnounceRequest { announcement: Some(announcement), dry_run: false };
        self.events.announce(request).await.map_err(|status| status.message().to_string())?;
        self.film.announced = Some((t, self.script.surge_at));
        self.film.mark(t, "announced");
        self.film.mark(self.script.surge_at, "surge begins");
        Ok(())
    }

    /// Lets the agents hear what the server wants.
    fn heed(&mut self, t: f64) {
        while let Ok(wanted) = self.wishes.try_recv() {
            self.held.insert(wanted.pop.clone(), wanted.generation);
            for wish in &wanted.shadows {
                let wanted = shadow_from_proto(wish.wanted());
                let agent = self.agents.iter_mut().find(|a| a.member == wish.member);
                if let (Some(wanted), Some(agent)) = (wanted, agent) {
                    agent.hear(wanted, t, self.script.warm_secs);
                }
            }
        }
    }

    /// A client who is given the POP that is about to fail, and the address of its answer.
    async fn witness(&mut self) -> Result<Option<(Ipv4Addr, IpAddr)>, String> {
        let clients: Vec<Ipv4Addr> = self.resolvers.iter().map(|r| r.prefix).collect();
        let seen = self.observer.look(&clients).await?;
        let there = |address: &IpAddr| self.pop_of.get(address).is_some_and(|pop| Some(*pop) == self.failing);
        Ok(clients.into_iter().zip(seen).find_map(|(client, address)| Some((client, address.filter(there)?))))
    }

    async fn report(&mut self, steps: &[Step], t: f64) -> Result<(), String> {
        for (p, step) in steps.iter().enumerate() {
            self.seq += 1;
            let blank = Sample {
                seq: self.seq,
                pop: self.pops[p].clone(),
                group: self.group.clone(),
                window_seconds: 1.0,
                wanted_generation: Some(self.held.get(&self.pops[p]).copied().unwrap_or(0)),
                ..Sample::default()
            };
            let mut samples = vec![Sample {
                requests: step.rate,
                errors: step.error_rate.min(step.rate),
                latency: Some(Latency {
                    p50_ms: Some(step.p50_ms),
                    p95_ms: Some(step.p50_ms * 2.5),
                    p99_ms: Some(step.p50_ms * 5.0),
                }),
                utilisation: Some(Utilisation { cpu: Some(step.cpu), ..Utilisation::default() }),
                cells: step.cells.clone().into_iter().collect(),
                ..blank.clone()
            }];
            if let Some(agent) = self.agents.iter_mut().find(|a| a.pop == p) {
                // What comes to a POP that has other members is not told apart here: it is theirs.
                samples.extend((!agent.is_alone).then_some(blank));
                if let Some(sample) = samples.last_mut() {
                    sample.member = Some(agent.member.clone());
                    sample.shadow = Some(shadow_to_proto(agent.state(t)).into());
                }
            }
            for sample in samples {
                self.samples.send(sample).await.map_err(|_| "the server ended the telemetry stream".to_string())?;
            }
        }
        Ok(())
    }

    /// The share that the plan gives each POP of a cell's answers, by cell.
    async fn plan(&mut self) -> Result<BTreeMap<String, Vec<f64>>, String> {
        let mut plan = BTreeMap::new();
        for (cell, client) in &self.cells {
            let steered = explained(&mut self.steering, &self.observer.name, *client).await?;
            let mut shares = vec![0.0; self.pops.len()];
            for candidate in steered["candidates"].as_array().into_iter().flatten() {
                if let Some(pop) = self.pops.iter().position(|p| candidate["pop"] == **p) {
                    shares[pop] += candidate["share"].as_f64().unwrap_or(0.0);
                }
            }
            plan.insert(cell.clone(), shares);
        }
        Ok(plan)
    }

    /// Looks at the plan and the answers, and keeps this second.
    async fn film(&mut self, t: f64, steps: &[Step], state: &State) -> Result<(), String> {
        let clients: Vec<Ipv4Addr> = self.resolvers.iter().map(|r| r.prefix).collect();
        let seen = self.observer.look(&clients).await?;
        let plan = self.plan().await?;
        let whole: f64 = self.resolvers.iter().map(|r| r.demand(&self.script, t)).sum();
        let (mut intended, mut answered) = (vec![0.0; self.pops.len()], vec![0.0; self.pops.len()]);
        let (mut surging, mut all_surging) = (vec![0.0; self.pops.len()], 0.0);
        for (i, resolver) in self.resolvers.iter().enumerate() {
            let part = resolver.demand(&self.script, t) / whole;
            for (intended, share) in intended.iter_mut().zip(&plan[&resolver.cell]) {
                *intended += part * share;
            }
            all_surging += if resolver.surging { resolver.weight } else { 0.0 };
            let Some(pop) = seen.get(i).and_then(|a| self.pop_of.get(&(*a)?)) else { continue };
            answered[*pop] += part;
            surging[*pop] += if resolver.surging { resolver.weight } else { 0.0 };
        }
        surging.iter_mut().for_each(|share| *share /= f64::max(all_surging, 1e-9));
        let arrived: f64 = steps.iter().map(|s| s.rate).sum();
        let Some(group) = state.groups.iter().find(|g| g.name == self.group) else {
            return Err(format!("the server has no group {} any more", self.group));
        };
        let of_pop = |(p, step): (usize, &Step)| PopFrame {
            intended: intended[p],
            answered: (!seen.is_empty()).then(|| answered[p]),
            observed: step.rate / arrived.max(1e-9),
            load: step.rate,
            capacity: state.pops[p].capacity,
            breaker: state.pops[p].breaker,
            shadow: group.members.iter().filter(|m| m.pop.as_ref() == Some(&self.pops[p])).find_map(|m| m.shadow),
        };
        let pops: Vec<PopFrame> = steps.iter().enumerate().map(of_pop).collect();
        self.mark_changes(t, &pops).await?;
        self.film.frames.push(Frame {
            t,
            demand: self.mean() * whole,
            planned: group.planned,
            ttl: group.ttl_seconds,
            pops,
            surging: if seen.is_empty() { Vec::new() } else { surging },
        });
        Ok(())
    }

    /// Marks what a look at the second before shows: shadows and breakers that moved, the first answer that is another.
    async fn mark_changes(&mut self, t: f64, pops: &[PopFrame]) -> Result<(), String> {
        if let Some((told, looking)) = self.looking.take_if(|(_, looking)| looking.is_finished()) {
            self.film.to_changed_answer = looking.await.map_err(|e| e.to_string())??;
            let after = self
                .film
                .to_changed_answer
                .map_or("no other answer".into(), |s| format!("another answer {s:.2} s later"));
            self.film.mark(told, format!("failure reported, {after}"));
        }
        let before = self.film.frames.last().map(|f| f.pops.clone()).unwrap_or_default();
        for ((name, was), is) in self.pops.iter().zip(&before).zip(pops) {
            let name = name.split('.').next().unwrap_or(name);
            if let (true, Some(state)) = (was.shadow != is.shadow, is.shadow) {
                self.film.mark(t, format!("{name} {}", format!("{state:?}").to_lowercase()));
            }
            if was.breaker != is.breaker && matches!(is.breaker, BreakerState::Open | BreakerState::Closed) {
                self.film.mark(t, format!("{name} {:?}", is.breaker));
            }
        }
        Ok(())
    }
}

/// The agents of a group's shadow members.
fn agents(group: &GroupState, pops: &[String]) -> Vec<Agent> {
    let is_shadow = |role: &str| role == "shadow";
    let agent = |m: &crate::admin::state::MemberState| {
        let pop = pops.iter().position(|p| Some(p) == m.pop.as_ref())?;
        let others = group.members.iter().any(|o| o.pop == m.pop && !is_shadow(&o.role));
        Some(Agent::new(&m.name, pop, !others))
    };
    group.members.iter().filter(|m| is_shadow(&m.role)).filter_map(agent).collect()
}

async fn state_of(steering: &mut SteeringClient<Channel>) -> Result<State, String> {
    let said = steering.state(StateRequest {}).await.map_err(|s| s.message().to_string())?;
    Ok(from_proto(said.into_inner()))
}

/// One telemetry stream for all POPs: what is sent into it is reported, and what comes out of it is what the server wants.
fn report_stream(channel: Channel) -> (mpsc::Sender<Sample>, mpsc::Receiver<Wanted>) {
    let ((samples, outgoing), (wishes, wanted)) = (mpsc::channel(64), mpsc::channel(64));
    tokio::spawn(async move {
        let mut client = TelemetryClient::new(channel);
        if let Ok(said) = client.report(ReceiverStream::new(outgoing)).await {
            let mut directives = said.into_inner();
            while let Ok(Some(directive)) = directives.message().await {
                if let Some(Say::Wanted(wanted)) = directive.say
                    && wishes.send(wanted).await.is_err()
                {
                    return;
                }
            }
        }
    });
    (samples, wanted)
}

/// The resolvers: some in every city of the built-in database, their weights falling as 1/√rank.
async fn resolvers(steering: &mut SteeringClient<Channel>, name: &str) -> Result<Vec<Resolver>, String> {
    let weight = |rank: u8| 1.0 / f64::from(rank).sqrt();
    let whole = f64::from(CITIES) * (1..=RESOLVERS).map(weight).sum::<f64>();
    let mut all = Vec::new();
    for city in 0..CITIES {
        let steered = explained(steering, name, Ipv4Addr::new(127, 8 * city, 0, 1)).await?;
        let place = &steered["place"];
        let longitude = place["at"][1].as_f64().unwrap_or(0.0);
        for rank in 1..=RESOLVERS {
            all.push(Resolver {
                prefix: Ipv4Addr::new(127, 8 * city + rank % 8, rank, 0),
                longitude,
                cell: place["cell"].as_str().unwrap_or("unknown").to_string(),
                weight: weight(rank) / whole,
                surging: longitude > 60.0,
                held: None,
            });
        }
    }
    Ok(all)
}

/// Why a client gets its answer, as the server tells it: the part about steering.
async fn explained(
    steering: &mut SteeringClient<Channel>,
    name: &str,
    client: Ipv4Addr,
) -> Result<serde_json::Value, String> {
    let request = ExplainRequest { name: name.to_string(), client: client.to_string(), r#type: None };
    let said = steering.explain(request).await.map_err(|s| s.message().to_string())?.into_inner();
    let mut said: serde_json::Value = serde_json::from_str(&said.json).map_err(|e| e.to_string())?;
    match said["steering"].take() {
        serde_json::Value::Null => {
            Err(format!("{name} is not steered by the server; --name takes a name with a STEER record"))
        }
        steered => Ok(steered),
    }
}
