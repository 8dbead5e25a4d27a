#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway test` and `route`: a configuration is tried out before it is in force.

use std::fs;
use std::path::Path;
use std::process::Command;

const FILE: &str = r#"
[gateway]
id = "site7"
[local]
listen = "127.0.0.1:1883"
[hub]
url = "mqtt://127.0.0.1:1"
[[route]]
match = "plant/+/t"
to = "site7/readings"
format = "json"
filter = "rules.toml"
[[route]]
match = "plant/#"
to = "site7/"
lane = "alarm"
qos = 2
"#;

const RULES: &str = r##"
[[rule]]
match = "plant/mean/#"
stages = [ { window = { width_ms = 60000, agg = "mean" } } ]
[[rule]]
match = "#"
stages = [ { deadband = { absolute = 0.5 } }, { stale = { timeout_ms = 3600000, heartbeat_ms = 600000 } } ]
"##;

/// Exit code and standard output.
fn run(dir: &Path, cases: &str, arguments: &[&str]) -> (Option<i32>, String) {
    fs::write(dir.join("rules.toml"), RULES).unwrap();
    let file = dir.join("gateway.toml");
    fs::write(&file, format!("{FILE}{cases}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
    let output = command.arg(arguments[0]).arg(file).args(&arguments[1..]).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn case(input: &[&str], expect: &[&str]) -> String {
    let list = |lines: &[&str]| lines.iter().map(|line| format!("'{line}',")).collect::<String>();
    format!("[[test]]\nname = \"one\"\ninput = [{}]\nexpect = [{}]\n", list(input), list(expect))
}

#[test]
fn cases_hold_where_the_routes_and_filters_do_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let t = |n: u32, value: &str| format!("{n}s plant/1/t {{\"value\":{value},\"unit\":\"Cel\"}}");
    let (first, second, third) = (t(0, "20.0"), t(1, "20.25"), t(2, "21.0"));
    let steps = [first.as_str(), &second, &third];
    let kept = ["site7/readings plant/1/t 20 Cel", "site7/readings plant/1/t 21 Cel"];
    for (what, input, expect) in [
        ("kept ones alone", &steps[..], &kept[..]),
        ("with what is suppressed", &steps, &[kept[0], "- in_deadband", kept[1]]),
        ("raw", &["0s plant/door open now"], &["site7/plant/door open now"]),
        ("a dead letter", &["0s plant/1/t hello"], &["dead-letter/plant/1/t hello"]),
        ("no route", &["0s other/x 1"], &["- no route"]),
        ("a heartbeat is due", &[&first, "11m"], &[kept[0], kept[0]]),
        (
            "a window ends by time alone",
            &["0s plant/mean/t {\"value\":1}", "10s plant/mean/t {\"value\":3}", "5m"],
            &["site7/readings plant/mean/t 2"],
        ),
    ] {
        let (code, said) = run(dir.path(), &case(input, expect), &["test"]);
        assert_eq!((code, said.as_str()), (Some(0), "ok     one\n1 of 1 hold\n"), "{what}");
    }
}

#[test]
fn a_case_that_does_not_hold_shows_what_came_instead_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let t = |n: u32, value: &str| format!("{n}s plant/1/t {{\"value\":{value}}}");
    let (first, second) = (t(0, "20.0"), t(1, "20.25"));
    let expect = ["site7/readings plant/1/t 20", "site7/readings plant/1/t 20.25"];
    let two = case(&[&first, &second], &expect) + &case(&[&first], &expect[..1]);
    let (code, said) = run(dir.path(), &two, &["test"]);
    assert_eq!(code, Some(1), "{said}");
    let shown = "FAILED one\n  expected\n    site7/readings plant/1/t 20\n    site7/readings plant/1/t 20.25\n  got\n    site7/readings plant/1/t 20.0\n    - in_deadband\nok     one\n1 of 2 hold\n";
    assert_eq!(said, shown);
    // A line too many, and one too few.
    for expect in [&expect[..0], &[expect[0], expect[0]]] {
        assert_eq!(run(dir.path(), &case(&[&first], expect), &["test"]).0, Some(1), "{expect:?}");
    }
    let (code, said) = run(dir.path(), "", &["test"]);
    assert_eq!((code, said.as_str()), (Some(1), "no [[test]] in the file\n"));
}

#[test]
fn a_wrong_case_is_a_wrong_configuration() {
    let dir = tempfile::tempdir().unwrap();
    for (input, why) in [
        ("'plant/1/t 5'", "does not start with a number"),
        ("'1s plant/# 5'", "the topic plant/#"),
        ("'2s a 1', '1s a 1'", "earlier than the line before"),
        ("'900d a 1'", "a case lasts a year at most"),
        ("", "missing: what comes in"),
    ] {
        let (code, said) = run(dir.path(), &format!("[[test]]\ninput = [{input}]\n"), &["test"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("error: test[1].input: ") && said.contains(why), "{input}: {said}");
    }
}

#[test]
fn the_example_holds() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_edge-gateway")).args(["test", file]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_topic_goes_by_the_first_route_that_matches_and_the_others_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = run(dir.path(), "", &["route", "plant/1/t", "plant/door"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        said,
        "plant/1/t -> route 1 (plant/+/t) -> its filter -> lane telemetry -> site7/readings in json batches of at most 1000 readings or 0.2 s, QoS 1\n  \
         also matches route 2 (plant/#), which is behind it\n\
         plant/door -> route 2 (plant/#) -> lane alarm -> site7/plant/door, QoS 2\n"
    );
    for (topic, why) in [
        ("other", "no route: acknowledged, and not kept"),
        ("$SYS/broker/connection/b/state", "no route: acknowledged, and not kept"),
        ("$SYS/x", "refused: only the gateway publishes there"),
        ("event/x", "no route: "),
        ("plant/+", "no topic: "),
    ] {
        let (code, said) = run(dir.path(), "", &["route", "plant/door", topic]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("{topic} -> {why}")), "{said}");
    }
    let (_, said) = run(dir.path(), "", &["route", "x\u{1}"]);
    assert!(said.contains(" -> refused: the listener refuses such topics: U+0001 at byte 1"), "{said}");
}

