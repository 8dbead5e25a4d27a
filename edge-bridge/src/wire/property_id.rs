//! Table of all properties (§2.2.2.2): number, type, value rule, packets in which each may occur, and packets in which it may repeat.

use super::PacketType;

/// The types of §1.5, as a column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Byte,
    U16,
    U32,
    Varint,
    Utf8,
    Binary,
    Pair,
}

/// Rule for a value beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Any,
    /// A byte, 0 or 1.
    Flag,
    NonZero,
    /// A string that is a topic name.
    Topic,
}

/// Set of places in which a property may occur: one bit per packet type, and bit 0 for the will of a CONNECT.
pub(crate) type Places = u16;

pub(crate) const WILL: Places = 1;

pub(crate) const fn place(packet: PacketType) -> Places {
    1 << packet as u16
}

const CONNECT: Places = place(PacketType::Connect);
const CONNACK: Places = place(PacketType::ConnAck);
const PUBLISH: Places = place(PacketType::Publish);
const SUBSCRIBE: Places = place(PacketType::Subscribe);
const DISCONNECT: Places = place(PacketType::Disconnect);
const AUTH: Places = place(PacketType::Auth);
const MESSAGE: Places = PUBLISH | WILL;
const BOTH: Places = CONNECT | CONNACK;
/// Packets that have a reason code.
const ANSWERS: Places = CONNACK
    | place(PacketType::PubAck)
    | place(PacketType::PubRec)
    | place(PacketType::PubRel)
    | place(PacketType::PubComp)
    | place(PacketType::SubAck)
    | place(PacketType::UnsubAck)
    | DISCONNECT
    | AUTH;
const ALL: Places = ANSWERS | CONNECT | MESSAGE | SUBSCRIBE | place(PacketType::Unsubscribe);

/// Generates the enum and its table from one list: name, number, type, rule, places, places in which it may repeat.
macro_rules! properties {
    ($($name:ident = $number:literal $kind:ident $rule:ident $places:expr, $repeats:expr;)*) => {
        /// Property identifier (§2.2.2.2). The standard defines exactly these.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are the standard's")]
        #[repr(u8)]
        pub enum PropertyId { $($name = $number),* }

        impl PropertyId {
            /// Every property, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the property with this number on the wire; `None` if there is none.
            pub const fn new(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            pub(super) const fn spec(self) -> (Kind, Rule, Places, Places) {
                match self { $(Self::$name => (Kind::$kind, Rule::$rule, $places, $repeats)),* }
            }
        }
    };
}

properties! {
    PayloadFormatIndicator = 1 Byte Flag MESSAGE, 0;
    MessageExpiryInterval = 2 U32 Any MESSAGE, 0;
    ContentType = 3 Utf8 Any MESSAGE, 0;
    ResponseTopic = 8 Utf8 Topic MESSAGE, 0;
    CorrelationData = 9 Binary Any MESSAGE, 0;
    SubscriptionIdentifier = 11 Varint NonZero PUBLISH | SUBSCRIBE, PUBLISH;
    SessionExpiryInterval = 17 U32 Any BOTH | DISCONNECT, 0;
    AssignedClientIdentifier = 18 Utf8 Any CONNACK, 0;
    ServerKeepAlive = 19 U16 Any CONNACK, 0;
    AuthenticationMethod = 21 Utf8 Any BOTH | AUTH, 0;
    AuthenticationData = 22 Binary Any BOTH | AUTH, 0;
    RequestProblemInformation = 23 Byte Flag CONNECT, 0;
    WillDelayInterval = 24 U32 Any WILL, 0;
    RequestResponseInformation = 25 Byte Flag CONNECT, 0;
    ResponseInformation = 26 Utf8 Any CONNACK, 0;
    ServerReference = 28 Utf8 Any CONNACK | DISCONNECT, 0;
    ReasonString = 31 Utf8 Any ANSWERS, 0;
    ReceiveMaximum = 33 U16 NonZero BOTH, 0;
    TopicAliasMaximum = 34 U16 Any BOTH, 0;
    TopicAlias = 35 U16 NonZero PUBLISH, 0;
    MaximumQoS = 36 Byte Flag CONNACK, 0;
    RetainAvailable = 37 Byte Flag CONNACK, 0;
    UserProperty = 38 Pair Any ALL, ALL;
    MaximumPacketSize = 39 U32 NonZero BOTH, 0;
    WildcardSubscriptionAvailable = 40 Byte Flag CONNACK, 0;
    SubscriptionIdentifierAvailable = 41 Byte Flag CONNACK, 0;
    SharedSubscriptionAvailable = 42 Byte Flag CONNACK, 0;
}

impl PropertyId {
    /// Returns whether the property may occur in `packet`; for the will see [`allowed_in_will`](Self::allowed_in_will).
    pub const fn allowed_in(self, packet: PacketType) -> bool {
        self.places() & place(packet) != 0
    }

    /// Returns whether the property may occur among the will properties of a CONNECT (§3.1.3.2).
    pub const fn allowed_in_will(self) -> bool {
        self.places() & WILL != 0
    }

    pub(crate) const fn places(self) -> Places {
        self.spec().2
    }

    /// Returns the places in which the property may occur more than once.
    pub(crate) const fn repeats(self) -> Places {
        self.spec().3
    }

    /// Bit of the property in a set of properties; every number is below 64.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}
