//! In-process bridge: publish, subscribe, watch and close from the application's own code.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::closed::{CloseError, Closed};
use super::link::{Link, SubscribeError};
use super::receipt::{Inner, PendingReceipt};
use crate::bridge::Stats;
use crate::bridge::spool::Spool;
use crate::net::builder::Builder;
use crate::net::clock::Clock;
use crate::net::memory_spool::SharedMemory;
use crate::net::subscriptions::commands::Commands;
use crate::row::Row;
use crate::wire::{
    Properties, Subscription, TopicError, Utf8, validate_characters, validate_levels, validate_properties,
    validate_topic_name,
};

/// A store-and-forward bridge to a hub, running as a task of the present tokio runtime.
///
/// Publishing never waits for the network, because a message is stored first, and sent when there is a connection. Dropping the bridge stops
/// it: messages that the hub has not acknowledged stay in a spool on disk, and are gone with one in memory.
/// [`close_within`](Self::close_within) waits for the hub first, and reports what was not delivered.
pub struct Bridge {
    link: Link,
    task: JoinHandle<()>,
    store: Store,
    clock: Clock,
}

/// Store of messages that wait for the hub: a queue on disk, or memory.
pub(in crate::net) enum Store {
    Memory(SharedMemory),
    #[cfg(feature = "spool-queue")]
    Queue {
        queue: edge_queue::aio::Queue,
        /// Set unless the queue's own store is memory.
        keeps_rows: bool,
    },
}

