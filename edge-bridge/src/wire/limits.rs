//! Limits of a decoder: the standard's own bounds are far beyond what a gateway has memory for.

/// Limits of [`decode`](super::decode). `Copy`, so that a connection can hold its own.
///
/// Worst case held for one packet: `max_packet_size` of buffer and 40 bytes per filter of a SUBSCRIBE; everything else is slices of that buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a whole packet, fixed header included. Checked on the fixed header, before the rest is buffered. Default 1 MiB. A server should
    /// take a smaller value for CONNECT, and announce this as Maximum Packet Size.
    pub max_packet_size: u32,
    /// Bytes of a topic name or topic filter. Default 4 096; the format ends at 65 535.
    pub max_topic_len: u16,
    /// Levels (parts between `/`) of a topic name or filter. Default 200, as in Mosquitto: bounds the depth of a subscription tree.
    pub max_topic_levels: u16,
    /// User properties of one packet (of the will apart). Default 128.
    pub max_user_properties: u16,
    /// Filters of one SUBSCRIBE or UNSUBSCRIBE, and reasons of their acknowledgements. Default 1 024.
    pub max_subscriptions: u16,
    /// Takes a message whose Response Topic is no topic name (\[MQTT-3.3.2-14\]), without it. Default false: an error. For a client: some servers hand on what they
    /// should refuse, again on each connection.
    pub drop_bad_response_topic: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_packet_size: 1024 * 1024,
            max_topic_len: 4096,
            max_topic_levels: 200,
            max_user_properties: 128,
            max_subscriptions: 1024,
            drop_bad_response_topic: false,
        }
    }
}

impl Limits {
    /// The format's own bounds: for trusted bytes, such as a test's.
    pub const FORMAT: Self = Self {
        max_packet_size: u32::MAX,
        max_topic_len: u16::MAX,
        max_topic_levels: u16::MAX,
        max_user_properties: u16::MAX,
        max_subscriptions: u16::MAX,
        drop_bad_response_topic: false,
    };

    /// Returns these limits with another [`max_packet_size`](Self::max_packet_size).
    #[must_use]
    pub const fn with_max_packet_size(mut self, bytes: u32) -> Self {
        self.max_packet_size = bytes;
        self
    }
}
