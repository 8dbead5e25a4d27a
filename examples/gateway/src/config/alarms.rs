//! `[alarms]`: which local clients may acknowledge and shelve the alarms of the routes' filters.

use edge_filter::Pipeline;

use super::section::Section;
use super::{Config, Findings, Local, Severity, rule_reach};

/// Limits of alarm commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlarmCommands {
    /// Client identifiers that may send commands. `None`: any client may.
    pub(crate) clients: Option<Vec<String>>,
    /// Most commands per minute, of all clients together.
    pub(crate) per_minute: u32,
    /// Set if the hub may command, by `[[command]]` rules.
    pub(crate) hub: bool,
}

/// Reads the table. `None`: no commands are accepted.
pub(super) fn alarms(section: &mut Section<'_>, findings: &mut Findings) -> Option<AlarmCommands> {
    let are_on = section.boolean("commands", findings).unwrap_or(false);
    let clients = section.strings("clients", findings);
    let per_minute = section.integer_in_force("per_minute", findings);
    let hub = section.boolean("hub", findings).unwrap_or(false);
    const LIMITS: [&str; 3] = ["clients", "per_minute", "hub"];
    if !are_on {
        if LIMITS.iter().any(|key| section.get(key).is_some()) {
            let (at, key) = section.first_of(&LIMITS);
            // No mistake: whoever turns commands off in a hurry must not be left with the configuration before, under which they are on.
            findings.warning(at, &key, "has no effect without commands = true: no command is obeyed");
        }
        return None;
    }
    Some(AlarmCommands {
        clients: clients.map(|placed| placed.value),
        per_minute: u32::try_from(per_minute).unwrap_or(u32::MAX),
        hub,
    })
}

/// Checks the reach of the routes' rules and alarms, and the commands against these alarms, the loops and the listener. `numbers` are the routes'
/// numbers in the file.
pub(super) fn check(config: &Config, numbers: &[usize], findings: &mut Findings) {
    let is_on = config.alarm_commands.is_some();
    let mut has_alarms = false;
    for (route, number) in config.routes.iter().zip(numbers) {
        let key = format!("route[{number}].filter");
        // A filter that is not valid has been reported.
        let Some(pipeline) = route.rules.as_deref().and_then(|text| Pipeline::from_toml(text).ok()) else {
            continue;
        };
        rule_reach::check(&pipeline, &key, findings);
        let mut needs_listen = !is_on;
        for (pattern, alarm) in pipeline.alarms() {
            has_alarms = true;
            if std::mem::take(&mut needs_listen) {
                let message = "nobody here can acknowledge, reset or shelve its alarms: [alarms] commands = true, with [local] listen";
                findings.warning(0, &key, message);
            }
            if is_on && alarm.longest_shelve_ms().is_none() {
                let message =
                    format!("[[alarm]] \"{pattern}\" may be shelved for any time: give it max_shelve_ms");
                findings.warning(0, &key, message);
            }
            let mut of_loops = config.control.iter().flat_map(|control| control.loops.alarm_inputs());
            if let Some(name) = of_loops.find(|name| is_on && pattern.matches(name)) {
                let message =
                    format!("the loops have an alarm of \"{name}\", too: commands are for that one");
                findings.warning(0, &key, message);
            }
        }
    }
    match &config.local {
        _ if !is_on => {}
        Local::Broker { .. } => findings.error(
            0,
            "alarms.commands",
            "needs `[local] listen`: behind another broker nobody can tell who commands",
        ),
        Local::Listen { addresses, access, .. } => {
            if let Some(who) = access.unrestricted(addresses).filter(|_| addresses.reach_beyond()) {
                let message = format!("{who} may command alarms: client identifiers are claims");
                findings.warning(0, "alarms.commands", message);
            }
        }
    }
    // With errors a filter may be missing that has one.
    if is_on && !has_alarms && findings.count(Severity::Error) == 0 {
        findings.warning(0, "alarms.commands", "no route's filter has an [[alarm]]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDED: &str = "[[alarm]]\nmatch = \"t\"\nmax_shelve_ms = 1000\nhigh = { limit = 90.0 }\n";
    const UNBOUNDED: &str = "[[alarm]]\nmatch = \"t\"\nhigh = { limit = 90.0 }\n";
    const ON: &str = "[alarms]\ncommands = true\n";

    fn parse(rules: &str, local: &str, rest: &str) -> Result<(Config, Findings), Findings> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rules.toml"), rules).unwrap();
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\n{local}\n[hub]\nurl = \"mqtt://hub:1\"\n[[route]]\nmatch = \"#\"\nto = \"up\"\n\
             format = \"json\"\nfilter = \"rules.toml\"\n{rest}"
        );
        Config::parse(&dir.path().join("gateway.toml"), &text, &|_| None)
    }

    #[test]
    fn commands_are_off_until_they_are_asked_for() {
        let (local, limits) = ("listen = \"127.0.0.1:1\"", "clients = [\"hmi\"]\nper_minute = 7\n");
        assert_eq!(parse(BOUNDED, local, "").unwrap().0.alarm_commands, None);
        let (config, findings) = parse(BOUNDED, local, ON).unwrap();
        assert_eq!(findings.to_string(), "");
        assert_eq!(config.alarm_commands, Some(AlarmCommands { clients: None, per_minute: 60, hub: false }));
        let (config, _) = parse(BOUNDED, local, &format!("{ON}{limits}")).unwrap();
        let clients = Some(vec!["hmi".to_owned()]);
        assert_eq!(config.alarm_commands, Some(AlarmCommands { clients, per_minute: 7, hub: false }));
        assert!(parse(BOUNDED, local, &format!("{ON}hub = true\n")).unwrap().0.alarm_commands.unwrap().hub);
        // Whoever shuts the door in a hurry changes the key that is named for it, and nothing else.
        for off in ["", "commands = false\n"] {
            let (config, said) =
                parse(BOUNDED, local, &format!("[alarms]\n{off}{limits}hub = true\n")).unwrap();
            assert_eq!(config.alarm_commands, None, "{off}");
            let said = said.to_string();
            assert!(
                said.contains("warning: alarms.clients: has no effect without commands = true"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        let (here, plant) = ("listen = \"127.0.0.1:1\"", "listen = \"0.0.0.0:1\"\nallow_anonymous = true");
        let broker = "broker = \"127.0.0.1:1883\"";
        for (rules, local, rest, expected) in [
            (BOUNDED, here, "", "warning: route[1].filter: nobody here can acknowledge"),
            (UNBOUNDED, here, ON, "warning: route[1].filter: [[alarm]] \"t\" may be shelved for any time"),
            (BOUNDED, plant, ON, "warning: alarms.commands: anyone who reaches local.listen"),
            ("", here, ON, "warning: alarms.commands: no route's filter has an [[alarm]]"),
            (BOUNDED, broker, ON, "error: alarms.commands: needs `[local] listen`"),
        ] {
            let said = parse(rules, local, rest).map_or_else(|e| e.to_string(), |(_, w)| w.to_string());
            assert!(said.contains(expected), "{expected} is missing in\n{said}");
        }
        assert_eq!(parse("", here, "").unwrap().1.to_string(), "", "no alarm, no word");
        let said =
            parse("[[alarm]]\nmatch = \"t\"\nhihg = { limit = 90.0 }\n", here, ON).unwrap_err().to_string();
        assert!(said.contains("hihg") && !said.contains("no route's filter has"), "{said}");
    }
}
