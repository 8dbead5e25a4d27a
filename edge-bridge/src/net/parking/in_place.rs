//! Rows that cannot be parked and wait in their place: how many they are, also while they are looked at again.

use std::sync::atomic::{AtomicU64, Ordering};

use edge_queue::{LANES_MAX, Lease};

/// Rows that were passed over since the last look. Link and task both add to it.
#[derive(Debug, Default)]
pub(super) struct InPlace {
    messages: AtomicU64,
    /// The row behind the last of them, by lane.
    until: [AtomicU64; LANES_MAX],
}

impl InPlace {
    /// Messages, by weight.
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Passes over a row.
    pub(super) fn leave(&self, lease: Lease) {
        self.messages.fetch_add(u64::from(lease.weight()), Ordering::Relaxed);
        if let Some(until) = self.until.get(usize::from(lease.lane().0)) {
            until.fetch_max(lease.id().seq.saturating_add(1), Ordering::Relaxed);
        }
        lease.pass();
    }
}

/// Look at them: from its begin on they are leased again, one after the other, and until its turn comes each still waits in its place. Other rows
/// may come between, of other lanes, or of the same ones behind them.
#[derive(Debug, Default)]
pub(super) struct Look {
    messages: u64,
    until: [u64; LANES_MAX],
}

impl Look {
    /// Messages, by weight, whose turn has not come.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Begins with all that wait, and those that the last one did not come to.
    pub(super) fn begin(&mut self, all: &InPlace) {
        self.messages += all.messages.swap(0, Ordering::Relaxed);
        for (own, until) in self.until.iter_mut().zip(&all.until) {
            *own = (*own).max(until.swap(0, Ordering::Relaxed));
        }
    }

    /// A row was leased.
    pub(super) fn on_leased(&mut self, lease: &Lease) {
        let until = self.until.get(usize::from(lease.lane().0)).copied().unwrap_or(0);
        if lease.id().seq < until {
            self.messages = self.messages.saturating_sub(u64::from(lease.weight()));
        }
    }

    /// Every row has been leased: those that did not come expired, or made room.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}
