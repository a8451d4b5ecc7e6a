//! Probes against servers on loopback that behave, and that do not.

use super::*;
use crate::masterfile::{Report, no_includes};
use crate::policy::{PolicyFile, probe::Authorities, probe::Trust};
use crate::probe::tls;
use crate::zone::ZoneSet;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

//----------- Servers --------------------------------------------------------

/// Answers everybody with `reply` after the end of the request's headers, and then does as `after` says.
async fn server(reply: Vec<u8>, after: After) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let reply = reply.clone();
            tokio::spawn(async move { serve(&mut stream, &reply, after).await });
        }
    });
    addr
}

#[derive(Clone, Copy)]
enum After {
    Close,
    Hang,
    Flood,
}

async fn serve(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), reply: &[u8], after: After) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        let Ok(octet) = stream.read_u8().await else { return };
        seen.push(octet);
    }
    let _ = stream.write_all(reply).await;
    match after {
        After::Close => {
            let _ = stream.shutdown().await;
        }
        After::Hang => std::future::pending().await,
        After::Flood => while stream.write_all(&[b'x'; 4096]).await.is_ok() {},
    }
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

//----------- Checks ---------------------------------------------------------

/// The probe that a policy asks for.
fn probe(keys: &str) -> Probe {
    let text = format!("p.example. POP at=1,1 capacity=1 {keys}\n");
    let mut report = Report::default();
    let file = PolicyFile::new("test.policy", text);
    let policies = crate::policy::load(vec![file], &mut no_includes, &ZoneSet::default(), &[], &mut report);
    policies.unwrap_or_else(|| panic!("{report}")).pops.remove(0).probe.expect("it is probed")
}

async fn check(probe: &Probe, what: What, text: &str) {
    let tls = tls::client(probe, &Err("none".into())).unwrap();
    let found = ask(probe, tls, &[]).await;
    assert_eq!(found.what, what, "{}: {}", probe.url, found.text);
    assert!(found.text.contains(text), "{}: {}", probe.url, found.text);
    assert_eq!(found.text.is_empty(), what == What::Well, "{}", found.text);
}

fn run(test: impl Future<Output = ()>) {
    Runtime::new().unwrap().block_on(test);
}

#[test]
fn http_is_judged_by_status_and_body() {
    run(async {
        let well = server(reply("200 OK", "all well here"), After::Close).await;
        check(&probe(&format!("probe=http://{well}/healthz")), What::Well, "").await;
        check(&probe(&format!("probe=http://{well}/ probe.body=\"all well\"")), What::Well, "").await;
        let lacks = probe(&format!("probe=http://{well}/ probe.body=\"never better\""));
        check(&lacks, What::Body, "13 octets, lacks \"never better\"").await;
        let ill = server(reply("503 Service Unavailable", ""), After::Close).await;
        check(&probe(&format!("probe=http://{ill}/")), What::Status, "status 503, expected 200 to 299").await;
        check(&probe(&format!("probe=http://{ill}/ probe.status=200,503")), What::Well, "").await;
        let moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".to_vec();
        let moved = server(moved, After::Close).await;
        check(&probe(&format!("probe=http://{moved}/")), What::Status, "redirects are not followed").await;
    });
}

/// Whatever comes is read to a bound, and waited for to the deadline.
#[test]
fn what_hangs_floods_or_is_no_http_is_a_failure_with_a_reason() {
    run(async {
        let short = "probe.timeout=200ms";
        let slow = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.".to_vec();
        let slow = server(slow, After::Hang).await;
        check(&probe(&format!("probe=http://{slow}/ {short}")), What::TimedOut, "the body took longer than 0.2 s")
            .await;
        let mute = server(Vec::new(), After::Hang).await;
        check(&probe(&format!("probe=http://{mute}/ {short}")), What::TimedOut, "the answer took longer").await;
        let long = server(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), After::Flood).await;
        check(&probe(&format!("probe=http://{long}/")), What::TooLong, "longer than 65536 octets").await;
        let headers = server(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), After::Flood).await;
        check(&probe(&format!("probe=http://{headers}/")), What::TooLong, "headers longer than").await;
        let other = server(b"220 mail.example.net ESMTP\r\n".to_vec(), After::Close).await;
        check(&probe(&format!("probe=http://{other}/")), What::Protocol, "no HTTP answer").await;
        let gone = server(Vec::new(), After::Close).await;
        check(&probe(&format!("probe=http://{gone}/")), What::Protocol, "no HTTP answer").await;
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.".to_vec();
        let cut = server(cut, After::Close).await;
        check(&probe(&format!("probe=http://{cut}/")), What::Protocol, "the body broke off").await;
    });
}

