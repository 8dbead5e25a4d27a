//! Random histories of the public queue beside the reference, judged after every step.
#![allow(unreachable_pub, reason = "a module of a test crate")]

mod ack_ids;
mod ill;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edge_queue::medium::Hooked;
use edge_queue::testing::SimDir;
use edge_queue::{
    Config, Consumer, ConsumerConfig, Lane, LaneConfig, Lease, ManualClock, Now, OnFull, Order, Pending,
    Queue, ROW_OVERHEAD_BYTES, Reason, Receipt, Row, StoreKind, Wait,
};
use proptest::prelude::*;

use crate::reference::{Limits, Own, Reference};

use ack_ids::{Named, named};
use ill::Trap;

const ACK_WITHIN_MS: u64 = 1_000;
const NAMES: [&str; 3] = ["hub", "log", "sms"];

#[derive(Clone, Debug)]
pub enum Op {
    Push {
        lane: usize,
        len: usize,
        weight: u32,
        ttl_ms: Option<u64>,
    },
    Commit,
    Advance(u64),
    Lease {
        who: usize,
        rows: usize,
        bytes: u64,
    },
    Ack {
        who: usize,
        which: usize,
    },
    Move {
        who: usize,
        which: usize,
    },
    GiveUp {
        who: usize,
        which: usize,
        reason: Reason,
    },
    Return {
        who: usize,
        which: usize,
    },
    /// A receipt comes.
    AckIds(usize, Named),
    Register(usize, Option<Own>),
    /// A registration whose commit fails, while others push so many rows and acknowledge them.
    RegisterInVain {
        who: usize,
        rows: usize,
    },
    Forget(usize),
    /// The same while nothing can be read, and again when everything can.
    ForgetBlind(usize),
    Reopen,
    /// A life in between without the last lane.
    ReopenNarrow,
}

pub fn op() -> impl Strategy<Value = Op> {
    let own_age = prop_oneof![2 => Just(None), 1 => (500u64..5_000).prop_map(Some)];
    let amount = |most: u64| prop_oneof![1 => Just(None), 1 => (1..most).prop_map(Some)];
    let own = (amount(20), (40u64..3_000).prop_map(Some), any::<bool>(), own_age);
    let own = own.prop_map(|(messages, bytes, by_bytes, age_ms)| {
        Some(Own { messages, bytes: bytes.filter(|_| by_bytes), age_ms })
    });
    let own = prop_oneof![Just(None), own];
    let len = prop_oneof![5 => 8usize..40, 3 => 40usize..200, 1 => 200usize..560];
    let weight = prop_oneof![6 => 1u32..4, 1 => 4u32..40];
    let ttl = prop_oneof![3 => Just(None), 1 => (1u64..3_000).prop_map(Some)];
    let bytes = prop_oneof![Just(u64::MAX), 1u64..600];
    let reason = prop_oneof![Just(Reason::Discarded), Just(Reason::Expired)];
    prop_oneof![
        12 => (0usize..4, len, weight, ttl)
            .prop_map(|(lane, len, weight, ttl_ms)| Op::Push { lane, len, weight, ttl_ms }),
        2 => Just(Op::Commit),
        3 => (1u64..1_500).prop_map(Op::Advance),
        5 => (0usize..3, 1usize..12, bytes).prop_map(|(who, rows, bytes)| Op::Lease { who, rows, bytes }),
        10 => (0usize..3, 0usize..20).prop_map(|(who, which)| Op::Ack { who, which }),
        2 => (0usize..3, 0usize..20).prop_map(|(who, which)| Op::Move { who, which }),
        2 => (0usize..3, 0usize..20, reason).prop_map(|(who, which, reason)| Op::GiveUp { who, which, reason }),
        3 => (0usize..3, 0usize..20).prop_map(|(who, which)| Op::Return { who, which }),
        2 => (0usize..3, named()).prop_map(|(who, named)| Op::AckIds(who, named)),
        2 => (0usize..3, own).prop_map(|(who, own)| Op::Register(who, own)),
        1 => prop_oneof![5 => Just(Op::Commit), 1 => (0usize..3).prop_map(Op::Forget)],
        1 => prop_oneof![
            4 => Just(Op::Reopen),
            2 => Just(Op::ReopenNarrow),
            1 => (0usize..3).prop_map(Op::ForgetBlind),
            2 => (0usize..3, 1usize..6).prop_map(|(who, rows)| Op::RegisterInVain { who, rows }),
        ],
    ]
}

#[derive(Clone, Debug)]
pub struct Setup {
    /// One to four, highest priority first.
    lanes: Vec<Limits>,
}

