//! TLS behind the header of a proxy.

use std::sync::{Arc, Mutex};

use edge_bridge::listener::Event;
use edge_bridge::net::{Bridge, Receipt, Server};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::authority::{Authority, EVER};

/// From 192.0.2.7:4660.
const FORWARDED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x12\x34\x07\x5b";

#[tokio::test]
async fn a_handshake_follows_the_header_and_the_client_has_its_own_address() {
    let authority = Authority::new();
    let connected = Arc::new(Mutex::new(None));
    let tell = connected.clone();
    let server = Server::builder()
        .tls(authority.hub(EVER))
        .trusted_proxies(["127.0.0.1".parse().unwrap()])
        .on_event(move |event, address| {
            if let Event::Connected { .. } = event {
                *tell.lock().unwrap() = address;
            }
        })
        .start_observer("127.0.0.1:0", |_, _| {})
        .await
        .unwrap();
    let behind = server.local_addr();
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtts://localhost:{}", proxy.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = proxy.accept().await {
            let mut server = TcpStream::connect(behind).await.unwrap();
            server.write_all(FORWARDED).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let bridge = Bridge::builder(&url).client_id("site7").tls(authority.client()).start().await.unwrap();
    let receipt = timeout(PATIENCE, bridge.publish("a", "1").await.unwrap()).await;
    let receipt = receipt.unwrap_or_else(|_| panic!("{:?}", bridge.stats().last_error));
    assert!(matches!(receipt.unwrap(), Receipt::HandedOver));
    assert_eq!(*connected.lock().unwrap(), "192.0.2.7:4660".parse().ok());
}
