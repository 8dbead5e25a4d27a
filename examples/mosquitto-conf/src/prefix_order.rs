//! Order of prefix and pattern in a `topic` line: the prefix stands before the pattern on the side that it is of, also where the pattern has it
//! already. Pure.

use edge_bridge::bridge::topic_rules::{Direction, Rule};

/// Tells where a rule subscribes to another filter than it seems to, and which line was meant.
pub fn traps(rule: &Rule) -> Vec<String> {
    let sides = [
        (rule.local_filter(), rule.local_prefix(), "here"),
        (rule.remote_filter(), rule.remote_prefix(), "at the hub"),
    ];
    let mut traps = Vec::new();
    for (filter, prefix, side) in sides {
        let Some(filter) = filter.filter(|_| repeats(rule.pattern(), prefix)) else { continue };
        traps.push(format!(
            "the prefix \"{prefix}\" stands before the pattern, which has it already: this subscribes to \"{filter}\" {side}. {}",
            meant(rule, prefix)
        ));
    }
    traps
}

/// Tells that the pattern has the levels of the prefix somewhere.
fn repeats(pattern: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_matches('/');
    !prefix.is_empty() && format!("/{pattern}/").contains(&format!("/{prefix}/"))
}

/// The line that subscribes to the pattern as it is written.
fn meant(rule: &Rule, prefix: &str) -> String {
    let levels = prefix.trim_matches('/');
    let padded = format!("/{}/", rule.pattern());
    let Some((_, rest)) = padded.split_once(&format!("/{levels}/")) else { return String::new() };
    let rest = rest.trim_end_matches('/');
    let before = rule.pattern().strip_suffix(rest).unwrap_or_default();
    let quoted = |text: &str| if text.is_empty() { "\"\"".to_owned() } else { text.to_owned() };
    let (local, remote) = match rule.direction() {
        Direction::Out => (before, rule.remote_prefix().as_str()),
        // The prefix of the wrong side was meant for the other one.
        Direction::In | Direction::Both if rule.local_prefix().is_empty() => (prefix, before),
        Direction::In | Direction::Both => (rule.local_prefix().as_str(), before),
    };
    format!(
        "For \"{}\" write: topic {} {} {} {} {}",
        rule.pattern(),
        quoted(rest),
        rule.direction(),
        rule.qos() as u8,
        quoted(local),
        quoted(remote)
    )
}
