//! Admission of a received message to the queue: the ingest's answer, and the messages that wait while the queue is full.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;

use super::message::{owned, owned_properties};
use super::{ClientKey, Event, Listener, Output};
use crate::chain::{ConnectionId, Ticket};
use crate::ingest::{Answer, Inbound, Ingest, Now};
use crate::row::Row;
use crate::session::AckHandle;
use crate::wire::{PacketType, Publish, QoS, ReasonCode, Utf8};

/// Memory of a message while its PUBACK waits, beside what it carries, in bytes.
const OVERHEAD: usize = 64;

/// Bytes of wills that wait for room at most, each with [`OVERHEAD`]: no connection that is not read bounds them.
const WILLS_MAX: usize = 1024 * 1024;

/// Time after which it is said again that a client's messages find no room.
const NO_ROOM_AGAIN_MS: u64 = 3_600_000;

/// An [`Ingest`] that shows each message to a function and stores nothing: each is acknowledged at once. What a hub of a test or a drill needs.
#[derive(Debug)]
pub struct Observe<F>(pub F);

impl<F: FnMut(Now, &Inbound)> Ingest for Observe<F> {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        (self.0)(now, message);
        Answer::Absorb
    }
}

/// A message that the ingest has not seen.
#[derive(Debug)]
struct Held {
    connection: ConnectionId,
    ack: Option<AckHandle>,
    message: Inbound,
    /// Looked for only while something is full.
    lane: Option<u8>,
}

impl Held {
    /// All that a peer chooses the size of, so that a limit in bytes is one of memory.
    fn bytes(&self) -> usize {
        let Inbound { client, topic, payload, properties, .. } = &self.message;
        client.len() + topic.len() + payload.len() + properties.as_bytes().len() + OVERHEAD
    }

    /// A copy that does not keep a whole receive buffer alive.
    fn into_owned(self) -> Self {
        let Self { connection, ack, message, lane } = self;
        let message = Inbound {
            topic: owned(&message.topic),
            payload: Bytes::copy_from_slice(&message.payload),
            properties: owned_properties(&message.properties),
            ..message
        };
        Self { connection, ack, message, lane }
    }
}

#[derive(Debug, Default)]
pub(super) struct Admission {
    full: bool,
    /// Bit `n`: lane `n` is full.
    full_lanes: u8,
    /// Messages of QoS 1, and wills, that wait for room, in order of arrival.
    held: VecDeque<Held>,
    /// Bytes of the wills in it.
    will_bytes: usize,
    /// Handed back by the queue, in order.
    stalled: VecDeque<(Ticket, Vec<Row>)>,
    /// PUBACK reasons other than success.
    reasons: HashMap<Ticket, ReasonCode>,
}

impl Admission {
    pub(super) fn has_room(&self) -> bool {
        !self.full
    }

    /// Returns whether every lane has room.
    pub(super) fn has_all_room(&self) -> bool {
        !self.full && self.full_lanes == 0
    }

    fn has_room_in(&self, lane: Option<u8>) -> bool {
        let bit = lane.and_then(|lane| 1u8.checked_shl(lane.into())).unwrap_or(0);
        !self.full && self.full_lanes & bit == 0
    }

    pub(super) fn held(&self) -> usize {
        let wills = self.held.iter().filter(|held| held.ack.is_none());
        debug_assert_eq!(self.will_bytes, wills.map(Held::bytes).sum::<usize>());
        self.held.len()
    }

    /// Bytes of the wills that wait for room.
    pub(super) fn will_bytes(&self) -> usize {
        self.will_bytes
    }

    pub(super) fn hand_back(&mut self, ticket: Ticket, rows: Vec<Row>) {
        self.full = true;
        self.stalled.push_back((ticket, rows));
    }

    /// Returns whether there is room for another will to wait.
    fn hold_will(&mut self, held: Held) -> bool {
        let bytes = self.will_bytes + held.bytes();
        let has_room = bytes <= WILLS_MAX;
        if has_room {
            self.will_bytes = bytes;
            self.held.push_back(held);
        }
        has_room
    }

    pub(super) fn reason(&mut self, ticket: Ticket) -> ReasonCode {
        self.reasons.remove(&ticket).unwrap_or(ReasonCode::SUCCESS)
    }

    /// The connection is gone: what it did not get a PUBACK for comes again.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.held.retain(|held| held.connection != connection || held.ack.is_none());
    }
}

impl<I: Ingest> Listener<I> {
    /// The queue has no room for the rows of [`Output::Store`]: they wait, in order, until [`set_room`](Self::set_room) says that there is.
    pub fn hand_back(&mut self, ticket: Ticket, rows: Vec<Row>) {
        self.admission.hand_back(ticket, rows);
    }

    /// Tells the listener whether the queue has room for another message. At first it has.
    pub fn set_room(&mut self, now: Now, has_room: bool) {
        if has_room != self.admission.has_room() {
            self.admission.full = !has_room;
            self.room_changed(now);
            self.run(now);
        }
    }

    /// Tells the listener which lanes of the queue have no room: bit `n` for lane `n`; at first none. Messages for them
    /// ([`Ingest::lane`]) wait as if nothing had room, those of other clients go on.
    pub fn set_full_lanes(&mut self, now: Now, lanes: u8) {
        if lanes != self.admission.full_lanes {
            self.admission.full_lanes = lanes;
            self.room_changed(now);
            self.run(now);
        }
    }

    /// Returns whether every lane has room, as last said by [`set_room`](Self::set_room), [`set_full_lanes`](Self::set_full_lanes) or
    /// [`hand_back`](Self::hand_back).
    pub fn has_room(&self) -> bool {
        self.admission.has_all_room()
    }

