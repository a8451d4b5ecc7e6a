//! `floodway check --online`: what other servers have of the zones here, and what the parents say of them.
//!
//! Every zone's primaries, the secondaries that are told of changes, and its name servers are asked for their serials; where a
//! resolver is given, the delegation is compared, too (`delegation`). A server that does not answer is asked no more, and all of it
//! ends within a minute, so that a check in a script ends.

mod ask;
mod delegation;

use crate::cli::check::count;
use crate::transfer::settings::{Server, Settings};
use crate::wire::records::{Soa, is_newer};
use crate::wire::{Name, Rcode, rtype};
use crate::zone::{Zone, ZoneSet};
use ask::{Recursion, ask};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Longest time for it all. Our choice.
const ALL: Duration = Duration::from_secs(60);
/// Questions under way at a time.
const AT_A_TIME: usize = 64;
/// The port of DNS.
pub const PORT: u16 = 53;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is not as it should be, one line each, in order.
    pub problems: Vec<String>,
    /// What was asked, in one line.
    pub summary: String,
}

/// A zone as it is here.
struct Here {
    apex: Name,
    serial: u32,
    /// Its name servers, with the addresses that zones here have of them.
    servers: BTreeMap<Name, BTreeSet<IpAddr>>,
    dnskeys: Vec<Vec<u8>>,
}

/// Whom to ask for what.
struct Peer {
    what: &'static str,
    server: Server,
}

/// Asks.
///
/// `port`: that of name servers, of which only addresses are known.
pub async fn check(zones: &ZoneSet, settings: &Settings, resolver: Option<SocketAddr>, port: u16) -> Found {
    let (places, silent) = (Arc::new(Semaphore::new(AT_A_TIME)), Arc::new(Mutex::new(BTreeMap::new())));
    let mut asked: JoinSet<(bool, Vec<String>)> = JoinSet::new();
    for (i, zone) in zones.iter().enumerate() {
        let here = Arc::new(here(zones, zone, i));
        let of_zone = settings.of(zone.apex());
        let named = of_zone.primaries.iter().map(|server| ("primary", server));
        let named = named.chain(of_zone.notify.iter().map(|server| ("secondary", server)));
        let mut peers: Vec<Peer> = named.map(|(what, server)| Peer { what, server: server.clone() }).collect();
        for addr in here.servers.values().flatten().map(|ip| SocketAddr::new(*ip, port)) {
            if !peers.iter().any(|peer| peer.server.addr == addr) {
                peers.push(Peer { what: "name server", server: plain(addr) });
            }
        }
        for peer in peers {
            let (here, places, silent) = (here.clone(), places.clone(), silent.clone());
            asked.spawn(async move {
                let Ok(_place) = places.acquire_owned().await else { return (false, Vec::new()) };
                (true, serial(&here, &peer, &silent).await.into_iter().collect())
            });
        }
        if let Some(resolver) = resolver {
            let places = places.clone();
            asked.spawn(async move {
                let Ok(_place) = places.acquire_owned().await else { return (false, Vec::new()) };
                (false, delegation::check(&here, &plain(resolver), port).await)
            });
        }
    }
    let (mut found, mut n_asked) = (Found::default(), 0);
    let all = async {
        while let Some(done) = asked.join_next().await {
            let (is_peer, problems) = done.unwrap_or_default();
            n_asked += usize::from(is_peer);
            found.problems.extend(problems);
        }
    };
    if tokio::time::timeout(ALL, all).await.is_err() {
        found.problems.push(format!("not all was asked within {} s", ALL.as_secs()));
    }
    for (addr, (why, n)) in silent.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let others =
            if *n > 1 { format!("; it was not asked for {} more", count(n - 1, "zone")) } else { String::new() };
        found.problems.push(format!("{why}: {addr}{others}"));
    }
    found.problems.sort();
    found.summary = format!("asked for {} of {}", count(n_asked, "serial"), count(zones.n_zones(), "zone"));
    found
}

fn plain(addr: SocketAddr) -> Server {
    Server { addr, key: None, tls: None }
}

fn here(zones: &ZoneSet, zone: &Zone, i: usize) -> Here {
    let apex = zone.node_of(zone.apex());
    let names = apex.and_then(|apex| apex.rrset(rtype::NS)).into_iter().flat_map(|rrset| rrset.rdatas());
    let names = names.filter_map(|rdata| Name::from_wire(&rdata.to_ascii_lowercase()).ok());
    let addresses = |host: &Name| -> BTreeSet<IpAddr> {
        let of = |rtype| zones.zone_of(host).and_then(|zone| zone.rrset(host, rtype));
        let all = [of(rtype::A), of(rtype::AAAA)].into_iter().flatten().flat_map(|rrset| rrset.rdatas());
        all.filter_map(|rdata| address(&rdata)).collect()
    };
    let own = apex.and_then(|apex| apex.rrset(rtype::DNSKEY)).into_iter().flat_map(|rrset| rrset.rdatas());
    let made = apex.and_then(|apex| zones.signed(i)?.entry(apex)?.item(rtype::DNSKEY));
    let dnskeys =
        own.map(|rdata| rdata.into_owned()).chain(made.iter().flat_map(|item| item.rdatas()).map(<[u8]>::to_vec));
    Here {
        apex: zone.apex().clone(),
        serial: zone.serial(),
        servers: names.map(|name| (name.clone(), addresses(&name))).collect(),
        dnskeys: dnskeys.collect(),
    }
}

/// The address in the RDATA of an A or AAAA record.
fn address(rdata: &[u8]) -> Option<IpAddr> {
    match rdata.len() {
        4 => rdata.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        _ => rdata.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
    }
}

/// Servers that did not answer: why, and for how many zones they were to be asked.
type Silent = Mutex<BTreeMap<SocketAddr, (String, usize)>>;

/// Compares a server's serial; what is wrong with it.
async fn serial(here: &Here, Peer { what, server }: &Peer, silent: &Silent) -> Option<String> {
    let (apex, addr) = (&here.apex, server.addr);
    let known = || silent.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, n)) = known().get_mut(&addr) {
        *n += 1;
        return None;
    }
    let answer = match ask(server, apex, rtype::SOA, Recursion::None).await {
        Ok(answer) => answer,
        Err(e) => {
            known().entry(addr).or_insert((format!("{apex}: its {what} does not answer ({e})"), 0)).1 += 1;
            return None;
        }
    };
    if answer.rcode != 0 {
        return Some(format!("{apex}: its {what} {addr} answers {}", Rcode::text(answer.rcode.into())));
    }
    let soa = answer.rdatas(apex, rtype::SOA).first().and_then(|rdata| Soa::parse(rdata));
    match soa.filter(|_| answer.is_authoritative) {
        None => Some(format!("{apex}: its {what} {addr} does not have the zone (its answer lacks AA or the SOA)")),
        Some(soa) if soa.serial == here.serial => None,
        Some(soa) if is_newer(here.serial, soa.serial) => Some(format!(
            "{apex}: its {what} {addr} lags: it has serial {}, and {} is served here",
            soa.serial, here.serial
        )),
        Some(soa) => {
            Some(format!("{apex}: its {what} {addr} has serial {}, newer than {} here", soa.serial, here.serial))
        }
    }
}

#[cfg(test)]
mod tests;
