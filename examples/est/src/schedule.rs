//! Schedule of renewals: at two thirds of a certificate's life and a little later, by an amount that the gateway's id decides, so that the gateways of a
//! plant do not all ask at once; earlier where messages may wait longer than what is left then. After a failure the pause doubles (exponential back-off), and is never so long that the certificate would end in it.

use ring::digest::{SHA256, digest};

use crate::certificate::Validity;

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 86_400;
/// Shortest pause that a server can ask for.
const ASKED_MIN_S: u64 = 5;
/// Part of a certificate's life in which the gateways of a plant spread their requests.
const SPREAD: u64 = 10;

/// Time of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Seconds since the machine's start, which no clock changes.
    pub up_s: u64,
    /// Wall clock in seconds since 1970. `None` while it is not known to be right.
    pub wall_s: Option<u64>,
}

/// Next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A certificate is to be asked for.
    Ask,
    /// Nothing is to be done for so many seconds.
    Wait(u64),
    /// Nothing is known: by a clock that may be wrong no certificate is renewed, neither early nor late.
    ClockUnknown,
}

/// Schedule of one certificate.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Share of the spread, of 1024.
    share: u64,
    /// Longest time that a message waits for its delivery, which the certificate should outlast.
    wait_s: u64,
    failures: u32,
    /// Up time before which nothing is tried again.
    again_s: u64,
}

impl Schedule {
    /// Creates the schedule of a gateway whose messages wait for `wait_s` seconds at most.
    #[must_use]
    pub fn new(gateway: &str, wait_s: u64) -> Self {
        // The same in every version of the program: a renewal should not move with an upgrade.
        let hash = digest(&SHA256, gateway.as_bytes());
        let share = hash.as_ref().iter().take(2).fold(0, |share, byte| share << 8 | u64::from(*byte)) >> 6;
        Self { share, wait_s, failures: 0, again_s: 0 }
    }

    /// Returns the time from which a certificate is to be renewed, in seconds since 1970.
    #[must_use]
    pub fn due_s(&self, validity: Validity) -> u64 {
        let life_s = validity.life_s();
        // Twice the spread: one for itself, the other for attempts that fail before the renewal is overdue.
        let left_s = (life_s / 3).max(outlasted_s(life_s, self.wait_s) + life_s / SPREAD * 2);
        let spread_s = self.part(life_s / SPREAD);
        validity.begin_s.saturating_add(life_s.saturating_sub(left_s)).saturating_add(spread_s)
    }

    /// Returns the next step for the certificate in use. `None`: there is none, and the first one is to be asked for whatever the clock says.
    pub fn next(&mut self, in_use: Option<Validity>, now: Now) -> Next {
        if let Some(validity) = in_use {
            let Some(wall_s) = now.wall_s else { return Next::ClockUnknown };
            let due_s = self.due_s(validity);
            if wall_s < due_s {
                // Somebody else may have renewed it.
                (self.failures, self.again_s) = (0, 0);
                return Next::Wait(due_s - wall_s);
            }
        }
        match self.again_s.saturating_sub(now.up_s) {
            0 => Next::Ask,
            pause_s => Next::Wait(pause_s),
        }
    }

    /// Records that a request failed, and returns the pause in seconds. `asked_s` is the pause that the server asked for.
    pub fn failed(&mut self, in_use: Option<Validity>, now: Now, asked_s: Option<u64>) -> u64 {
        let doubled_s = MINUTE_S.checked_shl(self.failures).unwrap_or(DAY_S).min(DAY_S);
        let own_s = doubled_s + self.part(doubled_s / SPREAD);
        self.failures = (self.failures + 1).min(u64::BITS / 2);
        let pause_s = asked_s.map_or(own_s, |asked_s| asked_s.clamp(ASKED_MIN_S, DAY_S));
        let left_s = in_use.zip(now.wall_s).map(|(validity, wall_s)| validity.end_s.saturating_sub(wall_s));
        let pause_s = match left_s {
            None => pause_s,
            // Too late: the server may take it all the same, and whoever mends that should not wait for a day.
            Some(0) => pause_s.min(HOUR_S),
            Some(left_s) => pause_s.min((left_s / 4).max(1)),
        };
        self.again_s = now.up_s.saturating_add(pause_s);
        pause_s
    }

    /// Returns whether the last request, if there was one, brought a certificate.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.failures == 0
    }

    /// Records that a certificate is in use: failures before it count no more.
    pub fn proven(&mut self) {
        self.failures = 0;
    }

    /// Records that a request brought a certificate, which is yet to be [proven](Self::proven): until then failures count on. The next request has to wait for a third of what is left of it, also where it is due at once: some
    /// authorities let it begin long before they made it, and each new one would be renewed when it comes.
    pub fn succeeded(&mut self, new: Validity, now: Now) {
        let left_s = now.wall_s.map_or(0, |wall_s| new.end_s.saturating_sub(wall_s));
        let pause_s = (left_s / 3).max(ASKED_MIN_S);
        self.again_s = now.up_s.saturating_add(pause_s);
    }

    fn part(&self, whole: u64) -> u64 {
        whole / 1024 * self.share + whole % 1024 * self.share / 1024
    }
}

