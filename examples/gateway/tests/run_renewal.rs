#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` whose certificate at the hub is renewed while it runs, and replaced by one that the hub does not take. Promise 1.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::{self, Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::{free_port, wait_until};

#[test]
fn a_renewed_certificate_is_shown_at_the_next_connection_and_a_wrong_one_cuts_nothing_off() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (plant, others) = (Authority::new(dir, "plant"), Authority::new(dir, "others"));
    plant.sign(dir, "hub", Some("hub"));
    plant.sign(dir, "site7", Some("before"));
    let secure = free_port();
    let file = |name: &str| dir.join(name).display().to_string();
    let mut hub = Mosquitto::start(
        dir,
        &format!(
            "user root\npersistence true\npersistence_location {}/\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n\
             require_certificate true\nuse_identity_as_username true",
            dir.display(),
            secure.port(),
            file("plant.crt"),
            file("hub.crt"),
            file("hub.key"),
        ),
    );
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\n\
         cert = \"site7.crt\"\nkey = \"site7.key\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        secure.port()
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let hub_log = |hub: &Mosquitto| fs::read_to_string(hub.log_path()).unwrap();
    let is_seen = |hub: &Mosquitto, name: &str| hub_log(hub).matches(&format!("u'{name}'")).count();
    wait_until("the hub has seen it", 20, || is_seen(&hub, "before") == 1);
    for (n, name) in ["second", "third", "fourth"].into_iter().enumerate() {
        plant.sign(dir, "site7", Some(name));
        mosquitto::publish(listen, "a", &n.to_string());
        hub.crash();
        wait_until("the renewed certificate is shown", 30, || is_seen(&hub, name) >= 1);
    }
    assert_eq!(is_seen(&hub, "before"), 1);
    wait_until("it is told", 30, || gateway.log().contains("the link's renewed certificate is in use"));
    // One of an authority that the hub does not trust: the former one goes on.
    others.sign(dir, "site7", Some("stranger"));
    hub.crash();
    wait_until("the former one is used", 40, || {
        gateway.log().contains("the hub does not take the link's renewed certificate")
    });
    assert_eq!(is_seen(&hub, "stranger"), 0);
    // So it does while the files are broken.
    fs::write(dir.join("site7.key"), "no key").unwrap();
    hub.crash();
    let at_hub = Subscriber::start(hub.address, "up/#");
    wait_until("a message arrives", 60, || {
        mosquitto::publish(listen, "b", "x");
        at_hub.arrived().iter().any(|arrived| arrived.topic == "up/b")
    });
    assert!(gateway.log().contains("TLS files of the link cannot be read again"));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Ten renewals in a row, each told by SIGHUP so that nobody waits for the next look, under some fifty messages a second.
#[test]
fn certificates_are_rotated_ten_times_under_load_without_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    plant.sign(dir, "hub", Some("hub"));
    plant.sign(dir, "site7", Some("life-0"));
    let secure = free_port();
    let file = |name: &str| dir.join(name).display().to_string();
    let hub = Mosquitto::start(
        dir,
        &format!(
            "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true",
            secure.port(),
            file("plant.crt"),
            file("hub.crt"),
            file("hub.key"),
        ),
    );
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\n\
         cert = \"site7.crt\"\nkey = \"site7.key\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        secure.port()
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let pid = gateway.pid();
    let is_seen =
        |name: &str| fs::read_to_string(hub.log_path()).unwrap().matches(&format!("u'{name}'")).count();
    wait_until("the hub has seen the first", 20, || is_seen("life-0") == 1);
    let told = |gateway: &Gateway| gateway.log().matches("the link's renewed certificate is in use").count();
    let at_hub = Subscriber::start(hub.address, "up/#");
    let is_over = AtomicBool::new(false);
    let acked = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut sensor, mut n) = (Publisher::new(listen, "sensor", 20), 0);
            while !is_over.load(Ordering::Relaxed) {
                sensor.publish("a", &format!("n{n}"));
                n += 1;
                sensor.poll();
            }
            sensor.settle(0, 30);
            sensor.acked
        });
        for n in 1..=10 {
            let name = format!("life-{n}");
            plant.sign(dir, "site7", Some(&name));
            gateway.signal("HUP");
            wait_until(&format!("the hub has seen {name}, and taken it"), 30, || {
                is_seen(&name) >= 1 && told(&gateway) == n
            });
        }
        is_over.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    let arrived =
        || -> BTreeSet<String> { at_hub.arrived().into_iter().map(|arrived| arrived.payload).collect() };
    wait_until("all that was acknowledged arrives", 30, || {
        let arrived = arrived();
        acked.iter().all(|payload| arrived.contains(payload))
    });
    println!("{} messages, {} arrivals", acked.len(), at_hub.arrived().len());
    assert!(acked.len() > 100, "{}", acked.len());
    assert_eq!((gateway.pid(), gateway.terminate().0.code()), (pid, Some(0)));
}

/// Nothing of it is seen on the link before it is too late.
#[test]
fn a_certificate_that_ends_soon_degrades_the_gateway_until_it_is_renewed() {
    for (max_age, days, is_near) in [("", 13, true), ("", 20, false), ("max_age = \"90d\"", 80, true)] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let plant = Authority::new(dir, "plant");
        plant.sign_for_days(dir, "site7", "site7", days);
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\n\
             cert = \"site7.crt\"\nkey = \"site7.key\"\n[queue]\n{max_age}\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
            free_port(),
            free_port().port()
        );
        let mut gateway = Gateway::new(dir, &config);
        gateway.start();
        let expiry = "edge_certificate_expiry_timestamp_seconds{role=\"hub\"}";
        wait_until("its end is known", 20, || gateway.metric(expiry).is_some());
        let days_left = || {
            let end = gateway.metric(expiry).unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            ((end - now) / 86_400.0).round()
        };
        assert_eq!(days_left(), f64::from(days));
        let verdict =
            |word: &str| gateway.metric(&format!("edge_verdict{{verdict=\"{word}\"}}")) == Some(1.0);
        wait_until(&format!("the verdict: {max_age} {days}"), 20, || {
            (verdict("degraded"), verdict("storing")) == (is_near, !is_near)
        });
        if is_near {
            wait_until("the log names the file", 30, || gateway.log().contains("a certificate ends soon"));
            wait_until("and the state why", 10, || gateway.log().contains("certificate=\"hub\""));
        }
        plant.sign_for_days(dir, "site7", "site7", 365);
        wait_until("the renewed one counts", 30, || days_left() == 365.0 && verdict("storing"));
        assert!(is_near || !gateway.log().contains("ends soon"), "{}", gateway.log());
    }
}
