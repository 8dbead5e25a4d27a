//! Address of an EST server: `https://HOST[:PORT]`, with a path where the authority has several profiles (RFC 7030 §3.2.2).

use std::str::FromStr;

/// Path of EST at every server that has no other one.
const PATH: &str = "/.well-known/est";
const PORT: u16 = 443;

/// An EST server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address, an IPv6 address without its brackets.
    pub host: String,
    /// Port of TCP.
    pub port: u16,
    /// Host and port as in the header `Host`.
    pub authority: String,
    path: String,
}

impl Server {
    /// Returns the path of an operation, such as `simpleenroll`.
    #[must_use]
    pub fn path(&self, operation: &str) -> String {
        format!("{}/{operation}", self.path)
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let Some(rest) = url.strip_prefix("https://") else {
            return Err("expected https://HOST:PORT: EST is nothing without TLS".to_owned());
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\\"<>".contains(&byte);
        if !rest.bytes().all(is_plain) {
            return Err("expected https://HOST:PORT/PATH, without a user, `?` or `#`".to_owned());
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').or((port.is_empty()).then_some(""))),
            None => {
                let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
                (host, Some(port))
            }
        };
        let port = match port {
            Some("") => Some(PORT),
            Some(port) => port.parse().ok().filter(|port| *port != 0),
            None => None,
        };
        let (Some(port), false) = (port, host.is_empty()) else {
            return Err("expected https://HOST:PORT".to_owned());
        };
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { PATH } else { path };
        Ok(Self { host: host.to_owned(), port, authority: authority.to_owned(), path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_others_refused() {
        let of = |url: &str| url.parse::<Server>().map(|server| (server.path("x"), server.host, server.port));
        let path = |path: &str, host: &str, port| Ok((path.to_owned(), host.to_owned(), port));
        assert_eq!(of("https://ca"), path("/.well-known/est/x", "ca", 443));
        assert_eq!(of("https://ca:8443/"), path("/.well-known/est/x", "ca", 8443));
        assert_eq!(
            of("https://[::1]:8443/.well-known/est/plant/"),
            path("/.well-known/est/plant/x", "::1", 8443)
        );
        assert_eq!(of("https://[::1]"), path("/.well-known/est/x", "::1", 443));
        for wrong in [
            "http://ca",
            "ca:443",
            "https://",
            "https://:443",
            "https://ca:0",
            "https://ca:65536",
            "https://u@ca",
            "https://ca/?x",
            "https://ca/a b",
            "https://ca\r\nx",
            "https://[::1]x",
            "https://ca:8443:1",
            "https://[::1",
        ] {
            assert!(wrong.parse::<Server>().is_err(), "{wrong}");
        }
    }
}
