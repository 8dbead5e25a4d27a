#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
//! Promise 13: the report's figures are those of the filter, and what is wrong is said with its place.

mod support;

use std::fs;
use std::path::Path;
use support::{data, lab};

fn report(rules: &str, input: &Path) -> (serde_json::Value, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let (rules_file, out, html) =
        (dir.path().join("rules.toml"), dir.path().join("kept.csv"), dir.path().join("lab.html"));
    fs::write(&rules_file, rules).unwrap();
    let done = lab(&[&"run", &"--rules", &rules_file, &"--in", &input, &"--out", &out, &"--report", &html]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let page = fs::read_to_string(html).unwrap();
    let json = page.split("id=\"report\">").nth(1).unwrap().split("</script>").next().unwrap();
    (serde_json::from_str(json).unwrap(), fs::read_to_string(out).unwrap(), page)
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
    let done = lab(&[&"run", &"--rules", &rules, &"--in", &out, &"--out", &out]);
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("line 3"), "{done:?}");
    assert_eq!(lab(&[&"run"]).status.code(), Some(2));
}
