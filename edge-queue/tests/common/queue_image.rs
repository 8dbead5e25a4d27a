//! A small queue, closed cleanly, and what damage to its file may do to its ledger.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeSet;
use std::sync::Arc;

use edge_queue::medium::Dir;
use edge_queue::testing::{Outcome, SimDir};
use edge_queue::{Config, Event, Ledger, ManualClock, Now, Queue, Row, StoreKind, Wait};

const HUB: &str = "hub";
/// Rows pushed before the damage, and how many of them were acknowledged.
const PUSHED: u64 = 150;
const ACKED: u64 = 50;
/// Calls of `lease` that a drain may need; more is a queue that does not come to an end.
const LEASES_MAX: usize = 4096;

/// The smallest legal limits: the ring is one lane of five segments of 64 KiB.
pub(crate) fn config(kind: StoreKind) -> Config {
    Config::default()
        .store(kind)
        .lanes(1)
        .max_messages(10_000)
        .max_bytes(32 * 1024)
        .row_bytes_max(4096)
        .segment_bytes(4096 + 128 * 1024)
}

pub(crate) fn open(dir: &SimDir, kind: StoreKind) -> Result<Queue, String> {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
    Queue::open_in(Box::new(dir.clone()), config(kind), clock).map_err(|e| format!("open failed: {e}"))
}

/// The undamaged queue.
pub(crate) struct QueueImage {
    pub(crate) kind: StoreKind,
    pub(crate) file: &'static str,
    pub(crate) bytes: Vec<u8>,
    dir: SimDir,
}

/// Cost of the damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kept {
    /// Every row that was not acknowledged came.
    All,
    /// Some did not, and each is counted.
    SomeLost,
    /// None came.
    Nothing,
}

/// See [`QueueImage::survives`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survived {
    pub(crate) kept: Kept,
    /// Weight of rows that are missing and not counted as quarantined.
    pub(crate) uncounted: u64,
    /// True if an event says that the last commit is in doubt.
    pub(crate) tail_uncertain: bool,
    /// True if an event says that something was set aside.
    pub(crate) told: bool,
    /// Rows pushed after the damage that did not come.
    pub(crate) later_lost: usize,
    /// Rows that were acknowledged before and came again.
    pub(crate) again: usize,
    /// True if the whole file went to `bad/`.
    pub(crate) file_set_aside: bool,
}

impl QueueImage {
    pub(crate) fn new(kind: StoreKind) -> QueueImage {
        let dir = SimDir::new();
        let queue = open(&dir, kind).unwrap();
        let mut hub = queue.consumer(HUB).unwrap();
        let mut nth = 0;
        for size in [1, 1, 1, 9, 30, 1, 2, 15, 15, 15, 15, 15, 15, 15] {
            for _ in 0..size {
                drop(queue.push(row(nth)).unwrap());
                nth += 1;
            }
            queue.commit().unwrap();
        }
        assert_eq!(nth, PUSHED);
        for lease in hub.lease(ACKED as usize, Wait::None).unwrap() {
            lease.ack();
        }
        drop(hub);
        queue.close().unwrap();
        let file = if kind == StoreKind::Redb { "queue.redb" } else { "queue.ring" };
        QueueImage { kind, file, bytes: dir.content(file).unwrap(), dir }
    }

    /// A copy to be hurt; costs pointers.
    pub(crate) fn copy(&self) -> SimDir {
        self.dir.crash(Outcome::Kept, 0)
    }

    pub(crate) fn with(&self, at: usize, bytes: &[u8]) -> SimDir {
        let dir = self.copy();
        assert!(dir.damage(self.file, at as u64, bytes));
        dir
    }

    /// A copy whose file is cut.
    pub(crate) fn cut(&self, len: usize) -> SimDir {
        let dir = self.copy();
        dir.open(self.file).unwrap().set_len(len as u64).unwrap();
        dir
    }

