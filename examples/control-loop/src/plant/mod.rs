//! A plant that is simulated, with its sensors on MQTT and its actuators in memory: what the demonstration controls.

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

/// Between two samples of all sensors.
const SAMPLE_NS: u64 = 20_000_000;

/// Outputs as the actuators have them; the control thread and the watchdog write, the plant reads.
#[derive(Clone, Debug)]
pub struct Actuators(Arc<Vec<AtomicU64>>);

impl Actuators {
    /// So many, all at 0.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Actuators(Arc::new((0..count).map(|_| AtomicU64::new(0)).collect()))
    }

    /// A handle that the control thread or the watchdog may own.
    pub fn handle(&self) -> impl FnMut(&[f64]) + Send + 'static {
        let cells = self.0.clone();
        move |outputs: &[f64]| {
            for (cell, value) in cells.iter().zip(outputs) {
                cell.store(value.to_bits(), Ordering::Relaxed);
            }
        }
    }

    /// Returns where an actuator is.
    #[must_use]
    pub fn get(&self, output: usize) -> f64 {
        self.0.get(output).map_or(0.0, |cell| f64::from_bits(cell.load(Ordering::Relaxed)))
    }
}

/// The running plant; it stops when it is dropped.
#[derive(Debug)]
pub struct Plant {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Plant {
    /// Runs the demonstration's process, its sensors publishing to `broker`.
    ///
    /// # Errors
    /// If the system gives no thread.
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
