//! Registered consumers: one [`ConsumerModel`] each, with a [`Cursor`] per lane, from registration to removal.

use crate::config::ConsumerConfig;
use crate::error::ConsumerError;
use crate::model::lane_scheduler::LaneScheduler;
use crate::model::removed_lanes::{Absent, vacated};
use crate::model::usage::Usage;
use crate::model::{Cursor, LaneModel, Model};
use crate::planted_flaw::{Flaw, planted};
use crate::row::{LANES_MAX, Lane};
use crate::state::{ConsumerState, Position};

/// Most consumers of a queue.
pub(crate) const CONSUMERS_MAX: usize = 8;
/// Longest name of a consumer, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;
/// Name of the placeholder consumer whose cursor keeps the done rows above the floor while no consumer is registered.
pub(crate) const NOBODY: &str = "";

/// Bookkeeping of one registered consumer.
pub(crate) struct ConsumerModel {
    /// Number that distinguishes the consumer from a later one of the same name.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) lanes: Vec<Cursor>,
    /// Cursors of the consumer in lanes that the configuration no longer has.
    pub(super) absent: Vec<Absent<Position>>,
    pub(crate) scheduler: LaneScheduler,
    pub(crate) limits: ConsumerConfig,
    /// Set once the registration is durable.
    durable: bool,
}

impl ConsumerModel {
    fn new(id: u64, name: String, lanes: Vec<Cursor>) -> ConsumerModel {
        let absent =
            vec![Absent { kept: Position::default(), dirty: false }; LANES_MAX - lanes.len().min(LANES_MAX)];
        ConsumerModel {
            id,
            name,
            lanes,
            absent,
            scheduler: LaneScheduler::default(),
            limits: ConsumerConfig::default(),
            durable: false,
        }
    }

    /// Number of gap records over all lanes, including removed ones.
    pub(super) fn gaps(&self) -> usize {
        let there = self.lanes.iter().map(|cursor| cursor.pos.gaps.len());
        there.chain(self.absent.iter().map(|absent| absent.kept.gaps.len())).sum()
    }

    /// Returns the consumer's position in every lane, absent ones included, each with the mark that the next commit must write
    /// it.
    pub(super) fn positions_mut(&mut self) -> impl Iterator<Item = (&mut Position, &mut bool)> {
        let there = self.lanes.iter_mut().map(|cursor| (&mut cursor.pos, &mut cursor.dirty));
        there.chain(self.absent.iter_mut().map(|absent| (&mut absent.kept, &mut absent.dirty)))
    }

    pub(super) fn state(&self) -> ConsumerState {
        let there = self.lanes.iter().map(Cursor::position);
        let absent = self.absent.iter().filter(|_| !planted(Flaw::LaneForgotten));
        let mut state = ConsumerState { name: self.name.clone(), lanes: Default::default() };
        let positions = there.chain(absent.map(|absent| absent.kept.clone()));
        state.lanes.iter_mut().zip(positions).for_each(|(slot, position)| *slot = position);
        state
    }
}

impl Model {
    /// Restores a consumer from the store. `first`: it is the only one; `damaged`: its cursors may be lost.
    pub(super) fn adopt(&mut self, consumer: ConsumerState, first: bool, damaged: bool) {
        let cursor = |(pos, lane): (Position, &LaneModel)| {
            match pos.floor {
                // It may have had one that damage took: it gets what is there, rather again than never, and its ledger
                // follows when the lane is reckoned.
                0 if damaged => Cursor::recovered(Position { floor: lane.floor, ..pos }, lane.usage),
                // A power cut inside the registration left some lanes without it: there it registers now.
                0 => Cursor::registered(lane, first),
                _ => Cursor::recovered(pos, lane.usage),
            }
        };
        let mut positions = consumer.lanes.into_iter();
        let lanes = positions.by_ref().take(self.lanes.len()).zip(&self.lanes).map(cursor).collect();
        let mut consumer = ConsumerModel::new(self.take_consumer_id(), consumer.name, lanes);
        consumer.durable = true;
        let absent = (self.lanes.len()..).zip(positions);
        consumer.absent = absent.map(|(at, position)| vacated(&position, self.absent_next(at))).collect();
        self.consumers.push(consumer);
    }

    pub(crate) fn find_consumer(&self, name: &str) -> Option<u64> {
        self.consumers.iter().find(|r| r.name == name && r.name != NOBODY).map(|r| r.id)
    }

    /// Returns the consumer of this name if its registration is durable.
    pub(crate) fn find_durable(&self, name: &str) -> Option<u64> {
        let id = self.find_consumer(name)?;
        self.consumers.iter().find(|r| r.id == id && r.durable).map(|r| r.id)
    }

    /// Records that the registration of a consumer is durable.
    pub(crate) fn registered(&mut self, id: u64) {
        self.consumers.iter_mut().filter(|r| r.id == id).for_each(|r| r.durable = true);
    }

