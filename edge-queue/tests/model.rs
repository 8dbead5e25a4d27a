//! Promises 1, 3, 4 and 7: the whole public engine against a queue of plain vectors, on every store, with the same
//! histories. The ledger must be exact after every step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod reference;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edge_queue::testing::{SimDir, budget_percent};
use edge_queue::{
    Config, Consumer, ConsumerConfig, Lane, LaneConfig, Lease, ManualClock, Now, OnFull, Order, Pending,
    Queue, ROW_OVERHEAD_BYTES, Receipt, Row, StoreKind, Wait,
};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use reference::{Limits, Reference};

const ACK_WITHIN_MS: u64 = 1_000;
const NAMES: [&str; 3] = ["hub", "log", "sms"];

#[derive(Clone, Debug)]
enum Op {
    Push { lane: usize, len: usize, weight: u32, ttl_ms: Option<u64> },
    Commit,
    Advance(u64),
    Lease { who: usize, rows: usize },
    Ack { who: usize, which: usize },
    Return { who: usize, which: usize },
    Register(usize, Option<(u64, Option<u64>)>),
    Forget(usize),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let own_age = prop_oneof![2 => Just(None), 1 => (500u64..5_000).prop_map(Some)];
    let own = prop_oneof![Just(None), (1u64..20, own_age).prop_map(Some)];
    let ttl = prop_oneof![3 => Just(None), 1 => (1u64..3_000).prop_map(Some)];
    prop_oneof![
        12 => (0usize..4, 8usize..200, 1u32..4, ttl)
            .prop_map(|(lane, len, weight, ttl_ms)| Op::Push { lane, len, weight, ttl_ms }),
        2 => Just(Op::Commit),
        3 => (1u64..1_500).prop_map(Op::Advance),
        5 => (0usize..3, 1usize..12).prop_map(|(who, rows)| Op::Lease { who, rows }),
        10 => (0usize..3, 0usize..20).prop_map(|(who, which)| Op::Ack { who, which }),
        3 => (0usize..3, 0usize..20).prop_map(|(who, which)| Op::Return { who, which }),
        2 => (0usize..3, own).prop_map(|(who, own)| Op::Register(who, own)),
        1 => prop_oneof![5 => Just(Op::Commit), 1 => (0usize..3).prop_map(Op::Forget)],
        1 => Just(Op::Reopen),
    ]
}

#[derive(Clone, Debug)]
struct Setup {
    /// One to four, highest priority first.
    lanes: Vec<Limits>,
}

fn setup() -> impl Strategy<Value = Setup> {
    let policy =
        prop_oneof![3 => Just(OnFull::DropOldest), 1 => Just(OnFull::DropNewest), 1 => Just(OnFull::Reject)];
    let live_first = (2u32..6, 1u32..20)
        .prop_map(|(backlog_one_in, behind_rows)| Order::LiveFirst { backlog_one_in, behind_rows });
    let order = prop_oneof![Just(Order::Fifo), live_first];
    let max_age_ms = prop_oneof![2 => Just(None), 1 => (500u64..5_000).prop_map(Some)];
    let limits = (4u64..60, 600u64..6_000, policy, max_age_ms, order);
    let limits = limits.prop_map(|(messages, bytes, on_full, max_age_ms, order)| Limits {
        messages,
        bytes,
        on_full,
        max_age_ms,
        order,
    });
    proptest::collection::vec(limits, 1..=4).prop_map(|lanes| Setup { lanes })
}

fn config(kind: StoreKind, setup: &Setup) -> Config {
    let lane = |limits: &Limits| {
        let lane = LaneConfig::default()
            .max_messages(limits.messages)
            .max_bytes(limits.bytes)
            .on_full(limits.on_full)
            .order(limits.order);
        limits.max_age_ms.map_or(lane, |ms| lane.max_age(Duration::from_millis(ms)))
    };
    let config = Config::default()
        .store(kind)
        .row_bytes_max(64 * 1024)
        .segment_bytes(256 * 1024)
        .lanes(setup.lanes.len() as u8);
    (0..).zip(&setup.lanes).fold(config, |config, (at, limits)| config.lane(Lane(at), lane(limits)))
}

