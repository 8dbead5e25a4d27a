//! Promises 2 and 3: what damage takes after a clean close is told, to each consumer exactly what it lost, also where
//! nothing is left in the lane that says there was anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/bad_sectors.rs"]
mod bad_sectors;

use std::sync::Arc;

use bad_sectors::BadSectors;
use edge_queue::testing::{Outcome, SimDir};
use edge_queue::{Config, Consumer, Event, Lane, Ledger, ManualClock, Now, Queue, Row, Wait};

const FILE: &str = "queue.ring";
const PAGE: usize = 4096;

fn open(dir: &SimDir) -> Queue {
    open_at(dir, Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true })))
}

fn open_at(dir: &SimDir, clock: Arc<ManualClock>) -> Queue {
    let config = Config::default().max_messages(8_000).max_bytes(1 << 21).row_bytes_max(4096);
    let config = config.segment_bytes(4096 + 128 * 1024);
    Queue::open_in(Box::new(dir.clone()), config, clock).unwrap()
}

fn push(queue: &Queue, lane: Lane, rows: u64) {
    for _ in 0..rows {
        drop(queue.push(Row::new(vec![7; 60]).lane(lane)).unwrap());
    }
    queue.commit().unwrap();
}

fn drain(consumer: &mut Consumer) -> u64 {
    let mut rows = 0;
    loop {
        let chunk = consumer.lease(500, Wait::None).unwrap();
        if chunk.is_empty() {
            return rows;
        }
        rows += chunk.len() as u64;
        chunk.ack();
    }
}

fn ledger(queue: &Queue, consumer: &str) -> Ledger {
    let mut all = queue.ledger().into_iter();
    all.find(|ledger| (ledger.consumer.as_str(), ledger.lane) == (consumer, Lane::TELEMETRY)).unwrap()
}

/// Byte offset of every frame of the lane with rows in it, with its numbers.
fn frames(dir: &SimDir, lane: Lane) -> Vec<(usize, u64, u64)> {
    let bytes = dir.content(FILE).unwrap();
    let is_ours = |page: &[u8]| page.starts_with(b"EDGF") && page[5] == 2 && page[6] == lane.0;
    let number = |page: &[u8], at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
    let pages = bytes.chunks(PAGE).enumerate().filter(|(_, page)| is_ours(page) && page[80..84] != [0; 4]);
    pages.map(|(n, page)| (n * PAGE, number(page, 64), number(page, 72))).collect()
}

/// A thousand rows in the second lane, in ten commits, closed cleanly.
fn thousand(alarms: u64) -> SimDir {
    let dir = SimDir::new();
    let queue = open(&dir);
    let _hub = queue.consumer("hub").unwrap();
    (0..10).for_each(|_| push(&queue, Lane::TELEMETRY, 100));
    (0..alarms).for_each(|_| {
        drop(queue.push(Row::new(vec![1; 3000]).lane(Lane::ALARM)).unwrap());
        queue.commit().unwrap();
    });
    queue.close().unwrap();
    dir
}

fn flip(dir: &SimDir, at: usize) {
    let byte = dir.content(FILE).unwrap()[at] ^ 1;
    assert!(dir.damage(FILE, at as u64, &[byte]));
}

/// The rest of the thousand is delivered, the loss is told, and new rows pass.
fn accounts(dir: &SimDir, lost: u64) {
    let queue = open(dir);
    let events = queue.events();
    assert!(events.iter().any(|e| matches!(e, Event::Lost { rows, .. } if *rows == lost)), "{events:?}");
    let before = ledger(&queue, "hub");
    assert_eq!((before.accepted, before.quarantined(), before.queued), (1000, lost, 1000 - lost));
    let mut hub = queue.consumer("hub").unwrap();
    let gaps: Vec<_> = hub.gaps().into_iter().map(|gap| (gap.last_seq, gap.count)).collect();
    assert_eq!(gaps, [(1000, lost)]);
    push(&queue, Lane::TELEMETRY, 5);
    let alarms = queue.stats().lanes[0].messages;
    assert_eq!(drain(&mut hub), 1000 - lost + 5 + alarms);
    assert_eq!(queue.stats().messages, 0);
    drop(hub);
    queue.close().unwrap();
    let queue = open(dir);
    assert_eq!(queue.events(), []);
    assert_eq!((ledger(&queue, "hub").accepted, ledger(&queue, "hub").quarantined()), (1005, lost));
}

