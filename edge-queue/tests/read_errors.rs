//! Promise 2 while the medium fails to return rows (EIO): they are tried again over a minute, and counted as lost only then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/bad_sectors.rs"]
mod bad_sectors;

use std::sync::Arc;

use edge_queue::inspect::{InspectError, Inspection};
use edge_queue::testing::{Flaw, Outcome, SimDir};
use edge_queue::{Config, Consumer, Event, Health, Lane, ManualClock, Now, OpenError, Queue, Row, Wait};

use bad_sectors::{BadSectors, PAGE};

const FILE: &str = "queue.ring";

struct Rig {
    disk: BadSectors,
    clock: Arc<ManualClock>,
    queue: Queue,
    hub: Consumer,
}

fn open(disk: &BadSectors, clock: &Arc<ManualClock>) -> Result<Queue, OpenError> {
    Queue::open_in(Box::new(disk.clone()), Config::default().max_bytes(8 << 20), clock.clone())
}

impl Rig {
    /// Six thousand rows, only the newest in RAM, and an alarm.
    fn new() -> Rig {
        Rig::with_consumers(&[])
    }

    /// As [`new`](Self::new), with more consumers that want all rows.
    fn with_consumers(names: &[&str]) -> Rig {
        let disk = BadSectors::over(SimDir::new());
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
        let queue = open(&disk, &clock).unwrap();
        let hub = queue.consumer("hub").unwrap();
        names.iter().for_each(|name| drop(queue.consumer(name).unwrap()));
        for _ in 0..60 {
            for _ in 0..100 {
                drop(queue.push(Row::new(vec![7; 200])).unwrap());
            }
            queue.commit().unwrap();
        }
        Rig { disk, clock, queue, hub }
    }

    fn of(disk: BadSectors, clock: Arc<ManualClock>, queue: Queue) -> Rig {
        let hub = queue.consumer("hub").unwrap();
        Rig { disk, clock, queue, hub }
    }

    /// Commits, then closes the queue or ends its process. Returns the disk that the next one finds.
    fn ends(self, closes: bool) -> (BadSectors, Arc<ManualClock>) {
        let Rig { disk, clock, queue, hub } = self;
        drop(hub);
        queue.commit().unwrap();
        if closes {
            queue.close().unwrap();
            return (disk, clock);
        }
        let mut found = BadSectors::over(disk.dir.crash(Outcome::Lost, 1));
        found.bad = disk.bad;
        (found, clock)
    }

    /// The page of the first frame whose rows include `seq`.
    fn page_of(&self, seq: u64) -> u64 {
        self.page_in(Lane::TELEMETRY, seq)
    }

    fn page_in(&self, lane: Lane, seq: u64) -> u64 {
        let bytes = self.disk.dir.content(FILE).unwrap();
        let number = |page: &[u8], at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
        let holds = |page: &[u8]| {
            page.starts_with(b"EDGF")
                && page[5] == 2
                && page[6] == lane.0
                && (number(page, 64)..=number(page, 72)).contains(&seq)
        };
        bytes.chunks(PAGE as usize).position(holds).unwrap() as u64
    }

    /// Takes what can be had for so many seconds.
    fn drain_for(&mut self, seconds: u64) -> u64 {
        let mut rows = 0;
        for _ in 0..seconds * 2 {
            rows += self.drain_once();
        }
        rows
    }

    /// Takes what can be had now, and waits for half a second.
    fn drain_once(&mut self) -> u64 {
        let mut rows = 0;
        while let Ok(chunk) = self.hub.lease(500, Wait::None) {
            if chunk.is_empty() {
                break;
            }
            rows += chunk.len() as u64;
            chunk.ack();
        }
        self.clock.advance_ms(500);
        rows
    }

    fn quarantined(&self) -> u64 {
        self.queue.ledger().iter().map(edge_queue::Ledger::quarantined).sum()
    }
}

