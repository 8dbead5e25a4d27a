//! Uplink: rows become messages, and the PUBACK of a message, at QoS 2 its PUBCOMP, acknowledges its rows. A row leaves the spool when the hub has
//! acknowledged it (promise 4) or when it has expired; a refusal removes no row but those that [ask for it](crate::Row::drop_refused), and delays no
//! other topic.

use std::collections::{BTreeMap, VecDeque};

use crate::session::{InFlight, Resume, Token};
use crate::wire::{ReasonCode, Utf8};

use super::congestion_window::Window;
use super::message::Message;
use super::notice_limit::Notices;
use super::packing::pack::{Pack, set_expiry};
use super::parked::operator_pass_state::Pass;
use super::refused::dropped_topics::DroppedRows;
use super::refused::learned_size_limit::SizeLimit;
use super::refused::link_refusal::LinkRefusal;
use super::refused::message_retries::Retries;
use super::refused::poison::{Poison, RowKey};
use super::refused::refused_messages::RefusedMessages;
use super::refused::refused_topics::Refusals;
use super::refused::retry_sweep::Sweep;
use super::rows_in_flight::RowsInFlight;
use super::spool::{LeaseId, Settled, Spool};
use super::stats::Stats;
use super::uncompleted_qos2::Uncompleted;
use super::uplink_event::UplinkEvent;

/// Answer of the hub to a published message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) token: Token,
    pub(super) reason: ReasonCode,
    /// Unset if the hub accepted the message at QoS 2 and its PUBCOMP is still to come.
    pub(super) is_complete: bool,
}

/// Uplink of one link, kept over all its connections.
#[derive(Debug, Clone)]
pub(super) struct Uplink<P> {
    pub(super) pack: P,
    pub(super) window: Window,
    window_max: u64,
    pub(super) rows_in_flight: RowsInFlight,
    /// Messages in flight, by the token that the session has for each.
    pub(super) sent: BTreeMap<u64, Message>,
    pub(super) uncompleted: Uncompleted,
    pub(super) next_token: u64,
    /// Token of the youngest message that the hub acknowledged or refused on this connection; 0 if there was none.
    pub(super) youngest_answered: u64,
    pub(super) next_serial: u64,
    /// Messages to be sent before any new one: those of a lost session, in order, those of a topic that the hub accepts again, and those that did
    /// not fit in the window just now.
    pub(super) again: VecDeque<Message>,
    pub(super) refusals: Refusals,
    pub(super) retries: Retries,
    pub(super) size_limit: SizeLimit,
    pub(super) link: LinkRefusal,
    /// Set while the link is refused and the limit of notices kept that back: the last word on it was that it is well.
    pub(super) link_untold: bool,
    /// Set while the row that probes a refused link is in the pack.
    pub(super) probing: bool,
    /// Set while parked rows are read to find one that can probe a refused link.
    pub(super) looks: bool,
    pub(super) poison: Poison,
    pub(super) refused_messages: RefusedMessages,
    pub(super) dropped: DroppedRows,
    pub(super) sweep: Sweep,
    /// Operator's pass over the parked rows, if one is under way.
    pub(super) operator_pass: Option<Pass>,
    /// Filter of the topics whose poison messages are sent with the next sweep, at an operator's request; `None` for no filter.
    pub(super) retry_filter: Option<Utf8>,
    /// Up time at which more rows may be parked, set when one call had parked its share; otherwise `None`.
    pub(super) resume_ms: Option<u64>,
    /// Set once this connection's hub was found to take no QoS 2.
    pub(super) qos_lowered: bool,
    pub(super) retain_cleared: bool,
    /// Set if the hub takes control characters.
    pub(super) accepts_any_characters: bool,
    pub(super) notices: Notices,
    pub(super) events: VecDeque<UplinkEvent>,
}

impl<P: Pack> Uplink<P> {
    pub(super) fn new(pack: P, window_max: u64, seed: u64) -> Self {
        Self {
            pack,
            window: Window::new(0, window_max),
            window_max,
            rows_in_flight: RowsInFlight::default(),
            sent: BTreeMap::new(),
            uncompleted: Uncompleted::default(),
            next_token: 1,
            youngest_answered: 0,
            next_serial: 1,
            again: VecDeque::new(),
            refusals: Refusals::new(seed),
            retries: Retries::new(seed),
            size_limit: SizeLimit::new(seed),
            link: LinkRefusal::new(seed),
            link_untold: false,
            probing: false,
            looks: false,
            poison: Poison::default(),
            refused_messages: RefusedMessages::default(),
            dropped: DroppedRows::default(),
            sweep: Sweep::new(seed),
            operator_pass: None,
            retry_filter: None,
            resume_ms: None,
            qos_lowered: false,
            retain_cleared: false,
            accepts_any_characters: false,
            notices: Notices::default(),
            events: VecDeque::new(),
        }
    }

    pub(super) fn with_any_characters(self, accepts_any_characters: bool) -> Self {
        Self { accepts_any_characters, ..self }
    }

    pub(super) fn poll_event(&mut self) -> Option<UplinkEvent> {
        self.events.pop_front()
    }

