//! Outlets of the local broker: messages of its clients, for the connections whose topic rules match.
//!
//! A message is acknowledged when every matching connection has it on disk, or at its hub. Messages that a connection had not finished when it
//! was stopped wait in order for its next start; those of a connection that is removed go to new ones, as of one that has another name now.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use edge_bridge::Row;
use edge_bridge::bridge::topic_rules::Rules;
use edge_bridge::escape::Escaped;
use edge_bridge::listener::Ticket;
use edge_bridge::net::server::Receipts;
use tokio::sync::{Notify, oneshot};

mod broker_side;

pub(crate) use broker_side::{OutletIngest, OutletSink};

/// Most bytes of messages between the clients and a connection's disk.
const BYTES_MAX: usize = 4 << 20;
/// Lane of messages that several connections take, or one without a lane of its own.
const SHARED: u8 = 0;
/// Lane of messages for local clients alone, which wait for no connection.
const LOCAL_ALONE: u8 = 1;
/// Lanes of one connection each, so that one that is behind stops nobody who publishes for others.
const OWN: std::ops::Range<u8> = 2..8;
/// Bytes that a message counts beside topic and payload.
const MESSAGE_BYTES: usize = 128;

/// Outlets of all connections. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Outlets(Arc<Mutex<Vec<Arc<Outlet>>>>);

impl Outlets {
    /// Closes the outlets of connections that are not among the given ones, and opens those of new ones. What waits in a closed outlet goes to the new
    /// ones that take it; what none takes is dropped. Returns the closed ones.
    pub(crate) fn change(&self, plans: &[(&str, Rules)]) -> Vec<Arc<Outlet>> {
        let mut outlets = self.lock();
        let is_kept = |outlet: &Arc<Outlet>| plans.iter().any(|(name, _)| outlet.connection == *name);
        let (kept, closed): (Vec<_>, Vec<_>) = std::mem::take(&mut *outlets).into_iter().partition(is_kept);
        let kept_count = kept.len();
        *outlets = kept;
        for (connection, rules) in plans {
            if !outlets.iter().any(|outlet| outlet.connection == *connection) {
                let lane = free_lane(&outlets);
                outlets.push(Arc::new(Outlet::new(connection, lane, rules.clone())));
            }
        }
        let heirs: Arc<[_]> = outlets.iter().skip(kept_count).cloned().collect();
        let places = closed.iter().fold(0, |first, outlet| outlet.close(&heirs, first));
        heirs.iter().for_each(|heir| heir.lock().next = places);
        closed
    }

    /// Opens the outlet of a connection, or replaces the rules of its open one.
    pub(crate) fn open(&self, connection: &str, rules: Rules) -> Arc<Outlet> {
        let mut outlets = self.lock();
        if let Some(outlet) = outlets.iter().find(|outlet| outlet.connection == connection) {
            outlet.change(rules);
            return outlet.clone();
        }
        let outlet = Arc::new(Outlet::new(connection, free_lane(&outlets), rules));
        outlets.push(outlet.clone());
        outlet
    }

    /// Passes a message that came by the connection `from` to the other connections that match.
    pub(crate) fn pass_on(&self, from: &str, row: &Row) -> PassedOn {
        let (told, all_have_it) = oneshot::channel();
        let places = self.offer(row, Some(from), Origin::Connection(told));
        PassedOn { all_have_it, places }
    }

    /// Offers a message to all outlets but that of `from`. Returns its places where it waits.
    fn offer(&self, row: &Row, from: Option<&str>, origin: Origin) -> Vec<(Arc<Outlet>, u64)> {
        let outlets = self.lock();
        let fanout = Arc::new(Fanout { open: AtomicUsize::new(1), origin: Mutex::new(Some(origin)) });
        let others = outlets.iter().filter(|outlet| Some(outlet.connection.as_str()) != from);
        let offered = others.filter_map(|outlet| Some((outlet.clone(), outlet.offer(row, &fanout, None)?)));
        let places = offered.collect();
        fanout.end_part();
        places
    }

