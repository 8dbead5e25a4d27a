#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
//! Promise 13: filters do what they state, whatever the sensor is called, whenever it was measured and in whatever unit.

mod support;

use std::fs;
use support::{cases, data, differences, replay};

/// A power of 2, so that scaled values are exact; a multiple of every window.
const FACTOR: f64 = 1024.0;
const DAYS_MS: i64 = 1000 * 86_400_000;

struct Variant {
    rename: bool,
    move_ms: i64,
    factor: f64,
}

#[test]
fn renaming_sensors_and_moving_time_change_nothing() {
    let executed = check(|case| {
        // The starts of windows move along; bins of M4 and MinMax are cut by rounded times.
        let time_is_output =
            ["window", "m4", "minmax", "minmaxlttb"].contains(&case["config"]["type"].as_str().unwrap());
        let move_ms = if time_is_output { 0 } else { DAYS_MS };
        Some(Variant { rename: true, move_ms, factor: 1.0 })
    });
    println!("executed filter_lab_renamed_and_moved: {executed} cases");
    assert!(executed >= 30);
}

#[test]
fn scaling_values_and_thresholds_alike_changes_nothing() {
    let executed = check(|case| {
        let kept_or_flags = ["kept", "flags", "alarm"].contains(&case["kind"].as_str().unwrap());
        kept_or_flags.then_some(Variant { rename: false, move_ms: 0, factor: FACTOR })
    });
    println!("executed filter_lab_scaled: {executed} cases");
    assert!(executed >= 25);
}

/// Every row has a row of another sensor after it, whose values are others.
#[test]
fn another_sensor_in_the_same_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let input_file = dir.path().join("in.csv");
    let mut executed = 0;
    for (name, case) in cases() {
        let input = fs::read_to_string(data().join(case["input"].as_str().unwrap())).unwrap();
        if case["kind"] == "pid" || case["kind"] == "series" {
            continue;
        }
        let mut both = String::new();
        for (i, line) in input.lines().enumerate() {
            both.push_str(&format!("{line}\n"));
            if let [time, _, value, quality] = line.split(',').collect::<Vec<_>>()[..]
                && i > 0
            {
                let value = -3.0 * value.parse::<f64>().unwrap();
                both.push_str(&format!("{time},another,{value},{quality}\n"));
            }
        }
        fs::write(&input_file, both).unwrap();
        // Of the first sensor, which has the even rows.
        let found: String = replay(&data().join(format!("{name}.json")), &input_file)
            .lines()
            .filter_map(|line| match line.split_once(',').unwrap_or((line, "")) {
                ("idx", _) => Some(format!("{line}\n")),
                (index, rest) => {
                    let index = index.parse::<usize>().unwrap();
                    let comma = if rest.is_empty() { "" } else { "," };
                    index.is_multiple_of(2).then(|| format!("{}{comma}{rest}\n", index / 2))
                }
            })
            .collect();
        let expected = fs::read_to_string(data().join(format!("{name}.golden.csv"))).unwrap();
        assert_eq!(differences(&case, &expected, &found), Vec::<String>::new(), "{name}");
        executed += 1;
    }
    println!("executed filter_lab_two_sensors: {executed} cases");
    assert!(executed >= 30);
}

/// The same once more with the clock set back by a day: the line ends there, and a new one starts.
#[test]
fn a_door_starts_again_where_the_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let input_file = dir.path().join("in.csv");
    let input = fs::read_to_string(data().join("temp.csv")).unwrap();
    let variant = Variant { rename: false, move_ms: -86_400_000, factor: 1.0 };
    let again = transformed(&input, &variant);
    fs::write(&input_file, format!("{input}{}", again.split_once('\n').unwrap().1)).unwrap();
    let rows = input.lines().count() - 1;
    let golden = fs::read_to_string(data().join("door_temp.golden.csv")).unwrap();
    let kept = || golden.lines().skip(1).map(|line| line.parse::<usize>().unwrap());
    let twice = kept().chain(kept().map(|index| index + rows)).map(|index| format!("{index}\n"));
    let found = replay(&data().join("door_temp.json"), &input_file);
    assert_eq!(found, format!("idx\n{}", twice.collect::<String>()));
}

/// Negative control: values scaled without their thresholds are another case, and the comparison sees it.
#[test]
fn scaling_values_alone_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.csv");
    let variant = Variant { rename: false, move_ms: 0, factor: FACTOR };
    fs::write(&input, transformed(&fs::read_to_string(data().join("temp.csv")).unwrap(), &variant)).unwrap();
    for name in ["deadband_abs_temp", "spike_avg_temp", "alarm_temp", "door_temp"] {
        let expected = fs::read_to_string(data().join(format!("{name}.golden.csv"))).unwrap();
        let found = replay(&data().join(format!("{name}.json")), &input);
        assert!(!differences(&serde_json::Value::Null, &expected, &found).is_empty(), "{name}");
    }
}

fn check(variant: impl Fn(&serde_json::Value) -> Option<Variant>) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let (mut executed, mut failed) = (0, Vec::new());
    for (name, mut case) in cases() {
        let input = fs::read_to_string(data().join(case["input"].as_str().unwrap())).unwrap();
        let Some(variant) = variant(&case).filter(|_| case["kind"] != "pid") else { continue };
        scale_thresholds(&mut case["config"], variant.factor);
        let (case_file, input_file) = (dir.path().join("case.json"), dir.path().join("in.csv"));
        fs::write(&case_file, case.to_string()).unwrap();
        fs::write(&input_file, transformed(&input, &variant)).unwrap();
        let expected = fs::read_to_string(data().join(format!("{name}.golden.csv"))).unwrap();
        let differences = differences(&case, &expected, &replay(&case_file, &input_file));
        executed += 1;
        if !differences.is_empty() {
            failed.push(format!("{name}: {}", differences[0]));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    executed
}

fn transformed(input: &str, variant: &Variant) -> String {
    let mut lines = input.lines();
    let mut output = format!("{}\n", lines.next().unwrap());
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let [time, sensor, value, quality] = cells[..] else { panic!("{line}") };
        let time = time.parse::<i64>().unwrap() + variant.move_ms;
        let value = value.parse::<f64>().unwrap() * variant.factor;
        let sensor = if variant.rename { "\"site/\u{e4}, \"\"7\"\" \u{1f321}\"" } else { sensor };
        output.push_str(&format!("{time},{sensor},{value},{quality}\n"));
    }
    output
}

/// Every key in the unit of the sensor.
fn scale_thresholds(config: &mut serde_json::Value, factor: f64) {
    const IN_UNITS: [&str; 13] = [
        "range",
        "max_step",
        "fail_span",
        "suspect_span",
        "suspect_threshold",
        "fail_threshold",
        "threshold_per_s",
        "fail_threshold_per_s",
        "tolerance",
        "deviation",
        "hihi",
        "high",
        "low",
    ];
    let percent = config["mode"] == "percent_of_range";
    for (key, value) in config.as_object_mut().unwrap() {
        match value {
            serde_json::Value::Array(of) if key == "of" => {
                of.iter_mut().for_each(|of| scale_thresholds(of, factor));
            }
            serde_json::Value::Array(span) if IN_UNITS.contains(&key.as_str()) => {
                span.iter_mut().for_each(|end| *end = (end.as_f64().unwrap() * factor).into());
            }
            number if IN_UNITS.contains(&key.as_str()) || ["lolo", "hyst"].contains(&key.as_str()) => {
                *number = (number.as_f64().unwrap() * factor).into();
            }
            number if key == "value" && !percent => *number = (number.as_f64().unwrap() * factor).into(),
            _ => {}
        }
    }
}