/// Reason why a message was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The text is not a topic.
    #[error("{topic:?} cannot be published to: {error}")]
    Topic {
        /// The topic that was given.
        topic: String,
        /// The rule that the topic, or a property of the row, breaks.
        error: TopicError,
    },
    /// The spool is full and its policy is to refuse new messages.
    #[error("the spool is full")]
    Full {
        /// The message, which is returned.
        row: Box<Row>,
    },
    /// The queue cannot store this message.
    #[error("the spool refused the message")]
    Refused {
        /// Error of the queue: an `edge_queue::PushError`.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Bridge {
    /// Creates the settings of a bridge to `mqtt://HOST:PORT` or `mqtts://HOST:PORT`.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(in crate::net) fn new(link: Link, task: JoinHandle<()>, store: Store, clock: Clock) -> Self {
        Self { link, task, store, clock }
    }

    /// Publishes at QoS 1. Returns when the message is in the spool; the receipt, a future, tells when and how it is safe.
    ///
    /// # Errors
    ///
    /// The message was not accepted, because the spool has no room for it or `topic` is not a name that every hub accepts
    /// ([`validate_characters`], [`validate_levels`]).
    pub async fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
    ) -> Result<PendingReceipt, PublishError> {
        check(topic, &Properties::default())?;
        let nul = |_| PublishError::Topic { topic: topic.to_owned(), error: TopicError::Nul };
        let name = Utf8::try_from(topic).map_err(nul)?;
        self.publish_row(Row::new(name, payload.into())).await
    }

    /// Publishes as [`publish`](Self::publish) does, with all settings of a row: QoS, retain flag, properties, time to live, lane.
    ///
    /// At QoS 2 the hub takes a message once, however often the connection ends, as long as this process lives and the hub keeps the session; the
    /// message leaves the spool at the hub's PUBCOMP. If the hub loses the session before that, or this process ends, the message is published
    /// again: none is lost, and one may come twice, with the same `edge-id`. It costs four packets and two round trips, where QoS 1 costs two
    /// and one, and at most 256 such messages are under way at a time, at a hub of 3.1.1 20. A hub that takes no QoS 2 gets QoS 1, and the log
    /// says so.
    ///
    /// ```
    /// # #[cfg(feature = "spool-queue")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use edge_bridge::net::Server;
    /// use edge_bridge::wire::{QoS, Utf8};
    /// use edge_bridge::{Bridge, Closed, Row};
    ///
    /// // A stand-in for the hub: it shows what it gets.
    /// let (show, shown) = std::sync::mpsc::channel();
    /// let hub = Server::builder().start_observer("127.0.0.1:0", move |_, message| {
    ///     let edge_id = message.properties.user_property("edge-id").map(str::to_owned);
    ///     let _ = show.send((message.qos, edge_id));
    /// });
    /// let hub = hub.await?;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let spool = dir.path().join("spool");
    /// let bridge = Bridge::builder(&format!("mqtt://{}", hub.local_addr()))
    ///     .client_id("site7")
    ///     .spool_dir(spool)
    ///     .identity(true) // a reader tells by `edge-id` what came twice
    ///     .start()
    ///     .await?;
    /// let mut pulse = Row::new(Utf8::from_static("meter/1/pulse"), "1".into());
    /// pulse.qos = QoS::ExactlyOnce;
    /// let receipt = bridge.publish_row(pulse).await?;
    /// println!("{:?}", receipt.await?); // Stored, or HandedOver after the hub's PUBCOMP
    ///
    /// assert_eq!(bridge.close_within(Duration::from_secs(10)).await?, Closed::Delivered);
    /// let (qos, edge_id) = shown.try_recv()?;
    /// assert_eq!(qos, QoS::ExactlyOnce);
    /// assert!(edge_id.is_some() && shown.try_recv().is_err(), "once");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "spool-queue"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// As those of [`publish`](Self::publish), and the row has a property that not every hub accepts ([`validate_properties`]).
    pub async fn publish_row(&self, row: Row) -> Result<PendingReceipt, PublishError> {
        check(&row.topic, &row.properties)?;
        let inner = match &self.store {
            Store::Memory(memory) => Inner::Memory(
                memory.push(self.clock.now().up_ms, row).map_err(|row| PublishError::Full { row })?,
            ),
            #[cfg(feature = "spool-queue")]
            Store::Queue { queue, .. } => Inner::Queue(push(queue, row).await?),
        };
        self.link.rows_pushed();
        Ok(PendingReceipt { inner })
    }

    /// Returns the handle of the link, for what an operator asks of refused messages: [`Link::parked`], [`Link::retry_parked`],
    /// [`Link::drop_parked`], [`Link::copy_parked`].
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Subscribes at the hub, see [`Link::subscribe`].
    ///
    /// # Errors
    ///
    /// Not a filter, or the bridge is closed.
    pub async fn subscribe(&self, filter: &str) -> Result<Commands, SubscribeError> {
        self.link.subscribe(filter).await
    }

    /// Subscribes to several filters with options of your own, see [`Link::subscribe_all`].
    ///
    /// # Errors
    ///
    /// As those of [`Link::subscribe_all`].
    pub async fn subscribe_all(
        &self,
        filters: impl IntoIterator<Item = Subscription>,
    ) -> Result<Commands, SubscribeError> {
        self.link.subscribe_all(filters).await
    }

    /// Adds a filter to an existing subscription, see [`Link::add_filter`].
    ///
    /// # Errors
    ///
    /// As for [`subscribe`](Self::subscribe), and if the subscription is not one of this bridge.
    pub async fn add_filter(&self, to: &Commands, filter: &str) -> Result<(), SubscribeError> {
        self.link.add_filter(to, filter).await
    }

    /// Makes published messages safe now, instead of within the queue's `ack_within`. For a publisher that waits for its receipts; costs a write.
    /// Has no effect on a spool in memory. After a disk error the queue tries again by itself.
    pub async fn commit(&self) {
        match &self.store {
            Store::Memory(_) => {}
            #[cfg(feature = "spool-queue")]
            Store::Queue { queue, .. } => {
                if let Err(error) = queue.commit().await {
                    tracing::debug!(%error, "commit");
                }
            }
        }
    }

    /// Returns the number of rows, by weight, that the spool has lost since it was created, because they were evicted from a full lane, expired,
    /// or damaged. 0 in memory, where a message without room is refused.
    pub fn dropped(&self) -> u64 {
        match &self.store {
            Store::Memory(_) => 0,
            #[cfg(feature = "spool-queue")]
            Store::Queue { queue, .. } => sum_for_hub(queue, |lane| lane.dropped.total()),
        }
    }

    /// Returns the statistics of the spool on disk, as [`edge_queue::aio::Queue::stats`] does; `None` in memory, or when the queue's thread has
    /// ended.
    #[cfg(feature = "spool-queue")]
    pub async fn spool_stats(&self) -> Option<edge_queue::Stats> {
        match &self.store {
            Store::Memory(_) => None,
            Store::Queue { queue, .. } => queue.stats().await,
        }
    }

    /// Makes all messages in the spool on disk durable, as [`edge_queue::aio::Queue::commit`] does, where this cannot wait for the commit that is
    /// due: the supply of power is failing. Nothing to do in memory. The future does not borrow the bridge, which may be closed meanwhile.
    ///
    /// # Errors
    ///
    /// The disk failed.
    #[cfg(feature = "spool-queue")]
    pub fn commit_spool(&self) -> impl Future<Output = Result<(), edge_queue::CommitError>> + Send + use<> {
        let queue = match &self.store {
            Store::Memory(_) => None,
            Store::Queue { queue, .. } => Some(queue.clone()),
        };
        async move {
            match queue {
                None => Ok(()),
                Some(queue) => queue.commit().await,
            }
        }
    }

    /// Takes the events of the spool on disk since the last call, as [`edge_queue::aio::Queue::events`] does: what the start found damaged, limits that are
    /// not in force. None in memory.
    #[cfg(feature = "spool-queue")]
    pub fn spool_events(&self) -> Vec<edge_queue::Event> {
        match &self.store {
            Store::Memory(_) => Vec::new(),
            Store::Queue { queue, .. } => queue.events(),
        }
    }

    /// Returns counters and gauges, at most 200 ms old.
    pub fn stats(&self) -> Stats {
        self.link.stats()
    }

    /// Returns a receiver that is notified of changed statistics.
    pub fn watch(&self) -> watch::Receiver<Stats> {
        self.link.watch()
    }

    /// Ends the link and closes the spool, without waiting for the hub: [`close_within`](Self::close_within) with no time.
    ///
    /// # Errors
    ///
    /// The spool could not be closed cleanly.
    pub async fn close(self) -> Result<Closed, CloseError> {
        self.close_within(Duration::ZERO).await
    }

    /// Waits, at most for `limit`, until the hub has acknowledged every message; then ends the link and closes the spool. Reports the messages
    /// that were not delivered: those of a spool on disk are kept, and go at the next start; those of a spool in memory are
    /// [lost](Closed::Lost), and their receipts are errors.
    ///
    /// The wait goes on while there is no connection, which may come back; messages that the hub refuses are waited for too. What follows has
    /// limits of its own: up to a second for a hub that does not take the DISCONNECT, five if a message is half written, and the last commit
    /// of a spool on disk. A dropped future cancels only the report: the link still ends.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use edge_bridge::{Bridge, Closed};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Nobody is there, and the spool is in memory.
    /// let bridge = Bridge::builder("mqtt://127.0.0.1:1").client_id("site7").start().await?;
    /// for celsius in ["21.5", "21.6"] {
    ///     drop(bridge.publish("plant/1/data", celsius).await?);
    /// }
    /// match bridge.close_within(Duration::from_millis(50)).await? {
    ///     Closed::Delivered => println!("the hub has everything"),
    ///     Closed::Kept(messages) => println!("{messages} messages go at the next start"),
    ///     Closed::Lost(messages) => eprintln!("{messages} messages are lost"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The spool could not be closed cleanly.
    pub async fn close_within(self, limit: Duration) -> Result<Closed, CloseError> {
        let Self { link, task, store, .. } = self;
        // The store knows better, also after a link whose task has panicked.
        let _ = link.close_within(limit).await;
        if let Err(error) = task.await {
            tracing::error!(%error, "the link's task");
        }
        match store {
            Store::Memory(memory) => Ok(Closed::of(memory.undelivered(), false)),
            #[cfg(feature = "spool-queue")]
            Store::Queue { queue, keeps_rows } => {
                let parked = link.parked_queue().map_or(0, |parked| queued(&parked));
                let undelivered = queued(&queue).saturating_add(parked);
                match queue.close().await {
                    Ok(()) => Ok(Closed::of(undelivered, keeps_rows)),
                    Err(error) => Err(CloseError { undelivered, source: error.into() }),
                }
            }
        }
    }
}

