//! Names in TLS, as a hub sees them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::*;
use super::{dialer, listener};

/// The first words of a client, as far as tests ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) server_name: Option<String>,
    pub(super) alpn: Option<String>,
}

/// A hub with a certificate for `name`, and the client's side that trusts its authority.
pub(super) fn hub_tls(name: &str, protocols: &[&str]) -> (Arc<ServerConfig>, Tls) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "plant CA");
    let authority_key = KeyPair::generate().unwrap();
    let root: CertificateDer<'static> = authority.self_signed(&authority_key).unwrap().der().clone();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&authority, &authority_key)).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(crypto::ring::default_provider());
    let server =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let mut server = server.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
    server.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Tls::from_config(Arc::new(client)))
}

/// Takes one connection and says how the handshake went.
pub(super) fn accept_tls(
    listener: TcpListener,
    config: Arc<ServerConfig>,
) -> JoinHandle<Result<Hello, String>> {
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = tokio_rustls::TlsAcceptor::from(config).accept(stream).await;
        let stream = accepted.map_err(|error| error.to_string())?;
        let connection = stream.get_ref().1;
        let alpn = connection.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
        Ok(Hello { server_name: connection.server_name().map(str::to_owned), alpn })
    })
}

/// The dialer's result beside what the hub saw.
async fn handshake(
    hub: &[&str],
    alpn: &[&str],
    server_name: Option<&str>,
) -> (Result<Dialed, DialError>, Result<Hello, String>) {
    let (config, tls) = hub_tls("hub.example", hub);
    let (listener, address) = listener().await;
    let seen = accept_tls(listener, config);
    let alpn: Vec<String> = alpn.iter().map(|&name| name.to_owned()).collect();
    let dialer = Dialer {
        target: format!("mqtts://{address}").parse().unwrap(),
        tls: Some(tls.with_alpn(&alpn)),
        server_name: server_name.map(|name| ServerName::try_from(name.to_owned()).unwrap()),
        ..dialer()
    };
    (dialer.dial().await, seen.await.unwrap())
}

#[tokio::test]
async fn the_hub_sees_the_name_and_the_protocol_that_were_set() {
    let (dialed, seen) =
        handshake(&["x-amzn-mqtt-ca", "mqtt"], &["x-amzn-mqtt-ca"], Some("hub.example")).await;
    assert!(dialed.is_ok());
    let expected =
        Hello { server_name: Some("hub.example".to_owned()), alpn: Some("x-amzn-mqtt-ca".to_owned()) };
    assert_eq!(seen, Ok(expected));
    // None is sent where none is set, and a hub without ALPN is no obstacle.
    for (hub, own) in [(&["mqtt"][..], &[][..]), (&[], &["mqtt"])] {
        let (dialed, seen) = handshake(hub, own, Some("hub.example")).await;
        assert!(dialed.is_ok());
        assert_eq!(seen.unwrap().alpn, None);
    }
}

#[tokio::test]
async fn the_certificate_is_checked_against_the_name_that_was_set() {
    for name in [None, Some("other.example"), Some("127.0.0.2")] {
        let (dialed, _) = handshake(&[], &[], name).await;
        let error = dialed.err().unwrap().to_string();
        assert!(error.contains("the hub's certificate is not for \""), "{name:?}: {error}");
    }
}

#[tokio::test]
async fn a_hub_that_takes_none_of_the_protocols_ends_the_handshake() {
    let (dialed, seen) = handshake(&["http/1.1"], &["mqtt"], Some("hub.example")).await;
    assert!(seen.is_err());
    let error = dialed.err().unwrap().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}
