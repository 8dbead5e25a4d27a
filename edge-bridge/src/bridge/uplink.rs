//! Rows to messages to PUBACKs to acknowledged rows. Nothing leaves the spool before the hub's PUBACK (promise 4).

use std::collections::{BTreeMap, VecDeque};

use super::backoff::{Backoff, BackoffConfig};
use super::pack::{Pack, Packed, Packing, set_expiry};
use super::spool::{LeaseId, Spool};
use super::stats::Stats;
use super::window::Window;
use crate::ingest::Now;
use crate::session::{InFlight, PublishError, Resume, Session, Token};
use crate::wire::{Publish, QoS, ReasonCode, Utf8};

/// Rows leased at a time at most.
const LEASE_ROWS: usize = 256;
/// What a PUBLISH costs beside topic, properties and payload.
const HEADER_BYTES: usize = 12;
/// Messages that wait for their retry at most; beyond it nothing new is sent, so that order is not lost for long.
const RETRIES_MAX: usize = 64;

/// What the application is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum UplinkEvent {
    /// The hub has these rows.
    Delivered {
        /// Rows.
        rows: Vec<LeaseId>,
    },
    /// These rows can never be delivered: they left the spool, counted.
    DeadLetter {
        /// Rows.
        rows: Vec<LeaseId>,
        /// The hub's reason, or ours.
        reason: ReasonCode,
        /// The topic; empty where no message could be made.
        topic: Utf8,
    },
    /// The hub refused a message for now; it will be tried again.
    Retry {
        /// Its reason.
        reason: ReasonCode,
        /// The topic.
        topic: Utf8,
        /// When, from now.
        in_ms: u64,
    },
    /// The hub takes no retained messages: they are published without the flag. Once per connection.
    RetainCleared,
    /// The hub takes no QoS 1: nothing can be delivered by it.
    QosNotSupported,
}

/// A message on its way.
#[derive(Debug)]
struct Message {
    packed: Packed,
    bytes: u64,
    /// When it stops to be worth sending.
    expires_ms: Option<u64>,
    /// `None`: it was sent on an earlier connection too.
    sent_ms: Option<u64>,
    refusals: u32,
}

/// The way up. One per link, over all its connections.
#[derive(Debug)]
pub(super) struct Uplink<P> {
    pack: P,
    window: Window,
    window_max: u64,
    /// Given to the session, without an answer.
    sent: BTreeMap<u64, Message>,
    next_token: u64,
    /// To go before anything new: of a lost session, in order, and what just did not fit.
    again: VecDeque<Message>,
    /// Refused for now: when due, which.
    retries: VecDeque<(u64, Message)>,
    jitter: Backoff,
    retain_cleared: bool,
    events: VecDeque<UplinkEvent>,
}

/// What the hub's refusal means (DESIGN §3): whether the same message may be taken later.
pub fn may_heal(reason: ReasonCode) -> bool {
    !matches!(
        reason,
        ReasonCode::NOT_AUTHORIZED
            | ReasonCode::TOPIC_NAME_INVALID
            | ReasonCode::PACKET_TOO_LARGE
            | ReasonCode::PAYLOAD_FORMAT_INVALID
    )
}

