//! Predictions beside what the queue does, under messages that come by the gateway's own ingest: twenty random configurations, a quarter at most between them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now as IngestNow};
use edge_bridge::wire::{PropertiesBuilder, Publish, QoS, Utf8, Version};
use edge_queue::testing::SimDir;
use edge_queue::{Lane, ManualClock, Now, Queue, Row};
use outage_drill::Rng;

use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::sensors::ingest::GatewayIngest;

use super::*;

/// A configuration, its load, and the bytes of its topics.
struct Case {
    config: Config,
    load: Load,
    ingest: GatewayIngest,
    rng: Rng,
    sent: u64,
}

impl Case {
    fn random(rng: &mut Rng) -> Self {
        let pick = |rng: &mut Rng, from: &[&str]| {
            let at = usize::try_from(rng.between(0, from.len() as u64 - 1)).unwrap();
            from[at].to_owned()
        };
        let format = pick(rng, &["raw", "json", "cbor", "protobuf", "compact"]);
        let lane = pick(rng, &["alarm", "telemetry"]);
        let filter = pick(rng, &["plant/#", "works/hall7/+/temperature", "a/#"]);
        let bytes = rng.between(2, 8);
        let text = format!(
            "[gateway]\nid=\"site7\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"{filter}\"\nto=\"site7/\"\nformat=\"{format}\"\nlane=\"{lane}\"\n[queue]\nmax_bytes=\"{bytes}MiB\"\n"
        );
        let text =
            if format == "raw" { text } else { text.replace("site7/\"\nformat", "site7/readings\"\nformat") };
        let config = Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap().0;
        let load = Load {
            topic_bytes: 0,
            measured: None,
            messages_per_s: rng.between(1, 400) as f64,
            payload_bytes: 1 << rng.between(4, 12),
            sensors: u32::try_from(rng.between(1, 300)).unwrap(),
        };
        let ingest =
            GatewayIngest::new(&config.routes, DuplicateMarks::new(IngestNow::default(), true)).unwrap();
        Self { config, load, ingest, rng: Rng::new(rng.next_u64()), sent: 0 }
    }

    /// Rows of the next message, which a sensor publishes.
    fn rows(&mut self) -> Vec<Row> {
        self.sent += 1;
        let sensor = format!("t{}", self.rng.between(1, self.load.sensors.into()));
        let topic = self.config.routes[0].filter_topic.replace(['#', '+'], &sensor);
        let payload = match self.config.routes[0].format {
            Format::Raw => vec![b'x'; usize::try_from(self.load.payload_bytes).unwrap()],
            _ => {
                let (value, time) =
                    (self.rng.between(1_500, 2_500) as f64 / 100.0, 1_790_000_000_000 + self.sent);
                format!("{{\"value\":{value},\"ts\":{time},\"unit\":\"Cel\"}}").into_bytes()
            }
        };
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::try_from(topic).unwrap(),
            packet_id: None,
            properties: PropertiesBuilder::new().finish(),
            payload: Bytes::from(payload),
        };
        let message = Inbound::new(Utf8::from_static("c"), Version::V311, &publish);
        let Answer::Store(rows) = self.ingest.ingest(IngestNow::default(), &message) else {
            panic!("{publish:?}")
        };
        let to_queue = |row: edge_bridge::Row| {
            Row::new(row.payload.clone()).meta(row.to_meta()).lane(Lane(self.config.routes[0].lane))
        };
        rows.into_iter().map(to_queue).collect()
    }
}

/// Simulated seconds of wear that are measured.
const WEAR_S: u64 = 100;

/// Seconds until the first message is given up, and bytes written to the store a day, once each part of its file was written before, by a queue on a
/// simulated disk.
fn measured(case: &mut Case) -> (f64, f64) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = store::config(&case.config);
    let queue = Queue::open_in(Box::new(SimDir::new()), config.clone(), clock.clone()).unwrap();
    drop(queue.consumer(store::CONSUMER).unwrap());
    let mut owed = 0.0;
    // No two seconds are alike. Where they differ by half, a commit near the end of a page is one page or two by turns, a third more than by the mean.
    let mut second = |case: &mut Case| {
        owed += case.load.messages_per_s * case.rng.between(90, 110) as f64 / 100.0;
        while owed >= 1.0 {
            owed -= 1.0;
            for row in case.rows() {
                let _receipt = queue.push(row).unwrap();
            }
        }
        clock.advance_ms(1_000);
        queue.tick();
    };
    let written = || queue.stats().store.bytes_written;
    let lost = || queue.ledger().iter().map(|ledger| ledger.dropped.total()).sum::<u64>();
    while lost() == 0 {
        second(case);
    }
    let outage_s = (case.sent - lost()) as f64 / case.load.messages_per_s;
    while written() < config.disk_bytes() {
        second(case);
    }
    let before = written();
    (0..WEAR_S).for_each(|_| second(case));
    (outage_s, (written() - before) as f64 * 86_400.0 / WEAR_S as f64)
}

