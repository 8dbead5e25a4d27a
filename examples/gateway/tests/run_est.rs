#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with `[hub.est]`: its certificate is renewed in time, whatever the server does costs no message, and a gateway without one gets its first.
//! Promise 1.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use support::authority::Authority;
use support::est_server::{Behaviour, EstServer};
use support::gateway::Gateway;
use support::mosquitto::{self, Mosquitto, Subscriber};
use support::{free_port, wait_until};

/// Age and remaining life, in seconds, of a certificate that is due: two thirds and a tenth of its life are over.
const DUE: (u64, u64) = (3_000, 600);

struct Site {
    hub: Mosquitto,
    gateway: Gateway,
    listen: std::net::SocketAddr,
    plant: Arc<Authority>,
    est: EstServer,
}

impl Site {
    /// A hub that takes clients of the plant's authority alone, and a gateway that is not started.
    fn new(dir: &Path, behaviour: Behaviour, est: &str) -> Self {
        let plant = Arc::new(Authority::new(dir, "plant"));
        plant.sign(dir, "hub", Some("hub"));
        let secure = free_port();
        let file = |name: &str| dir.join(name).display().to_string();
        let hub = Mosquitto::start(
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
        let (listen, server) = (free_port(), EstServer::start(dir, plant.clone(), behaviour));
        let est = est.replace("URL", &server.url());
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\n\
             cert = \"site7.crt\"\nkey = \"site7.key\"\n[hub.est]\n{est}\n[clock]\ntrusted = true\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
            secure.port()
        );
        let gateway = Gateway::new(dir, &config);
        Self { hub, gateway, listen, plant, est: server }
    }

    fn is_seen(&self, name: &str) -> bool {
        fs::read_to_string(self.hub.log_path()).unwrap().contains(&format!("u'{name}'"))
    }

    fn needs(&self) -> String {
        let (_, body) = self.gateway.get("/status.json").unwrap_or_default();
        let status: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        status["needs"].to_string()
    }
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("openssl is not installed: apt-get install openssl");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// OpenSSL finds the same public key in certificate and key.
#[track_caller]
fn assert_pair(dir: &Path) {
    let file = |name: &str| dir.join(name).display().to_string();
    let of_cert = openssl(&["x509", "-in", &file("site7.crt"), "-noout", "-pubkey"]);
    assert_eq!(of_cert, openssl(&["pkey", "-in", &file("site7.key"), "-pubout"]));
}

#[test]
fn a_certificate_is_renewed_before_it_ends_and_the_hub_sees_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut site = Site::new(dir, Behaviour::Issue("before"), "url = \"URL\"");
    site.plant.sign_for_seconds(dir, "site7", "before", DUE);
    fs::set_permissions(dir.join("site7.crt"), fs::Permissions::from_mode(0o640)).unwrap();
    let key = fs::read(dir.join("site7.key")).unwrap();
    let at_hub = Subscriber::start(site.hub.address, "up/#");
    site.gateway.start();
    let expiry = "edge_certificate_expiry_timestamp_seconds{role=\"hub\"}";
    let before = site.gateway.metric(expiry).unwrap();
    mosquitto::publish(site.listen, "a", "before");
    wait_until("it is renewed", 60, || site.gateway.log().contains("gave a new certificate"));
    wait_until("its end is shown", 30, || site.gateway.metric(expiry).unwrap() > before + 30_000_000.0);
    let asked = site.est.asked();
    assert_eq!((asked.len(), asked[0].path.as_str()), (1, "/.well-known/est/simplereenroll"));
    assert!(asked[0].was_shown("before") && asked[0].has("before") && asked[0].has("localhost"));
    assert_pair(dir);
    assert_eq!(fs::read(dir.join("site7.key")).unwrap(), key);
    assert_eq!(fs::metadata(dir.join("site7.crt")).unwrap().permissions().mode() & 0o777, 0o640);
    // The authority signed itself: whoever trusts it has it.
    assert_eq!(fs::read_to_string(dir.join("site7.crt")).unwrap().matches("BEGIN").count(), 1);
    wait_until("the first message is there", 30, || at_hub.arrived().len() == 1);
    drop(at_hub);
    site.hub.crash();
    mosquitto::publish(site.listen, "a", "after");
    let at_hub = Subscriber::start(site.hub.address, "up/#");
    wait_until("the hub has taken the new one", 60, || {
        site.gateway.log().contains("renewed certificate is in use")
    });
    wait_until("what came meanwhile arrives", 60, || {
        mosquitto::publish(site.listen, "b", "x");
        at_hub.arrived().iter().any(|arrived| arrived.topic == "up/b")
    });
    assert!(!site.needs().contains("certificate"), "{}", site.needs());
    assert_eq!(site.gateway.terminate().0.code(), Some(0));
}

