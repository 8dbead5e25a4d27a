//! The bridge as the local broker itself, before a real Mosquitto as hub: outages with kill -9, users and rights, changes of the file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "a test: real processes, sockets and time"
)]

#[path = "../../../edge-bridge/tests/support/mosquitto.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod mosquitto;
#[path = "../../../edge-bridge/tests/support/relay.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod relay;
#[path = "support/site.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod site;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mosquitto::{Mosquitto, free_port};
use relay::{Path as Link, Relay};
use site::{LONG, Reader, Site, conf, host, is_acknowledged, publish, until_it_carries, within};

/// A listener for everybody on loopback, and clients' commands for it.
fn open_listener() -> (Mosquitto, String) {
    let port = free_port();
    (Mosquitto::elsewhere(port), format!("listener {port} 127.0.0.1\nallow_anonymous true\n"))
}

/// Ends a publisher's loop, also where its test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `mosquitto_pub` at QoS 1; whether it was let in and its message taken.
fn is_taken(broker: &Mosquitto, topic: &str, login: Option<(&str, &str)>) -> bool {
    let mut command = mosquitto::command("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &broker.address().port().to_string(), "-V", "5"]);
    command.args(["-q", "1", "-t", topic, "-m", "x"]);
    if let Some((user, password)) = login {
        command.args(["-u", user, "-P", password]);
    }
    let output = command.output().unwrap();
    output.status.success() && output.stderr.is_empty()
}

/// Messages for which local clients have a PUBACK reach the hub, whatever is killed; the hub's commands of the outage reach local clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_and_a_kill_of_the_broker_lose_nothing_in_either_direction() {
    for version in ["mqttv50", "mqttv311"] {
        let (local, listener) = open_listener();
        let hub = Mosquitto::start("");
        let relay = Relay::start(hub.address()).await;
        let conf = format!("{listener}{}", conf(host(&relay.url()), version, "notifications false"));
        let mut site = Site::alone(&conf);
        site.run();
        let (at_hub, at_local) = (Reader::start(&hub, "site7/line/#"), Reader::start(&local, "cmd/#"));
        until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
        let mut out = publish(&local, "line/a", "site7/line/a", 0);
        relay.set(Link::Cut);
        out.extend(publish(&local, "line/a", "site7/line/a", 1));
        let mut commands = publish(&hub, "site7/cmd/a", "cmd/a", 0);
        site.kill();
        commands.extend(publish(&hub, "site7/cmd/a", "cmd/a", 1));
        // The hub has them for us before the reader is back.
        relay.set(Link::Open);
        site.run();
        out.extend(publish(&local, "line/a", "site7/line/a", 2));
        site.until("all messages at the hub", || at_hub.missing(&out).is_empty());
        site.until("all commands here", || at_local.missing(&commands).is_empty());
        assert!(site.stop().success(), "{version}");
    }
}

/// Killed with signal 9 again and again, in and between outages, while a client publishes: also in the moment in which the listener is there and the
/// connections are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_lose_nothing_that_was_acknowledged() {
    let (local, listener) = open_listener();
    let hub = Mosquitto::start("");
    let relay = Relay::start(hub.address()).await;
    let mut site =
        Site::alone(&format!("{listener}{}", conf(host(&relay.url()), "mqttv50", "notifications false")));
    let at_hub = Reader::start(&hub, "site7/line/#");
    site.run();
    let (ends, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let taken = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let topics = (0..).map(|n| format!("line/{n}")).take_while(|_| !ends.load(Ordering::Relaxed));
            let taken = topics.filter(|topic| is_taken(&local, topic, None));
            let counted = taken.inspect(|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            counted.collect::<Vec<_>>()
        });
        let end = End(&ends);
        for kill in 0..10 {
            relay.set(if kill % 3 == 1 { Link::Cut } else { Link::Open });
            std::thread::sleep(Duration::from_millis(500));
            site.until("some are taken", || count.load(Ordering::Relaxed) > 2 * (kill + 1));
            site.kill();
            site.run();
        }
        drop(end);
        publisher.join().unwrap()
    });
    relay.set(Link::Open);
    assert!(taken.len() > 20, "{}", taken.len());
    let taken: Vec<_> = taken.iter().map(|topic| format!("site7/{topic} x 0")).collect();
    site.until("all that was acknowledged", || at_hub.missing(&taken).is_empty());
    assert!(site.stop().success());
}

