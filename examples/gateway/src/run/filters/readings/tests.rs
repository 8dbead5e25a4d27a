//! Readings of a route, without a queue.

use edge_codec::json::Fields;

use super::*;

const RULES: &str = r#"
[[rule]]
match = "line/#"
stages = [ { deadband = { absolute = 0.5 } }, { stale = { timeout_ms = 30000 } } ]

[[alarm]]
match = "line/t"
high = { limit = 90.0 }
"#;

fn at(wall_ms: i64) -> Now {
    Now { up_ms: 0, wall_ms }
}

fn json() -> Input {
    Input::Json(Fields::default())
}

fn with(fields: Fields) -> Readings {
    Readings::new(None, None, &Input::Json(fields))
}

fn filtered() -> Readings {
    Readings::new(Some(Pipeline::from_toml(RULES).unwrap()), None, &json())
}

fn shown(taken: &Taken) -> Vec<String> {
    taken
        .kept
        .iter()
        .map(|kept| {
            let row = ReadingRow::decode(&kept.row).unwrap();
            let alarm = if kept.alarm { " !" } else { "" };
            format!("{} {:?} {} {} q{:x}{alarm}", row.sensor, row.value, row.unit, row.time, row.quality)
        })
        .collect()
}

#[test]
fn without_a_filter_every_reading_is_kept_under_its_own_or_the_topics_name() {
    let mut readings = Readings::new(None, None, &json());
    let payload = br#"[{"value":1,"ts":5,"unit":"Cel"},{"sensor":"b","value":null,"quality":"bad"}]"#;
    let kept = readings.take_in(at(1_000), "plant/a", payload, false).unwrap();
    assert_eq!(shown(&kept), ["plant/a I64(1) Cel 5 q0", "b Null  1000 q80000000"]);
}

