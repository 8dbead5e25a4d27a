//! Trouble of a link that is not an outage: the hub, or the local broker, answers, and refuses the login or fails in TLS. Recognised by the words that the
//! connection has for its end. Pure.

use edge_bridge::wire::ReasonCode;

/// Words of a refused CONNECT; the reason follows.
const REFUSED: &str = "the server refused the connection: ";
/// Words of rustls for a certificate that this side does not take; the reason follows.
const NOT_TAKEN_HERE: &str = "invalid peer certificate: ";
/// Words of the links for one that they do not take; the reason follows.
const NOT_TAKEN_BY_A_LINK: [&str; 2] = ["the hub's certificate ", "the local broker's certificate "];
/// Words of a link whose own certificate cannot be used, so that nothing is dialled; the reason follows.
pub(crate) const OWN_UNUSABLE: &str = "the certificate of this client cannot be used: ";
/// Beginning of the reason for one that is not valid yet: the clock may be behind.
const NOT_YET: &str = "is not valid before ";
/// Words of an error that the other side of TLS has sent; its name follows.
const ALERT: &str = "received fatal alert: ";
/// Words of the link for an error that is about its own certificate; its file follows.
const REFUSED_CERTIFICATE: &str = "the hub refuses the certificate in ";
/// Words of an end of TLS in the handshake; the host follows.
const TLS: &str = "TLS with ";
/// Reasons of a refused CONNECT that stay until somebody changes something, here or at the hub.
const LASTING_REASONS: [ReasonCode; 5] = [
    ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
    ReasonCode::BAD_USER_NAME_OR_PASSWORD,
    ReasonCode::NOT_AUTHORIZED,
    ReasonCode::BANNED,
    ReasonCode::BAD_AUTHENTICATION_METHOD,
];
/// Errors of the other side of TLS that are about certificates.
const ALERTS: [&str; 11] = [
    "AccessDenied",
    "BadCertificate",
    "CertificateExpired",
    "CertificateRequired",
    "CertificateRevoked",
    "CertificateUnknown",
    "DecryptError",
    "HandshakeFailure",
    "NoCertificate",
    "UnknownCA",
    "UnsupportedCertificate",
];

/// Answer of the hub that makes no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkTrouble<'a> {
    /// The hub refuses the connection, for this reason.
    Refused(&'a str),
    /// TLS with the hub fails, for this reason.
    Tls(&'a str),
}

/// Returns whether the cause of the link is that the hub refuses the gateway's certificate. One that was revoked is no matter of another request.
pub(crate) fn is_certificate_refused(cause: &str) -> bool {
    cause.contains(ALERT) && cause.contains(REFUSED_CERTIFICATE) && !cause.contains("CertificateRevoked")
}

impl<'a> LinkTrouble<'a> {
    /// Recognises the trouble in the cause of the link. `None`: nothing says that the hub answered.
    pub(crate) fn of(cause: &'a str) -> Option<Self> {
        if let Some(reason) = cause.strip_prefix(REFUSED) {
            return Some(Self::Refused(reason));
        }
        let is_tls = cause.starts_with(TLS) || cause.contains(NOT_TAKEN_HERE) || cause.contains(ALERT);
        // The host is known where it is told.
        let why =
            cause.strip_prefix(TLS).and_then(|rest| rest.split_once(": ")).map_or(cause, |(_, why)| why);
        is_tls.then_some(Self::Tls(why))
    }

    /// Returns whether it stays until somebody changes something: a login that is wrong, or a certificate. A hub that is busy, or a clock that is
    /// behind, does not.
    pub(crate) fn needs_somebody(self) -> bool {
        match self {
            Self::Refused(reason) => {
                let is_it = |lasting: ReasonCode| reason.starts_with(&format!("{:#04x} ", lasting.get()));
                LASTING_REASONS.into_iter().any(is_it)
            }
            Self::Tls(cause) => match cause.split_once(ALERT) {
                Some((_, alert)) => ALERTS.iter().any(|about| alert.starts_with(about)),
                None => is_not_taken(cause) || cause.starts_with(OWN_UNUSABLE),
            },
        }
    }
}

/// Returns whether this side does not take the other's certificate, for a reason that does not pass with the time.
fn is_not_taken(cause: &str) -> bool {
    let reason = NOT_TAKEN_BY_A_LINK.iter().find_map(|words| cause.strip_prefix(words));
    reason.is_some_and(|reason| !reason.starts_with(NOT_YET))
        || cause.contains(NOT_TAKEN_HERE) && !cause.contains("not valid yet")
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "a handshake has a connection")]
mod tests {
    use std::sync::Arc;

