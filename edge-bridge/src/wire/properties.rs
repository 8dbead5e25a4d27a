//! Properties of a packet, kept in their encoded form and checked once, so that a bridge can pass them on unchanged.

mod builder;

use bytes::{BufMut, Bytes, BytesMut};

pub use builder::PropertiesBuilder;

use builder::join;

use super::property_id::{Places, WILL, place};
use super::{
    DecodeError, DecodeErrorKind, EncodeError, PacketType, Property, PropertyId, Utf8, Value, Version,
    property, varint,
};

/// Properties of one packet, checked when read or built, and kept in their encoded form, without the length in front.
///
/// Cloning costs a reference count; [`contains`](Self::contains), and every getter of an absent property, one bit test. The others walk over
/// the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    pub(super) raw: Bytes,
    /// Set of the property identifiers that occur, one bit each.
    pub(super) present: u64,
    /// Packet types in which all of these properties may occur together.
    pub(super) places: Places,
}

impl Default for Properties {
    /// Returns properties without any entry.
    fn default() -> Self {
        Self { raw: Bytes::new(), present: 0, places: Places::MAX }
    }
}

impl Properties {
    /// Checks encoded properties, without the length in front, such as those from [`as_bytes`](Self::as_bytes). Every property must be known,
    /// of its type and in its range, and there must be a packet type in which they may occur together. Copies nothing.
    pub fn from_raw(raw: Bytes) -> Result<Self, DecodeError> {
        Self::parse(raw, u16::MAX, false).map_err(|(kind, offset)| DecodeError { kind, offset })
    }

    pub(crate) fn parse(
        raw: Bytes,
        max_user: u16,
        drops_bad_response_topic: bool,
    ) -> Result<Self, (DecodeErrorKind, usize)> {
        let (mut present, mut places, mut user) = (0, Places::MAX, 0u16);
        let mut rest: &[u8] = &raw;
        while !rest.is_empty() {
            let at = raw.len() - rest.len();
            let (found, tail) =
                property::split_unchecked(rest).map_err(|(kind, inner)| (kind, at + inner))?;
            if let Err(kind) = property::check(&found) {
                if drops_bad_response_topic && found.id == PropertyId::ResponseTopic {
                    let without =
                        [raw.get(..at), Some(tail)].into_iter().flatten().collect::<Vec<_>>().concat();
                    return Self::parse(without.into(), max_user, false);
                }
                return Err((kind, at));
            }
            join(found.id, &mut present, &mut places).map_err(|kind| (kind, at))?;
            if found.id == PropertyId::UserProperty {
                user = user.saturating_add(1);
                if user > max_user {
                    return Err((DecodeErrorKind::TooManyUserProperties(max_user), at));
                }
            }
            rest = tail;
        }
        Ok(Self { raw, present, places })
    }

    /// Checks that these properties may occur in `packet`. The error names the first that may not.
    pub(crate) fn check_for(&self, packet: PacketType) -> Result<(), DecodeErrorKind> {
        self.check_place(place(packet))?;
        // §3.1.2.11.10; §3.15.2.2.2 has an AUTH name its method, but for the empty one of a success, which `Auth` looks after.
        if self.contains(PropertyId::AuthenticationData) && !self.contains(PropertyId::AuthenticationMethod) {
            return Err(DecodeErrorKind::NoAuthenticationMethod);
        }
        Ok(())
    }

    pub(crate) fn check_for_will(&self) -> Result<(), DecodeErrorKind> {
        self.check_place(WILL)
    }

    /// Number of bytes on the wire, with the length in front; 0 in 3.1.1, which has no properties.
    pub(crate) fn encoded_len(&self, version: Version) -> Result<u64, EncodeError> {
        let len = self.raw.len() as u64;
        match (version, u32::try_from(len)) {
            (Version::V311, Ok(0)) => Ok(0),
            (Version::V311, _) => Err(EncodeError::NotInV311("properties")),
            (Version::V5, Ok(value)) if value <= varint::MAX => Ok(varint::len(value) as u64 + len),
            (Version::V5, _) => Err(EncodeError::TooLong(len)),
        }
    }

