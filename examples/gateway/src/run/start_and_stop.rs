//! Life of the gateway: starts the parts, waits for a signal, and stops them in an order in which nothing is lost.
//!
//! Control loops, local clients and HTTP probes do not wait for the disk. They start when the queue is open or the first attempt to open it has
//! failed, and continue when it is opened later. Until then every lane counts as full.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: the runtime and its tasks")]

use std::mem::take;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::Link;
use edge_bridge::net::intake::Intake;
use edge_bridge::net::{Builder, Clock, ClockFloor};
use edge_queue::{SystemClock, aio};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::{Config, Token};

use super::certificate_floor::CertificateFloor;
use super::commands::{LoopsAndAlarms, RunningCommands, Unended};
use super::configuration::route_changes::{Configurations, RouteChanges};
use super::error::RunError;
use super::filters::{due_rows, watched_sensors_file};
use super::hub::compact::{Compact, EchoedTables, KeptTables};
use super::hub::duplicate_marks::DuplicateMarks;
use super::hub::gap_reports::GapReports;
use super::hub::goodbye;
use super::hub::hub_state;
use super::hub::keep_enrolled;
use super::hub::same_identifier::SameIdentifier;
use super::hub::table_files::TableFiles;
use super::hub::table_subscriber::TableSubscriber;
use super::hub::uplink::{self, Beside};
use super::local_control::alarm_commands::Alarms;
use super::local_control::control::{Control, Figures};
use super::power_failure::InMemory;
use super::queue::opening::{Cause, Opened, Opening};
use super::queue::queue_account::QueueAccount;
use super::queue::status_without_queue::{NoQueue, Surface};
use super::queue::{parked_messages, store};
use super::replaced_parts::{Packers, Parts, Started};
use super::restart::Stop;
use super::restart::resume::{Resumed, StateFiles, resume};
use super::restart::{clean_stop_mark, first_rows};
use super::sensors::ingest::GatewayIngest;
use super::sensors::local_side::Front;
use super::status::certificates::Certificates;
use super::status::control_socket::{self, LaterQueue, QueueAndLink};
use super::status::counter_age::Refresh;
use super::status::loss_detection::{LossDetection, Lost};
use super::status::monitor::Monitor;
use super::status::outputs::PageAccess;
use super::status::outputs::http_pages::StatusPages;
use super::status::snapshot::snapshot_maker::{Memory, Snapshots};
use super::status::snapshot::{CurrentFacts, Facts};
use super::status::verdict::Losses;
use super::status::{flash_watch, http};
use super::tap::Taps;

/// Time limit for the receipts of received messages, and for DISCONNECT to the sensors. It is part of the sixteen seconds of the longest stop, one of which
/// is for the control loops.
const LOCAL_WITHIN: Duration = Duration::from_secs(2);
/// Time limit for the first attempt to create the control socket, before the gateway counts as ready.
const SOCKET_WITHIN: Duration = Duration::from_secs(1);
/// Time limit for the last commit of the queue.
const STORE_WITHIN: Duration = Duration::from_secs(3);
/// Time limit for the closed queue to return the rows that it did not store.
const LEFT_WITHIN: Duration = Duration::from_millis(200);

/// Parts that run with or without a queue.
struct Local {
    clock: Clock,
    wall: Arc<SystemClock>,
    ingest: GatewayIngest,
    intake: Intake,
    control: Option<Control>,
    alarms: Option<[JoinHandle<()>; 2]>,
    front: Front,
    no_queue: NoQueue,
    surface: Surface,
    packers: Packers,
    taps: Taps,
    configurations: Option<Configurations>,
    /// Queue and link to the hub, set once they are open, for requests at the control socket.
    opened: LaterQueue,
    /// Notification that the first attempt to create the control socket has ended.
    socket_tried: oneshot::Receiver<()>,
    /// Tasks of the status pages and the control socket.
    tasks: Vec<JoinHandle<()>>,
}

