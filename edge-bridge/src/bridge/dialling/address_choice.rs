//! Choice among several addresses of the hub: dials the first that works, and later returns to the first in the list (failback). Pure.
//!
//! A round tries each address once. Within it the next one is dialled after the shortest delay; the delay grows from round to round. After a stable
//! connection, one with a PUBACK or of 30 s, a new round begins with the first address, or, without failback, with the one that worked.

/// Milliseconds on another address after which the first one is probed. Doubles with each probe that fails.
const RETURN_MS: u64 = 30_000;
/// Upper bound of the delay that starts at [`RETURN_MS`], in milliseconds.
const RETURN_MAX_MS: u64 = 3_600_000;
/// Longest wait, in milliseconds, for a moment without unacknowledged messages before the connection is left, because an unacknowledged
/// message is sent twice.
const LEAVE_WITHIN_MS: u64 = 10_000;

/// Outcome of a connection, or of an attempt to make one, for the choice of the next address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bridge) enum End {
    /// No connection was made, the hub refused the CONNECT, or the connection ended before it was stable or because the hub no longer answered.
    InVain,
    /// The connection was useful until it was cut.
    Worked,
    /// This side ended the connection to return to the first address.
    Left,
    /// The same address is dialled again, because the hub wants another version of MQTT or another client has taken the session.
    Stays,
    /// This side ended a connection that worked, for another one to the same address.
    Replaced,
}

/// Step of the return to the first address (failback).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bridge) enum Return {
    /// Dial the first address beside the present connection, to see if it can be reached.
    Probe,
    /// End the present connection, to return to the first address.
    Leave,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The first address is in use, or there is no connection.
    Home,
    /// Another address is in use; the first is probed at this up time, in milliseconds.
    Due(u64),
    Probing,
    /// The first address can be reached; the present connection ends at this up time, in milliseconds, at the latest.
    Leaving(u64),
}

/// State of the choice. Addresses are numbered by their place in the configured list, from 0.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct AddressChoice {
    count: usize,
    failback: bool,
    current: usize,
    /// Failed attempts in the present round.
    tried: usize,
    /// Set while the current address had a connection that worked and was replaced: one attempt in vain may be for the certificate with which it is replaced,
    /// and the next one there has the former.
    is_replaced: bool,
    /// Address of the last connection that was accepted.
    accepted: Option<usize>,
    return_ms: u64,
    way: Way,
}

impl AddressChoice {
    pub(in crate::bridge) fn new(count: usize, failback: bool) -> Self {
        let count = count.max(1);
        let (current, tried, is_replaced) = (0, 0, false);
        let (accepted, return_ms, way) = (None, RETURN_MS, Way::Home);
        Self { count, failback, current, tried, is_replaced, accepted, return_ms, way }
    }

    /// Returns the address to dial.
    pub(in crate::bridge) fn current(&self) -> usize {
        self.current
    }

    /// Returns whether the last accepted connection led to another address than the current one. If so, what is known of the session there is
    /// not valid here.
    pub(in crate::bridge) fn is_elsewhere(&self) -> bool {
        self.accepted.is_some_and(|address| address != self.current)
    }

    /// Records that the hub accepted the connection.
    pub(in crate::bridge) fn on_accepted(&mut self, now_ms: u64) {
        self.accepted = Some(self.current);
        if self.current > 0 && self.failback {
            self.way = Way::Due(now_ms + self.return_ms);
        }
    }

    /// Records the end of a connection and chooses the next address. Returns `true` if the next dial should come after the shortest delay,
    /// because addresses of the present round are untried, because the link returns to the first one, or because nothing was wrong.
    pub(in crate::bridge) fn on_over(&mut self, end: End) -> bool {
        self.way = Way::Home;
        let was_replaced = std::mem::take(&mut self.is_replaced);
        match end {
            End::Worked => {
                self.tried = 0;
                if self.current == 0 || !self.failback {
                    self.return_ms = RETURN_MS;
                } else {
                    self.current = 0;
                }
                false
            }
            End::Left => {
                (self.tried, self.current) = (0, 0);
                self.look_later();
                true
            }
            End::Stays => false,
            End::Replaced => {
                (self.tried, self.is_replaced) = (0, true);
                true
            }
            End::InVain if was_replaced => true,
            End::InVain => {
                self.current = (self.current + 1) % self.count;
                self.tried = (self.tried + 1) % self.count;
                self.tried > 0
            }
        }
    }

