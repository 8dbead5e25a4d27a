//! `mosquitto_pub` and `mosquitto_sub` against [`Server`] on loopback: promises 1 and 12 with somebody else's MQTT, 3.1.1 and 5.
//!
//! The programs come with the package `mosquitto-clients`; without them these tests fail and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::{Event, Ticket};
use edge_bridge::net::server::{Receipts, Sink};
use edge_bridge::net::{Server, ServerTls};
use edge_bridge::row::Row;
use edge_bridge::session::Closed;
use edge_bridge::wire::{Properties, Publish, QoS, ReasonCode, Utf8, Version};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// For anything: a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const VERSIONS: [&str; 2] = ["mqttv311", "mqttv5"];

/// A client program, with `PATH` and `/usr/sbin`.
fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = std::env::split_paths(&path).collect();
    dirs.push("/usr/sbin".into());
    let found = dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file());
    let Some(file) = found else {
        panic!(
            "{name} is not installed (looked in PATH and /usr/sbin): install the package mosquitto-clients"
        );
    };
    let mut command = Command::new(file);
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Site {
    server: Server,
    seen: mpsc::UnboundedReceiver<Inbound>,
    events: mpsc::UnboundedReceiver<Event>,
}

/// A server that shows every message and acknowledges it at once.
async fn site() -> Site {
    let (tell, seen) = unbounded();
    let (happened, events) = unbounded();
    let server = Server::builder()
        .on_event(move |event, _| happened.send(event.clone()).unwrap_or_default())
        .start_observer("127.0.0.1:0", move |_, message| tell.send(message.clone()).unwrap_or_default())
        .await
        .unwrap();
    Site { server, seen, events }
}

/// Tests see few messages.
fn unbounded<T>() -> (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>) {
    mpsc::unbounded_channel()
}

fn client(server: &Server, name: &str, version: &str, args: &[&str]) -> Command {
    let mut command = program(name);
    let port = server.local_addr().port().to_string();
    command.args(["-h", "127.0.0.1", "-p", &port, "-V", version]).args(args);
    command
}

async fn publish(server: &Server, version: &str, args: &[&str]) -> Output {
    let out = client(server, "mosquitto_pub", version, args).output();
    timeout(PATIENCE, out).await.expect("mosquitto_pub did not end").unwrap()
}

impl Site {
    async fn pub_ok(&self, version: &str, args: &[&str]) {
        let out = publish(&self.server, version, args).await;
        assert!(out.status.success(), "{version} {args:?}: {out:?}");
    }

    /// Starts a subscriber and waits until it is subscribed.
    async fn sub(&mut self, version: &str, args: &[&str]) -> Child {
        let child = client(&self.server, "mosquitto_sub", version, args).spawn().unwrap();
        self.until(|event| matches!(event, Event::Subscribed { .. })).await;
        child
    }

    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the server ended");
                if wanted(&event) {
                    return event;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("the event did not come")
    }

    async fn gone(&mut self, name: &str) {
        let gone = |event: &Event| matches!(event, Event::Disconnected { client: Some(id), .. } if id.as_str() == name);
        self.until(gone).await;
    }

    async fn seen(&mut self) -> Inbound {
        timeout(PATIENCE, self.seen.recv()).await.expect("no message came").unwrap()
    }
}

