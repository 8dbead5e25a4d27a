//! The bridge against a real Mosquitto as hub: kill and restart, cut and resume, half-open, commands, TLS. Promises 1, 4 and 5.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real processes and sockets"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::LinkState;
use edge_bridge::net::{Bridge, PendingReceipt, Receipt, Tls};
use edge_bridge::wire::{Utf8, Version};
use support::mosquitto::Mosquitto;
use support::relay::{Path, Relay};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(40);

async fn bridge(url: &str, client_id: &str) -> Bridge {
    Bridge::builder(url).client_id(client_id).start().await.unwrap()
}

async fn publish(bridge: &Bridge, topic: &str, range: std::ops::Range<usize>) -> Vec<PendingReceipt> {
    let mut receipts = Vec::new();
    for n in range {
        receipts.push(bridge.publish_row(retained(topic, n)).await.unwrap());
    }
    receipts
}

/// A retained message of its own topic: the hub keeps it for whoever asks later.
fn retained(topic: &str, n: usize) -> Row {
    let mut row =
        Row::new(Utf8::try_from(format!("{topic}/{n}")).unwrap(), Bytes::from(format!("{topic} {n}")));
    row.retain = true;
    row
}

async fn all(receipts: Vec<PendingReceipt>) {
    for receipt in receipts {
        assert_eq!(timeout(LONG, receipt).await.expect("a receipt in time").unwrap(), Receipt::HandedOver);
    }
}

async fn until(bridge: &Bridge, what: &str, test: impl FnMut(&edge_bridge::bridge::Stats) -> bool) {
    let mut watch = bridge.watch();
    let reached = timeout(LONG, watch.wait_for(test)).await.is_ok();
    assert!(reached, "{what}: {:?}", bridge.stats());
}

/// Every message of the hub's retained ones under `topic`.
fn at_hub(hub: &Mosquitto, topic: &str, count: usize) -> BTreeSet<String> {
    let filter = format!("{topic}/#");
    let count = count.to_string();
    hub.subscribe(&["-t", &filter, "-q", "1", "-C", &count, "-W", "30"]).lines().into_iter().collect()
}

