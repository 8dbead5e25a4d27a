//! Messages for a client that does not read wait where the listener counts them, and not in the kernel's send buffer.
#![cfg(all(feature = "net", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real sockets"
)]

use std::time::Duration;

use edge_bridge::net::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

const MESSAGES: usize = 600;
/// QoS 0, 1 000 bytes on topic `f`.
const SIZE: usize = 3 + 3 + 1_000;
/// CONNACK and SUBACK.
const ANSWERS: usize = 4 + 5;

#[tokio::test]
async fn what_a_client_does_not_read_is_in_the_listeners_account() {
    let server = Server::builder().start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
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
    writer.write_all(&message.repeat(MESSAGES)).await.unwrap();
    let came = async {
        while server.stats().await.unwrap().received < MESSAGES as u64 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), came).await.expect("all are received");
    let settled = async {
        let mut before = usize::MAX;
        loop {
            let stats = server.stats().await.unwrap();
            if std::mem::replace(&mut before, stats.held_bytes) == stats.held_bytes {
                return stats;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let stats = timeout(Duration::from_secs(30), settled).await.expect("the kernel takes no more");
    assert!(stats.held_bytes > MESSAGES * SIZE * 3 / 4, "{stats:?}");
    assert_eq!(stats.dropped_full, 0);
    let mut all = vec![0; MESSAGES * SIZE];
    let read = timeout(Duration::from_secs(30), reader.read_exact(&mut all)).await;
    read.expect("it gets all of it").unwrap();
    assert!(all == message.repeat(MESSAGES));
}
