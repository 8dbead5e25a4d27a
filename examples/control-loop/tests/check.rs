//! `control-loop check` names every mistake of a file at once, each with its line: none twice, and nothing that only follows from another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::path::Path;
use std::process::Command;

const GOOD: &str = r#"[mqtt]
listen = "127.0.0.1:0"
publish_every_ms = 100
[hub]
url = "mqtt://hub:1883"
# url once more
client_id = "site"
spool = "spool"
[state]
dir = "state"
[metrics]
listen = "127.0.0.1:1"
[fields]
"tank/temp" = "temp"
"tank/level" = "level"
[control]
period_ms = 10
watchdog_ms = 100
commands = true
[commands]
clients = ["hmi"]
per_minute = 60
[commands.setpoint]
"tank/heater" = { range = [20.0, 80.0], per_minute = 6 }
"pump" = { range = [1.0, 9.0], per_minute = 7 }
# another setpoint
[commands.manual]
"tank/heater" = [0, 1]
"pump" = [0, 5]
# another output by hand
[commands.reset]
"stop" = ["key"]
[[input]]
name = "tank/temp"
stale_after_ms = 501
range = [-20.0, 150.0]
[[input]]
name = "tank/level"
stale_after_ms = 502
[[input]]
name = "line/estop"
stale_after_ms = 503
[[input]]
name = "spare/1"
stale_after_ms = 504
[[input]]
name = "spare/2"
stale_after_ms = 505
[[input]]
name = "spare/3"
stale_after_ms = 506
[[input]]
name = "spare/4"
stale_after_ms = 507
[[output]]
name = "tank/heater"
safe = 0.0
[output.pid]
input = "tank/temp"
setpoint = 60.0
form = "isa"
k = 8.0
ti_s = 12.0
td_s = 0.5
beta = 0.6
limits = [0, 100]
filter_s = 0.1
tracking_s = 5.0
dt_max_s = 1.0
[[output]]
name = "tank/fan"
switch = { input = "tank/temp", on_at = 60.0, off_at = 50.0, min_on_ms = 1000 }
[[output]]
name = "belt/speed"
ramp = { setpoint_input = "tank/level", rate_per_s = 0.5 }
[[output]]
name = "contactor"
value = 1.0
[[output]]
name = "spare"
value = 2.0
[[output]]
name = "last"
value = 3.0
[[output]]
name = "lamp"
switch = { input = "line/estop", on_at = 0.5, off_at = 0.4 }
[[output]]
name = "pump"
pid = { input = "line/estop", setpoint = 6.0, form = "parallel", kp = 8.5, ki = 0.5, limits = [0, 10] }
[[interlock]]
name = "stop"
outputs = ["tank/heater", "contactor"]
reset = "manual"
max_bypass_ms = 60000
trip_when = { any = [
  { input = "line/estop", is = false },
  { at_least = 2, of = [ { input = "tank/temp", above = 90 }, { input = "tank/level", above = 8 } ] },
  { all = [ { input = "tank/temp", above = 80 }, { not = { input = "tank/level", below = 2 } } ] },
] }
[[interlock]]
name = "door"
outputs = ["belt/speed"]
reset = "auto"
after_ms = 5000
trip_when = { input = "line/estop", is = false }
[[alarm]]
match = "tank/temp"
high = { limit = 70.0, deadband = 1.5, on_delay_ms = 2000, priority = 800 }
low = { limit = 5.0 }
re_alarm_ms = 60000
max_shelve_ms = 28800000
# the end
"#;

