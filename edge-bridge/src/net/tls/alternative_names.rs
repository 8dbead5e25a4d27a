//! Subject alternative names of a certificate (X.509, RFC 5280 §4.2.1.6), read from DER with bounds, because these bytes are foreign.

use std::net::IpAddr;

use super::der::{SEQUENCE, element};
use super::extensions::{extensions, value};

/// Object identifier 2.5.29.17, id-ce-subjectAltName, in DER.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// Tags of the kinds of names.
const MAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;
/// Most names that are read.
const NAMES_MAX: usize = 256;

/// Alternative name. Text is ASCII, not empty, and has no NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum AlternativeName<'a> {
    Dns(&'a str),
    /// Mail address (rfc822Name).
    Mail(&'a str),
    Uri(&'a str),
    Ip(IpAddr),
}

/// Returns the names in the order of the certificate, without those of other kinds; an empty list if there is no such extension. `None`: they cannot be
/// read, one is not text, there are more than [`NAMES_MAX`], or there are two such extensions.
pub(in crate::net) fn alternative_names(certificate: &[u8]) -> Option<Vec<AlternativeName<'_>>> {
    value(extensions(certificate)?, SUBJECT_ALTERNATIVE_NAME)?.map_or_else(|| Some(Vec::new()), names)
}

/// Reads the value of the extension.
fn names(value: &[u8]) -> Option<Vec<AlternativeName<'_>>> {
    let (SEQUENCE, mut names, _) = element(value)? else { return None };
    let mut found = Vec::new();
    while !names.is_empty() {
        let (tag, content, rest) = element(names)?;
        names = rest;
        let name = match tag {
            DNS => AlternativeName::Dns(text(content)?),
            MAIL => AlternativeName::Mail(text(content)?),
            URI => AlternativeName::Uri(text(content)?),
            IP => AlternativeName::Ip(address(content)?),
            _ => continue,
        };
        if found.len() == NAMES_MAX {
            return None;
        }
        found.push(name);
    }
    Some(found)
}

fn text(content: &[u8]) -> Option<&str> {
    let is_text = !content.is_empty() && content.is_ascii() && !content.contains(&0);
    std::str::from_utf8(content).ok().filter(|_| is_text)
}

fn address(content: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(content).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(content).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>, others: Vec<CustomExtension>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        (params.subject_alt_names, params.custom_extensions) = (names, others);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    /// Extension with these names, each a tag and its content of less than 128 bytes.
    fn extension(names: &[(u8, &[u8])], is_critical: bool) -> CustomExtension {
        let names = names.iter().flat_map(|(tag, content)| element(*tag, content)).collect::<Vec<u8>>();
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], element(SEQUENCE, &names));
        extension.set_criticality(is_critical);
        return extension;

        fn element(tag: u8, content: &[u8]) -> Vec<u8> {
            [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
        }
    }

    fn all() -> Vec<SanType> {
        vec![
            SanType::URI("urn:oven:3".try_into().unwrap()),
            SanType::DnsName("oven3".try_into().unwrap()),
            SanType::IpAddress([10, 1, 0, 2].into()),
            SanType::Rfc822Name("oven3@plant".try_into().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
        ]
    }

    #[test]
    fn names_come_in_the_order_of_the_certificate() {
        let der = certificate(all(), Vec::new());
        let expected = [
            AlternativeName::Uri("urn:oven:3"),
            AlternativeName::Dns("oven3"),
            AlternativeName::Ip([10, 1, 0, 2].into()),
            AlternativeName::Mail("oven3@plant"),
            AlternativeName::Ip("2001:db8::7".parse().unwrap()),
        ];
        assert_eq!(alternative_names(&der).unwrap(), expected);
        assert_eq!(alternative_names(&certificate(Vec::new(), Vec::new())), Some(Vec::new()));
        // One of another kind, a directory name, beside it; and the flag before the value.
        let der = certificate(Vec::new(), vec![extension(&[(0xa4, b"x"), (DNS, b"oven3")], true)]);
        assert_eq!(alternative_names(&der).unwrap(), [AlternativeName::Dns("oven3")]);
    }

    /// Two programs may take different ones for the user: a certificate that is refused is safe.
    #[test]
    fn names_that_are_none_are_refused_with_all_others() {
        let good = (DNS, &b"oven3"[..]);
        for wrong in [(DNS, &b""[..]), (DNS, b"a\0b"), (MAIL, b"\xc3\xb6fen"), (URI, b"\xff"), (IP, b"12345")]
        {
            let der = certificate(Vec::new(), vec![extension(&[good, wrong], false)]);
            assert_eq!(alternative_names(&der), None, "{wrong:?}");
        }
        let two = certificate(Vec::new(), vec![extension(&[good], false), extension(&[good], false)]);
        assert_eq!(alternative_names(&two), None);
    }

    #[test]
    fn no_bytes_panic() {
        let der = certificate(all(), Vec::new());
        for cut in 0..der.len() {
            let _ = alternative_names(&der[..cut]);
            for value in [0, 1, 0x7f, 0x80, 0x82, 0xff, der[cut].wrapping_add(1)] {
                let mut wrong = der.clone();
                wrong[cut] = value;
                let _ = alternative_names(&wrong);
            }
        }
    }

    proptest! {
        #[test]
        fn no_value_of_an_extension_panics(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let read = names(&value).unwrap_or_default();
            prop_assert!(read.len() <= value.len());
        }
    }
}
