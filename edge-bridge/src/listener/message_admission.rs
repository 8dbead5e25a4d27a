//! Admission of received messages: the ingest turns them into rows, the rows go to the queue, and their receipts return to the connections as
//! PUBACKs. While the queue is full, messages wait here.

use std::collections::{HashMap, VecDeque};

use super::queue_room::Room;
use super::waiting_for_room::{Held, HeldMessages};
use super::{OnPublish, Output};
use crate::ingest::{Answer, Inbound, Ingest, Now};
use crate::puback_chain::{ConnectionId, Group, PubackChain, Release, Ticket};
use crate::row::Row;
use crate::session::AckHandle;
use crate::wire::{PacketType, ReasonCode};

/// [`Ingest`] that calls a function with each message and stores nothing, so that each message is acknowledged at once. Useful as a hub in tests.
#[derive(Debug)]
pub struct Observe<F>(pub F);

impl<F: FnMut(Now, &Inbound)> Ingest for Observe<F> {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        (self.0)(now, message);
        Answer::Absorb
    }
}

/// State of the admission, see the [module](self).
pub(super) struct Admission<I> {
    pub(super) ingest: I,
    pub(super) on_publish: Option<OnPublish>,
    chain: PubackChain,
    pub(super) room: Room,
    pub(super) held: HeldMessages,
    /// Set while clients are restored: a will that is due then waits for room at QoS 0, too, since the queue of a program opens later.
    pub(super) is_restoring: bool,
    /// Version of the division into lanes by which the lanes of the held messages were looked for last.
    lanes_version: u32,
    /// Rows that the queue handed back, in order, with the up time since which they wait, or a little before it.
    stalled: VecDeque<(Ticket, Vec<Row>, u64)>,
    /// Up time at which rows were last given out.
    given_ms: u64,
    /// Reason codes of PUBACKs other than success, by ticket.
    reasons: HashMap<Ticket, ReasonCode>,
}

impl<I: Ingest> Admission<I> {
    /// Creates an admission without connections. For `max_unacked_bytes` see [`PubackChain::new`].
    pub(super) fn new(ingest: I, max_unacked_bytes: usize) -> Self {
        Self {
            ingest,
            on_publish: None,
            chain: PubackChain::new(max_unacked_bytes),
            room: Room::default(),
            held: HeldMessages::default(),
            is_restoring: false,
            lanes_version: 0,
            stalled: VecDeque::new(),
            given_ms: 0,
            reasons: HashMap::new(),
        }
    }

    /// Opens the PUBACK chain of a connection whose client was accepted.
    pub(super) fn open(&mut self, connection: ConnectionId) {
        self.chain.open(connection, None);
    }

    /// Drops the messages of a connection that ended.
    pub(super) fn close(&mut self, connection: ConnectionId) {
        self.chain.close(connection);
        self.held.forget(connection);
    }

    /// Returns whether the connection may be read, see [`PubackChain::may_read`].
    pub(super) fn may_read(&self, connection: ConnectionId) -> bool {
        self.chain.may_read(connection)
    }

    /// Bytes of messages without PUBACK, except those that wait for room in the queue.
    pub(super) fn unacked_bytes(&self) -> usize {
        self.chain.unacked_bytes()
    }

    /// Returns the number of messages whose rows are not yet safe, or that wait for room.
    pub(super) fn pending(&self) -> usize {
        self.chain.pending() + self.held.len()
    }

    /// Returns the next PUBACK that may leave; `None` if there is none.
    pub(super) fn poll(&mut self, now_ms: u64) -> Option<Release> {
        self.chain.poll(now_ms)
    }

    /// Resolves a ticket, because the rows of its message are safe.
    pub(super) fn resolve(&mut self, ticket: Ticket) {
        let reason = self.reasons.remove(&ticket).unwrap_or(ReasonCode::SUCCESS);
        self.chain.resolve(ticket, reason);
    }

    /// Answers a message that has no rows, and waits for none. Its PUBACK leaves in order, like every other.
    pub(super) fn answer(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        ack: Option<AckHandle>,
        reason: ReasonCode,
    ) {
        let ticket = self.chain.store(now_ms, connection, None, ack, 0);
        self.chain.resolve(ticket, reason);
    }

    /// Acknowledges a repeated message that was given to the ingest before, once the rows of the first one are safe. `group` is that of the first one.
    pub(super) fn absorb_again(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        group: Option<Group>,
        ack: AckHandle,
    ) {
        self.chain.absorb_again(now_ms, connection, group, ack);
    }

