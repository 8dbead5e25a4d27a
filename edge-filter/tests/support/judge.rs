//! Checks that can be checked: each rule of a check is asked in one place, and any of them can be left out.

use std::fmt::Debug;

use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;

/// A rule that was broken, and where.
pub(crate) type Violation<R> = (R, String);

/// The rules that a check asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Judge<R> {
    All,
    Only(R),
    None,
}

impl<R: Copy + PartialEq + Debug> Judge<R> {
    pub(crate) fn require(
        self,
        rule: R,
        holds: bool,
        why: impl FnOnce() -> String,
    ) -> Result<(), Violation<R>> {
        let asked = match self {
            Judge::All => true,
            Judge::Only(only) => only == rule,
            Judge::None => false,
        };
        if holds || !asked { Ok(()) } else { Err((rule, why())) }
    }
}

/// Asserts that `rule` by itself convicts a planted bug, and that nothing does once it is left out too.
#[track_caller]
pub(crate) fn convicts<R: Copy + PartialEq + Debug>(
    rule: R,
    bug: impl Debug,
    find: impl Fn(Judge<R>) -> Option<Violation<R>>,
) {
    let found = find(Judge::Only(rule));
    assert_eq!(found.map(|(rule, _)| rule), Some(rule), "{bug:?} was not found");
    assert_eq!(find(Judge::None), None, "{bug:?} without {rule:?}");
}

/// The first violation among so many values of `strategy`.
pub(crate) fn first_violation<S: Strategy, R>(
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), Violation<R>>,
) -> Option<Violation<R>> {
    let mut runner = super::runner(cases);
    (0..cases).find_map(|_| check(strategy.new_tree(&mut runner).unwrap().current()).err())
}

/// For a property: the verdict in proptest's words.
pub(crate) fn verdict<R: Debug>(found: Result<(), Violation<R>>) -> proptest::test_runner::TestCaseResult {
    found.map_err(|(rule, why)| proptest::test_runner::TestCaseError::fail(format!("{rule:?}: {why}")))
}