    /// Updates the Message Expiry Interval of messages in flight, before a connection on which they are resent.
    pub(super) fn prepare_resume(&self, now_ms: u64, resume: &mut Resume, spool: &impl Spool) {
        for message in resume.in_flight_mut() {
            let left_ms = self.sent.get(&message.token.0).and_then(|sent| sent.ttl_left_ms(now_ms, spool));
            message.publish.properties = set_expiry(&message.publish.properties, left_ms);
        }
    }

    /// Begins the exchanges of messages again that were not completed in a session which the hub may have lost.
    pub(super) fn begin_again(&mut self, resume: &mut Resume) {
        for (token, message) in self.uncompleted.take_all() {
            self.refusals.on_out(message.topic());
            self.sent.insert(token, message);
        }
        resume.begin_again(|token| self.sent.get(&token.0).map(|message| message.packed.publish.clone()));
    }

    /// Handles a new connection. Messages in flight are resent. If the hub has not the session of the connection before, the messages that were in
    /// flight in it are `lost`, and are sent as new ones in their order, with those that were not completed; `None` if it has. `packet_max` is the
    /// Maximum Packet Size that the hub announced, in bytes; `u32::MAX` if it announced none.
    pub(super) fn on_connected(
        &mut self,
        now_ms: u64,
        packet_max: u32,
        lost: Option<&[InFlight]>,
        stats: &mut Stats,
    ) {
        self.size_limit.on_connected(packet_max);
        self.window = Window::new(now_ms, self.window_max);
        self.rows_in_flight = RowsInFlight::default();
        (self.qos_lowered, self.retain_cleared) = (false, false);
        self.youngest_answered = 0;
        self.refusals.end_attempts();
        let again = lost.map(|lost| self.take_lost(lost)).unwrap_or_default();
        self.rows_in_flight.on_sent(self.uncompleted.window_rows());
        for message in self.sent.values_mut() {
            stats.resent += 1;
            message.sent_ms = None;
            self.window.on_sent(message.window_bytes());
            self.rows_in_flight.on_sent(message.window_rows());
        }
        for message in again.into_values().rev() {
            self.again.push_front(message);
        }
    }

    /// Takes the messages of a session that the hub has lost, by token.
    fn take_lost(&mut self, in_flight: &[InFlight]) -> BTreeMap<u64, Message> {
        let mut lost = self.uncompleted.take_all();
        lost.values().for_each(|message| self.refusals.on_out(message.topic()));
        let in_flight = in_flight.iter().map(|message| message.token.0);
        lost.extend(in_flight.filter_map(|token| Some((token, self.sent.remove(&token)?))));
        lost
    }

    /// Handles the end of a connection. `owed`: the messages whose PUBREL the next one owes. Others that were not completed are sent again.
    pub(super) fn on_over(&mut self, owed: impl Iterator<Item = Token>) {
        let given_up = self.uncompleted.take_all_but(owed);
        given_up.into_iter().rev().for_each(|message| self.publish_again(message));
    }

    /// Puts a message that was not completed before those to be sent.
    pub(super) fn publish_again(&mut self, message: Message) {
        self.rows_in_flight.on_acked(message.window_rows());
        self.refusals.on_out(message.topic());
        self.again.push_front(message);
    }

    /// Returns whether every older message has its answer.
    pub(super) fn is_oldest(&self, token: Token) -> bool {
        self.sent.first_key_value().is_none_or(|(first, _)| *first == token.0)
    }

    /// Returns the number of messages of this topic that are in flight, or about to be sent.
    pub(super) fn out_of(&self, topic: &Utf8) -> usize {
        self.sent.values().chain(&self.again).filter(|message| message.topic() == topic).count()
    }

    /// Parks a message in flight that is too large for the new connection, or cannot be written on it.
    pub(super) fn on_unsendable(
        &mut self,
        now_ms: u64,
        token: Token,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        if let Some(message) = self.sent.remove(&token.0) {
            // Its bytes were counted by `on_connected`.
            self.window.on_acked(0, message.window_bytes(), None);
            self.rows_in_flight.on_acked(message.window_rows());
            self.refusals.on_gone(message.topic());
            self.set_aside(now_ms, &message, ReasonCode::PACKET_TOO_LARGE, spool, stats);
        }
    }

    /// Gives every row back to its place in the spool, because the link stops for good.
    pub(super) fn give_back(&mut self, now_ms: u64, spool: &mut impl Spool) {
        self.give_back_waiting(now_ms, true, spool);
        for message in std::mem::take(&mut self.sent).into_values() {
            self.refusals.on_gone(message.topic());
            give_back(&message, spool);
        }
        self.uncompleted.take_all().into_values().for_each(|message| give_back(&message, spool));
        self.window.forget_in_flight();
        self.rows_in_flight = RowsInFlight::default();
    }

