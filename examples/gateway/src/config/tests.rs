mod access;
mod golden;
mod input;
mod queue_key;
mod status;
mod told;
mod way_out;

use std::path::Path;

use edge_codec::json::Fields;

use super::*;

const SMALL: &str = r#"
[gateway]
id = "site7"
[local]
listen = "127.0.0.1:1883"
[hub]
url = "mqtt://hub.example:1883"
[[route]]
match = "plant/#"
"#;

fn parse(text: &str) -> Result<(Config, Findings), Findings> {
    Config::parse(Path::new("gateway.toml"), text, &|_| None)
}

#[test]
fn the_clock_is_trusted_only_where_the_configuration_says_so() {
    assert!(!parse(SMALL).unwrap().0.trusts_clock);
    assert!(parse(&format!("{SMALL}[clock]\ntrusted = true\n")).unwrap().0.trusts_clock);
    let said = parse(&format!("{SMALL}[clock]\ntrusted = \"yes\"\n")).unwrap_err().to_string();
    assert!(said.contains("error: clock.trusted:"), "{said}");
}

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let (config, findings) = parse(SMALL).unwrap();
    assert_eq!(findings.to_string(), "");
    assert_eq!(config.queue.max_bytes, 64 << 20);
    assert_eq!(config.queue.ack_within, Duration::from_secs(1));
    assert_eq!(config.totals_within, Duration::from_secs(60));
    assert_eq!(config.queue.on_full, OnFull::DropOldest);
    assert_eq!(config.orders(), [Order::Fifo, Order::Fifo]);
    assert_eq!(config.queue.lanes, ["alarm", "telemetry"]);
    assert_eq!(config.routes[0].format, Format::Raw);
    assert_eq!(config.routes[0].lane, 1);
    assert_eq!(config.hub.client_id, "site7");
}

#[test]
fn all_mistakes_are_reported_at_once_each_with_line_key_and_nearest_name() {
    let text = r#"
[gateway]
id = "site7"
[local]
listen = "0.0.0.0:1883"
[hub]
url = "mqtts://hub.example"
windw = 500
ca = "missing.pem"
[queue]
ack_within = 1.5
on_full = "drop-oldst"
max_bytes = "4KiB"
[[route]]
match = "plant/#/x"
format = "compct"
to = "x"
[[command]]
match = "cmd/#"
expiry = "2d"
[metrics]
listen = "9109"
totals_within = "1ms"
"#;
    let findings = parse(text).unwrap_err();
    let said = findings.to_string();
    for expected in [
        "error: hub.windw: unknown key\n  --> gateway.toml:8:1",
        "did you mean `window`?",
        "error: hub.ca:",
        "missing.pem",
        "error: queue.ack_within: a duration needs a unit: write \"1.5s\" or \"1.5ms\"\n  --> gateway.toml:11:14",
        "did you mean \"drop-oldest\"?",
        "error: queue.max_bytes: 1MiB to",
        "error: route[1].match:",
        "\"compct\" is not one of raw, json, cbor, protobuf, compact",
        "did you mean \"compact\"?",
        "error: command[1].expiry: 1s to 1d",
        "error: metrics.listen:",
        "error: metrics.totals_within: 1s to 1h",
        "error: local.listen: anyone who reaches this address may publish",
    ] {
        assert!(said.contains(expected), "missing {expected:?} in\n{said}");
    }
}

