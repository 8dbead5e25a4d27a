//! Reach of routes: those whose topics never come to them. Pure.

use control_loop::mqtt::{COMMAND, event_topics, own_topics};
use edge_bridge::wire::{SharedFilter, matches, validate_characters};

use super::overlap::overlap;
use super::{Config, Findings, Local, Route};

/// States that other bridges tell.
const BRIDGE_STATES: &str = "$SYS/broker/connection/+/state";
/// Prefix of commands to alarms.
const ALARM_COMMAND: &str = "cmd/alarm/";

/// Reports why nothing, or not what its filter says, comes to the route at this index. `numbers` are the routes' numbers in the file, `key` is its
/// table.
pub(super) fn check(
    config: &Config,
    (index, numbers): (usize, &[usize]),
    key: &str,
    findings: &mut Findings,
) {
    let Some((route, earlier)) = config.routes.get(index).zip(config.routes.get(..index)) else { return };
    let number_of = |by: &dyn Fn(&Route) -> bool| {
        earlier.iter().zip(numbers).find(|(other, _)| by(other)).map(|(_, number)| *number)
    };
    let (key, filter) = (format!("{key}.match"), route.filter_topic.as_str());
    if let Some(first) = number_of(&|other| other.filter_topic == filter) {
        findings.error(0, &key, format!("never reached: route[{first}] matches the same topics first"));
    } else if let Some(first) = number_of(&|other| matches(&other.filter_topic, filter)) {
        let message =
            format!("never reached: route[{first}] matches all of \"{filter}\" first; put it behind");
        findings.warning(0, &key, message);
    } else if let Some(why) = no_client_may(config, filter) {
        findings.warning(0, &key, format!("never reached: {why}"));
    } else if !comes_from_the_broker(config, filter) {
        let message = format!("never reached: no filter of [local] topics overlaps \"{filter}\"");
        findings.warning(0, &key, message);
    } else if let Some((prefix, switch)) = commands(config).filter(|(prefix, _)| filter.starts_with(prefix)) {
        let message =
            format!("what comes on {prefix}… are commands while {switch}, and those go to no route");
        findings.warning(0, &key, message);
    }
}

/// Returns the filters of topics on which the gateway alone speaks here, for its loops and alarms.
pub(crate) fn own_topics_here(config: &Config) -> Vec<String> {
    match (&config.control, &config.alarm_commands) {
        (Some(_), _) => own_topics(),
        (None, Some(_)) => vec![event_topics()],
        (None, None) => Vec::new(),
    }
}

/// Returns whether the gateway alone speaks here on the topics of this filter, for its loops and alarms.
pub(crate) fn is_own_here(config: &Config, filter: &str) -> bool {
    own_topics_here(config).iter().any(|own| matches(own, filter))
}

/// Returns why the listener refuses a client's message on a topic. `None`: it takes it, or there is a broker.
pub(crate) fn refusal(config: &Config, topic: &str) -> Option<String> {
    let Local::Listen { .. } = &config.local else { return None };
    if matches(BRIDGE_STATES, topic) {
        return None;
    }
    if is_own_here(config, topic) || topic.starts_with("$SYS/") {
        return Some("only the gateway publishes there".to_owned());
    }
    no_client_may(config, topic)
}

/// Returns why no client of the gateway's listener may publish to any topic of this filter. `None`: some may, or there is a broker.
fn no_client_may(config: &Config, filter: &str) -> Option<String> {
    let Local::Listen { accept_control_characters, .. } = &config.local else { return None };
    if filter.starts_with("$SYS/") {
        return Some(
            "below $SYS the gateway itself publishes, and what other bridges tell there goes to no route"
                .to_owned(),
        );
    }
    let error = validate_characters(filter).err().filter(|_| !accept_control_characters)?;
    Some(format!(
        "the listener refuses such topics: {error}; [local] accept_control_characters = true takes them"
    ))
}

