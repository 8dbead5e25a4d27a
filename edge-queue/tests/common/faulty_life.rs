//! A short life of a queue on a disk that fails at one of its calls and heals later, judged at every turn: what the
//! receipts, the health and the events say, and what a power cut would leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use edge_queue::testing::{Fault, FaultError, JudgeRule, Outcome, Rng, SimDir, SyncBug};
use edge_queue::{
    Config, Consumer, Event, FaultKind, Health, Lane, LaneConfig, Ledger, Limit, ManualClock, Now, OnFault,
    OpenError, Pending, PushError, Queue, Receipt, Row, StoreKind, Wait, judge_rules,
};

judge_rules! {
    /// Something that a queue on a medium that fails must do.
    pub(crate) enum Rule {
        /// Only a medium that fails is a reason to refuse an open, a consumer or a push.
        Refusal,
        /// No call panics.
        Panic,
        /// A commit and the health say the same, and the health names the fault.
        Health,
        /// There is one event for each change of health, and no other.
        Events,
        /// A receipt says what the policy allows.
        Receipt,
        /// A medium that works again is used again.
        Healing,
        /// Once healed, no row is without a receipt.
        ReceiptOwed,
        /// No power cut takes a row whose receipt says stored.
        StoredRow,
        /// At the end every row is there or was acknowledged, and not both.
        EndedRow,
        /// Rows come back in order, each once, with their bytes.
        Order,
        /// After a power cut the ledger adds up.
        Balance,
        /// A power cut while the medium fails is no damage.
        Quarantine,
    }
}

pub(crate) type Violation = edge_queue::testing::Violation<Rule>;

/// Bug of the queue or its medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The medium: a failed sync is asked again and believed.
    Resync,
    /// A healthy queue refuses a push.
    PushRefused,
    /// A lease panics.
    Panics,
    /// The health stays as it was.
    HealthyAlways,
    /// A change of health has no event.
    EventsLost,
    /// Stored rows are reported as volatile.
    OtherReceipt,
    /// A store that works again is never tried again.
    NeverRetries,
    /// A receipt stays out.
    ReceiptKept,
    /// The first row after a restart is lost.
    RowLost,
    /// Rows come back from the last to the first.
    RowsReversed,
    /// One row is accepted that is nowhere else.
    AcceptedTwice,
}

const STEPS: u64 = 16;
/// Steps with a failing call after which the medium heals.
const OUTAGE_STEPS: u32 = 4;
/// Refused opens after which it heals.
const OPENS: u32 = 3;
/// Beyond the longest pause between two tries.
const RETRY_MS: u64 = 10_000;

/// Calls that fail, and the behaviour expected of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) kind: StoreKind,
    pub(crate) policy: OnFault,
    pub(crate) fault: Fault,
    pub(crate) bug: Option<Bug>,
}

/// Knowledge of a pushed row.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    receipt: Option<Receipt>,
    acked: bool,
}

struct Life {
    case: Case,
    dir: SimDir,
    clock: Arc<ManualClock>,
    rows: Vec<Known>,
    pending: Vec<(usize, Pending)>,
    degraded: u32,
    recovered: u32,
}

/// Lives it. `Ok(false)`: the fault never fired, the life has fewer such calls.
pub(crate) fn live(case: Case, seed: u64) -> Result<bool, Violation> {
    let dir = SimDir::new();
    dir.fail(case.fault);
    if case.bug == Some(Bug::Resync) {
        dir.plant(SyncBug::Retried);
    }
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
    let (rows, pending) = (Vec::new(), Vec::new());
    let mut life = Life { case, dir, clock, rows, pending, degraded: 0, recovered: 0 };
    Rule::Panic.catching(|| life.run(seed)).map_err(|why| why.at(format_args!("{case:?}")))?;
    Ok(life.dir.counters().faults > 0)
}

impl Life {
    fn has(&self, bug: Bug) -> bool {
        self.case.bug == Some(bug)
    }

    /// The health that the queue shows.
    fn health(&self, queue: &Queue) -> Health {
        if self.has(Bug::HealthyAlways) { Health::Healthy } else { queue.stats().health }
    }

    fn run(&mut self, seed: u64) -> Result<(), Violation> {
        let mut rng = Rng::new(seed);
        let queue = self.open_with_patience()?;
        let mut hub = self.register(&queue)?;
        let mut failing = 0;
        for step in 0..STEPS {
            self.push(&queue, &mut rng)?;
            if rng.one_in(3) {
                self.clock.advance_ms(rng.between(1, 12_000));
                queue.tick();
            } else {
                self.commit(&queue)?;
            }
            self.deliver(&mut hub, &mut rng);
            self.watch(&queue)?;
            if self.settle()? && self.dir.counters().faults > 0 {
                self.judge(&[Outcome::Lost, Outcome::Subset], seed ^ step)?;
            }
            failing += u32::from(self.dir.counters().faults > 0);
            if failing == OUTAGE_STEPS {
                self.heal(&queue, seed)?;
            }
        }
        self.heal(&queue, seed)?;
        drop(hub);
        queue.close().map_err(|e| Rule::Refusal.fatal(format!("close: {e}")))?;
        self.judge_all(&self.dir.clone())
    }

