//! Places of the keys of a configuration, made once for all findings that name a key alone: each would parse the files again. Pure.

use std::collections::HashMap;

use toml::de::{DeTable, DeValue};

/// Most bytes of a full name that has a place: no valid key is longer. It bounds the memory, since each name holds all names above it.
const NAME_BYTES_MAX: usize = 100;

/// Byte offset of each key's value by its full name, such as `hub.url` or `route[2].to`.
#[derive(Clone, Debug)]
pub(super) struct KeyPlaces(HashMap<String, usize>);

impl KeyPlaces {
    pub(super) fn of(table: &DeTable<'_>) -> Self {
        let mut places = Self(HashMap::new());
        places.add("", table);
        places
    }

    /// Returns the place of a key's value, or else of the nearest table above it. `None`: there is none of these.
    pub(super) fn at(&self, key: &str) -> Option<usize> {
        let ends = key.match_indices('.').map(|(end, _)| end).chain([key.len()]);
        ends.map_while(|end| self.0.get(key.get(..end)?).copied()).last()
    }

    fn add(&mut self, above: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let name: &str = name.get_ref();
            if above.len() + name.len() > NAME_BYTES_MAX {
                continue;
            }
            let name = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
            match value.get_ref() {
                DeValue::Table(inner) => self.add(&name, inner),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let DeValue::Table(inner) = item.get_ref() else { continue };
                        let name = format!("{name}[{}]", index + 1);
                        self.add(&name, inner);
                        self.0.insert(name, item.span().start);
                    }
                }
                _ => {}
            }
            self.0.insert(name, value.span().start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each name would be held with all that stands above it.
    #[test]
    fn what_lies_below_a_long_name_has_no_place() {
        let long = "x".repeat(NAME_BYTES_MAX);
        let text = format!("{long}.a = 1\n{long}y = [{{ a = 1 }}]\na = 1\n");
        let table = DeTable::parse(&text).unwrap();
        let places = KeyPlaces::of(table.get_ref());
        assert_eq!(places.0.len(), 2, "{places:?}");
        assert_eq!(places.at(&format!("{long}.a")), Some(0));
        assert_eq!(places.at("a.b"), Some(text.len() - 2));
    }
}
