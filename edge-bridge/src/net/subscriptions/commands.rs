//! Messages from the hub for the application: a stream for each subscription, and an acknowledgement for each message.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::Notify;

use super::shared_ack::SharedAck;
use super::subscription_queue::SubscriptionQueue;
use crate::session::AckHandle;
use crate::wire::{Properties, Publish};

/// Message from the hub. The hub sends it again after the next reconnect unless [`done`](Self::done) was called; a copy of a message of QoS 2 comes
/// only once this one was dropped. A dropped message is not acknowledged, and counts against the Receive Maximum until then. It shares no receive buffer.
#[derive(Debug)]
#[must_use = "the hub sends it again unless it is done()"]
pub struct Command {
    publish: Publish,
    ack: Acknowledgement,
}

impl Command {
    /// Returns the topic of the message, after the `in` rules.
    pub fn topic(&self) -> &str {
        &self.publish.topic
    }

    /// Payload of the message.
    pub fn payload(&self) -> &Bytes {
        &self.publish.payload
    }

    /// Properties of the message.
    pub fn properties(&self) -> &Properties {
        &self.publish.properties
    }

    /// Returns the whole PUBLISH as it came, except for the topic, which the `in` rules changed.
    pub fn message(&self) -> &Publish {
        &self.publish
    }

    /// Returns whether the message was a retained one, and so may be old. Do not obey a retained command.
    pub fn is_retained(&self) -> bool {
        self.publish.retain
    }

    /// Returns whether the hub marked it as sent before (DUP).
    pub fn is_duplicate(&self) -> bool {
        self.publish.dup
    }

    /// Acknowledges the message, because the application has acted on it. Its PUBACK leaves once every subscription that got the message is done.
    pub fn done(self) {
        self.ack.done();
    }

    /// Separates the message from its acknowledgement, for an application that drops the message long before it is done.
    pub fn split(self) -> (Publish, Acknowledgement) {
        (self.publish, self.ack)
    }
}

/// Acknowledgement of a [`Command`], not given yet. Dropping it acknowledges nothing.
#[derive(Debug)]
#[must_use = "the hub sends it again unless it is done()"]
pub struct Acknowledgement {
    /// Acknowledgement shared with other subscriptions; `None` at QoS 0.
    ack: Option<Arc<SharedAck>>,
    /// Queue of the subscription through which the message came.
    queue: Arc<SubscriptionQueue>,
    acks: Arc<Acks>,
}

impl Acknowledgement {
    /// Acknowledges the message, as [`Command::done`] does.
    pub fn done(mut self) {
        if let Some(ack) = self.ack.take()
            && ack.release()
        {
            self.acks.push(ack.handle());
        }
    }
}

impl Drop for Acknowledgement {
    /// Leaves the message unacknowledged. While its subscription lives the hub may send it again; when the subscription has ended, another one
    /// may get it.
    fn drop(&mut self) {
        if let Some(ack) = self.ack.take() {
            ack.give_up();
            self.acks.neglect(Neglected { queue: self.queue.clone(), ack });
        }
    }
}

/// A subscription: a [`Stream`] of [`Command`]s, which ends when the bridge is closed. When it is dropped, its messages go to a matching
/// subscription made within 30 s; then its filter is unsubscribed, unless another subscription has it. A program that ends before that leaves the
/// subscription at the hub, with its messages, for its next start. A shared subscription is unsubscribed at once, for the others of its group; to
/// keep it, close the bridge first.
#[derive(Debug)]
pub struct Commands {
    pub(in crate::net) queue: Arc<SubscriptionQueue>,
    pub(in crate::net) acks: Arc<Acks>,
}

impl Commands {
    /// Returns the next message; `None` when the bridge is closed.
    pub async fn next(&mut self) -> Option<Command> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Command>> {
        let taken = std::task::ready!(self.queue.poll_take(cx));
        let Some(taken) = taken else { return Poll::Ready(None) };
        if taken.wanted {
            // The link reads on, or messages that found no room are asked for again.
            self.acks.wake.notify_one();
        }
        let ack = Acknowledgement { ack: taken.ack, queue: self.queue.clone(), acks: self.acks.clone() };
        Poll::Ready(Some(Command { publish: taken.publish, ack }))
    }
}

impl Stream for Commands {
    type Item = Command;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Command>> {
        self.poll(cx)
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.queue.close();
        self.acks.wake.notify_one();
    }
}

/// Message that the application dropped without acknowledgement. Its payload is not kept, because the hub still has it.
#[derive(Debug)]
pub(in crate::net) struct Neglected {
    pub(in crate::net) queue: Arc<SubscriptionQueue>,
    pub(in crate::net) ack: Arc<SharedAck>,
}

/// Acknowledgements on their way to the driver. Bounded by the number of messages that the hub sends without them.
#[derive(Debug)]
pub(in crate::net) struct Acks {
    list: Mutex<Vec<AckHandle>>,
    neglected: Mutex<Vec<Neglected>>,
    wake: Arc<Notify>,
}

impl Acks {
    pub(in crate::net) fn new(wake: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { list: Mutex::default(), neglected: Mutex::default(), wake })
    }

    pub(in crate::net) fn take(&self) -> Vec<AckHandle> {
        std::mem::take(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::net) fn take_neglected(&self) -> Vec<Neglected> {
        std::mem::take(&mut *self.neglected.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::net) fn push(&self, handle: AckHandle) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        self.wake.notify_one();
    }

    fn neglect(&self, neglected: Neglected) {
        self.neglected.lock().unwrap_or_else(PoisonError::into_inner).push(neglected);
        self.wake.notify_one();
    }
}
