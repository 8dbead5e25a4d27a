//! Between two real Mosquittos: the link is cut, the bridge and the hub are killed with signal 9. What the local broker acknowledged reaches the hub,
//! commands of the outage reach the local broker, and nothing comes back to the side that it came from.

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

use std::net::TcpListener;
use std::process::Command;

use mosquitto::Mosquitto;
use relay::{Path as Link, Relay};
use site::{LONG, Reader, Site, conf, host, is_acknowledged, publish, until_it_carries, within};

/// The link is cut and the bridge killed: rows of the disk, messages that the local broker keeps for us, commands that the hub keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_and_a_kill_lose_nothing_in_either_direction() {
    for version in ["mqttv50", "mqttv311"] {
        let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
        let relay = Relay::start(hub.address()).await;
        let mut site = Site::new(&local, &conf(host(&relay.url()), version, "notifications false"));
        let (at_hub, at_local) = (Reader::start(&hub, "site7/line/#"), Reader::start(&local, "cmd/#"));
        site.run();
        until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
        let mut out = publish(&local, "line/a", "site7/line/a", 0);
        relay.set(Link::Cut);
        out.extend(publish(&local, "line/a", "site7/line/a", 1));
        let mut commands = publish(&hub, "site7/cmd/a", "cmd/a", 0);
        site.kill();
        out.extend(publish(&local, "line/a", "site7/line/a", 2));
        commands.extend(publish(&hub, "site7/cmd/a", "cmd/a", 1));
        site.run();
        out.extend(publish(&local, "line/a", "site7/line/a", 3));
        relay.set(Link::Open);
        site.until("all messages at the hub", || at_hub.missing(&out).is_empty());
        site.until("all commands here", || at_local.missing(&commands).is_empty());
        // Two starts: each side's lines say whose they are.
        let log = std::fs::read_to_string(site.file("log")).unwrap();
        let of = |side: &str| {
            let lines = log.lines().filter(|line| line.contains(&format!(" {side}{{connection=")));
            lines.filter(|line| line.contains(": connected ")).count()
        };
        assert!(of("local") == 2 && of("hub") >= 2, "{log}");
        assert!(site.stop().success(), "{version}");
    }
}

