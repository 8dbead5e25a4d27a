#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! The status in staged situations, with real Mosquitto as the hub: page, JSON, terminal, monitoring check and `/metrics` say the same, and it is
//! true.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::wait_until;

const CONFIG: &str =
    "[queue]\nmax_bytes = \"1MiB\"\nlanes = [\"all\"]\n[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

/// Body of a page that a browser on this machine asks for.
fn page(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn status(gateway: &Gateway, arguments: &[&str]) -> Output {
    let state = gateway.dir.join("state");
    Command::new(BINARY).arg("status").args(arguments).arg("--state").arg(state).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Figures of a page of metrics that a status says, too.
#[derive(Clone, Debug, PartialEq)]
struct Metrics {
    verdict: String,
    is_up: bool,
    figures: Vec<(String, u64)>,
}

impl Metrics {
    fn of(page: &str) -> Self {
        let labelled = |name: &str| {
            let line = page.lines().find(|line| line.starts_with(name) && line.ends_with(" 1"));
            line.unwrap_or_else(|| panic!("no {name} in {page}")).split('"').nth(1).unwrap().to_owned()
        };
        let names = [
            "edge_accepted_total",
            "edge_delivered_total",
            "edge_queue_messages",
            "edge_parked_messages",
            "edge_dropped_total{reason=\"overflow\"}",
        ];
        let figures = names.map(|name| {
            let found =
                page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
            (name.to_owned(), found.unwrap_or_else(|| panic!("no {name} in {page}")))
        });
        let link = labelled("edge_link_state{");
        let is_up = matches!(link.as_str(), "flowing" | "idle" | "draining");
        Self { verdict: labelled("edge_verdict{"), is_up, figures: figures.to_vec() }
    }

    fn get(gateway: &Gateway) -> Self {
        Self::of(&gateway.get("/metrics").unwrap().1)
    }

    fn figure(&self, name: &str) -> u64 {
        self.figures.iter().find(|(known, _)| known == name).unwrap().1
    }

    /// The same figures out of a status.
    fn of_status(status: &Value) -> Self {
        let ledger = &status["ledger"];
        let figures = [
            ("edge_accepted_total", &ledger["accepted"]),
            ("edge_delivered_total", &ledger["delivered"]),
            ("edge_queue_messages", &status["queue"]["messages"]),
            ("edge_parked_messages", &status["refused"]["parked"]),
            ("edge_dropped_total{reason=\"overflow\"}", &ledger["dropped"]["overflow"]),
        ];
        Self {
            verdict: status["verdict"].as_str().unwrap().to_owned(),
            is_up: status["link"]["is_up"].as_bool().unwrap(),
            figures: figures.map(|(name, value)| (name.to_owned(), value.as_u64().unwrap())).to_vec(),
        }
    }
}

/// All surfaces at a moment at which nothing changes between the first and the last. Returns the status.
#[track_caller]
fn agreed(gateway: &Gateway, verdict: &str, heading: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let before = Metrics::get(gateway);
        let by_http = json(&page(gateway.metrics, "/status.json"));
        let html = page(gateway.metrics, "/");
        let command = status(gateway, &["--json"]);
        let screen = status(gateway, &[]);
        let check = status(gateway, &["--nagios"]);
        let after = Metrics::get(gateway);
        if before != after || before.verdict != verdict {
            assert!(
                Instant::now() < until,
                "no moment of {verdict} at which nothing changes: {before:?} {after:?}"
            );
            continue;
        }
        assert_eq!(Metrics::of_status(&by_http), before, "{by_http}");
        assert_eq!(Metrics::of_status(&json(&text(&command.stdout))), before, "{command:?}");
        assert!(html.contains(&format!("role=\"status\">{heading}</b>")), "{html}");
        for (id, value) in by_http["texts"].as_object().unwrap() {
            assert!(html.contains(&format!(" id=\"{id}\">")), "{id} is not on the page");
            let is_steady =
                ["waiting", "lost", "link", "accepted", "delivered", "queued", "parked", "balance"]
                    .contains(&id.as_str());
            assert!(
                !is_steady || html.contains(&format!(" id=\"{id}\">{}</span>", value.as_str().unwrap())),
                "{id}: {value} in {html}"
            );
        }
        let said = text(&screen.stdout);
        assert!(said.starts_with(&format!("{}  g   ", verdict.to_uppercase())), "{said}");
        let bad = i32::from(matches!(verdict, "degraded" | "losing"));
        assert_eq!((screen.status.code(), command.status.code()), (Some(bad), Some(bad)));
        let service = match verdict {
            "delivering" | "catching-up" => 0,
            "losing" => 2,
            _ => 1,
        };
        let line = text(&check.stdout);
        assert_eq!(check.status.code(), Some(service), "{line}");
        assert!(
            line.contains(&format!(" - {verdict} for "))
                && line.contains(&format!(" waiting={};", before.figure("edge_queue_messages"))),
            "{line}"
        );
        assert_eq!(by_http["ledger"]["difference"], 0, "it adds up: {by_http}");
        return by_http;
    }
}

#[test]
fn every_surface_says_the_same_and_it_is_true_in_normal_outage_drain_and_loss() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 100000");
    let subscriber = Subscriber::of_topics(hub.address, "up/#");
    let relay = Relay::start(hub.address);
    let (gateway, listen) = Gateway::started(dir.path(), relay.address, CONFIG);
    let mut sensor = Publisher::new(listen, "sensor", 20);
    let mut publish = |count: u32, bytes: usize| {
        (0..count).for_each(|n| sensor.publish(&format!("plant/{n}"), &"x".repeat(bytes)));
        sensor.settle(0, 60);
    };

    publish(50, 100);
    wait_until("all of it is at the hub, and counted", 30, || {
        subscriber.arrived().len() >= 50 && Metrics::get(&gateway).figure("edge_delivered_total") == 50
    });
    let normal = agreed(&gateway, "delivering", "Delivering");
    assert_eq!(
        (&normal["lost"], &normal["ledger"]["waiting"], &normal["routes"][0]["messages"]),
        (&0.into(), &0.into(), &50.into())
    );
    assert!(normal["sentence"].as_str().unwrap().ends_with("Nothing has been lost."), "{normal}");

    relay.cut();
    publish(300, 1_000);
    wait_until("the messages wait", 30, || Metrics::get(&gateway).figure("edge_queue_messages") == 300);
    let outage = agreed(&gateway, "storing", "Storing");
    assert_eq!(
        (&outage["lost"], &outage["ledger"]["waiting"], &outage["ledger"]["delivered"]),
        (&0.into(), &300.into(), &50.into())
    );
    assert!(outage["link"]["cause"].is_string() && outage["room"]["seconds"].is_u64(), "{outage}");
    assert_eq!(outage["room"]["limit"], "max_bytes");

    relay.limit(4_000);
    relay.mend();
    let mut drain = Value::Null;
    wait_until("it says that it catches up", 60, || {
        drain = json(&page(gateway.metrics, "/status.json"));
        drain["verdict"] == "catching-up"
    });
    assert!(drain["queue"]["messages"].as_u64().unwrap() > 0, "{drain}");
    assert!(drain["sentence"].as_str().unwrap().contains("that had to wait are on their way"), "{drain}");
    let screen = status(&gateway, &[]);
    let (said, metrics) = (text(&screen.stdout), Metrics::get(&gateway));
    assert!(
        screen.status.success() && said.starts_with("CATCHING-UP  g   ") && metrics.verdict == "catching-up",
        "{said} {metrics:?}"
    );
    relay.limit(u64::MAX);
    wait_until("all of it is at the hub", 60, || {
        // More of them if the link was given up for a machine that stood still.
        subscriber.arrived().len() >= 350 && Metrics::get(&gateway).figure("edge_queue_messages") == 0
    });

    relay.cut();
    publish(200, 10_000);
    wait_until("messages are given up", 30, || Metrics::get(&gateway).verdict == "losing");
    let loss = agreed(&gateway, "losing", "Losing messages");
    let lost = loss["lost"].as_u64().unwrap();
    assert!(lost > 50 && loss["ledger"]["dropped"]["overflow"] == lost, "{loss}");
    assert_eq!((&loss["needs"][0]["id"], &loss["needs"][0]["level"]), (&"losing".into(), &"act".into()));
    let events = loss["events"].as_array().unwrap();
    let verdicts: Vec<_> = events.iter().rev().map(|event| event["verdict"].as_str().unwrap()).collect();
    for verdict in ["delivering", "storing", "catching-up", "losing"] {
        assert!(verdicts.contains(&verdict), "{verdicts:?}");
    }
}

