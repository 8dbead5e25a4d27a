//! Thin and dead links on real sockets: a relay that reads slowly, a hub that reads nothing; and what TLS adds to the bytes of MQTT, counted on the
//! way. Promises 4, 5 and 9.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real sockets"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_bridge::bridge::{LinkState, Stats};
use edge_bridge::net::{Bridge, Receipt, Server, ServerTls, Tls};
use edge_bridge::wire::{Properties, QoS, Utf8, Will};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Listens with a receive buffer that is as small as the system lets it be.
fn small_listener() -> (TcpListener, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Passes on `rate` bytes per second to the hub, and everything back.
async fn relay(listener: TcpListener, hub: SocketAddr, rate: usize) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_hub, mut to_hub) = TcpStream::connect(hub).await.unwrap().into_split();
            let up = async {
                let mut buffer = vec![0; rate / 10];
                loop {
                    sleep(Duration::from_millis(100)).await;
                    let n = from_client.read(&mut buffer).await.unwrap_or(0);
                    if n == 0 || to_hub.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = up => {}
                _ = tokio::io::copy(&mut from_hub, &mut to_client) => {}
            }
        });
    }
}

/// 60 kB at 6 kB/s: longer than any patience with silence, and the small messages before it tell nothing of it.
#[tokio::test]
async fn a_large_message_over_a_slow_relay_needs_one_connection() {
    let hub = Server::builder().start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let (listener, address) = small_listener();
    tokio::spawn(relay(listener, hub.local_addr(), 6_000));
    let bridge = Bridge::builder(&format!("mqtt://{address}")).client_id("site7").start().await.unwrap();
    for _ in 0..3 {
        assert_eq!(bridge.publish("plant/1", "small").await.unwrap().await.unwrap(), Receipt::HandedOver);
    }
    let start = Instant::now();
    let receipt = bridge.publish("plant/1", vec![b'x'; 60_000]).await.unwrap();
    let delivered =
        timeout(Duration::from_secs(25), receipt).await.expect("within twice its transmission time");
    assert_eq!(delivered.unwrap(), Receipt::HandedOver);
    assert!(start.elapsed() > Duration::from_secs(8), "the relay is slow: {:?}", start.elapsed());
    let stats = bridge.stats();
    assert_eq!((stats.dials, stats.stalls, stats.traffic.resend), (1, 0, 0), "{stats:?}");
    let _ = bridge.close().await.unwrap();
}

/// A hub's certificate, and what trusts it.
fn tls_of_both() -> (ServerTls, Tls) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = authority.self_signed(&authority_key).unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&authority, &authority_key)).unwrap();
    let (cert, key) = (file("hub.crt", leaf.pem()), file("hub.key", key.serialize_pem()));
    let trusted = Tls::from_ca(file("ca.crt", root.pem())).unwrap();
    (ServerTls::from_pem(cert, key, None).unwrap(), trusted)
}

/// TLS holds what the system has no room for, and nothing comes behind it that would push it out.
#[tokio::test]
async fn a_large_message_over_tls_and_a_slow_relay_needs_one_connection() {
    let (of_hub, trusted) = tls_of_both();
    let hub = Server::builder().tls(of_hub).start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let (listener, address) = small_listener();
    tokio::spawn(relay(listener, hub.local_addr(), 20_000));
    let bridge = Bridge::builder(&format!("mqtts://{address}")).client_id("site7").tls(trusted);
    let bridge = bridge.send_buffer_bytes(4_096).start().await.unwrap();
    let receipt = bridge.publish("plant/1", vec![b'x'; 60_000]).await.unwrap();
    let delivered = timeout(Duration::from_secs(20), receipt).await.expect("a receipt");
    assert_eq!(delivered.unwrap(), Receipt::HandedOver);
    let stats = bridge.stats();
    assert_eq!((stats.dials, stats.stalls, stats.traffic.resend), (1, 0, 0), "{stats:?}");
    let _ = bridge.close().await.unwrap();
}

/// Closed while a message is on its way for seconds: DISCONNECT comes behind it, so the hub publishes no will.
#[tokio::test]
async fn a_clean_close_over_a_slow_relay_publishes_no_will() {
    let (wills, mut published) = mpsc::channel(1);
    let hub = Server::builder().start_observer("127.0.0.1:0", move |_, message| {
        if message.topic == "site/gone" {
            wills.try_send(()).unwrap();
        }
    });
    let hub = hub.await.unwrap();
    let (listener, address) = small_listener();
    tokio::spawn(relay(listener, hub.local_addr(), 6_000));
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::try_from("site/gone").unwrap(),
        payload: Bytes::from_static(b"gone"),
        properties: Properties::default(),
    };
    let builder = Bridge::builder(&format!("mqtt://{address}")).client_id("site7").will(will);
    let bridge = builder.send_buffer_bytes(4_096).start().await.unwrap();
    let mut watch = bridge.watch();
    let connected = watch.wait_for(|stats| stats.connects == 1);
    timeout(Duration::from_secs(20), connected).await.expect("a connection").unwrap();
    // Two seconds, of the five that a close gives a message that was begun.
    for _ in 0..2 {
        drop(bridge.publish("plant/1", vec![b'x'; 6_000]).await.unwrap());
    }
    sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    let _ = bridge.close().await.unwrap();
    assert!(start.elapsed() > Duration::from_millis(1_200), "the relay is slow: {:?}", start.elapsed());
    let all_ended = async {
        while hub.stats().await.unwrap().connections > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), all_ended).await.expect("the end of all connections");
    assert!(published.try_recv().is_err(), "a will");
}

