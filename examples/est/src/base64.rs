//! Base64 (RFC 4648), in which EST carries requests and answers: with line breaks anywhere when read, without any when written.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the bytes in base64, padded, as one line.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let value = (0..3).fold(0, |value, at| value << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = ALPHABET.get(value >> (18 - 6 * at) & 0x3f).copied().unwrap_or(b'=');
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Returns the bytes of a text in base64, or `None` if it is none. White space is passed over.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut value, mut digits, mut padding) = (Vec::with_capacity(text.len() / 4 * 3), 0, 0, 0);
    for byte in text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()) {
        let digit: u32 = match byte {
            b'A'..=b'Z' => u32::from(byte - b'A'),
            b'a'..=b'z' => u32::from(byte - b'a') + 26,
            b'0'..=b'9' => u32::from(byte - b'0') + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                0
            }
            _ => return None,
        };
        if padding > 0 && byte != b'=' {
            return None;
        }
        (value, digits) = (value << 6 | digit, digits + 1);
        if digits == 4 {
            let [_, group @ ..] = u32::to_be_bytes(value);
            bytes.extend(group.get(..3_usize.checked_sub(padding)?)?);
            (value, digits) = (0, 0);
        }
    }
    (digits == 0 && padding <= 2).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_the_standard() {
        // RFC 4648 §10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(decode(b" Zm\r\n9v\tYg =\n= ").as_deref(), Some(&b"foob"[..]));
        for wrong in
            ["Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zg==Zg==", "Zm9v=", "Zm9v====", "Zm-v", "<html>"]
        {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn all_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
