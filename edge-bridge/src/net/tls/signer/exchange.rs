//! Messages of the signing protocol. A connection carries one request and its answer. Answers are foreign bytes, and read with bounds. Pure.

use super::error::SignerError;
use super::{ANSWER_BYTES_MAX, VERSION};

/// Bytes of an answer's head: version, outcome, length.
pub(super) const ANSWER_HEAD_BYTES: usize = 4;

const DESCRIBE: u8 = 1;
const SIGN: u8 = 2;
const DONE: u8 = 0;
const REFUSED: u8 = 1;

/// Request to a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// Asks for the public key and the schemes.
    Describe,
    /// Asks for the signature of a whole message, which the signer hashes itself where the scheme wants that.
    Sign { scheme: u16, message: &'a [u8] },
}

impl Request<'_> {
    pub(super) fn encode(self) -> Vec<u8> {
        let (kind, scheme, message): (u8, u16, &[u8]) = match self {
            Self::Describe => (DESCRIBE, 0, &[]),
            Self::Sign { scheme, message } => (SIGN, scheme, message),
        };
        // Longer than a handshake can be; the signer refuses what is cut.
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut bytes = vec![VERSION, kind];
        bytes.extend_from_slice(&scheme.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(message);
        bytes
    }
}

/// Head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnswerHead {
    is_done: bool,
    /// Number of bytes behind the head.
    pub(super) length: usize,
}

impl AnswerHead {
    pub(super) fn decode(
        [version, outcome, high, low]: [u8; ANSWER_HEAD_BYTES],
    ) -> Result<Self, SignerError> {
        if version != VERSION {
            return Err(SignerError::Version(version));
        }
        let is_done = match outcome {
            DONE => true,
            REFUSED => false,
            _ => return Err(SignerError::Malformed),
        };
        match usize::from(u16::from_be_bytes([high, low])) {
            length @ 0..=ANSWER_BYTES_MAX => Ok(Self { is_done, length }),
            length => Err(SignerError::TooLong(length)),
        }
    }

    /// Returns what the answer with this head carries, or the refusal.
    pub(super) fn result(self, body: Vec<u8>) -> Result<Vec<u8>, SignerError> {
        if self.is_done {
            return Ok(body);
        }
        Err(SignerError::Refused(String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Answer to [`Request::Describe`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyDescription<'a> {
    pub(super) schemes: Vec<u16>,
    /// SubjectPublicKeyInfo in DER.
    pub(super) public_key: &'a [u8],
}

impl<'a> KeyDescription<'a> {
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, SignerError> {
        Self::read(body).ok_or(SignerError::Malformed)
    }

    fn read(body: &'a [u8]) -> Option<Self> {
        let (count, rest) = body.split_first_chunk()?;
        let bytes = usize::from(u16::from_be_bytes(*count)).checked_mul(2)?;
        let (schemes, public_key) = rest.split_at_checked(bytes)?;
        let schemes = schemes.as_chunks().0.iter().map(|scheme| u16::from_be_bytes(*scheme)).collect();
        Some(Self { schemes, public_key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_page() {
        assert_eq!(Request::Describe.encode(), [1, 1, 0, 0, 0, 0, 0, 0]);
        let sign = Request::Sign { scheme: 0x0403, message: b"abc" };
        assert_eq!(sign.encode(), [1, 2, 4, 3, 0, 0, 0, 3, b'a', b'b', b'c']);
    }

    #[test]
    fn heads_of_answers_are_bounded() {
        let decode = |head| AnswerHead::decode(head).map(|head| (head.is_done, head.length));
        assert!(matches!(decode([1, 0, 0, 70]), Ok((true, 70))));
        assert!(matches!(decode([1, 1, 0x20, 0]), Ok((false, 8_192))));
        assert!(matches!(decode([1, 0, 0x20, 1]), Err(SignerError::TooLong(8_193))));
        assert!(matches!(decode([2, 0, 0, 0]), Err(SignerError::Version(2))));
        assert!(matches!(decode([1, 2, 0, 0]), Err(SignerError::Malformed)));
    }

    #[test]
    fn every_cut_description_is_told_or_has_a_key_that_fits_nothing() {
        let body = [0, 2, 4, 3, 8, 7, 0x30, 1, 0];
        let whole = KeyDescription::decode(&body).unwrap();
        assert_eq!((whole.schemes.as_slice(), whole.public_key), (&[0x0403, 0x0807][..], &body[6..]));
        for length in 0..6 {
            assert!(KeyDescription::decode(&body[..length]).is_err(), "{length}");
        }
        assert!(KeyDescription::decode(&[0xff; 40]).is_err());
    }

    #[test]
    fn a_refusal_is_shown_as_foreign_text() {
        let head = AnswerHead::decode([1, 1, 0, 4]).unwrap();
        let said = head.result(b"\n\x1b[\xff".to_vec()).unwrap_err().to_string();
        assert_eq!(said, "the signer refuses: \"\\n\\u{1b}[\u{fffd}\"");
    }
}
