//! Received QoS 1 messages until they are acknowledged: PUBACKs leave when told, and in the order of arrival (\[MQTT-4.6.0-2\]).

use std::collections::{HashSet, VecDeque};

use super::AckHandle;
use super::flow::Quota;
use super::io::Violation;
use crate::wire::{PacketId, ReasonCode};

#[derive(Debug)]
struct Pending {
    id: PacketId,
    answer: Option<ReasonCode>,
}

/// What to do with a received QoS 1 PUBLISH.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// New: hand it on.
    New(AckHandle),
    /// The same message again on the same connection, before its acknowledgement (older 3.1.1 clients do it on a timer): the PUBACK
    /// of the first answers both.
    Repeated,
}

#[derive(Debug)]
pub(super) struct Inbound {
    epoch: u64,
    pending: VecDeque<Pending>,
    /// Serial number of the front.
    first: u64,
    ids: HashSet<PacketId>,
    quota: Quota,
}

impl Inbound {
    pub(super) fn new(epoch: u64, receive_maximum: u16) -> Self {
        Self {
            epoch,
            pending: VecDeque::new(),
            first: 0,
            ids: HashSet::new(),
            quota: Quota::new(receive_maximum),
        }
    }

    /// Before the first message.
    pub(super) fn set_receive_maximum(&mut self, receive_maximum: u16) {
        self.quota = Quota::new(receive_maximum);
    }

    pub(super) fn arrive(&mut self, id: PacketId, dup: bool) -> Result<Arrival, Violation> {
        if self.ids.contains(&id) {
            return if dup { Ok(Arrival::Repeated) } else { Err(Violation::PacketIdInUse) };
        }
        if !self.quota.take() {
            return Err(Violation::ReceiveMaximumExceeded);
        }
        self.ids.insert(id);
        let serial = self.first + self.pending.len() as u64;
        self.pending.push_back(Pending { id, answer: None });
        Ok(Arrival::New(AckHandle { epoch: self.epoch, serial }))
    }

    /// Notes the answer to one message. `false` if the handle is of another connection, or was used before.
    #[must_use]
    pub(super) fn answer(&mut self, handle: AckHandle, reason: ReasonCode) -> bool {
        if handle.epoch != self.epoch {
            return false;
        }
        let at = handle.serial.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| self.pending.get_mut(at)) {
            Some(pending) if pending.answer.is_none() => {
                pending.answer = Some(reason);
                true
            }
            _ => false,
        }
    }

    /// The next PUBACK that may leave.
    pub(super) fn next_answer(&mut self) -> Option<(PacketId, ReasonCode)> {
        let reason = self.pending.front()?.answer?;
        let id = self.pending.pop_front()?.id;
        self.first += 1;
        self.ids.remove(&id);
        self.quota.give();
        Some((id, reason))
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
        match inbound.arrive(id(n), false) {
            Ok(Arrival::New(handle)) => handle,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_leave_in_the_order_of_arrival() {
        let mut inbound = Inbound::new(1, 10);
        let (a, b) = (new(&mut inbound, 7), new(&mut inbound, 3));
        assert!(inbound.answer(b, ReasonCode::SUCCESS));
        assert_eq!(inbound.next_answer(), None);
        assert!(inbound.answer(a, ReasonCode::PAYLOAD_FORMAT_INVALID));
        assert_eq!(inbound.next_answer(), Some((id(7), ReasonCode::PAYLOAD_FORMAT_INVALID)));
        assert_eq!(inbound.next_answer(), Some((id(3), ReasonCode::SUCCESS)));
        assert!(!inbound.answer(a, ReasonCode::SUCCESS), "once only");
    }

    #[test]
    fn a_handle_of_another_connection_is_refused() {
        let mut old = Inbound::new(1, 10);
        let handle = new(&mut old, 1);
        let mut inbound = Inbound::new(2, 10);
        let _ = new(&mut inbound, 1);
        assert!(!inbound.answer(handle, ReasonCode::SUCCESS));
        assert_eq!(inbound.next_answer(), None);
    }

    #[test]
    fn a_repeat_is_absorbed_and_a_reused_identifier_is_not() {
        let mut inbound = Inbound::new(1, 1);
        let _ = new(&mut inbound, 1);
        assert_eq!(inbound.arrive(id(1), true), Ok(Arrival::Repeated));
        assert_eq!(inbound.arrive(id(1), false), Err(Violation::PacketIdInUse));
        assert_eq!(inbound.arrive(id(2), false), Err(Violation::ReceiveMaximumExceeded));
        assert_eq!(inbound.unacknowledged(), 1);
    }
}
