//! A small MQTT server for sensors and actuators, 3.1.1 and 5, as a state machine. Bytes and time go in, bytes, rows and events come out
//! (sans-IO).
//!
//! A message that arrives goes to local subscribers at once, then to the [`Ingest`]; only its PUBACK waits, for the
//! [PUBACK chain](crate::puback_chain) (promise 1). With an `Ingest` that only absorbs, such as [`Observe`], it is acknowledged at once.
//!
//! **No room in the queue.** While the caller reports that ([`set_room`](Listener::set_room)), the `Ingest` is not called, so that no filter's
//! state changes for a row that is not kept. A QoS 1 message is held without PUBACK and its connection is not read; a will at QoS 1 is held
//! too, up to 1 MiB of wills; a QoS 0 message goes to local subscribers only, and is counted. Rows that the queue hands back are kept and
//! offered again first. When only one lane of the queue is full ([`set_full_lanes`](Listener::set_full_lanes)), the same applies to its
//! messages alone, and clients that publish to other lanes go on; what is absorbed, or comes again, waits for what came before it in its
//! [group](Ingest::group). No client is ever answered with 0x97 (quota exceeded), which would count as acknowledged.
//!
//! **QoS 2.** A message goes to the [`Ingest`] once, however often its connection ends before PUBREC, PUBREL or PUBCOMP, as long as its
//! client's session is kept; its PUBREC waits like a PUBACK. A subscriber gets a message of QoS 2 once, over connections, until this listener ends:
//! what a restored session has not acknowledged is sent as new. A message that waited for room in the queue when its connection ended goes to local
//! subscribers again when it is repeated.
//!
//! **Shared subscriptions** (`$share/GROUP/FILTER`, in 3.1.1 too). A message goes to one member of each group, in turns to those that can take it
//! at once. The session of a member that ends leaves its unacknowledged messages to the others.
//!
//! **`$SYS` topics.** Connected subscribers get figures of the listener and states of links; clients do not publish there.
//!
//! Not supported: extended authentication. Sessions and retained messages are in RAM: [`save`](Listener::save)
//! returns them as bytes, and [`restore`](Listener::restore) takes them back.

#![deny(clippy::indexing_slicing)]

mod assigned_id;
mod auth;
mod client;
mod close;
mod config;
mod connect;
mod connection;
mod connection_limit;
mod connections;
mod deadlines;
mod delivery;
mod delivery_tracking;
mod events;
mod fan_out;
mod group_delivery;
mod group_id;
mod keep_alive_grace;
mod memory;
mod message;
mod message_admission;
mod message_expiry;
mod offline_queue;
mod queue_room;
mod receive;
mod retained;
mod retained_delivery;
mod retained_walk;
mod rights;
mod saved;
mod session_expiry;
mod session_takeover;
mod session_user;
mod shared_subscriptions;
mod stats;
mod subscribe;
mod subscription_options;
mod subscriptions;
mod sys_names;
mod sys_topics;
mod topic_check;
mod topics;
mod turn;
mod turn_size;
mod unwritten_bytes;
mod waiting_for_room;
mod wills;

use std::collections::VecDeque;

pub use auth::{Access, AllowAnonymous, Authenticate, Authorize, ClientRef, LoginRequest, Standing};
pub use config::Config;
pub use events::{Damage, Event, Input, Output, PublishId, Restored, SessionEnd, Settled};
pub use message_admission::Observe;
pub use saved::{RestoreError, Saved};
pub use session_user::SessionUser;
pub use stats::Stats;

pub use crate::puback_chain::{ConnectionId, Ticket};

use client::{ClientKey, Clients};
use connection::Connection;
use connections::Connections;
use deadlines::Deadlines;
use delivery_tracking::DeliveryTracking;
use memory::Accounts;
use message_admission::Admission;
use retained_delivery::DuePortions;
use sys_topics::SysTopics;
use topics::Topics;

use crate::ingest::{Inbound, Ingest, Now};
use crate::session;
use crate::wire::Publish;

