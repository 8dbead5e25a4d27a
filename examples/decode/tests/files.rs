#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `decode` and `encode` as a user runs them: files and pipes.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{BINARY, edge_decode, good};

/// Cases that the extracts lack: the ends of what a number can be, and a name with a colon.
const EDGES: &str = "ts_ms,a:x:f64:bar,n:int:By,on:bool:\n\
    1,-0.0,9007199254740993,1\n2,5e-324,-9223372036854775808,0\n3,1.7976931348623157e308,9223372036854775807,1\n\
    4,,,\n5,0.30000000000000004,,0\n6,20.0,20,\n-7,1e21,0,1\n";

fn extracts() -> [(&'static str, String); 4] {
    let data = |name: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    [
        ("compressor", data("data/compressor.csv")),
        ("temperatures", data("tests/data/nab_temps.csv")),
        ("counters", data("tests/data/nab_counters.csv")),
        ("edges", EDGES.to_owned()),
    ]
}

/// Time, sensor, unit and value; doubles as their bits.
type Row = (i64, String, String, String);

fn expected(csv: &str) -> Vec<Row> {
    let mut lines = csv.lines();
    let columns: Vec<_> =
        lines.next().unwrap().split(',').skip(1).map(|c| c.rsplitn(3, ':').collect::<Vec<_>>()).collect();
    let mut rows = Vec::new();
    for line in lines {
        let mut cells = line.split(',');
        let time = cells.next().unwrap().parse().unwrap();
        for (cell, column) in cells.zip(&columns).filter(|(cell, _)| !cell.is_empty()) {
            let [unit, kind, name] = column[..] else { panic!("{column:?}") };
            let value = match kind {
                "f64" => format!("{:016x}", cell.parse::<f64>().unwrap().to_bits()),
                "bool" => (cell == "1").to_string(),
                _ => cell.to_owned(),
            };
            rows.push((time, name.to_owned(), unit.to_owned(), value));
        }
    }
    rows.sort();
    rows
}

fn rows(lines: &[u8], csv: &str) -> Vec<Row> {
    let is_f64 = |name: &str| csv.lines().next().unwrap().contains(&format!("{name}:f64:"));
    let row = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(line["quality"], 0);
        let value = match &line["value"] {
            Value::Number(number) if is_f64(&text("sensor")) => {
                format!("{:016x}", number.as_f64().unwrap().to_bits())
            }
            other => other.to_string(),
        };
        (line["ts"].as_i64().unwrap(), text("sensor"), text("unit"), value)
    };
    let mut rows: Vec<Row> = std::str::from_utf8(lines).unwrap().lines().map(row).collect();
    rows.sort();
    rows
}

/// Promise 9: what is encoded is decoded to the bit, by every format that carries all of it.
#[test]
fn every_format_brings_every_reading_back_to_the_bit() {
    let mut cases = 0;
    for (name, csv) in extracts() {
        for format in
            ["compact", "json", "cbor", "protobuf", "columns", "senml-json", "senml-cbor", "sparkplug"]
        {
            // SenML's names have no blank and its numbers are decimal; Sparkplug's times are not before 1970.
            if name == "edges" && matches!(format, "senml-json" | "senml-cbor" | "sparkplug") {
                continue;
            }
            for batch in ["1", "7", "1000"] {
                let frames =
                    good(edge_decode(&["encode", "--format", format, "--batch", batch], csv.as_bytes()));
                let lines = good(edge_decode(&["decode", "--content-type", format], &frames));
                assert!(rows(&lines, &csv) == expected(&csv), "{name} as {format} in batches of {batch}");
                cases += 1;
            }
        }
    }
    println!("executed edge_decode_formats: {cases} cases");
}

/// A file from a pipe, compressed on the way, is read; and the flag by the name it has in the other command.
#[test]
fn gzipped_frames_and_a_gzipped_payload_are_unpacked() {
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    for format in ["compact", "json", "cbor"] {
        let frames = good(edge_decode(&["encode", "--content-type", format], EDGES.as_bytes()));
        let plain = good(edge_decode(&["decode", "--format", format], &frames));
        assert_eq!(good(edge_decode(&["decode", "--format", format], &gzip(&frames))), plain);
        assert_eq!(good(edge_decode(&["decode", "--format", format], &gzip(&frames[4..]))), plain);
    }
}

