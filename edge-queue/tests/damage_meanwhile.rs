//! Promises 2 and 3 while a damaged lane is reckoned: what is acknowledged between two of its reads is delivered, and is
//! neither lost nor counted twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::{Arc, Mutex};

use edge_queue::medium::{Call, Hooked, Verdict};
use edge_queue::testing::SimDir;
use edge_queue::{Config, Consumer, Lane, Lease, Ledger, ManualClock, Now, Queue, Row, Wait};

const FILE: &str = "queue.ring";
const PAGE: usize = 4096;
const COMMITS: u64 = 60;
const ROWS: u64 = 100;
const WEIGHT: u64 = 2;

fn sums(queue: &Queue, consumer: &str) -> [u64; 4] {
    let is_its = |ledger: &Ledger| (ledger.consumer.as_str(), ledger.lane) == (consumer, Lane::TELEMETRY);
    let ledger = queue.ledger().into_iter().find(is_its).unwrap();
    [ledger.accepted, ledger.delivered, ledger.quarantined(), ledger.queued]
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

/// Leases that are acknowledged one by one, each before another read of the disk.
type Held = Arc<Mutex<Vec<Lease>>>;

fn open(dir: &SimDir, held: &Held) -> Queue {
    let held = held.clone();
    let hook = move |call| {
        if call == Call::Read {
            let lease = held.lock().unwrap().pop();
            if let Some(lease) = lease {
                lease.ack();
            }
        }
        Verdict::Make
    };
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
    let config = Config::default().max_messages(1_000_000).max_bytes(16 << 20);
    Queue::open_in(Box::new(Hooked::new(dir.clone(), hook)), config, clock).unwrap()
}

/// Offset of the frame with the row `seq`.
fn frame_of(dir: &SimDir, seq: u64) -> u64 {
    let bytes = dir.content(FILE).unwrap();
    let number = |page: &[u8], at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
    let holds = |page: &[u8]| {
        page.starts_with(b"EDGF")
            && page[5] == 2
            && page[6] == Lane::TELEMETRY.0
            && (number(page, 64)..=number(page, 72)).contains(&seq)
    };
    (bytes.chunks(PAGE).position(holds).unwrap() * PAGE) as u64
}

/// The second of sixty frames is damaged while a hub holds the first frame's rows and half of the second's; another consumer
/// finds it. `intact` and `damaged`: rows of either that the hub acknowledges meanwhile.
fn case(intact: usize, damaged: usize) {
    let (dir, held) = (SimDir::new(), Held::default());
    let queue = open(&dir, &held);
    for consumer in ["hub", "other"] {
        drop(queue.consumer(consumer).unwrap());
    }
    for _ in 0..COMMITS {
        for _ in 0..ROWS {
            drop(queue.push(Row::new(vec![7; 60]).weight(WEIGHT as u32)).unwrap());
        }
        queue.commit().unwrap();
    }
    // Of the first frame the hub's acknowledgement is the last that is missing.
    queue.consumer("other").unwrap().lease(ROWS as usize, Wait::None).unwrap().ack();
    queue.close().unwrap();
    let queue = open(&dir, &held);
    let (mut hub, mut other) = (queue.consumer("hub").unwrap(), queue.consumer("other").unwrap());
    let mut first: Vec<Lease> = hub.lease(ROWS as usize, Wait::None).unwrap().into_iter().collect();
    let mut second: Vec<Lease> = hub.lease(ROWS as usize / 2, Wait::None).unwrap().into_iter().collect();
    // Of a frame of rows that weigh more than one the hub lost a part: how much it weighs only a look at the lane tells.
    let frame = frame_of(&dir, ROWS + 1);
    assert!(dir.damage(FILE, frame + 512, &[0; 512]));
    let mut meanwhile = first.split_off(first.len() - intact);
    meanwhile.extend(second.split_off(second.len() - damaged));
    *held.lock().unwrap() = meanwhile;
    assert_eq!(drain(&mut other), (COMMITS - 2) * ROWS);
    assert!(held.lock().unwrap().is_empty(), "a read for each");
    // What the hub still holds of the damaged frame counts until it is acknowledged: nobody else has it.
    let there = (COMMITS - 2) * ROWS + (first.len() + second.len()) as u64;
    assert_eq!(
        queue.stats().messages,
        there * WEIGHT,
        "{intact} of the first frame, {damaged} of the second"
    );
    first.into_iter().chain(second).for_each(Lease::ack);
    assert_eq!(queue.stats().messages, (COMMITS - 2) * ROWS * WEIGHT, "nothing else counts less for it");
    assert_eq!(drain(&mut hub), (COMMITS - 2) * ROWS);
    let (all, frame) = (COMMITS * ROWS * WEIGHT, ROWS * WEIGHT);
    let case = format!("{intact} of the first frame, {damaged} of the second");
    assert_eq!(sums(&queue, "hub"), [all, all - frame / 2, frame / 2, 0], "{case}");
    assert_eq!(sums(&queue, "other"), [all, all - frame, frame, 0], "{case}");
    let stats = queue.stats();
    assert_eq!((stats.messages, stats.bytes), (0, 0), "{case}");
}

#[test]
fn rows_acknowledged_while_a_lane_is_reckoned_are_delivered_and_not_lost() {
    case(0, 0);
    case(20, 0);
    case(0, 20);
    case(10, 10);
}
