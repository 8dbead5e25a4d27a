//! `[[test]]`: messages, and the output that is expected for them. `edge-gateway test` runs these cases; `run` and `check` only read them.

use std::time::Duration;

use edge_bridge::wire::validate_topic_name;

use super::Findings;
use super::section::{Placed, Section, World};
use super::tables::tables_of;
use super::units;

/// Most messages of a case.
const MESSAGES_MAX: usize = 10_000;
/// Longest time from the beginning of a case to its end.
const TIME_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Case of a test: messages and expected lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestCase {
    pub(crate) name: String,
    /// Messages and moments, in order of time.
    pub(crate) input: Vec<Step>,
    /// Expected lines, in the form in which the command prints them.
    pub(crate) expect: Vec<String>,
}

/// Step of a case: a moment, with or without a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Time since the beginning of the case.
    pub(crate) at: Duration,
    /// Topic and payload. `None`: the clock only advances to this moment.
    pub(crate) message: Option<(String, String)>,
}

pub(super) fn test_cases<'a>(
    top: &mut Section<'a>,
    world: &'a World<'a>,
    findings: &mut Findings,
) -> Vec<TestCase> {
    let mut cases = Vec::new();
    for (number, at, table) in tables_of(top, "test", findings) {
        let section = Section::new(&format!("test[{number}]"), at, Some(table), world);
        let name = section.string("name", findings).map(|name| name.value);
        let input = section.placed_strings("input", findings).map(|list| list.value).unwrap_or_default();
        let expect = section.strings("expect", findings).map(|list| list.value).unwrap_or_default();
        let input = steps(&section, &input, findings);
        cases.push(TestCase { name: name.unwrap_or_else(|| format!("case {number}")), input, expect });
        section.finish(findings);
    }
    cases
}

/// Reads the steps, each a line `TIME [TOPIC PAYLOAD]`.
fn steps(section: &Section<'_>, lines: &[Placed<String>], findings: &mut Findings) -> Vec<Step> {
    let key = section.key("input");
    if lines.is_empty() {
        findings.error(section.at(), &key, "missing: what comes in, as \"TIME TOPIC PAYLOAD\"");
    }
    if lines.len() > MESSAGES_MAX {
        findings.error(section.at_key("input"), &key, format!("at most {MESSAGES_MAX} messages"));
    }
    let (mut steps, mut last) = (Vec::new(), Duration::ZERO);
    for Placed { value, at } in lines.iter().take(MESSAGES_MAX) {
        match step(value) {
            Ok(step) if step.at < last => {
                findings.error(*at, &key, format!("\"{value}\": earlier than the line before"));
            }
            Ok(step) => {
                last = step.at;
                steps.push(step);
            }
            Err(why) => findings.error(*at, &key, format!("\"{value}\": {why}")),
        }
    }
    steps
}

fn step(line: &str) -> Result<Step, String> {
    let line = line.trim();
    let (at, rest) = line.split_once(' ').unwrap_or((line, ""));
    let at = units::duration(at)?;
    if at > TIME_MAX {
        return Err("a case lasts a year at most".to_owned());
    }
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Ok(Step { at, message: None });
    }
    let (topic, payload) = rest.split_once(' ').unwrap_or((rest, ""));
    validate_topic_name(topic).map_err(|error| format!("the topic {topic}: {error}"))?;
    Ok(Step { at, message: Some((topic.to_owned(), payload.to_owned())) })
}
