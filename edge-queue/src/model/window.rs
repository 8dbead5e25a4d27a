//! The newest rows of a lane in RAM: what waits for a commit, what is being written, and a little of what was just
//! written, so that a consumer that keeps up never reads the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::slot::Slot;
use crate::row::{Seq, StoredRow};
use crate::state::Reason;

/// Written rows kept per lane. Bounds the RAM of a lane besides its unwritten rows.
pub(crate) const CACHE_BYTES: u64 = 256 * 1024;

/// RAM of an unwritten row besides its bytes: its entry, its receipt, and its copies while it is written.
const ROW_RAM_BYTES: u64 = 768;

/// One row in RAM.
pub(crate) struct RamRow {
    pub(crate) row: StoredRow,
    pub(crate) slot: Option<Arc<Slot>>,
    /// Set when a consumer gave it up: then its receipt is not `HandedOver`.
    pub(crate) dropped: Option<Reason>,
    /// Done while it was being written; removed when the write is over.
    gone: bool,
}

impl RamRow {
    #[inline]
    pub(crate) fn new(row: StoredRow, slot: Option<Arc<Slot>>) -> RamRow {
        RamRow { row, slot, dropped: None, gone: false }
    }
}

/// Rows ascending by number: first `stored` written ones, then `writing`, then those that wait.
pub(crate) struct Window {
    rows: VecDeque<RamRow>,
    /// Every live row from here on is in the window.
    from: Seq,
    stored: usize,
    writing: usize,
    stored_bytes: u64,
    writing_bytes: u64,
    waiting_bytes: u64,
}

impl Window {
    pub(crate) fn new(from: Seq) -> Window {
        Window {
            rows: VecDeque::new(),
            from,
            stored: 0,
            writing: 0,
            stored_bytes: 0,
            writing_bytes: 0,
            waiting_bytes: 0,
        }
    }

    pub(crate) fn from(&self) -> Seq {
        self.from
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    pub(crate) fn unwritten_bytes(&self) -> u64 {
        self.waiting_bytes + self.writing_bytes
    }

    /// RAM of what is not written, bookkeeping included.
    pub(crate) fn unwritten_ram(&self) -> u64 {
        let rows = self.rows.len() - self.stored;
        self.unwritten_bytes() + rows as u64 * ROW_RAM_BYTES
    }

    /// Up time of the oldest row no commit has taken yet.
    pub(crate) fn oldest_waiting_ms(&self) -> Option<u64> {
        self.rows.get(self.stored + self.writing).map(|r| r.row.stamp.up_ms)
    }

    /// Whether a live row with this number is on the medium.
    pub(crate) fn is_stored(&self, seq: Seq) -> bool {
        self.rows.get(self.stored).is_none_or(|first| seq < first.row.seq)
    }

    /// Whether no commit has taken the row yet.
    pub(crate) fn is_waiting(&self, seq: Seq) -> bool {
        self.rows.get(self.stored + self.writing).is_some_and(|first| seq >= first.row.seq)
    }

    #[inline]
    pub(crate) fn push(&mut self, row: RamRow) {
        self.waiting_bytes += row.row.bytes();
        self.rows.push_back(row);
    }

    pub(crate) fn first(&self) -> Option<&StoredRow> {
        self.rows.iter().find(|r| !r.gone).map(|r| &r.row)
    }

    /// The first live row at or after `seq`.
    pub(crate) fn at_or_after(&self, seq: Seq) -> Option<&StoredRow> {
        let at = self.rows.partition_point(|r| r.row.seq < seq);
        self.rows.range(at..).find(|r| !r.gone).map(|r| &r.row)
    }

    pub(crate) fn get_mut(&mut self, seq: Seq) -> Option<&mut RamRow> {
        let at = self.find(seq)?;
        self.rows.get_mut(at)
    }

    /// Removes a row nobody wants any more, if it is here; gives its receipt slot and why it was dropped, if it was.
    pub(crate) fn take(&mut self, seq: Seq) -> Option<(Option<Arc<Slot>>, Option<Reason>)> {
        let at = self.find(seq)?;
        let row = self.rows.get_mut(at)?;
        let slot = row.slot.take();
        let dropped = row.dropped;
        let bytes = row.row.bytes();
        if at < self.stored {
            self.stored -= 1;
            self.stored_bytes -= bytes;
            self.rows.remove(at);
        } else if at < self.stored + self.writing {
            row.gone = true;
        } else {
            self.waiting_bytes -= bytes;
            self.rows.remove(at);
        }
        Some((slot, dropped))
    }

    /// The rows no commit has taken yet.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &StoredRow> {
        self.rows.range(self.stored + self.writing..).map(|r| &r.row)
    }

