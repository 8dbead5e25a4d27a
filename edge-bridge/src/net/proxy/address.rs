//! Address of an HTTP proxy on the way to the hub: `http://HOST:PORT` or `http://USER@HOST:PORT`.

use std::fmt;
use std::str::FromStr;

use crate::net::host_port::{host_port, shown};

/// Longest user name, in bytes.
const USER_MAX: usize = 255;

/// Address of an HTTP proxy, and the user there. Displays without the user.
///
/// ```
/// use edge_bridge::net::ProxyAddress;
///
/// let proxy: ProxyAddress = "http://PLANT%5Csite7@10.1.0.9:3128".parse()?;
/// assert_eq!((proxy.host.as_str(), proxy.port), ("10.1.0.9", 3128));
/// assert_eq!(proxy.user.as_deref(), Some("PLANT\\site7"));
/// assert_eq!(proxy.to_string(), "http://10.1.0.9:3128");
/// # Ok::<(), edge_bridge::net::ProxyAddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyAddress {
    /// Host name or IP address of the proxy, without brackets.
    pub host: String,
    /// TCP port, which has no default because proxies use many.
    pub port: u16,
    /// User name of the login, percent-decoded; `None` for no login.
    pub user: Option<String>,
}

/// Error for a text that is not an address of a proxy. Does not show the text, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address of the proxy: {problem}; expected http://HOST:PORT or http://USER@HOST:PORT")]
pub struct ProxyAddressError {
    problem: &'static str,
}

impl FromStr for ProxyAddress {
    type Err = ProxyAddressError;

    fn from_str(url: &str) -> Result<Self, ProxyAddressError> {
        parse(url).map_err(|problem| ProxyAddressError { problem })
    }
}

fn parse(url: &str) -> Result<ProxyAddress, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    match scheme {
        "http" => {}
        "https" => return Err("https:// is not supported: TLS to the hub runs inside the tunnel"),
        _ => return Err("unknown scheme"),
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("a password stands in it, which has a setting of its own");
    }
    let user = user.map(|user| user_name(user).ok_or("not a user")).transpose()?;
    let (host, port) = host_port(place)?;
    Ok(ProxyAddress { host: host.to_owned(), port: port.ok_or("no port")?, user })
}

/// Decodes a percent-encoded user name. `None` if it is not valid: a colon would end the name in a login, and control characters are not
/// allowed (RFC 7617 §2).
fn user_name(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (hex(rest.next()?)?, hex(rest.next()?)?);
                high << 4 | low
            }
            byte => byte,
        });
    }
    let name = String::from_utf8(bytes).ok()?;
    let is_name =
        !name.is_empty() && name.len() <= USER_MAX && !name.contains(|c: char| c == ':' || c.is_control());
    is_name.then_some(name)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", shown(&self.host, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_host_port_and_user() {
        for (url, host, user, shown) in [
            ("http://proxy:3128", "proxy", None, "http://proxy:3128"),
            ("http://site7@proxy:80/", "proxy", Some("site7"), "http://proxy:80"),
            ("http://a%40b%3f@[fe80::1]:8080", "fe80::1", Some("a@b?"), "http://[fe80::1]:8080"),
            ("http://@x@10.0.0.1:1", "10.0.0.1", Some("@x"), "http://10.0.0.1:1"),
        ] {
            let proxy: ProxyAddress = url.parse().unwrap();
            assert_eq!((proxy.host.as_str(), proxy.user.as_deref()), (host, user), "{url}");
            assert_eq!(proxy.to_string(), shown);
        }
    }

    #[test]
    fn says_what_is_wrong_and_shows_no_password() {
        for (url, problem) in [
            ("proxy:3128", "no scheme"),
            ("socks5://proxy:1080", "unknown scheme"),
            ("https://proxy:3128", "https:// is not supported"),
            ("http://proxy", "no port"),
            ("http://proxy:0", "not a port"),
            ("http://proxy:65536", "not a port"),
            ("http://:3128", "not a host"),
            ("http://proxy:3128/path", "not a port"),
            ("http://pro xy:3128", "not a host"),
            ("http://proxy\r\nX: y:3128", "not a host"),
            ("http://[::1:3128", "a bracket is not closed"),
            ("http://@proxy:3128", "not a user"),
            ("http://a%3Ab@proxy:3128", "not a user"),
            ("http://a%0d@proxy:3128", "not a user"),
            ("http://a%2@proxy:3128", "not a user"),
            ("http://a%ff@proxy:3128", "not a user"),
            ("http://site7:hunter2@proxy:3128", "a password stands in it"),
            ("http://site7:hunt@er/2@proxy:3128", "a password stands in it"),
            ("http://site7:hunter2", "not a port"),
        ] {
            let error = url.parse::<ProxyAddress>().unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains("hunt"), "{url}: {error}");
        }
    }
}
