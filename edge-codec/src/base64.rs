//! Base64 of RFC 4648, as text formats carry bytes: the standard alphabet with padding (§4), and the URL alphabet
//! without (§5), which all formats of this crate write.

#![deny(clippy::indexing_slicing)]

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns `bytes` in the standard alphabet, padded with `=` to a multiple of four characters.
///
/// ```
/// assert_eq!(edge_codec::base64::encode(&[0xff, 0xfe]), "//4=");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    let length = bytes.len().div_ceil(3) * 4;
    let mut text = String::with_capacity(length);
    text.extend(digits(STANDARD, bytes).map(char::from));
    text.extend(std::iter::repeat_n('=', length - text.len()));
    text
}

/// Appends `bytes` to `out` in the URL alphabet, without padding.
///
/// ```
/// let mut out = Vec::new();
/// edge_codec::base64::encode_url(&mut out, &[0xff, 0xfe]);
/// assert_eq!(out, b"__4");
/// ```
pub fn encode_url(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(digits(URL, bytes));
}

fn digits<'a>(alphabet: &'static [u8; 64], bytes: &'a [u8]) -> impl Iterator<Item = u8> + use<'a> {
    bytes.chunks(3).flat_map(move |chunk| {
        let group = chunk.iter().chain([0; 2].iter()).take(3).fold(0_u32, |all, b| all << 8 | u32::from(*b));
        (0..=chunk.len()).filter_map(move |place| {
            let six = group >> (18 - 6 * place) & 63;
            alphabet.get(six as usize).copied()
        })
    })
}

/// Returns the bytes that [`encode_url`] wrote as `text`. `None`: it does not write such a text, as with padding, or with unused bits that are
/// not zero.
///
/// ```
/// use edge_codec::base64::decode_url;
/// assert_eq!(decode_url("__4"), Some(vec![0xff, 0xfe]));
/// assert_eq!(decode_url("__4="), None);
/// ```
pub fn decode_url(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0_u32;
        for byte in chunk {
            group = group << 6 | value(*byte)?;
        }
        let unused = match chunk.len() {
            4 => 0,
            3 => 2,
            2 => 4,
            _ => return None,
        };
        if group & ((1 << unused) - 1) != 0 {
            return None;
        }
        let group = group >> unused;
        out.extend((0..chunk.len() - 1).rev().map(|place| (group >> (8 * place)) as u8));
    }
    Some(out)
}

fn value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_section_10_vectors() {
        for (plain, padded, bare) in [
            ("", "", ""),
            ("f", "Zg==", "Zg"),
            ("fo", "Zm8=", "Zm8"),
            ("foo", "Zm9v", "Zm9v"),
            ("foob", "Zm9vYg==", "Zm9vYg"),
            ("fooba", "Zm9vYmE=", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), padded);
            let mut out = Vec::new();
            encode_url(&mut out, plain.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), bare);
            assert_eq!(decode_url(bare).as_deref(), Some(plain.as_bytes()));
        }
    }

    #[test]
    fn the_alphabets_differ_in_two_digits() {
        let mut out = Vec::new();
        encode_url(&mut out, &[0xfb, 0xff, 0xfe]);
        assert_eq!(out, b"-__-");
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn only_the_canonical_url_form_is_read() {
        for bad in ["Z", "Zg==", "Zh", "Zm9", "Zm 8", "+/+/", "Zm9vY"] {
            assert_eq!(decode_url(bad), None, "{bad}");
        }
    }
}
