//! Promise 14: over random histories every output is safe at the first scan after an input that it depends on went bad or
//! stale, or its interlock tripped; it never is a number that is none. Planted bugs are found.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "threads, to see that none waits for another")]

mod support;

use edge_filter::Quality;
use edge_filter::alarm::{AlarmCommand, AlarmLevel, AlarmState};
use edge_filter::control::{Cause, ControlCommand, ControlEvent, Controller, handoff};
use edge_filter::pid::PidMode;
use support::{Rng, budget};

const MS: u64 = 1_000_000;

const PLANT: &str = r##"
[control]
period_ms = 10
[[input]]
name = "temp"
stale_after_ms = 100
range = [-20, 400]
[[input]]
name = "wanted"
stale_after_ms = 250
[[input]]
name = "estop"
stale_after_ms = 50
[[input]]
name = "level"
stale_after_ms = 100
[[output]]
name = "heater"
safe = 3.0
pid = { input = "temp", setpoint_input = "wanted", k = 2.0, ti_s = 20.0, td_s = 1.0, limits = [0, 100] }
[[output]]
name = "fan"
safe = 1.0
switch = { input = "temp", on_at = 80, off_at = 70, on = 1, off = 0 }
[[output]]
name = "belt"
safe = -1.0
ramp = { setpoint_input = "wanted", rate_per_s = 5.0 }
[[output]]
name = "contactor"
value = 1.0
[[interlock]]
name = "stop"
outputs = ["heater", "belt", "contactor"]
reset = "auto"
max_bypass_ms = 1000
trip_when = { any = [ { input = "estop", is = false }, { all = [ { input = "level", below = 10 }, { not = { input = "temp", below = 50 } } ] } ] }
[[alarm]]
match = "temp"
high = { limit = 90, deadband = 2, on_delay_ms = 30 }
bad_input = "alarm"
"##;

fn plant() -> Controller {
    Controller::from_toml(PLANT).unwrap()
}

/// The test's knowledge of an input.
#[derive(Clone, Copy)]
struct Known {
    value: f64,
    quality: Quality,
    at: u64,
}

struct Model {
    inputs: [Option<Known>; 4],
    bypassed_until: u64,
}

const STALE_MS: [u64; 4] = [100, 250, 50, 100];

impl Model {
    fn good(&self, input: usize, now: u64) -> Option<f64> {
        let known = self.inputs[input]?;
        // Ages are whole milliseconds of both ends.
        let fresh = now / MS - known.at / MS < STALE_MS[input];
        let in_range = input != 0 || (-20.0..=400.0).contains(&known.value);
        (fresh && in_range && known.value.is_finite() && known.quality.is_good()).then_some(known.value)
    }

    /// Trips if any world of the unknown inputs does.
    fn trips(&self, now: u64) -> bool {
        let (temp, estop, level) = (self.good(0, now), self.good(2, now), self.good(3, now));
        let low_while_hot = level.is_none_or(|l| l <= 10.0) && temp.is_none_or(|t| t > 50.0);
        (estop.is_none_or(|e| e != 1.0) || low_while_hot) && now / MS >= self.bypassed_until / MS
    }

    /// The first output that is not where it must be, by which rule; `off`: a rule that is not asked.
    fn wrong(&self, c: &Controller, now: u64, bug: Bug, off: Option<Rule>) -> Option<(Rule, String)> {
        let (temp, wanted) = (self.good(0, now).is_some(), self.good(1, now).is_some());
        let tripped = self.trips(now);
        let must_be_safe = [tripped || !(temp && wanted), !temp, tripped || !wanted, tripped];
        for (output, must) in c.outputs().iter().zip(must_be_safe) {
            let value = if bug == Bug::Unlimited && !must { f64::NAN } else { output.value() };
            let limits = !(-1e6..=1e6).contains(&value) && off != Some(Rule::Limits);
            let safe = must && value != output.safe() && off != Some(Rule::Safe);
            if limits || safe {
                let rule = if limits { Rule::Limits } else { Rule::Safe };
                return Some((rule, format!("{} at {value} ({:?})", output.name(), output.cause())));
            }
        }
        None
    }
}

