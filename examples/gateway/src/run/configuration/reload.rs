//! Reload of the configuration of a running gateway. The files are read at SIGHUP and, if so configured, when one of them changes. The new
//! configuration is checked as a whole, and either applied, or refused while the present one stays in force.
//!
//! ```text
//!  file ─▶ check ─▶ same as before      nothing
//!                 ├ routes alone        in force between two messages, nobody is disconnected
//!                 ├ anything else       a clean stop and a start in this process; if that start fails, one with the configuration before
//!                 └ a mistake, another state directory, other lanes, another key of the queue, limits below what waits, or loops that would stop: refused
//! ```

#![allow(clippy::disallowed_methods, reason = "a shell: files, and the time between looks at them")]

mod files;
mod proven_configuration;
mod requests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{Changes, Config, Findings, Severity};
use crate::run::queue::open_queue::OpenQueue;
use crate::run::signals::{Signals, Wish};

use super::decision::{Decision, decide};
use super::refusal::Refusal;
use super::route_changes::{Configurations, InForce};
use files::ReadFiles;
use proven_configuration::Proof;
use requests::Requests;

/// Pause between two checks of the files.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pause after which a configuration with mistakes is read again although its files are unchanged: something else that was missing, such as a
/// password file, may exist now.
const MISTAKES_AGAIN: Duration = Duration::from_secs(60);
/// Most mistakes of a refused file that get a log line each.
const MISTAKES_MAX: usize = 5;

/// Reason why the gateway's parts are stopped.
#[derive(Debug)]
pub(in crate::run) enum Ending {
    Stop,
    /// Restart of all parts with this configuration.
    StartAnew(Arc<Config>),
}

/// The configuration in force, and the files from which it was read.
pub(in crate::run) struct Reload {
    file: PathBuf,
    state_is_given: bool,
    in_force: watch::Sender<InForce>,
    files: Arc<Mutex<ReadFiles>>,
    /// Time of the last reading of the files, if it found mistakes; `None` otherwise.
    mistaken: Option<Instant>,
    /// Set while an earlier configuration is in force, because the files had mistakes at the start or did not start.
    went_back: bool,
    proof: Proof,
    requests: Requests,
}

impl Reload {
    pub(in crate::run) fn new(file: &Path, start: InForce, state_is_given: bool) -> Self {
        let files = Arc::new(Mutex::new(ReadFiles::new(file, &start.config)));
        let (now, is_refused) = (Instant::now(), start.refused.is_some());
        Self {
            file: file.to_owned(),
            state_is_given,
            in_force: watch::Sender::new(start),
            files,
            mistaken: is_refused.then_some(now),
            went_back: is_refused,
            proof: Proof::new(),
            requests: Requests::default(),
        }
    }

    /// Prepares a start of all parts. Returns the place of the queue, once it is open.
    pub(in crate::run) fn begin_run(&mut self) -> OpenQueue {
        self.proof.begin_run()
    }

    /// Goes back to a configuration, for this reason.
    pub(in crate::run) fn go_back(&mut self, config: Arc<Config>, why: Refusal) {
        self.went_back = true;
        self.replace(config, Some(why));
    }

    /// Returns the channel of configurations until the next restart, beginning with the present one.
    pub(in crate::run) fn configurations(&self) -> Configurations {
        Configurations::new(self.in_force.subscribe())
    }

    pub(in crate::run) fn running(&self) -> Arc<Config> {
        self.in_force.borrow().config.clone()
    }

    /// Puts another configuration in force. `refused` is the reason why the files' configuration is not in force; `None`: it is.
    pub(in crate::run) fn replace(&mut self, config: Arc<Config>, refused: Option<Refusal>) {
        self.went_back &= refused.is_some();
        if self.running().changes(&config) == Changes::default() {
            self.proof.go_on();
        } else {
            self.proof.restart();
        }
        self.in_force.send_replace(InForce { config, refused, unkept: self.proof.unkept() });
    }

