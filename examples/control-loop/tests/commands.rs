//! Commands and inputs from a network on which anybody may publish: what is not allowed is refused, answered and counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use control_loop::plant::Sensor;
use std::path::Path;
use support::{Program, Subscriber, command, dies, retains, until};

/// A contact that an interlock holds, and a valve that follows its setpoint. The watchdog is long: on a busy machine a short one makes outputs
/// safe in the middle of a test.
fn start(dir: &Path, control: &str) -> (Program, Subscriber) {
    let file = dir.join("control.toml");
    let text = format!(
        "[mqtt]\nlisten = \"127.0.0.1:0\"\n[control]\nwatchdog_ms = 30000\n{control}\n\
         [[input]]\nname = \"estop\"\nstale_after_ms = 1000\n\
         [[output]]\nname = \"contactor\"\nvalue = 1.0\n\
         [[output]]\nname = \"valve\"\nramp = {{ setpoint = 60.0, rate_per_s = 1000.0 }}\n\
         [[interlock]]\nname = \"stop\"\noutputs = [\"contactor\"]\n\
         trip_when = {{ input = \"estop\", is = false }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let program = Program::start(&file);
    let said = Subscriber::start(program.address, "watcher", "#");
    until("outputs", || said.last("out/valve").as_deref() == Some("60"));
    (program, said)
}

#[track_caller]
fn answered(said: &Subscriber, topic: &str, expected: &str) {
    until(expected, || said.last(topic).is_some_and(|payload| payload.contains(expected)));
}

/// A line of the log in which `rest` comes right behind `start` and the port of an address.
#[track_caller]
fn logged(program: &Program, start: &str, rest: &str) {
    let is_it = |line: &str| {
        let after = line.split_once(start).map(|(_, after)| after);
        after.is_some_and(|after| after.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(rest))
    };
    until("a line in the log", || program.stderr().lines().any(is_it));
}

#[test]
fn without_a_word_in_the_rules_no_command_is_taken_and_each_is_answered() {
    // Limits alone, and limits that were left beside a `false`, allow none either.
    let limits = "[commands]\nclients = [\"hand\"]\n[commands.setpoint]\nvalve = { range = [20.0, 80.0] }\n";
    for rules in [limits.to_owned(), format!("commands = false\n{limits}")] {
        let dir = tempfile::tempdir().unwrap();
        let (program, said) = start(dir.path(), &rules);
        let mut hand = Sensor::new(program.address, "hand");
        hand.publish("cmd/output/valve/setpoint", "70");
        answered(&said, "event/refused/output/valve/setpoint", "commands are off");
        until("the output is as before", || said.last("out/valve").as_deref() == Some("60"));
        let told = "warning: commands: has no effect without [control] commands = true";
        assert!(program.stderr().contains(told), "{}", program.stderr());
    }
    let dir = tempfile::tempdir().unwrap();
    let (program, said) = start(dir.path(), "");
    let (mut sensor, mut hand) =
        (Sensor::new(program.address, "sensor"), Sensor::new(program.address, "hand"));
    sensor.publish("estop", "1");
    hand.publish("cmd/interlock/stop/reset", "");
    answered(&said, "event/refused/interlock/stop/reset", "commands are off");
    hand.publish("cmd/output/valve/setpoint", "1e9");
    answered(&said, "event/refused/output/valve/setpoint", "\"client\":\"hand\"");
    assert_eq!(said.last("out/valve").as_deref(), Some("60"));
    logged(&program, "of client \"hand\" from 127.0.0.1:", ": refused: commands are off");
    // A flood is counted, and neither told nor logged message by message.
    (0..2000).for_each(|_| hand.publish("cmd/interlock/stop/reset", "\u{1b}[2J"));
    hand.publish("cmd/end", "");
    let before = said.len();
    until("it goes on", || said.len() > before + 20);
    let told = said.since(0, "event/refused/interlock/stop/reset");
    assert!(told.len() <= 20, "{}", told.len());
    let lines = program.stderr().lines().filter(|line| line.contains("refused")).count();
    assert!((2..=21).contains(&lines), "{lines}");
    assert!(!program.stderr().contains('\u{1b}') && said.last("out/contactor").as_deref() == Some("0"));
}

#[test]
fn commands_within_the_rules_are_obeyed_and_told_and_the_others_refused_with_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    let rules = "commands = true\n[commands]\nclients = [\"hmi\"]\n\
                 [commands.setpoint]\nvalve = { range = [20.0, 80.0] }\n";
    let (program, said) = start(dir.path(), rules);
    let (mut hmi, mut thief) = (Sensor::new(program.address, "hmi"), Sensor::new(program.address, "thief"));
    thief.publish("cmd/output/valve/setpoint", "70");
    answered(&said, "event/refused/output/valve/setpoint", "this client may not");
    thief.publish("out/valve", "1");
    logged(
        &program,
        "client \"thief\" publishes to \"out/valve\", which is refused: only the server publishes there, from 127.0.0.1:",
        "",
    );
    hmi.publish("cmd/output/valve/setpoint", "1e9");
    answered(&said, "event/refused/output/valve/setpoint", "outside the range");
    assert_eq!(said.last("out/valve").as_deref(), Some("60"));
    hmi.publish("cmd/output/valve/setpoint", "70");
    answered(&said, "event/command/output/valve/setpoint", "\"payload\":\"70\"");
    until("the valve moves", || said.last("out/valve").as_deref() == Some("70"));
    // The control thread's own reasons.
    hmi.publish("cmd/interlock/stop/reset", "");
    answered(&said, "event/refused/interlock/stop/reset", "is not good");
    hmi.publish("cmd/interlock/stop/bypass", "5000");
    answered(&said, "event/refused/interlock/stop/bypass", "not a time");
    hmi.publish("cmd/output/contactor/setpoint", "1");
    answered(&said, "event/refused/output/contactor/setpoint", "no [commands.setpoint]");
    hmi.publish("cmd/valve/open", "");
    answered(&said, "event/refused/valve/open", "\"reason\":\"no such command\"");
    hmi.publish("cmd/output/nix/setpoint", "1");
    answered(&said, "event/refused/output/nix/setpoint", "\"reason\":\"no output of this name\"");
    hmi.publish("cmd/output/valve/setpoint", "abc");
    answered(&said, "event/refused/output/valve/setpoint", "\"reason\":\"the payload must be a number\"");
    logged(
        &program,
        "\"output/valve/setpoint\" \"abc\" of client \"hmi\" from 127.0.0.1:",
        ": refused: the payload must be a number",
    );
    logged(&program, "of client \"hmi\" from 127.0.0.1:", ": obeyed");
}

