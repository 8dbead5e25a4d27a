//! Work by hand on what the hub refuses, through a running link.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};

use super::driver::Request;
use super::link::Link;
use crate::bridge::spool::Spool;
use crate::bridge::{ByHandCount, Core, LeftOut, Pack, ParkedList, ParkedRow};
use crate::ingest::Now;
use crate::wire::{TopicError, Utf8, validate_filter};

/// Error of a request by hand: nothing, or not all, of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ByHandError {
    /// The text is no topic filter.
    #[error("\"{filter}\" is not a topic filter: {error}")]
    Filter {
        /// The filter that was given.
        filter: String,
        /// The rule that it breaks.
        error: TopicError,
    },
    /// One at a time drops or copies.
    #[error("another drop or copy is under way")]
    Busy,
    /// The copies were not taken within 5 s: parked rows wait for this.
    #[error("the copies were not taken in time: the rest was left out")]
    TooSlow,
    /// Not all parked rows could be looked at within 5 s: their queue is not open or cannot be read, or rows were still on their way there.
    #[error("{count} done, but not all that is parked could be read in time{}: ask again", because(why))]
    NotRead {
        /// Messages dropped or copied.
        count: ByHandCount,
        /// Reason why rows cannot be parked, in words, as far as known: it may keep them from being read.
        why: Option<String>,
    },
    /// The drops were not on disk within 5 s: after a crash the rows may be there again.
    #[error("{count} dropped, but the disk does not take it: after a crash they may be there again")]
    NotDurable {
        /// Number of messages dropped.
        count: ByHandCount,
    },
    /// Refused messages, of whatever topic, cannot be parked and wait in their place in the queue: they were left out.
    #[error(
        "{count} done, but {readings} more, of any topic, wait in the queue and were left out, since they cannot be parked{}",
        because(why)
    )]
    InPlace {
        /// Messages dropped or copied.
        count: ByHandCount,
        /// Left out, in readings.
        readings: u64,
        /// Reason why they cannot be parked, in words, as far as known.
        why: Option<String>,
    },
    /// The link was closed.
    #[error("the link is closed")]
    Closed,
}

fn because(why: &Option<String>) -> String {
    why.as_ref().map_or_else(String::new, |why| format!(" ({why})"))
}

/// Requests of a person about refused messages.
pub(super) enum Ask {
    List(oneshot::Sender<ParkedList>),
    Retry { filter: Utf8, done: oneshot::Sender<()> },
    Pass { filter: Utf8, copies: Option<mpsc::Sender<Vec<ParkedRow>>>, done: oneshot::Sender<Over> },
}

/// End of a pass.
pub(super) type Over = Result<ByHandCount, ByHandError>;

/// The pass that is under way, seen from the link's task.
#[derive(Default)]
pub(super) struct Hand {
    copies: Option<mpsc::Sender<Vec<ParkedRow>>>,
    done: Option<oneshot::Sender<Over>>,
}

impl Hand {
    /// Answers nobody's question: whoever asked may be gone.
    pub(super) fn ask<S: Spool, P: Pack>(&mut self, now: Now, core: &mut Core<S, P>, ask: Ask) {
        match ask {
            Ask::List(reply) => drop(reply.send(core.parked(now))),
            Ask::Retry { filter, done } => {
                core.retry_parked(now, &filter);
                let _ = done.send(());
            }
            Ask::Pass { filter, copies, done } => {
                let began = self.done.is_none()
                    && match copies {
                        Some(_) => core.copy_parked(now, filter),
                        None => core.drop_parked(now, filter),
                    };
                if began {
                    (self.copies, self.done) = (copies, Some(done));
                } else {
                    let _ = done.send(Err(ByHandError::Busy));
                }
            }
        }
    }

    /// Hands copies on if there is room. Whether there may be more.
    pub(super) fn move_copies<S: Spool, P: Pack>(&mut self, now: Now, core: &mut Core<S, P>) -> bool {
        let Some(copies) = &self.copies else { return false };
        match copies.try_reserve() {
            Ok(place) => {
                let rows = core.take_copies(now);
                let any = !rows.is_empty();
                if any {
                    place.send(rows);
                }
                any
            }
            // Nobody wants them any more: the pass is not held up.
            Err(mpsc::error::TrySendError::Closed(())) => !core.take_copies(now).is_empty(),
            Err(mpsc::error::TrySendError::Full(())) => false,
        }
    }

