//! What can go wrong, and when it is over.

use edge_bridge::wire::ReasonCode;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The WAN is gone: connections are reset, new ones fail.
    WanDown,
    WanUp,
    /// Connections are reset; new ones can be made.
    WanReset,
    /// Connections swallow what is written; new ones can be made.
    HalfOpen,
    /// Nothing moves for so many milliseconds.
    WanStall(u64),
    /// One way in milliseconds, bytes per second (0 = no limit), one segment lost in (0 = none).
    WanQuality(u64, u64, u64),
    /// The hub stops.
    HubDown,
    /// It starts again: with its session or without.
    HubUp {
        keeps_session: bool,
    },
    /// The next CONNECTs are refused; `None`: accepted again.
    HubRefuses(Option<ReasonCode>),
    /// Accepted, and thrown out so many milliseconds later; `None`: not any more.
    HubKicks(Option<u64>),
    /// Receive Maximum from the next connection on.
    ReceiveMaximum(u16),
    /// Maximum Packet Size from the next connection on.
    MaxPacket(u32),
    /// Server Keep Alive from the next connection on.
    KeepAlive(Option<u16>),
    /// PUBACKs are kept back, all else works.
    Withhold(bool),
    /// One in so many is answered with this reason.
    HubErrors(u64, ReasonCode),
    /// One in so many messages is also answered twice, or something is answered that was never asked; late ones after a resume.
    HostileAcks(u64),
    /// Bytes that are no packet.
    Garbage,
    /// A command to the gateway.
    Command,
    /// The gateway loses its power; it comes back after so many milliseconds.
    PowerCut(u64),
    /// The bridge stops in order and starts again after so many milliseconds.
    BridgeStop(u64),
    /// A sensor's connection is reset.
    SensorReset(u16),
    /// The queue takes so many rows at most.
    QueueRows(usize),
    /// A sync takes so many milliseconds.
    SlowDisk(u64),
    /// Everything is well again.
    Heal,
}
