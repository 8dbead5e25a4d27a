//! Cases that the table has no room for: silence, alarms, other schemes of quality, other forms of payloads, names, and the future.

use std::time::SystemTime;

use super::series::{UNCERTAIN, Value};
use super::support::wait_until;
use super::table::Site;

use Value::{Bool, Float, Int};

const FORMATS: [&str; 4] = ["json", "cbor", "protobuf", "compact"];
const BAD: u32 = 0x8000_0000;
const LAST_USABLE: u32 = 0x4090_0000;
const SUBSTITUTE: u32 = 0x4091_0000;
const SUB_NORMAL: u32 = 0x4095_0000;
/// Begin of an hour.
const HOUR: i64 = 1_767_225_600_000;
const T: i64 = HOUR + 60_000;

/// Value, time, quality.
type Short = (Value, i64, u32);

fn rule(name: &str, stages: &str) -> String {
    format!("[[rule]]\nmatch = \"+/{name}\"\nstages = [ {stages} ]\n")
}

/// Name, stages, values each a second after the one before, what is said of them, and the value and quality that silence repeats.
type Silent = (&'static str, &'static str, Vec<&'static str>, Vec<Short>, (Value, u32));

fn silent() -> Vec<Silent> {
    vec![
        (
            "plain",
            "",
            vec!["20.5", "21.5"],
            vec![(Float(20.5), T, 0), (Float(21.5), T + 1_000, 0)],
            (Float(21.5), 0),
        ),
        (
            "text",
            "",
            vec!["7", "\"idle\""],
            vec![(Int(7), T, 0), (Value::Text("idle".into()), T + 1_000, 0)],
            (Value::Text("idle".into()), 0),
        ),
        (
            "deadband",
            "{ scale = { factor = 2.0 } }, { deadband = { absolute = 1.0 } },",
            vec!["20.5", "20.75"],
            vec![(Float(41.0), T, 0)],
            (Float(41.0), 0),
        ),
        (
            "door",
            "{ scale = { factor = 2.0 } }, { swinging_door = { deviation = 1.0 } },",
            vec!["10", "11"],
            vec![(Float(20.0), T, 0), (Float(22.0), T + 1_000, 0)],
            (Float(22.0), 0),
        ),
        (
            "segment",
            "{ scale = { factor = 2.0 } }, { segment_hold = { deviation = 1.0 } },",
            vec!["5", "10", "10.5"],
            vec![(Float(10.0), T, 0), (Float(20.5), T + 1_000, 0)],
            (Float(20.5), 0),
        ),
        (
            "counter",
            "{ counter = { width_bits = 16, max_rate_per_s = 10 } },",
            vec!["5", "9"],
            vec![(Int(0), T, 0), (Int(4), T + 1_000, 0)],
            (Int(4), 0),
        ),
        (
            "spike",
            "{ spike = { fail = 5.0 } }, { scale = { factor = 2.0 } },",
            vec!["10", "11"],
            vec![(Float(20.0), T, 0), (Float(22.0), T + 1_000, 0)],
            (Float(22.0), 0),
        ),
        (
            "replaced",
            "{ hampel = { window = 3, min_scale = 1.0, action = \"replace\" } }, { scale = { factor = 2.0 } },",
            vec!["10", "10", "90"],
            vec![(Float(20.0), T, 0), (Float(20.0), T + 1_000, 0), (Float(20.0), T + 2_000, SUBSTITUTE)],
            (Float(20.0), SUBSTITUTE),
        ),
    ]
}

/// Promise 13: silence repeats what was said last, in the unit of the stages, behind everything that was said before.
#[test]
fn silence_repeats_what_the_stages_said() {
    let stale = "{ stale = { timeout_ms = 4000, heartbeat_ms = 1500 } }";
    let rules: String =
        silent().iter().map(|(name, stages, ..)| rule(name, &format!("{stages} {stale}"))).collect();
    let window = "{ scale = { factor = 2.0 } }, { window = { width_ms = 3600000, agg = \"last\" } },";
    let mut site = Site::with(&FORMATS, &(rules + &rule("window", &format!("{window} {stale}"))), "");
    for (name, _, values, ..) in silent() {
        let reading = |(place, value): (usize, &&str)| {
            format!("{{\"ts\":{},\"value\":{value},\"unit\":\"V\"}}", T + place as i64 * 1_000)
        };
        let all: Vec<String> = values.iter().enumerate().map(reading).collect();
        site.send_payload(name, &format!("[{}]", all.join(",")));
    }
    let hours = format!("[{{\"ts\":{T},\"value\":10}},{{\"ts\":{},\"value\":11}}]", T + 3_600_000);
    site.send_payload("window", &hours);
    let sensors = (silent().len() + 1) * FORMATS.len();
    let mut read = site.read();
    wait_until("all are silent", 60, || {
        read = site.read();
        read.values().flatten().filter(|row| row.quality == LAST_USABLE).count() >= sensors
    });
    let mut heartbeats = 0;
    for (name, _, values, said, (value, quality)) in silent() {
        let last = T + (values.len() as i64 - 1) * 1_000;
        for format in FORMATS {
            let found = short(&read, format, name, "V");
            let (before, repeats) = found.split_at_checked(said.len()).unwrap_or((&found, &[]));
            assert_eq!(before, said, "{format} {name}");
            heartbeats += is_silence(repeats, last, (&value, quality), &value, &format!("{format} {name}"));
        }
    }
    for format in FORMATS {
        let found = short(&read, format, "window", "");
        let second = (Float(22.0), HOUR + 3_600_000, SUB_NORMAL);
        assert_eq!(found[0], (Float(20.0), HOUR, SUB_NORMAL), "{format}");
        let place = found.iter().position(|row| *row == second).expect("what a silence ends is told");
        let repeats: Vec<Short> = found
            .iter()
            .enumerate()
            .filter(|(at, _)| *at > 0 && *at != place)
            .map(|(_, row)| row.clone())
            .collect();
        heartbeats += is_silence(
            &repeats,
            T + 3_600_000,
            (&Float(20.0), SUB_NORMAL),
            &Float(22.0),
            &format!("{format} window"),
        );
    }
    assert!(heartbeats > 0, "no sensor's value was repeated");
}

/// Checks repeats and, behind them, the report of a silence: 1, 2, 3 … ms after the last reading. A machine that stands still leaves
/// repeats out. Returns the number of the others.
fn is_silence(
    found: &[Short],
    last: i64,
    (value, quality): (&Value, u32),
    reported: &Value,
    what: &str,
) -> usize {
    let count = found.len();
    assert!((1..=3).contains(&count), "{what}: {found:?}");
    for (place, row) in found.iter().enumerate() {
        let (value, quality) = if place + 1 == count { (reported, LAST_USABLE) } else { (value, quality) };
        assert_eq!(*row, (value.clone(), last + 1 + place as i64, quality), "{what} {place}: {found:?}");
    }
    count - 1
}

/// Rows of a sensor without their unit, which is this.
fn short(read: &super::Read, format: &str, name: &str, unit: &str) -> Vec<Short> {
    let rows = read.get(&format!("{format}/{name}")).map_or(&[][..], Vec::as_slice);
    rows.iter().for_each(|row| assert_eq!(row.unit, unit, "{format}/{name}"));
    rows.iter().map(|row| (row.value.clone(), row.time, row.quality)).collect()
}

fn is_read(read: &super::Read, name: &str, unit: &str, meant: &[Short]) {
    for format in FORMATS {
        assert_eq!(short(read, format, name, unit), meant, "{format}/{name}");
    }
}

/// Promise 13: an alarm is raised and ends by what the hub gets, not by what was measured.
#[test]
fn alarms_go_by_the_value_that_the_hub_gets() {
    let rules = rule(
        "a",
        "{ hampel = { window = 3, min_scale = 1.0, action = \"replace\" } }, { scale = { factor = 2.0 } }, { deadband = { absolute = 9.0 } }",
    );
    let alarm = "[[alarm]]\nmatch = \"+/a\"\nhigh = { limit = 90.0, deadband = 4.0 }\n";
    let mut site = Site::with(&FORMATS, &(rules + alarm), "");
    // An outlier raises nothing, though it is suppressed; twice 45 does; twice 44 is no way back.
    for (second, value) in (0..).zip(["40", "40.5", "60", "41", "44.5", "45", "44", "42.5", "42.5"]) {
        let time = T + second * 1_000;
        site.send_payload("a", &format!("{{\"ts\":{time},\"value\":{value},\"unit\":\"V\"}}"));
    }
    let read = site.read();
    let states = [("UNACK_ALM", 5), ("RTN_UNACK", 7)];
    let states = states.map(|(state, second)| (Value::Text(state.to_owned()), T + second * 1_000, 0));
    is_read(&read, "a/alarm/HI", "", &states);
    let at = |value, second: i64, quality| (Float(value), T + second * 1_000, quality);
    // The replaced one is of another quality, and so is the one behind it.
    let said = [at(80.0, 0, 0), at(81.0, 2, SUBSTITUTE), at(82.0, 3, 0)];
    is_read(&read, "a", "V", &said);
}

/// Promise 13: at the hub a quality is an OPC UA code, whichever way its reading took: through stages, beside them for its time or
/// its length, or past a filter that has no room.
#[test]
fn qualities_of_another_scheme_are_converted_on_every_way() {
    // The scheme is that of the rule, which what has no room has to be looked up by name.
    let rules = "[defaults]\nmax_keys = 40\n[[rule]]\nmatch = \"+/stages/+\"\nquality = \"sparkplug\"\n\
                 stages = [ { on_change = {} } ]\n";
    let mut site = Site::with(&FORMATS, rules, "");
    let long = "x".repeat(300);
    let mut send = |name: &str, value: &str| {
        // Good, late, uncertain, bad, and what Sparkplug does not know.
        for (quality, second) in [(192, 2), (192, 1), (500, 3), (0, 4), (7, 5)] {
            let time = T + second * 1_000;
            site.send_payload(name, &format!("{{\"ts\":{time},\"value\":{value},\"quality\":{quality}}}"));
        }
    };
    for sensor in 0..36 {
        send(&format!("stages/{sensor}"), &format!("\"{long}\""));
    }
    for sensor in 36..44 {
        send(&format!("stages/{sensor}"), "true");
    }
    // Words are no numbers of a scheme, nor is a quality that is not there.
    let words = ["", ",\"quality\":\"uncertain\"", ",\"quality\":\"bad\"", ",\"quality\":\"Good\""];
    for (second, word) in (0..).zip(words) {
        for name in ["stages/36", "stages/43", "stages/33"] {
            let value = if name == "stages/33" { format!("\"{long}\"") } else { "true".to_owned() };
            let time = T + (10 + second) * 1_000;
            site.send_payload(name, &format!("{{\"ts\":{time},\"value\":{value}{word}}}"));
        }
    }
    let read = site.read();
    for sensor in 0..44 {
        let value = if sensor < 36 { Value::Text(long.clone()) } else { Bool(true) };
        let row = |(quality, second): (u32, i64)| (value.clone(), T + second * 1_000, quality);
        // Beside the stages nothing is suppressed: from the 32nd long text on, and from the 40th sensor on.
        let is_beside = (32..36).contains(&sensor) || sensor >= 40;
        let mut meant = vec![(0, 2), (0, 1), (LAST_USABLE, 3), (BAD, 4)];
        meant.extend(is_beside.then_some((BAD, 5)));
        // Without stages a word is what it says.
        let uncertain = if [33, 43].contains(&sensor) { UNCERTAIN } else { LAST_USABLE };
        if [33, 36, 43].contains(&sensor) {
            meant.extend([(0, 10), (uncertain, 11), (BAD, 12), (0, 13)]);
        }
        let meant: Vec<Short> = meant.into_iter().map(row).collect();
        is_read(&read, &format!("stages/{sensor}"), "", &meant);
    }
}

/// Promise 13: the first rule that matches a sensor's whole name is the one that is applied, also to each value of an object.
#[test]
fn each_value_of_an_object_goes_by_the_rule_for_its_name() {
    let rules = rule("oven/temp", "{ scale = { factor = 2.0 } }")
        + &rule("oven/+", "{ scale = { factor = 4.0 } }, { on_change = {} }")
        + &rule("#", "{ scale = { factor = 8.0 } }");
    let mut site = Site::with(&FORMATS, &rules, "fields = { each = \"/data\" }");
    for second in 0..2 {
        let time = T + second * 1_000;
        let data = "{\"temp\":20,\"rpm\":-1.5,\"on\":true,\"big\":9007199254740993}";
        site.send_payload("oven", &format!("{{\"ts\":{time},\"unit\":\"F\",\"data\":{data}}}"));
        site.send_payload("mill", &format!("{{\"ts\":{time},\"data\":{{\"temp\":1,\"deep\":2}}}}"));
    }
    let read = site.read();
    let twice = |value: Value| [(value.clone(), T, 0), (value, T + 1_000, 0)];
    is_read(&read, "oven/temp", "F", &twice(Float(40.0)));
    for (name, value) in [("rpm", Float(-6.0)), ("on", Bool(true)), ("big", Float(36_028_797_018_963_968.0))]
    {
        is_read(&read, &format!("oven/{name}"), "F", &twice(value)[..1]);
    }
    is_read(&read, "mill/temp", "", &twice(Float(8.0)));
    is_read(&read, "mill/deep", "", &twice(Float(16.0)));
}

/// Promise 13: whatever form a payload has, its readings go through the stages.
#[test]
fn readings_of_every_form_of_payload_are_converted() {
    let rules = rule("#", "{ scale = { factor = 0.5, offset = 8.0 } }, { deadband = { absolute = 1.0 } }");
    let at = |value, second: i64| (Float(value), T + second * 1_000, 0);
    let mut lines = Site::with(&FORMATS, &rules, "input = \"influx-line\"");
    let line =
        |value: &str, second: i64| format!("m,rack=2 value={value},run=true {}000000", T + second * 1_000);
    lines.send_payload("a", &[line("20", 0), line("21i", 1), line("24u", 2), line("26.5", 3)].join("\n"));
    let read = lines.read();
    is_read(&read, "a/m/rack=2", "", &[at(18.0, 0), at(20.0, 2), at(21.25, 3)]);
    is_read(&read, "a/m/rack=2/run", "", &[(Bool(true), T, 0)]);

    let mut packs = Site::with(&FORMATS, &rules, "input = \"senml\"");
    packs.send_each(|format| {
        let seconds = T as f64 / 1_000.0;
        let base = format!("\"bn\":\"{format}/\",\"bt\":{seconds:?},\"bu\":\"Cel\"");
        let first = format!("{{{base},\"n\":\"b\",\"v\":20}}");
        format!("[{first},{{\"n\":\"b\",\"v\":21,\"t\":1}},{{\"n\":\"b\",\"v\":24.5,\"t\":2,\"quality\":{UNCERTAIN}}}]")
    });
    is_read(&packs.read(), "b", "Cel", &[at(18.0, 0), (Float(20.25), T + 2_000, UNCERTAIN)]);

    let mut numbers = Site::with(&FORMATS, &rules, "input = \"number\"");
    let before = now_ms();
    for payload in ["20 \u{b0}C", "21 \u{b0}C", "24.5 \u{b0}C"] {
        numbers.send_payload("c", payload);
        // Two that come together have one time of arrival, and then the second one is no part of the series.
        numbers.settle();
    }
    let read = numbers.read();
    for format in FORMATS {
        let rows = short(&read, format, "c", "\u{b0}C");
        let values: Vec<_> = rows.iter().map(|(value, _, quality)| (value.clone(), *quality)).collect();
        assert_eq!(values, [(Float(18.0), 0), (Float(20.25), 0)], "{format}");
        assert!(rows.iter().all(|(_, time, _)| (before..=now_ms()).contains(time)), "{rows:?}");
    }
}

/// Promise 13: what is ahead of the clock is converted as well, and the series goes on beside it.
#[test]
fn a_reading_from_the_future_is_in_the_unit_of_the_others() {
    let rules = rule("a", "{ scale = { factor = 0.5, offset = 8.0 } }, { deadband = { absolute = 1.0 } }");
    let mut site = Site::with_tables(&FORMATS, &rules, "", "[clock]\ntrusted = true\n");
    let now = now_ms();
    let times = [(now - 10_000, 20.0), (now + 3_600_000, 50.0), (now - 9_000, 20.5), (now - 8_000, 24.5)];
    for (time, value) in times {
        site.send_payload("a", &format!("{{\"ts\":{time},\"value\":{value:?}}}"));
    }
    let said =
        [(Float(18.0), now - 10_000, 0), (Float(33.0), now + 3_600_000, 0), (Float(20.25), now - 8_000, 0)];
    is_read(&site.read(), "a", "", &said);
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}