/// Function called with each message at its arrival, see [`Listener::with_on_publish`].
pub type OnPublish = Box<dyn FnMut(Now, &Inbound) + Send>;

/// Protocol core of the listener. `net::Server` is a shell around it.
///
/// The caller
///
/// 1. adds a connection by [`accept`](Self::accept), and reports its events by [`handle_input`](Self::handle_input): received bytes while
///    [`may_read`](Self::may_read) is true, the number of written bytes, its end. `now.up_ms` is a monotonic clock;
/// 2. calls [`resolve`](Self::resolve) for each stored ticket when its rows are safe, in any order;
/// 3. calls [`poll_output`](Self::poll_output) after each of these until it returns `None`, and performs each action;
/// 4. calls [`handle_timeout`](Self::handle_timeout) at [`next_deadline`](Self::next_deadline), if nothing else happens before.
pub struct Listener<I> {
    config: Config,
    access: Access,
    connections: Connections,
    clients: Clients,
    topics: Topics,
    tracking: DeliveryTracking,
    admission: Admission<I>,
    deadlines: Deadlines<Due>,
    outputs: VecDeque<Output>,
    accounts: Accounts,
    portions: DuePortions,
    sys: SysTopics,
    stats: Stats,
    /// Source of assigned client identifiers; `None` to assign none.
    random: Option<assigned_id::Random>,
    /// Number of changes of saved sessions, see [`changes`](Self::changes).
    changes: u64,
    /// Number of QoS 1 and 2 deliveries to connected clients with a saved session, see [`exchanges`](Self::exchanges).
    exchanges: u64,
    /// Set from [`shut_down`](Self::shut_down) to the next connection.
    is_shut_down: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Due {
    Connection(ConnectionId),
    Client(ClientKey),
    /// The figures of `$SYS` topics.
    Figures,
}

impl<I: Ingest> Listener<I> {
    /// Creates a listener without connections, open to every client.
    pub fn new(config: Config, ingest: I) -> Self {
        Self {
            topics: Topics::new(&config),
            admission: Admission::new(ingest, config.max_unacked_bytes),
            config,
            access: Access::default(),
            connections: Connections::default(),
            clients: Clients::default(),
            tracking: DeliveryTracking::default(),
            deadlines: Deadlines::new(),
            outputs: VecDeque::new(),
            accounts: Accounts::default(),
            portions: DuePortions::default(),
            sys: SysTopics::default(),
            stats: Stats::default(),
            random: None,
            changes: 0,
            exchanges: 0,
            is_shut_down: false,
        }
    }

    /// Sets the access control, which decides about each client and each of its messages.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Calls `on_publish` with each message of a client, and each will, at its arrival, before local subscribers get it and before any row is
    /// queued, also at QoS 0 while the queue has no room. For control loops, whose inputs must not wait.
    #[must_use]
    pub fn with_on_publish(mut self, on_publish: OnPublish) -> Self {
        self.admission.on_publish = Some(on_publish);
        self
    }

    /// Most bytes that clients may make the listener hold altogether, see [`Config::max_memory`].
    pub fn max_memory(&self) -> usize {
        self.config.max_memory
    }

    /// Most bytes per second that are read of one connection, see [`Config::max_bytes_per_s`].
    pub fn max_bytes_per_s(&self) -> Option<u32> {
        self.config.max_bytes_per_s
    }

