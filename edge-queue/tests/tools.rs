//! The commands of the `edge-queue` binary (promises 2, 3 and 12): they write nothing, find what an open would find, survive any
//! damage, and a salvage brings back what can be read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use edge_queue::inspect::InspectError;
use edge_queue::medium::Dir;
use edge_queue::testing::{Rng, SimDir, budget_percent, seed};
use edge_queue::tools::{self, Dump, Outcome, Payload, ToolError};
use edge_queue::transfer::{Item, Stream};
use edge_queue::{Config, Event, Lane, LaneConfig, ManualClock, Now, OpenError, Queue, Row, StoreKind, Wait};

const DURABLE: [(StoreKind, &str); 2] = [(StoreKind::Ring, "queue.ring"), (StoreKind::Redb, "queue.redb")];
const NOW: Now = Now { boot_id: 1, up_ms: 50_000, wall_ms: 1_700_000_000_000, synced: true };

fn config(kind: StoreKind) -> Config {
    let lane = LaneConfig::default().max_bytes(64 * 1024);
    Config::default()
        .store(kind)
        .max_messages(260)
        .max_bytes(64 * 1024)
        .lane(Lane::ALARM, lane)
        .row_bytes_max(8 * 1024)
        .segment_bytes(256 * 1024)
}

fn open(dir: &SimDir, kind: StoreKind) -> Queue {
    let clock = Arc::new(ManualClock::new(NOW));
    Queue::open_in(Box::new(dir.clone()), config(kind), clock).unwrap()
}

/// 300 rows in commits of ten, of which 40 were dropped and ten acknowledged; two consumers, three alarms.
fn lived(kind: StoreKind, clean: bool) -> SimDir {
    let dir = SimDir::new();
    let queue = open(&dir, kind);
    let mut hub = queue.consumer("hub").unwrap();
    let slow = queue.consumer("slow").unwrap();
    for n in 0..300u32 {
        let payload = [&n.to_le_bytes()[..], &[n as u8; 90]].concat();
        drop(queue.push(Row::new(payload).key("site/a").meta("plant/line2/temp")).unwrap());
        if n % 10 == 9 {
            queue.commit().unwrap();
        }
    }
    (0..3).for_each(|_| drop(queue.push(Row::new("alarm").lane(Lane::ALARM)).unwrap()));
    queue.commit().unwrap();
    let chunk = hub.lease(13, Wait::None).unwrap();
    chunk.into_iter().for_each(|lease| lease.ack());
    drop(slow);
    drop(hub);
    if clean {
        queue.close().unwrap();
    } else {
        queue.commit().unwrap();
        let killed = SimDir::new();
        copy_files(&dir, &killed);
        return killed;
    }
    dir
}

fn copy_files(from: &SimDir, to: &SimDir) {
    for name in from.names() {
        write(to, &name, &from.content(&name).unwrap());
    }
}

fn write(dir: &SimDir, name: &str, bytes: &[u8]) {
    dir.create(name).unwrap().write_at(0, bytes).unwrap();
    dir.sync().unwrap();
}

/// Runs every command that reads; gives their answers.
fn every_command(dir: &SimDir) -> Vec<Result<Outcome, ToolError>> {
    let boxed = || -> Box<dyn Dir> { Box::new(dir.clone()) };
    let (mut out, mut stream) = (Vec::new(), Vec::new());
    let base64 = Dump { payload: Payload::Base64, from: 100, limit: 50, lane: Some(Lane(1)) };
    vec![
        tools::check(boxed(), false, &mut out),
        tools::check(boxed(), true, &mut out),
        tools::stats(boxed(), false, &NOW, &mut out),
        tools::stats(boxed(), true, &NOW, &mut out),
        tools::dump(boxed(), &Dump::default(), &mut out),
        tools::dump(boxed(), &base64, &mut out),
        tools::export(boxed(), &mut stream, &mut out),
        tools::salvage(boxed(), &mut stream, &mut out),
    ]
}

fn text(run: impl FnOnce(&mut Vec<u8>) -> Result<Outcome, ToolError>) -> (Outcome, String) {
    let mut out = Vec::new();
    let outcome = run(&mut out).unwrap();
    (outcome, String::from_utf8(out).unwrap())
}

fn salvaged(dir: &SimDir) -> (Vec<Vec<u8>>, String) {
    let mut stream = Vec::new();
    let (_, said) = text(|out| tools::salvage(Box::new(dir.clone()), &mut stream, out));
    let mut stream = Stream::new(stream.as_slice());
    let mut payloads = Vec::new();
    while let Some(item) = stream.next_item().unwrap() {
        if let Item::Row(row) = item {
            payloads.push(row.payload.to_vec());
        }
    }
    assert!(stream.end().is_whole());
    (payloads, said)
}

