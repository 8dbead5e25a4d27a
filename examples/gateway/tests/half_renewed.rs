#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A start between the halves of a certificate's renewal: the site stores, and goes on when the files fit (promise 2).

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, is_served_by_tls, publish};
use support::{free_port, wait_until};

/// Files of the link, or of the listener, at this half of a renewal.
fn break_off(dir: &Path, name: &str, half: &str) {
    let (cert, key) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
    match half {
        "key of the next" => fs::write(key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap(),
        "half written" => fs::write(&cert, &fs::read(&cert).unwrap()[..200]).unwrap(),
        "certificate away" => fs::remove_file(cert).unwrap(),
        _ => fs::remove_file(key).unwrap(),
    }
}

/// The status and the log say which setting is wrong, and what is served without it: nothing in gateway.toml has changed, and no certificate was in force.
#[track_caller]
fn is_told_as_it_is(gateway: &Gateway, name: &str, half: &str) {
    let status = gateway.get("/status.json").unwrap().1;
    let key = if name == "own" { "local." } else { "hub." };
    // The status goes to the hub, too, which need not know the paths.
    assert!(status.contains(&format!(": {key}")), "{name} {half}: {status}");
    assert!(!status.contains("The changed gateway.toml"), "{name} {half}: {status}");
    assert_eq!(
        status.contains("No client is served with TLS (tls_listen, wss_listen)"),
        name == "own",
        "{name} {half}: {status}"
    );
    let log = gateway.log();
    assert!(log.contains(&format!("/{name}.")), "{name} {half}: {log}");
    assert!(!log.contains("TLS files of the listener stay as they were"), "{name} {half}: {log}");
    let told = "no TLS with a client: the server has no certificate to show: that in ";
    assert_eq!(log.contains(told), name == "own", "{name} {half}: {log}");
}

#[test]
fn promise_2_a_start_between_the_halves_of_a_renewal_stores_and_connects_when_the_files_fit() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    plant.sign(dir, "hub", Some("hub"));
    let (at_hub, listen, secure) = (free_port(), free_port(), free_port());
    let file = |name: &str| dir.join(name).display().to_string();
    let hub = Mosquitto::start(
        dir,
        &format!(
            "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
            at_hub.port(),
            file("plant.crt"),
            file("hub.crt"),
            file("hub.key")
        ),
    );
    let arrived = Subscriber::start(hub.address, "up/#");
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\ntls_listen = \"{secure}\"\ncert = \"own.crt\"\nkey = \"own.key\"\n\
         allow_anonymous = true\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\ncert = \"site7.crt\"\nkey = \"site7.key\"\n\
         [[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        at_hub.port()
    );
    let sign = |name: &str| plant.sign(dir, name, Some(name));
    ["own", "site7"].into_iter().for_each(sign);
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    wait_until("the configuration is kept", 30, || gateway.state.join("configuration").exists());
    let halves = ["key of the next", "half written", "certificate away", "key away"];
    for (name, half) in ["site7", "own"].into_iter().flat_map(|name| halves.map(|half| (name, half))) {
        gateway.kill_9();
        break_off(dir, name, half);
        let check =
            Command::new(support::gateway::BINARY).arg("check").arg(dir.join("gateway.toml")).output();
        assert_eq!(check.unwrap().status.code(), Some(2), "{name} {half}");
        let strict = gateway.command().arg("--strict").output().unwrap();
        assert_eq!(strict.status.code(), Some(2), "{name} {half}");
        gateway.start();
        let topic = format!("{name}/{half}").replace(' ', "_");
        publish(listen, &topic, "x");
        assert_eq!(is_served_by_tls(secure.port(), &dir.join("plant.crt")), name == "site7", "{name} {half}");
        let degraded = "edge_verdict{verdict=\"degraded\"}";
        wait_until("it is told", 30, || gateway.metric(degraded) == Some(1.0));
        is_told_as_it_is(&gateway, name, half);
        let at_hub = || arrived.arrived().iter().any(|one| one.topic == format!("up/{topic}"));
        assert!(name == "own" || !at_hub(), "{half}");
        sign(name);
        wait_until("what was stored is at the hub", 60, at_hub);
        wait_until("sensors are served with TLS", 30, || {
            is_served_by_tls(secure.port(), &dir.join("plant.crt"))
        });
        gateway.signal("HUP");
        wait_until("nothing is to be told", 30, || gateway.metric(degraded) == Some(0.0));
    }
    assert_eq!(gateway.terminate().0.code(), Some(0));
}
