#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! The batch that `docs/codec-formats.md` dumps byte by byte is the one that is written today, is read step by step as the dump
//! says, and gives the readings beside it (promise 4). Needs `python3`.

use edge_codec::compact::{self, Encoder};
use edge_codec::{BatchId, Limits, Reading, SensorTable, Value};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Prints what the reader in Python makes of a batch, a line per reading, then a line of `-`, then a line for each step that it
/// takes along the stream: byte and bit, the bits, what they are read as, what that gives.
const TRACE: &str = r#"
import sys
import edge_batch
from edge_batch_stream import Bits
batch, lines, depth = bytes.fromhex(sys.stdin.read()), [], 0

def note(bits, start, end, step, value):
    whole = "".join("{:08b}".format(byte) for byte in bits.data)
    byte = batch.index(bits.data) + start // 8
    lines.append(("%d.%d" % (byte, start % 8), whole[start:end], step, str(value)))

def traced(name):
    plain = getattr(Bits, name)
    def call(self, *arguments):
        global depth
        if not lines and not depth:
            note(self, 0, self.at, "marker", 1)
        start, cell = self.at, None
        if name == "number":
            state = self.states[0]
            cell = "state %d: token %d, n %d, base %d" % (state, *(part[state] for part in arguments[0][0]))
        depth += 1
        value = plain(self, *arguments)
        depth -= 1
        if not depth:
            step = {"get": "bits(%d)", "eg": "eg(%d)"}.get(name, name)
            note(self, start, self.at, step % arguments if "%" in step else step, cell and "%d (%s)" % (value, cell) or value)
        return value
    setattr(Bits, name, call)

for name in ("get", "eg", "raw", "number"):
    traced(name)
for row in edge_batch.decode(batch):
    print(*row)
print("-")
for line in lines:
    print("  ".join(line))
"#;

fn readings() -> [Reading<'static>; 3] {
    let reading = |n: i64, value, quality| Reading {
        sensor: 7,
        time: 1_580_515_200_000 + 1000 * n,
        value: Value::F64(value),
        quality,
    };
    [reading(0, 20.5, 0), reading(1, 20.6, 0), reading(2, 20.4, 0x4090_0000)]
}

fn batch() -> Vec<u8> {
    let mut sensors = SensorTable::new();
    sensors.insert(7, "oven", "Cel");
    let id = BatchId { gateway: 0x00c0_ffee_0000_0001, lane: 1, epoch: 42, first_seq: 1000 };
    let mut encoder = Encoder::new(sensors).id(id);
    readings().iter().for_each(|r| encoder.push(r).unwrap());
    encoder.finish_under(usize::MAX).unwrap().to_vec()
}

/// Readings and steps, as the reader in Python prints them.
fn traced(batch: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut command = Command::new("python3");
    command.args(["-c", TRACE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("decoders/python"));
    let mut child = command.spawn().expect("this test needs python3");
    child.stdin.take().unwrap().write_all(hex(batch).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let (rows, steps) = text.split_once("-\n").unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect();
    (lines(rows), lines(steps))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The two blocks under the heading of the dump: readings, and the lines of the dump in their columns.
fn documented() -> (Vec<String>, Vec<Vec<String>>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/codec-formats.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split_once("\n### A batch, byte by byte\n").unwrap().1;
    let mut blocks = section.split("```").skip(1).step_by(2).map(|block| block.lines().skip(1));
    let rows = blocks.next().unwrap().map(str::to_owned).collect();
    let columns =
        |line: &str| line.split("  ").map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect();
    (rows, blocks.next().unwrap().map(columns).collect())
}

#[test]
fn the_documented_dump_is_the_batch_of_today_and_is_read_as_it_says() {
    let batch = batch();
    let (rows, steps) = traced(&batch);
    println!("{}\n{}\n{}", hex(&batch), rows.join("\n"), steps.join("\n"));
    let (rows_told, dump) = documented();
    assert_eq!(rows, rows_told);
    // Lines of bytes have place, bytes and meaning; those of the stream place, bits, step, value and meaning.
    let (bytes, stream): (Vec<_>, Vec<_>) = dump.iter().partition(|line| !line[0].contains('.'));
    assert!(
        bytes.iter().all(|line| line.len() == 3) && stream.iter().all(|line| line.len() == 5),
        "{dump:#?}"
    );
    let stream: Vec<String> = stream.iter().map(|line| line[..4].join("  ")).collect();
    assert_eq!(stream, steps);
    let (mut told, mut bits) = (String::new(), String::new());
    for line in &dump {
        assert_eq!(
            line[0].split('.').next(),
            Some((told.len() / 2 + bits.len() / 8).to_string().as_str()),
            "{line:?}"
        );
        match line.len() {
            3 => told += &line[1].replace(' ', ""),
            _ => bits += &line[1],
        }
    }
    let bits: Vec<u8> = bits
        .as_bytes()
        .chunks(8)
        .map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap())
        .collect();
    assert_eq!(told + &hex(&bits), hex(&batch), "every byte is in the dump");
    let read = compact::decode(&batch, &Limits::default()).unwrap();
    assert!(read.zip(readings()).all(|(got, sent)| got.unwrap().same(&sent)));
}