/// The file keeps the region of a lane that went while it cannot be copied.
#[test]
fn a_bad_sector_in_a_lane_that_goes_keeps_the_queue_shut_only_while_rows_wait_there() {
    for waits in [false, true] {
        let disk = BadSectors::over(SimDir::new());
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
        let open = |lanes| {
            let config = Config::default().lanes(lanes).max_bytes(8 << 20);
            Queue::open_in(Box::new(disk.clone()), config, clock.clone())
        };
        let queue = open(3).unwrap();
        let hub = queue.consumer("hub").unwrap();
        let mut rig = Rig { disk: disk.clone(), clock: clock.clone(), queue, hub };
        for _ in 0..50 {
            drop(rig.queue.push(Row::new(vec![7; 200]).lane(Lane(2))).unwrap());
        }
        rig.queue.commit().unwrap();
        if !waits {
            assert_eq!(rig.drain_for(1), 50);
        }
        let page = rig.page_in(Lane(2), 10);
        let Rig { queue, hub, .. } = rig;
        drop(hub);
        queue.close().unwrap();
        disk.bad.lock().unwrap().insert(page);
        for _ in 0..2 {
            assert_eq!(open(2).map(drop).is_err(), waits);
        }
        disk.bad.lock().unwrap().clear();
        assert_eq!(open(2).map(drop).is_err(), waits);
        assert!(!waits || open(3).is_ok());
    }
}

/// A rig's disk with three alarms in one slot, of which no page that was written can be read.
fn with_unread_alarms() -> (BadSectors, Arc<ManualClock>) {
    let rig = Rig::new();
    (0..3).for_each(|_| drop(rig.queue.push(Row::new("alarm").lane(Lane::ALARM)).unwrap()));
    let (disk, clock) = rig.ends(true);
    let bytes = disk.dir.content(FILE).unwrap();
    let of_alarms = |page: &[u8]| page.starts_with(b"EDGF") && page[6] == Lane::ALARM.0;
    let pages = bytes.chunks(PAGE as usize).zip(0u64..).filter(|(page, _)| of_alarms(page));
    disk.bad.lock().unwrap().extend(pages.map(|(_, n)| n));
    assert!((2..6).contains(&disk.bad.lock().unwrap().len()));
    (disk, clock)
}

/// The pages of a lane that wrote little are those of one slot, which looks as if it had never been used.
#[test]
fn a_segment_of_which_no_page_can_be_read_at_an_open_is_not_written_over() {
    for stays_bad in [false, true] {
        let (disk, clock) = with_unread_alarms();
        let queue = open(&disk, &clock).unwrap();
        let told = queue.events();
        assert!(told.iter().any(|e| e.to_string().contains("pages could not be read")), "{told:?}");
        queue.tick();
        let mut rig = Rig::of(disk, clock, queue);
        assert_eq!((rig.drain_for(59), rig.quarantined()), (6000, 0));
        if stays_bad {
            assert_eq!((rig.drain_for(20), rig.quarantined()), (0, 3));
            continue;
        }
        let (disk, clock) = rig.ends(true);
        disk.bad.lock().unwrap().clear();
        let queue = open(&disk, &clock).unwrap();
        let mut rig = Rig::of(disk, clock, queue);
        assert_eq!((rig.drain_for(1), rig.quarantined()), (3, 0));
        assert!(rig.queue.ledger().iter().all(edge_queue::Ledger::balanced));
    }
}

/// Rows that the lane gets meanwhile come behind those of the segment.
#[test]
fn rows_written_while_a_segment_cannot_be_read_are_there_with_its_own_once_it_can() {
    for closes in [true, false] {
        let (disk, clock) = with_unread_alarms();
        let queue = open(&disk, &clock).unwrap();
        let rig = Rig::of(disk, clock, queue);
        (0..2).for_each(|_| drop(rig.queue.push(Row::new("later").lane(Lane::ALARM)).unwrap()));
        let (disk, clock) = rig.ends(closes);
        disk.bad.lock().unwrap().clear();
        let queue = open(&disk, &clock).unwrap();
        let mut rig = Rig::of(disk, clock, queue);
        assert_eq!((rig.drain_for(1), rig.quarantined()), (6005, 0), "{closes}");
        assert!(rig.queue.ledger().iter().all(edge_queue::Ledger::balanced));
    }
}

