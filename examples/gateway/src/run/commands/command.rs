//! State of one command, and the actions that the dispatcher requests for it from the shell. Pure.

use edge_bridge::Row;
use edge_bridge::wire::Publish;

use super::answer::{AnswerKind, Outcome, Reason, ReturnAddress};
use super::delivered_identities::{Change, Record};
use super::identity::Key;

/// Number of a command within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ticket(pub(super) u64);

/// Action for the shell, in the order in which the dispatcher requests them.
#[derive(Debug)]
pub(super) enum Step {
    /// Append the record to the file, durably; then call [`kept`](super::dispatcher::Dispatcher::kept). Without a ticket no command waits for the write.
    Keep(Option<Ticket>, Record),
    /// Hand the message to the loop or alarm that it addresses, then call [`decided`](super::dispatcher::Dispatcher::decided); or publish it to local clients, then call
    /// [`settled`](super::dispatcher::Dispatcher::settled). With the milliseconds that are left until its expiry, which the message has in seconds.
    Give(Ticket, Publish, u64),
    /// Store the answer safely in the queue to the hub, or drop it for want of room; then call
    /// [`answered`](super::dispatcher::Dispatcher::answered).
    Answer(Ticket, Box<Row>, AnswerKind),
    /// Log that a command of this topic was refused.
    Tell(String, Reason),
    /// Send the PUBACK for the command to the hub, which may then forget the command.
    Acknowledge(Ticket),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The command's identity is being written to disk.
    Starting,
    /// Waits for earlier commands of the same local topic, or for a subscriber. The next attempt is at `next_ms`.
    Waiting { next_ms: u64 },
    /// Published to clients, which have not acknowledged it yet.
    Given { since_ms: u64 },
    /// The command's outcome is being written to disk.
    Ending,
    /// The outcome could not be written to disk; the next attempt is at `next_ms`. The answer waits for it, because after a restart the gateway
    /// would otherwise report another outcome.
    Unkept { next_ms: u64 },
    /// The answer is being stored in the queue.
    Answering,
}

#[derive(Debug)]
pub(super) struct Command {
    /// Identity by which copies are recognised. `None`: a copy is refused for the same reason, so the identity is not needed.
    pub(super) key: Option<Key>,
    pub(super) to: ReturnAddress,
    pub(super) phase: Phase,
    /// Set if the command may be delivered at most once, so that identity and outcome are kept on disk.
    pub(super) is_kept: bool,
    /// Set once the identity was handed to the disk.
    pub(super) is_started: bool,
    /// Message for local clients. `None`: no client gets it, or not any more.
    pub(super) publish: Option<Publish>,
    pub(super) deadline_ms: u64,
    /// Set once a client may have received the command.
    pub(super) was_given: bool,
    /// Up time of the first attempt that found no subscriber, for this command or for the one before it with the same local topic. `None`: no
    /// attempt failed so far.
    pub(super) alone_ms: Option<u64>,
    /// Outcome; with the wall-clock time in milliseconds since the Unix epoch. `None`: the command has not ended.
    pub(super) outcome: Option<(Outcome, i64)>,
}

impl Command {
    /// Creates a command that no client gets.
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

    /// Returns the outcome to report. If a client may have received the command, [`Reason::Nobody`] becomes [`Reason::NotAcknowledged`].
    pub(super) fn end_of(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Refused(Reason::Nobody | Reason::Expired | Reason::Busy) if self.was_given => {
                Outcome::Refused(Reason::NotAcknowledged)
            }
            outcome => outcome,
        }
    }

    /// Returns the record that must be durable before a client gets the command. `None`: it was returned before, or the command is not kept on
    /// disk.
    pub(super) fn start(&mut self) -> Option<Record> {
        let key = self.key.filter(|_| self.is_kept && !std::mem::replace(&mut self.is_started, true))?;
        Some(Record { key, change: Change::Started(self.to.clone()) })
    }
}