    pub(super) fn on_publish(
        &mut self,
        now: Now,
        id: ConnectionId,
        publish: &Publish,
        ack: Option<AckHandle>,
    ) {
        let Some(state) = self.connections.get(&id) else { return };
        let Some((key, client)) = state.client.and_then(|key| Some((key, self.clients.get(key)?))) else {
            return;
        };
        let mut message = Inbound::new(client.id.clone(), state.session.version(), publish);
        message.peer = state.peer;
        if let Err(error) = self.check_topic(&publish.topic) {
            self.refuse_topic(now, id, &message, ack, error);
            return;
        }
        self.receive(now, id, key, publish, message, ack);
    }

    /// A message of a client's, or its will: whoever looks on, local subscribers, then the ingest.
    pub(super) fn receive(
        &mut self,
        now: Now,
        connection: ConnectionId,
        client: ClientKey,
        publish: &Publish,
        message: Inbound,
        ack: Option<AckHandle>,
    ) {
        self.stats.received += 1;
        if let Some(on_publish) = &mut self.on_publish {
            on_publish(now, &message);
        }
        self.distribute(now.up_ms, publish, Some(client), None);
        let lane = if self.admission.has_all_room() { None } else { self.ingest.lane(&message) };
        let held = Held { connection, ack, message, lane };
        // PUBACKs leave in the order of arrival: what came behind a message that waits, waits too.
        let is_behind =
            ack.is_some() && self.connections.get(&connection).is_some_and(|state| state.held > 0);
        if !is_behind && self.admission.has_room_in(lane) {
            self.take_in(now, &held);
        } else if publish.qos == QoS::AtMostOnce {
            self.stats.qos0_without_room += 1;
            self.note_no_room(now.up_ms, connection, &held.message.client);
        } else if let Some(state) = self.connections.get_mut(&connection) {
            let held = held.into_owned();
            state.held += 1;
            state.held_bytes += held.bytes();
            self.admission.held.push_back(held);
        } else if !self.admission.hold_will(held) {
            self.stats.wills_without_room += 1;
        }
    }

    /// Says it once per connection and hour; of a will nobody hears.
    fn note_no_room(&mut self, now_ms: u64, id: ConnectionId, client: &Utf8) {
        let Some(state) = self.connections.get_mut(&id) else { return };
        if state.no_room_said_ms.is_some_and(|said_ms| now_ms.saturating_sub(said_ms) < NO_ROOM_AGAIN_MS) {
            return;
        }
        state.no_room_said_ms = Some(now_ms);
        let event = Event::NoRoom { connection: id, client: client.clone() };
        self.outputs.push_back(Output::Event(event));
    }

    /// Takes in what waits and has room now. What waits keeps its order per connection.
    fn room_changed(&mut self, now: Now) {
        if !self.admission.has_room() {
            return;
        }
        for (ticket, rows) in std::mem::take(&mut self.admission.stalled) {
            self.outputs.push_back(Output::Store { ticket, rows });
        }
        let mut waiting = HashSet::new();
        for held in std::mem::take(&mut self.admission.held) {
            let is_behind = held.ack.is_some() && waiting.contains(&held.connection);
            if is_behind || !self.admission.has_room_in(held.lane) {
                waiting.extend(held.ack.map(|_| held.connection));
                self.admission.held.push_back(held);
                continue;
            }
            if held.ack.is_none() {
                self.admission.will_bytes = self.admission.will_bytes.saturating_sub(held.bytes());
            } else if let Some(state) = self.connections.get_mut(&held.connection) {
                state.held -= 1;
                state.held_bytes -= held.bytes();
                self.touch(held.connection);
            }
            self.take_in(now, &held);
        }
    }

    fn take_in(&mut self, now: Now, held: &Held) {
        let Held { connection, ack, message, lane: _ } = held;
        let bytes = held.bytes();
        match self.ingest.ingest(now, message) {
            Answer::Store(rows) if !rows.is_empty() => {
                self.store(now, *connection, *ack, bytes, rows);
            }
            Answer::Withhold(rows) => {
                let ticket = self.chain.withhold(now.up_ms, *connection, *ack, bytes);
                self.push(ticket, rows);
            }
            Answer::Store(_) | Answer::Absorb => self.chain.absorb(now.up_ms, *connection, *ack, bytes),
            Answer::Refuse(reason) => {
                let reason = told(reason);
                let letter = self.ingest.dead_letter(message, reason);
                let ticket = self.store(now, *connection, *ack, bytes, vec![letter]);
                if ack.is_some() {
                    self.admission.reasons.insert(ticket, reason);
                }
            }
        }
        if self.chain.wants_commit_for(now.up_ms, *connection)
            && !matches!(self.outputs.back(), Some(Output::Commit))
        {
            self.outputs.push_back(Output::Commit);
        }
    }

    fn store(
        &mut self,
        now: Now,
        connection: ConnectionId,
        ack: Option<AckHandle>,
        bytes: usize,
        rows: Vec<Row>,
    ) -> Ticket {
        let ticket = self.chain.store(now.up_ms, connection, ack, bytes);
        self.push(ticket, rows);
        ticket
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) {
        self.ingest.on_ticket(ticket);
        self.outputs.push_back(Output::Store { ticket, rows });
    }
}

/// A reason that a PUBACK may carry, and that does not invite to try again.
fn told(reason: ReasonCode) -> ReasonCode {
    if reason.is_valid_for(PacketType::PubAck) && reason != ReasonCode::QUOTA_EXCEEDED {
        reason
    } else {
        ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR
    }
}
