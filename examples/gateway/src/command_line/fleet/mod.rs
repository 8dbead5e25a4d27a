//! `edge-gateway fleet`: an overview of all gateways, from the retained status message that each publishes at the hub (`[status] to_hub`). It
//! only subscribes.

#![allow(clippy::disallowed_methods, reason = "a command: the runtime and the clock")]

mod overview;
mod page;
mod table;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use edge_bridge::bridge::Stats;
use edge_bridge::session::Closed;
use edge_bridge::wire::{QoS, Subscription, Utf8};
use edge_bridge::{Bridge, Builder, Commands};
use tokio::time::{Instant, timeout, timeout_at};

use super::control_client::UNAVAILABLE;
use super::hub_access::{HubAccess, not_started};
use super::hub_visit::{connected, leave};
use super::screen::{Redrawn, is_terminal};
use super::standard_output;
use crate::config::hub_topics::{ALIVE, STATUS};
use crate::run::status::outputs::terminal::printable;
use overview::{Fleet, Overview};

/// Begins of the topics that are subscribed to.
const FILTERS: [&str; 2] = [ALIVE, STATUS];
/// Time limit of the connection to the hub.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Time limit of the answer to the subscriptions. Without it nothing comes, and no gateway could be told from none.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Silence after which every retained message has come, because the hub sends them at once; on a slow line [`ROUND_TRIPS`] of it.
const QUIET: Duration = Duration::from_secs(1);
/// The same in round trips: TCP, too, pauses for one while it learns what the line takes.
const ROUND_TRIPS: u32 = 3;
/// Longest silence that is waited for, so that several fit in the time.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Time limit for receiving, in case messages keep coming.
const LISTEN_WITHIN: Duration = Duration::from_secs(15);
/// Shortest time between two looks of `--watch`.
const EVERY: Duration = Duration::from_secs(2);
/// Longest packet that is accepted. It is far above the size of a status, so that a larger one is recognised as something else.
const PACKET_MAX: u32 = 4_096;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The hub: mqtt://HOST:1883, or mqtts://HOST:8883 with --ca
    #[arg(long, value_name = "URL")]
    broker: String,
    #[command(flatten)]
    access: HubAccess,
    /// All of it as one line of JSON
    #[arg(long)]
    json: bool,
    /// All of it as a page: one file of HTML, nothing from outside
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Stay connected and show what changes, every two seconds, until it is stopped
    #[arg(long, conflicts_with = "html")]
    watch: bool,
}

/// Reason why no more is received from the hub for now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing retained came for a while: all that the hub retains is there.
    Quiet,
    /// The time was over while retained messages came.
    TimeOver,
}

/// Messages of a hub, and the silence after which all that it retains has come.
struct Source {
    messages: Commands,
    quiet: Duration,
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
            let outcome = runtime.block_on(show(arguments));
            // A look-up of a name must not hold up the exit.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Trouble::NoHub(error.to_string())),
    };
    let (text, code) = match outcome {
        Ok(code) => return code,
        Err(Trouble::Usage(text)) => (text, 2),
        Err(Trouble::NoHub(text)) => (text, UNAVAILABLE),
    };
    edge_print::complain!("edge-gateway: {}", printable(&text));
    ExitCode::from(code)
}

