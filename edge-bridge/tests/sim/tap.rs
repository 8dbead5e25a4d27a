//! Reads along on a link with nothing but the codec: what a packet capture would show.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;

use bytes::{Bytes, BytesMut};
use edge_bridge::state_hash::StateHasher;
use edge_bridge::wire::{self, Limits, Packet, PropertyId, Publish, QoS, Version};

use crate::exchanges::Exchanges;
use crate::ledger::{Ledger, Msg, Rule};
use crate::limits::HubLimits;

/// The gateway's end of the WAN.
#[derive(Debug, Clone, Default)]
pub(crate) struct WanTap {
    out: BytesMut,
    back: BytesMut,
    /// Receive Maximum of this connection, once CONNACK came.
    maximum: Option<usize>,
    /// Sent on this connection, not answered.
    here: BTreeMap<u16, (Msg, QoS)>,
    /// The same in the order of their leaving, each with the time at which a younger one was answered before it.
    order: VecDeque<(u16, Option<u64>)>,
    bytes_here: BTreeMap<u16, usize>,
    /// Their sum.
    bytes: usize,
    /// Sent on earlier connections of this session, not answered, not yet sent again.
    before: BTreeMap<u16, Msg>,
    exchanges: Exchanges,
    /// CONNECT was sent on this connection, and CONNACK did not come.
    awaits_connack: bool,
    /// A connection ended like that since the last CONNACK.
    is_doubtful: bool,
    /// Unanswered when the hub had lost the session.
    pub(crate) lost: Vec<Msg>,
    /// Since when something has been waiting, and the last PUBACK.
    pub(crate) waiting_since_ms: Option<u64>,
    pub(crate) last_ack_ms: u64,
    pub(crate) connections: u64,
}

impl WanTap {
    /// The gateway wrote.
    pub(crate) fn sent(&mut self, bytes: &Bytes, ledger: &mut Ledger) {
        self.out.extend_from_slice(bytes);
        if self.out.first() == Some(&0x10) {
            wire::decode_connect(&mut self.out, &Limits::default()).unwrap().unwrap();
            self.awaits_connack = true;
            if self.is_doubtful {
                self.on_doubtful_session(ledger);
            }
        }
        while let Some(packet) = wire::decode(&mut self.out, Version::V5, &Limits::default()).unwrap() {
            // With an error it answers a PUBREC that this side does not know, and is no more than that.
            if let Packet::PubRel(ack) = &packet
                && !ack.reason.is_error()
            {
                self.exchanges.release(ledger.now_ms, ack.packet_id.get());
            }
            if let Packet::Publish(publish) = packet
                && publish.qos != QoS::AtMostOnce
            {
                let id = publish.packet_id.unwrap().get();
                let fault = ledger.lives.fault(ledger.now_ms, &publish);
                ledger.require(fault.is_none(), Rule::TimeToLive, || fault.unwrap_or_default());
                let fault = ledger.hub_limits.fault(&publish);
                let msg = Msg::of(&publish.payload);
                ledger.require(fault.is_none(), Rule::HubLimits, || format!("{msg:?}: {fault:?}"));
                self.publish(id, &publish, ledger);
            }
        }
    }

