//! Connections that never begin their handshake, beside a client that does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use edge_bridge::listener::Event;
use edge_bridge::net::{Bridge, Receipt, Server};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::authority::{Authority, EVER};

/// Many more than handshakes of one address at a time, and than end within the time that a client waits for its turn.
const SILENT: usize = 200;

#[tokio::test]
async fn promise_12_who_says_nothing_takes_no_place_of_a_handshake() {
    let authority = Authority::new();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let server = Server::builder()
        .tls(authority.hub(EVER))
        .on_event(move |event, _| {
            count.fetch_add(usize::from(matches!(event, Event::NoTls { .. })), Ordering::Relaxed);
        })
        .start_observer("127.0.0.1:0", |_, _| {})
        .await
        .unwrap();
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(server.local_addr()).await.unwrap());
    }
    let url = format!("mqtts://localhost:{}", server.local_addr().port());
    let bridge = Bridge::builder(&url).client_id("site7").tls(authority.client()).start().await.unwrap();
    let receipt = timeout(PATIENCE, bridge.publish("a", "1").await.unwrap()).await;
    let receipt = receipt.unwrap_or_else(|_| panic!("{:?}", bridge.stats().last_error));
    assert!(matches!(receipt.unwrap(), Receipt::HandedOver));
    assert_eq!(ended.load(Ordering::Relaxed), 0, "none had to give up its place first");
    drop(silent);
}
