//! Elements of ASN.1 in DER, and in BER as far as authorities write it: some give the CMS around their certificates no lengths. Read with bounds, because these
//! bytes are foreign.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// Element of the context with number 0, which has elements in it; that with number 3.
pub(crate) const CONTEXT_0: u8 = 0xa0;
pub(crate) const CONTEXT_3: u8 = 0xa3;

/// Most elements without a length inside each other.
const DEPTH_MAX: u8 = 8;

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// Tag, length and content.
    pub(crate) whole: &'a [u8],
}

/// Splits off the first element, and returns it with the rest.
pub(crate) fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    element_within(bytes, DEPTH_MAX)
}

/// Splits off the first element if it has this tag.
pub(crate) fn tagged(bytes: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    element(bytes).filter(|(element, _)| element.tag == tag)
}

/// Splits off the first element if it has this tag; without it all is the rest.
pub(crate) fn optional(bytes: &[u8], tag: u8) -> (Option<Element<'_>>, &[u8]) {
    tagged(bytes, tag).map_or((None, bytes), |(element, rest)| (Some(element), rest))
}

/// Returns the elements one behind the other, up to the first one that is none.
pub(crate) fn elements(mut bytes: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let (next, rest) = element(bytes)?;
        bytes = rest;
        Some(next)
    })
}

fn element_within(bytes: &[u8], depth: u8) -> Option<(Element<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (content, behind) = match usize::from(*first) {
        short @ 0..=0x7f => rest.split_at_checked(short)?,
        0x80 => until_end(rest, depth.checked_sub(1)?)?,
        // A length of more than three bytes is longer than all that is read.
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
            let length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
            rest.split_at_checked(length)?
        }
        _ => return None,
    };
    let whole = bytes.get(..bytes.len().checked_sub(behind.len())?)?;
    Some((Element { tag: *tag, content, whole }, behind))
}

/// Splits the content of an element without a length from what stands behind its end.
fn until_end(bytes: &[u8], depth: u8) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    loop {
        if let Some(behind) = rest.strip_prefix(&[0, 0]) {
            let length = bytes.len().checked_sub(rest.len())?;
            return Some((bytes.get(..length)?, behind));
        }
        (_, rest) = element_within(rest, depth)?;
    }
}

/// Returns an element with these parts as its content.
pub(crate) fn written(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let octets = length.to_be_bytes();
    let octets = octets.get(length.leading_zeros() as usize / 8..).unwrap_or_default();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            out.push(0x80 | octets.len() as u8);
            out.extend(octets);
        }
    }
    parts.iter().for_each(|part| out.extend(*part));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_element_without_a_length_ends_at_its_mark() {
        let bytes = [0x30, 0x80, 0x02, 1, 5, 0x31, 0x80, 0x02, 1, 6, 0, 0, 0, 0, 9];
        let (outer, rest) = element(&bytes).unwrap();
        assert_eq!((outer.content, outer.whole, rest), (&bytes[2..12], &bytes[..14], &[9][..]));
        let inner: Vec<_> = elements(outer.content).map(|inner| inner.content).collect();
        assert_eq!(inner, [&[5][..], &[2, 1, 6]]);
        assert_eq!(element(&bytes[..13]), None, "cut off");
        let deep = [[0x30, 0x80]; 1_000].concat();
        assert_eq!(element(&deep), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 1_u8..0x1f, content in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (one, other) = content.split_at(content.len() / 3);
            let bytes = written(tag, &[one, other]);
            let (read, rest) = element(&bytes).unwrap();
            prop_assert_eq!((read.tag, read.content, rest.len()), (tag, &content[..], 0));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = elements(&bytes).count();
        }
    }
}
