//! Seeded history of a store: the calls that the queue would make, and the state that the store must therefore have.

use bytes::Bytes;

use super::rng::Rng;
use crate::per_lane::PerLane;
use crate::row::{LANES_MAX, Lane, Seq, StoredRow};
use crate::row_age::Expiry;
use crate::state::{Change, LaneState, Position, State};
use crate::store::Options;
use crate::time::Stamp;

/// Lanes that histories use.
const LANES: u8 = 2;
const CONSUMER: &str = "hub";
const TIGHT_LANE_BYTES: u64 = 128 * 1024;
/// As most steps of a queue's epochs: more than one byte in a record.
const EPOCH_STEP: u32 = 700;

/// Options of a small store whose regions are used several times over by a history of some thousand rows.
pub fn small_options() -> Options {
    Options {
        lanes: LANES,
        lane_bytes: PerLane::all(512 * 1024),
        segment_bytes: 256 * 1024,
        row_bytes_max: 64 * 1024,
        gateway: 0xed9e,
        epoch_step: EPOCH_STEP,
    }
}

/// Options of a store whose regions are used several times over by a history of a thousand rows: six segments of
/// 128 KiB per lane on the ring.
pub fn tight_options() -> Options {
    Options { lane_bytes: PerLane::all(TIGHT_LANE_BYTES), row_bytes_max: 20 * 1024, ..small_options() }
}

/// Returns the row of a lane, number and epoch: the same arguments give the same bytes, so that any row found can be judged.
pub fn row_at(lane: Lane, seq: Seq, epoch: u32) -> StoredRow {
    let mut rng = Rng::new(seq ^ (u64::from(lane.0) << 56) ^ (u64::from(epoch) << 40));
    let len = match rng.below(200) {
        0 => rng.between(8_000, 20_000),
        1..=4 => rng.between(1_000, 6_000),
        5..=8 => 0,
        _ => rng.between(40, 300),
    };
    StoredRow {
        lane,
        seq,
        epoch,
        stamp: Stamp {
            boot_id: u128::from(epoch),
            up_ms: seq,
            wall_ms: 1_700_000_000_000 + seq.cast_signed(),
            synced: rng.one_in(2),
        },
        ttl_ms: rng.one_in(5).then_some(60_000),
        expiry: if rng.one_in(5) { Expiry::Strict } else { Expiry::Lenient },
        weight: u32::try_from(rng.between(1, 3)).unwrap_or(1),
        key: Bytes::from(rng.bytes(usize::from(rng.clone().one_in(3)) * 6)),
        meta: Bytes::from(format!("plant/line{}/sensor{}", lane.0, seq % 17)),
        payload: rng.bytes(usize::try_from(len).unwrap_or(0)).into(),
    }
}

/// One step of a history.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Stage `rows` (ascending, one lane after the other), commit with `changes`, then give up what lies below the
    /// floors of `state`.
    Commit {
        /// Rows that the commit adds.
        rows: Vec<StoredRow>,
        /// Changes that the commit makes.
        changes: Vec<Change>,
        /// The bookkeeping with the changes applied.
        state: Box<State>,
    },
    /// Close and open again, with the close mark or without.
    Reopen {
        /// True if the close mark is written first.
        clean: bool,
    },
}

/// Length and content of a history.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The same seed gives the same history.
    pub seed: u64,
    /// Number of rows that the history pushes in all.
    pub rows: u64,
    /// Most rows of one commit; the least is 0.
    pub rows_per_commit_max: u64,
    /// True if the store is closed and opened again now and then.
    pub reopens: bool,
}

/// Generator of a history's steps. They are asked for one by one, since a reopen changes the state.
#[derive(Clone, Debug)]
pub struct History {
    rng: Rng,
    /// The bookkeeping as the last step left it.
    pub state: State,
    rows_left: u64,
    backlog: [Vec<(Seq, u64)>; LANES_MAX],
    plan: Plan,
    backlog_bytes_max: u64,
}

impl History {
    /// The history of `plan` from `state` on; its backlog stays within half of the byte limit of `options`.
    pub fn new(plan: &Plan, state: State, options: &Options) -> History {
        let half = options.lane_bytes.iter().copied().min().unwrap_or(0) / 2;
        History::with_backlog(plan, state, half)
    }