/// A mistake: what stands there, what is written instead, and the finding, which is on the first line of what stands there.
type Mistake = (&'static str, &'static str, &'static str);

const MISTAKES: &[Mistake] = &[
    ("listen = \"127.0.0.1:0\"", "lisen = \"127.0.0.1:0\"", "mqtt: unknown field `lisen`"),
    ("publish_every_ms = 100", "publish_every_ms = 0", "mqtt.publish_every_ms: `publish_every_ms` must be"),
    ("mqtt://hub:1883", "tcp://hub", "hub.url: "),
    ("# url once more", "url = \"mqtt://other\"", "duplicate key"),
    ("client_id = \"site\"", "client_id = \"\"", "hub.client_id: "),
    ("spool = \"spool\"", "spool = 5", "hub.spool: invalid type: integer `5`"),
    ("dir = \"state\"", "dirr = \"state\"", "state: unknown field `dirr`"),
    ("127.0.0.1:1", "nowhere", "metrics.listen: invalid socket address"),
    ("\"tank/temp\" = \"temp\"", "\"tank/tmp\" = \"temp\"", "fields.\"tank/tmp\": there is no input named"),
    ("\"tank/level\" = \"level\"", "\"tank/level\" = 7", "fields.\"tank/level\": invalid type: integer `7`"),
    ("period_ms = 10", "period_ms = 0", "control.period_ms: `period_ms` must be 1 ms or more"),
    ("watchdog_ms = 100", "watchdog_ms = 0", "control.watchdog_ms: `watchdog_ms` must be"),
    ("commands = true", "commands = 1", "control.commands: invalid type: integer `1`"),
    ("clients =", "client =", "commands: unknown field `client`"),
    ("per_minute = 60", "per_minute = -1", "commands.per_minute: invalid value: integer `-1`"),
    ("[20.0, 80.0]", "[80.0, 20.0]", "commands.setpoint.\"tank/heater\".range: a range is"),
    (
        "per_minute = 6 }",
        "per_minute = \"six\" }",
        "commands.setpoint.\"tank/heater\".per_minute: invalid type",
    ),
    ("per_minute = 7", "per_minute = 0", "commands.setpoint.pump.per_minute: `per_minute` must be 1 or more"),
    (
        "# another setpoint",
        "\"lamp\" = { range = [0.0, 1.0] }",
        "commands.setpoint.lamp: this output has no setpoint that a command can change",
    ),
    ("[0, 5]", "[0, 50]", "commands.manual.pump: beyond the output's limits, 0 to 10: 0 to 50"),
    (
        "# another output by hand",
        "\"lamp\" = [0, 1]",
        "commands.manual.lamp: this output cannot be set by hand",
    ),
    (
        "\"tank/heater\" = [0, 1]",
        "\"tank/fun\" = [0, 1]",
        "commands.manual.\"tank/fun\": there is no output named",
    ),
    ("\"stop\" = [\"key\"]", "\"halt\" = [\"key\"]", "commands.reset.halt: there is no interlock named"),
    ("stale_after_ms = 501", "stale_after_ms = 0", "input 1: stale_after_ms: `stale_after_ms` must be"),
    ("[-20.0, 150.0]", "[150.0, -20.0]", "input 1: range: `range` must be"),
    (
        "stale_after_ms = 502",
        "stale_after_ms = \"soon\"",
        "input 2: stale_after_ms: invalid type: string \"soon\"",
    ),
    ("stale_after_ms = 503", "stale_after = 503", "input 3: unknown field `stale_after`"),
    ("spare/1", "tank/temp", "input 4: name: `name` must be a name of its own"),
    ("spare/2", "out/spare", "input 5: name: "),
    ("spare/3", "spare/#", "input 6: name: "),
    ("stale_after_ms = 506", "stale_after_ms = -1", "input 6: stale_after_ms: `stale_after_ms` must be"),
    (
        "[[input]]\nname = \"spare/4\"\nstale_after_ms = 507",
        "[[input]]\nname = \"spare/4\"\n",
        "input 7: missing field `stale_after_ms`",
    ),
    ("safe = 0.0", "safe = nan", "output 1: safe: `safe` must be a finite number"),
    ("input = \"tank/temp\"\nsetpoint", "input = \"tank/tmp\"\nsetpoint", "output 1: pid.input: there is no"),
    ("setpoint = 60.0", "setpoint = inf", "output 1: pid.setpoint: `setpoint` must be a finite number"),
    ("form = \"isa\"", "form = \"iso\"", "output 1: pid.form: unknown variant `iso`"),
    ("k = 8.0", "k = nan", "output 1: pid.k: `k` must be a finite number"),
    ("ti_s = 12.0", "ti_s = 0.0", "output 1: pid.ti_s: `ti_s` must be"),
    ("td_s = 0.5", "td_s = -0.5", "output 1: pid.td_s: `td_s` must be"),
    ("beta = 0.6", "beta = 6.0", "output 1: pid.beta: `beta` must be within 0 to 1"),
    ("limits = [0, 100]", "limits = [100, 0]", "output 1: pid.limits: `limits` must be low below high"),
    ("filter_s = 0.1", "filter_s = -0.1", "output 1: pid.filter_s: `filter_s` must be"),
    ("tracking_s = 5.0", "tracking_s = 0.0", "output 1: pid.tracking_s: `tracking_s` must be"),
    ("dt_max_s = 1.0", "dt_max = 1.0", "output 1: pid: unknown field `dt_max`"),
    ("on_at = 60.0", "on_at = \"hot\"", "output 2: switch.on_at: invalid type: string \"hot\""),
    ("min_on_ms = 1000", "min_on_ms = -1", "output 2: switch.min_on_ms: `min_on_ms` must be"),
    (
        "setpoint_input = \"tank/level\"",
        "setpoint_input = \"nobody\"",
        "output 3: ramp.setpoint_input: there is no",
    ),
    ("rate_per_s = 0.5", "rate_per_s = -0.5", "output 3: ramp.rate_per_s: `rate_per_s` must be"),
    ("value = 1.0", "value = nan", "output 4: value: `value` must be a finite number"),
    ("\"spare\"", "\"contactor\"", "output 5: name: `name` must be a name of its own"),
    (
        "[[output]]\nname = \"last\"\nvalue = 3.0",
        "[[output]]\nname = \"last\"\n",
        "output 6: an output needs exactly one",
    ),
    ("\"contactor\"]", "\"conductor\"]", "interlock 1: outputs 2: there is no output named \"conductor\""),
    ("reset = \"manual\"", "reset = \"hand\"", "interlock 1: reset: unknown variant `hand`"),
    ("max_bypass_ms = 60000", "max_bypass_ms = 0", "interlock 1: max_bypass_ms: `max_bypass_ms` must be"),
    ("is = false },", "ist = false },", "interlock 1: trip_when.any 1: unknown field `ist`"),
    ("at_least = 2", "at_least = 3", "interlock 1: trip_when.any 2: at_least: `at_least` must be"),
    (
        "above = 90",
        "above = nan",
        "interlock 1: trip_when.any 2: of 1: above: `above` must be a finite number",
    ),
    (
        "\"tank/level\", above",
        "\"tank/lvel\", above",
        "interlock 1: trip_when.any 2: of 2: input: there is no input",
    ),
    (
        "below = 2",
        "below = \"low\"",
        "interlock 1: trip_when.any 3: all 2: not.below: invalid type: string \"low\"",
    ),
    ("[\"belt/speed\"]", "[\"belt/speed\", 7]", "interlock 2: outputs 2: invalid type: integer `7`"),
    ("reset = \"auto\"", "reset = \"later\"", "interlock 2: reset: unknown variant `later`"),
    ("after_ms = 5000", "after_ms = -5", "interlock 2: after_ms: `after_ms` must be"),
    ("\"door\"", "\"stop\"", "interlock 2: name: `name` must be a name of its own"),
    ("match = \"tank/temp\"", "match = \"tank/tmp\"", "alarm 1: match: no input has such a name"),
    ("deadband = 1.5", "deadband = -1.5", "alarm 1: high.deadband: `deadband` must be"),
    (
        "on_delay_ms = 2000",
        "on_delay_ms = \"long\"",
        "alarm 1: high.on_delay_ms: invalid type: string \"long\"",
    ),
    ("priority = 800", "priority = 0", "alarm 1: high.priority: `priority` must be within 1 to 1000"),
    ("limit = 5.0", "limit = nan", "alarm 1: low.limit: `limit` must be a finite number"),
    ("re_alarm_ms = 60000", "re_alarm_ms = 0", "alarm 1: re_alarm_ms: `re_alarm_ms` must be"),
    ("# the end", "[extra]", "unknown field `extra`, expected one of `mqtt`, `hub`"),
];

/// Findings about a file, each without the words before its line.
fn findings(dir: &Path, text: &str) -> Vec<String> {
    let file = dir.join("control.toml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_control-loop")).arg("check").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(if said.is_empty() { 0 } else { 2 }), "{said}");
    let before = format!("control-loop: {}: ", file.display());
    said.lines().map(|line| line.strip_prefix(&before).unwrap_or(line).to_owned()).collect()
}

