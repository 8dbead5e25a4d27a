//! Answers of the hub to published messages: PUBACKs that accept or refuse a message, and PUBCOMPs.

use crate::session::Token;
use crate::wire::ReasonCode;

use super::message::Message;
use super::notice_limit::Cause;
use super::packing::pack::{HubAnswer, Pack};
use super::refused::dropped::drops_refused;
use super::refused::link_refusal::LinkChange;
use super::spool::Spool;
use super::stats::Stats;
use super::uplink::{Answer, Uplink, first_identity, give_back, is_about_message, row_key};
use super::uplink_event::{Refusal, UplinkEvent};

impl<P: Pack> Uplink<P> {
    /// Handles a PUBACK, or a PUBREC, and settles the rows of its message: acknowledged if the hub accepted it (`is_complete`; else by
    /// [`on_completed`](Self::on_completed)), otherwise held in RAM for a retry, parked at the end of the spool, or given back to the spool.
    pub(super) fn on_acked(
        &mut self,
        now_ms: u64,
        answer: Answer,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        let Answer { token, reason, is_complete } = answer;
        let Some(message) = self.sent.remove(&token.0) else { return };
        let (sent, rows) = (&message.packed.publish, message.packed.rows.len());
        let took_ms = message.sent_ms.map(|sent_ms| now_ms.saturating_sub(sent_ms));
        self.pack.on_answer(&HubAnswer { message: sent, rows, reason, took_ms });
        self.youngest_answered = self.youngest_answered.max(token.0);
        self.window.on_acked(now_ms, message.window_bytes(), message.sent_ms);
        if is_complete {
            self.rows_in_flight.on_acked(message.window_rows());
        }
        if self.poison.blame.doubts_hub() {
            self.refusals.retry_closed(now_ms);
        }
        if self.poison.on_answer(now_ms) {
            self.sweep.want(now_ms + 1_000);
        }
        self.park_held_back(now_ms, spool, stats);
        self.on_size_answered(now_ms, &message, reason, spool);
        // Its topic is a stranger's choice, and says nothing of the link.
        if reason.is_error() && !self.link.is_refused() && drops_refused(&message, spool) {
            stats.on_refusal(reason);
            self.refusals.on_gone(message.topic());
            return self.drop_refused(now_ms, &message, reason, spool, stats);
        }
        // One without rows, a status that comes again on each connection, says as little when nothing else is sent.
        let says_nothing = message.is_attempt || message.packed.rows.is_empty();
        let link = self.link.on_answer(now_ms, reason, message.topic(), says_nothing);
        if link == LinkChange::Healed {
            self.link_untold = false;
            self.events.push_back(UplinkEvent::LinkHealed);
            // Else their next eight answers would stop everything again.
            for topic in self.link.take_refused_apart() {
                let out = self.out_of(&topic);
                self.refusals.add(now_ms, &topic, ReasonCode::NOT_AUTHORIZED, out);
            }
        }
        if reason.is_error() {
            stats.on_refusal(reason);
            self.on_refused(now_ms, message, reason, link, spool, stats);
        } else {
            if reason == ReasonCode::NO_MATCHING_SUBSCRIBERS && !message.packed.publish.retain {
                self.note_without_subscribers(&message, stats);
            }
            self.on_taken(now_ms, &message, spool, stats);
            match is_complete {
                true => self.deliver(message, spool, stats),
                false => self.uncompleted.add(token, message),
            }
        }
    }

    /// Handles the end of a message's exchange at QoS 2: its rows are acknowledged (`by_peer`: by a PUBCOMP), or it is sent again.
    pub(super) fn on_completed(
        &mut self,
        token: Token,
        by_peer: bool,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        match self.uncompleted.take(token) {
            None => {}
            Some(message) if by_peer => {
                self.rows_in_flight.on_acked(message.window_rows());
                self.deliver(message, spool, stats);
            }
            Some(message) => self.publish_again(message),
        }
    }

    /// Handles a message that the hub accepted at QoS 2 and lost before its PUBREL. It is published again at once. When that happens again it counts as
    /// refused for itself, so that a hub which loses every message makes no hot loop.
    pub(super) fn on_forgotten(
        &mut self,
        now_ms: u64,
        token: Token,
        reason: ReasonCode,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        let Some(mut message) = self.uncompleted.take(token) else { return };
        stats.on_refusal(reason);
        let is_first = !std::mem::replace(&mut message.was_forgotten, true);
        if is_first && !message.swept {
            self.tell(now_ms, Cause::Message, reason, &message, spool, stats);
            return self.publish_again(message);
        }
        self.rows_in_flight.on_acked(message.window_rows());
        if message.swept && self.operator_pass.is_none() {
            self.sweep.on_refusal(reason);
        }
        // Of a message without rows nobody was acknowledged for anything: who made it decides when it is made again.
        if !message.packed.rows.is_empty() {
            self.refuse_alone(now_ms, message, reason, spool, stats);
        }
    }

    /// Counts a message that nobody gets. It is reported once: what nobody reads yet may be read tomorrow.
    fn note_without_subscribers(&mut self, message: &Message, stats: &mut Stats) {
        stats.without_subscribers += 1;
        if stats.without_subscribers == 1 {
            let topic = message.topic().clone();
            self.events.push_back(UplinkEvent::WithoutSubscribers { topic });
        }
    }

    /// Acknowledges the rows of a message.
    fn deliver(&mut self, message: Message, spool: &mut impl Spool, stats: &mut Stats) {
        if message.swept {
            self.sweep.on_success();
        }
        message.packed.rows.iter().for_each(|row| spool.ack(*row));
        if message.packed.rows.is_empty() {
            self.pack.on_delivered(&message.packed.publish);
        }
        stats.acknowledged += 1;
        stats.rows_delivered += message.packed.rows.len() as u64;
        self.events.push_back(UplinkEvent::Delivered { rows: message.packed.rows });
    }

