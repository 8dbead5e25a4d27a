//! Handle to a receipt that has not come yet.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::model::{Slot, Ticket};
use crate::receipt::{Receipt, WaitError};
use crate::row::Seq;

/// Receipt still to come. Dropping it cancels nothing: the row is committed nevertheless.
///
/// Also a [`Future`]; it needs no runtime.
#[must_use = "a row without a receipt may still be lost in a power cut"]
pub struct Pending {
    slot: Arc<Slot>,
    /// Index among the slot's rows.
    at: u32,
    seq: Seq,
}

impl Pending {
    /// Makes a handle for each of the ticket's rows.
    pub(crate) fn each(ticket: Ticket) -> impl ExactSizeIterator<Item = Pending> {
        let Ticket { slot, at, rows, first } = ticket;
        (0..rows).map(move |n| Pending {
            slot: slot.clone(),
            at: at.saturating_add(n),
            seq: first.saturating_add(u64::from(n)),
        })
    }

    /// Makes the handle of the ticket's first row.
    pub(crate) fn one(ticket: Ticket) -> Pending {
        Pending { slot: ticket.slot, at: ticket.at, seq: ticket.first }
    }

    /// Sequence number of the row in its lane, also of a row that is dropped before it is safe.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Waits for the receipt: at most `ack_within` while the store works, else until it works again. A thread that waits for the third time in a
    /// row, each time within 50 ms after its last wait, commits at once instead of waiting for other rows to join (stop-and-wait).
    ///
    /// # Errors
    /// [`WaitError::Closed`] if the queue was closed and the row could not be made safe.
    pub fn wait(&self) -> Result<Receipt, WaitError> {
        self.slot.wait_observed(self.at).unwrap_or(Err(WaitError::Closed))
    }

    /// Waits at most `time`; `None` when the receipt is still to come.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn wait_timeout(&self, time: Duration) -> Result<Option<Receipt>, WaitError> {
        self.slot.wait(self.at, Some(time)).transpose()
    }

    /// Returns the receipt; `None` when it is still to come.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn try_get(&self) -> Result<Option<Receipt>, WaitError> {
        self.slot.get(self.at).transpose()
    }
}

impl Future for Pending {
    type Output = Result<Receipt, WaitError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.poll(self.at, cx.waker())
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.slot.get(self.at)).finish()
    }
}
