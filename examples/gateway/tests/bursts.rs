#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! Bursts at QoS 0: what the queue has room for is not lost, and what it has no room for is counted.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use support::gateway::Gateway;
use support::publisher::{packet, text};
use support::{free_port, wait_until};

const NO_ROOM: &str = "edge_dropped_total{reason=\"no_room\"}";

/// A 3.1.1 client that writes so many messages at once and disconnects.
fn burst(listen: SocketAddr, name: &str, messages: usize) {
    burst_of(listen, name, messages, 80);
}

/// As [`burst`], with so many bytes more in each message.
fn burst_of(listen: SocketAddr, name: &str, messages: usize, filling: usize) {
    let mut stream = TcpStream::connect(listen).unwrap();
    let mut head =
        vec![0x10, 12 + name.len() as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, name.len() as u8];
    head.extend_from_slice(name.as_bytes());
    stream.write_all(&head).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    let mut all = Vec::new();
    for n in 0..messages {
        let payload = format!("{name} {n:06} {}", "x".repeat(filling));
        all.extend_from_slice(&packet(0x30, &[&text(b"a/b")[..], payload.as_bytes()].concat()));
    }
    all.extend_from_slice(&[0xe0, 0]);
    stream.write_all(&all).unwrap();
    // Until the server has read all of it and closes.
    let _ = stream.read(&mut [0]);
}

#[test]
fn bursts_at_qos_0_are_kept_as_long_as_the_queue_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), "[[route]]\nmatch = \"#\"\n");
    let mut sent = 0;
    for (clients, messages) in [(100, 20), (500, 10), (1, 300_000), (4, 5_000)] {
        let clients: Vec<_> = (0..clients)
            .map(|n| thread::spawn(move || burst(listen, &format!("c{clients}-{n}"), messages)))
            .collect();
        sent += clients.len() * messages;
        clients.into_iter().for_each(|client| client.join().unwrap());
        wait_until("all of it is queued or counted", 30, || {
            let counted = gateway.metric("edge_queue_messages").zip(gateway.metric(NO_ROOM));
            counted.is_some_and(|(queued, dropped)| queued + dropped == sent as f64)
        });
    }
    assert_eq!(gateway.metric(NO_ROOM), Some(0.0));
    assert_eq!(gateway.metric("edge_verdict{verdict=\"losing\"}"), Some(0.0));
}

/// Sensors look for the address all the time, and send at once what they have when it is there.
#[test]
fn what_comes_at_qos_0_during_a_start_is_kept() {
    let mut at_once = 0;
    for start in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let listen = free_port();
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
            free_port()
        );
        let mut gateway = Gateway::new(dir.path(), &config);
        let sensors: Vec<_> = (0..10)
            .map(|n| {
                thread::spawn(move || {
                    wait_until("the address is there", 60, || TcpStream::connect(listen).is_ok());
                    burst(listen, &format!("c{n}"), 20);
                })
            })
            .collect();
        gateway.start();
        sensors.into_iter().for_each(|sensor| sensor.join().unwrap());
        let counted = || gateway.metric("edge_queue_messages").zip(gateway.metric(NO_ROOM));
        wait_until("all of it is queued or counted", 30, || {
            counted().is_some_and(|(queued, dropped)| queued + dropped == 200.0)
        });
        // A disk that takes longer than a start waits for it is another case: there it is given up, and counted.
        let log = gateway.log();
        if !log.contains("not open after") && !log.contains("the disk is slow or hangs") {
            at_once += 1;
            assert_eq!(counted(), Some((200.0, 0.0)), "start {start}: {log}");
        }
    }
    assert!(at_once > 0, "the disk was slow at each start");
}

/// 112 MB for a gateway that may hold 8 MiB of them at a time.
#[test]
fn bursts_of_large_messages_come_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let rest = "[queue]\nmax_bytes = \"512MiB\"\n[[route]]\nmatch = \"#\"\n";
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), rest);
    let mut sent = 0;
    for (clients, messages, bytes) in [(400, 10, 16_000), (80, 3, 200_000)] {
        let clients: Vec<_> = (0..clients)
            .map(|n| thread::spawn(move || burst_of(listen, &format!("c{bytes}-{n}"), messages, bytes)))
            .collect();
        sent += clients.len() * messages;
        clients.into_iter().for_each(|client| client.join().unwrap());
        wait_until("all of it is queued", 60, || gateway.metric("edge_queue_messages") == Some(sent as f64));
    }
    assert_eq!(gateway.metric("edge_closed_for_memory_total"), Some(0.0));
}

#[test]
fn what_a_full_queue_does_not_take_at_qos_0_is_counted_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let rest =
        "[queue]\non_full = \"reject\"\nmax_messages = 100\nlanes = [\"one\"]\n[[route]]\nmatch = \"#\"\n";
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), rest);
    burst(listen, "filler", 3_000);
    burst(listen, "filler", 500);
    burst(listen, "other", 500);
    let waiting = |reason: &str| gateway.metric(&format!("edge_waiting_messages{{reason=\"{reason}\"}}"));
    let all = || {
        [
            gateway.metric("edge_queue_messages"),
            gateway.metric(NO_ROOM),
            waiting("no_room"),
            waiting("on_the_way"),
        ]
    };
    wait_until("each of them is counted, and more is given up than waits", 60, || {
        let all = all();
        all.into_iter().flatten().sum::<f64>() == 4_000.0 && all[1] > Some(2_000.0)
    });
    wait_until("it is a loss", 20, || gateway.metric("edge_verdict{verdict=\"losing\"}") == Some(1.0));
    for client in ["filler", "other"] {
        let line = format!("messages of client \"{client}\" at QoS 0 are given up");
        wait_until("it is told", 20, || gateway.log().contains(&line));
        assert_eq!(gateway.log().matches(&line).count(), 1, "{}", gateway.log());
    }
}
