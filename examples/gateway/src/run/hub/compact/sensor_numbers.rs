//! Numbers of a topic's sensors: 0, 1, 2 … in the order of their first reading, one per pair of name and unit. At the limit of sensors or bytes
//! those that were silent longest are forgotten, and the rest get new numbers.

use std::collections::HashMap;

use edge_codec::SensorTable;
use edge_codec::compact::Table;

/// Most sensors of a table, which then takes about 128 KiB.
pub(super) const SENSORS_MAX: usize = 4_096;
/// Most bytes of names and units together, which clients choose.
pub(super) const NAMES_BYTES_MAX: usize = 256 * 1024;
/// Fraction of either limit, one in so many, that forgetting frees, because each time makes a new table.
const FORGOTTEN_OF: usize = 4;
/// Memory of a place in the map, and of a sensor beside its name and unit: three blocks of the allocator.
const SLOT_BYTES: usize = 48;
const SENSOR_BYTES: usize = 96;

#[derive(Debug, Default)]
pub(super) struct Names {
    /// Sensors by name, one for each unit; there is rarely more than one.
    by_name: HashMap<Box<str>, Vec<Known>>,
    len: u32,
    /// Bytes of all names and units, each name counted for each of its units.
    bytes: usize,
    /// Number of the present batch, by which the longest silent sensors are found.
    batch: u64,
    generation: u64,
}

#[derive(Debug)]
struct Known {
    unit: Box<str>,
    number: u32,
    /// Number of the batch with the sensor's last reading.
    seen: u64,
}

impl Names {
    /// Reads the names of a table whose sensors have the numbers 0, 1, 2 …, in any order: a learned one has sensors that are polled together side by
    /// side. `None` for another table.
    pub(super) fn of(table: &Table) -> Option<Self> {
        let mut names = Self::default();
        let mut sensors: Vec<_> = table.sensors().collect();
        sensors.sort_unstable_by_key(|sensor| sensor.id);
        let is_ours =
            sensors.iter().zip(0..).all(|(s, n)| s.id == n && names.number(&s.name, &s.unit) == Some(n));
        is_ours.then_some(names)
    }

    /// Begins the next batch.
    pub(super) fn begin_batch(&mut self) {
        self.batch += 1;
    }

    /// Returns the number of a sensor with a reading in this batch. `None` if the sensor is new and the limit is reached.
    pub(super) fn number(&mut self, name: &str, unit: &str) -> Option<u32> {
        let known =
            self.by_name.get_mut(name).and_then(|units| units.iter_mut().find(|known| *known.unit == *unit));
        if let Some(known) = known {
            known.seen = self.batch;
            return Some(known.number);
        }
        let bytes = self.bytes + name.len() + unit.len();
        if self.len as usize >= SENSORS_MAX || bytes > NAMES_BYTES_MAX {
            return None;
        }
        self.bytes = bytes;
        let known = Known { unit: unit.into(), number: self.len, seen: self.batch };
        self.len += 1;
        let number = known.number;
        // There is rarely another unit, and a list that grows by itself has room for four.
        self.by_name.entry(name.into()).or_insert_with(|| Vec::with_capacity(1)).push(known);
        Some(number)
    }

    /// Returns the number of a sensor; `None` if it has none.
    pub(super) fn find(&self, name: &str, unit: &str) -> Option<u32> {
        let known = self.by_name.get(name)?.iter().find(|known| *known.unit == *unit)?;
        Some(known.number)
    }

    /// Forgets the sensors that were silent longest, but none of this batch, until a quarter of both limits is free. Returns the
    /// new number of each old one; `None` if nothing can be forgotten.
    pub(super) fn forget(&mut self) -> Option<Vec<Option<u32>>> {
        let mut silent: Vec<(u64, u32, usize)> = self
            .by_name
            .iter()
            .flat_map(|(name, units)| units.iter().map(move |known| (name.len(), known)))
            .filter(|(_, known)| known.seen < self.batch)
            .map(|(name_len, known)| (known.seen, known.number, name_len + known.unit.len()))
            .collect();
        if silent.is_empty() {
            return None;
        }
        silent.sort_unstable();
        let mut numbers = vec![Some(0); self.len as usize];
        for (_, number, bytes) in silent {
            let has_places = self.len as usize <= SENSORS_MAX - SENSORS_MAX / FORGOTTEN_OF;
            if has_places && self.bytes <= NAMES_BYTES_MAX - NAMES_BYTES_MAX / FORGOTTEN_OF {
                break;
            }
            numbers.get_mut(number as usize).into_iter().for_each(|forgotten| *forgotten = None);
            self.len -= 1;
            self.bytes -= bytes;
        }
        self.len = 0;
        for number in numbers.iter_mut().flatten() {
            *number = self.len;
            self.len += 1;
        }
        self.by_name.retain(|_, units| {
            units.retain_mut(|known| match numbers.get(known.number as usize).copied().flatten() {
                Some(number) => {
                    known.number = number;
                    true
                }
                None => false,
            });
            !units.is_empty()
        });
        self.generation += 1;
        Some(numbers)
    }

