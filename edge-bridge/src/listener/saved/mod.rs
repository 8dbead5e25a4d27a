//! Saved state of a listener's clients, to be restored after a restart: sessions with their subscriptions and waiting messages, wills that
//! wait for their time, and retained messages. The state is returned as bytes for the caller to keep; the listener touches no disk.
//!
//! **Format**, version 1: the byte 1 and the wall clock in milliseconds (8 bytes, big-endian), then packets of MQTT 5. First a PUBLISH for each
//! retained message; then for each session a CONNECT with its client identifier, user name and what is left of its Session Expiry Interval, a SUBSCRIBE
//! for each of its filters, and a PUBLISH for each message that waits for it, the oldest first. A CONNECT has a will only if the connection that left it
//! is over, with what is left of its Will Delay Interval. Two user properties: `certified` says that its user name is that of a certificate,
//! `connected` that the client was there, so that its session does not age from then on.
//!
//! Not saved: sessions that end with their connection; messages at QoS 0 that wait; messages of the application
//! ([`publish`](super::Listener::publish)) that wait, since who gave them keeps or ends them (unless
//! [`Config::saves_own_messages`](super::Config::saves_own_messages) is set); identifiers of messages that were received at QoS 2; wills of
//! clients that are there, since the end of this listener says nothing about them.

mod encode;
mod restore;

pub use restore::RestoreError;

/// Version of the format.
const VERSION: u8 = 1;
/// User property of a CONNECT whose user name is that of a certificate.
const CERTIFIED: &str = "certified";
/// User property of a CONNECT whose client was there.
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
