//! Arguments as typed, and the whole command against a real server on loopback.

use super::*;
use crate::clock::Clock;
use crate::telemetry::listen::{Bound, Config};
use crate::telemetry::{Board, Inbox, fixtures, grpc};
use clap::Parser;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &str) -> Result<Args, String> {
    let words = ["report"].into_iter().chain(line.split_whitespace());
    Line::try_parse_from(words).map(|l| l.args).map_err(|e| e.to_string())
}

#[test]
fn arguments_become_a_sample() {
    let args = parse(
        "--pop ams.pop --group web --requests 2k --errors 5% --window 1m --p95 80 --capacity 40k --cpu 70% \
         --shadow ready --cell JP=120 --cell JP=30 --cell DE+rule=1=7 --ago 30s",
    )
    .unwrap();
    let sample = args.sample(1000.0);
    assert_eq!((sample.requests, sample.errors, sample.window_secs), (2000.0, 100.0, 60.0));
    assert_eq!(sample.latency.and_then(|l| l.p95_ms), Some(80.0));
    assert_eq!((sample.capacity, sample.utilisation.cpu), (Some(40_000.0), Some(0.7)));
    assert_eq!(sample.time, Some(970.0));
    assert_eq!(sample.cells, [("DE+rule=1".to_string(), 7.0), ("JP".to_string(), 150.0)].into());
    let sent = to_proto(sample, 3).unwrap();
    assert_eq!((sent.seq, sent.shadow()), (3, proto::ShadowState::Ready));
    let plain = parse("--pop a --group b --requests 1").unwrap().sample(0.0);
    assert_eq!((plain.latency, plain.time, plain.errors), (None, None, 0.0));
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    for (line, word) in [
        ("--group web --requests 1", "--pop"),
        ("--pop a --group web", "--requests"),
        ("--pop a --group web --requests -1", "-1"),
        ("--pop a --group web --requests 1 --errors 101%", "share"),
        ("--pop a --group web --requests 1 --cell JP", "JP=120"),
        ("--pop a --group web --requests 1 --shadow hot", "warming"),
        ("--stdin --pop a", "--stdin"),
        ("--pop a --group web --requests 1 --tls-cert x.pem", "--tls-key"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(word), "{line}: {error}");
    }
}

//----------- The whole way --------------------------------------------------

struct Live {
    addr: SocketAddr,
    inbox: Arc<Inbox>,
    _stop: watch::Sender<bool>,
}

async fn start() -> Live {
    let inbox = Arc::new(Inbox::new(1000));
    let intake = grpc::Intake {
        inbox: inbox.clone(),
        probes: Default::default(),
        board: Arc::new(Board::new()),
        exchange: fixtures::exchange(Default::default()),
        clock: Clock::start(),
    };
    let stop = watch::Sender::new(false);
    let config = Config::default();
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), &config, None).await.unwrap();
    let addr = bound.local_addr().unwrap();
    let routes = tonic::service::Routes::new(grpc::service(intake, &config, stop.subscribe()));
    tokio::spawn(bound.serve(routes, stop.subscribe()));
    Live { addr, inbox, _stop: stop }
}

/// Runs the command with these arguments against a server and checks what became of the samples.
fn check(line: &str, sums: (u64, u64)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let live = start().await;
        let got = converse(parse(&format!("{line} --server {}", live.addr)).unwrap(), None).await.unwrap();
        assert_eq!((got.taken, got.refused), sums, "{line}");
        assert_eq!(live.inbox.len() as u64, sums.0);
    });
}

#[test]
fn samples_are_sent_and_words_counted() {
    check("--pop ams.pop --group web --requests 100", (1, 0));
    check("--pop ams.pop --group web --requests 100 --json --every 1ms --count 20", (20, 0));
    check("--pop asm.pop --group web --requests 100", (0, 1));
    check("--pop ams.pop --group web --requests 100 --ago 1h --count 3 --every 1ms", (0, 3));
}

#[test]
fn lines_of_json_are_sent_and_bad_ones_counted() {
    let (samples, mut sent) = mpsc::channel(10);
    let text = "{\"pop\":\"ams.pop\",\"group\":\"web\",\"requests\":100,\"cells\":{\"JP\":3}}\n\n\
                {\"pop\":\"ams.pop\",\"group\":\"web\"}\n\
                {\"pop\":\"a\",\"group\":\"web\",\"requests\":1,\"shadow\":\"hot\"}\n\
                {\"pop\":\"a\",\"group\":\"web\",\"requests\":1,\"eror\":1}\n\
                {\"pop\":\"dub.pop\",\"group\":\"web\",\"requests\":1,\"utilisation\":{\"cpu\":0.5}}";
    assert_eq!(feed_lines(text.as_bytes(), samples, &Held::default()), 3);
    let first = sent.try_recv().unwrap();
    assert_eq!((first.seq, first.window_seconds, first.cells["JP"]), (1, 10.0, 3.0));
    let second = sent.try_recv().unwrap();
    assert_eq!((second.seq, second.utilisation.unwrap().cpu), (6, Some(0.5)));
}

#[test]
fn a_server_that_is_not_there_is_said_so() {
    // Bound and closed again: nobody listens there.
    let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = parse(&format!("--pop a --group b --requests 1 --server {addr}")).unwrap();
    let error = client::block_on(converse(args, None)).unwrap_err();
    assert!(error.contains("no Floodway server at") && error.contains("floodway serve"), "{error}");
}

#[test]
fn words_read_well() {
    let wish = proto::WantedShadow {
        group: "web.".into(),
        member: "dub.web.".into(),
        wanted: proto::ShadowState::Warming.into(),
        reason: "demand rises".into(),
    };
    let age = proto::WantedConnections {
        group: "web.".into(),
        member: "dub.web.".into(),
        max_connection_age_seconds: 60,
        reason: "it is no longer needed".into(),
    };
    let wanted = proto::Wanted { pop: "dub.pop.".into(), generation: 7, shadows: vec![wish], connections: vec![age] };
    let held = Held::default();
    held.put(&wanted);
    assert_eq!(
        ["dub.pop.", "dub.pop", "dub", "du", "ams.pop"].map(|pop| held.of(pop)),
        [Some(7), Some(7), Some(7), None, None]
    );
    let wanted = Say::Wanted(wanted);
    let lines = [
        "wanted: dub.web. of web. to be warming (demand rises)",
        "wanted: connections of dub.web. of web. to end when they are 60 s old (it is no longer needed)",
    ];
    assert_eq!(print(&wanted), lines.join("\n"));
    let refused = Say::Refused(proto::Refused {
        reason: "stale".into(),
        text: "too old".into(),
        first_seq: 2,
        last_seq: 2,
        count: 1,
    });
    assert_eq!(print(&refused), "refused: sample 2: too old (stale)");
    let value: serde_json::Value = serde_json::from_str(&print_json(&refused)).unwrap();
    assert_eq!(value["refused"]["reason"], "stale");
}