    /// Takes every waiting row into a commit.
    pub(crate) fn begin(&mut self) -> Vec<StoredRow> {
        let rows: Vec<StoredRow> = self.waiting().cloned().collect();
        self.writing += rows.len();
        self.writing_bytes += self.waiting_bytes;
        self.waiting_bytes = 0;
        rows
    }

    /// Ends the commit begun last: its rows are stored, and `receipt` gets their slots, or they wait again.
    pub(crate) fn finish(&mut self, written: bool, mut receipt: impl FnMut(Option<Arc<Slot>>)) {
        let mut at = self.stored;
        let end = self.stored + self.writing;
        let mut left = end - at;
        while left > 0 {
            left -= 1;
            let Some(row) = self.rows.get_mut(at) else { break };
            let bytes = row.row.bytes();
            self.writing_bytes -= bytes;
            if written {
                receipt(row.slot.take());
            }
            if row.gone {
                self.rows.remove(at);
                continue;
            }
            at += 1;
            if written {
                self.stored += 1;
                self.stored_bytes += bytes;
            } else {
                self.waiting_bytes += bytes;
            }
        }
        self.writing = 0;
        self.trim();
    }

    /// Every slot still waiting, for a queue that closes or turns volatile.
    pub(crate) fn drain_slots(&mut self, mut slot: impl FnMut(Option<Arc<Slot>>)) {
        for row in &mut self.rows {
            if row.slot.is_some() {
                slot(row.slot.take());
            }
        }
    }

    fn trim(&mut self) {
        while self.stored > 0 && self.stored_bytes > CACHE_BYTES {
            let Some(row) = self.rows.pop_front() else { break };
            self.stored -= 1;
            self.stored_bytes -= row.row.bytes();
            self.from = row.row.seq + 1;
        }
    }

    fn find(&self, seq: Seq) -> Option<usize> {
        let at = self.rows.partition_point(|r| r.row.seq < seq);
        self.rows.get(at).filter(|r| r.row.seq == seq && !r.gone).map(|_| at)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::row::Lane;
    use crate::time::{Expiry, Now};

    fn row(seq: Seq, len: usize) -> RamRow {
        let (key, meta, payload) = (Bytes::new(), Bytes::new(), Bytes::from(vec![0; len]));
        let stamp = Now { up_ms: seq, ..Now::default() };
        let (ttl_ms, expiry) = (None, Expiry::Lenient);
        let stored =
            StoredRow { lane: Lane(0), seq, epoch: 1, stamp, ttl_ms, expiry, weight: 1, key, meta, payload };
        RamRow::new(stored, None)
    }

    #[test]
    fn a_failed_write_waits_again_without_what_was_done_meanwhile() {
        let mut w = Window::new(1);
        (1..=3).for_each(|seq| w.push(row(seq, 10)));
        assert_eq!(w.begin().len(), 3);
        w.push(row(4, 10));
        w.take(2);
        assert_eq!(w.oldest_waiting_ms(), Some(4));
        w.finish(false, |_| {});
        assert_eq!(w.oldest_waiting_ms(), Some(1));
        assert_eq!(w.unwritten_bytes(), 3 * 42);
        assert_eq!(w.begin().iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 3, 4]);
        w.finish(true, |_| {});
        assert_eq!(w.unwritten_bytes(), 0);
        assert!(w.is_stored(4) && w.is_stored(100));
    }

    #[test]
    fn written_rows_are_kept_up_to_the_cache_size_only() {
        let mut w = Window::new(1);
        (1..=100).for_each(|seq| w.push(row(seq, 10_000)));
        w.begin();
        assert!(!w.is_stored(1));
        w.finish(true, |_| {});
        assert!(w.stored_bytes <= CACHE_BYTES);
        assert_eq!(w.from(), w.first().unwrap().seq);
        assert!(w.from() > 70);
    }
}
