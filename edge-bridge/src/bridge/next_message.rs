//! Order of sending: messages to be resent, due probes and due retries go before new and parked rows.

use crate::ingest::Now;
use crate::session::{PublishError, Session, Token};
use crate::wire::{
    Publish, QoS, ReasonCode, Version, validate_characters, validate_levels, validate_properties,
};

use super::message::Message;
use super::packing::pack::{Pack, Packing, set_expiry};
use super::refused::refused_topics::Route;
use super::refused::retry_sweep::Deferred;
use super::spool::{Settled, Spool};
use super::stats::Stats;
use super::uplink::{Uplink, row_key};
use super::uplink_event::UplinkEvent;

/// Most rows leased at a time.
const LEASE_ROWS: usize = 256;
/// Most bytes of rows leased at a time for an open batch when the congestion window has room for fewer.
const LEASE_STEP_BYTES: usize = 4 * 1024;
/// Most rows parked unsent in one call.
const PARKS_PER_TURN: usize = 1_024;

/// One call of the uplink, with the parts of the bridge that it uses.
pub(super) struct Turn<'a, S> {
    pub(super) now: Now,
    pub(super) session: &'a mut Session,
    pub(super) spool: &'a mut S,
    pub(super) stats: &'a mut Stats,
    /// Number of rows that may still be parked unsent in this call.
    pub(super) parks: usize,
}

impl<P: Pack> Uplink<P> {
    /// Sends messages as long as session and window have room and the spool has rows.
    pub(super) fn pump<S: Spool>(
        &mut self,
        now: Now,
        session: &mut Session,
        spool: &mut S,
        stats: &mut Stats,
    ) {
        self.resume_ms = None;
        self.trim(now.up_ms, spool);
        self.begin_sweep(now.up_ms, spool);
        let mut turn = Turn { now, session, spool, stats, parks: PARKS_PER_TURN };
        while turn.session.room() > 0 {
            let message = if self.link.is_refused() {
                self.link_probe(&mut turn)
            } else {
                self.next_message(&mut turn)
            };
            let Some(message) = message else { break };
            if message.is_expired(now.up_ms, turn.spool) {
                self.refusals.on_gone(message.topic());
                self.expire(&message, turn.spool, turn.stats);
                continue;
            }
            if let Some(reason) = self.unsendable(now.up_ms, turn.session.version(), &message, turn.spool) {
                turn.parks = turn.parks.saturating_sub(message.packed.rows.len().max(1));
                self.park_unsendable(&mut turn, &message, reason);
                continue;
            }
            if !self.has_room_for(&message) {
                self.again.push_front(message);
                break;
            }
            if !self.send(&mut turn, message) {
                break;
            }
        }
        self.trim(turn.now.up_ms, turn.spool);
    }

    /// Returns the reason for which a message is to be parked unsent: its size, or what a hub may end the connection for.
    fn unsendable(
        &mut self,
        now_ms: u64,
        version: Version,
        message: &Message,
        spool: &impl Spool,
    ) -> Option<ReasonCode> {
        if self.is_too_large(now_ms, message, spool) {
            return Some(ReasonCode::PACKET_TOO_LARGE);
        }
        let Publish { topic, properties, .. } = &message.packed.publish;
        let has_bad_characters = || {
            // MQTT 3.1.1 sends no properties.
            validate_characters(topic).is_err()
                || version == Version::V5 && validate_properties(properties).is_err()
        };
        let may_close =
            validate_levels(topic).is_err() || !self.accepts_any_characters && has_bad_characters();
        may_close.then_some(ReasonCode::HUB_MAY_CLOSE)
    }

    /// Parks refused messages that need not be held in RAM. While the hub refuses the whole link all rows stay in place instead.
    fn trim<S: Spool>(&mut self, now_ms: u64, spool: &mut S) {
        if !self.link.is_refused() {
            self.trim_held(now_ms, spool);
        }
    }

    pub(super) fn trim_held<S: Spool>(&mut self, now_ms: u64, spool: &mut S) {
        for (message, reason) in self.refusals.trim() {
            self.park_again(now_ms, &message, reason, spool);
        }
    }