#[test]
fn the_last_frame_of_a_lane_is_missed_wherever_it_is_hurt() {
    for offset in [70, 300] {
        let dir = thousand(0);
        let (at, first, last) = *frames(&dir, Lane::TELEMETRY).last().unwrap();
        assert_eq!(last, 1000);
        flip(&dir, at + offset);
        accounts(&dir, last - first + 1);
    }
}

#[test]
fn a_lane_of_which_nothing_is_left_is_a_loss_and_goes_on() {
    for alarms in [0, 60] {
        let dir = thousand(alarms);
        for (at, _, _) in frames(&dir, Lane::TELEMETRY) {
            let start = 2 * PAGE + (at - 2 * PAGE) / (64 * 1024) * (64 * 1024);
            assert!(dir.damage(FILE, start as u64, &[0; 64 * 1024]));
        }
        accounts(&dir, 1000);
    }
}

/// The damaged frame stays where it is until its slot is used again.
#[test]
fn damage_that_was_counted_is_not_told_by_the_next_open() {
    let dir = SimDir::new();
    let queue = open(&dir);
    drop(queue.consumer("hub").unwrap());
    (0..4).for_each(|_| push(&queue, Lane::TELEMETRY, 100));
    queue.close().unwrap();
    flip(&dir, frames(&dir, Lane::TELEMETRY)[1].0 + 300);
    let is_told = |queue: &Queue| queue.events().iter().any(|event| matches!(event, Event::SetAside(_)));
    let queue = open(&dir);
    let mut hub = queue.consumer("hub").unwrap();
    assert!(is_told(&queue));
    assert_eq!((drain(&mut hub), ledger(&queue, "hub").quarantined()), (300, 100));
    drop(hub);
    queue.close().unwrap();
    let names = dir.names();
    assert!(names.iter().any(|name| name.starts_with("bad/")), "{names:?}");
    let queue = open(&dir);
    assert!(!is_told(&queue));
    assert_eq!((dir.names(), ledger(&queue, "hub").quarantined()), (names, 100));
}

#[test]
fn check_knows_that_the_last_frame_is_missing() {
    let dir = thousand(0);
    let check = |dir: &SimDir| {
        let mut out = Vec::new();
        let outcome = edge_queue::tools::check(Box::new(dir.clone()), false, &mut out).unwrap();
        (outcome, String::from_utf8(out).unwrap())
    };
    assert_eq!(check(&dir).0, edge_queue::tools::Outcome::Clean, "{}", check(&dir).1);
    let (at, _, _) = *frames(&dir, Lane::TELEMETRY).last().unwrap();
    flip(&dir, at + 70);
    let (outcome, text) = check(&dir);
    assert_eq!(outcome, edge_queue::tools::Outcome::Damage, "{text}");
    assert!(text.contains("the last 1 frames with 100 rows are gone"), "{text}");
}

