//! Promise 2 on redb, as far as it goes there: a damaged file opens, its rows are kept, counted as lost, or set aside as a
//! whole. Prints how often which: `cargo test -p edge-queue --test redb_damage -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/bad_sectors.rs"]
mod bad_sectors;
#[path = "common/queue_image.rs"]
mod queue_image;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Once};

use edge_queue::medium::Dir;
use edge_queue::testing::{Call, Fault, FaultError, Outcome, Rng, SimDir, budget_percent, seed};
use edge_queue::{Config, Health, Lane, Ledger, ManualClock, Now, Queue, Receipt, Row, StoreKind, Wait};

use bad_sectors::BadSectors;
use queue_image::{Kept, QueueImage};

const PAGE: usize = 4096;
const FILE: &str = "queue.redb";
/// Bytes between two damaged ones at the full budget; `EDGE_DAMAGE_STEP=1` takes them all.
const STEP: usize = 9;

/// redb panics on damaged pages, behind a fence: its messages would bury those of this test.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Overflows are found in the standard library, on redb's behalf.
            let of_redb = |file: &str| file.contains("/redb-") || file.starts_with("/rustc/");
            if !info.location().is_some_and(|at| of_redb(at.file())) {
                usual(info);
            }
        }));
    });
}

/// Counts of damage of one kind by what it left.
#[derive(Default)]
struct Reached {
    counts: BTreeMap<(Kept, bool), u64>,
    again: u64,
    uncounted: u64,
    later_lost: u64,
    files: u64,
}

impl Reached {
    fn add(&mut self, image: &QueueImage, dir: &SimDir, what: &str) {
        let survived = image.survives(dir).unwrap_or_else(|e| panic!("{what}: {e}"));
        *self.counts.entry((survived.kept, survived.file_set_aside)).or_default() += 1;
        self.again += u64::from(survived.again > 0);
        self.uncounted += u64::from(survived.uncounted > 0);
        self.later_lost += u64::from(survived.later_lost > 0);
        assert!(survived.uncounted == 0 || survived.file_set_aside, "{what}: {survived:?}");
        self.files += 1;
    }

    fn print(&self, kind: &str) {
        let of = |kept, aside| self.counts.get(&(kept, aside)).copied().unwrap_or(0);
        println!(
            "redb {kind:>22}: {:6} files | all rows kept {:6} in place, {:5} salvaged | some lost {:5} in place, \
             {:5} salvaged | none kept {:4} | not all counted {:4} | acknowledged rows again {:4} | later rows lost {:3}",
            self.files,
            of(Kept::All, false),
            of(Kept::All, true),
            of(Kept::SomeLost, false),
            of(Kept::SomeLost, true),
            of(Kept::Nothing, false) + of(Kept::Nothing, true),
            self.uncounted,
            self.again,
            self.later_lost,
        );
    }
}

/// Pages that are not all zeros.
fn used(image: &QueueImage) -> Vec<usize> {
    let pages = image.bytes.chunks(PAGE).enumerate();
    pages.filter(|(_, page)| page.iter().any(|b| *b != 0)).map(|(n, _)| n).collect()
}

#[test]
fn a_damaged_redb_file_opens_and_what_is_missing_is_counted() {
    quiet();
    let image = QueueImage::new(StoreKind::Redb);
    let used = used(&image);
    println!("redb file: {} bytes, {} pages used", image.bytes.len(), used.len());
    let budget = usize::try_from(budget_percent()).unwrap();
    let step: usize =
        std::env::var("EDGE_DAMAGE_STEP").map_or(STEP * 100 / budget, |step| step.parse().unwrap());
    let first = usize::try_from(seed()).unwrap() % step;
    let places = || used.iter().flat_map(|page| page * PAGE..(page + 1) * PAGE).skip(first).step_by(step);
    let mut files = 0;
    for (kind, value) in
        [("one bit flipped", None), ("one byte zeroed", Some(0)), ("one byte 0xff", Some(0xff))]
    {
        let mut reached = Reached::default();
        for at in places() {
            let value = value.unwrap_or(image.bytes[at] ^ 1 << (at % 8));
            reached.add(&image, &image.with(at, &[value]), &format!("byte {at} to {value}"));
        }
        reached.print(kind);
        files += reached.files;
    }
    let mut rng = Rng::new(seed());
    let mut reached = Reached::default();
    for page in &used {
        for fill in [vec![0; PAGE], vec![0xff; PAGE], rng.bytes(PAGE)] {
            reached.add(&image, &image.with(page * PAGE, &fill), &format!("page {page}"));
        }
    }
    reached.print("one page overwritten");
    files += reached.files;
    let mut reached = Reached::default();
    for cut in (0..image.bytes.len()).step_by(16 * step) {
        reached.add(&image, &image.cut(cut), &format!("cut at {cut}"));
    }
    reached.print("cut short");
    files += reached.files;
    println!("executed redb.damage: {files} cases");
}

/// Twelve thousand rows are more than redb keeps in RAM.
const MANY: u32 = 12_000;

/// So many rows, of which each says its number, and the pages with the one in the middle, of which redb may have given some back.
fn filled(rows: u32) -> (SimDir, Arc<ManualClock>, BTreeSet<u64>) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
    let dir = SimDir::new();
    let queue = open_over(&BadSectors::over(dir.clone()), &clock);
    drop(queue.consumer("hub").unwrap());
    for n in 0..rows {
        drop(queue.push(Row::new(n.to_be_bytes().repeat(60))).unwrap());
        if n % 100 == 99 {
            queue.commit().unwrap();
        }
    }
    let payload = (rows / 2).to_be_bytes().repeat(60);
    let file = dir.content(FILE).unwrap();
    let copies = file.windows(payload.len()).enumerate().filter(|(_, bytes)| *bytes == payload);
    let pages = copies.map(|(at, _)| at as u64 / bad_sectors::PAGE).collect();
    queue.close().unwrap();
    (dir, clock, pages)
}

