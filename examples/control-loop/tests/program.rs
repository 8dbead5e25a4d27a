//! The program as it is started: the demonstration, and configurations that are wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_control-loop")).args(arguments).output().unwrap()
}

#[test]
fn the_demonstration_shows_the_fridges_alarm_at_the_hub() {
    let mut demonstration = Command::new(env!("CARGO_BIN_EXE_control-loop"));
    let mut child = demonstration.args(["run", "--seconds", "60"]).stdout(Stdio::piped()).spawn().unwrap();
    let (mut text, mut alarm, mut is_tripped) = (String::new(), None, false);
    // It comes in six seconds, and later where the machine stands still.
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        is_tripped |= line.contains("event/interlock/stop");
        alarm =
            alarm.or(Some(line.clone()).filter(|line| line.contains("event/alarm/store104/fridge/temp/HI")));
        text += &(line + "\n");
        if is_tripped && alarm.is_some() {
            break;
        }
    }
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.unwrap().success(), "{text}");
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
    assert!(is_tripped, "{text}");
    let alarm = alarm.unwrap_or_else(|| panic!("no alarm came to the hub:\n{text}"));
    assert!(alarm.contains("UNACK_ALM") && alarm.contains("97.4"), "{alarm}");
}

/// As `control-loop run | head -2` and `control-loop run 2>&1 | head -2` do: control goes on, and its threads too.
#[test]
fn a_reader_that_goes_away_ends_no_thread() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut demonstration = Command::new(env!("CARGO_BIN_EXE_control-loop"));
    demonstration.args(["run", "--seconds", "9"]).stdout(writer).stderr(Stdio::piped());
    let done = demonstration.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut refused = Command::new(env!("CARGO_BIN_EXE_control-loop"));
    refused.args(["check", "/nonexistent/control.toml"]).stderr(writer);
    assert_eq!(refused.status().unwrap().code(), Some(2));
}

#[test]
fn a_wrong_configuration_is_exit_code_2_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("control.toml");
    let default = include_str!("../control.toml");
    for (text, expected) in [
        (
            default
                .replace("[fields]", "[hub]\nurl = \"tcp://h\"\nclient_id = \"a\"\nspool = \"s\"\n[fields]"),
            "hub.url: ",
        ),
        (default.replace("setpoint = 60.0", "setpoint = nan"), "output 1: pid.setpoint"),
        ("[mqtt".to_owned(), "line 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = run(&["run", "--config", file.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    std::fs::write(&file, default).unwrap();
    let fine = run(&["check", file.to_str().unwrap()]);
    assert_eq!(fine.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&fine.stdout).contains("6 inputs, 3 outputs"));
    assert!(fine.stderr.is_empty(), "no warnings: {}", String::from_utf8_lossy(&fine.stderr));
    let wrong = [
        ("watchdog_ms = 100", "watchdog_ms = 1"),
        ("setpoint = 60.0", "setpoint = nan"),
        ("listen", "lisen"),
    ];
    let text = wrong.iter().fold(default.to_owned(), |text, (from, to)| text.replacen(from, to, 1));
    std::fs::write(&file, text).unwrap();
    let output = run(&["check", file.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 3), "{error}");
    for expected in
        ["mqtt: unknown field `lisen`", "`watchdog_ms` must be at least", "output 1: pid.setpoint"]
    {
        assert!(error.contains(expected), "{expected}\n{error}");
    }
    assert_eq!(error.matches(": line ").count(), 3, "{error}");
    assert_eq!(run(&["run", "--config", "/nonexistent/control.toml"]).status.code(), Some(2));
    assert_eq!(run(&["walk"]).status.code(), Some(2));
}

/// A unit of systemd restarts it for 1; 2 says that the file has to be changed.
#[test]
fn an_address_that_is_taken_is_exit_code_1_and_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("control.toml");
    let text = include_str!("../control.toml").replacen("127.0.0.1:0", &address, 1);
    std::fs::write(&file, text).unwrap();
    let output = run(&["run", "--config", file.to_str().unwrap(), "--seconds", "9"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&address) && !told.contains("panicked"), "{told}");
}

#[test]
fn an_interlock_that_no_command_can_reset_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("control.toml");
    let text = "[mqtt]\nlisten = \"127.0.0.1:0\"\n[[input]]\nname = \"estop\"\nstale_after_ms = 500\n\
                [[output]]\nname = \"contactor\"\nvalue = 1.0\n[[interlock]]\nname = \"stop\"\n\
                outputs = [\"contactor\"]\ntrip_when = { input = \"estop\", is = false }\n";
    for (text, expected) in [
        (
            text.to_owned(),
            "control-loop: warning: [[interlock]] \"stop\": reset by hand, and commands are off",
        ),
        (format!("[control]\ncommands = true\n{text}"), ""),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = run(&["check", file.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.starts_with(expected) && told.is_empty() == expected.is_empty(), "{told}");
    }
}

#[test]
fn no_string_of_the_file_writes_a_line_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("control.toml");
    let forged = r"x\u001b[2J\u202e\u009b\ncontrol-loop: control.toml: fine";
    let shown = r"x\u{1b}[2J\u{202e}\u{9b}\ncontrol-loop: control.toml: fine";
    let hub = format!("[hub]\nurl = \"{forged}\"\nclient_id = \"a\"\nspool = \"s\"\n[fields]");
    for (from, to) in [
        ("[fields]", hub),
        ("[fields]", format!("[\"{forged}\"]\n[fields]")),
        ("form = \"isa\"", format!("form = \"{forged}\"")),
        ("\"store104/fridge/temp\" = ", format!("\"{forged}\" = ")),
        ("\"tank/heater\" = ", format!("\"{forged}\" = ")),
        ("clients = ", format!("\"{forged}\" = ")),
    ] {
        std::fs::write(&file, include_str!("../control.toml").replacen(from, &to, 1)).unwrap();
        let output = run(&["check", file.to_str().unwrap()]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{to}\n{told}");
        let start = format!("control-loop: {}: line ", file.display());
        let is_left = told.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}'));
        assert!(told.starts_with(&start) && told.contains(shown) && !is_left, "{}", told.escape_debug());
    }
}

#[test]
fn a_listener_that_others_reach_is_a_warning_with_what_they_may_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("control.toml");
    let inputs = " may publish inputs";
    let commands =
        " may publish inputs, and command at cmd/# within [commands]: client identifiers are claims";
    for (listen, are_on, expected) in [
        ("127.0.0.1:0", true, None),
        ("[::1]:0", true, None),
        ("0.0.0.0:1883", true, Some(commands)),
        ("[::]:1883", true, Some(commands)),
        ("192.168.1.2:1883", true, Some(commands)),
        ("0.0.0.0:1883", false, Some(inputs)),
    ] {
        let text = format!(
            "[mqtt]\nlisten = \"{listen}\"\n[control]\ncommands = {are_on}\n[[output]]\nname = \"x\"\nvalue = 1.0\n"
        );
        std::fs::write(&file, text).unwrap();
        let output = run(&["check", file.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = expected.map_or(String::new(), |may| {
            format!("control-loop: warning: mqtt.listen: anyone who reaches {listen}{may}\n")
        });
        assert_eq!((output.status.code(), told), (Some(0), expected));
    }
}
