//! A handler in place of the answers, for tests of the sockets: it answers TXT questions with hickory-proto
//! messages, whose first label says what kind of answer is wanted.

use floodway::exchange::Silence;
use floodway::transport::handler::{Handler, Peer, Said};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Answers `big.` with 3,000 octets of TXT, truncated over UDP; `panic.` with a panic; all else with one TXT
/// that names the client and the transport.
pub struct StandIn;

impl Handler for StandIn {
    type State = ();

    fn begin(&self) {}

    fn answer(&mut self, (): &(), query: &[u8], peer: Peer, out: &mut [u8]) -> Said {
        let (client, transport) = (peer.addr.ip(), peer.transport);
        let Ok(query) = Message::from_vec(query) else { return Said::Silence(Silence::Short) };
        let question = query.queries[0].clone();
        let first = String::from_utf8(question.name().iter().next().unwrap_or_default().to_vec()).unwrap();
        assert_ne!(first, "panic", "a bug, for once on purpose");
        let mut reply = Message::response(query.metadata.id, OpCode::Query);
        reply.add_query(question.clone());
        let text = |text: String| Record::from_rdata(question.name().clone(), 0, RData::TXT(TXT::new(vec![text])));
        if first != "big" {
            reply.add_answer(text(format!("{client} {}", transport.label())));
        } else if transport.is_stream() {
            reply.add_answers((0..15).map(|i| text(format!("{i:0200}"))));
        } else {
            reply.metadata.truncation = true;
        }
        let wire = reply.to_vec().unwrap();
        out[..wire.len()].copy_from_slice(&wire);
        Said::Reply { len: wire.len(), rcode: 0, truncated: reply.metadata.truncation }
    }
}

pub fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::TXT));
    message.to_vec().unwrap()
}

pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}
