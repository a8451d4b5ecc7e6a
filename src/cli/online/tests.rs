use super::*;
use crate::transfer::settings::ZoneSettings;
use crate::zone::Builder;
use crate::zone::load::load;
use std::collections::HashMap;
use tokio::net::UdpSocket;

fn zone(text: &str) -> Zone {
    let mut report = crate::masterfile::Report::default();
    let no_includes = &mut |_: &str| Err("none".to_string());
    load("z", text, &"child.example".parse().unwrap(), no_includes, &mut report).unwrap_or_else(|| panic!("{report}"))
}

/// Records of an answer: section, owner, type, RDATA.
type Records = Vec<(u8, &'static str, u16, Vec<u8>)>;

/// What a made-up server says: by name and type, AA or not, and records.
type Script = HashMap<(String, u16), (bool, Records)>;

fn name(text: &str) -> Vec<u8> {
    text.parse::<Name>().unwrap().as_wire().to_vec()
}

fn soa(serial: u32) -> Vec<u8> {
    [&b"\0\0"[..], &serial.to_be_bytes(), &[0; 16]].concat()
}

/// Answers by the script, and with REFUSED what is not in it, for as long as the test runs.
async fn serve(socket: UdpSocket, script: Script) {
    let mut query = [0; 512];
    while let Ok((n, from)) = socket.recv_from(&mut query).await {
        let mut buf = crate::wire::NameBuf::default();
        let len = buf.parse(&query[12..n]).unwrap();
        let asked = Name::from(&buf).to_string();
        let qtype = u16::from_be_bytes([query[12 + len], query[13 + len]]);
        let mut reply = query[..12 + len + 4].to_vec();
        let (aa, records) = script.get(&(asked, qtype)).cloned().unwrap_or((false, Vec::new()));
        let is_known = aa || !records.is_empty();
        (reply[2], reply[3]) = (0x80 | if aa { 4 } else { 0 }, if is_known { 0 } else { 5 });
        for section in 1..=3 {
            for (_, owner, rtype, rdata) in records.iter().filter(|(of, ..)| *of == section) {
                reply.extend(name(owner));
                reply.extend(rtype.to_be_bytes());
                reply.extend([0, 1, 0, 0, 0, 60]);
                reply.extend((rdata.len() as u16).to_be_bytes());
                reply.extend(rdata);
                reply[5 + 2 * usize::from(section)] += 1;
            }
        }
        let _ = socket.send_to(&reply, from).await;
    }
}

const ZONE: &str = "$TTL 60\n@ SOA ns h 7 2 3 4 60\n@ NS ns\n@ NS other.test.\nns A 127.0.0.1\n";

fn entry(of: &str, qtype: u16, aa: bool, records: Records) -> ((String, u16), (bool, Records)) {
    ((of.to_string(), qtype), (aa, records))
}

/// Who lags is named with both serials, who does not answer with its address, and whoever is as it should be not at all.
#[tokio::test]
async fn serials_are_compared() {
    let sockets = [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let [server, lagging] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let [first, second] = sockets;
    let apex = "child.example.";
    tokio::spawn(serve(first, Script::from([entry(apex, 6, true, vec![(1, apex, 6, soa(7))])])));
    tokio::spawn(serve(second, Script::from([entry(apex, 6, true, vec![(1, apex, 6, soa(5))])])));
    let quiet = gone.local_addr().unwrap();
    drop(gone);
    let notify = [lagging, quiet].map(plain).to_vec();
    let everywhere = Arc::new(ZoneSettings { notify, ..ZoneSettings::default() });
    let settings = Settings { everywhere, ..Settings::default() };
    let mut other = Builder::new(&"other.example".parse().unwrap());
    other.add(&"other.example".parse().unwrap(), rtype::SOA, 60, &soa(1));
    let zones = ZoneSet::new(vec![zone(ZONE), other.finish()]);
    let found = check(&zones, &settings, None, server.port()).await;
    assert_eq!(
        found.problems,
        [
            format!("child.example.: its secondary {lagging} lags: it has serial 5, and 7 is served here"),
            format!(
                "child.example.: its secondary does not answer (Connection refused (os error 111)): {quiet}; it was not asked for 1 zone more"
            ),
            format!("other.example.: its secondary {lagging} answers REFUSED"),
        ]
    );
    assert_eq!(found.summary, "asked for 5 serials of 2 zones");
}

/// RFC 1034 section 4.2.2, RFC 4035 section 5.2: name servers, glue and DS at the parent are those of the zone.
#[tokio::test]
async fn delegations_are_compared() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let apex = "child.example.";
    // The resolver and the parent's server are one here, and the zone's.
    let script = Script::from([
        entry(apex, 6, true, vec![(1, apex, 6, soa(7))]),
        entry(apex, 43, false, vec![(1, apex, 43, vec![0, 9, 13, 2, 1, 2])]),
        entry("example.", 6, false, vec![(1, "example.", 6, soa(1))]),
        entry("example.", 2, false, vec![(1, "example.", 2, name("ns.example"))]),
        entry("ns.example.", 1, false, vec![(1, "ns.example.", 1, vec![127, 0, 0, 1])]),
        entry(
            apex,
            2,
            false,
            vec![
                (2, apex, 2, name("ns.child.example")),
                (2, apex, 2, name("old.test")),
                (3, "ns.child.example.", 1, vec![127, 0, 0, 2]),
            ],
        ),
    ]);
    tokio::spawn(serve(socket, script));
    let zones = ZoneSet::new(vec![zone(ZONE)]);
    let found = check(&zones, &Settings::default(), Some(server), server.port()).await;
    assert_eq!(
        found.problems,
        [
            "child.example.: the glue of ns.child.example. at the parent is 127.0.0.2, and in the zone 127.0.0.1",
            "child.example.: the parent has DS, and the zone is not signed: it is bogus to all who validate",
            "child.example.: the parent has the name server old.test., and the zone does not",
            "child.example.: the zone has the name server other.test., and the parent does not",
        ]
    );
}
