//! Bugs that once were planted from outside and that no test found: each is planted again, and the test that finds it shows
//! that it finds nothing without it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    missing_docs,
    reason = "test code, some of it with threads that wait"
)]

#[path = "common/ring_image.rs"]
mod ring_image;

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use edge_queue::store::{Change, Position, Store, StoreError};
use edge_queue::testing::{Call, Fault, FaultError, Flaw, Outcome, SimDir};
use edge_queue::{Config, ManualClock, Now, Queue, Row, StoreKind, SystemClock, Wait, aio};

use ring_image::{LANE, PAGE, open, plain, read};

/// `f` finds nothing, and with the bug it finds it.
fn found(flaw: Flaw, f: impl Fn() -> Result<(), String>) {
    assert_eq!(f(), Ok(()), "without {flaw:?}");
    let found = flaw.during(f).expect_err("not found");
    println!("{flaw:?}: {found}");
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, expected {expected:?}")) }
}

fn on_a_disk(dir: &SimDir, config: Config) -> (Queue, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 10_000, ..Now::default() }));
    (Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap(), clock)
}

/// Linux marks the pages of a failed sync clean: they can be read, are not on the medium, and no later sync writes them.
#[test]
fn a_frame_whose_sync_may_have_failed_is_copied_by_the_open_that_counts_it() {
    found(Flaw::UnprovenLeft, || {
        (0..40).try_for_each(|seed| {
            let dir = SimDir::new();
            let (mut store, mut state) = opened(&dir);
            ring_image::commit(&mut store, &mut state, &[plain(1)]);
            dir.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: false });
            store.append(&[plain(2)]).unwrap();
            assert!(store.commit(&[], &state).is_err());
            drop(store);
            dir.heal();
            let (mut store, _) = opened(&dir);
            let seen = read(&mut store).0;
            drop(store);
            let (mut store, _) = opened(&dir.crash(Outcome::Lost, seed));
            expect("rows after the power cut", read(&mut store).0, seen)
        })
    });
}

/// Damage in front of a torn commit is damage: a receipted frame is gone, and then the first one of a commit that nobody got a
/// receipt for, as far as an open after a kill can know.
#[test]
fn a_torn_commit_excuses_no_frame_but_its_own() {
    found(Flaw::AllForgiven, || {
        let dir = SimDir::new();
        let (mut store, mut state) = opened(&dir);
        ring_image::commit(&mut store, &mut state, &[plain(1)]);
        let commit = |store: &mut _, state: &mut _, rows: std::ops::Range<u64>, bytes: usize| {
            let before = dir.content(ring_image::FILE).unwrap();
            let rows: Vec<_> = rows.map(|seq| ring_image::row(seq, vec![seq as u8; bytes])).collect();
            ring_image::commit(store, state, &rows);
            let after = dir.content(ring_image::FILE).unwrap();
            let page = |at: &usize| before[at * PAGE..][..PAGE] != after[at * PAGE..][..PAGE];
            (0..after.len() / PAGE).filter(page).collect::<Vec<_>>()
        };
        let receipted = commit(&mut store, &mut state, 2..5, 3_000);
        let torn = commit(&mut store, &mut state, 5..15, 7_500);
        drop(store);
        let is_head =
            |page: &&usize| dir.content(ring_image::FILE).unwrap()[**page * PAGE..].starts_with(b"EDGF");
        let heads: Vec<_> = torn.iter().filter(is_head).collect();
        expect("frames of the torn commit, at least", heads.len() > 1, true)?;
        let first: Vec<_> = torn.iter().filter(|page| *page < heads[1]).collect();
        for page in receipted.iter().chain(first) {
            assert!(dir.damage(ring_image::FILE, (page * PAGE) as u64, &[0; PAGE]));
        }
        let (mut store, _) = opened(&dir);
        let (rows, lost, _) = read(&mut store);
        expect("row 1 is left", rows.first().map(|row| row.seq), Some(1))?;
        expect("the three receipted rows are reported", lost >= 3, true)
    });
}

fn opened(dir: &SimDir) -> (edge_queue::store::RingStore, edge_queue::store::State) {
    let (store, found) = open(dir);
    (store, found.state)
}

