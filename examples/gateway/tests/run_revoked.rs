#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` whose sensors' certificates are revoked while it runs.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use support::authority::Authority;
use support::gateway::Gateway;
use support::{free_port, wait_until};

/// A client of Mosquitto with the certificate of this name.
fn client(dir: &Path, program: &str, at: SocketAddr, name: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "localhost", "-p", &at.port().to_string(), "-q", "1", "-t", "a", "-i", name]);
    command.arg("--cafile").arg(dir.join("plant.crt"));
    command
        .arg("--cert")
        .arg(dir.join(format!("{name}.crt")))
        .arg("--key")
        .arg(dir.join(format!("{name}.key")));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn publishes(dir: &Path, at: SocketAddr, name: &str) -> bool {
    client(dir, "mosquitto_pub", at, name).args(["-m", "1"]).status().unwrap().success()
}

#[test]
fn a_sensor_whose_certificate_is_revoked_is_sent_away_and_stays_out() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    for name in ["gateway", "oven3", "pump"] {
        plant.sign(dir, name, Some(name));
    }
    plant.revoke(dir, "plant.crl", &[]);
    let at = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\ntls_listen = \"{at}\"\ncert = \"gateway.crt\"\nkey = \"gateway.key\"\nclient_ca = \"plant.crt\"\n\
         client_crl = \"plant.crl\"\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
        free_port()
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    assert!(publishes(dir, at, "oven3") && publishes(dir, at, "pump"));
    // One that is connected comes again, since it is sent away, until it is refused.
    let said = fs::File::create(dir.join("reader")).unwrap();
    let mut reader = client(dir, "mosquitto_sub", at, "oven3").stdout(said).spawn().unwrap();
    wait_until("it is connected", 20, || {
        publishes(dir, at, "pump") && fs::read_to_string(dir.join("reader")).unwrap().contains('1')
    });
    plant.revoke(dir, "plant.crl", &["oven3"]);
    let is_named =
        |line: &str| line.contains("oven3") && line.contains("is revoked by") && line.contains("plant.crl");
    wait_until("it is refused, and named", 30, || gateway.log().lines().any(is_named));
    assert!(!publishes(dir, at, "oven3") && publishes(dir, at, "pump"));
    // A file that is no list changes nothing, and is told.
    fs::write(dir.join("plant.crl"), "nothing").unwrap();
    wait_until("it is told", 30, || gateway.log().contains("plant.crl: no list of revoked certificates"));
    assert!(!publishes(dir, at, "oven3") && publishes(dir, at, "pump"));
    // The authority takes it back.
    plant.revoke(dir, "plant.crl", &[]);
    wait_until("it may come again", 30, || publishes(dir, at, "oven3"));
    let _ = reader.kill();
    let _ = reader.wait();
    assert_eq!(gateway.terminate().0.code(), Some(0));
}
