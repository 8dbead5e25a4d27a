//! Compact batches of all forms, and what damages them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "test support; each file uses its part")]

use super::counting::allocated;
use super::session::{Reader, Session, wide};
use super::support::{Rng, samples, table};
use edge_codec::compact::{Encoder, Level};
use edge_codec::{Batch, BatchId, DecodeError, Limits, Reading, SensorTable, Value};

/// README, "Hostile input": at most so many bytes per byte of a batch or table, and a constant.
pub const FACTOR: usize = 2048;
pub const CONSTANT: usize = 32 << 10;

pub fn plant() -> Vec<Reading<'static>> {
    let row = |n: i64| {
        let at = |sensor, value| Reading { sensor, time: 1_580_515_200_000 + 1000 * n, value, quality: 0 };
        [
            at(0, Value::F64((200 + n % 7) as f64 / 10.0)),
            at(1, Value::I64(n * 3)),
            at(2, Value::Bool(n % 9 == 0)),
        ]
    };
    (0..40).flat_map(row).collect()
}

/// Batches of all forms, and the table of those that need one.
pub fn goods() -> (Session, Vec<Vec<u8>>) {
    let session = Session::learn(1, &table(), &plant());
    let id = BatchId { gateway: 0x0123_4567_89ab_cdef, lane: 1, epoch: 3, first_seq: 1000 };
    let mut goods = Vec::new();
    for readings in [samples(), plant()] {
        for level in [Level::Fast, Level::Small] {
            let named: Encoder<SensorTable<'static>> = Encoder::new(table()).level(level);
            for encoder in [Encoder::numbered().level(level), named, session.encoder(level)] {
                let mut encoder = encoder.id(id);
                for (nth, r) in readings.iter().enumerate() {
                    encoder.push_at(1000 + nth as u64 + nth as u64 / 4, r).unwrap();
                }
                goods.push(encoder.finish_under(usize::MAX).unwrap().to_vec());
            }
        }
    }
    (session, goods)
}

/// Decodes and reads to the end. What `decode` let through must not fail later, and `len` must tell the truth.
pub fn consume(reader: &Reader, input: &[u8], limits: &Limits) -> Result<usize, DecodeError> {
    let batch: Batch<'_> = reader.decode(input, limits)?;
    let said = batch.len();
    let read = batch.inspect(|r| assert!(r.is_ok(), "accepted, then refused")).count();
    assert_eq!(said, read);
    Ok(read)
}

/// [`consume`] within the memory that is stated, for any bytes: returns whether they were read, and the bytes allocated.
pub fn consume_bounded(reader: &Reader, input: &[u8]) -> (bool, usize) {
    let mut read = false;
    let used = allocated(|| read = consume(reader, input, &wide()).is_ok());
    assert!(used <= FACTOR * input.len() + CONSTANT, "{used} bytes for {}: {input:02x?}", input.len());
    (read, used)
}

/// Reads a table within the memory that is stated, which what it keeps is a part of.
#[track_caller]
pub fn read_table(what: &str, input: &[u8], limits: &Limits) -> Result<Reader, DecodeError> {
    let mut read = None;
    let used = allocated(|| read = Some(Reader::of(input, limits)));
    assert!(used <= FACTOR * input.len() + CONSTANT, "{what}: {used} bytes for {}", input.len());
    read.unwrap()
}

/// Uses a table that was read from any bytes: a batch is made against it, and read by it.
pub fn use_table(table: &Reader) {
    let mut encoder = table.maker().encoder(Level::Fast);
    // A sensor may be gone, or its number another one.
    let taken = plant().iter().filter(|r| encoder.push(r).is_ok()).count();
    let batch = encoder.finish_under(usize::MAX).unwrap();
    assert_eq!(consume(table, &batch, &wide()), Ok(taken));
}

pub fn mutate(rng: &mut Rng, good: &[u8]) -> Vec<u8> {
    let mut bad = good.to_vec();
    for _ in 0..=rng.below(5) {
        if bad.is_empty() {
            break;
        }
        let at = rng.below(bad.len());
        match rng.below(6) {
            0 => bad[at] = rng.next() as u8,
            1 => bad[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
            2 => drop(bad.remove(at)),
            3 => bad.insert(at, rng.next() as u8),
            4 => bad.truncate(at),
            _ => bad[at] ^= 1 << rng.below(8),
        }
    }
    bad
}
