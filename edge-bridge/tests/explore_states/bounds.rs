//! Bounds of an exploration: the messages, and how many faults of each kind there may be.

use edge_bridge::wire::QoS;

/// Most messages, which is also the number of handles that publishers have.
pub(crate) const MESSAGES_MAX: usize = 3;

/// Faults that may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// Crashes of the gateway.
    pub(crate) crashes: u8,
    /// Connections that are cut.
    pub(crate) cuts: u8,
    /// Losses of the hub's session.
    pub(crate) losses: u8,
    /// Deadlines that pass on a connection while packets are under way.
    pub(crate) deadlines: u8,
}

impl Faults {
    pub(crate) const fn new(crashes: u8, cuts: u8, losses: u8, deadlines: u8) -> Self {
        Self { crashes, cuts, losses, deadlines }
    }
}

/// One exploration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// QoS towards the hub of each message of the two publishers, which have a topic and a connection each.
    pub(crate) messages: [&'static [QoS]; 2],
    pub(crate) faults: Faults,
    /// The hub's application gets a message of QoS 2 with its PUBREL, else with its PUBLISH.
    pub(crate) at_pubrel: bool,
    /// Receive Maximum of the hub.
    pub(crate) receive_maximum: u16,
}
