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
    assert!(ask(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

/// Promise 12: clients that say nothing take places, and lose them again.
#[tokio::test(start_paused = true)]
async fn silent_clients_hold_nobody_up_for_long() {
    let address = server().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(ask(address, &get("/ok")).await.starts_with("HTTP/1.1 200 "));
}
