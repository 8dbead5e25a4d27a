//! Opening of the queue, repeated with back-off while its disk or its path refuses. Meanwhile messages to the hub find no room, but control loops
//! and local clients work. Errors that no attempt can mend end the gateway: another process uses the directory at the start, the queue rejects the
//! configuration, its format is newer, or the key is missing, another one, or one too many.

#![allow(clippy::disallowed_methods, reason = "a shell: it waits for the disk")]

use std::fs::DirBuilder;
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use edge_bridge::bridge::backoff::{Backoff, BackoffConfig};
use edge_queue::{SystemClock, aio};
use edge_state::in_use;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::config::Config;
use crate::run::error::RunError;

use super::cause_line::CauseLine;
use super::found_at_open::FoundAtOpen;
use super::lane_names;
use super::queue_account::{Found, QueueAccount};
use super::store::{self, NotOpened};

/// Time limit of the first attempt. After it the gateway starts without its queue, and the attempt goes on.
const AT_ONCE_WITHIN: Duration = Duration::from_secs(5);
/// First and longest pause between attempts, in milliseconds.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 60_000;

/// Queue that was opened.
pub(in crate::run) struct Opened {
    pub(in crate::run) queue: aio::Queue,
    pub(in crate::run) consumer: aio::Consumer,
    /// Set if this process created the queue, in a directory that had none before.
    pub(in crate::run) is_new: bool,
    pub(in crate::run) account: QueueAccount,
    pub(in crate::run) found: FoundAtOpen,
}

/// Reason why there is no queue, for status, metrics and log. `None`: no attempt has failed yet.
pub(in crate::run) type Cause = watch::Receiver<Option<String>>;

type Running = Pin<Box<dyn Future<Output = (Attempts, Result<Opened, RunError>)> + Send>>;

/// Opening of a queue, repeated until an attempt succeeds.
pub(in crate::run) struct Opening {
    running: Running,
    /// State of the attempts, while the queue is open; `None` while it is being opened.
    attempts: Option<Attempts>,
    told: Arc<watch::Sender<Option<String>>>,
}

impl Opening {
    /// Prepares the opening. The first attempt begins with the first call that waits. `is_restart`: this process has run on the directory before, so
    /// a queue in use may be its own, which hangs while it closes.
    pub(in crate::run) fn start(
        state: &Path,
        config: &Config,
        clock: Arc<SystemClock>,
        is_restart: bool,
    ) -> Self {
        // That of an earlier run of this process may be another one.
        in_use::end(state);
        let told = Arc::new(watch::Sender::new(None));
        let mut pauses = BackoffConfig::default();
        (pauses.base_ms, pauses.max_ms) = (FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        let backoff = Backoff::new(pauses, u64::from(std::process::id()));
        let attempts = Attempts {
            state: state.to_owned(),
            config: config.clone(),
            clock,
            backoff,
            told: told.clone(),
            line: CauseLine::default(),
            made: false,
            may_be_ours: is_restart,
            is_again: false,
            is_copy: false,
        };
        Self { running: Box::pin(attempts.run()), attempts: None, told }
    }

    pub(in crate::run) fn cause(&self) -> Cause {
        self.told.subscribe()
    }

    /// Returns the queue if the first attempt opens it within [`AT_ONCE_WITHIN`], else `None`.
    ///
    /// # Errors
    /// As [`opened`](Self::opened).
    pub(in crate::run) async fn at_once(&mut self) -> Result<Option<Opened>, RunError> {
        let mut cause = self.cause();
        tokio::select! {
            biased;
            opened = self.opened() => return opened.map(Some),
            _ = cause.changed() => {}
            () = sleep(AT_ONCE_WITHIN) => {
                let cause = format!("not open after {} s: a disk that hangs, or a large queue that is built anew", AT_ONCE_WITHIN.as_secs());
                say(&cause);
                self.told.send_replace(Some(cause));
            }
        }
        Ok(None)
    }

    /// Returns the queue, however long it takes. The future may be dropped at any await, and the next call goes on with the attempt.
    ///
    /// # Errors
    /// A failure that no further attempt can mend.
    pub(in crate::run) async fn opened(&mut self) -> Result<Opened, RunError> {
        let (attempts, opened) = (&mut self.running).await;
        self.attempts = Some(attempts);
        opened
    }

    /// Logs that the queue is open, but the files of the last run cannot be read yet, because the disk is slow or hangs.
    pub(in crate::run) fn tell_slow(&self, state: &Path) {
        let cause = format!(
            "{}: the disk is slow or hangs: what the last run left is not taken over yet",
            state.display()
        );
        say(&cause);
        self.told.send_replace(Some(cause));
    }

    /// Closes the queue, to open it again after a pause, because its directory refused files that have to be written before the first reading.
    pub(in crate::run) async fn give_back(&mut self, opened: Opened, cause: String) {
        let Opened { queue, consumer, is_new, .. } = opened;
        close(queue, consumer).await;
        if let Some(mut attempts) = self.attempts.take() {
            attempts.made |= is_new;
            self.running = Box::pin(async move {
                attempts.wait(&cause).await;
                attempts.run().await
            });
        }
    }
}

struct Attempts {
    state: PathBuf,
    config: Config,
    clock: Arc<SystemClock>,
    backoff: Backoff,
    told: Arc<watch::Sender<Option<String>>>,
    line: CauseLine,
    /// Set if an earlier attempt of this process created the queue.
    made: bool,
    /// Set if this process has run on the directory before, so that one in use may be its own, which hangs while it closes.
    may_be_ours: bool,
    /// Set once an attempt has failed and another one follows. From then on a directory that another process uses is tried again, too: a second
    /// gateway started by mistake would have found it in use at its first attempt.
    is_again: bool,
    /// Set if an attempt found that another machine opened the queue last, which is told once.
    is_copy: bool,
}

impl Attempts {
    async fn run(mut self) -> (Self, Result<Opened, RunError>) {
        loop {
            match self.attempt().await {
                Ok(opened) => return (self, Ok(opened)),
                Err(NotOpened::ForGood(error)) => return (self, Err(error)),
                Err(NotOpened::Busy) if self.is_again || self.may_be_ours => {
                    self.wait("in use: another gateway, or somebody who looks into the queue").await;
                }
                Err(NotOpened::Busy) => {
                    let error = format!(
                        "{} is in use: another edge-gateway runs with this --state directory",
                        self.state.display()
                    );
                    return (self, Err(RunError::Failed(error)));
                }
                Err(NotOpened::ForNow(cause)) => self.wait(&cause).await,
            }
        }
    }

