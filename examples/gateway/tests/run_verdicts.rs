#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Verdicts in fifteen staged situations, with real Mosquitto as the hub where a hub takes messages: each is true, and no figure of the status page
//! is another one than that of `/metrics`.

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::gateway::Gateway;
use support::hub::{Answer, Hub};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const ROUTE: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";
/// Needs of the machine, and those that a state directory that is away brings along, sooner or later.
const BESIDE: [&str; 3] = ["clock", "clients_unsaved", "configuration_unkept"];
/// Figures that go on by themselves; they are compared within what one look lasts.
const MOVING: [&str; 4] = [
    "edge_link_up_seconds_total",
    "edge_link_down_seconds_total",
    "edge_oldest_age_seconds",
    "edge_queue_room_seconds",
];

/// Series of `/metrics`, by name and labels.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn get(gateway: &Gateway) -> Self {
        let page = gateway.get("/metrics").unwrap().1;
        let series = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(page.lines().filter(|line| !line.starts_with('#')).filter_map(series).collect())
    }

    #[track_caller]
    fn of(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:?}", self.0))
    }

    /// Returns the sum over the labels that `is_wanted` takes.
    fn sum(&self, name: &str, is_wanted: impl Fn(&str) -> bool) -> f64 {
        let own = self.0.iter().filter(|(series, _)| series.starts_with(&format!("{name}{{")));
        own.filter(|(series, _)| is_wanted(label(series))).map(|(_, value)| value).sum()
    }

    /// Returns the label of the only series of this name that is 1.
    fn word(&self, name: &str) -> &str {
        let mut own = self
            .0
            .iter()
            .filter(|(series, value)| series.starts_with(&format!("{name}{{")) && **value == 1.0);
        let word = label(own.next().unwrap_or_else(|| panic!("no {name}")).0);
        assert_eq!(own.next(), None);
        word
    }

    fn steady(&self) -> Vec<(&String, &f64)> {
        self.0.iter().filter(|(series, _)| !MOVING.contains(&series.as_str())).collect()
    }
}

fn label(series: &str) -> &str {
    series.split('"').nth(1).unwrap()
}

/// Page as a browser without JavaScript has it.
struct Page(String);

