//! Field map: assigns roles to the fields of a payload. Also its form in a configuration file.

#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;

/// Unit of a time field. It is configured, because a number alone does not show its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds since the Unix epoch; a fraction is rounded to milliseconds.
    Seconds,
    /// Milliseconds since the Unix epoch; a fraction is rounded.
    Milliseconds,
    /// Microseconds since the Unix epoch, cut to milliseconds.
    Microseconds,
    /// Nanoseconds since the Unix epoch, cut to milliseconds.
    Nanoseconds,
    /// Text as RFC 3339 §5.6, cut to milliseconds; a leap second is the first of the next minute.
    Rfc3339,
}

/// Names of the fields in a sensor's payload.
///
/// A name that begins with `/` is a JSON Pointer (RFC 6901) from the reading's object, for nested payloads:
/// `FieldMap::default().value("/data/temp").unit("/data/unit")`. The elements of an array are `0`, `1`, …, as in `/data/0/temp`;
/// `-` never exists. Pointers are at most eight keys long; a longer one finds nothing. If two fields have the same name, the
/// first in the order below has it.
///
/// The default is `sensor`, `value`, `unit`, `quality` and `ts` in milliseconds. For configuration files there is
/// [`Fields`].
///
/// ```
/// use edge_codec::json::{self, FieldMap, TimeUnit};
/// use edge_codec::{Limits, Source, Value};
///
/// let map = FieldMap::default().value("/data/temp").time("at", TimeUnit::Seconds);
/// let source = Source { sensor: Some("oven3"), arrival_ms: 0 };
/// let payload = br#"{"at": 1580515200, "data": {"temp": 97.4}}"#;
/// let records = json::import(payload, &map, &source, &Limits::default())?;
/// assert_eq!((records[0].time, &records[0].value), (1_580_515_200_000, &Value::F64(97.4)));
/// # Ok::<(), edge_codec::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "Fields")]
pub struct FieldMap {
    pub(super) paths: [Path; ROLES],
    pub(super) time_unit: TimeUnit,
    /// Path of the object whose numbers and booleans are readings of their own, or of the list of which every entry is one.
    each: Option<Path>,
    /// True if a text that is a number is read as that number.
    pub(super) numbers_in_text: bool,
}

/// Role of a field, and its place in [`FieldMap::paths`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Sensor,
    Value,
    Unit,
    Quality,
    Time,
    Bytes,
}

const ROLES: usize = 6;
const ALL: [Role; ROLES] = [Role::Sensor, Role::Value, Role::Unit, Role::Quality, Role::Time, Role::Bytes];

/// Keys from the reading's object inwards. Empty: the field does not exist.
type Path = Vec<Cow<'static, str>>;

impl Default for FieldMap {
    fn default() -> Self {
        let key = |name| vec![Cow::Borrowed(name)];
        Self {
            paths: [key("sensor"), key("value"), key("unit"), key("quality"), key("ts"), Vec::new()],
            time_unit: TimeUnit::Milliseconds,
            each: None,
            numbers_in_text: false,
        }
    }
}

impl FieldMap {
    /// Sets the field that names the sensor, as text. Default `sensor`. Payloads without it take [`Source::sensor`](crate::Source::sensor).
    #[must_use]
    pub fn sensor(self, name: &str) -> Self {
        self.set(Role::Sensor, name)
    }

    /// Sets the field with the value, which is required. Default `value`.
    #[must_use]
    pub fn value(self, name: &str) -> Self {
        self.set(Role::Value, name)
    }

    /// Sets the field with the unit, as text; it is not converted. Default `unit`.
    #[must_use]
    pub fn unit(self, name: &str) -> Self {
        self.set(Role::Unit, name)
    }

    /// Sets the field with the quality: an OPC UA StatusCode as a number, or `good`, `uncertain`, `bad` in any case. Default `quality`; the
    /// quality of payloads without it is good.
    #[must_use]
    pub fn quality(self, name: &str) -> Self {
        self.set(Role::Quality, name)
    }

    /// Sets the field with the source time, and its unit. Default `ts` in milliseconds.
    #[must_use]
    pub fn time(mut self, name: &str, unit: TimeUnit) -> Self {
        self.time_unit = unit;
        self.set(Role::Time, name)
    }

    /// Sets the object or the list of payloads with several values; `""` is the reading's object itself, a pointer leads to one within.
    /// Default: none. The [`value`](Self::value) is optional then.
    ///
    /// Every number and boolean of an object that is none of the fields above becomes a reading of its own, with its key in
    /// [`Record::field`](crate::Record::field), and with sensor, time, unit and quality of the object around it. Every entry of a list is a
    /// reading's object, from which the pointers lead; what it lacks of sensor, time, unit and quality is that of the object around the list.
    #[must_use]
    pub fn each(mut self, object: &str) -> Self {
        self.each = Some(if object.is_empty() { Vec::new() } else { path(object) });
        self
    }

