//! The gateway under test: a child process, with a folder of its own for configuration, state and log.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the drill is a shell: it owns the child, its files and its ports"
)]

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::foreign_gateway::CommandLine;
use super::metrics::{self, Metrics};
use super::own_gateway::{Addresses, Inlet, OwnGateway};
use super::work_folder::{COMMAND_FILE, CONFIGURATION_FILE, MARK};

const SIGKILL: i32 = 9;
const METRICS_TIMEOUT: Duration = Duration::from_millis(400);
/// A page of the gateway is some ten kilobytes.
const METRICS_BYTES_MAX: u64 = 1 << 20;

/// Gateway to be drilled.
#[derive(Debug, Clone)]
pub(crate) enum Candidate {
    /// Tells of itself by `/metrics`.
    Own(OwnGateway),
    /// Judged from outside alone.
    Foreign(CommandLine),
}

#[derive(Debug)]
pub(crate) struct Gateway {
    words: Vec<OsString>,
    dir: PathBuf,
    inlet: Inlet,
    /// Address of its metrics; `None` if it tells nothing of itself.
    metrics: Option<SocketAddr>,
    child: Option<Child>,
    /// Highest VmHWM of any of its processes.
    rss_kib_max: u64,
    /// Flash bytes of processes that have ended, and the last count of the running one.
    flash_before: u64,
    flash_now: u64,
}

impl Gateway {
    /// Writes the files of the gateway into `dir`; nothing runs yet.
    /// `broker`: the local broker; without one it listens itself.
    pub(crate) fn prepare(
        candidate: &Candidate,
        dir: &Path,
        hub: SocketAddr,
        broker: Option<SocketAddr>,
    ) -> io::Result<Self> {
        crate::work_folder::make(dir)?;
        let state = std::path::absolute(dir.join("state"))?;
        let listen = free_port()?;
        let inlet = broker.map_or(Inlet::Listen(listen), Inlet::Broker);
        let (words, metrics) = match candidate {
            Candidate::Own(own) => {
                let metrics = free_port()?;
                own.configure(dir, &Addresses { inlet, metrics, hub })?;
                let file = dir.join(CONFIGURATION_FILE);
                let words: [OsString; 5] =
                    [(&own.program).into(), "run".into(), file.into(), "--state".into(), state.into()];
                (words.into(), Some(metrics))
            }
            Candidate::Foreign(command) => {
                crate::work_folder::make(&state)?;
                crate::work_folder::write(&dir.join(COMMAND_FILE), format!("{MARK}\n{command}\n"))?;
                (command.words(listen.port(), hub.port(), &state), None)
            }
        };
        let dir = dir.to_owned();
        Ok(Self { words, dir, inlet, metrics, child: None, rss_kib_max: 0, flash_before: 0, flash_now: 0 })
    }

    /// Returns whether it has counters and a link state to be read.
    pub(crate) fn reports_itself(&self) -> bool {
        self.metrics.is_some()
    }

    /// Returns where sensors connect.
    pub(crate) fn inlet(&self) -> SocketAddr {
        match self.inlet {
            Inlet::Listen(address) | Inlet::Broker(address) => address,
        }
    }

    pub(crate) fn rss_kib_max(&self) -> u64 {
        self.rss_kib_max
    }

    pub(crate) fn flash_bytes_written(&self) -> u64 {
        self.flash_before + self.flash_now
    }

    /// Starts it; its log is `gateway.log`.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        let log = self.dir.join("gateway.log");
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let log = opened.map_err(crate::work_folder::naming(&log))?;
        let (program, arguments) = self.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it accepts connections.
    ///
    /// # Errors
    /// It has ended, or accepts nothing `within` that time; with the last lines of its log.
    pub(crate) async fn accepting(&mut self, within: Duration) -> io::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let is_ready = match (self.inlet, self.metrics) {
                (Inlet::Broker(_), Some(metrics)) => get(metrics, "/readyz").await.is_ok(),
                _ => self.accepts().await,
            };
            if is_ready {
                return Ok(());
            }
            self.alive()?;
            if tokio::time::Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "the gateway does not accept connections:\n{}",
                    self.log_tail()
                )));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns whether something listens where sensors connect.
    pub(crate) async fn accepts(&self) -> bool {
        TcpStream::connect(self.inlet()).await.is_ok()
    }

    /// Checks that the gateway runs.
    ///
    /// # Errors
    /// If it has ended by itself.
    pub(crate) fn alive(&mut self) -> io::Result<()> {
        match self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            Some(status) => {
                Err(io::Error::other(format!("the gateway has ended, {status}:\n{}", self.log_tail())))
            }
            None => Ok(()),
        }
    }

    /// Kills the gateway by SIGKILL. Returns whether its exit status proves that this signal ended it; `false` also if it does not run.
    pub(crate) async fn kill(&mut self) -> io::Result<bool> {
        self.note_memory();
        self.flash_before += std::mem::take(&mut self.flash_now);
        let Some(mut child) = self.child.take() else { return Ok(false) };
        if child.try_wait()?.is_none() {
            child.start_kill()?;
        }
        Ok(child.wait().await?.signal() == Some(SIGKILL))
    }

    /// Reads the gateway's metrics, and records its memory. `None` while it does not answer.
    pub(crate) async fn sample(&mut self) -> Option<Metrics> {
        self.note_memory();
        let page = get(self.metrics?, "/metrics");
        let page = tokio::time::timeout(METRICS_TIMEOUT, page).await.ok()?.ok()?;
        let metrics = metrics::parse(&page);
        self.flash_now = metrics.flash_bytes;
        Some(metrics)
    }

    fn note_memory(&mut self) {
        let pid = self.child.as_ref().and_then(Child::id);
        let status = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let peak_kib = status.as_deref().and_then(own_peak_kib);
        self.rss_kib_max = self.rss_kib_max.max(peak_kib.unwrap_or(0));
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
    }
}

/// Returns the highest resident size so far without the pages of files, proc(5). How much of a program's own file is mapped tells of its compiler and of
/// the system, and these pages are given up when memory is needed.
fn own_peak_kib(status: &str) -> Option<u64> {
    let read = |name: &str| -> Option<u64> {
        status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    Some(read("VmHWM:")?.saturating_sub(read("RssFile:")?))
}

/// The answer's body. One request, one connection.
async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(METRICS_BYTES_MAX).read_to_string(&mut answer).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(io::Error::other("not a page")),
    }
}

/// Returns an address with a port that is free now; the gateway binds it in a moment.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_proc_status() {
        let status = "Name:\tx\nVmHWM:\t   11264 kB\nVmRSS:\t 9 kB\nRssFile:\t    4000 kB\n";
        assert_eq!(own_peak_kib(status), Some(7_264));
        assert_eq!(own_peak_kib("Name:\tx\n"), None);
    }
}
