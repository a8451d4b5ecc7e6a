//! Messages that are no questions: NOTIFY (RFC 1996) and UPDATE (RFC 2136).
//!
//! Zones are files here: nobody tells this server that one has changed, and nobody changes one over the wire. So a zone
//! that is ours is refused, as NSD and BIND do where nobody is allowed, and one that is not is NOTAUTH (RFC 2136
//! section 3.1.2); servers differ on NOTIFY there, and an error that says why serves best. What is signed has heard
//! before that the key is not known.

use crate::answer::Client;
use crate::exchange::{House, Snapshot};
use crate::wire::request::{Opcode, Request};
use crate::wire::{Ede, NameBuf, Rcode, rtype};

/// The RCODE and the reason for a message whose zone section names `zone`.
#[cold]
pub(super) fn refuse(
    request: &Request,
    zone: &NameBuf,
    client: Client,
    snapshot: &Snapshot,
    house: &House,
) -> (Rcode, Option<Ede>) {
    if request.qtype != rtype::SOA {
        return match request.opcode {
            // RFC 2136 section 3.1.1: a zone section names its SOA.
            Opcode::Update => (Rcode::FormErr, None),
            // RFC 9859 has children announce CDS and CSYNC to their parents.
            _ => (Rcode::NotImp, Some(Ede::NotSupported)),
        };
    }
    // A zone that the client may not ask is, to it, none of ours.
    match snapshot.zones.find(zone).filter(|(zone, _)| house.access.admits(client.addr, zone)) {
        Some((_, 0)) if request.qclass == rtype::CLASS_IN => (Rcode::Refused, Some(Ede::NotSupported)),
        _ => (Rcode::NotAuth, Some(Ede::NotAuthoritative)),
    }
}
