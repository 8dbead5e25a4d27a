//! Monitor of the running gateway: collects its state for the log, the metrics, the status and the probes.

#![allow(clippy::disallowed_methods, reason = "a shell: it looks once a second")]

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_bridge::net::Clock;
use edge_bridge::net::intake::Intake;
use edge_bridge::{Link, listener};
use edge_queue::{Clock as _, Health, Ledger, Stats, SystemClock, aio};
use edge_service::Notifier;

use crate::run::commands::CommandCounts;
use crate::run::hub::compact::EchoedTables;
use crate::run::hub::gap_reports::GapReports;
use crate::run::hub::hub_refusals::HubRefusals;
use crate::run::hub::hub_status::{HubStatus, Matter};
use crate::run::hub::same_identifier::SameIdentifier;
use crate::run::hub::table_files::TableFiles;
use crate::run::local_control::control;
use crate::run::queue::found_at_open::FoundAtOpen;
use crate::run::queue::queue_account::QueueAccount;
use crate::run::queue::store::{self, CONSUMER, of_hub};
use crate::run::restart::start_counter::StartCounter;
use crate::run::sensors::broker::state::BrokerState;
use crate::run::sensors::ingest::GatewayIngest;
use crate::run::sensors::intake_figures::IntakeFigures;

use super::certificates::{Certificates, End};
use super::counter_age::{Refresh, lag};
use super::http::{Answer, Pages};
use super::listener_probe::ListenerProbe;
use super::loss_detection::{LossDetection, Lost};
use super::metrics::Sample;
use super::probe_answers::{self, WayIn};
use super::process_figures::process;
use super::service;
use super::snapshot::figures::{Figures, QueueFigures};
use super::snapshot::snapshot_maker::Memory;
use super::snapshot::{CurrentFacts, Totals, is_up};
use super::state_log::StateLog;
use super::unclaimed_messages::unclaimed;
use super::verdict::{Verdict, steady, while_dialled};
use super::verdict_cause::cause;
use super::wan_bytes;

/// Period of the checks of the gateway's state.
pub(in crate::run) const EVERY: Duration = Duration::from_secs(1);
/// Time limit of the queue's statistics; a worker thread that takes longer counts as stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Handle to the monitor; cheap to clone.
#[derive(Clone)]
pub(crate) struct Monitor {
    pub(crate) queue: aio::Queue,
    pub(crate) link: Link,
    /// State of the connection to the local broker; `None` if sensors connect to the gateway itself.
    pub(crate) local_broker: Option<Arc<BrokerState>>,
    /// The gateway's own listener; `None` if the sensors are behind a broker.
    pub(crate) listener: Option<ListenerProbe>,
    pub(crate) ingest: GatewayIngest,
    pub(crate) intake: Intake,
    pub(crate) clock: Clock,
    pub(crate) wall: Arc<SystemClock>,
    pub(crate) losses: LossDetection,
    pub(crate) same_identifier: SameIdentifier,
    /// Pace at which the totals are brought up to date for their readers.
    pub(crate) refresh: Arc<Mutex<Refresh>>,
    pub(crate) echoed_tables: EchoedTables,
    pub(crate) table_files: TableFiles,
    pub(crate) gap_reports: Option<GapReports>,
    pub(crate) hub_status: Option<HubStatus>,
    pub(crate) facts: CurrentFacts,
    /// Set if an earlier process parked messages, whose totals are unknown until their queue is open.
    pub(crate) parked_before: bool,
    pub(crate) restarts: StartCounter,
    pub(crate) account: QueueAccount,
    pub(crate) found: FoundAtOpen,
    pub(crate) control: Option<control::Figures>,
    pub(crate) commands: Option<CommandCounts>,
    pub(crate) certificates: Certificates,
    /// History of the status for the status page and command.
    pub(crate) memory: Memory,
}

