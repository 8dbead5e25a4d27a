#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! `mqtt-bridge --mosquitto-conf FILE [--local HOST:PORT] --state DIR`: Mosquitto's bridge with a queue that survives power cuts, beside a local broker
//! or in its place.
//!
//! Exit codes: 0 checked or stopped, 1 failed while running, 2 the configuration or the command line is wrong.

#![allow(clippy::disallowed_methods, reason = "a shell: it reads its configuration and the environment")]

mod broker;
mod broker_conf;
mod certificate_dates;
mod connection;
mod flow_endpoints;
mod inbox;
mod log_rate_limit;
mod losses;
mod message_flow;
mod notify;
mod one_line;
mod outlets;
mod places;
mod plan;
mod quoted;
mod run;
mod section;
mod signals;
mod store_health;
mod traps;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use broker_conf::BrokerConf;
use clap::Parser;
use edge_service::Notifier;
use findings::{Findings, Severity};
use mosquitto_conf::{conf, findings, words};
use one_line::OneLine;
use places::Places;
use plan::Plan;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Parser)]
#[command(name = "mqtt-bridge", version, about = "Mosquitto's bridge with a durable queue.")]
struct Arguments {
    /// mosquitto.conf, or a file with its connection sections
    #[arg(long, value_name = "FILE")]
    mosquitto_conf: PathBuf,
    /// The local broker, which speaks MQTT 5 [default: this program, if the file has a `listener`, else 127.0.0.1:1883]
    #[arg(long, value_name = "HOST:PORT")]
    local: Option<String>,
    /// Directory of the queues, one for each connection
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    state: Option<PathBuf>,
    /// Time after a start for local clients to come back and subscribe, before they are given what hubs have for them; where this program is the broker
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    clients_return_within: u16,
    /// Send what comes before what waits since an outage, a restart or a burst: out of order, for readers that go by a time in the message
    #[arg(long)]
    live_first: bool,
    /// File to write when every bridge has been accepted by its local broker
    #[arg(long, value_name = "FILE")]
    ready: Option<PathBuf>,
    /// Say what the file means, and what it does not mean; nothing is started
    #[arg(long)]
    check: bool,
}

/// Local broker, unless the command line or the file names another.
const LOCAL: &str = "127.0.0.1:1883";

