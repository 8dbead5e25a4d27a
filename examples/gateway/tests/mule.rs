#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway mule` as a technician uses it: export at a site without a link, ingest into Mosquitto at the hub's side, settle at the site.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

const EXPORT: &str = "edgm";
const RECEIPT: &str = "receipt";

fn mule(arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("mule").args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn files(stick: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(stick).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    found.sort();
    found
}

/// A site without a hub, with 300 messages of so many digits that wait, and their export on a stick.
fn exported(dir: &Path, hub: std::net::SocketAddr, digits: usize) -> (Gateway, Publisher, PathBuf) {
    let (gateway, listen) = Gateway::started(dir, hub, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..300).for_each(|n| sensor.publish("plant/n", &format!("{n:0digits$}")));
    sensor.settle(0, 60);
    let stick = stick(dir);
    let done = export(&stick, &gateway);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(said(&done).starts_with("300 rows, "), "{done:?}");
    assert_eq!(gateway.metric("edge_queue_messages"), Some(300.0), "nothing is released by an export");
    (gateway, sensor, stick)
}

fn stick(dir: &Path) -> PathBuf {
    let stick = dir.join("stick");
    fs::create_dir(&stick).unwrap();
    stick
}

fn export(stick: &Path, gateway: &Gateway) -> Output {
    mule(&["export", text(stick), "--state", text(&gateway.state)])
}

fn settle(receipt: &Path, gateway: &Gateway) -> Output {
    mule(&["settle", text(receipt), "--state", text(&gateway.state)])
}

/// Rows that a receipt released, and those that were gone before.
fn settled(receipt: &Path, gateway: &Gateway) -> (u64, u64) {
    let done = settle(receipt, gateway);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let said = said(&done);
    let (released, gone) = said.split_once(" rows released; ").unwrap();
    (released.parse().unwrap(), gone.strip_suffix(" were gone before\n").unwrap().parse().unwrap())
}

fn ingest(stick: &Path, hub: std::net::SocketAddr) -> Output {
    mule(&["ingest", text(stick), "--hub", &format!("mqtt://{hub}")])
}

fn numbers(range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(|n| n.to_string()).collect()
}

/// Messages that the stick brought are at the hub and gone from the site; when the link comes back, only new ones come by it.
#[test]
fn a_stick_brings_what_waits_and_its_receipt_releases_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, mut sensor, stick) = exported(dir.path(), free_port(), 1);
    let hub = Mosquitto::start(dir.path(), "allow_anonymous true\n");
    let done = ingest(&stick, hub.address);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(said(&done).contains("300 rows acknowledged"), "{}", said(&done));
    let receipts = files(&stick, RECEIPT);
    assert_eq!(receipts.len(), 1);
    let again = said(&ingest(&stick, hub.address));
    assert_eq!(again, format!("{}: no export without a receipt\n", stick.display()));
    // What stands in a receipt's place and is none keeps the export from being published, which has to be told.
    let aside = stick.join("aside");
    fs::rename(&receipts[0], &aside).unwrap();
    let foreign = fs::read_to_string(&aside).unwrap();
    for (name, why) in
        [("empty", "it was cut off"), ("foreign", "checksum"), ("pipe", "not a file, but a pipe")]
    {
        match name {
            "empty" => fs::write(&receipts[0], "").unwrap(),
            "foreign" => fs::write(&receipts[0], foreign.replace("gateway ", "gateway x")).unwrap(),
            _ => assert!(Command::new("mkfifo").arg(&receipts[0]).status().unwrap().success()),
        }
        let done = ingest(&stick, hub.address);
        let said = said(&done);
        assert_eq!(done.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("stands in the place of a receipt") && said.contains(why), "{name}: {said}");
        assert!(said.contains(text(&receipts[0])), "{name}: {said}");
        fs::remove_file(&receipts[0]).unwrap();
    }
    fs::rename(&aside, &receipts[0]).unwrap();

    assert_eq!(settled(&receipts[0], &gateway), (300, 0));
    assert_eq!(settled(&receipts[0], &gateway), (0, 300), "a receipt that comes twice");
    wait_until("the queue is empty", 10, || gateway.metric("edge_queue_messages") == Some(0.0));

    sensor.publish("plant/n", "new");
    sensor.settle(0, 60);
    assert_eq!(gateway.metric("edge_queue_messages"), Some(1.0));
    gateway.terminate();
}

