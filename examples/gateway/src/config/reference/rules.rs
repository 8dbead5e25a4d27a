//! Reference of the keys of a rules file, which `edge_filter` reads; a test compares them with its parser.

use super::super::keys::Preset::{Is, Means, Required};
use super::super::keys::Value::{Boolean, OneOf, Text};
use super::super::keys::{Key, Table, key, table};

pub(super) const INTRO: &str = "\
Keys of `[[route]] filter = \"FILE\"`, printed by `edge-gateway reference rules`. A sensor goes by the first rule and the first alarm whose `match` has its
name; one that no rule matches passes as it is. A rule lists its stages in the order of this page, each at most once, and of the stages
from `on_change` to `dedup` one. Times are whole milliseconds, numbers are in the unit of the sensor. An unknown key is an error.";

const NUMBER: super::Value = Text("number");
const RANGE: super::Value = Text("[low, high]");
const MS: super::Value = Text("milliseconds");
const COUNT: super::Value = Text("whole number");
const PASS_OR_DROP: super::Value = OneOf(&["pass", "drop"]);
const MARK_OR_DROP: super::Value = OneOf(&["mark", "drop"]);
const GOOD_OR_BAD: super::Value = OneOf(&["good", "bad"]);
const QUALITY: super::Value = OneOf(&["opcua", "sparkplug", "ignition"]);
const NEVER: super::Preset = Means("never");
const ONE_OF_TWO: super::Preset = Means("one of the two");
const AS_DEFAULTS: super::Preset = Means("`[defaults]`");

const DEFAULTS: &[Key] = &[
    key("max_keys", COUNT, Is("10000"), "Sensors that are filtered at a time."),
    key(
        "over_limit",
        OneOf(&["pass", "evict_idle"]),
        Is("pass"),
        "Treatment of further sensors: they pass unfiltered, or the one that was silent for the longest time is forgotten.",
    ),
    key("quality", QUALITY, Is("opcua"), "Meaning of quality numbers."),
    key("nan_is_bad", Boolean, Is("true"), "Makes NaN and the infinities bad; otherwise they are uncertain."),
    key(
        "max_future_ms",
        MS,
        Is("60000"),
        "Distance ahead of the clock from which on a reading counts as ahead of it.",
    ),
    key(
        "max_backward_ms",
        MS,
        Is("60000"),
        "Distance back from which on readings may mean that the sensor's clock was set.",
    ),
    key("n_confirm", COUNT, Is("3"), "Readings in a row that confirm it."),
    key("max_gap_ms", MS, Is("3600000"), "Silence after which the stages start again."),
    key(
        "out_of_order",
        PASS_OR_DROP,
        Is("pass"),
        "Treatment of a reading that is older than the sensor's last one. `drop` loses what was acknowledged.",
    ),
    key("future", PASS_OR_DROP, Is("pass"), "The same for one that is ahead of the clock."),
    key("same_time", PASS_OR_DROP, Is("pass"), "The same for another reading of the last one's time."),
];

const RULE: &[Key] = &[
    key("match", Text("name or pattern with `+`, `#`"), Required, "Sensors of this rule."),
    key(
        "range",
        Text("table"),
        Means("none"),
        "Engineering range, of which percentages are: `{ low = -40.0, high = 150.0 }`.",
    ),
    key("quality", QUALITY, AS_DEFAULTS, "Meaning of quality numbers."),
    key("nan_is_bad", Boolean, AS_DEFAULTS, "As in `[defaults]`."),
    key("stages", Text("array of tables"), Is("[]"), "The stages below, each as `{ NAME = { … } }`."),
];

const EURANGE: &[Key] =
    &[key("low", NUMBER, Required, "0 percent."), key("high", NUMBER, Required, "100 percent.")];

const TIME_GUARD: &[Key] = &[
    key("max_future_ms", MS, AS_DEFAULTS, "As in `[defaults]`."),
    key("max_backward_ms", MS, AS_DEFAULTS, "As in `[defaults]`."),
    key("n_confirm", COUNT, AS_DEFAULTS, "As in `[defaults]`."),
    key("max_gap_ms", MS, AS_DEFAULTS, "As in `[defaults]`."),
    key("out_of_order", PASS_OR_DROP, AS_DEFAULTS, "As in `[defaults]`."),
    key("future", PASS_OR_DROP, AS_DEFAULTS, "As in `[defaults]`."),
    key("same_time", PASS_OR_DROP, AS_DEFAULTS, "As in `[defaults]`."),
];

