//! Normalisation, the first stage: qualities of other schemes become OPC UA codes, and no NaN keeps a good quality.

use crate::value::Class;
use crate::{Cost, Quality, QualityScheme, Value};

/// Stage that maps the quality of a reading to OPC UA, and gives values that are no numbers a worse quality.
///
/// A NaN or an infinity becomes `Bad` (default) or at least `Uncertain`. A code of the source that is at least as severe is kept, because it is
/// more precise. Values are never altered.
///
/// ```
/// use edge_filter::check::Normalise;
/// use edge_filter::{Quality, QualityScheme, Value};
///
/// let sparkplug = Normalise::new(QualityScheme::Sparkplug);
/// assert_eq!(sparkplug.check(&Value::F64(20.0), Quality(192)), Quality::GOOD);
/// assert_eq!(sparkplug.check(&Value::F64(f64::NAN), Quality(192)), Quality::BAD);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalise {
    scheme: QualityScheme,
    nan_is_bad: bool,
}

impl Default for Normalise {
    fn default() -> Self {
        Normalise { scheme: QualityScheme::OpcUa, nan_is_bad: true }
    }
}

impl Normalise {
    /// Creates a stage that reads qualities as numbers of `scheme`.
    #[must_use]
    pub fn new(scheme: QualityScheme) -> Self {
        Normalise { scheme, ..Self::default() }
    }

    /// Sets whether NaN and the infinities become `Bad` (default) or only `Uncertain`.
    #[must_use]
    pub fn nan_is_bad(mut self, yes: bool) -> Self {
        self.nan_is_bad = yes;
        self
    }

    /// Returns the OPC UA code for the reading. A number that the scheme does not define is `Bad`; see [`Normalise::knows`].
    #[must_use]
    pub fn check(&self, value: &Value<'_>, raw: Quality) -> Quality {
        self.read(value, raw).0
    }

    /// Returns the OPC UA code, and whether the scheme defines the number.
    #[inline]
    pub(crate) fn read(&self, value: &Value<'_>, raw: Quality) -> (Quality, bool) {
        let known = self.scheme.to_opc_ua(raw.0);
        let quality = known.unwrap_or(Quality::BAD);
        let quality = if value.class() == Class::Finite || quality.is_bad() {
            quality
        } else if self.nan_is_bad {
            Quality::BAD
        } else if quality.is_good() {
            Quality::UNCERTAIN
        } else {
            quality
        };
        (quality, known.is_some())
    }

    /// Returns the scheme of the qualities.
    #[must_use]
    pub fn scheme(&self) -> QualityScheme {
        self.scheme
    }

    /// Returns whether the scheme defines this number.
    #[must_use]
    pub fn knows(&self, raw: Quality) -> bool {
        self.scheme.to_opc_ua(raw.0).is_some()
    }
}

impl Cost for Normalise {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_nan_stays_good() {
        let (strict, lenient) = (Normalise::default(), Normalise::default().nan_is_bad(false));
        let sensor_failure = Quality(0x808C_0000);
        let last_usable = Quality::UNCERTAIN_LAST_USABLE;
        for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let v = Value::F64(v);
            assert_eq!(strict.check(&v, Quality::GOOD), Quality::BAD);
            assert_eq!(strict.check(&v, last_usable), Quality::BAD);
            assert_eq!(strict.check(&v, sensor_failure), sensor_failure, "the source's reason is kept");
            assert_eq!(lenient.check(&v, Quality::GOOD), Quality::UNCERTAIN);
            assert_eq!(lenient.check(&v, last_usable), last_usable);
            assert_eq!(lenient.check(&v, sensor_failure), sensor_failure);
        }
        assert_eq!(strict.check(&Value::F64(1.0), Quality::GOOD), Quality::GOOD);
        assert_eq!(Normalise::new(QualityScheme::OpcUa), strict, "as strict as the default");
    }

    #[test]
    fn an_unknown_number_is_bad_and_said_so() {
        let stage = Normalise::new(QualityScheme::Sparkplug);
        assert_eq!(stage.check(&Value::F64(1.0), Quality(7)), Quality::BAD);
        assert!(!stage.knows(Quality(7)));
        assert!(stage.knows(Quality(192)));
        assert_eq!(stage.check(&Value::F64(1.0), Quality(500)), Quality::UNCERTAIN_LAST_USABLE);
    }
}
