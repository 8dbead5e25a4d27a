//! Sink for the rows of received messages, and the handle by which their receipts return.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::listener::Ticket;
use crate::row::Row;

/// Queue as the server sees it. No call may block, because the server's task makes the calls.
///
/// ```
/// use edge_bridge::Row;
/// use edge_bridge::listener::Ticket;
/// use edge_bridge::net::server::{Receipts, Sink};
///
/// /// Up to a hundred rows in memory, safe at once.
/// struct Shelf {
///     rows: Vec<Row>,
///     receipts: Receipts,
/// }
///
/// impl Sink for Shelf {
///     fn has_room(&mut self) -> bool {
///         self.rows.len() < 100
///     }
///     fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
///         self.rows.extend(rows);
///         // The publisher gets its PUBACK now.
///         self.receipts.resolve(ticket);
///         Ok(())
///     }
/// }
/// # let mut shelf = Shelf { rows: Vec::new(), receipts: Receipts::default() };
/// # assert!(shelf.has_room());
/// ```
pub trait Sink: Send + 'static {
    /// Returns whether there is room. Called between the turns of connections, before the ingest gets their messages, so that a message without
    /// room changes no filter's state. The rest of a turn, of at most [`PACKETS_PER_TURN`](crate::session::PACKETS_PER_TURN) packets, comes all
    /// the same. While it is `false` it is called whenever a receipt comes, and 20 times a second. Default: always.
    fn has_room(&mut self) -> bool {
        true
    }

    /// Lanes that have no room, bit `n` for lane `n`. Messages for them ([`Ingest::lane`](crate::ingest::Ingest::lane)) wait, others go on.
    /// Called together with [`has_room`](Self::has_room). Default: none.
    fn full_lanes(&mut self) -> u8 {
        0
    }

    /// Returns whether the queue is behind for a moment. Meanwhile no connection is read, so that senders wait in the network instead of losing
    /// messages at QoS 0. Leave room for the rest of the turn that was under way, at most [`PACKETS_PER_TURN`](crate::session::PACKETS_PER_TURN)
    /// packets. The answer must become `false` within a bounded time, because inputs of control loops wait too; call [`Receipts::room`] then.
    /// Default: never.
    fn is_busy(&mut self) -> bool {
        false
    }

    /// Accepts the rows of one message, all or none; there are no rows if the message is only [withheld](crate::ingest::Answer::Withhold). Call
    /// [`Receipts::resolve`] with `ticket` when all rows are safe, from any thread and in any order.
    ///
    /// # Errors
    ///
    /// There is no room after all; returns the rows. The server keeps them and offers them again, in order, once [`has_room`](Self::has_room) is
    /// true.
    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>>;

    /// Requests a commit, because a publisher waits for its receipts.
    fn commit(&mut self) {}
}

/// Sink of a server whose ingest only absorbs, as a hub's. Rows that come nevertheless are dropped and never acknowledged.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoQueue;

impl Sink for NoQueue {
    fn push(&mut self, _: Ticket, _: Vec<Row>) -> Result<(), Vec<Row>> {
        Ok(())
    }
}

/// Handle that reports to the server which messages are safe. Cheap to clone, for any thread; has no effect after the server's end.
#[derive(Debug, Clone, Default)]
pub struct Receipts {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Resolved tickets; never more than the open ones.
    resolved: Mutex<Vec<Ticket>>,
    wake: Notify,
}

impl Receipts {
    /// Resolves a message's receipt, because all its rows are safe, or removed by the policy that the operator chose.
    pub fn resolve(&self, ticket: Ticket) {
        self.inner.resolved.lock().unwrap_or_else(PoisonError::into_inner).push(ticket);
        self.inner.wake.notify_one();
    }

    /// Notifies the server that there may be room again, so that it does not wait for its next poll.
    pub fn room(&self) {
        self.inner.wake.notify_one();
    }

    /// Takes the resolved tickets. For a client of a local broker that has a [PUBACK chain](crate::puback_chain) of its own.
    pub fn take(&self) -> Vec<Ticket> {
        std::mem::take(&mut *self.inner.resolved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until a ticket was resolved, or room was reported.
    pub async fn woken(&self) {
        self.inner.wake.notified().await;
    }
}
