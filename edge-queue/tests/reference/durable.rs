//! Durable part of the reference, for those who cut the power.

use std::collections::BTreeMap;

use edge_queue::{Reason, Receipt};

use super::{At, RefRow, Reference};

/// A row given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    pub seq: u64,
    pub wall_ms: u64,
    pub weight: u64,
    pub reason: Reason,
}

/// A row still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    pub id: u64,
    pub seq: u64,
    pub weight: u64,
    pub born_ms: u64,
    pub ttl_ms: Option<u64>,
}

impl Reference {
    /// A commit that wrote acknowledgements and no rows.
    pub fn commit_bookkeeping(&mut self) {
        for (id, reason) in self.settling.drain(..) {
            self.receipts.insert(id, Receipt::Settled(reason));
        }
    }

    /// The next row pushed is this one: after a crash, rows that were taken once may not be anew.
    pub fn set_next_id(&mut self, id: u64) {
        self.next_id = id;
    }

    /// Rows that wait for a commit.
    pub fn waiting(&self) -> impl Iterator<Item = u64> {
        self.lanes.iter().flatten().filter(|row| !row.gone && !row.written).map(|row| row.id)
    }

    /// The consumer reported all its losses upstream.
    pub fn report_losses(&mut self, name: &str) {
        for (_, book) in self.books.iter_mut().filter(|((of, _), _)| of == name) {
            book.losses.clear();
        }
    }

    /// The queue that a power cut right after a commit leaves: rows that wait are gone, leases are back.
    pub fn durable(&self) -> Reference {
        let lanes = (0..self.lanes.len()).map(|lane| self.live(lane).cloned().collect());
        let mut left = Reference {
            limits: self.limits.clone(),
            lanes: lanes.collect(),
            consumers: self.consumers.clone(),
            books: self.books.clone(),
            waited: self.waited.clone(),
            stored_says: self.stored_says,
            next_id: self.next_id,
            epoch: self.epoch,
            next_seq: self.next_seq.clone(),
            ..Reference::default()
        };
        for (at, lane) in left.lanes.iter_mut().enumerate() {
            let next = &mut left.next_seq[at];
            for row in lane.iter().rev() {
                // A number counts as given away once a row with it was written or done by somebody.
                let open = !row.written && row.at.values().all(|at| *at != At::Done);
                if !open || row.seq + 1 != *next {
                    break;
                }
                *next = row.seq;
            }
            for row in lane.iter().filter(|row| !row.written) {
                for (name, _) in row.at.iter().filter(|(_, at)| **at != At::Done) {
                    left.books.get_mut(&(name.clone(), at)).unwrap().accepted -= row.weight;
                }
            }
            lane.retain(|row| row.written);
        }
        left.forget_leases();
        left
    }

    /// The number the next row of a lane gets.
    pub fn next_seq(&self, lane: usize) -> u64 {
        self.next_seq[lane]
    }

    /// Rows on the medium.
    pub fn rows(&self, lane: usize) -> impl Iterator<Item = Left> {
        self.live(lane).map(left)
    }

    /// Returns what the consumer still gets, in order.
    pub fn left_for(&self, name: &str, lane: usize) -> impl Iterator<Item = Left> {
        self.live(lane).filter(move |row| row.at.get(name) == Some(&At::Queued)).map(left)
    }

    /// Returns the ledger of a consumer: accepted, delivered, moved, dropped by reason. `None` for one it does not know.
    pub fn figures(&self, name: &str, lane: usize) -> Option<(u64, u64, u64, BTreeMap<u8, u64>)> {
        let book = self.books.get(&(name.to_owned(), lane))?;
        Some((book.accepted, book.delivered, book.moved, book.dropped.clone()))
    }

    /// Losses the consumer has not reported.
    pub fn losses(&self, name: &str, lane: usize) -> &[Loss] {
        self.books.get(&(name.to_owned(), lane)).map_or(&[], |book| &book.losses)
    }
}

fn left(row: &RefRow) -> Left {
    Left { id: row.id, seq: row.seq, weight: row.weight, born_ms: row.born_ms, ttl_ms: row.ttl_ms }
}
