#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway backup` as an operator runs it: in an outage, under load, and restored on another machine.

mod support;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use edge_queue::medium::os::OsDir;
use edge_queue::transfer::import;
use edge_queue::{Config, Lane, LaneConfig};
use support::gateway::{BINARY, Gateway};
use support::hub::Hub;
use support::publisher::Publisher;
use support::{free_port, wait_until};

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

fn backup(state: &Path, out: &Path) -> Output {
    Command::new(BINARY).arg("backup").arg(out).arg("--state").arg(state).output().unwrap()
}

/// Payloads of the messages with these numbers.
fn payloads(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|n| format!("{n}")).collect()
}

/// The gateway in an outage, with 3 000 messages acknowledged.
fn in_an_outage(dir: &Path) -> (Gateway, Publisher) {
    let (gateway, listen) = Gateway::started(dir, free_port(), ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..3_000).for_each(|n| sensor.publish("plant/n", &n.to_string()));
    sensor.settle(0, 60);
    (gateway, sensor)
}

/// Every message acknowledged before the request is in the copy, whatever comes meanwhile; the gateway it was taken from keeps all of it.
#[test]
fn a_copy_taken_under_load_is_delivered_by_another_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, mut sensor) = in_an_outage(dir.path());
    let copy = dir.path().join("copy.edgx");
    let done = std::thread::scope(|scope| {
        let done = scope.spawn(|| backup(&gateway.state, &copy));
        (3_000..6_000).for_each(|n| sensor.publish("plant/n", &n.to_string()));
        done.join().unwrap()
    });
    sensor.settle(0, 60);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    let rows: usize = said.split_once(" rows, ").unwrap().0.parse().unwrap();
    assert!(
        (3_000..=6_000).contains(&rows) && said.ends_with(&format!(" to {}\n", copy.display())),
        "{said}"
    );
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(gateway.metric("edge_queue_messages"), Some(6_000.0), "nothing is consumed");

    let other = tempfile::tempdir().unwrap();
    let lanes = Config::default().lane(Lane::ALARM, LaneConfig::default().max_bytes(1 << 20));
    let state = OsDir::new(other.path().join("state")).unwrap();
    let imported = import(Box::new(state), &lanes, File::open(&copy).unwrap()).unwrap();
    assert!(imported.stream.is_whole() && imported.rows() == rows as u64);
    let hub = Hub::start();
    let (_other, _) = Gateway::started(other.path(), hub.address, ROUTES);
    wait_until("the copy is delivered", 60, || hub.payloads().len() == rows);
    assert!(hub.payloads().is_superset(&payloads(0..3_000)));
    assert!(payloads(0..6_000).is_superset(&hub.payloads()));
}

#[test]
fn no_file_is_replaced_and_none_is_left_of_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, _sensor) = in_an_outage(dir.path());
    let (there, new) = (dir.path().join("there"), dir.path().join("new"));
    fs::write(&there, "precious").unwrap();
    let refused = backup(&gateway.state, &there);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("there: it is there already"), "{said}");
    assert_eq!(fs::read(&there).unwrap(), b"precious");

    let nowhere = backup(&gateway.state, &dir.path().join("no/new"));
    assert_eq!(nowhere.status.code(), Some(1), "{nowhere:?}");
    gateway.kill_9();
    let nobody = backup(&gateway.state, &new);
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");
    assert!(!new.exists());
}

/// A device without room: the copy is not whole, and no file says that it were.
#[test]
fn a_copy_that_is_cut_off_is_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, _sensor) = in_an_outage(dir.path());
    let out = dir.path().join("out");
    let cut = Command::new("sh")
        .args(["-c", "ulimit -f 16; trap '' XFSZ; exec \"$0\" backup \"$1\" --state \"$2\"", BINARY])
        .args([&out, &gateway.state])
        .output()
        .unwrap();
    let said = String::from_utf8(cut.stderr).unwrap();
    assert_eq!(cut.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written") && !out.exists(), "{said}");
}

/// Out of a pod whose root cannot be written: `kubectl exec … edge-gateway backup - > copy`.
#[test]
fn standard_output_gets_the_stream_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, _sensor) = in_an_outage(dir.path());
    let copy = dir.path().join("copy.edgx");
    assert_eq!(backup(&gateway.state, &copy).status.code(), Some(0));
    let piped = backup(&gateway.state, Path::new("-"));
    let said = String::from_utf8(piped.stderr).unwrap();
    assert_eq!(piped.status.code(), Some(0), "{said}");
    assert!(said.starts_with("edge-gateway: 3000 rows, "), "{said}");
    assert!(piped.stdout == fs::read(&copy).unwrap(), "{} bytes", piped.stdout.len());

    // What nobody takes is no copy.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(BINARY);
    command.args(["backup", "-", "--state"]).arg(&gateway.state).stdout(writer).stderr(Stdio::piped());
    let cut = command.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(cut.stderr).unwrap();
    assert!(cut.status.code() == Some(1) && said.contains("the copy cannot be written"), "{said}");
}

/// Pieces of a copy have come when the command is killed: no file of the copy's name is there to be imported, and the next backup takes its place.
#[test]
fn a_killed_backup_leaves_nothing_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (state, out) = (dir.path().join("state"), dir.path().join("copy.edgx"));
    fs::create_dir(&state).unwrap();
    let socket = UnixListener::bind(state.join("control.sock")).unwrap();
    let mut killed = Command::new(BINARY).arg("backup").arg(&out).arg("--state").arg(&state).spawn().unwrap();
    let (mut stream, _) = socket.accept().unwrap();
    stream.write_all(format!("data {}\n", 1 << 20).as_bytes()).unwrap();
    stream.write_all(&vec![7; 1 << 19]).unwrap();
    let written =
        || fs::read_dir(dir.path()).unwrap().any(|file| file.unwrap().metadata().unwrap().len() > 1 << 18);
    wait_until("a part of it is in a file", 10, written);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!out.exists(), "a part with the copy's name");
    drop((stream, socket));
    fs::remove_dir_all(&state).unwrap();

    let (gateway, _sensor) = in_an_outage(dir.path());
    let done = backup(&gateway.state, &out);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name != "copy.edgx.new"), "{left:?}");
}

/// More of them than there are turns cost nobody else theirs for long, and the status nothing.
#[test]
fn readers_that_take_nothing_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, mut sensor) = in_an_outage(dir.path());
    // More than a socket's buffers hold.
    let large = "x".repeat(4_000);
    (0..1_000).for_each(|_| sensor.publish("plant/large", &large));
    sensor.settle(0, 60);
    let silent: Vec<_> = (0..6)
        .map(|_| {
            let mut stream = UnixStream::connect(gateway.state.join("control.sock")).unwrap();
            stream.write_all(b"backup\n").unwrap();
            stream
        })
        .collect();
    (0..100).for_each(|n| sensor.publish("plant/n", &n.to_string()));
    sensor.settle(0, 10);
    let mut status = UnixStream::connect(gateway.state.join("control.sock")).unwrap();
    // Less than a copy may hold its turn.
    status.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    status.write_all(b"status\n").unwrap();
    let mut answer = String::new();
    status.read_to_string(&mut answer).unwrap();
    assert!(answer.lines().last().is_some_and(|line| line.starts_with("ok ")), "{answer}");
    let done = backup(&gateway.state, &dir.path().join("copy"));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    drop(silent);
}
