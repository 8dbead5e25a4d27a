//! Messages from the hub on their way to the application, and their acknowledgements on the way back.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::{Notify, mpsc};

use crate::session::AckHandle;
use crate::wire::{self, Properties, Publish, Utf8};

/// Messages that one subscription holds for the application at most.
const BUFFER: usize = 256;
/// Messages that are kept for a subscription that is full, or still to come (after a restart the hub's session speaks first).
const UNCLAIMED_MAX: usize = 4_096;
/// And their bytes.
const UNCLAIMED_BYTES_MAX: usize = 1024 * 1024;

/// A message from the hub. The hub sends it again, after the next reconnect, unless [`done`](Self::done) was called: dropping it is
/// no answer, and keeps one place of the hub's window until then.
#[derive(Debug)]
#[must_use = "the hub sends it again unless it is done()"]
pub struct Command {
    publish: Publish,
    ack: Option<Arc<SharedAck>>,
}

impl Command {
    /// Its topic, after the `in` rules.
    pub fn topic(&self) -> &str {
        &self.publish.topic
    }

    /// The message.
    pub fn payload(&self) -> &Bytes {
        &self.publish.payload
    }

    /// Its properties.
    pub fn properties(&self) -> &Properties {
        &self.publish.properties
    }

    /// All of it, as it came, but for the topic's name.
    pub fn message(&self) -> &Publish {
        &self.publish
    }

    /// Whether the hub had retained it: old news, which a command should never be.
    pub fn is_retained(&self) -> bool {
        self.publish.retain
    }

    /// Whether the hub sent it before.
    pub fn is_duplicate(&self) -> bool {
        self.publish.dup
    }

    /// It was acted on: PUBACK. If the message went to several subscriptions, when all of them are done.
    pub fn done(self) {
        if let Some(ack) = &self.ack
            && ack.left.fetch_sub(1, Ordering::AcqRel) == 1
        {
            ack.acks.push(ack.handle);
        }
    }
}

/// A subscription: a [`Stream`] of [`Command`]s. Ends when the bridge is closed.
#[derive(Debug)]
pub struct Commands {
    receiver: mpsc::Receiver<Command>,
}

impl Commands {
    /// The next message; `None` when the bridge is closed.
    pub async fn next(&mut self) -> Option<Command> {
        self.receiver.recv().await
    }
}

impl Stream for Commands {
    type Item = Command;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Command>> {
        self.receiver.poll_recv(cx)
    }
}

/// Acknowledgements on their way to the driver. Bounded by what the hub sends without them.
#[derive(Debug)]
pub(super) struct Acks {
    list: Mutex<Vec<AckHandle>>,
    wake: Arc<Notify>,
}

impl Acks {
    pub(super) fn new(wake: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { list: Mutex::default(), wake })
    }

    pub(super) fn take(&self) -> Vec<AckHandle> {
        std::mem::take(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, handle: AckHandle) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        self.wake.notify_one();
    }
}

#[derive(Debug)]
struct SharedAck {
    handle: AckHandle,
    left: AtomicUsize,
    acks: Arc<Acks>,
}

/// Which subscription gets what.
#[derive(Debug)]
pub(super) struct Router {
    routes: Vec<(Utf8, mpsc::Sender<Command>)>,
    unclaimed: VecDeque<(Publish, AckHandle)>,
    unclaimed_bytes: usize,
    acks: Arc<Acks>,
    dropped: u64,
    /// A message found no room. It is not acknowledged: the hub sends it again with the next connection.
    missed: bool,
}

impl Router {
    pub(super) fn new(acks: Arc<Acks>) -> Self {
        Self {
            routes: Vec::new(),
            unclaimed: VecDeque::new(),
            unclaimed_bytes: 0,
            acks,
            dropped: 0,
            missed: false,
        }
    }

    pub(super) fn subscribe(&mut self, filter: Utf8) -> Commands {
        let (sender, receiver) = mpsc::channel(BUFFER);
        self.routes.push((filter, sender));
        self.retry();
        Commands { receiver }
    }

    pub(super) fn deliver(&mut self, publish: &Publish, ack: Option<AckHandle>) {
        self.routes.retain(|(_, sender)| !sender.is_closed());
        let behind = self.is_behind(publish) && {
            self.retry();
            self.is_behind(publish)
        };
        // Not past an older message of the same subscription, nor past one that will come again.
        if self.missed || behind || !self.hand_out(publish, ack) {
            self.keep(publish, ack);
        }
    }

    fn is_behind(&self, publish: &Publish) -> bool {
        let both = |filter: &Utf8, other: &Publish| {
            let filter = unshared(filter);
            wire::matches(filter, &publish.topic) && wire::matches(filter, &other.topic)
        };
        self.unclaimed.iter().any(|(other, _)| self.routes.iter().any(|(filter, _)| both(filter, other)))
    }

    fn hand_out(&self, publish: &Publish, ack: Option<AckHandle>) -> bool {
        let wanted = self.routes.iter().filter(|(filter, _)| wire::matches(unshared(filter), &publish.topic));
        let open: Vec<_> = wanted.filter_map(|(_, sender)| sender.try_reserve().ok()).collect();
        let (left, taken) = (AtomicUsize::new(open.len()), !open.is_empty());
        let ack = ack.map(|handle| Arc::new(SharedAck { handle, left, acks: self.acks.clone() }));
        for permit in open {
            permit.send(Command { publish: publish.clone(), ack: ack.clone() });
        }
        taken
    }

    /// The application took something: there may be room for what was not claimed.
    pub(super) fn retry(&mut self) {
        if self.unclaimed.is_empty() || self.routes.iter().all(|(_, sender)| sender.capacity() == 0) {
            return;
        }
        let mut left = VecDeque::new();
        for (publish, handle) in std::mem::take(&mut self.unclaimed) {
            if self.hand_out(&publish, Some(handle)) {
                self.unclaimed_bytes = self.unclaimed_bytes.saturating_sub(publish.payload.len());
            } else {
                left.push_back((publish, handle));
            }
        }
        self.unclaimed = left;
    }

    /// Whether messages that found no room can be taken now: a new connection brings them.
    pub(super) fn wants_redial(&self) -> bool {
        self.missed && self.unclaimed.is_empty()
    }

    /// Messages of QoS 0 that nobody took.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The connection is gone: what nobody claimed comes again.
    pub(super) fn on_hangup(&mut self) {
        self.unclaimed.clear();
        self.unclaimed_bytes = 0;
        self.missed = false;
    }

    fn keep(&mut self, publish: &Publish, ack: Option<AckHandle>) {
        let Some(handle) = ack else {
            self.dropped += 1;
            return;
        };
        let bytes = self.unclaimed_bytes + publish.payload.len();
        if self.missed || self.unclaimed.len() >= UNCLAIMED_MAX || bytes > UNCLAIMED_BYTES_MAX {
            self.missed = true;
            return;
        }
        self.unclaimed_bytes = bytes;
        self.unclaimed.push_back((publish.clone(), handle));
    }
}

fn unshared(filter: &Utf8) -> &str {
    match wire::SharedFilter::parse(filter) {
        Ok(Some(shared)) => shared.filter,
        _ => filter.as_str(),
    }
}