async fn lines(child: Child) -> Vec<String> {
    let out = timeout(PATIENCE, child.wait_with_output()).await.expect("mosquitto_sub did not end").unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn publishers_of_both_versions_at_qos_0_and_1() {
    let mut site = site().await;
    for version in VERSIONS {
        for qos in ["0", "1"] {
            let payload = format!("{version} {qos}");
            site.pub_ok(version, &["-q", qos, "-t", "plant/1", "-m", &payload]).await;
            let message = site.seen().await;
            assert_eq!(message.payload, payload.as_bytes());
            assert_eq!(message.topic.as_str(), "plant/1");
            assert_eq!(message.qos as u8, qos.as_bytes()[0] - b'0');
            assert_eq!(message.version, if version == "mqttv5" { Version::V5 } else { Version::V311 });
        }
    }
    site.pub_ok(
        "mqttv5",
        &["-q", "1", "-t", "a", "-m", "x", "-D", "publish", "user-property", "unit", "bar"],
    )
    .await;
    assert_eq!(site.seen().await.properties.user_property("unit"), Some("bar"));
    site.server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn subscribers_of_both_versions_get_what_they_subscribed_to() {
    let mut site = site().await;
    for version in VERSIONS {
        for qos in ["0", "1"] {
            let sub = site.sub(version, &["-q", qos, "-C", "2", "-v", "-t", "plant/+/temp", "-t", "x"]).await;
            site.pub_ok(version, &["-q", "1", "-t", "plant/1/other", "-m", "no"]).await;
            site.pub_ok("mqttv311", &["-q", "1", "-t", "plant/1/temp", "-m", "20.5"]).await;
            site.pub_ok("mqttv5", &["-q", "0", "-t", "x", "-m", "y"]).await;
            assert_eq!(lines(sub).await, ["plant/1/temp 20.5", "x y"], "{version} {qos}");
        }
    }
}

#[tokio::test]
async fn retained_messages_come_first_and_an_empty_one_removes() {
    let mut site = site().await;
    site.pub_ok("mqttv311", &["-q", "1", "-r", "-t", "state/a", "-m", "on"]).await;
    site.pub_ok("mqttv5", &["-q", "1", "-r", "-t", "state/b", "-m", "off"]).await;
    for version in VERSIONS {
        let sub = site.sub(version, &["-C", "2", "-F", "%t %r %p", "-t", "state/#"]).await;
        assert_eq!(lines(sub).await, ["state/a 1 on", "state/b 1 off"]);
    }
    site.pub_ok("mqttv5", &["-q", "1", "-r", "-t", "state/a", "-n"]).await;
    let sub = site.sub("mqttv5", &["-C", "1", "-F", "%t %r %p", "-t", "state/#"]).await;
    assert_eq!(lines(sub).await, ["state/b 1 off"]);
}

#[tokio::test]
async fn a_killed_client_leaves_its_will() {
    let mut site = site().await;
    for version in VERSIONS {
        let watcher = site.sub(version, &["-q", "1", "-C", "1", "-v", "-t", "will/#"]).await;
        let will = ["-t", "nothing", "--will-topic", "will/a", "--will-payload", "gone", "--will-qos", "1"];
        let mut doomed = site.sub(version, &will).await;
        doomed.start_kill().unwrap();
        assert_eq!(lines(watcher).await, ["will/a gone"]);
        let ingested = site.seen().await;
        assert_eq!((ingested.topic.as_str(), &ingested.payload[..]), ("will/a", &b"gone"[..]));
    }
}

#[tokio::test]
async fn a_persistent_session_gets_what_came_while_its_client_was_away() {
    let mut site = site().await;
    for version in VERSIONS {
        let mut session = vec!["-c", "-i", version, "-q", "1", "-t", "news"];
        if version == "mqttv5" {
            session.extend(["-x", "600"]);
        }
        let mut first = site.sub(version, &session).await;
        first.start_kill().unwrap();
        first.wait().await.unwrap();
        site.gone(version).await;
        for n in ["1", "2", "3"] {
            site.pub_ok(version, &["-q", "1", "-t", "news", "-m", n]).await;
        }
        let again =
            client(&site.server, "mosquitto_sub", version, &[&session[..], &["-C", "3"]].concat()).spawn();
        assert_eq!(lines(again.unwrap()).await, ["1", "2", "3"], "{version}");
        site.gone(version).await;
    }
}

#[tokio::test]
async fn a_second_client_of_the_same_name_takes_over() {
    for version in VERSIONS {
        let mut site = site().await;
        let first = site.sub(version, &["-i", "twin", "-t", "a"]).await;
        let second =
            client(&site.server, "mosquitto_sub", version, &["-i", "twin", "-t", "a"]).spawn().unwrap();
        let local = |why: &Closed| *why == Closed::Local(ReasonCode::SESSION_TAKEN_OVER);
        site.until(|event| matches!(event, Event::Disconnected { why, .. } if local(why))).await;
        // It would connect again, and take over in its turn.
        drop((first, second));
    }
}

/// Stores every message and lets the test say when it is safe.
struct Store;

impl Ingest for Store {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        Answer::Store(vec![Row::new(message.topic.clone(), message.payload.clone())])
    }
}

#[derive(Default)]
struct Shelf {
    tickets: Vec<Ticket>,
    commits: usize,
    full: bool,
}

struct ToShelf(Arc<Mutex<Shelf>>);

impl Sink for ToShelf {
    fn has_room(&mut self) -> bool {
        !self.0.lock().unwrap().full
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        let mut shelf = self.0.lock().unwrap();
        if shelf.full {
            return Err(rows);
        }
        shelf.tickets.push(ticket);
        Ok(())
    }

    fn commit(&mut self) {
        self.0.lock().unwrap().commits += 1;
    }
}

async fn storing() -> (Server, Arc<Mutex<Shelf>>, Receipts) {
    let shelf = Arc::new(Mutex::new(Shelf::default()));
    let (tell, mut told) = unbounded();
    let inner = Arc::clone(&shelf);
    let server = Server::builder()
        .start("127.0.0.1:0", Store, |receipts| {
            tell.send(receipts).unwrap();
            ToShelf(inner)
        })
        .await
        .unwrap();
    (server, shelf, told.recv().await.unwrap())
}

/// Until `done`, with a deadline.
async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let poll = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Promise 1: `mosquitto_pub -q 1` ends when it has its PUBACK.
#[tokio::test]
async fn the_puback_waits_for_the_receipt() {
    let (server, shelf, receipts) = storing().await;
    for version in VERSIONS {
        let mut publisher =
            client(&server, "mosquitto_pub", version, &["-q", "1", "-t", "a", "-m", "x"]).spawn().unwrap();
        wait_until("stored", || !shelf.lock().unwrap().tickets.is_empty()).await;
        // A whole message of another client goes through in the meantime: the server is not just slow.
        assert!(publish(&server, version, &["-q", "0", "-t", "b", "-m", "y"]).await.status.success());
        wait_until("the second is stored", || shelf.lock().unwrap().tickets.len() == 2).await;
        assert_eq!(publisher.try_wait().unwrap(), None, "{version}: acknowledged before it was safe");
        for ticket in std::mem::take(&mut shelf.lock().unwrap().tickets) {
            receipts.resolve(ticket);
        }
        let status = timeout(PATIENCE, publisher.wait()).await.expect("no PUBACK came").unwrap();
        assert!(status.success());
    }
}

/// A queue without room: no PUBACK, no refusal, and all of it goes on when there is room.
#[tokio::test]
async fn a_full_queue_withholds_and_goes_on() {
    let (server, shelf, receipts) = storing().await;
    shelf.lock().unwrap().full = true;
    let mut publisher = client(&server, "mosquitto_pub", "mqttv5", &["-q", "1", "-t", "a", "-l"]);
    let mut publisher = publisher.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = publisher.stdin.take().unwrap();
    for n in 0..50 {
        stdin.write_all(format!("{n}\n").as_bytes()).await.unwrap();
    }
    drop(stdin);
    let poll = async {
        while server.stats().await.unwrap().held == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, poll).await.expect("nothing was held");
    assert_eq!(publisher.try_wait().unwrap(), None);
    assert_eq!(shelf.lock().unwrap().tickets.len(), 0);
    shelf.lock().unwrap().full = false;
    let mut resolved = 0;
    wait_until("all stored", || {
        for ticket in std::mem::take(&mut shelf.lock().unwrap().tickets) {
            receipts.resolve(ticket);
            resolved += 1;
        }
        resolved == 50
    })
    .await;
    assert!(timeout(PATIENCE, publisher.wait()).await.expect("it did not end").unwrap().success());
    assert!(shelf.lock().unwrap().commits > 0, "a publisher with a full window stands still");
}

#[tokio::test]
async fn the_application_publishes_and_learns_who_got_it() {
    let mut site = site().await;
    let sub = site.sub("mqttv5", &["-q", "1", "-C", "1", "-t", "cmd/#"]).await;
    let command = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("cmd/valve").unwrap(),
        packet_id: None,
        properties: Properties::default(),
        payload: Bytes::from_static(b"close"),
    };
    let settled = timeout(PATIENCE, site.server.publish(command.clone())).await.unwrap().unwrap();
    assert_eq!((settled.delivered, settled.dropped), (1, 0));
    assert_eq!(lines(sub).await, ["close"]);
    let nobody = timeout(PATIENCE, site.server.publish(command)).await.unwrap().unwrap();
    assert_eq!((nobody.delivered, nobody.dropped), (0, 0));
}

