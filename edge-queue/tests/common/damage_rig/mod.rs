//! Queues of one to four lanes and one to three consumers, closed or killed, and what random damage to their file may cost.
#![allow(dead_code, reason = "each test uses its part")]

mod bug;
mod harm;
mod judge;

pub(crate) use bug::QueueBug;
pub(crate) use judge::{Outcome, Rule, Violation};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use edge_queue::testing::{Outcome as Cut, Rng, SimDir};
use edge_queue::{
    Config, Consumer, Lane, LaneConfig, Lease, Ledger, ManualClock, Now, Queue, Row, StoreKind, Wait,
};

const NAMES: [&str; 3] = ["hub", "log", "cloud"];
/// Steps of a life.
const STEPS: u64 = 60;
const LANE_BYTES: u64 = 256 * 1024;

/// A row with a receipt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pushed {
    pub(crate) lane: u8,
    pub(crate) seq: u64,
    pub(crate) weight: u64,
    /// Commit of the life that made it durable.
    pub(crate) commit: u64,
}

/// A queue as a clean close or a kill left it.
pub(crate) struct Image {
    kind: StoreKind,
    lanes: u8,
    file: &'static str,
    dir: SimDir,
    bytes: Vec<u8>,
    /// The file half way through its life.
    older: Vec<u8>,
    /// Pages that hold something.
    used: Vec<usize>,
    clean: bool,
    rows: BTreeMap<u64, Pushed>,
    readers: Vec<Reader>,
    ledgers: Vec<Ledger>,
    /// Bug of the queue that is judged.
    bug: Option<QueueBug>,
}

/// A consumer of the life.
struct Reader {
    name: &'static str,
    /// Rows from here on are its own.
    since: u64,
    acked: BTreeSet<u64>,
}

impl Image {
    /// The queue that `seed` makes.
    pub(crate) fn new(kind: StoreKind, seed: u64, bug: Option<QueueBug>) -> Image {
        let mut rng = Rng::new(seed);
        let lanes = rng.between(1, 4) as u8;
        let dir = SimDir::new();
        let mut life = Life::begin(kind, lanes, &dir, &mut rng);
        let file = if kind == StoreKind::Redb { "queue.redb" } else { "queue.ring" };
        let mut older = Vec::new();
        for step in 0..STEPS {
            life.step(&mut rng);
            if step == STEPS / 2 {
                older = dir.content(file).unwrap();
            }
        }
        life.held.clear();
        life.commit();
        let clean = !rng.one_in(3);
        let Life { queue, rows, readers, .. } = life;
        let ledgers = queue.ledger();
        assert!(ledgers.iter().all(|ledger| ledger.dropped.total() == 0), "lost without damage: {ledgers:?}");
        let killed = dir.crash(Cut::Lost, seed);
        queue.close().unwrap();
        let dir = if clean { dir.crash(Cut::Kept, 0) } else { killed };
        let bytes = dir.content(file).unwrap();
        let used = (0..bytes.len() / harm::PAGE).filter(|n| harm::page(&bytes, *n).iter().any(|b| *b != 0));
        let used = used.collect();
        let readers = readers.into_iter().map(|(reader, _)| reader).collect();
        Image { kind, lanes, file, dir, used, bytes, older, clean, rows, readers, ledgers, bug }
    }

    fn open(&self, dir: &SimDir) -> Result<Queue, String> {
        open(dir, self.kind, self.lanes)
    }
}

fn open(dir: &SimDir, kind: StoreKind, lanes: u8) -> Result<Queue, String> {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
    let mut config = Config::default()
        .store(kind)
        .lanes(lanes)
        .max_messages(100_000)
        .max_bytes(LANE_BYTES)
        .row_bytes_max(4096)
        .segment_bytes(4096 + 128 * 1024);
    for lane in 0..lanes {
        config = config.lane(Lane(lane), LaneConfig::default().max_messages(100_000).max_bytes(LANE_BYTES));
    }
    Queue::open_in(Box::new(dir.clone()), config, clock).map_err(|e| e.to_string())
}

/// A queue in use.
struct Life {
    queue: Queue,
    kind: StoreKind,
    lanes: u8,
    dir: SimDir,
    rows: BTreeMap<u64, Pushed>,
    next: [u64; 4],
    readers: Vec<(Reader, Option<Consumer>)>,
    held: Vec<(usize, Lease)>,
    commits: u64,
    /// Largest payload, and whether all rows weigh one.
    size: u64,
    plain: bool,
    /// Whether consumers acknowledge in order.
    in_order: bool,
    late: usize,
}

