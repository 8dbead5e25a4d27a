//! Messages for a client that does not read wait where the listener counts them, and not in the kernel's send buffer.
#![cfg(all(feature = "net", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real sockets"
)]

use std::time::Duration;

use edge_bridge::listener::{Config, Stats};
use edge_bridge::net::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

const MESSAGES: usize = 600;
/// QoS 0, 1 000 bytes on topic `f`.
const SIZE: usize = 3 + 3 + 1_000;
/// CONNACK and SUBACK.
const ANSWERS: usize = 4 + 5;

/// A server, and a client of it that reads nothing of a flood which fills the kernel's buffers and the connection's own.
struct Deaf {
    server: Server,
    reader: TcpStream,
    flood: Vec<u8>,
    /// Publisher, which stays connected.
    _writer: TcpStream,
}

impl Deaf {
    async fn start(config: Config) -> Self {
        let server = Server::builder().config(config).start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // Its own buffer takes next to nothing.
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut reader = socket.connect(server.local_addr()).await.unwrap();
        reader
            .write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01r\x82\x06\x00\x01\x00\x01#\x00")
            .await
            .unwrap();
        reader.read_exact(&mut [0; ANSWERS]).await.unwrap();
        let mut writer = TcpStream::connect(server.local_addr()).await.unwrap();
        writer.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01w").await.unwrap();
        let message = [&[0x30, 0xeb, 0x07, 0, 1, b'f'][..], &[b'x'; 1_000]].concat();
        let flood = message.repeat(MESSAGES);
        writer.write_all(&flood).await.unwrap();
        let came = async {
            while server.stats().await.unwrap().received < MESSAGES as u64 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(30), came).await.expect("all are received");
        Self { server, reader, flood, _writer: writer }
    }

    /// Waits until the kernel takes no more.
    async fn settled(&self) -> Stats {
        let settled = async {
            let mut before = usize::MAX;
            loop {
                let stats = self.server.stats().await.unwrap();
                if std::mem::replace(&mut before, stats.held_bytes) == stats.held_bytes {
                    return stats;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(Duration::from_secs(30), settled).await.expect("the kernel takes no more")
    }
}

#[tokio::test]
async fn what_a_client_does_not_read_is_in_the_listeners_account() {
    let mut deaf = Deaf::start(Config::default()).await;
    let stats = deaf.settled().await;
    assert!(stats.held_bytes > MESSAGES * SIZE * 3 / 4, "{stats:?}");
    assert_eq!(stats.dropped_full, 0);
    let mut all = vec![0; MESSAGES * SIZE];
    let read = timeout(Duration::from_secs(30), deaf.reader.read_exact(&mut all)).await;
    read.expect("it gets all of it").unwrap();
    assert!(all == deaf.flood);
}

/// Otherwise its socket and what is left for it would stay for as long as it likes.
#[tokio::test]
async fn promise_12_a_client_that_leaves_and_reads_nothing_is_closed() {
    let mut config = Config::default();
    // Little enough to be sent after its last word: more is dropped with the connection.
    config.max_unwritten_bytes = 3_000;
    let mut deaf = Deaf::start(config).await;
    deaf.settled().await;
    deaf.reader.write_all(b"\xe0\0").await.unwrap();
    // Bytes for a socket that is closed are answered by a reset.
    let mut is_closed = false;
    for _ in 0..300 {
        is_closed = deaf.reader.write_all(b"\xc0\0").await.is_err();
        if is_closed {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(is_closed, "half a minute later its connection is still open");
}
