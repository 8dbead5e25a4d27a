//! A recorded life of a queue on a simulated disk beside the reference queue, and what every power cut must leave of it.

mod ends;
mod judge;
mod life;
mod newest;
mod rule;
mod seen;

pub(crate) use rule::{Rule, Violation};
#[allow(unused_imports, reason = "planted by one of the tests that use the rig")]
pub(crate) use seen::QueueBug;

use std::collections::BTreeMap;
use std::sync::Arc;

use edge_queue::testing::{Bug, Fault, Flaw, JudgeRule, Planted, Rng, SimDir, SyncBug};
use edge_queue::{
    Config, Consumer, Lane, LaneConfig, Lease, Ledger, ManualClock, Now, OnFull, Order, Pending, Queue,
    Receipt, RowId, StoreKind,
};

use crate::reference::{Limits, Reference};
use crate::stores;

pub(crate) const NAMES: [&str; 2] = ["hub", "log"];
const START_MS: u64 = 10_000;
const ROW_BYTES_MAX: usize = 8 * 1024;
const SEGMENT_BYTES: u64 = 192 * 1024;

/// Settings and steps of a life.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) lanes: [Limits; 2],
    pub(crate) steps: usize,
    /// Whether the queue is closed, killed and opened again on the way.
    pub(crate) reopens: bool,
    /// One step in so many is a push; the fewer, the fuller the queue.
    pub(crate) push_share: u64,
    /// Messages the consumer "log" may have queued in a lane, if it has a limit of its own.
    pub(crate) log_messages: Option<u64>,
}

impl Setup {
    /// Limits and policies as the seed says.
    pub(crate) fn any(seed: u64, steps: usize) -> Setup {
        let mut rng = Rng::new(seed);
        let mut lane = || {
            let policy = [OnFull::DropOldest, OnFull::DropOldest, OnFull::DropNewest, OnFull::Reject];
            let on_full = policy[usize::try_from(rng.below(4)).unwrap()];
            let live_first = Order::LiveFirst { backlog_one_in: 4, behind_rows: 8 };
            Limits {
                messages: rng.between(12, 70),
                bytes: rng.between(33_000, 49_000),
                on_full,
                max_age_ms: None,
                order: if rng.one_in(4) { live_first } else { Order::Fifo },
            }
        };
        let lanes = [lane(), lane()];
        let log_messages = rng.one_in(2).then(|| rng.between(4, 40));
        Setup { lanes, steps, reopens: true, push_share: 3, log_messages }
    }

    /// Small lanes that drop their oldest under load.
    pub(crate) fn drop_oldest(seed: u64, steps: usize) -> Setup {
        let mut setup = Setup { push_share: 2, log_messages: None, ..Setup::any(seed, steps) };
        for limits in &mut setup.lanes {
            limits.on_full = OnFull::DropOldest;
            limits.messages = limits.messages.min(30);
        }
        setup
    }
}

/// The bug that a life has.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "planted by one of the tests that use the rig")]
pub(crate) enum Plant {
    Store(Bug),
    Sync(SyncBug, Option<Fault>),
    Flaw(Flaw),
    Queue(QueueBug),
}

impl Plant {
    /// Whether it shows when the store is opened: then whoever judges has it too.
    fn at_open(self) -> bool {
        matches!(
            self,
            Plant::Store(Bug::CountedTwice | Bug::SeqRestarts)
                | Plant::Flaw(Flaw::BodyUnchecked | Flaw::TornChangesApplied)
        )
    }
}

/// Knowledge after a commit.
struct Moment {
    /// Boundary before it, and the one at which its receipts were out.
    asked_at: usize,
    done_at: usize,
    now_ms: u64,
    durable: Reference,
    /// The committed ledger as it was read then.
    committed: Vec<Ledger>,
}

/// One pushed row.
struct Known {
    lane: usize,
    pushed_at: usize,
    expires_ms: Option<u64>,
    /// Consumers there were.
    consumers: usize,
    stored_at: Option<usize>,
    /// When the first lease of it was handed out, and when who acknowledged it, moved it or gave it up.
    leased_at: Option<usize>,
    ended_at: BTreeMap<&'static str, usize>,
    /// Its identity, once it was leased while on the medium.
    id: Option<RowId>,
}

