//! One axis of time for the server and the program around it.
#![cfg(feature = "net")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code over real sockets"
)]

use std::time::Duration;

use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::net::Clock;
use edge_bridge::net::server::{NoQueue, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a";
const PUBLISH_QOS_0: &[u8] = b"\x30\x03\x00\x01t";

struct Absorb;

impl Ingest for Absorb {
    fn ingest(&mut self, _: Now, _: &Inbound) -> Answer {
        Answer::Absorb
    }
}

/// `up_ms` of a message's arrival at a server that starts 300 ms after `clock`.
async fn arrival(clock: Option<Clock>) -> u64 {
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (seen, mut arrivals) = mpsc::channel(1);
    let mut builder = Server::builder().on_publish(move |now, _| seen.try_send(now.up_ms).unwrap());
    if let Some(clock) = clock {
        builder = builder.clock(clock);
    }
    let server = builder.start("127.0.0.1:0", Absorb, |_| NoQueue).await.unwrap();
    let mut client = TcpStream::connect(server.local_addr()).await.unwrap();
    client.write_all(&[CONNECT, PUBLISH_QOS_0].concat()).await.unwrap();
    arrivals.recv().await.unwrap()
}

/// A program that opens its store for seconds before it listens would take the difference for a step of the wall clock.
#[tokio::test]
async fn arrivals_are_counted_from_the_start_of_the_clock_that_was_given() {
    let clock = Clock::start();
    let up_ms = arrival(Some(clock)).await;
    assert!((300..=clock.now().up_ms).contains(&up_ms), "{up_ms}");
}

#[tokio::test]
async fn a_server_without_a_clock_starts_its_own() {
    let clock = Clock::start();
    let up_ms = arrival(None).await;
    assert!(up_ms + 300 <= clock.now().up_ms, "{up_ms}");
}
