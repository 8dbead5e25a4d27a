//! Names in a TLS client's ClientHello: the server's (SNI), and those of application protocols (ALPN).

use rustls_pki_types::ServerName;

use crate::escape::Escaped;

/// Most protocols for ALPN.
const PROTOCOLS_MAX: usize = 16;

/// Error of a name that cannot be used in TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsNameError {
    /// The text cannot be the name of a server.
    #[error("\"{}\" cannot be the name of a TLS server: expected a DNS name or an IP address", Escaped(.0))]
    Server(String),
    /// The text cannot be the name of a protocol.
    #[error("\"{}\" cannot be a protocol of ALPN: expected 1 to 255 bytes", Escaped(.0))]
    Protocol(String),
    /// There are more than 16 protocols.
    #[error("{0} protocols of ALPN: expected at most {PROTOCOLS_MAX}")]
    TooManyProtocols(usize),
}

/// Checks a name for [`Builder::server_name`](crate::net::Builder::server_name).
///
/// ```
/// use edge_bridge::net::validate_server_name;
///
/// assert!(validate_server_name("hub.example").is_ok());
/// assert!(validate_server_name("2001:db8::7").is_ok());
/// assert!(validate_server_name("hub.example:8883").is_err());
/// ```
///
/// # Errors
///
/// The text is neither a DNS name nor an IP address.
pub fn validate_server_name(name: &str) -> Result<(), TlsNameError> {
    server_name(name).map(|_| ())
}

pub(in crate::net) fn server_name(name: &str) -> Result<ServerName<'static>, TlsNameError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsNameError::Server(name.to_owned()))
}

/// Checks a list for [`Builder::alpn`](crate::net::Builder::alpn).
///
/// ```
/// use edge_bridge::net::validate_alpn;
///
/// assert!(validate_alpn(&["x-amzn-mqtt-ca"]).is_ok());
/// assert!(validate_alpn(&["mqtt", ""]).is_err());
/// ```
///
/// # Errors
///
/// More than 16 names; a name that is empty or has more than 255 bytes.
pub fn validate_alpn<S: AsRef<str>>(protocols: &[S]) -> Result<(), TlsNameError> {
    if protocols.len() > PROTOCOLS_MAX {
        return Err(TlsNameError::TooManyProtocols(protocols.len()));
    }
    let mut names = protocols.iter().map(AsRef::as_ref);
    match names.find(|name| name.is_empty() || name.len() > usize::from(u8::MAX)) {
        Some(name) => Err(TlsNameError::Protocol(name.to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_tls() {
        assert_eq!(validate_alpn(&["x".repeat(255)]), Ok(()));
        assert!(matches!(validate_alpn(&["x".repeat(256)]), Err(TlsNameError::Protocol(_))));
        assert_eq!(validate_alpn(&["x"; 16]), Ok(()));
        assert_eq!(validate_alpn(&["x"; 17]), Err(TlsNameError::TooManyProtocols(17)));
        assert_eq!(validate_alpn::<&str>(&[]), Ok(()));
        for name in ["", "a b", "[::1]", "hub:8883", "hub\n", "mqtts://hub"] {
            let error = validate_server_name(name).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
