//! Reach of a filter's rules and alarms: those that no sensor comes to, because an earlier one has all of their names. Pure.

use edge_bridge::wire::matches;
use edge_filter::{Pattern, Pipeline};

use super::{Config, Findings};

/// Reports the rules and alarms that are never used: a sensor has the first rule and the first alarm that match its name.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    for (index, route) in config.routes.iter().enumerate() {
        // A filter that is not valid has been reported.
        let Some(pipeline) = route.rules.as_deref().and_then(|text| Pipeline::from_toml(text).ok()) else {
            continue;
        };
        let rules = never_used("rule", pipeline.rules().map(|(pattern, _)| pattern));
        let alarms = never_used("alarm", pipeline.alarms().map(|(pattern, _)| pattern));
        for message in rules.into_iter().chain(alarms) {
            findings.warning(0, &format!("route[{}].filter", index + 1), message);
        }
    }
}

/// Returns a message for each entry of the table `[[table]]` that an earlier one covers.
fn never_used<'p>(table: &str, patterns: impl Iterator<Item = &'p Pattern>) -> Vec<String> {
    let patterns: Vec<String> = patterns.map(Pattern::to_string).collect();
    let covered = |(at, pattern): (usize, &String)| {
        let earlier = patterns.iter().take(at).position(|earlier| matches(earlier, pattern))?;
        let (first, later) = (earlier + 1, at + 1);
        Some(format!(
            "[[{table}]] {later}, \"{pattern}\", is never used: [[{table}]] {first} has all of its sensors; put both into one, \
             or this one first"
        ))
    };
    patterns.iter().enumerate().filter_map(covered).collect()
}

#[cfg(test)]
mod tests {
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
