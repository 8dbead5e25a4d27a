//! Rules about messages that a client does not answer, in random histories of a client that leaves some out, goes, and comes back with another
//! version; and for each rule a planted bug that it must convict. The bugs sit between the listener and its client.

use std::collections::{BTreeSet, VecDeque};

use crate::listener_support::*;
use crate::random::{Rng, percent, seed_or};
use edge_bridge::listener::Config;
use edge_bridge::wire::{PropertyId, Publish, Value, Version};

const MAX_IN_FLIGHT: u16 = 200;
/// Bytes of each command's user property.
const PROPERTY: usize = 400;
/// Bytes that a command may cost until it is answered: its own, and those of the books.
const COMMAND: usize = PROPERTY + 300;
/// Bytes of a session and its connection, and of the steps in which the listener counts.
const SLACK: usize = 8 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Messages that a client had not answered come again when it comes back, whatever its version.
    Returns,
    /// A message that a client leaves out costs one place: what it answered later is not kept.
    OnePlace,
}

const RULES: [Rule; 2] = [Rule::Returns, Rule::OnePlace];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// Messages in flight are given up when their client comes back with another version.
    VersionForgets,
    /// Answers count in the order in which the messages went only.
    AnswersInOrder,
}

/// The bug that a rule convicts. A rule without one does not compile.
fn planted(rule: Rule) -> Bug {
    match rule {
        Rule::Returns => Bug::VersionForgets,
        Rule::OnePlace => Bug::AnswersInOrder,
    }
}

struct World {
    site: Site,
    random: Rng,
    bug: Option<Bug>,
    off: Option<Rule>,
    peer: Option<Peer>,
    version: Version,
    /// Came on this connection and has no answer: identifier and command.
    here: VecDeque<(u16, usize)>,
    /// Of those, the ones that stay without one.
    left_out: BTreeSet<u16>,
    /// By a planted bug: answers that wait for that of an older message.
    answers: BTreeSet<u16>,
    published: usize,
    answered: BTreeSet<usize>,
    met: Met,
}

/// Times that a history met what the rules are about.
#[derive(Debug, Default, Clone, Copy)]
struct Met {
    /// Messages in flight at a change of version.
    changed: usize,
    /// Messages that were answered behind one that was not.
    behind: usize,
}

type Judged = Result<(), Rule>;

impl World {
    fn new(seed: u64, bug: Option<Bug>, off: Option<Rule>) -> Self {
        let mut config = Config::default();
        config.max_in_flight = MAX_IN_FLIGHT;
        let mut world = Self {
            site: Site::new(config),
            random: Rng::new(seed),
            bug,
            off,
            peer: None,
            version: Version::V5,
            here: VecDeque::new(),
            left_out: BTreeSet::new(),
            answers: BTreeSet::new(),
            published: 0,
            answered: BTreeSet::new(),
            met: Met::default(),
        };
        world.comes(Version::V5);
        let peer = world.peer.unwrap();
        world.site.send(peer, &[subscribe(&["cmd"])]);
        world
    }

    fn require(&self, ok: bool, rule: Rule) -> Judged {
        if ok || self.off == Some(rule) { Ok(()) } else { Err(rule) }
    }

    fn step(&mut self) -> Judged {
        match self.random.index(20) {
            0..10 => {
                for _ in 0..self.random.index(10) {
                    self.publish();
                }
            }
            10..18 => {
                let leaves_out = self.random.index(4) == 0;
                self.answers(leaves_out);
            }
            18 => self.goes(),
            _ => {
                let version = self.random.pick(&[Version::V5, Version::V311]);
                self.goes();
                self.comes(version);
            }
        }
        self.site.pass(10);
        self.look()
    }

    fn publish(&mut self) {
        let property = "x".repeat(PROPERTY);
        let list = [(PropertyId::UserProperty, Value::Pair("from", &property))];
        let command = message("cmd", &self.published.to_string());
        self.site.publish(&Publish { properties: properties(&list), ..command });
        self.published += 1;
    }

    fn look(&mut self) -> Judged {
        self.read();
        // What waits for an absent or busy client is in the listener too.
        let unanswered = self.published - self.answered.len();
        let held = self.site.listener.stats().held_bytes;
        self.require(held <= unanswered * COMMAND + SLACK, Rule::OnePlace)
    }

