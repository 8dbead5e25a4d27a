//! Rules of the listener in random histories of clients that die, leave, flood and read slowly, judged by counts of their own; and for each rule a
//! planted bug that it must convict. The bugs sit between the parts: the product's code stays as it is.

use crate::listener_support::*;
use crate::random::{Rng, percent, seed_or};
use bytes::Bytes;
use edge_bridge::listener::{Config, Input};
use edge_bridge::wire::{Connect, Packet, QoS, ReasonCode, Version, Will};

const MAX_CONNECTIONS: usize = 7;
const MAX_TOTAL: usize = 3_000;
const MAX_UNWRITTEN: usize = 1_000;
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Of the client that reads slowly; silence of half as much again ends its connection.
const KEEP_ALIVE_S: u16 = 5;
const PING_MS: u64 = 2_000;
const FLOOD: u64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A new client is turned away only while every place has a client that lives.
    Places,
    /// Every will at QoS 1 is published, also one that found no room.
    WillLost,
    /// A client that said goodbye leaves no will.
    WillAfterGoodbye,
    /// A client that reads at once gets every command, whatever waits for others.
    OwnShare,
    /// A client that pings stays, however slowly it reads.
    Pings,
    /// A client that does not read while it writes is read.
    Flood,
}

const RULES: [Rule; 6] =
    [Rule::Places, Rule::WillLost, Rule::WillAfterGoodbye, Rule::OwnShare, Rule::Pings, Rule::Flood];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// The end of a connection that is not read is not noticed.
    DeadUnnoticed,
    /// A will that waits for room is dropped.
    HeldWillDropped,
    /// A clean end is an end without DISCONNECT.
    GoodbyeNotSent,
    /// The client that is given a message loses it once all that waits is too much.
    ReceiverPays,
    /// Pings of a client are not read while it has much to read.
    PingsUnread,
    /// Messages of a client are not read while it has much to read.
    FloodUnread,
}

/// The bug that a rule convicts. A rule without one does not compile.
fn planted(rule: Rule) -> Bug {
    match rule {
        Rule::Places => Bug::DeadUnnoticed,
        Rule::WillLost => Bug::HeldWillDropped,
        Rule::WillAfterGoodbye => Bug::GoodbyeNotSent,
        Rule::OwnShare => Bug::ReceiverPays,
        Rule::Pings => Bug::PingsUnread,
        Rule::Flood => Bug::FloodUnread,
    }
}

/// One of the crowd.
struct Member {
    peer: Peer,
    has_will: bool,
    said_goodbye: bool,
    is_dead: bool,
}

struct World {
    site: Site,
    random: Rng,
    bug: Option<Bug>,
    crowd: Vec<Member>,
    /// Reads and answers at once.
    valve: Peer,
    /// Pings in time, and reads a little with each ping.
    slow: Peer,
    commands: Vec<String>,
    obeyed: Vec<String>,
    /// Wills at QoS 1 of connections that ended without a goodbye.
    wills: usize,
    id: u16,
    /// Places that dead connections made.
    displaced: u64,
}

type Judged = Result<(), Rule>;

