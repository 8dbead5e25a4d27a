//! Receipts that come in the middle of exchanges at QoS 2: a row is done once, whatever becomes of its exchange, and what the link sends of it has the
//! identity that the receipt names.

use bytes::BytesMut;
use edge_queue::{IdRange, RowId};

use super::*;
use crate::bridge::{Core, Input, LinkConfig, Output, RawPack};
use crate::ingest::Now;
use crate::session::ClientConfig;
use crate::wire::{self, Ack, ConnAck, Limits, Packet, PacketId, Properties, QoS, Version};

/// First identifier for messages of QoS 2.
const FIRST: u16 = 65_280;
const AT: Now = Now { up_ms: 10_000, wall_ms: 0 };

/// A link over a queue, with the hub's side of the wire in the test's hands.
struct Link {
    core: Core<QueueSpool, RawPack>,
    main: aio::Queue,
    wake: Arc<Notify>,
    packets: Vec<Packet>,
}

impl Link {
    /// Its queue has four rows of QoS 2, and the hub has accepted and not completed the first two.
    async fn begun(main: &SimDir, parked: &SimDir, clock: &Arc<ManualClock>) -> (Self, JoinHandle<()>) {
        let open = opens(parked, parked_config(), clock.clone());
        let rig = Rig::new(on(main, config(), clock.clone()), false, open).await;
        rig.push((0..4).map(|n| Row { qos: QoS::ExactlyOnce, ..row(n) })).await;
        let Rig { main, spool, wake, task, .. } = rig;
        let config = LinkConfig::new(ClientConfig::new(Utf8::from_static("site7")));
        let mut link =
            Self { core: Core::new(config, spool, RawPack::new(true)), main, wake, packets: Vec::new() };
        link.core.start(AT);
        link.connect(false);
        assert_eq!(link.sent(4).await.iter().map(|sent| sent.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
        (FIRST..FIRST + 2).for_each(|id| link.receive(&Packet::PubRec(ack(id))));
        (link, task)
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            let Output::Transmit(bytes) = output else { continue };
            let mut bytes = BytesMut::from(bytes.as_ref());
            while bytes.first().is_some_and(|first| *first != 0x10)
                && let Some(packet) = wire::decode(&mut bytes, Version::V5, &Limits::default()).unwrap()
            {
                self.packets.push(packet);
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.core.handle_input(AT, input);
        self.drain();
    }

    fn receive(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        wire::encode(packet, Version::V5, &mut bytes).unwrap();
        self.input(Input::Bytes(&mut bytes));
    }

    fn connect(&mut self, session_present: bool) {
        self.input(Input::Dialed);
        let (reason, properties) = (ReasonCode::SUCCESS, Properties::default());
        self.receive(&Packet::ConnAck(ConnAck { session_present, reason, properties }));
    }

    /// The hub comes back without its session.
    fn lose_session(&mut self) {
        self.input(Input::HungUp(None));
        let now_ms = self.core.next_deadline().unwrap();
        self.core.handle_timeout(Now { up_ms: now_ms, ..AT });
        self.packets.clear();
        self.connect(false);
    }

    /// Waits for so many messages. Returns the number, the identity and the identifier of each.
    async fn sent(&mut self, messages: usize) -> Vec<(u8, String, u16)> {
        let mut sent = Vec::new();
        loop {
            sent.extend(self.packets.drain(..).filter_map(|packet| match packet {
                Packet::Publish(sent) => {
                    let identity = sent.properties.user_property("edge-id").unwrap().to_owned();
                    Some((sent.payload[0], identity, sent.packet_id.unwrap().get()))
                }
                _ => None,
            }));
            if sent.len() >= messages {
                return sent;
            }
            self.input(Input::Rows);
            if self.packets.is_empty() {
                soon(self.wake.notified()).await;
            }
        }
    }

    /// A receipt comes: the hub has the rows of these numbers by another way.
    async fn settle(&self, first: u64, last: u64) -> u64 {
        let gateway = self.main.gateway_id();
        let first = RowId { gateway, lane: edge_queue::Lane::TELEMETRY, epoch: 1, seq: first };
        self.main.ack_ids(CONSUMER, vec![IdRange { first, last }]).await.unwrap().acked
    }

    fn account(&self) -> (u64, u64, u64) {
        let ledger = ledger(&self.main);
        (ledger.delivered, ledger.queued, ledger.dropped.total())
    }
}

fn ack(id: u16) -> Ack {
    Ack::success(PacketId::new(id).unwrap())
}

/// The receipt names a row between PUBREC and PUBCOMP, and one before its PUBREC.
#[tokio::test]
async fn an_exchange_goes_on_to_its_end_and_a_row_counts_once() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let (mut link, _task) = Link::begun(&main, &parked, &clock).await;
    assert_eq!((link.settle(2, 3).await, link.account()), (2, (2, 2, 0)));
    (FIRST + 2..FIRST + 4).for_each(|id| link.receive(&Packet::PubRec(ack(id))));
    let released = link.packets.iter().filter(|packet| matches!(packet, Packet::PubRel(_))).count();
    assert_eq!(released, 4, "the hub's session keeps no identifier");
    (FIRST..FIRST + 4).for_each(|id| link.receive(&Packet::PubComp(ack(id))));
    assert_eq!((link.account(), link.core.stats().unacknowledged), ((4, 0, 0), 0));
    assert_eq!(link.settle(1, 4).await, 0, "the receipt comes twice");
    assert_eq!(link.account(), (4, 0, 0));
}

/// A message that the receipt ended comes again by the link, with the identity that it had; nothing of it is left or counted twice.
#[tokio::test]
async fn what_a_lost_session_makes_the_link_send_again_has_the_identity_of_the_receipt() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let (mut link, _task) = Link::begun(&main, &parked, &clock).await;
    assert_eq!(link.settle(2, 3).await, 2);
    link.lose_session();
    let again = link.sent(4).await;
    let gateway = link.main.gateway_id();
    let expected: Vec<_> = (0..4).map(|n| (n, format!("{gateway:016x}-1-1-{:x}", n + 1))).collect();
    assert_eq!(again.iter().map(|sent| (sent.0, sent.1.clone())).collect::<Vec<_>>(), expected);
    for (_, _, id) in again {
        link.receive(&Packet::PubRec(ack(id)));
        link.receive(&Packet::PubComp(ack(id)));
    }
    assert_eq!((link.account(), link.core.stats().unacknowledged), ((4, 0, 0), 0));
}

/// A stop, or a kill, in the middle: exactly what the receipt did not name is still to come.
#[tokio::test]
async fn a_link_that_ends_in_the_middle_leaves_exactly_what_the_receipt_did_not_name() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let (mut link, task) = Link::begun(&main, &parked, &clock).await;
    assert_eq!(link.settle(2, 3).await, 2);
    link.core.stop(AT);
    let Link { core, main: queue, .. } = link;
    drop(core);
    soon(task).await.unwrap();
    queue.close().await.unwrap();
    let left: Vec<u8> = drain(&on(&main, config(), clock), false).iter().map(|row| row.0).collect();
    assert_eq!(left, [0, 3]);
}