#[test]
fn no_command_writes_a_byte_whatever_state_the_store_is_in() {
    for (kind, name) in DURABLE {
        for clean in [true, false] {
            let dir = lived(kind, clean);
            for damaged in [false, true] {
                if damaged {
                    dir.damage(name, 0, &[0xee; 4096]);
                    dir.damage(name, 4096 * 9, &[0xee; 100]);
                }
                let before: Vec<_> = dir.names().iter().map(|name| dir.content(name)).collect();
                let (names, operations) = (dir.names(), dir.counters().operations);
                for answer in every_command(&dir) {
                    assert_eq!(answer.unwrap() == Outcome::Damage, damaged, "{name}, clean {clean}");
                }
                assert_eq!((dir.names(), dir.counters().operations), (names, operations));
                assert!(dir.names().iter().map(|name| dir.content(name)).eq(before));
            }
            // The control: an open as an application does it is noticed.
            let operations = dir.counters().operations;
            drop(open(&dir, kind));
            assert_ne!(dir.counters().operations, operations);
        }
    }
}

#[test]
fn stats_and_dump_tell_rows_losses_places_and_ledgers() {
    for (kind, _) in DURABLE {
        let dir = lived(kind, true);
        let (outcome, json) = text(|out| tools::stats(Box::new(dir.clone()), true, &NOW, out));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(outcome, Outcome::Clean);
        assert_eq!(
            (value["rows"][0]["rows"].as_u64(), value["rows"][1]["rows"].as_u64()),
            (Some(3), Some(260))
        );
        assert_eq!((value["epoch"].as_u64(), value["clean"].as_bool()), (Some(1), Some(true)));
        assert_eq!(value["rows"][1]["segments_used"].is_u64(), kind == StoreKind::Ring);
        let place =
            value["consumers"].as_array().unwrap().iter().find(|c| c["consumer"] == "hub" && c["lane"] == 1);
        let place = place.unwrap();
        assert_eq!(
            (place["accepted"].as_u64(), place["dropped"]["overflow"].as_u64()),
            (Some(300), Some(40))
        );
        assert!(place["delivered"].as_u64().unwrap() + place["queued"].as_u64().unwrap() == 260, "{place}");
        let (_, lines) = text(|out| tools::dump(Box::new(dir.clone()), &Dump::default(), out));
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
        assert_eq!((of("store"), of("consumer"), of("gap"), of("row"), of("lost")), (1, 4, 2, 263, 0));
        let row = lines.iter().find(|line| line["type"] == "row" && line["lane"] == 1).unwrap();
        let gateway = value["gateway"].as_str().unwrap();
        assert_eq!(row["id"], format!("{gateway}-1-1-29").as_str());
        assert_eq!((row["seq"].as_u64(), row["key"].as_str()), (Some(41), Some("site/a")));
        let few = Dump { lane: Some(Lane(1)), from: 100, limit: 7, payload: Payload::None };
        let (_, lines) = text(|out| tools::dump(Box::new(dir.clone()), &few, out));
        assert_eq!(lines.lines().filter(|line| line.contains("\"type\":\"row\"")).count(), 7);
        assert!(!lines.contains("payload_base64"));
    }
}

#[test]
fn a_running_queue_is_not_looked_into_and_an_empty_directory_is_said_to_be_one() {
    for (kind, _) in DURABLE {
        let dir = SimDir::new();
        let queue = open(&dir, kind);
        for answer in every_command(&dir) {
            let busy = matches!(answer, Err(ToolError::Inspect(InspectError::Open(OpenError::Busy))));
            assert!(busy, "{answer:?}");
        }
        queue.close().unwrap();
        every_command(&dir).into_iter().for_each(|answer| assert_eq!(answer.unwrap(), Outcome::Clean));
    }
    for answer in every_command(&SimDir::new()) {
        assert!(answer.unwrap_err().is_usage());
    }
}

/// Thousands of damaged copies, every command: no panic; where `check` finds nothing damaged, an open finds nothing.
#[test]
fn any_damage_is_survived_by_every_command_and_check_knows_it_as_an_open_does() {
    for (kind, name) in DURABLE {
        let images: Vec<Vec<u8>> =
            [true, false].map(|clean| lived(kind, clean).content(name).unwrap()).into();
        let mut rng = Rng::new(seed());
        // redb opens take longer, in each of the commands.
        let full = if kind == StoreKind::Ring { 3_000 } else { 400 };
        let mut cases = 0;
        for nth in 0..full * budget_percent() / 100 {
            let mut image = images[nth as usize % 2].clone();
            spoil(&mut image, &mut rng);
            let dir = SimDir::new();
            write(&dir, name, &image);
            let answers = catch_unwind(AssertUnwindSafe(|| every_command(&dir)));
            let answers = answers.unwrap_or_else(|_| panic!("{name}: case {nth} panicked"));
            assert!(dir.content(name).unwrap() == image && dir.names() == [name]);
            let clean = matches!(answers[0], Ok(Outcome::Clean));
            assert_eq!(clean, matches!(answers[1], Ok(Outcome::Clean)));
            if clean && nth % 4 == 0 {
                let queue = open(&dir, kind);
                drain(&queue);
                let told = queue.events();
                assert!(told.iter().all(|event| *event == Event::TailUncertain), "case {nth}: {told:?}");
            }
            cases += 1;
        }
        println!("executed tools_damage.{name}: {cases} cases");
    }
}