impl<P: Pack> Uplink<P> {
    pub(super) fn new(pack: P, window_max: u64, seed: u64) -> Self {
        Self {
            pack,
            window: Window::new(0, window_max),
            window_max,
            sent: BTreeMap::new(),
            next_token: 1,
            again: VecDeque::new(),
            retries: VecDeque::new(),
            jitter: Backoff::new(BackoffConfig::default(), seed),
            retain_cleared: false,
            events: VecDeque::new(),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<UplinkEvent> {
        self.events.pop_front()
    }

    /// A connection is about to be made: what is in flight gets its present expiry.
    pub(super) fn prepare_resume(&self, now_ms: u64, resume: &mut Resume) {
        for message in resume.in_flight_mut() {
            if let Some(expires_ms) = self.sent.get(&message.token.0).and_then(|m| m.expires_ms) {
                let left_ms = Some(expires_ms.saturating_sub(now_ms));
                message.publish.properties = set_expiry(&message.publish.properties, left_ms);
            }
        }
    }

    /// A connection is up, and what the session did not lose is being resent.
    pub(super) fn on_connected(&mut self, now_ms: u64, lost: &[InFlight], stats: &mut Stats) {
        self.window = Window::new(now_ms, self.window_max);
        self.retain_cleared = false;
        let lost: Vec<_> = lost.iter().filter_map(|m| self.sent.remove(&m.token.0)).collect();
        for message in self.sent.values_mut() {
            stats.resent += 1;
            message.sent_ms = None;
            self.window.on_sent(message.bytes);
        }
        for message in lost.into_iter().rev() {
            self.again.push_front(message);
        }
    }

    /// Sends what the session, the window and the spool have room and rows for.
    pub(super) fn pump(
        &mut self,
        now: Now,
        session: &mut Session,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        while session.room() > 0 {
            let Some(message) = self.next_message(now, session, spool, stats) else { return };
            if !self.window.admits(message.bytes) {
                self.again.push_front(message);
                return;
            }
            if !self.send(now.up_ms, session, message, spool, stats) {
                return;
            }
        }
    }

    /// PUBACK.
    pub(super) fn on_acked(
        &mut self,
        now_ms: u64,
        token: Token,
        reason: ReasonCode,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        let Some(mut message) = self.sent.remove(&token.0) else { return };
        self.window.on_acked(now_ms, message.bytes, message.sent_ms);
        if !reason.is_error() {
            for row in &message.packed.rows {
                spool.ack(*row);
            }
            stats.acknowledged += 1;
            stats.rows_delivered += message.packed.rows.len() as u64;
            self.events.push_back(UplinkEvent::Delivered { rows: message.packed.rows });
        } else if may_heal(reason) {
            message.refusals = message.refusals.saturating_add(1);
            self.retry(now_ms, message, reason, stats);
        } else {
            self.dead_letter(message.packed.rows, reason, message.packed.publish.topic, spool, stats);
        }
    }

    /// The message is too large for the new connection.
    pub(super) fn on_unsendable(&mut self, token: Token, spool: &mut impl Spool, stats: &mut Stats) {
        if let Some(message) = self.sent.remove(&token.0) {
            // Its bytes were counted by `on_connected`.
            self.window.on_acked(0, message.bytes, None);
            let topic = message.packed.publish.topic;
            self.dead_letter(message.packed.rows, ReasonCode::PACKET_TOO_LARGE, topic, spool, stats);
        }
    }

    /// The link stops for good: every row goes back to its place.
    pub(super) fn give_back(&mut self, spool: &mut impl Spool) {
        let sent = std::mem::take(&mut self.sent).into_values();
        let again = std::mem::take(&mut self.again).into_iter();
        let retries = std::mem::take(&mut self.retries).into_iter().map(|(_, message)| message);
        let rows = sent.chain(again).chain(retries).flat_map(|message| message.packed.rows);
        for row in rows.chain(self.pack.take_rows()) {
            spool.give_back(row);
        }
        self.window.forget_in_flight();
    }

    /// When [`pump`](Self::pump) may have something to do without an event; none while only a PUBACK can make room.
    pub(super) fn poll_timeout(&self, session: &Session) -> Option<u64> {
        if session.room() == 0 || !self.again.is_empty() {
            return None;
        }
        let retry = self.retries.iter().map(|(due_ms, _)| *due_ms).min();
        [retry, self.pack.poll_timeout()].into_iter().flatten().min()
    }

    /// Messages that were sent and not answered, or wait inside.
    pub(super) fn unacknowledged(&self) -> usize {
        self.sent.len() + self.again.len() + self.retries.len()
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    fn next_message(
        &mut self,
        now: Now,
        session: &Session,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) -> Option<Message> {
        if let Some(message) = self.again.pop_front() {
            return Some(message);
        }
        if let Some(at) = self.retries.iter().position(|(due_ms, _)| *due_ms <= now.up_ms) {
            return self.retries.remove(at).map(|(_, message)| message);
        }
        if self.retries.len() >= RETRIES_MAX {
            return None;
        }
        let max_packet = usize::try_from(session.peer_packet_max()).unwrap_or(usize::MAX);
        loop {
            match self.pack.poll(now, max_packet) {
                Some(Packing::Message(packed)) => return Some(Message::new(now.up_ms, packed)),
                Some(Packing::DeadLetter { rows, reason }) => {
                    self.dead_letter(rows, reason, Utf8::default(), spool, stats);
                }
                None if self.lease(now, spool) => {}
                None => return None,
            }
        }
    }

    /// Moves rows from the spool to the pack, as far as the window has room for them.
    fn lease(&mut self, now: Now, spool: &mut impl Spool) -> bool {
        let room = usize::try_from(self.window.room()).unwrap_or(usize::MAX);
        let room = room.saturating_sub(self.pack.held_bytes());
        if room == 0 {
            return false;
        }
        let rows = spool.lease(now.up_ms, LEASE_ROWS, room);
        let any = !rows.is_empty();
        for row in rows {
            self.pack.add(now, row);
        }
        any
    }

    /// `false`: nothing more can be sent now.
    fn send(
        &mut self,
        now_ms: u64,
        session: &mut Session,
        mut message: Message,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) -> bool {
        let left_ms = message.expires_ms.map(|at_ms| at_ms.saturating_sub(now_ms));
        let mut publish = message.packed.publish.clone();
        publish.qos = QoS::AtLeastOnce;
        publish.properties = set_expiry(&publish.properties, left_ms);
        let token = Token(self.next_token);
        match self.publish(now_ms, session, token, &mut publish) {
            Ok(()) => {
                self.next_token += 1;
                self.window.on_sent(message.bytes);
                message.sent_ms = Some(now_ms);
                stats.sent += 1;
                self.sent.insert(token.0, message);
                true
            }
            Err(PublishError::NotConnected | PublishError::WindowFull { .. }) => {
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
                self.dead_letter(message.packed.rows, reason, publish.topic, spool, stats);
                true
            }
        }
    }

    fn publish(
        &mut self,
        now_ms: u64,
        session: &mut Session,
        token: Token,
        publish: &mut Publish,
    ) -> Result<(), PublishError> {
        match session.publish(now_ms, token, publish) {
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

    fn retry(&mut self, now_ms: u64, message: Message, reason: ReasonCode, stats: &mut Stats) {
        stats.retries += 1;
        self.jitter.reset();
        let mut in_ms = 0;
        (0..message.refusals.min(8)).for_each(|_| in_ms = self.jitter.next_ms());
        let topic = message.packed.publish.topic.clone();
        self.events.push_back(UplinkEvent::Retry { reason, topic, in_ms });
        self.retries.push_back((now_ms + in_ms, message));
    }

    fn dead_letter(
        &mut self,
        rows: Vec<LeaseId>,
        reason: ReasonCode,
        topic: Utf8,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        for row in &rows {
            spool.ack(*row);
        }
        stats.dead_letters += rows.len() as u64;
        self.events.push_back(UplinkEvent::DeadLetter { rows, reason, topic });
    }
}

impl Message {
    fn new(now_ms: u64, packed: Packed) -> Self {
        let p = &packed.publish;
        let bytes = HEADER_BYTES + p.topic.len() + p.properties.as_bytes().len() + p.payload.len();
        let expires_ms = packed.remaining_ms.map(|left_ms| now_ms.saturating_add(left_ms));
        Self { bytes: bytes as u64, expires_ms, sent_ms: None, refusals: 0, packed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_not_heal() {
        assert!(!may_heal(ReasonCode::NOT_AUTHORIZED) && !may_heal(ReasonCode::PAYLOAD_FORMAT_INVALID));
        assert!(may_heal(ReasonCode::QUOTA_EXCEEDED) && may_heal(ReasonCode::UNSPECIFIED_ERROR));
        assert!(may_heal(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR));
    }
}
