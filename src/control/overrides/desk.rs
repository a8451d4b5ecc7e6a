//! Where overrides are made, kept and asked about: between people on one side and the loop on the other.
//!
//! What is acknowledged is on the disk. The loop reads the desk at every beat and tells the tick; what has come to its end
//! is taken off. Questions ("what would the shares be if …") are answered by the loop, on a copy of its state.

use crate::control::kept::write_beside;
use crate::control::overrides::{LONGEST_SECS, LONGEST_TEXT, MOST, Override, Overrides, What};
use crate::control::story::Story;
use crate::policy::Policies;
use crate::steering::Plan;
use crate::wire::Name;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Name of the file in the state directory.
const FILE: &str = "overrides.json";
/// Version of the file; others are refused.
const FORMAT: u32 = 1;
/// Questions that wait, at most; each costs the loop about a beat.
const MOST_QUESTIONS: usize = 8;

//----------- Desk -----------------------------------------------------------

/// See the module.
#[derive(Debug, Default)]
pub struct Desk {
    /// The folder that keeps them; `None` keeps nothing.
    dir: Option<PathBuf>,
    /// Held by who changes something, for as long as the disk takes; the loop never waits for it.
    changing: Mutex<()>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// All that was kept, what has come to its end as well: a clock that was ahead may be set right.
    kept: Overrides,
    /// Those of them that held when somebody last asked.
    overrides: Overrides,
    /// Another process decides from now on.
    is_closed: bool,
    last_id: u64,
    questions: VecDeque<Question>,
}

/// What is asked of the loop, and to whom the answer goes.
#[derive(Debug)]
pub enum Question {
    /// The plan if these held as well.
    WhatIf(Vec<What>, oneshot::Sender<Plans>),
    /// Why the POP of this name stands as it does; `None` where there is none any more.
    Why(Name, oneshot::Sender<Option<Story>>),
}

/// An answer: the plan of now, the plan that would be, and the policies that both run parallel to.
#[derive(Clone, Debug)]
pub struct Plans {
    /// With what holds now.
    pub now: Plan,
    /// With what was asked about.
    pub then: Plan,
    /// Names to their positions.
    pub policies: Arc<Policies>,
}

/// An override that somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// What is to be decided of whom.
    pub what: What,
    /// Who says so.
    pub author: String,
    /// Why.
    pub reason: String,
    /// For how long, seconds.
    pub secs: f64,
}

#[derive(Serialize, Deserialize)]
struct File {
    floodway_overrides: u32,
    last_id: u64,
    overrides: Vec<Override>,
}

