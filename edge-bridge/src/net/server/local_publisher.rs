//! Handle of a running server for tasks that do not own it: publishes messages and changes settings.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use super::client_saving::SaveWhen;
use super::owner::Command;
use super::{Ended, ServerTls};
use crate::listener::{Access, Settled, Stats};
use crate::wire::Publish;

/// Publishes to a server's local subscribers. Cheap to clone; does not keep the server running.
#[derive(Debug, Clone)]
pub struct LocalPublisher {
    pub(super) commands: mpsc::Sender<Command>,
}

impl LocalPublisher {
    /// Publishes as [`Server::publish`](super::Server::publish) does. At QoS 0 it waits until each copy is sent or dropped: one for a client that
    /// does not read may wait for as long as that client stays. Use [`send`](Self::send) where nobody may be waited for.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn publish(&self, publish: Publish) -> Result<Settled, Ended> {
        self.send(publish).await?.await
    }

    /// Publishes as [`publish`](Self::publish) does, but returns as soon as the server has the message, so that messages sent one after the other
    /// reach clients in this order. The returned future waits for the clients' acknowledgements.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn send(&self, publish: Publish) -> Result<Settling, Ended> {
        self.send_tracked(publish, false).await
    }

    /// Sends as [`send`](Self::send) does, but the returned future waits only for the first client's acknowledgement, see
    /// [`Listener::publish_to_any`](crate::listener::Listener::publish_to_any).
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn send_to_any(&self, publish: Publish) -> Result<Settling, Ended> {
        self.send_tracked(publish, true).await
    }

    async fn send_tracked(&self, publish: Publish, one_is_enough: bool) -> Result<Settling, Ended> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Publish { publish, one_is_enough, answer }).await.map_err(|_| Ended)?;
        Ok(Settling { answered })
    }

    /// Publishes the state of a link as [`Listener::set_link_state`](crate::listener::Listener::set_link_state) does. Does nothing if the name
    /// cannot be a part of a topic.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn set_link_state(&self, name: &str, is_up: bool) -> Result<(), Ended> {
        self.send_link_state(name, Some(is_up)).await
    }

    /// Forgets a link as [`Listener::clear_link_state`](crate::listener::Listener::clear_link_state) does.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn clear_link_state(&self, name: &str) -> Result<(), Ended> {
        self.send_link_state(name, None).await
    }

    async fn send_link_state(&self, name: &str, is_up: Option<bool>) -> Result<(), Ended> {
        let name = name.to_owned();
        self.commands.send(Command::SetLinkState { name, is_up }).await.map_err(|_| Ended)
    }

    /// Replaces the access rules, see [`Listener::set_access`](crate::listener::Listener::set_access).
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn set_access(&self, access: Access) -> Result<(), Ended> {
        ask(&self.commands, |answer| Command::SetAccess { access, answer }).await
    }

    /// Sets the TLS for new connections, at addresses that have TLS, such as for a renewed certificate. `verifies_again` disconnects clients
    /// that connected by a certificate, so that changed authorities apply to them too; otherwise existing connections stay.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn set_tls(&self, tls: ServerTls, verifies_again: bool) -> Result<(), Ended> {
        self.commands.send(Command::SetTls { tls, verifies_again }).await.map_err(|_| Ended)
    }

    /// Returns counters and gauges, as [`Server::stats`](super::Server::stats) does.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn stats(&self) -> Result<Stats, Ended> {
        ask(&self.commands, Command::Stats).await
    }

    /// Asks when the present sessions and retained messages are in the [client store](super::ServerBuilder::client_store), so that an application
    /// can drop its own copy of messages that wait in a session ([`Config::saves_own_messages`](crate::listener::Config::saves_own_messages)).
    /// Returns as soon as the server has the question; the returned future waits.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn saving(&self) -> Result<Saving, Ended> {
        self.save(SaveWhen::Due).await
    }

    /// Asks the same, and has the save made at once, whatever was written before: for a machine whose supply of power is failing. Each call
    /// may cost the flash a write. One that the disk refuses is tried again a minute later.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn save_now(&self) -> Result<Saving, Ended> {
        self.save(SaveWhen::Now).await
    }

    async fn save(&self, when: SaveWhen) -> Result<Saving, Ended> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Saved(answer, when)).await.map_err(|_| Ended)?;
        Ok(Saving { answered })
    }
}

/// Future of a message to local subscribers. Ready when every subscriber has acknowledged it, or never will. Dropping it cancels nothing.
#[derive(Debug)]
#[must_use = "the message is on its way, nobody knows how it ends"]
pub struct Settling {
    answered: oneshot::Receiver<Settled>,
}

impl Future for Settling {
    type Output = Result<Settled, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answered).poll(cx).map_err(|_| Ended)
    }
}

/// Future of the next save of clients that contains the state at the time of [the call](LocalPublisher::saving). Ready at once if nothing is new,
/// or without a store. It makes no save come sooner, unless [`LocalPublisher::save_now`] returned it: a change is saved a second later, messages of connected clients a minute later, and either
/// up to 4.5 minutes later after a large save; a write that the disk refuses is tried again each minute. Messages that exceeded the store's size
/// limit do not count. An error: the server has ended, and could not save them.
#[derive(Debug)]
#[must_use = "nothing is known of the save otherwise"]
pub struct Saving {
    answered: oneshot::Receiver<()>,
}

impl Future for Saving {
    type Output = Result<(), Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answered).poll(cx).map_err(|_| Ended)
    }
}

pub(super) async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, Ended> {
    let (answer, answered) = oneshot::channel();
    commands.send(command(answer)).await.map_err(|_| Ended)?;
    answered.await.map_err(|_| Ended)
}
