//! Message on its way to the connections that take it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use edge_bridge::listener::Ticket;
use edge_bridge::net::server::Receipts;
use tokio::sync::oneshot;

use super::Outlet;

/// Message that several connections carry, until all have it.
pub(super) struct Fanout {
    /// Its place in every outlet.
    pub(super) number: u64,
    /// Connection by which it came, to which it does not go back.
    from: Option<String>,
    /// Parts that are not done, plus one while they are being created.
    open: AtomicUsize,
    /// Outlets that it was offered to: none gets it twice.
    offered_to: Mutex<Vec<Weak<Outlet>>>,
    origin: Mutex<Option<Origin>>,
}

/// Origin of a message, notified when all connections have it.
pub(super) enum Origin {
    Client { ticket: Ticket, receipts: Receipts },
    Connection(oneshot::Sender<()>),
}

impl Fanout {
    pub(super) fn new(number: u64, from: Option<&str>, origin: Origin) -> Self {
        Self {
            number,
            from: from.map(str::to_owned),
            open: AtomicUsize::new(1),
            // One as a rule.
            offered_to: Mutex::new(Vec::with_capacity(1)),
            origin: Mutex::new(Some(origin)),
        }
    }

    /// Returns whether the message came by the connection of an outlet.
    pub(super) fn is_from(&self, outlet: &Outlet) -> bool {
        self.from.as_ref().is_some_and(|from| *from == outlet.connection)
    }

    /// Adds the part of an outlet. `false`: it has had one, or the message came by it.
    pub(super) fn add(&self, outlet: &Arc<Outlet>) -> bool {
        let mut offered_to = self.offered_to.lock().unwrap_or_else(PoisonError::into_inner);
        let had_it = offered_to.iter().any(|former| std::ptr::eq(former.as_ptr(), Arc::as_ptr(outlet)));
        if had_it || self.is_from(outlet) {
            return false;
        }
        offered_to.push(Arc::downgrade(outlet));
        self.open.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Notes that an outlet has handed its part on without having carried it: it may get the message again.
    pub(super) fn forget(&self, outlet: &Outlet) {
        let mut offered_to = self.offered_to.lock().unwrap_or_else(PoisonError::into_inner);
        offered_to.retain(|former| !std::ptr::eq(former.as_ptr(), outlet));
    }

    /// Takes the message back from outlets where it still waits.
    fn withdraw(&self) {
        let offered_to = self.offered_to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        offered_to.iter().filter_map(Weak::upgrade).for_each(|outlet| outlet.withdraw(self.number));
    }

    pub(super) fn end_part(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        match self.origin.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Origin::Client { ticket, receipts }) => receipts.resolve(ticket),
            // Nobody may be waiting any more.
            Some(Origin::Connection(told)) => drop(told.send(())),
            None => {}
        }
    }
}

/// Message of a connection on its way to others: a future that is ready when all have it, or are closed. Dropped before, it is taken back from those
/// that have not begun with it.
pub(crate) struct PassedOn {
    all_have_it: oneshot::Receiver<()>,
    fanout: Arc<Fanout>,
}

impl PassedOn {
    pub(super) fn new(all_have_it: oneshot::Receiver<()>, fanout: Arc<Fanout>) -> Self {
        Self { all_have_it, fanout }
    }
}

impl Future for PassedOn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // An error: no connection takes it any more.
        Pin::new(&mut self.all_have_it).poll(cx).map(drop)
    }
}

impl Drop for PassedOn {
    fn drop(&mut self) {
        self.fanout.withdraw();
    }
}
