//! Restarts with a learned table: its sensors stand in the order of a poll, not of their numbers.

use crate::run::hub::compact::kept_tables::Changes;

use super::*;

/// Sensors whose readings come one by one, so that the sample's last one stands first in the table.
fn one_by_one(rig: &mut Rig, rounds: u64) {
    let topic = Utf8::try_from("out").unwrap();
    for round in 0..rounds {
        for (seq, name) in (10..).zip(["x", "y", "z"]) {
            let time = (round * 3 + seq) as i64;
            let reading = ReadingRow { time, ..row(name, seq) };
            rig.compact.encode(&topic, HEAD, &[(seq, reading)], 10_000);
        }
    }
}

fn ids(table: &Bytes) -> Vec<u32> {
    Table::decode(table, &Limits::default()).unwrap().sensors().map(|sensor| sensor.id).collect()
}

#[test]
fn a_learned_table_is_known_again_whatever_the_order_of_its_sensors() {
    let mut rig = Rig::new(&[]);
    one_by_one(&mut rig, 86);
    let table = rig.announced().unwrap();
    assert_ne!(ids(&table), [0, 1, 2], "not in the order of the numbers");
    assert!(Announced::saved(&table).is_some());
    let mut again = Rig::new(&[(TABLES.to_owned(), table.clone())]);
    assert_eq!(again.announced(), Some(table.clone()));
    again.shows(&table);
    assert_eq!(read(&again.batch(&["z", "x", "y"]), Some(&table)), expected(&["z", "x", "y"]));
}

/// It was: up to four further versions in each run.
#[test]
fn a_restart_makes_no_further_version_of_the_same_sensors() {
    let mut files = std::collections::BTreeMap::new();
    let mut newest = None;
    for run in 0..4 {
        let saved: Vec<_> = files.values().map(|table: &Bytes| (TABLES.to_owned(), table.clone())).collect();
        let mut rig = Rig::new(&saved);
        for _ in 0..50 {
            one_by_one(&mut rig, 10);
            rig.now.up_ms += 4_000_000;
            while let Some(table) = rig.announced() {
                if !table.is_empty() {
                    rig.shows(&table);
                    newest = Some(table);
                }
            }
        }
        let changes: Changes = rig.file_changes().unwrap_or_default();
        for ((_, id), table) in changes {
            match table {
                Some(table) => drop(files.insert(id, table)),
                None => drop(files.remove(&id)),
            }
        }
        let newest = newest.as_ref().unwrap();
        assert!(files.values().any(|table| table == newest), "run {run}");
        let version = Table::decode(newest, &Limits::default()).unwrap().version();
        assert_eq!(version, 2, "run {run}: one of few readings, and one that is learned");
        read(&rig.batch(&["y", "z"]), Some(newest));
    }
    // A sensor more makes one: of few readings at first, so that it is learned again.
    let saved: Vec<_> = files.values().map(|table| (TABLES.to_owned(), table.clone())).collect();
    let mut rig = Rig::new(&saved);
    rig.batch(&["x", "y", "z", "new"]);
    let newest_of = |rig: &mut Rig| std::iter::from_fn(|| rig.announced()).collect::<Vec<_>>()[0].clone();
    let plans = |table: &Bytes| Table::decode(table, &Limits::default()).unwrap().plans();
    rig.now.up_ms += 10_000;
    assert_eq!(plans(&newest_of(&mut rig)), 0);
    one_by_one(&mut rig, 100);
    rig.now.up_ms += 10_000;
    assert_eq!(plans(&newest_of(&mut rig)), 3);
}