    /// Returns the lane of a topic: that of the connection that takes it, if it is one alone.
    fn lane(&self, topic: &str) -> u8 {
        let outlets = self.lock();
        let taking = || outlets.iter().filter(|outlet| outlet.takes(topic));
        let mut lanes = taking().map(|outlet| outlet.lane);
        match (lanes.next(), lanes.next()) {
            (None, _) => LOCAL_ALONE,
            (Some(own), None) if own != SHARED => own,
            _ => {
                taking().for_each(|outlet| outlet.lock().has_shared = true);
                SHARED
            }
        }
    }

    /// Returns the lanes without room, bit `n` for lane `n`.
    fn full_lanes(&self) -> u8 {
        let outlets = self.lock();
        let full = outlets.iter().filter(|outlet| !outlet.fills_less_than(BYTES_MAX));
        full.fold(0, |lanes, outlet| {
            lanes | (1 << outlet.lane) | (u8::from(outlet.lock().has_shared) << SHARED)
        })
    }

    fn all(&self, holds: impl Fn(&Outlet) -> bool) -> bool {
        self.lock().iter().all(|outlet| holds(outlet))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Outlet>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a lane that no connection has; the shared one if all are taken.
fn free_lane(outlets: &[Arc<Outlet>]) -> u8 {
    OWN.into_iter().find(|lane| outlets.iter().all(|outlet| outlet.lane != *lane)).unwrap_or(SHARED)
}

/// Messages of the local broker for one connection, in order of arrival.
pub(crate) struct Outlet {
    connection: String,
    lane: u8,
    state: Mutex<State>,
    offered: Notify,
    commit: Notify,
}

#[derive(Default)]
struct State {
    rules: Rules,
    /// Set once a message of the shared lane was for this connection: it closes that lane, too, when it is full.
    has_shared: bool,
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
    /// Bytes of waiting messages and of those being carried.
    bytes: usize,
    closed: Option<Closed>,
}

/// End of an outlet whose connection was removed.
struct Closed {
    /// Outlets that were opened with it, which get its messages.
    heirs: Arc<[Arc<Outlet>]>,
    /// Place of its first message in them, so that all keep their order.
    first: u64,
    /// Messages that none of them takes, and their bytes.
    dropped: (u64, usize),
}

struct Waiting {
    row: Row,
    fanout: Arc<Fanout>,
}

impl Outlet {
    fn new(connection: &str, lane: u8, rules: Rules) -> Self {
        Self {
            connection: connection.to_owned(),
            lane,
            state: Mutex::new(State { rules, ..State::default() }),
            offered: Notify::new(),
            commit: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the rules. Of the same ones it stays known that messages of the shared lane are for this connection.
    fn change(&self, rules: Rules) {
        let mut state = self.lock();
        state.has_shared &= state.rules == rules;
        state.rules = rules;
    }

    fn takes(&self, topic: &str) -> bool {
        self.lock().rules.map_out(topic).is_some()
    }

    /// Adds a copy of the message if a rule matches, in a place of its own or behind all others. Returns its place; `None` if none does.
    fn offer(&self, row: &Row, fanout: &Arc<Fanout>, place: Option<u64>) -> Option<u64> {
        let mut state = self.lock();
        state.rules.map_out(&row.topic).filter(|_| state.closed.is_none())?;
        fanout.open.fetch_add(1, Ordering::Relaxed);
        state.bytes += bytes(row);
        let at = place.unwrap_or(state.next);
        state.next = state.next.max(at + 1);
        let mut row = row.clone();
        // The lane was the broker's: in the connection's queue it is the last one.
        row.lane = None;
        state.waiting.insert(at, Waiting { row, fanout: fanout.clone() });
        drop(state);
        self.offered.notify_one();
        Some(at)
    }

    /// Takes back a message that still waits, here or with the heirs.
    fn withdraw(&self, at: u64) {
        let mut state = self.lock();
        let waiting = state.waiting.remove(&at);
        let handed_down = state.closed.as_ref().map(|closed| (closed.heirs.clone(), closed.first + at));
        drop(state);
        waiting.iter().for_each(|waiting| self.end(waiting));
        if let Some((heirs, at)) = handed_down {
            heirs.iter().for_each(|heir| heir.withdraw(at));
        }
    }

    /// Waits for the next message; returns it with the handle to report that it is safe.
    pub(crate) async fn next(self: &Arc<Self>) -> (Row, Share) {
        loop {
            if let Some((at, waiting)) = self.lock().waiting.pop_first() {
                let row = waiting.row.clone();
                return (row, Share { at, waiting: Some(waiting), outlet: self.clone() });
            }
            self.offered.notified().await;
        }
    }

    /// Waits until a client is blocked for want of PUBACKs.
    pub(crate) async fn commit_wanted(&self) {
        self.commit.notified().await;
    }

    /// Hands its messages to the heirs, from this place on. Returns the place behind them.
    fn close(&self, heirs: &Arc<[Arc<Self>]>, first: u64) -> u64 {
        let mut state = self.lock();
        state.closed = Some(Closed { heirs: heirs.clone(), first, dropped: (0, 0) });
        let left = std::mem::take(&mut state.waiting);
        let behind = first + state.next;
        drop(state);
        left.iter().for_each(|(at, waiting)| self.hand_down(*at, waiting));
        behind
    }

    /// Ends a closed outlet's part of a message, for which a connection has to have it no more unless an heir takes it.
    fn hand_down(&self, at: u64, waiting: &Waiting) {
        let mut state = self.lock();
        if let Some(closed) = &mut state.closed {
            let place = Some(closed.first + at);
            let taking =
                closed.heirs.iter().filter_map(|heir| heir.offer(&waiting.row, &waiting.fanout, place));
            if taking.count() == 0 {
                closed.dropped.0 += 1;
                closed.dropped.1 += bytes(&waiting.row);
            }
        }
        drop(state);
        self.end(waiting);
    }

    /// Logs the messages that a closed outlet had to drop. Whoever published them has been answered that they are safe.
    pub(crate) fn tell_dropped(&self) {
        let dropped = self.lock().closed.as_ref().map(|closed| closed.dropped);
        if let Some((messages @ 1.., bytes)) = dropped {
            tracing::error!(connection = %Escaped(&self.connection), messages, bytes, "the connection is removed, and no new one takes what was not on its disk yet: it is dropped, and acknowledged");
        }
    }

    fn end(&self, waiting: &Waiting) {
        self.lock().bytes -= bytes(&waiting.row);
        waiting.fanout.end_part();
    }

    /// Puts a message back in its place, for the connection's next start.
    fn take_back(&self, at: u64, waiting: Waiting) {
        let mut state = self.lock();
        if state.closed.is_some() {
            drop(state);
            return self.hand_down(at, &waiting);
        }
        state.waiting.insert(at, waiting);
        drop(state);
        self.offered.notify_one();
    }

    fn fills_less_than(&self, bytes: usize) -> bool {
        self.lock().bytes < bytes
    }
}

fn bytes(row: &Row) -> usize {
    row.topic.len() + row.payload.len() + row.properties.as_bytes().len() + MESSAGE_BYTES
}

/// Message of a connection on its way to others: a future that is ready when all have it, or are closed. Dropped before, it is taken back from those
/// that have not begun with it.
pub(crate) struct PassedOn {
    all_have_it: oneshot::Receiver<()>,
    places: Vec<(Arc<Outlet>, u64)>,
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
        self.places.drain(..).for_each(|(outlet, at)| outlet.withdraw(at));
    }
}

/// One connection's part of a message. If it is dropped, the message waits for the connection's next start.
pub(crate) struct Share {
    at: u64,
    waiting: Option<Waiting>,
    outlet: Arc<Outlet>,
}

impl Share {
    /// Reports that the message is safe, or that no attempt can make it safe.
    pub(crate) fn done(mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.outlet.end(&waiting);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.outlet.take_back(self.at, waiting);
        }
    }
}

/// Message that several connections carry, until all have it.
struct Fanout {
    /// Parts that are not done, plus one while they are being created.
    open: AtomicUsize,
    origin: Mutex<Option<Origin>>,
}

/// Origin of a message, notified when all connections have it.
enum Origin {
    Client { ticket: Ticket, receipts: Receipts },
    Connection(oneshot::Sender<()>),
}

impl Fanout {
    fn end_part(&self) {
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

#[cfg(test)]
mod tests;
