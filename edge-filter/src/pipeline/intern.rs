//! Names to numbers, with a bound: a table of places over one string of all names, since a map of shared strings would
//! take half of what a sensor may cost.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Names of sensors and their numbers: 0, 1, 2, … in the order of first appearance. When a name is removed, its place is used again under a
/// number that was never given out before.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Hasher with a seed per table, because names come from the network and an attacker must not be able to choose
    /// names that collide.
    hasher: DefaultHashBuilder,
    /// Places of the names, found by name.
    table: HashTable<u32>,
    /// All names in one string; `spans` has the start and end of each.
    text: String,
    spans: Vec<(u32, u32)>,
    /// Number of reuses of each place; empty until the first removal.
    generations: Vec<u32>,
    free: Option<u32>,
    removed_bytes: usize,
    max: u32,
}

impl Names {
    pub(super) fn new(max: usize) -> Self {
        // The last number is `Pipeline::UNFILTERED`.
        let max = u32::try_from(max).unwrap_or(u32::MAX).min(u32::MAX - 1);
        Names {
            hasher: DefaultHashBuilder::default(),
            table: HashTable::new(),
            text: String::new(),
            spans: Vec::new(),
            generations: Vec::new(),
            free: None,
            removed_bytes: 0,
            max,
        }
    }

    #[inline]
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        let place = self.table.find(self.hasher.hash_one(name.as_bytes()), |place| self.is(*place, name))?;
        Some(self.number_of(*place))
    }

    /// Returns a number for a new name; `None` when there is no room.
    pub(super) fn add(&mut self, name: &str) -> Option<u32> {
        let place = match self.free {
            Some(place) => place,
            None if (self.spans.len() as u64) < u64::from(self.max) => {
                u32::try_from(self.spans.len()).ok()?
            }
            None => return None,
        };
        let start = u32::try_from(self.text.len()).ok()?;
        let end = u32::try_from(self.text.len().checked_add(name.len())?).ok()?;
        if self.text.capacity() - self.text.len() < name.len() {
            self.text.reserve_exact(name.len() + self.text.len() / 32);
        }
        self.text.push_str(name);
        match self.spans.get_mut(place as usize) {
            Some(span) => *span = (start, end),
            None => {
                reserve_one(&mut self.spans);
                self.spans.push((start, end));
            }
        }
        self.free = None;
        let (text, spans, hasher) = (&self.text, &self.spans, &self.hasher);
        let rehash = |place: &u32| hasher.hash_one(bytes_at(text, spans, *place).unwrap_or_default());
        self.table.insert_unique(hasher.hash_one(name.as_bytes()), place, rehash);
        Some(self.number_of(place))
    }

    /// Removes a name. The next name that is added gets its place.
    pub(super) fn remove(&mut self, place: u32) {
        let Some(name) = bytes_at(&self.text, &self.spans, place) else { return };
        let hash = self.hasher.hash_one(name);
        let Ok(entry) = self.table.find_entry(hash, |other| *other == place) else { return };
        entry.remove();
        self.removed_bytes = self.removed_bytes.saturating_add(name.len());
        self.generations.resize(self.spans.len(), 0);
        let last = (u32::MAX - 1) / self.max.max(1) - 1;
        if let Some(generation) = self.generations.get_mut(place as usize) {
            // Only after some 400 000 uses of one of 10 000 places is a number given out again.
            *generation = if *generation >= last { 0 } else { *generation + 1 };
        }
        if let Some(span) = self.spans.get_mut(place as usize) {
            *span = (0, 0);
        }
        self.free = Some(place);
        if self.removed_bytes > self.text.len() / 2 + 4096 {
            self.compact();
        }
    }

    pub(super) fn name(&self, number: u32) -> Option<&str> {
        self.at(self.place(number)?)
    }

    /// Returns the place of a number; `None` if the number was never given out, or its name was removed.
    pub(super) fn place(&self, number: u32) -> Option<u32> {
        if self.generations.is_empty() {
            return ((number as usize) < self.spans.len()).then_some(number);
        }
        let (generation, place) = (number / self.max.max(1), number % self.max.max(1));
        let current = self.generations.get(place as usize).copied().unwrap_or(0);
        ((place as usize) < self.spans.len() && generation == current && self.free != Some(place))
            .then_some(place)
    }

    pub(super) fn number_of(&self, place: u32) -> u32 {
        let generation = self.generations.get(place as usize).copied().unwrap_or(0);
        generation.wrapping_mul(self.max).wrapping_add(place)
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len() - usize::from(self.free.is_some())
    }

    pub(super) fn max(&self) -> usize {
        self.max as usize
    }

    fn at(&self, place: u32) -> Option<&str> {
        let &(start, end) = self.spans.get(place as usize)?;
        self.text.get(start as usize..end as usize)
    }

    #[inline]
    fn is(&self, place: u32, name: &str) -> bool {
        bytes_at(&self.text, &self.spans, place) == Some(name.as_bytes())
    }

    /// Rewrites the string of names without those that were removed.
    fn compact(&mut self) {
        let mut text = String::with_capacity(self.text.len() - self.removed_bytes + 4096);
        for (start, end) in &mut self.spans {
            let begins = text.len() as u32;
            text.push_str(self.text.get(*start as usize..*end as usize).unwrap_or_default());
            (*start, *end) = (begins, text.len() as u32);
        }
        (self.text, self.removed_bytes) = (text, 0);
    }
}

