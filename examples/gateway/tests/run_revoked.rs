#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` whose sensors' certificates, or whose hub's, are revoked while it runs.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::Mosquitto;
use support::relay::Relay;
use support::wall_clock::WallClock;
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

/// A gateway with a listener at this address, which lets in whom the plant signed and did not revoke.
fn config(at: SocketAddr) -> String {
    format!(
        "[gateway]\nid = \"g\"\n[local]\ntls_listen = \"{at}\"\ncert = \"gateway.crt\"\nkey = \"gateway.key\"\nclient_ca = \"plant.crt\"\n\
         client_crl = \"plant.crl\"\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
        free_port()
    )
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
    // A minute older than the next one: the times of lists are whole seconds.
    plant.revoke_ago(dir, "plant.crl", &[], Duration::from_secs(60));
    let oldest = fs::read(dir.join("plant.crl")).unwrap();
    let at = free_port();
    let mut gateway = Gateway::new(dir, &config(at));
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
    // Nor does a list of another authority, or an older one of the same.
    let other = Authority::new(dir, "other");
    for (wrong, reason) in
        [("other", "the list of \"plant\" is no longer in it"), ("old", "is older than the one in force")]
    {
        match wrong {
            "other" => other.revoke(dir, "plant.crl", &[]),
            _ => fs::write(dir.join("plant.crl"), &oldest).unwrap(),
        }
        wait_until("it is told", 30, || gateway.log().contains(reason));
        assert!(!publishes(dir, at, "oven3") && publishes(dir, at, "pump"), "{wrong}");
    }
    // The authority takes it back.
    plant.revoke(dir, "plant.crl", &[]);
    wait_until("it may come again", 30, || publishes(dir, at, "oven3"));
    let _ = reader.kill();
    let _ = reader.wait();
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Returns the verdict and the ids of what needs a person to act.
fn status(gateway: &Gateway) -> (String, Vec<String>) {
    let Some((200, status)) = gateway.get("/status.json") else { return Default::default() };
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let needs = status["needs"].as_array().unwrap().iter().filter(|need| need["level"] == "act");
    let needs = needs.map(|need| need["id"].as_str().unwrap().to_owned()).collect();
    (status["verdict"].as_str().unwrap().to_owned(), needs)
}

/// In force, a list with the authority's name that another key signed kept out every sensor.
#[test]
fn a_list_that_another_key_signed_keeps_nobody_out_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    for name in ["gateway", "oven3", "pump"] {
        plant.sign(dir, name, Some(name));
    }
    plant.revoke_ago(dir, "plant.crl", &["oven3"], Duration::from_secs(60));
    let good = fs::read(dir.join("plant.crl")).unwrap();
    let elsewhere = dir.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let forger = Authority::new(&elsewhere, "plant");
    let at = free_port();
    let mut gateway = Gateway::new(dir, &config(at));
    gateway.start();
    assert!(publishes(dir, at, "pump") && !publishes(dir, at, "oven3"));
    forger.revoke(dir, "plant.crl", &[]);
    let reason = "plant.crl: the list of \"plant\" is signed by another key than that authority has in ";
    wait_until("it is told", 30, || gateway.log().contains(reason));
    assert!(publishes(dir, at, "pump") && !publishes(dir, at, "oven3"));
    wait_until("somebody is needed", 40, || {
        let (verdict, needs) = status(&gateway);
        verdict == "degraded"
            && ["access", "certificate"].iter().all(|id| needs.iter().any(|need| need == id))
    });
    fs::write(dir.join("plant.crl"), good).unwrap();
    wait_until("nobody is needed", 40, || {
        let (_, needs) = status(&gateway);
        !needs.iter().any(|need| need == "access" || need == "certificate")
    });
    assert!(publishes(dir, at, "pump") && !publishes(dir, at, "oven3"));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// A pipe in the place of one of the files, be it for a moment, held up the look at all of them for ever.
#[test]
fn what_is_revoked_counts_after_a_pipe_was_in_the_place_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    for name in ["gateway", "oven3"] {
        plant.sign(dir, name, Some(name));
    }
    plant.revoke_ago(dir, "plant.crl", &[], Duration::from_secs(60));
    let at = free_port();
    let mut gateway = Gateway::new(dir, &config(at));
    gateway.start();
    assert!(publishes(dir, at, "oven3"));
    for name in ["gateway.crt", "gateway.key", "plant.crt", "plant.crl"] {
        let (path, away) = (dir.join(name), dir.join("away"));
        fs::rename(&path, &away).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let is_told = |line: &str| line.contains(name) && line.contains("is no regular file, but a pipe");
        wait_until(name, 30, || gateway.log().lines().any(is_told));
        fs::rename(&away, &path).unwrap();
    }
    plant.revoke(dir, "plant.crl", &["oven3"]);
    wait_until("it is refused", 30, || !publishes(dir, at, "oven3"));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Nothing can be compared at a start. It is told at once, and the sensors are not cut off.
#[test]
fn a_list_of_another_authority_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (plant, other) = (Authority::new(dir, "plant"), Authority::new(dir, "other"));
    for name in ["gateway", "oven3"] {
        plant.sign(dir, name, Some(name));
    }
    other.revoke(dir, "plant.crl", &["oven3"]);
    let at = free_port();
    let mut gateway = Gateway::new(dir, &config(at));
    gateway.start();
    let is_told = |line: &str| {
        line.contains("of another authority than the one that is named") && line.contains("plant.crl")
    };
    wait_until("it is told", 30, || gateway.log().lines().any(is_told));
    assert!(publishes(dir, at, "oven3"));
    // The right one takes its place.
    plant.revoke(dir, "plant.crl", &["oven3"]);
    wait_until("it is refused", 30, || !publishes(dir, at, "oven3"));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// As in a renewal that is half done: the list is there, and the certificate is not yet, or not yet whole.
#[test]
fn a_revoked_sensor_stays_out_while_the_listeners_own_files_are_broken() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    for name in ["gateway", "oven3", "pump"] {
        plant.sign(dir, name, Some(name));
    }
    let [cert, key] =
        ["gateway.crt", "gateway.key"].map(|file| (dir.join(file), fs::read(dir.join(file)).unwrap()));
    plant.revoke(dir, "plant.crl", &[]);
    let at = free_port();
    let mut gateway = Gateway::new(dir, &config(at));
    gateway.start();
    for (n, (path, _)) in [&cert, &key].into_iter().enumerate() {
        wait_until("both are let in", 30, || publishes(dir, at, "oven3") && publishes(dir, at, "pump"));
        match n {
            0 => fs::write(path, "nothing").unwrap(),
            _ => fs::remove_file(path).unwrap(),
        }
        plant.revoke(dir, "plant.crl", &["oven3"]);
        wait_until("it is refused", 30, || !publishes(dir, at, "oven3"));
        assert!(publishes(dir, at, "pump"), "by the certificate of before");
        let is_told =
            |line: &str| line.contains("stay as they were") && line.contains(&path.display().to_string());
        wait_until("the file is named", 30, || gateway.log().lines().any(is_told));
        [&cert, &key].into_iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        plant.revoke(dir, "plant.crl", &[]);
    }
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Returns whether the status says that the hub needs somebody at once, as it does for what does not heal by itself.
fn needs_somebody(gateway: &Gateway) -> bool {
    let Some((200, status)) = gateway.get("/status.json") else { return false };
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["needs"].as_array().unwrap().iter().any(|need| need["id"] == "hub" && need["level"] == "act")
}

/// The gateway has a session of TLS with its hub, by which it could go on.
#[test]
fn a_revoked_hub_stays_out_while_the_gateways_own_files_are_broken() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    for name in ["hub", "site7"] {
        plant.sign(dir, name, Some(name));
    }
    fs::copy(dir.join("plant.crt"), dir.join("ca.crt")).unwrap();
    plant.revoke(dir, "plant.crl", &[]);
    let secure = free_port();
    let file = |name: &str| dir.join(name).display().to_string();
    let (cert, key) = (file("hub.crt"), file("hub.key"));
    let lines = format!("user root\nlistener {} 127.0.0.1\ncertfile {cert}\nkeyfile {key}\n", secure.port());
    let _hub = Mosquitto::start(dir, &lines);
    let line = Relay::start(secure);
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"ca.crt\"\n\
         cert = \"site7.crt\"\nkey = \"site7.key\"\ncrl = \"plant.crl\"\n[[route]]\nmatch = \"#\"\n",
        free_port(),
        line.address.port()
    );
    let files = ["ca.crt", "site7.crt", "site7.key"].map(|name| (name, fs::read(dir.join(name)).unwrap()));
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let page = || gateway.get("/metrics").map_or_else(String::new, |(_, page)| page);
    let is_linked = || {
        let page = page();
        page.contains("edge_link_state{state=\"idle\"} 1")
            || page.contains("edge_link_state{state=\"flowing\"} 1")
    };
    for broken in ["ca.crt", "site7.crt", "site7.key"] {
        wait_until("the link is there", 60, is_linked);
        match broken {
            "site7.key" => fs::remove_file(dir.join(broken)).unwrap(),
            _ => fs::write(dir.join(broken), "nothing").unwrap(),
        }
        plant.revoke(dir, "plant.crl", &["hub"]);
        line.reset();
        wait_until("the hub is refused", 60, || page().contains("is revoked by"));
        wait_until("somebody is needed", 20, || needs_somebody(&gateway));
        let is_told = |line: &str| line.contains("of the link cannot be read again") && line.contains(broken);
        assert!(gateway.log().lines().any(is_told), "{broken} {}", gateway.log());
        files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
        plant.revoke(dir, "plant.crl", &[]);
    }
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// By the gateway's clock, which is ahead.
#[test]
fn a_hub_whose_certificate_has_expired_needs_somebody() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    plant.sign_for_days(dir, "hub", "hub", 1);
    let secure = free_port();
    let file = |name: &str| dir.join(name).display().to_string();
    let (cert, key) = (file("hub.crt"), file("hub.key"));
    let lines = format!("user root\nlistener {} 127.0.0.1\ncertfile {cert}\nkeyfile {key}\n", secure.port());
    let _hub = Mosquitto::start(dir, &lines);
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\n[[route]]\nmatch = \"#\"\n",
        free_port(),
        secure.port()
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.wall_clock = Some(WallClock::new(dir, 3 * 86_400_000, true));
    gateway.start();
    wait_until("somebody is needed", 60, || needs_somebody(&gateway));
    let (_, page) = gateway.get("/metrics").unwrap();
    assert!(
        page.contains("the hub's certificate has expired ([hub] url, tls_server_name): it ended at "),
        "{page}"
    );
    assert_eq!(gateway.terminate().0.code(), Some(0));
}
