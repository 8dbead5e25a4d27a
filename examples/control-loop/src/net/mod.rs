//! Network side, all of which may block without affecting a loop: the sensors' listener, the local publisher, the path to the hub.
//!
//! One tokio thread. Control inputs come at QoS 0 and go from the listener's task into the control thread's atomics; outputs and events are
//! published to local subscribers first, and only then offered to the queue.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a shell: sockets, tasks and a thread"
)]

mod client_log;
mod demo_hub;
mod hub;
mod metrics;

pub use demo_hub::{DemoHub, Message};

use crate::mqtt::{self, LoopMessages, Said};
use crate::runner::{LoopStats, Ports};
use crate::{Clock, Config, HubConfig, Spool};
use client_log::ClientLog;
use edge_bridge::listener::Event;
use edge_bridge::net::server::{NoQueue, Server};
use hub::Hub;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Time limit of each part at a stop.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Counters of the network side.
#[derive(Debug, Default)]
pub struct NetStats {
    queued: AtomicU64,
    not_queued: AtomicU64,
    has_queue: AtomicBool,
}

impl NetStats {
    /// Messages that were pushed into the queue to the hub.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Messages to the hub that found no room: the queue is full, does not answer or is not open.
    pub fn not_queued(&self) -> u64 {
        self.not_queued.load(Ordering::Relaxed)
    }

    /// Returns whether the queue to the hub is open. Control continues without it.
    pub fn is_queue_open(&self) -> bool {
        self.has_queue.load(Ordering::Relaxed)
    }

    fn has_queue(&self, yes: bool) {
        self.has_queue.store(yes, Ordering::Relaxed);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The running network thread.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) stats: Arc<NetStats>,
    pub(crate) runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Parts of the network side.
pub(crate) struct Parts {
    pub(crate) config: Config,
    /// Settings of the hub; `None`: events are only published locally.
    pub(crate) hub: Option<HubConfig>,
    pub(crate) spool: Spool,
    pub(crate) clock: Clock,
    pub(crate) ports: Ports,
    pub(crate) loop_stats: Arc<LoopStats>,
}

impl Net {
    /// Starts the thread; returns when the listener is ready.
    pub(crate) fn start(parts: Parts) -> Result<Net, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("the network's runtime: {error}"))?;
        let handle = runtime.handle().clone();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let stats = Arc::<NetStats>::default();
        let counters = stats.clone();
        let thread = std::thread::Builder::new().name("net".to_owned()).spawn(move || {
            runtime.block_on(async {
                match Running::start(parts, counters).await {
                    Ok((running, addresses)) => {
                        // Nobody waits any more only if the starter is gone.
                        let _ = ready.send(Ok(addresses));
                        running.until(stopped).await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        });
        let thread = thread.map_err(|error| format!("the network's thread: {error}"))?;
        let (address, metrics) = started.recv().map_err(|_| "the network's thread ended".to_owned())??;
        Ok(Net { address, metrics, stats, runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Stops the thread; the last rows are in the queue then.
    pub(crate) fn stop(&mut self) {
        // It has ended by itself if nobody hears.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Running {
    server: Server,
    hub: Option<Hub>,
    messages: LoopMessages,
}

impl Running {
    async fn start(
        parts: Parts,
        stats: Arc<NetStats>,
    ) -> Result<(Running, (SocketAddr, Option<SocketAddr>)), String> {
        let Parts { config, hub, spool, clock, ports, loop_stats } = parts;
        let (inputs, messages) = mqtt::connect(&config.loops, ports, clock, loop_stats.clone())
            .map_err(|error| format!("the loops' messages: {error}"))?;
        let listen = config.mqtt.listen;
        let mut limits = edge_bridge::listener::Config::default();
        limits.own_topics = mqtt::own_topics();
        let mut log = ClientLog::default();
        let departures = inputs.departures();
        let on_event = move |event: &Event, address| {
            departures.on_event(event);
            log.on_event(clock.now_ns() / 1_000_000, event, address);
        };
        let builder = Server::builder().config(limits).on_event(on_event);
        let server = builder.start(listen, inputs, |_| NoQueue).await;
        let server = server.map_err(|error| format!("[mqtt] listen {error}"))?;
        let metrics = match config.metrics {
            Some(listen) => Some(metrics::serve(listen, loop_stats, stats.clone()).await?),
            None => None,
        };
        let hub = hub.map(|hub| Hub::start(hub, spool, stats, STOP_WITHIN));
        let addresses = (server.local_addr(), metrics);
        Ok((Running { server, hub, messages }, addresses))
    }

    async fn until(self, stopped: oneshot::Receiver<()>) {
        let Running { server, mut hub, mut messages } = self;
        let mut publishing = Box::pin(publish(&mut messages, &server, &mut hub));
        let has_ended = tokio::select! {
            () = &mut publishing => true,
            // The loops have ended before: what they said last, that the outputs are safe, is still to be published.
            _ = stopped => tokio::time::timeout(STOP_WITHIN, &mut publishing).await.is_ok(),
        };
        drop(publishing);
        if !has_ended && let Some(last) = messages.end() {
            say(last, &server, &mut hub).await;
        }
        server.shutdown(Duration::ZERO).await;
        if let Some(hub) = hub {
            hub.stop(STOP_WITHIN).await;
        }
    }
}

/// Publishes messages until the loops end, to local subscribers first.
async fn publish(messages: &mut LoopMessages, server: &Server, hub: &mut Option<Hub>) {
    while let Some(all) = messages.next().await {
        say(all, server, hub).await;
    }
}

async fn say(all: Vec<Said>, server: &Server, hub: &mut Option<Hub>) {
    for said in all {
        if let Some(line) = &said.line {
            edge_print::complain!("control-loop: {line}");
        }
        // A server that has ended has no subscribers. Of the others nobody is waited for: a copy for one that does not read may wait for ever.
        drop(server.publisher().send(said.publish()).await);
        if said.to_hub
            && let Some(hub) = hub
        {
            hub.offer(said.topic, said.payload, said.is_event);
        }
    }
}