impl Page {
    #[track_caller]
    fn cell(&self, id: &str) -> &str {
        let (_, behind) = self.0.split_once(&format!(" id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
        behind.split_once('>').unwrap().1.split_once('<').unwrap().0
    }

    #[track_caller]
    fn count(&self, id: &str) -> f64 {
        let digits = self.cell(id).split(" of ").next().unwrap().replace('\u{202f}', "");
        digits.parse().unwrap_or_else(|_| panic!("{id}: {digits}"))
    }

    /// Holds a size against a figure, with one digit behind the point.
    #[track_caller]
    fn has_size(&self, id: &str, bytes: f64) {
        let text = self.cell(id).split(" of ").next().unwrap();
        let (number, unit) = text.split_once(' ').unwrap();
        let unit =
            1_024f64.powi(["B", "KiB", "MiB", "GiB"].iter().position(|known| *known == unit).unwrap() as i32);
        let shown = number.parse::<f64>().unwrap() * unit;
        assert!((shown - bytes).abs() <= unit * 0.051, "{id}: {text} is not {bytes}");
    }
}

/// Holds a duration, which is rounded down, against a figure before and after it.
#[track_caller]
fn has_duration(text: &str, before: f64, after: f64) {
    let words: Vec<&str> = text.split(' ').collect();
    let (mut shown, mut unit) = (0.0, 0.0);
    for part in words.chunks(2) {
        let unit_at = ["s", "min", "h", "d"].iter().position(|known| *known == part[1]).unwrap();
        unit = [1.0, 60.0, 3_600.0, 86_400.0][unit_at];
        shown += part[0].parse::<f64>().unwrap() * unit;
    }
    let (least, most) = (before.min(after), before.max(after));
    assert!(shown <= most && shown + unit >= least, "{text}: from {before} to {after}");
}

/// Compares the page with `/metrics` before and after it, between which nothing changed. `status` only names lanes, reasons and causes.
#[track_caller]
fn hold_together(page: &Page, status: &Value, before: &Metrics, after: &Metrics) {
    let heading = match before.word("edge_verdict") {
        "delivering" => "Delivering",
        "storing" => "Storing",
        "catching-up" => "Catching up",
        "losing" => "Losing messages",
        _ => "Degraded",
    };
    assert_eq!(page.cell("verdict"), heading);
    let link = before.word("edge_link_state");
    let side = if matches!(link, "flowing" | "idle" | "draining") { "Up" } else { "Down" };
    assert_eq!(page.cell("link"), side);
    assert!(page.cell("link_of").starts_with(&format!("{link}, {} for ", side.to_lowercase())), "{link}");
    assert_eq!(page.cell("up").ends_with("clock synchronised"), before.of("edge_clock_synced") == 1.0);
    let is_lost = |reason: &str| !matches!(reason, "expired" | "discarded");
    let dropped = before.sum("edge_dropped_total", is_lost);
    if before.of("edge_queue_open") == 0.0 {
        assert_eq!((page.count("lost"), page.count("waiting")), (dropped, 0.0));
        return;
    }
    assert_eq!(page.count("lost"), dropped + before.of("edge_queue_gone_messages_total"));
    hold_queue_together(page, status, before);
    let pair = |series: &str| (before.of(series), after.of(series));
    match pair("edge_queue_room_seconds") {
        (first, _) if first.is_nan() => assert_eq!(page.cell("room"), "Not known"),
        (0.0, _) if status["room"]["limit"] != "max_age" => assert_eq!(page.cell("room"), "None"),
        (first, second) => has_duration(page.cell("room"), first, second),
    }
    match page.cell("oldest").strip_prefix("the oldest for ") {
        None => assert_eq!(before.of("edge_queue_messages"), 0.0),
        Some(age) => {
            let (first, second) = pair("edge_oldest_age_seconds");
            has_duration(age, first, second);
        }
    }
    let starts = |cause: &str| before.of(&format!("edge_restarts_total{{cause=\"{cause}\"}}"));
    let unclean = starts("unclean") + starts("power_loss");
    let all = starts("clean") + starts("upgrade") + unclean;
    let told = [format!("({all} restart"), format!(", {unclean} of them unclean)")];
    assert!(told.iter().all(|part| page.0.contains(part)), "{told:?}: {}", page.0);
}

/// Compares ledger, lanes and bytes.
#[track_caller]
fn hold_queue_together(page: &Page, status: &Value, before: &Metrics) {
    for (id, series) in [
        ("waiting", "edge_queue_messages"),
        ("accepted", "edge_accepted_total"),
        ("delivered", "edge_delivered_total"),
        ("parked", "edge_parked_messages"),
    ] {
        assert_eq!(page.count(id), before.of(series), "{id}");
    }
    assert_eq!(page.count("not_queued"), before.sum("edge_waiting_messages", |_| true));
    let queue = &status["queue"];
    for (at, lane) in queue["lanes"].as_array().unwrap().iter().enumerate() {
        let of = |name: &str| before.of(&format!("edge_{name}{{lane={}}}", lane["name"]));
        assert_eq!(page.count(&format!("lane{at}_messages")), of("lane_messages"));
        page.has_size(&format!("lane{at}_bytes"), of("lane_bytes"));
        let most = of("lane_limit_messages");
        let is_shown = page.cell(&format!("lane{at}_messages")).ends_with(&format!(" of {most}"));
        assert_eq!(is_shown, most.is_finite());
    }
    for (at, (reason, count)) in status["ledger"]["dropped"].as_object().unwrap().iter().enumerate() {
        // What is 0 has no cell.
        let shown = if count == 0 { 0.0 } else { page.count(&format!("dropped{at}")) };
        assert_eq!(shown, before.of(&format!("edge_dropped_total{{reason=\"{reason}\"}}")));
    }
    for (at, cause) in status["bytes"]["wan"].as_object().unwrap().keys().enumerate() {
        page.has_size(&format!("wan{at}"), before.of(&format!("edge_wan_bytes_total{{cause=\"{cause}\"}}")));
    }
    page.has_size("store_bytes", before.of("edge_store_bytes_written_total"));
    page.has_size("queue_bytes", before.of("edge_queue_bytes"));
}

/// Waits for the verdict, and until page and metrics could be looked at without a change between. Returns the status of that moment.
#[track_caller]
fn says(gateway: &Gateway, verdict: &str, needs: &[&str]) -> Value {
    // A write that failed is tried again after a minute.
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let before = Metrics::get(gateway);
        let status: Value = serde_json::from_str(&gateway.get("/status.json").unwrap().1).unwrap();
        let page = Page(gateway.get("/").unwrap().1);
        let after = Metrics::get(gateway);
        let told = status["needs"].as_array().unwrap().iter().map(|need| need["id"].as_str().unwrap());
        let told: Vec<&str> = told.filter(|id| !BESIDE.contains(id)).collect();
        let is_wanted =
            before.word("edge_verdict") == verdict && status["verdict"] == verdict && told == needs;
        if is_wanted && before.steady() == after.steady() {
            hold_together(&page, &status, &before, &after);
            return status;
        }
        assert!(Instant::now() < until, "no moment of {verdict} and {needs:?}: {status} {:?}", after.0);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn publish(listen: SocketAddr, messages: u32, bytes: usize) {
    let mut sensor = Publisher::new(listen, "sensor", 20);
    (0..messages).for_each(|n| sensor.publish(&format!("plant/{n}"), &"x".repeat(bytes)));
    sensor.settle(0, 60);
}

#[track_caller]
fn sentence_has(status: &Value, part: &str) {
    assert!(status["sentence"].as_str().unwrap().contains(part), "{part}: {status}");
}

/// Normal operation, an outage, a kill in it, and the drain.
#[test]
fn an_outage_with_a_kill_and_its_drain() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 100000");
    let _reader = Subscriber::of_topics(hub.address, "up/#");
    let relay = Relay::start(hub.address);
    let (mut gateway, listen) = Gateway::started(dir.path(), relay.address, ROUTE);
    publish(listen, 40, 100);
    wait_until("it is at the hub", 30, || gateway.metric("edge_delivered_total") == Some(40.0));
    sentence_has(&says(&gateway, "delivering", &[]), "Nothing has been lost.");

    relay.cut();
    publish(listen, 200, 1_000);
    let outage = says(&gateway, "storing", &[]);
    sentence_has(&outage, "Messages are kept here. Nothing has been lost.");
    assert_eq!(outage["queue"]["messages"], 200);

    gateway.kill_9();
    gateway.start();
    let killed = says(&gateway, "storing", &[]);
    assert_eq!((&killed["queue"]["messages"], &killed["restarts"]["unclean"]), (&200.into(), &1.into()));
    sentence_has(&killed, "Nothing has been lost.");

    relay.limit(4_000);
    relay.mend();
    sentence_has(&says(&gateway, "catching-up", &[]), "that had to wait are on their way");
    relay.limit(u64::MAX);
    wait_until("all is at the hub", 60, || gateway.metric("edge_queue_messages") == Some(0.0));
    assert_eq!(says(&gateway, "delivering", &[])["lost"], 0);
}

#[test]
fn a_hub_that_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|_, _| Answer::Silent);
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTE);
    publish(listen, 5, 100);
    wait_until("it is a stall", 30, || gateway.metric("edge_link_state{state=\"stalled\"}") == Some(1.0));
    let status = says(&gateway, "storing", &[]);
    assert_eq!((&status["link"]["is_up"], &status["queue"]["messages"]), (&false.into(), &5.into()));
    hub.answer(|_, _| Answer::Ack(0));
    wait_until("it is at the hub", 60, || gateway.metric("edge_queue_messages") == Some(0.0));
    says(&gateway, "delivering", &[]);
}

