//! Metrics of the gateway: counters and gauges from all its parts, for `/metrics`. Pure. Every label value is present from the start, so that an alert can tell 0 from a missing value.

use edge_bridge::bridge::LinkState;
use edge_queue::{Ledger, Reason};

use crate::run::commands::CommandCounts;
use crate::run::hub::hub_refusals::HubRefusals;
use crate::run::queue::found_at_open::FoundAtOpen;
use crate::run::queue::queue_account::GoneQueues;
use crate::run::queue::status_without_queue;
use crate::run::restart::start_counter::StartCounter;
use crate::run::sensors::ingest::Counts;
use crate::run::sensors::intake_figures::{DROPPED_HELP, IntakeFigures};
use crate::run::sensors::listener_figures;

use super::certificates::{self, End, OwnCertificate};
use super::prometheus_text::{Page, label};
use super::verdict::{LosingNow, Verdict};

/// Values of `edge_dropped_total{reason}`: the queue's reasons, and those outside of the queue.
pub(crate) const REASONS: [(&str, Reason); 6] = [
    ("overflow", Reason::Overflow),
    ("overflow_unconfirmed", Reason::OverflowUnconfirmed),
    ("fragmented", Reason::Fragmented),
    ("expired", Reason::Expired),
    ("discarded", Reason::Discarded),
    ("quarantined", Reason::Quarantined),
];

const LINK_STATES: [LinkState; 6] = [
    LinkState::Flowing,
    LinkState::Idle,
    LinkState::Draining,
    LinkState::Stalled,
    LinkState::BackingOff,
    LinkState::Offline,
];

