#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` behind a plant's HTTP proxy that wants a login, to a real Mosquitto that wants a certificate: the proxy's password changes,
//! its way out is cut, the gateway is killed.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use support::gateway::Gateway;
use support::http_proxy::HttpProxy;
use support::mosquitto::{Arrived, Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const NAME: &str = "hub.example";

/// An authority, and of it a hub with that name and a gateway.
fn certificates(dir: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "plant CA");
    let key = KeyPair::generate().unwrap();
    fs::write(dir.join("ca.crt"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(authority, key);
    for (file, name) in [("hub", NAME), ("site7", "site7")] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        fs::write(dir.join(file).with_extension("crt"), params.signed_by(&key, &authority).unwrap().pem())
            .unwrap();
        write_secret(&dir.join(file).with_extension("key"), &key.serialize_pem());
    }
}

fn write_secret(file: &Path, content: &str) {
    fs::write(file, content).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A Mosquitto that is found in the clear by who reads there, and by others with a certificate of the authority alone. And the latter's address.
fn hub(dir: &Path) -> (Mosquitto, std::net::SocketAddr) {
    let address = free_port();
    let file = |name: &str| dir.join(name).display().to_string();
    // Started by root, Mosquitto reads them as a user of its own.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.join("hub.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let lines = format!(
        "max_queued_messages 0\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
        address.port(),
        file("ca.crt"),
        file("hub.crt"),
        file("hub.key")
    );
    (Mosquitto::start(dir, &lines), address)
}

/// The gateway dials a name that nobody but the proxy knows. The hub's certificate has another one.
fn configuration(listen: std::net::SocketAddr, proxy: &HttpProxy) -> String {
    format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtts://hub.invalid:443\"\n\
         ca = \"ca.crt\"\ncert = \"site7.crt\"\nkey = \"site7.key\"\ntls_server_name = \"{NAME}\"\n\
         alpn = [\"x-amzn-mqtt-ca\"]\nproxy = \"http://site7@{}\"\nproxy_password_file = \"proxy.password\"\n\
         [[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        proxy.address
    )
}

fn told(arrived: &[Arrived]) -> BTreeSet<String> {
    arrived.iter().map(|message| message.payload.clone()).collect()
}

/// Promises 1 and 5.
#[test]
fn through_a_proxy_with_a_login_nothing_is_lost_over_cuts_and_kills() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let (hub, behind_tls) = hub(dir.path());
    let subscriber = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(behind_tls);
    // site7:pass-two
    let proxy = HttpProxy::start(wan.address, "c2l0ZTc6cGFzcy10d28=");
    let password = dir.path().join("proxy.password");
    write_secret(&password, "pass-one\n");
    let listen = free_port();
    let mut gateway = Gateway::new(dir.path(), &configuration(listen, &proxy));
    gateway.start();
    let mut publisher = Publisher::new(listen, "foreign", 50);
    let mut sent = 0;
    let mut send = |publisher: &mut Publisher, count: usize| {
        (sent..sent + count).for_each(|n| publisher.publish("a", &format!("message {n:05}")));
        sent += count;
    };

    send(&mut publisher, 300);
    let cause = |gateway: &Gateway, status: &str| {
        let begin = format!("edge_link_cause{{cause=\"proxy http://{}: {status}", proxy.address);
        gateway.get("/metrics").is_some_and(|(_, page)| page.lines().any(|line| line.starts_with(&begin)))
    };
    wait_until("the refused login is told", 30, || cause(&gateway, "407"));
    assert_eq!(gateway.metric("edge_delivered_total"), Some(0.0));
    write_secret(&password, "pass-two\n");
    wait_until("the new password is used", 60, || gateway.metric("edge_queue_messages") == Some(0.0));

    send(&mut publisher, 300);
    proxy.is_alone(true);
    wan.cut();
    send(&mut publisher, 300);
    wait_until("the proxy's outage is told", 30, || cause(&gateway, "503"));
    gateway.kill_9();
    gateway.start();
    send(&mut publisher, 300);
    proxy.is_alone(false);
    wan.mend();
    send(&mut publisher, 300);
    gateway.kill_9();
    gateway.start();
    publisher.settle(0, 60);
    wait_until("the queue is empty", 60, || gateway.metric("edge_queue_messages") == Some(0.0));
    let acknowledged: BTreeSet<String> = publisher.acked.iter().cloned().collect();
    assert_eq!(acknowledged.len(), 1_500);
    wait_until("the subscriber has all of it", 30, || told(&subscriber.arrived()) == acknowledged);
    assert!(gateway.terminate().0.success());

    let requests = proxy.requests();
    assert!(requests.iter().all(|line| line == "CONNECT hub.invalid:443 HTTP/1.1"), "{requests:?}");
    assert!(!wan.is_clear(), "topics can be read on the line");
    let log = gateway.log();
    assert!(!log.contains("pass-") && !log.contains("c2l0ZTc6"), "a password in the log: {log}");
}