/// A command that the hub has its PUBACK for, and its local client not: it is on disk, and comes after a kill.
#[test]
fn a_command_that_no_client_has_acknowledged_comes_again_after_a_kill() {
    let (local, listener) = open_listener();
    let hub = Mosquitto::start("log_type all");
    let lines = conf(&hub.address().to_string(), "mqttv50", "notifications false");
    let mut site = Site::alone(&format!("{listener}{lines}"));
    let at_hub = Reader::start(&hub, "site7/line/#");
    site.run();
    let at_local = Reader::start(&local, "cmd/#");
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    at_local.signal("-STOP");
    let commands = publish(&hub, "site7/cmd/a", "cmd/a", 0);
    site.until("the hub has all PUBACKs", || {
        let log = hub.log();
        (0..commands.len()).all(|n| is_acknowledged(&log, &format!("site7/cmd/a/{n}")))
    });
    site.kill();
    site.run();
    at_local.signal("-CONT");
    site.until("all commands", || at_local.missing(&commands).is_empty());
    assert!(site.stop().success());
}

/// More commands than the queue to local clients holds wait at the hub, and come before they are given out: none takes the place of another.
#[test]
fn commands_that_find_no_room_stay_at_the_hub() {
    let (local, listener) = open_listener();
    let hub = Mosquitto::start("");
    let lines = conf(&hub.address().to_string(), "mqttv50", "notifications false");
    let mut site = Site::alone(&format!("{listener}{lines}"));
    let at_hub = Reader::start(&hub, "site7/line/#");
    site.run();
    let at_local = Reader::start(&local, "cmd/#");
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    site.kill();
    let payload = "x".repeat(700_000);
    std::fs::write(site.file("payload"), &payload).unwrap();
    let file = site.file("payload").display().to_string();
    // 14 MB.
    let commands: Vec<_> = (0..20).map(|n| format!("cmd/large/{n} {payload} 0")).collect();
    for n in 0..commands.len() {
        hub.publish(&["-q", "1", "-t", &format!("site7/cmd/large/{n}"), "-f", &file]);
    }
    site.run();
    site.until("all commands", || at_local.missing(&commands).is_empty());
    assert!(site.stop().success());
}

/// A subscriber that does not read has no limit of its own, and costs `memory_limit` at most: the others get all.
#[test]
fn a_client_that_does_not_read_costs_memory_limit_at_most() {
    const MIB: usize = 1024 * 1024;
    let (local, listener) = open_listener();
    let lines = "memory_limit 4194304\nconnection up\naddress 127.0.0.1:1\ntopic line/# out 1\n";
    let mut site = Site::alone(&format!("{listener}{lines}"));
    site.run();
    let [stuck, reads] = ["alarm/#", "alarm/+"].map(|filter| Reader::start_as(filter, &local, filter));
    let is_there = |reader: &Reader| reader.missing(&["alarm/first x 0".to_owned()]).is_empty();
    site.until("both read", || {
        local.publish(&["-q", "1", "-t", "alarm/first", "-m", "x"]);
        is_there(&stuck) && is_there(&reads)
    });
    let before = site.peak_bytes();
    stuck.signal("-STOP");
    // 40 MB, of which the kernel's buffers take a few.
    let payload = "x".repeat(200_000);
    std::fs::write(site.file("payload"), &payload).unwrap();
    let file = site.file("payload").display().to_string();
    let sent: Vec<_> = (0..200).map(|n| format!("alarm/{n} {payload} 0")).collect();
    for n in 0..sent.len() {
        local.publish(&["-q", "1", "-t", &format!("alarm/{n}"), "-f", &file]);
        // It reads, however late a busy machine lets it: what waits for it is less than what waits for the other.
        site.until("who reads is not far behind", || n < 10 || reads.has(&sent[n - 10]) > 0);
    }
    site.until("all of it at who reads", || reads.missing(&sent).is_empty());
    let grown = site.peak_bytes() - before;
    println!("grown by {} KiB", grown / 1024);
    // What it is allowed, and as much again for the heap's room between blocks.
    assert!(grown < 8 * MIB, "{grown}");
    stuck.signal("-CONT");
    assert!(site.stop().success());
}