    async fn attempt(&mut self) -> Result<Opened, NotOpened> {
        let state = self.state.clone();
        // A disk that hangs must not hold up the runtime's only thread.
        let made = tokio::task::spawn_blocking(move || make(&state)).await;
        let made = made.unwrap_or_else(|error| Err(io::Error::other(error)));
        let is_new = made.map_err(|error| NotOpened::ForNow(error.to_string()))?;
        let are_unread = !is_new && self.refuse_other_lanes().await?;
        let (queue, consumer) = store::open(&self.state, &self.config, self.clock.clone()).await?;
        // Also if this run ends before its first look at itself: the next one finds the store in order.
        let mut found = self.found_at_open(&queue);
        if let Some(stats) = queue.stats().await {
            found.compare(&self.config.queue.lanes, &store::config(&self.config), &stats.lanes);
        }
        let (state, lanes) = (self.state.clone(), self.config.queue.lanes.clone());
        let clock = self.clock.clone();
        let totals = Found::of(&queue);
        found.lanes_unread = are_unread && totals.waiting > 0;
        let kept = tokio::task::spawn_blocking(move || {
            // Small files belong beside the queue.
            in_use::begin(&state)?;
            let account = QueueAccount::open(&state, totals).with_clock(clock);
            lane_names::keep(&state, &lanes).map(|()| account)
        });
        match kept.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(account) => Ok(Opened { queue, consumer, is_new: is_new || self.made, account, found }),
            Err(error) => {
                close(queue, consumer).await;
                Err(NotOpened::ForNow(error.to_string()))
            }
        }
    }

    /// Logs what an opening found, and returns it, with the finding of an earlier attempt that another machine opened the queue last.
    fn found_at_open(&mut self, queue: &aio::Queue) -> FoundAtOpen {
        let mut found = store::tell_events(queue, &self.state);
        self.is_copy |= found.other_machine;
        found.other_machine = self.is_copy;
        found
    }

    /// Opens the queue with its present lanes and checks that they may be changed, before it is opened with the configured ones. Returns whether
    /// nobody knows, because their names cannot be read.
    async fn refuse_other_lanes(&mut self) -> Result<bool, NotOpened> {
        let (state, lanes) = (self.state.clone(), self.config.queue.lanes.clone());
        let kept = tokio::task::spawn_blocking(move || lane_names::others(&state, &lanes)).await;
        let kept = match kept.map_err(|error| NotOpened::ForNow(error.to_string()))? {
            Ok(None) => return Ok(false),
            Ok(Some(kept)) => kept,
            Err(error) => {
                if !self.is_again {
                    tracing::warn!(%error, "the names of the lanes at the last start cannot be read: whether they were others is not known");
                }
                return Ok(true);
            }
        };
        let mut before = self.config.clone();
        before.queue.lanes.clone_from(&kept);
        let (queue, consumer) = store::open(&self.state, &before, self.clock.clone()).await?;
        let _lanes_before = self.found_at_open(&queue);
        let waiting = store::waiting(&queue);
        close(queue, consumer).await;
        lane_names::check(&kept, &self.config.queue.lanes, waiting).map_err(NotOpened::ForGood)?;
        Ok(false)
    }