pub fn setup() -> impl Strategy<Value = Setup> {
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

pub struct Rig {
    kind: StoreKind,
    config: Config,
    dir: SimDir,
    trap: Trap,
    clock: Arc<ManualClock>,
    now_ms: u64,
    queue: Option<Queue>,
    consumers: BTreeMap<String, Consumer>,
    leases: BTreeMap<String, Vec<(usize, u64, Lease)>>,
    receipts: Vec<(u64, Pending)>,
    /// Number of opens.
    epoch: u32,
    model: Reference,
}

impl Rig {
    pub fn new(kind: StoreKind, setup: &Setup) -> Rig {
        let now_ms = 10_000;
        let clock = Arc::new(ManualClock::new(Now { boot_id: 7, up_ms: now_ms, wall_ms: 0, synced: false }));
        let says = if kind == StoreKind::Memory { Receipt::Volatile } else { Receipt::Stored };
        let mut rig = Rig {
            kind,
            config: config(kind, setup),
            dir: SimDir::new(),
            trap: Trap::default(),
            clock,
            now_ms,
            queue: None,
            consumers: BTreeMap::new(),
            leases: BTreeMap::new(),
            receipts: Vec::new(),
            epoch: 0,
            model: Reference::new(setup.lanes.clone(), says),
        };
        rig.open();
        rig
    }

    fn open(&mut self) {
        self.queue = Some(self.open_with(self.config.clone()));
    }

    fn open_with(&mut self, config: Config) -> Queue {
        self.epoch += 1;
        self.model.set_epoch(self.epoch);
        let trap = self.trap.clone();
        let disk = Hooked::new(self.dir.clone(), move |call| trap.spring(call));
        Queue::open_in(Box::new(disk), config, self.clock.clone()).unwrap()
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    pub fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
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
            Op::Lease { who, rows, bytes } => self.lease(NAMES[who], rows, bytes)?,
            Op::Ack { who, which } => {
                if let Some((lane, id, lease)) = self.take(NAMES[who], which) {
                    lease.ack();
                    self.model.ack(NAMES[who], lane, id);
                }
            }
            Op::Move { who, which } => {
                if let Some((lane, id, lease)) = self.take(NAMES[who], which) {
                    lease.moved();
                    self.model.moved(NAMES[who], lane, id);
                }
            }
            Op::GiveUp { who, which, reason } => {
                if let Some((lane, id, lease)) = self.take(NAMES[who], which) {
                    if reason == Reason::Expired {
                        lease.expire();
                    } else {
                        lease.discard();
                    }
                    self.model.give_up(NAMES[who], lane, id, reason);
                }
            }
            Op::Return { who, which } => {
                if let Some((lane, id, lease)) = self.take(NAMES[who], which) {
                    drop(lease);
                    self.model.give_back(NAMES[who], lane, id);
                }
            }
            Op::AckIds(who, named) => self.ack_ids(NAMES[who], named)?,
            Op::Register(who, own) => {
                let consumer = match own {
                    None => self.queue().consumer(NAMES[who]),
                    Some(own) => self.queue().consumer_with(NAMES[who], limits_of(&own)),
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
            Op::RegisterInVain { who, rows } => self.register_in_vain(NAMES[who], rows)?,
            Op::ForgetBlind(who) => self.forget_blind(NAMES[who])?,
            Op::Reopen => self.reopen(),
            Op::ReopenNarrow => self.reopen_narrow()?,
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

    fn lease(&mut self, name: &str, rows: usize, bytes: u64) -> Result<(), TestCaseError> {
        let Some(consumer) = self.consumers.get_mut(name) else { return Ok(()) };
        let expected = self.model.lease(name, rows, bytes, self.now_ms);
        let held = self.leases.entry(name.into()).or_default();
        let mut found = Vec::new();
        for lease in consumer.lease_up_to(rows, bytes, Wait::None).unwrap() {
            let id = u64::from_le_bytes(lease.payload()[..8].try_into().unwrap());
            let lane = usize::from(lease.lane().0);
            prop_assert_eq!(lease.id().epoch, self.model.epoch_of(lane, id), "epoch of row {}", id);
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
            let gaps: u64 = consumer.gaps().iter().map(|gap| gap.count).sum();
            let ledgers = self.queue().ledger();
            let dropped: u64 =
                ledgers.iter().filter(|l| l.consumer == *name).map(|l| l.dropped.total()).sum();
            prop_assert_eq!(gaps, dropped);
            let own = ledgers.iter().filter(|l| l.consumer == *name);
            prop_assert_eq!(consumer.waiting(), own.map(|l| l.queued - l.leased).sum::<u64>());
        }
        Ok(())
    }
}

fn limits_of(own: &Own) -> ConsumerConfig {
    let mut limits = ConsumerConfig::default();
    limits = own.messages.map_or(limits, |messages| limits.max_messages(messages));
    limits = own.bytes.map_or(limits, |bytes| limits.max_bytes(bytes));
    own.age_ms.map_or(limits, |ms| limits.max_age(Duration::from_millis(ms)))
}
