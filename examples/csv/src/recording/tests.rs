#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::{BufReader, Cursor};

use super::*;

fn open(bytes: &[u8]) -> Result<Recording, CsvError> {
    Lines::new("x.csv", Box::new(BufReader::new(Cursor::new(bytes.to_vec())))).and_then(Recording::new)
}

type Flat = (String, String, i64, Value<'static>);

fn read_with(bytes: &[u8], skip_bad: bool) -> Result<(Vec<Flat>, Option<String>), String> {
    let mut recording = open(bytes).map_err(|error| error.to_string())?.skip_bad(skip_bad);
    let mut rows = Vec::new();
    while recording.next_line(&mut rows).map_err(|error| error.to_string())? {}
    let columns = recording.columns().to_vec();
    let flat = rows.into_iter().map(|row| {
        let column = columns.get(row.column).unwrap().clone();
        (column.name, column.unit, row.time, row.value)
    });
    Ok((flat.collect(), recording.skipped()))
}

fn read(text: &str) -> Vec<Flat> {
    read_with(text.as_bytes(), false).unwrap().0
}

fn row(name: &str, unit: &str, time: i64, value: Value<'static>) -> Flat {
    (name.to_owned(), unit.to_owned(), time, value)
}

#[test]
fn one_recording_reads_the_same_in_every_dialect() {
    let same = [
        row("a", "bar", 1_580_515_200_000, Value::F64(1.5)),
        row("a", "bar", 1_580_515_200_250, Value::F64(-2.0)),
    ];
    for text in [
        "ts_ms,a:f64:bar\n1580515200000,1.5\n1580515200250,-2\n",
        "\u{feff}ts_ms,a:f64:bar\r\n1580515200000,1.5\r\n\r\n1580515200250,-2.0\r\n",
        "\"ts_ms\",\"a:f64:bar\"\n\"1580515200000\",\"1.5\"\n1580515200250,\"-2\"\n",
        "ts_ms;a:bar\n1580515200000;1,5\n1580515200250;-2,0\n",
        "timestamp\ta:bar\n2020-02-01T00:00:00Z\t1.5\n2020-02-01T01:00:00.250+01:00\t-2\n",
        "Time,a:bar\n2020-02-01 00:00:00,1.5\n2020-02-01T00:00:00.250,-2\n",
        "time_s,a:bar\n1580515200,1.5\n1580515200.25,-2\n",
        "ts_ms,sensor,value,unit\n1580515200000,a,1.5,bar\n1580515200250,a,-2,bar\n",
        "sensor;time;value;unit;kind;quality\na;2020-02-01T00:00:00Z;1,5;bar;f64;0\na;1580515200250;-2;bar;f64;0\n",
    ] {
        assert_eq!(read(text), same, "{text}");
    }
}

/// As after a change of the sensor's settings. A gateway knows a name with another unit as another sensor, too.
#[test]
fn a_name_with_another_unit_is_another_sensor() {
    assert_eq!(
        read("ts_ms,sensor,value,unit\n5,a,21.5,Cel\n6,a,70.7,F\n7,b,1,F\n8,a,21.5,Cel\n"),
        [
            row("a", "Cel", 5, Value::F64(21.5)),
            row("a", "F", 6, Value::F64(70.7)),
            row("b", "F", 7, Value::F64(1.0)),
            row("a", "Cel", 8, Value::F64(21.5)),
        ]
    );
}

/// It was: T of two sites became one sensor, whose readings alternate.
#[test]
fn a_sensor_of_two_topics_or_gateways_is_refused_in_words() {
    let read = |lines: [&str; 3], skip_bad| {
        let text = format!("{FROM_A_HUB}\n{}\n", lines.join("\n"));
        read_with(text.as_bytes(), skip_bad).map(|(rows, _)| rows.len())
    };
    let first = "5,T,Cel,f64,1,0,,site7/r,a1";
    assert_eq!(read([first, "5,U,Cel,f64,2,0,,site8/r,b2", "6,T,Cel,f64,1,0,,site7/r,a1"], false), Ok(3));
    for (other, found) in [
        ("6,T,Cel,f64,2,0,,site8/r,a1", "\"site8/r\" and \"a1\" here"),
        ("6,T,Cel,f64,2,0,,site7/r,b2", "\"site7/r\" and \"b2\" here"),
    ] {
        for skip_bad in [false, true] {
            let error = read([first, "5,T,F,f64,2,0,,site8/r,b2", other], skip_bad).unwrap_err();
            let said =
                "x.csv line 4, column topic: the sensor has topic \"site7/r\" and gateway \"a1\" above, ";
            assert!(error.starts_with(said) && error.contains(found), "{error}");
        }
    }
    // Without these columns nothing says where a sensor is.
    assert_eq!(self::read("ts_ms,sensor,value,topic\n5,a,1,t\n6,a,2,u\n").len(), 2);
}

/// A backslash of another program is one, also where it looks like an escape of ours.
#[test]
fn escapes_are_undone_in_files_of_ours_alone() {
    for (header, line) in [
        ("ts_ms,sensor,unit,kind,value,quality,id", "5,\\\\SRV\\\\T\\n,\\\\u,f64,1,0,"),
        ("ts_ms,sensor,unit,kind,value,quality,id,topic,gateway", "5,\\\\SRV\\\\T\\n,\\\\u,f64,1,0,,t,"),
    ] {
        let one = Value::F64(1.0);
        assert_eq!(read(&format!("{header}\n{line}\n")), [row("\\SRV\\T\n", "\\u", 5, one.clone())]);
        let foreign = format!("{}\n{line}\n", header.replace("id", "ID"));
        assert_eq!(read(&foreign), [row("\\\\SRV\\\\T\\n", "\\\\u", 5, one)]);
    }
    assert_eq!(read("ts_ms,sensor,value,quality,reason\n5,a\\\\,1,0,first\n")[0].0, "a\\");
    assert_eq!(read("ts_ms,sensor,value,quality\n5,a\\\\,1,0\n")[0].0, "a\\\\");
}

#[test]
fn a_plain_file_has_one_sensor_named_value_with_a_header_or_without() {
    let same = [row("value", "", 5, Value::F64(1.5)), row("value", "", 6, Value::F64(2.0))];
    for text in ["time,value\n5,1.5\n6,2\n", "5,1.5\n6,2\n", "5;1,5\n6;2"] {
        assert_eq!(read(text), same, "{text}");
    }
    assert_eq!(
        read("5,1,2\n"),
        [row("value1", "", 5, Value::F64(1.0)), row("value2", "", 5, Value::F64(2.0))]
    );
}

#[test]
fn cells_become_readings_and_empty_ones_none() {
    let rows = read(
        "ts_ms,a:x:f64:bar,n:int:,on:bool:,open\r\n5,-0.0,,1,true\n6,,18446744073709551615,,\n7,,,FALSE,nan\n",
    );
    let names: Vec<&str> = rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(names, ["a:x", "on", "open", "n", "on", "open"]);
    let values: Vec<_> = rows.iter().map(|row| row.3.clone()).take(5).collect();
    let expected =
        [Value::F64(-0.0), Value::Bool(true), Value::Bool(true), Value::U64(u64::MAX), Value::Bool(false)];
    assert_eq!(values, expected);
    assert!(matches!(rows.last(), Some((_, _, 7, Value::F64(v))) if v.is_nan()));
}

#[test]
fn a_line_per_reading_without_a_kind_has_numbers_true_and_false() {
    let rows = read("ts_ms,sensor,value\n5,on,true\n5,a,1.5\n6,on,False\n6,a,-2\n");
    let values: Vec<_> = rows.into_iter().map(|row| (row.0, row.3)).collect();
    let expected = [
        ("on", Value::Bool(true)),
        ("a", Value::F64(1.5)),
        ("on", Value::Bool(false)),
        ("a", Value::F64(-2.0)),
    ];
    assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value)));
    let error = read_with(b"ts_ms,sensor,value,kind\n5,on,true,f64\n", false).unwrap_err();
    assert!(error.starts_with("x.csv line 2, column value: must be a number"), "{error}");
}

