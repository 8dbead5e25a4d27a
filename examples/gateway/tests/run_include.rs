#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A configuration of several files: all of them are read again, watched and kept as gateway.toml itself is.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, publish};
use support::{free_port, wait_until};

const IN_FORCE: &str = "the routes of the changed configuration are in force";
const REFUSED: &str = "the changed configuration is refused: the one in force stays";
const FILTER: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";

fn route(topic: &str, to: &str) -> String {
    format!("[[route]]\nmatch = \"{topic}\"\nto = \"{to}/\"\n")
}

/// gateway.toml, `site.toml` and `routes.d` with one route. Returns the listener's address.
fn site(dir: &Path, hub: SocketAddr, gateway: &str) -> (Gateway, SocketAddr) {
    let listen = free_port();
    let routes = dir.join("routes.d");
    fs::create_dir_all(&routes).unwrap();
    fs::write(dir.join("site.toml"), format!("[hub]\nurl = \"mqtt://{hub}\"\n")).unwrap();
    fs::write(routes.join("10-plant.toml"), route("plant/#", "first")).unwrap();
    let config = format!(
        "include = [\"site.toml\", \"routes.d/*.toml\"]\n[gateway]\nid = \"g\"\n{gateway}[local]\nlisten = \"{listen}\"\n"
    );
    (Gateway::new(dir, &config), listen)
}

/// Writes a file of routes in one moment: the gateway would find it empty in between.
fn put(routes: &Path, name: &str, text: &str) {
    fs::write(routes.join("new"), text).unwrap();
    fs::rename(routes.join("new"), routes.join(name)).unwrap();
}

/// Publishes until the message arrives there.
#[track_caller]
fn arrives(listen: SocketAddr, at_hub: &Subscriber, topic: &str, there: &str) {
    wait_until(there, 20, || {
        publish(listen, topic, "x");
        at_hub.arrived().iter().any(|message| message.topic == there)
    });
}

/// As Kubernetes mounts a ConfigMap: each file is a link through a folder that is a link, which is exchanged.
#[test]
fn an_included_file_that_changes_comes_or_goes_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "#");
    let (mut gateway, listen) = site(dir.path(), hub.address, "reload = \"on_change\"\n");
    let routes = dir.path().join("routes.d");
    let mount = |version: &str, topic: &str| {
        fs::create_dir(routes.join(version)).unwrap();
        fs::write(routes.join(version).join("10-plant.toml"), route(topic, version)).unwrap();
        symlink(version, routes.join("..data.new")).unwrap();
        fs::rename(routes.join("..data.new"), routes.join("..data")).unwrap();
    };
    mount("..one", "plant/#");
    fs::remove_file(routes.join("10-plant.toml")).unwrap();
    symlink("..data/10-plant.toml", routes.join("10-plant.toml")).unwrap();
    gateway.start();
    arrives(listen, &at_hub, "plant/t", "..one/plant/t");
    mount("..two", "plant/+");
    wait_until("the exchanged file is in force", 30, || gateway.log().matches(IN_FORCE).count() == 1);
    arrives(listen, &at_hub, "plant/t", "..two/plant/t");
    // Another file, which no file named before.
    put(&routes, "20-more.toml", &route("more/#", "more"));
    wait_until("the file that came is in force", 30, || gateway.log().matches(IN_FORCE).count() == 2);
    arrives(listen, &at_hub, "more/t", "more/more/t");
    fs::remove_file(routes.join("20-more.toml")).unwrap();
    wait_until("the file that went is out of force", 30, || gateway.log().matches(IN_FORCE).count() == 3);
    // A mistake in one that has just come, and then its end.
    put(&routes, "30-wrong.toml", "\n[[route]]\nmatch = \"a/#/b\"\n");
    wait_until("it is refused", 30, || gateway.log().contains(REFUSED));
    assert!(gateway.log().contains("routes.d/30-wrong.toml:3: route[2].match: "), "{}", gateway.log());
    wait_until("it is counted", 20, || gateway.metric("edge_config_refused") == Some(1.0));
    put(&routes, "30-wrong.toml", &route("a/#", "a"));
    wait_until("the mended file is in force", 30, || gateway.metric("edge_config_refused") == Some(0.0));
    arrives(listen, &at_hub, "a/t", "a/a/t");
    assert!(gateway.terminate().0.success());
}

/// Promise 2, with one file of several at a time.
#[test]
fn a_start_with_an_included_file_wrong_or_gone_goes_on_with_all_that_was_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "#");
    let (mut gateway, listen) = site(dir.path(), hub.address, "");
    let (site, folder) = (dir.path().join("site.toml"), dir.path().join("routes.d"));
    let filtered = format!(
        "{}[[route]]\nmatch = \"temp/#\"\nto = \"up\"\nformat = \"json\"\nbatch_age = \"20ms\"\nfilter = \"filter\"\n",
        route("plant/#", "first")
    );
    fs::write(folder.join("10-plant.toml"), filtered).unwrap();
    // Beside the file that names it.
    fs::write(folder.join("filter"), FILTER).unwrap();
    gateway.start();
    arrives(listen, &at_hub, "plant/1", "first/plant/1");
    let kept = gateway.state.join("configuration");
    wait_until("the configuration is kept", 30, || kept.exists());
    gateway.kill_9();
    let good = fs::read_to_string(&site).unwrap();
    for (number, wrong) in ["[hub]\nurl = \"mqt://hub\"\n", "[hub\n", ""].into_iter().enumerate() {
        match wrong {
            "" => {
                fs::remove_file(&site).unwrap();
                fs::remove_dir_all(&folder).unwrap();
            }
            wrong => fs::write(&site, wrong).unwrap(),
        }
        let strict = gateway.command().arg("--strict").output().unwrap();
        assert_eq!(strict.status.code(), Some(2), "{}", String::from_utf8_lossy(&strict.stderr));
        gateway.start();
        wait_until("it is told", 20, || gateway.metric("edge_config_refused") == Some(1.0));
        let topic = format!("plant/again/{number}");
        arrives(listen, &at_hub, &topic, &format!("first/{topic}"));
        if number < 2 {
            gateway.kill_9();
        }
    }
    ["20.0", "20.1"].iter().for_each(|value| publish(listen, "temp/1", &format!("{{\"value\":{value}}}")));
    wait_until("the rules of then hold", 20, || {
        gateway.metric("edge_suppressed_total{reason=\"in_deadband\"}") == Some(1.0)
    });
    // Mended while it runs: nobody has to say so.
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("10-plant.toml"), route("plant/#", "mended")).unwrap();
    fs::write(&site, good).unwrap();
    wait_until("what the files say is in force", 30, || gateway.metric("edge_config_refused") == Some(0.0));
    arrives(listen, &at_hub, "plant/2", "mended/plant/2");
    assert!(gateway.terminate().0.success());
}
