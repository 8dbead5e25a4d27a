//! The gateway: PUBACK chain, model queue and the core of the link, put together as a shell does it; and the taps at its two sides.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::{Core, Event, Input, LinkConfig, Output, RawPack};
use edge_bridge::ingest::Now;
use edge_bridge::puback_chain::{ConnectionId, PubackChain, Release, Ticket};
use edge_bridge::session::{AckHandle, ClientConfig};
use edge_bridge::wire::{self, Packet, QoS, ReasonCode, Utf8, Version};

use crate::bug::{Bug, Mutator};
use crate::ledger::{Ledger, Msg, Rule};
use crate::queue::{Key, ModelQueue, Note};
use crate::tap::WanTap;
use crate::wire_units::Way;

/// Topics of the two publishers.
const TOPICS: [&str; 2] = ["plant/a", "plant/b"];

#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) core: Core<ModelQueue, RawPack>,
    pub(crate) chain: PubackChain,
    /// Rows that are not safe yet.
    pub(crate) tickets: BTreeMap<Key, Ticket>,
    pub(crate) is_connected: bool,
    pub(crate) mutator: Mutator,
    /// By a planted bug: a PUBACK that leaves behind the next.
    pub(crate) held_back: Option<Release>,
}

/// Input on which the gateway acts.
pub(crate) struct Around<'a> {
    pub(crate) now_ms: u64,
    pub(crate) bug: Option<Bug>,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) tap: &'a mut WanTap,
    pub(crate) to_hub: &'a mut Way,
    /// PUBACKs that left: publisher, and the message's place.
    pub(crate) pubacks: &'a mut Vec<(usize, AckHandle)>,
    /// The gateway closed the connection.
    pub(crate) has_hung_up: &'a mut bool,
}

impl Around<'_> {
    fn now(&self) -> Now {
        Now { up_ms: self.now_ms, wall_ms: 0 }
    }
}

impl Gateway {
    /// `life`: number of restarts so far, for packet identifiers of its own.
    pub(crate) fn new(queue: ModelQueue, life: u64) -> Self {
        let mut link = LinkConfig::new(ClientConfig::new(Utf8::from_static("gateway")));
        link.seed = life * 0x9a7e;
        let mut chain = PubackChain::default();
        (0..TOPICS.len() as u64).for_each(|n| chain.open(ConnectionId(n), None));
        Self {
            core: Core::new(link, queue, RawPack::new(true)),
            chain,
            tickets: BTreeMap::new(),
            is_connected: false,
            mutator: Mutator::default(),
            held_back: None,
        }
    }

    pub(crate) fn start(&mut self, around: &mut Around<'_>) {
        self.core.start(around.now());
        self.run(around);
    }

    /// Power off: what is left is the disk's.
    pub(crate) fn into_queue(mut self) -> ModelQueue {
        std::mem::take(self.core.spool_mut())
    }

    pub(crate) fn publish(
        &mut self,
        publisher: usize,
        (msg, qos, is_repeat): (Msg, QoS, bool),
        ack: AckHandle,
        around: &mut Around<'_>,
    ) {
        let mut row = Row::new(Utf8::from_static(TOPICS[publisher]), Bytes::from(msg.payload(6)));
        (row.qos, row.possible_duplicate, row.lane) = (qos, is_repeat, Some(1));
        let connection = ConnectionId(publisher as u64);
        let ticket = self.chain.store(around.now_ms, connection, None, Some(ack), row.payload.len());
        let key = self.core.spool_mut().push(around.now_ms, row);
        self.tickets.insert(key, ticket);
        if around.bug == Some(Bug::ReceiptAtPush) {
            self.chain.resolve(ticket, ReasonCode::SUCCESS);
        }
        self.input(around, Input::Rows);
    }