/// Rows that a lane gets meanwhile go to a segment of their own, in whichever lane, and not over pages that may hold whole frames.
#[test]
fn the_end_of_each_lane_stays_while_it_cannot_be_read() {
    let rig = Rig::new();
    (0..3).for_each(|_| drop(rig.queue.push(Row::new("alarm").lane(Lane::ALARM)).unwrap()));
    rig.queue.commit().unwrap();
    let ends = [rig.page_in(Lane::ALARM, 3), rig.page_of(6000)];
    let (disk, clock) = rig.ends(true);
    disk.bad.lock().unwrap().extend(ends);
    let rig = Rig::of(disk.clone(), clock.clone(), open(&disk, &clock).unwrap());
    for lane in [Lane::ALARM, Lane::TELEMETRY] {
        (0..2).for_each(|_| drop(rig.queue.push(Row::new("later").lane(lane)).unwrap()));
    }
    let (disk, clock) = rig.ends(true);
    disk.bad.lock().unwrap().clear();
    let mut rig = Rig::of(disk.clone(), clock.clone(), open(&disk, &clock).unwrap());
    assert_eq!((rig.drain_for(1), rig.quarantined()), (6007, 0));
    assert!(rig.queue.ledger().iter().all(edge_queue::Ledger::balanced));
}

/// Other limits can wait for the sector, as a consumer does; another lane cannot.
#[test]
fn changed_limits_wait_for_a_bad_sector_and_a_new_lane_does_not() {
    for new_lane in [false, true] {
        let rig = Rig::new();
        let page = rig.page_of(250);
        let (disk, clock) = rig.ends(true);
        disk.bad.lock().unwrap().insert(page);
        let config = match new_lane {
            true => Config::default().max_bytes(32 << 20).lanes(3),
            false => Config::default().max_bytes(16 << 20),
        };
        let queue = Queue::open_in(Box::new(disk.clone()), config, clock.clone()).unwrap();
        let told = queue.events();
        assert_eq!(told.iter().any(|e| matches!(e, Event::LimitsKept(_))), !new_lane, "{told:?}");
        disk.bad.lock().unwrap().clear();
        let mut rig = Rig::of(disk, clock, queue);
        let rows = rig.drain_for(15);
        let lost = rig.quarantined();
        assert_eq!((rows + lost, lost > 0), (6000, new_lane), "{lost} lost");
    }
}

#[test]
fn rows_that_come_back_within_a_minute_are_not_lost() {
    for seconds in [1, 20, 55] {
        let mut rig = Rig::new();
        let page = rig.page_of(250);
        rig.disk.bad.lock().unwrap().insert(page);
        let before = rig.drain_for(seconds);
        assert!(before < 6000, "{before}");
        assert!(
            matches!(rig.queue.stats().health, Health::Degraded { .. }),
            "{:?}",
            rig.queue.stats().health
        );
        let told = rig.queue.events();
        assert_eq!(told.iter().filter(|e| matches!(e, Event::Degraded { .. })).count(), 1, "{told:?}");
        drop(rig.queue.push(Row::new("alarm").lane(Lane::ALARM)).unwrap());
        assert_eq!(rig.hub.lease(10, Wait::None).unwrap().len(), 1, "other lanes go on");
        assert_eq!(rig.quarantined(), 0);
        rig.disk.bad.lock().unwrap().clear();
        assert_eq!(before + rig.drain_for(15), 6000 + 1);
        assert_eq!((rig.quarantined(), rig.hub.gaps().len()), (0, 0));
        assert_eq!(rig.queue.stats().health, Health::Healthy);
        assert!(rig.queue.events().contains(&Event::Recovered));
    }
}

#[test]
fn a_read_error_taken_for_damage_is_caught() {
    Flaw::ReadErrorIsDamage.during(|| {
        let mut rig = Rig::new();
        let page = rig.page_of(250);
        rig.disk.bad.lock().unwrap().insert(page);
        rig.drain_for(1);
        assert!(rig.quarantined() > 0, "rows that are whole on the disk count as lost");
    });
}

/// A copy for the next gateway is made of such a disk.
#[test]
fn an_inspection_and_an_export_go_on_behind_a_bad_sector() {
    let rig = Rig::new();
    let page = rig.page_of(250);
    let Rig { disk, queue, hub, .. } = rig;
    drop(hub);
    queue.close().unwrap();
    disk.bad.lock().unwrap().insert(page);
    let mut found = Inspection::open_in(Box::new(disk.clone())).unwrap();
    let mut rows = 0;
    for lane in (0..found.state().lanes).map(Lane) {
        let each = found.each_row::<InspectError>(lane, 1, |_| {
            rows += 1;
            Ok(true)
        });
        each.unwrap();
    }
    let lost: u64 = found.lost().iter().map(|(_, lost)| lost.rows).sum();
    assert!(lost > 0 && lost <= 100 && !found.is_whole(), "{lost} lost");
    assert_eq!(rows + lost, 6000);
    drop(found);
    let mut again = Inspection::open_in(Box::new(disk.clone())).unwrap();
    assert_eq!(again.export(&mut Vec::new()).unwrap().rows(), rows);
    // A medium that returns nothing any more is no damage.
    disk.bad.lock().unwrap().extend(0..100_000);
    let dead = again.each_row::<InspectError>(Lane::TELEMETRY, 1, |_| Ok(true));
    assert!(matches!(dead, Err(InspectError::Read(_))), "{dead:?}");
}

