//! docs/alerts.yaml: each alert has what whoever is woken by it needs.

use std::collections::BTreeSet;
use std::process::Command;

use super::yaml::{Yaml, parse};
use super::{docs, read};

/// Page of the runbooks, as the alerts name it.
const RUNBOOKS: &str = "docs/operations.md#";

fn alerts() -> Vec<Yaml> {
    let documents = parse(&read("alerts.yaml")).unwrap();
    assert_eq!(documents.len(), 1);
    documents[0].items("groups").iter().flat_map(|group| group.items("rules")).cloned().collect()
}

/// Expressions of the alerts.
pub fn expressions() -> Vec<String> {
    alerts().iter().map(|alert| alert.text("expr").to_owned()).collect()
}

fn is_duration(text: &str) -> bool {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    number.parse::<u32>().is_ok() && matches!(unit, "s" | "m" | "h" | "d")
}

#[test]
fn every_alert_has_a_summary_a_severity_and_a_section_that_says_what_to_do() {
    let operations = read("operations.md");
    let sections: BTreeSet<&str> =
        operations.lines().filter_map(|line| line.strip_prefix("### EdgeGateway")).collect();
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = alert.text("alert");
        assert!(names.insert(name.trim_start_matches("EdgeGateway").to_owned()), "{name} twice");
        let summary = alert.text("annotations.summary");
        assert!(summary.contains("{{ $labels.instance }}") && summary.len() > 30, "{name}: {summary}");
        assert_eq!(summary.matches("{{").count(), summary.matches("}}").count(), "{name}: {summary}");
        assert!(["critical", "warning"].contains(&alert.text("labels.severity")), "{name}");
        assert!(alert.text("for").is_empty() || is_duration(alert.text("for")), "{name}");
        assert!(!alert.text("expr").is_empty(), "{name}");
        let anchor = name.to_lowercase();
        assert_eq!(alert.text("annotations.runbook_url"), format!("{RUNBOOKS}{anchor}"), "{name}");
    }
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), sections);
    assert!(names.len() >= 9, "{names:?}");
}

/// Which situations fire which alert: `docs/alerts.test.yaml`.
#[test]
#[ignore = "needs promtool: cargo test -p edge-gateway --test metrics -- --ignored"]
fn promtool_takes_the_rules_and_they_fire_when_they_should() {
    for [what, file] in [["check", "alerts.yaml"], ["test", "alerts.test.yaml"]] {
        let output =
            Command::new("promtool").args([what, "rules", file]).current_dir(docs()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}
