//! `[[command]]`: messages of the hub for local clients, loops and alarms (promise 10). This file is the shell around the [`dispatcher`]: it has the subscription, the file, the
//! listener and the queue.

#![allow(clippy::disallowed_methods, reason = "a shell: tasks, a file and time")]

mod admission;
mod answer;
mod answer_room;
mod command;
mod counts;
mod delivered_identities;
mod delivered_identities_file;
mod dispatcher;
mod identity;
mod loops_and_alarms;
mod queued_answers;
mod refusal_log;
mod refusal_rate;
mod session_filters;
#[cfg(test)]
mod testing;
mod time_in_process;
mod topic_order;

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use edge_bridge::listener::Settled;
use edge_bridge::net::intake::Intake;
use edge_bridge::net::server::LocalPublisher;
use edge_bridge::net::{Acknowledgement, Clock};
use edge_bridge::wire::{Publish, QoS};
use edge_bridge::{Command, Commands, Link};
use edge_queue::aio;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::config::{CommandRule, Config};

use super::log::once_a_minute::OnceAMinute;

use answer_room::LaneFigures;
use command::{Step, Ticket};
pub(crate) use counts::CommandCounts;
use delivered_identities::Record;
use delivered_identities_file::DeliveredIdentitiesFile;
use dispatcher::Dispatcher;
pub(super) use loops_and_alarms::LoopsAndAlarms;
use queued_answers::QueuedAnswers;
use refusal_log::Refusals;
use time_in_process::Lateness;

/// Period of [`Dispatcher::tick`].
const TICK: Duration = Duration::from_millis(250);
/// Time limit for the last answers, and the last lines of the file, when the gateway stops.
const GOODBYE: Duration = Duration::from_millis(500);
const COMMIT_EVERY: Duration = Duration::from_millis(20);
/// Receive Maximum announced to a hub of MQTT 5, and most commands read behind one without an outcome. A command counts against it until it has
/// an outcome, and so do the messages behind it, because PUBACKs are sent in order.
pub(super) const WINDOW: u16 = 1_024;

/// Parts of the gateway that the commands need.
struct Surroundings {
    local: LocalPublisher,
    own: LoopsAndAlarms,
    link: Link,
    intake: Intake,
    queue: aio::Queue,
    clock: Clock,
}

/// Running dispatcher. `None`: there are no rules for commands, or no listener.
pub(super) struct RunningCommands(Option<Running>);

/// Messages without a PUBACK, which the hub sends again. Drop them only when the link is closed, because a drop before that would make the hub
/// send them at once, on a new connection.
pub(super) struct Unended(
    #[allow(dead_code, reason = "it is there to be dropped")] Commands,
    #[allow(dead_code, reason = "as that")] HashMap<Ticket, Vec<Acknowledgement>>,
);

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Option<Unended>>,
    counts: CommandCounts,
}

impl RunningCommands {
    /// Starts the task, if there are rules and a listener.
    pub(super) fn start(
        config: &Config,
        state: &Path,
        (local, own): (Option<LocalPublisher>, LoopsAndAlarms),
        (link, intake, queue, clock): (&Link, &Intake, &aio::Queue, Clock),
    ) -> Self {
        let (rules, session) = (&config.commands, config.hub.client_id.clone());
        let (link, state) = (link.clone(), state.to_owned());
        let Some(local) = local.filter(|_| !rules.is_empty()) else {
            tokio::spawn(async move { session_filters::end_all(link, &state, &session).await });
            return Self(None);
        };
        let (intake, queue) = (intake.clone(), queue.clone());
        let around = Surroundings { local, own, link, intake, queue, clock };
        let (stop, stopped) = watch::channel(false);
        let counts = CommandCounts::default();
        let task = tokio::spawn(run((rules.clone(), session), state, around, counts.clone(), stopped));
        Self(Some(Running { stop, task, counts }))
    }

    /// Returns the counters. `None`: there are no rules for commands, or no listener.
    pub(super) fn counts(&self) -> Option<CommandCounts> {
        self.0.as_ref().map(|running| running.counts.clone())
    }

    /// Stops the delivery of commands to clients. After the next start the hub sends those that no client received again.
    pub(super) async fn stop(self) -> Option<Unended> {
        let Running { stop, mut task, .. } = self.0?;
        stop.send_replace(true);
        let ended = timeout(2 * GOODBYE, &mut task).await;
        if ended.is_err() {
            task.abort();
        }
        ended.ok()?.ok()?
    }
}

