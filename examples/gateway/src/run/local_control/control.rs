//! Control loops of the gateway: a thread of their own, which the listener feeds before any message is queued.
//!
//! The loops' threads share with the runtime only atomics and a socket that they never wait for. Their messages go to local subscribers first and
//! then through the routes, as any message; those without room in the queue are counted and dropped.

#![allow(clippy::disallowed_methods, reason = "a shell: a task, and threads that are started and joined")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use control_loop::mqtt::{self, Departures, HubCommands, LoopInputs, LoopMessages, Taken};
use control_loop::restart_memory::{FILE, Found, Keeper, Mailbox, WriteNow};
use control_loop::runner::{LoopStats, Runner};
use control_loop::{Clock, Loops};
use edge_bridge::escape::Escaped;
use edge_bridge::ingest::{Inbound, Now};
use edge_bridge::net::intake::Intake;
use edge_bridge::net::server::LocalPublisher;
use edge_filter::control::Controller;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::Control as Config;
use crate::run::error::RunError;
use crate::run::log::once_a_minute::OnceAMinute;
use crate::run::sensors::ingest::GatewayIngest;

use super::to_hub::{ToHub, say};

/// Time limit of the end of the loops' threads, and of writing their state after it.
const STOP_WITHIN: Duration = Duration::from_millis(800);
/// Time limit of the messages that report the outputs as safe.
const SAY_WITHIN: Duration = Duration::from_millis(200);

/// Running loops.
#[derive(Debug)]
pub(crate) struct Control {
    runner: Runner,
    keeper: Keeper,
    figures: Figures,
    watchdog: Duration,
    /// Inputs of the loops, until the listener takes them.
    inputs: Option<LoopInputs>,
    hub_commands: HubCommands,
    /// Filters, whose alarm commands are not shown to the loops.
    filters: GatewayIngest,
    /// Messages of the loops, until a task takes and publishes them.
    messages: Option<LoopMessages>,
    /// Task that publishes, and the sender that notifies it of hanging loops; the task then reports by itself that their outputs are safe.
    publishing: Option<(JoinHandle<()>, oneshot::Sender<()>)>,
}

/// Counters of the loops; for any thread.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    loops: Arc<LoopStats>,
    /// Messages to the hub that found no room in the queue, since the start.
    unqueued: Arc<AtomicU64>,
}

impl Control {
    /// Starts the loops. Their outputs are in the safe states until inputs come. State that survives a restart is kept in the directory `state`; the
    /// start waits at most two seconds for its disk.
    ///
    /// # Errors
    /// The system provides no thread.
    pub(crate) async fn start(
        config: &Config,
        state: &Path,
        ingest: &GatewayIngest,
    ) -> Result<Self, RunError> {
        let failed = |error: std::io::Error| RunError::Failed(format!("[control] {error}"));
        let clock = Clock::start();
        let every = config.publish_every.as_nanos() / config.period().as_nanos().max(1);
        let every = u64::try_from(every).unwrap_or(u64::MAX);
        // The actuators are local subscribers.
        let (actuator, guard) = (|_: &[f64]| (), |_: &[f64]| ());
        let (loops, file) = (config.loops.clone(), state.join(FILE));
        let kept = tokio::task::spawn_blocking(move || keep(file, loops, clock)).await;
        let kept = kept.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let (controller, keeper, mailbox) = kept.map_err(failed)?;
        let started = Runner::start(controller, clock, actuator, guard, every, Some(mailbox));
        let (runner, ports) = started.map_err(failed)?;
        let loops = runner.stats();
        let (inputs, messages) = mqtt::connect(&config.loops, ports, clock, loops.clone()).map_err(failed)?;
        ingest.beside(inputs.names());
        let filters = ingest.clone();
        tracing::info!(
            rules = %config.rules.display(),
            period_ms = config.period().as_millis() as u64,
            "control loops run; not a safety function"
        );
        let figures = Figures { loops, unqueued: Arc::default() };
        let watchdog = config.watchdog();
        let hub_commands = inputs.hub_commands();
        let (inputs, messages) = (Some(inputs), Some(messages));
        Ok(Self {
            runner,
            keeper,
            figures,
            watchdog,
            inputs,
            hub_commands,
            filters,
            messages,
            publishing: None,
        })
    }

    /// Time without a scan after which the loops' outputs go to their safe states.
    pub(crate) fn watchdog(&self) -> Duration {
        self.watchdog
    }