    /// The same with a backlog of up to `backlog_bytes_max` per lane.
    pub fn with_backlog(plan: &Plan, state: State, backlog_bytes_max: u64) -> History {
        let backlog = std::array::from_fn(|_| Vec::new());
        let (rng, rows_left) = (Rng::new(plan.seed), plan.rows);
        History { rng, state, rows_left, backlog, plan: *plan, backlog_bytes_max }
    }

    /// Returns the next step; `None` when all rows are through.
    pub fn next_step(&mut self) -> Option<Step> {
        if self.rows_left == 0 {
            return None;
        }
        if self.plan.reopens && self.rng.one_in(25) {
            return Some(Step::Reopen { clean: self.rng.one_in(2) });
        }
        let mut rows = Vec::new();
        let mut changes = Vec::new();
        let count = self.commit_size();
        let urgent = if self.rng.one_in(3) { count / 4 } else { 0 };
        self.push_rows(Lane(0), urgent, &mut rows);
        self.push_rows(Lane(1), count - urgent, &mut rows);
        for lane in 0..LANES {
            self.acknowledge(Lane(lane), &mut changes);
        }
        let state = Box::new(self.state.clone());
        Some(Step::Commit { rows, changes, state })
    }

    /// Returns the size of the next commit: small, middling or large alike, and now and then 0.
    fn commit_size(&mut self) -> u64 {
        let high = match self.rng.below(8) {
            0 => 0,
            1..=3 => 3,
            4 | 5 => 30,
            _ => self.plan.rows_per_commit_max,
        };
        let count =
            self.rng.between(high.min(1), high).min(self.rows_left).min(self.plan.rows_per_commit_max);
        self.rows_left -= count;
        count
    }

    fn push_rows(&mut self, lane: Lane, count: u64, rows: &mut Vec<StoredRow>) {
        let (Some(state), Some(backlog)) =
            (self.state.lane.get_mut(usize::from(lane.0)), self.backlog.get_mut(usize::from(lane.0)))
        else {
            return;
        };
        for _ in 0..count {
            // Elided rows leave holes.
            let hole = if self.rng.one_in(12) { self.rng.between(1, 40) } else { 0 };
            let seq = state.next.saturating_add(hole);
            let row = row_at(lane, seq, self.state.epoch);
            state.next = seq.saturating_add(1);
            backlog.push((seq, row.bytes()));
            rows.push(row);
        }
    }

    /// Moves the floor so that the backlog fits, sometimes further, and writes the consumer's place.
    fn acknowledge(&mut self, lane: Lane, changes: &mut Vec<Change>) {
        let (Some(state), Some(backlog)) =
            (self.state.lane.get_mut(usize::from(lane.0)), self.backlog.get_mut(usize::from(lane.0)))
        else {
            return;
        };
        let mut bytes: u64 = backlog.iter().map(|(_, bytes)| bytes).sum();
        let more = if self.rng.one_in(3) { self.rng.below(backlog.len() as u64 / 2 + 1) } else { 0 };
        let mut gone = 0;
        for (nth, (_, size)) in backlog.iter().enumerate() {
            if bytes <= self.backlog_bytes_max && nth as u64 >= more {
                break;
            }
            bytes -= size;
            gone = nth + 1;
        }
        backlog.drain(..gone);
        state.floor = backlog.first().map_or(state.next, |(seq, _)| *seq);
        *state = LaneState { rows: backlog.len() as u64, weight: backlog.len() as u64, bytes, ..*state };
        changes.push(Change::Lane { lane, state: *state });
        let acked = backlog.get(backlog.len() / 2).filter(|(seq, _)| *seq > state.floor + 1);
        let position = Position {
            floor: state.floor,
            acked: acked.map(|(seq, _)| (*seq, *seq)).into_iter().collect(),
            accepted: state.next,
            delivered: state.floor,
            ..Position::default()
        };
        changes.push(Change::Position { consumer: CONSUMER.into(), lane, position });
        changes.iter().for_each(|change| self.state.apply(change));
    }
}
