//! Published messages without PUBACK or PUBREC: keeps their order, limits those in flight, and resends.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::bytes_in_transit::Wrote;
use super::packet_id::{PacketIds, QOS_2_IDS};
use super::qos2_releases::{Completion, Releases};
use super::receive_maximum::Quota;
use super::session_state::Memory;
use super::unreleased_qos2::UnreleasedMessages;
use super::{InFlight, Resume, Token};
use crate::wire::{PacketId, Publish, QoS};

/// Unacknowledged messages in original order, and the limit of those in flight on this connection.
#[derive(Debug, Clone)]
pub(super) struct UnackedMessages {
    /// Messages written on this connection, by serial number; they count in the quota. PUBACKs may come in any order; a message without one uses
    /// only one unit of the quota.
    sent: BTreeMap<u64, (InFlight, Wrote)>,
    /// Resumed messages that were not resent yet, because the quota is used up; younger than those in `sent`.
    waiting: VecDeque<InFlight>,
    /// Number of messages of QoS 2 in `sent`.
    sent_at_qos_2: usize,
    /// Serial number of the next message to be written.
    next: u64,
    /// Serial numbers of messages in `sent`, by packet identifier.
    serial_of: HashMap<PacketId, u64>,
    ids: PacketIds,
    quota: Quota,
    /// Identifiers of QoS 2 that the peer may hold.
    releases: Releases,
    /// Most messages of QoS 2 that are not completed.
    qos_2_max: u16,
    /// Most messages in flight, as set by the caller; `u16::MAX` without a limit.
    cap: u16,
    /// Memory of the messages without PUBACK, in bytes.
    memory: Memory,
}

impl UnackedMessages {
    pub(super) fn new(resume: Resume, window: u16) -> Self {
        Self {
            memory: resume.in_flight_memory(),
            sent: BTreeMap::new(),
            sent_at_qos_2: 0,
            waiting: resume.in_flight.into(),
            next: 0,
            serial_of: HashMap::new(),
            ids: resume.ids,
            quota: Quota::new(window),
            releases: Releases::resumed(resume.releases),
            qos_2_max: QOS_2_IDS,
            cap: u16::MAX,
        }
    }

    /// Sets the limit to the peer's Receive Maximum, before anything is sent.
    pub(super) fn set_window(&mut self, window: u16) {
        self.quota = Quota::new(window);
    }

    /// Number of new messages that may be published now; 0 while resumed ones wait, so that order is kept.
    pub(super) fn room(&self) -> u16 {
        if self.waiting.is_empty() { self.left() } else { 0 }
    }

    /// Number of new messages of this QoS that may be published now. Of QoS 2 no more than there are identifiers.
    pub(super) fn room_for(&self, qos: QoS) -> u16 {
        if qos != QoS::ExactlyOnce || self.room() == 0 {
            return self.room();
        }
        self.room().min(self.left_of_qos_2())
    }

    fn left_of_qos_2(&self) -> u16 {
        let open = u16::try_from(self.sent_at_qos_2 + self.releases.len()).unwrap_or(u16::MAX);
        self.qos_2_max.saturating_sub(open)
    }

    /// Limits the messages of QoS 2 that are not completed.
    pub(super) fn set_qos_2_max(&mut self, messages: u16) {
        self.qos_2_max = messages.min(QOS_2_IDS);
    }

    /// Records that the caller has updated the Message Expiry Intervals of resumed messages.
    pub(super) fn is_up_to_date(&mut self, now_ms: u64) {
        self.waiting.iter_mut().for_each(|message| message.as_of_ms = now_ms);
    }

    /// Limits the messages in flight below the peer's Receive Maximum; `None` removes the limit.
    pub(super) fn set_cap(&mut self, cap: Option<u16>) {
        self.cap = cap.unwrap_or(u16::MAX).max(1);
    }

    fn left(&self) -> u16 {
        self.quota.left().min(self.cap.saturating_sub(self.quota.used()))
    }

    /// Number of messages without an answer, sent or waiting.
    pub(super) fn len(&self) -> usize {
        self.sent.len() + self.waiting.len()
    }

