//! Promise 14: step responses of the PID controller against an independent evaluation in 40 digits
//! (`tests/data/pid_reference.py`), and planted bugs that the comparison finds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::Quality;
use edge_filter::pid::{AntiWindup, Pid, PidInput, PidMode, PidState, Ramp};

/// Of the output's range; the reference is rounded to a double, ours at every step.
const NEAR: f64 = 1e-11;

struct Row {
    case: String,
    time_s: f64,
    input: PidInput,
    output: f64,
}

fn rows() -> Vec<Row> {
    let text = include_str!("data/pid_reference.csv");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |at: usize| cells[at].parse::<f64>().unwrap();
        let mode = if cells[4] == "auto" { PidMode::Auto } else { PidMode::Manual(number(5)) };
        let input = PidInput { pv: number(3), quality: Quality::GOOD, setpoint: number(2), mode };
        Row { case: cells[0].to_owned(), time_s: number(1), input, output: number(6) }
    };
    text.lines().skip(1).map(row).collect()
}

fn pid(case: &str) -> (Pid, f64) {
    let two = |pid: Pid| pid.setpoint_weights(0.4, 0.2).unwrap();
    let limits =
        |how| Pid::isa(4.0, 10.0, 0.0).unwrap().output_limits(0.0, 1.0).unwrap().anti_windup(how).unwrap();
    match case {
        "isa_pi" => (Pid::isa(1.2, 16.0, 0.0).unwrap(), 0.5),
        "isa_pid_filtered" => (Pid::isa(1.5, 16.0, 3.0).unwrap(), 0.5),
        "two_degrees" => (two(Pid::isa(1.5, 16.0, 3.0).unwrap()), 0.5),
        "back_calculation" => (limits(AntiWindup::BackCalculation), 0.5),
        "clamp" => (limits(AntiWindup::Clamp), 0.5),
        "error_derivative" => {
            let pid = Pid::parallel(0.8, 0.9, 0.05).unwrap().derivative_filter_s(0.1).unwrap();
            (pid.setpoint_weights(1.0, 1.0).unwrap(), 0.05)
        }
        "rate_limited" => {
            let pid = Pid::isa(3.0, 16.0, 0.0).unwrap().output_limits(0.0, 5.0).unwrap();
            (pid.output_rate(Ramp::per_s(0.1).unwrap()), 0.5)
        }
        "manual_and_back" => (Pid::isa(1.2, 16.0, 2.0).unwrap().derivative_filter_s(0.2).unwrap(), 0.5),
        other => panic!("no controller for {other}"),
    }
}

type Scan = fn(&Pid, &mut PidState, &Row, f64) -> f64;

/// The worst difference of each case.
fn worst(scan: impl Fn(&Pid, &mut PidState, &Row, f64) -> f64) -> Vec<(String, f64)> {
    let mut worst: Vec<(String, f64)> = Vec::new();
    let mut state = PidState::default();
    for row in rows() {
        if worst.last().is_none_or(|(case, _)| *case != row.case) {
            worst.push((row.case.clone(), 0.0));
            state = PidState::default();
        }
        let (pid, dt_s) = pid(&row.case);
        let off = (scan(&pid, &mut state, &row, dt_s) - row.output).abs();
        let (_, most) = worst.last_mut().unwrap();
        *most = most.max(off);
    }
    worst
}

#[test]
fn promise_14_step_responses_are_those_of_the_reference() {
    let by_step = worst(|pid, state, row, dt_s| pid.step(state, &row.input, dt_s));
    assert_eq!(by_step.len(), 8);
    assert!(by_step.iter().all(|(_, off)| *off < NEAR), "{by_step:?}");
    println!("executed filter pid reference: {} cases", rows().len());
}

/// A case that starts by hand: an automatic first scan has no event time behind it.
#[test]
fn event_times_give_what_given_times_do() {
    let by_time =
        worst(|pid, state, row, _| pid.update(state, &row.input, (row.time_s * 1000.0).round() as i64));
    let manual = by_time.iter().find(|(case, _)| case == "manual_and_back").unwrap();
    assert!(manual.1 < NEAR, "{manual:?}");
}

/// A bug for each case of the reference, which that case must show.
const BUGS: [(&str, &str, Scan); 8] = [
    ("isa_pi", "the integral forgets", |pid, state, row, dt_s| {
        if row.time_s > 5.0 && row.time_s < 5.6 {
            *state = PidState::default();
        }
        pid.step(state, &row.input, dt_s)
    }),
    ("isa_pid_filtered", "time runs 1 % fast", |pid, state, row, dt_s| {
        pid.step(state, &row.input, dt_s * 1.01)
    }),
    ("two_degrees", "the setpoint has its full weight", |pid, state, row, dt_s| {
        pid.setpoint_weights(1.0, 0.0).unwrap().step(state, &row.input, dt_s)
    }),
    ("back_calculation", "the output is not limited", |pid, state, row, dt_s| {
        pid.output_limits(-1e9, 1e9).unwrap().step(state, &row.input, dt_s)
    }),
    ("clamp", "the other anti-windup", |pid, state, row, dt_s| {
        pid.anti_windup(AntiWindup::BackCalculation).unwrap().step(state, &row.input, dt_s)
    }),
    ("error_derivative", "the derivative is of the measurement", |pid, state, row, dt_s| {
        pid.setpoint_weights(1.0, 0.0).unwrap().step(state, &row.input, dt_s)
    }),
    ("rate_limited", "the rate is twice as high", |pid, state, row, dt_s| {
        pid.output_rate(Ramp::per_s(0.2).unwrap()).step(state, &row.input, dt_s)
    }),
    ("manual_and_back", "no mode but automatic", |pid, state, row, dt_s| {
        pid.step(state, &PidInput { mode: PidMode::Auto, ..row.input }, dt_s)
    }),
];

#[test]
fn every_case_of_the_reference_finds_its_planted_bug() {
    for (case, _) in worst(|pid, state, row, dt_s| pid.step(state, &row.input, dt_s)) {
        assert!(BUGS.iter().any(|(finds, ..)| *finds == case), "{case} has no bug");
    }
    for (case, bug, scan) in BUGS {
        let worst = worst(scan);
        let found = worst.iter().any(|(of, off)| of == case && *off > 1e-3);
        assert!(found, "{bug}, by {case}: {worst:?}");
    }
}
