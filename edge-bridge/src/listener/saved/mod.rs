//! Saved state of a listener's clients, to be restored after a restart: sessions with their subscriptions and waiting messages, wills that wait
//! for their time, and retained messages. The state is returned as bytes for the caller to keep; the listener touches no disk.
//!
//! **Format**, version 1: the byte 1 and the wall clock in milliseconds (8 bytes, big-endian), then packets of MQTT 5. First a PUBLISH for each
//! retained message; then for each session a CONNECT with its client identifier, user name and remaining Session Expiry Interval, a SUBSCRIBE for
//! each of its filters, and a PUBLISH for each message that waits for it, the oldest first. A CONNECT has a will only if the connection that left
//! it is over, with its remaining Will Delay Interval. Two user properties: `certified` marks a user name from a certificate, `connected` a
//! client that was connected, whose session expiry starts at the restart.
//!
//! Not saved: sessions that end with their connection; messages at QoS 0 that wait; messages of the application
//! ([`publish`](super::Listener::publish)) that wait, because the application keeps them itself (unless
//! [`Config::saves_own_messages`](super::Config::saves_own_messages) is set); identifiers of messages that were received at QoS 2; wills of
//! connected clients, because the end of this listener says nothing about the clients.

mod encode;
mod restore;

pub use restore::RestoreError;

/// Version of the format.
const VERSION: u8 = 1;
/// User property of a CONNECT whose user name is that of a certificate.
const CERTIFIED: &str = "certified";
/// User property of a CONNECT whose client was connected when it was saved.
const CONNECTED: &str = "connected";

/// Saved state of a listener's clients, see [`Listener::save`](super::Listener::save).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Saved {
    /// Encoded state, for [`Listener::restore`](super::Listener::restore).
    pub bytes: Vec<u8>,
    /// Number of sessions, retained messages and waiting messages for which [`Config::max_saved_bytes`](super::Config::max_saved_bytes) has no
    /// room.
    pub left_out: usize,
}
