//! Negative controls of windows.

use super::super::judge::{Rule, judge};
use super::super::record::{Aggregate, Filter, Records, Row, Value, Window};
use super::{Fault, START, good};

const WIDTH_MS: i64 = 4_000;

fn filter(aggregate: Aggregate) -> Filter {
    Filter::Window(Window { width_ms: WIDTH_MS, lateness_ms: 0, aggregate })
}

/// The ramp, four readings to a window, none of them withheld.
fn windows(aggregate: Aggregate) -> Records {
    let mut records = good(filter(aggregate));
    records.runs.iter_mut().for_each(|run| run.withholds = vec![false]);
    let readings = std::mem::take(&mut records.rows);
    for (seq, rows) in readings.chunks(4).enumerate() {
        let values = || rows.iter().filter_map(|row| row.value.number());
        let (count, sum) = (rows.len() as f64, values().sum::<f64>());
        let value = match aggregate {
            Aggregate::Count => count,
            Aggregate::First | Aggregate::Min => values().next().unwrap(),
            Aggregate::Last | Aggregate::Max => values().next_back().unwrap(),
            Aggregate::Mean => sum / count,
            Aggregate::Sum => sum,
        };
        let id = (7, 1, 1, seq as u64);
        records.rows.push(Row { id, batch: seq, value: Value::Float(value), ..rows[0].clone() });
    }
    records
}

pub(super) const FAULTS: [Fault; 8] = [
    (Rule::Lost, "a window without its row", |records| drop(records.rows.remove(1))),
    (Rule::Window, "a reading that is not in its window", |records| {
        records.rows[1].value = Value::Float(1.5);
    }),
    (Rule::Window, "no good reading, and a value", |records| records.rows[1].quality = 0x809B_0000),
    (Rule::Window, "good, with a bad reading among them", |records| {
        for message in &mut records.messages[5..6] {
            message.content.readings_mut()[0].quality = 0x8000_0000;
        }
    }),
    (Rule::Window, "a window of another start", |records| records.rows[1].time -= 1_000),
    (Rule::Window, "two rows of one window", |records| {
        let mut again = records.rows[1].clone();
        again.id.3 += 100;
        records.rows.push(again);
    }),
    (Rule::Window, "another unit", |records| records.rows[1].unit.clear()),
    (Rule::Order, "two windows in each other's place", |records| records.rows.swap(1, 2)),
];

#[test]
fn every_fault_of_a_window_is_convicted() {
    let all = [
        Aggregate::Count,
        Aggregate::First,
        Aggregate::Last,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Mean,
        Aggregate::Sum,
    ];
    for aggregate in all {
        let wrong = judge(&windows(aggregate));
        assert!(wrong.is_empty(), "{aggregate:?}: {wrong:?}");
    }
    for (rule, what, plant) in FAULTS {
        let mut records = windows(Aggregate::Mean);
        plant(&mut records);
        let rules: Vec<Rule> = judge(&records).iter().map(|violation| violation.rule).collect();
        assert!(rules.contains(&rule), "{what}: {rules:?} and not {rule:?}");
    }
}

/// Counts that do not add up are a loss where any window might be another's.
#[test]
fn counts_add_up_unless_a_kill_took_what_was_held() {
    let rules = |records: &Records| judge(records).iter().map(|v| v.rule).collect::<Vec<_>>();
    let mut records = windows(Aggregate::Count);
    records.runs.iter_mut().for_each(|run| run.withholds = vec![true]);
    assert_eq!(rules(&records), []);
    records.rows[1].value = Value::Float(3.0);
    assert_eq!(rules(&records), [Rule::Lost]);
    records.runs[0].killed = true;
    assert_eq!(rules(&records), [Rule::Lost], "its PUBACKs were to wait");
    records.runs[0].withholds = vec![false];
    assert_eq!(rules(&records), [Rule::Lost], "one of each window is missing");
}

/// The window that was open at a kill, a part of one after it, and readings that came after the clock had completed theirs.
#[test]
fn what_may_happen_to_a_window_is_not_convicted() {
    let rules = |records: &Records| judge(records).iter().map(|v| v.rule).collect::<Vec<_>>();
    let mut records = windows(Aggregate::Mean);
    let last = records.rows.pop().unwrap();
    assert_eq!(rules(&records), [Rule::Lost; 2]);
    records.runs[0].killed = true;
    assert_eq!(rules(&records), []);
    records.runs[0].killed = false;
    let late = Row { id: (7, 1, 1, 101), time: START + 29_000, ..last.clone() };
    records.rows.extend([last, late]);
    assert_eq!(rules(&records), []);
    // The second half of the first window came in the next run.
    let mut halves = windows(Aggregate::Mean);
    for message in &mut halves.messages[2..] {
        (message.sent, message.acked) = (1, Some(1));
    }
    halves.rows[0].value = Value::Float(0.125);
    let other = Row { id: (7, 1, 2, 50), value: Value::Float(0.625), ..halves.rows[0].clone() };
    halves.rows.insert(1, other);
    assert_eq!(rules(&halves), []);
}
