//! Figures from which a snapshot is made: those of `/metrics`, and further ones of the queue and the routes. Pure.

use edge_bridge::Durations;
use edge_queue::{FaultKind, Health, Stats};

use crate::run::status::metrics::Sample;

use super::ledger::Totals;

/// Figures of one lane of the queue, by its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneFigures {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) max_messages: u64,
    pub(crate) max_bytes: u64,
    /// Messages accepted into the lane since the queue was opened.
    pub(crate) accepted: u64,
}

/// Figures of the queue besides its totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueFigures {
    pub(crate) lanes: Vec<LaneFigures>,
    /// Failure of the store, in words. `None`: it works.
    pub(crate) fault: Option<String>,
    /// Set while the failure is that the queue's file is not at its path.
    pub(crate) is_file_gone: bool,
    /// Milliseconds by which the queue's writer is late.
    pub(crate) overdue_ms: u64,
    /// Milliseconds for which the call of the store that is under way has not returned; 0 without one.
    pub(crate) call_ms: u64,
}

impl QueueFigures {
    pub(crate) fn of(stats: &Stats) -> Self {
        let lane = |lane: &edge_queue::LaneStats| LaneFigures {
            messages: lane.messages,
            bytes: lane.bytes,
            max_messages: lane.max_messages,
            max_bytes: lane.max_bytes,
            accepted: lane.accepted,
        };
        let (fault, is_file_gone) = match &stats.health {
            Health::Degraded { kind, reason, .. } => (Some(reason.clone()), *kind == FaultKind::NameLost),
            _ => (None, false),
        };
        let lanes = stats.lanes.iter().map(lane).collect();
        Self { lanes, fault, is_file_gone, overdue_ms: stats.overdue_ms, call_ms: stats.call_ms }
    }
}

/// Figures of one route since the start, in the order of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteFigures {
    pub(crate) messages: u64,
    /// Bytes of the payloads of these messages.
    pub(crate) payload_bytes: u64,
    /// Readings that went into the route's filter, and readings that it suppressed. `None`: the route has no filter.
    pub(crate) filtered: Option<(u64, u64)>,
}

/// All figures of the status surfaces at one moment.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) sample: Sample,
    /// Totals of the last commit, which `/metrics` shows too. `None`: a part of them is unknown.
    pub(crate) totals: Option<Totals>,
    pub(crate) queue: QueueFigures,
    pub(crate) routes: Vec<RouteFigures>,
    /// Set while the local broker has accepted the CONNECT. `None`: sensors connect to the gateway itself.
    pub(crate) local_broker_connected: Option<bool>,
    /// Cause for which there is no connection to it.
    pub(crate) local_broker_cause: Option<String>,
    /// Histogram of the time from a message's arrival in the intake to its receipt.
    pub(crate) receipts: Durations,
    /// Histogram of the time from PUBLISH to the hub's PUBACK.
    pub(crate) pubacks: Durations,
}
