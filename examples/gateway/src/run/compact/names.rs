//! The numbers of a topic's sensors: 0, 1, 2 … in the order of their first reading, one per pair of name and unit.

use std::collections::HashMap;

use edge_codec::SensorTable;

/// A table of so many sensors is about 128 KiB; readings of further ones carry their names.
pub(super) const SENSORS_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Names {
    /// By name: its units, of which there is hardly ever more than one.
    by_name: HashMap<Box<str>, Vec<(Box<str>, u32)>>,
    len: u32,
}

impl Names {
    /// `None` if it is new and there are too many.
    pub(super) fn number(&mut self, name: &str, unit: &str) -> Option<u32> {
        let known = self.by_name.get(name).and_then(|units| units.iter().find(|(known, _)| **known == *unit));
        if let Some((_, number)) = known {
            return Some(*number);
        }
        if self.len as usize >= SENSORS_MAX {
            return None;
        }
        let number = self.len;
        self.by_name.entry(name.into()).or_default().push((unit.into(), number));
        self.len += 1;
        Some(number)
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn to_table(&self) -> SensorTable<'static> {
        let mut table = SensorTable::new();
        for (name, units) in &self.by_name {
            for (unit, number) in units {
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
}
