//! Timetable of the looks at a link's certificate while there is a connection, and of the replacement of that connection by one that shows the
//! renewed certificate. Pure.

/// Longest time, in milliseconds, for which a connection waits for the answers to what is on its way before it is replaced.
pub(in crate::net) const CALM_WITHIN_MS: u64 = 10_000;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Most doublings of a pause, more than lead to the longest one.
const DOUBLINGS_MAX: u32 = 10;

/// Periods of the timetable. The first two, [`CALM_WITHIN_MS`] and a dial are together less than a minute.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct Pace {
    /// Milliseconds from the beginning of a connection to the first look, and from each look to the next.
    pub(in crate::net) look_ms: u64,
    /// Milliseconds over which the replacements of many links are spread whose certificates are renewed at once.
    pub(in crate::net) spread_ms: u64,
    /// Milliseconds from a connection by the former certificate to the next offer of a new one that the hub did not judge. Doubles with each offer.
    pub(in crate::net) offer_again_ms: u64,
    /// The same for one that the hub has refused: each offer costs a connection, and bytes on a paid line.
    pub(in crate::net) offer_refused_ms: u64,
}

impl Pace {
    /// Returns the pause before an offer that follows so many in vain.
    fn pause_ms(&self, offers: u32, is_refused: bool) -> u64 {
        let (first_ms, max_ms) = match is_refused {
            true => (self.offer_refused_ms, DAY_MS),
            false => (self.offer_again_ms, HOUR_MS),
        };
        let doublings = offers.saturating_sub(1).min(DOUBLINGS_MAX);
        (first_ms << doublings).min(max_ms.max(first_ms))
    }
}

/// Certificate that a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Found {
    /// No certificate but the one that is in use.
    Nothing,
    /// New one that the hub was not offered.
    Renewed,
    /// New one that was offered, after which the hub accepted the former one.
    InVain {
        /// Connections that were made by the former one since.
        offers: u32,
        /// Set if the hub could judge it.
        is_refused: bool,
    },
}

impl Default for Pace {
    fn default() -> Self {
        Self { look_ms: 20_000, spread_ms: 20_000, offer_again_ms: 60_000, offer_refused_ms: HOUR_MS }
    }
}

/// Step that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Step {
    /// Look at the certificate, and report by [`Timetable::on_looked`].
    Look,
    /// Replace the connection.
    Replace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// State without a connection, in which each dial looks.
    NoConnection,
    /// The next look is at this up time.
    Waiting {
        look_ms: u64,
    },
    Looking {
        is_asked_for: bool,
    },
    /// The connection is replaced at this up time.
    Renewed {
        replace_ms: u64,
    },
    Replacing,
}

/// State of one link.
#[derive(Debug)]
pub(in crate::net) struct Timetable {
    pace: Pace,
    /// Time within [`Pace::spread_ms`] at which this link's connections are replaced.
    place_ms: u64,
    state: State,
    /// Up time since which there is a connection.
    since_ms: u64,
    /// Set from a request to its look.
    is_asked: bool,
}

impl Timetable {
    /// Creates the timetable of a link; `random` is another number for each.
    pub(in crate::net) fn new(pace: Pace, random: u64) -> Self {
        let place_ms = random % pace.spread_ms.saturating_add(1);
        Self { pace, place_ms, state: State::NoConnection, since_ms: 0, is_asked: false }
    }

    /// Has the next look come at once, and the connection be replaced without delay if there is a new certificate, also one that was offered in vain.
    pub(in crate::net) fn ask(&mut self) {
        self.is_asked = true;
    }

    /// Returns the step that is due now, if any; once.
    pub(in crate::net) fn poll(&mut self, now_ms: u64, is_connected: bool) -> Option<Step> {
        match self.state {
            _ if !is_connected => self.state = State::NoConnection,
            State::NoConnection => {
                self.since_ms = now_ms;
                self.look_later(now_ms);
            }
            _ => {}
        }
        let is_asked = self.is_asked;
        match self.state {
            State::Waiting { look_ms } if look_ms <= now_ms || is_asked => {
                self.state = State::Looking { is_asked_for: is_asked };
                self.is_asked = false;
                Some(Step::Look)
            }
            State::Renewed { replace_ms } if replace_ms <= now_ms || is_asked => {
                (self.state, self.is_asked) = (State::Replacing, false);
                Some(Step::Replace)
            }
            _ => None,
        }
    }

    /// Records the end of a look.
    pub(in crate::net) fn on_looked(&mut self, now_ms: u64, found: Found) {
        // A look of an earlier connection: what it found is found again.
        let State::Looking { is_asked_for } = self.state else { return };
        let due_ms = match found {
            Found::Nothing => None,
            Found::Renewed => Some(self.since_ms),
            Found::InVain { offers, is_refused } => {
                Some(self.since_ms.saturating_add(self.pace.pause_ms(offers, is_refused)))
            }
        };
        match due_ms {
            Some(_) if is_asked_for => self.state = State::Renewed { replace_ms: now_ms },
            Some(due_ms) if due_ms <= now_ms => {
                self.state = State::Renewed { replace_ms: now_ms.saturating_add(self.place_ms) };
            }
            _ => self.look_later(now_ms),
        }
    }

    fn look_later(&mut self, now_ms: u64) {
        self.state = State::Waiting { look_ms: now_ms.saturating_add(self.pace.look_ms) };
    }

