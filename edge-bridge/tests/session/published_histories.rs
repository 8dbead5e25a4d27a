//! QoS 2 between two sessions in random histories: the connection is cut at any byte, and the sender's process killed.

use std::collections::BTreeMap;

use bytes::BytesMut;
use edge_bridge::session::{
    Accept, ClientConfig, Closed, Event, Input, Output, Resume, ServerConfig, Session, SessionOutcome, Token,
};
use edge_bridge::wire::{ReasonCode, Version};

use crate::random::{Rng, percent, seed_or};
use crate::session_support::*;

const OK: ReasonCode = ReasonCode::SUCCESS;

/// Both sides of a connection that is cut at any byte, and their application.
struct World {
    rng: Rng,
    sender: Option<Session>,
    receiver: Option<Session>,
    /// States that the two sides keep between connections.
    resumes: (Option<Resume>, Resume),
    to_receiver: BytesMut,
    to_sender: BytesMut,
    epoch: u64,
    is_accepted: bool,
    /// Connections are cut before CONNACK, too.
    cuts_handshakes: bool,
    /// Messages that are not completed, by token; set while one is in flight or accepted.
    uncompleted: BTreeMap<u64, bool>,
    published: u64,
    /// Number of times that the receiver's application got each message, by its payload.
    got: BTreeMap<u64, usize>,
    /// Messages that were in flight or accepted when the sender's process was killed, or accepted when the session became doubtful.
    doubtful: Vec<u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            sender: None,
            receiver: None,
            resumes: (None, Resume::new()),
            to_receiver: BytesMut::new(),
            to_sender: BytesMut::new(),
            epoch: 0,
            is_accepted: false,
            cuts_handshakes: false,
            uncompleted: BTreeMap::new(),
            published: 0,
            got: BTreeMap::new(),
            doubtful: Vec::new(),
        }
    }

    fn connect(&mut self) {
        self.epoch += 1;
        let mut config = ClientConfig::new(text("site7"));
        config.version = self.rng.pick(&[Version::V5, Version::V311]);
        if let Some(resume) = self.resumes.0.as_mut().filter(|resume| resume.is_doubtful()) {
            resume.begin_again(|token| {
                self.doubtful.push(token.0);
                Some(exactly(&token.0.to_string()))
            });
        }
        self.sender = Some(Session::client(0, self.epoch, config, self.resumes.0.take()));
        let mut config = ServerConfig::default();
        config.receive_maximum = self.rng.pick(&[1, 3, 300]);
        self.receiver = Some(Session::server(0, self.epoch, config));
    }

    fn cut(&mut self) {
        let (Some(mut sender), Some(mut receiver)) = (self.sender.take(), self.receiver.take()) else {
            return;
        };
        // What has arrived is handled, up to any byte.
        let whole = self.to_receiver.len();
        let part = self.rng.index(whole + 1);
        receiver.handle_input(0, Input::Bytes(&mut self.to_receiver.split_to(part)));
        self.receiver = Some(receiver);
        self.receive();
        if let Some(mut receiver) = self.receiver.take() {
            receiver.handle_input(0, Input::Closed);
            // Before it accepted the sender the state is still where it was.
            if std::mem::take(&mut self.is_accepted) {
                self.resumes.1 = receiver.into_resume();
            }
        }
        sender.handle_input(0, Input::Closed);
        self.resumes.0 = sender.had_session().then(|| sender.into_resume());
        self.to_receiver.clear();
        self.to_sender.clear();
    }

    /// Ends the sender's process, which keeps its messages and nothing of its session.
    fn kill(&mut self) {
        self.cut();
        self.resumes.0 = None;
        for (token, is_out) in &mut self.uncompleted {
            if std::mem::take(is_out) {
                self.doubtful.push(*token);
            }
        }
    }

    fn publish(&mut self) {
        let Some(sender) = &mut self.sender else { return };
        let waiting = self.uncompleted.iter_mut().filter(|(_, is_out)| !**is_out);
        for (token, is_out) in waiting {
            *is_out = sender.publish(0, Token(*token), &exactly(&token.to_string())).is_ok();
            if !*is_out {
                break;
            }
        }
    }

    fn send(&mut self) {
        let Some(sender) = &mut self.sender else { return };
        let part = self.rng.index(self.to_sender.len() + 1);
        let mut bytes = self.to_sender.split_to(part);
        sender.handle_input(0, Input::Bytes(&mut bytes));
        // The session leaves the rest of a packet.
        bytes.unsplit(std::mem::take(&mut self.to_sender));
        self.to_sender = bytes;
        while let Some(output) = sender.poll_output() {
            match output {
                Output::Transmit(bytes) => self.to_receiver.extend_from_slice(&bytes),
                Output::Event(Event::Acked { reason, is_complete, .. }) => {
                    assert_eq!((reason, is_complete), (OK, false));
                }
                Output::Event(Event::Completed { token: Some(token), by_peer }) => {
                    assert!(by_peer, "the receiver answers what it does not know");
                    self.uncompleted.remove(&token.0);
                }
                Output::Event(Event::Connected(connected)) => match connected.session {
                    SessionOutcome::Moved(_) | SessionOutcome::Lost(_) => panic!("the receiver keeps it"),
                    _ => {}
                },
                Output::Event(Event::Closed(why)) => assert_eq!(why, Closed::Transport),
                Output::Event(_) => {}
            }
        }
    }

    fn receive(&mut self) {
        let Some(receiver) = &mut self.receiver else { return };
        let mut acks = Vec::new();
        while let Some(output) = receiver.poll_output() {
            match output {
                Output::Transmit(bytes) => self.to_sender.extend_from_slice(&bytes),
                Output::Event(Event::Connect(_)) => {
                    let mut accept = Accept::default();
                    // A session of the first connection is new for both.
                    accept.resume = (self.epoch > 1).then(|| std::mem::take(&mut self.resumes.1));
                    receiver.accept(0, accept);
                    self.is_accepted = true;
                }
                Output::Event(Event::Publish { publish, ack }) => {
                    let n = std::str::from_utf8(&publish.payload).unwrap().parse().unwrap();
                    *self.got.entry(n).or_default() += 1;
                    receiver.take_in(ack.unwrap());
                    acks.push(ack.unwrap());
                }
                Output::Event(Event::Repeated { ack, .. }) => acks.push(ack),
                Output::Event(Event::Closed(why)) => assert_eq!(why, Closed::Transport),
                Output::Event(_) => {}
            }
            for ack in acks.drain(..) {
                receiver.ack(0, ack, OK).unwrap();
            }
        }
    }

    fn step(&mut self, kills: bool) {
        if self.sender.is_none() {
            self.connect();
        }
        match self.rng.index(20) {
            0 if self.cuts_handshakes || self.sender.as_ref().is_some_and(Session::is_open) => self.cut(),
            1 if kills && self.rng.one_in(4) => self.kill(),
            2..6 => {
                self.published += 1;
                self.uncompleted.insert(self.published, false);
            }
            _ => self.run(),
        }
    }

    fn run(&mut self) {
        self.publish();
        self.send();
        if let Some(receiver) = &mut self.receiver {
            let part = self.rng.index(self.to_receiver.len() + 1);
            // The session leaves the rest of a packet, and what comes behind a CONNECT without a decision.
            let mut bytes = self.to_receiver.split_to(part);
            receiver.handle_input(0, Input::Bytes(&mut bytes));
            bytes.unsplit(std::mem::take(&mut self.to_receiver));
            self.to_receiver = bytes;
        }
        self.receive();
    }

    fn end(&mut self, place: &str) {
        for round in 0.. {
            assert!(round < 100_000, "{place}: {} are never handed over", self.uncompleted.len());
            if self.sender.is_none() {
                self.connect();
            }
            self.run();
            if self.uncompleted.is_empty() {
                break;
            }
        }
        for n in 1..=self.published {
            let times = self.got.get(&n).copied().unwrap_or(0);
            let most = 1 + self.doubtful.iter().filter(|doubtful| **doubtful == n).count();
            assert!((1..=most).contains(&times), "{place}: message {n} came {times} times of {most}");
        }
    }
}

/// Promise 4, for QoS 2: once while the sender lives and each CONNECT gets its CONNACK; none is lost, and only what was in flight at a kill, or accepted in a
/// doubtful session, may come twice.
#[test]
fn promise_4_messages_of_qos_2_are_handed_over_once_in_random_histories() {
    let (seed, histories) = (seed_or(1), 30 * percent());
    let (mut messages, mut twice) = (0, 0);
    for n in 0..histories {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
        let mut world = World::new(seed);
        let kills = n % 2 == 1;
        world.cuts_handshakes = n % 4 > 1;
        (0..400).for_each(|_| world.step(kills));
        world.end(&format!("history {seed}"));
        assert!(kills || world.cuts_handshakes || world.doubtful.is_empty());
        messages += world.published;
        twice += world.got.values().filter(|times| **times > 1).count();
    }
    assert!(messages > 50 * histories && twice > 0, "{messages} {twice}");
    println!(
        "executed promise_4_messages_of_qos_2_are_handed_over_once_in_random_histories: {histories} cases"
    );
}
