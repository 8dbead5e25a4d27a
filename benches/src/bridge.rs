//! `bridge.*`: a stream of messages through the bridge, beside the same stream straight to the hub and through
//! Mosquitto's own bridge.
//!
//! One generator for all three ways: QoS 1, 200 bytes, 100 unacknowledged, pipelined; a subscriber at the hub counts
//! each number once. The hub is a real Mosquitto without limits. A round runs from the first PUBLISH to the last
//! arrival; rounds of the three ways take turns.

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

/// Enough that a clock tick of 10 ms is half a microsecond per message.
const MESSAGES: u32 = 20_000;
const ROUNDS: usize = 7;
const WARM_UP: usize = 1;
/// A round that takes longer has lost something.
const ROUND_MAX: Duration = Duration::from_secs(60);

pub(crate) fn list() -> Vec<String> {
    let names = [
        "bridge.ratio_to_direct",
        "bridge.ratio_to_direct.mosquitto",
        "bridge.cpu_us_per_msg.ours",
        "bridge.cpu_us_per_msg.mosquitto",
    ];
    names.map(str::to_owned).to_vec()
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
    seconds: Vec<Duration>,
    cpu: Vec<Duration>,
}

impl Way {
    fn new(entrance: SocketAddr, process: Option<Process>) -> Way {
        Way { entrance, process, seconds: Vec::new(), cpu: Vec::new() }
    }

    fn per_second(&self) -> f64 {
        f64::from(MESSAGES) / median(self.seconds.clone()).as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        median(self.cpu.clone()).as_secs_f64() * 1e6 / f64::from(MESSAGES)
    }
}

async fn measure() -> Result<(), String> {
    let dir = tempfile::Builder::new().prefix("edge-bench").tempdir_in(".").map_err(|e| e.to_string())?;
    let hub = Mosquitto::hub(dir.path()).await?;
    let arrivals = Arc::new(Arrivals::default());
    let subscriber = client::subscribe(hub.address, arrivals.clone()).await?;
    let (address, process) = ours::start(hub.address, &dir.path().join("spool")).await?;
    let peer = Mosquitto::bridge_to(hub.address, dir.path()).await?;
    let mut ways = [
        Way::new(hub.address, None),
        Way::new(address, Some(process)),
        Way::new(peer.address, Some(peer.process)),
    ];
    let mut number = 0;
    for turn in 0..WARM_UP + ROUNDS {
        for way in &mut ways {
            number += 1;
            let before = way.process.as_ref().map(Process::cpu).transpose()?;
            let took = client::round(way.entrance, number, MESSAGES, &arrivals, ROUND_MAX).await?;
            let after = way.process.as_ref().map(Process::cpu).transpose()?;
            if turn < WARM_UP {
                continue;
            }
            way.seconds.push(took);
            if let (Some(before), Some(after)) = (before, after) {
                way.cpu.push(after.saturating_sub(before));
            }
        }
    }
    subscriber.abort();
    print(&ways);
    Ok(())
}

fn print([direct, ours, mosquitto]: &[Way; 3]) {
    let rate = |figure: &str, way: &Way| Figure {
        figure: figure.to_owned(),
        value: way.per_second(),
        unit: "messages/s",
        baseline: "direct".to_owned(),
        ratio: Some(way.per_second() / direct.per_second()),
        runs: ROUNDS,
    };
    let cpu = |figure: &str, way: &Way, peer: Option<&Way>| Figure {
        figure: figure.to_owned(),
        value: way.cpu_us(),
        unit: "us/message",
        baseline: peer.map_or("", |_| "mosquitto").to_owned(),
        ratio: peer.map(|peer| way.cpu_us() / peer.cpu_us()),
        runs: ROUNDS,
    };
    rate("bridge.ratio_to_direct", ours).print();
    rate("bridge.ratio_to_direct.mosquitto", mosquitto).print();
    cpu("bridge.cpu_us_per_msg.ours", ours, Some(mosquitto)).print();
    cpu("bridge.cpu_us_per_msg.mosquitto", mosquitto, None).print();
}
