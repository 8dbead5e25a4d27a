//! Rules of a pipeline with the names that they apply to, and the treatment of sensors without a rule.

use super::slot::Slot;
use super::{Pattern, Rule, Stats};
use crate::check::Normalise;
use crate::reduce::Verdict;
use crate::{EmitReason, Reading};

/// Rules in order, of which the first that matches a name applies.
#[derive(Clone, Debug)]
pub(super) struct RuleSet {
    rules: Vec<(Pattern, Rule)>,
    /// Stage that interprets the qualities of sensors without a rule.
    normalise: Normalise,
}

impl RuleSet {
    pub(super) fn new(rules: Vec<(Pattern, Rule)>, normalise: Normalise) -> Self {
        RuleSet { rules, normalise }
    }

    /// Returns the rule for a name, with its place, by which a slot refers to it; `None` if no rule matches.
    pub(super) fn matching(&self, name: &str) -> Option<(usize, &Rule)> {
        let place = self.rules.iter().position(|(pattern, _)| pattern.matches(name))?;
        Some((place, &self.rules.get(place)?.1))
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
}
