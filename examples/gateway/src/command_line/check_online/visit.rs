//! Visit to one address of the hub: connects, subscribes, and publishes the test messages.

use std::time::Duration;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::Stats;
use edge_bridge::net::{Bridge, Builder, ClockFloor, HubTls};
use edge_bridge::wire::{
    PropertiesBuilder, PropertyId, QoS, ReasonCode, RetainHandling, Subscription, Utf8, Value,
};
use tokio::time::{Instant, sleep, timeout};

use crate::command_line::hub_visit::{connected, leave};
use crate::config::Config;
use crate::run::hub::uplink;
use crate::run::{CertificateFloor, RunError};

use super::needed::Needed;

/// Time limit of a connection. NATS answers a CONNECT after up to 5 s.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// Attempts to connect, so that a hub of another MQTT version is found, and one failure of the network is none of the hub's.
const ATTEMPTS: u64 = 3;
/// Time limit of the hub's answers to all SUBSCRIBEs, and of the one to each test message.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Time limit of the answer by which the round trip is measured.
const ROUND_TRIP_WITHIN: Duration = Duration::from_secs(5);
/// Filter that nobody subscribes to.
const NOWHERE: &str = "edge-check/round-trip";
/// Seconds for which the hub may pass a test message on.
const EXPIRY_S: u32 = 60;
/// Content type of a test message, whose payload is empty.
const CONTENT_TYPE: &str = "application/vnd.edge.check";

/// Result of a visit to an address.
#[derive(Debug)]
pub(super) enum Outcome {
    /// No connection, with the reason.
    NotReached(String),
    /// The hub answered, and refused the connection, with its reason.
    Refused(String),
    Reached(Box<Reached>),
}

/// Rights that the hub grants at an address, and its limits.
#[derive(Debug)]
pub(super) struct Reached {
    /// Time from the start of the visit to the hub's CONNACK, in milliseconds.
    pub(super) connect_ms: u64,
    /// Round trip of a packet of MQTT and its answer, in milliseconds; `None` if the hub did not answer it in time.
    pub(super) round_trip_ms: Option<u64>,
    /// TLS of the first connection; `None` without it.
    pub(super) tls: Option<HubTls>,
    /// Version, limits and round trip of the first connection, which asks for the session that the gateway asks for.
    pub(super) connected: Stats,
    /// Subscriptions that the hub refused, with its reasons.
    pub(super) refused_filters: Vec<(String, ReasonCode)>,
    /// Number of subscriptions without an answer.
    pub(super) unanswered_filters: usize,
    /// Test messages, in the order of the topics.
    pub(super) published: Vec<Published>,
}

/// Answer of the hub to a test message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    Accepted,
    Refused(ReasonCode),
    /// The hub closed the connection instead of an answer.
    Closed,
    /// No answer in time.
    Unanswered,
}

/// Visits an address. Two connections: the first asks for a session as the gateway does, the second for one that ends with it, so that nothing of
/// the visit stays at the hub.
///
/// # Errors
/// A setting, key or certificate of `[hub]` cannot be used.
pub(super) async fn visit(config: &Config, address: &str, needed: &Needed) -> Result<Outcome, RunError> {
    let mut config = config.clone();
    config.hub.url = address.to_owned();
    config.hub.further_urls.clear();
    config.hub.client_id.push_str("-check");
    let since = Instant::now();
    let floor = CertificateFloor::of(&config).clock();
    let first = match connect(uplink::prepare(&config, &floor)?).await? {
        Ok(first) => first,
        Err(reason) => return Ok(without_connection(reason)),
    };
    let connect_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (first_stats, tls) = (first.stats(), first.link().hub_tls());
    let round_trip_ms = round_trip(&first).await?;
    leave(first).await;
    let bridge = match connect(uplink::prepare(&config, &floor)?.session_expiry_s(0)).await? {
        Ok(bridge) => bridge,
        Err(reason) if is_refusal(&reason) => return Ok(Outcome::Refused(reason)),
        Err(reason) => return Ok(Outcome::NotReached(format!("at the second connection: {reason}"))),
    };
    let (refused_filters, unanswered_filters) = subscribe(&bridge, needed).await?;
    let published = publish_all(&config, &floor, bridge, &needed.topics).await?;
    let connected = first_stats;
    let reached =
        Reached { connect_ms, round_trip_ms, tls, connected, refused_filters, unanswered_filters, published };
    Ok(Outcome::Reached(Box::new(reached)))
}

/// Measures the round trip by an UNSUBSCRIBE, for which no right is needed and whose answer no disk delays. Returns milliseconds; `None`: no answer.
async fn round_trip(bridge: &Bridge) -> Result<Option<u64>, RunError> {
    let since = Instant::now();
    let asked = bridge.link().unsubscribe(&[NOWHERE.to_owned()]).await.map_err(settings)?;
    let answered = timeout(ROUND_TRIP_WITHIN, asked.wait()).await == Ok(true);
    Ok(answered.then(|| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)))
}

