//! Ends of a bridge, by SIGHUP and by SIGTERM, where a broker denies or a disk fails; and what is carried in forms that look like others.

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
#[path = "support/site.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod site;

use std::time::Duration;

use mosquitto::{Mosquitto, free_port};
use site::{LONG, Reader, Site, conf, publish, until_it_carries, within};

/// The state is denied by the local broker, so its message waits for ever. That holds up neither a new start of the section nor the end.
#[test]
fn a_state_that_nobody_takes_leaves_no_link_behind() {
    let acl = tempfile::NamedTempFile::new().unwrap();
    // Of what begins with `$` it grants nothing.
    std::fs::write(acl.path(), "topic readwrite #\n").unwrap();
    // With `max_queued_messages 0`, Mosquitto 2.0.11 closes the connection of each publication that it denies.
    let local = Mosquitto::start(&format!("acl_file {}\nmax_queued_messages 100000", acl.path().display()));
    let hub = Mosquitto::start("");
    // Outwards alone: what the local broker does not take waits in RAM, without a receipt.
    let hub_address = hub.address();
    let before = format!(
        "connection up\naddress {hub_address}\nremote_clientid site7\nrestart_timeout 1\ntopic line/# out 1 \"\" site7/\n"
    );
    let mut site = Site::new(&local, &before);
    let at_hub = Reader::start(&hub, "site7/#");
    site.run();
    site.until("the first topic", || {
        local.publish(&["-q", "1", "-t", "line/probe", "-m", "x"]);
        at_hub.has("site7/line/probe x 0") > 0
    });
    std::fs::write(site.file("bridge.conf"), format!("{before}topic office/# out 1 \"\" site7/\n")).unwrap();
    site.signal("-HUP");
    site.until("the new topic", || {
        local.publish(&["-q", "1", "-t", "office/probe", "-m", "x"]);
        at_hub.has("site7/office/probe x 0") > 0
    });
    let mut out = publish(&local, "line/a", "site7/line/a", 0);
    out.extend(publish(&local, "office/a", "site7/office/a", 0));
    site.until("all messages", || at_hub.missing(&out).is_empty());
    // Two links of one name would take turns by now.
    std::thread::sleep(Duration::from_secs(3));
    for broker in [&local, &hub] {
        assert_eq!(broker.log().matches("already connected").count(), 0, "{}", broker.log());
    }
    assert!(site.stop().success());
    for (broker, id) in [(&local, "local.site7"), (&hub, "site7")] {
        let name = format!(" {id}");
        let last = || broker.log().lines().rfind(|line| line.contains(&name)).map(str::to_owned);
        let is_goodbye = || last().is_some_and(|line| line.ends_with(&format!("Client {id} disconnected.")));
        assert!(within(LONG, is_goodbye), "{}", broker.log());
    }
}

/// The disk takes nothing more and the messages do not end: a stop is one all the same, and what was not acknowledged comes again.
#[test]
fn a_stop_does_not_wait_for_a_disk_that_fails() {
    let local = Mosquitto::start("max_inflight_messages 0");
    let mut site = Site::new(&local, &conf("127.0.0.1:1", "mqttv50", "notifications false"));
    site.run_with_small_files();
    let payload = "x".repeat(200_000);
    let file = site.file("payload");
    std::fs::write(&file, payload).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let log = || std::fs::read_to_string(site.file("log")).unwrap_or_default();
    let mut sent = 0;
    site.until("one waits for the disk", || {
        local.publish(&["-q", "1", "-t", &format!("line/{sent}"), "-f", &file]);
        sent += 1;
        log().contains("the queue has no room, or its disk fails")
    });
    site.signal("-TERM");
    let mut is_over = || site.child.as_mut().unwrap().try_wait().unwrap().is_some();
    assert!(within(LONG / 2, &mut is_over), "still there, with {sent} messages");
}

