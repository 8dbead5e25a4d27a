//! Last words of a hub before it ended the connection count, also while the link reads nothing because a subscription's queue is full. Promise 1.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real sockets"
)]

use std::time::Duration;

use bytes::BytesMut;
use edge_bridge::net::{Bridge, Receipt};
use edge_bridge::wire::{self, Ack, Limits, Packet, ReasonCode, SubAck, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Messages that fill the queue of a subscription.
const FILL: usize = 4_096;

struct Hub {
    stream: TcpStream,
    received: BytesMut,
}

impl Hub {
    async fn next(&mut self) -> Packet {
        loop {
            let packet = wire::decode(&mut self.received, Version::V5, &Limits::default()).unwrap();
            if let Some(packet) = packet {
                return packet;
            }
            assert!(self.stream.read_buf(&mut self.received).await.unwrap() > 0);
        }
    }

    async fn say(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        wire::encode(packet, Version::V5, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }
}

/// The hub fills the queue of a subscription, acknowledges a message, at once or later, and resets the connection.
async fn acknowledges_and_resets(pause: Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let bridge = Bridge::builder(&url).client_id("site7").start().await.unwrap();
    let commands = bridge.subscribe("cmd").await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut hub = Hub { stream, received: BytesMut::new() };
    assert!(matches!(hub.next().await, Packet::Connect(_)));
    hub.stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
    let Packet::Subscribe(subscribe) = hub.next().await else { panic!("no SUBSCRIBE") };
    let reasons = vec![ReasonCode::GRANTED_QOS_1];
    hub.say(&Packet::SubAck(SubAck {
        packet_id: subscribe.packet_id,
        properties: subscribe.properties,
        reasons,
    }))
    .await;
    let receipt = bridge.publish("plant/1", "first").await.unwrap();
    let Packet::Publish(first) = hub.next().await else { panic!("no PUBLISH") };

    hub.stream.write_all(&b"\x30\x06\x00\x03cmd\x00".repeat(FILL)).await.unwrap();
    sleep(pause).await;
    hub.say(&Packet::PubAck(Ack::new(first.packet_id.unwrap(), ReasonCode::SUCCESS))).await;
    sleep(Duration::from_millis(200)).await;
    hub.stream.set_zero_linger().unwrap();
    drop(hub);
    let _second = bridge.publish("plant/1", "second").await.unwrap();
    // The next connection is not answered, so no other PUBACK comes.
    let receipt = timeout(Duration::from_secs(20), receipt).await.expect("the PUBACK was read").unwrap();
    assert_eq!(receipt, Receipt::HandedOver);
    drop(commands);
    let _ = bridge.close().await.unwrap();
}

#[tokio::test]
async fn an_acknowledgement_that_waits_to_be_handled_counts() {
    acknowledges_and_resets(Duration::ZERO).await;
}

#[tokio::test]
async fn an_acknowledgement_that_waits_to_be_read_counts() {
    acknowledges_and_resets(Duration::from_millis(200)).await;
}
