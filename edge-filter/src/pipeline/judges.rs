//! The stages that judge single readings, in their order: each marks a reading with a worse quality, drops it, or lets
//! it be.

use crate::{DropReason, Quality, Range, Reading};

/// The judging stages of a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Judges {
    pub(super) range: Option<Range>,
}

/// What they keep per sensor; lives apart, since few sensors have any.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(default))]
pub(super) struct JudgesState {}

impl Judges {
    /// Whether a sensor needs a [`JudgesState`].
    pub(super) fn keeps_state(&self) -> bool {
        false
    }

    /// The quality of the reading after all tests. `state` is there if [`keeps_state`](Self::keeps_state).
    pub(super) fn check(
        &self,
        _state: Option<&mut JudgesState>,
        reading: &Reading<'_>,
        quality: Quality,
    ) -> Result<Quality, DropReason> {
        match &self.range {
            Some(range) => range.check(&reading.value, quality).ok_or(DropReason::OutOfRange),
            None => Ok(quality),
        }
    }
}
