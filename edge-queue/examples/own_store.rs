//! A store of your own: the queue's promises on another medium than a file. Here it is a journal in memory that outlives the queue, as a
//! battery-backed RAM would; `edge_queue::testing::conformance` judges it in the tests of this crate, as
//! it does one of yours.
//!
//! `cargo run -p edge-queue --example own_store`
//!
//! ```text
//! the next run finds 1 row of epoch 1
//! ```
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use edge_queue::store::{
    Change, DoneRows, ReadLimit, Recovered, State, Store, StoreError, StoreStats, StoredChunk, StoredRow,
};
use edge_queue::{Config, Lane, Queue, Receipt, Row, Seq, SystemClock, Wait};

/// Part of every row's identity. Take a random number, one for each queue that is made.
const GATEWAY: u64 = 0x5eed_0001;

/// The medium: what it holds survives the queue.
#[derive(Default)]
pub(crate) struct Battery {
    rows: BTreeMap<(u8, Seq), StoredRow>,
    state: Option<State>,
    commits: u64,
}

pub(crate) struct Journal {
    battery: Arc<Mutex<Battery>>,
    /// Rows that the next commit makes durable.
    staged: Vec<StoredRow>,
}

impl Journal {
    pub(crate) fn open(battery: &Arc<Mutex<Battery>>) -> (Journal, Recovered) {
        let mut held = battery.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = held.state.clone().unwrap_or_else(|| State::new(GATEWAY, 2));
        // Raised durably by every open: rows of two runs never share an identity.
        state.epoch += 1;
        held.state = Some(state.clone());
        let mut recovered = Recovered::clean(state);
        for (lane, seq) in held.rows.keys() {
            if let Some(highest) = recovered.highest_seq.get_mut(usize::from(*lane)) {
                *highest = (*highest).max(*seq);
            }
        }
        (Journal { battery: battery.clone(), staged: Vec::new() }, recovered)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Battery) -> T) -> T {
        look(&mut self.battery.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for Journal {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.staged.extend_from_slice(rows);
        Ok(())
    }

    fn commit(&mut self, _changes: &[Change], state: &State) -> Result<(), StoreError> {
        let staged = std::mem::take(&mut self.staged);
        self.with(|battery| {
            battery.rows.extend(staged.into_iter().map(|row| ((row.lane.0, row.seq), row)));
            battery.state = Some(state.clone());
            battery.commits += 1;
        });
        Ok(())
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        let (mut chunk, mut bytes) = (StoredChunk::default(), 0);
        self.with(|battery| {
            for (&(_, seq), row) in battery.rows.range((lane.0, from)..=(lane.0, Seq::MAX)) {
                bytes += row.key.len() + row.meta.len() + row.payload.len();
                // The first row is returned whatever its size.
                if !chunk.rows.is_empty() && (chunk.rows.len() >= limit.rows || bytes > limit.bytes) {
                    chunk.next = Some(seq);
                    break;
                }
                chunk.rows.push(row.clone());
            }
        });
        Ok(chunk)
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.with(|battery| battery.rows.retain(|(of, seq), _| *of != lane.0 || !done.covers(*seq, *seq)));
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        let mut stats = StoreStats::default();
        stats.commits = self.with(|battery| battery.commits);
        stats
    }
}

fn open(battery: &Arc<Mutex<Battery>>) -> Result<Queue, Box<dyn Error>> {
    let (journal, recovered) = Journal::open(battery);
    let clock = Arc::new(SystemClock::new());
    Ok(Queue::with_store(Box::new(journal), recovered, Config::default(), clock)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let battery = Arc::new(Mutex::new(Battery::default()));
    let queue = open(&battery)?;
    drop(queue.consumer("hub")?);
    let receipt = queue.push(Row::new("21.5"))?;
    queue.commit()?;
    assert_eq!(receipt.wait()?, Receipt::Stored);
    queue.close()?;

    let queue = open(&battery)?;
    let rows = queue.consumer("hub")?.lease(10, Wait::None)?;
    assert_eq!(rows.iter().map(|row| row.payload().as_ref()).collect::<Vec<_>>(), [b"21.5"]);
    println!(
        "the next run finds {} row of epoch {}",
        rows.len(),
        rows.iter().map(|row| row.id().epoch).sum::<u32>()
    );
    rows.ack();
    queue.close()?;
    Ok(())
}
