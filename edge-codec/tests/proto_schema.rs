#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "protobuf")]
//! `proto/*.proto` and the prost structs are the same schemas: a stranger's generated reader reads our bytes
//! (promise 4).

use edge_codec::protobuf::columns::schema::{self as columns, Kind};
use edge_codec::protobuf::schema::{Batch, Row, Sensor, Value};
use edge_codec::protobuf::{self, columns::PROTO as COLUMNS};
use prost::Message;
use std::collections::BTreeMap;

/// Declaration of a field in a `.proto`.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    name: String,
    number: u64,
    kind: String,
    /// `""`, `"optional"`, `"repeated"` or `"oneof"`.
    label: String,
}

const ROWS: &str = protobuf::PROTO;

/// Messages and enums by name. Knows what our files use and panics at anything else.
fn parse(proto: &str) -> BTreeMap<String, Vec<Field>> {
    let mut messages = BTreeMap::new();
    let (mut message, mut oneof) = (None::<String>, false);
    for line in proto.lines().map(|l| l.split("//").next().unwrap().trim()).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
        match words[..] {
            ["syntax", "=", "\"proto3\""] | ["package", "edge.rows.v1" | "edge.columns.v1"] => {}
            ["message" | "enum", name, "{"] => {
                messages.insert(name.to_owned(), Vec::new());
                message = Some(name.to_owned());
            }
            ["oneof", "value", "{"] => oneof = true,
            ["}"] if oneof => oneof = false,
            ["}"] => message = None,
            [ref words @ .., name, "=", number] if words.len() <= 2 => {
                let (label, kind) = match words {
                    [] => ("", "enum"),
                    [kind] if oneof => ("oneof", *kind),
                    [kind] => ("", *kind),
                    [label @ ("repeated" | "optional"), kind] => (*label, *kind),
                    _ => panic!("{line}"),
                };
                messages.get_mut(message.as_ref().unwrap()).unwrap().push(Field {
                    name: name.to_owned(),
                    number: number.parse().unwrap(),
                    kind: kind.to_owned(),
                    label: label.to_owned(),
                });
            }
            _ => panic!("not understood: {line}"),
        }
    }
    messages
}

fn wire_type(kind: &str) -> u64 {
    match kind {
        "uint32" | "uint64" | "int32" | "int64" | "sint32" | "sint64" | "bool" | "Kind" | "enum" => 0,
        "double" | "fixed64" | "sfixed64" => 1,
        "float" | "fixed32" => 5,
        "string" | "bytes" | "Sensor" | "Row" => 2,
        other => panic!("{other}"),
    }
}

/// Content of the one field of a message that has just one: its key and its bytes.
fn only_field(message: &impl Message) -> (u64, u64, Vec<u8>) {
    let bytes = message.encode_to_vec();
    let mut rest = bytes.as_slice();
    let key = prost::encoding::decode_varint(&mut rest).unwrap();
    (key >> 3, key & 7, rest.to_vec())
}

