//! The hub: an MQTT 5 server that writes down everything it acknowledges, reading by reading.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the drill is a shell: the hub owns sockets"
)]

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use edge_bridge::session::{Accept, Event, Resume, ServerConfig, Session};
use edge_bridge::wire::{Publish, ReasonCode};
use edge_codec::{Format, Limits, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::clock::Clock;
use super::mqtt::Connection;
use super::record::{Arrived, Class, Reading, sha256_hex};

/// Beside it everything is `raw`.
pub(crate) const READINGS_TOPIC: &str = "site7/readings";
pub(crate) const RAW_PREFIX: &str = "site7/";
/// The format of the batches on [`READINGS_TOPIC`].
pub(crate) const READINGS_FORMAT: Format = Format::Protobuf;

#[derive(Debug)]
pub(crate) struct Hub {
    address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    arrived: Mutex<Vec<Arrived>>,
    /// Clients whose session this hub keeps: they get Session Present.
    sessions: Mutex<HashSet<String>>,
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

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn arrivals(&self) -> usize {
        lock(&self.seen.arrived).len()
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
    loop {
        match connection.next().await {
            Event::Connect(connect) => {
                let known = !lock(&seen.sessions).insert(connect.client_id.as_str().to_owned());
                let mut accept = Accept::default();
                accept.resume = (known && !connect.clean_start).then(Resume::new);
                connection.accept(accept);
            }
            Event::Publish { publish, ack } => {
                // Written down first: what the hub has acknowledged it has.
                lock(&seen.arrived).extend(arrivals(&publish, clock.unix_ms()));
                if let Some(ack) = ack {
                    // Stale only when the connection has just ended.
                    let _ = connection.session.ack(clock.story_ms(), ack, ReasonCode::SUCCESS);
                }
            }
            Event::Subscribe { subscribe, .. } => {
                let granted = vec![ReasonCode::GRANTED_QOS_1; subscribe.filters.len()];
                connection.session.suback(clock.story_ms(), subscribe.packet_id, granted);
            }
            Event::Closed(_) => return,
            _ => {}
        }
    }
}

/// One line of the record per message, or per reading of a batch. A batch that cannot be read brings nothing: its
/// readings then count as lost.
fn arrivals(publish: &Publish, time: i64) -> Vec<Arrived> {
    let topic = publish.topic.as_str();
    let arrived = Arrived {
        class: Class::Raw,
        client: topic.rsplit('/').next().map(str::to_owned),
        topic: topic.to_owned(),
        sha256: sha256_hex(&publish.payload),
        time,
        id: publish.properties.user_property("edge-id").map(str::to_owned),
        pd: publish.dup || publish.properties.user_property("edge-pd") == Some("1"),
        reading: None,
    };
    if topic != READINGS_TOPIC {
        return vec![arrived];
    }
    match readings(&publish.payload, &arrived) {
        Ok(readings) => readings,
        Err(error) => {
            tracing::error!(event = "drill.hub", %error, "a batch cannot be read");
            Vec::new()
        }
    }
}

fn readings(payload: &[u8], message: &Arrived) -> Result<Vec<Arrived>, edge_codec::DecodeError> {
    let mut batch = READINGS_FORMAT.decode(payload, &Limits::default())?;
    let header = *batch.header();
    let rows = batch.by_ref().collect::<Result<Vec<_>, _>>()?;
    let name = |id| batch.sensors().get(id).map_or_else(String::new, |sensor| sensor.name.to_string());
    let readings = rows.into_iter().map(|row| {
        let value = match row.value {
            Value::F64(value) => value,
            Value::I64(value) => value as f64,
            // No sensor of the drill sends anything else: such a reading stands for none of theirs.
            _ => f64::NAN,
        };
        let sensor = name(row.sensor);
        Arrived {
            class: Class::Filtered,
            client: Some(sensor.clone()),
            id: header.id.map(|id| id.to_string()),
            pd: header.pd || message.pd,
            reading: Some(Reading { sensor, event_time: row.time, value, quality: row.quality }),
            ..message.clone()
        }
    });
    Ok(readings.collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while holding it; if something did, the record is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