    /// Gives every row back that is not in flight. Unless `all`, topics with parked rows keep their messages, which are older and would otherwise
    /// come behind the parked rows.
    pub(super) fn give_back_waiting(&mut self, now_ms: u64, all: bool, spool: &mut impl Spool) {
        for deferred in self.sweep.take_deferred(|_| true) {
            self.refusals.on_not_deferred(&deferred.topic, deferred.rows.len() as u64);
            deferred.rows.into_iter().for_each(|row| spool.give_back(row));
        }
        let inside = self.sweep.take_rows_inside();
        for (_, topic) in inside.iter().filter(|_| !all) {
            self.refusals.hold_swept(now_ms, topic);
            self.refusals.on_parked(topic, 1);
        }
        let mut waiting = self.retries.take_all();
        for message in self.again.iter().filter(|message| message.swept && !all) {
            self.refusals.hold_swept(now_ms, message.topic());
        }
        for message in std::mem::take(&mut self.again) {
            if all {
                self.refusals.on_gone(message.topic());
                waiting.push(message);
            } else {
                waiting.extend(self.refusals.take_back(message));
            }
        }
        waiting.extend(self.refusals.take_held(all));
        if !all {
            // What is still held was parked before, or is older than what is. The sweep goes on then, and parks younger ones behind it.
            self.trim_held(now_ms, spool);
        }
        let swept = waiting.iter().filter(|message| message.swept).map(|message| weight_of(message, spool));
        let swept = swept.sum::<u64>() + inside.iter().map(|(row, _)| spool.weight(*row)).sum::<u64>();
        waiting.iter().for_each(|message| give_back(message, spool));
        self.pack.take_rows().into_iter().for_each(|row| spool.give_back(row));
        (self.probing, self.looks) = (false, false);
        if all {
            self.operator_pass = None;
            self.sweep.stop(now_ms);
        } else if self.operator_pass.is_none() {
            self.sweep.on_given_back(now_ms, swept);
        }
    }

    /// Number of messages that are not acknowledged, sent or waiting to be sent.
    pub(super) fn unacknowledged(&self) -> usize {
        self.sent.len()
            + self.uncompleted.len()
            + self.again.len()
            + self.retries.len()
            + self.refusals.held()
    }

    /// Number of messages held in RAM because the hub refused them or their topic.
    pub(super) fn held(&self) -> u64 {
        (self.retries.len() + self.refusals.held()) as u64
    }

    /// Most messages in flight while the search for a poison message goes on, otherwise `None`. Overdue messages are not counted, because the hub
    /// did not close at them.
    pub(super) fn in_flight_limit(&self) -> Option<u16> {
        let limit = self.poison.blame.limit()?;
        let overdue = self.sent.values().filter(|message| message.is_overdue).count();
        Some(limit.saturating_add(u16::try_from(overdue).unwrap_or(u16::MAX)))
    }

    /// Returns whether the hub closed because of a message that is still to be found, so that the next dial follows quickly.
    pub(super) fn is_hurried(&self) -> bool {
        self.poison.blame.is_hurried()
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// Bytes of messages in flight or not completed, all of which stay in memory.
    fn held_bytes(&self) -> u64 {
        self.window.in_flight() + self.uncompleted.bytes()
    }

    /// Bytes that may still be sent.
    pub(super) fn window_room(&self) -> u64 {
        self.window.room().min(self.window_max.saturating_sub(self.held_bytes()))
    }

    /// Returns whether a message may be sent. With nothing in flight it always may.
    pub(super) fn has_room_for(&self, message: &Message) -> bool {
        let (bytes, held) = (message.window_bytes(), self.held_bytes());
        self.window.admits(bytes)
            && self.rows_in_flight.admits(message.window_rows())
            && (held == 0 || held + bytes <= self.window_max)
    }

    /// Settles the rows of an expired message.
    pub(super) fn expire(&mut self, message: &Message, spool: &mut impl Spool, stats: &mut Stats) {
        stats.expired += message.packed.rows.len() as u64;
        message.packed.rows.iter().for_each(|row| spool.settle(*row, Settled::Expired));
    }
}

/// Returns whether a refusal with this reason is about the message itself, and says nothing about its topic. So is the loss of one that was accepted
/// (PUBCOMP 0x92).
pub(super) fn is_about_message(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::MALFORMED_PACKET
            | ReasonCode::PACKET_TOO_LARGE
            | ReasonCode::PAYLOAD_FORMAT_INVALID
            | ReasonCode::PACKET_IDENTIFIER_NOT_FOUND
            | ReasonCode::HUB_MAY_CLOSE
    )
}

pub(super) fn give_back(message: &Message, spool: &mut impl Spool) {
    message.packed.rows.iter().for_each(|row| spool.give_back(*row));
}

pub(super) fn weight_of(message: &Message, spool: &impl Spool) -> u64 {
    message.packed.rows.iter().map(|row| spool.weight(*row)).sum()
}

pub(super) fn row_key(row: LeaseId, spool: &impl Spool) -> RowKey {
    spool.identity(row).map_or(RowKey::Lease(row), RowKey::Identity)
}

pub(super) fn first_identity(message: &Message, spool: &impl Spool) -> Option<super::spool::Identity> {
    message.packed.rows.first().and_then(|row| spool.identity(*row))
}

#[cfg(test)]
mod tests;
