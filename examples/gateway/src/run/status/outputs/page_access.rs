//! Access control of the status pages. At a loopback address every local process may read them, unless a browser was sent there under a foreign
//! host name (DNS rebinding); at other addresses a token is required. Pure.

use std::net::IpAddr;

use edge_codec::base64;
use sha2::{Digest, Sha256};

/// Headers of a request that decide about access.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visitor<'a> {
    /// Value of the Host header.
    pub(crate) host: Option<&'a str>,
    /// Value of the Authorization header.
    pub(crate) authorization: Option<&'a str>,
}

/// Decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Admitted,
    /// The token is missing or wrong.
    TokenWanted,
    /// Refuses every request, for this reason.
    Closed(&'static str),
}

/// Rule by which access is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PageAccess {
    /// A token is required. Its SHA-256 is compared, so that timing reveals nothing about it.
    Token([u8; 32]),
    /// The pages are at a loopback address, where no token is needed.
    Loopback,
    /// The pages have another address, and no token is configured.
    Closed,
}

const NO_TOKEN: &str = "the status page is closed: beyond loopback it needs [status] token_file\n";
const FOREIGN_HOST: &str = "the status page is closed to this name: ask for localhost or an IP address, or set [status] token_file\n";

impl PageAccess {
    /// Chooses the rule. `listens_at` is the address of the pages; `token` the configured token, if any.
    pub(crate) fn new(listens_at: IpAddr, token: Option<&[u8]>) -> Self {
        match token {
            Some(token) => Self::Token(digest(token)),
            None if listens_at.is_loopback() => Self::Loopback,
            None => Self::Closed,
        }
    }

    pub(crate) fn admit(&self, visitor: &Visitor<'_>) -> Admission {
        match self {
            Self::Closed => Admission::Closed(NO_TOKEN),
            // A page of somebody else whose name was made to point here has its own name in the request.
            Self::Loopback if visitor.host.is_some_and(|host| !is_own_name(host)) => {
                Admission::Closed(FOREIGN_HOST)
            }
            Self::Loopback => Admission::Admitted,
            Self::Token(wanted) => {
                let given = visitor.authorization.and_then(token_of);
                match given.is_some_and(|given| is_equal(&digest(&given), wanted)) {
                    true => Admission::Admitted,
                    false => Admission::TokenWanted,
                }
            }
        }
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Compares two digests in constant time.
fn is_equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

/// Returns whether the host is an IP address or `localhost`, which no name server can point to this machine.
fn is_own_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

/// Returns the token of `Bearer TOKEN`, or the password of `Basic` with any user, because browsers can prompt for that. `None`: there is neither.
fn token_of(authorization: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = authorization.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    // The other alphabet, and without the end.
    let url: String = rest
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    let login = base64::decode_url(url.trim_end_matches('='))?;
    let at = login.iter().position(|byte| *byte == b':')?;
    login.get(at + 1..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(host: &'a str, authorization: Option<&'a str>) -> Visitor<'a> {
        Visitor { host: Some(host), authorization }
    }

    #[test]
    fn beyond_loopback_nobody_is_let_in_without_a_token() {
        let outside = IpAddr::from([192, 168, 1, 2]);
        let access = PageAccess::new(outside, None);
        assert_eq!(access.admit(&asked("192.168.1.2", Some("Bearer x"))), Admission::Closed(NO_TOKEN));
        assert_eq!(PageAccess::new(IpAddr::from([0, 0, 0, 0]), None), PageAccess::Closed);
        assert!(NO_TOKEN.contains("token_file"));
    }

    #[test]
    fn a_name_that_a_name_server_can_make_is_refused_on_loopback() {
        let access = PageAccess::new(IpAddr::from([127, 0, 0, 1]), None);
        for host in ["127.0.0.1:9100", "localhost:9100", "LOCALHOST", "[::1]:9100", "[::1]", "10.0.0.1"] {
            assert_eq!(access.admit(&asked(host, None)), Admission::Admitted, "{host}");
        }
        for host in
            ["evil.example", "evil.example:9100", "localhost.evil.example", "127.0.0.1.evil.example:80", ""]
        {
            assert_eq!(access.admit(&asked(host, None)), Admission::Closed(FOREIGN_HOST), "{host}");
        }
        assert_eq!(access.admit(&Visitor::default()), Admission::Admitted, "no browser");
    }

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        let token = b"a-token-of-24-characters";
        let access = PageAccess::new(IpAddr::from([127, 0, 0, 1]), Some(token));
        let basic = |login: &str| format!("Basic {}", base64::encode(login.as_bytes()));
        for good in [
            "Bearer a-token-of-24-characters",
            "bearer a-token-of-24-characters",
            &basic("x:a-token-of-24-characters"),
            &basic(":a-token-of-24-characters"),
        ] {
            assert_eq!(access.admit(&asked("evil.example", Some(good))), Admission::Admitted, "{good}");
        }
        for bad in [
            "Bearer a-token-of-24-character",
            "Bearer ",
            "Bearer",
            "a-token-of-24-characters",
            &basic("a-token-of-24-characters"),
            "Basic !",
            "Digest a-token-of-24-characters",
        ] {
            assert_eq!(access.admit(&asked("127.0.0.1", Some(bad))), Admission::TokenWanted, "{bad}");
        }
        assert_eq!(access.admit(&Visitor::default()), Admission::TokenWanted);
    }
}
