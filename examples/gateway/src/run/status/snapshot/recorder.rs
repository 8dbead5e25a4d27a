//! Recorder of the gateway's state for the status: the time since which the state is the same, its last changes, and the history. It has a fixed
//! size, and begins at the start of the process. Pure.

use std::collections::VecDeque;

use edge_bridge::bridge::LinkState;

use crate::run::status::verdict::{Verdict, steady};

use super::Event;
use super::history::{Flow, History, LANES_MAX, Passed, RateWindow};

/// Most changes that are kept.
const EVENTS: usize = 16;
/// Longest cause that is kept, in characters.
const CAUSE_CHARS_MAX: usize = 200;

/// State of the gateway at a check.
#[derive(Clone, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) link: LinkState,
    pub(crate) cause: Option<&'a str>,
    /// Totals of the queue. `None`: the queue does not answer.
    pub(crate) flow: Option<Flow>,
    pub(crate) waiting: u64,
    /// Waiting messages and their bytes, by lane.
    pub(crate) lanes: Vec<(u64, u64)>,
}

#[derive(Debug)]
struct Change {
    at_ms: u64,
    verdict: Verdict,
    link: LinkState,
    cause: Option<String>,
    times: u64,
}

/// Recorder of the gateway's states since the start of the process.
#[derive(Debug)]
pub(crate) struct Recorder {
    start_ms: u64,
    verdict_since_ms: u64,
    link_since_ms: u64,
    /// Time of the last check, and the link's state then.
    last: (u64, LinkState),
    /// Milliseconds for which the link was up until the last check; `link_down_ms` for which it was down.
    link_up_ms: u64,
    link_down_ms: u64,
    /// Last changes of the state, the newest at the end.
    changes: VecDeque<Change>,
    history: History,
    /// Rates over a minute, for display.
    minute: RateWindow,
    /// Rates over ten minutes, for predictions.
    ten_minutes: RateWindow,
    /// Mean bytes of a waiting message, by lane, at the last check with waiting messages; 0 before.
    mean_bytes: [u64; LANES_MAX],
}

/// Returns whether the link's state means that the hub answers.
pub(crate) fn is_up(link: LinkState) -> bool {
    matches!(link, LinkState::Flowing | LinkState::Idle | LinkState::Draining)
}

impl Recorder {
    pub(crate) fn new(up_ms: u64) -> Self {
        Self {
            start_ms: up_ms,
            verdict_since_ms: up_ms,
            link_since_ms: up_ms,
            last: (up_ms, LinkState::Offline),
            link_up_ms: 0,
            link_down_ms: 0,
            changes: VecDeque::with_capacity(EVENTS + 1),
            history: History::default(),
            minute: RateWindow::new(5_000, 12),
            ten_minutes: RateWindow::new(30_000, 20),
            mean_bytes: [0; LANES_MAX],
        }
    }

    /// Records a check. There may be several at the same time.
    pub(crate) fn note(&mut self, up_ms: u64, look: &Look<'_>) {
        let since_start_ms = up_ms.saturating_sub(self.start_ms);
        self.history.note(since_start_ms, look.flow, look.waiting, is_up(look.link));
        if let Some(flow) = look.flow {
            self.minute.note(up_ms, flow);
            self.ten_minutes.note(up_ms, flow);
        }
        for (mean, (messages, bytes)) in self.mean_bytes.iter_mut().zip(&look.lanes) {
            if let Some(known) = bytes.checked_div(*messages).filter(|known| *known > 0) {
                *mean = known;
            }
        }
        self.note_link(up_ms, look.link);
        self.note_change(up_ms, look);
    }

    /// Adds the time since the last check to the state that the link had then.
    fn note_link(&mut self, up_ms: u64, link: LinkState) {
        let (last_ms, before) = std::mem::replace(&mut self.last, (up_ms, link));
        let total = if is_up(before) { &mut self.link_up_ms } else { &mut self.link_down_ms };
        *total += up_ms.saturating_sub(last_ms);
    }

