//! Corrections of the status that the hub has: its figures, which were those of one moment, such as the first one of a connection, are compared with
//! the present ones each minute, and another status is sent if they would mislead whoever reads it, within a budget. Pure.

use crate::run::status::snapshot::Snapshot;

/// Pause between two comparisons in milliseconds.
const LOOK_MS: u64 = 60_000;
/// Most corrections in stock.
const STOCK_MAX: u64 = 6;
/// Milliseconds until there is one more in stock, which a status after an hour takes too. So figures that never rest cost one status an hour, as those
/// that never change.
const RESTOCK_MS: u64 = 3_600_000;
/// Least number of corrections in stock behind a status with other news: the figures of a change are the first to be outdated.
const AFTER_NEWS: u64 = 3;
/// Seconds of incoming messages that usually are on their way.
const ON_THE_WAY_S: f64 = 10.0;
/// Number of waiting messages that is next to nothing.
const FEW: u64 = 10;
/// Room in seconds beyond which more makes no difference, as if there were no limit in sight.
const ROOM_ENOUGH_S: u64 = 86_400;
/// Least difference of the room in seconds.
const ROOM_LEAST_S: u64 = 30;

/// Budget of corrections, with the time of the next comparison.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    stock: u64,
    /// Up time at which the stock was last counted.
    counted_ms: u64,
    next_look_ms: u64,
}

impl Corrections {
    /// Begins the time until the next comparison, at a status of this up time that the hub has. `is_news`: it had more to tell than figures; any
    /// other one takes a correction from the stock.
    pub(super) fn on_told(&mut self, at_ms: u64, is_news: bool) {
        self.next_look_ms = at_ms.saturating_add(LOOK_MS);
        self.stock = if is_news { self.stock.max(AFTER_NEWS) } else { self.stock.saturating_sub(1) };
    }

    /// Returns whether the figures are to be compared now, which is once a minute while a correction is in stock.
    pub(super) fn is_look_due(&mut self, now_ms: u64) -> bool {
        let more = now_ms.saturating_sub(self.counted_ms) / RESTOCK_MS;
        self.counted_ms = self.counted_ms.saturating_add(more * RESTOCK_MS);
        self.stock = self.stock.saturating_add(more).min(STOCK_MAX);
        let is_due = self.stock > 0 && now_ms >= self.next_look_ms;
        if is_due {
            self.next_look_ms = now_ms.saturating_add(LOOK_MS);
        }
        is_due
    }
}

/// Figures of a status that are outdated when they are far from the present ones.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// Words of the reason, without its numbers.
    why: Option<String>,
    waiting: u64,
    room_s: u64,
    lost: u64,
    parked: u64,
    clock_synced: bool,
    /// Messages that usually are on their way.
    on_the_way: u64,
}

impl Figures {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self {
            why: super::why(snapshot).map(words),
            waiting: snapshot.queue.messages,
            room_s: snapshot.room.seconds.unwrap_or(ROOM_ENOUGH_S).min(ROOM_ENOUGH_S),
            lost: snapshot.lost,
            parked: snapshot.refused.parked,
            clock_synced: snapshot.clock_synced,
            on_the_way: FEW.max((snapshot.rates.accepted_per_s * ON_THE_WAY_S) as u64),
        }
    }

    /// Returns whether these are outdated by `now`: one figure is twice the other and more than usual traffic apart, or the reason is another one.
    pub(super) fn are_outdated_by(&self, now: &Self) -> bool {
        let is_apart = |told: u64, now: u64, least: u64| {
            told.abs_diff(now) > least && told.max(now) / 2 >= told.min(now)
        };
        self.why != now.why
            || self.clock_synced != now.clock_synced
            || is_apart(self.waiting, now.waiting, now.on_the_way)
            || is_apart(self.room_s, now.room_s, ROOM_LEAST_S)
            || is_apart(self.lost, now.lost, 0)
            || is_apart(self.parked, now.parked, 0)
    }
}

/// Returns the text with `0` for each number that is zero and `9` for each other one: a reason with a number that rises is the same one.
fn words(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    // A narrow space groups digits.
    for letter in text.chars().filter(|letter| *letter != '\u{202f}') {
        let digit = if letter == '0' { '0' } else { '9' };
        match (letter.is_ascii_digit(), words.ends_with(['0', '9'])) {
            (false, _) => words.push(letter),
            (true, false) => words.push(digit),
            (true, true) if digit == '9' && words.ends_with('0') => {
                words.pop();
                words.push(digit);
            }
            (true, true) => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use crate::run::status::snapshot::{Level, Need, test_snapshots};

    use super::*;

    #[test]
    fn a_number_in_a_reason_matters_only_if_it_is_nothing() {
        assert_eq!(words("Kept: 0 messages of 12\u{202f}408."), words("Kept: 0 messages of 7."));
        assert_ne!(words("Kept: 0 messages"), words("Kept: 10 messages"));
        assert_eq!(words("05 h, 1.0 MiB"), "9 h, 9.0 MiB");
    }

    #[test]
    fn figures_are_outdated_when_they_mislead_and_not_by_usual_traffic() {
        let mut told = test_snapshots::delivering();
        (told.queue.messages, told.room.seconds, told.rates.accepted_per_s) = (300, Some(12), 5.0);
        (told.lost, told.refused.parked) = (100, 0);
        let outdated = |change: fn(&mut Snapshot)| {
            let mut now = told.clone();
            change(&mut now);
            Figures::of(&told).are_outdated_by(&Figures::of(&now))
        };
        let need = |id: &str, text: &str| Need {
            level: Level::Act,
            id: id.to_owned(),
            text: text.to_owned(),
            action: String::new(),
        };
        assert!(!outdated(|_| ()));
        assert!(outdated(|now| now.queue.messages = 0));
        assert!(outdated(|now| now.queue.messages = 600));
        assert!(!outdated(|now| now.queue.messages = 400));
        assert!(!outdated(|now| (now.queue.messages, now.rates.accepted_per_s) = (0, 30.0)), "on their way");
        assert!(outdated(|now| now.room.seconds = Some(120)));
        assert!(outdated(|now| now.room.seconds = None));
        assert!(!outdated(|now| now.room.seconds = Some(40)));
        assert!(outdated(|now| now.lost = 200));
        assert!(!outdated(|now| now.lost = 199));
        assert!(outdated(|now| now.refused.parked = 1));
        assert!(outdated(|now| now.clock_synced = !now.clock_synced));
        told.room.seconds = None;
        let mut now = told.clone();
        now.room.seconds = Some(3 * ROOM_ENOUGH_S);
        assert!(!Figures::of(&told).are_outdated_by(&Figures::of(&now)), "no limit in sight");
        told.needs = vec![need("refused", "Kept and tried again: 0 messages.")];
        now.clone_from(&told);
        now.needs = vec![need("refused", "Kept and tried again: 12 messages.")];
        assert!(Figures::of(&told).are_outdated_by(&Figures::of(&now)), "something, where there was nothing");
        told.needs = vec![need("refused", "Kept and tried again: 13 messages.")];
        assert!(!Figures::of(&told).are_outdated_by(&Figures::of(&now)), "one more");
    }
}
