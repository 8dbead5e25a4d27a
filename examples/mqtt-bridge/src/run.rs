//! Life of all bridges of a file, from the start to a signal.

#![allow(clippy::disallowed_methods, reason = "a shell: files, signals, the time")]

use std::collections::{HashMap, HashSet};
use std::path::Path;

use edge_bridge::bridge::topic_rules::Rules;
use edge_service::Notifier;
use futures_util::future::join_all;
use tokio::time::error::Elapsed;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::Setup;
use crate::broker::Broker;
use crate::connection::{Connection, Logged, QueueStats};
use crate::notify;
use crate::one_line::OneLine;
use crate::outlets::Outlets;
use crate::places::Places;
use crate::plan::retained_taken::RetainedTaken;
use crate::plan::{self, Plan};
use crate::signals::{self, Power, Stop, until_stopped, while_powered};

/// Time limit for receipts of the last messages of local clients.
const GOODBYE: Duration = Duration::from_secs(2);

/// Period of attempts to start changed connections that did not start.
const START_AGAIN: Duration = Duration::from_secs(10);

/// Time limit for changed connections to be accepted by the local broker while those before them still run.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);

/// Period of the log lines about messages that local clients did not get.
const LOSSES_EVERY: Duration = Duration::from_secs(60);

/// Period of looks at the stores of the queues.
const HEALTH_EVERY: Duration = Duration::from_secs(10);

/// Period of looks at the losses of the queues, whose first is logged at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Time limit of the disk at a SIGPWR.
const POWER_WITHIN: Duration = Duration::from_secs(2);

/// Runs the bridges until SIGTERM or SIGINT. SIGHUP reads the file again: an unchanged connection continues, a changed one is restarted with its
/// queue. SIGPWR makes durable what is in memory.
///
/// # Errors
///
/// In words, at the start: a queue that does not open, an address that is taken.
pub(crate) async fn run(
    setup: Setup,
    places: &Places,
    read_again: impl Fn() -> Option<Setup>,
    service: &Notifier,
) -> Result<(), String> {
    let (mut stop, mut others) = signals::listen()?;
    let start = service.while_starting(Site::start(setup, places));
    let Some(mut site) = started(start, &mut stop, service).await? else { return Ok(()) };
    note_left(&places.state, &site.running);
    if let Err(error) = service.ready() {
        tracing::warn!(%error, "systemd is not told that this is ready, and will start it again");
    }
    let mut looks = interval_at(Instant::now() + LOSSES_EVERY, LOSSES_EVERY);
    let mut stores = interval_at(Instant::now() + HEALTH_EVERY, HEALTH_EVERY);
    let mut again = interval_at(Instant::now() + START_AGAIN, START_AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut looks_at_stores, mut is_ready) = (false, false);
    loop {
        let until_ready = join_all(site.running.iter().map(Connection::is_ready));
        service.status(&site.state());
        let pings = async {
            service.keep_alive(|| site.makes_progress()).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = until_ready, if !is_ready && site.waiting.is_empty() => {
                is_ready = true;
                places.tell_ready();
            }
            () = pings => {}
            () = stop.asked() => break,
            _ = stores.tick() => {
                looks_at_stores = true;
                if is_ready {
                    places.keep_ready();
                }
            }
            stats = site.store_stats(), if looks_at_stores => {
                looks_at_stores = false;
                site.tell_health(&stats);
            }
            _ = looks.tick() => site.tell_losses_of_clients().await,
            () = site.has_losses_to_tell() => site.tell_losses(),
            _ = again.tick(), if !site.waiting.is_empty() => {
                if site.works((&mut stop, &mut others.power), service, Site::start_waiting).await {
                    break;
                }
            }
            () = others.power.fails() => site.make_durable().await,
            _ = others.hangup.recv() => {
                let Some(setup) = read_again() else { continue };
                let change = async |site: &mut Site| site.change(setup).await;
                if site.works((&mut stop, &mut others.power), service, change).await {
                    break;
                }
                again.reset();
                // Of the connections of now.
                is_ready = false;
                note_left(&places.state, &site.running);
            }
        }
    }
    places.clear_ready();
    stop_site(site, service).await;
    Ok(())
}

/// Waits for the start. Returns `None` if a stop was asked for meanwhile.
async fn started(
    start: impl Future<Output = Result<Site, String>>,
    stop: &mut Stop,
    service: &Notifier,
) -> Result<Option<Site>, String> {
    match until_stopped(start, stop.asked()).await {
        (None, _) => Ok(None),
        (Some(site), false) => site.map(Some),
        (Some(site), true) => {
            stop_site(site?, service).await;
            Ok(None)
        }
    }
}

async fn stop_site(site: Site, service: &Notifier) {
    service.stopping();
    tracing::info!("stopping");
    site.stop().await;
}

/// All running parts.
struct Site {
    running: Vec<Connection>,
    /// Changed connections that did not start.
    waiting: Vec<Plan>,
    /// The local broker, if this program is it.
    broker: Option<Broker>,
    /// What hubs have sent to this process of what they retain.
    retained: RetainedTaken,
    /// Losses that stopped connections have logged, by the connection's name.
    logged: HashMap<String, Logged>,
}

