//! `edge-gateway route`: prints where messages on given topics would go.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use edge_bridge::escape::Escaped;
use edge_bridge::wire::{matches, validate_topic_name};
use serde::Serialize;

use super::standard_output;
use crate::config::units::human_duration;
use crate::config::{Config, Format, Route, commanded, is_own_here, refusal};
use crate::run::status::control_answers::add;

/// Version of the JSON's names.
const VERSION: u32 = 1;

#[derive(Args)]
pub(crate) struct Arguments {
    /// gateway.toml
    pub(crate) file: PathBuf,
    /// Topics as sensors publish them
    #[arg(required = true)]
    topics: Vec<String>,
    /// One JSON object for each topic, each on a line of its own
    #[arg(long)]
    json: bool,
}

/// Prints the routes of all topics. The exit code is 1 if a topic has none.
pub(crate) fn run(arguments: &Arguments, config: &Config) -> ExitCode {
    let write = if arguments.json { describe_as_json } else { describe };
    let (mut text, mut all) = (String::new(), true);
    for topic in &arguments.topics {
        let way = Way::of(config, topic);
        write(&mut text, config, topic, &way);
        all &= matches!(way, Way::Routed { .. });
    }
    match standard_output::print(&text) {
        Err(code) => code,
        Ok(()) if all => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

/// Way of a topic's messages. Routes are numbered from 1.
enum Way<'a> {
    NoTopic(String),
    /// The listener refuses it, for this reason.
    Refused(String),
    /// A command, which goes to no route, to these.
    Command(&'static str),
    NoRoute,
    /// `refused`: the reason why the listener takes it from no client.
    Routed {
        number: usize,
        route: &'a Route,
        behind: Vec<(usize, &'a Route)>,
        refused: Option<String>,
    },
}

impl<'a> Way<'a> {
    fn of(config: &'a Config, topic: &str) -> Self {
        if let Err(error) = validate_topic_name(topic) {
            return Self::NoTopic(error.to_string());
        }
        let of_routes = (1..).zip(&config.routes);
        let mut those = of_routes.filter(|(_, route)| matches(&route.filter_topic, topic));
        let refused = refusal(config, topic);
        if let (None, Some(who)) = (&refused, commanded(config, topic)) {
            return Self::Command(who);
        }
        match (those.next(), refused) {
            // What the gateway itself publishes is refused to clients alone.
            (Some((number, route)), refused) if refused.is_none() || is_own_here(config, topic) => {
                Self::Routed { number, route, behind: those.collect(), refused }
            }
            (_, Some(why)) => Self::Refused(why),
            (_, None) => Self::NoRoute,
        }
    }
}

fn lane<'a>(config: &'a Config, route: &Route) -> &'a str {
    config.queue.lanes.get(usize::from(route.lane)).map_or("", String::as_str)
}

/// Writes the way of a topic for a person.
fn describe(text: &mut String, config: &Config, topic: &str, way: &Way<'_>) {
    let shown = Escaped(topic);
    // Writing to a text does not fail.
    let _ = match way {
        Way::NoTopic(error) => writeln!(text, "{shown} -> no topic: {error}"),
        Way::Refused(why) => writeln!(text, "{shown} -> refused: {why}"),
        Way::Command(who) => writeln!(text, "{shown} -> a command: {who} obey or refuse it; in no route"),
        Way::NoRoute => writeln!(text, "{shown} -> no route: acknowledged, and not kept"),
        Way::Routed { number, route, .. } => writeln!(
            text,
            "{shown} -> route {number} ({}) -> {}lane {} -> {}, QoS {}",
            Escaped(&route.filter_topic),
            if route.rules.is_some() { "its filter -> " } else { "" },
            lane(config, route),
            upstream(route, topic),
            route.qos
        ),
    };
    let Way::Routed { behind, refused, .. } = way else { return };
    if let Some(why) = refused {
        let _ = writeln!(text, "  a client's message is refused: {why}");
    }
    for (number, route) in behind {
        let filter = Escaped(&route.filter_topic);
        let _ = writeln!(text, "  also matches route {number} ({filter}), which is behind it");
    }
}

fn upstream(route: &Route, topic: &str) -> String {
    let to = Escaped(&route.to);
    match route.format {
        Format::Raw => format!("{to}{}", Escaped(topic)),
        format => {
            let (readings, age) = (route.batch_max.readings, human_duration(route.batch_age));
            format!("{to} in {} batches of at most {readings} readings or {age}", format.name())
        }
    }
}

/// Way of a topic for a program.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    topic: &'a str,
    /// Reason why there is no route.
    error: Option<&'a str>,
    route: Option<Target<'a>>,
    /// Routes that match, too, and get nothing.
    behind: Vec<Behind<'a>>,
}

#[derive(Serialize)]
struct Target<'a> {
    number: usize,
    r#match: &'a str,
    filtered: bool,
    lane: &'a str,
    to: String,
    qos: u8,
    format: &'static str,
    batch: Option<Batch>,
}

#[derive(Serialize)]
struct Batch {
    readings: u32,
    bytes: Option<u32>,
    age_ms: u64,
}

#[derive(Serialize)]
struct Behind<'a> {
    number: usize,
    r#match: &'a str,
}

/// Writes the way of a topic as a line of JSON.
fn describe_as_json(text: &mut String, config: &Config, topic: &str, way: &Way<'_>) {
    let of_command;
    let (error, route, behind) = match way {
        Way::NoTopic(error) => (Some(error.as_str()), None, &[][..]),
        Way::Refused(why) => (Some(why.as_str()), None, &[][..]),
        Way::Command(who) => {
            of_command = format!("no route: a command, which {who} obey or refuse");
            (Some(of_command.as_str()), None, &[][..])
        }
        Way::NoRoute => (Some("no route"), None, &[][..]),
        Way::Routed { number, route, behind, .. } => {
            (None, Some(target(config, topic, *number, route)), behind.as_slice())
        }
    };
    let line = Line {
        v: VERSION,
        topic,
        error,
        route,
        behind: behind
            .iter()
            .map(|(number, route)| Behind { number: *number, r#match: &route.filter_topic })
            .collect(),
    };
    add(text, &line);
}

fn target<'a>(config: &'a Config, topic: &str, number: usize, route: &'a Route) -> Target<'a> {
    let is_raw = route.format == Format::Raw;
    let batch = (!is_raw).then(|| Batch {
        readings: route.batch_max.readings,
        bytes: route.batch_max.bytes,
        age_ms: u64::try_from(route.batch_age.as_millis()).unwrap_or(u64::MAX),
    });
    Target {
        number,
        r#match: &route.filter_topic,
        filtered: route.rules.is_some(),
        lane: lane(config, route),
        to: if is_raw { format!("{}{topic}", route.to) } else { route.to.clone() },
        qos: route.qos,
        format: route.format.name(),
        batch,
    }
}