/// Messages of an outage, sent one by one, and live ones of its end. Returns how many of the outage were at the hub before each live one.
async fn outage_before_live(options: Vec<&'static str>) -> Vec<usize> {
    const OUTAGE: usize = 6_000;
    let (local, hub) = (Mosquitto::start("max_queued_messages 0"), Mosquitto::start(""));
    let relay = Relay::start(hub.address()).await;
    let more = "notifications false\nmax_inflight_messages 1\nmax_queued_messages 100000";
    let mut site = Site::new(&local, &conf(host(&relay.url()), "mqttv50", more));
    site.options = options;
    site.run();
    let at_hub = Reader::start(&hub, "site7/line/#");
    site.until("the link", || {
        local.publish(&["-q", "1", "-t", "line/probe", "-m", "x"]);
        at_hub.has("site7/line/probe x 0") > 0
    });
    let (order, arrived) = std::sync::mpsc::channel();
    let mut reader = mosquitto::command("mosquitto_sub");
    reader.args(["-h", "127.0.0.1", "-p", &hub.address().port().to_string(), "-V", "5", "-q", "1"]);
    reader.args(["-t", "site7/line/outage", "-t", "site7/line/live", "-F", "%t"]);
    let mut reader = reader.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(reader.stdout.take().unwrap());
    std::thread::spawn(move || {
        std::io::BufRead::lines(lines).map_while(Result::ok).all(|line| order.send(line).is_ok())
    });
    relay.set(Link::Cut);
    let text: String = (0..OUTAGE).map(|n| format!("{n}\n")).collect();
    let publish_lines = |topic: &str, text: &str| {
        std::fs::write(site.file("lines"), text).unwrap();
        let mut publisher = mosquitto::command("mosquitto_pub");
        publisher.args(["-h", "127.0.0.1", "-p", &local.address().port().to_string(), "-V", "5", "-q", "1"]);
        publisher.args(["-t", topic, "-l"]).stdin(std::fs::File::open(site.file("lines")).unwrap());
        assert!(publisher.status().unwrap().success());
    };
    publish_lines("line/outage", &text);
    // The newest of an outage are live, too.
    publish_lines("line/live", &"x\n".repeat(10));
    // So that none of them is at the local broker.
    std::thread::sleep(std::time::Duration::from_secs(2));
    relay.set(Link::Open);
    let (mut before, mut outage) = (Vec::new(), 0);
    while before.len() < 10 || outage < OUTAGE {
        match arrived.recv_timeout(LONG).unwrap().as_str() {
            "site7/line/live" => before.push(outage),
            _ => outage += 1,
        }
    }
    reader.kill().unwrap();
    reader.wait().unwrap();
    assert!(site.stop().success());
    before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_7_live_messages_go_before_those_of_an_outage_where_asked_for() {
    let before = outage_before_live(vec!["--live-first"]).await;
    assert!(before.iter().all(|before| *before < 3_000), "{before:?}");
    let before = outage_before_live(Vec::new()).await;
    assert!(before.iter().all(|before| *before == 6_000), "in the order in which they came: {before:?}");
}

/// A hub that keeps its sessions on disk is killed in an outage, alone or together with the bridge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_killed_loses_nothing_alone_or_with_the_bridge() {
    for (version, with_bridge) in
        [("mqttv50", false), ("mqttv50", true), ("mqttv311", false), ("mqttv311", true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let keeps = format!(
            "persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 1",
            dir.path().display()
        );
        let (local, mut hub) = (Mosquitto::start(""), Mosquitto::start(&keeps));
        let relay = Relay::start(hub.address()).await;
        let mut site = Site::new(&local, &conf(host(&relay.url()), version, "notifications false"));
        let (at_hub, at_local) = (Reader::start(&hub, "site7/line/#"), Reader::start(&local, "cmd/#"));
        site.run();
        until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
        relay.set(Link::Cut);
        if with_bridge {
            site.kill();
        }
        let commands = publish(&hub, "site7/cmd/a", "cmd/a", 0);
        let mut out = publish(&local, "line/a", "site7/line/a", 0);
        let stored = || std::fs::read(dir.path().join("mosquitto.db")).unwrap_or_default();
        assert!(within(LONG, || stored().windows(3).any(|bytes| bytes == b"m11")), "the hub saves");
        hub.kill();
        if with_bridge {
            site.run();
        }
        out.extend(publish(&local, "line/a", "site7/line/a", 1));
        hub.run();
        relay.set(Link::Open);
        site.until("all messages at the hub", || at_hub.missing(&out).is_empty());
        site.until("all commands here", || at_local.missing(&commands).is_empty());
        assert!(site.stop().success(), "{version}");
    }
}

/// Rules that go both ways: each message is on each side once, and retained ones stay so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_both_ways_does_not_come_back() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let both = "topic shared/# both 1\nnotification_topic site7/state";
    let mut site = Site::new(&local, &conf(&hub.address().to_string(), "mqttv50", both));
    let (at_hub, at_local) = (Reader::start(&hub, "#"), Reader::start(&local, "#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    local.publish(&["-q", "1", "-r", "-t", "shared/of-site", "-m", "a"]);
    hub.publish(&["-q", "1", "-t", "shared/of-hub", "-m", "b"]);
    let here = ["shared/of-site a 0", "shared/of-hub b 0"];
    site.until("each on both sides", || {
        here.iter().all(|line| at_hub.has(line) > 0 && at_local.has(line) > 0)
    });
    // What would come back, comes before this.
    local.publish(&["-q", "1", "-t", "line/last", "-m", "x"]);
    hub.publish(&["-q", "1", "-t", "site7/cmd/last", "-m", "x"]);
    site.until("the last", || at_hub.has("site7/line/last x 0") > 0 && at_local.has("cmd/last x 0") > 0);
    for line in here {
        assert_eq!((at_hub.has(line), at_local.has(line)), (1, 1), "{line}");
    }
    let kept = hub.subscribe(&["-t", "shared/#", "-F", "%t %p %r", "-C", "1", "-W", "20"]).lines();
    assert_eq!(kept, ["shared/of-site a 1"], "retained at the hub, too");
    site.until("the state on both sides", || {
        at_hub.has("site7/state 1 0") > 0 && at_local.has("site7/state 1 0") > 0
    });
    assert!(site.stop().success());
    assert!(
        within(LONG, || at_hub.has("site7/state 0 0") > 0 && at_local.has("site7/state 0 0") > 0),
        "and its end"
    );
}

/// The state here is 0 for as long as the hub is away: during attempts to connect, and in the longer times between them.
#[test]
fn promise_5_the_state_of_a_link_stays_0_between_attempts_to_connect() {
    let (local, mut hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let told = "notification_topic site7/state";
    let mut site = Site::new(&local, &conf(&hub.address().to_string(), "mqttv50", told));
    let at_local = Reader::start(&local, "site7/state");
    let times = |state: &str| {
        at_local.has(&format!("site7/state {state} 0")) + at_local.has(&format!("site7/state {state} 1"))
    };
    site.run();
    site.until("up", || times("1") > 0);
    let (ups, downs) = (times("1"), times("0"));
    hub.kill();
    // In its place somebody who ends every connection.
    let place = TcpListener::bind(hub.address()).unwrap();
    place.set_nonblocking(true).unwrap();
    site.until("down", || times("0") > downs);
    for _ in 0..5 {
        site.until("another attempt", || place.accept().is_ok());
    }
    let kept = local.subscribe(&["-t", "site7/state", "-F", "%p %r", "-C", "1", "-W", "20"]).lines();
    assert_eq!((kept, times("1")), (vec!["0 1".to_owned()], ups));
    drop(place);
    hub.run();
    site.until("up again", || times("1") > ups);
    assert!(site.stop().success());
}

/// SIGHUP: a topic line is added while the link is cut; what is queued arrives. A file that has become wrong changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_read_without_loss() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let relay = Relay::start(hub.address()).await;
    let before = conf(host(&relay.url()), "mqttv50", "notifications false");
    let mut site = Site::new(&local, &before);
    let (at_hub, at_local) = (Reader::start(&hub, "site7/#"), Reader::start(&local, "cmd/#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    relay.set(Link::Cut);
    let mut out = publish(&local, "line/a", "site7/line/a", 0);
    let count = |part: &str| std::fs::read_to_string(site.file("log")).unwrap().matches(part).count();
    let log = |part: &str| count(part) > 0;
    std::fs::write(site.file("bridge.conf"), format!("{before}topic x sideways\n")).unwrap();
    site.signal("-HUP");
    site.until("the error is told", || log("sideways"));
    std::fs::write(site.file("bridge.conf"), format!("# moved by a line\n{before}")).unwrap();
    site.signal("-HUP");
    site.until("read", || count("is read again") == 1);
    assert_eq!(count("started"), 1, "the same connection goes on");
    std::fs::write(site.file("bridge.conf"), format!("{before}topic office/# out 1 \"\" site7/\n")).unwrap();
    site.signal("-HUP");
    site.until("read again", || count("is read again") == 2);
    relay.set(Link::Open);
    site.until("the new topic", || {
        local.publish(&["-q", "1", "-t", "office/probe", "-m", "x"]);
        at_hub.has("site7/office/probe x 0") > 0
    });
    out.extend(publish(&local, "line/a", "site7/line/a", 1));
    site.until("what was queued, and what came", || at_hub.missing(&out).is_empty());
    assert!(site.stop().success());
}

/// SIGHUP removes the `in` line, while a command waits here for the local broker: the hub has its PUBACK, and nobody else has it.
#[test]
fn a_command_that_waits_here_outlives_its_topic_line() {
    let (mut local, hub) = (Mosquitto::start(""), Mosquitto::start("log_type all"));
    let before = conf(&hub.address().to_string(), "mqttv50", "notifications false");
    let mut site = Site::new(&local, &before);
    let (at_hub, at_local) = (Reader::start(&hub, "site7/line/#"), Reader::start(&local, "cmd/#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    local.kill();
    // Retained: nobody has to be there in time.
    hub.publish(&["-q", "1", "-r", "-t", "site7/cmd/set", "-m", "kept"]);
    site.until("the hub has its PUBACK", || is_acknowledged(&hub.log(), "site7/cmd/set"));
    let after: Vec<_> = before.lines().filter(|line| !line.contains(" in 1 ")).collect();
    std::fs::write(site.file("bridge.conf"), after.join("\n")).unwrap();
    site.signal("-HUP");
    let log = || std::fs::read_to_string(site.file("log")).unwrap();
    site.until("the connection as it is now", || log().matches("started connection=up").count() == 2);
    local.run();
    let kept = local.subscribe(&["-t", "cmd/set", "-F", "%p", "-C", "1", "-W", "60"]).lines();
    assert_eq!(kept, ["kept"], "{}", log());
    assert!(site.stop().success());
}

/// A stop right behind a message, in an outage: it is on disk, the local broker has its PUBACK, and it comes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_makes_no_copies() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let relay = Relay::start(hub.address()).await;
    let mut site = Site::new(&local, &conf(host(&relay.url()), "mqttv50", "notifications false"));
    let (at_hub, at_local) = (Reader::start(&hub, "site7/line/#"), Reader::start(&local, "cmd/#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    relay.set(Link::Cut);
    let out = publish(&local, "line/a", "site7/line/a", 0);
    site.signal("-TERM");
    assert!(site.child.take().unwrap().wait().unwrap().success());
    relay.set(Link::Open);
    site.run();
    let last = publish(&local, "line/a", "site7/line/a", 1);
    site.until("all at the hub", || at_hub.missing(&out).is_empty() && at_hub.missing(&last).is_empty());
    assert!(out.iter().all(|line| at_hub.has(line) == 1), "each once");
    assert!(site.stop().success());
}

/// The local broker denies a topic: its commands are parked here, and hold up neither the others nor the hub's window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_the_local_broker_denies_costs_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("acl"), "topic readwrite #\ntopic deny cmd/denied/#\n").unwrap();
    let local = Mosquitto::start(&format!("acl_file {}", dir.path().join("acl").display()));
    let hub = Mosquitto::start("log_type all");
    let mut site = Site::new(&local, &conf(&hub.address().to_string(), "mqttv50", "notifications false"));
    let (at_hub, at_local) = (Reader::start(&hub, "site7/line/#"), Reader::start(&local, "cmd/#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    (0..2).for_each(|part| drop(publish(&hub, "site7/cmd/denied", "cmd/denied", part)));
    let commands = publish(&hub, "site7/cmd/a", "cmd/a", 0);
    site.until("the others", || at_local.missing(&commands).is_empty());
    // What has no PUBACK is sent again to the next connection.
    site.until("the hub has all PUBACKs", || {
        let log = hub.log();
        (0..commands.len()).all(|n| is_acknowledged(&log, &format!("site7/cmd/a/{n}")))
    });
    site.signal("-TERM");
    site.child.take().unwrap().wait().unwrap();
    site.run();
    let last = publish(&hub, "site7/cmd/a", "cmd/a", 1);
    site.until("the last", || at_local.missing(&last).is_empty());
    // At the local broker one may be twice: the stop may have come before its PUBACK there.
    let log = hub.log();
    for n in 0..commands.len() {
        let topic = format!("'site7/cmd/a/{n}'");
        let sent =
            log.lines().filter(|line| line.contains("Sending PUBLISH to site7") && line.contains(&topic));
        assert_eq!(sent.count(), 1, "the hub has the PUBACK of {topic}");
    }
    assert!(site.stop().success());
}

#[test]
fn check_says_what_a_file_means_and_starts_nothing() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/field_bridge.conf");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqtt-bridge"));
    let output = command.args(["--mosquitto-conf", file, "--check"]).env_remove("SITE_ID").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "two lines need SITE_ID, and there are no keys here\n{text}");
    for part in [
        "field_bridge.conf:11: trap: the prefix",
        "field_bridge.conf:4: trap: mqttv50",
        "field_bridge.conf:14: trap: above 100000",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}