    /// Forgets all sensors.
    pub(super) fn clear(&mut self) {
        *self = Self { batch: self.batch, generation: self.generation + 1, ..Self::default() };
    }

    /// Returns the bytes of memory that the names take, within some percent.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes + self.by_name.capacity() * SLOT_BYTES + self.len as usize * SENSOR_BYTES
    }

    /// Returns a number that changes whenever the sensors are numbered anew.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn to_table(&self) -> SensorTable<'static> {
        let mut table = SensorTable::new();
        for (name, units) in &self.by_name {
            for Known { unit, number, .. } in units {
                table.insert(*number, name.to_string(), unit.to_string());
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_another_unit_is_another_sensor_and_there_is_a_limit() {
        let mut names = Names::default();
        assert_eq!(names.number("a", "K"), Some(0));
        assert_eq!((names.number("a", ""), names.number("b", "K")), (Some(1), Some(2)));
        assert_eq!((names.number("a", "K"), names.len()), (Some(0), 3));
        let named: Vec<_> =
            names.to_table().iter().map(|s| format!("{} {} {}", s.id, s.name, s.unit)).collect();
        assert_eq!(named, ["0 a K", "1 a ", "2 b K"]);
        for n in 0..SENSORS_MAX {
            names.number(&n.to_string(), "");
        }
        assert_eq!((names.number("new", ""), names.number("b", "K")), (None, Some(2)));
    }

    #[test]
    fn those_that_were_silent_longest_are_forgotten_and_none_of_this_batch() {
        let mut names = Names::default();
        for n in 0..SENSORS_MAX {
            names.begin_batch();
            names.number(&n.to_string(), "");
        }
        names.begin_batch();
        assert_eq!((names.number("0", ""), names.number("new", "")), (Some(0), None));
        let numbers = names.forget().unwrap();
        let forgotten = SENSORS_MAX / FORGOTTEN_OF;
        let (kept, first) = (SENSORS_MAX - forgotten, forgotten + 1);
        assert_eq!(
            numbers.iter().flatten().copied().collect::<Vec<_>>(),
            (0..kept as u32).collect::<Vec<_>>()
        );
        assert_eq!(
            (numbers[0], numbers[1], numbers[first - 1], numbers[first]),
            (Some(0), None, None, Some(1))
        );
        assert_eq!(
            (names.find("0", ""), names.find("1", ""), names.find(&first.to_string(), "")),
            (Some(0), None, Some(1))
        );
        assert_eq!((names.number("new", ""), names.to_table().iter().count()), (Some(kept as u32), kept + 1));
        // A batch of more sensors than there may be.
        let mut names = Names::default();
        for n in 0..SENSORS_MAX {
            names.number(&n.to_string(), "");
        }
        assert_eq!((names.forget(), names.number("new", ""), names.generation()), (None, None, 0));
    }
    /// Clients choose the names: 4 096 of 16 KiB each would take 64 MiB, and their tables as much again.
    #[test]
    fn bytes_of_names_and_units_are_bounded_and_the_longest_silent_ones_make_room() {
        let mut names = Names::default();
        let (name, unit) = ("n".repeat(1_000), "u".repeat(1_020));
        let add = |names: &mut Names, n: usize| {
            names.begin_batch();
            names.number(&format!("{n:04}{name}"), &unit)
        };
        let room = NAMES_BYTES_MAX / 2_024;
        let added = (0..room + 5).filter(|n| add(&mut names, *n).is_some()).count();
        assert_eq!((added, names.len() as usize), (room, room));
        let kept = names.forget().unwrap().iter().flatten().count();
        assert!((room * 3 / 4..=room * 3 / 4 + 1).contains(&kept), "{kept} of {room}");
        let added = (room..2 * room).filter(|n| add(&mut names, *n).is_some()).count();
        assert_eq!(added + kept, room, "what was forgotten is free again, and no more");
    }
}