/// Returns the number of messages, by weight, that a queue still has for the hub.
#[cfg(feature = "spool-queue")]
fn queued(queue: &edge_queue::aio::Queue) -> u64 {
    sum_for_hub(queue, |lane| lane.queued)
}

/// Returns the sum of a figure over the lanes of a queue, as the hub's consumer has them.
#[cfg(feature = "spool-queue")]
fn sum_for_hub(queue: &edge_queue::aio::Queue, figure: fn(&edge_queue::Ledger) -> u64) -> u64 {
    let lanes = queue.ledger();
    let of_hub = lanes.iter().filter(|lane| lane.consumer == crate::net::queue_spool::CONSUMER);
    of_hub.map(figure).sum()
}

/// Refuses topics and properties for which a hub may end the connection, because an error here is better than a row that is never sent.
fn check(topic: &str, properties: &Properties) -> Result<(), PublishError> {
    let checked = validate_topic_name(topic)
        .and_then(|()| validate_characters(topic))
        .and_then(|()| validate_levels(topic))
        .and_then(|()| validate_properties(properties));
    checked.map_err(|error| PublishError::Topic { topic: topic.to_owned(), error })
}

#[cfg(feature = "spool-queue")]
async fn push(queue: &edge_queue::aio::Queue, row: Row) -> Result<edge_queue::Pending, PublishError> {
    // The row that comes back has its form for the queue, so the original is kept: reference counts.
    let original = row.clone();
    queue.push(row.into_queue_row()).await.map_err(|error| match error {
        edge_queue::PushError::Full { .. } => PublishError::Full { row: Box::new(original) },
        other => PublishError::Refused { source: other.into() },
    })
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("link", &self.link).finish_non_exhaustive()
    }
}
