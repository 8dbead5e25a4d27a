//! Encoding of one batch: makes a message of the columns' first readings.

#![deny(clippy::indexing_slicing)]

use super::column::Column;
use crate::compact::inline_names;
use crate::compact::layout::{COLUMNS_LOW, PER_BYTE, TEXTS_LOW, field, pad, turns_pay};
use crate::compact::quality;
use crate::compact::row_order;
use crate::compact::sensor_positions::SensorPositions;
use crate::compact::session_table::{Entry, Table};
use crate::compact::shared_timestamps::{self, ClockPlan, Span};
use crate::compact::stream::bits::bit_len;
use crate::compact::stream::coder::Coder;
use crate::compact::stream::distribution_choice;
use crate::compact::stream::op_buffer::OpBuffer;
use crate::compact::values::plan::{Scratch, TablePlan};
use crate::protobuf::envelope;
use crate::protobuf::fields::{put_joined, put_string};
use crate::seq_runs::Runs;
use crate::{Header, Sensor};

/// Parts of a batch. `picked`: columns with readings, each with the number of these, by position.
pub(crate) struct Draft<'d> {
    pub(crate) header: &'d Header,
    pub(crate) runs: &'d Runs,
    pub(crate) table: Option<&'d Table>,
    /// Names and units by column. `None`: they are not written into the batch.
    pub(crate) names: Option<Vec<Sensor<'d>>>,
    /// Texts in use, in the order of their numbers.
    pub(crate) texts: &'d [Box<[u8]>],
    pub(crate) picked: &'d [(usize, usize)],
    /// Column of each reading, in the order in which they were pushed. `None`: readers may get them in the order of time.
    pub(crate) pushed: Option<&'d [u32]>,
    pub(crate) readings: usize,
}

/// Returns the message. The plans used are cached in `columns` for the next batch.
pub(crate) fn write(draft: &Draft<'_>, columns: &mut [Column], memory: &mut Memory) -> Vec<u8> {
    let mut out = envelope::head_without_version(draft.header);
    envelope::put_runs(&mut out, draft.runs);
    if !draft.texts.is_empty() {
        put_string(&mut out, field::TEXTS, &draft.texts.concat());
    }
    let id = draft.table.map(|table| table.id().to_be_bytes());
    let (number, id) = id.as_ref().map_or((field::COLUMNS, &[][..]), |id| (field::TABLE_COLUMNS, id));
    if draft.readings > 0 {
        let mut ops = std::mem::take(&mut memory.ops);
        body(draft, columns, &mut ops, memory);
        ops.write(|body| put_joined(&mut out, number, id, body));
        memory.ops = ops;
    } else if !id.is_empty() {
        put_string(&mut out, number, id);
    }
    pad(&mut out, least(draft));
    out
}

/// Returns the least length of a batch, because a reader accepts only so many readings, and bytes of names, per byte.
pub(crate) fn least(draft: &Draft<'_>) -> usize {
    let names = draft.names.iter().flatten().map(|s| s.name.len() + s.unit.len());
    draft.readings.max(names.sum()).div_ceil(PER_BYTE)
}

/// State of an encoder that is kept from batch to batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    scratch: Scratch,
    ops: OpBuffer,
    clock: Option<ClockPlan>,
}

impl Memory {
    /// Returns the bytes outside of the state itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.scratch.heap_bytes() + self.ops.heap_bytes()
    }
}

fn body(draft: &Draft<'_>, columns: &mut [Column], ops: &mut OpBuffer, memory: &mut Memory) {
    let mut spans = Vec::with_capacity(draft.picked.len());
    let times: Vec<&[i64]> =
        draft.picked.iter().filter_map(|(c, n)| columns.get(*c)?.times().get(..*n)).collect();
    let clocks = shared_timestamps::share(&times, &mut spans);
    let order = reorder(draft, &clocks, &spans);
    let qualities = draft.picked.iter().filter_map(|(c, n)| Some(columns.get(*c)?.qualities(*n)));
    let codes = quality::codes(qualities.flatten());

    ops.eg(draft.picked.len() as u64 - 1, COLUMNS_LOW);
    // One bit says that there is nothing unusual.
    let plain = order.is_none() && codes.is_empty() && draft.texts.is_empty() && draft.names.is_none();
    ops.flag(!plain);
    if !plain {
        ops.flag(order.is_some());
        quality::write_codes(&codes, ops);
        ops.flag(!draft.texts.is_empty());
    }
    if !draft.texts.is_empty() {
        ops.eg(draft.texts.len() as u64 - 1, TEXTS_LOW);
        draft.texts.iter().for_each(|t| ops.eg(t.len() as u64, TEXTS_LOW));
    }
    if !plain {
        ops.flag(draft.names.is_some());
    }
    if let Some(sensors) = &draft.names {
        inline_names::write(sensors, ops);
    }
    write_clocks(&clocks, draft.picked.len(), draft.table, ops, memory);
    let mut positions = SensorPositions::new(draft.table);
    let (mut span_before, mut plan_before) = (Span::default(), None);
    for (nth, span) in spans.iter().enumerate() {
        let Some((column, n)) = draft.picked.get(nth).and_then(|(c, n)| Some((columns.get_mut(*c)?, *n)))
        else {
            continue;
        };
        positions.write(if draft.table.is_some() { column.position } else { column.sensor }, ops);
        write_span(*span, &mut span_before, ops);
        if !codes.is_empty() {
            quality::write(column.qualities(n), &codes, ops);
        }
        let plan = match draft.table.map(|table| table.entries.get(column.position as usize)) {
            Some(entry) => entry.map_or(TablePlan::Missing, Entry::table_plan),
            None => TablePlan::NoTable,
        };
        column.write(n, plan, &mut plan_before, ops, &mut memory.scratch);
    }
    if let Some(order) = order {
        row_order::write(&order, draft.picked.len(), ops);
    }
}