/// Two hubs, of which one is away: a message is acknowledged and reaches both; what comes in from one goes out to the other, and not back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_connection_gets_what_its_lines_take() {
    let (local, listener) = open_listener();
    let (hub, other) = (Mosquitto::start(""), Mosquitto::start(""));
    let relay = Relay::start(other.address()).await;
    let mut site = Site::alone(&format!(
        "{listener}connection one\naddress {}\nnotifications false\nrestart_timeout 1\ntopic # both 1 \"\" a/\n\
         connection two\naddress {}\nnotifications false\nrestart_timeout 1\ntopic # out 1 \"\" b/\n",
        hub.address(),
        host(&relay.url()),
    ));
    site.run();
    let (at_hub, at_other, here) =
        (Reader::start(&hub, "a/#"), Reader::start(&other, "b/#"), Reader::start(&local, "#"));
    site.until("both hubs", || {
        local.publish(&["-q", "1", "-t", "probe", "-m", "x"]);
        at_hub.has("a/probe x 0") > 0 && at_other.has("b/probe x 0") > 0 && here.has("probe x 0") > 0
    });
    relay.set(Link::Cut);
    let taken = publish(&local, "t", "a/t", 0);
    site.until("at the hub that is there", || at_hub.missing(&taken).is_empty());
    let came = publish(&hub, "a/in", "in", 0);
    site.until("here", || here.missing(&came).is_empty());
    relay.set(Link::Open);
    let at_both = |lines: &[String], from: &str| -> Vec<String> {
        lines.iter().map(|line| format!("b/{}", line.strip_prefix(from).unwrap())).collect()
    };
    let expected = [at_both(&taken, "a/"), at_both(&came, "")].concat();
    site.until("at the other one", || at_other.missing(&expected).is_empty());
    let there: Vec<_> = came.iter().map(|line| format!("a/{line}")).collect();
    site.until("at the hub that it came from", || at_hub.missing(&there).is_empty());
    for line in came {
        assert_eq!((here.has(&line), at_hub.has(&format!("a/{line}"))), (1, 1), "{line}: once, and no echo");
    }
    assert!(site.stop().success());
}

/// Users, passwords and rights are those of Mosquitto's files, and a SIGHUP puts other ones in force without a break for who may stay.
#[test]
fn users_and_rights_are_those_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let set = |user: &str, password: &str| {
        let mut command = mosquitto::command("mosquitto_passwd");
        let create: &[&str] = if dir.path().join("users").exists() { &[] } else { &["-c"] };
        let output = command.args(create).args(["-b", &file("users"), user, password]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    set("oven", "one");
    std::fs::write(file("rights"), "user oven\ntopic write line/oven/#\n").unwrap();
    let port = free_port();
    let local = Mosquitto::elsewhere(port);
    let hub = Mosquitto::start("");
    let lines = conf(&hub.address().to_string(), "mqttv50", "notifications false");
    let mut site = Site::alone(&format!(
        "listener {port} 127.0.0.1\npassword_file {}\nacl_file {}\n{lines}",
        file("users"),
        file("rights")
    ));
    site.run();
    let at_hub = Reader::start(&hub, "site7/line/#");
    let oven = Some(("oven", "one"));
    assert!(is_taken(&local, "line/oven/1", oven));
    assert!(!is_taken(&local, "line/oven/2", None), "without a name");
    assert!(!is_taken(&local, "line/oven/2", Some(("oven", "two"))), "with another password");
    assert!(!is_taken(&local, "line/press/1", oven), "without the right");
    site.until("what was taken", || at_hub.has("site7/line/oven/1 x 0") > 0);

    set("press", "two");
    std::fs::write(file("rights"), "user press\ntopic write line/press/#\n").unwrap();
    site.signal("-HUP");
    site.until("the new user", || is_taken(&local, "line/press/2", Some(("press", "two"))));
    assert!(!is_taken(&local, "line/oven/3", oven), "the right is gone");
    std::fs::write(file("rights"), "user press\ntopic wrong line/press/#\n").unwrap();
    site.signal("-HUP");
    let log = || std::fs::read_to_string(site.file("log")).unwrap();
    site.until("the error", || log().contains("the file is not read: everything goes on as before"));
    assert!(is_taken(&local, "line/press/3", Some(("press", "two"))));
    site.until("all of it", || at_hub.has("site7/line/press/3 x 0") > 0);
    assert_eq!(at_hub.has("site7/line/oven/2 x 0") + at_hub.has("site7/line/oven/3 x 0"), 0);
    assert!(site.stop().success());
}

/// Without users and without `allow_anonymous true` nobody comes in, under no name.
#[test]
fn nobody_comes_in_where_nobody_may() {
    let port = free_port();
    let local = Mosquitto::elsewhere(port);
    let mut site = Site::alone(&format!("listener {port} 127.0.0.1\n{}", conf("127.0.0.1:1", "mqttv50", "")));
    site.run();
    for login in [None, Some(("oven", "one")), Some(("", ""))] {
        assert!(!is_taken(&local, "line/1", login), "{login:?}");
    }
    assert!(site.stop().success());
}

/// SIGHUP: a connection takes nothing out any more; a client that publishes what it took is not kept waiting.
#[test]
fn a_connection_without_out_lines_keeps_nobody_waiting() {
    let (local, listener) = open_listener();
    let both = format!("{listener}connection up\naddress 127.0.0.1:1\ntopic line/# both 1\n");
    let mut site = Site::alone(&both);
    site.run();
    assert!(is_taken(&local, "line/1", None));
    std::fs::write(site.file("bridge.conf"), both.replace("both", "in")).unwrap();
    site.signal("-HUP");
    let log = || std::fs::read_to_string(site.file("log")).unwrap();
    site.until("the change", || log().matches("started connection=").count() == 2);
    // More than a connection without a reader would hold.
    let payload = site.file("payload");
    std::fs::write(&payload, vec![b'x'; 800_000]).unwrap();
    for _ in 0..8 {
        local.publish(&["-q", "1", "-t", "line/2", "-f", payload.to_str().unwrap()]);
    }
    assert!(site.stop().success());
}

/// SIGHUP: a connection changes again and again while a client publishes, and another one goes. What was acknowledged arrives.
#[test]
fn changes_of_the_file_lose_nothing() {
    let (local, listener) = open_listener();
    let hub = Mosquitto::start("");
    let one = |keep_alive: u32| {
        format!(
            "{listener}{}keepalive_interval {keep_alive}\n",
            conf(&hub.address().to_string(), "mqttv50", "notifications false")
        )
    };
    // Nobody is there.
    let gone = "connection gone\naddress 127.0.0.1:1\ntopic # out 1\n";
    let mut site = Site::alone(&format!("{}{gone}", one(60)));
    site.run();
    let at_hub = Reader::start(&hub, "site7/line/#");
    let (ends, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let taken = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let topics = (0..).map(|n| format!("line/{n}")).take_while(|_| !ends.load(Ordering::Relaxed));
            let taken = topics.filter(|topic| is_taken(&local, topic, None));
            let counted = taken.inspect(|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            counted.collect::<Vec<_>>()
        });
        let end = End(&ends);
        let log = || std::fs::read_to_string(site.file("log")).unwrap();
        let changed = (1..=8).all(|change| {
            std::fs::write(site.file("bridge.conf"), one(60 + change)).unwrap();
            site.signal("-HUP");
            let starts = 2 + usize::try_from(change).unwrap();
            within(LONG, || log().matches("started connection=").count() == starts)
        });
        let enough = within(LONG, || count.load(Ordering::Relaxed) > 20);
        drop(end);
        let taken = publisher.join().unwrap();
        assert!(changed && enough, "{}", log());
        taken
    });
    assert!(taken.len() > 20, "{}", taken.len());
    let taken: Vec<_> = taken.iter().map(|topic| format!("site7/{topic} x 0")).collect();
    site.until("all that was acknowledged", || at_hub.missing(&taken).is_empty());
    assert!(site.stop().success());
}

