//! TLS through rustls. The cryptography provider (ring) is always named, so that nothing depends on a process-wide default.

pub(super) mod alternative_names;
pub(super) mod certificate;
pub(super) mod certificate_chain;
pub(super) mod certificate_dates;
pub(super) mod certificate_kind;
pub(super) mod certificate_name;
pub(super) mod certificate_user;
pub(super) mod client_handshake;
pub(super) mod clock_floor;
pub(super) mod der;
pub(super) mod error;
pub(super) mod extensions;
pub(super) mod handshake_error;
pub(super) mod hub_session;
pub(super) mod missing_authority;
pub(super) mod names;
pub(super) mod own_refusal;
mod partial_renewal;
pub(super) mod peer_certificate;
pub(super) mod peer_verifier;
mod pem_files;
pub(super) mod renewal;
pub(super) mod revocation;
pub(super) mod revocation_replacement;
mod revocation_signature;
mod server_without_certificate;
pub(super) mod setting_names;
pub(super) mod signer;
mod system_roots;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use rustls_pki_types::CertificateDer;

use self::certificate_user::CertificateUser;
use self::clock_floor::ClockFloor;
use self::error::{TlsError, refused, unfit};
use self::peer_verifier::{ClientVerifier, HubVerifier};
pub(super) use self::pem_files::certificates;
use self::pem_files::private_key;
use self::revocation::RevocationLists;
use self::setting_names::TlsSettingNames;
use self::signer::{RemoteKey, SERVER_ANSWER_WITHIN, signer_socket};
use self::system_roots::system_roots;
use super::tcp_stream::{Counted, Stream};

/// Most bytes that a server's TLS buffers for a client that does not read. The listener's memory limit does not count these bytes.
const UNWRITTEN_MAX: usize = 4 * 1024;
/// Paths of the system's certificate bundle: Debian and Alpine; Fedora and relatives; SUSE; Alpine and the BSDs.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// TLS settings of a client.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    /// Verifier in `config`; `None` if another one stands there.
    verifier: Option<HubVerifier>,
    /// Own certificate with its chain; empty if there is none, or none that is known.
    own: Arc<[CertificateDer<'static>]>,
    /// File of the own certificate, if it is from one.
    own_file: Option<Arc<Path>>,
    /// Private key of the certificate; `None` if there is no certificate, or none that is known.
    key: Option<Arc<dyn SigningKey>>,
    /// Private key of the certificate if a signer has it.
    remote_key: Option<RemoteKey>,
    /// Reason for which there is no certificate yet, without which no connection is made; `None` if there is one, or needs to be none.
    awaiting: Option<Arc<str>>,
    names: TlsSettingNames,
}

/// TLS settings of a server.
#[derive(Debug, Clone)]
pub struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
    /// Verifier in `config`; `None` if clients need no certificate, or another one stands there.
    verifier: Option<ClientVerifier>,
    /// Private key of the certificate if a signer has it.
    remote_key: Option<RemoteKey>,
    /// File of the certificate that cannot be used; `None` if one is shown.
    unusable: Option<Arc<Path>>,
    /// Name in a client's certificate that is its user name.
    user: CertificateUser,
}

impl Tls {
    /// Trusts only the authorities in `ca`, and shows the certificate in `cert` (with its chain behind it) with the key in `key`. PEM files,
    /// read once by this call. A `key` of the form `unix:PATH` is in another process, the signer at this socket, which signs each handshake: it is
    /// asked then, and not by this call ([`check_signer`](Self::check_signer) asks it at once).
    pub fn from_pem(
        ca: impl AsRef<Path>,
        cert: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let ca = ca.as_ref();
        Self::new(ca, roots(ca)?, Some((cert.as_ref(), key.as_ref())))
    }

    /// Trusts the authorities in `ca` alone and shows no certificate.
    pub fn from_ca(ca: impl AsRef<Path>) -> Result<Self, TlsError> {
        let ca = ca.as_ref();
        Self::new(ca, roots(ca)?, None)
    }

    /// Trusts the authorities that the system trusts, from the file in the environment variable `SSL_CERT_FILE` or the bundle of the Linux
    /// distribution. Certificates that rustls does not accept are left out.
    ///
    /// # Errors
    ///
    /// There is no such file, or it cannot be read.
    pub fn from_system() -> Result<Self, TlsError> {
        let (path, roots) = system_roots()?;
        Self::new(&path, roots, None)
    }

    /// Trusts as [`from_system`](Self::from_system) does, and shows the certificate in `cert` with the key in `key`.
    ///
    /// # Errors
    ///
    /// Those of [`from_system`](Self::from_system) and [`from_pem`](Self::from_pem).
    pub fn from_system_with(cert: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (path, roots) = system_roots()?;
        Self::new(&path, roots, Some((cert.as_ref(), key.as_ref())))
    }

