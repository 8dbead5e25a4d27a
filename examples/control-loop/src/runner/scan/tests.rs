//! A loop that stood still together with its watchdog.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "test code")]

use super::super::ports;
use super::*;
use crate::clock::since_boot_ns;
use edge_filter::control::handoff;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The pause is longer, and no machine stands still so long by itself.
const LOOP: &str = "[control]\nperiod_ms = 10\nwatchdog_ms = 5000\n[[output]]\nname = \"valve\"\nsafe = 2.0\nvalue = 7.0\n\
     [[output]]\nname = \"belt\"\nramp = { setpoint = 1000.0, rate_per_s = 1.0 }\n";
const PAUSE: Duration = Duration::from_millis(5_200);

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

/// Loops whose actuator logs what is applied, and pauses once when it is asked to.
struct Rig {
    applied: Arc<Mutex<Vec<(f64, f64)>>>,
    pauses: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    stats: Arc<LoopStats>,
    read: Vec<Reader<OUTPUT_WORDS>>,
    thread: std::thread::JoinHandle<()>,
}

impl Rig {
    /// Starts them without a watchdog, as if it were the last thread to run again.
    fn start() -> Self {
        Self::start_by(Clock::start())
    }

    fn start_by(clock: Clock) -> Self {
        let controller = Controller::from_toml(LOOP).unwrap();
        let (outputs, read) = ports(2);
        let (_, commands) = handoff::ring(COMMANDS_MAX);
        let (events, _unread_events) = handoff::ring(8);
        let (answers, _unread_answers) = handoff::ring(8);
        let (wake, woken) = UnixStream::pair().unwrap();
        wake.set_nonblocking(true).unwrap();
        let (stop, stats) = (Arc::<AtomicBool>::default(), Arc::<LoopStats>::default());
        let scan = Scan {
            controller,
            clock,
            inputs: Vec::new(),
            outputs,
            events,
            commands,
            answers,
            wake,
            wake_every: 1,
            stop: stop.clone(),
            stats: stats.clone(),
            keep: None,
            kept: 0,
        };
        let (applied, pauses) = (Arc::<Mutex<Vec<(f64, f64)>>>::default(), Arc::<AtomicBool>::default());
        let (log, asked) = (applied.clone(), pauses.clone());
        let actuator = move |outputs: &[f64]| {
            let _reader = &woken;
            if asked.swap(false, Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
                log.lock().unwrap().clear();
            }
            log.lock().unwrap().push((outputs[0], outputs[1]));
        };
        let thread = std::thread::spawn(move || scan.run(actuator));
        let rig = Self { applied, pauses, stop, stats, read, thread };
        until("it runs", || rig.valves().last() == Some(&7.0) && rig.published() == Some(7.0));
        rig
    }

    /// Waits over a pause. What is applied from then on begins with the scan that the pause interrupted.
    fn pause(&self) {
        self.pauses.store(true, Ordering::Relaxed);
        until("the pause begins", || !self.pauses.load(Ordering::Relaxed));
        std::thread::sleep(PAUSE);
    }

    fn valves(&self) -> Vec<f64> {
        self.applied.lock().unwrap().iter().map(|(valve, _)| *valve).collect()
    }

    fn published(&self) -> Option<f64> {
        self.read[0].read().map(|[value, _]| f64::from_bits(value))
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let last = self.applied.lock().unwrap().last().map(|(valve, _)| *valve);
        let published = self.read[0].read().map(|[value, _]| f64::from_bits(value));
        assert_eq!((last, published), (Some(2.0), Some(2.0)));
    }
}

#[test]
fn promise_14_after_a_pause_longer_than_the_watchdogs_time_outputs_are_safe_until_it_has_seen_it() {
    let rig = Rig::start();
    rig.pause();
    until("it goes on", || {
        let all = rig.valves();
        all.len() > 20 && all[0] == 7.0 && all[1..20].iter().all(|value| *value == 2.0)
    });
    assert_eq!(rig.published(), Some(2.0));
    rig.stats.tripped(true);
    until("the watchdog has seen it", || rig.valves().last() == Some(&7.0) && rig.published() == Some(7.0));
    // The ramp goes on from where the pause found it.
    let (belts, safe) = (rig.applied.lock().unwrap().clone(), (2.0, 0.0));
    let first = belts[1..].iter().find(|outputs| **outputs != safe);
    assert_eq!(first, Some(&belts[0]));
    rig.stop();
}

/// The watchdog has not yet looked since the end of the pause before: what it shows is of that one.
#[test]
fn promise_14_a_trip_of_an_earlier_pause_takes_no_outputs_up_after_the_next() {
    let rig = Rig::start();
    rig.stats.tripped(true);
    rig.pause();
    until("it goes on", || rig.valves().len() > 2);
    assert_eq!(rig.valves()[..3], [7.0, 2.0, 7.0]);
    rig.stop();
}

/// No thread runs meanwhile, and the time that they sleep for does not pass.
#[test]
fn promise_14_after_a_suspend_of_the_machine_outputs_are_safe_until_the_watchdog_has_seen_it() {
    static SUSPENDED_NS: AtomicU64 = AtomicU64::new(0);
    let rig = Rig::start_by(Clock::of(|| since_boot_ns() + SUSPENDED_NS.load(Ordering::Relaxed)));
    SUSPENDED_NS.store(3_600_000_000_000, Ordering::Relaxed);
    until("it is safe", || rig.valves().last() == Some(&2.0) && rig.published() == Some(2.0));
    rig.stats.tripped(true);
    until("the watchdog has seen it", || rig.valves().last() == Some(&7.0) && rig.published() == Some(7.0));
    rig.stop();
}
