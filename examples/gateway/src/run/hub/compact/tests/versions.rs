//! Versions of a table: those that were replaced stay a while, those of earlier runs too, and their number is bounded.

use crate::run::hub::compact::kept_tables::Changes;

use super::*;

#[test]
fn a_replaced_version_stays_for_max_age_and_is_cleared_then() {
    let (mut rig, [first, _]) = Rig::with_two_versions();
    rig.now.up_ms = 1_000 + 3_600_000 - 1;
    assert_eq!(rig.announced(), None);
    rig.now.up_ms += 1;
    let Some(Packing::Message(cleared)) = rig.compact.poll(rig.now, 1 << 20) else { panic!("cleared") };
    assert_eq!(cleared.publish.topic.as_str(), format!("{TABLES}/{:016x}", id_of(&first)));
    assert!(cleared.publish.payload.is_empty() && cleared.publish.retain);
    assert_eq!(rig.announced(), None);
    // The hub may say so, and may have kept it all the same.
    rig.hub.note(TABLES, id_of(&first), &[], true);
    assert_eq!(rig.announced(), None);
}

/// It was: forgotten before the hub had it, and its file with it: a version that was refused, or on its way at the end, stayed retained for ever.
#[test]
fn a_version_is_cleared_again_until_the_hub_has_acknowledged_it_and_its_file_stays_so_long() {
    let (mut rig, [first, second]) = Rig::with_two_versions();
    rig.file_changes();
    rig.now.up_ms = 1_000 + 3_600_000;
    let mut cleared = Vec::new();
    for pause_ms in [60_000, 120_000, 240_000] {
        let Some(Packing::Message(message)) = rig.compact.poll(rig.now, 1 << 20) else { panic!("cleared") };
        assert!(message.publish.payload.is_empty());
        assert_eq!((rig.announced(), rig.file_changes()), (None, None));
        let next_ms = rig.now.up_ms + pause_ms;
        assert_eq!(rig.compact.next_deadline(), Some(next_ms));
        rig.now.up_ms = next_ms;
        cleared.push(message.publish);
    }
    assert!(cleared.windows(2).all(|two| two[0].topic == two[1].topic));
    rig.compact.on_delivered(&cleared[0]);
    assert_eq!(rig.file_changes(), Some(Changes::from([((TABLES.to_owned(), id_of(&first)), None)])));
    assert_eq!((rig.announced(), rig.compact.next_deadline()), (None, None));
    rig.compact.on_delivered(&cleared[1]);
    assert_eq!(rig.file_changes(), None);
    // Somebody's message on the topic of a version that is in use is none of these.
    let topic = version_topic(&Utf8::try_from(TABLES).unwrap(), id_of(&second)).unwrap();
    rig.compact.on_delivered(&Publish { topic, ..cleared[2].clone() });
    assert_eq!(rig.file_changes(), None);
    read(&rig.batch(&["x", "y"]), Some(&second));
}

#[test]
fn versions_of_an_earlier_run_stay_and_the_hub_gets_those_that_it_lacks() {
    let (_, [first, second]) = Rig::with_two_versions();
    let saved = [&second, &first].map(|table| (TABLES.to_owned(), table.clone()));
    let mut rig = Rig::new(&saved);
    assert_eq!(
        [rig.announced(), rig.announced()],
        [Some(second.clone()), None],
        "the newest; the other is asked for"
    );
    rig.shows(&second);
    rig.hub.ask(TABLES);
    assert_eq!(rig.announced(), None);
    rig.shows(&second);
    assert_eq!(rig.announced(), None);
    rig.now.up_ms = 10_000;
    assert_eq!([rig.announced(), rig.announced()], [Some(first.clone()), None]);
}

/// Sixteen tables over a thin link take longer than the hub has for the first, and would go over it once more.
#[test]
fn a_slow_answer_is_waited_for_while_its_tables_come() {
    let (mut rig, [first, second]) = Rig::with_two_versions();
    rig.now.up_ms = 100_000;
    rig.hub.doubt();
    rig.hub.ask(TABLES);
    assert_eq!(rig.announced(), None);
    rig.now.up_ms = 109_999;
    rig.shows(&second);
    assert_eq!(rig.announced(), None);
    rig.now.up_ms = 119_998;
    // A live message is no part of the answer: anybody may send one.
    rig.hub.note(TABLES, 7, b"?", false);
    assert_eq!((rig.announced(), rig.compact.next_deadline()), (None, Some(119_999)));
    rig.shows(&first);
    assert_eq!((rig.announced(), rig.compact.next_deadline()), (None, Some(129_998)));
    rig.now.up_ms = 200_000;
    assert_eq!((rig.announced(), rig.compact.next_deadline()), (None, None), "the hub has both");
}

#[test]
fn many_versions_are_bounded_and_the_oldest_are_cleared() {
    let mut rig = Rig::new(&[]);
    let (mut kept, mut cleared) = (0, 0);
    for n in 0..40 {
        rig.batch(&[&n.to_string()]);
        rig.now.up_ms += 4_000_000;
        while let Some(table) = rig.announced() {
            (kept, cleared) = if table.is_empty() { (kept - 1, cleared + 1) } else { (kept + 1, cleared) };
            if !table.is_empty() {
                rig.shows(&table);
            }
        }
    }
    assert!((1..=16).contains(&kept) && kept + cleared == 40, "{kept} kept, {cleared} cleared");
}

#[test]
fn the_name_of_a_version_is_sixteen_digits_below_its_topic() {
    let topics = [
        "a/t/000000000000abcd",
        "a/t/000000000000ABCD",
        "a/t/0000abcd",
        "a/t",
        "a/t/000000000000abcd/x",
        "b/t/000000000000abcd",
        "a/t/+00000000000abcd",
    ];
    let names = topics.map(|topic| version_of("a/t", topic));
    assert_eq!(names, [Some(0xabcd), None, None, None, None, None, None]);
}