/// Returns whether the gateway subscribes, at the local broker, to some topic of this filter. Without a broker all topics come.
pub(super) fn comes_from_the_broker(config: &Config, filter: &str) -> bool {
    let Local::Broker { topics, .. } = &config.local else { return true };
    let unshared = |topic: &str| match SharedFilter::parse(topic) {
        Ok(Some(shared)) => overlap(shared.filter, filter),
        _ => overlap(topic, filter),
    };
    // That there is none is an error of its own.
    topics.is_empty() || topics.iter().any(|topic| unshared(topic))
}

/// Returns the prefix of topics that the ingest takes for commands, and the setting by which it does. `None`: commands are off.
fn commands(config: &Config) -> Option<(&'static str, &'static str)> {
    let loops = config.control.as_ref().map(|control| &control.loops);
    if loops.is_some_and(|loops| loops.commands.are_on()) {
        return Some((COMMAND, "[control] commands = true in the control file"));
    }
    // One for an alarm of the loops, which take no commands, goes to the routes.
    let are_all = loops.is_none_or(|loops| loops.alarm_inputs().next().is_none());
    (config.alarm_commands.is_some() && are_all).then_some((ALARM_COMMAND, "[alarms] commands = true"))
}

/// Returns who takes a message on this topic as a command, before any route. `None`: nobody does.
pub(crate) fn commanded(config: &Config, topic: &str) -> Option<&'static str> {
    let loops = config.control.as_ref().map(|control| &control.loops);
    let is_of_loops = |rest: &str| {
        let input = rest.rsplitn(3, '/').nth(2);
        loops.is_some_and(|loops| loops.alarm_inputs().any(|name| Some(name) == input))
    };
    let is_of_filters = |rest: &str| config.alarm_commands.is_some() && !is_of_loops(rest);
    if topic.strip_prefix(ALARM_COMMAND).is_some_and(is_of_filters) {
        return Some("the alarms of the routes' filters");
    }
    let are_on = loops.is_some_and(|loops| loops.commands.are_on());
    (are_on && topic.starts_with(COMMAND)).then_some("the control loops")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Findings of a gateway with this local side, further tables, and one route for each filter.
    fn said(dir: &Path, local: &str, tables: &str, filters: &[&str]) -> String {
        let rules = "[[alarm]]\nmatch = \"plant/t\"\nmax_shelve_ms = 1000\nhigh = { limit = 90.0 }\n";
        std::fs::write(dir.join("rules.toml"), rules).unwrap();
        let routes: String = filters
            .iter()
            .map(|filter| {
                format!("[[route]]\nmatch = \"{filter}\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n")
            })
            .collect();
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\n{local}\n[hub]\nurl = \"mqtt://hub:1\"\n{tables}{routes}[[route]]\nmatch = \"event/#\"\nto = \"up/\"\n"
        );
        let config = Config::parse(&dir.join("gateway.toml"), &text, &|_| None);
        config.map_or_else(|findings| findings.to_string(), |(_, findings)| findings.to_string())
    }

    #[test]
    fn a_route_of_which_the_broker_is_asked_for_nothing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let broker = |topics: &str| format!("broker = \"127.0.0.1:1883\"\n{topics}");
        let never =
            "warning: route[1].match: never reached: no filter of [local] topics overlaps \"plant/+/t\"";
        for (topics, is_never) in [
            ("topics = [\"event/#\", \"plant/a\"]", true),
            ("topics = [\"event/#\", \"$share/g/other/#\"]", true),
            ("topics = [\"event/#\", \"plant/#\"]", false),
            ("topics = [\"event/#\", \"+/a/#\"]", false),
            ("topics = [\"event/#\", \"$share/g/plant/#\"]", false),
            ("", false),
        ] {
            let said = said(dir.path(), &broker(topics), "", &["plant/+/t"]);
            assert_eq!(said.contains(never), is_never, "{topics}\n{said}");
            assert!(!said.contains("route[2].match"), "{said}");
        }
        let said = said(dir.path(), &broker("topics = []"), "", &["plant/+/t"]);
        assert!(said.contains("nothing to subscribe to") && !said.contains("never reached"), "{said}");
    }

    #[test]
    fn a_route_to_whose_topics_no_client_may_publish_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (listen, broker) = ("listen = \"127.0.0.1:1\"", "broker = \"127.0.0.1:1883\"");
        let any_character = format!("{listen}\naccept_control_characters = true");
        let never = "warning: route[1].match: never reached: ";
        for (local, filter, why) in [
            (listen, "$SYS/#", Some("below $SYS the gateway itself publishes")),
            (listen, "$SYS/broker/connection/+/state", Some("below $SYS")),
            (
                listen,
                "plant/\\u0001/#",
                Some("the listener refuses such topics: U+0001 at byte 6, for which"),
            ),
            (&any_character, "plant/\\u0001/#", None),
            (listen, "$SYSTEM/#", None),
            (listen, "$aws/#", None),
            (listen, "+/x", None),
            (broker, "$SYS/#", None),
        ] {
            let said = said(dir.path(), local, "", &[filter]);
            assert!(!said.contains("error: "), "{said}");
            let found = said.split(never).nth(1).filter(|_| said.contains(" --> "));
            assert!(
                found.is_some() == why.is_some() && why.is_none_or(|why| found.unwrap().starts_with(why)),
                "{filter} {said}"
            );
        }
        // With a broker it would take messages from the group, and drop them.
        for local in [listen, broker] {
            let said = said(dir.path(), local, "", &["$share/g/plant/#"]);
            assert!(
                said.contains("error: route[1].match: \"$share/g/plant/#\": of a shared")
                    && said.contains("gateway.toml:"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_route_of_commands_is_told_while_these_go_to_no_route() {
        let dir = tempfile::tempdir().unwrap();
        let control = |commands: bool, alarm: &str| {
            let text = format!(
                "[control]\ncommands = {commands}\n[[input]]\nname = \"t\"\nstale_after_ms = 60000\n\
                 [[output]]\nname = \"fan\"\nswitch = {{ input = \"t\", on_at = 40.0, off_at = 30.0 }}\n{alarm}"
            );
            let file = dir.path().join(format!("control-{commands}-{}.toml", alarm.len()));
            std::fs::write(&file, text).unwrap();
            format!("[control]\nrules = \"{}\"\n", file.display())
        };
        let alarm = "[[alarm]]\nmatch = \"t\"\nhigh = { limit = 90.0 }\n";
        let alarms = "[alarms]\ncommands = true\n";
        for (tables, filter, prefix) in [
            (control(true, ""), "cmd/#", Some("cmd/")),
            (control(true, ""), "cmd/alarm/+", Some("cmd/")),
            (control(true, ""), "cmdx/#", None),
            (control(true, ""), "+/output/#", None),
            (control(false, ""), "cmd/#", None),
            (alarms.to_owned(), "cmd/alarm/#", Some("cmd/alarm/")),
            (alarms.to_owned(), "cmd/#", None),
            (control(false, "") + alarms, "cmd/alarm/#", Some("cmd/alarm/")),
            (control(false, alarm) + alarms, "cmd/alarm/#", None),
            (control(true, alarm) + alarms, "cmd/alarm/#", Some("cmd/")),
            (String::new(), "cmd/#", None),
        ] {
            let said = said(dir.path(), "listen = \"127.0.0.1:1\"", &tables, &[filter]);
            assert!(!said.contains("error: "), "{said}");
            let found = said.split("warning: route[1].match: what comes on ").nth(1);
            let found = found.and_then(|rest| rest.split('…').next());
            assert_eq!(found, prefix, "{tables}{filter}\n{said}");
        }
    }
}
