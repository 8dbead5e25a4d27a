//! Makes a snapshot from the figures; page, JSON, terminal and check are made from this snapshot. Pure.

use std::collections::BTreeMap;

use edge_bridge::bridge::LinkState;
use edge_bridge::ingest::Now;

use crate::run::status::verdict::Verdict;

use super::facts::Facts;
use super::figures::{Figures, LaneFigures, RouteFigures};
use super::history::{Flow, LANES_MAX};
use super::ledger::ledger;
use super::needs;
use super::recorder::{Look, Recorder, is_up};
use super::remaining_room::room;
use super::sentence::sentence;
use super::{
    Bytes, DayLoad, Lane, LinkStatus, QueueStatus, Rates, Refused, Restarts, RouteStatus, Snapshot, VERSION,
};

/// Limit from which a lane counts as unlimited, because the queue has no other representation for it.
const UNLIMITED_MESSAGES: u64 = 1 << 50;

/// State of a gateway without its queue, as far as a snapshot needs it.
#[derive(Clone, Debug)]
pub(crate) struct WithoutQueue<'a> {
    pub(crate) cause: &'a str,
    pub(crate) verdict: Verdict,
    /// Messages that were dropped because they found no room.
    pub(crate) lost: u64,
    pub(crate) clock_synced: bool,
    /// Messages at QoS 1 that the listener holds until the queue is open.
    pub(crate) not_queued: u64,
}

/// Returns the part of the figures that the recorder stores.
pub(crate) fn look(figures: &Figures) -> Look<'_> {
    let sample = &figures.sample;
    let mut accepted = [0; LANES_MAX];
    accepted.iter_mut().zip(&figures.queue.lanes).for_each(|(total, lane)| *total = lane.accepted);
    Look {
        verdict: sample.verdict,
        link: sample.link,
        cause: sample.link_cause.as_deref(),
        flow: Some(Flow {
            accepted: accepted.iter().sum(),
            delivered: sample.rows_delivered,
            suppressed: sample.counts.suppressed.iter().map(|(_, count)| count).sum(),
            lanes: accepted,
        }),
        waiting: sample.queue_messages,
        lanes: figures.queue.lanes.iter().map(|lane| (lane.messages, lane.bytes)).collect(),
    }
}

/// Returns the part of the state without a queue that the recorder stores.
pub(crate) fn look_without_queue<'a>(state: &WithoutQueue<'a>) -> Look<'a> {
    let (flow, lanes) = (None, Vec::new());
    let (verdict, cause) = (state.verdict, Some(state.cause));
    Look { verdict, link: LinkState::Offline, cause, flow, waiting: 0, lanes }
}

/// Returns the snapshot of a gateway with a queue. `recorder` must have recorded the same figures before.
pub(crate) fn snapshot(facts: &Facts, now: Now, figures: &Figures, recorder: &Recorder) -> Snapshot {
    let sample = &figures.sample;
    let link = LinkStatus {
        cause: sample.link_cause.clone(),
        address: sample.hub_address as u64,
        unacked: sample.unacked as u64,
        round_trip_ms: Some(sample.round_trip_ms).filter(|ms| *ms > 0),
        ..link_status(sample.link, recorder, now.up_ms)
    };
    let lanes = lanes(facts, &figures.queue.lanes);
    let ledger = figures.totals.as_ref().map(|totals| ledger(totals, sample.delivered_now));
    let held_at_door = sample.listener.as_ref().map_or(0, |listener| listener.held as u64);
    let refused = &sample.refused;
    let described = Snapshot {
        clock_synced: sample.clock_synced,
        lost: sample.given_up,
        room: room(facts, figures, recorder, &lanes),
        rates: rates(recorder),
        load: Some(load(facts, &figures.routes, recorder)),
        refused: Refused {
            parked: refused.parked,
            in_place: refused.in_place,
            held: refused.held,
            topics: refused.topics as u64,
            link: refused.link_refused,
        },
        needs: needs::needs(facts, figures, (&lanes, &link), ledger.as_ref()),
        routes: routes(facts, &figures.routes),
        bytes: Bytes {
            wan: sample.wan_bytes.iter().map(|(cause, bytes)| ((*cause).to_owned(), *bytes)).collect(),
            store_written: sample.store_bytes_written,
        },
        restarts: Restarts {
            clean: sample.restarts.clean_in_all(),
            unclean: sample.restarts.unclean_in_all(),
        },
        queue: QueueStatus {
            open: true,
            cause: None,
            messages: sample.queue_messages,
            bytes: sample.queue_bytes,
            oldest_ms: sample.oldest_age_ms,
            lanes,
            not_queued: sample.intake.on_the_way + sample.intake.no_room + held_at_door,
            withheld: sample.withheld_messages,
        },
        link,
        ledger,
        ..empty(facts, now, sample.verdict, recorder)
    };
    Snapshot { sentence: sentence(&described), ..described }
}