    /// Up time, in milliseconds, at which [`pump`](Self::pump) may have work without an event. `None` while only an event, such as a PUBACK that
    /// makes room, can bring work.
    pub(super) fn next_deadline(&self, session: &Session) -> Option<u64> {
        if session.room() == 0 {
            return None;
        }
        if self.link.is_refused() {
            let due_ms = if self.probing { self.pack.next_deadline() } else { self.link.due_ms() };
            let sweep_ms =
                self.sweep.next_deadline().filter(|_| self.sweep.is_active() && self.operator_pass.is_none());
            let waits = [due_ms, self.resume_ms, sweep_ms];
            return waits.into_iter().flatten().min().filter(|_| self.sent.is_empty());
        }
        if !self.again.is_empty() || self.refusals.is_full() {
            return None;
        }
        let waits = [
            self.resume_ms,
            self.retries.next_deadline(),
            self.refusals.next_deadline(),
            self.sweep.next_deadline().filter(|_| self.lease_room() > 0 && self.may_sweep()),
            self.pack.next_deadline(),
        ];
        waits.into_iter().flatten().min()
    }

    /// Returns the bytes of rows that may be leased: the room that messages in flight, or not completed, leave in the window. For an open batch more are leased, in
    /// small steps, because rows shrink when they are encoded; the steps end if the rows become messages of their own.
    fn lease_room(&self) -> usize {
        let room = usize::try_from(self.window_room()).unwrap_or(usize::MAX);
        if room == 0 || self.rows_in_flight.is_full() {
            return 0;
        }
        room.saturating_sub(self.pack.held_bytes()).max(self.pack.open_room().min(LEASE_STEP_BYTES))
    }

    /// Returns whether a retry sweep may begin or go on. An operator's pass is no retry sweep.
    fn may_sweep(&self) -> bool {
        let is_settled = !self.sweep.has_rows_inside() && self.refusals.all_settled();
        self.operator_pass.is_none() && (self.sweep.is_active() || is_settled)
    }

    fn next_message<S: Spool>(&mut self, turn: &mut Turn<'_, S>) -> Option<Message> {
        let now = turn.now;
        if let Some(message) = self.again.pop_front() {
            return Some(message);
        }
        for message in self.refusals.take_expired(now.up_ms, turn.spool) {
            self.expire(&message, turn.spool, turn.stats);
        }
        if let Some(message) = self.refusals.next_attempt(now.up_ms) {
            return Some(message);
        }
        if let Some(message) = self.retries.pop_due(now.up_ms) {
            self.refusals.on_out(message.topic());
            return Some(message);
        }
        loop {
            if self.refusals.is_full() {
                return None;
            }
            let Some(message) = self.poll_pack(turn) else {
                if turn.parks == 0 {
                    self.resume_ms = Some(now.up_ms + 1);
                    return None;
                }
                if self.lease(turn) {
                    continue;
                }
                return None;
            };
            match self.refusals.route(message) {
                Route::Send(message) => return Some(message),
                Route::Held => {}
                Route::Park(message, reason) => {
                    turn.parks = turn.parks.saturating_sub(message.packed.rows.len().max(1));
                    if message.swept {
                        for row in &message.packed.rows {
                            self.poison.register.on_topic_refused(row_key(*row, turn.spool));
                        }
                        self.park_again(now.up_ms, &message, reason, turn.spool);
                    } else {
                        let (topic, bytes) = (message.topic().clone(), message.bytes);
                        self.park_new(
                            now.up_ms,
                            Deferred { topic, rows: message.packed.rows, bytes, reason },
                            turn.spool,
                        );
                    }
                }
            }
        }
    }

    /// Takes the pack's next message. Settles expired rows and parks unsendable ones on the way.
    pub(super) fn poll_pack<S: Spool>(&mut self, turn: &mut Turn<'_, S>) -> Option<Message> {
        loop {
            match self.pack.poll(turn.now, self.packet_max(turn.session))? {
                Packing::Message(packed) => {
                    let swept = self.sweep.take(&packed.rows);
                    self.next_serial += 1;
                    let mut message = Message::new(packed, self.next_serial, swept);
                    let mut rows = message.packed.rows.iter();
                    message.is_overdue = swept
                        && rows.any(|row| self.poison.register.is_unanswered(row_key(*row, turn.spool)));
                    return Some(message);
                }
                Packing::Expired { rows } => {
                    turn.stats.expired += rows.len() as u64;
                    self.sweep.take(&rows);
                    rows.into_iter().for_each(|row| turn.spool.settle(row, Settled::Expired));
                }
                Packing::Unsendable { topic, rows, reason } => {
                    self.sweep.take(&rows);
                    let packed = super::packing::pack::Packed::of_rows(topic, rows);
                    let message = Message::new(packed, 0, false);
                    self.set_aside(turn.now.up_ms, &message, reason, turn.spool, turn.stats);
                }
            }
        }
    }