    /// The pass is over. `why`: what keeps rows from being parked.
    pub(super) fn over(&mut self, count: ByHandCount, left_out: Option<LeftOut>, why: Option<String>) {
        self.copies = None;
        if let Some(done) = self.done.take() {
            let _ = done.send(match left_out {
                None => Ok(count),
                Some(LeftOut::NotTaken) => Err(ByHandError::TooSlow),
                Some(LeftOut::NotRead) => Err(ByHandError::NotRead { count, why }),
                Some(LeftOut::NotDurable) => Err(ByHandError::NotDurable { count }),
                Some(LeftOut::InPlace { readings }) => Err(ByHandError::InPlace { count, readings, why }),
            });
        }
    }
}

/// Copies of parked rows, as they are found. Dropping it ends the copying.
#[derive(Debug)]
pub struct Copies {
    rows: mpsc::Receiver<Vec<ParkedRow>>,
    done: oneshot::Receiver<Over>,
    wake: Arc<Notify>,
}

impl Copies {
    /// The next rows, about 256 KiB; `None` at the end. Ask again within 5 s.
    ///
    /// # Errors
    ///
    /// A part was left out: another pass is under way, the rows were not taken or could not be read in time, some wait in the queue since they
    /// cannot be parked, the link was closed.
    pub async fn next(&mut self) -> Result<Option<Vec<ParkedRow>>, ByHandError> {
        if let Some(rows) = self.rows.recv().await {
            self.wake.notify_one();
            return Ok(Some(rows));
        }
        match (&mut self.done).await {
            Ok(over) => over.map(|_| None),
            Err(_) => Err(ByHandError::Closed),
        }
    }
}

impl Link {
    /// Lists the topics that the hub refuses now.
    ///
    /// # Errors
    ///
    /// The link was closed.
    pub async fn parked(&self) -> Result<ParkedList, ByHandError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::List(reply)).await?;
        answer.await.map_err(|_| ByHandError::Closed)
    }

    /// Tries now what the hub refused under topics that the filter matches; `#` is everything. Returns before the hub has answered.
    ///
    /// # Errors
    ///
    /// Not a filter, or the link was closed.
    pub async fn retry_parked(&self, filter: &str) -> Result<(), ByHandError> {
        let filter = checked(filter)?;
        let (done, answer) = oneshot::channel();
        self.ask(Ask::Retry { filter, done }).await?;
        answer.await.map_err(|_| ByHandError::Closed)
    }

    /// Drops held messages and parked rows of topics that the filter matches (`#`: all), also without a connection, counted as discarded.
    /// Returns how many, once they are durably gone. What is on its way to the hub stays.
    ///
    /// # Errors
    ///
    /// Not a filter, another drop or copy is under way, not all could be read or made durable in time, some wait in the queue since they cannot be
    /// parked, or the link was closed.
    pub async fn drop_parked(&self, filter: &str) -> Result<ByHandCount, ByHandError> {
        let filter = checked(filter)?;
        let (done, answer) = oneshot::channel();
        self.ask(Ask::Pass { filter, copies: None, done }).await?;
        answer.await.map_err(|_| ByHandError::Closed)?
    }

    /// Copies what [`drop_parked`](Self::drop_parked) would drop. Nothing leaves, and nothing is written.
    ///
    /// # Errors
    ///
    /// Not a filter, or the link was closed. What else may be wrong is said by [`Copies::next`].
    pub async fn copy_parked(&self, filter: &str) -> Result<Copies, ByHandError> {
        let filter = checked(filter)?;
        let (done, answer) = oneshot::channel();
        let (copies, rows) = mpsc::channel(1);
        self.ask(Ask::Pass { filter, copies: Some(copies), done }).await?;
        Ok(Copies { rows, done: answer, wake: self.wake.clone() })
    }

    async fn ask(&self, ask: Ask) -> Result<(), ByHandError> {
        self.requests.send(Request::ByHand(ask)).await.map_err(|_| ByHandError::Closed)
    }
}

fn checked(filter: &str) -> Result<Utf8, ByHandError> {
    let error = |error| ByHandError::Filter { filter: filter.to_owned(), error };
    validate_filter(filter).map_err(error)?;
    Utf8::try_from(filter).map_err(|_| error(TopicError::Nul))
}
