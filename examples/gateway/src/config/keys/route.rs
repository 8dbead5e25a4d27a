//! Keys of `[[route]]`, and of the names in its `fields`.

use super::Preset::{Is, Means, Required};
use super::Value::{Batch, Boolean, Duration, Integer, OneOf, Size, Text};
use super::{Key, key};

pub(super) const ROUTE: &[Key] = &[
    key(
        "match",
        Text("MQTT topic filter, none of `$share/…`"),
        Required,
        "Topics of this route. The first route that matches a topic has it.",
    ),
    key(
        "to",
        Text("MQTT topic"),
        Means("`raw`: empty; otherwise required"),
        "`raw`: the prefix that is put before the whole topic. Otherwise: the topic of the batches.",
    ),
    key(
        "qos",
        Integer(0, 2),
        Is("1"),
        "Quality of service to the hub. 0 is 1, because what was stored is to be delivered. At 2 the hub has each message once, after two round trips and at most 256 at a time, 20 by MQTT 3.1.1; after a stop, a kill or a restart by a reload what was on its way may come again, with its identity, and so may what a hub had not completed when it lost its session. A hub that is killed and comes back with an older session than it answered from loses messages of 2 whose readers are there, of 1 those that it held for readers: such as are away, or have as many on their way as it allows (Mosquitto's max_inflight_messages, 20). A hub that takes no QoS 2 must say so in its CONNACK, which 3.1.1 cannot.",
    ),
    key("lane", Text("one of `[queue] lanes`"), Means("the last"), "Lane of these messages."),
    key(
        "format",
        OneOf(&["raw", "json", "cbor", "protobuf", "compact"]),
        Is("raw"),
        "`raw` forwards payloads unseen, one message each. The others make batches of the readings.",
    ),
    key("batch_age", Duration("", "1h"), Is("200ms"), "Age of its first reading at which a batch is sent."),
    key(
        "batch_max",
        Batch { readings: (1, 100_000), bytes: ("256B", "256KiB") },
        Is("1000"),
        "Readings with which a batch is sent at once; or, as a size, the bytes that no encoded batch exceeds.",
    ),
    key(
        "filter",
        Text("file"),
        Means("none"),
        "Rules of the filter: deadband, range, windows, stale sensors, alarms. Not for `raw`.",
    ),
    key(
        "ack_held",
        OneOf(&["as_suppressed", "when_emitted"]),
        Is("as_suppressed"),
        "PUBACK of a reading that a stage of the filter holds: at once, or when what stands for it is safe.",
    ),
    key(
        "hold_max",
        Duration("100ms", "1h"),
        Means("required with `when_emitted`"),
        "Longest wait of such a PUBACK.",
    ),
    key(
        "level",
        OneOf(&["fast", "small"]),
        Is("fast"),
        "Of `compact`. `small` puts a batch into Zstandard where that is smaller, in a build with the feature `zstd`.",
    ),
    key(
        "input",
        OneOf(&["json", "number", "influx-line", "senml", "sparkplug"]),
        Is("json"),
        "Form of the sensors' payloads. `number`: one value as text, as `21.5` or `21.5 °C`. `influx-line`: lines of the line protocol, each field a reading. `senml`: packs in JSON or CBOR. `sparkplug`: Sparkplug B; `match` has all topics of a node. Not for `raw`.",
    ),
    key(
        "max_births",
        Size("64KiB", "16MiB"),
        Is("2MiB"),
        "Of `sparkplug`. Most bytes that remembered births may take, some 200 and the name for each metric; one that has no room is a dead letter.",
    ),
    key(
        "fields",
        Text("table"),
        Means("the names below"),
        "Names of the parts of a reading in sensors' JSON; of `influx-line` `time_unit` alone, which is nanoseconds there if nothing is said. Not for `raw`.",
    ),
];

pub(super) const FIELDS: &[Key] = &[
    key("sensor", Text("field"), Is("sensor"), "Name of the sensor; where the field is absent, the topic."),
    key("value", Text("field"), Is("value"), "The number, boolean or text."),
    key("unit", Text("field"), Is("unit"), "Its unit."),
    key("quality", Text("field"), Is("quality"), "Its quality, an OPC UA status code."),
    key(
        "time",
        Text("field"),
        Is("ts"),
        "Time of the reading; where the field is absent, that of its arrival.",
    ),
    key(
        "time_unit",
        OneOf(&["seconds", "milliseconds", "microseconds", "nanoseconds", "rfc3339"]),
        Is("milliseconds"),
        "Unit of that time, since 1970.",
    ),
    key(
        "each",
        Text("field, or empty"),
        Means("one reading a message, or an array of such"),
        "Object of which every number and boolean is a reading, or list of which every entry is one; `\"\"`: the message itself.",
    ),
    key(
        "numbers_in_text",
        Boolean,
        Is("false"),
        "Takes values and times in quotation marks, as `\"21.5\"`, for the numbers in them. Other texts stay what they are.",
    ),
];
