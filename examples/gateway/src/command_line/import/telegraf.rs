//! Import of a telegraf.conf: its mqtt_consumers become routes, and every other line becomes a comment that names its replacement in
//! gateway.toml.

mod consumer;
mod items;

use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::Fatal;
use super::origin::Origin;
use super::output::{Output, Part};
use super::routes::Written;
use items::Item;

/// Table of the file, with its head and its lines in their order.
struct Table<'a> {
    /// Name without brackets; empty for the lines before the first head.
    name: String,
    head: Option<Item>,
    items: Vec<Item>,
    /// Parsed values, if the table is a consumer.
    consumer: Option<&'a DeTable<'a>>,
}

/// Imports the file. `has_limit` is set if the number of messages in the queue is limited already.
///
/// # Errors
///
/// The file is not TOML.
pub(super) fn telegraf(
    path: &Path,
    text: &str,
    has_limit: bool,
    routes: &mut Vec<Written>,
    output: &mut Output,
) -> Result<(), Fatal> {
    let file: Arc<Path> = Arc::from(path);
    let (root, errors) = DeTable::parse_recoverable(text);
    if let Some(error) = errors.first() {
        let line = items::line_of(text, error.span().map_or(0, |span| span.start));
        let origin = Origin { file, first: line, last: line };
        return Err(Fatal::new(Some(origin), &format!("no TOML: {}", error.message())));
    }
    let tables = tables(&file, text, root.get_ref());
    let to = consumer::topic(root.get_ref(), routes);
    let mut has_limit = has_limit;
    for table in tables {
        match (&table.consumer, table.name.as_str()) {
            (Some(values), _) => consumer::consumer(&table, values, &to, routes, output),
            (None, "agent") => {
                let mut table = table;
                has_limit |= buffer_limit(&mut table, root.get_ref(), has_limit, output);
                leave(&table, output);
            }
            _ => leave(&table, output),
        }
    }
    Ok(())
}

/// Divides the lines of the file into tables.
fn tables<'a>(file: &Arc<Path>, text: &str, root: &'a DeTable<'a>) -> Vec<Table<'a>> {
    let mut tables: Vec<Table<'a>> = Vec::new();
    let mut consumers = consumer::all(root).into_iter();
    for item in items::items(file, text, root) {
        if let Some(name) = item.table.clone() {
            let consumer = if name == "inputs.mqtt_consumer" { consumers.next() } else { None };
            tables.push(Table { name, head: Some(item), items: Vec::new(), consumer });
            continue;
        }
        match tables.last_mut() {
            Some(table) => table.items.push(item),
            None => {
                tables.push(Table { name: String::new(), head: None, items: vec![item], consumer: None });
            }
        }
    }
    tables
}

/// Makes `metric_buffer_limit` the limit of the queue, unless the queue has one. Returns whether it did.
fn buffer_limit(table: &mut Table<'_>, root: &DeTable<'_>, has_limit: bool, output: &mut Output) -> bool {
    const KEY: &str = "metric_buffer_limit";
    let value = root.get("agent").and_then(|agent| match agent.get_ref() {
        DeValue::Table(agent) => integer(agent.get(KEY)?.get_ref()),
        _ => None,
    });
    let Some(at) = table.items.iter().position(|item| item.key == KEY) else { return false };
    let item = table.items.remove(at);
    match value.filter(|value| (1..=1_000_000_000).contains(value)) {
        Some(value) if !has_limit => {
            let remark = "metrics in RAM there, and the oldest go; messages on disk here";
            output.key(Part::Queue, "max_messages", &value.to_string(), &[item.origin], remark);
            true
        }
        Some(_) => {
            output.comment(Part::Queue, item.origin, KEY, "max_queued_messages of Mosquitto says it");
            false
        }
        None => {
            output.comment(Part::Queue, item.origin, KEY, "no limit that a queue can have");
            false
        }
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    match value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

/// Writes comments for all lines of a table, without values, because any of them may be a secret.
fn leave(table: &Table<'_>, output: &mut Output) {
    let why = reason(&table.name);
    if let Some(head) = &table.head {
        output.comment(Part::Rest, head.origin.clone(), &head.key, why);
    }
    let of = table.head.as_ref().map_or_else(|| "of no table".to_owned(), |head| format!("of {}", head.key));
    let whys = if table.head.is_some() { of } else { why.to_owned() };
    for item in &table.items {
        output.comment(Part::Rest, item.origin.clone(), &item.key, &whys);
    }
}

/// Returns the reason why a table becomes no key, which names its replacement in gateway.toml.
fn reason(name: &str) -> &'static str {
    let mut parts = name.split('.');
    match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
        ("agent", _) => "Telegraf's own pace; batches have batch_age and batch_max in their route",
        ("global_tags", _) => "the gateway adds no tags: topics and `[gateway] id` name the site",
        ("inputs", "mqtt_consumer") => "of a consumer",
        ("inputs", _) => "stays in Telegraf: let it publish to the local broker, where a route takes it",
        ("processors", "dedup") => "report by exception: a deadband in the rules of a route's `filter`",
        ("processors", _) => "a stage in the rules of a route's `filter`, or work of the hub's side",
        ("aggregators", _) => "a window in the rules of a route's `filter`",
        ("outputs", "mqtt") => "[hub] is the one output",
        ("outputs", _) => {
            "the gateway sends to [hub] alone; at the hub, Telegraf or edge-decode reads it from there"
        }
        _ => "the gateway has no such setting",
    }
}
