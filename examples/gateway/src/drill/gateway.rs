//! The gateway under test: a child process (in a drill this very program), with a configuration and a state directory of its own.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the drill is a shell: it owns the child, its files and its ports"
)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::hub::FILTERED_TOPIC;
use super::metrics::{self, Metrics};
use super::series::Sensor;

const SIGKILL: i32 = 9;
const METRICS_TIMEOUT: Duration = Duration::from_millis(400);
/// A page of the gateway is some ten kilobytes.
const METRICS_BYTES_MAX: u64 = 1 << 20;

/// First line of every file that the drill writes for others to read.
pub(crate) const MARK: &str = "# Written by the drill.";

/// Removes what an earlier drill left in `dir`.
///
/// # Errors
/// When there is something that no drill has made: a folder is not taken for ours by its name.
pub(crate) fn clear(dir: &Path) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let configuration = std::fs::read_to_string(dir.join("gateway.toml")).unwrap_or_default();
    if !configuration.starts_with(MARK) {
        let text = format!("{} exists and was not made by a drill: choose another --report", dir.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    std::fs::remove_dir_all(dir)
}

/// Inlet of the sensors' messages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inlet {
    /// The gateway's own listener.
    Listen(SocketAddr),
    /// A broker that is already there, to which it subscribes.
    Broker(SocketAddr),
}

#[derive(Debug)]
pub(crate) struct Gateway {
    program: PathBuf,
    dir: PathBuf,
    inlet: Inlet,
    metrics: SocketAddr,
    child: Option<Child>,
    /// Highest VmHWM of any of its processes.
    rss_kib_max: u64,
    /// Flash bytes of processes that have ended, and the last count of the running one.
    flash_before: u64,
    flash_now: u64,
}

impl Gateway {
    /// Writes the configuration of `program run` into `dir`; nothing runs yet.
    /// `broker`: the local broker; without one it listens itself.
    pub(crate) fn prepare(
        program: &Path,
        dir: &Path,
        hub: SocketAddr,
        broker: Option<SocketAddr>,
        sensors: &[Sensor],
    ) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let inlet = match broker {
            Some(broker) => Inlet::Broker(broker),
            None => Inlet::Listen(free_port()?),
        };
        let metrics = free_port()?;
        std::fs::write(dir.join("gateway.toml"), configuration(inlet, metrics, hub))?;
        std::fs::write(dir.join("rules.toml"), rules(sensors))?;
        let (program, dir) = (program.to_owned(), dir.to_owned());
        Ok(Self { program, dir, inlet, metrics, child: None, rss_kib_max: 0, flash_before: 0, flash_now: 0 })
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