/// Losses are news for half a minute, and known for ever.
#[test]
fn messages_are_given_up_and_then_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let small = format!("[queue]\nmax_messages = 100\non_full = \"drop-oldest\"\n{ROUTE}");
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), &small);
    publish(listen, 150, 100);
    let losing = says(&gateway, "losing", &["losing", "full"]);
    let lost = losing["lost"].as_u64().unwrap();
    assert!(lost >= 50 && losing["queue"]["messages"] == 150 - lost, "{losing}");
    sentence_has(&losing, "Messages are being given up");
    let past = says(&gateway, "storing", &["lost", "full"]);
    assert_eq!(past["lost"], lost);
    sentence_has(&past, &format!("{lost} messages were lost earlier."));
}

/// Messages that expire are wanted no more, and are no loss.
#[test]
fn messages_expire_in_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let relay = Relay::start(hub.address);
    relay.cut();
    let aged = format!("[queue]\nmax_age = \"2s\"\n{ROUTE}");
    let (gateway, listen) = Gateway::started(dir.path(), relay.address, &aged);
    publish(listen, 30, 100);
    wait_until("their age is reached", 30, || gateway.metric("edge_oldest_age_seconds") > Some(3.0));
    sentence_has(&says(&gateway, "storing", &[]), "Nothing has been lost.");
    relay.mend();
    wait_until("they are given up", 30, || gateway.metric("edge_queue_messages") == Some(0.0));
    let expired = "edge_dropped_total{reason=\"expired\"}";
    wait_until("it is counted", 30, || gateway.metric(expired) == Some(30.0));
    let status = says(&gateway, "delivering", &[]);
    assert_eq!(status["lost"], 0);
    sentence_has(&status, "Nothing has been lost. 30 messages expired unsent.");
}

