//! Condition under which an interlock trips: a tree over inputs.

use super::voting::{Count, Degraded, Vote, at_least};
use crate::error::ParamError;

/// Condition under which an interlock trips. It is checked once, by [`Interlock::new`](super::Interlock::new).
///
/// ```
/// use edge_filter::interlock::{Condition, Interlock, Test};
///
/// // Too hot, or the emergency stop, whose contact is closed while all is well.
/// let hot = Condition::Input { input: 0, test: Test::Above(220.0) };
/// let stop = Condition::Input { input: 1, test: Test::IsFalse };
/// assert!(Interlock::new(Condition::Any(vec![hot, stop])).is_ok());
/// assert!(Interlock::new(Condition::Any(Vec::new())).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// The value of one input fulfils a test.
    Input {
        /// Number of the input.
        input: usize,
        /// Test that demands a trip if the value fulfils it.
        test: Test,
    },
    /// All of the conditions demand a trip; there is at least one.
    All(Vec<Condition>),
    /// One of the conditions demands a trip; there is at least one.
    Any(Vec<Condition>),
    /// The inner condition is known not to demand a trip.
    Not(Box<Condition>),
    /// At least `k` of the conditions demand a trip, such as 2oo3 with `k = 2` of three.
    AtLeast {
        /// Number of conditions that are enough, from 1 to the number of all.
        k: usize,
        /// Conditions of the channels.
        of: Vec<Condition>,
        /// Vote of a channel that is unknown.
        degraded: Degraded,
    },
}

/// Test of an input's value that demands a trip. All limits are inclusive.
///
/// A condition calls it with values that it can judge alone; any other is unknown, below a [`Condition::Not`] too.
///
/// ```
/// use edge_filter::interlock::Test;
///
/// assert!(Test::Above(8.0).demands(8.0) && !Test::Below(2.0).demands(2.1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Test {
    /// True at or above the limit.
    Above(f64),
    /// True at or below the limit.
    Below(f64),
    /// The value is 1, as of an alarm contact. A broken wire is noticed only if the input becomes bad. A value that is neither 0 nor 1 is
    /// bad: nobody knows what a contact means by it.
    IsTrue,
    /// The value is 0, as of a contact that is closed while all is well. An emergency stop should be such a contact. A value that is neither
    /// 0 nor 1 is bad.
    IsFalse,
}

impl Test {
    /// Returns whether the value demands a trip. So does one that is neither 0 nor 1 by both [`Test::IsTrue`] and [`Test::IsFalse`].
    #[must_use]
    pub fn demands(self, value: f64) -> bool {
        match self {
            Test::Above(limit) => value >= limit,
            Test::Below(limit) => value <= limit,
            Test::IsTrue => value != 0.0,
            Test::IsFalse => value != 1.0,
        }
    }

    /// Returns whether the value can be judged: a finite number, and of a contact 0 or 1.
    fn can_judge(self, value: f64) -> bool {
        match self {
            Test::Above(_) | Test::Below(_) => value.is_finite(),
            Test::IsTrue | Test::IsFalse => value == 0.0 || value == 1.0,
        }
    }
}

/// Limit of the depth of a condition tree. A deeper tree is refused, because a reviewer could not check it and
/// evaluation is recursive.
pub(super) const DEPTH_MAX: usize = 16;

impl Condition {
    /// Returns the vote of the condition. `read` returns the value of an input, `None` if it is not good. NaN and the infinities count as
    /// `None`, because no sensor measures them, and so does what is neither 0 nor 1 where a contact is asked for.
    pub fn vote(&self, read: &impl Fn(usize) -> Option<f64>) -> Vote {
        match self {
            Condition::Input { input, test } => match read(*input).filter(|value| test.can_judge(*value)) {
                Some(value) if test.demands(value) => Vote::Trip,
                Some(_) => Vote::Healthy,
                None => Vote::Unknown,
            },
            Condition::Not(inner) => inner.vote(read).not(),
            Condition::All(of) => at_least(of.len(), Degraded::TripVote, count(of, read)),
            Condition::Any(of) => at_least(1, Degraded::TripVote, count(of, read)),
            Condition::AtLeast { k, of, degraded } => at_least(*k, *degraded, count(of, read)),
        }
    }