    /// Up time at which a step is due without an event; `None` while none is planned.
    pub(in crate::net) fn next_deadline(&self) -> Option<u64> {
        match self.state {
            State::Waiting { look_ms: at_ms } | State::Renewed { replace_ms: at_ms } => Some(at_ms),
            State::NoConnection | State::Looking { .. } | State::Replacing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    fn found(is_renewed: bool) -> Found {
        if is_renewed { Found::Renewed } else { Found::Nothing }
    }

    /// Returns the minutes from the beginning of a connection to the next offer.
    fn minutes_to_offer(offers: u32, is_refused: bool) -> u64 {
        let mut timetable = Timetable::new(Pace::default(), 0);
        assert_eq!(timetable.poll(7, true), None);
        loop {
            let now_ms = timetable.next_deadline().unwrap();
            match timetable.poll(now_ms, true) {
                Some(Step::Look) => timetable.on_looked(now_ms, Found::InVain { offers, is_refused }),
                Some(Step::Replace) => break now_ms / MINUTE_MS,
                None => panic!("no step at {now_ms}"),
            }
        }
    }

    #[test]
    fn a_certificate_that_was_offered_in_vain_is_offered_again_ever_more_seldom() {
        let minutes = |offers: [u32; 6], is_refused| offers.map(|n| minutes_to_offer(n, is_refused));
        assert_eq!(minutes([1, 2, 3, 6, 7, u32::MAX], false), [1, 2, 4, 32, 60, 60]);
        assert_eq!(minutes([1, 2, 3, 5, 6, u32::MAX], true), [60, 120, 240, 960, 1_440, 1_440]);
        // Whoever asks does not wait.
        let mut timetable = Timetable::new(Pace::default(), 19_999);
        assert_eq!(timetable.poll(1, true), None);
        timetable.ask();
        assert_eq!(timetable.poll(2, true), Some(Step::Look));
        timetable.on_looked(3, Found::InVain { offers: 9, is_refused: true });
        assert_eq!(timetable.poll(3, true), Some(Step::Replace));
    }

    /// Whenever the file is renewed, and whatever the link's place, eight seconds of the minute are left for the dial.
    #[test]
    fn a_connection_is_replaced_within_a_minute_and_not_in_step_with_others() {
        let mut places = std::collections::BTreeSet::new();
        for random in (0..400).map(|n| n * 1_000_003) {
            let renewed_ms = 5_000 + random % 99_991;
            let mut timetable = Timetable::new(Pace::default(), random);
            assert_eq!(timetable.poll(1, true), None);
            let replaced_ms = loop {
                let now_ms = timetable.next_deadline().unwrap();
                assert_eq!(timetable.poll(now_ms - 1, true), None);
                match timetable.poll(now_ms, true) {
                    // A second is the longest time of a look.
                    Some(Step::Look) => timetable.on_looked(now_ms + 1_000, found(now_ms >= renewed_ms)),
                    Some(Step::Replace) => break now_ms,
                    None => panic!("no step at {now_ms}"),
                }
            };
            let took_ms = replaced_ms + CALM_WITHIN_MS - renewed_ms;
            assert!(took_ms <= MINUTE_MS - 8_000, "{took_ms}");
            places.insert(timetable.place_ms / 1_000);
            assert_eq!((timetable.poll(u64::MAX, true), timetable.next_deadline()), (None, None), "once");
        }
        assert_eq!(places.len(), 20, "over twenty seconds");
    }

    #[test]
    fn who_asks_is_answered_at_once() {
        let mut timetable = Timetable::new(Pace::default(), 19_999);
        assert_eq!(timetable.poll(1, true), None);
        timetable.ask();
        assert_eq!(timetable.poll(2, true), Some(Step::Look));
        // Once more while the look is under way, which may have read the file before.
        timetable.ask();
        assert_eq!(timetable.poll(3, true), None);
        timetable.on_looked(4, Found::Nothing);
        assert_eq!(timetable.poll(4, true), Some(Step::Look));
        timetable.on_looked(5, Found::Renewed);
        assert_eq!(timetable.poll(5, true), Some(Step::Replace));
        // While a look that nobody asked for waits for its place.
        let mut timetable = Timetable::new(Pace::default(), 19_999);
        assert_eq!(timetable.poll(1, true), None);
        assert_eq!(timetable.poll(20_001, true), Some(Step::Look));
        timetable.on_looked(20_002, Found::Renewed);
        assert_eq!((timetable.poll(20_003, true), timetable.next_deadline()), (None, Some(40_001)));
        timetable.ask();
        assert_eq!(timetable.poll(20_004, true), Some(Step::Replace));
    }

    /// A dial looks by itself; what was asked for meanwhile counts for the connection that it makes.
    #[test]
    fn without_a_connection_nobody_looks() {
        let mut timetable = Timetable::new(Pace::default(), 0);
        timetable.ask();
        assert_eq!((timetable.poll(1, false), timetable.next_deadline()), (None, None));
        assert_eq!(timetable.poll(2, true), Some(Step::Look));
        // Its end finds another connection.
        assert_eq!((timetable.poll(3, false), timetable.poll(4, true)), (None, None));
        timetable.on_looked(5, Found::Renewed);
        assert_eq!(timetable.next_deadline(), Some(20_004));
        // Neither does a replacement that was planned.
        assert_eq!(timetable.poll(20_004, true), Some(Step::Look));
        timetable.on_looked(20_005, Found::Renewed);
        assert_eq!((timetable.poll(20_006, false), timetable.next_deadline()), (None, None));
    }
}
