//! Published messages until their PUBACK: the window, the order, the resend.

use std::collections::{HashMap, VecDeque};

use super::flow::Quota;
use super::packet_id::PacketIds;
use super::transit::Wrote;
use super::{InFlight, Resume, Token};
use crate::wire::{PacketId, Properties, Publish, Utf8};

/// Places that messages take, acknowledged ones behind an unanswered one included, in multiples of the window. PUBACKs come in order
/// (\[MQTT-4.6.0-2\]); a peer that leaves one out gets nothing more then, until the connection is given up.
const WINDOWS_MAX: usize = 4;

/// Where a message stands on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Resumed, and the quota did not yet allow it to be resent. `sent` = written on an earlier connection.
    Waiting { sent: bool },
    /// Written on this connection; counted in the quota.
    Sent,
    /// Acknowledged, but an older message is not: keeps the place so that positions stay serial numbers.
    Done,
}

#[derive(Debug)]
struct Slot {
    message: InFlight,
    stand: Stand,
    wrote: Wrote,
}

/// The unacknowledged messages in original order, and how many of them this connection may carry.
#[derive(Debug)]
pub(super) struct Outbound {
    slots: VecDeque<Slot>,
    /// Serial number of the front slot.
    first: u64,
    serial_of: HashMap<PacketId, u64>,
    ids: PacketIds,
    quota: Quota,
    /// Messages in flight at most by the caller's own wish.
    cap: u16,
    /// Slots that stand at [`Stand::Waiting`]; always a suffix of `slots`.
    waiting: usize,
    /// Of the messages without an answer, as [`InFlight::bytes`] counts.
    bytes: usize,
}

impl Outbound {
    pub(super) fn new(resume: Resume, window: u16) -> Self {
        let serial_of = resume.in_flight.iter().zip(0..).map(|(m, serial)| (m.packet_id, serial)).collect();
        let waiting = resume.in_flight.len();
        let bytes = resume.bytes();
        let slots = resume.in_flight.into_iter().map(|message| {
            let stand = Stand::Waiting { sent: message.sent };
            Slot { message, stand, wrote: Wrote::default() }
        });
        Self {
            slots: slots.collect(),
            first: 0,
            serial_of,
            ids: resume.ids,
            quota: Quota::new(window),
            cap: u16::MAX,
            waiting,
            bytes,
        }
    }

    /// The peer's Receive Maximum is known now. Nothing has been sent before.
    pub(super) fn set_window(&mut self, window: u16) {
        self.quota = Quota::new(window);
    }

    /// New messages that may be published now: none while resumed ones wait, so that order is kept.
    pub(super) fn room(&self) -> u16 {
        if self.waiting > 0 {
            return 0;
        }
        let places = WINDOWS_MAX * usize::from(self.quota.limit());
        let free = places.saturating_sub(self.slots.len());
        self.left().min(u16::try_from(free).unwrap_or(u16::MAX))
    }

    /// The caller has brought the Message Expiry Interval of what was resumed up to date.
    pub(super) fn is_up_to_date(&mut self, now_ms: u64) {
        self.slots.iter_mut().for_each(|slot| slot.message.as_of_ms = now_ms);
    }

    /// Bounds the messages in flight below the peer's Receive Maximum.
    pub(super) fn set_cap(&mut self, cap: Option<u16>) {
        self.cap = cap.unwrap_or(u16::MAX).max(1);
    }

    fn left(&self) -> u16 {
        self.quota.left().min(self.cap.saturating_sub(self.quota.used()))
    }

    /// Messages without an answer, sent or waiting.
    pub(super) fn len(&self) -> usize {
        self.serial_of.len()
    }

