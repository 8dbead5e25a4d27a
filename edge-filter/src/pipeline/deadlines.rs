//! Next deadline of every sensor, in a binary heap that knows the place of each sensor in it.

use super::intern::reserve_one;

/// Deadlines, at most one per sensor. Setting one costs O(log n); getting one, or the first, costs O(1). Nothing is ever searched through, and
/// a moved deadline leaves nothing behind, so memory is 16 bytes per sensor whatever the traffic.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    /// Sensors, ordered by deadline and then by number, so that ties do not depend on history.
    heap: Vec<u32>,
    /// Deadline per sensor, so that a reading finds its sensor's without the heap.
    deadlines: Vec<i64>,
    /// Place in `heap` per sensor, or `ABSENT` if the sensor has no deadline; its deadline is then `NEVER`.
    places: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;
const NEVER: i64 = i64::MAX;

impl Deadlines {
    /// Makes room for one more sensor.
    pub(super) fn add_sensor(&mut self) {
        reserve_one(&mut self.places);
        self.places.push(ABSENT);
        reserve_one(&mut self.deadlines);
        self.deadlines.push(NEVER);
        if self.heap.capacity() < self.places.len() {
            self.heap.reserve_exact(self.places.capacity() - self.heap.len());
        }
    }

    /// Returns the earliest deadline and its sensor; `None` if no sensor has one.
    pub(super) fn first(&self) -> Option<(i64, u32)> {
        self.at(0)
    }

    /// Returns the deadline of one sensor; `None` if it has none.
    #[inline]
    pub(super) fn of(&self, sensor: u32) -> Option<i64> {
        match *self.deadlines.get(sensor as usize)? {
            NEVER if self.places.get(sensor as usize) == Some(&ABSENT) => None,
            deadline => Some(deadline),
        }
    }

    /// Sets the deadline of one sensor, or removes it with `None`.
    pub(super) fn set(&mut self, sensor: u32, deadline: Option<i64>) {
        let (Some(place), Some(known)) =
            (self.places.get_mut(sensor as usize), self.deadlines.get_mut(sensor as usize))
        else {
            return;
        };
        let before = std::mem::replace(known, deadline.unwrap_or(NEVER));
        match (*place, deadline) {
            (ABSENT, None) => {}
            (ABSENT, Some(_)) => {
                self.heap.push(sensor);
                self.rise(self.heap.len() - 1);
            }
            (place, Some(deadline)) => self.moved(place as usize, deadline < before),
            (hole, None) => {
                *place = ABSENT;
                // The last entry fills the hole, unless it was the hole.
                if let Some(last) = self.heap.pop()
                    && let Some(entry) = self.heap.get_mut(hole as usize)
                {
                    *entry = last;
                    let earlier = self.at(hole as usize) < Some((before, sensor));
                    self.moved(hole as usize, earlier);
                }
            }
        }
    }

    /// Returns deadline and sensor at a place of the heap.
    fn at(&self, place: usize) -> Option<(i64, u32)> {
        let sensor = *self.heap.get(place)?;
        Some((*self.deadlines.get(sensor as usize)?, sensor))
    }

    fn moved(&mut self, place: usize, earlier: bool) {
        if earlier { self.rise(place) } else { self.sink(place) }
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.at(parent) <= self.at(place) {
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
            let right_is_first = right < self.heap.len() && self.at(right) < self.at(left);
            let child = if right_is_first { right } else { left };
            if child >= self.heap.len() || self.at(place) <= self.at(child) {
                break;
            }
            self.heap.swap(place, child);
            self.note(place);
            place = child;
        }
        self.note(place);
    }

    /// Stores the heap index of the sensor that is now at `place` of the heap.
    fn note(&mut self, place: usize) {
        if let Some(&sensor) = self.heap.get(place)
            && let Some(place_of) = self.places.get_mut(sensor as usize)
        {
            *place_of = u32::try_from(place).unwrap_or(ABSENT);
        }
    }
}

/// Returns the earlier of two deadlines; `None` if there is neither.
pub(super) fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
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