    /// Moves rows from the spool to the pack while the window has room. Parked and new rows alternate during a sweep. Returns `false` if no
    /// row was moved.
    fn lease<S: Spool>(&mut self, turn: &mut Turn<'_, S>) -> bool {
        let room = self.lease_room();
        if room == 0 {
            return false;
        }
        self.trim(turn.now.up_ms, turn.spool);
        self.begin_sweep(turn.now.up_ms, turn.spool);
        self.sweep.turn = self.sweep.is_active() && !self.sweep.turn;
        for parked in [self.sweep.turn, !self.sweep.turn] {
            let any = if parked { self.lease_swept(turn, room) } else { self.lease_new(turn, room) };
            if any {
                return true;
            }
        }
        false
    }

    fn lease_new<S: Spool>(&mut self, turn: &mut Turn<'_, S>, room: usize) -> bool {
        self.park_deferred(turn.spool);
        if self.sweep.is_full() {
            return false;
        }
        // A row that is parked when it is leased overtakes none that was leased before.
        let is_ahead = self.pack.is_empty();
        let rows = turn.spool.lease(turn.now.up_ms, LEASE_ROWS, room);
        let any = !rows.is_empty();
        for row in rows {
            let topic = self.pack.topic(&row);
            // What is in the pack is older.
            match self.refusals.parks(&topic, false).filter(|_| is_ahead) {
                Some(reason) => {
                    turn.parks = turn.parks.saturating_sub(1);
                    let bytes = row.row.payload.len() as u64;
                    let new = Deferred { topic, rows: vec![row.id], bytes, reason };
                    self.park_new(turn.now.up_ms, new, turn.spool);
                }
                None => self.pack.add(turn.now, row),
            }
        }
        any
    }

    /// Sends a message. Returns `false` if the session or window is full; the message then waits to be sent first.
    fn send<S: Spool>(&mut self, turn: &mut Turn<'_, S>, mut message: Message) -> bool {
        let now_ms = turn.now.up_ms;
        let left_ms = message.ttl_left_ms(now_ms, turn.spool);
        let mut publish = message.packed.publish.clone();
        publish.qos = publish.qos.max(QoS::AtLeastOnce);
        publish.properties = set_expiry(&publish.properties, left_ms);
        let token = Token(self.next_token);
        match self.publish(now_ms, turn.session, token, &mut publish) {
            Ok(()) => {
                self.next_token += 1;
                self.window.on_sent(message.window_bytes());
                self.rows_in_flight.on_sent(message.window_rows());
                message.sent_ms = Some(now_ms);
                message.is_attempt = message.refusals > 0 || self.refusals.is_refused(message.topic());
                turn.stats.sent += 1;
                self.sent.insert(token.0, message);
                true
            }
            Err(PublishError::NotConnected | PublishError::WindowFull { .. }) => {
                if self.link.is_refused() {
                    // A probe of QoS 2 may have to wait for identifiers.
                    self.link.postpone(now_ms);
                }
                self.again.push_front(message);
                false
            }
            Err(PublishError::QosNotSupported { .. }) => {
                self.again.push_front(message);
                self.events.push_back(UplinkEvent::QosNotSupported);
                false
            }
            Err(error) => {
                let reason = match error {
                    PublishError::TooLarge { .. } => ReasonCode::PACKET_TOO_LARGE,
                    _ => ReasonCode::TOPIC_NAME_INVALID,
                };
                self.park_unsendable(turn, &message, reason);
                true
            }
        }
    }

    /// Parks a message that was about to be sent.
    fn park_unsendable<S: Spool>(&mut self, turn: &mut Turn<'_, S>, message: &Message, reason: ReasonCode) {
        self.refusals.on_not_sent(message.topic());
        if self.link.is_refused() {
            self.link.postpone(turn.now.up_ms);
        }
        self.set_aside(turn.now.up_ms, message, reason, turn.spool, turn.stats);
    }

    fn publish(
        &mut self,
        now_ms: u64,
        session: &mut Session,
        token: Token,
        publish: &mut Publish,
    ) -> Result<(), PublishError> {
        match session.publish(now_ms, token, publish) {
            Err(PublishError::QosNotSupported { maximum: QoS::AtLeastOnce }) => {
                if !std::mem::replace(&mut self.qos_lowered, true) {
                    self.events.push_back(UplinkEvent::QosLowered);
                }
                publish.qos = QoS::AtLeastOnce;
                self.publish(now_ms, session, token, publish)
            }
            Err(PublishError::RetainNotSupported) => {
                if !std::mem::replace(&mut self.retain_cleared, true) {
                    self.events.push_back(UplinkEvent::RetainCleared);
                }
                publish.retain = false;
                session.publish(now_ms, token, publish)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
