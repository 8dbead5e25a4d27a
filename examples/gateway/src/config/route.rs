//! `[[route]]`: topics, destination, format and filter of one class of messages.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use edge_bridge::wire::{validate_characters, validate_filter, validate_levels, validate_topic_name};
use edge_codec::compact::Level;

use super::input::{Input, input};
use super::section::{Placed, Section, World};
use super::tables::tables_of;
use super::units::human_bytes;
use super::{BatchMax, Findings, Format, Queue, Route, Severity, ack_held};

/// Most readings of a batch that is limited in bytes.
const BATCH_READINGS_MAX: u32 = 100_000;

/// Most bytes of the filters' files of all routes: each route keeps the text of its own.
const RULES_BYTES_IN_ALL: usize = 4 << 20;

/// Reads the tables. Returns the numbers in the file of the valid routes, and these.
pub(super) fn routes<'a>(
    top: &mut Section<'a>,
    queue: &Queue,
    world: &'a World<'a>,
    findings: &mut Findings,
) -> (Vec<usize>, Vec<Route>) {
    let mut routes = Vec::new();
    let mut rules_bytes = 0;
    for (number, at, table) in tables_of(top, "route", findings) {
        let mut section = Section::new(&format!("route[{number}]"), at, Some(table), world);
        let route = route(&mut section, queue, findings);
        section.finish(findings);
        rules_bytes += route.as_ref().and_then(|route| route.rules.as_deref()).map_or(0, str::len);
        if rules_bytes > RULES_BYTES_IN_ALL {
            let message = format!(
                "the filters of all routes have at most {}; one that several routes name counts for each",
                human_bytes(RULES_BYTES_IN_ALL as u64)
            );
            findings.error(at, &format!("route[{number}].filter"), message);
            break;
        }
        routes.extend(route.map(|route| (number, route)));
    }
    let has_none =
        |route: &Spanned<DeValue<'_>>| matches!(route.get_ref(), DeValue::Array(routes) if routes.is_empty());
    if top.get("route").is_none_or(has_none) {
        findings.error(0, "route", "missing: at least one [[route]] with `match` says what is forwarded");
    }
    routes.into_iter().unzip()
}

fn route(section: &mut Section<'_>, queue: &Queue, findings: &mut Findings) -> Option<Route> {
    let filter = section.parsed("match", findings, |text| match validate_filter(text) {
        Err(error) => Err(format!("\"{text}\": {error}")),
        Ok(()) if text.starts_with("$share/") => Err(format!(
            "\"{text}\": of a shared subscription, which no topic matches: leave out $share and the group (with `broker`, [local] topics may have them)"
        )),
        Ok(()) => Ok(text.to_owned()),
    });
    if section.get("match").is_none() {
        findings.error(section.at(), &section.key("match"), "missing: an MQTT topic filter");
    }
    let to = section.string("to", findings);
    let qos = section.integer("qos", findings);
    let lanes: Vec<&str> = queue.lanes.iter().map(String::as_str).collect();
    let lane = section.string("lane", findings);
    let format = route_format(section, findings);
    let batch_age = section.duration_in_force("batch_age", findings);
    let batch_max = batch_max(section, findings);
    let (rules_file, rules) = rules(section, findings).unzip();
    let hold_max = ack_held::hold_max(section, rules.as_deref(), findings);
    let level = level(section, format, findings);
    let input = input(section, findings);
    if let (Input::Sparkplug(_), Some(filter)) = (&input, &filter)
        && !filter.value.starts_with("spBv1.0/")
    {
        let message = format!(
            "\"{}\": topics of Sparkplug begin with spBv1.0/, and payloads on others are none of `input = \"sparkplug\"`",
            filter.value
        );
        findings.error(filter.at, &section.key("match"), message);
    }

    let lane = lane_index(section, lane, &lanes, findings);
    if format == Some(Format::Raw) {
        needless_for_raw(section, findings);
    }
    Some(Route {
        to: topic(section, to, format, findings)?,
        filter_topic: filter?.value,
        // What was stored is to be delivered.
        qos: qos.and_then(|placed| u8::try_from(placed.value).ok()).unwrap_or(1).max(1),
        lane,
        format: format?,
        level,
        input,
        batch_age,
        batch_max,
        rules,
        rules_file,
        hold_max,
    })
}

fn needless_for_raw(section: &mut Section<'_>, findings: &mut Findings) {
    for key in ["filter", "input", "fields"] {
        if section.get(key).is_some() {
            let message = format!(
                "a raw route forwards payloads unseen: `{key}` needs format json, cbor, protobuf or compact"
            );
            findings.error(section.at_key(key), &section.key(key), message);
        }
    }
    if section.get("batch_age").is_some() || section.get("batch_max").is_some() {
        let (at, key) = section.first_of(&["batch_age", "batch_max"]);
        findings.warning(at, &key, "raw messages are never batched");
    }
}

