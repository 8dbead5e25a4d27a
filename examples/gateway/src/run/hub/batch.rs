//! Encoding of readings into batches of limited size.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use edge_codec::json::NonFinite;
use edge_codec::{BatchEncoder, BatchId, EncodeError, Reading, SensorTable, cbor, json, protobuf};

use crate::run::filters::reading_row::ReadingRow;

use super::formats::BatchFormat;

/// Header that all batches of one call share. The `first_seq` of each batch is that of its first reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) id: Option<BatchId>,
    pub(crate) possible_duplicate: bool,
}

/// Result for the next rows in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    /// Encoded batch, and the number of rows in it.
    Batch(usize, Bytes),
    /// Number of rows that exceed the size limit even alone.
    Refused(usize),
}

impl Piece {
    /// Returns the number of rows that the piece accounts for.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Batch(rows, _) | Self::Refused(rows) => *rows,
        }
    }
}

/// Encodes `rows` with their sequence numbers, which must rise, into as few batches of at most `max_bytes` as possible. The pieces add up to the
/// rows, in order.
pub(crate) fn encode(
    format: BatchFormat,
    head: Head,
    rows: &[(u64, ReadingRow<'_>)],
    max_bytes: usize,
) -> Vec<Piece> {
    let (table, numbers) = number(rows);
    match format {
        // A number that JSON has not becomes null with bad quality: the batch says so, and goes.
        BatchFormat::Json => {
            let mut encoder = json::Encoder::new(&table).non_finite(NonFinite::Null);
            pieces(&mut encoder, head, rows, &numbers, max_bytes)
        }
        BatchFormat::Cbor => pieces(&mut cbor::Encoder::new(&table), head, rows, &numbers, max_bytes),
        BatchFormat::Protobuf => pieces(&mut protobuf::Encoder::new(&table), head, rows, &numbers, max_bytes),
    }
}

/// Puts rows into an empty encoder and takes batches out, until it is empty again.
pub(in crate::run) fn pieces(
    encoder: &mut dyn BatchEncoder,
    head: Head,
    rows: &[(u64, ReadingRow<'_>)],
    numbers: &[u32],
    max_bytes: usize,
) -> Vec<Piece> {
    encoder.set_possible_duplicate(head.possible_duplicate);
    if let Some(id) = head.id {
        encoder.set_id(id);
    }
    let mut pieces = Vec::new();
    for ((seq, row), sensor) in rows.iter().zip(numbers) {
        let reading = reading(row, *sensor);
        let pushed = match head.id {
            Some(_) => encoder.push_at(*seq, &reading),
            None => encoder.push(&reading),
        };
        if pushed.is_err() {
            drain(&mut pieces, encoder, max_bytes);
            pieces.push(Piece::Refused(1));
        }
    }
    drain(&mut pieces, encoder, max_bytes);
    pieces
}

/// Takes batches out of an encoder until it is empty.
fn drain(pieces: &mut Vec<Piece>, encoder: &mut dyn BatchEncoder, max_bytes: usize) {
    while !encoder.is_empty() {
        let before = encoder.len();
        let batch = encoder.finish_under(max_bytes);
        let taken = before - encoder.len();
        match batch {
            Ok(bytes) if taken > 0 => pieces.push(Piece::Batch(taken, bytes)),
            // The bridge reports it, within its limit of lines a minute: most of these wait for a size that is still searched.
            Err(EncodeError::ReadingTooLarge { .. }) if taken > 0 => pieces.push(Piece::Refused(taken)),
            // Not even an empty batch fits, or an error that more tries would not heal.
            _ => {
                pieces.push(Piece::Refused(before));
                return;
            }
        }
    }
}

/// Numbers the sensors in the order of their first reading: one per pair of name and unit.
pub(in crate::run) fn number<'a>(rows: &'a [(u64, ReadingRow<'_>)]) -> (SensorTable<'a>, Vec<u32>) {
    let mut known: HashMap<(&str, &str), u32> = HashMap::new();
    let mut table = SensorTable::new();
    let mut numbers = Vec::with_capacity(rows.len());
    for (_, row) in rows {
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let number = *known.entry((&row.sensor, &row.unit)).or_insert_with(|| {
            table.insert(next, row.sensor.as_ref(), row.unit.as_ref());
            next
        });
        numbers.push(number);
    }
    (table, numbers)
}

pub(in crate::run) fn reading<'a>(row: &'a ReadingRow<'_>, sensor: u32) -> Reading<'a> {
    let value = match &row.value {
        edge_codec::Value::Text(text) => edge_codec::Value::Text(Cow::Borrowed(text)),
        edge_codec::Value::Bytes(bytes) => edge_codec::Value::Bytes(Cow::Borrowed(bytes)),
        other => other.clone(),
    };
    Reading { sensor, time: row.time, value, quality: row.quality }
}

#[cfg(test)]
mod tests {
    use crate::run::log::captured_log::captured;

    use super::*;
    use edge_codec::{Limits, Value};

    const ID: BatchId = BatchId { gateway: 9, lane: 1, epoch: 3, first_seq: 10 };
    const HEAD: Head = Head { id: Some(ID), possible_duplicate: true };
    const FORMATS: [BatchFormat; 3] = [BatchFormat::Json, BatchFormat::Cbor, BatchFormat::Protobuf];

    fn rows(n: u64) -> Vec<(u64, ReadingRow<'static>)> {
        let row = |n: u64| ReadingRow {
            sensor: format!("s{}", n % 3).into(),
            unit: "K".into(),
            time: 5 + n as i64,
            value: Value::I64(n as i64),
            quality: 0,
        };
        (0..n).map(|n| (10 + 2 * n, row(n))).collect()
    }

    #[test]
    fn every_row_is_in_one_piece_under_its_number_and_its_sensors_name() {
        for (format, max) in FORMATS.into_iter().flat_map(|f| [(f, 300), (f, 100_000)]) {
            let rows = rows(40);
            let mut expected = rows.iter();
            for piece in encode(format, HEAD, &rows, max) {
                let Piece::Batch(count, bytes) = piece else { panic!("{piece:?}") };
                assert!(bytes.len() <= max);
                let mut batch = format.codec().decode(&bytes, &Limits::default()).unwrap();
                assert_eq!((batch.len(), batch.header().pd), (count, true));
                let sensors = batch.sensors().clone();
                while let Some(seq) = batch.next_seq() {
                    let got = batch.next().unwrap().unwrap();
                    let (expected_seq, row) = expected.next().unwrap();
                    assert_eq!((seq, got.time), (*expected_seq, row.time));
                    let sensor = sensors.get(got.sensor).unwrap();
                    assert_eq!((&sensor.name, &sensor.unit), (&row.sensor, &row.unit));
                }
            }
            assert_eq!(expected.next(), None);
        }
    }

    #[test]
    fn a_reading_that_is_too_large_is_refused_alone() {
        for format in FORMATS {
            let mut rows = rows(3);
            rows[1].1.value = Value::Text("x".repeat(500).into());
            let pieces = encode(format, HEAD, &rows, 300);
            let counts: Vec<_> = pieces.iter().map(|p| matches!(p, Piece::Refused(1))).collect();
            assert_eq!(counts, [false, true, false], "{format:?}: {pieces:?}");
        }
    }

    /// Thousands may wait for a larger size, and each is met again at every attempt: only the bridge's report of them has a rate limit.
    #[test]
    fn readings_that_are_too_large_write_no_line_each() {
        let mut rows = rows(100);
        rows.iter_mut().for_each(|(_, row)| row.value = Value::Text("x".repeat(500).into()));
        let lines = captured(|| {
            for (format, max) in FORMATS.into_iter().flat_map(|format| [(format, 300), (format, 10)]) {
                assert_eq!(encode(format, HEAD, &rows, max).iter().map(Piece::rows).sum::<usize>(), 100);
            }
        });
        assert_eq!(lines, "");
    }

    #[test]
    fn no_room_for_anything_refuses_everything() {
        assert_eq!(encode(BatchFormat::Cbor, HEAD, &rows(3), 10), [Piece::Refused(3)]);
    }

    #[test]
    fn rows_without_identity_go_in_batches_without_one() {
        let anonymous = Head { id: None, ..HEAD };
        let pieces = encode(BatchFormat::Json, anonymous, &rows(2), 1_000);
        let [Piece::Batch(2, bytes)] = pieces.as_slice() else { panic!("{pieces:?}") };
        let batch = edge_codec::Format::Json.decode(bytes, &Limits::default()).unwrap();
        assert_eq!(batch.header().id, None);
    }
}
