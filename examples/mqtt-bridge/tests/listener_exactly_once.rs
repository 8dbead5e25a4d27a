//! The bridge as the local broker itself: messages of QoS 2 over a line that is cut while they wait for local clients.

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

use std::time::Duration;

use mosquitto::{Mosquitto, free_port};
use relay::{Path as Link, Relay};
use site::{Reader, Site, conf, host, until_it_carries};

/// The hub has no PUBREC before a message is on disk here, and sends it again on each connection. Local clients are given it seconds later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_comes_once_however_often_the_line_is_cut_before_local_clients_are_back() {
    for version in ["mqttv50", "mqttv311"] {
        let port = free_port();
        let local = Mosquitto::elsewhere(port);
        let hub = Mosquitto::start("");
        let relay = Relay::start(hub.address()).await;
        let lines = conf(host(&relay.url()), version, "notifications false").replace("# in 1", "# in 2");
        let mut site = Site::alone(&format!("listener {port} 127.0.0.1\nallow_anonymous true\n{lines}"));
        let at_hub = Reader::start(&hub, "site7/line/#");
        site.run();
        let at_local = Reader::start(&local, "cmd/#");
        until_it_carries(&site, (&local, &at_local), (&hub, &at_hub));
        site.kill();
        let expected: Vec<_> = (0..20).map(|n| format!("cmd/a/{n} m 0")).collect();
        for n in 0..expected.len() {
            hub.publish(&["-q", "2", "-t", &format!("site7/cmd/a/{n}"), "-m", "m"]);
        }
        site.run();
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(450)).await;
            relay.set(Link::Cut);
            relay.set(Link::Open);
        }
        site.until("all of them", || at_local.missing(&expected).is_empty());
        // Behind every copy that the hub may have for us.
        site.until("the line carries", || {
            hub.publish(&["-q", "2", "-t", "site7/cmd/last", "-m", "x"]);
            at_local.has("cmd/last x 0") > 0
        });
        let counts: Vec<_> = expected.iter().map(|line| at_local.has(line)).collect();
        assert_eq!(counts, vec![1; expected.len()], "{version}");
        assert!(site.stop().success());
    }
}
