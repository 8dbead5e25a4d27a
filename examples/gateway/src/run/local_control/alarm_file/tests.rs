use crate::run::sensors::ingest::GatewayIngest;

use super::*;
use edge_bridge::ingest::Now;
use edge_filter::alarm::{AlarmCommand, AlarmLevel};
use edge_filter::{Pipeline, Quality, Reading, Value};

fn shelved() -> Vec<KeptAlarms> {
    let mut pipeline = Pipeline::from_toml("[[alarm]]\nmatch = \"#\"\nhigh = { limit = 90.0 }\n").unwrap();
    let sensor = pipeline.intern("t");
    let reading = Reading { sensor, time: 1, value: Value::F64(95.5), quality: Quality::GOOD };
    let _ = pipeline.process(reading, 1, &mut |_| {});
    pipeline.alarm_command(sensor, AlarmLevel::High, AlarmCommand::Shelve { for_ms: 9 }, 2).unwrap();
    let state = pipeline.alarm(sensor).unwrap().clone();
    vec![KeptAlarms { filter_topic: "plant/#".to_owned(), alarms: vec![("t".into(), state)] }]
}

#[test]
fn what_is_written_is_read_and_without_alarms_there_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path()).is_empty());
    write(dir.path(), &shelved()).unwrap();
    assert_eq!(read(dir.path()), shelved());
    write(dir.path(), &[]).unwrap();
    assert!(!dir.path().join(FILE).exists() && read(dir.path()).is_empty());
    write(dir.path(), &[]).unwrap();
}

#[test]
fn a_damaged_file_is_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &shelved()).unwrap();
    let path = dir.path().join(FILE);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(read(dir.path()).is_empty(), "bit 0 of byte {at}");
        fs::write(&path, &good[..at]).unwrap();
        assert!(read(dir.path()).is_empty(), "cut at {at}");
    }
}

/// Old acknowledgements must not hide what is raised after them.
#[test]
fn a_disk_that_refuses_the_new_file_loses_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &shelved()).unwrap();
    // Neither a file nor what can be removed as one.
    fs::create_dir(dir.path().join("alarms.new")).unwrap();
    assert!(write(dir.path(), &shelved()).is_err());
    assert!(!dir.path().join(FILE).exists());
}

/// Until it is on disk there is no answer; nobody else waits.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_answer_waits_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let rig = crate::run::sensors::ingest::alarm_rig();
    let ingest: GatewayIngest = rig.ingest.clone();
    let (answers, mut answered) = mpsc::channel(9);
    let state = dir.path().join("not yet");
    let keeping = keep(state.clone(), Clock::start(), ingest, rig.to_keep.clone(), answers);
    let keeping = tokio::spawn(keeping);
    rig.reading("t", 95.0, 1);
    rig.shelve("t");
    let waits = tokio::time::timeout(Duration::from_secs(12), answered.recv()).await;
    assert!(waits.is_err(), "the directory is not there");
    fs::create_dir(&state).unwrap();
    let answer = answered.recv().await.unwrap();
    assert_eq!(answer.topic.as_str(), "event/command/alarm/t/HI/shelve");
    assert_eq!(read(&state).len(), 1);
    let (next, clock) = (crate::run::sensors::ingest::alarm_rig(), Now { up_ms: 9, wall_ms: 9 });
    next.ingest.restore_alarms(clock, read(&state));
    assert_eq!(next.ingest.alarms_to_keep().0, read(&state));
    keeping.abort();
}