/// A hub that accepts and then neither reads nor answers: the connection is reset, so that nothing of it competes with the next one.
#[tokio::test]
async fn a_dead_connection_is_reset() {
    let (listener, address) = small_listener();
    let bridge = Bridge::builder(&format!("mqtt://{address}")).client_id("site7").start().await.unwrap();
    let (mut hub, _) = listener.accept().await.unwrap();
    let mut buffer = [0; 512];
    assert!(hub.read(&mut buffer).await.unwrap() > 0, "CONNECT");
    hub.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
    let _receipt = bridge.publish("plant/1", vec![b'x'; 1_000]).await.unwrap();
    let (again, _) =
        timeout(Duration::from_secs(30), listener.accept()).await.expect("dialled again").unwrap();
    let end = loop {
        match hub.read(&mut buffer).await {
            Ok(0) => panic!("closed in order"),
            Ok(_) => {}
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(end, std::io::ErrorKind::ConnectionReset);
    drop(again);
    let _ = bridge.close().await.unwrap();
}

/// Relay that counts what passes, both directions together, and may be told to pass on nothing more of the client's.
struct CountingRelay {
    task: JoinHandle<()>,
    passed: Arc<AtomicU64>,
    holds: watch::Sender<bool>,
}

impl CountingRelay {
    fn start(listener: TcpListener, hub: SocketAddr) -> Self {
        let (passed, (holds, held)) = (Arc::<AtomicU64>::default(), watch::channel(false));
        let counter = passed.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(counting(client, hub, counter.clone(), held.clone()));
            }
        });
        Self { task, passed, holds }
    }

    /// Ends its connections; new ones are refused.
    async fn end(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

async fn counting(
    client: TcpStream,
    hub: SocketAddr,
    passed: Arc<AtomicU64>,
    mut held: watch::Receiver<bool>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_hub, mut to_hub) = TcpStream::connect(hub).await.unwrap().into_split();
    let up = async {
        let mut buffer = [0; 4_096];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            passed.fetch_add(n as u64, Ordering::Relaxed);
            if held.wait_for(|held| !held).await.is_err() || to_hub.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut buffer = [0; 4_096];
        while let Ok(n @ 1..) = from_hub.read(&mut buffer).await {
            passed.fetch_add(n as u64, Ordering::Relaxed);
            if to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// Waits until the link is so.
async fn until(bridge: &Bridge, what: &str, is_so: impl Fn(&Stats) -> bool) -> Stats {
    let reached = async {
        while !is_so(&bridge.stats()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(Duration::from_secs(40), reached).await.is_ok(), "{what}: {:?}", bridge.stats());
    bridge.stats()
}

/// All causes together are the bytes on the wire, over TLS too. What TLS had taken and not written when a connection ended takes nothing from what it
/// adds to the next one.
#[tokio::test]
async fn promise_9_mqtt_and_tls_together_are_the_bytes_on_the_wire() {
    let (of_hub, trusted) = tls_of_both();
    let hub = Server::builder().tls(of_hub).start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let relay = CountingRelay::start(listener, hub.local_addr());
    let bridge = Bridge::builder(&format!("mqtts://{address}")).client_id("site7").tls(trusted);
    let bridge = bridge.send_buffer_bytes(4_096).start().await.unwrap();
    for n in 0..50 {
        let receipt = bridge.publish("plant/1", format!("message {n}")).await.unwrap();
        assert_eq!(receipt.await.unwrap(), Receipt::HandedOver);
    }
    let on_wire = || relay.passed.load(Ordering::Relaxed);
    let sum = |stats: &Stats| stats.traffic.total() + stats.tls_bytes;
    let stats = until(&bridge, "the bytes of the first connection", |stats| sum(stats) == on_wire()).await;
    assert!(stats.tls_bytes > 1_000, "the handshake at least: {stats:?}");

    relay.holds.send_replace(true);
    let large = bridge.publish("plant/1", vec![b'x'; 250_000]).await.unwrap();
    until(&bridge, "nothing leaves any more", |stats| stats.link == LinkState::Stalled).await;
    relay.end().await;
    let is_down = |stats: &Stats| matches!(stats.link, LinkState::Offline | LinkState::BackingOff);
    let before = until(&bridge, "the end of the connection", is_down).await;
    assert_eq!(before.connects, 1);
    let relay = CountingRelay::start(TcpListener::bind(address).await.unwrap(), hub.local_addr());
    assert_eq!(large.await.unwrap(), Receipt::HandedOver);
    let on_wire = || relay.passed.load(Ordering::Relaxed);
    let more = |stats: &Stats| sum(stats) - sum(&before);
    until(&bridge, "the bytes of the second connection", |stats| more(stats) == on_wire()).await;
    assert_eq!(bridge.stats().connects, 2);
    let _ = bridge.close().await.unwrap();
}
