//! Start of a run on an open queue: the state that the last run left is taken over, and its mark taken away before the first reading. A directory that
//! refuses this is one without a queue: both are tried again.

use std::path::Path;

use edge_bridge::Row;
use edge_bridge::net::Clock;

use super::error::RunError;
use super::ingest::GatewayIngest;
use super::no_queue::NoQueue;
use super::opening::{Opened, Opening};
use super::restarted::Restarted;
use super::watched::{self, Pace};
use super::{alarms, clean_stop, first_rows};

/// The queue, and what goes on from the last run.
pub(super) struct TakenOver {
    pub(super) opened: Opened,
    /// The last run ended as it should.
    pub(super) clean: bool,
    /// To be queued before the first reading.
    pub(super) rows: Vec<Row>,
    pub(super) pace: Pace,
}

/// Waits for the queue, `opened` being the first attempt's, and takes the last run over. `no_queue` looks at itself meanwhile. `lanes`: of the queue.
///
/// # Errors
/// What no further attempt can mend.
pub(super) async fn take_over(
    state: &Path,
    lanes: usize,
    mut opened: Option<Opened>,
    opening: &mut Opening,
    (ingest, clock): (&GatewayIngest, Clock),
    no_queue: &NoQueue,
) -> Result<TakenOver, RunError> {
    let mut waited = false;
    loop {
        let opened = match opened.take() {
            Some(opened) => opened,
            None => {
                waited = true;
                tokio::select! {
                    opened = opening.opened() => opened?,
                    never = no_queue.watch() => match never {},
                }
            }
        };
        let mut taken = restore(state, opened, ingest, clock);
        match first_rows::mark(state, &mut taken.rows, lanes) {
            Ok(()) => {
                if waited {
                    tracing::warn!("the queue is open: what comes is stored and acknowledged again");
                }
                return Ok(taken);
            }
            Err(error) => opening.give_back(taken.opened, format!("the last stop's mark: {error}")).await,
        }
    }
}

fn restore(state: &Path, opened: Opened, ingest: &GatewayIngest, clock: Clock) -> TakenOver {
    let last = clean_stop::read(state);
    // Rows that found no room have no PUBACK: their senders repeat them.
    let nothing_repeats = (last.clean || opened.is_new) && last.rows.is_empty();
    ingest.set_restarted(Restarted::new(clock.now(), nothing_repeats));
    if !opened.is_new {
        ingest.tell_first_alarms();
    }
    alarms::restore(state, clock.now(), ingest);
    let mut rows = last.rows;
    rows.extend(ingest.restore(clock.now(), last.filters));
    let (lists, pace) = watched::read(state, clock.now().up_ms);
    ingest.await_sensors(clock.now(), lists);
    alarms::follow(state, ingest);
    TakenOver { opened, clean: last.clean, rows, pace }
}
