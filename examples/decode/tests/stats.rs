#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, reason = "test code")]
//! `encode --stats`: bytes per reading of every format, on the rows of the input.

mod support;

use std::fs;
use std::path::Path;

use support::{edge_decode, good};

#[test]
fn stats_compare_every_format_with_json() {
    let text = String::from_utf8(good(edge_decode(&["encode", "--sample", "--stats"], b""))).unwrap();
    println!("{text}");
    let figure = |name: &str, column: usize| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}  ")))
            .unwrap_or_else(|| panic!("{name}"));
        line[22..].split_whitespace().nth(2 * column).unwrap().parse().unwrap()
    };
    for column in 0..4 {
        assert!(figure("compact fast, table", column) < figure("compact fast", column), "{column}");
        assert!(figure("compact fast", column) < figure("json", column), "{column}");
    }
    // Negative control: the figures are of the frames that `encode` writes of the second half, less four bytes for each
    // length, and with 17 of an identity. The table has not seen them.
    let sample =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/compressor.csv")).unwrap();
    let (head, rows) = sample.split_once('\n').unwrap();
    let rest = rows.lines().skip(80).fold(head.to_owned(), |text, row| text + "\n" + row);
    let frames = good(edge_decode(&["encode", "--batch", "100"], rest.as_bytes()));
    let readings = f64::from(80 * 15);
    let payload = frames.len() as f64 + (17.0 - 4.0) * readings / 100.0;
    assert!((figure("compact fast", 2) - payload / readings).abs() < 0.02, "{payload}");
    assert!(text.starts_with("1200 readings of 15 sensors"), "{text}");
    let one = String::from_utf8(good(edge_decode(&["encode", "--sample", "--stats", "--batch", "10"], b"")))
        .unwrap();
    assert!(one.contains("batches of 10") && !one.contains("batches of 100"));
    let refused = good(edge_decode(&["encode", "--stats"], b"ts_ms,a b:f64:\n1,2.0\n"));
    assert!(String::from_utf8(refused).unwrap().contains("senml-json              cannot: "));
}

/// It was: JSON refused the reading, and the factors of all others were against the readings before it.
#[test]
fn a_value_that_json_has_not_is_null_there_and_the_factors_are_of_all_readings() {
    let rows = |third: &str| {
        let value = |n: usize| if n == 2 { third.to_owned() } else { format!("{}.25", n % 7) };
        let row = |n: usize| format!("{},{}\n", 1_580_515_200_000 + n * 1_000, value(n));
        "ts_ms,a:f64:V\n".to_owned() + &(0..600).map(row).collect::<String>()
    };
    let figures = |csv: &str, name: &str| -> (f64, f64) {
        let text = edge_decode(&["encode", "--stats", "--batch", "100"], csv.as_bytes());
        let text = String::from_utf8(good(text)).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}  ")));
        let mut cells = line.unwrap_or_else(|| panic!("{text}"))[22..].split_whitespace();
        let mut next =
            || cells.next().unwrap().trim_end_matches('x').parse().unwrap_or_else(|_| panic!("{text}"));
        (next(), next())
    };
    // In the half behind the sample, too.
    let csv = rows("nan").replace("1580515600000,1.25\n", "1580515600000,nan\n");
    assert_ne!(csv, rows("nan"));
    let (json, one) = figures(&csv, "json");
    let (compact, factor) = figures(&csv, "compact fast");
    assert!(
        (one - 1.0).abs() < f64::EPSILON && (figures(&rows("1.5"), "json").0 - json).abs() < 1.0,
        "{json}"
    );
    assert!((factor - json / compact).abs() < 0.1 + 0.01 * factor, "{factor}: {json} {compact}");
}

#[test]
fn stats_take_the_table_that_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("plant.table");
    let table = table.to_str().unwrap();
    let beside = dir.path().join("plant.new");
    fs::write(&beside, "of the user").unwrap();
    let csv = |head: &str| format!("{head}\n1000,1.5,20\n2000,1.6,21\n3000,1.7,22\n");
    let stats = ["encode", "--stats", "--batch", "1", "--table", table];
    let made = good(edge_decode(&stats, csv("ts_ms,a:f64:V,b:f64:A").as_bytes()));
    let made = String::from_utf8(made).unwrap();
    assert_eq!(
        fs::read_to_string(beside).unwrap(),
        "of the user",
        "a file that only looks like half a table"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "and nothing else is left");
    let learned = format!("It is the one in {table}. It was learned from the rows before these.");
    assert!(made.starts_with("4 readings") && made.contains(&learned), "{made}");
    // The columns in another order have the table's numbers all the same.
    let known = good(edge_decode(&stats, csv("ts_ms,b:f64:A,a:f64:V").as_bytes()));
    let known = String::from_utf8(known).unwrap();
    assert!(known.starts_with("6 readings") && known.contains("If it was learned from these"), "{known}");
    let other = edge_decode(&stats, csv("ts_ms,a:f64:V,c:f64:A").as_bytes());
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8(other.stderr).unwrap().contains("the table has no sensor c"));
}
