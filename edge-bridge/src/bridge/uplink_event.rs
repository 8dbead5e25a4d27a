//! What the application is told about the way up.

use super::spool::{Identity, LeaseId};
use crate::wire::{ReasonCode, Utf8};

/// An event of the uplink. Refusals are told at most once a minute for each kind and reason.
#[derive(Debug)]
#[non_exhaustive]
pub enum UplinkEvent {
    /// The hub has these rows.
    Delivered {
        /// Rows.
        rows: Vec<LeaseId>,
    },
    /// The hub refused a message: its topic waits, others go on. Nothing is lost; what comes behind it is parked.
    TopicRefused(Refusal),
    /// The hub takes messages of this topic again.
    TopicHealed {
        /// The topic.
        topic: Utf8,
    },
    /// The hub refused the last eight messages as not authorized, whatever their topics: sending stops, one message probes, everything waits in
    /// its place.
    LinkRefused(Refusal),
    /// The hub takes messages again.
    LinkHealed,
    /// The hub closes the connection whenever it gets this message: it is parked and tried again last.
    Poison(Refusal),
    /// A message that cannot be delivered as it is, while its topic goes on: it is tried again later, and parked meanwhile or in the end.
    Parked(Refusal),
    /// A pass that a person asked for is over: rows dropped, or rows and messages copied.
    ByHand {
        /// Rows and messages copied, or messages dropped, by weight.
        rows: u64,
        /// They were dropped, durably unless `left_out` says otherwise; else they were copied.
        dropped: bool,
        /// Why this is not all of it.
        left_out: Option<LeftOut>,
    },
    /// The hub takes no retained messages: they are published without the flag. Once per connection.
    RetainCleared,
    /// The hub takes no QoS 1: nothing can be delivered by it.
    QosNotSupported,
}

/// Why a pass by hand was not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeftOut {
    /// The copies were not taken in time.
    NotTaken,
    /// Parked rows could not be leased for 5 s: their queue is not open or cannot be read, or they were still on their way there.
    NotRead,
    /// What was dropped is not on disk within 5 s: after a crash it may be there again.
    NotDurable,
}

/// A message that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The hub's reason, or ours.
    pub reason: ReasonCode,
    /// The topic; empty where no message could be made.
    pub topic: Utf8,
    /// The identity of the message's first row, if the spool gives one.
    pub identity: Option<Identity>,
    /// Refusals of this kind and reason since the last event of it that were not told.
    pub left_out: u64,
}
