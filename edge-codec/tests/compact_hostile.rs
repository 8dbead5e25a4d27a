#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
#![cfg(feature = "compact")]
//! No compact batch can panic, hang or make a reader allocate without bounds (promise 12).

#[path = "support/counting.rs"]
mod counting;
#[path = "support/plant.rs"]
mod plant;
#[path = "support/session.rs"]
mod session;
mod support;

use counting::allocated;
use edge_codec::compact::{self, Encoder, Level, table_wanted};
use edge_codec::{DecodeError, Limits, Reading, SensorTable, Value};
use plant::{CONSTANT, FACTOR, consume, consume_bounded, goods, mutate};
use session::{Reader, Session};
use support::{Rng, fuzz_cases, samples, seed, table};

#[test]
fn truncated_and_flipped_batches_are_refused_or_read() {
    let (session, goods) = goods();
    let reader = session.reader();
    let limits = Limits::default();
    let (mut refused, mut read) = (0, 0);
    for good in &goods {
        let all = consume(&reader, good, &limits).unwrap();
        for end in 0..good.len() {
            if let Ok(n) = consume(&reader, &good[..end], &limits) {
                // A message without its last field is one that never had it; columns are whole or refused.
                assert!(n == 0 || n == all, "{n} of {all}");
            }
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match consume(&reader, &bad, &limits) {
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
    let reader = session.reader();
    let n = fuzz_cases(1_000_000);
    let mut rng = Rng(seed());
    let (mut read, mut worst) = (0_u64, 0);
    for _ in 0..n {
        let good = rng.below(goods.len());
        let bad = mutate(&mut rng, &goods[good]);
        let (is_read, used) = consume_bounded(&reader, &bad);
        read += u64::from(is_read);
        worst = worst.max(used / bad.len().max(1));
    }
    assert!(read > 0, "nothing behind the first check was reached");
    println!("executed codec.compact.fuzz: {n} cases ({read} read, at most {worst} bytes per byte)");
}

/// Constant columns are next to nothing on the wire: the number of readings is bounded by the bytes.
#[test]
fn a_small_batch_cannot_claim_many_readings() {
    let mut encoder = Encoder::numbered();
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

/// Batches of our own encoder are within what a reader allows per byte, at the edges too: constant columns, names that
/// share nearly all, both levels.
#[test]
fn an_encoder_writes_nothing_that_its_reader_refuses() {
    let mut names = SensorTable::new();
    let long = "x".repeat(400);
    (0..300).for_each(|id| drop(names.insert(id, format!("{long}{id}"), "long unit".repeat(10))));
    let mut cases = 0;
    for level in [Level::Fast, Level::Small] {
        for sensors in [1_u32, 2, 50, 300] {
            for rows in [1, 3, 70, 200] {
                for named in [false, true] {
                    let encoder = if named { Encoder::new(names.clone()) } else { Encoder::numbered() };
                    let mut encoder = encoder.level(level);
                    let reading = |n| Reading {
                        sensor: n % sensors,
                        time: i64::from(n / sensors),
                        value: Value::F64(1.0),
                        quality: 0,
                    };
                    (0..sensors * rows).for_each(|n| encoder.push(&reading(n)).unwrap());
                    let batch = encoder.finish_under(usize::MAX).unwrap();
                    let read = compact::decode(&batch, &Limits::default()).map(|b| b.len());
                    let what = format!("{level:?}, {sensors} sensors, {rows} rows, names {named}");
                    assert_eq!(read, Ok((sensors * rows) as usize), "{what}: {} bytes", batch.len());
                    cases += 1;
                }
            }
        }
    }
    println!("executed codec.compact.own_limits: {cases} cases");
}

#[cfg(feature = "zstd")]
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[test]
#[cfg(feature = "zstd")]
fn what_would_grow_too_much_is_refused_with_its_ratio_and_place() {
    let mut encoder = Encoder::numbered().level(Level::Small);
    let text = |n: i64| Value::Text(format!("the same words again and again, {n}").into());
    (0..100).for_each(|n| encoder.push(&Reading { sensor: 1, time: n, value: text(n), quality: 0 }).unwrap());
    let batch = encoder.finish_under(usize::MAX).unwrap();
    assert_eq!(compact::decode(&batch, &Limits::default().ratio(32)).unwrap().len(), 100);
    let refused = compact::decode(&batch, &Limits::default().ratio(2)).unwrap_err();
    let DecodeError::Limit { what, offset, limit: 2, found } = refused else { panic!("{refused}") };
    assert_eq!((what, batch[offset..offset + 4].to_vec()), ("decompression ratio", ZSTD_MAGIC.to_vec()));
    assert!((3..=32).contains(&found), "{found}");
    assert_eq!(table_wanted(&batch, &Limits::default().ratio(2)), Err(refused));
    // A frame of twelve bytes that says it holds a gigabyte: magic, single segment with four bytes of size, the size.
    let bomb = [&[13 << 3 | 2, 9], &ZSTD_MAGIC[..], &[0xa0], &(1_u32 << 30).to_le_bytes()].concat();
    let mut refused = Ok(());
    let used = allocated(|| refused = compact::decode(&bomb, &Limits::default()).map(drop));
    let found = (1_u64 << 30).div_ceil(bomb.len() as u64);
    let what = "decompression ratio";
    assert_eq!(refused, Err(DecodeError::Limit { what, offset: 2, limit: 32, found }));
    assert!(used < 256, "{used}");
    let wide = Limits::default().ratio(usize::MAX);
    let refused = compact::decode(&bomb, &wide).map(drop);
    assert!(matches!(refused, Err(DecodeError::Limit { what: "decompressed bytes", .. })), "{refused:?}");
}

#[test]
fn limits_are_named() {
    let (session, goods) = goods();
    let reader = session.reader();
    let with = |batch: &[u8], limits: Limits| match consume(&reader, batch, &limits) {
        Err(DecodeError::Limit { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let all = &goods[1];
    assert_eq!(with(all, Limits::default().bytes(10)), "input bytes");
    assert_eq!(with(all, Limits::default().sensors(2)), "sensors");
    // Without holes in their numbers, since those would meet a limit of their own first.
    let mut encoder = Encoder::numbered();
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
    let mut encoder = Encoder::numbered().level(Level::Small);
    (0..400).for_each(|n| encoder.push(&repeat(n)).unwrap());
    let small = encoder.finish_under(usize::MAX).unwrap();
    assert!(small.len() > 20_000, "no more than 32 bytes out of one: {}", small.len());
}

#[test]
fn a_batch_of_another_table_is_refused_by_name() {
    let (session, goods) = goods();
    let reader = session.reader();
    let other = Session::names(2, &table());
    let limits = Limits::default();
    let (wanted, given) = (session.id(), Some(other.id()));
    assert_ne!(Some(wanted), given);
    let refused = other.reader().decode(&goods[2], &limits).map(drop).unwrap_err();
    assert_eq!(refused, DecodeError::Table { wanted, given });
    assert_eq!(
        refused.to_string(),
        format!("the batch needs the session table {wanted:016x}, not {:016x}", other.id())
    );
    assert_eq!(
        Reader::without_table().decode(&goods[2], &limits).unwrap_err(),
        DecodeError::Table { wanted, given: None }
    );
    assert_eq!(table_wanted(&goods[2], &limits), Ok(Some(wanted)));
    assert_eq!(table_wanted(&goods[1], &limits), Ok(None));
    let fetched = reader.table();
    assert_eq!((fetched.id(), fetched.version(), fetched.sensors().len()), (wanted, 1, table().len()));
    assert_eq!(consume(&reader, &goods[2], &limits), Ok(samples().len()));
}

#[test]
fn a_newer_layout_is_refused_and_an_unknown_field_is_not() {
    let (session, goods) = goods();
    let reader = session.reader();
    let newer = [&[8, 2], goods[2].as_slice()].concat();
    let refused = consume(&reader, &newer, &Limits::default());
    assert_eq!(refused, Err(DecodeError::Version { offset: 0, found: 2, supported: 0 }));
    let unknown = [goods[2].as_slice(), &[0x80 | 0x72, 1, 1, b'x']].concat();
    assert_eq!(consume(&reader, &unknown, &Limits::default()), Ok(samples().len()));
}

/// Decoding costs no allocation per reading; going through them none at all.
#[test]
fn readings_are_handed_out_without_allocation() {
    let (session, goods) = goods();
    let reader = session.reader();
    let mut batch = reader.decode(&goods[2], &Limits::default()).unwrap();
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

/// Columns of several kinds are read one after the other, without a look at those before.
#[test]
fn columns_of_several_kinds_take_no_time_that_grows_with_their_square() {
    let batch = |is_mixed: bool| {
        let mut encoder = Encoder::numbered();
        for time in 0..4 {
            for sensor in 0..16_384 {
                let value = if is_mixed && time % 2 == 0 { Value::Bool(true) } else { Value::I64(1) };
                encoder.push(&Reading { sensor, time, value, quality: 0 }).unwrap();
            }
        }
        encoder.finish_under(usize::MAX).unwrap()
    };
    let least = |batch: &[u8]| {
        let mut least = std::time::Duration::MAX;
        for _ in 0..5 {
            let start = std::time::Instant::now();
            assert_eq!(compact::decode(batch, &Limits::default()).unwrap().len(), 65_536);
            least = least.min(start.elapsed());
        }
        least
    };
    let (plain, mixed) = (least(&batch(false)), least(&batch(true)));
    println!("one kind: {plain:?}, two kinds: {mixed:?}");
    // A hundred times as long for a plan of each kind; it was 8700 times.
    assert!(mixed < plain * 1_000, "{mixed:?} and {plain:?}");
}