#[test]
fn outage_and_wear_are_within_a_quarter_of_what_the_queue_does() {
    let mut rng = Rng::new(18);
    for n in 0..20 {
        let mut case = Case::random(&mut rng);
        let (format, load) = (case.config.routes[0].format, case.load);
        let predicted = sizing(&case.config, load).routes.remove(0);
        let (outage, flash) = measured(&mut case);
        for (what, predicted, measured) in [
            ("outage", predicted.outage.as_secs_f64(), outage),
            ("flash", predicted.flash_offline as f64, flash),
        ] {
            let ratio = predicted / measured;
            assert!(
                (0.75..=1.25).contains(&ratio),
                "{n} {format:?} {load:?}: {what} {predicted} beside {measured}"
            );
        }
    }
}

/// Small rows, of which a few to 60 are a commit, beside the bytes that a gateway wrote in an hour while its hub was away and its sensors published
/// evenly.
#[test]
fn wear_by_small_rows_is_within_a_tenth_of_what_was_measured() {
    for (rate, row_bytes, every_s, hour) in [
        (5.0, 49, 1, 12_665_408.0),
        (5.0, 64, 1, 12_768_362.0),
        (10.0, 48, 1, 13_821_049.0),
        (20.0, 72, 1, 13_883_714.0),
        (20.0, 59, 2, 7_185_591.0),
        (30.0, 52, 1, 14_133_377.0),
        (30.0, 74, 1, 14_334_726.0),
        (30.0, 70, 2, 14_824_398.0),
        (45.0, 75, 1, 14_450_527.0),
        (60.0, 55, 1, 14_431_551.0),
        (60.0, 62, 1, 28_842_193.0),
    ] {
        let day = bytes_a_day(rate, row_bytes + ROW_FRAME_BYTES, Duration::from_secs(every_s));
        let ratio = day as f64 / 24.0 / hour;
        assert!((0.9..=1.1).contains(&ratio), "{rate} {row_bytes} {every_s}: {ratio}");
    }
}

/// Catching up takes the time in which the line carries the backlog and what comes meanwhile, and never ends where it does not.
#[test]
fn a_line_that_does_not_take_what_comes_never_catches_up() {
    let each = |wire| LinkBytes { mqtt: wire, wire };
    let hour = OUTAGE.as_secs_f64();
    assert_eq!(catching_up(2_000.0, 10.0, each(100.0), each(100.0)).as_secs_f64(), hour);
    assert_eq!(catching_up(2_000.0, 10.0, each(100.0), each(50.0)).as_secs_f64(), hour / 2.0);
    assert_eq!(catching_up(1_000.0, 10.0, each(100.0), each(1.0)), Duration::MAX);
    // What comes meanwhile goes in the segments of the backlog, and not in its own with an answer.
    let small = LinkBytes { mqtt: 50.0, wire: 170.0 };
    assert!(catching_up(2_000.0, 10.0, small, each(75.0)).as_secs_f64() < hour / 1.9);
}

#[test]
fn the_busiest_five_minutes_have_an_outage_of_their_own() {
    let text = "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"a/#\"\nto=\"up/\"\n";
    let config = Config::parse(Path::new("g.toml"), text, &|_| None).unwrap().0;
    let given = sizing(&config, Load::USUAL).routes[0].clone();
    assert_eq!(given.outage_when_busiest, None);
    let over = Duration::from_secs(60);
    let measured = crate::command_line::check::Measured { over, busiest_per_s: 120.0, has_payload: false };
    let route = sizing(&config, Load { measured: Some(measured), ..Load::USUAL }).routes[0].clone();
    let (mean, busiest) = (route.outage.as_secs_f64(), route.outage_when_busiest.unwrap().as_secs_f64());
    assert_eq!(route.outage, given.outage);
    assert!((mean / busiest - 4.0).abs() < 0.01, "30 and 120 a second: {mean} and {busiest} s");
}
