//! Preface of a batch, before its columns: qualities, texts, names, and the clocks.

#![deny(clippy::indexing_slicing)]

use super::Body;
use super::rows::Rows;
use crate::compact::inline_names;
use crate::compact::layout::{COLUMNS_LOW, PER_BYTE, TEXTS_LOW, turns_pay};
use crate::compact::quality;
use crate::compact::shared_timestamps::{ClockPlan, STEPS_LOW};
use crate::compact::stream::ans::Decoder;
use crate::compact::stream::bits::BitReader;
use crate::compact::stream::error::{StreamError, limited, limited_sum};

/// Contents of the part before the columns.
pub(crate) struct Preface {
    pub(crate) columns: usize,
    pub(crate) ordered: bool,
    pub(crate) codes: Vec<u32>,
    /// Names and units of the sensors; empty if the batch has none.
    pub(crate) names: Vec<(String, String)>,
    /// Start and end of each clock in `Rows::times`.
    pub(crate) clocks: Vec<(usize, usize)>,
}

impl<'a> Body<'a, '_> {
    pub(crate) fn preface(
        &self,
        decoder: &mut Decoder<'_>,
        rows: &mut Rows<'a>,
    ) -> Result<Preface, StreamError> {
        let bits = &mut decoder.bits;
        let columns = limited("sensors", bits.eg(COLUMNS_LOW), self.limits.sensors)?;
        let unusual = bits.flag();
        let ordered = unusual && bits.flag();
        let codes = if unusual { quality::read_codes(bits) } else { Some(Vec::new()) };
        let codes = codes.ok_or(StreamError::What("too many qualities are listed"))?;
        if unusual && bits.flag() {
            self.texts(bits, rows)?;
        } else if !self.message.texts.1.is_empty() {
            return Err(StreamError::What("texts are not listed"));
        }
        let bytes_max = self.limits.bytes.min(self.input_len.saturating_mul(PER_BYTE));
        let names = match unusual && decoder.bits.flag() {
            true if self.table.is_some() => return Err(StreamError::What("names beside a session table")),
            true => inline_names::read(columns, decoder, self.limits, bytes_max)?,
            false => Vec::new(),
        };
        let clocks = self.clocks(decoder, rows, columns)?;
        Ok(Preface { columns, ordered, codes, names, clocks })
    }

    fn texts(&self, bits: &mut BitReader<'_>, rows: &mut Rows<'a>) -> Result<(), StreamError> {
        let count = limited("readings", bits.eg(TEXTS_LOW), self.readings_max)?;
        let mut end = 0_u32;
        for _ in 0..count {
            let len = bits.eg(TEXTS_LOW);
            if len > self.limits.text_bytes as u64 {
                return Err(StreamError::Limit("text bytes", self.limits.text_bytes, len));
            }
            let from = end;
            end = u32::try_from(len)
                .ok()
                .and_then(|len| end.checked_add(len))
                .ok_or(StreamError::What("texts are too long"))?;
            rows.texts.push((from, end));
            if bits.overrun() {
                return Err(StreamError::End);
            }
        }
        if end as usize != self.message.texts.1.len() {
            return Err(StreamError::What("texts do not add up"));
        }
        Ok(())
    }

    /// Reads the instants of every clock into `rows.times`, in all at most as many as readings are allowed.
    fn clocks(
        &self,
        decoder: &mut Decoder<'_>,
        rows: &mut Rows<'a>,
        columns: usize,
    ) -> Result<Vec<(usize, usize)>, StreamError> {
        let count = limited("sensors", decoder.bits.eg(0), columns)?;
        let learned = self.table.map_or(&[][..], |t| t.clocks.as_slice());
        let (mut first, mut clocks) = (None, Vec::new());
        for _ in 0..count {
            let own;
            let number = usize::try_from(decoder.bits.eg(0)).unwrap_or(usize::MAX);
            let plan = match learned.get(number) {
                Some(plan) => plan,
                None => {
                    own = ClockPlan::read(decoder).ok_or(StreamError::What("a clock has no plan"))?;
                    &own
                }
            };
            let from = rows.times.len();
            let instants = decoder.bits.eg(STEPS_LOW).saturating_add(1);
            let instants = usize::try_from(instants).unwrap_or(usize::MAX);
            limited_sum("readings", from, instants, self.readings_max)?;
            if first.is_none() && turns_pay(columns, instants) {
                decoder.take_turns();
            }
            plan.instants(number < learned.len(), decoder, first, instants - 1, &mut rows.times);
            if decoder.bits.overrun() {
                return Err(StreamError::End);
            }
            first = first.or_else(|| rows.times.get(from).copied());
            clocks.push((from, rows.times.len()));
        }
        Ok(clocks)
    }
}
