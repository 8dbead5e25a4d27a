//! Header of the PROXY protocol, version 2, by which a proxy tells from whom the connection comes that it forwards (HAProxy, "The PROXY protocol",
//! §2.2). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a header before its addresses.
pub(super) const HEAD_BYTES: usize = 16;
/// Most bytes of addresses and extensions. The largest that proxies send, with a client certificate's name, take some hundred.
const BODY_MAX: usize = 2_048;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// First bytes of a header of version 1, which is text.
const VERSION_1: &[u8] = b"PROXY ";
const LOCAL: u8 = 0;
const PROXY: u8 = 1;
/// Address families, with TCP.
const TCP_V4: u8 = 0x11;
const TCP_V6: u8 = 0x21;
/// Highest address family and highest transport that version 2 defines.
const FAMILY_MAX: u8 = 3;
const TRANSPORT_MAX: u8 = 2;

/// First 16 bytes of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    kind: Kind,
    body: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The connection is the proxy's own (`LOCAL`, as for a health check), or the client has no IP address.
    Own,
    V4,
    V6,
}

/// Error in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("the connection does not begin with a PROXY header of version 2")]
    NoHeader,
    #[error("the PROXY header is of version 1, which is text; version 2 is needed")]
    Version1,
    #[error("the PROXY header has version {} and command {}; 2 with 0 or 1 is known", .0 >> 4, .0 & 15)]
    VersionAndCommand(u8),
    #[error("the PROXY header has address family {} and transport {}, which version 2 does not define", .0 >> 4, .0 & 15)]
    Family(u8),
    #[error("the PROXY header announces {0} bytes of addresses and extensions; at most {BODY_MAX} are taken")]
    TooLong(usize),
    #[error("the PROXY header has {0} bytes for its addresses, which take more")]
    TooShort(usize),
}

impl Head {
    pub(super) fn parse(head: &[u8; HEAD_BYTES]) -> Result<Self, HeaderError> {
        let Some([version, family, length @ ..]) = head.strip_prefix(SIGNATURE) else {
            let is_text = head.starts_with(VERSION_1);
            return Err(if is_text { HeaderError::Version1 } else { HeaderError::NoHeader });
        };
        let command = version & 15;
        if version >> 4 != 2 || command > PROXY {
            return Err(HeaderError::VersionAndCommand(*version));
        }
        let body = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if body > BODY_MAX {
            return Err(HeaderError::TooLong(body));
        }
        let kind = match (command, *family) {
            (LOCAL, _) => Kind::Own,
            (_, TCP_V4) => Kind::V4,
            (_, TCP_V6) => Kind::V6,
            (_, other) if other >> 4 <= FAMILY_MAX && other & 15 <= TRANSPORT_MAX => Kind::Own,
            (_, other) => return Err(HeaderError::Family(other)),
        };
        let addresses = match kind {
            Kind::Own => 0,
            Kind::V4 => 12,
            Kind::V6 => 36,
        };
        if body < addresses { Err(HeaderError::TooShort(body)) } else { Ok(Self { kind, body }) }
    }

    /// Number of bytes that follow, addresses and extensions.
    pub(super) fn body_len(self) -> usize {
        self.body
    }

    /// Returns the client's address, from the bytes that follow. `None`: it is that of the connection.
    pub(super) fn source(self, body: &[u8]) -> Option<SocketAddr> {
        let (address, port): (IpAddr, _) = match self.kind {
            Kind::Own => return None,
            Kind::V4 => (Ipv4Addr::from(*body.first_chunk::<4>()?).into(), body.get(8..)?),
            Kind::V6 => (Ipv6Addr::from(*body.first_chunk::<16>()?).into(), body.get(32..)?),
        };
        Some(SocketAddr::new(address, u16::from_be_bytes(*port.first_chunk()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: u8, family: u8, length: u16) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..12].copy_from_slice(SIGNATURE);
        head[12..14].copy_from_slice(&[version, family]);
        head[14..].copy_from_slice(&length.to_be_bytes());
        head
    }

    fn source(version: u8, family: u8, body: &[u8]) -> Option<SocketAddr> {
        let head = Head::parse(&head(version, family, body.len().try_into().unwrap())).unwrap();
        assert_eq!(head.body_len(), body.len());
        head.source(body)
    }

    #[test]
    fn the_client_is_the_source_of_a_tcp_connection_and_of_nothing_else() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 7, 91, 3, 0, 0];
        assert_eq!(source(0x21, TCP_V4, &v4), "192.0.2.7:4660".parse().ok());
        let mut v6 = [0; 36];
        (v6[0], v6[15], v6[32], v6[33]) = (0xfd, 9, 1, 2);
        assert_eq!(source(0x21, TCP_V6, &v6), "[fd00::9]:258".parse().ok());
        // A health check, whatever it fills in; a client without an IP address; and datagrams, which no stream is of.
        for (version, family) in [(0x20, TCP_V4), (0x20, 0xff), (0x21, 0), (0x21, 0x31), (0x21, 0x12)] {
            assert_eq!(source(version, family, &v4), None, "{version:x} {family:x}");
        }
    }

    #[test]
    fn what_is_no_header_is_named() {
        use HeaderError as E;
        let cases = [
            (*b"\x10\x10\0\x04MQTT\x05\x02\0<\0\0\0\0", E::NoHeader),
            (*b"PROXY TCP4 192.0", E::Version1),
            (head(0x11, TCP_V4, 12), E::VersionAndCommand(0x11)),
            (head(0x22, TCP_V4, 12), E::VersionAndCommand(0x22)),
            (head(0x21, 0x41, 12), E::Family(0x41)),
            (head(0x21, 0x13, 12), E::Family(0x13)),
            (head(0x21, TCP_V4, 11), E::TooShort(11)),
            (head(0x21, TCP_V6, 35), E::TooShort(35)),
            (head(0x21, TCP_V4, 2_049), E::TooLong(2_049)),
            (head(0x20, 0, u16::MAX), E::TooLong(65_535)),
        ];
        for (bytes, error) in cases {
            assert_eq!(Head::parse(&bytes), Err(error));
        }
        assert_eq!(Head::parse(&head(0x21, TCP_V4, 2_048)).unwrap().body_len(), 2_048);
    }
}