#[test]
fn the_level_and_the_fields_of_a_route_are_read_and_held_against_its_format() {
    let route = "to = \"x\"\nformat = \"compact\"\nlevel = \"small\"\n\
        fields = { value = \"/data/temp\", time = \"at\", time_unit = \"seconds\" }\n";
    let (config, findings) = parse(&format!("{SMALL}{route}")).unwrap();
    assert_eq!(findings.to_string(), "");
    let Input::Json(fields) = &config.routes[0].input else { panic!("{:?}", config.routes[0].input) };
    let level = config.routes[0].level;
    assert_eq!((level, fields.value.as_str(), fields.time.as_str()), (Level::Small, "/data/temp", "at"));
    assert_eq!((fields.time_unit, fields.unit.as_str()), (edge_codec::json::TimeUnit::Seconds, "unit"));
    let (config, _) = parse(&format!("{SMALL}to = \"x\"\nformat = \"compact\"\n")).unwrap();
    let input = Input::Json(Fields::default());
    assert_eq!((config.routes[0].level, &config.routes[0].input), (Level::Fast, &input));
    for (route, expected) in [
        ("to = \"x\"\nformat = \"json\"\nlevel = \"small\"", "error: route[1].level: only compact"),
        ("to = \"x\"\nformat = \"compact\"\nlevel = \"smal\"", "did you mean \"small\"?"),
        ("fields = { value = \"v\" }", "error: route[1].fields: a raw route"),
        ("to = \"x\"\nformat = \"json\"\nfields = 1", "error: route[1].fields: expected a table"),
        ("to = \"x\"\nformat = \"json\"\nfields = { valu = \"v\" }", "did you mean `value`?"),
        (
            "to = \"x\"\nformat = \"json\"\nfields = { value = \"\" }",
            "error: route[1].fields.value: the name",
        ),
        ("to = \"x\"\nformat = \"json\"\nfields = { time_unit = \"minutes\" }", "is not one of seconds"),
    ] {
        let said = parse(&format!("{SMALL}{route}\n")).unwrap_err().to_string();
        assert!(said.contains(expected), "{route}: {said}");
    }
}

#[test]
fn a_topic_that_no_hub_takes_is_refused_at_its_place() {
    for to in ["up\\u0001/", "up\\u009f/", "up\\uFDD0", "up/#/", "up/+", "$share/g/x"] {
        for format in ["raw", "json"] {
            let said =
                parse(&format!("{SMALL}to = \"{to}\"\nformat = \"{format}\"\n")).unwrap_err().to_string();
            let line = SMALL.lines().count() + 1;
            assert!(
                said.contains("error: route[1].to:") && said.contains(&format!("toml:{line}:6")),
                "{said}"
            );
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "the terminal is spared: {said:?}");
        }
    }
    for to in ["$sys/up/", "up/\\u00e4", "$shared/"] {
        assert!(parse(&format!("{SMALL}to = \"{to}\"\n")).is_ok(), "{to}");
    }
}

#[test]
fn a_prefix_without_its_slash_is_told() {
    let said = |route: &str| parse(&format!("{SMALL}{route}\n")).unwrap().1.to_string();
    assert!(said("to = \"up\"").contains("\"a\" becomes \"upa\""), "{}", said("to = \"up\""));
    for fine in ["to = \"up/\"", "to = \"\"", "to = \"up\"\nformat = \"json\""] {
        assert_eq!(said(fine), "", "{fine}");
    }
}

#[test]
fn a_route_behind_one_that_takes_all_of_it_is_told() {
    let said =
        |other: &str| parse(&format!("{SMALL}[[route]]\nmatch = \"{other}\"\n")).unwrap().1.to_string();
    assert!(
        said("plant/alarm/#").contains("route[2].match: never reached: route[1]"),
        "{}",
        said("plant/alarm/#")
    );
    assert_eq!(said("other/#"), "");
}

#[test]
fn control_characters_are_accepted_when_it_is_said() {
    let accepts = |text: &str| {
        let (config, findings) = parse(text).unwrap();
        let Local::Listen { accept_control_characters, .. } = config.local else { panic!("listen expected") };
        (accept_control_characters, findings.to_string())
    };
    assert_eq!(accepts(SMALL), (false, String::new()));
    let text = SMALL.replace("[local]\n", "[local]\naccept_control_characters = true\n");
    assert_eq!(accepts(&text), (true, String::new()));
    let text = text.replace("listen = ", "broker = ");
    assert!(parse(&text).unwrap().1.to_string().contains("has no effect with `broker`"));
}

