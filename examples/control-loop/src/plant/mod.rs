//! Simulated plant of the demonstration, with its sensors on MQTT and its actuators in memory.

#![allow(clippy::disallowed_methods, reason = "a shell: a thread and a socket, as sensors have")]

mod process;
mod sensor;

pub use process::Process;
pub use sensor::Sensor;

use crate::Clock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Period of the sensors' samples, in nanoseconds.
const SAMPLE_NS: u64 = 20_000_000;

/// Values of the actuators, which the control thread and the watchdog write and the plant reads.
#[derive(Clone, Debug)]
pub struct Actuators(Arc<Vec<AtomicU64>>);

impl Actuators {
    /// Creates `count` actuators, all at 0.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Actuators(Arc::new((0..count).map(|_| AtomicU64::new(0)).collect()))
    }

    /// Returns a function that sets all actuators, for the control thread or the watchdog.
    pub fn handle(&self) -> impl FnMut(&[f64]) + Send + 'static {
        let cells = self.0.clone();
        move |outputs: &[f64]| {
            for (cell, value) in cells.iter().zip(outputs) {
                cell.store(value.to_bits(), Ordering::Relaxed);
            }
        }
    }

    /// Returns the value of an actuator.
    #[must_use]
    pub fn get(&self, output: usize) -> f64 {
        self.0.get(output).map_or(0.0, |cell| f64::from_bits(cell.load(Ordering::Relaxed)))
    }
}

/// Running plant; it stops when it is dropped.
#[derive(Debug)]
pub struct Plant {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Plant {
    /// Runs the simulated process, whose sensors publish to `broker`.
    ///
    /// # Errors
    /// The system provides no thread.
    pub fn start(broker: SocketAddr, actuators: Actuators) -> std::io::Result<Plant> {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("plant".to_owned()).spawn(move || {
            let (clock, mut sensor) = (Clock::start(), Sensor::new(broker, "plant"));
            let (start_ns, mut process) = (clock.now_ns(), Process::default());
            let mut next_ns = start_ns;
            while !stopped.load(Ordering::Relaxed) {
                let at_s = next_ns.saturating_sub(start_ns) as f64 / 1e9;
                let outputs = [actuators.get(0), actuators.get(1), actuators.get(2)];
                for (topic, payload) in process.sample(at_s, SAMPLE_NS as f64 / 1e9, outputs) {
                    sensor.publish(topic, &payload);
                }
                next_ns = next_ns.saturating_add(SAMPLE_NS);
                clock.sleep_until(next_ns);
            }
        })?;
        Ok(Plant { stop, thread: Some(thread) })
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
