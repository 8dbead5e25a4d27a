//! Signs of a session takeover: another client connects under the same client identifier, so the hub ends the other's connection at each CONNECT. A hub
//! that speaks MQTT 5 says so; another one only closes, again and again soon after CONNACK. Pure.

use crate::session::Closed;
use crate::wire::ReasonCode;

/// A connection that the hub closes within this time was short, in milliseconds.
const SHORT_MS: u64 = 10_000;
/// Short connections in a row from which on another client is a possible cause.
const SHORT_IN_A_ROW: u32 = 3;

const TAKEN_OVER: &str = "another client connects with the same client identifier";
const POSSIBLY: &str = "soon after it was accepted, as others before: another client with the same client identifier is a possible cause";

/// Connections that ended one after the other.
#[derive(Debug, Default)]
pub(super) struct TakeoverSigns {
    short: u32,
}

impl TakeoverSigns {
    /// Returns whether the hub said that another client took the session over.
    pub(super) fn is_said(closed: &Closed) -> bool {
        matches!(closed, Closed::Peer { reason: ReasonCode::SESSION_TAKEN_OVER, .. })
    }

    /// A connection that the hub had accepted ended after so many milliseconds. `is_ours`: this side broke it off, or there is another cause. Returns what is to be added to the
    /// reason.
    pub(super) fn on_over(&mut self, closed: &Closed, is_ours: bool, lasted_ms: u64) -> Option<&'static str> {
        if Self::is_said(closed) {
            self.short = 0;
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
        let mut takeover = TakeoverSigns::default();
        let mut over = |is_ours, lasted_ms| takeover.on_over(&Closed::Transport, is_ours, lasted_ms);
        assert_eq!([over(false, 900), over(false, 900), over(false, 900)], [None, None, Some(POSSIBLY)]);
        assert_eq!(over(false, 9_999), Some(POSSIBLY));
        assert_eq!([over(false, SHORT_MS), over(false, 0), over(false, 0)], [None; 3]);
        assert_eq!([over(true, 0), over(false, 0), over(false, 0)], [None; 3]);
        assert_eq!(over(false, 0), Some(POSSIBLY));
    }
}
