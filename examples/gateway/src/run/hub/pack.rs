//! Batches of readings from the queue to the hub, in the formats of the routes: the [`BatchPack`](edge_bridge::bridge::BatchPack) of
//! [`edge_bridge`] with the gateway's encoder.
//!
//! In the compact format the readings of one sensor are sent in their order. A batch may be split into readings of sensors that are in the hub's
//! table, and others.

#![deny(clippy::indexing_slicing)]

mod messages;
mod next_routes;

use edge_bridge::Format as RowFormat;
use edge_bridge::bridge::spool::Leased;
use edge_bridge::bridge::{BatchLimits, Encode, HubAnswer, Packing, RowBatch};
use edge_bridge::ingest::Now;
use edge_bridge::wire::{Publish, Utf8};

use crate::config::{Format, Route};
use crate::run::replaced_parts::Packer;
use crate::run::sensors::bulkhead::Bulkhead;
use crate::run::tap::Taps;

use super::compact::Compact;
use super::formats::{row_format, shape};
use super::gap_reports::GapReports;
use super::hub_status::HubStatus;
pub(crate) use next_routes::NextRoutes;

/// Packer of the gateway's rows.
pub(crate) type BatchPack = edge_bridge::bridge::BatchPack<RouteEncoder>;

/// Limits of a batch whose route the configuration no longer has.
const LIMITS: BatchLimits = BatchLimits { age_ms: 200, rows: 1_000, bytes: usize::MAX };

/// Encoder of all routes.
#[derive(Debug)]
pub(crate) struct RouteEncoder {
    routes: Vec<RouteLimits>,
    next_routes: NextRoutes,
    compact: Compact,
    gap_reports: Option<GapReports>,
    hub_status: Option<HubStatus>,
    /// Packers of an embedding program, by the topic of their batches.
    packers: Vec<(Utf8, OwnPacker)>,
    taps: Taps,
}

/// Packer of an embedding program, behind its bulkhead.
#[derive(Debug)]
struct OwnPacker {
    packer: Box<dyn Packer>,
    part: Bulkhead,
}

/// Limits of batches with one topic.
#[derive(Clone, Debug)]
pub(crate) struct RouteLimits {
    pub(crate) topic: Utf8,
    pub(crate) format: RowFormat,
    pub(crate) limits: BatchLimits,
}

impl RouteLimits {
    /// Returns the limits for the routes that have batches.
    pub(crate) fn of(routes: &[Route]) -> Vec<Self> {
        let limits = |route: &Route| {
            Some(Self {
                topic: Utf8::try_from(route.to.as_str()).ok()?,
                format: row_format(route.format),
                limits: BatchLimits {
                    age_ms: u64::try_from(route.batch_age.as_millis()).unwrap_or(u64::MAX),
                    rows: usize::try_from(route.batch_max.readings).unwrap_or(usize::MAX).max(1),
                    bytes: route.batch_max.bytes.map_or(usize::MAX, |bytes| bytes as usize),
                },
            })
        };
        routes.iter().filter(|route| route.format != Format::Raw).filter_map(limits).collect()
    }
}

impl RouteEncoder {
    pub(crate) fn new(routes: &[Route], compact: Compact) -> Self {
        Self::of_limits(RouteLimits::of(routes), compact)
    }

    /// Creates the encoder for limits that are known without their routes.
    pub(crate) fn of_limits(routes: Vec<RouteLimits>, compact: Compact) -> Self {
        let next_routes = NextRoutes::default();
        let (packers, taps) = (Vec::new(), Taps::default());
        Self { routes, next_routes, compact, gap_reports: None, hub_status: None, packers, taps }
    }

    /// Applies changed routes that come through `next_routes`.
    pub(crate) fn with_next_routes(self, next_routes: NextRoutes) -> Self {
        Self { next_routes, ..self }
    }

    /// Shows the hub's answers to these taps.
    pub(crate) fn with_taps(self, taps: Taps) -> Self {
        Self { taps, ..self }
    }