fn without_connection(reason: String) -> Outcome {
    if is_refusal(&reason) { Outcome::Refused(reason) } else { Outcome::NotReached(reason) }
}

/// Returns whether the reason is a CONNACK that refuses: the statistics of the link have it in words alone.
fn is_refusal(reason: &str) -> bool {
    reason.starts_with("the server refused the connection: ")
}

/// Connects. The inner error is the reason why there is no connection.
async fn connect(builder: Builder) -> Result<Result<Bridge, String>, RunError> {
    let bridge = builder.start().await.map_err(settings)?;
    let failed = match connected(&bridge, CONNECT_WITHIN, ATTEMPTS).await {
        Ok(()) => return Ok(Ok(bridge)),
        Err(failed) => failed,
    };
    let within = CONNECT_WITHIN.as_secs();
    Ok(Err(failed.unwrap_or_else(|| format!("no answer within {within} s"))))
}

fn settings(error: impl std::fmt::Display) -> RunError {
    RunError::Configuration(format!("[hub] {error}"))
}

/// Subscribes to all filters, without the retained messages, and waits for the answers. Returns the refused ones with the hub's reasons, and the
/// number of those without an answer.
async fn subscribe(bridge: &Bridge, needed: &Needed) -> Result<(Vec<(String, ReasonCode)>, usize), RunError> {
    if needed.filters.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let filters = needed.filters.iter().map(|filter| {
        let filter = Utf8::try_from(filter.as_str()).unwrap_or_default();
        Subscription {
            retain_handling: RetainHandling::DoNotSend,
            ..Subscription::new(filter, QoS::AtLeastOnce)
        }
    });
    // What comes of the commands meanwhile goes with the subscription.
    let _subscribed = bridge.subscribe_all(filters).await.map_err(settings)?;
    let answered = |stats: &Stats| stats.granted_subscriptions + stats.refused_subscriptions.len();
    let all = needed.filters.len();
    let mut watch = bridge.watch();
    let _ = timeout(ANSWER_WITHIN, watch.wait_for(|stats| answered(stats) >= all)).await;
    let stats = bridge.stats();
    let unanswered = all.saturating_sub(answered(&stats));
    let refused = stats.refused_subscriptions.into_iter();
    Ok((refused.map(|refused| (refused.filter.to_string(), refused.reason)).collect(), unanswered))
}

/// Publishes a test message on each topic, and ends the connection. After a message without a PUBACK of acceptance the next one has a connection of
/// its own: the link would send the former one again in between.
async fn publish_all(
    config: &Config,
    floor: &ClockFloor,
    bridge: Bridge,
    topics: &[String],
) -> Result<Vec<Published>, RunError> {
    let (mut answers, mut connection) = (Vec::new(), Some(bridge));
    for topic in topics {
        let bridge = match connection.take() {
            Some(bridge) => Some(bridge),
            None => connect(uplink::prepare(config, floor)?.session_expiry_s(0)).await?.ok(),
        };
        let Some(bridge) = bridge else {
            answers.push(Published::Unanswered);
            continue;
        };
        let answer = publish(&bridge, topic).await?;
        answers.push(answer);
        match answer {
            Published::Accepted => connection = Some(bridge),
            _ => leave(bridge).await,
        }
    }
    if let Some(bridge) = connection {
        leave(bridge).await;
    }
    Ok(answers)
}

/// Publishes a test message and waits for the hub's answer.
async fn publish(bridge: &Bridge, topic: &str) -> Result<Published, RunError> {
    let name = Utf8::try_from(topic).map_err(settings)?;
    let mut properties = PropertiesBuilder::new();
    // Neither is too long for a property.
    let _ = properties.push(PropertyId::ContentType, Value::Utf8(CONTENT_TYPE));
    let _ = properties.push(PropertyId::MessageExpiryInterval, Value::U32(EXPIRY_S));
    let mut row = Row::new(name, Bytes::new());
    row.properties = properties.finish();
    let connects = bridge.stats().connects;
    let mut watch = bridge.watch();
    let receipt = bridge.publish_row(row).await.map_err(settings)?;
    let is_over = |stats: &Stats| !stats.refusals.is_empty() || stats.connects > connects;
    let answer = tokio::select! {
        biased;
        Ok(_) = receipt => Published::Accepted,
        Ok(stats) = watch.wait_for(is_over) => match &stats.last_refusal {
            Some(refusal) => Published::Refused(refusal.reason),
            None => Published::Closed,
        },
        () = sleep(ANSWER_WITHIN) => Published::Unanswered,
    };
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_bridge::session::Closed;

    #[test]
    fn a_refusing_answer_is_no_lack_of_one() {
        let outcome = |reason: &str| without_connection(reason.to_owned());
        let refused = Closed::Refused(ReasonCode::NOT_AUTHORIZED).to_string();
        assert!(matches!(outcome(&refused), Outcome::Refused(reason) if reason == refused));
        assert!(matches!(outcome("cannot connect to 127.0.0.1:1"), Outcome::NotReached(_)));
    }
}
