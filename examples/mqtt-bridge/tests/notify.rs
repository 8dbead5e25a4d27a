//! The bridge as systemd sees it: ready with its queues open and clients let in, a watchdog that is fed without a hub, stopping.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "a test: real processes, sockets and time"
)]

#[path = "../../../edge-bridge/tests/support/mosquitto.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod mosquitto;

use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mosquitto::free_port;

/// Ends the bridge also where its test fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The bridge as the local broker, below a supervisor with a watchdog of a second. Nobody is at its hub.
fn start(dir: &std::path::Path, listen: u16) -> (Ended, UnixDatagram) {
    let listener = format!("listener {listen} 127.0.0.1\nallow_anonymous true\n");
    start_with(dir, &listener, "both", &[])
}

/// The bridge with these first lines, a topic in this direction, and these arguments, as above.
fn start_with(
    dir: &std::path::Path,
    first: &str,
    direction: &str,
    arguments: &[&str],
) -> (Ended, UnixDatagram) {
    let socket = UnixDatagram::bind(dir.join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let conf = format!(
        "{first}connection up\naddress 127.0.0.1:{}\nremote_clientid site7\ntopic # {direction} 1 \"\" site7/\n",
        free_port()
    );
    std::fs::write(dir.join("bridge.conf"), conf).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqtt-bridge"));
    command.arg("--mosquitto-conf").arg(dir.join("bridge.conf")).arg("--state").arg(dir.join("state"));
    command
        .args(arguments)
        .env("NOTIFY_SOCKET", dir.join("notify"))
        .env("WATCHDOG_USEC", "1000000")
        .stderr(Stdio::null());
    (Ended(command.spawn().unwrap()), socket)
}

/// Takes datagrams until enough of them are this one. Returns those before.
fn until(socket: &UnixDatagram, datagram: &str, times: usize) -> Vec<String> {
    let (mut said, mut found, mut buffer) = (Vec::new(), 0, [0; 4_096]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while found < times {
        assert!(Instant::now() < deadline, "{datagram} is not said: {said:?}");
        let Ok(size) = socket.recv(&mut buffer) else { continue };
        let latest = String::from_utf8(buffer[..size].to_vec()).unwrap();
        found += usize::from(latest == datagram);
        said.push(latest);
    }
    said.pop();
    said
}

#[test]
fn it_is_ready_alive_and_says_that_it_stops() {
    let (dir, listen) = (tempfile::tempdir().unwrap(), free_port());
    let (mut bridge, socket) = start(dir.path(), listen);
    let before = until(&socket, "READY=1", 1);
    assert!(before.iter().all(|said| said.starts_with("EXTEND_TIMEOUT_USEC=")), "{before:?}");
    TcpStream::connect(("127.0.0.1", listen)).unwrap();
    let said = until(&socket, "WATCHDOG=1", 4);
    assert!(said.contains(&"STATUS=1 of 1 connections have their queue open".to_owned()), "{said:?}");
    assert!(Command::new("kill").args(["-TERM", &bridge.0.id().to_string()]).status().unwrap().success());
    until(&socket, "STOPPING=1", 1);
    assert!(bridge.0.wait().unwrap().success());
}

/// Beside another broker, and with nothing to take from the hub, it has the queue to the hub alone.
#[test]
fn a_bridge_without_a_queue_from_the_hub_is_alive() {
    for direction in ["out", "both"] {
        let (dir, local) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{}", free_port()));
        let (_bridge, socket) = start_with(dir.path(), "", direction, &["--local", &local]);
        until(&socket, "READY=1", 1);
        until(&socket, "WATCHDOG=1", 4);
    }
}

#[test]
fn without_its_queue_it_is_never_ready() {
    let (dir, listen) = (tempfile::tempdir().unwrap(), free_port());
    std::fs::write(dir.path().join("state"), "no directory").unwrap();
    let (mut bridge, socket) = start(dir.path(), listen);
    assert!(!bridge.0.wait().unwrap().success());
    let mut buffer = [0; 4_096];
    while let Ok(size) = socket.recv(&mut buffer) {
        assert_ne!(&buffer[..size], b"READY=1");
    }
}

/// A kill leaves the file behind. Its local broker is not there, or the start fails.
#[test]
fn a_file_of_a_killed_run_does_not_say_that_this_one_is_ready() {
    let (dir, local) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{}", free_port()));
    let ready = dir.path().join("ready");
    let arguments = ["--local", &local, "--ready", ready.to_str().unwrap()];
    std::fs::write(&ready, "ready\n").unwrap();
    let (mut bridge, socket) = start_with(dir.path(), "", "both", &arguments);
    until(&socket, "READY=1", 1);
    assert!(!ready.exists());
    bridge.0.kill().unwrap();
    bridge.0.wait().unwrap();
    drop(socket);
    std::fs::remove_file(dir.path().join("notify")).unwrap();
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    std::fs::write(dir.path().join("state"), "no directory").unwrap();
    for first in ["", "topic x sideways\n"] {
        std::fs::write(&ready, "ready\n").unwrap();
        let (mut bridge, _socket) = start_with(dir.path(), first, "both", &arguments);
        assert!(!bridge.0.wait().unwrap().success());
        assert!(!ready.exists(), "{first}");
        std::fs::remove_file(dir.path().join("notify")).unwrap();
    }
}
