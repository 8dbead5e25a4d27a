//! The program over a signal, and without the places that it writes to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use control_loop::net::{DemoHub, Message};
use control_loop::plant::Sensor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use support::{Program, Subscriber, command, deaf, until};

/// An output that follows its setpoint, so that the setpoint can be read from it, and a contact.
fn write(dir: &Path, more: &str) -> PathBuf {
    let file = dir.join("control.toml");
    let text = format!(
        "[mqtt]\nlisten = \"127.0.0.1:0\"\n{more}\n\
         [control]\ncommands = true\n[commands.setpoint]\nvalve = {{ range = [0.0, 90.0] }}\n\
         [[input]]\nname = \"t\"\nstale_after_ms = 60000\n\
         [[output]]\nname = \"valve\"\nramp = {{ setpoint = 60.0, rate_per_s = 1000.0 }}\n\
         [[output]]\nname = \"fan\"\nswitch = {{ input = \"t\", on_at = 40.0, off_at = 30.0 }}\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// Starts it and gives its input until the fan is on and the valve has this value.
fn runs(file: &Path, valve: &str) -> (Program, Subscriber) {
    let program = Program::start(file);
    let outputs = Subscriber::start(program.address, "actuator", "out/#");
    let mut sensor = Sensor::new(program.address, "sensor");
    until(valve, || {
        sensor.publish("t", "50");
        outputs.last("out/valve").as_deref() == Some(valve) && outputs.last("out/fan").as_deref() == Some("1")
    });
    (program, outputs)
}

#[test]
fn a_signal_leaves_the_outputs_safe_and_a_setpoint_of_a_moment_ago_kept() {
    for signal in ["TERM", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path(), "[state]\ndir = \"state\"");
        let (mut program, outputs) = runs(&file, "60");
        let mut hand = Sensor::new(program.address, "hand");
        // The first change is written at once, the second not for five seconds, unless somebody stops it.
        for setpoint in ["62", "65"] {
            let is_set = || outputs.last("out/valve").as_deref() == Some(setpoint);
            command(&mut hand, "cmd/output/valve/setpoint", setpoint, is_set);
        }
        program.signal(signal);
        assert_eq!(program.ended().code(), Some(0), "{signal}: {}", program.stderr());
        until("the last word is safe", || outputs.last("out/valve").as_deref() == Some("0"));
        let (_again, _) = runs(&file, "65");
    }
}

/// Its copies wait for it alone. Before, no other subscriber heard of an output any more, and the stop never ended.
#[test]
fn promise_14_a_subscriber_that_reads_nothing_delays_no_output_and_no_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (mut program, outputs) = runs(&write(dir.path(), ""), "60");
    let _deaf = deaf(program.address);
    let from = outputs.len();
    until("outputs as before", || outputs.since(from, "out/valve").len() >= 30);
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0), "{}", program.stderr());
    until("the last word is safe", || outputs.last("out/valve").as_deref() == Some("0"));
}

/// A closed terminal, or a request for a new configuration as of the gateway, stops no loop.
#[test]
fn a_hangup_is_told_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut program, outputs) = runs(&write(dir.path(), ""), "60");
    let line = "control-loop: SIGHUP: the configuration is not read again, control goes on\n";
    for times in 1..=2 {
        program.signal("HUP");
        until("it says so", || program.stderr().matches(line).count() == times);
    }
    let mut hand = Sensor::new(program.address, "hand");
    let is_set = || outputs.last("out/valve").as_deref() == Some("62");
    command(&mut hand, "cmd/output/valve/setpoint", "62", is_set);
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0), "{}", program.stderr());
}

/// A service runs for years: its log is no place for a line per second.
#[test]
fn without_an_end_it_prints_where_it_listens_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (mut program, outputs) = runs(&write(dir.path(), ""), "60");
    // Ten a second of its own time.
    let from = outputs.len();
    until("outputs", || outputs.since(from, "out/valve").len() >= 40);
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0), "{}", program.stderr());
    assert_eq!(program.stdout(), "");
}

/// A hub, and all that it was told of the valve's changes.
fn hub() -> (DemoHub, Arc<Mutex<String>>) {
    let told = Arc::<Mutex<String>>::default();
    let to = told.clone();
    let hub = DemoHub::start(move |message: Message| {
        if message.topic == "event/output/valve" {
            to.lock().unwrap().push_str(&message.payload);
        }
    });
    (hub.unwrap(), told)
}

/// Before its end, or at the next start.
#[test]
fn a_stop_is_an_event_of_each_output_here_and_at_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, told) = hub();
    let more = format!("[hub]\nurl = \"mqtt://{}\"\nclient_id = \"a\"\nspool = \"spool\"\n", hub.address());
    let file = write(dir.path(), &more);
    let (mut program, _outputs) = runs(&file, "60");
    let events = Subscriber::start(program.address, "panel", "event/output/#");
    until("the hub heard that it runs", || told.lock().unwrap().contains("\"running\""));
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0), "{}", program.stderr());
    for output in ["event/output/valve", "event/output/fan"] {
        until(output, || {
            let last = events.last(output).unwrap_or_default();
            last.contains("\"cause\":\"stopped\"") && last.contains("\"value\":0.0")
        });
    }
    if !told.lock().unwrap().contains("\"stopped\"") {
        let _again = Program::start(&file);
        let is_told = || told.lock().unwrap().contains("\"stopped\"");
        until("the hub hears of the stop after the next start", is_told);
    }
}

/// Once, when the place for it is mended.
#[test]
fn a_queue_that_opens_later_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    std::fs::write(&spool, "no directory").unwrap();
    let more = "[hub]\nurl = \"mqtt://127.0.0.1:9\"\nclient_id = \"a\"\nspool = \"spool\"\n";
    let (program, _outputs) = runs(&write(dir.path(), more), "60");
    until("it says so", || program.stderr().contains("no queue for the hub, control goes on"));
    std::fs::remove_file(&spool).unwrap();
    let line = format!("control-loop: {}: the queue for the hub is open\n", spool.display());
    until("it says that it is open", || program.stderr().contains(&line));
    assert_eq!(program.stderr().matches("queue for the hub").count(), 2, "{}", program.stderr());
}

#[test]
fn control_goes_on_without_a_place_for_the_queue_and_without_a_hub() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "no directory").unwrap();
    let hub = |spool: &str| {
        format!("[hub]\nurl = \"mqtt://127.0.0.1:9\"\nclient_id = \"a\"\nspool = \"{spool}\"\n")
    };
    for (more, said) in [
        (hub("file"), "no queue for the hub, control goes on"),
        (hub("file/below"), "no queue for the hub, control goes on"),
        (String::new(), "no [hub]"),
    ] {
        let (mut program, _outputs) = runs(&write(dir.path(), &more), "60");
        until("it says so", || program.stderr().contains(said));
        program.signal("TERM");
        assert_eq!(program.ended().code(), Some(0), "{}", program.stderr());
    }
}
