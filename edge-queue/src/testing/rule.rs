//! The mechanism of every judge: named rules, each of which can be switched off.
//!
//! Each rule is checked in one place and each verdict names its rule, so that a negative control (a planted bug) can say which
//! rule must convict it, and a rule that is switched off leaves a control unconvicted.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Declares the rules of a judge: an enum whose [`ALL`](crate::testing::JudgeRule::ALL) cannot miss one.
///
/// ```
/// edge_queue::judge_rules! {
///     /// What a clock must do.
///     pub(crate) enum Rule {
///         /// It goes on.
///         Forward,
///     }
/// }
/// ```
#[macro_export]
macro_rules! judge_rules {
    ($(#[$about:meta])* $vis:vis enum $name:ident { $($(#[$what:meta])* $rule:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(clippy::exhaustive_enums, reason = "a rule without a control is not to compile")]
        $vis enum $name { $($(#[$what])* $rule,)+ }

        impl $crate::testing::JudgeRule for $name {
            const ALL: &'static [Self] = &[$($name::$rule),+];
        }
    };
}

thread_local! {
    /// Rules of any judge that are switched off.
    static OFF: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// A rule of a judge, declared with [`judge_rules!`](crate::judge_rules!).
pub trait JudgeRule: Copy + PartialEq + fmt::Debug + 'static {
    /// Every rule, in the order in which they are declared.
    const ALL: &'static [Self];

    /// Runs `f` in this thread with these rules switched off: the judge does not convict by them.
    fn without<T>(rules: &[Self], f: impl FnOnce() -> T) -> T {
        let before = OFF.with_borrow_mut(|off| {
            let before = off.len();
            off.extend(rules.iter().map(|rule| Box::new(*rule) as Box<dyn Any>));
            before
        });
        let result = f();
        OFF.with_borrow_mut(|off| off.truncate(before));
        result
    }

    /// Runs `f` in this thread with every rule but this one switched off.
    fn alone<T>(self, f: impl FnOnce() -> T) -> T {
        let others: Vec<Self> = Self::ALL.iter().copied().filter(|rule| *rule != self).collect();
        Self::without(&others, f)
    }

    /// Returns whether the rule is switched off.
    fn is_off(self) -> bool {
        OFF.with_borrow(|off| off.iter().any(|off| off.downcast_ref() == Some(&self)))
    }

    /// The verdict where the rule is broken.
    ///
    /// # Errors
    ///
    /// The violation, unless the rule is off.
    fn broken(self, why: impl FnOnce() -> String) -> Result<(), Violation<Self>> {
        if self.is_off() { Ok(()) } else { Err(self.fatal(why())) }
    }

    /// The verdict where the rule holds if `holds`.
    ///
    /// # Errors
    ///
    /// The violation, unless the rule is off.
    fn require(self, holds: bool, why: impl FnOnce() -> String) -> Result<(), Violation<Self>> {
        if holds { Ok(()) } else { self.broken(why) }
    }

    /// The violation after which nothing can be judged any more. [`catching`](Self::catching) excuses it if the rule is off.
    fn fatal(self, why: String) -> Violation<Self> {
        Violation { rule: self, why }
    }

    /// The verdict of `f`, by whose panic this rule is broken. After a violation of a rule that is off nothing more is judged.
    ///
    /// # Errors
    ///
    /// The violation, unless its rule is off.
    fn catching<T: Default>(
        self,
        f: impl FnOnce() -> Result<T, Violation<Self>>,
    ) -> Result<T, Violation<Self>> {
        let verdict =
            catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(self.fatal("it panicked".into())));
        verdict.or_else(|why| if why.rule.is_off() { Ok(T::default()) } else { Err(why) })
    }

    /// Asserts that the rule convicts a control, and does not once it is switched off. `find` gives the first violation that
    /// the judge sees in it. Rules in `aside` are off throughout: they would see the same bug first.
    ///
    /// # Panics
    ///
    /// If another rule convicts, or none.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of tests")]
    fn convicts(self, control: impl fmt::Debug, aside: &[Self], find: impl Fn() -> Option<Violation<Self>>) {
        let found = Self::without(aside, &find);
        println!("{self:?} finds {control:?}: {found:?}");
        match found {
            Some(found) if found.rule == self => {}
            other => panic!("{self:?} must convict {control:?}, found {other:?}"),
        }
        let without = Self::without(aside, || Self::without(&[self], &find));
        assert!(
            without.as_ref().is_none_or(|found| found.rule != self),
            "{control:?}, {self:?} switched off: {without:?}"
        );
    }
}

/// A rule that was broken, and where. Without a parameter it is one of the [stores' judges](super::Rule).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation<R = super::Rule> {
    /// Rule that was broken.
    pub rule: R,
    /// Finding in words, for whoever mends it.
    pub why: String,
}

impl<R> Violation<R> {
    /// Returns the violation with the place put before its text.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Violation { why: format!("{place}: {}", self.why), ..self }
    }
}

impl<R: fmt::Debug> fmt::Display for Violation<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.why)
    }
}

impl<R: fmt::Debug> std::error::Error for Violation<R> {}

impl<R: fmt::Debug> From<Violation<R>> for String {
    fn from(violation: Violation<R>) -> String {
        violation.to_string()
    }
}
