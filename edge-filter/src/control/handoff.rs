//! Values and events between a control thread and the others, without a lock: a thread that stops, at any instruction,
//! stops no other one. Everything is a few atomic loads and stores, in safe code.
//!
//! * [`latest`]: the newest value, for inputs and outputs. A reader that meets a writer in the middle of a write tries again
//!   a few times and then keeps what it had.
//! * [`ring`]: a bounded queue from one thread to one other, for events and commands. A full one refuses; nobody waits.

#[cfg(all(test, loom))]
use loom::sync::Arc;
#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(not(all(test, loom)))]
use std::sync::Arc;
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(all(test, loom))]
mod model_tests;

/// Creates a cell of `N` words with one writer and any number of readers.
///
/// ```
/// use edge_filter::control::handoff;
///
/// let (mut writer, reader) = handoff::latest::<2>();
/// assert_eq!(reader.read(), None);
/// writer.write([1, 20.5_f64.to_bits()]);
/// assert_eq!(reader.read(), Some([1, 20.5_f64.to_bits()]));
/// ```
#[must_use]
pub fn latest<const N: usize>() -> (Writer<N>, Reader<N>) {
    let cell = Arc::new(Cell { sequence: AtomicU64::new(0), words: zeros() });
    (Writer { cell: cell.clone() }, Reader { cell })
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

#[derive(Debug)]
struct Cell<const N: usize> {
    /// Counter of writes, odd while a write is going on.
    sequence: AtomicU64,
    words: [AtomicU64; N],
}

/// Writing end of a [`latest`] cell, of which there is one.
#[derive(Debug)]
pub struct Writer<const N: usize> {
    cell: Arc<Cell<N>>,
}

/// Reading end of a [`latest`] cell.
#[derive(Clone, Debug)]
pub struct Reader<const N: usize> {
    cell: Arc<Cell<N>>,
}

/// Tries of a read before it gives up. A write takes nanoseconds, so one that is still going on after that many tries was stopped in the
/// middle. The model check that goes through all interleavings has time for two.
const TRIES: u32 = if cfg!(all(test, loom)) { 2 } else { 16 };

impl<const N: usize> Writer<N> {
    /// Replaces the value that readers get.
    pub fn write(&mut self, words: [u64; N]) {
        let cell = &*self.cell;
        let sequence = cell.sequence.load(Ordering::Relaxed);
        cell.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (place, word) in cell.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        cell.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }
}

impl<const N: usize> Reader<N> {
    /// Returns the newest complete value; `None` before the first, and while a write does not end.
    #[must_use]
    pub fn read(&self) -> Option<[u64; N]> {
        let cell = &*self.cell;
        for _ in 0..TRIES {
            let before = cell.sequence.load(Ordering::Acquire);
            if before == 0 {
                return None;
            }
            let mut words = [0; N];
            for (word, place) in words.iter_mut().zip(&cell.words) {
                *word = place.load(Ordering::Relaxed);
            }
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && cell.sequence.load(Ordering::Relaxed) == before {
                return Some(words);
            }
            std::hint::spin_loop();
        }
        None
    }
}

/// Creates a queue of `capacity` items (1 if it is 0) of `N` words, from one thread to one other. An item that does not fit is dropped and
/// counted.
///
/// ```
/// use edge_filter::control::handoff;
///
/// let (mut sender, mut receiver) = handoff::ring::<1>(1);
/// assert!(sender.has_room() && sender.send([7]) && !sender.has_room() && !sender.send([8]));
/// assert_eq!((receiver.receive(), receiver.receive(), receiver.lost()), (Some([7]), None, 1));
/// ```
#[must_use]
pub fn ring<const N: usize>(capacity: usize) -> (Sender<N>, Receiver<N>) {
    let slots = (0..capacity.max(1)).map(|_| zeros()).collect();
    let ring = Arc::new(Ring {
        slots,
        sent: AtomicUsize::new(0),
        taken: AtomicUsize::new(0),
        lost: AtomicU64::new(0),
    });
    (Sender { ring: ring.clone() }, Receiver { ring })
}

#[derive(Debug)]
struct Ring<const N: usize> {
    slots: Box<[[AtomicU64; N]]>,
    sent: AtomicUsize,
    taken: AtomicUsize,
    lost: AtomicU64,
}

impl<const N: usize> Ring<N> {
    fn slot(&self, number: usize) -> Option<&[AtomicU64; N]> {
        self.slots.get(number % self.slots.len().max(1))
    }
}

/// Sending end of a [`ring`].
#[derive(Debug)]
pub struct Sender<const N: usize> {
    ring: Arc<Ring<N>>,
}

/// Receiving end of a [`ring`].
#[derive(Debug)]
pub struct Receiver<const N: usize> {
    ring: Arc<Ring<N>>,
}

impl<const N: usize> Sender<N> {
    /// Returns whether the next item has room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let waiting =
            self.ring.sent.load(Ordering::Relaxed).wrapping_sub(self.ring.taken.load(Ordering::Acquire));
        waiting < self.ring.slots.len()
    }

    /// Sends an item. Returns whether there was room; an item without room is dropped and counted.
    pub fn send(&mut self, item: [u64; N]) -> bool {
        let ring = &*self.ring;
        let sent = ring.sent.load(Ordering::Relaxed);
        let waiting = sent.wrapping_sub(ring.taken.load(Ordering::Acquire));
        let Some(slot) = ring.slot(sent).filter(|_| waiting < ring.slots.len()) else {
            ring.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        for (place, word) in slot.iter().zip(item) {
            place.store(word, Ordering::Relaxed);
        }
        ring.sent.store(sent.wrapping_add(1), Ordering::Release);
        true
    }
}

impl<const N: usize> Receiver<N> {
    /// Takes the oldest item; `None` if the queue is empty.
    pub fn receive(&mut self) -> Option<[u64; N]> {
        let ring = &*self.ring;
        let taken = ring.taken.load(Ordering::Relaxed);
        if taken == ring.sent.load(Ordering::Acquire) {
            return None;
        }
        let mut item = [0; N];
        for (word, place) in item.iter_mut().zip(ring.slot(taken)?) {
            *word = place.load(Ordering::Relaxed);
        }
        ring.taken.store(taken.wrapping_add(1), Ordering::Release);
        Some(item)
    }

    /// Returns the number of items that were dropped for want of room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.ring.lost.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_stopped_in_the_middle_stops_no_reader() {
        let (mut writer, reader) = latest::<2>();
        assert_eq!(reader.read(), None);
        writer.write([1, 2]);
        assert_eq!(reader.read(), Some([1, 2]));
        // Frozen between its first and its last store.
        writer.cell.sequence.fetch_add(1, Ordering::Relaxed);
        assert_eq!(reader.read(), None, "after a few tries, and it returns");
    }

    #[test]
    fn a_full_ring_refuses_and_counts() {
        let (mut sender, mut receiver) = ring::<1>(3);
        let sent: Vec<bool> = (0..5).map(|n| sender.send([n])).collect();
        assert_eq!((sent, receiver.lost()), (vec![true, true, true, false, false], 2));
        assert_eq!(receiver.receive(), Some([0]));
        assert!(sender.send([5]));
        assert_eq!(std::iter::from_fn(|| receiver.receive()).collect::<Vec<_>>(), [[1], [2], [5]]);
    }
}
