//! What shadows cost and what they bring, kept over restarts.
//!
//! Both are counted in requests, so that they compare without prices of money: standby costs `standby=` of what the shadow can
//! carry while it is on; it brings the requests that would have found no room within the targets without it, which is what
//! having nothing in reserve would cost when it is asked for. An hour in which nothing was short is an hour paid for nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Version of the text; other versions are refused.
const FORMAT: u32 = 1;
/// For how long a shadow is watched before anything is advised, seconds: a month, so that what happens monthly is seen.
pub const WATCHED_SECS: f64 = 30.0 * 86_400.0;
/// Accounts of shadows that are in no policy any more are kept for so long, seconds.
const FORGOTTEN_SECS: f64 = 90.0 * 86_400.0;
/// Parts of a budget at which it is told.
pub const ALERTS: [f64; 4] = [0.8, 0.9, 0.95, 1.0];

//----------- Account --------------------------------------------------------

/// One shadow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Unix seconds since when it has been watched.
    pub since: f64,
    /// Unix seconds at which it was looked at last.
    pub seen: f64,
    /// Seconds that it was on: all states but Cold.
    pub on_secs: f64,
    /// The same in the calendar month of `seen`, by UTC.
    pub month_secs: f64,
    /// How often it was started.
    pub starts: u64,
    /// Of these, in how many demand outgrew what was usable without it.
    pub paid: u64,
    /// Unix seconds at which that was last so.
    pub last_paid: Option<f64>,
    /// What its standby cost, requests.
    pub cost: f64,
    /// Requests that would have found no room without it.
    pub prevented: f64,
    /// Whether the start that it is on by has paid.
    paying: bool,
}

/// What one moment adds to an account; requests per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Whether it is on.
    pub is_on: bool,
    /// Whether it has left Cold just now.
    pub started: bool,
    /// What its standby costs.
    pub cost: f64,
    /// What finds room by it alone.
    pub prevented: f64,
}

impl Account {
    /// Watched from `unix` on.
    pub fn new(unix: f64) -> Account {
        Account { since: unix, seen: unix, ..Account::default() }
    }

    /// Takes in the `dt` seconds that end at `unix`.
    pub fn pass(&mut self, moment: &Moment, dt: f64, unix: f64) {
        if month(unix) != month(self.seen) {
            self.month_secs = 0.0;
        }
        self.seen = unix;
        if moment.started {
            (self.starts, self.paying) = (self.starts + 1, false);
        }
        if !moment.is_on {
            return;
        }
        self.on_secs += dt;
        self.month_secs += dt;
        self.cost += moment.cost * dt;
        self.prevented += moment.prevented * dt;
        if moment.prevented > 0.0 {
            self.paid += u64::from(!self.paying);
            (self.paying, self.last_paid) = (true, Some(unix));
        }
    }

    /// What to do with it, in words; `None` while it pays, or was not watched for long enough.
    pub fn advice(&self) -> Option<String> {
        let idle = self.seen - self.last_paid.unwrap_or(self.since).max(self.since);
        let days = (idle / 86_400.0).floor();
        if idle < WATCHED_SECS {
            return None;
        }
        Some(match self.starts {
            0 => format!("not needed once in {days:.0} days: consider doing without it"),
            n => format!(
                "has not paid for {days:.0} days ({n} starts, {:.0} h on in all): consider doing without it",
                self.on_secs / 3600.0
            ),
        })
    }
}

/// Months since the year 0, by UTC.
fn month(unix: f64) -> i64 {
    let at = OffsetDateTime::from_unix_timestamp(unix as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    i64::from(at.year()) * 12 + i64::from(u8::from(at.month()))
}

//----------- Accounts ---------------------------------------------------------

/// All accounts, by group and shadow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accounts {
    floodway_shadows: u32,
    by_group: BTreeMap<String, BTreeMap<String, Account>>,
    /// Per group, the month and how many of [`ALERTS`] were told in it.
    told: BTreeMap<String, (i64, usize)>,
}

impl Accounts {
    /// The account of a shadow; a new one from `unix` on, if there is none.
    pub fn account(&mut self, group: &str, shadow: &str, unix: f64) -> &mut Account {
        // Looked up first, since a new key costs two allocations and nearly all are known.
        if !self.by_group.get(group).is_some_and(|of| of.contains_key(shadow)) {
            let of = self.by_group.entry(group.to_owned()).or_default();
            of.insert(shadow.to_owned(), Account::new(unix));
        }
        self.by_group.get_mut(group).and_then(|of| of.get_mut(shadow)).expect("it was put there if it was missing")
    }

    /// The account of a shadow, if there is one.
    pub fn get(&self, group: &str, shadow: &str) -> Option<&Account> {
        self.by_group.get(group)?.get(shadow)
    }

    /// Seconds that the shadows of a group were on in the month of `unix`, those included that are in no policy any more.
    pub fn spent_secs(&self, group: &str, unix: f64) -> f64 {
        let now = month(unix);
        let of = self.by_group.get(group).into_iter().flat_map(BTreeMap::values);
        of.filter(|a| month(a.seen) == now).map(|a| a.month_secs).sum()
    }

