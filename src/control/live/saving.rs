//! What the loop writes down for the next process: the plan, announced events, the accounts of shadows.

use crate::control::announced::Kept;
use crate::control::kept::{ACCOUNTS_FILE, EVENTS_FILE, FILE, write_beside};
use crate::control::live::Loop;
use std::path::Path;
use std::sync::atomic::Ordering;

impl Loop {
    /// Writes down all of it; a failure is counted, and the first one told.
    pub(super) fn save(&self) {
        let Some(dir) = &self.wiring.state_dir else { return };
        self.save_events(dir);
        let accounts = self.state.accounts();
        if !accounts.is_empty() {
            let text = accounts.print(self.saved_at.map_or(0.0, |at| at.unix));
            self.keep(
                dir,
                ACCOUNTS_FILE,
                &text,
                "what shadows cost cannot be saved",
                "would forget this month's standby",
            );
        }
        if let Some(saved) = self.state.saved() {
            self.keep(dir, FILE, &saved.print(), "the plan cannot be saved", "would start from what is declared");
        }
    }

    /// Announcements and what is known of them, where there are any.
    fn save_events(&self, dir: &Path) {
        let (calendar, announced) = (self.wiring.announcements.calendar(), self.state.announced());
        if announced.is_empty() && calendar.entries.is_empty() {
            return;
        }
        let text = Kept::of(&calendar, announced).print();
        self.keep(dir, EVENTS_FILE, &text, "announced events cannot be saved", "would forget them");
    }

    fn keep(&self, dir: &Path, name: &str, text: &str, what: &str, then: &str) {
        // Once is enough: the metric counts the rest.
        if let Err(e) = write_beside(dir, name, text)
            && self.status.unsaved.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::warn!("{}: {what}: {e}; a restart {then}", dir.display());
        }
    }
}