    use edge_bridge::Tls;
    use edge_bridge::net::TlsError;
    use edge_bridge::net::tcp_stream::Counted;
    use edge_bridge::session::Closed;
    use rustls::{AlertDescription, CertificateError, Error};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// As the link says it.
    #[test]
    fn a_login_that_is_refused_needs_somebody_and_a_busy_hub_does_not() {
        for (reason, lasts) in [
            (ReasonCode::NOT_AUTHORIZED, true),
            (ReasonCode::BAD_USER_NAME_OR_PASSWORD, true),
            (ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, true),
            (ReasonCode::SERVER_BUSY, false),
            (ReasonCode::SERVER_UNAVAILABLE, false),
        ] {
            let cause = Closed::Refused(reason).to_string();
            let trouble = LinkTrouble::of(&cause).unwrap();
            assert_eq!(trouble, LinkTrouble::Refused(&reason.to_string()));
            assert_eq!(trouble.needs_somebody(), lasts, "{cause}");
        }
        for cause in
            [&Closed::Transport.to_string(), "cannot connect to h:1: Connection refused (os error 111)"]
        {
            assert_eq!(LinkTrouble::of(cause), None, "{cause}");
        }
    }

    /// As each dial says it, in the words of the links.
    #[tokio::test]
    async fn an_own_certificate_that_cannot_be_used_needs_somebody() {
        let ca = tempfile::NamedTempFile::new().unwrap();
        let certificate = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
        std::fs::write(ca.path(), certificate.cert.pem()).unwrap();
        let unusable = TlsError::NoCertificate("client.crt".into());
        let tls = Tls::from_ca(ca.path()).unwrap().with_unusable_certificate(&unusable);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let handshake = tls.handshake("h", Counted::new(stream, Arc::default())).await;
        let cause = format!("TLS with h: {}", handshake.err().unwrap());
        let trouble = LinkTrouble::of(&cause).unwrap();
        assert!(matches!(trouble, LinkTrouble::Tls(why) if why.starts_with(OWN_UNUSABLE)), "{cause}");
        assert!(trouble.needs_somebody(), "{cause}");
    }

    #[test]
    fn a_certificate_that_is_not_taken_needs_somebody_and_a_broken_handshake_does_not() {
        let here = |error: CertificateError| format!("TLS with h: {}", Error::InvalidCertificate(error));
        let there = |alert: AlertDescription| Error::AlertReceived(alert).to_string();
        let of_link = |words: &str| format!("TLS with h: the hub's certificate {words}");
        for (cause, lasts) in [
            (here(CertificateError::UnknownIssuer), true),
            (here(CertificateError::NotValidForName), true),
            (
                of_link(
                    "has expired ([hub] url): it ended at 2026-11-26T00:00:00Z, and it is 2026-11-27 by this machine's clock",
                ),
                true,
            ),
            (of_link("is not for \"hub.example\", which is dialled ([hub] url): it has \"hub\""), true),
            (of_link("does not lead to a root certificate in /etc/ca.crt ([hub] ca)"), true),
            (of_link("is refused: \"hub\" is revoked by /etc/edge-gateway/hub.crl"), true),
            (
                of_link(
                    "is not valid before 2026-11-26T00:00:00Z ([hub] url), and it is 1970-01-01 by this machine's clock",
                ),
                false,
            ),
            ("TLS with h: the local broker's certificate has expired".to_owned(), true),
            ("TLS with h: the local broker's certificate is not valid before 2026-11-26".to_owned(), false),
            (
                "TLS with h: the certificate of this client cannot be used: the key is of another one"
                    .to_owned(),
                true,
            ),
            (here(CertificateError::Revoked), true),
            (there(AlertDescription::UnknownCA), true),
            (there(AlertDescription::CertificateExpired), true),
            (there(AlertDescription::BadCertificate), true),
            (there(AlertDescription::HandshakeFailure), true),
            (there(AlertDescription::InternalError), false),
            (
                "TLS with h: the hub ended the connection in the handshake: does it speak TLS at this port?"
                    .to_owned(),
                false,
            ),
        ] {
            let trouble = LinkTrouble::of(&cause).unwrap_or_else(|| panic!("{cause}"));
            let why = cause.trim_start_matches("TLS with h: ");
            assert_eq!((trouble, trouble.needs_somebody()), (LinkTrouble::Tls(why), lasts), "{cause}");
        }
    }
}