/// Returns the remaining validity below which a renewal is overdue: a sixth of the life, or `wait_s`, the longest time that a message waits. One that waits
/// longer than seven tenths of the life is overdue for a part of each life, or for all of it: such a life is too short for it.
#[must_use]
pub fn overdue_s(life_s: u64, wait_s: u64) -> u64 {
    (life_s / 6).max(wait_s)
}

/// Returns the wait that a certificate outlasts at any time if it is renewed when due. 0: its life is too short for that, and to renew all the time would not help.
fn outlasted_s(life_s: u64, wait_s: u64) -> u64 {
    if wait_s > life_s / 10 * 7 { 0 } else { wait_s }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFE: Validity = Validity { begin_s: 1_000_000, end_s: 1_000_000 + 90 * DAY_S };

    fn at(up_s: u64, wall_s: u64) -> Now {
        Now { up_s, wall_s: Some(wall_s) }
    }

    #[test]
    fn it_is_due_behind_two_thirds_of_the_life_and_each_gateway_has_its_own_time() {
        let due = |id: &str| Schedule::new(id, 0).due_s(LIFE) - LIFE.begin_s;
        let all: std::collections::BTreeSet<u64> = (0..100).map(|n| due(&format!("gw-{n}"))).collect();
        assert!(all.len() > 80, "{all:?}");
        assert!(all.iter().all(|due| (60 * DAY_S..69 * DAY_S).contains(due)), "{all:?}");
        // For good: a schedule of before an upgrade stays.
        assert_eq!(due("site7"), due("site7"));
        let mut schedule = Schedule::new("site7", 0);
        let due_s = schedule.due_s(LIFE);
        assert_eq!(schedule.next(Some(LIFE), at(0, due_s - 7)), Next::Wait(7));
        assert_eq!(schedule.next(Some(LIFE), at(0, due_s)), Next::Ask);
    }

    #[test]
    fn it_is_due_earlier_where_messages_wait_longer_than_what_is_left_then() {
        let due_days = |wait_days: u64| {
            let schedule = Schedule { share: 0, ..Schedule::new("g", wait_days * DAY_S) };
            (schedule.due_s(LIFE) - LIFE.begin_s) / DAY_S
        };
        assert_eq!([0, 7, 12, 13, 30, 63].map(due_days), [60, 60, 60, 59, 42, 9]);
        assert_eq!([64, 90, 1_000].map(due_days), [60, 60, 60], "too short a life for the wait");
        let overdue_days = |wait_days: u64| overdue_s(LIFE.life_s(), wait_days * DAY_S) / DAY_S;
        assert_eq!([0, 15, 16, 64].map(overdue_days), [15, 15, 16, 64]);
    }

    #[test]
    fn a_clock_that_may_be_wrong_renews_nothing_and_keeps_no_first_certificate_away() {
        let mut schedule = Schedule::new("g", 0);
        let unknown = Now { up_s: 5, wall_s: None };
        assert_eq!(schedule.next(Some(LIFE), unknown), Next::ClockUnknown);
        assert_eq!(schedule.next(None, unknown), Next::Ask);
        let pause_s = schedule.failed(None, unknown, None);
        assert_eq!(schedule.next(None, unknown), Next::Wait(pause_s));
    }

    #[test]
    fn pauses_double_to_a_day_and_a_renewal_by_others_ends_them() {
        let mut schedule = Schedule { share: 0, ..Schedule::new("g", 0) };
        let now = at(0, LIFE.begin_s + 70 * DAY_S);
        let pauses: Vec<u64> = (0..40).map(|_| schedule.failed(Some(LIFE), now, None)).collect();
        assert_eq!(pauses[..4], [60, 120, 240, 480]);
        assert_eq!(pauses[11..], [DAY_S; 29]);
        let renewed = Validity { begin_s: LIFE.end_s - DAY_S, end_s: LIFE.end_s + DAY_S * 90 };
        assert!(matches!(schedule.next(Some(renewed), now), Next::Wait(_)));
        assert_eq!(schedule.failed(Some(LIFE), now, None), 60);
    }

    /// A server whose certificates no hub takes is not asked all the time.
    #[test]
    fn pauses_double_on_until_a_certificate_is_proven() {
        let mut schedule = Schedule { share: 0, ..Schedule::new("g", 0) };
        let now = at(0, LIFE.begin_s + 70 * DAY_S);
        assert_eq!(schedule.failed(Some(LIFE), now, None), 60);
        schedule.succeeded(LIFE, now);
        assert_eq!((schedule.is_idle(), schedule.failed(Some(LIFE), now, None)), (false, 120));
        schedule.succeeded(LIFE, now);
        schedule.proven();
        assert_eq!((schedule.is_idle(), schedule.failed(Some(LIFE), now, None)), (true, 60));
    }

    #[test]
    fn the_pause_of_the_server_counts_within_bounds() {
        let mut schedule = Schedule::new("g", 0);
        let now = at(0, LIFE.begin_s + 70 * DAY_S);
        let pauses = [0, 17, u64::MAX].map(|asked| schedule.failed(Some(LIFE), now, Some(asked)));
        assert_eq!(pauses, [ASKED_MIN_S, 17, DAY_S]);
        assert_eq!(schedule.failed(Some(LIFE), at(0, LIFE.end_s - 40), Some(3_600)), 10);
        assert_eq!(schedule.failed(Some(LIFE), at(0, LIFE.end_s), Some(DAY_S)), HOUR_S);
    }

    #[test]
    fn a_certificate_that_is_due_when_it_comes_is_not_renewed_at_once() {
        let mut schedule = Schedule::new("g", 0);
        // Made now, with a life that began three days ago.
        let new = |wall_s: u64| Validity { begin_s: wall_s - 3 * DAY_S, end_s: wall_s + HOUR_S };
        let (mut requests, begin_s) = (0, 100 * DAY_S);
        let mut in_use = new(begin_s);
        for up_s in 0..DAY_S {
            let now = at(up_s, begin_s + up_s);
            assert!(in_use.end_s > begin_s + up_s);
            if schedule.next(Some(in_use), now) == Next::Ask {
                in_use = new(begin_s + up_s);
                schedule.succeeded(in_use, now);
                requests += 1;
            }
        }
        assert_eq!(requests, 72);
        let year = Validity { begin_s: 0, end_s: 365 * DAY_S };
        schedule.succeeded(year, at(0, 275 * DAY_S));
        assert_eq!(schedule.next(Some(year), at(0, 275 * DAY_S)), Next::Wait(30 * DAY_S));
        schedule.succeeded(LIFE, Now { up_s: 7, wall_s: None });
        assert_eq!(schedule.next(None, at(7, 0)), Next::Wait(ASKED_MIN_S));
        // One that has lasted long is due as ever.
        schedule.succeeded(LIFE, at(0, LIFE.begin_s));
        assert!(schedule.due_s(LIFE) > LIFE.begin_s + 2 * DAY_S);
        assert_eq!(schedule.next(Some(LIFE), at(60 * DAY_S, LIFE.end_s - DAY_S)), Next::Ask);
    }

    proptest! {
        /// Whatever the dates and clocks are, every gateway asks before the end, and again before it.
        #[test]
        fn it_asks_in_time(
            begin_s: u64,
            life_s in 0_u64..1 << 40,
            wait_s in 0_u64..1 << 40,
            id: String,
            late_s in 0_u64..1 << 40,
            failures in 0_u32..100,
            up_s: u64,
        ) {
            let validity = Validity { begin_s, end_s: begin_s.saturating_add(life_s) };
            let mut schedule = Schedule::new(&id, wait_s);
            let due_s = schedule.due_s(validity);
            let life_s = validity.life_s();
            prop_assert!(wait_s > life_s / 10 * 7 || validity.end_s - due_s >= overdue_s(life_s, wait_s));
            prop_assert!(due_s >= begin_s && due_s <= validity.end_s);
            let wall_s = due_s.saturating_add(late_s);
            for _ in 0..failures {
                let pause_s = schedule.failed(Some(validity), at(up_s, wall_s), None);
                prop_assert!((1..=DAY_S + DAY_S / SPREAD).contains(&pause_s));
                prop_assert!(wall_s >= validity.end_s || pause_s <= (validity.end_s - wall_s).max(1));
                prop_assert!(schedule.next(Some(validity), at(up_s.saturating_add(pause_s), wall_s)) == Next::Ask);
            }
        }

        /// No server gets more than a few dozen requests by the haste before the end.
        #[test]
        fn haste_is_bounded(life_s in 100_u64..100_000_000) {
            let validity = Validity { begin_s: 0, end_s: life_s };
            let mut schedule = Schedule::new("g", 0);
            let (mut wall_s, mut requests) = (schedule.due_s(validity), 0);
            while wall_s < life_s {
                wall_s += schedule.failed(Some(validity), at(0, wall_s), None);
                requests += 1;
            }
            prop_assert!(requests < 2_000, "{requests}");
        }
    }
}
