//! A client on a real socket that subscribes to what it writes, and writes all of it before it reads.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real sockets"
)]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edge_bridge::net::Server;
use edge_bridge::wire::{self, Limits, Packet, Properties, Publish, QoS, Utf8, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MESSAGES: usize = 30_000;

/// Keep alive 10, 1 kB at QoS 0. 30 MB are more than all buffers on the way hold.
#[tokio::test]
async fn a_client_that_reads_after_it_wrote_everything_is_served() {
    let server = Server::builder().start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let mut client = TcpStream::connect(server.local_addr()).await.unwrap();
    client
        .write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a\x82\x06\x00\x01\x00\x01#\x00")
        .await
        .unwrap();
    let mut packet = BytesMut::new();
    for n in 0..MESSAGES {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: Utf8::try_from("flood").unwrap(),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from(format!("{n:01000}")),
        };
        packet.clear();
        wire::encode(&Packet::Publish(publish), Version::V311, &mut packet).unwrap();
        let written = timeout(Duration::from_secs(30), client.write_all(&packet)).await;
        written.expect("the server reads on").unwrap();
    }
    let (mut bytes, mut numbers) = (BytesMut::new(), Vec::<usize>::new());
    while numbers.last() != Some(&(MESSAGES - 1)) {
        let read = timeout(Duration::from_secs(30), client.read_buf(&mut bytes)).await;
        assert!(read.expect("the latest message").unwrap() > 0, "closed after {} messages", numbers.len());
        while let Some(packet) = wire::decode(&mut bytes, Version::V311, &Limits::default()).unwrap() {
            if let Packet::Publish(publish) = packet {
                numbers.push(std::str::from_utf8(&publish.payload).unwrap().parse().unwrap());
            }
        }
    }
    assert!(numbers.is_sorted(), "in order");
    let stats = server.stats().await.unwrap();
    assert_eq!(stats.received, MESSAGES as u64);
    assert_eq!(numbers.len() as u64 + stats.dropped_full, MESSAGES as u64, "what is missing is counted");
}