impl World {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut config = Config::default();
        config.max_connections = MAX_CONNECTIONS;
        config.max_sessions = 12;
        config.max_queued = 12;
        config.max_queued_bytes = 1_500;
        config.max_queued_bytes_total = MAX_TOTAL;
        config.max_unwritten_bytes = MAX_UNWRITTEN;
        config.max_unacked_bytes = 3_000;
        config.max_in_flight = 3;
        let mut site = Site::new(config);
        let valve = site.client("valve", Version::V5);
        site.send(valve, &[subscribe(&["cmd"])]);
        let connect = Connect { keep_alive_s: KEEP_ALIVE_S, ..connect("slow", Version::V311) };
        let (slow, _) = site.connect(connect);
        site.send(slow, &[subscribe(&["#"])]);
        site.received(slow);
        site.stuck.insert(slow.connection);
        Self {
            site,
            random: Rng::new(seed),
            bug,
            crowd: Vec::new(),
            valve,
            slow,
            commands: Vec::new(),
            obeyed: Vec::new(),
            wills: 0,
            id: 0,
            displaced: 0,
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn step(&mut self) -> Judged {
        match self.random.index(20) {
            0..5 => self.joins()?,
            5..10 => self.member_says(),
            10..12 => self.leaves(),
            12..15 => self.command(),
            15 => self.floods()?,
            16 => {
                let has_room = !self.site.listener.has_room();
                self.set_room(has_room);
            }
            17 => {
                let ms = self.random.pick(&[100, 2_000, 11_000, 40_000]);
                self.pass(ms);
            }
            _ if self.site.stored.is_empty() => {}
            _ => {
                let at = self.random.index(self.site.stored.len());
                self.site.resolve(at);
            }
        }
        self.look()
    }

    /// Ends of connections, and what the well-behaved clients have.
    fn look(&mut self) -> Judged {
        for at in 0..self.crowd.len() {
            let Member { peer, is_dead, .. } = self.crowd[at];
            if !is_dead {
                continue;
            }
            // What came before the end of a connection is read before that is noticed.
            self.site.outputs();
            if self.site.listener.may_read(peer.connection) {
                self.site.cut(peer);
            } else {
                self.notice_end(peer);
            }
        }
        let closed = &self.site.closed;
        let ended = |member: &Member| closed.contains(&member.peer.connection);
        self.wills += self.crowd.iter().filter(|m| ended(m) && m.has_will && !m.said_goodbye).count();
        self.crowd.retain(|member| !ended(member));
        let messages = self.site.messages(self.valve);
        let acks: Vec<_> = messages.iter().filter_map(|m| Some(puback(m.packet_id?.get()))).collect();
        self.obeyed.extend(messages.iter().map(payload).filter(|payload| payload.starts_with("cmd")));
        self.site.send(self.valve, &acks);
        if self.wills_seen() > self.wills {
            return Err(Rule::WillAfterGoodbye);
        }
        if self.obeyed != self.commands {
            return Err(Rule::OwnShare);
        }
        if self.site.is_closed(self.slow) { Err(Rule::Pings) } else { Ok(()) }
    }

    fn wills_seen(&mut self) -> usize {
        let is_will = |topic: &str| topic == "store/gone";
        let seen = &self.site.listener.ingest_mut().seen;
        seen.iter().filter(|m| is_will(m.topic.as_str()) && m.qos == QoS::AtLeastOnce).count()
    }

    fn joins(&mut self) -> Judged {
        let (name, version) = (self.random.pick(&NAMES), self.random.pick(&[Version::V5, Version::V311]));
        let before = self.site.listener.stats().displaced;
        let accepted = self.site.listener.accept(self.site.now);
        self.site.outputs();
        self.displaced += self.site.listener.stats().displaced - before;
        let Some(connection) = accepted else {
            let dead = self.crowd.iter().any(|member| member.is_dead);
            return if dead { Err(Rule::Places) } else { Ok(()) };
        };
        let peer = Peer { connection, version };
        let packet = if self.random.index(3) == 0 { connect(name, version) } else { stays(name, version) };
        let qos = self.random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce]);
        let will =
            will("store/gone", &[]).map(|will| Will { qos, payload: Bytes::from_static(b"w"), ..will });
        self.site.send(peer, &[Packet::Connect(Box::new(Connect { will, keep_alive_s: 0, ..packet }))]);
        let is_in = |packet: &Packet| matches!(packet, Packet::ConnAck(ack) if !ack.reason.is_error());
        if self.site.received(peer).iter().any(is_in) {
            let has_will = qos == QoS::AtLeastOnce;
            self.crowd.push(Member { peer, has_will, said_goodbye: false, is_dead: false });
        }
        Ok(())
    }

    /// The place of a member that lives.
    fn living(&mut self) -> Option<usize> {
        let living: Vec<_> = (0..self.crowd.len()).filter(|at| !self.crowd[*at].is_dead).collect();
        (!living.is_empty()).then(|| self.random.pick(&living))
    }

    fn member_says(&mut self) {
        let Some(at) = self.living() else { return };
        let peer = self.crowd[at].peer;
        let text = "x".repeat(self.random.pick(&[1, 30, 300, 1_200]));
        match self.random.index(6) {
            0 | 1 => self.site.send(peer, &[subscribe(&[self.random.pick(&["#", "cmd"])])]),
            2 => {
                let messages = self.site.messages(peer);
                let acks: Vec<_> = messages.iter().filter_map(|m| Some(puback(m.packet_id?.get()))).collect();
                self.site.send(peer, &acks);
            }
            _ => {
                self.id = self.id % 60_000 + 1;
                self.site.send(peer, &[publish(self.id, "store/x", &text)]);
            }
        }
    }

    /// Dies, or says goodbye first.
    fn leaves(&mut self) {
        let Some(at) = self.living() else { return };
        let peer = self.crowd[at].peer;
        let says_goodbye = self.random.index(2) == 0;
        (self.crowd[at].is_dead, self.crowd[at].said_goodbye) = (true, says_goodbye);
        if says_goodbye && !self.has(Bug::GoodbyeNotSent) {
            self.site.send(peer, &[disconnect(ReasonCode::SUCCESS)]);
        }
        if !self.site.listener.may_read(peer.connection) {
            self.notice_end(peer);
        }
    }

    fn notice_end(&mut self, peer: Peer) {
        if !self.has(Bug::DeadUnnoticed) {
            let unread = self.site.unread(peer);
            self.site.listener.handle_input(self.site.now, peer.connection, Input::Gone { unread: &unread });
            self.site.outputs();
        }
    }

    fn command(&mut self) {
        let command = format!("cmd{} {}", self.commands.len(), "x".repeat(self.random.pick(&[1, 100, 300])));
        let waits = self.site.listener.stats().queued_bytes;
        self.site.publish(&message("cmd", &command));
        if self.has(Bug::ReceiverPays) && waits + command.len() > MAX_TOTAL {
            let lost = self.site.messages(self.valve);
            let acks: Vec<_> = lost.iter().filter_map(|m| Some(puback(m.packet_id?.get()))).collect();
            self.site.send(self.valve, &acks);
        }
        self.commands.push(command);
    }

    /// One thread, a blocking socket: it writes everything, then reads.
    fn floods(&mut self) -> Judged {
        let Some(connection) = self.site.listener.accept(self.site.now) else { return Ok(()) };
        let peer = Peer { connection, version: Version::V311 };
        let connect = Connect { keep_alive_s: 0, ..connect("flood", Version::V311) };
        self.site.send(peer, &[Packet::Connect(Box::new(connect)), subscribe(&["flood"])]);
        let is_refused = self.site.is_closed(peer);
        self.site.stuck.insert(connection);
        let before = self.site.listener.stats().received;
        for n in 0..FLOOD {
            if !(self.has(Bug::FloodUnread) && self.is_full(peer)) {
                self.site.send(peer, &[qos0("flood", &format!("{n:0200}"))]);
            }
        }
        let received = self.site.listener.stats().received - before;
        self.site.unstick(peer);
        self.site.cut(peer);
        if received < FLOOD && !is_refused { Err(Rule::Flood) } else { Ok(()) }
    }

    fn is_full(&self, peer: Peer) -> bool {
        self.site.unwritten.get(&peer.connection).is_some_and(|bytes| *bytes >= MAX_UNWRITTEN)
    }

    fn set_room(&mut self, has_room: bool) {
        let drops = has_room && self.has(Bug::HeldWillDropped);
        self.site.listener.ingest_mut().is_deaf_to_wills = drops;
        self.site.set_room(has_room);
        self.site.listener.ingest_mut().is_deaf_to_wills = false;
    }

    /// The slow client pings and reads on the way.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(PING_MS) {
            self.site.pass(ms.min(PING_MS));
            if self.site.is_closed(self.slow) {
                return;
            }
            if !(self.has(Bug::PingsUnread) && self.is_full(self.slow)) {
                self.site.send(self.slow, &[Packet::PingReq]);
            }
            self.site.take_slowly(self.slow, 300);
        }
    }

    fn end(&mut self) -> Judged {
        for member in &self.crowd {
            self.site.cut(member.peer);
        }
        self.set_room(true);
        self.look()?;
        if self.wills_seen() < self.wills { Err(Rule::WillLost) } else { Ok(()) }
    }
}

