//! Answers on their way into the queue: stored while there is room for them, else dropped, counted, and told once a minute.

#![allow(clippy::disallowed_methods, reason = "a shell: time")]

use std::time::Duration;

use edge_bridge::Row;
use edge_bridge::escape::Escaped;
use edge_bridge::net::intake::Intake;
use edge_queue::{ROW_OVERHEAD_BYTES, Stats, aio};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::run::log::once_a_minute::OnceAMinute;
use crate::run::queue::store::CONSUMER;

use super::Done;
use super::answer::AnswerKind;
use super::answer_room::{AnswerRoom, LaneFigures, NoRoom, Size};
use super::command::Ticket;
use super::counts::CommandCounts;
use super::refusal_rate::RefusalRate;

/// Period of looks at the lane while answers wait.
pub(super) const LOOK: Duration = Duration::from_millis(50);

pub(super) struct QueuedAnswers {
    queue: aio::Queue,
    room: AnswerRoom,
    rate: RefusalRate,
    started: Instant,
    is_looking: bool,
    counts: CommandCounts,
    line: OnceAMinute,
    /// Dropped answers since the last line.
    untold: u64,
}

impl QueuedAnswers {
    pub(super) async fn new(queue: aio::Queue, counts: CommandCounts) -> Self {
        let room = AnswerRoom::new(figures(queue.stats().await));
        let (rate, started) = (RefusalRate::new(0), Instant::now());
        Self {
            queue,
            room,
            rate,
            started,
            is_looking: false,
            counts,
            line: OnceAMinute::default(),
            untold: 0,
        }
    }

    /// Returns whether there is room for an answer, which is to be stored then.
    pub(super) fn admit(&mut self, ticket: Ticket, row: &Row, kind: AnswerKind) -> bool {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let admitted = match kind {
            AnswerKind::Refusal if !self.rate.take(now_ms) => Err(NoRoom::Rate),
            _ => self.room.admit(ticket, bytes(row), kind),
        };
        if let Err(bound) = admitted {
            self.tell_dropped(row, bound);
        }
        admitted.is_ok()
    }

    pub(super) fn stored(&mut self, ticket: Ticket) {
        self.room.stored(ticket);
    }

    /// Returns whether to look at the lane.
    pub(super) fn wants_look(&self) -> bool {
        !self.is_looking && self.room.is_used()
    }

    /// Returns whether the lane was full at the last look, and no answer waits that would ask for another one: others leave it, too.
    pub(super) fn is_lane_full(&self) -> bool {
        !self.is_looking && !self.room.is_used() && self.room.is_lane_full()
    }

    /// Begins a look at the lane, whose result goes to [`see`](Self::see).
    pub(super) fn look(&mut self) -> impl Future<Output = Option<Done>> + use<> {
        self.is_looking = true;
        self.room.look();
        let queue = self.queue.clone();
        async move { Some(Done::Looked(figures(queue.stats().await))) }
    }

    pub(super) fn see(&mut self, lane: Option<LaneFigures>) {
        self.is_looking = false;
        lane.into_iter().for_each(|lane| self.room.see(lane));
    }

    fn tell_dropped(&mut self, row: &Row, bound: NoRoom) {
        self.counts.add_dropped(bound);
        self.untold += 1;
        if self.line.may_say(Instant::now()) {
            let dropped = std::mem::take(&mut self.untold);
            tracing::warn!(topic = %format_args!("\"{}\"", Escaped(&row.topic)), reason = bound.as_str(), dropped, "no room for answers to commands of the hub: they are dropped");
        }
    }
}

/// Waits until the answer is safe. While the queue takes no row, the hub's message stays unacknowledged.
pub(super) async fn store(intake: Intake, ticket: Ticket, row: Row) -> Option<Done> {
    let (tell, safe) = oneshot::channel();
    let permit = loop {
        match intake.reserve_in(row.lane).await {
            Some(permit) => break permit,
            // Not open, or closed.
            None => sleep(Duration::from_secs(1)).await,
        }
    };
    permit.put(vec![row], move || {
        // Its receiver ends with the gateway.
        let _ = tell.send(());
    });
    safe.await.ok()?;
    Some(Done::Answered(ticket))
}

/// Returns the bytes that an answer takes in the queue.
fn bytes(row: &Row) -> u64 {
    let own = row.to_meta().len() + row.key.len() + row.payload.len();
    u64::try_from(own).unwrap_or(u64::MAX).saturating_add(ROW_OVERHEAD_BYTES)
}

/// Returns the figures of the first lane, where answers are.
fn figures(stats: Option<Stats>) -> Option<LaneFigures> {
    let lane = stats?.lanes.into_iter().next()?;
    let ledger = lane.ledgers.iter().find(|ledger| ledger.consumer == CONSUMER)?;
    Some(LaneFigures {
        accepted: ledger.accepted,
        queued: ledger.queued,
        used: Size { messages: lane.messages, bytes: lane.bytes },
        limits: Size { messages: lane.max_messages, bytes: lane.max_bytes },
    })
}

#[cfg(test)]
mod tests;