fn drain(queue: &Queue) {
    let mut hub = queue.consumer("hub").unwrap();
    while !hub
        .lease(50, Wait::None)
        .unwrap()
        .into_iter()
        .map(|lease| lease.ack())
        .collect::<Vec<_>>()
        .is_empty()
    {}
}

/// Some bytes of the used part, a page, or the end of the file.
fn spoil(image: &mut Vec<u8>, rng: &mut Rng) {
    let used = (image.len() - image.iter().rev().take_while(|b| **b == 0).count()).max(8192) as u64;
    match rng.below(5) {
        0 => image.truncate(rng.below(used) as usize),
        1 => {
            let page = rng.below(used / 4096) as usize * 4096;
            let junk = if rng.one_in(2) { vec![0; 4096] } else { rng.bytes(4096) };
            let end = (page + 4096).min(image.len());
            image[page..end].copy_from_slice(&junk[..end - page]);
        }
        2 => image[..8192].fill(rng.next_u64() as u8),
        _ => {
            for _ in 0..rng.between(1, 6) {
                let at = rng.below(used) as usize;
                image[at] ^= 1 << rng.below(8);
            }
        }
    }
}

#[test]
fn a_salvage_brings_rows_back_without_superblocks_and_without_any_bookkeeping() {
    let dir = lived(StoreKind::Ring, true);
    let (whole, _) = salvaged(&dir);
    assert_eq!(whole.len(), 263);
    dir.damage("queue.ring", 0, &[0; 8192]);
    let (rows, said) = salvaged(&dir);
    assert_eq!(rows, whole);
    assert!(said.contains("both superblocks are damaged"), "{said}");
    // Every first page of a segment: nothing says how the file is divided.
    let image = dir.content("queue.ring").unwrap();
    for page in (8192..image.len()).step_by(4096) {
        if image[page..].starts_with(b"EDGF") && image[page + 5] == 1 {
            dir.damage("queue.ring", page as u64, &[0xaa; 4096]);
        }
    }
    let (outcome, said) = text(|out| tools::check(Box::new(dir.clone()), false, out));
    assert!(outcome == Outcome::Damage && said.contains("nothing in the file can be used"), "{said}");
    let (rows, said) = salvaged(&dir);
    assert_eq!(rows.len(), whole.len(), "{said}");
    assert_eq!(rows, whole);
    assert!(said.contains("searched every page"), "{said}");
}

#[test]
fn a_salvage_of_redb_brings_rows_back_when_redb_refuses_the_file() {
    let dir = lived(StoreKind::Redb, true);
    let (whole, _) = salvaged(&dir);
    assert_eq!(whole.len(), 263);
    dir.damage("queue.redb", 0, &[0; 512]);
    let (rows, said) = salvaged(&dir);
    assert!(said.contains("set aside"), "{said}");
    assert!(whole.iter().all(|row| rows.contains(row)), "{} of {}", rows.len(), whole.len());
}

#[test]
fn export_and_import_say_what_moved_and_what_did_not() {
    for (from, to) in [(0, 1), (1, 0)] {
        let dir = lived(DURABLE[from].0, true);
        let mut stream = Vec::new();
        let (outcome, said) = text(|out| tools::export(Box::new(dir.clone()), &mut stream, out));
        assert!(outcome == Outcome::Clean && said.contains("263 rows and 2 losses to report"), "{said}");
        let target = SimDir::new();
        let input = Cursor::new(stream.clone());
        let (outcome, said) = text(|out| tools::import(input, Box::new(target.clone()), DURABLE[to].0, out));
        assert!(outcome == Outcome::Clean && said.starts_with("263 rows of gateway "), "{said}");
        assert!(
            said.contains("not imported: lane 1: hub will not get 40 rows between 1 and 40: overflow"),
            "{said}"
        );
        let queue = open(&target, DURABLE[to].0);
        assert_eq!(queue.stats().messages, 263);
        queue.close().unwrap();
        stream.truncate(stream.len() - 10);
        let input = Cursor::new(stream);
        let (outcome, said) = text(|out| tools::import(input, Box::new(SimDir::new()), DURABLE[to].0, out));
        assert!(outcome == Outcome::Damage && said.contains("the stream has no end"), "{said}");
    }
}
