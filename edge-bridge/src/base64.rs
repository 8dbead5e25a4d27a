//! Base64 with padding (RFC 4648 §4).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().chain(&[0; 2]).take(3).fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = ALPHABET.get((group >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// Decodes text; `None` if it is not what [`encode`] writes.
#[cfg(feature = "access")]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.as_bytes().chunks(4) {
        let digits = chunk.iter().position(|b| *b == b'=').unwrap_or(chunk.len());
        let group = chunk.iter().take(digits).try_fold(0_u32, |group, byte| {
            let digit = ALPHABET.iter().position(|b| b == byte)?;
            Some(group << 6 | u32::try_from(digit).ok()?)
        })?;
        let group = group << (6 * (4 - digits));
        let [_, octets @ ..] = group.to_be_bytes();
        bytes.extend(octets.iter().take(digits * 6 / 8));
    }
    (encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: [&str; 7] = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
    const CODED: [&str; 7] = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];

    #[test]
    fn base64_is_that_of_the_rfc() {
        assert_eq!(PLAIN.map(|text| encode(text.as_bytes())), CODED);
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[cfg(feature = "access")]
    #[test]
    fn only_what_is_written_so_is_read() {
        assert_eq!(CODED.map(|text| decode(text).unwrap()), PLAIN.map(|text| text.as_bytes().to_vec()));
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&bytes)), Some(bytes));
        for wrong in
            ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9v=", "Z=8=", "====", "Zm 9", "Zm9\u{e4}", "Zg==Zg=="]
        {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