/// Messages that the hub refuses are in no receipt, and stay with the site; those that it has come there only once.
#[test]
fn what_the_hub_refuses_stays_at_the_site() {
    let dir = tempfile::tempdir().unwrap();
    let link = free_port();
    let (gateway, _sensor, stick) = exported(dir.path(), link, 1);
    let hub = Hub::start();
    hub.answer(|_, payload| {
        let n: usize = std::str::from_utf8(payload).unwrap().parse().unwrap();
        if n % 100 == 7 { Answer::Ack(0x99) } else { Answer::Ack(0) }
    });
    let done = ingest(&stick, hub.address);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("3 refused by the hub"), "{}", said(&done));
    let receipt = files(&stick, RECEIPT).remove(0);
    assert_eq!(settled(&receipt, &gateway), (297, 0));
    wait_until("the refused are left", 10, || gateway.metric("edge_queue_messages") == Some(3.0));
    let expected: BTreeSet<String> =
        numbers(0..300).into_iter().filter(|n| n.parse::<usize>().unwrap() % 100 != 7).collect();
    assert!(hub.payloads().is_superset(&expected));
}

/// Distinct identities and number of copies of each message that a reader of its own got, by payload.
fn by_payload(reader: &Subscriber) -> BTreeMap<String, (BTreeSet<String>, usize)> {
    let mut copies: BTreeMap<String, (BTreeSet<String>, usize)> = BTreeMap::new();
    for message in reader.arrived() {
        let (identities, times) = copies.entry(message.payload).or_default();
        identities.insert(message.user_properties);
        *times += 1;
    }
    copies
}

fn all_arrive(reader: &Subscriber, range: std::ops::Range<usize>) {
    let all = numbers(range);
    wait_until("nothing is missing", 60, || {
        by_payload(reader).keys().cloned().collect::<BTreeSet<_>>() == all
    });
}

/// An outage, an export under load, a link that comes back while the stick is ingested, a receipt that comes while it sends, and again later. A reader
/// that shares nothing with us counts.
#[test]
fn a_link_that_comes_back_in_the_middle_loses_nothing_and_copies_are_told_by_their_identity() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_inflight_messages 0\nmax_queued_messages 0");
    let reader = Subscriber::start(hub.address, "up/#");
    let line = Relay::start(hub.address);
    line.cut();
    let exactly_once = "[[route]]\nmatch = \"exact/#\"\nto = \"up/\"\nqos = 2\n";
    let (gateway, listen) = Gateway::started(dir.path(), line.address, &format!("{ROUTES}{exactly_once}"));
    let mut sensor = Publisher::new(listen, "sensor", 100);
    let mut publish = |numbers: std::ops::Range<usize>| {
        for n in numbers {
            sensor.publish(if n % 2 == 0 { "plant/n" } else { "exact/n" }, &n.to_string());
        }
        sensor.settle(0, 60);
    };
    publish(0..2_000);
    let stick = stick(dir.path());
    let done = std::thread::scope(|scope| {
        let done = scope.spawn(|| export(&stick, &gateway));
        publish(2_000..3_000);
        done.join().unwrap()
    });
    assert_eq!(done.status.code(), Some(0), "{done:?}");

    // A modem, so that there is something left for the receipt.
    line.limit_up(60_000);
    let done = std::thread::scope(|scope| {
        let done = scope.spawn(|| ingest(&stick, hub.address));
        wait_until("the stick's first messages arrive", 60, || reader.arrived().len() > 100);
        line.mend();
        // It breaks once more, with messages on it.
        wait_until("the link sends", 60, || {
            gateway.metric("edge_queue_messages").is_some_and(|left| left < 2_950.0)
        });
        line.reset();
        done.join().unwrap()
    });
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let receipt = files(&stick, RECEIPT).remove(0);
    let (released, gone) = settled(&receipt, &gateway);
    assert!(released + gone >= 2_000, "the receipt names what was acknowledged before the export");
    publish(3_000..3_100);
    wait_until("the queue is empty", 120, || gateway.metric("edge_queue_messages") == Some(0.0));
    all_arrive(&reader, 0..3_100);

    // Stale: the receipt was lost, the stick is ingested once more, and new rows wait at the site then.
    line.cut();
    fs::remove_file(&receipt).unwrap();
    assert_eq!(ingest(&stick, hub.address).status.code(), Some(0));
    publish(3_100..3_150);
    assert_eq!(settled(&receipt, &gateway), (0, released + gone));
    assert_eq!(gateway.metric("edge_queue_messages"), Some(50.0), "none of the newer ones is released");
    line.mend();
    wait_until("the queue is empty", 60, || gateway.metric("edge_queue_messages") == Some(0.0));
    all_arrive(&reader, 0..3_150);

    let copies = by_payload(&reader);
    // A message that the sensor itself sent twice has two, of which the later one is marked.
    let unmarked =
        |identities: &BTreeSet<String>| identities.iter().filter(|id| !id.contains("edge-pd:1")).count();
    let strange: Vec<_> = copies.iter().filter(|(_, (identities, _))| unmarked(identities) > 1).collect();
    assert!(strange.is_empty(), "copies of one message with several identities: {strange:?}");
    let of_each = copies.values().map(|(identities, _)| identities.len()).sum::<usize>();
    let identities: BTreeSet<_> = copies.values().flat_map(|(identities, _)| identities).collect();
    assert_eq!(identities.len(), of_each, "no two messages share one");
    assert!(copies.values().filter(|(identities, _)| unmarked(identities) == 1).count() > 2_900);
    assert!(copies["0"].1 >= 2, "the stick came twice");
}

