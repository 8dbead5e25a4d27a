//! Changes that the next commit writes even if no row waits for it: registrations, removals and new totals.

use crate::planted_flaw::{Flaw, planted};
use crate::state::Change;

/// Changes besides rows that a caller waits for.
#[derive(Debug, Default)]
pub(super) struct DueChanges {
    required: bool,
    /// Names of consumers that were removed.
    forgotten: Vec<String>,
}

impl DueChanges {
    /// Makes the next commit necessary even without a row.
    pub(super) fn require(&mut self) {
        self.required = true;
    }

    pub(super) fn is_required(&self) -> bool {
        self.required
    }

    /// Adds the removal of a consumer to the changes of the next commit.
    pub(super) fn forget(&mut self, name: String) {
        self.forgotten.push(name);
    }

    /// Returns whether a consumer of this name was removed and no commit has written that yet.
    pub(super) fn is_forgotten(&self, name: &str) -> bool {
        self.forgotten.iter().any(|known| known == name)
    }

    /// Begins a commit, and returns the removals, which are its first changes.
    pub(super) fn begin(&mut self) -> Vec<Change> {
        self.required = false;
        self.forgotten.drain(..).map(|consumer| Change::Forget { consumer }).collect()
    }

    /// Handles a failed commit: its removals wait for the next commit.
    pub(super) fn not_written(&mut self, changes: &[Change]) {
        let removed = changes.iter().filter_map(|change| match change {
            Change::Forget { consumer } => Some(consumer.clone()),
            _ => None,
        });
        if !planted(Flaw::ForgettingForgotten) {
            self.forgotten.extend(removed);
        }
        self.required = true;
    }
}
