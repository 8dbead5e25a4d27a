//! Rows that filters emit without a message: at a deadline of a stage, when a publisher waits for their receipts, and at a stop.

#![allow(clippy::disallowed_methods, reason = "a shell: it sleeps until they are due")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_bridge::ingest::Now;
use edge_bridge::net::Clock;
use edge_bridge::net::intake::{Intake, Permit};
use edge_queue::{Clock as _, SystemClock};

use crate::run::restart::clean_stop_mark;
use crate::run::sensors::held_receipts::Tell;
use crate::run::sensors::ingest::GatewayIngest;

/// Longest wait for room in the queue, which is nearly always there at once.
const LET_GO_WITHIN: Duration = Duration::from_millis(300);
/// Longest wait of a stop for the trial whether the disk has room for the filters' states.
const TRY_WITHIN: Duration = Duration::from_secs(1);
/// Rows without room at which filters emit no more for a full lane, but for changes of alarms: what they repeat would fill the way of all lanes.
const WITHOUT_ROOM_MAX: u64 = 1_024;
/// Longest pause between two ticks of the filters, because silence is measured by the wall clock, which may jump.
const TICK_MAX: Duration = Duration::from_secs(10);

/// Ticks the filters at each of their deadlines, such as a sensor's silence, and whenever a publisher waits for receipts of readings that a stage
/// holds.
pub(in crate::run) async fn tick(
    clock: Clock,
    wall: Arc<SystemClock>,
    ingest: GatewayIngest,
    intake: Intake,
) {
    let mut is_asked_for = false;
    loop {
        ingest.trust_clock(wall.now().synced);
        let due_in_ms = || ingest.due_in_ms_of_lanes(clock.now(), stopped_lanes(&intake));
        let left = due_in_ms().map_or(TICK_MAX, |ms| Duration::from_millis(ms.max(10)));
        // A deadline that a message makes meanwhile is found a second late at most.
        let is_asked_now = tokio::select! {
            () = tokio::time::sleep(left.min(Duration::from_secs(1))) => false,
            () = ingest.let_go_is_asked_for() => true,
        };
        is_asked_for |= is_asked_now;
        let lets_go = is_asked_now || (is_asked_for && stopped_lanes(&intake) == 0);
        if !lets_go && due_in_ms() != Some(0) {
            continue;
        }
        // Room first: a row that has no place must not have moved a filter's state.
        let Some(permit) = intake.reserve().await else { return };
        let stopped = stopped_lanes(&intake);
        put_due(permit, clock.now(), is_asked_for, (&ingest, stopped));
        if is_asked_for {
            intake.commit();
        }
        // Filters of a stopped lane let go once it has room.
        is_asked_for &= stopped != 0;
    }
}

/// Returns the lanes whose filters emit no readings now, bit `n` for lane `n`.
fn stopped_lanes(intake: &Intake) -> u8 {
    if intake.without_room() < WITHOUT_ROOM_MAX { 0 } else { intake.full_lanes() }
}

fn put_due(permit: Permit<'_>, now: Now, is_asked_for: bool, (ingest, stopped_lanes): (&GatewayIngest, u8)) {
    let (rows, link) = ingest.tick_lanes(now, is_asked_for, stopped_lanes);
    permit.put(rows, link.then(Tell::Nobody));
}

/// Pushes acknowledged readings that the filters hold into the queue, if the disk has no room for the filters' states. The queue has reserved its
/// own room before.
pub(in crate::run) async fn flush_without_room(state: &Path, ingest: &GatewayIngest, intake: &Intake) {
    // Here, and not on a thread that a hanging disk may hold: it is bounded work without the disk.
    let tried = match clean_stop_mark::bytes(|| ingest.filter_states()) {
        Err(error) => Some(Err(error)),
        Ok(bytes) => {
            let dir = state.to_owned();
            let trial = tokio::task::spawn_blocking(move || clean_stop_mark::try_room(&dir, bytes));
            tried(async { trial.await.map_err(io::Error::other)? }).await
        }
    };
    // Of a disk that hangs nothing is known: the states are written at the end of the stop, if the queue could be closed before.
    let Some(Err(error)) = tried else { return };
    let Ok(Some(permit)) = tokio::time::timeout(LET_GO_WITHIN, intake.reserve()).await else {
        tracing::warn!(%error, "no room for the filters' states, nor in the queue: what they hold is lost");
        return;
    };
    let (rows, link) = ingest.flush();
    tracing::warn!(%error, rows = rows.len(), "no room for the filters' states: what they hold goes into the queue");
    permit.put(rows, link.then(Tell::Nobody));
}

/// Returns what a trial of the disk came to; `None` if it takes too long for a stop to wait.
async fn tried(trial: impl Future<Output = io::Result<()>>) -> Option<io::Result<()>> {
    tokio::time::timeout(TRY_WITHIN, trial).await.ok()
}

/// Emits the held readings without a receipt. If they stayed in a stage, their client would send them again and the filter would drop them as
/// repetitions.
pub(in crate::run) async fn let_go(clock: Clock, ingest: &GatewayIngest, intake: &Intake) {
    ingest.stop_holding();
    match tokio::time::timeout(LET_GO_WITHIN, intake.reserve()).await {
        Ok(Some(permit)) => put_due(permit, clock.now(), false, (ingest, 0)),
        Ok(None) | Err(_) => tracing::info!("no room for what the filters hold: it waits for the next start"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_at_the_trial_holds_up_no_stop() {
        assert!(tried(std::future::pending()).await.is_none());
        assert!(tried(std::future::ready(Ok(()))).await.is_some_and(|tried| tried.is_ok()));
        let full = tried(std::future::ready(Err(io::ErrorKind::StorageFull.into()))).await;
        assert_eq!(full.and_then(Result::err).map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
    }
}
