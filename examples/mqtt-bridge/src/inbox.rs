//! Queue on disk of messages from the hub for clients of the local broker, until these clients have acknowledged them.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use edge_bridge::Row;
use edge_bridge::escape::Escaped;
use edge_bridge::net::PublishError;
use edge_bridge::net::server::{Ended, LocalPublisher};
use edge_bridge::wire::{PropertyId, Publish, QoS, Utf8, Value};
use edge_print::in_full;
use edge_queue::{CommitError, Config, Lease, OpenError, PushError, aio};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout, timeout_at};

use self::waiting_leases::{Until, WaitingLeases};
use crate::log_rate_limit::Cause;
use crate::one_line::OneLine;
use crate::outlets::Outlets;

mod waiting_leases;

/// Name of the consumer, the same as that of a bridge, whose queue it may have been.
const CONSUMER: &str = "hub";
/// Most messages, and most bytes, being delivered to clients.
const MESSAGES_MAX: usize = 512;
const BYTES_MAX: u64 = 1 << 20;
/// Time after which a message no longer counts as being delivered: its clients are absent, or do not acknowledge it, and it waits in their sessions;
/// or another connection does not store it.
const HANDED_WITHIN: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Most messages that wait for saves of sessions, and for other connections.
const UNSAVED_MAX: usize = 256;
const NOT_PASSED_ON_MAX: usize = 128;
/// Time limit at a stop for acknowledgements of answered messages.
const LAST: Duration = Duration::from_millis(100);
/// Directory in that of the queue, where the client of another local broker parked what that broker refused, and the bytes that it added to each message:
/// with others the file would be divided anew.
const PARKED: &str = "parked";
const PARKED_MORE_BYTES: usize = 44;
/// Pause before a queue that cannot be read is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Queue of a connection's messages from the hub, and the task that delivers them.
pub(crate) struct Inbox {
    queue: aio::Queue,
    handing_out: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Inbox {
    /// Opens the queue, and delivers its messages from the given time on.
    ///
    /// # Errors
    ///
    /// In words: the queue did not open.
    pub(crate) async fn open(
        dir: &Path,
        config: Config,
        connection: &str,
        broker: LocalPublisher,
        outlets: Outlets,
        from: Instant,
    ) -> Result<Self, String> {
        let at = |error: &(dyn std::error::Error + 'static)| format!("{}: {}", dir.display(), in_full(error));
        let queue = aio::Queue::open(dir, config).await.map_err(|error| at(&error))?;
        let consumer = queue.consumer(CONSUMER).await.map_err(|error| at(&error))?;
        tell_parked(connection, dir, parked(&queue).await);
        let clients = Clients { connection: connection.to_owned(), broker, outlets };
        let (stop, stopped) = watch::channel(false);
        let handing_out = tokio::spawn(hand_out(consumer, clients, from, stopped));
        Ok(Self { queue, handing_out, stop })
    }

    /// Pushes a message. The future is ready when it is safe; `false` if the queue was closed before.
    ///
    /// # Errors
    ///
    /// As those of `Bridge::publish_row`.
    pub(crate) async fn push(
        &self,
        row: Row,
    ) -> Result<Pin<Box<dyn Future<Output = bool> + Send>>, PublishError> {
        let original = row.clone();
        let pushed = self.queue.push(row.into_queue_row()).await.map_err(|error| match error {
            PushError::Full { .. } => PublishError::Full { row: Box::new(original) },
            other => PublishError::Refused { source: other.into() },
        });
        Ok(Box::pin(pushed.map(|pending| async move { pending.await.is_ok() })?))
    }

    /// Returns the number of messages, by weight, that the queue has lost since it was created, because they expired or were damaged.
    pub(crate) fn dropped(&self) -> u64 {
        self.queue.ledger().iter().map(|ledger| ledger.dropped.total()).sum()
    }

    /// Returns the queue's statistics; `None` if its thread has ended.
    pub(crate) async fn stats(&self) -> Option<edge_queue::Stats> {
        self.queue.stats().await
    }

    /// Makes durable what the queue has in memory.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub(crate) fn commit(&self) -> impl Future<Output = Result<(), CommitError>> + use<> {
        let queue = self.queue.clone();
        async move { queue.commit().await }
    }

    /// Takes the events of the queue's store since the last call.
    pub(crate) fn events(&self) -> Vec<edge_queue::Event> {
        self.queue.events()
    }

    /// Stops the delivery, and closes the queue. Returns the number of messages that were not delivered, by weight; they are kept.
    ///
    /// # Errors
    ///
    /// In words: not all of it is on disk.
    pub(crate) async fn close(mut self) -> Result<u64, String> {
        self.stop.send_replace(true);
        // Ended by itself.
        let _ = (&mut self.handing_out).await;
        let kept = self.queue.ledger().iter().map(|ledger| ledger.queued).sum();
        self.queue.clone().close().await.map(|()| kept).map_err(|error| in_full(&error))
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.handing_out.abort();
    }
}

/// Returns the number of messages that the client of another local broker has parked beside the queue.
async fn parked(queue: &aio::Queue) -> Result<u64, OpenError> {
    if !queue.has_beside(PARKED) {
        return Ok(0);
    }
    let parked = queue.open_beside(PARKED, PARKED_MORE_BYTES).await?;
    let messages = parked.ledger().iter().map(|ledger| ledger.queued).sum();
    // Nothing was changed that an error could lose.
    let _ = parked.close().await;
    Ok(messages)
}

/// Logs parked messages: the hub has their PUBACK, and the broker in this program does not get them.
fn tell_parked(connection: &str, dir: &Path, parked: Result<u64, OpenError>) {
    let (connection, dir) = (Escaped(connection), dir.join(PARKED).to_string_lossy().into_owned());
    let directory = OneLine(&dir);
    match parked {
        Ok(0) => {}
        Ok(messages) => {
            tracing::error!(%connection, messages, %directory, "messages that a former local broker refused stay on disk: they are offered again where --local names it");
        }
        Err(error) => {
            tracing::error!(%connection, error = in_full(&error), %directory, "what a former local broker refused cannot be read, and stays on disk");
        }
    }
}

/// Receivers of a connection's messages: local clients and other connections.
struct Clients {
    connection: String,
    broker: LocalPublisher,
    outlets: Outlets,
}

async fn hand_out(
    mut consumer: aio::Consumer,
    clients: Clients,
    from: Instant,
    mut stopped: watch::Receiver<bool>,
) {
    tokio::select! {
        // Clients without a session are not there after the broker's start: what is given before they subscribe, they do not get.
        () = sleep_until(from) => {}
        _ = stopped.wait_for(|stopped| *stopped) => return,
    }
    let mut out = Out::new(clients.connection.clone());
    let mut is_told = false;
    'handing_out: loop {
        let (messages, bytes) = out.room();
        let chunk = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            () = out.progress() => continue,
            chunk = consumer.lease_up_to(messages, bytes), if messages > 0 => chunk,
        };
        match chunk {
            // The queue is closed.
            Ok(chunk) if chunk.is_empty() => return out.tell_given_up(),
            Ok(chunk) => {
                is_told = false;
                for lease in chunk {
                    // What the broker did not take waits for the next start.
                    let Ok(()) = out.hand(&clients, lease).await else { break 'handing_out };
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::error!(connection = %Escaped(&clients.connection), error = in_full(&error), "messages from the hub cannot be read: tried again");
                }
                sleep(READ_AGAIN).await;
            }
        }
    }
    // The broker has ended before, with its last save: what waited for that need not come again.
    let finish = async {
        while !out.is_empty() {
            out.progress().await;
        }
    };
    // What is not done by then comes again.
    let _ = timeout(LAST, finish).await;
    out.tell_given_up();
}

