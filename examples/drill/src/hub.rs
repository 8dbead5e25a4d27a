//! The hub: an MQTT 5 server that writes down everything it acknowledges, reading by reading; or the subscriber of a real
//! broker that writes down everything the broker gives it.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the drill is a shell: the hub owns sockets"
)]

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use edge_bridge::session::{Accept, ClientConfig, Event, Resume, ServerConfig, Session, Token};
use edge_bridge::wire::{Publish, QoS, ReasonCode, Subscription, Utf8, matches};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::clock::Clock;
use super::mosquitto::PROBE;
use super::mqtt::Connection;
use super::record::Arrived;
use super::tables::Tables;
use super::verdict::different;
use arrivals::{arrivals, is_table};

mod arrivals;

pub(crate) use arrivals::FILTERED_TOPIC;
/// Prefix of the shipped configuration before the topics of raw messages.
pub(crate) const RAW_PREFIX: &str = "site7/";

#[derive(Debug)]
pub(crate) struct Hub {
    address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    arrived: Mutex<Vec<Arrived>>,
    /// Clients whose session this hub keeps, with what they have subscribed to: they get Session Present.
    sessions: Mutex<HashMap<String, Vec<Utf8>>>,
    tables: Mutex<Tables>,
    /// Batches that the public decoder does not take, with every table that came.
    unreadable: AtomicU64,
    probe: Notify,
}

impl Seen {
    /// Records a message before it is acknowledged, so that the record has whatever the hub acknowledged.
    fn note(&self, publish: &Publish, time: i64) {
        let topic = publish.topic.as_str();
        if topic.starts_with('$') {
            // What a broker says of itself.
        } else if topic.ends_with(PROBE) {
            self.probe.notify_one();
        } else if is_table(topic) {
            lock(&self.tables).keep(publish);
        } else {
            match arrivals(publish, time, &lock(&self.tables)) {
                Ok(arrived) => lock(&self.arrived).extend(arrived),
                Err(error) => {
                    tracing::error!(event = "drill.hub", topic, %error, "a batch cannot be read");
                    self.unreadable.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Returns whether a client has subscribed to the topic. Only then does it get the topic's messages, as at any broker.
    fn is_subscribed(&self, client: &str, topic: &Utf8) -> bool {
        let is_wanted = |filters: &Vec<Utf8>| filters.iter().any(|filter| matches(filter, topic));
        lock(&self.sessions).get(client).is_some_and(is_wanted)
    }
}

impl Hub {
    pub(crate) async fn start(clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let to = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut epoch = 0;
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        epoch += 1;
                        connections.spawn(serve(stream, epoch, clock, Arc::clone(&to)));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, seen, task })
    }

    /// Subscribes to everything at a broker that is the hub; returns when the broker has said yes.
    pub(crate) async fn subscribe(broker: SocketAddr, clock: Clock) -> io::Result<Self> {
        let mut config = ClientConfig::new(Utf8::from_static("drill-subscriber"));
        config.receive_maximum = u16::MAX;
        let session = Session::client(clock.story_ms(), 1, config, None);
        let mut connection = Connection::new(TcpStream::connect(broker).await?, session, clock);
        loop {
            match connection.next().await {
                Event::Connected(_) => {
                    let all = Subscription::new(Utf8::from_static("site7/#"), QoS::AtLeastOnce);
                    connection.session.subscribe(clock.story_ms(), vec![all]).map_err(io::Error::other)?;
                }
                Event::SubAck(answer) if answer.reasons.iter().all(|reason| !reason.is_error()) => break,
                other => {
                    return Err(io::Error::other(format!(
                        "the hub did not let the drill subscribe: {other:?}"
                    )));
                }
            }
        }
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(listen(connection, clock, Arc::clone(&seen)));
        Ok(Self { address: broker, seen, task })
    }

    /// Waits for a probe to come through.
    pub(crate) async fn probed(&self) {
        self.seen.probe.notified().await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn arrivals(&self) -> usize {
        lock(&self.seen.arrived).len()
    }

    /// Arrivals without their copies.
    pub(crate) fn different(&self) -> u64 {
        different(&lock(&self.seen.arrived))
    }

    pub(crate) fn unreadable_batches(&self) -> u64 {
        self.seen.unreadable.load(Ordering::Relaxed)
    }

    pub(crate) fn take_record(&self) -> Vec<Arrived> {
        std::mem::take(&mut *lock(&self.seen.arrived))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, epoch: u64, clock: Clock, seen: Arc<Seen>) {
    let mut config = ServerConfig::default();
    config.receive_maximum = 1000;
    let session = Session::server(clock.story_ms(), epoch, config);
    let mut connection = Connection::new(stream, session, clock);
    let mut client = String::new();
    loop {
        match connection.next().await {
            Event::Connect(connect) => {
                connect.client_id.as_str().clone_into(&mut client);
                let known = lock(&seen.sessions).contains_key(&client);
                lock(&seen.sessions).entry(client.clone()).or_default();
                let mut accept = Accept::default();
                accept.resume = (known && !connect.clean_start).then(Resume::new);
                connection.accept(accept);
            }
            Event::Publish { publish, ack } => {
                seen.note(&publish, clock.unix_ms());
                if let Some(ack) = ack {
                    // Stale only when the connection has just ended.
                    let _ = connection.session.ack(clock.story_ms(), ack, ReasonCode::SUCCESS);
                }
                if publish.retain && seen.is_subscribed(&client, &publish.topic) {
                    send(&mut connection, clock, &publish);
                }
            }
            Event::Subscribe(subscribe) => {
                let granted = vec![ReasonCode::GRANTED_QOS_1; subscribe.filters.len()];
                connection.session.suback(clock.story_ms(), subscribe.packet_id, granted);
                let filters: Vec<Utf8> = subscribe.filters.into_iter().map(|wanted| wanted.filter).collect();
                let retained: Vec<_> =
                    filters.iter().flat_map(|filter| lock(&seen.tables).retained(filter)).collect();
                retained.iter().for_each(|table| send(&mut connection, clock, table));
                lock(&seen.sessions).entry(client.clone()).or_default().extend(filters);
            }
            Event::Unsubscribe(unsubscribe) => {
                let gone = vec![ReasonCode::SUCCESS; unsubscribe.filters.len()];
                connection.session.unsuback(clock.story_ms(), unsubscribe.packet_id, gone);
                let is_left = |filter: &Utf8| !unsubscribe.filters.contains(filter);
                lock(&seen.sessions).entry(client.clone()).or_default().retain(is_left);
            }
            Event::Closed(_) => return,
            _ => {}
        }
    }
}

/// Sends a table. If the connection is just ending the table is lost, and the gateway announces it again.
fn send(connection: &mut Connection, clock: Clock, table: &Publish) {
    let _ = connection.session.publish(clock.story_ms(), Token(0), table);
}

/// The subscriber's side. Its connection is on loopback and has no fault of its own: if it ends, the rest counts as lost.
async fn listen(mut connection: Connection, clock: Clock, seen: Arc<Seen>) {
    loop {
        match connection.next().await {
            Event::Publish { publish, ack } => {
                seen.note(&publish, clock.unix_ms());
                if let Some(ack) = ack {
                    let _ = connection.session.ack(clock.story_ms(), ack, ReasonCode::SUCCESS);
                }
            }
            Event::Closed(why) => {
                tracing::error!(event = "drill.hub", ?why, "the hub closed the subscriber's connection");
                return;
            }
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while holding it; if something did, the record is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