impl Monitor {
    /// Collects all figures at one moment; `None` if the queue does not answer.
    pub(crate) async fn sample(&self) -> Option<(Sample, Stats)> {
        let stats = self.queue_stats().await?;
        let link = self.link.stats();
        let parked = self.link.parked_queue();
        // Those of now: a store that fails commits nothing, and losses are news at once.
        let listener = listener_stats(self.listener.as_ref()).await;
        let intake = self.intake_figures();
        let live = of_hub(self.queue.ledger());
        let here = Lost::of(&live).and_without_room(intake.lost_before_the_queue(listener.as_ref()));
        let parked_live = parked.as_ref().map(|queue| queue.ledger());
        let lost_parked = parked_live.as_deref().map(Lost::of);
        let lost = [Some(here), lost_parked];
        let delivered = |ledgers: &[Ledger]| ledgers.iter().map(|ledger| ledger.delivered).sum::<u64>();
        let gone = self.account.gone();
        let withheld = self.ingest.withheld();
        let up_ms = self.clock.now().up_ms;
        let mut sample = Sample {
            // Counters that are exported must not go back after a kill.
            ledgers: of_hub(self.queue.committed_ledger()),
            parked_ledgers: match &parked {
                Some(queue) => Some(queue.committed_ledger()),
                None => (!self.parked_before).then(Vec::new),
            },
            given_up: lost.iter().flatten().map(|lost| lost.total()).sum::<u64>() + gone.messages,
            damaged: lost.iter().flatten().map(|lost| lost.damaged).sum(),
            gone,
            losing: self.losses.losing(up_ms, here, lost_parked, gone.queues),
            intake,
            queue_messages: stats.messages,
            queue_bytes: stats.bytes,
            oldest_age_ms: stats.oldest_age_ms.unwrap_or(0),
            withheld_messages: withheld.messages as u64,
            withheld_oldest_age_ms: withheld.since_ms.map_or(0, |since_ms| up_ms.saturating_sub(since_ms)),
            delivered_now: delivered(&live) + delivered(parked_live.as_deref().unwrap_or_default()),
            rows_delivered: link.rows_delivered,
            unacked: link.unacknowledged,
            round_trip_ms: link.srtt_ms,
            taken_over: link.taken_over,
            may_be_taken_over: self.same_identifier.see(up_ms, link.last_error.as_deref()),
            own_certificate: self.certificates.own(&link),
            drops_for_time: false,
            link: while_dialled(link.link),
            refused: HubRefusals::of(&link, self.link.clock().now().up_ms, self.echoed_tables.unanswered()),
            restarts: self.restarts,
            found: self.found.clone(),
            link_cause: link.last_error.clone(),
            hub_address: link.address,
            verdict: Verdict::Delivering,
            clock_synced: self.wall.now().synced,
            certificates: self.certificates.ends(self.wall.now().synced),
            config_refused: self.facts.get().is_refused(),
            store_bytes_written: stats.store.bytes_written + self.table_files.bytes_written(),
            wan_bytes: wan_bytes::by_cause(&link),
            counts: self.ingest.counts(),
            commands: self.commands.clone(),
            unclaimed: unclaimed(&link),
            without_subscribers: link.without_subscribers,
            listener,
        };
        // Asked each time: what was dropped under another reason to be degraded is no news afterwards.
        sample.drops_for_time = self.losses.drops_for_time(up_ms, sample.counts.dropped_for_time());
        sample.verdict = Verdict::of(sample.link, self.is_degraded(&stats, &sample), sample.losing.any());
        Some((sample, stats))
    }

    /// Returns the queue's statistics, which are all that a probe waits for; `None` if the queue does not answer.
    async fn queue_stats(&self) -> Option<Stats> {
        tokio::time::timeout(ANSWER_WITHIN, self.queue.stats()).await.ok().flatten()
    }

    fn intake_figures(&self) -> IntakeFigures {
        IntakeFigures {
            too_large: self.intake.never_stored(),
            answers_without_room: self.ingest.answers_without_room().load(Ordering::Relaxed),
            on_the_way: self.intake.on_the_way(),
            no_room: self.intake.without_room(),
            full_lanes: self.intake.full_lanes(),
        }
    }