#[tokio::test]
async fn ten_thousand_lines_of_one_publisher_all_arrive_in_order() {
    let mut site = site().await;
    let mut publisher = client(&site.server, "mosquitto_pub", "mqttv311", &["-q", "1", "-t", "a", "-l"]);
    let mut publisher = publisher.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = publisher.stdin.take().unwrap();
    let text: String = (0..10_000).map(|n| format!("{n}\n")).collect();
    let begin = std::time::Instant::now();
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    for n in 0..10_000 {
        let message = site.seen().await;
        assert_eq!(message.payload, n.to_string().as_bytes());
    }
    assert!(timeout(PATIENCE, publisher.wait()).await.unwrap().unwrap().success());
    println!("executed mosquitto_pub_lines: 10000 cases in {} ms", begin.elapsed().as_millis());
}

/// A server certificate for 127.0.0.1 and its authority, as PEM files.
fn certificates(dir: &std::path::Path) -> ServerTls {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "site CA");
    let ca_key = KeyPair::generate().unwrap();
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let cert = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let file = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    file("ca.crt", ca_cert.pem());
    let (cert, key) = (file("s.crt", cert.pem()), file("s.key", key.serialize_pem()));
    ServerTls::from_pem(cert, key, None).unwrap()
}

#[tokio::test]
async fn clients_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (tell, mut seen) = unbounded();
    let server = Server::builder()
        .tls(certificates(dir.path()))
        .start_observer("127.0.0.1:0", move |_, message| {
            tell.send(message.payload.clone()).unwrap_or_default();
        })
        .await
        .unwrap();
    let ca = dir.path().join("ca.crt");
    let big = "x".repeat(100_000);
    for payload in ["secret", &big] {
        let args = ["--cafile", ca.to_str().unwrap(), "-q", "1", "-r", "-t", "a", "-m", payload];
        let out = publish(&server, "mqttv5", &args).await;
        assert!(out.status.success(), "{out:?}");
        assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap().unwrap(), payload.as_bytes());
    }
    let args = ["--cafile", ca.to_str().unwrap(), "-t", "a", "-C", "1"];
    let sub = client(&server, "mosquitto_sub", "mqttv311", &args).spawn().unwrap();
    assert_eq!(lines(sub).await, [big]);
    assert!(!publish(&server, "mqttv5", &["-q", "1", "-t", "a", "-m", "plain"]).await.status.success());
}

