//! Values that were left out of a configuration, and problems that may only follow from them.

use super::parsed_text::ParsedText;
use super::path::Place;
use hashbrown::{HashMap, HashSet};

/// Value that was left out because it could not be read.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct LeftOut {
    pub(in crate::pipeline) place: Place,
    /// True if its key has no meaning there. It may be a misspelt one.
    pub(in crate::pipeline) is_unknown: bool,
}

/// All values that were left out of a file, by place, since a file may have as many errors as lines, and each is compared with the others.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct LeftOutValues {
    count: usize,
    places: HashSet<Place>,
    /// Lists of which an element was left out.
    lists: HashSet<Place>,
    /// Keys without a meaning, by their tables.
    unknown: HashMap<Place, Vec<String>>,
}

impl LeftOutValues {
    pub(in crate::pipeline) fn add(&mut self, LeftOut { place, is_unknown }: LeftOut) {
        self.count += 1;
        self.lists.extend(place.list());
        if let Some((table, key)) = place.split_key().filter(|_| is_unknown) {
            self.unknown.entry(table).or_default().push(key.to_owned());
        }
        self.places.insert(place);
    }

    /// Returns the number of values that were left out.
    pub(in crate::pipeline) fn count(&self) -> usize {
        self.count
    }

    /// Returns whether a problem at `place` may follow from a value that was left out: one that [touches](Self::touch) the place, or one whose
    /// key may have been meant as a key on the way there.
    pub(in crate::pipeline) fn explain(&self, place: &Place, text: &ParsedText<'_>) -> bool {
        self.touch(place) || place.prefixes().any(|above| self.is_meant(&above, text))
    }

    /// Returns whether the place, a place above it, or an element of it was left out.
    pub(in crate::pipeline) fn touch(&self, place: &Place) -> bool {
        self.lists.contains(place) || place.prefixes().any(|above| self.places.contains(&above))
    }

    /// Returns whether the text lacks `place`, and a key without a meaning may be its last key misspelt.
    fn is_meant(&self, place: &Place, text: &ParsedText<'_>) -> bool {
        let Some((table, key)) = place.split_key().filter(|_| !self.unknown.is_empty()) else { return false };
        !place.is_in(text.tables()) && self.unknown_alike(&table, key).next().is_some()
    }

    /// Returns the keys without a meaning in `table` that may be `key` misspelt.
    pub(in crate::pipeline) fn unknown_alike<'k>(
        &'k self,
        table: &Place,
        key: &'k str,
    ) -> impl Iterator<Item = &'k str> {
        let unknown = self.unknown.get(table).map(Vec::as_slice).unwrap_or_default();
        unknown.iter().map(String::as_str).filter(move |unknown| alike(unknown, key))
    }
}

/// Returns whether one name may be the other one misspelt: at least half of it is the same, or it has the same letters.
pub(in crate::pipeline) fn alike(left: &str, other: &str) -> bool {
    let sorted = |name: &str| {
        let mut letters: Vec<char> = name.chars().collect();
        letters.sort_unstable();
        letters
    };
    let right: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (1..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let (mut diagonal, mut last) = (above, above + 1);
        for (cell, expected) in row.iter_mut().zip(&right) {
            let least = (diagonal + usize::from(letter != *expected)).min(last + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, least);
            last = least;
        }
    }
    let distance = row.last().copied().unwrap_or_else(|| left.chars().count());
    distance * 2 <= right.len().max(left.chars().count()) || sorted(left) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_that_was_left_out_explains_its_own_list_and_not_the_element_around_it() {
        let left_out = |place: &Place| {
            let mut values = LeftOutValues::default();
            values.add(LeftOut { place: place.clone(), is_unknown: false });
            values
        };
        let stage = Place::root().key("stage").index(1);
        let levels = stage.key("levels");
        for element in [levels.index(2), levels.index(2).index(0)] {
            let values = left_out(&element);
            assert!(values.touch(&levels) && values.touch(&element), "{element}");
            assert!(!values.touch(&stage) && !values.touch(&Place::root().key("stage")), "{element}");
        }
        let values = left_out(&stage.key("unit"));
        assert!(values.touch(&stage.key("unit")));
        assert!(!values.touch(&stage) && !values.touch(&levels));
    }

    #[test]
    fn a_key_without_a_meaning_explains_what_is_missing_beside_it_and_nothing_that_is_there() {
        let (text, _) = ParsedText::parse("[own]\nlow = 1\nlwo = 2\nhihg = { limit = 3 }\n");
        let own = Place::root().key("own");
        let mut values = LeftOutValues::default();
        for key in ["lwo", "hihg"] {
            values.add(LeftOut { place: own.key(key), is_unknown: true });
        }
        let high = own.key("high");
        for place in [high.clone(), high.key("limit"), own.key("hihg")] {
            assert!(values.explain(&place, &text), "{place}");
        }
        for place in [own.key("low"), own.key("unit"), Place::root().key("high")] {
            assert!(!values.explain(&place, &text), "{place}");
        }
    }

    #[test]
    fn a_slip_is_alike_and_another_word_is_not() {
        for (left, right) in [
            ("lisen", "listen"),
            ("ist", "is"),
            ("stale_ms", "stale_after_ms"),
            ("pdi", "pid"),
            ("at", "as"),
            ("k", "k"),
        ] {
            assert!(alike(left, right) && alike(right, left), "{left} {right}");
        }
        for (left, right) in [("extra", "input"), ("k", "x"), ("unit", "range"), ("", "k"), ("on", "limits")]
        {
            assert!(!alike(left, right) && !alike(right, left), "{left} {right}");
        }
    }
}