fn open_over(disk: &BadSectors, clock: &Arc<ManualClock>) -> Queue {
    let config = Config::default().max_bytes(8 << 20).store(StoreKind::Redb);
    Queue::open_in(Box::new(disk.clone()), config, clock.clone()).unwrap()
}

/// Takes what can be had for so many seconds.
fn drain_for(queue: &Queue, clock: &ManualClock, seconds: u64) -> u64 {
    let (mut hub, mut rows) = (queue.consumer("hub").unwrap(), 0);
    for _ in 0..seconds * 2 {
        while let Some(chunk) = hub.lease(500, Wait::None).ok().filter(|chunk| !chunk.is_empty()) {
            rows += chunk.len() as u64;
            chunk.ack();
        }
        clock.advance_ms(500);
    }
    rows
}

fn quarantined(queue: &Queue) -> u64 {
    queue.ledger().iter().map(Ledger::quarantined).sum()
}

#[test]
fn a_sector_that_stays_bad_is_set_aside_after_a_minute_and_the_queue_goes_on() {
    let (dir, clock, pages) = filled(MANY);
    let disk = BadSectors::below_files_of(dir);
    let queue = open_over(&disk, &clock);
    disk.bad.lock().unwrap().extend(pages);
    let before = drain_for(&queue, &clock, 59);
    let told = queue.events();
    assert!(before <= 6000 && quarantined(&queue) == 0, "{before}: {told:?}");
    let after = drain_for(&queue, &clock, 30);
    let lost = quarantined(&queue);
    // An older copy of a row may lie in a page that redb has given back.
    assert!(lost <= 100, "{lost} lost");
    assert_eq!(before + after + lost, 12_000);
    assert_eq!(queue.stats().health, Health::Healthy);
    let stored = queue.push(Row::new("alarm").lane(Lane::ALARM)).unwrap();
    queue.commit().unwrap();
    assert_eq!(stored.try_get(), Ok(Some(Receipt::Stored)));
    queue.close().unwrap();
    assert_eq!(drain_for(&open_over(&disk, &clock), &clock, 1), 1);
}

/// After a kill redb reads every page; after one between a failed sync and its repair it writes them again before.
#[test]
fn a_queue_opens_with_a_sector_that_stays_bad() {
    let (dir, clock, pages) = filled(MANY);
    let _queue = open_over(&BadSectors::over(dir.clone()), &clock);
    for is_unsynced in [false, true] {
        let disk = BadSectors::below_files_of(dir.crash(Outcome::Lost, 1));
        if is_unsynced {
            drop(disk.dir.create("queue.redb.unsynced").unwrap());
        }
        disk.bad.lock().unwrap().extend(0..100_000);
        let config = Config::default().max_bytes(8 << 20).store(StoreKind::Redb);
        let dead = Queue::open_in(Box::new(disk.clone()), config, clock.clone());
        assert!(dead.is_err() && !is_set_aside(&disk.dir), "the medium is down");
        disk.bad.lock().unwrap().clone_from(&pages);
        let queue = open_over(&disk, &clock);
        let told = (queue.events(), disk.dir.names());
        let rows = drain_for(&queue, &clock, 1);
        let lost = quarantined(&queue);
        assert!(lost <= 100 && rows + lost == 12_000, "{rows} rows, {lost} lost: {told:?}");
    }
}

fn is_set_aside(dir: &SimDir) -> bool {
    dir.names().iter().any(|name| name.starts_with("bad/"))
}

/// Neither one that redb reads when it opens, nor one that it reads first in its first commit.
#[test]
fn a_queue_opens_whichever_sector_stays_bad() {
    let (dir, clock, _) = filled(600);
    let pages = dir.content(FILE).unwrap().len() as u64 / bad_sectors::PAGE;
    for page in (1..pages).step_by(3) {
        let disk = BadSectors::below_files_of(dir.crash(Outcome::Lost, 1));
        disk.bad.lock().unwrap().insert(page);
        let queue = open_over(&disk, &clock);
        let rows = drain_for(&queue, &clock, 62);
        let lost = quarantined(&queue);
        assert!(lost <= 100 && rows + lost == 600, "page {page}: {rows} rows, {lost} lost");
    }
}

#[test]
fn a_read_or_a_write_that_fails_once_while_a_queue_opens_sets_nothing_aside() {
    let (dir, clock, _) = filled(600);
    let _queue = open_over(&BadSectors::over(dir.clone()), &clock);
    let (killed, mut faults) = (dir.crash(Outcome::Lost, 1), [0, 0]);
    for (call, fired) in [Call::Read, Call::Write].into_iter().zip(&mut faults) {
        for after in (0..).map(|nth| nth * nth) {
            let disk = BadSectors::over(killed.crash(Outcome::Lost, 1));
            disk.dir.fail(Fault { call, after, error: FaultError::Io, sticky: false });
            let config = Config::default().max_bytes(8 << 20).store(StoreKind::Redb);
            let opened = Queue::open_in(Box::new(disk.clone()), config, clock.clone());
            if disk.dir.counters().faults == 0 {
                break;
            }
            *fired += 1;
            assert!(opened.is_ok() || call == Call::Write, "read {after}: {:?}", opened.err());
            assert!(!is_set_aside(&disk.dir), "{call:?} {after}: {:?}", disk.dir.names());
            drop(opened);
            assert_eq!(drain_for(&open_over(&disk, &clock), &clock, 1), 600, "{call:?} {after}");
        }
    }
    assert!(faults.iter().all(|faults| *faults > 2), "{faults:?}");
}
