#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! One client at full speed does not keep the others' PUBACKs back: against the same sensors in the same run without it.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::free_port;
use support::gateway::Gateway;
use support::publisher::Publisher;

const SENSORS: usize = 10;
const PHASE: Duration = Duration::from_secs(6);
/// PUBACKs of a sensor until it is surely known for one that waits for them.
const UNKNOWN: usize = 10;
/// `ack_within` by default.
const ACK_WITHIN: Duration = Duration::from_secs(1);

/// Ten sensors that publish, wait for the PUBACK and pause: 99 of 100 PUBACKs came within the time that is returned.
fn puback_p99(listen: SocketAddr, phase: &str) -> Duration {
    let sensor = |n: usize| {
        let name = format!("{phase}-{n}");
        move || {
            let mut publisher = Publisher::new(listen, &name, 1);
            let (begin, mut waits) = (Instant::now(), Vec::new());
            while begin.elapsed() < PHASE || waits.len() < 2 * UNKNOWN {
                let sent = Instant::now();
                publisher.publish(&format!("plant/{name}"), "21.5");
                publisher.settle(0, 60);
                waits.push(sent.elapsed());
                thread::sleep(Duration::from_millis(40));
            }
            // The first few wait for `ack_within`: nothing tells yet that their sensor waits for them.
            waits.split_off(UNKNOWN)
        }
    };
    let sensors: Vec<_> = (0..SENSORS).map(|n| thread::spawn(sensor(n))).collect();
    let mut waits: Vec<Duration> = sensors.into_iter().flat_map(|sensor| sensor.join().unwrap()).collect();
    waits.sort_unstable();
    println!("{phase}: {} PUBACKs, longest {:?}", waits.len(), waits.last().unwrap());
    waits[waits.len() * 99 / 100]
}

/// As [`puback_p99`], again if it is more than `most`, three times at most: in one of them the machine may stand still for seconds, which keeps
/// all sensors waiting at once. A flood that keeps them waiting does so each time.
fn best_p99(listen: SocketAddr, phase: &str, most: Duration) -> Duration {
    let mut best = Duration::MAX;
    for n in 0..3 {
        best = best.min(puback_p99(listen, &format!("{phase} {n}")));
        if best <= most {
            break;
        }
    }
    best
}

/// Writes at QoS 0 as fast as it is read, until it is told to stop; returns its messages.
fn flood(listen: SocketAddr, stop: &AtomicBool) -> u64 {
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.write_all(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05flood").unwrap();
    let message = [&[0x30, 5 + 100, 0, 3][..], b"a/b", &[b'x'; 100]].concat();
    let (many, mut written, mut at) = (message.repeat(200), 0, 0);
    while !stop.load(Ordering::Relaxed) {
        // What was not written stays to be written: the stream must not be cut in a packet.
        if let Ok(bytes) = stream.write(&many[at..]) {
            (written, at) = (written + bytes as u64, (at + bytes) % many.len());
        }
    }
    written / message.len() as u64
}

/// Each message goes to all of them, of the flood and of the sensors, at QoS 0 to one half and at QoS 1 to the other, and none of them reads.
fn unread_subscribers(listen: SocketAddr) -> Vec<TcpStream> {
    let subscriber = |n: u8| {
        let mut stream = TcpStream::connect(listen).unwrap();
        stream.write_all(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03s").unwrap();
        stream.write_all(&[b'0' + n / 10, b'0' + n % 10]).unwrap();
        stream.write_all(&[b"\x82\x06\x00\x01\x00\x01#", &[n % 2][..]].concat()).unwrap();
        let mut answers = [0; 4 + 5];
        stream.read_exact(&mut answers).unwrap();
        assert_eq!(answers, [0x20, 2, 0, 0, 0x90, 3, 0, 1, n % 2]);
        stream
    };
    (0..100).map(subscriber).collect()
}

#[test]
fn a_flood_of_one_client_leaves_the_others_their_pubacks() {
    let dir = tempfile::tempdir().unwrap();
    let rest = "[queue]\nmax_bytes = \"8MiB\"\n[[route]]\nmatch = \"#\"\n";
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), rest);
    let quiet = puback_p99(listen, "quiet");
    let most = 3 * quiet + ACK_WITHIN;
    let stop = Arc::new(AtomicBool::new(false));
    let flooder = thread::spawn({
        let stop = stop.clone();
        move || flood(listen, &stop)
    });
    thread::sleep(Duration::from_secs(1));
    let flooded = best_p99(listen, "flooded", most);
    let unread = unread_subscribers(listen);
    thread::sleep(Duration::from_secs(1));
    let copied = best_p99(listen, "flooded, with subscribers that do not read", most);
    drop(unread);
    stop.store(true, Ordering::Relaxed);
    let messages = flooder.join().unwrap();
    println!("99 of 100 PUBACKs: {quiet:?} quiet, {flooded:?} beside {messages} messages at QoS 0");
    println!("{copied:?} beside those to 100 subscribers that do not read");
    assert!(messages > 20_000, "a flood: {messages}");
    assert!(flooded <= most, "{quiet:?} quiet, {flooded:?} beside {messages} messages");
    assert!(copied <= most, "{quiet:?} quiet, {copied:?} beside unread subscribers");
    assert_eq!(gateway.get("/readyz").unwrap().0, 200);
}