    /// Appends the properties in the length that [`encoded_len`](Self::encoded_len) returned.
    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        if version == Version::V5 {
            varint::write(u32::try_from(self.raw.len()).unwrap_or(varint::MAX).min(varint::MAX), out);
            out.put_slice(&self.raw);
        }
    }

    fn check_place(&self, here: Places) -> Result<(), DecodeErrorKind> {
        if self.places & here != 0 {
            return Ok(());
        }
        let mut seen = 0;
        for id in self.iter().map(|p| p.id) {
            if id.places() & here == 0 {
                return Err(DecodeErrorKind::PropertyNotAllowed(id));
            }
            if seen & id.bit() != 0 && id.repeats() & here == 0 {
                return Err(DecodeErrorKind::DuplicateProperty(id));
            }
            seen |= id.bit();
        }
        Ok(())
    }

    /// Properties in their encoded form, without the length in front.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// Returns whether there are no properties.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Returns whether the property occurs.
    pub fn contains(&self, id: PropertyId) -> bool {
        self.present & id.bit() != 0
    }

    /// Returns the properties in the order of the packet.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.raw }
    }

    /// Returns the value of the first property with this identifier; `None` if it does not occur.
    pub fn get(&self, id: PropertyId) -> Option<Value<'_>> {
        if !self.contains(id) {
            return None;
        }
        self.iter().find(|p| p.id == id).map(|p| p.value)
    }

    /// The value of a numeric property of any width; `None` if it is absent or not numeric.
    pub fn u32(&self, id: PropertyId) -> Option<u32> {
        match self.get(id)? {
            Value::Byte(value) => Some(value.into()),
            Value::U16(value) => Some(value.into()),
            Value::U32(value) | Value::Varint(value) => Some(value),
            Value::Utf8(_) | Value::Binary(_) | Value::Pair(..) => None,
        }
    }

    /// The value of a two byte property, such as Receive Maximum; `None` if it is absent or of another type.
    pub fn u16(&self, id: PropertyId) -> Option<u16> {
        match self.get(id)? {
            Value::U16(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a byte property that is 0 or 1, such as Retain Available; `None` if it is absent or of another type.
    pub fn flag(&self, id: PropertyId) -> Option<bool> {
        match self.get(id)? {
            Value::Byte(value) => Some(value == 1),
            _ => None,
        }
    }

    /// The value of a string property; `None` if it is absent or of another type.
    pub fn str(&self, id: PropertyId) -> Option<&str> {
        match self.get(id)? {
            Value::Utf8(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a text property, as [`str`](Self::str) does, as a slice of the same buffer.
    pub fn utf8(&self, id: PropertyId) -> Option<Utf8> {
        self.str(id).and_then(|text| Utf8::new(self.raw.slice_ref(text.as_bytes())).ok())
    }

    /// The value of a binary property, as a slice of the same buffer; `None` if it is absent or of another type.
    pub fn binary(&self, id: PropertyId) -> Option<Bytes> {
        match self.get(id)? {
            Value::Binary(bytes) => Some(self.raw.slice_ref(bytes)),
            _ => None,
        }
    }

    /// Returns the names and values of the user properties in the packet's order. A name may occur several times (§3.1.2.11.8).
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter_map(|p| match p.value {
            Value::Pair(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Returns the value of the first user property of that name; `None` if there is none.
    pub fn user_property(&self, name: &str) -> Option<&str> {
        self.user_properties().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Returns the subscription identifiers of a PUBLISH, which may have several (§3.3.2.3.8).
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> {
        self.iter().filter_map(|p| match (p.id, p.value) {
            (PropertyId::SubscriptionIdentifier, Value::Varint(id)) => Some(id),
            _ => None,
        })
    }

    /// Returns these properties without the named ones. Properties that belong to one connection (Topic Alias, Subscription Identifier) must
    /// not be passed on. Copies nothing if none of them occurs.
    #[must_use]
    pub fn without(&self, ids: &[PropertyId]) -> Self {
        if !ids.iter().any(|id| self.contains(*id)) {
            return self.clone();
        }
        let mut kept = PropertiesBuilder::new();
        for property in self.iter().filter(|p| !ids.contains(&p.id)) {
            // A part of what stood together stands together.
            let _ = kept.push(property.id, property.value);
        }
        kept.finish()
    }

    /// Returns the properties that a forwarded message keeps, and its Message Expiry Interval in milliseconds; `None` if it has none.
    pub(crate) fn handed_on(&self) -> (Self, Option<u64>) {
        let expiry_s = self.u32(PropertyId::MessageExpiryInterval);
        let properties = self.without(&[
            PropertyId::TopicAlias,
            PropertyId::SubscriptionIdentifier,
            PropertyId::MessageExpiryInterval,
        ]);
        (properties, expiry_s.map(|seconds| u64::from(seconds) * 1000))
    }

    /// Copies the properties, so that they do not keep a receive buffer alive.
    pub(crate) fn detached(&self) -> Self {
        Self { raw: Bytes::copy_from_slice(&self.raw), present: self.present, places: self.places }
    }

    /// Returns the properties with this Message Expiry Interval in seconds (§3.3.2.3.3), in place of their own.
    pub(crate) fn with_expiry_s(&self, seconds: u32) -> Self {
        let mut changed = self.without(&[PropertyId::MessageExpiryInterval]).to_builder();
        match changed.push(PropertyId::MessageExpiryInterval, Value::U32(seconds)) {
            Ok(_) => changed.finish(),
            Err(_) => self.clone(),
        }
    }

    /// Returns a builder that begins with a copy of these properties.
    pub fn to_builder(&self) -> PropertiesBuilder {
        self.to_builder_with_room(0)
    }

    /// Returns a builder that begins with a copy of these properties, and has room for `bytes` more without another allocation.
    pub(crate) fn to_builder_with_room(&self, bytes: usize) -> PropertiesBuilder {
        let mut raw = BytesMut::with_capacity(self.raw.len() + bytes);
        raw.extend_from_slice(&self.raw);
        PropertiesBuilder { raw, present: self.present, places: self.places }
    }
}

/// Iterator over properties, made by [`Properties::iter`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        // Checked when the `Properties` were made: an error cannot come, and would end the walk.
        let (property, rest) = property::split_first(self.rest).ok()?;
        self.rest = rest;
        Some(property)
    }
}
