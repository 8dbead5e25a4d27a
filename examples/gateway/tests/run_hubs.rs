#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` to hubs of other kinds: 3.1.1 alone, late, early, with a password. Each gets 600 of 600.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use support::gateway::Gateway;
use support::hub::{Hub, Manners, Unknown};
use support::mosquitto::{Mosquitto, Subscriber, publish_unacknowledged};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const MESSAGES: usize = 600;

fn manners(unknown: Unknown) -> Manners {
    Manners { unknown, late: Duration::ZERO, early_publish: false }
}

/// The levels of all CONNECTs.
fn all_arrive(manners: Manners, protocol: &str, seconds: u64) -> (Vec<u8>, String) {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::of_3_1_1(manners);
    let (mut gateway, listen) = Gateway::started(
        dir.path(),
        hub.address,
        &format!("{protocol}[[route]]\nmatch = \"#\"\nto = \"up/\"\n"),
    );
    let mut publisher = Publisher::new(listen, "foreign", 50);
    for n in 0..MESSAGES {
        publisher.publish("a", &format!("message {n:05}"));
    }
    publisher.settle(0, 60);
    wait_until("everything arrives", seconds, || hub.payloads().len() == MESSAGES);
    assert!(gateway.terminate().0.success());
    (hub.levels(), gateway.log())
}

#[test]
fn one_in_the_manner_of_nats_refuses_5_and_answers_late() {
    let (levels, log) =
        all_arrive(Manners { late: Duration::from_secs(5), ..manners(Unknown::Reason) }, "", 60);
    assert_eq!(levels[..2], [5, 4]);
    assert!(levels[1..].iter().all(|level| *level == 4), "once, and remembered: {levels:?}");
    assert_eq!(log.matches("does not take this version of MQTT").count(), 1, "{log}");
}

#[test]
fn one_in_the_manner_of_aedes_says_1_and_publishes_before_its_connack() {
    let (levels, _) = all_arrive(Manners { early_publish: true, ..manners(Unknown::ReturnCode) }, "", 30);
    assert_eq!(levels, [5, 4], "one connection is enough");
}

#[test]
fn one_in_the_manner_of_an_older_rabbitmq_closes_without_a_word() {
    let (levels, _) = all_arrive(manners(Unknown::Close), "protocol = \"3.1.1\"\n", 30);
    assert_eq!(levels, [4]);
}

/// Negative control: who is told to speak 5 gets nowhere there.
#[test]
fn without_the_fallback_nothing_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::of_3_1_1(manners(Unknown::ReturnCode));
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\nprotocol = \"5\"\n\
         [[route]]\nmatch = \"#\"\n",
        hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let mut publisher = Publisher::new(listen, "foreign", 10);
    publisher.publish("a", "x");
    publisher.settle(0, 20);
    wait_until("it has tried three times", 60, || hub.levels().len() >= 3);
    assert!(hub.levels().iter().all(|level| *level == 5) && hub.payloads().is_empty());
}

/// A hub that knows `site7`, and the gateway's configuration for it.
struct Guarded {
    dir: tempfile::TempDir,
    hub: Mosquitto,
    listen: SocketAddr,
}

impl Guarded {
    fn start(password: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let users = dir.path().join("users");
        let made = std::process::Command::new("mosquitto_passwd")
            .args(["-b", "-c", users.to_str().unwrap(), "site7", password])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::set_permissions(&users, fs::Permissions::from_mode(0o644)).unwrap();
        let hub = Mosquitto::start(
            dir.path(),
            &format!("allow_anonymous false\npassword_file {}\nmax_queued_messages 0", users.display()),
        );
        Self { dir, hub, listen: free_port() }
    }

    fn write_password(&self, content: &str) {
        let file = self.dir.path().join("hub.password");
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Running, with messages queued and said to be refused.
    fn refused(&self, user: &str) -> Gateway {
        let mut gateway = self.gateway(user);
        gateway.start();
        let mut publisher = Publisher::new(self.listen, "foreign", 50);
        for n in 0..MESSAGES {
            publisher.publish("a", &format!("message {n:05}"));
        }
        publisher.settle(0, 60);
        wait_until("the refusal is in the log", 20, || {
            gateway.log().contains("the server refused the connection")
        });
        gateway
    }

    fn gateway(&self, user: &str) -> Gateway {
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtt://{}\"\nuser = \"{user}\"\n\
             password_file = \"hub.password\"\n[[route]]\nmatch = \"#\"\n",
            self.listen, self.hub.address
        );
        Gateway::new(self.dir.path(), &config)
    }
}

fn delivers_all(gateway: &Gateway) {
    wait_until("everything is delivered", 60, || {
        gateway.metric("edge_delivered_total") == Some(MESSAGES as f64)
    });
    assert_eq!(gateway.metric("edge_link_cause{cause=\"\"}"), Some(1.0));
}

