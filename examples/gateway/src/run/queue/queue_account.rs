//! Account of the queue in a file beside it, by which a start tells a queue that is gone from a directory that is new: identity of the queue, and
//! how many messages waited at the last look. A look is taken at each start, each hour and at a clean stop. It also keeps what was lost with
//! queues that are gone, which the totals in the queue itself cannot, and the time that a synchronised clock shows, for a start at which the
//! clock is behind.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_queue::{Clock as _, Ledger, Now, SystemClock, aio};
use edge_state::checksummed as checksummed_file;
use serde::{Deserialize, Serialize};

use crate::run::status::prometheus_text::Page;

use super::{lane_names, store};

const FILE: &str = "queue-account";
const VERSION: &str = "edge-gateway queue-account 1 ";
const BYTES_MAX: u64 = 4_096;
/// Time between two looks of a running gateway.
const EVERY: Duration = Duration::from_secs(3_600);
/// Difference from which another time is written, in seconds. Only dates of certificates are compared with it.
const KNOWN_APART_S: u64 = 86_400;

/// Losses with queues that a start found gone, over all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GoneQueues {
    pub(crate) queues: u64,
    /// Messages that waited in those that had stopped cleanly: so many are lost. Of others the last look says nothing, because what waited then
    /// may have been delivered since.
    pub(crate) messages: u64,
}

impl GoneQueues {
    pub(in crate::run) fn render(self, page: &mut Page) {
        let help = "Starts that found the queue of an earlier run gone, over restarts.";
        page.counter("edge_queue_gone_total", help, self.queues);
        let help = "Messages that waited in such queues at their clean stop, over restarts.";
        page.counter("edge_queue_gone_messages_total", help, self.messages);
    }
}

/// Content of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    /// Identity of the queue; `None`: that of a version which kept no account.
    queue: Option<u64>,
    waiting: u64,
    /// Set by a clean stop, after which nothing more comes.
    is_final: bool,
    gone: GoneQueues,
    /// Time that a synchronised clock has shown, in seconds since 1970; 0 if none has, or an earlier version wrote the file.
    #[serde(default)]
    known_s: u64,
}

/// Queue as it was opened.
#[derive(Clone, Copy, Debug)]
pub(in crate::run) struct Found {
    pub(in crate::run) id: u64,
    pub(in crate::run) waiting: u64,
    /// Set if it has never accepted a message.
    pub(in crate::run) is_unused: bool,
}

impl Found {
    pub(in crate::run) fn of(queue: &aio::Queue) -> Self {
        let accepted = |ledger: &Ledger| ledger.accepted;
        let is_unused = store::of_hub(queue.ledger()).iter().map(accepted).sum::<u64>() == 0;
        Self { id: queue.gateway_id(), waiting: store::waiting(queue), is_unused }
    }
}

/// Handle to the account of the open queue; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct QueueAccount {
    state: PathBuf,
    /// Locked while the file is written, which may take as long as the disk hangs: only on threads that may wait.
    account: Arc<Mutex<Account>>,
    /// Losses with queues that were gone when this one was opened, which does not change.
    gone: GoneQueues,
    /// Time that a synchronised clock had shown before this run, in seconds since 1970.
    known_s: u64,
    /// Queues that were gone at earlier starts.
    gone_before: u64,
    /// Clock whose time is kept while it is synchronised.
    clock: Option<Arc<SystemClock>>,
}

impl QueueAccount {
    /// Prepares a directory without a queue. Returns whether it is new; one that had a queue has an account afterwards.
    ///
    /// # Errors
    /// The disk refused.
    pub(in crate::run) fn is_new(state: &Path) -> io::Result<bool> {
        if read(state).is_some() {
            return Ok(false);
        }
        // The names of the lanes are written once a queue is open, by earlier versions too.
        if !lane_names::are_kept(state)? {
            return Ok(true);
        }
        write(state, &Account::default()).map(|()| false)
    }

