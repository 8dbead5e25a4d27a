#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
//! Promise 13: the report's figures are those of the filter, and what is wrong is said with its place.

mod support;

use std::fs;
use std::process::Command;
use support::{data, lab, report};

/// A pipe that nobody writes is not waited for.
#[test]
fn rules_and_cases_are_files_of_at_most_a_mebibyte() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let large = fs::OpenOptions::new().create_new(true).write(true).open(at("large")).unwrap();
    large.set_len(1 << 40).unwrap();
    for (name, why) in [("pipe", "not a file, but a pipe"), ("large", "at most 1048576 are read")] {
        for [kind, option] in [["run", "--rules"], ["replay", "--case"]] {
            // One that waits is ended with another code.
            let mut command = Command::new("timeout");
            command.args(["60", env!("CARGO_BIN_EXE_filter-lab"), kind, option]).arg(at(name));
            let done = command.args(["--in", "none.csv", "--out"]).arg(at("out.csv")).output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_ne!(done.status.code(), Some(124), "it waited");
            assert!(!done.status.success() && said.contains(name) && said.contains(why), "{said}");
        }
    }
}

#[test]
fn figures_of_the_report_are_those_of_the_golden_case() {
    let rules = "[[rule]]\nmatch = \"temp\"\nstages = [ { deadband = { absolute = 1.0 } } ]\n";
    let (report, kept, page) = report(rules, &data().join("temp.csv"));
    let golden = fs::read_to_string(data().join("deadband_abs_temp.golden.csv")).unwrap().lines().count() - 1;
    let sensor = &report["sensors"][0];
    assert_eq!(sensor["readings"], 1500);
    assert_eq!(sensor["kept"], golden);
    assert_eq!(kept.lines().count() - 1, golden);
    assert_eq!(sensor["suppressed"]["in_deadband"], 1500 - golden);
    assert_eq!((&sensor["stated"], &sensor["holds"]), (&1.0.into(), &true.into()));
    let (max, rms) = (sensor["max_error"].as_f64().unwrap(), sensor["rms_error"].as_f64().unwrap());
    assert!(max <= 1.0 && max > 0.9 && rms < max, "{max} {rms}");
    for part in
        ["prefers-color-scheme:dark", "max-width:640px", "<svg", "width=device-width", "class=\"kept\""]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        !page.contains("src=") && !page.contains("http://") || page.contains("http://www.w3.org/2000/svg")
    );
}

#[test]
fn stages_that_hold_readings_keep_their_bounds_in_the_report_too() {
    for (stage, reads) in [("swinging_door", "straight line"), ("segment_hold", "held until")] {
        let rules =
            format!("[[rule]]\nmatch = \"temp\"\nstages = [ {{ {stage} = {{ deviation = 1.5 }} }} ]\n");
        let (report, kept, page) = report(&rules, &data().join("temp.csv"));
        let sensor = &report["sensors"][0];
        let max = sensor["max_error"].as_f64().unwrap();
        assert!(max <= 1.5 * (1.0 + 1e-9) && max > 1.0, "{stage}: {max}");
        assert_eq!(sensor["holds"], true, "{stage}");
        assert!(page.contains(reads), "{stage}");
        let sent = sensor["kept"].as_u64().unwrap() + sensor["synthetic"].as_u64().unwrap();
        assert_eq!(kept.lines().count() as u64 - 1, sent);
        let suppressed: u64 =
            sensor["suppressed"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(
            sensor["kept"].as_u64().unwrap() + suppressed,
            1500,
            "every reading is accounted for: {sensor}"
        );
    }
}

/// A clock that is set back, and booleans, which no line connects.
#[test]
fn bounds_hold_over_a_clock_step_and_where_there_is_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.csv");
    let mut rows = String::from("ts_ms,value:f64:,on:bool:\n");
    for i in 0..200_i64 {
        let time = if i < 100 { i * 10_000 } else { i * 10_000 - 900_000 };
        rows.push_str(&format!("{time},{},{}\n", (i * 7 % 30) as f64 + i as f64, i % 20 < 7));
    }
    fs::write(&input, rows).unwrap();
    for stage in [
        "deadband = { absolute = 9 }",
        "swinging_door = { deviation = 9 }",
        "segment_hold = { deviation = 9 }",
    ] {
        let (report, _, page) =
            report(&format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }} ]\n"), &input);
        for sensor in report["sensors"].as_array().unwrap() {
            assert_eq!(sensor["holds"], true, "{stage}: {sensor}");
            assert!(sensor["suppressed"]["out_of_order"].is_null(), "{stage}: {sensor}");
        }
        assert!(page.contains("Every stated bound holds."), "{stage}");
    }
}

