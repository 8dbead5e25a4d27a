#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Changed routes of a gateway inside another program: under load with a hub that is away, beside parts of the program's own, without a queue, and
//! what is refused.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::ingest::{Answer, Inbound};
use edge_bridge::net::Server;
use edge_filter::reduce::Deadband;
use edge_filter::{Pipeline, Rule};
use edge_gateway::{Builder, Error, Format, Gateway, PackedBatch, Packer, ReloadOutcome};
use support::publisher::{Publisher, packet, text};
use support::relay::Relay;
use support::{free_port, wait_until};
use tokio::sync::mpsc;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(30);

struct Hub {
    server: Server,
    arrived: mpsc::Receiver<Inbound>,
}

impl Hub {
    async fn start() -> Self {
        let (tell, arrived) = mpsc::channel(100_000);
        let note = move |_, message: &Inbound| tell.try_send(message.clone()).unwrap();
        Self { server: Server::builder().start_observer("127.0.0.1:0", note).await.unwrap(), arrived }
    }

    async fn next(&mut self) -> (String, Bytes) {
        let message = timeout(WITHIN, self.arrived.recv()).await.unwrap().unwrap();
        (message.topic.to_string(), message.payload)
    }

    /// Topic and value of the next reading, which is a batch of its own.
    async fn next_reading(&mut self) -> (String, edge_codec::Value<'static>) {
        let (topic, payload) = self.next().await;
        let mut batch = edge_codec::Format::Json.decode(&payload, &edge_codec::Limits::default()).unwrap();
        let reading = batch.next().unwrap().unwrap();
        (topic, reading.value.into_owned())
    }
}

/// Settings without routes.
fn base(hub: SocketAddr) -> Builder {
    Gateway::builder("g", &format!("mqtt://{hub}")).listen("127.0.0.1:0".parse().unwrap())
}

fn witness(listen: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(listen).unwrap();
    let connect = [b"\x00\x04MQTT\x04\x02\x00\x00", text("witness").as_slice()].concat();
    stream.write_all(&packet(0x10, &connect)).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream
}