/// Messages being delivered, until they are safe elsewhere.
struct Out {
    connection: String,
    on_the_way: FuturesUnordered<Pin<Box<dyn Future<Output = Handed> + Send>>>,
    /// Messages that wait in clients' sessions, and those that other connections have not stored.
    unsaved: WaitingLeases,
    not_passed_on: WaitingLeases,
    given_up: Cause,
    /// Bytes being delivered.
    bytes: u64,
}

/// Message whose delivery has ended.
struct Handed {
    bytes: u64,
    waits: Option<Waits>,
}

/// Message that is not safe elsewhere in time.
enum Waits {
    /// It waits in clients' sessions, for their save.
    Unsaved(Lease, Until),
    /// It waits for another connection.
    NotPassedOn(Lease, Until),
}

impl Out {
    fn new(connection: String) -> Self {
        Self {
            connection,
            on_the_way: FuturesUnordered::new(),
            unsaved: WaitingLeases::new(UNSAVED_MAX),
            not_passed_on: WaitingLeases::new(NOT_PASSED_ON_MAX),
            given_up: Cause::default(),
            bytes: 0,
        }
    }

    /// Returns how many messages and bytes may be delivered now.
    fn room(&self) -> (usize, u64) {
        match BYTES_MAX.saturating_sub(self.bytes) {
            0 => (0, 0),
            bytes => (MESSAGES_MAX.saturating_sub(self.on_the_way.len()), bytes),
        }
    }