    /// Memory of the messages without an answer, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn window(&self) -> Quota {
        self.quota
    }

    /// An identifier for a message or a request; `also` names those that requests use.
    pub(super) fn allocate_id(&mut self, also: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        let used = &self.serial_of;
        self.ids.allocate(|id| used.contains_key(&id) || also(id))
    }

    /// Takes a message that was just written under `packet_id`. The caller has asked [`room`](Self::room).
    pub(super) fn push_sent(&mut self, packet_id: PacketId, token: Token, publish: Publish, wrote: Wrote) {
        let taken = self.quota.take();
        debug_assert!(taken, "room() was asked");
        self.serial_of.insert(packet_id, self.first + self.slots.len() as u64);
        let message = InFlight { packet_id, token, publish, sent: true, as_of_ms: wrote.at_ms() };
        self.bytes += message.bytes();
        self.slots.push_back(Slot { message, stand: Stand::Sent, wrote });
    }

    /// The oldest resumed message, if the quota allows it to be sent now, with whether to set DUP.
    pub(super) fn next_waiting(&self) -> Option<(&InFlight, bool)> {
        if self.left() == 0 {
            return None;
        }
        let at = self.slots.len().checked_sub(self.waiting)?;
        let slot = self.slots.get(at)?;
        match slot.stand {
            Stand::Waiting { sent } => Some((&slot.message, sent)),
            Stand::Sent | Stand::Done => None,
        }
    }

    /// The message of [`next_waiting`](Self::next_waiting) was written.
    pub(super) fn waiting_sent(&mut self, wrote: Wrote) {
        let at = self.slots.len() - self.waiting.min(self.slots.len());
        if let Some(slot) = self.slots.get_mut(at)
            && self.quota.take()
        {
            slot.stand = Stand::Sent;
            slot.wrote = wrote;
            slot.message.sent = true;
            self.waiting -= 1;
        }
    }

    /// The message of [`next_waiting`](Self::next_waiting) cannot be written on this connection: it leaves the window.
    pub(super) fn waiting_dropped(&mut self) -> Option<Token> {
        let at = self.slots.len().checked_sub(self.waiting)?;
        let slot = self.slots.get_mut(at)?;
        slot.stand = Stand::Done;
        self.bytes -= slot.message.bytes();
        self.waiting -= 1;
        let (id, token) = (slot.message.packet_id, slot.message.token);
        self.serial_of.remove(&id);
        self.trim();
        Some(token)
    }

    /// PUBACK. `None` if no message with this identifier was sent on this connection: one that waits to be resent is *not*
    /// acknowledged by a stray answer, it is simply sent again.
    pub(super) fn acknowledge(&mut self, id: PacketId) -> Option<(Token, Wrote)> {
        let serial = *self.serial_of.get(&id)?;
        let at = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        let slot = self.slots.get_mut(at)?;
        if slot.stand != Stand::Sent {
            return None;
        }
        slot.stand = Stand::Done;
        self.bytes -= slot.message.bytes();
        // Nothing of it is kept until older messages are done.
        let publish = &mut slot.message.publish;
        (publish.topic, publish.properties) = (Utf8::default(), Properties::default());
        publish.payload = bytes::Bytes::new();
        let (token, wrote) = (slot.message.token, slot.wrote);
        self.serial_of.remove(&id);
        self.quota.give();
        self.trim();
        Some((token, wrote))
    }

    /// The oldest message that was written on this connection and has no answer.
    pub(super) fn oldest(&self) -> Option<Wrote> {
        self.slots.front().filter(|slot| slot.stand == Stand::Sent).map(|slot| slot.wrote)
    }

    /// The connection is over.
    pub(super) fn into_resume(self) -> Resume {
        let open = self.slots.into_iter().filter(|slot| slot.stand != Stand::Done);
        Resume { in_flight: open.map(|slot| slot.message).collect(), ids: self.ids }
    }

    fn trim(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.stand == Stand::Done) {
            self.slots.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::{Properties, QoS, Utf8};

    fn publish() -> Publish {
        Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::from_static("t").unwrap(),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from_static(b"p"),
        }
    }

    fn send(out: &mut Outbound, token: u64) -> PacketId {
        assert!(out.room() > 0);
        let id = out.allocate_id(|_| false).unwrap();
        out.push_sent(id, Token(token), publish(), Wrote::default());
        id
    }

    fn acknowledge(out: &mut Outbound, id: PacketId) -> Option<Token> {
        out.acknowledge(id).map(|(token, _)| token)
    }

    #[test]
    fn acknowledgements_in_any_order_keep_the_original_order_of_the_rest() {
        let mut out = Outbound::new(Resume::new(), 10);
        let ids: Vec<_> = (0..5).map(|n| send(&mut out, n)).collect();
        assert_eq!(acknowledge(&mut out, ids[3]), Some(Token(3)));
        assert_eq!(acknowledge(&mut out, ids[0]), Some(Token(0)));
        assert_eq!(acknowledge(&mut out, ids[0]), None);
        assert_eq!((out.len(), out.room()), (3, 7));
        let left: Vec<_> = out.into_resume().in_flight.iter().map(|m| m.token.0).collect();
        assert_eq!(left, [1, 2, 4]);
    }

    #[test]
    fn acknowledged_messages_behind_an_unanswered_one_are_bounded() {
        let mut out = Outbound::new(Resume::new(), 10);
        let first = send(&mut out, 0);
        let mut sent = 1;
        while out.room() > 0 {
            let id = send(&mut out, sent);
            acknowledge(&mut out, id).unwrap();
            sent += 1;
            assert!(sent <= 40, "{} places", out.slots.len());
        }
        assert_eq!(sent, 40);
        assert!(out.slots.iter().skip(1).all(|slot| slot.message.publish.topic.is_empty()));
        assert_eq!(acknowledge(&mut out, first), Some(Token(0)));
        assert_eq!((out.slots.len(), out.room()), (0, 10));
    }

    #[test]
    fn a_waiting_message_is_not_acknowledged_by_a_stray_answer() {
        let mut out = Outbound::new(Resume::new(), 2);
        let ids = [send(&mut out, 1), send(&mut out, 2)];
        let mut out = Outbound::new(out.into_resume(), 1);
        assert_eq!(acknowledge(&mut out, ids[1]), None);
        assert_eq!(out.room(), 0, "resumed messages go first");
        assert_eq!(out.next_waiting().map(|(m, dup)| (m.token, dup)), Some((Token(1), true)));
        out.waiting_sent(Wrote::default());
        assert!(out.next_waiting().is_none(), "the new window is one");
        assert_eq!(acknowledge(&mut out, ids[0]), Some(Token(1)));
        assert_eq!(out.next_waiting().map(|(m, _)| m.token), Some(Token(2)));
        assert_eq!(out.waiting_dropped(), Some(Token(2)));
        assert_eq!((out.len(), out.room()), (0, 1));
    }
}