/// Sizing by what the gateway itself has seen, of this configuration or of the next one.
/// Others would go back over a kill. What is delivered and was never written is counted by the next commit alone, here an hour later.
#[test]
fn every_surface_has_the_totals_of_the_last_commit() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, CONFIG);
    gateway.terminate();
    let file = dir.path().join("gateway.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("totals_within = \"1s\"", "totals_within = \"1h\"")).unwrap();
    gateway.start();
    let mut sensor = Publisher::new(listen, "sensor", 20);
    for _ in 0..2 {
        (0..20).for_each(|n| sensor.publish("plant/a", &format!("{n}")));
        sensor.settle(0, 60);
        agreed(&gateway, "delivering", "Delivering");
    }
}

#[test]
fn check_sizes_by_what_the_running_gateway_measured() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, CONFIG);
    let (file, state) = (dir.path().join("gateway.toml"), dir.path().join("state"));
    let check = || {
        let mut command = Command::new(BINARY);
        command.arg("check").arg(&file).arg("--measured").arg("--state").arg(&state).output().unwrap()
    };
    let nothing = check();
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    assert!(text(&nothing.stderr).contains("no message has gone into the queue"), "{nothing:?}");

    let mut sensor = Publisher::new(listen, "sensor", 20);
    (0..200).for_each(|n| sensor.publish(&format!("plant/{n}"), &"x".repeat(130)));
    sensor.settle(0, 60);
    let mut measured = String::new();
    wait_until("the messages are in its history", 30, || {
        let output = check();
        measured = text(&output.stdout);
        output.status.success()
    });
    let line = measured.lines().find(|line| line.starts_with("At ")).unwrap_or_else(|| panic!("{measured}"));
    assert!(line.contains(" from 100 sensors, raw ones of 130 bytes (--sensors)"), "{line}");
    let rate: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(rate > 0.0 && rate <= 20.0, "{line}");
    assert!(
        measured.contains("Measured at the running gateway over ")
            && measured.contains(" busiest five minutes")
    );

    gateway.terminate();
    assert_eq!(check().status.code(), Some(69));
}