    /// Also sends gap reports.
    pub(crate) fn with_gap_reports(self, reports: Option<GapReports>) -> Self {
        Self { gap_reports: reports, ..self }
    }

    /// Also sends the gateway's status.
    pub(crate) fn with_hub_status(self, status: Option<HubStatus>) -> Self {
        Self { hub_status: status, ..self }
    }

    /// Replaces the routes' formats by packers; each comes with the `match` of its route. The last one of
    /// routes with the same topic counts.
    ///
    /// # Errors
    /// A packer for a route that does not exist, or has no batches, in words.
    pub(crate) fn with_packers(
        mut self,
        routes: &[Route],
        packers: Vec<(String, Box<dyn Packer>)>,
    ) -> Result<Self, String> {
        for (filter_topic, packer) in packers {
            let topic = packed_topic(routes, &filter_topic)?;
            let part = Bulkhead::new(format!("packer of \"{filter_topic}\""), "its readings go as JSON");
            self.packers.retain(|(earlier, _)| *earlier != topic);
            self.packers.push((topic, OwnPacker { packer, part }));
        }
        Ok(self)
    }
}

/// Returns the topic of the batches that a packer for the route with this `match` makes.
///
/// # Errors
/// There is no such route, or it has no batches; in words.
pub(crate) fn packed_topic(routes: &[Route], filter_topic: &str) -> Result<Utf8, String> {
    let is_its = |route: &&Route| route.format != Format::Raw && route.filter_topic == filter_topic;
    let topic = routes.iter().find(is_its).and_then(|route| Utf8::try_from(route.to.as_str()).ok());
    topic.ok_or_else(|| format!("no route with batches has match = \"{filter_topic}\", to be packed"))
}

impl Encode for RouteEncoder {
    /// Returns the limits of the batch that the row joins; of several routes with one topic those of the first. `None`: the row is raw and joins
    /// no batch.
    fn limits(&self, row: &Leased) -> Option<BatchLimits> {
        shape(row.row.format)?;
        let alike = |route: &&RouteLimits| route.topic == row.row.topic && route.format == row.row.format;
        Some(self.routes.iter().find(alike).map_or(LIMITS, |route| route.limits))
    }

    fn take_limits_changed(&mut self) -> bool {
        let Some(routes) = self.next_routes.take() else { return false };
        self.routes = RouteLimits::of(&routes);
        self.compact.follow(&routes);
        true
    }

    fn encode(&mut self, now: Now, batch: &RowBatch, bytes_max: usize) -> Vec<Packing> {
        match self.packers.iter_mut().find(|(topic, _)| *topic == batch.topic) {
            Some((_, packer)) => messages::of_own(batch, now, bytes_max, packer),
            None => messages::of_batch(batch, now, bytes_max, &mut self.compact),
        }
    }

    fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        let status = self.hub_status.as_ref().and_then(|status| status.poll(now, max_packet));
        let report = || self.gap_reports.as_ref().and_then(|reports| reports.poll(now, max_packet));
        status.or_else(report).or_else(|| self.compact.poll(now, max_packet))
    }

    fn next_deadline(&self) -> Option<u64> {
        let report = self.gap_reports.as_ref().and_then(GapReports::next_deadline);
        report.into_iter().chain(self.compact.next_deadline()).min()
    }

    fn on_delivered(&mut self, message: &Publish) {
        if let Some(reports) = &self.gap_reports {
            reports.on_delivered(message);
        }
        if let Some(status) = &self.hub_status {
            status.on_delivered(message);
        }
        self.compact.on_delivered(message);
    }

    fn on_answer(&mut self, answer: &HubAnswer<'_>) {
        if let Some(status) = self.hub_status.as_ref().filter(|_| answer.reason.is_error()) {
            status.on_refused(answer.message);
        }
        self.taps.answered(answer);
    }
}

#[cfg(test)]
mod split_tests;
#[cfg(test)]
mod tests;
