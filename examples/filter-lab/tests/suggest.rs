#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]
//! Proposals for recordings that are no noise around a line: states, and what jumps over half of its range.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::lab;

fn weather() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../edge-codec/tests/data/sets/pv_weather.csv.gz")
}

/// Returns what is said of each sensor, and the rules to paste.
fn suggested(input: &Path) -> (String, String) {
    let done = lab(&[&"run", &"--suggest", &"--in", &input]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let (said, rules) = text.split_once("# Rules to paste").unwrap();
    (said.to_owned(), rules.split_once('\n').unwrap().1.to_owned())
}

/// Tables and sentences below speak of the same tolerances.
#[test]
fn neither_tables_nor_proposals_go_beyond_half_the_range() {
    let mut rows = 0;
    let counters = Path::new(env!("CARGO_MANIFEST_DIR")).join("../decode/tests/data/nab_counters.csv");
    let said = [weather(), counters].map(|input| suggested(&input).0).concat();
    for share in said.lines().filter_map(|line| line.split(", which is ").nth(1)) {
        assert!(share.split(' ').next().unwrap().parse::<f64>().unwrap() <= 50.0, "{share}");
    }
    for sensor in said.trim_end().split("\n\n") {
        let head = sensor.lines().next().unwrap();
        let (low, high) = head.split(" from ").nth(1).unwrap().split_once(" to ").unwrap();
        let range = high.split(',').next().unwrap().parse::<f64>().unwrap() - low.parse::<f64>().unwrap();
        for row in sensor.lines().filter(|line| line.ends_with('x')) {
            let tolerance: f64 = row.split_whitespace().next().unwrap().parse().unwrap();
            assert!(tolerance <= range / 2.0, "{row} of a range of {range}");
            rows += 1;
        }
    }
    assert!(rows > 100, "{rows} rows were looked at");
}

#[test]
fn a_state_of_a_few_integers_has_no_tolerance_and_a_measurement_has() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.csv");
    let mut rows = String::from("ts_ms,nine,twelve:int:,sixteen,seventeen,halves\n");
    for i in 0..2_000_u32 {
        let half = f64::from(i / 11 % 12) / 2.0;
        rows.push_str(&format!(
            "{},{},{},{},{},{half}\n",
            i * 1000,
            i % 9,
            i / 3 % 12,
            i / 9 % 16,
            i / 5 % 17
        ));
    }
    fs::write(&input, rows).unwrap();
    let (_, rules) = suggested(&input);
    let stages = |name: &str| {
        let rule = rules.split(&format!("match = \"{name}\"\n")).nth(1).unwrap();
        rule.lines().next().unwrap().to_owned()
    };
    for state in ["nine", "twelve", "sixteen"] {
        assert!(stages(state).contains("on_change = {} } ]  # a few values"), "{state}\n{rules}");
    }
    assert!(!stages("seventeen").contains("few") && !stages("halves").contains("few"), "{rules}");
}