/// Rows until the lane is full, then everything is acknowledged with changes that fill segments: it can always be noted.
#[test]
fn a_full_lane_keeps_two_slots_for_what_is_acknowledged() {
    found(Flaw::ReserveOfOne, || {
        let dir = SimDir::new();
        let (mut store, mut state) = opened(&dir);
        let mut next = 1;
        loop {
            let rows: Vec<_> = (next..next + 14).map(plain).collect();
            let done = store.append(&rows).and_then(|()| store.commit(&[], &state));
            match done {
                Ok(()) => next += 14,
                Err(StoreError::Full { .. }) => break,
                Err(e) => return Err(e.to_string()),
            }
        }
        let free = 5 - segments(&dir);
        expect("segments that are free when rows are refused", free, 2)?;
        for n in 0..60 {
            let mut position = Position::from_floor(1);
            position.acked = (0..900).map(|range| (10 + range * 4, 10 + range * 4 + n % 2)).collect();
            let change = Change::Position { consumer: "hub".into(), lane: LANE, position };
            state.apply(&change);
            store.commit(&[change], &state).map_err(|e| format!("change {n}: {e}"))?;
        }
        Ok(())
    });
}

fn segments(dir: &SimDir) -> usize {
    let bytes = dir.content(ring_image::FILE).unwrap();
    let segments = bytes[ring_image::SEGMENTS_AT..].chunks(ring_image::SEGMENT);
    segments.filter(|segment| segment.starts_with(b"EDGF")).count()
}

/// A commit because of acknowledgements, while a younger row waits: after a power cut nothing may speak of that row.
#[test]
fn a_commit_of_changes_alone_does_not_speak_of_rows_that_wait() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        found(Flaw::WaitingCounted, || {
            let dir = SimDir::new();
            let config = Config::default().store(kind).lanes(1).max_bytes(4 << 20).cursor_lag(2);
            let (q, clock) = on_a_disk(&dir, config.clone());
            let mut hub = q.consumer("hub").unwrap();
            (0..4).for_each(|n| drop(q.push(Row::new(vec![n])).unwrap()));
            q.commit().unwrap();
            let held: Vec<_> = hub.lease(2, Wait::None).unwrap().into_iter().collect();
            drop(q.push(Row::new("waits")).unwrap());
            held.into_iter().for_each(edge_queue::Lease::ack);
            clock.advance_ms(1);
            assert!(q.tick(), "acknowledgements are due");
            let (q, _) = on_a_disk(&dir.crash(Outcome::Lost, 1), config.clone());
            let ledger = q.ledger().remove(0);
            expect("accepted and queued", (ledger.accepted, ledger.queued), (4, 2))
        });
    }
}

#[test]
fn a_consumer_whose_forgetting_could_not_be_written_stays_forgotten() {
    found(Flaw::ForgettingForgotten, || {
        let dir = SimDir::new();
        let config = Config::default().store(StoreKind::Ring).lanes(1).max_bytes(4 << 20);
        let (q, _) = on_a_disk(&dir, config.clone());
        drop(q.consumer("hub").unwrap());
        q.commit().unwrap();
        dir.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: false });
        let _refused = q.forget("hub");
        dir.heal();
        q.commit().unwrap();
        drop(q.push(Row::new("later")).unwrap());
        q.commit().unwrap();
        let (q, _) = on_a_disk(&dir.crash(Outcome::Lost, 1), config);
        expect("consumers", q.ledger().len(), 0)
    });
}

fn in_ram(config: Config) -> Queue {
    let config = config.store(StoreKind::Memory).lanes(1);
    Queue::open_with_clock("unused", config, Arc::new(SystemClock::new())).unwrap()
}

