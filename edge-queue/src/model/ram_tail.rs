//! The tail of a lane's log in RAM: rows that wait for a commit, rows of the commit under way, and some that were just
//! written, so that a consumer that keeps up never reads the disk.
//!
//! [`RamTail::take`] removes a waiting row that no consumer wants any more, so that no commit writes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::receipts::{OutstandingReceipts, Ticket};
use super::usage::{Size, Usage};
use crate::planted_flaw::{Flaw, planted};
use crate::receipt::Receipt;
use crate::row::{Seq, StoredRow};

/// Most bytes of written rows that are kept in RAM per lane, besides its unwritten rows.
pub(crate) const CACHE_BYTES: u64 = 256 * 1024;

/// Bytes of RAM of an unwritten row besides its own: its entry, room for the list to grow into, and its receipt.
pub(super) const ROW_RAM_BYTES: u64 = 768;

/// Bytes of a row's entry in RAM; key, meta and payload count apart.
const ENTRY_BYTES: u64 = size_of::<StoredRow>() as u64;

/// Most rows whose memory is kept for the next commit's rows instead of being freed and allocated again.
pub(crate) const SPARE_ROWS_MAX: usize = 1024;

/// Rows of a lane in RAM, ascending by number: first the written rows, then those of the commit under way, then those that wait.
pub(crate) struct RamTail {
    stored: VecDeque<StoredRow>,
    /// Rows that are being written, shared with the writer; `None` between commits.
    writing: Option<Arc<Vec<StoredRow>>>,
    waiting: VecDeque<StoredRow>,
    /// Rows of the commit under way that are done meanwhile.
    gone: BTreeSet<Seq>,
    /// Receipts of unwritten rows that were dropped or moved, in place of `HandedOver`.
    ends: BTreeMap<Seq, Receipt>,
    owed: OutstandingReceipts,
    /// Sequence number from which every wanted row is in RAM.
    from: Seq,
    stored_bytes: u64,
    writing_bytes: u64,
    /// Totals of `waiting`.
    waiting_usage: Usage,
    spare: Vec<StoredRow>,
}