/// A choice that nobody may make any more, and nobody could take back, is not in force after a restart.
#[test]
fn a_hand_that_the_rules_no_longer_allow_lets_go_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("control.toml");
    let start = |control: &str| {
        let text = format!(
            "[mqtt]\nlisten = \"127.0.0.1:0\"\n[state]\ndir = \"state\"\n[control]\nwatchdog_ms = 30000\n{control}\
             [[input]]\nname = \"t\"\nstale_after_ms = 60000\n\
             [[output]]\nname = \"valve\"\nramp = {{ setpoint = 60.0, rate_per_s = 1000.0 }}\n\
             [[output]]\nname = \"heater\"\nsafe = 5.0\n\
             pid = {{ input = \"t\", setpoint = 60.0, k = 1.0, ti_s = 9.0, limits = [0, 100] }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let program = Program::start(&file);
        let said = Subscriber::start(program.address, "watcher", "#");
        (program, said)
    };
    let rules = |range: &str, manual: &str| {
        format!("commands = true\n[commands.setpoint]\nvalve = {{ range = {range} }}\n{manual}")
    };
    let (valve, heater) = ("out/valve", "out/heater");
    let (mut program, said) = start(&rules("[20.0, 80.0]", "[commands.manual]\nheater = [0, 100]\n"));
    let mut hand = Sensor::new(program.address, "hand");
    command(&mut hand, "cmd/output/valve/setpoint", "80", || said.last(valve).as_deref() == Some("80"));
    command(&mut hand, "cmd/output/heater/mode", "70", || said.last(heater).as_deref() == Some("70"));
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0), "{}", program.stderr());
    let (mut program, said) = start(&rules("[20.0, 60.0]", ""));
    until("that of the rules", || said.last(valve).as_deref() == Some("60"));
    until("safe, without its input", || said.last(heater).as_deref() == Some("5"));
    assert!(said.since(0, valve).iter().all(|value| value != "80"));
    for line in ["setpoint 80 of output \"valve\", which is 60 again", "output \"heater\" at 70 by hand"] {
        let line = format!("control-loop: the rules no longer allow what an operator chose: {line}");
        until("it says so", || program.stderr().contains(&line));
    }
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0), "{}", program.stderr());
    // Once and for all: the rules of before bring nothing back.
    let (_program, said) = start(&rules("[20.0, 80.0]", "[commands.manual]\nheater = [0, 100]\n"));
    until("that of the rules", || said.last(valve).as_deref() == Some("60"));
    until("safe", || said.last(heater).as_deref() == Some("5"));
}

