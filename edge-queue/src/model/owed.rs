//! The receipts a lane owes: rows pushed together share one entry, so that a large batch costs its commit one receipt.

use std::collections::VecDeque;
use std::sync::Arc;

use super::slot::{Slot, Ticket};
use crate::row::Seq;

/// Rows without receipt, ascending.
#[derive(Default)]
pub(super) struct Owed(VecDeque<Entry>);

/// Rows `first..first + ticket.rows`.
struct Entry {
    first: Seq,
    ticket: Ticket,
}

impl Entry {
    fn end(&self) -> Seq {
        self.first.saturating_add(u64::from(self.ticket.rows))
    }
}

impl Owed {
    /// `seq`, higher than every row before, is row `at` of its push.
    #[inline]
    pub(super) fn add(&mut self, seq: Seq, slot: &Arc<Slot>, at: u32) {
        if let Some(last) = self.0.back_mut()
            && last.end() == seq
            && last.ticket.at.checked_add(last.ticket.rows) == Some(at)
            && Arc::ptr_eq(&last.ticket.slot, slot)
        {
            last.ticket.rows += 1;
            return;
        }
        self.0.push_back(Entry { first: seq, ticket: Ticket { slot: slot.clone(), at, rows: 1 } });
    }

    /// Takes the receipt of one row out, if it is still owed.
    pub(super) fn take(&mut self, seq: Seq) -> Option<Ticket> {
        let at = self.0.partition_point(|entry| entry.end() <= seq);
        let entry = self.0.get_mut(at).filter(|entry| entry.first <= seq)?;
        let before = u32::try_from(seq - entry.first).ok()?;
        let ticket = Ticket { at: entry.ticket.at + before, rows: 1, ..entry.ticket.clone() };
        let after = entry.ticket.rows - before - 1;
        if after == 0 {
            entry.ticket.rows = before;
        } else if before == 0 {
            entry.first += 1;
            entry.ticket.at += 1;
            entry.ticket.rows = after;
        } else {
            entry.ticket.rows = before;
            let rest = Ticket { at: ticket.at + 1, rows: after, ..ticket.clone() };
            self.0.insert(at + 1, Entry { first: seq + 1, ticket: rest });
        }
        if after == 0 && before == 0 {
            self.0.remove(at);
        }
        Some(ticket)
    }

    /// Takes the receipts of all rows below `end`.
    pub(super) fn take_below(&mut self, end: Seq, mut give: impl FnMut(Ticket)) {
        while let Some(entry) = self.0.front_mut().filter(|entry| entry.first < end) {
            if entry.end() <= end {
                self.0.pop_front().into_iter().for_each(|entry| give(entry.ticket));
                continue;
            }
            let rows = u32::try_from(end - entry.first).unwrap_or(entry.ticket.rows);
            give(Ticket { rows, ..entry.ticket.clone() });
            entry.first = end;
            entry.ticket.at += rows;
            entry.ticket.rows -= rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (first row of the push, how many).
    fn taken(owed: &mut Owed, end: Seq) -> Vec<(u32, u32)> {
        let mut all = Vec::new();
        owed.take_below(end, |ticket| all.push((ticket.at, ticket.rows)));
        all
    }

    #[test]
    fn rows_of_one_push_are_one_entry_and_come_apart_where_one_is_taken() {
        let (mut owed, slot, other) = (Owed::default(), Arc::default(), Arc::default());
        (0..10).for_each(|n| owed.add(100 + u64::from(n), &slot, n));
        owed.add(110, &other, 0);
        assert_eq!(owed.0.len(), 2);
        for (seq, at) in [(104, 4), (100, 0), (109, 9), (110, 0)] {
            assert_eq!(owed.take(seq).map(|t| (t.at, t.rows)), Some((at, 1)), "{seq}");
            assert!(owed.take(seq).is_none(), "{seq}");
        }
        assert_eq!(taken(&mut owed, 103), [(1, 2)]);
        assert_eq!(taken(&mut owed, 107), [(3, 1), (5, 2)]);
        assert_eq!(taken(&mut owed, Seq::MAX), [(7, 2)]);
        assert!(owed.0.is_empty());
    }

    #[test]
    fn holes_and_interleaved_lanes_make_entries_of_their_own() {
        let (mut owed, slot) = (Owed::default(), Arc::default());
        // Rows 0, 2 and 3 of a push came to this lane; number 7 was given up meanwhile.
        for (seq, at) in [(5, 0), (6, 2), (8, 3)] {
            owed.add(seq, &slot, at);
        }
        assert_eq!(taken(&mut owed, Seq::MAX), [(0, 1), (2, 1), (3, 1)]);
    }
}
