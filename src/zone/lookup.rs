//! What a zone says of a name (RFC 1034 section 4.3.2, from step 3 on).
//!
//! The common case, a name that is there, is one probe. Cuts and DNAMEs above a name are not looked for on
//! the way down: whatever lies below one is flagged as occluded when the zone is built, so only then, or when
//! the name is absent, does the search look upwards.

use crate::wire::{NameBuf, rtype};
use crate::zone::store::{Node, Zone, flag};

//----------- Found ----------------------------------------------------------

/// The outcome of a lookup. Labels count from the leaf, as suffixes of the question's name do.
#[derive(Clone, Copy)]
pub enum Found<'z> {
    /// Data for the name, or the proof that it has none of the type: the name's own node, or the wildcard that
    /// stands for it (RFC 4592 section 3.3.1).
    Name {
        /// Where the records are. Empty at an empty non-terminal.
        node: Node<'z>,
        /// Whether the node is a wildcard that stands for another name.
        from_wildcard: bool,
    },
    /// The name is at or below a zone cut.
    Cut {
        /// The cut's node, with NS.
        node: Node<'z>,
        /// The suffix of the name that is the cut.
        label: usize,
    },
    /// The name is below a DNAME (RFC 6672 section 2.3).
    Dname {
        /// The node that owns it.
        node: Node<'z>,
        /// The suffix of the name that is the owner.
        label: usize,
    },
    /// There is no such name.
    NxDomain,
}

impl Zone {
    /// Looks a name up. `apex`: the suffix of `name` that is this zone's apex.
    ///
    /// At a cut the parent side has authority over DS alone (RFC 4035 section 3.1.4.1).
    #[inline(always)]
    pub fn lookup(&self, name: &NameBuf, apex: usize, qtype: u16) -> Found<'_> {
        match self.node(name, 0, apex) {
            Some(node) if node.flags() & (flag::OCCLUDED | flag::CUT | flag::HASH) == 0 => {
                Found::Name { node, from_wildcard: false }
            }
            Some(node) if node.flags() & flag::OCCLUDED != 0 => self.occluded(name, 0, apex),
            Some(node) if node.flags() & flag::HASH != 0 => self.absent(name, apex),
            Some(node) if qtype == rtype::DS => Found::Name { node, from_wildcard: false },
            Some(node) => Found::Cut { node, label: 0 },
            None => self.absent(name, apex),
        }
    }

    /// The name has no node: what stands above it decides.
    fn absent(&self, name: &NameBuf, apex: usize) -> Found<'_> {
        for label in 1..=apex {
            let Some(node) = self.node(name, label, apex) else { continue };
            let flags = node.flags();
            if flags & flag::OCCLUDED != 0 {
                return self.occluded(name, label, apex);
            }
            if flags & flag::DNAME != 0 && flags & flag::CUT == 0 {
                return Found::Dname { node, label };
            }
            if flags & flag::CUT != 0 {
                return Found::Cut { node, label };
            }
            // `node` is the closest encloser (RFC 4592 section 3.3.1).
            if flags & flag::WILDCARD_CHILD != 0
                && let Some(node) = self.wildcard_node(name, label, apex)
            {
                return Found::Name { node, from_wildcard: true };
            }
            break;
        }
        Found::NxDomain
    }

    /// The node at `label` is occluded: by the cut or DNAME that is next to the apex.
    fn occluded(&self, name: &NameBuf, label: usize, apex: usize) -> Found<'_> {
        for label in (label + 1..=apex).rev() {
            let Some(node) = self.node(name, label, apex) else { continue };
            // NS and DNAME may share an owner only at the apex (RFC 6672 section 2.4); elsewhere the cut wins.
            if node.flags() & flag::CUT != 0 {
                return Found::Cut { node, label };
            }
            if node.flags() & flag::DNAME != 0 {
                return Found::Dname { node, label };
            }
        }
        Found::NxDomain
    }
}