/// Where no gateway answers, where it is named by its file, and where nothing names it.
#[test]
fn the_exit_code_says_that_nobody_answers() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (mut gateway, _) = Gateway::started(dir.path(), hub.address, CONFIG);
    let run = |arguments: &[&str]| Command::new(BINARY).arg("status").args(arguments).output().unwrap();
    let file = dir.path().join("gateway.toml");
    let unnamed = run(&[file.to_str().unwrap()]);
    assert_eq!(unnamed.status.code(), Some(2), "{unnamed:?}");
    assert!(text(&unnamed.stderr).contains("no [gateway] state"), "{unnamed:?}");
    let named =
        std::fs::read_to_string(&file).unwrap().replacen("[gateway]\n", "[gateway]\nstate = \"state\"\n", 1);
    std::fs::write(&file, named).unwrap();
    // Ready is who may have no connection to the hub yet.
    wait_until("it answers", 30, || {
        let answered = run(&[file.to_str().unwrap()]);
        answered.status.success() && text(&answered.stdout).starts_with("DELIVERING  g   ")
    });
    assert_eq!(run(&[]).status.code(), Some(2));
    gateway.kill_9();
    let nobody = status(&gateway, &[]);
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(69), 0), "{nobody:?}");
    assert!(text(&nobody.stderr).contains("no running gateway answers at"), "{nobody:?}");
    let check = status(&gateway, &["--nagios"]);
    assert_eq!(
        (check.status.code(), text(&check.stdout).starts_with("EDGE UNKNOWN - ")),
        (Some(3), true),
        "{check:?}"
    );
}

/// The socket is there without a queue, and what needs one says so.
#[test]
fn without_a_queue_there_is_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    std::fs::create_dir_all(dir.path().join("state/queue.ring")).unwrap();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtt://{}\"\n{CONFIG}",
        support::free_port(),
        hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start_unready();
    let mut said = None;
    wait_until("it answers", 30, || {
        said = Some(status(&gateway, &[])).filter(|said| said.status.code() == Some(1));
        said.is_some()
    });
    let said = text(&said.unwrap().stdout);
    assert!(
        said.starts_with("DEGRADED  g   There is no queue") && said.contains("queue     not open: "),
        "{said}"
    );
    let parked = Command::new(BINARY)
        .args(["parked", "list", "--state"])
        .arg(dir.path().join("state"))
        .output()
        .unwrap();
    assert!(text(&parked.stderr).contains("there is no queue yet"), "{parked:?}");
    let metrics = gateway.get("/metrics").unwrap().1;
    assert!(metrics.contains("\nedge_verdict{verdict=\"degraded\"} 1\n"), "{metrics}");
    assert!(page(gateway.metrics, "/").contains("role=\"status\">Degraded</b>"));
}

/// While an attempt is under way, too: this hub takes connections and never answers.
#[test]
fn a_link_that_is_down_has_one_word_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TcpListener::bind("127.0.0.1:0").unwrap();
    let (gateway, _) = Gateway::started(dir.path(), hub.local_addr().unwrap(), CONFIG);
    let _attempt = hub.accept().unwrap();
    for _ in 0..5 {
        let status = json(&gateway.get("/status.json").unwrap().1);
        let page = gateway.get("/metrics").unwrap().1;
        let metric = page.lines().find(|line| line.starts_with("edge_link_state{") && line.ends_with(" 1"));
        let event = status["events"][0]["link"].as_str().unwrap_or("backing-off");
        let words =
            [status["link"]["state"].as_str().unwrap(), event, metric.unwrap().split('"').nth(1).unwrap()];
        assert_eq!(words, ["backing-off"; 3], "{status}");
    }
}
