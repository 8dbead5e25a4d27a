//! Bugs planted between the parts: the product's code stays as it is, what goes in or comes out of it is changed on the way.

use std::collections::{HashMap, HashSet};

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::{self, Limits, Packet, PacketId, QoS, Utf8, Version};

use crate::forger::Forger;
use crate::ledger::Msg;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The hub acknowledges a message and loses it.
    HubForgets,
    /// The queue removes a row when it is leased.
    RemovedAtLease,
    /// A receipt is resolved when the row is pushed, one commit early.
    ReceiptAtPush,
    /// The receipts of a connection are resolved when it ends: the copy that its sensor sends again is taken for a safe one.
    ReceiptAtClose,
    /// One PUBLISH more than the hub's Receive Maximum.
    OneMore,
    /// An identifier is used again while it is in flight.
    IdReused,
    /// Two PUBACKs to a sensor change places.
    PubacksSwapped,
    /// Two PUBLISHes to the hub change places.
    PublishesSwapped,
    /// DUP is cleared.
    DupCleared,
    /// Messages in flight when the hub lost the session are not published again.
    LostSessionDiscarded,
    /// A row gets another identity with every lease.
    FreshIdentity,
    /// A row's time to live begins anew with every lease.
    AgeForgotten,
    /// Acknowledgements never reach the disk.
    AcksNotSaved,
    /// Rows that are given back stay leased.
    LeaseKept,
    /// The link says `flowing` as long as it is connected.
    LinkLies,
    /// A clock that shows the bridge no delay, so that its window never shrinks.
    DelayHidden,
    /// A row that the hub refused is deleted, and counted.
    RefusedDeleted,
    /// A row that the hub refused is reported as handed over.
    RefusedAcked,
    /// While rows are parked no new ones go out.
    ParkedBlock,
    /// Nothing is ever parked: it goes back to its old place.
    NeverParked,
    /// Parked rows are not on the disk.
    ParkedInRam,
    /// A refused filter is asked for again at once.
    SubscribeStorm,
    /// Four seconds without a byte from the hub are a stall, doubled with each break, however much is being transmitted.
    TransmissionIsSilence,
    /// Connections are read whatever `may_read` says.
    AlwaysReads,
    /// CONNECT is sent twice.
    ConnectsTwice,
    /// Messages in flight are given up when the hub comes back with Retain Available 0 or Maximum QoS 0.
    GivenUpOnResume,
    /// The retain flag stays set for a hub that has Retain Available 0.
    RetainKept,
    /// Messages that fit only without the definition of an alias are given up.
    DefinitionCounts,
    /// Answers count in the order in which the messages went only.
    AnswersInOrder,
    /// The hub keeps no identifier of QoS 2 over a connection's end.
    HubForgetsIdentifiers,
    /// A PUBREL is not sent again on the next connection.
    ReleaseNotResent,
    /// Identifiers of an earlier life are not released before they are used.
    NotReleasedAtStart,
    /// A message of QoS 2 counts as completed when it was sent.
    DoneAtPublish,
    /// A message of QoS 2 counts as completed with its PUBREC.
    DoneAtPubrec,
    /// A PUBCOMP for an identifier that the hub does not know completes its message.
    ForgottenCounts,
    /// Every life of the gateway begins with the same packet identifiers.
    IdentifiersBeginAgain,
    /// The rows that wait are counted when some are leased.
    WaitingAtLastLease,
    /// A filter is asked for again at the QoS of its first request, a rule's.
    QosNotRaised,
    /// The gateway wants to be woken at once each time it was, for a good while.
    WokenAtOnce,
}

/// Changes what the gateway writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mutator {
    buffer: BytesMut,
    extra: u16,
    pub(crate) forger: Forger,
    /// QoS of each filter's first request.
    asked: HashMap<Utf8, QoS>,
    pub(crate) discarded: HashSet<Msg>,
}

impl Mutator {
    /// A connection begins.
    pub(crate) fn reset(&mut self) {
        self.buffer.clear();
        self.forger.reset();
    }