const GROSS_RANGE: &[Key] = &[
    key("fail", RANGE, Required, "Values outside it are impossible."),
    key("suspect", RANGE, Means("none"), "Values outside it are doubtful."),
    key(
        "action",
        MARK_OR_DROP,
        Is("mark"),
        "Treatment of what fails: it passes with a quality that says so, or is dropped and counted.",
    ),
];

const RATE_OF_CHANGE: &[Key] = &[
    key(
        "suspect_per_s",
        NUMBER,
        Means("at least one of the two"),
        "Change per second above which a value is doubtful.",
    ),
    key("fail_per_s", NUMBER, Means("at least one of the two"), "Change per second above which it fails."),
    key("max_gap_ms", MS, Means("any time"), "Longest time between two values that are compared."),
    key("action", MARK_OR_DROP, Is("mark"), "Treatment of what fails."),
];

const FLAT_LINE: &[Key] = &[
    key(
        "suspect_s",
        Text("seconds"),
        Required,
        "Time of equal values after which they are doubtful; at least `sampling_ms`.",
    ),
    key("fail_s", Text("seconds"), Required, "Time after which they fail; at least `sampling_ms`."),
    key("sampling_ms", MS, Required, "Period of the sensor."),
    key("tolerance", NUMBER, Required, "Spread within which values count as equal."),
    key("action", MARK_OR_DROP, Is("mark"), "Treatment of what fails."),
];

const ATTENUATED_SIGNAL: &[Key] = &[
    key(
        "check",
        OneOf(&["std", "range"]),
        Is("std"),
        "Measure of spread: standard deviation, or largest less smallest.",
    ),
    key("suspect", NUMBER, Means("at least one of the two"), "Spread below which a value is doubtful."),
    key("fail", NUMBER, Means("at least one of the two"), "Spread below which it fails."),
    key("period_ms", MS, Required, "Time over which the spread is taken."),
    key("min_obs", COUNT, Is("1"), "Fewest values of a period that are judged."),
    key("action", MARK_OR_DROP, Is("mark"), "Treatment of what fails."),
];

const HAMPEL: &[Key] = &[
    key("window", COUNT, Required, "Values of which the median is taken."),
    key(
        "n_sigma",
        NUMBER,
        Is("3.0"),
        "Distance from the median, in scaled median absolute deviations, beyond which a value is an outlier.",
    ),
    key("min_scale", NUMBER, Is("0.0"), "Distance beyond which it is one where that deviation is 0."),
    key(
        "alignment",
        OneOf(&["centered", "causal"]),
        Is("causal"),
        "Place of the value in its window: `centered` judges half a window late.",
    ),
    key(
        "action",
        OneOf(&["mark", "drop", "replace"]),
        Is("mark"),
        "Treatment of an outlier. `replace`: the median passes in its place; what was measured is not kept.",
    ),
];

const JUMP_REJECT: &[Key] = &[
    key("max_step", NUMBER, Required, "Largest step that is accepted."),
    key("accept_after", COUNT, Is("3"), "Rejections in a row after which the next value is accepted."),
    key("action", MARK_OR_DROP, Is("mark"), "Treatment of a larger step."),
];

const SPIKE: &[Key] = &[
    key(
        "method",
        OneOf(&["average", "differential"]),
        Is("average"),
        "Distance from the mean of both neighbours, or the smaller of the two distances. Readings are one late.",
    ),
    key("suspect", NUMBER, Means("at least one of the two"), "Distance above which a value is doubtful."),
    key("fail", NUMBER, Means("at least one of the two"), "Distance above which it fails."),
    key("action", MARK_OR_DROP, Is("mark"), "Treatment of what fails."),
];

const COUNTER: &[Key] = &[
    key(
        "width_bits",
        COUNT,
        Required,
        "Width of the counter, 16, 32, 53 or 64: the value becomes the total since the first reading, over wraps and resets. A reload and a clean stop keep it; after a kill, and where the sensor's unit changes, it begins at 0 anew. A bad reading, and one that is late, of the last one's time or ahead of the clock, counts nothing and gets the total so far; if it was good, its quality is `UncertainSubstituteValue`.",
    ),
    key("max_rate_per_s", NUMBER, Required, "Fastest count that is possible: what is above it was a reset."),
];

const SCALE: &[Key] = &[
    key("factor", NUMBER, Means("1"), "`value × factor + offset`; not beside `raw` and `unit`."),
    key("offset", NUMBER, Means("0"), "As above."),
    key("raw", RANGE, Means("none"), "Range of the source, as `[4, 20]`; belongs to `unit`."),
    key("unit", RANGE, Means("none"), "Range that it stands for."),
];

