//! Consumers come and go.

use crate::config::ConsumerConfig;
use crate::error::ConsumerError;
use crate::model::lane::Usage;
use crate::model::turns::Turns;
use crate::model::{LaneModel, Model, Place};
use crate::row::Lane;
use crate::state::{ConsumerState, Position};

/// Most consumers of a queue.
pub(crate) const CONSUMERS_MAX: usize = 8;
/// Longest name.
pub(crate) const NAME_BYTES_MAX: usize = 64;
/// Keeps what is done above the floor while nobody is registered.
const NOBODY: &str = "";

/// A registered consumer.
pub(crate) struct Reader {
    /// Told apart from another of the same name registered after this one was forgotten.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) lanes: Vec<Place>,
    pub(crate) turns: Turns,
    pub(crate) limits: ConsumerConfig,
}

impl Reader {
    fn new(id: u64, name: String, lanes: Vec<Place>) -> Reader {
        Reader { id, name, lanes, turns: Turns::default(), limits: ConsumerConfig::default() }
    }

    pub(super) fn state(&self) -> ConsumerState {
        let lane = |at: usize| self.lanes.get(at).map_or_else(Position::default, |place| place.pos.clone());
        ConsumerState { name: self.name.clone(), lanes: std::array::from_fn(lane) }
    }
}

impl Model {
    /// Takes in a consumer the store knows. `first`: it is the only one.
    pub(super) fn adopt(&mut self, consumer: ConsumerState, first: bool) {
        let place = |(pos, lane): (Position, &LaneModel)| {
            // A power cut inside the registration left some lanes without it: there it registers now.
            if pos.floor == 0 { Place::registered(lane, first) } else { Place::recovered(pos, lane.usage) }
        };
        let lanes = consumer.lanes.into_iter().zip(&self.lanes).map(place).collect();
        let reader = Reader::new(self.take_reader_id(), consumer.name, lanes);
        self.readers.push(reader);
    }

    pub(crate) fn find_reader(&self, name: &str) -> Option<u64> {
        self.readers.iter().find(|r| r.name == name && r.name != NOBODY).map(|r| r.id)
    }

    /// Registers a consumer; the caller commits before it tells anyone. The first starts at the oldest row, a later
    /// one at the rows pushed from now on.
    pub(crate) fn register(&mut self, name: &str) -> Result<u64, ConsumerError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(ConsumerError::Name { limit: NAME_BYTES_MAX });
        }
        if self.readers.len() >= CONSUMERS_MAX {
            return Err(ConsumerError::TooMany { limit: CONSUMERS_MAX });
        }
        let predecessor = self.take_predecessor();
        let first = self.readers.is_empty();
        let mut lanes = Vec::new();
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            lane.dirty = true;
            let mut place = Place::registered(lane, first);
            if let Some(left) = predecessor.as_ref().and_then(|r| r.lanes.get(at)) {
                place.pos.floor = left.pos.floor;
                place.pos.acked.clone_from(&left.pos.acked);
                place.cursor = left.pos.floor;
            }
            lanes.push(place);
        }
        let id = self.take_reader_id();
        self.readers.push(Reader::new(id, name.to_owned(), lanes));
        self.must_write = true;
        Ok(id)
    }

    /// Takes a registration back that could not be made durable.
    pub(crate) fn unregister(&mut self, id: u64) {
        let Some(at) = self.reader_at(id) else { return };
        // A failed commit may have left it on the medium all the same.
        self.retire(at);
    }

    /// Removes a consumer. The last one leaves behind which rows above its floor are done, under the name that no
    /// consumer can have: they must not come back for the next first consumer.
    fn retire(&mut self, at: usize) {
        let mut reader = self.readers.remove(at);
        self.forgotten.push(std::mem::take(&mut reader.name));
        if !self.readers.is_empty() || reader.lanes.iter().all(|place| place.pos.acked.is_empty()) {
            return;
        }
        for place in &mut reader.lanes {
            let pos = Position {
                floor: place.pos.floor,
                acked: std::mem::take(&mut place.pos.acked),
                ..Position::default()
            };
            *place = Place::recovered(pos, Usage::default());
            place.dirty = true;
        }
        let heir = Reader::new(self.take_reader_id(), NOBODY.to_owned(), reader.lanes);
        self.readers.push(heir);
    }

    fn take_predecessor(&mut self) -> Option<Reader> {
        let at = self.readers.iter().position(|r| r.name == NOBODY)?;
        self.forgotten.push(NOBODY.to_owned());
        Some(self.readers.remove(at))
    }

    /// Removes a consumer; the caller counts the lanes anew and commits.
    pub(crate) fn forget(&mut self, name: &str) -> bool {
        let known = |r: &Reader| r.name == name && r.name != NOBODY;
        let Some(at) = self.readers.iter().position(known) else { return false };
        self.follow_floors();
        self.retire(at);
        self.must_write = true;
        for lane in &mut self.lanes {
            lane.head.rewind(lane.floor);
            lane.dirty = true;
        }
        true
    }

    /// Moves each lane's floor up to the lowest of its consumers'.
    pub(super) fn follow_floors(&mut self) {
        for at in 0..self.lanes.len() {
            let lowest = self.places(at).map(|place| place.pos.floor).min();
            if let (Some(lane), Some(lowest)) = (self.lanes.get_mut(at), lowest) {
                lane.floor = lane.floor.max(lowest);
            }
        }
    }

    /// Whether a lane's floor is above what was given up to the store.
    pub(crate) fn floor_moved(&mut self, at: usize) -> bool {
        self.follow_floors();
        self.lanes.get(at).is_some_and(|lane| lane.floor > lane.advanced)
    }

    /// Consumers in the order of registration, with their place in one lane.
    pub(crate) fn in_lane(&self, lane: Lane) -> impl Iterator<Item = (&str, &Place)> {
        let at = usize::from(lane.0);
        let known = self.readers.iter().filter(|r| r.name != NOBODY);
        known.filter_map(move |r| Some((r.name.as_str(), r.lanes.get(at)?)))
    }

    fn take_reader_id(&mut self) -> u64 {
        self.next_reader += 1;
        self.next_reader
    }
}