    /// Compares the account with the queue that was opened, tells of one that is gone, and takes the first look. A disk that refuses it, such as
    /// a full one, does not keep the queue from being used.
    pub(in crate::run) fn open(state: &Path, found: Found) -> Self {
        let last = read(state);
        let before = last.unwrap_or_default();
        // An imported queue, or one of a backup, is another one that has something.
        let is_gone = last.is_some() && before.queue != Some(found.id) && found.is_unused;
        let gone = if is_gone { tell(state, &before) } else { before.gone };
        let account =
            Account { queue: Some(found.id), waiting: found.waiting, is_final: false, gone, ..before };
        if let Err(error) = write(state, &account) {
            warn(&error);
        }
        let (state, account) = (state.to_owned(), Arc::new(Mutex::new(account)));
        Self { state, account, gone, known_s: before.known_s, gone_before: before.gone.queues, clock: None }
    }

    /// Keeps the time of this clock from the next look on.
    pub(super) fn with_clock(self, clock: Arc<SystemClock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Time that a synchronised clock had shown when the queue was opened, in seconds since 1970; 0 if none had.
    pub(in crate::run) fn known_s(&self) -> u64 {
        self.known_s
    }

    pub(in crate::run) fn gone(&self) -> GoneQueues {
        self.gone
    }

    /// Number of queues that were gone at earlier starts.
    pub(in crate::run) fn gone_before(&self) -> u64 {
        self.gone_before
    }

    /// Takes a look each hour, until the future is dropped.
    pub(in crate::run) async fn keep(self, queue: aio::Queue) {
        loop {
            tokio::time::sleep(EVERY).await;
            let (account, waiting) = (self.clone(), store::waiting(&queue));
            let kept = tokio::task::spawn_blocking(move || account.look(waiting, false)).await;
            if let Ok(Err(error)) = kept {
                warn(&error);
            }
        }
    }

    /// Takes the last look, at a clean stop.
    pub(in crate::run) fn close(&self, waiting: u64) {
        if let Err(error) = self.look(waiting, true) {
            warn(&error);
        }
    }

    /// Writes how many messages wait, unless that is written, or the account is final.
    fn look(&self, waiting: u64, is_final: bool) -> io::Result<()> {
        let mut account = self.lock();
        let known_s =
            self.clock.as_ref().map_or(account.known_s, |clock| known_s(&clock.now(), account.known_s));
        let next = Account { waiting, is_final, known_s, ..*account };
        if account.is_final || *account == next {
            return Ok(());
        }
        write(&self.state, &next)?;
        *account = next;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time to keep: that of a synchronised clock, which may be earlier than the last one if that was wrong.
fn known_s(now: &Now, last_s: u64) -> u64 {
    let now_s = u64::try_from(now.wall_ms / 1_000).unwrap_or(0);
    if now.synced && now_s.abs_diff(last_s) >= KNOWN_APART_S { now_s } else { last_s }
}

/// Logs that the queue of this account is gone. Returns the losses with it.
fn tell(state: &Path, account: &Account) -> GoneQueues {
    let (Account { waiting, gone, .. }, state) = (*account, state.display());
    if account.is_final && waiting == 0 {
        tracing::warn!(%state, "the queue of the last run is gone; nothing waited in it: totals begin anew");
        return gone;
    }
    tracing::error!(
        %state, waiting, exact = account.is_final,
        "the queue of the last run is gone: what waited in it is lost, as of the last look; a new one begins"
    );
    let messages = if account.is_final { waiting } else { 0 };
    GoneQueues { queues: gone.queues.saturating_add(1), messages: gone.messages.saturating_add(messages) }
}

fn warn(error: &io::Error) {
    tracing::warn!(%error, "how many messages wait is not noted beside the queue");
}

/// Reads the account. A damaged one counts as missing.
fn read(state: &Path) -> Option<Account> {
    let path = state.join(FILE);
    let body = match checksummed_file::read(state, FILE, VERSION, BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        read => read,
    };
    let account = body.and_then(|body| serde_json::from_slice(&body).map_err(io::Error::from));
    account
        .inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "the account of the queue is of no use: what it says is lost");
        })
        .ok()
}

fn write(state: &Path, account: &Account) -> io::Result<()> {
    let written = serde_json::to_vec(account)
        .map_err(io::Error::other)
        .and_then(|body| checksummed_file::replace(state, FILE, VERSION, &body));
    written.map_err(|error| io::Error::new(error.kind(), format!("{FILE}: {error}")))
}

#[cfg(test)]
mod tests;
