//! `bridge.*`: a stream of messages through the bridge, beside the same stream straight to the hub and through
//! Mosquitto's own bridge.
//!
//! One generator for all three ways: QoS 1, 200 bytes, 100 unacknowledged, pipelined; a subscriber at the hub counts
//! each number once. The hub is a real Mosquitto without limits. A round runs from the first PUBLISH to the last
//! arrival; rounds of the three ways take turns. Processor time is measured at full speed and at the rates of sites: at
//! a low rate each message is a turn of its own.

mod arrivals;
mod client;
mod mosquitto;
mod ours;
mod process;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrivals::Arrivals;
use mosquitto::Mosquitto;
use process::Process;

pub(crate) use ours::{CHILD, child};

use crate::measure::{Figure, median};

const MESSAGES: u32 = 20_000;
const ROUNDS: usize = 7;
const WARM_UP: usize = 1;
/// Rates at which processor time is measured besides full speed, in messages a second.
const RATES: [u32; 3] = [30, 200, 2_000];
const PACED_FOR_S: u32 = 4;
const PACED_ROUNDS: usize = 3;
/// A round that takes longer has lost something.
const ROUND_MAX: Duration = Duration::from_secs(60);

pub(crate) fn list() -> Vec<String> {
    let mut names = vec!["bridge.ratio_to_direct".to_owned(), "bridge.ratio_to_direct.mosquitto".to_owned()];
    for rate in RATES.iter().map(u32::to_string).chain(["max".to_owned()]) {
        names.extend(["ours", "mosquitto"].map(|way| format!("bridge.cpu_us_per_msg.{way}.{rate}")));
    }
    names
}

pub(crate) fn run() -> Result<(), String> {
    let Some(version) = mosquitto::version() else {
        eprintln!(
            "bridge: no mosquitto in PATH or /usr/sbin; every figure needs one as hub, so there is none \
             (apt-get install mosquitto)"
        );
        return Ok(());
    };
    eprintln!("bridge: hub and peer are {version}");
    // The publisher and the subscriber, each with a core if there are two.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(measure())
}

/// A way to the hub.
struct Way {
    entrance: SocketAddr,
    /// The process in between.
    process: Option<Process>,
}

/// Rounds of one way.
#[derive(Default)]
struct Rounds {
    seconds: Vec<Duration>,
    cpu: Vec<Duration>,
}

impl Rounds {
    fn per_second(&self) -> f64 {
        f64::from(MESSAGES) / median(self.seconds.clone()).as_secs_f64()
    }

    fn cpu_us(&self, messages: u32) -> f64 {
        median(self.cpu.clone()).as_secs_f64() * 1e6 / f64::from(messages)
    }
}

/// Stream of a round: how many messages, and how many a second if it is paced.
#[derive(Clone, Copy)]
struct Stream {
    messages: u32,
    rate: Option<u32>,
}

/// Far end of the rounds, and the number of the last one.
struct Hub {
    arrivals: Arc<Arrivals>,
    round: u32,
}

impl Hub {
    /// Lets the ways take turns, and gives the rounds of each.
    async fn rounds<const N: usize>(
        &mut self,
        ways: [&Way; N],
        stream: Stream,
        rounds: usize,
    ) -> Result<[Rounds; N], String> {
        let mut measured = [(); N].map(|()| Rounds::default());
        for turn in 0..WARM_UP + rounds {
            for (way, measured) in ways.iter().zip(&mut measured) {
                self.round += 1;
                let before = way.process.as_ref().map(Process::cpu).transpose()?;
                let took = client::round(way.entrance, self.round, stream, &self.arrivals, ROUND_MAX).await?;
                let after = way.process.as_ref().map(Process::cpu).transpose()?;
                if turn < WARM_UP {
                    continue;
                }
                measured.seconds.push(took);
                measured.cpu.extend(before.zip(after).map(|(before, after)| after.saturating_sub(before)));
            }
        }
        Ok(measured)
    }
}

async fn measure() -> Result<(), String> {
    let dir = tempfile::Builder::new().prefix("edge-bench").tempdir_in(".").map_err(|e| e.to_string())?;
    let hub = Mosquitto::hub(dir.path()).await?;
    let arrivals = Arc::new(Arrivals::default());
    let subscriber = client::subscribe(hub.address, arrivals.clone()).await?;
    let (address, process) = ours::start(hub.address, &dir.path().join("spool")).await?;
    let peer = Mosquitto::bridge_to(hub.address, dir.path()).await?;
    let direct = Way { entrance: hub.address, process: None };
    let ours = Way { entrance: address, process: Some(process) };
    let mosquitto = Way { entrance: peer.address, process: Some(peer.process) };
    let mut hub = Hub { arrivals, round: 0 };
    let full = Stream { messages: MESSAGES, rate: None };
    let at_full_speed = hub.rounds([&direct, &ours, &mosquitto], full, ROUNDS).await?;
    print_rates(&at_full_speed);
    for rate in RATES {
        let paced = Stream { messages: rate * PACED_FOR_S, rate: Some(rate) };
        let [ours, mosquitto] = hub.rounds([&ours, &mosquitto], paced, PACED_ROUNDS).await?;
        print_cpu(&rate.to_string(), paced.messages, &ours, &mosquitto);
    }
    let [_, ours, mosquitto] = at_full_speed;
    print_cpu("max", MESSAGES, &ours, &mosquitto);
    subscriber.abort();
    Ok(())
}

fn print_rates([direct, ours, mosquitto]: &[Rounds; 3]) {
    for (figure, way) in [("bridge.ratio_to_direct", ours), ("bridge.ratio_to_direct.mosquitto", mosquitto)] {
        let figure = Figure {
            figure: figure.to_owned(),
            value: way.per_second(),
            unit: "messages/s",
            baseline: "direct".to_owned(),
            ratio: Some(way.per_second() / direct.per_second()),
            runs: way.seconds.len(),
        };
        figure.print();
    }
}

fn print_cpu(rate: &str, messages: u32, ours: &Rounds, mosquitto: &Rounds) {
    let ratio = ours.cpu_us(messages) / mosquitto.cpu_us(messages);
    for (name, way, baseline) in [("ours", ours, "mosquitto"), ("mosquitto", mosquitto, "")] {
        let figure = Figure {
            figure: format!("bridge.cpu_us_per_msg.{name}.{rate}"),
            value: way.cpu_us(messages),
            unit: "us/message",
            baseline: baseline.to_owned(),
            ratio: (!baseline.is_empty()).then_some(ratio),
            runs: way.cpu.len(),
        };
        figure.print();
    }
}
