//! Clients that break the rules of WebSocket, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::net::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::{CONNACK, CONNECT, PATIENCE, noting, publish, refusals, server};

const MASK: [u8; 4] = [1, 2, 3, 4];

fn request(address: SocketAddr) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Sends `bytes`, and returns what comes until the end of the connection.
async fn answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A reset ends it as well.
    let _ = read.expect("the connection is closed");
    answer
}

/// A connection behind its handshake.
async fn opened(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request(address).as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    stream
}

/// A client's frame of less than 126 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [first, 0x80 | payload.len() as u8].into_iter().chain(MASK).chain(masked).collect()
}

#[tokio::test]
async fn handshakes_out_of_order_are_refused_and_told() {
    let (builder, refused) = noting();
    let (server, address, _) = server(builder).await;
    let good = request(address);
    let too_large = good.replace("GET / ", &format!("GET /{} ", "x".repeat(8 * 1024)));
    for (bytes, status, reason) in [
        (good.replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), "400", "subprotocol"),
        (good.replace("Protocol: mqtt", "Protocol: amqp"), "400", "subprotocol"),
        (good.replace("Host:", "Origin: http://evil.example\r\nHost:"), "403", "evil.example"),
        (good.replace("Version: 13", "Version: 7"), "426", "version"),
        (too_large, "431", "8192"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426", "no WebSocket"),
        ("\r\n\r\n\0\0\r\n\r\n".to_owned(), "400", "HTTP/1.1"),
    ] {
        let answer = answer(address, bytes.as_bytes()).await;
        // What was not read of a head that is too large costs its answer.
        if status != "431" || !answer.is_empty() {
            let head = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(head.as_bytes()), "{status}: {}", answer.escape_ascii());
        }
        let said = refusals(&refused, 1).await.pop().unwrap();
        assert!(said.contains(reason), "{status}: {said}");
    }
    assert_eq!(server.stats().await.unwrap().failed_handshakes, 7, "each is counted");
}

/// It may be gone before the server looks at it, and the system knows no peer of it any more.
#[tokio::test]
async fn a_client_that_reset_its_connection_is_told_with_its_address() {
    let told = Arc::<Mutex<Vec<Option<SocketAddr>>>>::default();
    let log = Arc::clone(&told);
    let builder = Server::builder().on_event(move |event, address| {
        if event.connection().is_some() {
            log.lock().unwrap().push(address);
        }
    });
    let (_server, address, _) = server(builder).await;
    // Without a turn of the server between both.
    let client = std::net::TcpStream::connect(address).unwrap();
    let own = client.local_addr().unwrap();
    client.set_nonblocking(true).unwrap();
    let client = TcpStream::from_std(client).unwrap();
    client.set_zero_linger().unwrap();
    drop(client);
    let noted = async {
        while told.lock().unwrap().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, noted).await.expect("no handshake, and the end");
    assert_eq!(*told.lock().unwrap(), [Some(own); 2]);
}

#[tokio::test]
async fn mqtt_without_websocket_is_no_handshake() {
    let (builder, refused) = noting();
    let (_server, address, _) = server(builder).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(CONNECT).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"");
    assert!(refusals(&refused, 1).await[0].contains("went away"));
}

#[tokio::test]
async fn promise_12_half_a_head_does_not_stay() {
    let (builder, refused) = noting();
    let (_server, address, _) = server(builder).await;
    // More than may stand at a time, all of one address: each has its end, and another client its turn.
    let mut halves = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&request(address).as_bytes()[..40]).await.unwrap();
        halves.push(stream);
    }
    for mut stream in halves {
        let mut byte = [0];
        let end = timeout(PATIENCE, stream.read(&mut byte)).await.expect("closed");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    let refused = refusals(&refused, 12).await;
    assert!(refused.iter().all(|said| said.contains("no handshake within")));
    assert_eq!(refused.len(), 12);
    opened(address).await;
}

#[tokio::test]
async fn broken_rules_end_the_connection_behind_what_came_before() {
    let (server, address, seen) = server(Server::builder()).await;
    let mut not_masked = frame(0x82, b"");
    not_masked[1] = 2;
    let huge = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &MASK].concat();
    for (bytes, code) in [
        (frame(0x81, CONNECT), 1003_u16),
        (not_masked, 1002),
        (huge, 1009),
        (frame(0xc2, b"compressed"), 1002),
        (frame(0x80, b"goes on with nothing"), 1002),
        (frame(0x09, b"a ping in parts"), 1002),
    ] {
        let mut stream = opened(address).await;
        let packets = [CONNECT, &publish(1, b"before")].concat();
        stream.write_all(&[frame(0x82, &packets), bytes].concat()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed");
        let close = [&[0x88, 2][..], &code.to_be_bytes()].concat();
        assert!(answer.windows(4).any(|part| part == close), "{code}: {}", answer.escape_ascii());
    }
    assert_eq!(seen.lock().unwrap().len(), 6, "each message before the end counts");
    let counted = async {
        while server.stats().await.unwrap().connections > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, counted).await.expect("all have ended");
    assert_eq!(server.stats().await.unwrap().violations, 6, "and each end is counted");
}

#[tokio::test]
async fn packets_above_the_limit_end_the_connection_in_frames_of_any_size() {
    let (_server, address, seen) = server(Server::builder()).await;
    let mut stream = opened(address).await;
    stream.write_all(&frame(0x82, CONNECT)).await.unwrap();
    let mut connack = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut connack)).await.unwrap().unwrap();
    assert_eq!(connack[2..], *CONNACK);
    let packet = publish(1, &vec![0; 300_000]);
    let sending = async {
        for part in packet.chunks(125) {
            if stream.write_all(&frame(0x82, part)).await.is_err() {
                return;
            }
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    timeout(PATIENCE, sending).await.expect("closed");
    assert!(seen.lock().unwrap().is_empty());
}

/// Frames that carry nothing cost time and never fill a buffer: a client that sends nothing else is cut off, and the others have their answers.
#[tokio::test]
async fn promise_12_a_flood_of_frames_that_carry_nothing_is_ended() {
    let (_server, address, seen) = server(Server::builder()).await;
    for kind in [frame(0x82, b""), frame(0x89, b""), frame(0x8a, b"pong")] {
        let mut stream = opened(address).await;
        stream.write_all(&frame(0x82, CONNECT)).await.unwrap();
        let flood = kind.repeat(1_000);
        let sent = async {
            let mut sent = 0;
            while sent < 4_096 && stream.write_all(&flood).await.is_ok() {
                sent += 1;
            }
            sent
        };
        let sent = timeout(PATIENCE, sent).await.expect("it is read, or ended");
        assert!(sent < 4_096, "{sent} thousand frames of {:#x}", kind[0]);
    }
    // Beside messages, and now and then, they are fine: a message may end in an empty frame.
    let mut stream = opened(address).await;
    stream.write_all(&frame(0x82, CONNECT)).await.unwrap();
    for id in 1..=500 {
        let message = [frame(0x02, &publish(id, b"x")), frame(0x80, b"")].concat();
        stream.write_all(&message).await.unwrap();
    }
    let mut answers = Vec::new();
    while !answers.ends_with(&[0x40, 2, 0x01, 0xf4]) {
        answers.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    assert_eq!(seen.lock().unwrap().len(), 500);
}
