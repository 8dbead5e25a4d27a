//! A short life of a queue on a disk that fails at one of its calls and heals later, judged at every turn: what the
//! receipts, the health and the events say, and what a power cut would leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use edge_queue::testing::{Fault, FaultError, Outcome, Rng, SimDir, SyncBug};
use edge_queue::{
    Config, Consumer, Event, FaultKind, Health, Lane, LaneConfig, Ledger, Limit, ManualClock, Now, OnFault,
    OpenError, Pending, PushError, Queue, Receipt, Row, StoreKind, Wait,
};

const STEPS: u64 = 16;
/// Steps with a failing call after which the medium heals.
const OUTAGE_STEPS: u32 = 4;
/// Refused opens after which it heals.
const OPENS: u32 = 3;
/// Beyond the longest pause between two tries.
const RETRY_MS: u64 = 10_000;

/// What fails, and how the queue is to take it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) kind: StoreKind,
    pub(crate) policy: OnFault,
    pub(crate) fault: Fault,
    /// The planted bug: a failed sync is asked again and believed.
    pub(crate) resync: bool,
}

/// What is known of a pushed row.
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
pub(crate) fn live(case: Case, seed: u64) -> Result<bool, String> {
    let dir = SimDir::new();
    dir.fail(case.fault);
    if case.resync {
        dir.plant(SyncBug::Retried);
    }
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
    let (rows, pending) = (Vec::new(), Vec::new());
    let mut life = Life { case, dir, clock, rows, pending, degraded: 0, recovered: 0 };
    life.run(seed).map_err(|why| format!("{case:?}: {why}"))?;
    Ok(life.dir.counters().faults > 0)
}

impl Life {
    fn run(&mut self, seed: u64) -> Result<(), String> {
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
        queue.close().map_err(|e| format!("close: {e}"))?;
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

    fn open_with_patience(&self) -> Result<Queue, String> {
        for _ in 0..OPENS {
            match self.open(&self.dir) {
                Ok(queue) => return Ok(queue),
                Err(OpenError::Io { .. } | OpenError::NoSpace { .. }) => {}
                Err(other) => return Err(format!("open: {other}")),
            }
        }
        self.dir.heal();
        self.open(&self.dir).map_err(|e| format!("healed, but open fails: {e}"))
    }

    /// A registration that fails is none; it works when the medium does.
    fn register(&mut self, queue: &Queue) -> Result<Consumer, String> {
        if let Ok(hub) = queue.consumer("hub") {
            return Ok(hub);
        }
        self.watch(queue)?;
        self.dir.heal();
        self.clock.advance_ms(RETRY_MS);
        queue.consumer("hub").map_err(|e| format!("healed, but a consumer is refused: {e}"))
    }

    fn push(&mut self, queue: &Queue, rng: &mut Rng) -> Result<(), String> {
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
                Err(other) => return Err(format!("push: {other}")),
            }
        }
        Ok(())
    }

    fn commit(&mut self, queue: &Queue) -> Result<(), String> {
        let done = queue.commit();
        match (done, queue.stats().health) {
            (Ok(()), Health::Healthy) => Ok(()),
            (Err(_), Health::Degraded { kind, .. }) if kind == self.expected() => Ok(()),
            (done, health) => Err(format!("a commit said {done:?} and the health is {health:?}")),
        }
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
    fn watch(&mut self, queue: &Queue) -> Result<(), String> {
        for event in queue.events() {
            match event {
                Event::Degraded { kind, .. } if kind == self.expected() => self.degraded += 1,
                Event::Recovered => self.recovered += 1,
                Event::SetAside(_) | Event::TailUncertain if self.case.kind == StoreKind::Redb => {}
                other => return Err(format!("event: {other}")),
            }
        }
        let degraded = queue.stats().health != Health::Healthy;
        if self.degraded != self.recovered + u32::from(degraded) {
            let (bad, good) = (self.degraded, self.recovered);
            return Err(format!("{bad} times degraded, {good} times recovered, degraded now: {degraded}"));
        }
        Ok(())
    }

    /// Takes the receipts that came; whether one says `Stored`.
    fn settle(&mut self) -> Result<bool, String> {
        let (rows, mut stored, mut wrong) = (&mut self.rows, false, None);
        let volatile = self.case.policy == OnFault::Volatile;
        self.pending.retain(|(nth, pending)| {
            let Ok(Some(receipt)) = pending.try_get() else { return true };
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
        wrong.map_or(Ok(stored), |(nth, receipt)| Err(format!("row {nth} got {receipt:?}")))
    }

    /// The medium works again: the queue finds out by itself, and the power goes right then.
    fn heal(&mut self, queue: &Queue, seed: u64) -> Result<(), String> {
        self.dir.heal();
        self.clock.advance_ms(RETRY_MS);
        queue.tick();
        if queue.stats().health != Health::Healthy {
            return Err(format!("healed, but {:?}", queue.stats().health));
        }
        self.watch(queue)?;
        self.settle()?;
        if let Some((nth, _)) = self.pending.first() {
            return Err(format!("healed, but row {nth} has no receipt"));
        }
        self.judge(&Outcome::ALL, seed)
    }

    /// What power cuts now would leave holds every row that had its receipt.
    fn judge(&self, outcomes: &[Outcome], seed: u64) -> Result<(), String> {
        outcomes.iter().try_for_each(|&outcome| {
            let found = self.drain(&self.dir.crash(outcome, seed))?;
            let stored = |known: &Known| known.receipt == Some(Receipt::Stored) && !known.acked;
            match (0..self.rows.len()).find(|nth| stored(&self.rows[*nth]) && !found.contains_key(nth)) {
                Some(nth) => Err(format!("row {nth} is stored and a power cut ({outcome:?}) took it")),
                None => Ok(()),
            }
        })
    }

    /// After the end everything that was accepted is there or was acknowledged.
    fn judge_all(&self, dir: &SimDir) -> Result<(), String> {
        let found = self.drain(dir)?;
        match (0..self.rows.len()).find(|nth| self.rows[*nth].acked == found.contains_key(nth)) {
            Some(nth) => Err(format!("at the end row {nth} is {:?}", self.rows[nth])),
            None => Ok(()),
        }
    }

    /// All rows a reopened queue delivers: in order, each once, with their bytes, and the ledger adds up.
    fn drain(&self, dir: &SimDir) -> Result<BTreeMap<usize, ()>, String> {
        let queue = self.open(dir).map_err(|e| format!("open after a power cut: {e}"))?;
        let mut hub = queue.consumer("hub").map_err(|e| e.to_string())?;
        let (mut found, mut last) = (BTreeMap::new(), [None; 2]);
        loop {
            let chunk = hub.lease(100, Wait::None).map_err(|e| e.to_string())?;
            if chunk.is_empty() {
                break;
            }
            for lease in chunk {
                let nth = number(lease.payload());
                let before = last[usize::from(lease.lane().0)].replace(nth);
                if nth >= self.rows.len() || lease.payload() != &payload(nth) || before >= Some(nth) {
                    return Err(format!("row {nth} after row {before:?}"));
                }
                found.insert(nth, ());
                lease.ack();
            }
        }
        match queue.ledger().into_iter().find(|ledger| !ledger.balanced() || ledger.queued > 0) {
            Some(ledger) => Err(format!("the ledger does not add up: {ledger:?}")),
            None if queue.ledger().iter().map(Ledger::quarantined).sum::<u64>() > 0 => {
                Err("rows are quarantined".into())
            }
            None => Ok(found),
        }
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
