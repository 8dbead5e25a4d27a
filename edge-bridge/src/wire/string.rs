//! UTF-8 Encoded Strings (§1.5.4).

use std::{fmt, ops::Deref, str};

use bytes::Bytes;

/// MQTT string: UTF-8, without U+0000, at most 65 535 bytes. It is a slice of the buffer in which it came.
///
/// Other control characters and non-characters are accepted, because the standard only advises against them (§1.5.4), and a bridge that
/// refused them would lose messages that both ends accept; [`validate_characters`](super::validate_characters) finds them. U+FEFF is an
/// ordinary character (\[MQTT-1.5.4-3\]).
///
/// Cost: cloning is a reference count; [`as_str`](Self::as_str) and `Deref` check the UTF-8 again, because this crate has no `unsafe`
/// (some nanoseconds for a topic); [`as_bytes`](Self::as_bytes) is free.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Utf8(Bytes);

impl Utf8 {
    /// Length of the longest string, in bytes.
    pub const LEN_MAX: usize = 65_535;

    /// Checks bytes and wraps them, without a copy.
    pub fn new(bytes: Bytes) -> Result<Self, Utf8Error> {
        check(&bytes)?;
        Ok(Self(bytes))
    }

    /// Wraps a literal, without a copy. Text that comes from elsewhere is checked by [`new`](Self::new) and `try_from`.
    ///
    /// ```
    /// use edge_bridge::wire::Utf8;
    ///
    /// let topic = const { Utf8::from_static("plant/1/data") };
    /// assert_eq!(topic, "plant/1/data");
    /// ```
    ///
    /// # Panics
    ///
    /// The literal has U+0000 or more than 65 535 bytes. In a `const` the compiler says so:
    ///
    /// ```compile_fail
    /// # use edge_bridge::wire::Utf8;
    /// let topic = const { Utf8::from_static("plant\0") };
    /// ```
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(text.len() <= Self::LEN_MAX, "an MQTT string has at most 65 535 bytes");
        let mut rest = text.as_bytes();
        while let Some((first, behind)) = rest.split_first() {
            assert!(*first != 0, "an MQTT string has no U+0000");
            rest = behind;
        }
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Wraps bytes that [`check`] has accepted.
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        debug_assert!(check(&bytes).is_ok());
        Self(bytes)
    }

    /// Copies the string, so that it does not keep a receive buffer alive.
    pub(crate) fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Returns the text. Takes one pass over it.
    pub fn as_str(&self) -> &str {
        // `new` has checked; an empty string is never reached.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The encoded text, without the length prefix.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the buffer itself, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the string is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Error in an MQTT string. New kinds come only with a breaking release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Utf8Error {
    /// Offset of the first bytes that are not UTF-8 \[MQTT-1.5.4-1\]
    #[error("not UTF-8 from byte {0} of the string")]
    NotUtf8(usize),
    /// Offset of U+0000 in the string \[MQTT-1.5.4-2\]
    #[error("U+0000 at byte {0} of the string")]
    Nul(usize),
    /// Length in bytes of a string that is too long for the prefix of two bytes.
    #[error("a string of {0} bytes: the format ends at 65535")]
    TooLong(usize),
}

/// `bytes` as text, if they are an MQTT string.
pub(crate) fn check(bytes: &[u8]) -> Result<&str, Utf8Error> {
    if bytes.len() > Utf8::LEN_MAX {
        return Err(Utf8Error::TooLong(bytes.len()));
    }
    let text = str::from_utf8(bytes).map_err(|e| Utf8Error::NotUtf8(e.valid_up_to()))?;
    match bytes.contains(&0) {
        true => Err(Utf8Error::Nul(bytes.iter().position(|b| *b == 0).unwrap_or_default())),
        false => Ok(text),
    }
}

impl TryFrom<&str> for Utf8 {
    type Error = Utf8Error;

    /// Copies `text` into a buffer of its own.
    fn try_from(text: &str) -> Result<Self, Utf8Error> {
        check(text.as_bytes())?;
        Ok(Self(Bytes::copy_from_slice(text.as_bytes())))
    }
}

impl TryFrom<String> for Utf8 {
    type Error = Utf8Error;

    fn try_from(text: String) -> Result<Self, Utf8Error> {
        Self::new(Bytes::from(text))
    }
}

impl Deref for Utf8 {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Utf8 {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq<str> for Utf8 {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Utf8 {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for Utf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Utf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_the_standard_refuses() {
        assert_eq!(check(b"a\0b"), Err(Utf8Error::Nul(1)));
        assert_eq!(check(&[b'a', 0xc3]), Err(Utf8Error::NotUtf8(1)));
        // A surrogate (§1.5.4: D800 to DFFF) and an overlong zero are not UTF-8.
        assert_eq!(check(&[0xed, 0xa0, 0x80]), Err(Utf8Error::NotUtf8(0)));
        assert_eq!(check(&[0xc0, 0x80]), Err(Utf8Error::NotUtf8(0)));
        assert_eq!(check(&vec![b'a'; 65_536]), Err(Utf8Error::TooLong(65_536)));
        assert!(check(&vec![b'a'; 65_535]).is_ok());
    }

    #[test]
    fn keeps_a_byte_order_mark() {
        let text = Utf8::try_from("\u{feff}a").unwrap();
        assert_eq!(text.as_str().chars().next(), Some('\u{feff}'));
    }
}
