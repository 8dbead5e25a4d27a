//! Flags of QARTOD: their numbers, how several become one, and how a flag alters a quality.

use crate::Quality;
use std::fmt;

/// Primary flag of QARTOD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[allow(clippy::exhaustive_enums, reason = "the standard's list")]
pub enum QartodFlag {
    /// Flag 1: nothing was found.
    Good,
    /// Flag 2: the test could not judge the value.
    Unknown,
    /// Flag 3: the value is doubtful.
    Suspect,
    /// Flag 4: the value is wrong.
    Fail,
    /// Flag 9: there is no value.
    Missing,
}

impl QartodFlag {
    /// Returns the number that the standard gives the flag.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            QartodFlag::Good => 1,
            QartodFlag::Unknown => 2,
            QartodFlag::Suspect => 3,
            QartodFlag::Fail => 4,
            QartodFlag::Missing => 9,
        }
    }

    /// Returns one flag for the flags of several tests (`qartod_compare`): the highest of missing, unknown, good, suspect, fail, in this order.
    /// Missing if there are no flags.
    #[must_use]
    pub fn rollup(flags: impl IntoIterator<Item = QartodFlag>) -> QartodFlag {
        flags.into_iter().max_by_key(|flag| flag.precedence()).unwrap_or(QartodFlag::Missing)
    }

    const fn precedence(self) -> u8 {
        match self {
            QartodFlag::Missing => 0,
            QartodFlag::Unknown => 1,
            QartodFlag::Good => 2,
            QartodFlag::Suspect => 3,
            QartodFlag::Fail => 4,
        }
    }

    /// Returns the quality of a reading with this flag: fail makes it `BadOutOfRange`, suspect `UncertainEngineeringUnitsExceeded`. A quality
    /// of the source that is at least as severe is kept, because it is more precise; the other flags alter nothing.
    #[must_use]
    pub fn mark(self, quality: Quality) -> Quality {
        match self {
            QartodFlag::Fail if !quality.is_bad() => Quality::BAD_OUT_OF_RANGE,
            QartodFlag::Suspect if quality.is_good() => Quality::UNCERTAIN_UNITS_EXCEEDED,
            _ => quality,
        }
    }
}

impl fmt::Display for QartodFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QartodFlag::Good => "good",
            QartodFlag::Unknown => "unknown",
            QartodFlag::Suspect => "suspect",
            QartodFlag::Fail => "fail",
            QartodFlag::Missing => "missing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::QartodFlag::{Fail, Good, Missing, Suspect, Unknown};
    use super::*;

    #[test]
    fn the_rollup_takes_the_highest_of_9_2_1_3_4() {
        let order = [Missing, Unknown, Good, Suspect, Fail];
        for (i, a) in order.into_iter().enumerate() {
            for (j, b) in order.into_iter().enumerate() {
                assert_eq!(QartodFlag::rollup([a, b]), order[i.max(j)], "{a} {b}");
            }
        }
        assert_eq!(QartodFlag::rollup([]), Missing);
        assert_eq!(order.map(QartodFlag::number), [9, 2, 1, 3, 4]);
    }

    #[test]
    fn a_flag_never_improves_a_quality() {
        for flag in [Good, Unknown, Suspect, Fail, Missing] {
            for quality in [Quality::GOOD, Quality::UNCERTAIN_LAST_USABLE, Quality::BAD, Quality(u32::MAX)] {
                assert!(flag.mark(quality).0 >> 30 >= quality.0 >> 30, "{flag} {quality}");
            }
        }
        assert_eq!(Fail.mark(Quality::UNCERTAIN), Quality::BAD_OUT_OF_RANGE);
        assert_eq!(Suspect.mark(Quality::UNCERTAIN), Quality::UNCERTAIN);
        assert_eq!(Suspect.mark(Quality::GOOD), Quality::UNCERTAIN_UNITS_EXCEEDED);
    }
}