/// Shows the overview, once or until standard output is closed.
async fn show(arguments: &Arguments) -> Result<ExitCode, Trouble> {
    let (bridge, mut source, mut overview, end) = listen(arguments).await?;
    if !arguments.watch {
        whole(&bridge, &arguments.broker, end)?;
        leave(bridge).await;
        let fleet = overview.at(now_s());
        return Ok(match standard_output::print(&text(arguments, &fleet)) {
            Err(failed) => failed,
            Ok(()) if fleet.is_well() => ExitCode::SUCCESS,
            Ok(()) => ExitCode::FAILURE,
        });
    }
    let mut redrawn = (!arguments.json && is_terminal()).then(Redrawn::default);
    let (mut last, mut connects) = (String::new(), bridge.stats().connects);
    loop {
        // A new session: the hub sends what it retains again, and not what was cleared meanwhile.
        if is_new(&bridge, &mut connects) {
            overview = Overview::default();
            source.take_in(&mut overview).await;
        }
        let mut text = text(arguments, &overview.at(now_s()));
        if !arguments.json {
            text += &without_connection(&bridge);
        }
        if text != last {
            let drawn = redrawn.as_mut().map_or_else(|| text.clone(), |redrawn| redrawn.over(&text));
            if let Err(failed) = standard_output::print(&drawn) {
                return Ok(failed);
            }
            last = text;
        }
        let end = Instant::now() + EVERY;
        while let Ok(message) = timeout_at(end, source.messages.next()).await {
            let message = message.ok_or_else(|| Trouble::NoHub("the link has ended".to_owned()))?;
            // Of a new session it may be the first of all that is retained.
            let is_first = is_new(&bridge, &mut connects);
            if is_first {
                overview = Overview::default();
            }
            overview.take(message.topic(), message.payload());
            message.done();
            if is_first {
                source.take_in(&mut overview).await;
            }
        }
    }
}

/// Returns whether there was a connection since the last look.
fn is_new(bridge: &Bridge, connects: &mut u64) -> bool {
    let now = bridge.stats().connects;
    std::mem::replace(connects, now) != now
}

fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn text(arguments: &Arguments, fleet: &Fleet) -> String {
    match arguments {
        Arguments { json: true, .. } => table::json(fleet),
        Arguments { html: true, .. } => page::html(fleet, &arguments.broker, now_s()),
        _ => table::table(fleet),
    }
}

/// Returns a line that says why there is no connection; nothing while there is one.
fn without_connection(bridge: &Bridge) -> String {
    let stats = bridge.stats();
    let is_away = !stats.link.is_connected();
    let why = stats.last_error.filter(|_| is_away);
    why.map_or_else(String::new, |why| format!("No connection to the hub: {}\n", printable(&why)))
}

/// Receives the retained messages of gateways from the hub. Returns them with the connection, on which their changes come.
///
/// At QoS 1: at QoS 0 Mosquitto drops retained messages that neither the connection's buffer nor `max_queued_messages` takes. Over MQTT 5 it sends as
/// many at a time as this client takes.
async fn listen(arguments: &Arguments) -> Result<(Bridge, Source, Overview, End), Trouble> {
    let bridge = builder(arguments)?.start().await.map_err(|error| Trouble::Usage(not_started(&error)))?;
    let filters = FILTERS.map(|prefix| {
        let filter = Utf8::try_from(format!("{prefix}+")).unwrap_or_default();
        Subscription::new(filter, QoS::AtLeastOnce)
    });
    let subscribed = bridge.subscribe_all(filters).await;
    let messages = subscribed.map_err(|error| Trouble::NoHub(error.to_string()))?;
    connect(&bridge, &arguments.broker).await?;
    // The link subscribes as soon as it is connected.
    let connected = Instant::now();
    answered(&bridge, &arguments.broker).await?;
    let mut source = Source { messages, quiet: (connected.elapsed() * ROUND_TRIPS).clamp(QUIET, QUIET_MAX) };
    let mut overview = Overview::default();
    let end = source.take_in(&mut overview).await;
    if let Some(refused) = bridge.stats().refused_subscriptions.first() {
        let (filter, reason) = (&refused.filter, refused.reason);
        return Err(Trouble::NoHub(format!("the hub refused the subscription to {filter}: {reason}")));
    }
    Ok((bridge, source, overview, end))
}