#[test]
fn the_password_stands_in_a_file_that_is_looked_at() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let parse = |hub: &str| {
        let text = SMALL.replace("[hub]\n", &format!("[hub]\n{hub}\n"));
        Config::parse(&dir.path().join("gateway.toml"), &text, &|_| None)
    };
    let write = |content: &[u8], mode: u32| {
        let path = dir.path().join("hub.password");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let both = "user = \"site7\"\npassword_file = \"hub.password\"";
    assert!(parse(both).unwrap_err().to_string().contains("No such file"));
    write(b"\n", 0o600);
    assert!(parse(both).unwrap_err().to_string().contains("hub.password: empty"));
    for (content, why) in [
        (&b"geheim\nzweite\n"[..], "several lines"),
        (b"geheim\n\n", "several lines"),
        (b"ge\theim", "a control character at byte 3"),
        (b"\xef\xbb\xbfgeheim\n", "byte order mark"),
        (b"\xff\xfeg\0e\0h\0", "byte order mark"),
    ] {
        write(content, 0o600);
        let said = parse(both).unwrap_err().to_string();
        assert!(said.contains("hub.password_file: ") && said.contains("hub.password: "), "{said}");
        assert!(said.contains(why) && !said.contains("zweite"), "{said}");
    }
    write(b" se cret \r\n", 0o600);
    let (config, findings) = parse(both).unwrap();
    let credentials = config.hub.credentials.clone().unwrap();
    assert_eq!((credentials.user.as_str(), credentials.password.as_slice()), ("site7", &b" se cret "[..]));
    assert!(!format!("{config:?}").contains("115, 101, 32") && !format!("{config:?}").contains("se cret"));
    assert!(findings.to_string().contains("in the clear"), "{findings}");
    write(b"secret", 0o644);
    assert!(parse(both).unwrap().1.to_string().contains("mode 0644"));
    for half in ["user = \"site7\"", "password_file = \"hub.password\""] {
        assert!(parse(half).unwrap_err().to_string().contains("belong together"), "{half}");
    }
}

#[test]
fn the_version_and_the_time_for_commands_are_read() {
    let hub = |line: &str| {
        parse(&SMALL.replace("[hub]\n", &format!("[hub]\n{line}\n"))).map(|(config, _)| config.hub)
    };
    let default = hub("").unwrap();
    assert_eq!((default.protocol, default.command_within), (Protocol::Auto, Duration::from_secs(15)));
    assert_eq!(hub("protocol = \"5\"").unwrap().protocol, Protocol::V5);
    assert_eq!(hub("protocol = \"3.1.1\"").unwrap().protocol, Protocol::V311);
    assert!(hub("protocol = \"4\"").unwrap_err().to_string().contains("is not one of auto, 5, 3.1.1"));
    assert_eq!(hub("command_within = \"1m\"").unwrap().command_within, Duration::from_secs(60));
    assert!(hub("command_within = \"3s\"").unwrap_err().to_string().contains("4s to 1h"));
}

#[test]
fn missing_tables_are_named() {
    let said = parse("").unwrap_err().to_string();
    for expected in ["gateway.id", "local", "hub.url", "route"] {
        assert!(said.contains(&format!("error: {expected}: missing")), "missing {expected} in\n{said}");
    }
}

#[test]
fn an_empty_path_is_none() {
    for line in ["state = \"\"", "state = \"${EDGE_NOT_SET:-}\""] {
        let said =
            parse(&SMALL.replace("[gateway]\n", &format!("[gateway]\n{line}\n"))).unwrap_err().to_string();
        assert!(said.contains("error: gateway.state: an empty path\n  --> gateway.toml:"), "{said}");
    }
    let said = parse(&SMALL.replace("[hub]\n", "[hub]\nca = \"\"\n")).unwrap_err().to_string();
    assert!(said.contains("error: hub.ca: an empty path"), "{said}");
}

/// It was taken, and nothing was forwarded.
#[test]
fn an_empty_list_of_routes_is_a_missing_one() {
    let file =
        "route = []\n[gateway]\nid = \"g\"\n[hub]\nurl = \"mqtt://h\"\n[local]\nlisten = \"127.0.0.1:1\"\n";
    let findings = parse(file).unwrap_err().to_string();
    assert!(findings.contains("route: missing: at least one [[route]]"), "{findings}");
}

