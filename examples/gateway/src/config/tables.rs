//! The tables of gateway.toml, one function each.

use std::net::SocketAddr;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use edge_bridge::wire::{validate_filter, validate_topic_name};

use super::section::{Section, World, kind};
use super::{BatchMax, Findings, Format, Hub, Local, OnFull, Order, Queue, Route, Severity};

const QUEUE_BYTES_DEFAULT: u64 = 64 << 20;
const LANES_MAX: usize = 4;
const BATCH_MAX_DEFAULT: u32 = 1_000;
const BATCH_READINGS_MAX: u32 = 100_000;
/// Identity and names need some room; above it stands what clouds take at most.
const BATCH_BYTES: std::ops::RangeInclusive<u64> = 256..=256 << 10;
const BATCH_AGE_DEFAULT: Duration = Duration::from_millis(200);
const WINDOW_DEFAULT: u16 = 1_000;
const KEEP_ALIVE_DEFAULT: Duration = Duration::from_secs(60);
const ACK_WITHIN_DEFAULT: Duration = Duration::from_secs(1);

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
    let listen = section.parsed("listen", findings, |text| {
        text.parse::<SocketAddr>().map_err(|_| format!("\"{text}\" is not ADDRESS:PORT"))
    });
    let broker = section
        .parsed("broker", findings, |text| host_port(text.strip_prefix("mqtt://").unwrap_or(text), 1883));
    let client_id = section.string("client_id", findings).map(|placed| placed.value);
    let topics = section.strings("topics", findings);
    let anonymous = section.boolean("allow_anonymous", findings).unwrap_or(false);
    let given = (section.get("listen").is_some(), section.get("broker").is_some());
    if let Some(topics) = &topics {
        for filter in &topics.value {
            if let Err(error) = validate_filter(filter) {
                findings.error(topics.at, "local.topics", format!("\"{filter}\": {error}"));
            }
        }
    }
    match given {
        (true, true) => {
            findings.error(section.at(), "local", "either `listen` or `broker`, not both");
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
            let listen = listen?;
            if !listen.value.ip().is_loopback() && !anonymous {
                let message =
                    "anyone who reaches this address may publish: set allow_anonymous = true to accept that";
                findings.error(listen.at, "local.listen", message);
            }
            if topics.is_some() || client_id.is_some() {
                findings.warning(
                    section.at(),
                    "local",
                    "`topics` and `client_id` have no effect with `listen`",
                );
            }
            Some(Local::Listen { address: listen.value })
        }
        (false, true) => {
            let (host, port) = broker?.value;
            let topics = topics
                .map(|placed| placed.value)
                .unwrap_or_else(|| routes.iter().map(|route| route.filter_topic.clone()).collect());
            let client_id = client_id.unwrap_or_else(|| format!("{id}-local"));
            Some(Local::Broker { host, port, client_id, topics })
        }
    }
}

pub(super) fn hub(section: &mut Section<'_>, id: &str, findings: &mut Findings) -> Option<Hub> {
    let url = section.parsed("url", findings, |text| {
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(format!("\"{text}\" is not mqtt://HOST:PORT or mqtts://HOST:PORT")),
        };
        let (host, port) = host_port(rest, if tls { 8883 } else { 1883 })?;
        Ok((tls, format!("{}://{host}:{port}", if tls { "mqtts" } else { "mqtt" })))
    });
    let ca = section.file("ca", findings);
    let cert = section.file("cert", findings);
    let key = section.file("key", findings);
    let client_id = section.string("client_id", findings).map(|placed| placed.value);
    let keep_alive = section.duration("keep_alive", findings);
    let window = section.integer("window", 1..=65_535, findings);
    if section.get("url").is_none() {
        findings.error(section.at(), "hub.url", "missing: mqtt://HOST:PORT or mqtts://HOST:PORT");
    }
    if section.get("cert").is_some() != section.get("key").is_some() {
        findings.error(section.at(), "hub", "`cert` and `key` belong together: one of them is missing");
    }
    if let Some(keep_alive) = &keep_alive
        && !(1..=65_535).contains(&keep_alive.value.as_secs())
    {
        findings.error(keep_alive.at, "hub.keep_alive", "1s to 65535s (MQTT 5 §3.1.2.10)");
    }
    let url = url?;
    let (tls, text) = url.value;
    if !tls && (ca.is_some() || cert.is_some()) {
        findings.error(url.at, "hub.url", "certificates are given but the scheme is mqtt://: write mqtts://");
    }
    if tls && section.get("ca").is_none() {
        findings.error(url.at, "hub.ca", "missing: mqtts:// needs the authority to trust, as a PEM file");
    }
    Some(Hub {
        url: text,
        ca: ca.map(|placed| placed.value),
        cert: cert.map(|placed| placed.value),
        key: key.map(|placed| placed.value),
        client_id: client_id.unwrap_or_else(|| id.to_owned()),
        keep_alive: keep_alive.map_or(KEEP_ALIVE_DEFAULT, |placed| placed.value),
        window: window.and_then(|placed| u16::try_from(placed.value).ok()).unwrap_or(WINDOW_DEFAULT),
    })
}

