//! Read-back: each batch is decoded with the public decoder before it is sent, so that a mistake of the encoder is found here and not by a
//! reader. It costs one decoding, some ten nanoseconds per reading of a compact batch.

use edge_codec::{Batch, DecodeError, Value};

use crate::run::filters::reading_row::ReadingRow;

use super::batch::Head;

/// Compares the decoded readings with the rows from which the batch was made.
///
/// # Errors
/// The first difference in words, for the log.
pub(crate) fn compare(
    batch: Result<Batch<'_>, DecodeError>,
    head: Head,
    rows: &[(u64, ReadingRow<'_>)],
) -> Result<(), String> {
    let mut batch = batch.map_err(|error| error.to_string())?;
    let header = *batch.header();
    let same_source = |own: edge_codec::BatchId| {
        header.id.is_some_and(|id| (id.gateway, id.lane, id.epoch) == (own.gateway, own.lane, own.epoch))
    };
    if header.pd != head.possible_duplicate || !head.id.is_none_or(same_source) {
        return Err(format!("its header is {header:?}"));
    }
    for (at, (seq, row)) in rows.iter().enumerate() {
        let number = batch.next_seq();
        let reading = match batch.next() {
            Some(reading) => reading.map_err(|error| error.to_string())?,
            None => return Err(format!("{at} readings of {}", rows.len())),
        };
        let sensor = batch.sensors().get(reading.sensor);
        let named = sensor.is_some_and(|sensor| sensor.name == row.sensor && sensor.unit == row.unit);
        if !named || reading.time != row.time || (head.id.is_some() && number != Some(*seq)) {
            return Err(format!("reading {at} is another: {reading:?} with number {number:?}"));
        }
        // JSON has one type for integers: they are the same by number.
        let is_same = row.value.same(&reading.value) && reading.quality == row.quality;
        if !is_same && !is_json_null_of(&row.value, &reading.value) {
            return Err(format!("reading {at} was {row:?} and is {reading:?}"));
        }
    }
    match batch.next() {
        None => Ok(()),
        Some(_) => Err(format!("more than {} readings", rows.len())),
    }
}

/// Returns whether `read` is the null that JSON has for an infinite number or a NaN. Its quality is bad then, whatever it was.
fn is_json_null_of(value: &Value<'_>, read: &Value<'_>) -> bool {
    matches!((value, read), (Value::F64(value), Value::Null) if !value.is_finite())
}

#[cfg(test)]
mod tests {
    use edge_codec::{BatchId, Limits};

    use super::super::batch::{Piece, encode};
    use super::super::formats::BatchFormat;
    use super::*;

    const HEAD: Head = Head {
        id: Some(BatchId { gateway: 9, lane: 1, epoch: 3, first_seq: 10 }),
        possible_duplicate: false,
    };

    fn rows() -> Vec<(u64, ReadingRow<'static>)> {
        let values = [
            Value::F64(0.1 + 0.2),
            Value::F64(f64::NAN),
            Value::F64(-0.0),
            Value::I64(i64::MIN),
            Value::U64(u64::MAX),
            Value::U64(7),
            Value::Bool(true),
            Value::Text("läuft".into()),
            Value::Null,
            Value::Bytes(vec![0, 255].into()),
        ];
        let row = |(n, value)| {
            let quality = if n % 2 == 0 { 0 } else { 0x4000_0000 };
            (10 + n * n, ReadingRow { sensor: "s".into(), unit: "K".into(), time: n as i64, value, quality })
        };
        (0_u64..).zip(values).map(row).collect()
    }

    fn compared(
        format: BatchFormat,
        changed: impl Fn(&mut Vec<(u64, ReadingRow<'static>)>),
    ) -> Result<(), String> {
        let mut rows = rows();
        let pieces = encode(format, HEAD, &rows, 100_000);
        let [Piece::Batch(_, bytes)] = pieces.as_slice() else { panic!("{pieces:?}") };
        changed(&mut rows);
        compare(format.codec().decode(bytes, &Limits::default()), HEAD, &rows)
    }

    #[test]
    fn every_kind_of_value_is_told_by_every_format() {
        for format in [BatchFormat::Json, BatchFormat::Cbor, BatchFormat::Protobuf] {
            assert_eq!(compared(format, |_| ()), Ok(()), "{format:?}");
        }
    }

    #[test]
    fn negative_control_each_difference_is_seen() {
        type Change = fn(&mut Vec<(u64, ReadingRow<'static>)>);
        let changes: [Change; 10] = [
            |rows| rows[0].1.value = Value::F64(0.3),
            |rows| rows[2].1.value = Value::F64(0.0),
            |rows| rows[4].1.quality = 1,
            |rows| rows[5].1.time += 1,
            |rows| rows[6].1.unit = "Cel".into(),
            |rows| rows[7].1.value = Value::Bytes("läuft".as_bytes().into()),
            |rows| rows[8].1.quality = 1,
            |rows| rows[7].0 += 1,
            |rows| drop(rows.pop()),
            |rows| rows.push(rows[0].clone()),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert!(compared(BatchFormat::Cbor, change).is_err(), "change {at}");
        }
        let rows = rows();
        let cut = edge_codec::Format::Cbor.decode(b"\xa1", &Limits::default());
        assert!(compare(cut, HEAD, &rows).is_err());
    }
}
