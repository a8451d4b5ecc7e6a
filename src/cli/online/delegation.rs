//! What the parent says of a zone: its name servers, their glue, and DS.

use crate::cli::online::ask::{Answer, Recursion, ask};
use crate::cli::online::{Here, address, plain};
use crate::dnssec::key::{ds_rdata, key_tag};
use crate::transfer::settings::Server;
use crate::wire::{Name, Rcode, rtype};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Most of the parent's servers that are tried.
const MOST_SERVERS: usize = 3;
/// Flags of a key that a parent may name: a zone key (RFC 4034 section 2.1.1).
const ZONE_KEY: u16 = 0x0100;

/// Compares; what differs.
pub(super) async fn check(here: &Here, resolver: &Server, port: u16) -> Vec<String> {
    let apex = &here.apex;
    if apex.is_root() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    match ask(resolver, apex, rtype::DS, Recursion::Wanted).await {
        Ok(answer) if matches!(answer.rcode, 0 | 3) => of_ds(here, &answer.rdatas(apex, rtype::DS), &mut problems),
        Ok(answer) => problems.push(format!("{apex}: DS cannot be had: {}", Rcode::text(answer.rcode.into()))),
        Err(e) => return vec![format!("{apex}: the resolver {} does not say its DS: {e}", resolver.addr)],
    }
    match referral(apex, resolver, port).await {
        Ok(answer) => of_servers(here, &answer, &mut problems),
        Err(e) => problems.push(format!("{apex}: the parent's word cannot be had: {e}")),
    }
    problems
}

/// Holds DS against the zone's keys (RFC 4035 section 5.2).
fn of_ds(here: &Here, found: &[&[u8]], problems: &mut Vec<String>) {
    let apex = &here.apex;
    let is_of = |ds: &[u8], dnskey: &Vec<u8>| {
        let flags = dnskey.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags));
        flags & ZONE_KEY != 0
            && ds.get(3).and_then(|digest_type| ds_rdata(apex, dnskey, *digest_type)).is_some_and(|own| own == *ds)
    };
    let has_key = |ds: &[u8]| here.dnskeys.iter().any(|dnskey| is_of(ds, dnskey));
    match (here.dnskeys.is_empty(), found.is_empty()) {
        (true, true) => {}
        (true, false) => problems
            .push(format!("{apex}: the parent has DS, and the zone is not signed: it is bogus to all who validate")),
        (false, true) => problems
            .push(format!("{apex}: the parent has no DS, so that nobody validates; `floodway ds {apex}` prints it")),
        (false, false) if !found.iter().any(|ds| has_key(ds)) => {
            let tags: BTreeSet<u16> = here.dnskeys.iter().map(|dnskey| key_tag(dnskey)).collect();
            problems.push(format!("{apex}: no DS of the parent is of a key of the zone, which has {tags:?}: it is bogus to all who validate"));
        }
        (false, false) => {
            for ds in found.iter().filter(|ds| !has_key(ds)) {
                let tag = ds.first_chunk().map_or(0, |tag| u16::from_be_bytes(*tag));
                problems.push(format!("{apex}: the parent's DS {tag} is of no key of the zone"));
            }
        }
    }
}

/// Asks the parent's own servers, found by the resolver, for the zone's name servers.
async fn referral(apex: &Name, resolver: &Server, port: u16) -> Result<Answer, String> {
    let above = apex.parent().ok_or("the root has none")?;
    let answer = ask(resolver, &above, rtype::SOA, Recursion::Wanted).await?;
    let parent = answer.zone().ok_or_else(|| format!("nobody knows the zone of {above}"))?.clone();
    let servers = ask(resolver, &parent, rtype::NS, Recursion::Wanted).await?;
    let names = servers.rdatas(&parent, rtype::NS).into_iter().filter_map(|rdata| Name::from_wire(rdata).ok());
    let mut last = format!("{parent} has no name servers");
    for name in names.take(MOST_SERVERS) {
        for rtype in [rtype::A, rtype::AAAA] {
            let found = match ask(resolver, &name, rtype, Recursion::Wanted).await {
                Ok(answer) => answer.rdatas(&name, rtype).first().and_then(|rdata| address(rdata)),
                Err(e) => {
                    last = format!("{name}: {e}");
                    None
                }
            };
            let Some(ip) = found else { continue };
            match ask(&plain(SocketAddr::new(ip, port)), apex, rtype::NS, Recursion::None).await {
                Ok(answer) if !answer.rdatas(apex, rtype::NS).is_empty() => return Ok(answer),
                Ok(_) => last = format!("{name} ({ip}) does not delegate it"),
                Err(e) => last = format!("{name} ({ip}): {e}"),
            }
        }
    }
    Err(last)
}

/// Compares names of servers, and the glue of those in the zone (RFC 1034 section 4.2.2).
fn of_servers(here: &Here, answer: &Answer, problems: &mut Vec<String>) {
    let apex = &here.apex;
    let lower = |rdata: &[u8]| Name::from_wire(&rdata.to_ascii_lowercase()).ok();
    let theirs: BTreeSet<Name> = answer.rdatas(apex, rtype::NS).into_iter().filter_map(lower).collect();
    for name in theirs.iter().filter(|name| !here.servers.contains_key(name)) {
        problems.push(format!("{apex}: the parent has the name server {name}, and the zone does not"));
    }
    for (name, own) in &here.servers {
        if !theirs.contains(name) {
            problems.push(format!("{apex}: the zone has the name server {name}, and the parent does not"));
            continue;
        }
        if !name.is_within(apex) || answer.is_authoritative {
            continue;
        }
        let glue = [rtype::A, rtype::AAAA].into_iter().flat_map(|rtype| answer.rdatas(name, rtype));
        let glue: BTreeSet<IpAddr> = glue.filter_map(address).collect();
        if glue != *own {
            problems.push(format!(
                "{apex}: the glue of {name} at the parent is {}, and in the zone {}",
                list(&glue),
                list(own)
            ));
        }
    }
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    match addresses.is_empty() {
        true => "none".into(),
        false => addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "),
    }
}
