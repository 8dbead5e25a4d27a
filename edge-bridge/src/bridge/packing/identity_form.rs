//! Identity of a raw message on the wire: text in a user property, or a short binary form as MQTT 5 Correlation Data.
//!
//! Binary form, 11 to 24 bytes: one byte `0xf8 + lane` (lanes 0 to 7), eight bytes of gateway id with the highest first, then epoch and
//! sequence number as LEB128 varints of as few bytes as they need. No text in UTF-8 begins with such a byte, so no text is taken for one. The
//! mark of a possible duplicate is not part of it, so both copies of a row have the same bytes, which can serve as a key.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};

use crate::bridge::spool::{Identity, Leased};
use crate::wire::{Properties, PropertiesBuilder, PropertyId, Value};

/// User property with the identity as text.
const ID_PROPERTY: &str = "edge-id";
/// User property with the mark of a possible duplicate, and its value.
const MARK_PROPERTY: &str = "edge-pd";
const MARK: &str = "1";
/// Longest identity as text, in bytes: 64, 8, 32 and 64 bits in hexadecimal, and three separators.
const TEXT_MAX: usize = 16 + 2 + 8 + 16 + 3;
/// Most bytes that the identity adds to the properties, with the heads of both.
const ADDED_MAX: usize = 5 + ID_PROPERTY.len() + TEXT_MAX + 5 + MARK_PROPERTY.len() + MARK.len();

/// High five bits of the binary form's first byte. The low three bits are the lane.
const TAG: u8 = 0xf8;
const LANE_BITS: u8 = 0x07;

/// Form in which raw messages carry their [`Identity`]. From a `bool`, `true` makes [`Text`](Self::Text) and `false` [`Off`](Self::Off).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityForm {
    /// No identity is sent, so that a copy cannot be recognised.
    #[default]
    Off,
    /// User properties: `edge-id` with `gateway-lane-epoch-seq` in hexadecimal and, on a possible duplicate, `edge-pd` with value `1`.
    Text,
    /// Correlation Data, as [`Identity::to_correlation_data`] makes it, and `edge-pd` as in [`Text`](Self::Text). A message whose publisher
    /// set Correlation Data or a Response Topic keeps its own and carries `edge-id`, because a responder sends the requester's Correlation
    /// Data back.
    Binary,
}

impl From<bool> for IdentityForm {
    fn from(on: bool) -> Self {
        if on { Self::Text } else { Self::Off }
    }
}

impl IdentityForm {
    /// Returns the properties of a row's message: the row's own, and those of this form as far as they fit in the format's limit.
    pub(in crate::bridge) fn properties(self, row: &Leased) -> Properties {
        if self == Self::Off {
            return row.row.properties.clone();
        }
        let mut properties = row.row.properties.to_builder_with_room(ADDED_MAX);
        if let Some(identity) = &row.identity {
            let own = &row.row.properties;
            let is_request = [PropertyId::CorrelationData, PropertyId::ResponseTopic];
            let is_request = is_request.into_iter().any(|id| own.contains(id));
            let is_text = self == Self::Text || is_request || !push_binary(&mut properties, identity);
            if is_text {
                let mut text = String::with_capacity(TEXT_MAX);
                // Writing to a string does not fail.
                let _ = write!(text, "{identity}");
                let _ = properties.user(ID_PROPERTY, &text);
            }
        }
        if row.row.possible_duplicate {
            let _ = properties.user(MARK_PROPERTY, MARK);
        }
        properties.finish()
    }
}

/// Appends the binary form. Returns `false` if it does not fit, or the lane has none.
fn push_binary(properties: &mut PropertiesBuilder, identity: &Identity) -> bool {
    let data = identity.to_correlation_data();
    data.is_some_and(|data| properties.push(PropertyId::CorrelationData, Value::Binary(&data)).is_ok())
}

/// Returns the identity of a raw message as `gateway-lane-epoch-seq`, whichever form carries it; `None` if none does. The text of `edge-id` is
/// returned unchecked, and goes before Correlation Data, which then belongs to the publisher.
///
/// ```
/// use edge_bridge::bridge::identity_text;
/// use edge_bridge::bridge::spool::Identity;
/// use edge_bridge::wire::{PropertiesBuilder, PropertyId, Value};
///
/// let identity = Identity { gateway: 0x5f0c_9d2a_b1e8_4733, lane: 1, epoch: 2, seq: 4_210 };
/// let data = identity.to_correlation_data().unwrap();
/// assert_eq!(data.len(), 12);
/// let mut properties = PropertiesBuilder::new();
/// properties.push(PropertyId::CorrelationData, Value::Binary(&data)).unwrap();
/// assert_eq!(identity_text(&properties.finish()).unwrap(), "5f0c9d2ab1e84733-1-2-1072");
/// ```
pub fn identity_text(properties: &Properties) -> Option<Cow<'_, str>> {
    if let Some(text) = properties.user_property(ID_PROPERTY) {
        return Some(Cow::Borrowed(text));
    }
    let data = properties.binary(PropertyId::CorrelationData)?;
    Identity::from_correlation_data(&data).map(|identity| Cow::Owned(identity.to_string()))
}

/// Returns whether a raw message is marked as a possible duplicate, because it may have been sent before under another identity.
pub fn is_possible_duplicate(properties: &Properties) -> bool {
    properties.user_property(MARK_PROPERTY) == Some(MARK)
}

impl Identity {
    /// Returns the binary form of 11 to 24 bytes; `None` for a lane above 7, for which there is only text.
    pub fn to_correlation_data(&self) -> Option<Bytes> {
        if self.lane > LANE_BITS {
            return None;
        }
        let mut out = BytesMut::with_capacity(24);
        out.put_u8(TAG | self.lane);
        out.put_u64(self.gateway);
        put_varint(self.epoch.into(), &mut out);
        put_varint(self.seq, &mut out);
        Some(out.freeze())
    }

    /// Reads the binary form; `None` for other Correlation Data. Accepts only bytes that [`to_correlation_data`](Self::to_correlation_data)
    /// makes.
    pub fn from_correlation_data(data: &[u8]) -> Option<Self> {
        let (first, rest) = data.split_first()?;
        if first & !LANE_BITS != TAG {
            return None;
        }
        let (gateway, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = split_varint(rest)?;
        let (seq, rest) = split_varint(rest)?;
        let identity = Self {
            gateway: u64::from_be_bytes(*gateway),
            lane: first & LANE_BITS,
            epoch: u32::try_from(epoch).ok()?,
            seq,
        };
        rest.is_empty().then_some(identity)
    }
}

/// Appends a LEB128 varint, seven bits to a byte, the low ones first.
fn put_varint(mut value: u64, out: &mut BytesMut) {
    while value > 0x7f {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Splits off a varint of at most 64 bits. `None` unless it is whole and in its shortest form.
fn split_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        let shifted = part << (7 * at);
        // Bits that a number of 64 does not have.
        if shifted >> (7 * at) != part {
            return None;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            let is_minimal = *byte != 0 || at == 0;
            return is_minimal.then(|| (value, bytes.get(at + 1..).unwrap_or_default()));
        }
    }
    None
}

#[cfg(test)]
mod tests;
