//! Reason codes (§2.4), and the packets in which each may occur.

use std::fmt;

use super::PacketType;

/// Reason code (§2.4), a success below 0x80. A newtype and not an enum, because one number has several names (0x00 is Success, Normal
/// disconnection and Granted QoS 0).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonCode(u8);

/// Generates constants and table from one list: constant, number, name in the standard, packets.
macro_rules! reason_codes {
    ($($constant:ident = $code:literal $name:literal $packets:expr;)*) => {
        #[expect(missing_docs, reason = "the names are the standard's")]
        impl ReasonCode {
            $(pub const $constant: Self = Self($code);)*
        }

        /// Table of §2.4: number, name, and packets (one bit per packet type).
        const TABLE: &[(u8, &str, u16)] = &[$(($code, $name, $packets)),*];
    };
}

const CONNACK: u16 = 1 << PacketType::ConnAck as u16;
const PUBACK: u16 = 1 << PacketType::PubAck as u16;
const PUBREC: u16 = 1 << PacketType::PubRec as u16;
const PUBREL: u16 = 1 << PacketType::PubRel as u16;
const PUBCOMP: u16 = 1 << PacketType::PubComp as u16;
const SUBACK: u16 = 1 << PacketType::SubAck as u16;
const UNSUBACK: u16 = 1 << PacketType::UnsubAck as u16;
const DISCONNECT: u16 = 1 << PacketType::Disconnect as u16;
const AUTH: u16 = 1 << PacketType::Auth as u16;
const PUBS: u16 = PUBACK | PUBREC;
const SUBS: u16 = SUBACK | UNSUBACK;

reason_codes! {
    SUCCESS = 0x00 "Success" CONNACK | PUBS | PUBREL | PUBCOMP | SUBS | DISCONNECT | AUTH;
    GRANTED_QOS_1 = 0x01 "Granted QoS 1" SUBACK;
    GRANTED_QOS_2 = 0x02 "Granted QoS 2" SUBACK;
    DISCONNECT_WITH_WILL = 0x04 "Disconnect with Will Message" DISCONNECT;
    NO_MATCHING_SUBSCRIBERS = 0x10 "No matching subscribers" PUBS;
    NO_SUBSCRIPTION_EXISTED = 0x11 "No subscription existed" UNSUBACK;
    CONTINUE_AUTHENTICATION = 0x18 "Continue authentication" AUTH;
    RE_AUTHENTICATE = 0x19 "Re-authenticate" AUTH;
    UNSPECIFIED_ERROR = 0x80 "Unspecified error" CONNACK | PUBS | SUBS | DISCONNECT;
    MALFORMED_PACKET = 0x81 "Malformed Packet" CONNACK | DISCONNECT;
    PROTOCOL_ERROR = 0x82 "Protocol Error" CONNACK | DISCONNECT;
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83 "Implementation specific error" CONNACK | PUBS | SUBS | DISCONNECT;
    UNSUPPORTED_PROTOCOL_VERSION = 0x84 "Unsupported Protocol Version" CONNACK;
    CLIENT_IDENTIFIER_NOT_VALID = 0x85 "Client Identifier not valid" CONNACK;
    BAD_USER_NAME_OR_PASSWORD = 0x86 "Bad User Name or Password" CONNACK;
    NOT_AUTHORIZED = 0x87 "Not authorized" CONNACK | PUBS | SUBS | DISCONNECT;
    SERVER_UNAVAILABLE = 0x88 "Server unavailable" CONNACK;
    SERVER_BUSY = 0x89 "Server busy" CONNACK | DISCONNECT;
    BANNED = 0x8a "Banned" CONNACK;
    SERVER_SHUTTING_DOWN = 0x8b "Server shutting down" DISCONNECT;
    BAD_AUTHENTICATION_METHOD = 0x8c "Bad authentication method" CONNACK | DISCONNECT;
    KEEP_ALIVE_TIMEOUT = 0x8d "Keep Alive timeout" DISCONNECT;
    SESSION_TAKEN_OVER = 0x8e "Session taken over" DISCONNECT;
    TOPIC_FILTER_INVALID = 0x8f "Topic Filter invalid" SUBS | DISCONNECT;
    TOPIC_NAME_INVALID = 0x90 "Topic Name invalid" CONNACK | PUBS | DISCONNECT;
    PACKET_IDENTIFIER_IN_USE = 0x91 "Packet Identifier in use" PUBS | SUBS;
    PACKET_IDENTIFIER_NOT_FOUND = 0x92 "Packet Identifier not found" PUBREL | PUBCOMP;
    RECEIVE_MAXIMUM_EXCEEDED = 0x93 "Receive Maximum exceeded" DISCONNECT;
    TOPIC_ALIAS_INVALID = 0x94 "Topic Alias invalid" DISCONNECT;
    PACKET_TOO_LARGE = 0x95 "Packet too large" CONNACK | DISCONNECT;
    MESSAGE_RATE_TOO_HIGH = 0x96 "Message rate too high" DISCONNECT;
    QUOTA_EXCEEDED = 0x97 "Quota exceeded" CONNACK | PUBS | SUBACK | DISCONNECT;
    ADMINISTRATIVE_ACTION = 0x98 "Administrative action" DISCONNECT;
    PAYLOAD_FORMAT_INVALID = 0x99 "Payload format invalid" CONNACK | PUBS | DISCONNECT;
    RETAIN_NOT_SUPPORTED = 0x9a "Retain not supported" CONNACK | DISCONNECT;
    QOS_NOT_SUPPORTED = 0x9b "QoS not supported" CONNACK | DISCONNECT;
    USE_ANOTHER_SERVER = 0x9c "Use another server" CONNACK | DISCONNECT;
    SERVER_MOVED = 0x9d "Server moved" CONNACK | DISCONNECT;
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9e "Shared Subscriptions not supported" SUBACK | DISCONNECT;
    CONNECTION_RATE_EXCEEDED = 0x9f "Connection rate exceeded" CONNACK | DISCONNECT;
    MAXIMUM_CONNECT_TIME = 0xa0 "Maximum connect time" DISCONNECT;
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xa1 "Subscription Identifiers not supported" SUBACK | DISCONNECT;
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xa2 "Wildcard Subscriptions not supported" SUBACK | DISCONNECT;
}

