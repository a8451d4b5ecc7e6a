//! Class CH: the server speaks of itself.

use crate::exchange::House;
use crate::wire::reply::Reply;
use crate::wire::request::Request;
use crate::wire::{Ede, NameBuf, Rcode, rtype};
use std::net::IpAddr;

/// Names that give the software, by the habit of BIND and of NSD.
const VERSION: [&[u8]; 2] = [b"\x07version\x04bind\0", b"\x07version\x06server\0"];
/// Names that give the instance (RFC 4892 section 3), and the older habit.
const IDENTITY: [&[u8]; 2] = [b"\x02id\x06server\0", b"\x08hostname\x04bind\0"];

/// Answers a question of class CH.
#[cold]
pub(super) fn answer(
    request: &Request,
    name: &NameBuf,
    from: IpAddr,
    house: &House,
    reply: &mut Reply,
) -> (Rcode, Option<Ede>) {
    let refused = |why| (Rcode::Refused, Some(why));
    if !house.access.admits_in_general(from) {
        return refused(Ede::Prohibited);
    }
    let text = match name.as_wire() {
        name if VERSION.contains(&name) => house.version.as_bytes(),
        name if IDENTITY.contains(&name) => &house.nsid,
        _ => return refused(Ede::NotAuthoritative),
    };
    match request.qtype {
        // Not told, and nothing that a denial could stand on: there is no zone around these names.
        _ if text.is_empty() => refused(Ede::Prohibited),
        rtype::TXT | rtype::ANY => {
            reply.put_text(text);
            (Rcode::NoError, None)
        }
        _ => refused(Ede::NotAuthoritative),
    }
}