    /// Returns the function that the listener calls with each message
    /// ([`ServerBuilder::on_publish`](edge_bridge::net::ServerBuilder::on_publish)). `None` after the first call.
    pub(crate) fn inputs(&mut self) -> Option<impl FnMut(Now, &Inbound) + Send + 'static> {
        let mut inputs = self.inputs.take()?;
        let filters = self.filters.clone();
        Some(move |now: Now, message: &Inbound| {
            if filters.is_alarm_command(message.topic.as_str()) {
                return;
            }
            if inputs.show(now, message) == Taken::InputThatMayWait {
                tracing::warn!(
                    topic = %format_args!("\"{}\"", Escaped(&message.topic)),
                    "a control input should come at QoS 0: this one may have to wait for the disk"
                );
            }
        })
    }

    /// Returns the handle by which the loops' states are written at once.
    pub(crate) fn write_now(&self) -> Option<WriteNow> {
        self.keeper.write_now()
    }

    /// Returns the way in of commands of the hub.
    pub(crate) fn hub_commands(&self) -> HubCommands {
        self.hub_commands.clone()
    }

    /// Returns the receiver of the listener's events. To be called before [`inputs`](Self::inputs), after which it returns `None`.
    pub(crate) fn departures(&self) -> Option<Departures> {
        self.inputs.as_ref().map(LoopInputs::departures)
    }

    /// Starts to publish the loops' messages: to local subscribers, then through the routes.
    pub(crate) fn publish(
        &mut self,
        local: LocalPublisher,
        ingest: GatewayIngest,
        intake: Intake,
        clock: edge_bridge::net::Clock,
    ) {
        let unqueued = self.figures.unqueued.clone();
        let to_hub = ToHub { ingest, intake, clock, unqueued };
        let (hang, hung) = oneshot::channel();
        let task = self.messages.take().map(|messages| tokio::spawn(publish(messages, local, to_hub, hung)));
        self.publishing = task.zip(Some(hang));
    }

    pub(crate) fn figures(&self) -> Figures {
        self.figures.clone()
    }

    /// Ends the loops with their outputs in the safe states, and reports that to local subscribers.
    pub(crate) async fn stop(self) {
        let Self { runner, keeper, publishing, .. } = self;
        let within = Instant::now() + STOP_WITHIN;
        let (ended, end) = oneshot::channel();
        // It joins threads. The keeper's comes behind: the last state is there once the control thread has ended, which may take longer than the wait.
        let is_written = tokio::task::spawn_blocking(move || {
            drop(runner);
            let _ = ended.send(());
            drop(keeper);
        });
        let has_ended = tokio::time::timeout_at(within, end).await.is_ok();
        if !has_ended {
            tracing::warn!("a control thread does not end: its outputs are published as safe all the same");
        }
        let said = async {
            let Some((task, hang)) = publishing else { return };
            if !has_ended {
                // One that has said so already does not listen.
                let _ = hang.send(());
            }
            let _ = tokio::time::timeout(SAY_WITHIN, task).await;
        };
        // The disk keeps nobody from hearing that the outputs are safe.
        let within = within.max(Instant::now() + SAY_WITHIN);
        if tokio::join!(tokio::time::timeout_at(within, is_written), said).0.is_err() {
            tracing::warn!(
                "the loops' last states are not written yet: the next start may begin with those before"
            );
        }
    }
}

impl Figures {
    /// Returns the number of messages for the hub that found no room in the queue.
    pub(crate) fn unqueued(&self) -> u64 {
        self.unqueued.load(Ordering::Relaxed)
    }

    /// Returns the loops' part of the page `/metrics`.
    pub(crate) fn render(&self) -> String {
        let mut page = control_loop::prometheus(&self.loops);
        let name = "edge_control_unqueued_total";
        let help = "What the loops said that found no room in the queue for the hub.";
        page.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {}\n", self.unqueued()));
        page
    }
}

/// Reads the loops' kept state from disk, and starts the thread that writes it from now on.
fn keep(file: PathBuf, mut loops: Loops, clock: Clock) -> std::io::Result<(Controller, Keeper, Mailbox)> {
    let (path, on_error) = (file.clone(), file.clone());
    let mut line = OnceAMinute::default();
    let on_error = move |error| {
        if !line.may_say(Instant::now()) {
            return;
        }
        tracing::warn!(path = %on_error.display(), %error, "the loops' states are not kept for the next start");
    };
    let (keeper, mailbox, found) = Keeper::start(file, &mut loops.controller, clock, on_error)?;
    match found {
        Found::Damaged(why) => {
            tracing::error!(path = %path.display(), why, "the loops' states are lost: interlocks are tripped, alarms begin anew");
        }
        Found::Late => {
            tracing::error!(path = %path.display(), "the disk does not answer, and control does not wait for it: interlocks are tripped, alarms begin anew, setpoints are those of the rules");
        }
        Found::Restored => {
            tracing::info!("alarms and setpoints are as they were; interlocks wait for a reset");
        }
        _ => {}
    }
    for taken_back in loops.commands.take_back(&mut loops.controller, clock.now_ns()) {
        tracing::warn!(%taken_back, "the rules no longer allow what an operator chose: it is not in force any more");
    }
    Ok((loops.controller, keeper, mailbox))
}

/// Publishes until the loops end, or hang at the stop. Local subscribers get each message first.
async fn publish(
    mut messages: LoopMessages,
    local: LocalPublisher,
    mut to_hub: ToHub,
    hung: oneshot::Receiver<()>,
) {
    let loops = async {
        while let Some(all) = messages.next().await {
            say(&all, &local, &mut to_hub).await;
        }
    };
    let are_hung = tokio::select! {
        () = loops => false,
        asked = hung => asked.is_ok(),
    };
    if are_hung && let Some(last) = messages.end() {
        say(&last, &local, &mut to_hub).await;
    }
}

#[cfg(test)]
mod tests;
