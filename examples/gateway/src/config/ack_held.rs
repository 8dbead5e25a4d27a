//! `ack_held` and `hold_max` of a route: when the PUBACK of a reading is sent that a filter stage holds back, and how long it may wait.

use std::fmt;
use std::time::Duration;

use edge_filter::{ErrorBound, LossBound, Pipeline, Rule};

use super::Findings;
use super::section::Section;

/// Time by which `hold_max` must exceed a window, because a window ends by the clock and must not be cut if a message comes a little later than
/// the one before.
const WINDOW_SLACK: Duration = Duration::from_secs(1);

/// Returns the longest time for which the PUBACK of a held reading may wait. `None`: held readings are acknowledged at once, as suppressed ones
/// are.
pub(super) fn hold_max(
    section: &mut Section<'_>,
    rules: Option<&str>,
    findings: &mut Findings,
) -> Option<Duration> {
    let ack_held = section.one_of("ack_held", findings);
    let hold_max = section.duration("hold_max", findings);
    let has_max = section.get("hold_max").is_some();
    let (ack_key, max_key) = (section.key("ack_held"), section.key("hold_max"));
    let Some(ack_held) = ack_held.filter(|found| found.value == "when_emitted") else {
        if has_max {
            findings.error(
                section.at_key("hold_max"),
                &max_key,
                "nothing waits without ack_held = \"when_emitted\"",
            );
        }
        return None;
    };
    if section.get("filter").is_none() {
        findings.error(ack_held.at, &ack_key, "without `filter` nothing is held");
        return None;
    }
    let holding = rules.map(holding);
    if !has_max {
        let message = match holding.iter().flatten().next() {
            Some(rule) => rule.to_string(),
            None => "needs hold_max, how long a PUBACK may wait at most".to_owned(),
        };
        findings.error(ack_held.at, &ack_key, message);
    }
    if holding.as_ref().is_some_and(Vec::is_empty) {
        findings.warning(ack_held.at, &ack_key, "no rule of the filter holds a reading");
    }
    let hold_max = hold_max?;
    let too_long = |rule: &&Holding| rule.window.is_some_and(|span| span + WINDOW_SLACK > hold_max.value);
    if let Some(rule) = holding.iter().flatten().find(too_long) {
        findings.error(hold_max.at, &max_key, rule.to_string());
    }
    Some(hold_max.value)
}

/// Returns the width of the window with which a rule ends. A window is complete by the clock, and cutting it changes its result. `None`: the rule
/// does not end with a window.
pub(crate) fn window(rule: &Rule) -> Option<Duration> {
    match (rule.reducer_loss_bound(), rule.error_bound()) {
        // A segment: it may be cut anywhere.
        (_, ErrorBound::Absolute(_)) => None,
        (LossBound::Open { span_ms: Some(ms), .. }, _) => u64::try_from(ms).ok().map(Duration::from_millis),
        _ => None,
    }
}

/// Rule whose stages hold readings back.
struct Holding {
    pattern: String,
    bound: LossBound,
    window: Option<Duration>,
}

fn holding(rules: &str) -> Vec<Holding> {
    // A filter that is not valid has been reported.
    let Ok(pipeline) = Pipeline::from_toml(rules) else { return Vec::new() };
    let holding = pipeline.rules().map(|(pattern, rule)| Holding {
        pattern: pattern.to_string(),
        bound: rule.reducer_loss_bound(),
        window: window(rule),
    });
    holding.filter(|rule| rule.bound != LossBound::Nothing).collect()
}

