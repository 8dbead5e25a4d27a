//! The bridge as the local broker with TLS: names from certificates, renewed at a SIGHUP, and a connection that does not start at one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "a test: real processes, sockets and time"
)]

#[allow(dead_code, reason = "shared test support")]
#[path = "../../gateway/tests/support/authority.rs"]
mod authority;
#[path = "../../../edge-bridge/tests/support/mosquitto.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod mosquitto;
#[path = "support/site.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod site;

use std::path::Path;
use std::process::Command;

use authority::Authority;
use mosquitto::{Mosquitto, free_port};
use site::{Reader, Site, conf, publish};

fn client(dir: &Path, port: u16, ca: &str, user: Option<&str>) -> Command {
    let mut command = mosquitto::command("mosquitto_pub");
    command.args(["-h", "localhost", "-p", &port.to_string(), "-V", "5", "-q", "1", "-m", "x"]);
    command.arg("--cafile").arg(dir.join(format!("{ca}.crt")));
    if let Some(user) = user {
        command.arg("--cert").arg(dir.join(format!("{user}.crt")));
        command.arg("--key").arg(dir.join(format!("{user}.key")));
    }
    command
}

fn is_taken(mut client: Command, topic: &str) -> bool {
    let output = client.args(["-t", topic]).output().unwrap();
    output.status.success() && output.stderr.is_empty()
}

/// A client has the name of its certificate and that name's rights; without one it does not come in, by whatever name. Renewed files count from a
/// SIGHUP on.
#[test]
fn names_come_from_certificates_and_renewed_ones_count() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (plant, other) = (Authority::new(dir, "plant"), Authority::new(dir, "other"));
    plant.sign(dir, "server", Some("broker"));
    plant.sign(dir, "oven", Some("oven"));
    other.sign(dir, "stranger", Some("oven"));
    std::fs::write(dir.join("rights"), "user oven\ntopic write line/oven/#\n").unwrap();
    let (port, hub) = (free_port(), Mosquitto::start(""));
    let file = |name: &str| dir.join(name).display().to_string();
    let mut site = Site::alone(&format!(
        "listener {port} localhost\ncertfile {}\nkeyfile {}\ncafile {}\nrequire_certificate true\nuse_identity_as_username true\n\
         acl_file {}\n{}",
        file("server.crt"),
        file("server.key"),
        file("plant.crt"),
        file("rights"),
        conf(&hub.address().to_string(), "mqttv50", "notifications false")
    ));
    site.run();
    let at_hub = Reader::start(&hub, "site7/line/#");
    let oven = || client(dir, port, "plant", Some("oven"));
    assert!(is_taken(oven(), "line/oven/1"));
    assert!(!is_taken(oven(), "line/press/1"), "without the right");
    assert!(!is_taken(client(dir, port, "plant", None), "line/oven/2"), "without a certificate");
    let mut named = client(dir, port, "plant", None);
    named.args(["-u", "oven"]);
    assert!(!is_taken(named, "line/oven/2"), "a name alone");
    assert!(!is_taken(client(dir, port, "plant", Some("stranger")), "line/oven/2"), "another authority's");
    site.until("what was taken", || at_hub.has("site7/line/oven/1 x 0") > 0);

    // Both authorities are trusted, and the broker has a certificate of the other one.
    let both = ["plant.crt", "other.crt"].map(|name| std::fs::read_to_string(dir.join(name)).unwrap());
    std::fs::write(dir.join("both.crt"), both.concat()).unwrap();
    other.sign(dir, "server", Some("broker"));
    let lines = std::fs::read_to_string(site.file("bridge.conf")).unwrap();
    std::fs::write(site.file("bridge.conf"), lines.replace("plant.crt", "both.crt")).unwrap();
    site.signal("-HUP");
    let stranger = || client(dir, port, "other", Some("stranger"));
    site.until("the renewed files", || is_taken(stranger(), "line/oven/3"));
    assert!(!is_taken(oven(), "line/oven/4"), "it does not trust who signed the broker's");
    site.until("all of it", || at_hub.has("site7/line/oven/3 x 0") > 0);
    assert_eq!(at_hub.has("site7/line/oven/2 x 0") + at_hub.has("site7/line/press/1 x 0"), 0);
    assert!(site.stop().success());
}

/// Listeners of several networks, those with TLS with the same files.
#[test]
fn each_of_several_listeners_takes_messages() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    Authority::new(dir, "plant").sign(dir, "server", Some("broker"));
    let (ports, hub): ([u16; 4], _) = (std::array::from_fn(|_| free_port()), Mosquitto::start(""));
    let files = format!("certfile {0}/server.crt\nkeyfile {0}/server.key\n", dir.display());
    let [a, b, c, d] = ports;
    let mut site = Site::alone(&format!(
        "listener {a} localhost\n{files}listener {b} 127.0.0.1\nlistener {c} 127.0.0.1\nlistener {d} localhost\n{files}\
         allow_anonymous true\n{}",
        conf(&hub.address().to_string(), "mqttv50", "notifications false")
    ));
    site.run();
    let at_hub = Reader::start(&hub, "site7/line/#");
    for (n, port) in ports.into_iter().enumerate() {
        let mut client = client(dir, port, "plant", None);
        if [b, c].contains(&port) {
            client = mosquitto::command("mosquitto_pub");
            client.args(["-p", &port.to_string(), "-V", "5", "-q", "1", "-m", "x"]);
        }
        assert!(is_taken(client, &format!("line/{n}")), "listener {n}");
    }
    site.until("all of it", || (0..4).all(|n| at_hub.has(&format!("site7/line/{n} x 0")) > 0));
    assert!(site.stop().success());
}

/// A new connection whose queue does not open: the other one goes on, and what the new one is to take is acknowledged when it runs.
#[test]
fn a_connection_that_does_not_start_is_tried_again() {
    let (port, hub) = (free_port(), Mosquitto::start(""));
    let local = Mosquitto::elsewhere(port);
    let one = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\n{}",
        conf(&hub.address().to_string(), "mqttv50", "notifications false")
    );
    let mut site = Site::alone(&one);
    site.run();
    let at_hub = Reader::start(&hub, "#");
    std::fs::write(site.file("state/two.out"), "in the way").unwrap();
    let two = format!(
        "{one}connection two\naddress {}\nnotifications false\ntopic office/# out 1 \"\" b/\n",
        hub.address()
    );
    std::fs::write(site.file("bridge.conf"), two).unwrap();
    site.signal("-HUP");
    let log = || std::fs::read_to_string(site.file("log")).unwrap();
    site.until("the failure", || log().contains("does not run, and is tried again"));
    let mut waits = mosquitto::command("mosquitto_pub");
    waits.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "office/1", "-m", "x"]);
    let mut waits = waits.spawn().unwrap();
    let out = publish(&local, "line/a", "site7/line/a", 0);
    site.until("the other connection's", || at_hub.missing(&out).is_empty());
    assert!(waits.try_wait().unwrap().is_none(), "nobody has it yet");
    std::fs::remove_file(site.file("state/two.out")).unwrap();
    site.until("its messages", || at_hub.has("b/office/1 x 0") > 0);
    assert!(waits.wait().unwrap().success());
    assert!(site.stop().success());
}
