//! Visitors for serde that build records straight from the text, without a tree in between.

#![deny(clippy::indexing_slicing)]

mod array;

use super::map::Role;
use super::visitor_state::{Guard, Step};
use super::{TimeUnit, time};
use crate::error::quoted;
use crate::number_text::number;
use crate::{DecodeError, Value, base64, quality};
use array::array;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Parts of a reading that were seen.
#[derive(Default)]
pub(crate) struct Parts<'de> {
    pub(crate) sensor: Option<Cow<'de, str>>,
    pub(crate) unit: Option<Cow<'de, str>>,
    pub(crate) value: Option<Value<'de>>,
    /// Code, and whether it stands there as a number.
    pub(crate) quality: Option<(u32, bool)>,
    pub(crate) time: Option<i64>,
}

/// Reading's object of which some fields were seen.
#[derive(Default)]
pub(crate) struct Draft<'de> {
    pub(crate) parts: Parts<'de>,
    /// Numbers and booleans that become readings of their own, with their keys.
    pub(crate) each: Vec<(Cow<'de, str>, Value<'de>)>,
    /// Entries of the list of readings; `None` if the object has no such list.
    pub(crate) entries: Option<Vec<Parts<'de>>>,
}

/// Reads the fields of an object into `draft`; without a draft it only checks them. `level`: depth of the object in the input.
pub(crate) fn object<'de, A: MapAccess<'de>>(
    guard: &mut Guard<'de, '_>,
    level: usize,
    mut draft: Option<&mut Draft<'de>>,
    mut access: A,
) -> Result<(), A::Error> {
    guard.check_depth(level)?;
    let this = guard.open();
    while access.next_key_seed(Key { guard, object: this })?.is_some() {
        match &mut draft {
            None => access.next_value_seed(Node { guard, level, purpose: Purpose::Nothing })?,
            Some(draft) => access.next_value_seed(Member { guard, level, draft })?,
        }
    }
    guard.close(this);
    Ok(())
}

/// Seed that reads the value whose key the guard took last, by the role that the field map gives it.
struct Member<'g, 'd, 'de, 'm> {
    guard: &'g mut Guard<'de, 'm>,
    level: usize,
    draft: &'d mut Draft<'de>,
}

impl<'de> DeserializeSeed<'de> for Member<'_, '_, 'de, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { guard, level, draft } = self;
        let purpose = match guard.enter() {
            Step::Field(role) => {
                let scalar = Scalar { guard, role: Some(role) }.deserialize(deserializer)?;
                let scalar = out_of_text(guard, role, scalar);
                draft.parts.set(guard, role, scalar)?;
                guard.leave();
                return Ok(());
            }
            Step::Into => Purpose::Fields(draft),
            Step::Each => Purpose::Number(draft),
            Step::Skip => Purpose::Nothing,
        };
        Node { guard, level, purpose }.deserialize(deserializer)?;
        guard.leave();
        Ok(())
    }
}

impl<'de> Parts<'de> {
    /// Sets a field. Null counts as an absent field, except that a null value is a value.
    fn set<E: de::Error>(
        &mut self,
        guard: &mut Guard<'de, '_>,
        role: Role,
        scalar: Value<'de>,
    ) -> Result<(), E> {
        match (role, scalar) {
            (Role::Value | Role::Bytes, _) if self.value.is_some() => {
                return Err(guard.malformed("value and bytes in one reading"));
            }
            (Role::Value, value) => self.value = Some(value),
            (_, Value::Null) => {}
            (Role::Sensor, Value::Text(text)) => self.sensor = Some(text),
            (Role::Unit, Value::Text(text)) => self.unit = Some(text),
            (Role::Bytes, Value::Text(text)) => match base64::decode_url(&text) {
                Some(bytes) => self.value = Some(Value::Bytes(Cow::Owned(bytes))),
                None => return Err(guard.malformed("bytes are not base64url without padding")),
            },
            (Role::Quality, scalar) => match status_code(&scalar) {
                Some(code) => self.quality = Some(code),
                None => {
                    return Err(unexpected(
                        guard,
                        role,
                        "an OPC UA StatusCode or good, uncertain, bad",
                        &scalar,
                    ));
                }
            },
            (Role::Time, scalar) => match to_ms(&scalar, guard.map.time_unit) {
                Some(ms) => self.time = Some(ms),
                None => return Err(unexpected(guard, role, time_wanted(guard.map.time_unit), &scalar)),
            },
            (Role::Sensor | Role::Unit | Role::Bytes, other) => {
                return Err(unexpected(guard, role, "text", &other));
            }
        }
        Ok(())
    }
}

/// Returns the number in a text, if the map reads such texts as numbers and the field is a value or a time; else the scalar itself.
fn out_of_text<'de>(guard: &Guard<'de, '_>, role: Role, scalar: Value<'de>) -> Value<'de> {
    let may_be_number = guard.map.numbers_in_text && matches!(role, Role::Value | Role::Time);
    match &scalar {
        Value::Text(text) if may_be_number => number(text).unwrap_or(scalar),
        _ => scalar,
    }
}

fn whole(v: u64) -> Value<'static> {
    i64::try_from(v).map_or(Value::U64(v), Value::I64)
}

/// Returns the code, and whether it stands there as a number.
fn status_code(scalar: &Value<'_>) -> Option<(u32, bool)> {
    match scalar {
        Value::I64(code) => Some((u32::try_from(*code).ok()?, true)),
        Value::Text(text) if text.eq_ignore_ascii_case("good") => Some((quality::GOOD, false)),
        Value::Text(text) if text.eq_ignore_ascii_case("uncertain") => Some((quality::UNCERTAIN, false)),
        Value::Text(text) if text.eq_ignore_ascii_case("bad") => Some((quality::BAD, false)),
        _ => None,
    }
}

