#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway tap` as an operator runs it: samples of each stage, from a gateway that pays nothing for a reader that does not read.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub};
use support::mosquitto::{Mosquitto, publish};
use support::publisher::Publisher;
use support::wait_until;

const RULES: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 1.0 } } ]\n";
const ROUTES: &str = "[[route]]\nmatch = \"band/#\"\nto = \"readings\"\nformat = \"json\"\ninput = \"number\"\nfilter = \"rules.toml\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n";
/// Log line of a gateway that somebody taps.
const TAPPED: &str = "samples of messages are shown, asked for by hand";

/// A running gateway, and where sensors find it.
fn gateway(dir: &Path, hub: SocketAddr) -> (Gateway, SocketAddr) {
    std::fs::write(dir.join("rules.toml"), RULES).unwrap();
    Gateway::started(dir, hub, ROUTES)
}

fn command(state: &Path, arguments: &[&str]) -> Command {
    // A test in the background of a shell ignores Ctrl-C, and so would its children.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT", BINARY, "tap"])
        .args(arguments)
        .arg("--state")
        .arg(state)
        .stdin(Stdio::null());
    command
}

fn output(state: &Path, arguments: &[&str]) -> Output {
    command(state, arguments).output().unwrap()
}

/// A tap that runs, and the lines that it has printed.
struct Tap {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reads: Option<JoinHandle<()>>,
}