    /// The gateway read.
    pub(crate) fn received(&mut self, bytes: &[u8], ledger: &mut Ledger) {
        self.back.extend_from_slice(bytes);
        // A hostile hub may write what is no packet; the session's answer to that is the product's business.
        while let Ok(Some(packet)) = wire::decode(&mut self.back, Version::V5, &Limits::default()) {
            match packet {
                Packet::ConnAck(ack) if ack.reason.is_error() => self.awaits_connack = false,
                Packet::ConnAck(ack) => {
                    self.awaits_connack = false;
                    self.is_doubtful = false;
                    let maximum = ack.properties.u16(PropertyId::ReceiveMaximum);
                    self.maximum = Some(maximum.unwrap_or(u16::MAX).into());
                    ledger.hub_limits = HubLimits::of(&ack);
                    self.connections += 1;
                    if !ack.session_present {
                        self.lost.extend(std::mem::take(&mut self.before).into_values());
                        self.exchanges.forget();
                    }
                }
                Packet::PubAck(ack) => {
                    let _answered = self.acked(ack.packet_id.get(), QoS::AtLeastOnce, ledger.now_ms);
                }
                Packet::PubRec(ack) => {
                    let id = ack.packet_id.get();
                    let answered = self.acked(id, QoS::ExactlyOnce, ledger.now_ms);
                    if let Some(msg) = answered.filter(|_| !ack.reason.is_error()) {
                        self.exchanges.received(id, msg);
                    }
                }
                Packet::PubComp(ack) if self.exchanges.complete(ledger.now_ms, ack.packet_id.get()) => {
                    // A message that was given up without an answer.
                    self.before.remove(&ack.packet_id.get());
                    self.last_ack_ms = ledger.now_ms;
                }
                _ => {}
            }
            if self.here.is_empty() && self.exchanges.places() == 0 {
                self.waiting_since_ms = None;
            }
        }
    }

    /// The connection is over for the gateway: how many messages it cannot be sure of.
    pub(crate) fn ended(&mut self, now_ms: u64) -> u64 {
        self.is_doubtful |= std::mem::take(&mut self.awaits_connack);
        let unconfirmed = self.exchanges.ended(now_ms) + self.here.len() as u64;
        self.before.extend(std::mem::take(&mut self.here).into_iter().map(|(id, (msg, _))| (id, msg)));
        self.bytes_here.clear();
        self.bytes = 0;
        self.order.clear();
        self.out.clear();
        self.back.clear();
        self.maximum = None;
        self.waiting_since_ms = None;
        unconfirmed
    }

    /// The hub may have made a new session for a CONNECT whose CONNACK was lost. The exchanges of what was answered in the old one and not completed begin
    /// again; where they were complete at the hub the message comes twice.
    fn on_doubtful_session(&mut self, ledger: &mut Ledger) {
        for (id, msg) in self.exchanges.take_uncompleted(ledger.now_ms) {
            ledger.once.give_up(msg);
            self.before.insert(id, msg);
        }
    }

    /// The gateway forgot its session.
    pub(crate) fn forget(&mut self) {
        self.is_doubtful = false;
        self.before.clear();
        self.exchanges.forget();
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.here.len()
    }

    /// Messages without an answer, of this connection and of earlier ones of its session.
    pub(crate) fn unanswered(&self) -> usize {
        self.here.len() + self.before.len()
    }

    pub(crate) fn in_flight_bytes(&self) -> usize {
        self.bytes
    }

    /// Returns since when a message is unanswered although a younger one was answered.
    pub(crate) fn passed_over_ms(&self) -> Option<u64> {
        self.order.front()?.1
    }

    /// Hashes what counts.
    #[allow(dead_code, reason = "for `tests/explore_states`")]
    pub(crate) fn hash_state(&self, hasher: &mut impl StateHasher) {
        (self.awaits_connack, self.is_doubtful, self.maximum, self.here.len()).hash(hasher);
        for (id, passed_over_ms) in &self.order {
            hasher.write_packet_id(*id);
            (self.here.get(id), passed_over_ms.is_some()).hash(hasher);
        }
        for (id, msg) in &self.before {
            hasher.write_packet_id(*id);
            msg.hash(hasher);
        }
        self.exchanges.hash_state(hasher);
    }

    /// The hub answered a message of this QoS. Returns it, if it was in flight here.
    fn acked(&mut self, id: u16, qos: QoS, now_ms: u64) -> Option<Msg> {
        let (msg, _) = self.here.get(&id).copied().filter(|(_, sent_at)| *sent_at == qos)?;
        self.here.remove(&id);
        self.bytes -= self.bytes_here.remove(&id).unwrap_or(0);
        self.answered(id, now_ms);
        self.last_ack_ms = now_ms;
        Some(msg)
    }