impl Site {
    async fn start(setup: Setup, places: &Places) -> Result<Self, String> {
        let broker = match setup.broker {
            Some(conf) => {
                // Before the first message: what no connection takes is acknowledged at once.
                let outlets = Outlets::default();
                outlets.change(&plans_out(&setup.plans));
                Some(Broker::start(conf, outlets, &places.state).await?)
            }
            None => None,
        };
        let (retained, logged) = (RetainedTaken::default(), HashMap::new());
        let mut site = Self { running: Vec::new(), waiting: Vec::new(), broker, retained, logged };
        for plan in setup.plans {
            match start(plan, site.broker.as_ref(), &site.retained, None).await {
                Ok(connection) => site.running.push(connection),
                Err(error) => {
                    site.stop().await;
                    return Err(error);
                }
            }
        }
        Ok(site)
    }

    /// Performs work on the parts, during which a SIGPWR is served with the queues and sessions of before. Returns whether a stop was asked for.
    async fn works(
        &mut self,
        (stop, power): (&mut Stop, &mut Power),
        service: &Notifier,
        work: impl AsyncFnOnce(&mut Self),
    ) -> bool {
        let rescue = self.make_durable();
        let done = until_stopped(service.while_waiting(work(self)), stop.asked());
        let ((_, is_stopped), has_failed) = while_powered(done, power.fails(), rescue).await;
        if has_failed {
            // What the work has opened, too.
            self.make_durable().await;
        }
        is_stopped
    }

    /// Applies a changed file. A connection that does not start is logged and left out; the others continue.
    async fn change(&mut self, setup: Setup) {
        let removed = match (&mut self.broker, setup.broker) {
            (Some(broker), Some(conf)) => {
                broker.change(conf).await;
                // All take at once what is theirs by the new file; changed ones give it on when the former ones have stopped.
                broker.outlets().change(&plans_out(&setup.plans))
            }
            (None, None) => Vec::new(),
            _ => {
                return tracing::error!(
                    "which program is the local broker changes at a restart alone: everything goes on as before"
                );
            }
        };
        let plans = self.running.iter().map(|connection| &connection.plan).chain(&self.waiting);
        let links: HashSet<String> = plans.filter_map(link_name).collect();
        let (kept, ended): (Vec<_>, Vec<_>) =
            self.running.drain(..).partition(|connection| setup.plans.contains(&connection.plan));
        self.running = kept;
        self.retained.keep_those_of(&setup.plans);
        let connected = ended.iter().filter(|connection| connection.has_connected());
        connected.for_each(|connection| self.retained.note(&connection.plan));
        let ended = if self.broker.is_some() { ended } else { self.take_over(ended, &setup.plans).await };
        self.stop_all(ended).await;
        removed.iter().for_each(|outlet| outlet.tell_dropped());
        if let Some(broker) = &self.broker {
            broker.outlets().put_in_force();
            let stay: HashSet<String> = setup.plans.iter().filter_map(link_name).collect();
            for name in links.difference(&stay) {
                // An error is the end of the broker.
                let _ = broker.publisher().clear_link_state(name).await;
            }
        }
        self.waiting = self.not_running(&setup.plans);
        self.start_waiting().await;
    }

    /// Beside another local broker: starts the connections that take more than before, or are new, while those that are to end still take what they
    /// took, so that a topic line which goes to another section, or to a section with another name, loses nothing. One that is to end stops before a
    /// successor that cannot run beside it. Returns those that are still to end. What comes meanwhile may go by both.
    async fn take_over(&mut self, mut ended: Vec<Connection>, plans: &[Plan]) -> Vec<Connection> {
        let mut takers = self.not_running(plans);
        let before = |plan: &Plan| ended.iter().find(|one| one.plan.section.name == plan.section.name);
        takers.retain(|plan| before(plan).is_none_or(|one| plan.takes_more_than(&one.plan)));
        let count = self.running.len();
        for plan in takers {
            let (first, rest) = ended.into_iter().partition(|one| one.plan.excludes(&plan));
            ended = rest;
            self.stop_all(first).await;
            self.waiting = vec![plan];
            self.start_waiting().await;
        }
        let started = self.running.iter().skip(count);
        if !ended.is_empty() {
            // The local broker may be away: then nobody loses anything by a stop.
            let _ = timeout(TAKEN_OVER_WITHIN, join_all(started.map(Connection::is_subscribed))).await;
        }
        ended
    }

    /// Stops connections, all at a time.
    async fn stop_all(&mut self, ended: Vec<Connection>) {
        let stop =
            async |connection: Connection| (connection.plan.section.name.clone(), connection.stop().await);
        self.logged.extend(join_all(ended.into_iter().map(stop)).await);
    }

    fn not_running(&self, plans: &[Plan]) -> Vec<Plan> {
        let runs = |plan: &&Plan| self.running.iter().any(|connection| connection.plan == **plan);
        plans.iter().filter(|plan| !runs(plan)).cloned().collect()
    }

