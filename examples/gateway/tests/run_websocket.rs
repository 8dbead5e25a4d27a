#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` between clients that come by WebSocket and a Mosquitto as hub: the rules are those of plain MQTT. Promises 1 and 12.

mod support;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use support::authority::Authority;
use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber};
use support::websocket::{Certificates, relay, tls_relay};
use support::{free_port, wait_until};

/// Around the steps of the length fields of MQTT, WebSocket and TLS, and past what a listener takes in at once.
const SIZES: [usize; 13] =
    [1, 100, 125, 126, 127, 128, 4_000, 16_370, 16_384, 36_000, 65_530, 65_536, 250_000];

/// Gateway with a door of each kind, and its certificate.
struct Doors {
    plain: SocketAddr,
    ws: SocketAddr,
    wss: SocketAddr,
    config: String,
}

fn doors(dir: &Path, hub: SocketAddr, access: &str) -> Doors {
    Authority::new(dir, "plant").sign(dir, "gateway", Some("localhost"));
    let [plain, tls, ws, wss] = std::array::from_fn(|_| free_port());
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{plain}\"\ntls_listen = \"{tls}\"\nws_listen = \"{ws}\"\nwss_listen = \"{wss}\"\n\
         cert = \"gateway.crt\"\nkey = \"gateway.key\"\n{access}\n\
         [hub]\nurl = \"mqtt://{hub}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n"
    );
    Doors { plain, ws, wss, config }
}

