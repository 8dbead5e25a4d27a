//! Tables at the hub that this gateway did not make, and files of those that it made.

use crate::run::hub::compact::kept_tables::Changes;

use super::*;

impl Rig {
    /// Tables that the task which writes the files would find now.
    pub(super) fn file_changes(&self) -> Option<Changes> {
        let next = std::pin::pin!(self.kept.next());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match next.poll(&mut context) {
            std::task::Poll::Ready(changes) => Some(changes),
            std::task::Poll::Pending => None,
        }
    }
}

fn keep(table: &Bytes) -> Changes {
    Changes::from([((TABLES.to_owned(), id_of(table)), Some(table.clone()))])
}

#[test]
fn a_table_is_kept_when_it_is_made_and_its_file_goes_with_it() {
    let (mut rig, [first, second]) = Rig::with_two_versions();
    let both: Changes = keep(&first).into_iter().chain(keep(&second)).collect();
    assert_eq!(rig.file_changes(), Some(both));
    assert_eq!(rig.file_changes(), None);
    rig.now.up_ms = 1_000 + 3_600_000;
    assert_eq!(rig.announced(), Some(Bytes::new()));
    assert_eq!(rig.file_changes(), Some(Changes::from([((TABLES.to_owned(), id_of(&first)), None)])));
}

#[test]
fn what_the_hub_shows_is_never_taken_over() {
    let (mut rig, _) = Rig::with_two_versions();
    let (_, versions) = (rig.file_changes(), rig.now);
    let mut other = Rig::new(&[]);
    // A version that would be the newest for ever.
    let mut evil = edge_codec::SensorTable::new();
    evil.insert(0, "evil".to_owned(), "K".to_owned());
    let evil = Table::learn(u32::MAX, &evil, &[]).bytes().clone();
    other.batch(&["other"]);
    for table in [evil, other.announced().unwrap(), Bytes::from_static(b"no table")] {
        rig.hub.note(
            TABLES,
            Table::decode(&table, &Limits::default()).map_or(7, |table| table.id()),
            &table,
            true,
        );
    }
    rig.now = versions;
    assert_eq!((rig.announced(), rig.file_changes()), (None, None));
    // Nor is it cleared later on: it is somebody else's.
    rig.now.up_ms = 1_000 + 3_600_000;
    assert_eq!(
        [rig.announced(), rig.announced()],
        [Some(Bytes::new()), None],
        "the replaced version of its own alone"
    );
    assert_eq!(read(&rig.batch(&["x", "new"]), None), expected(&["x", "new"]));
    let next = rig.announced().unwrap();
    assert_eq!(Table::decode(&next, &Limits::default()).unwrap().version(), 3);
}

#[test]
fn a_disk_that_hangs_costs_no_memory() {
    let mut rig = Rig::new(&[]);
    for n in 0..300 {
        rig.batch(&[&n.to_string()]);
        rig.now.up_ms += 4_000_000;
        while let Some(table) = rig.announced() {
            if !table.is_empty() {
                rig.shows(&table);
            }
        }
    }
    let changes = rig.file_changes().unwrap();
    assert!(changes.len() <= 16 && changes.values().all(Option::is_some), "{}", changes.len());
}

#[test]
fn a_quarrel_over_a_table_is_one_line_an_hour() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    rig.shows(&table);
    let lines = captured(|| {
        for _ in 0..1_000 {
            rig.hub.note(TABLES, id_of(&table), b"forged", true);
            rig.now.up_ms += 100;
            if let Some(again) = rig.announced() {
                rig.shows(&again);
            }
        }
    });
    assert_eq!(lines.matches("the hub has lost a session table").count(), 1, "{lines}");
}

/// A hub that retains nothing sends each table back once, as any message, and so does one at which somebody publishes the same bytes: only what comes as
/// a retained message is there for a reader who comes later.
#[test]
fn a_copy_that_nobody_keeps_is_no_table_at_the_hub() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    assert!(rig.hub.note(TABLES, id_of(&table), &table, false), "its own: the hub is asked what it retains");
    read(&rig.batch(&["x"]), None);
    rig.hub.ask(TABLES);
    rig.shows(&table);
    read(&rig.batch(&["x"]), Some(&table));
    rig.hub.note(TABLES, id_of(&table), &[], false);
    assert!(!rig.hub.note(TABLES, id_of(&table), &table, false), "somebody else's: nothing was published");
    read(&rig.batch(&["x"]), None);
    rig.now.up_ms = 1_000;
    assert_eq!(rig.announced(), Some(table.clone()));
    assert!(rig.hub.note(TABLES, id_of(&table), &table, false));
    read(&rig.batch(&["x"]), None);
    rig.hub.ask(TABLES);
    rig.shows(&table);
    read(&rig.batch(&["x"]), Some(&table));
    // Asked on another connection it shows what it keeps.
    let mut next = Rig::new(&[(TABLES.to_owned(), table.clone())]);
    next.hub.note(TABLES, id_of(&table), &table, false);
    assert_eq!(next.announced(), Some(table.clone()));
}

/// A hub that retains nothing answers each question with silence: batches carry their names, and the operator is told after a minute.
#[test]
fn a_hub_that_retains_no_table_gets_none_that_a_batch_refers_to_and_is_told() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let mut questions = 0;
    while rig.now.up_ms <= 64_000 {
        while let Some(table) = rig.announced() {
            if rig.hub.note(TABLES, id_of(&table), &table, false) {
                questions += 1;
                rig.hub.ask(TABLES);
            }
        }
        read(&rig.batch(&["x"]), None);
        rig.now.up_ms += 500;
    }
    assert_eq!((questions, rig.hub.unanswered()), (7, 1), "one for each publication");
}
