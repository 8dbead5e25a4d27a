//! Encryption at rest: authenticated encryption of the body of each frame of records, with the frame's header as associated data. A new file has
//! AES-256-GCM where the processor has instructions for it, ChaCha20-Poly1305 elsewhere; each is read everywhere, and the file's check value tells
//! which it has.
//!
//! Headers, snapshots and superblocks stay readable, so that the geometry, the heads of segments and the end of the log are found as in a file
//! that is not encrypted. An encrypted body is the ciphertext, the tag, and a nonce of random bytes that no other frame has: a clone of the disk
//! and a frame that is written again have nonces of their own. A copy of a frame keeps its bytes, and its header says nothing of its page.
//! One key is good for 2^32 frames of a queue: then two have one nonce with a probability of 2^-33.
#![deny(clippy::indexing_slicing)]

#[cfg(feature = "encryption")]
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::frame::Head;
use crate::error::OpenError;
use crate::key::Key;

pub(super) use cipher::FrameCipher;

const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// Bytes that encryption adds to a frame's body.
pub(super) const EXTRA: usize = TAG_BYTES + NONCE_BYTES;

/// Length of a [`KeyCheck`].
pub(super) const CHECK_BYTES: usize = 16;

/// Value by which a file tells its key from another, and its algorithm: it is made of key, gateway id and algorithm, and nobody can make the key of it.
pub(super) type KeyCheck = [u8; CHECK_BYTES];

/// Returns the cipher of a file with this check value, or none for one that is not encrypted.
pub(super) fn unlock(
    check: Option<&KeyCheck>,
    gateway: u64,
    key: Option<&Key>,
) -> Result<Option<Arc<FrameCipher>>, OpenError> {
    match (check, key) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(OpenError::NotEncrypted),
        (Some(_), None) => Err(OpenError::KeyMissing),
        (Some(check), Some(key)) => FrameCipher::checked(key, gateway, check).map(Arc::new).map(Some),
    }
}

#[cfg(feature = "encryption")]
mod cipher {
    use std::io;

    use ::ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use ::ring::hmac;
    use ::ring::rand::{SecureRandom, SystemRandom};

    use super::super::frame::Kind;
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Algorithm {
        Aes256Gcm,
        ChaCha20Poly1305,
    }

    impl Algorithm {
        pub(super) const ALL: [Algorithm; 2] = [Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305];

        /// Returns the faster one here.
        fn of_new_files() -> Algorithm {
            if has_aes() { Algorithm::Aes256Gcm } else { Algorithm::ChaCha20Poly1305 }
        }

        /// Texts of which the key of the frames and the check value are made.
        fn purposes(self) -> [&'static [u8]; 2] {
            match self {
                Algorithm::Aes256Gcm => {
                    [b"edge-queue ring frames AES-256-GCM", b"edge-queue ring check AES-256-GCM"]
                }
                Algorithm::ChaCha20Poly1305 => [b"edge-queue ring frames", b"edge-queue ring check"],
            }
        }
    }