/// Its own messages have a route; those of clients on its topics are refused.
#[test]
fn topics_of_the_gateways_own_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let rules = format!("{RULES}[[alarm]]\nmatch = \"plant/1/t\"\nhigh = {{ limit = 90.0 }}\n");
    let text = FILE.replace("plant/#", "event/#") + "[alarms]\ncommands = true\n";
    fs::write(dir.path().join("alarms.toml"), rules).unwrap();
    fs::write(dir.path().join("gateway.toml"), text.replace("rules.toml", "alarms.toml")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
    let command = command.current_dir(&dir).args(["route", "gateway.toml", "event/x", "out/x"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said,
        "event/x -> route 2 (event/#) -> lane alarm -> site7/event/x, QoS 2\n  \
         a client's message is refused: only the gateway publishes there\n\
         out/x -> no route: acknowledged, and not kept\n"
    );
}

/// Before any route they are for the gateway itself, which answers them.
#[test]
fn topics_of_commands_are_told_with_those_who_take_them() {
    let dir = tempfile::tempdir().unwrap();
    let rules = format!("{RULES}[[alarm]]\nmatch = \"plant/1/t\"\nhigh = {{ limit = 90.0 }}\n");
    fs::write(dir.path().join("alarms.toml"), rules).unwrap();
    let alarms = FILE.replace("rules.toml", "alarms.toml") + "[alarms]\ncommands = true\n";
    let loops = |commands: bool| {
        format!(
            "[control]\ncommands = {commands}\n[[input]]\nname = \"t\"\nstale_after_ms = 60000\n[[output]]\nname = \"fan\"\n\
             switch = {{ input = \"t\", on_at = 40.0, off_at = 30.0 }}\n[[alarm]]\nmatch = \"t\"\nhigh = {{ limit = 90.0 }}\n"
        )
    };
    let filters = "a command: the alarms of the routes' filters obey or refuse it; in no route";
    let by_loops = "a command: the control loops obey or refuse it; in no route";
    let no_route = "no route: acknowledged, and not kept";
    for (has_alarms, control, expected) in [
        (false, None, [no_route; 3]),
        (true, None, [filters, filters, no_route]),
        (true, Some(true), [filters, by_loops, by_loops]),
        (true, Some(false), [filters, no_route, no_route]),
        (false, Some(true), [by_loops; 3]),
    ] {
        let mut text = if has_alarms { alarms.clone() } else { FILE.to_owned() };
        if let Some(commands) = control {
            fs::write(dir.path().join("control.toml"), loops(commands)).unwrap();
            text += "[control]\nrules = \"control.toml\"\n";
        }
        fs::write(dir.path().join("rules.toml"), RULES).unwrap();
        fs::write(dir.path().join("gateway.toml"), text).unwrap();
        let route = |options: &[&str]| {
            let topics = ["cmd/alarm/plant/1/t/HIGH/ack", "cmd/alarm/t/HIGH/ack", "cmd/output/fan/mode"];
            let mut command = Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
            command.current_dir(&dir).arg("route").args(options).arg("gateway.toml").args(topics);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let said = route(&[]);
        let found: Vec<_> = said.lines().map(|line| line.split(" -> ").nth(1).unwrap()).collect();
        assert_eq!(found, expected, "{has_alarms} {control:?}");
        let in_json = route(&["--json"]);
        let are_commands = in_json.lines().map(|line| line.contains("no route: a command, which "));
        assert!(are_commands.eq(expected.map(|line| line != no_route)), "{in_json}");
    }
}

#[test]
fn a_program_gets_a_line_of_json_for_each_topic() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = run(dir.path(), "", &["route", "--json", "plant/1/t", "plant/door"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        said,
        "{\"v\":1,\"topic\":\"plant/1/t\",\"error\":null,\"route\":{\"number\":1,\"match\":\"plant/+/t\",\"filtered\":true,\"lane\":\"telemetry\",\"to\":\"site7/readings\",\"qos\":1,\
         \"format\":\"json\",\"batch\":{\"readings\":1000,\"bytes\":null,\"age_ms\":200}},\"behind\":[{\"number\":2,\"match\":\"plant/#\"}]}\n\
         {\"v\":1,\"topic\":\"plant/door\",\"error\":null,\"route\":{\"number\":2,\"match\":\"plant/#\",\"filtered\":false,\"lane\":\"alarm\",\"to\":\"site7/plant/door\",\"qos\":2,\
         \"format\":\"raw\",\"batch\":null},\"behind\":[]}\n"
    );
    for (topic, error) in [("other\u{202e}2J", "no route"), ("plant/+", "a wildcard at byte 6")] {
        let (code, said) = run(dir.path(), "", &["route", "--json", topic]);
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        assert!(!said.contains('\u{202e}'), "it drives a terminal: {said:?}");
        let line: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&line["topic"], &line["route"]), (&topic.into(), &serde_json::Value::Null));
        assert!(line["error"].as_str().unwrap().contains(error), "{line}");
    }
}
