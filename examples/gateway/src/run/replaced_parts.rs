//! Parts of the gateway that an embedding program replaces by its own.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use edge_bridge::escape::Escaped;
use edge_bridge::ingest::{Answer, Inbound, Now};
use edge_bridge::wire::ReasonCode;
use edge_codec::BatchId;
use edge_filter::Pipeline;
use edge_service::Notifier;
use tokio::signal::unix::Signal;
use tokio::sync::oneshot;

use crate::config::Route;

use super::configuration::route_changes::Configurations;
use super::filters::reading_row::Reading;
use super::log::once_an_hour::OnceAnHour;
use super::queue::open_queue::OpenQueue;
use super::sensors::bulkhead::Bulkhead;
use super::sensors::own_rows::RowRules;
use super::status::snapshot::snapshot_maker::Snapshots;

/// Parts that are replaced, and channels to the embedding program; none by default.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Filters, each with the `match` of its route.
    pub(crate) filters: Vec<(String, Pipeline)>,
    pub(crate) ingest: Option<OwnIngest>,
    pub(crate) packers: Packers,
    /// Sender of the handles, used when sensors can connect.
    pub(crate) started: Option<oneshot::Sender<Started>>,
    /// Connection to systemd; only the program `edge-gateway` sets it.
    pub(crate) service: Notifier,
    /// SIGPWR, which is the process's: only the program `edge-gateway` sets it.
    pub(crate) power: Option<Signal>,
    /// Configurations that are applied while the gateway runs.
    pub(crate) configurations: Option<Configurations>,
    /// Set if this process has run on the state directory before.
    pub(crate) is_restart: bool,
    /// Queue, set once it is open.
    pub(crate) open_queue: OpenQueue,
}

impl Parts {
    /// Adds a filter, in place of an earlier one for the same route.
    pub(crate) fn set_filter(&mut self, filter_topic: &str, filter: Pipeline) {
        self.filters.retain(|(earlier, _)| earlier != filter_topic);
        self.filters.push((filter_topic.to_owned(), filter));
    }

    /// Adds a packer, in place of an earlier one for the same route.
    pub(crate) fn set_packer(&mut self, filter_topic: &str, packer: Box<dyn Packer>) {
        self.packers.retain(|(earlier, _)| earlier != filter_topic);
        self.packers.push((filter_topic.to_owned(), packer));
    }

    /// Returns the first of the program's own parts, in words. `None`: there is none.
    pub(crate) fn first_own(&self) -> Option<String> {
        let of = |kind, filter_topic: &str| format!("{kind} of \"{filter_topic}\"");
        let mut filters = self.filters.iter().map(|(filter_topic, _)| of("filter", filter_topic));
        let mut packers = self.packers.iter().map(|(filter_topic, _)| of("packer", filter_topic));
        let ingest = || self.ingest.as_ref().map(|_| "ingest".to_owned());
        filters.next().or_else(|| packers.next()).or_else(ingest)
    }

    /// Returns the routes with parts of the program's own, of the routes of its configuration.
    pub(crate) fn own_routes(&self, routes: &[Route]) -> Vec<OwnRoute> {
        let filters = self.filters.iter().map(|(filter_topic, _)| ("filter", filter_topic));
        let packers = self.packers.iter().map(|(filter_topic, _)| ("packer", filter_topic));
        let own = |(kind, filter_topic): (_, &String)| {
            let route = routes.iter().find(|route| route.filter_topic == *filter_topic)?;
            Some(OwnRoute { kind, route: route.clone() })
        };
        filters.chain(packers).filter_map(own).collect()
    }
}

/// Route with a part of the embedding program, as it is configured.
#[derive(Clone, Debug)]
pub(crate) struct OwnRoute {
    /// Kind of the part: a filter or a packer.
    pub(crate) kind: &'static str,
    pub(crate) route: Route,
}

/// Handles of a gateway that has started.
#[derive(Clone)]
pub(crate) struct Started {
    /// Address of the listener. `None`: the sensors are behind a broker.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) snapshots: Snapshots,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Function that decides about a message. `None` leaves it to the routes.
type Decide = dyn FnMut(Now, &Inbound) -> Option<Answer> + Send;

/// Ingest of an embedding program, called before the routes.
pub(crate) struct OwnIngest {
    decide: Box<Decide>,
    part: Bulkhead,
    rules: RowRules,
    /// Rate limit of the log lines about rows that break the rules.
    said: OnceAnHour,
}

impl OwnIngest {
    pub(crate) fn new(decide: Box<Decide>) -> Self {
        Self {
            decide,
            part: Bulkhead::new("ingest".to_owned(), "the message goes to dead-letter/TOPIC as it came"),
            rules: RowRules::default(),
            said: OnceAnHour::default(),
        }
    }

    /// Checks its rows by these rules. Without this call a row with a lane is a mistake.
    pub(crate) fn checked_by(self, rules: RowRules) -> Self {
        Self { rules, ..self }
    }

    /// Decides about a message. After a panic the message goes to the hub as a dead letter, because the program's decision is unknown; so does one of
    /// whose rows one cannot be delivered. `None` leaves it to the routes.
    pub(crate) fn decide(&mut self, now: Now, message: &Inbound) -> Option<Answer> {
        let Self { decide, part, rules, said } = self;
        let refused = Answer::Refuse(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
        let answer = part.call(|| decide(now, message)).unwrap_or(Some(refused))?;
        let Some((reason, error)) = rules.mistake(message, &answer) else { return Some(answer) };
        if let Some(not_logged) = said.line(now.up_ms, &message.topic) {
            let topic = Escaped(&message.topic);
            tracing::warn!(topic = %format_args!("\"{topic}\""), error = error.as_str(), not_logged, "the program's own ingest made a row that cannot be delivered: its message goes to dead-letter/TOPIC as it came");
        }
        Some(Answer::Refuse(reason))
    }
}

/// Packers, each with the `match` of its route.
pub(crate) type Packers = Vec<(String, Box<dyn Packer>)>;

impl fmt::Debug for OwnIngest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnIngest")
    }
}

/// Encoder of a route's batches, in place of its format.
///
/// A batch without a PUBACK is packed again, perhaps with other readings, so the payload must not depend on earlier calls. Readings at which the
/// packer panics are sent as JSON. The packer runs on the network's thread: while it works, nothing is sent to the hub, and the PUBACKs to
/// sensors wait.
pub trait Packer: fmt::Debug + Send {
    /// Returns the MQTT 5 content type of the payloads.
    fn content_type(&self) -> &'static str;

    /// Encodes these readings as one payload. If it is larger than a message may be, the packer is called for each half instead; a single reading
    /// that is too large is parked as unsendable.
    fn pack(&mut self, batch: &PackedBatch<'_>) -> Bytes;
}

/// Readings that become one message.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PackedBatch<'a> {
    /// Identity of the first reading, by which readers recognise a copy of the stored reading. `None`: the configuration sends no identities to
    /// the hub.
    pub id: Option<BatchId>,
    /// Set if messages of the batch may have been received before, under other identities.
    pub possible_duplicate: bool,
    /// Readings with their sequence numbers, in ascending order of these.
    pub readings: &'a [(u64, Reading<'a>)],
}