/// Returns the snapshot of a gateway whose queue is not open.
pub(crate) fn without_queue(
    facts: &Facts,
    now: Now,
    state: &WithoutQueue<'_>,
    recorder: &Recorder,
) -> Snapshot {
    let described = Snapshot {
        clock_synced: state.clock_synced,
        lost: state.lost,
        queue: QueueStatus {
            cause: Some(state.cause.to_owned()),
            not_queued: state.not_queued,
            ..QueueStatus::default()
        },
        needs: needs::without_queue(facts, state.cause, state.lost, state.clock_synced),
        routes: routes(facts, &[]),
        ..empty(facts, now, state.verdict, recorder)
    };
    Snapshot { sentence: sentence(&described), ..described }
}

/// Returns a snapshot that has only the verdict and the parts from the recorder and the configuration.
fn empty(facts: &Facts, now: Now, verdict: Verdict, recorder: &Recorder) -> Snapshot {
    Snapshot {
        v: VERSION,
        gateway: facts.gateway.clone(),
        program: concat!("edge-gateway ", env!("CARGO_PKG_VERSION")).to_owned(),
        config: facts.config.clone(),
        time_ms: now.wall_ms,
        clock_synced: false,
        up_s: recorder.up_s(now.up_ms),
        verdict: verdict.as_str().to_owned(),
        since_s: recorder.verdict_since_s(now.up_ms),
        sentence: String::new(),
        lost: 0,
        link: link_status(LinkState::Offline, recorder, now.up_ms),
        queue: QueueStatus::default(),
        room: Default::default(),
        rates: Rates::default(),
        load: None,
        ledger: None,
        flash: facts.flash,
        refused: Refused::default(),
        needs: Vec::new(),
        routes: Vec::new(),
        more_routes: facts.more_routes,
        bytes: Bytes { wan: BTreeMap::new(), store_written: 0 },
        restarts: Restarts::default(),
        events: recorder.events(now.up_ms),
    }
}

fn link_status(link: LinkState, recorder: &Recorder, up_ms: u64) -> LinkStatus {
    LinkStatus {
        state: link.as_str().to_owned(),
        since_s: recorder.link_since_s(up_ms),
        is_up: is_up(link),
        cause: None,
        address: 0,
        unacked: 0,
        round_trip_ms: None,
    }
}

pub(in crate::run::status) fn lanes(facts: &Facts, figures: &[LaneFigures]) -> Vec<Lane> {
    let lane = |(name, lane): (&String, &LaneFigures)| Lane {
        name: name.clone(),
        messages: lane.messages,
        bytes: lane.bytes,
        max_messages: Some(lane.max_messages).filter(|max| *max < UNLIMITED_MESSAGES),
        max_bytes: lane.max_bytes,
    };
    facts.lanes.iter().zip(figures).map(lane).collect()
}

/// Rounds a rate to parts of one `in_one`: more digits would be noise.
fn rounded(rate: f64, in_one: f64) -> f64 {
    (rate * in_one).round() / in_one
}

fn load(facts: &Facts, figures: &[RouteFigures], recorder: &Recorder) -> DayLoad {
    let day = recorder.history().day();
    let raw = facts.raw_routes.iter().zip(figures).filter(|(is_raw, _)| **is_raw);
    let (messages, bytes) = raw.fold((0u64, 0u64), |(messages, bytes), (_, route)| {
        (messages + route.messages, bytes + route.payload_bytes)
    });
    DayLoad {
        over_s: day.seen_ms / 1_000,
        accepted_per_s: rounded(day.accepted_per_s, 10_000.0),
        busiest_per_s: rounded(day.busiest_per_s, 10_000.0),
        raw_bytes: bytes.checked_div(messages),
    }
}

fn rates(recorder: &Recorder) -> Rates {
    let passed = recorder.last_minute();
    let rate = |count| rounded(passed.per_s(count), 100.0);
    Rates {
        over_s: passed.ms / 1_000,
        suppressed_per_s: rate(passed.flow.suppressed),
        accepted_per_s: rate(passed.flow.accepted),
        delivered_per_s: rate(passed.flow.delivered),
    }
}

fn routes(facts: &Facts, figures: &[RouteFigures]) -> Vec<RouteStatus> {
    let figures = figures.iter().copied().chain(std::iter::repeat(RouteFigures::default()));
    let route = |(facts, figures): (&super::facts::RouteFacts, RouteFigures)| RouteStatus {
        filter: facts.filter.clone(),
        to: facts.to.clone(),
        format: facts.format.to_owned(),
        lane: facts.lane.clone(),
        messages: figures.messages,
        readings: figures.filtered.map(|(readings, _)| readings),
        suppressed: figures.filtered.map(|(_, suppressed)| suppressed),
    };
    facts.routes.iter().zip(figures).map(route).collect()
}

#[cfg(test)]
mod tests;