/// Times that a history met what the rules are about.
#[derive(Debug, Default)]
struct Met {
    wills: usize,
    displaced: u64,
    dropped_full: u64,
    commands: usize,
}

fn history(seed: u64, bug: Option<Bug>, met: &mut Met) -> Judged {
    let mut world = World::new(seed, bug);
    for _ in 0..300 {
        world.step()?;
    }
    world.end()?;
    met.wills += world.wills;
    met.displaced += world.displaced;
    met.dropped_full += world.site.listener.stats().dropped_full;
    met.commands += world.commands.len();
    Ok(())
}

#[test]
fn random_histories_keep_every_rule() {
    let (first, histories) = (seed_or(1) * 1_000_003, 5 * percent());
    let mut met = Met::default();
    for seed in first..first + histories {
        assert_eq!(history(seed, None, &mut met), Ok(()), "EDGE_SEED history {seed}");
    }
    let each = histories as usize;
    assert!(met.wills > each && met.displaced > histories && met.commands > each, "{met:?}");
    assert!(met.dropped_full > histories, "{met:?}");
}

/// Each rule convicts its bug within a tenth of the histories of the default budget, and more often than all the others together, which it may break too:
/// so that a rule that has gone blind is not covered by its neighbours, whatever the histories.
#[test]
fn every_rule_finds_its_planted_bug() {
    for rule in RULES {
        let bug = planted(rule);
        let broken = |seed| history(seed, Some(bug), &mut Met::default()).err();
        let convicted: Vec<Rule> = (0..50).filter_map(broken).collect();
        let own = convicted.iter().filter(|by| **by == rule).count();
        println!(
            "{bug:?}: {rule:?} in {own} of {} histories that break a rule, the first {:?}",
            convicted.len(),
            convicted.first()
        );
        assert!(2 * own > convicted.len(), "{bug:?} is not found by {rule:?}: {convicted:?}");
    }
}
