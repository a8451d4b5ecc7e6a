//! Checks that need the whole zone: what may stand beside what, and where names lead.

use std::collections::{HashMap, HashSet};

use crate::masterfile::{Diagnostic, Report, Sources, Span};
use crate::wire::{Name, rtype};
use crate::zone::load::RRSIG;
use crate::zone::load::index::{Index, Seen};
use crate::zone::rdata::type_text;

/// Types that the parent holds at a zone cut beside NS (RFC 4035 section 2).
const AT_CUT: [u16; 4] = [rtype::NS, rtype::DS, 46, 47];

/// The keys of a signed zone (RFC 4034 section 2).
const DNSKEY: u16 = 48;

/// A host within the zone that a record leads to.
pub struct Target {
    /// Position of the record's owner.
    pub owner: u32,
    /// The record's type.
    pub rtype: u16,
    /// The host.
    pub name: Name,
    /// Where it is written.
    pub span: Span,
}

/// A zone that has been read.
pub struct Whole<'w> {
    /// The apex.
    pub apex: &'w Name,
    /// Where the SOA stands, if there is one.
    pub soa: Option<Span>,
    /// What was read.
    pub index: &'w Index,
    /// Where it leads within the zone.
    pub targets: &'w [Target],
    /// The texts.
    pub sources: &'w Sources,
}

/// Tells all that is wrong with a zone as a whole.
pub fn whole(whole: &Whole<'_>, report: &mut Report) {
    apex(whole, report);
    signed(whole, report);
    let edges = Edges::of(whole);
    for owner in 0..whole.index.n_owners() {
        neighbours(whole, owner, report);
        if !edges.is_empty() {
            occlusion(whole, &edges, owner, report);
        }
    }
    for target in whole.targets {
        match target.rtype {
            rtype::CNAME => alias(whole, &edges, target, report),
            rtype::NS | rtype::MX | rtype::SRV => host(whole, &edges, target, report),
            _ => {}
        }
    }
    circles(whole, report);
}

fn name(whole: &Whole<'_>, owner: u32) -> Name {
    Name::from_wire(whole.index.name(owner)).expect("the index holds names")
}

//----------- Apex and neighbours --------------------------------------------

fn apex(whole: &Whole<'_>, report: &mut Report) {
    let Some(soa) = whole.soa else { return };
    let Some(apex) = whole.index.find(whole.apex.as_wire()) else { return };
    if whole.index.rrset(apex, rtype::NS).is_none() {
        let message = format!("the zone has no NS record at its apex, {}", whole.apex);
        let help = format!("name its servers, such as: {} NS ns1", whole.apex);
        report.push(whole.sources.error(soa, message).help(help));
    }
    if let Some(ds) = whole.index.rrset(apex, rtype::DS) {
        let message = "a DS at the apex is never asked for";
        report.push(whole.sources.warning(ds.span, message).help("it belongs into the zone above"));
    }
}

/// Keys or signatures alone do not make a signed zone of it.
fn signed(whole: &Whole<'_>, report: &mut Report) {
    let index = whole.index;
    let key = index.find(whole.apex.as_wire()).and_then(|apex| index.rrset(apex, DNSKEY));
    let signature = || (0..index.n_owners()).find_map(|owner| index.rrset(owner, RRSIG));
    let at_apex = index.find(whole.apex.as_wire()).and_then(|apex| index.rrset(apex, RRSIG));
    let (seen, message) = match (key, at_apex) {
        (Some(_), Some(_)) => return,
        (Some(key), None) => (key, "it has keys and no signatures of its apex"),
        (None, _) => match signature() {
            Some(signature) => (signature, "it has signatures and no keys"),
            None => return,
        },
    };
    let message = format!("{} is served unsigned: {message}", whole.apex);
    let help = "sign all of it or nothing; with a DS at the parent, resolvers that validate refuse every answer";
    report.push(whole.sources.warning(seen.span, message).help(help));
}

