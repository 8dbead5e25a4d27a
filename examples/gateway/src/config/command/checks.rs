//! Checks of the `[[command]]` tables against each other, the routes and the local side.

use control_loop::mqtt::{COMMAND, own_topics};
use edge_bridge::wire::matches;

use super::super::overlap::overlap;
use super::super::route_reach::own_topics_here;
use super::super::{Config, Findings, Format, Local, Protocol, Route};
use super::CommandRule;

/// Reports errors and warnings. `numbers` are the rules' numbers in the file, `of_routes` those of the routes.
pub(in super::super) fn check(
    config: &Config,
    (numbers, of_routes): (&[usize], &[usize]),
    findings: &mut Findings,
) {
    if config.commands.is_empty() {
        return;
    }
    if matches!(config.local, Local::Broker { .. }) {
        let message = "needs `[local] listen`: behind another broker nobody knows when, and whether, a client got a command";
        findings.error(0, "command", message);
    }
    let rules: Vec<(usize, &CommandRule)> = numbers.iter().copied().zip(&config.commands).collect();
    for (at, (number, rule)) in rules.iter().enumerate() {
        let key = |name: &str| format!("command[{number}].{name}");
        if let Some((earlier, _)) =
            rules.iter().take(at).find(|(_, earlier)| matches(&earlier.filter, &rule.filter))
        {
            let message = format!("never reached: command[{earlier}] matches all of {:?} first", rule.filter);
            findings.warning(0, &key("match"), message);
        }
        twice(rules.get(..at).unwrap_or_default(), rule, &key("match"), findings);
        if let Some((other, _)) = rules.iter().find(|(_, other)| matches(&other.filter, &rule.answers)) {
            let message = format!(
                "{:?} is matched by command[{other}]: each answer would come back as a command",
                rule.answers
            );
            findings.error(0, &key("answers"), message);
        }
        expiry(config.hub.protocol, rule, &key("allow_unbounded"), findings);
        local_topic(config, rule, &key("to"), findings);
        own_messages(config, of_routes, rule, (&key("match"), findings));
    }
}

/// Warns of an earlier rule that has some topics of this one. Where one has all of the other's, the hub is asked for that one alone.
fn twice(earlier: &[(usize, &CommandRule)], rule: &CommandRule, key: &str, findings: &mut Findings) {
    let covers = |one: &str, other: &str| matches(one, other) || matches(other, one);
    let is_so =
        |other: &CommandRule| overlap(&other.filter, &rule.filter) && !covers(&other.filter, &rule.filter);
    if let Some((number, other)) = earlier.iter().find(|(_, other)| is_so(other)) {
        let message = format!(
            "command[{number}] has {:?}, and some topics match both: a hub may send what is published there once for each, and a command without a cmd-id is then given twice",
            other.filter
        );
        findings.warning(0, key, message);
    }
}

/// Warns if commands may come without a Message Expiry Interval, or cannot have one.
fn expiry(protocol: Protocol, rule: &CommandRule, key: &str, findings: &mut Findings) {
    if rule.allows_unbounded {
        let message = "commands without an expiry are taken: how long they waited at the hub nobody knows";
        findings.warning(0, key, message);
    } else if protocol == Protocol::V311 {
        let message = "every command is refused: over MQTT 3.1.1 none has a Message Expiry Interval; [hub] protocol = \"5\", or allow_unbounded = true";
        findings.warning(0, key, message);
    }
}

/// Reports local topics on which the gateway itself publishes, or accepts commands of local clients.
fn local_topic(config: &Config, rule: &CommandRule, key: &str, findings: &mut Findings) {
    let to = rule.to.to_string();
    // A wildcard may stand for one of them.
    let by_a_wildcard = || own_topics_here(config).into_iter().find(|own| overlap(own, &to));
    if let Some(own) = own_topic(&to).or_else(by_a_wildcard) {
        let message = format!("{to:?}: on {own} the gateway alone speaks, and actuators believe it");
        findings.error(0, key, message);
    }
    let loops = config.control.as_ref().filter(|control| !control.loops.commands.are_open_to_hub());
    let alarms = config.alarm_commands.as_ref().filter(|alarms| !alarms.hub);
    let (who, allows) = match (loops, alarms) {
        (Some(_), _) => ("loops", "[commands] hub in the control file"),
        (None, Some(_)) => ("alarms", "[alarms] hub = true"),
        (None, None) => return,
    };
    if overlap(&to, &format!("{COMMAND}#")) {
        let message = format!(
            "{to:?}: the {who} refuse commands of the hub; {allows} allows some. Those that are for none of them go to local subscribers"
        );
        findings.warning(0, key, message);
    }
}

/// Returns the topic filter of the gateway's own messages that covers this topic filter. `None`: none does.
pub(crate) fn own_topic(to: &str) -> Option<String> {
    own_topics().into_iter().find(|own| matches(own, to))
}

/// Warns of routes whose messages would come back as commands from a hub that also delivers messages to their publisher.
fn own_messages(
    config: &Config,
    of_routes: &[usize],
    rule: &CommandRule,
    (key, findings): (&str, &mut Findings),
) {
    if config.hub.protocol == Protocol::V5 {
        return;
    }
    for (route, number) in config.routes.iter().zip(of_routes) {
        let Some(topic) = topics_at_the_hub(route).into_iter().find(|topic| overlap(topic, &rule.filter))
        else {
            continue;
        };
        let message = format!(
            "route[{number}] publishes at {topic:?}, which this matches: from a hub of MQTT 3.1.1 its messages come back as commands (MQTT 5 has No Local)"
        );
        findings.warning(0, key, message);
    }
}

/// Returns filters of a route's topics at the hub, for [`overlap`]. The prefix of a raw route may end within a level.
fn topics_at_the_hub(route: &Route) -> Vec<String> {
    let Route { to, filter_topic, .. } = route;
    match route.format {
        Format::Raw if to.is_empty() || to.ends_with('/') => vec![format!("{to}{filter_topic}")],
        // Before `#` stands the rest of the level.
        Format::Raw if filter_topic == "#" => vec![format!("{to}+/#")],
        Format::Raw => vec![format!("{to}{filter_topic}")],
        Format::Compact => vec![to.clone(), format!("{to}/table/#")],
        _ => vec![to.clone()],
    }
}
