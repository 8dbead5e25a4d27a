//! Operator's requests about refused messages, carried out in the link's task.

use tokio::sync::{mpsc, oneshot};

use super::LinkCore;
use crate::bridge::{ByHandCount, LeftOut, ParkedList, ParkedRow};
use crate::ingest::Now;
use crate::wire::{TopicError, Utf8};

/// Error of an operator's request, which was not done, or not completely.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ByHandError {
    /// The text is not a topic filter.
    #[error("\"{filter}\" is not a topic filter: {error}")]
    Filter {
        /// The filter that was given.
        filter: String,
        /// The rule that the filter breaks.
        error: TopicError,
    },
    /// Another drop or copy is under way.
    #[error("another drop or copy is under way")]
    Busy,
    /// The caller did not take the copies within 5 s; the time is limited because parked rows are not sent meanwhile.
    #[error("the copies were not taken in time: the rest was left out")]
    TooSlow,
    /// Not all parked rows could be read within 5 s, because their queue is not open, cannot be read, or has rows still being parked.
    #[error("{count} done, but not all that is parked could be read in time{}: ask again", because(why))]
    NotRead {
        /// Messages dropped or copied.
        count: ByHandCount,
        /// Reason in words why rows cannot be parked, which may also keep them from being read; `None` if none is known.
        why: Option<String>,
    },
    /// The drops were not on disk within 5 s, so that the rows may be back after a crash.
    #[error("{count} dropped, but the disk does not take it: after a crash they may be there again")]
    NotDurable {
        /// Number of messages dropped.
        count: ByHandCount,
    },
    /// Refused messages, of any topic, that cannot be parked wait in their lanes, and were left out.
    #[error(
        "{count} done, but {readings} more, of any topic, wait in the queue and were left out, since they cannot be parked{}",
        because(why)
    )]
    InPlace {
        /// Messages dropped or copied.
        count: ByHandCount,
        /// Number of readings left out.
        readings: u64,
        /// Reason in words why they cannot be parked; `None` if none is known.
        why: Option<String>,
    },
    /// The link was closed.
    #[error("the link is closed")]
    Closed,
}

fn because(why: &Option<String>) -> String {
    why.as_ref().map_or_else(String::new, |why| format!(" ({why})"))
}

/// Operator's requests about refused messages.
pub(super) enum Ask {
    List(oneshot::Sender<ParkedList>),
    Retry { filter: Utf8, done: oneshot::Sender<()> },
    Pass { filter: Utf8, copies: Option<mpsc::Sender<Vec<ParkedRow>>>, done: oneshot::Sender<Over> },
}

/// Result of an operator's pass.
pub(super) type Over = Result<ByHandCount, ByHandError>;

/// Operator's pass that is under way, as the link's task sees it.
#[derive(Default)]
pub(super) struct OperatorRequests {
    copies: Option<mpsc::Sender<Vec<ParkedRow>>>,
    done: Option<oneshot::Sender<Over>>,
}

impl OperatorRequests {
    /// Passes an operator's request to the core. The caller may have dropped its receiver by the time of the answer.
    pub(super) fn ask(&mut self, now: Now, core: &mut LinkCore, ask: Ask) {
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

    /// Passes found copies on if the caller's channel has room. Returns whether there may be more.
    pub(super) fn move_copies(&mut self, now: Now, core: &mut LinkCore) -> bool {
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

    /// Answers the caller whose pass is over. `why` is the reason why rows cannot be parked.
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
