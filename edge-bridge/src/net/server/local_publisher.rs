//! Messages and orders for a running server, from tasks that do not own it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

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
    /// Publishes as [`Server::publish`](super::Server::publish). At QoS 0 it has nothing to wait for but the server's task.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn publish(&self, publish: Publish) -> Result<Settled, Ended> {
        self.send(publish).await?.await
    }

    /// Publishes as [`publish`](Self::publish), and returns as soon as the server has the message: messages that are sent one after the other come to
    /// clients in this order. The future that it returns waits for them.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn send(&self, publish: Publish) -> Result<Settling, Ended> {
        self.send_tracked(publish, false).await
    }

    /// Sends as [`send`](Self::send), but the future that it returns waits for the first client's acknowledgement alone, see
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

    /// Puts other rules of access in place, see [`Listener::set_access`](crate::listener::Listener::set_access).
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn set_access(&self, access: Access) -> Result<(), Ended> {
        ask(&self.commands, |answer| Command::SetAccess { access, answer }).await
    }

    /// Speaks this TLS with whoever connects from now on, where TLS is spoken: for a renewed certificate. With `verifies_again` clients that came in by a
    /// certificate are disconnected, so that other authorities count for them, too; else connections that are there stay as they are.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn set_tls(&self, tls: ServerTls, verifies_again: bool) -> Result<(), Ended> {
        self.commands.send(Command::SetTls { tls, verifies_again }).await.map_err(|_| Ended)
    }

    /// Counters and gauges of this moment, as [`Server::stats`](super::Server::stats).
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub async fn stats(&self) -> Result<Stats, Ended> {
        ask(&self.commands, Command::Stats).await
    }
}

/// A message on its way to local subscribers: ready when every client that was to get it has acknowledged it, or never will. Dropping it cancels
/// nothing.
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

pub(super) async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, Ended> {
    let (answer, answered) = oneshot::channel();
    commands.send(command(answer)).await.map_err(|_| Ended)?;
    answered.await.map_err(|_| Ended)
}
