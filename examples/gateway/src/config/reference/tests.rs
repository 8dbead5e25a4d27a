//! The pages are those in docs/, and the tables are what the readers of the files take.

use std::path::Path;

use control_loop::mqtt::CommandRules;
use edge_filter::config::Config as Rules;
use edge_filter::control::config::ControlConfig;

use super::super::{Config, Sources};
use super::*;

/// Set to write the pages instead of comparing them.
const WRITE: &str = "EDGE_WRITE_DOCS";

#[test]
fn the_pages_are_those_in_the_docs() {
    for (page, name) in [
        (Page::Gateway, "gateway.md"),
        (Page::Rules, "rules.md"),
        (Page::Control, "control.md"),
        (Page::Schema, "gateway.schema.json"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/reference/{name}"));
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, page.text()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page.text(),
            "docs/reference/{name} is not what `edge-gateway reference` prints: {WRITE}=1"
        );
    }
}

/// Puts a line into a table of a file, among all that `key` needs beside it.
type Frame = fn(table: &str, key: &str, line: &str) -> String;
/// Reads a file; what came of it, in words.
type Reader = fn(text: &str) -> Result<String, String>;

/// Earlier names of keys, which are read and not to be written any more.
const EARLIER: [&str; 1] = ["emit_empty"];

/// Every key is read, has this default and these bounds, and no other is valid.
fn check(tables: &[Table], frame: Frame, reader: Reader) {
    for table in tables.iter().filter(|table| !table.keys.is_empty()) {
        let unknown = reader(&frame(table.name, "", "nothing_alike_here = 1")).unwrap_err();
        let names = table.keys.iter().map(|key| key.name).chain(EARLIER);
        let names: Vec<&str> = names.collect();
        for other in listed(&unknown) {
            assert!(names.contains(&other), "{}.{other} is valid and not in the table", table.name);
        }
        for key in table.keys {
            assert!(unknown.contains(key.name), "{}.{} is not valid: {unknown}", table.name, key.name);
            check_key(table.name, key, frame, reader);
        }
    }
}

fn check_key(table: &str, Key { name, value, preset, .. }: &Key, frame: Frame, reader: Reader) {
    let place = format!("{table}.{name}");
    let read = |line: &str| reader(&frame(table, name, line));
    let odd = read(&format!("{name} = [[[1979-05-27]]]")).expect_err(&place);
    let is_unknown = [format!("unknown field `{name}`"), format!("{name}: unknown key")];
    assert!(!is_unknown.iter().any(|words| odd.contains(words)), "{place}: {odd}");
    let literal = |text: &str| match value {
        Value::Text("number" | "whole number" | "milliseconds" | "array of tables") => text.to_owned(),
        Value::Text(_) | Value::OneOrSeveral(_) | Value::Duration(..) | Value::Size(..) | Value::OneOf(_) => {
            format!("\"{text}\"")
        }
        _ => text.to_owned(),
    };
    if let Preset::Is(text) = preset {
        let said = read(&format!("{name} = {}", literal(text)));
        assert_eq!(said, read(""), "{place} is {text} by default");
        assert!(said.is_ok(), "{place}: {said:?}");
    }
    check_bounds(*value, &place, &|text| read(&format!("{name} = {}", literal(text))));
}

/// Returns the names that a reader expected, in backquotes.
fn listed(said: &str) -> Vec<&str> {
    let (_, list) = said.split_once("expected").unwrap_or_default();
    // The place of the key follows.
    let list = list.lines().next().unwrap_or_default();
    list.split('`').skip(1).step_by(2).collect()
}

/// The bounds are taken, and what lies beyond is refused.
fn check_bounds(value: Value, place: &str, read: &dyn Fn(&str) -> Result<String, String>) {
    let refuses =
        |text: &str| read(text).is_err_and(|said| said.contains(place.rsplit('.').next().unwrap_or(place)));
    match value {
        Value::Integer(low, high) => {
            assert!(low == 0 || refuses(&(low - 1).to_string()), "{place}: below {low}");
            assert!(refuses(&(high + 1).to_string()), "{place}: above {high}");
            assert!(!read(&low.to_string()).is_err_and(|said| said.contains("outside")), "{place}: {low}");
            assert!(!read(&high.to_string()).is_err_and(|said| said.contains("outside")), "{place}: {high}");
        }
        Value::Duration(least, most) | Value::Size(least, most) => {
            let words = range(least, most);
            for bound in [least, most].into_iter().filter(|bound| !bound.is_empty()) {
                assert!(!read(bound).is_err_and(|said| said.contains(&words)), "{place}: {bound}");
            }
            let (small, large) = match value {
                Value::Duration(..) => ("0ms", "1000000d"),
                _ => ("1B", "2000GiB"),
            };
            assert!(
                least.is_empty() || read(small).is_err_and(|said| said.contains(&words)),
                "{place}: {small}"
            );
            assert!(
                most.is_empty() || read(large).is_err_and(|said| said.contains(&words)),
                "{place}: {large}"
            );
        }
        Value::OneOf(choices) => {
            let said = read("nothing_alike_here").unwrap_err();
            for choice in choices {
                assert!(said.contains(choice), "{place}: {choice} is not among {said}");
                let other = read(choice)
                    .is_err_and(|said| said.contains("is not one of") || said.contains("unknown variant"));
                assert!(!other, "{place}: {choice}");
            }
            let listed = listed(&said);
            assert!(listed.is_empty() || listed.len() == choices.len(), "{place}: {said}");
        }
        _ => {}
    }
}

