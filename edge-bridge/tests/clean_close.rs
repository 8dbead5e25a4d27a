//! A clean close says DISCONNECT, so that the hub publishes no will, also while a backlog is being written.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real sockets"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edge_bridge::net::{Bridge, Server};
use edge_bridge::wire::{self, Limits, Packet, Properties, QoS, ReasonCode, Utf8, Version, Will};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// A hub that reads nothing while the link writes: large messages wait in the send buffer, one of them written in part.
#[tokio::test]
async fn disconnect_leaves_behind_the_message_that_is_half_written() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let builder = Bridge::builder(&url).client_id("site7").send_buffer_bytes(4_096);
    let bridge = builder.start().await.unwrap();
    let (mut hub, _) = listener.accept().await.unwrap();
    let mut received = BytesMut::new();
    assert!(hub.read_buf(&mut received).await.unwrap() > 0, "CONNECT");
    hub.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
    for _ in 0..8 {
        drop(bridge.publish("plant/1", vec![b'x'; 20_000]).await.unwrap());
    }
    // Until one is begun, and the sockets are full.
    timeout(Duration::from_secs(20), hub.readable()).await.expect("a message").unwrap();
    sleep(Duration::from_millis(300)).await;
    // Slowly, and while it says something: a connection that is closed with unread bytes is reset by the system.
    let all = async move {
        let mut piece = [0; 1_000];
        loop {
            hub.write_all(&[0xd0, 0]).await.unwrap();
            match hub.read(&mut piece).await.unwrap() {
                0 => return received,
                n => received.extend_from_slice(&piece[..n]),
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let (closed, received) = tokio::join!(bridge.close(), timeout(Duration::from_secs(20), all));
    let _ = closed.unwrap();
    let mut received = received.expect("the end of the connection");

    let mut packets = Vec::new();
    while let Some(packet) = wire::decode(&mut received, Version::V5, &Limits::default()).unwrap() {
        packets.push(packet);
    }
    assert!(received.is_empty(), "{} bytes of a packet that was cut", received.len());
    let messages = packets.iter().filter(|packet| matches!(packet, Packet::Publish(_))).count();
    assert!((1..8).contains(&messages), "{messages} messages: what was not begun is not waited for");
    let Some(Packet::Disconnect(last)) = packets.last() else { panic!("{:?}", packets.last()) };
    assert_eq!(last.reason, ReasonCode::NORMAL_DISCONNECTION);
}

/// Answers a link's CONNECT and SUBSCRIBE, sends it a command, and returns the packets that it sent until its end.
async fn command_hub(listener: TcpListener) -> Vec<Packet> {
    let (mut hub, _) = listener.accept().await.unwrap();
    let (mut received, mut packets) = (BytesMut::new(), Vec::new());
    let mut has_connected = false;
    while hub.read_buf(&mut received).await.unwrap() > 0 {
        if !has_connected {
            let Some(_) = wire::decode_connect(&mut received, &Limits::default()).unwrap() else { continue };
            has_connected = true;
            hub.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        }
        while let Some(packet) = wire::decode(&mut received, Version::V5, &Limits::default()).unwrap() {
            if let Packet::Subscribe(subscribe) = &packet {
                let [high, low] = subscribe.packet_id.get().to_be_bytes();
                hub.write_all(&[0x90, 4, high, low, 0, 1]).await.unwrap();
                hub.write_all(&[0x32, 7, 0, 1, b'c', 0, 9, 0, b'x']).await.unwrap();
            }
            packets.push(packet);
        }
    }
    packets
}

/// The request to close overtakes nothing that was done before it: the hub would have the command obeyed twice.
#[tokio::test]
async fn what_was_done_before_a_close_is_acknowledged() {
    for round in 0..20 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("mqtt://{}", listener.local_addr().unwrap());
        let hub = tokio::spawn(command_hub(listener));
        let bridge = Bridge::builder(&url).client_id("site7").start().await.unwrap();
        let mut commands = bridge.subscribe("c").await.unwrap();
        let command = timeout(Duration::from_secs(20), commands.next()).await.expect("a command").unwrap();
        command.done();
        let _ = bridge.close().await.unwrap();
        let packets = timeout(Duration::from_secs(20), hub).await.expect("the end").unwrap();
        let is_acked = |packet: &Packet| matches!(packet, Packet::PubAck(ack) if ack.packet_id.get() == 9);
        assert!(packets.iter().any(is_acked), "round {round}: {packets:?}");
    }
}

fn will() -> Will {
    Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::try_from("site/gone").unwrap(),
        payload: Bytes::from_static(b"gone"),
        properties: Properties::default(),
    }
}

