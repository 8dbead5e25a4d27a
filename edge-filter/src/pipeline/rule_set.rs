//! Rules of a pipeline with the names that they apply to, and the treatment of sensors without a rule.

use super::slot::Slot;
use super::{Pattern, Rule, Stats};
use crate::check::Normalise;
use crate::reduce::Verdict;
use crate::time::{Passage, TimeGuard};
use crate::{EmitReason, Reading};

/// Rules in order, of which the first that matches a name applies.
#[derive(Clone, Debug)]
pub(super) struct RuleSet {
    rules: Vec<(Pattern, Rule)>,
    /// Stage that interprets the qualities of sensors without a rule.
    normalise: Normalise,
    /// Guard that keeps older readings from the alarms of sensors without a rule.
    time_guard: TimeGuard,
}

impl RuleSet {
    pub(super) fn new(rules: Vec<(Pattern, Rule)>, normalise: Normalise, time_guard: TimeGuard) -> Self {
        RuleSet { rules, normalise, time_guard }
    }

    /// Returns the rule for a name, with its place, by which a slot refers to it; `None` if no rule matches.
    pub(super) fn matching(&self, name: &str) -> Option<(usize, &Rule)> {
        let place = self.rules.iter().position(|(pattern, _)| pattern.matches(name))?;
        Some((place, &self.rules.get(place)?.1))
    }

    /// Returns the stage that interprets the qualities of a sensor of this name.
    pub(super) fn normalise(&self, name: &str) -> &Normalise {
        self.matching(name).map_or(&self.normalise, |(_, rule)| &rule.normalise)
    }

    /// Returns the stage that interprets the qualities of sensors without a rule.
    pub(super) fn fallback(&self) -> &Normalise {
        &self.normalise
    }

    /// Returns the rule of a sensor; `None` if it has none.
    #[inline]
    pub(super) fn of(&self, slot: &Slot) -> Option<&Rule> {
        self.rules.get(slot.rule()?).map(|(_, rule)| rule)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Pattern, &Rule)> {
        self.rules.iter().map(|(pattern, rule)| (pattern, rule))
    }

    /// Passes a reading unfiltered. Only its quality is interpreted, so that no NaN keeps a good one.
    pub(super) fn pass(&self, reading: &mut Reading<'_>, stats: &mut Stats) -> Verdict {
        let (quality, known) = self.normalise.read(&reading.value, reading.quality);
        stats.unknown_quality += u64::from(!known);
        reading.quality = quality;
        Verdict::Emit(EmitReason::Passthrough)
    }

    /// Places a reading of a sensor without a rule in the order of times, for its alarm. `None`: it is older than the last one, and shows a state
    /// that is over. How far ahead of the clock it is does not matter, because an alarm must see it.
    pub(super) fn order(&self, slot: &mut Slot, reading: &Reading<'_>) -> Option<Passage> {
        let Reading { value, quality, time, .. } = reading;
        let is_older = slot.guard.watermark().is_some_and(|watermark| *time < watermark);
        let passage = self.time_guard.check(&mut slot.guard, value, *quality, *time, i64::MAX);
        passage.ok().filter(|passage| !is_older || *passage == Passage::ClockReset)
    }
}
