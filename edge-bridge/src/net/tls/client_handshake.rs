//! Handshakes of a client: with its hub, and with other servers to which it shows the same certificate; none while it waits for its first one.

use std::io;
use std::sync::Arc;

use rustls::sign::SigningKey;
use rustls_pki_types::ServerName;
use tokio_rustls::client::TlsStream;

use super::handshake_error::{self, HandshakeFailure};
use super::own_refusal::OwnCertificate;
use super::peer_certificate;
use super::{Tls, TlsError, names};
use crate::net::tcp_stream::{Counted, Stream};

impl Tls {
    /// Makes no connection until settings with a certificate take the place of these ([`Builder::tls_from`](crate::net::Builder::tls_from)): for a program
    /// that gets its first certificate while it runs. Without it the hub would be asked to take a client that shows none.
    #[must_use]
    pub fn awaiting_certificate(self) -> Self {
        self.without_certificate("there is no certificate of this client yet".to_owned())
    }

    /// Makes no connection, as [`awaiting_certificate`](Self::awaiting_certificate), because of the error of the certificate that there is: for a program
    /// whose files do not fit at its start. Each dial has this error.
    #[must_use]
    pub fn with_unusable_certificate(self, error: &TlsError) -> Self {
        self.without_certificate(format!("the certificate of this client cannot be used: {error}"))
    }

    fn without_certificate(self, why: String) -> Self {
        Self { awaiting: Some(why.into()), ..self }
    }

    /// Returns the private key of the certificate, with which a request for the next one is signed; `None` if these settings have none, or were made by
    /// [`from_config`](Self::from_config). One in a signer blocks while it signs, for 5 s at most.
    #[must_use]
    pub fn signing_key(&self) -> Option<Arc<dyn SigningKey>> {
        self.key.clone()
    }

    /// Performs the client's part of the handshake with the server of this name, a DNS name or an IP address: for a program that speaks to another
    /// server with the certificate of its link. Takes as long as the server does, so put a time limit around it.
    ///
    /// # Errors
    ///
    /// The name cannot be one of a server; the server does not speak TLS, or is refused or refuses; the signer does not sign. A certificate that is refused is
    /// told with its names and the program's settings ([`with_setting_names`](Self::with_setting_names)).
    pub async fn handshake(&self, name: &str, stream: Counted) -> io::Result<Stream> {
        let name = names::server_name(name).map_err(io::Error::other)?;
        let connected = self.connect(name.clone(), stream).await;
        let stream = connected.map_err(|failed| handshake_error::in_words(failed, self, &name))?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// Performs the client's part of the handshake.
    ///
    /// # Errors
    ///
    /// The server does not speak TLS, or is refused or refuses; the signer does not sign.
    pub(in crate::net) async fn connect(
        &self,
        name: ServerName<'static>,
        mut stream: Counted,
    ) -> Result<TlsStream<Counted>, HandshakeFailure> {
        if let Some(why) = &self.awaiting {
            return Err(HandshakeFailure { error: no_certificate(why), refused: None });
        }
        stream.own = OwnCertificate::of(self).map(Box::new);
        let handshake = tokio_rustls::TlsConnector::from(self.config.clone()).connect(name, stream);
        // Around the handshake alone: the signer's has a thread, and so a task, of its own.
        let handshake = async { Ok(peer_certificate::noted(handshake).await) };
        let ended = match &self.remote_key {
            Some(key) => key.threads.run(handshake).await,
            None => handshake.await,
        };
        let (connected, refused) = ended.unwrap_or_else(|error| (Err(error), None));
        connected.map_err(|error| HandshakeFailure { error, refused })
    }
}

/// Returns the error of a handshake that is not begun for want of a certificate.
pub(in crate::net) fn no_certificate(why: &str) -> io::Error {
    io::Error::other(why)
}
