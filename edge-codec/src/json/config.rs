//! The field map as it stands in a configuration file.

use super::{FieldMap, TimeUnit};
use serde::Deserialize;

/// A [`FieldMap`] as plain data, for configuration files; `FieldMap` itself reads from the same table. A field that is
/// left out has its default. Exhaustive.
///
/// ```
/// # use edge_codec::json::{FieldMap, Fields, TimeUnit};
/// let fields: Fields = serde_json::from_str(r#"{"value": "/data/temp", "time": "at", "time_unit": "seconds"}"#)?;
/// let map = FieldMap::from(fields);
/// assert_eq!(map, FieldMap::default().value("/data/temp").time("at", TimeUnit::Seconds));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// Key of the name, as [`FieldMap::sensor`].
    pub sensor: String,
    /// Key of the value, as [`FieldMap::value`].
    pub value: String,
    /// Key of the unit, as [`FieldMap::unit`].
    pub unit: String,
    /// Key of the quality, as [`FieldMap::quality`].
    pub quality: String,
    /// Key of the time, as [`FieldMap::time`].
    pub time: String,
    /// `"seconds"`, `"milliseconds"`, `"microseconds"`, `"nanoseconds"` or `"rfc3339"`.
    pub time_unit: TimeUnit,
    /// See [`FieldMap::each`]; absent: no.
    pub each: Option<String>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            sensor: "sensor".to_owned(),
            value: "value".to_owned(),
            unit: "unit".to_owned(),
            quality: "quality".to_owned(),
            time: "ts".to_owned(),
            time_unit: TimeUnit::Milliseconds,
            each: None,
        }
    }
}

impl From<Fields> for FieldMap {
    fn from(fields: Fields) -> Self {
        let map = FieldMap::default()
            .sensor(&fields.sensor)
            .value(&fields.value)
            .unit(&fields.unit)
            .quality(&fields.quality)
            .time(&fields.time, fields.time_unit);
        match fields.each {
            Some(object) => map.each(&object),
            None => map,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_default_map() {
        assert_eq!(FieldMap::from(Fields::default()), FieldMap::default());
        let map: FieldMap = serde_json::from_str("{}").unwrap();
        assert_eq!(map, FieldMap::default());
        let map: FieldMap = serde_json::from_str(r#"{"each":"/data"}"#).unwrap();
        assert_eq!(map, FieldMap::default().each("/data"));
    }

    #[test]
    fn a_name_that_does_not_exist_is_refused() {
        assert!(serde_json::from_str::<Fields>(r#"{"values":"temp"}"#).is_err());
        assert!(serde_json::from_str::<Fields>(r#"{"time_unit":"minutes"}"#).is_err());
    }
}
