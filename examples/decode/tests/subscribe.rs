#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `subscribe` at a real Mosquitto.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;

use support::mosquitto::Mosquitto;
use support::publisher::Publisher;
use support::relay::Relay;
use support::subscriber::{BATCH, PROBE, Subscriber, TABLE, batch, table};
use support::{BINARY, wait_until};

/// A table that was retained long ago, one that comes after the batch, and one that never comes.
#[test]
fn tables_are_fetched_below_the_topic_remembered_and_missed_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let (early, late, never) = (table("early"), table("late"), table("never"));
    broker.publish(dir, "edge/a/table/g1", TABLE, true, early.bytes());
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (kept, rejects) = (file("tables"), file("rejects"));
    let arguments = ["--topic", "edge/+", "--tables", &kept, "--rejects", &rejects];
    let subscriber = Subscriber::start(dir, "one", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/a", BATCH, false, &batch(&early, 1));
    wait_until("the retained table was fetched", || subscriber.times("early") == [1]);
    broker.publish(dir, "edge/a", BATCH, false, &batch(&late, 2));
    broker.publish(dir, "edge/a", BATCH, false, &batch(&early, 3));
    wait_until("others are not held up", || subscriber.times("early") == [1, 3]);
    broker.publish(dir, "edge/a/table/g2", TABLE, true, late.bytes());
    wait_until("the batch that waited is printed", || subscriber.times("late") == [2]);
    broker.publish(dir, "edge/b", BATCH, false, &batch(&never, 4));
    broker.publish(dir, "edge/b", BATCH, false, b"?");
    wait_until("what cannot be read is told", || {
        let said = subscriber.said();
        ["did not come within 10 s", "edge/b: 1 bytes: "].iter().all(|part| said.contains(part))
    });
    assert_eq!(subscriber.interrupt().code(), Some(1), "something could not be read");
    // A new process knows the tables of the old one, retained or not.
    broker.publish(dir, "edge/a/table/g1", None, true, b"");
    let again = Subscriber::start(dir, "two", &broker, &arguments);
    again.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/a", BATCH, false, &batch(&early, 5));
    wait_until("by the table in the folder", || again.times("early") == [5]);
    assert_eq!(again.interrupt().code(), Some(0), "Ctrl-C is a clean end");
}

/// D8: hubs scale by groups. Each batch goes to one member, and both members have the table, which is not shared.
#[test]
fn two_members_of_a_group_get_disjoint_batches_and_the_same_table() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let shared = table("shared");
    broker.publish(dir, "edge/plant/table/g", TABLE, true, shared.bytes());
    let arguments = ["--topic", "edge/#", "--share", "readers"];
    let members = ["one", "two"].map(|name| Subscriber::start(dir, name, &broker, &arguments));
    for member in &members {
        member.hears(dir, &broker, "edge/probe");
    }
    (0..40).for_each(|time| broker.publish(dir, "edge/plant", BATCH, false, &batch(&shared, time)));
    let times = || members.each_ref().map(|member| member.times("shared"));
    wait_until("every batch is printed", || times().concat().len() >= 40);
    let [one, two] = times();
    assert!(!one.is_empty() && !two.is_empty(), "{one:?} {two:?}");
    let all: BTreeSet<i64> = one.iter().chain(&two).copied().collect();
    assert_eq!((all.len(), one.len() + two.len()), (40, 40), "each once: {one:?} {two:?}");
    for member in members {
        assert_eq!(member.interrupt().code(), Some(0));
    }
}

