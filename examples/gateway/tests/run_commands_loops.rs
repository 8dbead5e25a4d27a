#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Commands of a hub to the gateway's own loops and alarms: obeyed once and in their limits, over kills too, and each end is told to the hub.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use support::commands::{LocalClient, Plant, Request};
use support::mosquitto::Subscriber;
use support::relay::Relay;
use support::rng::Rng;
use support::wait_until;

const LOOPS: &str = r#"
[control]
commands = true
[commands]
clients = ["hmi"]
per_minute = 100000
hub = ["setpoint"]
[commands.setpoint]
heater = { range = [20.0, 800.0], per_minute = 100000 }
[[input]]
name = "line/estop"
stale_after_ms = 20000
[[output]]
name = "heater"
ramp = { setpoint = 30.0, rate_per_s = 1000000.0 }
[[output]]
name = "contactor"
value = 1.0
[[interlock]]
name = "stop"
outputs = ["contactor"]
trip_when = { input = "line/estop", is = false }
"#;

const ALARM: &str = "[[alarm]]\nmatch = \"t\"\nmax_shelve_ms = 600000\nhigh = { limit = 90.0 }\n";

/// A gateway with loops, and a filter with an alarm, that the hub commands.
fn start(rules: &tempfile::TempDir, delivery: &str, line: impl FnOnce(SocketAddr) -> SocketAddr) -> Plant {
    let (loops, filter) = (rules.path().join("control.toml"), rules.path().join("rules.toml"));
    fs::write(&loops, LOOPS).unwrap();
    fs::write(&filter, ALARM).unwrap();
    let tables = format!(
        "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\nexpiry = \"1h\"\ndelivery = \"{delivery}\"\n\
         [control]\nrules = {loops:?}\npublish_every = \"20ms\"\n[alarms]\ncommands = true\nhub = true\n\
         [[route]]\nmatch = \"sensors/#\"\nto = \"up/sensors\"\nformat = \"json\"\nfilter = {filter:?}\n"
    );
    Plant::start_after(&tables, |_| {}, line)
}

#[track_caller]
fn becomes(outputs: &Subscriber, topic: &str, value: &str) {
    let from = outputs.arrived().len();
    let is_there = || outputs.arrived().iter().skip(from).any(|m| m.topic == topic && m.payload == value);
    wait_until(&format!("{topic} is {value}"), 30, is_there);
}

/// Requests a setpoint until it is obeyed, since one that may have waited while the machine stood still is refused. Returns the id of the obeyed one.
#[track_caller]
fn obeys(plant: &Plant, setpoint: &str) -> String {
    let mut id = String::new();
    wait_until(&format!("{setpoint} is obeyed"), 60, || {
        id = format!("to {setpoint} {}", plant.answers.all().len());
        plant.request("site7/cmd/output/heater/setpoint", setpoint, 30, &id);
        plant.answers.wait(&id).is_obeyed
    });
    id
}

#[test]
fn promise_10_loops_and_alarms_obey_the_hub_within_what_it_may() {
    let rules = tempfile::tempdir().unwrap();
    let mut plant = start(&rules, "at-most-once", |hub| hub);
    let outputs = Subscriber::with_format(plant.listen, "out/#", "%t\t%E\t%P\t%x");
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    becomes(&outputs, "out/heater", "30");

    let first = obeys(&plant, "60");
    becomes(&outputs, "out/heater", "60");
    obeys(&plant, "61");
    becomes(&outputs, "out/heater", "61");
    // A copy is not obeyed again: the setpoint behind it is the first one to come.
    let from = outputs.arrived().len();
    plant.request("site7/cmd/output/heater/setpoint", "60", 30, &first);
    obeys(&plant, "62");
    becomes(&outputs, "out/heater", "62");
    let values: Vec<_> =
        outputs.arrived().into_iter().skip(from).filter(|m| m.topic == "out/heater").collect();
    assert!(values.iter().all(|m| m.payload != "60"), "obeyed again");

    for (command, payload, why) in [
        ("output/heater/setpoint", "801", "outside the range of the rules"),
        ("output/heater/setpoint", "hot", "the payload must be a number"),
        ("output/heater/mode", "\"hold\"", "the hub may not command it: [commands] hub"),
        ("output/contactor/setpoint", "2", "no [commands.setpoint] for this output"),
        ("interlock/stop/reset", "", "the hub may not command it: [commands] hub"),
        ("alarm/nobody/HI/ack", "1", "no sensor of this name has an alarm, or none was heard of"),
    ] {
        let topic = format!("site7/cmd/{command}");
        // Each is refused, the first ones perhaps as those that waited.
        wait_until(&format!("{command} {payload} is refused: {why}"), 60, || {
            let id = format!("{command} {payload} {}", plant.answers.all().len());
            Request::new(&topic, payload).expiry(30).id(&id).send(plant.hub.address);
            let answer = plant.answers.wait(&id);
            assert_eq!(answer.reason, "not-obeyed", "{id}");
            answer.why == why
        });
    }

    support::mosquitto::publish(plant.listen, "sensors/x", "{\"sensor\":\"t\",\"value\":95.0}");
    let events = Subscriber::with_format(plant.listen, "event/alarm/#", "%t\t%E\t%P\t%x");
    wait_until("the alarm can be shelved", 30, || {
        let id = format!("shelve {}", plant.answers.all().len());
        plant.request("site7/cmd/alarm/t/HI/shelve", "60000", 30, &id);
        plant.answers.wait(&id).is_obeyed
    });
    wait_until("it is shelved", 30, || {
        events.arrived().iter().any(|m| m.topic == "event/alarm/t/HI" && m.payload.contains("SHELVED"))
    });

    // A topic of nobody here is for local clients, as without loops.
    plant.request("site7/cmd/valve/1", "open", 30, "valve");
    assert!(plant.answers.wait("valve").is_delivered);
    assert_eq!(local.payloads(), ["open"], "clients do not get what loops get");
    assert!(plant.ended("obeyed") >= 4.0 && plant.ended("not_obeyed") >= 6.0);
    assert_eq!(plant.left_at_hub(), 0);
}

