//! A recorded life of a queue on a simulated disk, and what every power cut must leave of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use edge_queue::testing::{Bug, Outcome, Planted, Recording, Rng, SimDir};
use edge_queue::{
    Config, Consumer, Event, Lane, Lease, Ledger, ManualClock, Now, OnFull, Pending, Queue, Receipt, Row,
    RowId, StoreKind, Wait,
};

use crate::stores::OpenStore;

const HUB: &str = "hub";

fn config(kind: StoreKind, on_full: OnFull) -> Config {
    let limits = edge_queue::LaneConfig::default().max_bytes(512 * 1024);
    Config::default()
        .store(kind)
        .max_messages(if on_full == OnFull::DropOldest { 300 } else { 100_000 })
        .max_bytes(512 * 1024)
        .lane(Lane::ALARM, limits)
        .row_bytes_max(64 * 1024)
        .segment_bytes(256 * 1024)
        .on_full(on_full)
}

/// What is known of one pushed row: boundaries at which things happened to it.
#[derive(Debug)]
struct Known {
    lane: Lane,
    pushed_at: usize,
    stored_at: Option<usize>,
    acked_at: Option<usize>,
    /// Its identity, once it was leased while on the medium.
    id: Option<RowId>,
}

/// The rig: [`Rig::live`] records, [`Rig::judge`] cuts the power.
pub(crate) struct Rig {
    config: Config,
    /// Opens the store below a planted bug.
    store: OpenStore,
    bug: Option<Bug>,
    dir: SimDir,
    clock: Arc<ManualClock>,
    rows: Vec<Known>,
    pending: Vec<(usize, Pending)>,
    held: Vec<Lease>,
    /// Whether the policy evicts: then a receipted row may be gone, if it is counted.
    evicts: bool,
}

impl Rig {
    pub(crate) fn new((kind, store): (StoreKind, OpenStore), on_full: OnFull) -> Rig {
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
        let evicts = on_full == OnFull::DropOldest;
        let (dir, rows, pending, held) = (SimDir::new(), Vec::new(), Vec::new(), Vec::new());
        Rig { config: config(kind, on_full), store, bug: None, dir, clock, rows, pending, held, evicts }
    }

    pub(crate) fn plant(&mut self, bug: Bug) {
        self.bug = Some(bug);
    }

    pub(crate) fn plant_lying_sync(&mut self) {
        self.dir.plant_lying_sync();
    }

    fn open(&self, dir: &SimDir, honest: bool) -> Result<Queue, String> {
        self.open_with(dir, self.config.clone(), honest)
    }

    fn open_with(&self, dir: &SimDir, config: Config, honest: bool) -> Result<Queue, String> {
        let clock = self.clock.clone();
        let opened = match self.bug.filter(|_| !honest) {
            None => Queue::open_in(Box::new(dir.clone()), config, clock),
            Some(bug) => (self.store)(Box::new(dir.clone())).and_then(|(store, found)| {
                Queue::with_store(Box::new(Planted::new(store, bug)), found, config, clock)
            }),
        };
        opened.map_err(|e| format!("open failed: {e}"))
    }

    /// Pushes, waits, commits, leases, acknowledges, closes and dies, as the seed says, for `steps` steps.
    pub(crate) fn live(&mut self, seed: u64, steps: usize) -> Result<(), String> {
        self.dir.record();
        let mut rng = Rng::new(seed);
        let mut queue = self.open(&self.dir.clone(), false)?;
        let mut hub = queue.consumer(HUB).map_err(|e| format!("{e:?}"))?;
        for _ in 0..steps {
            match rng.below(20) {
                0..=8 => self.push(&queue, &mut rng),
                9..=12 => drop(queue.commit()),
                13 => {
                    self.clock.advance_ms(rng.between(100, 5_000));
                    queue.tick();
                }
                14..=18 => self.deliver(&mut hub, &mut rng)?,
                _ if self.bug.is_none() => {
                    // A close without a word, as a kill does, or a clean one.
                    drop(hub);
                    if rng.one_in(2) {
                        queue.close().map_err(|e| format!("{e:?}"))?;
                    } else {
                        drop(queue);
                    }
                    self.settle();
                    self.pending.clear();
                    queue = self.open(&self.dir.clone(), false)?;
                    hub = queue.consumer(HUB).map_err(|e| format!("{e:?}"))?;
                }
                _ => {}
            }
            self.settle();
        }
        Ok(())
    }