    fn read(&mut self) {
        let Some(peer) = self.peer else { return };
        for publish in self.site.messages(peer) {
            let (id, command) = (publish.packet_id.unwrap().get(), payload(&publish).parse().unwrap());
            self.here.push_back((id, command));
        }
    }

    /// The client answers what came, all or all but one.
    fn answers(&mut self, leaves_out: bool) {
        self.read();
        let Some(peer) = self.peer else { return };
        if leaves_out && let Some((id, _)) = self.here.front() {
            self.left_out.insert(*id);
        }
        let is_left_out = |(id, _): &(u16, usize)| self.left_out.contains(id);
        let (stay, answered): (VecDeque<_>, VecDeque<_>) =
            self.here.iter().partition(|sent| is_left_out(sent));
        self.met.behind += if stay.is_empty() { 0 } else { answered.len() };
        self.answered.extend(answered.iter().map(|(_, command)| command));
        if self.bug == Some(Bug::AnswersInOrder) {
            self.answers.extend(answered.iter().map(|(id, _)| id));
            return self.answer_in_order(peer);
        }
        self.here = stay;
        let acks: Vec<_> = answered.iter().map(|(id, _)| puback(*id)).collect();
        self.site.send(peer, &acks);
    }

    fn answer_in_order(&mut self, peer: Peer) {
        while let Some((id, _)) = self.here.front().copied()
            && self.answers.remove(&id)
        {
            self.here.pop_front();
            self.site.send(peer, &[puback(id)]);
        }
    }

    fn goes(&mut self) {
        self.read();
        if let Some(peer) = self.peer.take() {
            self.site.cut(peer);
        }
    }

    fn comes(&mut self, version: Version) {
        let in_flight = self.here.len();
        self.here.clear();
        self.left_out.clear();
        self.answers.clear();
        let is_changed = version != self.version;
        let (peer, _) = self.site.connect(stays("valve", version));
        (self.peer, self.version) = (Some(peer), version);
        if is_changed {
            self.met.changed += in_flight;
        }
        if is_changed && self.bug == Some(Bug::VersionForgets) {
            let messages = self.site.messages(peer);
            let lost: Vec<_> = messages.iter().filter_map(|m| Some(puback(m.packet_id?.get()))).collect();
            self.site.send(peer, &lost);
        }
    }

    /// The client answers everything.
    fn end(&mut self) -> Judged {
        let version = self.random.pick(&[Version::V5, Version::V311]);
        self.goes();
        self.comes(version);
        loop {
            self.read();
            if self.here.is_empty() {
                break;
            }
            self.answers(false);
        }
        self.require(self.answered.len() == self.published, Rule::Returns)
    }
}

fn history(seed: u64, bug: Option<Bug>, off: Option<Rule>) -> Result<Met, Rule> {
    let mut world = World::new(seed, bug, off);
    for _ in 0..200 {
        world.step()?;
    }
    world.end()?;
    Ok(world.met)
}

#[test]
fn random_histories_keep_every_rule() {
    let (first, histories) = (seed_or(1) * 1_000_003, 10 * percent());
    let mut all = Met::default();
    for seed in first..first + histories {
        let met =
            history(seed, None, None).unwrap_or_else(|rule| panic!("EDGE_SEED history {seed}: {rule:?}"));
        (all.changed, all.behind) = (all.changed + met.changed, all.behind + met.behind);
    }
    let each = histories as usize;
    assert!(all.changed > each && all.behind > 10 * each, "{all:?}");
}

/// The bug breaks its rule first, within a tenth of the histories of the default budget, and does not once the rule is switched off.
#[test]
fn every_rule_finds_its_planted_bug_and_not_once_it_is_switched_off() {
    for rule in RULES {
        let bug = planted(rule);
        let found = (0..10).find_map(|seed| Some((seed, history(seed, Some(bug), None).err()?)));
        let Some((seed, broken)) = found else { panic!("{bug:?} is not found") };
        println!("{bug:?}: {broken:?} in history {seed}");
        assert_eq!(broken, rule, "{bug:?} in history {seed}");
        let without = history(seed, Some(bug), Some(rule));
        assert_ne!(without.err(), Some(rule), "{bug:?} in history {seed}: {rule:?} is switched off");
    }
}
