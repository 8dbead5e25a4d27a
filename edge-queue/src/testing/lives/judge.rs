//! What an open after any number of power cuts must find.

use super::{LANES, Lives, Rows};
use crate::row::{Lane, Seq};
use crate::state::{LaneState, Position, State};
use crate::store::{Recovered, Store};
use crate::testing::crash::read_all;

impl Lives {
    /// Judges what an open found; from then on that is what must be there.
    pub(super) fn judge(&mut self, store: &mut dyn Store, found: &Recovered) -> Result<(), String> {
        if !found.damage.is_empty() || (found.clean && found.tail_uncertain) {
            return Err(format!("a power cut is no damage: {:?}", found.damage));
        }
        if let Some(closed) = self.closed.filter(|closed| *closed != found.clean) {
            return Err(format!("closed clean: {closed}, found clean: {}", found.clean));
        }
        let state = &found.state;
        if state.gateway != self.durable.gateway || state.epoch <= self.durable.epoch {
            return Err(format!("gateway {} with epoch {}", state.gateway, state.epoch));
        }
        let mut kept = Rows::new();
        for lane in (0..LANES).map(Lane) {
            self.judge_bookkeeping(lane, state)?;
            kept.extend(self.judge_rows(store, lane, found)?);
        }
        let aside = self.dir.names().into_iter().find(|name| name.starts_with("bad/"));
        if store.stats().quarantined > 0 || aside.is_some() {
            return Err(format!("what was torn was set aside as damaged: {aside:?}"));
        }
        (self.kept, self.doubt, self.closed) = (kept, None, Some(false));
        self.durable.clone_from(state);
        self.highest = found.highest_seq;
        Ok(())
    }

    /// A lane's bookkeeping is that of the last receipt or of the commit that was under way.
    fn judge_bookkeeping(&self, lane: Lane, found: &State) -> Result<(), String> {
        let under_way = self.doubt.as_ref().map(|doubt| figures(lane, &doubt.state));
        let (found, durable) = (figures(lane, found), figures(lane, &self.durable));
        if found == durable || Some(&found) == under_way.as_ref() {
            return Ok(());
        }
        Err(format!(
            "lane {}: the bookkeeping is {found:?}, receipted was {durable:?}, under way {under_way:?}",
            lane.0
        ))
    }

    /// The rows of a lane: all that were kept, some of those under way, and nothing else.
    fn judge_rows(&self, store: &mut dyn Store, lane: Lane, found: &Recovered) -> Result<Rows, String> {
        let (figures_found, at) = (figures(lane, &found.state), usize::from(lane.0));
        let floor = figures_found.0.floor;
        let none = Rows::new();
        let doubtful = self.doubt.as_ref().map_or(&none, |doubt| &doubt.rows);
        let rows: Rows =
            read_all(store, lane, floor)?.into_iter().map(|(seq, row)| ((lane, seq), row)).collect();
        let ghost = rows.iter().find(|(id, row)| self.kept.get(id).or(doubtful.get(id)) != Some(row));
        if let Some(((_, seq), _)) = ghost {
            let odd = if self.kept.contains_key(&(lane, *seq)) { "another one" } else { "a ghost" };
            return Err(format!("lane {} row {seq} is {odd}", lane.0));
        }
        // A lane's bookkeeping never speaks of rows that did not all arrive.
        let told = self.doubt.as_ref().filter(|doubt| figures_found == figures(lane, &doubt.state)).is_some()
            && figures_found != figures(lane, &self.durable);
        let range = || (lane, floor)..=(lane, Seq::MAX);
        let promised = self.kept.range(range()).chain(doubtful.range(range()).filter(|_| told));
        if let Some(((_, seq), _)) = promised.into_iter().find(|(id, _)| !rows.contains_key(id)) {
            return Err(format!("lane {} row {seq} was promised and is lost (floor {floor})", lane.0));
        }
        let highest = found.highest_seq.get(at).copied().unwrap_or(0);
        match rows.last_key_value() {
            Some(((_, last), _)) if *last > highest => {
                Err(format!("lane {} row {last} is above highest_seq {highest}", lane.0))
            }
            _ => Ok(rows),
        }
    }
}

/// What the bookkeeping says of a lane.
fn figures(lane: Lane, state: &State) -> (LaneState, Position) {
    let at = usize::from(lane.0);
    let place = state.consumers.first().and_then(|consumer| consumer.lanes.get(at));
    (state.lane.get(at).copied().unwrap_or_default(), place.cloned().unwrap_or_default())
}
