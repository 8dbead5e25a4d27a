//! Words for a server that refuses this client's own certificate: the reason, the file and the setting. In TLS 1.3 the refusal comes with the first
//! read, since the handshake is complete for the client before the server has judged it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::{AlertDescription, Error};

use super::Tls;
use super::setting_names::{TlsSettingNames, in_brackets};

/// Certificate that this client shows a server, as far as an error is about it.
#[derive(Debug)]
pub(in crate::net) struct OwnCertificate {
    /// File of the certificate; `None` if none is shown.
    file: Option<Arc<Path>>,
    names: TlsSettingNames,
}

impl OwnCertificate {
    /// Returns that of these settings; `None` if a configuration of rustls has it, of which nothing is known.
    pub(in crate::net) fn of(tls: &Tls) -> Option<Self> {
        tls.verifier.as_ref()?;
        Some(Self { file: tls.own_file.clone(), names: tls.names })
    }

    /// Returns the words for an error of TLS; `None` if it is not about this certificate.
    fn refusal(&self, error: &io::Error) -> Option<String> {
        match error.get_ref()?.downcast_ref()? {
            Error::AlertReceived(alert) => self.words(*alert),
            _ => None,
        }
    }

    /// Returns the words for an error that the server sent; `None` if it is not about this certificate.
    pub(super) fn words(&self, alert: AlertDescription) -> Option<String> {
        let peer = if self.names.peer.is_empty() { "the hub" } else { self.names.peer };
        let setting = in_brackets(self.names.certificate);
        let said = match &self.file {
            Some(file) => {
                let file = file.display();
                match reason(alert) {
                    Some(why) => format!("{peer} refuses the certificate in {file}{setting}: {why}"),
                    None if alert == AlertDescription::HandshakeFailure => format!(
                        "{peer} ends the handshake: its key or its algorithms are none that are taken here, or it does not take the certificate in {file}{setting}"
                    ),
                    None => return None,
                }
            }
            None => match alert {
                AlertDescription::HandshakeFailure => format!(
                    "{peer} ends the handshake: its key or its algorithms are none that are taken here, or it asks for a certificate, and none is set{setting}"
                ),
                AlertDescription::CertificateRequired
                | AlertDescription::NoCertificate
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::AccessDenied => {
                    format!("{peer} asks for a certificate, and none is set{setting}")
                }
                _ => return None,
            },
        };
        // The name first: a program may show the beginning alone.
        Some(format!("{}: {said}", Error::AlertReceived(alert)))
    }
}

/// Returns the reason for which a server refuses a certificate; `None` if the error is not about one.
fn reason(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::UnknownCA => {
            "it does not trust the authority that signed it, or the certificates in between are missing in the file"
        }
        AlertDescription::CertificateExpired => "it has expired, or is not valid yet, by the server's clock",
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it asks for one with another kind of key, or of another authority"
        }
        AlertDescription::DecryptError => "it is signed by another key than its authority has there",
        AlertDescription::BadCertificate => "it cannot be verified",
        AlertDescription::UnsupportedCertificate => {
            "it is not one for clients, by its extended key usage, or of a kind that is not taken"
        }
        AlertDescription::AccessDenied => "its owner has no access",
        AlertDescription::CertificateUnknown => "the server's log says why",
        _ => return None,
    })
}

/// Returns the error of a connection in TLS; one that the peer ended without saying so, as a hub does that is killed, in words of this crate
/// instead of those of the TLS library, which are for programmers.
pub(in crate::net) fn in_plain_words(error: io::Error, own: Option<&OwnCertificate>) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        io::Error::new(error.kind(), "the peer ended the connection without closing TLS")
    } else if let Some(words) = own.and_then(|own| own.refusal(&error)) {
        io::Error::new(error.kind(), words)
    } else {
        error
    }
}