#[test]
fn a_first_line_may_name_the_separator() {
    let plain = read("ts_ms;a:f64:\n5;1,5\n");
    assert_eq!(plain[0].3, Value::F64(1.5));
    for first in ["sep=;", "SEP=;\r", "\"sep=;\"", "\u{feff}sep=;"] {
        assert_eq!(read(&format!("{first}\nts_ms;a:f64:\n5;1,5\n")), plain, "{first}");
    }
    assert_eq!(read("sep=\t\nts_ms\ta:f64:\n5\t1,5\n"), plain);
    for (text, said) in [
        ("sep=;\n", "x.csv: a header is missing behind sep="),
        ("sep=|\nts_ms|a\n", "x.csv line 1: sep= must name a comma, a semicolon or a tab, found \"sep=|\""),
        ("sep=;\nts_ms;a:int:\n1;x\n", "x.csv line 3, column a:int:"),
    ] {
        let error = read_with(text.as_bytes(), false).unwrap_err();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn every_mistake_has_its_line_and_its_column() {
    for (text, said) in [
        ("", "x.csv: empty"),
        ("alpha,beta\n1,2\n", "x.csv line 1: no layout that is known"),
        ("ts_ms\n1\n", "x.csv line 1: no layout that is known"),
        ("ts_ms,a:f32:\n", "x.csv line 1, column a:f32:: not NAME:KIND:UNIT"),
        ("ts_ms,:f64:\n", "x.csv line 1, column :f64:: a sensor without a name"),
        (
            "ts_ms,a:int:\n1,2\n1.5,2\n",
            "x.csv line 3, column ts_ms: must be milliseconds since 1970 as a whole number",
        ),
        (
            "ts_ms,a:int:\n1,2.5\n",
            "x.csv line 2, column a:int:: must be an integer of 64 bits, found \"2.5\"",
        ),
        ("ts_ms,a:int:\n1,2,3\n", "x.csv line 2: 2 cells expected, as in the header, found 3"),
        ("ts_ms,a,b\n1,1,5,2\n", "x.csv line 2: 3 cells expected, as in the header, found 4"),
        ("ts_ms,sensor,value,kind\n1,a,2,f32\n", "x.csv line 2, column kind: must be f64, int or bool"),
    ] {
        let error = read_with(text.as_bytes(), false).unwrap_err();
        assert!(error.starts_with(said), "{error}");
    }
    let long = format!("ts_ms,a:int:\n{}", "1".repeat(2 << 20));
    assert!(read_with(long.as_bytes(), true).unwrap_err().contains("longer than"));
}

#[test]
fn lines_that_cannot_be_read_are_passed_over_on_request_and_counted() {
    let text = b"ts_ms,a,b\n1,1,2\n2,1,x\n3,\xff,1\nlater,1,1\n4,1\n5,3,4\n";
    assert!(read_with(text, false).unwrap_err().starts_with("x.csv line 3, column b"));
    let (rows, said) = read_with(text, true).unwrap();
    let times: Vec<i64> = rows.iter().map(|row| row.2).collect();
    assert_eq!(times, [1, 1, 5, 5], "no half of a line");
    let said = said.unwrap();
    assert!(
        said.starts_with("lines passed over that could not be read: 4; ")
            && said.contains("the first: x.csv line 3, column b"),
        "{said}"
    );
    assert_eq!(read_with(b"ts_ms,a\n1,1\n", true).unwrap().1, None);
}

/// Recordings that `edge-gateway drill` replays are read too.
#[test]
fn the_recordings_of_the_drill_are_read() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../drill/data");
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "csv") {
            continue;
        }
        let mut recording = Lines::open(&path).and_then(Recording::new).unwrap();
        let mut rows = Vec::new();
        while recording.next_line(&mut rows).unwrap() {}
        let text = std::fs::read_to_string(&path).unwrap();
        let cells =
            text.lines().skip(1).flat_map(|line| line.split(',').skip(1)).filter(|cell| !cell.is_empty());
        assert_eq!(rows.len(), cells.count(), "{}", path.display());
        assert!(recording.columns().iter().all(|column| !column.unit.is_empty()), "{}", path.display());
        files += 1;
    }
    assert!(files >= 8);
}