const KILLS: usize = 8;
const IN_A_ROUND: usize = 20;
const ALL: usize = KILLS * IN_A_ROUND;

/// Outcome of a command.
#[derive(Clone, Debug, Default)]
struct Fate {
    /// Lines of the log that say that it was obeyed.
    obeyed: usize,
    /// Ends that the hub was told, each once.
    told: BTreeSet<String>,
}

fn setpoint(n: usize) -> String {
    (100 + n).to_string()
}

/// The fates of setpoints, each another one, over kills, and whether one that came after them all is in force. The line is so slow that answers wait.
fn fates(delivery: &str) -> (Vec<Fate>, bool) {
    let rules = tempfile::tempdir().unwrap();
    let mut wan = None;
    let mut plant = start(&rules, delivery, |hub| wan.insert(Relay::start(hub)).address);
    let wan = wan.unwrap();
    wan.limit(3_000);
    let (hub, mut moments) = (plant.hub.address, Rng::new(11));
    for round in 0..KILLS {
        let publisher = thread::spawn(move || {
            for n in round * IN_A_ROUND..(round + 1) * IN_A_ROUND {
                let request = Request::new("site7/cmd/output/heater/setpoint", &setpoint(n));
                request.expiry(3_600).id(&setpoint(n)).send(hub);
                thread::sleep(Duration::from_millis(20));
            }
        });
        thread::sleep(Duration::from_millis(200 + moments.below(1_000)));
        plant.gateway.kill_9();
        plant.gateway.start();
        publisher.join().unwrap();
    }
    wan.limit(u64::MAX);
    obeys(&plant, "700");
    wait_until("each command has an end", 60, || {
        let ids: BTreeSet<_> = plant.answers.all().into_iter().filter_map(|answer| answer.id).collect();
        (0..ALL).all(|n| ids.contains(&setpoint(n)))
    });
    let log = plant.gateway.log();
    let answers = plant.answers.all();
    let fate = |n: usize| {
        let line = format!("command \"output/heater/setpoint\" \"{}\" of the hub: obeyed", setpoint(n));
        let id = Some(setpoint(n));
        let told = answers.iter().filter(|answer| answer.id == id).map(|answer| match answer.is_obeyed {
            true => "obeyed".to_owned(),
            false => answer.reason.clone(),
        });
        Fate { obeyed: log.lines().filter(|text| text.contains(&line)).count(), told: told.collect() }
    };
    let fates = (0..ALL).map(fate).collect();
    let outputs = Subscriber::with_format(plant.listen, "out/heater", "%t\t%E\t%P\t%x");
    wait_until("the output is published", 30, || !outputs.arrived().is_empty());
    let is_last_in_force = outputs.arrived()[0].payload == "700";
    assert_eq!(plant.left_at_hub(), 0);
    (fates, is_last_in_force)
}

#[test]
fn promise_10_loops_obey_no_command_twice_over_kills() {
    let (fates, is_last_in_force) = fates("at-most-once");
    for (n, Fate { obeyed, told }) in fates.iter().enumerate() {
        assert_eq!(told.len(), 1, "{n}: {told:?}");
        assert!(*obeyed <= 1, "{n} was obeyed {obeyed} times");
        // Refused is what may have waited while the machine stood still.
        let is_refused = *obeyed == 0 && told.contains("not-obeyed");
        assert!(told.contains("obeyed") || told.contains("interrupted") || is_refused, "{n}: {told:?}");
    }
    let obeyed = fates.iter().filter(|fate| fate.told.contains("obeyed")).count();
    assert!(obeyed > ALL / 2, "{obeyed} of {ALL}");
    assert!(is_last_in_force);
    println!("executed gateway.commands_loops: {ALL} commands, {KILLS} kills, {obeyed} obeyed");
}

/// The negative control: without identities on disk kills have commands obeyed twice.
#[test]
fn without_the_ledger_kills_have_loops_obey_twice() {
    let (fates, _) = fates("at-least-once");
    assert!(fates.iter().any(|fate| fate.obeyed > 1), "{fates:?}");
}
