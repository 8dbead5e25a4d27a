//! A route's filter alone: marks of held readings whose message may be a copy, and its bounds.

use std::borrow::Cow;

use edge_filter::reduce::{Number, Settlement, Stage, Verdict};
use edge_filter::{Cost, ErrorBound, Quality};

use super::*;

fn filter(rules: &str) -> Filter {
    Filter::new(Pipeline::from_toml(rules).unwrap(), None)
}

fn at(wall_ms: i64) -> Now {
    Now { up_ms: 0, wall_ms }
}

/// Marks of what is kept of a reading.
fn take(filter: &mut Filter, time: i64, sensor: &str, may_be_copy: bool) -> Vec<bool> {
    let taken = take_value(filter, time, sensor, Value::F64(1.0), may_be_copy);
    taken.kept.iter().map(|kept| kept.may_be_copy).collect()
}

fn take_value(filter: &mut Filter, time: i64, sensor: &str, value: Value<'_>, may_be_copy: bool) -> Taken {
    let record = Record {
        sensor: Cow::Borrowed(sensor),
        field: Cow::Borrowed(""),
        unit: Cow::Borrowed(""),
        time,
        arrival_time: false,
        value,
        quality: 0,
        numeric_quality: false,
    };
    let mut taken = Taken::default();
    filter.take_in(at(time), record, may_be_copy, &mut taken);
    taken
}