/// Waits for the connection. What the first attempt ended with is said at once, since it may be all that there is to know.
async fn connect(bridge: &Bridge, broker: &str) -> Result<(), Trouble> {
    let end = Instant::now() + CONNECT_WITHIN;
    let mut done = connected(bridge, CONNECT_WITHIN, 1).await;
    if let Err(Some(why)) = &done
        && Instant::now() < end
    {
        let text = format!("{broker}: no connection yet: {}", with_advice(broker, why));
        edge_print::complain!("edge-gateway: {}", printable(&text));
        done = connected(bridge, end.saturating_duration_since(Instant::now()), u64::MAX).await;
    }
    done.map_err(|why| {
        let why = why.map_or_else(|| "no answer".to_owned(), |why| with_advice(broker, &why));
        let within = CONNECT_WITHIN.as_secs();
        Trouble::NoHub(format!("{broker}: no connection within {within} s: {why}"))
    })
}

/// Waits until the hub has answered both subscriptions.
async fn answered(bridge: &Bridge, broker: &str) -> Result<(), Trouble> {
    let mut watch = bridge.watch();
    let is_answered =
        |stats: &Stats| stats.granted_subscriptions + stats.refused_subscriptions.len() >= FILTERS.len();
    // What it returns is not kept: it would lock the figures.
    let is_late = timeout(ANSWER_WITHIN, watch.wait_for(is_answered)).await.is_err();
    if !is_late {
        return Ok(());
    }
    let why = bridge.stats().last_error.map_or_else(String::new, |why| format!(": {why}"));
    let within = ANSWER_WITHIN.as_secs();
    Err(Trouble::NoHub(format!("{broker}: the hub has not answered the subscription within {within} s{why}")))
}

/// Checks that the connection was there from the first to the last message, and that the last one has come: otherwise some may be missing, and
/// nobody could say which.
fn whole(bridge: &Bridge, broker: &str, end: End) -> Result<(), Trouble> {
    let stats = bridge.stats();
    let is_away = !stats.link.is_connected();
    if stats.connects == 1 && !is_away {
        let within = LISTEN_WITHIN.as_secs();
        return match end {
            End::Quiet => Ok(()),
            End::TimeOver => Err(Trouble::NoHub(format!("{broker}: not all has come within {within} s"))),
        };
    }
    let why = stats.last_error.map_or_else(String::new, |why| format!(": {why}"));
    Err(Trouble::NoHub(format!("{broker}: the connection broke before all was there{why}")))
}

/// Adds what to try to the reason for which there is no connection. A port of TLS ends a connection without it, or answers in TLS's own records.
fn with_advice(broker: &str, why: &str) -> String {
    let ended = Closed::Transport.to_string();
    // Whoever closes without having read the CONNECT resets the connection.
    let is_no_mqtt = [ended.as_str(), "the peer broke the protocol", "Connection reset by peer"]
        .iter()
        .any(|words| why.starts_with(words));
    match broker.split_once("://") {
        Some(("mqtt", rest)) if is_no_mqtt => {
            format!("{why}; if this port speaks TLS, it is mqtts://{rest} with --ca")
        }
        _ => why.to_owned(),
    }
}

impl Source {
    /// Adds what the hub retains to the overview, until it has been quiet. News of a large fleet, which never ends, breaks no silence.
    async fn take_in(&mut self, overview: &mut Overview) -> End {
        let end = Instant::now() + LISTEN_WITHIN;
        let mut quiet_at = Instant::now() + self.quiet;
        while Instant::now() < end {
            let Ok(Some(message)) = timeout_at(quiet_at, self.messages.next()).await else {
                return End::Quiet;
            };
            if message.is_retained() {
                quiet_at = Instant::now() + self.quiet;
            }
            overview.take(message.topic(), message.payload());
            message.done();
        }
        End::TimeOver
    }
}

fn builder(arguments: &Arguments) -> Result<Builder, Trouble> {
    let client_id = format!("edge-fleet-{:016x}", RandomState::new().build_hasher().finish());
    let builder = Bridge::builder(&arguments.broker).client_id(&client_id).any_version();
    let builder = builder.session_expiry_s(0).max_packet_size(PACKET_MAX);
    arguments.access.add_to(builder).map_err(Trouble::Usage)
}
