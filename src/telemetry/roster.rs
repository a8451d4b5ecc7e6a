//! The names that reporters may use, of one load of policies.
//!
//! Reporters write names as people do: in full, or only the first labels. [`Roster`] finds what is meant
//! when exactly one name fits, and suggests when none does.

use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::Policies;
use crate::wire::Name;
use std::collections::HashMap;
use std::sync::Arc;

/// Octets of a name's text beyond which it is not even parsed: 255 octets, all escaped.
const MAX_TEXT: usize = 1020;
/// Names compared when looking for something similar; a bound on work for a misspelt name.
const MAX_COMPARED: usize = 512;
/// Suggestions made for one name.
const MAX_SUGGESTED: usize = 3;

//----------- Roster ---------------------------------------------------------

/// The names of one load, made for looking up.
#[derive(Debug)]
pub struct Roster {
    /// The load they come from.
    pub policies: Arc<Policies>,
    pops: Names,
    groups: Names,
    members: Vec<Names>,
}

/// Why a name means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// The text is not a domain name.
    Unreadable,
    /// No name is or begins so.
    Unknown,
    /// Several names begin so.
    Ambiguous,
}

/// Which names to look among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// The POPs.
    Pops,
    /// The groups.
    Groups,
    /// The members of one group.
    Members(GroupIdx),
}

impl Roster {
    /// The names of `policies`.
    pub fn new(policies: Arc<Policies>) -> Roster {
        Roster {
            pops: Names::new(policies.pops.iter().map(|p| &p.name)),
            groups: Names::new(policies.groups.iter().map(|g| &g.name)),
            members: policies.groups.iter().map(|g| Names::new(g.members.iter().map(|m| &m.name))).collect(),
            policies,
        }
    }

    /// The POP that `text` means.
    ///
    /// # Errors
    /// [`NotFound`] unless exactly one fits.
    pub fn pop(&self, text: &str) -> Result<PopIdx, NotFound> {
        self.pops.find(text).map(PopIdx::from)
    }

    /// The group that `text` means.
    ///
    /// # Errors
    /// [`NotFound`] unless exactly one fits.
    pub fn group(&self, text: &str) -> Result<GroupIdx, NotFound> {
        self.groups.find(text).map(GroupIdx::from)
    }

    /// The member of `group` that `text` means.
    ///
    /// # Errors
    /// [`NotFound`] unless exactly one fits.
    pub fn member(&self, group: GroupIdx, text: &str) -> Result<MemberIdx, NotFound> {
        self.members[group.idx()].find(text).map(MemberIdx::from)
    }

    /// Names that may have been meant by `text`: those that begin so, else the most similar; at most 3.
    pub fn suggest(&self, among: Among, text: &str) -> Vec<String> {
        match among {
            Among::Pops => self.pops.suggest(text),
            Among::Groups => self.groups.suggest(text),
            Among::Members(group) => self.members[group.idx()].suggest(text),
        }
    }
}

//----------- Names ----------------------------------------------------------

#[derive(Debug)]
struct Names {
    list: Vec<Name>,
    whole: HashMap<Name, usize>,
}

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a Name>) -> Names {
        let list: Vec<Name> = names.cloned().collect();
        let whole = list.iter().enumerate().map(|(i, n)| (n.clone(), i)).collect();
        Names { list, whole }
    }

    fn find(&self, text: &str) -> Result<usize, NotFound> {
        let name = read(text)?;
        if let Some(&i) = self.whole.get(&name) {
            return Ok(i);
        }
        let mut fits = self.beginning(text, &name);
        match (fits.next(), fits.next()) {
            (Some(i), None) => Ok(i),
            (Some(_), Some(_)) => Err(NotFound::Ambiguous),
            (None, _) => Err(NotFound::Unknown),
        }
    }

    /// Positions of the names that begin with the labels of `name`; none if `text` ends with a dot,
    /// since it is then meant to be whole.
    fn beginning<'a>(&'a self, text: &str, name: &'a Name) -> impl Iterator<Item = usize> + 'a {
        // Wire form puts the leaf first and ends with the root's zero octet.
        let labels = &name.as_wire()[..name.as_wire().len() - 1];
        let open = !text.ends_with('.') && !labels.is_empty();
        let fits = move |n: &Name| open && n.as_wire().starts_with(labels);
        self.list.iter().enumerate().filter(move |(_, n)| fits(n)).map(|(i, _)| i)
    }

    fn suggest(&self, text: &str) -> Vec<String> {
        if let Ok(name) = read(text) {
            let open: Vec<String> =
                self.beginning(text, &name).take(MAX_SUGGESTED).map(|i| self.list[i].to_string()).collect();
            if !open.is_empty() {
                return open;
            }
        }
        if text.len() > MAX_TEXT {
            return Vec::new();
        }
        let wanted = text.trim_end_matches('.').to_ascii_lowercase();
        // One slip, and one more for every twelve characters; a short text is compared with as many first
        // labels as it has itself.
        let (slips, n_labels) = (1 + wanted.len() / 12, wanted.split('.').count());
        let mut near: Vec<(usize, String)> = self
            .list
            .iter()
            .take(MAX_COMPARED)
            .map(|n| {
                let name = n.to_string();
                let head = name.split('.').take(n_labels).collect::<Vec<_>>().join(".");
                (strsim::damerau_levenshtein(&wanted, &head), name)
            })
            .filter(|(distance, _)| *distance <= slips)
            .collect();
        near.sort();
        near.into_iter().take(MAX_SUGGESTED).map(|(_, name)| name).collect()
    }
}

fn read(text: &str) -> Result<Name, NotFound> {
    if text.len() > MAX_TEXT {
        return Err(NotFound::Unreadable);
    }
    text.parse().map_err(|_| NotFound::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        let list: Vec<Name> = list.iter().map(|t| t.parse().unwrap()).collect();
        Names::new(list.iter())
    }

    fn check(text: &str, found: Result<usize, NotFound>) {
        let names = names(&["ams.pop.example.com.", "fra.pop.example.com.", "fra.pop.example.net.", "fra.pop."]);
        assert_eq!(names.find(text), found, "{text}");
    }

    #[test]
    fn names_are_found_whole_or_by_unique_beginning() {
        check("ams.pop.example.com.", Ok(0));
        check("AMS.pop.example.com", Ok(0));
        check("ams.pop", Ok(0));
        check("ams", Ok(0));
        check("fra.pop.example", Err(NotFound::Ambiguous));
        check("fra.pop.example.net", Ok(2));
        // A whole name wins over what it begins.
        check("fra.pop", Ok(3));
        check("fra", Err(NotFound::Ambiguous));
        // Whole labels only, and a trailing dot means the whole name.
        check("am", Err(NotFound::Unknown));
        check("ams.pop.", Err(NotFound::Unknown));
        check("", Err(NotFound::Unreadable));
        check(".", Err(NotFound::Unknown));
        check("a..b", Err(NotFound::Unreadable));
        check(&"x.".repeat(600), Err(NotFound::Unreadable));
    }

    #[test]
    fn what_was_meant_is_suggested() {
        let names = names(&["ams.pop.example.com.", "fra.pop.example.com.", "fra.pop.example.net."]);
        assert_eq!(names.suggest("fra"), ["fra.pop.example.com.", "fra.pop.example.net."]);
        assert_eq!(names.suggest("asm.pop"), ["ams.pop.example.com."]);
        assert_eq!(names.suggest("AMS.pop.exmaple.com."), ["ams.pop.example.com."]);
        assert!(names.suggest("nothing.like.it").is_empty());
    }
}
