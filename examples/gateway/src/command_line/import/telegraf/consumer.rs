//! Import of `[[inputs.mqtt_consumer]]`: topics whose payloads become readings.

use edge_bridge::wire::{validate_characters, validate_filter};
use toml::de::{DeTable, DeValue};

use crate::command_line::import::origin::Origin;
use crate::command_line::import::output::{Output, Part, quoted};
use crate::command_line::import::routes::Written;

use super::{Item, Table};

/// Last level of the batches' topic, if no output of Telegraf names a topic.
const TOPIC: &str = "readings";

/// Returns the parsed consumers, in their order.
pub(super) fn all<'a>(root: &'a DeTable<'a>) -> Vec<&'a DeTable<'a>> {
    inner(root, "inputs", "mqtt_consumer")
}

/// Returns the tables `[[first.second]]`.
fn inner<'a>(root: &'a DeTable<'a>, first: &str, second: &str) -> Vec<&'a DeTable<'a>> {
    let Some(DeValue::Table(table)) = root.get(first).map(|value| value.get_ref()) else { return Vec::new() };
    match table.get(second).map(|value| value.get_ref()) {
        Some(DeValue::Array(entries)) => {
            entries.iter().filter_map(|entry| as_table(entry.get_ref())).collect()
        }
        Some(DeValue::Table(only)) => vec![only],
        _ => Vec::new(),
    }
}