/// Batch and table over TLS, with a certificate on both sides; without ours the hub hangs up, and that is said.
#[test]
fn batches_and_tables_come_over_tls_and_a_reader_without_a_certificate_is_told_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start_tls(dir);
    let secure = table("secure");
    broker.publish(dir, "edge/plant/table/g", TABLE, true, secure.bytes());
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (file("ca.crt"), file("reader.crt"), file("reader.key"));
    let arguments = ["--topic", "edge/+", "--ca", &ca, "--cert", &cert, "--key", &key];
    let subscriber = Subscriber::start(dir, "secure", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/plant", BATCH, false, &batch(&secure, 7));
    wait_until("it is read with its table", || subscriber.times("secure") == [7]);
    assert_eq!(subscriber.interrupt().code(), Some(0));

    let url = broker.url();
    let output = Command::new(BINARY).args(["subscribe", &url, "--topic", "edge/+", "--ca", &ca]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no connection within 15 s: "), "{said}");
    assert!(said.to_lowercase().contains("certificate"), "{said}");
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_before_anything_is_dialled() {
    for (arguments, said) in [
        (&["mqtts://localhost"][..], "--ca"),
        (&["http://localhost"], "mqtt://HOST:PORT"),
        (&["mqtt://localhost", "--ca", "no-such-file"], "no-such-file"),
    ] {
        let output =
            Command::new(BINARY).arg("subscribe").args(arguments).args(["--topic", "x"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{text}");
    }
}

/// It was: 57 000 SUBSCRIBE a second, and no end.
/// A hub that accepts the connection and answers nothing but pings: its reader is told once, and waits.
#[test]
fn a_hub_that_never_answers_the_subscription_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", hub.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in hub.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while client.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {
                    let answer: &[u8] = match buffer[0] {
                        0x10 => &[0x20, 3, 0, 0, 0],
                        0xc0 => &[0xd0, 0],
                        _ => &[],
                    };
                    client.write_all(answer).unwrap();
                }
            });
        }
    });
    let subscriber = Subscriber::spawn_at(dir.path(), "one", &url, &["--topic", "edge/#"]);
    let line = "the hub has not answered the subscription to edge/# within 10 s";
    wait_until("it is told", || subscriber.said().contains(line));
    assert_eq!(subscriber.said().matches(line).count(), 1);
    assert_eq!(subscriber.interrupt().code(), Some(0), "it waited for the answer");
}

/// The login as `edge-gateway fleet` has it, and by the names that were there before.
#[test]
fn the_login_is_taken_from_a_file_or_from_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "of the file\n").unwrap();
    for (arguments, password) in [
        (&["--user", "reader", "--password-file", file.to_str().unwrap()][..], "of the file"),
        (&["--username", "reader"], "of the environment"),
        (&["--user", "reader"], "of the environment"),
    ] {
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("mqtt://{}", hub.local_addr().unwrap());
        let mut command = Command::new(BINARY);
        command.args(["subscribe", &url, "--topic", "x"]).args(arguments);
        let mut subscriber = command.env("EDGE_DECODE_PASSWORD", "of the environment").spawn().unwrap();
        let (mut client, _) = hub.accept().unwrap();
        let mut buffer = [0; 4096];
        let bytes = client.read(&mut buffer).unwrap();
        subscriber.kill().unwrap();
        subscriber.wait().unwrap();
        let fields = [("reader", 6), (password, password.len())];
        let login: Vec<u8> = fields
            .iter()
            .flat_map(|(text, len)| [&[0, u8::try_from(*len).unwrap()], text.as_bytes()].concat())
            .collect();
        assert!(buffer[..bytes].ends_with(&login), "{arguments:?}");
    }
    let without =
        Command::new(BINARY).args(["subscribe", "mqtt://h", "--topic", "x", "--password-file", "f"]).output();
    assert_eq!(without.unwrap().status.code(), Some(2), "a password without its user");
}

#[test]
fn a_refused_subscription_is_an_end_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start_without_subscriptions(dir);
    let subscriber = Subscriber::spawn(dir, "refused", &broker, &["--topic", "edge/#"]);
    assert_eq!(subscriber.ends().code(), Some(1));
    let said = std::fs::read_to_string(dir.join("refused.log")).unwrap();
    assert!(said.contains("the hub refused the subscription to edge/#: "), "{said}");
    assert!(said.contains("0x87"), "{said}");
}