#[test]
fn the_table_of_the_gateway_is_what_check_reads() {
    let frame: Frame = |table, key, line| {
        let mut text = if table.is_empty() { format!("{line}\n") } else { String::new() };
        for (name, keys) in [
            ("gateway", "id = \"site7\""),
            ("local", "listen = \"127.0.0.1:1883\""),
            ("hub", "url = \"mqtt://127.0.0.1:1\""),
            ("queue", ""),
            ("route", "match = \"plant/#\"\nto = \"out\"\nformat = \"compact\""),
            ("route.fields", ""),
            ("command", "match = \"cmd/+\""),
            ("alarms", if key == "commands" { "" } else { "commands = true" }),
            ("metrics", ""),
            ("status", ""),
            ("clock", ""),
            ("hardware", ""),
            ("test", "input = [\"0s\"]"),
        ] {
            let head = if matches!(name, "route" | "command" | "test") {
                format!("[[{name}]]")
            } else {
                format!("[{name}]")
            };
            // Raw routes have no fields.
            if (name, table, key) == ("route.fields", "route", "format") {
                continue;
            }
            let is_replaced = |other: &str| name == table && other.split(" =").next() == Some(key);
            let others: Vec<&str> = keys.lines().filter(|other| !is_replaced(other)).collect();
            let more = if name == table { line } else { "" };
            text.push_str(&format!("{head}\n{}\n{more}\n", others.join("\n")));
        }
        if table == "hub.est" {
            let url = if key == "url" { "" } else { "url = \"https://ca\"" };
            text.push_str(&format!("[hub.est]\n{url}\n{line}\n"));
        }
        if table == "control" {
            let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/control.toml");
            let rules =
                if line.starts_with("rules") { String::new() } else { format!("rules = \"{rules}\"") };
            text.push_str(&format!("[control]\n{rules}\n{line}\n"));
        }
        text
    };
    let reader: Reader = |text| match Config::parse(Path::new("gateway.toml"), text, &|_| None) {
        Ok((mut config, _)) => {
            // What the loops are is not of this file, and their names have no order.
            let every = config.control.take().map(|control| control.publish_every);
            // Of the text, which differs.
            (config.digest, config.sources) = (String::new(), Sources::new(Path::new(""), ""));
            Ok(format!("{config:?} {every:?}"))
        }
        Err(findings) => Err(findings.to_string()),
    };
    check(TABLES, frame, reader);
}

/// As for `edge_filter`: `[[rule]]` and its stages in one line.
fn rules_frame(table: &str, _: &str, line: &str) -> String {
    let alone = |keys: &str| {
        let key = line.split(" =").next().unwrap_or_default();
        let others =
            keys.split("; ").filter(|other| !other.is_empty() && other.split(" =").next() != Some(key));
        let all: Vec<&str> = others.chain((!line.is_empty()).then_some(line)).collect();
        all.join(", ")
    };
    let required = match table {
        "defaults" => return format!("[defaults]\n{line}\n"),
        "rule" => return format!("[[rule]]\n{}\n", alone("match = \"a\"").replace(", ", "\n")),
        "alarm" => return format!("[[alarm]]\n{}\n", alone("match = \"a\"").replace(", ", "\n")),
        "limit" => return format!("[[alarm]]\nmatch = \"a\"\nhigh = {{ {} }}\n", alone("limit = 1")),
        "range" => return format!("[[rule]]\nmatch = \"a\"\nrange = {{ {} }}\n", alone("low = 0; high = 1")),
        "gross_range" => "fail = [0, 1]",
        "flat_line" => "suspect_s = 1; fail_s = 2; sampling_ms = 3; tolerance = 0.1",
        "attenuated_signal" => "period_ms = 1",
        "hampel" => "window = 3",
        "jump_reject" => "max_step = 1",
        "counter" => "width_bits = 32; max_rate_per_s = 1",
        "window" => "width_ms = 1; agg = \"mean\"",
        "dedup" => "within_ms = 1",
        "stale" => "timeout_ms = 1",
        _ => "",
    };
    format!("[[rule]]\nmatch = \"a\"\nstages = [ {{ {table} = {{ {} }} }} ]\n", alone(required))
}

