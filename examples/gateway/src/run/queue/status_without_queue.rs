//! Status, probes, metrics and log of a gateway whose queue is not open: they show the parts that run, and the losses for want of a queue.

#![allow(clippy::disallowed_methods, reason = "a shell: it looks once a second")]

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use edge_bridge::bridge::LinkState;
use edge_bridge::listener;
use edge_bridge::net::Clock;
use edge_queue::{Clock as _, SystemClock};
use edge_service::Notifier;
use tokio::sync::watch;

use crate::run::configuration::route_changes::InForce;
use crate::run::local_control::control;
use crate::run::sensors::ingest::GatewayIngest;
use crate::run::sensors::intake_figures::{DROPPED_HELP, IntakeFigures};
use crate::run::sensors::listener_figures;
use crate::run::status::http::{Answer, Pages};
use crate::run::status::listener_probe::ListenerProbe;
use crate::run::status::metrics::{config_refused, links};
use crate::run::status::monitor::{EVERY, Monitor, listener_stats};
use crate::run::status::prometheus_text::{Page, label};
use crate::run::status::snapshot::figures::Figures;
use crate::run::status::snapshot::snapshot_maker::Memory;
use crate::run::status::snapshot::{CurrentFacts, Facts, WithoutQueue};
use crate::run::status::state_log::StateLog;
use crate::run::status::verdict::{Losses, Verdict};

use super::opening::Cause;

/// Cause that is shown until an attempt has failed.
const OPENING: &str = "the queue is being opened";
/// Cause that is shown when the queue is open and its worker is stuck.
const SILENT: &str = "the queue does not answer";

/// Handle to status, metrics and log of a gateway without a queue; cheap to clone.
#[derive(Clone)]
pub(in crate::run) struct NoQueue {
    pub(in crate::run) cause: Cause,
    pub(in crate::run) listener: Option<ListenerProbe>,
    pub(in crate::run) control: Option<control::Figures>,
    pub(in crate::run) ingest: GatewayIngest,
    pub(in crate::run) clock: Clock,
    pub(in crate::run) wall: Arc<SystemClock>,
    /// Detector of messages that find no room.
    pub(in crate::run) losses: Arc<Mutex<Losses>>,
    pub(in crate::run) service: Notifier,
    /// History of the status for the status page and command.
    pub(in crate::run) memory: Memory,
    pub(in crate::run) facts: CurrentFacts,
    /// Configurations that follow while the gateway runs. `None`: none does.
    pub(in crate::run) in_force: Option<watch::Receiver<InForce>>,
}

/// State of a gateway whose queue is not open, or does not answer.
pub(crate) struct Without {
    cause: String,
    pub(crate) verdict: Verdict,
    lost: u64,
    clock_synced: bool,
    not_queued: u64,
}

impl Without {
    pub(crate) fn as_state(&self) -> WithoutQueue<'_> {
        let Self { ref cause, verdict, lost, clock_synced, not_queued } = *self;
        WithoutQueue { cause, verdict, lost, clock_synced, not_queued }
    }
}

impl NoQueue {
    /// Logs each change of the verdict, within the rate limit, and feeds systemd's watchdog, for as long as it is polled. The start without a queue
    /// has a line of its own.
    pub(in crate::run) async fn watch(&self) -> Infallible {
        // Of a process that was ready the watchdog goes on; a queue that is copied or a disk that hangs is no reason for a new start.
        self.service.while_waiting(self.tell_state()).await
    }

    async fn tell_state(&self) -> Infallible {
        let mut log = StateLog::default();
        log.note(self.clock.now().up_ms, (Verdict::Degraded, LinkState::Offline));
        loop {
            tokio::time::sleep(EVERY).await;
            self.follow_refusals();
            let state = self.state().await;
            self.memory.note_without_queue(&self.clock, &state.as_state());
            let verdict = state.verdict;
            // A new start would mend nothing, and end control.
            self.service.extend_start();
            self.service.status(&format!("{verdict}: no queue ({})", self.cause()));
            if let Some(changes) = log.note(self.clock.now().up_ms, (verdict, LinkState::Offline)) {
                tracing::warn!(%verdict, changes, cause = self.cause(), "state");
            }
        }
    }

    /// Shows in the status whether a changed configuration is refused, and why. Of one that is not refused nothing is applied here: its routes are
    /// once the queue is open.
    fn follow_refusals(&self) {
        let Some(in_force) = &self.in_force else { return };
        let (refused, facts) = (in_force.borrow().refused.clone(), self.facts.get());
        if facts.refused != refused {
            self.facts.set(Facts { refused, ..Facts::clone(&facts) });
        }
    }

    /// Returns the figures for a status.
    async fn state(&self) -> Without {
        let listener = self.listener_stats().await;
        Without {
            cause: self.cause(),
            verdict: self.verdict(listener.as_ref()),
            lost: listener.as_ref().map_or(0, listener_figures::without_room) + self.answers_without_room(),
            clock_synced: self.wall.now().synced,
            not_queued: listener.as_ref().map_or(0, |listener| listener.held as u64),
        }
    }

