#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! No session table can panic, hang or make a reader allocate without bounds (promise 12).

#[path = "support/counting.rs"]
mod counting;
#[path = "support/listed_table.rs"]
mod listed_table;
#[path = "support/plant.rs"]
mod plant;
#[path = "support/session.rs"]
mod session;
mod support;

use counting::{allocated, kept};
use edge_codec::compact::{Encoder, Level, table_wanted};
use edge_codec::{DecodeError, Limits, Reading, SensorTable, Value};
use plant::{CONSTANT, FACTOR, consume, goods, mutate, plant, read_table, use_table};
use session::{Reader, Session, wide};
use support::{Rng, fuzz_cases, seed, table};

#[test]
fn truncated_and_flipped_tables_are_refused_or_read() {
    let good = Session::learn(1, &table(), &plant()).announced().to_vec();
    let (_, goods) = goods();
    let (mut refused, mut read) = (0, 0);
    let mut try_it = |bad: &[u8]| match read_table("damaged", bad, &wide()) {
        // It is another table, and the batch says which one it needs.
        Ok(other) => {
            assert!(matches!(consume(&other, &goods[2], &wide()), Err(DecodeError::Table { .. })));
            read += 1;
        }
        Err(_) => refused += 1,
    };
    (0..good.len()).for_each(|end| try_it(&good[..end]));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        try_it(&bad);
    }
    assert!(refused > 0 && read > 0, "{refused} refused, {read} read");
    println!("executed codec.compact.bitflip.table: {} cases", refused + read);
}

/// A reader that puts readings by sensor would take one column for the other. A table knows its sensors, so nothing else looks at those
/// of a batch.
#[test]
fn a_sensor_that_stands_twice_beside_a_table_is_refused_by_name() {
    let mut names = SensorTable::new();
    (0..4).for_each(|id| drop(names.insert(id, format!("s{id}"), "")));
    let session = Session::names(1, &names);
    let twice = |sensors: &[u32]| {
        let mut encoder = session.encoder(Level::Fast);
        for sensor in sensors {
            let reading = Reading { sensor: *sensor, time: 5, value: Value::Null, quality: 0 };
            encoder.push(&reading).unwrap();
        }
        let good = encoder.finish_under(usize::MAX).unwrap().to_vec();
        let flipped = (0..good.len() * 8).map(|bit| {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            session.reader().decode(&bad, &wide()).err()
        });
        let named = flipped.flatten().filter_map(|error| match error {
            DecodeError::Duplicate { field, .. } => Some(field.into_owned()),
            _ => None,
        });
        named.collect::<Vec<_>>()
    };
    // One bit of the step from a sensor to the second after it makes it a step back to itself.
    assert_eq!(twice(&[0, 2]), ["sensor 0"]);
    assert_eq!(twice(&[1, 3]), ["sensor 1"]);
}

/// A damaged table that is read is used, too: by a batch that is made against it, and read by the damaged one.
#[test]
fn fuzzed_tables_neither_panic_nor_hang_nor_allocate_without_bounds() {
    let good = Session::learn(1, &table(), &plant()).announced().to_vec();
    let n = fuzz_cases(1_000_000);
    let mut rng = Rng(seed() ^ 2);
    let (mut read, mut used) = (0_u64, 0_u64);
    for nth in 0..n {
        let bad = mutate(&mut rng, &good);
        let Ok(table) = read_table("mutated", &bad, &wide()) else { continue };
        read += 1;
        if nth % 16 == 0 {
            use_table(&table);
            used += 1;
        }
    }
    assert!(read > 0 && used > 0);
    println!("executed codec.compact.fuzz.table: {n} cases ({read} read, {used} used)");
}

/// As many distributions in as few bytes as there can be, all different.
fn dense(sensors: u32) -> Session {
    let mut names = SensorTable::new();
    (0..sensors).for_each(|id| drop(names.insert(id, "", "")));
    let value = |id: u32, n: u32| if n < 20 + id { i64::from(n % 2) } else { 0 };
    let row = |n: u32| {
        (0..sensors).map(move |id| Reading {
            sensor: id,
            time: i64::from(n) * 1000,
            value: Value::I64(value(id, n)),
            quality: 0,
        })
    };
    let sample: Vec<Reading<'static>> = (0..1024).flat_map(row).collect();
    Session::learn(1, &names, &sample)
}

#[test]
fn many_distributions_in_few_bytes_stay_under_the_stated_factor_and_have_a_limit_of_their_own() {
    let made = dense(200);
    let input = made.announced();
    let used = allocated(|| drop(std::hint::black_box(Reader::of(input, &wide()))));
    println!("table of {} bytes: {} bytes per byte", input.len(), used / input.len());
    assert!(used <= FACTOR * input.len() + CONSTANT, "{used} bytes for {}", input.len());
    assert!(used > 200 * input.len(), "a table this dense would show a factor that is missed: {used}");
    let refused = Reader::of(input, &Limits::default().distributions(20)).unwrap_err();
    let DecodeError::Limit { what, offset, limit, found } = refused else { panic!("{refused}") };
    assert_eq!((what, limit, found), ("distributions", 20, 21));
    assert!(offset > 0 && offset < input.len());
}