#[test]
fn a_time_that_is_plainly_of_another_unit_is_refused_with_its_line_and_the_way_to_say_it() {
    for (text, said) in [
        (
            "time,value\n1580515200,1\n",
            "x.csv line 2, column time: 1580515200 looks like seconds since 1970 and would be read as milliseconds: \
             say --time-unit s, or --time-unit ms if it is that",
        ),
        ("ts_ms,a:f64:\n1580515200,1\n", "x.csv line 2, column ts_ms: 1580515200 looks like seconds"),
        ("1580515200,1\n1580515201,2\n", "x.csv line 1, column time: 1580515200 looks like seconds"),
        ("1580515200.25,1\n", "x.csv line 1, column time: 1580515200.25 looks like seconds"),
        (
            "ts,sensor,value\n1580515200000000,a,1\n",
            "x.csv line 2, column ts: 1580515200000000 looks like microseconds",
        ),
        (
            "time,value\n1580515200000000000,1\n",
            "x.csv line 2, column time: 1580515200000000000 looks like nanoseconds",
        ),
        (
            "time,value\n5,1\n1580515200000000000,1\n",
            "x.csv line 3, column time: 1580515200000000000 looks like nano",
        ),
        (
            "time_s,value\n1580515200000,1\n",
            "x.csv line 2, column time_s: 1580515200000 looks like milliseconds",
        ),
        (
            "time_us,value\n1580515200000,1\n",
            "x.csv line 2, column time_us: 1580515200000 looks like milliseconds",
        ),
    ] {
        for skip_bad in [false, true] {
            let found = read_with(text.as_bytes(), skip_bad);
            match (text.lines().count(), skip_bad, found) {
                // One broken line among good ones.
                (3, true, Ok((rows, skipped))) => assert!(rows.len() == 1 && skipped.unwrap().contains(said)),
                (_, _, found) => {
                    let error = found.unwrap_err();
                    assert!(error.starts_with(said), "{error}");
                }
            }
        }
    }
    // A recording that counts from its start may be longer than a day.
    assert_eq!(read("time,value\n0,1\n200000000,2\n").len(), 2);
}

