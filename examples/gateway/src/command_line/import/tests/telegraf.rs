//! Lines of a telegraf.conf.

use edge_codec::influx::Precision;
use edge_codec::{Limits, Source, Value, json};

use crate::config::Input;

use super::{Imported, Site};

const MOSQUITTO: &str = "connection up\naddress h\nremote_clientid g\ntopic plant/+/raw out 1 \"\" hub/7/\n";

fn import(telegraf: &str) -> (Site, Imported) {
    let site = Site::new();
    let imported = site.import(MOSQUITTO, Some(telegraf)).unwrap();
    (site, imported)
}

#[test]
fn a_consumer_of_json_is_a_route_of_readings() {
    let (site, imported) = import(
        "[[inputs.mqtt_consumer]]\n  topics = [\"plant/+/data\", \"plant/1/raw\"]\n  data_format = \"json\"\n  json_query = \"data.values\"\n  json_time_key = \"at\"\n  json_time_format = \"unix\"\n  qos = 1\n",
    );
    let config = site.check(&imported.text).unwrap();
    let route = &config.routes[1];
    assert_eq!((config.routes.len(), route.format.name(), route.to.as_str()), (2, "json", "hub/7/readings"));
    let Input::Json(fields) = &route.input else { panic!("{:?}", route.input) };
    assert_eq!((fields.each.as_deref(), fields.time.as_str()), (Some("/data/values"), "/data/values/at"));
    assert!(
        imported
            .text
            .contains("[[route]]  # /t.conf:1, /t.conf:2, /t.conf:3, /t.conf:4, /t.conf:5, /t.conf:6\n"),
        "{}",
        imported.text
    );
    assert!(
        matches!(imported.warnings.as_slice(), [nested, one] if nested.contains("Telegraf takes numbers in objects") && one.contains("\"plant/1/raw\"") && one.contains("m.conf:4 has these topics already")),
        "{:?}",
        imported.warnings
    );
}

/// Names and values that the route of these lines reads in a payload, each with its time.
fn read(lines: &str, payload: &str) -> Vec<(String, Value<'static>, i64)> {
    let (site, imported) =
        import(&format!("[[inputs.mqtt_consumer]]\ntopics = [\"a\"]\ndata_format = \"json\"\n{lines}\n"));
    let nested = imported.warnings.iter().filter(|text| text.contains("Telegraf takes numbers in objects"));
    assert_eq!(nested.count(), 1, "{:?}", imported.warnings);
    let Input::Json(fields) = site.check(&imported.text).unwrap().routes[1].input.clone() else { panic!() };
    let source = Source { sensor: Some("a"), arrival_ms: 7 };
    let records = json::import(payload.as_bytes(), &fields.into(), &source, &Limits::default()).unwrap();
    let own = |value: Value<'_>| match value {
        Value::I64(number) => Value::I64(number),
        other => panic!("{other:?}"),
    };
    let mut read: Vec<_> = records
        .into_iter()
        .map(|record| {
            assert!(record.sensor == "a" && record.unit.is_empty(), "{record:?}");
            (record.field.into_owned(), own(record.value), record.time)
        })
        .collect();
    read.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    read
}

