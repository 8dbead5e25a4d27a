//! Sender of the datagrams.

#![allow(clippy::disallowed_methods, reason = "a shell: a socket, and the time between two pings")]

use std::convert::Infallible;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

/// Longest wait for a systemd that does not read.
const SEND_WITHIN: Duration = Duration::from_millis(100);
/// Pause after a look that found no progress.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Time for which a start that goes on is waited for.
const START_MORE: Duration = Duration::from_secs(30);
/// Longest status, in characters.
const STATUS_CHARS_MAX: usize = 300;

/// A handle; cheap to clone. The default one tells nobody.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<Arc<Supervisor>>);

#[derive(Debug)]
struct Supervisor {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Time without a ping after which the process is killed.
    watchdog: Option<Duration>,
    /// The latest status that was taken.
    status: Mutex<String>,
}

impl Notifier {
    /// Returns the sender to whoever started the process, by the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. `pid` is the process's own.
    ///
    /// # Errors
    /// `NOTIFY_SOCKET` is no address, or the system refuses a socket.
    pub fn new(env: impl Fn(&str) -> Option<String>, pid: u32) -> io::Result<Self> {
        let Some(address) = env("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Ok(Self::default());
        };
        let address = address_of(&address)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_WITHIN))?;
        let watchdog = watchdog(env("WATCHDOG_USEC").as_deref(), env("WATCHDOG_PID").as_deref(), pid);
        Ok(Self(Some(Arc::new(Supervisor { socket, address, watchdog, status: Mutex::default() }))))
    }

    /// Tells that the service does its work from now on.
    ///
    /// # Errors
    /// Nobody takes the datagram: systemd will say that the start took too long.
    pub fn ready(&self) -> io::Result<()> {
        self.send("READY=1")
    }

    /// Tells that the start goes on: from now on half a minute more is waited for it.
    pub fn extend_start(&self) {
        self.send_or_leave(&format!("EXTEND_TIMEOUT_USEC={}", START_MORE.as_micros()));
    }

    /// Tells the state in words, which `systemctl status` shows; nothing while they are the same and were taken.
    pub fn status(&self, words: &str) {
        let Some(supervisor) = &self.0 else { return };
        let mut latest = supervisor.status.lock().unwrap_or_else(PoisonError::into_inner);
        if *latest != words && self.send(&format!("STATUS={}", one_line(words))).is_ok() {
            words.clone_into(&mut latest);
        }
    }

    /// Tells that the service stops.
    pub fn stopping(&self) {
        self.send_or_leave("STOPPING=1");
    }

    /// Feeds the watchdog, twice in its time, for as long as this is polled and `is_alive` says so. Without a watchdog it does nothing.
    pub async fn keep_alive<F: Future<Output = bool>>(&self, is_alive: impl Fn() -> F) {
        let Some(watchdog) = self.0.as_ref().and_then(|supervisor| supervisor.watchdog) else { return };
        let half = watchdog / 2;
        loop {
            if is_alive().await {
                self.send_or_leave("WATCHDOG=1");
                sleep(half).await;
            } else {
                sleep(half.min(LOOK_AGAIN)).await;
            }
        }
    }

    /// Runs a part of the start that may take long: it is waited for while the runtime turns.
    pub async fn while_starting<T>(&self, start: impl Future<Output = T>) -> T {
        let extensions = async {
            loop {
                self.extend_start();
                sleep(START_MORE / 3).await;
            }
        };
        tokio::select! {
            biased;
            started = start => started,
            never = extensions => never,
        }
    }

    /// Runs work that waits for others, and feeds the watchdog meanwhile.
    pub async fn while_waiting<T>(&self, work: impl Future<Output = T>) -> T {
        let pings = async {
            self.keep_alive(|| std::future::ready(true)).await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            done = work => done,
            never = pings => match never {},
        }
    }

    fn send_or_leave(&self, datagram: &str) {
        // A later one says it again, or says more.
        let _ = self.send(datagram);
    }

    fn send(&self, datagram: &str) -> io::Result<()> {
        let Some(supervisor) = &self.0 else { return Ok(()) };
        supervisor.socket.send_to_addr(datagram.as_bytes(), &supervisor.address).map(drop)
    }
}

/// Returns the address of a socket in the file system, or with `@` in the abstract namespace.
fn address_of(text: &str) -> io::Result<SocketAddr> {
    match text.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None if text.starts_with('/') => SocketAddr::from_pathname(text),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("NOTIFY_SOCKET {text:?}"))),
    }
}

/// Returns the watchdog's time, if it is this process's.
fn watchdog(usec: Option<&str>, of: Option<&str>, pid: u32) -> Option<Duration> {
    let is_ours = of.is_none_or(|of| of.parse() == Ok(pid));
    let usec = usec?.parse().ok().filter(|usec| is_ours && *usec > 0)?;
    Some(Duration::from_micros(usec))
}

/// A line's end would begin another assignment.
fn one_line(words: &str) -> String {
    words.chars().take(STATUS_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