impl Desk {
    /// Reads what an earlier process kept in `dir`; `now` in unix seconds.
    ///
    /// # Errors
    /// The reason, with the file, if there is one that cannot be read: to go on without what somebody decided
    /// would be to undo it.
    pub fn open(dir: &Path, now: f64) -> Result<Desk, String> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Desk { dir: Some(dir.to_owned()), ..Desk::default() });
            }
            Err(e) => return Err(format!("{}: {e}", path.display())),
        };
        let file: File = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        if file.floodway_overrides != FORMAT {
            return Err(format!("{}: written by another version", path.display()));
        }
        let overrides = Overrides::of(file.overrides.into_iter().filter(|o| o.ends_at > now).take(MOST));
        let kept = overrides.clone();
        let held = Held { kept, overrides, last_id: file.last_id, ..Held::default() };
        Ok(Desk { dir: Some(dir.to_owned()), held: Mutex::new(held), ..Desk::default() })
    }

    /// Those that hold at `now`, unix seconds.
    pub fn current(&self, now: f64) -> Overrides {
        let mut held = self.lock();
        let holding = || held.kept.iter().filter(|o| o.ends_at > now);
        if !holding().map(|o| o.id).eq(held.overrides.iter().map(|o| o.id)) {
            held.overrides = Overrides::of(holding().cloned());
        }
        held.overrides.clone()
    }

    /// Makes and ends nothing from now on, since another process takes over. What is being made is kept, or refused, when this
    /// returns: nothing is acknowledged that the other does not read.
    pub fn close(&self) {
        let _changing = self.change();
        self.lock().is_closed = true;
    }

    /// Makes one, if `may` has nothing against all that would hold then; it is kept before this returns.
    ///
    /// # Errors
    /// What is wrong with it, what `may` says, or that it cannot be kept: then it does not hold.
    pub fn make(
        &self,
        wish: Wish,
        now: f64,
        may: impl FnOnce(&Overrides) -> Result<(), String>,
    ) -> Result<Override, String> {
        wish.check()?;
        // Two that were looked at one by one could break together what neither breaks.
        let _changing = self.change();
        let (going_on, id) = {
            let held = self.open_lock()?;
            (held.kept.iter().filter(|o| o.ends_at > now).cloned().collect::<Vec<_>>(), held.last_id + 1)
        };
        if going_on.len() >= MOST {
            return Err(format!("there are {MOST} overrides already; end some"));
        }
        let Wish { what, author, reason, secs } = wish;
        let made = Override { id, what, author, reason, made_at: now, ends_at: now + secs };
        let all: Vec<Override> = going_on.into_iter().chain([made.clone()]).collect();
        may(&Overrides::of(all.iter().cloned()))?;
        self.keep(all, id)?;
        Ok(made)
    }

    /// Ends those that `which` names, and returns them.
    ///
    /// # Errors
    /// That this cannot be kept: then they go on.
    pub fn end(&self, which: impl Fn(&Override) -> bool) -> Result<Vec<Override>, String> {
        let _changing = self.change();
        let (ended, kept, last_id) = {
            let held = self.open_lock()?;
            let ended: Vec<Override> = held.overrides.iter().filter(|o| which(o)).cloned().collect();
            let goes_on = |o: &&Override| !ended.iter().any(|ended| ended.id == o.id);
            let kept = held.kept.iter().filter(goes_on).cloned().collect();
            (ended, kept, held.last_id)
        };
        if !ended.is_empty() {
            self.keep(kept, last_id)?;
        }
        Ok(ended)
    }

    /// Has the loop asked; it answers with its next beat.
    ///
    /// # Errors
    /// That too many questions wait already.
    pub fn ask(&self, whats: Vec<What>) -> Result<oneshot::Receiver<Plans>, String> {
        let (answer, comes) = oneshot::channel();
        self.queue(Question::WhatIf(whats, answer)).map(|()| comes)
    }

    /// Has the loop asked why a POP stands as it does.
    ///
    /// # Errors
    /// That too many questions wait already.
    pub fn why(&self, pop: Name) -> Result<oneshot::Receiver<Option<Story>>, String> {
        let (answer, comes) = oneshot::channel();
        self.queue(Question::Why(pop, answer)).map(|()| comes)
    }

    fn queue(&self, question: Question) -> Result<(), String> {
        let mut held = self.lock();
        if held.questions.len() >= MOST_QUESTIONS {
            return Err("too many questions wait already; ask again in a while".into());
        }
        held.questions.push_back(question);
        Ok(())
    }

    /// The question that has waited longest.
    pub fn question(&self) -> Option<Question> {
        self.lock().questions.pop_front()
    }

    /// To be called by who holds `changing`.
    fn keep(&self, overrides: Vec<Override>, last_id: u64) -> Result<(), String> {
        let file = File { floodway_overrides: FORMAT, last_id, overrides };
        if let Some(dir) = &self.dir {
            let text = serde_json::to_string(&file).expect("names and finite numbers print as JSON");
            write_beside(dir, FILE, &text)
                .map_err(|e| format!("{}: {e}; nothing was changed", dir.join(FILE).display()))?;
        }
        let mut held = self.lock();
        (held.overrides, held.last_id) = (Overrides::of(file.overrides), last_id);
        held.kept = held.overrides.clone();
        Ok(())
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_lock(&self) -> Result<MutexGuard<'_, Held>, String> {
        let held = self.lock();
        match held.is_closed {
            true => Err("another process takes over from this one; ask again in a moment".into()),
            false => Ok(held),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wish {
    fn check(&self) -> Result<(), String> {
        if !(1.0..=LONGEST_SECS).contains(&self.secs) {
            return Err(
                "an override lasts from a second to 30 days; what is to hold for longer belongs in the policies".into(),
            );
        }
        for (what, text) in [("an author", &self.author), ("a reason", &self.reason)] {
            if text.trim().is_empty() {
                return Err(format!("{what} is missing: whoever meets the override will ask"));
            }
            if text.len() > LONGEST_TEXT || text.contains(char::is_control) {
                return Err(format!("{what} has at most {LONGEST_TEXT} octets, and no line ends"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(what: &str, secs: f64) -> Wish {
        Wish { what: what.parse().unwrap(), author: "anna".into(), reason: "new disks".into(), secs }
    }

    fn whats(desk: &Desk, now: f64) -> Vec<String> {
        desk.current(now).iter().map(|o| format!("{} {}", o.id, o.what)).collect()
    }

    #[test]
    fn what_is_acknowledged_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let desk = Desk::open(dir.path(), 0.0).unwrap();
        desk.make(wish("drain fra.pop", 60.0), 100.0, |_| Ok(())).unwrap();
        desk.make(wish("capacity ams.*=50%", 600.0), 100.0, |_| Ok(())).unwrap();
        desk.make(wish("freeze web", 600.0), 100.0, |_| Ok(())).unwrap();
        assert_eq!(desk.end(|o| o.id == 3).unwrap().len(), 1);
        assert_eq!(desk.end(|o| o.id == 3).unwrap(), []);
        assert_eq!(whats(&desk, 150.0), ["1 drain fra.pop", "2 capacity ams.*=50%"]);
        assert_eq!(whats(&desk, 160.0), ["2 capacity ams.*=50%"], "it has come to its end");
        let again = Desk::open(dir.path(), 150.0).unwrap();
        assert_eq!(whats(&again, 150.0), ["1 drain fra.pop", "2 capacity ams.*=50%"]);
        assert_eq!(again.make(wish("drain *", 5.0), 150.0, |_| Ok(())).unwrap().id, 4, "numbers are not used twice");
        assert_eq!(whats(&Desk::open(dir.path(), 1000.0).unwrap(), 1000.0), [""; 0]);
    }

    /// A clock that is set ahead ends what it ends; set right again, it holds again. A restart meanwhile has read the clock
    /// as it was.
    #[test]
    fn a_clock_that_was_ahead_ends_nothing_for_good() {
        let desk = Desk::default();
        desk.make(wish("drain fra.pop", 600.0), 100.0, |_| Ok(())).unwrap();
        assert_eq!(whats(&desk, 86_500.0), [""; 0]);
        assert_eq!(whats(&desk, 101.0), ["1 drain fra.pop"]);
        assert!(desk.current(102.0).are(&desk.current(103.0)), "the same is the same");
        desk.make(wish("drain ams.pop", 1e5), 102.0, |_| Ok(())).unwrap();
        assert_eq!(whats(&desk, 86_500.0), ["2 drain ams.pop"]);
        assert_eq!(desk.end(|o| o.id == 2).unwrap().len(), 1);
        assert_eq!(whats(&desk, 103.0), ["1 drain fra.pop"], "what nobody saw was not ended");
    }

    #[test]
    fn who_is_taken_over_from_acknowledges_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let desk = Desk::open(dir.path(), 0.0).unwrap();
        desk.make(wish("drain fra.pop", 60.0), 0.0, |_| Ok(())).unwrap();
        desk.close();
        assert!(desk.make(wish("drain ams.pop", 60.0), 0.0, |_| Ok(())).unwrap_err().contains("takes over"));
        assert!(desk.end(|_| true).unwrap_err().contains("takes over"));
        assert_eq!(whats(&Desk::open(dir.path(), 1.0).unwrap(), 1.0), ["1 drain fra.pop"]);
    }

    #[test]
    fn what_cannot_be_kept_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a file");
        std::fs::write(&file, "").unwrap();
        let desk = Desk { dir: Some(file), ..Desk::default() };
        assert!(desk.make(wish("drain *", 60.0), 0.0, |_| Ok(())).unwrap_err().contains("nothing was changed"));
        assert!(desk.current(0.0).is_empty());
        std::fs::write(dir.path().join(FILE), "{}").unwrap();
        assert!(Desk::open(dir.path(), 0.0).unwrap_err().contains(FILE));
    }

    #[test]
    fn whose_why_and_until_when_must_be_said() {
        let desk = Desk::default();
        let check =
            |wish: Wish, says: &str| assert!(desk.make(wish, 0.0, |_| Ok(())).unwrap_err().contains(says), "{says}");
        check(wish("drain *", 0.0), "30 days");
        check(wish("drain *", f64::NAN), "30 days");
        check(wish("drain *", 1e9), "30 days");
        check(Wish { author: " ".into(), ..wish("drain *", 60.0) }, "an author is missing");
        check(Wish { reason: String::new(), ..wish("drain *", 60.0) }, "a reason is missing");
        check(Wish { reason: "a\nb".into(), ..wish("drain *", 60.0) }, "no line ends");
        let no = desk.make(wish("drain *", 60.0), 0.0, |all| Err(format!("{} are too many", all.iter().count())));
        assert!(no.unwrap_err().contains("1 are too many") && desk.current(0.0).is_empty());
        for _ in 0..MOST {
            desk.make(wish("drain *", 60.0), 0.0, |_| Ok(())).unwrap();
        }
        check(wish("drain *", 60.0), "end some");
    }
}