async fn run(
    (rules, session): (Vec<CommandRule>, String),
    state: PathBuf,
    around: Surroundings,
    counts: CommandCounts,
    stopped: watch::Receiver<bool>,
) -> Option<Unended> {
    let started_ms = around.clock.now().up_ms;
    // Before the file is open: what a session that goes on brings at once waits here, and not with those that nobody wants.
    let messages = match session_filters::subscribe(&around.link, &state, &session, &rules).await {
        Ok(messages) => messages,
        Err(error) => {
            tracing::error!(%error, "no commands are taken");
            return None;
        }
    };
    // A disk that hangs keeps back commands, and nothing else.
    let dir = state.clone();
    let (file, identities) = spawn_blocking(move || DeliveredIdentitiesFile::open(&dir)).await.ok()?;
    let dispatcher = Dispatcher::new(rules, identities, counts.clone(), around.clock.now().wall_ms);
    let answers = QueuedAnswers::new(around.queue.clone(), counts.clone()).await;
    let shell = Shell::new(dispatcher, (file, state), around, answers, (counts, Lateness::since(started_ms)));
    Some(shell.run(messages, stopped).await)
}

/// Result of an action that the dispatcher requested.
enum Done {
    Kept(DeliveredIdentitiesFile, Vec<Ticket>, io::Result<()>),
    /// A command was acknowledged by clients, or never will be. `None`: the listener has ended.
    Settled(Ticket, Option<Settled>),
    Decided(Ticket, Option<Result<(), String>>),
    Answered(Ticket),
    /// `None`: the queue is closed.
    Looked(Option<LaneFigures>),
}

struct Shell {
    dispatcher: Dispatcher,
    state: PathBuf,
    around: Surroundings,
    /// File of the delivered identities; `None` while a task writes it.
    file: Option<DeliveredIdentitiesFile>,
    to_keep: Vec<(Option<Ticket>, Record)>,
    acknowledgements: HashMap<Ticket, Vec<Acknowledgement>>,
    on_the_way: JoinSet<Option<Done>>,
    answers: QueuedAnswers,
    line: OnceAMinute,
    refusals: Refusals,
    counts: CommandCounts,
    lateness: Lateness,
}

impl Shell {
    fn new(
        dispatcher: Dispatcher,
        (file, state): (DeliveredIdentitiesFile, PathBuf),
        around: Surroundings,
        answers: QueuedAnswers,
        (counts, lateness): (CommandCounts, Lateness),
    ) -> Self {
        Self {
            dispatcher,
            state,
            around,
            file: Some(file),
            to_keep: Vec::new(),
            acknowledgements: HashMap::new(),
            on_the_way: JoinSet::new(),
            answers,
            line: OnceAMinute::default(),
            refusals: Refusals::default(),
            counts,
            lateness,
        }
    }