#[test]
fn wide_files_and_names_that_are_markup_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("wide.csv");
    fs::write(
        &input,
        "ts_ms,<b>t</b>:f64:\u{b0}C,n:int:,on:bool:\n0,1.5,7,true\n1000,,8,\n2000,1.5,8,false\n",
    )
    .unwrap();
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]\n";
    let (report, kept, page) = report(rules, &input);
    assert_eq!((&report["readings"], &report["sent"]), (&7.into(), &5.into()));
    assert_eq!(kept.lines().nth(1), Some("0,<b>t</b>,1.5,0,first"));
    assert!(page.contains("&lt;b&gt;t&lt;/b&gt;") && !page.contains("<b>t"), "escaped");
}

/// A spreadsheet's export, the gateway's recordings, one sensor alone; and names that are commands to a terminal or a spreadsheet.
#[test]
fn recordings_of_other_programs_are_read_and_their_names_drive_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (rules, input, out) =
        (dir.path().join("rules.toml"), dir.path().join("in.csv"), dir.path().join("out.csv"));
    fs::write(&rules, "[[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]\n").unwrap();
    let run = |text: &str, more: &[&str]| {
        fs::write(&input, text).unwrap();
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"run", &"--rules", &rules, &"--in", &input, &"--out", &out];
        arguments.extend(more.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
        let done = lab(&arguments);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said}");
        (fs::read_to_string(&out).unwrap(), String::from_utf8(done.stdout).unwrap(), said)
    };
    let (kept, _, _) = run("\u{feff}Time;\"t:°C\"\n2020-02-01T00:00:00Z;1,5\n2020-02-01T00:00:01Z;2\n", &[]);
    assert!(kept.ends_with("1580515200000,t,1.5,0,first\n1580515201000,t,2,0,change\n"), "{kept}");
    let (kept, _, said) = run("time,value\n5,1.5\nx,2\n7,2.5\n", &["--skip-bad"]);
    assert!(kept.contains("5,value,1.5") && kept.contains("7,value,2.5"), "{kept}");
    assert!(said.contains("could not be read: 1; ") && said.contains("line 3, column time"), "{said}");
    let hostile = "time,=a\u{1b}[2J\u{202e}\n5,1\n";
    let (kept, printed, _) = run(hostile, &["--spreadsheet"]);
    assert!(kept.contains("5,'=a\\u{1b}[2J\\u{202e},1,0,first"), "{kept}");
    assert!(printed.starts_with("=a\\u{1b}[2J\\u{202e}: "), "{printed:?}");
    let compressor = concat!(env!("CARGO_MANIFEST_DIR"), "/../drill/data/compressor.csv");
    let done = lab(&[&"run", &"--suggest", &"--in", &compressor]);
    assert!(done.status.success() && String::from_utf8_lossy(&done.stdout).contains("tp2: "));
}

#[test]
fn a_time_in_nanoseconds_is_read_as_such_only_where_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (input, rules, out) =
        (dir.path().join("in.csv"), dir.path().join("rules.toml"), dir.path().join("out.csv"));
    fs::write(&input, "time,value\n1580515200000000000,1\n1580515201000000000,2\n").unwrap();
    fs::write(&rules, "[[rule]]\nmatch = \"value\"\nstages = []\n").unwrap();
    for mode in [&[&"--suggest" as &dyn AsRef<std::ffi::OsStr>][..], &[&"--rules", &rules, &"--out", &out]] {
        let arguments = [&[&"run" as &dyn AsRef<std::ffi::OsStr>, &"--in", &input], mode].concat();
        let refused = lab(&arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(
            said.contains("in.csv line 2, column time: 1580515200000000000 looks like nanoseconds"),
            "{said}"
        );
        let done = lab(&[&arguments[..], &[&"--time-unit", &"ns"]].concat());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(fs::read_to_string(&out).unwrap().contains("\n1580515201000,value,2,"));
}

#[test]
fn suggestions_name_a_tolerance_and_its_price() {
    let done = lab(&[&"run", &"--suggest", &"--in", &data().join("temp.csv")]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(
        done.status.success() && text.contains("1500 readings") && text.contains("ten times fewer: deadband"),
        "{text}"
    );
}

#[test]
fn prices_are_what_the_stages_then_keep_and_what_needs_no_tolerance_gets_none() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.csv");
    let mut rows = String::from("ts_ms,rests:f64:,moves:f64:,on:bool:\n");
    for i in 0..100 {
        rows.push_str(&format!("{},5,{},{}\n", i * 1000, i % 20, i / 50));
    }
    fs::write(&input, rows).unwrap();
    let done = lab(&[&"run", &"--suggest", &"--in", &input]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(text.contains("never moves: on_change keeps 1 of 100\n"), "{text}");
    assert!(text.contains("a few values, each change counts: on_change keeps 2 of 100\n"), "{text}");
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let priced = rows.filter(|row| row.first() == Some(&"2")).flatten().skip(1);
    for (stage, price) in
        ["deadband = { absolute", "swinging_door = { deviation", "segment_hold = { deviation"]
            .iter()
            .zip(priced)
    {
        let rules = format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} = 2 }} }} ]\n");
        let (report, _, _) = report(&rules, &input);
        let sensor = &report["sensors"][1];
        let sent = sensor["kept"].as_u64().unwrap() + sensor["synthetic"].as_u64().unwrap();
        assert_eq!(format!("{:.1}x", 100.0 / sent as f64), price, "{stage}");
    }
}

