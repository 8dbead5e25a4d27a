//! Errors in received bytes, and in packets to be encoded.

use super::string::Utf8Error;
use super::topic::TopicError;
use super::{PacketType, PropertyId, ReasonCode};

/// Error in received bytes, which are not a packet of the standard, or exceed a limit. The connection has to be closed, in MQTT 5 after a CONNACK
/// or DISCONNECT with [`reason_code`](Self::reason_code) (§4.13). The content of the buffer is unspecified afterwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at byte {offset} of the packet")]
pub struct DecodeError {
    /// The rule that is broken.
    pub kind: DecodeErrorKind,
    /// Offset of the wrong field in bytes, from the packet's first byte.
    pub offset: usize,
}

impl DecodeError {
    /// Returns the reason code to answer with. For a first packet that [`decode_connect`](super::decode_connect) refused it is valid in a
    /// CONNACK.
    pub fn reason_code(&self) -> ReasonCode {
        self.kind.reason_code()
    }

    /// Returns the reason code for a DISCONNECT: [`reason_code`](Self::reason_code), or Protocol Error in place of a code that only CONNACK may
    /// have. Such a code can come from a second CONNECT on a connection.
    pub fn disconnect_reason(&self) -> ReasonCode {
        let reason = self.reason_code();
        if reason.is_valid_for(PacketType::Disconnect) { reason } else { ReasonCode::PROTOCOL_ERROR }
    }
}