    /// Gateway to hub. `room`: what the hub's Receive Maximum leaves.
    pub(crate) fn wan(&mut self, bug: Option<Bug>, bytes: Bytes, room: usize) -> Bytes {
        let stream = [
            Bug::OneMore,
            Bug::IdReused,
            Bug::PublishesSwapped,
            Bug::DupCleared,
            Bug::LostSessionDiscarded,
            Bug::ConnectsTwice,
            Bug::RetainKept,
            Bug::QosNotRaised,
        ];
        let Some(bug) = bug.filter(|bug| stream.contains(bug) || bug.is_forged()) else { return bytes };
        let mut packets = self.packets(&bytes);
        match bug {
            Bug::OneMore => self.send_one_more(&mut packets, room),
            Bug::IdReused => reuse_identifiers(&mut packets),
            Bug::PublishesSwapped => {
                for at in 1..packets.len() {
                    if let (Packet::Publish(a), Packet::Publish(b)) = (&packets[at - 1], &packets[at])
                        && a.topic == b.topic
                    {
                        packets.swap(at - 1, at);
                        break;
                    }
                }
            }
            Bug::DupCleared => {
                for packet in &mut packets {
                    if let Packet::Publish(publish) = packet {
                        publish.dup = false;
                    }
                }
            }
            Bug::RetainKept => {
                for packet in &mut packets {
                    if let Packet::Publish(publish) = packet {
                        publish.retain |= Msg::of(&publish.payload).sensor % 2 == 1;
                    }
                }
            }
            Bug::QosNotRaised => {
                let subscribes = packets.iter_mut().filter_map(|packet| match packet {
                    Packet::Subscribe(subscribe) => Some(subscribe),
                    _ => None,
                });
                for asked in subscribes.flat_map(|subscribe| &mut subscribe.filters) {
                    asked.qos = *self.asked.entry(asked.filter.clone()).or_insert(asked.qos);
                }
            }
            Bug::ConnectsTwice => {
                let connect = packets.iter().find(|packet| matches!(packet, Packet::Connect(_))).cloned();
                packets.extend(connect);
            }
            bug if bug.is_forged() => packets.retain(|packet| self.forger.lets_pass(bug, packet)),
            _ => packets.retain(|packet| match packet {
                Packet::Publish(publish) => !self.discarded.contains(&Msg::of(&publish.payload)),
                _ => true,
            }),
        }
        encoded(&packets, Version::V5)
    }

    fn send_one_more(&mut self, packets: &mut Vec<Packet>, room: usize) {
        let last = packets.iter().rposition(is_publish);
        let sent = packets.iter().filter(|p| is_publish(p)).count();
        if let Some(at) = last.filter(|_| sent >= room) {
            let mut more = packets[at].clone();
            self.extra += 1;
            set_id(&mut more, 60_000 + self.extra);
            packets.insert(at + 1, more);
        }
    }

    /// Listener to a sensor. `held`: a PUBACK of this connection that leaves behind the next.
    pub(crate) fn lan(bug: Option<Bug>, version: Version, bytes: Bytes, held: &mut Option<Packet>) -> Bytes {
        if bug != Some(Bug::PubacksSwapped) {
            return bytes;
        }
        let mut rest = BytesMut::from(&bytes[..]);
        let mut packets = Vec::new();
        while let Ok(Some(packet)) = wire::decode(&mut rest, version, &Limits::default()) {
            match (&packet, held.take()) {
                (Packet::PubAck(ack), None) if ack.packet_id.get() % 8 == 0 => *held = Some(packet),
                (_, before) => {
                    packets.push(packet);
                    packets.extend(before);
                }
            }
        }
        encoded(&packets, version)
    }

    fn packets(&mut self, bytes: &Bytes) -> Vec<Packet> {
        self.buffer.extend_from_slice(bytes);
        let mut packets = Vec::new();
        if self.buffer.first() == Some(&0x10) {
            let connect = wire::decode_connect(&mut self.buffer, &Limits::default()).unwrap().unwrap();
            packets.push(Packet::Connect(Box::new(connect)));
        }
        while let Some(packet) = wire::decode(&mut self.buffer, Version::V5, &Limits::default()).unwrap() {
            packets.push(packet);
        }
        packets
    }
}

fn id_of(packet: &Packet) -> Option<u16> {
    match packet {
        Packet::Publish(publish) => publish.packet_id.map(PacketId::get),
        _ => None,
    }
}

fn is_publish(packet: &Packet) -> bool {
    matches!(packet, Packet::Publish(p) if p.packet_id.is_some())
}

fn reuse_identifiers(packets: &mut [Packet]) {
    let mut last = None;
    for packet in packets.iter_mut().filter(|p| is_publish(p)) {
        let own = id_of(packet);
        if let (Some(id), true) = (last, own.is_some_and(|id| id % 16 == 0)) {
            set_id(packet, id);
        }
        last = own;
    }
}

fn set_id(packet: &mut Packet, id: u16) {
    if let Packet::Publish(publish) = packet {
        publish.packet_id = PacketId::new(id);
    }
}

fn encoded(packets: &[Packet], version: Version) -> Bytes {
    let mut out = BytesMut::new();
    for packet in packets {
        wire::encode(packet, version, &mut out).unwrap();
    }
    out.freeze()
}