fn to_ms(scalar: &Value<'_>, unit: TimeUnit) -> Option<i64> {
    match (scalar, unit) {
        (Value::Text(text), TimeUnit::Rfc3339) => time::from_rfc3339(text),
        (Value::I64(v), unit) => time::from_int(*v, unit),
        (Value::F64(v), unit) => time::from_float(*v, unit),
        // Nanoseconds reach beyond i64 in the year 2262.
        (Value::U64(v), TimeUnit::Nanoseconds) => i64::try_from(*v / 1_000_000).ok(),
        (Value::U64(v), TimeUnit::Microseconds) => i64::try_from(*v / 1000).ok(),
        _ => None,
    }
}

fn time_wanted(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Seconds => "a time in seconds",
        TimeUnit::Milliseconds => "a time in milliseconds",
        TimeUnit::Microseconds => "a time in microseconds",
        TimeUnit::Nanoseconds => "a time in nanoseconds",
        TimeUnit::Rfc3339 => "a time as RFC 3339 text",
    }
}

fn unexpected<E: de::Error>(
    guard: &mut Guard<'_, '_>,
    role: Role,
    expected: &'static str,
    found: &Value<'_>,
) -> E {
    let found: Cow<'static, str> = match found {
        Value::Null => "null".into(),
        Value::Bool(v) => v.to_string().into(),
        Value::I64(v) => v.to_string().into(),
        Value::U64(v) => v.to_string().into(),
        Value::F64(v) => format!("{v:?}").into(),
        Value::Text(v) => format!("text {}", quoted(v)).into(),
        Value::Bytes(_) => "bytes".into(),
    };
    let field = guard.map.name(role);
    guard.fail(DecodeError::Unexpected { offset: 0, field, expected, found })
}

/// Seed that reads a key and gives it to the guard, which refuses duplicates.
pub(crate) struct Key<'g, 'de, 'm> {
    pub(crate) guard: &'g mut Guard<'de, 'm>,
    pub(crate) object: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_, 'de, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_, 'de, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<(), E> {
        self.guard.key(self.object, Cow::Borrowed(v))
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<(), E> {
        self.guard.key(self.object, Cow::Owned(v.to_owned()))
    }
}

/// Seed that reads a number, text, boolean or null. `role` is for the error message only.
pub(crate) struct Scalar<'g, 'de, 'm> {
    pub(crate) guard: &'g mut Guard<'de, 'm>,
    pub(crate) role: Option<Role>,
}

impl<'de> DeserializeSeed<'de> for Scalar<'_, 'de, '_> {
    type Value = Value<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Scalar<'_, '_, '_> {
    fn no_scalar<E: de::Error>(self, found: &'static str) -> E {
        let field = self.role.map_or(Cow::Borrowed("field"), |role| self.guard.map.name(role));
        let expected = "a number, text, bool or null";
        self.guard.fail(DecodeError::Unexpected { offset: 0, field, expected, found: found.into() })
    }
}

impl<'de> Visitor<'de> for Scalar<'_, 'de, '_> {
    type Value = Value<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, text, bool or null")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Value<'de>, E> {
        Ok(Value::I64(v))
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value<'de>, E> {
        Ok(whole(v))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value<'de>, E> {
        Ok(Value::F64(v))
    }
    fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Value<'de>, E> {
        self.guard.check_text(v.len())?;
        Ok(Value::Text(Cow::Borrowed(v)))
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<Value<'de>, E> {
        self.guard.check_text(v.len())?;
        Ok(Value::Text(Cow::Owned(v.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value<'de>, A::Error> {
        Err(self.no_scalar("an array"))
    }
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value<'de>, A::Error> {
        Err(self.no_scalar("an object"))
    }
}

/// Seed that reads anything inside a container of depth `level`. It checks everything, and keeps what its purpose needs.
pub(crate) struct Node<'g, 'd, 'de, 'm> {
    pub(crate) guard: &'g mut Guard<'de, 'm>,
    pub(crate) level: usize,
    pub(crate) purpose: Purpose<'d, 'de>,
}

/// Purpose for which a node is read.
pub(crate) enum Purpose<'d, 'de> {
    Nothing,
    /// Object or array on the way to a field of the map.
    Fields(&'d mut Draft<'de>),
    /// Place where a number or a boolean becomes a reading of its own.
    Number(&'d mut Draft<'de>),
}

impl<'de> Node<'_, '_, 'de, '_> {
    fn number<E: de::Error>(self, value: Value<'de>) -> Result<(), E> {
        if let Purpose::Number(draft) = self.purpose {
            self.guard.count_reading()?;
            draft.each.push((self.guard.own_last_key(), value));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_, 'de, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, 'de, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E: de::Error>(self, v: bool) -> Result<(), E> {
        self.number(Value::Bool(v))
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<(), E> {
        self.number(Value::I64(v))
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<(), E> {
        self.number(whole(v))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<(), E> {
        self.number(Value::F64(v))
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<(), E> {
        self.guard.check_text(v.len())?;
        match number(v).filter(|_| self.guard.map.numbers_in_text) {
            Some(value) => self.number(value),
            None => Ok(()),
        }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let level = self.level.saturating_add(1);
        if let Purpose::Fields(draft) = self.purpose {
            return array(self.guard, level, draft, access);
        }
        self.guard.check_depth(level)?;
        while access
            .next_element_seed(Node { guard: self.guard, level, purpose: Purpose::Nothing })?
            .is_some()
        {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        let draft = match self.purpose {
            Purpose::Fields(draft) => Some(draft),
            Purpose::Nothing | Purpose::Number(_) => None,
        };
        object(self.guard, self.level.saturating_add(1), draft, access)
    }
}
