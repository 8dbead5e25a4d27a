//! `edge-gateway fleet`: an overview of all gateways, from the retained status message that each publishes at the hub (`[status] to_hub`). It
//! only subscribes.

#![allow(clippy::disallowed_methods, reason = "a command: the runtime and the clock")]

mod overview;
mod table;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use edge_bridge::net::StartError;
use edge_bridge::wire::{QoS, Subscription, Utf8};
use edge_bridge::{Bridge, Builder, Commands, Tls};
use tokio::time::{Instant, timeout};

use crate::asking::UNAVAILABLE;
use crate::config::password;
use crate::run::hub_status::{ALIVE, STATUS};
use crate::run::status_page::terminal::printable;
use crate::standard_output;
use overview::Overview;

/// Time limit of the connection to the hub.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Silence after which every retained message has come, because the hub sends them at once.
const QUIET: Duration = Duration::from_secs(1);
/// Time limit for receiving, in case messages keep coming.
const LISTEN_WITHIN: Duration = Duration::from_secs(15);
/// Longest packet that is accepted. It is far above the size of a status, so that a larger one is recognised as something else.
const PACKET_MAX: u32 = 4_096;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The hub: mqtt://HOST:1883, or mqtts://HOST:8883 with --ca
    #[arg(long, value_name = "URL")]
    broker: String,
    /// Authority to trust, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Our certificate, PEM
    #[arg(long, value_name = "FILE", requires_all = ["key", "ca"])]
    cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// User name
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// Its password: one line, mode 0600
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// All of it as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Reason why there is no overview.
enum Trouble {
    Usage(String),
    NoHub(String),
}

/// Prints the overview. The exit code is 0 if all gateways are well, 1 if one is not or there is none, 2 for a wrong command line, 69 if no hub
/// answers.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(listen(arguments));
            // A look-up of a name must not hold up the exit.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Trouble::NoHub(error.to_string())),
    };
    let (text, code) = match outcome {
        Ok(overview) => return show(arguments, &overview),
        Err(Trouble::Usage(text)) => (text, 2),
        Err(Trouble::NoHub(text)) => (text, UNAVAILABLE),
    };
    edge_print::complain!("edge-gateway: {}", printable(&text));
    ExitCode::from(code)
}

fn show(arguments: &Arguments, overview: &Overview) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let fleet = overview.at(now_s);
    let text = if arguments.json { table::json(&fleet) } else { table::table(&fleet) };
    match standard_output::print(&text) {
        Err(failed) => failed,
        Ok(()) if fleet.is_well() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

/// Receives the retained messages of gateways from the hub.
async fn listen(arguments: &Arguments) -> Result<Overview, Trouble> {
    let bridge = builder(arguments)?.start().await.map_err(|error| Trouble::Usage(usage(error)))?;
    let filters = [ALIVE, STATUS].map(|prefix| {
        let filter = Utf8::try_from(format!("{prefix}+")).unwrap_or_default();
        Subscription::new(filter, QoS::AtLeastOnce)
    });
    let subscribed = bridge.subscribe_all(filters).await;
    let mut messages = subscribed.map_err(|error| Trouble::NoHub(error.to_string()))?;
    let mut stats = bridge.watch();
    let connected = timeout(CONNECT_WITHIN, stats.wait_for(|stats| stats.connects > 0)).await;
    // At once: what it returns holds the numbers, which the link has to change.
    if !connected.is_ok_and(|connected| connected.is_ok()) {
        let why = bridge.stats().last_error.unwrap_or_else(|| "no answer".to_owned());
        let within = CONNECT_WITHIN.as_secs();
        return Err(Trouble::NoHub(format!("{}: no connection within {within} s: {why}", arguments.broker)));
    }
    let overview = take_in(&mut messages).await;
    if let Some(refused) = bridge.stats().refused_subscriptions.first() {
        let (filter, reason) = (&refused.filter, refused.reason);
        return Err(Trouble::NoHub(format!("the hub refused the subscription to {filter}: {reason}")));
    }
    // The hub does not need the goodbye.
    let _ = timeout(QUIET, bridge.close()).await;
    Ok(overview)
}

async fn take_in(messages: &mut Commands) -> Overview {
    let mut overview = Overview::default();
    let end = Instant::now() + LISTEN_WITHIN;
    while Instant::now() < end {
        let Ok(Some(message)) = timeout(QUIET, messages.next()).await else { break };
        overview.take(message.topic(), message.payload());
        message.done();
    }
    overview
}

fn builder(arguments: &Arguments) -> Result<Builder, Trouble> {
    let client_id = format!("edge-fleet-{:016x}", RandomState::new().build_hasher().finish());
    let builder = Bridge::builder(&arguments.broker).client_id(&client_id).any_version();
    let mut builder = builder.session_expiry_s(0).max_packet_size(PACKET_MAX);
    if let Some(ca) = &arguments.ca {
        let tls = match (&arguments.cert, &arguments.key) {
            (Some(cert), Some(key)) => Tls::from_pem(ca, cert, key),
            _ => Tls::from_ca(ca),
        };
        builder = builder.tls(tls.map_err(|error| Trouble::Usage(error.to_string()))?);
    }
    if let (Some(user), Some(file)) = (&arguments.user, &arguments.password_file) {
        let password = password::read(file);
        let password = password.map_err(|error| Trouble::Usage(format!("{}: {error}", file.display())))?;
        builder = builder.credentials(user, password);
    }
    Ok(builder)
}

fn usage(error: StartError) -> String {
    match error {
        StartError::TlsMissing => "mqtts:// needs --ca: the authority to trust".to_owned(),
        StartError::TlsUnused => {
            "--ca is given, but the address is mqtt://, which would be sent in the clear".to_owned()
        }
        error => error.to_string(),
    }
}