/// A shell with a mistake in it.
#[derive(Clone, Copy, PartialEq)]
enum Bug {
    None,
    /// Gives bad values as good.
    Believes,
    /// Renews the time of a value that did not come.
    Refreshes,
    /// Scans every third time only.
    Skips,
    /// Gives what is no number where the output need not be safe.
    Unlimited,
}

/// Rules that the check asks of every output.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// It is a number within its limits.
    Limits,
    /// It is safe where its input or interlock says so.
    Safe,
}

fn run(rng: &mut Rng, histories: u32, bug: Bug, off: Option<Rule>) -> Option<(Rule, String)> {
    for _ in 0..histories {
        let (mut c, mut model) = (plant(), Model { inputs: [None; 4], bypassed_until: 0 });
        let mut now = 1_000_000 * MS;
        for step in 0..80 {
            now += 9 * MS + rng.below(2 * MS);
            for input in 0..4 {
                if rng.below(6) == 0 {
                    if bug == Bug::Refreshes
                        && let Some(old) = model.inputs[input]
                    {
                        c.set_input(input, old.value, old.quality, now);
                    }
                    continue;
                }
                let odd = rng.pick(&[f64::NAN, f64::INFINITY, -1e300, 500.0]);
                let value = match (rng.below(20), input) {
                    (0, _) => odd,
                    (_, 2) => f64::from(u8::from(rng.below(15) > 0)),
                    _ => rng.below(120) as f64,
                };
                let quality =
                    rng.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 0x8000_0000, 0x4090_0000, 0xC000_0000]).into();
                // Long silences too.
                if rng.below(60) == 0 {
                    now += rng.below(300) * MS;
                }
                model.inputs[input] = Some(Known { value, quality, at: now });
                c.set_input(input, value, if bug == Bug::Believes { Quality::GOOD } else { quality }, now);
            }
            if rng.below(30) == 0 {
                let bypass = ControlCommand::Bypass { interlock: 0, for_ms: 50 };
                c.command(bypass, now, &mut |_| ()).unwrap();
                model.bypassed_until = now + 50 * MS;
            }
            if bug != Bug::Skips || step % 3 == 0 {
                c.scan(now, &mut |_| ());
            }
            // What is wanted of `wanted` has no limits, but it is never no number.
            if let Some(what) = model.wrong(&c, now, bug, off) {
                return Some(what);
            }
        }
    }
    None
}

#[test]
fn promise_14_every_output_is_safe_at_the_first_scan_after_its_input_went_bad_or_stale() {
    let cases = budget(5_000);
    assert_eq!(run(&mut Rng::from_env(), cases, Bug::None, None), None);
    println!("executed filter control histories: {cases} cases");
}

#[test]
fn planted_bugs_are_found() {
    for (name, bug, rule) in [
        ("believes", Bug::Believes, Rule::Safe),
        ("refreshes", Bug::Refreshes, Rule::Safe),
        ("skips", Bug::Skips, Rule::Safe),
        ("unlimited", Bug::Unlimited, Rule::Limits),
    ] {
        let find = |off| run(&mut Rng::from_env(), 200, bug, off);
        assert_eq!(find(None).map(|(rule, _)| rule), Some(rule), "{name}");
        assert_eq!(find(Some(rule)), None, "{name} without its rule");
    }
}

fn set_all(c: &mut Controller, now: u64) {
    for (input, value) in [40.0, 60.0, 1.0, 50.0].into_iter().enumerate() {
        c.set_input(input, value, Quality::GOOD, now);
    }
}

