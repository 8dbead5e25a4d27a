//! A gateway and the clients that mean no good.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::free_port;
use crate::support::gateway::{BINARY, Gateway};
use crate::support::publisher::{packet, text};

const CONFIG: &str = "[[route]]\nmatch = \"queued/#\"\n";

/// The figure of `check`, in KiB.
pub(crate) fn ram_at_most(gateway: &Gateway) -> u64 {
    let output = Command::new(BINARY).arg("check").arg(gateway.dir.join("gateway.toml")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("RAM at most")).unwrap();
    let mib: f64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(line.contains(" MiB, "), "{line}");
    (mib * 1024.0) as u64
}

/// Most resident memory of a process so far, in KiB; `None` once it has ended.
fn resident_kib_max(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CONNECT and its CONNACK.
fn greet(stream: &mut TcpStream, name: &str, flags: u8) -> Option<()> {
    let rest = [&text(b"MQTT")[..], &[4, flags, 0, 60], &text(name.as_bytes())].concat();
    stream.write_all(&packet(0x10, &rest)).ok()?;
    stream.read_exact(&mut [0; 4]).ok()
}

/// Clients that mean no good. What fails fails: the gateway may close them.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    /// Doors to the listener, taken in turn.
    doors: Vec<SocketAddr>,
    opened: AtomicUsize,
    named: AtomicUsize,
    /// Connections that stay.
    connections: Mutex<Vec<TcpStream>>,
}

impl Site {
    /// Behind a listener in plain text; its hub is away.
    pub(crate) fn new(dir: &Path) -> Self {
        let (gateway, listen) = Gateway::started(dir, free_port(), CONFIG);
        Self::behind(gateway, vec![listen])
    }

    /// Behind a listener in plain text, with these routes to a hub that is there.
    pub(crate) fn at_hub(dir: &Path, hub: SocketAddr, routes: &str) -> Self {
        let (gateway, listen) = Gateway::started(dir, hub, routes);
        Self::behind(gateway, vec![listen])
    }

    pub(crate) fn behind(gateway: Gateway, doors: Vec<SocketAddr>) -> Self {
        Self {
            gateway,
            doors,
            opened: AtomicUsize::new(0),
            named: AtomicUsize::new(0),
            connections: Mutex::default(),
        }
    }

