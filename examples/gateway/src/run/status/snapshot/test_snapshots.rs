//! Snapshots for the tests of the surfaces, made the way that the gateway makes them.

use std::collections::BTreeMap;

use edge_bridge::Durations;
use edge_bridge::bridge::LinkState;
use edge_bridge::ingest::Now;

use crate::config::OnFull;
use crate::run::hub::hub_refusals::HubRefusals;
use crate::run::queue::found_at_open::FoundAtOpen;
use crate::run::queue::queue_account::GoneQueues;
use crate::run::restart::start_counter::StartCounter;
use crate::run::sensors::ingest::Counts;
use crate::run::sensors::intake_figures::IntakeFigures;
use crate::run::status::certificates::OwnCertificate;
use crate::run::status::metrics::Sample;
use crate::run::status::snapshot::facts::{Facts, RouteFacts};
use crate::run::status::snapshot::figures::{Figures, LaneFigures, QueueFigures, RouteFigures};
use crate::run::status::snapshot::history::Flow;
use crate::run::status::snapshot::ledger::{QueueTotals, Totals};
use crate::run::status::snapshot::recorder::Recorder;
use crate::run::status::snapshot::snapshot_from_figures;
use crate::run::status::verdict::{LosingNow, Verdict};

use super::Snapshot;

const WAN_BYTES: [(&str, u64); 5] =
    [("payload", 3_900_000), ("mqtt", 600_000), ("tls", 200_000), ("ping", 4_000), ("resend", 0)];

pub(crate) const NOW: Now = Now { up_ms: 10_000_000, wall_ms: 1_700_000_000_000 };

pub(crate) fn facts() -> Facts {
    let route = |filter: &str, format| RouteFacts {
        filter: filter.to_owned(),
        to: "site7/".to_owned(),
        format,
        lane: "telemetry".to_owned(),
    };
    Facts {
        gateway: "site7".to_owned(),
        config: "9c41e0d2".to_owned(),
        client_id: "site7".to_owned(),
        state: "/var/lib/edge-gateway".to_owned(),
        lanes: vec!["alarm".to_owned(), "telemetry".to_owned()],
        on_full: OnFull::DropOldest,
        max_age_s: Some(604_800),
        routes: vec![route("plant/alarm/#", "raw"), route("plant/#", "compact")],
        more_routes: 0,
        answers: vec!["edge/answers/site7".to_owned()],
        raw_routes: vec![true, false],
        refused: None,
        refused_access: None,
        without_tls: None,
        unsaved_clients: None,
        flash: None,
        unkept_configuration: None,
        refused_topic: None,
    }
}

fn totals(accepted: u64, queued: u64) -> Totals {
    let dropped = BTreeMap::from([("discarded", 0), ("expired", 10), ("overflow", 0)]);
    let hub = QueueTotals { accepted, delivered: accepted - 22 - queued, moved: 12, queued, dropped };
    let parked = QueueTotals { accepted: 12, delivered: 12, ..QueueTotals::default() };
    Totals { hub, parked }
}

/// A healthy gateway.
pub(crate) fn figures() -> Figures {
    let lane = |messages, accepted| LaneFigures {
        messages,
        bytes: messages * 250,
        max_messages: u64::MAX / 4,
        max_bytes: 64 << 20,
        accepted,
    };
    Figures {
        sample: Sample {
            certificates: Vec::new(),
            config_refused: false,
            ledgers: Vec::new(),
            parked_ledgers: Some(Vec::new()),
            given_up: 0,
            damaged: 0,
            gone: GoneQueues::default(),
            losing: LosingNow::default(),
            intake: IntakeFigures::default(),
            queue_messages: 5,
            queue_bytes: 1_250,
            oldest_age_ms: 900,
            withheld_messages: 0,
            withheld_oldest_age_ms: 0,
            delivered_now: 8_009_635,
            rows_delivered: 6_998,
            unacked: 5,
            round_trip_ms: 480,
            taken_over: false,
            may_be_taken_over: false,
            own_certificate: OwnCertificate::default(),
            drops_for_time: false,
            link: LinkState::Flowing,
            refused: HubRefusals::default(),
            restarts: StartCounter { clean: 1, unclean: 0, upgrade: 1, power_loss: 1 },
            found: FoundAtOpen::default(),
            link_cause: None,
            hub_address: 0,
            verdict: Verdict::Delivering,
            clock_synced: true,
            store_bytes_written: 44_040_192,
            wan_bytes: WAN_BYTES,
            counts: Counts::default(),
            commands: None,
            unclaimed: 0,
            without_subscribers: 0,
            listener: None,
        },
        totals: Some(totals(8_009_650, 5)),
        queue: QueueFigures {
            lanes: vec![lane(0, 3), lane(5, 7_000)],
            fault: None,
            is_file_gone: false,
            overdue_ms: 0,
            call_ms: 0,
        },
        routes: vec![
            RouteFigures { messages: 3, payload_bytes: 600, filtered: None },
            RouteFigures { messages: 18_000, payload_bytes: 900_000, filtered: Some((18_000, 11_000)) },
        ],
        local_broker_connected: None,
        local_broker_cause: None,
        receipts: Durations::default(),
        pubacks: Durations::default(),
    }
}

/// The same in an outage.
pub(crate) fn outage() -> Figures {
    let mut figures = figures();
    let sample = &mut figures.sample;
    (sample.verdict, sample.link) = (Verdict::Storing, LinkState::BackingOff);
    sample.link_cause = Some("connection refused (os error 111)".to_owned());
    (sample.queue_messages, sample.queue_bytes, sample.oldest_age_ms) = (90_972, 22_743_000, 7_980_000);
    sample.unacked = 0;
    let telemetry =
        LaneFigures { messages: 90_972, bytes: 22_743_000, accepted: 97_972, ..figures.queue.lanes[1] };
    figures.queue.lanes[1] = telemetry;
    figures.totals = Some(totals(8_100_617, 90_972));
    figures
}

/// Remembers a normal quarter of an hour, and then 2 h 13 min of these figures.
pub(crate) fn recorder(figures: &Figures) -> Recorder {
    let begin_ms = NOW.up_ms - 7_980_000 - 900_000;
    let mut recorder = Recorder::new(begin_ms);
    let normal = self::figures();
    for second in 0..900 {
        recorder.note(begin_ms + second * 1_000, &snapshot_from_figures::look(&normal));
    }
    let mut look = snapshot_from_figures::look(figures);
    let last = look.flow.unwrap();
    let before = snapshot_from_figures::look(&normal).flow.unwrap().accepted;
    for second in 0..=7_980 {
        let accepted = before + (last.accepted - before) * second / 7_980;
        let mut flow = Flow { accepted, ..last };
        flow.lanes[1] = accepted - last.lanes[0];
        look.flow = Some(flow);
        recorder.note(NOW.up_ms - 7_980_000 + second * 1_000, &look);
    }
    recorder
}

/// The snapshot of these figures.
pub(crate) fn snapshot(figures: &Figures) -> Snapshot {
    snapshot_from_figures::snapshot(&facts(), NOW, figures, &recorder(figures))
}

pub(crate) fn delivering() -> Snapshot {
    snapshot(&figures())
}

pub(crate) fn storing() -> Snapshot {
    snapshot(&outage())
}

/// JSON with a line for each value.
pub(crate) fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap() + "\n"
}

/// Holds a text against the file of this name; with `EDGE_WRITE_DOCS` set it is written there.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/status/outputs/golden").join(name);
    if std::env::var_os("EDGE_WRITE_DOCS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "{name} is another text now; EDGE_WRITE_DOCS=1 writes it:\n{text}");
}
