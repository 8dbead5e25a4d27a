//! A hub that is the local side itself, however its address is written.

use std::net::SocketAddr;

use control_loop::loop_to_itself::{is_same_host, listens_at};

use super::tables::host_port;

/// Returns whether the hub's `url` is the address `host` and `port` of this machine's side, as far as the text says.
pub(super) fn is_at(url: &str, host: &str, port: u16) -> bool {
    place_of(url).is_some_and(|(hub, hub_port)| hub_port == port && is_same_host(&hub, host))
}

/// Returns whether the hub's `url` leads to this machine's own listener.
pub(super) fn is_listener(url: &str, listen: SocketAddr) -> bool {
    place_of(url).is_some_and(|(hub, port)| listens_at(listen, &hub, port))
}

fn place_of(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("mqtt", url));
    host_port(rest, if scheme == "mqtts" { 8883 } else { 1883 }).ok()
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