/// Promise 1 at a clean stop: what was received is acknowledged when it is safe, then everybody is told.
#[tokio::test]
async fn a_shutdown_waits_for_receipts() {
    let (server, shelf, receipts) = storing().await;
    let publisher =
        client(&server, "mosquitto_pub", "mqttv5", &["-d", "-q", "1", "-t", "a", "-m", "x"]).spawn().unwrap();
    wait_until("stored", || !shelf.lock().unwrap().tickets.is_empty()).await;
    let address = server.local_addr();
    let stop = tokio::spawn(server.shutdown(PATIENCE));
    wait_until("a commit is asked for", || shelf.lock().unwrap().commits > 0).await;
    wait_until("nobody is let in", || std::net::TcpListener::bind(address).is_ok()).await;
    assert!(!stop.is_finished());
    let ticket = shelf.lock().unwrap().tickets.pop().unwrap();
    receipts.resolve(ticket);
    let out = timeout(PATIENCE, publisher.wait_with_output()).await.expect("no PUBACK came").unwrap();
    // It may end with an error, since it is told that we stop while it says good-bye; the PUBACK came first.
    assert!(String::from_utf8_lossy(&out.stdout).contains("received PUBACK"), "{out:?}");
    timeout(PATIENCE, stop).await.expect("it did not stop").unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let (server, shelf, _receipts) = storing().await;
    let mut publisher =
        client(&server, "mosquitto_pub", "mqttv5", &["-q", "1", "-t", "a", "-m", "x"]).spawn().unwrap();
    wait_until("stored", || !shelf.lock().unwrap().tickets.is_empty()).await;
    timeout(PATIENCE, server.shutdown(Duration::from_millis(50))).await.expect("it did not stop");
    publisher.kill().await.unwrap();
}