/// Telegraf takes each number as a field, passes over texts, and knows a time only where `json_time_key` names it.
#[test]
fn fields_with_the_names_of_presets_are_what_they_are_in_telegraf() {
    let found = |names: &[(&str, i64)], time| -> Vec<(String, Value<'static>, i64)> {
        names.iter().map(|(name, number)| ((*name).to_owned(), Value::I64(*number), time)).collect()
    };
    let ts = r#"{"ts":1700000000,"temp":21}"#;
    assert_eq!(read("", ts), found(&[("temp", 21), ("ts", 1_700_000_000)], 7));
    let others = r#"{"ts":"2026-11-30T00:00:00Z","quality":"ok","unit":3,"sensor":12,"value":4,"temp":21}"#;
    assert_eq!(read("", others), found(&[("sensor", 12), ("temp", 21), ("unit", 3), ("value", 4)], 7));
    let nested = r#"{"temp":21,"deep":{"temp":3},"list":[1,2]}"#;
    assert_eq!(read("", nested), found(&[("temp", 21)], 7));
    let time = "json_time_key = \"t\"\njson_time_format = \"unix\"";
    assert_eq!(read(time, r#"{"t":9,"ts":"x","temp":21}"#), found(&[("temp", 21)], 9_000));
    let query = format!("json_query = \"data\"\n{time}");
    assert_eq!(read(&query, r#"{"t":1,"data":{"t":9,"temp":21}}"#), found(&[("temp", 21)], 9_000));
}

#[test]
fn a_consumer_of_lines_or_of_numbers_is_a_route_that_reads_them() {
    for (lines, input) in [
        ("", Input::Lines(Precision::Nanoseconds)),
        ("data_format = \"influx\"", Input::Lines(Precision::Nanoseconds)),
        ("data_format = \"influx\"\ninflux_timestamp_precision = \"1s\"", Input::Lines(Precision::Seconds)),
        ("data_format = \"value\"\ndata_type = \"float\"", Input::Number),
    ] {
        let (site, imported) = import(&format!("[[inputs.mqtt_consumer]]\ntopics = [\"a\"]\n{lines}\n"));
        assert_eq!(site.check(&imported.text).unwrap().routes[1].input, input, "{}", imported.text);
        assert!(imported.warnings.is_empty(), "{lines}: {:?}", imported.warnings);
    }
}

#[test]
fn a_consumer_whose_payload_is_none_of_the_gateway_is_left_with_a_warning() {
    for (lines, why) in [
        ("data_format = \"xpath_xml\"", "data_format \"xpath_xml\""),
        ("data_format = \"value\"\ndata_type = \"string\"", "data_type \"string\""),
        ("influx_timestamp_precision = \"1h\"", "influx_timestamp_precision"),
        ("data_format = \"json\"\njson_query = \"a.#.b\"", "json_query is more than a path"),
        ("data_format = \"json\"\njson_time_key = \"t\"\njson_time_format = \"Jan 2\"", "json_time_format"),
    ] {
        let (site, imported) = import(&format!("[[inputs.mqtt_consumer]]\ntopics = [\"a\"]\n{lines}\n"));
        assert_eq!(site.check(&imported.text).unwrap().routes.len(), 1);
        assert!(
            matches!(imported.warnings.as_slice(), [one] if one.starts_with("/t.conf:1: warning:") && one.contains(why)),
            "{lines}: {:?}",
            imported.warnings
        );
    }
}

#[test]
fn a_topic_of_an_output_is_that_of_the_batches() {
    let consumer = "[[inputs.mqtt_consumer]]\ntopics = [\"a\"]\ndata_format = \"json\"\n";
    for (topic, to) in [("site/7", "site/7"), ("site/{{ .Name }}", "hub/7/readings")] {
        let (site, imported) = import(&format!("{consumer}[[outputs.mqtt]]\ntopic = \"{topic}\"\n"));
        assert_eq!(site.check(&imported.text).unwrap().routes[1].to, to);
    }
}

#[test]
fn the_buffer_of_metrics_limits_the_queue_where_mosquitto_does_not() {
    let site = Site::new();
    let telegraf = "[agent]\nmetric_buffer_limit = 10_000\n";
    let imported = site.import(MOSQUITTO, Some(telegraf)).unwrap();
    assert_eq!(site.check(&imported.text).unwrap().queue.max_messages, Some(10_000));
    assert!(
        imported.text.contains("max_messages = 10000  # /t.conf:2: metrics in RAM there"),
        "{}",
        imported.text
    );
    let imported = site.import(&format!("{MOSQUITTO}max_queued_messages 5\n"), Some(telegraf)).unwrap();
    assert_eq!(site.check(&imported.text).unwrap().queue.max_messages, Some(5));
    assert!(imported.text.contains("/t.conf:2 not carried over: metric_buffer_limit"), "{}", imported.text);
}

#[test]
fn each_line_is_told_once_and_no_value_of_it() {
    let telegraf = r#"# Telegraf
top = "hush"

[global_tags]
  site = "hush" # hush

[agent]
  interval = "10s"

[[inputs.mqtt_consumer]]
  topics = [
    "a/b", # hush

    "c/#",
  ]
  username = "hush"
  password = "hush"
  data_format = "json"
  [inputs.mqtt_consumer.tags]
    unit = """
hush
[hush]
"""

[[inputs."modbus"]]
  registers = [
    { address = 1, name = "hush" },
    { address = 2, name = "hush" },
  ]
[[processors.dedup]] # hush
  dedup_interval = "hush"
[[aggregators.minmax]]
[[outputs.influxdb_v2]]
  urls = ["https://me:hush@influx.example"]
  token = "hush"
  http_headers = { Authorization = "hush" }
[outputs.influxdb_v2.tagpass]
  a.b = "hush"
  a.c = ["hush"]
"#;
    let (site, imported) = import(telegraf);
    site.check(&imported.text).unwrap();
    let told = imported.warnings.join("\n") + &imported.text;
    assert!(!told.contains("hush"), "{told}");
    let first = [2, 4, 5, 7, 8, 10, 11, 16, 17, 18, 19, 20, 25, 26, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39];
    let (mut count, spans) = (0, ["11-15", "20-23", "26-29"]);
    for number in 1..=telegraf.lines().count() {
        let is_told = |line: &str| {
            let marks =
                line.split("/t.conf:").skip(1).map(|mark| mark.split([',', ' ', ':']).next().unwrap_or(""));
            marks.filter(|mark| mark.split('-').next() == Some(&number.to_string())).count()
        };
        // A route of two topics names its lines twice.
        let times: usize =
            imported.text.lines().filter(|line| !line.starts_with("# Made by")).map(is_told).sum();
        let routes = usize::from([10, 11, 18].contains(&number));
        assert_eq!(times, usize::from(first.contains(&number)) + routes, "line {number}: {}", imported.text);
        count += usize::from(times > 0);
    }
    assert!(spans.iter().all(|span| imported.text.contains(&format!("/t.conf:{span}"))), "{}", imported.text);
    assert_eq!(imported.counts.carried + imported.counts.left, count + 4, "with those of Mosquitto");
    for part in ["stays in Telegraf", "a deadband", "a window in", "sends to [hub] alone"] {
        assert!(imported.text.contains(part), "{part}");
    }
}