#[test]
fn the_table_of_the_rules_is_what_the_filter_reads() {
    let reader: Reader = |text| {
        toml::from_str::<Rules>(text).map(|read| format!("{read:?}")).map_err(|error| error.to_string())
    };
    check(rules::TABLES, rules_frame, reader);
    let stages = rules_frame("nothing", "", "");
    let said = reader(&stages).unwrap_err();
    let named = |table: &&Table| said.contains(&format!("`{}`", table.name));
    assert_eq!(
        rules::TABLES.iter().filter(named).count(),
        said.matches('`').count() / 2 - 1,
        "all stages: {said}"
    );
}

#[test]
fn the_table_of_control_is_what_the_loops_read() {
    let frame: Frame = |table, _, line| {
        let alone = |keys: &str, between: &str| {
            let key = line.split(" =").next().unwrap_or_default();
            let others =
                keys.split("; ").filter(|other| !other.is_empty() && other.split(" =").next() != Some(key));
            others.chain((!line.is_empty()).then_some(line)).collect::<Vec<_>>().join(between)
        };
        let output = |part: &str, keys: &str| {
            format!("[[output]]\nname = \"o\"\n{part} = {{ {} }}\n", alone(keys, ", "))
        };
        match table {
            "control" => format!("[control]\n{line}\n"),
            "input" => format!("[[input]]\n{}\n", alone("name = \"i\"; stale_after_ms = 1", "\n")),
            "output" => format!("[[output]]\n{}\n", alone("name = \"o\"", "\n")),
            "pid" => output("pid", "input = \"i\""),
            "switch" => output("switch", "input = \"i\"; on_at = 1; off_at = 0"),
            "ramp" => output("ramp", "rate_per_s = 1"),
            "interlock" => {
                let keys = "name = \"s\"; outputs = []; trip_when = { input = \"i\" }";
                format!("[[interlock]]\n{}\n", alone(keys, "\n"))
            }
            "condition" => {
                let keys = alone("", ", ");
                format!("[[interlock]]\nname = \"s\"\noutputs = []\ntrip_when = {{ {keys} }}\n")
            }
            "setpoint" => format!("[commands.setpoint]\no = {{ {} }}\n", alone("range = [0, 1]", ", ")),
            _ => format!("[{table}]\n{line}\n"),
        }
    };
    // `[commands]` and the word that turns it on are read before the loops are.
    let reader: Reader = |text| {
        let said = |error: toml::de::Error| error.to_string();
        let mut tables: toml::Table = toml::from_str(text).map_err(said)?;
        let commands = tables.remove("commands").unwrap_or(toml::Value::Table(toml::Table::new()));
        let commands: CommandRules = commands.try_into().map_err(said)?;
        if let Some(toml::Value::Table(control)) = tables.get_mut("control") {
            match control.remove("commands") {
                None | Some(toml::Value::Boolean(false)) => {}
                Some(_) => return Err("commands".to_owned()),
            }
        }
        let loops: ControlConfig = toml::Value::Table(tables).try_into().map_err(said)?;
        Ok(format!("{loops:?} {commands:?}"))
    };
    let without_commands: Vec<Key> =
        control::TABLES[0].keys.iter().filter(|key| key.name != "commands").copied().collect();
    let first = Table { keys: Box::leak(without_commands.into_boxed_slice()), ..control::TABLES[0] };
    let tables: Vec<Table> = std::iter::once(first).chain(control::TABLES[1..].iter().copied()).collect();
    check(&tables, frame, reader);
}

/// Words with an underscore in backquotes: keys, tables, choices, and two of Mosquitto's.
#[test]
fn a_key_that_a_meaning_names_is_there() {
    let tables = || [TABLES, rules::TABLES, control::TABLES].into_iter().flatten();
    let keys = || tables().flat_map(|table| table.keys);
    let mut there = vec!["mosquitto_passwd", "use_identity_as_username"];
    there.extend(tables().map(|table| table.name).chain(keys().map(|key| key.name)));
    for key in keys() {
        if let Value::OneOf(choices) = key.value {
            there.extend(choices);
        }
    }
    let meanings = tables().map(|table| table.meaning).chain(keys().map(|key| key.meaning));
    for word in meanings.flat_map(|meaning| meaning.split('`').skip(1).step_by(2)) {
        let is_name =
            word.contains('_') && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        assert!(!is_name || there.contains(&word), "{word} is no key");
    }
}
