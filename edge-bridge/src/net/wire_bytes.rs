//! Bytes on the wire beside those of MQTT in them, over all connections to the hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters, shared by the connections. Both directions count together.
#[derive(Debug, Clone, Default)]
pub(super) struct WireBytes {
    /// Bytes on the sockets.
    pub(super) on_wire: Arc<AtomicU64>,
    /// Bytes of MQTT that were written to connections and read from them.
    pub(super) carried: Arc<AtomicU64>,
    /// Largest difference of the two so far.
    added: Arc<AtomicU64>,
}

impl WireBytes {
    /// Begins a connection: what TLS had taken of the one before and did not write takes nothing from this one's.
    pub(super) fn begin(&self) {
        let left = self.on_wire.load(Ordering::Relaxed).saturating_sub(self.added());
        self.carried.fetch_min(left, Ordering::Relaxed);
    }

    /// Returns the number of bytes that TLS and a proxy added. Never falls: what TLS has taken and not yet written counts later.
    pub(super) fn added(&self) -> u64 {
        let carried = self.carried.load(Ordering::Relaxed);
        let added = self.on_wire.load(Ordering::Relaxed).saturating_sub(carried);
        self.added.fetch_max(added, Ordering::Relaxed).max(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_never_falls() {
        let bytes = WireBytes::default();
        let add = |on_wire, carried| {
            bytes.on_wire.fetch_add(on_wire, Ordering::Relaxed);
            bytes.carried.fetch_add(carried, Ordering::Relaxed);
            bytes.added()
        };
        assert_eq!([add(100, 0), add(50, 120), add(80, 0), add(50, 0)], [100, 100, 110, 160]);
        // A connection that ends with 500 bytes in TLS.
        assert_eq!(add(0, 500), 160);
        bytes.begin();
        assert_eq!([add(30, 0), add(40, 40)], [190, 190]);
    }
}
