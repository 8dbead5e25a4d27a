//! A loop that stood still together with its watchdog.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "test code")]

use super::super::ports;
use super::*;
use edge_filter::control::handoff;
use std::sync::Mutex;
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

/// Without a watchdog, as if it were the last thread to run again.
#[test]
fn promise_14_after_a_pause_longer_than_the_watchdogs_time_outputs_are_safe_until_it_has_seen_it() {
    let controller = Controller::from_toml(LOOP).unwrap();
    let (outputs, read) = ports(2);
    let (_, commands) = handoff::ring(COMMANDS_MAX);
    let (events, _unread_events) = handoff::ring(8);
    let (answers, _unread_answers) = handoff::ring(8);
    let (wake, _woken) = UnixStream::pair().unwrap();
    wake.set_nonblocking(true).unwrap();
    let (stop, stats) = (Arc::<AtomicBool>::default(), Arc::<LoopStats>::default());
    let clock = Clock::start();
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
        if asked.swap(false, Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
            log.lock().unwrap().clear();
        }
        log.lock().unwrap().push((outputs[0], outputs[1]));
    };
    let thread = std::thread::spawn(move || scan.run(actuator));
    let all = || applied.lock().unwrap().iter().map(|(valve, _)| *valve).collect::<Vec<_>>();
    let published = || read[0].read().map(|[value, _]| f64::from_bits(value));
    until("it runs", || all().last() == Some(&7.0) && published() == Some(7.0));
    pauses.store(true, Ordering::Relaxed);
    until("the pause begins", || !pauses.load(Ordering::Relaxed));
    std::thread::sleep(PAUSE);
    // The first is of the scan that the pause interrupted.
    until("it goes on", || {
        all().len() > 20 && all()[0] == 7.0 && all()[1..20].iter().all(|value| *value == 2.0)
    });
    assert_eq!(published(), Some(2.0));
    stats.tripped(true);
    until("the watchdog has seen it", || all().last() == Some(&7.0) && published() == Some(7.0));
    // The ramp goes on from where the pause found it.
    let (belts, safe) = (applied.lock().unwrap().clone(), (2.0, 0.0));
    let first = belts[1..].iter().find(|outputs| **outputs != safe);
    assert_eq!(first, Some(&belts[0]));
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    assert_eq!((all().last(), published()), (Some(&2.0), Some(2.0)));
}
