//! Arrays on the way to a field of the map: elements by the index of a JSON Pointer, and the list of which every entry is a reading.

#![deny(clippy::indexing_slicing)]

use super::super::map::Role;
use super::super::visitor_state::Guard;
use super::{Draft, Member, Parts, object};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads an array that lies on the way to a field. `level`: its depth in the input.
pub(super) fn array<'de, A: SeqAccess<'de>>(
    guard: &mut Guard<'de, '_>,
    level: usize,
    draft: &mut Draft<'de>,
    access: A,
) -> Result<(), A::Error> {
    guard.check_depth(level)?;
    if guard.is_at_list() {
        let entries = draft.entries.get_or_insert_default();
        return list(guard, level, entries, access);
    }
    elements(guard, level, draft, access)
}

/// Reads each element as the field whose key is its index: `0`, `1`, …, as RFC 6901 writes them.
fn elements<'de, A: SeqAccess<'de>>(
    guard: &mut Guard<'de, '_>,
    level: usize,
    draft: &mut Draft<'de>,
    mut access: A,
) -> Result<(), A::Error> {
    let this = guard.open();
    for index in 0_usize.. {
        guard.index(this, index);
        if access.next_element_seed(Member { guard, level, draft })?.is_none() {
            break;
        }
    }
    guard.close(this);
    Ok(())
}

/// Reads each entry as a reading's object of its own, from which the map's pointers lead.
fn list<'de, A: SeqAccess<'de>>(
    guard: &mut Guard<'de, '_>,
    level: usize,
    entries: &mut Vec<Parts<'de>>,
    mut access: A,
) -> Result<(), A::Error> {
    let around = guard.begin_list();
    let level = level.saturating_add(1);
    while access.next_element_seed(Entry { guard, level, entries })?.is_some() {}
    guard.end_list(around);
    Ok(())
}

/// Seed that reads an entry of the list. `level`: its depth in the input.
struct Entry<'g, 'e, 'de, 'm> {
    guard: &'g mut Guard<'de, 'm>,
    level: usize,
    entries: &'e mut Vec<Parts<'de>>,
}

impl<'de> DeserializeSeed<'de> for Entry<'_, '_, 'de, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_, 'de, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reading's object")
    }
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        let Self { guard, level, entries } = self;
        guard.count_reading()?;
        let mut draft = Draft::default();
        object(guard, level, Some(&mut draft), access)?;
        if draft.parts.value.is_none() {
            return Err(guard.missing(guard.map.name(Role::Value)));
        }
        entries.push(draft.parts);
        Ok(())
    }
}
