//! A real client against a real server on a loopback port.

use super::*;
use crate::telemetry::listen::{Bound, Error, TlsFiles};
use crate::telemetry::proto::directive::Say;
use crate::telemetry::proto::telemetry_client::TelemetryClient;
use crate::telemetry::{Directive, Drain, fixtures};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use std::net::SocketAddr;
use tokio::runtime::Runtime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

#[test]
fn shadow_states_round_trip() {
    for state in
        [ShadowState::Cold, ShadowState::Warming, ShadowState::Ready, ShadowState::Active, ShadowState::Draining]
    {
        assert_eq!(shadow_from_proto(shadow_to_proto(state)), Some(state));
        assert_eq!(check::shadow_from_word(word_of(state)), Some(state));
    }
    assert_eq!(shadow_from_proto(proto::ShadowState::Unspecified), None);
}

//----------- A server -------------------------------------------------------

struct Live {
    addr: SocketAddr,
    intake: Intake,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<Result<(), Error>>,
}

async fn start(config: Config, room: usize) -> Live {
    start_with(config, room, Pauses::default()).await
}

async fn start_with(config: Config, room: usize, pauses: Pauses) -> Live {
    let intake = Intake {
        inbox: Arc::new(Inbox::new(room)),
        probes: Default::default(),
        board: Arc::new(Board::new()),
        exchange: fixtures::exchange(Default::default()),
        clock: Clock::start(),
    };
    let stop = watch::Sender::new(false);
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), &config, None).await.unwrap();
    let addr = bound.local_addr().unwrap();
    let routes = tonic::service::Routes::new(service_with(intake.clone(), &config, pauses, stop.subscribe()));
    let served = tokio::spawn(bound.serve(routes, stop.subscribe()));
    Live { addr, intake, stop, served }
}

impl Live {
    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect().await.unwrap()
    }

    async fn stream(&self) -> Stream {
        open(self.channel().await).await.unwrap()
    }
}

/// One open stream, seen from the peer.
struct Stream {
    samples: mpsc::Sender<proto::Sample>,
    words: Streaming<proto::Directive>,
}

async fn open(channel: Channel) -> Result<Stream, Status> {
    let (samples, outgoing) = mpsc::channel(1024);
    let words = TelemetryClient::new(channel).report(ReceiverStream::new(outgoing)).await?.into_inner();
    Ok(Stream { samples, words })
}

impl Stream {
    async fn tell(&mut self, sample: proto::Sample) -> Say {
        self.samples.send(sample).await.unwrap();
        self.hear().await
    }

    async fn hear(&mut self) -> Say {
        self.words.message().await.unwrap().unwrap().say.unwrap()
    }
}

fn good(seq: u64) -> proto::Sample {
    proto::Sample {
        seq,
        pop: "ams.pop".into(),
        group: "web".into(),
        window_seconds: 10.0,
        requests: 1000.0,
        errors: 10.0,
        ..Default::default()
    }
}

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = Runtime::new().unwrap();
    let limit = std::time::Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(limit, test).await.expect("the test hangs") });
}

//----------- Samples and words ----------------------------------------------

#[test]
fn samples_arrive_and_are_acknowledged() {
    run(async {
        let live = start(Config::default(), 100).await;
        let mut stream = live.stream().await;
        let said = stream.tell(good(7)).await;
        assert_eq!(said, Say::Accepted(proto::Accepted { last_seq: 7, count: 1 }));
        let full = proto::Sample {
            member: Some("ams.web.example.com.".into()),
            latency: Some(proto::Latency { p95_ms: Some(80.0), ..Default::default() }),
            capacity: Some(4e4),
            utilisation: Some(proto::Utilisation { cpu: Some(0.7), ..Default::default() }),
            cells: [("JP".to_string(), 120.0)].into(),
            ..good(8)
        };
        stream.tell(full).await;
        let samples = live.intake.inbox.drain();
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[1].member, Some("ams.web.example.com.".parse().unwrap()));
        assert_eq!(samples[1].latency.map(|l| l.p95_ms), Some(80.0));
        assert_eq!(samples[1].utilisation.cpu, Some(0.7));
        assert_eq!(samples[1].cells, [("JP".to_string(), 120.0)]);
        // The peer ends; so does the server's side, after the last word.
        drop(stream.samples);
        assert!(stream.words.message().await.unwrap().is_none());
    });
}