    /// Applies changes until all parts have to be stopped.
    pub(in crate::run) async fn next(&mut self, signals: &mut Signals, state: &Path) -> Ending {
        // Beside the proof's own times, which would put it off.
        let mut next_look = Instant::now() + LOOK_EVERY;
        loop {
            let look = async {
                match self.applies_changes() || self.mistaken.is_some() {
                    true => tokio::time::sleep_until(next_look).await,
                    false => std::future::pending().await,
                }
            };
            let asked = async {
                match self.requests.due(Instant::now()) {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let is_asked = tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Stop => return Ending::Stop,
                    Wish::Reload => {
                        self.requests.ask();
                        continue;
                    }
                },
                () = asked => true,
                () = look => false,
                () = self.proof.due() => {
                    tokio::select! {
                        () = signals.stop() => return Ending::Stop,
                        () = self.proof.look(self.running(), state) => {}
                    }
                    self.tell_unkept();
                    continue;
                }
            };
            next_look = Instant::now() + LOOK_EVERY;
            // A stop waits neither for a long check nor for a disk that hangs: its thread goes on alone, and nobody takes the result.
            let ending = tokio::select! {
                () = signals.stop() => Some(Ending::Stop),
                config = self.look(is_asked) => config.map(Ending::StartAnew),
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    /// Tells the parts whether the configuration in force is kept for the next start.
    fn tell_unkept(&self) {
        let unkept = self.proof.unkept();
        self.in_force.send_if_modified(|in_force| {
            let before = std::mem::replace(&mut in_force.unkept, unkept);
            before != in_force.unkept
        });
    }

    /// Looks at the files, and applies them where that is asked for or due. Returns the configuration for a restart. Dropped, it has applied nothing.
    async fn look(&mut self, is_asked: bool) -> Option<Arc<Config>> {
        if is_asked {
            self.requests.begin();
            self.proof.look_at_certificate().await;
            let next = self.reload(true).await;
            self.requests.end(Instant::now());
            return next;
        }
        if !self.applies_changes() {
            self.withdraw_mended().await;
            return None;
        }
        let is_due = self.have_files_changed().await;
        if is_due || self.may_be_mended() { self.reload(is_due).await } else { None }
    }

    /// Returns whether changes of the files are applied without a signal.
    fn applies_changes(&self) -> bool {
        // Whoever mends a file that did not start may be waiting for the start that was to come.
        self.running().follows_files || self.went_back
    }

    /// Looks again at files that had mistakes. Withdraws their refusal if they have the configuration in force again, such as after a password file was
    /// put back, and has it say what is so now otherwise. Applies nothing: for that there is the signal.
    async fn withdraw_mended(&mut self) {
        if !self.may_be_mended() {
            return;
        }
        self.mistaken = Some(Instant::now());
        let Some(loaded) = self.with_files(|_, file| Config::load(file)).await else { return };
        let why = match loaded {
            Err(findings) => Refusal::mistakes(&findings),
            Ok((next, _)) => {
                let next = Arc::new(next);
                if self.decide(&next).await == Decision::Nothing {
                    self.mistaken = None;
                    self.keep_unchanged(next);
                    return;
                }
                Refusal::not_reloaded()
            }
        };
        self.in_force.send_if_modified(|in_force| {
            let before = in_force.refused.replace(why);
            before != in_force.refused
        });
    }

    /// Returns whether the files differ from those read last, and were the same at two checks.
    async fn have_files_changed(&mut self) -> bool {
        self.with_files(|files, _| files.have_changed()).await.unwrap_or(false)
    }

    /// Returns whether a configuration with mistakes is to be read again although its files are unchanged.
    fn may_be_mended(&self) -> bool {
        self.mistaken.is_some_and(|at| at.elapsed() >= MISTAKES_AGAIN)
    }

    /// Calls `look` with the files off the runtime's thread, because a disk may hang. Returns `None` when the runtime ends.
    async fn with_files<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut ReadFiles, &Path) -> T + Send + 'static,
    ) -> Option<T> {
        let (file, files) = (self.file.clone(), self.files.clone());
        let looked = tokio::task::spawn_blocking(move || {
            look(&mut files.lock().unwrap_or_else(PoisonError::into_inner), &file)
        });
        looked.await.ok()
    }

    /// Reads the files and applies changes that need no restart. Returns the configuration for a restart; `None` if none is needed. `is_news`:
    /// mistakes are logged even if they are the same as before.
    async fn reload(&mut self, is_news: bool) -> Option<Arc<Config>> {
        let loaded = self.with_files(|files, file| {
            let before = files.look();
            let loaded = Config::load(file);
            files.are_read(&before, &loaded);
            loaded
        });
        let next = match loaded.await? {
            Ok((next, findings)) => {
                self.mistaken = None;
                tell_warnings(&findings.for_a_run());
                Arc::new(next)
            }
            Err(findings) => {
                self.mistaken = Some(Instant::now());
                let why = Refusal::mistakes(&findings);
                if is_news || self.in_force.borrow().refused.as_ref() != Some(&why) {
                    tell_mistakes(&findings);
                    self.refuse(why);
                }
                return None;
            }
        };
        match self.decide(&next).await {
            Decision::Nothing => self.keep_unchanged(next),
            Decision::Routes => {
                self.replace(next, None);
            }
            Decision::StartAnew(tables) => {
                let tables = tables.join(", ");
                if !self.proof.has_queue() {
                    tell_smaller_limits(&self.running(), &next);
                }
                tell_lower_max_age(&self.running(), &next);
                tracing::info!(
                    config = next.digest,
                    tables,
                    "the configuration has changed: the gateway starts anew with it"
                );
                return Some(next);
            }
            Decision::Refused(why) => self.refuse(Refusal::unfit(&why, &next.sources)),
            Decision::MoreWaits { key, why } => {
                self.refuse(Refusal::more_waits(&why, &next.sources.line_of(key)));
            }
        }
        None
    }

    async fn decide(&self, next: &Config) -> Decision {
        let waiting = self.proof.waiting().await;
        decide(&self.running(), next, self.state_is_given, &waiting)
    }

    fn keep_unchanged(&mut self, next: Arc<Config>) {
        tracing::info!(config = next.digest, "the configuration was read again: nothing in it has changed");
        self.replace(next, None);
    }

    fn refuse(&mut self, why: Refusal) {
        tracing::warn!(why = why.why(), "the changed configuration is refused: the one in force stays");
        self.replace(self.running(), Some(why));
    }
}

/// Logs that limits are lower while nobody knows what waits: the policy of a full queue decides about messages beyond them.
fn tell_smaller_limits(running: &Config, next: &Config) {
    let (before, after) = (&running.queue, &next.queue);
    let is_lower =
        |before: Option<u64>, after: Option<u64>| after < before.or(Some(u64::MAX)) && after.is_some();
    if is_lower(before.max_messages, after.max_messages) || after.max_bytes < before.max_bytes {
        tracing::warn!(
            "the queue's limits are lower: what waits beyond them goes as new messages come, or keeps them out, as on_full says"
        );
    }
}

/// Logs that messages which wait may be older than they may become now: unlike other limits, this one is about each message alone, and never refused.
fn tell_lower_max_age(running: &Config, next: &Config) {
    let Some(max_age) = next.queue.max_age else { return };
    if running.queue.max_age.is_none_or(|before| max_age < before) {
        tracing::warn!(
            max_age_s = max_age.as_secs(),
            "max_age is lower: what waits and is older is not sent, counted as expired"
        );
    }
}

fn tell_warnings(findings: &Findings) {
    for warning in findings.summaries(Severity::Warning).take(MISTAKES_MAX) {
        tracing::warn!(warning, "the changed configuration is doubtful");
    }
}

fn tell_mistakes(findings: &Findings) {
    for mistake in findings.summaries(Severity::Error).take(MISTAKES_MAX) {
        tracing::warn!(mistake, "the changed configuration has a mistake");
    }
    let more = findings.count(Severity::Error).saturating_sub(MISTAKES_MAX);
    if more > 0 {
        tracing::warn!(more, "the changed configuration has more mistakes: edge-gateway check names each");
    }
}

#[cfg(test)]
mod tests;
