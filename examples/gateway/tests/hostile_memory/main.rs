#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! Promise 6: no client makes the gateway take more memory than `check` prints.

#[path = "../support/mod.rs"]
mod support;

mod all_at_once;
mod batches;
mod logins;
mod many_clients;
mod site;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use many_clients::open_many_files;
use site::Site;
use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::Mosquitto;
use support::publisher::{packet, text};
use support::websocket::{Certificates, relay, tls_relay};
use support::{free_port, wait_until};

#[track_caller]
fn within(what: &str, attack: impl FnOnce(&mut Site)) {
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::new(dir.path());
    attack(&mut site);
    site.check(what);
}

#[test]
fn subscribers_that_do_not_read() {
    for (count, qos) in [(30, 0), (250, 0), (250, 1)] {
        within(&format!("{count} subscribers at QoS {qos}"), |site| {
            site.subscribe_without_reading(count, qos);
            site.flood("flood", 400, 20_000, qos);
            site.flood("flood", 60, 250_000, qos);
        });
    }
}

/// One message for many that read one after the other, sent now or retained, costs nobody a connection: it is in memory once.
#[test]
fn one_large_message_for_many_slow_readers() {
    for (qos, is_retained) in [(0, false), (1, false), (1, true)] {
        within(&format!("250 kB for 400 readers at QoS {qos}, retained: {is_retained}"), |site| {
            if is_retained {
                site.retained(1, 250_000);
            }
            let mut readers: Vec<_> = (0..400).map(|n| site.connected(&format!("reader-{n}"), 2)).collect();
            for reader in &mut readers {
                reader.write_all(&packet(0x82, &[&[0, 1][..], &text(b"r/0"), &[qos]].concat())).unwrap();
                reader.read_exact(&mut [0; 5]).unwrap();
            }
            if !is_retained {
                site.flood("r/0", 1, 250_000, qos);
            }
            for (n, mut reader) in readers.into_iter().enumerate() {
                let mut message = vec![0; 250_000];
                assert!(reader.read_exact(&mut message).is_ok(), "reader {n}");
            }
        });
    }
}

#[test]
fn half_sent_messages() {
    within("990 PUBLISHes of 255 kB", |site| site.half_send_publishes(990));
}

/// They come again when they are closed. A sensor with larger messages is heard all the same.
#[test]
fn half_sent_messages_that_come_again_do_not_shut_out_a_sensor() {
    within("200 PUBLISHes of 100 kB that come again", |site| {
        let whole = packet(0x32, &[&text(b"queued/big")[..], &[0, 1], &[b'x'; 200_000]].concat());
        let is_over = AtomicBool::new(false);
        let (acknowledged, closes) = std::thread::scope(|threads| {
            for n in 0..2 {
                let (site, is_over) = (&*site, &is_over);
                threads.spawn(move || site.half_send_again_and_again(&format!("again{n}"), 100, is_over));
            }
            std::thread::sleep(Duration::from_secs(1));
            let counts = site.publish_until_acknowledged(&whole, 30);
            is_over.store(true, Ordering::Relaxed);
            counts
        });
        println!("{acknowledged} acknowledged, {closes} closes");
        assert!(acknowledged == 30 && closes <= 10, "{acknowledged} acknowledged, {closes} closes");
    });
}

/// A DISCONNECT with its reason, not a reset.
#[test]
fn who_is_closed_for_what_it_half_sends_is_told_why() {
    within("100 PUBLISHes of 200 kB", |site| {
        let whole = packet(0x30, &[&text(b"flood")[..], &[0], &[b'x'; 200_000]].concat());
        let mut streams = Vec::new();
        for n in 0..100 {
            let Some(mut stream) = site.connect_v5(&format!("half-{n}")) else { continue };
            let _ = stream.write_all(&whole[..190_000]);
            streams.push(stream);
        }
        let (mut told, mut reset) = (0, 0);
        for mut stream in streams {
            stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let mut said = Vec::new();
            match stream.read_to_end(&mut said) {
                Err(error) if error.kind() == ErrorKind::ConnectionReset => reset += 1,
                _ => told += usize::from(said.starts_with(&[0xe0]) && said.get(2) == Some(&0x97)),
            }
        }
        println!("{told} told, {reset} reset");
        assert!(told > 20 && reset <= told / 10, "{told} told, {reset} reset");
    });
}

