//! The stages that alter a value: scale and unit, counters. They run on judged readings, before alarms and the reducer.

use crate::{DropReason, EmitReason, Quality, Reading};

/// The transforming stages of a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Transforms {}

/// What they keep per sensor; lives apart, since few sensors have any.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(default))]
pub(super) struct TransformsState {}

impl Transforms {
    /// Whether a sensor needs a [`TransformsState`].
    pub(super) fn keeps_state(&self) -> bool {
        false
    }

    /// Alters value and quality in place. A reason makes the reading pass the reducer whatever its value.
    pub(super) fn apply(
        &self,
        _state: Option<&mut TransformsState>,
        _reading: &mut Reading<'_>,
        _quality: &mut Quality,
    ) -> Result<Option<EmitReason>, DropReason> {
        Ok(None)
    }
}
