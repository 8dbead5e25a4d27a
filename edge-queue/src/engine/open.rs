//! Opening of a queue: makes a running engine from a directory.

use std::sync::Arc;

use crate::config::{Config, StoreKind};
use crate::error::{ConfigError, OpenError};
use crate::event::{Event, Events};
use crate::locks_and_atomics::{Mutex, lock};
use crate::medium::Dir;
use crate::model::{HEAD_READ, Model};
use crate::row::{Lane, Seq};
use crate::shell::{Clock, random_epoch_step, random_u64};
use crate::store::{Options, Recovered, Store, StoreError, StoredChunk, memory::Memory};

use super::file_name::NameLook;
use super::stats::Seen;
use super::stop_and_wait::StopAndWait;
use super::store_fence::{FencedStore, FirstPanic};
use super::store_watchdog::StoreWatchdog;
use super::wakes::{WaitingConsumers, WaitingProducers};
use super::writer_thread::Writer;
use super::{Engine, Open};

/// Number of tries of a read while a queue is opened. The last one leaves out what the medium does not return.
const OPEN_TRIES: u32 = 3;

impl Engine {
    pub(crate) fn open(
        dir: Box<dyn Dir>,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Engine>, OpenError> {
        config.validate()?;
        let guard = dir.lock("lock").map_err(OpenError::of_lock)?;
        let (store, recovered) = open_store(config, dir, &options(config, clock.as_ref()))?;
        Engine::start(store, Some(guard), recovered, config, clock)
    }

    pub(crate) fn open_memory(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<Engine>, OpenError> {
        config.validate()?;
        let (store, recovered) = Memory::open(&options(config, clock.as_ref()));
        Engine::start(Box::new(store), None, recovered, config, clock)
    }

    pub(crate) fn start(
        store: Box<dyn Store>,
        guard: Option<Box<dyn Send>>,
        recovered: Recovered,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Engine>, OpenError> {
        let mut rules = config.rules();
        for lane in &mut rules.lanes {
            // A file that keeps its old segments has no place for a larger row.
            lane.row_bytes_max = lane.row_bytes_max.min(recovered.row_bytes_max);
        }
        if recovered.limits_kept.is_some() {
            // Nor for more of them: its limits hold until it is divided anew, for the policy and for whoever is told how full it is.
            let made_for = rules.lanes.iter_mut().zip(recovered.lane_bytes);
            made_for.for_each(|(lane, bytes)| lane.bytes = lane.bytes.min(bytes));
        }
        if usize::from(recovered.state.lanes) > rules.lanes.len() {
            let problem = format!("the queue has {} and would lose rows", recovered.state.lanes);
            return Err(ConfigError { key: "lanes", problem }.into());
        }
        let mut events = Events::default();
        if recovered.tail_uncertain {
            events.put(Event::TailUncertain);
        }
        let (known, damaged) = (recovered.state.lane, !recovered.damage.is_empty());
        recovered.damage.into_iter().for_each(|what| events.put(Event::SetAside(what)));
        recovered.limits_kept.into_iter().for_each(|why| events.put(Event::LimitsKept(why)));
        let committed = Mutex::new(Arc::new(recovered.state.clone()));
        let store_panic = Arc::<FirstPanic>::default();
        let store = FencedStore::new(store, store_panic.clone(), clock.clone());
        let mut open = Open { store, _lock: guard };
        let mut model = Model::new(rules, recovered.state, recovered.highest_seq, recovered.clean, damaged);
        model.opened_ms = clock.now().up_ms;
        model.set_room(&open.store.stats().room_bytes);
        let engine = Engine {
            model: Mutex::new(model),
            store: Mutex::new(None),
            clock,
            events: Mutex::new(events),
            writer: Writer::default(),
            rows: WaitingConsumers::default(),
            room: WaitingProducers::default(),
            stop_and_wait: Mutex::new(StopAndWait::default()),
            watchdog: StoreWatchdog::default(),
            store_panic,
            writer_panic: FirstPanic::default(),
            acks_by_id: Default::default(),
            name: NameLook::default(),
            seen: Mutex::new(Seen::default()),
            committed,
        };
        for (lane, known) in known.iter().enumerate() {
            let any_lost = engine.adopt_tail(&mut open, lane, known.next)?;
            if damaged || any_lost {
                // What is gone at the end of a lane nobody would read, and it must not count as queued. If the medium fails
                // now, whoever reads the lane settles it.
                let _later = engine.reckon(&mut open, lane, &[]);
            }
        }
        // What cannot be read now is counted later.
        engine.count_when_due(&mut open);
        engine.report_losses();
        engine.note_figures(&open);
        engine.note_segments(&open);
        *lock(&engine.store) = Some(open);
        let engine = Arc::new(engine);
        engine.start_writer().map_err(|source| OpenError::Io { op: "start the writer thread", source })?;
        Ok(engine)
    }

    /// Counts the rows of a lane that are missing in the bookkeeping, from `known_next` on: at most those of one commit that a crash interrupted,
    /// more if damage took the bookkeeping. Returns whether some of them are lost.
    fn adopt_tail(&self, open: &mut Open, lane: usize, known_next: u64) -> Result<bool, OpenError> {
        let end = match self.model().lanes.get(lane) {
            Some(l) => l.next,
            None => return Ok(false),
        };
        let failed = |error: StoreError| OpenError::Io {
            op: "read the last commit",
            source: std::io::Error::other(error),
        };
        let (mut from, mut any_lost) = (known_next, false);
        while from < end {
            let chunk = self.read_at_open(open, lane, from).map_err(failed)?;
            self.with_model(|model| model.adopt_tail(lane, known_next, &chunk));
            any_lost |= !chunk.lost.is_empty();
            match chunk.next {
                Some(next) if next > from => from = next,
                _ => break,
            }
        }
        Ok(any_lost)
    }

    /// Reads rows of a lane while nobody can wait for the medium: a bad sector would make every open fail. A medium that returns nothing at all
    /// is still an error.
    fn read_at_open(&self, open: &mut Open, lane: usize, from: Seq) -> Result<StoredChunk, StoreError> {
        for _ in 1..OPEN_TRIES {
            if let Ok(chunk) = self.read_only(open, lane, from, HEAD_READ, false) {
                return Ok(chunk);
            }
        }
        self.watched(|| open.store.read_past_errors(Lane(lane as u8), from, HEAD_READ))
    }
}

/// Returns a store's settings with random numbers for its identities. Where a test moves the time, a history repeats itself: each open raises the
/// epoch by one.
fn options(config: &Config, clock: &dyn Clock) -> Options {
    let epoch_step = if clock.manual() { 1 } else { random_epoch_step() };
    config.store_options(random_u64(), epoch_step)
}

pub(crate) fn open_store(
    config: &Config,
    dir: Box<dyn Dir>,
    options: &Options,
) -> Result<(Box<dyn Store>, Recovered), OpenError> {
    match config.store_kind() {
        StoreKind::Memory => {
            let (store, recovered) = Memory::open(options);
            Ok((Box::new(store), recovered))
        }
        #[cfg(feature = "ring")]
        StoreKind::Ring => {
            let (store, recovered) = crate::store::RingStore::open_with(dir, options, config.key())?;
            Ok((Box::new(store), recovered))
        }
        #[cfg(feature = "redb")]
        StoreKind::Redb => {
            let (store, recovered) = crate::store::RedbStore::open(dir, options)?;
            Ok((Box::new(store), recovered))
        }
        #[cfg_attr(
            all(feature = "ring", feature = "redb"),
            allow(unreachable_patterns, reason = "all stores built")
        )]
        kind => {
            drop(dir);
            let problem = format!("{kind:?} is not part of this build; enable its feature");
            Err(ConfigError { key: "store", problem }.into())
        }
    }
}