/// Something at this path that is no file of ours, by what is said of it.
fn strange_files(dir: &Path, ending: &str) -> Vec<(PathBuf, &'static str)> {
    let path = |name: &str| dir.join(format!("{name}.{ending}"));
    let (pipe, large, folder) = (path("pipe"), path("large"), path("folder"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Sparse.
    fs::File::create(&large).unwrap().set_len(2 << 30).unwrap();
    fs::create_dir(&folder).unwrap();
    let said =
        if ending == EXPORT { "the head of the export has no end" } else { "2147483648 bytes, at most" };
    vec![(pipe, "not a file, but a pipe"), (large, said), (folder, "directory")]
}

/// None of them releases anything, and each is named with what is wrong.
#[test]
fn a_receipt_that_is_none_is_refused_with_its_reason_and_releases_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, _sensor, stick) = exported(dir.path(), free_port(), 1);
    let hub = Hub::start();
    assert_eq!(ingest(&stick, hub.address).status.code(), Some(0));
    let receipt = files(&stick, RECEIPT).remove(0);
    let text_of = fs::read_to_string(&receipt).unwrap();
    let mut cases = strange_files(dir.path(), RECEIPT);
    let mut case = |name: &str, bytes: &[u8], said| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        cases.push((path, said));
    };
    let damaged = text_of.replace("acked 1 1 1 300", "acked 1 1 1 900");
    assert_ne!(damaged, text_of);
    case("damaged", damaged.as_bytes(), "the receipt is damaged: its checksum is wrong");
    case("cut", &text_of.as_bytes()[..text_of.len() - 30], "it was cut off");
    case("empty", b"", "it was cut off");
    case("no text", b"\xff\xfe", "UTF-8");
    case("export", &fs::read(&files(&stick, EXPORT)[0]).unwrap(), "this is an export, no receipt");
    cases.push((dir.path().join("absent"), "No such file"));
    for (path, reason) in cases {
        let done = settle(&path, &gateway);
        assert_eq!(done.status.code(), Some(1), "{}: {done:?}", path.display());
        let said = said(&done);
        assert!(said.contains(text(&path)) && said.contains(reason), "{}: {said}", path.display());
    }
    assert_eq!(gateway.metric("edge_queue_messages"), Some(300.0));

    let elsewhere = tempfile::tempdir().unwrap();
    let (other, _other_sensor, _) = exported(elsewhere.path(), free_port(), 1);
    let done = settle(&receipt, &other);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(said(&done).contains("nothing is released: the rows are of gateway "), "{}", said(&done));
    assert_eq!(other.metric("edge_queue_messages"), Some(300.0));

    gateway.kill_9();
    assert_eq!(settle(&receipt, &gateway).status.code(), Some(69));
    gateway.start();
    assert_eq!(settled(&receipt, &gateway), (300, 0), "it has lost nothing of its worth");
}

