//! Figures that a snapshot is made of: those of `/metrics`, and what the queue and the routes say besides. Pure.

use edge_bridge::Durations;
use edge_queue::{Health, Stats};

use crate::run::metrics::Sample;

use super::ledger::Totals;

/// One lane of the queue, by its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneFigures {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) max_messages: u64,
    pub(crate) max_bytes: u64,
    /// Taken in since the queue was opened.
    pub(crate) accepted: u64,
}

/// The queue beside its totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueFigures {
    pub(crate) lanes: Vec<LaneFigures>,
    /// Failure of the store, in words.
    pub(crate) fault: Option<String>,
    /// Time that the writer is late.
    pub(crate) overdue_ms: u64,
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
        let fault = match &stats.health {
            Health::Degraded { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        Self { lanes: stats.lanes.iter().map(lane).collect(), fault, overdue_ms: stats.overdue_ms }
    }
}

/// One route since the start, in the order of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteFigures {
    pub(crate) messages: u64,
    /// Readings that went into its filter, and those that came to nothing there.
    pub(crate) filtered: Option<(u64, u64)>,
}

/// Everything at one moment.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) sample: Sample,
    /// Of the last commit, as `/metrics` has them; `None` while a part is not known.
    pub(crate) totals: Option<Totals>,
    pub(crate) queue: QueueFigures,
    pub(crate) routes: Vec<RouteFigures>,
    /// `None` where sensors connect straight to the gateway.
    pub(crate) local_broker_connected: Option<bool>,
    /// From a message's way into the queue to its receipt.
    pub(crate) receipts: Durations,
    /// From sending a message to the hub's PUBACK.
    pub(crate) pubacks: Durations,
}
