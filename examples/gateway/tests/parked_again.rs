#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! Messages that the hub refuses again and again: promise 3 over both queues, as the status says it, and a person's hand on some of them.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub};
use support::publisher::Publisher;
use support::wait_until;

const MESSAGES: usize = 100;

/// Each message that is refused again moves to the end of the parked ones, and is accepted there once more; the ledger counts it once.
#[test]
fn promise_3_a_message_that_is_refused_again_is_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, attempts) = (Hub::start(), Arc::<AtomicUsize>::default());
    let count = attempts.clone();
    hub.answer(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        Answer::Ack(0x97)
    });
    let (gateway, listen) =
        Gateway::started(dir.path(), hub.address, "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n");
    let mut sensor = Publisher::new(listen, "sensor", 50);
    (0..MESSAGES).for_each(|n| sensor.publish("plant/bad", &n.to_string()));
    sensor.settle(0, 20);
    wait_until("most of it is parked", 30, || gateway.metric("edge_parked_messages") >= Some(50.0));
    let retry = || {
        // Again while rows are still being parked.
        wait_until("a retry of all", 60, || {
            let done = Command::new(BINARY).args(["parked", "retry", "--state"]).arg(&gateway.state).output();
            done.unwrap().status.success()
        });
    };
    for _ in 0..3 {
        let before = attempts.load(Ordering::Relaxed);
        retry();
        wait_until("some are tried", 20, || attempts.load(Ordering::Relaxed) > before);
        std::thread::sleep(Duration::from_millis(300));
    }
    hub.answer(|_, _| Answer::Ack(0));
    retry();
    wait_until("all of it is at the hub", 60, || hub.count("up/plant/bad") == MESSAGES);
    wait_until("the ledger adds up", 20, || {
        let status = gateway.get("/status.json").unwrap().1;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let ledger = &status["ledger"];
        let [difference, between, delivered] =
            ["difference", "between", "delivered"].map(|key| ledger[key].as_i64());
        (difference, between) == (Some(0), Some(0)) && delivered == Some(MESSAGES as i64)
    });
}

/// Of a reader behind a thin line the copies end, since parked messages are not sent meanwhile; it is told why, and what to do.
#[test]
fn an_export_that_is_not_read_in_time_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|_, _| Answer::Ack(0x97));
    let (gateway, listen) =
        Gateway::started(dir.path(), hub.address, "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n");
    let mut sensor = Publisher::new(listen, "sensor", 50);
    (0..300).for_each(|n| sensor.publish("plant/bad", &format!("{n:05}").repeat(1_000)));
    sensor.settle(0, 60);
    wait_until("most of it is parked", 60, || gateway.metric("edge_parked_messages") >= Some(280.0));
    let mut reader = UnixStream::connect(gateway.state.join("control.sock")).unwrap();
    reader.write_all(b"export #\n").unwrap();
    let mut answer = vec![0];
    reader.read_exact(&mut answer).unwrap();
    // One copy is made at a time: another one begins when that of this reader was given up.
    done(&gateway, &["export", "-", "--topic", "no/such"]);
    reader.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let last = answer.lines().last().unwrap();
    assert!(
        answer.ends_with('\n') && last.starts_with("error the copies were not taken in time"),
        "{last:?}"
    );
    assert!(last.contains("export to a file"), "{last}");
}

fn parked(gateway: &Gateway, arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("parked").args(arguments).arg("--state").arg(&gateway.state).output().unwrap()
}

/// Asks until no row is on its way, or just being parked.
#[track_caller]
fn done(gateway: &Gateway, arguments: &[&str]) -> String {
    let mut said = String::new();
    wait_until("it is done with all", 60, || {
        let output = parked(gateway, arguments);
        said = String::from_utf8(output.stdout).unwrap();
        output.status.success()
    });
    said
}

/// Seconds until the next attempt of a topic; 0 while one is under way.
fn retry_in_s(gateway: &Gateway, topic: &str) -> u64 {
    let list = done(gateway, &["list"]);
    let row = list.lines().find(|row| row.starts_with(&format!("{topic} "))).unwrap_or_default();
    row.split_whitespace().nth(3).and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

/// Two topics that are refused, and each command for one of them.
#[test]
fn what_a_command_does_not_name_it_does_not_touch() {
    const NAMED: &str = "up/plant/bad";
    const OTHER: &str = "up/plant/worse";
    let dir = tempfile::tempdir().unwrap();
    let (hub, attempts) = (Hub::start(), Arc::<[AtomicUsize; 2]>::default());
    let counts = attempts.clone();
    hub.answer(move |topic, _| {
        counts[usize::from(topic == OTHER)].fetch_add(1, Ordering::Relaxed);
        Answer::Ack(0x97)
    });
    let tried = |of: usize| attempts[of].load(Ordering::Relaxed);
    let (gateway, listen) =
        Gateway::started(dir.path(), hub.address, "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n");
    let mut sensor = Publisher::new(listen, "sensor", 50);
    for n in 0..MESSAGES {
        ["plant/bad", "plant/worse"].iter().for_each(|topic| sensor.publish(topic, &n.to_string()));
    }
    sensor.settle(0, 20);
    wait_until("the next attempts are far away", 120, || {
        [NAMED, OTHER].iter().all(|topic| retry_in_s(&gateway, topic) >= 10)
    });

    let (far, other_s) = (Instant::now(), retry_in_s(&gateway, OTHER));
    let before = [tried(0), tried(1)];
    done(&gateway, &["retry", "--topic", NAMED]);
    wait_until("it is tried, and refused again", other_s, || {
        tried(0) > before[0] && retry_in_s(&gateway, NAMED) > 0
    });
    let left_s = retry_in_s(&gateway, OTHER);
    assert!(far.elapsed() < Duration::from_secs(other_s - 1), "too slow to tell: {:?}", far.elapsed());
    assert_eq!(tried(1), before[1], "its attempt is not due");
    assert!((1..=other_s).contains(&left_s), "{left_s} s of {other_s} s");

    let topics_of = |filter: &str| {
        let text = done(&gateway, &["export", "-", "--topic", filter]);
        let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let topics: Vec<String> = rows.map(|row| row["topic"].as_str().unwrap().to_owned()).collect();
        [NAMED, OTHER].map(|topic| topics.iter().filter(|of| *of == topic).count())
    };
    assert_eq!((topics_of(NAMED), topics_of("#")), ([MESSAGES, 0], [MESSAGES; 2]));
    done(&gateway, &["drop", "--topic", NAMED]);
    assert_eq!(topics_of("#"), [0, MESSAGES]);
}
