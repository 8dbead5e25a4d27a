//! Memory of the control loops over a restart, in a small file, so that a power cut does not end a latched alarm.
//!
//! The control thread puts its state into a [`Mailbox`] after a change, unless the mailbox is locked just then. A thread of its own polls the
//! mailbox and writes the state: at once, and then not again for five seconds, to spare flash, unless it is asked to ([`WriteNow`]); a write that failed is tried again then. The same thread reads the file at the start. A
//! hanging disk blocks only that thread: the loops start without the file then, and a state read later is dropped, because a running loop must
//! not jump.
//!
//! ```text
//! edge-control 1 CRC32C-OF-THE-REST
//! CBOR
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a shell: a thread and one small file"
)]

use edge_state::file as state_file;

use crate::Clock;
use edge_filter::control::{ControlSnapshot, Controller};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use std::{fmt, io};

/// Name of the file in the state directory.
pub const FILE: &str = "control-state";

const HEAD: &str = "edge-control 1 ";
/// Most bytes of the file that are read, enough for thousands of loops.
const FILE_BYTES_MAX: u64 = 16 << 20;
const LOOK_NS: u64 = 200_000_000;
/// Pause between two writes, in nanoseconds.
const REST_NS: u64 = 5_000_000_000;
/// Time limit of the last write, in nanoseconds; if the disk takes longer, the file keeps its old content.
const STOP_WITHIN_NS: u64 = 1_000_000_000;
/// Time limit for reading the file at the start; a healthy disk takes milliseconds.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Result of reading the state of an earlier process.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// There was no file.
    Nothing,
    /// The state was restored.
    Restored,
    /// The file cannot be used: interlocks are tripped, alarms begin anew.
    Damaged(String),
    /// The disk did not answer in time: interlocks are tripped, alarms begin anew. The next change replaces the file.
    Late,
}

/// Thread that reads and writes the file. Dropping it writes the last state.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<AtomicBool>,
    urgency: Arc<Urgency>,
    thread: Option<JoinHandle<()>>,
}

/// Numbers of the requests to write at once.
#[derive(Debug, Default)]
struct Urgency {
    asked: AtomicU64,
    /// Number of the last request after which everything was written.
    done: AtomicU64,
}

/// Handle by which the state is written at once, without the pause between two writes, such as when the supply of power is failing.
#[derive(Clone, Debug)]
pub struct WriteNow {
    urgency: Arc<Urgency>,
    thread: Thread,
}

