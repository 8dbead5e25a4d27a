#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::path::Path;

use edge_queue::{Config as QueueConfig, OnFull, Queue, Row, StoreKind};

use super::*;
use crate::config::hub_topics::gap_topics;

fn config(routes: &str) -> Config {
    let text = format!(
        "[gateway]\nid = \"site7\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub.example\"\n{routes}"
    );
    Config::parse(Path::new("gateway.toml"), &text, &|_| None).unwrap().0
}

const ROUTES: &str = "[[route]]\nmatch = \"alarm/#\"\nlane = \"alarm\"\nto = \"up/\"\n\
                      [[route]]\nmatch = \"#\"\nto = \"out/r\"\nformat = \"json\"\n";

/// A queue of ten rows, and what was pushed beyond them.
struct Rig {
    queue: Queue,
    reports: GapReports,
    now_ms: u64,
}

impl Rig {
    fn new() -> Self {
        let config_of_ten = QueueConfig::default()
            .lanes(2)
            .max_messages(10)
            .on_full(OnFull::DropOldest)
            .store(StoreKind::Memory);
        let queue = Queue::open("unused", config_of_ten).unwrap();
        drop(queue.consumer("hub").unwrap());
        let reports = GapReports::new(&config(ROUTES), queue.gateway_id());
        Self { queue, reports, now_ms: 1_000 }
    }

    fn push(&self, rows: usize) {
        self.push_to(1, rows);
    }

    fn push_to(&self, lane: u8, rows: usize) {
        for _ in 0..rows {
            drop(self.queue.push(Row::new(&b"x"[..]).lane(edge_queue::Lane(lane))).unwrap());
        }
    }

    /// As the monitor does once a second.
    fn turn(&mut self, ms: u64) -> bool {
        self.now_ms += ms;
        self.queue.ack_gaps("hub", &self.reports.take_delivered());
        self.reports.see(self.queue.gaps("hub"))
    }

