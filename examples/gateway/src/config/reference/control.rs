//! Reference of the keys of a control file, which `control_loop` reads; a test compares them with its parser.

use super::super::keys::Preset::{Is, Means, Required};
use super::super::keys::Value::{Boolean, OneOf, Strings, Text};
use super::super::keys::{Key, Table, key, table};

pub(super) const INTRO: &str = "\
Keys of `[control] rules = \"FILE\"`, printed by `edge-gateway reference control`; the program `control-loop` reads them too, beside tables of its own. Times in
`_ms` are whole milliseconds, in `_s` seconds. `[[alarm]]` has the keys of [rules](rules.md), its `match` is the name of an input. Two with a limit of the same level on one
input look alike, and a command is for both. An unknown key is an error.
Nothing here is a safety function.";

const NUMBER: super::Value = Text("number");
const RANGE: super::Value = Text("[low, high]");
const MS: super::Value = Text("milliseconds");
const COUNT: super::Value = Text("whole number");
const INPUT: super::Value = Text("name of an input");
const NONE: super::Preset = Means("none");
const CHOICE: super::Preset = Means("exactly one of the four");
const BAD_INPUT: super::Value = OneOf(&["safe", "hold", "manual"]);
const BAD_INPUT_MEANING: &str = "Output while the input is bad or stale: its safe state; where it is; or its safe state until somebody has switched to manual and back, also after each start, unless an interlock holds the output until the input has come (of a switch as `safe`).";
const TI_MEANING: &str = "Integral time. Without an integral the output starts from `safe` and only follows changes from there: a lasting deviation stays. A fixed bias is `safe`, or the output by hand, at the switch to automatic.";
const SETPOINT: super::Preset = Means("one of the two");

const CONTROL: &[Key] = &[
    key("period_ms", MS, Is("10"), "Time from scan to scan; at most an hour, in a gateway at most 1000."),
    key(
        "watchdog_ms",
        MS,
        Means("five periods"),
        "Time without a scan after which the outputs are published as safe; at least a period, at most a day.",
    ),
    key("commands", Boolean, Is("false"), "Takes commands of local clients at `cmd/#`, within `[commands]`."),
];

const INPUT_KEYS: &[Key] = &[
    key("name", Text("topic of the local listener"), Required, "Name of the input."),
    key("stale_after_ms", MS, Required, "Silence after which it counts as bad."),
    key("range", RANGE, NONE, "Values outside it are bad."),
];

const OUTPUT: &[Key] = &[
    key("name", Text("text"), Required, "Name of the output, published at `out/NAME`."),
    key(
        "safe",
        NUMBER,
        Is("0.0"),
        "Safe state: before the first scan, tripped, and in automatic while an input is bad or stale, where `bad_input` says nothing else. An output that `cmd/output/NAME/mode` set to a number or to `\"hold\"` heeds no input, be it bad, stale or missing: only an interlock makes it safe.",
    ),
    key("pid", Text("table"), CHOICE, "A PID loop."),
    key("switch", Text("table"), CHOICE, "A two-point switch with hysteresis."),
    key(
        "ramp",
        Text("table"),
        CHOICE,
        "A setpoint that is followed at a limited rate, after a start from `safe`.",
    ),
    key("value", NUMBER, CHOICE, "This value, unless an interlock holds the output."),
];

