#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `$SYS` topics of the listener of `edge-gateway run`: figures of its clients, and the state of the link to the hub.

mod support;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, publish_at};
use support::relay::Relay;
use support::{free_port, wait_until};

#[test]
fn local_clients_read_figures_and_the_state_of_the_link_and_the_hub_gets_none() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(hub.address);
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\nsys_interval = 1\n[hub]\nurl = \"mqtt://{}\"\nclient_id = \"site7\"\n\
         [[route]]\nmatch = \"#\"\nto = \"up/\"\n[[route]]\nmatch = \"$SYS/#\"\nto = \"up/sys/\"\n",
        wan.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let state = Subscriber::start(listen, "$SYS/broker/connection/site7/state");
    let uptime = Subscriber::start(listen, "$SYS/broker/uptime");
    let told = || state.arrived().into_iter().map(|message| message.payload).collect::<Vec<_>>();
    wait_until("the link is up", 20, || told().last().is_some_and(|last| last == "1"));
    wan.cut();
    wait_until("the link is down", 40, || told().last().is_some_and(|last| last == "0"));
    wan.mend();
    wait_until("the link is up again", 60, || told().last().is_some_and(|last| last == "1"));
    wait_until("uptimes come", 20, || uptime.arrived().len() >= 3);
    assert!(uptime.arrived().iter().all(|message| message.payload.ends_with(" seconds")));
    let forged = publish_at(listen, "5", 1, "$SYS/broker/uptime", "forged");
    assert!(!forged.stderr.is_empty() || !forged.status.success(), "{forged:?}");
    publish_at(listen, "5", 1, "$SYS/broker/connection/other/state", "1");
    publish_at(listen, "5", 1, "plant", "last");
    let at_hub = || at_hub.arrived().into_iter().map(|message| message.topic).collect::<Vec<_>>();
    wait_until("the last message is at the hub", 20, || at_hub().iter().any(|topic| topic == "up/plant"));
    // The subscribers here publish too, until they see that they are there.
    let below = |topic: &String| topic.contains("SYS") || topic.starts_with("up/sys/");
    assert!(!at_hub().iter().any(below), "{:?}", at_hub());
    assert!(uptime.arrived().iter().all(|message| message.payload != "forged"));
}
