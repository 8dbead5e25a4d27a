//! Promise 1 where the file of a running queue is removed or moved away, or its volume unmounted: writes go on without an error, and the next open
//! would not find them. So no row counts as stored until the file is at its path again.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, reason = "test code")]

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use edge_queue::medium::{Call, Hooked, Verdict, os::OsDir};
use edge_queue::{
    Config, Event, FaultKind, Health, ManualClock, Now, Queue, Receipt, Row, StoreKind, SystemClock, Wait,
};

const KINDS: [(StoreKind, &str); 2] = [(StoreKind::Ring, "queue.ring"), (StoreKind::Redb, "queue.redb")];
/// At least the pause between two looks at the name, and between two tries of a commit.
const LATER_MS: u64 = 10_000;

struct Rig {
    _home: tempfile::TempDir,
    dir: PathBuf,
    away: PathBuf,
    file: &'static str,
    kind: StoreKind,
    clock: Arc<ManualClock>,
    queue: Queue,
}

impl Rig {
    /// A queue in which one row waits.
    fn new((kind, file): (StoreKind, &'static str)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (dir, away) = (home.path().join("state"), home.path().join("away"));
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
        let queue = Queue::open_with_clock(&dir, config(kind), clock.clone()).unwrap();
        let stored = queue.push(Row::new("before")).unwrap();
        queue.commit().unwrap();
        assert_eq!(stored.try_get(), Ok(Some(Receipt::Stored)));
        let _events = queue.events();
        Rig { _home: home, dir, away, file, kind, clock, queue }
    }

    fn is_lost(&self) -> bool {
        matches!(self.queue.stats().health, Health::Degraded { kind: FaultKind::NameLost, .. })
    }

    #[track_caller]
    fn tells_once(&self) {
        let events = self.queue.events();
        let [Event::Degraded { kind: FaultKind::NameLost, reason }] = &events[..] else {
            panic!("{events:?}");
        };
        assert!(reason.starts_with(self.file), "{reason}");
    }
}

fn config(kind: StoreKind) -> Config {
    Config::default().max_bytes(1 << 20).store(kind)
}

fn rows(queue: &Queue) -> Vec<Vec<u8>> {
    let mut hub = queue.consumer("hub").unwrap();
    hub.lease(100, Wait::None).unwrap().iter().map(|row| row.payload().to_vec()).collect()
}

/// No row is stored after `lose`, all are after `mend`, and the next open finds them.
#[track_caller]
fn nothing_is_stored_meanwhile(rig: Rig, lose: impl FnOnce(&Rig), mend: impl FnOnce(&Rig)) {
    lose(&rig);
    rig.clock.advance_ms(LATER_MS);
    let waiting = rig.queue.push(Row::new("meanwhile")).unwrap();
    assert!(rig.queue.commit().is_err());
    for _ in 0..5 {
        rig.clock.advance_ms(LATER_MS);
        assert!(!rig.queue.tick());
    }
    assert_eq!(waiting.try_get(), Ok(None), "{:?}", rig.kind);
    assert!(rig.is_lost());
    rig.tells_once();

    mend(&rig);
    rig.clock.advance_ms(LATER_MS);
    assert!(rig.queue.tick());
    assert_eq!(waiting.try_get(), Ok(Some(Receipt::Stored)), "{:?}", rig.kind);
    assert_eq!(rig.queue.stats().health, Health::Healthy);
    assert!(matches!(rig.queue.events()[..], [Event::Recovered]));
    rig.queue.close().unwrap();
    let again = Queue::open(&rig.dir, config(rig.kind)).unwrap();
    assert_eq!(rows(&again), [b"before".to_vec(), b"meanwhile".to_vec()], "{:?}", rig.kind);
}

#[test]
fn a_directory_that_is_moved_away_stores_nothing_until_it_is_back() {
    for kind in KINDS {
        nothing_is_stored_meanwhile(
            Rig::new(kind),
            |rig| fs::rename(&rig.dir, &rig.away).unwrap(),
            |rig| fs::rename(&rig.away, &rig.dir).unwrap(),
        );
    }
}

/// As after an unmount, which leaves the empty directory of the mount point.
#[test]
fn an_empty_directory_in_its_place_stores_nothing_until_it_is_back() {
    for kind in KINDS {
        nothing_is_stored_meanwhile(
            Rig::new(kind),
            |rig| {
                fs::rename(&rig.dir, &rig.away).unwrap();
                fs::create_dir(&rig.dir).unwrap();
            },
            |rig| {
                fs::remove_dir_all(&rig.dir).unwrap();
                fs::rename(&rig.away, &rig.dir).unwrap();
            },
        );
    }
}

#[test]
fn another_file_of_its_name_stores_nothing_until_it_is_back() {
    let path = |rig: &Rig| rig.dir.join(rig.file);
    for kind in KINDS {
        nothing_is_stored_meanwhile(
            Rig::new(kind),
            |rig| {
                fs::rename(path(rig), &rig.away).unwrap();
                fs::copy(&rig.away, path(rig)).unwrap();
            },
            |rig| fs::rename(&rig.away, path(rig)).unwrap(),
        );
    }
}

/// A changed limit gives the ring a new file, a first open both stores: it was made under another name, which it has no more.
#[test]
fn a_file_that_was_renamed_to_its_name_has_it() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        rig.queue.close().unwrap();
        let larger = config(kind.0).max_bytes(2 << 20);
        let queue = Queue::open_with_clock(&rig.dir, larger, rig.clock.clone()).unwrap();
        let stored = queue.push(Row::new("after")).unwrap();
        rig.clock.advance_ms(LATER_MS);
        assert!(queue.tick());
        assert_eq!(stored.try_get(), Ok(Some(Receipt::Stored)), "{kind:?}");
    }
}

