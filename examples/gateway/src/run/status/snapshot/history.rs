//! History of 24 hours: a ring of 288 slots of five minutes in RAM, and the rates of the last minutes. Its memory is fixed, and nothing is
//! written to disk, so it begins at the start of the process. Pure.

use std::collections::VecDeque;

/// Width of a slot, in milliseconds.
pub(crate) const SLOT_MS: u64 = 300_000;
/// Longest time between two checks that counts as observed; a longer one is left out.
const LOOK_MS_MAX: u64 = 60_000;
/// Number of slots, which are a day.
pub(crate) const SLOTS: usize = 288;
/// Most lanes that a queue can have.
pub(crate) const LANES_MAX: usize = 4;

/// Totals at one moment. They never fall within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Messages that the queue accepted, in all lanes.
    pub(crate) accepted: u64,
    /// Messages that the hub acknowledged.
    pub(crate) delivered: u64,
    /// Readings that filters suppressed.
    pub(crate) suppressed: u64,
    /// Messages that the queue accepted, by lane.
    pub(crate) lanes: [u64; LANES_MAX],
}

/// Increases and figures of five minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Number of the slot since the start; 0 is the first five minutes.
    pub(crate) index: u64,
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    /// Largest number of waiting messages at any check.
    pub(crate) waiting_max: u64,
    /// Observed milliseconds.
    pub(crate) seen_ms: u64,
    /// Observed milliseconds in which the link was up.
    pub(crate) up_ms: u64,
}

/// Rates at which the queue accepted messages in the last day, or since the start of the process if that is later.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Day {
    /// Observed milliseconds.
    pub(crate) seen_ms: u64,
    /// Accepted messages per second, on average over the observed time.
    pub(crate) accepted_per_s: f64,
    /// Accepted messages per second in the busiest five minutes.
    pub(crate) busiest_per_s: f64,
}

/// Slots of the last day.
#[derive(Debug, Default)]
pub(crate) struct History {
    slots: VecDeque<Slot>,
    /// Time of the last check.
    last_ms: Option<u64>,
    /// Totals that were known last. `None`: they were never known.
    flow: Option<Flow>,
}

impl History {
    /// Records a check, `since_start_ms` after the start. `flow`: the totals, `None` while they are unknown. The first known totals only set the
    /// base for differences.
    pub(crate) fn note(&mut self, since_start_ms: u64, flow: Option<Flow>, waiting: u64, is_up: bool) {
        let index = since_start_ms / SLOT_MS;
        if self.slots.back().is_none_or(|slot| slot.index < index) {
            // By its age: after a time without a look a slot may be older than its place says.
            while self.slots.front().is_some_and(|slot| slot.index + SLOTS as u64 <= index) {
                self.slots.pop_front();
            }
            self.slots.push_back(Slot { index, ..Slot::default() });
        }
        let passed_ms =
            since_start_ms.saturating_sub(self.last_ms.replace(since_start_ms).unwrap_or(since_start_ms));
        let passed_ms = if passed_ms > LOOK_MS_MAX { 0 } else { passed_ms };
        let before = self.flow.or(flow).unwrap_or_default();
        self.flow = flow.or(self.flow);
        let flow = self.flow.unwrap_or_default();
        if let Some(slot) = self.slots.back_mut() {
            slot.accepted += flow.accepted.saturating_sub(before.accepted);
            slot.delivered += flow.delivered.saturating_sub(before.delivered);
            slot.waiting_max = slot.waiting_max.max(waiting);
            slot.seen_ms += passed_ms;
            slot.up_ms += if is_up { passed_ms } else { 0 };
        }
    }

    /// Returns the rate of accepted messages over the last day, per second: its average and that of the busiest slot; and the milliseconds of that day
    /// that were observed.
    pub(crate) fn day(&self) -> Day {
        let per_s = |accepted: u64, ms: u64| accepted as f64 * 1_000.0 / ms.max(1) as f64;
        let (accepted, seen_ms) = self
            .slots
            .iter()
            .fold((0, 0), |(accepted, ms), slot| (accepted + slot.accepted, ms + slot.seen_ms));
        // A slot that was hardly observed says nothing of a rate.
        let of_slots = self.slots.iter().filter(|slot| slot.seen_ms >= SLOT_MS / 5);
        let busiest = of_slots.map(|slot| per_s(slot.accepted, slot.seen_ms)).fold(0.0, f64::max);
        let accepted_per_s = per_s(accepted, seen_ms);
        Day { seen_ms, accepted_per_s, busiest_per_s: busiest.max(accepted_per_s) }
    }

    /// Returns the slots, the oldest first.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }
}

/// Rates over the last minutes: keeps `keep` totals, at most one every `every_ms`.
#[derive(Debug)]
pub(crate) struct RateWindow {
    every_ms: u64,
    keep: usize,
    kept: VecDeque<(u64, Flow)>,
    newest: (u64, Flow),
}

/// Difference of the totals between two checks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Passed {
    pub(crate) ms: u64,
    pub(crate) flow: Flow,
}

