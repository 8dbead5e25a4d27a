//! Private keys in a signer: handshakes with a real Mosquitto and with a server of this crate, and what goes on while a signer does not answer.
#![cfg(feature = "net")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    missing_docs,
    reason = "test code"
)]

#[path = "../../examples/signer.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program, of which tests use parts")]
mod example;
mod page;
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use edge_bridge::bridge::Stats;
use edge_bridge::net::{Bridge, Receipt, Server, ServerTls, Tls};
use rcgen::KeyPair;
use site::{Signer, Site, p256, rsa};
use support::mosquitto::Mosquitto;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a Mosquitto that lets in who has a certificate of the site's authority.
fn strict(site: &Site) -> String {
    let [ca, cert, key] = ["ca.crt", "hub.crt", "hub.key"].map(|name| site.path(name).display().to_string());
    format!("cafile {ca}\ncertfile {cert}\nkeyfile {key}\nrequire_certificate true")
}

async fn until(bridge: &Bridge, what: &str, test: impl FnMut(&Stats) -> bool) {
    let mut watch = bridge.watch();
    let reached = timeout(PATIENCE, watch.wait_for(test)).await.is_ok();
    assert!(reached, "{what}: {:?}", bridge.stats());
}

async fn is_delivered(bridge: &Bridge, topic: &str) {
    let receipt = bridge.publish(topic, "1").await.unwrap();
    assert_eq!(timeout(PATIENCE, receipt).await.expect("in time").unwrap(), Receipt::HandedOver);
}

#[tokio::test]
async fn mosquitto_takes_what_a_signer_has_signed() {
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    let site = Site::new();
    site.sign("hub", &p256());
    let openssl = site.path("openssl.cnf");
    let old = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = TLSv1.2\n";
    std::fs::write(&openssl, old).unwrap();
    for (n, (key, scheme)) in [(p256(), 0x0403), (ed25519, 0x0807), (rsa(), 0x0804)].into_iter().enumerate() {
        let name = format!("site{n}");
        site.sign(&name, &key);
        let [cert, key] = ["crt", "key"].map(|end| site.path(&format!("{name}.{end}")));
        let signer = Signer::start(&key, &site.path(&name));
        // Nothing reads it any more.
        std::fs::remove_file(key).unwrap();
        let tls = Tls::from_pem(site.path("ca.crt"), cert, site.remote(&name)).unwrap();
        tls.check_signer().unwrap();
        for is_tls_1_3 in [false, true] {
            let env = if is_tls_1_3 { vec![] } else { vec![("OPENSSL_CONF", openssl.clone())] };
            let hub = Mosquitto::start_with(&strict(&site), env);
            let url = format!("mqtts://localhost:{}", hub.address().port());
            let bridge = Bridge::builder(&url).client_id(&name).tls(tls.clone()).start().await.unwrap();
            is_delivered(&bridge, "a").await;
            assert_eq!(bridge.stats().connects, 1, "{name} {is_tls_1_3}");
            let last = signer.asked().last().copied();
            assert_eq!(last, Some(site::Asked { scheme, is_tls_1_3 }), "{name}");
            let _ = bridge.close().await.unwrap();
        }
    }
}

/// A signer without an answer costs the handshake that waits for it. All is on one thread here, as in the gateway: if the handshake blocked it,
/// nothing else would be delivered before the signer's time is over, and what is let through then would be too late.
#[tokio::test]
async fn while_a_signer_waits_the_rest_goes_on_and_the_handshake_is_made_when_it_answers() {
    let site = Site::new();
    for name in ["hub", "site7"] {
        site.sign(name, &p256());
    }
    let signer = Signer::with_gate(&site.path("site7.key"), &site.path("s"));
    let hub = ServerTls::from_pem(site.path("hub.crt"), site.path("hub.key"), Some(&site.path("ca.crt")));
    let server = || Server::builder();
    let hub = server().tls(hub.unwrap()).start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let plain = server().start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let other =
        Bridge::builder(&format!("mqtt://{}", plain.local_addr())).client_id("b").start().await.unwrap();
    is_delivered(&other, "first").await;
    let tls = Tls::from_pem(site.path("ca.crt"), site.path("site7.crt"), site.remote("s")).unwrap();
    let url = format!("mqtts://localhost:{}", hub.local_addr().port());
    let bridge = Bridge::builder(&url).client_id("a").tls(tls).start().await.unwrap();
    meanwhile(&signer, &bridge, &other).await;
    is_delivered(&bridge, "last").await;
    let _ = (bridge.close().await.unwrap(), other.close().await.unwrap());
}

