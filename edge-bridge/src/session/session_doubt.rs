//! Doubt about the session: a server that lost it and made a new one, for a CONNECT whose CONNACK was lost, says at the next CONNECT that there is a session.

use super::Session;

/// Reasons for which a session that the server has may not be that of the connection before.
#[derive(Debug, Clone, Copy, Default, Hash)]
pub(super) struct Doubt {
    /// Set until CONNACK comes.
    awaits_connack: bool,
    /// Set if a CONNECT since the last accepted one got no CONNACK.
    is_doubtful: bool,
    /// Set if the server may be another one.
    is_elsewhere: bool,
}

impl Doubt {
    /// Begins with the CONNECT of a client. `is_doubtful`: as the connection before left it.
    pub(super) fn at_connect(is_doubtful: bool) -> Self {
        Self { awaits_connack: true, is_doubtful, is_elsewhere: false }
    }

    /// Returns whether the server may be another one than that of the connection before.
    pub(super) fn is_elsewhere(self) -> bool {
        self.is_elsewhere
    }

    /// Handles a CONNACK.
    pub(super) fn on_connack(&mut self) {
        self.awaits_connack = false;
    }

    /// Handles a CONNACK that accepts the connection. Returns whether its session is doubtful.
    pub(super) fn on_accepted(&mut self) -> bool {
        std::mem::take(&mut self.is_doubtful)
    }

    /// Returns whether the session is doubtful on the next connection.
    pub(super) fn at_end(self) -> bool {
        self.awaits_connack || self.is_doubtful
    }
}

impl Session {
    /// Client: records, before CONNACK, that the server is another one than that of the connection before.
    pub(crate) fn set_elsewhere(&mut self) {
        self.doubt.is_elsewhere = true;
    }
}