    /// Trusts `roots`, which are from the file `ca`, and shows a certificate with its key, if there are files of them.
    fn new(ca: &Path, roots: RootCertStore, own: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        let verifier = HubVerifier::new(roots, ca)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| refused(ca, source))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier.clone()));
        let config = Arc::new(builder.with_no_client_auth());
        let tls = Self { verifier: Some(verifier), ..Self::from_config(config) };
        match own {
            Some((cert, key)) => tls.with_identity(cert, key),
            None => Ok(tls),
        }
    }

    /// Asks the signer that has the private key, if one does, whether it is there and has the certificate's. Blocks, for 5 s at most.
    ///
    /// # Errors
    ///
    /// [`TlsError::Signer`].
    pub fn check_signer(&self) -> Result<(), TlsError> {
        self.remote_key.as_ref().map_or(Ok(()), RemoteKey::check)
    }

    /// Refuses a hub whose certificate, or one of an authority between it and the trusted one, is revoked by a list in `crl`. PEM, read once by this
    /// call, one or several lists. A certificate of whose authority there is no list passes; a list counts after its end
    /// ([`revocation_list_ends`](super::revocation_list_ends)), because a new one may not have come through an outage.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has no list, or one that cannot be used, or that has the name of a trusted authority and another one's signature; settings
    /// made by [`from_config`](Self::from_config).
    pub fn with_crl(self, crl: impl AsRef<Path>) -> Result<Self, TlsError> {
        let crl = crl.as_ref();
        let verifier = self.verifier.as_ref().ok_or_else(|| TlsError::NothingToRevoke(crl.to_owned()))?;
        let lists = Arc::new(RevocationLists::read(crl)?);
        Ok(self.verifying(verifier.clone().with_crl(Some(lists))?))
    }

    /// Returns these settings with the authorities and the lists of revoked certificates of `newer` in the place of its own.
    pub(super) fn judging_as(&self, newer: &Self) -> Self {
        match (&self.verifier, &newer.verifier) {
            (Some(own), Some(newer)) => self.verifying(own.judging_as(newer)),
            _ => self.clone(),
        }
    }

    /// Returns whether both show the same certificate, so that they differ in how they judge the hub's at most.
    pub(super) fn shows_as(&self, other: &Self) -> bool {
        self.own == other.own && self.verifier.is_some() && other.verifier.is_some()
    }

    /// Returns the file of trusted authorities; `None` if settings made by [`from_config`](Self::from_config) have them.
    pub(super) fn authorities_file(&self) -> Option<&Path> {
        self.verifier.as_ref().map(HubVerifier::file)
    }

    pub(super) fn setting_names(&self) -> TlsSettingNames {
        self.names
    }

    fn verifying(&self, verifier: HubVerifier) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(Arc::new(verifier.clone()));
        // A session that is resumed shows no certificate: one of before would pass whatever the new verifier refuses.
        config.resumption = Resumption::default();
        Self { config: Arc::new(config), verifier: Some(verifier), ..self.clone() }
    }

    /// Judges the hub's certificate within this floor while the wall clock is not known to be right. Without it the wall clock alone counts. Of
    /// settings made by [`from_config`](Self::from_config) a certificate's beginning does not count for the time, because their verifier is not
    /// this crate's.
    #[must_use]
    pub fn with_clock_floor(self, floor: ClockFloor) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.time_provider = Arc::new(floor.clone());
        let clocked = Self { config: Arc::new(config), ..self };
        match &clocked.verifier {
            Some(verifier) => clocked.verifying(verifier.clone().within(floor)),
            None => clocked,
        }
    }

    /// Uses a configuration of rustls, for everything that it can do, such as other authorities, other providers. A key that blocks while it signs
    /// holds up the whole runtime thread; one behind `unix:PATH` ([`from_pem`](Self::from_pem)) does not.
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self {
            config,
            verifier: None,
            own: Arc::default(),
            own_file: None,
            key: None,
            remote_key: None,
            awaiting: None,
            names: TlsSettingNames::default(),
        }
    }

    /// Replaces the ALPN protocols of the configuration; an empty list leaves them.
    pub(super) fn with_alpn(self, protocols: &[String]) -> Self {
        if protocols.is_empty() {
            return self;
        }
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config), ..self }
    }
}

