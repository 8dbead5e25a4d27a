//! `edge-gateway route`: prints where messages on given topics would go.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use edge_bridge::escape::Escaped;
use edge_bridge::wire::{matches, validate_topic_name};

use crate::config::units::human_duration;
use crate::config::{Config, Format, Route};
use crate::standard_output;

#[derive(Args)]
pub(crate) struct Arguments {
    /// gateway.toml
    pub(crate) file: PathBuf,
    /// Topics as sensors publish them
    #[arg(required = true)]
    topics: Vec<String>,
}

/// Prints the routes of all topics. The exit code is 1 if a topic has none.
pub(crate) fn run(arguments: &Arguments, config: &Config) -> ExitCode {
    let (mut text, mut all) = (String::new(), true);
    for topic in &arguments.topics {
        all &= describe(&mut text, config, topic);
    }
    match standard_output::print(&text) {
        Err(code) => code,
        Ok(()) if all => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

/// Writes the route of a topic. Returns whether there is one.
fn describe(text: &mut String, config: &Config, topic: &str) -> bool {
    // Writing to a text does not fail.
    let shown = Escaped(topic);
    if let Err(error) = validate_topic_name(topic) {
        let _ = writeln!(text, "{shown} -> no topic: {error}");
        return false;
    }
    let of_routes = (1..).zip(&config.routes);
    let mut those = of_routes.filter(|(_, route)| matches(&route.filter_topic, topic));
    let Some((number, route)) = those.next() else {
        let _ = writeln!(text, "{shown} -> no route: acknowledged, and not kept");
        return false;
    };
    let lane = config.queue.lanes.get(usize::from(route.lane)).map_or("", String::as_str);
    let _ = writeln!(
        text,
        "{shown} -> route {number} ({}) -> {}lane {lane} -> {}, QoS {}",
        Escaped(&route.filter_topic),
        if route.rules.is_some() { "its filter -> " } else { "" },
        upstream(route, topic),
        route.qos
    );
    for (number, route) in those {
        let _ = writeln!(
            text,
            "  also matches route {number} ({}), which is behind it",
            Escaped(&route.filter_topic)
        );
    }
    true
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