#[test]
fn every_refusal_comes_back_with_its_reason() {
    type Change = fn(&mut proto::Sample);
    let cases: [(&str, Change); 13] = [
        ("malformed", |s| s.pop = "a..b".into()),
        ("malformed", |s| s.shadow = Some(0)),
        ("malformed", |s| s.shadow = Some(99)),
        ("unknown-pop", |s| s.pop = "lhr.pop".into()),
        ("unknown-group", |s| s.group = "mail".into()),
        ("unknown-member", |s| s.member = Some("lhr.web".into())),
        ("not-at-pop", |s| s.member = Some("dub.web".into())),
        ("not-shadow", |s| s.shadow = Some(proto::ShadowState::Ready.into())),
        ("clock-skew", |s| s.time = Some(1e11)),
        ("stale", |s| s.time = Some(1.0)),
        ("bad-window", |s| s.window_seconds = 0.0),
        ("bad-number", |s| s.requests = f64::NAN),
        ("errors-over-requests", |s| s.errors = 2000.0),
    ];
    run(async {
        let live = start(Config::default(), 1).await;
        let mut stream = live.stream().await;
        for (seq, (reason, change)) in cases.into_iter().enumerate() {
            let mut sample = good(seq as u64);
            change(&mut sample);
            let Say::Refused(refused) = stream.tell(sample).await else { panic!("{reason}: not refused") };
            assert_eq!((refused.reason.as_str(), refused.first_seq, refused.count), (reason, seq as u64, 1));
            assert!(refused.text.contains("; "), "{}", refused.text);
        }
        let cells = (0..1025).map(|i| (i.to_string(), 0.0)).collect();
        let Say::Refused(refused) = stream.tell(proto::Sample { cells, ..good(20) }).await else { panic!() };
        assert_eq!(refused.reason, "bad-cells");
        // Room for one.
        assert!(matches!(stream.tell(good(21)).await, Say::Accepted(_)));
        let Say::Refused(refused) = stream.tell(good(22)).await else { panic!() };
        assert_eq!(refused.reason, "inbox-full");
        let counts = live.intake.inbox.counts();
        assert_eq!((counts.received, counts.accepted), (16, 1));
        assert_eq!(counts.received, counts.accepted + counts.refused_sum());
    });
}

#[test]
fn wishes_reach_the_pops_that_report_here() {
    run(async {
        let live = start(Config::default(), 100).await;
        let wish = |wanted, reason: &str| Directive {
            pop: "sin.pop.example.com.".parse().unwrap(),
            group: "web.example.com.".parse().unwrap(),
            member: "sin.web.example.com.".parse().unwrap(),
            wanted,
            reason: reason.into(),
        };
        live.intake.board.set(vec![wish(ShadowState::Warming, "demand rises")], Vec::new());
        let mut sin = live.stream().await;
        let mut ams = live.stream().await;
        assert!(matches!(ams.tell(good(1)).await, Say::Accepted(_)));
        assert!(matches!(sin.tell(proto::Sample { pop: "sin.pop".into(), ..good(1) }).await, Say::Accepted(_)));
        let Say::Wanted(wanted) = sin.hear().await else { panic!() };
        assert_eq!((wanted.pop.as_str(), wanted.shadows.len()), ("sin.pop.example.com.", 1));
        assert_eq!(wanted.shadows[0].wanted(), proto::ShadowState::Warming);
        assert_eq!(wanted.shadows[0].reason, "demand rises");
        // A change comes by itself, and so does the end of all wishes.
        live.intake.board.set(vec![wish(ShadowState::Active, "")], Vec::new());
        let Say::Wanted(wanted) = sin.hear().await else { panic!() };
        assert_eq!(wanted.shadows[0].wanted(), proto::ShadowState::Active);
        let drain = Drain {
            pop: "sin.pop.example.com.".parse().unwrap(),
            group: "web.example.com.".parse().unwrap(),
            member: "sin.web.example.com.".parse().unwrap(),
            max_connection_age_secs: 60,
            reason: "an operator drains it",
        };
        live.intake.board.set(Vec::new(), vec![drain]);
        let Say::Wanted(wanted) = sin.hear().await else { panic!() };
        assert_eq!((wanted.shadows.len(), wanted.connections[0].max_connection_age_seconds), (0, 60));
        assert_eq!(wanted.connections[0].reason, "an operator drains it");
        live.intake.board.set(Vec::new(), Vec::new());
        let Say::Wanted(wanted) = sin.hear().await else { panic!() };
        assert!(wanted.shadows.is_empty() && wanted.connections.is_empty());
        // The other POP heard nothing of all this.
        assert!(matches!(ams.tell(good(2)).await, Say::Accepted(proto::Accepted { last_seq: 2, .. })));
    });
}

