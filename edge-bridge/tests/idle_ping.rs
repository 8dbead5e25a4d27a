//! Commands on an idle link: a half-open connection is noticed within `command_within`, and pings are sent only where nothing else proves life.
//! Promises 5 and 9.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::spool::MemorySpool;
use edge_bridge::bridge::{Core, Event, Input, LinkConfig, Output, RawPack, idle_ping_every_ms};
use edge_bridge::ingest::Now;
use edge_bridge::session::ClientConfig;
use edge_bridge::wire::{
    self, Ack, ConnAck, Limits, Packet, Properties, Publish, QoS, ReasonCode, SubAck, Utf8, Version,
};

fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

/// A link and a hub that answers after `rtt_ms` until it is lost.
struct World {
    core: Core<MemorySpool, RawPack>,
    now_ms: u64,
    rtt_ms: u64,
    lost: bool,
    /// Answers on their way, with their time.
    answers: Vec<(u64, Packet)>,
    pings: Vec<u64>,
    hangups: Vec<u64>,
    dials: Vec<u64>,
    stalls: usize,
}

impl World {
    fn new(command_within_ms: u64, rtt_ms: u64, subscribed: bool) -> Self {
        let mut client = ClientConfig::new(text("site7"));
        client.keep_alive_s = 60;
        let mut config = LinkConfig::new(client);
        config.command_within_ms = command_within_ms;
        let core = Core::new(config, MemorySpool::new(1_000, 1_000_000), RawPack::new(false));
        let mut world = Self {
            core,
            now_ms: 1,
            rtt_ms,
            lost: false,
            answers: Vec::new(),
            pings: Vec::new(),
            hangups: Vec::new(),
            dials: Vec::new(),
            stalls: 0,
        };
        if subscribed {
            world.core.subscribe(world.now(), text("cmd/#"), QoS::AtLeastOnce);
        }
        world.core.start(world.now());
        world.outputs();
        world
    }

    fn now(&self) -> Now {
        Now { up_ms: self.now_ms, wall_ms: 0 }
    }

    fn input(&mut self, input: Input<'_>) {
        self.core.handle_input(Now { up_ms: self.now_ms, wall_ms: 0 }, input);
        self.outputs();
    }

    fn outputs(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Dial { .. } => {
                    self.dials.push(self.now_ms);
                    // The path takes connections, whatever became of the one before.
                    self.lost = false;
                    self.core.handle_input(self.now(), Input::Dialed);
                }
                Output::Hangup => {
                    self.hangups.push(self.now_ms);
                    self.answers.clear();
                }
                Output::Event(Event::Stalled) => self.stalls += 1,
                Output::Event(_) | Output::Probe { .. } => {}
                Output::Transmit(bytes) => self.sent(&bytes),
            }
        }
    }

    fn sent(&mut self, bytes: &Bytes) {
        let mut bytes = BytesMut::from(bytes.as_ref());
        while !bytes.is_empty() {
            let answer = if bytes[0] == 0x10 {
                wire::decode_connect(&mut bytes, &Limits::default()).unwrap().unwrap();
                let (reason, properties) = (ReasonCode::SUCCESS, Properties::default());
                Some(Packet::ConnAck(ConnAck { session_present: false, reason, properties }))
            } else {
                match wire::decode(&mut bytes, Version::V5, &Limits::default()).unwrap().unwrap() {
                    Packet::PingReq => {
                        self.pings.push(self.now_ms);
                        Some(Packet::PingResp)
                    }
                    Packet::Publish(publish) => {
                        let ack = Ack::new(publish.packet_id.unwrap(), ReasonCode::SUCCESS);
                        Some(Packet::PubAck(ack))
                    }
                    Packet::Subscribe(subscribe) => Some(Packet::SubAck(SubAck {
                        packet_id: subscribe.packet_id,
                        properties: Properties::default(),
                        reasons: vec![ReasonCode::GRANTED_QOS_1; subscribe.filters.len()],
                    })),
                    _ => None,
                }
            };
            if !self.lost {
                self.answers.extend(answer.map(|answer| (self.now_ms + self.rtt_ms, answer)));
            }
        }
    }

    /// Until then, with everything that is due on the way.
    fn run(&mut self, until_ms: u64) {
        for steps in 0.. {
            assert!(steps < 100_000, "a deadline that never moves");
            let answer_ms = self.answers.first().map(|(at_ms, _)| *at_ms);
            let due_ms = [answer_ms, self.core.next_deadline()].into_iter().flatten().min();
            let Some(due_ms) = due_ms.filter(|due_ms| *due_ms <= until_ms) else { break };
            self.now_ms = due_ms.max(self.now_ms);
            if answer_ms == Some(due_ms) {
                let (_, packet) = self.answers.remove(0);
                self.receive(&packet);
            } else {
                self.core.handle_timeout(Now { up_ms: self.now_ms, wall_ms: 0 });
                self.outputs();
            }
        }
        self.now_ms = until_ms;
    }

    fn receive(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        wire::encode(packet, Version::V5, &mut bytes).unwrap();
        self.input(Input::Bytes(&mut bytes));
    }
}

