//! Drives the demo: asks over DNS, reports over gRPC, reads the server's state.

use crate::admin::State;
use crate::admin::steering::from_proto;
use crate::cli::demo::world::{self, Resolver, Script, Step};
use crate::telemetry::proto::steering_client::SteeringClient;
use crate::telemetry::proto::telemetry_client::TelemetryClient;
use crate::telemetry::proto::{ExplainRequest, Latency, Sample, StateRequest, Utilisation};
use hickory_proto::op::{Edns, Message, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Blocks of the built-in database, one a city: 127.(8 n).0.0/13 (see geoip/default.csv).
const CITIES: u8 = 32;
/// Resolvers in each city; the more, the smoother the shares.
const RESOLVERS: u8 = 12;
/// Longest wait for a reply on loopback.
const PATIENCE: Duration = Duration::from_millis(500);

//----------- Drive ----------------------------------------------------------

/// The demo while it plays.
pub struct Drive {
    script: Script,
    began: Instant,
    name: Name,
    group: String,
    socket: UdpSocket,
    steering: SteeringClient<Channel>,
    samples: mpsc::Sender<Sample>,
    seq: u64,
    resolvers: Vec<Resolver>,
    pops: Vec<String>,
    pop_of: BTreeMap<IpAddr, usize>,
    declared: Vec<f64>,
    failing: Option<usize>,
    totals: Summary,
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
    /// DNS queries asked.
    pub queries: u64,
    /// Seconds from the start of the failure until the server gave the POP to nobody; `None` if it did not.
    pub seconds_to_trip: Option<f64>,
}

impl Drive {
    /// Connects, learns the POPs and the places of the resolvers from the server, and takes its place.
    pub async fn start(grpc: &str, dns: SocketAddr, name: &str, group: &str, script: Script) -> Result<Drive, String> {
        let channel = Channel::from_shared(format!("http://{grpc}")).map_err(|e| format!("{grpc}: {e}"))?;
        let channel = channel.connect().await.map_err(|e| format!("{grpc}: {e}; is a server running there?"))?;
        let mut steering = SteeringClient::new(channel.clone());
        let socket = UdpSocket::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
        socket.connect(dns).await.map_err(|e| format!("{dns}: {e}"))?;
        let state = state_of(&mut steering).await?;
        let asked = group.trim_end_matches('.').to_string() + ".";
        let spec = state.groups.iter().find(|g| g.name == asked || g.name.starts_with(&asked)).ok_or_else(|| {
            let known: Vec<&str> = state.groups.iter().map(|g| g.name.as_str()).collect();
            format!("no group {asked} on the server; it has {}", known.join(" "))
        })?;
        let mut drive = Drive {
            script,
            began: Instant::now(),
            name: name.parse().map_err(|e| format!("{name}: {e}"))?,
            group: spec.name.clone(),
            socket,
            steering: steering.clone(),
            samples: report_stream(channel),
            seq: 0,
            resolvers: resolvers(&mut steering, name).await?,
            pops: state.pops.iter().map(|p| p.name.clone()).collect(),
            pop_of: BTreeMap::new(),
            declared: state.pops.iter().map(|p| p.capacity).collect(),
            failing: None,
            totals: Summary::default(),
        };
        for member in &spec.members {
            let Some(pop) = member.pop.as_ref().and_then(|p| drive.pops.iter().position(|q| q == p)) else { continue };
            let asked = member.name.parse().map_err(|e| format!("{}: {e}", member.name))?;
            for (address, _) in drive.ask(&asked, None).await? {
                drive.pop_of.insert(address, pop);
            }
        }
        Ok(drive)
    }

    /// One second: expired resolvers ask, POPs bear and report, the server is asked for its state.
    pub async fn step(&mut self) -> Result<Moment, String> {
        let t = self.began.elapsed().as_secs_f64();
        for i in 0..self.resolvers.len() {
            if self.resolvers[i].must_ask(t) {
                let found = self.ask(&self.name.clone(), Some(self.resolvers[i].prefix)).await?;
                self.resolvers[i].held = found.first().map(|(address, ttl)| (*address, t + f64::from(*ttl)));
            }
        }
        if self.script.fails(t) && self.failing.is_none() {
            let load = |i: &usize| self.steps(t, usize::MAX)[*i].rate;
            self.failing = (0..self.pops.len()).max_by(|a, b| load(a).total_cmp(&load(b)));
        }
        let steps = self.steps(t, self.failing.unwrap_or(usize::MAX));
        self.report(&steps).await?;
        let state = state_of(&mut self.steering).await?;
        self.totals.requests += steps.iter().map(|s| s.rate).sum::<f64>();
        self.totals.failed += steps.iter().map(|s| s.error_rate).sum::<f64>();
        if let (Some(failing), None) = (self.failing, self.totals.seconds_to_trip)
            && state.pops[failing].breaker == crate::steering::BreakerState::Open
        {
            self.totals.seconds_to_trip = Some(t - self.script.fail_at);
        }
        let failing = self.failing.filter(|_| self.script.fails(t)).map(|i| self.pops[i].clone());
        Ok(Moment { t, state, steps, pops: self.pops.clone(), failing })
    }

    /// What the play came to so far.
    pub fn summary(&self) -> Summary {
        self.totals
    }

    fn steps(&self, t: f64, failing: usize) -> Vec<Step> {
        let total = self.script.mean * self.declared.iter().sum::<f64>();
        world::loads(&self.script, t, total, &self.resolvers, &self.pop_of, &self.declared, failing)
    }

    async fn report(&mut self, steps: &[Step]) -> Result<(), String> {
        for (pop, step) in self.pops.iter().zip(steps) {
            self.seq += 1;
            let sample = Sample {
                seq: self.seq,
                pop: pop.clone(),
                group: self.group.clone(),
                window_seconds: 1.0,
                requests: step.rate,
                errors: step.error_rate.min(step.rate),
                latency: Some(Latency {
                    p50_ms: Some(step.p50_ms),
                    p95_ms: Some(step.p50_ms * 2.5),
                    p99_ms: Some(step.p50_ms * 5.0),
                }),
                utilisation: Some(Utilisation { cpu: Some(step.cpu), ..Utilisation::default() }),
                cells: step.cells.clone().into_iter().collect(),
                ..Sample::default()
            };
            self.samples.send(sample).await.map_err(|_| "the server ended the telemetry stream".to_string())?;
        }
        Ok(())
    }

    /// Asks for A records; addresses with their TTL.
    async fn ask(&mut self, name: &Name, client: Option<Ipv4Addr>) -> Result<Vec<(IpAddr, u32)>, String> {
        self.totals.queries += 1;
        let id = self.totals.queries as u16;
        let mut query = Message::query();
        query.metadata.id = id;
        query.metadata.op_code = OpCode::Query;
        query.add_query(Query::query(name.clone(), RecordType::A));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        if let Some(prefix) = client {
            edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(prefix.into(), 24, 0)));
        }
        query.set_edns(edns);
        let query = query.to_vec().map_err(|e| e.to_string())?;
        self.socket.send(&query).await.map_err(|e| format!("DNS: {e}"))?;
        let mut reply = [0; 4096];
        loop {
            let received = tokio::time::timeout(PATIENCE, self.socket.recv(&mut reply)).await;
            let n = received.map_err(|_| "DNS: no reply in half a second")?.map_err(|e| format!("DNS: {e}"))?;
            let message = Message::from_vec(&reply[..n]).map_err(|e| format!("DNS: {e}"))?;
            if message.metadata.id == id {
                let addresses = message.answers.iter().filter_map(|r| match &r.data {
                    RData::A(a) => Some((IpAddr::V4(a.0), r.ttl)),
                    _ => None,
                });
                return Ok(addresses.collect());
            }
        }
    }
}

