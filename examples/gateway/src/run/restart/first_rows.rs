//! Rows left from before a restart, which are queued before the first reading. The mark on disk has them until they are safe in the queue, so
//! that a kill in between loses none and repeats them as possible duplicates.

#![allow(clippy::disallowed_methods, reason = "a shell: a task that waits for the disk")]

use std::io;
use std::path::Path;
use std::sync::Arc;

use edge_bridge::Row;
use edge_bridge::net::intake::Intake;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::run::sensors::held_receipts::{Link, Tell};

use super::clean_stop_mark;

/// Removes the mark of the last stop; if there are `rows` of the last run, the mark keeps them alone until they are safe. Call this as the last step that
/// can fail before the first reading. `lanes` is the number of the queue's lanes, which may be smaller than before.
///
/// # Errors
/// The disk refused.
pub(in crate::run) fn mark(state: &Path, rows: &mut [Row], lanes: usize) -> io::Result<()> {
    if rows.is_empty() {
        return clean_stop_mark::remove(state);
    }
    let last = u8::try_from(lanes.saturating_sub(1)).unwrap_or(u8::MAX);
    rows.iter_mut().for_each(|row| row.lane = row.lane.map(|lane| lane.min(last)));
    clean_stop_mark::leave_rows(state, rows)
}

/// Queues the rows that [`mark`] left, and then those of alarms. The task removes the mark once the former are safe.
pub(in crate::run) fn queue(
    state: &Path,
    intake: &Intake,
    rows: Vec<Row>,
    alarms: Vec<Row>,
) -> JoinHandle<()> {
    let safe = queue_marked(state, intake, rows);
    queue_alarms(intake, alarms);
    safe
}

fn queue_marked(state: &Path, intake: &Intake, rows: Vec<Row>) -> JoinHandle<()> {
    if rows.is_empty() {
        return tokio::spawn(async {});
    }
    tracing::info!(rows = rows.len(), "rows of the last run are queued first");
    let safe = Arc::<Notify>::default();
    // The first of all: there is room.
    if let Some(permit) = intake.try_reserve() {
        permit.put(rows, Link::default().then(Tell::Start(safe.clone())));
    }
    let state = state.to_owned();
    tokio::spawn(async move {
        safe.notified().await;
        if let Err(error) = clean_stop_mark::remove(&state) {
            tracing::warn!(%error, "rows of the last run may be sent again, marked");
        }
    })
}

/// Queues the rows of alarms. A kill before they are safe loses none, because they are made again from the file of alarms.
fn queue_alarms(intake: &Intake, rows: Vec<Row>) {
    if rows.is_empty() {
        return;
    }
    tracing::info!(rows = rows.len(), "alarms of the last run are told again");
    // The second of all: there is room.
    if let Some(permit) = intake.try_reserve() {
        permit.put(rows, || {});
    }
}