    /// Records if the first address could be reached by a [`Return::Probe`].
    pub(in crate::bridge) fn on_probed(&mut self, now_ms: u64, is_reachable: bool) {
        if self.way != Way::Probing {
            return;
        }
        self.way = if is_reachable {
            Way::Leaving(now_ms + LEAVE_WITHIN_MS)
        } else {
            self.look_later();
            Way::Due(now_ms + self.return_ms)
        };
    }

    fn look_later(&mut self) {
        self.return_ms = (self.return_ms * 2).min(RETURN_MAX_MS);
    }

    /// Returns the step to take now, if any. `is_idle` says that every message that was sent has its PUBACK, at QoS 2 its PUBCOMP.
    pub(in crate::bridge) fn poll(&mut self, now_ms: u64, is_idle: bool) -> Option<Return> {
        match self.way {
            Way::Due(at_ms) if at_ms <= now_ms => {
                self.way = Way::Probing;
                Some(Return::Probe)
            }
            Way::Leaving(at_ms) if is_idle || at_ms <= now_ms => Some(Return::Leave),
            _ => None,
        }
    }

    /// Up time, in milliseconds, at which [`poll`](Self::poll) has a step to return without an event. `None` while no step is planned.
    pub(in crate::bridge) fn next_deadline(&self) -> Option<u64> {
        match self.way {
            Way::Due(at_ms) | Way::Leaving(at_ms) => Some(at_ms),
            Way::Home | Way::Probing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_rounds_of_one() {
        let mut choice = AddressChoice::new(1, true);
        for end in [End::InVain, End::Worked, End::InVain, End::InVain] {
            choice.on_accepted(7);
            assert_eq!((choice.on_over(end), choice.current(), choice.is_elsewhere()), (false, 0, false));
            assert_eq!(choice.next_deadline(), None);
        }
    }

    #[test]
    fn a_round_tries_each_address_once() {
        let mut choice = AddressChoice::new(3, true);
        let ends: Vec<_> = (0..6).map(|_| (choice.on_over(End::InVain), choice.current())).collect();
        assert_eq!(ends, [(true, 1), (true, 2), (false, 0), (true, 1), (true, 2), (false, 0)]);
    }

    #[test]
    fn behind_a_connection_that_worked_a_round_begins_with_the_first() {
        let mut choice = AddressChoice::new(3, true);
        assert!(choice.on_over(End::InVain) && choice.on_over(End::InVain));
        choice.on_accepted(0);
        assert!(!choice.is_elsewhere());
        assert_eq!((choice.on_over(End::Worked), choice.current(), choice.is_elsewhere()), (false, 0, true));
        let ends: Vec<_> = (0..3).map(|_| choice.on_over(End::InVain)).collect();
        assert_eq!(ends, [true, true, false], "a whole round");
    }

    #[test]
    fn without_failback_it_stays_where_it_works() {
        let mut choice = AddressChoice::new(3, false);
        assert!(choice.on_over(End::InVain));
        choice.on_accepted(0);
        assert_eq!(choice.next_deadline(), None);
        assert_eq!((choice.on_over(End::Worked), choice.current()), (false, 1));
        let ends: Vec<_> = (0..3).map(|_| (choice.on_over(End::InVain), choice.current())).collect();
        assert_eq!(ends, [(true, 2), (true, 0), (false, 1)], "a whole round, from where it worked");
    }

    /// The address that works is dialled again at once, and the round that follows is a whole one.
    #[test]
    fn a_replaced_connection_is_one_to_the_same_address() {
        let mut choice = AddressChoice::new(3, true);
        assert!(choice.on_over(End::InVain));
        choice.on_accepted(0);
        assert_eq!(
            (choice.on_over(End::Replaced), choice.current(), choice.next_deadline()),
            (true, 1, None)
        );
        let ends: Vec<_> = (0..4).map(|_| (choice.on_over(End::InVain), choice.current())).collect();
        assert_eq!(ends, [(true, 1), (true, 2), (true, 0), (false, 1)]);
    }

    /// A hub that refuses a renewed certificate is tried with the former one before another hub is offered the new one.
    #[test]
    fn behind_a_replaced_connection_one_attempt_in_vain_stays() {
        let mut choice = AddressChoice::new(2, true);
        choice.on_accepted(0);
        assert!(choice.on_over(End::Replaced));
        assert!(choice.on_over(End::InVain));
        assert_eq!(choice.current(), 0);
        assert!(choice.on_over(End::InVain));
        assert_eq!(choice.current(), 1, "once");
    }

    /// Looked for after 30 s, then ever more rarely; left when nothing is on its way, or ten seconds later.
    #[test]
    fn the_first_is_looked_for_and_gone_back_to() {
        let mut choice = AddressChoice::new(2, true);
        assert!(choice.on_over(End::InVain));
        choice.on_accepted(1_000);
        let mut now_ms = 1_000;
        for wait_ms in [30_000, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000] {
            assert_eq!(choice.next_deadline(), Some(now_ms + wait_ms));
            assert_eq!(choice.poll(now_ms + wait_ms - 1, true), None);
            now_ms += wait_ms;
            assert_eq!(choice.poll(now_ms, true), Some(Return::Probe));
            assert_eq!((choice.poll(now_ms, true), choice.next_deadline()), (None, None), "one at a time");
            choice.on_probed(now_ms, false);
        }
        now_ms += RETURN_MAX_MS;
        assert_eq!(choice.poll(now_ms, false), Some(Return::Probe));
        choice.on_probed(now_ms, true);
        assert_eq!(choice.poll(now_ms + LEAVE_WITHIN_MS - 1, false), None);
        assert_eq!(choice.next_deadline(), Some(now_ms + LEAVE_WITHIN_MS));
        assert_eq!(choice.poll(now_ms + 1, true), Some(Return::Leave));
        assert_eq!(choice.poll(now_ms + LEAVE_WITHIN_MS, false), Some(Return::Leave));
        assert_eq!((choice.on_over(End::Left), choice.current()), (true, 0));
    }

    /// An address that is reached and then does nothing is not gone back to every half minute.
    #[test]
    fn a_return_in_vain_makes_the_next_one_rarer_until_the_first_worked() {
        let mut choice = AddressChoice::new(2, true);
        assert!(choice.on_over(End::InVain));
        let mut now_ms = 0;
        for wait_ms in [30_000, 60_000, 120_000] {
            choice.on_accepted(now_ms);
            now_ms += wait_ms;
            assert_eq!(choice.poll(now_ms - 1, true), None);
            assert_eq!(choice.poll(now_ms, true), Some(Return::Probe));
            choice.on_probed(now_ms, true);
            assert_eq!(choice.poll(now_ms, true), Some(Return::Leave));
            choice.on_over(End::Left);
            assert!(choice.on_over(End::InVain), "on the first");
        }
        choice.on_over(End::Worked);
        choice.on_accepted(now_ms);
        choice.on_over(End::Worked);
        choice.on_over(End::InVain);
        choice.on_accepted(now_ms);
        assert_eq!(choice.next_deadline(), Some(now_ms + RETURN_MS));
    }

    #[test]
    fn an_answer_to_a_probe_of_an_earlier_connection_says_nothing() {
        let mut choice = AddressChoice::new(2, true);
        choice.on_over(End::InVain);
        choice.on_accepted(0);
        assert_eq!(choice.poll(RETURN_MS, true), Some(Return::Probe));
        choice.on_over(End::InVain);
        choice.on_probed(RETURN_MS, true);
        assert_eq!((choice.poll(u64::MAX, true), choice.next_deadline()), (None, None));
    }
}
