//! Rules of promise 10 that a history is judged by.

use std::collections::{BTreeMap, BTreeSet};

use edge_bridge::Row;

use super::{AtHub, Bug, World, end_in};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    ObeyedTwice(u64),
    ObeyedLate(u64),
    /// Retained, or without an expiry.
    ObeyedUnfit(u64),
    /// Refused as not kept where the disk refused nothing, or somebody has had it, or with two more ends.
    NotKept(u64),
    /// Refused with a reason that says that nobody had it.
    ObeyedAndRefused(u64),
    /// Told as done, and nobody had it.
    SaidObeyed(u64),
    TwoEnds(u64),
    NoAnswer(u64),
    NotAcknowledged(u64),
    OutOfOrder(u64),
    /// No more given, although it had time, and nobody acknowledged it, or had it where it is given at most once.
    GivenUp(u64),
}

impl World {
    pub(super) fn judge(&self, ids: &BTreeSet<u64>) -> Result<(), Broken> {
        if let Some(id) = self.late {
            return Err(Broken::ObeyedLate(id));
        }
        if let Some(id) = self.twice {
            return Err(Broken::ObeyedTwice(id));
        }
        if let Some(id) = self.given_up {
            return Err(Broken::GivenUp(id));
        }
        self.judge_order()?;
        for id in ids {
            let is_repeatable = self.repeatable.contains(id);
            let told = self.answers.get(id).cloned().unwrap_or_default();
            let ends: BTreeSet<&str> = told.iter().map(|(end, _)| end.as_str()).collect();
            let was_obeyed = self.was_obeyed(*id);
            let may_be_obeyed = ["delivered", "obeyed", "interrupted", "not-acknowledged"];
            let nobody_had_it = |end: &str| !may_be_obeyed.contains(&end);
            let is_said_obeyed = ends.contains("delivered") || ends.contains("obeyed");
            if is_said_obeyed && !was_obeyed {
                return Err(Broken::SaidObeyed(*id));
            }
            if let Some(reason) = self.unfit.get(id) {
                self.judge_unfit(*id, reason, &ends)?;
                continue;
            }
            let refused_in = told.iter().filter(|(end, _)| end == "not-kept").map(|(_, run)| *run).max();
            if let Some(refused_in) = refused_in {
                // A copy may be given in a later run.
                let had_it = self.obeyed.iter().any(|(one, run)| one == id && *run <= refused_in);
                if had_it || ends.len() > 2 || !self.unkept.contains(id) {
                    return Err(Broken::NotKept(*id));
                }
                continue;
            }
            if (ends.len() > 1 && !is_repeatable)
                || self.told.get(id).is_some_and(|told| *told > 1 + self.restarts)
            {
                return Err(Broken::TwoEnds(*id));
            }
            // At least once, a run of the gateway does not know who had it in an earlier one.
            let is_obeyed_in = |run| self.obeyed.contains(&(*id, run));
            let had_it = |run: usize| if is_repeatable { is_obeyed_in(run) } else { was_obeyed };
            if told.iter().any(|(end, run)| nobody_had_it(end) && had_it(*run)) {
                return Err(Broken::ObeyedAndRefused(*id));
            }
            let is_owed = !self.dropped.contains(id) || (was_obeyed && !is_repeatable);
            if ends.is_empty() && self.arrived.contains(id) && is_owed {
                return Err(Broken::NoAnswer(*id));
            }
        }
        self.hub.keys().next().map_or(Ok(()), |id| Err(Broken::NotAcknowledged(*id)))
    }

    /// Judges a command that is refused as it comes: each time, for the same reason.
    fn judge_unfit(&self, id: u64, reason: &str, ends: &BTreeSet<&str>) -> Result<(), Broken> {
        if self.was_obeyed(id) {
            return Err(Broken::ObeyedUnfit(id));
        }
        if ends.iter().any(|end| *end != reason) {
            return Err(Broken::TwoEnds(id));
        }
        let is_untold = ends.is_empty() && self.arrived.contains(&id) && !self.dropped.contains(&id);
        if is_untold { Err(Broken::NoAnswer(id)) } else { Ok(()) }
    }

    /// What was sent to nobody is given until its expiry is over; at least once also what a client did not acknowledge.
    pub(super) fn see_early_end(&mut self, row: &Row) {
        let (id, end) = end_in(row);
        let is_to_be_given = self.repeatable.contains(&id) || !self.was_obeyed(id);
        let is_of_client = is_to_be_given && !self.others.contains(&id);
        // Copies seem up to three seconds older than they are.
        let has_time = |at_hub: &AtHub| at_hub.expires_ms > self.now_ms + 3_000;
        let is_end = ["not-acknowledged", "nobody"].contains(&end.as_str());
        let is_early = is_end && is_of_client && self.hub.get(&id).is_some_and(has_time);
        // A clock that steps ends commands early, too: what convicts it is that others are late.
        let is_judged = self.bug != Some(Bug::DeadlinesByWallClock);
        self.given_up = self.given_up.or((is_early && is_judged).then_some(id));
    }

    /// Commands of a local topic are obeyed in order: in each run, and those that are given at most once over all runs.
    fn judge_order(&self) -> Result<(), Broken> {
        let mut last = BTreeMap::new();
        for (id, run) in self.obeyed.iter().filter(|(id, _)| !self.unkept.contains(id)) {
            let topic = self.others.contains(id);
            let mut is_behind = |run| last.insert((topic, run), *id).is_some_and(|before| before > *id);
            if is_behind(Some(*run)) || (!self.repeatable.contains(id) && is_behind(None)) {
                return Err(Broken::OutOfOrder(*id));
            }
        }
        Ok(())
    }
}
