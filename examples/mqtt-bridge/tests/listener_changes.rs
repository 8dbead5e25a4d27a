//! The bridge as the local broker itself: a client that takes nothing, and a change of the file, where values are retained.

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

use mosquitto::{Mosquitto, free_port};
use relay::{Path as Link, Relay};
use site::{Reader, Site, conf, host};

/// A listener for everybody on loopback, and clients' commands for it.
fn open_listener() -> (Mosquitto, String) {
    let port = free_port();
    (Mosquitto::elsewhere(port), format!("listener {port} 127.0.0.1\nallow_anonymous true\n"))
}

/// It reads nothing, so that no state reaches it: the hub and the other clients learn each all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_keeps_no_state_from_others() {
    let (local, listener) = open_listener();
    let hub = Mosquitto::start("");
    let relay = Relay::start(hub.address()).await;
    let lines = conf(host(&relay.url()), "mqttv50", "notification_topic site7/state");
    let mut site = Site::alone(&format!("{listener}{lines}"));
    let at_hub = Reader::start(&hub, "site7/state");
    site.run();
    let [stuck, reads] = ["#", "site7/state"].map(|filter| Reader::start_as(filter, &local, filter));
    site.until("all know that it is up", || {
        let known = |reader: &Reader| reader.has("site7/state 1 0") + reader.has("site7/state 1 1") > 0;
        known(&at_hub) && known(&stuck) && known(&reads)
    });
    stuck.signal("-STOP");
    // More messages than it may have without its PUBACK: what comes behind waits for it.
    let payload = site.file("payload");
    std::fs::write(&payload, "x\n".repeat(300)).unwrap();
    let mut command = mosquitto::command("mosquitto_pub");
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &local.address().port().to_string(),
        "-q",
        "1",
        "-t",
        "alarm",
        "-l",
    ]);
    assert!(command.stdin(std::fs::File::open(&payload).unwrap()).status().unwrap().success());
    let seen = |state: &str| [&at_hub, &reads].map(|reader| reader.has(&format!("site7/state {state} 0")));
    for _ in 0..2 {
        let (ups, downs) = (seen("1"), seen("0"));
        relay.set(Link::Cut);
        site.until("the hub and who reads know that it is down", || {
            seen("0").iter().zip(downs).all(|(now, before)| *now > before)
        });
        relay.set(Link::Open);
        site.until("they know that it is up again", || {
            seen("1").iter().zip(ups).all(|(now, before)| *now > before)
        });
    }
    stuck.signal("-CONT");
    assert!(site.stop().success());
}

/// SIGHUP: the broker goes on, and has what the hub retains. A newer value here would give way to it, and a command would come a second time.
#[test]
fn what_a_hub_retains_does_not_come_again_with_a_change_of_the_file() {
    let (local, listener) = open_listener();
    let hub = Mosquitto::start("log_type all");
    hub.publish(&["-q", "1", "-r", "-t", "site7/cmd/set", "-m", "kept"]);
    let lines = conf(&hub.address().to_string(), "mqttv50", "notifications false\ntopic shared/# both 1");
    hub.publish(&["-q", "1", "-r", "-t", "shared/a", "-m", "old"]);
    let before = format!("{listener}{lines}");
    let mut site = Site::alone(&before);
    site.run();
    let reader = Reader::start(&local, "#");
    let count = |line: &str| reader.has(&format!("{line} 0")) + reader.has(&format!("{line} 1"));
    site.until("what is retained", || count("cmd/set kept") > 0 && count("shared/a old") > 0);
    local.publish(&["-q", "1", "-t", "first", "-m", "x"]);
    site.until("all that came with the start", || count("first x") > 0);
    let came = || (count("cmd/set kept"), count("shared/a old"));
    let at_the_start = came();
    let subscribed = || hub.log().matches("Received SUBSCRIBE from site7").count();
    let asked = subscribed();
    std::fs::write(site.file("bridge.conf"), format!("{before}keepalive_interval 61\n")).unwrap();
    site.signal("-HUP");
    site.until("it asks the hub again", || subscribed() == 2 * asked);
    // What is retained would come before this.
    hub.publish(&["-q", "1", "-t", "site7/cmd/last", "-m", "x"]);
    site.until("the last", || count("cmd/last x") > 0);
    assert_eq!(came(), at_the_start);
    // A kill may have cost the broker some.
    let live = reader.has("cmd/set kept 0");
    site.kill();
    site.run();
    site.until("it comes again", || reader.has("cmd/set kept 0") > live);
    assert!(site.stop().success());
}
