//! Configuration file of the program: its own tables, and those of the control loops.

use crate::loop_to_itself::listens_at;
use crate::loops::Loops;
use edge_bridge::net::Target;
use edge_filter::{ConfigError, ConfigFile};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Configuration of `control-loop run` without a file.
const DEFAULT: &str = include_str!("../control.toml");

/// A checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Settings of the local MQTT side, with sensors and actuators.
    pub mqtt: MqttConfig,
    /// Settings of the link to the hub; `None`: events are only published locally.
    pub hub: Option<HubConfig>,
    /// Directory of the state kept over a restart: setpoints, alarms. `None`: the queue's directory.
    pub state: Option<PathBuf>,
    /// Address at which `/metrics` is served.
    pub metrics: Option<SocketAddr>,
    /// Control loops.
    pub loops: Loops,
}

/// Table `[mqtt]`: local MQTT side.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MqttConfig {
    /// Address at which sensors publish. Any client may connect, so put an address beyond loopback into a network of its own.
    pub listen: SocketAddr,
    /// Milliseconds between two local publications of the outputs, in addition to every change of state, from one `control.period_ms` to 60 000;
    /// `None`: 100.
    #[serde(default)]
    pub publish_every_ms: Option<u64>,
}

const PUBLISH_EVERY_MS_MAX: u64 = 60_000;

impl MqttConfig {
    fn check(&self, file: &mut ConfigFile<'_>, period_ns: u64) {
        // A period that is wrong bounds nothing.
        let is_known = !file.is_wrong(&["control", "period_ms"]);
        let least_ms = if is_known { period_ns.div_ceil(1_000_000) } else { 1 };
        if let Some(ms) = self.publish_every_ms
            && !(least_ms..=PUBLISH_EVERY_MS_MAX).contains(&ms)
        {
            let must_be = "must be from one control.period_ms to 60000";
            file.wrong(
                &["mqtt", "publish_every_ms"],
                format_args!("`publish_every_ms` {must_be}, found {ms}"),
            );
        }
    }
}

/// Table `[hub]`: link to the hub.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HubConfig {
    /// Address of the hub, `mqtt://HOST:PORT`.
    pub url: String,
    /// Client identifier at the hub.
    pub client_id: String,
    /// Directory of the queue.
    pub spool: PathBuf,
}

impl HubConfig {
    /// Creates the settings of a link to the hub.
    #[must_use]
    pub fn new(url: impl Into<String>, client_id: impl Into<String>, spool: impl Into<PathBuf>) -> Self {
        HubConfig { url: url.into(), client_id: client_id.into(), spool: spool.into() }
    }

    fn check(&self, file: &mut ConfigFile<'_>, listen: Option<SocketAddr>) {
        match self.url.parse::<Target>() {
            Err(error) => file.wrong(&["hub", "url"], error),
            Ok(target) if target.tls => file.wrong(
                &["hub", "url"],
                "mqtts:// is not in this program: use the gateway, or a broker beside it",
            ),
            Ok(target) if listen.is_some_and(|listen| listens_at(listen, &target.host, target.port)) => file
                .wrong(
                    &["hub", "url"],
                    "the hub is this program's own listener: messages would go round in circles",
                ),
            Ok(_) => {}
        }
        if self.client_id.is_empty() {
            file.wrong(&["hub", "client_id"], "is empty");
        }
        if self.spool.as_os_str().is_empty() {
            file.wrong(&["hub", "spool"], "is empty");
        }
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

/// Returns whether two listeners conflict; port 0 never does.
fn is_taken(one: SocketAddr, other: SocketAddr) -> bool {
    // A listener on `::` takes IPv4 too, one on 0.0.0.0 takes no IPv6.
    let covers =
        |all: SocketAddr, of: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || of.is_ipv4());
    let overlap = one.ip() == other.ip() || covers(one, other) || covers(other, one);
    one.port() == other.port() && one.port() != 0 && overlap
}

impl Config {
    /// Returns the configuration of the built-in demonstration.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn demonstration() -> Result<Config, String> {
        Self::parse(DEFAULT).map_err(|error| error.to_string())
    }