    /// Calls the function of [`Listener::with_on_publish`](super::Listener::with_on_publish), if there is one, with a message.
    pub(super) fn show(&mut self, now: Now, message: &Inbound) {
        if let Some(on_publish) = &mut self.on_publish {
            on_publish(now, message);
        }
    }

    /// Returns the lane of a message while some lane is full; `None` if no lane is full, or the lane is not known.
    pub(super) fn lane(&self, message: &Inbound) -> Option<u8> {
        if self.room.is_everywhere() { None } else { self.ingest.lane(message) }
    }

    /// Looks for the lanes of the held messages again if they may be others by now. Returns whether they may.
    pub(super) fn follow_lanes(&mut self) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let version = self.ingest.lanes_version();
        let has_changed = std::mem::replace(&mut self.lanes_version, version) != version;
        if has_changed {
            let Self { ingest, held, .. } = self;
            held.set_lanes(|message| ingest.lane(message));
        }
        has_changed
    }

    /// Keeps rows for which the queue has no room.
    pub(super) fn hand_back(&mut self, ticket: Ticket, rows: Vec<Row>) {
        self.room.set(false);
        self.stalled.push_back((ticket, rows, self.given_ms));
    }

    /// Number of messages whose rows the queue handed back.
    #[cfg(feature = "net")]
    pub(super) fn handed_back(&self) -> usize {
        self.stalled.len()
    }

    /// Takes the rows that the queue handed back, with what is left of their time to live. The queue counts those that have expired.
    pub(super) fn take_stalled(&mut self, now_ms: u64) -> impl Iterator<Item = Output> + use<I> {
        self.given_ms = now_ms;
        let stalled = std::mem::take(&mut self.stalled);
        stalled.into_iter().map(move |(ticket, mut rows, since_ms)| {
            for ttl_ms in rows.iter_mut().filter_map(|row| row.ttl_ms.as_mut()) {
                *ttl_ms = ttl_ms.saturating_sub(now_ms.saturating_sub(since_ms));
            }
            Output::Store { ticket, rows }
        })
    }

    /// Takes the held messages whose lane has room now.
    pub(super) fn take_ready(&mut self) -> Vec<Held> {
        let Self { room, held, .. } = self;
        held.take_ready(|lane| room.is_in(lane))
    }

    /// Gives a message to the ingest, and outputs the rows that it returns. Returns the group of the message.
    pub(super) fn take_in(&mut self, now: Now, held: &Held, outputs: &mut VecDeque<Output>) -> Option<Group> {
        let Held { connection, ack, message, .. } = held;
        self.given_ms = now.up_ms;
        let (bytes, now_ms) = (held.bytes(), now.up_ms);
        let answer = self.ingest.ingest(now, message);
        let group = self.ingest.group();
        let stored = match answer {
            Answer::Store(rows) if !rows.is_empty() => {
                Some((self.chain.store(now_ms, *connection, group, *ack, bytes), rows))
            }
            Answer::Withhold(rows) => {
                Some((self.chain.withhold(now_ms, *connection, group, *ack, bytes), rows))
            }
            Answer::Store(_) | Answer::Absorb => {
                self.chain.absorb(now_ms, *connection, group, *ack, bytes);
                None
            }
            Answer::Refuse(reason) => {
                let reason = told(reason);
                let letter = self.ingest.dead_letter(message, reason);
                let ticket = self.chain.store(now_ms, *connection, group, *ack, bytes);
                if ack.is_some() {
                    self.reasons.insert(ticket, reason);
                }
                Some((ticket, vec![letter]))
            }
        };
        if let Some((ticket, rows)) = stored {
            self.ingest.on_ticket(ticket);
            outputs.push_back(Output::Store { ticket, rows });
        }
        if self.chain.wants_commit_for(now_ms, *connection) && !matches!(outputs.back(), Some(Output::Commit))
        {
            outputs.push_back(Output::Commit);
        }
        group
    }
}

/// Returns a reason code that a PUBACK may carry and that does not invite the client to try again.
fn told(reason: ReasonCode) -> ReasonCode {
    if reason.is_valid_for(PacketType::PubAck) && reason != ReasonCode::QUOTA_EXCEEDED {
        reason
    } else {
        ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR
    }
}
