//! The running gateway: starts the parts, waits for a signal, stops them in the order in which nothing is lost.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: the runtime and its tasks")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::Link;
use edge_bridge::ingest::Now;
use edge_bridge::net::server::LocalPublisher;
use edge_bridge::net::{Clock, Server};
use edge_queue::{Clock as _, SystemClock, aio};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, ListenerLimits, Local};
use crate::open_files::OpenFiles;

use super::broker::{Broker, Subscribed, Target};
use super::client_log::ClientLog;
use super::compact::{Compact, KeptTables, Shown};
use super::control::Control;
use super::error::RunError;
use super::ingest::GatewayIngest;
use super::intake::{Intake, Place, ServerSink, Tell};
use super::metrics::given_up;
use super::monitor::Monitor;
use super::restarted::Restarted;
use super::restarts::Restarts;
use super::status::Losses;
use super::table_files::TableFiles;
use super::tables::Tables;
use super::totals::Refresh;
use super::{by_hand, clean_stop, first_rows, http, store, uplink, watched};

/// Of the eight seconds that a stop may take, a second of which is the control loops': for the receipts of what was received, and the goodbyes.
const LOCAL_WITHIN: Duration = Duration::from_secs(2);
/// For room in the queue, of which there is nearly always some.
const LET_GO_WITHIN: Duration = Duration::from_millis(300);
/// For DISCONNECT to the hub.
const UPLINK_WITHIN: Duration = Duration::from_millis(1_500);
/// For the last commit.
const STORE_WITHIN: Duration = Duration::from_secs(3);
/// For the queue's word that it is closed.
const LEFT_WITHIN: Duration = Duration::from_millis(200);
/// Longest time for which no sensor is read while the queue's task is behind.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Longest pause between looks for silence, since the wall clock, by which it is measured, may jump.
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
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| failed("SIGHUP", &error))?;
    let clock = Clock::start();
    let wall = Arc::new(wall_clock(config));

    // Asked before the queue is opened, which makes it.
    let is_new = !state.join("queue.ring").exists();
    let (queue, consumer) = store::open(state, &config.queue, wall.clone()).await?;
    let last = clean_stop::read(state);
    let clean = last.clean || is_new;
    // Before anything can be given up in this run.
    let losses = Arc::new(Mutex::new(Losses::new(dropped_before(&queue))));
    tracing::info!(gateway = config.id, state = %state.display(), clean, queued = queued(&queue), "opened");
    // Also if this run ends before its first look at itself: the next one finds the store in order.
    store::tell_events(&queue);
    // Rows that found no room have no PUBACK: their senders repeat them.
    let restarted = Restarted::new(clock.now(), clean && last.rows.is_empty());
    let ingest = GatewayIngest::new(&config.routes, restarted).map_err(RunError::Configuration)?;
    if !is_new {
        ingest.tell_first_alarms();
    }
    let mut rows = last.rows;
    rows.extend(ingest.restore(clock.now(), last.filters));
    let (lists, pace) = watched::read(state, clock.now().up_ms);
    ingest.await_sensors(clock.now(), lists);

    let metrics = match config.metrics {
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.map_err(|error| failed(&format!("[metrics] listen {address}"), &error))?)
        }
        None => None,
    };
    let (tables, table_files) = (Tables::new(config), TableFiles::new(state));
    let (shown, kept, saved) = (Shown::default(), KeptTables::default(), table_files.load(&tables.topics));
    let compact =
        Compact::new(&config.routes, &config.id, config.queue.max_age, shown.clone(), &kept, &saved);
    let parked_before = queue.has_beside("parked");
    let link = uplink::start(config, &queue, consumer, compact)?;
    let listening = tokio::spawn(tables.listen(link.clone(), shown));
    let keeping_tables = tokio::spawn(table_files.clone().keep(kept));
    let by_hand = tokio::spawn(by_hand::serve(state.to_owned(), link.clone()));
    let intake = Intake::start(queue.clone(), config.queue.lanes.len());
    let mut control =
        config.control.as_ref().map(|control| Control::start(control, state, &ingest)).transpose()?;
    let front = Front::start(config, clock, &ingest, &intake, control.as_mut(), (state, !is_new)).await?;
    // Nothing can fail any more, and until the next await nothing was received: this is the runtime's only thread.
    let first_rows = first_rows::queue(state, &intake, rows, config.queue.lanes.len());
    let first_rows = first_rows.map_err(|error| failed(&state.display().to_string(), &error))?;
    let (restarts, kept) = Restarts::count(state, (!is_new).then_some(last.clean));
    if let Err(error) = kept {
        tracing::warn!(%error, "this restart is not counted over the next");
    }
    let ticks = tokio::spawn(tick(clock, wall.clone(), ingest.clone(), intake.clone()));
    let keeping = tokio::spawn(watched::keep(state.to_owned(), clock, ingest.clone(), pace));
    let monitor = Monitor {
        queue: queue.clone(),
        link: link.clone(),
        local: front.local_connected(),
        listener: front.listener(),
        ingest: ingest.clone(),
        intake: intake.clone(),
        clock,
        wall,
        losses,
        time_drops: Arc::new(Mutex::new(Losses::new(0))),
        table_files,
        parked_losses: Arc::default(),
        parked_before,
        refresh: Arc::new(Mutex::new(Refresh::new(config.totals_within))),
        restarts,
        control: control.as_ref().map(Control::figures),
    };
    let watch = tokio::spawn(monitor.clone().watch());
    let pages = metrics.map(|socket| tokio::spawn(http::serve(socket, monitor)));

    let name = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => tracing::warn!("SIGHUP has no effect: a changed configuration needs a restart"),
        }
    };
    tracing::info!(signal = name, "stopping");
    if let Some(control) = control {
        control.stop().await;
    }
    let_go(clock, &ingest, &intake).await;
    front.stop(LOCAL_WITHIN).await;
    let tasks = [ticks, watch, listening, by_hand, first_rows, keeping, keeping_tables];
    tasks.into_iter().chain(pages).for_each(|task| task.abort());
    stop(state, clock, (&ingest, &intake), link, queue).await
}