/// Cause of a [`DecodeError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// Packet type 0 is reserved (§2.1.2).
    #[error("packet type 0")]
    PacketTypeZero,
    /// AUTH in 3.1.1, in which type 15 is reserved (3.1.1 §2.2.1).
    #[error("packet type 15 in MQTT 3.1.1")]
    AuthInV311,
    /// Wrong flags in the fixed header \[MQTT-2.1.3-1\]
    #[error("fixed header flags {flags:#06b} of {packet:?}")]
    HeaderFlags {
        /// Type of the packet.
        packet: PacketType,
        /// Low four bits of the packet's first byte.
        flags: u8,
    },
    /// A variable byte integer of more than four bytes (§1.5.5).
    #[error("a variable byte integer of more than four bytes")]
    VarintTooLong,
    /// A variable byte integer that is not in its shortest form \[MQTT-1.5.5-1\]; tolerated in 3.1.1, which has no such rule.
    #[error("a variable byte integer longer than its value needs")]
    VarintNotMinimal,
    /// A packet larger than [`Limits::max_packet_size`](super::Limits::max_packet_size).
    #[error("a packet of {size} bytes, the limit is {limit}")]
    PacketTooLarge {
        /// Size of the whole packet in bytes.
        size: u64,
        /// Limit of the size in bytes.
        limit: u32,
    },
    /// A field that goes beyond the end of the packet.
    #[error("the packet ends within a field")]
    Truncated,
    /// Number of bytes after the last field.
    #[error("{0} bytes after the last field")]
    TrailingBytes(usize),
    /// String that MQTT does not allow.
    #[error("{0}")]
    String(Utf8Error),
    /// Packet identifier 0 \[MQTT-2.2.1-3\]
    #[error("packet identifier 0")]
    PacketIdZero,
    /// QoS 3 \[MQTT-3.3.1-4\], \[MQTT-3.1.2-12\], \[MQTT-3.8.3-5\]
    #[error("QoS 3")]
    QoS3,
    /// DUP at QoS 0 \[MQTT-3.3.1-2\]
    #[error("DUP set with QoS 0")]
    DupWithQoS0,
    /// An invalid topic name.
    #[error("topic name: {0}")]
    TopicName(TopicError),
    /// An invalid topic filter.
    #[error("topic filter: {0}")]
    TopicFilter(TopicError),
    /// A PUBLISH with neither topic nor topic alias (§3.3.2.3.4)
    #[error("an empty topic without a topic alias")]
    NoTopic,
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter \[MQTT-3.8.3-2\], \[MQTT-3.10.3-2\], or an acknowledgement of these without a reason.
    #[error("{0:?} without an entry")]
    NoEntries(PacketType),
    /// More filters or reason codes than [`Limits::max_subscriptions`](super::Limits::max_subscriptions).
    #[error("{packet:?} with more than {limit} entries")]
    TooManyEntries {
        /// Type of the packet.
        packet: PacketType,
        /// Most entries that are allowed.
        limit: u16,
    },
    /// A first packet that is not a CONNECT (\[MQTT-3.1.0-1\]).
    #[error("{0:?} instead of CONNECT")]
    NotConnect(PacketType),
    /// Protocol name other than `MQTT` \[MQTT-3.1.2-1\]
    #[error("the protocol name is not MQTT")]
    ProtocolName,
    /// Protocol name "MQIsdp", which is that of MQTT 3.1; it is accepted with [`Limits::accept_mqtt_3_1`](super::Limits::accept_mqtt_3_1) only.
    #[error("MQTT 3.1 (MQIsdp) is not accepted")]
    Mqtt31,
    /// Protocol level other than 4 and 5. Answer with 0x84 (MQTT 5) or return code 1 (3.1.1), whichever the client may understand.
    #[error("protocol level {0}, supported are 4 (MQTT 3.1.1) and 5 (MQTT 5.0)")]
    ProtocolLevel(u8),
    /// Protocol level other than 3 behind the name "MQIsdp". Answer as to [`ProtocolLevel`](Self::ProtocolLevel).
    #[error(
        "protocol level {0} with the name MQIsdp, which belongs to level 3 (MQTT 3.1): level 4 (MQTT 3.1.1) and 5 (MQTT 5.0) have the name MQTT"
    )]
    Mqtt31Level(u8),
    /// A CONNECT of another version than that of the connection.
    #[error("the version of the CONNECT is not that of the connection")]
    VersionMismatch,
    /// Wrong flags of a CONNECT or CONNACK \[MQTT-3.1.2-3\], \[MQTT-3.1.2-11\], \[MQTT-3.1.2-13\], \[MQTT-3.2.2-1\]
    #[error("flags {0:#010b}")]
    Flags(u8),
    /// Password without a user name: 3.1.1 \[MQTT-3.1.2-22\]
    #[error("a password without a user name in MQTT 3.1.1")]
    PasswordWithoutUserName,
    /// Empty client identifier: 3.1.1 \[MQTT-3.1.3-8\]
    #[error("an empty client identifier without clean session in MQTT 3.1.1")]
    EmptyClientId,
    /// Session present in a refusal \[MQTT-3.2.2-6\]
    #[error("session present with a refusal")]
    SessionPresentWithRefusal,
    /// A CONNACK in the form of 3.1.1 on an MQTT 5 connection. Code 1 means that the server does not support MQTT 5.
    #[error("CONNACK {0:#04x} in the form of MQTT 3.1.1: does the server speak MQTT 5?")]
    ConnAckWithoutProperties(u8),
    /// A CONNACK in the form of MQTT 5 on a 3.1.1 connection. 0x84 means that the server does not support 3.1.1.
    #[error("CONNACK {0} in the form of MQTT 5: does the server speak MQTT 3.1.1?")]
    ConnAckOfV5(ReasonCode),
    /// Return code that 3.1.1 does not have (§3.2.2.3, §3.9.3)
    #[error("return code {code:#04x} in {packet:?} of MQTT 3.1.1")]
    ReturnCode {
        /// Type of the packet.
        packet: PacketType,
        /// Code of the packet.
        code: u8,
    },
    /// A reason code that the standard does not list for this packet.
    #[error("reason code {:#04x} in {packet:?}, which the standard does not list for it", .code.get())]
    Reason {
        /// Type of the packet.
        packet: PacketType,
        /// Code of the packet.
        code: ReasonCode,
    },
    /// Subscription options \[MQTT-3.8.3-5\], §3.8.3.1
    #[error("subscription options {0:#010b}")]
    SubscriptionOptions(u8),
    /// No Local on a shared subscription \[MQTT-3.8.3-4\]
    #[error("no local on a shared subscription")]
    NoLocalOnShared,
    /// Property identifier that MQTT 5 does not have (§2.2.2.2)
    #[error("unknown property {0}")]
    UnknownProperty(u32),
    /// Property that this packet does not have (§2.2.2.2)
    #[error("property {0:?} must not be here")]
    PropertyNotAllowed(PropertyId),
    /// A property that occurs more than once although it must not.
    #[error("property {0:?} more than once")]
    DuplicateProperty(PropertyId),
    /// A property whose value is not allowed.
    #[error("property {0:?} with a value that it must not have")]
    PropertyValue(PropertyId),
    /// Authentication data without a method (§3.1.2.11.10, §3.15.2.2.2)
    #[error("authentication without an authentication method")]
    NoAuthenticationMethod,
    /// More user properties than [`Limits::max_user_properties`](super::Limits::max_user_properties).
    #[error("more than {0} user properties")]
    TooManyUserProperties(u16),
}