    /// The greatest of [`ALERTS`] that a group's spending has passed since this was asked last in this month.
    pub fn passed(&mut self, group: &str, spent: f64, budget: f64, unix: f64) -> Option<f64> {
        let reached = ALERTS.iter().take_while(|part| spent >= **part * budget).count();
        let now = month(unix);
        let before = self.told.get(group).filter(|(month, _)| *month == now).map_or(0, |(_, n)| *n);
        if reached != before || reached == 0 && self.told.contains_key(group) {
            self.told.insert(group.to_owned(), (now, reached));
        }
        (reached > before).then(|| ALERTS[reached - 1])
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.by_group.is_empty()
    }

    /// The text for the disk, at `unix`; what was not seen for three months is left out.
    pub fn print(&self, unix: f64) -> String {
        let mut kept = Accounts { floodway_shadows: FORMAT, ..self.clone() };
        kept.by_group.values_mut().for_each(|of| of.retain(|_, a| unix - a.seen < FORGOTTEN_SECS));
        kept.by_group.retain(|_, of| !of.is_empty());
        serde_json::to_string(&kept).expect("names and finite numbers print as JSON") + "\n"
    }

    /// Reads what [`Accounts::print`] wrote.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn parse(text: &str) -> Result<Accounts, String> {
        let read: Accounts = serde_json::from_str(text).map_err(|e| format!("not the accounts of shadows: {e}"))?;
        match read.floodway_shadows {
            FORMAT => Ok(read),
            _ => Err("written by another version".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31 23:00 UTC.
    const JANUARY: f64 = 1_769_900_400.0;
    const ON: Moment = Moment { is_on: true, started: false, cost: 5.0, prevented: 0.0 };

    #[test]
    fn hours_and_starts_are_counted_and_months_begin_anew() {
        let mut account = Account::new(JANUARY);
        account.pass(&Moment { started: true, ..ON }, 1.0, JANUARY + 1.0);
        account.pass(&ON, 1799.0, JANUARY + 1800.0);
        account.pass(&Moment { prevented: 20.0, ..ON }, 10.0, JANUARY + 1810.0);
        account.pass(&Moment { prevented: 20.0, ..ON }, 10.0, JANUARY + 1820.0);
        assert_eq!((account.starts, account.paid, account.prevented), (1, 1, 400.0));
        assert_eq!((account.on_secs, account.month_secs, account.cost), (1820.0, 1820.0, 9100.0));
        account.pass(&ON, 1.0, JANUARY + 3601.0);
        assert_eq!((account.on_secs, account.month_secs), (1821.0, 1.0), "February");
        account.pass(&Moment::default(), 60.0, JANUARY + 3661.0);
        account.pass(&Moment { started: true, prevented: 1.0, ..ON }, 1.0, JANUARY + 3662.0);
        assert_eq!((account.starts, account.paid), (2, 2));
    }

    #[test]
    fn advice_comes_after_a_month_in_which_nothing_was_short() {
        let day = 86_400.0;
        let mut account = Account::new(JANUARY);
        account.pass(&Moment::default(), 1.0, JANUARY + 29.0 * day);
        assert_eq!(account.advice(), None);
        account.pass(&Moment::default(), 1.0, JANUARY + 31.0 * day);
        assert!(account.advice().unwrap().starts_with("not needed once in 31 days"));
        account.pass(&Moment { started: true, ..ON }, 7200.0, JANUARY + 32.0 * day);
        assert!(account.advice().unwrap().contains("has not paid for 32 days (1 starts, 2 h on"));
        account.pass(&Moment { prevented: 1.0, ..ON }, 1.0, JANUARY + 33.0 * day);
        assert_eq!(account.advice(), None);
    }

    #[test]
    fn a_budget_is_told_of_once_a_step_and_month() {
        let mut accounts = Accounts::default();
        let mut passed = |spent: f64, at: f64| accounts.passed("web.", spent, 100.0, at);
        assert_eq!(passed(79.0, JANUARY), None);
        assert_eq!(passed(80.0, JANUARY), Some(0.8));
        assert_eq!(passed(81.0, JANUARY), None);
        assert_eq!(passed(97.0, JANUARY), Some(0.95));
        assert_eq!(passed(100.0, JANUARY), Some(1.0));
        assert_eq!(passed(1.0, JANUARY + 3600.0), None, "the next month");
        assert_eq!(passed(85.0, JANUARY + 3601.0), Some(0.8));
    }

    #[test]
    fn accounts_come_back_and_old_ones_go() {
        let mut accounts = Accounts::default();
        accounts.account("web.", "dub.web.", JANUARY).pass(&ON, 60.0, JANUARY + 60.0);
        accounts.account("web.", "old.web.", JANUARY - 100.0 * 86_400.0);
        assert_eq!(accounts.spent_secs("web.", JANUARY + 60.0), 60.0);
        assert_eq!(accounts.spent_secs("web.", JANUARY + 3600.0), 0.0, "the next month");
        let back = Accounts::parse(&accounts.print(JANUARY + 60.0)).unwrap();
        assert_eq!(back.get("web.", "dub.web."), accounts.get("web.", "dub.web."));
        assert_eq!(back.get("web.", "old.web."), None);
        assert!(Accounts::parse("{}").is_err() && Accounts::parse("").is_err());
        assert!(Accounts::parse(&accounts.print(JANUARY).replace("_shadows\":1", "_shadows\":9")).is_err());
    }
}
