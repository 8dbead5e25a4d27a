use bytes::Bytes;

use crate::bridge::packing::pack::RawPack;
use crate::bridge::spool::{LeaseId, MemorySpool, Settled};
use crate::bridge::stats::Stats;
use crate::row::Row;
use crate::session::{ClientConfig, Session};

use super::super::poison::RowKey;
use super::*;

const DENIED: ReasonCode = ReasonCode::NOT_AUTHORIZED;
/// A probe is due by then.
const LATE_MS: u64 = 60_000;

/// A spool that counts passes over its parked rows.
struct Counted {
    memory: MemorySpool,
    scans: u32,
    /// Parked rows are read still, and none can be given.
    is_reading: bool,
    scanned: Option<bool>,
}

impl Spool for Counted {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.memory.lease(now_ms, max_rows, max_bytes)
    }

    fn ack(&mut self, id: LeaseId) {
        self.memory.ack(id);
    }

    fn settle(&mut self, id: LeaseId, why: Settled) {
        self.memory.settle(id, why);
    }

    fn give_back(&mut self, id: LeaseId) {
        self.memory.give_back(id);
    }

    fn park(&mut self, id: LeaseId, why: ReasonCode) {
        self.memory.park(id, why);
    }

    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        if self.is_reading { Vec::new() } else { self.memory.lease_parked(now_ms, max_rows, max_bytes) }
    }

    fn scan_parked(&mut self) {
        self.scans += 1;
    }

    fn is_scanned(&self) -> Option<bool> {
        self.scanned
    }

    fn waiting(&self) -> u64 {
        self.memory.waiting()
    }

    fn parked(&self) -> u64 {
        self.memory.parked()
    }
}

struct Rig {
    uplink: Uplink<RawPack>,
    session: Session,
    spool: Counted,
    stats: Stats,
}

fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

fn at(up_ms: u64) -> Now {
    Now { up_ms, wall_ms: 0 }
}

impl Rig {
    /// A link that is refused since 0 ms; topic `t/0` was tried.
    fn refused() -> Self {
        let mut uplink = Uplink::new(RawPack::default(), 1_000_000, 1);
        for _ in 0..8 {
            uplink.link.on_answer(0, DENIED, &text("t/0"), false);
        }
        assert!(uplink.link.is_refused());
        let memory = MemorySpool::new(100_000, 100_000_000);
        let spool = Counted { memory, scans: 0, is_reading: false, scanned: None };
        let session = Session::client(0, 1, ClientConfig::new(text("site7")), None);
        Self { uplink, session, spool, stats: Stats::default() }
    }

    fn push(&mut self, topic: &str, payload: &'static [u8]) {
        self.spool.memory.push(0, Row::new(text(topic), Bytes::from_static(payload))).unwrap();
    }

    fn park(&mut self, topics: &[&str]) {
        topics.iter().for_each(|topic| self.push(topic, b"1"));
        for row in self.spool.lease(0, topics.len(), usize::MAX) {
            self.spool.park(row.id, DENIED);
        }
    }

    fn probe(&mut self, now_ms: u64) -> Option<Message> {
        let Self { uplink, session, spool, stats } = self;
        uplink.link_probe(&mut Turn { now: at(now_ms), session, spool, stats, parks: 1_024 })
    }

    fn probe_topic(&mut self, now_ms: u64) -> Option<String> {
        self.probe(now_ms).map(|message| message.topic().to_string())
    }

    fn finish_sweep(&mut self, mut parks: usize) -> bool {
        self.uplink.finish_sweep(at(100), &mut self.spool, &mut parks)
    }
}

#[test]
fn everything_goes_back_once_and_then_what_came_back_meanwhile() {
    let mut rig = Rig::refused();
    rig.push("t/1", b"1");
    let take = |rig: &mut Rig| {
        let row = rig.spool.lease(0, 1, 100).remove(0);
        rig.uplink.pack.add(at(0), row);
        rig.uplink.probing = true;
    };
    take(&mut rig);
    assert_eq!(rig.probe_topic(0), None, "not due");
    assert_eq!((rig.spool.waiting(), rig.uplink.pack.is_empty()), (1, true));
    // The row in the pack is the probe from now on.
    take(&mut rig);
    let message = rig.probe(1).unwrap();
    assert_eq!((message.topic().as_str(), rig.spool.waiting()), ("t/1", 0));
    rig.uplink.again.push_back(message);
    assert_eq!(rig.probe_topic(2), None);
    assert_eq!((rig.spool.waiting(), rig.uplink.again.len()), (1, 0));
}

