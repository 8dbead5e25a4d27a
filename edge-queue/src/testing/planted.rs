//! Stores with a planted bug: a rig that does not catch them proves nothing.

use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, State};
use crate::store::{Chunk, ReadLimit, Recovered, Store, StoreError, StoreStats};

/// What the wrapped store does wrong. Bugs of the medium are [`SyncBug`](super::SyncBug)'s, those that only the code
/// itself can have [`Flaw`](super::Flaw)'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// `commit` says `Ok` one commit early: what it was given is written by the next one.
    ReceiptOneCommitEarly,
    /// Every commit gives up everything committed so far, acknowledged or not.
    AdvanceTooFar,
    /// The bookkeeping that is written has every row acknowledged before anybody did so.
    AckBeforeItsTime,
    /// Space is given up before the commit that says so, and used by its rows.
    SpaceReusedTooEarly,
    /// The bookkeeping of a commit is made durable before its rows.
    BookkeepingBeforeRows,
    /// Every commit carries the mark of a clean close.
    CloseMarkKept,
    /// An open counts the rows it finds once more.
    CountedTwice,
    /// An open numbers rows from the highest one it finds, not from what was given away.
    SeqRestarts,
}

/// A store that behaves, but for its bug.
pub struct Planted {
    inner: Box<dyn Store>,
    bug: Bug,
    stage: Vec<StoredRow>,
    late: Option<Given>,
}

/// What a commit was given.
type Given = (Vec<StoredRow>, Vec<Change>, State);

impl Planted {
    /// Wraps a store just opened, and what its opening found.
    pub fn wrap((inner, mut found): (Box<dyn Store>, Recovered), bug: Bug) -> (Box<dyn Store>, Recovered) {
        match bug {
            Bug::CountedTwice => found.state.lane.iter_mut().for_each(|lane| lane.next = lane.floor),
            Bug::SeqRestarts => restart(&mut found),
            _ => {}
        }
        (Box::new(Planted { inner, bug, stage: Vec::new(), late: None }), found)
    }

    fn write(&mut self, (rows, changes, state): &Given) -> Result<(), StoreError> {
        // The contract wants one lane per call.
        for lane in rows.chunk_by(|a, b| a.lane == b.lane) {
            self.inner.append(lane)?;
        }
        self.inner.commit(changes, state)
    }

    fn give_up(&mut self, below: impl Iterator<Item = Seq>) -> Result<(), StoreError> {
        (0..).zip(below).try_for_each(|(lane, below)| self.inner.advance(Lane(lane), below))
    }
}

impl Store for Planted {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.stage.extend_from_slice(rows);
        Ok(())
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        let mut given = (std::mem::take(&mut self.stage), changes.to_vec(), state.clone());
        match self.bug {
            Bug::ReceiptOneCommitEarly => match self.late.replace(given) {
                Some(late) => self.write(&late),
                None => Ok(()),
            },
            Bug::AdvanceTooFar => {
                self.write(&given)?;
                self.give_up(state.lane.iter().map(|lane| lane.next))
            }
            Bug::AckBeforeItsTime => {
                acknowledge_all(&mut given);
                self.write(&given)
            }
            Bug::SpaceReusedTooEarly => {
                self.give_up(state.lane.iter().map(|lane| lane.floor))?;
                self.write(&given)
            }
            Bug::BookkeepingBeforeRows => {
                let rows = std::mem::take(&mut given.0);
                self.write(&given)?;
                self.write(&(rows, Vec::new(), given.2))
            }
            Bug::CloseMarkKept => {
                given.1.push(Change::Closed);
                self.write(&given)
            }
            Bug::CountedTwice | Bug::SeqRestarts => self.write(&given),
        }
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<Chunk, StoreError> {
        self.inner.read(lane, from, limit)
    }

    fn advance(&mut self, lane: Lane, below: Seq) -> Result<(), StoreError> {
        self.inner.advance(lane, below)
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        self.inner.prepare()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
}

fn acknowledge_all((_, changes, state): &mut Given) {
    for lane in &mut state.lane {
        lane.floor = lane.next;
    }
    for consumer in &mut state.consumers {
        for (place, lane) in consumer.lanes.iter_mut().zip(&state.lane) {
            place.floor = lane.next;
        }
    }
    for change in changes {
        match change {
            Change::Lane { state, .. } => state.floor = state.next,
            Change::Position { lane, position, .. } => {
                position.floor = state.lane.get(usize::from(lane.0)).map_or(position.floor, |lane| lane.next);
            }
            _ => {}
        }
    }
}

fn restart(found: &mut Recovered) {
    for (at, lane) in found.state.lane.iter_mut().enumerate() {
        lane.next = found.highest_seq.get(at).copied().unwrap_or(0).saturating_add(1);
        lane.floor = lane.floor.min(lane.next);
        for place in found.state.consumers.iter_mut().filter_map(|consumer| consumer.lanes.get_mut(at)) {
            place.floor = place.floor.min(lane.next);
            place.acked.retain(|_, last| *last < lane.next);
        }
    }
}