pub(super) fn queue(section: &mut Section<'_>, findings: &mut Findings) -> Queue {
    let max_messages = section.integer("max_messages", 1..=1_000_000_000, findings).map(|p| p.value);
    let max_bytes = section.size("max_bytes", findings);
    let max_age = section.duration("max_age", findings);
    let on_full = section.one_of("on_full", &["drop-oldest", "drop-newest", "reject"], findings);
    let order = section.one_of("order", &["fifo", "live-first"], findings);
    let ack_within = section.duration("ack_within", findings);
    let lanes = section.strings("lanes", findings);
    if let Some(bytes) = &max_bytes
        && !(1 << 20..=1 << 40).contains(&bytes.value)
    {
        findings.error(bytes.at, "queue.max_bytes", "1MiB to 1024GiB");
    }
    if let Some(age) = &max_age
        && age.value < Duration::from_secs(1)
    {
        findings.error(age.at, "queue.max_age", "at least 1s");
    }
    if let Some(ack) = &ack_within
        && !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&ack.value)
    {
        findings.error(ack.at, "queue.ack_within", "10ms to 60s");
    }
    if let Some(lanes) = &lanes {
        let mut names = lanes.value.clone();
        names.sort();
        names.dedup();
        if lanes.value.is_empty() || lanes.value.len() > LANES_MAX || names.len() != lanes.value.len() {
            findings.error(
                lanes.at,
                "queue.lanes",
                format!("1 to {LANES_MAX} different names, most urgent first"),
            );
        }
    }
    let named = lanes.map(|placed| placed.value).filter(|lanes| (1..=LANES_MAX).contains(&lanes.len()));
    Queue {
        max_messages,
        max_bytes: max_bytes.map_or(QUEUE_BYTES_DEFAULT, |placed| placed.value),
        max_age: max_age.map(|placed| placed.value),
        on_full: match on_full.map(|placed| placed.value) {
            Some("drop-newest") => OnFull::DropNewest,
            Some("reject") => OnFull::Reject,
            _ => OnFull::DropOldest,
        },
        order: match order.map(|placed| placed.value) {
            Some("live-first") => Order::LiveFirst,
            _ => Order::Fifo,
        },
        ack_within: ack_within.map_or(ACK_WITHIN_DEFAULT, |placed| placed.value),
        lanes: named.unwrap_or_else(|| vec!["alarm".to_owned(), "telemetry".to_owned()]),
    }
}

pub(super) fn routes<'a>(
    top: &mut Section<'a>,
    queue: &Queue,
    world: &'a World<'a>,
    findings: &mut Findings,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for (number, at, table) in tables_of(top, "route", findings) {
        let mut section = Section::new(&format!("route[{number}]"), at, Some(table), world);
        let route = route(&mut section, queue, findings);
        section.finish(findings);
        routes.extend(route);
    }
    if top.get("route").is_none() {
        findings.error(0, "route", "missing: at least one [[route]] with `match` says what is forwarded");
    }
    routes
}

fn route(section: &mut Section<'_>, queue: &Queue, findings: &mut Findings) -> Option<Route> {
    let filter = section.parsed("match", findings, |text| {
        validate_filter(text).map(|_| text.to_owned()).map_err(|error| format!("\"{text}\": {error}"))
    });
    if section.get("match").is_none() {
        findings.error(section.at(), &section.key("match"), "missing: an MQTT topic filter");
    }
    let to = section.string("to", findings);
    let qos = section.integer("qos", 0..=2, findings);
    let lanes: Vec<&str> = queue.lanes.iter().map(String::as_str).collect();
    let lane = section.string("lane", findings);
    let format = route_format(section, findings);
    let batch_age = section.duration("batch_age", findings);
    let batch_max = batch_max(section, findings);
    let rules = rules(section, findings);

    if let Some(qos) = &qos
        && qos.value == 2
    {
        let message =
            "QoS 2 towards the hub is not built yet; 1 delivers at least once with a stable identity";
        findings.error(qos.at, &section.key("qos"), message);
    }
    let lane = lane_index(section, lane, &lanes, findings);
    if format == Some(Format::Raw) {
        if section.get("filter").is_some() {
            let message =
                "a raw route forwards payloads unseen: `filter` needs format json, cbor, protobuf or compact";
            findings.error(section.at(), &section.key("filter"), message);
        }
        if section.get("batch_age").is_some() || section.get("batch_max").is_some() {
            findings.warning(section.at(), &section.key("format"), "raw messages are never batched");
        }
    }
    let to = match (to, format) {
        (Some(to), format) => {
            let name = if format == Some(Format::Raw) { format!("{}x", to.value) } else { to.value.clone() };
            if let Err(error) = validate_topic_name(&name) {
                findings.error(to.at, &section.key("to"), format!("\"{}\": {error}", to.value));
            }
            to.value
        }
        (None, Some(Format::Raw)) => String::new(),
        (None, _) => {
            if section.get("to").is_none() {
                findings.error(
                    section.at(),
                    &section.key("to"),
                    "missing: the topic the batches are published to",
                );
            }
            return None;
        }
    };
    Some(Route {
        filter_topic: filter?.value,
        to,
        qos: qos.map_or(1, |placed| u8::from(placed.value != 0)),
        lane,
        format: format?,
        batch_age: batch_age.map_or(BATCH_AGE_DEFAULT, |placed| placed.value),
        batch_max,
        rules,
    })
}

