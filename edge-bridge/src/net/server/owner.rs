//! Task that owns the listener, and connects it with the connections' tasks, the queue and the application.

mod accepting;
mod connection_ends;
mod last_rows;
mod saved_clients;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::OnEvent;
use super::acceptor::Acceptor;
use super::client_saving::{ClientSaving, SaveWhen};
use super::connection::{FromPeer, Outbox};
use super::connection_tasks::ConnectionTasks;
use super::fair_turns::Turns;
use super::paused_connections::PausedConnections;
use super::sink::{Receipts, Sink};
use crate::ingest::{Ingest, Now};
use crate::listener::{Access, ConnectionId, Event, Input, Listener, Output, PublishId, Settled, Stats};
use crate::net::{Clock, ServerTls};
use crate::wire::Publish;

/// Most inputs in the channel from the connections' tasks.
const INPUTS: usize = 256;
/// Period in which the sink is polled for room while the queue is full, unless it reports room itself.
const ROOM_EVERY: Duration = Duration::from_millis(50);
/// Time after which turns make room for new packets of other connections, receipts and timers.
const TURNS_WITHIN: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) enum Command {
    Publish { publish: Publish, one_is_enough: bool, answer: oneshot::Sender<Settled> },
    SetAccess { access: Access, answer: oneshot::Sender<()> },
    SetTls { tls: ServerTls, verifies_again: bool },
    SetLinkState { name: String, is_up: Option<bool> },
    Stats(oneshot::Sender<Stats>),
    Saved(oneshot::Sender<()>, SaveWhen),
    Shutdown { within: Duration, answer: oneshot::Sender<()> },
}

pub(super) struct Owner {
    listener: Listener<Box<dyn Ingest + Send>>,
    sink: Box<dyn Sink>,
    receipts: Receipts,
    on_event: Option<OnEvent>,
    clock: Clock,
    acceptor: Acceptor,
    tasks: ConnectionTasks,
    outboxes: HashMap<ConnectionId, Arc<Outbox>>,
    /// Addresses of clients, kept until the event that reports the end of the connection.
    addresses: HashMap<ConnectionId, SocketAddr>,
    /// Connections with received bytes that wait for their turn.
    turns: Turns,
    paused: PausedConnections,
    /// Connections that ended because their handshake failed.
    failed_handshakes: u64,
    published: HashMap<PublishId, oneshot::Sender<Settled>>,
    inputs: mpsc::Receiver<(ConnectionId, FromPeer)>,
    saving: ClientSaving,
    closing: Option<Closing>,
}

struct Closing {
    until: Instant,
    answer: oneshot::Sender<()>,
}

impl Owner {
    pub(super) fn new(
        listener: Listener<Box<dyn Ingest + Send>>,
        sink: Box<dyn Sink>,
        receipts: Receipts,
        clock: Clock,
        on_event: Option<OnEvent>,
    ) -> Self {
        let (to_owner, inputs) = mpsc::channel(INPUTS);
        let tasks = ConnectionTasks::new(to_owner, listener.max_memory(), listener.max_bytes_per_s());
        Self {
            listener,
            sink,
            receipts,
            on_event,
            clock,
            acceptor: Acceptor::default(),
            tasks,
            outboxes: HashMap::new(),
            addresses: HashMap::new(),
            turns: Turns::default(),
            paused: PausedConnections::new(),
            failed_handshakes: 0,
            published: HashMap::new(),
            inputs,
            saving: ClientSaving::none(),
            closing: None,
        }
    }

    pub(super) async fn run(mut self, acceptor: Acceptor, mut commands: mpsc::Receiver<Command>) {
        self.acceptor = acceptor;
        loop {
            self.catch_up();
            if self.is_closed() {
                break;
            }
            let wake_at = self.wake_at();
            let has_turn = self.has_turn();
            let may_accept = self.may_accept();
            tokio::select! {
                accepted = self.acceptor.accept(), if may_accept => self.accept_all(accepted).await,
                Some((id, input)) = self.inputs.recv() => {
                    self.input(id, input);
                    // As much as is there, before receipts and timers are looked at again.
                    for _ in 0..INPUTS {
                        let Ok((id, input)) = self.inputs.try_recv() else { break };
                        self.input(id, input);
                    }
                    self.take_turns();
                }
                // The other tasks first: the queue's takes what the last turns brought.
                () = tokio::task::yield_now(), if has_turn => self.take_turns(),
                () = self.receipts.woken() => {}
                () = wake_at_time(wake_at) => {}
                () = self.tasks.next_end() => {}
                error = self.saving.ended() => {
                    if let Some(error) = error {
                        self.tell_not_saved(&error);
                    }
                }
                command = commands.recv() => match command {
                    Some(Command::Shutdown { within, answer }) => {
                        self.acceptor.close();
                        self.closing = Some(Closing { until: Instant::now() + within, answer });
                        self.sink.commit();
                    }
                    Some(command) => self.command(command),
                    None => return,
                },
            }
        }
        self.close().await;
    }

