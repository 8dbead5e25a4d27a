#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! The limit of open files: raised where it may be, and otherwise not used up by local clients.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use support::gateway::Gateway;
use support::publisher::{packet, text};
use support::{free_port, wait_until};

fn started(dir: &std::path::Path, ulimit: &'static str) -> (Gateway, SocketAddr) {
    let (listen, hub) = (free_port(), free_port());
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n[[route]]\nmatch = \"#\"\n"
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.ulimit = Some(ulimit);
    gateway.start();
    (gateway, listen)
}

/// A client that was taken in.
fn client(listen: SocketAddr, name: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(listen).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let rest = [&text(b"MQTT")[..], &[4, 2, 0, 60], &text(name.as_bytes())].concat();
    stream.write_all(&packet(0x10, &rest)).ok()?;
    stream.read_exact(&mut [0; 4]).ok()?;
    Some(stream)
}

fn clients(listen: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).filter_map(|n| client(listen, &format!("c{n}"))).collect()
}

#[test]
fn a_low_limit_is_raised_for_all_connections() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = started(dir.path(), "-Sn 64");
    assert_eq!(clients(listen, 200).len(), 200, "{}", gateway.log());
}

#[test]
fn at_a_limit_that_cannot_be_raised_clients_leave_enough_for_all_else() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = started(dir.path(), "-n 160");
    let mut connected = clients(listen, 200);
    assert_eq!(connected.len(), 80, "{}", gateway.log());
    assert_eq!(gateway.get("/readyz").unwrap().0, 200);
    wait_until("each is counted", 20, || gateway.metric("edge_not_accepted_total") == Some(120.0));
    let log = gateway.log();
    assert!(log.contains("at most 80 connections of [local] max_connections = 1000"), "{log}");
    assert_eq!(log.matches("cannot accept a connection").count(), 1, "{log}");
    // A place that is left is taken.
    connected.pop();
    wait_until("the next client is taken in", 30, || client(listen, "next").is_some());
}