#[test]
fn a_hub_refuses_a_topic() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic == "up/plant/3" { 0x87 } else { 0 }));
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTE);
    publish(listen, 10, 100);
    wait_until("the others are there", 30, || hub.taken().len() == 9);
    let status = says(&gateway, "degraded", &["refused"]);
    sentence_has(&status, "Kept and tried again: 1 message.");
    sentence_has(&status, "Nothing has been lost.");
}

#[test]
fn a_hub_refuses_the_login() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("users"), "").unwrap();
    let lines = format!("password_file {}\nallow_anonymous false", dir.path().join("users").display());
    let hub = Mosquitto::start(dir.path(), &lines);
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTE);
    publish(listen, 5, 100);
    wait_until("it was refused", 30, || {
        let status: Value = serde_json::from_str(&gateway.get("/status.json").unwrap().1).unwrap();
        status["needs"].as_array().unwrap().iter().any(|need| need["id"] == "hub")
    });
    sentence_has(&says(&gateway, "storing", &["hub"]), "The hub refuses the connection: ");
}

#[test]
fn another_client_has_the_gateway_s_name() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|_, _| Answer::Disconnect(0x8e));
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTE);
    publish(listen, 1, 10);
    sentence_has(&says(&gateway, "degraded", &["taken_over"]), "Another client connects to the hub as g.");
}

#[test]
fn a_lane_has_no_room_and_senders_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let small = format!("[queue]\nmax_messages = 100\non_full = \"reject\"\n{ROUTE}");
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), &small);
    let mut sensor = Publisher::new(listen, "sensor", 300);
    (0..150).for_each(|n| sensor.publish(&format!("plant/{n}"), "x"));
    wait_until("the lane is full", 20, || {
        sensor.poll();
        sensor.acked.len() == 100
    });
    let status = says(&gateway, "degraded", &["no_room"]);
    sentence_has(&status, "Messages are refused for want of room in lane ");
    assert_eq!((&status["lost"], &status["room"]["seconds"]), (&0.into(), &0.into()));
    sensor.poll();
    assert_eq!(sensor.acked.len() + sensor.waiting(), 150);
}

#[test]
fn the_state_directory_is_moved_away_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), ROUTE);
    publish(listen, 5, 100);
    let away = dir.path().join("away");
    std::fs::rename(&gateway.state, &away).unwrap();
    sentence_has(&says(&gateway, "degraded", &["store_gone"]), "Nothing has been lost.");
    std::fs::rename(&away, &gateway.state).unwrap();
    assert_eq!(says(&gateway, "storing", &[])["queue"]["messages"], 5);
}

#[test]
fn there_is_no_queue_until_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("state/queue.ring");
    std::fs::create_dir_all(&blocked).unwrap();
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n{ROUTE}",
        free_port()
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start_unready();
    wait_until("it answers", 30, || gateway.get("/metrics").is_some());
    sentence_has(&says(&gateway, "degraded", &["no_queue"]), "There is no queue");
}
