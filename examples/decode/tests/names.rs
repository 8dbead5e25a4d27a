#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]
//! Names that CSV escapes.

mod support;

use std::fs;

use support::{edge_decode, good};

/// It was: a backslash doubled with every trip, and an escape for each hidden character.
#[test]
fn names_and_units_come_back_from_decode_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in.csv");
    let names = ["\\\\SRV\\T1", "a\\n\\u{41}", "a\n\u{1b}\u{202e}", "the \"b\", c;"];
    let reading = |name: &&str| serde_json::json!({"sensor": name, "unit": name, "ts": 5, "value": 1.5});
    let batch = serde_json::json!({"readings": names.iter().map(reading).collect::<Vec<_>>()}).to_string();
    let csv = good(edge_decode(&["decode", "--content-type", "json", "--to", "csv"], batch.as_bytes()));
    fs::write(&file, &csv).unwrap();
    let frames = good(edge_decode(&["encode", "--in", file.to_str().unwrap()], b""));
    assert_eq!(good(edge_decode(&["decode", "--to", "csv"], &frames)), csv);
    let lines = String::from_utf8(good(edge_decode(&["decode"], &frames))).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for key in ["sensor", "unit"] {
        assert_eq!(lines.iter().map(|line| line[key].as_str().unwrap()).collect::<Vec<_>>(), names, "{key}");
    }
}
