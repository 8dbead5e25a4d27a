//! Promise 14, on real threads: outputs are safe one scan after their input went bad, and while the loop does not scan.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "threads of the world around")]

use control_loop::Clock;
use control_loop::restart_memory::{FILE, Keeper};
use control_loop::runner::{Ports, Runner};
use edge_filter::Quality;
use edge_filter::control::{ControlCommand, Controller, InputSpec, Law, OutputSpec};
use edge_filter::interlock::{Condition, Interlock, Test};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOOKS: u32 = 12_000;

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("never: {what}");
}

/// One value that an interlock holds; stale only after a minute, so that what is seen is the bad value.
fn controller(stale_after_ms: u32) -> Controller {
    Controller::from_toml(&format!(
        "[control]\nwatchdog_ms = 200\n[[input]]\nname = \"estop\"\nstale_after_ms = {stale_after_ms}\n\
         [[output]]\nname = \"contactor\"\nvalue = 1.0\n\
         [[interlock]]\nname = \"stop\"\noutputs = [\"contactor\"]\nreset = \"auto\"\n\
         trip_when = {{ input = \"estop\", is = false }}\n"
    ))
    .unwrap()
}

/// Every scan's output.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<f64>>>);

impl Log {
    fn actuator(&self) -> impl FnMut(&[f64]) + Send + 'static {
        let log = self.0.clone();
        move |outputs: &[f64]| log.lock().unwrap().push(outputs[0])
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn from(&self, at: usize) -> Vec<f64> {
        self.0.lock().unwrap()[at..].to_vec()
    }

    fn last(&self) -> Option<f64> {
        self.0.lock().unwrap().last().copied()
    }
}

fn start(log: &Log, stale_after_ms: u32, clock: Clock) -> (Runner, Ports) {
    Runner::start(controller(stale_after_ms), clock, log.actuator(), |_: &[f64]| (), 1, None).unwrap()
}

#[test]
fn promise_14_an_output_is_safe_at_the_next_scan_after_its_input_went_bad() {
    let (log, clock) = (Log::default(), Clock::start());
    let (_runner, mut ports) = start(&log, 60_000, clock);
    let input = &mut ports.inputs[0];
    for (value, quality) in [(0.0, Quality::GOOD), (f64::NAN, Quality::GOOD), (1.0, Quality::BAD)] {
        for _ in 0..20 {
            input.set(1.0, Quality::GOOD, clock.now_ns());
            until("energised", || log.last() == Some(1.0));
            input.set(value, quality, clock.now_ns());
            // The scan that is under way may have read its inputs; the one after it has not.
            let after = log.len() + 1;
            until("two scans", || log.len() > after + 2);
            assert_eq!(log.from(after)[..3], [0.0; 3], "{value} {quality}");
        }
    }
}

#[test]
fn promise_14_an_input_that_stops_is_stale_and_its_output_safe() {
    let (log, clock) = (Log::default(), Clock::start());
    let (_runner, mut ports) = start(&log, 100, clock);
    until("energised", || {
        ports.inputs[0].set(1.0, Quality::GOOD, clock.now_ns());
        log.last() == Some(1.0)
    });
    until("safe", || log.last() == Some(0.0));
}

#[test]
fn promise_14_the_watchdog_holds_the_outputs_while_the_loop_does_not_scan() {
    let (log, guarded, clock) = (Log::default(), Log::default(), Clock::start());
    let hangs = Arc::<AtomicBool>::default();
    let (hang, mut write) = (hangs.clone(), log.actuator());
    let actuator = move |outputs: &[f64]| {
        while hang.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        write(outputs);
    };
    let started = Runner::start(controller(60_000), clock, actuator, guarded.actuator(), 1, None);
    let (runner, mut ports) = started.unwrap();
    ports.inputs[0].set(1.0, Quality::GOOD, clock.now_ns());
    until("energised", || log.last() == Some(1.0));
    let stats = runner.stats();
    let before = guarded.len();
    hangs.store(true, Ordering::Relaxed);
    until("the watchdog acts", || stats.is_tripped() && guarded.len() > before + 3);
    assert!(guarded.from(before).iter().all(|output| *output == 0.0), "the safe state, again and again");
    hangs.store(false, Ordering::Relaxed);
    until("the loop has its outputs back", || !stats.is_tripped());
    let after = log.len();
    until("it drives them", || log.len() > after && log.last() == Some(1.0));
    assert!(stats.watchdog_trips() >= 1);
}