/// Runs the gateway until `stop` ends.
///
/// # Errors
/// The reason in words, with the exit code.
pub(crate) async fn run(
    config: &Config,
    state: &Path,
    mut parts: Parts,
    mut stop: Stop<'_>,
) -> Result<(), RunError> {
    // systemd's watchdog goes on from the run before, and no part that can ping is there while all of them stop or start.
    let (open_queue, service, power) = (parts.open_queue.clone(), parts.service.clone(), parts.power.take());
    let wall = Arc::new(wall_clock(config));
    let floor = CertificateFloor::new(wall.clone());
    let uplink = uplink::prepare(config, &floor.clock())?;
    // Before all else: another process on this directory gets no further.
    let mut opening = Opening::start(state, config, wall.clone(), parts.is_restart);
    let opened = service.while_waiting(opening.at_once()).await?;
    let starting = Local::start(config, state, (wall, floor.clock()), opening.cause(), parts);
    let mut local = service.while_waiting(starting).await?;
    local.tasks.push(tokio::spawn(flash_watch::keep(state.to_owned(), local.no_queue.facts.clone())));
    local.tasks.extend(power.map(|power| {
        let way = (&local.ingest, &local.intake, local.clock);
        let memory = InMemory::new(way, open_queue.clone(), local.control.as_ref(), local.front.listener());
        tokio::spawn(memory.keep_at_each(power))
    }));
    let table_subscriber = TableSubscriber::new(config);
    let files = StateFiles {
        dir: state.to_owned(),
        lanes: config.queue.lanes.len(),
        table_files: TableFiles::new(state),
        table_topics: table_subscriber.topics.clone(),
    };
    let way = (&local.ingest, local.clock);
    match resume(&files, opened, &mut opening, way, &local.no_queue, stop.as_mut()).await {
        Ok(Some(taken)) => {
            taken.tell_opened(config, state);
            floor.raise(taken.opened.account.known_s());
            let is_stopping = taken.is_stopping;
            let certificates = Certificates::new(config);
            let enrolled = keep_enrolled(config, &local.wall, floor.clock(), &certificates.enrolment);
            local.tasks.extend(enrolled);
            let others = (taken, table_subscriber, files.table_files);
            let running = local.with_queue(config, state, (uplink, certificates), others);
            let running = service.while_waiting(running).await?;
            open_queue.show(&running.store.0, &running.link);
            if !is_stopping {
                stop.await;
            }
            service.while_waiting(running.stop(state)).await
        }
        without => {
            service.while_waiting(local.stop()).await;
            without.map(drop)
        }
    }
}

impl Local {
    async fn start(
        config: &Config,
        state: &Path,
        (wall, floor): (Arc<SystemClock>, ClockFloor),
        cause: Cause,
        parts: Parts,
    ) -> Result<Self, RunError> {
        let Parts { filters, ingest: own, packers, started, service, configurations, .. } = parts;
        let clock = Clock::start();
        let ingest = GatewayIngest::new(&config.routes, DuplicateMarks::default())
            .and_then(|ingest| ingest.set_parts(own, filters).map(|()| ingest))
            .map_err(RunError::Configuration)?;
        let metrics = http::bind(config.metrics).await?;
        let (intake, opened) = (Intake::closed(), LaterQueue::default());
        let taps = Taps::start(clock, &ingest, &intake, &config.queue.lanes);
        let alarms = Alarms::open(config.alarm_commands.as_ref(), &ingest, &intake);
        let mut control = match &config.control {
            Some(control) => Some(Control::start(control, state, &ingest).await?),
            None => None,
        };
        let facts = configurations.as_ref().map(|found| found.in_force.borrow().facts(state));
        let facts = CurrentFacts::new(facts.unwrap_or_else(|| Facts::of(config, state)));
        let front =
            Front::start(config, state, (clock, floor), &ingest, &intake, control.as_mut(), &facts).await?;
        let alarms = alarms
            .zip(front.listener())
            .map(|(alarms, local)| alarms.run(state, clock, local, ingest.clone(), intake.clone()));
        let no_queue = NoQueue {
            cause,
            listener: front.listener().map(Into::into),
            control: control.as_ref().map(Control::figures),
            ingest: ingest.clone(),
            clock,
            wall: wall.clone(),
            losses: Arc::new(Mutex::new(Losses::new(0))),
            service,
            memory: Memory::new(&clock),
            facts,
            in_force: configurations.as_ref().map(|found| found.in_force.clone()),
        };
        let surface = Surface::new(no_queue.clone());
        let snapshots =
            Snapshots::new(surface.clone(), no_queue.facts.clone(), no_queue.memory.clone(), clock);
        let pages = metrics.map(|(socket, address)| {
            let access = PageAccess::new(address.ip(), config.status_token.as_ref().map(Token::as_bytes));
            tokio::spawn(http::serve(socket, StatusPages::new(surface.clone(), snapshots.clone(), access)))
        });
        let (socket, socket_tried) = control_socket::start(state, snapshots.clone(), &opened, &taps);
        if let Some(started) = started {
            // Whoever asked for it may be gone.
            let _ = started.send(Started { address: front.address(), snapshots });
        }
        Ok(Self {
            clock,
            wall,
            ingest,
            intake,
            control,
            alarms,
            front,
            no_queue,
            surface,
            packers,
            taps,
            configurations,
            opened,
            socket_tried,
            tasks: pages.into_iter().chain([socket]).collect(),
        })
    }

