//! A sensor: publishes its series at QoS 1 without waiting for answers, keeps what is not acknowledged, and sends it
//! again after a reconnect. Half of them speak MQTT 3.1.1.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the drill is a shell: a sensor owns a socket"
)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::session::{ClientConfig, Event, Resume, Session, SessionOutcome, Token};
use edge_bridge::wire::{Properties, Publish, QoS, ReasonCode, Utf8, Version};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::clock::Clock;
use super::mqtt::Connection;
use super::record::{Acked, Class, sha256_hex};
use super::series::{Message, Sensor};
use super::story::Story;

const REDIAL: Duration = Duration::from_millis(50);

/// Record that a sensor leaves behind.
#[derive(Debug, Default)]
pub(crate) struct SensorRecord {
    pub(crate) client: String,
    /// Messages that were due; each is sent at least once while the gateway can be reached.
    pub(crate) published: u64,
    pub(crate) acks: Vec<Acked>,
    /// Payload bytes of the acknowledged messages, each once.
    pub(crate) json_bytes: u64,
}

/// Counts of all sensors together, for the progress line.
#[derive(Debug, Default)]
pub(crate) struct LiveCounts {
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
}

/// Position of a sensor among the others.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) index: u64,
    pub(crate) of: u64,
    pub(crate) gateway: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) story: Arc<Story>,
    pub(crate) counts: Arc<LiveCounts>,
}

/// Runs until the story is over and everything is acknowledged, or until `stop`.
pub(crate) async fn run(sensor: Sensor, place: Place, mut stop: watch::Receiver<bool>) -> SensorRecord {
    let mut state = State::new(sensor, place);
    tokio::select! {
        () = state.live() => {}
        // An error means that the drill itself is gone.
        _ = stop.wait_for(|stop| *stop) => {}
    }
    state.record
}

struct State {
    sensor: Sensor,
    place: Place,
    record: SensorRecord,
    /// Messages this sensor has made so far.
    made: u64,
    last_time: i64,
    /// Made and not yet given to a connection.
    unsent: VecDeque<u64>,
    /// Everything that is not acknowledged, by token.
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    message: Message,
    first_sent: Option<i64>,
}

impl State {
    fn new(sensor: Sensor, place: Place) -> Self {
        let record = SensorRecord { client: sensor.name.clone(), ..SensorRecord::default() };
        Self {
            sensor,
            place,
            record,
            made: 0,
            last_time: 0,
            unsent: VecDeque::new(),
            waiting: BTreeMap::new(),
        }
    }

    async fn live(&mut self) {
        let mut resume: Option<Resume> = None;
        for epoch in 0.. {
            self.make_due();
            let Ok(stream) = TcpStream::connect(self.place.gateway).await else {
                tokio::time::sleep(REDIAL).await;
                continue;
            };
            let Some(config) = self.client_config() else { return };
            let session = Session::client(self.place.clock.story_ms(), epoch, config, resume.take());
            let mut connection = Connection::new(stream, session, self.place.clock);
            if self.talk(&mut connection).await {
                return;
            }
            resume = Some(connection.session.into_resume());
            tokio::time::sleep(REDIAL).await;
        }
    }

    /// Runs one connection. Returns whether the sensor has nothing more to do.
    async fn talk(&mut self, connection: &mut Connection) -> bool {
        loop {
            self.make_due();
            self.publish(&mut connection.session);
            let next_due_ms = self.next_due_ms().map(|due_ms| self.published_at_ms(due_ms));
            if next_due_ms.is_none() && self.waiting.is_empty() {
                connection.session.disconnect(self.place.clock.story_ms(), ReasonCode::NORMAL_DISCONNECTION);
                connection.next().await;
                return true;
            }
            let due = async {
                match next_due_ms {
                    Some(at_ms) => self.place.clock.until(at_ms).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                event = connection.next() => event,
                () = due => continue,
            };
            match event {
                Event::Connected(connected) => {
                    if let SessionOutcome::Lost(messages) = connected.session {
                        // Again, and before everything newer: a sensor keeps its order.
                        for message in messages.iter().rev() {
                            self.unsent.push_front(message.token.0);
                        }
                    }
                }
                Event::Acked { token, reason, .. } if !reason.is_error() => self.acknowledged(token),
                // Refused, which is the end of it: published, and never acknowledged as taken.
                Event::Acked { token, .. } => drop(self.waiting.remove(&token.0)),
                Event::Closed(_) => return false,
                _ => {}
            }
        }
    }

    fn next_due_ms(&self) -> Option<u64> {
        self.place.story.due_ms(self.made * self.place.of + self.place.index)
    }

    fn published_at_ms(&self, due_ms: u64) -> u64 {
        self.sensor.published_at_ms(due_ms, self.place.story.publish_ms)
    }

    /// A sensor measures on time, connected or not.
    fn make_due(&mut self) {
        let now_ms = self.place.clock.story_ms();
        while let Some(due_ms) = self.next_due_ms().filter(|due_ms| self.published_at_ms(*due_ms) <= now_ms) {
            let time = self.place.clock.unix_of(due_ms).max(self.last_time + 1);
            self.last_time = time;
            let message = self.sensor.message(self.made, time);
            self.waiting.insert(self.made, Waiting { message, first_sent: None });
            self.unsent.push_back(self.made);
            self.made += 1;
            self.record.published += 1;
            self.place.counts.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn publish(&mut self, session: &mut Session) {
        let now = self.place.clock.unix_ms();
        while session.room() > 0 {
            let Some(token) = self.unsent.pop_front() else { return };
            let Some(waiting) = self.waiting.get_mut(&token) else { continue };
            let Ok(topic) = Utf8::new(Bytes::from(self.sensor.topic.clone())) else { return };
            let publish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic,
                packet_id: None,
                properties: Properties::default(),
                payload: Bytes::from(waiting.message.payload.clone()),
            };
            if session.publish(self.place.clock.story_ms(), Token(token), &publish).is_err() {
                self.unsent.push_front(token);
                return;
            }
            waiting.first_sent.get_or_insert(now);
        }
    }

    fn acknowledged(&mut self, token: Token) {
        let Some(Waiting { message, first_sent }) = self.waiting.remove(&token.0) else { return };
        let time = self.place.clock.unix_ms();
        self.place.counts.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.record.json_bytes += message.payload.len() as u64;
        self.record.acks.push(Acked {
            class: self.sensor.class,
            client: self.sensor.name.clone(),
            topic: self.sensor.topic.clone(),
            sha256: sha256_hex(&message.payload),
            first_sent: first_sent.unwrap_or(time),
            time,
            reading: message.reading.filter(|_| self.sensor.class == Class::Filtered),
        });
    }

    fn client_config(&self) -> Option<ClientConfig> {
        let id = Utf8::new(Bytes::from(self.sensor.name.clone())).ok()?;
        let mut config = ClientConfig::new(id);
        config.version = if self.place.index.is_multiple_of(2) { Version::V311 } else { Version::V5 };
        config.keep_alive_s = 30;
        Some(config)
    }
}
