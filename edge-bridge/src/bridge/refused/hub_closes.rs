//! Connections that the hub closes in place of a PUBACK. The message at which it closes is found by the [search for poison](super::poison) and parked.
//! When that was so for two messages of a topic, and the hub accepted none of it in between, the topic counts as refused: its messages wait for the
//! topic's back-off, since each attempt costs a connection.

use std::collections::VecDeque;

use crate::bridge::connection::HubClose;
use crate::bridge::message::Message;
use crate::bridge::notice_limit::Cause;
use crate::bridge::packing::pack::Pack;
use crate::bridge::spool::Spool;
use crate::bridge::stats::Stats;
use crate::bridge::uplink::{Uplink, row_key};
use crate::bridge::uplink_event::UplinkEvent;
use crate::session::Token;
use crate::wire::ReasonCode;

use super::dropped::drops_refused;
use super::poison::{Blame, Suspicion};

/// Number of connections that must end with the same message unanswered before an event names its topic.
const SUSPECT_CLOSES: u32 = 2;
/// Number of closes, the last one at an attempt on its topic, at which a held message is parked alone: held for ever, eight bad messages would
/// keep the others of their topic waiting.
const ALONE_CLOSES: u32 = 2;

impl<P: Pack> Uplink<P> {
    /// Handles a close by the hub while the first `here` messages in flight were written on this connection and had no PUBACK. Returns the tokens
    /// of messages that were parked as poison or are held with their topic, which the session has to forget; none if no message is blamed yet.
    pub(in crate::bridge) fn on_hub_closed(
        &mut self,
        now_ms: u64,
        here: usize,
        close: HubClose,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) -> Vec<Token> {
        let attempts = self.end_attempts_at_close(now_ms, here, close, spool, stats);
        if !attempts.is_empty() {
            return attempts;
        }
        let (mut worst, mut others, mut overdue) = (0, Vec::new(), Vec::new());
        for (token, message) in self.sent.iter_mut().take(here) {
            message.closes = message.closes.saturating_add(1);
            worst = worst.max(message.closes);
            // The hub kept a connection open with those, but may have been dead.
            let is_overdue = std::mem::take(&mut message.is_overdue);
            if is_overdue { overdue.push(*token) } else { others.push(*token) }
        }
        let suspects = if others.is_empty() { overdue } else { others };
        let Some(token) = suspects.first().copied() else { return Vec::new() };
        let Some(first) = self.sent.get(&token) else { return Vec::new() };
        let rows: Vec<_> = first.packed.rows.iter().map(|row| row_key(*row, spool)).collect();
        let is_known = rows.iter().any(|row| self.poison.register.is_known(*row));
        let suspicion = match close.names_a_message {
            _ if is_known || self.poison.closed_topics.is_suspect(first.topic()) => Suspicion::Known,
            true => Suspicion::Certain,
            false => Suspicion::None,
        };
        let blame = self.poison.on_close(now_ms, suspects.len(), worst, suspicion);
        // The event says that the hub closes; what broke the protocol was told with the end of the connection.
        if blame != Blame::Alone && close.reason != ReasonCode::BROKEN_ANSWER {
            self.tell_suspect(token);
        }
        match blame {
            Blame::None => return Vec::new(),
            // One without rows is made again.
            Blame::Doubted if !rows.is_empty() => return self.hold_back(now_ms, token, close),
            Blame::Doubted | Blame::Alone => {}
        }
        let Some(message) = self.sent.remove(&token) else { return Vec::new() };
        if !is_known {
            self.poison.blame.on_message_parked();
        }
        let mut gone = vec![Token(token)];
        // Of a message without rows nobody was acknowledged for anything: who made it decides when it is made again.
        let is_counted = !is_known && !message.packed.rows.is_empty();
        if is_counted && self.poison.closed_topics.on_blamed(message.topic()) {
            gone.extend(self.refuse_closed_topic(now_ms, message, close, spool, stats));
            return gone;
        }
        self.park_alone(now_ms, &message, close.reason, spool, stats);
        gone
    }

    /// Lets other messages go before one at which the hub closed, to find out if it closes at those, too. Returns its token if there is room for that.
    fn hold_back(&mut self, now_ms: u64, token: u64, close: HubClose) -> Vec<Token> {
        let Some(mut message) = self.sent.remove(&token) else { return Vec::new() };
        self.refusals.on_gone(message.topic());
        message.reason = Some(close.reason);
        match self.retries.hold_back(now_ms, message) {
            None => vec![Token(token)],
            Some(message) => {
                self.refusals.on_out(message.topic());
                self.sent.insert(token, message);
                Vec::new()
            }
        }
    }