fn as_table<'a>(value: &'a DeValue<'a>) -> Option<&'a DeTable<'a>> {
    match value {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// Topic of the batches, and a remark about its choice.
pub(super) struct BatchTopic {
    name: String,
    remark: &'static str,
}

/// Chooses the topic of the batches: that of an MQTT output, or one below the prefix of the first route.
pub(super) fn topic(root: &DeTable<'_>, routes: &[Written]) -> BatchTopic {
    let outputs = inner(root, "outputs", "mqtt");
    let of_output = outputs.iter().find_map(|output| text(output, "topic")).filter(|topic| {
        !topic.contains(['{', '+', '#']) && edge_bridge::wire::validate_topic_name(topic).is_ok()
    });
    if let Some(name) = of_output {
        return BatchTopic {
            name: name.to_owned(),
            remark: "`to` is the topic of outputs.mqtt; its payload is another one: batches of readings.",
        };
    }
    let prefix = routes.first().map_or("", |route| route.to.as_str());
    let separator = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
    BatchTopic {
        name: format!("{prefix}{separator}{TOPIC}"),
        remark: "`to` is made up: Telegraf has no topic for it.",
    }
}

fn text<'a>(table: &'a DeTable<'a>, key: &str) -> Option<&'a str> {
    match table.get(key)?.get_ref() {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

fn texts<'a>(table: &'a DeTable<'a>, key: &str) -> Vec<&'a str> {
    let Some(DeValue::Array(entries)) = table.get(key).map(|value| value.get_ref()) else {
        return Vec::new();
    };
    let text = |value: &'a DeValue<'a>| match value {
        DeValue::String(text) => Some(&**text),
        _ => None,
    };
    entries.iter().filter_map(|entry| text(entry.get_ref())).collect()
}

/// Writes the routes of a consumer, or the reason why it becomes none.
pub(super) fn consumer(
    table: &Table<'_>,
    values: &DeTable<'_>,
    to: &BatchTopic,
    routes: &mut Vec<Written>,
    output: &mut Output,
) {
    let payload = match payload(values) {
        Ok(payload) => payload,
        Err(why) => {
            let head = table.head.as_ref();
            output.warn(head.map(|head| head.origin.clone()), &format!("inputs.mqtt_consumer: {why}"));
            return leave(table, &[], &why, output);
        }
    };
    let mut used = vec!["topics", "data_format"];
    used.extend(payload.fields.iter().map(|(key, _)| *key));
    used.extend(payload.used);
    let of = |keys: &[&str]| -> Vec<Origin> {
        let items = table.items.iter().filter(|item| keys.contains(&item.key.as_str()));
        table.head.iter().chain(items).map(|item| item.origin.clone()).collect()
    };
    let topics_at = table.items.iter().find(|item| item.key == "topics").or(table.head.as_ref());
    let topics_at = topics_at.map(|item| item.origin.clone());
    let mut has_route = false;
    for filter in texts(values, "topics") {
        if let Err(why) = free(filter, routes) {
            output.warn(topics_at.clone(), &format!("\"{filter}\": {why}"));
            continue;
        }
        let mut keys = vec![("match", quoted(filter)), ("to", quoted(&to.name)), ("format", quoted("json"))];
        if payload.input != "json" {
            keys.push(("input", quoted(payload.input)));
        }
        if !payload.fields.is_empty() {
            keys.push(("fields", of_a_reading(&payload.fields)));
        }
        let remarks = [to.remark].into_iter().chain(payload.remark).map(str::to_owned);
        output.route(&keys, &of(&used), &remarks.collect::<Vec<_>>());
        has_route = true;
        let origin = topics_at.clone().into_iter().next();
        routes.extend(origin.map(|origin| Written {
            filter: filter.to_owned(),
            to: to.name.clone(),
            origin,
        }));
    }
    if has_route {
        if let Some(missing) = &payload.missing {
            output.warn(table.head.as_ref().map(|head| head.origin.clone()), missing);
        }
        leave(table, &used, "Telegraf's own; a route takes its messages from [local]", output);
    } else {
        leave(table, &[], "none of its topics becomes a route", output);
    }
}

/// Checks that a filter does not overlap another route's. The error says why it cannot be used.
fn free(filter: &str, routes: &[Written]) -> Result<(), String> {
    validate_filter(filter).map_err(|error| error.to_string())?;
    validate_characters(filter).map_err(|error| error.to_string())?;
    if filter.starts_with("$share/") {
        return Err("a shared subscription is none of a route".to_owned());
    }
    match routes.iter().find(|route| covers(&route.filter, filter)) {
        Some(route) => Err(format!(
            "{} has these topics already, and a message goes by one route: unseen as it came, or as readings. To get readings, change `format` there",
            route.origin
        )),
        None => Ok(()),
    }
}

/// Returns whether the filter `wide` matches all topics of `narrow`.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// Parts of a reading as TOML, each with the Telegraf key from which it is made.
type Fields = Vec<(&'static str, String)>;

/// Format of a consumer's payloads, as keys of a route.
struct Payload {
    input: &'static str,
    fields: Fields,
    /// Further Telegraf key that determines the format.
    used: Option<&'static str>,
    /// Remark about the fields.
    remark: Option<&'static str>,
    /// Warning of what Telegraf takes from such payloads and the gateway does not.
    missing: Option<String>,
}

impl Payload {
    fn new(input: &'static str, fields: Fields) -> Self {
        Self { input, fields, used: None, remark: None, missing: None }
    }
}

/// Reads the format of a consumer's payloads.
///
/// # Errors
///
/// The gateway cannot read this format.
fn payload(values: &DeTable<'_>) -> Result<Payload, String> {
    match text(values, "data_format").unwrap_or("influx") {
        "json" => Ok(Payload {
            remark: Some(NO_FIELD_REMARK),
            missing: Some(nested(text(values, "json_query").is_some_and(|query| !query.is_empty()))),
            ..Payload::new("json", json_fields(values)?)
        }),
        "influx" => Ok(Payload::new("influx-line", line_fields(values)?)),
        "value" => match text(values, "data_type").unwrap_or("integer") {
            "string" => Err("data_type \"string\": `input = \"number\"` takes numbers, true and false; a raw route forwards texts".to_owned()),
            _ => Ok(Payload { used: Some("data_type"), ..Payload::new("number", Fields::new()) }),
        },
        other => Err(format!(
            "data_format \"{other}\": the gateway reads json, influx and value; a raw route forwards such messages as they are"
        )),
    }
}

/// Reads the unit of times in lines.
///
/// # Errors
///
/// The gateway has no such unit.
fn line_fields(values: &DeTable<'_>) -> Result<Fields, String> {
    const KEY: &str = "influx_timestamp_precision";
    let unit = match text(values, KEY) {
        None => return Ok(Fields::new()),
        Some("1ns" | "ns") => "nanoseconds",
        Some("1us" | "us" | "1µs") => "microseconds",
        Some("1ms" | "ms") => "milliseconds",
        Some("1s" | "s") => "seconds",
        Some(_) => return Err(format!("{KEY} is none that the gateway reads: 1ns, 1us, 1ms or 1s")),
    };
    Ok(vec![(KEY, format!("time_unit = \"{unit}\""))])
}

/// Pointer to a field that no payload has.
const NO_FIELD: &str = "\"/\"";
const NO_FIELD_REMARK: &str =
    "\"/\" is no field: Telegraf knows no sensor, value, unit or quality, and takes each number as one.";

/// Returns the warning of numbers that Telegraf finds deeper than the route; `below_query`: than the object or list of `json_query`.
fn nested(below_query: bool) -> String {
    let (place, of_lists) = match below_query {
        false => ("within the object", ""),
        true => (
            "below json_query",
            ". Where json_query leads to a list, `time` and `value` are looked for in each entry: name the field alone, without the path before it",
        ),
    };
    format!(
        "inputs.mqtt_consumer: Telegraf takes numbers in objects and lists {place}, too, as OBJECT_NUMBER; the route takes those of the object itself alone, and a message without one goes to dead-letter/. For such messages let `each` or `value` of `fields` lead to them{of_lists}"
    )
}

/// Reads the JSON paths of a consumer's readings. Roles that Telegraf does not have get no field: with those of a route's presets a text, or a
/// number that is no time, would cost the whole message.
///
/// # Errors
///
/// The consumer uses a kind of path that the gateway does not support.
fn json_fields(values: &DeTable<'_>) -> Result<Fields, String> {
    let each = each(values)?;
    let mut fields = vec![("json_query", format!("each = {}", quoted(&each)))];
    fields.extend(
        ["sensor", "value", "unit", "quality"].map(|role| ("json_query", format!("{role} = {NO_FIELD}"))),
    );
    if let Some(key) = text(values, "json_time_key").filter(|key| !key.is_empty()) {
        let unit = match text(values, "json_time_format").unwrap_or_default() {
            "unix" => "seconds",
            "unix_ms" => "milliseconds",
            "unix_us" => "microseconds",
            "unix_ns" => "nanoseconds",
            "2006-01-02T15:04:05Z07:00" => "rfc3339",
            _ => return Err("json_time_format is none that the gateway reads: unix, unix_ms, unix_us, unix_ns or RFC 3339".to_owned()),
        };
        fields.push(("json_time_key", format!("time = {}", quoted(&within(&each, key)))));
        fields.push(("json_time_format", format!("time_unit = \"{unit}\"")));
    } else {
        fields.push(("json_time_key", format!("time = {NO_FIELD}")));
    }
    Ok(fields)
}

/// Returns the JSON pointer of the object with the numbers; empty if that is the whole payload.
fn each(values: &DeTable<'_>) -> Result<String, String> {
    let Some(query) = text(values, "json_query").filter(|query| !query.is_empty()) else {
        return Ok(String::new());
    };
    let is_plain = query.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if !is_plain {
        return Err("json_query is more than a path: say it as `fields` by hand".to_owned());
    }
    Ok(format!("/{}", query.replace('.', "/")))
}

/// Returns the name of a field of the object at this pointer, in which Telegraf looks for it.
fn within(each: &str, key: &str) -> String {
    match each.is_empty() && !key.starts_with('/') {
        true => key.to_owned(),
        false => format!("{each}/{}", key.replace('~', "~0").replace('/', "~1")),
    }
}

fn of_a_reading(fields: &Fields) -> String {
    format!("{{ {} }}", fields.iter().map(|(_, field)| field.as_str()).collect::<Vec<_>>().join(", "))
}

/// Writes comments for the lines of a consumer that become no route, and for its head if none does.
fn leave(table: &Table<'_>, used: &[&str], why: &str, output: &mut Output) {
    let is_left = |item: &&Item| !used.contains(&item.key.as_str());
    let head = table.head.iter().filter(|_| used.is_empty());
    for item in head.chain(table.items.iter().filter(is_left)) {
        output.comment(Part::Rest, item.origin.clone(), &item.key, why);
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_filter_covers_another_where_it_takes_all_of_its_topics() {
        for (wide, narrow, is) in [
            ("#", "a/b", true),
            ("a/#", "a/+/b", true),
            ("a/#", "a", true),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/b", "a/+", false),
            ("a", "a/b", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(covers(wide, narrow), is, "{wide} {narrow}");
        }
    }
}
