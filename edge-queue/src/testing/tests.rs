//! The rig itself is tested first: a disk that loses too little proves nothing.

use crate::medium::Dir as _;
use crate::testing::{Call, Fault, FaultError, Outcome, SimDir};

fn written(fill: u8) -> (SimDir, Box<dyn crate::medium::Medium>) {
    let dir = SimDir::new();
    let mut file = dir.create("f").unwrap();
    file.write_at(0, &[fill; 4096]).unwrap();
    file.sync().unwrap();
    dir.sync().unwrap();
    (dir, file)
}

#[test]
fn a_synced_write_survives_every_outcome_and_an_unsynced_one_each_as_it_says() {
    let (dir, mut file) = written(1);
    file.write_at(0, &[2; 4096]).unwrap();
    for seed in 0..50 {
        assert_eq!(dir.crash(Outcome::Lost, seed).content("f").unwrap(), [1; 4096]);
        assert_eq!(dir.crash(Outcome::Kept, seed).content("f").unwrap(), [2; 4096]);
        for outcome in Outcome::ALL {
            let after = dir.crash(outcome, seed).content("f").unwrap();
            for sector in after.chunks(512) {
                assert!(sector == [1; 512] || sector == [2; 512], "a sector is written whole or not at all");
            }
        }
    }
    let torn = (0..50).map(|seed| dir.crash(Outcome::Torn, seed).content("f").unwrap());
    assert!(torn.filter(|c| c.contains(&1) && c.contains(&2)).count() > 30);
    file.sync().unwrap();
    for outcome in Outcome::ALL {
        assert_eq!(dir.crash(outcome, 9).content("f").unwrap(), [2; 4096]);
    }
}

#[test]
fn a_later_write_may_arrive_without_an_earlier_one() {
    let (dir, mut file) = written(1);
    file.write_at(0, &[2; 512]).unwrap();
    file.write_at(512, &[3; 512]).unwrap();
    let seen = |outcome| {
        (0..50).any(|seed| {
            let after = dir.crash(outcome, seed).content("f").unwrap();
            (after[0], after[512]) == (1, 3)
        })
    };
    assert!(seen(Outcome::Reordered) && seen(Outcome::Subset));
    assert!(!seen(Outcome::Torn), "a torn outcome keeps the order");
}

#[test]
fn names_are_durable_by_the_directory_sync_and_growth_is_decided_apart() {
    let dir = SimDir::new();
    let mut file = dir.create("new").unwrap();
    file.write_at(0, &[5; 1024]).unwrap();
    file.sync().unwrap();
    let found = (0..50).filter(|&seed| !dir.crash(Outcome::Lost, seed).names().is_empty()).count();
    assert!((1..50).contains(&found));
    dir.sync().unwrap();
    file.write_at(1024, &[6; 1024]).unwrap();
    let lengths = (0..50).map(|seed| dir.crash(Outcome::Lost, seed).content("new").unwrap().len());
    let lengths: std::collections::BTreeSet<usize> = lengths.collect();
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [1024, 2048]);
}

#[test]
fn bytes_of_a_failed_sync_are_not_brought_back_by_the_next_one() {
    let mut lost = 0;
    for extra in 0..40 {
        let (dir, mut file) = written(1);
        (0..extra).for_each(|_| file.write_at(0, &[1; 512]).unwrap());
        file.write_at(0, &[2; 4096]).unwrap();
        dir.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: false });
        assert!(file.sync().is_err());
        let mut live = [0; 4096];
        file.read_at(0, &mut live).unwrap();
        assert_eq!(live, [2; 4096], "the page cache still shows them");
        file.sync().unwrap();
        lost += usize::from(dir.crash(Outcome::Kept, 0).content("f").unwrap().contains(&1));
    }
    assert!(lost > 30);
}

#[test]
fn a_recording_gives_the_same_states_and_a_frozen_disk_takes_nothing() {
    let dir = SimDir::new();
    dir.record();
    let mut file = dir.create("f").unwrap();
    dir.sync().unwrap();
    dir.freeze_after(2);
    file.write_at(0, &[4; 512]).unwrap();
    file.sync().unwrap();
    assert!(file.write_at(0, &[5; 512]).is_err() && file.sync().is_err());
    let mut recording = dir.recording();
    assert_eq!(recording.operations(), 4);
    assert_eq!(recording.crash_at(3, Outcome::Lost, 2).content("f").map(|c| c.contains(&4)), Some(false));
    assert_eq!(recording.crash_at(4, Outcome::Lost, 2).content("f"), Some(vec![4; 512]));
    assert_eq!(dir.content("f"), Some(vec![4; 512]));
}

#[test]
fn faults_fire_at_the_call_they_name_and_a_lock_is_exclusive() {
    let (dir, mut file) = written(1);
    dir.fail(Fault { call: Call::Write, after: 1, error: FaultError::Short, sticky: true });
    file.write_at(0, &[2; 1024]).unwrap();
    assert!(file.write_at(0, &[3; 1024]).is_err() && file.write_at(0, &[3; 1024]).is_err());
    assert_eq!(dir.content("f").unwrap()[511..513], [3, 2], "a short write wrote a part");
    dir.heal();
    file.write_at(0, &[4; 1024]).unwrap();
    dir.set_capacity(8192);
    assert_eq!(file.write_at(4096, &[0; 8192]).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    file.write_at(4096, &[0; 4096]).unwrap();
    let held = dir.lock("lock").unwrap();
    assert!(dir.lock("lock").is_err());
    drop(held);
    assert!(dir.lock("lock").is_ok());
}
