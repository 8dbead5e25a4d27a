//! Received messages until they are acknowledged (arrivals), among which repeats are known. PUBACKs and PUBRECs leave only when the caller answers, and in the order of arrival
//! (\[MQTT-4.6.0-2\], \[MQTT-4.6.0-3\]). The identifiers of QoS 2 messages are kept until PUBREL, which may come on a later connection.

use std::collections::{HashMap, HashSet};

use super::ack_handle::AckHandle;
use super::events::Violation;
use super::receive_maximum::Quota;
use super::table_bytes::table_bytes;
use super::unreleased_qos2::{Digest, TakenIn, Unreleased, UnreleasedMessages};
use crate::in_order::{IDLE, InOrder};
use crate::puback_chain::Group;
use crate::wire::{PacketId, ReasonCode};

/// Bytes of memory for an unacknowledged message: here, in the set of identifiers, and in the PUBACK chain.
const PENDING_BYTES: usize = 80;

#[derive(Debug, Clone)]
struct Pending {
    id: PacketId,
    /// Digest of a QoS 2 message; `None` at QoS 1.
    digest: Option<Digest>,
    /// Set when the caller has taken responsibility for the message. If it comes again, it counts as a repeat.
    is_taken_in: bool,
    /// Group of its receipts, as the caller said when it took the message in.
    group: Option<Group>,
    answer: Option<ReasonCode>,
}

/// PUBACK or PUBREC that may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: PacketId,
    pub(super) reason: ReasonCode,
    /// Set for a PUBREC, not set for a PUBACK.
    pub(super) qos2: bool,
}

