//! Name in a certificate: the common name of its subject, which stands for a user (X.509, RFC 5280 §4.1.2.6), read from DER.
//!
//! The certificate has been verified before, so these bytes were chosen by its authority. They are read with bounds all the same.

use super::der::{OBJECT_IDENTIFIER, SEQUENCE, SET, element, fields};

const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
/// Object identifier 2.5.4.3, id-at-commonName, in DER.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Returns the common name of the subject; `None` if there is none, if there are several, of which nobody knows who is meant, or if it is empty or
/// not UTF-8 or ASCII.
pub(in crate::net) fn common_name(certificate: &[u8]) -> Option<&str> {
    let mut fields = fields(certificate)?;
    // Serial number, signature, issuer and validity stand before the subject.
    for _ in 0..4 {
        (_, _, fields) = element(fields)?;
    }
    let (SEQUENCE, names, _) = element(fields)? else { return None };
    match common_names(names)?.as_slice() {
        [name] => text(name),
        _ => None,
    }
}

/// Returns the first common name among the content of a name, for a message; `None` if there is none, or if it is empty or not UTF-8 or ASCII.
pub(in crate::net) fn first_common_name(names: &[u8]) -> Option<&str> {
    common_names(names)?.first().and_then(|name| text(name))
}

/// Returns the values of the common names among the content of a name. `None`: it cannot be read.
fn common_names(mut names: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while let Some((SET, mut attributes, rest)) = element(names) {
        names = rest;
        while let Some((SEQUENCE, attribute, rest)) = element(attributes) {
            attributes = rest;
            let (OBJECT_IDENTIFIER, kind, value) = element(attribute)? else { return None };
            if kind == COMMON_NAME {
                found.push(value);
            }
        }
    }
    Some(found)
}

fn text(value: &[u8]) -> Option<&str> {
    let (UTF8_STRING | PRINTABLE_STRING | IA5_STRING, text, _) = element(value)? else { return None };
    std::str::from_utf8(text).ok().filter(|text| !text.is_empty() && !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, DnValue)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_found_among_others() {
        let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
        let long = "x".repeat(300);
        for name in ["oven3", "öfen/3", &long] {
            let der = certificate(&[
                (DnType::OrganizationName, utf8("Plant")),
                (DnType::CommonName, utf8(name)),
                (DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap())),
            ]);
            assert_eq!(common_name(&der), Some(name));
        }
        let printable = DnValue::PrintableString("oven 3".try_into().unwrap());
        assert_eq!(common_name(&certificate(&[(DnType::CommonName, printable)])), Some("oven 3"));
    }

    #[test]
    fn without_a_name_of_readable_text_there_is_none() {
        assert_eq!(common_name(&certificate(&[])), None);
        let of = |value| common_name(&certificate(&[(DnType::CommonName, value)])).map(str::to_owned);
        assert_eq!(of(DnValue::Utf8String(String::new())), None);
        assert_eq!(of(DnValue::Utf8String("a\0b".to_owned())), None);
        assert_eq!(of(DnValue::BmpString("oven".try_into().unwrap())), None);
    }

    /// Two programs may take different ones for the user: a certificate that is refused is safe.
    #[test]
    fn of_several_common_names_none_counts() {
        let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
        let second = DnType::CustomDnType(vec![2, 5, 4, 3]);
        for other in ["line7", "oven3"] {
            let der = certificate(&[(DnType::CommonName, utf8("oven3")), (second.clone(), utf8(other))]);
            assert_eq!(common_name(&der), None, "{other}");
        }
    }

    #[test]
    fn no_bytes_panic() {
        let der = certificate(&[(DnType::CommonName, DnValue::Utf8String("oven3".to_owned()))]);
        for cut in 0..der.len() {
            let _ = common_name(&der[..cut]);
            for value in [0, 1, 0x7f, 0x80, 0x82, 0xff, der[cut].wrapping_add(1)] {
                let mut wrong = der.clone();
                wrong[cut] = value;
                let _ = common_name(&wrong);
            }
        }
        assert_eq!(common_name(&der), Some("oven3"));
    }
}