/// The same against a session table, at both levels, from a gzip file to a file.
#[test]
fn a_table_is_made_once_and_used_again_and_needed_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for (name, csv) in extracts() {
        let (input, table, out) = (path("in.csv.gz"), path(&format!("{name}.table")), path("out"));
        let mut gzip =
            flate2::write::GzEncoder::new(fs::File::create(&input).unwrap(), flate2::Compression::fast());
        gzip.write_all(csv.as_bytes()).unwrap();
        gzip.finish().unwrap();
        let mut made = None;
        for level in ["fast", "small"] {
            let arguments = [
                "encode", "--in", &input, "--out", &out, "--table", &table, "--level", level, "--batch", "50",
            ];
            good(edge_decode(&arguments, b""));
            let bytes = fs::read(&table).unwrap();
            assert_eq!(made.get_or_insert(bytes.clone()), &bytes, "the table stays");
            let lines = good(edge_decode(&["decode", "--in", &out, "--table", &table], b""));
            assert!(rows(&lines, &csv) == expected(&csv), "{name} {level}");
            let without = edge_decode(&["decode", "--in", &out], b"");
            let said = String::from_utf8(without.stderr).unwrap();
            assert_eq!((without.status.code(), without.stdout.len()), (Some(1), 0));
            assert!(said.contains("session table") && said.contains("--table FILE"), "{said}");
        }
    }
    let other = format!("ts_ms,{}:f64:K\n1,2.0\n", "unheard");
    let refused = edge_decode(&["encode", "--table", &path("edges.table")], other.as_bytes());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no sensor unheard"));
}

/// It was: the table and its frames were written, and nothing read them again.
#[test]
fn a_table_that_no_reader_takes_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("table");
    let columns: Vec<String> = (0..16_385).map(|n| format!("s{n}:int:")).collect();
    let csv = format!("ts_ms,{}\n1{}\n", columns.join(","), ",7".repeat(columns.len()));
    for stats in [&[][..], &["--stats"]] {
        let arguments = [&["encode", "--table", table.to_str().unwrap()], stats].concat();
        let refused = edge_decode(&arguments, csv.as_bytes());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!((refused.status.code(), table.exists()), (Some(1), false), "{said}");
        assert!(said.contains("16385 is over the limit of 16384"), "{said}");
    }
}

/// A pipe that nobody writes is not waited for, and a larger one is not cut.
#[test]
fn a_table_is_a_file_of_a_payloads_size() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    fs::File::create(at("large")).unwrap().set_len(1 << 40).unwrap();
    for (name, why) in
        [("pipe", "not a file, but a pipe"), ("large", "1099511627776 bytes, at most 16777215 are read")]
    {
        let mut command = Command::new("timeout");
        let done =
            command.args(["60", BINARY, "decode", "--table"]).arg(at(name)).stdin(Stdio::null()).output();
        let done = done.unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        // One that waits is ended with 124.
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(name) && said.contains(why), "{said}");
    }
}

/// The frames and the table file are what the reader in Python reads, which shares no code with us.
#[test]
fn the_python_reader_reads_the_frames_and_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, table) = (dir.path().join("frames"), dir.path().join("table"));
    let (out, file) = (frames.to_str().unwrap(), table.to_str().unwrap());
    good(edge_decode(&["encode", "--out", out, "--table", file, "--batch", "3"], EDGES.as_bytes()));
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/../../edge-codec/decoders/python/edge_batch.py");
    let output =
        Command::new("python3").arg(reader).arg(&table).stdin(fs::File::open(&frames).unwrap()).output();
    let text = String::from_utf8(good(output.expect("python3 is not installed"))).unwrap();
    let row = |line: &str| {
        let [_, _, time, _, kind, value, name, unit] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let value = match kind {
            "f64" => value.split(' ').next().unwrap().to_owned(),
            _ => value.to_lowercase(),
        };
        let quoted = |text: &str| serde_json::from_str::<String>(text).unwrap();
        (time.parse().unwrap(), quoted(name), quoted(unit), value)
    };
    let mut rows: Vec<Row> = text.lines().map(row).collect();
    rows.sort();
    assert_eq!(rows, expected(EDGES));
}