    pub(crate) fn open(&self) -> Option<TcpStream> {
        let turn = self.opened.fetch_add(1, Ordering::Relaxed);
        let stream = TcpStream::connect(self.doors[turn % self.doors.len()]).ok()?;
        for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            set(&stream, Some(Duration::from_secs(2))).unwrap();
        }
        Some(stream)
    }

    pub(crate) fn keep(&self, stream: TcpStream) {
        self.connections.lock().unwrap().push(stream);
    }

    /// Returns a name that no client had.
    pub(crate) fn new_name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.named.fetch_add(1, Ordering::Relaxed))
    }

    /// Connects as a client that the gateway must take, also on a machine that stands still for seconds.
    #[track_caller]
    pub(crate) fn connected(&self, name: &str, flags: u8) -> TcpStream {
        // At a door with TLS a handshake of 3 s is ended.
        (0..3).find_map(|_| self.connect_patiently(name, flags)).unwrap()
    }

    /// Connects as [`Site::connect`] does, and waits for answers as long as a loaded machine takes for them.
    pub(crate) fn connect_patiently(&self, name: &str, flags: u8) -> Option<TcpStream> {
        let mut stream = self.open()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        greet(&mut stream, name, flags)?;
        Some(stream)
    }

    /// 3.1.1; `flags` of CONNECT: 2 = clean session.
    pub(crate) fn connect(&self, name: &str, flags: u8) -> Option<TcpStream> {
        let mut stream = self.open()?;
        greet(&mut stream, name, flags)?;
        Some(stream)
    }

    pub(crate) fn subscribe_without_reading(&self, count: usize, qos: u8) {
        for n in 0..count {
            let mut stream = self.connected(&format!("unread{qos}-{n}"), 2);
            let rest = [&[0, 1][..], &text(b"flood"), &[qos]].concat();
            stream.write_all(&packet(0x82, &rest)).unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
            self.keep(stream);
        }
    }

    pub(crate) fn absent_subscribers(&self, count: usize) {
        for n in 0..count {
            let mut stream = self.connected(&format!("absent-{n}"), 0);
            stream.write_all(&packet(0x82, &[&[0, 1][..], &text(b"flood"), &[1]].concat())).unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
        }
    }

    pub(crate) fn flood(&self, topic: &str, messages: usize, size: usize, qos: u8) {
        let Some(mut stream) = self.connect(&self.new_name("flood"), 2) else { return };
        for n in 0..messages {
            let id = ((n % 60_000) as u16 + 1).to_be_bytes();
            let id = if qos > 0 { &id[..] } else { &[] };
            let rest = [&text(topic.as_bytes())[..], id, &vec![n as u8; size]].concat();
            if stream.write_all(&packet(0x30 | qos << 1, &rest)).is_err() {
                break;
            }
        }
        self.keep(stream);
    }

    /// Publishes these payloads at QoS 0 on a connection of their own.
    pub(crate) fn send(&self, topic: &str, payloads: impl Iterator<Item = String>) {
        let mut stream = self.connected(&self.new_name("sender"), 2);
        for payload in payloads {
            let whole = packet(0x30, &[&text(topic.as_bytes())[..], payload.as_bytes()].concat());
            stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(&whole).unwrap();
        }
        // All of it was read when this is answered.
        stream.write_all(&packet(0xc0, &[])).unwrap();
        stream.read_exact(&mut [0; 2]).unwrap();
    }

    pub(crate) fn retained(&self, topics: usize, size: usize) {
        let Some(mut stream) = self.connect(&self.new_name("retained"), 2) else { return };
        for n in 0..topics {
            let rest = [&text(format!("r/{n}").as_bytes())[..], &vec![n as u8; size]].concat();
            let _ = stream.write_all(&packet(0x31, &rest));
        }
        self.keep(stream);
    }

    pub(crate) fn half_send_publishes(&self, count: usize) {
        for n in 0..count {
            let Some(mut stream) = self.connect(&format!("half-{n}"), 2) else { continue };
            let whole = packet(0x30, &[&text(b"flood")[..], &[b'x'; 255_000]].concat());
            let _ = stream.write_all(&whole[..254_000]);
            self.keep(stream);
        }
    }

    /// MQTT 5, clean start.
    pub(crate) fn connect_v5(&self, name: &str) -> Option<TcpStream> {
        let mut stream = self.open()?;
        let rest = [&text(b"MQTT")[..], &[5, 2, 0, 60, 0], &text(name.as_bytes())].concat();
        stream.write_all(&packet(0x10, &rest)).ok()?;
        let mut head = [0; 2];
        stream.read_exact(&mut head).ok()?;
        stream.read_exact(&mut vec![0; usize::from(head[1])]).ok()?;
        Some(stream)
    }

    /// `count` clients, each with half a message of 200 kB; whoever is closed comes again.
    pub(crate) fn half_send_again_and_again(&self, name: &str, count: usize, is_over: &AtomicBool) {
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
    pub(crate) fn publish_until_acknowledged(&self, whole: &[u8], count: usize) -> (usize, usize) {
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
    pub(crate) fn half_send_connects(&self, count: usize, user: bool) {
        for _ in 0..count {
            let Some(mut stream) = self.open() else { continue };
            let flags = if user { 0x86 } else { 6 };
            let rest =
                [&text(b"MQTT")[..], &[4, flags, 0, 60], &text(b"c"), &text(b"w"), &text([b'x'; 63_000])];
            let whole = packet(0x10, &rest.concat());
            let _ = stream.write_all(&whole[..62_000]);
            self.keep(stream);
        }
    }

    /// The gateway stops cleanly, and took no more than it says until its end.
    #[track_caller]
    pub(crate) fn check_stop(&mut self, what: &str) {
        let max = ram_at_most(&self.gateway);
        let pid = self.gateway.pid();
        let watcher = std::thread::spawn(move || {
            let mut most = 0;
            while let Some(kib) = resident_kib_max(pid) {
                most = kib;
                std::thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let (status, _) = self.gateway.terminate();
        let found = watcher.join().unwrap();
        println!("{what}: VmHWM {found} KiB, check says {max} KiB");
        assert!(found <= max, "{what}: {found} KiB, and check says {max} KiB");
        assert_eq!(status.code(), Some(0));
        assert!(!self.gateway.log().contains("are not kept"), "{}", self.gateway.log());
    }

    /// The gateway serves, and took no more than it says.
    #[track_caller]
    pub(crate) fn check(&mut self, what: &str) {
        let (found, max) = (self.gateway.resident_kib_max(), ram_at_most(&self.gateway));
        println!("{what}: VmHWM {found} KiB, check says {max} KiB");
        assert!(found <= max, "{what}: {found} KiB, and check says {max} KiB");
        assert_eq!(self.gateway.get("/readyz").unwrap().0, 200);
    }
}
