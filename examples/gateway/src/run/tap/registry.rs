//! Registry of the taps: their wishes, and a bounded queue of samples for each. A sample that finds its queue full is counted and dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_bridge::net::Clock;
use tokio::sync::Notify;

use super::sample::{self, LINE_BYTES_MAX, Sample};
use super::{Stage, Wish};

/// Most taps at a time.
pub(crate) const TAPS_MAX: usize = 4;
/// Most samples that wait for a reader.
pub(crate) const SAMPLES_MAX: usize = 256;
/// Bytes of waiting samples from which a reader loses further ones.
const BYTES_MAX: usize = 64 * 1024;
/// Most rows that wait to be safe and are shown then, for all taps together.
const ROWS_MAX: usize = 256;
/// Memory of a sample before it is a line, about.
const SAMPLE_BYTES: usize = 1_024;
/// Most memory of all taps in bytes: their queues, the samples of rows that are not safe yet, and a message's judgements.
pub(crate) const RAM_BYTES: u64 =
    (TAPS_MAX * (BYTES_MAX + 2 * LINE_BYTES_MAX) + (ROWS_MAX + SAMPLES_MAX) * SAMPLE_BYTES) as u64;

/// Owner of all taps of a gateway; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Taps(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// Stages that somebody taps, a bit each.
    stages: AtomicU8,
    /// Rows that are watched until they are safe.
    rows: AtomicUsize,
    taps: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    open: Vec<Reader>,
    next_id: u64,
    /// Set when the gateway stops. No tap is opened after it.
    is_closed: bool,
}

#[derive(Debug)]
struct Reader {
    id: u64,
    wish: Wish,
    waiting: VecDeque<Waiting>,
    /// Bytes of the waiting lines.
    bytes: usize,
    /// Samples lost since the last one that waits.
    lost: u64,
    woken: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    /// Samples lost just before this one.
    lost_before: u64,
    line: String,
}

/// Reason why a tap is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    TooMany,
    Closed,
}

/// Next thing for a reader.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A sample, as a line of JSON.
    Sample(String),
    /// Number of samples that are missing here.
    Lost(u64),
    /// The gateway stops.
    Closed,
}

/// A reader's end of a tap, which is closed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Tap {
    taps: Taps,
    id: u64,
    woken: Arc<Notify>,
}

impl Default for Taps {
    fn default() -> Self {
        Self::new(Clock::start())
    }
}

impl Taps {
    /// Creates the registry without a tap. Samples have the time of this clock.
    pub(crate) fn new(clock: Clock) -> Self {
        let (stages, rows, taps) = (AtomicU8::new(0), AtomicUsize::new(0), Mutex::default());
        Self(Arc::new(Shared { clock, stages, rows, taps }))
    }

    /// Returns whether somebody taps this stage. All that a message costs while nobody does.
    #[inline]
    pub(super) fn watches(&self, stage: Stage) -> bool {
        self.0.stages.load(Ordering::Relaxed) & stage.bit() != 0
    }

    /// Opens a tap.
    ///
    /// # Errors
    /// There are too many already, or the gateway stops.
    pub(crate) fn open(&self, wish: Wish) -> Result<Tap, NotOpened> {
        let mut list = self.lock();
        if list.is_closed {
            return Err(NotOpened::Closed);
        }
        if list.open.len() >= TAPS_MAX {
            return Err(NotOpened::TooMany);
        }
        let (id, woken) = (list.next_id, Arc::<Notify>::default());
        list.next_id += 1;
        let reader = Reader { id, wish, waiting: VecDeque::new(), bytes: 0, lost: 0, woken: woken.clone() };
        list.open.push(reader);
        self.note_stages(&list);
        Ok(Tap { taps: self.clone(), id, woken })
    }

    /// Closes all taps, whose readers are told, and opens none from now on.
    pub(crate) fn close(&self) {
        let mut list = self.lock();
        list.is_closed = true;
        self.note_stages(&list);
        list.open.iter().for_each(|reader| reader.woken.notify_one());
    }

