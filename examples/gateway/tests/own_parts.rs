#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]
//! Parts that a program brought and that panic or are slow: each costs only itself, and is said.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::Bridge;
use edge_bridge::ingest::Inbound;
use edge_bridge::net::Server;
use edge_bridge::wire::PropertyId;
use edge_filter::reduce::{Number, Settlement, Stage, Verdict};
use edge_filter::{Cost, DropReason, ErrorBound, LossBound, Pipeline, Quality, Rule, Value};
use edge_gateway::{Builder, Format, Gateway, PackedBatch, Packer};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[path = "../examples/own_packer.rs"]
mod own_packer;

const WITHIN: Duration = Duration::from_secs(20);

#[test]
fn the_example_of_a_packer_brings_its_lines_to_the_hub() {
    own_packer::main().unwrap();
}

/// Lines of the log of all tests here.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let start = || {
            let log = Log::default();
            let writer = log.clone();
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
            log
        };
        LOG.get_or_init(start).clone()
    }

    fn lines_of(&self, part: &str) -> Vec<String> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&text).into_owned();
        let part = format!("part={part:?}");
        text.lines().filter(|line| line.contains(&part)).map(str::to_owned).collect()
    }
}

struct Rig {
    gateway: Gateway,
    sensor: Bridge,
    hub: Server,
    arrived: mpsc::Receiver<Inbound>,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn start(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (tell, arrived) = mpsc::channel(1_000);
        let note = move |_, message: &Inbound| tell.try_send(message.clone()).unwrap();
        let hub = Server::builder().start_observer("127.0.0.1:0", note).await.unwrap();
        let builder = Gateway::builder("g", &format!("mqtt://{}", hub.local_addr()));
        let builder = configure(builder.listen("127.0.0.1:0".parse().unwrap()));
        let gateway = builder.start(dir.path().join("state")).await.unwrap();
        let address = format!("mqtt://{}", gateway.address().unwrap());
        let sensor = Bridge::builder(&address).client_id("s").start().await.unwrap();
        Self { gateway, sensor, hub, arrived, _dir: dir }
    }

    async fn publish(&self, topic: &str, payload: &str) {
        drop(self.sensor.publish(topic, payload.to_owned()).await.unwrap());
    }

    async fn next(&mut self) -> Inbound {
        timeout(WITHIN, self.arrived.recv()).await.unwrap().unwrap()
    }