/// Watchers of a site's will hear of a clean stop too, in both versions.
#[tokio::test]
async fn a_close_publishes_the_will_if_it_was_asked_to() {
    let (gone, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let hub = Server::builder().start_observer("127.0.0.1:0", move |_, message| {
        let _ = gone.send((message.topic.clone(), message.payload.clone()));
    });
    let hub = hub.await.unwrap();
    for version in [Version::V5, Version::V311] {
        let url = format!("mqtt://{}", hub.local_addr());
        let builder = Bridge::builder(&url).client_id("site").version(version).will(will()).will_at_close();
        let bridge = builder.start().await.unwrap();
        bridge.publish("plant/1", "21.5").await.unwrap().await.unwrap();
        assert_eq!(seen.recv().await.unwrap().0, "plant/1", "{version:?}");
        let _ = bridge.close().await.unwrap();
        let last = timeout(Duration::from_secs(20), seen.recv()).await.expect("the will").unwrap();
        assert_eq!((last.0.as_str(), &last.1[..]), ("site/gone", &b"gone"[..]), "{version:?}");
        assert!(seen.try_recv().is_err(), "{version:?}: once");
    }
}

/// The whole way, with a hub that holds a will.
#[tokio::test]
async fn a_close_in_the_middle_of_a_backlog_publishes_no_will() {
    let (wills, messages) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (seen, arrived) = (Arc::clone(&wills), Arc::clone(&messages));
    let hub = Server::builder().start_observer("127.0.0.1:0", move |_, message| {
        seen.fetch_add(usize::from(message.topic.as_str() == "site/gone"), Ordering::Relaxed);
        arrived.notify_one();
    });
    let hub = hub.await.unwrap();
    for n in 0..10 {
        let url = format!("mqtt://{}", hub.local_addr());
        let bridge = Bridge::builder(&url).client_id(&format!("site{n}")).will(will()).start().await.unwrap();
        for _ in 0..3_000 {
            drop(bridge.publish("plant/1", vec![b'x'; 1_000]).await.unwrap());
        }
        timeout(Duration::from_secs(20), messages.notified()).await.expect("a message");
        let _ = bridge.close().await.unwrap();
    }
    // The hub has seen the last end of a connection by then.
    let all_ended = async {
        while hub.stats().await.unwrap().connections > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), all_ended).await.expect("the end of all connections");
    assert_eq!(wills.load(Ordering::Relaxed), 0, "wills of 10 clean closes");
}

/// Whoever asks because the supply of power is failing has to hear that nothing was written.
#[cfg(feature = "spool-queue")]
#[tokio::test]
async fn a_commit_that_a_close_overtook_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let builder =
        Bridge::builder("mqtt://127.0.0.1:1").client_id("site7").spool_dir(dir.path().join("spool"));
    let bridge = builder.start().await.unwrap();
    drop(bridge.publish("plant/1", "1").await.unwrap());
    bridge.commit_spool().await.unwrap();
    let commit = bridge.commit_spool();
    let _ = bridge.close().await.unwrap();
    assert!(matches!(commit.await, Err(edge_queue::CommitError::Closed)));
}