    /// Takes an event of a connection.
    pub fn handle_input(&mut self, now: Now, connection: ConnectionId, input: Input<'_>) {
        match input {
            Input::Bytes(buffer) => self.on_bytes(now, connection, buffer),
            Input::Certified(name) => {
                if let Some(state) = self.connections.get_mut(connection) {
                    state.certified = Some(name);
                }
            }
            Input::Forwarded(client) => {
                if let Some(state) = self.connections.get_mut(connection) {
                    state.peer = Some(client);
                }
            }
            Input::Waiting { up_to_date_ms } => {
                self.accounts.on_bytes_waiting(connection);
                self.resume(now.up_ms, connection);
                if let Some(state) = self.connections.get_mut(connection) {
                    // A new connection has no backlog.
                    state.up_to_date_ms = up_to_date_ms.or(state.up_to_date_ms).or(Some(now.up_ms));
                }
            }
            Input::Written(bytes) => self.on_written(now, connection, bytes),
            Input::Broken(violation) => {
                if let Some(state) = self.connections.get_mut(connection) {
                    state.broken = Some(violation);
                }
            }
            Input::Closed => self.on_hung_up(now, connection),
            Input::Gone { unread } => self.on_gone(now, connection, unread),
        }
    }

    fn on_written(&mut self, now: Now, connection: ConnectionId, bytes: usize) {
        let Some(state) = self.connections.get_mut(connection) else { return };
        state.on_written(now.up_ms, bytes);
        state.note_answers(self.config.max_unwritten_bytes);
        let client = state.client;
        self.account_connection(connection);
        if let Some(client) = client {
            self.pump(now.up_ms, client);
            self.run(now);
        }
    }