#[test]
fn outputs_say_why_and_come_back_without_a_bump() {
    let (mut c, mut events) = (plant(), Vec::new());
    assert!(c.outputs().iter().all(|o| o.value() == o.safe() && o.cause() == Cause::Cold));
    c.scan(1_000 * MS, &mut |e| events.push(e));
    assert_eq!(c.outputs()[0].cause(), Cause::Interlock, "nothing is known: tripped");
    let mut now = 1_000 * MS;
    for _ in 0..50 {
        now += 10 * MS;
        set_all(&mut c, now);
        c.scan(now, &mut |e| events.push(e));
    }
    let running: Vec<_> = c.outputs().iter().map(|o| (o.name().to_owned(), o.cause())).collect();
    assert!(running.iter().all(|(_, cause)| *cause == Cause::Running), "{running:?}");
    let manual = ControlCommand::Mode { output: 0, mode: PidMode::Manual(55.0) };
    c.command(manual, now, &mut |_| ()).unwrap();
    c.scan(now + MS, &mut |e| events.push(e));
    assert_eq!((c.outputs()[0].value(), c.outputs()[0].cause()), (55.0, Cause::Manual));
    c.command(ControlCommand::Mode { output: 0, mode: PidMode::Auto }, now, &mut |_| ()).unwrap();
    c.scan(now + 11 * MS, &mut |e| events.push(e));
    assert!((c.outputs()[0].value() - 55.0).abs() < 0.1, "{}", c.outputs()[0].value());
    let told = events.iter().filter(|e| matches!(e, ControlEvent::Output { output: 0, .. })).count();
    assert_eq!(told, 4, "interlock, running, manual, running: {events:?}");
    let fan = ControlCommand::Mode { output: 1, mode: PidMode::Auto };
    assert!(c.command(fan, now, &mut |_| ()).is_err());
    assert!(c.command(ControlCommand::Reset { interlock: 9 }, now, &mut |_| ()).is_err());
}

