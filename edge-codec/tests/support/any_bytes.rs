//! Promise 12 over any bytes, for all formats but the compact one: the loops of the tests call these functions with damaged batches, the fuzz
//! targets with inputs of their own.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test support; each file uses its part"
)]

use edge_codec::influx::{self, Precision};
use edge_codec::json::{self, FieldMap};
use edge_codec::sparkplug::{self, Birth};
use edge_codec::{Batch, BatchId, DecodeError, Limits, Source, plain_value};

use super::support::{AnyEncoder, Kind, table};

/// Message of a sensor, with a field of each kind.
pub const IMPORT: &[u8] = br#"[{"sensor":"a\u00e9","value":1.5e3,"unit":"C","quality":"bad","ts":1580515200000,"x":{"y":[1,null]}},{"value":true}]"#;

/// The map by which [`IMPORT`] is read.
pub fn field_map() -> FieldMap {
    FieldMap::default().unit("/x/y").each("/x")
}

/// A batch with one of everything that the format carries.
pub fn batch(kind: Kind) -> Vec<u8> {
    let table = kind.table();
    let id = BatchId { gateway: 0x0123_4567_89ab_cdef, lane: 1, epoch: 3, first_seq: 1000 };
    let mut enc = AnyEncoder::new(kind, &table).identify(id, true);
    kind.samples().iter().for_each(|r| enc.push(r).unwrap());
    enc.finish_under(usize::MAX).unwrap().to_vec()
}

/// A birth, and data by its aliases.
pub fn sparkplug_session() -> (Vec<u8>, Vec<u8>) {
    let table = table();
    let encode = |mut enc: sparkplug::Encoder<_>| {
        Kind::Sparkplug.samples().iter().for_each(|r| enc.push(r).unwrap());
        enc.finish_under(usize::MAX).unwrap().to_vec()
    };
    (encode(sparkplug::Encoder::new(&table).birth()), encode(sparkplug::Encoder::new(&table).aliases()))
}

/// Decodes and reads to the end. What `decode` let through must not fail later, `len` must tell the truth, and a refusal its place.
pub fn consume(kind: Kind, input: &[u8]) -> Result<usize, DecodeError> {
    match kind.decode(input, &Limits::default()) {
        Ok(batch) => Ok(read_to_end(kind, batch)),
        Err(e) => {
            assert!(place(&e) <= input.len(), "{kind:?}: {e}");
            Err(e)
        }
    }
}

fn read_to_end(kind: Kind, batch: Batch<'_>) -> usize {
    let (said, mut read) = (batch.len(), 0);
    let sensors = batch.sensors().clone();
    for reading in batch {
        let reading = reading.unwrap_or_else(|e| panic!("{kind:?}: accepted, then refused: {e}"));
        assert!(sensors.get(reading.sensor).is_some());
        read += 1;
    }
    assert_eq!(said, read);
    read
}

/// Reads the data of a Sparkplug session by its birth; returns whether it could be read.
pub fn sparkplug_data(birth: &Birth, input: &[u8]) -> bool {
    let Ok(batch) = birth.decode(input, &Limits::default()) else { return false };
    assert_eq!(batch.len(), batch.filter(Result::is_ok).count());
    true
}

/// Reads a Sparkplug birth, and data by it.
pub fn sparkplug_birth(input: &[u8], data: &[u8]) -> bool {
    let Ok(birth) = Birth::read(input, &Limits::default()) else { return false };
    sparkplug_data(&birth, data);
    true
}

/// Reads JSON of a sensor; returns whether it could be read.
pub fn json_import(map: &FieldMap, input: &[u8]) -> bool {
    let source = Source { sensor: Some("t"), arrival_ms: 7 };
    match json::import(input, map, &source, &Limits::default()) {
        Ok(_) => true,
        Err(e) => {
            assert!(place(&e) <= input.len(), "{e}");
            false
        }
    }
}

/// Lines with every kind of field, escapes, a comment, and one of our own.
pub const LINES: &[u8] = b"# c\ncpu\\ 0,host=g\\,w,unit=C idle=98.2,busy=-3i,big=5u,ok=true,state=\"a \\\"b\\\" \\\\\" 1580515200000000000\r\nreadings,sensor=line2/temp,unit=Cel int=5i,quality=5i 7\n";

/// Reads lines of the line protocol; returns whether they could be read.
pub fn lines_import(input: &[u8]) -> bool {
    let source = Source { sensor: Some("t"), arrival_ms: 7 };
    match influx::import(input, Precision::Nanoseconds, &source, &Limits::default()) {
        Ok(_) => true,
        Err(e) => {
            assert!(place(&e) <= input.len(), "{e}");
            false
        }
    }
}

/// A value alone.
pub const PLAIN: &[u8] = "-21.5e1 °C\r\n".as_bytes();

/// Reads a value alone; returns whether it could be read.
pub fn plain_import(input: &[u8]) -> bool {
    let source = Source { sensor: Some("t"), arrival_ms: 7 };
    match plain_value::import(input, &source, &Limits::default()) {
        Ok(_) => true,
        Err(e) => {
            assert!(place(&e) <= input.len(), "{e}");
            false
        }
    }
}

/// Returns the place that an error names.
pub fn place(error: &DecodeError) -> usize {
    match error {
        DecodeError::Limit { offset, .. }
        | DecodeError::Truncated { offset, .. }
        | DecodeError::Trailing { offset, .. }
        | DecodeError::Malformed { offset, .. }
        | DecodeError::Unexpected { offset, .. }
        | DecodeError::Missing { offset, .. }
        | DecodeError::Duplicate { offset, .. }
        | DecodeError::Version { offset, .. }
        | DecodeError::UnknownSensor { offset, .. } => *offset,
        other => panic!("no place: {other}"),
    }
}
