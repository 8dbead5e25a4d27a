//! Rules of the spool in memory in random histories of rows that expire while it is full, leased, parked and given back, judged by a list of the
//! rows; and for each rule a planted bug that it must convict. The bugs sit between the spool and its caller.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "support/random.rs"]
mod random;

use std::collections::BTreeMap;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::spool::{Gone, LeaseId, Leased, MemorySpool, Settled, Spool};
use edge_bridge::wire::{ReasonCode, Utf8};
use random::{Rng, percent, seed_or};

const MAX_ROWS: usize = 6;
const MAX_BYTES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A row is turned away only while leased rows and those that live fill the spool.
    Room,
    /// A row whose time to live is over is not leased.
    LeasedLate,
    /// Each row that leaves is told once, with its reason, and none leaves otherwise.
    Told,
}

const RULES: [Rule; 3] = [Rule::Room, Rule::LeasedLate, Rule::Told];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// The time to live is looked at by the lease only: a push counts every row that is in the spool.
    PushCountsTheDead,
    /// The time to live is looked at by the push only.
    LeaseSeesNoTime,
    /// A row that makes room leaves without a word.
    ExpiredUntold,
}

/// The bug that a rule convicts. A rule without one does not compile.
fn planted(rule: Rule) -> Bug {
    match rule {
        Rule::Room => Bug::PushCountsTheDead,
        Rule::LeasedLate => Bug::LeaseSeesNoTime,
        Rule::Told => Bug::ExpiredUntold,
    }
}

/// A row as its producer knows it.
struct Known {
    bytes: usize,
    ends_ms: Option<u64>,
    is_leased: bool,
    /// The reason for which it is to leave at the next word.
    leaves: Option<Gone>,
}

impl Known {
    fn is_over(&self, now_ms: u64) -> bool {
        self.ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms)
    }
}

struct World {
    spool: MemorySpool,
    random: Rng,
    bug: Option<Bug>,
    /// Rules that are switched off.
    off: Option<Rule>,
    now_ms: u64,
    rows: BTreeMap<u64, Known>,
    leased: Vec<LeaseId>,
    /// Rows that made room for others.
    made_room: usize,
    refused: usize,
}

type Judged = Result<(), Rule>;

impl World {
    fn new(seed: u64, bug: Option<Bug>, off: Option<Rule>) -> Self {
        Self {
            spool: MemorySpool::new(MAX_ROWS, MAX_BYTES),
            random: Rng::new(seed),
            bug,
            off,
            now_ms: 1_000,
            rows: BTreeMap::new(),
            leased: Vec::new(),
            made_room: 0,
            refused: 0,
        }
    }

    fn require(&self, ok: bool, rule: Rule) -> Judged {
        if ok || self.off == Some(rule) { Ok(()) } else { Err(rule) }
    }

    fn step(&mut self) -> Judged {
        match self.random.index(10) {
            0..4 => self.push(),
            4 | 5 => self.lease(),
            6 | 7 => self.ends_lease(),
            _ => {
                self.now_ms += self.random.pick(&[1, 50, 400]);
                Ok(())
            }
        }
    }

    fn push(&mut self) -> Judged {
        let (bytes, ttl_ms) =
            (self.random.pick(&[1, 10, 40]), self.random.pick(&[None, Some(100), Some(500)]));
        let mut row = Row::new(Utf8::from_static("t"), Bytes::from(vec![b'x'; bytes]));
        // The topic counts, too.
        let bytes = bytes + 1;
        row.ttl_ms = ttl_ms;
        let filled = |rows: &mut dyn Iterator<Item = &Known>| {
            let (count, used) = rows.fold((0, 0), |(count, used), row| (count + 1, used + row.bytes));
            count >= MAX_ROWS || used + bytes > MAX_BYTES
        };
        let is_full = filled(&mut self.rows.values());
        let is_refused = self.bug == Some(Bug::PushCountsTheDead) && is_full;
        let pushed = if is_refused { Err(Box::new(row)) } else { self.spool.push(self.now_ms, row) };
        self.hear(true)?;
        let Ok(id) = pushed else {
            self.refused += 1;
            let is_kept = |row: &&Known| row.is_leased || !row.is_over(self.now_ms);
            return self.require(filled(&mut self.rows.values().filter(is_kept)), Rule::Room);
        };
        let ends_ms = ttl_ms.map(|ttl_ms| self.now_ms + ttl_ms);
        self.rows.insert(id.0, Known { bytes, ends_ms, is_leased: false, leaves: None });
        Ok(())
    }