    /// Collects the figures of a status at one moment; `None` if the queue does not answer.
    pub(crate) async fn figures(&self) -> Option<Figures> {
        let (sample, stats) = self.sample().await?;
        Some(Figures {
            totals: Totals::of(&sample),
            queue: QueueFigures::of(&stats),
            routes: self.ingest.route_figures(),
            local_broker_connected: self.local_broker.as_ref().map(|broker| broker.is_connected()),
            local_broker_cause: self.local_broker.as_ref().and_then(|broker| broker.cause()),
            receipts: self.intake.receipts(),
            pubacks: self.link.stats().puback,
            sample,
        })
    }

    /// Records that the totals are being read, and have to be brought up to date.
    pub(crate) fn asked(&self) {
        self.lock_refresh().asked();
    }

    fn lock_refresh(&self) -> MutexGuard<'_, Refresh> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs that the gateway is ready, then each change of its state, for as long as it is polled; also notifies systemd, feeds its watchdog and
    /// checks the certificates.
    pub(crate) async fn watch(self, service: Notifier) {
        service::ready(&service);
        let keep_alive = service::keep_alive(&service, &self.queue);
        let account = self.account.clone().keep(self.queue.clone());
        let certificates = self.certificates.clone().watch(|| self.wall.now().synced);
        tokio::join!(self.tell_state(&service), keep_alive, certificates, account);
    }

    /// Writes a log line for each change of the state, within the rate limit, for as long as it is polled.
    async fn tell_state(&self, service: &Notifier) {
        let mut log = StateLog::default();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once: the link gets a moment to dial.
        every.tick().await;
        loop {
            every.tick().await;
            let _at_open = store::tell_events(&self.queue, Path::new(&self.facts.get().state));
            self.report_gaps();
            self.refresh_totals().await;
            let Some(figures) = self.figures().await else { continue };
            self.memory.note(&self.clock, &figures);
            self.tell_hub(&figures);
            service.status(&service::sentence(figures.sample.verdict, cause(&figures)));
            let state = (figures.sample.verdict, steady(figures.sample.link));
            if let Some(changes) = log.note(self.clock.now().up_ms, state) {
                say(&figures, changes);
            }
        }
    }

    /// Removes gap records whose report has a PUBACK from the queue's list, and passes the list on for the next report.
    fn report_gaps(&self) {
        let Some(reports) = &self.gap_reports else { return };
        let delivered = reports.take_delivered();
        if !delivered.is_empty() {
            self.queue.ack_gaps(CONSUMER, &delivered);
        }
        if reports.see(self.queue.gaps(CONSUMER)) {
            self.link.rows_pushed();
        }
    }

    /// Makes a status message due if the state changed, while the hub answers.
    fn tell_hub(&self, figures: &Figures) {
        let Some(status) = self.hub_status.as_ref().filter(|_| is_up(figures.sample.link)) else { return };
        let facts = self.facts.get();
        let make =
            || (self.memory.snapshot(&facts, &self.clock, figures), process(&figures.sample.certificates));
        let matter = Matter {
            verdict: figures.sample.verdict,
            config: facts.config.clone(),
            is_refused: facts.is_refused(),
            lost: figures.sample.given_up,
        };
        let link = self.link.stats();
        let connection = (link.connects, !link.will_left_out);
        if status.see(self.clock.now().up_ms, connection, matter, make) {
            self.link.rows_pushed();
        }
    }

    /// Commits the queue's counters if the totals are being read and the pause is over.
    async fn refresh_totals(&self) {
        let queues = [Some(self.queue.clone()), self.link.parked_queue()];
        let behind = |queue: &aio::Queue| lag(&queue.committed_ledger(), &queue.ledger());
        let lag = queues.iter().flatten().any(behind);
        let is_due = self.lock_refresh().is_due(self.clock.now().up_ms, lag);
        if !is_due {
            return;
        }
        for queue in queues.iter().flatten() {
            // A store that fails is told of by the queue, which tries again by itself.
            let _later = tokio::time::timeout(ANSWER_WITHIN, queue.commit_ends()).await;
        }
    }