impl Tap {
    /// Starts it and waits until the gateway serves it.
    fn start(gateway: &Gateway, arguments: &[&str]) -> Self {
        let before = gateway.log().matches(TAPPED).count();
        let mut command = command(&gateway.state, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, lines) = (child.stdout.take().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let list = lines.clone();
        let reads = std::thread::spawn(move || {
            BufReader::new(stdout).lines().for_each(|line| list.lock().unwrap().push(line.unwrap()));
        });
        wait_until("the tap is open", 30, || gateway.log().matches(TAPPED).count() > before);
        Self { child, lines, reads: Some(reads) }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn samples(&self) -> Vec<Value> {
        self.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its end; its exit status and what it complained of.
    fn end(&mut self) -> (ExitStatus, String) {
        let mut status = None;
        wait_until("the tap ends", 30, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.reads.take().unwrap().join().unwrap();
        let mut complaint = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        (status.unwrap(), complaint)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fields of samples, separated by spaces.
fn fields(samples: &[Value], pointers: &[&str]) -> Vec<String> {
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "-".to_owned(),
    };
    let line =
        |sample: &Value| pointers.iter().map(|p| text(sample.pointer(p))).collect::<Vec<_>>().join(" ");
    samples.iter().map(line).collect()
}

fn sum(samples: &[Value], field: &str) -> u64 {
    samples.iter().filter_map(|sample| sample[field].as_u64()).sum()
}

/// As many taps as there may be, one at each stage.
#[test]
fn each_stage_shows_what_passes_it() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (gateway, listen) = gateway(dir.path(), hub.address);
    let mut came = Tap::start(&gateway, &["+/#", "--at", "in", "-n", "5", "--json"]);
    let mut judged = Tap::start(&gateway, &["#", "--why", "-n", "5", "--json"]);
    let mut stored = Tap::start(&gateway, &["#", "--at", "stored", "-n", "4", "--json"]);
    let mut sent = Tap::start(&gateway, &["#", "--at", "sent", "--json"]);
    let one_more = output(&gateway.state, &["#"]);
    let complaint = String::from_utf8(one_more.stderr).unwrap();
    assert_eq!(
        (one_more.status.code(), complaint.contains("4 taps already")),
        (Some(1), true),
        "{complaint}"
    );

    for (topic, payload) in
        [("plant/a", "x y"), ("band/t", "20"), ("band/t", "20.2"), ("band/t", "22.5"), ("band/t", "?")]
    {
        publish(listen, topic, payload);
    }
    for tap in [&mut came, &mut judged, &mut stored] {
        assert_eq!(tap.end().0.code(), Some(0), "it has its samples");
    }
    let seen = fields(&came.samples(), &["/v", "/at", "/topic", "/qos", "/bytes", "/text"]);
    let expected = ["plant/a 1 3 x y", "band/t 1 2 20", "band/t 1 4 20.2", "band/t 1 4 22.5", "band/t 1 1 ?"];
    assert_eq!(seen, expected.map(|line| format!("1 in {line}")));
    let seen = fields(&judged.samples(), &["/topic", "/verdict", "/why", "/reading/value"]);
    let expected = [
        "plant/a unfiltered the route is raw: it has no filter -",
        "band/t passed first 20",
        "band/t suppressed in_deadband 20.2",
        "band/t passed deadband 22.5",
    ];
    assert_eq!(seen[..4], expected);
    assert!(seen[4].starts_with("band/t no-reading "), "{seen:?}");

    let rows = stored.samples();
    let seen = fields(&rows, &["/topic", "/lane", "/text", "/reading/value"]);
    let of_lane = |topic: &str, text: &str, value: &str| format!("{topic} telemetry {text} {value}");
    let expected = [
        of_lane("up/plant/a", "x y", "-"),
        of_lane("readings", "-", "20"),
        of_lane("readings", "-", "22.5"),
        of_lane("dead-letter/band/t", "?", "-"),
    ];
    assert_eq!(seen, expected);
    let numbers: Vec<u64> = rows.iter().map(|row| row["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
    assert!(rows.iter().all(|row| row["receipt"] == "stored" || row["receipt"] == "handed-over"), "{rows:?}");

    wait_until("all rows are sent", 30, || sum(&sent.samples(), "rows") == 4);
    let messages = sent.samples();
    let topics: Vec<_> = fields(&messages, &["/topic"]);
    assert!(
        ["up/plant/a", "readings", "dead-letter/band/t"]
            .iter()
            .all(|topic| topics.contains(&(*topic).to_owned()))
    );
    assert!(messages.iter().all(|message| message.get("refused").is_none() && message["bytes"].is_u64()));
    sent.signal("INT");
    assert_eq!(sent.end().0.signal(), Some(2));
    // Its place is free for another.
    wait_until("the tap is closed", 20, || {
        output(&gateway.state, &["#", "--for", "1"]).status.code() == Some(1)
    });
}

#[test]
fn a_refusal_is_shown_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic.ends_with("bad") { 0x97 } else { 0 }));
    let (gateway, listen) = gateway(dir.path(), hub.address);
    let mut sent = Tap::start(&gateway, &["up/+", "--at", "sent", "-n", "2"]);
    publish(listen, "good", "1");
    publish(listen, "bad", "12");
    publish(listen, "deeper/bad", "12");
    assert_eq!(sent.end().0.code(), Some(0));
    let lines = sent.lines();
    assert!(lines[0].contains("\"up/good\"  1 B  1 row  acknowledged after "), "{lines:?}");
    assert!(lines[1].contains("\"up/bad\"  2 B  1 row  refused: ") && lines[1].contains("0x97"), "{lines:?}");
}

/// A terminal obeys no payload and no topic, and no line of theirs looks like one of the command's.
#[test]
fn foreign_text_is_escaped_and_cut() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let (gateway, listen) = gateway(dir.path(), hub.address);
    let mut sensor = Publisher::new(listen, "sensor\u{202e}", 10);
    let topic = "evil/\u{202e}\u{2066}\"";
    let payload = format!("\u{1b}]0;title\u{7}\r\n\u{9b}2J{}", "\u{1b}[31m".repeat(300));
    for at in ["in", "filtered", "stored", "sent"] {
        let of_hub = if matches!(at, "stored" | "sent") { "up/evil/+" } else { "evil/+" };
        for form in [&["--json"][..], &[]] {
            let arguments = [&[of_hub, "--at", at, "-n", "1"], form].concat();
            let mut tap = Tap::start(&gateway, &arguments);
            sensor.publish(topic, &payload);
            sensor.settle(0, 20);
            assert_eq!(tap.end().0.code(), Some(0));
            let lines = tap.lines();
            let is_plain = |c: char| !c.is_control() && !('\u{2028}'..='\u{2069}').contains(&c);
            assert!(lines.len() == 1 && lines[0].chars().all(is_plain), "{lines:?}");
            assert!(lines[0].len() < 4_096, "{} bytes", lines[0].len());
            let has_payload = matches!(at, "in" | "stored");
            assert_eq!(lines[0].contains("title"), has_payload, "{at}: {lines:?}");
        }
    }
}

/// It loses samples and nothing else: sensors are acknowledged, other commands are answered, and it is told how many it lost.
#[test]
fn a_reader_that_stands_still_costs_nothing_but_its_own_samples() {
    const MESSAGES: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (gateway, listen) = gateway(dir.path(), hub.address);
    let mut stopped: Vec<Tap> = ["in", "stored"]
        .into_iter()
        .map(|at| Tap::start(&gateway, &["#", "--at", at, "-n", "1000000", "--json"]))
        .collect();
    stopped.iter().for_each(|tap| tap.signal("STOP"));
    let mut sensor = Publisher::new(listen, "sensor", 1_000);
    for n in 0..MESSAGES {
        sensor.publish("plant/a", &format!("{n:0200}"));
    }
    sensor.settle(0, 60);
    assert_eq!(sensor.acked.len() as u64, MESSAGES, "each has its PUBACK");
    let status = Command::new(BINARY).args(["status", "--json", "--state"]).arg(&gateway.state).output();
    assert!(!status.unwrap().stdout.is_empty(), "others are answered");

    stopped.iter().for_each(|tap| tap.signal("CONT"));
    for tap in &mut stopped {
        let told = |tap: &Tap| tap.samples().len() as u64 + sum(&tap.samples(), "lost");
        let losses =
            |tap: &Tap| tap.samples().iter().filter(|line| line.get("lost").is_some()).count() as u64;
        wait_until("every message is shown or told to be lost", 30, || told(tap) - losses(tap) == MESSAGES);
        let lost = sum(&tap.samples(), "lost");
        assert!(lost > MESSAGES / 2, "{lost} lost: the rest would be in somebody's memory");
    }
    publish(listen, "plant/b", "after");
    let has_next = |tap: &Tap| tap.samples().last().is_some_and(|last| last["text"] == "after");
    wait_until("they go on", 30, || stopped.iter().all(has_next));
}

#[test]
fn without_a_gateway_it_says_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let Output { status, stdout, stderr } = output(&dir.path().join("state"), arguments);
        assert!(stdout.is_empty());
        (status.code(), String::from_utf8(stderr).unwrap())
    };
    let (code, complaint) = said(&["#"]);
    assert_eq!(code, Some(69), "{complaint}");
    assert!(complaint.contains("no running gateway answers") && complaint.contains("`edge-gateway run`"));
    let (code, complaint) = said(&["#", "--why", "--at", "sent"]);
    assert_eq!((code, complaint.contains("--at filtered")), (Some(2), true), "{complaint}");
    assert_eq!(said(&["a/#/b"]).0, Some(2));
}

/// At its stop, which it does not delay, and when nobody reads what the command prints.
#[test]
fn a_tap_ends_with_its_gateway_and_with_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let (mut gateway, listen) = gateway(dir.path(), hub.address);
    let unread = Tap::start(&gateway, &["#", "-n", "1000000"]);
    unread.signal("STOP");
    let mut waits = Tap::start(&gateway, &["#"]);
    let mut closed = command(&gateway.state, &["#", "--at", "in"]);
    let mut closed = closed.stdout(Stdio::piped()).spawn().unwrap();
    drop(closed.stdout.take());
    wait_until("a closed pipe is the end", 30, || {
        publish(listen, "a", &"x".repeat(9_000));
        closed.try_wait().unwrap().is_some_and(|status| status.success())
    });
    let (status, took) = gateway.terminate();
    assert!(status.success() && took.as_secs() < 8, "{took:?}");
    let (status, complaint) = waits.end();
    assert_eq!((status.code(), complaint.contains("the gateway stops")), (Some(1), true), "{complaint}");
}