    fn open(&self, dir: &SimDir) -> Result<Queue, OpenError> {
        let lane = LaneConfig::default().max_bytes(256 * 1024);
        let config = Config::default()
            .store(self.case.kind)
            .on_fault(self.case.policy)
            .max_bytes(256 * 1024)
            .lane(Lane::ALARM, lane)
            .row_bytes_max(16 * 1024)
            .segment_bytes(192 * 1024)
            .max_unwritten_bytes(60_000);
        Queue::open_in(Box::new(dir.clone()), config, self.clock.clone())
    }

    fn open_with_patience(&self) -> Result<Queue, Violation> {
        for _ in 0..OPENS {
            match self.open(&self.dir) {
                Ok(queue) => return Ok(queue),
                Err(OpenError::Io { .. } | OpenError::NoSpace { .. }) => {}
                Err(other) => return Err(Rule::Refusal.fatal(format!("open: {other}"))),
            }
        }
        self.dir.heal();
        self.open(&self.dir).map_err(|e| Rule::Refusal.fatal(format!("healed, but open fails: {e}")))
    }

    /// A registration that fails is none; it works when the medium does.
    fn register(&mut self, queue: &Queue) -> Result<Consumer, Violation> {
        if let Ok(hub) = queue.consumer("hub") {
            return Ok(hub);
        }
        self.watch(queue)?;
        self.dir.heal();
        self.clock.advance_ms(RETRY_MS);
        let hub = queue.consumer("hub");
        hub.map_err(|e| Rule::Refusal.fatal(format!("healed, but a consumer is refused: {e}")))
    }

    fn push(&mut self, queue: &Queue, rng: &mut Rng) -> Result<(), Violation> {
        let count = if rng.one_in(4) { 60 } else { rng.between(1, 8) };
        for _ in 0..count {
            let nth = self.rows.len();
            let lane = if rng.one_in(4) { Lane::ALARM } else { Lane::TELEMETRY };
            match queue.push(Row::new(payload(nth)).lane(lane)) {
                Ok(pending) => {
                    self.rows.push(Known::default());
                    self.pending.push((nth, pending));
                }
                Err(PushError::Full { limit: Limit::Unwritten, .. })
                    if self.case.policy == OnFault::Withhold && queue.stats().health != Health::Healthy =>
                {
                    return Ok(());
                }
                Err(other) => return Rule::Refusal.broken(|| format!("push: {other}")),
            }
            Rule::Refusal.require(!self.has(Bug::PushRefused), || "push: planted".into())?;
        }
        Ok(())
    }

    fn commit(&mut self, queue: &Queue) -> Result<(), Violation> {
        let (done, health) = (queue.commit(), self.health(queue));
        let agree = match (&done, &health) {
            (Ok(()), Health::Healthy) => true,
            (Err(_), Health::Degraded { kind, .. }) => *kind == self.expected(),
            _ => false,
        };
        Rule::Health.require(agree, || format!("a commit said {done:?} and the health is {health:?}"))
    }

    fn expected(&self) -> FaultKind {
        match self.case.fault.error {
            FaultError::NoSpace => FaultKind::DiskFull,
            FaultError::ReadOnly => FaultKind::ReadOnly,
            _ => FaultKind::Io,
        }
    }

    fn deliver(&mut self, hub: &mut Consumer, rng: &mut Rng) {
        let most = usize::try_from(rng.between(0, 12)).unwrap();
        // What cannot be read now comes later.
        let Ok(chunk) = hub.lease(most, Wait::None) else { return };
        for lease in chunk {
            let nth = number(lease.payload());
            if rng.below(4) > 0 {
                self.rows[nth].acked = true;
                lease.ack();
            }
        }
    }

    /// Events come in pairs and only because something failed.
    fn watch(&mut self, queue: &Queue) -> Result<(), Violation> {
        for event in queue.events() {
            match event {
                Event::Recovered if self.has(Bug::EventsLost) => {}
                Event::Degraded { kind, .. } if kind == self.expected() => self.degraded += 1,
                Event::Recovered => self.recovered += 1,
                Event::SetAside(_) | Event::TailUncertain if self.case.kind == StoreKind::Redb => {}
                other => Rule::Events.broken(|| format!("event: {other}"))?,
            }
        }
        let degraded = queue.stats().health != Health::Healthy;
        let (bad, good) = (self.degraded, self.recovered);
        Rule::Events.require(bad == good + u32::from(degraded), || {
            format!("{bad} times degraded, {good} times recovered, degraded now: {degraded}")
        })
    }