impl DecodeErrorKind {
    fn reason_code(&self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PACKET_TOO_LARGE,
            Self::TopicName(_) => ReasonCode::TOPIC_NAME_INVALID,
            Self::TopicFilter(_) => ReasonCode::TOPIC_FILTER_INVALID,
            Self::Mqtt31
            | Self::ProtocolLevel(_)
            | Self::Mqtt31Level(_)
            | Self::ProtocolName
            | Self::ConnAckWithoutProperties(1)
            | Self::ConnAckOfV5(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION) => {
                ReasonCode::UNSUPPORTED_PROTOCOL_VERSION
            }
            Self::EmptyClientId => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
            Self::PropertyValue(PropertyId::TopicAlias) => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::PropertyValue(PropertyId::ResponseTopic) => ReasonCode::TOPIC_NAME_INVALID,
            Self::TooManyEntries { .. } | Self::TooManyUserProperties(_) => ReasonCode::QUOTA_EXCEEDED,
            Self::NoTopic
            | Self::NoEntries(_)
            | Self::NotConnect(_)
            | Self::VersionMismatch
            | Self::SessionPresentWithRefusal
            | Self::Reason { .. }
            | Self::NoLocalOnShared
            | Self::DuplicateProperty(_)
            | Self::PropertyValue(_)
            | Self::NoAuthenticationMethod
            | Self::PacketIdZero => ReasonCode::PROTOCOL_ERROR,
            _ => ReasonCode::MALFORMED_PACKET,
        }
    }
}

/// A packet that must not be sent. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
#[non_exhaustive]
pub enum EncodeError {
    /// The packet breaks a rule that `decode` enforces on received packets.
    Invalid(DecodeErrorKind),
    /// The remaining length is above [`REMAINING_LENGTH_MAX`](super::REMAINING_LENGTH_MAX), the most that the format can express.
    #[error("a remaining length of {0}: the format ends at 268435455")]
    TooLong(u64),
    /// A string, topic or binary field of more than 65 535 bytes.
    #[error("a {field} of {len} bytes: the format ends at 65535")]
    FieldTooLong {
        /// Name of the field.
        field: &'static str,
        /// Length of the field.
        len: usize,
    },
    /// A packet identifier is set with QoS 0, or missing with QoS 1 or 2 (\[MQTT-2.2.1-2\]).
    #[error("a packet identifier is needed with QoS > 0, and only then")]
    PacketId,
    /// MQTT 3.1.1 has no field for a part of the packet.
    #[error("MQTT 3.1.1 cannot say {0}")]
    NotInV311(&'static str),
}

impl From<DecodeErrorKind> for EncodeError {
    fn from(kind: DecodeErrorKind) -> Self {
        Self::Invalid(kind)
    }
}
