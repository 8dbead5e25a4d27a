//! Test rig of an uplink: an open session, a spool in memory, no network, and PUBACKs given by the test.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::ingest::Now;
use crate::row::Row;
use crate::session::{self, ClientConfig, Session};
use crate::wire::{
    self, Ack, ConnAck, Limits, Packet, PacketId, PropertiesBuilder, PropertyId, ReasonCode, Utf8, Value,
    Version,
};

use super::message::Message;
use super::packing::pack::{Pack, Packed, RawPack};
use super::spool::{LeaseId, MemorySpool, Spool};
use super::stats::Stats;
use super::uplink::{Answer, Uplink};

pub(super) const SUCCESS: ReasonCode = ReasonCode::SUCCESS;
pub(super) const QUOTA: ReasonCode = ReasonCode::QUOTA_EXCEEDED;
pub(super) const DENIED: ReasonCode = ReasonCode::NOT_AUTHORIZED;

pub(super) fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

/// Uplink under test, with its session and spool.
pub(super) struct Rig<P> {
    pub(super) uplink: Uplink<P>,
    pub(super) session: Session,
    pub(super) spool: MemorySpool,
    pub(super) stats: Stats,
    pub(super) now_ms: u64,
    /// Identifiers of messages that the hub has not answered.
    unanswered: VecDeque<PacketId>,
}

impl Rig<RawPack> {
    /// `receive_maximum`: messages in flight at most; `window_max`: their bytes, with 1 for one message at a time.
    pub(super) fn new(receive_maximum: u16, window_max: u64) -> Self {
        Self::with(RawPack::new(false), receive_maximum, window_max)
    }
}

impl<P: Pack> Rig<P> {
    pub(super) fn with(pack: P, receive_maximum: u16, window_max: u64) -> Self {
        let mut session = Session::client(0, 1, ClientConfig::new(text("site7")), None);
        let mut properties = PropertiesBuilder::new();
        properties.push(PropertyId::ReceiveMaximum, Value::U16(receive_maximum)).unwrap();
        let properties = properties.finish();
        receive(
            &mut session,
            0,
            &Packet::ConnAck(ConnAck { session_present: false, reason: SUCCESS, properties }),
        );
        while session.poll_output().is_some() {}
        let (uplink, spool) = (Uplink::new(pack, window_max, 1), MemorySpool::new(100_000, 100_000_000));
        Self { uplink, session, spool, stats: Stats::default(), now_ms: 0, unanswered: VecDeque::new() }
    }

    pub(super) fn push(&mut self, topic: &str, payload: &str) -> LeaseId {
        self.push_row(Row::new(text(topic), Bytes::from(payload.to_owned())))
    }

    /// A row for each of these topics.
    pub(super) fn fill(&mut self, topics: &[&str]) {
        for topic in topics {
            self.push(topic, "x");
        }
    }

    pub(super) fn push_row(&mut self, row: Row) -> LeaseId {
        self.spool.push(self.now_ms, row).unwrap()
    }

    /// Puts a row among the parked ones.
    pub(super) fn park(&mut self, topic: &str, payload: &str) -> LeaseId {
        let id = self.push(topic, payload);
        self.spool.park(id, QUOTA);
        id
    }

    /// A message whose row is leased, as it is before it is sent. `swept`: the row is a parked one.
    pub(super) fn message(&mut self, topic: &str, swept: bool) -> Message {
        let id = if swept { self.park(topic, "x") } else { self.push(topic, "x") };
        self.message_of(id, topic, swept)
    }

    pub(super) fn message_of(&mut self, id: LeaseId, topic: &str, swept: bool) -> Message {
        let rows = if swept {
            self.spool.lease_parked(self.now_ms, 1, usize::MAX)
        } else {
            self.spool.lease(self.now_ms, 1, usize::MAX)
        };
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
        let mut packed = Packed::of_rows(text(topic), vec![id]);
        packed.publish.payload = rows[0].row.payload.clone();
        packed.expires_ms = rows[0].expires_ms;
        self.uplink.next_serial += 1;
        Message::new(packed, self.uplink.next_serial, swept)
    }

    /// Sends a message of its own, before anything else.
    pub(super) fn send(&mut self, message: Message) {
        self.uplink.again.push_back(message);
        assert_eq!(self.pump().len(), 1);
    }

    /// Payloads that are sent now. Until something happens there is nothing more to do.
    pub(super) fn pump(&mut self) -> Vec<String> {
        let now = Now { up_ms: self.now_ms, wall_ms: 0 };
        self.uplink.pump(now, &mut self.session, &mut self.spool, &mut self.stats);
        let due_ms = self.uplink.next_deadline(&self.session);
        assert!(due_ms.is_none_or(|due_ms| due_ms > self.now_ms), "{due_ms:?} at {}", self.now_ms);
        let mut sent = Vec::new();
        while let Some(output) = self.session.poll_output() {
            let session::Output::Transmit(bytes) = output else { continue };
            let mut bytes = BytesMut::from(bytes.as_ref());
            while let Some(packet) = wire::decode(&mut bytes, Version::V5, &Limits::default()).unwrap() {
                let Packet::Publish(publish) = packet else { continue };
                self.unanswered.extend(publish.packet_id);
                sent.push(String::from_utf8(publish.payload.to_vec()).unwrap());
            }
        }
        sent
    }

    /// The hub answers the oldest message that it has not answered.
    pub(super) fn answer(&mut self, reason: ReasonCode) {
        let id = self.unanswered.pop_front().unwrap();
        receive(&mut self.session, self.now_ms, &Packet::PubAck(Ack::new(id, reason)));
        while let Some(output) = self.session.poll_output() {
            if let session::Output::Event(session::Event::Acked { token, reason, is_complete, .. }) = output {
                let answer = Answer { token, reason, is_complete };
                self.uplink.on_acked(self.now_ms, answer, &mut self.spool, &mut self.stats);
            }
        }
    }

    /// The link is refused: eight denials of eight topics.
    pub(super) fn refuse_link(&mut self) {
        for n in 0..8 {
            self.uplink.link.on_answer(self.now_ms, DENIED, &text(&format!("denied/{n}")), false);
        }
        assert!(self.uplink.link.is_refused());
    }
}

fn receive(session: &mut Session, now_ms: u64, packet: &Packet) {
    let mut bytes = BytesMut::new();
    wire::encode(packet, Version::V5, &mut bytes).unwrap();
    session.handle_input(now_ms, session::Input::Bytes(&mut bytes));
}
