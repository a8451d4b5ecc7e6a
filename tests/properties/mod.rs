//! What holds for any octets at all: one function for each thing that strangers or operators can hand the server.
//!
//! The fuzz targets of `tests/fuzz` look for octets that break these; `tests/corpus.rs` replays in every test run what
//! they have found interesting.
#![allow(dead_code, reason = "each test binary uses its part")]

use crate::fixture::{Steered, full_house, print, send_by, steered};
use floodway::answer::Transport;
use floodway::exchange::{Books, Connection, Silence, Snapshot};
use floodway::masterfile::{Report, no_includes};
use floodway::policy::{self, AllDown, PolicyFile};
use floodway::transport::desk::Desk;
use floodway::transport::gate::Gate;
use floodway::transport::handler::{Handler, Peer, Said};
use floodway::transport::stream::{Pace, serve};
use floodway::wire::Name;
use floodway::zone::{Zone, ZoneSet, load::load, rdata};
use hickory_proto::op::Message;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::watch;

/// A property and the name of its folder in `tests/corpus`.
pub type Property = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Property; 5] =
    [("message", message), ("edns", edns), ("master_file", master_file), ("policy", policy), ("framing", framing)];

//----------- Messages -------------------------------------------------------

/// Everybody up and few rules; everybody up and a rule of every kind; nobody up.
static WORLDS: LazyLock<[Snapshot; 3]> = LazyLock::new(|| {
    let up = || steered(Steered { shares: [0.3, 0.3, 0.2, 0.1, 0.1], answers: 2, ..Steered::default() });
    let mut house = full_house();
    house.cookies.as_mut().expect("a full house has cookies").required = true;
    [
        up(),
        up().with_house(Arc::new(house)),
        steered(Steered { shares: [0.0; 5], all_down: AllDown::ServFail, ..Steered::default() }),
    ]
});

/// The first octet chooses the world and the transport, the rest is the packet.
///
/// Only a response, or less than a header, gets silence; everything else gets a reply that another implementation reads,
/// with the id, opcode and RD that were sent, no longer than the transport allows.
pub fn message(octets: &[u8]) {
    let Some((choice, packet)) = octets.split_first() else { return };
    let transport = Transport::ALL[usize::from(choice >> 2) % Transport::ALL.len()];
    let (outcome, reply) = send_by(&WORLDS[usize::from(choice & 3) % WORLDS.len()], packet, transport);
    if outcome.silence.is_some() {
        return assert!(reply.is_empty() && (packet.len() < 12 || packet[2] & 0x80 != 0), "silence");
    }
    assert!(reply.len() >= 12 && (transport.is_stream() || reply.len() <= 1232), "length {}", reply.len());
    assert_eq!(reply[..2], packet[..2], "id");
    assert_eq!(reply[2] & 0xf9, 0x80 | packet[2] & 0x79, "QR, opcode and RD");
    assert_eq!(reply[2] & 2 != 0, outcome.truncated, "TC");
    // Client subnet of family 0 with nothing of an address is allowed (RFC 7871 section 7.1.2); the reader chokes on it.
    if reply.windows(8).any(|octets| octets == [0, 8, 0, 4, 0, 0, 0, 0]) {
        return;
    }
    let read = Message::from_vec(&reply).unwrap_or_else(|e| panic!("{e}: {reply:02x?}"));
    let has_opt = read.edns.is_some();
    assert!(has_opt || outcome.rcode.number() < 16, "an extended RCODE stands in the OPT");
    // The header alone has four bits for it.
    assert_eq!(u16::from(reply[3] & 0x0f), outcome.rcode.number() & 0x0f, "RCODE");
    print(&reply);
}

/// The octets are the options of an otherwise sound query, so that all effort goes into them.
pub fn edns(octets: &[u8]) {
    let options = &octets[..octets.len().min(4000)];
    let mut packet =
        b"\x02\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x03www\x07example\x03com\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0"
            .to_vec();
    packet.extend((options.len() as u16).to_be_bytes());
    packet.extend(options);
    for choice in [0, 1, 4, 5, 8, 9] {
        packet[0] = choice;
        message(&packet);
    }
}

//----------- What operators write -------------------------------------------

/// A zone as text, every record on a line of its own with all its parts.
fn records(zone: &Zone) -> String {
    let mut text = String::new();
    for node in zone.nodes() {
        for rrset in node.rrsets() {
            for octets in rrset.rdatas() {
                let (rtype, data) = (rdata::type_text(rrset.rtype), rdata::print(rrset.rtype, &octets));
                writeln!(text, "{} {} IN {rtype} {data}", node.name(), rrset.ttl).expect("text grows");
            }
        }
    }
    text
}