#[test]
fn tcp_is_a_connection() {
    run(async {
        let there = server(Vec::new(), After::Hang).await;
        check(&probe(&format!("probe=tcp://{there}")), What::Well, "").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        check(&probe(&format!("probe=tcp://{nobody}")), What::Refused, "refused").await;
        let from = ["192.0.2.77".parse().unwrap()];
        let found = ask(&probe(&format!("probe=tcp://{there}")), None, &from).await;
        assert_eq!(found.what, What::NotMade, "{}", found.text);
    });
}

//----------- TLS ------------------------------------------------------------

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new(name: &str) -> Ca {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ca(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    fn trust(&self) -> Trust {
        Trust::File(Authorities { path: "ca.pem".into(), certificates: vec![self.0.der().clone()] })
    }
}

async fn tls_server(acceptor: TlsAcceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    serve(&mut stream, &reply("200 OK", "well"), After::Close).await;
                }
            });
        }
    });
    addr
}

#[test]
fn certificates_are_checked_against_authority_and_name() {
    run(async {
        let (ca, other) = (Ca::new("ours"), Ca::new("other"));
        let addr = tls_server(ca.acceptor("health.example.net")).await;
        let named = |host: &str, more: &str| {
            probe(&format!("probe=https://{host}:{}/ probe.address=127.0.0.1 {more}", addr.port()))
        };
        let trusting = |host: &str, ca: &Ca| Probe { trust: ca.trust(), ..named(host, "") };
        check(&trusting("health.example.net", &ca), What::Well, "").await;
        check(&trusting("health.example.net", &other), What::Certificate, "UnknownIssuer").await;
        check(&trusting("www.example.net", &ca), What::Certificate, "not valid for name").await;
        check(&named("www.example.net", "probe.unverified"), What::Well, "").await;
        let plain = server(reply("200 OK", ""), After::Close).await;
        let no_tls = Probe { trust: ca.trust(), ..probe(&format!("probe=https://{plain}/ probe.timeout=500ms")) };
        let tls = tls::client(&no_tls, &Err("none".into())).unwrap();
        assert!(matches!(ask(&no_tls, tls, &[]).await.what, What::Tls | What::TimedOut));
        let without = named("health.example.net", "");
        assert_eq!(tls::client(&without, &Err("no authorities".into())).unwrap_err(), "no authorities");
    });
}

//----------- gRPC -----------------------------------------------------------

#[test]
fn grpc_health_is_asked_by_service() {
    run(async {
        let (reporter, service) = tonic_health::server::health_reporter();
        reporter.set_service_status("pay.v1.Pay", tonic_health::ServingStatus::Serving).await;
        reporter.set_service_status("old.v1.Old", tonic_health::ServingStatus::NotServing).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        check(&probe(&format!("probe=grpc://{addr}")), What::Well, "").await;
        check(&probe(&format!("probe=grpc://{addr}/pay.v1.Pay")), What::Well, "").await;
        check(&probe(&format!("probe=grpc://{addr}/old.v1.Old")), What::NotServing, "\"old.v1.Old\" is NOT_SERVING")
            .await;
        check(&probe(&format!("probe=grpc://{addr}/no.v1.No")), What::NotServing, "NOT_FOUND").await;
        let http = server(reply("200 OK", ""), After::Close).await;
        check(&probe(&format!("probe=grpc://{http} probe.timeout=1s")), What::Protocol, "no").await;
    });
}

#[test]
fn an_answer_about_health_that_is_none_is_refused() {
    let check = |code: u32, octets: &'static [u8], what: Option<What>| {
        let found = health(code, &Bytes::from_static(octets), "").err().map(|found| found.what);
        assert_eq!(found, what, "{code} {octets:?}");
    };
    check(0, &[0, 0, 0, 0, 2, 8, 1], None);
    check(0, &[0, 0, 0, 0, 2, 8, 2], Some(What::NotServing));
    check(0, &[0, 0, 0, 0, 0], Some(What::NotServing));
    check(0, &[], Some(What::Protocol));
    check(0, &[0, 0, 0, 0, 3, 8, 1], Some(What::Protocol));
    check(0, &[1, 0, 0, 0, 2, 8, 1], Some(What::Protocol));
    check(0, &[0, 0, 0, 0, 2, 8, 0xff], Some(What::Protocol));
    check(12, &[], Some(What::NotServing));
    check(14, &[0, 0, 0, 0, 2, 8, 1], Some(What::NotServing));
}
