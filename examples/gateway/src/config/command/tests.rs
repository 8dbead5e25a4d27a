//! `[[command]]`: what is read, what is refused, and what somebody should know.

use std::path::Path;
use std::time::Duration;

use super::super::Config;
use super::*;

/// Findings of a configuration with these lines of `[local]` and `[hub]` and this rest, and its rules where there is no error.
fn read(local: &str, hub: &str, rest: &str) -> (Vec<CommandRule>, String) {
    let text = format!(
        "[gateway]\nid = \"g7\"\n[local]\n{local}\n[hub]\nurl = \"mqtt://hub:1\"\n{hub}\n[[route]]\nmatch = \"plant/#\"\nto = \"site7/\"\n{rest}"
    );
    match Config::parse(Path::new("gateway.toml"), &text, &|_| None) {
        Ok((config, findings)) => (config.commands, findings.to_string()),
        Err(findings) => (Vec::new(), findings.to_string()),
    }
}

const HERE: &str = "listen = \"127.0.0.1:1\"";

/// As [`read`] with the lines of a rule that has a `match`.
fn rule(lines: &str) -> (Vec<CommandRule>, String) {
    read(HERE, "", &format!("[[command]]\nmatch = \"site7/cmd/+/#\"\n{lines}\n"))
}

#[test]
fn each_wildcard_stands_for_what_it_stood_for_at_the_hub() {
    for (filter, to, topic, local) in [
        ("site7/cmd/#", "cmd/#", "site7/cmd/valve/1", Some("cmd/valve/1")),
        ("site7/cmd/#", "cmd/#", "site7/cmd", Some("cmd")),
        ("site7/cmd/#", "cmd/#", "site7/cmd/", Some("cmd/")),
        ("site7/cmd/#", "cmd/#", "site8/cmd/x", None),
        ("+/cmd/+/#", "x/+/y/+/z/#", "a/cmd/b/c/d", Some("x/a/y/b/z/c/d")),
        ("+/cmd/+", "+/+", "/cmd/", Some("/")),
        ("a/+", "+", "a/", None),
        ("a/#", "#", "a/b", Some("b")),
        ("a/#", "#", "a", None),
        ("a/b", "c", "a/b", Some("c")),
        ("#", "#", "$SYS/x", None),
        ("$aws/+", "jobs/+", "$aws/7", Some("jobs/7")),
    ] {
        let made = LocalTopic::new(filter, to).unwrap().of(topic);
        assert_eq!(made.as_deref(), local, "{filter} -> {to}: {topic}");
    }
    let long = "x".repeat(65_533);
    let topic = format!("a/{long}");
    assert_eq!(LocalTopic::new("a/+", "b/+").unwrap().of(&topic).map(|made| made.len()), Some(65_535));
    assert_eq!(LocalTopic::new("a/+", "bb/+").unwrap().of(&topic), None, "longer than a topic may be");
}

#[test]
fn wildcards_that_differ_are_told_with_both_sides() {
    for (filter, to) in [
        ("a/+", "b"),
        ("a", "b/+"),
        ("a/+", "b/#"),
        ("a/+/#", "b/#"),
        ("+/a/+", "+"),
        ("a/#", "b/#/c"),
        ("a/#", "$share/g/#"),
        ("$share/g/#", "a/#"),
        ("a/#", ""),
        ("", "a"),
        ("a", "b\u{7}"),
    ] {
        assert!(LocalTopic::new(filter, to).is_err(), "{filter} -> {to}");
    }
    let said = LocalTopic::new("a/+/#", "b").unwrap_err();
    assert_eq!(
        said,
        "\"b\" has no wildcard and `match` the wildcards `+ #`: each needs its own, in the same order"
    );
}

#[test]
fn a_rule_has_the_documented_defaults_and_what_the_file_says() {
    let (rules, said) = rule("");
    assert_eq!(said, "");
    let filter = "site7/cmd/+/#";
    let mut expected = CommandRule {
        filter: filter.to_owned(),
        to: LocalTopic::new(filter, filter).unwrap(),
        expiry: Duration::from_secs(60),
        allow: None,
        allows_unbounded: false,
        at_most_once: true,
        answers: "edge/answers/g7".to_owned(),
    };
    assert_eq!(rules, [expected.clone()]);
    let (rules, said) = rule(
        "to = \"valve/+/#\"\nexpiry = \"1d\"\nallow = [\"open\", \"0..9.5\"]\nallow_unbounded = false\ndelivery = \"at-least-once\"\nanswers = \"done\"",
    );
    assert_eq!(said, "");
    expected.to = LocalTopic::new(filter, "valve/+/#").unwrap();
    (expected.expiry, expected.at_most_once) = (Duration::from_secs(86_400), false);
    expected.allow = Some(vec![Allowed::Text("open".to_owned()), Allowed::Range(0.0, 9.5)]);
    expected.answers = "done".to_owned();
    assert_eq!(rules, [expected]);
    assert_eq!(read(HERE, "", ""), (Vec::new(), String::new()), "without a rule nothing is said");
}

