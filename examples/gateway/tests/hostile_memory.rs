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

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use support::free_port;
use support::gateway::{BINARY, Gateway};
use support::publisher::{packet, text};

const CONFIG: &str = "[[route]]\nmatch = \"queued/#\"\n";

/// The figure of `check`, in KiB.
fn ram_at_most(gateway: &Gateway) -> u64 {
    let output = Command::new(BINARY).arg("check").arg(gateway.dir.join("gateway.toml")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("RAM at most")).unwrap();
    let mib: f64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(line.contains(" MiB, "), "{line}");
    (mib * 1024.0) as u64
}

/// Clients that mean no good. What fails fails: the gateway may close them.
struct Site {
    gateway: Gateway,
    listen: SocketAddr,
    connections: Vec<TcpStream>,
}

impl Site {
    fn new(dir: &std::path::Path) -> Self {
        let (gateway, listen) = Gateway::started(dir, free_port(), CONFIG);
        Self { gateway, listen, connections: Vec::new() }
    }

    fn open(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect(self.listen).ok()?;
        for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            set(&stream, Some(Duration::from_secs(2))).unwrap();
        }
        Some(stream)
    }

    /// 3.1.1; `flags` of CONNECT: 2 = clean session.
    fn connect(&self, name: &str, flags: u8) -> Option<TcpStream> {
        let mut stream = self.open()?;
        let rest = [&text(b"MQTT")[..], &[4, flags, 0, 60], &text(name.as_bytes())].concat();
        stream.write_all(&packet(0x10, &rest)).ok()?;
        stream.read_exact(&mut [0; 4]).ok()?;
        Some(stream)
    }

    fn subscribe_without_reading(&mut self, count: usize, qos: u8) {
        for n in 0..count {
            let mut stream = self.connect(&format!("unread{qos}-{n}"), 2).unwrap();
            let rest = [&[0, 1][..], &text(b"flood"), &[qos]].concat();
            stream.write_all(&packet(0x82, &rest)).unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
            self.connections.push(stream);
        }
    }

    fn absent_subscribers(&mut self, count: usize) {
        for n in 0..count {
            let mut stream = self.connect(&format!("absent-{n}"), 0).unwrap();
            stream.write_all(&packet(0x82, &[&[0, 1][..], &text(b"flood"), &[1]].concat())).unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
        }
    }

    fn flood(&mut self, topic: &str, messages: usize, size: usize, qos: u8) {
        let Some(mut stream) = self.connect(&format!("flood{}", self.connections.len()), 2) else { return };
        for n in 0..messages {
            let id = ((n % 60_000) as u16 + 1).to_be_bytes();
            let id = if qos > 0 { &id[..] } else { &[] };
            let rest = [&text(topic.as_bytes())[..], id, &vec![n as u8; size]].concat();
            if stream.write_all(&packet(0x30 | qos << 1, &rest)).is_err() {
                break;
            }
        }
        self.connections.push(stream);
    }

    fn retained(&mut self, topics: usize, size: usize) {
        let Some(mut stream) = self.connect("retained", 2) else { return };
        for n in 0..topics {
            let rest = [&text(format!("r/{n}").as_bytes())[..], &vec![n as u8; size]].concat();
            let _ = stream.write_all(&packet(0x31, &rest));
        }
        self.connections.push(stream);
    }

    fn half_send_publishes(&mut self, count: usize) {
        for n in 0..count {
            let Some(mut stream) = self.connect(&format!("half-{n}"), 2) else { continue };
            let whole = packet(0x30, &[&text(b"flood")[..], &[b'x'; 255_000]].concat());
            let _ = stream.write_all(&whole[..254_000]);
            self.connections.push(stream);
        }
    }

    /// `user`: whether they say that a user name follows.
    fn half_send_connects(&mut self, count: usize, user: bool) {
        for _ in 0..count {
            let Some(mut stream) = self.open() else { continue };
            let flags = if user { 0x86 } else { 6 };
            let rest =
                [&text(b"MQTT")[..], &[4, flags, 0, 60], &text(b"c"), &text(b"w"), &text([b'x'; 63_000])];
            let whole = packet(0x10, &rest.concat());
            let _ = stream.write_all(&whole[..62_000]);
            self.connections.push(stream);
        }
    }

    /// The gateway serves, and took no more than it says.
    #[track_caller]
    fn check(&mut self, what: &str) {
        let (found, max) = (self.gateway.resident_kib_max(), ram_at_most(&self.gateway));
        println!("{what}: VmHWM {found} KiB, check says {max} KiB");
        assert!(found <= max, "{what}: {found} KiB, and check says {max} KiB");
        assert_eq!(self.gateway.get("/readyz").unwrap().0, 200);
    }
}

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
            let mut readers: Vec<_> =
                (0..400).map(|n| site.connect(&format!("reader-{n}"), 2).unwrap()).collect();
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

#[test]
fn half_sent_connects() {
    within("990 CONNECTs of 64 kB", |site| site.half_send_connects(990, false));
    within("990 CONNECTs of 64 kB with a user name", |site| site.half_send_connects(990, true));
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
    within("the mix", |site| {
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
    });
}