#[test]
fn whatever_the_server_does_the_certificate_in_use_goes_on_and_the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let say = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        Behaviour::Say(
            format!("{head}Location: https://localhost/\r\nContent-Type: text/html\r\n\r\n{body}")
                .into_bytes(),
        )
    };
    let page = "x".repeat(70_000);
    let raw = |kind: &str, rest: &str| {
        Behaviour::Say(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{rest}").into_bytes())
    };
    let (pkcs7, chunked) = ("application/pkcs7-mime", "Transfer-Encoding: chunked\r\n\r\n");
    let chunks = format!("1000\r\n{}\r\n", "M".repeat(0x1000)).repeat(40);
    let mut site = Site::new(dir, say("401 Unauthorized", ""), "url = \"URL\"");
    site.plant.sign_for_seconds(dir, "site7", "before", DUE);
    let cert = fs::read(dir.join("site7.crt")).unwrap();
    for (behaviour, reason) in [
        (say("401 Unauthorized", ""), "status 401, it does not take the certificate"),
        (say("404 Not Found", "<html>"), "status 404, there is no EST"),
        (say("302 Found", ""), "the server redirects (status 302)"),
        (say("200 OK", "<html>"), "the answer is \"text/html\""),
        (say("200 OK", &page), "more than 65536 bytes"),
        (say("503 Service Unavailable", "busy"), "status 503: busy"),
        (
            Behaviour::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nMII".to_vec()),
            "HTTP with localhost",
        ),
        (Behaviour::Say(vec![b'x'; 100_000]), "HTTP with localhost"),
        (Behaviour::Say(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(5_000)), "HTTP with localhost"),
        (raw(pkcs7, &format!("X: {}", "x".repeat(100_000))), "HTTP with localhost"),
        (raw(pkcs7, &format!("{chunked}{chunks}")), "more than 65536 bytes"),
        (raw(pkcs7, &format!("{chunked}zz\r\nMII")), "HTTP with localhost"),
        (
            raw("multipart/mixed; boundary=x", "Content-Length: 3\r\n\r\n--x"),
            "the answer is \"multipart/mixed",
        ),
        (raw(pkcs7, "Content-Length: 8\r\n\r\nMAMCAQU="), "no list of certificates"),
        (Behaviour::OtherKey("other"), "no certificate for the key of this gateway"),
        (Behaviour::Issue("admin"), "is for CN=admin, asked was for CN=before"),
    ] {
        site.est.behave(behaviour);
        let before = site.gateway.log().len();
        site.gateway.start();
        wait_until(reason, 60, || {
            let log = site.gateway.log().split_off(before);
            log.contains("gave no certificate") && log.contains(reason)
        });
        assert!(site.needs().contains("certificate_renewal"), "{}", site.needs());
        assert_eq!(fs::read(dir.join("site7.crt")).unwrap(), cert, "{reason}");
        assert_eq!(site.gateway.terminate().0.code(), Some(0));
    }
    // A server whose certificate another authority signed gets no request.
    Authority::new(dir, "others");
    let config = fs::read_to_string(dir.join("gateway.toml")).unwrap();
    fs::write(dir.join("gateway.toml"), config.replace("[hub.est]\n", "[hub.est]\nca = \"others.crt\"\n"))
        .unwrap();
    let (asked, before) = (site.est.asked().len(), site.gateway.log().len());
    site.gateway.start();
    wait_until("it is refused", 60, || site.gateway.log().split_off(before).contains("TLS with localhost"));
    assert_eq!(site.est.asked().len(), asked);
    let at_hub = Subscriber::start(site.hub.address, "up/#");
    mosquitto::publish(site.listen, "a", "still");
    wait_until("messages go on", 60, || at_hub.arrived().iter().any(|arrived| arrived.payload == "still"));
    assert!(site.is_seen("before"));
    assert_eq!(site.gateway.terminate().0.code(), Some(0));
}