/// Promise 4: a heartbeat repeats what left before, and the held reading is still to leave.
#[test]
fn a_heartbeat_does_not_take_the_mark_of_a_held_copy() {
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { window = { width_ms = 4000, agg = \"count\" } }, \
                 { stale = { timeout_ms = 60000, heartbeat_ms = 700 } } ]";
    let mut filter = filter(rules);
    take(&mut filter, 0, "a", false);
    let first = take(&mut filter, 4_100, "a", true);
    assert_eq!(first, [false; 2], "the first window, which holds no copy, and a heartbeat");
    let mut repeated = Taken::default();
    filter.tick(at(5_000), false, &mut repeated);
    assert_eq!(repeated.kept.iter().map(|kept| kept.may_be_copy).collect::<Vec<_>>(), [false]);
    let second = take(&mut filter, 8_200, "a", false);
    assert_eq!(second, [true, false], "the second one, which holds it, and a heartbeat");
}

/// Promise 4: the door holds an older reading when the copy comes, which leaves first.
#[test]
fn a_copy_behind_a_held_reading_has_its_mark_when_it_leaves() {
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { spike = { suspect = 1e6, fail = 1e7 } }, \
                 { swinging_door = { deviation = 0.5 } } ]";
    let mut filter = filter(rules);
    let left = [0.0, 0.0, 10.0, 10.0, 0.0].into_iter().zip(0..).map(|(value, second)| {
        let taken = take_value(&mut filter, second * 1_000, "a", Value::F64(value), second == 2);
        taken.kept.iter().map(|kept| kept.may_be_copy).collect::<Vec<_>>()
    });
    assert_eq!(left.collect::<Vec<_>>(), [vec![], vec![false], vec![], vec![true], vec![true]]);
}

/// Promise 13: what leaves at once is in the same unit as what a stage held, and is the value that the bound was stated for.
#[test]
fn what_leaves_at_once_has_the_value_that_the_stages_gave_it() {
    let scale = "{ scale = { factor = 10.0, offset = 1.0 } }";
    for (stages, values, sent) in [
        (scale.to_owned(), [1.5, 3.5, 5.0], vec![16.0, 36.0, 51.0]),
        (format!("{scale}, {{ deadband = {{ absolute = 30.0 }} }}"), [1.5, 3.5, 5.0], vec![16.0, 51.0]),
        (
            format!("{scale}, {{ swinging_door = {{ deviation = 1.0 }} }}"),
            [1.0, 2.0, 9.0],
            vec![11.0, 21.0, 91.0],
        ),
        (
            "{ counter = { width_bits = 16, max_rate_per_s = 1000.0 } }".to_owned(),
            [65_530.0, 4.0, 5.0],
            vec![0.0, 10.0, 11.0],
        ),
    ] {
        let mut filter = filter(&format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]"));
        let mut taken = Taken::default();
        for (value, second) in values.into_iter().zip(0..) {
            taken.kept.extend(take_value(&mut filter, second * 1_000, "a", Value::F64(value), false).kept);
        }
        filter.flush(&mut taken);
        let rows = taken.kept.iter().map(|kept| ReadingRow::decode(&kept.row).unwrap().value);
        let numbers = rows.map(|value| edge_filter::Value::try_from(value).unwrap().as_f64());
        assert_eq!(numbers.collect::<Option<Vec<_>>>(), Some(sent), "{stages}");
    }
}

/// Values that no stage changes stay what they were, to the bit and the type.
#[test]
fn what_no_stage_changes_stays_as_it_came() {
    let mut filter = filter("[[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]");
    let values = [
        Value::I64(i64::MIN),
        Value::U64(u64::MAX),
        Value::I64(9_007_199_254_740_993),
        Value::Bool(true),
        Value::Text("a".into()),
        Value::F64(-0.0),
        Value::Bytes(vec![0, 255].into()),
        Value::Null,
    ];
    for (value, time) in values.into_iter().zip(0..) {
        let taken = take_value(&mut filter, time, &format!("s{time}"), value.clone(), false);
        let rows = taken.kept.iter().map(|kept| ReadingRow::decode(&kept.row).unwrap().value);
        assert_eq!(rows.map(|value| format!("{value:?}")).collect::<Vec<_>>(), [format!("{value:?}")]);
    }
}

#[test]
fn copies_of_forgotten_sensors_are_forgotten() {
    let rules = "[defaults]\nmax_keys = 1\nover_limit = \"evict_idle\"\n[[rule]]\nmatch = \"#\"\n\
                 stages = [ { spike = { suspect = 1e6, fail = 1e7 } }, { swinging_door = { deviation = 0.5 } } ]";
    let mut filter = filter(rules);
    for n in 0..3 * SENSORS_SPARE {
        take(&mut filter, 0, &n.to_string(), true);
    }
    assert!((1..=SENSORS_SPARE + 3).contains(&filter.copies.len()), "{}", filter.copies.len());
}

#[test]
fn sensors_without_room_are_not_restored() {
    let rules = "[defaults]\nmax_keys = 1\n[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.5 } } ]";
    let mut filter = filter(rules);
    let mut snapshot = filter.snapshot().unwrap();
    snapshot.copies = vec![("a".into(), 1), ("b".into(), 1)];
    filter.restore(at(0), snapshot).unwrap();
    assert_eq!(
        filter.copies.into_keys().map(|sensor| sensor == Pipeline::UNFILTERED).collect::<Vec<_>>(),
        [false]
    );
}

/// Promise 12: stages keep texts, and a client may send long ones for every sensor. What passes beside the filter is not suppressed by what the filter
/// knew before.
#[test]
fn long_texts_of_many_sensors_pass_unfiltered_and_a_reading_after_one_passes() {
    let mut filter = filter("[[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]");
    let (mut time, long) = (0, "x".repeat(16_000));
    let mut kept = |sensor: u32, text: &str| {
        time += 1;
        take_value(&mut filter, time, &format!("s{sensor}"), Value::Text(text.into()), false).kept.len()
    };
    assert_eq!((kept(100, "on"), kept(100, "on")), (1, 0));
    for sensor in 0..40 {
        assert_eq!((kept(sensor, &long), kept(sensor, &long)), (1, usize::from(sensor >= 32)), "{sensor}");
    }
    assert_eq!((kept(100, &long), kept(100, "on"), kept(100, "on")), (1, 1, 0), "it is filtered again");
    assert_eq!((kept(31, "on"), kept(31, &long), kept(31, &long)), (1, 1, 0));
}

/// Of Sparkplug 0 is bad and 192 good; at the hub 0 is good.
#[test]
fn what_passes_unfiltered_has_the_quality_that_its_scheme_says() {
    let mut filter =
        filter("[[rule]]\nmatch = \"#\"\nquality = \"sparkplug\"\nstages = [ { on_change = {} } ]");
    let bytes = || Value::Bytes(vec![0, 255].into());
    let long = || Value::Text("x".repeat(1_000).into());
    for sensor in 0..40 {
        take_value(&mut filter, 0, &format!("s{sensor}"), long(), false);
    }
    for value in [&bytes as &dyn Fn() -> Value<'static>, &long] {
        let mut qualities = Vec::new();
        for quality in [0, 192, 500] {
            let record = Record {
                sensor: Cow::Borrowed("s39"),
                field: Cow::Borrowed(""),
                unit: Cow::Borrowed(""),
                time: 1,
                arrival_time: false,
                value: value(),
                quality,
                numeric_quality: true,
            };
            let mut taken = Taken::default();
            filter.take_in(at(1), record, false, &mut taken);
            qualities.extend(taken.kept.iter().map(|kept| ReadingRow::decode(&kept.row).unwrap().quality));
        }
        let [bad, last_usable] = [Quality::BAD, Quality::UNCERTAIN_LAST_USABLE].map(|quality| quality.0);
        assert_eq!(qualities, [bad, 0, last_usable]);
    }
}

/// Promise 13: a sensor that finds no room passes unfiltered, and its quality is still one of its rule's scheme.
#[test]
fn what_finds_no_room_has_the_quality_that_the_scheme_of_its_rule_says() {
    let [bad, last_usable] = [Quality::BAD, Quality::UNCERTAIN_LAST_USABLE].map(|quality| quality.0);
    for (defaults, rule, qualities) in [
        ("opcua", "sparkplug", [(0, bad), (192, 0), (500, last_usable), (7, bad)]),
        ("sparkplug", "sparkplug", [(0, bad), (192, 0), (500, last_usable), (7, bad)]),
        ("sparkplug", "opcua", [(0, 0), (192, 0), (Quality::UNCERTAIN.0, last_usable), (bad, bad)]),
        ("opcua", "opcua", [(0, 0), (192, 192), (500, 500), (bad, bad)]),
    ] {
        let rules = format!(
            "[defaults]\nmax_keys = 1\nquality = \"{defaults}\"\n[[rule]]\nmatch = \"#\"\nquality = \"{rule}\"\n\
             stages = [ {{ on_change = {{}} }} ]"
        );
        let mut filter = filter(&rules);
        take(&mut filter, 0, "first", false);
        for (quality, meant) in qualities {
            let mut taken = Taken::default();
            let record = Record {
                sensor: Cow::Borrowed("a"),
                field: Cow::Borrowed(""),
                unit: Cow::Borrowed(""),
                time: 1,
                arrival_time: false,
                value: Value::F64(1.0),
                quality,
                numeric_quality: true,
            };
            filter.take_in(at(1), record, false, &mut taken);
            let found: Vec<_> =
                taken.kept.iter().map(|kept| ReadingRow::decode(&kept.row).unwrap().quality).collect();
            assert_eq!(found, [meant], "{defaults} {rule} {quality}");
        }
        assert_eq!(filter.stats().over_limit, 4);
    }
}

/// Stage of an embedding program that cannot let go of what it holds.
#[derive(Clone, Debug)]
struct Stuck {
    holds: bool,
}

impl Cost for Stuck {
    fn error_bound(&self) -> ErrorBound {
        ErrorBound::NoneStated
    }
}

impl Stage for Stuck {
    fn process(&mut self, _: i64, _: Number, _: Quality, _: &mut dyn FnMut(Settlement)) -> Verdict {
        self.holds = true;
        Verdict::Held
    }

    fn passed(&mut self, _: i64, _: &edge_filter::Value<'_>, _: Quality) {}

    fn flush(&mut self, _: &mut dyn FnMut(Settlement)) {
        assert!(!self.holds, "planted");
    }

    fn held(&self) -> u64 {
        self.holds.into()
    }

    fn copied(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// A panic costs the call in which it came, also where the stage is to let go because its sensor has another unit. What it holds does not get that unit.
#[test]
fn a_stage_that_panics_at_another_unit_costs_no_reading() {
    let rule = edge_filter::Rule::new().reducer(Stuck { holds: false });
    let pipeline = Pipeline::builder().rule("#", rule).unwrap().build();
    let part = Bulkhead::new("filter of \"#\"".to_owned(), "the reading passes unfiltered");
    let mut filter = Filter::new(pipeline, None).with_own_stages(part);
    for (time, unit, kept) in [(0, "Cel", 1), (1, "Cel", 0), (2, "K", 1), (3, "K", 1), (4, "Cel", 0)] {
        let record = Record {
            sensor: Cow::Borrowed("a"),
            field: Cow::Borrowed(""),
            unit: Cow::Borrowed(unit),
            time,
            arrival_time: false,
            value: Value::F64(1.0),
            quality: 0,
            numeric_quality: false,
        };
        let mut taken = Taken::default();
        filter.take_in(at(time), record, false, &mut taken);
        let units: Vec<_> =
            taken.kept.iter().map(|kept| ReadingRow::decode(&kept.row).unwrap().unit.into_owned()).collect();
        assert_eq!(units, vec![unit; kept], "{time}");
    }
}

/// Sensors of the rows that tell changes of alarms.
fn alarms_of(taken: &Taken) -> Vec<String> {
    let rows = taken.kept.iter().filter(|kept| kept.alarm);
    rows.map(|kept| ReadingRow::decode(&kept.row).unwrap().sensor.into_owned()).collect()
}

/// Promise 13: one cause raises the alarms of all sensors, and their delays end in one tick.
#[test]
fn each_alarm_of_a_tick_is_a_row_however_many_there_are() {
    let rules = "[[alarm]]\nmatch = \"#\"\nhigh = { limit = 90.0, on_delay_ms = 5000 }\n";
    for by_alarms_alone in [false, true] {
        let mut filter = filter(rules);
        for n in 0..1_500 {
            take_value(&mut filter, 0, &format!("t{n}"), Value::F64(95.0), false);
        }
        let mut taken = Taken::default();
        match by_alarms_alone {
            true => filter.tick_alarms(at(5_000), &mut taken),
            false => filter.tick(at(5_000), false, &mut taken),
        }
        let raised: std::collections::BTreeSet<_> = alarms_of(&taken).into_iter().collect();
        assert_eq!((raised.len(), filter.stats().alarm_events_lost), (1_500, 0), "{by_alarms_alone}");
    }
}

/// Promise 13: a stage lets a reading go at the end of `hold_max`, for a publisher that waits, and for a text that passes beside it. Its alarm is told
/// with it, and does not wait for a next message, which may never come.
#[test]
fn an_alarm_of_a_reading_that_is_let_go_is_told_with_it() {
    let rules = "[[rule]]\nmatch = \"t\"\nstages = [ { spike = { suspect = 1e6, fail = 1e7 } } ]\n\
                 [[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]\n\
                 [[alarm]]\nmatch = \"t\"\nhigh = { limit = 90.0 }\n";
    let held = || {
        let mut filter = Filter::new(Pipeline::from_toml(rules).unwrap(), Some(10_000));
        assert_eq!(take_value(&mut filter, 0, "t", Value::F64(95.0), false).kept, [], "held");
        filter
    };
    for (up_ms, is_asked_for) in [(10_000, false), (1, true)] {
        let (mut filter, mut taken) = (held(), Taken::default());
        filter.tick(Now { up_ms, wall_ms: 1 }, is_asked_for, &mut taken);
        assert_eq!((taken.kept.len(), alarms_of(&taken)), (2, vec!["t/alarm/HI".to_owned()]), "{up_ms}");
    }
    let (mut filter, long) = (held(), "x".repeat(1_000));
    let mut text = |sensor: &str| {
        alarms_of(&take_value(&mut filter, 1, sensor, Value::Text(long.as_str().into()), false))
    };
    (0..40).for_each(|n| assert!(text(&format!("s{n}")).is_empty()));
    assert_eq!(text("t"), ["t/alarm/HI"]);
}
