//! Foreign reader at the hub: Python with its standard library, `reader.py`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::series::Value;
use super::support::mosquitto::Arrived;

/// Reading as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) value: Value,
    pub(crate) quality: u32,
    pub(crate) unit: String,
}

/// Rows by the name of their sensor, each once, in the order of their numbers.
pub(crate) fn read(arrived: &[Arrived]) -> BTreeMap<String, Vec<Row>> {
    let mut input = String::new();
    for Arrived { topic, content_type, bytes, .. } in arrived {
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        writeln!(input, "{topic}\t{content_type}\t{hex}").unwrap();
    }
    let mut by_number: BTreeMap<(String, String, u64), Row> = BTreeMap::new();
    for line in output(&input).lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [topic, identity, seq, name, unit, time, quality, kind, text] = parts[..] else {
            panic!("{line}");
        };
        // The topic of a route and the first part of its sensors' names.
        assert_eq!(topic.split_once('/').unwrap().1, name.split_once('/').unwrap().0, "{line}");
        let unit = unit.to_owned();
        let (time, quality) = (time.parse().unwrap(), quality.parse().unwrap());
        let row = Row { time, value: value(kind, text), quality, unit };
        let place = (name.to_owned(), epoch(identity), seq.parse().unwrap());
        let known = by_number.entry(place).or_insert_with(|| row.clone());
        assert_eq!(*known, row, "two readings of one number: {line}");
    }
    let mut by_sensor: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for ((name, ..), row) in by_number {
        by_sensor.entry(name).or_default().push(row);
    }
    by_sensor
}

/// An identity with its epoch in front, in digits that sort.
fn epoch(identity: &str) -> String {
    let (rest, epoch) = identity.rsplit_once('-').unwrap();
    format!("{epoch:0>8} {rest}")
}

fn output(input: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stages_by_format/reader.py");
    let decoders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../edge-codec/decoders/python");
    let mut command = Command::new("python3");
    command.args(["-B".as_ref(), tests.as_os_str()]).env("PYTHONPATH", decoders);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("python3 is not installed");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "reader.py: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn value(kind: &str, text: &str) -> Value {
    match kind {
        "null" => Value::Null,
        "bool" => Value::Bool(text == "true"),
        "int" => Value::Int(text.parse().unwrap()),
        "float" => Value::Float(f64::from_bits(u64::from_str_radix(text, 16).unwrap())),
        "text" => {
            let hex = text.strip_prefix('-').unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
            Value::Text(String::from_utf8((0..hex.len() / 2).map(byte).collect()).unwrap())
        }
        _ => panic!("{kind}"),
    }
}
