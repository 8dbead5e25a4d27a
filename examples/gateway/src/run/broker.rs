//! Sensors behind a local broker: we subscribe there, and a message is acknowledged to it when its rows are safe.
//!
//! The broker keeps our session for ever, so that what it took while we were away comes when we are back. What it has
//! acknowledged to a sensor and not yet given to us is the broker's own risk.

#![allow(clippy::disallowed_methods, reason = "a shell: tasks")]

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::bridge::RawPack;
use edge_bridge::bridge::spool::MemorySpool;
use edge_bridge::ingest::{Answer, Inbound, Ingest};
use edge_bridge::net::Clock;
use edge_bridge::wire::{Publish, QoS, Utf8, Version, matches};
use edge_bridge::{Bridge, Command, Link};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::error::RunError;
use super::ingest::GatewayIngest;
use super::intake::{Intake, Tell};

/// Mosquitto's `max_inflight_messages`, unless it was changed: with so many unacknowledged it stands still.
const WINDOW: usize = 20;
/// Nothing is published to the local broker: rows for it do not exist.
const NO_ROWS: usize = 1;

/// The running client of the local broker.
#[derive(Debug)]
pub(crate) struct Broker {
    link: Link,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Where it is and what is wanted of it.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) client_id: &'a str,
    pub(crate) topics: &'a [String],
}

impl Broker {
    /// Subscribes; returns before the broker has answered.
    pub(crate) async fn start(
        target: Target<'_>,
        clock: Clock,
        ingest: GatewayIngest,
        intake: Intake,
    ) -> Result<Self, RunError> {
        let wrong = |error: &dyn std::fmt::Display| RunError::Configuration(format!("[local] {error}"));
        let builder = Bridge::builder(&format!("mqtt://{}:{}", target.host, target.port))
            .client_id(target.client_id)
            .session_expiry_s(u32::MAX);
        let spool = MemorySpool::new(NO_ROWS, NO_ROWS);
        let (link, _task) = builder.start_with(spool, RawPack::new(false)).map_err(|error| wrong(&error))?;
        let (sender, received) = mpsc::channel(1);
        for (index, topic) in target.topics.iter().enumerate() {
            let mut commands = link.subscribe(topic).await.map_err(|error| wrong(&error))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Some(command) = commands.next().await {
                    if sender.send((index, command)).await.is_err() {
                        return;
                    }
                }
            });
        }
        let (stop, stopped) = oneshot::channel();
        let topics = target.topics.to_vec();
        let waiting = VecDeque::new();
        let source = Source { clock, ingest, intake, topics, waiting, window: WINDOW };
        let task = tokio::spawn(source.run(received, stopped));
        Ok(Self { link, stop, task })
    }

    pub(crate) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Takes nothing more in, acknowledges what becomes safe within `within`, disconnects. The session stays.
    pub(crate) async fn stop(self, within: Duration) {
        // An error is the end of the task, which is what is wanted.
        let _ = self.stop.send(());
        if tokio::time::timeout(within, self.task).await.is_err() {
            tracing::warn!("the local broker is not told of every message that is safe: it sends them again");
        }
        self.link.close().await;
    }
}

struct Source {
    clock: Clock,
    ingest: GatewayIngest,
    intake: Intake,
    topics: Vec<String>,
    /// In order of arrival. `None`: nothing of its own to wait for, but its PUBACK waits for all before it.
    waiting: VecDeque<(Command, Option<oneshot::Receiver<()>>)>,
    /// As many as the broker ever had unacknowledged, at least [`WINDOW`].
    window: usize,
}

impl Source {
    async fn run(
        mut self,
        mut received: mpsc::Receiver<(usize, Command)>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let intake = self.intake.clone();
        let mut next: Option<Command> = None;
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                command = received.recv(), if next.is_none() => match command {
                    Some((index, command)) => next = self.wanted(index, command),
                    None => break,
                },
                place = intake.reserve(), if next.is_some() => {
                    let (Some(place), Some(command)) = (place, next.take()) else { break };
                    let (receipt, rows) = take_in(&mut self.ingest, self.clock, &command);
                    if let Some((tell, rows)) = rows {
                        place.put(rows, tell);
                    }
                    self.waiting.push_back((command, receipt));
                    self.ask_for_commit();
                }
                safe = front(&mut self.waiting), if !self.waiting.is_empty() => self.settled(safe),
            }
        }
        intake.commit();
        while !self.waiting.is_empty() {
            let safe = front(&mut self.waiting).await;
            self.settled(safe);
        }
    }

    /// A message that matches several filters comes once for each: the first is enough.
    fn wanted(&self, index: usize, command: Command) -> Option<Command> {
        let earlier = self.topics.iter().take(index);
        if earlier.into_iter().any(|filter| matches(filter, command.topic())) {
            command.done();
            return None;
        }
        Some(command)
    }

    fn settled(&mut self, safe: bool) {
        if let Some((command, _)) = self.waiting.pop_front()
            && safe
        {
            command.done();
        }
    }

    /// A broker that stands still until receipts come is worth a write; one that goes on beyond that is not.
    fn ask_for_commit(&mut self) {
        self.window = self.window.max(self.waiting.len());
        if self.waiting.len() >= self.window {
            self.intake.commit();
        }
    }
}

type Rows = (Tell, Vec<edge_bridge::Row>);

fn take_in(
    ingest: &mut GatewayIngest,
    clock: Clock,
    command: &Command,
) -> (Option<oneshot::Receiver<()>>, Option<Rows>) {
    let publish = Publish {
        dup: command.is_duplicate(),
        qos: QoS::AtLeastOnce,
        retain: command.is_retained(),
        topic: Utf8::new(Bytes::copy_from_slice(command.topic().as_bytes())).unwrap_or_default(),
        packet_id: None,
        properties: command.properties().clone(),
        payload: command.payload().clone(),
    };
    let message = Inbound::new(Utf8::default(), Version::V5, &publish);
    let rows = match ingest.ingest(clock.now(), &message) {
        Answer::Absorb => return (None, None),
        Answer::Store(rows) if rows.is_empty() => return (None, None),
        Answer::Store(rows) => rows,
        Answer::Refuse(reason) => vec![message.dead_letter(reason)],
    };
    let (tell, told) = oneshot::channel();
    (Some(told), Some((Tell::Task(tell), rows)))
}

/// Whether the oldest message is safe; waits until that is known.
async fn front(waiting: &mut VecDeque<(Command, Option<oneshot::Receiver<()>>)>) -> bool {
    match waiting.front_mut() {
        Some((_, Some(receipt))) => receipt.await.is_ok(),
        _ => true,
    }
}