/// Temperatures of a machine: every tolerance that was searched by hand is at most 3 % tighter than the one proposed, for each stage; the rules
/// can be pasted and keep what was promised.
#[test]
fn proposals_are_the_tightest_there_are_and_come_as_rules() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.csv");
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/../drill/data/compressor.csv");
    let recorded = fs::read_to_string(recorded).unwrap();
    // Column tp3 and a contact.
    let mut rows = String::from("ts_ms,tp3:bar,\"a \"\"contact\"\"\"\n");
    for (n, line) in recorded.lines().skip(1).enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        rows.push_str(&format!("{},{},{}\n", cells[0], cells[2], n / 7 % 2));
    }
    fs::write(&input, rows).unwrap();
    let done = lab(&[&"run", &"--suggest", &"--in", &input]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && !text.contains("no tolerance"), "{text}");
    let readings = recorded.lines().count() - 1;
    let sent = |stage: &str, tolerance: f64| {
        let key = if stage == "deadband" { "absolute" } else { "deviation" };
        let (report, _, _) = report(
            &format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} = {{ {key} = {tolerance:?} }} }} ]\n"),
            &input,
        );
        let sensor =
            report["sensors"].as_array().unwrap().iter().find(|s| s["name"] == "tp3").unwrap().clone();
        (sensor["kept"].as_u64().unwrap() + sensor["synthetic"].as_u64().unwrap()) as usize
    };
    for stage in ["deadband", "swinging_door", "segment_hold"] {
        let line =
            text.lines().find(|line| line.contains("ten times fewer: ") && line.contains(stage)).unwrap();
        let proposed: f64 = line.split(" = ").nth(2).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(sent(stage, proposed) * 10 <= readings, "{stage} {proposed}");
        for n in 1..40 {
            let tighter = proposed * (0.97 - 0.024 * f64::from(n - 1));
            assert!(sent(stage, tighter) * 10 > readings, "{stage}: {proposed} is proposed, {tighter} does");
        }
    }
    let rules = text.split("# Rules to paste").nth(1).unwrap().split_once('\n').unwrap().1;
    assert!(rules.contains("match = \"a \\\"contact\\\"\"\nstages = [ { on_change = {} } ]"), "{rules}");
    let (report, _, _) = report(rules, &input);
    for sensor in report["sensors"].as_array().unwrap() {
        let is_contact = sensor["name"] != "tp3";
        let sent = (sensor["kept"].as_u64().unwrap() + sensor["synthetic"].as_u64().unwrap()) as usize;
        assert!(if is_contact { sent == readings / 7 + 1 } else { sent * 10 <= readings }, "{sensor}");
        assert_eq!(sensor["holds"], true);
    }
}

/// The loss that the page names for a crash is that of the stage that holds readings; what checks refuse is no crash's.
#[test]
fn the_page_names_the_loss_of_the_stage_and_what_is_refused_beside_it() {
    for (stages, loss, refused) in [
        ("{ deadband = { absolute = 1.0 } }", "nothing", None),
        ("{ swinging_door = { deviation = 1.0 } }", "at most 1 reading per sensor", None),
        ("{ segment_hold = { deviation = 1.0 } }", "the readings of one open segment per sensor", None),
        (
            "{ jump_reject = { max_step = 9, accept_after = 4, action = \"drop\" } }, { deadband = { absolute = 1.0 } }",
            "nothing",
            Some("at most 4 readings per sensor"),
        ),
    ] {
        let rules = format!("[[rule]]\nmatch = \"temp\"\nstages = [ {stages} ]\n");
        let (_, _, page) = report(&rules, &data().join("temp.csv"));
        assert!(page.contains(&format!("A crash can lose {loss}.")), "{stages}");
        let told = page.split("refuse ").nth(1).map(|rest| rest.split('.').next().unwrap());
        assert_eq!(told, refused, "{stages}");
    }
}

