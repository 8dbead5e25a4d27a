//! Payloads that several clients wait for or have in flight. Each payload has one copy, counted once, until its last holder drops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Maker of payload copies, and count of their bytes.
#[derive(Debug, Default)]
pub(in crate::listener) struct SharedPayloads {
    total: Arc<AtomicUsize>,
}

impl SharedPayloads {
    /// Copies a payload. All clones of the copy count as one.
    pub(in crate::listener) fn copy(&self, payload: &[u8]) -> Bytes {
        if payload.is_empty() {
            return Bytes::new();
        }
        self.total.fetch_add(payload.len(), Ordering::Relaxed);
        Bytes::from_owner(Payload { bytes: payload.into(), total: Arc::clone(&self.total) })
    }

    /// Bytes of all payloads that are held.
    pub(in crate::listener) fn bytes(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }
}

struct Payload {
    bytes: Box<[u8]>,
    total: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_counts_once_until_its_last_holder_is_gone() {
        let shared = SharedPayloads::default();
        let one = shared.copy(b"12345");
        let (two, part) = (one.clone(), one.slice(1..2));
        let other = shared.copy(b"678");
        assert_eq!((shared.bytes(), &two[..], &part[..]), (8, &b"12345"[..], &b"2"[..]));
        drop((one, two));
        assert_eq!(shared.bytes(), 8, "a part of it keeps it");
        drop((part, other));
        assert_eq!(shared.bytes(), 0);
        assert!(shared.copy(b"").is_empty());
    }
}