/// The same of a listener, whose certificate's key is in the signer.
#[tokio::test]
async fn while_a_listeners_signer_waits_other_clients_are_served() {
    let site = Site::new();
    site.sign("hub", &p256());
    let signer = Signer::with_gate(&site.path("hub.key"), &site.path("s"));
    let tls = ServerTls::from_pem(site.path("hub.crt"), site.remote("s"), None).unwrap();
    let hub = Server::builder().tls(tls).start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let plain = Server::builder().start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let other =
        Bridge::builder(&format!("mqtt://{}", plain.local_addr())).client_id("b").start().await.unwrap();
    is_delivered(&other, "first").await;
    let url = format!("mqtts://localhost:{}", hub.local_addr().port());
    let tls = Tls::from_ca(site.path("ca.crt")).unwrap();
    let bridge = Bridge::builder(&url).client_id("a").tls(tls).start().await.unwrap();
    meanwhile(&signer, &bridge, &other).await;
    is_delivered(&bridge, "last").await;
    let _ = (bridge.close().await.unwrap(), other.close().await.unwrap());
}

/// Delivers by `other` while a handshake of `bridge` waits for the signer, then lets it through, until `bridge` is connected. A machine that is busy
/// may be late now and then.
async fn meanwhile(signer: &Signer, bridge: &Bridge, other: &Bridge) {
    for attempt in 1..=10 {
        let asked = async {
            while signer.asked().len() < attempt {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, asked).await.expect("the signer is asked");
        is_delivered(other, "meanwhile").await;
        signer.let_through();
        let mut watch = bridge.watch();
        let connected = watch.wait_for(|stats| stats.connects == 1);
        if timeout(Duration::from_secs(1), connected).await.is_ok() {
            return;
        }
    }
    panic!("never in time: {:?}", bridge.stats());
}

/// Each fails by itself, and the link is made once there is a signer, with no other help.
#[tokio::test]
async fn a_link_without_its_signer_says_why_and_is_made_when_it_comes() {
    let site = Site::new();
    for name in ["hub", "site7", "other"] {
        site.sign(name, &p256());
    }
    let hub = Mosquitto::start(&strict(&site));
    let tls = Tls::from_pem(site.path("ca.crt"), site.path("site7.crt"), site.remote("s")).unwrap();
    let url = format!("mqtts://localhost:{}", hub.address().port());
    let bridge = Bridge::builder(&url).client_id("site7").tls(tls).start().await.unwrap();
    let receipt = bridge.publish("a", "1").await.unwrap();
    let key = format!("the key unix:{}: ", site.path("s").display());
    let is_told = |stats: &Stats, reason: &str| {
        let error = stats.last_error.as_deref().unwrap_or_default();
        error.contains(&key) && error.contains(reason)
    };
    until(&bridge, "away", |stats| is_told(stats, "no signer can be reached: No such file")).await;
    let other = Signer::start(&site.path("other.key"), &site.path("s"));
    until(&bridge, "another key", |stats| is_told(stats, "does not fit the first certificate")).await;
    assert!(!other.asked().is_empty());
    std::fs::remove_file(site.path("s")).unwrap();
    let _signer = Signer::start(&site.path("site7.key"), &site.path("s"));
    assert_eq!(timeout(PATIENCE, receipt).await.expect("delivered").unwrap(), Receipt::HandedOver);
    let _ = bridge.close().await.unwrap();
}