struct Rig {
    kind: StoreKind,
    config: Config,
    dir: SimDir,
    clock: Arc<ManualClock>,
    now_ms: u64,
    queue: Option<Queue>,
    consumers: BTreeMap<String, Consumer>,
    leases: BTreeMap<String, Vec<(usize, u64, Lease)>>,
    receipts: Vec<(u64, Pending)>,
    model: Reference,
}

impl Rig {
    fn new(kind: StoreKind, setup: &Setup) -> Rig {
        let now_ms = 10_000;
        let clock = Arc::new(ManualClock::new(Now { boot_id: 7, up_ms: now_ms, wall_ms: 0, synced: false }));
        let says = if kind == StoreKind::Memory { Receipt::Volatile } else { Receipt::Stored };
        let mut rig = Rig {
            kind,
            config: config(kind, setup),
            dir: SimDir::new(),
            clock,
            now_ms,
            queue: None,
            consumers: BTreeMap::new(),
            leases: BTreeMap::new(),
            receipts: Vec::new(),
            model: Reference::new(setup.lanes.clone(), says),
        };
        rig.open();
        rig
    }

    fn open(&mut self) {
        let dir = Box::new(self.dir.clone());
        self.queue = Some(Queue::open_in(dir, self.config.clone(), self.clock.clone()).unwrap());
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::Push { lane, len, weight, ttl_ms } => {
                self.push(lane % self.model.lanes(), len, weight, ttl_ms)?;
            }
            Op::Commit => {
                self.queue().commit().unwrap();
                self.model.commit();
            }
            Op::Advance(ms) => {
                self.now_ms += ms;
                self.clock.advance_ms(ms);
                let due = self.model.overdue(self.now_ms, ACK_WITHIN_MS);
                let did = self.queue().tick();
                prop_assert!(did || !due, "a receipt is overdue and no commit was");
                if did {
                    self.model.commit();
                }
            }
            Op::Lease { who, rows } => self.lease(NAMES[who], rows)?,
            Op::Ack { who, which } => {
                if let Some((lane, id, lease)) = self.take(NAMES[who], which) {
                    lease.ack();
                    self.model.ack(NAMES[who], lane, id);
                }
            }
            Op::Return { who, which } => {
                if let Some((lane, id, lease)) = self.take(NAMES[who], which) {
                    drop(lease);
                    self.model.give_back(NAMES[who], lane, id);
                }
            }
            Op::Register(who, own) => {
                let consumer = match own {
                    None => self.queue().consumer(NAMES[who]),
                    Some((messages, None)) => {
                        let own = ConsumerConfig::default().max_messages(messages);
                        self.queue().consumer_with(NAMES[who], own)
                    }
                    Some((messages, Some(ms))) => {
                        let own = ConsumerConfig::default().max_messages(messages);
                        self.queue().consumer_with(NAMES[who], own.max_age(Duration::from_millis(ms)))
                    }
                };
                self.consumers.insert(NAMES[who].into(), consumer.unwrap());
                self.model.register(NAMES[who], own);
            }
            Op::Forget(who) => {
                let known = self.queue().forget(NAMES[who]).unwrap();
                prop_assert_eq!(known, self.model.forget(NAMES[who]));
                self.consumers.remove(NAMES[who]);
                self.leases.remove(NAMES[who]);
            }
            Op::Reopen => self.reopen(),
        }
        self.check()
    }

    fn push(
        &mut self,
        lane: usize,
        len: usize,
        weight: u32,
        ttl_ms: Option<u64>,
    ) -> Result<(), TestCaseError> {
        let bytes = len as u64 + ROW_OVERHEAD_BYTES;
        let expected = self.model.push(lane, u64::from(weight), bytes, ttl_ms, self.now_ms);
        let mut payload = vec![0; len];
        payload[..8].copy_from_slice(&expected.unwrap_or(u64::MAX).to_le_bytes());
        let mut row = Row::new(payload).lane(Lane(lane as u8)).weight(weight);
        row.ttl_ms = ttl_ms;
        match (self.queue().push(row), expected) {
            (Ok(pending), Some(id)) => self.receipts.push((id, pending)),
            (Err(_), None) => {}
            (found, expected) => prop_assert!(false, "push gave {found:?}, expected {expected:?}"),
        }
        Ok(())
    }

    fn lease(&mut self, name: &str, rows: usize) -> Result<(), TestCaseError> {
        let Some(consumer) = self.consumers.get_mut(name) else { return Ok(()) };
        let expected = self.model.lease(name, rows, self.now_ms);
        let held = self.leases.entry(name.into()).or_default();
        let mut found = Vec::new();
        for lease in consumer.lease(rows, Wait::None).unwrap() {
            let id = u64::from_le_bytes(lease.payload()[..8].try_into().unwrap());
            let lane = usize::from(lease.lane().0);
            found.push((lane, id));
            held.push((lane, id, lease));
        }
        prop_assert_eq!(found, expected);
        Ok(())
    }

    fn take(&mut self, name: &str, which: usize) -> Option<(usize, u64, Lease)> {
        let held = self.leases.get_mut(name)?;
        (!held.is_empty()).then(|| held.remove(which % held.len()))
    }

    fn reopen(&mut self) {
        if self.kind == StoreKind::Memory {
            return;
        }
        self.consumers.clear();
        self.queue.take().unwrap().close().unwrap();
        self.leases.clear();
        self.model.reopen();
        self.open();
        for name in self.model.consumers().to_vec() {
            let consumer = self.queue().consumer(&name).unwrap();
            self.consumers.insert(name, consumer);
        }
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let stats = self.queue().stats();
        for (at, lane) in stats.lanes.iter().enumerate() {
            prop_assert_eq!(lane.messages, self.model.messages(at), "messages of lane {}", at);
            prop_assert_eq!(lane.bytes, self.model.bytes(at), "bytes of lane {}", at);
            prop_assert!(lane.messages <= lane.max_messages && lane.bytes <= lane.max_bytes);
        }
        self.model.check(&self.queue().ledger()).map_err(TestCaseError::fail)?;
        for (id, pending) in &self.receipts {
            let found = pending.try_get().unwrap();
            prop_assert_eq!(found, self.model.receipts.get(id).copied(), "receipt of {}", id);
        }
        self.receipts.retain(|(_, pending)| pending.try_get().unwrap().is_none());
        // What is left unread is also right: gap records count what the ledger dropped.
        for (name, consumer) in &self.consumers {
            let gaps: u64 = consumer.gaps().iter().map(|gap| gap.record.count).sum();
            let ledgers = self.queue().ledger();
            let dropped: u64 =
                ledgers.iter().filter(|l| l.consumer == *name).map(|l| l.dropped.total()).sum();
            prop_assert_eq!(gaps, dropped);
        }
        Ok(())
    }
}

/// The same histories on each store: the generator's seed does not depend on it.
fn run(kind: StoreKind, cases_full: u32) {
    let cases = (cases_full * budget_percent() as u32 / 100).max(10);
    let seed = edge_queue::testing::seed();
    let mut bytes = [0u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let history = (setup(), proptest::collection::vec(op(), 1..150));
    let result = runner.run(&history, |(setup, ops)| {
        let mut rig = Rig::new(kind, &setup);
        for (at, op) in ops.iter().enumerate() {
            rig.step(op).map_err(|e| TestCaseError::fail(format!("step {at} {op:?}: {e}")))?;
        }
        Ok(())
    });
    println!("executed model_{kind:?}: {cases} cases");
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, (setup, ops))) => panic!("{reason}\n{setup:?}\n{ops:?}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_memory_queue_behaves_like_the_reference() {
    run(StoreKind::Memory, 12_000);
}

#[test]
fn the_redb_queue_behaves_like_the_reference() {
    run(StoreKind::Redb, 1_200);
}

#[test]
fn the_ring_queue_behaves_like_the_reference() {
    run(StoreKind::Ring, 1_200);
}
