//! The announcements that stand: bounded in number, replaced whole, read by everybody at any time.
//!
//! The desk takes announcements in from gRPC and from files, and hands the control loop one unchanging [`Calendar`] at a time.

use crate::events::announcement::Announcement;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Announcements that stand at one time, unless told otherwise. Our choice: every service of a large site, every hour of a day.
pub const DEFAULT_ROOM: usize = 1000;
/// How long one that is past is still shown, seconds.
const SHOWN_SECS: f64 = 7.0 * 86_400.0;

//----------- Calendar -------------------------------------------------------

/// Announcements by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    /// See [`Entry`].
    pub entries: BTreeMap<String, Entry>,
}

/// One announcement, and what was said of it since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What was announced.
    pub announcement: Arc<Announcement>,
    /// The file that it stands in; `None` for one that was announced to the server.
    pub file: Option<String>,
    /// Who has cancelled it, and why.
    pub cancelled: Option<String>,
    /// Requests that came in all, as somebody has reported.
    pub outcome: Option<f64>,
}

impl Entry {
    /// One that stands as announced.
    pub fn new(announcement: Announcement, file: Option<String>) -> Entry {
        Entry { announcement: Arc::new(announcement), file, cancelled: None, outcome: None }
    }
}

//----------- Desk -----------------------------------------------------------

/// Takes announcements, and shows those that stand.
#[derive(Debug)]
pub struct Desk {
    room: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    calendar: Arc<Calendar>,
    counts: Counts,
}

/// Words that came in since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Announcements taken.
    pub taken: u64,
    /// Cancellations taken.
    pub cancelled: u64,
    /// Outcomes taken.
    pub outcomes: u64,
    /// Words refused, by the desk or by the checks before it.
    pub refused: u64,
}

/// Why a word is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are as many as there may be.
    Full(usize),
    /// Another announcer has one with this id.
    NotYours,
    /// It stands in a file, which says what it is.
    InFile,
    /// There is none with this id.
    Unknown,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Full(room) => {
                write!(f, "{room} announcements stand, the most allowed: cancel some, or raise [events] room")
            }
            Refused::NotYours => f.write_str("another announcer has an event with this id: choose another id"),
            Refused::InFile => {
                f.write_str("an event with this id stands in a file of the events folder: change it there")
            }
            Refused::Unknown => f.write_str("no event has this id; `floodway announce --list` shows them"),
        }
    }
}

impl std::error::Error for Refused {}

impl Desk {
    /// One that goes on from what an earlier process has kept, for at most `room` announcements.
    pub fn new(room: usize, calendar: Calendar) -> Desk {
        Desk { room, inner: Mutex::new(Inner { calendar: Arc::new(calendar), counts: Counts::default() }) }
    }

    /// What stands now; the same pointer until something changes.
    pub fn calendar(&self) -> Arc<Calendar> {
        self.lock().calendar.clone()
    }

    /// What came in.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Counts a word that a check has refused.
    pub fn refuse(&self) {
        self.lock().counts.refused += 1;
    }

    /// Takes an announcement; one of the same id and announcer is replaced. What is long past gives way.
    ///
    /// # Errors
    /// [`Refused::Full`], [`Refused::NotYours`], [`Refused::InFile`].
    pub fn announce(&self, announcement: Announcement, now: f64) -> Result<(), Refused> {
        let mut inner = self.lock();
        let before = inner.calendar.entries.get(&announcement.id);
        let refused = match before {
            Some(entry) if entry.file.is_some() => Some(Refused::InFile),
            Some(entry) if entry.announcement.announcer != announcement.announcer => Some(Refused::NotYours),
            _ => None,
        };
        if let Some(refused) = refused {
            inner.counts.refused += 1;
            return Err(refused);
        }
        let mut calendar = (*inner.calendar).clone();
        calendar.forget(now, self.room, &announcement.id);
        if calendar.entries.len() >= self.room && !calendar.entries.contains_key(&announcement.id) {
            inner.counts.refused += 1;
            return Err(Refused::Full(self.room));
        }
        calendar.entries.insert(announcement.id.clone(), Entry::new(announcement, None));
        inner.counts.taken += 1;
        inner.calendar = Arc::new(calendar);
        Ok(())
    }