/// Message, field, what [`only_field`] says, and label, type and content as they must be.
type Sample = (&'static str, &'static str, (u64, u64, Vec<u8>), &'static str);

/// A message with one field set to 2 (or what stands for it), with that field's name and the bytes 2 has in its type.
fn rows() -> Vec<Sample> {
    let batch = |name, b: Batch, bytes| ("Batch", name, only_field(&b), bytes);
    let sensor = |name, s: Sensor, bytes| ("Sensor", name, only_field(&s), bytes);
    let row = |name, r: Row, bytes| ("Row", name, only_field(&r), bytes);
    let oneof =
        |name, v: Value, bytes| ("Row", name, only_field(&Row { value: Some(v), ..Row::default() }), bytes);
    vec![
        batch("version", Batch { version: 2, ..Batch::default() }, " uint32 02"),
        batch("gateway", Batch { gateway: Some(2), ..Batch::default() }, "optional fixed64 0200000000000000"),
        batch("lane", Batch { lane: Some(2), ..Batch::default() }, "optional uint32 02"),
        batch("epoch", Batch { epoch: Some(2), ..Batch::default() }, "optional uint32 02"),
        batch("first_seq", Batch { first_seq: Some(2), ..Batch::default() }, "optional uint64 02"),
        batch("pd", Batch { pd: true, ..Batch::default() }, " bool 01"),
        batch("base_time", Batch { base_time: 2, ..Batch::default() }, " sint64 04"),
        batch(
            "sensors",
            Batch { sensors: vec![Sensor::default()], ..Batch::default() },
            "repeated Sensor 00",
        ),
        batch("rows", Batch { rows: vec![Row::default()], ..Batch::default() }, "repeated Row 00"),
        // Packed: a length, then the number.
        batch("seqs", Batch { seqs: vec![2], ..Batch::default() }, "repeated uint64 0102"),
        sensor("id", Sensor { id: 2, ..Sensor::default() }, " uint32 02"),
        sensor("name", Sensor { name: "2".into(), ..Sensor::default() }, " string 0132"),
        sensor("unit", Sensor { unit: "2".into(), ..Sensor::default() }, " string 0132"),
        row("sensor", Row { sensor: 2, ..Row::default() }, " uint32 02"),
        row("time", Row { time: 2, ..Row::default() }, " sint64 04"),
        oneof("f64", Value::F64(2.0), "oneof double 0000000000000040"),
        oneof("i64", Value::I64(2), "oneof sint64 04"),
        oneof("u64", Value::U64(2), "oneof uint64 02"),
        oneof("bool", Value::Bool(true), "oneof bool 01"),
        oneof("text", Value::Text("2".into()), "oneof string 0132"),
        oneof("bytes", Value::Bytes(vec![2]), "oneof bytes 0102"),
        oneof("null", Value::Null(true), "oneof bool 01"),
        row("quality", Row { quality: 2, ..Row::default() }, " uint32 02"),
    ]
}

/// The same for columns; a packed array is a length, then the number.
fn columns() -> Vec<Sample> {
    use columns::Batch;
    let batch = |name, b: Batch, bytes| ("Batch", name, only_field(&b), bytes);
    let kind = |name, kind: Kind| ("Kind", name, (kind as u64, 0, Vec::new()), " enum ");
    vec![
        batch("version", Batch { version: 2, ..Batch::default() }, " uint32 02"),
        batch("gateway", Batch { gateway: Some(2), ..Batch::default() }, "optional fixed64 0200000000000000"),
        batch("lane", Batch { lane: Some(2), ..Batch::default() }, "optional uint32 02"),
        batch("epoch", Batch { epoch: Some(2), ..Batch::default() }, "optional uint32 02"),
        batch("first_seq", Batch { first_seq: Some(2), ..Batch::default() }, "optional uint64 02"),
        batch("pd", Batch { pd: true, ..Batch::default() }, " bool 01"),
        batch("base_time", Batch { base_time: 2, ..Batch::default() }, " sint64 04"),
        batch("name", Batch { name: vec!["2".into()], ..Batch::default() }, "repeated string 0132"),
        batch("unit", Batch { unit: vec!["2".into()], ..Batch::default() }, "repeated string 0132"),
        batch("seqs", Batch { seqs: vec![2], ..Batch::default() }, "repeated uint64 0102"),
        batch("sensor", Batch { sensor: vec![2], ..Batch::default() }, "repeated uint32 0102"),
        batch("time", Batch { time: vec![2], ..Batch::default() }, "repeated sint64 0104"),
        batch("f64", Batch { f64: vec![2.0], ..Batch::default() }, "repeated double 080000000000000040"),
        batch("i64", Batch { i64: vec![2], ..Batch::default() }, "repeated sint64 0104"),
        batch("u64", Batch { u64: vec![2], ..Batch::default() }, "repeated uint64 0102"),
        batch("bool", Batch { bool: vec![true], ..Batch::default() }, "repeated bool 0101"),
        batch("text", Batch { text: vec!["2".into()], ..Batch::default() }, "repeated string 0132"),
        batch("bytes", Batch { bytes: vec![vec![2]], ..Batch::default() }, "repeated bytes 0102"),
        batch("quality", Batch { quality: vec![2], ..Batch::default() }, "repeated uint32 0102"),
        batch("id", Batch { id: vec![2], ..Batch::default() }, "repeated uint32 0102"),
        batch("kind", Batch { kind: vec![2], ..Batch::default() }, "repeated Kind 0102"),
        kind("F64", Kind::F64),
        kind("I64", Kind::I64),
        kind("U64", Kind::U64),
        kind("BOOL", Kind::Bool),
        kind("TEXT", Kind::Text),
        kind("BYTES", Kind::Bytes),
        kind("NULL", Kind::Null),
    ]
}

/// Differences between a `.proto` and the structs.
fn differences(proto: &str, samples: Vec<Sample>) -> Vec<String> {
    let mut messages = parse(proto);
    let mut found = Vec::new();
    for (message, name, (number, wire, content), expected) in samples {
        let fields = messages.get_mut(message).unwrap();
        let Some(at) = fields.iter().position(|f| f.name == name) else {
            found.push(format!("{message}.{name} is not in the .proto"));
            continue;
        };
        let field = fields.remove(at);
        let content: String = content.iter().map(|b| format!("{b:02x}")).collect();
        let said = format!("{} {} {content}", field.label, field.kind);
        let packed = field.label == "repeated" && !["string", "bytes"].contains(&field.kind.as_str());
        let key = (field.number, if packed { 2 } else { wire_type(&field.kind) });
        if key != (number, wire) || said != expected {
            found.push(format!("{message}.{name}: {key:?} {said} against {:?} {expected}", (number, wire)));
        }
    }
    let rest = messages
        .into_iter()
        .flat_map(|(m, fields)| fields.into_iter().map(move |f| format!("{m}.{}", f.name)));
    found.extend(rest);
    found
}

#[test]
fn the_protos_and_the_structs_agree_in_names_numbers_types_and_labels() {
    assert_eq!(differences(ROWS, rows()), Vec::<String>::new());
    assert_eq!(differences(COLUMNS, columns()), Vec::<String>::new());
}

#[test]
fn presence_is_what_the_labels_say() {
    let zero =
        Batch { gateway: Some(0), lane: Some(0), epoch: Some(0), first_seq: Some(0), ..Batch::default() };
    assert_eq!(zero.encoded_len(), 9 + 3 * 2, "optional fields are written also when 0");
    assert_eq!(Row { value: Some(Value::F64(0.0)), ..Row::default() }.encoded_len(), 9, "so are values");
    assert_eq!(Row::default().encoded_len(), 0);
}

#[test]
fn the_structs_carry_the_names_of_the_protos() {
    let rows = format!("{:?}{:?}{:?}", Batch::default(), Sensor::default(), Row::default());
    let columns = format!("{:?}", columns::Batch::default());
    for (proto, debug) in [(ROWS, rows), (COLUMNS, columns)] {
        for field in parse(proto).into_values().flatten().filter(|f| f.label != "oneof" && f.kind != "enum") {
            assert!(debug.contains(&format!("{}: ", field.name)), "{}", field.name);
        }
    }
}

/// Negative control: every planted difference is found.
#[test]
fn planted_differences_are_found() {
    for (from, to) in [
        ("sint64 time = 2", "int64 time = 2"),
        ("uint32 quality = 10", "uint32 quality = 11"),
        ("string name = 2", "string label = 2"),
        ("optional uint32 lane", "uint32 lane"),
        ("repeated Row rows", "Row rows"),
        ("repeated uint64 seqs", "repeated uint32 seqs"),
        ("bool pd = 6;", "bool pd = 6;\n  bool more = 12;"),
    ] {
        assert!(ROWS.contains(from), "{from}");
        assert!(!differences(&ROWS.replace(from, to), rows()).is_empty(), "{from} -> {to}");
    }
    for (from, to) in [
        ("repeated double f64 = 13", "repeated float f64 = 13"),
        ("repeated sint64 time = 12", "repeated sint64 time = 22"),
        ("BOOL = 3", "BOOL = 4"),
        ("repeated Kind kind", "Kind kind"),
    ] {
        assert!(COLUMNS.contains(from), "{from}");
        assert!(!differences(&COLUMNS.replace(from, to), columns()).is_empty(), "{from} -> {to}");
    }
}
