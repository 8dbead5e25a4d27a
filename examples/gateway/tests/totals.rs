#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Totals on `/metrics` over kill -9: no counter that is kept over restarts goes back.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use support::gateway::{BINARY, Gateway, get};
use support::hub::{Answer, Hub};
use support::publisher::Publisher;
use support::wait_until;

const ROUTES: &str = "[[route]]\nmatch = \"#\"\nto = \"up/\"\n";
const KILLS: u32 = 8;

/// Highest value of each series so far, and those that were seen to go back.
#[derive(Default)]
struct Seen {
    highest: BTreeMap<String, u64>,
    back: Vec<String>,
}

impl Seen {
    fn note(&mut self, page: &str) {
        let names = ["edge_accepted_total", "edge_delivered_total", "edge_moved_total", "edge_dropped_total"];
        for line in page.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let is_kept = names.iter().any(|name| series.starts_with(name)) && !series.contains("too_large");
            if !is_kept {
                continue;
            }
            let value: u64 = value.parse().unwrap();
            let highest = self.highest.entry(series.to_owned()).or_default();
            if value < *highest {
                self.back.push(format!("{series}: {value} after {highest}"));
            }
            *highest = value.max(*highest);
        }
    }

    fn of(&self, series: &str) -> u64 {
        self.highest.get(series).copied().unwrap_or(0)
    }
}

/// Reads the page again and again, also while the gateway starts.
struct Scraper {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Scraper {
    fn start(metrics: SocketAddr) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (noted, stopped) = (seen.clone(), stop.clone());
        let task = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some((200, page)) = get(metrics, "/metrics") {
                    noted.lock().unwrap().note(&page);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { seen, stop, task }
    }

    fn of(&self, series: &str) -> u64 {
        self.seen.lock().unwrap().of(series)
    }

    fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.task.join().unwrap();
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// Publishes what the hub takes and what it refuses until it is told to stop.
fn publish(listen: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut sensor = Publisher::new(listen, "sensor", 50);
        for n in 0u32.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            sensor.publish(if n % 8 == 0 { "plant/bad" } else { "plant/good" }, &format!("{n}"));
            std::thread::sleep(Duration::from_millis(1));
        }
        sensor.settle(0, 60);
    })
}

/// Asked again as long as it says so: rows are still being parked.
fn by_hand(gateway: &Gateway, what: &[&str]) {
    wait_until("all that is parked could be read", 60, || {
        let mut command = Command::new(BINARY);
        let output =
            command.arg("parked").args(what).arg("--state").arg(gateway.dir.join("state")).output().unwrap();
        let is_asked_again = String::from_utf8_lossy(&output.stderr).ends_with(": ask again\n");
        assert!(output.status.success() || is_asked_again, "{output:?}");
        output.status.success()
    });
}

/// Under load, with messages that are delivered unwritten, parked, delivered from there, and dropped by hand.
#[test]
fn no_total_goes_back_over_kills() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let refuses = Arc::new(AtomicBool::new(true));
    let is_refused = refuses.clone();
    hub.answer(move |topic, _| {
        Answer::Ack(if topic == "up/plant/bad" && is_refused.load(Ordering::Relaxed) { 0x97 } else { 0 })
    });
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let scraper = Scraper::start(gateway.metrics);
    let stop = Arc::new(AtomicBool::new(false));
    let sensor = publish(listen, stop.clone());
    for round in 0..KILLS {
        let before = scraper.of("edge_delivered_total");
        wait_until("totals go on", 20, || scraper.of("edge_delivered_total") > before + 100);
        match round {
            2 => {
                wait_until("some are parked", 20, || scraper.of("edge_moved_total") > 0);
                by_hand(&gateway, &["drop", "--all"]);
            }
            4 => {
                refuses.store(false, Ordering::Relaxed);
                by_hand(&gateway, &["retry"]);
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(u64::from(round) * 130));
        gateway.kill_9();
        gateway.start();
    }
    stop.store(true, Ordering::Relaxed);
    sensor.join().unwrap();
    wait_until("totals catch up with what waits", 60, || {
        let Some((200, page)) = gateway.get("/metrics") else { return false };
        let sum = |name: &str| -> u64 {
            let own = page.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
            own.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
        };
        let ends = sum("edge_delivered_total") + sum("edge_dropped_total");
        let waiting = sum("edge_queue_messages") + sum("edge_parked_messages");
        // A kill in the midst of parking leaves a batch in both queues.
        waiting == 0
            && (sum("edge_accepted_total")..=sum("edge_accepted_total") + 256 * u64::from(KILLS))
                .contains(&ends)
    });
    let seen = scraper.end();
    assert_eq!(seen.back, Vec::<String>::new());
    for series in ["edge_moved_total", "edge_dropped_total{reason=\"discarded\"}"] {
        assert!(seen.of(series) > 0, "{series}: {:?}", seen.highest);
    }
}

/// While the hub keeps up nothing is written, and so nothing would be counted for good.
#[test]
fn what_is_never_written_is_counted_for_who_reads_the_totals() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 10);
    (0..20).for_each(|n| sensor.publish("plant/good", &format!("{n}")));
    sensor.settle(0, 20);
    let totals = |gateway: &Gateway| {
        ["edge_accepted_total", "edge_delivered_total"].map(|series| gateway.metric(series).unwrap_or(0.0))
    };
    wait_until("they are counted", 20, || totals(&gateway) == [20.0, 20.0]);
    gateway.kill_9();
    gateway.start();
    wait_until("they are counted after the kill", 20, || totals(&gateway) == [20.0, 20.0]);
}

/// A message of which its sender says that it is no longer wanted: no loss that anybody is to be called for.
#[test]
fn what_expires_is_counted_and_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = TcpStream::connect(listen).unwrap();
    // MQTT 5, Message Expiry Interval 0.
    sensor.write_all(b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01e").unwrap();
    let mut connack = [0];
    sensor.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20]);
    let mut seen = Seen::default();
    let mut ids = 1..=u8::MAX;
    wait_until("a message expires", 40, || {
        let id = ids.next().unwrap();
        sensor.write_all(&[0x32, 12, 0, 1, b'a', 0, id, 5, 2, 0, 0, 0, 0, b'x']).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let page = gateway.get("/metrics").unwrap().1;
        assert!(page.contains("\nedge_verdict{verdict=\"losing\"} 0\n"), "{page}");
        seen.note(&page);
        seen.of("edge_dropped_total{reason=\"expired\"}") > 0
    });
    // The verdict looks at the live figures, which are ahead of those that are exported.
    let page = gateway.get("/metrics").unwrap().1;
    assert!(page.contains("\nedge_verdict{verdict=\"losing\"} 0\n"), "{page}");
}

/// One question within the period is answered after it, although nobody asks again.
#[test]
fn promise_3_totals_that_were_asked_for_once_are_kept_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 10);
    (0..20).for_each(|n| sensor.publish("plant/good", &format!("{n}")));
    sensor.settle(0, 20);
    let totals = |gateway: &Gateway| {
        ["edge_accepted_total", "edge_delivered_total"].map(|series| gateway.metric(series).unwrap_or(0.0))
    };
    wait_until("they are counted", 20, || totals(&gateway) == [20.0, 20.0]);
    (0..10).for_each(|n| sensor.publish("plant/good", &format!("{n}")));
    sensor.settle(0, 20);
    let _ = gateway.get("/metrics");
    std::thread::sleep(Duration::from_secs(6));
    gateway.kill_9();
    gateway.start();
    wait_until("they are counted after the kill", 20, || totals(&gateway) == [30.0, 30.0]);
}
