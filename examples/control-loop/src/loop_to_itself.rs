//! A hub that is this machine's own listener, however its address is written: one message would circle for ever.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Returns whether a connection to `host` and `port` from this machine arrives at its listener on `listen`. Asks the kernel, sends nothing.
#[must_use]
pub fn listens_at(listen: SocketAddr, host: &str, port: u16) -> bool {
    is_reached(listen, host, port, is_own_address, is_own_name)
}

fn is_reached(
    listen: SocketAddr,
    host: &str,
    port: u16,
    is_own_address: impl Fn(IpAddr) -> bool,
    is_own_name: impl Fn(&str) -> bool,
) -> bool {
    if port != listen.port() {
        return false;
    }
    if is_same_host(host, &listen.ip().to_string()) {
        return true;
    }
    let is_everywhere = listen.ip().is_unspecified();
    match Host::of(host) {
        // A listener on `::` takes IPv4 too, one on 0.0.0.0 takes no IPv6.
        Host::Address(ip) => is_everywhere && (ip.is_ipv4() || listen.is_ipv6()) && is_own_address(ip),
        // Which of the machine's addresses its name stands for is not known here.
        Host::Name(name) => is_everywhere && is_own_name(&name),
        Host::Loopback | Host::Any => false,
    }
}

/// Only an address of the machine itself can be bound, unless the kernel was told otherwise.
fn is_own_address(ip: IpAddr) -> bool {
    let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
    let binds_any = std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"))
        .is_ok_and(|text| text.trim() != "0");
    !binds_any && !ip.is_multicast() && UdpSocket::bind((ip, 0)).is_ok()
}

fn is_own_name(name: &str) -> bool {
    std::fs::read_to_string("/proc/sys/kernel/hostname").is_ok_and(|own| is_name_of(name, own.trim()))
}

/// The whole name, or what is before its first dot.
fn is_name_of(name: &str, own: &str) -> bool {
    let short = own.split('.').next().unwrap_or(own);
    !own.is_empty() && (name.eq_ignore_ascii_case(own) || name.eq_ignore_ascii_case(short))
}

/// Returns whether two hosts are one, as far as their text says.
#[must_use]
pub fn is_same_host(one: &str, other: &str) -> bool {
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
    fn the_machines_own_addresses_and_name_lead_to_a_listener_on_all_of_them() {
        let own = |ip: IpAddr| ["192.0.2.2", "2001:db8::2"].contains(&ip.to_string().as_str());
        let reached = |listen: &str, host: &str, port| {
            is_reached(listen.parse().unwrap(), host, port, own, |name| is_name_of(name, "Site7.plant"))
        };
        for (listen, host) in [
            ("0.0.0.0:1887", "192.0.2.2"),
            ("[::]:1887", "192.0.2.2"),
            ("[::]:1887", "[2001:db8::2]"),
            ("192.0.2.2:1887", "192.0.2.2"),
            ("0.0.0.0:1887", "site7"),
            ("[::]:1887", "SITE7.Plant."),
            ("127.0.0.1:1887", "localhost"),
        ] {
            assert!(reached(listen, host, 1887), "{listen} {host}");
            assert!(!reached(listen, host, 1888), "{listen} {host}: another port");
        }
        for (listen, host) in [
            ("0.0.0.0:1887", "192.0.2.3"),
            ("0.0.0.0:1887", "[2001:db8::2]"),
            ("127.0.0.1:1887", "192.0.2.2"),
            ("127.0.0.1:1887", "site7"),
            ("0.0.0.0:1887", "site70"),
            ("0.0.0.0:1887", "site7.other"),
        ] {
            assert!(!reached(listen, host, 1887), "{listen} {host}");
        }
    }

    #[test]
    fn the_kernel_tells_whose_an_address_is() {
        assert!(is_own_address("127.0.0.1".parse().unwrap()));
        assert!(!is_own_address("203.0.113.77".parse().unwrap()));
        assert!(!is_own_address("224.0.0.1".parse().unwrap()));
    }
}