impl Life {
    fn begin(kind: StoreKind, lanes: u8, dir: &SimDir, rng: &mut Rng) -> Life {
        let queue = open(dir, kind, lanes).unwrap();
        let mut life = Life {
            queue,
            kind,
            lanes,
            dir: dir.clone(),
            rows: BTreeMap::new(),
            next: [1; 4],
            readers: Vec::new(),
            held: Vec::new(),
            commits: 1,
            size: [60, 300, 900][rng.below(3) as usize],
            plain: rng.one_in(2),
            in_order: rng.one_in(2),
            late: rng.below(3) as usize,
        };
        life.register();
        life
    }

    fn register(&mut self) {
        let name = NAMES[self.readers.len()];
        let consumer = self.queue.consumer(name).unwrap();
        self.commits += 1;
        let reader = Reader { name, since: self.rows.len() as u64, acked: BTreeSet::new() };
        self.readers.push((reader, Some(consumer)));
    }

    fn commit(&mut self) {
        self.queue.commit().unwrap();
        self.commits += 1;
    }

    fn step(&mut self, rng: &mut Rng) {
        match rng.below(10) {
            0..=3 => (0..rng.between(1, 9)).for_each(|_| self.push(rng)),
            4 => self.commit(),
            5..=7 => self.lease(rng),
            8 if self.late > 0 && self.readers.len() < NAMES.len() => {
                self.late -= 1;
                self.register();
            }
            9 if rng.one_in(4) => self.reopen(),
            _ => self.commit(),
        }
    }

    fn push(&mut self, rng: &mut Rng) {
        let (nth, lane) = (self.rows.len() as u64, rng.below(u64::from(self.lanes)) as u8);
        let weight = if self.plain { 1 } else { weight(nth) };
        let size = rng.between(8, self.size);
        let row = Row::new(payload(nth, size)).lane(Lane(lane)).weight(weight as u32);
        drop(self.queue.push(row).unwrap());
        let seq = self.next[usize::from(lane)];
        self.next[usize::from(lane)] += 1;
        self.rows.insert(nth, Pushed { lane, seq, weight, commit: self.commits });
    }

    fn lease(&mut self, rng: &mut Rng) {
        let at = rng.below(self.readers.len() as u64) as usize;
        let (reader, Some(consumer)) = &mut self.readers[at] else { panic!("no consumer") };
        for lease in consumer.lease(rng.between(1, 12) as usize, Wait::None).unwrap() {
            if self.in_order || !rng.one_in(3) {
                reader.acked.insert(number(lease.payload()).unwrap());
                lease.ack();
            } else if rng.one_in(2) {
                self.held.push((at, lease));
            }
        }
        if rng.one_in(3) {
            for (at, lease) in self.held.drain(..) {
                self.readers[at].0.acked.insert(number(lease.payload()).unwrap());
                lease.ack();
            }
        }
    }

    fn reopen(&mut self) {
        self.held.clear();
        self.readers.iter_mut().for_each(|(_, consumer)| *consumer = None);
        self.commit();
        let other = open(&SimDir::new(), self.kind, self.lanes).unwrap();
        std::mem::replace(&mut self.queue, other).close().unwrap();
        self.queue = open(&self.dir, self.kind, self.lanes).unwrap();
        for (reader, consumer) in &mut self.readers {
            *consumer = Some(self.queue.consumer(reader.name).unwrap());
        }
        self.commits += 2;
    }
}

pub(crate) fn weight(nth: u64) -> u64 {
    [1, 1, 3, 7][(nth % 4) as usize]
}

pub(crate) fn payload(nth: u64, size: u64) -> Vec<u8> {
    let mut bytes = nth.to_le_bytes().to_vec();
    bytes.resize(size.max(8) as usize, nth as u8 | 1);
    bytes
}

/// The row's number, if the payload is whole.
pub(crate) fn number(payload: &[u8]) -> Option<u64> {
    let (head, rest) = payload.split_first_chunk()?;
    let nth = u64::from_le_bytes(*head);
    rest.iter().all(|byte| *byte == nth as u8 | 1).then_some(nth)
}
