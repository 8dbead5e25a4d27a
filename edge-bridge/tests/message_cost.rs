//! Cost of a message at a low rate, where nothing is shared with others: allocations of the listener, the queue and the link together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "test code"
)]
#![allow(unsafe_code, reason = "a counting allocator has to implement GlobalAlloc")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use edge_bridge::bridge::RawPack;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::net::server::{QueueSink, Server};
use edge_bridge::{Bridge, Row};
use edge_queue::Config;
use edge_queue::aio::Queue;

struct Counting;

/// Of all threads: those of the test itself allocate nothing while they count.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends each message on as it came.
struct AsItCame;

impl Ingest for AsItCame {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        Answer::Store(vec![Row::new(message.topic.clone(), message.payload.clone())])
    }
}

/// Runs the product until `stop` is dropped; gives the address for sensors.
fn run(
    hub: SocketAddr,
    spool: std::path::PathBuf,
    address: &mpsc::Sender<SocketAddr>,
    stop: mpsc::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = Queue::open(spool, Config::default()).await.unwrap();
        let consumer = queue.consumer("hub").await.unwrap();
        let builder = Bridge::builder(&format!("mqtt://{hub}")).client_id("site7");
        let (_link, _task) = builder.start_on(&queue, consumer, RawPack::new(true)).unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::builder()
            .start(listen, AsItCame, |receipts| QueueSink::start(&queue, 1, receipts))
            .await
            .unwrap();
        address.send(server.local_addr()).unwrap();
        tokio::task::spawn_blocking(move || stop.recv()).await.unwrap().unwrap_err();
    });
}

/// Reads a packet: its first byte, and its body in `body`.
fn packet<'a>(stream: &mut TcpStream, body: &'a mut [u8; 1_024]) -> (u8, &'a [u8]) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    let kind = byte[0];
    let (mut len, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).unwrap();
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    stream.read_exact(&mut body[..len]).unwrap();
    (kind, &body[..len])
}

/// A sensor sends 200 bytes at QoS 1, the hub acknowledges, the sensor has its PUBACK. Without the rule of any of them: the listener's connection keeps a
/// buffer that nothing came into; one waker, one receipt and one waiting task of the queue take none; properties are built with room for what is added.
#[test]
fn a_message_costs_few_allocations() {
    const MESSAGES: u16 = 200;
    let dir = tempfile::tempdir().unwrap();
    let hub = TcpListener::bind("127.0.0.1:0").unwrap();
    let (hub_address, spool) = (hub.local_addr().unwrap(), dir.path().join("spool"));
    let (tell, address) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    let product = std::thread::spawn(move || run(hub_address, spool, &tell, stopped));
    let mut body = [0; 1_024];
    let mut hub = hub.accept().unwrap().0;
    hub.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(packet(&mut hub, &mut body).0, 0x10);
    // CONNACK with a Topic Alias Maximum of 8.
    hub.write_all(&[0x20, 6, 0, 0, 3, 0x22, 0, 8]).unwrap();
    let mut sensor = TcpStream::connect(address.recv().unwrap()).unwrap();
    sensor.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    sensor.set_nodelay(true).unwrap();
    sensor.write_all(b"\x10\x0e\0\x04MQTT\x04\x02\0\x00\0\x02ab").unwrap();
    assert_eq!(packet(&mut sensor, &mut body).0, 0x20);
    let mut publish = [b'x'; 223];
    publish[..4].copy_from_slice(&[0x32, 220 | 0x80, 1, 0]);
    publish[4..21].copy_from_slice(b"\x10plant/line1/temp");
    let mut carry = |number: u16| {
        publish[21..23].copy_from_slice(&number.to_be_bytes());
        sensor.write_all(&publish).unwrap();
        let (kind, message) = packet(&mut hub, &mut body);
        assert_eq!(kind & 0xf6, 0x32, "PUBLISH at QoS 1");
        let id = 2 + usize::from(u16::from_be_bytes([message[0], message[1]]));
        let puback = [0x40, 2, message[id], message[id + 1]];
        hub.write_all(&puback).unwrap();
        let (kind, puback) = packet(&mut sensor, &mut body);
        assert_eq!((kind, puback), (0x40, &number.to_be_bytes()[..]));
    };
    (1..50).for_each(&mut carry);
    // The least of three rounds: what is due by time costs a busy machine more of each message.
    let (mut allocations, mut bytes) = (f64::MAX, f64::MAX);
    for round in 0..3 {
        let first = 50 + round * MESSAGES;
        let before = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
        (first..first + MESSAGES).for_each(&mut carry);
        let after = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
        let per_message = |from: u64, to: u64| (to - from) as f64 / f64::from(MESSAGES);
        allocations = allocations.min(per_message(before.0, after.0));
        bytes = bytes.min(per_message(before.1, after.1));
    }
    println!("a message: {allocations:.1} allocations, {bytes:.0} bytes");
    drop(stop);
    product.join().unwrap();
    assert!(allocations < 19.0, "{allocations}");
    assert!(bytes < 4_000.0, "{bytes}");
}