impl ReasonCode {
    /// 0x00 in a DISCONNECT.
    pub const NORMAL_DISCONNECTION: Self = Self(0);
    /// 0x00 in a SUBACK.
    pub const GRANTED_QOS_0: Self = Self(0);

    // Marks of this side, which are no errors by `is_error`. Below 0x80 no packet is taken with a code that the standard does not list, so that no peer
    // can say one of them.

    /// Mark for a peer that gave no answer. It is not in the standard; no packet is sent or taken with it.
    pub const NO_ANSWER: Self = Self(0x7f);
    /// Mark for a peer that closed the connection without a DISCONNECT, or by one without an error. It is not in the standard; no packet is sent or
    /// taken with it.
    pub const NO_REASON: Self = Self(0x7e);
    /// Mark for a peer whose answer broke the protocol, so that the connection was ended from this side. It is not in the standard; no packet is sent
    /// or taken with it.
    pub const BROKEN_ANSWER: Self = Self(0x7d);
    /// Mark for a message that is not sent, because the peer may end the connection at it: see
    /// [`validate_properties`](super::validate_properties). It is not in the standard; no packet is sent or taken with it.
    pub const HUB_MAY_CLOSE: Self = Self(0x7c);

    /// Makes a reason code of any number. [`is_valid_for`](Self::is_valid_for) tells if it may occur in a packet.
    pub const fn new(code: u8) -> Self {
        Self(code)
    }

    /// The number on the wire.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns whether the code is an error: 0x80 and above (§2.4).
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// Returns whether MQTT 5 lists the code for `packet` (§2.4 and the packet's own table).
    pub fn is_valid_for(self, packet: PacketType) -> bool {
        self.row().is_some_and(|(_, _, packets)| packets & (1 << packet as u16) != 0)
    }