/// Returns the batch's column number of each reading, in the order in which they were pushed. `None`: the order need not be kept, or is that by time,
/// which a reader finds by itself.
fn reorder(draft: &Draft<'_>, clocks: &[Vec<i64>], spans: &[Span]) -> Option<Vec<u32>> {
    let pushed = draft.pushed?;
    // From the encoder's numbers of columns to the batch's.
    let mut numbers = vec![0; draft.picked.iter().map(|p| p.0 + 1).max().unwrap_or(0)];
    for (number, (column, _)) in (0..).zip(draft.picked) {
        if let Some(slot) = numbers.get_mut(*column) {
            *slot = number;
        }
    }
    let clocks: Vec<&[i64]> = clocks.iter().map(Vec::as_slice).collect();
    let by_time = row_order::by_time(&clocks, spans, draft.readings);
    let number = |column: &u32| numbers.get(*column as usize).copied().unwrap_or(0);
    let same = by_time.iter().copied().eq(pushed.iter().map(number));
    (!same).then(|| pushed.iter().map(number).collect())
}

/// Writes each clock by the plan of the table that makes it smallest, or else by a plan of the batch.
fn write_clocks(
    clocks: &[Vec<i64>],
    columns: usize,
    table: Option<&Table>,
    ops: &mut OpBuffer,
    memory: &mut Memory,
) {
    let residuals = &mut memory.scratch.residuals;
    let learned = table.map_or(&[][..], |t| t.clocks.as_slice());
    let mut first = None;
    ops.eg(clocks.len() as u64 - 1, 0);
    for times in clocks {
        let start = times.first().copied().unwrap_or(0);
        let mut best: Option<(u64, usize)> = None;
        for (number, plan) in learned.iter().enumerate() {
            if let Some((at, low)) = plan.start(true, start, first)
                && plan.residuals(times, residuals)
            {
                let cost = plan.cost(residuals) + (u64::from(2 * bit_len(at >> low)) << 8);
                if best.is_none_or(|b| cost < b.0) {
                    best = Some((cost, number));
                }
            }
        }
        // A plan of its own takes about 40 bits.
        let own = best
            .is_none_or(|b| b.0 > (40 + 4 * times.len() as u64) * 256)
            .then(|| own_clock(times, &mut memory.clock, residuals));
        let own = own.filter(|(_, cost)| best.is_none_or(|b| cost + 40 * 256 < b.0));
        let number = best.map_or(learned.len(), |b| b.1);
        match (own, learned.get(number)) {
            (None, Some(plan)) => {
                ops.eg(number as u64, 0);
                let start = plan.start(true, start, first).unwrap_or_default();
                write_steps(times.len(), first.is_none(), columns, ops);
                plan.residuals(times, residuals);
                plan.write(ops, start, residuals);
            }
            (own, _) => {
                let plan = own.map_or_else(|| own_clock(times, &mut memory.clock, residuals).0, |own| own.0);
                ops.eg(learned.len() as u64, 0);
                plan.describe(ops);
                let start = plan.start(false, start, first).unwrap_or_default();
                write_steps(times.len(), first.is_none(), columns, ops);
                plan.residuals(times, residuals);
                plan.write(ops, start, residuals);
            }
        }
        first = first.or(Some(start));
    }
}

fn write_steps(instants: usize, first: bool, columns: usize, ops: &mut OpBuffer) {
    ops.eg(instants as u64 - 1, shared_timestamps::STEPS_LOW);
    if first && turns_pay(columns, instants) {
        ops.take_turns();
    }
}

/// Returns a plan for these instants, and the cost of the steps in 1/256 bits. It keeps the coder of the last plan if that is as good.
fn own_clock(times: &[i64], last: &mut Option<ClockPlan>, residuals: &mut Vec<u64>) -> (ClockPlan, u64) {
    let mut plan = ClockPlan::of(times, Coder::plain());
    plan.residuals(times, residuals);
    let again = last.take().filter(|l| (l.unit, l.period) == (plan.unit, plan.period));
    let found = distribution_choice::coder(residuals);
    let cost = match again.map(|l| l.coder) {
        Some(coder) if residuals.iter().map(|r| coder.cost(*r)).sum::<u64>() <= found.1 => {
            plan.coder = coder;
            found.1
        }
        _ => {
            plan.coder = found.0;
            found.1
        }
    };
    *last = Some(plan.clone());
    (plan, cost)
}

fn write_span(span: Span, before: &mut Span, ops: &mut OpBuffer) {
    ops.flag(span != *before);
    if span != *before {
        ops.eg(span.clock as u64, 0);
        ops.eg(span.skip as u64, 0);
        ops.eg(span.cut as u64, 0);
    }
    *before = span;
}
