#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]
//! Gateway inside another program: rows of its own ingest that nobody could deliver, settings that are made twice, starts that cannot be, and the state
//! in words.

mod support;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::ingest::{Answer, Inbound};
use edge_bridge::net::Server;
use edge_bridge::wire::{PropertiesBuilder, Utf8};
use edge_bridge::{Bridge, Row};
use edge_gateway::{Builder, Error, Format, Gateway, PackedBatch, Packer, Verdict};
use support::hub::{self, Hub};
use tokio::sync::mpsc;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(60);

async fn hub() -> (Server, mpsc::Receiver<Inbound>) {
    let (tell, arrived) = mpsc::channel(1_000);
    let note = move |_, message: &Inbound| tell.try_send(message.clone()).unwrap();
    (Server::builder().start_observer("127.0.0.1:0", note).await.unwrap(), arrived)
}

fn url(hub: &Server) -> String {
    format!("mqtt://{}", hub.local_addr())
}

async fn sensor_of(gateway: &Gateway) -> Bridge {
    let address = format!("mqtt://{}", gateway.address().unwrap());
    Bridge::builder(&address).client_id("s").start().await.unwrap()
}

/// Settings with one raw route, at a hub that does not answer.
fn settings() -> Builder {
    Gateway::builder("g", "mqtt://127.0.0.1:9").listen("127.0.0.1:0".parse().unwrap()).route(
        "#",
        "up/",
        Format::Raw,
    )
}

fn noted(text: &str) -> Row {
    let mut properties = PropertiesBuilder::new();
    properties.user("note", text).unwrap();
    let mut row = Row::new(Utf8::from_static("own/note"), "x".into());
    row.properties = properties.finish();
    row
}

/// It was: a PUBACK, and nothing for the hub.
#[tokio::test]
async fn a_row_of_the_programs_ingest_that_nobody_takes_leaves_its_message_a_dead_letter() {
    let (dir, (hub, mut arrived)) = (tempfile::tempdir().unwrap(), hub().await);
    let own = |message: &Inbound| {
        let row = |topic: &str| Row::new(Utf8::try_from(topic).unwrap(), message.payload.clone());
        let in_lane = |lane, topic| {
            let mut row = row(topic);
            row.lane = Some(lane);
            row
        };
        let rows = match message.topic.as_str() {
            "lane" => vec![row("own/first"), in_lane(2, "own/lane")],
            "last" => vec![in_lane(1, "own/last")],
            "wild" => vec![row("a/#")],
            "empty" => vec![row("")],
            "large" => vec![Row::new(Utf8::try_from("own/large").unwrap(), vec![b'x'; 384 * 1024].into())],
            "heavy" => {
                let mut heavy = row("own/heavy");
                heavy.weight = 101;
                vec![row("own/light"), heavy]
            }
            // The first lane holds an eighth.
            "heavy-alarm" => {
                let mut heavy = in_lane(0, "own/heavy");
                heavy.weight = 13;
                vec![heavy]
            }
            "control" => return Some(Answer::Withhold(vec![row("a\u{1}b")])),
            "deep" => vec![row(&"a/".repeat(200))],
            "note" => vec![noted("line 1\nline 2")],
            _ => return None,
        };
        Some(Answer::Store(rows))
    };
    let gateway = Gateway::builder("g", &url(&hub))
        .listen("127.0.0.1:0".parse().unwrap())
        .route("#", "up/", Format::Raw)
        .settings("[queue]\nmax_messages = 100\nlanes = [\"alarm\", \"telemetry\"]")
        .ingest(move |_, message| own(message))
        .start(dir.path().join("state"))
        .await
        .unwrap();
    let sensor = sensor_of(&gateway).await;
    let topics =
        ["lane", "last", "wild", "empty", "large", "heavy", "heavy-alarm", "control", "deep", "note"];
    for topic in topics.into_iter().chain(["end"]) {
        drop(sensor.publish(topic, "x").await.unwrap());
    }
    let expected = [
        "dead-letter/control",
        "dead-letter/deep",
        "dead-letter/empty",
        "dead-letter/heavy",
        "dead-letter/heavy-alarm",
        "dead-letter/lane",
        "dead-letter/large",
        "dead-letter/note",
        "dead-letter/wild",
        "own/last",
        "up/end",
    ];
    let mut topics = std::collections::BTreeSet::new();
    while topics.len() < expected.len() {
        let message = timeout(WITHIN, arrived.recv()).await.unwrap_or_else(|_| panic!("only {topics:?}"));
        topics.insert(message.unwrap().topic.to_string());
    }
    assert_eq!(topics.into_iter().collect::<Vec<_>>(), expected, "and no first row of a refused message");
    assert_eq!(gateway.status().await.lost, 0);
    gateway.stop().await.unwrap();
}

