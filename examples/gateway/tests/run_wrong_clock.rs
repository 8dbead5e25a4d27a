#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` on a machine whose clock begins in 1970, with the configuration that is shipped and TLS to the hub and from sensors. Promise 1.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use control_loop::plant::Sensor;
use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::{self, Arrived, Mosquitto, Subscriber};
use support::wall_clock::WallClock;
use support::{free_port, wait_until};

const DAY_MS: i64 = 86_400_000;

/// A gateway, with the addresses of its listener, plain and TLS, and a hub with a certificate from yesterday on for 90 days.
struct Site {
    gateway: Gateway,
    listen: SocketAddr,
    secure: SocketAddr,
    hub: Mosquitto,
}

impl Site {
    /// Starts the gateway in 1970.
    fn new(dir: &Path, is_synced: bool) -> Self {
        Self::with_clock(dir, in_1970(), is_synced)
    }

    /// Starts the gateway with a clock that is so far beside this machine's.
    fn with_clock(dir: &Path, offset_ms: i64, is_synced: bool) -> Self {
        let plant = Authority::new(dir, "plant");
        for name in ["hub", "gateway", "oven3"] {
            plant.sign_for_days(dir, name, name, 90);
        }
        let (listen, secure, at_hub) = (free_port(), free_port(), free_port());
        let file = |name: &str| dir.join(name).display().to_string();
        let hub = Mosquitto::start(
            dir,
            &format!(
                "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}",
                at_hub.port(),
                file("plant.crt"),
                file("hub.crt"),
                file("hub.key"),
            ),
        );
        let mut gateway = Gateway::new(dir, "");
        let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.toml")).unwrap();
        let changes = [
            (
                "listen = \"127.0.0.1:1883\"",
                format!(
                    "listen = \"{listen}\"\ntls_listen = \"{secure}\"\ncert = \"gateway.crt\"\nkey = \"gateway.key\"\nclient_ca = \"plant.crt\""
                ),
            ),
            (
                "url = \"mqtt://127.0.0.1:18830\"",
                format!("url = \"mqtts://localhost:{}\"\nca = \"plant.crt\"", at_hub.port()),
            ),
            ("listen = \"127.0.0.1:9100\"", format!("listen = \"{}\"", gateway.metrics)),
        ];
        let config = changes.iter().fold(shipped, |config, (shipped, own)| {
            assert_eq!(config.matches(&format!("\n{shipped}")).count(), 1, "{shipped}");
            config.replace(&format!("\n{shipped}"), &format!("\n{own}"))
        });
        fs::write(dir.join("gateway.toml"), config).unwrap();
        gateway.wall_clock = Some(WallClock::new(dir, offset_ms, is_synced));
        gateway.start();
        Self { gateway, listen, secure, hub }
    }

    /// Stops the gateway, and starts it with another clock.
    fn restart_at(&mut self, offset_ms: i64, is_synced: bool) {
        assert!(self.gateway.terminate().0.success());
        self.gateway.wall_clock.as_ref().unwrap().set(offset_ms, is_synced);
        self.gateway.start();
    }

    /// Has a message of a sensor reach the hub.
    fn deliver(&self) {
        let at_hub = Subscriber::start(self.hub.address, "site7/#");
        mosquitto::publish(self.listen, "plant/pump", "on");
        let is_it = |message: &Arrived| message.topic == "site7/plant/pump";
        wait_until("delivered", 60, || at_hub.arrived().iter().any(is_it));
    }
}

/// Milliseconds beside this machine's clock of one that shows the first minute of 1970.
fn in_1970() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    60_000 - i64::try_from(since_1970).unwrap()
}

#[test]
fn a_gateway_in_1970_delivers_to_its_hub_and_takes_its_sensors() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let site = Site::new(dir, false);
    assert_eq!(site.gateway.metric("edge_clock_synced"), Some(0.0));
    let at_hub = Subscriber::start(site.hub.address, "site7/#");
    let mut oven = Command::new("mosquitto_pub");
    oven.args([
        "-h",
        "localhost",
        "-p",
        &site.secure.port().to_string(),
        "-q",
        "1",
        "-t",
        "plant/oven3",
        "-m",
        "hot",
    ]);
    for (option, file) in [("--cafile", "plant.crt"), ("--cert", "oven3.crt"), ("--key", "oven3.key")] {
        oven.arg(option).arg(dir.join(file));
    }
    assert!(oven.status().unwrap().success());
    mosquitto::publish(site.listen, "plant/pump", "on");
    for topic in ["site7/plant/oven3", "site7/plant/pump"] {
        wait_until(topic, 30, || at_hub.arrived().iter().any(|message| message.topic == topic));
    }
    let log = site.gateway.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("the clock is behind")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("clock=1970-01-01T00:0") && told[0].contains("taken=20"), "{}", told[0]);
}