#[test]
fn mosquitto_with_a_password() {
    let hub = Guarded::start("se cret");
    hub.write_password("se cret\n");
    // A wrong name first: refused, said, kept.
    let mut gateway = hub.refused("site8");
    let cause = "edge_link_cause{cause=\"the server refused the connection";
    wait_until("and in the metrics", 20, || {
        gateway.get("/metrics").is_some_and(|(_, page)| page.lines().any(|line| line.starts_with(cause)))
    });
    assert_eq!(gateway.metric("edge_delivered_total"), Some(0.0));
    assert!(gateway.terminate().0.success());
    let mut gateway = hub.gateway("site7");
    gateway.start();
    delivers_all(&gateway);
    assert!(gateway.terminate().0.success());
}

#[test]
fn a_rotated_password_needs_no_restart() {
    let hub = Guarded::start("new");
    hub.write_password("old\n");
    let mut gateway = hub.refused("site7");
    // In the middle of the change, as some editors write: the last one stays in use.
    fs::remove_file(hub.dir.path().join("hub.password")).unwrap();
    wait_until("it is missed", 30, || gateway.log().contains("cannot read the hub's password again"));
    hub.write_password("new\n");
    delivers_all(&gateway);
    // Nor does a reload make one of it: the sensors stay.
    gateway.signal("HUP");
    let same = "the configuration was read again: nothing in it has changed";
    wait_until("it is read again", 20, || gateway.log().contains(same));
    assert!(!gateway.log().contains("starts anew"), "{}", gateway.log());
    assert!(gateway.terminate().0.success());
}

/// The reason for the warning of `check`: real Mosquitto acknowledges what it denies, which nobody can see from here.
#[test]
fn mosquitto_denies_in_silence_over_3_1_1() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("acl"), "topic read #\ntopic write probe\n").unwrap();
    let hub = Mosquitto::start(dir.path(), &format!("acl_file {}", dir.path().join("acl").display()));
    let subscriber = Subscriber::start(hub.address, "up/#");
    let (mut gateway, listen) = Gateway::started(
        dir.path(),
        hub.address,
        "protocol = \"3.1.1\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
    );
    let mut publisher = Publisher::new(listen, "foreign", 10);
    publisher.publish("a", "x");
    publisher.settle(0, 20);
    wait_until("it counts as delivered", 20, || gateway.metric("edge_delivered_total") == Some(1.0));
    assert_eq!(gateway.metric("edge_parked_messages"), Some(0.0));
    assert!(gateway.terminate().0.success());
    assert!(subscriber.arrived().is_empty(), "{:?}", subscriber.arrived());
}

/// Promise 5: subscribed for its session table and silent otherwise, it notices a half-open link within `command_within` (15 s), not after the keep
/// alive of a minute.
#[test]
fn a_half_open_link_is_noticed_by_one_who_only_listens() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "log_type all");
    let wan = Relay::start(hub.address);
    let rest = "[[route]]\nmatch = \"#\"\nto = \"up/r\"\nformat = \"compact\"\n";
    let (mut gateway, _) = Gateway::started(dir.path(), wan.address, rest);
    let connections = |gateway: &Gateway| gateway.log().matches(" connected ").count();
    wait_until("connected", 20, || connections(&gateway) == 1);
    wait_until("subscribed", 20, || {
        fs::read_to_string(hub.log_path()).unwrap().contains("Sending SUBACK to g")
    });
    // The SUBACK passes the line at once.
    std::thread::sleep(Duration::from_secs(1));
    wan.swallow();
    wait_until("connected again", 30, || connections(&gateway) == 2);
    assert!(gateway.log().contains("the link is stalled"), "it was broken here");
    assert!(gateway.terminate().0.success());
}

/// They go over the line for as long as the hub has the session, and nothing else shows it.
#[test]
fn messages_for_a_subscription_of_an_earlier_client_of_this_name_are_counted_at_qos_0_too() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let port = hub.address.port().to_string();
    let earlier = Command::new("mosquitto_sub")
        .args(["-p", &port, "-V", "5", "-i", "g", "-c", "-x", "600", "-q", "0", "-t", "old/#", "-E"])
        .status();
    assert!(earlier.expect("mosquitto_sub is not installed: apt-get install mosquitto-clients").success());
    let (gateway, _) = Gateway::started(dir.path(), hub.address, "[[route]]\nmatch = \"#\"\nto = \"up/\"\n");
    wait_until("it is connected", 20, || hub.connects("g") == 2);
    for _ in 0..3 {
        publish_unacknowledged(hub.address, "old/a", "of nobody's");
    }
    wait_until("all are counted", 20, || gateway.metric("edge_unclaimed_total") == Some(3.0));
}
