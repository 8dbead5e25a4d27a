//! Quality of a reading: the OPC UA `StatusCode`, and the schemes that are converted to it.

use std::fmt;

/// OPC UA `StatusCode` (Part 4 §7.39): bits 31-30 are the severity, 29-16 the sub-code, the rest information.
///
/// Codes are compared as whole 32-bit words, so a change of an information bit is a status change too.
///
/// ```
/// use edge_filter::Quality;
///
/// assert!(Quality::GOOD.is_good() && Quality(0x8034_0000).is_bad());
/// assert_eq!(Quality::UNCERTAIN.to_string(), "Uncertain 0x40000000");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(transparent))]
#[allow(clippy::exhaustive_structs, reason = "a newtype over the standard's 32 bits")]
pub struct Quality(pub u32);

impl Quality {
    /// `Good`, which is also the default, because an absent quality means good.
    pub const GOOD: Quality = Quality(0);
    /// `Uncertain`, no reason given.
    pub const UNCERTAIN: Quality = Quality(0x4000_0000);
    /// `UncertainLastUsableValue`: the source of this value has stopped updating it.
    pub const UNCERTAIN_LAST_USABLE: Quality = Quality(0x4090_0000);
    /// `UncertainSubstituteValue`: another value replaces the measured one.
    pub const UNCERTAIN_SUBSTITUTE: Quality = Quality(0x4091_0000);
    /// `UncertainEngineeringUnitsExceeded`: the value is outside the range in which the sensor can be trusted.
    pub const UNCERTAIN_UNITS_EXCEEDED: Quality = Quality(0x4094_0000);
    /// `Bad`, no reason given.
    pub const BAD: Quality = Quality(0x8000_0000);
    /// `BadOutOfRange`: the sensor cannot have measured this value.
    pub const BAD_OUT_OF_RANGE: Quality = Quality(0x803C_0000);

    /// `UncertainSubNormal`: the value was computed from fewer good sources than required.
    pub const UNCERTAIN_SUB_NORMAL: Quality = Quality(0x4095_0000);
    /// `BadNoCommunication`: the source is known and silent, and there is no last value of it.
    pub const BAD_NO_COMMUNICATION: Quality = Quality(0x8031_0000);
    /// `BadNoData`: there was nothing to compute a value from.
    pub const BAD_NO_DATA: Quality = Quality(0x809B_0000);

    /// Returns whether the severity is 00.
    #[must_use]
    pub const fn is_good(self) -> bool {
        self.0 >> 30 == 0
    }

    /// Returns whether the severity is 01.
    #[must_use]
    pub const fn is_uncertain(self) -> bool {
        self.0 >> 30 == 1
    }

    /// Returns whether the quality is bad: severity 10, or 11, which the standard reserves and which is therefore not trusted.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        self.0 >> 31 == 1
    }

    /// Returns whether the quality is good, or uncertain if that counts as good.
    pub(crate) const fn is_usable(self, uncertain_is_bad: bool) -> bool {
        self.is_good() || (self.is_uncertain() && !uncertain_is_bad)
    }
}

impl From<u32> for Quality {
    fn from(code: u32) -> Self {
        Quality(code)
    }
}

impl From<Quality> for u32 {
    fn from(quality: Quality) -> Self {
        quality.0
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match (self.is_good(), self.is_uncertain()) {
            (true, _) => "Good",
            (_, true) => "Uncertain",
            _ => "Bad",
        };
        write!(f, "{severity} 0x{:08X}", self.0)
    }
}

/// Meaning of the numbers in `Reading::quality` on arrival.
///
/// ```
/// use edge_filter::{Quality, QualityScheme};
///
/// assert_eq!(QualityScheme::Sparkplug.to_opc_ua(192), Some(Quality::GOOD));
/// assert_eq!(QualityScheme::Sparkplug.to_opc_ua(7), None); // treat it as bad
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum QualityScheme {
    /// OPC UA status codes, which are not converted.
    #[default]
    OpcUa,
    /// Sparkplug B 3.0, property `Quality`: 0 bad, 192 good, 500 stale. The OPC DA range 192..=255 counts as good;
    /// codes with bit 31 set (as Ignition sends them) are bad, every other number is unknown and bad. A metric
    /// without the property is good: pass 192.
    Sparkplug,
    /// Ignition 8: the two top bits are the severity (its own "error", 11, is bad), the low 16 the code; 500 (stale)
    /// is the last usable value, and a plain OPC DA code (192..=255 good, 64..=127 uncertain, 0..=63 bad) is taken
    /// as such. Every other number is unknown and bad.
    Ignition,
}