/// Three consumers with different places in one damaged frame: each hears what it lost, whoever reads first.
#[test]
fn a_damaged_frame_costs_each_consumer_what_it_had_not_acknowledged() {
    for order in [["a", "b", "c"], ["c", "b", "a"]] {
        let dir = SimDir::new();
        let queue = open(&dir);
        let mut consumers = ["a", "b", "c"].map(|name| queue.consumer(name).unwrap());
        push(&queue, Lane::TELEMETRY, 100);
        push(&queue, Lane::TELEMETRY, 100);
        // a: all but the last 4 of the first frame; b: none; c: every third row.
        consumers[0].lease(96, Wait::None).unwrap().ack();
        let leases: Vec<_> = consumers[2].lease(90, Wait::None).unwrap().into_iter().collect();
        leases.into_iter().step_by(3).for_each(edge_queue::Lease::ack);
        queue.commit().unwrap();
        drop(consumers);
        queue.close().unwrap();
        let (at, _, last) = frames(&dir, Lane::TELEMETRY)[0];
        assert_eq!(last, 100);
        assert!(dir.damage(FILE, at as u64 + 512, &[0; 512]));
        let queue = open(&dir);
        for name in order {
            let lost = match name {
                "a" => 4,
                "b" => 100,
                _ => 70,
            };
            let mut consumer = queue.consumer(name).unwrap();
            assert_eq!(drain(&mut consumer), 100, "{name}");
            let told: u64 = consumer.gaps().iter().map(|gap| gap.count).sum();
            let ledger = ledger(&queue, name);
            assert_eq!((told, ledger.quarantined(), ledger.accepted), (lost, lost, 200), "{name}");
            assert!(ledger.balanced());
        }
        let rows = |event| if let Event::Lost { rows, .. } = event { Some(rows) } else { None };
        let told: Vec<u64> = queue.events().into_iter().filter_map(rows).collect();
        assert_eq!(told, [100], "an event says it once, with the rows of who lost most");
    }
}

/// A loss of a consumer in a frame of weights that it acknowledged in part: only a look at the whole lane tells how much it is. Nobody passes over it while a part of
/// the lane cannot be read.
#[test]
fn a_loss_that_cannot_be_counted_yet_waits_for_its_count() {
    let disk = BadSectors::over(SimDir::new());
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
    let config = || Config::default().max_bytes(1 << 21);
    let queue = Queue::open_in(Box::new(disk.clone()), config(), clock.clone()).unwrap();
    for name in ["hub", "other"] {
        drop(queue.consumer(name).unwrap());
    }
    for _ in 0..60 {
        (0..100).for_each(|_| drop(queue.push(Row::new(vec![7; 60]).weight(2)).unwrap()));
        queue.commit().unwrap();
    }
    queue.close().unwrap();
    let queue = Queue::open_in(Box::new(disk.clone()), config(), clock.clone()).unwrap();
    let (mut hub, mut other) = (queue.consumer("hub").unwrap(), queue.consumer("other").unwrap());
    hub.lease(100, Wait::None).unwrap().ack();
    hub.lease(50, Wait::None).unwrap().ack();
    let frames = frames(&disk.dir, Lane::TELEMETRY);
    assert!(disk.dir.damage(FILE, frames[1].0 as u64 + 512, &[0; 512]));
    disk.bad.lock().unwrap().insert((frames[40].0 / PAGE) as u64);
    let mut drained = || {
        clock.advance_ms(500);
        let chunks =
            std::iter::from_fn(|| other.lease(500, Wait::None).ok().filter(|chunk| !chunk.is_empty()));
        let acked = chunks.map(|chunk| {
            let rows = chunk.len();
            chunk.ack();
            rows
        });
        acked.sum::<usize>()
    };
    assert_eq!((0..4).map(|_| drained()).sum::<usize>(), 0);
    disk.bad.lock().unwrap().clear();
    assert_eq!((0..60).map(|_| drained()).sum::<usize>(), 5_900);
    let of = |consumer| ledger(&queue, consumer);
    assert_eq!((of("other").quarantined(), of("hub").quarantined()), (200, 100));
    assert!(of("other").balanced() && of("hub").balanced());
}