/// Content of the configuration file.
#[derive(Default)]
struct Setup {
    plans: Vec<Plan>,
    /// Settings of the local broker, if this program is it.
    broker: Option<BrokerConf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (setup, findings) = read(&arguments);
    if arguments.check {
        return check(&setup, &findings);
    }
    log();
    let places = Places { state: state(&arguments), ready: arguments.ready.clone() };
    // Before anything can fail.
    places.clear_ready();
    findings.iter().for_each(|finding| complain(&finding.to_string()));
    if findings.count(Severity::Error) > 0 {
        complain("nothing was started");
        return ExitCode::from(2);
    }
    match block_on(setup, &places, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn block_on(setup: Setup, places: &Places, arguments: &Arguments) -> Result<(), String> {
    std::fs::create_dir_all(&places.state).map_err(|error| format!("{}: {error}", places.state.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the runtime: {error}"))?;
    let service = Notifier::new(|name| std::env::var(name).ok(), std::process::id());
    let service = service.map_err(|error| format!("NOTIFY_SOCKET: {error}"))?;
    let ended = runtime.block_on(run::run(setup, places, || read_again(arguments), &service));
    // A look-up of a name must not hold up the exit.
    runtime.shutdown_background();
    ended
}

fn state(arguments: &Arguments) -> PathBuf {
    arguments.state.clone().unwrap_or_else(|| PathBuf::from("STATE"))
}

/// Reads the file, with its errors and warnings.
fn read(arguments: &Arguments) -> (Setup, Findings) {
    let mut findings = Findings::default();
    let env = |name: &str| std::env::var(name).ok();
    let lines = conf::read(&arguments.mosquitto_conf, &env, &mut findings);
    let is_broker = arguments.local.is_none() && broker_conf::has_listener(&lines);
    let mut broker = is_broker.then(|| broker_conf::parse(&lines, &mut findings));
    if let Some(broker) = &mut broker {
        broker.clients_return_within = Duration::from_secs(arguments.clients_return_within.into());
    }
    let lines = if is_broker { broker_conf::of_connections(&lines, &mut findings) } else { lines };
    let conf = section::parse(&lines, &mut findings);
    if conf.sections.is_empty() && (!lines.is_empty() || findings.count(Severity::Error) == 0) {
        let file = arguments.mosquitto_conf.display();
        findings.error(None, format!("{file}: no connection section: there is nothing to bridge"));
    }
    traps::find(&conf, is_broker, &mut findings);
    let host = host_name();
    let local = (!is_broker).then(|| arguments.local.as_deref().unwrap_or(LOCAL));
    let mut plans = plan::plans(&conf, local, &state(arguments), &host);
    plans.iter_mut().for_each(|plan| plan.is_live_first = arguments.live_first);
    if host.is_empty() && conf.sections.iter().any(|section| section.remote_client_id.is_none()) {
        findings.error(None, "this machine has no name: give each connection a remote_clientid");
    }
    plan::same_client_id::find(&plans, &mut findings);
    for plan in &plans {
        if let Err((place, error)) = plan.check() {
            findings.error(place, error);
        }
    }
    // Of the whole file: all plans have the same.
    if let Some((place, error)) = plans.iter().find_map(Plan::queue_error) {
        findings.error(place, error);
    }
    if let Some(Err((place, error))) = broker.as_ref().map(broker::read) {
        findings.error(place, error);
    }
    let own = plans.iter().filter_map(|plan| plan.section.tls.cert.as_ref());
    // All listeners with TLS have the same.
    let listeners = broker.iter().flat_map(|broker| &broker.listeners);
    let listener = listeners.filter_map(|listener| listener.cert.as_ref()).take(1);
    own.chain(listener).for_each(|cert| certificate_dates::find(cert, SystemTime::now(), &mut findings));
    (Setup { plans, broker }, findings)
}

/// Reads the file again. If it has errors now, nothing changes.
fn read_again(arguments: &Arguments) -> Option<Setup> {
    let (setup, findings) = read(arguments);
    for finding in findings.iter().filter(|finding| finding.severity == Severity::Error) {
        tracing::error!("{}", OneLine(&finding.to_string()));
    }
    if findings.count(Severity::Error) > 0 {
        tracing::error!("the file is not read: everything goes on as before");
        return None;
    }
    tracing::info!("the file is read again");
    Some(setup)
}

fn host_name() -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default().trim().to_owned()
}

fn check(setup: &Setup, findings: &Findings) -> ExitCode {
    let mut text = setup.broker.as_ref().map(ToString::to_string).unwrap_or_default();
    text.extend(setup.plans.iter().map(ToString::to_string));
    findings.iter().for_each(|finding| text.push_str(&format!("{}\n", OneLine(&finding.to_string()))));
    let errors = findings.count(Severity::Error);
    let (traps, ignored) = (findings.count(Severity::Trap), findings.count(Severity::Ignored));
    text.push_str(&format!(
        "errors: {errors}, traps: {traps}, lines without effect: {ignored}. Nothing was started.\n"
    ));
    match edge_print::print(&text) {
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
        Ok(()) if errors > 0 => ExitCode::from(2),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn complain(line: &str) {
    edge_print::complain!("mqtt-bridge: {}", OneLine(line));
}

/// Sets up the log on standard error, from level `info` on; `RUST_LOG` sets other levels.
fn log() {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|wanted| wanted.parse::<Targets>().ok());
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(layer).with(filter).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn manual_pages_and_completions_are_whole() {
        assert_eq!(edge_manual::make(Arguments::command()), [""; 0]);
    }
}
