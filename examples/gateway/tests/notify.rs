#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` as systemd sees it: ready when its queue is open, a watchdog that is fed while it makes progress, whatever disk and hub do.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use support::gateway::Gateway;
use support::hub::Hub;
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

/// systemd's side: the socket that it gives to a service, and what has come so far.
struct Supervisor {
    socket: UnixDatagram,
    said: Vec<String>,
}

impl Supervisor {
    fn new(dir: &Path) -> Self {
        let socket = UnixDatagram::bind(dir.join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { socket, said: Vec::new() }
    }

    /// Takes what has come.
    fn look(&mut self) -> &[String] {
        let mut buffer = [0; 4_096];
        while let Ok(size) = self.socket.recv(&mut buffer) {
            self.said.push(String::from_utf8(buffer[..size].to_vec()).unwrap());
        }
        &self.said
    }

    fn count(&mut self, datagram: &str) -> usize {
        self.look().iter().filter(|said| *said == datagram).count()
    }

    #[track_caller]
    fn until(&mut self, part: &str) {
        wait_until(part, 30, || self.look().iter().any(|said| said.contains(part)));
    }

    /// Three more pings: one is the answer to what was before.
    #[track_caller]
    fn until_pings_go_on(&mut self) {
        let before = self.count("WATCHDOG=1");
        wait_until("pings go on", 30, || self.count("WATCHDOG=1") >= before + 3);
    }
}

/// A gateway that is started by a supervisor with a watchdog of a second. `rest`: the tables besides.
fn gateway(dir: &Path, hub: SocketAddr, rest: &str) -> (Gateway, SocketAddr) {
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n\
         [[route]]\nmatch = \"#\"\nto = \"up/\"\n[queue]\nmax_bytes = \"1MiB\"\n{rest}"
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.env = vec![
        ("NOTIFY_SOCKET", dir.join("notify").to_str().unwrap().to_owned()),
        ("WATCHDOG_USEC", "1000000".to_owned()),
    ];
    (gateway, listen)
}

#[test]
fn it_is_ready_alive_and_says_how_it_is_until_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervisor = Supervisor::new(dir.path());
    let hub = Hub::start();
    let wan = Relay::start(hub.address);
    wan.cut();
    let (mut gateway, listen) = gateway(dir.path(), wan.address, "");
    gateway.start_unready();
    supervisor.until("READY=1");
    assert_eq!(gateway.get("/readyz").unwrap().0, 200, "ready is ready to accept");
    let mut sensor = Publisher::new(listen, "sensor", 1);
    sensor.publish("plant/oven", "97.4");
    sensor.settle(0, 20);
    // An outage is no reason to be started again.
    supervisor.until("STATUS=storing: the hub is not reached, everything is kept (");
    supervisor.until_pings_go_on();
    wan.mend();
    supervisor.until("STATUS=delivering: ");

    gateway.signal("STOP");
    supervisor.look();
    let frozen = supervisor.count("WATCHDOG=1");
    // Longer than the watchdog's time: systemd would have acted.
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(supervisor.count("WATCHDOG=1"), frozen, "a process that hangs does not ping");
    gateway.signal("CONT");
    supervisor.until_pings_go_on();

    assert_eq!(supervisor.count("STOPPING=1"), 0);
    assert!(gateway.terminate().0.success());
    assert_eq!(
        (supervisor.count("STOPPING=1"), supervisor.count("READY=1")),
        (1, 1),
        "{:?}",
        supervisor.said
    );
}

#[test]
fn it_is_not_ready_while_its_queue_is_not_open_and_the_start_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervisor = Supervisor::new(dir.path());
    fs::write(dir.path().join("state"), "no directory").unwrap();
    let (mut gateway, _) = gateway(dir.path(), free_port(), "");
    gateway.start_unready();
    supervisor.until("EXTEND_TIMEOUT_USEC=");
    supervisor.until("STATUS=degraded: no queue (");
    assert_eq!(supervisor.count("READY=1"), 0, "{:?}", supervisor.said);
    fs::remove_file(dir.path().join("state")).unwrap();
    supervisor.until("READY=1");
    assert_eq!(gateway.get("/readyz").unwrap().0, 200);
}

/// After the first READY=1 the watchdog goes on: a reload whose disk hangs, or whose copy takes long, must not be killed for it.
#[test]
fn a_reload_that_waits_for_its_queue_pings() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervisor = Supervisor::new(dir.path());
    let (mut gateway, _) = gateway(dir.path(), free_port(), "");
    gateway.start_unready();
    supervisor.until("READY=1");
    let (state, away) = (gateway.state.clone(), dir.path().join("away"));
    fs::rename(&state, &away).unwrap();
    fs::write(&state, "no directory").unwrap();
    let file = dir.path().join("gateway.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[hub]\n", "[hub]\nwindow = 7\n")).unwrap();
    gateway.signal("HUP");
    supervisor.until("STATUS=degraded: no queue (");
    supervisor.until_pings_go_on();

    // One that hangs is found all the same.
    gateway.signal("STOP");
    let frozen = supervisor.count("WATCHDOG=1");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(supervisor.count("WATCHDOG=1"), frozen, "a process that hangs does not ping");
    // Mended while it is stopped: an attempt between the two would make a directory of its own.
    fs::remove_file(&state).unwrap();
    fs::rename(&away, &state).unwrap();
    gateway.signal("CONT");
    wait_until("ready again", 60, || supervisor.count("READY=1") == 2);
    supervisor.until_pings_go_on();
    assert!(gateway.terminate().0.success());
}

#[test]
fn a_second_one_on_the_same_state_is_never_ready() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervisor = Supervisor::new(dir.path());
    let (mut first, _) = gateway(dir.path(), free_port(), "");
    first.env.clear();
    first.start();
    let second = tempfile::tempdir().unwrap();
    let (mut second, _) = gateway(second.path(), free_port(), "");
    second.env[0].1 = dir.path().join("notify").to_str().unwrap().to_owned();
    second.state = first.state.clone();
    let output = second.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(supervisor.count("READY=1"), 0, "{:?}", supervisor.said);
}

/// A new start mends no disk, and would end control.
#[test]
fn a_disk_that_refuses_does_not_end_the_pings() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervisor = Supervisor::new(dir.path());
    let (mut gateway, listen) = gateway(dir.path(), free_port(), "ack_within = \"10ms\"\n");
    gateway.start_unready();
    supervisor.until("READY=1");
    let pid = gateway.pid().to_string();
    let limited = std::process::Command::new("prlimit").args(["--fsize=0", "--pid", &pid]).status();
    assert!(limited.unwrap().success());
    let mut sensor = Publisher::new(listen, "sensor", 1);
    sensor.publish("plant/oven", "97.4");
    wait_until("the store fails", 30, || {
        sensor.poll();
        supervisor.look().iter().any(|said| said.starts_with("STATUS=degraded: "))
    });
    supervisor.until_pings_go_on();
    assert!(sensor.acked.is_empty(), "nothing was stored");
}

/// Nothing of it is said to nobody, and a socket that is none is told and ends nothing.
#[test]
fn a_socket_that_is_none_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, _) = gateway(dir.path(), free_port(), "");
    gateway.env[0].1 = "nowhere".to_owned();
    gateway.start();
    assert!(gateway.log().contains("systemd is not told"), "{}", gateway.log());
}