impl QualityScheme {
    /// Returns a number of the scheme for an OPC UA code, for a source that says no number: [`to_opc_ua`](Self::to_opc_ua) makes of it a code that
    /// is as good, uncertain or bad.
    #[must_use]
    pub const fn from_opc_ua(self, quality: Quality) -> u32 {
        match (self, quality.0 >> 30) {
            (QualityScheme::OpcUa, _) => quality.0,
            (QualityScheme::Sparkplug | QualityScheme::Ignition, 0) => 192,
            (QualityScheme::Sparkplug, 1) => 500,
            (QualityScheme::Ignition, 1) => Quality::UNCERTAIN.0,
            (QualityScheme::Sparkplug | QualityScheme::Ignition, _) => Quality::BAD.0,
        }
    }

    /// Returns the OPC UA code for `raw`; `None` if the scheme does not define the number (treat it as bad, and count it).
    #[must_use]
    pub const fn to_opc_ua(self, raw: u32) -> Option<Quality> {
        match self {
            QualityScheme::OpcUa => Some(Quality(raw)),
            QualityScheme::Sparkplug => match raw {
                192..=255 => Some(Quality::GOOD),
                500 => Some(Quality::UNCERTAIN_LAST_USABLE),
                0 | 0x8000_0000.. => Some(Quality::BAD),
                _ => None,
            },
            QualityScheme::Ignition => match (raw >> 30, raw & 0xFFFF) {
                (_, 500) => Some(Quality::UNCERTAIN_LAST_USABLE),
                (2 | 3, _) => Some(Quality::BAD),
                (1, _) => Some(Quality::UNCERTAIN),
                (0, _) => match raw {
                    192..=255 => Some(Quality::GOOD),
                    64..=127 => Some(Quality::UNCERTAIN),
                    0..=63 => Some(Quality::BAD),
                    _ => None,
                },
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_scheme_for_a_code_is_as_good_as_the_code() {
        for scheme in [QualityScheme::OpcUa, QualityScheme::Sparkplug, QualityScheme::Ignition] {
            for code in [Quality::GOOD, Quality::UNCERTAIN, Quality::BAD, Quality::BAD_NO_DATA] {
                let back = scheme.to_opc_ua(scheme.from_opc_ua(code));
                assert_eq!(back.map(|back| back.0 >> 30), Some(code.0 >> 30), "{scheme:?} {code}");
            }
        }
    }

    #[test]
    fn severity_is_the_two_top_bits_and_reserved_is_bad() {
        for (code, good, uncertain, bad) in [
            (0, true, false, false),
            (0x3FFF_FFFF, true, false, false),
            (0x4000_0000, false, true, false),
            (0x4090_0000, false, true, false),
            (0x8000_0000, false, false, true),
            (0xC000_0000, false, false, true),
            (u32::MAX, false, false, true),
        ] {
            let q = Quality(code);
            assert_eq!((q.is_good(), q.is_uncertain(), q.is_bad()), (good, uncertain, bad), "{q}");
        }
    }

    #[test]
    fn ignition_numbers_are_mapped_row_by_row() {
        for (raw, mapped) in [
            (192, Some(Quality::GOOD)),
            (255, Some(Quality::GOOD)),
            (64, Some(Quality::UNCERTAIN)),
            (0, Some(Quality::BAD)),
            (128, None),
            (256, None),
            (500, Some(Quality::UNCERTAIN_LAST_USABLE)),
            (0x8000_0000 | 500, Some(Quality::UNCERTAIN_LAST_USABLE)),
            (0x8000_0000 | 515, Some(Quality::BAD)),
            (0x4000_0000 | 256, Some(Quality::UNCERTAIN)),
            (0xC000_0000 | 768, Some(Quality::BAD)),
        ] {
            assert_eq!(QualityScheme::Ignition.to_opc_ua(raw), mapped, "{raw}");
        }
    }

    #[test]
    fn sparkplug_numbers_are_mapped_row_by_row() {
        for (raw, mapped) in [
            (0, Some(Quality::BAD)),
            (1, None),
            (64, None),
            (191, None),
            (192, Some(Quality::GOOD)),
            (255, Some(Quality::GOOD)),
            (256, None),
            (500, Some(Quality(0x4090_0000))),
            (0x4000_0000, None),
            (0x8000_0201, Some(Quality::BAD)),
            (u32::MAX, Some(Quality::BAD)),
        ] {
            assert_eq!(QualityScheme::Sparkplug.to_opc_ua(raw), mapped, "{raw}");
        }
    }
}