    /// Opens, drains, goes on, closes, and drains again; the ledger adds up at each step.
    pub(crate) fn survives(&self, dir: &SimDir) -> Result<Survived, String> {
        let queue = open(dir, self.kind)?;
        balanced(&queue, "opened")?;
        let arrived = drain(&queue)?;
        let missing = (ACKED..PUSHED).filter(|nth| !arrived.contains(nth));
        let missing_weight: u64 = missing.clone().map(|nth| u64::from(weight(nth))).sum();
        let ledger = ledger(&queue)?;
        let events = queue.events();
        let tail_uncertain = events.contains(&Event::TailUncertain);
        let told = events.iter().any(|e| matches!(e, Event::SetAside(_) | Event::Lost { .. }));
        let uncounted = missing_weight.saturating_sub(ledger.quarantined());
        if uncounted > 0 && !tail_uncertain && !told {
            return Err(format!("{missing_weight} missing, {ledger:?}, {events:?}"));
        }
        let later_lost = self.goes_on(queue, dir)?;
        let kept = match missing.count() as u64 {
            0 => Kept::All,
            n if n == PUSHED - ACKED => Kept::Nothing,
            _ => Kept::SomeLost,
        };
        let bad = format!("bad/{}", self.file);
        Ok(Survived {
            kept,
            uncounted,
            tail_uncertain,
            told,
            later_lost,
            again: arrived.range(..ACKED).count(),
            file_set_aside: dir.names().iter().any(|name| name.starts_with(&bad)),
        })
    }

    /// Returns how many of the rows pushed now do not come after the next open. They are counted then, as any other loss.
    fn goes_on(&self, queue: Queue, dir: &SimDir) -> Result<usize, String> {
        let new = PUSHED..PUSHED + 3;
        for nth in new.clone() {
            drop(queue.push(row(nth)).map_err(|e| format!("push: {e}"))?);
        }
        queue.commit().map_err(|e| format!("commit: {e}"))?;
        balanced(&queue, "went on")?;
        queue.close().map_err(|e| format!("close: {e}"))?;
        let queue = open(dir, self.kind)?;
        let arrived = drain(&queue)?;
        let missing: Vec<u64> = new.clone().filter(|nth| !arrived.contains(nth)).collect();
        let weights: u64 = missing.iter().map(|nth| u64::from(weight(*nth))).sum();
        let ledger = ledger(&queue)?;
        if arrived.iter().any(|nth| !new.contains(nth)) || ledger.quarantined() < weights {
            return Err(format!("after going on {arrived:?} and not {new:?}, {ledger:?}"));
        }
        queue.close().map_err(|e| format!("close: {e}"))?;
        Ok(missing.len())
    }
}

/// Everything there is to come, by number; the queue is empty then and its ledger says so.
pub(crate) fn drain(queue: &Queue) -> Result<BTreeSet<u64>, String> {
    let mut hub = queue.consumer(HUB).map_err(|e| format!("consumer: {e}"))?;
    let mut arrived = BTreeSet::new();
    let mut last = None;
    for _ in 0..LEASES_MAX {
        let chunk = hub.lease(64, Wait::None).map_err(|e| format!("lease: {e}"))?;
        if chunk.is_empty() {
            let ledger = balanced(queue, "drained")?;
            if ledger.queued > 0 {
                return Err(format!("drained, and {ledger:?}"));
            }
            return Ok(arrived);
        }
        for lease in chunk {
            let nth = number(lease.payload())?;
            if *lease.payload() != payload(nth) || last.is_some_and(|last| last >= lease.id().seq) {
                return Err(format!("row {nth} is wrong or late"));
            }
            last = Some(lease.id().seq);
            arrived.insert(nth);
            lease.ack();
        }
    }
    Err("the drain does not end".into())
}

fn ledger(queue: &Queue) -> Result<Ledger, String> {
    let all = queue.ledger();
    all.into_iter().find(|ledger| ledger.consumer == HUB).ok_or_else(|| "no ledger of the hub".to_owned())
}

/// The hub's ledger; an empty one when damage took the consumer.
fn balanced(queue: &Queue, when: &str) -> Result<Ledger, String> {
    if queue.ledger().iter().all(|ledger| ledger.consumer != HUB) {
        drop(queue.consumer(HUB).map_err(|e| format!("consumer: {e}"))?);
    }
    let ledger = ledger(queue)?;
    if ledger.balanced() { Ok(ledger) } else { Err(format!("{when}: {ledger:?}")) }
}

fn weight(nth: u64) -> u32 {
    if nth.is_multiple_of(5) { 3 } else { 1 }
}

fn row(nth: u64) -> Row {
    Row::new(payload(nth)).meta("plant/line").weight(weight(nth))
}

fn payload(nth: u64) -> Vec<u8> {
    let mut bytes = nth.to_le_bytes().to_vec();
    bytes.resize(140 + (nth % 7) as usize, nth as u8);
    bytes
}

fn number(payload: &[u8]) -> Result<u64, String> {
    let head = payload.get(..8).and_then(|head| head.try_into().ok());
    head.map(u64::from_le_bytes)
        .filter(|nth| *nth < 2 * PUSHED)
        .ok_or_else(|| "a row nobody pushed".to_owned())
}