#[test]
fn a_null_is_bad_with_and_without_a_filter() {
    for mut readings in [Readings::new(None, None, &json()), filtered()] {
        let mut take =
            |json: &str| shown(&readings.take_in(at(1), "line/x", json.as_bytes(), false).unwrap());
        assert_eq!(take(r#"{"value":null}"#), ["line/x Null  1 q80000000"]);
        assert_eq!(take(r#"{"value":null,"ts":2,"quality":2155085824}"#), ["line/x Null  2 q80740000"]);
    }
}

#[test]
fn a_sensor_without_a_name_is_refused_with_its_message() {
    let mut readings = filtered();
    let payload = br#"[{"value":1.0},{"sensor":"","value":2.0}]"#;
    let refused = readings.take_in(at(0), "line/t", payload, false).unwrap_err();
    assert!(refused.to_string().contains("name of a sensor is empty"), "{refused}");
    assert_eq!(readings.stats().unwrap().input, 0);
}

#[test]
fn names_and_units_have_limits_that_the_error_tells() {
    let mut readings = Readings::new(None, None, &json());
    let mut take = |topic: &str, payload: &str| {
        readings.take_in(at(0), topic, payload.as_bytes(), false).map(|taken| taken.kept.len())
    };
    let (name, unit) = ("n".repeat(NAME_BYTES_MAX), "u".repeat(UNIT_BYTES_MAX));
    assert_eq!(take(&name, &format!(r#"{{"value":1,"unit":"{unit}"}}"#)), Ok(1));
    let refused = [
        (format!("{name}n"), r#"{"value":1}"#.to_owned(), "a sensor name of 513 bytes: the limit is 512"),
        ("t".to_owned(), format!(r#"[{{"value":1}},{{"sensor":"{name}n","value":1}}]"#), "of 513 bytes"),
        (
            "t".to_owned(),
            format!(r#"{{"value":1,"unit":"{unit}u"}}"#),
            "a unit of 129 bytes: the limit is 128",
        ),
    ];
    for (topic, payload, error) in refused {
        let told = take(&topic, &payload).unwrap_err().to_string();
        assert!(told.contains(error), "{told}");
    }
    let mut readings = with(Fields { each: Some("/data".to_owned()), ..Fields::default() });
    let payload = format!(r#"{{"data":{{"{}":1}}}}"#, "f".repeat(510));
    assert!(readings.take_in(at(0), "t", payload.as_bytes(), false).is_ok());
    assert!(readings.take_in(at(0), "tt", payload.as_bytes(), false).is_err(), "TOPIC/FIELD is the name");
}

#[test]
fn readings_stand_where_the_map_says() {
    let (value, time) = ("/data/temp".to_owned(), "at".to_owned());
    let time_unit = edge_codec::json::TimeUnit::Seconds;
    let mut readings = with(Fields { value, time, time_unit, ..Fields::default() });
    let kept =
        readings.take_in(at(9), "plant/a", br#"{"at":7,"data":{"temp":97.4},"unit":"F"}"#, false).unwrap();
    assert_eq!(shown(&kept), ["plant/a F64(97.4) F 7000 q0"]);
    let mut readings = with(Fields { each: Some("/data".to_owned()), ..Fields::default() });
    let kept = readings.take_in(at(9), "plant/a", br#"{"data":{"temp":97.4,"rpm":1200}}"#, false).unwrap();
    assert_eq!(shown(&kept), ["plant/a/temp F64(97.4)  9 q0", "plant/a/rpm I64(1200)  9 q0"]);
}

#[test]
fn each_form_of_payload_gives_readings_under_the_names_of_its_sensors() {
    use edge_codec::influx::Precision;
    let pack =
        br#" [{"bn":"urn:dev:a:","bt":1580515200,"n":"t","u":"Cel","v":21.5},{"n":"h","u":"%RH","v":45}]"#;
    // The same in CBOR: [{-2: "urn:dev:a:", -3: 1580515200, 0: "t", 1: "Cel", 2: 21.5}, {0: "h", 1: "%RH", 2: 45}]
    let cbor = b"\x82\xa5\x21\x6aurn:dev:a:\x22\x1a\x5e\x34\xbf\x80\x00\x61t\x01\x63Cel\x02\xf9\x4d\x60\xa3\x00\x61h\x01\x63%RH\x02\x18\x2d";
    let packed = ["urn:dev:a:t F64(21.5) Cel 1580515200000 q0", "urn:dev:a:h I64(45) %RH 1580515200000 q0"];
    let cases: [(Input, &[u8], &[&str]); 7] = [
        (Input::Number, b"21.5", &["/plant/a F64(21.5)  9 q0"]),
        (Input::Number, b"21.5 \xc2\xb0C\n", &["/plant/a F64(21.5) \u{b0}C 9 q0"]),
        (Input::Number, b"nan", &["/plant/a Null  9 q80000000"]),
        (
            Input::Lines(Precision::Seconds),
            b"env,room=1 t=21.5,h=45i 7\nx value=t",
            &[
                "/plant/a/env/room=1/t F64(21.5)  7000 q0",
                "/plant/a/env/room=1/h I64(45)  7000 q0",
                "/plant/a/x Bool(true)  9 q0",
            ],
        ),
        (Input::Senml, pack, &packed),
        (Input::Senml, cbor, &packed),
        (Input::Senml, b"[]", &[]),
    ];
    for (input, payload, expected) in cases {
        let taken = Readings::new(None, None, &input).take_in(at(9), "/plant/a", payload, false).unwrap();
        assert_eq!(
            (shown(&taken), taken.is_of_none),
            (expected.iter().map(|line| (*line).to_owned()).collect(), expected.is_empty()),
            "{input:?}"
        );
    }
}

#[test]
fn names_of_every_form_have_the_same_limit() {
    use edge_codec::influx::Precision;
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    for (input, payload) in [
        (Input::Lines(Precision::Nanoseconds), format!("{long} value=1")),
        (Input::Lines(Precision::Nanoseconds), format!("m {}=1", &long[..NAME_BYTES_MAX - 3])),
        (Input::Senml, format!(r#"[{{"n":"a","v":1}},{{"n":"{long}","v":1}}]"#)),
        (Input::Number, format!("1 {}", "u".repeat(UNIT_BYTES_MAX + 1))),
    ] {
        let mut readings = Readings::new(None, None, &input);
        let error = readings.take_in(at(0), "t", payload.as_bytes(), false).unwrap_err().to_string();
        assert!(error.contains("the limit is"), "{input:?}: {error}");
    }
}

/// A device with some hundred registers publishes them together.
#[test]
fn an_object_or_a_line_may_have_a_thousand_fields() {
    use edge_codec::influx::Precision;
    let each = || Input::Json(Fields { each: Some("/data".to_owned()), ..Fields::default() });
    let list = |n: usize, field: &dyn Fn(usize) -> String| (0..n).map(field).collect::<Vec<_>>().join(",");
    for (n, is_taken) in [(300, true), (1_000, true), (1_001, false)] {
        let object = format!("{{\"data\":{{{}}}}}", list(n, &|n| format!("\"r{n}\":{n}")));
        let line = format!("m {}", list(n, &|n| format!("r{n}={n}")));
        for (input, payload) in [(each(), object), (Input::Lines(Precision::Milliseconds), line)] {
            let taken = Readings::new(None, None, &input).take_in(at(9), "t", payload.as_bytes(), false);
            match taken {
                Ok(taken) => assert_eq!((taken.kept.len(), is_taken), (n, true), "{input:?}"),
                Err(error) => {
                    assert!(!is_taken && error.to_string().contains("fields"), "{input:?}: {error}");
                }
            }
        }
    }
}

#[test]
fn the_deadband_suppresses_and_stale_adds_with_the_units_of_the_sensor() {
    let mut readings = filtered();
    let mut take = |ms, value: &str| {
        let payload = format!(r#"{{"value":{value},"unit":"Cel"}}"#);
        shown(&readings.take_in(at(ms), "line/t", payload.as_bytes(), false).unwrap())
    };
    assert_eq!(take(0, "20.0"), ["line/t F64(20.0) Cel 0 q0"]);
    assert!(take(1_000, "20.25").is_empty());
    assert_eq!(take(2_000, "20.75"), ["line/t F64(20.75) Cel 2000 q0"]);
    assert_eq!(readings.due_in_ms(at(2_000)), Some(30_000));
    assert_eq!(shown(&readings.tick(at(32_000), false)), ["line/t F64(20.75) Cel 2001 q40900000"]);
    assert!(readings.tick(at(40_000), false).kept.is_empty(), "once per silence");
}

#[test]
fn a_held_reading_is_kept_before_the_one_that_releases_it_and_survives_a_clean_stop() {
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]";
    let readings = || Readings::new(Some(Pipeline::from_toml(rules).unwrap()), None, &json());
    let take = |readings: &mut Readings, ms: i64, value: f64| {
        let payload = format!(r#"{{"value":{value:?},"unit":"Cel"}}"#);
        shown(&readings.take_in(at(ms), "line/t", payload.as_bytes(), false).unwrap())
    };
    let mut first = readings();
    assert_eq!(take(&mut first, 0, 0.0).len(), 1);
    assert!(take(&mut first, 1, 1.0).is_empty(), "held: acknowledged as a suppressed one is");
    let mut second = readings();
    second.restore(at(2), first.snapshot().unwrap()).unwrap();
    assert_eq!(take(&mut second, 2, 0.0), ["line/t F64(1.0) Cel 1 q0"], "the corner; 2 is held now");
    assert_eq!(second.stats().unwrap().held, 1);
}

#[test]
fn a_sensor_that_was_forgotten_leaves_what_it_held_under_its_name_and_unit() {
    let rules = "[defaults]\nmax_keys = 1\nover_limit = \"evict_idle\"\n[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]";
    let mut readings = Readings::new(Some(Pipeline::from_toml(rules).unwrap()), None, &json());
    let mut take = |ms: i64, topic: &str| {
        shown(&readings.take_in(at(ms), topic, br#"{"value":1.5,"unit":"Cel"}"#, false).unwrap())
    };
    take(0, "a");
    assert!(take(1, "a").is_empty());
    assert_eq!(take(2, "b"), ["a F64(1.5) Cel 1 q0", "b F64(1.5) Cel 2 q0"]);
}

#[test]
fn a_null_passes_once_and_what_ends_it_passes() {
    let mut readings = filtered();
    let mut take =
        |ms, json: &str| shown(&readings.take_in(at(ms), "line/x", json.as_bytes(), false).unwrap());
    assert_eq!(take(0, r#"{"value":1.0}"#).len(), 1);
    assert_eq!(take(1, r#"{"value":null}"#), ["line/x Null  1 q80000000"]);
    assert!(take(2, r#"{"value":null}"#).is_empty());
    assert_eq!(take(3, r#"{"value":1.0}"#), ["line/x F64(1.0)  3 q0"]);
}

#[test]
fn an_alarm_is_a_reading_of_its_own_also_when_the_value_is_suppressed() {
    let mut readings = filtered();
    let mut take = |ms, value: f64| {
        shown(
            &readings
                .take_in(at(ms), "line/t", format!(r#"{{"value":{value:?}}}"#).as_bytes(), false)
                .unwrap(),
        )
    };
    take(0, 89.8);
    assert_eq!(take(1, 90.1), ["line/t/alarm/HI Text(\"UNACK_ALM\")  1 q0 !"]);
}

/// The hub has an alarm of the killed run for raised.
#[test]
fn an_alarm_that_is_over_after_a_kill_is_told_once_and_not_before_it_is_known() {
    let rules =
        "[[alarm]]\nmatch = \"t\"\nhigh = { limit = 90.0, on_delay_ms = 100 }\nlow = { limit = 10.0 }\n";
    let cold = || {
        let pipeline = Pipeline::from_toml(rules).unwrap();
        let mut readings = Readings::new(Some(pipeline), None, &json());
        readings.tell_first_alarms();
        readings
    };
    let take = |readings: &mut Readings, ms: i64, value: &str| {
        let payload = format!("{{\"value\":{value}}}");
        let mut all = shown(&readings.take_in(at(ms), "t", payload.as_bytes(), false).unwrap());
        all.remove(0);
        all
    };
    let mut after = cold();
    assert!(take(&mut after, 1, "null").is_empty(), "proves nothing");
    let told = ["t/alarm/HI Text(\"NORM\")  2 q0 !", "t/alarm/LO Text(\"NORM\")  2 q0 !"];
    assert_eq!(take(&mut after, 2, "50.0"), told);
    assert!(take(&mut after, 3, "50.0").is_empty(), "once");
    let mut restored = cold();
    restored.restore(at(4), after.snapshot().unwrap()).unwrap();
    assert!(take(&mut restored, 5, "50.0").is_empty(), "a clean stop keeps it");

    let mut raised = cold();
    assert!(take(&mut raised, 1, "95.0").is_empty(), "the delay decides");
    let told = ["t/alarm/HI Text(\"UNACK_ALM\")  101 q0 !", "t/alarm/LO Text(\"NORM\")  200 q0 !"];
    assert_eq!(take(&mut raised, 200, "95.0"), told);
}

#[test]
fn an_undecodable_payload_moves_no_state() {
    let mut readings = filtered();
    let half = br#"[{"value":1.0},{"value":"#;
    assert!(readings.take_in(at(0), "line/t", half, false).is_err());
    assert_eq!(readings.stats().unwrap().input, 0);
    assert_eq!(readings.take_in(at(1), "line/t", br#"{"value":1.0}"#, false).unwrap().kept.len(), 1);
}
