//! Limits of the gateway's own listener: keys of `[local]`.

use super::Findings;
use super::section::Section;

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

/// The keys that it reads.
const KEYS: [&str; 3] = ["max_connections", "max_packet", "max_memory"];

pub(super) fn limits(section: &Section<'_>, findings: &mut Findings) -> ListenerLimits {
    ListenerLimits {
        max_connections: u32::try_from(section.integer_in_force("max_connections", findings))
            .unwrap_or(u32::MAX),
        max_packet: u32::try_from(section.size_in_force("max_packet", findings)).unwrap_or(u32::MAX),
        max_memory: section.size_in_force("max_memory", findings),
    }
}

/// They are the listener's: beside a broker nobody obeys them.
pub(super) fn warn_beside_broker(section: &Section<'_>, findings: &mut Findings) {
    for key in KEYS {
        if let Some(value) = section.get(key) {
            let message = format!("`{key}` has no effect with `broker`, which has limits of its own");
            findings.warning(value.span().start, "local", message);
        }
    }
}