    fn poll(&self) -> Option<Publish> {
        match self.reports.poll(Now { up_ms: self.now_ms, wall_ms: 0 }, 100_000)? {
            Packing::Message(packed) => {
                assert!(packed.rows.is_empty());
                Some(packed.publish)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn counts(publish: &Publish) -> Vec<u64> {
    let report: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
    report["gaps"].as_array().unwrap().iter().map(|gap| gap["count"].as_u64().unwrap()).collect()
}

#[test]
fn a_loss_is_said_once_and_forgotten_when_the_hub_has_it() {
    let mut rig = Rig::new();
    assert!(!rig.turn(0) && rig.poll().is_none() && rig.reports.next_deadline().is_none());
    rig.push(14);
    assert!(rig.turn(1_000), "the link is to be woken");
    assert!(!rig.turn(1_000), "once");
    let publish = rig.poll().unwrap();
    assert_eq!((publish.topic.as_str(), counts(&publish)), ("out/r/$gap", vec![4]));
    let report: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
    assert_eq!(report["id"], "site7");
    assert_eq!(report["gateway"], format!("{:016x}", rig.queue.gateway_id()));
    let record = &report["gaps"][0];
    assert_eq!(
        (record["lane_name"].as_str(), record["reason"].as_str()),
        (Some("telemetry"), Some("overflow"))
    );
    assert_eq!((record["first_seq"].as_u64(), record["last_seq"].as_u64()), (Some(1), Some(4)));
    rig.turn(1_000);
    assert!(rig.poll().is_none() && rig.queue.gaps("hub").len() == 1, "not before its PUBACK");
    rig.reports.on_delivered(&publish);
    rig.turn(1_000);
    assert!(rig.queue.gaps("hub").is_empty());
    rig.turn(3_600_000);
    assert!(rig.poll().is_none());
}

/// The queue lists a loss until its record is removed, up to a second after the PUBACK: a report that is due meanwhile would tell it again.
#[test]
fn promise_3_a_loss_that_the_hub_has_is_not_said_again_before_the_queue_forgets_it() {
    let mut rig = Rig::new();
    rig.push(14);
    rig.turn(1_000);
    let publish = rig.poll().unwrap();
    let listed = rig.queue.gaps("hub");
    rig.now_ms += EVERY_MS + 1_000;
    rig.reports.on_delivered(&publish);
    assert!(rig.poll().is_none(), "the next is due");
    assert!(!rig.reports.see(listed) && rig.poll().is_none(), "though the queue lists it still");
    rig.turn(1_000);
    assert!(rig.poll().is_none() && rig.queue.gaps("hub").is_empty());
}

#[test]
fn promise_4_a_record_has_lane_and_times_of_its_loss() {
    let rig = Rig::new();
    rig.push(14);
    let mut gap = rig.queue.gaps("hub")[0];
    (gap.first_ms, gap.last_ms) = (5, 9);
    rig.reports.see(vec![gap]);
    let report: serde_json::Value = serde_json::from_slice(&rig.poll().unwrap().payload).unwrap();
    let numbers = ["lane", "first_ms", "last_ms", "count"].map(|name| report["gaps"][0][name].as_i64());
    assert_eq!(numbers, [1, 5, 9, 4].map(Some));
}

#[test]
fn what_is_lost_while_a_report_is_on_its_way_is_said_in_the_next() {
    let mut rig = Rig::new();
    rig.push(14);
    rig.turn(1_000);
    let first = rig.poll().unwrap();
    rig.push(3);
    rig.turn(1_000);
    rig.reports.on_delivered(&first);
    assert!(rig.turn(1_000));
    assert!(rig.poll().is_none(), "one a minute");
    assert_eq!(rig.reports.next_deadline(), Some(2_000 + EVERY_MS));
    rig.turn(EVERY_MS);
    let second = rig.poll().unwrap();
    assert_eq!((counts(&first), counts(&second)), (vec![4], vec![3]));
}

/// With a row that was kept between two losses each is a record.
#[test]
fn what_one_message_has_no_room_for_follows_at_once_and_new_losses_in_a_minute() {
    let mut rig = Rig::new();
    rig.push(11);
    let one = rig.queue.gaps("hub")[0];
    let gaps = |numbers: std::ops::Range<u64>| {
        numbers.map(|n| {
            let mut gap = one;
            (gap.first_seq, gap.last_seq) = (2 * n, 2 * n);
            gap
        })
    };
    // Three messages, and two records more after each.
    let mut lost = 80;
    for told in [0, 32, 64] {
        rig.now_ms += 1_000;
        rig.reports.take_delivered();
        rig.reports.see(gaps(told..lost).collect());
        let publish = rig.poll().unwrap();
        assert_eq!(counts(&publish).len() as u64, 32.min(lost - told));
        rig.reports.on_delivered(&publish);
        lost += 2;
    }
    rig.reports.take_delivered();
    rig.reports.see(gaps(84..lost).collect());
    rig.now_ms = 1_999 + EVERY_MS;
    assert!(rig.poll().is_none(), "new ones wait");
    rig.now_ms += 1;
    assert_eq!(counts(&rig.poll().unwrap()).len(), 2);
}

#[test]
fn a_report_without_an_answer_is_made_again_less_and_less_often() {
    let mut rig = Rig::new();
    rig.push(12);
    rig.turn(1_000);
    let first = rig.poll().unwrap();
    for n in 0..12 {
        let pause_ms = AGAIN_MS << n.min(DOUBLINGS_MAX);
        rig.turn(pause_ms - 1);
        assert!(rig.poll().is_none(), "{n}");
        // Whatever was lost since: the session may still send the first.
        rig.push(3);
        rig.turn(1);
        assert_eq!(rig.poll().unwrap().payload, first.payload);
    }
    // The last is answered: the first loss was told once, and the rest is told now.
    rig.reports.on_delivered(&first);
    rig.reports.on_delivered(&first);
    rig.turn(EVERY_MS);
    assert_eq!(counts(&rig.poll().unwrap()), [36]);
    // The hub answers again, and so the next is as patient as the first.
    rig.turn(AGAIN_MS - 1);
    assert!(rig.poll().is_none());
    rig.turn(1);
    assert_eq!(counts(&rig.poll().unwrap()), [36]);
}

#[test]
fn a_lane_whose_reports_are_not_answered_silences_no_other() {
    let mut rig = Rig::new();
    rig.push_to(0, 12);
    rig.turn(1_000);
    assert_eq!(rig.poll().unwrap().topic.as_str(), "up/$gap");
    rig.push(14);
    assert!(rig.turn(1_000), "the link is to be woken");
    assert_eq!(rig.reports.next_deadline(), Some(0));
    let telemetry = rig.poll().unwrap();
    assert_eq!((telemetry.topic.as_str(), counts(&telemetry)), ("out/r/$gap", vec![4]));
    rig.reports.on_delivered(&telemetry);
    for _ in 0..5 {
        rig.push(1);
        rig.turn(1_000);
        rig.turn(EVERY_MS);
        let next = rig.poll().unwrap();
        assert_eq!((next.topic.as_str(), counts(&next)), ("out/r/$gap", vec![1]));
        rig.reports.on_delivered(&next);
    }
    assert_eq!(rig.queue.gaps("hub").iter().filter(|gap| gap.lane.0 == 0).count(), 1, "not answered yet");
}

/// Reports of 49 losses.
fn many() -> Rig {
    let rig = Rig::new();
    rig.push(11);
    let one = rig.queue.gaps("hub")[0];
    let gap = |n: u64| {
        let mut gap = one;
        (gap.first_seq, gap.last_seq) = (n * 10, n * 10);
        gap
    };
    rig.reports.see((1..50).map(gap).collect());
    rig
}

#[test]
fn a_report_is_cut_to_what_the_hub_takes_and_one_that_never_fits_asks_for_no_attention() {
    let rig = many();
    let now = Now { up_ms: rig.now_ms, wall_ms: 0 };
    assert!(rig.reports.poll(now, 100).is_none());
    assert_eq!(rig.reports.next_deadline(), Some(rig.now_ms + EVERY_MS), "no busy loop");
    let later = Now { up_ms: rig.now_ms + EVERY_MS, wall_ms: 0 };
    let Some(Packing::Message(packed)) = rig.reports.poll(later, 1_024) else { panic!("it fits in part") };
    assert!(packed.publish.payload.len() < 1_024);
    assert!((2..RECORDS_MAX).contains(&counts(&packed.publish).len()));
}

/// A hub that takes less than the one before would close the connection for the report on each of its attempts, and be told nothing.
#[test]
fn promise_3_a_report_without_an_answer_is_cut_anew_for_a_hub_that_takes_less() {
    let mut rig = many();
    let large = rig.poll().unwrap();
    assert!(large.payload.len() > 1_024 && counts(&large).len() == RECORDS_MAX);
    rig.now_ms += AGAIN_MS;
    let now = Now { up_ms: rig.now_ms, wall_ms: 0 };
    let Some(Packing::Message(packed)) = rig.reports.poll(now, 1_024) else { panic!("it fits in part") };
    assert!(packed.publish.payload.len() < 1_024);
}

#[test]
fn each_lane_has_the_topic_of_its_first_route() {
    assert_eq!(gap_topics(&config(ROUTES)), ["up/$gap", "out/r/$gap"]);
    assert_eq!(gap_topics(&config("[[route]]\nmatch = \"#\"\n")), ["site7/$gap"]);
}

/// A reload changes where routes lead, and so the topics of which `check` speaks.
#[test]
fn reports_follow_changed_routes() {
    let mut rig = Rig::new();
    rig.push(14);
    rig.push_to(0, 20);
    rig.turn(1_000);
    let moved = config(&ROUTES.replace("\"up/\"", "\"moved/\"").replace("\"out/r\"", "\"elsewhere\""));
    rig.reports.follow(&moved);
    let topics = [rig.poll(), rig.poll()].map(|publish| publish.unwrap().topic.as_str().to_owned());
    assert_eq!(topics.to_vec(), gap_topics(&moved));
}
