//! Mosquitto, found by name in PATH and where Debian puts it: as the hub, and with its own bridge.

#![allow(clippy::disallowed_types, reason = "waits until a port is open")]

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::process::Process;

const START_MAX: Duration = Duration::from_secs(20);

pub(super) struct Mosquitto {
    pub(super) address: SocketAddr,
    pub(super) process: Process,
}

fn command() -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin");
    let mut command = Command::new("mosquitto");
    command.env("PATH", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// In its own words; `None` when there is none.
pub(super) fn version() -> Option<String> {
    let output = command().arg("-h").stdout(Stdio::piped()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("mosquitto").to_owned())
}

impl Mosquitto {
    /// A hub that refuses and drops nothing.
    pub(super) async fn hub(dir: &Path) -> Result<Mosquitto, String> {
        Mosquitto::start(&dir.join("hub.conf"), "max_inflight_messages 0\n").await
    }

    /// A local broker with a bridge to `hub`, its window wide enough not to be what is measured.
    pub(super) async fn bridge_to(hub: SocketAddr, dir: &Path) -> Result<Mosquitto, String> {
        let extra = format!(
            "max_inflight_messages 1000\nconnection bench\naddress {hub}\nremote_clientid bench-mosquitto\n\
             bridge_protocol_version mqttv50\ncleansession false\nnotifications false\nrestart_timeout 1\n\
             topic # out 1\n"
        );
        Mosquitto::start(&dir.join("bridge.conf"), &extra).await
    }

    async fn start(file: &Path, extra: &str) -> Result<Mosquitto, String> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(|e| e.to_string())?;
        let mut text = String::new();
        // `user root` keeps a root's Mosquitto from giving up rights it needs to read a private directory.
        let _infallible = writeln!(
            text,
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\nlog_type none\n\
             set_tcp_nodelay true\nmax_queued_messages 0\n{extra}",
            address.port()
        );
        std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut process = Process::spawn(command().arg("-c").arg(file))?;
        let until = Instant::now() + START_MAX;
        while TcpStream::connect(address).await.is_err() {
            if let Ok(Some(status)) = process.child().try_wait() {
                return Err(format!("mosquitto with {} ended: {status}", file.display()));
            }
            if Instant::now() > until {
                return Err(format!("mosquitto does not listen on {address}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Mosquitto { address, process })
    }
}
