//! Detection of a hub address that leads back to the gateway's own listener or local broker, however it is written.

use std::net::SocketAddr;

use control_loop::loop_to_itself::{is_same_host, listens_at};
use edge_bridge::net::Target;

/// Returns whether the hub's `url` is the local address `host` and `port`, by its text and the system's hosts file.
pub(super) fn is_at(url: &str, host: &str, port: u16) -> bool {
    url.parse().is_ok_and(|hub: Target| hub.port == port && is_same_host(&hub.host, host))
}

/// Returns whether the hub's `url` leads to this machine's own listener.
pub(super) fn is_listener(url: &str, listen: SocketAddr) -> bool {
    url.parse().is_ok_and(|hub: Target| listens_at(listen, &hub.host, hub.port))
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
            ("mqtt://127.1", "localhost", 1883),
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
