//! Texts and byte strings of readings that wait.

#![deny(clippy::indexing_slicing)]

use crate::Value;
use crate::compact::values::kind::Kind;
use std::borrow::Cow;
use std::collections::HashMap;

/// Texts of waiting readings, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) list: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, u32>,
}

impl Texts {
    pub(crate) fn number(&mut self, text: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.list.len() as u32;
        self.list.push(text.into());
        self.numbers.insert(text.into(), number);
        number
    }
}

/// The value of a column's number.
pub(crate) fn value(kind: Kind, bits: u64, texts: &[Box<[u8]>]) -> Value<'static> {
    let text = || texts.get(bits as usize).cloned().unwrap_or_default();
    match kind {
        Kind::F64 => Value::F64(f64::from_bits(bits)),
        Kind::I64 => Value::I64(bits as i64),
        Kind::U64 => Value::U64(bits),
        Kind::Bool => Value::Bool(bits != 0),
        Kind::Text => Value::Text(Cow::Owned(String::from_utf8_lossy(&text()).into_owned())),
        Kind::Bytes => Value::Bytes(Cow::Owned(text().into_vec())),
        Kind::Null | Kind::Mixed => Value::Null,
    }
}
