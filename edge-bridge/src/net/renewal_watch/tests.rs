//! Bridges whose certificate is renewed while they are connected, at a server of this crate that keeps what it was shown.

use std::collections::BTreeSet;
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
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::bridge::Stats;
use crate::net::{Bridge, Server, ServerTls, Tls};

const PATIENCE: Duration = Duration::from_secs(60);
const DIAL_WITHIN: Duration = Duration::from_secs(3);

type Shown = Arc<Mutex<Vec<Vec<u8>>>>;

struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self { params, key: KeyPair::generate().unwrap() }
    }

    /// A certificate in DER and its key, both also in PEM.
    fn sign(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Identity { der: cert.der().to_vec(), cert: cert.pem(), key: key.serialize_pem() }
    }
}

struct Identity {
    der: Vec<u8>,
    cert: String,
    key: String,
}

/// A verifier that keeps the certificates that it is shown, also those that it refuses.
#[derive(Debug)]
struct Keeping(Arc<dyn ClientCertVerifier>, Shown);

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

fn server_tls(plant: &Authority, shown: Shown) -> ServerTls {
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
struct Site {
    plant: Authority,
    dir: tempfile::TempDir,
    bridge: Bridge,
    server: Server,
    shown: Shown,
    observed: Arc<Mutex<Vec<String>>>,
    looks: Arc<AtomicUsize>,
    /// Set while new connections are accepted by TCP alone.
    is_swallowed: Arc<AtomicBool>,
}

/// Starts a forwarder to this port, which accepts a connection and passes nothing on while it is told so. Returns its port.
async fn forwarder(to: u16, is_swallowed: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut swallowed = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if is_swallowed.load(Ordering::SeqCst) {
                swallowed.push(stream);
                continue;
            }
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    port
}

impl Site {
    async fn connected(pace: Pace) -> Self {
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
        let is_swallowed = Arc::<AtomicBool>::default();
        let port = forwarder(server.local_addr().port(), is_swallowed.clone()).await;
        let url = format!("mqtts://localhost:{port}");
        let mut builder = Bridge::builder(&url)
            .client_id("site7")
            .tls(tls)
            .connect_timeout(DIAL_WITHIN)
            .tls_from(source(["ca.crt", "cert", "key"].map(path), Arc::clone(&looks)));
        builder.renewal.as_mut().unwrap().pace = pace;
        let bridge = builder.start().await.unwrap();
        let site = Self { plant, dir, bridge, server, shown, observed, looks, is_swallowed };
        site.wait_for(|stats| stats.connects == 1).await;
        assert_eq!(*site.shown.lock().unwrap(), [first.der]);
        site
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// Puts both files in place, the certificate first.
    fn install(&self, identity: &Identity) {
        self.write("cert", &identity.cert);
        self.write("key", &identity.key);
    }

    async fn wait_for(&self, is_reached: impl FnMut(&Stats) -> bool) {
        let mut watch = self.bridge.watch();
        timeout(PATIENCE, watch.wait_for(is_reached)).await.expect("in time").unwrap();
    }

    /// Waits until the files were looked at so many times more.
    async fn wait_for_looks(&self, more: usize) {
        let enough = self.looks.load(Ordering::SeqCst) + more;
        let looked = async {
            while self.looks.load(Ordering::SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, looked).await.expect("it goes on looking");
    }

    /// The connection is the same as before so many looks.
    async fn stays_for_looks(&self, looks: usize) {
        let dials = self.bridge.stats().dials;
        self.wait_for_looks(looks).await;
        assert_eq!(self.bridge.stats().dials, dials);
    }

    /// Certificates that the server was shown; several times in a row count as once.
    fn shown_in_turn(&self) -> Vec<Vec<u8>> {
        let mut shown = self.shown.lock().unwrap().clone();
        shown.dedup();
        shown
    }

    fn last_shown(&self) -> Vec<u8> {
        self.shown.lock().unwrap().last().unwrap().clone()
    }
}

/// Reads the files if they have changed.
fn source(
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

/// The pace of production is three orders slower.
fn fast() -> Pace {
    Pace { look_ms: 20, spread_ms: 20, offer_again_ms: 40, offer_refused_ms: 3_600_000 }
}

#[tokio::test]
async fn a_connection_is_moved_to_each_renewed_certificate_without_a_loss() {
    let site = Site::connected(fast()).await;
    let moves = async {
        for n in 2..=4 {
            let renewed = site.plant.sign("site7");
            site.install(&renewed);
            site.wait_for(|stats| stats.connects == n).await;
            assert_eq!(site.last_shown(), renewed.der);
        }
    };
    let mut receipts = Vec::new();
    let publishing = async {
        loop {
            let payload = receipts.len().to_string();
            receipts.push(site.bridge.publish("a", payload).await.unwrap());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = moves => {}
        () = publishing => {}
    }
    let count = receipts.len();
    for receipt in receipts {
        timeout(PATIENCE, receipt).await.unwrap().unwrap();
    }
    let arrived: BTreeSet<_> = site.observed.lock().unwrap().iter().cloned().collect();
    assert_eq!(arrived, (0..count).map(|n| n.to_string()).collect());
    assert_eq!((site.shown_in_turn().len(), site.bridge.stats().sessions_lost), (4, 0));
    site.stays_for_looks(10).await;
    drop(site.server);
}

#[tokio::test]
async fn a_certificate_that_the_hub_refuses_costs_one_move_and_the_former_one_goes_on() {
    let site = Site::connected(fast()).await;
    let (first, original) = (site.last_shown(), ["cert", "key"].map(|name| site.dir.path().join(name)));
    let original = original.map(|path| fs::read_to_string(path).unwrap());
    let stranger = Authority::new("other CA").sign("site7");
    site.install(&stranger);
    site.wait_for(|stats| stats.connects == 2).await;
    assert_eq!(site.shown_in_turn(), [first.clone(), stranger.der, first]);
    site.wait_for(|stats| stats.certificate_not_taken).await;
    site.stays_for_looks(20).await;
    // Whoever puts the former files back has nothing moved.
    let [cert, key] = original;
    site.install(&Identity { der: Vec::new(), cert, key });
    site.wait_for(|stats| !stats.certificate_not_taken).await;
    site.stays_for_looks(10).await;
    let renewed = site.plant.sign("site7");
    site.install(&renewed);
    site.wait_for(|stats| stats.connects == 3).await;
    assert_eq!(site.last_shown(), renewed.der);
}

/// As where a firewall or a load balancer has a bad moment just then.
#[tokio::test]
async fn a_certificate_to_which_nobody_answered_is_shown_again() {
    let site = Site::connected(fast()).await;
    let first = site.last_shown();
    site.is_swallowed.store(true, Ordering::SeqCst);
    let renewed = site.plant.sign("site7");
    site.install(&renewed);
    // The first dial of the move, which has the new certificate, is not answered.
    site.wait_for(|stats| stats.dials == 2).await;
    tokio::time::sleep(DIAL_WITHIN / 2).await;
    site.is_swallowed.store(false, Ordering::SeqCst);
    site.wait_for(|stats| stats.connects == 2).await;
    assert_eq!((site.last_shown(), site.bridge.stats().certificate_not_taken), (first, false));
    site.wait_for(|stats| stats.connects == 3).await;
    assert_eq!(site.last_shown(), renewed.der);
    site.stays_for_looks(10).await;
}

/// By default only after an hour, because each time costs a connection; at once for a program that asks.
#[tokio::test]
async fn a_certificate_that_the_hub_has_refused_is_shown_again() {
    let site = Site::connected(Pace { offer_refused_ms: 40, ..fast() }).await;
    let stranger = Authority::new("other CA").sign("site7");
    site.install(&stranger);
    let is_shown = |times| {
        let shown = site.shown.lock().unwrap();
        shown.iter().filter(|shown| **shown == stranger.der).count() >= times
    };
    site.wait_for(|stats| stats.certificate_not_taken && is_shown(2)).await;
    let site = Site::connected(fast()).await;
    site.install(&stranger);
    site.wait_for(|stats| stats.connects == 2 && stats.certificate_not_taken).await;
    site.bridge.link().look_at_certificate().await;
    site.wait_for(|stats| stats.connects == 3).await;
    assert_eq!(site.shown.lock().unwrap().iter().filter(|shown| **shown == stranger.der).count(), 2);
}

#[tokio::test]
async fn a_certificate_without_its_key_moves_nothing() {
    let site = Site::connected(fast()).await;
    let renewed = site.plant.sign("site7");
    let half = &renewed.cert[..renewed.cert.len() / 2];
    for cert in [half, "", &renewed.cert] {
        site.write("cert", cert);
        site.stays_for_looks(5).await;
    }
    site.write("key", &renewed.key);
    site.wait_for(|stats| stats.connects == 2).await;
    assert_eq!(site.last_shown(), renewed.der);
}

#[tokio::test]
async fn a_program_that_knows_of_a_renewal_waits_for_no_look() {
    let never = 3_600_000;
    let site = Site::connected(Pace { look_ms: never, spread_ms: never, ..fast() }).await;
    site.bridge.link().look_at_certificate().await;
    site.wait_for_looks(1).await;
    let renewed = site.plant.sign("site7");
    site.install(&renewed);
    site.bridge.link().look_at_certificate().await;
    site.wait_for(|stats| stats.connects == 2).await;
    assert_eq!(site.last_shown(), renewed.der);
}