/// Mosquitto's own bridge, as configured by default, reports its state here as at a Mosquitto. The state of a connection of this file stays its own.
#[test]
fn a_bridge_of_another_program_stays_and_reports_its_state() {
    for version in ["mqttv311", "mqttv50"] {
        let (local, listener) = open_listener();
        let mut site = Site::alone(&format!("{listener}{}", conf("127.0.0.1:1", version, "")));
        site.run();
        let states = Reader::start(&local, "$SYS/broker/connection/+/state");
        let seen = Reader::start_as("seen", &local, "t/#");
        let bridge = format!("connection x\naddress {}\ntopic # out 0\n", local.address());
        let more = format!("remote_clientid x\nbridge_protocol_version {version}\nlog_type all\n");
        let other = Mosquitto::start(&format!("{bridge}{more}"));
        site.until("it carries", || {
            other.publish(&["-q", "1", "-t", "t/probe", "-m", "x"]);
            seen.has("t/probe x 0") > 0
        });
        let expected = publish(&other, "t", "t", 0);
        site.until("all of it", || seen.missing(&expected).is_empty());
        site.until("its state", || states.has("$SYS/broker/connection/x/state 1 0") > 0);
        // It asks first whether it may say that it is a bridge, in 3.1.1, and is refused.
        let [dials, refusals] =
            ["sending CONNECT", "Connection Refused"].map(|m| other.log().matches(m).count());
        assert_eq!(dials - refusals, 1, "{}", other.log());
        assert!(!is_taken(&local, "$SYS/broker/connection/site7/state", None));
        site.until("our state", || states.has("$SYS/broker/connection/site7/state 0 1") > 0);
        assert!(site.stop().success());
    }
}
