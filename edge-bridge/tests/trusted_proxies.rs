//! Connections that proxies forward, with the header of the PROXY protocol.
#![cfg(feature = "net")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code over real sockets"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::listener::Event;
use edge_bridge::net::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const CLIENT: &str = "192.0.2.7:4660";
/// From [`CLIENT`], with an extension of five bytes.
const FORWARDED: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xc0\0\x02\x07\x0a\0\0\x01\x12\x34\x07\x5b\x04\0\x02hi";
/// The proxy's own connection.
const OWN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a";
const PUBLISH_QOS_0: &[u8] = b"\x30\x03\x00\x01t";
const TRUSTED: &str = "127.0.0.0/8";
const OTHERS: &str = "10.9.0.0/16";

type Told = Arc<Mutex<Vec<(String, Option<SocketAddr>)>>>;

struct Site {
    server: Server,
    /// Addresses of the publishers of messages.
    peers: Arc<Mutex<Vec<Option<SocketAddr>>>>,
    /// Events, with the addresses told with them.
    told: Told,
}

async fn site(proxies: &str) -> Site {
    let (peers, told) = (Arc::<Mutex<Vec<_>>>::default(), Told::default());
    let (seen, events) = (Arc::clone(&peers), Arc::clone(&told));
    let server = Server::builder()
        .trusted_proxies([proxies.parse().unwrap()])
        .on_event(move |event: &Event, address| {
            events.lock().unwrap().push((format!("{event:?}"), address));
        })
        .start_observer("127.0.0.1:0", move |_, message| seen.lock().unwrap().push(message.peer))
        .await
        .unwrap();
    Site { server, peers, told }
}

impl Site {
    /// Sends the pieces of a connection, and keeps it open.
    async fn send(&self, pieces: &[&[u8]]) -> TcpStream {
        let mut client = TcpStream::connect(self.server.local_addr()).await.unwrap();
        client.set_nodelay(true).unwrap();
        for piece in pieces {
            // It may be closed by then.
            let _ = client.write_all(piece).await;
        }
        client
    }

