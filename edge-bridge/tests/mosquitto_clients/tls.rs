//! TLS, with certificates on both sides.

use edge_bridge::net::{Server, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::time::timeout;

use crate::{PATIENCE, client, lines, publish, unbounded};

/// A server certificate for 127.0.0.1 and its authority, as PEM files.
fn certificates(dir: &std::path::Path) -> ServerTls {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "site CA");
    let ca_key = KeyPair::generate().unwrap();
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let cert = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let file = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    file("ca.crt", ca_cert.pem());
    let (cert, key) = (file("s.crt", cert.pem()), file("s.key", key.serialize_pem()));
    ServerTls::from_pem(cert, key, None).unwrap()
}

#[tokio::test]
async fn clients_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (tell, mut seen) = unbounded();
    let server = Server::builder()
        .tls(certificates(dir.path()))
        .start_observer("127.0.0.1:0", move |_, message| {
            tell.send(message.payload.clone()).unwrap_or_default();
        })
        .await
        .unwrap();
    let ca = dir.path().join("ca.crt");
    let big = "x".repeat(100_000);
    let file = dir.path().join("payload");
    // Past the record, what TLS may hold back, and 2^16; the last several times, since how much is read at a time is chance.
    let sizes = [17_000, 37_000, 70_000].into_iter().chain([250_000; 8]);
    let payloads = sizes.map(|bytes| "y".repeat(bytes)).chain(["secret".to_owned(), big.clone()]);
    for payload in payloads {
        std::fs::write(&file, &payload).unwrap();
        let (ca, file) = (ca.to_str().unwrap(), file.to_str().unwrap());
        let args = ["--cafile", ca, "-q", "1", "-r", "-t", "a", "-f", file];
        let out = publish(&server, "mqttv5", &args).await;
        assert!(out.status.success(), "{out:?}");
        assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap().unwrap(), payload.as_bytes());
    }
    let args = ["--cafile", ca.to_str().unwrap(), "-t", "a", "-C", "1"];
    let sub = client(&server, "mosquitto_sub", "mqttv311", &args).spawn().unwrap();
    assert_eq!(lines(sub).await, [big]);
    assert!(!publish(&server, "mqttv5", &["-q", "1", "-t", "a", "-m", "plain"]).await.status.success());
}
