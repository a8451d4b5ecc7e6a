//! What a query's EDNS options ask of the reply, settled before any zone is asked.

use crate::answer::{Client, Transport, cookie};
use crate::exchange::{CookieSeen, House};
use crate::wire::Rcode;
use crate::wire::edns::{Asks, ServerCookie};
use crate::wire::opt::Extras;
use crate::wire::request::Request;

/// What was settled.
#[derive(Debug, Default)]
pub(super) struct Settled<'h> {
    /// Options of the reply.
    pub extras: Extras<'h>,
    /// What the query's cookie was worth.
    pub cookie: CookieSeen,
    /// The reply's RCODE, where an option decides it.
    pub fault: Option<Rcode>,
}

/// Settles the options of a query that has some, or whose client subnet is subject to rules.
#[inline(never)]
pub(super) fn settle<'h>(request: &mut Request, client: Client, house: &'h House, now: u32) -> Settled<'h> {
    let has_question = request.has_question();
    let mut settled = Settled::default();
    let Some(edns) = &mut request.edns else { return settled };
    let takes_subnets = house.ecs.as_ref().is_none_or(|rules| rules.trusts(client.addr));
    match (&house.ecs, &mut edns.ecs) {
        // Passed over as an option that is not known here, sound or not (RFC 6891 section 6.1.2).
        _ if !takes_subnets => edns.ecs = None,
        (Some(rules), Some(ecs)) => ecs.limit(rules.most_bits(ecs.family)),
        _ => {}
    }
    let Settled { extras, cookie, fault } = &mut settled;
    let knows_bad_cookie = house.cookies.is_some() && edns.asks.has(Asks::BAD_COOKIE);
    if takes_subnets && edns.asks.has(Asks::BAD_ECS) || knows_bad_cookie {
        *fault = Some(Rcode::FormErr);
    }
    if edns.asks.has(Asks::NSID) && !house.nsid.is_empty() {
        extras.nsid = Some(&house.nsid);
    }
    // RFC 7828 section 3.3.1: over UDP it is passed over. HTTP and QUIC have timeouts of their own (RFC 8484 section
    // 10, RFC 9250 section 5.5.2).
    if matches!(client.transport, Transport::Tcp | Transport::Tls) {
        if edns.asks.has(Asks::BAD_KEEPALIVE) {
            *fault = Some(Rcode::FormErr);
        } else if edns.asks.has(Asks::KEEPALIVE) {
            // Section 3.3.2: the timeout of this connection as it stands; section 3.4: 0 asks the client to close.
            extras.keepalive = Some(if client.link.is_hurried { 0 } else { house.idle_100ms });
        }
    }
    // RFC 7830 section 6: never where everybody can read what is in it.
    extras.pads = edns.asks.has(Asks::PADDING) && client.transport.is_encrypted();
    match &house.cookies {
        Some(cookies) if edns.asks.has(Asks::COOKIE) => {
            let judged = cookie::judge(&edns.cookie, client.addr, cookies, now);
            extras.cookie = Some(judged.reply);
            *cookie = judged.seen;
            let must_prove = match has_question {
                // RFC 7873 section 5.2.3: whoever speaks over a connection has proven the address.
                true => cookies.required && !client.transport.is_stream(),
                // RFC 7873 section 5.4: to ask whether a cookie is still good.
                false => edns.cookie.server != ServerCookie::None,
            };
            if must_prove && *cookie != CookieSeen::Valid {
                fault.get_or_insert(Rcode::BadCookie);
            }
        }
        // RFC 7873 section 5.4: who has no cookies takes no query without question.
        _ if !has_question => *fault = Some(Rcode::FormErr),
        _ => {}
    }
    settled
}