    /// Starts the parts that need the queue. No message was received before, so the restored state is still unchanged.
    async fn with_queue(
        mut self,
        config: &Config,
        state: &Path,
        (uplink, certificates): (Builder, Certificates),
        (taken, table_subscriber, table_files): (Resumed, TableSubscriber, TableFiles),
    ) -> Result<Running, RunError> {
        let Resumed { opened, rows, alarms: told, pace, tables: saved, restarts, .. } = taken;
        let Opened { queue, consumer, account, found, .. } = opened;
        let (echoed, kept, max_age) = (EchoedTables::default(), KeptTables::default(), config.queue.max_age);
        let compact = Compact::new(&config.routes, &config.id, max_age, echoed.clone(), &kept, &saved);
        let parked_before = queue.has_beside(parked_messages::DIR);
        let beside = Beside::new(config, queue.gateway_id(), compact, take(&mut self.packers), &self.taps);
        let (gap_reports, hub_status, next_routes) = beside.handles();
        let link = match uplink::start(uplink, config, &queue, consumer, beside) {
            Ok(link) => link,
            Err(error) => return Err(self.ended_by(error).await),
        };
        let Self { clock, wall, ingest, intake, control, alarms, front, no_queue, surface, .. } = self;
        let front = front.with_queue(config, clock, &ingest, &intake, state)?;
        let first_rows = first_rows::queue(state, &intake, rows, told);
        intake.open(&queue, config.queue.lanes.len());
        let ways = (front.listener(), LoopsAndAlarms::new(control.as_ref(), &ingest));
        let commands = RunningCommands::start(config, state, ways, (&link, &intake, &queue, clock));
        let monitor = Monitor {
            queue: queue.clone(),
            link: link.clone(),
            local_broker: front.broker_state(),
            listener: no_queue.listener.clone(),
            ingest: ingest.clone(),
            intake: intake.clone(),
            clock,
            wall: wall.clone(),
            losses: loss_detection(&queue, &no_queue, &account),
            same_identifier: SameIdentifier::default(),
            refresh: Arc::new(Mutex::new(Refresh::new(config.totals_within))),
            echoed_tables: echoed.clone(),
            table_files: table_files.clone(),
            gap_reports: gap_reports.clone(),
            hub_status,
            facts: no_queue.facts.clone(),
            parked_before,
            restarts,
            account: account.clone(),
            found,
            control: control.as_ref().map(Control::figures),
            commands: commands.counts(),
            certificates,
            memory: no_queue.memory.clone(),
        };
        // Whoever finds the gateway ready finds the socket. No await comes before the intake is open: in it sensors' messages would find no room.
        let _tried = tokio::time::timeout(SOCKET_WITHIN, self.socket_tried).await;
        surface.show(monitor.clone());
        let mule = QueueAndLink::show(&self.opened, config, &queue, &link);
        let (changes, more_tables) = RouteChanges::new(&monitor, (next_routes, mule), &table_subscriber);
        let changes = self.configurations.map(|found| tokio::spawn(changes.follow(found, state.to_owned())));
        let tasks = [
            tokio::spawn(monitor.watch(no_queue.service)),
            tokio::spawn(table_subscriber.listen(link.clone(), echoed, more_tables)),
            tokio::spawn(table_files.keep(kept)),
            tokio::spawn(hub_state::tell(link.clone(), front.listener(), config.hub.client_id.clone())),
            tokio::spawn(due_rows::tick(clock, wall, ingest.clone(), intake.clone())),
            tokio::spawn(watched_sensors_file::keep(state.to_owned(), clock, ingest.clone(), pace)),
            tokio::spawn(parked_messages::compare(link.clone(), store::config(config))),
            first_rows,
        ];
        let tasks = tasks.into_iter().chain(changes).chain(self.tasks).chain(alarms.into_iter().flatten());
        let store = (queue, account, gap_reports);
        Ok(Running { clock, ingest, intake, control, commands, front, link, store, tasks: tasks.collect() })
    }

