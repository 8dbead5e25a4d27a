//! What the bridge did, in numbers.

use super::link::LinkState;
use crate::session::Traffic;

/// A snapshot. Counters never go back while the process lives.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The state of the link.
    pub link: LinkState,
    /// Messages published, without repeats.
    pub sent: u64,
    /// Messages that the hub acknowledged as taken.
    pub acknowledged: u64,
    /// Rows in them.
    pub rows_delivered: u64,
    /// Messages sent again on a resumed session.
    pub resent: u64,
    /// Messages that the hub refused for now.
    pub retries: u64,
    /// Rows that could not be delivered.
    pub dead_letters: u64,
    /// Messages without an answer now.
    pub unacknowledged: usize,
    /// Rows that wait behind them.
    pub waiting: u64,
    /// The window's limit in bytes.
    pub window_bytes: u64,
    /// Smoothed round trip of a PUBLISH in milliseconds, 0 before the first.
    pub srtt_ms: u64,
    /// Messages from the hub.
    pub received: u64,
    /// Messages of QoS 0 from the hub that no subscription of the application took.
    pub dropped_qos0: u64,
    /// Attempts to connect.
    pub dials: u64,
    /// Connections that the hub accepted.
    pub connects: u64,
    /// Connections that the stall breaker broke.
    pub stalls: u64,
    /// Sessions that the hub had lost.
    pub sessions_lost: u64,
    /// Bytes by cause, over all connections.
    pub traffic: Traffic,
    /// What TLS added, both directions.
    pub tls_bytes: u64,
    /// Why the link is not up, or was not the last time.
    pub last_error: Option<String>,
}
