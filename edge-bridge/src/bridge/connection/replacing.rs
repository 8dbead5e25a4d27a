//! Replacement of a connection that works by another one to the same address. No new message is sent on it any more: it ends when the hub has
//! answered those that were, because each of them would come twice.

use super::{Connection, Now};
use crate::wire::ReasonCode;

/// Replacement that is wanted, or done.
#[derive(Debug, Clone)]
pub(super) struct Replacement {
    /// Up time, in milliseconds, at which the connection ends at the latest.
    until_ms: u64,
    /// Cause in plain words.
    why: String,
    is_done: bool,
}

impl Connection {
    /// Has the connection end as soon as nothing is unanswered on it, in either direction, at the latest in `within_ms`. Without the hub's CONNACK
    /// this does nothing.
    pub(in crate::bridge) fn replace(&mut self, now: Now, within_ms: u64, why: &str) {
        if self.accepted && self.replacement.is_none() {
            let until_ms = now.up_ms.saturating_add(within_ms);
            self.replacement = Some(Replacement { until_ms, why: why.to_owned(), is_done: false });
        }
    }

    /// Has the connection stay after all, if it has not ended to be replaced.
    pub(in crate::bridge) fn keep(&mut self) {
        self.replacement.take_if(|replacement| !replacement.is_done);
    }

    /// Returns when the connection ends to be replaced, at the latest; `None` if it stays.
    pub(in crate::bridge) fn replaced_at_ms(&self) -> Option<u64> {
        self.replacement.as_ref().map(|replacement| replacement.until_ms)
    }

    /// Returns whether the connection ended to be replaced.
    pub(super) fn is_replaced(&self) -> bool {
        self.replacement.as_ref().is_some_and(|replacement| replacement.is_done)
    }

    /// Ends the connection if it is to be replaced, and it is time. The DISCONNECT is that of a normal end, for which the hub keeps the session and
    /// publishes no will: this client is back at once.
    pub(super) fn make_way(&mut self, now: Now) {
        let is_calm = !self.session.has_unfinished() && self.session.unacknowledged() == 0;
        let is_open = self.session.is_open();
        let Some(replacement) = &mut self.replacement else { return };
        if is_open && (is_calm || replacement.until_ms <= now.up_ms) {
            replacement.is_done = true;
            self.why = Some(replacement.why.clone());
            self.session.disconnect(now.up_ms, ReasonCode::NORMAL_DISCONNECTION);
        }
    }
}
