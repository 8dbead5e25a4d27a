//! The pages over HTTP, of a gateway that has no queue: access, tags, headers.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a server and its client")]

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use edge_bridge::net::Clock;
use edge_service::Notifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::queue::status_without_queue::NoQueue;
use crate::run::sensors::ingest::GatewayIngest;
use crate::run::status::http;
use crate::run::status::snapshot::snapshot_maker::Memory;
use crate::run::status::snapshot::{CurrentFacts, test_snapshots};
use crate::run::status::verdict::Losses;

use super::*;

const TOKEN: &[u8] = b"a-token-of-24-characters";

async fn server(access: PageAccess) -> SocketAddr {
    let (_told, cause) = watch::channel(Some("/q: disk full".to_owned()));
    let clock = Clock::start();
    let memory = Memory::new(&clock);
    let facts = CurrentFacts::new(test_snapshots::facts());
    let surface = Surface::new(NoQueue {
        in_force: None,
        cause,
        listener: None,
        control: None,
        ingest: GatewayIngest::new(&[], DuplicateMarks::default()).unwrap(),
        clock,
        wall: Arc::default(),
        losses: Arc::new(Mutex::new(Losses::new(0))),
        service: Notifier::default(),
        memory: memory.clone(),
        facts: facts.clone(),
    });
    let snapshots = Snapshots::new(surface.clone(), facts, memory, clock);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(http::serve(socket, StatusPages::new(surface, snapshots, access)));
    address
}

/// Status, head and body.
async fn ask(address: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let host = if headers.contains("Host:") { "" } else { "Host: 127.0.0.1:9100\r\n" };
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{host}{headers}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn the_page_and_its_json_say_the_same_and_the_headers_keep_both() {
    let address = server(PageAccess::new(IpAddr::from([127, 0, 0, 1]), None)).await;
    let (status, head, page) = ask(address, "/", "").await;
    assert_eq!(status, 200, "{head}");
    assert!(
        head.contains("content-type: text/html")
            && head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );
    for header in ["cache-control: no-store", "x-content-type-options: nosniff", "x-frame-options: deny"] {
        assert!(head.contains(header), "{header} is missing in {head}");
    }
    assert!(page.contains("<path class=\"up\""), "the history is drawn\n{page}");
    let (status, head, json) = ask(address, "/status.json", "").await;
    assert_eq!(status, 200, "{head}");
    assert!(
        head.contains("content-type: application/json") && head.contains("cache-control: no-store"),
        "{head}"
    );
    let said: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&said["verdict"], &said["v"]), (&"degraded".into(), &1.into()));
    let sentence = said["sentence"].as_str().unwrap();
    assert!(sentence.contains("/q: disk full") && page.contains(sentence), "{sentence}\n{page}");
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let address = server(PageAccess::new(IpAddr::from([127, 0, 0, 1]), None)).await;
    let tag = |head: &str| head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let (_, head, _) = ask(address, "/status.json", "").await;
    // The tag was put into small letters, as it is made.
    let known = tag(&head).replace("w/", "W/");
    for list in [known.clone(), format!("\"other\", {known}"), "*".to_owned()] {
        let (status, head, body) = ask(address, "/status.json", &format!("If-None-Match: {list}\r\n")).await;
        assert_eq!((status, body.as_str()), (304, ""), "{head}");
        assert_eq!(tag(&head).replace("w/", "W/"), known);
    }
    let (status, _, body) = ask(address, "/status.json", "If-None-Match: W/\"other\"\r\n").await;
    assert!(status == 200 && body.starts_with('{'), "{status} {body}");
}

#[tokio::test]
async fn a_token_is_asked_for_and_the_probes_stay_open() {
    let address = server(PageAccess::new(IpAddr::from([10, 0, 0, 1]), Some(TOKEN))).await;
    for path in ["/", "/status.json"] {
        let (status, head, body) = ask(address, path, "").await;
        assert!(status == 401 && head.contains("www-authenticate: basic realm="), "{head}");
        assert!(!body.contains("disk full"), "{body}");
        let (status, ..) = ask(address, path, "Authorization: Bearer a-token-of-24-character\r\n").await;
        assert_eq!(status, 401);
        let (status, ..) = ask(address, path, "Authorization: Bearer a-token-of-24-characters\r\n").await;
        assert_eq!(status, 200);
        let (status, ..) =
            ask(address, path, "Authorization: Basic eDphLXRva2VuLW9mLTI0LWNoYXJhY3RlcnM=\r\n").await;
        assert_eq!(status, 200);
    }
    for (path, expected) in [("/metrics", 200), ("/healthz", 200), ("/readyz", 503)] {
        assert_eq!(ask(address, path, "Host: gateway.example\r\n").await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn beyond_loopback_and_to_foreign_names_the_page_is_closed() {
    let address = server(PageAccess::new(IpAddr::from([0, 0, 0, 0]), None)).await;
    for path in ["/", "/status.json"] {
        let (status, head, body) = ask(address, path, "").await;
        assert!(status == 403 && body.contains("[status] token_file"), "{head} {body}");
        assert!(!body.contains("disk full"), "{body}");
    }
    assert_eq!(ask(address, "/metrics", "").await.0, 200);
    let address = server(PageAccess::new(IpAddr::from([127, 0, 0, 1]), None)).await;
    for host in ["evil.example", "evil.example:9100", "\u{fc}"] {
        let (status, _, body) = ask(address, "/", &format!("Host: {host}\r\n")).await;
        assert!(status == 403 && body.contains("localhost"), "{status} {body}");
    }
    let (status, ..) = ask(address, "http://evil.example/status.json", "").await;
    assert_eq!(status, 403, "the name in the request line counts");
    let (status, _, body) = ask(address, "/else", "").await;
    assert!(status == 404 && body.contains("/status.json"), "{body}");
}
