//! Facts of the TLS session with the hub, for whoever asks how safe the line is and until when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::{ClientConnection, ProtocolVersion};

use super::certificate_dates::not_after;

/// TLS session with the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubTls {
    /// Version of the protocol, such as `TLS 1.3`.
    pub version: &'static str,
    /// Last second of the hub's own certificate; `None` if it cannot be read.
    pub certificate_end: Option<SystemTime>,
}

impl HubTls {
    fn of(session: &ClientConnection) -> Self {
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let own = session.peer_certificates().and_then(|chain| chain.first());
        Self { version, certificate_end: own.and_then(|certificate| not_after(certificate)) }
    }
}

/// Place of the session that was made last. Clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct LastHubTls(Arc<Mutex<Option<HubTls>>>);

impl LastHubTls {
    pub(in crate::net) fn set(&self, session: &ClientConnection) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(HubTls::of(session));
    }

    pub(in crate::net) fn get(&self) -> Option<HubTls> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
