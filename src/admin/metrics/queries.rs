//! Queries: how many came, what became of them, and of the connections, frames and messages around them.

use crate::admin::Source;
use crate::admin::metrics::{Labels, Page, flag};
use crate::admin::process::socket_drops;
use crate::admin::running::open_connections;
use crate::exchange::access::List;
use crate::exchange::{Connection, CookieSeen, Silence, books};
use crate::transport::rate::{Action, Class};
use crate::transport::xdp::frame::Flaw;
use crate::wire::Rcode;

/// Adds them.
pub(super) fn add(page: &mut Page, source: &Source) {
    queries(page, source);
    cookies_and_lists(page, source);
    rate_limits(page, source);
    dnstap(page, source);
    xdp(page, source);
}

fn queries(page: &mut Page, source: &Source) {
    let sums = source.books.sum();
    let by = |s: &books::TransportSum| ("transport", s.transport.label().to_owned());
    page.counter("queries", "Queries received", sums.iter().map(|s| (vec![by(s)], s.queries)));
    let replies = sums.iter().flat_map(|s| {
        let known = s.replies.iter().enumerate().map(|(code, n)| (Rcode::text(code as u16), *n));
        known
            .chain([("other".to_owned(), s.other_rcodes)])
            // NOERROR stands for the transport; of the other codes, those that have occurred.
            .filter(|(code, n)| *n > 0 || code == "NOERROR")
            .map(move |(code, n)| (vec![by(s), ("rcode", code)], n))
    });
    page.counter("responses", "Responses by rcode", replies);
    let silences = sums
        .iter()
        .flat_map(|s| Silence::ALL.map(|why| (vec![by(s), ("reason", why.label().to_owned())], s.silences(why))));
    page.counter("queries_unanswered", "Queries that got no response, by reason", silences);
    page.counter("responses_truncated", "Responses with TC set", sums.iter().map(|s| (vec![by(s)], s.truncated)));
    page.counter(
        "responses_unsent",
        "Responses that the kernel did not take",
        sums.iter().map(|s| (vec![by(s)], s.unsent)),
    );
    let connections = sums.iter().filter(|s| s.transport.is_stream()).flat_map(|s| {
        Connection::ALL.map(|what| (vec![by(s), ("event", what.label().to_owned())], s.connections(what)))
    });
    page.counter("connections", "What became of connections", connections);
    let open =
        open_connections(&source.books).map(|(transport, n)| (vec![("transport", transport.to_owned())], n as f64));
    page.gauge("connections_open", "Connections that are open", open);
    let is_udp = |key: &str| matches!(key, "dns" | "quic" | "https");
    let listeners = &source.place.listeners;
    let mut udp: Vec<_> = listeners.iter().filter(|(key, _)| is_udp(key)).map(|(_, addr)| *addr).collect();
    udp.sort();
    udp.dedup();
    page.counter(
        "socket_drops",
        "Datagrams that the kernel dropped at a listener, mostly since its queue was full",
        socket_drops(&udp).into_iter().map(|(addr, n)| (vec![("listener", addr.to_string())], n)),
    );
}

fn cookies_and_lists(page: &mut Page, source: &Source) {
    let (cookies, refusals) = (source.books.cookies(), source.books.refusals());
    let queries: u64 = source.books.sum().iter().map(|s| s.queries).sum();
    let without = queries.saturating_sub(cookies.iter().sum());
    let rows = CookieSeen::COUNTED.into_iter().zip(cookies).chain([(CookieSeen::None, without)]);
    page.counter(
        "query_cookies",
        "Queries by what their cookie was worth (RFC 7873)",
        rows.map(|(seen, n)| (vec![("cookie", seen.label().to_owned())], n)),
    );
    page.counter(
        "access_refusals",
        "Queries refused by a list, by the section that has it",
        List::ALL.into_iter().zip(refusals).map(|(list, n)| (vec![("list", list.label().to_owned())], n)),
    );
}

fn rate_limits(page: &mut Page, source: &Source) {
    let ledger = &source.observed.rate;
    let rows = Class::ALL.into_iter().flat_map(|class| {
        Action::ALL.map(|action| {
            let labels = vec![("class", class.label().to_owned()), ("action", action.label().to_owned())];
            (labels, ledger.limited(class, action))
        })
    });
    page.counter("responses_rate_limited", "Responses over UDP that were over a rate limit", rows);
    page.counter(
        "rate_limit_evictions",
        "Buckets of rate limits that were given up for others while in use",
        [(Labels::new(), ledger.evicted())],
    );
}

fn dnstap(page: &mut Page, source: &Source) {
    let tap = &source.observed.tap;
    let rows = |key: &'static str, all: [(&str, u64); 2]| all.map(|(word, n)| (vec![(key, word.to_owned())], n));
    page.counter(
        "dnstap_queries",
        "Queries sampled for dnstap, by whether their thread's queue had room",
        rows("result", [("queued", tap.sampled()), ("dropped", tap.dropped())]),
    );
    page.counter(
        "dnstap_messages",
        "Messages of dnstap, by whether socket or file took them",
        rows("result", [("written", tap.written()), ("unwritten", tap.unwritten())]),
    );
    page.gauge(
        "dnstap_connected",
        "1 while a dnstap collector is connected",
        [(Labels::new(), flag(tap.is_connected()))],
    );
}

/// Frames of each queue: what its thread did with them, why it dropped some, and why the kernel did.
fn xdp(page: &mut Page, source: &Source) {
    let (mut frames, mut dropped) = (Vec::new(), Vec::new());
    for watch in &source.observed.xdp {
        let labels = |key, word: &str| vec![("queue", watch.queue.to_string()), (key, word.to_owned())];
        frames.push((labels("direction", "received"), watch.counts.received()));
        frames.push((labels("direction", "sent"), watch.counts.sent()));
        dropped.extend(Flaw::ALL.map(|flaw| (labels("reason", flaw.label()), watch.counts.flawed(flaw))));
        let Some(Ok(kernel)) = watch.socket.upgrade().map(|socket| socket.statistics()) else { continue };
        dropped.extend(
            [
                ("ring_full", kernel.rx_ring_full),
                ("no_buffer", kernel.rx_fill_ring_empty_descs),
                ("kernel", kernel.rx_dropped),
                ("invalid", kernel.rx_invalid_descs + kernel.tx_invalid_descs),
            ]
            .map(|(why, n)| (labels("reason", why), n)),
        );
    }
    if !frames.is_empty() {
        page.counter("xdp_frames", "Frames of a network interface's queue, past the kernel's stack", frames);
        page.counter("xdp_frames_dropped", "Frames for us that were dropped, by reason", dropped);
    }
}