/// Checks that exactly these mistakes are told, in the order of the file.
fn check(dir: &Path, mistakes: &[Mistake]) {
    let line = |from: &str| {
        let (before, _) = GOOD.split_once(from).unwrap_or_else(|| panic!("{from} is not in the file"));
        before.matches('\n').count() + 1
    };
    let text = mistakes.iter().fold(GOOD.to_owned(), |text, (from, to, _)| text.replacen(from, to, 1));
    let mut expected: Vec<(usize, &str)> =
        mistakes.iter().map(|(from, _, said)| (line(from), *said)).collect();
    expected.sort_by_key(|(line, _)| *line);
    let mut found = findings(dir, &text);
    for (line, start) in expected {
        let start = format!("line {line}: {start}");
        let place = found.iter().position(|finding| finding.starts_with(&start));
        let place = place.unwrap_or_else(|| panic!("not told: {start}\n{}\nin\n{text}", found.join("\n")));
        found.remove(place);
    }
    assert!(found.is_empty(), "told beside {mistakes:?}:\n{}\nin\n{text}", found.join("\n"));
}

#[test]
fn each_mistake_alone_is_one_finding() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(findings(dir.path(), GOOD), [""; 0]);
    let in_place_of_another =
        ("on_at = 60.0", "on_at = 50.0", "output 2: switch.off_at: `off_at` must be another value than");
    for mistake in MISTAKES.iter().chain([&in_place_of_another]) {
        check(dir.path(), &[*mistake]);
    }
}

