//! Detection of a hub address that leads to this machine's own listener, however it is written, so that messages would circulate for ever.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Returns whether a connection to `host` and `port` from this machine arrives at its listener on `listen`. Checks the kernel's addresses and the
/// hosts file, and sends nothing.
#[must_use]
pub fn listens_at(listen: SocketAddr, host: &str, port: u16) -> bool {
    spellings(host).any(|host| is_reached(listen, &host, port, is_own_address, is_own_name))
}

/// Returns whether two host names are the same host, by their text and the hosts file.
#[must_use]
pub fn is_same_host(one: &str, other: &str) -> bool {
    spellings(one).any(|one| spellings(other).any(|other| is_same_text(&one, &other)))
}

/// Returns the host name, and its addresses in the hosts file. No name server is queried.
fn spellings(host: &str) -> impl Iterator<Item = String> {
    let list = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let listed: Vec<String> = listed(&list, host).map(|address| address.to_string()).collect();
    std::iter::once(host.to_owned()).chain(listed)
}

/// Iterates over the addresses of a name in the text of a hosts(5) file: an address and its names in each line.
fn listed<'a>(list: &'a str, name: &'a str) -> impl Iterator<Item = IpAddr> + 'a {
    let name = name.trim_end_matches('.');
    list.lines().filter_map(move |line| {
        let (line, _comment) = line.split_once('#').unwrap_or((line, ""));
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    })
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
    if is_same_text(host, &listen.ip().to_string()) {
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

/// Returns whether an address belongs to this machine: only then it can be bound, unless the kernel is configured otherwise.
fn is_own_address(ip: IpAddr) -> bool {
    let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
    let binds_any = std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"))
        .is_ok_and(|text| text.trim() != "0");
    !binds_any && !ip.is_multicast() && UdpSocket::bind((ip, 0)).is_ok()
}

fn is_own_name(name: &str) -> bool {
    std::fs::read_to_string("/proc/sys/kernel/hostname").is_ok_and(|own| is_name_of(name, own.trim()))
}

/// Returns whether the name equals this machine's, or the part before its first dot.
fn is_name_of(name: &str, own: &str) -> bool {
    let short = own.split('.').next().unwrap_or(own);
    !own.is_empty() && (name.eq_ignore_ascii_case(own) || name.eq_ignore_ascii_case(short))
}

fn is_same_text(one: &str, other: &str) -> bool {
    let (one, other) = (Host::of(one), Host::of(other));
    one == other || one.is_any_of(&other) || other.is_any_of(&one)
}

/// Host as far as its text identifies it.
#[derive(PartialEq, Eq)]
enum Host {
    Loopback,
    /// Unspecified address, 0.0.0.0 or `::`: all addresses of this machine.
    Any,
    Address(IpAddr),
    Name(String),
}

impl Host {
    fn of(text: &str) -> Self {
        let text = text.trim_start_matches('[').trim_end_matches(']');
        let address = text.parse().ok().or_else(|| of_few_numbers(text).map(IpAddr::V4));
        match address.map(|address| address.to_canonical()) {
            Some(address) if address.is_loopback() => Self::Loopback,
            Some(address) if address.is_unspecified() => Self::Any,
            Some(address) => Self::Address(address),
            None => match text.trim_end_matches('.').to_ascii_lowercase() {
                name if name == "localhost" || name.ends_with(".localhost") => Self::Loopback,
                name => Self::Name(name),
            },
        }
    }

    /// Returns whether this is the unspecified address, and `other` certainly belongs to this machine: a foreign address may, but is not counted.
    fn is_any_of(&self, other: &Self) -> bool {
        *self == Self::Any && *other == Self::Loopback
    }
}

/// Parses IPv4 addresses in the short forms of `inet_aton`: one to four numbers, each decimal, octal or hexadecimal, of which the last fills the
/// remaining bytes.
fn of_few_numbers(text: &str) -> Option<Ipv4Addr> {
    // `parse` takes a sign, too.
    if text.contains('+') {
        return None;
    }
    let number = |text: &str| match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    };
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let filled = 8 * (4 - first.len());
    if filled < 32 && last >> filled != 0 {
        return None;
    }
    let head = first.iter().enumerate().fold(0, |bits, (n, part)| bits | part << (24 - 8 * n));
    Some(Ipv4Addr::from(head | last))
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
    fn an_address_has_more_spellings_than_four_decimal_numbers() {
        for text in ["127.1", "127.0.1", "0x7f.1", "0177.0.0.1", "2130706433", "0x7F000001", "127.0.0.1"] {
            assert!(is_same_text(text, "localhost"), "{text}");
        }
        assert!(is_same_text("10.258", "10.0.1.2") && is_same_text("0", "0.0.0.0"));
        for (mapped, plain) in [
            ("[::ffff:127.0.0.1]", "localhost"),
            ("::ffff:10.0.1.2", "10.0.1.2"),
            ("[::ffff:0.0.0.0]", "localhost"),
        ] {
            assert!(is_same_text(mapped, plain), "{mapped}");
        }
        for text in [
            "128.1",
            "127.0.0.256",
            "127.0.65536",
            "1.2.3.4.5",
            "0x",
            "127.",
            ".1",
            "127.x",
            "09",
            "4294967296",
        ] {
            assert!(!is_same_text(text, "127.0.0.1"), "{text}");
        }
    }

    #[test]
    fn the_list_of_hosts_names_addresses() {
        let list = "127.0.0.1 localhost\n# 10.0.0.9 plant\n 10.0.0.1\tPlant.example plant # the hub\n10.0.0.2 plant\nx plant\n";
        let of = |name| listed(list, name).map(|address| address.to_string()).collect::<Vec<_>>();
        assert_eq!(of("PLANT"), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(of("plant.example."), ["10.0.0.1"]);
        assert!(of("hub").is_empty() && of("10.0.0.1").is_empty());
    }

    #[test]
    fn the_kernel_tells_whose_an_address_is() {
        assert!(is_own_address("127.0.0.1".parse().unwrap()));
        assert!(!is_own_address("203.0.113.77".parse().unwrap()));
        assert!(!is_own_address("224.0.0.1".parse().unwrap()));
    }
}