    /// Parks the messages that were held back: the hub closed at each, and has accepted another one now.
    pub(in crate::bridge) fn park_held_back(
        &mut self,
        now_ms: u64,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        for message in self.retries.take_held_back() {
            let reason = message.reason.unwrap_or(ReasonCode::NO_REASON);
            let _ = self.poison.closed_topics.on_blamed(message.topic());
            // Parking uncounts it, as one in flight.
            self.refusals.on_out(message.topic());
            self.park_alone(now_ms, &message, reason, spool, stats);
        }
    }

    /// Ends the attempts, on topics at which the hub closes, that were under way on the connection that it closed. They are its cause, and no other
    /// message is suspected.
    fn end_attempts_at_close(
        &mut self,
        now_ms: u64,
        here: usize,
        close: HubClose,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) -> Vec<Token> {
        let sent = self.sent.iter().take(here);
        let attempts =
            sent.filter(|(_, message)| message.is_attempt && self.refusals.is_closed_at(message.topic()));
        let attempts: Vec<_> = attempts.map(|(token, _)| *token).collect();
        if !attempts.is_empty() {
            self.poison.blame.on_attempt_closed(now_ms);
        }
        for mut message in attempts.iter().filter_map(|token| self.sent.remove(token)).collect::<Vec<_>>() {
            message.closes = message.closes.saturating_add(1);
            if message.closes >= ALONE_CLOSES
                && !message.packed.rows.is_empty()
                && !drops_refused(&message, spool)
            {
                self.refusals.on_gone(message.topic());
                self.park_alone(now_ms, &message, close.reason, spool, stats);
            } else {
                self.hold_closed(now_ms, message, close, spool, stats);
            }
        }
        attempts.into_iter().map(Token).collect()
    }

    /// Puts the topic of a message at which the hub closed in back-off, and holds its messages that are in flight or about to be sent. Returns the
    /// tokens of those in flight.
    fn refuse_closed_topic(
        &mut self,
        now_ms: u64,
        message: Message,
        close: HubClose,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) -> Vec<Token> {
        let topic = message.topic().clone();
        self.hold_closed(now_ms, message, close, spool, stats);
        if !self.refusals.is_refused(&topic) {
            return Vec::new();
        }
        let is_held = |message: &Message| *message.topic() == topic && !message.packed.rows.is_empty();
        let in_flight = self.sent.iter().filter(|(_, message)| is_held(message));
        let in_flight: Vec<_> = in_flight.map(|(token, _)| *token).collect();
        let (again, others): (VecDeque<_>, _) = self.again.drain(..).partition(|message| is_held(message));
        self.again = others;
        let taken: Vec<_> = in_flight.iter().filter_map(|token| self.sent.remove(token)).collect();
        taken.into_iter().chain(again).for_each(|message| self.refusals.hold_back(message));
        in_flight.into_iter().map(Token).collect()
    }

    /// Holds a message at which the hub closed with its topic, or parks it if there is no room for the topic.
    fn hold_closed(
        &mut self,
        now_ms: u64,
        message: Message,
        close: HubClose,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        if message.packed.rows.is_empty() {
            return self.refusals.on_gone(message.topic());
        }
        let topic = message.topic().clone();
        let out = self.out_of(&topic);
        if drops_refused(&message, spool) {
            self.refusals.add(now_ms, &topic, close.reason, out);
            self.refusals.on_gone(&topic);
            return self.drop_refused(now_ms, &message, close.reason, spool, stats);
        }
        let is_told = !self.refusals.is_said(&topic)
            && self.tell(now_ms, Cause::Topic, close.reason, &message, spool, stats);
        match self.refusals.on_closed(now_ms, message, close.reason, out) {
            Some(message) => self.park_alone(now_ms, &message, close.reason, spool, stats),
            None if is_told => self.refusals.say(&topic),
            None => {}
        }
    }

    /// Parks a message at which the hub closed, as one that is bad by itself.
    fn park_alone(
        &mut self,
        now_ms: u64,
        message: &Message,
        reason: ReasonCode,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        if !drops_refused(message, spool) {
            let rows: Vec<_> = message.packed.rows.iter().map(|row| row_key(*row, spool)).collect();
            self.note_poison(now_ms, &rows);
        }
        self.park_poison(now_ms, Cause::Poison, reason, message, spool, stats);
    }

    /// Reports the topic of the oldest suspected poison message once, at its second connection that ended without a PUBACK. The first end may be
    /// an outage, and the search for the culprit takes a while.
    fn tell_suspect(&mut self, token: u64) {
        if let Some(message) = self.sent.get(&token).filter(|message| message.closes == SUSPECT_CLOSES) {
            let topic = message.topic().clone();
            self.events.push_back(UplinkEvent::ClosedAt { topic });
        }
    }
}