fn route_format(section: &mut Section<'_>, findings: &mut Findings) -> Option<Format> {
    section.get("format").map_or(Some(Format::Raw), |_| {
        let found = section.one_of("format", &["raw", "json", "cbor", "protobuf", "compact"], findings)?;
        Some(match found.value {
            "json" => Format::Json,
            "cbor" => Format::Cbor,
            "protobuf" => Format::Protobuf,
            "compact" => Format::Compact,
            _ => Format::Raw,
        })
    })
}

/// A whole number is readings, a size with its unit is encoded bytes.
fn batch_max(section: &mut Section<'_>, findings: &mut Findings) -> BatchMax {
    let mut max = BatchMax { readings: BATCH_MAX_DEFAULT, bytes: None };
    match section.get("batch_max").map(|value| value.get_ref()) {
        Some(DeValue::String(_)) => {
            max.readings = BATCH_READINGS_MAX;
            if let Some(size) = section.size("batch_max", findings) {
                if !BATCH_BYTES.contains(&size.value) {
                    findings.error(
                        size.at,
                        &section.key("batch_max"),
                        "256B to 256KiB, or a number of readings",
                    );
                }
                max.bytes = u32::try_from(size.value).ok();
            }
        }
        _ => {
            let readings = section.integer("batch_max", 1..=u64::from(BATCH_READINGS_MAX), findings);
            let readings = readings.and_then(|placed| u32::try_from(placed.value).ok());
            max.readings = readings.unwrap_or(BATCH_MAX_DEFAULT);
        }
    }
    max
}

fn lane_index(
    section: &Section<'_>,
    lane: Option<super::section::Placed<String>>,
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

/// The rules file of edge-filter, parsed here so that a mistake in it is found before anything starts.
fn rules(section: &mut Section<'_>, findings: &mut Findings) -> Option<String> {
    let path = section.file("filter", findings)?;
    let text = match std::fs::read_to_string(&path.value) {
        Ok(text) => text,
        Err(error) => {
            findings.error(path.at, &section.key("filter"), format!("{}: {error}", path.value.display()));
            return None;
        }
    };
    if let Err(error) = edge_filter::Pipeline::from_toml(&text) {
        for problem in error.problems() {
            findings.error(path.at, &section.key("filter"), format!("{}: {problem}", path.value.display()));
        }
        return None;
    }
    Some(text)
}

pub(super) fn metrics(section: &mut Section<'_>, findings: &mut Findings) -> Option<SocketAddr> {
    let listen = section.parsed("listen", findings, |text| {
        text.parse::<SocketAddr>().map_err(|_| format!("\"{text}\" is not ADDRESS:PORT"))
    });
    listen.map(|placed| placed.value)
}

/// `[[command]]` is a known table that is not built yet: silence would mean valves that do not move.
pub(super) fn refuse_commands(top: &mut Section<'_>, findings: &mut Findings) {
    if let Some(value) = top.get("command") {
        findings.error(value.span().start, "command", "`[[command]]` is not built yet: remove it");
    }
}

/// The tables of an array of tables, numbered from 1 as a reader counts.
fn tables_of<'a>(
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

/// `HOST`, `HOST:PORT` or `[V6]:PORT`.
fn host_port(text: &str, default: u16) -> Result<(String, u16), String> {
    let text = text.trim_end_matches('/');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
            (host, port.parse::<u16>().map_err(|_| format!("`{port}` is not a port"))?)
        }
        _ => (text, default),
    };
    let bad = |c: char| c.is_whitespace() || matches!(c, '/' | '@' | '?' | '#');
    if host.is_empty() || host.contains(bad) {
        return Err(format!("\"{text}\" is not HOST:PORT"));
    }
    Ok((host.to_owned(), port))
}
