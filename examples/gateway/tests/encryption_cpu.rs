#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Processor time of a gateway whose queue is encrypted, beside one whose queue is not, under the same messages at the same time.

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use support::gateway::Gateway;
use support::mosquitto::Mosquitto;
use support::publisher::Publisher;
use support::relay::Relay;
use support::wait_until;

/// Share of the processor time of the plain gateway that encryption may take.
const MOST: f64 = 0.03;
const SLOW: Duration = Duration::from_secs(60);
const SLOW_PER_S: u32 = 30;
/// Turns of each, in which it gets messages as fast as it takes them.
const TURNS: u32 = 40;
const TURN: u32 = 1_000;

/// A gateway with its sensor.
struct Side {
    gateway: Gateway,
    sensor: Publisher,
    sent: u32,
    /// Processor time at the last look.
    seen_ns: u64,
    _dir: tempfile::TempDir,
}

impl Side {
    fn start(hub: SocketAddr, name: &str, queue: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_key(&dir.path().join("queue.key"));
        let listen = support::free_port();
        let config = format!(
            "[gateway]\nid = \"{name}\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\nclient_id = \"{name}\"\n[queue]\nmax_bytes = \"64MiB\"\n{queue}\n[[route]]\nmatch = \"plant/#\"\nto = \"site/{name}/\"\n"
        );
        let mut gateway = Gateway::new(dir.path(), &config);
        gateway.start();
        let sensor = Publisher::new(listen, "sensor", 400);
        Self { gateway, sensor, sent: 0, seen_ns: 0, _dir: dir }
    }

    fn publish(&mut self) {
        self.sent += 1;
        let payload = format!("{{\"value\":{},\"text\":\"{}\"}}", self.sent, "x".repeat(180));
        self.sensor.publish(&format!("plant/line2/t{:03}", self.sent % 100), &payload);
    }

    /// Nanoseconds on a processor since the last look, of all its threads.
    fn cpu_ns(&mut self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.gateway.pid())).unwrap();
        let of = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        };
        let total: u64 = tasks.flatten().filter_map(of).sum();
        let since = total.saturating_sub(self.seen_ns);
        self.seen_ns = total;
        since
    }
}

fn write_key(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, &[7; 32]).unwrap();
}

/// Prints what each message cost the three, and returns what encryption took beside the mean of the two plain ones, as a share, and how far those are
/// apart, which is what this machine's other work makes of the same program.
fn compared(phase: &str, messages: u32, sides: &mut [Side; 3]) -> (f64, f64) {
    let [first, second, encrypted] =
        sides.each_mut().map(|side| side.cpu_ns() as f64 / f64::from(messages) / 1_000.0);
    let plain = (first + second) / 2.0;
    let (more, apart) = (encrypted / plain - 1.0, (first - second).abs() / plain);
    println!(
        "{phase}: {first:.2} and {second:.2} µs a message, encrypted {encrypted:.2}: {:+.1} % (the plain ones are {:.1} % apart)",
        more * 100.0,
        apart * 100.0
    );
    (more, apart)
}

#[test]
#[ignore = "by hand, on a machine with nothing else to do: cargo test -p edge-gateway --release --test encryption_cpu -- --ignored"]
fn encryption_takes_a_few_hundredths_of_the_processor_time_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_inflight_messages 0");
    let line = Relay::start(hub.address);
    line.cut();
    let mut sides = [("first", ""), ("second", ""), ("secret", "key_file = \"queue.key\"")]
        .map(|(name, key)| Side::start(line.address, name, key));
    for side in &mut sides {
        side.cpu_ns();
    }

    let (start, pause) = (Instant::now(), Duration::from_secs(1) / SLOW_PER_S);
    let mut next = start;
    while start.elapsed() < SLOW {
        // Each is the first as often as the others.
        let first = sides[0].sent as usize;
        (first..first + 3).for_each(|n| sides[n % 3].publish());
        next += pause;
        while Instant::now() < next {
            sides.iter_mut().for_each(|side| side.sensor.poll());
        }
    }
    sides.iter_mut().for_each(|side| side.sensor.settle(0, 60));
    let slow = compared("30 messages/s, hub away", sides[0].sent, &mut sides);

    for turn in 0..TURNS as usize {
        for n in turn..turn + 3 {
            let side = &mut sides[n % 3];
            for _ in 0..TURN {
                while !side.sensor.has_room() {
                    side.sensor.poll();
                }
                side.publish();
            }
            side.sensor.settle(0, 60);
        }
    }
    let fast = compared("as fast as they are taken, hub away", TURNS * TURN, &mut sides);

    line.mend();
    for side in &sides {
        wait_until("the hub has all", 300, || side.gateway.metric("edge_queue_messages") == Some(0.0));
    }
    let drained = compared("on their way to the hub", sides[0].sent, &mut sides);
    for (phase, (more, apart)) in [("slow", slow), ("fast", fast), ("drained", drained)] {
        assert!(more <= MOST + apart, "{phase}: {more}");
    }
}
