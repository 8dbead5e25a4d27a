//! Promise 14 in the gateway's own parts: the queue's thread in a sync that does not return, its runtime in a call that does not.
#![allow(clippy::disallowed_methods, reason = "threads and sockets of the world around")]

use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;

use control_loop::plant::Sensor;
use edge_bridge::wire::{Publish, Utf8};
use edge_queue::testing::{Call, SimDir};
use edge_queue::{Queue, SystemClock, aio};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::config::Addresses;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::sensors::local_side::{Doors, listen, pause_max};
use crate::run::status::snapshot::CurrentFacts;
use crate::run::status::snapshot::test_snapshots::facts;

use super::*;

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

/// The watchdog is patient: a machine that is busy with other tests is no loop that stands still.
const LOOPS: &str = r#"
[control]
watchdog_ms = 30000
[[input]]
name = "temp"
stale_after_ms = 300
[[output]]
name = "heater"
switch = { input = "temp", on_at = 60.0, off_at = 70.0 }
"#;

struct Rig {
    loops: Arc<LoopStats>,
    address: SocketAddr,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Rig {
    /// Listener, loops, routes and a queue on this medium, on a runtime of one thread as the gateway's.
    fn start(state: &Path, dir: SimDir) -> Self {
        std::fs::write(state.join("control.toml"), LOOPS).unwrap();
        let text = "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:0\"\n[hub]\nurl=\"mqtt://127.0.0.1:9\"\n\
                    [[route]]\nmatch=\"#\"\n[control]\nrules=\"control.toml\"\npublish_every=\"20ms\"\n";
        let (config, _) = crate::config::Config::parse(&state.join("g.toml"), text, &|_| None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (handle, state) = (runtime.handle().clone(), state.to_owned());
        let ((ready, started), (stop, stopped)) = (sync_channel(1), oneshot::channel());
        let serve = async move {
            let clock = edge_bridge::net::Clock::start();
            let limits = edge_queue::Config::default().max_bytes(4 << 20);
            let queue = Queue::open_in(Box::new(dir), limits, Arc::new(SystemClock::new())).unwrap();
            let queue = aio::Queue::of(queue).unwrap();
            let _hub = queue.consumer("hub").await.unwrap();
            let ingest = GatewayIngest::new(&config.routes, DuplicateMarks::new(clock.now(), true)).unwrap();
            let intake = Intake::start(&queue, 2);
            let mut control =
                Control::start(config.control.as_ref().unwrap(), &state, &ingest).await.unwrap();
            let address = "127.0.0.1:0".parse().unwrap();
            let addresses =
                Addresses { plain: vec![address], tls: None, ws: Default::default(), proxies: Vec::new() };
            let doors = Doors { addresses, tls: None };
            let mut limits = edge_bridge::listener::Config::default();
            limits.own_topics = crate::config::own_topics_here(&config);
            let place = (doors, limits, Default::default(), None);
            let told = (Some(&mut control), CurrentFacts::new(facts()));
            let server = listen(place, clock, &ingest, &intake, told).await.unwrap();
            ready.send((control.figures(), server.local_addr())).unwrap();
            let _ = stopped.await;
            control.stop().await;
        };
        let thread = std::thread::spawn(move || runtime.block_on(serve));
        let (Figures { loops, .. }, address) = started.recv().unwrap();
        Self { loops, address, runtime: handle, stop: Some(stop), thread: Some(thread) }
    }

    fn scans_on(&self, scans: u64) {
        let from = self.loops.scans();
        until("scans", || self.loops.scans() >= from + scans);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn promise_14_with_the_queue_and_the_runtime_frozen_the_loops_scan_on() {
    let (state, dir) = (tempfile::tempdir().unwrap(), SimDir::new());
    let rig = Rig::start(state.path(), dir.clone());
    let mut sensor = Sensor::new(rig.address, "sensor");
    // The disk hangs: inputs come in, loops scan, outputs go out, until the queue has no room and beyond.
    let hold = dir.hold(Call::Sync);
    hold.wait_until_held();
    let (received, published) = (rig.loops.received(), rig.loops.published());
    until("inputs and outputs beside a disk that hangs", || {
        sensor.publish("temp", "50");
        rig.loops.received() >= received + 50 && rig.loops.published() >= published + 50
    });
    rig.scans_on(100);

    // The runtime too: nobody listens, nobody publishes.
    let (thaw, frozen) = sync_channel::<()>(0);
    let (is, began) = sync_channel(1);
    rig.runtime.spawn(async move {
        is.send(()).unwrap();
        let _ = frozen.recv();
    });
    began.recv().unwrap();
    let published = rig.loops.published();
    rig.scans_on(200);
    assert_eq!((rig.loops.published(), rig.loops.watchdog_trips()), (published, 0));
    drop(thaw);
    until("it publishes again", || rig.loops.published() > published);
    drop(hold);
}

/// As a sensor's message that its route cannot use.
#[tokio::test(flavor = "current_thread")]
async fn what_a_route_cannot_use_goes_to_the_hub_as_a_dead_letter() {
    let text = "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:0\"\n[hub]\nurl=\"mqtt://127.0.0.1:9\"\n\
                [[route]]\nmatch=\"event/#\"\nto=\"up\"\nformat=\"json\"\n";
    let (config, _) = crate::config::Config::parse(Path::new("g.toml"), text, &|_| None).unwrap();
    let clock = edge_bridge::net::Clock::start();
    let ingest = GatewayIngest::new(&config.routes, DuplicateMarks::new(clock.now(), true)).unwrap();
    let limits = edge_queue::Config::default().max_bytes(4 << 20);
    let queue = Queue::open_in(Box::new(SimDir::new()), limits, Arc::new(SystemClock::new())).unwrap();
    let queue = aio::Queue::of(queue).unwrap();
    let mut hub = queue.consumer("hub").await.unwrap();
    let intake = Intake::start(&queue, 2);
    let mut to_hub = ToHub { ingest, intake, clock, unqueued: Arc::default() };
    to_hub.offer(&Publish {
        dup: false,
        qos: edge_bridge::wire::QoS::AtMostOnce,
        retain: false,
        topic: Utf8::from_static("event/heater"),
        packet_id: None,
        properties: Default::default(),
        payload: bytes::Bytes::from_static(b"tripped"),
    });
    let lease = hub.lease(1).await.unwrap();
    let row = lease.iter().next().unwrap();
    let row = edge_bridge::Row::from_meta(row.meta(), row.payload().clone()).unwrap();
    assert_eq!((row.topic.as_str(), row.payload.as_ref()), ("event/heater", &b"tripped"[..]));
    assert!(row.dead_letter.is_some());
}

#[test]
fn promise_14_a_pause_of_the_sensors_is_much_shorter_than_the_watchdogs_time() {
    let pause = |watchdog_ms: u64| pause_max(Some(Duration::from_millis(watchdog_ms)));
    assert_eq!(pause(400), Duration::from_millis(100));
    assert_eq!([pause(30_000), pause_max(None)], [Duration::from_secs(1); 2]);
}
