#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` behind a local broker that asks for a login, or has TLS and asks for a certificate.

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, command};
use support::wait_until;

const DEGRADED: &str = "edge_verdict{verdict=\"degraded\"}";

/// A broker with users, `gw` and `sensor`, whose passwords are their names and `-secret`.
fn with_users(dir: &Path) -> Mosquitto {
    let users = dir.join("users");
    for user in ["gw", "sensor"] {
        let mut passwd = command("mosquitto_passwd");
        passwd.arg("-b").args((!users.exists()).then_some("-c")).arg(&users);
        let made = passwd.args([user, &format!("{user}-secret")]).output();
        assert!(made.unwrap().status.success());
    }
    Mosquitto::start(dir, &format!("user root\nallow_anonymous false\npassword_file {}", users.display()))
}

/// A broker with TLS, by the authority `plant`, which lets in who has a certificate of it.
fn with_certificates(dir: &Path) -> Mosquitto {
    let file = |name: &str| dir.join(name).display().to_string();
    let lines = format!(
        "user root\nmax_queued_messages 0\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
        file("plant.crt"),
        file("broker.crt"),
        file("broker.key")
    );
    Mosquitto::start(dir, &lines)
}

/// A sensor's messages at QoS 1, each line one: returns when each has its PUBACK.
fn publish(broker: &Mosquitto, login: &[&str], topic: &str, lines: &[String]) {
    let port = broker.address.port().to_string();
    let mut child = command("mosquitto_pub")
        .args(["-h", "localhost", "-p", &port, "-q", "1", "-t", topic, "-l"])
        .args(login)
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub is not installed: apt-get install mosquitto-clients");
    child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn config(broker: &str, local: &str, hub: &Mosquitto) -> String {
    format!(
        "[gateway]\nid = \"g\"\n[local]\nbroker = \"{broker}\"\ntopics = [\"r/#\"]\n{local}\n\
         [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        hub.address
    )
}

fn status(gateway: &Gateway) -> String {
    gateway.get("/status.json").map(|(_, text)| text).unwrap_or_default()
}

fn is_ready(gateway: &Gateway) -> bool {
    gateway.get("/readyz").is_some_and(|(status, _)| status == 200)
}

fn arrives(subscriber: &Subscriber, payload: &str) {
    wait_until(payload, 30, || subscriber.arrived().iter().any(|message| message.payload == payload));
}

/// It is read before each connection, so that nobody has to restart anything; and whoever looks finds the reason.
#[test]
fn promise_5_a_refused_login_is_told_once_and_mended_by_a_changed_file() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, mut broker) = (Mosquitto::start(dir.path(), ""), with_users(dir.path()));
    let subscriber = Subscriber::start(hub.address, "up/#");
    let password = |text: &str| fs::write(dir.path().join("local.password"), text).unwrap();
    password("wrong\n");
    let login = "broker_user = \"gw\"\nbroker_password_file = \"local.password\"";
    let mut gateway = Gateway::new(dir.path(), &config(&broker.address.to_string(), login, &hub));
    gateway.start_unready();
    let is_told = |gateway: &Gateway| {
        status(gateway).contains("The local broker refuses the login")
            && gateway.metric(DEGRADED) == Some(1.0)
    };
    let log = broker.log_path();
    let attempts = || fs::read_to_string(&log).unwrap().matches("not authorised").count();
    wait_until("it is told", 40, || is_told(&gateway) && attempts() >= 3);
    let lines = gateway.log().matches("the local broker refuses the login: look at broker_user").count();
    assert!(lines == 1 && !is_ready(&gateway), "{}", gateway.log());
    // The hub's side goes on.
    assert_eq!(gateway.metric("edge_link_state{state=\"backing-off\"}"), Some(0.0));
    password("gw-secret\n");
    wait_until("the login is taken", 60, || is_ready(&gateway) && gateway.metric(DEGRADED) == Some(0.0));
    assert!(!status(&gateway).contains("local broker"), "{}", status(&gateway));
    publish(&broker, &["-u", "sensor", "-P", "sensor-secret"], "r/a", &["first".to_owned()]);
    arrives(&subscriber, "first");
    // A file that is gone leaves the password that was read last.
    fs::remove_file(dir.path().join("local.password")).unwrap();
    let before = broker.connects("g-local");
    broker.crash();
    wait_until("it is back", 60, || broker.connects("g-local") > before && is_ready(&gateway));
    publish(&broker, &["-u", "sensor", "-P", "sensor-secret"], "r/a", &["second".to_owned()]);
    arrives(&subscriber, "second");
    assert!(gateway.log().contains("cannot read the local broker's password again"), "{}", gateway.log());
    assert!(!gateway.log().contains("gw-secret") && !gateway.log().contains("wrong"));
}

