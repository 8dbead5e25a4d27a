//! The messages of one connection without PUBACK, in order of arrival, and what each of them waits for.

use std::collections::VecDeque;

use super::receipts::{Barrier, Receipts, Ticket};
use crate::session::AckHandle;
use crate::stop_and_wait::StopAndWait;
use crate::wire::ReasonCode;

/// Room for entries that a connection without any keeps.
const IDLE: usize = 16;

/// Answers that one connection still owes, in order.
#[derive(Debug)]
pub(super) struct Connection {
    entries: VecDeque<Entry>,
    pub(super) publisher: StopAndWait,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) ack: AckHandle,
    pub(super) bytes: usize,
    pub(super) until: Until,
}

#[derive(Debug)]
pub(super) enum Until {
    /// The receipt is resolved.
    Resolved(Ticket),
    /// The receipt, and all before it, are resolved.
    Withheld(Ticket),
    /// All receipts before it are resolved.
    Passed(Barrier),
    Now(ReasonCode),
}

impl Until {
    fn waits_for(&self, resolved: Ticket) -> bool {
        matches!(self, Until::Resolved(ticket) | Until::Withheld(ticket) if *ticket == resolved)
    }
}

impl Connection {
    pub(super) fn new(window: Option<u16>) -> Self {
        Self { entries: VecDeque::new(), publisher: StopAndWait::new(window), bytes: 0 }
    }

    /// Payload bytes without PUBACK.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn waits_for_nothing(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn enter(&mut self, now_ms: u64, entry: Entry) {
        self.publisher.on_publish(now_ms);
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
    }

    pub(super) fn on_resolved(&mut self, ticket: Ticket, reason: ReasonCode) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.until.waits_for(ticket)) else { return };
        entry.until = match entry.until {
            Until::Withheld(_) => Until::Passed(ticket.barrier()),
            _ => Until::Now(reason),
        };
    }

    /// The oldest, if it waits for nothing more: its bytes, and what to release.
    pub(super) fn take_ready(&mut self, receipts: &Receipts) -> Option<(usize, AckHandle, ReasonCode)> {
        let reason = match self.entries.front()?.until {
            Until::Now(reason) => reason,
            Until::Passed(barrier) if receipts.have_passed(barrier) => ReasonCode::SUCCESS,
            Until::Passed(_) | Until::Resolved(_) | Until::Withheld(_) => return None,
        };
        let Entry { ack, bytes, .. } = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.entries.is_empty() {
            self.entries.shrink_to(IDLE);
        }
        Some((bytes, ack, reason))
    }
}
