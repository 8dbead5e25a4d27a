//! Bounds of a table: the largest that the hub takes, and the most sensors of a topic.

use super::*;

#[test]
fn a_table_that_is_larger_than_the_hub_takes_is_not_sent() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    assert!(rig.compact.poll(rig.now, 100).is_none());
    assert_eq!(rig.compact.next_deadline(), Some(1_000), "another connection may take it");
}

/// A hub may say on one connection that it takes next to nothing, and more on the next.
#[test]
fn rows_for_which_there_was_no_room_are_not_in_the_next_batch() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x", "y"]);
    let table = rig.announced().unwrap();
    rig.shows(&table);
    let (topic, rows) = (Utf8::try_from("out").unwrap(), [(10, row("x", 10)), (11, row("y", 11))]);
    assert_eq!(rig.compact.encode(&topic, HEAD, &rows, 10), [Piece::Refused(2)]);
    assert_eq!(read(&rig.batch(&["y", "x", "y"]), Some(&table)), expected(&["y", "x", "y"]));
}

#[test]
fn rows_of_a_route_that_is_gone_and_of_too_many_sensors_are_self_contained() {
    let mut rig = Rig::new(&[]);
    assert_eq!(read(&rig.batch_on("old", &["x"]), None), expected(&["x"]));
    let names: Vec<String> = (0..=sensor_numbers::SENSORS_MAX).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows: Vec<_> = names.iter().zip(10..).map(|(name, seq)| (seq, row(name, seq))).collect();
    let pieces = rig.compact.encode(&Utf8::try_from("out").unwrap(), HEAD, &rows, 1 << 20);
    let [Piece::Batch(4_097, bytes)] = pieces.as_slice() else { panic!("one batch") };
    assert_eq!(read(bytes, None), expected(&names));
}

/// In the second order the table's sensors do not stand in the order of their numbers.
#[test]
fn the_sensors_that_were_silent_longest_make_room_for_new_ones() {
    for always_is_first in [true, false] {
        silent_ones_make_room(always_is_first);
    }
}

fn silent_ones_make_room(always_is_first: bool) {
    let mut rig = Rig::new(&[]);
    // One that is never silent, though it was among the first.
    for n in 1..sensor_numbers::SENSORS_MAX {
        let n = n.to_string();
        rig.batch(&if always_is_first { ["always", n.as_str()] } else { [n.as_str(), "always"] });
    }
    let full = rig.announced().unwrap();
    rig.shows(&full);
    assert_eq!(
        Table::decode(&full, &Limits::default()).unwrap().sensors().len(),
        sensor_numbers::SENSORS_MAX
    );
    read(&rig.batch(&["always", "1", "4095"]), Some(&full));
    assert_eq!(read(&rig.batch(&["always", "new"]), None), expected(&["always", "new"]));
    // Until the hub has another table, this one serves whom it has.
    assert_eq!(read(&rig.batch(&["always", "2", "4095"]), Some(&full)), expected(&["always", "2", "4095"]));
    rig.now.up_ms = 1_000;
    let next = rig.announced().unwrap();
    rig.shows(&next);
    let sensors = ["4095", "new", "always", "1"];
    assert_eq!(read(&rig.batch(&sensors), Some(&next)), expected(&sensors));
    let table = Table::decode(&next, &Limits::default()).unwrap();
    assert!(table.sensors().all(|sensor| sensor.name != "3"), "silent longest");
    assert!(table.sensors().len() < sensor_numbers::SENSORS_MAX);
    // One that was forgotten is new again.
    read(&rig.batch(&["3"]), None);
    rig.now.up_ms = 10_000;
    let third = rig.announced().unwrap();
    rig.shows(&third);
    read(&rig.batch(&["3", "new"]), Some(&third));
}

/// A table that was announced before names were forgotten, and is shown after that.
#[test]
fn a_table_of_other_numbers_is_read_by_its_own() {
    let mut rig = Rig::new(&[]);
    for n in 0..sensor_numbers::SENSORS_MAX {
        rig.batch(&[&n.to_string()]);
    }
    let full = rig.announced().unwrap();
    rig.batch(&["new"]);
    rig.shows(&full);
    assert_eq!(read(&rig.batch(&["4095", "7"]), Some(&full)), expected(&["4095", "7"]));
    read(&rig.batch(&["new"]), None);
}