/// The clock is what the machine says that it is, and the error says whose dates do not fit.
#[test]
fn a_clock_of_1970_that_counts_as_synchronised_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::new(dir.path(), true);
    let refusal = "the hub's certificate is not valid before 20";
    wait_until("the hub's certificate is refused", 30, || site.gateway.log().contains(refusal));
    let log = site.gateway.log();
    assert!(
        log.contains("and it is 1970-01-01 by this machine's clock") && !log.contains("the clock is behind"),
        "{log}"
    );
    let setting =
        "set the clock if it is wrong (it counts as right by a time service, or by [clock] trusted)";
    assert!(log.contains(setting), "{log}");
    // Once the machine takes it back, the hub is reached without a restart.
    site.gateway.wall_clock.as_ref().unwrap().set(in_1970(), false);
    site.deliver();
}

/// The day on which the clock was right last is kept beside the queue.
#[test]
fn what_had_ended_when_the_clock_was_right_last_is_refused_in_1970() {
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::with_clock(dir.path(), 400 * DAY_MS, true);
    site.restart_at(in_1970(), false);
    let refusal = "at least, although this machine's clock, which is not known to be right, says 1970-01-01";
    wait_until("the hub's certificate is refused", 30, || site.gateway.log().contains(refusal));
    // A gateway that has never known the time takes it.
    site.gateway.state = dir.path().join("new-state");
    site.restart_at(in_1970(), false);
    site.deliver();
}

/// As a board whose clock is set to the time that was saved last, before a power cut.
#[test]
fn a_certificate_that_begins_behind_a_clock_that_was_saved_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let days = || ["30 days ago", "1 day ago"].map(day);
    let before = days();
    let mut site = Site::with_clock(dir.path(), -30 * DAY_MS, true);
    let refusal = "the hub's certificate is not valid before 20";
    wait_until("the hub's certificate is refused", 30, || site.gateway.log().contains(refusal));
    site.restart_at(-30 * DAY_MS, false);
    site.deliver();
    let log = site.gateway.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("the clock is behind")).collect();
    assert_eq!(told.len(), 1, "{log}");
    // Midnight may come between the two that it is made of.
    let either = [before, days()];
    let has =
        |key: &str, at: usize| either.iter().any(|days| told[0].contains(&format!("{key}={}T", days[at])));
    assert!(has("clock", 0) && has("taken", 1), "{}", told[0]);
}

/// Returns a day by this machine's clock, such as `1 day ago`.
fn day(ago: &str) -> String {
    let said = Command::new("date").args(["-u", "+%F", "-d", ago]).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// A loop with a fixed output, which an interlock holds while its input says so.
const LOOPS: &str = "[control]\nwatchdog_ms = 30000\n[[input]]\nname = \"estop\"\nstale_after_ms = 60000\n[[output]]\nname = \"contactor\"\nvalue = 1.0\n\
                     [[interlock]]\nname = \"stop\"\noutputs = [\"contactor\"]\nreset = \"auto\"\n\
                     trip_when = { input = \"estop\", is = false }\n\
                     [[alarm]]\nmatch = \"estop\"\nlow = { limit = 0.5 }\n";

/// A board without a battery: its loops run before a time service sets the clock.
#[test]
fn promise_14_events_of_the_loops_follow_a_clock_that_is_set_while_they_run() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("control.toml"), LOOPS).unwrap();
    let listen = free_port();
    let mut gateway = Gateway::new(
        dir.path(),
        &format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://127.0.0.1:9\"\n\
             [control]\nrules = \"control.toml\"\n[[route]]\nmatch = \"event/#\"\n"
        ),
    );
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    gateway.wall_clock = Some(WallClock::new(dir.path(), in_1970(), false));
    gateway.start();
    let events = Subscriber::start(listen, "event/#");
    let mut sensor = Sensor::new(listen, "sensor");
    let mut told = |value: &str, from: usize, topic: &str, state: &str| -> serde_json::Value {
        let mut found = None;
        wait_until(state, 30, || {
            sensor.publish("estop", value);
            let arrived = events.arrived();
            let is_it = |message: &&Arrived| message.topic == topic && message.payload.contains(state);
            let message = arrived.iter().skip(from).find(is_it);
            found = message.map(|message| serde_json::from_str(&message.payload).unwrap());
            found.is_some()
        });
        found.unwrap()
    };
    let output = "event/output/contactor";
    let running = told("1", 0, output, "\"cause\":\"running\"");
    assert!(running["ts"].as_u64().unwrap() < 86_400_000, "{running}");
    let (from, now_ms) = (events.arrived().len(), since_1970());
    gateway.wall_clock.as_ref().unwrap().set(0, true);
    let trip = ("event/interlock/stop", "\"tripped\":true");
    let alarm = ("event/alarm/estop/LO", "UNACK_ALM");
    for (topic, state) in [trip, alarm, (output, "\"cause\":\"interlock\"")] {
        let said = told("0", from, topic, state);
        let ts = u128::from(said["ts"].as_u64().unwrap());
        // Both clocks are rounded to milliseconds, so a scan right after the change may seem to be 2 ms before it.
        assert!((now_ms - 1_000..now_ms + 3_600_000).contains(&ts), "{topic}: {said} at {now_ms}");
    }
    // What an acknowledgement quotes is the loops' own number, and stays it.
    let said = told("0", from, alarm.0, alarm.1);
    assert!(said["transition"].as_u64().unwrap() < 86_400_000, "{said}");
}
