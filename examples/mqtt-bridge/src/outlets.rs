//! Outlets of the local broker: messages of its clients, for the connections whose topic rules match.
//!
//! A message is acknowledged when every matching connection has it on disk, or at its hub. Messages that a connection had not finished when it
//! was stopped wait in order for its next start; those of a connection that is removed, or whose rules take them no more, go to others that take
//! them now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_bridge::Row;
use edge_bridge::bridge::topic_rules::Rules;
use edge_bridge::escape::Escaped;
use tokio::sync::{Notify, oneshot};

mod broker_side;
mod fanout;

pub(crate) use broker_side::{OutletIngest, OutletSink};
pub(crate) use fanout::PassedOn;
use fanout::{Fanout, Origin};

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
pub(crate) struct Outlets {
    open: Arc<Mutex<Vec<Arc<Outlet>>>>,
    /// Number of messages that came: the place of each in every outlet, so that they stay in their order wherever they go.
    arrived: Arc<AtomicU64>,
    /// Number of changes of rules, by which a topic may have another lane.
    changes: Arc<AtomicU32>,
}

impl Outlets {
    /// Closes the outlets of connections that are not among the given ones, and opens those of new ones. What waits in a closed outlet goes to those
    /// that take it by these rules; what none takes is dropped. Changed rules of others take messages from now on, and are in force, for what waited
    /// too, after `put_in_force`: until then the former flows of these connections carry by the former ones. Returns the closed outlets.
    pub(crate) fn change(&self, plans: &[(&str, Rules)]) -> Vec<Arc<Outlet>> {
        let mut outlets = self.lock();
        let is_kept = |outlet: &Arc<Outlet>| plans.iter().any(|(name, _)| outlet.connection == *name);
        let (kept, closed): (Vec<_>, Vec<_>) = std::mem::take(&mut *outlets).into_iter().partition(is_kept);
        *outlets = kept;
        for (connection, rules) in plans {
            if let Some(outlet) = find(&outlets, connection) {
                outlet.announce(rules);
            } else {
                let lane = free_lane(&outlets);
                outlets.push(Arc::new(Outlet::new(connection, lane, rules.clone())));
            }
        }
        let heirs: Arc<[_]> = outlets.iter().cloned().collect();
        closed.iter().for_each(|outlet| outlet.close(&heirs));
        self.changes.fetch_add(1, Ordering::Relaxed);
        closed
    }

    /// Puts the rules in force that `change` announced. What waits in an outlet and is no longer for it goes to those that take it now and have not had
    /// it; what none takes stays, for the connection to count.
    pub(crate) fn put_in_force(&self) {
        let outlets = self.lock();
        outlets.iter().for_each(|outlet| outlet.put_in_force());
        // All of them: what one could not hand on at a change before, another may take now.
        outlets.iter().for_each(|outlet| outlet.hand_on(&outlets));
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Opens the outlet of a connection, or replaces the rules of its open one.
    pub(crate) fn open(&self, connection: &str, rules: Rules) -> Arc<Outlet> {
        let mut outlets = self.lock();
        if let Some(outlet) = find(&outlets, connection) {
            outlet.lock().change(rules);
            return outlet.clone();
        }
        let outlet = Arc::new(Outlet::new(connection, free_lane(&outlets), rules));
        outlets.push(outlet.clone());
        outlet
    }

    /// Passes a message that came by the connection `from` to the other connections that match.
    pub(crate) fn pass_on(&self, from: &str, row: &Row) -> PassedOn {
        let (told, all_have_it) = oneshot::channel();
        PassedOn::new(all_have_it, self.offer(row, Some(from), Origin::Connection(told)))
    }

    /// Offers a message to all outlets but that of `from`.
    fn offer(&self, row: &Row, from: Option<&str>, origin: Origin) -> Arc<Fanout> {
        let outlets = self.lock();
        // Under the lock: no later message is before it.
        let number = self.arrived.fetch_add(1, Ordering::Relaxed);
        let fanout = Arc::new(Fanout::new(number, from, origin));
        outlets.iter().for_each(|outlet| outlet.offer(row, &fanout));
        fanout.end_part();
        fanout
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
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<'a>(outlets: &'a [Arc<Outlet>], connection: &str) -> Option<&'a Arc<Outlet>> {
    outlets.iter().find(|outlet| outlet.connection == connection)
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
    /// Rules that are announced: they take messages already, which the flow of now would not know.
    coming: Option<Rules>,
    /// Set once a message of the shared lane was for this connection: it closes that lane, too, when it is full.
    has_shared: bool,
    waiting: BTreeMap<u64, Waiting>,
    /// Messages that only the announced rules take.
    later: BTreeMap<u64, Waiting>,
    /// Bytes of waiting messages and of those being carried.
    bytes: usize,
    closed: Option<Closed>,
}

impl State {
    /// Replaces the rules. Of the same ones it stays known that messages of the shared lane are for this connection.
    fn change(&mut self, rules: Rules) {
        self.has_shared &= self.rules == rules;
        self.rules = rules;
    }