#[test]
fn a_reload_brings_the_login_and_takes_it_away() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, broker) = (Mosquitto::start(dir.path(), ""), with_users(dir.path()));
    let subscriber = Subscriber::start(hub.address, "up/#");
    fs::write(dir.path().join("local.password"), "gw-secret").unwrap();
    let address = format!("mqtt://{}", broker.address);
    let mut gateway = Gateway::new(dir.path(), &config(&address, "", &hub));
    gateway.start_unready();
    let is_refused = |gateway: &Gateway| status(gateway).contains("The local broker refuses the login");
    wait_until("nobody comes in without a name", 40, || is_refused(&gateway));
    let file = dir.path().join("gateway.toml");
    let without = fs::read_to_string(&file).unwrap();
    let login = "[local]\nbroker_user = \"gw\"\nbroker_password_file = \"local.password\"\n";
    fs::write(&file, without.replace("[local]\n", login)).unwrap();
    gateway.signal("HUP");
    wait_until("the login is taken", 60, || is_ready(&gateway));
    publish(&broker, &["-u", "sensor", "-P", "sensor-secret"], "r/a", &["first".to_owned()]);
    arrives(&subscriber, "first");
    fs::write(&file, without).unwrap();
    gateway.signal("HUP");
    wait_until("it comes without again", 60, || is_refused(&gateway));
}

/// Promise 1: TLS and a certificate change nothing in it. The broker keeps what comes while the gateway is away, as without.
#[test]
fn promise_1_over_tls_what_is_acknowledged_outlives_kills_in_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let plant = Authority::new(dir.path(), "plant");
    for (file, name) in [("broker", "broker"), ("g", "g"), ("sensor", "sensor")] {
        plant.sign(dir.path(), file, Some(name));
    }
    // It queues a thousand for a subscriber else, and two thousand come at once.
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let (mut hub, broker) = (hub, with_certificates(dir.path()));
    let local = "broker_ca = \"plant.crt\"\nbroker_cert = \"g.crt\"\nbroker_key = \"g.key\"\nbroker_tls_server_name = \"localhost\"";
    let mut gateway = Gateway::new(dir.path(), &config(&format!("mqtts://{}", broker.address), local, &hub));
    gateway.start();
    hub.kill_9();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (ca, cert, key) = (file("plant.crt"), file("sensor.crt"), file("sensor.key"));
    let login = ["--cafile", &ca, "--cert", &cert, "--key", &key];
    let batch = |of: &str| (0..1_000).map(|n| format!("{of} {n}")).collect::<Vec<_>>();
    publish(&broker, &login, "r/a", &batch("here"));
    wait_until("they are here", 60, || gateway.metric("edge_queue_messages") == Some(1_000.0));
    gateway.kill_9();
    publish(&broker, &login, "r/a", &batch("away"));
    gateway.start();
    wait_until("all are here", 60, || {
        gateway.metric("edge_queue_messages").is_some_and(|waiting| waiting >= 2_000.0)
    });
    gateway.kill_9();
    hub.run();
    let subscriber = Subscriber::start(hub.address, "up/#");
    gateway.start();
    let sent = || batch("here").into_iter().chain(batch("away")).collect::<std::collections::BTreeSet<_>>();
    wait_until("all arrive", 60, || {
        sent() == subscriber.arrived().into_iter().map(|message| message.payload).collect()
    });
    let (ended, within) = gateway.terminate();
    assert!(ended.success() && within < std::time::Duration::from_secs(5), "{within:?}");
}

#[test]
fn promise_5_certificates_that_are_refused_are_told_and_renewed_ones_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (plant, other) = (Authority::new(dir.path(), "plant"), Authority::new(dir.path(), "other"));
    plant.sign(dir.path(), "broker", Some("broker"));
    other.sign(dir.path(), "g", Some("g"));
    let (hub, broker) = (Mosquitto::start(dir.path(), ""), with_certificates(dir.path()));
    fs::copy(dir.path().join("other.crt"), dir.path().join("trusted.crt")).unwrap();
    let local = "broker_ca = \"trusted.crt\"\nbroker_cert = \"g.crt\"\nbroker_key = \"g.key\"";
    let address = format!("mqtts://localhost:{}", broker.address.port());
    let mut gateway = Gateway::new(dir.path(), &config(&address, local, &hub));
    gateway.start_unready();
    let is_told = |words: &str| {
        let text = status(&gateway);
        text.contains("There is no TLS with the local broker")
            && text.contains(words)
            && gateway.metric(DEGRADED) == Some(1.0)
    };
    wait_until("another authority is told", 40, || {
        is_told("the local broker's certificate does not lead to")
    });
    let log = gateway.log();
    assert!(log.contains("trusted.crt ([local] broker_ca)"), "{log}");
    fs::copy(dir.path().join("plant.crt"), dir.path().join("new.crt")).unwrap();
    fs::rename(dir.path().join("new.crt"), dir.path().join("trusted.crt")).unwrap();
    wait_until("the gateway's own is refused", 60, || is_told("UnknownCA") || is_told("unknown ca"));
    plant.sign(dir.path(), "g", Some("g"));
    wait_until("the renewed one is taken", 60, || {
        is_ready(&gateway) && gateway.metric(DEGRADED) == Some(0.0)
    });
}
