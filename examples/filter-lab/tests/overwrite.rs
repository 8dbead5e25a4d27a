#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]
//! Files that are read are not written over.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use support::lab;

/// It was: `replay` wrote its table over the recording, `run` over the rules.
#[test]
fn no_output_takes_the_place_of_a_file_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (recording, case, rules, out) =
        (path("in.csv"), path("case.json"), path("rules.toml"), path("out.csv"));
    let files = [
        (&recording, "ts_ms,sensor,value,quality\n0,a,1,0\n"),
        (&case, r#"{"kind": "kept", "config": {"type": "on_change"}}"#),
        (&rules, "[[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]\n"),
    ];
    for (file, text) in files {
        fs::write(file, text).unwrap();
    }
    symlink(&recording, path("link")).unwrap();
    let link = path("link");
    for output in [&recording, &link, &case] {
        let done = lab(&[&"replay", &"--case", &case, &"--in", &recording, &"--out", output]);
        assert_eq!(done.status.code(), Some(2), "{}", output.display());
    }
    for output in [&recording, &link, &rules] {
        for (kept, report) in [(output, &out), (&out, output)] {
            let arguments: [&dyn AsRef<std::ffi::OsStr>; 9] =
                [&"run", &"--rules", &rules, &"--in", &recording, &"--out", kept, &"--report", report];
            let done = lab(&arguments);
            assert_eq!(done.status.code(), Some(2), "{}", output.display());
        }
    }
    for (file, text) in files {
        assert_eq!(fs::read_to_string(file).unwrap(), text);
    }
    assert!(lab(&[&"replay", &"--case", &case, &"--in", &recording, &"--out", &out]).status.success());
}
