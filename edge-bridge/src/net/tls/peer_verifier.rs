//! Verification of the other side's certificate by rustls and its webpki, within the [clock floor](super::clock_floor).

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::VerifierBuilderError;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme, crypto};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::clock_floor::ClockFloor;
use super::error::TlsError;
use super::peer_certificate;
use super::revocation::{self, RevocationLists};
use super::revocation_signature;

/// Judgement of a chain beside webpki's own: the time that counts, and the name of what a list revokes.
#[derive(Debug, Clone, Default)]
struct Judgement {
    floor: Option<ClockFloor>,
    crl: Option<Arc<RevocationLists>>,
}

impl Judgement {
    fn judge<T>(
        &self,
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        now: UnixTime,
        verify: impl Fn(UnixTime) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let verified = match &self.floor {
            Some(floor) => floor.judge(now, verify),
            None => verify(now),
        };
        verified.map_err(|error| match &self.crl {
            Some(crl) => revocation::named(error, &crl.file, end_entity, intermediates),
            None => error,
        })
    }
}

/// Verifier of a hub's certificate.
#[derive(Debug, Clone)]
pub(in crate::net) struct HubVerifier {
    roots: Arc<RootCertStore>,
    /// File that has the roots.
    file: Arc<Path>,
    webpki: Arc<WebPkiServerVerifier>,
    judgement: Judgement,
}

impl HubVerifier {
    pub(in crate::net) fn new(roots: RootCertStore, file: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let roots = Arc::new(roots);
        let webpki = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider).build();
        let webpki = webpki.map_err(|error| TlsError::HubVerifier(error.to_string()))?;
        Ok(Self { roots, file: file.into(), webpki, judgement: Judgement::default() })
    }

    /// Refuses what the lists revoke, `None` for nothing. A certificate of whose authority there is no list passes, and a list counts after its end.
    pub(in crate::net) fn with_crl(self, crl: Option<Arc<RevocationLists>>) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let lists = crl.iter().flat_map(|crl| crl.lists.clone());
        let webpki = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), provider)
            .with_crls(lists)
            .allow_unknown_revocation_status()
            .build();
        let webpki = webpki.map_err(|error| unusable(crl.as_deref(), error))?;
        crl.iter().try_for_each(|crl| revocation_signature::check(crl, &self.roots, &self.file))?;
        let judgement = Judgement { crl, ..self.judgement.clone() };
        Ok(Self { webpki, judgement, ..self })
    }

    /// Takes the place of the other one, with its floor of the clock, and with these lists, or its own.
    pub(in crate::net) fn in_place_of(
        self,
        other: &Self,
        crl: Option<Arc<RevocationLists>>,
    ) -> Result<Self, TlsError> {
        let with_lists = self.with_crl(crl.or_else(|| other.judgement.crl.clone()))?;
        Ok(other.judging_as(&with_lists))
    }

    /// Returns the other one with this one's floor of the clock.
    pub(in crate::net) fn judging_as(&self, other: &Self) -> Self {
        let judgement = Judgement { floor: self.judgement.floor.clone(), ..other.judgement.clone() };
        Self { judgement, ..other.clone() }
    }

    /// Returns the trusted authorities, and the lists of revoked certificates if there are any.
    pub(in crate::net) fn authorities(&self) -> (&RootCertStore, Option<&RevocationLists>) {
        (&self.roots, self.judgement.crl.as_deref())
    }

    /// Returns the file that has the trusted authorities.
    pub(in crate::net) fn file(&self) -> &Path {
        &self.file
    }

    pub(in crate::net) fn within(self, floor: ClockFloor) -> Self {
        let judgement = Judgement { floor: Some(floor), ..self.judgement.clone() };
        Self { judgement, ..self }
    }
}

impl ServerCertVerifier for HubVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.judgement.judge((end_entity, intermediates), now, |at| {
            self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
        });
        verified.inspect_err(|_| peer_certificate::note(end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Verifier of the certificates of a server's clients.
#[derive(Debug, Clone)]
pub(in crate::net) struct ClientVerifier {
    roots: Arc<RootCertStore>,
    /// File that has the roots.
    file: Arc<Path>,
    webpki: Arc<dyn ClientCertVerifier>,
    judgement: Judgement,
}

impl ClientVerifier {
    pub(in crate::net) fn new(roots: RootCertStore, file: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let roots = Arc::new(roots);
        let webpki = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider).build();
        let webpki = webpki.map_err(|error| TlsError::Verifier(error.to_string()))?;
        Ok(Self { roots, file: file.into(), webpki, judgement: Judgement::default() })
    }

    /// Takes the place of the other one, with its floor of the clock, and with these lists, or its own.
    pub(in crate::net) fn in_place_of(
        self,
        other: &Self,
        crl: Option<Arc<RevocationLists>>,
    ) -> Result<Self, TlsError> {
        let with_lists = match crl.or_else(|| other.judgement.crl.clone()) {
            Some(crl) => self.with_crl(crl)?,
            None => self,
        };
        let judgement = Judgement { floor: other.judgement.floor.clone(), ..with_lists.judgement };
        Ok(Self { judgement, ..with_lists })
    }

    /// Refuses what the lists revoke, as [`HubVerifier::with_crl`] does.
    pub(in crate::net) fn with_crl(self, crl: Arc<RevocationLists>) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let webpki = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider)
            .with_crls(crl.lists.clone())
            .allow_unknown_revocation_status()
            .build();
        let webpki = webpki.map_err(|error| unusable(Some(&crl), error))?;
        revocation_signature::check(&crl, &self.roots, &self.file)?;
        let judgement = Judgement { crl: Some(crl), ..self.judgement.clone() };
        Ok(Self { webpki, judgement, ..self })
    }

    /// Returns the trusted authorities, and the lists of revoked certificates if there are any.
    pub(in crate::net) fn authorities(&self) -> (&RootCertStore, Option<&RevocationLists>) {
        (&self.roots, self.judgement.crl.as_deref())
    }

    /// Returns the file that has the trusted authorities.
    pub(in crate::net) fn file(&self) -> &Path {
        &self.file
    }

    pub(in crate::net) fn within(self, floor: ClockFloor) -> Self {
        let judgement = Judgement { floor: Some(floor), ..self.judgement.clone() };
        Self { judgement, ..self }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judgement.judge((end_entity, intermediates), now, |at| {
            self.webpki.verify_client_cert(end_entity, intermediates, at)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Makes the error of lists that webpki does not take.
fn unusable(crl: Option<&RevocationLists>, error: VerifierBuilderError) -> TlsError {
    match (crl, error) {
        (Some(crl), VerifierBuilderError::InvalidCrl(error)) => {
            TlsError::Refused { path: crl.file.clone(), source: Error::InvalidCertRevocationList(error) }
        }
        (_, other) => TlsError::Verifier(other.to_string()),
    }
}
