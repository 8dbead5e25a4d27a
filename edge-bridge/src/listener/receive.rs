//! Received messages: each is delivered to local subscribers, then given to the ingest or, while the queue is full, added to the held messages.

use super::sys_names::is_sys;
use super::waiting_for_room::Held;
use super::{ClientKey, Event, Listener, Output};
use crate::ingest::{Inbound, Ingest, Now};
use crate::puback_chain::{ConnectionId, Ticket};
use crate::row::Row;
use crate::session::AckHandle;
use crate::wire::{Publish, QoS, ReasonCode, Utf8};

/// Milliseconds between two events that a client's messages find no room.
const NO_ROOM_AGAIN_MS: u64 = 3_600_000;

impl<I: Ingest> Listener<I> {
    /// Takes back the rows of an [`Output::Store`] for which the queue has no room. They wait, in order, until [`set_room`](Self::set_room)
    /// reports room.
    pub fn hand_back(&mut self, ticket: Ticket, rows: Vec<Row>) {
        self.admission.hand_back(ticket, rows);
    }

    /// Returns the number of messages whose rows were handed back and not output again.
    #[cfg(feature = "net")]
    pub(crate) fn handed_back(&self) -> usize {
        self.admission.handed_back()
    }

    /// Reports if the queue has room for another message. At first it has.
    pub fn set_room(&mut self, now: Now, has_room: bool) {
        if self.admission.room.set(has_room) {
            self.room_changed(now);
        }
    }

    /// Reports the lanes of the queue that have no room, bit `n` for lane `n`; at first none. Messages for these lanes ([`Ingest::lane`]) wait
    /// as if the queue were full, and other clients go on. Report them again while they are the same, so that what waits follows
    /// [a change of lanes](Ingest::lanes_version).
    pub fn set_full_lanes(&mut self, now: Now, lanes: u8) {
        let are_others = self.admission.follow_lanes();
        if self.admission.room.set_full_lanes(lanes) || are_others {
            self.room_changed(now);
        }
    }

    /// Returns whether every lane has room, as last reported by [`set_room`](Self::set_room), [`set_full_lanes`](Self::set_full_lanes) or
    /// [`hand_back`](Self::hand_back).
    pub fn has_room(&self) -> bool {
        self.admission.room.is_everywhere()
    }

    pub(super) fn on_publish(
        &mut self,
        now: Now,
        id: ConnectionId,
        publish: &Publish,
        ack: Option<AckHandle>,
    ) {
        let Some(state) = self.connections.get(id) else { return };
        let Some((key, client)) = state.client.and_then(|key| Some((key, self.clients.get(key)?))) else {
            return;
        };
        let mut message = Inbound::new(client.id.clone(), state.session.version(), publish);
        message.peer = state.peer;
        message.up_to_date_ms = state.up_to_date_ms;
        if let Err(error) = self.check_topic(key, &publish.topic, &publish.properties) {
            self.refuse_topic(now, (id, key), &message, ack, error);
            return;
        }
        self.receive(now, id, key, publish, message, ack);
    }

    /// Handles a client's message, or its will: calls the observer, delivers it to local subscribers, then gives it to the ingest. The state of
    /// another bridge below `$SYS` is for local subscribers alone.
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
        if is_sys(&message.topic) {
            self.distribute(now.up_ms, publish, Some(client), None);
            if let Some((ack, state)) = ack.zip(self.connections.get_mut(connection)) {
                self.admission.answer(now.up_ms, connection, Some(ack), ReasonCode::SUCCESS);
                state.session.take_in(ack);
            }
            return;
        }
        self.admission.show(now, &message);
        self.distribute(now.up_ms, publish, Some(client), None);
        let lane = self.admission.lane(&message);
        let held = Held { connection, ack, message, lane, arrived_ms: now.up_ms };
        // PUBACKs leave in the order of arrival: what came behind a message that waits, waits too.
        let is_behind = ack.is_some() && self.connections.get(connection).is_some_and(|state| state.held > 0);
        if !is_behind && self.admission.room.is_in(lane) {
            self.take_in(now, &held);
        } else if publish.qos == QoS::AtMostOnce && !self.admission.is_restoring {
            self.stats.qos0_without_room += 1;
            self.note_no_room(now.up_ms, connection, &held.message.client);
        } else if let Some(state) = self.connections.get_mut(connection) {
            let held = held.into_owned();
            state.held += 1;
            state.held_bytes += held.bytes();
            self.admission.held.push(held);
        } else if !self.admission.held.push_will(held) {
            self.stats.wills_without_room += 1;
        }
    }

    /// Reports a message without room, once per connection and hour. Not reported for wills.
    fn note_no_room(&mut self, now_ms: u64, id: ConnectionId, client: &Utf8) {
        let Some(state) = self.connections.get_mut(id) else { return };
        if state.no_room_said_ms.is_some_and(|said_ms| now_ms.saturating_sub(said_ms) < NO_ROOM_AGAIN_MS) {
            return;
        }
        state.no_room_said_ms = Some(now_ms);
        let event = Event::NoRoom { connection: id, client: client.clone() };
        self.outputs.push_back(Output::Event(event));
    }

    /// Outputs held rows, and gives held messages to the ingest, as far as the queue has room now.
    fn room_changed(&mut self, now: Now) {
        if self.admission.room.is_any() {
            self.outputs.extend(self.admission.take_stalled(now.up_ms));
            for mut held in self.admission.take_ready() {
                if held.ack.is_some()
                    && let Some(state) = self.connections.get_mut(held.connection)
                {
                    state.held -= 1;
                    state.held_bytes -= held.bytes();
                    if state.held == 0 {
                        state.begin_grace(now.up_ms);
                    }
                    self.connections.touch(held.connection);
                }
                held.age(now.up_ms);
                self.take_in(now, &held);
            }
        }
        self.run(now);
    }

    /// Outputs the rows of wills that wait for room, before the end: a message without PUBACK is sent again by its client, a will by nobody.
    pub(super) fn hand_on_wills(&mut self, now: Now) {
        for mut will in self.admission.held.take_wills() {
            will.age(now.up_ms);
            self.take_in(now, &will);
        }
        self.run(now);
    }

    /// Gives a message to the ingest. A QoS 2 message that comes again later, on whatever connection, counts as a repeat of it.
    fn take_in(&mut self, now: Now, held: &Held) {
        let group = self.admission.take_in(now, held, &mut self.outputs);
        if let Some((ack, state)) = held.ack.zip(self.connections.get_mut(held.connection)) {
            state.session.take_in_with(ack, group);
        }
    }

    /// Answers a QoS 2 message that was taken in on an earlier connection, once the rows of the first one are safe.
    pub(super) fn on_repeated(&mut self, now_ms: u64, id: ConnectionId, publish: &Publish, ack: AckHandle) {
        if is_sys(&publish.topic) {
            // It has none.
            self.admission.answer(now_ms, id, Some(ack), ReasonCode::SUCCESS);
            return;
        }
        let group = self.connections.get(id).and_then(|state| state.session.group_of(ack));
        self.admission.absorb_again(now_ms, id, group, ack);
    }
}