    /// Starts it; its log goes to `gateway.log` beside the configuration.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join("gateway.log"))?;
        let child = Command::new(&self.program)
            .arg("run")
            .arg(self.dir.join("gateway.toml"))
            .arg("--state")
            .arg(self.dir.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it accepts connections.
    ///
    /// # Errors
    /// When it has ended, with the last lines of its log; when `within` is over.
    pub(crate) async fn accepting(&mut self, within: Duration) -> io::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let ready = match self.inlet {
                Inlet::Listen(address) => TcpStream::connect(address).await.is_ok(),
                Inlet::Broker(_) => get(self.metrics, "/readyz").await.is_ok(),
            };
            if ready {
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

    /// # Errors
    /// When it has ended by itself.
    pub(crate) fn alive(&mut self) -> io::Result<()> {
        match self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            Some(status) => {
                Err(io::Error::other(format!("the gateway has ended, {status}:\n{}", self.log_tail())))
            }
            None => Ok(()),
        }
    }

    /// SIGKILL, and the proof from its exit status: true if the signal ended it.
    pub(crate) async fn kill(&mut self) -> io::Result<bool> {
        self.note_memory();
        self.flash_before += std::mem::take(&mut self.flash_now);
        let Some(mut child) = self.child.take() else { return Ok(false) };
        child.start_kill()?;
        Ok(child.wait().await?.signal() == Some(SIGKILL))
    }

    /// One look at its metrics and its memory; `None` while it does not answer.
    pub(crate) async fn sample(&mut self) -> Option<Metrics> {
        self.note_memory();
        let page = tokio::time::timeout(METRICS_TIMEOUT, get(self.metrics, "/metrics")).await.ok()?.ok()?;
        let metrics = metrics::parse(&page);
        self.flash_now = metrics.flash_bytes;
        Some(metrics)
    }

    fn note_memory(&mut self) {
        let pid = self.child.as_ref().and_then(Child::id);
        let status = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let peak_kib = status.as_deref().and_then(vm_hwm_kib);
        self.rss_kib_max = self.rss_kib_max.max(peak_kib.unwrap_or(0));
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
    }
}

/// Highest resident size so far, proc(5).
fn vm_hwm_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
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

/// Free now; the gateway binds it in a moment.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The configuration that is shipped: the drill changes its addresses and adds one route.
const SHIPPED: &str = include_str!("../../gateway.toml");
/// The last route takes what is left: the drill's own stands before it.
const LAST_ROUTE: &str = "[[route]]\nmatch = \"plant/#\"";

fn configuration(inlet: Inlet, metrics: SocketAddr, hub: SocketAddr) -> String {
    let local = match inlet {
        Inlet::Listen(address) => format!("listen = \"{address}\""),
        Inlet::Broker(address) => format!("broker = \"{address}\"\ntopics = [\"plant/#\"]"),
    };
    let filtered = format!(
        "[[route]]\nmatch = \"plant/filtered/#\"\nto = \"{FILTERED_TOPIC}\"\nformat = \"compact\"\n\
         filter = \"rules.toml\"\n\n{LAST_ROUTE}"
    );
    let changed = SHIPPED
        .replace("\nlisten = \"127.0.0.1:1883\"", &format!("\n{local}"))
        .replace("mqtt://127.0.0.1:18830", &format!("mqtt://{hub}"))
        .replace(
            "\nlisten = \"127.0.0.1:9100\"",
            &format!("\ntotals_within = \"10s\"\nlisten = \"{metrics}\""),
        )
        .replace(LAST_ROUTE, &filtered);
    format!("{MARK}\n{changed}")
}

/// One deadband per sensor, as wide as the tolerance by which the verdict judges.
fn rules(sensors: &[Sensor]) -> String {
    let mut rules = format!("{MARK}\n");
    for (sensor, tolerance) in sensors.iter().filter_map(|sensor| sensor.tolerance.map(|t| (sensor, t))) {
        // Debug keeps the point of a whole number, which TOML needs to take it for a float.
        rules.push_str(&format!(
            "\n[[rule]]\nmatch = \"{}\"\nstages = [ {{ deadband = {{ absolute = {tolerance:?} }} }} ]\n",
            sensor.name
        ));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::drill::series;

    #[test]
    fn the_rules_are_rules_of_edge_filter_one_per_filtered_sensor() {
        let sensors = series::sensors().unwrap();
        let text = rules(&sensors);
        assert_eq!(text.matches("[[rule]]").count(), 8);
        edge_filter::Pipeline::from_toml(&text).unwrap();
    }

    #[test]
    fn the_configuration_is_one_that_the_gateway_takes_without_a_word() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1883));
        for broker in [None, Some(address)] {
            let dir = tempfile::tempdir().unwrap();
            let hub = SocketAddr::from((Ipv4Addr::LOCALHOST, 2883));
            let gateway =
                Gateway::prepare(Path::new("unused"), dir.path(), hub, broker, &series::sensors().unwrap())
                    .unwrap();
            let (config, findings) = Config::load(&dir.path().join("gateway.toml")).unwrap();
            assert_eq!(findings.to_string(), "");
            // Those of the file that is shipped, with compact batches and raw messages on one lane, and the drill's own.
            let routes: Vec<_> = config
                .routes
                .iter()
                .map(|route| (route.to.as_str(), route.lane, route.rules.is_some()))
                .collect();
            assert_eq!(
                routes,
                [
                    ("site7/", 0, false),
                    ("site7/readings", 1, false),
                    ("site7/filtered", 1, true),
                    ("site7/", 1, false)
                ]
            );
            let text = std::fs::read_to_string(dir.path().join("gateway.toml")).unwrap();
            assert!(text.contains(&format!("\"mqtt://{hub}\"")) && !text.contains("18830"), "{text}");
            assert!(
                !text
                    .lines()
                    .any(|line| line.starts_with("listen = \"127.0.0.1:1883") || line.contains(":9100"))
            );
            assert_eq!(config.metrics, Some(gateway.metrics));
        }
    }

    #[test]
    fn only_what_a_drill_has_made_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        clear(&work).unwrap();
        std::fs::create_dir(&work).unwrap();
        std::fs::write(work.join("thesis.txt"), "mine").unwrap();
        assert!(clear(&work).unwrap_err().to_string().contains("was not made by a drill"));
        assert!(work.join("thesis.txt").exists());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Gateway::prepare(Path::new("unused"), &work, address, None, &[]).unwrap();
        clear(&work).unwrap();
        assert!(!work.exists());
    }

    #[test]
    fn the_peak_is_read_from_proc_status() {
        assert_eq!(vm_hwm_kib("Name:\tx\nVmHWM:\t   11264 kB\nVmRSS:\t 9 kB\n"), Some(11_264));
        assert_eq!(vm_hwm_kib("Name:\tx\n"), None);
    }
}