#[test]
fn a_sector_that_stays_bad_is_set_aside_after_a_minute_and_the_lane_goes_on() {
    let mut rig = Rig::new();
    let page = rig.page_of(250);
    rig.disk.bad.lock().unwrap().insert(page);
    let before = rig.drain_for(59);
    assert_eq!(rig.quarantined(), 0);
    let after = rig.drain_for(20);
    let lost = rig.quarantined();
    assert!(lost > 0 && lost <= 100 && before < 6000, "{lost} lost");
    assert_eq!(before + after + lost, 6000);
    assert_eq!(rig.hub.gaps().iter().map(|gap| gap.count).sum::<u64>(), lost);
    assert_eq!((rig.queue.stats().health, rig.queue.stats().messages), (Health::Healthy, 0));
    assert_eq!(rig.queue.events().iter().filter(|e| matches!(e, Event::Lost { .. })).count(), 1);
}

/// A consumer in front of the sector has its minute, however much another reads behind it.
#[test]
fn a_bad_sector_stops_a_consumer_for_a_minute_although_another_reads_the_lane() {
    let mut rig = Rig::with_consumers(&["other"]);
    let mut other = rig.queue.consumer("other").unwrap();
    (0..4).for_each(|_| other.lease(100, Wait::None).unwrap().ack());
    let page = rig.page_of(250);
    rig.disk.bad.lock().unwrap().insert(page);
    let (mut taken, mut short) = (0, 0);
    for _ in 0..75 * 2 {
        let chunk = other.lease(10, Wait::None).unwrap();
        short += u32::from(chunk.len() < 10);
        chunk.ack();
        // The age of the oldest row is read from the store, too, in front of the sector.
        let _figures = rig.queue.stats();
        taken += rig.drain_once();
    }
    let lost = rig.quarantined();
    assert!(lost > 0 && lost <= 100, "{lost} lost");
    assert_eq!(taken + lost, 6000);
    assert_eq!(short, 0, "the other does not wait for the sector, and has a backlog all the time");
}

#[test]
fn a_disk_that_returns_nothing_at_all_costs_nothing_however_long() {
    let mut rig = Rig::new();
    rig.disk.bad.lock().unwrap().extend(0..100_000);
    let before = rig.drain_for(300);
    assert!(before < 6000 && rig.quarantined() == 0, "{before}");
    rig.disk.bad.lock().unwrap().clear();
    assert_eq!(before + rig.drain_for(15), 6000);
    assert_eq!(rig.quarantined(), 0);
}

/// Every later open failed alike, until the sector came back.
#[test]
fn a_queue_opens_with_a_bad_sector_in_the_commit_that_a_crash_interrupted() {
    let mut rig = Rig::new();
    assert_eq!(rig.drain_for(1), 6000);
    rig.queue.commit().unwrap();
    for _ in 0..1000 {
        drop(rig.queue.push(Row::new(vec![8; 200])).unwrap());
    }
    rig.queue.commit().unwrap();
    let page = rig.page_of(6001);
    let Rig { disk, clock, queue, hub } = rig;
    let disk = BadSectors::over(disk.dir.crash(Outcome::Lost, 1));
    drop((hub, queue));
    disk.bad.lock().unwrap().extend(0..100_000);
    assert!(open(&disk, &clock).is_err(), "a medium that returns nothing is no damage");
    *disk.bad.lock().unwrap() = [page].into();
    let queue = open(&disk, &clock).unwrap();
    let hub = queue.consumer("hub").unwrap();
    let mut rig = Rig { disk, clock, queue, hub };
    let left = rig.drain_for(90);
    assert!((500..1000).contains(&left), "{left} of the rows behind it");
    assert!(rig.queue.ledger().iter().all(|ledger| ledger.balanced() && ledger.queued == 0));
    assert_eq!(rig.queue.stats().health, Health::Healthy);
}