    /// Handles everything without an event of its own: receipts, timers, room in the queue, connections that may be read again.
    fn catch_up(&mut self) {
        for ticket in self.receipts.take() {
            self.listener.resolve(self.now(), ticket);
        }
        let now = self.now();
        if self.listener.next_deadline().is_some_and(|at_ms| at_ms <= now.up_ms) {
            self.listener.handle_timeout(now);
        }
        self.ask_for_room();
        if self.closing.is_none() {
            self.save_if_due();
            for (id, buffer) in self.paused.take_ready(|id| self.listener.may_read(id)) {
                self.wait_for_turn(id, buffer, None);
            }
            for outbox in self.paused.due(Instant::now()).filter_map(|id| self.outboxes.get(id)) {
                outbox.look();
            }
        }
    }

    fn wake_at(&mut self) -> Instant {
        let now = Instant::now();
        let due = match self.listener.next_deadline() {
            Some(at_ms) => self.clock.at(at_ms),
            None => now + Duration::from_secs(3600),
        };
        let waits = !self.listener.has_room() || !self.turns.is_empty();
        let room = if waits { now + ROOM_EVERY } else { due };
        let look = self.paused.next_look().unwrap_or(due);
        let own = self.closing.as_ref().map_or(look, |closing| closing.until);
        // While it is closing nothing is saved before the end.
        let save = self.save_due().filter(|_| self.closing.is_none()).unwrap_or(due);
        due.min(room).min(own).min(save)
    }

    fn input(&mut self, id: ConnectionId, input: FromPeer) {
        match input {
            FromPeer::Certified(name) => self.listener.handle_input(self.now(), id, Input::Certified(name)),
            FromPeer::Forwarded(client) => {
                // An end of the connection that came before it was reported already.
                self.addresses.extend(self.outboxes.contains_key(&id).then_some((id, client)));
                self.listener.handle_input(self.now(), id, Input::Forwarded(client));
            }
            FromPeer::Failed(handshake, error) => self.on_failed(id, handshake, error),
            FromPeer::Bytes { buffer, up_to_date } => self.wait_for_turn(id, buffer, up_to_date),
            FromPeer::Written(n) => self.listener.handle_input(self.now(), id, Input::Written(n)),
            FromPeer::Gone(ahead) => self.gone(id, &ahead),
            FromPeer::Closed(broken) => self.on_end(id, broken),
        }
        self.outputs();
    }

    fn wait_for_turn(&mut self, id: ConnectionId, buffer: BytesMut, up_to_date: Option<Instant>) {
        let now = self.now();
        // By the time of the read: it may have waited for this one.
        let ago_ms = |at: Instant| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let up_to_date_ms = up_to_date.map(|at| now.up_ms.saturating_sub(ago_ms(at)));
        self.listener.handle_input(now, id, Input::Waiting { up_to_date_ms });
        self.turns.push(id, buffer);
    }

    /// Returns whether a connection waits for its turn and may have it now.
    fn has_turn(&mut self) -> bool {
        !self.turns.is_empty() && (self.closing.is_some() || !self.sink.is_busy())
    }

    /// Gives turns, at most as many as connections wait, and for [`TURNS_WITHIN`], unless the queue is behind.
    fn take_turns(&mut self) {
        let began = Instant::now();
        for _ in 0..self.turns.len() {
            if !self.has_turn() || began.elapsed() >= TURNS_WITHIN {
                return;
            }
            let Some((id, buffer)) = self.turns.pop() else { return };
            self.take_turn(id, buffer);
        }
    }

    /// Handles some of a connection's packets, if it may be read. Remaining packets wait for its next turn; without a whole packet the buffer
    /// goes back to the connection's task to be filled.
    fn take_turn(&mut self, id: ConnectionId, mut buffer: BytesMut) {
        let before = buffer.len();
        let began = Instant::now();
        self.ask_for_room();
        if self.closing.is_none() && self.listener.may_read(id) {
            self.listener.handle_input(self.now(), id, Input::Bytes(&mut buffer));
            self.outputs();
        }
        let Some(outbox) = self.outboxes.get(&id) else { return };
        self.turns.charge(id, began.elapsed());
        if self.closing.is_some() || !self.listener.may_read(id) {
            self.listener.on_not_read(self.clock.now(), id);
            self.paused.buffers.insert(id, buffer);
        } else if buffer.len() < before && !buffer.is_empty() {
            return self.turns.push(id, buffer);
        } else {
            outbox.read(buffer);
        }
        if self.turns.takes_end(id) {
            self.on_closed(id);
        }
    }