#[test]
fn all_mistakes_together_are_told_in_one_run() {
    let dir = tempfile::tempdir().unwrap();
    check(dir.path(), MISTAKES);
}

#[test]
fn any_mistakes_together_are_exactly_those_findings() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = 1_u64;
    for round in 0..300 {
        // Few and many: each round keeps another share of them.
        let share = round % 16 + 1;
        let some: Vec<Mistake> = MISTAKES
            .iter()
            .filter(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % 17 < share
            })
            .copied()
            .collect();
        check(dir.path(), &some);
    }
}

#[test]
fn rules_under_which_nothing_can_be_obeyed_and_names_that_cannot_be_are_one_finding() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to, expected) in [
        ("per_minute = 60", "per_minute = 0", "line 22: commands.per_minute: `per_minute` must be 1 or more"),
        (
            "watchdog_ms = 100",
            "watchdog_ms = 9223372036854775807",
            "line 18: control.watchdog_ms: `watchdog_ms` must be 86400000 ms (one day) or less",
        ),
        (
            "# another setpoint",
            "\"contactor\" = { range = [0, 1] }",
            "line 26: commands.setpoint.contactor: this output has no setpoint",
        ),
        (
            "# another setpoint",
            "\"belt/speed\" = { range = [0, 1] }",
            "line 26: commands.setpoint.\"belt/speed\": this output has no setpoint",
        ),
        (
            "[0, 5]",
            "[-0.5, 5]",
            "line 29: commands.manual.pump: beyond the output's limits, 0 to 10: -0.5 to 5",
        ),
        // Three tables refer to each name.
        ("name = \"pump\"", "name = \"p#\"", "output 8: name: \"p#\" is a part of a topic"),
        ("name = \"tank/heater\"", "name = \"tank/heater#\"", "output 1: name: \"tank/heater#\" is a part"),
        ("name = \"tank/heater\"", "name = \"tank/+\"", "output 1: name: \"tank/+\" is a part"),
        ("name = \"tank/heater\"", "name = \"\"", "output 1: name: \"\" is a part"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let found = findings(dir.path(), &GOOD.replacen(from, to, 1));
        assert!(
            found.len() == 1 && found.iter().all(|one| one.contains(expected)),
            "{to}:\n{}",
            found.join("\n")
        );
    }
}

