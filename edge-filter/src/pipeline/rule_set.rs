//! Rules of a pipeline with the names they are for, and the treatment of sensors that none is for.

use super::slot::Slot;
use super::{Pattern, Rule, Stats};
use crate::check::Normalise;
use crate::reduce::Verdict;
use crate::{EmitReason, Reading};

/// Rules in order, of which the first that matches a name applies.
#[derive(Clone, Debug)]
pub(super) struct RuleSet {
    rules: Vec<(Pattern, Rule)>,
    /// Reads the qualities of sensors without a rule.
    normalise: Normalise,
}

impl RuleSet {
    pub(super) fn new(rules: Vec<(Pattern, Rule)>, normalise: Normalise) -> Self {
        RuleSet { rules, normalise }
    }

    /// The rule for a name, with its place, by which a slot refers to it.
    pub(super) fn matching(&self, name: &str) -> Option<(usize, &Rule)> {
        let place = self.rules.iter().position(|(pattern, _)| pattern.matches(name))?;
        Some((place, &self.rules.get(place)?.1))
    }

    /// The rule of a sensor.
    #[inline]
    pub(super) fn of(&self, slot: &Slot) -> Option<&Rule> {
        self.rules.get(slot.rule()?).map(|(_, rule)| rule)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Pattern, &Rule)> {
        self.rules.iter().map(|(pattern, rule)| (pattern, rule))
    }

    /// Unfiltered, but for the quality: no number that is none leaves as good.
    pub(super) fn pass(&self, reading: &mut Reading<'_>, stats: &mut Stats) -> Verdict {
        let (quality, known) = self.normalise.read(&reading.value, reading.quality);
        stats.unknown_quality += u64::from(!known);
        reading.quality = quality;
        Verdict::Emit(EmitReason::Passthrough)
    }
}