    /// Parses a configuration file.
    ///
    /// # Errors
    /// All mistakes, each with its line, its key and the allowed value, without consequences of other mistakes. In a file that is not TOML, the
    /// first syntax error.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let mut file = ConfigFile::parse(text)?;
        let has_mqtt = file.has("mqtt");
        let mqtt: Option<MqttConfig> = file.take("mqtt");
        let hub: Option<HubConfig> = file.take("hub");
        let state: Option<StateConfig> = file.take("state");
        let metrics: Option<MetricsConfig> = file.take("metrics");
        let loops = Loops::take(&mut file);
        if !has_mqtt && !file.is_wrong(&["mqtt"]) {
            file.wrong(&["mqtt"], "is missing: where sensors publish");
        }
        if let Some(mqtt) = &mqtt {
            mqtt.check(&mut file, loops.controller.period_ns());
        }
        if let Some(hub) = &hub {
            hub.check(&mut file, mqtt.as_ref().map(|mqtt| mqtt.listen));
        }
        if state.as_ref().is_some_and(|state| state.dir.as_os_str().is_empty()) {
            file.wrong(&["state", "dir"], "is empty");
        }
        if let (Some(mqtt), Some(metrics)) = (&mqtt, &metrics)
            && is_taken(mqtt.listen, metrics.listen)
        {
            file.wrong(&["metrics", "listen"], "mqtt.listen has this address and port already");
        }
        let (state, metrics) = (state.map(|state| state.dir), metrics.map(|metrics| metrics.listen));
        file.finish(mqtt.map(|mqtt| Config { mqtt, hub, state, metrics, loops }))
    }

    /// Returns warnings about valid settings.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let (listen, may) = (self.mqtt.listen, self.loops.open_to_anyone());
        let open =
            (!listen.ip().is_loopback()).then(|| format!("mqtt.listen: anyone who reaches {listen} {may}"));
        self.loops.warnings().chain(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstration_is_valid_and_mistakes_are_named() {
        let config = Config::demonstration().unwrap();
        assert_eq!((config.loops.controller.inputs().len(), config.loops.controller.outputs().len()), (6, 3));
        for (from, to, expected) in [
            ("listen = \"127", "listens = \"127", "line 5: mqtt: unknown field `listens`"),
            (
                "\"store104/fridge/temp\" = ",
                "\"store105/fridge/temp\" = ",
                "fields.\"store105/fridge/temp\": there is no input named \"store105",
            ),
            (
                "setpoint = 60.0",
                "setpoint = inf",
                "output 1: pid.setpoint: `setpoint` must be a finite number",
            ),
            ("is = false", "ist = false", "unknown field `ist`"),
            ("[control]", "[state]\ndir = \"\"\n[control]", "state.dir: is empty"),
            (
                "[control]",
                "[hub]\nurl = \"mqtt://hub:1883\"\nclient_id = \"a\"\nspool = \"\"\n[control]",
                "hub.spool: is empty",
            ),
            ("[control]", "[controls]", "unknown field `controls`"),
        ] {
            let error = Config::parse(&DEFAULT.replacen(from, to, 1)).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(expected) && error.problems().len() == 1, "{said}");
        }
    }

    #[test]
    fn two_listeners_need_two_places() {
        for (mqtt, metrics, is_taken) in [
            ("127.0.0.1:1883", "127.0.0.1:1883", true),
            ("127.0.0.1:1883", "0.0.0.0:1883", true),
            ("[::]:1883", "127.0.0.1:1883", true),
            ("[::1]:1883", "[::]:1883", true),
            ("0.0.0.0:1883", "[::1]:1883", false),
            ("127.0.0.1:1883", "[::1]:1883", false),
            ("127.0.0.1:1883", "127.0.0.2:1883", false),
            ("127.0.0.1:1883", "127.0.0.1:1884", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let text =
                DEFAULT.replacen("127.0.0.1:0", mqtt, 1) + &format!("[metrics]\nlisten = \"{metrics}\"\n");
            let said = Config::parse(&text).map_or_else(|error| error.to_string(), |_| String::new());
            let expected = "metrics.listen: mqtt.listen has this address and port already";
            assert_eq!(said.contains(expected), is_taken, "{mqtt} {metrics}: {said}");
        }
    }

    fn with(listen: &str, tables: &str) -> String {
        let text = DEFAULT.replacen("127.0.0.1:0", listen, 1).replacen(
            "[fields]",
            &format!("{tables}\n[fields]"),
            1,
        );
        Config::parse(&text).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_hub_that_is_the_own_listener_is_refused() {
        for (listen, hub, is_own) in [
            ("127.0.0.1:1887", "127.0.0.1:1887", true),
            ("0.0.0.0:1887", "localhost:1887", true),
            ("127.0.0.1:1887", "127.0.0.1:1888", false),
        ] {
            let hub = format!("[hub]\nurl = \"mqtt://{hub}\"\nclient_id = \"c\"\nspool = \"s\"");
            let said = with(listen, &hub);
            assert_eq!(
                said.contains("hub.url: the hub is this program's own listener"),
                is_own,
                "{listen}: {said}"
            );
        }
    }
}
