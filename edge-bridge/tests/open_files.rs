//! A server without file descriptors: it waits for one, without a spin, and then goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
#![cfg(feature = "net")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use edge_bridge::net::Server;

const INNER: &str = "EDGE_OPEN_FILES_INNER";

/// In a process of its own, whose limit is low.
#[test]
fn without_a_file_descriptor_it_waits_and_goes_on() {
    if std::env::var_os(INNER).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(inner());
    }
    let inner = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" --exact without_a_file_descriptor_it_waits_and_goes_on"])
        .arg(std::env::current_exe().unwrap())
        .env(INNER, "1")
        .output()
        .unwrap();
    assert!(inner.status.success(), "{}", String::from_utf8_lossy(&inner.stdout));
}

async fn inner() {
    let server = Server::builder().start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let mut others: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!((10..64).contains(&others.len()), "{} descriptors", others.len());
    others.pop();
    // The last one is the client's own.
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c").unwrap();
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stats = server.stats().await.unwrap();
    assert_eq!(stats.connections, 0);
    // One each 100 ms.
    let (attempts, took) = (u128::from(stats.not_accepted), begin.elapsed());
    assert!((1..=took.as_millis() / 100 + 2).contains(&attempts), "{attempts} attempts in {took:?}");
    drop(others);
    let answered = tokio::task::spawn_blocking(move || {
        let mut connack = [0; 4];
        client.read_exact(&mut connack).map(|()| connack)
    });
    assert_eq!(answered.await.unwrap().unwrap(), [0x20, 2, 0, 0]);
}
