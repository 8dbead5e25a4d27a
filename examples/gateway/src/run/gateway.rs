//! The running gateway: starts the parts, waits for a signal, stops them in the order in which nothing is lost.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: the runtime and its tasks")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use edge_bridge::Link;
use edge_bridge::net::{Clock, Server};
use edge_queue::aio;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Local};

use super::broker::{Broker, Target};
use super::client_log::ClientLog;
use super::compact::{Compact, Shown};
use super::error::RunError;
use super::ingest::GatewayIngest;
use super::intake::{Intake, ServerSink, Tell};
use super::monitor::Monitor;
use super::restarted::Restarted;
use super::tables::Tables;
use super::{clean_stop, http, store, uplink};

/// Of the eight seconds that a stop may take: for the receipts of what was received, and the goodbyes.
const LOCAL_WITHIN: Duration = Duration::from_millis(2_500);
/// For DISCONNECT to the hub.
const UPLINK_WITHIN: Duration = Duration::from_millis(1_500);
/// For the last commit.
const STORE_WITHIN: Duration = Duration::from_secs(3);
/// How often silence is looked for at least, since the wall clock, by which it is measured, may jump.
const TICK_MAX: Duration = Duration::from_secs(10);

/// The side of the sensors.
enum Front {
    Server(Server),
    Broker(Broker),
}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(config: &Config, state: &Path) -> Result<(), RunError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| RunError::Failed(format!("{what}: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed("SIGTERM", &error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed("SIGINT", &error))?;
    let clock = Clock::start();

    // Asked before the queue is opened, which makes it.
    let is_new = !state.join("queue.ring").exists();
    let (queue, consumer) = store::open(state, &config.queue).await?;
    let last = clean_stop::take(state).map_err(|error| failed(&state.display().to_string(), &error))?;
    let clean = last.clean || is_new;
    tracing::info!(gateway = config.id, state = %state.display(), clean, queued = queued(&queue), "opened");
    let restarted = Restarted::new(clock.now(), clean);
    let ingest = GatewayIngest::new(&config.routes, restarted).map_err(RunError::Configuration)?;
    ingest.restore(last.snapshots);

    let metrics = match config.metrics {
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.map_err(|error| failed(&format!("[metrics] listen {address}"), &error))?)
        }
        None => None,
    };
    let tables = Tables::new(config, state);
    let shown = Shown::default();
    let compact = Compact::new(&config.routes, &config.id, shown.clone(), &tables.load());
    let link = uplink::start(config, &queue, consumer, compact)?;
    let listening = tokio::spawn(tables.listen(link.clone(), shown));
    let intake = Intake::start(queue.clone());
    let front = Front::start(config, clock, &ingest, &intake, !is_new).await?;
    let ticks = tokio::spawn(tick(clock, ingest.clone(), intake.clone()));
    let monitor = Monitor {
        queue: queue.clone(),
        link: link.clone(),
        local: front.local_connected(),
        ingest: ingest.clone(),
        intake: intake.clone(),
        clock,
        losses: Arc::default(),
    };
    let watch = tokio::spawn(monitor.clone().watch());
    let pages = metrics.map(|socket| tokio::spawn(http::serve(socket, monitor)));

    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "stopping");
    front.stop(LOCAL_WITHIN).await;
    let tasks = [Some(ticks), Some(watch), Some(listening), pages];
    tasks.into_iter().flatten().for_each(|task| task.abort());
    stop(state, &ingest, link, queue).await
}

/// The link first: what it had leased is back before the last commit. The mark last: it says that all else was done.
async fn stop(state: &Path, ingest: &GatewayIngest, link: Link, queue: aio::Queue) -> Result<(), RunError> {
    if tokio::time::timeout(UPLINK_WITHIN, link.close()).await.is_err() {
        tracing::info!("the hub does not take a goodbye");
    }
    let queued = queued(&queue);
    match tokio::time::timeout(STORE_WITHIN, queue.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(RunError::Failed(format!("the queue did not close well: {error}"))),
        Err(_) => return Err(RunError::Failed("the queue did not close in time".to_owned())),
    }
    if let Err(error) = clean_stop::leave(state, &ingest.snapshots()) {
        tracing::warn!(%error, "the filters' states are not kept: every sensor's next reading passes");
    }
    tracing::info!(queued, "stopped");
    Ok(())
}

fn queued(queue: &aio::Queue) -> u64 {
    let hub = queue.ledger().into_iter().filter(|ledger| ledger.consumer == store::CONSUMER);
    hub.map(|ledger| ledger.queued).sum()
}

impl Front {
    async fn start(
        config: &Config,
        clock: Clock,
        ingest: &GatewayIngest,
        intake: &Intake,
        expects_session: bool,
    ) -> Result<Self, RunError> {
        match &config.local {
            Local::Listen { address } => {
                let (ingest, intake) = (ingest.clone(), intake.clone());
                let (clock, mut log) = (Clock::start(), ClientLog::default());
                let server = Server::builder()
                    .on_event(move |event| log.on_event(clock.now().up_ms, event))
                    .start(address, ingest, |receipts| ServerSink { intake, receipts });
                let server = server
                    .await
                    .map_err(|error| RunError::Failed(format!("[local] listen {address}: {error}")))?;
                tracing::info!("accepting on {}", server.local_addr());
                Ok(Self::Server(server))
            }
            Local::Broker { host, port, client_id, topics } => {
                let target = Target {
                    host: host.clone(),
                    port: *port,
                    client_id: client_id.clone(),
                    topics: topics.clone(),
                    expects_session,
                };
                let broker = Broker::start(target, clock, ingest.clone(), intake.clone())?;
                Ok(Self::Broker(broker))
            }
        }
    }

    fn local_connected(&self) -> Option<Arc<AtomicBool>> {
        match self {
            Self::Server(_) => None,
            Self::Broker(broker) => Some(broker.connected()),
        }
    }

    async fn stop(self, within: Duration) {
        match self {
            Self::Server(server) => server.shutdown(within).await,
            Self::Broker(broker) => broker.stop(within).await,
        }
    }
}

/// Lets the filters notice what did not happen.
async fn tick(clock: Clock, ingest: GatewayIngest, intake: Intake) {
    loop {
        let left_ms =
            ingest.next_deadline_ms().map(|at_ms| at_ms.saturating_sub(clock.now().wall_ms).max(10));
        let left = left_ms.and_then(|ms| u64::try_from(ms).ok()).map_or(TICK_MAX, Duration::from_millis);
        // A deadline that a message makes meanwhile is found a second late at most.
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        let is_due = ingest.next_deadline_ms().is_some_and(|at_ms| at_ms <= clock.now().wall_ms);
        if !is_due {
            continue;
        }
        // Room first: a row that has no place must not have moved a filter's state.
        let Some(place) = intake.reserve().await else { return };
        let rows = ingest.tick(clock.now());
        if !rows.is_empty() {
            place.put(rows, Tell::Nobody);
        }
    }
}