/// Runs `mosquitto_pub` at QoS 1, MQTT 5, with the payload on its standard input.
fn publish_to(at: SocketAddr, user: Option<(&str, &str)>, topic: &str, payload: &[u8]) -> Output {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-p", &at.port().to_string(), "-V", "5", "-q", "1", "-t", topic, "-s"]);
    if let Some((user, password)) = user {
        command.args(["-u", user, "-P", password]);
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(payload).unwrap();
    child.wait_with_output().unwrap()
}

/// Whether a message was taken, and in which words it was refused.
fn decision(at: SocketAddr, user: Option<(&str, &str)>, topic: &str) -> String {
    let output = publish_to(at, user, topic, b"x");
    let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
    if output.status.success() && said.is_empty() { "taken".to_owned() } else { said }
}

#[test]
fn users_and_rights_are_the_same_at_each_door() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    let doors = doors(dir, hub.address, "password_file = \"users\"\nacl_file = \"rights\"");
    for user in ["oven3", "panel"] {
        let mut command = Command::new(BINARY);
        command.arg("passwd").arg(dir.join("users")).arg(user).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
        assert!(child.wait().unwrap().success());
    }
    fs::write(
        dir.join("rights"),
        "user oven3\ntopic write plant/oven3/#\nuser panel\npattern write sites/%u/#\n",
    )
    .unwrap();
    let mut gateway = Gateway::new(dir, &doors.config);
    gateway.start();
    let over_ws = relay(doors.ws, None);
    let over_wss = relay(doors.wss, Some(Certificates::trusting(dir, "plant")));
    let (oven, panel) = (Some(("oven3", "secret")), Some(("panel", "secret")));
    let topics = ["plant/oven3/temp", "plant/oven4/temp", "sites/panel/x", "sites/oven3/x", "cmd/stop"];
    let known = [oven, panel].into_iter().flat_map(|user| topics.map(|topic| (user, topic)));
    let others = [None, Some(("oven3", "guess")), Some(("eve", "secret"))].map(|user| (user, topics[0]));
    let mut taken = 0;
    for (user, topic) in known.chain(others) {
        let plain = decision(doors.plain, user, topic);
        assert_eq!(decision(over_ws, user, topic), plain, "{user:?} {topic} by WebSocket");
        assert_eq!(decision(over_wss, user, topic), plain, "{user:?} {topic} by WebSocket over TLS");
        taken += usize::from(plain == "taken");
    }
    assert_eq!(taken, 3, "the place of the oven, and the site of each");
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

#[test]
fn a_certificate_is_a_user_by_websocket_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    let doors = doors(dir, hub.address, "client_ca = \"sensors.crt\"\nacl_file = \"rights\"");
    let (sensors, others) = (Authority::new(dir, "sensors"), Authority::new(dir, "others"));
    sensors.sign(dir, "oven3", Some("oven3"));
    others.sign(dir, "forged", Some("oven3"));
    fs::write(dir.join("rights"), "user oven3\ntopic write plant/oven3/#\n").unwrap();
    let mut gateway = Gateway::new(dir, &doors.config);
    gateway.start();
    let showing = |own| {
        let certificates = Certificates { own, ..Certificates::trusting(dir, "plant") };
        relay(doors.wss, Some(certificates))
    };
    let oven = showing(Some("oven3"));
    assert_eq!(decision(oven, Some(("panel", "whatever name it gives")), "plant/oven3/temp"), "taken");
    assert!(decision(oven, None, "plant/other").to_lowercase().contains("not authorized"));
    for own in [None, Some("forged")] {
        assert_ne!(decision(showing(own), Some(("oven3", "")), "plant/oven3/temp"), "taken", "{own:?}");
    }
    let others =
        relay(doors.wss, Some(Certificates { own: Some("oven3"), ..Certificates::trusting(dir, "others") }));
    assert_ne!(decision(others, None, "plant/oven3/temp"), "taken", "the gateway's certificate is looked at");
    assert_ne!(decision(relay(doors.ws, None), Some(("oven3", "")), "plant/oven3/temp"), "taken");
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Messages by WebSocket, in all sizes of MQTT's and WebSocket's length fields, outlive a kill in an outage of the hub.
#[test]
fn promise_1_what_is_acknowledged_by_websocket_outlives_a_kill_in_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut hub = Mosquitto::start(dir, "");
    hub.kill_9();
    let doors = doors(dir, hub.address, "");
    let mut gateway = Gateway::new(dir, &doors.config);
    gateway.start();
    let over_ws = relay(doors.ws, None);
    let over_wss = relay(doors.wss, Some(Certificates::trusting(dir, "plant")));
    let messages = |sizes: &'static [usize]| {
        let doors = [("ws", over_ws), ("wss", over_wss)];
        sizes.iter().flat_map(move |size| doors.map(|(name, at)| (format!("{name}/{size}"), at, *size)))
    };
    for some in SIZES.chunks(7) {
        thread::scope(|scope| {
            for (topic, at, size) in messages(some) {
                scope.spawn(move || {
                    let output = publish_to(at, None, &topic, "x".repeat(size).as_bytes());
                    assert!(output.status.success() && output.stderr.is_empty(), "{topic}: {output:?}");
                });
            }
        });
        gateway.kill_9();
        gateway.start();
    }
    let at_hub = gateway.paused(|| {
        hub.run();
        Subscriber::start(hub.address, "up/#")
    });
    wait_until("all is at the hub", 60, || {
        let arrived = at_hub.arrived();
        messages(&SIZES).all(|(topic, _, size)| {
            let topic = format!("up/{topic}");
            arrived.iter().any(|one| one.topic == topic && one.payload.len() == size)
        })
    });
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Networks of one machine, each with an address: all of them have the same rules, and an address that cannot be had is named.
#[test]
fn each_of_several_addresses_of_a_kind_is_listened_at() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    Authority::new(dir, "plant").sign(dir, "gateway", Some("localhost"));
    let at: [[SocketAddr; 2]; 4] = std::array::from_fn(|_| std::array::from_fn(|_| free_port()));
    let [plain, tls, ws, wss] = at.map(|[a, b]| format!("[\"{a}\", \"{b}\"]"));
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = {plain}\ntls_listen = {tls}\nws_listen = {ws}\nwss_listen = {wss}\n\
         cert = \"gateway.crt\"\nkey = \"gateway.key\"\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        hub.address
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let at_hub = Subscriber::start(hub.address, "up/#");
    let trusted = || Certificates::trusting(dir, "plant");
    let [plain, tls, ws, wss] = at;
    let tls = tls.map(|at| tls_relay(at, &trusted()));
    let ws = ws.map(|at| relay(at, None));
    let wss = wss.map(|at| relay(at, Some(trusted())));
    let all: Vec<SocketAddr> = [plain, tls, ws, wss].into_iter().flatten().collect();
    for (n, at) in all.iter().enumerate() {
        assert_eq!(decision(*at, None, &format!("door/{n}")), "taken", "door {n}");
    }
    wait_until("all is at the hub", 30, || at_hub.arrived().len() == all.len());
    assert_eq!(gateway.terminate().0.code(), Some(0));

    let taken = std::net::TcpListener::bind(at[3][1]).unwrap();
    let output = gateway.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{}: Address already in use", taken.local_addr().unwrap())), "{said}");
}