    /// Logs why there is no queue, and waits for the next attempt.
    async fn wait(&mut self, cause: &str) {
        self.is_again = true;
        let cause = format!("{}: {cause}", self.state.display());
        if self.line.is_due(Instant::now(), &cause) {
            say(&cause);
        }
        self.told.send_replace(Some(cause));
        sleep(Duration::from_millis(self.backoff.next_ms())).await;
    }
}

/// Closes a queue after a failed start.
async fn close(queue: aio::Queue, consumer: aio::Consumer) {
    drop(consumer);
    // One that hangs is found busy until it is done.
    let _closed = timeout(store::CLOSE_WITHIN, queue.close()).await;
}

/// Creates the directory. Returns whether it has and had no queue yet.
fn make(state: &Path) -> io::Result<bool> {
    match DirBuilder::new().recursive(true).mode(0o700).create(state) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(error.kind(), "it is no directory"));
        }
        made => made?,
    }
    match state.join(store::FILE).metadata() {
        // An empty file is what is left of one.
        Ok(ring) if !ring.is_file() || ring.len() > 0 => Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => QueueAccount::is_new(state),
    }
}

fn say(cause: &str) {
    tracing::error!(
        cause,
        "no queue: nothing is stored for the hub, so sensors get no PUBACK and QoS 0 is dropped, counted; control loops and local clients go on. \
         Mend the disk or the path: it is tried again every minute, no restart is needed"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::log::captured_log::captured;

    #[test]
    fn a_state_directory_that_is_made_is_its_owners_alone_and_one_that_is_there_stays_as_it_is() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (made, there) = (dir.path().join("above/state"), dir.path().join("there"));
        assert!(make(&made).unwrap());
        assert_eq!((mode(&made), mode(made.parent().unwrap())), (0o700, 0o700));
        std::fs::create_dir(&there).unwrap();
        std::fs::set_permissions(&there, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(make(&there).unwrap());
        assert_eq!(mode(&there), 0o750);
    }

    fn config() -> Config {
        let text = "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n[queue]\nmax_bytes=\"1MiB\"\n";
        Config::parse(Path::new("g.toml"), text, &|_| None).unwrap().0
    }

    /// The next start may find the clock in 1970.
    #[tokio::test(flavor = "current_thread")]
    async fn the_account_of_an_opened_queue_keeps_the_time_that_the_clock_shows() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock::new().assume_synced());
        let mut opening = Opening::start(dir.path(), &config(), clock, false);
        let opened = timeout(Duration::from_secs(60), opening.opened()).await.unwrap().unwrap();
        opened.account.close(0);
        let found = Found { id: opened.queue.gateway_id(), waiting: 0, is_unused: true };
        assert!(QueueAccount::open(dir.path(), found).known_s() > 1_600_000_000, "at the next start");
        close(opened.queue, opened.consumer).await;
    }

    /// Each start says it once, also a restart within the process.
    #[test]
    fn lanes_whose_names_cannot_be_read_are_warned_of_at_the_first_attempt() {
        let config = config();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for is_restart in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let open = || {
                let mut opening = Opening::start(dir.path(), &config, Arc::default(), is_restart);
                runtime.block_on(async {
                    let opened = timeout(Duration::from_secs(60), opening.opened()).await.unwrap().unwrap();
                    close(opened.queue, opened.consumer).await;
                });
            };
            open();
            std::fs::write(dir.path().join("lanes"), "damaged").unwrap();
            let lines = captured(open);
            assert_eq!(lines.matches("the names of the lanes").count(), 1, "{is_restart}: {lines}");
        }
    }

    /// Somebody who looks into the queue, or a queue of ours that is slow to close, ends no control loop.
    #[tokio::test(flavor = "current_thread")]
    async fn a_directory_that_is_in_use_ends_the_first_attempt_and_no_later_one() {
        let config = config();
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::write(&state, "no directory").unwrap();
        let mut opening = Opening::start(&state, &config, Arc::default(), false);
        assert!(opening.at_once().await.unwrap().is_none());
        std::fs::remove_file(&state).unwrap();
        std::fs::create_dir(&state).unwrap();
        let (held, consumer) = store::open(&state, &config, Arc::default()).await.unwrap();
        let second = Opening::start(&state, &config, Arc::default(), false).at_once().await;
        assert!(second.is_err_and(|error| error.to_string().contains("is in use")));
        let mut restarted = Opening::start(&state, &config, Arc::default(), true);
        assert!(timeout(Duration::from_secs(30), restarted.at_once()).await.unwrap().unwrap().is_none());
        drop(restarted);
        let mut cause = opening.cause();
        let in_use = cause.wait_for(|cause| cause.as_ref().is_some_and(|cause| cause.contains("in use")));
        tokio::select! {
            _ = opening.opened() => panic!("opened or ended while it was in use"),
            found = timeout(Duration::from_secs(30), in_use) => drop(found.unwrap().unwrap()),
        }
        drop(consumer);
        held.close().await.unwrap();
        timeout(Duration::from_secs(30), opening.opened()).await.unwrap().unwrap();
    }
}
