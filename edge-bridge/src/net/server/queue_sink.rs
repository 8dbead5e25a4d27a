//! [`Sink`] into an [`edge_queue`], by way of an [`Intake`].

use std::fmt;
use std::time::Duration;

use edge_queue::aio;
use tokio::time::Instant;

use super::{Receipts, Sink};
use crate::listener::Ticket;
use crate::net::intake::{Intake, Safe};
use crate::row::Row;

/// Longest time for which no connection is read because the intake is behind, unless it is set.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Function that makes the callback for a message, called when the message's rows are safe.
type WhenSafe = dyn FnMut(Ticket, &[Row]) -> Safe + Send;

/// Sink into an open queue: `server.start(address, ingest, |receipts| QueueSink::start(&queue, lanes, receipts))`.
///
/// It resolves a message when its rows are safe, and never resolves one without rows. That suits an ingest that answers
/// [`Store`](crate::ingest::Answer::Store), [`Absorb`](crate::ingest::Answer::Absorb) or [`Refuse`](crate::ingest::Answer::Refuse). An ingest
/// that [withholds](crate::ingest::Answer::Withhold) PUBACKs needs a callback of its own, set by [`when_safe`](Self::when_safe), because its
/// receipts depend on other rows too.
pub struct QueueSink {
    intake: Intake,
    when_safe: Box<WhenSafe>,
    /// Function called for a commit instead of the intake's own; `None` uses the intake's.
    commit: Option<Box<dyn FnMut() + Send>>,
    pause: Pause,
}

impl QueueSink {
    /// Starts an [`Intake`] for the `lanes` lanes of `queue` on the current tokio runtime; its tasks end when the queue is closed or the server has
    /// ended.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub fn start(queue: &aio::Queue, lanes: u8, receipts: Receipts) -> Self {
        Self::new(Intake::start(queue, lanes.into()), receipts)
    }

    /// Makes a sink into an intake that others use too, or that is opened later. `receipts` is notified when the intake has room.
    pub fn new(intake: Intake, receipts: Receipts) -> Self {
        intake.tell_of_room(&receipts);
        let when_safe = move |ticket, rows: &[Row]| -> Safe {
            if rows.is_empty() {
                return Box::new(|| {});
            }
            let receipts = receipts.clone();
            Box::new(move || receipts.resolve(ticket))
        };
        let pause = Pause { since: None, max: PAUSE_MAX };
        Self { intake, when_safe: Box::new(when_safe), commit: None, pause }
    }

    /// Sets a function that is called for each accepted message, and returns the callback for when its rows are safe. The callback resolves the
    /// ticket, unless the ticket depends on other rows too.
    #[must_use]
    pub fn when_safe<F>(mut self, mut when_safe: impl FnMut(Ticket) -> F + Send + 'static) -> Self
    where
        F: FnOnce() + Send + 'static,
    {
        self.when_safe = Box::new(move |ticket, _| Box::new(when_safe(ticket)));
        self
    }

    /// Sets a function that is called instead of [`Intake::commit`] when a publisher waits for receipts.
    #[must_use]
    pub fn on_commit(mut self, commit: impl FnMut() + Send + 'static) -> Self {
        self.commit = Some(Box::new(commit));
        self
    }

    /// Sets the longest time for which no connection is read because the intake is behind. After it, messages at QoS 0 without room are
    /// dropped and counted. Default: one second.
    #[must_use]
    pub fn pause_max(mut self, max: Duration) -> Self {
        self.pause.max = max;
        self
    }

    /// Returns the number of rows that the queue can never take, see [`Intake::never_stored`].
    pub fn never_stored(&self) -> u64 {
        self.intake.never_stored()
    }
}

impl fmt::Debug for QueueSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueSink").field("intake", &self.intake).finish_non_exhaustive()
    }
}

impl Sink for QueueSink {
    fn has_room(&mut self) -> bool {
        self.intake.takes_messages()
    }

    fn full_lanes(&mut self) -> u8 {
        self.intake.full_lanes()
    }

    fn is_busy(&mut self) -> bool {
        self.pause.goes_on(self.intake.is_behind(), Instant::now)
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        let Some(permit) = self.intake.try_reserve() else { return Err(rows) };
        let safe = (self.when_safe)(ticket, &rows);
        permit.put_boxed(rows, safe);
        Ok(())
    }

    fn commit(&mut self) {
        match &mut self.commit {
            Some(commit) => commit(),
            None => self.intake.commit(),
        }
    }
}

/// Back-pressure with a time limit, after which messages are read in any case.
#[derive(Debug)]
struct Pause {
    since: Option<Instant>,
    max: Duration,
}

impl Pause {
    /// Returns whether the pause goes on at `now`.
    fn goes_on(&mut self, is_behind: bool, now: impl FnOnce() -> Instant) -> bool {
        if !is_behind {
            self.since = None;
            return false;
        }
        let now = now();
        now.duration_since(*self.since.get_or_insert(now)) < self.max
    }
}

#[cfg(test)]
mod tests;