    /// Returns whether the processor has instructions for AES and for the hash of GCM. Without them AES takes several times as long as ChaCha20.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    fn has_aes() -> bool {
        std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
    }

    #[cfg(target_arch = "aarch64")]
    fn has_aes() -> bool {
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
    }

    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    fn has_aes() -> bool {
        false
    }

    /// Cipher of a file's frames: key of its own, made of the queue's key and its gateway id.
    pub(in super::super) struct FrameCipher {
        key: LessSafeKey,
        check: KeyCheck,
        random: SystemRandom,
    }

    impl FrameCipher {
        /// Makes the cipher of a new file.
        pub(in super::super) fn new(key: &Key, gateway: u64) -> Result<FrameCipher, OpenError> {
            FrameCipher::with(Algorithm::of_new_files(), key, gateway)
        }

        pub(super) fn with(algorithm: Algorithm, key: &Key, gateway: u64) -> Result<FrameCipher, OpenError> {
            let master = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
            let [frames, checks] = algorithm
                .purposes()
                .map(|purpose| hmac::sign(&master, &[purpose, &gateway.to_le_bytes()].concat()));
            let algorithm = match algorithm {
                Algorithm::Aes256Gcm => &AES_256_GCM,
                Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            };
            let mut check = KeyCheck::default();
            check.iter_mut().zip(checks.as_ref()).for_each(|(to, byte)| *to = *byte);
            let key = UnboundKey::new(algorithm, frames.as_ref()).map_err(|_| failed("derive the key"))?;
            Ok(FrameCipher { key: LessSafeKey::new(key), check, random: SystemRandom::new() })
        }

        /// Makes the cipher of a file with this check value.
        pub(super) fn checked(key: &Key, gateway: u64, check: &KeyCheck) -> Result<FrameCipher, OpenError> {
            for algorithm in Algorithm::ALL {
                let cipher = FrameCipher::with(algorithm, key, gateway)?;
                if cipher.check == *check {
                    return Ok(cipher);
                }
            }
            Err(OpenError::WrongKey)
        }

        /// Makes each cipher that a file whose check value is lost may have.
        pub(in super::super) fn all(key: &Key, gateway: u64) -> Result<Vec<FrameCipher>, OpenError> {
            Algorithm::ALL.into_iter().map(|algorithm| FrameCipher::with(algorithm, key, gateway)).collect()
        }

        pub(in super::super) fn check(&self) -> &KeyCheck {
            &self.check
        }

        /// Encrypts the body of `head`, in place.
        pub(in super::super) fn encrypt(&self, head: &Head, body: &mut Vec<u8>) -> io::Result<()> {
            let mut nonce = [0; NONCE_BYTES];
            let refused =
                || io::Error::other("the system has no random numbers, or the cipher refused a frame");
            self.random.fill(&mut nonce).map_err(|_| refused())?;
            let fields = head.with_body(body.len() + EXTRA).fields();
            self.key
                .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(fields), body)
                .map_err(|_| refused())?;
            body.extend_from_slice(&nonce);
            Ok(())
        }

        /// Decrypts the body of `head`, in place; `false` if it is not what was encrypted with this key under this header.
        pub(in super::super) fn decrypt(&self, head: &Head, body: &mut Vec<u8>) -> bool {
            if head.kind != Kind::Records {
                return true;
            }
            let Some((_, nonce)) = body.split_last_chunk::<NONCE_BYTES>() else { return false };
            let nonce = Nonce::assume_unique_for_key(*nonce);
            body.truncate(body.len() - NONCE_BYTES);
            let opened =
                self.key.open_in_place(nonce, Aad::from(head.fields()), body).map(|plain| plain.len());
            opened.is_ok_and(|len| {
                body.truncate(len);
                true
            })
        }
    }

    fn failed(op: &'static str) -> OpenError {
        OpenError::Io { op, source: io::Error::other("the cipher refused it") }
    }
}

/// A build without the feature: nobody has a key, so there is no cipher.
#[cfg(not(feature = "encryption"))]
mod cipher {
    use std::io;

    use super::*;

    pub(in super::super) enum FrameCipher {}

    impl FrameCipher {
        pub(in super::super) fn new(key: &Key, _: u64) -> Result<FrameCipher, OpenError> {
            match *key {}
        }

        pub(super) fn checked(key: &Key, _: u64, _: &KeyCheck) -> Result<FrameCipher, OpenError> {
            match *key {}
        }

        pub(in super::super) fn all(key: &Key, _: u64) -> Result<Vec<FrameCipher>, OpenError> {
            match *key {}
        }

        pub(in super::super) fn check(&self) -> &KeyCheck {
            match *self {}
        }

        pub(in super::super) fn encrypt(&self, _: &Head, _: &mut Vec<u8>) -> io::Result<()> {
            match *self {}
        }

        pub(in super::super) fn decrypt(&self, _: &Head, _: &mut Vec<u8>) -> bool {
            match *self {}
        }
    }
}
