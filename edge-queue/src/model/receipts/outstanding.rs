//! Outstanding receipts of a lane. Rows pushed one after the other, together or singly, share one entry and one slot for their receipts, so that
//! a push and its commit do not need a receipt object per row.

use std::collections::VecDeque;
use std::sync::Arc;

use super::slot::{Slot, Ticket};
use crate::row::Seq;

/// Number of rows per slot, which bounds how many producers a receipt wakes in vain.
const SLOT_ROWS: u32 = 64;

/// Rows without receipt, ascending.
#[derive(Default)]
pub(in crate::model) struct OutstandingReceipts {
    entries: VecDeque<Ticket>,
    /// Slot for the receipts of the next rows, and the number of rows that it has already; `None` when the next row needs another
    /// slot.
    open: Option<(Arc<Slot>, u32)>,
}

impl OutstandingReceipts {
    /// Adds `rows` rows from `first` on, which are higher than every row before. Returns the ticket to which their receipts will
    /// come.
    #[inline]
    pub(in crate::model) fn add(&mut self, first: Seq, rows: u32) -> Ticket {
        let (slot, used) = match &mut self.open {
            Some((slot, used)) if *used < SLOT_ROWS => (slot, used),
            open => {
                let (slot, used) = open.insert((Arc::default(), 0));
                (slot, used)
            }
        };
        let ticket = Ticket { slot: slot.clone(), at: *used, rows, first };
        *used = used.saturating_add(rows);
        match self.entries.back_mut() {
            Some(last) if last.end() == first && last.goes_on_with(&ticket) => last.rows += rows,
            _ => self.entries.push_back(ticket.clone()),
        }
        ticket
    }

    /// Gives the next rows another slot, because the rows before are about to get their receipts.
    pub(in crate::model) fn part(&mut self) {
        self.open = None;
    }

    /// Takes the ticket of one row's receipt out; `None` if the receipt is no longer owed.
    pub(in crate::model) fn take(&mut self, seq: Seq) -> Option<Ticket> {
        let at = self.entries.partition_point(|entry| entry.end() <= seq);
        let entry = self.entries.get_mut(at).filter(|entry| entry.first <= seq)?;
        let before = u32::try_from(seq - entry.first).ok()?;
        let ticket = entry.part(before, 1);
        let after = entry.rows - before - 1;
        let rest = entry.part(before + 1, after);
        if after == 0 {
            entry.rows = before;
        } else if before == 0 {
            *entry = rest;
        } else {
            entry.rows = before;
            self.entries.insert(at + 1, rest);
        }
        if after == 0 && before == 0 {
            self.entries.remove(at);
        }
        Some(ticket)
    }

    /// Passes the tickets of all rows below `end` without a receipt to `give`.
    pub(in crate::model) fn take_below(&mut self, end: Seq, mut give: impl FnMut(Ticket)) {
        while let Some(entry) = self.entries.front_mut().filter(|entry| entry.first < end) {
            if entry.end() <= end {
                self.entries.pop_front().into_iter().for_each(&mut give);
                continue;
            }
            let rows = u32::try_from(end - entry.first).unwrap_or(entry.rows);
            give(entry.part(0, rows));
            *entry = entry.part(rows, entry.rows - rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (first row in its slot, how many, number of the first).
    fn numbered(owed: &mut OutstandingReceipts, end: Seq) -> Vec<(u32, u32, Seq)> {
        let mut all = Vec::new();
        owed.take_below(end, |ticket| all.push((ticket.at, ticket.rows, ticket.first)));
        all
    }

    /// (first row in its slot, how many).
    fn taken(owed: &mut OutstandingReceipts, end: Seq) -> Vec<(u32, u32)> {
        numbered(owed, end).into_iter().map(|(at, rows, _)| (at, rows)).collect()
    }

    #[test]
    fn rows_in_a_row_are_one_entry_and_come_apart_where_one_is_taken() {
        let mut owed = OutstandingReceipts::default();
        assert_eq!(owed.add(100, 8).at, 0);
        assert_eq!([108, 109].map(|seq| owed.add(seq, 1).at), [8, 9]);
        owed.part();
        assert_eq!(owed.add(110, 1).at, 0);
        assert_eq!(owed.entries.len(), 2);
        for (seq, at) in [(104, 4), (100, 0), (109, 9), (110, 0)] {
            assert_eq!(owed.take(seq).map(|t| (t.at, t.rows, t.first)), Some((at, 1, seq)), "{seq}");
            assert!(owed.take(seq).is_none(), "{seq}");
        }
        assert_eq!(numbered(&mut owed, 103), [(1, 2, 101)]);
        assert_eq!(numbered(&mut owed, 107), [(3, 1, 103), (5, 2, 105)]);
        assert_eq!(numbered(&mut owed, Seq::MAX), [(7, 2, 107)]);
        assert!(owed.entries.is_empty());
    }

    #[test]
    fn a_hole_makes_an_entry_of_its_own_and_a_full_slot_too() {
        let mut owed = OutstandingReceipts::default();
        // Number 7 was given up meanwhile.
        for (seq, rows) in [(5, 1), (6, 1), (8, 100), (108, 1)] {
            owed.add(seq, rows);
        }
        assert_eq!(taken(&mut owed, Seq::MAX), [(0, 2), (2, 100), (0, 1)]);
    }

    #[test]
    fn what_is_left_of_an_entry_is_owed() {
        let mut owed = OutstandingReceipts::default();
        owed.add(1, 10);
        assert_eq!(taken(&mut owed, 4), [(0, 3)]);
        assert_eq!(taken(&mut owed, Seq::MAX), [(3, 7)]);
    }
}