/// What stands together at one owner.
fn neighbours(whole: &Whole<'_>, owner: u32, report: &mut Report) {
    let index = whole.index;
    let is_apex = || index.name(owner) == whole.apex.as_wire();
    // Most owners have one RRset, with nothing beside it to clash with.
    let mut rrsets = index.rrsets(owner);
    let (Some(first), second) = (rrsets.next(), rrsets.next()) else { return };
    if second.is_none() && !matches!(first.rtype, rtype::NS | rtype::DNAME | rtype::DS) {
        return;
    }
    if let Some(cname) = index.rrset(owner, rtype::CNAME)
        && let Some(other) =
            index.rrsets(owner).find(|s| s.rtype != rtype::CNAME && !rtype::BESIDE_CNAME.contains(&s.rtype))
    {
        let (earlier, later) = if cname.span < other.span { (cname, other) } else { (other, cname) };
        let (owner, other) = (name(whole, owner), type_text(other.rtype));
        let message = format!("{owner} has CNAME and {other} records: a CNAME stands alone, without other data");
        let place = whole.sources.place(earlier.span);
        let help = match is_apex() {
            true => format!(
                "an apex always has SOA and NS; give it A and AAAA records. The {} stands in {place}",
                type_text(earlier.rtype)
            ),
            false => format!("the {} stands in {place}; one of the two must go", type_text(earlier.rtype)),
        };
        report.push(whole.sources.error(later.span, message).help(help));
    }
    let (ns, dname) = (index.rrset(owner, rtype::NS), index.rrset(owner, rtype::DNAME));
    if let (Some(ns), Some(dname), false) = (ns, dname, is_apex()) {
        let later = if ns.span < dname.span { dname } else { ns };
        let message = format!("{} has both NS and DNAME, which only an apex may", name(whole, owner));
        report.push(whole.sources.error(later.span, message));
    }
    if let (None, Some(ds), false) = (ns, index.rrset(owner, rtype::DS), is_apex()) {
        let message = format!("{} has a DS, but no NS that would delegate it", name(whole, owner));
        report.push(whole.sources.warning(ds.span, message));
    }
    for seen in [ns, dname].into_iter().flatten() {
        if index.name(owner).starts_with(b"\x01*") {
            let (section, help) = match seen.rtype {
                rtype::NS => ("4.2", "delegate every name by NS records of its own"),
                _ => ("4.4", "give every name a DNAME of its own, or the wildcard a CNAME"),
            };
            let message = format!(
                "a wildcard cannot have {}: what it would mean is not defined (RFC 4592 section {section})",
                type_text(seen.rtype)
            );
            report.push(whole.sources.error(seen.span, message).help(help));
        }
    }
}

//----------- Edges ----------------------------------------------------------

/// Zone cuts and DNAMEs: below them, this zone has nothing to say.
struct Edges {
    owners: HashSet<u32>,
    /// Owners that name servers of cuts are named after.
    glue: HashSet<u32>,
}

impl Edges {
    fn of(whole: &Whole<'_>) -> Edges {
        let index = whole.index;
        let mut edges = Edges { owners: HashSet::new(), glue: HashSet::new() };
        for owner in 0..index.n_owners() {
            let is_cut = || index.name(owner) != whole.apex.as_wire();
            let is_edge = |s: &Seen| s.rtype == rtype::DNAME || s.rtype == rtype::NS && is_cut();
            if index.rrsets(owner).any(is_edge) {
                edges.owners.insert(owner);
            }
        }
        for target in whole.targets.iter().filter(|t| t.rtype == rtype::NS) {
            edges.glue.extend(index.find(target.name.as_wire()));
        }
        edges
    }

    fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// The edge that is next to the apex among a name's ancestors, the name itself left out or not.
    fn above(&self, whole: &Whole<'_>, name: &[u8], with_itself: bool) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        let (mut rest, mut found, mut first) = (name, None, true);
        while rest.len() >= whole.apex.as_wire().len() {
            if with_itself || !first {
                found = whole.index.find(rest).filter(|o| self.owners.contains(o)).or(found);
            }
            first = false;
            let len = usize::from(rest[0]);
            if len == 0 {
                break;
            }
            rest = &rest[1 + len..];
        }
        found
    }
}

/// Whether what stands at an owner can ever be answered.
fn occlusion(whole: &Whole<'_>, edges: &Edges, owner: u32, report: &mut Report) {
    let index = whole.index;
    let is_address = |s: &Seen| matches!(s.rtype, rtype::A | rtype::AAAA);
    let is_glue = |s: &Seen| is_address(s) && edges.glue.contains(&owner);
    if let Some(edge) = edges.above(whole, index.name(owner), false) {
        let is_dname = index.rrset(edge, rtype::DNAME);
        for seen in index.rrsets(owner) {
            if let Some(dname) = is_dname {
                let message = format!("{} has a DNAME, so nothing may stand below it", name(whole, edge));
                let help = format!("the DNAME stands in {}", whole.sources.place(dname.span));
                report.push(whole.sources.error(seen.span, message).help(help));
            } else if !is_glue(seen) {
                let message =
                    format!("{} is delegated, so this {} is never answered", name(whole, edge), type_text(seen.rtype));
                let help = match is_address(seen) {
                    true => "only addresses that an NS of the delegation leads to are used, as glue",
                    false => "it belongs into the zone of the delegation",
                };
                report.push(whole.sources.warning(seen.span, message).help(help));
            }
        }
    } else if edges.owners.contains(&owner)
        && index.rrset(owner, rtype::NS).is_some()
        && index.name(owner) != whole.apex.as_wire()
    {
        for seen in index
            .rrsets(owner)
            .filter(|s| !AT_CUT.contains(&s.rtype) && s.rtype != rtype::CNAME && s.rtype != rtype::DNAME)
        {
            if !is_glue(seen) {
                let message =
                    format!("{} is delegated, so this {} is never answered", name(whole, owner), type_text(seen.rtype));
                let help = "at a delegation only NS and DS are this zone's";
                report.push(whole.sources.warning(seen.span, message).help(help));
            }
        }
    }
}