    /// Sets whether values and times that are decimal numbers in quotation marks, as `"21.5"`, are read as numbers; other texts stay texts.
    /// Default: no.
    #[must_use]
    pub fn numbers_in_text(mut self, wanted: bool) -> Self {
        self.numbers_in_text = wanted;
        self
    }

    /// Returns the map of this crate's own batches, which have `bytes` beside `value`.
    pub(super) fn batch() -> Self {
        Self::default().set(Role::Bytes, "bytes")
    }

    fn set(mut self, role: Role, name: &str) -> Self {
        if let Some(slot) = self.paths.get_mut(role as usize) {
            *slot = path(name);
        }
        self
    }

    /// Returns the role of the field at `path`; `None` if it has none.
    pub(super) fn role(&self, path: &[&str]) -> Option<Role> {
        ALL.into_iter().zip(&self.paths).find(|(_, p)| !path.is_empty() && *p == path).map(|(role, _)| role)
    }

    /// Returns whether a field with a role is somewhere below `path`.
    pub(super) fn leads_on(&self, path: &[&str]) -> bool {
        self.paths.iter().any(|p| p.len() > path.len() && starts_with(p, path))
    }

    /// Returns whether the object or list with several readings is at `path` or somewhere below.
    pub(super) fn leads_to_each(&self, path: &[&str]) -> bool {
        self.each.as_ref().is_some_and(|p| starts_with(p, path))
    }

    /// Returns whether the field at `path` becomes a reading of its own if it is a number or a boolean.
    pub(super) fn is_each(&self, path: &[&str]) -> bool {
        path.split_last().is_some_and(|(_, parent)| self.has_several(parent))
    }

    /// Returns whether the object or list with several readings is at `path`.
    pub(super) fn has_several(&self, path: &[&str]) -> bool {
        self.each.as_ref().is_some_and(|each| each == path)
    }

    pub(super) fn has_each(&self) -> bool {
        self.each.is_some()
    }

    /// Returns the name of a field as it was configured, for messages.
    pub(super) fn name(&self, role: Role) -> Cow<'static, str> {
        match self.paths.get(role as usize).map(Vec::as_slice) {
            Some([key]) => key.clone(),
            Some(keys) => Cow::Owned(keys.iter().flat_map(|k| ["/", k]).collect()),
            None => Cow::Borrowed(""),
        }
    }
}

/// Splits a name into keys: one key, or those of a JSON Pointer.
fn path(name: &str) -> Path {
    match name.strip_prefix('/') {
        None => vec![Cow::Owned(name.to_owned())],
        Some(rest) => {
            rest.split('/').map(|key| Cow::Owned(key.replace("~1", "/").replace("~0", "~"))).collect()
        }
    }
}

fn starts_with(long: &Path, short: &[&str]) -> bool {
    long.len() >= short.len() && long.iter().zip(short).all(|(a, b)| a == b)
}

/// Plain data of a [`FieldMap`], for configuration files; `FieldMap` itself can be read from the same table. A field that is left out has its
/// default. Exhaustive, so that a literal can list all fields.
///
/// ```
/// # use edge_codec::json::{FieldMap, Fields, TimeUnit};
/// let fields: Fields = serde_json::from_str(r#"{"value": "/data/temp", "time": "at", "time_unit": "seconds"}"#)?;
/// let map = FieldMap::from(fields);
/// assert_eq!(map, FieldMap::default().value("/data/temp").time("at", TimeUnit::Seconds));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
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
    /// Unit of the time: `"seconds"`, `"milliseconds"`, `"microseconds"`, `"nanoseconds"` or `"rfc3339"`.
    pub time_unit: TimeUnit,
    /// Object or list with several values, as [`FieldMap::each`]; absent if payloads have one value.
    pub each: Option<String>,
    /// Numbers in quotation marks, as [`FieldMap::numbers_in_text`].
    pub numbers_in_text: bool,
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
            numbers_in_text: false,
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
            .time(&fields.time, fields.time_unit)
            .numbers_in_text(fields.numbers_in_text);
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
    fn pointers_match_whole_paths_and_lead_on_from_their_parents() {
        let map = FieldMap::default().value("/data/a~1b").unit("u/x");
        assert_eq!(map.role(&["data", "a/b"]), Some(Role::Value));
        assert_eq!(map.role(&["data"]), None);
        assert!(map.leads_on(&["data"]));
        assert!(!map.leads_on(&["data", "a/b"]));
        assert_eq!(map.role(&["u/x"]), Some(Role::Unit), "only a leading slash makes a pointer");
        assert_eq!(map.role(&["bytes"]), None);
        assert_eq!(map.name(Role::Value), "/data/a/b");
    }

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