impl WriteNow {
    /// Has the state that the control thread put into the mailbox last written, and waits for it at most for this long. Returns whether it is on
    /// disk. Blocks.
    pub fn write(&self, within: Duration) -> bool {
        let request = self.urgency.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.thread.unpark();
        let clock = Clock::start();
        let until_ns = clock.now_ns().saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
        while self.urgency.done.load(Ordering::Acquire) < request {
            if clock.now_ns() >= until_ns {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

impl Keeper {
    /// Restores the file's state, for which it waits at most two seconds, and from now on writes the states that the control thread puts into the
    /// mailbox. `on_error` is called, on the keeper's thread, for every failed write.
    ///
    /// # Errors
    /// The system provides no thread.
    pub fn start(
        file: PathBuf,
        controller: &mut Controller,
        clock: Clock,
        on_error: impl FnMut(io::Error) + Send + 'static,
    ) -> io::Result<(Keeper, Mailbox, Found)> {
        let from = file.clone();
        Self::start_with(move || load(&from), (READ_WITHIN, REST_NS), file, controller, clock, on_error)
    }

    fn start_with(
        load: impl FnOnce() -> io::Result<ControlSnapshot> + Send + 'static,
        (within, rest_ns): (Duration, u64),
        file: PathBuf,
        controller: &mut Controller,
        clock: Clock,
        on_error: impl FnMut(io::Error) + Send + 'static,
    ) -> io::Result<(Keeper, Mailbox, Found)> {
        let mailbox = Mailbox::of(controller);
        let (stop, inbox) = (Arc::<AtomicBool>::default(), mailbox.clone());
        let (stopped, urgency) = (stop.clone(), Arc::<Urgency>::default());
        let asked = urgency.clone();
        let (read, loaded) = sync_channel(1);
        let run = move || {
            // Nobody takes one that is late.
            let _ = read.send(load());
            run(&file, &inbox, (clock, rest_ns), (&stopped, &asked), on_error);
        };
        let thread = std::thread::Builder::new().name("keep".to_owned()).spawn(run)?;
        let found = match loaded.recv_timeout(within) {
            Ok(snapshot) => restore(snapshot, controller, clock.now_ns()),
            Err(RecvTimeoutError::Timeout) => Found::Late,
            Err(RecvTimeoutError::Disconnected) => Found::Damaged("it was not read".to_owned()),
        };
        Ok((Keeper { stop, urgency, thread: Some(thread) }, mailbox, found))
    }

    /// Returns the handle by which the state is written at once. `None`: the thread has been taken, in a drop.
    pub fn write_now(&self) -> Option<WriteNow> {
        let thread = self.thread.as_ref()?.thread().clone();
        Some(WriteNow { urgency: self.urgency.clone(), thread })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        let clock = Clock::start();
        let until_ns = clock.now_ns().saturating_add(STOP_WITHIN_NS);
        while !thread.is_finished() {
            if clock.now_ns() >= until_ns {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It does not panic.
        let _ = thread.join();
    }
}

fn run(
    file: &Path,
    mailbox: &Mailbox,
    (clock, rest_ns): (Clock, u64),
    (stop, urgency): (&AtomicBool, &Urgency),
    mut on_error: impl FnMut(io::Error),
) {
    let (mut rested_ns, mut tried) = (0, 0);
    loop {
        let is_last = stop.load(Ordering::Relaxed);
        let asked = urgency.asked.load(Ordering::Acquire);
        if is_last || asked > tried || clock.now_ns() >= rested_ns {
            let mut is_written = true;
            if let Some(snapshot) = mailbox.take() {
                if let Err(error) = save(file, &snapshot) {
                    mailbox.put_back();
                    on_error(error);
                    is_written = false;
                }
                rested_ns = clock.now_ns().saturating_add(rest_ns);
            }
            tried = asked;
            if is_written {
                urgency.done.store(asked, Ordering::Release);
            }
        }
        if is_last {
            return;
        }
        std::thread::park_timeout(Duration::from_nanos(LOOK_NS));
    }
}

/// Mailbox through which the control thread passes its state.
#[derive(Clone)]
pub struct Mailbox(Arc<Mutex<Slot>>);

struct Slot {
    snapshot: ControlSnapshot,
    is_new: bool,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

impl Mailbox {
    fn of(controller: &Controller) -> Self {
        Mailbox(Arc::new(Mutex::new(Slot { snapshot: controller.snapshot(), is_new: false })))
    }

    /// Puts the state into the mailbox, unless it is locked just now. Never waits, and allocates nothing.
    pub(crate) fn offer(&self, controller: &Controller) -> bool {
        let slot = match self.0.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        put(slot, controller);
        true
    }

    /// Puts the last state into the mailbox, and waits for its lock if necessary.
    pub(crate) fn leave(&self, controller: &Controller) {
        put(self.lock(), controller);
    }

    fn take(&self) -> Option<ControlSnapshot> {
        let mut slot = self.lock();
        std::mem::take(&mut slot.is_new).then(|| slot.snapshot.clone())
    }

    /// Has the state that was taken last, or a newer one that came since, taken again.
    fn put_back(&self) {
        self.lock().is_new = true;
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(mut slot: MutexGuard<'_, Slot>, controller: &Controller) {
    controller.snapshot_into(&mut slot.snapshot);
    slot.is_new = true;
}

fn restore(loaded: io::Result<ControlSnapshot>, controller: &mut Controller, now_ns: u64) -> Found {
    let snapshot = match loaded {
        Ok(snapshot) => snapshot,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return Found::Damaged(error.to_string()),
    };
    match controller.restore(&snapshot, now_ns) {
        Ok(()) => Found::Restored,
        Err(error) => Found::Damaged(error.to_string()),
    }
}

fn load(file: &Path) -> io::Result<ControlSnapshot> {
    let damaged = || io::Error::other("it is damaged");
    let (dir, name) = state_file::folder_and_name(file)?;
    let bytes = state_file::read(dir, name, FILE_BYTES_MAX)?;
    let rest = bytes.strip_prefix(HEAD.as_bytes()).ok_or_else(damaged)?;
    let (sum, body) = rest.split_first_chunk::<9>().ok_or_else(damaged)?;
    if sum.as_slice() != format!("{:08x}\n", crc32c::crc32c(body)).as_bytes() {
        return Err(damaged());
    }
    ciborium::from_reader(body).map_err(|_| damaged())
}

/// Writes the file atomically: after a power cut it has its old or its new content.
fn save(file: &Path, snapshot: &ControlSnapshot) -> io::Result<()> {
    let mut body = Vec::new();
    ciborium::into_writer(snapshot, &mut body).map_err(io::Error::other)?;
    let (dir, name) = state_file::folder_and_name(file)?;
    // A queue may come there later: it is its owner's alone.
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let head = format!("{HEAD}{:08x}\n", crc32c::crc32c(&body));
    state_file::replace(dir, name, &[head.as_bytes(), &body])
}

#[cfg(test)]
mod tests;
