//! Verification of the other side's certificate by rustls and its webpki, within the [clock floor](super::clock_floor).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme, crypto};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::clock_floor::ClockFloor;
use super::tls::TlsError;

/// Verifier of a hub's certificate.
#[derive(Debug, Clone)]
pub(super) struct HubVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    floor: Option<ClockFloor>,
}

impl HubVerifier {
    pub(super) fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self { webpki: webpki.map_err(|error| TlsError::HubVerifier(error.to_string()))?, floor: None })
    }

    pub(super) fn within(self, floor: ClockFloor) -> Self {
        Self { floor: Some(floor), ..self }
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
        judge(self.floor.as_ref(), now, |at| {
            self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
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

/// Verifier of the certificates of a server's clients.
#[derive(Debug, Clone)]
pub(super) struct ClientVerifier {
    webpki: Arc<dyn ClientCertVerifier>,
    floor: Option<ClockFloor>,
}

impl ClientVerifier {
    pub(super) fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let webpki = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self { webpki: webpki.map_err(|error| TlsError::Verifier(error.to_string()))?, floor: None })
    }

    pub(super) fn within(self, floor: ClockFloor) -> Self {
        Self { floor: Some(floor), ..self }
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
        judge(self.floor.as_ref(), now, |at| self.webpki.verify_client_cert(end_entity, intermediates, at))
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

fn judge<T>(
    floor: Option<&ClockFloor>,
    now: UnixTime,
    verify: impl Fn(UnixTime) -> Result<T, Error>,
) -> Result<T, Error> {
    match floor {
        Some(floor) => floor.judge(now, verify),
        None => verify(now),
    }
}
