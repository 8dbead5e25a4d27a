//! Random histories in virtual time: a hub with a session, a gateway that is killed and whose disk refuses, local clients that come, go, leave their
//! sessions, and are slow, and loops, which obey, refuse, or do not say; and a wall clock that is set. Each command is given at most once or at least
//! once, by its rule. Promise 10.

use std::collections::{BTreeMap, BTreeSet};

use edge_bridge::Row;
use outage_drill::Rng;

use super::super::testing::rule;
use super::*;

mod hub;
mod judge;
mod planted;
mod valve;
use hub::AtHub;
use judge::Broken;
use planted::Bug;
use valve::{Given, Valve};

const WALL: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;
const CASES: u64 = 10_000;
const COMMANDS: u64 = 12;

struct World {
    rng: Rng,
    bug: Option<Bug>,
    now_ms: u64,
    /// Error of the wall clock.
    stepped_ms: i64,
    hub: BTreeMap<u64, AtHub>,
    /// By command, also those that the hub has no longer.
    expires_ms: BTreeMap<u64, u64>,
    /// Commands that are to be refused as they come, with the reason.
    unfit: BTreeMap<u64, &'static str>,
    /// By the gateway's ticket.
    in_flight: Vec<(Ticket, u64)>,
    dispatcher: Dispatcher,
    disk: String,
    unsynced: Vec<(Option<Ticket>, Record)>,
    answering: Vec<(Ticket, Box<Row>)>,
    given: Vec<Given>,
    /// Ends of the commands that loops have.
    decided: BTreeMap<Ticket, Option<Result<(), String>>>,
    /// Each end, and the run of the gateway that told it.
    answers: BTreeMap<u64, BTreeSet<(String, usize)>>,
    /// Commands, and the run in which each was obeyed.
    obeyed: Vec<(u64, usize)>,
    late: Option<u64>,
    twice: Option<u64>,
    given_up: Option<u64>,
    /// Those of the rule that gives at least once, and those of them that may be obeyed once more.
    repeatable: BTreeSet<u64>,
    again: BTreeSet<u64>,
    /// The hub drops what expires while the gateway is down.
    drops_expired: bool,
    dropped: BTreeSet<u64>,
    valve: Valve,
    /// Those of the second topic, which are for loops, and those that have come.
    others: BTreeSet<u64>,
    arrived: BTreeSet<u64>,
    /// Answers of each, and starts behind the first: each may tell an end once more.
    told: BTreeMap<u64, usize>,
    restarts: usize,
    /// Those that a disk refused. Over a restart it cannot say what was told of them.
    unkept: BTreeSet<u64>,
}

fn id_of(publish: &Publish) -> u64 {
    publish.properties.user_property("cmd-id").unwrap().parse().unwrap()
}

fn end_in(row: &Row) -> (u64, String) {
    let answer: serde_json::Value = serde_json::from_slice(&row.payload).unwrap();
    let end = answer["reason"].as_str().or(answer["result"].as_str()).unwrap();
    (answer["id"].as_str().unwrap().parse().unwrap(), end.to_owned())
}

fn dispatcher(disk: &str, wall_ms: i64) -> Dispatcher {
    Dispatcher::new(
        vec![rule("c/#", "l/#"), CommandRule { at_most_once: false, ..rule("r/#", "l/#") }],
        DeliveredIdentities::read(disk.as_bytes()).0,
        CommandCounts::default(),
        wall_ms,
    )
}