/// Returns the bytes of a name, without the check of character boundaries that a slice of a `str` needs.
#[inline]
fn bytes_at<'a>(text: &'a str, spans: &[(u32, u32)], place: u32) -> Option<&'a [u8]> {
    let &(start, end) = spans.get(place as usize)?;
    text.as_bytes().get(start as usize..end as usize)
}

/// Makes room for one more element, and leaves at most a 32nd unused, where doubling would leave half, because the memory per sensor is
/// promised. All copies together stay proportional to the number of elements.
pub(super) fn reserve_one<T>(vec: &mut Vec<T>) {
    if vec.len() == vec.capacity() {
        vec.reserve_exact(vec.len() / 32 + 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn numbers_are_dense_and_bounded() {
        let mut names = Names::new(2);
        assert_eq!((names.add("a"), names.add("b"), names.add("c")), (Some(0), Some(1), None));
        assert_eq!((names.number("b"), names.number("c")), (Some(1), None));
        assert_eq!((names.name(0), names.name(2)), (Some("a"), None));
        assert_eq!(names.len(), 2);
        assert_eq!(Names::new(0).add("a"), None);
    }

    #[test]
    fn a_number_is_never_another_name() {
        let mut names = Names::new(2);
        let (a, b) = (names.add("a"), names.add("b"));
        names.remove(0);
        assert_eq!((names.number("a"), names.name(0), names.place(0), names.len()), (None, None, None, 1));
        let c = names.add("c");
        assert!(c != a && c != b && c.is_some());
        assert_eq!((c.and_then(|c| names.name(c)), names.name(0), names.number("b")), (Some("c"), None, b));
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0u32..60, any::<bool>()), 0..400)) {
            let mut names = Names::new(40);
            let mut model: HashMap<String, u32> = HashMap::new();
            for (name, remove) in steps {
                let name = format!("name/{}", "x".repeat(name as usize % 7) + &name.to_string());
                prop_assert_eq!(names.number(&name), model.get(&name).copied());
                match model.get(&name).copied() {
                    Some(number) if remove || model.len() == 40 => {
                        // At most one place is free at a time: the pipeline fills it at once.
                        let place = names.place(number);
                        prop_assert!(place.is_some());
                        place.into_iter().for_each(|place| names.remove(place));
                        model.remove(&name);
                        let fresh = format!("fresh/{}", number);
                        if !model.contains_key(&fresh) {
                            let added = names.add(&fresh);
                            model.extend(added.map(|added| (fresh, added)));
                        }
                    }
                    None if model.len() < 40 => model.extend(names.add(&name).map(|number| (name, number))),
                    _ => {}
                }
                for (name, &number) in &model {
                    prop_assert_eq!(names.name(number), Some(name.as_str()));
                }
            }
        }
    }
}
