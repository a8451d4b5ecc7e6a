//! One question to another server, and what can be read off its answer.

use crate::transfer::fetch::{compose, random_id, sign, unix_secs};
use crate::transfer::settings::Server;
use crate::wire::name::{MAX_NAME, expand};
use crate::wire::walk::{self, Section};
use crate::wire::{Name, rtype};
use crate::zone::rdata;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long an answer is waited for, and how often a datagram is sent.
const WAIT: Duration = Duration::from_secs(2);
const TRIES: usize = 2;

/// What a server has answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// RCODE NOERROR came with AA.
    pub is_authoritative: bool,
    pub rcode: u8,
    records: Vec<(Section, Name, u16, Vec<u8>)>,
}

/// Whether the server is to ask others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Recursion {
    Wanted,
    None,
}

impl Answer {
    /// The RDATA of a name's records of a type, whatever their section; the answer's before others.
    pub fn rdatas(&self, owner: &Name, rtype: u16) -> Vec<&[u8]> {
        let of = |wanted: Section| {
            let fits = move |(section, name, of, _): &&(Section, Name, u16, Vec<u8>)| {
                *section == wanted && name == owner && *of == rtype
            };
            self.records.iter().filter(fits).map(|(.., rdata)| &rdata[..]).collect::<Vec<_>>()
        };
        [Section::Answer, Section::Authority, Section::Additional]
            .into_iter()
            .map(of)
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// The owner of the SOA that the answer has: the zone that the name is in.
    pub fn zone(&self) -> Option<&Name> {
        self.records.iter().find(|(_, _, of, _)| *of == rtype::SOA).map(|(_, owner, ..)| owner)
    }
}

/// Asks over UDP, and over TCP where the answer does not fit.
///
/// # Errors
/// A text for people, without the server's address.
pub(super) async fn ask(server: &Server, name: &Name, qtype: u16, recursion: Recursion) -> Result<Answer, String> {
    let mut last = "no answer".to_string();
    for _ in 0..TRIES {
        match datagram(server, name, qtype, recursion).await {
            Ok(message) if message[2] & 0x02 != 0 => {
                let over_tcp = timeout(2 * WAIT, stream(server, name, qtype, recursion)).await;
                return read(&over_tcp.map_err(|_| "no answer over TCP".to_string())??);
            }
            Ok(message) => return read(&message),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn question(
    server: &Server,
    name: &Name,
    qtype: u16,
    recursion: Recursion,
) -> (Vec<u8>, Option<crate::wire::tsig::Watch>) {
    let mut message = compose(random_id(), 0, name, qtype, None);
    message[2] |= u8::from(recursion == Recursion::Wanted);
    let watch = sign(&mut message, server);
    (message, watch)
}

async fn datagram(server: &Server, name: &Name, qtype: u16, recursion: Recursion) -> Result<Vec<u8>, String> {
    let any: SocketAddr = match server.addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let (message, mut watch) = question(server, name, qtype, recursion);
    let asked = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server.addr).await?;
        socket.send(&message).await?;
        let mut reply = vec![0; 4096];
        loop {
            let n = socket.recv(&mut reply).await?;
            if is_answer(&message, &reply[..n]) {
                reply.truncate(n);
                return Ok::<_, std::io::Error>(reply);
            }
        }
    };
    let reply = timeout(WAIT, asked).await.map_err(|_| "no answer".to_string())?.map_err(|e| e.to_string())?;
    watch.as_mut().map_or(Ok(()), |watch| watch.take(&reply, unix_secs())).map_err(|e| e.to_string())?;
    Ok(reply)
}

async fn stream(server: &Server, name: &Name, qtype: u16, recursion: Recursion) -> Result<Vec<u8>, String> {
    let (message, mut watch) = question(server, name, qtype, recursion);
    let asked = async {
        let mut stream = TcpStream::connect(server.addr).await?;
        stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], &message].concat()).await?;
        let len = stream.read_u16().await?;
        let mut reply = vec![0; len.into()];
        stream.read_exact(&mut reply).await?;
        Ok::<_, std::io::Error>(reply)
    };
    let reply = asked.await.map_err(|e| e.to_string())?;
    if !is_answer(&message, &reply) {
        return Err("something came that is no answer".into());
    }
    watch.as_mut().map_or(Ok(()), |watch| watch.take(&reply, unix_secs())).map_err(|e| e.to_string())?;
    Ok(reply)
}

/// Whether a message answers a question: id, QR, and the question itself.
fn is_answer(question: &[u8], reply: &[u8]) -> bool {
    let same_id = reply.len() >= 12 && reply[..2] == question[..2] && reply[2] & 0x80 != 0;
    let end = 12 + question_len(&question[12..]);
    same_id
        && (reply[4..6] == [0, 0]
            || reply.get(12..end).is_some_and(|asked| asked.eq_ignore_ascii_case(&question[12..end])))
}

/// Octets of a question: its name, which is not compressed, type and class.
fn question_len(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len) = octets.get(at).filter(|len| **len > 0) {
        at += 1 + usize::from(*len);
    }
    at + 5
}

fn read(message: &[u8]) -> Result<Answer, String> {
    let rcode = message[3] & 0x0f;
    let mut records = Vec::new();
    for record in walk::records(message) {
        let record = record.ok_or("its answer is malformed")?;
        let (mut wire, mut data) = ([0; MAX_NAME], Vec::new());
        let (len, _) = expand(message, record.start, &mut wire).ok_or("its answer is malformed")?;
        let owner = Name::from_wire(&wire[..len]).map_err(|e| e.to_string())?;
        if rdata::wire::expand(record.rtype, message, record.range(), &mut data).is_some() {
            records.push((record.section, owner, record.rtype, data));
        }
    }
    Ok(Answer { is_authoritative: rcode == 0 && message[2] & 0x04 != 0, rcode, records })
}
