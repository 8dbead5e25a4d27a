//! Decoded columns, and the iterator that walks them in the readings' order.

#![deny(clippy::indexing_slicing)]

use super::plan::Kind;
use crate::{DecodeError, Reading, Value};
use std::borrow::Cow;

/// A sensor's readings among the others.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) sensor: u32,
    pub(super) kind: Kind,
    pub(super) len: u32,
    /// Where its next value and its next time are.
    pub(super) value: u32,
    pub(super) time: u32,
}

/// Where texts are.
#[derive(Clone, Debug)]
pub(super) enum Heap<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    pub(super) columns: Vec<Column>,
    /// Column of each reading.
    pub(super) order: Vec<u32>,
    at: usize,
    pub(super) values: Vec<u64>,
    pub(super) times: Vec<i64>,
    /// By value; empty if all are good.
    pub(super) qualities: Vec<u32>,
    /// By value, for mixed columns.
    pub(super) kinds: Vec<Kind>,
    pub(super) texts: Vec<(u32, u32)>,
    /// Which texts are UTF-8, once somebody has asked.
    utf8: Vec<bool>,
    heap: Heap<'a>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(heap: Heap<'a>) -> Self {
        Self {
            columns: Vec::new(),
            order: Vec::new(),
            at: 0,
            values: Vec::new(),
            times: Vec::new(),
            qualities: Vec::new(),
            kinds: Vec::new(),
            texts: Vec::new(),
            utf8: Vec::new(),
            heap,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The readings without what they borrow.
    pub(super) fn into_owned<'b>(self) -> Rows<'b> {
        let heap = match self.heap {
            Heap::Borrowed(heap) => Heap::Owned(heap.to_vec()),
            Heap::Owned(heap) => Heap::Owned(heap),
        };
        Rows {
            columns: self.columns,
            order: self.order,
            at: self.at,
            values: self.values,
            times: self.times,
            qualities: self.qualities,
            kinds: self.kinds,
            texts: self.texts,
            utf8: self.utf8,
            heap,
        }
    }

    /// Whether each of these numbers' texts is UTF-8. All texts are looked at once, when this is asked first.
    pub(super) fn are_utf8(&mut self, numbers: std::ops::Range<usize>, kind: Option<Kind>) -> bool {
        if self.utf8.is_empty() {
            let heap = match &self.heap {
                Heap::Borrowed(heap) => heap,
                Heap::Owned(heap) => heap.as_slice(),
            };
            let texts = self.texts.iter().map(|(from, to)| heap.get(*from as usize..*to as usize));
            self.utf8 = texts.map(|t| t.is_some_and(|t| std::str::from_utf8(t).is_ok())).collect();
        }
        let kinds = self.kinds.get(numbers.clone()).unwrap_or_default();
        let mut values = self.values.get(numbers).unwrap_or_default().iter().enumerate();
        values.all(|(at, number)| {
            let kind = kind.or_else(|| kinds.get(at).copied());
            kind != Some(Kind::Text) || self.utf8.get(*number as usize) == Some(&true)
        })
    }

    /// The next reading; never an error, since all is checked by now.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Result<Reading<'a>, DecodeError>> {
        let column = self.columns.get_mut(*self.order.get(self.at)? as usize)?;
        self.at += 1;
        let (value, time) = (column.value as usize, column.time as usize);
        column.value += 1;
        column.time += 1;
        let (sensor, kind) = (column.sensor, column.kind);
        let (time, bits) = (*self.times.get(time)?, *self.values.get(value)?);
        let quality = self.qualities.get(value).copied().unwrap_or(0);
        // Each on its way: merged, they would be copied through memory, which costs more than all the rest.
        let value = match kind {
            Kind::F64 => {
                return Some(Ok(Reading { sensor, time, value: Value::F64(f64::from_bits(bits)), quality }));
            }
            Kind::I64 => return Some(Ok(Reading { sensor, time, value: Value::I64(bits as i64), quality })),
            Kind::Bool => return Some(Ok(Reading { sensor, time, value: Value::Bool(bits != 0), quality })),
            Kind::Mixed => self.value(*self.kinds.get(value)?, bits),
            kind => self.value(kind, bits),
        };
        Some(Ok(Reading { sensor, time, value, quality }))
    }

    #[inline(never)]
    fn value(&self, kind: Kind, bits: u64) -> Value<'a> {
        match kind {
            Kind::F64 => Value::F64(f64::from_bits(bits)),
            Kind::I64 => Value::I64(bits as i64),
            Kind::U64 => Value::U64(bits),
            Kind::Bool => Value::Bool(bits != 0),
            Kind::Bytes => Value::Bytes(self.bytes(bits)),
            Kind::Text => Value::Text(match self.bytes(bits) {
                // Checked when the batch was decoded.
                Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).unwrap_or_default()),
                Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).unwrap_or_default()),
            }),
            Kind::Null | Kind::Mixed => Value::Null,
        }
    }

    fn bytes(&self, number: u64) -> Cow<'a, [u8]> {
        let (from, to) = self.texts.get(number as usize).copied().unwrap_or_default();
        let range = from as usize..to as usize;
        match &self.heap {
            Heap::Borrowed(heap) => Cow::Borrowed(heap.get(range).unwrap_or_default()),
            Heap::Owned(heap) => Cow::Owned(heap.get(range).unwrap_or_default().to_vec()),
        }
    }
}
