//! Texts and byte strings of waiting readings.

#![deny(clippy::indexing_slicing)]

use super::column::Column;
use crate::Value;
use crate::compact::list_bytes::list_bytes;
use crate::compact::values::kind::Kind;
use std::collections::HashMap;

/// Texts of waiting readings, each stored once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) list: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, u32>,
}

impl Texts {
    /// Adds a text or a byte string. Returns its kind and number.
    #[cold]
    pub(crate) fn take(&mut self, value: &Value<'_>) -> (Kind, u64) {
        match value {
            Value::Text(text) => (Kind::Text, self.number(text.as_bytes()).into()),
            Value::Bytes(bytes) => (Kind::Bytes, self.number(bytes).into()),
            _ => (Kind::Null, 0),
        }
    }

    fn number(&mut self, text: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.list.len() as u32;
        self.list.push(text.into());
        self.numbers.insert(text.into(), number);
        number
    }

    /// Returns the bytes outside of the table itself. Each text stands in the list, and in the map.
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts: usize = self.list.iter().map(|text| text.len()).sum();
        let slot = size_of::<(Box<[u8]>, u32)>() + 1;
        2 * texts + list_bytes(&self.list) + self.numbers.capacity() * slot
    }

    /// Returns how many texts the picked readings use, counted from the first, since texts are numbered as they come.
    pub(crate) fn used(&self, picked: &[(usize, usize)], columns: &[Column]) -> usize {
        if self.list.is_empty() {
            return 0;
        }
        let used = picked.iter().filter_map(|(c, n)| columns.get(*c)?.texts(*n));
        used.max().map_or(0, |highest| highest as usize + 1)
    }

    /// Forgets texts that no waiting reading uses. `pushed`: columns of the waiting readings in order; the texts are numbered anew in that
    /// order, so that the first readings use the first texts.
    pub(crate) fn keep_used(&mut self, pushed: &[u32], columns: &mut [Column]) {
        let old = std::mem::take(self);
        let mut at = vec![0_usize; columns.len()];
        let mut numbers: HashMap<u64, u64> = HashMap::new();
        for column in pushed {
            let (Some(column), Some(at)) = (columns.get(*column as usize), at.get_mut(*column as usize))
            else {
                continue;
            };
            if let Some(number) = column.text(*at)
                && let Some(text) = old.list.get(number as usize)
            {
                numbers.insert(number, self.number(text).into());
            }
            *at += 1;
        }
        for column in columns {
            column.renumber(|number| numbers.get(&number).copied().unwrap_or(0));
        }
    }
}
