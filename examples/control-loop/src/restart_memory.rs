//! Memory of the loops over a restart, in a small file: a latched alarm must not end with the power.
//!
//! The control thread leaves its state in a [`Mailbox`] when something changed, if nobody is just looking into it; a thread of
//! its own looks now and then, and writes: at once, and then not again for five seconds, since flash wears out. It reads the
//! file too, at the start. A disk that hangs keeps that thread, and nobody else: the loops start without the file then, and what
//! it gives later is dropped, since a loop that runs must not jump.
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io};

/// Its name in the directory of a queue.
pub const FILE: &str = "control-state";

const HEAD: &str = "edge-control 1 ";
/// Thousands of loops.
const FILE_BYTES_MAX: u64 = 16 << 20;
const LOOK_NS: u64 = 200_000_000;
/// Between two writes.
const REST_NS: u64 = 5_000_000_000;
/// For the last write; a disk that takes longer keeps what it had.
const STOP_WITHIN_NS: u64 = 1_000_000_000;
/// For the file at the start; a healthy disk takes milliseconds.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// State of an earlier run, as found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// There was none.
    Nothing,
    /// It was taken over.
    Restored,
    /// The file cannot be used: interlocks are tripped, alarms begin anew.
    Damaged(String),
    /// The disk did not give it in time: interlocks are tripped, alarms begin anew. The next change replaces the file.
    Late,
}

/// The thread that reads and writes. Dropping it writes what is left.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Takes over what the file has, for which it waits two seconds at most, and keeps what the control thread leaves in the
    /// mailbox from now on. `on_error` hears, on the keeper's thread, of every write that failed.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        file: PathBuf,
        controller: &mut Controller,
        clock: Clock,
        on_error: impl FnMut(io::Error) + Send + 'static,
    ) -> io::Result<(Keeper, Mailbox, Found)> {
        let from = file.clone();
        Self::start_with(move || load(&from), READ_WITHIN, file, controller, clock, on_error)
    }

    fn start_with(
        load: impl FnOnce() -> io::Result<ControlSnapshot> + Send + 'static,
        within: Duration,
        file: PathBuf,
        controller: &mut Controller,
        clock: Clock,
        on_error: impl FnMut(io::Error) + Send + 'static,
    ) -> io::Result<(Keeper, Mailbox, Found)> {
        let mailbox = Mailbox::of(controller);
        let (stop, inbox) = (Arc::<AtomicBool>::default(), mailbox.clone());
        let stopped = stop.clone();
        let (read, loaded) = sync_channel(1);
        let run = move || {
            // Nobody takes one that is late.
            let _ = read.send(load());
            run(&file, &inbox, clock, &stopped, on_error);
        };
        let thread = std::thread::Builder::new().name("keep".to_owned()).spawn(run)?;
        let found = match loaded.recv_timeout(within) {
            Ok(snapshot) => restore(snapshot, controller, clock.now_ns()),
            Err(RecvTimeoutError::Timeout) => Found::Late,
            Err(RecvTimeoutError::Disconnected) => Found::Damaged("it was not read".to_owned()),
        };
        Ok((Keeper { stop, thread: Some(thread) }, mailbox, found))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
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

fn run(file: &Path, mailbox: &Mailbox, clock: Clock, stop: &AtomicBool, mut on_error: impl FnMut(io::Error)) {
    let mut rested_ns = 0;
    loop {
        let is_last = stop.load(Ordering::Relaxed);
        if (is_last || clock.now_ns() >= rested_ns)
            && let Some(snapshot) = mailbox.take()
        {
            if let Err(error) = save(file, &snapshot) {
                on_error(error);
            }
            rested_ns = clock.now_ns().saturating_add(REST_NS);
        }
        if is_last {
            return;
        }
        std::thread::park_timeout(Duration::from_nanos(LOOK_NS));
    }
}

/// Mailbox in which the control thread leaves its state.
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

    /// Leaves the state there, unless somebody is looking into it just now. Never waits, and allocates nothing.
    pub(crate) fn offer(&self, controller: &Controller) -> bool {
        let slot = match self.0.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        put(slot, controller);
        true
    }

    /// The same for the last time: waits for who copies it just now.
    pub(crate) fn leave(&self, controller: &Controller) {
        put(self.lock(), controller);
    }

    fn take(&self) -> Option<ControlSnapshot> {
        let mut slot = self.lock();
        std::mem::take(&mut slot.is_new).then(|| slot.snapshot.clone())
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
    let (dir, name) = place(file)?;
    let bytes = state_file::read(dir, name, FILE_BYTES_MAX)?;
    let rest = bytes.strip_prefix(HEAD.as_bytes()).ok_or_else(damaged)?;
    let (sum, body) = rest.split_first_chunk::<9>().ok_or_else(damaged)?;
    if sum.as_slice() != format!("{:08x}\n", crc32c::crc32c(body)).as_bytes() {
        return Err(damaged());
    }
    ciborium::from_reader(body).map_err(|_| damaged())
}

/// Atomically: after a power cut the file is the old one or the new one.
fn save(file: &Path, snapshot: &ControlSnapshot) -> io::Result<()> {
    let mut body = Vec::new();
    ciborium::into_writer(snapshot, &mut body).map_err(io::Error::other)?;
    let (dir, name) = place(file)?;
    // A queue may come there later: it is its owner's alone.
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let head = format!("{HEAD}{:08x}\n", crc32c::crc32c(&body));
    state_file::replace(dir, name, &[head.as_bytes(), &body])
}

/// The directory of a file, and its name there.
fn place(file: &Path) -> io::Result<(&Path, &str)> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::other("it is no name of a file"))?;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((dir, name))
}

#[cfg(test)]
mod tests;