/// It was: a table of 280 kB kept 134 MB in lists whose values take no bits, and said 5 MB.
#[test]
fn lists_count_in_the_memory_of_a_table_and_have_a_limit_of_their_own() {
    let input = listed_table::announced(1, listed_table::LISTS_MAX);
    let (reader, alive) = kept(|| read_table("lists", &input, &Limits::default()).unwrap());
    let said = reader.table().memory_bytes();
    println!("table of {} bytes: {said} bytes said, {alive} kept", input.len());
    assert!(alive > 8 << 20 && said > alive - alive / 20, "{said} bytes said, {alive} kept");
    let above = listed_table::announced(1, listed_table::LISTS_MAX + 1);
    for limits in [Limits::default(), wide()] {
        let refused = Reader::of(&above, &limits).map(drop).unwrap_err();
        let DecodeError::Limit { what, limit, found, .. } = refused else { panic!("{refused}") };
        assert_eq!((what, limit, found), ("listed values", 1 << 20, (1 << 20) + 1024));
    }
}

/// Sensors that behave alike share what was learned, so a large plant's table is small in memory.
#[test]
fn equal_distributions_are_built_once() {
    let mut names = SensorTable::new();
    (0..500).for_each(|id| drop(names.insert(id, format!("s{id}"), "")));
    let constant = |n: i64| {
        (0..500).map(move |sensor| Reading { sensor, time: n * 1000, value: Value::F64(1.5), quality: 0 })
    };
    let sample: Vec<Reading<'static>> = (0..40).flat_map(constant).collect();
    let table = Session::learn(1, &names, &sample);
    let used = allocated(|| drop(std::hint::black_box(Reader::of(table.announced(), &wide()))));
    assert!(used < 500 * 4096, "{used} bytes: 500 distributions of their own take 4 MB");
    assert!(Reader::of(table.announced(), &Limits::default().distributions(8)).is_ok(), "few are different");
}

/// Two tables under one name would give one plant's readings another's names. With 28 bits two of these had one.
#[test]
fn tables_of_many_gateways_have_names_of_their_own() {
    let table = |n: u32| {
        let mut sensors = SensorTable::new();
        sensors.insert(0, format!("plant {n}/temp"), "K");
        Session::names(1, &sensors)
    };
    let ids: std::collections::HashSet<_> = (0..40_000).map(|n| table(n).id()).collect();
    assert_eq!(ids.len(), 40_000);
}

/// Other languages compute it, too.
#[test]
fn a_table_is_named_by_the_first_64_bits_of_its_sha_256() {
    let table = Session::names(1, &SensorTable::new());
    assert_eq!(table.announced(), [0x08, 0x01], "version 1, no sensors");
    // `printf '\x08\x01' | sha256sum`.
    assert_eq!(table.id(), 0xfb8d_a7eb_5b1b_399e);
}

/// To name a table costs the eight bytes of its id and no more.
#[test]
fn a_batch_has_the_id_of_its_table_and_its_columns_in_one_field() {
    let session = Session::learn(1, &table(), &plant());
    let (reader, limits, id) = (session.reader(), Limits::default(), session.id().to_be_bytes());
    let mut encoder = session.encoder(Level::Fast);
    encoder.push(&plant()[0]).unwrap();
    let batch = encoder.finish_under(usize::MAX).unwrap().to_vec();
    assert_eq!(&batch[..10], [&[9 << 3 | 2, batch.len() as u8 - 2], &id[..]].concat());
    assert_eq!(consume(&reader, &batch, &limits), Ok(1));
    let none = encoder.finish_under(usize::MAX).unwrap().to_vec();
    assert_eq!(none, [&[9 << 3 | 2, 8], &id[..]].concat());
    assert_eq!(
        (table_wanted(&none, &limits), consume(&reader, &none, &limits)),
        (Ok(Some(session.id())), Ok(0))
    );
    // Damaged: an id of seven bytes, one that is no bytes at all, and columns of both kinds.
    let mut bare = Encoder::numbered();
    bare.push(&plant()[0]).unwrap();
    let bare = bare.finish_under(usize::MAX).unwrap().to_vec();
    let cut = [&[9 << 3 | 2, 7], &id[..7]].concat();
    let fixed = [&[9 << 3 | 1], &id[..], &bare].concat();
    for bad in [cut, fixed, [batch.as_slice(), &bare].concat(), [bare.as_slice(), &none].concat()] {
        let refused = consume(&reader, &bad, &limits);
        assert!(matches!(refused, Err(DecodeError::Malformed { .. })), "{refused:?}");
        assert!(table_wanted(&bad, &limits).is_err());
    }
}
