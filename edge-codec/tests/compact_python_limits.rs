#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! The reader in Python cannot be made to hang or to exhaust memory either, and its integers wrap as the page says (promise 12). Needs
//! `python3`.

use edge_codec::compact::{self, Table};
use edge_codec::{DecodeError, Limits};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Writes streams bit by bit, and hostile messages of them; reads a message, and prints the outcome and the message.
const PROGRAM: &str = r#"
import resource, sys
from edge_batch import BatchError, Table, decode
class Stream:
    def __init__(self):
        self.text = ["0" * 10]
    def bits(self, value, count):
        self.text.append(format(value, "0%db" % count) if count else "")
        return self
    def eg(self, value, k):
        high = (value >> k) + 1
        self.text.append("0" * (high.bit_length() - 1) + format(high, "b"))
        return self.bits(value & (1 << k) - 1, k)
    def raw(self, value):
        return self.eg(value.bit_length(), 4).bits(value, value.bit_length())
    def clock(self, steps, columns, low):
        self.eg(0, 0).raw(1).raw(0).bits(0, 11).eg(steps, 0)
        return self.bits(0, 30 if low == 40 and columns * (steps + 1) >= 64 else 0).eg(0, low).bits(0, int(steps > 0))
    def bytes(self):
        text = "1" + "".join(self.text)
        size = -(-len(text) // 8)
        return int(text, 2).to_bytes(size, "big")
def varint(number):
    return bytes([number & 127 | 128]) + varint(number >> 7) if number > 127 else bytes([number])
def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content
def batch(stream, padding=0):
    return field(8, stream.bytes()) + field(12, bytes(padding))
def readings(count):
    return batch(Stream().eg(0, 0).bits(0, 1).eg(0, 0).clock(count - 1, 1, 40).eg(0, 3).bits(0, 1).bits(6, 3), count // 32)
def clocks(count):
    stream = Stream().eg(count - 1, 0).bits(0, 1).eg(count - 1, 0)
    for nth in range(count):
        stream.clock(0, count, 10 if nth else 40)
    return batch(stream)
def plans(count, is_alike):
    sensors, stream = b"", Stream().eg(0, 0)
    for nth in range(count):
        sensors += field(2, varint(1 << 3) + varint(nth))
        weight, token = (1, 1) if is_alike else (1 + nth % 1000, 1 + nth // 1000)
        stream.bits(1, 1).bits(1, 3).bits(0, 2).bits(0, 2).raw(0)
        stream.eg(token, 0).eg(weight - 1, 4).eg(131 - token, 0).eg(1023 - weight, 4)
    return sensors + field(3, stream.bytes())
def lists(count):
    sensors, stream = b"", Stream().eg(0, 0)
    for nth in range(count + 1024):
        sensors += field(2, varint(1 << 3) + varint(nth))
    for nth in range(count):
        stream.bits(1, 1).bits(1, 3).bits(2, 2).eg(1024, 3).bits(0, 7).raw(0).bits(0, 2).raw(0)
        stream.eg(1, 0).eg(511, 4).eg(130, 0).eg(511, 4)
    return sensors + field(3, stream.bits(0, 1024).bytes())
make, read = {
    "65536 readings": (lambda: readings(65_536), decode),
    "1000000 readings": (lambda: readings(1_000_000), decode),
    "fewer allowed": (lambda: readings(100), lambda data: decode(data, None, 99)),
    "40000 clocks": (lambda: clocks(40_000), decode),
    "zeros": (lambda: field(8, b"\x80\0" + bytes(1_000_000)), decode),
    "4096 coders": (lambda: plans(4096, False), Table),
    "4097 coders": (lambda: plans(4097, False), Table),
    "6000 coders alike": (lambda: plans(6_000, True), Table),
    "1024 lists": (lambda: lists(1024), Table),
    "1025 lists": (lambda: lists(1025), Table),
}[sys.argv[1]]
data = make()
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    read(data)
    outcome = "read"
except BatchError as error:
    outcome = "refused: %s" % error
after = resource.getrusage(resource.RUSAGE_SELF)
print(int(after.ru_utime - before.ru_utime), (after.ru_maxrss - before.ru_maxrss) // 1024, outcome, flush=True)
sys.stdout.buffer.write(data)
"#;

/// Outcome in Python, and the message.
fn run(case: &str) -> (String, Vec<u8>) {
    let mut command = Command::new("python3");
    command.args(["-O", "-B", "-c", PROGRAM, case]);
    command.current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("decoders/python"));
    let output = command.stderr(Stdio::inherit()).output().expect("needs python3");
    assert!(output.status.success());
    let end = output.stdout.iter().position(|b| *b == b'\n').unwrap();
    let outcome = String::from_utf8(output.stdout[..end].to_vec()).unwrap();
    (outcome, output.stdout[end + 1..].to_vec())
}

/// Limits to which both readers hold a batch and a table. Before, a batch of 31 KB took 264 MiB, and one of 88 KB the time of its clocks squared.
#[test]
fn what_one_reader_bounds_the_other_bounds_too() {
    let cases = [
        ("65536 readings", "read"),
        ("1000000 readings", "refused: more than a batch"),
        ("fewer allowed", "refused: more instants"),
        ("40000 clocks", "refused: "),
        ("zeros", "refused: a number that is too long"),
        ("4096 coders", "read"),
        ("4097 coders", "refused: more learned coders"),
        ("6000 coders alike", "read"),
        ("1024 lists", "read"),
        ("1025 lists", "refused: more values in lists"),
    ];
    for (case, outcome) in cases {
        let (printed, data) = run(case);
        let mut parts = printed.splitn(3, ' ');
        let mut next = || parts.next().unwrap();
        let (seconds, mebibytes): (u64, u64) = (next().parse().unwrap(), next().parse().unwrap());
        assert!(next().starts_with(outcome), "{case}: {printed}");
        // Processor time, of which each takes about a second.
        assert!(seconds < 30 && mebibytes < 64, "{case}: {printed}");
        let limits = Limits::default().sensors(1 << 16);
        let ours = if case.contains("coders") || case.contains("lists") {
            Table::decode(&data, &limits).map(drop)
        } else {
            let limits = if case == "fewer allowed" { limits.readings(99) } else { limits };
            compact::decode(&data, &limits).map(drop)
        };
        assert_eq!(ours.is_ok(), outcome == "read", "{case}: {ours:?}");
    }
}

/// The first instant is an `eg(40)`, of which the bits above 64 are lost.
#[test]
fn numbers_beyond_64_bits_wrap_in_both_readers() -> Result<(), DecodeError> {
    let batch = b"\x42\x19\x10\x02\xe3\x80\x00\x80\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x12\x34\x56\x78\x9a\x86";
    let time = compact::decode(batch, &Limits::default())?.next().unwrap()?.time;
    let mut command = Command::new("python3");
    command.args([
        "-B",
        "-c",
        "import sys, edge_batch; print(edge_batch.decode(sys.stdin.buffer.read())[0].time_ms)",
    ]);
    command.current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("decoders/python"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("needs python3");
    child.stdin.take().unwrap().write_all(batch).unwrap();
    let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((printed.trim(), time), ("9223370976436894797", 9_223_370_976_436_894_797));
    Ok(())
}