const PID: &[Key] = &[
    key("input", INPUT, Required, "Measured value."),
    key("setpoint", NUMBER, SETPOINT, "Setpoint."),
    key("setpoint_input", INPUT, SETPOINT, "Input that gives the setpoint."),
    key(
        "form",
        OneOf(&["isa", "parallel"]),
        Is("isa"),
        "`isa`: `k`, `ti_s`, `td_s`; `parallel`: `kp`, `ki`, `kd`.",
    ),
    key("k", NUMBER, Means("required with `isa`"), "Gain."),
    key("ti_s", NUMBER, Means("no integral"), TI_MEANING),
    key("td_s", NUMBER, Means("no derivative"), "Derivative time."),
    key("kp", NUMBER, Means("required with `parallel`"), "Proportional gain."),
    key("ki", NUMBER, Means("no integral"), "Integral gain."),
    key("kd", NUMBER, Means("no derivative"), "Derivative gain."),
    key("limits", RANGE, NONE, "Least and largest output."),
    key("beta", NUMBER, Means("1"), "Weight of the setpoint in the proportional part."),
    key("gamma", NUMBER, Means("0"), "Weight of the setpoint in the derivative part."),
    key(
        "filter_s",
        NUMBER,
        Means("`isa`: a tenth of `td_s`; `parallel`: no filter"),
        "Time constant of the derivative's filter.",
    ),
    key(
        "derivative",
        OneOf(&["backward_difference", "zero_order_hold"]),
        Is("backward_difference"),
        "Form of that filter.",
    ),
    key(
        "anti_windup",
        OneOf(&["back_calculation", "clamp"]),
        Is("back_calculation"),
        "Treatment of the integral while the output is at a limit; `clamp` goes without `tracking_s`.",
    ),
    key(
        "tracking_s",
        NUMBER,
        Means("from `ti_s` and `td_s`"),
        "Tracking time of `back_calculation`; beside `anti_windup = \"clamp\"` an error.",
    ),
    key(
        "proportional_on_measurement",
        Boolean,
        Is("false"),
        "Takes the proportional part of the measured value alone.",
    ),
    key("rate_per_s", NUMBER, NONE, "Fastest change of the output."),
    key("setpoint_rate_per_s", NUMBER, NONE, "Fastest change of the setpoint."),
    key("dt_max_s", NUMBER, NONE, "Longest time between two scans that is integrated over."),
    key("bad_input", BAD_INPUT, Is("safe"), BAD_INPUT_MEANING),
];

const SWITCH: &[Key] = &[
    key("input", INPUT, Required, "Measured value."),
    key("on_at", NUMBER, Required, "Value at which it switches on."),
    key(
        "off_at",
        NUMBER,
        Required,
        "Value at which it switches off; below `on_at` for a fan or a cooler, above it for a heater.",
    ),
    key("min_on_ms", MS, Is("0"), "Shortest time on; an interlock and a bad input end it at once."),
    key("min_off_ms", MS, Is("0"), "Shortest time off, also after an interlock or a bad input."),
    key("on", NUMBER, Is("1.0"), "Output while on."),
    key("off", NUMBER, Is("0.0"), "Output while off."),
    key("bad_input", BAD_INPUT, Is("safe"), BAD_INPUT_MEANING),
];

const RAMP: &[Key] = &[
    key("setpoint", NUMBER, SETPOINT, "Setpoint."),
    key("setpoint_input", INPUT, SETPOINT, "Input that gives the setpoint."),
    key("rate_per_s", NUMBER, Required, "Fastest change of the output."),
];

const INTERLOCK: &[Key] = &[
    key("name", Text("text"), Required, "Name of the interlock: `cmd/interlock/NAME/reset`."),
    key("outputs", Strings("names of outputs"), Required, "Outputs that are safe while it is tripped."),
    key(
        "trip_when",
        Text("condition"),
        Required,
        "Condition that trips it, as an input of it that is bad or stale does where the vote depends on it. From the start on it is tripped.",
    ),
    key(
        "reset",
        OneOf(&["manual", "auto"]),
        Is("manual"),
        "By a command, or by itself when the condition is over. A command, whose payload is not read, resets either kind, and an automatic one before `after_ms`; of one that is not tripped it changes nothing, and is obeyed.",
    ),
    key(
        "after_ms",
        MS,
        Means("at once"),
        "Time for which the condition must be over before an automatic reset.",
    ),
    key(
        "max_bypass_ms",
        MS,
        Means("no bypass"),
        "Longest time of all bypasses together, until it went as long without one.",
    ),
];