    fn ask_for_room(&mut self) {
        let (has_room, full_lanes) = (self.sink.has_room(), self.sink.full_lanes());
        self.listener.set_full_lanes(self.now(), full_lanes);
        self.listener.set_room(self.now(), has_room);
        self.outputs();
    }

    fn outputs(&mut self) {
        while let Some(output) = self.listener.poll_output() {
            match output {
                Output::Transmit { connection, bytes } => {
                    if let Some(outbox) = self.outboxes.get(&connection) {
                        outbox.transmit(bytes);
                    }
                }
                Output::Close { connection, discards } => {
                    self.paused.buffers.remove(&connection);
                    self.turns.forget(connection);
                    match self.outboxes.remove(&connection) {
                        Some(outbox) if discards => outbox.discard(),
                        Some(outbox) => outbox.close(),
                        None => {}
                    }
                }
                Output::Store { ticket, rows } => {
                    if let Err(rows) = self.sink.push(ticket, rows) {
                        self.listener.hand_back(ticket, rows);
                    }
                }
                Output::Commit => self.sink.commit(),
                Output::Settled(settled) => {
                    if let Some(answer) = self.published.remove(&settled.publish) {
                        // Nobody may be waiting any more.
                        let _ = answer.send(settled);
                    }
                }
                Output::Event(event) => {
                    self.tell(&event);
                    if let Event::Disconnected { connection, .. } = event {
                        self.addresses.remove(&connection);
                    }
                }
            }
        }
    }

    fn tell(&mut self, event: &Event) {
        let address = event.connection().and_then(|id| self.addresses.get(&id).copied());
        tracing::debug!(?event, ?address, "listener");
        if let Some(on_event) = &mut self.on_event {
            on_event(event, address);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Publish { publish, one_is_enough, answer } => {
                let now = self.now();
                let id = match one_is_enough {
                    true => self.listener.publish_to_any(now, &publish),
                    false => self.listener.publish(now, &publish),
                };
                self.published.insert(id, answer);
                self.outputs();
            }
            Command::SetAccess { access, answer } => {
                self.listener.set_access(self.now(), access);
                self.outputs();
                let _ = answer.send(());
            }
            Command::SetLinkState { name, is_up } => {
                match is_up {
                    // A name that is no part of a topic has no state.
                    Some(is_up) => drop(self.listener.set_link_state(self.now(), &name, is_up)),
                    None => self.listener.clear_link_state(&name),
                }
                self.outputs();
            }
            Command::SetTls { tls, verifies_again } => {
                self.acceptor.set_tls(&tls);
                if verifies_again {
                    self.listener.disconnect_certified(self.now());
                    self.outputs();
                }
            }
            Command::Stats(answer) => {
                // An error means that nobody asks any more.
                let _ = answer.send(self.stats());
            }
            Command::Saved(answer, when) => {
                let mark = self.mark();
                self.saving.when_saved(mark, answer, when);
            }
            Command::Shutdown { answer, .. } => drop(answer),
        }
    }

    /// Returns whether a shutdown is complete.
    fn is_closed(&self) -> bool {
        let Some(closing) = &self.closing else { return false };
        self.listener.pending() == 0 || closing.until <= Instant::now()
    }

    async fn close(mut self) {
        self.listener.shut_down(self.now());
        self.outputs();
        // Connections that cannot say a word more must not keep us waiting for the owner.
        self.inputs.close();
        self.tasks.finish().await;
        self.hand_on_the_last_rows().await;
        self.save_and_wait().await;
        if let Some(closing) = self.closing.take() {
            let _ = closing.answer.send(());
        }
    }

    fn stats(&self) -> Stats {
        let (not_accepted, failed_handshakes) = (self.acceptor.not_accepted(), self.failed_handshakes);
        Stats { not_accepted, failed_handshakes, ..self.listener.stats() }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }
}

/// Waits until a time. What is due already lets the other tasks go first, because the next of it may be due at once again.
async fn wake_at_time(at: Instant) {
    if at <= Instant::now() { tokio::task::yield_now().await } else { sleep_until(at).await }
}

#[cfg(test)]
mod tests;