#[test]
fn what_no_rule_can_be_is_an_error_at_its_key() {
    for (lines, expected) in [
        ("to = \"cmd/#\"", "error: command[1].to: \"cmd/#\" has the wildcards `#` and `match`"),
        ("to = \"$share/g/+/#\"", "error: command[1].to: \"$share/g/+/#\": of a shared subscription"),
        ("to = \"a/#/b\"", "error: command[1].to: \"a/#/b\": a wildcard at byte 2"),
        ("to = \"out/+/#\"", "error: command[1].to: \"out/+/#\": on out/# the gateway alone speaks"),
        ("to = \"event/+/#\"", "error: command[1].to: \"event/+/#\": on event/# the gateway"),
        ("answers = \"a/+\"", "error: command[1].answers: \"a/+\": a wildcard at byte 2"),
        ("answers = \"\"", "error: command[1].answers: \"\": empty"),
        ("answers = \"$share/a/b\"", "error: command[1].answers: \"$share/a/b\": `$share/` begins a filter"),
        ("answers = \"site7/cmd/x\"", "error: command[1].answers: \"site7/cmd/x\" is matched by command[1]:"),
        ("expiry = \"0.5s\"", "error: command[1].expiry: 1s to 1d"),
        ("expiry = \"25h\"", "error: command[1].expiry: 1s to 1d"),
        ("expiry = 60", "error: command[1].expiry: a duration needs a unit"),
        ("delivery = \"exactly-once\"", "is not one of at-most-once, at-least-once"),
        ("allow = \"open\"", "error: command[1].allow: expected an array, found a string"),
        ("allow = [\"9..1\"]", "error: command[1].allow: \"9..1\": 9 is above 1"),
        ("allow = [\"\"]", "error: command[1].allow: \"\": an empty payload"),
        ("allow = []", "warning: command[1].allow: an empty list: every command is refused"),
        ("allow_unbounded = 1", "error: command[1].allow_unbounded: expected true or false"),
        ("qos = 1", "error: command[1].qos: unknown key"),
        ("[[command]]\nto = \"a\"", "error: command[2].match: missing: the MQTT topic filter"),
    ] {
        let (_, said) = rule(lines);
        assert!(said.contains(expected), "{lines}: {expected} is missing in\n{said}");
    }
    for (filter, expected) in [
        ("a/#/b", "error: command[1].match: \"a/#/b\": a wildcard at byte 2"),
        ("$share/g/a", "error: command[1].match: \"$share/g/a\": of a shared subscription"),
        ("#", "error: command[1].answers: \"edge/answers/g7\" is matched by command[1]"),
    ] {
        let (_, said) = read(HERE, "", &format!("[[command]]\nmatch = \"{filter}\"\n"));
        assert!(said.contains(expected), "{filter}: {expected} is missing in\n{said}");
    }
    let (_, said) = read("broker = \"127.0.0.1:1883\"", "", "[[command]]\nmatch = \"a\"\n");
    assert!(said.contains("error: command: needs `[local] listen`: "), "{said}");
    let (_, said) = read(HERE, "", "[command]\nmatch = \"a\"\n");
    assert!(said.contains("error: command: expected [[command]], found a table"), "{said}");
}

#[test]
fn a_finding_has_the_number_that_its_rule_has_in_the_file() {
    let rest = "[[command]]\nmatch = \"a/#/b\"\n[[command]]\nmatch = \"c/#\"\n[[command]]\nmatch = \"c/+\"\n";
    let (_, said) = read(HERE, "", rest);
    assert!(
        said.contains("command[3].match: never reached: command[2] matches all of \"c/+\" first"),
        "{said}"
    );
}

/// Promise 10: some hubs send a message once for each subscription that it matches, and then a command without an identity is given twice.
#[test]
fn rules_that_have_some_topics_in_common_are_warned_of() {
    let warned = |filters: [&str; 2]| {
        let [one, other] = filters.map(|filter| format!("[[command]]\nmatch = \"{filter}\"\n"));
        let (_, said) = read(HERE, "", &format!("{one}{other}"));
        said.contains("warning: command[2].match: command[1] has ") && said.contains("is then given twice")
    };
    for (filters, is_said) in [
        (["site7/+/set", "site7/pump/+"], true),
        (["site7/pump/#", "site7/+/set"], true),
        (["site7/a/+", "site7/b/+"], false),
        (["site7/a/+", "site7/#"], false),
        (["site7/#", "site7/a/+"], false),
        (["site7/a/+", "site7/a/+"], false),
    ] {
        assert_eq!(warned(filters), is_said, "{filters:?}");
    }
}