    async fn ended_by(self, error: RunError) -> RunError {
        self.stop().await;
        error
    }

    /// Stops without a queue. The mark of the last stop stays, because no message was received.
    async fn stop(self) {
        if let Some(control) = self.control {
            control.stop().await;
        }
        self.front.stop(LOCAL_WITHIN).await;
        self.tasks.into_iter().chain(self.alarms.into_iter().flatten()).for_each(|task| task.abort());
        // Among them that the outputs are safe.
        let unqueued = self.no_queue.control.as_ref().map_or(0, Figures::unqueued);
        tracing::info!(unqueued, "stopped without a queue");
    }
}

/// Gateway whose queue is open.
struct Running {
    clock: Clock,
    ingest: GatewayIngest,
    intake: Intake,
    control: Option<Control>,
    commands: RunningCommands,
    front: Front,
    link: Link,
    store: (aio::Queue, QueueAccount, Option<GapReports>),
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    async fn stop(self, state: &Path) -> Result<(), RunError> {
        let Self { clock, ingest, intake, control, commands, front, link, store, tasks } = self;
        let _unended = stop_commanding(control, commands).await;
        due_rows::let_go(clock, &ingest, &intake).await;
        front.stop(LOCAL_WITHIN).await;
        tasks.into_iter().for_each(|task| task.abort());
        stop(state, clock, (&ingest, &intake), link, store).await
    }
}

/// Stops loops and commands at the same time, so that they share their one second.
async fn stop_commanding(control: Option<Control>, commands: RunningCommands) -> Option<Unended> {
    let loops = async {
        if let Some(control) = control {
            control.stop().await;
        }
    };
    tokio::join!(loops, commands.stop()).1
}

/// Stops the other parts. The filters go first, because the queue stores held readings if the disk has no room for the filters' states. Then the
/// link, so that rows that it leased are given back before the last commit. The mark of a clean stop is written last.
async fn stop(
    state: &Path,
    clock: Clock,
    (ingest, intake): (&GatewayIngest, &Intake),
    link: Link,
    (queue, account, gap_reports): (aio::Queue, QueueAccount, Option<GapReports>),
) -> Result<(), RunError> {
    due_rows::flush_without_room(state, ingest, intake).await;
    goodbye::close(&link).await;
    if let Some(reports) = gap_reports {
        queue.ack_gaps(store::CONSUMER, &reports.take_delivered());
    }
    let queued = store::waiting(&queue);
    match tokio::time::timeout(STORE_WITHIN, queue.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(RunError::Failed(format!("the queue did not close well: {error}"))),
        Err(_) => return Err(RunError::Failed("the queue did not close in time".to_owned())),
    }
    account.close(queued);
    // The filters have seen it and the disk has not.
    let Ok(mut rows) = tokio::time::timeout(LEFT_WITHIN, intake.unpushed()).await else {
        tracing::warn!("not all that was received found room: every sensor's next reading passes");
        return Ok(());
    };
    rows.extend(ingest.tick(clock.now(), true).0);
    if let Err(error) = clean_stop_mark::leave(state, || ingest.filter_states(), &rows) {
        tracing::warn!(%error, "the filters' states are not kept: every sensor's next reading passes");
    }
    tracing::info!(queued, "stopped");
    Ok(())
}

/// Returns the detectors of losses, for which those of earlier runs and what was given up for want of a queue are no news.
fn loss_detection(queue: &aio::Queue, no_queue: &NoQueue, account: &QueueAccount) -> LossDetection {
    let lost = Lost::of(&store::of_hub(queue.ledger())).and_without_room(no_queue.known_losses());
    LossDetection::new(lost, account.gone_before())
}

/// Returns the wall clock of rows and filters, trusted from the start if the configuration demands it.
pub(crate) fn wall_clock(config: &Config) -> SystemClock {
    if config.trusts_clock { SystemClock::new().assume_synced() } else { SystemClock::new() }
}
