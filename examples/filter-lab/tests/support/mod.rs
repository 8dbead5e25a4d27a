//! Runs the program over files of `tests/data`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

pub(crate) fn lab(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_filter-lab"));
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    command.output().unwrap()
}

/// The report's figures, what is kept and the page of a run that must succeed.
#[allow(dead_code, reason = "not every test runs rules")]
pub(crate) fn report(rules: &str, input: &Path) -> (serde_json::Value, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let (rules_file, out, html) =
        (dir.path().join("rules.toml"), dir.path().join("kept.csv"), dir.path().join("lab.html"));
    std::fs::write(&rules_file, rules).unwrap();
    let done = lab(&[&"run", &"--rules", &rules_file, &"--in", &input, &"--out", &out, &"--report", &html]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let page = std::fs::read_to_string(html).unwrap();
    let json = page.split("id=\"report\">").nth(1).unwrap().split("</script>").next().unwrap();
    (serde_json::from_str(json).unwrap(), std::fs::read_to_string(out).unwrap(), page)
}

/// The output file of a replay that must succeed.
#[allow(dead_code, reason = "not every test replays")]
pub(crate) fn replay(case: &Path, input: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out.csv");
    let done = lab(&[&"replay", &"--case", &case, &"--in", &input, &"--out", &output]);
    assert!(done.status.success(), "{}: {}", case.display(), String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{}: no warning either", case.display());
    std::fs::read_to_string(output).unwrap()
}

/// The cases of `tests/data`, by name, with their input.
#[allow(dead_code, reason = "not every test replays")]
pub(crate) fn cases() -> Vec<(String, serde_json::Value)> {
    let mut cases: Vec<_> = std::fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let case = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), case)
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

/// Equal cell by cell; numbers of `series` and `pid` within the case's tolerance, relative to 1 or more.
#[allow(dead_code, reason = "not every test replays")]
pub(crate) fn differences(case: &serde_json::Value, expected: &str, found: &str) -> Vec<String> {
    let tolerance = case["tolerance"].as_f64().unwrap_or(0.0);
    let (mut expected, mut found, mut differences) = (expected.lines(), found.lines(), Vec::new());
    for line in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if same(a, b, tolerance) => {}
            (a, b) => differences.push(format!("line {line}: {a:?} expected, {b:?} found")),
        }
    }
    differences
}

fn same(a: &str, b: &str, tolerance: f64) -> bool {
    let cell = |(a, b): (&str, &str)| {
        a == b
            || match (a.parse::<f64>(), b.parse::<f64>()) {
                (Ok(a), Ok(b)) => (a - b).abs() <= tolerance * a.abs().max(1.0),
                _ => false,
            }
    };
    a.split(',').count() == b.split(',').count() && a.split(',').zip(b.split(',')).all(cell)
}