#[test]
fn the_unit_of_times_is_the_callers_or_the_columns() {
    let with = |text: &str, unit: TimeUnit| {
        let reader = Box::new(BufReader::new(Cursor::new(text.as_bytes().to_vec())));
        let lines = Lines::new("x.csv", reader).unwrap().time_unit(Some(unit));
        let mut recording = Recording::new(lines).unwrap();
        let mut rows = Vec::new();
        while recording.next_line(&mut rows).unwrap() {}
        rows.iter().map(|row| row.time).collect::<Vec<_>>()
    };
    for (text, unit) in [
        ("time,value\n1580515200,1\n1580515200.25,1\n", TimeUnit::Seconds),
        ("1580515200,1\n1580515200.25,1\n", TimeUnit::Seconds),
        ("ts_ms,value\n1580515200000,1\n1580515200250,1\n", TimeUnit::Milliseconds),
        ("time,value\n1580515200000000,1\n1580515200250999,1\n", TimeUnit::Microseconds),
        ("ts_ms,value\n1580515200000000000,1\n2020-02-01T00:00:00.25Z,1\n", TimeUnit::Nanoseconds),
    ] {
        assert_eq!(with(text, unit), [1_580_515_200_000, 1_580_515_200_250], "{text}");
    }
    assert_eq!(with("time,value\n1580515200,1\n", TimeUnit::Milliseconds), [1_580_515_200], "as it was said");
    for text in ["TS_S,a\n0,1\n1,2\n", "Time_MS,a\n0,1\n1000,2\n"] {
        assert_eq!(read(text).iter().map(|row| row.2).collect::<Vec<_>>(), [0, 1_000], "{text}");
    }
    for text in ["time_us,value\n1580515200000000,1\n", "ts_ns;value\n1580515200000000000;1\n"] {
        assert_eq!(read(text)[0].2, 1_580_515_200_000, "{text}");
    }
}

#[test]
fn a_number_that_no_double_holds_is_refused_and_an_infinity_in_words_is_one() {
    for (text, said) in [
        (
            "time,value\n5,1e400\n",
            "x.csv line 2, column value: must be a number that a double holds, 1.8e308 at most, found \"1e400\"",
        ),
        ("time;value\n5;-1,5e309\n", "x.csv line 2, column value: must be a number that a double holds"),
        ("5,1e400\n", "x.csv line 1, column value: must be a number that a double holds"),
        (
            "ts_ms,sensor,value\n5,a,1e999\n",
            "x.csv line 2, column value: must be a number that a double holds",
        ),
    ] {
        let error = read_with(text.as_bytes(), false).unwrap_err();
        assert!(error.starts_with(said), "{error}");
    }
    assert_eq!(read("time,value\n5,-inf\n")[0].3, Value::F64(f64::NEG_INFINITY));
    assert_eq!(read("time,value\n5,1.7976931348623157e308\n")[0].3, Value::F64(f64::MAX));
}
