//! Topics at the hub on which the gateway itself speaks, beside what its routes forward; and raw routes by which a client here could speak there,
//! too. Pure.

use control_loop::mqtt::event_topics;
use edge_bridge::wire::matches;

use super::overlap::overlap;
use super::route_reach::{comes_from_the_broker, is_own_here};
use super::{Config, Findings, Format, Local, Route};

/// Prefix of the topic that tells if the gateway is connected, before its id; with the prefix of the status topic.
pub(crate) const ALIVE: &str = "edge/alive/";
pub(crate) const STATUS: &str = "edge/status/";

/// Returns the topics of the connection's state and of the status.
pub(crate) fn status_topics(id: &str) -> [String; 2] {
    [ALIVE, STATUS].map(|prefix| format!("{prefix}{id}"))
}

/// Returns the topic of a lane's gap reports: `TO/$gap` of the first route that uses the lane, or else of the first route. If that route has no
/// prefix, the gateway's id takes its place, because topics that begin with `$` are reserved.
pub(crate) fn gap_topic(config: &Config, lane: usize) -> Option<String> {
    let its = config.routes.iter().find(|route| usize::from(route.lane) == lane);
    let route = its.or_else(|| config.routes.first())?;
    let to = match route.format {
        Format::Raw => route.to.trim_end_matches('/'),
        _ => route.to.as_str(),
    };
    let to = if to.is_empty() { config.id.as_str() } else { to };
    Some(format!("{to}/$gap"))
}

/// Returns the topics of all lanes' gap reports, each once.
pub(crate) fn gap_topics(config: &Config) -> Vec<String> {
    let mut topics: Vec<String> = Vec::new();
    for lane in 0..config.queue.lanes.len() {
        topics.extend(gap_topic(config, lane).filter(|topic| !topics.contains(topic)));
    }
    topics
}

/// Warns of the raw route at this index if a client here can publish what comes to the hub on one of the gateway's own topics. `key`: its table.
pub(super) fn check(config: &Config, index: usize, key: &str, findings: &mut Findings) {
    let Some((route, earlier)) = config.routes.get(index).zip(config.routes.get(..index)) else { return };
    // Who has an access list says there who publishes what.
    let has_acl = matches!(&config.local, Local::Listen { access, .. } if access.acl.is_some());
    if route.format != Format::Raw || has_acl {
        return;
    }
    for (topic, what) in own_at_the_hub(config) {
        let Some(here) = topic.strip_prefix(&route.to).filter(|here| comes_from_a_client(config, here))
        else {
            continue;
        };
        let is_taken = |other: &Route| matches(&other.filter_topic, here);
        if overlap(&route.filter_topic, here) && !earlier.iter().any(is_taken) {
            let where_rights_are = match &config.local {
                Local::Listen { .. } => "say in an acl_file who may",
                Local::Broker { .. } => "let the broker's access list say who may",
            };
            let message = format!(
                "who publishes \"{here}\" here writes \"{topic}\" at the hub, which has {what}: match less, put another `to` before it, or {where_rights_are}"
            );
            return findings.warning(0, &format!("{key}.match"), message);
        }
    }
}

/// Returns whether a client can publish to some topic of this filter: neither is it the gateway's own here, nor does the broker keep it.
fn comes_from_a_client(config: &Config, filter: &str) -> bool {
    !is_own_here(config, filter) && comes_from_the_broker(config, filter)
}

fn has_events(config: &Config) -> bool {
    config.control.is_some() || config.alarm_commands.is_some()
}