fn is_connected(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Configurations of the test under load, in their order.
fn stage(number: usize, hub: SocketAddr, metrics: SocketAddr) -> Builder {
    let routes: &[_] = match number {
        0 => &[("plant/#", "up/"), ("yard/#", "up/")],
        1 => &[("plant/#", "up/"), ("yard/#", "up/"), ("field/#", "up/")],
        2 => &[("field/#", "up/"), ("plant/#", "next/"), ("yard/#", "up/")],
        _ => &[("plant/#", "next/"), ("field/#", "up/")],
    };
    let settings = base(hub).settings(&format!("[metrics]\nlisten = \"{metrics}\""));
    routes.iter().fold(settings, |settings, (filter_topic, to)| settings.route(filter_topic, to, Format::Raw))
}

/// Topic at the hub of a message under the configuration `stage`. `None`: no route takes it.
fn destination(stage: usize, topic: &str) -> Option<String> {
    match (topic, stage) {
        ("plant/t", 2..) => Some(format!("next/{topic}")),
        ("field/t", 0) | ("yard/t", 3..) => None,
        _ => Some(format!("up/{topic}")),
    }
}

/// Counters that test and sensor share.
#[derive(Default)]
struct Progress {
    /// Reloads that have begun, and those that have returned.
    begun: AtomicUsize,
    returned: AtomicUsize,
    acked: AtomicUsize,
    is_done: AtomicBool,
}

/// A message that was acknowledged.
struct Acked {
    topic: &'static str,
    /// Configurations that may have decided about it.
    stages: std::ops::RangeInclusive<usize>,
}

/// Publishes until it is told that it is done, with up to 20 messages on their way. Returns what was acknowledged, by number.
fn publish_on(listen: SocketAddr, progress: Arc<Progress>) -> JoinHandle<BTreeMap<u64, Acked>> {
    std::thread::spawn(move || {
        let (mut sensor, mut sent, mut all) =
            (Publisher::new(listen, "sensor", 20), BTreeMap::new(), BTreeMap::new());
        for n in 1_u64.. {
            let is_last = progress.is_done.load(Ordering::SeqCst);
            if is_last {
                sensor.settle(0, 30);
            } else {
                let topic = ["plant/t", "yard/t", "field/t"][(n % 3) as usize];
                sent.insert(n, (topic, progress.returned.load(Ordering::SeqCst)));
                sensor.publish(topic, &n.to_string());
            }
            let begun = progress.begun.load(Ordering::SeqCst);
            for payload in sensor.acked.drain(..) {
                let n = payload.parse().unwrap();
                let (topic, returned) = sent[&n];
                all.insert(n, Acked { topic, stages: returned..=begun });
                progress.acked.fetch_add(1, Ordering::SeqCst);
            }
            if is_last {
                break;
            }
        }
        all
    })
}

/// Promises 1 and 7.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_come_change_and_go_under_load_while_the_hub_is_away() {
    let (dir, mut hub, metrics) = (tempfile::tempdir().unwrap(), Hub::start().await, free_port());
    let wan = Relay::start(hub.server.local_addr());
    wan.cut();
    let gateway = stage(0, wan.address, metrics).start(dir.path().join("state")).await.unwrap();
    let (listen, progress) = (gateway.address().unwrap(), Arc::new(Progress::default()));
    let (mut witness, sensor) = (witness(listen), publish_on(listen, progress.clone()));
    let status = || -> serde_json::Value {
        serde_json::from_str(&support::gateway::get(metrics, "/status.json").unwrap().1).unwrap()
    };
    let more_acked = |count| {
        let before = progress.acked.load(Ordering::SeqCst);
        wait_until("the sensor gets on", 30, || progress.acked.load(Ordering::SeqCst) >= before + count);
    };
    more_acked(60);
    let mut digests = vec![status()["config"].clone()];
    for number in 1..=3 {
        progress.begun.store(number, Ordering::SeqCst);
        let outcome = gateway.reload(stage(number, wan.address, metrics)).await.unwrap();
        assert_eq!(outcome, ReloadOutcome::InForce);
        progress.returned.store(number, Ordering::SeqCst);
        let status = status();
        let routes: Vec<_> =
            status["routes"].as_array().unwrap().iter().map(|route| &route["match"]).collect();
        assert_eq!(routes.len(), [3, 3, 2][number - 1], "{routes:?}");
        assert!(!digests.contains(&status["config"]), "{status}");
        digests.push(status["config"].clone());
        more_acked(60);
    }
    let again = gateway.reload(stage(3, wan.address, metrics)).await.unwrap();
    assert_eq!(again, ReloadOutcome::Unchanged);
    progress.is_done.store(true, Ordering::SeqCst);
    let acked = sensor.join().unwrap();
    assert!(is_connected(&mut witness), "a change of routes disconnects nobody");
    wan.mend();
    judge(&acked, &mut hub).await;
    gateway.stop().await.unwrap();
}

/// Compares what was acknowledged with what arrives: all of it, in order, each where its routes sent it.
async fn judge(acked: &BTreeMap<u64, Acked>, hub: &mut Hub) {
    let destinations = |message: &Acked| -> Vec<_> {
        message.stages.clone().map(|stage| destination(stage, message.topic)).collect()
    };
    let must_arrive = |message: &&Acked| destinations(message).iter().all(Option::is_some);
    let (expected, mut arrived) = (acked.values().filter(must_arrive).count(), BTreeMap::new());
    while arrived.iter().filter(|(n, _)| must_arrive(&&acked[*n])).count() < expected {
        let (topic, payload) = hub.next().await;
        let n: u64 = std::str::from_utf8(&payload).unwrap().parse().unwrap();
        let last = arrived.last_key_value().map_or(0, |(last, _)| *last);
        let is_copy = arrived.insert(n, topic.clone()).is_some_and(|before| before == topic);
        assert!(n > last || is_copy, "{n} came behind {last}");
    }
    for (n, topic) in &arrived {
        let destinations = destinations(&acked[n]);
        assert!(destinations.contains(&Some(topic.clone())), "{n} came as {topic}, not as {destinations:?}");
    }
    for number in 0..=3 {
        let decided = acked.values().filter(|message| message.stages == (number..=number)).count();
        assert!(decided > 20, "{decided} messages for configuration {number}");
    }
}

