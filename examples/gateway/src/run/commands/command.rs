//! State of one command, and the work that the desk asks the shell to do for it. Pure.

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
    /// Append the record to the file, durably; then call [`kept`](super::desk::Desk::kept). Without a ticket nobody waits for the write.
    Keep(Option<Ticket>, Record),
    /// Give the message to the loop or alarm that it is for, then call [`decided`](super::desk::Desk::decided); or to local clients, then call
    /// [`settled`](super::desk::Desk::settled).
    Give(Ticket, Publish),
    /// Store the answer safely for the hub; then call [`answered`](super::desk::Desk::answered).
    Answer(Ticket, Box<Row>),
    /// Log that a command of this topic was refused.
    Tell(String, Reason),
    /// Acknowledge the command to the hub, which may then forget it.
    Acknowledge(Ticket),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The command's identity is being written to disk.
    Starting,
    /// Waits for earlier commands of its topic, or for a subscriber. The next attempt is at `next_ms`.
    Waiting { next_ms: u64 },
    /// Given to clients, which have not acknowledged it yet.
    Given { since_ms: u64 },
    /// The command's outcome is being written to disk.
    Ending,
    /// The disk did not take the outcome; it is tried again at `next_ms`. The answer waits, because the next run would otherwise tell another
    /// outcome.
    Unkept { next_ms: u64 },
    /// The answer is on its way to the queue.
    Answering,
}

#[derive(Debug)]
pub(super) struct Command {
    /// Identity under which copies are recognised. `None`: a copy is refused just the same, so nothing has to be known of this one.
    pub(super) key: Option<Key>,
    pub(super) to: ReturnAddress,
    pub(super) phase: Phase,
    /// Set when the command may be given at most once, so that identity and outcome are kept on disk.
    pub(super) is_kept: bool,
    /// Set when the identity was handed to the disk.
    pub(super) is_started: bool,
    /// Message for local clients. `None`: no client is to get it, or not any more.
    pub(super) publish: Option<Publish>,
    pub(super) deadline_ms: u64,
    /// Set when a client may have received the command.
    pub(super) was_given: bool,
    /// Time of the first attempt that found no subscriber, for this command or for the one before it on its topic. `None`: no attempt failed so
    /// far.
    pub(super) alone_ms: Option<u64>,
    /// Outcome, with wall-clock time in milliseconds since the Unix epoch. `None`: the command has not ended.
    pub(super) outcome: Option<(Outcome, i64)>,
}

impl Command {
    /// Creates a command that no client is to get.
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

    /// Returns the outcome to report. If a client may have received the command, one that says that nobody had it becomes
    /// [`Reason::NotAcknowledged`].
    pub(super) fn end_of(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Refused(Reason::Nobody | Reason::Expired | Reason::Busy) if self.was_given => {
                Outcome::Refused(Reason::NotAcknowledged)
            }
            outcome => outcome,
        }
    }

    /// Returns the record that must be durable before a client gets the command. `None`: it was returned before, or nothing is kept of this
    /// command.
    pub(super) fn start(&mut self) -> Option<Record> {
        let key = self.key.filter(|_| self.is_kept && !std::mem::replace(&mut self.is_started, true))?;
        Some(Record { key, change: Change::Started(self.to.clone()) })
    }
}
