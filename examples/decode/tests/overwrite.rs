#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
//! Files that are read are not written over.

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use support::{edge_decode, good};

const RECORDING: &str = "ts_ms,a:f64:bar\n0,1.5\n1000,2.5\n";

/// It was: the recording was emptied, and its readings were gone but for those of the first eight KiB.
#[test]
fn a_recording_or_a_table_is_not_written_over_by_the_frames_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (recording, table) = (path("in.csv"), path("table"));
    fs::write(&recording, RECORDING).unwrap();
    good(edge_decode(&["encode", "--in", &recording, "--out", &path("out"), "--table", &table], b""));
    let learned = fs::read(&table).unwrap();
    symlink(&recording, path("symbolic")).unwrap();
    fs::hard_link(&recording, path("hard")).unwrap();
    for out in [&recording, &path("symbolic"), &path("hard"), &table] {
        for more in [&[][..], &["--stats"]] {
            let arguments = [&["encode", "--in", &recording, "--table", &table, "--out", out], more].concat();
            let refused = edge_decode(&arguments, b"");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(2), "{said}");
            assert!(said.contains(out.as_str()) && said.contains("write elsewhere"), "{said}");
            assert_eq!(fs::read_to_string(&recording).unwrap(), RECORDING);
            assert_eq!(fs::read(&table).unwrap(), learned);
        }
    }
    // A table that is made, under the name of the frames.
    let new = path("new");
    let refused = edge_decode(&["encode", "--in", &recording, "--table", &new, "--out", &new], b"");
    assert_eq!((refused.status.code(), fs::exists(&new).unwrap()), (Some(2), false));
    // A device is no file that could be lost.
    good(edge_decode(&["encode", "--in", &recording, "--out", "/dev/null"], b""));
}