    /// Offers a sample to the taps of this stage that want it. It is made only if one of them has room for it.
    pub(super) fn offer(&self, stage: Stage, wants: impl Fn(&Wish) -> bool, sample: impl FnOnce() -> Sample) {
        let (mut sample, mut made) = (Some(sample), None::<String>);
        let time_ms = self.0.clock.now().wall_ms;
        let mut list = self.lock();
        for reader in list.open.iter_mut().filter(|reader| reader.wish.stage == stage && wants(&reader.wish))
        {
            if !reader.has_room() {
                reader.lose(1);
                continue;
            }
            if let Some(sample) = sample.take() {
                made = Some(sample::line(time_ms, sample()));
            }
            reader.waiting_line(made.clone().unwrap_or_default());
        }
    }

    /// Counts samples that the taps of this stage would have wanted, and that were not made.
    pub(super) fn lose(&self, stage: Stage, wants: impl Fn(&Wish) -> bool, samples: u64) {
        let mut list = self.lock();
        let readers = list.open.iter_mut().filter(|reader| reader.wish.stage == stage && wants(&reader.wish));
        readers.for_each(|reader| reader.lose(samples));
    }

    /// Returns whether a tap of this stage wants it.
    pub(super) fn is_wanted(&self, stage: Stage, wants: impl Fn(&Wish) -> bool) -> bool {
        self.lock().open.iter().any(|reader| reader.wish.stage == stage && wants(&reader.wish))
    }

    /// Reserves a place for a row that is shown when it is safe. `None`: too many wait already.
    pub(super) fn reserve_row(&self) -> Option<RowPlace> {
        let place = RowPlace(self.clone());
        (self.0.rows.fetch_add(1, Ordering::Relaxed) < ROWS_MAX).then_some(place)
    }

    fn note_stages(&self, list: &List) {
        let open = list.open.iter().filter(|_| !list.is_closed);
        let stages = open.fold(0, |stages, reader| stages | reader.wish.stage.bit());
        self.0.stages.store(stages, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Place of a row that is watched until it is safe, given back when it is dropped.
#[derive(Debug)]
pub(super) struct RowPlace(Taps);

impl Drop for RowPlace {
    fn drop(&mut self) {
        self.0.0.rows.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reader {
    fn has_room(&self) -> bool {
        self.waiting.len() < SAMPLES_MAX && self.bytes < BYTES_MAX
    }

    fn lose(&mut self, samples: u64) {
        self.lost = self.lost.saturating_add(samples);
        self.woken.notify_one();
    }

    fn waiting_line(&mut self, line: String) {
        self.bytes += line.len();
        self.waiting.push_back(Waiting { lost_before: std::mem::take(&mut self.lost), line });
        self.woken.notify_one();
    }

    /// Takes the next thing out. What was lost is told at its place.
    fn take(&mut self) -> Option<Next> {
        let lost = match self.waiting.front_mut() {
            Some(first) => std::mem::take(&mut first.lost_before),
            None => std::mem::take(&mut self.lost),
        };
        if lost > 0 {
            return Some(Next::Lost(lost));
        }
        let Waiting { line, .. } = self.waiting.pop_front()?;
        self.bytes -= line.len();
        Some(Next::Sample(line))
    }
}

impl Tap {
    /// Waits for the next thing. Cancel safe.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.woken.notified().await;
        }
    }

    /// Waits until the gateway stops, whatever samples wait.
    pub(crate) async fn closed(&self) {
        while !self.taps.lock().is_closed {
            self.woken.notified().await;
        }
    }

    fn take(&mut self) -> Option<Next> {
        let mut list = self.taps.lock();
        let is_closed = list.is_closed;
        let next = list.open.iter_mut().find(|reader| reader.id == self.id).and_then(Reader::take);
        next.or_else(|| is_closed.then_some(Next::Closed))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut list = self.taps.lock();
        list.open.retain(|reader| reader.id != self.id);
        self.taps.note_stages(&list);
    }
}

#[cfg(test)]
mod tests;