/// Promise 12: a frame that cannot be read is named with its place, and the others are read.
#[test]
fn a_damaged_frame_is_named_and_the_rest_goes_on() {
    let frames = good(edge_decode(&["encode", "--batch", "2"], EDGES.as_bytes()));
    let whole = good(edge_decode(&["decode"], &frames)).split(|byte| *byte == b'\n').count();
    let second = 4 + u32::from_be_bytes(frames[..4].try_into().unwrap()) as usize;
    let mut damaged = frames.clone();
    damaged[second + 4] ^= 0xff;
    let output = edge_decode(&["decode"], &damaged);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with(&format!("edge-decode: frame 2 at byte {second}: ")), "{said}");
    assert_eq!(output.stdout.split(|byte| *byte == b'\n').count(), whole - 2, "two readings less");
    let output = edge_decode(&["decode"], &frames[..frames.len() - 1]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the input ends after"));
    let mut long = frames.clone();
    long[second] = 0x7f;
    let output = edge_decode(&["decode"], &long);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), false));
    assert!(String::from_utf8_lossy(&output.stderr).contains("what follows cannot be found"));
}

#[test]
fn one_payload_needs_no_frame_and_csv_has_a_head() {
    let payload = br#"[{"bn":"plant/","n":"oven3","u":"Cel","t":1580515200,"v":97.4}]"#;
    let csv =
        good(edge_decode(&["decode", "--content-type", "application/senml+json", "--to", "csv"], payload));
    let expected = "ts_ms,sensor,unit,kind,value,quality,id\n1580515200000,plant/oven3,Cel,f64,97.4,0,\n";
    assert_eq!(String::from_utf8(csv).unwrap(), expected);
    let nothing = good(edge_decode(&["decode", "--to", "csv"], b""));
    assert_eq!(nothing, b"ts_ms,sensor,unit,kind,value,quality,id\n");
}

/// As people have them: a spreadsheet's export, one sensor, a line per reading, what `decode` printed; and a line that is none.
#[test]
fn recordings_of_other_programs_are_encoded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.csv");
    let decoded = |text: &str, more: &[&str]| {
        fs::write(&path, text).unwrap();
        let arguments = [&["encode", "--in", path.to_str().unwrap()], more].concat();
        let output = edge_decode(&arguments, b"");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = good(edge_decode(&["decode", "--to", "csv"], &good(output)));
        (String::from_utf8(lines).unwrap(), said)
    };
    let head = "ts_ms,sensor,unit,kind,value,quality,id\n";
    for text in [
        "\u{feff}\"Time\";\"TP2:bar\"\r\n2020-02-01T00:00:00Z;1,5\r\n2020-02-01T00:00:01Z;-2,25\r\n",
        "ts_ms,sensor,unit,kind,value,quality,id\n1580515200000,TP2,bar,f64,1.5,0,\n1580515201000,TP2,bar,f64,-2.25,0,\n",
    ] {
        let expected =
            format!("{head}1580515200000,TP2,bar,f64,1.5,0,\n1580515201000,TP2,bar,f64,-2.25,0,\n");
        assert_eq!(decoded(text, &[]), (expected, String::new()));
    }
    let (lines, said) = decoded("time,value\n5,1.5\nlater,2\n7,2.5\n", &["--skip-bad"]);
    assert_eq!(lines, format!("{head}5,value,,f64,1.5,0,\n7,value,,f64,2.5,0,\n"));
    assert!(said.contains("could not be read: 1; ") && said.contains("line 3, column time"), "{said}");
    let gateway = concat!(env!("CARGO_MANIFEST_DIR"), "/../drill/data/compressor.csv");
    let stats = good(edge_decode(&["encode", "--stats", "--batch", "100", "--in", gateway], b""));
    assert!(String::from_utf8(stats).unwrap().contains("of 4 sensors"));
}

