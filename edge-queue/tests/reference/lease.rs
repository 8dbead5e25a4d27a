//! Leases of the reference: the row that comes next, and its end: leased, acknowledged, or given back.

use std::ops::Range;

use edge_queue::{Order, Reason};

use super::{At, RefRow, Reference};

impl Reference {
    /// Returns the rows that a lease must give: lane and id, in order. Only the first row may be larger than `bytes_max`.
    pub fn lease(&mut self, name: &str, rows_max: usize, bytes_max: u64, now_ms: u64) -> Vec<(usize, u64)> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < rows_max {
            // Lanes that waited for seven rows of others, the longest first; then by priority.
            let waited = &self.waited[name];
            let mut lanes: Vec<usize> = (0..self.lanes.len()).filter(|lane| waited[*lane] >= 7).collect();
            lanes.sort_by(|a, b| waited[*b].cmp(&waited[*a]));
            lanes.extend(0..self.lanes.len());
            let found = lanes.into_iter().find_map(|lane| Some((lane, self.next(name, lane, now_ms)?)));
            let Some((lane, index)) = found else { break };
            bytes += self.lanes[lane][index].bytes;
            if !out.is_empty() && bytes > bytes_max {
                break;
            }
            let waited = self.waited.get_mut(name).unwrap();
            waited.iter_mut().for_each(|rows| *rows += 1);
            waited[lane] = 0;
            let row = &mut self.lanes[lane][index];
            row.at.insert(name.to_owned(), At::Leased);
            out.push((lane, row.id));
            let book = self.books.get_mut(&(name.to_owned(), lane)).unwrap();
            let live = book.live_from.filter(|from| *from <= index);
            book.live_run = if live.is_some() { book.live_run + 1 } else { 0 };
            book.handed.extend(live.unwrap_or(0)..=index);
        }
        out
    }

    fn next(&mut self, name: &str, lane: usize, now_ms: u64) -> Option<usize> {
        let len = self.lanes[lane].len();
        let Order::LiveFirst { backlog_one_in, behind_rows } = self.limits[lane].order else {
            return self.next_in(name, lane, 0..len, now_ms)?.ok();
        };
        let key = (name.to_owned(), lane);
        // Rows with an unbroken start of done and leased ones left out: those that wait, and what came after them.
        let waits = |from: usize| {
            let first = (from..len).find(|at| self.lanes[lane][*at].at.get(name) == Some(&At::Queued));
            first.map_or(0, |first| len - first)
        };
        let from = match self.books[&key].live_from {
            Some(from) if waits(from) <= behind_rows as usize => from,
            live_from => {
                let line = live_from.unwrap_or(len);
                let queued = |at: &usize| self.lanes[lane][*at].at.get(name) == Some(&At::Queued);
                // Numbers, which have holes where rows of an earlier run are gone.
                let seq = |at: usize| self.lanes[lane].get(at).map_or(self.next_seq[lane], |row| row.seq);
                let backlog = (0..line).find(queued).map_or(0, |first| seq(line) - seq(first));
                let waiting = live_from.map_or(0, waits) + backlog as usize;
                let newest = if waiting > 16 * behind_rows as usize { behind_rows as usize / 2 } else { 0 };
                (len - newest).max(self.opened_at[lane])
            }
        };
        let book = self.books.get_mut(&key).unwrap();
        book.live_from = Some(from);
        let mut parts = [from..len, 0..from];
        if book.live_run + 1 >= backlog_one_in {
            parts.reverse();
        }
        parts.into_iter().find_map(|part| self.next_in(name, lane, part, now_ms))?.ok()
    }

    /// `Some(Err)`: there is a row, but the leases are at their limit.
    fn next_in(
        &mut self,
        name: &str,
        lane: usize,
        part: Range<usize>,
        now_ms: u64,
    ) -> Option<Result<usize, ()>> {
        loop {
            let queued = |index: &usize| self.lanes[lane][*index].at.get(name) == Some(&At::Queued);
            let index = part.clone().find(queued)?;
            let row = &self.lanes[lane][index];
            let own_ms = self.own.get(name).and_then(|own| own.age_ms);
            let limit = [row.ttl_ms, self.limits[lane].max_age_ms, own_ms].into_iter().flatten().min();
            if limit.is_none_or(|limit| now_ms - row.born_ms < limit) {
                return Some(if self.may_lease(name, lane, index) { Ok(index) } else { Err(()) });
            }
            self.drop_for(name, lane, index, Reason::Expired);
        }
    }

    fn may_lease(&self, name: &str, lane: usize, index: usize) -> bool {
        let (mut weight, mut bytes, mut own) = (0, 0, false);
        for row in &self.lanes[lane] {
            for (who, at) in &row.at {
                if *at == At::Leased {
                    weight += row.weight;
                    bytes += row.bytes;
                    own |= who == name;
                }
            }
        }
        let row = &self.lanes[lane][index];
        let leased = (self.weight_of(name, lane, &[At::Leased]), self.bytes_of(name, lane, &[At::Leased]));
        let beyond = |limit: Option<u64>, sum: u64| limit.is_some_and(|max| sum > max / 2);
        if own
            && self.own.get(name).is_some_and(|own| {
                beyond(own.messages, leased.0 + row.weight) || beyond(own.bytes, leased.1 + row.bytes)
            })
        {
            return false;
        }
        !own || (weight + row.weight <= self.limits[lane].messages / 2
            && bytes + row.bytes <= self.limits[lane].bytes / 2)
    }

    pub fn ack(&mut self, name: &str, lane: usize, id: u64) {
        let Some(index) = self.index(lane, id, name) else { return };
        let row = &mut self.lanes[lane][index];
        row.at.insert(name.to_owned(), At::Done);
        self.books.get_mut(&(name.to_owned(), lane)).unwrap().delivered += row.weight;
        self.remove_if_done(lane, index);
    }

    /// A receipt names rows of a lane by number and epoch. Returns the ids of those that were still to come.
    pub fn ack_ids(&mut self, name: &str, lane: usize, epoch: u32, seqs: Range<u64>) -> Vec<u64> {
        self.commit();
        let named = |row: &RefRow| {
            row.epoch == epoch
                && seqs.contains(&row.seq)
                && matches!(row.at.get(name), Some(At::Queued | At::Leased))
        };
        let found: Vec<u64> = self.lanes[lane].iter().filter(|row| named(row)).map(|row| row.id).collect();
        for id in &found {
            let row = self.lanes[lane].iter_mut().find(|row| row.id == *id).unwrap();
            row.at.insert(name.to_owned(), At::Leased);
            self.ack(name, lane, *id);
        }
        self.commit_bookkeeping();
        found
    }

    /// The row is in another store now.
    pub fn moved(&mut self, name: &str, lane: usize, id: u64) {
        let Some(index) = self.index(lane, id, name) else { return };
        let row = &mut self.lanes[lane][index];
        row.at.insert(name.to_owned(), At::Done);
        row.moved = true;
        self.books.get_mut(&(name.to_owned(), lane)).unwrap().moved += row.weight;
        self.remove_if_done(lane, index);
    }

    /// The application gives a leased row up.
    pub fn give_up(&mut self, name: &str, lane: usize, id: u64, reason: Reason) {
        if let Some(index) = self.index(lane, id, name) {
            self.drop_for(name, lane, index, reason);
        }
    }

    pub fn give_back(&mut self, name: &str, lane: usize, id: u64) {
        if let Some(index) = self.index(lane, id, name) {
            self.lanes[lane][index].at.insert(name.to_owned(), At::Queued);
        }
    }

    /// Whether the consumer has leased the row and did nothing with it yet.
    pub fn is_leased(&self, name: &str, lane: usize, id: u64) -> bool {
        self.index(lane, id, name).is_some()
    }

    fn index(&self, lane: usize, id: u64, name: &str) -> Option<usize> {
        self.lanes[lane].iter().position(|row| row.id == id && row.at.get(name) == Some(&At::Leased))
    }
}