fn expected(topic: &str, range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(|n| format!("{topic} {n}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_over_a_killed_and_restarted_hub() {
    for version in [Version::V5, Version::V311] {
        let mut hub = Mosquitto::start("");
        let bridge = Bridge::builder(&hub.url()).client_id("site7").version(version).start().await.unwrap();
        let before = publish(&bridge, "a", 0..200).await;
        all(before).await;
        assert_eq!(at_hub(&hub, "a", 200), expected("a", 0..200));

        hub.kill();
        let mut outage = publish(&bridge, "b", 0..300).await;
        until(&bridge, "backing off", |s| s.link == LinkState::BackingOff).await;
        hub.run();
        outage.extend(publish(&bridge, "b", 300..400).await);
        all(outage).await;
        assert_eq!(at_hub(&hub, "b", 400), expected("b", 0..400));
        let stats = bridge.stats();
        assert!(stats.connects >= 2 && stats.traffic.payload > 0, "{stats:?}");
        let _ = bridge.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_link_resumes_the_session_and_everything_arrives() {
    let hub = Mosquitto::start("");
    let relay = Relay::start(hub.address()).await;
    let bridge = bridge(&relay.url(), "site7").await;
    let mut receipts = Vec::new();
    for round in 0..5 {
        until(&bridge, "connected", |s| s.connects > round).await;
        let range = usize::try_from(round).unwrap() * 100..usize::try_from(round + 1).unwrap() * 100;
        receipts.extend(publish(&bridge, "c", range).await);
        relay.set(Path::Cut);
        until(&bridge, "cut", |s| s.link == LinkState::BackingOff).await;
        relay.set(Path::Open);
    }
    all(receipts).await;
    assert_eq!(at_hub(&hub, "c", 500), expected("c", 0..500));
    let stats = bridge.stats();
    assert_eq!(stats.sessions_lost, 0, "Mosquitto kept it: {stats:?}");
    let _ = bridge.close().await.unwrap();
}

/// Promise 5: the link is not believed for being open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_is_broken_in_seconds() {
    let hub = Mosquitto::start("");
    let relay = Relay::start(hub.address()).await;
    let bridge = bridge(&relay.url(), "site7").await;
    all(publish(&bridge, "d", 0..1).await).await;
    relay.set(Path::HalfOpen);
    let swallowed = bridge.publish_row(retained("d", 1)).await.unwrap();
    until(&bridge, "suspected", |s| s.link == LinkState::Stalled).await;
    relay.set(Path::Open);
    let healed = timeout(LONG, swallowed).await.expect("redialled, and not by the keep alive of a minute");
    assert_eq!(healed.unwrap(), Receipt::HandedOver);
    assert!(bridge.stats().stalls >= 1);
    assert_eq!(at_hub(&hub, "d", 2), expected("d", 0..2));
    let _ = bridge.close().await.unwrap();
}

/// The bar's S9: with MQTT 5 Mosquitto's own bridge loses every command of an outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_an_outage_arrive_and_are_acknowledged_only_when_done() {
    let hub = Mosquitto::start("");
    let relay = Relay::start(hub.address()).await;
    let bridge = bridge(&relay.url(), "site7").await;
    let mut commands = bridge.subscribe("cmd/#").await.unwrap();
    // Another client's message tells that the subscription stands.
    until(&bridge, "connected", |s| s.connects == 1).await;
    hub.publish(&["-t", "cmd/first", "-m", "0", "-q", "1", "-r"]);
    let first = timeout(LONG, commands.next()).await.unwrap().unwrap();
    assert_eq!((first.topic(), first.payload().as_ref()), ("cmd/first", &b"0"[..]));
    first.done();

    relay.set(Path::Cut);
    until(&bridge, "cut", |s| s.link == LinkState::BackingOff).await;
    for n in 0..20 {
        hub.publish(&["-t", "cmd/valve", "-m", &n.to_string(), "-q", "1"]);
    }
    relay.set(Path::Open);
    for n in 0..20 {
        let mut command = timeout(LONG, commands.next()).await.unwrap().unwrap();
        while command.topic() == "cmd/first" {
            // Its PUBACK did not get through before the cut.
            command.done();
            command = timeout(LONG, commands.next()).await.unwrap().unwrap();
        }
        assert_eq!(command.payload().as_ref(), n.to_string().as_bytes());
        // The odd ones are dropped: not acknowledged.
        if n % 2 == 0 {
            command.done();
        }
    }
    // What was not done comes again with the next connection.
    relay.set(Path::Cut);
    until(&bridge, "cut", |s| s.link == LinkState::BackingOff).await;
    relay.set(Path::Open);
    let mut again = Vec::new();
    while again.len() < 10 {
        let command = timeout(LONG, commands.next()).await.unwrap().unwrap();
        let n: usize = std::str::from_utf8(command.payload()).unwrap().parse().unwrap();
        // A PUBACK may have been on its way when the link was cut: those of the even ones may come again too.
        if n % 2 == 1 {
            again.push(n);
        }
        command.done();
    }
    assert_eq!(again, (0..20).filter(|n| n % 2 == 1).collect::<Vec<_>>());
    let _ = bridge.close().await.unwrap();
}

/// The hub forgets the session with the connection: what found no room here would be lost. And an application that holds messages back
/// (they are not done) would get the same ones again and again.
#[tokio::test]
async fn a_burst_of_more_bytes_than_a_queue_holds_comes_over_one_connection() {
    const MESSAGES: usize = 100;
    let hub = Mosquitto::start("max_inflight_messages 0");
    let site = Bridge::builder(&hub.url()).client_id("site7").session_expiry_s(0).start().await.unwrap();
    let mut large = site.subscribe("large/#").await.unwrap();
    until(&site, "connected", |s| s.connects == 1).await;
    hub.publish(&["-t", "large/first", "-m", "0", "-q", "1", "-r"]);
    timeout(LONG, large.next()).await.unwrap().unwrap().done();
    let file = hub.dir().join("large");
    std::fs::write(&file, vec![b'x'; 540_000]).unwrap();
    let burst = tokio::task::spawn_blocking(move || {
        let count = MESSAGES.to_string();
        hub.publish(&["-t", "large/a", "-f", file.to_str().unwrap(), "-q", "1", "--repeat", &count]);
        hub
    });
    let mut held = Vec::new();
    while held.len() < MESSAGES {
        let (message, ack) = timeout(LONG, large.next()).await.expect("the next").unwrap().split();
        assert!(!message.dup && message.payload.len() == 540_000);
        held.push(ack);
        // Slower than the hub.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(site.stats().connects, 1);
    drop(burst.await.unwrap());
}

/// The hub keeps a dropped subscription on for a while; who subscribes again gets what a new subscription would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_dropped_and_subscribed_again_brings_what_is_retained() {
    let hub = Mosquitto::start("");
    hub.publish(&["-t", "set/point", "-m", "21", "-q", "1", "-r"]);
    for version in [Version::V5, Version::V311] {
        let bridge = Bridge::builder(&hub.url()).client_id("site7").version(version).start().await.unwrap();
        for time in ["first", "again", "and again"] {
            let mut points = bridge.subscribe("set/#").await.unwrap();
            let point = timeout(LONG, points.next()).await.expect(time).unwrap();
            assert_eq!((point.payload().as_ref(), point.is_retained()), (&b"21"[..], true));
            point.done();
        }
        let _ = bridge.close().await.unwrap();
    }
}

/// A hub that takes five at a time gets five at a time: Mosquitto closes the connection otherwise.
/// Mosquitto 2.0.11 works off what it queued without a look at our Receive Maximum: more commands than that must not become a loop
/// of disconnects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_commands_than_the_receive_maximum_arrive_after_an_outage() {
    // More than the bridge keeps for an application that is slow, too.
    const COMMANDS: usize = 6_000;
    let hub = Mosquitto::start("max_queued_messages 0\nmax_inflight_messages 0");
    let relay = Relay::start(hub.address()).await;
    let site = bridge(&relay.url(), "site7").await;
    let mut commands = site.subscribe("cmd/#").await.unwrap();
    until(&site, "connected", |s| s.connects == 1).await;
    hub.publish(&["-t", "cmd/first", "-m", "0", "-q", "1", "-r"]);
    timeout(LONG, commands.next()).await.unwrap().unwrap().done();
    relay.set(Path::Cut);
    until(&site, "cut", |s| s.link == LinkState::BackingOff).await;
    let centre = bridge(&format!("mqtt://{}", hub.address()), "centre").await;
    all(publish(&centre, "cmd/valve", 0..COMMANDS).await).await;
    relay.set(Path::Open);
    until(&site, "all came once", |s| s.received >= COMMANDS as u64).await;
    let mut seen = BTreeSet::new();
    while seen.len() < COMMANDS {
        let command = timeout(LONG, commands.next()).await.unwrap().unwrap();
        if command.topic().starts_with("cmd/valve/") {
            seen.insert(command.payload().clone());
        }
        command.done();
    }
    assert!((3..=6).contains(&site.stats().connects), "{} connections", site.stats().connects);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hubs_receive_maximum_is_kept() {
    let hub = Mosquitto::start("max_inflight_messages 5");
    let bridge = bridge(&hub.url(), "site7").await;
    all(publish(&bridge, "e", 0..1000).await).await;
    assert_eq!(at_hub(&hub, "e", 1000), expected("e", 0..1000));
    assert_eq!(bridge.stats().connects, 1);
    let _ = bridge.close().await.unwrap();
}

/// The spool on disk: what was accepted in an outage survives the process, here a clean stop, and is sent once.
#[cfg(feature = "spool-queue")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_on_disk_outlives_the_bridge() {
    let mut hub = Mosquitto::start("");
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let builder = Bridge::builder(&hub.url()).client_id("site7");
        builder.spool_dir(dir.path().join("spool")).identity(true).start()
    };
    let first = start().await.unwrap();
    for receipt in publish(&first, "g", 0..100).await {
        let receipt = timeout(LONG, receipt).await.unwrap().unwrap();
        assert!(matches!(receipt, Receipt::HandedOver | Receipt::Stored), "{receipt:?}");
    }
    until(&first, "delivered", |s| s.rows_delivered == 100).await;
    hub.kill();
    until(&first, "backing off", |s| s.link == LinkState::BackingOff).await;
    for receipt in publish(&first, "h", 0..500).await {
        assert_eq!(timeout(LONG, receipt).await.unwrap().unwrap(), Receipt::Stored);
    }
    let _ = first.close().await.unwrap();

    hub.run();
    let second = Bridge::builder(&hub.url())
        .client_id("site7")
        .spool_dir(dir.path().join("spool"))
        .identity(true)
        .start()
        .await
        .unwrap();
    until(&second, "drained", |s| s.rows_delivered == 500).await;
    assert_eq!(at_hub(&hub, "h", 500), expected("h", 0..500));
    let seen = hub.subscribe(&["-t", "h/0", "-V", "mqttv5", "-F", "%P", "-C", "1", "-W", "20"]).lines();
    assert!(seen[0].contains("edge-id:"), "{seen:?}");
    until(&second, "idle", |s| s.link == LinkState::Idle).await;
    let _ = second.close().await.unwrap();
}

