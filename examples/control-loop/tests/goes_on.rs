//! Promise 14, for the whole program: a loop's next output waits for no hub, no link, no disk, no network thread and no
//! queue. Everything is counted in scans of the loop, nothing in seconds of a clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "threads and sockets of the world around"
)]

mod support;

use control_loop::net::DemoHub;
use control_loop::plant::{Actuators, Plant, Sensor};
use control_loop::runner::LoopStats;
use control_loop::{App, Config, HubConfig, Spool};
use edge_queue::testing::{Call, Fault, FaultError, SimDir};
use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use support::Subscriber;

/// Looks for something that must happen; it takes much fewer on any machine.
const LOOKS: u32 = 12_000;

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

/// Tells a story from its beginning until neither watchdog nor hand had anything to do in it: a machine that stands still needs both, now and
/// then.
#[track_caller]
fn without_help(story: impl FnMut() -> bool) {
    assert!(std::iter::repeat_with(story).take(5).any(|in_time| in_time), "the loop needs help each time");
}

/// Lets the loop scan on. `false`: it did not.
fn scans_on(stats: &LoopStats, scans: u64, looks: u32) -> bool {
    let from = stats.scans();
    (0..looks).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        stats.scans() >= from + scans
    })
}

struct Rig {
    app: App,
    actuators: Actuators,
    _plant: Plant,
    hand: RefCell<Sensor>,
    resets: Cell<u64>,
    stats: Arc<LoopStats>,
}

impl Rig {
    fn start(hub_url: String, spool: Spool) -> Rig {
        let config = include_str!("../control.toml").replace("[\"plant\"]", "[\"plant\", \"hand\"]");
        let config = Config::parse(&config).unwrap();
        let actuators = Actuators::new(3);
        let hub = HubConfig::new(hub_url, "test", "unused");
        let app = App::start(config, hub, spool, actuators.handle(), actuators.handle()).unwrap();
        let plant = Plant::start(app.address(), actuators.clone()).unwrap();
        let stats = app.loop_stats();
        let hand = RefCell::new(Sensor::new(app.address(), "hand"));
        let rig = Rig { app, actuators, _plant: plant, hand, resets: Cell::new(0), stats };
        rig.until_it_runs();
        rig
    }

    /// The interlock was reset, and the loop drives the heater and the contactor.
    fn is_running(&self) -> bool {
        self.actuators.get(2) == 1.0 && self.actuators.get(0) > 0.0
    }

    /// Scans on, its inputs fresh, its outputs driven.
    #[track_caller]
    fn goes_on(&self, while_what: &str) {
        let received = self.stats.received();
        assert!(scans_on(&self.stats, 50, LOOKS), "while {while_what}: the loop stands still");
        assert!(self.stats.received() > received, "while {while_what}: no input comes");
        self.until_it_runs();
    }

    /// Returns how often the watchdog acted, and a hand.
    fn help(&self) -> (u64, u64) {
        (self.stats.watchdog_trips(), self.resets.get())
    }

    /// Inputs become stale when the machine stands still, and the interlock waits for a hand.
    #[track_caller]
    fn until_it_runs(&self) {
        let mut looks = 0;
        until("the heater is driven", || {
            looks += 1;
            if looks % 1_000 == 0 {
                self.hand.borrow_mut().publish("cmd/interlock/stop/reset", "");
                self.resets.set(self.resets.get() + 1);
            }
            self.is_running()
        });
    }
}

#[test]
fn promise_14_the_loop_goes_on_without_hub_and_link() {
    without_help(|| {
        let hub = DemoHub::start(|_| ()).unwrap();
        let rig = Rig::start(format!("mqtt://{}", hub.address()), Spool::In(Box::new(SimDir::new())));
        rig.goes_on("all is well");
        drop(hub);
        rig.goes_on("the hub is gone");
        rig.help() == (0, 0)
    });
    // A link that accepts and swallows everything.
    let swallow = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", swallow.local_addr().unwrap());
    without_help(|| {
        let rig = Rig::start(url.clone(), Spool::In(Box::new(SimDir::new())));
        rig.goes_on("the link is half-open");
        rig.help() == (0, 0)
    });
}