    /// Starts connections that are not running. A failure is logged and tried again later.
    async fn start_waiting(&mut self) {
        for plan in std::mem::take(&mut self.waiting) {
            let logged = self.logged.get(&plan.section.name).copied();
            match start(plan.clone(), self.broker.as_ref(), &self.retained, logged).await {
                Ok(connection) => self.running.push(connection),
                Err(error) => {
                    tracing::error!(
                        error,
                        "a changed connection does not run, and is tried again: what it has queued stays, and what it is to take is not acknowledged"
                    );
                    self.waiting.push(plan);
                }
            }
        }
    }

    /// Returns the state in words, for systemd.
    fn state(&self) -> String {
        let all = self.running.len() + self.waiting.len();
        format!("{} of {all} connections have their queue open", self.running.len())
    }

    /// Returns whether the writers of all queues make progress.
    async fn makes_progress(&self) -> bool {
        let each = self.running.iter().map(Connection::makes_progress);
        join_all(each).await.into_iter().all(|turns| turns)
    }

    /// Ends when losses of a queue are to be logged.
    async fn has_losses_to_tell(&self) {
        while !self.running.iter().any(|connection| connection.has_losses_to_tell(Instant::now())) {
            sleep(LOOK_EVERY).await;
        }
    }

    fn tell_losses(&mut self) {
        self.running.iter_mut().for_each(|connection| connection.tell_losses(Instant::now()));
    }

    /// Returns the statistics of each running connection's queues.
    async fn store_stats(&self) -> Vec<QueueStats> {
        join_all(self.running.iter().map(Connection::store_stats)).await
    }

    /// Makes durable what queues and sessions have in memory, because the supply of power is failing. The future does not borrow the parts, which may
    /// change meanwhile.
    fn make_durable(&self) -> impl Future<Output = ()> + use<> {
        let commits: Vec<_> = self.running.iter().map(Connection::commit).collect();
        let save = self.broker.as_ref().map(Broker::save);
        async move {
            let queues = join_all(commits.into_iter().map(|commit| timeout(POWER_WITHIN, commit)));
            let clients = async {
                match save {
                    Some(save) => timeout(POWER_WITHIN, save).await == Ok(true),
                    None => true,
                }
            };
            let (queues, clients) = tokio::join!(queues, clients);
            tell_rescue(&queues, clients);
        }
    }

    fn tell_health(&mut self, stats: &[QueueStats]) {
        for (connection, stats) in self.running.iter_mut().zip(stats) {
            connection.tell_health(Instant::now(), stats);
        }
    }

    async fn tell_losses_of_clients(&mut self) {
        if let Some(broker) = &mut self.broker {
            broker.tell_losses().await;
        }
    }

    /// Stops: the broker reads no more while the connections make received messages safe.
    async fn stop(self) {
        if let Some(mut broker) = self.broker {
            broker.tell_losses().await;
            broker.stop(GOODBYE).await;
        }
        join_all(self.running.into_iter().map(Connection::stop)).await;
    }
}

/// Logs what of the queues and of the clients' sessions is on disk after a SIGPWR.
fn tell_rescue(queues: &[Result<bool, Elapsed>], clients: bool) {
    let failed = queues.iter().filter(|queue| **queue != Ok(true)).count();
    match (failed, clients) {
        (0, true) => tracing::info!("SIGPWR: what was in memory is on disk"),
        _ => tracing::warn!(queues = failed, clients, "SIGPWR: not all that was in memory is on disk"),
    }
}

/// Returns the name of the link whose state a connection reports on the topic that bridges have by default.
fn link_name(plan: &Plan) -> Option<String> {
    notify::link_name(&plan.notification_topic()?).map(str::to_owned)
}

/// Returns the connections with `out` rules, and these rules.
fn plans_out(plans: &[Plan]) -> Vec<(&str, Rules)> {
    let out = plans.iter().filter(|plan| !plan.out_filters().is_empty());
    out.map(|plan| (plan.section.name.as_str(), plan.rules())).collect()
}

/// Starts a connection, and logs that.
async fn start(
    plan: Plan,
    broker: Option<&Broker>,
    retained: &RetainedTaken,
    logged: Option<Logged>,
) -> Result<Connection, String> {
    let name = plan.section.name.clone();
    let started = Connection::start(plan, broker, retained, logged).await;
    let connection = started.map_err(|error| format!("connection {name}: {error}"))?;
    tracing::info!(connection = %OneLine(&name), "started");
    Ok(connection)
}

/// Logs queues of removed connections that may still have messages.
fn note_left(state: &Path, running: &[Connection]) {
    let Ok(entries) = std::fs::read_dir(state) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_known =
            running.iter().any(|connection| plan::dir_names(&connection.plan.section.name).contains(&name));
        if !is_known && entry.path().join(plan::QUEUE_FILE).exists() {
            tracing::warn!(directory = %OneLine(&name), "the queue of a connection that is not running: what is in it waits for its section");
        }
    }
}
