//! Counters of commands since the start by outcome, and the result of the last write of their identities.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::run::status::prometheus_text::Page;

use super::answer::{Outcome, Reason};
use super::answer_room::NoRoom;

/// Values of `edge_commands_total{result}`, in order.
const RESULTS: [&str; 11] = [
    "delivered",
    "obeyed",
    "not_obeyed",
    "expired",
    "nobody",
    "not_acknowledged",
    "retained",
    "no_expiry",
    "copy",
    "interrupted",
    "other",
];

/// Handle to the counters; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandCounts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    results: [AtomicU64; RESULTS.len()],
    /// Answers dropped for want of room, in the order of [`NoRoom::ALL`].
    dropped: [AtomicU64; NoRoom::ALL.len()],
    /// Error of the last write of identities. `None`: it succeeded, or there was none yet.
    write_error: Mutex<Option<String>>,
}

impl CommandCounts {
    pub(super) fn add(&self, outcome: &Outcome) {
        self.add_to(match outcome {
            Outcome::Delivered(_) => "delivered",
            Outcome::Obeyed => "obeyed",
            Outcome::NotObeyed(_) => "not_obeyed",
            Outcome::Refused(Reason::Expired) => "expired",
            Outcome::Refused(Reason::Nobody) => "nobody",
            Outcome::Refused(Reason::NotAcknowledged) => "not_acknowledged",
            Outcome::Refused(Reason::Retained) => "retained",
            Outcome::Refused(Reason::NoExpiry) => "no_expiry",
            Outcome::Refused(Reason::Copy) => "copy",
            Outcome::Refused(Reason::Interrupted) => "interrupted",
            Outcome::Refused(_) => "other",
        });
    }

    pub(super) fn add_copy(&self) {
        self.add_to("copy");
    }

    /// Counts an answer that was dropped for want of room.
    pub(super) fn add_dropped(&self, bound: NoRoom) {
        let counters = NoRoom::ALL.iter().zip(&self.0.dropped);
        counters.filter(|(one, _)| **one == bound).for_each(|(_, count)| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn add_to(&self, result: &str) {
        let counters = RESULTS.iter().zip(&self.0.results);
        counters.filter(|(name, _)| **name == result).for_each(|(_, count)| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// Records the result of a write of identities.
    pub(in crate::run) fn wrote(&self, result: &io::Result<()>) {
        let error = result.as_ref().err().map(io::Error::to_string);
        *self.0.write_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Returns the error of the last write of identities, because of which commands that are given at most once are refused.
    pub(crate) fn write_error(&self) -> Option<String> {
        self.0.write_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes the counters on the metrics page. `refused` is the number of answers that the hub refused.
    pub(crate) fn render(&self, page: &mut Page, refused: u64) {
        page.head("edge_commands_total", "counter", "Commands of the hub since the start, by their end.");
        let counts =
            RESULTS.into_iter().zip(self.0.results.iter().map(|count| count.load(Ordering::Relaxed)));
        page.labelled("edge_commands_total", "result", counts);
        let help = "Answers to commands of the hub dropped since the start, by the bound of their room, or refused by the hub.";
        page.head("edge_answers_dropped_total", "counter", help);
        let counts = NoRoom::ALL.iter().zip(&self.0.dropped);
        let counts = counts.map(|(bound, count)| (bound.as_str(), count.load(Ordering::Relaxed)));
        let counts = counts.chain([("refused", refused)]);
        page.labelled("edge_answers_dropped_total", "reason", counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_counts_under_its_own_name() {
        let counts = CommandCounts::default();
        for (outcome, times) in [
            (Outcome::Delivered(3), 1),
            (Outcome::Refused(Reason::Expired), 2),
            (Outcome::Refused(Reason::Nobody), 3),
            (Outcome::Refused(Reason::NotAcknowledged), 4),
            (Outcome::Refused(Reason::Retained), 5),
            (Outcome::Refused(Reason::NoExpiry), 6),
            (Outcome::Refused(Reason::Copy), 7),
            (Outcome::Refused(Reason::Interrupted), 8),
            (Outcome::Refused(Reason::Busy), 9),
            (Outcome::Obeyed, 10),
            (Outcome::NotObeyed("why".to_owned()), 11),
        ] {
            (0..times).for_each(|_| counts.add(&outcome));
        }
        counts.add_copy();
        for (bound, times) in
            [(NoRoom::Rate, 5), (NoRoom::Refusals, 3), (NoRoom::Answers, 2), (NoRoom::Lane, 1)]
        {
            (0..times).for_each(|_| counts.add_dropped(bound));
        }
        let mut page = Page::default();
        counts.render(&mut page, 4);
        let text = page.into_text();
        let dropped = |line: &&str| line.starts_with("edge_answers_dropped_total{");
        assert_eq!(
            text.lines().filter(dropped).collect::<Vec<_>>(),
            [
                "edge_answers_dropped_total{reason=\"rate\"} 5",
                "edge_answers_dropped_total{reason=\"refusals\"} 3",
                "edge_answers_dropped_total{reason=\"answers\"} 2",
                "edge_answers_dropped_total{reason=\"lane\"} 1",
                "edge_answers_dropped_total{reason=\"refused\"} 4",
            ]
        );
        let lines = text.lines().filter_map(|line| line.strip_prefix("edge_commands_total{result=\""));
        let lines: Vec<_> = lines.collect();
        assert_eq!(
            lines,
            [
                "delivered\"} 1",
                "obeyed\"} 10",
                "not_obeyed\"} 11",
                "expired\"} 2",
                "nobody\"} 3",
                "not_acknowledged\"} 4",
                "retained\"} 5",
                "no_expiry\"} 6",
                "copy\"} 8",
                "interrupted\"} 8",
                "other\"} 9",
            ]
        );
    }
}