/// Writes why the rule needs `hold_max`.
impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holding { pattern, bound, window } = self;
        write!(f, "the rule for \"{pattern}\" holds {bound}")?;
        match window {
            Some(span) => {
                write!(f, ": needs a hold_max of at least {} ms", (*span + WINDOW_SLACK).as_millis())
            }
            None => f.write_str(
                " without an end, until another comes, which a publisher may not send before the PUBACK: \
                 say how long that may wait, hold_max = \"10s\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    /// Returns what is said of a route with these keys and a filter of this stage.
    fn said(stage: &str, keys: &str) -> Result<Option<Duration>, String> {
        found(stage, keys, "listen").map(|(hold_max, _)| hold_max)
    }

    /// The same, and the warnings, with the sensors on this side.
    fn found(stage: &str, keys: &str, side: &str) -> Result<(Option<Duration>, String), String> {
        let dir = tempfile::tempdir().unwrap();
        let rules = format!("[[rule]]\nmatch = \"line/#\"\nstages = [ {{ {stage} }} ]\n");
        std::fs::write(dir.path().join("rules.toml"), rules).unwrap();
        let text = format!(
            "[gateway]\nid=\"a\"\n[local]\n{side}=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n\
             [[route]]\nmatch=\"#\"\nto=\"t\"\nformat=\"cbor\"\n{keys}\n"
        );
        let parsed = Config::parse(&dir.path().join(Path::new("g.toml")), &text, &|_| None);
        let shown =
            |(config, findings): (Config, Findings)| (config.routes[0].hold_max, findings.to_string());
        parsed.map(shown).map_err(|findings| findings.to_string())
    }

    const DOOR: &str = "swinging_door = { deviation = 0.5 }";
    const WINDOW: &str = "window = { width_ms = 60000, agg = \"mean\" }";
    const WITH: &str = "filter = \"rules.toml\"\nack_held = \"when_emitted\"";

    #[test]
    fn held_readings_are_acknowledged_as_suppressed_ones_unless_it_is_said_otherwise() {
        for keys in ["", "\nack_held = \"as_suppressed\""] {
            assert_eq!(said(DOOR, &format!("filter = \"rules.toml\"{keys}")), Ok(None));
        }
        assert_eq!(said(DOOR, &format!("{WITH}\nhold_max = \"5s\"")), Ok(Some(Duration::from_secs(5))));
        let minute = Ok(Some(Duration::from_secs(61)));
        assert_eq!(said(WINDOW, &format!("{WITH}\nhold_max = \"61s\"")), minute);
    }

    #[test]
    fn what_helps_nobody_or_stops_many_is_warned_of() {
        let keys = format!("{WITH}\nhold_max = \"61s\"");
        for (stage, side, expected) in [
            (DOOR, "broker", "all sensors behind a broker share its window"),
            ("deadband = { absolute = 0.5 }", "listen", "no rule of the filter holds a reading"),
        ] {
            let (_, warnings) = found(stage, &keys, side).unwrap();
            assert!(
                warnings.contains("warning: route[1].ack_held: ") && warnings.contains(expected),
                "{warnings}"
            );
        }
        assert!(!found(DOOR, &keys, "listen").unwrap().1.contains("ack_held"));
    }

    /// A hold without an end in time, or one that would not be what it says, is refused by name and place.
    #[test]
    fn what_cannot_be_withheld_is_refused_by_name() {
        for (stage, keys, key, expected) in [
            (
                DOOR,
                WITH.to_owned(),
                "ack_held",
                "the rule for \"line/#\" holds at most 1 reading per sensor without an end",
            ),
            (
                "segment_hold = { deviation = 0.5 }",
                WITH.to_owned(),
                "ack_held",
                "holds the readings of one open segment",
            ),
            (
                "segment_hold = { deviation = 0.5, max_interval_ms = 1000 }",
                WITH.to_owned(),
                "ack_held",
                "without an end",
            ),
            (WINDOW, WITH.to_owned(), "ack_held", "needs a hold_max of at least 61000 ms"),
            (
                WINDOW,
                format!("{WITH}\nhold_max = \"60s\""),
                "hold_max",
                "needs a hold_max of at least 61000 ms",
            ),
            (DOOR, format!("{WITH}\nhold_max = \"2h\""), "hold_max", "100ms to 1h"),
            (DOOR, format!("{WITH}\nhold_max = 5"), "hold_max", "needs a unit"),
            (DOOR, WITH.replace("when_emitted", "when_emited"), "ack_held", "did you mean \"when_emitted\"?"),
            (DOOR, "filter = \"rules.toml\"\nhold_max = \"5s\"".to_owned(), "hold_max", "nothing waits"),
            (
                DOOR,
                "ack_held = \"when_emitted\"\nhold_max = \"5s\"".to_owned(),
                "ack_held",
                "nothing is held",
            ),
        ] {
            let said = said(stage, &keys).unwrap_err();
            let named = format!("error: route[1].{key}: ");
            assert!(said.contains(&named) && said.contains(expected), "{keys}:\n{said}");
        }
    }
}
