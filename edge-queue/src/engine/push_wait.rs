//! Back-pressure for producers that can wait: a push that finds its lane full sleeps until rows have left, and tries again.

use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::PushError;
use crate::model::Ticket;
use crate::row::Row;

use super::Engine;

/// Longest sleep between two tries, because some room comes without a wake-up, such as when a medium can be read again.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Producer that waits for room, counted while this value lives.
pub(crate) struct WaitingProducer {
    engine: Arc<Engine>,
    id: u64,
}

impl WaitingProducer {
    pub(crate) fn new(engine: &Arc<Engine>) -> WaitingProducer {
        WaitingProducer { id: engine.room.enter(), engine: engine.clone() }
    }

    /// Returns the counter of wake-ups before a try; a later value shows that there may be room.
    pub(crate) fn seen(&self) -> u64 {
        self.engine.room.count()
    }

    /// Ready when the counter of wake-ups differs from `seen`.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_turn(&self, seen: u64, cx: &Context<'_>) -> Poll<()> {
        self.engine.room.poll_turn(self.id, seen, cx.waker())
    }
}

impl Drop for WaitingProducer {
    fn drop(&mut self) {
        self.engine.room.leave(self.id);
    }
}

impl Engine {
    /// Pushes a row, and waits for room at most for `time`. With a manual clock it does not wait.
    pub(crate) fn push_wait(self: &Arc<Self>, mut row: Row, time: Duration) -> Result<Ticket, PushError> {
        let waiter = WaitingProducer::new(self);
        let until_ms = self.until_ms(time);
        loop {
            let seen = waiter.seen();
            let (full, limit) = match self.try_push(row) {
                Err(PushError::Full { row, limit, .. }) => (row, limit),
                other => return other,
            };
            let left = Duration::from_millis(until_ms.saturating_sub(self.clock.now().up_ms));
            if left.is_zero() {
                return Err(self.count_refused(PushError::Full { row: full, limit, most: None }));
            }
            row = *full;
            self.room.sleep(seen, left.min(TRY_EVERY));
        }
    }

    /// Up time in milliseconds at which a wait of `time` ends: at once with a manual clock.
    pub(super) fn until_ms(&self, time: Duration) -> u64 {
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.clock.now().up_ms.saturating_add(if self.clock.manual() { 0 } else { time_ms })
    }
}
