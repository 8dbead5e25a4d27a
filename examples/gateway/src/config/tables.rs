//! Readers of the tables of gateway.toml except the routes, one function each.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use edge_bridge::wire::validate_filter;

use super::queue_key::queue_key;
use super::section::{Section, kind};
use super::{Findings, Local, OnFull, Order, Queue, Route, broker, listener};

const LANES_MAX: usize = 4;

/// Reads the state directory. A directory that cannot be used now is only a warning, because it may be mounted by the time the gateway runs,
/// which starts in any case.
pub(super) fn state(section: &mut Section<'_>, findings: &mut Findings) -> Option<PathBuf> {
    let state = section.path("state", findings)?;
    let why = match state.value.metadata() {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some("it is no directory".to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why {
        let message =
            format!("{}: {why}: no queue can be opened there, so nothing is stored", state.value.display());
        findings.warning(state.at, "gateway.state", message);
    }
    Some(state.value)
}

pub(super) fn gateway_id(section: &mut Section<'_>, findings: &mut Findings) -> Option<String> {
    let Some(id) = section.string("id", findings) else {
        if section.get("id").is_none() {
            findings.error(
                section.at(),
                "gateway.id",
                "missing: a name for this gateway, for example \"site7\"",
            );
        }
        return None;
    };
    let fine = !id.value.is_empty()
        && id.value.len() <= 64
        && id.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !fine {
        findings.error(id.at, "gateway.id", "1 to 64 letters, digits, `-`, `_` or `.`");
        return None;
    }
    Some(id.value)
}

pub(super) fn local(
    section: &mut Section<'_>,
    id: &str,
    routes: &[Route],
    findings: &mut Findings,
) -> Option<Local> {
    let why = "the broker keeps the session under this name; without the key it is gateway.id and -local";
    let client_id = super::hub::client_id(section, why, findings);
    let topics = topics(section, findings);
    let access = super::access::access(section, findings);
    let accept_control_characters = section.boolean("accept_control_characters", findings);
    let accept_mqtt_3_1 = section.boolean("accept_mqtt_3_1", findings);
    let persistence = section.boolean("persistence", findings);
    let limits = listener::limits(section, persistence.unwrap_or(true), findings);
    let listens = section.get("listen").is_some() || section.get("tls_listen").is_some();
    let given = (listens, section.get("broker").is_some());
    let addresses = if listens { listener::addresses(section, &access, findings) } else { None };
    match given {
        (true, true) => {
            let (at, key) = section.first_of(&["broker"]);
            findings.error(at, &key, "either `listen`, `tls_listen` or both, or `broker`");
            None
        }
        (false, false) => {
            findings.error(
                section.at(),
                "local",
                "missing: `listen = \"127.0.0.1:1883\"` or `broker = \"HOST:PORT\"`",
            );
            None
        }
        (true, false) => {
            let addresses = addresses?;
            if topics.is_some() || client_id.is_some() {
                let (at, key) = section.first_of(&["topics", "client_id"]);
                findings.warning(at, &key, "`topics` and `client_id` have no effect with `listen`");
            }
            broker::warn_beside_listen(section, findings);
            Some(Local::Listen {
                addresses: Box::new(addresses),
                accept_control_characters: accept_control_characters.unwrap_or(false),
                accept_mqtt_3_1: accept_mqtt_3_1.unwrap_or(false),
                limits,
                access,
                persistence: persistence.unwrap_or(true),
            })
        }
        (false, true) => {
            if accept_control_characters.is_some() {
                let message =
                    "`accept_control_characters` has no effect with `broker`, which admits the messages";
                let (at, key) = section.first_of(&["accept_control_characters"]);
                findings.warning(at, &key, message);
            }
            listener::warn_beside_broker(section, findings);
            let (host, port, way) = broker::broker(section, findings)?;
            let topics =
                topics.unwrap_or_else(|| routes.iter().map(|route| route.filter_topic.clone()).collect());
            let client_id = client_id.unwrap_or_else(|| format!("{id}-local"));
            Some(Local::Broker { host, port, client_id, topics, way: Box::new(way) })
        }
    }
}

fn topics(section: &Section<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let topics = section.strings("topics", findings)?;
    for filter in &topics.value {
        if let Err(error) = validate_filter(filter) {
            findings.error(topics.at, "local.topics", format!("\"{filter}\": {error}"));
        }
    }
    Some(topics.value)
}

pub(super) fn queue(section: &mut Section<'_>, findings: &mut Findings) -> Queue {
    let lanes = lanes(section, findings);
    Queue {
        max_messages: section.integer("max_messages", findings).map(|placed| placed.value),
        max_bytes: section.size_in_force("max_bytes", findings),
        max_age: section.duration("max_age", findings).map(|placed| placed.value),
        on_full: match section.one_of_in_force("on_full", findings) {
            "drop-newest" => OnFull::DropNewest,
            "reject" => OnFull::Reject,
            _ => OnFull::DropOldest,
        },
        order: section.one_of("order", findings).map(|order| match order.value {
            "live-first" => Order::LiveFirst,
            _ => Order::Fifo,
        }),
        ack_within: section.duration_in_force("ack_within", findings),
        gap_reports: section.boolean("gap_reports", findings).unwrap_or(true),
        key: queue_key(section, findings),
        lanes: lanes.unwrap_or_else(|| vec!["alarm".to_owned(), "telemetry".to_owned()]),
    }
}

/// Reads the lanes' names without repetitions. The names are returned even if one is wrong, so that routes can be checked against them. `None`:
/// there is no name.
fn lanes(section: &Section<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let lanes = section.placed_strings("lanes", findings)?;
    let mut names: Vec<String> = Vec::new();
    for lane in lanes.value {
        if names.contains(&lane.value) {
            findings.error(lane.at, "queue.lanes", format!("\"{}\" is named twice", lane.value));
        } else {
            names.push(lane.value);
        }
    }
    if !(1..=LANES_MAX).contains(&names.len()) {
        findings.error(
            lanes.at,
            "queue.lanes",
            format!("1 to {LANES_MAX} different names, most urgent first"),
        );
    }
    Some(names).filter(|names| !names.is_empty())
}

/// Reads the address of the HTTP pages, and the longest age of the totals.
pub(super) fn metrics(section: &mut Section<'_>, findings: &mut Findings) -> (Option<SocketAddr>, Duration) {
    let listen = section.parsed("listen", findings, |text| {
        text.parse::<SocketAddr>().map_err(|_| format!("\"{text}\" is not ADDRESS:PORT"))
    });
    (listen.map(|placed| placed.value), section.duration_in_force("totals_within", findings))
}

/// Most tables of one array. Each is compared with all others of it, and a route with each message.
pub(crate) const TABLES_MAX: usize = 1_000;

/// Returns the tables of an array of tables: number from 1, byte offset, and table. Tables beyond [`TABLES_MAX`] are an error and left out.
pub(super) fn tables_of<'a>(
    top: &mut Section<'a>,
    name: &'static str,
    findings: &mut Findings,
) -> Vec<(usize, usize, &'a DeTable<'a>)> {
    let Some(value) = top.get(name) else { return Vec::new() };
    let DeValue::Array(items) = value.get_ref() else {
        let message = format!("expected [[{name}]], found {}", kind(value.get_ref()));
        findings.error(value.span().start, name, message);
        return Vec::new();
    };
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if index == TABLES_MAX {
            let message = format!("at most {TABLES_MAX} [[{name}]]");
            findings.error(item.span().start, &format!("{name}[{}]", index + 1), message);
            break;
        }
        match item.get_ref() {
            DeValue::Table(table) => out.push((index + 1, item.span().start, table)),
            other => {
                let message = format!("expected [[{name}]], found {}", kind(other));
                findings.error(item.span().start, name, message);
            }
        }
    }
    out
}