/// Actuators whose driver hangs in its first call: what they did before the start is not known, so they are driven to their safe states.
#[test]
fn promise_14_the_watchdog_holds_the_outputs_of_a_loop_that_never_scanned() {
    let (guarded, clock) = (Log::default(), Clock::start());
    let hangs = Arc::new(AtomicBool::new(true));
    let hang = hangs.clone();
    let actuator = move |_: &[f64]| {
        while hang.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let started = Runner::start(controller(60_000), clock, actuator, guarded.actuator(), 1, None);
    let (runner, _ports) = started.unwrap();
    let stats = runner.stats();
    until("the watchdog acts", || stats.is_tripped() && guarded.len() > 3);
    assert!(guarded.from(0).iter().all(|output| *output == 0.0));
    assert_eq!(stats.scans(), 0);
    hangs.store(false, Ordering::Relaxed);
    until("the loop has its outputs", || !stats.is_tripped() && stats.scans() > 0);
}

/// A hung actuator, then 3 commands more than a scan takes: all of them are refused, and the next is obeyed.
#[test]
fn promise_14_no_command_is_obeyed_that_waited_while_the_loop_stood_still() {
    let clock = Clock::start();
    let hangs = Arc::new(AtomicBool::new(false));
    let is_hanging = Arc::new(AtomicBool::new(false));
    let (hang, hanging) = (hangs.clone(), is_hanging.clone());
    let actuator = move |_: &[f64]| {
        while hang.load(Ordering::SeqCst) {
            hanging.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let (_runner, mut ports) =
        Runner::start(controller(60_000), clock, actuator, |_: &[f64]| (), 1, None).unwrap();
    let reset = ControlCommand::Reset { interlock: 0 };
    let answer = |ports: &mut Ports, number| {
        let mut found = None;
        until("an answer", || {
            found = ports.answers.take();
            found.is_some()
        });
        let (of, why) = found.unwrap();
        assert_eq!(of, number);
        why.map_or("obeyed".to_owned(), |why| why.into_owned())
    };
    assert!(ports.commands.send(1, reset, u64::MAX));
    let other = answer(&mut ports, 1);
    assert!(!other.contains("stood still"), "{other}");
    hangs.store(true, Ordering::SeqCst);
    until("it hangs", || is_hanging.load(Ordering::SeqCst));
    (2..13).for_each(|number| assert!(ports.commands.send(number, reset, u64::MAX)));
    std::thread::sleep(Duration::from_millis(1_300));
    hangs.store(false, Ordering::SeqCst);
    for number in 2..13 {
        let why = answer(&mut ports, number);
        assert!(why.contains("stood still"), "{number}: {why}");
    }
    assert!(ports.commands.send(13, reset, u64::MAX));
    assert_eq!(answer(&mut ports, 13), other);
    // The loop runs, and the command is late all the same.
    assert!(ports.commands.send(14, reset, clock.now_ns() - 1));
    assert!(answer(&mut ports, 14).contains("stood still"));
}

/// Both park for a whole period, which may be longer than anybody waits for a stop.
#[test]
fn promise_14_a_stop_waits_for_no_next_scan_and_keeps_the_last_state() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let rules = "[control]\nperiod_ms = 60000\n[[output]]\nname = \"valve\"\nsafe = 2.0\nvalue = 7.0\n";
    let (log, clock) = (Log::default(), Clock::start());
    let mut controller = Controller::from_toml(rules).unwrap();
    let (keeper, mailbox, _) = Keeper::start(file.clone(), &mut controller, clock, |_| ()).unwrap();
    let (runner, _ports) =
        Runner::start(controller, clock, log.actuator(), |_: &[f64]| (), 1, Some(mailbox)).unwrap();
    let stats = runner.stats();
    drop(runner);
    drop(keeper);
    // One scan is before the threads, and writes to no actuator.
    assert_eq!((stats.scans(), stats.watchdog_trips(), log.from(0)), (0, 0, vec![2.0]));
    // The keeper waits for the disk for a second at most.
    until("the last state is on the disk", || file.exists());
}

#[test]
fn a_stop_leaves_the_outputs_safe() {
    let (log, clock) = (Log::default(), Clock::start());
    let (runner, mut ports) = start(&log, 60_000, clock);
    ports.inputs[0].set(1.0, Quality::GOOD, clock.now_ns());
    until("energised", || log.last() == Some(1.0));
    drop(runner);
    assert_eq!(log.last(), Some(0.0));
}

/// An actuator that hangs at the very stop: the watchdog stays until it has made the outputs safe.
#[test]
fn a_stop_while_the_actuator_hangs_leaves_the_outputs_safe() {
    let (guarded, clock) = (Log::default(), Clock::start());
    let hangs = Arc::<AtomicBool>::default();
    let is_hanging = Arc::<AtomicBool>::default();
    let (hang, hanging) = (hangs.clone(), is_hanging.clone());
    let actuator = move |_: &[f64]| {
        while hang.load(Ordering::SeqCst) {
            hanging.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let (runner, _ports) =
        Runner::start(controller(60_000), clock, actuator, guarded.actuator(), 1, None).unwrap();
    let stats = runner.stats();
    until("it scans", || stats.scans() > 0);
    hangs.store(true, Ordering::SeqCst);
    until("it hangs", || is_hanging.load(Ordering::SeqCst));
    drop(runner);
    assert_eq!(guarded.last(), Some(0.0));
    hangs.store(false, Ordering::SeqCst);
}

/// The network's side that never reads: events and wake-ups are lost and counted, the loop goes on.
#[test]
fn nobody_has_to_listen() {
    let (log, clock) = (Log::default(), Clock::start());
    let (runner, mut ports) = start(&log, 60_000, clock);
    let stats = runner.stats();
    let mut closed = 1.0;
    until("more events than there is room for", || {
        let at = log.len();
        closed = 1.0 - closed;
        ports.inputs[0].set(closed, Quality::GOOD, clock.now_ns());
        until("a scan", || log.len() > at + 1);
        stats.events_lost() > 0 || log.len() > 200
    });
    let scans = stats.scans();
    until("it goes on", || stats.scans() > scans + 20);
}

/// A value that comes between a scan's wake-up and its inputs is later than the wake-up, and none of the future, which would trip. A controller with
/// so many inputs that reading them takes a while makes it frequent.
#[test]
fn promise_14_a_value_that_comes_while_a_scan_reads_its_inputs_trips_nothing() {
    let mut builder = Controller::builder().period_ms(20).unwrap();
    for number in 0..60_000 {
        builder.input(InputSpec::new(number.to_string(), 3_600_000).unwrap()).unwrap();
    }
    let estop = builder.input(InputSpec::new("estop", 3_600_000).unwrap()).unwrap();
    let contactor = builder.output(OutputSpec::new("contactor", Law::Fixed(1.0))).unwrap();
    let stop = Interlock::new(Condition::Input { input: estop, test: Test::IsFalse }).unwrap();
    builder.interlock("stop", stop, vec![contactor]).unwrap();
    let (log, clock) = (Log::default(), Clock::start());
    let (runner, mut ports) =
        Runner::start(builder.build(), clock, log.actuator(), |_: &[f64]| (), 1, None).unwrap();
    let mut input = ports.inputs.pop().unwrap();
    input.set(1.0, Quality::GOOD, clock.now_ns());
    let is_over = Arc::<AtomicBool>::default();
    let ends = is_over.clone();
    let sensor = std::thread::spawn(move || {
        while !ends.load(Ordering::Relaxed) {
            input.set(1.0, Quality::GOOD, clock.now_ns());
            std::thread::sleep(Duration::from_micros(50));
        }
    });
    // Before the first value was read it is refused.
    until("reset", || {
        ports.commands.send(1, ControlCommand::Reset { interlock: 0 }, u64::MAX);
        log.last() == Some(1.0)
    });
    let from = log.len();
    until("forty scans", || log.len() >= from + 40);
    is_over.store(true, Ordering::Relaxed);
    sensor.join().unwrap();
    let seen = log.from(from);
    drop(runner);
    assert_eq!(seen.iter().position(|value| *value != 1.0), None, "of {} scans", seen.len());
}
