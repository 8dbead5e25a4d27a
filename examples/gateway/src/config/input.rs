//! `input` of a route: the format of its sensors' payloads.

use edge_codec::influx::Precision;
use edge_codec::json::{Fields, TimeUnit};

use toml::de::DeValue;

use super::Findings;
use super::fields::fields;
use super::section::Section;

/// Format of the payloads of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// JSON objects, with the parts of a reading at the JSON pointers in `fields`.
    Json(Fields),
    /// One value as text.
    Number,
    /// Lines of InfluxDB's line protocol, with timestamps in this unit.
    Lines(Precision),
    /// SenML in JSON or CBOR.
    Senml,
    /// Sparkplug B, with the most bytes that the births of its nodes may take.
    Sparkplug(u64),
}

pub(super) fn input(section: &Section<'_>, findings: &mut Findings) -> Input {
    let input = section.one_of_in_force("input", findings);
    let births_max = section.size_in_force("max_births", findings);
    if input != "sparkplug" && section.get("max_births").is_some() {
        let message = "without effect: only payloads of `input = \"sparkplug\"` have births".to_owned();
        findings.warning(section.at_key("max_births"), &section.key("max_births"), message);
    }
    let given = fields(section, findings);
    let is_named = |key: &str| match section.get("fields").map(|value| value.get_ref()) {
        Some(DeValue::Table(table)) => table.keys().any(|name| name.get_ref() == key),
        _ => false,
    };
    let at = section.at_key("fields");
    let mut wrong = |message: String| findings.error(at, &section.key("fields"), message);
    match input {
        "influx-line" => {
            let unit = given.as_ref().filter(|_| is_named("time_unit")).map(|given| given.time_unit);
            let precision = precision(unit);
            let others = given.is_some_and(|given| given != of_time_unit(unit));
            if others || precision.is_none() {
                wrong(
                    "of lines only `time_unit` is said: seconds, milliseconds, microseconds or nanoseconds"
                        .to_owned(),
                );
            }
            Input::Lines(precision.unwrap_or_default())
        }
        "number" | "senml" | "sparkplug" => {
            if section.get("fields").is_some() {
                wrong(format!(
                    "names parts of JSON: payloads of `input = \"{input}\"` have none to be named"
                ));
            }
            match input {
                "number" => Input::Number,
                "senml" => Input::Senml,
                _ => Input::Sparkplug(births_max),
            }
        }
        _ => Input::Json(given.unwrap_or_default()),
    }
}

/// Returns the fields of a configuration that sets only the unit of the time.
fn of_time_unit(unit: Option<TimeUnit>) -> Fields {
    let preset = Fields::default();
    Fields { time_unit: unit.unwrap_or(preset.time_unit), ..preset }
}

/// Returns the unit of timestamps in line protocol. `None`: line protocol has no such unit.
fn precision(unit: Option<TimeUnit>) -> Option<Precision> {
    Some(match unit {
        None => Precision::default(),
        Some(TimeUnit::Seconds) => Precision::Seconds,
        Some(TimeUnit::Milliseconds) => Precision::Milliseconds,
        Some(TimeUnit::Microseconds) => Precision::Microseconds,
        Some(TimeUnit::Nanoseconds) => Precision::Nanoseconds,
        Some(TimeUnit::Rfc3339) => return None,
    })
}
