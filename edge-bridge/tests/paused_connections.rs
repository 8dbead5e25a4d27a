//! Connections that are not read while the queue is full, or for which there is no place, on real sockets: their ends, for both sides.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real sockets"
)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::{Config, Event, Stats, Ticket};
use edge_bridge::net::Server;
use edge_bridge::net::server::Sink;
use edge_bridge::row::Row;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

struct Store;

impl Ingest for Store {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        Answer::Store(vec![Row::new(message.topic.clone(), message.payload.clone())])
    }
}

/// A queue that is full at first.
#[derive(Clone, Default)]
struct FullAtFirst(Arc<Mutex<(bool, Vec<u8>)>>);

impl Sink for FullAtFirst {
    fn has_room(&mut self) -> bool {
        self.0.lock().unwrap().0
    }

    fn push(&mut self, _: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        let (has_room, stored) = &mut *self.0.lock().unwrap();
        if !*has_room {
            return Err(rows);
        }
        stored.extend(rows.iter().map(|row| row.payload[0]));
        Ok(())
    }
}

/// A queue under `on_full` = reject while the hub is away.
struct Full;

impl Sink for Full {
    fn has_room(&mut self) -> bool {
        false
    }

    fn push(&mut self, _: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        Err(rows)
    }
}

async fn server(max_connections: usize) -> Server {
    let mut config = Config::default();
    config.max_connections = max_connections;
    Server::builder().config(config).start("127.0.0.1:0", Store, |_| Full).await.unwrap()
}

/// Connects a 3.1.1 client with a clean session, and waits for CONNACK; `None` if the server closes.
async fn connect(server: &Server, name: &str, keep_alive_s: u8) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let size = u8::try_from(name.len()).unwrap();
    let head = [0x10, 12 + size, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, keep_alive_s, 0, size];
    if stream.write_all(&[&head, name.as_bytes()].concat()).await.is_err() {
        return None;
    }
    let mut answer = [0; 4];
    match timeout(Duration::from_secs(20), stream.read_exact(&mut answer)).await.expect("an answer") {
        Ok(_) => Some(stream),
        Err(_) => None,
    }
}