    /// Registers a consumer; the caller commits before it returns to the application. The first starts at the oldest row, a later one at the rows
    /// pushed from now on.
    pub(crate) fn register(&mut self, name: &str) -> Result<u64, ConsumerError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(ConsumerError::Name { limit: NAME_BYTES_MAX });
        }
        if self.consumers.len() >= CONSUMERS_MAX {
            return Err(ConsumerError::TooMany { limit: CONSUMERS_MAX });
        }
        let predecessor = self.take_predecessor();
        let first = self.consumers.is_empty();
        let mut lanes = Vec::new();
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            lane.dirty = true;
            let mut cursor = Cursor::registered(lane, first);
            if let Some(left) = predecessor.as_ref().and_then(|r| r.lanes.get(at)) {
                cursor.pos.floor = left.pos.floor;
                cursor.pos.acked.clone_from(&left.pos.acked);
                cursor.backlog_next = left.pos.floor;
            }
            cursor.count_waiting(&lane.tail);
            lanes.push(cursor);
        }
        let id = self.take_consumer_id();
        self.consumers.push(ConsumerModel::new(id, name.to_owned(), lanes));
        self.due.require();
        Ok(id)
    }

    /// Takes a registration back that could not be made durable, and with it the rows that only it wanted: no commit
    /// holds them, so all of them are in RAM.
    pub(crate) fn unregister(&mut self, id: u64, up_ms: u64) {
        let Some(at) = self.consumer_at(id) else { return };
        self.follow_floors();
        // A failed commit may have left it on the medium all the same.
        self.retire(at);
        if !planted(Flaw::RegistrationKeptCounted) {
            (0..self.lanes.len()).for_each(|lane| self.sweep(lane, up_ms));
        }
    }

    /// Removes a consumer. If it was the last one, its done rows above the floor are kept by the placeholder, so that they do not come back for
    /// the next first consumer.
    fn retire(&mut self, at: usize) {
        self.unpin_all(at);
        let mut consumer = self.consumers.remove(at);
        self.due.forget(std::mem::take(&mut consumer.name));
        if !self.consumers.is_empty() || consumer.lanes.iter().all(|cursor| cursor.pos.acked.is_empty()) {
            return;
        }
        for (cursor, lane) in consumer.lanes.iter_mut().zip(&self.lanes) {
            let pos = Position {
                floor: cursor.pos.floor,
                acked: std::mem::take(&mut cursor.pos.acked),
                ..Position::default()
            };
            *cursor = Cursor::recovered(pos, Usage::default());
            cursor.count_waiting(&lane.tail);
            cursor.dirty = true;
        }
        let heir = ConsumerModel::new(self.take_consumer_id(), NOBODY.to_owned(), consumer.lanes);
        self.consumers.push(heir);
    }

    /// Ends the leases of a consumer that is removed, so that they keep no row from eviction any more.
    fn unpin_all(&mut self, consumer: usize) {
        for lane in 0..self.lanes.len() {
            let Some(cursor) = self.cursor_mut(consumer, lane) else { continue };
            for (seq, out) in std::mem::take(&mut cursor.leased) {
                self.unpin(consumer, lane, seq, out.size);
            }
        }
    }

    fn take_predecessor(&mut self) -> Option<ConsumerModel> {
        let at = self.consumers.iter().position(|r| r.name == NOBODY)?;
        self.due.forget(NOBODY.to_owned());
        Some(self.consumers.remove(at))
    }

    /// Removes a consumer; `false` if there is none of that name. The caller counts the lanes again and commits.
    pub(crate) fn forget(&mut self, name: &str) -> bool {
        let known = |r: &ConsumerModel| r.name == name && r.name != NOBODY;
        let Some(at) = self.consumers.iter().position(known) else { return false };
        self.follow_floors();
        self.retire(at);
        self.due.require();
        self.lanes.iter_mut().for_each(|lane| lane.head.rewind(lane.floor));
        (0..self.lanes.len()).for_each(|lane| self.recount_later(lane));
        true
    }

    /// Returns whether a consumer of this name was removed and no commit has written that yet.
    pub(crate) fn is_forgotten(&self, name: &str) -> bool {
        name != NOBODY && self.due.is_forgotten(name)
    }

    /// Returns whether any consumer is registered.
    pub(crate) fn has_consumers(&self) -> bool {
        self.consumers.iter().any(|r| r.name != NOBODY)
    }

    /// Raises each lane's floor to the lowest floor of its consumers.
    pub(super) fn follow_floors(&mut self) {
        for at in 0..self.lanes.len() {
            let lowest = self.cursors(at).map(|cursor| cursor.pos.floor).min();
            if let (Some(lane), Some(lowest)) = (self.lanes.get_mut(at), lowest) {
                lane.floor = lane.floor.max(lowest);
            }
        }
    }

    /// Returns whether a lane has done rows whose space was not given back to the store yet.
    pub(crate) fn more_done(&mut self, at: usize) -> bool {
        self.follow_floors();
        let state = self.state();
        self.lanes.get(at).is_some_and(|lane| state.done(lane.id) != lane.advanced)
    }

    /// Consumers in the order of registration, with their cursor in one lane.
    pub(crate) fn in_lane(&self, lane: Lane) -> impl Iterator<Item = (&str, &Cursor)> {
        let at = usize::from(lane.0);
        let known = self.consumers.iter().filter(|r| r.name != NOBODY);
        known.filter_map(move |r| Some((r.name.as_str(), r.lanes.get(at)?)))
    }

    fn take_consumer_id(&mut self) -> u64 {
        self.next_consumer += 1;
        self.next_consumer
    }
}