#[test]
fn a_gateway_without_a_certificate_stores_until_it_has_its_first_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let patience = b"HTTP/1.1 202 Accepted\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec();
    let table = "url = \"URL\"\nclaim_cert = \"claim.crt\"\nclaim_key = \"claim.key\"\ncommon_name = \"site7 of the plant\"";
    let mut site = Site::new(dir, Behaviour::Say(patience), table);
    site.plant.sign(dir, "claim", Some("claim"));
    site.gateway.start();
    mosquitto::publish(site.listen, "a", "early");
    wait_until("it waits", 60, || {
        site.needs().contains("first_certificate") && site.needs().contains("status 202")
    });
    wait_until("it asks again", 60, || site.est.asked().len() >= 2);
    let asked = site.est.asked();
    assert!(asked.iter().all(|one| one.path == "/.well-known/est/simpleenroll" && one.was_shown("claim")));
    assert!(asked[0].has("site7 of the plant"));
    assert_eq!(asked[0].public_key(), asked[1].public_key(), "the key is kept");
    assert_eq!(fs::metadata(dir.join("site7.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        !dir.join("site7.crt").exists() && !site.gateway.log().contains("cannot be read"),
        "{}",
        site.gateway.log()
    );
    site.est.behave(Behaviour::Issue("site7 of the plant"));
    let at_hub = Subscriber::start(site.hub.address, "up/#");
    wait_until("it arrives", 120, || at_hub.arrived().iter().any(|arrived| arrived.payload == "early"));
    assert!(site.is_seen("site7 of the plant"));
    assert_pair(dir);
    wait_until("nothing is needed", 30, || !site.needs().contains("first_certificate"));
    assert_eq!(site.gateway.terminate().0.code(), Some(0));
    // The claim is not needed any more.
    fs::remove_file(dir.join("claim.key")).unwrap();
    site.gateway.start();
    assert_eq!(site.gateway.terminate().0.code(), Some(0));
}

/// In TLS 1.3 a server refuses a certificate behind the client's handshake, so in the answer.
#[test]
fn a_server_that_refuses_the_claim_certificate_is_told_with_file_and_setting() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let table =
        "url = \"URL\"\nclaim_cert = \"claim.crt\"\nclaim_key = \"claim.key\"\ncommon_name = \"site7\"";
    let mut site = Site::new(dir, Behaviour::Issue("site7"), table);
    Authority::new(dir, "others").sign(dir, "claim", Some("claim"));
    site.gateway.start();
    wait_until("it is refused", 60, || {
        site.needs().contains("first_certificate") && site.gateway.log().contains("gave no")
    });
    let log = site.gateway.log();
    let told = log.lines().find(|line| line.contains("the EST server gave no certificate")).unwrap();
    assert!(told.contains("received fatal alert: UnknownCA"), "{told}");
    assert!(told.contains("claim.crt ([hub.est] claim_cert)"), "{told}");
    assert!(site.est.asked().is_empty());
}

#[test]
fn a_kill_at_any_moment_leaves_a_certificate_and_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let table =
        "url = \"URL\"\nclaim_cert = \"claim.crt\"\nclaim_key = \"claim.key\"\ncommon_name = \"site7\"";
    let mut site = Site::new(dir, Behaviour::Issue("site7"), table);
    site.plant.sign(dir, "claim", Some("claim"));
    for round in 0..12_u64 {
        let asked = site.est.asked().len();
        site.est.behave(Behaviour::Late("site7", Duration::from_millis(3 * (round % 4))));
        site.gateway.start_unready();
        wait_until("it asks", 60, || site.est.asked().len() > asked);
        // Around the moment at which the answer is written.
        std::thread::sleep(Duration::from_millis(2 * (round % 5)));
        site.gateway.kill_9();
        if dir.join("site7.crt").exists() {
            assert_pair(dir);
            // The next one is due again, by a claim or as a renewal.
            match round % 2 {
                0 => fs::remove_file(dir.join("site7.crt")).unwrap(),
                _ => site.plant.sign_for_seconds(dir, "site7", "site7", DUE),
            }
        }
    }
    assert!(dir.join("site7.key").exists());
}

