//! Timetable of the looks at a link's certificate while there is a connection, and of the replacement of that connection by one that shows the
//! renewed certificate. Pure.

/// Longest time, in milliseconds, for which a connection waits for the answers to what is on its way before it is replaced.
pub(in crate::net) const CALM_WITHIN_MS: u64 = 10_000;

/// Periods of the timetable. Together with [`CALM_WITHIN_MS`] and a dial they are less than a minute.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct Pace {
    /// Milliseconds from the beginning of a connection to the first look, and from each look to the next.
    pub(in crate::net) look_ms: u64,
    /// Milliseconds over which the replacements of many links are spread whose certificates are renewed at once.
    pub(in crate::net) spread_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { look_ms: 20_000, spread_ms: 20_000 }
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
    /// Set from a request to its look.
    is_asked: bool,
}

impl Timetable {
    /// Creates the timetable of a link; `random` is another number for each.
    pub(in crate::net) fn new(pace: Pace, random: u64) -> Self {
        let place_ms = random % pace.spread_ms.saturating_add(1);
        Self { pace, place_ms, state: State::NoConnection, is_asked: false }
    }

    /// Has the next look come at once, and the connection be replaced without delay if the certificate was renewed.
    pub(in crate::net) fn ask(&mut self) {
        self.is_asked = true;
    }

    /// Returns the step that is due now, if any; once.
    pub(in crate::net) fn poll(&mut self, now_ms: u64, is_connected: bool) -> Option<Step> {
        match self.state {
            _ if !is_connected => self.state = State::NoConnection,
            State::NoConnection => self.look_later(now_ms),
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

    /// Records the end of a look. `is_renewed`: there is a certificate that the hub was not offered.
    pub(in crate::net) fn on_looked(&mut self, now_ms: u64, is_renewed: bool) {
        // A look of an earlier connection: what it found is found again.
        let State::Looking { is_asked_for } = self.state else { return };
        match is_renewed {
            true if is_asked_for => self.state = State::Renewed { replace_ms: now_ms },
            true => self.state = State::Renewed { replace_ms: now_ms.saturating_add(self.place_ms) },
            false => self.look_later(now_ms),
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
                    Some(Step::Look) => timetable.on_looked(now_ms + 1_000, now_ms >= renewed_ms),
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
        timetable.on_looked(4, false);
        assert_eq!(timetable.poll(4, true), Some(Step::Look));
        timetable.on_looked(5, true);
        assert_eq!(timetable.poll(5, true), Some(Step::Replace));
        // While a look that nobody asked for waits for its place.
        let mut timetable = Timetable::new(Pace::default(), 19_999);
        assert_eq!(timetable.poll(1, true), None);
        assert_eq!(timetable.poll(20_001, true), Some(Step::Look));
        timetable.on_looked(20_002, true);
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
        timetable.on_looked(5, true);
        assert_eq!(timetable.next_deadline(), Some(20_004));
        // Neither does a replacement that was planned.
        assert_eq!(timetable.poll(20_004, true), Some(Step::Look));
        timetable.on_looked(20_005, true);
        assert_eq!((timetable.poll(20_006, false), timetable.next_deadline()), (None, None));
    }
}