/// A queue at rest tells as well; what waits can be read, and what is acknowledged in time is handed over.
#[test]
fn a_removed_directory_is_told_at_rest_and_gives_what_waits() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        let mut hub = rig.queue.consumer("hub").unwrap();
        fs::remove_dir_all(&rig.dir).unwrap();
        rig.clock.advance_ms(LATER_MS);
        rig.queue.tick();
        assert!(rig.is_lost(), "{kind:?}");
        rig.tells_once();
        let handed_over = rig.queue.push(Row::new("meanwhile")).unwrap();
        let leases = hub.lease(100, Wait::None).unwrap();
        assert_eq!(leases.len(), 2, "{kind:?}");
        leases.ack();
        assert_eq!(handed_over.try_get(), Ok(Some(Receipt::HandedOver)));
        assert!(rig.queue.close().is_err(), "{kind:?}");
        assert!(!Path::new(&rig.dir).exists(), "{kind:?}: nothing is made in its place");
    }
}

#[test]
fn a_queue_at_rest_tells_that_its_directory_is_back() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        fs::rename(&rig.dir, &rig.away).unwrap();
        rig.clock.advance_ms(LATER_MS);
        rig.queue.tick();
        rig.tells_once();
        fs::rename(&rig.away, &rig.dir).unwrap();
        rig.clock.advance_ms(LATER_MS);
        rig.queue.tick();
        assert_eq!(rig.queue.stats().health, Health::Healthy);
        assert!(matches!(rig.queue.events()[..], [Event::Recovered]));
    }
}

/// As when the mount point below an unmounted volume is at first empty, and then closed to this user.
#[test]
fn a_name_that_was_lost_is_not_back_because_nobody_may_look() {
    for (kind, _) in KINDS {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
        let answer = Arc::new(Mutex::new(None::<ErrorKind>));
        let asked = answer.clone();
        let dir = Hooked::new(OsDir::new(home.path()).unwrap(), move |call| match *asked.lock().unwrap() {
            Some(kind) if call == Call::Open => Verdict::Fail(kind.into()),
            _ => Verdict::Make,
        });
        let queue = Queue::open_in(Box::new(dir), config(kind), clock.clone()).unwrap();
        let lost = |answers: Option<ErrorKind>| {
            *answer.lock().unwrap() = answers;
            clock.advance_ms(LATER_MS * 7);
            queue.tick();
            matches!(queue.stats().health, Health::Degraded { kind: FaultKind::NameLost, .. })
        };
        assert!(!lost(None) && !lost(Some(ErrorKind::PermissionDenied)), "{kind:?}");
        assert!(lost(Some(ErrorKind::NotFound)) && lost(Some(ErrorKind::PermissionDenied)), "{kind:?}");
        let waiting = queue.push(Row::new("meanwhile")).unwrap();
        assert!(queue.commit().is_err() && waiting.try_get() == Ok(None), "{kind:?}");
        assert!(!queue.events().contains(&Event::Recovered), "{kind:?}");
        assert!(!lost(None) && queue.events().contains(&Event::Recovered), "{kind:?}");
    }
}

