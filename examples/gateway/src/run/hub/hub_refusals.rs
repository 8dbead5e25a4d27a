//! Numbers of messages and subscriptions that the hub refuses. The messages are kept, so the gateway is degraded and nothing is lost. Pure.

use edge_bridge::bridge::{DroppedTopic, Refused, Stats};
use edge_bridge::wire::ReasonCode;

use crate::run::status::prometheus_text::Page;

/// Refusals at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HubRefusals {
    /// Messages parked on disk until the hub accepts them.
    pub(crate) parked: u64,
    /// Messages that could not be parked for want of disk space, and wait in their lanes.
    pub(crate) in_place: u64,
    /// Messages held in RAM for their next attempt.
    pub(crate) held: u64,
    /// Answers to commands dropped since the start, because the hub refused them.
    pub(crate) dropped: u64,
    /// Number of topics whose messages wait for their next attempt.
    pub(crate) topics: usize,
    /// Set while the hub refuses every message as not authorized.
    pub(crate) link_refused: bool,
    /// Reason of the last refusal; `None` before the first.
    pub(crate) last: Option<String>,
    /// Refusing answers since the start, by MQTT reason code.
    pub(crate) answers: Vec<(u8, u64)>,
    /// Subscriptions that the hub refused on this connection.
    pub(crate) subscriptions: Vec<Refused>,
    /// Topics on which the hub refuses answers to commands, in the order of their last refusals.
    pub(crate) refused_answers: Vec<RefusedAnswers>,
    /// Topics whose session tables the hub does not retain, although they were published again and again for a minute.
    pub(crate) unshown_tables: usize,
}

/// Topic on which the hub refuses answers to commands, which are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedAnswers {
    pub(crate) topic: String,
    /// Reason of the last refusal.
    pub(crate) reason: ReasonCode,
    /// Seconds since the first refusal without an accepted answer there.
    pub(crate) since_s: u64,
}

impl RefusedAnswers {
    fn of(now_ms: u64, dropped: &DroppedTopic) -> Self {
        let since_s = now_ms.saturating_sub(dropped.since_ms) / 1_000;
        Self { topic: dropped.topic.as_str().to_owned(), reason: dropped.reason, since_s }
    }
}

impl HubRefusals {
    /// Reads the statistics of a link at `now_ms` of its clock.
    pub(crate) fn of(link: &Stats, now_ms: u64, unshown_tables: usize) -> Self {
        Self {
            parked: link.parked,
            in_place: link.in_place,
            held: link.held,
            dropped: link.dropped_rows,
            last: link.last_refusal.as_ref().map(|refusal| refusal.reason.to_string()),
            refused_answers: link
                .dropped_topics
                .iter()
                .map(|topic| RefusedAnswers::of(now_ms, topic))
                .collect(),
            topics: link.refused_topics,
            link_refused: link.link_refused,
            answers: link.refusals.iter().map(|(reason, count)| (reason.get(), *count)).collect(),
            // A refused subscription says why.
            unshown_tables: if link.refused_subscriptions.is_empty() { unshown_tables } else { 0 },
            subscriptions: link.refused_subscriptions.clone(),
        }
    }

    /// Returns whether an operator has to give the gateway rights at the hub, or to change its messages.
    pub(crate) fn needs_somebody(&self) -> bool {
        self.is_refusing() || !self.subscriptions.is_empty()
    }

    /// Returns the reason for which [an operator is needed](Self::needs_somebody), as far as it is known.
    pub(crate) fn cause(&self) -> Option<&str> {
        if self.is_refusing() { self.last.as_deref() } else { Some("the hub refuses a subscription") }
    }

    /// Returns whether any message waits because the hub refused it.
    pub(crate) fn is_refusing(&self) -> bool {
        self.parked > 0 || self.in_place > 0 || self.held > 0 || self.topics > 0 || self.link_refused
    }

    pub(in crate::run) fn render(&self, page: &mut Page) {
        page.gauge(
            "edge_parked_messages",
            "Messages that the hub refused, kept and tried again.",
            self.parked,
        );
        let help = "Messages that the hub refused and for which the parked ones have no room: they wait in the queue.";
        page.gauge("edge_refused_in_place_messages", help, self.in_place);
        page.gauge(
            "edge_held_messages",
            "Messages of refused topics and refused messages that wait in their place for the next attempt.",
            self.held,
        );
        page.gauge("edge_refused_topics", "Topics whose messages the hub refuses.", self.topics as u64);
        let help = "1 while the hub refuses every message as not authorized.";
        page.gauge("edge_link_refused", help, u64::from(self.link_refused));
        let help = "Subscriptions that the hub refused on this connection.";
        page.gauge("edge_refused_subscriptions", help, self.subscriptions.len() as u64);
        let help = "Topics of compact batches whose session table the hub does not show although it was given it for a minute.";
        page.gauge("edge_unshown_tables", help, self.unshown_tables as u64);
        page.head(
            "edge_refusals_total",
            "counter",
            "Refusing answers of the hub since the start, by MQTT reason code.",
        );
        for (reason, count) in &self.answers {
            page.line(format_args!("edge_refusals_total{{reason=\"{reason:#04x}\"}} {count}"));
        }
    }
}