#[test]
fn a_time_in_seconds_is_no_millisecond_unless_it_is_said_and_1e400_is_no_reading() {
    let csv = b"time,value\n1580515200,1.5\n";
    let refused = edge_decode(&["encode"], csv);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("line 2, column time: 1580515200 looks like seconds")
            && said.contains("--time-unit s,"),
        "{said}"
    );
    for (unit, time) in [("s", "1580515200000"), ("ms", "1580515200"), ("us", "1580515"), ("ns", "1580")] {
        let frames = good(edge_decode(&["encode", "--time-unit", unit], csv));
        let lines = String::from_utf8(good(edge_decode(&["decode", "--to", "csv"], &frames))).unwrap();
        assert!(lines.ends_with(&format!("id\n{time},value,,f64,1.5,0,\n")), "{unit}: {lines}");
    }
    assert_eq!(edge_decode(&["encode", "--time-unit", "m"], csv).status.code(), Some(2));
    let refused = edge_decode(&["encode"], b"time,value\n5,1e400\n");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(1)
            && said.contains("line 2, column value: must be a number that a double holds"),
        "{said}"
    );
}

/// A payload by another host: an integer that could be negative or not between two doubles.
#[test]
fn a_doubtful_metric_is_told_and_the_others_are_printed() {
    let metric = |name: u8, value: &[u8]| {
        let content = [&[0x0a, 1, name, 0x18, 5][..], value].concat();
        [&[0x12, content.len() as u8][..], &content].concat()
    };
    let double = |v: f64| [&[0x69][..], &v.to_le_bytes()].concat();
    let doubtful = [0x50, 0x80, 0x80, 0x80, 0x80, 0x08];
    let payload =
        [vec![0x08, 5], metric(b'a', &double(1.5)), metric(b'b', &doubtful), metric(b'c', &double(2.5))]
            .concat();
    let output = edge_decode(&["decode", "--content-type", "sparkplug", "--to", "csv"], &payload);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = String::from_utf8(good(output)).unwrap();
    assert!(lines.ends_with("id\n5,a,,f64,1.5,0,\n5,c,,f64,2.5,0,\n"), "{lines}");
    assert!(said.contains("values passed over that are doubtful or none of ours: 1"), "{said}");
}

#[test]
fn mistakes_of_the_command_line_and_of_the_input_have_their_own_exit_codes() {
    for arguments in
        [&["encode", "--format", "xml"][..], &["decode", "--to", "xml"], &["encode", "--batch", "0"], &[]]
    {
        assert_eq!(edge_decode(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
    let table = edge_decode(&["encode", "--format", "cbor", "--table", "x"], b"");
    assert_eq!(table.status.code(), Some(2));
    for (arguments, input, said) in [
        (&["decode", "--in", "no-such-file"][..], &b""[..], "no-such-file"),
        (&["decode", "--table", "no-such-file"], b"", "no-such-file"),
        (
            &["encode"],
            b"ts_ms,a:int:\n1,x\n",
            "standard input line 2, column a:int:: must be an integer of 64 bits, found \"x\"",
        ),
        (&["encode", "--format", "json"], b"ts_ms,a:f64:\n1,NaN\n", "NaN"),
    ] {
        let output = edge_decode(arguments, input);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{text}");
    }
}

/// Promise 12: memory does not depend on the length of the input, and the readings arrive while it still goes on.
#[test]
fn an_endless_input_is_encoded_and_decoded_in_bounded_memory() {
    let spawn = |arguments: &[&str]| {
        Command::new(BINARY).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut encode = spawn(&["encode", "--format", "cbor", "--batch", "500"]);
    let mut decode = Command::new(BINARY)
        .args(["decode", "--content-type", "cbor"])
        .stdin(encode.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = decode.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let (mut bytes, mut some) = (0_u64, [0; 64 << 10]);
        while let Ok(n @ 1..) = output.read(&mut some) {
            bytes += n as u64;
        }
        bytes
    });
    let mut input = encode.stdin.take().unwrap();
    input.write_all(b"ts_ms,a:f64:K,b:f64:K,c:f64:K,d:f64:K\n").unwrap();
    for row in 0..200_000 {
        let value = f64::from(row % 997) / 8.0;
        writeln!(input, "{row},{value:?},{value:?},{value:?},{value:?}").unwrap();
    }
    let peak_kib = |pid: u32| -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let peaks = [peak_kib(encode.id()), peak_kib(decode.id())];
    drop(input);
    assert!(encode.wait().unwrap().success() && decode.wait().unwrap().success());
    let printed = reading.join().unwrap();
    println!("{printed} bytes printed, peaks {peaks:?} KiB");
    assert!(printed > 40_000_000, "{printed}");
    assert!(peaks.iter().all(|peak| *peak < 24 * 1024), "{peaks:?} KiB");
}
