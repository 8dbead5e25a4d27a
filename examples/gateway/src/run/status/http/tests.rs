use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

struct Fixed;

impl Pages for Fixed {
    async fn page(&self, path: &str) -> Option<Answer> {
        match path {
            "/ok" => Some(Answer { ok: true, body: "fine\n".repeat(5_000) }),
            "/bad" => Some(Answer { ok: false, body: "no\n".to_owned() }),
            _ => None,
        }
    }
}

async fn server() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(serve(socket, Fixed));
    address
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[tokio::test]
async fn pages_are_answered_with_their_status_and_the_connection_ends() {
    let address = server().await;
    let ok = ask(address, &get("/ok")).await;
    assert!(ok.starts_with("HTTP/1.1 200 ") && ok.ends_with("fine\n") && ok.len() > 25_000);
    assert!(ask(address, &get("/bad")).await.starts_with("HTTP/1.1 503 "));
    assert!(ask(address, &get("/else")).await.starts_with("HTTP/1.1 404 "));
    assert!(
        ask(address, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 405 ")
    );
    let not_one = ["Host: x\r\nHost: x\r\n", "Host: localhost\r\nhost: other.example\r\n", ""];
    for hosts in not_one {
        let answer = ask(address, &format!("GET /ok HTTP/1.1\r\n{hosts}\r\n")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{hosts}: {}",
            answer.lines().next().unwrap_or_default()
        );
    }
    assert!(ask(address, "GET /ok HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 "), "no browser");
    assert!(ask(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

/// Promise 12. What it sends is kept until it is whole.
#[tokio::test]
async fn a_head_larger_than_the_buffer_is_refused() {
    let mut stream = TcpStream::connect(server().await).await.unwrap();
    let head = format!("GET /ok HTTP/1.1\r\nHost: x\r\nA: {}", "x".repeat(2 * BUFFER_BYTES));
    stream.write_all(head.as_bytes()).await.unwrap();
    // No more of it: a connection that ends with unread bytes is reset.
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
}

/// Promise 12: clients that say nothing, or half of it, hold nobody up. In real time: with places for all of them or with a wait for
/// the end of one, a probe would find the limit of its own second.
#[tokio::test]
async fn a_probe_is_answered_at_once_beside_slow_clients() {
    let address = server().await;
    let mut slow = Vec::new();
    for n in 0..400 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if n % 2 == 0 {
            // It may have been closed for another one.
            let _ = stream.write_all(b"GET /ok HTTP/1.1\r\nHos").await;
        }
        slow.push(stream);
        if n % 40 == 39 {
            let answer = tokio::time::timeout(Duration::from_secs(5), ask(address, &get("/ok"))).await;
            assert!(answer.expect("a probe is answered").starts_with("HTTP/1.1 200 "));
        }
    }
}

/// Clients of the probe's own address, each of which connects again as soon as it is closed. A probe's request comes a moment behind its connection.
#[tokio::test(start_paused = true)]
async fn a_probe_is_answered_beside_slow_clients_that_connect_again() {
    let address = server().await;
    let slow: Vec<_> = (0..80)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..200 {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    let _ = stream.write_all(b"GET /ok HTTP/1.1\r\nHos").await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            })
        })
        .collect();
    for n in 0..30 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut answer = String::new();
        let is_sent = stream.write_all(get("/ok").as_bytes()).await.is_ok();
        let is_read = stream.read_to_string(&mut answer).await.is_ok();
        assert!(is_sent && is_read && answer.starts_with("HTTP/1.1 200 "), "probe {n}: {answer:?}");
    }
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn half_a_request_ends_after_five_seconds() {
    let address = server().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /ok HTTP/1.1\r\nHos").await.unwrap();
    let (begin, mut rest) = (tokio::time::Instant::now(), Vec::new());
    let _ = stream.read_to_end(&mut rest).await;
    let took = begin.elapsed();
    assert!(
        took >= HEAD_WITHIN && took < HEAD_WITHIN + Duration::from_secs(1),
        "{took:?}, {} bytes",
        rest.len()
    );
}

/// An answer that nobody reads: larger than the socket's buffers.
#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_ends_after_ten_seconds() {
    let (address, ended) = {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let ended = tokio::spawn(async move {
            let (stream, _) = socket.accept().await.unwrap();
            let begin = tokio::time::Instant::now();
            connection(stream, Arc::new(Large)).await;
            begin.elapsed()
        });
        (address, ended)
    };
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(get("/").as_bytes()).await.unwrap();
    let took = ended.await.unwrap();
    assert!(took >= CONNECTION_WITHIN && took < CONNECTION_WITHIN + Duration::from_secs(1), "{took:?}");
}

struct Large;

impl Pages for Large {
    async fn page(&self, _: &str) -> Option<Answer> {
        Some(Answer { ok: true, body: "x".repeat(64 << 20) })
    }
}
