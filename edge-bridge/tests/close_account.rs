//! A close waits for the hub as long as it may, and tells what was not delivered.
#![cfg(all(feature = "net", feature = "spool-queue"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real sockets"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use edge_bridge::bridge::RawPack;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::net::server::{QueueSink, Server};
use edge_bridge::wire::ReasonCode;
use edge_bridge::{Bridge, Closed};
use edge_queue::{Config, StoreKind, aio};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpSocket, TcpStream};

/// Longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

/// A hub that takes everything, and counts it.
async fn hub() -> (Server, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let observer = Server::builder().start_observer("127.0.0.1:0", move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    (observer.await.unwrap(), taken)
}

/// An address at which nobody listens, and nobody else can while the socket is there.
fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn in_memory(hub: SocketAddr) -> Bridge {
    Bridge::builder(&format!("mqtt://{hub}")).client_id("site7").start().await.unwrap()
}

async fn on_disk(hub: SocketAddr, dir: &Path, store: StoreKind) -> Bridge {
    let builder = Bridge::builder(&format!("mqtt://{hub}")).client_id("site7").spool_dir(dir);
    builder.queue_config(Config::default().store(store)).start().await.unwrap()
}

async fn publish(bridge: &Bridge, messages: usize) {
    for n in 0..messages {
        drop(bridge.publish("plant/1", n.to_string()).await.unwrap());
    }
}

#[tokio::test]
async fn a_close_with_time_delivers_what_is_in_memory() {
    let (hub, taken) = hub().await;
    let bridge = in_memory(hub.local_addr()).await;
    publish(&bridge, 500).await;
    assert_eq!(bridge.close_within(LONG).await.unwrap(), Closed::Delivered);
    assert_eq!(taken.load(Ordering::Relaxed), 500);
}

#[tokio::test]
async fn a_close_in_memory_tells_what_is_lost() {
    let (_socket, address) = nobody();
    let bridge = in_memory(address).await;
    publish(&bridge, 5).await;
    assert_eq!(bridge.close_within(SHORT).await.unwrap(), Closed::Lost(5));
    let bridge = in_memory(address).await;
    publish(&bridge, 3).await;
    assert_eq!(bridge.close().await.unwrap(), Closed::Lost(3), "without a wait too");
    assert_eq!(in_memory(address).await.close_within(LONG).await.unwrap(), Closed::Delivered, "of none");
}

#[tokio::test]
async fn a_hub_that_comes_back_during_the_close_gets_the_messages() {
    let (socket, address) = nobody();
    let bridge = in_memory(address).await;
    publish(&bridge, 20).await;
    let closing = tokio::spawn(bridge.close_within(LONG));
    tokio::task::yield_now().await;
    let (hub, taken) = hub().await;
    let way = socket.listen(1).unwrap();
    tokio::spawn(async move {
        let (mut near, _) = way.accept().await.unwrap();
        let mut far = TcpStream::connect(hub.local_addr()).await.unwrap();
        let _ = copy_bidirectional(&mut near, &mut far).await;
    });
    assert_eq!(closing.await.unwrap().unwrap(), Closed::Delivered);
    assert_eq!(taken.load(Ordering::Relaxed), 20);
}

#[tokio::test]
async fn a_close_on_disk_tells_what_is_kept_and_the_next_start_delivers_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_socket, address) = nobody();
    let bridge = on_disk(address, dir.path(), StoreKind::Ring).await;
    publish(&bridge, 7).await;
    assert_eq!(bridge.close_within(SHORT).await.unwrap(), Closed::Kept(7));
    let (hub, taken) = hub().await;
    let bridge = on_disk(hub.local_addr(), dir.path(), StoreKind::Ring).await;
    assert_eq!(bridge.close_within(LONG).await.unwrap(), Closed::Delivered);
    assert_eq!(taken.load(Ordering::Relaxed), 7);
}

#[tokio::test]
async fn a_queue_whose_store_is_memory_keeps_nothing() {
    let (_socket, address) = nobody();
    let bridge = on_disk(address, Path::new(""), StoreKind::Memory).await;
    publish(&bridge, 7).await;
    assert_eq!(bridge.close().await.unwrap(), Closed::Lost(7));
}

struct Refuses;

impl Ingest for Refuses {
    fn ingest(&mut self, _now: Now, message: &Inbound) -> Answer {
        match message.topic.as_str() {
            "plant/1" => Answer::Refuse(ReasonCode::NOT_AUTHORIZED),
            _ => Answer::Absorb,
        }
    }
}

/// They are held in RAM at first, and then parked.
#[tokio::test]
async fn refused_messages_are_waited_for_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let queue = aio::Queue::open("", Config::default().store(StoreKind::Memory)).await.unwrap();
    let builder = Server::builder();
    let hub = builder.start("127.0.0.1:0", Refuses, |receipts| QueueSink::start(&queue, 1, receipts));
    let hub = hub.await.unwrap();
    let bridge = on_disk(hub.local_addr(), dir.path(), StoreKind::Ring).await;
    publish(&bridge, 30).await;
    drop(bridge.publish("plant/2", "taken").await.unwrap());
    // All that the bridge cannot keep in RAM are on disk by then.
    bridge.watch().wait_for(|stats| stats.parked > 0 && stats.waiting == 0).await.unwrap();
    assert_eq!(bridge.close_within(SHORT).await.unwrap(), Closed::Kept(30));
}

/// A close without a wait ends one that waits, and both tell the same.
#[tokio::test]
async fn a_link_tells_every_handle_what_was_not_delivered_and_a_closed_one_nothing() {
    let config = Config::default().store(StoreKind::Memory);
    let queue = aio::Queue::open("", config).await.unwrap();
    let consumer = queue.consumer("hub").await.unwrap();
    let (_socket, address) = nobody();
    let builder = Bridge::builder(&format!("mqtt://{address}")).client_id("site7");
    let (link, _task) = builder.start_on(&queue, consumer, RawPack::new(false)).unwrap();
    let row = edge_bridge::Row::new("plant/1".try_into().unwrap(), "21.5".into());
    for _ in 0..4 {
        drop(queue.push(row.clone().into_queue_row()).await.unwrap());
    }
    let other = link.clone();
    let waits = tokio::spawn(async move { other.close_within(LONG).await });
    tokio::task::yield_now().await;
    assert_eq!(link.close_within(Duration::ZERO).await, Some(4));
    assert_eq!(waits.await.unwrap(), Some(4));
    assert_eq!(link.close_within(LONG).await, None);
}