/// The intact part of a stick goes to the hub, beside whatever else lies there; only that is in its receipt.
#[test]
fn a_damaged_stick_gives_what_is_intact_and_what_is_no_export_is_named() {
    let dir = tempfile::tempdir().unwrap();
    // Some frames of 64 KiB.
    let (gateway, _sensor, stick) = exported(dir.path(), free_port(), 1_000);
    let whole = fs::read(&files(&stick, EXPORT)[0]).unwrap();
    fs::remove_file(&files(&stick, EXPORT)[0]).unwrap();
    let head = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let strange = strange_files(&stick, EXPORT);
    let mut damaged = whole.clone();
    damaged[head + (whole.len() - head) / 2] ^= 0xff;
    let mut headless = whole.clone();
    headless[head / 2] ^= 1;
    for (name, bytes) in [
        ("a-cut", &whole[..head + (whole.len() - head) / 2]),
        ("b-damaged", &damaged),
        ("c-headless", &headless),
        ("d-stream", &whole[head..]),
        ("e-empty", &[]),
    ] {
        fs::write(stick.join(name).with_extension(EXPORT), bytes).unwrap();
    }
    let hub = Hub::start();
    let done = ingest(&stick, hub.address);
    let said = said(&done);
    assert_eq!(done.status.code(), Some(1), "{said}");
    let line = |name: &str| said.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    for (path, reason) in strange {
        assert!(line(text(&path)).contains(reason), "{}: {said}", path.display());
    }
    for (name, reason) in [
        ("a-cut", "the export is damaged or was cut off"),
        ("b-damaged", "the export is damaged or was cut off"),
        ("c-headless", "line 1: "),
        ("d-stream", "line 1: no export of a data mule"),
        ("e-empty", "line 1: "),
    ] {
        assert!(line(name).contains(reason), "{name}: {said}");
    }
    let receipts = files(&stick, RECEIPT);
    assert_eq!(receipts.len(), 2, "{receipts:?}");
    let at_hub = hub.payloads().len() as u64;
    let released: u64 = receipts.iter().map(|receipt| settled(receipt, &gateway).0).sum();
    assert_eq!((released, released > 150, released < 300), (at_hub, true, true), "{said}");
    assert_eq!(gateway.metric("edge_queue_messages"), Some((300 - released) as f64));
}

/// A hub that is away, a stick that is full or not there: no receipt, no half of an export, and all can be done again.
#[test]
fn without_a_hub_or_room_nothing_is_left_that_could_be_taken_for_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, _sensor, stick) = exported(dir.path(), free_port(), 1);
    let cut = Command::new("sh")
        .args(["-c", "ulimit -f 8; trap '' XFSZ; exec \"$0\" mule export \"$1\" --state \"$2\"", BINARY])
        .args([&stick, &gateway.state])
        .output()
        .unwrap();
    assert_eq!(cut.status.code(), Some(1), "{cut:?}");
    assert_eq!(fs::read_dir(&stick).unwrap().count(), 1, "the first export alone");
    let nowhere = export(&dir.path().join("nowhere"), &gateway);
    assert!(
        nowhere.status.code() == Some(1) && said(&nowhere).contains("nowhere: No such file"),
        "{nowhere:?}"
    );

    let hub = Hub::start();
    // It takes some, and is gone then.
    let mut taken = 0;
    hub.answer(move |_, _| {
        taken += 1;
        if taken <= 40 { Answer::Ack(0) } else { Answer::Silent }
    });
    hub.forget_sessions();
    let mut child = Command::new(BINARY)
        .args(["mule", "ingest", text(&stick), "--hub", &format!("mqtt://{}", hub.address)])
        .spawn()
        .unwrap();
    wait_until("some are taken", 30, || hub.payloads().len() == 40);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(files(&stick, RECEIPT), Vec::<PathBuf>::new(), "a stick that was pulled out has no receipt");
    hub.answer(|_, _| Answer::Ack(0));
    let done = ingest(&stick, hub.address);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(hub.payloads(), numbers(0..300));
    assert_eq!(settled(&files(&stick, RECEIPT)[0], &gateway), (300, 0));
}
