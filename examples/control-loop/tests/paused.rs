//! A process that was stopped does not control with what waited in its sockets meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "waits while a process is stopped")]

mod support;

use control_loop::plant::Sensor;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Program, Subscriber, command, until};

const STALE_MS: u64 = 800;

#[test]
fn promise_14_what_waited_while_the_process_was_stopped_is_not_fresh() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&fan(dir.path()));
    let outputs = Subscriber::start(program.address, "actuator", "out/fan");
    let mut sensor = Sensor::new(program.address, "sensor");
    for run in 0..runs() {
        until("the fan is on", || {
            sensor.publish("t", "50");
            outputs.last("out/fan").as_deref() == Some("1")
        });
        program.signal("STOP");
        // Values come for a while, then none: each is stale when the process goes on.
        for _ in 0..20 {
            sensor.publish("t", "50");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(STALE_MS + 200));
        let from = outputs.len();
        program.signal("CONT");
        until("outputs again", || outputs.len() >= from + 30);
        // One may have been on its way when the process was stopped.
        let said = outputs.since(from, "out/fan");
        assert!(said.iter().skip(1).all(|value| value == "0"), "run {run}: {said:?}");
    }
}

#[test]
fn a_command_that_waited_while_the_process_was_stopped_is_refused_and_the_next_one_is_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("control.toml");
    let text = "[mqtt]\nlisten = \"127.0.0.1:0\"\npublish_every_ms = 20\n[control]\nwatchdog_ms = 100\ncommands = true\n\
                [commands]\nper_minute = 1000\n[commands.setpoint]\nvalve = { range = [0.0, 100.0], per_minute = 1000 }\n\
                [[input]]\nname = \"t\"\nstale_after_ms = 60000\n\
                [[output]]\nname = \"valve\"\nramp = { setpoint = 10.0, rate_per_s = 10000.0 }\n";
    std::fs::write(&file, text).unwrap();
    let program = Program::start(&file);
    let said = Subscriber::start(program.address, "actuator", "#");
    let mut hand = Sensor::new(program.address, "hand");
    let refused = "event/refused/output/valve/setpoint";
    // Twenty refusals a minute are told.
    let runs = runs().min(15);
    let mut refusals = 0;
    for run in 0..runs {
        let from = said.len();
        let wanted = (20 + run).to_string();
        let is_set = || said.last("out/valve").as_deref() == Some(&wanted);
        command(&mut hand, "cmd/output/valve/setpoint", &wanted, is_set);
        refusals += said.since(from, refused).len();
        program.signal("STOP");
        std::thread::sleep(Duration::from_millis(1_500));
        hand.publish("cmd/output/valve/setpoint", "77");
        let from = said.len();
        program.signal("CONT");
        until("it is refused", || said.since(from, refused).iter().any(|why| why.contains("stood still")));
        // Until all sockets are sure to be read.
        std::thread::sleep(Duration::from_millis(600));
        let values = said.since(from, "out/valve");
        // The watchdog may have made it safe for a moment.
        assert!(!values.iter().any(|value| value == "77"), "run {run}: {values:?}");
    }
    // The machine itself may stand still now and then, and not behind each pause.
    assert!(refusals + 1 < runs as usize, "{refusals} in {runs} runs");
}

/// Values that are not stale for a minute: the watchdog's time is over all the same.
#[test]
fn promise_14_the_first_output_after_a_pause_longer_than_the_watchdogs_time_is_safe() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&fan_stale_after(dir.path(), 60_000));
    let outputs = Subscriber::start(program.address, "actuator", "out/fan");
    let events = Subscriber::start(program.address, "panel", "event/watchdog");
    let mut sensor = Sensor::new(program.address, "sensor");
    for run in 0..runs() {
        until("the fan is on", || {
            sensor.publish("t", "50");
            outputs.last("out/fan").as_deref() == Some("1")
        });
        let told = events.len();
        program.signal("STOP");
        sensor.publish("t", "50");
        std::thread::sleep(Duration::from_millis(400));
        let from = outputs.len();
        program.signal("CONT");
        until("outputs again", || outputs.len() >= from + 10);
        // One may have been on its way when the process was stopped.
        let said = outputs.since(from, "out/fan");
        assert!(said.iter().take(2).any(|value| value == "0"), "run {run}: {said:?}");
        until("it is told", || {
            events.since(told, "event/watchdog").iter().any(|event| event.contains("true"))
        });
    }
}

/// Megabytes wait in each of three sockets: their reading takes longer than any fixed time after the pause, and each waits for the others.
#[test]
fn a_large_backlog_of_a_pause_is_old_until_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&fan(dir.path()));
    let outputs = Subscriber::start(program.address, "actuator", "out/fan");
    for run in 0..runs().min(5) {
        let [mut sensor, mut other, mut third] = [b's', b'o', b'p'].map(|id| raw_sensor(program.address, id));
        until("the fan runs", || {
            sensor.write_all(&publish(b't')).unwrap();
            outputs.last("out/fan").as_deref() == Some("1")
        });
        program.signal("STOP");
        let bytes = fill(&mut sensor, b't');
        fill(&mut other, b'x');
        fill(&mut third, b'x');
        assert!(bytes > 1 << 20, "{bytes}");
        std::thread::sleep(Duration::from_millis(STALE_MS + 400));
        let from = outputs.len();
        program.signal("CONT");
        until("outputs again", || outputs.len() >= from + 150);
        // One may have been on its way when the process was stopped.
        let said = outputs.since(from, "out/fan");
        assert!(said.iter().skip(1).all(|value| value == "0"), "run {run}, {bytes} bytes: {said:?}");
    }
}

/// A fan that runs while `t` is above 40 and not older than `STALE_MS`.
fn fan(dir: &Path) -> PathBuf {
    fan_stale_after(dir, STALE_MS)
}

fn fan_stale_after(dir: &Path, stale_ms: u64) -> PathBuf {
    let file = dir.join("control.toml");
    let text = format!(
        "[mqtt]\nlisten = \"127.0.0.1:0\"\npublish_every_ms = 20\n[control]\nwatchdog_ms = 100\n\
         [[input]]\nname = \"t\"\nstale_after_ms = {stale_ms}\n\
         [[output]]\nname = \"fan\"\nswitch = {{ input = \"t\", on_at = 40.0, off_at = 30.0 }}\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// `50` on a topic, at QoS 0.
fn publish(topic: u8) -> [u8; 7] {
    [0x30, 5, 0, 1, topic, b'5', b'0']
}

fn raw_sensor(at: SocketAddr, id: u8) -> TcpStream {
    let mut sensor = TcpStream::connect(at).unwrap();
    sensor.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, id]).unwrap();
    sensor.read_exact(&mut [0; 4]).unwrap();
    sensor
}

/// Writes messages until no more are taken. Returns the number of bytes.
fn fill(sensor: &mut TcpStream, topic: u8) -> usize {
    sensor.set_nonblocking(true).unwrap();
    let messages = publish(topic).repeat(10_000);
    let mut sent = 0;
    while let Ok(n) = sensor.write(&messages[sent % 7..]) {
        sent += n;
    }
    sensor.set_nonblocking(false).unwrap();
    sent
}

/// Twenty runs by `EDGE_TEST_BUDGET=100`.
fn runs() -> u32 {
    let budget = std::env::var("EDGE_TEST_BUDGET").ok().and_then(|budget| budget.parse::<u32>().ok());
    (budget.unwrap_or(15) / 5).clamp(3, 20)
}
