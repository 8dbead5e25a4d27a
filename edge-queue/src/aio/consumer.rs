//! Consumer for async programs.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::oneshot;

use crate::aio::worker::Worker;
use crate::engine::{Quick, Wait};
use crate::error::ConsumerError;
use crate::gap::Gap;
use crate::lease::{Chunk, Lease};
use crate::model::Take;

/// Number of rows that the [`Stream`] leases at a time.
const STREAM_ROWS: usize = 64;

/// Next key of an async consumer in the list of wakers.
static WAITERS: AtomicU64 = AtomicU64::new(0);

type Answer = Result<Chunk, ConsumerError>;

/// A registered consumer. See [`crate::Consumer`].
///
/// As a [`Stream`] it gives leases one by one; up to 64 rows are leased ahead and return to their place when the consumer is dropped. It ends
/// when the queue is closed, and after the error that the consumer was forgotten. A store that cannot be read now is an error too, but does not
/// end the stream: rows follow once it can be read again.
#[derive(Debug)]
pub struct Consumer {
    consumer: crate::Consumer,
    worker: Worker,
    /// Leased rows not handed out yet: read for a future that was dropped, or ahead of the stream.
    ready: VecDeque<Lease>,
    reading: Option<oneshot::Receiver<Answer>>,
    /// Scan or rewind to perform once the read under way has ended; `None` if none was requested.
    restart: Option<Restart>,
    waiter: u64,
    /// Set once the stream has returned the error that the consumer was forgotten.
    ended: bool,
}

/// Request for a scan or a rewind: see [`crate::Consumer::scan`] and [`crate::Consumer::rewind`].
#[derive(Clone, Copy, Debug)]
enum Restart {
    Scan,
    Rewind,
}

impl Consumer {
    pub(super) fn new(consumer: crate::Consumer, worker: Worker) -> Consumer {
        let waiter = WAITERS.fetch_add(1, Ordering::Relaxed);
        Consumer {
            consumer,
            worker,
            ready: VecDeque::new(),
            reading: None,
            restart: None,
            waiter,
            ended: false,
        }
    }

    /// Leases up to `rows_max` rows, at least one; waits for the first. `None` when the queue is closed: the end of a
    /// loop.
    ///
    /// Cancel safe, as [`Consumer::lease`] is.
    ///
    /// # Errors
    /// The consumer was forgotten, or the store cannot be read now: call it again.
    pub async fn next_chunk(&mut self, rows_max: usize) -> Result<Option<Chunk>, ConsumerError> {
        match self.lease(rows_max).await {
            Ok(chunk) => Ok(Some(chunk)),
            Err(ConsumerError::Closed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Leases up to `rows_max` rows, at least one; waits for the first.
    ///
    /// Cancel safe: rows that were read for a dropped future are returned first by the next call. They return to their place when the consumer is
    /// dropped.
    ///
    /// # Errors
    /// The consumer was forgotten, the queue closed, or the store could not be read.
    pub async fn lease(&mut self, rows_max: usize) -> Result<Chunk, ConsumerError> {
        poll_fn(|cx| self.poll_chunk(cx, Take::rows(rows_max.max(1)))).await
    }

    /// As [`Consumer::lease`], bounded in bytes too: see [`crate::Consumer::lease_up_to`].
    ///
    /// Cancel safe, as [`Consumer::lease`] is.
    ///
    /// # Errors
    /// As [`Consumer::lease`].
    pub async fn lease_up_to(&mut self, rows_max: usize, bytes_max: u64) -> Result<Chunk, ConsumerError> {
        let take = Take { rows: rows_max.max(1), bytes: bytes_max };
        poll_fn(|cx| self.poll_chunk(cx, take)).await
    }

    /// See [`crate::Consumer::waiting`]. Rows read for a future that was dropped count as leased.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.consumer.waiting()
    }

    /// Messages still to come for this consumer, leased ones included, as [`crate::Consumer::queued`].
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.consumer.queued()
    }

    /// Records of lost rows, as [`crate::Consumer::gaps`].
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        self.consumer.gaps()
    }

