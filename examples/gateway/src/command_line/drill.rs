//! `edge-gateway drill`: runs the outage drill with the running executable itself, and the configuration that is shipped with it.

#![allow(clippy::disallowed_methods, reason = "a command: the name of the running program")]

use std::path::Path;
use std::process::ExitCode;

use outage_drill::{Arguments, Forecast, OwnGateway, Traffic};

use super::check;
use crate::config::Config;

/// Runs the drill. Returns its exit code.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match std::env::current_exe() {
        Ok(program) => outage_drill::run(arguments, Some(&own(program))),
        Err(error) => {
            edge_print::complain!("the drill could not be run: this program does not know its name: {error}");
            ExitCode::from(1)
        }
    }
}

fn own(program: std::path::PathBuf) -> OwnGateway {
    OwnGateway {
        program,
        configuration: include_str!("../../gateway.toml"),
        command: "cargo run --profile quick -p edge-gateway -- drill",
        forecast: Some(forecast),
    }
}

/// Predicts what the drill measures, by the sizing that `check` prints.
fn forecast(file: &Path, traffic: &Traffic) -> Result<Forecast, String> {
    let (config, _) = Config::load(file).map_err(|findings| findings.to_string())?;
    check::forecast(&config, traffic)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use outage_drill::{Addresses, Inlet};

    use super::*;

    #[test]
    fn the_configuration_is_one_that_the_gateway_takes_without_a_word() {
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (hub, metrics) = (address(2883), address(9111));
        for inlet in [Inlet::Listen(address(1884)), Inlet::Broker(address(1883))] {
            let dir = tempfile::tempdir().unwrap();
            own("unused".into()).configure(dir.path(), &Addresses { inlet, metrics, hub }).unwrap();
            let (config, findings) = Config::load(&dir.path().join("gateway.toml")).unwrap();
            assert_eq!(findings.to_string(), "");
            // Those of the file that is shipped, with compact batches and raw messages on one lane, and the drill's own.
            let routes: Vec<_> = config
                .routes
                .iter()
                .map(|route| (route.to.as_str(), route.lane, route.rules.is_some()))
                .collect();
            assert_eq!(
                routes,
                [
                    ("site7/", 0, false),
                    ("site7/readings", 1, false),
                    ("site7/filtered", 1, true),
                    ("site7/", 1, false)
                ]
            );
            let text = std::fs::read_to_string(dir.path().join("gateway.toml")).unwrap();
            assert!(text.contains(&format!("\"mqtt://{hub}\"")) && !text.contains("18830"), "{text}");
            assert!(
                !text
                    .lines()
                    .any(|line| line.starts_with("listen = \"127.0.0.1:1883") || line.contains(":9100"))
            );
            assert_eq!(config.metrics, Some(metrics));
        }
    }
}
