#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` behind a local broker: what it has subscribed there.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::gateway::Gateway;
use support::hub::Hub;
use support::mosquitto::{Mosquitto, Subscriber, publish};
use support::wait_until;

/// Promise 4: the broker keeps a subscription until it is taken back, and sends a message once for each that it matches.
#[test]
fn topics_that_are_no_longer_wanted_are_unsubscribed_at_the_local_broker() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let local = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "up/#");
    let configured = |topics: &str| {
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\nbroker = \"{}\"\ntopics = {topics}\n\
             [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
            local.address, hub.address
        );
        let mut gateway = Gateway::new(dir.path(), &config);
        gateway.start();
        gateway
    };
    let mut first = configured("[\"r/#\", \"gone/#\"]");
    publish(local.address, "r/a", "first");
    // And the hub's PUBACK is here: it would come again after the stop.
    wait_until("the first arrives", 20, || {
        subscriber.arrived().len() == 1 && first.metric("edge_queue_messages") == Some(0.0)
    });
    assert!(first.terminate().0.success());

    let second = configured("[\"r/+\", \"x/#\"]");
    wait_until("the broker has taken them back", 20, || {
        fs::read_to_string(second.dir.join("state/subscribed")).unwrap().ends_with("\nr/+\nx/#\n")
    });
    for (topic, payload) in [("gone/a", "not wanted"), ("r/b", "once"), ("x/c", "last")] {
        publish(local.address, topic, payload);
    }
    wait_until("the last arrives", 20, || subscriber.arrived().iter().any(|m| m.payload == "last"));
    let payloads: Vec<String> = subscriber.arrived().into_iter().map(|message| message.payload).collect();
    assert_eq!(payloads, ["first", "once", "last"]);
}

/// Nothing comes in meanwhile, and a link to the hub that works does not hide it.
#[test]
fn promise_5_a_local_broker_that_is_away_is_told_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let mut local = Mosquitto::start(dir.path(), "");
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nbroker = \"{}\"\ntopics = [\"r/#\"]\n\
         [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
        local.address, hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let is_told = || gateway.get("/status.json").unwrap().1.contains("no connection to the local broker");
    let is_ready = || gateway.get("/readyz").unwrap().0 == 200;
    assert!(is_ready() && !is_told());
    local.kill_9();
    wait_until("it is told", 30, || is_told() && !is_ready());
    let is = |verdict| gateway.metric(&format!("edge_verdict{{verdict=\"{verdict}\"}}")) == Some(1.0);
    wait_until("it is no restart", 30, || is("degraded"));
    local.run();
    wait_until("it is back", 60, || !is_told() && is_ready() && is("delivering"));
}

#[test]
fn a_gateway_whose_subscription_is_refused_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, local) = (Hub::start(), Hub::start());
    local.refuse_subscriptions();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nbroker = \"{}\"\ntopics = [\"r/#\"]\n\
         [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
        local.address, hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start_unready();
    wait_until("the log", 20, || gateway.log().contains("refuses the subscription"));
    assert_eq!(gateway.get("/readyz").unwrap().0, 503);
}

/// A broker that accepts the CONNECT, answers the SUBSCRIBE with these bytes, and closes. Returns the time from the first connection to the sixth.
fn six_connections(listener: &TcpListener, answer: impl Fn(u8, u8) -> Vec<u8>) -> Duration {
    // Packets of this size have one byte of length.
    let packet = |stream: &mut TcpStream| {
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        let mut body = vec![0; head[1].into()];
        stream.read_exact(&mut body).unwrap();
        (head[0] & 0xF0, body)
    };
    listener.set_nonblocking(true).unwrap();
    let mut began = None;
    for _ in 0..6 {
        let mut accepted = None;
        wait_until("another connection", 30, || {
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        let (mut stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        began.get_or_insert_with(Instant::now);
        assert_eq!(packet(&mut stream).0, 0x10, "CONNECT");
        stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
        let (kind, body) = packet(&mut stream);
        assert_eq!(kind, 0x80, "SUBSCRIBE");
        stream.write_all(&answer(body[0], body[1])).unwrap();
    }
    began.unwrap().elapsed()
}

/// With TLS each attempt costs a handshake on both sides. It keeps no session, either.
#[test]
fn a_broker_that_accepts_the_login_and_then_closes_is_dialled_ever_more_rarely_and_told_once() {
    let hub = Hub::start();
    let no_right = |_: u8, _: u8| vec![0xE0_u8, 2, 0x87, 0];
    // Another client of the same identifier: Granted QoS 1, then Session taken over.
    let taken_over = |high: u8, low: u8| vec![0x90_u8, 4, high, low, 0, 1, 0xE0, 2, 0x8E, 0];
    let then_nothing = |high: u8, low: u8| vec![0x90_u8, 4, high, low, 0, 1];
    for answer in [&no_right as &dyn Fn(u8, u8) -> Vec<u8>, &taken_over, &then_nothing] {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\nbroker = \"{}\"\ntopics = [\"r/#\"]\n\
             [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
            listener.local_addr().unwrap(),
            hub.address
        );
        let mut gateway = Gateway::new(dir.path(), &config);
        gateway.start_unready();
        let within = six_connections(&listener, answer);
        assert!(within >= Duration::from_secs(3), "{within:?}");
        assert_eq!(gateway.log().matches("had lost our session").count(), 1, "{}", gateway.log());
        gateway.kill_9();
    }
}