    /// Takes back an announcement. One that stands in a file stays taken back for as long as it stands there unchanged. `may`
    /// decides whether it may be, `who` is told to people.
    ///
    /// # Errors
    /// [`Refused::Unknown`], [`Refused::NotYours`].
    pub fn cancel(&self, id: &str, who: String, may: impl Fn(&Announcement) -> bool) -> Result<(), Refused> {
        self.change(id, may, |entry| entry.cancelled = Some(who), |counts| counts.cancelled += 1)
    }

    /// Takes in how many requests an event has drawn in all.
    ///
    /// # Errors
    /// [`Refused::Unknown`], [`Refused::NotYours`].
    pub fn report(&self, id: &str, requests: f64, may: impl Fn(&Announcement) -> bool) -> Result<(), Refused> {
        self.change(id, may, |entry| entry.outcome = Some(requests), |counts| counts.outcomes += 1)
    }

    fn change(
        &self,
        id: &str,
        may: impl Fn(&Announcement) -> bool,
        change: impl FnOnce(&mut Entry),
        count: impl FnOnce(&mut Counts),
    ) -> Result<(), Refused> {
        let mut inner = self.lock();
        let refused = match inner.calendar.entries.get(id) {
            None => Some(Refused::Unknown),
            Some(entry) if !may(&entry.announcement) => Some(Refused::NotYours),
            Some(_) => None,
        };
        if let Some(refused) = refused {
            inner.counts.refused += 1;
            return Err(refused);
        }
        let mut calendar = (*inner.calendar).clone();
        if let Some(entry) = calendar.entries.get_mut(id) {
            change(entry);
        }
        count(&mut inner.counts);
        inner.calendar = Arc::new(calendar);
        Ok(())
    }