/// Of an authority that is known nowhere here, so that the hub alone can refuse it.
#[test]
fn a_certificate_that_the_hub_refuses_costs_no_start_and_another_one_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let others = tempfile::tempdir().unwrap();
    let others = Arc::new(Authority::new(others.path(), "others"));
    let year_s = 31_000_000;
    let mut site = Site::new(dir, Behaviour::Foreign("site7", others, year_s), "url = \"URL\"");
    site.plant.sign_for_seconds(dir, "site7", "site7", DUE);
    let at_hub = Subscriber::start(site.hub.address, "up/#");
    let file = |name: &str| fs::read(dir.join(name)).ok();
    let first = file("site7.crt");
    site.gateway.start();
    let expiry = "edge_certificate_expiry_timestamp_seconds{role=\"hub\"}";
    let in_use = site.gateway.metric(expiry).unwrap();
    wait_until("the hub refuses the new one", 90, || site.needs().contains("certificate_not_taken"));
    assert_eq!((file("site7.crt") != first, file("site7.crt.former")), (true, first.clone()));
    wait_until("the end of the one in use is shown", 30, || site.gateway.metric(expiry) == Some(in_use));
    for is_killed in [true, false] {
        // The former one is the one to connect with, at any start.
        match is_killed {
            true => site.gateway.kill_9(),
            false => assert_eq!(site.gateway.terminate().0.code(), Some(0)),
        }
        site.gateway.start();
        let payload = format!("killed {is_killed}");
        mosquitto::publish(site.listen, "a", &payload);
        wait_until(&payload, 60, || at_hub.arrived().iter().any(|arrived| arrived.payload == payload));
        wait_until("it is told", 60, || site.needs().contains("certificate_renewal"));
        assert_eq!(file("site7.crt.former"), first);
    }
    site.est.behave(Behaviour::Issue("site7"));
    let asked = site.est.asked().len();
    wait_until("another one is asked for", 180, || site.est.asked().len() > asked);
    // The one that the hub does not take opens no door.
    let shown = first_certificate(&first.unwrap());
    assert!(site.est.asked().iter().all(|one| one.shown == shown));
    wait_until("the hub has taken it", 90, || !dir.join("site7.crt.former").exists());
    wait_until("nothing is needed", 30, || !site.needs().contains("certificate"));
    assert!(site.gateway.metric(expiry).unwrap() > in_use + 30_000_000.0);
    assert_eq!(site.gateway.terminate().0.code(), Some(0));
}

#[test]
fn a_first_certificate_that_the_hub_refuses_is_asked_for_again_by_the_claim() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let others = tempfile::tempdir().unwrap();
    let others = Arc::new(Authority::new(others.path(), "others"));
    let table =
        "url = \"URL\"\nclaim_cert = \"claim.crt\"\nclaim_key = \"claim.key\"\ncommon_name = \"site7\"";
    let mut site = Site::new(dir, Behaviour::Foreign("site7", others, 31_000_000), table);
    site.plant.sign(dir, "claim", Some("claim"));
    site.gateway.start();
    mosquitto::publish(site.listen, "a", "early");
    wait_until("it is told", 90, || site.needs().contains("certificate_renewal"));
    site.est.behave(Behaviour::Issue("site7"));
    let at_hub = Subscriber::start(site.hub.address, "up/#");
    wait_until("it arrives", 180, || at_hub.arrived().iter().any(|arrived| arrived.payload == "early"));
    let asked = site.est.asked();
    assert!(asked.len() >= 2 && asked.iter().all(|one| one.was_shown("claim")));
    assert_pair(dir);
    wait_until("the former one is gone", 60, || !dir.join("site7.crt.former").exists());
    assert_eq!(site.gateway.terminate().0.code(), Some(0));
}

/// The first certificate of a file, in DER.
fn first_certificate(text: &[u8]) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(text).unwrap().to_vec()
}
