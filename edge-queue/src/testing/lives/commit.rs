//! Calls that a life makes of the store.

use super::{CONSUMER, Doubt, LANES, Lives, Rows};
use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, LaneState, Position, State};
use crate::store::{Store, StoreError};
use crate::testing::history::row_at;
use crate::testing::rule::{JudgeRule, Violation};
use crate::testing::store_rule::Rule;

impl Lives {
    /// Makes one commit, or the clean close; `false` when the life ended with it.
    pub(super) fn commit(&mut self, store: &mut dyn Store) -> Result<bool, Violation> {
        let closed = self.cuts > 0 && self.rng.one_in(6 * super::COMMITS_PER_LIFE);
        let mut state = self.durable.clone();
        let mut changes = if closed { vec![Change::Closed] } else { Vec::new() };
        let mut rows = Rows::new();
        for lane in (0..LANES).map(Lane) {
            // Not every commit touches every lane: the last one of each is what an open is in doubt about.
            if !closed && !self.rng.one_in(3) {
                self.push(lane, &state, &mut rows);
                self.note(lane, &rows, &mut state, &mut changes);
            }
        }
        if let Err(full) = stage(store, &rows) {
            if !matches!(full, StoreError::Full { .. }) {
                return self.power_went(&full);
            }
            rows.clear();
            (state, changes) = (self.durable.clone(), Vec::new());
            (0..LANES).map(Lane).for_each(|lane| self.give_up(lane, &mut state, &mut changes));
        }
        if let Err(e) = store.commit(&changes, &state) {
            self.doubt = Some(Doubt { rows, state });
            self.closed = self.closed.filter(|_| !closed);
            return self.power_went(&e);
        }
        self.kept.extend(rows);
        self.durable = state;
        self.forget_done();
        self.closed = Some(closed);
        Ok(!closed && self.rest(store)?)
    }

    /// Does what a queue does between commits: gives done rows up, and sometimes prepares space.
    fn rest(&mut self, store: &mut dyn Store) -> Result<bool, Violation> {
        let mut given = (0..LANES).map(Lane).map(|lane| store.advance(lane, &self.durable.done(lane)));
        let mut done = given.find(Result::is_err).unwrap_or(Ok(()));
        drop(given);
        if done.is_ok() && self.rng.one_in(3) {
            done = store.prepare();
        }
        done.map(|()| true).or_else(|e| self.power_went(&e))
    }

    /// Ends this life after a refusal if the power was cut; otherwise the refusal is a violation.
    fn power_went(&self, why: &StoreError) -> Result<bool, Violation> {
        if self.dir.is_frozen() {
            Ok(false)
        } else {
            Err(Rule::Refusal.fatal(format!("refused without any fault: {why}")))
        }
    }

    /// Adds new rows of a lane: few and small, some pages, or many pages, with bytes that no other life has.
    fn push(&mut self, lane: Lane, state: &State, rows: &mut Rows) {
        let rng = &mut self.rng;
        let (count, bytes_max) = match rng.below(9) {
            0 => (0, 0),
            1..=4 => (rng.between(1, 3), 300),
            5 | 6 => (rng.between(5, 30), 400),
            7 => (rng.between(5, 25), 4_000),
            _ => (rng.between(20, 60), 5_000),
        };
        let at = usize::from(lane.0);
        let next = state.lane.get(at).map_or(1, |lane| lane.next);
        let mut seq = next.max(self.highest.get(at).copied().unwrap_or(0) + 1);
        for _ in 0..count {
            // Elided rows leave holes.
            seq += if rng.one_in(20) { rng.between(1, 9) } else { 0 };
            let len = usize::try_from(rng.below(bytes_max)).unwrap_or(0);
            let row = row_at(lane, seq, self.durable.epoch);
            let row = StoredRow { ttl_ms: None, payload: rng.bytes(len).into(), ..row };
            rows.insert((lane, seq), row);
            seq += 1;
        }
    }