    /// Puts what the files of the folder say in the place of what they said before; what does not fit is counted and left
    /// out. Says how many were.
    pub fn set_files(&self, entries: Vec<Entry>, now: f64) -> usize {
        let mut inner = self.lock();
        let mut calendar = (*inner.calendar).clone();
        let mut before = calendar.entries.clone();
        let there: HashSet<&String> = entries.iter().map(|e| &e.announcement.id).collect();
        // What was in a file and is over stays for a while, so that what became of it can be seen.
        calendar.entries.retain(|id, e| e.file.is_none() || !there.contains(id) && e.announcement.expires < now);
        calendar.forget(now, self.room, "");
        let mut left_out = 0;
        for entry in entries {
            let id = entry.announcement.id.clone();
            let full = calendar.entries.len() >= self.room;
            if full || calendar.entries.contains_key(&id) {
                left_out += 1;
                continue;
            }
            let same = before.remove(&id).filter(|was| was.announcement == entry.announcement && was.file.is_some());
            calendar.entries.insert(id, Entry { file: entry.file.clone(), ..same.unwrap_or(entry) });
        }
        inner.counts.refused += left_out as u64;
        if calendar != *inner.calendar {
            inner.counts.taken += 1;
            inner.calendar = Arc::new(calendar);
        }
        left_out
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Everything under the lock is replaced whole, so a panic elsewhere leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Desk {
    fn default() -> Desk {
        Desk::new(DEFAULT_ROOM, Calendar::default())
    }
}

impl Calendar {
    /// Lets go of what is past for a week, and of what is past at all while there is no room for one more beside `id`.
    fn forget(&mut self, now: f64, room: usize, id: &str) {
        self.entries.retain(|_, e| e.announcement.expires > now - SHOWN_SECS);
        while self.entries.len() >= room && !self.entries.contains_key(id) {
            let past = self.entries.values().filter(|e| e.announcement.expires < now);
            let oldest = past.min_by(|a, b| a.announcement.expires.total_cmp(&b.announcement.expires));
            let Some(oldest) = oldest.map(|e| e.announcement.id.clone()) else { return };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::announcement::Size;
    use crate::events::kind::Kind;

    fn event(id: &str, announcer: &str, start: f64) -> Announcement {
        Announcement {
            id: id.into(),
            group: "web.example.com.".parse().unwrap(),
            cells: vec![],
            kind: Kind::Email,
            start,
            size: Size::Peak(100.0),
            send_secs: 0.0,
            decay_secs: None,
            pass_along: None,
            confidence: None,
            expires: start + 3600.0,
            announcer: announcer.into(),
            note: String::new(),
        }
    }

    fn in_file(id: &str, start: f64) -> Entry {
        Entry::new(event(id, "folder", start), Some("a.ics".into()))
    }

    fn ids(desk: &Desk) -> Vec<String> {
        desk.calendar().entries.keys().cloned().collect()
    }

    #[test]
    fn an_id_belongs_to_its_announcer() {
        let desk = Desk::default();
        desk.announce(event("sale", "crm", 100.0), 0.0).unwrap();
        desk.announce(event("sale", "crm", 200.0), 0.0).unwrap();
        assert_eq!(desk.calendar().entries["sale"].announcement.start, 200.0);
        assert_eq!(desk.announce(event("sale", "other", 100.0), 0.0), Err(Refused::NotYours));
        assert_eq!(desk.cancel("none", "me".into(), |_| true), Err(Refused::Unknown));
        assert_eq!(desk.cancel("sale", "me".into(), |_| false), Err(Refused::NotYours));
        desk.cancel("sale", "me: rain".into(), |a| a.announcer == "crm").unwrap();
        desk.report("sale", 5e4, |_| true).unwrap();
        let entry = desk.calendar().entries["sale"].clone();
        assert_eq!((entry.cancelled.as_deref(), entry.outcome), (Some("me: rain"), Some(5e4)));
        assert_eq!(desk.counts(), Counts { taken: 2, cancelled: 1, outcomes: 1, refused: 3 });
    }

    #[test]
    fn it_is_bounded_and_what_is_past_gives_way() {
        let desk = Desk::new(2, Calendar::default());
        desk.announce(event("a", "x", 0.0), 0.0).unwrap();
        desk.announce(event("b", "x", 9000.0), 0.0).unwrap();
        assert_eq!(desk.announce(event("c", "x", 9000.0), 0.0), Err(Refused::Full(2)));
        desk.announce(event("c", "x", 9000.0), 4000.0).unwrap();
        assert_eq!(ids(&desk), ["b", "c"]);
        assert_eq!(desk.set_files(vec![in_file("d", 9000.0)], 4000.0), 1);
        desk.announce(event("e", "x", 2e6), 1e6).unwrap();
        assert_eq!(ids(&desk), ["e"], "a week later");
    }

    #[test]
    fn files_say_what_files_say() {
        let desk = Desk::default();
        desk.announce(event("asked", "x", 100.0), 0.0).unwrap();
        desk.set_files(vec![in_file("a", 9000.0), in_file("b", 9000.0)], 0.0);
        let before = desk.calendar();
        desk.set_files(vec![in_file("b", 9000.0), in_file("a", 9000.0)], 0.0);
        assert!(Arc::ptr_eq(&before, &desk.calendar()), "nothing has changed");
        assert_eq!(desk.announce(event("a", "x", 1.0), 0.0), Err(Refused::InFile));
        desk.cancel("a", "me".into(), |_| true).unwrap();
        desk.set_files(vec![in_file("a", 9000.0)], 0.0);
        assert_eq!(ids(&desk), ["a", "asked"]);
        assert!(desk.calendar().entries["a"].cancelled.is_some(), "reading the file again brings it not back");
        desk.set_files(vec![in_file("a", 9500.0)], 0.0);
        assert!(desk.calendar().entries["a"].cancelled.is_none(), "another start is another announcement");
        assert_eq!(desk.set_files(vec![in_file("asked", 1.0)], 0.0), 1, "what was asked is not overruled");
    }
}