//----------- Where names lead -----------------------------------------------

/// What the zone has at a name.
enum Has<'w> {
    Addresses,
    Cname(&'w Seen),
    /// Records, but no addresses.
    Others,
    /// It is delegated, or below a DNAME: known elsewhere.
    Elsewhere,
    Nothing,
}

fn lookup<'w>(whole: &Whole<'w>, edges: &Edges, target: &Name) -> Has<'w> {
    let at = |owner: u32| {
        let index = whole.index;
        match index.rrset(owner, rtype::CNAME) {
            _ if index.rrsets(owner).any(|s| matches!(s.rtype, rtype::A | rtype::AAAA)) => Has::Addresses,
            Some(cname) => Has::Cname(cname),
            None => Has::Others,
        }
    };
    let wire = target.as_wire();
    let here = whole.index.find(wire).map(at);
    if let Some(Has::Addresses) = here {
        return Has::Addresses;
    }
    if edges.above(whole, wire, true).is_some() {
        return Has::Elsewhere;
    }
    if let Some(here) = here {
        return here;
    }
    // The wildcard of the nearest ancestor that has one. Empty non-terminals in between would hide it (RFC 4592
    // section 2.2.2); a warning less is the smaller mistake.
    let mut rest = wire;
    while rest.len() > whole.apex.as_wire().len() {
        rest = &rest[1 + usize::from(rest[0])..];
        if let Some(owner) = whole.index.find(&[b"\x01*", rest].concat()) {
            return at(owner);
        }
    }
    Has::Nothing
}

/// A record that needs a host with addresses.
fn host(whole: &Whole<'_>, edges: &Edges, target: &Target, report: &mut Report) {
    let type_text = type_text(target.rtype);
    let owner = whole.index.name(target.owner);
    let is_cut = target.rtype == rtype::NS && owner != whole.apex.as_wire();
    let problem = match lookup(whole, edges, &target.name) {
        Has::Addresses => return,
        Has::Elsewhere => {
            // Within the delegation itself, nobody can ask for the address without having it.
            let needs_glue = target.rtype == rtype::NS && (!is_cut || target.name.as_wire().ends_with(owner));
            if !needs_glue {
                return;
            }
            let message = format!("the name server {} lies in a delegated zone and has no address here", target.name);
            whole.sources.warning(target.span, message).help(format!("add glue: {} A …", target.name))
        }
        Has::Cname(cname) => {
            let message = format!("{} is a CNAME; {type_text} records must lead to a name with addresses", target.name);
            let help = format!("name what the CNAME in {} leads to", whole.sources.place(cname.span));
            whole.sources.warning(target.span, message).help(help)
        }
        Has::Others | Has::Nothing => {
            let message = format!("{} has no A or AAAA record", target.name);
            whole.sources.warning(target.span, message).help(format!("add one, or lead the {type_text} elsewhere"))
        }
    };
    tell_once(problem, report);
}

/// A name that was told of at the same place, say because it lacks its dot, is not told of again.
fn tell_once(problem: Diagnostic, report: &mut Report) {
    let place = |d: &Diagnostic| (d.file.clone(), d.line, d.column);
    if !report.diagnostics.iter().any(|d| place(d) == place(&problem)) {
        report.push(problem);
    }
}

fn alias(whole: &Whole<'_>, edges: &Edges, target: &Target, report: &mut Report) {
    if let Has::Nothing = lookup(whole, edges, &target.name) {
        let message = format!("there is no record in this zone for {}, which this CNAME leads to", target.name);
        let help = "fine if a policy steers that name; add its records otherwise, or mend the name";
        tell_once(whole.sources.warning(target.span, message).help(help), report);
    }
}

/// CNAMEs that lead back to where they began; each circle is told once, at its first record.
fn circles(whole: &Whole<'_>, report: &mut Report) {
    let aliases = whole.targets.iter().filter(|t| t.rtype == rtype::CNAME);
    let leads: HashMap<u32, (u32, &Target)> =
        aliases.filter_map(|t| Some((t.owner, (whole.index.find(t.name.as_wire())?, t)))).collect();
    // Owners that have been walked through, and by which walk.
    let mut walked: HashMap<u32, u32> = HashMap::new();
    let mut starts: Vec<u32> = leads.keys().copied().collect();
    starts.sort_unstable();
    for start in starts {
        let mut at = start;
        while let (Some((next, target)), false) = (leads.get(&at), walked.contains_key(&at)) {
            walked.insert(at, start);
            at = *next;
            if walked.get(&at) == Some(&start) {
                let (mut path, mut step) = (vec![name(whole, at).to_string()], at);
                while let Some((next, _)) = leads.get(&step) {
                    path.push(name(whole, *next).to_string());
                    step = *next;
                    if step == at || path.len() > 8 {
                        break;
                    }
                }
                let message = format!("CNAMEs lead in a circle: {}", path.join(" → "));
                report.push(whole.sources.warning(target.span, message));
            }
        }
    }
}