#[test]
fn a_sweep_is_brought_to_its_end_in_turns() {
    let mut rig = Rig::refused();
    rig.park(&["t/1"; 100]);
    rig.uplink.sweep.begin(&mut rig.spool);
    assert!(rig.finish_sweep(0), "there is more to do");
    assert_eq!((rig.uplink.resume_ms, rig.uplink.sweep.room()), (Some(101), 64));
    assert!(!rig.finish_sweep(1_000));
    assert!(!rig.uplink.sweep.is_active());
    assert_eq!(rig.spool.lease_parked(100, 100, 1_000).len(), 100, "they are parked again");
}

#[test]
fn a_sweep_whose_rows_are_elsewhere_is_waited_for() {
    let mut rig = Rig::refused();
    rig.park(&["t/1"; 3]);
    rig.uplink.sweep.begin(&mut rig.spool);
    assert_eq!(rig.spool.lease_parked(0, 3, 100).len(), 3);
    assert!(rig.finish_sweep(1_000));
    rig.push("t/1", b"1");
    assert_eq!(rig.probe_topic(LATE_MS), Some("t/1".to_owned()), "after 5 s it is over");
}

#[test]
fn a_link_gives_way_when_rows_or_bytes_in_sight_are_of_tried_topics_alone() {
    const LARGE: &[u8] = &[b'1'; PROBE_BYTES];
    const HALF: &[u8] = &[b'1'; PROBE_BYTES / 2];
    for (rows, payload, gives_way) in
        [(1, LARGE, true), (1, HALF, false), (PROBE_ROWS, &b"1"[..], true), (PROBE_ROWS - 1, b"1", false)]
    {
        let mut rig = Rig::refused();
        (0..rows).for_each(|_| rig.push("t/0", payload));
        drop(rig.probe(LATE_MS));
        assert_eq!(rig.uplink.link.is_refused(), !gives_way, "{rows} of {}", payload.len());
        assert_eq!(rig.uplink.refusals.is_refused(&text("t/0")), gives_way);
        assert_eq!(rig.uplink.resume_ms, gives_way.then_some(LATE_MS + 1));
    }
}

#[test]
fn a_parked_row_probes_when_nothing_else_is_there() {
    let mut rig = Rig::refused();
    rig.park(&["t/0", "t/1", "t/2"]);
    assert_eq!(rig.probe_topic(0), None, "not due");
    assert_eq!(rig.probe_topic(LATE_MS), Some("t/1".to_owned()), "of a topic that was not tried");
    assert_eq!(rig.spool.lease_parked(LATE_MS, 3, 100).len(), 2, "the others stay");
    // A row that waits goes first, and a person's pass is not disturbed.
    let mut rig = Rig::refused();
    rig.park(&["t/1"]);
    rig.push("t/0", b"1");
    assert_eq!(rig.probe_topic(LATE_MS), Some("t/0".to_owned()));
}

#[test]
fn a_look_before_the_probe_is_due_touches_no_parked_row() {
    let mut rig = Rig::refused();
    rig.park(&["t/1"]);
    rig.push("t/0", b"1");
    rig.uplink.link.on_probe();
    for _ in 0..8 {
        rig.uplink.link.on_answer(0, DENIED, &text("t/0"), true);
        rig.uplink.link.on_probe();
    }
    assert_eq!(rig.probe_topic(2_000), None);
    assert_eq!((rig.spool.scans, rig.uplink.link.due_ms()), (0, Some(4_000)), "the next look");
}

#[test]
fn a_poison_row_probes_only_when_its_time_has_come() {
    let mut rig = Rig::refused();
    rig.park(&["t/1", "t/2"]);
    rig.uplink.poison.on_parked(LATE_MS, &[RowKey::Lease(LeaseId(1))]);
    assert_eq!(rig.probe_topic(LATE_MS), Some("t/2".to_owned()));
}

#[test]
fn parked_rows_that_are_being_read_are_waited_for() {
    for (scanned, scans) in [(Some(false), 1), (Some(true), 2), (None, 2)] {
        let mut rig = Rig::refused();
        rig.park(&["t/1"]);
        (rig.spool.is_reading, rig.spool.scanned) = (true, scanned);
        assert_eq!(rig.probe_topic(LATE_MS), None);
        assert_eq!((rig.spool.scans, rig.uplink.link.due_ms()), (1, Some(LATE_MS + 1_000)));
        rig.spool.is_reading = false;
        assert_eq!(rig.probe_topic(LATE_MS + 1_000), Some("t/1".to_owned()));
        assert_eq!(rig.spool.scans, scans, "{scanned:?}");
        assert!(!rig.uplink.looks, "the next one looks from the front");
    }
}
