#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]
//! A gateway inside another program: the example, each part that can be replaced, and what is refused.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_bridge::ingest::{Answer, Inbound};
use edge_bridge::net::Server;
use edge_bridge::wire::{PropertyId, Utf8};
use edge_bridge::{Bridge, Row};
use edge_codec::Value;
use edge_gateway::{Error, Format, Gateway, PackedBatch, Packer, Reading};
use support::hub::{self, Hub};
use support::wait_until;
use tokio::sync::mpsc;
use tokio::time::timeout;

#[path = "../examples/embedded.rs"]
mod embedded;

const WITHIN: Duration = Duration::from_secs(20);

#[test]
fn the_example_ends_within_ten_seconds() {
    let start = Instant::now();
    embedded::main().unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

async fn hub() -> (Server, mpsc::Receiver<Inbound>) {
    let (tell, arrived) = mpsc::channel(1_000);
    let note = move |_, message: &Inbound| tell.try_send(message.clone()).unwrap();
    (Server::builder().start_observer("127.0.0.1:0", note).await.unwrap(), arrived)
}

fn url(hub: &Server) -> String {
    format!("mqtt://{}", hub.local_addr())
}

/// Sensors and numbers, as lines; nothing that is longer than `max` bytes is made without a complaint.
#[derive(Debug)]
struct Lines;

impl Packer for Lines {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn pack(&mut self, batch: &PackedBatch<'_>) -> Bytes {
        let line = |(_, reading): &(u64, Reading<'_>)| match reading.value {
            Value::F64(value) => format!("{} {value:?}\n", reading.sensor),
            ref other => panic!("{other:?}"),
        };
        assert!(batch.id.is_some(), "the rows have identities");
        batch.readings.iter().map(line).collect::<String>().into()
    }
}

#[tokio::test]
async fn batches_are_encoded_by_the_programs_packer_and_cut_to_the_size_of_a_message() {
    let (dir, (hub, mut arrived)) = (tempfile::tempdir().unwrap(), hub().await);
    let route = "[[route]]\nmatch = \"plant/#\"\nto = \"up\"\nformat = \"cbor\"\nbatch_max = \"256B\"\nbatch_age = \"300ms\"";
    let gateway = Gateway::builder("g", &url(&hub))
        .listen("127.0.0.1:0".parse().unwrap())
        .settings(route)
        .packer("plant/#", Lines)
        .start(dir.path().join("state"))
        .await
        .unwrap();
    let address = format!("mqtt://{}", gateway.address().unwrap());
    let sensor = Bridge::builder(&address).client_id("s").start().await.unwrap();
    let readings: Vec<String> = (0..60).map(|n| format!("{{\"value\":{n}.5}}")).collect();
    let _receipt = sensor.publish("plant/temperature", format!("[{}]", readings.join(","))).await.unwrap();
    let mut lines = Vec::new();
    let mut messages = 0;
    while lines.len() < 60 {
        let message = timeout(WITHIN, arrived.recv()).await.unwrap().unwrap();
        assert!(message.payload.len() <= 256 && message.topic.as_str() == "up", "{message:?}");
        assert_eq!(message.properties.str(PropertyId::ContentType), Some("text/plain"));
        lines.extend(std::str::from_utf8(&message.payload).unwrap().lines().map(str::to_owned));
        messages += 1;
    }
    let expected: Vec<_> = (0..60).map(|n| format!("plant/temperature {n}.5")).collect();
    assert_eq!(lines, expected, "each once, in order");
    assert!(messages > 4, "{messages}");
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn the_programs_ingest_is_asked_first_and_what_it_leaves_goes_by_the_routes() {
    let (dir, (hub, mut arrived)) = (tempfile::tempdir().unwrap(), hub().await);
    let own = |message: &Inbound| {
        let topic = Utf8::try_from("own/doubled").unwrap();
        let payload = [message.payload.as_ref(), message.payload.as_ref()].concat();
        Answer::Store(vec![Row::new(topic, Bytes::from(payload))])
    };
    let gateway = Gateway::builder("g", &url(&hub))
        .listen("127.0.0.1:0".parse().unwrap())
        .route("#", "up/", Format::Raw)
        .ingest(move |_, message| (message.topic.as_str() == "double").then(|| own(message)))
        .start(dir.path().join("state"))
        .await
        .unwrap();
    let address = format!("mqtt://{}", gateway.address().unwrap());
    let sensor = Bridge::builder(&address).client_id("s").start().await.unwrap();
    for topic in ["double", "single"] {
        let _receipt = sensor.publish(topic, "ab").await.unwrap();
    }
    let mut messages = Vec::new();
    while messages.len() < 2 {
        let message = timeout(WITHIN, arrived.recv()).await.unwrap().unwrap();
        messages.push((message.topic.to_string(), message.payload));
    }
    messages.sort();
    assert_eq!(messages, [("own/doubled".to_owned(), "abab".into()), ("up/single".to_owned(), "ab".into())]);
    gateway.stop().await.unwrap();
}

/// Rows of the program's own count as many readings as they weigh, also where a person looks at what is refused. A program that answers its
/// message itself has it answered once: no route takes it, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_rows_of_the_programs_ingest_count_by_their_weight_where_they_are_copied() {
    let (dir, hub) = (tempfile::tempdir().unwrap(), Hub::start());
    hub.answer(|_, _| hub::Answer::Ack(0x97));
    let own = |message: &Inbound| {
        let mut row = Row::new(Utf8::from_static("own"), message.payload.clone());
        row.weight = 5;
        Answer::Store(vec![row])
    };
    let state = dir.path().join("state");
    let gateway = Gateway::builder("g", &format!("mqtt://{}", hub.address))
        .listen("127.0.0.1:0".parse().unwrap())
        .route("#", "up/", Format::Raw)
        .ingest(move |_, message| match message.topic.as_str() {
            "absorbed" => Some(Answer::Absorb),
            _ => Some(own(message)),
        })
        .start(&state)
        .await
        .unwrap();
    let address = format!("mqtt://{}", gateway.address().unwrap());
    let sensor = Bridge::builder(&address).client_id("s").start().await.unwrap();
    for (n, topic) in (1..).zip(["absorbed", "a", "b", "c"]) {
        let stored = sensor.publish(topic, format!("{n}")).await.unwrap();
        timeout(WITHIN, stored).await.unwrap().unwrap();
    }
    let exported = |file: &Path| {
        let _ = std::fs::remove_file(file);
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
        let output =
            command.args(["parked", "export"]).arg(file).arg("--state").arg(&state).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // Not while some are on their way to the hub.
    wait_until("a copy of all", 20, || {
        exported(&dir.path().join("copy")).starts_with("3 messages with 15 readings exported")
    });
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let base = || {
        Gateway::builder("g", "mqtt://127.0.0.1:9").listen("127.0.0.1:0".parse().unwrap()).route(
            "plant/#",
            "up",
            Format::Json,
        )
    };
    let pipeline = || edge_filter::Pipeline::builder().build();
    for (builder, said) in [
        (base().settings("[queue"), "queue"),
        (base().settings("[queue]\nmax_byte = 1"), "max_byte"),
        (base().filter("other/#", pipeline()), "other/#"),
        (base().route("raw/#", "x/", Format::Raw).filter("raw/#", pipeline()), "raw/#"),
        (base().packer("other/#", Lines), "other/#"),
        (base().route("raw/#", "x/", Format::Raw).packer("raw/#", Lines), "raw/#"),
        (Gateway::builder("g", "mqtt://127.0.0.1:9").route("#", "up", Format::Json), "local"),
    ] {
        let error = builder.start(dir.path().join("state")).await.map(drop).unwrap_err();
        assert!(matches!(&error, Error::Configuration(text) if text.contains(said)), "{said}: {error}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_dropped_leaves_its_queue_to_the_next() {
    let (dir, (hub, _arrived)) = (tempfile::tempdir().unwrap(), hub().await);
    let start = || {
        Gateway::builder("g", &url(&hub))
            .listen("127.0.0.1:0".parse().unwrap())
            .route("#", "up/", Format::Raw)
            .start(dir.path().join("state"))
    };
    drop(start().await.unwrap());
    let opened = async {
        loop {
            match start().await {
                Ok(gateway) => break gateway,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    timeout(WITHIN, opened).await.unwrap().stop().await.unwrap();
}

/// Its directory comes later, as a disk that is mounted, with a queue whose lanes no attempt can open under other names.
#[tokio::test]
async fn a_gateway_that_ends_by_itself_tells_whoever_waits_for_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (full, state) = (dir.path().join("full"), dir.path().join("state"));
    let settings = || {
        Gateway::builder("g", "mqtt://127.0.0.1:9").listen("127.0.0.1:0".parse().unwrap()).route(
            "#",
            "up/",
            Format::Raw,
        )
    };
    let first = settings().start(&full).await.unwrap();
    let sensor = Bridge::builder(&format!("mqtt://{}", first.address().unwrap()))
        .client_id("s")
        .start()
        .await
        .unwrap();
    let stored = sensor.publish("plant/a", "waits").await.unwrap();
    timeout(WITHIN, stored).await.unwrap().unwrap();
    let ended = first.ended();
    first.stop().await.unwrap();
    timeout(WITHIN, ended).await.unwrap();

    std::fs::write(&state, "no directory").unwrap();
    let second = settings().settings("[queue]\nlanes = [\"one\", \"two\"]").start(&state).await.unwrap();
    let ended = tokio::spawn(second.ended());
    assert!(timeout(Duration::from_millis(300), second.ended()).await.is_err(), "it is tried again");
    std::fs::remove_file(&state).unwrap();
    std::fs::rename(&full, &state).unwrap();
    timeout(WITHIN, ended).await.unwrap().unwrap();
    let why = second.stop().await.unwrap_err().to_string();
    assert!(why.contains("queue.lanes: 1 message waits"), "{why}");
}