/// Figures of the metrics page at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Ledgers of the consumer `hub`, one per lane, as of the last commit.
    pub(crate) ledgers: Vec<Ledger>,
    /// Ledgers of the parked rows' queue, whose rows `ledgers` count as moved. `None` while that queue is not open, so that their end is unknown.
    pub(crate) parked_ledgers: Option<Vec<Ledger>>,
    /// Number of messages lost by the queue (evicted, damaged, lost), with those since the last commit.
    pub(crate) given_up: u64,
    /// Number of these that were lost to damage of the store.
    pub(crate) damaged: u64,
    /// Queues that were gone at a start, over all runs; `given_up` has their messages.
    pub(crate) gone: GoneQueues,
    pub(crate) losing: LosingNow,
    /// Numbers of messages that wait for the queue, or that it never accepted.
    pub(crate) intake: IntakeFigures,
    pub(crate) queue_messages: u64,
    pub(crate) queue_bytes: u64,
    pub(crate) oldest_age_ms: u64,
    /// Number of messages whose PUBACK waits for readings that a filter stage holds.
    pub(crate) withheld_messages: u64,
    pub(crate) withheld_oldest_age_ms: u64,
    /// Number of messages that the hub has acknowledged, over all starts. It may be ahead of the ledgers, which follow at the next commit.
    pub(crate) delivered_now: u64,
    /// Number of messages that the hub has acknowledged since this process started.
    pub(crate) rows_delivered: u64,
    /// Number of messages in flight to the hub.
    pub(crate) unacked: usize,
    /// Smoothed round trip to the hub in milliseconds; 0 before the first answer.
    pub(crate) round_trip_ms: u64,
    /// Set while another client connects to the hub with the gateway's client identifier (session takeover); the second: while that seems so.
    pub(crate) taken_over: bool,
    pub(crate) may_be_taken_over: bool,
    pub(crate) own_certificate: OwnCertificate,
    /// Set for half a minute after the filter rules dropped a reading because of its timestamp.
    pub(crate) drops_for_time: bool,
    pub(crate) link: LinkState,
    /// Messages and subscriptions that the hub refuses.
    pub(crate) refused: HubRefusals,
    /// Numbers of starts in this state directory, by clean and unclean stop before.
    pub(crate) restarts: StartCounter,
    pub(crate) found: FoundAtOpen,
    /// Reason why there is no connection to the hub; `None` while there is one.
    pub(crate) link_cause: Option<String>,
    /// Position of the hub's address in the configured list.
    pub(crate) hub_address: usize,
    pub(crate) verdict: Verdict,
    /// Set if the wall clock is synchronised, or trusted by the configuration.
    pub(crate) clock_synced: bool,
    pub(crate) certificates: Vec<End>,
    /// Set while changed configuration files are refused.
    pub(crate) config_refused: bool,
    pub(crate) store_bytes_written: u64,
    /// Bytes to and from the hub, by use.
    pub(crate) wan_bytes: [(&'static str, u64); 5],
    pub(crate) counts: Counts,
    /// Numbers of the hub's commands by their outcome; `None` without a rule for commands.
    pub(crate) commands: Option<CommandCounts>,
    /// Number of messages from the hub that match no subscription of this program.
    pub(crate) unclaimed: u64,
    pub(crate) without_subscribers: u64,
    /// Figures of the gateway's own listener, as of its last answer; `None` without one, or before the first.
    pub(crate) listener: Option<edge_bridge::listener::Stats>,
}

impl Sample {
    fn accepted(&self) -> u64 {
        self.ledgers.iter().map(|ledger| ledger.accepted).sum()
    }

    /// QoS 0 messages, and answers to commands, dropped because the queue was full.
    fn no_room(&self) -> u64 {
        self.listener.as_ref().map_or(0, |listener| listener.qos0_without_room)
            + self.intake.answers_without_room
    }

    /// Returns the ledgers of both queues. `None`: those of the parked rows are unknown, and a smaller total would look like a counter reset.
    fn all_ledgers(&self) -> Option<Vec<&Ledger>> {
        Some(self.ledgers.iter().chain(self.parked_ledgers.as_ref()?).collect())
    }

    /// Number of messages moved from the queue to the parked rows; the other figures count their end there.
    fn moved(&self) -> u64 {
        self.ledgers.iter().map(|ledger| ledger.moved).sum()
    }

    /// Writes totals that include the parked rows; none while these are unknown.
    fn render_ends(&self, page: &mut Page) {
        let all = self.all_ledgers();
        page.head("edge_delivered_total", "counter", "Messages that the hub acknowledged, over restarts.");
        if let Some(ledgers) = &all {
            let delivered: u64 = ledgers.iter().map(|ledger| ledger.delivered).sum();
            page.line(format_args!("edge_delivered_total {delivered}"));
        }
        page.head("edge_dropped_total", "counter", DROPPED_HELP);
        if let Some(ledgers) = &all {
            let by = |(name, reason): (&'static str, Reason)| {
                (name, ledgers.iter().map(|ledger| ledger.dropped.for_reason(reason)).sum())
            };
            page.labelled("edge_dropped_total", "reason", REASONS.into_iter().map(by));
        }
        let since_start = [("too_large", self.intake.too_large), ("no_room", self.no_room())];
        page.labelled("edge_dropped_total", "reason", since_start);
    }

    /// Writes counters since the start of messages that are in no queue.
    fn render_counts(&self, page: &mut Page) {
        let help = "Readings that a filter suppressed since the start, by reason.";
        page.head("edge_suppressed_total", "counter", help);
        let suppressed = self.counts.suppressed.iter().map(|(reason, count)| (reason.as_str(), *count));
        page.labelled("edge_suppressed_total", "reason", suppressed);
        page.head(
            "edge_unfiltered_total",
            "counter",
            "Readings that passed beside a filter's stages since the start, by what is wrong with their time.",
        );
        let unfiltered = self.counts.unfiltered.iter().map(|(reason, count)| (reason.as_str(), *count));
        page.labelled("edge_unfiltered_total", "reason", unfiltered);
        let help = "Messages that are no readings, or have too long or too deep a topic for the route, since the start.";
        page.counter("edge_undecodable_total", help, self.counts.undecodable);
        page.counter("edge_empty_total", "Messages that hold no reading since the start.", self.counts.empty);
        let help = "Metrics and records of messages that have no place among readings, since the start.";
        page.counter("edge_skipped_total", help, self.counts.skipped);
        let help = "Messages that no route wants since the start.";
        page.counter("edge_unrouted_total", help, self.counts.unrouted);
        let help = "Messages of the hub that no subscription of this program asks for, since the start.";
        page.counter("edge_unclaimed_total", help, self.unclaimed);
        let help = "Messages for which the hub had no subscriber, as far as it says so, since the start.";
        page.counter("edge_without_subscribers_total", help, self.without_subscribers);
    }

    /// Returns the metrics page.
    pub(crate) fn page(&self) -> Page {
        let mut page = Page::default();
        status_without_queue::render(&mut page, None);
        page.counter("edge_accepted_total", "Messages taken in, over restarts.", self.accepted());
        self.render_ends(&mut page);
        page.counter("edge_moved_total", "Messages that were parked, over restarts.", self.moved());
        page.gauge("edge_queue_messages", "Messages that wait for the hub.", self.queue_messages);
        page.gauge("edge_queue_bytes", "Bytes of them, as the limits count.", self.queue_bytes);
        self.intake.render_waiting(self.listener.as_ref(), &mut page);
        page.age("edge_oldest_age_seconds", "Age of the oldest message that waits.", self.oldest_age_ms);
        page.gauge(
            "edge_withheld_messages",
            "Messages whose acknowledgment waits for a filter's stage.",
            self.withheld_messages,
        );
        let (age, help) = ("edge_withheld_oldest_age_seconds", "Age of the oldest of them.");
        page.age(age, help, self.withheld_oldest_age_ms);
        page.gauge("edge_unacked", "Messages sent to the hub and not acknowledged.", self.unacked as u64);
        self.refused.render(&mut page);
        links(&mut page, self.link);
        self.restarts.render(&mut page);
        self.gone.render(&mut page);
        let help = "1, with why there is no connection to the hub; empty if there is.";
        page.head("edge_link_cause", "gauge", help);
        let cause = label(self.link_cause.as_deref().unwrap_or_default());
        page.line(format_args!("edge_link_cause{{cause=\"{cause}\"}} 1"));
        let help = "Address of the connection to the hub, or of the next attempt: 0 is url, 1 the first of further_urls.";
        page.gauge("edge_hub_address", help, self.hub_address as u64);
        self.verdict.render(&mut page);
        let help = "1 while the wall clock is known to be right, or trusted by configuration.";
        page.gauge("edge_clock_synced", help, self.clock_synced.into());
        certificates::render(&self.certificates, &mut page);
        page.counter(
            "edge_store_bytes_written_total",
            "Bytes written to the store, and of session tables to their files, since the start.",
            self.store_bytes_written,
        );
        config_refused(&mut page, self.config_refused);
        page.head("edge_wan_bytes_total", "counter", "Bytes to and from the hub since the start, by cause.");
        page.labelled("edge_wan_bytes_total", "cause", self.wan_bytes);
        self.render_counts(&mut page);
        self.commands.iter().for_each(|commands| commands.render(&mut page, self.refused.dropped));
        if let Some(listener) = &self.listener {
            listener_figures::render(listener, &mut page);
        }
        page
    }
}

pub(in crate::run) fn links(page: &mut Page, link: LinkState) {
    page.head("edge_link_state", "gauge", "1 for the state of the link to the hub, by PUBACK progress.");
    let states = LINK_STATES.map(|state| (state.as_str(), u64::from(state == link)));
    page.labelled("edge_link_state", "state", states);
}

pub(in crate::run) fn config_refused(page: &mut Page, is_refused: bool) {
    let help = "1 while changed files of the configuration are not in force.";
    page.gauge("edge_config_refused", help, u64::from(is_refused));
}

/// Number of messages lost by a queue, over all starts. Messages that an operator discarded, or that expired, are not counted, because they were
/// no longer wanted.
pub(crate) fn given_up(ledgers: &[Ledger]) -> u64 {
    let by = |(_, reason)| ledgers.iter().map(move |ledger| ledger.dropped.for_reason(reason)).sum::<u64>();
    REASONS.into_iter().filter(|(_, reason)| is_loss(*reason)).map(by).sum()
}

fn is_loss(reason: Reason) -> bool {
    !matches!(reason, Reason::Discarded | Reason::Expired)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> Sample {
        Sample {
            ledgers: Vec::new(),
            parked_ledgers: Some(Vec::new()),
            given_up: 1,
            damaged: 0,
            gone: GoneQueues::default(),
            losing: LosingNow::default(),
            intake: IntakeFigures { too_large: 1, on_the_way: 13, no_room: 14, ..IntakeFigures::default() },
            queue_messages: 3,
            queue_bytes: 600,
            oldest_age_ms: 1_500,
            withheld_messages: 7,
            withheld_oldest_age_ms: 2_250,
            delivered_now: 0,
            rows_delivered: 0,
            unacked: 4,
            round_trip_ms: 0,
            taken_over: false,
            may_be_taken_over: false,
            own_certificate: OwnCertificate::default(),
            drops_for_time: false,
            link: LinkState::BackingOff,
            refused: HubRefusals {
                parked: 12,
                in_place: 9,
                held: 6,
                last: None,
                topics: 2,
                link_refused: true,
                answers: vec![(0x87, 3), (0x97, 5)],
                ..HubRefusals::default()
            },
            restarts: StartCounter { clean: 1, unclean: 2, upgrade: 3, power_loss: 4 },
            found: FoundAtOpen::default(),
            link_cause: Some("refused: \"no\\\n\u{202e}\"".to_owned()),
            hub_address: 2,
            verdict: Verdict::Storing,
            clock_synced: true,
            certificates: Vec::new(),
            config_refused: true,
            store_bytes_written: 4_096,
            wan_bytes: [("payload", 1), ("mqtt", 2), ("tls", 3), ("ping", 4), ("resend", 5)],
            counts: Counts::default(),
            commands: None,
            unclaimed: 11,
            without_subscribers: 12,
            listener: None,
        }
    }

    #[test]
    fn the_listeners_losses_are_there_if_there_is_one() {
        assert!(!sample().page().into_text().contains("edge_displaced_total"));
        let mut listener = edge_bridge::listener::Stats::default();
        (listener.displaced, listener.wills_without_room) = (40, 3);
        (listener.qos0_without_room, listener.dropped_gone, listener.dropped_ended) = (5, 6, 50);
        (listener.sessions_given_up, listener.refused, listener.held) = (7, 8, 9);
        let intake = IntakeFigures { answers_without_room: 30, ..IntakeFigures::default() };
        let page = Sample { listener: Some(listener), intake, ..sample() }.page().into_text();
        assert!(page.contains("\nedge_waiting_messages{reason=\"no_puback\"} 9\n"), "{page}");
        assert!(page.contains("\nedge_displaced_total 40\n"), "{page}");
        assert!(page.contains("\nedge_sessions_given_up_total 7\n"), "{page}");
        assert!(page.contains("\nedge_local_refused_total 8\n"), "{page}");
        assert!(page.contains("\nedge_wills_without_room_total 3\n"), "{page}");
        assert!(page.contains("\nedge_dropped_total{reason=\"no_room\"} 35\n"), "{page}");
        assert!(page.contains("\nedge_local_dropped_total{reason=\"gone\"} 6\n"), "{page}");
        assert!(page.contains("\nedge_local_dropped_total{reason=\"ended\"} 50\n"), "{page}");
    }

    #[test]
    fn the_pinned_names_are_there_with_every_label_from_the_start() {
        let page = sample().page().into_text();
        for line in [
            "edge_accepted_total 0",
            "edge_delivered_total 0",
            "edge_dropped_total{reason=\"overflow\"} 0",
            "edge_dropped_total{reason=\"expired\"} 0",
            "edge_dropped_total{reason=\"too_large\"} 1",
            "edge_queue_open 1",
            "edge_queue_cause{cause=\"\"} 1",
            "edge_queue_messages 3",
            "edge_queue_bytes 600",
            "edge_waiting_messages{reason=\"on_the_way\"} 13",
            "edge_waiting_messages{reason=\"no_room\"} 14",
            "edge_oldest_age_seconds 1.5",
            "edge_withheld_messages 7",
            "edge_withheld_oldest_age_seconds 2.25",
            "edge_unacked 4",
            "edge_parked_messages 12",
            "edge_refused_in_place_messages 9",
            "edge_held_messages 6",
            "edge_moved_total 0",
            "edge_refused_topics 2",
            "edge_link_refused 1",
            "edge_refusals_total{reason=\"0x97\"} 5",
            "edge_link_state{state=\"flowing\"} 0",
            "edge_link_state{state=\"backing-off\"} 1",
            "edge_restarts_total{cause=\"unclean\"} 2",
            "edge_restarts_total{cause=\"upgrade\"} 3",
            "edge_restarts_total{cause=\"power_loss\"} 4",
            "edge_queue_gone_total 0",
            "edge_queue_gone_messages_total 0",
            "edge_link_cause{cause=\"refused: \\\"no\\\\??\\\"\"} 1",
            "edge_hub_address 2",
            "edge_clock_synced 1",
            "edge_store_bytes_written_total 4096",
            "edge_unclaimed_total 11",
            "edge_without_subscribers_total 12",
            "edge_wan_bytes_total{cause=\"resend\"} 5",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
        assert_eq!(page.matches("edge_link_state{").count(), 6);
        let ones = page.lines().filter(|line| line.ends_with(" 1") && line.contains("edge_verdict{"));
        assert_eq!(ones.count(), 1);
    }

    #[test]
    fn what_is_no_longer_wanted_is_no_loss() {
        let losses = REASONS.into_iter().filter(|(_, reason)| is_loss(*reason)).map(|(name, _)| name);
        let expected = ["overflow", "overflow_unconfirmed", "fragmented", "quarantined"];
        assert_eq!(losses.collect::<Vec<_>>(), expected);
    }

    /// Not a smaller one, which would be read as a reset.
    #[test]
    fn totals_without_the_parked_messages_are_no_totals() {
        let page = Sample { parked_ledgers: None, ..sample() }.page().into_text();
        let is_there = |name: &str| page.lines().any(|line| line.starts_with(name));
        assert!(!is_there("edge_delivered_total "), "{page}");
        assert!(!is_there("edge_dropped_total{reason=\"overflow\"}"), "{page}");
        assert!(is_there("edge_accepted_total ") && is_there("edge_moved_total "), "{page}");
    }

    /// Text format 0.0.4: HELP and TYPE once per name, before its series, and every line ends.
    #[test]
    fn every_series_follows_its_help_and_type() {
        let page = sample().page().into_text();
        assert!(page.ends_with('\n'));
        let mut typed: Vec<&str> = Vec::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!typed.contains(&name), "{name} twice");
                typed.push(name);
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(typed.last(), Some(&name), "{line}");
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
        }
    }
}