    /// Takes the receipts that came; whether one says `Stored`.
    fn settle(&mut self) -> Result<bool, Violation> {
        let (rows, mut stored, mut wrong) = (&mut self.rows, false, None);
        let (volatile, bug) = (self.case.policy == OnFault::Volatile, self.case.bug);
        self.pending.retain(|(nth, pending)| {
            let Ok(Some(receipt)) = pending.try_get() else { return true };
            let receipt = match bug {
                Some(Bug::ReceiptKept) if nth % 8 == 7 => return true,
                Some(Bug::OtherReceipt) if receipt == Receipt::Stored => Receipt::Volatile,
                _ => receipt,
            };
            stored |= receipt == Receipt::Stored;
            let allowed = match receipt {
                Receipt::Stored => true,
                Receipt::HandedOver => rows[*nth].acked,
                Receipt::Volatile => volatile,
                _ => false,
            };
            if !allowed {
                wrong = Some((*nth, receipt));
            }
            rows[*nth].receipt = Some(receipt);
            false
        });
        Rule::Receipt.require(wrong.is_none(), || format!("a row got {wrong:?}"))?;
        Ok(stored)
    }

    /// The medium works again: the queue finds out by itself, and the power goes right then.
    fn heal(&mut self, queue: &Queue, seed: u64) -> Result<(), Violation> {
        self.dir.heal();
        self.clock.advance_ms(RETRY_MS);
        if !self.has(Bug::NeverRetries) {
            queue.tick();
        }
        let health = queue.stats().health;
        Rule::Healing.require(health == Health::Healthy, || format!("healed, but {health:?}"))?;
        self.watch(queue)?;
        self.settle()?;
        let owed = self.pending.first().map(|(nth, _)| nth);
        Rule::ReceiptOwed.require(owed.is_none(), || format!("healed, but row {owed:?} has no receipt"))?;
        self.judge(&Outcome::ALL, seed)
    }

    /// The remains of power cuts now hold every row that had its receipt.
    fn judge(&self, outcomes: &[Outcome], seed: u64) -> Result<(), Violation> {
        outcomes.iter().try_for_each(|&outcome| {
            let found = self.drain(&self.dir.crash(outcome, seed))?;
            let stored = |known: &Known| known.receipt == Some(Receipt::Stored) && !known.acked;
            let lost = (0..self.rows.len()).find(|nth| stored(&self.rows[*nth]) && !found.contains(nth));
            Rule::StoredRow.require(lost.is_none(), || {
                format!("row {lost:?} is stored and a power cut ({outcome:?}) took it")
            })
        })
    }

    /// After the end everything that was accepted is there or was acknowledged.
    fn judge_all(&self, dir: &SimDir) -> Result<(), Violation> {
        let found = self.drain(dir)?;
        let odd = (0..self.rows.len()).find(|nth| self.rows[*nth].acked == found.contains(nth));
        let known = odd.map(|nth| (nth, self.rows[nth]));
        Rule::EndedRow.require(odd.is_none(), || format!("at the end a row is {known:?}"))
    }

    /// All rows a reopened queue delivers: in order, each once, with their bytes, and the ledger adds up.
    fn drain(&self, dir: &SimDir) -> Result<BTreeSet<usize>, Violation> {
        let queue =
            self.open(dir).map_err(|e| Rule::Refusal.fatal(format!("open after a power cut: {e}")))?;
        let mut hub = queue.consumer("hub").map_err(|e| Rule::Refusal.fatal(e.to_string()))?;
        let (mut found, mut last) = (BTreeSet::new(), [None; 2]);
        loop {
            let chunk = hub.lease(100, Wait::None).map_err(|e| Rule::Refusal.fatal(e.to_string()))?;
            if chunk.is_empty() {
                break;
            }
            if self.has(Bug::Panics) {
                std::panic::resume_unwind(Box::new("planted"));
            }
            let mut leases: Vec<_> = chunk.into_iter().collect();
            if self.has(Bug::RowsReversed) {
                leases.reverse();
            }
            for lease in leases {
                let nth = number(lease.payload());
                let before = last[usize::from(lease.lane().0)].replace(nth);
                let right = nth < self.rows.len() && lease.payload() == &payload(nth) && before < Some(nth);
                Rule::Order.require(right, || format!("row {nth} after row {before:?}"))?;
                found.insert(nth);
                lease.ack();
            }
        }
        if self.has(Bug::RowLost) {
            found.pop_first();
        }
        let more = u64::from(self.has(Bug::AcceptedTwice));
        let mut ledgers = queue.ledger();
        ledgers.iter_mut().for_each(|ledger| ledger.accepted += more);
        let odd = ledgers.iter().find(|ledger| !ledger.balanced() || ledger.queued > 0);
        Rule::Balance.require(odd.is_none(), || format!("the ledger does not add up: {odd:?}"))?;
        let lost: u64 = ledgers.iter().map(Ledger::quarantined).sum();
        Rule::Quarantine.require(lost == 0, || format!("{lost} rows are quarantined"))?;
        Ok(found)
    }
}

fn payload(nth: usize) -> Vec<u8> {
    let mut rng = Rng::new(nth as u64);
    let len = if rng.one_in(40) { 6_000 } else { usize::try_from(rng.between(8, 300)).unwrap() };
    let mut bytes = (nth as u64).to_le_bytes().to_vec();
    bytes.extend(rng.bytes(len));
    bytes
}

fn number(payload: &[u8]) -> usize {
    usize::try_from(u64::from_le_bytes(payload[..8].try_into().unwrap())).unwrap()
}
