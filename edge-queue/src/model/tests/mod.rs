//! Rules of the bookkeeping, each looked at alone: no store, no clock, no thread.

mod commit_batch;
mod consumers;
mod damage;
mod head;
mod leases;
mod reads;
mod whole_segment;

use bytes::Bytes;

use super::*;
use crate::config::Config;
use crate::event::Event;
use crate::row::{ROW_OVERHEAD_BYTES, Row, StoredRow};
use crate::row_age::Expiry;
use crate::state::{Change, ConsumerState, Position};
use crate::store::{Lost, StoredChunk};
use crate::time::Now;

/// Bytes of each row here, as limits count them.
pub(super) const ROW: u64 = 100;

pub(super) fn at(up_ms: u64) -> Now {
    Now { boot_id: 1, up_ms, ..Now::default() }
}

pub(super) fn model(config: &Config) -> Model {
    let rules = config.rules();
    let state = State::new(1, rules.lanes.len() as u8);
    Model::new(rules, state, PerLane::all(0), true, false)
}

pub(super) fn row() -> Row {
    Row::new(vec![7; (ROW - ROW_OVERHEAD_BYTES) as usize]).lane(Lane(0))
}

pub(super) fn push(model: &mut Model, rows: usize) {
    (0..rows).for_each(|_| assert!(model.push(row(), &at(1)).is_ok()));
}

/// A commit that succeeds, and what it wrote besides rows.
pub(super) fn write(model: &mut Model) -> Option<Vec<Change>> {
    let Batch { rows, changes, state } = model.begin()?;
    drop(rows);
    model.written(&state, &PerLane::all(u64::MAX), true);
    Some(changes)
}

pub(super) fn lease(model: &mut Model, id: u64, rows: usize) -> Vec<Seq> {
    let mut out = Vec::new();
    model.lease(id, Take::rows(rows), &mut out, &at(1));
    out.iter().map(|leased| leased.row.seq).collect()
}

pub(super) fn deliver(model: &mut Model, id: u64, rows: impl IntoIterator<Item = Seq>) {
    rows.into_iter().for_each(|seq| model.end_lease(id, 0, seq, Done::Delivered, 1));
}

/// Gives a consumer so many ranges of done rows above its floor, from `from` on.
pub(super) fn ranges(model: &mut Model, consumer: usize, lane: usize, from: Seq, count: usize) {
    let cursor = model.cursor_mut(consumer, lane).unwrap();
    (0..count as u64).for_each(|n| cursor.pos.mark(from + 2 * n, from + 2 * n));
}

/// One lane with the rows 1 to `rows` on the medium, none in RAM, all open for each consumer.
fn stored(rows: u64, consumers: &[&str]) -> Model {
    stored_with(rows, consumers, &Config::default().lanes(1))
}

fn stored_with(rows: u64, consumers: &[&str], config: &Config) -> Model {
    let mut state = State::new(1, 1);
    let figures =
        LaneState { next: rows + 1, floor: 1, rows, weight: rows, bytes: rows * ROW, recount_due: false };
    state.lane.iter_mut().take(1).for_each(|lane| *lane = figures);
    for name in consumers {
        let cursor = Position { floor: 1, accepted: rows, queued_bytes: rows * ROW, ..Position::default() };
        let mut consumer = ConsumerState { name: (*name).to_owned(), lanes: Default::default() };
        consumer.lanes.iter_mut().take(1).for_each(|lane| lane.clone_from(&cursor));
        state.consumers.push(consumer);
    }
    Model::new(config.rules(), state, PerLane::all(0), true, false)
}

/// Result of a read: these rows, where it goes on, and what is lost.
fn chunk(rows: impl IntoIterator<Item = Seq>, next: Option<Seq>, lost: &[Lost]) -> StoredChunk {
    let row = |seq| StoredRow {
        lane: Lane(0),
        seq,
        epoch: 1,
        stamp: at(1),
        ttl_ms: None,
        expiry: Expiry::Lenient,
        weight: 1,
        key: Bytes::new(),
        meta: Bytes::new(),
        payload: Bytes::from(vec![7; (ROW - ROW_OVERHEAD_BYTES) as usize]),
    };
    StoredChunk { rows: rows.into_iter().map(row).collect(), next, lost: lost.to_vec() }
}

/// A read that brought nothing but losses.
fn gone(lost: &[Lost]) -> StoredChunk {
    chunk([], None, lost)
}

fn lost(first: Seq, last: Seq, exact: bool) -> Lost {
    let rows = last - first + 1;
    Lost { first, last, rows, weight: rows, exact }
}

/// Leases rows that are on the medium.
fn hold(model: &mut Model, consumer: usize, rows: impl IntoIterator<Item = Seq>) {
    for seq in rows {
        let size = Size { weight: 1, bytes: ROW, wall_ms: 0 };
        model.pin(consumer, 0, seq, size);
        model.cursor_mut(consumer, 0).unwrap().lease(seq, size);
    }
}

/// (accepted, delivered, quarantined, queued) of a consumer in the lane.
fn ledger(model: &Model, consumer: usize) -> [u64; 4] {
    let cursor = model.consumers.get(consumer).and_then(|r| r.lanes.first()).unwrap();
    let quarantined = cursor.pos.dropped.for_reason(crate::Reason::Quarantined);
    [cursor.pos.accepted, cursor.pos.delivered, quarantined, cursor.queued]
}

fn lane(model: &mut Model) -> &mut LaneModel {
    model.lanes.first_mut().unwrap()
}

fn cursor(model: &Model) -> &Cursor {
    model.consumers.first().and_then(|r| r.lanes.first()).unwrap()
}
