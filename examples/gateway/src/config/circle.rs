//! A hub that is the local side itself, however its address is written.

use std::net::IpAddr;

use super::tables::host_port;

/// Returns whether the hub's `url` is the address `host` and `port` of this machine's side, as far as the text says.
pub(super) fn is_at(url: &str, host: &str, port: u16) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or(("mqtt", url));
    let default = if scheme == "mqtts" { 8883 } else { 1883 };
    host_port(rest, default).is_ok_and(|(hub, hub_port)| hub_port == port && is_same_host(&hub, host))
}

fn is_same_host(one: &str, other: &str) -> bool {
    let (one, other) = (Host::of(one), Host::of(other));
    one == other || one.is_any_of(&other) || other.is_any_of(&one)
}

/// A host as far as its text says which one it is.
#[derive(PartialEq, Eq)]
enum Host {
    Loopback,
    /// 0.0.0.0 or `::`: all addresses of this machine.
    Any,
    Address(IpAddr),
    Name(String),
}

impl Host {
    fn of(text: &str) -> Self {
        let text = text.trim_start_matches('[').trim_end_matches(']');
        match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if address.is_loopback() => Self::Loopback,
            Ok(address) if address.is_unspecified() => Self::Any,
            Ok(address) => Self::Address(address),
            Err(_) => match text.trim_end_matches('.').to_ascii_lowercase() {
                name if name == "localhost" || name.ends_with(".localhost") => Self::Loopback,
                name => Self::Name(name),
            },
        }
    }

    /// Another machine's address may be one of this machine too: only what is certain counts.
    fn is_any_of(&self, other: &Self) -> bool {
        *self == Self::Any && *other == Self::Loopback
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_many_spellings() {
        for (url, host, port) in [
            ("mqtt://localhost", "127.0.0.1", 1883),
            ("mqtts://LOCALHOST.:8883", "::1", 8883),
            ("mqtt://[::1]:1884", "127.0.0.2", 1884),
            ("mqtt://127.0.0.1:1883", "0.0.0.0", 1883),
            ("mqtt://[::ffff:10.0.0.1]", "10.0.0.1", 1883),
            ("mqtt://Broker.example", "broker.example", 1883),
        ] {
            assert!(is_at(url, host, port), "{url} {host}");
        }
        for (url, host, port) in [
            ("mqtt://localhost:1884", "127.0.0.1", 1883),
            ("mqtts://localhost", "127.0.0.1", 1883),
            ("mqtt://10.0.0.2", "10.0.0.1", 1883),
            ("mqtt://10.0.0.2", "0.0.0.0", 1883),
        ] {
            assert!(!is_at(url, host, port), "{url} {host}");
        }
    }
}
