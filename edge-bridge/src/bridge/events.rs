//! Inputs and outputs of a [`Core`](super::Core).

use bytes::{Bytes, BytesMut};

use super::downlink::Refused;
use super::uplink_event::UplinkEvent;
use crate::session::AckHandle;
use crate::wire::{Publish, Utf8, Version};

/// Input from the shell. New kinds come only with a breaking release.
#[derive(Debug)]
pub enum Input<'a> {
    /// The network connection (and TLS) is up.
    Dialed,
    /// The network connection could not be made; contains the cause.
    DialFailed(String),
    /// A proxy answered and refused the connection; contains the cause. The back-off grows as after a refusal by the hub.
    DialRefused(String),
    /// Bytes from the hub. Whole packets are removed from the buffer, the rest is left. Call again while the buffer gets shorter.
    Bytes(&'a mut BytesMut),
    /// The system took bytes of [`Output::Transmit`] for this connection. Optional: without this input all bytes count as written at once, and a
    /// half-open link with a large message is noticed only after the time that the message would take at 1 kB/s.
    Written {
        /// Number of bytes that the system took.
        bytes: u64,
        /// Set if the system had no room before, which shows that earlier bytes have left and the link lives.
        waited: bool,
    },
    /// The network connection ended; contains the cause if it is known.
    HungUp(Option<String>),
    /// Answer to an [`Output::Probe`].
    Probed {
        /// Set if a connection could be made.
        is_reachable: bool,
    },
    /// New rows may be in the spool.
    Rows,
}

/// Action for the shell to perform. New kinds come only with a breaking release.
#[derive(Debug, Clone)]
pub enum Output {
    /// Make a network connection.
    Dial {
        /// Place of the address in the list, from 0.
        address: usize,
    },
    /// Make a second network connection, to this address, close it without sending a byte, and report by [`Input::Probed`] if it could be
    /// made.
    Probe {
        /// Place of the address in the list, from 0.
        address: usize,
    },
    /// Writes these bytes to the connection.
    Transmit(Bytes),
    /// Close the connection after all bytes transmitted before; at once and by a reset if [`has_given_up`](super::Core::has_given_up).
    Hangup,
    /// Event for the application.
    Event(Event),
}

/// Event of the link for the application.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The hub accepted the connection.
    Connected {
        /// Set if the hub still has the session.
        session_present: bool,
    },
    /// The hub had lost the session, so that messages in flight are published again and the subscriptions are made again.
    SessionLost {
        /// Messages that are sent again.
        republished: usize,
    },
    /// The hub does not accept the MQTT version of the last connection, so the next one uses this version.
    OtherVersion(Version),
    /// The hub refused the bridge bit, or closed without an answer to a CONNECT that had it. The next connection is that of a plain client.
    BridgeBitRefused,
    /// The hub refused the connection, certainly or possibly because of its will. The next CONNECT has none.
    WillRefused,
    /// The connection ended, or could not be made.
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
        /// Handle for the PUBACK; `None` at QoS 0.
        ack: Option<AckHandle>,
    },
    /// A QoS 2 message that the hub sent again after a reconnect. The application [took it in](super::Core::take_in) on an earlier connection, and
    /// must not handle it twice.
    Repeated {
        /// Message for an application that has no other copy any more.
        publish: Publish,
        /// Handle for [`Core::ack`](super::Core::ack), to be called when the first copy is handled.
        ack: AckHandle,
        /// Handle of the copy on the last connection on which it came.
        earlier: AckHandle,
    },
    /// A message of a 3.1.1 hub, to which no limit can be announced, was larger than the session reads. It is acknowledged and lost.
    TooLarge {
        /// Topic at the hub.
        topic: Utf8,
        /// Size of the packet in bytes.
        size: usize,
        /// Largest packet that the session reads, in bytes.
        limit: u32,
    },
    /// The hub refused a subscription, or refuses it for another reason than before. The SUBSCRIBE is repeated after 1 s to 10 min, and on the
    /// next connection. Also reported when the hub closed three times in a row without an answer to it, which is how AWS IoT Core refuses; the
    /// filter is then subscribed to alone after such delays, behind the messages.
    SubscriptionRefused(Refused),
    /// Event of the uplink.
    Uplink(UplinkEvent),
}
