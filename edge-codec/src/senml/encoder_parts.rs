//! Parts that both SenML encoders share: checks, base fields, and the labels of this crate.

use super::RELATIVE_BELOW_S;
use crate::encoder::Wire;
use crate::{EncodeError, Reading, Sensor, Sensors, Value};

/// Label of the reading's quality, which RFC 8428 does not have.
pub(super) const QUALITY: &str = "quality";
/// Label of a quality that must be understood: a reader that does not know it refuses the pack (RFC 8428 §4.4).
pub(super) const QUALITY_MUST: &str = "quality_";
/// Label of the batch's identity.
pub(super) const ID: &str = "edge-id";
/// Label of the mark "possible duplicate".
pub(super) const MARK: &str = "edge-pd";
/// Label of the run lengths of the sequence numbers.
pub(super) const SEQS: &str = "edge-seqs";

/// Longest base fields of several sensors, in bytes. A reader copies them into each sensor, and takes sixteen bytes of names and units per byte
/// of the pack: a record in CBOR has five bytes beside its name.
const BASE_NAME_MAX: usize = 64;
const BASE_UNIT_MAX: usize = 8;

/// State of an encoder about the readings that wait.
#[derive(Clone, Debug, Default)]
pub struct Pack {
    /// Common start of the sensors' names.
    base_name: String,
    /// True if the readings have several names. The base name then ends with a separator.
    several: bool,
    /// Unit of the first sensor; empty if a sensor has none.
    base_unit: String,
    pub(super) quality_must: bool,
}

impl Pack {
    pub(super) fn check(&self, reading: &Reading<'_>, sensor: &Sensor<'_>) -> Result<(), EncodeError> {
        let (earliest, latest) = (RELATIVE_BELOW_S * 1000, 253_402_300_799_999);
        let what = match reading.value {
            Value::Null => "null",
            Value::F64(v) if !v.is_finite() => "NaN or an infinity",
            _ if !is_name(&sensor.name) => {
                "a name with characters other than A-Z a-z 0-9 - : . / _, or that begins with - : . / _"
            }
            _ if !(earliest..=latest).contains(&reading.time) => "a time before 1978-07-04 or after 9999",
            _ => return Ok(()),
        };
        let (sensor, time) = (reading.sensor, reading.time);
        Err(EncodeError::NotCarried { format: "SenML", what, sensor, time })
    }

    pub(super) fn meet(&mut self, sensor: &Sensor<'_>, first: bool) {
        if first {
            self.base_name = sensor.name.to_string();
            self.base_unit = sensor.unit.to_string();
            self.several = false;
        } else if self.base_name != sensor.name || self.several {
            let common = self.base_name.bytes().zip(sensor.name.bytes()).take_while(|(a, b)| a == b).count();
            // Names are ASCII.
            let common = self.base_name.get(..common.min(BASE_NAME_MAX)).unwrap_or_default();
            let end = common.rfind(['/', ':', '.', '-', '_']).map_or(0, |at| at + 1);
            self.base_name.truncate(end);
            self.several = true;
        }
        if sensor.unit.is_empty() {
            self.base_unit.clear();
        }
    }

    pub(super) fn base_name(&self) -> &str {
        &self.base_name
    }

    pub(super) fn base_unit(&self) -> &str {
        if self.several && self.base_unit.len() > BASE_UNIT_MAX { "" } else { &self.base_unit }
    }

    /// Returns the part of the sensor's name behind the base name.
    pub(super) fn name<'s>(&self, sensor: &'s Sensor<'_>) -> &'s str {
        sensor.name.strip_prefix(self.base_name.as_str()).unwrap_or(&sensor.name)
    }

    /// Returns the sensor's unit; empty if it is the base unit.
    pub(super) fn unit<'s>(&self, sensor: &'s Sensor<'_>) -> &'s str {
        if sensor.unit == self.base_unit() { "" } else { &sensor.unit }
    }

    pub(super) fn quality_label(&self) -> &'static str {
        if self.quality_must { QUALITY_MUST } else { QUALITY }
    }
}

/// Returns whether a name follows RFC 8428 §4.5.1.
fn is_name(name: &str) -> bool {
    let all = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-:./_".contains(&b));
    all && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

/// Interface of the two SenML encoders.
pub trait SenmlWire: Wire {
    /// Returns the state that encoders of both forms have in common.
    fn pack(&mut self) -> &mut Pack;
}

impl<S: Sensors, W: SenmlWire> crate::Encoder<S, W> {
    /// Sets whether qualities that are not good stand under `quality_`; readers that do not know this label must refuse the pack (RFC 8428
    /// §4.4). Default: no, they stand under `quality`, which such readers skip. For SenML.
    pub fn quality_must_be_understood(mut self, must: bool) -> Self {
        self.wire.pack().quality_must = must;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(names: &[&str]) -> Pack {
        let mut pack = Pack::default();
        for (i, name) in names.iter().enumerate() {
            pack.meet(&Sensor { id: 0, name: (*name).into(), unit: "V".into() }, i == 0);
        }
        pack
    }

    #[test]
    fn the_base_name_ends_with_a_part_of_the_names() {
        assert_eq!(met(&["line2/temp", "line2/temp"]).base_name(), "line2/temp");
        assert_eq!(met(&["line2/temp", "line2/test"]).base_name(), "line2/");
        assert_eq!(met(&["line2/temp", "line2/test", "line2/temp", "line2/temp"]).base_name(), "line2/");
        assert_eq!(met(&["a:b", "a:b_c", "x"]).base_name(), "");
        assert_eq!(met(&["a:b", "a:bc"]).base_name(), "a:");
    }

    #[test]
    fn a_sensor_without_a_unit_takes_the_base_unit_away() {
        let mut pack = met(&["a", "b"]);
        assert_eq!(pack.base_unit(), "V");
        pack.meet(&Sensor { id: 1, name: "c".into(), unit: "".into() }, false);
        pack.meet(&Sensor { id: 2, name: "d".into(), unit: "V".into() }, false);
        assert_eq!(
            (pack.base_unit(), pack.unit(&Sensor { id: 0, name: "a".into(), unit: "V".into() })),
            ("", "V")
        );
    }

    #[test]
    fn names_are_those_of_section_4_5_1() {
        for good in ["a", "0", "urn:dev:ow:10e2073a01080063", "line2/temp_1.x-y"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "/a", "_a", "-", "a b", "a#b", "\u{fc}"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
