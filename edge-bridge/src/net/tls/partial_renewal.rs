//! Renewal of one part of TLS settings at a time: authorities, lists of revoked certificates, own certificate with its key. A part that cannot be read
//! again stays as it was, and holds up none of the others: a certificate that is replaced by halves must not keep a revoked peer in.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;

use super::error::{TlsError, refused};
use super::peer_verifier::{ClientVerifier, HubVerifier};
use super::revocation::RevocationLists;
use super::signer::{CLIENT_ANSWER_WITHIN, SERVER_ANSWER_WITHIN};
use super::system_roots::system_roots;
use super::{ServerTls, Tls, identity, roots, server_config};

impl Tls {
    /// Trusts the authorities in `ca` alone, as [`from_ca`](Self::from_ca) does, or with `None` those of the system, in the place of these settings'
    /// own. Lists of revoked certificates, own certificate and [clock floor](Self::with_clock_floor) stay.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds no authority; the settings' own list of one of these is signed by another key
    /// ([`TlsError::RevocationsOfOtherKey`]); settings made by [`from_config`](Self::from_config).
    pub fn with_authorities(self, ca: Option<&Path>) -> Result<Self, TlsError> {
        self.judging_by(ca, None)
    }

    /// Trusts authorities as [`with_authorities`](Self::with_authorities) does, and refuses what the lists in `crl` revoke, in the place of these settings'
    /// own: for an authority that has another key now, and the lists that this one signed.
    ///
    /// # Errors
    ///
    /// Those of [`with_authorities`](Self::with_authorities) and [`with_crl`](Self::with_crl).
    pub fn with_authorities_and_crl(
        self,
        ca: Option<&Path>,
        crl: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        self.judging_by(ca, Some(Arc::new(RevocationLists::read(crl.as_ref())?)))
    }

    fn judging_by(self, ca: Option<&Path>, crl: Option<Arc<RevocationLists>>) -> Result<Self, TlsError> {
        let (file, roots) = match ca {
            Some(ca) => (ca.to_owned(), roots(ca)?),
            None => system_roots()?,
        };
        let Some(own) = &self.verifier else {
            return Err(TlsError::HubVerifier("the settings have a verifier of their own".to_owned()));
        };
        let verifier = HubVerifier::new(roots, &file)?.in_place_of(own, crl)?;
        Ok(self.verifying(verifier))
    }

    /// Shows the certificate in `cert` with the key in `key`, as [`from_pem`](Self::from_pem) does, in the place of these settings' own. How the hub's
    /// is judged stays.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or the key does not belong to the certificate.
    pub fn with_identity(self, cert: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (own, remote_key) = identity(cert.as_ref(), key.as_ref(), CLIENT_ANSWER_WITHIN)?;
        let (shown, key) = (own.cert.as_slice().into(), Some(own.key.clone()));
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(own));
        // A session goes on with the certificate that began it.
        config.resumption = Resumption::default();
        let config = Arc::new(config);
        let own_file = Some(cert.as_ref().into());
        Ok(Self { config, own: shown, own_file, key, remote_key, awaiting: None, ..self })
    }
}

impl ServerTls {
    /// Lets in clients with a certificate of these authorities, in the place of these settings' own. Lists of revoked certificates, own certificate and
    /// [clock floor](Self::with_clock_floor) stay.
    ///
    /// # Errors
    ///
    /// As for [`Tls::with_authorities`]; clients need no certificate.
    pub fn with_client_authorities(self, client_ca: impl AsRef<Path>) -> Result<Self, TlsError> {
        self.judging_by(client_ca.as_ref(), None)
    }

    /// Lets in clients as [`with_client_authorities`](Self::with_client_authorities) does, and refuses what the lists in `crl` revoke, in the place of these
    /// settings' own, as [`Tls::with_authorities_and_crl`].
    ///
    /// # Errors
    ///
    /// Those of [`with_client_authorities`](Self::with_client_authorities) and [`with_client_crl`](Self::with_client_crl).
    pub fn with_client_authorities_and_crl(
        self,
        client_ca: impl AsRef<Path>,
        crl: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        self.judging_by(client_ca.as_ref(), Some(Arc::new(RevocationLists::read(crl.as_ref())?)))
    }

    fn judging_by(self, path: &Path, crl: Option<Arc<RevocationLists>>) -> Result<Self, TlsError> {
        let verifier = ClientVerifier::new(roots(path)?, path)?;
        let Some(own) = &self.verifier else {
            return Err(TlsError::Verifier("the settings have none to be judged".to_owned()));
        };
        let verifier = verifier.in_place_of(own, crl)?;
        let config = server_config(Some(&verifier), self.config.cert_resolver.clone());
        let mut config = config.map_err(|source| refused(path, source))?;
        config.time_provider = self.config.time_provider.clone();
        Ok(Self { config: Arc::new(config), verifier: Some(verifier), ..self })
    }

    /// Shows the certificate in `cert` with the key in `key`, as [`from_pem`](Self::from_pem) does, in the place of these settings' own. Whom it lets in
    /// stays.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or the key does not belong to the certificate.
    pub fn with_identity(self, cert: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (own, remote_key) = identity(cert.as_ref(), key.as_ref(), SERVER_ANSWER_WITHIN)?;
        let mut config = rustls::ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(SingleCertAndKey::from(own));
        Ok(Self { config: Arc::new(config), remote_key, unusable: None, ..self })
    }
}
