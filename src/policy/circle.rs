//! External members that lead back to a name which their own group answers for.

use crate::id::GroupIdx;
use crate::masterfile::Report;
use crate::policy::check::Book;
use crate::policy::ground::{Ground, Land};
use crate::policy::value::Role;
use crate::wire::Name;
use std::collections::BTreeMap;

/// Most CNAMEs that are followed; about as many as resolvers do. Our choice.
const MAX_CHAIN: usize = 16;

/// Refuses external members that our own zones lead, by CNAMEs, to a steered name of their group: its answer
/// would be a CNAME to itself.
pub fn circles(book: &Book, land: &Land<'_>, report: &mut Report) {
    let steered: BTreeMap<&Name, GroupIdx> = book.policies.steers.iter().map(|s| (&s.name, s.group)).collect();
    for (i, (group, place)) in book.policies.groups.iter().zip(&book.group_places).enumerate() {
        for (member, said) in group.members.iter().zip(&place.members).filter(|(m, _)| m.role == Role::External) {
            let path = follow(&member.name, &steered, land);
            let Some((End::Steered(at, reached), path)) = path else { continue };
            let Some(name) = place.steered.iter().find(|s| reached == GroupIdx::from(i) && s.name == at) else {
                continue;
            };
            let by = said.name.spot.file_line();
            let message = format!("{} would be its own CNAME, by the member at {by}", name.short());
            let help = match path.len() {
                1 => "an external member's name has to be answered elsewhere".to_string(),
                _ => {
                    let path: Vec<String> = path.iter().map(|step| name.shorten(step)).collect();
                    format!(
                        "the zone leads {}; an external member's name has to be answered elsewhere",
                        path.join(" → ")
                    )
                }
            };
            name.spot.error(report, message, help);
        }
    }
}

/// What one name of our own stands for.
enum End {
    /// It is steered, by the STEER of this name, at this group.
    Steered(Name, GroupIdx),
    /// A CNAME leads from it to this one.
    Alias(Name),
}

/// Where CNAMEs of our own lead from a name, with all names on the way; `None` if that is nowhere steered.
fn follow(from: &Name, steered: &BTreeMap<&Name, GroupIdx>, land: &Land<'_>) -> Option<(End, Vec<Name>)> {
    let mut path = vec![from.clone()];
    for _ in 0..=MAX_CHAIN {
        match end(path.last()?, steered, land)? {
            End::Alias(next) => path.push(next),
            end => return Some((end, path)),
        }
    }
    None
}

/// What a name stands for, by itself or by the wildcard that answers for it.
fn end(name: &Name, steered: &BTreeMap<&Name, GroupIdx>, land: &Land<'_>) -> Option<End> {
    let exists = |name: &Name| match Ground::of(name, land) {
        Ground::Within(spoken) => spoken.exists() || steered.keys().any(|s| s.is_within(name)),
        _ => true,
    };
    let at = |name: Name| match (steered.get(&name), Ground::of(&name, land)) {
        (Some(&group), _) => Some(End::Steered(name, group)),
        (None, Ground::Within(spoken)) => spoken.cname().map(End::Alias),
        (None, _) => None,
    };
    if exists(name) {
        return at(name.clone());
    }
    // The wildcard below the nearest name above that exists, and no other (RFC 4592 section 3.3.1).
    let mut above = name.parent()?;
    while !exists(&above) {
        above = above.parent()?;
    }
    at(above.child(b"*").ok()?)
}