/// Returns the topic of the batches, or the prefix before the topics of raw messages.
fn topic(
    section: &mut Section<'_>,
    to: Option<Placed<String>>,
    format: Option<Format>,
    findings: &mut Findings,
) -> Option<String> {
    let is_raw = format == Some(Format::Raw);
    let Some(to) = to else {
        if !is_raw && section.get("to").is_none() {
            let message = "missing: the topic the batches are published to";
            findings.error(section.at(), &section.key("to"), message);
        }
        return is_raw.then(String::new);
    };
    let name = if is_raw { format!("{}x", to.value) } else { to.value.clone() };
    let checked = validate_topic_name(&name)
        .and_then(|()| validate_characters(&name))
        .and_then(|()| validate_levels(&name));
    if let Err(error) = checked {
        findings.error(to.at, &section.key("to"), format!("{:?}: {error}", to.value));
    } else if name.starts_with("$share/") {
        let message = format!("{:?}: `$share/` begins a filter; nothing can be published there", to.value);
        findings.error(to.at, &section.key("to"), message);
    }
    if is_raw && !to.value.is_empty() && !to.value.ends_with('/') {
        let message = format!(
            "{:?} stands right before the topic: \"a\" becomes {:?}; end it with `/` if a level is meant",
            to.value,
            format!("{}a", to.value)
        );
        findings.warning(to.at, &section.key("to"), message);
    }
    Some(to.value)
}

fn route_format(section: &mut Section<'_>, findings: &mut Findings) -> Option<Format> {
    section.get("format").map_or(Some(Format::Raw), |_| {
        let found = section.one_of("format", findings)?;
        Some(match found.value {
            "json" => Format::Json,
            "cbor" => Format::Cbor,
            "protobuf" => Format::Protobuf,
            "compact" => Format::Compact,
            _ => Format::Raw,
        })
    })
}

fn level(section: &mut Section<'_>, format: Option<Format>, findings: &mut Findings) -> Level {
    let found = section.one_of("level", findings);
    if let Some(found) = &found
        && format.is_some_and(|format| format != Format::Compact)
    {
        findings.error(
            found.at,
            &section.key("level"),
            "only compact batches have levels: format = \"compact\"",
        );
    }
    let Some(found) = found.filter(|found| found.value == "small") else { return Level::Fast };
    if let Some(message) = not_built(Level::Small.is_built()) {
        findings.error(found.at, &section.key("level"), message);
    }
    Level::Small
}

/// Returns the error for level `small` in a build without Zstandard, which would silently compress at level `fast`. `None`: the build has
/// Zstandard.
fn not_built(is_built: bool) -> Option<&'static str> {
    let message = "\"small\" is not in this build: it needs the feature `zstd` (cargo build -p edge-gateway --features zstd)";
    (!is_built).then_some(message)
}

/// Reads the limit of a batch: a whole number counts readings, a size with its unit counts encoded bytes.
fn batch_max(section: &mut Section<'_>, findings: &mut Findings) -> BatchMax {
    if let Some(DeValue::String(_)) = section.get("batch_max").map(|value| value.get_ref()) {
        let size = section.size("batch_max", findings);
        let bytes = size.and_then(|size| u32::try_from(size.value).ok());
        return BatchMax { readings: BATCH_READINGS_MAX, bytes };
    }
    let readings = section.integer_in_force("batch_max", findings);
    BatchMax { readings: u32::try_from(readings).unwrap_or(BATCH_READINGS_MAX), bytes: None }
}

fn lane_index(
    section: &Section<'_>,
    lane: Option<Placed<String>>,
    lanes: &[&str],
    findings: &mut Findings,
) -> u8 {
    let last = lanes.len().saturating_sub(1);
    let index = match lane {
        None => last,
        Some(lane) => lanes.iter().position(|name| *name == lane.value).unwrap_or_else(|| {
            let help =
                super::suggest::nearest(&lane.value, lanes).map(|name| format!("did you mean \"{name}\"?"));
            let message = format!("\"{}\" is not one of {}", lane.value, lanes.join(", "));
            findings.add(Severity::Error, lane.at, &section.key("lane"), message, help);
            last
        }),
    };
    u8::try_from(index).unwrap_or(0)
}

/// Reads the file of filter rules, and parses it so that a mistake in it is found before anything starts.
fn rules(section: &mut Section<'_>, findings: &mut Findings) -> Option<(PathBuf, String)> {
    let path = section.path("filter", findings)?;
    let text = match section.rules(&path.value) {
        Ok(text) => text,
        Err(error) => {
            findings.error(path.at, &section.key("filter"), format!("{}: {error}", path.value.display()));
            return None;
        }
    };
    if let Err(error) = edge_filter::Pipeline::from_toml(&text) {
        findings.errors_in(&path.value, &text, &error, path.at, &section.key("filter"));
        return None;
    }
    Some((path.value, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs of tests have Zstandard, the gateway that is shipped has not.
    #[test]
    fn a_level_that_is_not_built_is_refused_by_the_name_of_its_feature() {
        assert!(not_built(false).unwrap().contains("--features zstd"));
        assert_eq!(not_built(Level::Small.is_built()), None, "tests cover both levels");
    }
}
