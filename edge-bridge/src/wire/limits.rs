//! Limits of a decoder, because the standard's own bounds are far above the memory of a gateway.

/// Limits of [`decode`](super::decode). `Copy`, so that a connection can hold its own.
///
/// Memory for one packet is at most `max_packet_size` for the buffer and 40 bytes per filter of a SUBSCRIBE; everything else is slices of that
/// buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most bytes of a whole packet, with its fixed header. Checked on the fixed header, before the rest is buffered. Default 1 MiB. A server
    /// should use a smaller value for CONNECT, and announce this one as Maximum Packet Size.
    pub max_packet_size: u32,
    /// Most bytes of a topic name or topic filter. Default 4 096; the format allows 65 535.
    pub max_topic_len: u16,
    /// Most levels (parts between `/`) of a topic name or filter. Default 200, as in Mosquitto. Bounds the depth of a subscription tree.
    pub max_topic_levels: u16,
    /// Most user properties of one packet; those of a will are counted apart. Default 128.
    pub max_user_properties: u16,
    /// Most filters of one SUBSCRIBE or UNSUBSCRIBE, and reasons of their acknowledgements. Default 1 024.
    pub max_subscriptions: u16,
    /// Accepts a message whose Response Topic is not a topic name (\[MQTT-3.3.2-14\]), and drops that property. Default false, which makes it
    /// an error. For a client, because some servers forward such messages instead of refusing them, and again on each connection.
    pub drop_bad_response_topic: bool,
    /// Accepts a CONNECT of MQTT 3.1 (protocol name `MQIsdp`, level 3) as one of 3.1.1, with any flags where 3.1 leaves them unused and with a
    /// client identifier, and DUP in packets that 3.1 repeats and 3.1.1 does not (PUBREL, SUBSCRIBE, UNSUBSCRIBE); a
    /// [`Session`](crate::session::Session) accepts that DUP from a client of 3.1 alone. A refused subscription is answered as in 3.1.1, by 0x80,
    /// which 3.1 does not know. Default false: it is refused, as 3.1.1 demands of a server that does not support it.
    pub accept_mqtt_3_1: bool,
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
            accept_mqtt_3_1: false,
        }
    }
}

impl Limits {
    /// Limits that allow all that the format can express, for trusted bytes, as in tests.
    pub const FORMAT: Self = Self {
        max_packet_size: u32::MAX,
        max_topic_len: u16::MAX,
        max_topic_levels: u16::MAX,
        max_user_properties: u16::MAX,
        max_subscriptions: u16::MAX,
        drop_bad_response_topic: false,
        accept_mqtt_3_1: false,
    };

    /// Returns these limits with another [`max_packet_size`](Self::max_packet_size).
    #[must_use]
    pub const fn with_max_packet_size(mut self, bytes: u32) -> Self {
        self.max_packet_size = bytes;
        self
    }
}
