//! The program's file: its own tables, and those of the control loops.

use crate::loops::{self, Loops, take};
use edge_bridge::net::{Target, TargetError};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Configuration of `control-loop run` without a file.
const DEFAULT: &str = include_str!("../control.toml");

/// A checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The side of sensors and actuators.
    pub mqtt: MqttConfig,
    /// The way up; `None`: events stay here.
    pub hub: Option<HubConfig>,
    /// Directory of what survives a restart: setpoints, alarms. `None`: that of the queue.
    pub state: Option<PathBuf>,
    /// Address at which `/metrics` is served.
    pub metrics: Option<SocketAddr>,
    /// The loops.
    pub loops: Loops,
}

/// `[mqtt]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MqttConfig {
    /// Address at which sensors publish. Beyond loopback put it behind a network of its own: everybody may connect.
    pub listen: SocketAddr,
    /// Milliseconds between local publications of the outputs, beside every change of state.
    #[serde(default = "hundred")]
    pub publish_every_ms: u64,
}

/// `[hub]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HubConfig {
    /// `mqtt://HOST:PORT`
    pub url: String,
    /// The name of our session there.
    pub client_id: String,
    /// Directory of the queue.
    pub spool: PathBuf,
}

impl HubConfig {
    /// A hub, in code.
    #[must_use]
    pub fn new(url: impl Into<String>, client_id: impl Into<String>, spool: impl Into<PathBuf>) -> Self {
        HubConfig { url: url.into(), client_id: client_id.into(), spool: spool.into() }
    }

    fn check(&self) -> Result<(), String> {
        let target: Target = self.url.parse().map_err(|error: TargetError| format!("[hub]: {error}"))?;
        if target.tls {
            return Err(
                "[hub]: mqtts:// is not in this program: use the gateway, or a broker beside it".to_owned()
            );
        }
        if self.client_id.is_empty() {
            return Err("[hub]: client_id is empty".to_owned());
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateConfig {
    dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsConfig {
    listen: SocketAddr,
}

fn hundred() -> u64 {
    100
}

impl Config {
    /// The built-in demonstration.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn demonstration() -> Result<Config, String> {
        Self::parse(DEFAULT)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong and where, a line each: all of it, but of each table a key or a type that does not belong there alone.
    pub fn parse(text: &str) -> Result<Config, String> {
        let mut tables = loops::tables(text)?;
        let mut wrong = Vec::new();
        let mqtt: Option<MqttConfig> = noted(take(&mut tables, "mqtt"), &mut wrong).flatten();
        if mqtt.is_none() && wrong.is_empty() {
            wrong.push("[mqtt] is missing: where sensors publish".to_owned());
        }
        let hub: Option<HubConfig> = noted(take(&mut tables, "hub"), &mut wrong).flatten();
        noted(hub.as_ref().map_or(Ok(()), HubConfig::check), &mut wrong);
        let state: Option<StateConfig> = noted(take(&mut tables, "state"), &mut wrong).flatten();
        let metrics: Option<MetricsConfig> = noted(take(&mut tables, "metrics"), &mut wrong).flatten();
        let loops = noted(Loops::of(tables, text), &mut wrong);
        let (state, metrics) = (state.map(|state| state.dir), metrics.map(|metrics| metrics.listen));
        match (mqtt, loops) {
            (Some(mqtt), Some(loops)) if wrong.is_empty() => Ok(Config { mqtt, hub, state, metrics, loops }),
            _ => Err(wrong.join("\n")),
        }
    }
}

fn noted<T>(read: Result<T, String>, wrong: &mut Vec<String>) -> Option<T> {
    read.map_err(|error| wrong.push(error)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstration_is_valid_and_mistakes_are_named() {
        let config = Config::demonstration().unwrap();
        assert_eq!((config.loops.controller.inputs().len(), config.loops.controller.outputs().len()), (6, 3));
        for (from, to, expected) in [
            ("listen = \"127", "listens = \"127", "[mqtt]: unknown field `listens`"),
            (
                "\"store104/fridge/temp\" = ",
                "\"store105/fridge/temp\" = ",
                "[fields]: there is no input named \"store105",
            ),
            (
                "setpoint = 60.0",
                "setpoint = inf",
                "output 1: pid.setpoint: `setpoint` must be a finite number",
            ),
            ("is = false", "ist = false", "unknown field `ist`"),
            ("[control]", "[controls]", "unknown field `controls`"),
        ] {
            let error = Config::parse(&DEFAULT.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