/// Shared subscriptions in both directions carry, under the prefixes of their rules.
#[test]
fn a_shared_subscription_carries() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let shared = "notifications false\ntopic $share/g/part/# both 1\ntopic $share/g/job/# in 1 here/ \"\"";
    let mut site = Site::new(&local, &conf(&hub.address().to_string(), "mqttv50", shared));
    let (at_hub, at_local) = (Reader::start(&hub, "#"), Reader::start(&local, "#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    local.publish(&["-q", "1", "-t", "part/of-site", "-m", "a"]);
    hub.publish(&["-q", "1", "-t", "job/1", "-m", "b"]);
    site.until("both", || at_hub.has("part/of-site a 0") > 0 && at_local.has("here/job/1 b 0") > 0);
    assert!(site.stop().success());
}

/// A hub of 3.1.1 knows the bridge as one: what it retains comes with its flag, and nothing of ours comes back.
#[test]
fn a_hub_of_311_takes_this_for_a_bridge() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    hub.publish(&["-q", "1", "-r", "-t", "site7/cmd/set", "-m", "kept"]);
    let both = "notifications false\ntopic # both 1 part/ site7/part/";
    let mut site = Site::new(&local, &conf(&hub.address().to_string(), "mqttv311", both));
    let (at_hub, at_local) = (Reader::start(&hub, "#"), Reader::start(&local, "#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    local.publish(&["-q", "1", "-t", "part/1", "-m", "a"]);
    site.until("the message", || at_hub.has("site7/part/1 a 0") > 0);
    hub.publish(&["-q", "1", "-t", "site7/part/2", "-m", "b"]);
    site.until("the hub's", || at_local.has("part/2 b 0") > 0 && at_hub.has("site7/part/2 b 0") > 0);
    assert_eq!((at_local.has("part/1 a 0"), at_hub.has("site7/part/2 b 0")), (1, 1), "no echo");
    let kept = local.subscribe(&["-t", "cmd/set", "-F", "%p %r", "-C", "1", "-W", "20"]).lines();
    assert_eq!(kept, ["kept 1"], "retained at the local broker");
    assert!(site.stop().success());
}

/// A hub without retained messages gets none: neither the messages, nor the state, nor the will, for which it would refuse the connection.
#[test]
fn a_section_without_retained_messages_sends_none() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start("retain_available false"));
    let none = "bridge_outgoing_retain false\nnotification_topic site7/state";
    let mut site = Site::new(&local, &conf(&hub.address().to_string(), "mqttv50", none));
    let (at_hub, at_local) = (Reader::start(&hub, "site7/#"), Reader::start(&local, "cmd/#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    local.publish(&["-q", "1", "-r", "-t", "line/kept", "-m", "a"]);
    site.until("the message", || at_hub.has("site7/line/kept a 0") > 0);
    site.until("the state", || at_hub.has("site7/state 1 0") > 0);
    site.kill();
    site.until("the will", || at_hub.has("site7/state 0 0") > 0);
    site.until("retained at the local broker", || {
        let here = local.subscribe(&["-t", "site7/state", "-F", "%p %r", "-C", "1", "-W", "20"]).lines();
        here == ["0 1"]
    });
}

/// A message of more than the queue's default limit goes out.
#[test]
fn a_large_message_is_carried() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let mut site = Site::new(&local, &conf(&hub.address().to_string(), "mqttv50", "notifications false"));
    let (at_hub, at_local) = (Reader::start(&hub, "#"), Reader::start(&local, "#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    let file = site.file("payload");
    let payload = "x".repeat(800_000);
    std::fs::write(&file, &payload).unwrap();
    let file = file.to_str().unwrap().to_owned();
    local.publish(&["-q", "1", "-t", "line/large", "-f", &file]);
    site.until("out", || at_hub.has(&format!("site7/line/large {payload} 0")) > 0);
    assert!(site.stop().success());
}

/// A 3.1.1 hub cannot be told what is too large: it would send it for ever, and nothing behind it.
#[test]
fn a_message_too_large_from_a_311_hub_costs_itself_alone() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let mut site = Site::new(&local, &conf(&hub.address().to_string(), "mqttv311", "notifications false"));
    let (at_hub, at_local) = (Reader::start(&hub, "#"), Reader::start(&local, "#"));
    site.run();
    until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
    let file = site.file("payload");
    let payload = "x".repeat(1_200_000);
    std::fs::write(&file, &payload).unwrap();
    hub.publish(&["-q", "1", "-t", "site7/cmd/large", "-f", file.to_str().unwrap()]);
    let commands = publish(&hub, "site7/cmd/a", "cmd/a", 0);
    site.until("the commands behind it", || at_local.missing(&commands).is_empty());
    assert_eq!(at_local.has(&format!("cmd/large {payload} 0")), 0);
    assert!(site.stop().success());
}

/// The hub has the PUBACK of what waits here for local clients: what is lost of it is told, as what is lost on the way to the hub.
#[test]
fn a_message_of_the_hub_that_is_lost_here_is_told() {
    let port = free_port();
    let (local, hub) = (Mosquitto::elsewhere(port), Mosquitto::start(""));
    let listener = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
    let conf = conf(hub.address().to_string().as_str(), "mqttv50", "notifications false");
    let mut site = Site::alone(&format!("{listener}{conf}"));
    site.run();
    let at_local = Reader::start(&local, "cmd/#");
    site.until("the commands' way", || {
        hub.publish(&["-q", "1", "-t", "site7/cmd/probe", "-m", "x"]);
        at_local.has("cmd/probe x 0") > 0
    });
    // For four seconds after a start nothing is given to clients.
    site.kill();
    site.run();
    let expiry = ["-V", "5", "-D", "publish", "message-expiry-interval", "2"];
    hub.publish(&[&["-q", "1", "-t", "site7/cmd/late", "-m", "x"][..], &expiry].concat());
    let log = || std::fs::read_to_string(site.file("log")).unwrap_or_default();
    site.until("the loss", || log().contains("side=\"local\" messages=1 in_all=1"));
    assert!(site.stop().success());
}

/// Clients that wait for their PUBACKs are all that is seen of it otherwise.
#[test]
fn a_queue_that_cannot_store_is_told() {
    let local = Mosquitto::start("");
    let mut site = Site::new(&local, &conf("127.0.0.1:1", "mqttv50", "notifications false"));
    site.run();
    let log = || std::fs::read_to_string(site.file("log")).unwrap_or_default();
    std::fs::rename(site.file("state"), site.file("away")).unwrap();
    site.until("the failure", || {
        log().contains("side=\"hub\" reason=") && log().contains("the queue cannot store")
    });
    std::fs::rename(site.file("away"), site.file("state")).unwrap();
    // A line a minute for each queue.
    let is_told = within(2 * LONG, || log().matches("the queue stores again").count() == 2);
    assert!(is_told, "{}", log());
    let cannot = log().matches("the queue cannot store").count();
    // Two queues, each once.
    assert_eq!(cannot, 2, "{}", log());
    assert!(site.stop().success());
}

/// The cause may be mended long after the SIGHUP, beside connections that run.
#[test]
fn a_connection_that_did_not_start_at_a_sighup_is_tried_again() {
    let local = Mosquitto::start("");
    let before = conf("127.0.0.1:1", "mqttv50", "notifications false");
    let mut site = Site::new(&local, &before);
    site.run();
    let in_the_way = site.file("state").join("more.out");
    std::fs::write(&in_the_way, "no directory").unwrap();
    let more = "connection more\naddress 127.0.0.1:1\nnotifications false\ntopic more/# out 1 \"\" site8/\n";
    std::fs::write(site.file("bridge.conf"), format!("{before}{more}")).unwrap();
    let log = || std::fs::read_to_string(site.file("log")).unwrap_or_default();
    let ready = site.file("ready");
    std::fs::write(&ready, "of before").unwrap();
    site.signal("-HUP");
    site.until("the failure", || log().contains("a changed connection does not run"));
    // The other one is at its local broker, and this is looked at again.
    site.until("another attempt", || log().matches("a changed connection does not run").count() == 2);
    assert_eq!(std::fs::read_to_string(&ready).unwrap(), "of before");
    std::fs::remove_file(&in_the_way).unwrap();
    site.until("its start", || log().contains("started connection=more"));
    site.until("all are ready", || std::fs::read_to_string(&ready).is_ok_and(|text| text == "ready\n"));
    assert!(site.stop().success());
}

/// Without `in` lines there is no queue to the local side: what waits for it is in memory, and ends with the program.
#[test]
fn what_was_in_memory_at_a_stop_is_not_said_to_be_on_disk() {
    let mut local = Mosquitto::start("");
    let lines = "connection up\naddress 127.0.0.1:1\nremote_clientid site7\ntopic line/# out 1 \"\" site7/\n";
    let mut site = Site::new(&local, lines);
    site.run();
    local.kill();
    site.signal("-TERM");
    assert!(site.child.take().unwrap().wait().unwrap().success());
    let log = std::fs::read_to_string(site.file("log")).unwrap();
    let of_local =
        |part: &str| log.lines().any(|line| line.contains("side=\"local\"") && line.contains(part));
    assert!(of_local("states of the connection were not taken") && !of_local("on disk"), "{log}");
}

/// Its contents are lost: nothing else shows that.
#[test]
fn a_queue_that_is_found_damaged_is_told() {
    let local = Mosquitto::start("");
    let mut site = Site::new(&local, &conf("127.0.0.1:1", "mqttv50", "notifications false"));
    site.run();
    drop(publish(&local, "line/a", "site7/line/a", 0));
    site.signal("-TERM");
    assert!(site.child.take().unwrap().wait().unwrap().success());
    let queue = site.file("state").join("up.out").join("queue.ring");
    let bytes = std::fs::metadata(&queue).unwrap().len();
    std::fs::write(&queue, vec![0x55; usize::try_from(bytes).unwrap()]).unwrap();
    let log = || std::fs::read_to_string(site.file("log")).unwrap_or_default();
    assert!(!log().contains("set aside"), "{}", log());
    site.run();
    let log = std::fs::read_to_string(site.file("log")).unwrap();
    assert!(log.contains("side=\"hub\" event=set aside: "), "{log}");
    assert!(site.stop().success());
}

/// A device that does nothing writes nothing to its flash.
#[test]
fn the_file_that_says_that_it_is_ready_is_written_once() {
    let local = Mosquitto::start("");
    let before = conf("127.0.0.1:1", "mqttv50", "notifications false");
    let mut site = Site::new(&local, &before);
    site.run();
    let ready = site.file("ready");
    std::fs::write(&ready, "of somebody else").unwrap();
    // Each makes the bridge look at everything again.
    std::fs::write(site.file("bridge.conf"), format!("{before}topic x sideways\n")).unwrap();
    let log = || std::fs::read_to_string(site.file("log")).unwrap_or_default();
    for times in 1..=3 {
        site.signal("-HUP");
        site.until("the error", || log().matches("the file is not read").count() == times);
    }
    assert_eq!(std::fs::read_to_string(&ready).unwrap(), "of somebody else");
    std::fs::write(site.file("bridge.conf"), before.replace("line/#", "office/#")).unwrap();
    site.signal("-HUP");
    let is_said = || std::fs::read_to_string(&ready).is_ok_and(|text| text == "ready\n");
    site.until("the changed connection is ready", is_said);
    assert!(site.stop().success());
    assert!(!ready.exists());
}

/// SIGHUP: a topic line goes to another section and back, and its section gets another name, while a client publishes. What the local broker acknowledged
/// reaches the hub.
#[test]
fn a_topic_line_that_moves_loses_nothing() {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let sections = |names: [&str; 2], has_it: usize| -> String {
        let section = |n: usize| {
            let moving = if n == has_it { "topic t/# out 1 \"\" site7/\n" } else { "" };
            let address = hub.address();
            format!("connection {}\naddress {address}\ntopic k{n}/# out 1 \"\" site7/\n{moving}", names[n])
        };
        section(0) + &section(1)
    };
    let mut site = Site::new(&local, &sections(["a", "b"], 0));
    let at_hub = Reader::start(&hub, "site7/#");
    site.run();
    site.until("it carries", || {
        local.publish(&["-q", "1", "-t", "t/probe", "-m", "x"]);
        at_hub.has("site7/t/probe x 0") > 0
    });
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let sent = std::thread::scope(|threads| {
        let publisher = threads.spawn(|| {
            let mut sent = Vec::new();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                let n = sent.len();
                local.publish(&["-q", "1", "-t", &format!("t/{n}"), "-m", "x"]);
                sent.push(format!("site7/t/{n} x 0"));
            }
            sent
        });
        let log = || std::fs::read_to_string(site.file("log")).unwrap();
        // Of the last, the section that gets the line is new, and stands behind the one that had it.
        for (names, has_it) in [(["a", "b"], 1), (["a", "b"], 0), (["c", "b"], 0), (["c", "d"], 1)] {
            let before = log().matches("is read again").count();
            std::fs::write(site.file("bridge.conf"), sections(names, has_it)).unwrap();
            site.signal("-HUP");
            site.until("it is read", || log().matches("is read again").count() > before);
            let so_far = format!("k{has_it}/{}", log().len());
            site.until("both sections carry", || {
                local.publish(&["-q", "1", "-t", &so_far, "-m", "x"]);
                at_hub.has(&format!("site7/{so_far} x 0")) > 0
            });
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        publisher.join().unwrap()
    });
    site.until("all of it", || at_hub.missing(&sent).is_empty());
    assert!(sent.len() > 20, "{}", sent.len());
    assert!(site.stop().success());
}