const CONDITION: &[Key] = &[
    key(
        "input",
        INPUT,
        NONE,
        "Input that is compared, by exactly one of the next three. While it is bad or stale the condition is unknown, which trips if the vote depends on it.",
    ),
    key("above", NUMBER, NONE, "True at or above this value."),
    key("below", NUMBER, NONE, "True at or below this value."),
    key(
        "is",
        Boolean,
        NONE,
        "True while the input is this: `true` or 1, `false` or 0. Any other number is bad, as a value out of `range` is.",
    ),
    key("all", Text("array of conditions"), NONE, "True while all of them are."),
    key("any", Text("array of conditions"), NONE, "True while one of them is."),
    key("not", Text("condition"), NONE, "True while it is not."),
    key("at_least", COUNT, NONE, "Number of the conditions in `of` that must be true."),
    key("of", Text("array of conditions"), NONE, "The conditions that vote."),
    key(
        "degraded",
        OneOf(&["trip_vote", "ignore"]),
        Means("`trip_vote`"),
        "Beside `at_least` and `of` alone: vote of a bad input there, to trip, or none.",
    ),
];

const COMMANDS: &[Key] = &[
    key(
        "clients",
        Strings("client identifiers"),
        Means("any client of the listener"),
        "Clients that may command; not empty unless `reset` names one.",
    ),
    key("per_minute", COUNT, Is("60"), "Most commands of all clients together; at least 1."),
    key(
        "setpoint",
        Text("table by output"),
        Means("none may be changed"),
        "Setpoints that may be changed, of a `pid` or `ramp` that has `setpoint`: `\"tank/heater\" = { range = [20.0, 80.0] }`.",
    ),
    key(
        "manual",
        Text("table by output"),
        Means("none may be set"),
        "Outputs with a `pid` that may be set by hand, with the least and the largest value, within its `limits`; `hold` keeps one of them where it is, within that or not.",
    ),
    key(
        "reset",
        Text("table by interlock"),
        Means("those of `clients`"),
        "Clients that may reset or bypass an interlock.",
    ),
    key(
        "hub",
        Text("array of `setpoint`, `mode`, `alarm`, `interlock`"),
        Means("none"),
        "Commands that the hub may give, by `[[command]]` rules of a gateway, within the limits here and `per_minute` of its own; no interlock that `reset` names.",
    ),
];

const SETPOINT_KEYS: &[Key] = &[
    key("range", RANGE, Required, "Least and largest setpoint."),
    key("per_minute", COUNT, Is("6"), "Most changes a minute; at least 1."),
];

pub(super) const TABLES: &[Table] = &[
    table("control", "[control]", "Times, and whether commands are taken.", CONTROL),
    table("input", "[[input]]", "A measured value.", INPUT_KEYS),
    table("output", "[[output]]", "A value that is driven.", OUTPUT),
    table("pid", "pid = { … }", "PID loop of an output.", PID),
    table("switch", "switch = { … }", "Two-point switch of an output.", SWITCH),
    table("ramp", "ramp = { … }", "Ramp of an output.", RAMP),
    table("interlock", "[[interlock]]", "A condition under which outputs are safe.", INTERLOCK),
    table("condition", "trip_when = { … }", "Condition of an interlock; conditions nest.", CONDITION),
    table(
        "commands",
        "[commands]",
        "Limits of commands. Without `[control] commands = true` none is taken, whatever stands here, and `check` warns.",
        COMMANDS,
    ),
    table("setpoint", "[commands.setpoint]", "Limits of one output's setpoint.", SETPOINT_KEYS),
    table(
        "fields",
        "[fields]",
        "Fields of inputs' payloads: `\"tank/temp\" = \"temp\"`. Payloads are numbers, booleans, or JSON with `value` where nothing else is said here.",
        &[],
    ),
];
