//! Elements of DER (X.690), as far as the fields of certificates and of lists of revoked ones need them. Read with bounds, because these bytes are foreign.

pub(in crate::net) const SEQUENCE: u8 = 0x30;
pub(in crate::net) const SET: u8 = 0x31;
pub(in crate::net) const BOOLEAN: u8 = 0x01;
pub(in crate::net) const INTEGER: u8 = 0x02;
pub(in crate::net) const BIT_STRING: u8 = 0x03;
pub(in crate::net) const OCTET_STRING: u8 = 0x04;
pub(in crate::net) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(in crate::net) const UTC_TIME: u8 = 0x17;
pub(in crate::net) const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// Returns the fields of a certificate behind its version, the serial number first (RFC 5280 §4.1).
pub(in crate::net) fn fields(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (SEQUENCE, fields, _) = element(certificate)? else { return None };
    match element(fields) {
        Some((VERSION, _, rest)) => Some(rest),
        _ => Some(fields),
    }
}

/// Splits off the first element: returns its tag, its content, and the rest.
pub(in crate::net) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..=0x7f => (short, rest),
        // A length of more than three bytes is that of no certificate, and of no list that is read.
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}