    /// Returns the number of messages lost so far, as of the last check.
    pub(in crate::run) fn known_losses(&self) -> u64 {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).known()
    }

    fn answers_without_room(&self) -> u64 {
        self.ingest.answers_without_room().load(Ordering::Relaxed)
    }

    fn cause(&self) -> String {
        self.cause.borrow().clone().unwrap_or_else(|| OPENING.to_owned())
    }

    async fn listener_stats(&self) -> Option<listener::Stats> {
        listener_stats(self.listener.as_ref()).await
    }

    fn verdict(&self, listener: Option<&listener::Stats>) -> Verdict {
        let given_up = listener.map_or(0, listener_figures::without_room) + self.answers_without_room();
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let is_losing = losses.are_happening(self.clock.now().up_ms, given_up);
        Verdict::of(LinkState::Offline, true, is_losing)
    }

    /// Returns the metrics without a queue. Totals over all starts are missing, because they are in the queue.
    async fn metrics(&self) -> String {
        let listener = self.listener_stats().await;
        let mut page = Page::default();
        render(&mut page, Some(&self.cause()));
        self.memory.render_without_queue(&self.facts.get(), &mut page);
        config_refused(&mut page, self.facts.get().is_refused());
        self.verdict(listener.as_ref()).render(&mut page);
        links(&mut page, LinkState::Offline);
        page.head("edge_dropped_total", "counter", DROPPED_HELP);
        let qos0 = listener.as_ref().map_or(0, |listener| listener.qos0_without_room);
        let no_room = qos0 + self.answers_without_room();
        page.labelled("edge_dropped_total", "reason", [("no_room", no_room)]);
        IntakeFigures::default().render_waiting(listener.as_ref(), &mut page);
        let help = "Messages that no route wants since the start.";
        page.counter("edge_unrouted_total", help, self.ingest.counts().unrouted);
        let help = "1 while the wall clock is known to be right, or trusted by configuration.";
        page.gauge("edge_clock_synced", help, self.wall.now().synced.into());
        if let Some(listener) = &listener {
            listener_figures::render(listener, &mut page);
        }
        page.into_text() + &self.control.as_ref().map(control::Figures::render).unwrap_or_default()
    }
}

/// Writes the metrics that tell whether there is a queue, and why not. `cause` is the reason; `None` while there is a queue.
pub(in crate::run) fn render(page: &mut Page, cause: Option<&str>) {
    let help = "1 while the queue is open: without it nothing is stored for the hub.";
    page.gauge("edge_queue_open", help, cause.is_none().into());
    page.head("edge_queue_cause", "gauge", "1, with why the queue is not open; empty if it is.");
    let cause = label(cause.unwrap_or_default());
    page.line(format_args!("edge_queue_cause{{cause=\"{cause}\"}} 1"));
}

impl Pages for NoQueue {
    async fn page(&self, path: &str) -> Option<Answer> {
        match path {
            "/metrics" => Some(Answer { ok: true, body: self.metrics().await }),
            // A restart would mend nothing, and end control.
            "/healthz" => {
                let body = format!("no queue, it is tried again; all else goes on: {}\n", self.cause());
                Some(Answer { ok: true, body })
            }
            "/readyz" => {
                Some(Answer { ok: false, body: format!("not accepting: no queue: {}\n", self.cause()) })
            }
            _ => None,
        }
    }
}

/// HTTP pages. Until the queue is open they tell that and its cause; afterwards they are the full status pages.
#[derive(Clone)]
pub(crate) struct Surface {
    no_queue: NoQueue,
    monitor: Arc<OnceLock<Monitor>>,
}

impl Surface {
    pub(in crate::run) fn new(no_queue: NoQueue) -> Self {
        Self { no_queue, monitor: Arc::default() }
    }

    /// Serves the pages of the whole gateway from now on, because its queue is open.
    pub(in crate::run) fn show(&self, monitor: Monitor) {
        // Once, by whoever opened the queue.
        let _ = self.monitor.set(monitor);
    }

    /// Returns the figures of the gateway for a reader of totals, which are brought up to date. The error has the state without a queue that
    /// answers.
    pub(crate) async fn figures(&self) -> Result<Figures, Without> {
        if let Some(monitor) = self.monitor.get() {
            monitor.asked();
        }
        self.present_figures().await
    }

    /// Returns the figures of the gateway as they are.
    pub(crate) async fn present_figures(&self) -> Result<Figures, Without> {
        let Some(monitor) = self.monitor.get() else { return Err(self.no_queue.state().await) };
        match monitor.figures().await {
            Some(figures) => Ok(figures),
            None => Err(Without { cause: SILENT.to_owned(), ..self.no_queue.state().await }),
        }
    }
}

impl Pages for Surface {
    async fn page(&self, path: &str) -> Option<Answer> {
        match self.monitor.get() {
            Some(monitor) => monitor.page(path).await,
            None => self.no_queue.page(path).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::run::hub::duplicate_marks::DuplicateMarks;

    use super::*;

    /// The first attempt to open the queue may take seconds; until it ends, the pages name a cause already.
    #[tokio::test(flavor = "current_thread")]
    async fn there_is_a_cause_before_an_attempt_has_failed() {
        let (_told, cause) = watch::channel(None);
        let surface = Surface::new(NoQueue {
            in_force: None,
            cause,
            listener: None,
            control: None,
            ingest: GatewayIngest::new(&[], DuplicateMarks::default()).unwrap(),
            clock: Clock::start(),
            wall: Arc::default(),
            losses: Arc::new(Mutex::new(Losses::new(0))),
            service: Notifier::default(),
            memory: Memory::new(&Clock::start()),
            facts: CurrentFacts::new(crate::run::status::snapshot::test_snapshots::facts()),
        });
        for (path, ok) in [("/healthz", true), ("/readyz", false), ("/metrics", true)] {
            let answer = surface.page(path).await.unwrap();
            assert!(
                answer.ok == ok && answer.body.contains("the queue is being opened"),
                "{path}: {answer:?}"
            );
        }
    }
}