    fn note_change(&mut self, up_ms: u64, look: &Look<'_>) {
        let state = (look.verdict, steady(look.link));
        let last = self.changes.back().map(|change| (change.verdict, change.link));
        if last == Some(state) {
            return;
        }
        if last.is_none_or(|(verdict, _)| verdict != look.verdict) {
            self.verdict_since_ms = up_ms;
        }
        if last.is_none_or(|(_, link)| is_up(link) != is_up(look.link)) {
            self.link_since_ms = up_ms;
        }
        // A state that comes and goes takes two places, not all of them.
        let before = self.changes.len().checked_sub(2);
        let again = before
            .filter(|at| self.changes.get(*at).is_some_and(|change| (change.verdict, change.link) == state));
        let times = again.and_then(|at| self.changes.remove(at)).map_or(1, |change| change.times + 1);
        if self.changes.len() >= EVENTS {
            self.changes.pop_front();
        }
        let cut = |cause: &str| cause.chars().take(CAUSE_CHARS_MAX).collect();
        let cause = look.cause.filter(|_| !is_up(look.link)).map(cut);
        self.changes.push_back(Change { at_ms: up_ms, verdict: state.0, link: state.1, cause, times });
    }

    pub(crate) fn up_s(&self, up_ms: u64) -> u64 {
        up_ms.saturating_sub(self.start_ms) / 1_000
    }

    pub(crate) fn verdict_since_s(&self, up_ms: u64) -> u64 {
        up_ms.saturating_sub(self.verdict_since_ms) / 1_000
    }

    pub(crate) fn link_since_s(&self, up_ms: u64) -> u64 {
        up_ms.saturating_sub(self.link_since_ms) / 1_000
    }

    /// Returns the seconds since the start for which the link was up, and for which it was down.
    pub(crate) fn link_seconds(&self) -> (u64, u64) {
        (self.link_up_ms / 1_000, self.link_down_ms / 1_000)
    }

    /// Returns the changes of the state, the newest first.
    pub(crate) fn events(&self, up_ms: u64) -> Vec<Event> {
        let event = |change: &Change| Event {
            ago_s: up_ms.saturating_sub(change.at_ms) / 1_000,
            verdict: change.verdict.as_str().to_owned(),
            link: change.link.as_str().to_owned(),
            cause: change.cause.clone(),
            times: change.times,
        };
        self.changes.iter().rev().map(event).collect()
    }

    pub(crate) fn last_minute(&self) -> Passed {
        self.minute.passed()
    }

    pub(crate) fn last_ten_minutes(&self) -> Passed {
        self.ten_minutes.passed()
    }

    /// Returns the mean bytes of a message in this lane. `None`: none has waited yet.
    pub(crate) fn mean_bytes(&self, lane: usize) -> Option<u64> {
        self.mean_bytes.get(lane).copied().filter(|bytes| *bytes > 0)
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(verdict: Verdict, link: LinkState) -> Look<'static> {
        let cause = Some("refused");
        Look { verdict, link, cause, flow: None, waiting: 0, lanes: vec![(2, 500)] }
    }

    #[test]
    fn a_state_has_its_beginning_and_flowing_or_idle_is_the_same() {
        let mut recorder = Recorder::new(1_000);
        recorder.note(2_000, &look(Verdict::Delivering, LinkState::Idle));
        recorder.note(5_000, &look(Verdict::Delivering, LinkState::Flowing));
        assert_eq!(recorder.events(12_000).len(), 1);
        assert_eq!((recorder.verdict_since_s(12_000), recorder.up_s(12_000)), (10, 11));
        recorder.note(20_000, &look(Verdict::Storing, LinkState::Stalled));
        recorder.note(25_000, &look(Verdict::Storing, LinkState::BackingOff));
        assert_eq!(
            (recorder.verdict_since_s(30_000), recorder.link_since_s(30_000)),
            (10, 10),
            "down all the time"
        );
        let events = recorder.events(30_000);
        assert_eq!(
            events.iter().map(|event| event.link.as_str()).collect::<Vec<_>>(),
            ["backing-off", "stalled", "flowing"]
        );
        assert_eq!((events[0].cause.as_deref(), events[2].cause.as_deref()), (Some("refused"), None));
        assert_eq!((recorder.mean_bytes(0), recorder.mean_bytes(1)), (Some(250), None));
    }