/// What a POP does not acknowledge it hears again, and a stream that begins anew hears all of it.
#[test]
fn wishes_are_said_until_they_are_acknowledged() {
    run(async {
        let pauses = Pauses { first_secs: 1e-3, most_secs: 1e-3 };
        let live = start_with(Config::default(), 100, pauses).await;
        let board = &live.intake.board;
        let wish = Directive {
            pop: "sin.pop.example.com.".parse().unwrap(),
            group: "web.example.com.".parse().unwrap(),
            member: "sin.web.example.com.".parse().unwrap(),
            wanted: ShadowState::Warming,
            reason: String::new(),
        };
        board.set(vec![wish], Vec::new());
        let sample = |generation| proto::Sample { pop: "sin.pop".into(), wanted_generation: generation, ..good(1) };
        for times in 1..3 {
            let mut sin = live.stream().await;
            assert!(matches!(sin.tell(sample(None)).await, Say::Accepted(_)));
            for _ in 0..4 {
                let Say::Wanted(wanted) = sin.hear().await else { panic!("said again and again") };
                assert_eq!((wanted.generation, wanted.shadows.len()), (1, 1));
            }
            assert!(board.deliveries()[0].times >= 4 * times && !board.deliveries()[0].is_acknowledged);
        }
        let mut sin = live.stream().await;
        assert!(matches!(sin.tell(sample(Some(1))).await, Say::Accepted(_)));
        assert!(matches!(sin.hear().await, Say::Wanted(_)), "the first time it is said all the same");
        assert!(board.deliveries()[0].is_acknowledged);
        let said = board.said();
        assert!(said[Said::First.idx()] == 3 && said[Said::Again.idx()] >= 6, "{said:?}");
        assert!(matches!(sin.tell(sample(Some(1))).await, Say::Accepted(_)), "and then no more");
    });
}

//----------- Floods ---------------------------------------------------------

/// A burst of a million samples from a peer that does not read: memory stays bounded, nothing hangs,
/// every sample is in the books, and all of them are told of afterwards.
#[test]
fn a_million_samples_from_a_peer_that_does_not_read() {
    const N: u64 = 1_000_000;
    run(async {
        let live = start(Config { samples_per_second: 1000.0, ..Config::default() }, 500).await;
        let Stream { samples, mut words } = live.stream().await;
        for seq in 0..N {
            samples.send(proto::Sample { pop: "ams.pop.example.com.".into(), ..good(seq) }).await.unwrap();
        }
        drop(samples);
        let (mut told, mut n_words) = (0, 0);
        while let Some(word) = words.message().await.unwrap() {
            n_words += 1;
            match word.say.unwrap() {
                Say::Accepted(a) => told += a.count,
                Say::Refused(r) => told += r.count,
                Say::Wanted(_) => panic!(),
            }
        }
        assert_eq!(told, N);
        assert!(n_words < N / 2, "merged: {n_words}");
        let counts = live.intake.inbox.counts();
        assert_eq!((counts.received, counts.accepted), (N, 500));
        assert_eq!(counts.received, counts.accepted + counts.refused_sum());
        assert!(counts.refused[Refusal::TooMany.idx()] > 0);
        assert!(counts.refused[Refusal::InboxFull.idx()] > 0);
        assert_eq!(live.intake.inbox.len(), 500);
    });
}

#[test]
fn oversize_messages_end_the_stream_and_are_counted() {
    run(async {
        let live = start(Config::default(), 100).await;
        let mut stream = live.stream().await;
        let long = proto::Sample { pop: "x".repeat(MAX_MESSAGE), ..good(1) };
        stream.samples.send(long).await.unwrap();
        let status = stream.words.message().await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{status}");
        assert_eq!(live.intake.inbox.counts().refused[Refusal::Malformed.idx()], 1);
        assert!(matches!(live.stream().await.tell(good(2)).await, Say::Accepted(_)), "others go on");
    });
}

#[test]
fn streams_and_connections_are_limited() {
    run(async {
        let live = start(Config { max_streams: 1, max_connections: 2, ..Config::default() }, 100).await;
        let mut first = live.stream().await;
        first.tell(good(1)).await;
        let second = live.channel().await;
        let status = open(second.clone()).await.err().unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        // A third connection is closed before it gets anywhere.
        let third = Endpoint::from_shared(format!("http://{}", live.addr)).unwrap().connect().await;
        let refused = match third {
            Err(_) => true,
            Ok(channel) => open(channel).await.is_err(),
        };
        assert!(refused);
        first.tell(good(2)).await;
    });
}

//----------- Around it ------------------------------------------------------

#[test]
fn health_and_reflection_answer() {
    run(async {
        let live = start(Config::default(), 100).await;
        let mut health = HealthClient::new(live.channel().await);
        for service in ["", "floodway.v1.Telemetry", "floodway.v1.Steering"] {
            let request = HealthCheckRequest { service: service.into() };
            assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "SERVING");
        }
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut answers = ServerReflectionClient::new(live.channel().await)
            .server_reflection_info(tokio_stream::iter([request]))
            .await
            .unwrap()
            .into_inner();
        let Some(MessageResponse::ListServicesResponse(list)) =
            answers.message().await.unwrap().unwrap().message_response
        else {
            panic!()
        };
        let names: Vec<_> = list.service.iter().map(|s| s.name.as_str()).collect();
        for name in ["floodway.v1.Telemetry", "floodway.v1.Steering", "grpc.health.v1.Health"] {
            assert!(names.contains(&name), "{names:?}");
        }
    });
}