    /// Handles a message that the hub accepted: its topic, and rows that were thought to be poison, are well again.
    fn on_taken(&mut self, now_ms: u64, message: &Message, spool: &mut impl Spool, stats: &mut Stats) {
        if self.poison.register.known() > 0 {
            for row in &message.packed.rows {
                if self.poison.register.on_taken(now_ms, row_key(*row, spool)) {
                    self.sweep.want(now_ms + 1_000);
                }
            }
        }
        self.poison.closed_topics.on_accepted(message.topic());
        self.note_accepted(now_ms, message, spool);
        if let Some(healed) = self.refusals.on_accepted(message.topic()) {
            if self.poison.register.on_topic_healed(now_ms) {
                self.sweep.want(now_ms + 1_000);
            }
            if healed.said {
                self.events.push_back(UplinkEvent::TopicHealed { topic: message.topic().clone() });
            }
            self.again.extend(healed.again);
            for (bad, reason) in healed.bad {
                self.refuse_alone(now_ms, bad, reason, spool, stats);
            }
        }
    }

    fn on_refused(
        &mut self,
        now_ms: u64,
        message: Message,
        reason: ReasonCode,
        link: LinkChange,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        if link == LinkChange::Refused || (self.link_untold && self.link.is_refused()) {
            self.link_untold = !self.tell(now_ms, Cause::Link, reason, &message, spool, stats);
        }
        // While others are on their way it is held like them, so that they stay in their order.
        let is_known = message.swept || self.refusals.knows(message.topic());
        if self.link.is_refused() && self.sent.is_empty() && !is_known {
            return give_back(&message, spool);
        }
        if message.packed.rows.is_empty() {
            // Nothing that anybody was acknowledged for: who made it decides when it is made again. Held back, every further one
            // would be one more copy.
            self.refusals.on_gone(message.topic());
            self.tell(now_ms, Cause::Topic, reason, &message, spool, stats);
            return;
        }
        if message.swept && self.operator_pass.is_none() {
            self.sweep.on_refusal(reason);
        }
        if message.refusals > 0 || is_about_message(reason) {
            self.refusals.on_gone(message.topic());
            return self.refuse_alone(now_ms, message, reason, spool, stats);
        }
        let topic = message.topic().clone();
        let identity = first_identity(&message, spool);
        let out = self.out_of(&topic);
        match self.refusals.on_refused(now_ms, message, reason, out) {
            None => {
                stats.last_refusal =
                    Some(Refusal { reason, topic: topic.clone(), identity, hub_limit: None, left_out: 0 });
                if !self.link.is_refused()
                    && !self.refusals.is_said(&topic)
                    && let Some(left_out) = self.notices.tell(now_ms, Cause::Topic, reason)
                {
                    self.refusals.say(&topic);
                    let refusal = Refusal { reason, topic, identity, hub_limit: None, left_out };
                    self.events.push_back(UplinkEvent::TopicRefused(refusal));
                }
            }
            Some(message) if self.link.is_refused() => give_back(&message, spool),
            Some(message) => self.set_aside(now_ms, &message, reason, spool, stats),
        }
    }

    /// Handles a message that the hub refuses although it takes others of the topic. It is retried alone; a parked one whose refusal concerns
    /// the message itself is parked again at once.
    fn refuse_alone(
        &mut self,
        now_ms: u64,
        mut message: Message,
        reason: ReasonCode,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        if reason == ReasonCode::PACKET_TOO_LARGE {
            // It is too large still in a second, and may cost the connection again.
            return self.set_aside(now_ms, &message, reason, spool, stats);
        }
        message.reason = Some(reason);
        if message.refusals == 0 && is_about_message(reason) {
            self.tell(now_ms, Cause::Message, reason, &message, spool, stats);
        } else {
            let (topic, identity) = (message.topic().clone(), first_identity(&message, spool));
            stats.last_refusal = Some(Refusal { reason, topic, identity, hub_limit: None, left_out: 0 });
        }
        let kept = if message.swept && is_about_message(reason) {
            Some(message)
        } else {
            self.retries.push(now_ms, message)
        };
        if let Some(message) = kept {
            self.set_aside(now_ms, &message, reason, spool, stats);
        }
    }

    pub(super) fn tell(
        &mut self,
        now_ms: u64,
        cause: Cause,
        reason: ReasonCode,
        message: &Message,
        spool: &impl Spool,
        stats: &mut Stats,
    ) -> bool {
        let (topic, identity) = (message.topic().clone(), first_identity(message, spool));
        let hub_limit = self.size_limit.of_hub().filter(|_| reason == ReasonCode::PACKET_TOO_LARGE);
        let mut refusal = Refusal { reason, topic, identity, hub_limit, left_out: 0 };
        stats.last_refusal = Some(refusal.clone());
        let Some(left_out) = self.notices.tell(now_ms, cause, reason) else { return false };
        refusal.left_out = left_out;
        self.events.push_back(match cause {
            Cause::Topic => UplinkEvent::TopicRefused(refusal),
            Cause::Link => UplinkEvent::LinkRefused(refusal),
            Cause::Poison => UplinkEvent::Poison(refusal),
            Cause::Unanswered => UplinkEvent::Unanswered(refusal),
            Cause::Message => UplinkEvent::Parked(refusal),
            Cause::Dropped => UplinkEvent::Dropped(refusal),
        });
        true
    }
}
