//! The steering service through a real client on loopback.

use super::*;
use crate::admin::fixture::{run, source};
use crate::telemetry::listen::{Bound, Config};
use crate::telemetry::proto::steering_client::SteeringClient;
use tonic::Code;
use tonic::transport::Channel;

#[test]
fn state_survives_the_wire() {
    let mut state = source().state();
    for (pop, breaker) in state.pops.iter_mut().zip(BreakerState::ALL.into_iter().cycle().skip(1)) {
        pop.breaker = breaker;
    }
    let own = MemberBreaker { state: BreakerState::HalfOpen, reason: "probing after 40 s".into() };
    state.groups[0].members[1].breaker = Some(own);
    for mode in MODES {
        state.mode = mode;
        assert_eq!(from_proto(to_proto(state.clone())), state);
    }
}

async fn start(source: Source) -> (SteeringClient<Channel>, watch::Sender<bool>) {
    let stop = watch::Sender::new(false);
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), &Config::default(), None).await.unwrap();
    let addr = bound.local_addr().unwrap();
    let routes = tonic::service::Routes::new(service(source, Operators::default(), stop.subscribe()));
    tokio::spawn(bound.serve(routes, stop.subscribe()));
    (SteeringClient::connect(format!("http://{addr}")).await.unwrap(), stop)
}

#[test]
fn a_client_sees_the_state() {
    run(async {
        let source = source();
        let (mut client, _stop) = start(source.clone()).await;
        let seen = from_proto(client.state(proto::StateRequest {}).await.unwrap().into_inner());
        assert_eq!(seen, State { time: seen.time, ..source.state() });
        assert_eq!(seen.pops[1].reason, "errors 12 % of 3k");
    });
}

#[test]
fn a_watcher_sees_changes_until_the_stop() {
    run(async {
        let source = source();
        let (mut client, stop) = start(source.clone()).await;
        let request = proto::WatchRequest { interval_seconds: Some(0.2) };
        let mut states = client.watch(request).await.unwrap().into_inner();
        assert_eq!(states.message().await.unwrap().unwrap().generation, 1);
        let snapshot = source.exchange.load_full();
        source.exchange.publish(snapshot.with_plan(snapshot.plan.clone(), snapshot.table.clone()));
        while states.message().await.unwrap().unwrap().generation < 2 {}
        stop.send(true).unwrap();
        while states.message().await.unwrap().is_some() {}
    });
}

#[test]
fn overrides_are_made_listed_and_ended() {
    run(async {
        let (mut client, _stop) = start(source()).await;
        let wish = |what: &str| proto::OverrideRequest {
            what: what.into(),
            seconds: 60.0,
            author: "anna".into(),
            reason: "new disks".into(),
            against_assertions: false,
        };
        let made = client.r#override(wish("drain AMS.*")).await.unwrap().into_inner();
        assert_eq!(made.names, ["ams.pop.example.com.", "ams.web.example.com.", "ams.api.example.com."]);
        let listed = client.overrides(proto::OverridesRequest {}).await.unwrap().into_inner().overrides;
        assert_eq!(listed, [made.made.unwrap()]);
        for (bad, code) in [
            (wish("drain nobody.*"), Code::NotFound),
            (wish("freeze ams.pop"), Code::NotFound),
            (wish("drain"), Code::InvalidArgument),
            (proto::OverrideRequest { seconds: 0.0, ..wish("drain ams.pop") }, Code::FailedPrecondition),
            (proto::OverrideRequest { reason: String::new(), ..wish("drain ams.pop") }, Code::FailedPrecondition),
        ] {
            assert_eq!(client.r#override(bad.clone()).await.unwrap_err().code(), code, "{bad:?}");
        }
        let end = proto::EndOverridesRequest { ids: vec![7], whats: vec!["drain ams.*".into()] };
        assert_eq!(client.end_overrides(end.clone()).await.unwrap().into_inner().ended, listed);
        assert_eq!(client.end_overrides(end).await.unwrap().into_inner().ended, []);
        for bad in [vec![], vec!["drain ams.*".to_owned(); 101], vec!["drain".to_owned()]] {
            let answer = client.what_if(proto::WhatIfRequest { whats: bad.clone() }).await;
            assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument, "{bad:?}");
        }
    });
}

#[test]
fn senseless_intervals_are_refused() {
    run(async {
        let (mut client, _stop) = start(source()).await;
        for every in [0.0, -1.0, 0.1, 61.0, f64::NAN, f64::INFINITY] {
            let request = proto::WatchRequest { interval_seconds: Some(every) };
            assert_eq!(client.watch(request).await.unwrap_err().code(), Code::InvalidArgument, "{every}");
        }
    });
}

#[test]
fn an_explanation_comes_as_text_and_json() {
    run(async {
        let (mut client, _stop) = start(source()).await;
        let ask = |name: &str, client: &str, qtype: Option<&str>| proto::ExplainRequest {
            name: name.into(),
            client: client.into(),
            r#type: qtype.map(str::to_owned),
        };
        let said = client.explain(ask("www.example.com", "203.0.113.7/24", Some("aaaa"))).await.unwrap().into_inner();
        let json: serde_json::Value = serde_json::from_str(&said.json).unwrap();
        assert_eq!((&json["name"], &json["client"]), (&"www.example.com.".into(), &"203.0.113.0".into()));
        assert_eq!(json["qtype"], "AAAA");
        assert!(said.text.contains("www.example.com."), "{}", said.text);
        for bad in [
            ask("a..b", "203.0.113.7", None),
            ask("www.example.com", "203.0.113", None),
            ask("www.example.com", "203.0.113.0/33", None),
            ask("www.example.com", "203.0.113.7", Some("NOTATYPE")),
        ] {
            assert_eq!(client.explain(bad.clone()).await.unwrap_err().code(), Code::InvalidArgument, "{bad:?}");
        }
    });
}
