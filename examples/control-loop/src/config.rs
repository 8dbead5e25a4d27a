//! The program's file: its own tables, and those of the control loops.

use edge_filter::control::Controller;
use edge_filter::control::config::ControlConfig;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What `control-loop run` runs without a file.
const DEFAULT: &str = include_str!("../control.toml");

/// A checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The side of sensors and actuators.
    pub mqtt: MqttConfig,
    /// The way up; `None`: a simulated hub.
    pub hub: Option<HubConfig>,
    /// Where `/metrics` is served.
    pub metrics: Option<SocketAddr>,
    /// The JSON field of an input's payload, where it is not `value`.
    pub fields: BTreeMap<String, String>,
    /// The loops.
    pub controller: Controller,
}

/// `[mqtt]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MqttConfig {
    /// Where sensors publish. Beyond loopback put it behind a network of its own: everybody may connect.
    pub listen: SocketAddr,
    /// How often outputs are published locally, beside every change of state.
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
    /// The first thing that is wrong, and where.
    pub fn parse(text: &str) -> Result<Config, String> {
        let mut tables: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        let mqtt = take(&mut tables, "mqtt")?.ok_or("[mqtt] is missing: where sensors publish")?;
        let hub = take(&mut tables, "hub")?;
        let metrics: Option<MetricsConfig> = take(&mut tables, "metrics")?;
        let fields: BTreeMap<String, String> = take(&mut tables, "fields")?.unwrap_or_default();
        let loops: ControlConfig = toml::Value::Table(tables).try_into().map_err(|e| format!("{e}"))?;
        let controller = Controller::from_config(&loops).map_err(|error| error.to_string())?;
        if let Some(name) = fields.keys().find(|name| controller.inputs().number(name).is_none()) {
            return Err(format!("[fields]: there is no input named \"{name}\""));
        }
        Ok(Config { mqtt, hub, metrics: metrics.map(|metrics| metrics.listen), fields, controller })
    }
}

fn take<T: serde::de::DeserializeOwned>(tables: &mut toml::Table, name: &str) -> Result<Option<T>, String> {
    let Some(table) = tables.remove(name) else { return Ok(None) };
    table.try_into().map(Some).map_err(|error| format!("[{name}]: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstration_is_valid_and_mistakes_are_named() {
        let config = Config::demonstration().unwrap();
        assert_eq!((config.controller.inputs().len(), config.controller.outputs().len()), (6, 3));
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
