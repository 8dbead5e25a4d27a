//! Stores with a planted bug: a rig that does not catch them proves nothing.

use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, State};
use crate::store::{DoneRows, Lost, ReadLimit, Recovered, Store, StoreError, StoreStats, StoredChunk};

/// Bug of the wrapped store. Bugs of the medium are [`SyncBug`](super::SyncBug)'s, those that only the code itself can
/// have [`Flaw`](super::Flaw)'s.
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
    /// `commit` is refused now and then although nothing failed.
    Refuses,
    /// After the first refusal every commit is refused.
    RefusesForGood,
    /// A commit that failed says `Ok`.
    FailureSwallowed,
    /// The last row of what is staged is written twice, under two numbers.
    RowDoubled,
    /// Reads of the store panic.
    ReadPanics,
    /// A read gives its rows from the last to the first.
    RowsReversed,
    /// A read is never at the end, and does not go on.
    ReadStandsStill,
    /// A read leaves out its first row, if that is of the first run.
    RowHidden,
    /// A read gives rows of the first run with another weight.
    RowAltered,
    /// A read that ends with a row of the first run adds one that nobody pushed.
    RowInvented,
    /// A read reports rows as lost.
    LossClaimed,
    /// An open reports damage.
    DamageClaimed,
    /// An open claims a clean close.
    CleanClaimed,
    /// An open gives another gateway number each time.
    GatewayForgotten,
    /// Every open gives the first epoch.
    EpochKept,
    /// An open names no row as the highest.
    HighestForgotten,
    /// The figures say that something was quarantined.
    QuarantineClaimed,
}

/// A store that behaves, but for its bug.
pub struct Planted {
    inner: Box<dyn Store>,
    bug: Bug,
    stage: Vec<StoredRow>,
    late: Option<Given>,
    commits: u64,
    refused: bool,
}

/// Number of commits of which one is refused by [`Bug::Refuses`].
const REFUSED_ONE_IN: u64 = 3;

/// Arguments of a commit.
type Given = (Vec<StoredRow>, Vec<Change>, State);

impl Planted {
    /// Wraps a store just opened, and what its opening found.
    pub fn wrap((inner, mut found): (Box<dyn Store>, Recovered), bug: Bug) -> (Box<dyn Store>, Recovered) {
        match bug {
            Bug::CountedTwice => found.state.lane.iter_mut().for_each(|lane| lane.next = lane.floor),
            Bug::SeqRestarts => restart(&mut found),
            Bug::DamageClaimed => found.damage.push("nothing".into()),
            Bug::CleanClaimed => found.clean = true,
            Bug::GatewayForgotten => found.state.gateway = u64::from(found.state.epoch),
            Bug::EpochKept => found.state.epoch = 1,
            Bug::HighestForgotten => found.highest_seq.fill(0),
            _ => {}
        }
        let planted = Planted { inner, bug, stage: Vec::new(), late: None, commits: 0, refused: false };
        (Box::new(planted), found)
    }

    fn write(&mut self, (rows, changes, state): &Given) -> Result<(), StoreError> {
        // The contract wants one lane per call.
        for lane in rows.chunk_by(|a, b| a.lane == b.lane) {
            self.inner.append(lane)?;
        }
        self.inner.commit(changes, state)
    }

    fn give_up(&mut self, below: impl Iterator<Item = Seq>) -> Result<(), StoreError> {
        let mut done = (0..).map(Lane).zip(below.map(DoneRows::below));
        done.try_for_each(|(lane, done)| self.inner.advance(lane, &done))
    }
}

impl Store for Planted {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.stage.extend_from_slice(rows);
        Ok(())
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        let mut given = (std::mem::take(&mut self.stage), changes.to_vec(), state.clone());
        self.commits += 1;
        let done = match self.bug {
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
                let mut lanes = (0..state.lanes).map(Lane);
                lanes.try_for_each(|lane| self.inner.advance(lane, &state.done(lane)))?;
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
            Bug::Refuses if self.commits.is_multiple_of(REFUSED_ONE_IN) => Err(refusal()),
            Bug::RefusesForGood if self.refused => Err(refusal()),
            Bug::FailureSwallowed => {
                let _ = self.write(&given);
                Ok(())
            }
            Bug::RowDoubled => {
                let last = given.0.last().cloned();
                given.0.extend(last.map(|row| StoredRow { seq: row.seq + 1, ..row }));
                self.write(&given)
            }
            _ => self.write(&given),
        };
        self.refused |= done.is_err();
        done
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        let mut chunk = self.inner.read(lane, from, limit)?;
        match self.bug {
            // Without the message of a panic: who planted it knows.
            Bug::ReadPanics => std::panic::resume_unwind(Box::new("planted")),
            Bug::RowsReversed => chunk.rows.reverse(),
            Bug::ReadStandsStill => chunk.next = Some(from),
            Bug::RowHidden if chunk.rows.first().is_some_and(of_first_run) => drop(chunk.rows.remove(0)),
            Bug::RowAltered => {
                chunk.rows.iter_mut().filter(|row| of_first_run(row)).for_each(|row| row.weight += 1);
            }
            Bug::RowInvented if chunk.next.is_none() => {
                let last = chunk.rows.last().filter(|row| of_first_run(row)).cloned();
                chunk.rows.extend(last.map(|row| StoredRow { seq: row.seq + 1, ..row }));
            }
            Bug::LossClaimed => {
                chunk.lost.push(Lost { first: from, last: from, rows: 1, weight: 1, exact: true });
            }
            _ => {}
        }
        Ok(chunk)
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.inner.advance(lane, done)
    }

    fn segments(&self, lane: Lane) -> Option<Vec<(Seq, Seq)>> {
        self.inner.segments(lane)
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        self.inner.prepare()
    }

    fn stats(&self) -> StoreStats {
        let mut stats = self.inner.stats();
        stats.quarantined += u64::from(self.bug == Bug::QuarantineClaimed);
        stats
    }
}

/// Returns whether a row is of the first run. Bugs change only such rows, so that they are seen by who knows the row.
fn of_first_run(row: &StoredRow) -> bool {
    row.epoch == 1
}

fn refusal() -> StoreError {
    StoreError::Io { op: "commit", source: std::io::Error::other("planted") }
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