/// It leaves redb to be opened anew, which says nothing of the name.
#[test]
fn a_lost_name_is_found_again_although_a_read_failed_meanwhile() {
    for (kind, _) in KINDS {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
        let (fails, asked) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new([false; 2])));
        let (down, calls) = (fails.clone(), asked.clone());
        let open = || {
            let (down, calls) = (down.clone(), calls.clone());
            let dir = Hooked::new(OsDir::new(home.path()).unwrap(), move |call| {
                let kind = match call {
                    Call::Open => ErrorKind::NotFound,
                    Call::Read => ErrorKind::Other,
                    _ => return Verdict::Make,
                };
                if !*down.lock().unwrap() {
                    return Verdict::Make;
                }
                calls.lock().unwrap()[usize::from(call == Call::Read)] = true;
                Verdict::Fail(kind.into())
            });
            let config = config(kind).max_bytes(8 << 20);
            Queue::open_in(Box::new(dir), config, clock.clone()).unwrap()
        };
        // More rows than redb keeps in RAM.
        let queue = open();
        drop(queue.consumer("hub").unwrap());
        for n in 0..4_000 {
            drop(queue.push(Row::new(vec![7; 1_000])).unwrap());
            if n % 500 == 499 {
                queue.commit().unwrap();
            }
        }
        queue.close().unwrap();
        let queue = open();
        let mut hub = queue.consumer("hub").unwrap();
        let mut is_lost = |fails_now: bool| {
            *fails.lock().unwrap() = fails_now;
            clock.advance_ms(LATER_MS);
            queue.tick();
            let _rows = hub.lease(4_000, Wait::None);
            queue.tick();
            matches!(queue.stats().health, Health::Degraded { kind: FaultKind::NameLost, .. })
        };
        assert!(!is_lost(false) && is_lost(true), "{kind:?}");
        assert_eq!(*asked.lock().unwrap(), [true; 2], "{kind:?}");
        for _ in 0..3 {
            is_lost(false);
        }
        assert_eq!(queue.stats().health, Health::Healthy, "{kind:?}");
    }
}

/// The writer thread looks by itself.
#[test]
fn nobody_has_to_call_for_it() {
    let home = tempfile::tempdir().unwrap();
    let (dir, away) = (home.path().join("state"), home.path().join("away"));
    let clock = Arc::new(SystemClock::new());
    let queue = Queue::open_with_clock(&dir, config(StoreKind::Ring), clock).unwrap();
    let wait_until = |what: &str, is_true: &dyn Fn() -> bool| {
        let since = Instant::now();
        while !is_true() {
            assert!(since.elapsed() < Duration::from_secs(50), "{what}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    fs::rename(&dir, &away).unwrap();
    wait_until("it is told", &|| queue.stats().health != Health::Healthy);
    fs::rename(&away, &dir).unwrap();
    wait_until("it is told that it is back", &|| queue.stats().health == Health::Healthy);
}

/// The bound of the promise: what is pushed between two looks has its receipt.
#[test]
fn two_seconds_after_the_loss_nothing_is_stored_any_more() {
    for kind in KINDS {
        let rig = Rig::new(kind);
        fs::rename(&rig.dir, &rig.away).unwrap();
        rig.clock.advance_ms(2_000);
        let waiting = rig.queue.push(Row::new("meanwhile")).unwrap();
        assert!(rig.queue.commit().is_err(), "{kind:?}");
        assert_eq!(waiting.try_get(), Ok(None), "{kind:?}");
    }
}
