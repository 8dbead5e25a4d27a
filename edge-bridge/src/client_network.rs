//! Network of a client: key for limits by address, because one IPv6 client may have many addresses.

use std::net::IpAddr;

/// Returns the network of a client, the key for limits by address: an IPv6 address with its first 64 bits only, and an IPv4 address, also in IPv6 form,
/// as it is.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_has_one_network() {
        let network = |text: &str| client_network(text.parse().unwrap()).to_string();
        assert_eq!(network("10.0.0.7"), "10.0.0.7");
        assert_eq!(network("::ffff:10.0.0.7"), "10.0.0.7");
        assert_eq!(network("2001:db8:0:1:2:3:4:5"), "2001:db8:0:1::");
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
    }
}
