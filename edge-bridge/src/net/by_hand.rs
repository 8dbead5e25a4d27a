//! Work by hand on what the hub refuses, in the link's task.

use tokio::sync::{mpsc, oneshot};

use crate::bridge::spool::Spool;
use crate::bridge::{ByHandCount, Core, LeftOut, Pack, ParkedList, ParkedRow};
use crate::ingest::Now;
use crate::wire::{TopicError, Utf8};

/// Error of a request by hand: nothing, or not all, of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ByHandError {
    /// The text is no topic filter.
    #[error("\"{filter}\" is not a topic filter: {error}")]
    Filter {
        /// The filter that was given.
        filter: String,
        /// The rule that the filter breaks.
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
    /// Puts a person's question or order to the core. Whoever asked may be gone by the time of the answer.
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

    /// Answers the person whose pass is over. `why`: what keeps rows from being parked.
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