    async fn stop(self) {
        let _ = self.sensor.close().await.unwrap();
        self.gateway.stop().await.unwrap();
        self.hub.shutdown(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_message_at_which_the_ingest_panics_goes_as_it_came_and_the_next_by_its_route() {
    let log = Log::start();
    let mut rig = Rig::start(|builder| {
        builder.route("#", "up/", Format::Raw).ingest(|_, message| match message.topic.as_str() {
            "bad" => panic!("planted"),
            _ => None,
        })
    })
    .await;
    for topic in ["bad", "bad", "good"] {
        rig.publish(topic, "x").await;
    }
    let mut topics = Vec::new();
    while topics.len() < 3 {
        topics.push(rig.next().await.topic.to_string());
    }
    topics.sort();
    assert_eq!(topics, ["dead-letter/bad", "dead-letter/bad", "up/good"]);
    // A machine that stands still may have it slow, too.
    let lines: Vec<_> = log.lines_of("ingest").into_iter().filter(|line| !line.contains("is slow")).collect();
    assert!(lines.len() == 1 && lines[0].contains("has panicked"), "{lines:?}");
    rig.stop().await;
}

/// Names the numbers; panics at 13, and at 99 works until the test has seen enough of that, half a minute at most.
#[derive(Clone, Debug, Default)]
struct Names {
    is_packing: Arc<AtomicBool>,
    is_seen: Arc<AtomicBool>,
}

impl Packer for Names {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn pack(&mut self, batch: &PackedBatch<'_>) -> Bytes {
        let is = |number: f64| {
            batch.readings.iter().any(|(_, reading)| reading.value == edge_codec::Value::F64(number))
        };
        assert!(!is(13.5), "planted");
        if is(99.5) && !self.is_packing.swap(true, Ordering::SeqCst) {
            for _ in 0..300 {
                std::thread::sleep(Duration::from_millis(100));
                if self.is_seen.load(Ordering::SeqCst) {
                    break;
                }
            }
            self.is_packing.store(false, Ordering::SeqCst);
        }
        "named".into()
    }
}

const ROUTE: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up\"\nformat = \"cbor\"\nbatch_max = 1";

#[tokio::test]
async fn readings_at_which_the_packer_panics_go_as_json_and_others_as_it_says() {
    let log = Log::start();
    let mut rig = Rig::start(|builder| builder.settings(ROUTE).packer("plant/#", Names::default())).await;
    rig.publish("plant/t", r#"[{"value":13.5},{"value":14.5}]"#).await;
    let mut payloads = Vec::new();
    while payloads.len() < 2 {
        let message = rig.next().await;
        let content_type = message.properties.str(PropertyId::ContentType).unwrap().to_owned();
        payloads.push((content_type, String::from_utf8_lossy(&message.payload).into_owned()));
    }
    payloads.sort();
    assert!(payloads[0].0.contains("json") && payloads[0].1.contains("13.5"), "{payloads:?}");
    assert_eq!(payloads[1], ("text/plain".to_owned(), "named".to_owned()));
    let lines = log.lines_of("packer of \"plant/#\"");
    assert!(lines.iter().any(|line| line.contains("has panicked") && line.contains("JSON")), "{lines:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_slow_packer_keeps_no_sensor_waiting() {
    let (log, names) = (Log::start(), Names::default());
    let (slow, is_packing) = (names.clone(), names.is_packing);
    let mut rig =
        Rig::start(|builder| builder.settings(&ROUTE.replace("plant", "slow")).packer("slow/#", slow)).await;
    rig.publish("slow/t", r#"{"value":99.5}"#).await;
    let begins = async {
        while !is_packing.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(WITHIN, begins).await.unwrap();
    let receipt = rig.sensor.publish("slow/t", r#"{"value":1.5}"#).await.unwrap();
    timeout(WITHIN, receipt).await.unwrap().unwrap();
    assert!(is_packing.load(Ordering::SeqCst), "the sensor was acknowledged while the packer worked");
    names.is_seen.store(true, Ordering::SeqCst);
    assert_eq!([rig.next().await.payload, rig.next().await.payload], ["named", "named"]);
    let lines = log.lines_of("packer of \"slow/#\"");
    assert!(lines.len() == 1 && lines[0].contains("is slow"), "{lines:?}");
    rig.stop().await;
}

/// Drops every value; panics at 13.
#[derive(Clone, Debug)]
struct Nothing;

impl Cost for Nothing {
    fn error_bound(&self) -> ErrorBound {
        ErrorBound::NoneStated
    }

    fn loss_bound(&self) -> LossBound {
        LossBound::Nothing
    }
}

impl Stage for Nothing {
    fn process(&mut self, _: i64, value: Number, _: Quality, _: &mut dyn FnMut(Settlement)) -> Verdict {
        assert!(value.as_f64() < 13.0, "planted");
        Verdict::Drop(DropReason::Compressed)
    }

    fn passed(&mut self, _: i64, _: &Value<'_>, _: Quality) {}

    fn copied(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

#[tokio::test]
async fn a_reading_at_which_a_stage_panics_passes_and_the_stage_goes_on() {
    let log = Log::start();
    let pipeline = Pipeline::builder().rule("#", Rule::new().reducer(Nothing)).unwrap().build();
    let mut rig =
        Rig::start(|builder| builder.route("stage/#", "up", Format::Json).filter("stage/#", pipeline)).await;
    let reading = |(ts, value): (usize, f64)| format!("{{\"value\":{value},\"ts\":{ts}}}");
    let readings: Vec<_> = [1.5, 2.0, 13.5, 14.5, 3.0, 3.5].into_iter().enumerate().map(reading).collect();
    rig.publish("stage/t", &format!("[{}]", readings.join(","))).await;
    rig.publish("stage/end", r#"{"value":7.5}"#).await;
    let (mut arrived, end) = (Vec::new(), edge_codec::Value::F64(7.5));
    while !arrived.contains(&end) {
        let payload = rig.next().await.payload;
        for reading in edge_codec::Format::Json.decode(&payload, &edge_codec::Limits::default()).unwrap() {
            arrived.push(reading.unwrap().value.into_owned());
        }
    }
    let has = |value: f64| arrived.contains(&edge_codec::Value::F64(value));
    assert!(has(1.5) && !has(2.0), "a first reading passes anyway: {arrived:?}");
    assert!(has(13.5) && has(14.5) && !has(3.5), "{arrived:?}");
    let lines: Vec<_> =
        log.lines_of("filter of \"stage/#\"").into_iter().filter(|line| !line.contains("is slow")).collect();
    assert!(lines.len() == 1 && lines[0].contains("unfiltered"), "{lines:?}");
    rig.stop().await;
}