#[test]
fn a_stop_ends_open_streams() {
    run(async {
        let live = start(Config::default(), 100).await;
        let mut stream = live.stream().await;
        stream.tell(good(1)).await;
        live.stop.send(true).unwrap();
        let status = stream.words.message().await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        drop(stream);
        live.served.await.unwrap().unwrap();
    });
}

//----------- TLS ------------------------------------------------------------

/// An authority, a server with its certificate, and a way to make certificates for peers.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem, dir: tempfile::tempdir().unwrap() }
    }

    /// Certificate and key in PEM.
    fn issue(&self, sans: &[&str], common_name: Option<&str>) -> (String, String) {
        let mut params = CertificateParams::new(sans.iter().map(|s| s.to_string()).collect::<Vec<_>>()).unwrap();
        if let Some(name) = common_name {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn config(&self) -> Config {
        let (cert, key) = self.issue(&["localhost"], None);
        let file = |name: &str, text: &str| {
            let path = self.dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let tls = TlsFiles {
            cert: file("cert.pem", &cert),
            key: file("key.pem", &key),
            client_ca: file("ca.pem", &self.pem),
        };
        Config { tls: Some(tls), ..Config::default() }
    }

    fn endpoint(&self, addr: SocketAddr, identity: Option<(String, String)>) -> Endpoint {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.pem)).domain_name("localhost");
        if let Some((cert, key)) = identity {
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        Endpoint::from_shared(format!("https://{addr}")).unwrap().tls_config(tls).unwrap()
    }
}

#[test]
fn a_certificate_reports_for_its_own_pop_only() {
    run(async {
        let authority = Authority::new();
        let live = start(authority.config(), 100).await;
        for identity in
            [authority.issue(&["ams.pop.example.com"], None), authority.issue(&[], Some("ams.pop.example.com"))]
        {
            let channel = authority.endpoint(live.addr, Some(identity)).connect().await.unwrap();
            let mut stream = open(channel).await.unwrap();
            assert!(matches!(stream.tell(good(1)).await, Say::Accepted(_)));
            let Say::Refused(refused) = stream.tell(proto::Sample { pop: "dub.pop".into(), ..good(2) }).await else {
                panic!()
            };
            assert_eq!(refused.reason, "forbidden");
        }
    });
}

/// In TLS 1.3 a client hears of its missing certificate only after it has connected, so the test calls.
#[test]
fn without_a_certificate_of_the_authority_nothing_is_taken() {
    run(async {
        let authority = Authority::new();
        let live = start(authority.config(), 100).await;
        let stranger = Authority::new().issue(&["ams.pop.example.com"], None);
        for identity in [None, Some(stranger)] {
            let refused = match authority.endpoint(live.addr, identity).connect().await {
                Err(_) => true,
                Ok(channel) => match open(channel).await {
                    Err(_) => true,
                    Ok(mut stream) => {
                        // The other end may be gone already.
                        let _ = stream.samples.send(good(1)).await;
                        stream.words.message().await.is_err()
                    }
                },
            };
            assert!(refused);
        }
        let plain = Endpoint::from_shared(format!("http://{}", live.addr)).unwrap().connect().await;
        assert!(match plain {
            Err(_) => true,
            Ok(channel) => open(channel).await.is_err(),
        });
        assert_eq!(live.intake.inbox.counts().received, 0);
    });
}

#[test]
fn outside_loopback_it_takes_tls() {
    run(async {
        let open = Bound::bind("0.0.0.0:0".parse().unwrap(), &Config::default(), None).await;
        let error = open.unwrap_err();
        assert!(matches!(error, Error::Exposed(_)));
        assert!(error.to_string().contains("[grpc.tls]"), "{error}");
        assert!(Bound::bind("[::ffff:127.0.0.1]:0".parse().unwrap(), &Config::default(), None).await.is_ok());
        let authority = Authority::new();
        assert!(Bound::bind("0.0.0.0:0".parse().unwrap(), &authority.config(), None).await.is_ok());
        std::fs::write(authority.dir.path().join("ca.pem"), "not a certificate").unwrap();
        let mut config = authority.config();
        if let Some(tls) = &mut config.tls {
            std::fs::write(&tls.client_ca, "not a certificate").unwrap();
        }
        let error = Bound::bind("127.0.0.1:0".parse().unwrap(), &config, None).await.unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");
        if let Some(tls) = &mut config.tls {
            tls.key = "no/such/key.pem".into();
        }
        let error = Bound::bind("127.0.0.1:0".parse().unwrap(), &config, None).await.unwrap_err();
        assert!(error.to_string().contains("no/such/key.pem"), "{error}");
    });
}