/// Treatment of a received PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arrival {
    /// New message, to be delivered.
    New(AckHandle),
    /// The same, but perhaps a copy: without DUP, and with the identifier and the content of a message that was received and not released.
    PossibleCopy(AckHandle),
    /// Same message again on the same connection, before its acknowledgement (older 3.1.1 clients repeat on a timer). The acknowledgement of
    /// the first answers both.
    Repeated,
    /// A QoS 2 message again after its PUBREC; the PUBREC is sent again.
    Received,
    /// QoS 2 message that comes again, and that the caller took in on an earlier connection, which ended before the PUBREC.
    TakenIn {
        handle: AckHandle,
        /// Handle of the copy on the last connection.
        earlier: AckHandle,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Arrivals {
    epoch: u64,
    pending: InOrder<Pending>,
    ids: HashSet<PacketId>,
    /// QoS 2 messages between PUBREC and PUBREL. They count in the quota.
    received: HashMap<PacketId, Digest>,
    /// Messages of earlier connections that wait for PUBREL, except those that have come again on this connection.
    earlier: UnreleasedMessages,
    quota: Quota,
}

impl Arrivals {
    pub(super) fn new(epoch: u64, receive_maximum: u16) -> Self {
        Self {
            epoch,
            pending: InOrder::default(),
            ids: HashSet::new(),
            received: HashMap::new(),
            earlier: UnreleasedMessages::default(),
            quota: Quota::new(receive_maximum),
        }
    }

    /// Sets the limit of unacknowledged messages, before the first one comes.
    pub(super) fn set_receive_maximum(&mut self, receive_maximum: u16) {
        self.quota = Quota::new(receive_maximum);
    }

    /// Continues with the QoS 2 messages that earlier connections of the session received.
    pub(super) fn resume(&mut self, earlier: UnreleasedMessages) {
        self.earlier = earlier;
    }

    /// Decides how a PUBLISH above QoS 0 is treated, and records a new one as pending. `digest` is that of a QoS 2 message, `None` at QoS 1.
    pub(super) fn arrive(
        &mut self,
        id: PacketId,
        dup: bool,
        digest: Option<Digest>,
    ) -> Result<Arrival, Violation> {
        if self.received.contains_key(&id) {
            return if dup && digest.is_some() {
                Ok(Arrival::Received)
            } else {
                Err(Violation::PacketIdInUse)
            };
        }
        if self.ids.contains(&id) {
            return if dup { Ok(Arrival::Repeated) } else { Err(Violation::PacketIdInUse) };
        }
        if !self.quota.take() {
            return Err(Violation::ReceiveMaximumExceeded);
        }
        let same = self.earlier.take(id).filter(|earlier| digest == Some(earlier.digest));
        let is_possible_copy = same.is_some() && !dup;
        let earlier = same.filter(|_| dup);
        if let Some(Unreleased { digest, taken_in: None }) = earlier {
            self.received.insert(id, digest);
            return Ok(Arrival::Received);
        }
        self.ids.insert(id);
        let earlier = earlier.and_then(|earlier| earlier.taken_in);
        let group = earlier.and_then(|earlier| earlier.group);
        let is_taken_in = earlier.is_some();
        let serial = self.pending.push(Pending { id, digest, is_taken_in, group, answer: None });
        let handle = AckHandle { epoch: self.epoch, serial };
        Ok(match earlier {
            Some(earlier) => Arrival::TakenIn { handle, earlier: earlier.handle },
            None if is_possible_copy => Arrival::PossibleCopy(handle),
            None => Arrival::New(handle),
        })
    }

    /// Marks a message as taken in by the caller, with the group of its receipts.
    pub(super) fn take_in(&mut self, handle: AckHandle, group: Option<Group>) {
        if handle.epoch == self.epoch
            && let Some(pending) = self.pending.get_mut(handle.serial)
        {
            (pending.is_taken_in, pending.group) = (true, group);
        }
    }

    /// Returns the group with which a message was taken in, on this connection or on an earlier one.
    pub(super) fn group_of(&self, handle: AckHandle) -> Option<Group> {
        self.pending.get(handle.serial).filter(|_| handle.epoch == self.epoch)?.group
    }

    /// Records the caller's answer to one message. `false` if the handle is of another connection, or was used before.
    #[must_use]
    pub(super) fn answer(&mut self, handle: AckHandle, reason: ReasonCode) -> bool {
        if handle.epoch != self.epoch {
            return false;
        }
        match self.pending.get_mut(handle.serial) {
            Some(pending) if pending.answer.is_none() => {
                pending.answer = Some(reason);
                true
            }
            _ => false,
        }
    }

    /// Takes the next PUBACK or PUBREC that may leave; `None` if there is none. `without_reasons` (3.1.1) makes every reason a success.
    pub(super) fn next_answer(&mut self, without_reasons: bool) -> Option<Answer> {
        let Pending { id, digest, answer, .. } = self.pending.pop_if(|pending| pending.answer.is_some())?;
        let reason = answer.filter(|_| !without_reasons).unwrap_or(ReasonCode::SUCCESS);
        self.ids.remove(&id);
        self.pending.shrink();
        if self.ids.is_empty() {
            self.ids.shrink_to(IDLE);
        }
        match digest {
            Some(digest) if !reason.is_error() => {
                self.received.insert(id, digest);
            }
            _ => self.quota.give(),
        }
        Some(Answer { id, reason, qos2: digest.is_some() })
    }

    /// Frees the identifier of a PUBREL. Returns whether a QoS 2 message was received under it.
    pub(super) fn release(&mut self, id: PacketId) -> bool {
        if self.received.remove(&id).is_some() {
            self.quota.give();
            if self.received.is_empty() {
                self.received.shrink_to(IDLE);
            }
            return true;
        }
        self.earlier.take(id).is_some()
    }

    /// Ends the connection; returns the QoS 2 messages that were received and not released by the peer.
    pub(super) fn into_received(self) -> UnreleasedMessages {
        let mut received = self.earlier;
        received.reserve(self.received.len() + self.pending.len());
        for (id, digest) in self.received {
            received.add(id, Unreleased { digest, taken_in: None });
        }
        for (serial, pending) in self.pending.numbered().filter(|(_, pending)| pending.is_taken_in) {
            let is_refused = pending.answer.is_some_and(ReasonCode::is_error);
            if let Some(digest) = pending.digest.filter(|_| !is_refused) {
                let handle = AckHandle { epoch: self.epoch, serial };
                let taken_in = Some(TakenIn { handle, group: pending.group });
                received.add(pending.id, Unreleased { digest, taken_in });
            }
        }
        received.shrink();
        received
    }

    /// Returns whether a message may come again: it is of another connection, or its answer has not left.
    pub(super) fn may_come_again(&self, handle: AckHandle) -> bool {
        handle.epoch != self.epoch || (self.pending.first()..self.pending.next()).contains(&handle.serial)
    }

    /// Returns the memory of unacknowledged messages and of identifiers, in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.pending.len() * PENDING_BYTES + table_bytes(&self.received) + self.earlier.bytes()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).unwrap()
    }

    fn two() -> Option<Digest> {
        Some(Digest::of("a", b"x"))
    }

    fn new(arrivals: &mut Arrivals, n: u16) -> AckHandle {
        match arrivals.arrive(id(n), false, None) {
            Ok(Arrival::New(handle)) => handle,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_leave_in_the_order_of_arrival() {
        let mut arrivals = Arrivals::new(1, 10);
        let (a, b) = (new(&mut arrivals, 7), new(&mut arrivals, 3));
        assert!(arrivals.answer(b, ReasonCode::SUCCESS));
        assert_eq!(arrivals.next_answer(false), None);
        assert!(arrivals.answer(a, ReasonCode::PAYLOAD_FORMAT_INVALID));
        let answer = |n, reason| Some(Answer { id: id(n), reason, qos2: false });
        assert_eq!(arrivals.next_answer(false), answer(7, ReasonCode::PAYLOAD_FORMAT_INVALID));
        assert_eq!(arrivals.next_answer(false), answer(3, ReasonCode::SUCCESS));
        assert!(!arrivals.answer(a, ReasonCode::SUCCESS), "once only");
    }

    #[test]
    fn a_handle_of_another_connection_is_refused() {
        let mut old = Arrivals::new(1, 10);
        let handle = new(&mut old, 1);
        let mut arrivals = Arrivals::new(2, 10);
        let _ = new(&mut arrivals, 1);
        assert!(!arrivals.answer(handle, ReasonCode::SUCCESS));
        assert_eq!(arrivals.next_answer(false), None);
    }

    #[test]
    fn a_repeat_is_absorbed_and_a_reused_identifier_is_not() {
        let mut arrivals = Arrivals::new(1, 1);
        let _ = new(&mut arrivals, 1);
        assert_eq!(arrivals.arrive(id(1), true, None), Ok(Arrival::Repeated));
        assert_eq!(arrivals.arrive(id(1), false, None), Err(Violation::PacketIdInUse));
        assert_eq!(arrivals.arrive(id(2), false, None), Err(Violation::ReceiveMaximumExceeded));
        assert_eq!(arrivals.unacknowledged(), 1);
    }

    #[test]
    fn a_qos_2_message_holds_its_identifier_until_pubrel() {
        let mut arrivals = Arrivals::new(1, 1);
        let Ok(Arrival::New(handle)) = arrivals.arrive(id(1), false, two()) else { panic!("new") };
        assert!(!arrivals.release(id(1)), "PUBREC did not leave yet");
        assert!(arrivals.answer(handle, ReasonCode::SUCCESS));
        let answer = Answer { id: id(1), reason: ReasonCode::SUCCESS, qos2: true };
        assert_eq!(arrivals.next_answer(false), Some(answer));
        assert_eq!(arrivals.arrive(id(1), true, two()), Ok(Arrival::Received));
        assert_eq!(arrivals.arrive(id(2), false, two()), Err(Violation::ReceiveMaximumExceeded));
        assert!(arrivals.release(id(1)) && !arrivals.release(id(1)));
        assert!(arrivals.arrive(id(1), false, two()).is_ok());
    }

    #[test]
    fn a_refused_qos_2_message_is_over_with_its_pubrec() {
        let mut arrivals = Arrivals::new(1, 1);
        let Ok(Arrival::New(handle)) = arrivals.arrive(id(1), false, two()) else { panic!("new") };
        assert!(arrivals.answer(handle, ReasonCode::NOT_AUTHORIZED));
        assert_eq!(arrivals.next_answer(false).map(|answer| answer.reason), Some(ReasonCode::NOT_AUTHORIZED));
        assert!(!arrivals.release(id(1)));
        assert!(arrivals.arrive(id(2), false, None).is_ok());
    }
}