    fn push(&mut self, queue: &Queue, rng: &mut Rng) {
        let count = if rng.one_in(6) { rng.between(50, 200) } else { rng.between(1, 12) };
        for _ in 0..count {
            let nth = self.rows.len();
            let lane = if rng.one_in(5) { Lane::ALARM } else { Lane::TELEMETRY };
            let Ok(pending) = queue.push(Row::new(payload(nth)).meta("plant/line").lane(lane)) else {
                return;
            };
            let pushed_at = self.dir.recorded();
            self.rows.push(Known { lane, pushed_at, stored_at: None, acked_at: None, id: None });
            self.pending.push((nth, pending));
        }
    }

    fn deliver(&mut self, hub: &mut Consumer, rng: &mut Rng) -> Result<(), String> {
        let most = usize::try_from(rng.between(1, 150)).unwrap();
        let chunk = hub.lease(most, Wait::None).map_err(|e| format!("{e:?}"))?;
        let skip = rng.below(6);
        for lease in chunk {
            let known = &mut self.rows[number(lease.payload())?];
            if lease.stored() {
                if known.id.is_some_and(|id| id != lease.id()) {
                    return Err(format!(
                        "a stored row changed its identity: {:?}, {:?}",
                        known.id,
                        lease.id()
                    ));
                }
                known.id = Some(lease.id());
            }
            // Old rows that stay out while everything around them is done: the ring must not reuse their segments.
            if self.bug == Some(Bug::AdvanceTooFar) && lease.payload()[0] == 7 {
                self.held.push(lease);
                continue;
            }
            // Some come back and stay for later, so that acknowledgements have holes.
            if skip == 0 && rng.one_in(4) {
                continue;
            }
            known.acked_at.get_or_insert(self.dir.recorded());
            lease.ack();
        }
        Ok(())
    }

    /// Notes which receipts have come.
    fn settle(&mut self) {
        let at = self.dir.recorded();
        let rows = &mut self.rows;
        self.pending.retain(|(nth, pending)| match pending.try_get() {
            Ok(None) => true,
            Ok(Some(Receipt::Stored)) => {
                rows[*nth].stored_at = Some(at);
                false
            }
            _ => false,
        });
    }

    /// Cuts the power at a `percent` share of all boundaries, with every outcome.
    pub(crate) fn judge(&self, seed: u64, percent: u64) -> Result<u64, String> {
        let mut recording: Recording = self.dir.recording();
        let (mut rng, mut cases) = (Rng::new(seed), 0);
        for at in 0..=recording.operations() {
            if rng.below(100) >= percent {
                continue;
            }
            for outcome in Outcome::ALL {
                let dir = recording.crash_at(at, outcome, rng.next_u64());
                self.judge_state(&dir, at).map_err(|why| {
                    format!("boundary {at} of {}, {outcome:?}: {why}", recording.operations())
                })?;
                cases += 1;
            }
        }
        Ok(cases)
    }

