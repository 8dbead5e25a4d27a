//! The one table of properties (§2.2.2.2): number, type, value rule, where it may stand and where it may repeat.

use super::{DecodeErrorKind, PacketType, string, topic, varint};

/// One property of a packet, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property<'a> {
    /// Identifier of the property.
    pub id: PropertyId,
    /// Value, of the type that [`id`](Self::id) has.
    pub value: Value<'a>,
}

/// The value of a property, in the types of §1.5. Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// One unsigned byte.
    Byte(u8),
    /// A two byte integer.
    U16(u16),
    /// A four byte integer.
    U32(u32),
    /// A variable byte integer.
    Varint(u32),
    /// A UTF-8 encoded string.
    Utf8(&'a str),
    /// Bytes with a length.
    Binary(&'a [u8]),
    /// A UTF-8 string pair: name and value.
    Pair(&'a str, &'a str),
}

/// The types of §1.5, as a column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
enum Rule {
    Any,
    /// A byte, 0 or 1.
    Flag,
    NonZero,
    /// A string that is a topic name.
    Topic,
}

/// Places of a property: a bit per packet type, and bit 0 for the will of a CONNECT.
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
/// Every packet with a reason code.
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

/// Generates the enum and its table from one list: name, number, type, rule, places, places where it may repeat.
macro_rules! properties {
    ($($name:ident = $number:literal $kind:ident $rule:ident $places:expr, $repeats:expr;)*) => {
        /// A property identifier (§2.2.2.2). Exhaustive: the standard defines exactly these.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are the standard's")]
        #[repr(u8)]
        pub enum PropertyId { $($name = $number),* }

        impl PropertyId {
            /// Every property, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The property of a number on the wire.
            pub const fn new(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            const fn spec(self) -> (Kind, Rule, Places, Places) {
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
    /// Returns whether the property may stand in `packet`; for the will see [`allowed_in_will`](Self::allowed_in_will).
    pub const fn allowed_in(self, packet: PacketType) -> bool {
        self.places() & place(packet) != 0
    }

    /// Returns whether the property may stand among the will properties of a CONNECT (§3.1.3.2).
    pub const fn allowed_in_will(self) -> bool {
        self.places() & WILL != 0
    }

    pub(crate) const fn places(self) -> Places {
        self.spec().2
    }

    /// Returns where it may stand more than once.
    pub(crate) const fn repeats(self) -> Places {
        self.spec().3
    }

    /// A bit per property; every number is below 64.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Takes the first property off `bytes`. The error says how far into `bytes` it lies.
pub(crate) fn split_first(bytes: &[u8]) -> Result<(Property<'_>, &[u8]), (DecodeErrorKind, usize)> {
    let truncated = || (DecodeErrorKind::Truncated, bytes.len());
    let (number, used) = varint::read(bytes, true).map_err(|kind| (kind, 0))?.ok_or_else(truncated)?;
    let id = PropertyId::new(number).ok_or((DecodeErrorKind::UnknownProperty(number), 0))?;
    let mut rest = bytes.get(used..).unwrap_or_default();
    let value = match id.spec().0 {
        Kind::Byte => take::<1>(&mut rest).map(|[b]| Value::Byte(b)).ok_or_else(truncated)?,
        Kind::U16 => take(&mut rest).map(|b| Value::U16(u16::from_be_bytes(b))).ok_or_else(truncated)?,
        Kind::U32 => take(&mut rest).map(|b| Value::U32(u32::from_be_bytes(b))).ok_or_else(truncated)?,
        Kind::Varint => {
            let (value, used) = varint::read(rest, true).map_err(|kind| (kind, 1))?.ok_or_else(truncated)?;
            rest = rest.get(used..).unwrap_or_default();
            Value::Varint(value)
        }
        Kind::Utf8 => Value::Utf8(text(&mut rest, bytes)?),
        Kind::Binary => Value::Binary(binary(&mut rest).ok_or_else(truncated)?),
        Kind::Pair => Value::Pair(text(&mut rest, bytes)?, text(&mut rest, bytes)?),
    };
    let property = Property { id, value };
    check(&property).map_err(|kind| (kind, 0))?;
    Ok((property, rest))
}

/// Checks that the value has the property's type and obeys its rule.
pub(crate) fn check(property: &Property<'_>) -> Result<(), DecodeErrorKind> {
    let (kind, rule, ..) = property.id.spec();
    let typed = matches!(
        (kind, property.value),
        (Kind::Byte, Value::Byte(_))
            | (Kind::U16, Value::U16(_))
            | (Kind::U32, Value::U32(_))
            | (Kind::Varint, Value::Varint(_))
            | (Kind::Utf8, Value::Utf8(_))
            | (Kind::Binary, Value::Binary(_))
            | (Kind::Pair, Value::Pair(..))
    );
    let ruled = match (rule, property.value) {
        (Rule::Flag, Value::Byte(value)) => value <= 1,
        (Rule::NonZero, Value::U16(0) | Value::U32(0) | Value::Varint(0)) => false,
        (Rule::Topic, Value::Utf8(name)) => topic::validate_topic_name(name).is_ok(),
        _ => true,
    };
    if typed && ruled { Ok(()) } else { Err(DecodeErrorKind::PropertyValue(property.id)) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn binary<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(u16::from_be_bytes(take(rest)?));
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn text<'a>(rest: &mut &'a [u8], whole: &[u8]) -> Result<&'a str, (DecodeErrorKind, usize)> {
    let at = whole.len() - rest.len();
    let bytes = binary(rest).ok_or((DecodeErrorKind::Truncated, whole.len()))?;
    string::check(bytes).map_err(|e| (DecodeErrorKind::String(e), at))
}
