//! What shadows cost and brought, as people see it: the plain form of [`crate::control::accounts`].

use crate::control::accounts::Account;
use serde::{Deserialize, Serialize};

/// The budget of a group for the standby of its shadows, in this calendar month (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetState {
    /// Hours of standby so far.
    pub spent_hours: f64,
    /// Hours of standby that there may be.
    pub hours: f64,
}

/// What a shadow cost and brought. Both in requests: standby costs `standby=` of what the shadow can carry while it is on; what
/// is prevented would have found no room without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandbyState {
    /// Unix seconds since when it has been watched.
    pub since: f64,
    /// Hours that it was on since then.
    pub hours: f64,
    /// The same in this calendar month (UTC).
    pub month_hours: f64,
    /// How often it was started.
    pub starts: u64,
    /// Starts in which demand outgrew what was usable without it.
    pub paid_starts: u64,
    /// What standby cost.
    pub cost_requests: f64,
    /// Requests that found room by it alone.
    pub prevented_requests: f64,
    /// What to do with it, in words; `None` while it pays or is new.
    pub advice: Option<String>,
}

impl StandbyState {
    /// The account as people see it.
    pub(super) fn of(account: &Account) -> StandbyState {
        StandbyState {
            since: account.since,
            hours: account.on_secs / 3600.0,
            month_hours: account.month_secs / 3600.0,
            starts: account.starts,
            paid_starts: account.paid,
            cost_requests: account.cost,
            prevented_requests: account.prevented,
            advice: account.advice(),
        }
    }
}
