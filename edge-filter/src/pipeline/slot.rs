//! One sensor: the states of its stages, and the order in which a reading visits them.

use super::Rule;
use crate::{
    DeadbandState, DropReason, Emit, EmitReason, Passage, Quality, Reading, Stale, StaleState, TimeGuardState,
};

/// The states of one sensor's stages.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Slot {
    #[cfg_attr(
        feature = "config",
        serde(rename = "g", default, skip_serializing_if = "crate::value::is_default")
    )]
    pub(super) guard: TimeGuardState,
    #[cfg_attr(
        feature = "config",
        serde(rename = "l", default, skip_serializing_if = "crate::value::is_default")
    )]
    pub(super) last: DeadbandState,
    #[cfg_attr(
        feature = "config",
        serde(rename = "s", default, skip_serializing_if = "crate::value::is_default")
    )]
    pub(super) stale: StaleState,
    /// The next reading that reaches the deadband passes for this reason. Kept here, since the one that caused it may
    /// be dropped for its range.
    #[cfg_attr(
        feature = "config",
        serde(rename = "f", default, skip_serializing_if = "crate::value::is_default")
    )]
    forced: Option<EmitReason>,
}

/// A reading that passed the stages which judge single readings.
pub(super) struct Admitted {
    pub(super) passage: Passage,
    pub(super) quality: Quality,
}

impl Slot {
    /// Time guard and range. `quality` is normalised.
    pub(super) fn admit(
        &mut self,
        rule: &Rule,
        reading: &Reading<'_>,
        quality: Quality,
        now_ms: i64,
    ) -> Result<Admitted, DropReason> {
        let passage =
            rule.time_guard.check(&mut self.guard, &reading.value, quality, reading.time, now_ms)?;
        if passage != Passage::Late {
            self.force(passage.reason());
        }
        let quality = match &rule.range {
            Some(range) => range.check(&reading.value, quality).ok_or(DropReason::OutOfRange)?,
            None => quality,
        };
        Ok(Admitted { passage, quality })
    }

    /// Stale and deadband. The stale stage sees what the deadband suppresses: such a sensor is alive.
    pub(super) fn reduce(
        &mut self,
        rule: &Rule,
        reading: &Reading<'_>,
        quality: Quality,
        now_ms: i64,
    ) -> Result<EmitReason, DropReason> {
        if let Some(stale) = &rule.stale
            && stale.seen(&mut self.stale, now_ms)
        {
            self.force(Some(EmitReason::Recovered));
        }
        let why = match (self.forced.take(), &rule.deadband) {
            (Some(forced), _) => forced,
            (None, Some(deadband)) => deadband.decide(&self.last, &reading.value, quality, reading.time)?,
            (None, None) => EmitReason::Passthrough,
        };
        let usable = rule.deadband.map_or(!quality.is_bad(), |deadband| deadband.usable(quality));
        self.last.emitted(&reading.value, quality, reading.time, usable);
        Ok(why)
    }

    /// A clock reset says more than a recovery, and that more than a gap.
    fn force(&mut self, reason: Option<EmitReason>) {
        let rank = |reason: Option<EmitReason>| match reason {
            None => 0,
            Some(EmitReason::First) => 1,
            Some(EmitReason::FirstAfterGap) => 2,
            Some(EmitReason::Recovered) => 3,
            Some(_) => 4,
        };
        if rank(reason) > rank(self.forced) {
            self.forced = reason;
        }
    }

    /// Reports silence that has lasted long enough: `Some` once per silence.
    ///
    /// The emit repeats the last emitted value, at the first instant after the last reading: from then on it is only
    /// the last usable one, and no later reading of the sensor can be older. If the last status was bad, or no value
    /// was ever usable, there is nothing to emit: silence does not make a bad value usable.
    pub(super) fn expire(&mut self, rule: &Rule, sensor: u32, now_ms: i64) -> Option<Option<Emit<'static>>> {
        if !rule.stale.as_ref()?.expired(&mut self.stale, now_ms) {
            return None;
        }
        let known_bad = self.last.status().is_none_or(Quality::is_bad);
        let Some(value) = self.last.reference().filter(|_| !known_bad).cloned() else { return Some(None) };
        self.last.restate(Stale::QUALITY);
        let time = self.guard.watermark().unwrap_or(now_ms).saturating_add(1);
        let (quality, reason) = (Stale::QUALITY, EmitReason::Stale);
        Some(Some(Emit { sensor, time, value, quality, reason, synthetic: true }))
    }

    pub(super) fn deadline(&self, rule: &Rule) -> Option<i64> {
        rule.stale.as_ref()?.deadline(&self.stale)
    }
}
