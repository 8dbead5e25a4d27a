//! Clients whose user is a name in their certificate.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::authority::Authority;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Mosquitto, Subscriber};
use crate::support::{free_port, wait_until};
use crate::{RIGHTS, config, publish};

/// The configuration of [`config`] with a door for certificates of the authority `sensors` besides, and lines more in `[local]`.
fn secure_config(listen: SocketAddr, secure: SocketAddr, hub: SocketAddr, more: &str) -> String {
    config(listen, hub).replace(
        "password_file = \"users\"",
        &format!(
            "tls_listen = \"{secure}\"\ncert = \"gateway.crt\"\nkey = \"gateway.key\"\nclient_ca = \"sensors.crt\"{more}"
        ),
    )
}

/// Publishes with TLS; `identity`: files of a certificate. `None`: taken.
fn publish_tls(
    dir: &Path,
    port: u16,
    ca: &str,
    identity: Option<&str>,
    user: &str,
    topic: &str,
) -> Option<String> {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "localhost", "-p", &port.to_string(), "-V", "5", "-q", "1", "-t", topic, "-m", "x"]);
    command.arg("--cafile").arg(dir.join(format!("{ca}.crt"))).args(["-u", user]);
    if let Some(identity) = identity {
        command.arg("--cert").arg(dir.join(format!("{identity}.crt")));
        command.arg("--key").arg(dir.join(format!("{identity}.key")));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success() || !said.is_empty()).then_some(said)
}

#[test]
fn a_certificate_is_a_user_and_a_renewed_one_of_the_gateway_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    let at_hub = Subscriber::start(hub.address, "up/#");
    let (plant, sensors, others) =
        (Authority::new(dir, "plant"), Authority::new(dir, "sensors"), Authority::new(dir, "others"));
    plant.sign(dir, "gateway", Some("localhost"));
    sensors.sign(dir, "oven3", Some("oven3"));
    sensors.sign(dir, "nameless", None);
    others.sign(dir, "forged", Some("oven3"));
    fs::write(dir.join("rights"), RIGHTS).unwrap();
    let (listen, secure) = (free_port(), free_port());
    let config = secure_config(listen, secure, hub.address, "");
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let port = secure.port();
    let topic = "plant/oven3/temp";
    assert_eq!(
        publish_tls(dir, port, "plant", Some("oven3"), "panel", topic),
        None,
        "whatever name it gives"
    );
    for (identity, user) in [(None, "oven3"), (Some("forged"), "oven3"), (Some("nameless"), "oven3")] {
        assert!(publish_tls(dir, port, "plant", identity, user, topic).is_some(), "{identity:?}");
    }
    wait_until("it is told", 30, || gateway.log().contains("has no common name"));
    assert!(publish_tls(dir, port, "plant", Some("oven3"), "oven3", "plant/other").is_some());
    assert!(
        publish_tls(dir, port, "others", Some("oven3"), "oven3", topic).is_some(),
        "who trusts others goes"
    );
    wait_until("it is told", 30, || gateway.log().contains("no TLS with a client"));

    let claimed = publish(listen, Some(("oven3", "secret")), topic, "forged");
    assert!(claimed.is_some(), "a name without its certificate, at the door without TLS");

    // Another authority's certificate in its place: who trusts that one comes in, without a restart.
    others.sign(dir, "gateway", Some("localhost"));
    wait_until("the new certificate is shown", 30, || {
        publish_tls(dir, port, "others", Some("oven3"), "oven3", topic).is_none()
    });
    assert!(publish_tls(dir, port, "plant", Some("oven3"), "oven3", topic).is_some());
    fs::write(dir.join("gateway.key"), "no key").unwrap();
    wait_until("it is told", 30, || gateway.log().contains("TLS files of the listener stay as they were"));
    assert_eq!(publish_tls(dir, port, "others", Some("oven3"), "oven3", topic), None);
    wait_until("all is at the hub", 20, || at_hub.arrived().len() == 3);
    assert!(at_hub.arrived().iter().all(|arrived| arrived.topic == "up/plant/oven3/temp"));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// The DNS name has the right, the common name has none.
#[test]
fn a_dns_name_in_a_certificate_is_the_user_where_the_file_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    let at_hub = Subscriber::start(hub.address, "up/#");
    let (plant, sensors) = (Authority::new(dir, "plant"), Authority::new(dir, "sensors"));
    plant.sign(dir, "gateway", Some("localhost"));
    sensors.sign_dns(dir, "named", "whoever", &["press7.plant.example"]);
    sensors.sign_dns(dir, "other", "press7.plant.example", &["press8.plant.example"]);
    sensors.sign_dns(dir, "both", "whoever", &["press7.plant.example", "press8.plant.example"]);
    sensors.sign_dns(dir, "without", "press7.plant.example", &[]);
    fs::write(dir.join("rights"), "user press7.plant.example\ntopic write plant/press7\n").unwrap();
    let (listen, secure) = (free_port(), free_port());
    let config = secure_config(listen, secure, hub.address, "\nclient_user_from = \"san\"");
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let publish = |identity| publish_tls(dir, secure.port(), "plant", Some(identity), "x", "plant/press7");
    assert_eq!(publish("named"), None);
    let refused = publish("other").unwrap();
    assert!(refused.to_lowercase().contains("not authorized"), "a common name is nobody: {refused}");
    for identity in ["both", "without"] {
        assert!(publish(identity).is_some(), "{identity}");
    }
    wait_until("it is at the hub", 20, || !at_hub.arrived().is_empty());
    assert_eq!(gateway.terminate().0.code(), Some(0));
    assert_eq!(at_hub.arrived().len(), 1);
}

#[test]
fn another_authority_of_clients_counts_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    let plant = Authority::new(dir, "plant");
    let (sensors, others) = (Authority::new(dir, "sensors"), Authority::new(dir, "others"));
    plant.sign(dir, "gateway", Some("localhost"));
    sensors.sign(dir, "old", Some("oven3"));
    others.sign(dir, "new", Some("oven3"));
    fs::write(dir.join("rights"), RIGHTS).unwrap();
    let (listen, secure) = (free_port(), free_port());
    let mut gateway = Gateway::new(dir, &secure_config(listen, secure, hub.address, ""));
    gateway.start();
    let pid = gateway.pid();
    let comes_in = |identity| {
        publish_tls(dir, secure.port(), "plant", Some(identity), "x", "plant/oven3/temp").is_none()
    };
    assert!(comes_in("old") && !comes_in("new"));
    fs::copy(dir.join("others.crt"), dir.join("sensors.crt")).unwrap();
    wait_until("a client of the new authority comes in", 30, || comes_in("new"));
    assert!(!comes_in("old"), "its authority is none any more");
    assert!(comes_in("new"));
    assert_eq!((gateway.pid(), gateway.exit_code()), (pid, None));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}
