//! How punctual a control loop is: healthy, and beside a disk that hangs and a link that flaps.
//!
//! Both in one run, in turns, since a shared machine drifts: the period errors of all turns of a kind are taken together.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use control_loop::net::DemoHub;
use control_loop::plant::{Actuators, Plant};
use control_loop::{App, Clock, Config, HubConfig, Spool};
use edge_queue::testing::{Call, SimDir};

use crate::measure::Figure;

const HEALTHY: &str = "control.jitter.healthy.p999";
const STALLED: &str = "control.jitter.stalled.p999";
/// Turns of each kind, and how long one is.
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(15);
/// The link is up and down for so long.
const FLAP: Duration = Duration::from_millis(700);

pub(crate) fn list() -> Vec<String> {
    vec![HEALTHY.to_owned(), STALLED.to_owned()]
}

pub(crate) fn run() -> Result<(), String> {
    let (mut healthy, mut stalled) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        healthy.extend(round(false)?);
        stalled.extend(round(true)?);
    }
    let (healthy, stalled) = (p999_ms(healthy), p999_ms(stalled));
    let figure = |name: &str, value: f64, baseline: &str, ratio| Figure {
        figure: name.to_owned(),
        value,
        unit: "ms",
        baseline: baseline.to_owned(),
        ratio,
        runs: ROUNDS,
    };
    figure(HEALTHY, healthy, "", None).print();
    figure(STALLED, stalled, HEALTHY, Some(stalled / healthy)).print();
    Ok(())
}

/// The period errors of one turn, in nanoseconds.
fn round(is_stalled: bool) -> Result<Vec<u64>, String> {
    let config = Config::demonstration()?;
    let period_ns = config.loops.controller.period_ns();
    let hub = DemoHub::start(|_| ())?;
    let relay = Flapping::start(hub.address(), is_stalled)?;
    let dir = SimDir::new();
    let (times, clock) = (Arc::new(Mutex::new(Vec::with_capacity(1 << 14))), Clock::start());
    let actuators = Actuators::new(config.loops.controller.outputs().len());
    let (mut drive, log) = (actuators.handle(), times.clone());
    let actuator = move |outputs: &[f64]| {
        drive(outputs);
        log.lock().unwrap_or_else(PoisonError::into_inner).push(clock.now_ns());
    };
    let to_hub = HubConfig::new(format!("mqtt://{}", relay.address), "bench", "unused");
    let spool = Spool::In(Box::new(dir.clone()));
    let app = App::start(config, to_hub, spool, actuator, actuators.handle()).map_err(|e| e.to_string())?;
    let plant = Plant::start(app.address(), actuators).map_err(|e| e.to_string())?;
    let hold = is_stalled.then(|| dir.hold(Call::Sync));
    std::thread::sleep(ROUND);
    drop((hold, plant, app, relay, hub));
    let times = times.lock().unwrap_or_else(PoisonError::into_inner);
    let periods = times.iter().zip(times.iter().skip(1));
    // The first ones belong to the start, the last one to the stop.
    let errors = periods.map(|(a, b)| b.saturating_sub(*a).abs_diff(period_ns)).skip(20);
    let mut errors: Vec<u64> = errors.collect();
    errors.pop();
    Ok(errors)
}

fn p999_ms(mut errors: Vec<u64>) -> f64 {
    errors.sort_unstable();
    let place = errors.len() * 999 / 1000;
    errors.get(place).copied().unwrap_or_default() as f64 / 1e6
}

/// A relay to the hub whose link comes and goes, or stays.
struct Flapping {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flapping {
    fn start(hub: SocketAddr, flaps: bool) -> Result<Flapping, String> {
        let socket = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = socket.local_addr().map_err(|e| e.to_string())?;
        socket.set_nonblocking(true).map_err(|e| e.to_string())?;
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut links: Vec<TcpStream> = Vec::new();
            let (clock, mut is_up) = (Clock::start(), true);
            let mut change_ns = clock.now_ns() + FLAP.as_nanos() as u64;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                if flaps && clock.now_ns() >= change_ns {
                    is_up = !is_up;
                    change_ns += FLAP.as_nanos() as u64;
                    if !is_up {
                        links.drain(..).for_each(|link| drop(link.shutdown(std::net::Shutdown::Both)));
                    }
                }
                if let Ok((client, _)) = socket.accept()
                    && is_up
                    && let Ok(ends) = connect(&client, hub)
                {
                    links.extend(ends);
                }
            }
            links.drain(..).for_each(|link| drop(link.shutdown(std::net::Shutdown::Both)));
        });
        Ok(Flapping { address, stop, thread: Some(thread) })
    }
}

/// Two threads that copy until one end closes.
fn connect(client: &TcpStream, hub: SocketAddr) -> std::io::Result<[TcpStream; 2]> {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect(hub)?;
    for (from, to) in [(client, &server), (&server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    }
    Ok([client.try_clone()?, server])
}

impl Drop for Flapping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
