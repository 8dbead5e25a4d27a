//! Stores with a planted bug: a rig that does not catch them proves nothing.

use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, State};
use crate::store::{Chunk, ReadLimit, Store, StoreError, StoreStats};

/// What the wrapped store does wrong. The third bug that must be caught, a sync that does nothing, is the medium's:
/// [`SimDir::plant_lying_sync`](super::SimDir::plant_lying_sync).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// `commit` says `Ok` one commit early: what it was given is written by the next one.
    ReceiptOneCommitEarly,
    /// Every commit gives up everything committed so far, acknowledged or not.
    AdvanceTooFar,
    /// The bookkeeping that is written has every row acknowledged before anybody did so.
    AckBeforeItsTime,
}

/// A store that behaves, but for its bug.
pub struct Planted {
    inner: Box<dyn Store>,
    bug: Bug,
    stage: Vec<StoredRow>,
    late: Option<(Vec<StoredRow>, Vec<Change>, State)>,
}

impl Planted {
    /// Wraps a store just opened.
    pub fn new(inner: Box<dyn Store>, bug: Bug) -> Planted {
        Planted { inner, bug, stage: Vec::new(), late: None }
    }
}

impl Store for Planted {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.stage.extend_from_slice(rows);
        Ok(())
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.stage);
        let given = (rows, changes.to_vec(), state.clone());
        let (rows, changes, state) = match self.bug {
            Bug::ReceiptOneCommitEarly => match self.late.replace(given) {
                Some(late) => late,
                None => return Ok(()),
            },
            Bug::AdvanceTooFar => given,
            Bug::AckBeforeItsTime => acknowledge_all(given),
        };
        // The contract wants one lane per call.
        for lane in rows.chunk_by(|a, b| a.lane == b.lane) {
            self.inner.append(lane)?;
        }
        self.inner.commit(&changes, &state)?;
        if self.bug == Bug::AdvanceTooFar {
            for (lane, figures) in (0u8..state.lanes).zip(&state.lane) {
                self.inner.advance(Lane(lane), figures.next)?;
            }
        }
        Ok(())
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

type Given = (Vec<StoredRow>, Vec<Change>, State);

fn acknowledge_all((rows, mut changes, mut state): Given) -> Given {
    for lane in &mut state.lane {
        lane.floor = lane.next;
    }
    for consumer in &mut state.consumers {
        for (place, lane) in consumer.lanes.iter_mut().zip(&state.lane) {
            place.floor = lane.next;
        }
    }
    for change in &mut changes {
        match change {
            Change::Lane { state, .. } => state.floor = state.next,
            Change::Position { lane, position, .. } => {
                position.floor = state.lane.get(usize::from(lane.0)).map_or(position.floor, |lane| lane.next);
            }
            _ => {}
        }
    }
    (rows, changes, state)
}