    /// Does what is due at [`next_deadline`](Self::next_deadline), for connections, absent clients and the `$SYS` figures, and gives one client a portion
    /// of the retained messages that it is to get. Earlier the call does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(due) = self.deadlines.pop_due(now.up_ms) {
            match due {
                Due::Connection(id) => self.connection_due(now, id),
                Due::Client(key) => self.absent(now, key),
                Due::Figures => self.figures_due(now),
            }
        }
        self.give_due_portion(now.up_ms);
        self.run(now);
    }

    /// Takes the next action for the caller; call until `None`. More may come after every other `&mut` call.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            match self.outputs.pop_front() {
                // In order of arrival: behind those that the queue handed back.
                Some(Output::Store { ticket, rows }) if !self.admission.room.is_any() => {
                    self.admission.hand_back(ticket, rows);
                }
                Some(output) => return Some(output),
                None => return self.tracking.pop().map(Output::Settled),
            }
        }
    }

    /// Time at which to call [`handle_timeout`](Self::handle_timeout), as `Now::up_ms`; `None` if there is no deadline. May change after every
    /// `&mut` call.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        [self.deadlines.next(), self.accounts.due_ms(), self.portions.due_ms()].into_iter().flatten().min()
    }

    /// Returns whether bytes of this connection should be read now. May change after every other `&mut` call.
    ///
    /// A slow reader is still read, because it may write much before it reads, and its pings show that it is alive. Only its own packets, by
    /// their answers, must not make it cost more and more.
    pub fn may_read(&self, connection: ConnectionId) -> bool {
        let state = self.connections.get(connection);
        state.is_some_and(|state| state.may_be_read(self.config.max_unwritten_bytes))
            && self.admission.may_read(connection)
            && !self.accounts.waits_for_memory(connection)
    }

    /// Resolves a message's receipt, because all of its rows are safe, or settled by the policy that the operator chose.
    pub fn resolve(&mut self, now: Now, ticket: Ticket) {
        self.admission.resolve(ticket);
        self.run(now);
    }

    /// Publishes a message of the application, such as a command or an alarm, to local subscribers; it is not ingested. [`Output::Settled`]
    /// follows when every subscriber has acknowledged it, or never will.
    pub fn publish(&mut self, now: Now, publish: &Publish) -> PublishId {
        self.publish_tracked(now, publish, false)
    }

    /// Publishes as [`publish`](Self::publish) does, but [`Output::Settled`] comes with the first client's acknowledgement. Other clients, perhaps
    /// absent ones, get the message too, but are not waited for; in a group nobody gets what was sent to another one. A copy at QoS 0 does not count.
    pub fn publish_to_any(&mut self, now: Now, publish: &Publish) -> PublishId {
        self.publish_tracked(now, publish, true)
    }

    fn publish_tracked(&mut self, now: Now, publish: &Publish, one_is_enough: bool) -> PublishId {
        let id = self.tracking.begin(one_is_enough);
        self.distribute(now.up_ms, publish, None, Some(id));
        self.tracking.end(id);
        self.run(now);
        id
    }

    /// Returns the number of messages without a PUBACK: their rows are not safe yet, or they wait for room in the queue. Scans all of them.
    pub fn pending(&self) -> usize {
        self.admission.pending()
    }

    /// Counters and gauges of this moment.
    pub fn stats(&self) -> Stats {
        debug_assert_eq!(self.accounts.waiting_bytes(), self.clients.counted_bytes());
        Stats {
            connections: self.connections.len(),
            sessions: self.clients.len(),
            retained: self.topics.retained.len(),
            queued_bytes: self.accounts.waiting_bytes(),
            held_bytes: self.held_bytes(),
            unacked_bytes: self.admission.unacked_bytes(),
            held: self.admission.held.len(),
            ..self.stats
        }
    }

    /// Returns the ingest, to change it.
    pub fn ingest_mut(&mut self) -> &mut I {
        &mut self.admission.ingest
    }

    /// Works until nothing is left to do: releases PUBACKs, collects the sessions' output, frees memory.
    fn run(&mut self, now: Now) {
        loop {
            while let Some(release) = self.admission.poll(now.up_ms) {
                if let Some(state) = self.connections.get_mut(release.connection) {
                    // A stale handle is that of a connection that just ended: its publisher sends the message again.
                    let _ = state.session.ack(now.up_ms, release.ack, release.reason);
                    self.connections.touch(release.connection);
                }
            }
            match self.connections.pop_touched() {
                Some(id) => self.drain(now, id),
                None if self.give_way(now) => {}
                None => match self.accounts.pop_deferred() {
                    Some(key) => self.pump(now.up_ms, key),
                    None => return,
                },
            }
        }
    }

    fn drain(&mut self, now: Now, id: ConnectionId) {
        if let Some(state) = self.connections.get_mut(id) {
            state.touched = false;
        }
        while let Some(state) = self.connections.get_mut(id) {
            let is_shared = state.session.next_is_payload();
            let Some(output) = state.session.poll_output() else { break };
            match output {
                session::Output::Transmit(bytes) => {
                    state.unwritten.add(now.up_ms, bytes.len(), is_shared);
                    state.note_answers(self.config.max_unwritten_bytes);
                    self.outputs.push_back(Output::Transmit { connection: id, bytes });
                }
                session::Output::Event(event) => self.on_event(now, id, event),
            }
        }
        self.account_connection(id);
        if let Some(at_ms) = self.connections.get(id).and_then(Connection::next_deadline) {
            self.deadlines.no_later(Due::Connection(id), at_ms);
        }
    }

    fn on_event(&mut self, now: Now, id: ConnectionId, event: session::Event) {
        match event {
            session::Event::Connect(connect) => self.on_connect(now, id, &connect),
            session::Event::Publish { publish, ack } => self.on_publish(now, id, &publish, ack),
            session::Event::Repeated { publish, ack, .. } => self.on_repeated(now.up_ms, id, &publish, ack),
            session::Event::Subscribe(subscribe) => self.on_subscribe(now.up_ms, id, &subscribe),
            session::Event::Unsubscribe(unsubscribe) => self.on_unsubscribe(now.up_ms, id, &unsubscribe),
            session::Event::Acked { token, reason, .. } => self.on_acked(now.up_ms, id, token, reason),
            session::Event::Completed { by_peer, .. } => self.on_completed(now.up_ms, id, by_peer),
            // It was settled at PUBREC.
            session::Event::Forgotten { .. } => self.on_completed(now.up_ms, id, true),
            session::Event::Unsendable { token, .. } => self.on_unsendable(token),
            session::Event::Closed(why) => self.on_closed(now, id, why),
            // Those of clients.
            _ => {}
        }
    }
}