#[test]
fn messages_that_come_back_or_are_never_taken_are_warned_of() {
    let command = |filter: &str| format!("[[command]]\nmatch = \"{filter}\"\n");
    let back = "warning: command[1].match: route[1] publishes at \"site7/plant/#\", which this matches";
    for (hub, filter, is_said) in [
        ("", "site7/+/#", true),
        ("protocol = \"3.1.1\"", "site7/+/#", true),
        ("protocol = \"5\"", "site7/+/#", false),
        ("", "site7/cmd/#", false),
    ] {
        let (_, said) = read(HERE, hub, &command(filter));
        assert_eq!(said.contains(back), is_said, "{hub} {filter}\n{said}");
    }
    for (route, filter, is_said) in [
        ("to = \"hub-\"\nmatch = \"#\"", "hub-7/cmd", true),
        ("to = \"hub-\"\nmatch = \"#\"", "cmd/#", false),
        ("to = \"b\"\nmatch = \"#\"\nformat = \"compact\"", "b/table/#", true),
        ("to = \"b\"\nmatch = \"#\"\nformat = \"json\"", "b/table/#", false),
        ("to = \"b\"\nmatch = \"#\"\nformat = \"json\"", "+", true),
    ] {
        let (_, said) = read(HERE, "", &format!("[[route]]\n{route}\n{}", command(filter)));
        assert_eq!(said.contains("route[2] publishes at"), is_said, "{route} {filter}\n{said}");
    }
    let old = "[hub] protocol = \"5\", or allow_unbounded = true";
    let unbounded = format!("{}allow_unbounded = true\n", command("a"));
    let (_, said) = read(HERE, "protocol = \"3.1.1\"", &command("a"));
    assert!(
        said.contains("warning: command[1].allow_unbounded: every command is refused") && said.contains(old)
    );
    let (_, said) = read(HERE, "protocol = \"3.1.1\"", &unbounded);
    let nobody = "warning: command[1].allow_unbounded: commands without an expiry are taken: how long they waited at the hub nobody knows";
    assert!(said.contains(nobody) && !said.contains(old), "{said}");
}

#[test]
fn where_the_gateway_speaks_no_command_goes_and_closed_loops_and_alarms_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/control.toml")).unwrap();
    let [closed, open] = ["", "hub = [\"setpoint\"]\n"].map(|hub| {
        let file = dir.path().join(if hub.is_empty() { "closed.toml" } else { "open.toml" });
        let text = shipped.replace("[commands]\n", &format!("[commands]\n{hub}"));
        assert_eq!(text.contains("\nhub = "), !hub.is_empty());
        std::fs::write(&file, text).unwrap();
        format!("[control]\nrules = \"{}\"\n", file.display())
    });
    let alarms = "[alarms]\ncommands = true\n";
    let alarms_of_hub = "[alarms]\ncommands = true\nhub = true\n";
    let both = format!("{open}{alarms}");
    for (tables, to, who) in [
        (closed.as_str(), "cmd/+", Some("loops")),
        (&open, "cmd/+", None),
        (alarms, "cmd/+", Some("alarms")),
        (alarms_of_hub, "cmd/+", None),
        (&both, "cmd/+", Some("alarms")),
        (alarms, "x/+", None),
        ("", "cmd/+", None),
    ] {
        let (_, said) = read(HERE, "", &format!("[[command]]\nmatch = \"a/+\"\nto = \"{to}\"\n{tables}"));
        let expected =
            |who: &str| format!("warning: command[1].to: {to:?}: the {who} refuse commands of the hub");
        assert_eq!(["loops", "alarms"].into_iter().find(|who| said.contains(&expected(who))), who, "{said}");
    }
    // A wildcard may stand for one of the gateway's topics, where it has such.
    let command = "[[command]]\nmatch = \"+/cmd\"\nto = \"+/x\"\n";
    let (rules, said) = read(HERE, "", command);
    assert_eq!((rules.len(), said.as_str()), (1, ""));
    let (_, said) = read(HERE, "", &format!("{command}{alarms}"));
    assert!(said.contains("error: command[1].to: \"+/x\": on event/# the gateway"), "{said}");
}