    /// Messages without an answer, in their original order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &InFlight> {
        self.sent.values().map(|(message, _)| message).chain(&self.waiting)
    }

    /// Memory of the messages without an answer, and of those that are not completed.
    pub(super) fn memory(&self) -> Memory {
        Memory { own: self.memory.own + self.releases.bytes(), ..self.memory }
    }

    pub(super) fn window(&self) -> Quota {
        self.quota
    }

    /// Returns a free packet identifier for a message of QoS 1 or a request; `None` if there is none. `also` tells if a request uses an identifier.
    pub(super) fn allocate_id(&mut self, also: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        let (sent, waiting) = (&self.serial_of, &self.waiting);
        let waits = |id| waiting.iter().any(|message| message.packet_id == id);
        self.ids.allocate(|id| sent.contains_key(&id) || also(id) || waits(id))
    }

    /// Returns a free packet identifier for a message of QoS 2; `None` if there is none. The caller has checked that no message waits.
    pub(super) fn allocate_id_of_qos_2(&mut self) -> Option<PacketId> {
        let (sent, releases) = (&self.serial_of, &self.releases);
        self.ids.allocate_of_qos_2(|id| sent.contains_key(&id) || releases.is_id_used(id))
    }

    /// Records that the peer has a session of which this side knows nothing.
    pub(super) fn forget_ids(&mut self) {
        self.ids.set_unknown(true);
    }

    /// Records that the peer has no session, and so holds no identifier.
    pub(super) fn know_ids(&mut self) {
        self.ids.set_unknown(false);
    }

    /// Takes the messages in flight, because the peer has another session than the one to which they belong. PUBRELs are owed no more.
    pub(super) fn take_in_flight(&mut self) -> Vec<InFlight> {
        let ids = Resume { ids: self.ids, ..Resume::new() };
        let state = std::mem::replace(self, Self::new(ids, 1));
        state.into_resume(UnreleasedMessages::default(), 0).in_flight
    }

    /// Has identifiers of QoS 2 released that the peer may hold, before the first of them is used. Returns whether there are such.
    pub(super) fn release_unknown(&mut self) -> bool {
        if !self.ids.are_unknown() {
            return false;
        }
        self.ids.set_unknown(false);
        let sent = &self.serial_of;
        self.releases.add_doubtful(self.ids.all_of_qos_2().filter(|id| !sent.contains_key(id)));
        true
    }

    /// Adds a message that was just written with `packet_id`. The caller has checked [`room`](Self::room).
    pub(super) fn push_sent(&mut self, packet_id: PacketId, token: Token, publish: Publish, wrote: Wrote) {
        let taken = self.quota.take();
        debug_assert!(taken, "room() was asked");
        let message = InFlight { packet_id, token, publish, sent: true, as_of_ms: wrote.at_ms() };
        self.memory += message.memory();
        self.write(message, wrote);
    }

    fn write(&mut self, message: InFlight, wrote: Wrote) {
        self.serial_of.insert(message.packet_id, self.next);
        self.sent_at_qos_2 += usize::from(message.publish.qos == QoS::ExactlyOnce);
        self.sent.insert(self.next, (message, wrote));
        self.next += 1;
    }

    /// Returns the oldest resumed message that waits, and whether to set DUP; `None` if none waits, or the quota is used up.
    pub(super) fn next_waiting(&self) -> Option<(&InFlight, bool)> {
        if self.left() == 0 {
            return None;
        }
        // The peer may hold its identifier for another message.
        let may_go = |message: &&InFlight| {
            message.publish.qos != QoS::ExactlyOnce
                || self.left_of_qos_2() > 0 && !self.releases.is_id_used(message.packet_id)
        };
        self.waiting.front().filter(may_go).map(|message| (message, message.sent))
    }

    /// Records that the message of [`next_waiting`](Self::next_waiting) was written, at this QoS.
    pub(super) fn waiting_sent(&mut self, qos: QoS, wrote: Wrote) {
        if !self.waiting.is_empty()
            && self.quota.take()
            && let Some(mut message) = self.waiting.pop_front()
        {
            (message.sent, message.publish.qos) = (true, qos);
            self.write(message, wrote);
        }
    }

    /// Drops the message of [`next_waiting`](Self::next_waiting), which cannot be written on this connection, and returns its token.
    pub(super) fn waiting_dropped(&mut self) -> Option<Token> {
        let message = self.waiting.pop_front()?;
        self.memory -= message.memory();
        self.releases.add_doubtful(message.may_be_held().then_some(message.packet_id));
        Some(message.token)
    }

    /// Handles a PUBACK, or a PUBREC that refuses the message, and returns the message's token; `None` if no message of this QoS with this
    /// identifier was sent on this connection. An answer to a message that waits to be resent is ignored, and the message is sent again.
    pub(super) fn acknowledge(&mut self, id: PacketId, qos: QoS) -> Option<(Token, Wrote)> {
        let answered = self.take_answered(id, qos)?;
        self.quota.give();
        if qos == QoS::AtLeastOnce && PacketIds::is_of_qos_2(id) {
            // It was sent at QoS 2 before the peer took no more than QoS 1.
            self.releases.add_doubtful([id]);
        }
        Some(answered)
    }

    /// Handles a PUBREC that accepts the message, and returns its token as [`acknowledge`](Self::acknowledge) does. Its place in the quota stays
    /// taken until [`complete`](Self::complete).
    pub(super) fn received(&mut self, id: PacketId) -> Option<(Token, Wrote)> {
        let answered = self.take_answered(id, QoS::ExactlyOnce)?;
        self.releases.add_received(id, answered.0);
        Some(answered)
    }

    fn take_answered(&mut self, id: PacketId, qos: QoS) -> Option<(Token, Wrote)> {
        let serial = *self.serial_of.get(&id)?;
        if self.sent.get(&serial)?.0.publish.qos != qos {
            return None;
        }
        self.serial_of.remove(&id);
        let (message, wrote) = self.sent.remove(&serial)?;
        self.sent_at_qos_2 -= usize::from(qos == QoS::ExactlyOnce);
        self.memory -= message.memory();
        Some((message.token, wrote))
    }

    /// Returns the next exchange whose PUBREL is to be written; `None` if there is none.
    pub(super) fn next_release(&self) -> Option<PacketId> {
        self.releases.next_unwritten()
    }

    /// Records that the PUBREL of an exchange was written.
    pub(super) fn release_written(&mut self, id: PacketId, wrote: Wrote) {
        self.releases.on_written(id, wrote);
    }

    /// Handles a PUBCOMP. Returns the exchange that it ends; `None` if there is none.
    pub(super) fn complete(&mut self, id: PacketId) -> Option<Completion> {
        let completion = self.releases.complete(id)?;
        if completion.has_place {
            self.quota.give();
        }
        Some(completion)
    }

    /// Returns whether a PUBREL has no PUBCOMP.
    pub(super) fn has_releases(&self) -> bool {
        self.releases.len() > 0
    }

    /// PUBRELs that are owed, or have no PUBCOMP.
    pub(super) fn releases(&self) -> &Releases {
        &self.releases
    }

    /// Frees identifiers of earlier connections whose PUBRELs the peer ignores. Returns the token of each, if it has one.
    pub(super) fn give_up_unanswered(&mut self, arrived: u64) -> Vec<Option<Token>> {
        self.releases.give_up_unanswered(arrived)
    }

    /// Number of messages that were written on this connection and have no answer.
    pub(super) fn sent(&self) -> usize {
        self.sent.len()
    }

    /// Returns whether the peer's PUBREC for this identifier has come before.
    pub(super) fn is_received(&self, id: PacketId) -> bool {
        self.releases.is_id_used(id)
    }

    /// Returns whether a resumed message with this identifier is still to be sent again.
    pub(super) fn is_waiting(&self, id: PacketId) -> bool {
        self.waiting.iter().any(|message| message.packet_id == id)
    }

    /// Returns time and position of the oldest message that was written on this connection and has no PUBACK; `None` if there is none.
    pub(super) fn oldest(&self) -> Option<Wrote> {
        self.sent.first_key_value().map(|(_, (_, wrote))| *wrote)
    }

    /// Hashes what counts, for a stream that arrived up to a position.
    #[cfg(feature = "testing")]
    pub(super) fn hash_state(&self, arrived: u64, hasher: &mut impl crate::state_hash::StateHasher) {
        for messages in [self.sent.len(), self.waiting.len()] {
            hasher.write_usize(messages);
        }
        self.iter().for_each(|message| message.hash_state(hasher));
        self.ids.hash_state(hasher);
        std::hash::Hash::hash(&(self.quota, self.cap), hasher);
        self.releases.hash_state(arrived, hasher);
    }

    /// Ends the connection and returns the state that the next one resumes. `received`: its unreleased QoS 2 messages;
    /// `arrived`: the position up to which its bytes have arrived.
    pub(super) fn into_resume(self, received: UnreleasedMessages, arrived: u64) -> Resume {
        let sent = self.sent.into_values().map(|(message, _)| message);
        let (in_flight, releases) = (sent.chain(self.waiting).collect(), self.releases.into_owed(arrived));
        Resume { in_flight, ids: self.ids, releases, received, is_doubtful: false }
    }
}

#[cfg(test)]
mod tests;
