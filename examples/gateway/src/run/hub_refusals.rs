//! Messages that the hub does not take, in numbers: they are kept, so the gateway is degraded and nothing is lost. Pure.

use edge_bridge::bridge::Stats;

use super::page::Page;

/// Refusals at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HubRefusals {
    /// Messages set aside on disk until the hub takes them.
    pub(crate) parked: u64,
    /// Messages that could not be set aside, for want of room, and wait in their place.
    pub(crate) in_place: u64,
    /// Messages that wait where they are for their next attempt.
    pub(crate) held: u64,
    /// Topics in back-off.
    pub(crate) topics: usize,
    /// The hub refuses every message as not authorized.
    pub(crate) link_refused: bool,
    /// The reason of the last refusal.
    pub(crate) last: Option<String>,
    /// Refusing answers since the start, by MQTT reason code.
    pub(crate) answers: Vec<(u8, u64)>,
}

impl HubRefusals {
    pub(crate) fn of(link: &Stats) -> Self {
        Self {
            parked: link.parked,
            in_place: link.in_place,
            held: link.held,
            last: link.last_refusal.as_ref().map(|refusal| refusal.reason.to_string()),
            topics: link.refused_topics,
            link_refused: link.link_refused,
            answers: link.refusals.iter().map(|(reason, count)| (reason.get(), *count)).collect(),
        }
    }

    /// Returns whether anything waits for the hub to change its mind.
    pub(crate) fn is_refusing(&self) -> bool {
        self.parked > 0 || self.in_place > 0 || self.held > 0 || self.topics > 0 || self.link_refused
    }

    pub(super) fn render(&self, page: &mut Page) {
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