/// A restarted gateway under the same name: the hub's old session is there, the process knows nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_an_earlier_process_is_taken_over() {
    let hub = Mosquitto::start("");
    let first = bridge(&hub.url(), "site7").await;
    let mut commands = first.subscribe("cmd/#").await.unwrap();
    until(&first, "connected", |s| s.connects == 1).await;
    hub.publish(&["-t", "cmd/a", "-m", "x", "-q", "1", "-r"]);
    timeout(LONG, commands.next()).await.unwrap().unwrap().done();
    let _ = first.close().await.unwrap();
    hub.publish(&["-t", "cmd/b", "-m", "while away", "-q", "1"]);
    let second = bridge(&hub.url(), "site7").await;
    // The hub may speak before the application subscribes: nothing of it is lost.
    until(&second, "spoken to", |s| s.received > 0).await;
    let mut commands = second.subscribe("cmd/#").await.unwrap();
    loop {
        let command = timeout(LONG, commands.next()).await.unwrap().unwrap();
        let found = command.payload().as_ref() == b"while away";
        command.done();
        if found {
            break;
        }
    }
    let _ = second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_a_client_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let keys = certificates(dir.path());
    let lines = format!(
        "cafile {0}/ca.crt\ncertfile {0}/hub.crt\nkeyfile {0}/hub.key\nrequire_certificate true",
        dir.path().display()
    );
    let hub = Mosquitto::start(&lines);
    let relay = Relay::start(hub.address()).await;
    let url = relay.url().replace("mqtt://127.0.0.1", "mqtts://localhost");
    let bridge = Bridge::builder(&url).client_id("site7").tls(keys.clone()).start().await.unwrap();
    until(&bridge, "connected", |s| s.connects > 0 || s.last_error.is_some()).await;
    assert_eq!(bridge.stats().last_error, None, "{}", hub.log());
    all(publish(&bridge, "f", 0..50).await).await;
    until(&bridge, "counted", |s| s.acknowledged == 50).await;
    let added = bridge.stats().tls_bytes;
    assert!(added > 1000, "the handshake at least: {:?}", bridge.stats());
    // It is a counter: a message that is encoded, and does not leave, takes nothing from it.
    relay.set(Path::HalfOpen);
    let large = Row::new(Utf8::from_static("large"), Bytes::from(vec![0; 16 << 20]));
    let _waits = bridge.publish_row(large).await.unwrap();
    until(&bridge, "encoded", |s| s.traffic.total() > 16 << 20).await;
    assert!(bridge.stats().tls_bytes >= added, "{added}, then {:?}", bridge.stats());
    drop(bridge);

    // Without a certificate there is no connection, and the reason is said.
    let bare = Tls::from_ca(dir.path().join("ca.crt")).unwrap();
    let bridge = Bridge::builder(&url).client_id("site8").tls(bare).start().await.unwrap();
    until(&bridge, "refused", |s| s.last_error.is_some()).await;
    assert_eq!(bridge.stats().connects, 0);
    let _ = bridge.close().await.unwrap();
}

/// An authority, a server's and a client's certificate, as files.
fn certificates(dir: &std::path::Path) -> Tls {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "test authority");
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    write("ca.crt", ca.pem());
    let issuer = Issuer::new(params, ca_key);
    for name in ["hub", "site7"] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.crt"), params.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    Tls::from_pem(dir.join("ca.crt"), dir.join("site7.crt"), dir.join("site7.key")).unwrap()
}