#[test]
fn nothing_is_called_missing_in_a_file_that_is_not_toml() {
    let text = SMALL.replace("[gateway]\n", "[gateway]\nid site7\n").replace("[hub]", "[hub");
    let said = parse(&text).unwrap_err().to_string();
    assert!(said.contains("error: syntax:") && !said.contains("missing"), "{said}");
}

#[test]
fn a_syntax_error_has_its_place() {
    let said = parse("[gateway\nid = \"x\"\n").unwrap_err().to_string();
    assert!(said.contains("error: syntax:") && said.contains("gateway.toml:1:"), "{said}");
}

#[test]
fn a_broker_gets_the_routes_as_topics() {
    let text = SMALL.replace("listen = \"127.0.0.1:1883\"", "broker = \"127.0.0.1:1884\"");
    let (config, _) = parse(&text).unwrap();
    let Local::Broker { topics, client_id, port, .. } = config.local else { panic!("broker expected") };
    assert_eq!((topics, client_id.as_str(), port), (vec!["plant/#".to_owned()], "site7-local", 1884));
}

#[test]
fn a_hub_that_is_the_local_broker_is_refused() {
    let text = SMALL
        .replace("listen = \"127.0.0.1:1883\"", "broker = \"10.0.0.1:1883\"")
        .replace("hub.example", "10.0.0.1");
    assert!(parse(&text).unwrap_err().to_string().contains("circles"));
    let text = SMALL.replace("hub.example", "LocalHost");
    assert!(parse(&text).unwrap_err().to_string().contains("own listener"));
}

#[test]
fn no_text_makes_the_reader_panic() {
    // Every prefix and every single-byte deletion of a configuration that uses most keys.
    let text = format!("{SMALL}to = \"a/\"\nqos = 1\nlane = \"alarm\"\n[queue]\nmax_age = \"7d\"\n");
    for end in 0..text.len() {
        let _ = parse(&text[..end]);
        let cut = format!("{}{}", &text[..end], &text[end + 1..]);
        let _ = parse(&cut);
    }
}

#[test]
fn the_example_has_every_key() {
    let example = include_str!("../../gateway.toml");
    let known = |table: &str| {
        let text = match table {
            "" => format!("nothing_alike_here = 1\n{SMALL}"),
            "route" => format!("{SMALL}nothing_alike_here = 1\n"),
            "command" => format!("{SMALL}[[command]]\nmatch = \"a\"\nnothing_alike_here = 1\n"),
            "test" => format!("{SMALL}[[test]]\ninput = [\"0s\"]\nnothing_alike_here = 1\n"),
            "route.fields" => format!("{SMALL}format = \"json\"\nfields = {{ nothing_alike_here = 1 }}\n"),
            table if SMALL.contains(&format!("[{table}]")) => {
                SMALL.replace(&format!("[{table}]"), &format!("[{table}]\nnothing_alike_here = 1"))
            }
            table => format!("{SMALL}[{table}]\nnothing_alike_here = 1\n"),
        };
        let said = parse(&text).unwrap_err().to_string();
        let (_, list) = said.split_once("valid here: ").unwrap_or_else(|| panic!("{table}: {said}"));
        list.lines().next().unwrap().split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |key: &str| {
        example.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = "))
                || line.contains(&format!("{{ {key} = "))
                || line.contains(&format!(", {key} = "))
        })
    };
    for table in [
        "gateway",
        "local",
        "hub",
        "queue",
        "route",
        "route.fields",
        "command",
        "control",
        "alarms",
        "metrics",
        "status",
        "clock",
        "hardware",
        "test",
    ] {
        let has_table = |key: &str| example.contains(&format!("[{table}.{key}]"));
        let missing: Vec<_> = known(table).into_iter().filter(|key| !has(key) && !has_table(key)).collect();
        assert!(missing.is_empty(), "[{table}] of gateway.toml lacks {missing:?}");
    }
    for table in known("") {
        assert!(has(&table) || example.contains(&format!("[{table}]")), "gateway.toml lacks [{table}]");
    }
}
