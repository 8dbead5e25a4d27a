//! A WAN: passes bytes on, as fast as it is said to be, until it is cut.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Relay {
    pub address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    /// Bytes per second in each direction.
    rate: Arc<AtomicU64>,
    /// Bytes per second towards the hub, if that is less.
    rate_up: Arc<AtomicU64>,
    /// Bytes that a segment takes beside what it carries.
    segment_head: Arc<AtomicU64>,
    /// Connections made before the last [`swallow`](Relay::swallow) are half open.
    epoch: Arc<AtomicU64>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    /// Topics could be read on the line.
    is_clear: Arc<AtomicBool>,
}

impl Relay {
    /// Its threads end with their connections; the accepting one with the test.
    pub fn start(to: SocketAddr) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Self {
            address: socket.local_addr().unwrap(),
            is_cut: Arc::default(),
            rate: Arc::new(AtomicU64::new(u64::MAX)),
            rate_up: Arc::new(AtomicU64::new(u64::MAX)),
            segment_head: Arc::default(),
            epoch: Arc::default(),
            streams: Arc::default(),
            is_clear: Arc::default(),
        };
        let (is_cut, epoch, streams, rate) =
            (relay.is_cut.clone(), relay.epoch.clone(), relay.streams.clone(), relay.rate.clone());
        let (is_clear, rate_up, segment_head) =
            (relay.is_clear.clone(), relay.rate_up.clone(), relay.segment_head.clone());
        std::thread::spawn(move || {
            for client in socket.incoming().flatten() {
                // A cut line: the connection ends before a byte came through.
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let born = epoch.load(Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(to) else { continue };
                for (from, to, own) in [(&client, &server, &rate_up), (&server, &client, &rate)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    streams.lock().unwrap().push(from.try_clone().unwrap());
                    let (epoch, is_clear, head) = (epoch.clone(), is_clear.clone(), segment_head.clone());
                    let rates = [rate.clone(), own.clone()];
                    std::thread::spawn(move || {
                        let rate =
                            || rates.iter().map(|rate| rate.load(Ordering::SeqCst)).fold(u64::MAX, u64::min);
                        copy(from, to, rate, &head, &is_clear, || epoch.load(Ordering::SeqCst) != born);
                    });
                }
            }
        });
        relay
    }

    pub fn limit(&self, bytes_per_s: u64) {
        self.rate.store(bytes_per_s, Ordering::SeqCst);
    }

    /// Limits each direction to that many bytes a second, of which segments take their 40 beside what they carry.
    pub fn limit_as_line(&self, bytes_per_s: u64) {
        self.segment_head.store(40, Ordering::SeqCst);
        self.limit(bytes_per_s);
    }

    /// Limits what goes to the hub alone.
    pub fn limit_up(&self, bytes_per_s: u64) {
        self.rate_up.store(bytes_per_s, Ordering::SeqCst);
    }

    /// Returns whether a topic of the gateway's could be read on the line.
    pub fn is_clear(&self) -> bool {
        self.is_clear.load(Ordering::SeqCst)
    }

    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        self.reset();
    }

    /// Ends the connections of now; new ones work.
    pub fn reset(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Keeps the connections of now, and lets nothing through any more; new connections work.
    pub fn swallow(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    rate: impl Fn() -> u64,
    segment_head: &AtomicU64,
    is_clear: &AtomicBool,
    is_swallowed: impl Fn() -> bool,
) {
    let mut bytes = [0; 16 * 1024];
    // Time from which the line is free. A sleep that took too long is made up for while more waits.
    let mut free = Instant::now();
    // Of a thin line a tenth of a second at a time, so that it does not move in leaps.
    let piece = || (rate() / 10).clamp(200, 16 * 1024) as usize;
    while let Ok(n @ 1..) = from.read(&mut bytes[..piece()]) {
        let is_read = |topic: &[u8]| bytes[..n].windows(topic.len()).any(|part| part == topic);
        if is_read(b"out/r") || is_read(b"up/plant") {
            is_clear.store(true, Ordering::SeqCst);
        }
        if is_swallowed() {
            continue;
        }
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
        let heads = n.div_ceil(1_400) as u64 * segment_head.load(Ordering::SeqCst);
        let now = Instant::now();
        if now > free + Duration::from_millis(100) {
            free = now;
        }
        free += Duration::from_secs_f64((n as u64 + heads) as f64 / rate() as f64);
        std::thread::sleep(free.saturating_duration_since(Instant::now()));
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
