//! `fields` of a route: JSON pointers to the parts of a reading in a sensor's payload.

use edge_codec::json::{Fields, TimeUnit};
use toml::de::DeValue;

use super::Findings;
use super::section::{Section, kind};

/// Reads the table. `None`: the route has none, or it has mistakes.
pub(super) fn fields(section: &Section<'_>, findings: &mut Findings) -> Option<Fields> {
    let value = section.get("fields")?;
    let at = value.span().start;
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("expected a table, found {}", kind(value.get_ref()));
        findings.error(at, &section.key("fields"), message);
        return None;
    };
    let inner = section.inner("fields", at, table);
    let mut fields = Fields::default();
    for (key, field) in [
        ("sensor", &mut fields.sensor),
        ("value", &mut fields.value),
        ("unit", &mut fields.unit),
        ("quality", &mut fields.quality),
        ("time", &mut fields.time),
    ] {
        if let Some(name) = inner.string(key, findings) {
            if name.value.is_empty() {
                findings.error(
                    name.at,
                    &inner.key(key),
                    "the name of a field, or a pointer such as \"/data/temp\"",
                );
            }
            *field = name.value;
        }
    }
    if let Some(unit) = inner.one_of("time_unit", findings) {
        fields.time_unit = unit_of(unit.value);
    }
    fields.each = inner.string("each", findings).map(|each| each.value);
    fields.numbers_in_text = inner.boolean("numbers_in_text", findings).unwrap_or_default();
    inner.finish(findings);
    Some(fields)
}

fn unit_of(name: &str) -> TimeUnit {
    match name {
        "seconds" => TimeUnit::Seconds,
        "microseconds" => TimeUnit::Microseconds,
        "nanoseconds" => TimeUnit::Nanoseconds,
        "rfc3339" => TimeUnit::Rfc3339,
        _ => TimeUnit::Milliseconds,
    }
}
