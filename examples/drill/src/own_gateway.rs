//! The gateway of this repository: its configuration for a drill, made of the one that is shipped.

#![allow(clippy::disallowed_methods, reason = "the drill is a shell: it writes the gateway's files")]

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::forecast::Forecaster;
use super::hub::FILTERED_TOPIC;
use super::series::Sensor;
use super::work_folder::{CONFIGURATION_FILE, MARK};

/// The last route takes what is left: the drill's own stands before it.
const LAST_ROUTE: &str = "[[route]]\nmatch = \"plant/#\"";

/// `edge-gateway`, started as `PROGRAM run FILE --state DIR`.
#[derive(Debug, Clone)]
pub struct OwnGateway {
    /// The executable.
    pub program: PathBuf,
    /// Text of the configuration that is shipped: the drill changes its addresses and adds one route.
    pub configuration: &'static str,
    /// Command that runs a drill of it, for the report.
    pub command: &'static str,
    /// Function that predicts what the drill measures; `None`: there is no forecast.
    pub forecast: Option<Forecaster>,
}

/// Inlet of the sensors' messages.
#[derive(Debug, Clone, Copy)]
pub enum Inlet {
    /// The gateway's own listener.
    Listen(SocketAddr),
    /// A broker that is already there, to which it subscribes.
    Broker(SocketAddr),
}

/// Addresses of one drill.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Address at which sensors connect.
    pub inlet: Inlet,
    /// Address of `/metrics`.
    pub metrics: SocketAddr,
    /// The hub, or the way to it.
    pub hub: SocketAddr,
}

impl OwnGateway {
    /// Writes the configuration and the filter's rules of a drill into `dir`.
    ///
    /// # Errors
    /// A sensors' recording that is damaged; a folder that takes no files.
    pub fn configure(&self, dir: &Path, addresses: &Addresses) -> io::Result<()> {
        let sensors = super::series::sensors().map_err(io::Error::other)?;
        crate::work_folder::make(dir)?;
        crate::work_folder::write(&dir.join(CONFIGURATION_FILE), self.with_addresses(addresses))?;
        crate::work_folder::write(&dir.join("rules.toml"), rules(&sensors))
    }

    fn with_addresses(&self, Addresses { inlet, metrics, hub }: &Addresses) -> String {
        let local = match inlet {
            Inlet::Listen(address) => format!("listen = \"{address}\""),
            Inlet::Broker(address) => format!("broker = \"{address}\"\ntopics = [\"plant/#\"]"),
        };
        let filtered = format!(
            "[[route]]\nmatch = \"plant/filtered/#\"\nto = \"{FILTERED_TOPIC}\"\nformat = \"compact\"\n\
             filter = \"rules.toml\"\n\n{LAST_ROUTE}"
        );
        let changed = self
            .configuration
            .replace("\nlisten = \"127.0.0.1:1883\"", &format!("\n{local}"))
            .replace("mqtt://127.0.0.1:18830", &format!("mqtt://{hub}"))
            .replace(
                "\nlisten = \"127.0.0.1:9100\"",
                &format!("\ntotals_within = \"10s\"\nlisten = \"{metrics}\""),
            )
            .replace(LAST_ROUTE, &filtered);
        format!("{MARK}\n{changed}")
    }
}

/// Writes the rules: a deadband per sensor, as wide as the tolerance by which the verdict judges.
fn rules(sensors: &[Sensor]) -> String {
    let mut rules = format!("{MARK}\n");
    for (sensor, tolerance) in sensors.iter().filter_map(|sensor| sensor.tolerance.map(|t| (sensor, t))) {
        // Debug keeps the point of a whole number, which TOML needs to take it for a float.
        rules.push_str(&format!(
            "\n[[rule]]\nmatch = \"{}\"\nstages = [ {{ deadband = {{ absolute = {tolerance:?} }} }} ]\n",
            sensor.name
        ));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_rules_of_edge_filter_one_per_filtered_sensor() {
        let text = rules(&crate::series::sensors().unwrap());
        assert_eq!(text.matches("[[rule]]").count(), 8);
        edge_filter::Pipeline::from_toml(&text).unwrap();
    }
}