fn pipeline() -> Pipeline {
    Pipeline::builder().rule("#", Rule::new().reducer(Deadband::absolute(0.5).unwrap())).unwrap().build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_parts_go_on_where_they_were_and_what_other_rules_held_is_sent() {
    let (dir, mut hub) = (tempfile::tempdir().unwrap(), Hub::start().await);
    let rules = dir.path().join("rules.toml");
    let held = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]\n";
    fs::write(&rules, held).unwrap();
    let address = hub.server.local_addr();
    let yard = |filter: &str| {
        let route = format!(
            "[[route]]\nmatch = \"yard/#\"\nto = \"yard\"\nformat = \"json\"\nbatch_max = 1\n{filter}"
        );
        base(address).settings(&route).route("plant/#", "plant", Format::Json)
    };
    let gateway = yard(&format!("filter = \"{}\"", rules.display()))
        .filter("plant/#", pipeline())
        .ingest(|_, message| message.topic.ends_with("/test").then_some(Answer::Absorb))
        .start(dir.path().join("state"))
        .await
        .unwrap();
    let mut sensor = Publisher::new(gateway.address().unwrap(), "sensor", 1);
    let mut send = |topic: &str, ts: u64, value: f64| {
        sensor.publish(topic, &format!("{{\"value\":{value},\"ts\":{ts}}}"));
        sensor.settle(0, 30);
    };
    send("plant/t", 1, 20.5);
    (1..=3_u8).for_each(|n| send("yard/t", u64::from(n) * 1_000, f64::from(n) + 0.5));
    let reading = |topic: &str, value: f64| (topic.to_owned(), edge_codec::Value::F64(value));
    let mut first = [hub.next_reading().await, hub.next_reading().await];
    first.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(first, [reading("plant", 20.5), reading("yard", 1.5)]);
    assert_eq!(gateway.reload(yard("")).await.unwrap(), ReloadOutcome::InForce);
    assert_eq!(hub.next_reading().await, reading("yard", 3.5), "what the rules held");
    // Within the deadband of the value from before the reload; then one for the program's ingest, which stays, too.
    send("plant/t", 2, 20.75);
    send("plant/test", 3, 99.5);
    send("plant/t", 4, 22.5);
    assert_eq!(hub.next_reading().await, reading("plant", 22.5));
    gateway.stop().await.unwrap();
}

/// Names no reading.
#[derive(Debug)]
struct Own;

