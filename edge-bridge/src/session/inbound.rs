//! Received messages until they are acknowledged: PUBACKs and PUBRECs leave when told, and in the order of arrival (\[MQTT-4.6.0-2\],
//! \[MQTT-4.6.0-3\]). The identifiers of QoS 2 messages are held until PUBREL, for this connection only: after it a message comes again.

use std::collections::HashSet;

use super::AckHandle;
use super::events::Violation;
use super::receive_maximum::Quota;
use crate::in_order::{IDLE, InOrder};
use crate::wire::{PacketId, ReasonCode};

/// Memory of a message without its acknowledgement: here, among the identifiers, and with whoever decides it.
const PENDING_BYTES: usize = 64;

#[derive(Debug)]
struct Pending {
    id: PacketId,
    qos2: bool,
    answer: Option<ReasonCode>,
}

/// An acknowledgement that may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: PacketId,
    pub(super) reason: ReasonCode,
    /// PUBREC instead of PUBACK.
    pub(super) qos2: bool,
}

/// Treatment of a received PUBLISH.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A new message, to be handed on.
    New(AckHandle),
    /// The same message again on the same connection, before its acknowledgement (older 3.1.1 clients do it on a timer): the PUBACK
    /// of the first answers both.
    Repeated,
    /// A QoS 2 message again after its PUBREC, which is sent again.
    Received,
}

#[derive(Debug)]
pub(super) struct Inbound {
    epoch: u64,
    pending: InOrder<Pending>,
    ids: HashSet<PacketId>,
    /// QoS 2 messages between PUBREC and PUBREL. They count in the quota.
    received: HashSet<PacketId>,
    quota: Quota,
}

impl Inbound {
    pub(super) fn new(epoch: u64, receive_maximum: u16) -> Self {
        Self {
            epoch,
            pending: InOrder::default(),
            ids: HashSet::new(),
            received: HashSet::new(),
            quota: Quota::new(receive_maximum),
        }
    }

    /// Before the first message.
    pub(super) fn set_receive_maximum(&mut self, receive_maximum: u16) {
        self.quota = Quota::new(receive_maximum);
    }

    pub(super) fn arrive(&mut self, id: PacketId, dup: bool, qos2: bool) -> Result<Arrival, Violation> {
        if self.received.contains(&id) {
            return if dup && qos2 { Ok(Arrival::Received) } else { Err(Violation::PacketIdInUse) };
        }
        if self.ids.contains(&id) {
            return if dup { Ok(Arrival::Repeated) } else { Err(Violation::PacketIdInUse) };
        }
        if !self.quota.take() {
            return Err(Violation::ReceiveMaximumExceeded);
        }
        self.ids.insert(id);
        let serial = self.pending.push(Pending { id, qos2, answer: None });
        Ok(Arrival::New(AckHandle { epoch: self.epoch, serial }))
    }

    /// Notes the answer to one message. `false` if the handle is of another connection, or was used before.
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

    /// Returns the next PUBACK or PUBREC that may leave; without reasons (3.1.1) each is a success.
    pub(super) fn next_answer(&mut self, without_reasons: bool) -> Option<Answer> {
        let Pending { id, qos2, answer } = self.pending.pop_if(|pending| pending.answer.is_some())?;
        let reason = answer.filter(|_| !without_reasons).unwrap_or(ReasonCode::SUCCESS);
        self.ids.remove(&id);
        self.pending.shrink();
        if self.ids.is_empty() {
            self.ids.shrink_to(IDLE);
        }
        if qos2 && !reason.is_error() {
            self.received.insert(id);
        } else {
            self.quota.give();
        }
        Some(Answer { id, reason, qos2 })
    }

    /// PUBREL. Whether a message of QoS 2 was received under this identifier.
    pub(super) fn release(&mut self, id: PacketId) -> bool {
        let known = self.received.remove(&id);
        if known {
            self.quota.give();
        }
        known
    }

    /// Returns the memory of unacknowledged messages, in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.pending.len() * PENDING_BYTES
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

    fn new(inbound: &mut Inbound, n: u16) -> AckHandle {
        match inbound.arrive(id(n), false, false) {
            Ok(Arrival::New(handle)) => handle,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_leave_in_the_order_of_arrival() {
        let mut inbound = Inbound::new(1, 10);
        let (a, b) = (new(&mut inbound, 7), new(&mut inbound, 3));
        assert!(inbound.answer(b, ReasonCode::SUCCESS));
        assert_eq!(inbound.next_answer(false), None);
        assert!(inbound.answer(a, ReasonCode::PAYLOAD_FORMAT_INVALID));
        let answer = |n, reason| Some(Answer { id: id(n), reason, qos2: false });
        assert_eq!(inbound.next_answer(false), answer(7, ReasonCode::PAYLOAD_FORMAT_INVALID));
        assert_eq!(inbound.next_answer(false), answer(3, ReasonCode::SUCCESS));
        assert!(!inbound.answer(a, ReasonCode::SUCCESS), "once only");
    }

    #[test]
    fn a_handle_of_another_connection_is_refused() {
        let mut old = Inbound::new(1, 10);
        let handle = new(&mut old, 1);
        let mut inbound = Inbound::new(2, 10);
        let _ = new(&mut inbound, 1);
        assert!(!inbound.answer(handle, ReasonCode::SUCCESS));
        assert_eq!(inbound.next_answer(false), None);
    }

    #[test]
    fn a_repeat_is_absorbed_and_a_reused_identifier_is_not() {
        let mut inbound = Inbound::new(1, 1);
        let _ = new(&mut inbound, 1);
        assert_eq!(inbound.arrive(id(1), true, false), Ok(Arrival::Repeated));
        assert_eq!(inbound.arrive(id(1), false, false), Err(Violation::PacketIdInUse));
        assert_eq!(inbound.arrive(id(2), false, false), Err(Violation::ReceiveMaximumExceeded));
        assert_eq!(inbound.unacknowledged(), 1);
    }

    #[test]
    fn a_qos_2_message_holds_its_identifier_until_pubrel() {
        let mut inbound = Inbound::new(1, 1);
        let Ok(Arrival::New(handle)) = inbound.arrive(id(1), false, true) else { panic!("new") };
        assert!(!inbound.release(id(1)), "PUBREC did not leave yet");
        assert!(inbound.answer(handle, ReasonCode::SUCCESS));
        let answer = Answer { id: id(1), reason: ReasonCode::SUCCESS, qos2: true };
        assert_eq!(inbound.next_answer(false), Some(answer));
        assert_eq!(inbound.arrive(id(1), true, true), Ok(Arrival::Received));
        assert_eq!(inbound.arrive(id(2), false, true), Err(Violation::ReceiveMaximumExceeded));
        assert!(inbound.release(id(1)) && !inbound.release(id(1)));
        assert!(inbound.arrive(id(1), false, true).is_ok());
    }

    #[test]
    fn a_refused_qos_2_message_is_over_with_its_pubrec() {
        let mut inbound = Inbound::new(1, 1);
        let Ok(Arrival::New(handle)) = inbound.arrive(id(1), false, true) else { panic!("new") };
        assert!(inbound.answer(handle, ReasonCode::NOT_AUTHORIZED));
        assert_eq!(inbound.next_answer(false).map(|answer| answer.reason), Some(ReasonCode::NOT_AUTHORIZED));
        assert!(!inbound.release(id(1)));
        assert!(inbound.arrive(id(2), false, false).is_ok());
    }
}
