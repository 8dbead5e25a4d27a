//! Changes of the bookkeeping as found at open: in any order, some of them twice, some of a torn commit.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::find_frames::{Look, Placed};
use super::high_water::HighWaterMarks;
use super::record::{Cursor, Order, Record, get_change, get_ends};
use crate::state::{Change, Position, State};

/// Changes of several lanes, put in order. Only the newest of each position is kept whole; of earlier ones only the fact that the consumer
/// existed, which decides the order of consumers.
#[derive(Default)]
pub(super) struct Changes {
    events: Vec<(Order, Change)>,
    newest: BTreeMap<(String, u8), usize>,
    /// High-water marks of the lanes, as close marks state them.
    pub(super) ends: HighWaterMarks,
}

impl Changes {
    /// Collects the changes of commit `from` and later from a frame. `torn`: leaves out those of the frame's own commit, which is torn.
    pub(super) fn collect(&mut self, look: Look<'_>, placed: &Placed, from: u64, torn: bool) {
        let head = &placed.head;
        if head.commit < from {
            return;
        }
        let mut body = Vec::new();
        if !look.pages.body_into(head, placed.page, &mut body) {
            return;
        }
        let mut cursor = Cursor::new(head.lane, head.epoch, head.first_seq);
        while let Some(record) = cursor.next(&body) {
            if let Record::Change(_, bytes, tag) = record
                && let Some(ends) = get_ends(bytes, tag)
            {
                self.ends.merge(&ends);
            }
            if let Record::Change(order, bytes, tag) = record
                && order.0 >= from
                && !(torn && order.0 == head.commit)
                && let Some(change) = get_change(bytes, tag)
            {
                self.push(order, change);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn push(&mut self, order: Order, mut change: Change) {
        let at = self.events.len();
        if let Change::Position { consumer, lane, position } = &mut change {
            let key = (consumer.clone(), lane.0);
            match self.newest.get(&key).and_then(|n| self.events.get_mut(*n)) {
                Some((other, _)) if *other == order => return,
                Some((other, _)) if *other > order => *position = Position::default(),
                Some((_, Change::Position { position: older, .. })) => {
                    *older = Position::default();
                    self.newest.insert(key, at);
                }
                _ => {
                    self.newest.insert(key, at);
                }
            }
        }
        self.events.push((order, change));
    }

    pub(super) fn apply(mut self, state: &mut State) {
        self.events.sort_by_key(|(order, _)| *order);
        self.events.iter().for_each(|(_, change)| state.apply(change));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Lane;

    fn position(consumer: &str, floor: u64) -> Change {
        let position = Position { floor, ..Position::default() };
        Change::Position { consumer: consumer.into(), lane: Lane(0), position }
    }

    #[test]
    fn changes_apply_in_the_order_they_were_committed_whatever_order_they_are_found_in() {
        let list = [
            ((1, 0), position("a", 1)),
            ((1, 1), position("b", 1)),
            ((2, 0), position("a", 5)),
            ((3, 0), Change::Forget { consumer: "a".into() }),
            ((4, 0), position("a", 7)),
            ((5, 0), position("b", 9)),
        ];
        let mut straight = State::new(1, 1);
        list.iter().for_each(|(_, change)| straight.apply(change));
        for turn in 0..list.len() {
            let mut changes = Changes::default();
            let mut turned = list.to_vec();
            turned.rotate_left(turn);

            turned.into_iter().for_each(|(order, change)| changes.push(order, change));
            let mut state = State::new(1, 1);
            changes.apply(&mut state);
            assert_eq!(state, straight);
        }
    }
}
