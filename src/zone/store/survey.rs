//! One walk through all nodes of a zone, to answer what the index cannot.
//!
//! The index finds a node by its name. What stands below a name, and which records lead to it, only a look at every
//! node tells: a few nanoseconds each, since they lie one behind the other. A patch asks for it only if something may
//! depend on the answer.

use crate::wire::{Name, rtype};
use crate::zone::store::pack::relative_len;
use crate::zone::store::{Node, RECORD_HEADER, RRset, Zone, flag};
use std::collections::HashSet;

/// Relative names.
pub(super) type Names = HashSet<Box<[u8]>>;

/// What is asked of every node. All names are relative to the apex, in lower case.
#[derive(Default)]
pub(super) struct Questions {
    /// Nodes that are not looked at.
    pub except: Names,
    /// Does a name with records stand below these?
    pub parents: Names,
    /// What stands below these?
    pub edges: Names,
    /// Who leads to these?
    pub named: Names,
    /// Who leads to names below these?
    pub above_named: Names,
}

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    /// Of [`Questions::parents`], those with names below.
    pub parents: Names,
    /// Arena offsets of the nodes below [`Questions::edges`], empty non-terminals included.
    pub below: Vec<usize>,
    /// Arena offsets of the nodes with NS, CNAME, MX or SRV records that lead to what was asked for.
    pub referrers: Vec<usize>,
}

impl Questions {
    /// Whether nothing is asked.
    pub(super) fn is_empty(&self) -> bool {
        let Questions { except: _, parents, edges, named, above_named } = self;
        parents.is_empty() && edges.is_empty() && named.is_empty() && above_named.is_empty()
    }

    /// Whether a target is asked for. `name`: relative, any case.
    fn asks_for(&self, name: &[u8]) -> bool {
        let mut low = [0; 256];
        let Some(low) = low.get_mut(..name.len()) else { return false };
        low.copy_from_slice(name);
        low.make_ascii_lowercase();
        // The apex itself is above every name.
        self.named.contains(&*low)
            || !self.above_named.is_empty() && ancestors(low).any(|above| self.above_named.contains(above))
    }
}

/// The names above a relative name, nearest first, the apex (empty) last; none for the apex.
pub(crate) fn ancestors(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(name);
    std::iter::from_fn(move || {
        let name = rest.filter(|name| !name.is_empty())?;
        rest = Some(&name[1 + usize::from(name[0])..]);
        rest
    })
}

impl Zone {
    /// The nodes that come of the zone's file, in the order of the arena.
    pub(super) fn walk(&self, from: usize) -> impl Iterator<Item = Node<'_>> {
        let mut at = from;
        std::iter::from_fn(move || {
            while at < self.base_len {
                let node = self.node_at(at);
                at = node.end();
                if node.flags() & flag::DEAD == 0 {
                    return Some(node);
                }
            }
            None
        })
    }

    /// The names with records whose nodes start between two places of the arena.
    pub(crate) fn names_between(&self, from: usize, to: usize) -> impl Iterator<Item = Name> {
        let nodes = self.walk(from).take_while(move |node| node.at < to);
        nodes.filter(|node| !node.is_empty()).map(Node::name)
    }

    /// Where the arena has the node that a name of the zone's file has.
    pub(crate) fn place_of(&self, name: &Name) -> Option<usize> {
        self.node_of(name).map(|node| self.before_steering(node.at))
    }

    /// Asks every node.
    pub(super) fn survey(&self, questions: &Questions) -> Survey {
        let mut survey = Survey::default();
        let asks_below = !questions.parents.is_empty() || !questions.edges.is_empty();
        let asks_for_leads = !questions.named.is_empty() || !questions.above_named.is_empty();
        for node in self.walk(4) {
            let name = node.relative_name();
            if questions.except.contains(name) {
                continue;
            }
            if asks_below {
                let mut below = false;
                // Most names are one label, and nothing is asked of the apex.
                for above in ancestors(name).filter(|above| !above.is_empty()) {
                    below |= questions.edges.contains(above);
                    if !node.is_empty() && questions.parents.contains(above) {
                        survey.parents.insert(above.into());
                    }
                }
                if below {
                    survey.below.push(node.at);
                }
            }
            if asks_for_leads && node.rrsets().any(|rrset| self.targets(&rrset).any(|name| questions.asks_for(name))) {
                survey.referrers.push(node.at);
            }
        }
        survey
    }

    /// The names within the zone that records lead to, relative to the apex, in the case they were written in.
    pub(crate) fn targets<'z>(&self, rrset: &RRset<'z>) -> impl Iterator<Item = &'z [u8]> + use<'z, '_> {
        let field = match rrset.rtype {
            rtype::NS | rtype::CNAME | rtype::DNAME => Some(0),
            rtype::MX => Some(2),
            rtype::SRV => Some(6),
            _ => None,
        };
        let (mut rest, apex) = (field.map_or(&[][..], |_| rrset.records), self.apex.as_wire());
        std::iter::from_fn(move || {
            while let Some((head, data)) = rest.split_at_checked(RECORD_HEADER) {
                let len = usize::from(u16::from_be_bytes([head[RECORD_HEADER - 2], head[RECORD_HEADER - 1]]));
                let (rdata, next) = data.split_at_checked(len)?;
                rest = next;
                let Some(name) = rdata.get(field?..) else { continue };
                // A name ends in the root, or in a pointer to the apex yet to be filled in.
                let relative = match name.strip_suffix(&[0xc0, 0]) {
                    Some(relative) => Some(relative),
                    None if apex.len() == 1 => name.strip_suffix(&[0]),
                    None => relative_len(name, apex).map(|len| &name[..len]),
                };
                if relative.is_some() {
                    return relative;
                }
            }
            None
        })
    }
}
