//! Rules of promise 10 that a history is judged by.

use std::collections::{BTreeMap, BTreeSet};

use super::World;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    ObeyedTwice(u64),
    ObeyedLate(u64),
    /// Refused with a reason that says that nobody had it.
    ObeyedAndRefused(u64),
    /// Told as done, and nobody had it.
    SaidObeyed(u64),
    TwoEnds(u64),
    NoAnswer(u64),
    NotAcknowledged(u64),
    OutOfOrder(u64),
}

impl World {
    pub(super) fn judge(&self, ids: &BTreeSet<u64>) -> Result<(), Broken> {
        if let Some(id) = self.late {
            return Err(Broken::ObeyedLate(id));
        }
        let mut last = BTreeMap::new();
        for id in &self.obeyed {
            if self.obeyed.iter().filter(|one| *one == id).count() > 1 {
                return Err(Broken::ObeyedTwice(*id));
            }
            let topic = self.others.contains(id);
            if !self.unkept.contains(id) && last.insert(topic, *id).is_some_and(|before| before > *id) {
                return Err(Broken::OutOfOrder(*id));
            }
        }
        for id in ids {
            let ends = self.answers.get(id).cloned().unwrap_or_default();
            let was_obeyed = self.obeyed.contains(id);
            let may_be_obeyed = ["delivered", "obeyed", "interrupted", "not-acknowledged"];
            let nobody_had_it = |end: &str| !may_be_obeyed.contains(&end);
            let is_said_obeyed = ends.contains("delivered") || ends.contains("obeyed");
            if is_said_obeyed && !was_obeyed {
                return Err(Broken::SaidObeyed(*id));
            }
            if ends.contains("not-kept") {
                continue;
            }
            if ends.len() > 1 || self.told.get(id).is_some_and(|told| *told > 1 + self.restarts) {
                return Err(Broken::TwoEnds(*id));
            }
            if was_obeyed && ends.iter().any(|end| nobody_had_it(end)) {
                return Err(Broken::ObeyedAndRefused(*id));
            }
            if ends.is_empty() && self.arrived.contains(id) {
                return Err(Broken::NoAnswer(*id));
            }
        }
        self.hub.keys().next().map_or(Ok(()), |id| Err(Broken::NotAcknowledged(*id)))
    }
}