impl World {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        Self {
            rng: Rng::new(seed),
            bug,
            now_ms: 1,
            stepped_ms: 0,
            hub: BTreeMap::new(),
            expires_ms: BTreeMap::new(),
            unfit: BTreeMap::new(),
            in_flight: Vec::new(),
            dispatcher: dispatcher("", WALL),
            disk: String::new(),
            unsynced: Vec::new(),
            answering: Vec::new(),
            given: Vec::new(),
            decided: BTreeMap::new(),
            answers: BTreeMap::new(),
            obeyed: Vec::new(),
            late: None,
            twice: None,
            given_up: None,
            repeatable: BTreeSet::new(),
            again: BTreeSet::new(),
            // Bugs of the ledger would leave commands without an answer first, and are to be convicted by what they do to a valve.
            drops_expired: bug.is_none() && seed.is_multiple_of(2),
            dropped: BTreeSet::new(),
            valve: Valve::Subscribed,
            others: BTreeSet::new(),
            arrived: BTreeSet::new(),
            told: BTreeMap::new(),
            restarts: 0,
            unkept: BTreeSet::new(),
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn wall(&self) -> i64 {
        WALL + i64::try_from(self.now_ms).unwrap() + self.stepped_ms
    }

    /// The time that the dispatcher is told.
    fn clock(&self) -> u64 {
        if self.bug == Some(Bug::DeadlinesByWallClock) {
            return u64::try_from(self.wall() - WALL + DAY_MS).unwrap_or(0);
        }
        self.now_ms
    }

    /// Sets the wall clock, by seconds or by days.
    fn step_wall_clock(&mut self) {
        let most_ms = if self.one_in(2) { 30_000 } else { DAY_MS };
        let by_ms = i64::try_from(self.below(most_ms.unsigned_abs())).unwrap();
        self.stepped_ms = if self.one_in(2) { by_ms } else { -by_ms };
    }

    fn work(&mut self) {
        while let Some(step) = self.dispatcher.next_step() {
            match step {
                Step::Keep(ticket, record) => self.unsynced.push((ticket, record)),
                Step::Give(ticket, publish, _) => self.give(ticket, &publish),
                Step::Answer(ticket, row, _) if self.bug == Some(Bug::AnswerNotSafe) => {
                    self.answering.push((ticket, row));
                    self.dispatcher.answered(ticket);
                }
                Step::Answer(ticket, row, _) => {
                    self.see_early_end(&row);
                    self.answering.push((ticket, row));
                }
                Step::Tell(..) => {}
                Step::Acknowledge(ticket) => {
                    let done: Vec<u64> =
                        self.in_flight.iter().filter(|(one, _)| *one == ticket).map(|(_, id)| *id).collect();
                    done.iter().for_each(|id| drop(self.hub.remove(id)));
                }
            }
        }
    }

    fn was_obeyed(&self, id: u64) -> bool {
        self.obeyed.iter().any(|(one, _)| *one == id)
    }

    fn sync(&mut self, takes: bool) {
        for (ticket, record) in std::mem::take(&mut self.unsynced) {
            if takes && self.bug != Some(Bug::NotSynced) {
                self.disk += &record.to_line();
            }
            if let Some(ticket) = ticket {
                let ids = self.in_flight.iter().filter(|(one, _)| !takes && *one == ticket);
                self.unkept.extend(ids.map(|(_, id)| *id));
                let is_kept = takes && (self.bug != Some(Bug::KeptIsRefused) || !self.one_in(4));
                self.dispatcher.kept(self.clock(), self.wall(), ticket, is_kept);
            }
        }
    }

    fn answers_are_safe(&mut self) {
        for (ticket, row) in std::mem::take(&mut self.answering) {
            let (id, end) = end_in(&row);
            self.answers.entry(id).or_default().insert((end, self.restarts));
            *self.told.entry(id).or_default() += 1;
            if self.bug != Some(Bug::AnswerNotSafe) {
                self.dispatcher.answered(ticket);
            }
        }
    }

    /// Loses all that is neither on disk nor in the queue, but for the first of what was written.
    fn kill(&mut self) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let count = usize::try_from(self.below(unsynced.len() as u64 + 1)).unwrap();
        if self.bug != Some(Bug::NotSynced) {
            self.disk.extend(unsynced.iter().take(count).map(|(_, record)| record.to_line()));
        }
        self.restart();
    }