const ON_CHANGE: &[Key] = &[
    key(
        "min_interval_ms",
        MS,
        Is("0"),
        "Time after an emitted reading in which changes of value are suppressed.",
    ),
    key("max_interval_ms", MS, NEVER, "Time without an emitted reading after which any passes."),
];

const DEADBAND: &[Key] = &[
    key(
        "absolute",
        NUMBER,
        ONE_OF_TWO,
        "Tolerance: a value within it of the last emitted one is suppressed.",
    ),
    key("percent", NUMBER, ONE_OF_TWO, "Tolerance in percent of the rule's `range`."),
    key(
        "min_interval_ms",
        MS,
        Is("0"),
        "Time after an emitted reading in which changes of value are suppressed. Costs the error bound.",
    ),
    key("max_interval_ms", MS, NEVER, "Time without an emitted reading after which any passes."),
    key(
        "uncertain_as",
        GOOD_OR_BAD,
        Is("good"),
        "Comparison of uncertain values: as good ones, or not at all.",
    ),
    key(
        "send_previous",
        Boolean,
        Is("false"),
        "Sends on a deviation the last suppressed reading too, for consumers that draw a line.",
    ),
    key(
        "trigger",
        OneOf(&["status", "status_value"]),
        Is("status_value"),
        "Changes that count. `status`: those of status alone, without a tolerance.",
    ),
];

const SWINGING_DOOR: &[Key] = &[
    key(
        "deviation",
        NUMBER,
        ONE_OF_TWO,
        "Distance of any reading from the line between those that are kept, at most.",
    ),
    key("percent", NUMBER, ONE_OF_TWO, "The same in percent of the rule's `range`."),
    key("min_interval_ms", MS, Is("0"), "Shortest time between two kept readings; needs `best_effort`."),
    key("best_effort", Boolean, Is("false"), "Gives the bound up where `min_interval_ms` is in its way."),
    key("max_interval_ms", MS, NEVER, "Longest time between two kept readings."),
    key("uncertain_as", GOOD_OR_BAD, Is("good"), "Comparison of uncertain values."),
];

const SEGMENT_HOLD: &[Key] = &[
    key(
        "deviation",
        NUMBER,
        ONE_OF_TWO,
        "Distance of any reading from the constant that stands for it, at most.",
    ),
    key("percent", NUMBER, ONE_OF_TWO, "The same in percent of the rule's `range`."),
    key("max_interval_ms", MS, NEVER, "Longest segment."),
    key("uncertain_as", GOOD_OR_BAD, Is("good"), "Comparison of uncertain values."),
];

const WINDOW: &[Key] = &[
    key("width_ms", MS, Required, "Width of a window; windows follow each other without overlap."),
    key(
        "agg",
        OneOf(&[
            "count",
            "first",
            "last",
            "min",
            "max",
            "mean",
            "median",
            "std_pop",
            "sum",
            "time_avg_stepped",
            "time_avg_sloped",
        ]),
        Required,
        "The one value of a window.",
    ),
    key("offset_ms", MS, Is("0"), "Begin of the windows after full multiples of their width since 1970."),
    key("allowed_lateness_ms", MS, Is("0"), "Time that a window stays open for late readings."),
    key(
        "min_good_pct",
        NUMBER,
        Is("100.0"),
        "Percent of the window for which its readings must be good, or the value is uncertain. Time before a sensor's first reading, after a start too, is not good.",
    ),
    key(
        "empty",
        OneOf(&["skip", "emit"]),
        Is("skip"),
        "Windows without a reading: left out, or given with the quality `BadNoData`, and the value 0.0 where there is none.",
    ),
    key("uncertain_as", GOOD_OR_BAD, Is("bad"), "Use of uncertain values: as good ones, or not at all."),
];

const SAMPLE: &[Key] = &[
    key("every_n", COUNT, ONE_OF_TWO, "Readings of a group, of which one is kept."),
    key("min_interval_ms", MS, ONE_OF_TWO, "Time of a group, of which one is kept."),
    key(
        "pick",
        OneOf(&["first", "last", "max_abs_dev"]),
        Is("first"),
        "The one that is kept: at once the first; or, when the group is complete, the last, or that furthest from the last kept.",
    ),
];

const DEDUP: &[Key] =
    &[key("within_ms", MS, Required, "Time after an emitted reading in which equal values are suppressed.")];

