#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "compact", feature = "senml", feature = "sparkplug", feature = "influx"))]
//! Limits and refusals are alike in all formats: one word for each, met exactly and passed by one.

#[path = "support/forms.rs"]
mod forms;
#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::compact::Level;
use edge_codec::{
    BatchEncoder, DecodeError, EncodeError, Format, Limits, Reading, SensorTable, Value, influx,
};
use forms::{Form, FormEncoder, forms};

const TIME: i64 = 1_580_515_200_000;
const TEXT: usize = 40;

fn sensors() -> SensorTable<'static> {
    let mut table = SensorTable::new();
    (0..3).for_each(|n| drop(table.insert(n, format!("s{n}"), "")));
    table
}

/// A text of 40 bytes from each of three sensors.
fn batch<'t>(form: Form, table: &'t SensorTable<'t>) -> (FormEncoder<'t>, Vec<u8>) {
    let value = |n: u32| Value::Text(format!("{n:>width$}", width = TEXT).into());
    let readings: Vec<_> =
        (0..3).map(|n| Reading { sensor: n, time: TIME, value: value(n), quality: 0 }).collect();
    let mut encoder = FormEncoder::new(form, table, &readings);
    readings.iter().for_each(|r| encoder.push(r).unwrap());
    let bytes = encoder.finish_under(usize::MAX).unwrap();
    (encoder, bytes)
}

#[test]
fn each_limit_has_one_word_and_one_edge_in_every_form() {
    let table = sensors();
    for form in forms() {
        let (encoder, bytes) = batch(form, &table);
        let read = |limits: Limits| encoder.read(&bytes, &limits, |batch| batch.map(|batch| batch.len()));
        let refused = |limits: Limits| match read(limits) {
            Err(DecodeError::Limit { what, limit, found, .. }) => (what, limit, found),
            other => panic!("{form:?}: {other:?}"),
        };
        let limits = Limits::default;
        // What a compressed batch becomes is held to the same number.
        let room = if matches!(form, Form::Compact(Level::Small, _)) { 1_000 } else { bytes.len() };
        let met = limits().bytes(room).readings(3).sensors(3).text_bytes(TEXT);
        assert_eq!(read(met), Ok(3), "{form:?}: a limit that is met is not passed");
        let (len, found) = (bytes.len() - 1, bytes.len() as u64);
        assert_eq!(refused(limits().bytes(len)), ("input bytes", len, found), "{form:?}");
        assert_eq!(refused(limits().readings(2)), ("readings", 2, 3), "{form:?}");
        assert_eq!(refused(limits().sensors(2)), ("sensors", 2, 3), "{form:?}");
        assert_eq!(refused(limits().text_bytes(TEXT - 1)), ("text bytes", TEXT - 1, TEXT as u64), "{form:?}");
    }
}

/// It was: the end of the input.
#[test]
fn json_names_the_first_reading_of_a_sensor_over_the_limit() {
    let reading = |sensor: &str| format!(r#"{{"sensor":"{sensor}","ts":{TIME},"value":1}}"#);
    let readings = ["a", "b", "a", "c", "d"].map(reading).join(",\n");
    let batch = format!(r#"{{"readings":[{readings}]}}"#);
    let refused = Format::Json.decode(batch.as_bytes(), &Limits::default().sensors(2)).map(drop);
    let offset = batch.find(r#"{"sensor":"c""#).unwrap();
    assert_eq!(refused, Err(DecodeError::Limit { what: "sensors", offset, limit: 2, found: 3 }));
}

/// It was: CBOR counted only what it passed over.
#[test]
fn depth_counts_the_layout_itself_in_json_and_cbor_alike() {
    let table = sensors();
    let layouts = [
        (Format::Json, 3, "object, readings, reading"),
        (Format::Cbor, 3, "map, rows, row"),
        (Format::SenmlJson, 2, "pack, record"),
        (Format::SenmlCbor, 2, "pack, record"),
    ];
    for (format, depth, what) in layouts {
        let mut encoder = format.encoder(&table).unwrap();
        encoder.push(&Reading { sensor: 0, time: TIME, value: Value::F64(1.5), quality: 0 }).unwrap();
        let bytes = encoder.finish_under(1_000).unwrap();
        let read = |depth| format.decode(&bytes, &Limits::default().depth(depth)).map(|batch| batch.len());
        assert_eq!(read(depth), Ok(1), "{format:?}: {what}");
        for limit in 0..depth {
            match read(limit) {
                Err(DecodeError::Limit { what: "depth", limit: told, found, .. }) => {
                    assert_eq!((told, found), (limit, limit as u64 + 1), "{format:?}");
                }
                other => panic!("{format:?} at {limit}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_no_format_but_ours_can_carry_is_refused_in_the_same_words() {
    let table = sensors();
    let nan = Reading { sensor: 0, time: TIME, value: Value::F64(f64::NAN), quality: 0 };
    let stranger = Reading { sensor: 9, value: Value::Bool(true), ..nan.clone() };
    let formats = [
        Format::Json,
        Format::Cbor,
        Format::Protobuf,
        Format::Columns,
        Format::SenmlJson,
        Format::SenmlCbor,
        Format::Sparkplug,
        Format::Compact,
    ];
    let encoders = formats.map(|format| (Some(format), format.encoder(&table).unwrap()));
    let lines: Box<dyn BatchEncoder + Send> = Box::new(influx::Encoder::new(&table));
    for (format, mut encoder) in encoders.into_iter().chain([(None, lines)]) {
        let carries = matches!(
            format,
            Some(Format::Cbor | Format::Protobuf | Format::Columns | Format::Sparkplug | Format::Compact)
        );
        match encoder.push(&nan) {
            Ok(()) => assert!(carries, "{format:?}"),
            Err(EncodeError::NotCarried { what: "NaN or an infinity", sensor: 0, time: TIME, .. }) => {
                assert!(!carries, "{format:?}");
            }
            Err(other) => panic!("{format:?}: {other}"),
        }
        assert_eq!(encoder.push(&stranger), Err(EncodeError::UnknownSensor { sensor: 9 }), "{format:?}");
        assert_eq!(encoder.len(), usize::from(carries), "{format:?}: what is refused is not kept");
    }
}
