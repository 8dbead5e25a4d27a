#![allow(clippy::disallowed_methods, reason = "the shell for tokio programs: one worker thread")]
//! The same queue for async programs: a handle over the same engine.
//!
//! Calls that wait for the disk run on a worker thread as owned commands; the async thread takes only the model's lock. Every future here may be
//! dropped at any await, and its documentation states the consequence: a command that was handed over is performed, leased rows return to their
//! place. Receipts ([`Pending`]) are futures already. Uses tokio's channels, no runtime of its own.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use edge_queue::{Config, Receipt, Row, StoreKind, aio};
//!
//! let config = Config::default().store(StoreKind::Memory);
//! let q = aio::Queue::open("spool", config).await?;
//! let mut hub = q.consumer("hub").await?;
//! let receipt = q.push(Row::new("21.5")).await?;
//! if let Some(chunk) = hub.next_chunk(100).await? {
//!     assert_eq!(chunk.len(), 1); // send it
//!     chunk.ack();
//! }
//! assert_eq!(receipt.await?, Receipt::HandedOver);
//! # q.close().await?;
//! # Ok(())
//! # }
//! ```

mod consumer;
mod lane_settings;
mod worker;

use std::future::poll_fn;
#[cfg(any(feature = "ring", feature = "redb"))]
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use consumer::Consumer;
use tokio::sync::oneshot;
use worker::Worker;

use crate::acked_ids::{AckIdsError, AckedIds, IdRange};
use crate::config::{Config, ConsumerConfig};
use crate::engine::{Engine, WaitingProducer};
use crate::error::{CommitError, ConsumerError, OpenError, PushError};
use crate::event::Event;
use crate::gap::Gap;
use crate::ledger::Ledger;
use crate::model::Refusal;
use crate::pending::Pending;
use crate::queue::{BatchError, TOGETHER_MAX};
use crate::row::Row;
use crate::shell::{Clock, SystemClock};
use crate::stats::Stats;
#[cfg(any(feature = "ring", feature = "redb"))]
use crate::transfer::{ExportError, Exported};

/// Longest time that the drop of the last handle waits for the disk, so that a hanging disk does not block an async thread for good.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// Function that handles the error of a refused push: counts the refusal, unless the push is tried again.
type Refused = fn(&Engine, PushError) -> PushError;

/// A bounded, durable queue. See [`crate::Queue`], whose limits and errors are the same, and the [module](self) for an example.
///
/// Dropping the last handle, consumers included, commits what was pushed and closes the queue, as with the synchronous
/// one: the drop blocks its thread for one commit, but at most ten seconds, after which the worker thread goes on
/// alone while the process lives. Await [`Queue::close`] to block nothing and to hear of an error.
#[derive(Clone, Debug)]
pub struct Queue {
    queue: crate::Queue,
    worker: Worker,
}

impl Queue {
    /// See [`crate::Queue::open`].
    ///
    /// Cancel safe: if the future is dropped, the queue is closed again as soon as it is open; until then another open gets `Busy`.
    ///
    /// # Errors
    /// As [`crate::Queue::open`].
    pub async fn open(dir: impl AsRef<Path>, config: Config) -> Result<Queue, OpenError> {
        Queue::open_with_clock(dir, config, Arc::new(SystemClock::new())).await
    }

    /// As [`crate::Queue::open_with_clock`], on the queue's own worker thread.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with_clock(
        dir: impl AsRef<Path>,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Queue, OpenError> {
        let dir = dir.as_ref().to_owned();
        let thread = |source| OpenError::Io { op: "start the worker thread", source };
        let worker = Worker::start().map_err(thread)?;
        let opened = worker.run(move || crate::Queue::open_with_clock(dir, config, clock)).await;
        let gone = || thread(std::io::ErrorKind::BrokenPipe.into());
        Ok(Queue::on(opened.ok_or_else(gone)??, worker))
    }