#[test]
fn a_stale_input_is_an_alarm_where_bad_input_is_one() {
    let (mut c, mut states) = (plant(), Vec::new());
    let mut see = |event| {
        if let ControlEvent::Alarm { transition, .. } = event {
            states.push((transition.to, transition.transition));
        }
    };
    let start = 1_700_000_000_000 * MS;
    set_all(&mut c, start);
    for ms in (0..200).step_by(10) {
        c.scan(start + ms * MS, &mut see);
    }
    let (state, id) = states[0];
    assert_eq!((states.len(), state), (1, AlarmState::Unacknowledged), "stale at 100 ms, alarm at 130 ms");
    let mut acknowledged = Vec::new();
    let command = AlarmCommand::Acknowledge { transition: id };
    let command = ControlCommand::Alarm { alarm: 0, level: AlarmLevel::High, command };
    c.command(command, start + 200 * MS, &mut |e| acknowledged.push(e)).unwrap();
    assert!(
        matches!(acknowledged[..], [ControlEvent::Alarm { transition: t, .. }] if t.to == AlarmState::Acknowledged)
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    for (from, to, expected) in [
        (
            "stale_after_ms = 100\nrange",
            "stale_after_ms = 0\nrange",
            "line 6: input 1: stale_after_ms: `stale_after_ms` must be 1 ms or more, found 0",
        ),
        (
            "\"wanted\"\nstale",
            "\"temp\"\nstale",
            "input 2: name: `name` must be a name of its own, found temp",
        ),
        (
            "setpoint_input = \"wanted\", k",
            "setpoint_input = \"nobody\", k",
            "output 1: pid.setpoint_input: there is no input named \"nobody\"",
        ),
        ("k = 2.0, ti_s", "ki = 2.0, ti_s", "output 1: pid.ki: not a parameter of this form"),
        (
            "td_s = 1.0",
            "derivative = \"zero_order_hold\"",
            "line 20: output 1: pid.derivative: `derivative` must be left out without a filter",
        ),
        (
            "td_s = 1.0",
            "td_s = 1.0, derivative = \"zoh\"",
            "unknown variant `zoh`, expected `backward_difference` or `zero_order_hold`",
        ),
        ("on = 1,", "on = nan,", "output 2: switch.on: `on` must be a finite number, found NaN"),
        ("safe = 3.0", "safe = -3.0", "output 1: safe: `safe` must be within the output's limits, found -3"),
        ("value = 1.0", "value = nan", "output 4: value: `value` must be a finite number, found NaN"),
        (
            "is = false",
            "is = false, above = 1",
            "interlock 1: trip_when.any 1: an input needs exactly one of",
        ),
        (
            "input = \"level\"",
            "input = \"lvel\"",
            "interlock 1: trip_when.any 2: all 1: input: there is no input named \"lvel\"",
        ),
        (
            "\"contactor\"]",
            "\"conductor\"]",
            "interlock 1: outputs 3: there is no output named \"conductor\"",
        ),
        (
            "[\"heater\", \"belt\", \"contactor\"]",
            "[]",
            "interlock 1: outputs: an interlock holds at least one output",
        ),
        ("match = \"temp\"", "match = \"tmp\"", "alarm 1: match: no input has such a name"),
        (
            "period_ms = 10",
            "period_ms = 10\nwatchdog_ms = 9",
            "control.watchdog_ms: `watchdog_ms` must be at least period_ms, found 9",
        ),
        (
            "period_ms = 10",
            "period_ms = 3600001",
            "control.period_ms: `period_ms` must be 3600000 ms (one hour) or less, found 3600001",
        ),
        ("period_ms = 10", "period = 10", "line 3: control: unknown field `period`"),
    ] {
        assert!(PLANT.contains(from), "{from}");
        let error = Controller::from_toml(&PLANT.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nnot\n{expected}");
    }
}

#[test]
fn a_derivative_by_zero_order_hold_is_taken_with_a_filter_alone() {
    let with = |filter_s: &str| {
        let pid = format!("td_s = 1.0, {filter_s}, derivative = \"zero_order_hold\"");
        Controller::from_toml(&PLANT.replacen("td_s = 1.0", &pid, 1))
    };
    assert!(format!("{:?}", with("filter_s = 0.5").unwrap()).contains("ZeroOrderHold"));
    let error = with("filter_s = 0.0").unwrap_err().to_string();
    assert!(error.contains("pid.derivative: `derivative` must be left out without a filter"), "{error}");
}

/// A reader never sees halves of two values, an event is never lost or out of order, and nobody waits.
#[test]
fn handoffs_between_threads_tear_nothing() {
    let cases = budget(500_000);
    let (mut writer, reader) = handoff::latest::<4>();
    let (mut sender, mut receiver) = handoff::ring::<2>(64);
    let other = std::thread::spawn(move || {
        for n in 1..=u64::from(cases) {
            writer.write([n, n.wrapping_mul(3), !n, n ^ 0x5555]);
            while !sender.send([n, !n]) {
                std::thread::yield_now();
            }
        }
    });
    let (mut last, mut expected) = (0, 1);
    while expected <= u64::from(cases) {
        if let Some([a, b, c, d]) = reader.read() {
            assert!(b == a.wrapping_mul(3) && c == !a && d == a ^ 0x5555 && a >= last, "{a} {b} {c} {d}");
            last = a;
        }
        while let Some([n, not]) = receiver.receive() {
            assert_eq!((n, not), (expected, !expected));
            expected += 1;
        }
    }
    other.join().unwrap();
    assert_eq!(reader.read().unwrap()[0], u64::from(cases));
    println!("executed filter control handoffs: {cases} cases");
}

/// One run of `check` finds them all; what refers to a wrong part is not wrong for that.
#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let mut text = PLANT.to_owned();
    for (from, to) in [
        ("stale_after_ms = 100\nrange", "stale_after_ms = 0\nrange"),
        ("safe = 3.0", "safe = -3.0"),
        ("value = 1.0", "value = nan"),
        ("match = \"temp\"", "match = \"tmp\""),
    ] {
        text = text.replacen(from, to, 1);
    }
    let error = Controller::from_toml(&text).unwrap_err();
    let lines: Vec<usize> = error.problems().iter().filter_map(|problem| problem.line()).collect();
    assert_eq!((error.problems().len(), lines.len()), (4, 4), "{error}");
    assert!(lines.is_sorted(), "{lines:?}");
    // A gain of the other form was meant for the one that is missing: that is one mistake.
    let error = Controller::from_toml(&PLANT.replacen("k = 2.0, ti_s", "ki = 2.0, ti_s", 1)).unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
}