/// Returns whether `done` becomes true within `time`.
fn within(time: Duration, mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + time;
    while !done() {
        if Instant::now() > until {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Far longer than anything here takes, and far shorter than the hour and the minute that the bugs wait.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time that a bug is watched doing nothing, and the number of looks.
const IDLE: Duration = Duration::from_millis(200);
const TRIES: usize = 10;
const HOUR: Duration = Duration::from_secs(3_600);

/// The consumer may lease half of the lane; its other handle waits for ever for more, until the first acknowledges.
fn waits_for_an_ack(flaw: Option<Flaw>, patience: Duration) -> bool {
    let q = in_ram(Config::default().max_messages(40));
    let mut hub = q.consumer("hub").unwrap();
    (0..40u8).for_each(|n| drop(q.push(Row::new(vec![n])).unwrap()));
    let mut held = Vec::new();
    loop {
        let chunk = hub.lease(40, Wait::None).unwrap();
        if chunk.is_empty() {
            break;
        }
        held.extend(chunk);
    }
    assert!(held.len() < 40, "leases are bounded");
    let mut other = q.consumer("hub").unwrap();
    let waiting = std::thread::spawn(move || other.lease(1, Wait::Forever).map(|chunk| chunk.len()));
    // Asleep, as far as anyone can tell.
    std::thread::sleep(Duration::from_millis(50));
    let first = held.remove(0);
    match flaw {
        Some(flaw) => flaw.during(|| first.ack()),
        None => first.ack(),
    }
    let woken = within(patience, || waiting.is_finished());
    q.close().unwrap();
    let _closed = waiting.join().unwrap();
    woken
}

#[test]
fn a_consumer_that_waits_because_of_leases_is_woken_by_an_ack() {
    assert!(waits_for_an_ack(None, PATIENCE));
    assert!((0..TRIES).any(|_| !waits_for_an_ack(Some(Flaw::AckWakesNobody), IDLE)), "not found");
}

/// The commit is due in an hour, or when it is large enough.
fn stores_a_large_commit(flaw: Option<Flaw>, patience: Duration) -> bool {
    let q = in_ram(Config::default().ack_within(HOUR).commit_bytes(4_096));
    drop(q.push(Row::new("small")).unwrap());
    // The writer has gone to sleep, as far as anyone can tell.
    std::thread::sleep(Duration::from_millis(50));
    let push = || q.push(Row::new(vec![0; 8_192])).unwrap();
    let receipt = flaw.map_or_else(push, |flaw| flaw.during(push));
    within(patience, || receipt.try_get().unwrap().is_some())
}

#[test]
fn the_writer_is_woken_when_a_commit_is_large_enough() {
    assert!(stores_a_large_commit(None, PATIENCE));
    let slept = |_| !stores_a_large_commit(Some(Flaw::WriterNotWoken), IDLE);
    assert!((0..TRIES).any(slept), "not found");
}

const WAITS: usize = 200;

/// A producer that waits for each of its receipts, whose commits are due in an hour; somebody else commits `helps` times.
/// Gives whether it came to its end.
fn waits_in_a_row(flaw: Option<Flaw>, helps: usize, patience: Duration) -> bool {
    let q = in_ram(Config::default().ack_within(HOUR));
    let pushes = q.clone();
    let each =
        move || (0..WAITS).all(|_| pushes.push(Row::new("a")).is_ok_and(|receipt| receipt.wait().is_ok()));
    let waiting = std::thread::spawn(move || flaw.map_or_else(&each, |flaw| flaw.during(&each)));
    for _ in 0..helps {
        std::thread::sleep(Duration::from_millis(1));
        q.commit().unwrap();
    }
    let done = within(patience, || waiting.is_finished());
    q.close().unwrap();
    let _refused = waiting.join().unwrap();
    done
}

/// The first two waits are helped; so are those after a pause of 50 ms, where the machine is busy.
#[test]
fn the_third_wait_in_a_row_commits() {
    // One that was stopped for a moment after the last help waits in vain; the rule broken, each does.
    assert!((0..3).any(|_| waits_in_a_row(None, WAITS / 2, PATIENCE)));
    assert!(!waits_in_a_row(None, 0, IDLE), "the first wait commits alone");
    assert!(!waits_in_a_row(Some(Flaw::WaitsNotCounted), WAITS / 2, IDLE), "not found");
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// Counts the wakers of a future that waited which are kept after it and its consumer are gone.
fn wakers_left() -> Result<(), String> {
    let q = aio::Queue::of(in_ram(Config::default())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut hub = runtime.block_on(q.consumer("hub")).unwrap();
    let nobody = Arc::new(Nobody);
    let waker = Waker::from(nobody.clone());
    let mut waits = Box::pin(hub.lease(1));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waits);
    drop(waker);
    expect("of a future alone", Arc::strong_count(&nobody), 2)?;
    drop(hub);
    expect("of a consumer that is gone", Arc::strong_count(&nobody), 1)
}

#[test]
fn the_waker_of_an_async_consumer_goes_with_it() {
    found(Flaw::WakerKept, wakers_left);
}