impl RamTail {
    pub(crate) fn new(from: Seq) -> RamTail {
        RamTail {
            stored: VecDeque::new(),
            writing: None,
            waiting: VecDeque::new(),
            gone: BTreeSet::new(),
            ends: BTreeMap::new(),
            owed: OutstandingReceipts::default(),
            from,
            stored_bytes: 0,
            writing_bytes: 0,
            waiting_usage: Usage::default(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn from(&self) -> Seq {
        self.from
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_usage.bytes
    }

    pub(crate) fn unwritten_bytes(&self) -> u64 {
        self.waiting_usage.bytes + self.writing_bytes
    }

    /// Returns the RAM of rows that are not written, bookkeeping included.
    pub(crate) fn unwritten_ram(&self) -> u64 {
        let rows = self.writing().len() + self.waiting.len();
        self.unwritten_bytes() + rows as u64 * ROW_RAM_BYTES
    }

    /// Up time in milliseconds of the oldest row that no commit has taken yet; `None` when no row waits.
    pub(crate) fn oldest_waiting_ms(&self) -> Option<u64> {
        self.waiting.front().map(|row| row.stamp.up_ms)
    }

    /// Sequence number below which every wanted row is on the medium.
    pub(crate) fn stored_below(&self) -> Seq {
        self.writing().first().map_or_else(|| self.waiting_from(), |first| first.seq)
    }

    /// Returns whether the row with this number is on the medium, provided that some consumer still wants it.
    pub(crate) fn is_stored(&self, seq: Seq) -> bool {
        seq < self.stored_below()
    }

    /// Returns whether no commit has taken the row yet.
    pub(crate) fn is_waiting(&self, seq: Seq) -> bool {
        seq >= self.waiting_from()
    }

    /// Adds a row; a call of [`RamTail::owe`] follows.
    #[inline]
    pub(crate) fn push(&mut self, row: StoredRow) {
        self.waiting_usage.add(Size::of(&row));
        self.waiting.push_back(row);
    }

    /// Registers the `rows` rows from `first` on, just added, for receipts, and returns the ticket for these.
    #[inline]
    pub(crate) fn owe(&mut self, first: Seq, rows: u32) -> Ticket {
        self.owed.add(first, rows)
    }

    pub(crate) fn first(&self) -> Option<&StoredRow> {
        self.at_or_after(0)
    }

    /// Returns the first wanted row at or after `seq`; `None` if none is in RAM.
    pub(crate) fn at_or_after(&self, seq: Seq) -> Option<&StoredRow> {
        let at = self.stored.partition_point(|row| row.seq < seq);
        self.stored.get(at).or_else(|| self.unwritten_at_or_after(seq))
    }

    fn unwritten_at_or_after(&self, seq: Seq) -> Option<&StoredRow> {
        let writing = self.writing();
        let at = writing.partition_point(|row| row.seq < seq);
        let live = writing.iter().skip(at).find(|row| !self.gone.contains(&row.seq));
        live.or_else(|| self.waiting.get(self.waiting.partition_point(|row| row.seq < seq)))
    }

    /// Records the receipt of an unwritten row that was evicted, or that a consumer dropped or moved; if consumers differ, a drop wins. A written row
    /// has its receipt already.
    pub(crate) fn note_end(&mut self, seq: Seq, receipt: Receipt) {
        let settled = matches!(self.ends.get(&seq), Some(Receipt::Settled(_)));
        if receipt == Receipt::Stored && settled {
            return;
        }
        if self.unwritten_at_or_after(seq).is_some_and(|row| row.seq == seq) {
            self.ends.insert(seq, receipt);
        }
    }

    /// Removes a row that no consumer wants any more. Returns the ticket of its receipt if that was not given yet, and the receipt: `None` if all
    /// consumers acknowledged the row.
    pub(crate) fn take(&mut self, seq: Seq) -> Option<(Ticket, Option<Receipt>)> {
        if seq < self.from {
            return None;
        }
        let at = self.stored.partition_point(|row| row.seq < seq);
        if self.stored.get(at).is_some_and(|row| row.seq == seq) {
            self.stored_bytes -= self.stored.remove(at).map_or(0, |row| row.bytes());
            return None;
        }
        if self.writing().binary_search_by_key(&seq, |row| row.seq).is_ok() {
            self.gone.insert(seq);
        } else {
            let at = self.waiting.binary_search_by_key(&seq, |row| row.seq).ok()?;
            let row = self.waiting.remove(at)?;
            self.waiting_usage.sub(Size::of(&row));
        }
        let end = self.ends.remove(&seq);
        self.owed.take(seq).map(|ticket| (ticket, end))
    }

    /// The rows no commit has taken yet.
    pub(crate) fn waiting_rows(&self) -> impl Iterator<Item = &StoredRow> {
        self.waiting.iter()
    }

    /// Totals of the rows no commit has taken yet.
    pub(crate) fn waiting(&self) -> &Usage {
        &self.waiting_usage
    }

    /// Number of the first row that no commit has taken yet; `Seq::MAX` when no row waits.
    pub(crate) fn waiting_from(&self) -> Seq {
        self.waiting.front().map_or(Seq::MAX, |first| first.seq)
    }

    /// Returns the rows still wanted that no finished commit holds.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = &StoredRow> {
        self.writing().iter().filter(|row| !self.gone.contains(&row.seq)).chain(&self.waiting)
    }

    /// Takes every waiting row into a commit; `None` when no row waits.
    pub(crate) fn begin(&mut self) -> Option<Arc<Vec<StoredRow>>> {
        if self.waiting.is_empty() {
            return None;
        }
        self.owed.part();
        let spare = VecDeque::from(std::mem::take(&mut self.spare));
        let rows = Arc::new(Vec::from(std::mem::replace(&mut self.waiting, spare)));
        self.writing = Some(rows.clone());
        self.writing_bytes = std::mem::take(&mut self.waiting_usage).bytes;
        Some(rows)
    }

    /// Ends the commit begun last, whose rows have no other owner any more. If it was written the rows are stored, and `give` gets the tickets of
    /// their receipts; else they wait again.
    pub(crate) fn finish(&mut self, written: bool, mut give: impl FnMut(Ticket)) {
        let Some(rows) = self.writing.take() else { return };
        let mut rows = Arc::try_unwrap(rows).unwrap_or_else(|shared| shared.to_vec());
        let mut bytes = std::mem::take(&mut self.writing_bytes);
        if !self.gone.is_empty() {
            let gone = std::mem::take(&mut self.gone);
            rows.retain(|row| !gone.contains(&row.seq));
            bytes = rows.iter().map(StoredRow::bytes).sum();
        }
        if !written {
            rows.iter().for_each(|row| self.waiting_usage.add(Size::of(row)));
            rows.extend(self.waiting.drain(..));
            self.waiting = rows.into();
            return;
        }
        let end = self.waiting_from();
        self.owed.take_below(end, &mut give);
        if !planted(Flaw::EndsKept) {
            self.ends = self.ends.split_off(&end);
        }
        self.keep(rows, bytes);
    }

    /// Keeps the newest of the rows just written, `bytes` in all, as far as there is room. The list's memory is reused for the next rows.
    fn keep(&mut self, rows: Vec<StoredRow>, bytes: u64) {
        self.stored_bytes += bytes;
        let ram = self.stored_bytes + (self.stored.len() + rows.len()) as u64 * ENTRY_BYTES;
        let mut over = ram.saturating_sub(CACHE_BYTES);
        let mut rows = VecDeque::from(rows);
        // Dropped where they are: moving them is most of what keeping rows costs.
        for list in [&mut self.stored, &mut rows] {
            let mut gone = 0;
            while let Some(row) = list.get(gone).filter(|_| over > 0) {
                over = over.saturating_sub(row.bytes() + ENTRY_BYTES);
                self.stored_bytes -= row.bytes();
                self.from = row.seq + 1;
                gone += 1;
            }
            list.drain(..gone);
        }
        if self.stored.is_empty() && rows.capacity() <= SPARE_ROWS_MAX {
            std::mem::swap(&mut self.stored, &mut rows);
        }
        self.stored.append(&mut rows);
        if rows.capacity() <= SPARE_ROWS_MAX {
            self.spare = rows.into();
        }
    }

    /// Passes the ticket of every receipt not given yet to `give`, for a queue that closes or turns volatile.
    pub(crate) fn drain_owed(&mut self, give: impl FnMut(Ticket)) {
        self.owed.take_below(Seq::MAX, give);
    }

    fn writing(&self) -> &[StoredRow] {
        self.writing.as_ref().map_or(&[], |rows| rows.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::row::Lane;
    use crate::row_age::Expiry;
    use crate::time::Now;

    fn row(seq: Seq, len: usize) -> StoredRow {
        let (key, meta, payload) = (Bytes::new(), Bytes::new(), Bytes::from(vec![0; len]));
        let stamp = Now { up_ms: seq, ..Now::default() };
        let (ttl_ms, expiry) = (None, Expiry::Lenient);
        StoredRow { lane: Lane(0), seq, epoch: 1, stamp, ttl_ms, expiry, weight: 1, key, meta, payload }
    }

    fn push(w: &mut RamTail, row: StoredRow) {
        let seq = row.seq;
        w.push(row);
        w.owe(seq, 1);
    }

    #[test]
    fn a_failed_write_waits_again_without_what_was_done_meanwhile() {
        let mut w = RamTail::new(1);
        (1..=3).for_each(|seq| push(&mut w, row(seq, 10)));
        assert_eq!(w.begin().map_or(0, |rows| rows.len()), 3);
        push(&mut w, row(4, 10));
        assert_eq!(w.take(2).map(|(ticket, dropped)| (ticket.at, dropped)), Some((1, None)));
        assert!(w.take(2).is_none() && w.at_or_after(2).is_some_and(|row| row.seq == 3));
        assert_eq!(w.oldest_waiting_ms(), Some(4));
        w.finish(false, |_| {});
        assert_eq!(w.oldest_waiting_ms(), Some(1));
        assert_eq!(w.unwritten_bytes(), 3 * 42);
        let begun = w.begin().unwrap_or_default();
        assert_eq!(begun.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 3, 4]);
        drop(begun);
        let mut given = Vec::new();
        w.finish(true, |ticket| given.push((ticket.at, ticket.rows)));
        assert_eq!(given, [(0, 1), (2, 1), (0, 1)], "row 4 came after the first commit was begun");
        assert_eq!(w.unwritten_bytes(), 0);
        assert!(w.is_stored(4) && w.is_stored(100));
    }

    /// Counts the notes left of three rows that were given up, one of them while it was written, one by one consumer of two.
    fn notes_left() -> (usize, usize) {
        let mut w = RamTail::new(1);
        (1..=3).for_each(|seq| push(&mut w, row(seq, 10)));
        let begun = w.begin();
        for seq in 1..=3 {
            w.note_end(seq, Receipt::Settled(crate::Reason::Discarded));
        }
        w.take(2);
        drop(begun);
        w.finish(true, |_| {});
        (w.ends.len(), w.gone.len())
    }

    #[test]
    fn nothing_noted_of_a_row_outlives_its_receipt() {
        assert_eq!(notes_left(), (0, 0));
    }

    #[cfg(feature = "testing")]
    #[test]
    fn notes_that_outlive_their_receipts_are_caught() {
        assert_eq!(Flaw::EndsKept.during(notes_left), (2, 0));
    }

    #[test]
    fn written_rows_are_kept_up_to_the_cache_size_only() {
        let mut w = RamTail::new(1);
        for commit in 0..10 {
            (1..=100).for_each(|n| push(&mut w, row(commit * 100 + n, 1_000 * (1 + commit as usize))));
            w.begin();
            assert!(!w.is_stored(commit * 100 + 1));
            w.finish(true, |_| {});
            let kept: u64 = w.stored.iter().map(StoredRow::bytes).sum();
            assert_eq!(kept, w.stored_bytes);
            let room = CACHE_BYTES - kept - w.stored.len() as u64 * ENTRY_BYTES;
            assert!(room < 10_032 + ENTRY_BYTES || w.from() == 1, "as many as find room");
            assert_eq!(w.from(), w.first().unwrap().seq);
        }
        assert!(w.from() > 970);
    }

    #[test]
    fn a_written_row_that_is_done_leaves_its_bytes_to_others() {
        let mut w = RamTail::new(1);
        (1..=3).for_each(|seq| push(&mut w, row(seq, 68 + seq as usize)));
        w.begin();
        w.finish(true, |_| {});
        assert!(w.take(2).is_none());
        assert_eq!(w.stored_bytes, 101 + 103);
    }

    #[test]
    fn rows_in_no_finished_commit_are_those_written_and_wanted_and_those_that_wait() {
        let mut w = RamTail::new(1);
        (1..=3).for_each(|seq| push(&mut w, row(seq, 10)));
        let begun = w.begin();
        push(&mut w, row(4, 10));
        w.take(2);
        assert_eq!(w.unwritten().map(|row| row.seq).collect::<Vec<_>>(), [1, 3, 4]);
        drop(begun);
    }

    #[test]
    fn a_large_commit_leaves_no_large_allocation() {
        let mut w = RamTail::new(1);
        for commit in 0..3 {
            (1..=20_000).for_each(|n| push(&mut w, row(commit * 20_000 + n, 10)));
            w.begin();
            w.finish(true, |_| {});
            assert!(w.spare.capacity() <= SPARE_ROWS_MAX);
            assert!(w.stored.capacity() < 5_000, "{}: what is kept is far less", w.stored.capacity());
        }
    }
}
