//! The next deadline of every sensor: a binary heap that knows where each sensor is in it.

use super::intern::reserve_one;

/// At most one deadline per sensor. Setting one costs O(log n) and finding the first O(1); nothing is ever scanned,
/// and a moved deadline leaves nothing behind, so memory is 16 bytes per sensor whatever the traffic.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    heap: Vec<Entry>,
    /// Per sensor its place in `heap`, or `ABSENT`.
    places: Vec<u32>,
}

/// Ordered by deadline, then by sensor, so that ties do not depend on history.
type Entry = (i64, u32);

const ABSENT: u32 = u32::MAX;

impl Deadlines {
    /// Makes room for one more sensor.
    pub(super) fn add_sensor(&mut self) {
        reserve_one(&mut self.places);
        self.places.push(ABSENT);
        if self.heap.capacity() < self.places.len() {
            self.heap.reserve_exact(self.places.capacity() - self.heap.len());
        }
    }

    /// The earliest deadline and its sensor.
    pub(super) fn first(&self) -> Option<Entry> {
        self.heap.first().copied()
    }

    /// The deadline of one sensor.
    pub(super) fn of(&self, sensor: u32) -> Option<i64> {
        let place = *self.places.get(sensor as usize)?;
        self.heap.get(place as usize).map(|entry| entry.0)
    }

    /// Sets or removes the deadline of one sensor.
    pub(super) fn set(&mut self, sensor: u32, deadline: Option<i64>) {
        let Some(&place) = self.places.get(sensor as usize) else { return };
        match (place, deadline) {
            (ABSENT, None) => {}
            (ABSENT, Some(deadline)) => {
                self.heap.push((deadline, sensor));
                self.rise(self.heap.len() - 1);
            }
            (place, Some(deadline)) => self.replace(place as usize, (deadline, sensor)),
            (place, None) => {
                if let Some(place_of) = self.places.get_mut(sensor as usize) {
                    *place_of = ABSENT;
                }
                // The last entry fills the hole, unless it was the hole.
                if let Some(last) = self.heap.pop()
                    && (place as usize) < self.heap.len()
                {
                    self.replace(place as usize, last);
                }
            }
        }
    }

    fn replace(&mut self, place: usize, entry: Entry) {
        if let Some(old) = self.heap.get_mut(place)
            && *old != entry
        {
            let earlier = entry < *old;
            *old = entry;
            if earlier { self.rise(place) } else { self.sink(place) }
        }
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap.get(parent) <= self.heap.get(place) {
                break;
            }
            self.heap.swap(parent, place);
            self.note(place);
            place = parent;
        }
        self.note(place);
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let right_is_first = right < self.heap.len() && self.heap.get(right) < self.heap.get(left);
            let child = if right_is_first { right } else { left };
            if child >= self.heap.len() || self.heap.get(place) <= self.heap.get(child) {
                break;
            }
            self.heap.swap(place, child);
            self.note(place);
            place = child;
        }
        self.note(place);
    }

    /// Writes down who is at `place`.
    fn note(&mut self, place: usize) {
        if let Some(&(_, sensor)) = self.heap.get(place)
            && let Some(place_of) = self.places.get_mut(sensor as usize)
        {
            *place_of = u32::try_from(place).unwrap_or(ABSENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0u32..12, prop::option::of(-5i64..20)), 0..200)) {
            let mut deadlines = Deadlines::default();
            let mut model = BTreeMap::new();
            for _ in 0..12 {
                deadlines.add_sensor();
            }
            for (sensor, deadline) in steps {
                deadlines.set(sensor, deadline);
                match deadline {
                    Some(d) => model.insert(sensor, d),
                    None => model.remove(&sensor),
                };
                prop_assert_eq!(deadlines.first(), model.iter().map(|(&s, &d)| (d, s)).min());
                for s in 0..13 {
                    prop_assert_eq!(deadlines.of(s), model.get(&s).copied());
                }
            }
        }
    }
}
