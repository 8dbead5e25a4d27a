//! A limit of the rate at which each client is read: who sends faster waits, loses nothing, and delays nobody.
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

use edge_bridge::listener::Config;
use edge_bridge::net::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PER_S: u32 = 100_000;
/// QoS 0, 100 bytes on topic `f`.
const SIZE: usize = 2 + 3 + 100;
const MESSAGES: usize = 5_000;

fn publish(topic: u8) -> Vec<u8> {
    [&[0x30, 103, 0, 1, topic][..], &[b'x'; 100]].concat()
}

async fn connect(address: SocketAddr, name: u8, keep_alive_s: u8) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00").await.unwrap();
    client.write_all(&[keep_alive_s, 0, 1, name]).await.unwrap();
    client.read_exact(&mut [0; 4]).await.unwrap();
    client
}

/// Messages of a flood and of a quiet client until the flood is read, and the time that it took.
async fn run(limit: Option<u32>) -> (u64, u64, Duration) {
    let mut config = Config::default();
    config.max_bytes_per_s = limit;
    let counts: Arc<[AtomicU64; 2]> = Arc::default();
    let seen = counts.clone();
    let count = move |_, message: &edge_bridge::ingest::Inbound| {
        seen[usize::from(message.topic.as_str() == "q")].fetch_add(1, Ordering::Relaxed);
    };
    let server = Server::builder().config(config).start_observer("127.0.0.1:0", count).await.unwrap();
    let (mut flood, mut quiet) =
        (connect(server.local_addr(), b'f', 2).await, connect(server.local_addr(), b'q', 60).await);
    let begin = Instant::now();
    let writer = tokio::spawn(async move {
        let all = publish(b'f').repeat(MESSAGES);
        timeout(Duration::from_secs(60), flood.write_all(&all)).await.expect("it is read on").unwrap();
        flood
    });
    let of = |n: usize| counts[n].load(Ordering::Relaxed);
    let mut sent = 0;
    while of(0) < MESSAGES as u64 {
        quiet.write_all(&publish(b'q')).await.unwrap();
        sent += 1;
        let arrives = async {
            while of(1) < sent {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(20), arrives).await.expect("the quiet client waits for nobody");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = begin.elapsed();
    // Behind a pause of its keep alive of two seconds it is still connected.
    let mut flood = writer.await.unwrap();
    flood.write_all(&[0xc0, 0]).await.unwrap();
    flood.read_exact(&mut [0; 2]).await.unwrap();
    (of(0), of(1), took)
}

#[tokio::test]
async fn a_client_that_sends_faster_waits_and_nobody_else_does() {
    let (flood, quiet, took) = run(Some(PER_S)).await;
    let bytes = (MESSAGES * SIZE) as u32;
    // All but the burst of the first second are read at the rate.
    let least = Duration::from_secs_f64(f64::from(bytes - PER_S) / f64::from(PER_S) - 0.2);
    assert!(took >= least, "{bytes} bytes in {took:?}");
    assert_eq!(flood, MESSAGES as u64, "nothing is lost");
    assert!(quiet > 20, "{quiet}");
    let (_, _, unlimited) = run(None).await;
    assert!(unlimited < took, "the control: without the limit {unlimited:?}");
}
