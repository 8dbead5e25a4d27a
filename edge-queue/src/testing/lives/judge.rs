//! Checks of an open after any number of power cuts.

use super::{LANES, Lives, Rows};
use crate::row::{Lane, Seq};
use crate::state::{LaneState, Position, State};
use crate::store::{Recovered, Store};
use crate::testing::crash::read_all;
use crate::testing::rule::{JudgeRule, Violation};
use crate::testing::store_rule::{Rule, close_mark, highest_seq_covers, identity, recognised, undamaged};

impl Lives {
    /// Judges what an open found, which from then on is what must be there.
    pub(super) fn judge(&mut self, store: &mut dyn Store, found: &Recovered) -> Result<(), Violation> {
        undamaged(found)?;
        close_mark(self.closed, found)?;
        let state = &found.state;
        identity(&self.durable, state)?;
        let mut kept = Rows::new();
        for lane in (0..LANES).map(Lane) {
            self.judge_bookkeeping(lane, state)?;
            kept.extend(self.judge_rows(store, lane, found)?);
        }
        let aside = self.dir.names().into_iter().find(|name| name.starts_with("bad/"));
        Rule::SetAside.require(store.stats().quarantined == 0 && aside.is_none(), || {
            format!("what was torn was set aside as damaged: {aside:?}")
        })?;
        (self.kept, self.doubt, self.closed) = (kept, None, Some(false));
        self.durable.clone_from(state);
        self.highest = found.highest_seq;
        Ok(())
    }

    /// Requires that a lane's bookkeeping is that of the last receipt or of the commit that was under way.
    fn judge_bookkeeping(&self, lane: Lane, found: &State) -> Result<(), Violation> {
        let under_way = self.doubt.as_ref().map(|doubt| figures(lane, &doubt.state));
        let (found, durable) = (figures(lane, found), figures(lane, &self.durable));
        Rule::Bookkeeping.require(found == durable || Some(&found) == under_way.as_ref(), || {
            format!(
                "lane {}: the bookkeeping is {found:?}, receipted was {durable:?}, under way {under_way:?}",
                lane.0
            )
        })
    }

    /// Requires that the rows of a lane are all that were kept, some of those under way, and nothing else; returns them.
    fn judge_rows(&self, store: &mut dyn Store, lane: Lane, found: &Recovered) -> Result<Rows, Violation> {
        let figures_found = figures(lane, &found.state);
        let floor = figures_found.0.floor;
        let none = Rows::new();
        let doubtful = self.doubt.as_ref().map_or(&none, |doubt| &doubt.rows);
        let rows: Rows =
            read_all(store, lane, floor)?.into_iter().map(|(seq, row)| ((lane, seq), row)).collect();
        // The store may still have rows that are done; nobody asks for them.
        let rows: Rows = rows.into_iter().filter(|((lane, seq), _)| found.state.wants(*lane, *seq)).collect();
        for (id, row) in &rows {
            recognised(row, self.kept.get(id).or(doubtful.get(id)))?;
        }
        // A lane's bookkeeping never speaks of rows that did not all arrive.
        let told = self.doubt.as_ref().filter(|doubt| figures_found == figures(lane, &doubt.state)).is_some()
            && figures_found != figures(lane, &self.durable);
        let range = || (lane, floor)..=(lane, Seq::MAX);
        let receipted = self.kept.range(range()).map(|(id, _)| (id, Rule::ReceiptedRow));
        let in_books = doubtful.range(range()).filter(|_| told).map(|(id, _)| (id, Rule::ToldRow));
        let promised = receipted.chain(in_books).filter(|((lane, seq), _)| found.state.wants(*lane, *seq));
        for ((_, seq), rule) in promised.filter(|(id, _)| !rows.contains_key(id)) {
            rule.broken(|| format!("lane {} row {seq} was promised and is lost (floor {floor})", lane.0))?;
        }
        highest_seq_covers(lane, rows.last_key_value().map(|((_, seq), _)| *seq), found)?;
        Ok(rows)
    }
}

/// Figures of a lane in the bookkeeping.
fn figures(lane: Lane, state: &State) -> (LaneState, Position) {
    let at = usize::from(lane.0);
    let place = state.consumers.first().and_then(|consumer| consumer.lanes.get(at));
    (state.lane.get(at).copied().unwrap_or_default(), place.cloned().unwrap_or_default())
}
