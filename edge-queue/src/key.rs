//! Key of an encrypted queue, and the forms in which a file may hold it.

#[cfg(feature = "encryption")]
pub use of_bytes::{Key, KeyFormatError};

#[cfg(not(feature = "encryption"))]
pub(crate) use NoKey as Key;

/// Key that nobody can have: this build has no encryption.
#[cfg(not(feature = "encryption"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {}

#[cfg(feature = "encryption")]
mod of_bytes {
    use std::fmt;
    use std::sync::Arc;

    const KEY_BYTES: usize = 32;

    /// Key of 256 bits that encrypts what a queue writes, for [`Config::encryption`](crate::Config::encryption). Its bytes stay in memory for as long
    /// as a configuration or a queue has it, and `Debug` does not show them.
    #[derive(Clone, PartialEq, Eq)]
    pub struct Key(Arc<[u8; KEY_BYTES]>);

    /// Content of a file that is no key.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct KeyFormatError {
        /// Number of bytes of the content.
        pub len: usize,
    }

    impl Key {
        /// Makes a key of random bytes. A password is no key: it can be guessed.
        #[must_use]
        pub fn new(bytes: [u8; 32]) -> Key {
            Key(Arc::new(bytes))
        }

        /// Reads the content of a key file: 32 bytes as they are, or as text 64 hexadecimal digits or base64, with white space around them.
        ///
        /// ```
        /// # use edge_queue::Key;
        /// let key = Key::from_content(b"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")?;
        /// assert_eq!(key, Key::from_content(b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?);
        /// # Ok::<(), edge_queue::KeyFormatError>(())
        /// ```
        ///
        /// # Errors
        /// The content is in none of these forms.
        pub fn from_content(content: &[u8]) -> Result<Key, KeyFormatError> {
            if let Ok(bytes) = content.try_into() {
                return Ok(Key::new(bytes));
            }
            let text = content.trim_ascii();
            let bytes = if text.len() == 2 * KEY_BYTES { hex(text) } else { base64(text) };
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            bytes.map(Key::new).ok_or(KeyFormatError { len: content.len() })
        }

        pub(crate) fn bytes(&self) -> &[u8] {
            self.0.as_slice()
        }
    }

    impl fmt::Debug for Key {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Key(hidden)")
        }
    }

    impl fmt::Display for KeyFormatError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let len = self.len;
            write!(
                f,
                "{len} bytes are no key: it is 32 bytes, or 64 hexadecimal digits, or base64 of 32 bytes"
            )
        }
    }

    impl std::error::Error for KeyFormatError {}

    fn hex(text: &[u8]) -> Option<Vec<u8>> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        text.chunks(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
    }

    /// Decodes base64 (RFC 4648, section 4), with or without its padding.
    fn base64(text: &[u8]) -> Option<Vec<u8>> {
        let digits = text.strip_suffix(b"=").unwrap_or(text);
        let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
        for digit in digits {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            (bits, held) = (bits << 6 | u32::from(value), held + 6);
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
                bits &= (1 << held) - 1;
            }
        }
        // What is left of a last digit is zeros.
        (bits == 0 && held < 6).then_some(bytes)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_key_is_read_in_each_of_its_forms_and_nothing_else_is_one() {
            let bytes: [u8; 32] = std::array::from_fn(|n| (n * 8 + 3) as u8);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let base64 = "AwsTGyMrMztDS1NbY2tze4OLk5ujq7O7w8vT2+Pr8/s=";
            let key = Key::new(bytes);
            let forms = [
                hex.clone(),
                hex.to_uppercase(),
                format!("\n{hex}\r\n"),
                base64.into(),
                base64.trim_end_matches('=').into(),
                format!("{base64}\n"),
            ];
            for form in forms {
                assert_eq!(Key::from_content(form.as_bytes()), Ok(key.clone()), "{form:?}");
            }
            assert_eq!(Key::from_content(&bytes), Ok(key.clone()));
            assert_eq!(Key::from_content(&[b'\n'; 32]), Ok(Key::new([b'\n'; 32])), "bytes as they are");
            let text = |form: &str| Key::from_content(form.as_bytes());
            for wrong in
                ["", "correct horse battery staple", &hex[1..], &format!("{hex}0"), &hex.replace('3', "g")]
            {
                assert_eq!(text(wrong), Err(KeyFormatError { len: wrong.len() }));
            }
            for wrong in
                [&base64[1..], &format!("A{base64}"), &base64.replace('s', "-"), &base64.replace("s=", "t=")]
            {
                assert_eq!(text(wrong), Err(KeyFormatError { len: wrong.len() }));
            }
            assert!(Key::from_content(&bytes[1..]).is_err());
        }

        #[test]
        fn a_key_is_shown_nowhere() {
            let key = Key::new([0xab; 32]);
            assert_eq!(format!("{key:?}"), "Key(hidden)");
        }
    }
}