/// The README's own command: raw messages, tables and batches come by one filter.
#[test]
fn raw_messages_and_readings_under_one_filter_are_all_lines() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let known = table("known");
    let subscriber = Subscriber::start(dir, "all", &broker, &["--topic", "edge/#"]);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/plant/7", None, false, b"21.5");
    broker.publish(dir, "edge/plant/8", Some("image/png"), false, b"\xff\xd8");
    // Raw routes pass the publisher's content type on; it was: malformed, and nothing behind it acknowledged.
    let kind = |kind: &'static [u8]| [b"content-type".as_slice(), kind];
    let id: &[&[u8]] = &[b"user-property", b"edge-id", b"0102030405060708-1-12c-1072"];
    broker.publish_with("edge/plant/9", &[&kind(b"application/json"), id], r#"{"value":1}"#);
    broker.publish_with("edge/plant/10", &[&kind(b"application/cbor"), id], "21.5");
    broker.publish_with("edge/plant/11", &[&kind(b"application/json")], r#"{"id":7,"value":1}"#);
    broker.publish(dir, "edge/a/table/g", TABLE, true, known.bytes());
    broker.publish(dir, "edge/a", BATCH, false, &batch(&known, 5));
    wait_until("the batch is read", || subscriber.times("known") == [5]);
    let lines = subscriber.lines();
    let has = |line: &str| lines.iter().any(|l| l == line);
    assert!(has(r#"{"topic":"edge/plant/7","text":"21.5"}"#), "{lines:?}");
    assert!(has(r#"{"topic":"edge/plant/8","content_type":"image/png","base64":"/9g="}"#), "{lines:?}");
    let raw = |n: u8, rest: &str| {
        lines.iter().any(|l| l.starts_with(&format!("{{\"topic\":\"edge/plant/{n}\"")) && l.ends_with(rest))
    };
    assert!(raw(9, r#""text":"{\"value\":1}"}"#) && raw(10, r#""text":"21.5"}"#), "{lines:?}");
    assert!(raw(11, r#""text":"{\"id\":7,\"value\":1}"}"#), "{lines:?}");
    assert!(lines.iter().any(|l| l.starts_with(r#"{"topic":"edge/a","ts":5,"sensor":"known""#)), "{lines:?}");
    assert_eq!(subscriber.interrupt().code(), Some(0), "nothing was wrong");
}

/// The identity of a raw message is the same text in both forms; somebody else's Correlation Data is none.
#[test]
fn identities_of_raw_messages_are_shown_in_both_forms() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let subscriber = Subscriber::start(dir, "ids", &broker, &["--topic", "edge/#"]);
    subscriber.hears(dir, &broker, "edge/probe");
    let binary: &[&[u8]] = &[b"correlation-data", &[0xf9, 1, 2, 3, 4, 5, 6, 7, 8, 0xac, 2, 0xf2, 0x20]];
    let foreign: &[&[u8]] = &[b"correlation-data", b"17, of the panel"];
    let text: &[&[u8]] = &[b"user-property", b"edge-id", b"0102030405060708-1-12c-1072"];
    let mark: &[&[u8]] = &[b"user-property", b"edge-pd", b"1"];
    broker.publish_with("edge/1", &[text], "a");
    broker.publish_with("edge/2", &[binary, mark], "b");
    broker.publish_with("edge/3", &[foreign, text], "c");
    broker.publish_with("edge/4", &[foreign], "d");
    wait_until("all are read", || subscriber.lines().iter().any(|line| line.contains("edge/4")));
    let lines = subscriber.lines();
    let id = r#""id":"0102030405060708-1-12c-1072""#;
    for (n, is_ours, is_marked) in [(1, true, false), (2, true, true), (3, true, false), (4, false, false)] {
        let line = lines.iter().find(|line| line.contains(&format!("edge/{n}"))).unwrap();
        let found = (line.contains(id), line.contains(r#""pd":true"#));
        assert_eq!(found, (is_ours, is_marked), "{line}");
        assert!(is_ours || !line.contains("\"id\""), "{line}");
    }
    assert_eq!(subscriber.interrupt().code(), Some(0), "nothing was wrong");
}

/// Mosquitto drops what is larger than its client takes, without a word; by default that was 1 MiB.
#[test]
fn a_message_of_several_mib_is_printed_and_so_is_the_one_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let subscriber = Subscriber::start(dir, "large", &broker, &["--topic", "edge/#"]);
    subscriber.hears(dir, &broker, "edge/probe");
    for (topic, bytes) in
        [("edge/a", 1_100_000), ("edge/b", 3_000_000), ("edge/c", 15_000_000), ("edge/d", 1)]
    {
        broker.publish(dir, topic, None, false, &vec![b'x'; bytes]);
    }
    wait_until("the last is printed", || subscriber.lines().iter().any(|l| l.contains("edge/d")));
    for (topic, bytes) in [("edge/a", 1_100_000), ("edge/b", 3_000_000), ("edge/c", 15_000_000)] {
        let line = format!("{{\"topic\":\"{topic}\",\"text\":\"{}\"}}", "x".repeat(bytes));
        assert_eq!(subscriber.lines().iter().filter(|l| **l == line).count(), 1, "{topic}");
    }
    println!("VmHWM: {} KiB", subscriber.peak_kib());
    assert_eq!(subscriber.interrupt().code(), Some(0));
}

/// A pipe that breaks ends it quietly, and what was not written comes to the next reader of the name.
#[test]
fn what_a_broken_pipe_did_not_take_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let known = table("known");
    broker.publish(dir, "edge/a/table/g", TABLE, true, known.bytes());
    let arguments = ["--topic", "edge/+", "--client-id", "reader"];
    let url = broker.url();
    let log = std::fs::File::create(dir.join("pipe.log")).unwrap();
    let mut child = Command::new(BINARY)
        .args(["subscribe", &url])
        .args(arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    // Its session is there when the first message comes out.
    let heard = std::thread::scope(|scope| {
        let line = scope.spawn(|| {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            line
        });
        wait_until("it hears", || {
            broker.publish(dir, "edge/a", BATCH, false, &batch(&known, 1));
            line.is_finished()
        });
        line.join().unwrap()
    });
    assert!(heard.contains("known"), "{heard}");
    drop(lines);
    broker.publish(dir, "edge/a", BATCH, false, &batch(&known, 2));
    let mut status = None;
    wait_until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let said = std::fs::read_to_string(dir.join("pipe.log")).unwrap();
    assert_eq!((status.unwrap().code(), said.as_str()), (Some(0), ""), "quietly");
    let next = Subscriber::start(dir, "next", &broker, &arguments);
    wait_until("it came again", || next.times("known").contains(&2));
    assert_eq!(next.interrupt().code(), Some(0));
}

/// It was: a copy of the batch for each new connection, and no word of what one batch does to all behind it.
#[test]
fn a_batch_that_waits_is_printed_once_however_often_the_hub_sends_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let relay = Relay::start(broker.address);
    let arguments = ["--topic", "edge/+", "--client-id", "reader"];
    let subscriber = Subscriber::spawn_at(dir, "waits", &relay.url(), &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    let late = table("late");
    (1..=2).for_each(|_| broker.publish(dir, "edge/late", BATCH, false, &batch(&late, 1)));
    subscriber.hears(dir, &broker, "edge/probe");
    wait_until("it is said", || subscriber.said().contains("from here on nothing is acknowledged"));
    let probe = |n: u8| {
        let topic = format!("edge/probe{n}");
        broker.publish(dir, &topic, Some("application/json"), false, PROBE);
        wait_until("it comes", || subscriber.lines().iter().any(|line| line.contains(&topic)));
    };
    for n in 0..2 {
        relay.cut();
        // It stands behind the batches, which have come again when it comes.
        probe(n);
    }
    broker.publish(dir, "edge/late/table/g", TABLE, true, late.bytes());
    wait_until("it is printed", || subscriber.times("late").len() >= 2);
    probe(2);
    assert_eq!(subscriber.times("late"), [1, 1], "two batches with the same bytes");
    assert_eq!(subscriber.interrupt().code(), Some(0), "all could be read in the end");
    let again = Subscriber::start(dir, "again", &broker, &arguments);
    broker.publish(dir, "edge/late", BATCH, false, &batch(&late, 2));
    wait_until("the next one comes", || again.times("late").contains(&2));
    assert_eq!(again.times("late"), [2], "the others are acknowledged");
    assert_eq!(again.interrupt().code(), Some(0));
}

/// Whoever may publish chooses topics, and how many: they must not fill the log of a reader.
#[test]
fn a_flood_of_what_cannot_be_read_has_few_and_short_lines_and_all_of_it_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let known = table("known");
    let rejects = dir.join("rejects");
    let arguments = ["--topic", "edge/#", "--rejects", rejects.to_str().unwrap()];
    let subscriber = Subscriber::start(dir, "flooded", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    let long = "x".repeat(8_000);
    let publisher = Publisher::start(&broker);
    publisher.publish((0..300).map(|n| (format!("edge/{n}/{long}"), BATCH, false, b"?".to_vec())));
    publisher.publish((0..300).map(|n| (format!("edge/{n}{long}/table/g"), TABLE, true, b"junk".to_vec())));
    publisher.publish([("edge/a/table/g".to_owned(), TABLE, true, known.bytes().to_vec())]);
    publisher.publish([("edge/a".to_owned(), BATCH, false, batch(&known, 5))]);
    wait_until("all is read", || subscriber.times("known") == [5]);
    assert_eq!(subscriber.interrupt().code(), Some(1));
    let said = std::fs::read_to_string(dir.join("flooded.log")).unwrap();
    let all = "not read: 300 malformed, 300 session tables that are none; 300 set aside";
    assert!(said.contains(all), "{}", said.len());
    // Twenty a minute: the machine may be slow.
    assert!(said.lines().count() <= 100 && said.len() < 30_000, "{} bytes", said.len());
}
