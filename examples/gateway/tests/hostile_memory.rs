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

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
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

    /// MQTT 5, clean start.
    fn connect_v5(&self, name: &str) -> Option<TcpStream> {
        let mut stream = self.open()?;
        let rest = [&text(b"MQTT")[..], &[5, 2, 0, 60, 0], &text(name.as_bytes())].concat();
        stream.write_all(&packet(0x10, &rest)).ok()?;
        let mut head = [0; 2];
        stream.read_exact(&mut head).ok()?;
        stream.read_exact(&mut vec![0; usize::from(head[1])]).ok()?;
        Some(stream)
    }

    /// `count` clients, each with half a message of 200 kB; whoever is closed comes again.
    fn half_send_again_and_again(&self, name: &str, count: usize, is_over: &AtomicBool) {
        let whole = packet(0x30, &[&text(b"flood")[..], &[b'x'; 200_000]].concat());
        let mut streams: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
        while !is_over.load(Ordering::Relaxed) {
            for (n, stream) in streams.iter_mut().enumerate() {
                let is_there = stream.as_ref().is_some_and(|stream| {
                    stream.set_nonblocking(true).is_ok()
                        && stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
                });
                if is_there {
                    continue;
                }
                *stream = self.connect(&format!("{name}-{n}"), 2);
                if let Some(stream) = stream {
                    let _ = stream.write_all(&whole[..100_000]);
                }
            }
        }
    }

    /// Publishes a message again and again, on a new connection after each close. Returns how often it was acknowledged, at most `count` times, and how
    /// often the connection was closed, at most 100 times.
    fn publish_until_acknowledged(&self, whole: &[u8], count: usize) -> (usize, usize) {
        let (mut acknowledged, mut closes, mut stream) = (0, 0, None);
        while acknowledged < count && closes < 100 {
            if stream.is_none() {
                stream = self.connect("sensor", 2);
            }
            let puback = stream.as_mut().map(|stream| {
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                stream.write_all(whole)?;
                stream.read_exact(&mut [0; 4])
            });
            if let Some(Ok(())) = puback {
                acknowledged += 1;
            } else {
                (closes, stream) = (closes + 1, None);
            }
        }
        (acknowledged, closes)
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