/// Returns filters of the gateway's own topics at the hub, each with what is there.
fn own_at_the_hub(config: &Config) -> Vec<(String, &'static str)> {
    let mut own = Vec::new();
    if config.status_to_hub {
        own.extend(status_topics(&config.id).map(|topic| (topic, "the gateway's state")));
    }
    for Route { to, format, filter_topic, .. } in &config.routes {
        match format {
            Format::Raw if has_events(config) && overlap(filter_topic, &event_topics()) => {
                own.push((format!("{to}{}", event_topics()), "events of loops and alarms"));
            }
            Format::Raw => {}
            Format::Compact => {
                own.push((format!("{to}/table/{}/+", config.id), "session tables"));
                own.push((to.clone(), "batches of readings"));
            }
            _ => own.push((to.clone(), "batches of readings")),
        }
    }
    own.extend(config.commands.iter().map(|rule| (rule.answers.clone(), "answers to commands")));
    if config.queue.gap_reports {
        own.extend(gap_topics(config).into_iter().map(|topic| (topic, "reports of what was lost")));
    }
    own
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn said(local: &str, tables: &str) -> String {
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\n{local}\n[hub]\nurl = \"mqtt://hub:1\"\nprotocol = \"5\"\n{tables}"
        );
        let config = Config::parse(Path::new("gateway.toml"), &text, &|_| None);
        config.map_or_else(|findings| findings.to_string(), |(_, findings)| findings.to_string())
    }

    /// Pairs of topics here and at the hub that warnings name, each with its route.
    fn told(local: &str, tables: &str) -> Vec<String> {
        let said = said(local, tables);
        assert!(!said.contains("error: "), "{said}");
        let lines = said.lines().filter(|line| line.contains(": who publishes "));
        lines
            .map(|line| {
                line.split('"')
                    .enumerate()
                    .filter(|(at, _)| at % 2 == 1)
                    .map(|(_, part)| part)
                    .fold(line.split('.').next().unwrap_or_default().to_owned(), |all, part| all + " " + part)
            })
            .collect()
    }

    const HERE: &str = "listen = \"127.0.0.1:1\"";
    const ALL: &str = "[[route]]\nmatch = \"#\"\n";
    const NO_GAPS: &str = "[queue]\ngap_reports = false\n";

    #[test]
    fn a_raw_route_by_which_a_client_speaks_as_the_gateway_is_told() {
        let batches =
            |format: &str| format!("[[route]]\nmatch = \"t\"\nto = \"up\"\nformat = \"{format}\"\n");
        let command = "[[command]]\nmatch = \"c/#\"\nexpiry = \"1m\"\n";
        for (tables, expected) in [
            (ALL.to_owned(), "warning: route[1] g/$gap g/$gap"),
            (format!("[status]\nto_hub = true\n{ALL}"), "warning: route[1] edge/alive/g edge/alive/g"),
            (format!("{NO_GAPS}{}{ALL}", batches("compact")), "warning: route[2] up/table/g/+ up/table/g/+"),
            (format!("{NO_GAPS}{}{ALL}", batches("cbor")), "warning: route[2] up up"),
            (format!("{NO_GAPS}{command}{ALL}"), "warning: route[1] edge/answers/g edge/answers/g"),
            (
                format!(
                    "{NO_GAPS}{}[[route]]\nmatch = \"a/b/#\"\nto = \"up/table/g/\"\n",
                    batches("compact")
                ),
                "",
            ),
            (
                format!("{NO_GAPS}{}[[route]]\nmatch = \"table/#\"\nto = \"up/\"\n", batches("compact")),
                "warning: route[2] table/g/+ up/table/g/+",
            ),
        ] {
            let expected: Vec<&str> = if expected.is_empty() { Vec::new() } else { vec![expected] };
            assert_eq!(told(HERE, &tables), expected, "{tables}");
        }
    }

    #[test]
    fn no_route_is_told_by_which_nobody_can() {
        let dir = tempfile::tempdir().unwrap();
        let acl = dir.path().join("acl");
        std::fs::write(&acl, "topic write plant/#\n").unwrap();
        let batches = "[[route]]\nmatch = \"up/#\"\nto = \"up\"\nformat = \"compact\"\n";
        for (local, tables) in [
            (HERE.to_owned(), format!("{NO_GAPS}{ALL}")),
            // `#` is for no topic that begins with `$`.
            (HERE.to_owned(), "[[route]]\nmatch = \"#\"\nto = \"site7/\"\n".to_owned()),
            (HERE.to_owned(), "[status]\nto_hub = true\n[[route]]\nmatch = \"plant/#\"\n".to_owned()),
            // The route before takes what would be written there.
            (HERE.to_owned(), format!("{NO_GAPS}{batches}{ALL}")),
            (format!("{HERE}\nacl_file = \"{}\"", acl.display()), ALL.to_owned()),
            ("broker = \"127.0.0.1:1883\"\ntopics = [\"plant/#\"]".to_owned(), ALL.to_owned()),
        ] {
            assert_eq!(told(&local, &tables), [""; 0], "{local}\n{tables}");
        }
    }

    /// No client publishes where the gateway says its own events; a prefix may lead there all the same.
    #[test]
    fn events_are_forged_by_way_of_another_route_alone() {
        let alarms = "[alarms]\ncommands = true\n";
        let events = "[[route]]\nmatch = \"event/#\"\n";
        assert_eq!(told(HERE, &format!("{NO_GAPS}{alarms}{events}{ALL}")), [""; 0]);
        let other = "[[route]]\nmatch = \"plant/#\"\nto = \"event/\"\n";
        let found = told(HERE, &format!("{NO_GAPS}{alarms}{events}{other}"));
        assert_eq!(found, ["warning: route[2] # event/#"]);
    }
}
