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

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use support::gateway::Gateway;
use support::mosquitto::Mosquitto;
use support::publisher::Publisher;
use support::relay::Relay;

/// Share of the processor time of the plain gateways that encryption may take.
const MOST: f64 = 0.03;
/// Share that the two plain gateways may be apart. Where they are further, this machine's other work decides, and nothing is known of encryption.
const APART_MOST: f64 = 0.01;
/// Times that the three are started: where a process has its memory makes more of a difference than encryption.
const STARTS: usize = 6;
const SLOW_ROUNDS: usize = 4;
const SLOW_ROUND: Duration = Duration::from_secs(5);
const SLOW_PER_S: u32 = 30;
/// Rounds in which each gets messages as fast as it takes them, and then delivers them, one behind the other.
const FAST_ROUNDS: usize = 3;
/// Turns of each in a round: an even number, since each second turn is in the opposite order.
const TURNS: usize = 8;
const TURN: u32 = 2_000;

/// A gateway with its sensor.
struct Side {
    gateway: Gateway,
    /// Its line to the hub.
    line: Relay,
    sensor: Publisher,
    sent: u32,
    /// Processor time of each thread at the last look, in nanoseconds. One that has ended keeps what it had.
    seen_ns: HashMap<String, u64>,
    _dir: tempfile::TempDir,
}

impl Side {
    /// Starts it with its line cut.
    fn start(hub: SocketAddr, name: &str, queue: &str) -> Self {
        let line = Relay::start(hub);
        line.cut();
        let hub = line.address;
        let dir = tempfile::tempdir().unwrap();
        write_key(&dir.path().join("queue.key"));
        let listen = support::free_port();
        let config = format!(
            "[gateway]\nid = \"{name}\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\nclient_id = \"{name}\"\n[queue]\nmax_bytes = \"64MiB\"\n{queue}\n[[route]]\nmatch = \"plant/#\"\nto = \"site/{name}/\"\n"
        );
        let mut gateway = Gateway::new(dir.path(), &config);
        gateway.start();
        let sensor = Publisher::new(listen, "sensor", 400);
        Self { gateway, line, sensor, sent: 0, seen_ns: HashMap::new(), _dir: dir }
    }

    fn publish(&mut self) {
        self.sent += 1;
        let payload = format!("{{\"value\":{},\"text\":\"{}\"}}", self.sent, "x".repeat(180));
        self.sensor.publish(&format!("plant/line2/t{:03}", self.sent % 100), &payload);
    }

    /// Publishes the messages of a turn as fast as they are taken.
    fn take_turn(&mut self) {
        for _ in 0..TURN {
            while !self.sensor.has_room() {
                self.sensor.poll();
            }
            self.publish();
        }
        self.sensor.settle(0, 60);
    }

    /// Delivers what waits.
    fn drain(&self) {
        self.line.mend();
        // An answer of /metrics takes as much as a hundred messages: most are asked once.
        std::thread::sleep(Duration::from_secs(4));
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.gateway.metric("edge_queue_messages") != Some(0.0) {
            assert!(Instant::now() < deadline, "the hub has not got all");
            std::thread::sleep(Duration::from_millis(500));
        }
        self.line.cut();
    }

    /// Nanoseconds on a processor since the last look, of all its threads, in user mode and in the kernel. `/proc/PID/stat` counts them in steps of
    /// 10 ms.
    fn cpu_ns(&mut self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.gateway.pid())).unwrap();
        let mut since = 0;
        for task in tasks.flatten() {
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let Some(now) = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()) else {
                continue;
            };
            let name = task.file_name().to_string_lossy().into_owned();
            let before = self.seen_ns.insert(name, now).unwrap_or(0);
            // A later thread of the same number begins anew.
            since += if now < before { now } else { now - before };
        }
        since
    }
}

fn write_key(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, &[7; 32]).unwrap();
}

/// Processor time of the three under one load, in microseconds a message, round by round.
struct Load {
    name: &'static str,
    rounds: Vec<[f64; 3]>,
}

impl Load {
    fn new(name: &'static str) -> Self {
        Self { name, rounds: Vec::new() }
    }

    /// Takes the processor time since the last look as that of a round with so many messages.
    fn look(&mut self, messages: u32, sides: &mut [Side; 3]) {
        self.rounds.push(sides.each_mut().map(|side| side.cpu_ns() as f64 / f64::from(messages) / 1_000.0));
    }