async fn state_of(steering: &mut SteeringClient<Channel>) -> Result<State, String> {
    let said = steering.state(StateRequest {}).await.map_err(|s| s.message().to_string())?;
    Ok(from_proto(said.into_inner()))
}

/// One telemetry stream for all POPs; what is sent into it is reported.
fn report_stream(channel: Channel) -> mpsc::Sender<Sample> {
    let (samples, outgoing) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut client = TelemetryClient::new(channel);
        if let Ok(said) = client.report(ReceiverStream::new(outgoing)).await {
            let mut directives = said.into_inner();
            while let Ok(Some(_)) = directives.message().await {}
        }
    });
    samples
}

/// The resolvers: some in every city of the built-in database, their weights falling as 1/rank.
async fn resolvers(steering: &mut SteeringClient<Channel>, name: &str) -> Result<Vec<Resolver>, String> {
    let harmonic: f64 = (1..=RESOLVERS).map(|rank| 1.0 / f64::from(rank)).sum();
    let mut all = Vec::new();
    for city in 0..CITIES {
        let request = ExplainRequest {
            name: name.to_string(),
            client: Ipv4Addr::new(127, 8 * city, 0, 1).to_string(),
            r#type: None,
        };
        let said = steering.explain(request).await.map_err(|s| s.message().to_string())?.into_inner();
        let said: serde_json::Value = serde_json::from_str(&said.json).map_err(|e| e.to_string())?;
        if said["steering"].is_null() {
            return Err(format!("{name} is not steered by the server; --name takes a name with a STEER record"));
        }
        let place = &said["steering"]["place"];
        let longitude = place["at"][1].as_f64().unwrap_or(0.0);
        for rank in 1..=RESOLVERS {
            all.push(Resolver {
                prefix: Ipv4Addr::new(127, 8 * city + rank % 8, rank, 0),
                longitude,
                cell: place["cell"].as_str().unwrap_or("unknown").to_string(),
                weight: 1.0 / f64::from(rank) / harmonic / f64::from(CITIES),
                surging: longitude > 60.0,
                held: None,
            });
        }
    }
    Ok(all)
}