/// At whatever moment the link is lost, it is back within the time.
#[test]
fn an_idle_subscriber_is_connected_again_within_the_time() {
    for rtt_ms in [1, 200, 900] {
        for lost_ms in (60_000..80_000).step_by(700) {
            let mut world = World::new(15_000, rtt_ms, true);
            world.run(lost_ms);
            assert!(world.hangups.is_empty(), "rtt {rtt_ms}: {:?}", world.hangups);
            (world.lost, world.answers) = (true, Vec::new());
            world.run(lost_ms + 15_000);
            assert_eq!(
                (world.hangups.len(), world.stalls, world.dials.len()),
                (1, 1, 2),
                "{rtt_ms} ms, {lost_ms}"
            );
            assert!(world.core.session().unwrap().is_open(), "{rtt_ms} ms, lost at {lost_ms}");
        }
    }
}

/// Negative controls: without the probe, and without a subscription, only the keep alive notices.
#[test]
fn without_the_probe_or_a_subscription_it_takes_the_keep_alive() {
    for (within_ms, subscribed) in [(0, true), (15_000, false)] {
        let mut world = World::new(within_ms, 10, subscribed);
        world.run(60_500);
        assert_eq!(world.pings.len(), 1, "the keep alive's");
        world.lost = true;
        world.run(60_500 + 60_000);
        assert!(world.hangups.is_empty(), "{within_ms} {subscribed}: {:?}", world.hangups);
        world.run(60_500 + 75_000);
        assert_eq!(world.hangups.len(), 1, "{within_ms} {subscribed}");
    }
}

/// Promise 9: pings where nothing else comes, and only there.
#[test]
fn traffic_saves_the_pings() {
    let mut idle = World::new(15_000, 10, true);
    idle.run(600_000);
    assert_eq!(idle.pings.len(), 54, "one in {} ms and a round trip", idle_ping_every_ms(15_000));
    let mut busy = World::new(15_000, 10, true);
    for n in 0..120 {
        busy.core.spool_mut().push(busy.now_ms, Row::new(text("a"), Bytes::from_static(b"x"))).unwrap();
        busy.input(Input::Rows);
        busy.run((n + 1) * 5_000);
    }
    assert_eq!((busy.pings.len(), busy.core.stats().rows_delivered), (0, 120));
    let mut commanded = World::new(15_000, 10, true);
    for n in 0..120 {
        commanded.run(100 + n * 5_000);
        commanded.receive(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: text("cmd/a"),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::new(),
        }));
    }
    // The keep alive's own, which says something of us.
    assert!(commanded.pings.len() <= 10, "{}", commanded.pings.len());
}
