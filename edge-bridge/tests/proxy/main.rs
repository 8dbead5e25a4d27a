//! The bridge through an HTTP proxy, to a hub with TLS: the proxy dies and comes back, or wants a login. Promises 1 and 5.
#![cfg(feature = "net")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]

mod http_proxy;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::bridge::backoff::BackoffConfig;
use edge_bridge::bridge::{LinkState, Stats};
use edge_bridge::net::{Bridge, Builder, PendingReceipt, Receipt, Server, ServerTls, Tls};
use http_proxy::HttpProxy;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(40);
const NAME: &str = "hub.example";

type Seen = Arc<Mutex<BTreeSet<String>>>;

/// A hub with a certificate for its name, and the payloads that it has acknowledged.
async fn hub(dir: &Path) -> (Server, Tls, Seen) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "plant CA");
    let ca_key = KeyPair::generate().unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let [ca_file, cert_file, key_file] = ["ca.crt", "hub.crt", "hub.key"].map(|name| dir.join(name));
    std::fs::write(&ca_file, ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    std::fs::write(&cert_file, leaf.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let seen = Seen::default();
    let tell = seen.clone();
    let server = Server::builder()
        .tls(ServerTls::from_pem(cert_file, key_file, None).unwrap())
        .start_observer("127.0.0.1:0", move |_, message| {
            tell.lock().unwrap().insert(String::from_utf8(message.payload.to_vec()).unwrap());
        })
        .await
        .unwrap();
    (server, Tls::from_ca(ca_file).unwrap(), seen)
}

fn builder(tls: Tls, proxy: &str) -> Builder {
    let mut backoff = BackoffConfig::default();
    (backoff.max_ms, backoff.silent_max_ms) = (500, 500);
    Bridge::builder(&format!("mqtts://{NAME}")).client_id("site7").tls(tls).backoff(backoff).proxy(proxy)
}

async fn publish(bridge: &Bridge, range: std::ops::Range<usize>) -> Vec<PendingReceipt> {
    let mut receipts = Vec::new();
    for n in range {
        receipts.push(bridge.publish("a", n.to_string()).await.unwrap());
    }
    receipts
}

async fn until(bridge: &Bridge, what: &str, test: impl FnMut(&Stats) -> bool) {
    let mut watch = bridge.watch();
    let reached = timeout(PATIENCE, watch.wait_for(test)).await.is_ok();
    assert!(reached, "{what}: {:?}", bridge.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_dies_and_comes_back_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (server, tls, seen) = hub(dir.path()).await;
    let mut proxy = HttpProxy::start(server.local_addr(), None).await;
    let bridge = builder(tls, &proxy.url("")).start().await.unwrap();
    let (mut receipts, mut published) = (Vec::new(), 0);
    for round in 1..=3 {
        until(&bridge, "connected", |s| s.connects >= round).await;
        // Some on their way while it dies, some while there is none.
        receipts.extend(publish(&bridge, published..published + 100).await);
        proxy.kill().await;
        until(&bridge, "cut", |s| s.link == LinkState::BackingOff).await;
        receipts.extend(publish(&bridge, published + 100..published + 200).await);
        published += 200;
        proxy.run().await;
    }
    for receipt in receipts {
        let receipt = timeout(PATIENCE, receipt).await.expect("a receipt in time");
        assert_eq!(receipt.unwrap(), Receipt::HandedOver);
    }
    let expected: BTreeSet<String> = (0..published).map(|n| n.to_string()).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    let requests = proxy.requests();
    assert!(requests.len() >= 4, "{requests:?}");
    assert!(requests.iter().all(|line| line == "CONNECT hub.example:8883 HTTP/1.1"), "{requests:?}");
    let _ = bridge.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_wants_a_login_says_so_and_gets_it_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (server, tls, seen) = hub(dir.path()).await;
    let proxy = HttpProxy::start(server.local_addr(), Some("Basic c2l0ZTc6bmV3")).await;
    let stranger = builder(tls.clone(), &proxy.url("")).start().await.unwrap();
    let said = |stats: &Stats, words: &str| {
        let words = format!("proxy {}: 407, {words}", proxy.url(""));
        stats.last_error.as_ref().is_some_and(|error| error.contains(&words))
    };
    until(&stranger, "told", |s| said(s, "it wants a login")).await;
    let _ = stranger.close().await.unwrap();

    let password = Arc::new(Mutex::new("old"));
    let read = password.clone();
    let bridge = builder(tls, &proxy.url("site7@"))
        .proxy_password_from(move || Ok(Bytes::from(*read.lock().unwrap())))
        .start()
        .await
        .unwrap();
    let receipt = bridge.publish("a", "kept").await.unwrap();
    until(&bridge, "told", |s| said(s, "it does not take this user and password")).await;
    *password.lock().unwrap() = "new";
    assert_eq!(timeout(PATIENCE, receipt).await.expect("a receipt in time").unwrap(), Receipt::HandedOver);
    assert!(seen.lock().unwrap().contains("kept"));
    let _ = bridge.close().await.unwrap();
}
