//! base64url without padding (RFC 4648 §5): how bytes stand in text formats.

#![deny(clippy::indexing_slicing)]

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(crate) fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain([0; 2].iter()).take(3).fold(0_u32, |all, b| all << 8 | u32::from(*b));
        for place in 0..=chunk.len() {
            let six = group >> (18 - 6 * place) & 63;
            out.extend(ALPHABET.get(six as usize));
        }
    }
}

/// `None` for anything that [`encode`] does not write, also padding and unused bits that are not zero.
#[cfg(feature = "json")]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
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

#[cfg(feature = "json")]
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

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_section_10_vectors_without_padding() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            encode(&mut out, plain.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()));
        }
        let mut out = Vec::new();
        encode(&mut out, &[0xfb, 0xff, 0xfe]);
        assert_eq!(out, b"-__-");
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        for bad in ["Z", "Zg==", "Zh", "Zm9", "Zm 8", "+/+/", "Zm9vY"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
