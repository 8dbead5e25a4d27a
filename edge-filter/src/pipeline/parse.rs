//! A configuration file, piece by piece: a mistake in one rule or stage does not hide those in the next.

use super::Pipeline;
use super::config::{AlarmConfig, Defaults, RuleConfig, StageConfig};
use super::config_error::{ConfigError, Place, Problem};
use super::from_config::Assembly;
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

impl Pipeline {
    /// A pipeline from TOML; see [`config`](crate::config) for the keys.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line, its rule, stage and key, and what it should be. In a file that is
    /// not TOML, and within one stage, only what is found first.
    pub fn from_toml(text: &str) -> Result<Pipeline, ConfigError> {
        let table = DeTable::parse(text)
            .map_err(|error| ConfigError::from(Problem::parse(Place::root(), &error, text)))?;
        let mut file = File { text, problems: Vec::new() };
        let (mut defaults, mut rules, mut alarms) = (Defaults::default(), Vec::new(), Vec::new());
        for (key, value) in table.into_inner() {
            match key.get_ref().as_ref() {
                "defaults" => defaults = file.read(value, Place::root().key("defaults")).unwrap_or_default(),
                "rule" => rules = file.elements(value, Place::root().key("rule")),
                "alarm" => alarms = file.elements(value, Place::root().key("alarm")),
                other => {
                    let problem =
                        format!("unknown field `{other}`, expected one of `defaults`, `rule`, `alarm`");
                    file.problems.push(Problem::spanned(Place::root(), key.span(), text, problem));
                }
            }
        }
        let mut assembly = Assembly::new(&defaults);
        for (index, rule) in rules.into_iter().enumerate() {
            let Some((rule, stages)) = file.rule(rule, index) else { continue };
            let stages: Vec<_> = stages.iter().map(|(index, stage)| (*index, stage)).collect();
            assembly.rule(index, &rule, &stages);
        }
        for (index, alarm) in alarms.into_iter().enumerate() {
            let place = Place::root().key("alarm").index(index);
            if let Some(alarm) = file.read::<AlarmConfig>(alarm, place) {
                assembly.alarm(index, &alarm);
            }
        }
        assembly.finish(file.problems, text)
    }
}

struct File<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl File<'_> {
    fn read<T: DeserializeOwned>(&mut self, value: Spanned<DeValue<'_>>, place: Place) -> Option<T> {
        let span = value.span();
        T::deserialize(value.into_deserializer())
            .map_err(|mut error: toml::de::Error| {
                let span = error.span().unwrap_or(span);
                error.set_input(None);
                self.problems.push(Problem::spanned(place, span, self.text, error.message()));
            })
            .ok()
    }

    fn elements<'v>(&mut self, value: Spanned<DeValue<'v>>, place: Place) -> Vec<Spanned<DeValue<'v>>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(elements) => elements.into_iter().collect(),
            other => {
                let problem = format!("invalid type: {}, expected an array", other.type_str());
                self.problems.push(Problem::spanned(place, span, self.text, problem));
                Vec::new()
            }
        }
    }

    /// A rule, and those of its stages that can be read, with their places.
    fn rule(
        &mut self,
        value: Spanned<DeValue<'_>>,
        index: usize,
    ) -> Option<(RuleConfig, Vec<(usize, StageConfig)>)> {
        let place = Place::root().key("rule").index(index);
        let span = value.span();
        let mut stages = Vec::new();
        let rest = match value.into_inner() {
            DeValue::Table(mut table) => {
                if let Some(found) = table.remove("stages") {
                    stages = self.elements(found, place.key("stages"));
                }
                DeValue::Table(table)
            }
            other => other,
        };
        let mut read = Vec::with_capacity(stages.len());
        for (index, stage) in stages.into_iter().enumerate() {
            let stage = self.read(stage, place.key("stages").index(index));
            read.extend(stage.map(|stage| (index, stage)));
        }
        let rule = self.read(Spanned::new(span, rest), place)?;
        Some((rule, read))
    }
}
