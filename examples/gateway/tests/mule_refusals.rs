#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway mule` where not all goes as on the first day: a hub that refuses, receipts that were mixed up, more gaps than a queue has room for.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::free_port;
use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub};
use support::publisher::Publisher;

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

/// Exit code and text of a command.
fn mule(verb: &str, path: &Path, rest: &[&str]) -> (i32, String) {
    let done = Command::new(BINARY).args(["mule", verb]).arg(path).args(rest).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn ingest(stick: &Path, hub: &Hub) -> (i32, String) {
    mule("ingest", stick, &["--hub", &format!("mqtt://{}", hub.address)])
}

/// A site without a hub, in a folder of its own.
struct Site {
    gateway: Gateway,
    sensor: Publisher,
    dir: tempfile::TempDir,
}

impl Site {
    fn new(routes: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (gateway, listen) = Gateway::started(dir.path(), free_port(), routes);
        Self { gateway, sensor: Publisher::new(listen, "sensor", 100), dir }
    }

    fn publish(&mut self, topic: &str, payloads: impl Iterator<Item = String>) {
        payloads.for_each(|payload| self.sensor.publish(topic, &payload));
        self.sensor.settle(0, 60);
    }

    fn stick(&self, name: &str) -> PathBuf {
        let stick = self.dir.path().join(name);
        fs::create_dir(&stick).unwrap();
        stick
    }

    /// Returns what the command says.
    fn export(&self, stick: &Path) -> String {
        let (code, said) = mule("export", stick, &["--state", self.gateway.state.to_str().unwrap()]);
        assert_eq!(code, 0, "{said}");
        said
    }

    fn settle(&self, receipt: &Path) -> (i32, String) {
        mule("settle", receipt, &["--state", self.gateway.state.to_str().unwrap()])
    }
}

/// The only file of this kind on a stick.
fn file(stick: &Path, ending: &str) -> PathBuf {
    let all = fs::read_dir(stick).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

fn has_receipt(stick: &Path) -> bool {
    file(stick, "edgm").with_extension("receipt").exists()
}

/// Rows that the receipt beside their export lacks are told each time: nobody else would publish them.
#[test]
fn an_export_beside_a_receipt_without_its_rows_is_told() {
    let mut site = Site::new(ROUTES);
    site.publish("plant/n", (0..20).map(|n| n.to_string()));
    let hub = Hub::start();
    hub.answer(|_, payload| Answer::Ack(if payload == b"7" { 0x99 } else { 0 }));
    let stick = site.stick("first");
    site.export(&stick);
    let (code, said) = ingest(&stick, &hub);
    assert!(code == 1 && said.contains("19 rows acknowledged"), "{said}");
    let (code, said) = ingest(&stick, &hub);
    assert!(code == 1 && said.contains("1 of its rows are not in its receipt"), "{said}");

    let receipt = file(&stick, "receipt");
    assert_eq!(site.settle(&receipt).0, 0);
    let other = site.stick("second");
    site.publish("plant/n", (20..50).map(|n| n.to_string()));
    // The refused row waits again, and is in both.
    site.export(&other);
    assert_ne!(file(&other, "edgm").file_name(), file(&stick, "edgm").file_name());
    fs::copy(&receipt, file(&other, "edgm").with_extension("receipt")).unwrap();
    let (code, said) = ingest(&other, &hub);
    assert!(code == 1 && said.contains("it has no row of this export"), "{said}");
    assert_eq!(hub.payloads().len(), 19, "published although it was told");
    fs::remove_file(file(&other, "receipt")).unwrap();
    hub.answer(|_, _| Answer::Ack(0));
    assert_eq!(ingest(&other, &hub).0, 0);
    assert_eq!(ingest(&other, &hub).0, 0, "all of it is in its receipt");
    assert_eq!(hub.payloads().len(), 50);
}

/// A topic that the hub forbids, with more rows in front than are looked through for another one, looks as if the hub forbade all.
#[test]
fn rows_behind_a_forbidden_topic_are_published() {
    let mut site = Site::new(ROUTES);
    site.publish("plant/bad", (0..1_500).map(|n| format!("{n:0100}")));
    site.publish("plant/good", (0..50).map(|n| n.to_string()));
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic == "up/plant/bad" { 0x87 } else { 0 }));
    let stick = site.stick("stick");
    site.export(&stick);
    let (code, said) = ingest(&stick, &hub);
    assert!(code == 1 && said.contains("50 rows acknowledged, receipt"), "{said}");
    assert!(said.contains("1500 refused by the hub"), "{said}");
    assert_eq!(hub.count("up/plant/good"), 50);
    let (code, said) = site.settle(&file(&stick, "receipt"));
    assert!(code == 0 && said.starts_with("50 rows released"), "{said}");
}

/// A receipt without a row would be of no use at the site, and would end the export.
#[test]
fn a_hub_that_refuses_everything_gives_no_receipt() {
    let mut site = Site::new(ROUTES);
    site.publish("plant/n", (0..50).map(|n| n.to_string()));
    let hub = Hub::start();
    hub.answer(|_, _| Answer::Ack(0x99));
    let stick = site.stick("stick");
    site.export(&stick);
    let (code, said) = ingest(&stick, &hub);
    assert!(code == 1 && said.contains("no row acknowledged, no receipt; 50 refused by the hub"), "{said}");
    assert!(!has_receipt(&stick));
    hub.answer(|_, _| Answer::Ack(0));
    let (code, said) = ingest(&stick, &hub);
    assert!(code == 0 && said.contains("50 rows acknowledged, receipt"), "{said}");

    let empty = Site::new(ROUTES);
    let stick = empty.stick("stick");
    empty.export(&stick);
    assert_eq!((ingest(&stick, &hub).0, has_receipt(&stick)), (0, true), "all of nothing is in it");
}

/// Whoever throws the receipt away would leave these rows to the next stick.
#[test]
fn a_receipt_that_is_not_used_up_ends_with_an_error() {
    let mut site = Site::new(ROUTES);
    for n in 0..3_000 {
        site.sensor.publish(if n % 2 == 0 { "plant/good" } else { "plant/bad" }, &n.to_string());
    }
    site.sensor.settle(0, 60);
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic == "up/plant/bad" { 0x97 } else { 0 }));
    let stick = site.stick("stick");
    site.export(&stick);
    let (code, said) = ingest(&stick, &hub);
    assert!(code == 1 && said.contains("1500 rows acknowledged"), "{said}");
    let receipt = file(&stick, "receipt");
    let (code, said) = site.settle(&receipt);
    assert!(code == 1 && said.contains(" are left for now: settle this receipt again later"), "{said}");
    assert!(!said.starts_with("edge-gateway: 0 rows released"), "{said}");
    let (code, said) = site.settle(&receipt);
    assert!(code == 1 && said.starts_with("edge-gateway: 0 rows released"), "nothing has left since: {said}");
}

/// The gateway itself reports them once it has a link, and no `restore` has to do with a stick.
#[test]
fn an_export_says_nothing_of_losses_that_the_gateway_reports() {
    let mut site = Site::new(&format!("[queue]\nmax_messages = 100\non_full = \"drop-oldest\"\n{ROUTES}"));
    site.publish("plant/n", (0..300).map(|n| n.to_string()));
    let said = site.export(&site.stick("stick"));
    assert!(
        said.starts_with("100 rows, ") && !said.contains("restore") && !said.contains("losses"),
        "{said}"
    );
}
