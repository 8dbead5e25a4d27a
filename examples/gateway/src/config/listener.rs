//! Limits of the gateway's own listener: keys of `[local]`.

use super::Findings;
use super::section::Section;

const MIB: u64 = 1 << 20;
/// The largest packet that always fits into a row of the queue.
const PACKET_MAX: u64 = 256 << 10;

/// Bounds of all clients together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerLimits {
    /// Connections at a time.
    pub(crate) max_connections: u32,
    /// Bytes of a packet.
    pub(crate) max_packet: u32,
    /// Bytes that all clients may make the listener hold.
    pub(crate) max_memory: u64,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self { max_connections: 1_000, max_packet: PACKET_MAX as u32, max_memory: 12 * MIB }
    }
}

/// The keys that it reads.
const KEYS: [&str; 3] = ["max_connections", "max_packet", "max_memory"];

pub(super) fn limits(section: &mut Section<'_>, findings: &mut Findings) -> ListenerLimits {
    let mut limits = ListenerLimits::default();
    if let Some(connections) = section.integer("max_connections", 1..=100_000, findings) {
        limits.max_connections = connections.value as u32;
    }
    if let Some(packet) = section.size("max_packet", findings) {
        match packet.value {
            1_024..=PACKET_MAX => limits.max_packet = packet.value as u32,
            _ => findings.error(packet.at, "local.max_packet", "1KiB to 256KiB"),
        }
    }
    if let Some(memory) = section.size("max_memory", findings) {
        match memory.value / MIB {
            8..=1_024 => limits.max_memory = memory.value,
            _ => findings.error(memory.at, "local.max_memory", "8MiB to 1GiB"),
        }
    }
    limits
}

/// They are the listener's: beside a broker nobody obeys them.
pub(super) fn warn_beside_broker(section: &mut Section<'_>, findings: &mut Findings) {
    for key in KEYS {
        if let Some(value) = section.get(key) {
            let message = format!("`{key}` has no effect with `broker`, which has limits of its own");
            findings.warning(value.span().start, "local", message);
        }
    }
}
