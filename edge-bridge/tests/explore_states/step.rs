//! Steps of which each state offers some.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The publisher of this number sends its next message.
    Publish(usize),
    /// Its oldest PUBACK under way arrives.
    PubAck(usize),
    CommitBegins,
    CommitEnds,
    /// Acknowledgements of stored rows reach the disk.
    AcksSaved,
    ToHub,
    ToGateway,
    /// A link without a connection dials.
    Dial,
    /// The earliest deadline of the link passes.
    Deadline,
    Cut,
    /// Power cut and restart. `is_done`: the commit that was under way happened.
    Crash {
        is_done: bool,
    },
    /// The hub's session is gone, and with it the connection.
    LoseSession,
}

impl Step {
    /// Returns whether the outage's end still has it.
    pub(crate) fn is_fault(self) -> bool {
        matches!(self, Self::Deadline | Self::Cut | Self::Crash { .. } | Self::LoseSession)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(publisher) => write!(f, "publisher {publisher} sends its next message"),
            Self::PubAck(publisher) => write!(f, "a PUBACK arrives at publisher {publisher}"),
            Self::CommitBegins => f.write_str("a commit begins"),
            Self::CommitEnds => f.write_str("the commit ends"),
            Self::AcksSaved => f.write_str("acknowledgements are saved"),
            Self::ToHub => f.write_str("a packet arrives at the hub"),
            Self::ToGateway => f.write_str("a packet arrives at the gateway"),
            Self::Dial => f.write_str("the link dials, and is connected"),
            Self::Deadline => f.write_str("the link's next deadline passes"),
            Self::Cut => f.write_str("the connection is cut"),
            Self::Crash { is_done: true } => f.write_str("power cut and restart, right after the commit"),
            Self::Crash { is_done: false } => f.write_str("power cut and restart"),
            Self::LoseSession => f.write_str("the hub loses its session"),
        }
    }
}
