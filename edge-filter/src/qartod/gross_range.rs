//! Gross range test: the flag that a [`Range`] gives a value.

use crate::check::Range;
use crate::qartod::QartodFlag;
use crate::{Quality, Value};

impl Range {
    /// Returns the flag of the gross range test of QARTOD, whatever the action. NaN is missing; the infinities fail, as in `ioos_qc`; booleans
    /// and texts are good.
    #[must_use]
    pub fn flag(&self, value: &Value<'_>) -> QartodFlag {
        if matches!(value, Value::F64(v) if v.is_nan()) {
            return QartodFlag::Missing;
        }
        match self.check(value, Quality::GOOD) {
            Some(quality) if quality.is_good() => QartodFlag::Good,
            Some(quality) if quality.is_uncertain() => QartodFlag::Suspect,
            _ => QartodFlag::Fail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamError;
    use crate::check::RangeAction;

    #[test]
    fn flags_are_those_of_ioos_qc_for_values_in_out_and_missing() -> Result<(), ParamError> {
        let range = Range::new(-20.0, 55.0)?.suspect(-5.0, 20.0)?;
        let inf = f64::INFINITY;
        let values = [1.0, 20.0, f64::NAN, 50.0, inf, -60.0, -inf, 7.0, -8.0, -20.0, -5.0];
        let expected = [1, 1, 9, 3, 4, 4, 4, 1, 3, 3, 1];
        for action in [RangeAction::Mark, RangeAction::Drop] {
            let flags = values.map(|v| range.action(action).flag(&v.into()).number());
            assert_eq!(flags, expected, "ioos_qc 3.0.0 gross_range_test");
        }
        Ok(())
    }
}