    #[test]
    fn the_time_between_two_looks_counts_as_the_first_one_found_the_link() {
        let mut recorder = Recorder::new(1_000);
        for (at_ms, link) in [
            (3_000, LinkState::Idle),
            (10_000, LinkState::Draining),
            (11_500, LinkState::Stalled),
            (12_000, LinkState::Offline),
            (20_000, LinkState::Flowing),
        ] {
            recorder.note(at_ms, &look(Verdict::Storing, link));
        }
        recorder.note(20_000, &look(Verdict::Storing, LinkState::Flowing));
        assert_eq!(recorder.link_seconds(), (8, 10), "8.5 s up");
    }

    /// Totals over all runs are known with the queue: what earlier runs did is no traffic of this one.
    #[test]
    fn a_queue_that_opens_late_makes_no_flow() {
        let mut recorder = Recorder::new(0);
        let without = look(Verdict::Degraded, LinkState::Offline);
        for second in 0..30 {
            recorder.note(second * 1_000, &without);
        }
        for second in 30..60 {
            let total = 8_000_000 + second;
            let flow = Some(Flow { accepted: total, delivered: total, ..Flow::default() });
            recorder.note(second * 1_000, &Look { flow, ..look(Verdict::Delivering, LinkState::Flowing) });
        }
        // It stops to answer for a while.
        recorder.note(60_000, &without);
        let flow = Some(Flow { accepted: 8_000_061, delivered: 8_000_061, ..Flow::default() });
        recorder.note(61_000, &Look { flow, ..look(Verdict::Delivering, LinkState::Flowing) });
        let passed = recorder.last_minute();
        assert_eq!((passed.flow.delivered, passed.ms), (31, 31_000));
        let slot = recorder.history().slots().next().unwrap();
        assert_eq!((slot.accepted, slot.delivered), (31, 31));
    }

    #[test]
    fn a_state_that_flaps_pushes_nothing_else_out() {
        let mut recorder = Recorder::new(0);
        recorder.note(0, &look(Verdict::Losing, LinkState::BackingOff));
        for at in 1..1_000u64 {
            let up = at % 2 == 0;
            let (verdict, link) = if up {
                (Verdict::Delivering, LinkState::Flowing)
            } else {
                (Verdict::Storing, LinkState::Stalled)
            };
            recorder.note(at * 1_000, &look(verdict, link));
        }
        let events = recorder.events(1_000_000);
        assert_eq!(events.len(), 3, "{events:?}");
        assert_eq!((events[0].times, events[1].times), (500, 499));
        assert_eq!(events[2].verdict, "losing");
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let mut recorder = Recorder::new(0);
        for at in 0..400u64 {
            let link = [LinkState::Flowing, LinkState::Draining, LinkState::Stalled, LinkState::BackingOff]
                [(at / 3 % 4) as usize];
            let verdict = Verdict::ALL[(at % 5) as usize];
            recorder.note(at * 1_000, &Look { cause: Some(&"x".repeat(5_000)), ..look(verdict, link) });
        }
        let events = recorder.events(400_000);
        assert_eq!(events.len(), EVENTS);
        assert!(
            events.iter().all(|event| event.cause.as_deref().unwrap_or_default().len() <= CAUSE_CHARS_MAX)
        );
    }

    /// Empty messages have no size to go by.
    #[test]
    fn the_size_of_messages_is_that_of_the_last_that_had_one() {
        let mut recorder = Recorder::new(0);
        for (lanes, mean) in [
            ((0, 0), None),
            ((4, 4), Some(1)),
            ((2, 500), Some(250)),
            ((5, 0), Some(250)),
            ((0, 0), Some(250)),
        ] {
            let look = Look { lanes: vec![lanes], ..look(Verdict::Storing, LinkState::Stalled) };
            recorder.note(1_000, &look);
            assert_eq!(recorder.mean_bytes(0), mean, "{lanes:?}");
        }
    }
}