    fn stop(&mut self) {
        self.sync(true);
        self.dispatcher.stop();
        if self.bug == Some(Bug::AllForgotten) {
            let open: Vec<Key> = self.dispatcher.identities().open().map(|(key, _)| key).collect();
            self.unsynced
                .extend(open.into_iter().map(|key| (None, Record { key, change: Change::Forgotten })));
        }
        self.work();
        self.sync(true);
        self.restart();
    }

    fn restart(&mut self) {
        self.answering.clear();
        self.given.clear();
        self.decided.clear();
        let disk = if self.bug == Some(Bug::LedgerNotRead) { "" } else { &self.disk };
        self.dispatcher = dispatcher(disk, self.wall());
        self.restarts += 1;
        if self.drops_expired {
            let now_ms = self.now_ms;
            let expired = self.hub.iter().filter(|(_, at_hub)| at_hub.expires_ms <= now_ms);
            self.dropped.extend(expired.map(|(id, _)| *id));
            self.hub.retain(|_, at_hub| at_hub.expires_ms > now_ms);
        }
        // What the hub has no PUBACK for comes again.
        self.again.extend(self.hub.keys().filter(|id| self.repeatable.contains(*id)));
        self.work();
        self.connect();
    }

    fn step(&mut self) {
        match self.below(16) {
            0..=3 => self.settle_one(),
            4..=6 => self.sync(true),
            7 if self.one_in(8) => self.sync(false),
            8..=9 => self.answers_are_safe(),
            10 => {
                let any = [Valve::Gone, Valve::Away, Valve::Subscribed, Valve::Subscribed];
                self.valve = any[usize::try_from(self.below(4)).unwrap()];
            }
            11 if self.one_in(3) => self.kill(),
            12 if self.one_in(3) => self.stop(),
            13 if self.one_in(3) => self.connect(),
            15 if self.one_in(3) => self.step_wall_clock(),
            14 if self.one_in(4) => {
                // What the hub sends meanwhile waits in the socket.
                let sent_ms = self.now_ms;
                self.now_ms += 2_000 + self.below(20_000);
                self.deliver_sent_at(sent_ms, |at_hub| !at_hub.sent);
            }
            _ => {
                self.now_ms += self.below(1_500);
                self.deliver(|at_hub| !at_hub.sent);
            }
        }
        self.dispatcher.tick(self.clock(), self.wall());
        self.work();
    }

    fn rest(&mut self) {
        for _ in 0..200 {
            self.valve = Valve::Subscribed;
            self.now_ms += 500;
            self.deliver(|at_hub| !at_hub.sent);
            self.dispatcher.tick(self.clock(), self.wall());
            self.work();
            self.sync(true);
            self.work();
            while !self.given.is_empty() {
                self.settle_one();
            }
            self.work();
            self.sync(true);
            self.work();
            self.answers_are_safe();
            self.work();
        }
    }
}

fn run(seed: u64, bug: Option<Bug>) -> Result<usize, Broken> {
    let mut world = World::new(seed, bug);
    let mut ids = BTreeSet::new();
    for id in 0..COMMANDS {
        world.publish(id);
        ids.insert(id);
        for _ in 0..world.below(12) {
            world.step();
        }
    }
    world.rest();
    world.judge(&ids).map(|()| ids.iter().filter(|id| world.was_obeyed(**id)).count())
}

#[test]
fn promise_10_no_command_is_obeyed_late_or_twice_and_none_ends_without_an_answer() {
    let mut obeyed = 0;
    for seed in 0..CASES {
        match run(seed, None) {
            Ok(count) => obeyed += count,
            Err(broken) => panic!("{broken:?} with seed {seed}"),
        }
    }
    println!("executed gateway.commands: {CASES} cases, {obeyed} of {} obeyed", CASES * COMMANDS);
    assert!(obeyed > 60_000, "{obeyed}");
}