/// The link first: what it had leased is back before the last commit. The mark last: it says that all else was done.
async fn stop(
    state: &Path,
    clock: Clock,
    (ingest, intake): (&GatewayIngest, &Intake),
    link: Link,
    queue: aio::Queue,
) -> Result<(), RunError> {
    if tokio::time::timeout(UPLINK_WITHIN, link.close()).await.is_err() {
        tracing::info!("the hub does not take a goodbye");
    }
    let queued = queued(&queue);
    match tokio::time::timeout(STORE_WITHIN, queue.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(RunError::Failed(format!("the queue did not close well: {error}"))),
        Err(_) => return Err(RunError::Failed("the queue did not close in time".to_owned())),
    }
    // The filters have seen it and the disk has not.
    let Ok(mut rows) = tokio::time::timeout(LEFT_WITHIN, intake.left()).await else {
        tracing::warn!("not all that was received found room: every sensor's next reading passes");
        return Ok(());
    };
    rows.extend(ingest.tick(clock.now(), true).0);
    if let Err(error) = clean_stop::leave(state, &ingest.filter_states(), &rows) {
        tracing::warn!(%error, "the filters' states are not kept: every sensor's next reading passes");
    }
    tracing::info!(queued, "stopped");
    Ok(())
}

fn dropped_before(queue: &aio::Queue) -> u64 {
    let hub = queue.ledger().into_iter().filter(|ledger| ledger.consumer == store::CONSUMER);
    given_up(&hub.collect::<Vec<_>>())
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
        control: Option<&mut Control>,
        (state, expects_session): (&Path, bool),
    ) -> Result<Self, RunError> {
        match &config.local {
            Local::Listen { address, accept_control_characters, limits } => {
                let fit = connections_that_fit(limits.max_connections);
                let mut limits = listener_config(&ListenerLimits { max_connections: fit, ..*limits });
                limits.accept_control_characters = *accept_control_characters;
                Ok(Self::Server(listen(*address, limits, clock, ingest, intake, control).await?))
            }
            Local::Broker { host, port, client_id, topics } => {
                let target = Target {
                    host: host.clone(),
                    port: *port,
                    client_id: client_id.clone(),
                    topics: topics.clone(),
                    expects_session,
                    subscribed: Subscribed::load(state, format!("{client_id} {host}:{port}")),
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

    fn listener(&self) -> Option<LocalPublisher> {
        match self {
            Self::Server(server) => Some(server.publisher()),
            Self::Broker(_) => None,
        }
    }

    async fn stop(self, within: Duration) {
        match self {
            Self::Server(server) => server.shutdown(within).await,
            Self::Broker(broker) => broker.stop(within).await,
        }
    }
}

/// Raises the limit of open files if that is needed. Returns how many connections there is room for.
fn connections_that_fit(wanted: u32) -> u32 {
    let files = OpenFiles::of_this_process();
    let fit = files.connections(wanted);
    if let Err(error) = files.raise_for(fit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    if fit < wanted {
        tracing::warn!(
            limit = files.hard,
            "at most {fit} connections of [local] max_connections = {wanted}: the limit of open files leaves no more"
        );
    }
    fit
}

fn listener_config(limits: &ListenerLimits) -> edge_bridge::listener::Config {
    let mut config = edge_bridge::listener::Config::default();
    config.max_connections = limits.max_connections as usize;
    config.session.limits = config.session.limits.with_max_packet_size(limits.max_packet);
    config.max_memory = usize::try_from(limits.max_memory).unwrap_or(usize::MAX);
    // Sessions of absent clients beside those that are there.
    config.max_sessions = config.max_sessions.max(2 * config.max_connections);
    // What waits for several clients is one copy: `max_memory` is its limit.
    config.max_queued_bytes_total = usize::MAX;
    config
}

/// The listener; the loops hear and speak there.
pub(super) async fn listen(
    address: SocketAddr,
    mut limits: edge_bridge::listener::Config,
    clock: Clock,
    ingest: &GatewayIngest,
    intake: &Intake,
    control: Option<&mut Control>,
) -> Result<Server, RunError> {
    if control.is_some() {
        limits.own_topics = control_loop::mqtt::own_topics();
    }
    let mut log = ClientLog::default();
    let departures = control.as_ref().and_then(|control| control.departures());
    let mut builder = Server::builder().config(limits).clock(clock).on_event(move |event, address| {
        if let Some(departures) = &departures {
            departures.on_event(event);
        }
        log.on_event(clock.now().up_ms, event, address);
    });
    let mut control = control;
    let pause_max = control.as_ref().map_or(PAUSE_MAX, |control| PAUSE_MAX.min(control.watchdog() / 4));
    if let Some(inputs) = control.as_mut().and_then(|control| control.inputs()) {
        builder = builder.on_publish(inputs);
    }
    let sink = |receipts| ServerSink::new(ingest.clone(), intake.clone(), receipts, pause_max);
    let server = builder.start(address, ingest.clone(), sink).await;
    let server = server.map_err(|error| RunError::Failed(format!("[local] listen {address}: {error}")))?;
    tracing::info!("accepting on {}", server.local_addr());
    if let Some(control) = control {
        control.publish(server.publisher(), ingest.clone(), intake.clone(), clock);
    }
    Ok(server)
}

/// The clock of rows and filters, as far as the configuration trusts it.
pub(crate) fn wall_clock(config: &Config) -> SystemClock {
    let wall = SystemClock::new();
    if config.trusts_clock { wall.assume_synced() } else { wall }
}

/// Lets the filters notice what did not happen, and let go what others wait for.
async fn tick(clock: Clock, wall: Arc<SystemClock>, ingest: GatewayIngest, intake: Intake) {
    loop {
        ingest.trust_clock(wall.now().synced);
        let left = ingest.due_in_ms(clock.now()).map_or(TICK_MAX, |ms| Duration::from_millis(ms.max(10)));
        // A deadline that a message makes meanwhile is found a second late at most.
        let is_asked_for = tokio::select! {
            () = tokio::time::sleep(left.min(Duration::from_secs(1))) => false,
            () = intake.let_go_is_asked_for() => true,
        };
        if !is_asked_for && ingest.due_in_ms(clock.now()) != Some(0) {
            continue;
        }
        // Room first: a row that has no place must not have moved a filter's state.
        let Some(place) = intake.reserve().await else { return };
        put_due(place, clock.now(), is_asked_for, &ingest);
        if is_asked_for {
            intake.commit();
        }
    }
}

fn put_due(place: Place<'_>, now: Now, is_asked_for: bool, ingest: &GatewayIngest) {
    let (rows, link) = ingest.tick(now, is_asked_for);
    if !rows.is_empty() || !link.is_empty() {
        place.put(rows, Tell::Nobody, link);
    }
}

/// No stage holds what has no receipt yet: such a reading would come again, and be taken for a repetition.
async fn let_go(clock: Clock, ingest: &GatewayIngest, intake: &Intake) {
    ingest.stop_holding();
    match tokio::time::timeout(LET_GO_WITHIN, intake.reserve()).await {
        Ok(Some(place)) => put_due(place, clock.now(), false, ingest),
        Ok(None) | Err(_) => tracing::info!("no room for what the filters hold: it waits for the next start"),
    }
}
