//! A command on its way, and the work that it makes. Pure.

use edge_bridge::Row;
use edge_bridge::wire::Publish;

use super::answer::{Outcome, Reason, ReturnAddress};
use super::identity::Key;
use super::ledger::{Change, Record};

/// Number of a command within this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ticket(pub(super) u64);

/// Work of the shell, in the order in which the desk asks for it.
#[derive(Debug)]
pub(super) enum Step {
    /// Append it to the file, durably; then [`kept`](super::desk::Desk::kept).
    Keep(Option<Ticket>, Record),
    /// Give it to local clients; then [`settled`](super::desk::Desk::settled).
    Give(Ticket, Publish),
    /// Have it safe on its way to the hub; then [`answered`](super::desk::Desk::answered).
    Answer(Ticket, Box<Row>),
    /// A line for the log: a command of this topic was refused.
    Tell(String, Reason),
    /// The hub may forget it.
    Acknowledge(Ticket),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its identity is on the way to the disk.
    Starting,
    /// For those before it, or for a subscriber until the next attempt.
    Waiting { next_ms: u64 },
    /// Clients have it.
    Given { since_ms: u64 },
    /// Its end is on the way to the disk.
    Ending,
    /// The disk did not take its end, which is not told before: the next run would tell another one.
    Unkept { next_ms: u64 },
    /// Its answer is on the way to the queue.
    Answering,
}

#[derive(Debug)]
pub(super) struct Command {
    /// `None`: it is refused whenever it comes.
    pub(super) key: Option<Key>,
    pub(super) to: ReturnAddress,
    pub(super) phase: Phase,
    /// Given at most once: identity and end are kept on disk.
    pub(super) is_kept: bool,
    /// Its identity has been given to the disk.
    pub(super) is_started: bool,
    /// As local clients get it; `None` if none is to get it.
    pub(super) publish: Option<Publish>,
    pub(super) deadline_ms: u64,
    /// A client may have it.
    pub(super) was_given: bool,
    /// First attempt that found nobody, of it or of the one before it.
    pub(super) alone_ms: Option<u64>,
    /// With the wall clock's time.
    pub(super) outcome: Option<(Outcome, i64)>,
}

impl Command {
    /// Without a client that is to get it.
    pub(super) fn without_client(key: Option<Key>, is_kept: bool, to: ReturnAddress) -> Self {
        Self {
            key,
            to,
            phase: Phase::Ending,
            is_kept,
            is_started: false,
            publish: None,
            deadline_ms: 0,
            was_given: false,
            alone_ms: None,
            outcome: None,
        }
    }

    /// Returns the end to tell: nobody is told that no client had what one may have.
    pub(super) fn end_of(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Refused(Reason::Nobody | Reason::Expired | Reason::Busy) if self.was_given => {
                Outcome::Refused(Reason::NotAcknowledged)
            }
            outcome => outcome,
        }
    }

    /// The line that must be durable before a client gets it; `None` if there is one already, or none is kept.
    pub(super) fn start(&mut self) -> Option<Record> {
        let key = self.key.filter(|_| self.is_kept && !std::mem::replace(&mut self.is_started, true))?;
        Some(Record { key, change: Change::Started(self.to.clone()) })
    }
}