    /// Name in the standard, or the words for [`NO_ANSWER`](Self::NO_ANSWER), [`NO_REASON`](Self::NO_REASON),
    /// [`BROKEN_ANSWER`](Self::BROKEN_ANSWER) and [`HUB_MAY_CLOSE`](Self::HUB_MAY_CLOSE); "unknown reason" for a number without a name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NO_ANSWER => "No answer",
            Self::NO_REASON => "Connection closed without a reason",
            Self::BROKEN_ANSWER => "Answer that broke the protocol",
            Self::HUB_MAY_CLOSE => "Characters or levels at which a hub may close: not sent",
            _ => self.row().map_or("unknown reason", |(_, name, _)| name),
        }
    }

    /// Returns the code that a CONNACK return code of 3.1.1 stands for (3.1.1 §3.2.2.3, table 3.1). `None` above 5.
    pub const fn from_v311_connack(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::SUCCESS,
            1 => Self::UNSUPPORTED_PROTOCOL_VERSION,
            2 => Self::CLIENT_IDENTIFIER_NOT_VALID,
            3 => Self::SERVER_UNAVAILABLE,
            4 => Self::BAD_USER_NAME_OR_PASSWORD,
            5 => Self::NOT_AUTHORIZED,
            _ => return None,
        })
    }

    /// Returns the 3.1.1 return code of exactly this meaning; `None` for codes that 3.1.1 does not have, see
    /// [`nearest_v311_connack`](Self::nearest_v311_connack).
    pub const fn to_v311_connack(self) -> Option<u8> {
        Some(match self {
            Self::SUCCESS => 0,
            Self::UNSUPPORTED_PROTOCOL_VERSION => 1,
            Self::CLIENT_IDENTIFIER_NOT_VALID => 2,
            Self::SERVER_UNAVAILABLE => 3,
            Self::BAD_USER_NAME_OR_PASSWORD => 4,
            Self::NOT_AUTHORIZED => 5,
            _ => return None,
        })
    }

    /// Returns the code with which to refuse a 3.1.1 client for this reason: itself if 3.1.1 has it, otherwise Not authorized for permanent
    /// reasons and Server unavailable for others.
    #[must_use]
    pub const fn nearest_v311_connack(self) -> Self {
        match self {
            _ if self.to_v311_connack().is_some() => self,
            Self::BANNED
            | Self::BAD_AUTHENTICATION_METHOD
            | Self::TOPIC_NAME_INVALID
            | Self::RETAIN_NOT_SUPPORTED
            | Self::QOS_NOT_SUPPORTED => Self::NOT_AUTHORIZED,
            _ => Self::SERVER_UNAVAILABLE,
        }
    }

    fn row(self) -> Option<(u8, &'static str, u16)> {
        TABLE.binary_search_by_key(&self.0, |row| row.0).ok().and_then(|at| TABLE.get(at)).copied()
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x} {}", self.0, self.name())
    }
}

impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_no_code_twice() {
        assert!(TABLE.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn no_matching_subscribers_is_a_success() {
        assert!(!ReasonCode::NO_MATCHING_SUBSCRIBERS.is_error());
        assert!(ReasonCode::NO_MATCHING_SUBSCRIBERS.is_valid_for(PacketType::PubRec));
        assert!(!ReasonCode::NO_MATCHING_SUBSCRIBERS.is_valid_for(PacketType::PubRel));
    }

    #[test]
    fn each_v311_return_code_maps_both_ways() {
        for code in 0..=5 {
            assert_eq!(ReasonCode::from_v311_connack(code).and_then(ReasonCode::to_v311_connack), Some(code));
        }
        assert_eq!(ReasonCode::from_v311_connack(6), None);
        for code in 0..=255 {
            assert!(ReasonCode::new(code).nearest_v311_connack().to_v311_connack().is_some());
        }
    }
}