#[derive(Debug)]
struct Named(&'static str);

impl Packer for Named {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn pack(&mut self, _: &PackedBatch<'_>) -> Bytes {
        self.0.into()
    }
}

/// It was: the first of two packers, and the last of all else.
#[tokio::test]
async fn what_is_set_twice_has_its_last_value() {
    let (dir, (hub, mut arrived)) = (tempfile::tempdir().unwrap(), hub().await);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::builder("g", "mqtt://127.0.0.1:9")
        .listen(free)
        .listen("127.0.0.1:0".parse().unwrap())
        .settings("[hub]\nurl = \"mqtt://127.0.0.1:8\"")
        .settings(&format!("[hub]\nurl = \"{}\"", url(&hub)))
        .settings("[[route]]\nmatch = \"a/#\"\nto = \"up\"\nformat = \"cbor\"\nbatch_max = 1")
        .settings("[[route]]\nmatch = \"b/#\"\nto = \"up\"\nformat = \"cbor\"\nbatch_max = 1")
        .packer("a/#", Named("first"))
        .packer("b/#", Named("second"))
        .packer("b/#", Named("third"))
        .ingest(|_, _| Some(Answer::Absorb))
        .ingest(|_, _| None)
        .start(dir.path().join("state"))
        .await
        .unwrap();
    assert_ne!(gateway.address(), Some(free));
    let sensor = sensor_of(&gateway).await;
    drop(sensor.publish("a/t", r#"{"value":1.5}"#).await.unwrap());
    assert_eq!(timeout(WITHIN, arrived.recv()).await.unwrap().unwrap().payload, "third");
    gateway.stop().await.unwrap();
}

/// It was: left out, so that nothing seemed to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_messages_are_in_the_status() {
    let (dir, hub) = (tempfile::tempdir().unwrap(), Hub::start());
    hub.answer(|_, _| hub::Answer::Ack(0x97));
    let gateway = Gateway::builder("g", &format!("mqtt://{}", hub.address))
        .listen("127.0.0.1:0".parse().unwrap())
        .route("#", "up/", Format::Raw)
        .start(dir.path().join("state"))
        .await
        .unwrap();
    let sensor = sensor_of(&gateway).await;
    for n in 0..200 {
        let stored = sensor.publish("a", format!("{n}")).await.unwrap();
        timeout(WITHIN, stored).await.unwrap().unwrap();
    }
    let all_are_told = async {
        loop {
            let status = gateway.status().await;
            let (queued, parked) = status.queued.zip(status.parked).unwrap();
            if parked > 0 && queued + parked == 200 {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let status = timeout(WITHIN, all_are_told).await.unwrap();
    assert_eq!((status.verdict, status.lost), (Verdict::Degraded, 0));
    assert!(status.reason.contains("refuses"), "{status:?}");
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_state_that_cannot_be_is_an_error_or_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let error = settings().start("").await.map(drop).unwrap_err();
    assert!(matches!(&error, Error::Configuration(text) if text.contains("empty path")), "{error}");
    let file = dir.path().join("file");
    std::fs::write(&file, "no directory").unwrap();
    for (state, why) in [(file.clone(), "it is no directory"), (file.join("below"), "ot a directory")] {
        let gateway = settings().start(&state).await.unwrap();
        let status = gateway.status().await;
        assert!(status.reason.contains(why), "{status:?}");
        assert_eq!((status.verdict, status.queued, status.parked), (Verdict::Degraded, None, None));
        gateway.stop().await.unwrap();
    }
}

/// It was: a panic, or "task 112 panicked".
#[test]
fn a_start_without_what_it_needs_of_tokio_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut start = pin!(settings().start(dir.path().join("outside")));
    let Poll::Ready(outside) = start.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits");
    };
    let error = outside.map(drop).unwrap_err().to_string();
    assert!(error.contains("no tokio runtime"), "{error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let error = runtime.block_on(settings().start(dir.path().join("timers"))).map(drop).unwrap_err();
    assert!(error.to_string().contains("enable_time"), "{error}");
}

/// It was: the line, with the value of the mistyped key.
#[tokio::test]
async fn an_error_of_the_settings_shows_no_value_of_a_mistyped_key() {
    let dir = tempfile::tempdir().unwrap();
    for (wrong, said) in [
        ("[hub]\npasword = \"topsecret\"", "hub.pasword: unknown key"),
        ("[hub]\npassword = topsecret", "syntax"),
        ("[local]\nclient = { token = \"topsecret\" }", "local.client: unknown key"),
    ] {
        let error = settings().settings(wrong).start(dir.path()).await.map(drop).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("topsecret"), "{error}");
    }
}