const STALE: &[Key] = &[
    key(
        "timeout_ms",
        MS,
        Required,
        "Silence after which the sensor is reported as stale: its last value once more, as uncertain, at the time of the last reading or repeat plus 1 ms. Behind a change of unit whose readings were all dropped there is no value, and the silence is reported to nobody.",
    ),
    key(
        "heartbeat_ms",
        MS,
        Means("no repeats"),
        "Period at which the last value is repeated in silence, until the sensor is stale. Repeats and the report carry the time of the last reading plus 1, 2, 3 … ms, not that at which they are made.",
    ),
];

const ALARM: &[Key] = &[
    key("match", Text("name or pattern with `+`, `#`"), Required, "Sensors of this alarm."),
    key("hihi", Text("table"), Means("at least one of the four"), "Limit of the level `HIHI`."),
    key("high", Text("table"), Means("at least one of the four"), "Limit of the level `HI`."),
    key("low", Text("table"), Means("at least one of the four"), "Limit of the level `LO`."),
    key("lolo", Text("table"), Means("at least one of the four"), "Limit of the level `LOLO`."),
    key("latch", Boolean, Is("false"), "Back to normal, the alarm waits for a reset."),
    key(
        "re_alarm_ms",
        MS,
        NEVER,
        "Time after which an alarm that was acknowledged and is still active is raised again.",
    ),
    key(
        "max_shelve_ms",
        MS,
        Means("any time"),
        "Longest time that one command may shelve it for. Another one while it is shelved begins anew, so that several hide it for longer.",
    ),
    key(
        "bad_input",
        OneOf(&["hold", "alarm", "normal"]),
        Is("hold"),
        "Meaning of a bad value: nothing, beyond every limit, or back to normal.",
    ),
];

const LIMIT: &[Key] = &[
    key("limit", NUMBER, Required, "Value from which on the level is active."),
    key("deadband", NUMBER, Is("0.0"), "Distance back behind the limit at which it is normal again."),
    key("on_delay_ms", MS, Is("0"), "Time beyond the limit before it is raised."),
    key("off_delay_ms", MS, Is("0"), "Time back before it is normal."),
    key("priority", COUNT, Means("500"), "Priority of the alarm, 1 to 1000."),
];

pub(super) const TABLES: &[Table] = &[
    table("defaults", "[defaults]", "Values that hold where a rule does not say otherwise.", DEFAULTS),
    table("rule", "[[rule]]", "Sensors by name, and what is done with their readings.", RULE),
    table("range", "range = { … }", "Engineering range of a rule.", EURANGE),
    table("time_guard", "time_guard", "Order of readings, and their distance from the clock.", TIME_GUARD),
    table("gross_range", "gross_range", "Values that are possible (QARTOD).", GROSS_RANGE),
    table("rate_of_change", "rate_of_change", "Values that change too fast (QARTOD).", RATE_OF_CHANGE),
    table("flat_line", "flat_line", "Values that do not change (QARTOD).", FLAT_LINE),
    table("attenuated_signal", "attenuated_signal", "Values that hardly change (QARTOD).", ATTENUATED_SIGNAL),
    table("hampel", "hampel", "Outliers from a running median.", HAMPEL),
    table("jump_reject", "jump_reject", "Steps that are too large.", JUMP_REJECT),
    table("spike", "spike", "Values far from both neighbours (QARTOD).", SPIKE),
    table("counter", "counter", "Totals of a counter that wraps.", COUNTER),
    table("scale", "scale", "Conversion by a line.", SCALE),
    table("on_change", "on_change", "Reduction: what differs from the last emitted reading.", ON_CHANGE),
    table("deadband", "deadband", "Reduction: what differs by more than a tolerance.", DEADBAND),
    table(
        "swinging_door",
        "swinging_door",
        "Reduction: readings between which a line is near enough to all others.",
        SWINGING_DOOR,
    ),
    table(
        "segment_hold",
        "segment_hold",
        "Reduction: constants that are near enough to all readings, each under the time of its first one.",
        SEGMENT_HOLD,
    ),
    table("window", "window", "Reduction: one value per span of time.", WINDOW),
    table("sample", "sample", "Reduction: one reading of each group.", SAMPLE),
    table("dedup", "dedup", "Reduction: equal values within a time.", DEDUP),
    table("stale", "stale", "Report of a sensor that fell silent.", STALE),
    table("alarm", "[[alarm]]", "Alarms by ISA-18.2, by the sensor's name.", ALARM),
    table("limit", "high = { … }", "One limit of an alarm.", LIMIT),
];