    async fn hand(&mut self, clients: &Clients, lease: Lease) -> Result<(), Ended> {
        let bytes = (lease.payload().len() + lease.meta().len()) as u64;
        let Some(given) = clients.give(lease).await? else { return Ok(()) };
        self.bytes += bytes;
        self.on_the_way.push(Box::pin(async move { Handed { bytes, waits: given.await } }));
        Ok(())
    }

    /// Waits until the delivery of a message ends, sessions have been saved, or a line about losses is due. Cancel-safe.
    async fn progress(&mut self) {
        tokio::select! {
            Some(Handed { bytes, waits }) = self.on_the_way.next() => {
                self.bytes -= bytes;
                match waits {
                    None => {}
                    // The sessions have those that are given up.
                    Some(Waits::Unsaved(lease, until)) => drop(self.unsaved.push(lease, bytes, until)),
                    Some(Waits::NotPassedOn(lease, until)) => {
                        let given_up = self.not_passed_on.push(lease, bytes, until);
                        self.add_given_up(given_up);
                    }
                }
            }
            () = self.unsaved.next() => {}
            () = self.not_passed_on.next() => {}
            () = self.given_up.is_due() => self.tell_given_up(),
        }
    }

    fn add_given_up(&mut self, messages: u64) {
        for _ in 0..messages {
            if let Some(messages) = self.given_up.add() {
                self.log_given_up(messages);
            }
        }
    }

    /// Logs how many messages are given up, if no line has told it yet.
    fn tell_given_up(&mut self) {
        if let Some(messages) = self.given_up.rest() {
            self.log_given_up(messages);
        }
    }

    fn log_given_up(&self, messages: u64) {
        tracing::error!(connection = %Escaped(&self.connection), messages, "another connection stores nothing: what came for it from this one is dropped");
    }

    fn is_empty(&self) -> bool {
        self.on_the_way.is_empty() && self.unsaved.is_empty() && self.not_passed_on.is_empty()
    }
}

impl Clients {
    /// Publishes a message, in order. The returned future ends the lease when clients and connections have the message, or gives it back if it waits
    /// for them.
    async fn give(&self, lease: Lease) -> Result<Option<impl Future<Output = Option<Waits>> + use<>>, Ended> {
        let Some(mut row) = Row::from_meta(lease.meta(), lease.payload().clone()) else {
            tracing::error!(connection = %Escaped(&self.connection), "a row of another program is passed over");
            lease.discard();
            return Ok(None);
        };
        row.ttl_ms = lease.ttl_left_ms();
        let Some(publish) = publish_of(&row) else {
            lease.expire();
            return Ok(None);
        };
        let settling = self.broker.send(publish).await?;
        let mut passed_on = self.outlets.pass_on(&self.connection, &row);
        let broker = self.broker.clone();
        let until = Instant::now() + HANDED_WITHIN;
        Ok(Some(async move {
            let settled = timeout_at(until, settling).await;
            if let Ok(Err(Ended)) = settled {
                // It comes again at the next start.
                return None;
            }
            if timeout_at(until, &mut passed_on).await.is_err() {
                let until = async move {
                    passed_on.await;
                    settled.is_ok() || is_saved(&broker).await
                };
                return Some(Waits::NotPassedOn(lease, Box::pin(until)));
            }
            if settled.is_err() {
                // An error: it comes again at the next start.
                let saving = broker.saving().await.ok()?;
                return Some(Waits::Unsaved(lease, Box::pin(async move { saving.await.is_ok() })));
            }
            lease.ack();
            None
        }))
    }
}

/// Waits until the sessions of now are saved. `false`: the broker has ended.
async fn is_saved(broker: &LocalPublisher) -> bool {
    match broker.saving().await {
        Ok(saving) => saving.await.is_ok(),
        Err(Ended) => false,
    }
}

/// Returns the message for local clients; `None`: it has expired.
fn publish_of(row: &Row) -> Option<Publish> {
    let mut properties = row.properties.clone();
    if let Some(left_ms) = row.ttl_ms {
        let seconds = u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX);
        if seconds == 0 {
            return None;
        }
        let mut builder = properties.to_builder();
        // It was left out of the row's: there is one at most.
        if builder.push(PropertyId::MessageExpiryInterval, Value::U32(seconds)).is_ok() {
            properties = builder.finish();
        }
    }
    Some(Publish {
        dup: false,
        // It was stored to be delivered.
        qos: row.qos.max(QoS::AtLeastOnce),
        retain: row.retain,
        topic: Utf8::clone(&row.topic),
        packet_id: None,
        properties,
        payload: row.payload.clone(),
    })
}

#[cfg(test)]
mod tests;