    /// Acknowledges the rows that the backlog has no room for, and now and then more, but not a row that is held; then notes the
    /// lane's figures and the consumer's position as changes.
    fn note(&mut self, lane: Lane, rows: &Rows, state: &mut State, changes: &mut Vec<Change>) {
        let all = |from: Seq| {
            let range = (lane, from)..=(lane, Seq::MAX);
            self.kept.range(range.clone()).chain(rows.range(range)).map(|(_, row)| row)
        };
        let at = usize::from(lane.0);
        let Some(before) = state.lane.get(at).copied() else { return };
        let place = state.consumers.first().and_then(|consumer| consumer.lanes.get(at));
        let mut place =
            place.cloned().unwrap_or_else(|| Position { floor: before.floor, ..Position::default() });
        place.floor = place.floor.max(before.floor);
        let open: Vec<&StoredRow> = all(place.floor).filter(|row| !place.is_done(row.seq)).collect();
        let held = self.held.get(at).copied().flatten();
        let mut bytes: u64 = open.iter().map(|row| row.bytes()).sum();
        let more = if self.rng.one_in(3) { self.rng.below(20) } else { 0 };
        let (mut from, mut left) = (place.floor, Vec::new());
        for (nth, row) in (0..).zip(open) {
            let stays = bytes <= self.backlog_bytes_max && nth >= more;
            if stays || held == Some(row.seq) {
                left.push(row);
            } else {
                // The numbers in between are no rows, or done.
                place.mark(from, row.seq);
                bytes -= row.bytes();
                place.delivered += u64::from(row.weight);
            }
            from = row.seq + 1;
        }
        let highest = self.highest.get(at).copied().unwrap_or(0);
        let last = all(place.floor).map(|row| row.seq + 1).last().unwrap_or(place.floor);
        let next = last.max(highest + 1).max(before.next);
        let weight = left.iter().map(|row| u64::from(row.weight)).sum();
        let figures = LaneState {
            next,
            floor: place.floor,
            rows: left.len() as u64,
            weight,
            bytes,
            recount_due: false,
        };
        (place.accepted, place.queued_bytes) = (place.delivered + weight, bytes);
        self.choose_held(at, left.first().map(|row| row.seq));
        for change in [
            Change::Lane { lane, state: figures },
            Change::Position { consumer: CONSUMER.into(), lane, position: place },
        ] {
            state.apply(&change);
            changes.push(change);
        }
    }

    /// Begins to hold the oldest row now and then, or ends it, so that laps of the region pass while a row is held.
    fn choose_held(&mut self, at: usize, oldest: Option<Seq>) {
        let change = if !self.holds {
            return;
        } else if self.rng.one_in(12) {
            oldest
        } else if self.rng.one_in(40) {
            None
        } else {
            return;
        };
        if let Some(held) = self.held.get_mut(at) {
            *held = change;
        }
    }

    /// Acknowledges everything in a lane that has no segment left.
    fn give_up(&mut self, lane: Lane, state: &mut State, changes: &mut Vec<Change>) {
        let most = std::mem::replace(&mut self.backlog_bytes_max, 0);
        self.held = Default::default();
        self.note(lane, &Rows::new(), state, changes);
        self.backlog_bytes_max = most;
    }

    /// Forgets rows that are done: they are nobody's any more.
    pub(super) fn forget_done(&mut self) {
        for lane in (0..LANES).map(Lane) {
            if let Some(highest) = self.highest.get_mut(usize::from(lane.0)) {
                let last = self.kept.range((lane, 0)..=(lane, Seq::MAX)).next_back();
                *highest = last.map_or(*highest, |((_, seq), _)| (*highest).max(*seq));
            }
        }
        let durable = &self.durable;
        self.kept.retain(|&(lane, seq), _| durable.wants(lane, seq));
    }
}

fn stage(store: &mut dyn Store, rows: &Rows) -> Result<(), StoreError> {
    let rows: Vec<StoredRow> = rows.values().cloned().collect();
    rows.chunk_by(|a, b| a.lane == b.lane).try_for_each(|lane| store.append(lane))
}