    async fn run(mut self, mut messages: Commands, mut stopped: watch::Receiver<bool>) -> Unended {
        let (mut ticks, mut looks) = (interval(TICK), interval(queued_answers::LOOK));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.work();
            let now_ms = self.around.clock.now().up_ms;
            self.lateness.turn(now_ms);
            let takes_more = self.dispatcher.takes_more(now_ms);
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(done) = self.on_the_way.join_next() => self.take(done.ok().flatten()),
                // Before messages: a flood of them must keep nothing back.
                _ = ticks.tick() => {
                    let now = self.around.clock.now();
                    self.dispatcher.tick(now.up_ms, now.wall_ms);
                    if self.answers.is_lane_full() {
                        self.on_the_way.spawn(self.answers.look());
                    }
                }
                _ = looks.tick(), if self.answers.wants_look() => {
                    self.on_the_way.spawn(self.answers.look());
                }
                message = next(&mut messages, &mut self.lateness, now_ms), if takes_more => match message {
                    Some(message) => {
                        let (publish, acknowledgement) = message.split();
                        self.arrived(&publish, acknowledgement);
                    }
                    None => break,
                },
            }
        }
        self.dispatcher.stop();
        if timeout(GOODBYE, self.finish()).await.is_err() {
            tracing::warn!(
                "the disk is slow: commands that nobody has had count as interrupted, and answers come twice"
            );
        }
        Unended(messages, self.acknowledgements)
    }

    /// Waits until the last lines are on disk, and the last answers are safe.
    async fn finish(&mut self) {
        loop {
            self.work();
            if self.file.is_some() && self.to_keep.is_empty() && !self.dispatcher.is_answering() {
                return;
            }
            // An answer may come into the queue behind the commit that was asked for before.
            self.around.intake.commit();
            match timeout(COMMIT_EVERY, self.on_the_way.join_next()).await {
                Ok(Some(done)) => self.take(done.ok().flatten()),
                Ok(None) => return,
                Err(_) => {}
            }
        }
    }

    fn arrived(&mut self, publish: &Publish, acknowledgement: Acknowledgement) {
        let now = self.around.clock.now();
        let waited_ms = self.lateness.of_arrival(now.up_ms);
        let ticket = self.dispatcher.arrive(now.up_ms, now.wall_ms, publish, waited_ms);
        if publish.qos == QoS::AtMostOnce {
            // Nobody waits for it.
            return acknowledgement.done();
        }
        self.acknowledgements.entry(ticket).or_default().push(acknowledgement);
    }

    fn take(&mut self, done: Option<Done>) {
        let now = self.around.clock.now();
        match done {
            None => {}
            Some(Done::Kept(file, tickets, kept)) => {
                self.file = Some(file);
                self.counts.wrote(&kept);
                if let Err(error) = &kept
                    && self.line.may_say(Instant::now())
                {
                    tracing::error!(%error, "identities of commands are not kept: those that are given at most once are refused");
                }
                for ticket in tickets {
                    self.dispatcher.kept(now.up_ms, now.wall_ms, ticket, kept.is_ok());
                }
            }
            Some(Done::Settled(ticket, Some(settled))) => {
                self.dispatcher.settled(now.up_ms, now.wall_ms, ticket, settled);
            }
            // The next run says that it was interrupted.
            Some(Done::Settled(_, None)) => {}
            Some(Done::Decided(ticket, end)) => self.dispatcher.decided(now.up_ms, now.wall_ms, ticket, end),
            Some(Done::Answered(ticket)) => {
                self.answers.stored(ticket);
                self.dispatcher.answered(ticket);
            }
            Some(Done::Looked(lane)) => self.answers.see(lane),
        }
    }

    /// Performs the dispatcher's actions.
    fn work(&mut self) {
        while let Some(step) = self.dispatcher.next_step() {
            match step {
                Step::Keep(ticket, record) => self.to_keep.push((ticket, record)),
                Step::Give(ticket, publish, left_ms) => {
                    let Surroundings { local, own, intake, clock, .. } = &self.around;
                    match own.give(&publish, left_ms, intake, *clock) {
                        Some(end) => {
                            self.on_the_way.spawn(async move { Some(Done::Decided(ticket, end.await.ok())) })
                        }
                        None => self.on_the_way.spawn(give(local.clone(), ticket, publish)),
                    };
                }
                Step::Answer(ticket, row, kind) if self.answers.admit(ticket, &row, kind) => {
                    let intake = self.around.intake.clone();
                    self.on_the_way.spawn(queued_answers::store(intake, ticket, *row));
                }
                // Kept back, its PUBACK would keep back those of all commands behind it.
                Step::Answer(ticket, ..) => self.dispatcher.answered(ticket),
                Step::Tell(command, reason) => self.refusals.tell(&command, reason),
                Step::Acknowledge(ticket) => {
                    let all = self.acknowledgements.remove(&ticket);
                    all.into_iter().flatten().for_each(Acknowledgement::done);
                }
            }
        }
        self.write();
    }

    /// Writes all waiting lines in one append and sync.
    fn write(&mut self) {
        if self.to_keep.is_empty() {
            return;
        }
        let Some(mut file) = self.file.take() else { return };
        let lines: String = self.to_keep.iter().map(|(_, record)| record.to_line()).collect();
        let tickets: Vec<_> = self.to_keep.drain(..).filter_map(|(ticket, _)| ticket).collect();
        let all = file.wants_all().then(|| self.dispatcher.identities().to_text());
        let unknown = DeliveredIdentitiesFile::unknown(&self.state);
        self.on_the_way.spawn(async move {
            let written = spawn_blocking(move || {
                let kept = file.keep(all, &lines);
                (file, kept)
            });
            let (file, kept) = written.await.unwrap_or_else(|error| (unknown, Err(io::Error::other(error))));
            Some(Done::Kept(file, tickets, kept))
        });
    }
}

/// Returns the next message. Records in `lateness` when no message waits.
async fn next(messages: &mut Commands, lateness: &mut Lateness, now_ms: u64) -> Option<Command> {
    let mut next = pin!(messages.next());
    poll_fn(|cx| {
        let polled = next.as_mut().poll(cx);
        if polled.is_pending() {
            lateness.found_none(now_ms);
        }
        polled
    })
    .await
}

async fn give(local: LocalPublisher, ticket: Ticket, publish: Publish) -> Option<Done> {
    let settled = match local.send_to_any(publish).await {
        Ok(settling) => settling.await.ok(),
        Err(_) => None,
    };
    Some(Done::Settled(ticket, settled))
}