    pub(crate) fn receive(&mut self, packets: &[Packet], around: &mut Around<'_>) {
        let mut bytes = BytesMut::new();
        packets.iter().for_each(|packet| wire::encode(packet, Version::V5, &mut bytes).unwrap());
        around.tap.received(&bytes, around.ledger);
        if let Some(bug) = around.bug.filter(|bug| bug.is_forged()) {
            bytes = self.mutator.forger.received(bug, &bytes, around.tap.unanswered() > 0).into();
        }
        // A turn takes some packets, and leaves the rest.
        while !bytes.is_empty() && self.is_connected {
            self.input(around, Input::Bytes(&mut bytes));
        }
    }

    pub(crate) fn input(&mut self, around: &mut Around<'_>, input: Input<'_>) {
        self.core.spool_mut().now_ms = around.now_ms;
        self.core.handle_input(around.now(), input);
        self.run(around);
    }

    pub(crate) fn handle_timeout(&mut self, around: &mut Around<'_>) {
        self.core.handle_timeout(around.now());
        self.run(around);
    }

    /// Until nobody has anything more to say.
    pub(crate) fn run(&mut self, around: &mut Around<'_>) {
        loop {
            let mut moved = false;
            while let Some(output) = self.core.poll_output() {
                self.on_core(around, output);
                moved = true;
            }
            for answer in std::mem::take(&mut self.mutator.forger.answers) {
                let mut bytes = BytesMut::new();
                wire::encode(&answer, Version::V5, &mut bytes).unwrap();
                self.core.handle_input(around.now(), Input::Bytes(&mut bytes));
                moved = true;
            }
            for note in self.core.spool_mut().take_notes() {
                self.on_note(around, note);
                moved = true;
            }
            if !moved {
                break;
            }
        }
        while let Some(release) = self.chain.poll(around.now_ms) {
            let swaps = around.bug == Some(Bug::PubacksSwapped);
            if swaps && self.held_back.is_none() && release.connection == ConnectionId(0) {
                self.held_back = Some(release);
                continue;
            }
            for release in [Some(release), self.held_back.take()].into_iter().flatten() {
                around.pubacks.push((usize::try_from(release.connection.0).unwrap(), release.ack));
            }
        }
    }

    fn on_note(&mut self, around: &mut Around<'_>, note: Note) {
        match note {
            Note::Safe(key) => {
                if let Some(ticket) = self.tickets.remove(&key) {
                    self.chain.resolve(ticket, ReasonCode::SUCCESS);
                }
            }
            Note::Acked(msg) => around.ledger.on_row_acked(msg),
            Note::Expired(msg) => around.ledger.on_row_expired(msg),
            Note::Settled(msg) => around.ledger.on_row_settled(msg),
            Note::Parked(msg, why, size) => around.ledger.on_row_parked(msg, why, size),
            Note::Gone(msg) => around.ledger.on_row_gone(msg),
        }
    }

    fn on_core(&mut self, around: &mut Around<'_>, output: Output) {
        match output {
            Output::Dial { .. } => {
                self.mutator.reset();
                self.is_connected = true;
                self.core.handle_input(around.now(), Input::Dialed);
            }
            Output::Transmit(bytes) if self.is_connected => {
                let bytes = self.mutator.wan(around.bug, bytes, around.tap.room());
                around.tap.sent(&bytes, around.ledger);
                around.to_hub.write(&bytes);
            }
            Output::Transmit(_) => {}
            Output::Probe { .. } => panic!("there is one address"),
            Output::Hangup => {
                self.is_connected = false;
                around.tap.ended(around.now_ms);
                *around.has_hung_up = true;
            }
            Output::Event(Event::SessionLost { .. }) => self.mutator.discarded.extend(&around.tap.lost),
            Output::Event(Event::Disconnected { reason, .. }) if reason.contains("broke the protocol") => {
                around.ledger.violate(Rule::Protocol, || format!("at the bridge: {reason}"));
            }
            Output::Event(_) => {}
        }
    }
}
