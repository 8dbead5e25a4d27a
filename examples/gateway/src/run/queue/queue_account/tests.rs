use edge_queue::Row;

use crate::run::log::captured_log::captured;
use crate::run::queue::open_queue::OpenQueue;

use super::*;

const fn found(id: u64, waiting: u64, is_unused: bool) -> Found {
    Found { id, waiting, is_unused }
}

fn lost(queues: u64, messages: u64) -> GoneQueues {
    GoneQueues { queues, messages }
}

#[test]
fn only_a_synchronised_clock_tells_the_time_and_once_a_day() {
    let day = i64::try_from(KNOWN_APART_S).unwrap() * 1_000;
    let now = |wall_ms, synced| Now { wall_ms, synced, ..Now::default() };
    assert_eq!(known_s(&now(50 * day, false), 7), 7);
    assert_eq!(known_s(&now(50 * day, true), 7), 50 * KNOWN_APART_S);
    assert_eq!(known_s(&now(51 * day - 1, true), 50 * KNOWN_APART_S), 50 * KNOWN_APART_S);
    assert_eq!(known_s(&now(51 * day, true), 50 * KNOWN_APART_S), 51 * KNOWN_APART_S);
    assert_eq!(known_s(&now(day, true), 50 * KNOWN_APART_S), KNOWN_APART_S, "the last one was wrong");
}

#[test]
fn the_known_time_outlives_starts_and_queues() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock::new().assume_synced());
    let account = QueueAccount::open(dir.path(), found(1, 0, true)).with_clock(clock);
    assert_eq!(account.known_s(), 0);
    account.look(0, false).unwrap();
    let known_s = account.lock().known_s;
    assert!(known_s > 1_600_000_000);
    assert_eq!(QueueAccount::open(dir.path(), found(2, 0, true)).known_s(), known_s);
}

#[test]
fn a_queue_that_is_gone_is_told_once_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    assert!(QueueAccount::is_new(dir.path()).unwrap(), "and a start that fails leaves it so");
    assert!(QueueAccount::is_new(dir.path()).unwrap());
    let open = |found| QueueAccount::open(dir.path(), found);
    open(found(1, 0, true));
    let account = open(found(1, 7, false));
    assert_eq!(account.gone(), lost(0, 0), "it is there");
    account.look(8, false).unwrap();
    account.close(9);
    assert!(!QueueAccount::is_new(dir.path()).unwrap());
    let told = captured(|| {
        let account = open(found(2, 0, true));
        assert_eq!((account.gone(), account.gone_before()), (lost(1, 9), 0));
    });
    assert!(told.contains("the queue of the last run is gone") && told.contains("waiting=9"), "{told}");
    let told = captured(|| {
        let account = open(found(2, 3, false));
        assert_eq!((account.gone(), account.gone_before()), (lost(1, 9), 1));
    });
    assert_eq!(told, "");
}

#[test]
fn a_queue_in_which_nothing_waited_costs_nothing_if_it_stopped_cleanly() {
    for (is_clean, expected) in [(true, lost(0, 0)), (false, lost(1, 0))] {
        let dir = tempfile::tempdir().unwrap();
        let account = QueueAccount::open(dir.path(), found(1, 0, false));
        if is_clean {
            account.close(0);
            account.look(1, false).unwrap();
        }
        let account = QueueAccount::open(dir.path(), found(2, 0, true));
        assert_eq!(account.gone(), expected, "{is_clean}");
    }
}

#[test]
fn an_imported_queue_and_a_damaged_account_are_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    QueueAccount::open(dir.path(), found(1, 5, false));
    let account = QueueAccount::open(dir.path(), found(2, 5, false));
    assert_eq!(account.gone(), lost(0, 0), "imported");
    std::fs::write(dir.path().join(FILE), "damaged").unwrap();
    let told = captured(|| {
        let account = QueueAccount::open(dir.path(), found(3, 0, true));
        assert_eq!(account.gone(), lost(0, 0));
    });
    assert!(told.contains("of no use") && told.lines().count() == 1, "{told}");
}

#[test]
fn a_directory_of_an_earlier_version_had_a_queue() {
    let dir = tempfile::tempdir().unwrap();
    lane_names::keep(dir.path(), &["one".to_owned()]).unwrap();
    assert!(!QueueAccount::is_new(dir.path()).unwrap());
    let account = QueueAccount::open(dir.path(), found(1, 0, true));
    assert_eq!(account.gone(), lost(1, 0));
}

/// A power cut does not stop it cleanly: what is told of its queue then is as of the last hour.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_running_gateway_notes_each_hour_how_many_messages_wait() {
    let dir = tempfile::tempdir().unwrap();
    let queue = OpenQueue::default().show_in_memory();
    let _hub = queue.consumer(store::CONSUMER).await.unwrap();
    let account = QueueAccount::open(dir.path(), Found::of(&queue));
    let _keeping = tokio::spawn(account.keep(queue.clone()));
    let (look, began) = (|| read(dir.path()).unwrap(), tokio::time::Instant::now());
    for (hour, messages) in [(1, 3), (2, 2), (3, 0)] {
        for _ in 0..messages {
            drop(queue.push(Row::new("reading")).await.unwrap());
        }
        let before = look().waiting;
        tokio::time::sleep_until(began + hour * EVERY - Duration::from_secs(1)).await;
        assert_eq!(look().waiting, before, "hour {hour}");
        tokio::time::sleep_until(began + hour * EVERY + Duration::from_secs(1)).await;
        // A thread of its own writes the file.
        for _ in 0..1_000 {
            if look().waiting == before + messages {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((look().waiting, look().is_final), (before + messages, false), "hour {hour}");
    }
    assert_eq!(look().queue, Some(queue.gateway_id()));
}

/// All that waited at the last look may be at the hub.
#[test]
fn of_a_queue_that_did_not_stop_cleanly_no_message_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    QueueAccount::open(dir.path(), found(1, 50_000, false));
    let told = captured(|| {
        assert_eq!(QueueAccount::open(dir.path(), found(2, 0, true)).gone(), lost(1, 0));
    });
    assert!(told.contains("waiting=50000") && told.contains("exact=false"), "{told}");
}

/// Nothing waits for the account, and a loss that it does not keep is told by the next start, if nothing has come since.
#[test]
fn a_disk_that_refuses_the_account_keeps_no_queue_from_being_used() {
    let dir = tempfile::tempdir().unwrap();
    QueueAccount::open(dir.path(), found(1, 5, false)).close(5);
    std::fs::create_dir(dir.path().join(format!("{FILE}.new"))).unwrap();
    for _ in 0..2 {
        let told = captured(|| {
            assert_eq!(QueueAccount::open(dir.path(), found(2, 0, true)).gone(), lost(1, 5));
        });
        assert!(told.contains("is not noted beside the queue"), "{told}");
    }
}

/// The hourly look holds the lock while it writes, and pages ask on the thread that does everything else.
#[test]
fn a_disk_that_hangs_at_a_look_holds_up_nobody_who_asks() {
    let dir = tempfile::tempdir().unwrap();
    let account = QueueAccount::open(dir.path(), found(1, 0, true));
    let (asking, (told, answers)) = (account.clone(), std::sync::mpsc::channel());
    let writing = account.lock();
    std::thread::spawn(move || told.send((asking.gone(), asking.known_s(), asking.gone_before())));
    let answered = answers.recv_timeout(Duration::from_secs(30));
    drop(writing);
    assert_eq!(answered, Ok((lost(0, 0), 0, 0)));
}
