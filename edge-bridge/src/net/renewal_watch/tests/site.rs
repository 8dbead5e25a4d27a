//! Bridge with files of a certificate, at a server of this crate that keeps what it was shown, behind a way that can be broken.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme, crypto};
use rustls::{RootCertStore, client::danger::HandshakeSignatureValid};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::Pace;
use crate::bridge::Stats;
use crate::net::{Bridge, Server, ServerTls, Tls};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const DIAL_WITHIN: Duration = Duration::from_secs(3);

pub(super) type Shown = Arc<Mutex<Vec<Vec<u8>>>>;

pub(super) struct Authority {
    pub(super) params: CertificateParams,
    pub(super) key: KeyPair,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self { params, key: KeyPair::generate().unwrap() }
    }

    /// A certificate in DER and its key, both also in PEM.
    pub(super) fn sign(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Identity { der: cert.der().to_vec(), cert: cert.pem(), key: key.serialize_pem() }
    }
}

pub(super) struct Identity {
    pub(super) der: Vec<u8>,
    pub(super) cert: String,
    pub(super) key: String,
}

/// A verifier that keeps the certificates that it is shown, also those that it refuses.
#[derive(Debug)]
pub(super) struct Keeping(Arc<dyn ClientCertVerifier>, Shown);

impl ClientCertVerifier for Keeping {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        behind: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.1.lock().unwrap().push(shown.to_vec());
        self.0.verify_client_cert(shown, behind, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

pub(super) fn server_tls(plant: &Authority, shown: Shown) -> ServerTls {
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(plant.params.self_signed(&plant.key).unwrap().der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let verifier = Keeping(verifier.build().unwrap(), shown);
    let hub = plant.sign("hub");
    let key = PrivateKeyDer::from_pem_slice(hub.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(Arc::new(verifier));
    let mut config = config.with_single_cert(vec![hub.der.into()], key).unwrap();
    // So that each connection shows its certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    ServerTls::from_config(Arc::new(config))
}

/// A bridge that is connected, and its files.
pub(super) struct Site {
    pub(super) plant: Authority,
    pub(super) dir: tempfile::TempDir,
    pub(super) bridge: Bridge,
    pub(super) server: Server,
    pub(super) shown: Shown,
    pub(super) observed: Arc<Mutex<Vec<String>>>,
    pub(super) looks: Arc<AtomicUsize>,
    pub(super) way: Way,
}

/// Way to the server, which is broken while it is told so. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Way {
    /// Set while new connections are accepted by TCP alone.
    pub(super) is_swallowed: Arc<AtomicBool>,
    /// Set while nothing comes from the server.
    pub(super) is_mute: Arc<AtomicBool>,
}

impl Way {
    /// Starts a forwarder to this port, and returns its port.
    async fn forward(&self, to: u16) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = self.clone();
        tokio::spawn(async move {
            let mut swallowed = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                if way.is_swallowed.load(Ordering::SeqCst) {
                    swallowed.push(stream);
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (mut from_server, mut to_server) = server.into_split();
                let (mut from_client, mut to_client) = stream.into_split();
                tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                let is_mute = way.is_mute.clone();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 65_536];
                    while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
                        while is_mute.load(Ordering::SeqCst) {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        to_client.write_all(&bytes[..count]).await.unwrap_or_default();
                    }
                });
            }
        });
        port
    }
}

impl Site {
    pub(super) async fn connected(pace: Pace) -> Self {
        let (plant, dir) = (Authority::new("plant CA"), tempfile::tempdir().unwrap());
        let (shown, observed, looks) = (Shown::default(), Arc::<Mutex<Vec<_>>>::default(), Arc::default());
        let observe = observed.clone();
        let server = Server::builder()
            .tls(server_tls(&plant, shown.clone()))
            .start_observer("127.0.0.1:0", move |_, message| {
                observe.lock().unwrap().push(String::from_utf8(message.payload.to_vec()).unwrap());
            })
            .await
            .unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("ca.crt"), plant.params.self_signed(&plant.key).unwrap().pem()).unwrap();
        let first = plant.sign("site7");
        fs::write(path("cert"), &first.cert).unwrap();
        fs::write(path("key"), &first.key).unwrap();
        let tls = Tls::from_pem(path("ca.crt"), path("cert"), path("key")).unwrap();
        let way = Way::default();
        let port = way.forward(server.local_addr().port()).await;
        let url = format!("mqtts://localhost:{port}");
        let mut builder = Bridge::builder(&url)
            .client_id("site7")
            .tls(tls)
            .connect_timeout(DIAL_WITHIN)
            .tls_from(source(["ca.crt", "cert", "key"].map(path), Arc::clone(&looks)));
        builder.renewal.as_mut().unwrap().pace = pace;
        let bridge = builder.start().await.unwrap();
        let site = Self { plant, dir, bridge, server, shown, observed, looks, way };
        site.wait_for(|stats| stats.connects == 1).await;
        assert_eq!(*site.shown.lock().unwrap(), [first.der]);
        site
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// Puts both files in place, the certificate first.
    pub(super) fn install(&self, identity: &Identity) {
        self.write("cert", &identity.cert);
        self.write("key", &identity.key);
    }

    pub(super) async fn wait_for(&self, is_reached: impl FnMut(&Stats) -> bool) {
        let mut watch = self.bridge.watch();
        timeout(PATIENCE, watch.wait_for(is_reached)).await.expect("in time").unwrap();
    }

    /// Waits until the files were looked at so many times more.
    pub(super) async fn wait_for_looks(&self, more: usize) {
        let enough = self.looks.load(Ordering::SeqCst) + more;
        let looked = async {
            while self.looks.load(Ordering::SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, looked).await.expect("it goes on looking");
    }

    /// The connection is the same as before so many looks.
    pub(super) async fn stays_for_looks(&self, looks: usize) {
        let dials = self.bridge.stats().dials;
        self.wait_for_looks(looks).await;
        assert_eq!(self.bridge.stats().dials, dials);
    }

    /// Certificates that the server was shown; several times in a row count as once.
    pub(super) fn shown_in_turn(&self) -> Vec<Vec<u8>> {
        let mut shown = self.shown.lock().unwrap().clone();
        shown.dedup();
        shown
    }

    pub(super) fn last_shown(&self) -> Vec<u8> {
        self.shown.lock().unwrap().last().unwrap().clone()
    }
}

/// Reads the files if they have changed.
pub(super) fn source(
    [ca, cert, key]: [PathBuf; 3],
    looks: Arc<AtomicUsize>,
) -> impl Fn() -> io::Result<Option<Tls>> + Send + Sync + 'static {
    let content = move |cert: &PathBuf, key: &PathBuf| Some((fs::read(cert).ok()?, fs::read(key).ok()?));
    let last = Mutex::new(content(&cert, &key));
    move || {
        looks.fetch_add(1, Ordering::SeqCst);
        let (found, mut last) = (content(&cert, &key), last.lock().unwrap());
        if found == *last {
            return Ok(None);
        }
        let read = Tls::from_pem(&ca, &cert, &key).map_err(io::Error::other)?;
        *last = found;
        Ok(Some(read))
    }
}