    fn answered(&mut self, id: u16, now_ms: u64) {
        let Some(at) = self.order.iter().position(|(known, _)| *known == id) else { return };
        self.order.remove(at);
        if let Some((_, since_ms)) = self.order.front_mut().filter(|_| at > 0) {
            since_ms.get_or_insert(now_ms);
        }
    }

    /// Returns what the Receive Maximum leaves.
    pub(crate) fn room(&self) -> usize {
        self.maximum.unwrap_or(0).saturating_sub(self.here.len() + self.exchanges.places())
    }

    fn publish(&mut self, id: u16, publish: &Publish, ledger: &mut Ledger) {
        let (msg, dup) = (Msg::of(&publish.payload), publish.dup);
        let Some(maximum) = self.maximum else {
            ledger.violate(Rule::Protocol, || format!("{msg:?} before CONNACK"));
            return;
        };
        let other = self.here.get(&id).map(|(msg, _)| *msg);
        ledger.require(other.is_none(), Rule::PacketId, || format!("{id} of {other:?} for {msg:?}"));
        let is_used = self.exchanges.is_used(ledger.now_ms, id);
        ledger.require(!is_used, Rule::PacketId, || format!("{id} without PUBCOMP, for {msg:?}"));
        let n = self.here.len() + self.exchanges.places() + 1;
        ledger.require(n <= maximum, Rule::ReceiveMaximum, || format!("{n} of {maximum}"));
        if !dup && self.exchanges.take_given_up(ledger.now_ms, msg) {
            ledger.once.give_up(msg);
        }
        let repeat = self.before.remove(&id);
        let is_given_up = self.exchanges.is_released(id);
        let right = if dup { repeat == Some(msg) } else { repeat.is_none() || is_given_up };
        ledger.require(right, Rule::Dup, || format!("{msg:?} as {id}, DUP {dup}, before it was {repeat:?}"));
        self.here.insert(id, (msg, publish.qos));
        self.order.push_back((id, None));
        let size = publish.payload.len();
        self.bytes = self.bytes + size - self.bytes_here.insert(id, size).unwrap_or(0);
        self.waiting_since_ms.get_or_insert(ledger.now_ms);
    }
}

/// The listener's end of one sensor's connection.
#[derive(Debug, Clone)]
pub(crate) struct LanTap {
    version: Version,
    back: BytesMut,
    into: BytesMut,
    /// Arrived, not answered.
    pending: VecDeque<(u16, Msg)>,
    began: bool,
}

impl LanTap {
    pub(crate) fn new(version: Version) -> Self {
        Self { version, back: BytesMut::new(), into: BytesMut::new(), pending: VecDeque::new(), began: false }
    }

    /// The listener took these bytes in.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.into.extend_from_slice(bytes);
        if !self.began && wire::decode_connect(&mut self.into, &Limits::default()).unwrap().is_some() {
            self.began = true;
        }
        if !self.began {
            return;
        }
        while let Some(packet) = wire::decode(&mut self.into, self.version, &Limits::default()).unwrap() {
            if let Packet::Publish(publish) = packet
                && let Some(id) = publish.packet_id
                && !self.pending.iter().any(|(known, _)| *known == id.get())
            {
                self.pending.push_back((id.get(), Msg::of(&publish.payload)));
            }
        }
    }

    /// The listener wrote these: the messages that got their PUBACK.
    pub(crate) fn wrote(&mut self, bytes: &Bytes, ledger: &mut Ledger) -> Vec<Msg> {
        self.back.extend_from_slice(bytes);
        let mut acked = Vec::new();
        while let Some(packet) = wire::decode(&mut self.back, self.version, &Limits::default()).unwrap() {
            let Packet::PubAck(ack) = packet else { continue };
            let front = self.pending.front().copied();
            let id = ack.packet_id.get();
            let right = front.is_some_and(|(oldest, _)| oldest == id);
            ledger.require(right, Rule::PubackOrder, || format!("{id}, the oldest is {front:?}"));
            if let Some((_, msg)) = self.pending.pop_front() {
                acked.push(msg);
            }
        }
        acked
    }
}
