//! Push run: fast path that admits a run of rows for one lane with a single check while every limit is far, and updates the lane's totals once
//! for all of them.

use crate::model::Model;
use crate::model::push::{Refusal, size_of};
use crate::model::ram_tail::ROW_RAM_BYTES;
use crate::model::receipts::Ticket;
use crate::model::usage::{Size, Usage};
use crate::row::{ROW_OVERHEAD_BYTES, Row};
use crate::time::Now;

/// Source of rows to be pushed, one or many.
pub(crate) trait Rows {
    /// Shows the next row; `None` when there is none.
    fn peek(&self) -> Option<&Row>;
    /// Takes the next row out; `None` when there is none.
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

/// Headroom of a lane: within it no limit of the lane, the store or RAM is reached.
struct Headroom {
    row_bytes: u64,
    weight: u64,
    bytes: u64,
    ram: u64,
}

impl Headroom {
    /// Subtracts the row's size from the headroom; false if it does not fit.
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
    /// Adds the next row, and with it following rows for the same lane while every limit is far. Returns the ticket of the added rows, or the
    /// reason for which the next row was not accepted; `None` if there is no row.
    #[inline]
    pub(crate) fn push_next(&mut self, rows: &mut impl Rows, now: &Now) -> Option<Result<Ticket, Refusal>> {
        match self.push_run(rows, now) {
            Some(ticket) => Some(Ok(ticket)),
            None => rows.take_next().map(|row| self.push(row, now)),
        }
    }

    /// Adds rows while they are for the same lane and far from every limit; `None` if that is not so for the first.
    #[inline]
    fn push_run(&mut self, rows: &mut impl Rows, now: &Now) -> Option<Ticket> {
        let (epoch, lanes) = (self.epoch, self.lanes.len());
        let at = rows.peek()?.lane_among(lanes);
        let mut headroom = self.headroom(at)?;
        let lane = self.lanes.get_mut(at)?;
        let (first, mut sum) = (lane.next, Usage::default());
        while let Some(row) = rows.peek() {
            let size = size_of(row, now);
            if row.lane_among(lanes) != at || !headroom.take(size) {
                break;
            }
            let Some(row) = rows.take_next() else { break };
            lane.take_in(row, epoch, now);
            sum.add(size);
        }
        (sum.rows > 0).then(|| self.count_in(at, first, &sum))
    }

    fn headroom(&self, at: usize) -> Option<Headroom> {
        let lane = self.lanes.get(at).filter(|_| !self.closed && !self.keeps_dropping(at))?;
        let (limits, usage) = (&lane.limits, &lane.usage);
        let room = lane.room.saturating_sub(lane.tail.unwritten_bytes());
        Some(Headroom {
            row_bytes: (limits.row_bytes_max as u64).saturating_add(ROW_OVERHEAD_BYTES),
            weight: limits.messages.saturating_sub(usage.weight),
            bytes: limits.bytes.saturating_sub(usage.bytes).min(room),
            ram: self.rules.max_unwritten_bytes.saturating_sub(self.unwritten_ram()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, LaneConfig, OnFull};
    use crate::per_lane::PerLane;
    use crate::row::Lane;
    use crate::state::State;

    fn model(on_full: OnFull, ram: u64) -> Model {
        let alarm = LaneConfig::default().max_messages(7);
        let config = Config::default().max_messages(40).max_unwritten_bytes(ram).on_full(on_full);
        let mut model = Model::new(
            config.lane(Lane::ALARM, alarm).rules(),
            State::new(1, 2),
            PerLane::all(0),
            true,
            false,
        );
        assert!(model.register("hub").is_ok());
        model
    }

    /// Outcome of each row: taken or not.
    fn one_by_one(model: &mut Model, rows: &[Row], now: &Now) -> Vec<bool> {
        rows.iter().map(|row| model.push(row.clone(), now).is_ok()).collect()
    }

    fn in_runs(model: &mut Model, rows: Vec<Row>, now: &Now) -> Vec<bool> {
        let (mut rows, mut taken) = (rows.into_iter(), Vec::new());
        while let Some(result) = model.push_next(&mut rows, now) {
            let count = result.as_ref().map_or(1, |ticket| ticket.rows as usize);
            taken.resize(taken.len() + count, result.is_ok());
        }
        taken
    }

    proptest! {
        /// Rows that come in runs end as they do one by one, at every limit.
        #[test]
        fn a_run_is_as_many_pushes(
            rows in proptest::collection::vec((0..3u8, 1..4u32, 0..400usize), 1..120),
            policy in 0..3usize,
            ram in 8_000..200_000u64,
        ) {
            let on_full = [OnFull::Reject, OnFull::DropNewest, OnFull::DropOldest][policy];
            let row = |&(lane, weight, len): &(u8, u32, usize)| {
                Row::new(vec![7; len]).lane(Lane(u8::from(lane > 0))).weight(weight)
            };
            let rows: Vec<Row> = rows.iter().map(row).collect();
            let now = Now { boot_id: 1, up_ms: 5, ..Now::default() };
            let (mut alone, mut together) = (model(on_full, ram), model(on_full, ram));
            let apart = one_by_one(&mut alone, &rows, &now);
            prop_assert_eq!(apart, in_runs(&mut together, rows, &now));
            prop_assert_eq!(alone.snapshot(), together.snapshot());
            let waiting = |model: &Model| -> Vec<_> {
                model.lanes.iter().flat_map(|l| l.tail.waiting_rows().cloned()).collect()
            };
            prop_assert_eq!(waiting(&alone), waiting(&together));
        }
    }

    /// Rows of these sizes, up to a limit in bytes.
    #[test]
    fn a_run_ends_at_the_limit_in_bytes() {
        let now = Now { boot_id: 1, up_ms: 5, ..Now::default() };
        let (mut alone, mut together) = (model(OnFull::Reject, 200_000), model(OnFull::Reject, 200_000));
        for model in [&mut alone, &mut together] {
            model.lanes.iter_mut().for_each(|lane| lane.limits.bytes = 1_000);
        }
        let rows: Vec<Row> = (0..20).map(|_| Row::new(vec![7; 100])).collect();
        let apart = one_by_one(&mut alone, &rows, &now);
        assert_eq!(apart.iter().filter(|taken| **taken).count(), 7);
        assert_eq!(apart, in_runs(&mut together, rows, &now));
    }
}
