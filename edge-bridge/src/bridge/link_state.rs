//! State of the link (promise 5): derived from PUBACK progress, never from a socket that happens to be open.

use std::fmt;

/// The state of the link. These are all its values, which log, metrics, status page and status topic show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LinkState {
    /// Messages go out and are acknowledged as they come.
    Flowing,
    /// Connected, nothing to send.
    Idle,
    /// Connected, and a backlog is being sent and acknowledged.
    Draining,
    /// Connected, but messages are unacknowledged and no answer comes.
    Stalled,
    /// Not connected; the back-off before the next attempt is under way.
    BackingOff,
    /// Not connected: an attempt is under way, or none is wanted.
    #[default]
    Offline,
}

impl LinkState {
    /// Returns whether there is a connection: the hub has accepted it, and it has not ended.
    pub const fn is_connected(self) -> bool {
        !matches!(self, Self::BackingOff | Self::Offline)
    }

    /// Returns the word for the state in status messages and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flowing => "flowing",
            Self::Idle => "idle",
            Self::Draining => "draining",
            Self::Stalled => "stalled",
            Self::BackingOff => "backing-off",
            Self::Offline => "offline",
        }
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Progress of a connection that is up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Number of messages without PUBACK, and of rows in open batches.
    pub(super) unacknowledged: usize,
    /// Rows that wait in the spool.
    pub(super) waiting: u64,
    /// Set while the stall breaker's PINGREQ has no answer, or no PUBACK came for too long.
    pub(super) suspect: bool,
    /// Set once a PUBACK arrived on this connection.
    pub(super) acked: bool,
}

/// Number of waiting rows above which the link counts as draining a backlog. Fewer are rows that were pushed just now.
const BACKLOG: u64 = 32;

impl Progress {
    pub(super) fn state(self) -> LinkState {
        match self {
            Self { suspect: true, .. } => LinkState::Stalled,
            Self { unacknowledged: 0, waiting: 0, .. } => LinkState::Idle,
            // Nothing has been acknowledged here yet: connected is all that is known.
            Self { acked: false, .. } => LinkState::Idle,
            Self { waiting, .. } if waiting > BACKLOG => LinkState::Draining,
            _ => LinkState::Flowing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_puback_makes_it_flow() {
        let base = Progress { unacknowledged: 3, waiting: 0, suspect: false, acked: false };
        assert_eq!(base.state(), LinkState::Idle);
        assert_eq!(Progress { acked: true, ..base }.state(), LinkState::Flowing);
        assert_eq!(Progress { acked: true, waiting: 1000, ..base }.state(), LinkState::Draining);
        assert_eq!(Progress { acked: true, suspect: true, ..base }.state(), LinkState::Stalled);
        assert_eq!(Progress { unacknowledged: 0, acked: true, ..base }.state(), LinkState::Idle);
    }

    #[test]
    fn a_backlog_is_more_than_this_moments_rows() {
        let state = |waiting| Progress { unacknowledged: 1, waiting, suspect: false, acked: true }.state();
        assert_eq!([BACKLOG, BACKLOG + 1].map(state), [LinkState::Flowing, LinkState::Draining]);
    }

    #[test]
    fn there_is_no_connection_while_one_is_waited_for_or_tried() {
        use LinkState::{BackingOff, Draining, Flowing, Idle, Offline, Stalled};
        for (state, is_connected) in [
            (Flowing, true),
            (Idle, true),
            (Draining, true),
            (Stalled, true),
            (BackingOff, false),
            (Offline, false),
        ] {
            assert_eq!(state.is_connected(), is_connected, "{state}");
        }
    }

    #[test]
    fn a_state_is_shown_by_its_word() {
        assert_eq!(LinkState::BackingOff.to_string(), "backing-off");
    }
}
