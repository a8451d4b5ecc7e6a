//! dnstap messages (dnstap.info, `dnstap.proto`, in the public domain): those fields of the schema that we fill, with
//! their tags.

use crate::exchange::Transport;
use crate::transport::handler::Peer;
use prost::Message as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

/// The outer message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dnstap {
    /// Which server.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub identity: Option<Vec<u8>>,
    /// What program it is.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub version: Option<Vec<u8>>,
    /// Free text: why the answer is what it is.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub extra: Option<Vec<u8>>,
    /// The message.
    #[prost(message, optional, tag = "14")]
    pub message: Option<Message>,
    /// MESSAGE = 1, the only one there is.
    #[prost(int32, optional, tag = "15")]
    pub kind: Option<i32>,
}

/// A DNS message with what surrounds it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// See [`Kind`].
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
    /// INET = 1, INET6 = 2.
    #[prost(int32, optional, tag = "2")]
    pub socket_family: Option<i32>,
    /// UDP = 1, TCP = 2, DOT = 3, DOH = 4, DOQ = 7.
    #[prost(int32, optional, tag = "3")]
    pub socket_protocol: Option<i32>,
    /// The client's address, 4 or 16 octets.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub query_address: Option<Vec<u8>>,
    /// The address that was asked, likewise; left out where it is not known.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub response_address: Option<Vec<u8>>,
    /// The client's port.
    #[prost(uint32, optional, tag = "6")]
    pub query_port: Option<u32>,
    /// The port that was asked.
    #[prost(uint32, optional, tag = "7")]
    pub response_port: Option<u32>,
    /// When the query was taken up: unix seconds, and nanoseconds.
    #[prost(uint64, optional, tag = "8")]
    pub query_time_sec: Option<u64>,
    /// See `query_time_sec`.
    #[prost(fixed32, optional, tag = "9")]
    pub query_time_nsec: Option<u32>,
    /// The query as it came.
    #[prost(bytes = "vec", optional, tag = "10")]
    pub query_message: Option<Vec<u8>>,
    /// When the response was composed, likewise.
    #[prost(uint64, optional, tag = "12")]
    pub response_time_sec: Option<u64>,
    /// See `response_time_sec`.
    #[prost(fixed32, optional, tag = "13")]
    pub response_time_nsec: Option<u32>,
    /// The response as it goes.
    #[prost(bytes = "vec", optional, tag = "14")]
    pub response_message: Option<Vec<u8>>,
}

/// Which of the messages of an authoritative server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A query that it received.
    AuthQuery = 1,
    /// A response that it sends.
    AuthResponse = 2,
}

/// What is told of one query, before it is a message.
#[derive(Debug)]
pub struct Event {
    /// Who asked, and how.
    pub peer: Peer,
    /// When the query was taken up.
    pub begun: SystemTime,
    /// When it had been answered.
    pub ended: SystemTime,
    /// Generation of the snapshot that answered.
    pub generation: u64,
    /// The query.
    pub query: Vec<u8>,
    /// The response; empty if there is none.
    pub response: Vec<u8>,
}

impl Event {
    /// The part that is the same for query and response.
    fn around(&self, kind: Kind) -> Message {
        let octets = |addr: SocketAddr| match addr.ip() {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let protocol = match self.peer.transport {
            Transport::Udp => 1,
            Transport::Tcp => 2,
            Transport::Tls => 3,
            Transport::Https => 4,
            Transport::Quic => 7,
        };
        let (sec, nsec) = parts(self.begun);
        Message {
            kind: Some(kind as i32),
            socket_family: Some(if self.peer.addr.is_ipv4() { 1 } else { 2 }),
            socket_protocol: Some(protocol),
            query_address: Some(octets(self.peer.addr)),
            response_address: self.peer.local.map(octets),
            query_port: Some(self.peer.addr.port().into()),
            response_port: self.peer.local.map(|addr| addr.port().into()),
            query_time_sec: Some(sec),
            query_time_nsec: Some(nsec),
            ..Message::default()
        }
    }

    /// AUTH_QUERY.
    pub fn query(&self) -> Message {
        Message { query_message: Some(self.query.clone()), ..self.around(Kind::AuthQuery) }
    }

    /// AUTH_RESPONSE.
    pub fn response(&self) -> Message {
        let (sec, nsec) = parts(self.ended);
        Message {
            response_time_sec: Some(sec),
            response_time_nsec: Some(nsec),
            response_message: Some(self.response.clone()),
            ..self.around(Kind::AuthResponse)
        }
    }
}

fn parts(at: SystemTime) -> (u64, u32) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs(), since.subsec_nanos())
}

/// Composes a data frame: length and message.
pub fn frame(dnstap: &Dnstap) -> Vec<u8> {
    let mut frame = (dnstap.encoded_len() as u32).to_be_bytes().to_vec();
    // A Vec has room for whatever comes, so this does not fail.
    let _ = dnstap.encode(&mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Octet for octet as the schema's encoding has it: tags, varints, fixed32.
    #[test]
    fn messages_are_encoded_as_the_schema_says() {
        let event = Event {
            peer: Peer {
                addr: "192.0.2.1:53".parse().unwrap(),
                transport: Transport::Tls,
                local: Some("192.0.2.2:5".parse().unwrap()),
                ..Peer::new("192.0.2.1:53".parse().unwrap(), Transport::Tls)
            },
            begun: UNIX_EPOCH + Duration::new(5, 7),
            ended: UNIX_EPOCH + Duration::new(6, 8),
            generation: 1,
            query: b"q".to_vec(),
            response: b"r".to_vec(),
        };
        let dnstap =
            Dnstap { extra: Some(b"x".to_vec()), message: Some(event.query()), kind: Some(1), ..Dnstap::default() };
        let message = b"\x08\x01\x10\x01\x18\x03\x22\x04\xc0\0\x02\x01\x2a\x04\xc0\0\x02\x02\x30\x35\x38\x05\x40\x05\x4d\x07\0\0\0\x52\x01q";
        let expected = [&b"\0\0\0\x27\x1a\x01x\x72\x20"[..], message, b"\x78\x01"].concat();
        assert_eq!(frame(&dnstap), expected);
        let response = event.response();
        assert_eq!(
            (response.kind, response.response_time_sec, response.response_time_nsec),
            (Some(2), Some(6), Some(8))
        );
        assert_eq!((response.response_message, response.query_message), (Some(b"r".to_vec()), None));
    }
}