    fn judge_state(&self, dir: &SimDir, at: usize) -> Result<(), String> {
        // Now and then with other limits, for which the ring is copied into another file.
        let larger = self.config.clone().max_bytes(1024 * 1024);
        let config = if at.is_multiple_of(5) { larger } else { self.config.clone() };
        let queue = self.open_with(dir, config, true)?;
        let mut hub = queue.consumer(HUB).map_err(|e| format!("{e:?}"))?;
        balanced(&queue, "found")?;
        let claimed: u64 = queue.ledger().iter().map(|ledger| ledger.queued).sum();
        let mut arrived = BTreeMap::new();
        let mut last = [0_usize; 2];
        loop {
            let chunk = hub.lease(200, Wait::None).map_err(|e| format!("{e:?}"))?;
            if chunk.is_empty() {
                break;
            }
            for lease in chunk {
                let nth = number(lease.payload())?;
                let known = self.rows.get(nth).filter(|known| known.pushed_at <= at);
                let known = known.ok_or_else(|| format!("row {nth} is a ghost: never pushed by then"))?;
                if *lease.payload() != payload(nth) || lease.lane() != known.lane {
                    return Err(format!("row {nth} came back with other bytes"));
                }
                if known.stored_at.is_some_and(|stored| stored <= at)
                    && known.id.is_some_and(|id| id != lease.id())
                {
                    return Err(format!("row {nth} is {:?} and was {:?}", lease.id(), known.id));
                }
                let last = &mut last[usize::from(known.lane.0)];
                if *last > nth || arrived.insert(nth, ()).is_some() {
                    return Err(format!("row {nth} after row {last}"));
                }
                *last = nth;
                lease.ack();
            }
        }
        balanced(&queue, "drained")?;
        let dropped: u64 = queue.ledger().iter().map(|ledger| ledger.dropped.total()).sum();
        let missing: Vec<usize> = (0..self.rows.len())
            .filter(|nth| {
                let known = &self.rows[*nth];
                known.stored_at.is_some_and(|stored| stored <= at)
                    && known.acked_at.is_none_or(|acked| acked > at)
                    && !arrived.contains_key(nth)
            })
            .collect();
        let allowed = if self.evicts { usize::try_from(dropped).unwrap() } else { 0 };
        if missing.len() > allowed {
            return Err(format!(
                "{} receipted rows are lost, {allowed} were dropped: {missing:?}",
                missing.len()
            ));
        }
        if claimed != arrived.len() as u64 {
            return Err(format!("{claimed} rows were claimed and {} were there", arrived.len()));
        }
        // Rows of the commit that was under way are there or were never accepted: a power cut loses nothing.
        let phantoms: u64 = queue.ledger().iter().map(Ledger::quarantined).sum();
        if phantoms > 0 || (!self.evicts && dropped > 0) {
            return Err(format!("{dropped} dropped that nobody was promised: {:?}", queue.ledger()));
        }
        let told = queue.events();
        if let Some(event) =
            told.iter().find(|event| matches!(event, Event::Lost { .. } | Event::SetAside(_)))
        {
            return Err(format!("a power cut is no damage: {event:?}"));
        }
        if told.iter().filter(|event| matches!(event, Event::TailUncertain)).count() > 1 {
            return Err(format!("one commit was torn: {told:?}"));
        }
        if let Some(ledger) = queue.ledger().iter().find(|ledger| ledger.queued > 0) {
            return Err(format!("a drained queue claims rows: {ledger:?}"));
        }
        Ok(())
    }
}

fn balanced(queue: &Queue, when: &str) -> Result<(), String> {
    match queue.ledger().into_iter().find(|ledger| !ledger.balanced()) {
        Some(ledger) => Err(format!("{when}: the ledger does not add up: {ledger:?}")),
        None => Ok(()),
    }
}

fn payload(nth: usize) -> Vec<u8> {
    let mut rng = Rng::new(nth as u64);
    let len = if rng.one_in(60) { rng.between(3_000, 9_000) } else { rng.between(8, 300) };
    let mut bytes = (nth as u64).to_le_bytes().to_vec();
    bytes.extend(rng.bytes(usize::try_from(len).unwrap()));
    bytes
}

fn number(payload: &[u8]) -> Result<usize, String> {
    let head = payload.get(..8).and_then(|head| head.try_into().ok());
    let nth = head.map(u64::from_le_bytes).and_then(|nth| usize::try_from(nth).ok());
    nth.filter(|nth| *nth < 1_000_000).ok_or_else(|| "a row nobody pushed".to_owned())
}
