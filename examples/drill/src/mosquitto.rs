//! `--mosquitto`: a real Mosquitto as hub and another as local broker. Both configurations are left beside the report.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the drill is a shell: it owns the brokers' processes, files and ports"
)]

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::session::{ClientConfig, Event, Session, Token};
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::clock::Clock;
use super::hub::Hub;
use super::mqtt::Connection;
use super::work_folder::MARK;

const START_WITHIN: Duration = Duration::from_secs(5);
const REACH_WITHIN: Duration = Duration::from_secs(15);
/// Last level of the topic of the message that tells whether the way is open; the hub's record leaves it out.
pub(crate) const PROBE: &str = "drill-probe";

/// Broker as a child process, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Broker {
    /// A hub that bears a window of any size and keeps every message for a subscriber that is slow.
    pub(crate) async fn hub(dir: &Path) -> io::Result<Self> {
        Self::start(dir, "mosquitto-hub", &["max_inflight_messages 0", "max_queued_messages 0"]).await
    }

    /// A local broker that keeps every message while the gateway is away; the rest is as it comes.
    pub(crate) async fn local(dir: &Path) -> io::Result<Self> {
        Self::start(dir, "mosquitto-local", &["max_queued_messages 0"]).await
    }

    async fn start(dir: &Path, name: &str, extra: &[&str]) -> io::Result<Self> {
        crate::work_folder::make(dir)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let file = dir.join(format!("{name}.conf"));
        let lines = ["allow_anonymous true", "persistence false"].iter().chain(extra);
        let listener = format!("{MARK}\nlistener {} {}\n", address.port(), address.ip());
        crate::work_folder::write(&file, lines.fold(listener, |text, line| text + line + "\n"))?;
        let log = dir.join(format!("{name}.log"));
        let log = std::fs::File::create(&log).map_err(crate::work_folder::naming(&log))?;
        let child = command()
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(missing)?;
        let mut broker = Self { address, child };
        broker.accepting(name).await?;
        Ok(broker)
    }

    async fn accepting(&mut self, name: &str) -> io::Result<()> {
        let deadline = tokio::time::Instant::now() + START_WITHIN;
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "{name} has ended, {status}; see its log beside the report"
                )));
            }
            if tokio::time::Instant::now() > deadline {
                return Err(io::Error::other(format!("{name} does not accept connections")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Returns the version, such as `mosquitto version 2.0.11`: the claim of a report is about this version.
pub(crate) async fn version() -> io::Result<String> {
    // It says its version in its help, and ends with an error code after it.
    let output = command().arg("-h").stdin(Stdio::null()).output().await.map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or("mosquitto of an unknown version").to_owned())
}

/// Sends a probe through broker, gateway and hub until one has come through: only then is the gateway subscribed.
///
/// # Errors
/// When none came within 15 s.
pub(crate) async fn wait_until_open(local: SocketAddr, hub: &Hub, clock: Clock) -> io::Result<()> {
    tokio::select! {
        result = send_probes(local, clock) => result,
        () = hub.probed() => Ok(()),
        () = tokio::time::sleep(REACH_WITHIN) => {
            Err(io::Error::other(format!("no message came through the gateway within {} s", REACH_WITHIN.as_secs())))
        }
    }
}

async fn send_probes(local: SocketAddr, clock: Clock) -> io::Result<()> {
    const EVERY_MS: u64 = 200;
    let text = |text: String| Utf8::new(Bytes::from(text)).map_err(io::Error::other);
    let config = ClientConfig::new(text(PROBE.to_owned())?);
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: text(format!("plant/raw/{PROBE}"))?,
        packet_id: None,
        properties: Properties::default(),
        payload: Bytes::from_static(b"{}"),
    };
    let session = Session::client(clock.story_ms(), 1, config, None);
    let mut connection = Connection::new(TcpStream::connect(local).await?, session, clock);
    for token in 0.. {
        if connection.session.room() > 0 {
            connection.session.publish(clock.story_ms(), Token(token), &publish).map_err(io::Error::other)?;
        }
        let next_ms = clock.story_ms() + EVERY_MS;
        loop {
            tokio::select! {
                event = connection.next() => if let Event::Closed(why) = event {
                    return Err(io::Error::other(format!("the connection of the probe was closed: {why:?}")));
                },
                () = clock.until(next_ms) => break,
            }
        }
    }
    Ok(())
}

/// Returns the command by its name, also where distributions put it outside of PATH.
fn command() -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    path.push(":/usr/sbin");
    let mut command = Command::new("mosquitto");
    command.env("PATH", path);
    command
}

fn missing(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(
            error.kind(),
            "--mosquitto needs the program mosquitto in PATH or /usr/sbin (Debian: apt install mosquitto)",
        ),
        _ => error,
    }
}
