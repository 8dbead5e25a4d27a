//! Punctuality of a control loop: healthy, and beside a disk that hangs and a link that flaps.
//!
//! Both in one run, in turns, since a shared machine drifts. With `chrt -f 50` before the command, where that is allowed, the
//! figures are those of a loop that the system prefers.

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
const HEALTHY_MEDIAN: &str = "control.jitter.healthy.p999.median_turn";
const STALLED_MEDIAN: &str = "control.jitter.stalled.p999.median_turn";
const ALLOWED: &str = "control.jitter.allowed";
/// Turns of each kind, and how long one is: some 7 000 periods of each.
const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_secs(12);
/// The link is up and down for so long.
const FLAP: Duration = Duration::from_millis(700);

pub(crate) fn list() -> Vec<String> {
    [HEALTHY, ALLOWED, STALLED, HEALTHY_MEDIAN, STALLED_MEDIAN].map(str::to_owned).to_vec()
}

/// All periods of a kind together, and the median of the turns, which one bad moment of the machine does not move. What the
/// stalled loop may have is 1.2 × healthy + 0.5 ms: its ratio is to that.
pub(crate) fn run() -> Result<(), String> {
    let (mut healthy, mut stalled) = (Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        // First one kind, then the other: a drift of the machine is nobody's.
        for is_stalled in [number % 2 == 1, number % 2 == 0] {
            let turns = if is_stalled { &mut stalled } else { &mut healthy };
            turns.push(round(is_stalled)?);
        }
    }
    let figure = |name: &str, value: f64, baseline: &str, ratio| Figure {
        figure: name.to_owned(),
        value,
        unit: "ms",
        baseline: baseline.to_owned(),
        ratio,
        runs: ROUNDS,
    };
    let (one, other) = (p999_ms(healthy.concat()), p999_ms(stalled.concat()));
    let allowed = 1.2 * one + 0.5;
    figure(HEALTHY, one, "", None).print();
    figure(ALLOWED, allowed, HEALTHY, Some(allowed / one)).print();
    figure(STALLED, other, ALLOWED, Some(other / allowed)).print();
    let (one, other) = (median_turn(healthy), median_turn(stalled));
    figure(HEALTHY_MEDIAN, one, "", None).print();
    figure(STALLED_MEDIAN, other, HEALTHY_MEDIAN, Some(other / one)).print();
    Ok(())
}

fn median_turn(turns: Vec<Vec<u64>>) -> f64 {
    let mut each: Vec<f64> = turns.into_iter().map(p999_ms).collect();
    each.sort_unstable_by(f64::total_cmp);
    each.get(each.len() / 2).copied().unwrap_or_default()
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
