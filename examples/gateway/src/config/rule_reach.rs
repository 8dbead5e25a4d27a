//! Reach of a filter's rules and alarms: those that no sensor comes to, because an earlier one has all of their names. Pure.

use std::collections::HashMap;

use edge_bridge::wire::matches;
use edge_filter::{Pattern, Pipeline};

use super::Findings;

/// Reports the rules and alarms of the filter at `key` that are never used: a sensor has the first rule and the first alarm that match its name.
pub(super) fn check(pipeline: &Pipeline, key: &str, findings: &mut Findings) {
    let rules = never_used("rule", pipeline.rules().map(|(pattern, _)| pattern));
    let alarms = never_used("alarm", pipeline.alarms().map(|(pattern, _)| pattern));
    for message in rules.into_iter().chain(alarms) {
        findings.warning(0, key, message);
    }
}

/// Returns a message for each entry of the table `[[table]]` that an earlier one covers. Names without wildcards, of which a plant may list thousands,
/// are not compared with each other.
fn never_used<'p>(table: &str, patterns: impl Iterator<Item = &'p Pattern>) -> Vec<String> {
    let mut wide: Vec<(usize, String)> = Vec::new();
    let (mut names, mut told) = (HashMap::new(), Vec::new());
    for (later, pattern) in (1..).zip(patterns.map(Pattern::to_string)) {
        let covering = wide.iter().find(|(_, wide)| matches(wide, &pattern)).map(|(number, _)| *number);
        let first: Option<usize> = covering.into_iter().chain(names.get(&pattern).copied()).min();
        if let Some(first) = first {
            told.push(format!(
                "[[{table}]] {later}, \"{pattern}\", is never used: [[{table}]] {first} has all of its sensors; put both into one, \
                 or this one first"
            ));
        } else if pattern.contains(['+', '#']) {
            wide.push((later, pattern));
        } else {
            names.insert(pattern, later);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn what_an_earlier_one_covers_is_told() {
        let patterns = ["a/b", "a/+", "a/b", "c/#", "c", "d", "c/+/e", "#", "f"];
        let patterns: Vec<Pattern> = patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
        let told = never_used("alarm", patterns.iter());
        let starts = [
            "[[alarm]] 3, \"a/b\", is never used: [[alarm]] 1 has",
            "[[alarm]] 5, \"c\", is never used: [[alarm]] 4 has",
            "[[alarm]] 7, \"c/+/e\", is never used: [[alarm]] 4 has",
            "[[alarm]] 9, \"f\", is never used: [[alarm]] 8 has",
        ];
        assert!(told.iter().zip(starts).all(|(told, start)| told.starts_with(start)), "{told:?}");
        assert_eq!(told.len(), starts.len());
    }

    #[test]
    fn check_tells_rules_and_alarms_that_are_never_used() {
        let dir = tempfile::tempdir().unwrap();
        let rules = "[[rule]]\nmatch = \"#\"\n[[rule]]\nmatch = \"a/b\"\n[[alarm]]\nmatch = \"a/b\"\nhigh = { limit = 9 }\n\
                     [[alarm]]\nmatch = \"a/b\"\nhihi = { limit = 10 }\n";
        std::fs::write(dir.path().join("rules.toml"), rules).unwrap();
        let text = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub:1\"\n\
                    [[route]]\nmatch = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
        let (_, found) = Config::parse(&dir.path().join("gateway.toml"), text, &|_| None).unwrap();
        let said = found.to_string();
        for table in ["rule", "alarm"] {
            let expected = format!("warning: route[1].filter: [[{table}]] 2, \"a/b\", is never used");
            assert!(said.contains(&expected), "{said}");
        }
    }
}