    /// Makes an async handle of a queue that is already open.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn of(queue: crate::Queue) -> std::io::Result<Queue> {
        Ok(Queue::on(queue, Worker::start()?))
    }

    fn on(queue: crate::Queue, worker: Worker) -> Queue {
        let closer = worker.clone();
        queue.handle.close_on(move |engine| {
            let close = move || {
                // Nobody is left to hear of an error; `Queue::close` tells.
                let _unheard = engine.close();
            };
            closer.finish(close, CLOSE_PATIENCE)
        });
        Queue { queue, worker }
    }

    /// See [`crate::Queue::open_beside`]. The first queue's worker thread opens it; it then has one of its own.
    ///
    /// Cancel safe, as [`Queue::open`] is.
    ///
    /// # Errors
    /// As [`crate::Queue::open_beside`].
    pub async fn open_beside(&self, name: &str, more_bytes: usize) -> Result<Queue, OpenError> {
        let (queue, name) = (self.queue.clone(), name.to_owned());
        let thread = |source| OpenError::Io { op: "start the worker thread", source };
        let opened = self.worker.run(move || queue.open_beside(&name, more_bytes)).await;
        let gone = || thread(std::io::ErrorKind::BrokenPipe.into());
        Queue::of(opened.ok_or_else(gone)??).map_err(thread)
    }

    /// Returns whether a second queue may be there already, as [`crate::Queue::has_beside`].
    #[must_use]
    pub fn has_beside(&self, name: &str) -> bool {
        self.queue.has_beside(name)
    }

    /// See [`crate::Queue::push`]. Ready at once, unless the queue is full and room for the row needs the disk: old rows are read
    /// before they are dropped, or a commit has to end.
    ///
    /// Cancel safe: a row that was handed to the worker thread is pushed nevertheless. A caller that dropped the future cannot know whether it
    /// was: the row is in the queue once or not at all, and pushing it again may make two of it.
    ///
    /// # Errors
    /// As [`crate::Queue::push`].
    pub async fn push(&self, row: Row) -> Result<Pending, PushError> {
        self.push_else(row, Engine::count_refused).await
    }

    /// Pushes a row; `refused` handles the error of a refused push, to count it or not.
    async fn push_else(&self, row: Row, refused: Refused) -> Result<Pending, PushError> {
        match self.queue.handle.engine.push_once(row) {
            Ok(ticket) => Ok(Pending::one(ticket)),
            Err(refusal) => self.push_slowly(refusal, refused).await,
        }
    }

    /// Pushes a row, and waits for room while its lane is full: [`Queue::push`] for producers that can wait. See [`crate::Queue::push_wait`].
    /// Give it a time limit by dropping the future.
    ///
    /// Cancel safe, as [`Queue::push`] is; a row that still waits for room is gone with the future.
    ///
    /// # Errors
    /// As [`crate::Queue::push_wait`], but never [`PushError::Full`]: at once [`PushError::AboveLimit`] for a row whose weight alone is above the
    /// limit of its lane.
    pub async fn push_wait(&self, mut row: Row) -> Result<Pending, PushError> {
        let waiter = WaitingProducer::new(&self.queue.handle.engine);
        loop {
            let seen = waiter.seen();
            row = match self.push_else(row, |_, error| error).await {
                Err(PushError::Full { row, .. }) => *row,
                other => return other,
            };
            poll_fn(|cx| waiter.poll_turn(seen, cx)).await;
        }
    }

    /// See [`crate::Queue::push_batch`].
    ///
    /// Cancel safe: rows that were pushed stay in the queue, in order and without a hole; the rows after them are dropped with the future.
    ///
    /// # Errors
    /// As [`crate::Queue::push_batch`].
    pub async fn push_batch(&self, rows: Vec<Row>) -> Result<Vec<Pending>, Box<BatchError>> {
        let mut accepted = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let mut together = rows.by_ref().take(TOGETHER_MAX).collect::<Vec<Row>>().into_iter();
            while let Some(refusal) = self.queue.push_together(&mut together, &mut accepted) {
                match self.push_slowly(refusal, Engine::count_refused).await {
                    Ok(pending) => accepted.push(pending),
                    Err(error) => {
                        let rest = together.chain(rows).collect();
                        return Err(Box::new(BatchError { accepted, error, rest }));
                    }
                }
            }
        }
        Ok(accepted)
    }

    /// Repeats on the worker thread a push that has to wait for the disk, even if the future is dropped.
    async fn push_slowly(&self, refusal: Refusal, refused: Refused) -> Result<Pending, PushError> {
        let engine = self.queue.handle.engine.clone();
        let row = match refusal {
            Refusal::NeedCommit(row) => row,
            // Reading what may go would hang with the call that does.
            Refusal::NeedHead { row, .. } | Refusal::NeedCount { row, .. } if !engine.stalled() => row,
            other => return Err(refused(&engine, other.give_up())),
        };
        let back = row.clone();
        let push = move || engine.try_push(*row).map(Pending::one).map_err(|error| refused(&engine, error));
        self.worker.run(push).await.unwrap_or(Err(PushError::Closed { row: back }))
    }

    /// See [`crate::Queue::commit`].
    ///
    /// Cancel safe: a commit that was handed over is written; receipts say so.
    ///
    /// # Errors
    /// As [`crate::Queue::commit`].
    pub async fn commit(&self) -> Result<(), CommitError> {
        let queue = self.queue.clone();
        self.worker.run(move || queue.commit()).await.unwrap_or(Err(CommitError::Closed))
    }

    /// See [`crate::Queue::commit_ends`].
    ///
    /// Cancel safe: a commit that was handed over is written.
    ///
    /// # Errors
    /// As [`crate::Queue::commit_ends`].
    pub async fn commit_ends(&self) -> Result<(), CommitError> {
        let queue = self.queue.clone();
        self.worker.run(move || queue.commit_ends()).await.unwrap_or(Err(CommitError::Closed))
    }

    /// See [`crate::Queue::consumer`].
    ///
    /// Cancel safe: the registration may have happened, and asking again finds it.
    ///
    /// # Errors
    /// As [`crate::Queue::consumer`].
    pub async fn consumer(&self, name: &str) -> Result<Consumer, ConsumerError> {
        if let Some(known) = self.queue.resume(name, None)? {
            return Ok(Consumer::new(known, self.worker.clone()));
        }
        let (queue, name) = (self.queue.clone(), name.to_owned());
        let registered = self.worker.run(move || queue.consumer(&name)).await;
        Ok(Consumer::new(registered.ok_or(ConsumerError::Closed)??, self.worker.clone()))
    }

    /// See [`crate::Queue::consumer_with`].
    ///
    /// # Errors
    /// As [`crate::Queue::consumer_with`].
    pub async fn consumer_with(&self, name: &str, limits: ConsumerConfig) -> Result<Consumer, ConsumerError> {
        if let Some(known) = self.queue.resume(name, Some(limits))? {
            return Ok(Consumer::new(known, self.worker.clone()));
        }
        let (queue, name) = (self.queue.clone(), name.to_owned());
        let registered = self.worker.run(move || queue.consumer_with(&name, limits)).await;
        Ok(Consumer::new(registered.ok_or(ConsumerError::Closed)??, self.worker.clone()))
    }

    /// See [`crate::Queue::forget`].
    ///
    /// Cancel safe: afterwards the consumer is removed, or is as it was before.
    ///
    /// # Errors
    /// As [`crate::Queue::forget`].
    pub async fn forget(&self, name: &str) -> Result<bool, ConsumerError> {
        let (queue, name) = (self.queue.clone(), name.to_owned());
        self.worker.run(move || queue.forget(&name)).await.unwrap_or(Err(ConsumerError::Closed))
    }

    /// See [`crate::Queue::stats`]. At once, unless the age of an oldest row must be read from an idle store. `None`
    /// when the worker thread is gone.
    ///
    /// Cancel safe.
    pub async fn stats(&self) -> Option<Stats> {
        if let Some(stats) = self.queue.handle.engine.stats_now() {
            return Some(stats);
        }
        let queue = self.queue.clone();
        self.worker.run(move || queue.stats()).await
    }

    /// Ledger of every consumer in every lane, as [`crate::Queue::ledger`].
    #[must_use]
    pub fn ledger(&self) -> Vec<Ledger> {
        self.queue.ledger()
    }

    /// Ledgers as the last durable commit left them, as [`crate::Queue::committed_ledger`].
    #[must_use]
    pub fn committed_ledger(&self) -> Vec<Ledger> {
        self.queue.committed_ledger()
    }

    /// Losses of a consumer, as [`crate::Queue::gaps`].
    #[must_use]
    pub fn gaps(&self, consumer: &str) -> Vec<Gap> {
        self.queue.gaps(consumer)
    }

    /// Removes reported losses from a consumer's list, as [`crate::Queue::ack_gaps`].
    pub fn ack_gaps(&self, consumer: &str, gaps: &[Gap]) {
        self.queue.ack_gaps(consumer, gaps);
    }

    /// Events since the last call, as [`crate::Queue::events`].
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.queue.events()
    }

    /// Random number in the identity of this queue's rows, as [`crate::Queue::gateway_id`].
    #[must_use]
    pub fn gateway_id(&self) -> u64 {
        self.queue.gateway_id()
    }

    /// Writes the backlog as [`crate::Queue::export`] does, on a thread of its own, so that commands of other callers do not wait for `out`.
    ///
    /// Dropping the future does not end the export; an error of `out` does. The queue stays open until then.
    ///
    /// # Errors
    /// As [`crate::Queue::export`]; [`ExportError::Write`] also if the system refused a thread, or if `out` panicked.
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub async fn export(&self, out: impl Write + Send + 'static) -> Result<Exported, ExportError> {
        self.export_with_note(out, Vec::new()).await
    }

    /// Writes the backlog as [`export`](Self::export) does, with a note as in [`crate::Queue::export_with_note`].
    ///
    /// # Errors
    /// As [`export`](Self::export).
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub async fn export_with_note(
        &self,
        mut out: impl Write + Send + 'static,
        note: Vec<u8>,
    ) -> Result<Exported, ExportError> {
        let queue = self.queue.clone();
        on_thread("edge-queue-copy", move || queue.export_with_note(&mut out, &note))
            .await?
            // Of all that runs there, `out` alone is the caller's.
            .unwrap_or_else(|| Err(ExportError::Write(std::io::Error::other("the export panicked"))))
    }

    /// Acknowledges rows by their identity, as [`crate::Queue::ack_ids`] does, on a thread of its own, so that commands of other
    /// callers do not wait for the read of the rows.
    ///
    /// Cancel safe: the rows are acknowledged all the same, and another call with them finds them gone.
    ///
    /// # Errors
    /// As [`crate::Queue::ack_ids`]; [`AckIdsError::Closed`] also if the system refused a thread.
    pub async fn ack_ids(&self, consumer: &str, ids: Vec<IdRange>) -> Result<AckedIds, AckIdsError> {
        let (queue, consumer) = (self.queue.clone(), consumer.to_owned());
        let acked = on_thread("edge-queue-acks", move || queue.ack_ids(&consumer, &ids)).await;
        acked.ok().flatten().unwrap_or(Err(AckIdsError::Closed))
    }

    /// See [`crate::Queue::close`].
    ///
    /// Cancel safe: the queue is closed on the worker thread all the same, at once or with its last handle.
    ///
    /// # Errors
    /// As [`crate::Queue::close`].
    pub async fn close(self) -> Result<(), CommitError> {
        let queue = self.queue.clone();
        self.worker.run(move || queue.close()).await.unwrap_or(Err(CommitError::Closed))
    }
}

/// Runs a long call on a thread of its own, even if the future is dropped. `None` when the thread ended without an answer.
async fn on_thread<T: Send + 'static>(
    name: &str,
    call: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Option<T>> {
    let (reply, answer) = oneshot::channel();
    let run = move || {
        // Nobody may wait any more.
        let _unheard = reply.send(call());
    };
    std::thread::Builder::new().name(name.into()).spawn(run)?;
    Ok(answer.await.ok())
}