/// Connects as soon as there is a place: each connection's end is looked for once a second. One whose peer is there makes place after 10 s.
async fn connect_soon(server: &Server, name: &str) -> TcpStream {
    let until_connected = async {
        loop {
            if let Some(stream) = connect(server, name, 0).await {
                return stream;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(9), until_connected).await.expect("a place")
}

/// Two PUBLISHes at QoS 1: the first is held, the second waits unread.
async fn publish(server: &Server, stream: &mut TcpStream) {
    let received = server.stats().await.unwrap().received;
    stream.write_all(b"\x32\x06\x00\x01t\x00\x01x").await.unwrap();
    until(server, |stats| stats.received > received).await;
    stream.write_all(b"\x32\x06\x00\x01t\x00\x02y").await.unwrap();
}

/// Sensors that make up a new name each time, get no PUBACK and give up: one after the other they would take all places.
#[tokio::test]
async fn publishers_that_gave_up_lock_nobody_out() {
    let server = server(20).await;
    for n in 0..60 {
        let mut stream = connect_soon(&server, &format!("sensor{n}")).await;
        publish(&server, &mut stream).await;
    }
    let stats = server.stats().await.unwrap();
    assert_eq!((stats.connections, stats.displaced), (20, 40), "{stats:?}");
    connect_soon(&server, "valve").await;
}

/// The end of the connection is seen, not a reset, although the server takes nothing of what was sent.
#[tokio::test]
async fn whoever_finds_no_place_sees_a_proper_end() {
    let server = server(1).await;
    let _first = connect(&server, "first", 0).await.unwrap();
    for bytes in [14, 4_000] {
        // This thread is the server's, too: all is there before the connection is accepted.
        let mut stream = std::net::TcpStream::connect(server.local_addr()).unwrap();
        stream.write_all(&vec![0x10; bytes]).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream).unwrap();
        let end = timeout(Duration::from_secs(20), stream.read(&mut [0])).await.expect("an end");
        assert_eq!(end.map_err(|error| error.kind()), Ok(0), "{bytes} bytes");
    }
    assert_eq!(server.stats().await.unwrap().not_accepted, 2);
}

/// Connects a 3.1.1 client with a will at QoS 0.
async fn connect_with_will(server: &Server, keep_alive_s: u8) -> TcpStream {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let head = [&b"\x10\x13\x00\x04MQTT\x04\x06\x00"[..], &[keep_alive_s]].concat();
    stream.write_all(&[&head[..], b"\x00\x01s\x00\x01w\x00\x01x"].concat()).await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    stream
}

async fn until(server: &Server, is_so: impl Fn(&Stats) -> bool) -> Stats {
    for _ in 0..2_000 {
        let stats = server.stats().await.unwrap();
        if is_so(&stats) {
            return stats;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", server.stats().await.unwrap());
}

/// A sensor that gets no PUBACK and leaves in order: its DISCONNECT is not read, and its will is not published all the same.
#[tokio::test]
async fn a_publisher_that_left_in_order_leaves_no_will() {
    for (last, wills) in [(&b"\xe0\x00"[..], 0), (b"", 1)] {
        let server = server(20).await;
        let mut sensor = connect_with_will(&server, 1).await;
        publish(&server, &mut sensor).await;
        sensor.write_all(last).await.unwrap();
        drop(sensor);
        let stats = until(&server, |stats| stats.connections == 0).await;
        assert_eq!(stats.received, 1 + wills, "the message that is held, and the will: {stats:?}");
    }
}

/// A queue that has room for so many rows.
#[derive(Clone, Default)]
struct RoomFor(Arc<Mutex<usize>>);

impl Sink for RoomFor {
    fn has_room(&mut self) -> bool {
        *self.0.lock().unwrap() > 0
    }

    fn push(&mut self, _: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        let mut room = self.0.lock().unwrap();
        match room.checked_sub(rows.len()) {
            Some(left) => *room = left,
            None => return Err(rows),
        }
        Ok(())
    }
}

/// There is room in between, and not for all that it sent: it is still gone, and what it said at the end still counts.
#[tokio::test]
async fn a_publisher_that_left_is_gone_also_after_some_of_its_messages_were_read() {
    for (last, wills) in [(&b"\xe0\x00"[..], 0), (b"", 1)] {
        let (queue, seen) = (RoomFor::default(), Arc::<Mutex<Vec<String>>>::default());
        let (sink, topics) = (queue.clone(), seen.clone());
        let see = move |_, message: &Inbound| topics.lock().unwrap().push(message.topic.as_str().into());
        let server = Server::builder().on_publish(see).start("127.0.0.1:0", Store, |_| sink).await.unwrap();
        let mut sensor = connect_with_will(&server, 8).await;
        // In one read, so that the rest stays in the buffer over several turns.
        let messages = (1..=120).flat_map(|n| [0x32, 6, 0, 1, b't', 0, n, n]);
        sensor.write_all(&messages.chain(last.iter().copied()).collect::<Vec<_>>()).await.unwrap();
        drop(sensor);
        // Each connection's end is looked for once a second.
        sleep(Duration::from_millis(2_500)).await;
        let before = server.stats().await.unwrap();
        *queue.0.lock().unwrap() = 2 + usize::try_from(before.received).unwrap();
        let after = until(&server, |stats| stats.received > before.received).await;
        assert!(after.received < 120, "{after:?}");
        until(&server, |stats| stats.connections == 0).await;
        assert_eq!(seen.lock().unwrap().iter().filter(|topic| *topic == "w").count(), wills);
    }
}

/// Its bytes were looked at when it left; they are all there when there is room in time.
#[tokio::test]
async fn what_a_publisher_left_behind_is_stored_in_order() {
    let queue = FullAtFirst::default();
    let sink = queue.clone();
    let server = Server::builder().start("127.0.0.1:0", Store, |_| sink).await.unwrap();
    let mut sensor = connect(&server, "sensor", 60).await.unwrap();
    for n in 1..100 {
        sensor.write_all(&[0x32, 6, 0, 1, b't', 0, n, n]).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    drop(sensor);
    // Each connection's end is looked for once a second.
    sleep(Duration::from_millis(2_500)).await;
    queue.0.lock().unwrap().0 = true;
    let stats = until(&server, |stats| stats.connections == 0).await;
    assert_eq!(queue.0.lock().unwrap().1, Vec::from_iter(1..100), "{stats:?}");
}

#[tokio::test]
async fn a_publisher_that_gave_up_is_closed_by_its_keep_alive() {
    let server = server(20).await;
    for n in 0..5 {
        let mut stream = connect(&server, &format!("sensor{n}"), 2).await.unwrap();
        publish(&server, &mut stream).await;
    }
    let mut there = connect(&server, "there", 2).await.unwrap();
    publish(&server, &mut there).await;
    until(&server, |stats| stats.connections == 1).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(server.stats().await.unwrap().connections, 1, "those that gave up are gone, the other is not");
}

/// The log is searched for the sensor that loses messages: a name alone can be that of any machine.
#[tokio::test]
async fn each_event_of_a_connection_comes_with_the_clients_address() {
    let told = Arc::<Mutex<Vec<(Event, Option<SocketAddr>)>>>::default();
    let log = told.clone();
    let builder =
        Server::builder().on_event(move |event, address| log.lock().unwrap().push((event.clone(), address)));
    let server = builder.start("127.0.0.1:0", Store, |_| Full).await.unwrap();
    let mut sensor = connect(&server, "sensor", 60).await.unwrap();
    let address = sensor.local_addr().unwrap();
    // A topic with a control character, and a message at QoS 0 that finds no room.
    sensor.write_all(b"\x30\x04\x00\x01\x07x\x30\x04\x00\x01tx\xe0\x00").await.unwrap();
    until(&server, |stats| stats.received > 0 && stats.connections == 0).await;
    let told = told.lock().unwrap();
    for wanted in ["Connected", "TopicRefused", "NoRoom", "Disconnected"] {
        let found = told.iter().find(|(event, _)| format!("{event:?}").starts_with(wanted));
        assert_eq!(found.map(|(_, address)| *address), Some(Some(address)), "{wanted}: {told:?}");
    }
}
