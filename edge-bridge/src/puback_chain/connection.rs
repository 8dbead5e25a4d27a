//! Messages of one connection without PUBACK, in order of arrival, and the condition that each waits for.

use super::receipts::{Barrier, Ticket};
use super::stop_and_wait::StopAndWait;
use crate::in_order::InOrder;
use crate::session::AckHandle;
use crate::wire::ReasonCode;

/// Outstanding PUBACKs of one connection, in order.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    entries: InOrder<Entry>,
    pub(super) publisher: StopAndWait,
    bytes: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) ack: AckHandle,
    pub(super) bytes: usize,
    pub(super) until: Until,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// The PUBACK waits until the receipt is resolved.
    Resolved(Ticket),
    /// The PUBACK waits until the receipt is resolved, and the barrier at its arrival passed.
    Withheld(Ticket, Barrier),
    /// The PUBACK waits until the barrier is passed.
    Passed(Barrier),
    Now(ReasonCode),
}

impl Until {
    fn waits_for(&self, resolved: Ticket) -> bool {
        matches!(self, Until::Resolved(ticket) | Until::Withheld(ticket, _) if *ticket == resolved)
    }

    /// Returns whether the message came behind a barrier, and waits.
    fn is_behind(&self, barrier: Barrier) -> bool {
        match self {
            Until::Now(_) => false,
            Until::Passed(other) => other.is_behind(barrier),
            Until::Resolved(ticket) | Until::Withheld(ticket, _) => ticket.is_behind(barrier),
        }
    }
}

impl Connection {
    pub(super) fn new(window: Option<u16>) -> Self {
        Self { entries: InOrder::default(), publisher: StopAndWait::new(window), bytes: 0 }
    }

    #[cfg(feature = "testing")]
    pub(super) fn hash_state(&self, hasher: &mut impl crate::state_hash::StateHasher) {
        hasher.write_usize(self.entries.len());
        for (_, entry) in self.entries.numbered() {
            match entry.until {
                Until::Resolved(ticket) | Until::Withheld(ticket, _) => ticket.hash_state(hasher),
                Until::Passed(_) => hasher.write_u8(0),
                Until::Now(_) => hasher.write_u8(1),
            }
        }
    }

    /// Number of payload bytes without a PUBACK.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn waits_for_nothing(&self) -> bool {
        self.entries.len() == 0
    }

    pub(super) fn enter(&mut self, now_ms: u64, entry: Entry) {
        self.publisher.on_publish(now_ms);
        self.bytes += entry.bytes;
        self.entries.push(entry);
    }

    pub(super) fn on_resolved(&mut self, ticket: Ticket, reason: ReasonCode) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.until.waits_for(ticket)) else { return };
        entry.until = match entry.until {
            Until::Withheld(_, barrier) => Until::Passed(barrier),
            _ => Until::Now(reason),
        };
    }

    /// Ends the wait for a barrier.
    pub(super) fn on_passed(&mut self, barrier: Barrier) {
        for entry in self.entries.iter_mut().take_while(|entry| !entry.until.is_behind(barrier)) {
            entry.until = match entry.until {
                Until::Passed(passed) if passed == barrier => Until::Now(ReasonCode::SUCCESS),
                Until::Withheld(ticket, passed) if passed == barrier => Until::Resolved(ticket),
                until => until,
            };
        }
    }

    /// Takes the oldest PUBACK if its condition is met: the message's bytes, its handle and its reason. `None` if it waits, or there is none.
    pub(super) fn take_ready(&mut self) -> Option<(usize, AckHandle, ReasonCode)> {
        let Entry { ack, bytes, until } =
            self.entries.pop_if(|entry| matches!(entry.until, Until::Now(_)))?;
        let Until::Now(reason) = until else { return None };
        self.bytes = self.bytes.saturating_sub(bytes);
        self.entries.shrink();
        Some((bytes, ack, reason))
    }
}