#[test]
fn promise_14_the_loop_goes_on_while_the_disk_fails_is_full_or_hangs() {
    let dir = SimDir::new();
    let rig = Rig::start("mqtt://127.0.0.1:9".to_owned(), Spool::In(Box::new(dir.clone())));
    for error in [FaultError::Io, FaultError::NoSpace, FaultError::ReadOnly] {
        without_help(|| {
            let before = rig.help();
            dir.fail(Fault { call: Call::Any, after: 0, error, sticky: true });
            rig.goes_on("the disk fails");
            dir.heal();
            rig.help() == before
        });
    }
    // The queue's thread hangs in a call, for as long as we like.
    without_help(|| {
        let before = rig.help();
        let hold = dir.hold(Call::Sync);
        until("a sync", || rig.app.net_stats().queued() > 0);
        hold.wait_until_held();
        rig.goes_on("a sync hangs");
        drop(hold);
        rig.help() == before
    });
}

#[test]
fn promise_14_with_the_network_frozen_the_loop_goes_on_and_its_outputs_become_safe() {
    without_help(with_the_network_frozen);
}

/// Returns whether neither watchdog nor hand had anything to do.
fn with_the_network_frozen() -> bool {
    let dir = SimDir::new();
    let rig = Rig::start("mqtt://127.0.0.1:9".to_owned(), Spool::In(Box::new(dir.clone())));
    // Both at once: the queue's thread in a sync, the only network thread in a call that does not return.
    let hold = dir.hold(Call::Sync);
    hold.wait_until_held();
    let (thaw, frozen) = sync_channel::<()>(0);
    let (is, began) = sync_channel(1);
    rig.app.runtime().spawn(async move {
        is.send(()).unwrap();
        let _ = frozen.recv();
    });
    began.recv().unwrap();
    // Nothing comes in any more: the inputs become stale, the outputs that depend on them safe, and the loop scans on.
    let published = rig.stats.published();
    until("safe", || {
        rig.actuators.get(0) == 0.0 && rig.actuators.get(2) == 0.0 && rig.actuators.get(1) == 1.0
    });
    assert!(scans_on(&rig.stats, 200, LOOKS), "the loop stands still");
    let is_in_time = rig.help() == (0, 0);
    assert_eq!(rig.stats.published(), published);
    drop(thaw);
    drop(hold);
    // Inputs are back; the interlock waits for a hand.
    until("local messages again", || rig.stats.published() > published);
    assert_eq!(rig.actuators.get(2), 0.0, "tripped until it is reset");
    is_in_time
}

/// The negative control: a loop that does wait is noticed by the same counting.
#[test]
fn a_loop_that_waits_is_caught() {
    let (thaw, frozen) = sync_channel::<()>(0);
    let mut first = true;
    let waits = move |_: &[f64]| {
        // An actuator that hangs as a lock would that the network holds.
        if std::mem::take(&mut first) {
            let _ = frozen.recv();
        }
    };
    let config = Config::demonstration().unwrap();
    let hub = HubConfig::new("mqtt://127.0.0.1:9", "test", "unused");
    let spool = Spool::In(Box::new(SimDir::new()));
    let app = App::start(config, hub, spool, waits, |_: &[f64]| ()).unwrap();
    assert!(!scans_on(&app.loop_stats(), 50, 200), "it was caught standing still");
    drop(thaw);
    assert!(scans_on(&app.loop_stats(), 50, LOOKS));
}

/// Listeners hear of the stop, and the program ends: with an actuator that hangs since before, or from the stop on.
#[test]
fn a_stop_is_told_while_the_control_thread_hangs() {
    for is_noticed in [true, false] {
        let hangs = Arc::<AtomicBool>::default();
        let hang = hangs.clone();
        let waits = move |_: &[f64]| {
            while hang.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        let config = Config::demonstration().unwrap();
        let app = App::start(config, None::<HubConfig>, Spool::Nowhere, waits, |_: &[f64]| ()).unwrap();
        let events = Subscriber::start(app.address(), "panel", "event/output/#");
        let stats = app.loop_stats();
        assert!(scans_on(&stats, 5, LOOKS));
        hangs.store(true, Ordering::Relaxed);
        until("the watchdog acts", || !is_noticed || stats.is_tripped());
        let stopping = std::thread::spawn(move || drop(app));
        until("it ends", || stopping.is_finished());
        for output in ["tank/heater", "store104/fridge/compressor", "line/contactor"] {
            let last = || events.last(&format!("event/output/{output}")).unwrap_or_default();
            until(output, || last().contains("\"cause\":\"stopped\""));
        }
        hangs.store(false, Ordering::Relaxed);
    }
}