    fn is_announced(&self, topic: &str) -> bool {
        self.coming.as_ref().is_some_and(|rules| rules.map_out(topic).is_some())
    }
}

/// End of an outlet whose connection was removed.
struct Closed {
    /// Outlets that are open then, which get its messages.
    heirs: Arc<[Arc<Outlet>]>,
    /// Messages that none of them takes, and their bytes.
    dropped: (u64, usize),
}

struct Waiting {
    row: Row,
    fanout: Arc<Fanout>,
}

impl Waiting {
    /// Offers the message to outlets that take it by their rules, those announced where there are some. Returns whether one has it, or had it before.
    fn pass_to(&self, outlets: &[Arc<Outlet>]) -> bool {
        let takes = |outlet: &&Arc<Outlet>| {
            let state = outlet.lock();
            let rules = state.coming.as_ref().unwrap_or(&state.rules);
            let maps = rules.map_out(&self.row.topic).is_some();
            maps && state.closed.is_none() && !self.fanout.is_from(outlet)
        };
        let taking: Vec<_> = outlets.iter().filter(takes).collect();
        taking.iter().for_each(|outlet| outlet.offer(&self.row, &self.fanout));
        !taking.is_empty()
    }
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

    /// Takes messages by these rules, too, from now on.
    fn announce(&self, rules: &Rules) {
        let mut state = self.lock();
        state.coming = (state.rules != *rules).then(|| rules.clone());
    }

    /// Replaces the rules by the announced ones, if there are some.
    fn put_in_force(&self) {
        let mut state = self.lock();
        let mut later = std::mem::take(&mut state.later);
        state.waiting.append(&mut later);
        let coming = state.coming.take();
        coming.into_iter().for_each(|rules| state.change(rules));
        drop(state);
        self.offered.notify_one();
    }

    /// Hands what the rules do not take to others.
    fn hand_on(&self, outlets: &[Arc<Self>]) {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        let (own, other): (_, BTreeMap<_, _>) =
            waiting.into_iter().partition(|(_, waiting)| state.rules.map_out(&waiting.row.topic).is_some());
        state.waiting = own;
        drop(state);
        for (number, waiting) in other {
            if waiting.pass_to(outlets) {
                waiting.fanout.forget(self);
                self.end(&waiting);
            } else {
                self.lock().waiting.insert(number, waiting);
            }
        }
    }

    fn takes(&self, topic: &str) -> bool {
        let state = self.lock();
        state.rules.map_out(topic).is_some() || state.is_announced(topic)
    }

    /// Adds a copy of the message, in its place, if a rule matches and it was not added before.
    fn offer(self: &Arc<Self>, row: &Row, fanout: &Arc<Fanout>) {
        let mut state = self.lock();
        let is_for_now = state.rules.map_out(&row.topic).is_some();
        if state.closed.is_some() || !(is_for_now || state.is_announced(&row.topic)) || !fanout.add(self) {
            return;
        }
        state.bytes += bytes(row);
        let mut row = row.clone();
        // The lane was the broker's: in the connection's queue it is the last one.
        row.lane = None;
        let waiting = Waiting { row, fanout: fanout.clone() };
        if is_for_now {
            state.waiting.insert(fanout.number, waiting);
            drop(state);
            self.offered.notify_one();
        } else {
            state.later.insert(fanout.number, waiting);
        }
    }

    /// Takes back a message that still waits.
    fn withdraw(&self, number: u64) {
        let mut state = self.lock();
        let waiting = state.waiting.remove(&number).or_else(|| state.later.remove(&number));
        drop(state);
        waiting.iter().for_each(|waiting| self.end(waiting));
    }

    /// Waits for the next message; returns it with the handle to report that it is safe.
    pub(crate) async fn next(self: &Arc<Self>) -> (Row, Share) {
        loop {
            if let Some((_, waiting)) = self.lock().waiting.pop_first() {
                let row = waiting.row.clone();
                return (row, Share { waiting: Some(waiting), outlet: self.clone() });
            }
            self.offered.notified().await;
        }
    }

    /// Waits until a client is blocked for want of PUBACKs.
    pub(crate) async fn commit_wanted(&self) {
        self.commit.notified().await;
    }

    /// Hands its messages to the heirs.
    fn close(&self, heirs: &Arc<[Arc<Self>]>) {
        let mut state = self.lock();
        state.closed = Some(Closed { heirs: heirs.clone(), dropped: (0, 0) });
        let (left, later) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.later));
        drop(state);
        left.values().chain(later.values()).for_each(|waiting| self.hand_down(waiting));
    }

    /// Ends a closed outlet's part of a message, for which a connection has to have it no more unless an heir takes it.
    fn hand_down(&self, waiting: &Waiting) {
        let mut state = self.lock();
        if let Some(closed) = &mut state.closed
            && !waiting.pass_to(&closed.heirs)
        {
            closed.dropped.0 += 1;
            closed.dropped.1 += bytes(&waiting.row);
        }
        drop(state);
        self.end(waiting);
    }

    /// Logs the messages that a closed outlet had to drop. Whoever published them has been answered that they are safe.
    pub(crate) fn tell_dropped(&self) {
        let dropped = self.lock().closed.as_ref().map(|closed| closed.dropped);
        if let Some((messages @ 1.., bytes)) = dropped {
            tracing::error!(connection = %Escaped(&self.connection), messages, bytes, "the connection is removed, or takes nothing more, and no other takes what was not on its disk yet: it is dropped, and acknowledged");
        }
    }

    fn end(&self, waiting: &Waiting) {
        self.lock().bytes -= bytes(&waiting.row);
        waiting.fanout.end_part();
    }

    /// Puts a message back in its place, for the connection's next start.
    fn take_back(&self, waiting: Waiting) {
        let mut state = self.lock();
        if state.closed.is_some() {
            drop(state);
            return self.hand_down(&waiting);
        }
        state.waiting.insert(waiting.fanout.number, waiting);
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

/// One connection's part of a message. If it is dropped, the message waits for the connection's next start.
pub(crate) struct Share {
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
            self.outlet.take_back(waiting);
        }
    }
}

#[cfg(test)]
mod tests;
