//! Building of a pipeline from a configuration file. An error in one rule or stage does not hide those in the next.

use crate::pipeline::Pipeline;

use super::error::ConfigError;
use super::file::ConfigFile;
use super::from_config::Assembly;
use super::path::Place;
use super::{AlarmConfig, RuleConfig, StageConfig};
use toml::Spanned;
use toml::de::DeValue;

impl Pipeline {
    /// Builds a pipeline from TOML; see [`config`](crate::config) for the keys.
    ///
    /// # Errors
    /// All errors in the file, each with its line, its rule, stage and key, and the values that are allowed. If the file is not TOML, and among
    /// the values of one stage, the first error only.
    pub fn from_toml(text: &str) -> Result<Pipeline, ConfigError> {
        let mut file = ConfigFile::parse(text)?;
        let place = Place::root().key("defaults");
        let defaults = file.take_value("defaults").and_then(|value| file.read_whole(value, &place));
        let defaults = defaults.unwrap_or_default();
        let rules = file.take_value("rule").map(|value| file.elements(value, &Place::root().key("rule")));
        let mut assembly = Assembly::new(&defaults);
        for (index, rule) in rules.into_iter().flatten().enumerate() {
            let Some((rule, stages)) = read_rule(&mut file, rule, index) else { continue };
            let stages: Vec<_> = stages.iter().map(|(index, stage)| (*index, stage)).collect();
            assembly.rule(index, &rule, &stages);
        }
        for (index, alarm) in file.take_each::<AlarmConfig>("alarm") {
            assembly.alarm(index, &alarm);
        }
        file.refuse_rest();
        assembly.finish(file)
    }
}

/// Reads a rule, and those of its stages that can be read, with their places in the list.
fn read_rule<'t>(
    file: &mut ConfigFile<'t>,
    value: Spanned<DeValue<'t>>,
    index: usize,
) -> Option<(RuleConfig, Vec<(usize, StageConfig)>)> {
    let place = Place::root().key("rule").index(index);
    let span = value.span();
    let mut stages = Vec::new();
    let rest = match value.into_inner() {
        DeValue::Table(mut table) => {
            if let Some(found) = table.remove("stages") {
                stages = file.elements(found, &place.key("stages"));
            }
            DeValue::Table(table)
        }
        other => other,
    };
    let mut read = Vec::with_capacity(stages.len());
    for (index, stage) in stages.into_iter().enumerate() {
        let place = place.key("stages").index(index);
        if let Some(problem) = no_single_stage(stage.get_ref()) {
            file.refuse(&place, &stage.span(), problem);
            continue;
        }
        read.extend(file.read_whole(stage, &place).map(|stage| (index, stage)));
    }
    let rule = file.read_whole(Spanned::new(span, rest), &place)?;
    Some((rule, read))
}

/// Returns the problem of an element of `stages` that is not a table with one key. `None`: it is one.
fn no_single_stage(element: &DeValue<'_>) -> Option<String> {
    let found = match element {
        DeValue::Table(table) if table.len() == 1 => return None,
        DeValue::Table(table) if table.is_empty() => "an empty table".to_owned(),
        DeValue::Table(table) => {
            let keys: Vec<String> = table.keys().map(|key| format!("`{}`", key.get_ref())).collect();
            format!("the keys {}: each stage is an element of its own", keys.join(", "))
        }
        other => format!("a value of type {}", other.type_str()),
    };
    Some(format!("expected one stage, such as `{{ deadband = {{ absolute = 0.5 }} }}`, found {found}"))
}