    /// Removes reported losses from the list, as [`crate::Consumer::ack_gaps`].
    pub fn ack_gaps(&mut self, gaps: &[Gap]) {
        self.consumer.ack_gaps(gaps);
    }

    /// See [`crate::Consumer::scan`]. Rows that were read ahead return to their place first.
    pub fn scan(&mut self) {
        self.restart = Some(Restart::Scan);
    }

    /// See [`crate::Consumer::rewind`]. Rows that were read ahead return to their place first.
    pub fn rewind(&mut self) {
        self.restart = Some(Restart::Rewind);
    }

    /// See [`crate::Consumer::at_end`]. Always false while rows are being read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.restart.is_none() && self.reading.is_none() && self.ready.is_empty() && self.consumer.at_end()
    }

    /// Performs the requested scan or rewind, unless rows are still being read.
    fn restart(&mut self) {
        if self.reading.is_some() {
            return;
        }
        let Some(restart) = self.restart.take() else { return };
        self.ready.clear();
        match restart {
            Restart::Scan => self.consumer.scan(),
            Restart::Rewind => self.consumer.rewind(),
        }
    }

    /// Returns the number of ready rows that fit into the limits of `take`, at least one.
    fn fitting(&self, take: Take) -> usize {
        let mut room = take.bytes;
        let fits = |lease: &&Lease| {
            let left = room.checked_sub(lease.bytes());
            left.inspect(|left| room = *left).is_some()
        };
        self.ready.iter().take(take.rows).take_while(fits).count().max(1)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>, take: Take) -> Poll<Answer> {
        loop {
            self.restart();
            // Their time may be over since they were read ahead.
            self.ready.retain(|lease| !lease.is_over());
            if self.restart.is_none() && !self.ready.is_empty() {
                let rows = self.fitting(take);
                return Poll::Ready(Ok(Chunk::of(self.ready.drain(..rows))));
            }
            if let Some(reading) = &mut self.reading {
                let answer = match Pin::new(reading).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(answer) => answer,
                };
                self.reading = None;
                match answer {
                    Ok(Ok(chunk)) => self.ready.extend(chunk),
                    Ok(Err(error)) => return Poll::Ready(Err(error)),
                    Err(_) => return Poll::Ready(Err(ConsumerError::Closed)),
                }
                continue;
            }
            let (engine, id) = (self.consumer.handle.engine.clone(), self.consumer.id);
            match engine.lease_quick(id, take, (self.waiter, cx.waker())) {
                Err(error) => return Poll::Ready(Err(error)),
                Ok(Quick::Rows(rows)) => return Poll::Ready(Ok(Chunk::new(&engine, rows))),
                Ok(Quick::Later) => return Poll::Pending,
                Ok(Quick::Blocking) => {
                    // The answer holds leases, not rows: dropped unread, they return.
                    let read = move || Ok(Chunk::new(&engine, engine.lease(id, take, Wait::None)?));
                    self.reading = self.worker.hand_over(read);
                    if self.reading.is_none() {
                        return Poll::Ready(Err(ConsumerError::Closed));
                    }
                }
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.consumer.handle.engine.forget_waiter(self.waiter);
    }
}

impl Stream for Consumer {
    type Item = Result<Lease, ConsumerError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.ready.retain(|lease| !lease.is_over());
        // A scan or a rewind comes before what was read ahead.
        if self.restart.is_some() || self.ready.is_empty() {
            match self.poll_chunk(cx, Take::rows(STREAM_ROWS)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(ConsumerError::Closed)) => return Poll::Ready(None),
                Poll::Ready(Err(error)) => {
                    self.ended = matches!(error, ConsumerError::Forgotten);
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Ok(chunk)) => self.ready.extend(chunk),
            }
        }
        match self.ready.pop_front() {
            Some(lease) => Poll::Ready(Some(Ok(lease))),
            None => Poll::Pending,
        }
    }
}
