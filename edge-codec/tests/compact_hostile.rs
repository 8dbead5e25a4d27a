#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(unsafe_code, reason = "a counting allocator")]
#![cfg(feature = "compact")]
//! No compact batch and no session table can panic, hang or make a reader allocate without bounds (promise 12).

mod support;

use edge_codec::compact::{self, Encoder, Level, Table, table_wanted};
use edge_codec::{Batch, BatchId, DecodeError, Limits, Reading, SensorTable, Value};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use support::{Rng, cases, samples, seed, table};

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|a| a.set(a.get() + layout.size()));
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let _ = ALLOCATED.try_with(|a| a.set(a.get() + new_size));
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocated(run: impl FnOnce()) -> usize {
    let before = ALLOCATED.get();
    run();
    ALLOCATED.get() - before
}

/// README, "Hostile input": at most so many bytes per byte of input, and a constant.
const FACTOR: usize = 2048;
const CONSTANT: usize = 32 << 10;

fn plant() -> Vec<Reading<'static>> {
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
fn goods() -> (Arc<Table>, Vec<Vec<u8>>) {
    let session = Arc::new(Table::learn(1, &table(), &plant()));
    let id = BatchId { gateway: 0x0123_4567_89ab_cdef, lane: 1, epoch: 3, first_seq: 1000 };
    let mut goods = Vec::new();
    for readings in [samples(), plant()] {
        for level in [Level::Fast, Level::Small] {
            let encoder: Encoder<SensorTable<'static>> = Encoder::new(level).id(id);
            for mut encoder in
                [encoder.clone(), encoder.clone().sensors(table()), encoder.table(session.clone())]
            {
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
fn consume(session: &Table, input: &[u8], limits: &Limits) -> Result<usize, DecodeError> {
    let batch: Batch<'_> = session.decode_batch(input, limits)?;
    let said = batch.len();
    let read = batch.inspect(|r| assert!(r.is_ok(), "accepted, then refused")).count();
    assert_eq!(said, read);
    Ok(read)
}

fn mutate(rng: &mut Rng, good: &[u8]) -> Vec<u8> {
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

#[test]
fn truncated_and_flipped_batches_are_refused_or_read() {
    let (session, goods) = goods();
    let limits = Limits::default();
    let (mut refused, mut read) = (0, 0);
    for good in &goods {
        let all = consume(&session, good, &limits).unwrap();
        for end in 0..good.len() {
            if let Ok(n) = consume(&session, &good[..end], &limits) {
                // A message without its last field is one that never had it; columns are whole or refused.
                assert!(n == 0 || n == all, "{n} of {all}");
            }
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match consume(&session, &bad, &limits) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    // A checksum is the transport's; values must let some through.
    assert!(refused > 0 && read > 0, "{refused} refused, {read} read");
    println!("executed codec.compact.bitflip: {} cases", refused + read);
}

#[test]
fn fuzzed_batches_neither_panic_nor_hang_nor_allocate_without_bounds() {
    let (session, goods) = goods();
    let wide = Limits::default().readings(usize::MAX).sensors(usize::MAX).text_bytes(usize::MAX);
    let n = cases(1_000_000);
    let mut rng = Rng(seed());
    let (mut read, mut worst) = (0, 0);
    for _ in 0..n {
        let good = rng.below(goods.len());
        let bad = mutate(&mut rng, &goods[good]);
        let used = allocated(|| read += u64::from(consume(&session, &bad, &wide).is_ok()));
        assert!(used <= FACTOR * bad.len() + CONSTANT, "{used} bytes for {}: {bad:02x?}", bad.len());
        worst = worst.max(used / bad.len().max(1));
    }
    assert!(read > 0, "nothing behind the first check was reached");
    println!("executed codec.compact.fuzz: {n} cases ({read} read, at most {worst} bytes per byte)");
}

#[test]
fn fuzzed_tables_neither_panic_nor_hang() {
    let good = Table::learn(1, &table(), &plant()).bytes().to_vec();
    let n = cases(100_000);
    let mut rng = Rng(seed() ^ 2);
    let mut read = 0;
    let (_, goods) = goods();
    for _ in 0..n {
        let bad = mutate(&mut rng, &good);
        if let Ok(table) = Table::decode(&bad, &Limits::default()) {
            read += 1;
            let _ = consume(&table, &goods[2], &Limits::default());
        }
    }
    assert!(read > 0);
    println!("executed codec.compact.fuzz.table: {n} cases ({read} read)");
}

/// Constant columns are next to nothing on the wire: the number of readings is bounded by the bytes.
#[test]
fn a_small_batch_cannot_claim_many_readings() {
    let mut encoder = Encoder::new(Level::Fast);
    let reading = |n: i64| Reading { sensor: 1, time: n * 1000, value: Value::F64(1.0), quality: 0 };
    (0..60_000).for_each(|n| encoder.push(&reading(n)).unwrap());
    let batch = encoder.finish_under(usize::MAX).unwrap();
    assert!((60_000_usize.div_ceil(32)..60_000 / 32 + 3).contains(&batch.len()), "{}", batch.len());
    assert_eq!(compact::decode(&batch, &Limits::default()).unwrap().len(), 60_000);
    // Without its padding it is refused.
    let padding = batch.windows(2).position(|w| w[0] == 12 << 3 | 2).unwrap();
    let error = compact::decode(&batch[..padding], &Limits::default()).unwrap_err();
    assert!(matches!(error, DecodeError::Limit { what: "readings", .. }), "{error}");
}

#[test]
fn limits_are_named() {
    let (session, goods) = goods();
    let with = |batch: &[u8], limits: Limits| match consume(&session, batch, &limits) {
        Err(DecodeError::Limit { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let all = &goods[1];
    assert_eq!(with(all, Limits::default().bytes(10)), "input bytes");
    assert_eq!(with(all, Limits::default().sensors(2)), "sensors");
    // Without holes in their numbers, since those would meet a limit of their own first.
    let mut encoder = Encoder::new(Level::Fast);
    samples().iter().for_each(|r| encoder.push(r).unwrap());
    let plain = encoder.finish_under(usize::MAX).unwrap();
    assert_eq!(with(&plain, Limits::default().readings(3)), "readings");
    assert_eq!(with(all, Limits::default().text_bytes(10)), "text bytes");
    let repeat = |n: i64| Reading {
        sensor: 300,
        time: n,
        value: Value::Text(format!("{n}{}", "x".repeat(2000)).into()),
        quality: 0,
    };
    let mut encoder = Encoder::new(Level::Small);
    (0..400).for_each(|n| encoder.push(&repeat(n)).unwrap());
    let small = encoder.finish_under(usize::MAX).unwrap();
    assert!(small.len() > 20_000, "no more than 32 bytes out of one: {}", small.len());
}

#[test]
fn a_batch_of_another_table_is_refused_by_name() {
    let (session, goods) = goods();
    let other = Table::new(2, &table());
    let limits = Limits::default();
    let (wanted, given) = (session.id(), Some(other.id()));
    assert_ne!(Some(wanted), given);
    let refused = other.decode_batch(&goods[2], &limits).unwrap_err();
    assert_eq!(refused, DecodeError::Table { wanted, given });
    assert_eq!(
        refused.to_string(),
        format!("the batch needs the session table {wanted:07x}, not {:07x}", other.id())
    );
    assert_eq!(compact::decode(&goods[2], &limits).unwrap_err(), DecodeError::Table { wanted, given: None });
    assert_eq!(table_wanted(&goods[2], &limits), Ok(Some(wanted)));
    assert_eq!(table_wanted(&goods[1], &limits), Ok(None));
    let fetched = Table::decode(session.bytes(), &limits).unwrap();
    assert_eq!((fetched.id(), fetched.version(), fetched.sensors().len()), (wanted, 1, table().len()));
    assert_eq!(consume(&fetched, &goods[2], &limits), Ok(samples().len()));
}

#[test]
fn a_newer_layout_is_refused_and_an_unknown_field_is_not() {
    let (session, goods) = goods();
    let newer = [&[8, 2], goods[2].as_slice()].concat();
    let refused = consume(&session, &newer, &Limits::default());
    assert_eq!(refused, Err(DecodeError::Version { offset: 0, found: 2, supported: 0 }));
    let unknown = [goods[2].as_slice(), &[0x80 | 0x72, 1, 1, b'x']].concat();
    assert_eq!(consume(&session, &unknown, &Limits::default()), Ok(samples().len()));
}

/// Decoding costs no allocation per reading; going through them none at all.
#[test]
fn readings_are_handed_out_without_allocation() {
    let (session, goods) = goods();
    let mut batch = session.decode_batch(&goods[2], &Limits::default()).unwrap();
    let mut texts = 0;
    let used = allocated(|| {
        texts = batch.by_ref().filter(|r| matches!(r, Ok(r) if matches!(r.value, Value::Text(_)))).count();
    });
    assert_eq!((used, texts), (0, 1));
}

/// Negative control: the counter sees a reservation that follows a claimed length.
#[test]
fn the_counter_catches_a_reader_that_trusts_a_length() {
    let claimed = FACTOR * 100 + CONSTANT;
    assert!(allocated(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(claimed)))) >= claimed);
}
