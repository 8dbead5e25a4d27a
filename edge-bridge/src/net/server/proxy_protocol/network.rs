//! Network of IP addresses, as a configuration names it. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An IP address, or all addresses with the same first bits: `10.0.0.5`, `10.1.0.0/16`, `fd00::/8`. An IPv4 address in IPv6 form
/// (`::ffff:10.0.0.5`) is that IPv4 address.
///
/// ```
/// use edge_bridge::net::server::Network;
///
/// let network: Network = "10.1.0.0/16".parse()?;
/// assert!(network.contains("10.1.255.3".parse().unwrap()));
/// assert!(!network.contains("10.2.0.1".parse().unwrap()));
/// # Ok::<_, edge_bridge::net::server::NetworkError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// Error of a text that is no [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The part before the slash is no IP address.
    #[error("not an IP address, nor a network such as 10.1.0.0/16")]
    NoAddress,
    /// The part behind the slash is no number of bits that the address has.
    #[error("the number behind the slash is the bits that all addresses share: 0 to 32, 0 to 128 for IPv6")]
    NoPrefix,
    /// The address has ones behind the bits that all addresses share. Contains the network that has this address.
    #[error(
        "the address has bits behind the slash's number: write {0} for the network, or the address alone"
    )]
    HostBits(Network),
}

impl Network {
    /// Returns whether an address is of the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.prefix) == self.first
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let first = address.to_canonical();
        Self { first, prefix: bits(first) }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::NoAddress)?;
        let Some(prefix) = prefix else { return Ok(address.into()) };
        let prefix: u8 = prefix.parse().map_err(|_| NetworkError::NoPrefix)?;
        let (address, prefix) = match address.to_canonical() {
            // The part before the IPv4 address is the same for all of them.
            v4 if v4 != address => (v4, prefix.checked_sub(96).ok_or(NetworkError::NoPrefix)?),
            _ => (address, prefix),
        };
        if prefix > bits(address) {
            return Err(NetworkError::NoPrefix);
        }
        let first = masked(address, prefix);
        let network = Self { first, prefix };
        if first == address { Ok(network) } else { Err(NetworkError::HostBits(network)) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.prefix < bits(self.first) { write!(f, "/{}", self.prefix) } else { Ok(()) }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns the address without the bits behind the first `prefix`.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => IpAddr::V4(
            (v4.to_bits() & u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0)).into(),
        ),
        IpAddr::V6(v6) => IpAddr::V6(
            (v6.to_bits() & u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0)).into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_its_first_bits() {
        let cases = [
            ("10.0.0.5", "10.0.0.5", "10.0.0.6"),
            ("10.0.0.4/31", "10.0.0.5", "10.0.0.6"),
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.5"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("2001:db8::1/128", "2001:db8::1", "2001:db8::2"),
            ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.1"),
            ("::ffff:10.0.0.5/128", "10.0.0.5", "10.0.0.6"),
            ("::ffff:0.0.0.0/96", "255.255.255.255", "::1"),
        ];
        for (network, inside, outside) in cases {
            let network: Network = network.parse().unwrap();
            let contains = |address: &str| network.contains(address.parse().unwrap());
            assert!(contains(inside) && !contains(outside), "{network}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        let v4: Network = "10.0.0.5".parse().unwrap();
        assert!(v4.contains("::ffff:10.0.0.5".parse().unwrap()), "as a listener at [::] sees it");
        assert_eq!("::ffff:10.0.0.5".parse(), Ok(v4));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["", "10.0.0", "proxy.example", "10.0.0.5:80", "10.0.0.5 ", "/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::NoAddress), "{text:?}");
        }
        for text in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/256",
            "::ffff:10.0.0.0/129",
            "::ffff:0.0.0.0/95",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::NoPrefix), "{text:?}");
        }
        let meant = "10.0.0.0/8".parse().unwrap();
        assert_eq!("10.0.0.5/8".parse::<Network>(), Err(NetworkError::HostBits(meant)));
    }
}