#[test]
fn half_sent_connects() {
    within("990 CONNECTs of 64 kB", |site| site.half_send_connects(990, false));
    within("990 CONNECTs of 64 kB with a user name", |site| {
        site.half_send_connects(990, true);
        let line =
            "client that did not say its name was disconnected: of all clients it held most for longest";
        wait_until("who is closed is told", 20, || site.gateway.log().contains(line));
    });
}

#[test]
fn absent_subscribers_and_retained_messages() {
    within("500 absent subscribers", |site| {
        site.absent_subscribers(500);
        site.flood("flood", 200, 200_000, 1);
        site.retained(1_000, 20_000);
    });
}

#[test]
fn large_messages_at_qos_0_for_the_queue() {
    within("400 messages of 250 kB", |site| site.flood("queued/x", 400, 250_000, 0));
    within("100 000 messages of 10 bytes", |site| site.flood("queued/x", 100_000, 10, 0));
}

#[test]
fn all_of_it_at_once() {
    within("the mix", mix);
}

fn mix(site: &mut Site) {
    site.absent_subscribers(200);
    site.subscribe_without_reading(250, 0);
    site.subscribe_without_reading(100, 1);
    site.flood("flood", 400, 20_000, 1);
    site.retained(1_000, 20_000);
    site.half_send_publishes(300);
    site.half_send_connects(200, true);
    site.flood("flood", 60, 250_000, 0);
    site.flood("queued/x", 100, 250_000, 0);
    site.flood("queued/x", 20_000, 10, 0);
}

/// Every door at once, while a full queue goes to the hub and after a start that brought back as much of absent clients as is saved.
#[test]
fn all_of_it_at_every_door_while_the_queue_is_drained() {
    open_many_files();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut hub = Mosquitto::start(dir, "");
    hub.kill_9();
    let mut site = with_every_door(dir, hub.address);
    for n in 0..4 {
        site.flood(&format!("queued/{n}"), 40, 200_000, 1);
    }
    site.absent_subscribers(200);
    site.flood("flood", 10, 100_000, 1);
    site.retained(100, 4_000);
    let saved = dir.join("state/clients");
    wait_until("clients are saved", 30, || fs::metadata(&saved).is_ok_and(|file| file.len() > 900_000));
    site.gateway.kill_9();
    site.gateway.start();
    let queued = site.gateway.metric("edge_queue_messages").unwrap();
    hub.run();
    mix(&mut site);
    site.check("the mix at every door");
    wait_until("the queue is drained", 120, || {
        site.gateway.metric("edge_queue_messages").is_some_and(|rows| rows == 0.0)
    });
    site.check("the same, and the queue is drained");
    assert!(queued > 100.0, "{queued}");
}

/// In front of TLS and WebSocket are relays, so that clients are the same at each.
fn with_every_door(dir: &Path, hub: SocketAddr) -> Site {
    Authority::new(dir, "plant").sign(dir, "gateway", Some("localhost"));
    let [plain, tls, ws, wss] = std::array::from_fn(|_| free_port());
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{plain}\"\ntls_listen = \"{tls}\"\nws_listen = \"{ws}\"\nwss_listen = \"{wss}\"\n\
         cert = \"gateway.crt\"\nkey = \"gateway.key\"\n\
         [hub]\nurl = \"mqtt://{hub}\"\n[[route]]\nmatch = \"queued/#\"\n"
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let trusted = || Certificates::trusting(dir, "plant");
    let doors = vec![plain, tls_relay(tls, &trusted()), relay(ws, None), relay(wss, Some(trusted()))];
    Site::behind(gateway, doors)
}