/// A third of the compass is not what somebody who pastes rules wants to give away.
#[test]
fn a_rule_with_a_wide_tolerance_is_a_comment_with_its_reason() {
    let (said, rules) = suggested(&weather());
    let wide = rules.split("\n\n").find(|rule| rule.contains("rmis_wind_direction")).unwrap();
    assert!(wide.lines().all(|line| line.starts_with('#')), "{wide}");
    assert!(wide.contains("# Off, since this tolerance is 35.8 % of the range seen"), "{wide}");
    let (mut on, mut off) = (0, 0);
    for rule in rules.trim_end().split("\n\n").filter(|rule| rule.contains("= {") && rule.contains("match")) {
        let stages = rule.lines().last().unwrap();
        let Some((_, stage)) = stages.split_once("{ ").filter(|(_, stage)| !stage.starts_with("on_change"))
        else {
            continue;
        };
        let line = format!("ten times fewer: {}, which is ", stage.split(" } ]").next().unwrap());
        let share = said.split(&line).nth(1).unwrap_or_else(|| panic!("{line}"));
        let is_wide = share.split(' ').next().unwrap().parse::<f64>().unwrap() > 5.0;
        assert_eq!(stages.starts_with('#'), is_wide, "{rule}");
        if is_wide { off += 1 } else { on += 1 }
    }
    assert!(on > 5 && off > 5, "{on} rules and {off} comments");
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("rules.toml"), dir.path().join("out.csv"));
    fs::write(&file, rules).unwrap();
    let done = lab(&[&"run", &"--rules", &file, &"--in", &weather(), &"--out", &out]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The number of kept readings does not fall steadily: between 84.8 and 89.3 a deadband keeps fewer of this sensor than at 93.8.
#[test]
fn a_tolerance_below_one_that_keeps_too_much_is_found() {
    const NAME: &str = "rsf_poa_irradiance_refcell__1054";
    let (said, _) = suggested(&weather());
    let said = said.split(&format!("{NAME}: ")).nth(1).unwrap();
    let readings: usize = said.split(' ').next().unwrap().parse().unwrap();
    let proposed = said.split("ten times fewer: deadband = { absolute = ").nth(1).unwrap();
    let proposed: f64 = proposed.split(' ').next().unwrap().parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("rules.toml"), dir.path().join("out.csv"));
    let sent = |tolerance: f64| {
        let stage = format!("deadband = {{ absolute = {tolerance:?} }}");
        fs::write(&file, format!("[[rule]]\nmatch = \"{NAME}\"\nstages = [ {{ {stage} }} ]\n")).unwrap();
        let done = lab(&[&"run", &"--rules", &file, &"--in", &weather(), &"--out", &out]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        fs::read_to_string(&out).unwrap().lines().filter(|line| line.contains(NAME)).count()
    };
    assert!(sent(proposed) * 10 <= readings, "{proposed}");
    for n in 0..40 {
        let tighter = proposed * (0.985 - 0.0125 * f64::from(n));
        assert!(sent(tighter) * 10 > readings, "{proposed} is proposed, {tighter} does");
    }
}

/// Suggestions alone keep nothing: a file that was asked for and is not written would be missed late.
#[test]
fn the_files_of_what_is_kept_need_rules() {
    let dir = tempfile::tempdir().unwrap();
    for option in ["--out", "--report"] {
        let done = lab(&[&"run", &"--suggest", &"--in", &weather(), &option, &dir.path().join("file")]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{option}: {said}");
        assert!(said.contains("--rules"), "{option}: {said}");
    }
}

/// A series with silences of two hours now and then, and `bad` readings.
fn with_silences(every: u32) -> String {
    let (mut rows, mut time, mut rng) =
        (String::from("ts_ms,sensor,value,quality\n"), 1_580_515_200_000_u64, 7_u64);
    let mut value = 0.0;
    for i in 0..2_000_u32 {
        time += if i % every == 0 { 7_200_000 } else { 60_000 };
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value += (rng >> 40) as f64 / f64::from(1_u32 << 24) - 0.5;
        let quality = if i % 400 == 399 { 2_147_483_648_u32 } else { 0 };
        rows.push_str(&format!("{time},noise,{value:.3},{quality}\n{time},contact,{},0\n", i / 100 % 2));
    }
    rows
}

/// The time guard and the quality of a reading cost what no stage alone shows: with its rules in `run` each figure must come out.
#[test]
fn what_is_said_of_a_tolerance_is_what_its_rule_sends() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (input, file, out) = (path("in.csv"), path("rules.toml"), path("out.csv"));
    let sent = |name: &str, stage: &str| {
        fs::write(&file, format!("[[rule]]\nmatch = \"{name}\"\nstages = [ {{ {stage} }} ]\n")).unwrap();
        let done = lab(&[&"run", &"--rules", &file, &"--in", &input, &"--out", &out]);
        let said = String::from_utf8(done.stdout).unwrap();
        let said = said.split(&format!("{name}: ")).nth(1).unwrap().to_owned();
        let mut words = said.split(' ');
        let sent: u32 = words.next().unwrap().parse().unwrap();
        (sent, words.nth(1).unwrap().parse::<u32>().unwrap())
    };
    for every in [1, 50, 2_000] {
        fs::write(&input, with_silences(every)).unwrap();
        let (said, _) = suggested(&input);
        let (contact, noise) = said.split_once("noise: ").unwrap();
        let (kept, readings) = sent("contact", "on_change = {}");
        assert!(contact.contains(&format!("on_change keeps {kept} of {readings}\n")), "{kept}: {contact}");
        for line in noise.lines().filter(|line| line.ends_with('x')) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let keys = ["deadband = { absolute", "swinging_door = { deviation", "segment_hold = { deviation"];
            for (key, said) in keys.iter().zip(&columns[1..]) {
                let (kept, readings) = sent("noise", &format!("{key} = {} }}", columns[0]));
                let times = format!("{:.1}x", f64::from(readings) / f64::from(kept));
                assert_eq!(*said, times, "a silence every {every}: {key} = {}", columns[0]);
            }
        }
        let proposed = noise.lines().filter_map(|line| line.split("ten times fewer: ").nth(1));
        let proposed: Vec<&str> = proposed.map(|line| line.split(", which").next().unwrap()).collect();
        for stage in &proposed {
            let (kept, readings) = sent("noise", stage);
            assert!(kept * 10 <= readings, "a silence every {every}: {stage} sends {kept} of {readings}");
        }
        assert_eq!((every, proposed.len()), (every, if every == 1 { 0 } else { 3 }), "{noise}");
        assert_eq!(noise.contains("pass whatever the tolerance"), every < 2_000, "{noise}");
        assert!(noise.contains("  5 more readings are bad or no numbers"), "{noise}");
        assert!(!contact.contains("are bad"), "{contact}");
    }
}
