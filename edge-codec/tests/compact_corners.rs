#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "compact", feature = "zstd"))]
//! Corners of the compact layout that no encoder of ours writes: both readers take and refuse the same, with the same values
//! (promise 9). `data/compact_corners.txt` was written by hand from the page, for readers in other languages, too.

#[path = "support/session.rs"]
mod session;

use edge_codec::{DecodeError, Limits, Value};
use session::Reader;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Name, outcome, batch, session table.
type Corner = (String, String, Vec<u8>, Option<Vec<u8>>);

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim_matches('-').as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn corners() -> Vec<Corner> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/compact_corners.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let corner = |line: &str| {
        let mut parts = line.split(' ');
        let mut next = || parts.next().map(str::to_owned);
        (next().unwrap(), next().unwrap(), bytes(&next().unwrap()), next().map(|hex| bytes(&hex)))
    };
    lines.map(corner).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::F64(v) => format!("{:016x}", v.to_bits()),
        Value::I64(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::Text(v) => format!("t{}", hex(v.as_bytes())),
        Value::Bytes(v) => format!("b{}", hex(v)),
        Value::Null => "null".to_owned(),
    }
}

/// As the file has it: no value is `none`, very many are their number and the first one.
fn told(values: &[String]) -> String {
    match values {
        [] => "none".to_owned(),
        [first, ..] if values.len() > 30 => format!("{}×{first}", values.len()),
        _ => values.join(","),
    }
}

fn read(batch: &[u8], table: Option<&[u8]>) -> Result<String, DecodeError> {
    let limits = Limits::default();
    let reader = table.map_or_else(|| Ok(Reader::without_table()), |table| Reader::of(table, &limits))?;
    let values: Result<Vec<_>, _> =
        reader.decode(batch, &limits)?.map(|r| r.map(|r| text(&r.value))).collect();
    Ok(told(&values?))
}

#[test]
fn corners_are_read_or_refused_as_the_page_says() {
    for (name, outcome, batch, table) in corners() {
        let read = read(&batch, table.as_deref());
        let got = read.as_ref().map_or("refused", String::as_str);
        assert_eq!(got, outcome, "{name}: {read:?}");
    }
}

#[test]
fn what_is_refused_is_told_by_its_reason() {
    let reasons = [
        ("epoch2^32", "epoch is above 32 bits"),
        ("zstd-beside", "a field beside a compressed message"),
        ("form1-s23", "a decimal has an exponent out of range"),
        ("form3-2^31", "a number of a binary32 is above 32 bits"),
        ("list-1024", "a list of values is longer than what is left of the stream"),
        ("list-1025", "a list of values has none, or more than 1024"),
        ("list-w65", "a list of values is wider than 64 bits"),
        ("step3", "an unknown kind of step"),
        ("again-step1", "a column is like one that has a step"),
    ];
    let corners = corners();
    for (wanted, reason) in reasons {
        let (_, _, batch, table) = corners.iter().find(|c| c.0 == wanted).unwrap();
        let error = read(batch, table.as_deref()).unwrap_err().to_string();
        assert!(error.contains(reason), "{wanted}: {error}");
    }
}

#[test]
fn python_reads_and_refuses_the_same_corners() {
    let program = r#"
import sys
from edge_batch import BatchError, Table, decode
from edge_batch_stream import cast
def text(row):
    kind, value = row.kind, row.value
    special = {"f64": lambda: "%016x" % cast("Q", "d", value), "null": lambda: "null",
        "bool": lambda: str(value).lower(), "text": lambda: "t" + value.encode().hex(), "bytes": lambda: "b" + value.hex()}
    return special.get(kind, lambda: str(value))()
for line in sys.stdin:
    batch, *table = [bytes.fromhex(part.strip("-\n")) for part in line.split(" ")]
    try:
        print(*map(text, decode(batch, *map(Table, table))))
    except BatchError:
        print("refused")
"#;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("decoders/python");
    let mut command = Command::new("python3");
    command.args(["-B", "-c", program]).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("needs python3");
    // It has no Zstandard.
    let corners: Vec<_> = corners().into_iter().filter(|c| !c.0.starts_with("zstd")).collect();
    let tables = |table: &Option<Vec<u8>>| table.as_ref().map(|t| format!(" {}", hex(t))).unwrap_or_default();
    let lines: String = corners.iter().map(|c| format!("{}{}\n", hex(&c.2), tables(&c.3))).collect();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
        child.wait_with_output().unwrap()
    });
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), corners.len());
    for (line, (name, outcome, ..)) in printed.lines().zip(&corners) {
        let values: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(told(&values), *outcome, "{name}");
    }
}
