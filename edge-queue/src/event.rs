//! Events of the store for an operator, kept until the application takes them.

use std::collections::VecDeque;
use std::fmt;

use crate::fault::FaultKind;
use crate::row::{Lane, Seq};

/// Most events kept until the application takes them; at the limit the oldest are dropped.
const EVENTS_MAX: usize = 256;

/// Event of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The last process ended inside a commit. At most that commit is incomplete, and none of its rows had a receipt.
    TailUncertain,
    /// Another machine opened the queue last. If that one still has it, both deliver what waited in it, under one identity; rows that are pushed
    /// from now on have identities of their own, but for one pair of opens in 4096 that take the same epoch. For a queue with an identity of its
    /// own export the backlog (`Queue::export`) and import it into a new one (`transfer::import`). Machines are told apart by serial number, board
    /// and network ports; where the operating system shows none, as in most containers, a copy goes unnoticed.
    OtherMachine,
    /// The note of the machine that opened the queue last is damaged: whether the disk was copied is not known. It is written again.
    MachineUnknown,
    /// Damaged part that an open found, and quarantined as far as possible; the text names it.
    SetAside(String),
    /// The file could not be divided anew for changed limits yet, for the reason in the text, and keeps its old regions. Lower limits apply to the
    /// waiting rows nevertheless; in the place of a higher byte limit the old one holds ([`LaneStats::max_bytes`](crate::LaneStats::max_bytes)).
    LimitsKept(String),
    /// Rows lost to damage.
    Lost {
        /// Lane of the rows.
        lane: Lane,
        /// First sequence number that may be lost.
        first: Seq,
        /// Last sequence number that may be lost.
        last: Seq,
        /// Number of lost rows.
        rows: u64,
    },
    /// A lane has hardly any free segments although its limits are not reached: rows that are not acknowledged lie in most of its segments.
    /// Reported once until there is room again.
    Pinned {
        /// Lane of the rows.
        lane: Lane,
        /// Number of segments that hold rows.
        segments: u64,
        /// Bytes queued, as the limits count them.
        bytes: u64,
    },
    /// The store began to fail, or fails in another way; rows stay in RAM and are written again later.
    Degraded {
        /// Kind of the failure.
        kind: FaultKind,
        /// The failure, in words.
        reason: String,
    },
    /// The store works again; after a failed commit all waiting rows are written.
    Recovered,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::TailUncertain => {
                f.write_str("the last run ended inside a commit; none of it was receipted")
            }
            Event::OtherMachine => f.write_str(
                "another machine opened this queue last: if that one still has it, what waits here comes from both",
            ),
            Event::MachineUnknown => f.write_str(
                "the note of the machine that opened this queue last is damaged: a copy of another's goes unnoticed this time",
            ),
            Event::SetAside(what) => write!(f, "set aside: {what}"),
            Event::LimitsKept(why) => write!(f, "the file keeps its old division: {why}"),
            Event::Lost { lane, first, last, rows } => {
                write!(f, "{rows} rows lost to damage in lane {}, numbers {first} to {last}", lane.0)
            }
            Event::Pinned { lane, segments, bytes } => {
                let lane = lane.0;
                write!(
                    f,
                    "lane {lane} is short of space: {bytes} queued bytes keep {segments} segments in use"
                )
            }
            Event::Degraded { kind, reason } => write!(f, "the store fails ({kind}): {reason}"),
            Event::Recovered => f.write_str("the store works again"),
        }
    }
}

/// A bounded list of events.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    pub(crate) fn put(&mut self, event: Event) {
        if self.0.len() >= EVENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    pub(crate) fn take(&mut self) -> Vec<Event> {
        self.0.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_and_the_newest_are_kept() {
        let mut events = Events::default();
        let nth = |n: usize| Event::LimitsKept(n.to_string());
        (0..EVENTS_MAX + 3).for_each(|n| events.put(nth(n)));
        assert_eq!(events.take(), (3..EVENTS_MAX + 3).map(nth).collect::<Vec<_>>());
        assert!(events.take().is_empty());
    }
}