/// A zone is refused with at least one error, or taken; what was taken, printed and read again, is the same.
pub fn master_file(octets: &[u8]) {
    // `$GENERATE` makes much of little: what it may make has its own bound and its own test.
    let text = String::from_utf8_lossy(&octets[..octets.len().min(8000)]).to_uppercase().replace("$GENERATE", "");
    let (origin, mut report): (Name, _) = ("example.com.".parse().expect("a name"), Report::default());
    let zone = load("example.com.zone", text, &origin, &mut no_includes, &mut report);
    assert_eq!(zone.is_none(), report.has_errors(), "{report}");
    let _ = report.to_string();
    let Some(zone) = zone else { return };
    let (printed, mut report) = (records(&zone), Report::default());
    let again = load("again.zone", printed.clone(), &origin, &mut no_includes, &mut report);
    let again = again.unwrap_or_else(|| panic!("{report}\n{printed}"));
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&records(&again)), lines(&printed));
}

/// The zone that the policies of `tests/golden` lie over.
static GROUND: LazyLock<ZoneSet> = LazyLock::new(|| {
    let (origin, mut report): (Name, _) = ("example.com.".parse().expect("a name"), Report::default());
    let text = include_str!("../golden/policies/zone");
    ZoneSet::new(load("zone", text, &origin, &mut no_includes, &mut report).into_iter().collect())
});

/// Policies are refused with at least one error, or taken; what was taken, printed and read again, is the same.
pub fn policy(octets: &[u8]) {
    let text = String::from_utf8_lossy(&octets[..octets.len().min(8000)]).replace("$GENERATE", "");
    let file = |text: String| vec![PolicyFile::new("example.com.policy", text)];
    let mut report = Report::default();
    let policies = policy::load(file(text), &mut no_includes, &GROUND, &[], &mut report);
    assert_eq!(policies.is_none(), report.has_errors(), "{report}");
    let _ = report.to_string();
    let Some(policies) = policies else { return };
    let (printed, mut report) = (policy::print(&policies), Report::default());
    let again = policy::load(file(printed.clone()), &mut no_includes, &GROUND, &[], &mut report);
    let again = again.unwrap_or_else(|| panic!("{report}\n{printed}"));
    assert_eq!(policy::print(&again), printed);
}

//----------- Streams --------------------------------------------------------

/// Sends a query back, and nothing for an empty one.
struct Echo;

impl Handler for Echo {
    type State = ();

    fn begin(&self) {}

    fn answer(&mut self, (): &(), query: &[u8], _: Peer, out: &mut [u8]) -> Said {
        if query.is_empty() {
            return Said::Silence(Silence::Short);
        }
        out[..query.len()].copy_from_slice(query);
        Said::Reply { len: query.len(), rcode: 0, truncated: false }
    }
}

/// What one connection sends back for octets that arrive in pieces of these sizes, again and again.
fn served(octets: &[u8], pieces: &[u8]) -> (Vec<u8>, Connection) {
    const LONG: Duration = Duration::from_secs(600);
    let pace = Pace { idle: LONG, read: LONG, write: LONG, linger: Duration::ZERO, farewell: LONG };
    let peer = Peer::new(SocketAddr::from(([127, 0, 0, 1], 5353)), Transport::Tcp);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let desk = Desk::new(Echo, Arc::new(Books::new(1)), 0);
        let (near, mut far) = duplex(1 << 20);
        let (_stopper, mut stop) = watch::channel(false);
        let server = async move {
            let gate = Arc::new(Gate::new(1, 1));
            let permit = gate.enter(peer.addr.ip(), std::time::Instant::now()).unwrap();
            let end = serve(&mut far, peer, &desk, &pace, &permit, &mut stop).await;
            drop(far);
            end
        };
        let script = async {
            let (mut reader, mut writer) = tokio::io::split(near);
            let (mut rest, mut sizes) = (octets, pieces.iter().cycle());
            while !rest.is_empty() {
                let size = sizes.next().map_or(rest.len(), |n| usize::from(*n) + 1).min(rest.len());
                let sent = writer.write_all(&rest[..size]).await;
                if sent.is_err() {
                    break;
                }
                rest = &rest[size..];
                tokio::task::yield_now().await;
            }
            let _ = writer.shutdown().await; // the server may have hung up
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.expect("memory can be read");
            got
        };
        let (end, got) = tokio::join!(server, script);
        (got, end)
    })
}

/// The first octet says how many octets of piece sizes follow, the rest is the stream.
///
/// Replies are the messages up to the first empty one or the last whole one, whatever pieces they came in.
pub fn framing(octets: &[u8]) {
    let Some((n, rest)) = octets.split_first() else { return };
    let (pieces, stream) = rest.split_at(usize::from(n & 7).min(rest.len()));
    let (mut expected, mut at) = (Vec::new(), stream);
    while let Some((head, rest)) = at.split_first_chunk::<2>()
        && let len = usize::from(u16::from_be_bytes(*head))
        && len > 0
        && let Some(body) = rest.get(..len)
    {
        expected.extend_from_slice(head);
        expected.extend_from_slice(body);
        at = &rest[len..];
    }
    let (got, end) = served(stream, pieces);
    assert_eq!(got, expected, "in pieces of {pieces:?}");
    assert_eq!(end == Connection::Closed, at.is_empty(), "{end:?} with {} octets left", at.len());
}