    /// Returns the metrics. The control loops' part does not depend on a queue that answers.
    async fn metrics(&self) -> Answer {
        self.asked();
        let loops = self.control.as_ref().map(control::Figures::render);
        let page = self.figures().await.map(|figures| {
            let mut page = figures.sample.page();
            self.memory.render(&self.facts.get(), &self.clock, &figures, &mut page);
            page.into_text()
        });
        probe_answers::metrics(page, loops)
    }

    /// Returns whether something needs the operator although messages may flow.
    fn is_degraded(&self, stats: &Stats, sample: &Sample) -> bool {
        self.facts.get().is_unkept()
            || stats.health != Health::Healthy
            || sample.refused.needs_somebody()
            || sample.certificates.iter().any(End::needs_somebody)
            || sample.own_certificate.is_not_taken
            || sample.intake.full_lanes != 0
            || sample.drops_for_time
            || sample.taken_over
            || self.local_broker.as_ref().is_some_and(|broker| broker.is_missed(self.clock.now().up_ms))
    }

    /// Returns whether messages are accepted.
    async fn readiness(&self) -> Answer {
        let answers = async {
            match &self.listener {
                Some(listener) => listener.answer().await.is_some(),
                None => true,
            }
        };
        let (stats, listener_answers) = tokio::join!(self.queue_stats(), answers);
        let queue = stats.map(|stats| QueueFigures::of(&stats)).unwrap_or_default();
        let is_connected = self.local_broker.as_ref().is_none_or(|broker| broker.is_connected());
        let (has_room, facts) = (self.intake.has_room(), self.facts.get());
        WayIn { listener_answers, is_connected, has_room, queue: &queue, state: &facts.state }.readiness()
    }
}

/// Figures of the gateway's own listener; `None` without one, or if it has not answered yet.
pub(in crate::run) async fn listener_stats(listener: Option<&ListenerProbe>) -> Option<listener::Stats> {
    listener?.stats().await
}

/// Writes the log line of the state. `changes`: changes of the state since the last line.
fn say(figures: &Figures, changes: u64) {
    let sample = &figures.sample;
    let (verdict, link, queued) = (sample.verdict, sample.link, sample.queue_messages);
    let cause = sample.link_cause.as_deref();
    match (&figures.queue.fault, verdict) {
        (Some(reason), _) => {
            tracing::warn!(%verdict, %link, changes, cause, queued, reason, "state");
        }
        (_, Verdict::Degraded) => {
            let HubRefusals { parked, in_place, held, topics, link_refused, .. } = sample.refused;
            let refusal = sample.refused.cause().filter(|_| sample.refused.needs_somebody());
            let dropped_for_time = sample.counts.dropped_for_time();
            let near = sample.certificates.iter().find(|end| end.needs_somebody());
            let certificate = near.map(|end| end.role.as_str());
            let no_room = sample.intake.no_room;
            tracing::warn!(
                %verdict, %link, changes, cause, queued, parked, in_place, held, refused_topics = topics, link_refused, refusal,
                dropped_for_time, certificate, no_room, "state"
            );
        }
        (_, Verdict::Losing) => {
            tracing::warn!(%verdict, %link, changes, cause, queued, given_up = sample.given_up, "state");
        }
        _ => tracing::info!(%verdict, %link, changes, cause, queued, "state"),
    }
}

impl Pages for Monitor {
    async fn page(&self, path: &str) -> Option<Answer> {
        match path {
            "/metrics" => Some(self.metrics().await),
            "/healthz" => Some(service::liveness(self.queue_stats().await.as_ref())),
            "/readyz" => Some(self.readiness().await),
            _ => None,
        }
    }
}