#[test]
fn nobody_may_command_alone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // A key switch may reset still.
    let switch = GOOD.replacen("clients = [\"hmi\"]", "clients = []", 1);
    assert_eq!(findings(dir.path(), &switch), [""; 0]);
    let found = findings(dir.path(), &switch.replacen("[\"key\"]", "[]", 1));
    assert!(found.len() == 1 && found[0].contains("line 21: commands.clients: an empty list"), "{found:?}");
}

#[test]
fn what_only_follows_from_a_mistake_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to, expected) in [
        ("[mqtt]", "[mqt]", "unknown field `mqt`"),
        ("[control]", "[controls]", "unknown field `controls`"),
        ("[[input]]", "[[inputs]]", "unknown field `inputs`"),
        ("name = \"tank/temp\"", "name = 5", "input 1: name: invalid type"),
        ("name = \"tank/temp\"", "nmae = \"tank/temp\"", "input 1: unknown field `nmae`"),
        ("name = \"tank/temp\"\n", "\n", "input 1: missing field `name`"),
        ("name = \"tank/heater\"", "name = 5", "output 1: name: invalid type"),
        ("name = \"stop\"", "name = 5", "interlock 1: name: invalid type"),
        ("[output.pid]", "[output.pdi]", "output 1: unknown field `pdi`"),
        ("k = 8.0", "kp = 8.0", "output 1: pid.kp: not a parameter of this form"),
        ("k = 8.0", "k = \"8\"", "output 1: pid.k: invalid type"),
        ("limits = [0, 100]", "limits = [0, \"x\"]", "output 1: pid.limits 2: invalid type"),
        ("limits = [0, 100]", "limits = [0, 100, 7]", "output 1: pid.limits: invalid length 3"),
        ("[-20.0, 150.0]", "[-20.0, 150.0, 1]", "input 1: range: invalid length 3"),
        ("[20.0, 80.0]", "[20.0, 80.0, 1]", "commands.setpoint.\"tank/heater\".range: invalid length 3"),
        ("setpoint = 60.0", "setpont = 60.0", "output 1: pid: unknown field `setpont`"),
        ("period_ms = 10", "period_ms = \"ten\"", "control.period_ms: invalid type"),
        ("commands = true", "comands = true", "control: unknown field `comands`"),
        ("range = [20.0, 80.0], ", "", "commands.setpoint.\"tank/heater\": missing field `range`"),
        ("[\"belt/speed\"]", "\"belt/speed\"", "interlock 2: outputs: invalid type"),
        ("at_least = 2", "at_least = \"two\"", "interlock 1: trip_when.any 2: at_least: invalid type"),
        ("{ limit = 5.0 }", "5.0", "alarm 1: low: invalid type"),
        ("high = { limit = 70.0", "high = { limit = true", "alarm 1: high.limit: invalid type"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let found = findings(dir.path(), &GOOD.replacen(from, to, 1));
        assert!(
            found.len() == 1 && found.iter().all(|one| one.contains(expected)),
            "{to}:\n{}",
            found.join("\n")
        );
    }
}