/// Ten commits a minute apart; each damaged frame is told with the times of the rows around it, however the loss is counted.
#[test]
fn a_gap_that_damage_made_lies_between_the_times_of_its_neighbours() {
    for (hurt, weight, ends) in [(3, 1, (2, 4)), (0, 1, (1, 1)), (9, 1, (8, 8)), (3, 2, (2, 4))] {
        let (dir, minute) = (SimDir::new(), |n: i64| 1_000 + n * 60_000);
        let clock =
            Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: minute(0), synced: true }));
        let queue = open_at(&dir, clock.clone());
        let mut hub = queue.consumer("hub").unwrap();
        for _ in 0..10 {
            let row = || Row::new(vec![7; 60]).lane(Lane::TELEMETRY).weight(weight);
            (0..100).for_each(|_| drop(queue.push(row()).unwrap()));
            queue.commit().unwrap();
            clock.advance_ms(60_000);
        }
        // Of a frame whose rows weigh more than one and are done in part, the numbers do not say what its loss weighs: the lane is
        // looked through.
        if weight > 1 {
            let rows: Vec<_> = hub.lease(350, Wait::None).unwrap().into_iter().collect();
            rows.into_iter().skip(300).step_by(2).for_each(edge_queue::Lease::ack);
        }
        drop(hub);
        queue.close().unwrap();
        let (at, ..) = frames(&dir, Lane::TELEMETRY)[hurt];
        assert!(dir.damage(FILE, at as u64 + 512, &[0; 512]));
        let queue = open(&dir);
        let mut hub = queue.consumer("hub").unwrap();
        drain(&mut hub);
        let gaps = hub.gaps();
        let times: Vec<_> = gaps.iter().map(|gap| (gap.first_ms, gap.last_ms)).collect();
        assert_eq!(times, [(minute(ends.0), minute(ends.1))], "frame {hurt}: {gaps:?}");
    }
}

/// After a kill only what stands behind the last whole frame can be a commit that was never finished: damage elsewhere took rows that were safe.
#[test]
fn after_a_kill_damage_before_the_end_is_told_as_damage_alone() {
    for (hurt, offset) in (0..10).flat_map(|hurt| [(hurt, 70), (hurt, 129), (hurt, 512)]) {
        let dir = SimDir::new();
        let queue = open(&dir);
        let _hub = queue.consumer("hub").unwrap();
        (0..10).for_each(|_| push(&queue, Lane::TELEMETRY, 100));
        let dir = dir.crash(Outcome::Kept, 1);
        let (at, ..) = frames(&dir, Lane::TELEMETRY)[hurt];
        flip(&dir, at + offset);
        let queue = open(&dir);
        let mut events = queue.events();
        let is_uncertain = events.contains(&Event::TailUncertain);
        assert_eq!(is_uncertain, hurt == 9, "frame {hurt}, byte {offset}: {events:?}");
        drain(&mut queue.consumer("hub").unwrap());
        events.extend(queue.events());
        let rows = |event| if let Event::Lost { rows, .. } = event { Some(rows) } else { None };
        let lost: Vec<u64> = events.iter().cloned().filter_map(rows).collect();
        assert_eq!(
            lost,
            if hurt == 9 { vec![] } else { vec![100] },
            "frame {hurt}, byte {offset}: {events:?}"
        );
    }
}

/// The copy set aside is what was damaged, and all of it: nobody can look at the bytes of a frame whose place is used again. A frame whose head is whole
/// is found by the open too, where it looks at the end of a lane.
#[test]
fn the_copies_of_a_damaged_frame_have_its_bytes() {
    for (hurt, offset, copies) in [(1, 70, 1), (1, 300, 1), (8, 70, 1), (8, 300, 2)] {
        let dir = thousand(0);
        let frames = frames(&dir, Lane::TELEMETRY);
        let (at, next) = (frames[hurt].0, frames[hurt + 1].0);
        flip(&dir, at + offset);
        let damaged = dir.content(FILE).unwrap();
        let queue = open(&dir);
        assert_eq!(drain(&mut queue.consumer("hub").unwrap()), 900);
        let names: Vec<_> = dir.names().into_iter().filter(|name| name.starts_with("bad/ring-e")).collect();
        assert_eq!(names.len(), copies, "frame {hurt}, byte {offset}: {names:?}");
        let is_it = |name: &String| dir.content(name).unwrap() == damaged[at..next];
        assert!(names.iter().all(is_it), "frame {hurt}, byte {offset}: {names:?} have other bytes");
    }
}
