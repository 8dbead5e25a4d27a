//! Signs of a session takeover: another client connects under the same client identifier, so the hub ends one connection at each CONNECT of the
//! other. An MQTT 5 hub reports this (0x8E), and is then dialled rarely, because two clients that reconnect at once would disconnect each other
//! for ever. A 3.1.1 hub only closes the connection, again and again soon after CONNACK. Pure.

use crate::session::Closed;
use crate::wire::ReasonCode;

use super::super::backoff::{Backoff, BackoffConfig};

/// Lifetime, in milliseconds, below which a connection that the hub closes counts as short.
const SHORT_MS: u64 = 10_000;
/// Number of short connections in a row from which another client is a possible cause.
const SHORT_IN_A_ROW: u32 = 3;
/// First and longest delay before the next attempt after a takeover, in milliseconds.
const APART_MS: (u64, u64) = (30_000, 600_000);
/// Lifetime of a connection, in milliseconds, which shows that no other client uses the identifier.
const ALONE_MS: u64 = 60_000;

const TAKEN_OVER: &str = "another client connects with the same client identifier";
const POSSIBLY: &str = "soon after it was accepted, as others before: another client with the same client identifier is a possible cause";

/// History of connections that ended one after the other.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct TakeoverSigns {
    short: u32,
    /// Set from a takeover until a connection has lasted for [`ALONE_MS`].
    is_taken_over: bool,
    backoff: Backoff,
}

impl TakeoverSigns {
    pub(in crate::bridge) fn new(seed: u64) -> Self {
        let config = BackoffConfig { base_ms: APART_MS.0, max_ms: APART_MS.1, silent_max_ms: APART_MS.1 };
        Self { short: 0, is_taken_over: false, backoff: Backoff::new(config, seed) }
    }

    /// Returns whether another client has taken the session over, and no connection has lasted for [`ALONE_MS`] since.
    pub(in crate::bridge) fn is_taken_over(&self) -> bool {
        self.is_taken_over
    }

    /// Returns the delay of the next attempt after a takeover, in milliseconds.
    pub(in crate::bridge) fn next_ms(&mut self) -> u64 {
        self.backoff.next_ms()
    }

    /// Takes in the age of the present, accepted connection.
    pub(in crate::bridge) fn on_lasting(&mut self, lasted_ms: u64) {
        if lasted_ms >= ALONE_MS {
            self.is_taken_over = false;
            self.backoff.reset();
        }
    }

    /// Up time at which a connection made at `since_ms` will have lasted long enough to end the takeover; `None` if there was no takeover.
    pub(in crate::bridge) fn next_deadline(&self, since_ms: u64) -> Option<u64> {
        self.is_taken_over.then_some(since_ms + ALONE_MS)
    }

    /// Returns whether the hub reported that another client took the session over.
    pub(in crate::bridge) fn is_said(closed: &Closed) -> bool {
        matches!(closed, Closed::Peer { reason: ReasonCode::SESSION_TAKEN_OVER, .. })
    }

    /// Handles the end of a connection after `lasted_ms`. `is_ours`: this side ended it, or there is another known cause. Returns a text to add
    /// to the reported cause if another client may have been the reason.
    pub(in crate::bridge) fn on_over(
        &mut self,
        closed: &Closed,
        is_ours: bool,
        lasted_ms: u64,
    ) -> Option<&'static str> {
        if Self::is_said(closed) {
            (self.short, self.is_taken_over) = (0, true);
            return Some(TAKEN_OVER);
        }
        if is_ours || *closed != Closed::Transport || lasted_ms >= SHORT_MS {
            self.short = 0;
            return None;
        }
        self.short = self.short.saturating_add(1);
        (self.short >= SHORT_IN_A_ROW).then_some(POSSIBLY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_short_connections_is_a_sign_and_a_long_one_or_our_own_end_is_none() {
        let mut takeover = TakeoverSigns::new(1);
        let mut over = |is_ours, lasted_ms| takeover.on_over(&Closed::Transport, is_ours, lasted_ms);
        assert_eq!([over(false, 900), over(false, 900), over(false, 900)], [None, None, Some(POSSIBLY)]);
        assert_eq!(over(false, 9_999), Some(POSSIBLY));
        assert_eq!([over(false, SHORT_MS), over(false, 0), over(false, 0)], [None; 3]);
        assert_eq!([over(true, 0), over(false, 0), over(false, 0)], [None; 3]);
        assert_eq!(over(false, 0), Some(POSSIBLY));
    }
}