impl Passed {
    pub(crate) fn per_s(&self, count: u64) -> f64 {
        if self.ms == 0 { 0.0 } else { count as f64 * 1_000.0 / self.ms as f64 }
    }
}

impl RateWindow {
    /// Creates a window of `every_ms * keep` milliseconds.
    pub(crate) fn new(every_ms: u64, keep: usize) -> Self {
        Self { every_ms, keep, kept: VecDeque::with_capacity(keep + 1), newest: Default::default() }
    }

    pub(crate) fn note(&mut self, at_ms: u64, flow: Flow) {
        if self.kept.back().is_none_or(|(last, _)| at_ms.saturating_sub(*last) >= self.every_ms) {
            if self.kept.len() > self.keep {
                self.kept.pop_front();
            }
            self.kept.push_back((at_ms, flow));
        }
        self.newest = (at_ms, flow);
    }

    /// Returns the difference between the oldest kept check and the newest.
    pub(crate) fn passed(&self) -> Passed {
        let (Some((from_ms, from)), (to_ms, to)) = (self.kept.front(), self.newest) else {
            return Passed::default();
        };
        let mut lanes = to.lanes;
        lanes.iter_mut().zip(from.lanes).for_each(|(lane, before)| *lane = lane.saturating_sub(before));
        Passed {
            ms: to_ms.saturating_sub(*from_ms),
            flow: Flow {
                accepted: to.accepted.saturating_sub(from.accepted),
                delivered: to.delivered.saturating_sub(from.delivered),
                suppressed: to.suppressed.saturating_sub(from.suppressed),
                lanes,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(accepted: u64, delivered: u64) -> Flow {
        Flow { accepted, delivered, ..Flow::default() }
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let mut history = History::default();
        for minute in 0..3 * 1_440 {
            history.note(minute * 60_000, Some(flow(minute * 10, minute * 9)), minute % 7, minute % 2 == 0);
        }
        let slots: Vec<_> = history.slots().copied().collect();
        assert_eq!(slots.len(), SLOTS);
        assert_eq!(slots.last().unwrap().index, 3 * 288 - 1);
        for slot in &slots[1..] {
            assert_eq!((slot.accepted, slot.delivered, slot.seen_ms), (50, 45, SLOT_MS), "{slot:?}");
            assert!((4..=6).contains(&slot.waiting_max), "{slot:?}");
            assert!(slot.up_ms == 120_000 || slot.up_ms == 180_000, "{slot:?}");
        }
    }

    /// As of a machine that was suspended.
    #[test]
    fn a_time_without_a_look_is_not_seen_and_what_is_older_than_a_day_is_gone() {
        let mut history = History::default();
        (0..600).for_each(|second| history.note(second * 1_000, Some(flow(second, 0)), 0, true));
        let later_ms = 3 * 86_400_000;
        history.note(later_ms, Some(flow(700, 0)), 0, true);
        history.note(later_ms + 1_000, Some(flow(701, 0)), 0, true);
        let slots: Vec<_> = history.slots().copied().collect();
        let expected = Slot {
            index: later_ms / SLOT_MS,
            accepted: 102,
            seen_ms: 1_000,
            up_ms: 1_000,
            ..Slot::default()
        };
        assert_eq!(slots, [expected]);
    }

    /// A night without messages, an hour with many, and a moment that is too short to tell.
    #[test]
    fn a_day_has_its_mean_and_its_busiest_five_minutes() {
        let mut history = History::default();
        assert_eq!(history.day(), Day { seen_ms: 0, accepted_per_s: 0.0, busiest_per_s: 0.0 });
        for second in 0..7_200 {
            history.note(second * 1_000, Some(flow(second.max(3_600) * 10, 0)), 0, true);
        }
        // A slot that begins with a burst.
        history.note(7_200_000, Some(flow(7_199 * 10 + 5_000, 0)), 0, true);
        let day = history.day();
        assert_eq!(day.seen_ms, 7_200_000);
        assert_eq!((day.accepted_per_s * 7_200.0).round(), 40_990.0);
        assert_eq!(day.busiest_per_s.round(), 10.0, "the burst is of one second");
    }

    /// The totals of earlier runs are no traffic of this one.
    #[test]
    fn the_first_look_only_begins() {
        let mut history = History::default();
        history.note(0, Some(flow(1_000_000, 1_000_000)), 5, true);
        let slot = *history.slots().next().unwrap();
        assert_eq!((slot.accepted, slot.seen_ms, slot.waiting_max), (0, 0, 5));
    }

    #[test]
    fn rates_are_over_the_last_while() {
        let mut window = RateWindow::new(5_000, 12);
        assert_eq!(window.passed().per_s(1), 0.0);
        for second in 0..600 {
            window.note(second * 1_000, flow(second * if second < 500 { 100 } else { 0 }, second * 3));
        }
        let passed = window.passed();
        assert!((60_000..=65_000).contains(&passed.ms), "{passed:?}");
        assert!((passed.per_s(passed.flow.delivered) - 3.0).abs() < 1e-9);
        assert_eq!(passed.flow.accepted, 0, "a total that went back is no flow");
    }
}