    /// Returns whether an input of the condition is not good.
    pub(super) fn is_degraded(&self, read: &impl Fn(usize) -> Option<f64>) -> bool {
        match self {
            Condition::Input { input, test } => !read(*input).is_some_and(|value| test.can_judge(value)),
            Condition::Not(inner) => inner.is_degraded(read),
            Condition::All(of) | Condition::Any(of) | Condition::AtLeast { of, .. } => {
                of.iter().any(|one| one.is_degraded(read))
            }
        }
    }

    pub(super) fn check(&self, depth: usize) -> Result<(), ParamError> {
        let refused = |must_be, found: String| Err(ParamError::new("trip_when", must_be, found));
        if depth > DEPTH_MAX {
            return refused("at most 16 levels deep", format!("more than {DEPTH_MAX}"));
        }
        let of = match self {
            Condition::Input { test: Test::Above(limit) | Test::Below(limit), .. } if !limit.is_finite() => {
                return refused("a tree whose limits are finite numbers", limit.to_string());
            }
            Condition::Input { .. } => return Ok(()),
            Condition::Not(inner) => return inner.check(depth + 1),
            Condition::AtLeast { k, of, .. } if *k < 1 || *k > of.len() => {
                return refused("at least 1 and at most all of its channels", format!("{k} of {}", of.len()));
            }
            Condition::All(of) | Condition::Any(of) | Condition::AtLeast { of, .. } => of,
        };
        if of.is_empty() {
            return refused("a tree without empty lists", "an empty list".to_owned());
        }
        of.iter().try_for_each(|one| one.check(depth + 1))
    }
}

fn count(conditions: &[Condition], read: &impl Fn(usize) -> Option<f64>) -> Count {
    conditions.iter().map(|condition| condition.vote(read)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Interlock, InterlockState, Reset};
    use super::*;

    /// A closed contact that reports 2, or half of 1, is no healthy one; nor does a `Not` make one of an alarm contact.
    #[test]
    fn promise_14_a_contact_that_is_neither_0_nor_1_is_bad() {
        let of = |test| Condition::Input { input: 0, test };
        let not = |test| Condition::Not(Box::new(of(test)));
        for condition in [of(Test::IsTrue), of(Test::IsFalse), not(Test::IsTrue), not(Test::IsFalse)] {
            for value in [2.0, 0.5, -1.0, 255.0, f64::MIN_POSITIVE, 1.0 + f64::EPSILON, f64::NAN] {
                assert_eq!(condition.vote(&|_| Some(value)), Vote::Unknown, "{condition:?} {value}");
                let interlock = Interlock::new(condition.clone()).unwrap();
                let interlock = interlock.reset_by(Reset::Auto { after_ms: 0 }).unwrap();
                let status = interlock.evaluate(&mut InterlockState::default(), &|_| Some(value), 0);
                assert!(!status.energised && status.degraded, "{condition:?} {value}");
            }
            for value in [0.0, -0.0, 1.0] {
                assert_ne!(condition.vote(&|_| Some(value)), Vote::Unknown, "{condition:?} {value}");
                assert!(!condition.is_degraded(&|_| Some(value)), "{condition:?} {value}");
            }
        }
        for value in [2.0, 0.5, -1.0] {
            assert!(Test::IsTrue.demands(value) && Test::IsFalse.demands(value), "{value}");
            assert_eq!(of(Test::Above(8.0)).vote(&|_| Some(value)), Vote::Healthy, "{value}");
        }
    }

    #[test]
    fn promise_14_a_value_at_its_limit_trips() {
        for (test, at, short) in [(Test::Above(80.0), 80.0, 79.9), (Test::Below(10.0), 10.0, 10.1)] {
            let condition = Condition::Input { input: 0, test };
            assert_eq!(condition.vote(&|_| Some(at)), Vote::Trip, "{test:?}");
            assert_eq!(condition.vote(&|_| Some(short)), Vote::Healthy, "{test:?}");
            assert_eq!(Condition::Not(Box::new(condition)).vote(&|_| Some(at)), Vote::Healthy, "{test:?}");
        }
    }
}