#[test]
fn a_second_publisher_of_an_input_makes_it_bad_and_overrules_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (program, said) = start(dir.path(), "commands = true\n[commands]\nper_minute = 100000\n");
    let (mut sensor, mut hand) =
        (Sensor::new(program.address, "sensor"), Sensor::new(program.address, "hand"));
    let mut energised = |said: &Subscriber| {
        until("energised", || {
            sensor.publish("estop", "1");
            hand.publish("cmd/interlock/stop/reset", "");
            said.last("out/contactor").as_deref() == Some("1")
        });
    };
    energised(&said);
    // Somebody presses; somebody else says that nobody does.
    let mut thief = Sensor::new(program.address, "thief");
    let mut pressed = Sensor::new(program.address, "sensor");
    until("a dispute is told", || {
        pressed.publish("estop", "0");
        thief.publish("estop", "1");
        said.last("event/input/estop").is_some_and(|told| told.contains("\"disputed\":true"))
    });
    let from = said.len();
    until("thirty more", || {
        pressed.publish("estop", "0");
        thief.publish("estop", "1");
        hand.publish("cmd/interlock/stop/reset", "");
        said.since(from, "out/contactor").len() >= 30
    });
    assert!(said.since(from, "out/contactor").iter().all(|value| value == "0"));
    // Whose message came first is not said: they are two connections.
    let both = ["\"sensor\" from 127.0.0.1:", "\"thief\" from 127.0.0.1:"];
    until("a line in the log", || {
        let is_it = |line: &str| both.iter().all(|who| line.contains(who));
        program.stderr().lines().any(|line| line.contains("input estop is bad: clients ") && is_it(line))
    });
    // Alone again, the sensor is believed.
    until("energised again", || {
        pressed.publish("estop", "1");
        hand.publish("cmd/interlock/stop/reset", "");
        said.last("out/contactor").as_deref() == Some("1")
    });
}

#[test]
fn refused_commands_hide_no_disputed_input() {
    let dir = tempfile::tempdir().unwrap();
    let (program, said) = start(dir.path(), "");
    let mut hand = Sensor::new(program.address, "hand");
    (0..25).for_each(|_| hand.publish("cmd/a", ""));
    until("refusals are told", || said.since(0, "event/refused/a").len() >= 20);
    let (mut sensor, mut thief) =
        (Sensor::new(program.address, "sensor"), Sensor::new(program.address, "thief"));
    until("a dispute is told", || {
        sensor.publish("estop", "0");
        thief.publish("estop", "1");
        hand.publish("cmd/a", "");
        said.last("event/input/estop").is_some_and(|told| told.contains("\"disputed\":true"))
    });
    until("a line in the log", || program.stderr().contains("both publish it"));
}

#[test]
fn a_command_that_is_a_will_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let rules = "commands = true\n[commands.setpoint]\nvalve = { range = [20.0, 80.0] }\n";
    let (program, said) = start(dir.path(), rules);
    let (set, refused) = ("cmd/output/valve/setpoint", "event/refused/output/valve/setpoint");
    for (n, (name, delay_s)) in [("at once", 0), ("later", 1)].into_iter().enumerate() {
        dies(program.address, name, delay_s, set, "70");
        until("an answer", || said.since(0, refused).len() > n);
        let told = said.last(refused).unwrap();
        assert!(told.contains("a will: ") && told.contains(name), "{told}");
        logged(&program, &format!("\"{name}\" from 127.0.0.1:"), ": refused: a will: ");
    }
    assert_eq!(said.last("event/command/output/valve/setpoint"), None);
    assert!(said.since(0, "out/valve").iter().all(|value| value != "70"));
}

/// It goes to subscribers, and neither makes an input good nor disputes its sensor.
#[test]
fn a_will_is_no_value_of_an_input() {
    let dir = tempfile::tempdir().unwrap();
    let (program, said) = start(dir.path(), "commands = true\n[commands]\nper_minute = 100000\n");
    let mut hand = Sensor::new(program.address, "hand");
    for (n, (name, delay_s)) in [("sensor", 0), ("late", 1)].into_iter().enumerate() {
        dies(program.address, name, delay_s, "estop", "1");
        until("the will", || said.since(0, "estop").len() > n);
        hand.publish("cmd/interlock/stop/reset", "");
        until("an answer", || said.since(0, "event/refused/interlock/stop/reset").len() > n);
        answered(&said, "event/refused/interlock/stop/reset", "is not good");
    }
    let mut sensor = Sensor::new(program.address, "sensor");
    sensor.publish("estop", "1");
    dies(program.address, "other", 0, "estop", "0");
    until("the will", || said.last("estop").as_deref() == Some("0"));
    until("energised", || {
        sensor.publish("estop", "1");
        hand.publish("cmd/interlock/stop/reset", "");
        said.last("out/contactor").as_deref() == Some("1")
    });
    assert_eq!(said.last("event/input/estop"), None, "no dispute");
}

/// It is of unknown age: a sensor may have said it weeks ago.
#[test]
fn promise_14_a_retained_message_is_no_value_of_an_input() {
    let dir = tempfile::tempdir().unwrap();
    let (program, said) = start(dir.path(), "commands = true\n[commands]\nper_minute = 100000\n");
    retains(program.address, "sensor", "estop", "1");
    until("the message", || said.last("estop").as_deref() == Some("1"));
    let mut hand = Sensor::new(program.address, "hand");
    let refused = || said.last("event/refused/interlock/stop/reset");
    command(&mut hand, "cmd/interlock/stop/reset", "", || {
        said.last("event/command/interlock/stop/reset").is_some()
            || refused().is_some_and(|told| told.contains("is not good"))
    });
    assert_eq!(said.last("event/command/interlock/stop/reset"), None);
    assert_eq!(said.last("event/input/estop"), None, "no dispute");
    assert!(said.since(0, "out/contactor").iter().all(|value| value == "0"));
}
