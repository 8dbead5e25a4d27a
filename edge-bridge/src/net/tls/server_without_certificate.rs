//! Settings of a server whose certificate cannot be used.

use std::path::Path;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::TlsError;
use super::peer_verifier::ClientVerifier;
use super::{ServerTls, roots, server_config};

/// Certificate of a server that has none to show.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl ServerTls {
    /// Shows no certificate, so that each handshake fails, until settings with one take the place of these
    /// ([`with_identity`](Self::with_identity), [`LocalPublisher::set_tls`](crate::net::server::LocalPublisher::set_tls)): for a program whose files do
    /// not fit at its start, and that serves its other addresses meanwhile. Errors of handshakes name `cert`, the file of the certificate, which is not
    /// read here. With `client_ca` clients are judged as by [`from_pem`](Self::from_pem) then.
    ///
    /// # Errors
    ///
    /// `client_ca` cannot be read, or holds no authority.
    pub fn with_unusable_certificate(
        cert: impl AsRef<Path>,
        client_ca: Option<&Path>,
    ) -> Result<Self, TlsError> {
        let verifier = match client_ca {
            None => None,
            Some(ca) => Some(ClientVerifier::new(roots(ca)?, ca)?),
        };
        let config = server_config(verifier.as_ref(), Arc::new(NoCertificate));
        let config = config.map_err(|error| TlsError::Verifier(error.to_string()))?;
        let unusable = Some(cert.as_ref().into());
        Ok(Self { verifier, unusable, ..Self::from_config(Arc::new(config)) })
    }

    /// Returns the file of the certificate that cannot be used, for which each handshake fails; `None` if there is a certificate to show.
    pub(in crate::net) fn unusable_certificate(&self) -> Option<&Path> {
        self.unusable.as_deref()
    }
}
