//! Random histories of a group whose members come, go, end, leave answers out and stop reading, over clean restarts of the listener, against a model that
//! knows who answered what: nobody gets a message that was answered, none is lost while the group has a member with a session, and whoever is there
//! and reads gets a message before anybody who is not.

use std::collections::{BTreeMap, BTreeSet};

use crate::listener_support::*;
use crate::random::{Rng, percent, seed_or};
use crate::saved::restarted;
use edge_bridge::listener::Config;
use edge_bridge::wire::{Connect, PropertyId, Value, Version};

const GROUP: &str = "$share/g/a";
/// The first one's session never ends.
const NAMES: [&str; 5] = ["anchor", "b", "c", "d", "e"];

/// Nobody is sent away for its silence.
fn config() -> Config {
    let mut config = Config::default();
    config.keep_alive_max_s = 0;
    config
}

struct World {
    site: Site,
    random: Rng,
    /// Members that are there.
    peers: BTreeMap<&'static str, Peer>,
    /// Unanswered messages of each connection: identifier and text.
    open: BTreeMap<&'static str, Vec<(u16, String)>>,
    stuck: BTreeSet<&'static str>,
    published: usize,
    answered: BTreeSet<String>,
    met: Met,
}

/// Times that a history met what the rules are about.
#[derive(Debug, Default, Clone, Copy)]
struct Met {
    /// Messages that were sent again, to whomever.
    again: usize,
    restarts: usize,
    /// Messages that somebody was there for.
    prompt: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            site: Site::new(config()),
            random: Rng::new(seed),
            peers: BTreeMap::new(),
            open: BTreeMap::new(),
            stuck: BTreeSet::new(),
            published: 0,
            answered: BTreeSet::new(),
            met: Met::default(),
        };
        world.comes("anchor");
        world
    }

    fn comes(&mut self, name: &'static str) {
        let version = self.random.pick(&[Version::V311, Version::V5]);
        let expiry_s = self.random.pick(&[0, 10, 3_600]);
        let expiry = properties(&[(PropertyId::SessionExpiryInterval, Value::U32(expiry_s))]);
        let packet = match version {
            _ if name == "anchor" => stays(name, Version::V311),
            Version::V5 => {
                Connect { properties: expiry, clean_start: self.random.one_in(4), ..stays(name, version) }
            }
            Version::V311 => Connect { clean_start: self.random.one_in(2), ..stays(name, version) },
        };
        self.goes(name);
        let (peer, _) = self.site.connect(packet);
        self.peers.insert(name, peer);
        if name == "anchor" || !self.random.one_in(4) {
            self.site.send(peer, &[subscribe(&[GROUP])]);
        }
        self.hear();
    }

    fn goes(&mut self, name: &'static str) {
        if let Some(peer) = self.peers.remove(name) {
            self.site.cut(peer);
        }
        self.open.remove(name);
        self.stuck.remove(name);
    }

    /// Takes in what came for each member that reads. Returns the texts.
    fn hear(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for (name, peer) in self.peers.clone() {
            if self.stuck.contains(name) {
                continue;
            }
            for message in self.site.messages(peer) {
                let text = payload(&message);
                assert!(!self.answered.contains(&text), "{name} gets {text}, which was answered");
                let again = self.open.values().flatten().any(|(_, other)| *other == text);
                assert!(!again, "{name} gets {text}, which another one has");
                self.met.again += usize::from(message.dup);
                self.open.entry(name).or_default().push((message.packet_id.unwrap().get(), text.clone()));
                all.push(text);
            }
        }
        all
    }

    fn answers(&mut self, name: &'static str, most: usize) {
        let open = self.open.entry(name).or_default();
        let answered: Vec<_> = open.drain(..open.len().min(most)).collect();
        let acks: Vec<_> = answered.iter().map(|(id, _)| puback(*id)).collect();
        self.answered.extend(answered.into_iter().map(|(_, text)| text));
        if let Some(peer) = self.peers.get(name) {
            self.site.send(*peer, &acks);
        }
        self.hear();
    }

    fn publishes(&mut self) {
        let text = self.published.to_string();
        self.published += 1;
        // At least one is there that reads, has room, and is sure to be a member.
        let is_prompt = self.peers.contains_key("anchor")
            && !self.stuck.contains("anchor")
            && self.open.get("anchor").is_none_or(|open| open.len() < 15);
        let publisher = self.site.connect(connect("pub", Version::V5)).0;
        self.site.send(publisher, &[publish(1, "a", &text)]);
        self.site.cut(publisher);
        let heard = self.hear();
        if is_prompt && self.peers.keys().all(|name| !self.stuck.contains(name)) {
            assert_eq!(heard, [text], "the anchor reads and has room");
            self.met.prompt += 1;
        }
    }

    fn restarts(&mut self) {
        // Otherwise what is in flight to clients without a session would end with it.
        self.site.listener.shut_down(self.site.now);
        self.site.outputs();
        let (next, restored) = restarted(&self.site, config(), 0);
        assert_eq!((restored.damage, restored.refused), (None, 0));
        let up_ms = self.site.now.up_ms;
        self.site = next;
        self.site.now.up_ms = self.site.now.up_ms.max(up_ms);
        self.peers.clear();
        self.open.clear();
        self.stuck.clear();
        self.met.restarts += 1;
    }

    fn step(&mut self) {
        let name = self.random.pick(&NAMES);
        match self.random.index(20) {
            0..4 => self.comes(name),
            4..6 => {
                self.goes(name);
                self.hear();
            }
            6..13 => self.publishes(),
            13..17 => {
                let most = self.random.index(6);
                self.answers(name, most);
            }
            17 => {
                if let Some(peer) = self.peers.get(name) {
                    self.site.stuck.insert(peer.connection);
                    self.stuck.insert(name);
                }
            }
            18 => {
                let ms = self.random.pick(&[100, 11_000]);
                self.site.pass(ms);
                self.hear();
            }
            _ if self.random.one_in(4) => self.restarts(),
            _ => {
                let stuck = self.stuck.pop_first();
                if let Some(peer) = stuck.and_then(|name| self.peers.get(name)).copied() {
                    self.site.unstick(peer);
                }
                self.hear();
            }
        }
    }

    /// Ends all sessions but the anchor's, which answers what is left.
    fn end(&mut self) {
        for name in NAMES {
            self.goes(name);
        }
        self.comes("anchor");
        self.site.pass(3_700_000);
        for name in &NAMES[1..] {
            let (end, _) = self.site.connect(connect(name, Version::V311));
            self.site.cut(end);
        }
        self.hear();
        while self.open.get("anchor").is_some_and(|open| !open.is_empty()) {
            self.answers("anchor", usize::MAX);
        }
        assert_eq!(self.answered.len(), self.published, "answered");
        assert_eq!(self.site.listener.stats().queued_bytes, 0);
    }
}

#[test]
fn each_message_of_a_group_is_answered_once() {
    let (seed, histories) = (seed_or(1), 8 * percent());
    let mut met = Met::default();
    for n in 0..histories {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
        let mut world = World::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..300 {
                world.step();
            }
            world.end();
        }));
        assert!(run.is_ok(), "history {seed}");
        met.again += world.met.again;
        met.restarts += world.met.restarts;
        met.prompt += world.met.prompt;
    }
    let least = usize::try_from(histories).unwrap();
    assert!(met.again > least && met.restarts > least && met.prompt > least, "{met:?}");
}
