//! Saved state of a listener's clients, to be restored after a restart: sessions with their subscriptions and waiting messages, wills that wait
//! for their time, and retained messages. The state is returned as bytes for the caller to keep; the listener touches no disk.
//!
//! **Format**, version 5: records, each in a frame of its own with a checksum ([`frame`]), so that damage costs only the records that it
//! touches, and with a session's record all that belongs to the session. A summary comes first and last: the version, the wall clock, and the
//! number of records of each kind, so that missing ones are counted. Between them are packets of MQTT 5. First a PUBLISH for each retained
//! message, with the identifier of the client that published it behind. Then for each session a CONNECT with its client identifier, user name and remaining Session Expiry Interval, and a SUBSCRIBE for each
//! of its filters, all in one record, because a session with only some of its filters would lose messages; its will in a CONNECT, with its remaining
//! Will Delay Interval or, of a connection that is there, all of it and the keep-alive; and a PUBLISH for each message that waits for it, the oldest first, with
//! the group's filter before it if the client was chosen for a shared subscription, and with DUP if it was in flight: the limits of waiting messages do
//! not count it then. Earlier programs set no DUP, and do not look at it. Three user properties:
//! `certified` marks a user name from a certificate, `connected` a client that was connected, whose session expiry starts at the restart, and the will
//! of a connection that was there; `unreleased`, of a session, has the identifier and the digest of a message that was received at QoS 2 and not
//! released. These are saved at a [clean end](super::Listener::shut_down) alone, and hold until the next save: of an earlier moment they would make a new
//! message pass for a repeat that has the same content and identifier. Version 4 is the same without the publishers of retained messages, version 3 also without wills of connections that were
//! there, and version 2 without shared subscriptions.
//!
//! Not saved: sessions that end with their connection; messages at QoS 0 that wait; messages of the application
//! ([`publish`](super::Listener::publish)) that wait, because the application keeps them itself (unless
//! [`Config::saves_own_messages`](super::Config::saves_own_messages) is set); wills of sessions that end with their connection.

mod cobs;
mod encode;
mod frame;
mod records;
mod restore;
mod version_one;

use crate::wire::DecodeError;

/// Version of the format.
const VERSION: u8 = 5;
/// First version that has frames.
const FIRST_FRAMED: u8 = 2;
/// User property of a CONNECT whose user name is that of a certificate.
const CERTIFIED: &str = "certified";
/// User property of a CONNECT whose client was connected when it was saved.
const CONNECTED: &str = "connected";

/// User property of a CONNECT for each exchange of QoS 2 that the client has not released.
const UNRELEASED: &str = "unreleased";

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

/// Cause why bytes are not what [`Listener::save`](super::Listener::save) returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes have a later version of the format.
    #[error("saved clients of format {0}; this program reads formats 1 to {VERSION}")]
    Version(u8),
    /// No record is whole.
    #[error("saved clients: no whole record in {bytes} bytes")]
    NoRecord {
        /// Number of the bytes.
        bytes: usize,
    },
    /// A packet in bytes of version 1, which has no checksums, is damaged.
    #[error("saved clients, byte {at}: {error}")]
    Packet {
        /// Offset of the packet, in bytes.
        at: usize,
        /// Rule that the packet breaks.
        error: DecodeError,
    },
    /// A packet in bytes of version 1 is cut off, or not allowed at its place.
    #[error("saved clients, byte {at}: a packet that is cut off or has no place there")]
    Misplaced {
        /// Offset of the packet, in bytes.
        at: usize,
    },
}
