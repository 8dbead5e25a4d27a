//! Rows that come in a row for one lane: while no limit is near there is nothing to decide, so limits are looked at and
//! totals changed once for all of them.

use crate::model::Model;
use crate::model::lane::{Size, Usage};
use crate::model::push::{Refusal, size_of};
use crate::model::slot::Ticket;
use crate::model::window::ROW_RAM_BYTES;
use crate::row::{ROW_OVERHEAD_BYTES, Row};
use crate::time::Now;

/// Rows on their way in, one or many.
pub(crate) trait Rows {
    /// The next one.
    fn peek(&self) -> Option<&Row>;
    /// Takes it out.
    fn take_next(&mut self) -> Option<Row>;
}

impl Rows for Option<Row> {
    fn peek(&self) -> Option<&Row> {
        self.as_ref()
    }

    fn take_next(&mut self) -> Option<Row> {
        self.take()
    }
}

impl Rows for std::vec::IntoIter<Row> {
    fn peek(&self) -> Option<&Row> {
        self.as_slice().first()
    }

    fn take_next(&mut self) -> Option<Row> {
        self.next()
    }
}

/// What a lane surely takes: with it no limit, no room of the store and no bound of RAM is reached.
struct Ample {
    row_bytes: u64,
    weight: u64,
    bytes: u64,
    ram: u64,
}

impl Ample {
    /// Whether a row is within it, which is less by the row then.
    fn take(&mut self, size: Size) -> bool {
        let within = size.bytes <= self.row_bytes.min(self.bytes).min(self.ram) && size.weight <= self.weight;
        if within {
            self.weight -= size.weight;
            self.bytes -= size.bytes;
            self.ram = (self.ram - size.bytes).saturating_sub(ROW_RAM_BYTES);
        }
        within
    }
}

impl Model {
    /// Takes the next row in, and with it those that come in a row with it; says where their receipts will arrive. `None` when
    /// there is none.
    #[inline]
    pub(crate) fn push_next(&mut self, rows: &mut impl Rows, now: &Now) -> Option<Result<Ticket, Refusal>> {
        match self.push_run(rows, now) {
            Some(ticket) => Some(Ok(ticket)),
            None => rows.take_next().map(|row| self.push(row, now)),
        }
    }

    /// Takes rows in while they are for the same lane and far from every limit.
    #[inline]
    fn push_run(&mut self, rows: &mut impl Rows, now: &Now) -> Option<Ticket> {
        let at = self.lane_of(rows.peek()?);
        let mut ample = self.ample(at)?;
        let (epoch, last) = (self.epoch, self.lanes.len().saturating_sub(1));
        let lane = self.lanes.get_mut(at)?;
        let (first, mut sum) = (lane.next, Usage::default());
        while let Some(row) = rows.peek() {
            let size = size_of(row, now);
            if row.lane.map_or(last, |lane| usize::from(lane.0)) != at || !ample.take(size) {
                break;
            }
            let Some(row) = rows.take_next() else { break };
            lane.take_in(row, epoch, now);
            sum.add(size);
        }
        (sum.rows > 0).then(|| self.count_in(at, first, &sum))
    }

    fn ample(&self, at: usize) -> Option<Ample> {
        let lane = self.lanes.get(at).filter(|_| !self.closed)?;
        let (limits, usage) = (&lane.limits, &lane.usage);
        let room = lane.room.saturating_sub(lane.window.unwritten_bytes());
        Some(Ample {
            row_bytes: (limits.row_bytes_max as u64).saturating_add(ROW_OVERHEAD_BYTES),
            weight: limits.messages.saturating_sub(usage.weight),
            bytes: limits.bytes.saturating_sub(usage.bytes).min(room),
            ram: self.rules.max_unwritten_bytes.saturating_sub(self.unwritten_ram()),
        })
    }
}
