//! Rows that leave without a lease, and what a commit says of those that are left: eviction, expiry, consumers' own limits.

use edge_queue::{Reason, Receipt};

use super::durable::Loss;
use super::{At, RefRow, Reference};

impl Reference {
    pub(super) fn evict(&mut self, lane: usize, index: usize) {
        for name in self.consumers.clone() {
            if self.lanes[lane][index].at.get(&name) == Some(&At::Queued) {
                self.drop_as_overflow(&name, lane, index);
            }
        }
        if self.lanes[lane][index].ownerless {
            self.lanes[lane][index].dropped = Some(Reason::Overflow);
            self.remove_if_done(lane, index);
        }
    }

    fn drop_as_overflow(&mut self, name: &str, lane: usize, index: usize) {
        let seen = self.books[&(name.to_owned(), lane)].handed.contains(&index);
        let reason = if seen { Reason::OverflowUnconfirmed } else { Reason::Overflow };
        self.drop_for(name, lane, index, reason);
    }

    pub(super) fn drop_for(&mut self, name: &str, lane: usize, index: usize, reason: Reason) {
        let row = &mut self.lanes[lane][index];
        row.at.insert(name.to_owned(), At::Done);
        row.dropped = Some(reason);
        let book = self.books.get_mut(&(name.to_owned(), lane)).unwrap();
        *book.dropped.entry(reason as u8).or_default() += row.weight;
        book.losses.push(Loss { seq: row.seq, wall_ms: row.born_ms, weight: row.weight, reason });
        self.remove_if_done(lane, index);
    }

    pub(super) fn remove_if_done(&mut self, lane: usize, index: usize) {
        let row = &mut self.lanes[lane][index];
        if row.gone || row.at.values().any(|at| *at != At::Done) || (row.ownerless && row.dropped.is_none()) {
            return;
        }
        row.gone = true;
        if row.written {
            return;
        }
        match row.dropped {
            None => {
                let says = if row.moved { Receipt::Stored } else { Receipt::HandedOver };
                self.receipts.insert(row.id, says);
            }
            Some(reason) => self.settling.push((row.id, reason)),
        }
    }

    pub fn commit(&mut self) {
        self.move_slow_forward();
        let says = self.stored_says.unwrap();
        for row in self.lanes.iter_mut().flatten().filter(|row| !row.gone && !row.written) {
            row.written = true;
            self.receipts.insert(row.id, says);
        }
        for (id, reason) in self.settling.drain(..) {
            self.receipts.insert(id, Receipt::Settled(reason));
        }
    }

    pub fn move_slow_forward(&mut self) {
        for name in self.consumers.clone() {
            let Some(own) = self.own.get(&name).copied() else { continue };
            for lane in 0..self.lanes.len() {
                let states = [At::Queued, At::Leased];
                while own.messages.is_some_and(|max| self.weight_of(&name, lane, &states) > max)
                    || own.bytes.is_some_and(|max| self.bytes_of(&name, lane, &states) > max)
                {
                    let queued = |row: &RefRow| row.at.get(&name) == Some(&At::Queued);
                    let Some(oldest) = self.lanes[lane].iter().position(queued) else { break };
                    self.drop_as_overflow(&name, lane, oldest);
                }
            }
        }
    }
}
