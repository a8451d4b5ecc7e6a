//! The events service through a real client on loopback.

use super::*;
use crate::admin::fixture::{run, source};
use crate::telemetry::listen::{Bound, Config};
use crate::telemetry::proto::events_client::EventsClient;
use tokio::sync::watch;
use tonic::Code;
use tonic::transport::Channel;

async fn start(source: Source) -> (EventsClient<Channel>, watch::Sender<bool>) {
    let stop = watch::Sender::new(false);
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), &Config::default(), None).await.unwrap();
    let addr = bound.local_addr().unwrap();
    let routes = tonic::service::Routes::new(service(source, Operators::default()));
    tokio::spawn(bound.serve(routes, stop.subscribe()));
    (EventsClient::connect(format!("http://{addr}")).await.unwrap(), stop)
}

fn push(id: &str, group: &str) -> proto::Announcement {
    proto::Announcement {
        id: id.into(),
        group: group.into(),
        kind: "push".into(),
        peak: Some(100.0),
        ..Default::default()
    }
}

#[test]
fn an_event_is_announced_changed_and_taken_back() {
    run(async {
        let source = source();
        let group = source.exchange.load().policies.groups[0].name.to_string();
        let (mut client, _stop) = start(source.clone()).await;
        let request = |dry_run| proto::AnnounceRequest { announcement: Some(push("p", &group)), dry_run };
        let said = client.announce(request(true)).await.unwrap().into_inner();
        assert_eq!((said.group.as_str(), said.peak.round(), said.remarks.len()), (group.as_str(), 100.0, 1));
        assert!(source.announcements.calendar().entries.is_empty(), "a dry run leaves nothing");
        client.announce(request(false)).await.unwrap();
        assert_eq!(source.announcements.calendar().entries["p"].announcement.announcer, "unnamed");
        let cancel = proto::CancelRequest { id: "p".into(), by: "anna".into(), reason: "rain".into() };
        client.cancel(cancel).await.unwrap();
        assert_eq!(source.announcements.calendar().entries["p"].cancelled.as_deref(), Some("anna: rain"));
        client.report_outcome(proto::ReportOutcomeRequest { id: "p".into(), requests: 5.0 }).await.unwrap();
        assert_eq!(source.announcements.calendar().entries["p"].outcome, Some(5.0));
        assert_eq!(source.announcements.counts().refused, 0);
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_counted() {
    run(async {
        let source = source();
        let (mut client, _stop) = start(source.clone()).await;
        let mut refused = 0;
        let bad = [
            proto::AnnounceRequest::default(),
            proto::AnnounceRequest { announcement: Some(push("p", "nowhere")), dry_run: false },
            proto::AnnounceRequest { announcement: Some(proto::Announcement::default()), dry_run: true },
        ];
        for request in bad {
            assert_eq!(client.announce(request).await.unwrap_err().code(), Code::InvalidArgument);
            refused += 1;
            assert_eq!(source.announcements.counts().refused, refused);
        }
        let none = proto::CancelRequest { id: "none".into(), ..Default::default() };
        assert_eq!(client.cancel(none).await.unwrap_err().code(), Code::FailedPrecondition);
        let long = proto::CancelRequest { id: "none".into(), reason: "x".repeat(501), ..Default::default() };
        assert_eq!(client.cancel(long).await.unwrap_err().code(), Code::InvalidArgument);
        let nan = proto::ReportOutcomeRequest { id: "none".into(), requests: f64::NAN };
        assert_eq!(client.report_outcome(nan).await.unwrap_err().code(), Code::InvalidArgument);
        let mut last = Code::Ok;
        for _ in 0..300 {
            last = client.announce(proto::AnnounceRequest::default()).await.unwrap_err().code();
            if last == Code::ResourceExhausted {
                break;
            }
        }
        assert_eq!(last, Code::ResourceExhausted, "a flood is turned away before it is looked at");
    });
}

/// As POPs speak for themselves: a certificate speaks for the groups that it names, under its own name.
#[test]
fn certificates_announce_for_the_groups_they_name() {
    let name = |text: &str| text.parse::<crate::wire::Name>().unwrap();
    let crm = Voice::Pops(vec![name("crm.example."), name("web.example.com.")]);
    assert_eq!(speaker(&crm, "somebody else".into()), "crm.example.");
    assert_eq!(speaker(&Voice::Anyone, "anna".into()), "anna");
    assert!(crm.speaks_for(&name("web.example.com.")) && !crm.speaks_for(&name("api.example.com.")));
    let policies = &source().exchange.load().policies.clone();
    let asked = Asked { group: policies.groups[0].name.to_string(), start: 10.0, peak: Some(1.0), ..Asked::default() };
    let group = |text: &str| Announcement::group_of(text, policies);
    let mut announcement = asked.check(&group, &crate::geo::CellMap::from_cells(vec![]), 0.0).unwrap();
    assert!(is_own(&Voice::Anyone, &announcement) && !is_own(&crm, &announcement));
    announcement.announcer = "crm.example.".into();
    assert!(is_own(&crm, &announcement) && !is_own(&Voice::Pops(vec![name("pop.example.")]), &announcement));
}