/// The rig: [`Rig::live`] records, [`Rig::judge`] cuts the power.
pub(crate) struct Rig {
    name: &'static str,
    setup: Setup,
    plant: Option<Plant>,
    dir: SimDir,
    clock: Arc<ManualClock>,
    now_ms: u64,
    queue: Option<Queue>,
    consumers: BTreeMap<&'static str, Consumer>,
    held: Vec<(&'static str, usize, u64, Lease)>,
    pending: BTreeMap<u64, Pending>,
    model: Reference,
    /// Number of opens.
    epoch: u32,
    moments: Vec<Moment>,
    rows: BTreeMap<u64, Known>,
    /// A push met the end of a lane's region.
    region_full: bool,
    /// The last boundary that is judged.
    end: usize,
}

impl Rig {
    pub(crate) fn new(name: &'static str, setup: Setup, plant: Option<Plant>) -> Rig {
        Rig {
            name,
            clock: clock(START_MS),
            plant,
            dir: SimDir::new(),
            now_ms: START_MS,
            queue: None,
            consumers: BTreeMap::new(),
            held: Vec::new(),
            pending: BTreeMap::new(),
            model: Reference::new(setup.lanes.to_vec(), Receipt::Stored),
            epoch: 0,
            moments: Vec::new(),
            rows: BTreeMap::new(),
            region_full: false,
            end: usize::MAX,
            setup,
        }
    }

    /// Whether the life ended before its last step.
    #[allow(dead_code, reason = "planted bugs do not ask")]
    pub(crate) fn is_cut_short(&self) -> bool {
        self.end < usize::MAX
    }

    fn config(&self, factor: u64) -> Config {
        let lane = |limits: &Limits| {
            LaneConfig::default()
                .max_messages(limits.messages * factor)
                .max_bytes(limits.bytes * factor)
                .on_full(limits.on_full)
                .order(limits.order)
        };
        Config::default()
            .store(if self.name == "ring" { StoreKind::Ring } else { StoreKind::Redb })
            .row_bytes_max(ROW_BYTES_MAX)
            .segment_bytes(SEGMENT_BYTES)
            .lane(Lane::ALARM, lane(&self.setup.lanes[0]))
            .lane(Lane::TELEMETRY, lane(&self.setup.lanes[1]))
    }

    /// Opens the queue, with the store's bug if it has one.
    fn open(
        &self,
        dir: &SimDir,
        clock: &Arc<ManualClock>,
        config: Config,
        buggy: bool,
    ) -> Result<Queue, Violation> {
        let (dir, clock) = (Box::new(dir.clone()), clock.clone());
        let opened = match self.plant {
            Some(Plant::Store(bug)) if buggy => {
                let bytes = self.setup.lanes.map(|limits| limits.bytes);
                let options = edge_queue::store::Options {
                    lanes: 2,
                    lane_bytes: [bytes[0], bytes[1]].into(),
                    segment_bytes: SEGMENT_BYTES,
                    row_bytes_max: ROW_BYTES_MAX,
                    gateway: 7,
                    epoch_step: 1,
                };
                stores::open(self.name, dir, &options).and_then(|opened| {
                    let (store, found) = Planted::wrap(opened, bug);
                    Queue::with_store(store, found, config, clock)
                })
            }
            _ => Queue::open_in(dir, config, clock),
        };
        rule::accepted("open", opened)
    }

    /// Runs `f` with the bug that only the code can have.
    fn flawed<T>(&self, f: impl FnOnce() -> T) -> T {
        match self.plant {
            Some(Plant::Flaw(flaw)) => flaw.during(f),
            _ => f(),
        }
    }
}

fn clock(now_ms: u64) -> Arc<ManualClock> {
    let wall_ms = i64::try_from(now_ms).unwrap();
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: now_ms, wall_ms, synced: true }))
}

/// The row that belongs to a number: mostly small, some of several pages.
fn payload(id: u64) -> Vec<u8> {
    let mut rng = Rng::new(id);
    let len = if rng.one_in(5) { rng.between(1_000, 4_500) } else { rng.between(0, 300) };
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend(rng.bytes(usize::try_from(len).unwrap()));
    bytes
}

fn number(payload: &[u8]) -> Result<u64, Violation> {
    let head = payload.get(..8).and_then(|head| head.try_into().ok());
    head.map(u64::from_le_bytes).ok_or_else(|| Rule::Ghost.fatal("a row nobody pushed".to_owned()))
}