/// On a phone the table keeps what decides: fewer, error, stated, verdict. The rest is in the text.
#[test]
fn the_verdict_fits_a_narrow_screen() {
    let rules = "[[rule]]\nmatch = \"temp\"\nstages = [ { deadband = { absolute = 1.0 } } ]\n";
    let (_, _, page) = report(rules, &data().join("temp.csv"));
    let head = page.split("<table>").nth(1).unwrap().split("</tr>").next().unwrap();
    let kept: Vec<&str> = head
        .split("<th")
        .skip(1)
        .filter(|cell| !cell.contains("opt"))
        .map(|cell| cell.split('>').nth(1).unwrap().split('<').next().unwrap())
        .collect();
    assert_eq!(kept, ["sensor", "fewer", "largest error", "stated", ""]);
    let row = page.split("<tr>").nth(2).unwrap();
    assert_eq!(row.matches(" opt\"").count(), head.matches(" opt\"").count(), "the same columns in each row");
    assert!(!row.split("<td").last().unwrap().contains("opt") && row.contains("holds"), "{row}");
}

#[test]
fn a_recording_is_not_written_over_and_names_come_out_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let (rules, input, out) =
        (dir.path().join("rules.toml"), dir.path().join("in.csv"), dir.path().join("out.csv"));
    fs::write(&rules, "[[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]\n").unwrap();
    let recording = "ts_ms,sensor,value,quality\n0,\"the \"\"b\"\", c\",1,0\n";
    fs::write(&input, recording).unwrap();
    for (input, output, code) in [
        (&input, &out, 0),
        (&input, &input, 2),
        (&dir.path().join("none.csv"), &dir.path().join("new.csv"), 1),
    ] {
        let done = lab(&[&"run", &"--rules", &rules, &"--in", input, &"--out", output]);
        assert_eq!(done.status.code(), Some(code), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(fs::read_to_string(&input).unwrap(), recording);
    let kept = fs::read_to_string(&out).unwrap();
    assert_eq!(kept.lines().nth(1), Some("0,\"the \"\"b\"\", c\",1,0,first"));
    assert!(!dir.path().join("new.csv").exists());
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let good_case = file("good.json", r#"{"kind": "kept", "config": {"type": "on_change"}}"#);
    let good_rows = file("good.csv", "ts_ms,sensor,value,quality\n0,a,1,0\n");
    let out = dir.path().join("out.csv");
    let cases = [
        (good_case.clone(), good_rows.clone(), 0, ""),
        (
            file("t.json", r#"{"kind": "kept", "config": {"type": "x"}}"#),
            good_rows.clone(),
            2,
            "config.type: must be deadband",
        ),
        (
            file("k.json", r#"{"kind": "kept", "config": {"type": "deadband", "value": -1}}"#),
            good_rows.clone(),
            2,
            "`absolute` must be a finite number, 0 or more, found -1",
        ),
        (
            file("f.json", r#"{"kind": "flags", "config": {"type": "lttb"}}"#),
            good_rows.clone(),
            2,
            "kind: must be kept",
        ),
        (
            file("n.json", r#"{"kind": "kept", "config": {"type": "m4", "n_out": 6}}"#),
            good_rows,
            2,
            "`n_out` must be 4, 8",
        ),
        (
            good_case.clone(),
            file("v.csv", "ts_ms,sensor,value,quality\n0,a,1,0\n5,a,x,0\n"),
            1,
            "v.csv line 3, column value: must be a number",
        ),
        (good_case.clone(), file("c.csv", "ts_ms,sensor,value\n"), 1, "line 1: column quality is missing"),
        (good_case, dir.path().join("none.csv"), 1, "none.csv: cannot read it"),
    ];
    for (case, input, code, message) in cases {
        let done = lab(&[&"replay", &"--case", &case, &"--in", &input, &"--out", &out]);
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(message), "{message}: {stderr}");
    }
    let rules = file("r.toml", "[[rule]]\nmatch = \"a\"\nstages = [ { deadband = { absolute = -1 } } ]\n");
    let kept = dir.path().join("kept.csv");
    let done = lab(&[&"run", &"--rules", &rules, &"--in", &out, &"--out", &kept]);
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("line 3"), "{done:?}");
    assert_eq!(lab(&[&"run"]).status.code(), Some(2));
}