impl ServerTls {
    /// Shows the certificate in `cert` with the key in `key`. With `client_ca` clients must show a certificate of one of these authorities;
    /// with `None` they need none. A `key` of the form `unix:PATH` is that of a signer, as for [`Tls::from_pem`].
    pub fn from_pem(
        cert: impl AsRef<Path>,
        key: impl AsRef<Path>,
        client_ca: Option<&Path>,
    ) -> Result<Self, TlsError> {
        let (cert, key) = (cert.as_ref(), key.as_ref());
        let (own, remote_key) = identity(cert, key, SERVER_ANSWER_WITHIN)?;
        let verifier = match client_ca {
            None => None,
            Some(ca) => Some(ClientVerifier::new(roots(ca)?, ca)?),
        };
        let config = server_config(verifier.as_ref(), Arc::new(SingleCertAndKey::from(own)));
        let config = config.map_err(|source| refused(cert, source))?;
        Ok(Self { verifier, remote_key, ..Self::from_config(Arc::new(config)) })
    }

    /// Asks the signer that has the private key, if one does, whether it is there and has the certificate's. Blocks, for 2 s at most.
    ///
    /// # Errors
    ///
    /// [`TlsError::Signer`].
    pub fn check_signer(&self) -> Result<(), TlsError> {
        self.remote_key.as_ref().map_or(Ok(()), RemoteKey::check)
    }

    /// Refuses clients whose certificate, or one of an authority between it and the trusted one, is revoked by a list in `crl`, as
    /// [`Tls::with_crl`] does hubs.
    ///
    /// # Errors
    ///
    /// As for [`Tls::with_crl`]; clients need no certificate.
    pub fn with_client_crl(self, crl: impl AsRef<Path>) -> Result<Self, TlsError> {
        let crl = crl.as_ref();
        let verifier = self.verifier.clone().ok_or_else(|| TlsError::NothingToRevoke(crl.to_owned()))?;
        let verifier = verifier.with_crl(Arc::new(RevocationLists::read(crl)?))?;
        let config = server_config(Some(&verifier), self.config.cert_resolver.clone());
        let mut config = config.map_err(|source| refused(crl, source))?;
        config.time_provider = self.config.time_provider.clone();
        Ok(Self { config: Arc::new(config), verifier: Some(verifier), ..self })
    }

    /// Uses a configuration of rustls, for everything that it can do.
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { config, verifier: None, remote_key: None, unusable: None, user: CertificateUser::default() }
    }

    /// Returns the file of the authorities that clients have to have a certificate of; `None` if there is none, or none that is known.
    pub(super) fn client_authorities_file(&self) -> Option<&Path> {
        self.verifier.as_ref().map(ClientVerifier::file)
    }

    /// Performs the server's part of the handshake. Takes as long as the client does, so put a time limit around it.
    ///
    /// # Errors
    ///
    /// The client does not speak TLS, or shows no acceptable certificate.
    pub async fn accept(&self, stream: Counted) -> io::Result<Stream> {
        let bounded = |session: &mut rustls::ServerConnection| session.set_buffer_limit(Some(UNWRITTEN_MAX));
        let acceptor = tokio_rustls::TlsAcceptor::from(self.config.clone());
        let handshake = acceptor.accept_with(stream, bounded);
        let stream = match &self.remote_key {
            Some(key) => key.threads.run(handshake).await,
            None => handshake.await,
        }?;
        let mut stream = Stream::Tls(Box::new(stream.into()));
        stream.bound_silence();
        Ok(stream)
    }
}

/// Makes the settings of a server that shows what `own` has. With a verifier clients must show a certificate.
fn server_config(
    verifier: Option<&ClientVerifier>,
    own: Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier.clone())),
    };
    let mut config = builder.with_cert_resolver(own);
    // Sessions to be resumed would keep certificates of clients in memory that no limit counts.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| refused(path, source))?;
    }
    Ok(roots)
}

/// Reads a certificate and its key. A key in a signer is returned twice, because it needs [threads](signer) for its handshakes. `answer_within`
/// is the time limit of a signer's answer.
fn identity(
    cert: &Path,
    key: &Path,
    answer_within: Duration,
) -> Result<(CertifiedKey, Option<RemoteKey>), TlsError> {
    if let Some(socket) = signer_socket(key) {
        let chain = certificates(cert)?;
        let own = chain.first().ok_or_else(|| TlsError::NoCertificate(cert.to_owned()))?;
        let remote = RemoteKey::new((key, socket), (cert, own), answer_within)?;
        return Ok((CertifiedKey::new(chain, Arc::new(remote.clone())), Some(remote)));
    }
    let key_der = private_key(key)?;
    let chain = certificates(cert)?;
    let own = CertifiedKey::from_der(chain, key_der.clone_key(), &crypto::ring::default_provider());
    Ok((own.map_err(|source| unfit(cert, (key, key_der.secret_der()), source))?, None))
}