    /// Waits for an event whose text contains `part`; returns it with its address.
    async fn told(&self, part: &str) -> (String, Option<SocketAddr>) {
        let told = async {
            loop {
                let found = self.told.lock().unwrap().iter().find(|(event, _)| event.contains(part)).cloned();
                match found {
                    Some(told) => return told,
                    None => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(Duration::from_secs(30), told).await.unwrap_or_else(|_| panic!("never told: {part}"))
    }

    /// Waits for the first message; returns the address of its publisher.
    async fn peer(&self) -> Option<SocketAddr> {
        let seen = async {
            while self.peers.lock().unwrap().is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(30), seen).await.expect("a message comes");
        self.peers.lock().unwrap()[0]
    }
}

#[tokio::test]
async fn a_forwarded_client_has_its_own_address_however_its_bytes_come() {
    let at_once = [FORWARDED, CONNECT, PUBLISH_QOS_0].concat();
    let single: Vec<&[u8]> = at_once.chunks(1).collect();
    for pieces in [&[at_once.as_slice()][..], &single] {
        let site = site(TRUSTED).await;
        let _client = site.send(pieces).await;
        assert_eq!(site.peer().await, CLIENT.parse().ok());
        assert_eq!(site.told("Connected").await.1, CLIENT.parse().ok());
    }
}

#[tokio::test]
async fn the_proxys_own_connection_keeps_the_proxys_address() {
    let site = site(TRUSTED).await;
    let client = site.send(&[OWN, CONNECT, PUBLISH_QOS_0]).await;
    assert_eq!(site.peer().await, client.local_addr().ok());
}

/// A peer that is no trusted proxy is a client: it needs no header, and claims nothing by one.
#[tokio::test]
async fn others_are_served_without_a_header_and_believed_in_none() {
    let site = site(OTHERS).await;
    let client = site.send(&[CONNECT, PUBLISH_QOS_0]).await;
    assert_eq!(site.peer().await, client.local_addr().ok());
    let mut forger = site.send(&[FORWARDED, CONNECT, PUBLISH_QOS_0]).await;
    let closed = timeout(Duration::from_secs(30), forger.read_to_end(&mut Vec::new())).await;
    closed.expect("it is closed").ok();
    let (_, address) = site.told("Violation").await;
    assert_eq!(address, forger.local_addr().ok());
    assert_eq!(site.peers.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_trusted_proxy_without_a_valid_header_is_closed_and_told() {
    let cases: [(&[u8], &str); 4] = [
        (&[CONNECT, PUBLISH_QOS_0].concat(), "does not begin with a PROXY header"),
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 1883\r\n", "is of version 1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "65535 bytes"),
        // And nothing more.
        (&FORWARDED[..20], "no whole PROXY header within 3 s"),
    ];
    for (bytes, reason) in cases {
        let site = site(TRUSTED).await;
        let mut proxy = site.send(&[bytes]).await;
        let (event, address) = site.told("NoProxyHeader").await;
        assert!(event.contains(reason), "{event}");
        assert_eq!(address, proxy.local_addr().ok());
        let closed = timeout(Duration::from_secs(30), proxy.read_to_end(&mut Vec::new())).await;
        closed.expect("it is closed").ok();
        assert!(site.peers.lock().unwrap().is_empty());
    }
}

/// Returns a server with a WebSocket address too, whose messages are not recorded.
#[cfg(feature = "websocket")]
async fn web_socket_site() -> Site {
    let told = Told::default();
    let events = Arc::clone(&told);
    let server = Server::builder()
        .trusted_proxies([TRUSTED.parse().unwrap()])
        .ws_listen("127.0.0.1:0".parse().unwrap())
        .on_event(move |event: &Event, address| {
            events.lock().unwrap().push((format!("{event:?}"), address));
        })
        .start_observer("127.0.0.1:0", |_, _| {})
        .await
        .unwrap();
    Site { server, peers: Arc::default(), told }
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn a_header_precedes_the_web_socket() {
    let site = web_socket_site().await;
    let upgrade = b"GET / HTTP/1.1\r\nHost: edge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    let mut client = TcpStream::connect(site.server.addresses()[1].address).await.unwrap();
    client.write_all(&[FORWARDED, upgrade].concat()).await.unwrap();
    let mut answer = [0; 12];
    timeout(Duration::from_secs(30), client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    assert!(site.told.lock().unwrap().is_empty());
}

/// The header, and nothing more. The client is served no longer than one without a proxy, so that its end is that of a handshake.
#[cfg(feature = "websocket")]
#[tokio::test]
async fn a_handshake_that_takes_too_long_behind_a_late_header_is_told_as_one() {
    let site = web_socket_site().await;
    let mut client = TcpStream::connect(site.server.addresses()[1].address).await.unwrap();
    sleep(Duration::from_millis(2_500)).await;
    client.write_all(FORWARDED).await.unwrap();
    let (_, address) = site.told("NoWebSocket").await;
    assert_eq!(address, CLIENT.parse().ok());
    let stats = site.server.stats().await.unwrap();
    assert_eq!((stats.failed_handshakes, stats.without_connect, stats.connections), (1, 0, 0));
}

/// A load balancer looks every few seconds whether this is there. It speaks no WebSocket, nor TLS, and no client has failed.
#[cfg(feature = "websocket")]
#[tokio::test]
async fn a_proxys_own_connection_that_says_nothing_is_not_told() {
    let site = web_socket_site().await;
    for (bytes, count) in [(OWN, 0), (FORWARDED, 1)] {
        let mut probe = TcpStream::connect(site.server.addresses()[1].address).await.unwrap();
        probe.write_all(bytes).await.unwrap();
        probe.shutdown().await.unwrap();
        let closed = timeout(Duration::from_secs(30), probe.read_to_end(&mut Vec::new())).await;
        closed.expect("it is closed").ok();
        if count > 0 {
            // A client that goes away is told, and the one before it would have been.
            site.told("NoWebSocket").await;
        }
        let told = site.told.lock().unwrap();
        let failed: Vec<_> = told.iter().filter(|(event, _)| event.contains("NoWebSocket")).collect();
        assert_eq!(failed.len(), count, "{told:?}");
    }
}
