//! Inputs and outputs of a [`Core`](super::Core).

use bytes::{Bytes, BytesMut};

use super::downlink::Refused;
use super::uplink_event::UplinkEvent;
use crate::session::AckHandle;
use crate::wire::{Publish, Utf8, Version};

/// Event that the shell hands in. Exhaustive.
#[derive(Debug)]
pub enum Input<'a> {
    /// The network connection (and TLS) is up.
    Dialed,
    /// The network connection could not be made, and why.
    DialFailed(String),
    /// The network connection was refused by a proxy that answers, and why: it is asked again as rarely as a hub that refuses.
    DialRefused(String),
    /// Bytes from the hub: whole packets are taken, the rest is left. Call again while the buffer gets shorter.
    Bytes(&'a mut BytesMut),
    /// The system took bytes of [`Output::Transmit`] for this connection. Optional: without it everything counts as taken at once, and a large
    /// message on a half-open link is waited for as long as it would take at 1 kB/s.
    Written {
        /// Number of bytes that the system took.
        bytes: u64,
        /// Set if the system had no room before: earlier bytes have left, and the link lives.
        waited: bool,
    },
    /// The network connection ended, and why if that is known.
    HungUp(Option<String>),
    /// Answer to an [`Output::Probe`].
    Probed {
        /// Set if there was a connection.
        is_reachable: bool,
    },
    /// Rows may be in the spool that were not there before.
    Rows,
}

/// Action that the shell performs. Exhaustive.
#[derive(Debug)]
pub enum Output {
    /// Make a network connection.
    Dial {
        /// Place of the address in the list, from 0.
        address: usize,
    },
    /// Make a network connection to this address beside the present one, and close it again without a byte: [`Input::Probed`] says whether there was one.
    Probe {
        /// Place of the address in the list.
        address: usize,
    },
    /// Writes these bytes to the connection.
    Transmit(Bytes),
    /// Close it, after what was to be transmitted before; at once by a reset if [`has_given_up`](super::Core::has_given_up).
    Hangup,
    /// Event for the application.
    Event(Event),
}

/// Something the application may want to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The hub accepted us.
    Connected {
        /// Set if the hub still has the session.
        session_present: bool,
    },
    /// The hub had lost the session: so many messages are being published anew, and the subscriptions are made again.
    SessionLost {
        /// Messages that are sent again.
        republished: usize,
    },
    /// The hub does not take the version that was spoken: the next connection speaks this one.
    OtherVersion(Version),
    /// The hub refused to know us as a bridge, or closed at it without a word: the next connection is that of a plain client.
    BridgeBitRefused,
    /// The hub refused the connection for its will, or it may be for that: the next one has none.
    WillRefused,
    /// The connection is over, or was not made.
    Disconnected {
        /// Cause in plain words.
        reason: String,
        /// Delay before the next attempt; `None` after [`Core::stop`](super::Core::stop).
        retry_in_ms: Option<u64>,
    },
    /// The stall breaker broke the connection.
    Stalled,
    /// A message from the hub, under its local name. At QoS 1 it comes again unless [`Core::ack`](super::Core::ack) is called with its handle.
    Message {
        /// Message for the application.
        publish: Publish,
        /// `None` at QoS 0.
        ack: Option<AckHandle>,
    },
    /// A message of a 3.1.1 hub, which cannot be told the limit, was larger than what the session reads. It is acknowledged and lost.
    TooLarge {
        /// Topic at the hub.
        topic: Utf8,
        /// Bytes of the packet.
        size: usize,
        /// Largest packet that is read.
        limit: u32,
    },
    /// The hub sends messages at QoS 2, as a session does that an earlier client left behind. They are carried through and delivered at least
    /// once. Told once.
    QoS2Received,
    /// The hub refused a subscription, or gives another reason for it than before; it is asked for again after 1 s to 10 min, and on the next
    /// connection. Or it closed three times in a row without an answer to it, as AWS IoT Core refuses: asked for alone after such delays, behind the
    /// messages.
    SubscriptionRefused(Refused),
    /// Event of the way up.
    Uplink(UplinkEvent),
}