    /// Prints and returns what encryption took beside the mean of the two plain ones, as a share, and how far those are apart: the medians of the rounds.
    fn compared(&self) -> (f64, f64) {
        let median = |of: fn(&[f64; 3]) -> f64| {
            let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
        };
        let more = median(|[first, second, encrypted]| 2.0 * encrypted / (first + second) - 1.0);
        let apart = median(|[first, second, _]| 2.0 * (first - second) / (first + second)).abs();
        println!(
            "{}: {:.2} and {:.2} µs a message, encrypted {:.2}: {:+.1} % (the plain ones are {:.1} % apart; {} rounds)",
            self.name,
            median(|of| of[0]),
            median(|of| of[1]),
            median(|of| of[2]),
            more * 100.0,
            apart * 100.0,
            self.rounds.len()
        );
        (more, apart)
    }
}

/// Returns the order of the three in a turn: each is the first as often as the others, and each second turn is the one before in the opposite order, so
/// that a machine which becomes slower or faster treats them alike.
fn order(turn: usize) -> [usize; 3] {
    let first = turn / 2;
    let order = [first, first + 1, first + 2].map(|n| n % 3);
    if turn.is_multiple_of(2) { order } else { [order[2], order[1], order[0]] }
}

/// Has the three take 30 messages/s while the hub is away.
fn slow(sides: &mut [Side; 3], load: &mut Load) {
    let pause = Duration::from_secs(1) / SLOW_PER_S;
    let mut next = Instant::now();
    for _ in 0..SLOW_ROUNDS {
        let (start, sent) = (Instant::now(), sides[0].sent);
        while start.elapsed() < SLOW_ROUND {
            order(sides[0].sent as usize).into_iter().for_each(|n| sides[n].publish());
            next += pause;
            while Instant::now() < next {
                sides.iter_mut().for_each(|side| side.sensor.poll());
            }
        }
        sides.iter_mut().for_each(|side| side.sensor.settle(0, 60));
        load.look(sides[0].sent - sent, sides);
    }
}

/// Has the three take messages as fast as they can, and deliver them.
fn fast(sides: &mut [Side; 3], [taken, delivered]: [&mut Load; 2]) {
    let messages = TURNS as u32 * TURN;
    for round in 0..FAST_ROUNDS {
        for turn in round * TURNS..(round + 1) * TURNS {
            order(turn).into_iter().for_each(|n| sides[n].take_turn());
        }
        taken.look(messages, sides);
        order(round).into_iter().for_each(|n| sides[n].drain());
        delivered.look(messages, sides);
    }
}

/// Leaves what they took until now to no round.
fn begin(sides: &mut [Side; 3]) {
    for side in sides {
        let _before = side.cpu_ns();
    }
}

#[test]
#[ignore = "by hand, on a machine with nothing else to do: cargo test -p edge-gateway --release --test encryption_cpu -- --ignored"]
fn encryption_takes_a_few_hundredths_of_the_processor_time_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_inflight_messages 0");
    let mut loads =
        ["30 messages/s, hub away", "as fast as they are taken, hub away", "on their way to the hub"]
            .map(Load::new);
    let [at_30, taken, delivered] = &mut loads;
    for start in 0..STARTS {
        let mut sides = [("first", ""), ("second", ""), ("secret", "key_file = \"queue.key\"")];
        sides.rotate_left(start % 3);
        let mut sides = sides.map(|(name, key)| Side::start(hub.address, name, key));
        sides.rotate_right(start % 3);
        begin(&mut sides);
        slow(&mut sides, at_30);
        order(start).into_iter().for_each(|n| sides[n].drain());
        begin(&mut sides);
        fast(&mut sides, [&mut *taken, &mut *delivered]);
    }
    let loads = loads.each_ref().map(|load| (load.name, load.compared()));
    for (name, (_, apart)) in loads {
        assert!(
            apart <= APART_MOST,
            "{name}: this machine is too busy: two plain gateways are {:.1} % apart, so what encryption takes is not known",
            apart * 100.0
        );
    }
    for (name, (more, _)) in loads {
        assert!(more <= MOST, "{name}: encryption takes {:.1} %", more * 100.0);
    }
}