impl Packer for Own {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn pack(&mut self, _: &PackedBatch<'_>) -> Bytes {
        "packed".into()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reload_cannot_apply_is_refused_in_words_and_nothing_changes() {
    let (dir, mut hub, metrics) = (tempfile::tempdir().unwrap(), Hub::start().await, free_port());
    let address = hub.server.local_addr();
    let base = || base(address).settings(&format!("[metrics]\nlisten = \"{metrics}\""));
    let same = || base().route("own/#", "own", Format::Json).route("packed/#", "packed", Format::Json);
    let yard = |settings: Builder| settings.route("yard/#", "yard", Format::Json);
    let gateway = same().filter("own/#", pipeline()).packer("packed/#", Own).start(dir.path().join("state"));
    let gateway = gateway.await.unwrap();
    let configuration = || {
        let page = support::gateway::get(metrics, "/status.json").unwrap().1;
        serde_json::from_str::<serde_json::Value>(&page).unwrap()["config"].clone()
    };
    let mut sensor = Publisher::new(gateway.address().unwrap(), "sensor", 1);
    let before = configuration();
    let packed = |to: &str| base().route("own/#", "own", Format::Json).route("packed/#", to, Format::Json);
    for (settings, needs_restart, said) in [
        (yard(same()).settings("[queue"), false, "queue"),
        (yard(same()).route("yard/#", "twice", Format::Json), false, "route[4].match: never reached"),
        (yard(same()).settings("[hub]\nwindow = \"wide\""), false, "hub.window"),
        (yard(same()).settings("[hub]\nwindow = 7\n[queue]\nmax_age = \"3h\""), true, "[hub], [queue]: "),
        (yard(same()).filter("own/#", pipeline()), true, "filter of \"own/#\": "),
        (yard(same()).packer("packed/#", Own), true, "packer of \"packed/#\": "),
        (yard(same()).ingest(|_, _| None), true, "ingest: "),
        (yard(packed("elsewhere")), true, "route \"packed/#\": its packer "),
        (yard(base().route("packed/#", "packed", Format::Json)), true, "route \"own/#\": its filter "),
    ] {
        let error = gateway.reload(settings).await.unwrap_err();
        assert_eq!(matches!(error, Error::NeedsRestart(_)), needs_restart, "{said}: {error:?}");
        assert!(error.to_string().contains(said), "{said}: {error}");
        assert_eq!(configuration(), before, "{said}");
        sensor.publish("yard/t", r#"{"value":1.5}"#);
    }
    sensor.publish("packed/t", r#"{"value":2.5}"#);
    sensor.settle(0, 30);
    assert_eq!(hub.next().await, ("packed".to_owned(), "packed".into()), "no route takes the others");
    assert_eq!(gateway.reload(yard(same())).await.unwrap(), ReloadOutcome::InForce);
    assert_ne!(configuration(), before);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_queue_the_routes_wait_for_it_and_the_reload_does_not() {
    let (dir, mut hub) = (tempfile::tempdir().unwrap(), Hub::start().await);
    let state = dir.path().join("state");
    fs::write(&state, "in the way").unwrap();
    let settings = |to: &str| base(hub.server.local_addr()).route("#", to, Format::Raw);
    let gateway = settings("old/").start(&state).await.unwrap();
    let start = std::time::Instant::now();
    assert_eq!(gateway.reload(settings("new/")).await.unwrap(), ReloadOutcome::Pending);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let mistaken = gateway.reload(settings("wild/#/")).await.unwrap_err();
    assert!(matches!(mistaken, Error::Configuration(_)), "{mistaken:?}");
    fs::remove_file(&state).unwrap();
    let in_force =
        async { while gateway.reload(settings("new/")).await.unwrap() == ReloadOutcome::Pending {} };
    timeout(WITHIN * 2, in_force).await.unwrap();
    let mut sensor = Publisher::new(gateway.address().unwrap(), "sensor", 1);
    sensor.publish("t", "1");
    sensor.settle(0, 30);
    assert_eq!(hub.next().await, ("new/t".to_owned(), "1".into()));
    gateway.stop().await.unwrap();
}

/// As a service does at a signal, or at a request of its own.
#[tokio::test]
async fn a_task_of_the_program_reloads() {
    let dir = tempfile::tempdir().unwrap();
    let settings = || {
        let listen = ([127, 0, 0, 1], 0).into();
        Gateway::builder("site7", "mqtt://127.0.0.1:9").listen(listen).route("plant/#", "up", Format::Json)
    };
    let gateway = Arc::new(settings().start(dir.path()).await.unwrap());
    let (reloads, yard) = (gateway.clone(), settings().route("yard/#", "up/yard", Format::Json));
    let outcome = tokio::spawn(async move { reloads.reload(yard).await }).await.unwrap();
    assert_eq!(outcome.unwrap(), ReloadOutcome::InForce);
    Arc::try_unwrap(gateway).unwrap().stop().await.unwrap();
}
