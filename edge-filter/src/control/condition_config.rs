//! Conversion of a configuration to the condition of an interlock.

use crate::ParamError;
use crate::interlock::{Condition, Test};
use crate::pipeline::config::error::Problem;
use crate::pipeline::config::path::Place;

use super::Inputs;
use super::config::ConditionConfig;
use super::from_config::input;

const KEYS: [&str; 10] = ["input", "above", "below", "is", "all", "any", "not", "at_least", "of", "degraded"];

impl ConditionConfig {
    /// Returns the condition, or one that never trips if the configuration is wrong. Its parts are checked even if they do not belong together.
    pub(super) fn build(&self, inputs: &Inputs, place: &Place, problems: &mut Vec<Problem>) -> Condition {
        let input = self.input.as_ref().map(|name| input(inputs, name, place, "input", problems));
        let mut list = |of: &Option<Vec<ConditionConfig>>, key: &'static str| {
            of.as_ref().map(|of| conditions(of, inputs, &place.key(key), problems))
        };
        let [all, any, of] = [list(&self.all, "all"), list(&self.any, "any"), list(&self.of, "of")];
        let not = self.not.as_ref().map(|inner| inner.build(inputs, &place.key("not"), problems));
        for (key, limit) in [("above", self.above), ("below", self.below)] {
            if let Some(limit) = limit.filter(|limit| !limit.is_finite()) {
                problems.push(Problem::param(place, &ParamError::new(key, "a finite number", limit)));
            }
        }
        let keys = self.keys();
        match (input, all, any, not, of, self.at_least) {
            (Some(number), None, None, None, None, None) if self.is_only_a_leaf() => {
                match (self.test(), number) {
                    (Some(test), Some(input)) => return Condition::Input { input, test },
                    (Some(_), None) => {}
                    (None, _) => {
                        let problem = "an input needs exactly one of `above`, `below`, `is`";
                        problems.push(
                            Problem::at(place.clone(), problem).about(place, &["above", "below", "is"]),
                        );
                    }
                }
            }
            (_, Some(all), ..) if keys == 1 => return Condition::All(all),
            (_, _, Some(any), ..) if keys == 1 => return Condition::Any(any),
            (_, _, _, Some(inner), ..) if keys == 1 => return Condition::Not(Box::new(inner)),
            (.., Some(of), Some(k)) if keys == 2 + usize::from(self.degraded.is_some()) => {
                if !of.is_empty() && !(1..=of.len()).contains(&k) {
                    let found = format!("{k} of {}", of.len());
                    let error =
                        ParamError::new("at_least", "at least 1 and at most all of its channels", found);
                    problems.push(Problem::param(place, &error).about(place, &["of"]));
                }
                return Condition::AtLeast { k, of, degraded: self.degraded.unwrap_or_default() };
            }
            _ => {
                let problem = "a condition is `input` with `above`, `below` or `is`; or `all`, `any` or `not`; or `at_least` \
                               with `of`, and `degraded` beside these two alone";
                problems.push(Problem::at(place.clone(), problem).about(place, &KEYS));
            }
        }
        Condition::Any(Vec::new())
    }

    fn keys(&self) -> usize {
        let Self { input, above, below, is, all, any, not, at_least, of, degraded } = self;
        let given = [
            input.is_some(),
            above.is_some(),
            below.is_some(),
            is.is_some(),
            all.is_some(),
            any.is_some(),
            not.is_some(),
            at_least.is_some(),
            of.is_some(),
            degraded.is_some(),
        ];
        given.into_iter().filter(|given| *given).count()
    }

    fn is_only_a_leaf(&self) -> bool {
        let tests = [self.above.is_some(), self.below.is_some(), self.is.is_some()];
        self.keys() == 1 + tests.into_iter().filter(|given| *given).count()
    }

    fn test(&self) -> Option<Test> {
        match (self.above, self.below, self.is) {
            (Some(limit), None, None) => Some(Test::Above(limit)),
            (None, Some(limit), None) => Some(Test::Below(limit)),
            (None, None, Some(true)) => Some(Test::IsTrue),
            (None, None, Some(false)) => Some(Test::IsFalse),
            _ => None,
        }
    }
}

fn conditions(
    of: &[ConditionConfig],
    inputs: &Inputs,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Vec<Condition> {
    if of.is_empty() {
        problems.push(Problem::at(place.clone(), "a list of conditions has at least one"));
    }
    let of = of.iter().enumerate();
    of.map(|(index, one)| one.build(inputs, &place.index(index), problems)).collect()
}

#[cfg(test)]
mod tests {
    use crate::control::Controller;

    #[test]
    fn a_condition_that_says_two_things_is_refused() {
        let of = |trip_when: &str| {
            let text = format!(
                "[[input]]\nname = \"a\"\nstale_after_ms = 9\n[[output]]\nname = \"b\"\nvalue = 1.0\n\
                 [[interlock]]\nname = \"c\"\noutputs = [\"b\"]\ntrip_when = {{ {trip_when} }}\n"
            );
            Controller::from_toml(&text).map(|_| ()).map_err(|error| error.to_string())
        };
        let leaf = "{ input = \"a\", is = true }";
        let [all, any, not] = [format!("all = [{leaf}]"), format!("any = [{leaf}]"), format!("not = {leaf}")];
        for one in [&all, &any, &not] {
            assert_eq!(of(one), Ok(()));
        }
        for two in [
            format!("{all}, {any}"),
            format!("{any}, {not}"),
            format!("{not}, above = 1"),
            format!("{any}, degraded = \"ignore\""),
            "input = \"a\", is = true, degraded = \"ignore\"".to_owned(),
            format!("{all}, input = \"a\", is = true"),
            format!("at_least = 1, of = [{leaf}], {not}"),
            format!("at_least = 1, of = [{leaf}], is = true"),
        ] {
            let error = of(&two);
            assert!(
                error.as_ref().is_err_and(|text| text.contains("a condition is `input`")),
                "{two}: {error:?}"
            );
            assert!(error.is_err_and(|text| text.contains("`degraded` beside")), "{two}");
        }
    }

    /// That there is no limit only follows from one that could not be read.
    #[test]
    fn a_limit_that_cannot_be_read_is_told_once() {
        let text = "[[input]]\nname = \"a\"\nstale_after_ms = 9\n[[output]]\nname = \"b\"\nvalue = 1.0\n\
                    [[interlock]]\nname = \"c\"\noutputs = [\"b\"]\ntrip_when = { input = \"a\", above = \"hot\" }\n";
        let error = Controller::from_toml(text).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("above") && error.lines().count() == 1, "{error}");
    }
}