    fn lease(&mut self) -> Judged {
        let now_ms = if self.bug == Some(Bug::LeaseSeesNoTime) { 0 } else { self.now_ms };
        let leased: Vec<Leased> = match self.random.index(3) {
            0 => self.spool.lease_parked(now_ms, 2, 1_000),
            _ => self.spool.lease(now_ms, 2, 1_000),
        };
        self.hear(false)?;
        for Leased { id, .. } in leased {
            let row = self.rows.get_mut(&id.0).expect("a row that is in the spool");
            row.is_leased = true;
            let is_over = row.is_over(self.now_ms);
            self.require(!is_over, Rule::LeasedLate)?;
            self.leased.push(id);
        }
        Ok(())
    }

    fn ends_lease(&mut self) -> Judged {
        if self.leased.is_empty() {
            return Ok(());
        }
        let at = self.random.index(self.leased.len());
        let id = self.leased.swap_remove(at);
        let row = self.rows.get_mut(&id.0).expect("a row that is in the spool");
        row.is_leased = false;
        match self.random.index(4) {
            0 => self.spool.give_back(id),
            1 => self.spool.park(id, ReasonCode::NOT_AUTHORIZED),
            2 => {
                row.leaves = Some(Gone::Acked);
                self.spool.ack(id);
            }
            _ => {
                row.leaves = Some(Gone::Settled(Settled::Discarded));
                self.spool.settle(id, Settled::Discarded);
            }
        }
        self.hear(false)
    }

    /// Words of the spool about rows that left.
    fn hear(&mut self, in_push: bool) -> Judged {
        let expired = Gone::Settled(Settled::Expired);
        let mut told: Vec<_> = self.spool.drain_gone().collect();
        self.made_room += told.iter().filter(|(_, why)| in_push && *why == expired).count();
        if in_push && self.bug == Some(Bug::ExpiredUntold) {
            told.clear();
        }
        for (id, why) in told {
            let row = self.rows.remove(&id.0);
            let is_right = row.is_some_and(|row| match row.leaves {
                Some(leaves) => leaves == why,
                None => why == expired && !row.is_leased && row.is_over(self.now_ms),
            });
            self.require(is_right, Rule::Told)?;
        }
        let all_told = self.rows.values().all(|row| row.leaves.is_none());
        self.require(all_told, Rule::Told)?;
        // A push that succeeded has one row that is not yet known here.
        let known = self.rows.len();
        let in_spool = self.spool.len();
        self.require(in_spool == known || (in_push && in_spool == known + 1), Rule::Told)
    }
}

/// Times that a history met what the rules are about.
#[derive(Debug, Default)]
struct Met {
    made_room: usize,
    refused: usize,
}

fn history(seed: u64, bug: Option<Bug>, off: Option<Rule>, met: &mut Met) -> Judged {
    let mut world = World::new(seed, bug, off);
    for _ in 0..300 {
        world.step()?;
    }
    met.made_room += world.made_room;
    met.refused += world.refused;
    Ok(())
}

#[test]
fn random_histories_keep_every_rule() {
    let (first, histories) = (seed_or(1) * 1_000_003, 50 * percent());
    let mut met = Met::default();
    for seed in first..first + histories {
        assert_eq!(history(seed, None, None, &mut met), Ok(()), "EDGE_SEED history {seed}");
    }
    let each = histories as usize;
    assert!(met.made_room > each && met.refused > each, "{met:?}");
}

/// The bug breaks its rule first, within a tenth of the histories of the default budget, and none once the rule is switched off.
#[test]
fn every_rule_finds_its_planted_bug_and_not_once_it_is_switched_off() {
    for rule in RULES {
        let bug = planted(rule);
        let found =
            (0..50).find_map(|seed| Some((seed, history(seed, Some(bug), None, &mut Met::default()).err()?)));
        let Some((seed, broken)) = found else { panic!("{bug:?} is not found") };
        println!("{bug:?}: {broken:?} in history {seed}");
        assert_eq!(broken, rule, "{bug:?} in history {seed}");
        let without = history(seed, Some(bug), Some(rule), &mut Met::default());
        assert_ne!(without, Err(rule), "{bug:?} in history {seed}: {rule:?} is switched off");
    }
}
